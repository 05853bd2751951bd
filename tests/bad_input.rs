//! What can be wrong around the binary, and what it says: one clear sentence, the documented exit code, and nothing
//! lost that was read or written before.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use flate2::{Compression, write::GzEncoder};
use serde_json::Value;
use tempfile::TempDir;

// --- captures -----------------------------------------------------------------------------------------------------

#[test]
fn a_file_that_is_no_capture() {
    let dir = Dir::new();
    dir.write("notes.txt", b"not a capture, but a note about one\n");
    dir.write("picture.png", b"\x89PNG\r\n\x1a\nand so on, and so on, and so on");
    dir.write("empty.pcap", b"");
    for (file, what) in [
        ("notes.txt", "notes.txt: is a text file; give a pcap or pcapng file, plain or compressed with gzip or zstd"),
        ("picture.png", "picture.png: is "),
        ("empty.pcap", "empty.pcap: is empty; give a pcap or pcapng file"),
        ("missing.pcap", "missing.pcap: no such file or folder; check the path"),
    ] {
        // That others are sound does not make it so.
        assert_failure(&dir.run(&["replay", &sample("arrival"), file]), what);
    }
}

#[test]
fn a_folder_without_captures() {
    let dir = Dir::new();
    fs::create_dir(dir.path("none")).unwrap();
    dir.write("none/README.md", b"Captures will be put here.\n");
    assert_failure(
        &dir.run(&["replay", "none"]),
        "none: no capture in this folder (files looked at: 1); give one that",
    );
}

#[test]
fn a_capture_cut_off_in_its_last_record_is_a_warning() {
    let dir = Dir::new();
    let whole = fs::read(sample("mimail-c-outbreak")).unwrap();
    dir.write("cut.pcap", &whole[..400_000]);
    let output = dir.run(&["replay", "cut.pcap"]);
    assert_eq!(code(&output), 0);
    let read = records(&whole).take_while(|record| record.end <= 400_000).count();
    assert_eq!(
        stderr(&output),
        format!(
            "mailsnare: warning: cut.pcap: cut off after packet {read}; all {read} packets before that were read; the \
             capture was interrupted\n"
        )
    );
    assert!(stdout(&output).starts_with("1 host is infected: 10.20.1.26 (mimail-c)"), "{}", stdout(&output));
}

#[test]
fn a_capture_corrupt_within_is_analysed_as_far_as_it_can_be_read() {
    let dir = Dir::new();
    let mut bytes = fs::read(sample("mimail-c-outbreak")).unwrap();
    let broken = records(&bytes).nth(5_000).unwrap();
    bytes[broken.start..broken.start + 16].fill(0xff);
    dir.write("corrupt.pcap", &bytes);
    let output = dir.run(&["replay", "corrupt.pcap", "--format", "json"]);
    assert_failure_with_output(&output, "corrupt.pcap: damaged after packet 5000: ");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["hosts"][0]["verdict"], "infected");
    assert_eq!((&summary["stats"]["decoder"]["pkts"], &summary["lost"]["damaged_records"]), (&5_000.into(), &1.into()));

    // A script that asks for alerts learns that the answer is not the whole one.
    assert_eq!(code(&dir.run(&["replay", "corrupt.pcap", "--fail-on", "critical"])), 1);
}

/// As `captures/ captures/today.pcap`, or a link to a file beside it.
#[test]
fn a_capture_that_is_named_twice_is_read_once() {
    let dir = Dir::new();
    fs::create_dir(dir.path("captures")).unwrap();
    fs::copy(sample("arrival"), dir.path("captures/a.pcap")).unwrap();
    std::os::unix::fs::symlink("a.pcap", dir.path("captures/latest.pcap")).unwrap();
    let expected = dir.run(&["replay", "captures/a.pcap"]);
    let output = dir.run(&["replay", "captures", "captures/../captures/a.pcap"]);
    assert_eq!(code(&output), 0);
    assert_eq!(
        stderr(&output),
        "mailsnare: warning: captures/latest.pcap: passed over: it is captures/a.pcap, which is read already\n\
         mailsnare: warning: captures/../captures/a.pcap: passed over: it is captures/a.pcap, which is read already\n"
    );
    assert_eq!(stdout(&output), stdout(&expected));
}

/// As `zcat day-*.pcap.gz | mailsnare replay -` has them: each header within is a header, and no packet.
#[test]
fn captures_joined_end_to_end_are_read_one_after_the_other() {
    let dir = Dir::new();
    let [first, second] = ["arrival", "office-day"].map(|name| fs::read(sample(name)).unwrap());
    let packets = records(&first).count() + records(&second).count();
    let output = dir.run_with(&["replay", "-", "--format", "json"], &[first, second].concat());
    assert_eq!((code(&output), stderr(&output)), (0, ""));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&summary["stats"]["decoder"]["pkts"], &summary["stats"]["decoder"]["invalid"]),
        (&packets.into(), &0.into())
    );
}

/// Others in the folder are read all the same; but who asks whether anyone is infected learns that not all was looked at.
#[test]
fn a_capture_in_a_folder_that_may_not_be_read() {
    let dir = Dir::new();
    fs::create_dir_all(dir.path("folder/closed")).unwrap();
    for name in ["a.pcap", "b.pcap"] {
        fs::copy(sample("arrival"), dir.path("folder").join(name)).unwrap();
    }
    fs::set_permissions(dir.path("folder/b.pcap"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(dir.path("folder/closed"), fs::Permissions::from_mode(0o700)).unwrap();
    let Some(output) = dir.run_unprivileged(&["replay", "folder"]) else { return };
    let said: Vec<_> = stderr(&output).lines().collect();
    assert_eq!(
        said,
        [
            "mailsnare: folder/closed: passed over: the folder could not be read (Permission denied (os error 13))",
            "mailsnare: folder/b.pcap: passed over: it could not be read (Permission denied (os error 13))",
        ]
    );
    assert_eq!(code(&output), 1);
    assert!(stdout(&output).contains("2 damaged records in the capture files"), "{}", stdout(&output));
}

#[test]
fn standard_input_brings_the_same_as_a_file() {
    let dir = Dir::new();
    let plain = fs::read(sample("arrival")).unwrap();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&plain).unwrap();
    let zstd = ruzstd::encoding::compress_to_vec(&plain[..], ruzstd::encoding::CompressionLevel::Fastest);
    let expected = dir.run(&["replay", &sample("arrival"), "--format", "json"]);
    assert_eq!(code(&expected), 0);
    for (packing, bytes) in [("plain", plain), ("gzip", gzip.finish().unwrap()), ("zstd", zstd)] {
        let output = dir.run_with(&["replay", "-", "--format", "json"], &bytes);
        assert_eq!((code(&output), stderr(&output)), (0, ""), "{packing}");
        assert_eq!(stdout(&output), stdout(&expected), "{packing}");
    }
    assert_failure(&dir.run_with(&["replay", "-"], b""), "standard input: is empty; give a pcap");
    assert_failure(&dir.run_with(&["replay", "-"], b"hello there, this is text"), "standard input: is a text file");
    let twice = dir.run_with(&["replay", "-", "-"], &fs::read(sample("arrival")).unwrap());
    assert_failure(&twice, "standard input (-) was given twice; it can be read only once");
}

// --- settings -----------------------------------------------------------------------------------------------------

#[test]
fn a_bad_filter() {
    let output = Dir::new().run(&["replay", &sample("arrival"), "--bpf", "tcp prot 25"]);
    assert_failure(&output, "filter 'tcp prot 25' cannot be used: ");
    assert!(stderr(&output).contains("pcap-filter(7)"), "{}", stderr(&output));
}

#[test]
fn a_broken_rule_is_told_with_its_place_and_a_hint() {
    let dir = Dir::new();
    let rule = "[[rule]]\nid = \"mine\"\nsid = 9200000\nrev = 1\ntitle = \"Mine\"\nseverity = \"hgh\"\ncategory = \"worm\"\n\
                remediation = \"Look at it.\"\n\n[rule.match]\nsubjct = \"x\"\nmember = { type = \"exe\" }\n";
    dir.write("mine.toml", rule.as_bytes());
    let faults = "mailsnare: mine.toml:6:12: unknown severity `hgh`; hint: did you mean `high`?\n\
                  mine.toml:11:1: unknown field `subjct`; hint: did you mean `subject`?\n\
                  mine.toml:12:19: unknown file type `exe`; hint: did you mean `pe`?\n";
    for typed in [
        &["replay", &sample("arrival"), "--rules", "mine.toml"][..],
        &["rules", "check", "mine.toml"],
        &["rules", "list", "--rules", "mine.toml"],
    ] {
        let output = dir.run(typed);
        assert_eq!((code(&output), stdout(&output)), (1, ""), "{typed:?}");
        assert_eq!(stderr(&output), faults, "{typed:?}");
    }
    assert_failure(&dir.run(&["rules", "check", "none.toml"]), "none.toml: cannot be read: ");
}

#[test]
fn a_rule_test_that_fails_is_told_with_its_place_and_name() {
    let dir = Dir::new();
    let rule = "[[rule]]\nid = \"mine\"\nsid = 9200000\nrev = 1\ntitle = \"Mine\"\nseverity = \"high\"\ncategory = \"worm\"\n\
                remediation = \"Look at it.\"\nmatch.helo = \"x\"\n";
    let tests = "[[test]]\nname = \"the worm\"\nmatch = \"mine\"\nhelo = \"y\"\n\
                 [[test]]\nname = \"a friend\"\nno_match = \"mine\"\nhelo = \"x\"\n";
    dir.write("mine.toml", format!("{rule}{tests}").as_bytes());
    let output = dir.run(&["rules", "check", "mine.toml"]);
    assert_eq!((code(&output), stdout(&output)), (1, ""));
    let faults = "mailsnare: mine.toml:10:1: test \"the worm\": mine did not match\n\
                  mine.toml:14:1: test \"a friend\": mine matched: helo \"x\"\n";
    assert_eq!(stderr(&output), faults);
}

#[test]
fn a_rule_that_calls_itself_as_a_detector_does() {
    let dir = Dir::new();
    let rule = "[[rule]]\nid = \"mine\"\nsid = 9200000\nrev = 1\ntitle = \"Mine\"\nseverity = \"high\"\ncategory = \"worm\"\n\
                remediation = \"Look at it.\"\nmatch.helo = \"x\"\n";
    for (from, to, what) in [
        ("mine", "mail-volume", "mine.toml:1:1: id mail-volume is that of the detector mail-volume; hint: "),
        ("9200000", "9000101", "mine.toml:1:1: sid 9000101 is that of the detector direct-to-mx; hint: "),
    ] {
        dir.write("mine.toml", rule.replace(from, to).as_bytes());
        assert_failure(&dir.run(&["rules", "check", "mine.toml"]), what);
        assert_failure(&dir.run(&["replay", &sample("arrival"), "--rules", "mine.toml"]), what);
    }
    // Those of the packs are no such.
    let packs = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    assert_eq!(code(&dir.run(&["rules", "check", packs.to_str().unwrap()])), 0);
}

#[test]
fn a_rule_by_a_hash_that_is_not_computed_is_warned_of() {
    let dir = Dir::new();
    let rule = "[[rule]]\nid = \"mine\"\nsid = 9200000\nrev = 1\ntitle = \"Mine\"\nseverity = \"high\"\ncategory = \"worm\"\n\
                remediation = \"Look at it.\"\nmatch.file.md5 = \"00112233445566778899aabbccddeeff\"\n";
    dir.write("mine.toml", rule.as_bytes());
    for (hashes, warned) in [("\"sha256\"", true), ("\"md5\"", false)] {
        dir.write("mailsnare.toml", format!("rules = \"mine.toml\"\n[inspect]\nhashes = [{hashes}]\n").as_bytes());
        let output = dir.run(&["replay", &sample("arrival"), "--config", "mailsnare.toml"]);
        assert_eq!(code(&output), 0);
        let said = stderr(&output)
            .contains("mine.toml:1: rule mine asks for a hash (md5) that hashes in [inspect] leaves out");
        assert_eq!(said, warned, "{}", stderr(&output));
    }
}

/// A reader that is stuck holds up the end; who asks twice need not wait for it. timeout(1) sends its signal twice at once,
/// which is one.
#[test]
fn a_second_signal_ends_a_run_that_is_held_up() {
    let eve = ["--eve", "-", "--events", "flow,alert,smtp,dns"];
    let mut held = Command::new(binary())
        .args(["replay", &sample("office-day")])
        .args(eve)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let signal = |name: &str| {
        Command::new("kill").args([name, &held.id().to_string()]).status().unwrap();
    };
    // Its pipe is full long before that: nobody reads.
    std::thread::sleep(Duration::from_secs(2));
    signal("-TERM");
    signal("-TERM");
    std::thread::sleep(Duration::from_millis(1_000));
    assert!(held.try_wait().unwrap().is_none(), "it was to finish");
    Command::new("kill").args(["-INT", &held.id().to_string()]).status().unwrap();
    let began = Instant::now();
    while held.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < Duration::from_secs(30), "it does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = held.wait_with_output().unwrap();
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).starts_with("mailsnare: ended at once by a second signal: "), "{}", stderr(&output));
}

#[test]
fn an_unknown_configuration_key() {
    let dir = Dir::new();
    dir.write("mailsnare.toml", b"workers = 2\nhome_net = \"10.0.0.0/8\"\n");
    assert_failure(
        &dir.run(&["replay", &sample("arrival"), "--config", "mailsnare.toml"]),
        "mailsnare.toml:2:1: unknown key 'home_net'; did you mean 'home-net'?",
    );
}

#[test]
fn a_metrics_address_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = Dir::new().run(&["replay", &sample("arrival"), "--metrics", &address]);
    assert_failure(&output, &format!("cannot serve metrics on {address}: "));
    assert!(stderr(&output).contains("choose another address with --metrics"), "{}", stderr(&output));
}

// --- interfaces ---------------------------------------------------------------------------------------------------

#[test]
fn an_interface_that_does_not_exist() {
    let output = Dir::new().run(&["live", "-i", "nosuch0", "--metrics", "off"]);
    assert_failure(&output, "no interface named 'nosuch0'; there are ");
    assert!(stderr(&output).contains("lo"), "{}", stderr(&output));
}

#[test]
fn no_permission_to_capture() {
    let dir = Dir::new();
    let Some(output) = dir.run_unprivileged(&["live", "-i", "lo", "--metrics", "off"]) else { return };
    assert_failure(&output, "no permission to capture on 'lo'; run with sudo, or grant it once: sudo setcap ");
}

#[test]
fn a_user_that_cannot_be_become() {
    let dir = Dir::new();
    let live = ["live", "-i", "lo", "--metrics", "off", "--user"];
    assert_failure(
        &dir.run(&[&live[..], &["no-such-user"]].concat()),
        "no user 'no-such-user' on this machine; make it (adduser --system --group no-such-user) or name another with \
         --user",
    );
    let both = dir.run(&[&live[..], &["root", "--no-confinement"]].concat());
    assert_eq!(code(&both), 2);
    dir.write("both.toml", b"user = \"root\"\nno-confinement = true\n");
    let both = dir.run(&["live", "-i", "lo", "--config", "both.toml"]);
    assert_eq!(code(&both), 2);
    assert!(stderr(&both).contains("--user and --no-confinement exclude each other"), "{}", stderr(&both));
}

// --- outputs ------------------------------------------------------------------------------------------------------

#[test]
fn eve_lines_that_have_no_place_to_go() {
    let dir = Dir::new();
    fs::create_dir(dir.path("folder")).unwrap();
    for (to, what) in [
        ("none/eve.json", "cannot open the EVE file none/eve.json: "),
        (
            "folder",
            "cannot open the EVE file folder: Is a directory (os error 21); name a file in it, or choose another",
        ),
    ] {
        assert_failure(&dir.run(&["replay", &sample("arrival"), "--eve", to]), what);
    }
    let output = dir.run(&["replay", &sample("arrival"), "--eve", "none/eve.json"]);
    assert!(
        stderr(&output).contains("make its folder first, or choose another place with --eve"),
        "{}",
        stderr(&output)
    );
    assert!(!dir.path("none").exists());
}

#[test]
fn a_disk_that_is_full_from_the_start_costs_the_lines_alone() {
    let output = Dir::new().run(&["replay", &sample("arrival"), "--eve", "/dev/full"]);
    assert_failure_with_output(&output, "cannot write to the EVE file /dev/full: ");
    assert!(stderr(&output).contains("free space there, or choose another place with --eve"), "{}", stderr(&output));
    assert!(stdout(&output).contains("EVE lines that could not be written"), "{}", stdout(&output));
}

#[test]
fn a_disk_that_fills_keeps_every_line_written_before_and_no_part_of_one() {
    if !is_root() {
        return skip("a small disk can be mounted only by root");
    }
    let dir = Dir::new();
    fs::create_dir(dir.path("disk")).unwrap();
    // The disk is mounted where this process alone sees it, so what is on it is copied before it goes.
    let script =
        "mount -t tmpfs -o size=200k none disk && \"$0\" \"$@\"; code=$?; cp disk/eve.json eve.json; exit $code";
    let sample = sample("mimail-c-outbreak");
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).arg(binary());
    command.args(["replay", &sample, "--format", "json", "--eve", "disk/eve.json"]);
    let output = command.current_dir(dir.0.path()).output().unwrap();
    if stderr(&output).contains("unshare") {
        return skip(&format!("no mount namespace: {}", stderr(&output)));
    }
    assert_failure_with_output(&output, "cannot write to the EVE file disk/eve.json: No space left on device");

    let all = dir.run(&["replay", &sample, "--eve", "-"]);
    let written = fs::read_to_string(dir.path("eve.json")).unwrap();
    assert!(written.len() > 100_000 && written.ends_with('\n'), "{} bytes", written.len());
    let mut expected = stdout(&all).lines();
    for line in written.lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(expected.any(|one| one == line), "out of order, or not a line of the whole: {line}");
    }
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    let lost = summary["lost"]["eve_lines"].as_u64().unwrap();
    assert_eq!(written.lines().count() as u64 + lost, stdout(&all).lines().count() as u64);
    assert_eq!(summary["hosts"][0]["verdict"], "infected");
}

/// As `--eve *.pcap` has it, where the shell names two captures.
#[test]
fn a_capture_is_never_overwritten() {
    let dir = Dir::new();
    fs::copy(sample("arrival"), dir.path("a.pcap")).unwrap();
    let before = fs::read(dir.path("a.pcap")).unwrap();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&before).unwrap();
    dir.write("a.pcap.gz", &packed.finish().unwrap());
    for (option, file) in [("--eve", "a.pcap"), ("--eve", "a.pcap.gz"), ("--metrics-textfile", "a.pcap")] {
        let kept = fs::read(dir.path(file)).unwrap();
        let output = dir.run(&["replay", option, file, &sample("arrival")]);
        assert_failure(&output, &format!("{file}: is a capture, which {option} would overwrite; name another file"));
        assert!(fs::read(dir.path(file)).unwrap() == kept, "{option} {file}");
    }
}

#[test]
fn attachments_that_have_no_place_to_go() {
    let dir = Dir::new();
    dir.write("file", b"");
    let output = dir.run(&["replay", &sample("arrival"), "--extract", "file"]);
    assert_failure(&output, "cannot make the folder file for extracted files: ");
    assert!(stderr(&output).contains("choose another with --extract"), "{}", stderr(&output));

    fs::create_dir(dir.path("closed")).unwrap();
    fs::set_permissions(dir.path("closed"), fs::Permissions::from_mode(0o555)).unwrap();
    let Some(output) = dir.run_unprivileged(&["replay", "trace.pcap", "--extract", "closed"]) else { return };
    assert_eq!(code(&output), 1);
    assert!(
        stderr(&output).contains("closed/") && stderr(&output).contains("Permission denied"),
        "{}",
        stderr(&output)
    );
    assert!(stdout(&output).contains("files not extracted"), "{}", stdout(&output));
}

#[test]
fn metrics_that_have_no_place_to_go_cost_no_summary() {
    let dir = Dir::new();
    let output = dir.run(&["replay", &sample("arrival"), "--metrics-textfile", "no/such/m.prom"]);
    assert_failure_with_output(&output, "cannot write the metrics to no/such/m.prom: No such file or directory");
    assert!(stdout(&output).contains("Read: "), "{}", stdout(&output));
}

#[test]
fn places_to_tell_others_are_checked_before_anything_is_read() {
    let dir = Dir::new();
    for (typed, sentence) in [
        (["replay", "--syslog", "tcp://192.0.2.1"], "write it as unix, unix:/path/to/socket, or udp://192.0.2.1:514"),
        (["live", "--alertmanager", "127.0.0.1:9093"], "write it as http://127.0.0.1:9093"),
        (["live", "--alertmanager", "https://am.example"], "use http:// to one on this machine, or to a proxy here"),
    ] {
        let output = dir.run(&typed);
        assert_eq!((code(&output), stdout(&output)), (2, ""), "{typed:?}");
        assert!(stderr(&output).contains(sentence), "{typed:?}: {}", stderr(&output));
    }
    let output = dir.run(&["replay", "x.pcap", "--privacy", "--extract", "out"]);
    assert_eq!((code(&output), stdout(&output)), (2, ""));
    let output = dir.run(&["replay", &sample("arrival"), "--syslog", "unix:/no/such/socket"]);
    assert_failure(&output, "cannot reach syslog at /no/such/socket: No such file");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let dir = Dir::new();
    let sample = sample("mimail-c-outbreak");
    for typed in [&["replay", &sample, "--eve", "-"][..], &["replay", &sample], &["rules", "list"], &["man"]] {
        let script = "set -o pipefail; \"$0\" \"$@\" | head -n 1";
        let output = Command::new("bash").args(["-c", script]).arg(binary()).args(typed).output().unwrap();
        assert_eq!((code(&output), stderr(&output)), (0, ""), "{typed:?}");
        assert_eq!(stdout(&output).lines().count(), 1, "{typed:?}");
    }
    let script = "\"$0\" rules list > /dev/full";
    let output = Command::new("bash").args(["-c", script]).arg(binary()).current_dir(dir.0.path()).output().unwrap();
    assert_failure(&output, "cannot write to standard output: No space left on device");
}

// --- ends ---------------------------------------------------------------------------------------------------------

#[test]
fn a_signal_ends_a_replay_whose_pipe_has_fallen_silent() {
    let bytes = fs::read(sample("mimail-c-outbreak")).unwrap();
    for signal in ["TERM", "INT"] {
        let dir = Dir::new();
        let mut command = Command::new(binary());
        command.args(["replay", "-", "--eve", "eve.json"]).current_dir(dir.0.path());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        // More than a pipe holds, so when all is in, the replay is under way.
        pipe.write_all(&bytes[..400_000]).unwrap();
        assert!(Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap().success());
        // The pipe stays open: only the signal can end this.
        let (mut out, mut err) = (String::new(), String::new());
        child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{signal}: {err}");
        drop(pipe);
        assert!(
            err.ends_with("mailsnare: stopped before the end; what had been read by then is in the results\n"),
            "{err}"
        );
        assert!(out.contains("Read: 2003-10-31 09:00:12 to "), "{out}");
        let eve = fs::read_to_string(dir.path("eve.json")).unwrap();
        let last: Value = serde_json::from_str(eve.lines().last().unwrap()).unwrap();
        assert_eq!(last["event_type"], "stats");
    }
}

#[test]
fn fail_on_is_for_scripts() {
    let dir = Dir::new();
    for (sample_name, severity, expected) in [
        ("mimail-c-outbreak", "critical", 3),
        ("arrival", "critical", 0),
        ("arrival", "high", 3),
        ("arrival", "low", 3),
        ("office-day", "medium", 0),
    ] {
        let output = dir.run(&["replay", &sample(sample_name), "--fail-on", severity]);
        assert_eq!((code(&output), stderr(&output)), (expected, ""), "{sample_name} {severity}");
    }
}

// --- helpers ------------------------------------------------------------------------------------------------------

/// A folder to run in, so that names in sentences are short.
struct Dir(TempDir);

impl Dir {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn run(&self, typed: &[&str]) -> Output {
        self.run_with(typed, b"")
    }

    fn run_with(&self, typed: &[&str], input: &[u8]) -> Output {
        let mut command = assert_cmd::Command::new(binary());
        command.args(typed).write_stdin(input).current_dir(self.0.path()).output().unwrap()
    }

    /// The same as a user without rights, with the sample `arrival` as `trace.pcap`; none where that cannot be done.
    fn run_unprivileged(&self, typed: &[&str]) -> Option<Output> {
        if !is_root() {
            skip("giving up rights needs root");
            return None;
        }
        // What such a user must reach: the binary may stand where it cannot go.
        fs::copy(binary(), self.path("mailsnare")).unwrap();
        fs::copy(sample("arrival"), self.path("trace.pcap")).unwrap();
        fs::set_permissions(self.0.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "./mailsnare"]).args(typed);
        Some(command.current_dir(self.0.path()).stdin(Stdio::null()).output().unwrap())
    }
}

fn binary() -> PathBuf {
    env!("CARGO_BIN_EXE_mailsnare").into()
}

fn sample(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("pcaps").join(name).join("trace.pcap").to_str().unwrap().to_owned()
}

/// Where the records of a little-endian pcap file stand.
fn records(file: &[u8]) -> impl Iterator<Item = std::ops::Range<usize>> {
    let mut at = 24;
    std::iter::from_fn(move || {
        let length = file.get(at + 8..at + 12)?;
        let start = at;
        at += 16 + u32::from_le_bytes(length.try_into().unwrap()) as usize;
        Some(start..at)
    })
}

/// It could not, said why in one sentence that begins so, and printed nothing else.
fn assert_failure(output: &Output, sentence: &str) {
    assert_eq!(stdout(output), "");
    assert_failure_with_output(output, sentence);
}

fn assert_failure_with_output(output: &Output, sentence: &str) {
    let err = stderr(output);
    assert_eq!(code(output), 1, "{err}");
    assert!(err.starts_with(&format!("mailsnare: {sentence}")), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}

fn skip(why: &str) {
    eprintln!("skipped: {why}");
}
