//! With `--privacy` nothing of what people wrote, and to whom, is in anything the program writes; and what it finds is
//! the same. Searched for in EVE lines of every type, both summaries, the textfile, syslog and the log.

use std::collections::BTreeSet;
use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use mailsnare_lab::capture::{self, Packet, PcapFormat};
use mailsnare_lab::clock::SECOND;
use mailsnare_lab::host::{Host, LINUX_2_4};
use mailsnare_lab::tcp::{Conversation, Step};
use serde_json::Value;

/// Marks in every place where people's words can stand.
const MARKS: [&str; 12] = [
    "zq7sender",
    "zq7recipient",
    "zq7refused",
    "zq7reply",
    "zq7display",
    "zq7header",
    "zq7copy",
    "zq7subject",
    "zq7identifier",
    "zq7link",
    "zq7body",
    "zq7relay",
];

#[test]
fn nothing_of_what_people_wrote_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("trace.pcap");
    fs::write(&trace, capture::pcap(&letters(), PcapFormat::default())).unwrap();
    let plain = run(dir.path(), &[], &trace);
    // All but the body, which is never written.
    for mark in MARKS.iter().filter(|mark| **mark != "zq7body") {
        assert!(plain.iter().any(|text| text.contains(mark)), "{mark} is not told at all: the test tests nothing");
    }
    let key = dir.path().join("key");
    fs::write(&key, "sixteen bytes or more\n").unwrap();
    for options in [&["--privacy"][..], &["--privacy", "--privacy-key-file", key.to_str().unwrap()]] {
        for text in run(dir.path(), options, &trace) {
            let told = text.to_lowercase();
            assert!(!told.contains("zq7"), "{}", told.lines().find(|line| line.contains("zq7")).unwrap_or_default());
        }
    }
    let eve = |options: &[&str]| run(dir.path(), options, &trace).remove(0);
    let keyed = ["--privacy", "--privacy-key-file", key.to_str().unwrap()];
    assert!(eve(&keyed) == eve(&keyed), "one key, one text");
    assert!(eve(&["--privacy"]) != eve(&["--privacy"]), "without one, each run has its own");
    // From python3: hmac.new(b"sixteen bytes or more", b"zq7sender@a.example", "sha256").hexdigest()[:12]
    let hash = python("zq7sender@a.example");
    assert!(eve(&keyed).contains(&format!("\"mail_from\":\"<~{hash}@a.example>\"")), "{hash}: {}", eve(&keyed));
}

#[test]
fn what_is_found_in_an_outbreak_is_the_same_and_says_nothing_of_people() {
    let dir = tempfile::tempdir().unwrap();
    let outbreak = sample("pcaps/mimail-c-outbreak");
    let [plain, private] = [&[][..], &["--privacy"]].map(|options| run(dir.path(), options, &outbreak));
    let found = |eve: &str| -> Vec<(Value, Value, Value, Value)> {
        let lines = eve.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let told = lines.filter(|line| line["event_type"] == "alert" || line["event_type"] == "incident");
        told.map(|line| {
            let verdict = line["incident"]["verdict"].clone();
            (line["timestamp"].clone(), line["src_ip"].clone(), line["alert"]["rule"].clone(), verdict)
        })
        .collect()
    };
    assert!(found(&plain[0]).len() > 500);
    assert_eq!(found(&plain[0]), found(&private[0]));
    // The sender's own record of who was written to, and what.
    let truth = fs::read_to_string(outbreak.join("truth.json")).unwrap();
    let truth: Value = serde_json::from_str(&truth).unwrap();
    let mut words = BTreeSet::new();
    for sent in truth["transactions"].as_array().unwrap() {
        words.extend(sent["rcpt_to"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
        words.extend(sent["mail_from"].as_str().map(str::to_owned));
        words.extend(sent["message"]["subject"].as_str().map(str::to_owned));
    }
    // Short ones could be part of anything.
    words.retain(|word| word.len() > 8);
    assert!(words.len() > 100, "{words:?}");
    // A wanted poster's fixed mailboxes are in the rule's own text, which is public.
    words.retain(|word| !["omnibbb@", "drbz@", "omnibcd@", "kxva@"].iter().any(|known| word.starts_with(known)));
    assert!(words.iter().all(|word| plain[0].contains(word.as_str())), "the record is told");
    for text in &private {
        for word in &words {
            assert!(!text.contains(word.as_str()), "{word}");
        }
    }
}

#[test]
fn a_key_that_is_no_key_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key");
    fs::write(&key, "short\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailsnare"));
    let done = command.args(["replay", "--privacy", "--privacy-key-file"]).arg(&key).arg(sample("pcaps/arrival"));
    let done = done.output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(1));
    assert!(said.contains("it has fewer than 16 bytes; make one with"), "{said}");
}

/// Everything a replay writes: EVE first.
fn run(dir: &Path, options: &[&str], trace: &Path) -> Vec<String> {
    let log = UdpSocket::bind("127.0.0.1:0").unwrap();
    log.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let (eve, textfile) = (dir.join("eve.json"), dir.join("m.prom"));
    let mut texts = Vec::new();
    for format in ["json", "table"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsnare"));
        command.args(["replay", "--format", format, "--log-level", "trace", "--events"]);
        command.args(["alert,incident,smtp,fileinfo,dns,anomaly,stats,flow", "--eve"]).arg(&eve);
        command.args(["--syslog", &format!("udp://{}", log.local_addr().unwrap())]);
        let done = command.arg("--metrics-textfile").arg(&textfile).args(options).arg(trace).output().unwrap();
        let log = String::from_utf8(done.stderr).unwrap();
        assert!(done.status.success(), "{log}");
        texts.extend([String::from_utf8(done.stdout).unwrap(), log]);
    }
    let mut datagram = [0; 65_536];
    let mut told = 0;
    while let Ok(size) = log.recv(&mut datagram) {
        texts.push(String::from_utf8(datagram[..size].to_vec()).unwrap());
        told += 1;
    }
    assert!(told > 0, "nothing came by syslog");
    texts.push(fs::read_to_string(&textfile).unwrap());
    texts.insert(0, fs::read_to_string(&eve).unwrap());
    texts
}

/// A session with marks everywhere, from a home host straight to the world, with what the built-in rules look for: so
/// that it is told by alerts as well.
fn letters() -> Vec<Packet> {
    let script = "S 220 mx.example ESMTP\n\
        C EHLO c.example\nS 250-mx.example\nS 250 XFORWARD NAME ADDR\n\
        C XFORWARD NAME=zq7relay@c.example ADDR=192.0.2.9\nS 250 ok\n\
        C MAIL FROM:<zq7sender@a.example>\nS 250 2.1.0 <zq7sender@a.example>... zq7reply ok\n\
        C RCPT TO:<zq7refused@b.example>\nS 550 5.1.1 zq7refused is not known to zq7reply\n\
        C RCPT TO:<zq7recipient@b.example>\nS 250 ok\nC DATA\nS 354 go\n\
        C From: \"zq7display name\" <zq7header@a.example>|To: zq7recipient@b.example|Cc: zq7copy <zq7copy@b.example>|\
        Subject: Re[2]: our private photos zq7subject|Message-ID: <zq7identifier@a.example>|MIME-Version: 1.0|\
        Content-Type: multipart/mixed; boundary=x||--x||see http://www.example/zq7link and zq7body|--x|\
        Content-Type: application/octet-stream; name=photos.jpg.exe|\
        Content-Disposition: attachment; filename=photos.jpg.exe|Content-Transfer-Encoding: base64||TVoAAAAA|--x--|.\n\
        S 250 2.0.0 taken for zq7reply\nC QUIT\nS 221 bye";
    let step = |line: &str| {
        let (who, said) = line.split_at(1);
        let said = format!("{}\r\n", said.trim_start()).replace('|', "\r\n").into_bytes();
        if who == "C" { Step::Client(said) } else { Step::Server(said) }
    };
    let steps: Vec<_> = script.split('\n').map(step).chain([Step::ClientFin, Step::ServerFin]).collect();
    let client = Host::home("client", [10, 20, 1, 17].into(), "user", &LINUX_2_4);
    let server = Host::outside("server", [198, 51, 100, 25].into(), "mail server", &LINUX_2_4);
    let mut packets = Vec::new();
    for number in 0..6_u16 {
        let (from, to) = (client.endpoint(client.ip(), 20_000 + number), server.endpoint(server.ip(), 25));
        let start = (1_067_601_600 + i64::from(number) * 10) * SECOND;
        packets.extend(Conversation::new(from, to, start, number.into()).play(&steps).packets);
    }
    capture::in_time_order(&mut packets);
    packets
}

/// The hash of an address under the test's key, as another program makes it.
fn python(address: &str) -> String {
    let script = "import hmac, sys; \
        print(hmac.new(b'sixteen bytes or more', sys.argv[1].encode(), 'sha256').hexdigest()[:12])";
    let done = Command::new("python3").args(["-c", script, address]).output().unwrap();
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

fn sample(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
