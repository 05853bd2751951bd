fn main() -> std::process::ExitCode {
    mailsnare::cli::main()
}
