//! No user name, password or token of an AUTH exchange (RFC 4954) is in anything the program writes: searched for
//! in its EVE lines of every type, its summary, its log and the evidence of an incident, with packets missing anywhere
//! and with one side only.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use mailsnare::capture::{FaultSource, Faults as SourceFaults, MemorySource, OwnedPacket, Source, Step as Next};
use mailsnare::model::time::Timestamp;
use mailsnare_lab::capture::{self, Packet, PcapFormat};
use mailsnare_lab::clock::SECOND;
use mailsnare_lab::host::{Host, LINUX_2_4};
use mailsnare_lab::mail::base64_lines;
use mailsnare_lab::tcp::{Conversation, Faults, Step};

const USER: &str = "zq7-username";
const PASSWORD: &str = "hv9-PassW0rd!";
const TOKEN: &str = "kk8.token.of.the.user";
/// As CRAM-MD5 has it: a user and a digest.
const DIGEST: &str = "zq7-username 9e95aee09c40af2b84a0c2b3bbae786e";

#[test]
fn nothing_written_holds_a_secret() {
    let dir = tempfile::tempdir().unwrap();
    let secrets = secrets();
    let mut packets = Vec::new();
    let mut sessions = 0;
    for script in scripts() {
        // Whole, with each side alone, and with packets missing that the tap did not see.
        let ways = [(None, 0), (Some(0), 0), (Some(1), 0), (None, 150), (None, 150), (None, 300), (None, 300)];
        for (hidden, unseen) in ways {
            let played = play(&script, sessions, unseen);
            packets.extend(played.into_iter().filter(|packet| hidden != Some(side(packet))));
            sessions += 1;
        }
    }
    capture::in_time_order(&mut packets);
    let on_wire: Vec<u8> = packets.iter().flat_map(|packet| packet.data.clone()).collect();
    for secret in &secrets {
        assert!(holds(&on_wire, secret.as_bytes()), "{secret} was never said: the test tests nothing");
    }
    let trace = dir.path().join("trace.pcap");
    fs::write(&trace, capture::pcap(&packets, PcapFormat::default())).unwrap();
    let eve = dir.path().join("eve.json");
    let output = Command::cargo_bin("mailsnare")
        .unwrap()
        .args(["replay", "--format", "json", "--events"])
        .arg("alert,incident,smtp,fileinfo,dns,anomaly,stats,flow")
        .arg("--evidence")
        .arg(dir.path().join("evidence"))
        .arg("--eve")
        // The client is infected before it logs in, so that all its packets are evidence.
        .args([&eve, Path::new("pcaps/mimail-c-outbreak/trace.pcap"), &trace])
        .output()
        .unwrap();
    assert!(output.status.success());
    let lines = fs::read(&eve).unwrap();
    assert!(holds(&lines, b"CRAM-MD5") && holds(&lines, b"<a@x.example>"), "mechanisms and mails are told");
    let files: Vec<_> = fs::read_dir(dir.path().join("evidence")).unwrap().map(|file| file.unwrap().path()).collect();
    let [evidence] = &files[..] else { panic!("one host is infected, not {files:?}") };
    let evidence = fs::read(evidence).unwrap();
    // The sessions are there, and of each what holds no credential.
    let begun = memchr::memmem::find_iter(&evidence, b"EHLO c.example\r\n").count();
    assert!(begun > usize::from(sessions) / 2 && holds(&evidence, b"RCPT TO:<b@y.example>"), "{begun} of {sessions}");
    for written in [&lines, &output.stdout, &output.stderr, &evidence] {
        for secret in &secrets {
            // Any eight characters in a row would be a leak of a part.
            for part in secret.as_bytes().windows(8) {
                assert!(!holds(written, part), "{} of {secret}", String::from_utf8_lossy(part));
            }
        }
    }
}

/// The same on a network that loses, doubles, shuffles, cuts and damages packets, with clocks that step back.
#[test]
fn nothing_written_of_spoilt_packets_holds_a_secret() {
    let dir = tempfile::tempdir().unwrap();
    let mut packets: Vec<Packet> =
        scripts().iter().zip(0..).flat_map(|(script, session)| play(script, session, 0)).collect();
    capture::in_time_order(&mut packets);
    let packets: Vec<_> = packets
        .into_iter()
        .map(|packet| OwnedPacket::ethernet(Timestamp::from_nanos(packet.time), packet.data))
        .collect();
    let secrets = secrets();
    let eve = dir.path().join("eve.json");
    let mut begun = 0;
    for seed in 1..=12_u32 {
        let often = f64::from(seed % 4 + 1) * 0.02;
        let faults = SourceFaults {
            drop: often,
            duplicate: often,
            reorder: 2.0 * often,
            truncate: often,
            corrupt: 2.0 * often,
            step_back: often,
            ..SourceFaults::default()
        };
        let trace = dir.path().join("trace.pcap");
        fs::write(&trace, spoilt(&packets, faults, seed.into())).unwrap();
        let mut command = Command::cargo_bin("mailsnare").unwrap();
        command.args(["replay", "--format", "json", "--events"]);
        command.arg("alert,incident,smtp,fileinfo,dns,anomaly,stats,flow").arg("--eve").args([&eve, &trace]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = fs::read(&eve).unwrap();
        begun += memchr::memmem::find_iter(&lines, b"\"mail_from\"").count();
        for written in [&lines, &output.stdout, &output.stderr] {
            for secret in &secrets {
                for part in secret.as_bytes().windows(8) {
                    let part = String::from_utf8_lossy(part);
                    assert!(!holds(written, part.as_bytes()), "seed {seed}: {part} of {secret}");
                }
            }
        }
    }
    assert!(begun > 50, "{begun} mails were told: the test tests little");
}

/// A capture of the packets as they come from a bad network.
fn spoilt(packets: &[OwnedPacket], faults: SourceFaults, seed: u64) -> Vec<u8> {
    let mut source = FaultSource::new(MemorySource::new(packets.to_vec()), faults, seed);
    // The header of a pcap file with nanoseconds: version 2.4, zone, precision, snaplen, Ethernet.
    let mut file = [0xa1b2_3c4d_u32, 4 << 16 | 2, 0, 0, 262_144, 1].map(u32::to_le_bytes).concat();
    while let Next::Packet(packet) = source.next().unwrap() {
        let (seconds, nanos) = (packet.time.as_nanos() / 1_000_000_000, packet.time.as_nanos() % 1_000_000_000);
        let head = [seconds as u32, nanos as u32, packet.data.len() as u32, packet.wire_len];
        file.extend(head.map(u32::to_le_bytes).concat());
        file.extend(packet.data);
    }
    file
}

/// What must not be written, as said.
fn secrets() -> Vec<String> {
    let plain = format!("\0{USER}\0{PASSWORD}");
    let oauth = format!("user={USER}\x01auth=Bearer {TOKEN}\x01\x01");
    [USER, PASSWORD, DIGEST, &plain, &oauth].into_iter().map(encoded).chain([USER.to_owned()]).collect()
}

fn encoded(secret: &str) -> String {
    base64_lines(secret.as_bytes()).split_whitespace().collect()
}

/// Sessions with credentials: each line is said by the client (`C`) or the server (`S`).
fn scripts() -> Vec<Vec<Step>> {
    let [user, password, digest, plain, oauth] = <[String; 5]>::try_from(secrets()[..5].to_vec()).unwrap();
    let exchanges = [
        format!("C AUTH PLAIN {plain}\nS 235 2.7.0 welcome {USER}"),
        format!("C AUTH PLAIN\nS 334 \nC {plain}\nS 535 5.7.8 who is {USER}?"),
        format!("C AUTH LOGIN\nS 334 VXNlcm5hbWU6\nC {user}\nS 334 UGFzc3dvcmQ6\nC {password}\nS 235 ok"),
        format!("C AUTH LOGIN {user}\nS 334 UGFzc3dvcmQ6\nC *\nS 501 5.7.0 cancelled for {USER}"),
        format!("C AUTH CRAM-MD5\nS 334 PDE4OTYuNjk3MT4=\nC {digest}\nS 235 ok"),
        format!("C AUTH XOAUTH2 {oauth}\nS 334 eyJzdGF0dXMiOiI0MDEifQ==\nC \nS 535 no"),
        format!(
            "C AUTH LOGIN\nS 502 no\nC {user}\nS 500 5.5.1 Command unrecognized: \"{user}\"\nC {password}\nS 500 ?"
        ),
        format!("C AUTH {password}\nS 504 5.5.4 {password}?"),
        format!(
            "C XCLIENT LOGIN={USER}\nS 220 again\nC EHLO c.example\nS 250 hi\nC MAIL FROM:<> AUTH={USER}\nS 250 ok"
        ),
    ];
    let mail = "\nC MAIL FROM:<a@x.example>\nS 250 ok\nC RCPT TO:<b@y.example>\nS 250 ok\nC DATA\nS 354 go\n\
                C Subject: hi||hi|.\nS 250 taken\nC QUIT\nS 221 bye";
    // Without a mail, the last reply is told.
    exchanges.iter().flat_map(|exchange| [script(exchange, mail), script(exchange, "")]).collect()
}

fn script(exchange: &str, mail: &str) -> Vec<Step> {
    let session = format!("S 220 mx.example ESMTP\nC EHLO c.example\nS 250 AUTH PLAIN LOGIN\n{exchange}{mail}");
    let step = |line: &str| {
        let (who, said) = line.split_at(1);
        let said = format!("{}\r\n", said.strip_prefix(' ').unwrap()).replace('|', "\r\n").into_bytes();
        if who == "C" { Step::Client(said) } else { Step::Server(said) }
    };
    session.split('\n').map(step).chain([Step::ClientFin, Step::ServerFin]).collect()
}

fn play(steps: &[Step], number: u16, unseen: u32) -> Vec<Packet> {
    let client = Host::home("client", CLIENT.into(), "user", &LINUX_2_4);
    let server = Host::outside("server", [198, 51, 100, 25].into(), "mail server", &LINUX_2_4);
    // The port makes each conversation a flow of its own.
    let client = client.endpoint(client.ip(), 20_000 + number);
    let server = server.endpoint(server.ip(), 587);
    let faults = Faults { unseen, ..Faults::default() };
    let start = (1_067_601_600 + i64::from(number)) * SECOND;
    Conversation { faults, ..Conversation::new(client, server, start, number.into()) }.play(steps).packets
}

/// 0 for a packet of the client, 1 for one of the server: by the source address of an IPv4 packet in Ethernet.
fn side(packet: &Packet) -> usize {
    usize::from(packet.data[26..30] != CLIENT)
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}

/// The infected host of `pcaps/mimail-c-outbreak`.
const CLIENT: [u8; 4] = [10, 20, 1, 26];
