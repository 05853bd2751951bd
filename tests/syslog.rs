//! Syslog as it arrives: at a datagram socket of this machine, and over UDP.

use std::collections::BTreeSet;
use std::fs;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use regex::Regex;
use serde_json::Value;

#[test]
fn every_alert_and_incident_is_a_message_of_rfc_5424() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("log");
    let server = UnixDatagram::bind(&socket).unwrap();
    server.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let done = thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let (mut told, mut datagram) = (Vec::new(), [0; 65_536]);
            // The program ends with a message; until it begins there is silence.
            let mut silences = 0;
            while silences < 20 && told.last() != Some(&String::from("end")) {
                match server.recv(&mut datagram) {
                    Ok(size) => told.push(String::from_utf8(datagram[..size].to_vec()).unwrap()),
                    Err(_) => silences += 1,
                }
            }
            told
        });
        let done = replay(dir.path(), &format!("unix:{}", socket.display()));
        UnixDatagram::unbound().unwrap().send_to(b"end", &socket).unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        reading.join().unwrap()
    });
    let lines = eve(dir.path());
    assert_eq!(done.len(), lines.len() + 1, "one message each, none lost in a replay");
    // RFC 5424, section 6, by its grammar.
    let shape = r#"^<(\d{1,3})>1 (\S+) ([\x21-\x7e]{1,255}) mailsnare (\d+) (alert|incident) \[mailsnare@32473((?: [a-z]+="(?:[^"\\\]]|\\.)*")*)\] (.+)$"#;
    let shape = Regex::new(shape).unwrap();
    for (message, line) in done.iter().zip(&lines) {
        assert!(message.len() <= 8_192);
        let parts = shape.captures(message).unwrap_or_else(|| panic!("not RFC 5424: {message}"));
        let priority: u64 = parts[1].parse().unwrap();
        assert_eq!(&parts[5], line["event_type"].as_str().unwrap());
        // The same time in another spelling.
        assert_eq!(parts[2].trim_end_matches('Z'), line["timestamp"].as_str().unwrap().trim_end_matches("+0000"));
        // local5 is 21; critical (2) to informational (6) are our 1 to 5.
        if let Some(severity) = line["alert"]["severity"].as_u64() {
            assert_eq!(priority, 21 * 8 + severity + 1);
            assert!(parts[6].contains(&format!(" rule=\"{}\"", line["alert"]["rule"].as_str().unwrap())));
        } else {
            assert!(parts[6].contains(&format!(" host=\"{}\"", line["incident"]["host"].as_str().unwrap())));
        }
        let said: Value = serde_json::from_str(&parts[7]).unwrap_or_else(|error| panic!("{error}: {}", &parts[7]));
        for key in ["timestamp", "event_type"] {
            assert_eq!(said[key], line[key]);
        }
        if message.len() + line["smtp"].to_string().len() + line["email"].to_string().len() < 8_000 {
            assert_eq!(&said["alert"], &line["alert"]);
        }
    }
}

#[test]
fn over_udp_it_is_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let done = replay(dir.path(), &format!("udp://{}", server.local_addr().unwrap()));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let mut datagram = [0; 65_536];
    let size = server.recv(&mut datagram).unwrap();
    let message = String::from_utf8(datagram[..size].to_vec()).unwrap();
    let said: Value = serde_json::from_str(message.split_once("] ").unwrap().1).unwrap();
    assert_eq!(said, eve(dir.path())[0]);
}

fn replay(dir: &Path, syslog: &str) -> Output {
    let trace = Path::new(env!("CARGO_MANIFEST_DIR")).join("pcaps/mimail-c-outbreak");
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailsnare"));
    command.args(["replay", "--events", "alert,incident", "--syslog", syslog, "--eve"]).arg(path(dir)).arg(trace);
    command.output().unwrap()
}

fn eve(dir: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path(dir)).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: BTreeSet<_> = lines.iter().map(|line| line["event_type"].as_str().unwrap()).collect();
    assert_eq!(kinds, BTreeSet::from(["alert", "incident"]));
    lines
}

fn path(dir: &Path) -> PathBuf {
    dir.join("eve.json")
}
