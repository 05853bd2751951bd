//! The command line: what was typed ([`args`]), what it means ([`settings`]), and one file for each command.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, error::ErrorKind};
use tracing::level_filters::LevelFilter;

use crate::config::LogLevel;

pub mod args;
mod health;
mod inherited;
mod live;
mod man;
mod outputs;
mod packs;
mod reload;
mod replay;
mod rules;
mod service;
pub mod settings;
mod stop;
mod told;
mod unwritten;

/// Parses the command line, runs one command, and returns its exit code (0, 1, 2 or 3).
pub fn main() -> ExitCode {
    let args::Cli { command, log_level } = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return explain(&error),
    };
    panic::set_hook(Box::new(|info| {
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("without a name").to_owned();
        let place = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        let why = unquoted(info.payload_as_str().unwrap_or_default());
        complain(&format!("defect in the thread '{thread}' at {place}: {why}"));
    }));
    // A panic ends the process as any other failure does, so that whoever supervises it sees one kind only.
    let done = panic::catch_unwind(AssertUnwindSafe(|| inherited::amend().and_then(|()| run(command, log_level))));
    match done.unwrap_or_else(|_| Err(Failure::Failed(outputs::BROKEN.to_owned()))) {
        Ok(code) => code,
        Err(Failure::Failed(why)) => {
            complain(&why);
            ExitCode::FAILURE
        }
        Err(Failure::Usage(why)) => {
            complain(&why);
            ExitCode::from(WRONG_USAGE)
        }
    }
}

/// Why a command did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It could not: what, which file, what to do. Exit code 1.
    #[error("{0}")]
    Failed(String),
    /// What was asked for makes no sense. Exit code 2.
    #[error("{0}")]
    Usage(String),
}

fn run(command: args::Command, log_level: Option<LogLevel>) -> Result<ExitCode, Failure> {
    match command {
        args::Command::Replay(typed) => {
            let settings = settings::Replay::new(typed, log_level)?;
            start_log(settings.log_level);
            replay::run(&settings)
        }
        args::Command::Live(typed) => {
            let settings = settings::Live::new(typed.clone(), log_level)?;
            start_log(settings.log_level);
            live::run(typed, log_level, settings)
        }
        args::Command::Rules(typed) => {
            start_log(log_level.unwrap_or_default());
            rules::run(&typed.command)
        }
        args::Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut args::Cli::command(), "mailsnare", &mut script);
            print(&script)
        }
        args::Command::Man => print(&man::page()),
    }
}

/// Prints clap's message: help and version to standard output with 0, a mistake to standard error with 2.
fn explain(error: &clap::Error) -> ExitCode {
    // Nothing is left to tell anyone when even this cannot be written.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => ExitCode::from(WRONG_USAGE),
    }
}

/// Logs go to standard error, with colours on a terminal unless `NO_COLOR` is set (no-color.org).
fn start_log(level: LogLevel) {
    let filter = match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let log = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal() && !plain)
        .with_target(false)
        // It would complain on standard error that standard error cannot be written to, which is a panic.
        .log_internal_errors(false)
        .with_max_level(filter);
    // A second log in one process can only be a test's; the first one stays.
    let _ = log.try_init();
}

fn complain(why: &str) {
    let _ = writeln!(io::stderr(), "mailsnare: {}", shown(why));
}

/// A sentence as a terminal may get it: the path in it may have been named by a stranger, to move the cursor or to set
/// colours.
fn shown(sentence: &str) -> Cow<'_, str> {
    let moves = |c: char| c.is_control() && c != '\n';
    if !sentence.contains(moves) {
        return Cow::Borrowed(sentence);
    }
    let escaped = |c: char| if moves(c) { c.escape_default().to_string() } else { c.to_string() };
    Cow::Owned(sentence.chars().map(escaped).collect())
}

/// What a panic says, without what it quotes: text that could not be cut is whatever the wire said, a password perhaps.
fn unquoted(message: &str) -> &str {
    message.split(['`', '\'']).next().unwrap_or_default()
}

/// Writes to standard output; a reader that has seen enough (as `head`) is no failure.
fn print(bytes: &[u8]) -> Result<ExitCode, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Failed(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

const WRONG_USAGE: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    /// As the standard library words its panics.
    #[test]
    fn a_defect_is_told_without_what_the_wire_said() {
        let secret = "hunter2-é";
        let defects: [fn(&str) -> usize; 4] = [
            |text| text[..8 + 1].len(),
            |text| text[..90].len(),
            |text| text[7..text.len() - 6].len(),
            |text| text.parse::<u8>().map_err(|_| text.to_owned()).unwrap().into(),
        ];
        for defect in defects {
            let payload = panic::catch_unwind(|| defect(secret)).unwrap_err();
            let said = payload.downcast_ref::<String>().unwrap();
            assert!(said.contains("hunter2"), "{said}: the test tests nothing");
            assert!(!unquoted(said).contains("hunter2"), "{said}");
        }
        assert_eq!(unquoted("attempt to add with overflow"), "attempt to add with overflow");
    }
}
