//! What a process finds around it: limits, what it inherits from its parent, names, and those it has to tell. No hang, no
//! panic, nothing half-written, and nothing lost without a word.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::io::ioctl_fionread;
use serde_json::Value;

// --- limits -------------------------------------------------------------------------------------------------------

/// By default the signal of this limit ends a process in the middle of a line.
#[test]
fn a_limit_on_the_size_of_files_costs_what_does_not_fit_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    // In blocks of 512 bytes.
    let outputs = ["--eve", "eve.json", "--evidence", "evidence", "--extract", "files", "--format", "json"];
    let mut typed = vec!["-c", "ulimit -f 300; exec \"$0\" \"$@\"", binary(), "replay", "trace.pcap"];
    typed.extend(outputs);
    fs::copy(sample("mimail-c-outbreak"), dir.path().join("trace.pcap")).unwrap();
    let output = run(dir.path(), "sh", &typed);
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("File too large (os error 27); raise the limit on the size of files"), "{told}");
    assert!(told.contains("mailsnare: cannot write evidence to evidence/10.20.1.26-"), "{told}");

    let written = fs::read_to_string(dir.path().join("eve.json")).unwrap();
    assert!(written.len() > 100_000 && written.len() <= 300 * 512 && written.ends_with('\n'), "{}", written.len());
    written.lines().for_each(|line| drop(serde_json::from_str::<Value>(line).unwrap()));
    let capture = fs::read_dir(dir.path().join("evidence")).unwrap().next().unwrap().unwrap().path();
    let bytes = fs::read(capture).unwrap();
    assert!(bytes.len() > 100_000 && bytes.len() <= 300 * 512, "{}", bytes.len());
    assert_eq!(records_end(&bytes), bytes.len(), "no record is cut");
    let lost = &serde_json::from_slice::<Value>(&output.stdout).unwrap()["lost"];
    assert!(lost["eve_lines"].as_u64() > Some(100) && lost["packets_not_kept"].as_u64() > Some(100), "{lost}");
}

/// As under `TasksMax=` of systemd: nothing was wrong with the capture, nor with the program.
#[test]
fn threads_that_cannot_be_had_are_told_as_that() {
    if run(Path::new("/"), "id", &["-u"]).stdout != b"0\n" {
        return skip("a user of its own for the limit takes root");
    }
    let dir = tempfile::tempdir().unwrap();
    fs::copy(binary(), dir.path().join("mailsnare")).unwrap();
    fs::copy(sample("arrival"), dir.path().join("trace.pcap")).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // One is its own, another waits for signals; then come metrics, inspectors and the reader.
    for limit in 1..=5 {
        let limit = format!("--nproc={limit}");
        let user = ["--reuid", "61873", "--regid", "61873", "--clear-groups", "prlimit", &limit];
        let typed = ["./mailsnare", "replay", "trace.pcap", "--workers", "2", "--metrics", "127.0.0.1:0"];
        let output = run(dir.path(), "setpriv", &[&user[..], &typed].concat());
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{limit}: {told}");
        let last = told.lines().last().unwrap();
        assert!(last.starts_with("mailsnare: ") && last.contains("raise the limit on threads"), "{limit}: {told}");
        assert!(!told.contains("defect") && output.stdout.is_empty(), "{limit}: {told}");
    }
}

/// Clients that never send, until there is no descriptor left: told once, and over when they have gone.
#[test]
fn metrics_that_cannot_be_served_for_want_of_files_are_told() {
    let trace = fs::read(sample("arrival")).unwrap();
    let mut sensor = Command::new("sh")
        .args(["-c", "ulimit -n 12; exec timeout 30 \"$0\" replay - --metrics 127.0.0.1:0", binary()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    sensor.stdin.as_mut().unwrap().write_all(&trace[..20_000]).unwrap();
    let mut log = BufReader::new(sensor.stderr.take().unwrap()).lines();
    let place =
        log.find_map(|line| Some(line.unwrap().split_once("http://")?.1.split_once('/')?.0.to_owned())).unwrap();
    let idle: Vec<_> = (0..12).map(|_| TcpStream::connect(&place).unwrap()).collect();
    let told = log.next().unwrap().unwrap();
    assert!(told.contains("metrics are not served for now: Too many open files"), "{told}");
    drop(idle);
    let mut client = TcpStream::connect(&place).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    client.write_all(b"GET /healthz HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("\r\n\r\nok\n"), "{answer}");
    drop(sensor.stdin.take());
    assert!(sensor.wait().unwrap().success());
    assert_eq!(log.map(Result::unwrap).filter(|line| line.contains("not served")).count(), 0, "once");
}

// --- a parent's legacy --------------------------------------------------------------------------------------------

/// Who waits for signals in a thread of its own blocks them in all others, and so in what it starts.
#[test]
fn signals_that_a_parent_had_blocked_end_it_all_the_same() {
    let mut held = Command::new("env")
        .args(["--block-signal=INT,TERM,HUP", binary(), "replay", "-", "--format", "json", "--metrics", "127.0.0.1:0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let trace = fs::read(sample("arrival")).unwrap();
    let mut pipe = held.stdin.take().unwrap();
    pipe.write_all(&trace).unwrap();
    // It heeds signals by the time it says where metrics are.
    let mut log = BufReader::new(held.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(log.any(|line| line.contains("http://")), "it has ended");
    Command::new("kill").args(["-TERM", &held.id().to_string()]).status().unwrap();
    wait(&mut held);
    let output = held.wait_with_output().unwrap();
    let told: Vec<_> = log.collect();
    assert_eq!(output.status.code(), Some(0), "{told:?}");
    assert!(told.iter().any(|line| line.starts_with("mailsnare: stopped before the end")), "{told:?}");
    serde_json::from_slice::<Value>(&output.stdout).unwrap();
    drop(pipe);
}

/// A log that cannot be written is the end of the log alone.
#[test]
fn a_log_that_cannot_be_written_costs_no_run() {
    for level in ["info", "trace"] {
        let typed = ["replay", &sample("arrival"), "--metrics", "127.0.0.1:0", "--log-level", level];
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let output = Command::new(binary()).args(typed).stderr(full).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{level}");
        assert!(String::from_utf8(output.stdout).unwrap().contains("Read: 2003"), "{level}");
    }
}

/// Its last words must not wait for whoever holds it up.
#[test]
fn a_second_signal_ends_a_run_whose_messages_nobody_reads() {
    let dir = tempfile::tempdir().unwrap();
    let cut = &fs::read(sample("arrival")).unwrap()[..3_000];
    // More than a pipe takes.
    for number in 0..900 {
        fs::write(dir.path().join(format!("{number}{}.pcap", "x".repeat(150))), cut).unwrap();
    }
    let mut command = Command::new(binary());
    command.args(["replay", "."]).current_dir(dir.path()).stdin(Stdio::null());
    let mut held = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let log = held.stderr.take().unwrap();
    let mut waiting = 0;
    // Nothing moves any more: the pipe is full, and the next message waits.
    while waiting == 0 || waiting != ioctl_fionread(&log).unwrap() {
        assert!(held.try_wait().unwrap().is_none(), "it has ended");
        waiting = ioctl_fionread(&log).unwrap();
        std::thread::sleep(Duration::from_millis(200));
    }
    // Two that follow each other at once are taken for one, and a busy machine delivers them so.
    let began = Instant::now();
    while held.try_wait().unwrap().is_none() && began.elapsed() < Duration::from_secs(10) {
        Command::new("kill").args(["-TERM", &held.id().to_string()]).status().unwrap();
        std::thread::sleep(Duration::from_millis(700));
    }
    wait(&mut held);
    assert_eq!(held.wait().unwrap().code(), Some(1));
}

// --- names --------------------------------------------------------------------------------------------------------

/// Captures of an incident may have been named by who is behind it.
#[test]
fn a_name_writes_no_lines_and_no_colours_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("folder")).unwrap();
    let name = "folder/\u{1b}[2Jx\nmailsnare: all is well.pcap";
    fs::write(dir.path().join(name), &fs::read(sample("arrival")).unwrap()[..50_000]).unwrap();
    let shown = r"folder/\u{1b}[2Jx\nmailsnare: all is well.pcap";
    for typed in [name, "folder"] {
        let output = run(dir.path(), binary(), &["replay", typed, "--eve", "eve.json"]);
        assert_eq!(output.status.code(), Some(0));
        let told = stderr(&output);
        assert!(told.starts_with(&format!("mailsnare: warning: {shown}: cut off after packet ")), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
    for option in ["--config", "--rules", "--eve"] {
        let output = run(dir.path(), binary(), &["replay", "folder", option, "no\u{1b}[2J/such"]);
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(r"no\u{1b}[2J/such") && !told.contains('\u{1b}'), "{told:?}");
    }
}

/// `--metrics-textfile /dev/null` was once the end of `/dev/null`.
#[test]
fn metrics_take_the_place_of_files_alone() {
    let dir = tempfile::tempdir().unwrap();
    symlink("/dev/null", dir.path().join("m.prom")).unwrap();
    let output = run(dir.path(), binary(), &["replay", &sample("arrival"), "--metrics-textfile", "m.prom"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    let sentence = "mailsnare: cannot write the metrics to m.prom: this is no file; it was left alone; ";
    assert!(stderr(&output).starts_with(sentence), "{}", stderr(&output));
    assert!(fs::symlink_metadata(dir.path().join("m.prom")).unwrap().is_symlink());
}

// --- those who are told -------------------------------------------------------------------------------------------

/// A log that is there and never reads: what it did not take is no secret.
#[test]
fn what_syslog_did_not_take_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let _never_read = UnixDatagram::bind(&log).unwrap();
    let log = log.to_str().unwrap();
    let typed = ["replay", &sample("mimail-c-outbreak"), "--syslog", &format!("unix:{log}"), "--format", "json"];
    let output = run(dir.path(), binary(), &[&typed[..], &["--metrics-textfile", "m.prom"]].concat());
    let metrics = fs::read_to_string(dir.path().join("m.prom")).unwrap();
    let counted = |result: &str| {
        let name = format!("mailsnare_notifications_total{{channel=\"syslog\",result=\"{result}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap().parse::<u64>().unwrap()
    };
    let (sent, dropped) = (counted("sent"), counted("dropped"));
    assert!(sent > 0 && dropped > 100, "{sent} {dropped}");
    assert_eq!(output.status.code(), Some(1));
    let all = sent + dropped;
    let sentence = format!("mailsnare: syslog at {log} did not take {dropped} of {all} messages; see that it listens");
    assert!(stderr(&output).starts_with(&sentence), "{}", stderr(&output));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["lost"]["notifications_dropped"], dropped);
}

// --- helpers ------------------------------------------------------------------------------------------------------

fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_mailsnare")
}

fn sample(name: &str) -> String {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "pcaps", name, "trace.pcap"].iter().collect();
    path.to_str().unwrap().to_owned()
}

fn run(dir: &Path, program: &str, typed: &[&str]) -> Output {
    Command::new(program).args(typed).current_dir(dir).stdin(Stdio::null()).output().unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// Waits for its end, within reason.
fn wait(process: &mut Child) {
    let began = Instant::now();
    while process.try_wait().unwrap().is_none() {
        if began.elapsed() > Duration::from_secs(20) {
            process.kill().unwrap();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Where the last whole record of a little-endian pcap file ends.
fn records_end(file: &[u8]) -> usize {
    let mut at = 24;
    while let Some(length) = file.get(at + 8..at + 12) {
        let end = at + 16 + u32::from_le_bytes(length.try_into().unwrap()) as usize;
        if end > file.len() {
            break;
        }
        at = end;
    }
    at
}

fn skip(why: &str) {
    eprintln!("skipped: {why}");
}
