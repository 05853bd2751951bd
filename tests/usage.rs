//! The command line as a shell sees it: exit codes, and what goes to which stream.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{self, Stdio};
use std::time::Duration;

use assert_cmd::Command;

fn mailsnare(typed: &[&str]) -> (i32, String, String) {
    let output = Command::cargo_bin("mailsnare").unwrap().args(typed).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn help_and_version_are_data() {
    for typed in [&["--help"][..], &["replay", "--help"], &["live", "-h"], &["rules", "check", "--help"], &["man"]] {
        let (code, out, err) = mailsnare(typed);
        assert_eq!((code, err.as_str()), (0, ""), "{typed:?}");
        assert!(out.len() > 100, "{typed:?}: {out}");
    }
    assert_eq!(mailsnare(&["--version"]).1, format!("mailsnare {}\n", env!("CARGO_PKG_VERSION")));
    let help = mailsnare(&["--help"]).1;
    assert!(help.contains("Exit codes:") && help.contains("mailsnare replay trace.pcap"), "{help}");
}

/// A replay counts what it reads while it reads: here from a pipe that stays open.
#[test]
fn a_replay_serves_its_counters_while_it_reads() {
    let trace = std::fs::read("pcaps/office-day/trace.pcap").unwrap();
    let mut sensor = process::Command::new(env!("CARGO_BIN_EXE_mailsnare"))
        .args(["replay", "-", "--metrics", "127.0.0.1:0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = sensor.stdin.take().unwrap();
    // The reader must find a header before it is ready.
    pipe.write_all(&trace).unwrap();
    let mut log = BufReader::new(sensor.stderr.take().unwrap()).lines();
    let told = log.find_map(|line| Some(line.unwrap().split_once("http://")?.1.split_once('/')?.0.to_owned())).unwrap();
    let scrape = || {
        let mut server = TcpStream::connect(&told).unwrap();
        server.write_all(b"GET /metrics HTTP/1.1\r\nHost: sensor\r\n\r\n").unwrap();
        let mut answer = String::new();
        server.read_to_string(&mut answer).unwrap();
        answer
    };
    let value = |text: &str, series: &str| {
        let line = text.lines().find(|line| line.starts_with(series)).map(|line| line.rsplit(' ').next().unwrap());
        line.map_or(0.0, |value| value.parse::<f64>().unwrap())
    };
    let counted = |text: &str| {
        value(text, "mailsnare_packets_total{") > 10_000.0 && value(text, "mailsnare_mx_lookups_total{") > 100.0
    };
    let mut text = scrape();
    for _ in 0..100 {
        if counted(&text) {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
        text = scrape();
    }
    assert!(counted(&text), "{text}");
    drop(pipe);
    let done = sensor.wait_with_output().unwrap();
    assert!(done.status.success());
    assert!(String::from_utf8_lossy(&done.stdout).contains("11,227 packets"));
}

#[test]
fn wrong_usage_exits_with_2_and_says_what_would_be_right() {
    for (typed, hint) in [
        (&[][..], "Usage: mailsnare"),
        (&["replay"], "<CAPTURE>..."),
        (&["replya", "x.pcap"], "'replay'"),
        (&["replay", "x.pcap", "--evnts", "dns"], "'--events'"),
        (&["replay", "x.pcap", "--events", "smpt"], "did you mean 'smtp'?"),
        (&["replay", "x.pcap", "--fail-on", "worst"], "critical, high, medium, low, info"),
        (&["replay", "x.pcap", "--home-net", "10.0.0.0/33"], "192.0.2.0/24"),
        (&["replay", "x.pcap", "--workers", "0"], "1..=256"),
        (&["replay", "x.pcap", "--eve", "-", "--format", "json"], "give --eve a file"),
        (&["replay", "x.pcap", "--interface", "eth0"], "--interface"),
        (&["live"], "--interface eth0"),
        (&["live", "-i", "eth0", "--metrics", "9847"], "127.0.0.1:9847"),
        (&["live", "-i", "eth0", "eth0"], "the interface 'eth0' is named twice; name each once"),
        (&["live", "-i", "eth0", "any"], "'any' listens on every interface already"),
        (&["completions", "cmd.exe"], "bash"),
    ] {
        let (code, out, err) = mailsnare(typed);
        assert_eq!((code, out.as_str()), (2, ""), "{typed:?}");
        assert!(err.contains(hint), "{typed:?}: {err}");
    }
}

#[test]
fn a_configuration_file_that_cannot_be_used_exits_with_1() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mailsnare.toml");
    std::fs::write(&path, "[detect.direct-to-mx]\ndomain = 3\n").unwrap();
    let path = path.to_str().unwrap();
    let (code, out, err) = mailsnare(&["replay", "x.pcap", "--config", path]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(err, format!("mailsnare: {path}:2:1: unknown key 'domain'; did you mean 'domains'?\n"));

    let (code, _, err) = mailsnare(&["replay", "x.pcap", "--config", "no-such.toml"]);
    assert!(code == 1 && err.contains("no-such.toml"), "{code} {err}");
}

#[test]
fn completions_name_the_options() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, out, _) = mailsnare(&["completions", shell]);
        assert!(code == 0 && out.contains("home-net"), "{shell}");
    }
}

#[test]
fn completions_load_in_bash_and_complete() {
    let script = "source <(\"$0\" completions bash) && COMP_WORDS=(mailsnare replay --fail-on c) COMP_CWORD=3 && \
                  _mailsnare mailsnare c --fail-on && echo \"${COMPREPLY[@]}\"";
    let binary = env!("CARGO_BIN_EXE_mailsnare");
    let output = std::process::Command::new("bash").args(["-c", script, binary]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "critical\n", "{:?}", String::from_utf8(output.stderr));
}

/// All of it, so that no figure goes stale: the command that stands in the README, on a terminal as wide as it says.
#[test]
fn the_readme_shows_what_is_printed() {
    let readme = include_str!("../README.md");
    let (_, shown) = readme.split_once("cargo run --release -- replay pcaps/mimail-c-outbreak\n").unwrap();
    let (told, shown) = shown.split_once(" columns wide:\n\n").unwrap();
    let columns = told.rsplit(' ').next().unwrap();
    let output = Command::cargo_bin("mailsnare")
        .unwrap()
        .args(["replay", "pcaps/mimail-c-outbreak"])
        .env("COLUMNS", columns)
        .output()
        .unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(code_block(shown), printed.lines().collect::<Vec<_>>());
}

/// What stands below the replay of `docs/first-page.md`, with the settings that its reader has written by then.
#[test]
fn the_first_page_shows_what_is_printed() {
    let page = include_str!("../docs/first-page.md");
    let (_, settings) = page.split_once("grep -v \"^#\" /etc/mailsnare/mailsnare.toml | grep .\n").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("mailsnare.toml");
    std::fs::write(&config, code_block(settings).join("\n")).unwrap();

    let (typed, shown) = page
        .split_once("mailsnare replay --config /etc/mailsnare/mailsnare.toml ")
        .and_then(|(_, rest)| rest.split_once(" | head -n 4\n"))
        .unwrap();
    let try_out = dir.path().join("try");
    let typed =
        typed.replace("/usr/share/doc/mailsnare/pcaps/", "pcaps/").replace("/tmp/try", try_out.to_str().unwrap());
    let command = format!("replay --config {} {typed}", config.to_str().unwrap());
    let (code, out, err) = mailsnare(&command.split_whitespace().collect::<Vec<_>>());
    assert_eq!((code, err.as_str()), (0, ""));
    let printed: Vec<_> = out.lines().take(4).collect();
    // On the page the lines end where those of the terminal do.
    assert_eq!(code_block(shown), printed.iter().map(|line| line.trim_end()).collect::<Vec<_>>());
}

/// The lines of the indented block that a text begins with, without their indentation.
fn code_block(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text
        .lines()
        .take_while(|line| line.is_empty() || line.starts_with("    "))
        .map(|line| line.strip_prefix("    ").unwrap_or_default())
        .collect();
    while lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    lines
}

#[test]
fn the_readme_tells_of_every_option() {
    let readme = include_str!("../README.md");
    for command in ["replay", "live"] {
        let help = mailsnare(&[command, "--help"]).1;
        let options = help.lines().filter_map(|line| line.trim_start().split("--").nth(1)?.split(' ').next());
        for option in options.filter(|option| !matches!(*option, "help" | "")) {
            assert!(readme.contains(&format!("| `--{option}")), "{command} --{option}");
        }
    }
}

/// The sample's servers talk in 225 sessions on port 25: `tshark -Y 'tcp.srcport == 25 && tcp.len > 0' -T fields -e
/// tcp.stream | sort -u | wc -l`. Six others, on the port for submission, keep both their sides.
#[test]
fn a_capture_of_one_direction_is_told() {
    for (filter, told) in [
        ("tcp or udp", "Mail: 231 sessions, "),
        ("not tcp src port 25", "Mail: 231 sessions (225 seen from one side alone), "),
        ("not tcp dst port 25", "Mail: 231 sessions (225 seen from one side alone), "),
    ] {
        let done = Command::new(env!("CARGO_BIN_EXE_mailsnare"))
            .args(["replay", "--bpf", filter, "pcaps/mimail-c-outbreak"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        let summary = String::from_utf8_lossy(&done.stdout);
        assert!(summary.contains(told), "{filter}: {summary}");
    }
}
