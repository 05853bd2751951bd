//! `--evidence`: the capture of an incident holds the host's packets of mail and DNS, byte for byte, and nothing else; it
//! leads to the same verdict; it is the same for any number of workers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use assert_cmd::cargo::CommandCargoExt;

const TRACE: &str = "pcaps/mimail-c-outbreak/trace.pcap";
const INFECTED: &str = "10.20.1.26";

#[test]
fn the_capture_of_an_incident_is_what_tshark_selects() {
    let dir = tempfile::tempdir().unwrap();
    let ours = evidence(dir.path(), TRACE.as_ref(), "1");
    assert_eq!(fs::read(&ours).unwrap(), fs::read(evidence(dir.path(), TRACE.as_ref(), "4")).unwrap());
    if Command::new("tshark").arg("--version").stdout(Stdio::null()).status().is_err() {
        assert!(std::env::var_os("CI").is_none(), "tshark is missing");
        eprintln!("skipped: tshark is not installed (bash tests/setup.sh --all)");
        return;
    }
    let selected = format!("ip.addr == {INFECTED} && (tcp.port in {{25, 465, 587, 2525}} || tcp.port == 53 || dns)");
    let theirs = packets(TRACE.as_ref(), &selected);
    assert!(theirs.len() > 10_000, "{}", theirs.len());
    assert_eq!(packets(&ours, ""), theirs);
}

#[test]
fn the_capture_of_an_incident_leads_to_the_same_verdict() {
    let dir = tempfile::tempdir().unwrap();
    let ours = evidence(dir.path(), TRACE.as_ref(), "2");
    let output = replay().args(["--format", "json"]).arg(ours).output().unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let hosts = summary["hosts"].as_array().unwrap();
    let judged: Vec<_> = hosts.iter().map(|host| (host["host"].as_str(), host["verdict"].as_str())).collect();
    assert_eq!(judged, [(Some(INFECTED), Some("infected"))]);
    assert_eq!(hosts[0]["messages"], 191);
}

#[test]
fn nobody_is_suspected_and_no_capture_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let status = replay().arg("--evidence").arg(dir.path().join("e")).arg("pcaps/office-day").output().unwrap().status;
    assert!(status.success());
    assert_eq!(fs::read_dir(dir.path().join("e")).unwrap().count(), 0);
}

#[test]
fn a_folder_that_cannot_be_written_ends_the_run_with_a_sentence() {
    let output = replay().args(["--evidence", "/dev/null/e", TRACE]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("cannot make the folder /dev/null/e for evidence"), "{said}");
}

/// Replays `trace`, and gives the one capture that is written.
fn evidence(dir: &Path, trace: &Path, workers: &str) -> PathBuf {
    let dir = dir.join(workers);
    let output = replay().args(["--workers", workers, "--evidence"]).args([&dir, trace]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let files: Vec<_> = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()).collect();
    let [file] = <[PathBuf; 1]>::try_from(files).unwrap();
    file
}

fn replay() -> Command {
    let mut command = Command::cargo_bin("mailsnare").unwrap();
    command.arg("replay");
    command
}

/// Time and bytes of each packet, by tshark.
fn packets(trace: &Path, filter: &str) -> Vec<String> {
    // Raw, so that nothing is decoded twice; a filter of its own selects.
    let output = Command::new("tshark").arg("-r").arg(trace).args(["-Y", filter, "-T", "json", "-x"]).output().unwrap();
    let frames: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let layers = frames.iter().map(|frame| &frame["_source"]["layers"]);
    layers.map(|layers| text(&layers["frame"]["frame.time_epoch"]) + " " + &text(&layers["frame_raw"][0])).collect()
}
