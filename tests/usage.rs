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

#[test]
fn the_readme_shows_what_is_printed() {
    let readme = include_str!("../README.md");
    let (code, out, _) = mailsnare(&["replay", "pcaps/mimail-c-outbreak"]);
    assert_eq!(code, 0);
    let verdict = out.lines().next().unwrap();
    let read = out.lines().find(|line| line.starts_with("Read: ")).unwrap();
    for line in [verdict, read] {
        assert!(readme.contains(&format!("\n    {line}\n")), "not in README.md: {line}");
    }
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
