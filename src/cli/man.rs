//! `mailsnare man`: one page, made from the command line's own description.

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::args::Cli;

/// The manual page in roff.
pub fn page() -> Vec<u8> {
    let command = Cli::command();
    let mut page = Vec::new();
    // Writing to memory does not fail.
    let main = Man::new(command.clone()).manual("mailsnare");
    let _ = main
        .render_title(&mut page)
        .and_then(|()| main.render_name_section(&mut page))
        .and_then(|()| main.render_synopsis_section(&mut page))
        .and_then(|()| main.render_description_section(&mut page))
        .and_then(|()| main.render_options_section(&mut page));
    for (name, command) in leaves(command.clone()) {
        page.extend(format!(".SH \"{}\"\n", name.to_uppercase()).bytes());
        page.extend(section(&name, command));
    }
    page.extend(notes(&command).into_bytes());
    page
}

/// The commands that do something, each with its full name, in the order of the help.
fn leaves(command: Command) -> Vec<(String, Command)> {
    let mut leaves = Vec::new();
    for command in command.get_subcommands() {
        let name = command.get_name().to_owned();
        if command.has_subcommands() {
            leaves.extend(command.get_subcommands().map(|sub| (format!("{name} {}", sub.get_name()), sub.clone())));
        } else {
            leaves.push((name, command.clone()));
        }
    }
    leaves
}

/// A command's synopsis, options and examples, one level below the page's sections.
fn section(name: &str, command: Command) -> Vec<u8> {
    let (options, notes) = (command.get_arguments().next().is_some(), notes(&command));
    let man = Man::new(command.bin_name(format!("mailsnare {name}")));
    let mut text = Vec::new();
    let _ = man.render_description_section(&mut text).and_then(|()| man.render_synopsis_section(&mut text));
    if options {
        let _ = man.render_options_section(&mut text);
    }
    text.extend(notes.into_bytes());
    String::from_utf8_lossy(&text).replace("\n.SH ", "\n.SS ").replacen(".SH ", ".SS ", 1).into_bytes()
}

/// What stands below the options in a command's help, line by line: its examples and lists must not be filled.
fn notes(command: &Command) -> String {
    let Some(help) = command.get_after_help() else { return String::new() };
    let mut text = String::from("\n.SH NOTES\n.nf\n.in 2n\n");
    for line in help.to_string().lines() {
        // A dot at the beginning would be a request. Quotes stay those that a shell takes.
        text += if line.starts_with('.') { "\\&" } else { "" };
        let plain = line.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq").replace('`', "\\(ga");
        text += &plain;
        text.push('\n');
    }
    text + ".in\n.fi\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_tells_of_every_command_and_the_exit_codes() {
        let page = String::from_utf8(page()).unwrap();
        for part in [".TH mailsnare 1", ".SH \"REPLAY\"", ".SH \"RULES CHECK\"", "\\-\\-home\\-net", "Exit codes"] {
            assert!(page.contains(part), "{part}");
        }
    }

    #[test]
    fn examples_and_lists_keep_their_lines() {
        let page = String::from_utf8(page()).unwrap();
        for lines in [
            "\n.nf\n.in 2n\nExamples:\n  mailsnare replay trace.pcap\n  mailsnare replay captures/ \\-\\-home\\-net",
            "\n  SIGHUP           re\\-opens the EVE file;",
            "\n\\(aqport 25 or (vlan and port 25)\\(aq.",
            "\n  0  done\n  1  could not do it;",
        ] {
            assert!(page.contains(lines), "{lines}: {page}");
        }
        assert_eq!(page.matches("\n.nf\n").count(), page.matches("\n.fi\n").count());
    }

    #[test]
    fn the_page_describes_every_option() {
        let page = String::from_utf8(page()).unwrap();
        let mut commands = vec![Cli::command()];
        while let Some(command) = commands.pop() {
            for long in command.get_arguments().filter_map(clap::Arg::get_long).filter(|long| *long != "help") {
                let name = format!("\\-\\-{}", long.replace('-', "\\-"));
                // A paragraph of its own (.TP), not only a word of the synopsis.
                let told = page
                    .split(".TP\n")
                    .skip(1)
                    .any(|part| part.lines().next().is_some_and(|line| line.contains(&name)));
                assert!(told, "--{long}");
            }
            commands.extend(command.get_subcommands().cloned());
        }
    }
}
