//! tshark, which shares no code with us, sees in the samples what their records say was sent.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use mailsnare_lab::capture::{PcapFormat, PcapngWriter, Sink, pcap};
use mailsnare_lab::host::{Host, LINUX, WINDOWS_XP};
use mailsnare_lab::mail::sha256;
use mailsnare_lab::samples::{self, Recipe};
use mailsnare_lab::tcp::{Conversation, Faults, Step};
use mailsnare_lab::truth::{TransactionTruth, Truth};

const CHECKSUMS: [&str; 6] =
    ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"];

fn trace(recipe: &Recipe) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pcaps").join(recipe.name).join("trace.pcap")
}

/// tshark's output lines for `args` on a sample; none when tshark is not installed.
fn tshark(recipe: &Recipe, args: &[&str]) -> Option<Vec<String>> {
    tshark_on(&trace(recipe), args)
}

fn tshark_on(capture: &Path, args: &[&str]) -> Option<Vec<String>> {
    let run = Command::new("tshark").arg("-r").arg(capture).arg("-n").args(CHECKSUMS).args(args).output();
    let output = match run {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: tshark is not installed");
            return None;
        }
        other => other.unwrap(),
    };
    assert!(output.status.success(), "tshark: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

fn each(mut test: impl FnMut(&Recipe, &Truth)) {
    for recipe in samples::ALL {
        test(recipe, &recipe.make().truth);
    }
}

/// Messages tshark can be asked about: version 4.0 does not decode one sent with BDAT.
fn plain(truth: &Truth) -> impl Iterator<Item = &TransactionTruth> {
    truth.messages().filter(|transaction| !transaction.dialect.contains(&"bdat"))
}

#[test]
fn no_frame_is_malformed_and_every_checksum_holds() {
    each(|recipe, _| {
        let bad = "_ws.malformed || tcp.checksum.status==\"Bad\" || ip.checksum.status==\"Bad\" || udp.checksum.status==\"Bad\"";
        let Some(lines) = tshark(recipe, &["-Y", bad]) else { return };
        assert!(lines.is_empty(), "{}: {:?}", recipe.name, lines.first());
    });
}

#[test]
fn tcp_is_flawless_but_for_what_is_meant() {
    each(|recipe, truth| {
        let flaws = "tcp.analysis.flags && !tcp.analysis.retransmission";
        let Some(lines) = tshark(recipe, &["-Y", flaws]) else { return };
        assert!(lines.is_empty(), "{}: {:?}", recipe.name, lines.first());
        // A SYN that nobody answers is sent three times.
        let unanswered = truth.sessions.iter().filter(|session| session.connect == "unanswered").count();
        let again = tshark(recipe, &["-Y", "tcp.analysis.retransmission"]).unwrap();
        assert_eq!(again.len(), 2 * unanswered, "{}", recipe.name);
    });
}

#[test]
fn messages_on_each_flow_are_as_many_as_were_sent() {
    each(|recipe, truth| {
        let fields = ["-Y", "imf", "-T", "fields", "-e", "ip.src", "-e", "ipv6.src", "-e", "tcp.srcport"];
        let Some(lines) = tshark(recipe, &fields) else { return };
        let chunked = truth.messages().filter(|t| t.dialect.contains(&"bdat")).map(|t| (t.src.clone(), t.sport));
        let chunked: Vec<_> = chunked.collect();
        let mut seen = BTreeMap::new();
        for line in lines {
            let columns: Vec<&str> = line.split('\t').collect();
            let flow = (format!("{}{}", columns[0], columns[1]), columns[2].parse::<u16>().unwrap());
            if !chunked.contains(&flow) {
                *seen.entry(flow).or_insert(0) += 1;
            }
        }
        let mut sent = BTreeMap::new();
        plain(truth).for_each(|t| *sent.entry((t.src.clone(), t.sport)).or_insert(0) += 1);
        assert_eq!(seen, sent, "{}", recipe.name);
    });
}

#[test]
fn messages_are_byte_for_byte_what_was_sent() {
    each(|recipe, truth| {
        let dir = tempfile::tempdir().unwrap();
        let export = format!("imf,{}", dir.path().display());
        if tshark(recipe, &["-q", "--export-objects", &export]).is_none() {
            return;
        }
        let exported: Vec<String> = std::fs::read_dir(dir.path())
            .unwrap()
            .flat_map(|entry| {
                // tshark leaves stuffed dots in, and of a message in several segments it leaves the final line end out.
                let message = unstuff(&std::fs::read(entry.unwrap().path()).unwrap());
                [sha256(&message), sha256(&[&message[..], b"\r\n"].concat())]
            })
            .collect();
        // After a pipelined DATA that was refused, tshark takes the next commands for a part of the next message.
        let after_refusal = |t: &TransactionTruth| {
            let mut same = truth.transactions.iter().filter(|o| (&o.src, o.sport) == (&t.src, t.sport));
            same.any(|other| other.tx + 1 == t.tx && other.rcpt_to.is_empty())
        };
        for transaction in plain(truth).filter(|transaction| !after_refusal(transaction)) {
            let message = transaction.message.as_ref().unwrap();
            assert!(exported.contains(&message.sha256), "{}: not found: {transaction:?}", recipe.name);
        }
    });
}

#[test]
fn exchanger_questions_are_as_recorded() {
    each(|recipe, truth| {
        let filter = "dns.flags.response==0 && dns.qry.type==15";
        let fields = [
            "-Y",
            filter,
            "-T",
            "fields",
            "-e",
            "ip.src",
            "-e",
            "dns.id",
            "-e",
            "dns.qry.name",
            "-e",
            "frame.time_epoch",
        ];
        let Some(lines) = tshark(recipe, &fields) else { return };
        let mut seen: Vec<String> = lines
            .iter()
            .map(|line| {
                let columns: Vec<&str> = line.split('\t').collect();
                let micros = columns[3].split_once('.').unwrap().1[..6].to_owned();
                format!("{} {} {} .{micros}", columns[0], columns[1], columns[2])
            })
            .collect();
        let told = truth.mx_questions.iter();
        let mut told: Vec<String> =
            told.map(|q| format!("{} 0x{:04x} {} .{}", q.src, q.id, q.name, &q.time[20..26])).collect();
        seen.sort();
        told.sort();
        assert_eq!(seen, told, "{}", recipe.name);
    });
}

#[test]
fn mail_bytes_are_those_on_the_wire() {
    each(|recipe, truth| {
        let filter = "tcp.port in {25, 465, 587}";
        let fields = ["-Y", filter, "-T", "fields", "-e", "ip.len", "-e", "ipv6.plen"];
        let Some(lines) = tshark(recipe, &fields) else { return };
        let bytes = |line: &String| {
            let (v4, v6) = line.split_once('\t').unwrap();
            v4.parse().unwrap_or_else(|_| 40 + v6.parse::<u64>().unwrap())
        };
        let told: u64 = truth.hosts.iter().map(|host| host.mail_ip_bytes).sum();
        assert_eq!(lines.iter().map(bytes).sum::<u64>(), told, "{}", recipe.name);
    });
}

#[test]
fn every_file_format_and_every_accident_is_read() {
    let client = Host::home("c", [10, 20, 1, 5].into(), "user", &WINDOWS_XP);
    let server = Host::outside("s", [192, 0, 2, 9].into(), "web", &LINUX);
    let plan = Conversation {
        faults: Faults { lost: 60, lost_before: 60, ..Faults::default() },
        vlan: Some(7),
        ..Conversation::new(client.endpoint(client.ip(), 1025), server.endpoint(server.ip(), 9000), 5_000_000_001, 3)
    };
    let packets = plan.play(&[Step::Client(vec![b'x'; 200_000]), Step::ClientFin, Step::ServerFin]).packets;
    let mut files = Vec::new();
    for big_endian in [false, true] {
        for nanoseconds in [false, true] {
            files.push(pcap(&packets, PcapFormat { big_endian, nanoseconds, ..PcapFormat::default() }));
        }
        let mut writer = PcapngWriter::new(Vec::new(), big_endian).unwrap();
        packets.iter().for_each(|packet| writer.packet(packet.time, &packet.data).unwrap());
        files.push(writer.finish().unwrap());
    }
    let dir = tempfile::tempdir().unwrap();
    for (number, file) in files.iter().enumerate() {
        let path = dir.path().join(number.to_string());
        std::fs::write(&path, file).unwrap();
        let Some(lines) = tshark_on(&path, &["-T", "fields", "-e", "frame.time_epoch", "-e", "vlan.id"]) else {
            return;
        };
        assert_eq!(lines.len(), packets.len(), "file {number}");
        assert!(lines[0].starts_with("5.00000000") && lines[0].ends_with("\t7"), "file {number}: {}", lines[0]);
        let again = tshark_on(&path, &["-Y", "tcp.analysis.retransmission || tcp.analysis.out_of_order"]).unwrap();
        assert!(again.len() > 3, "file {number}: {} segments sent again", again.len());
        let whole = tshark_on(&path, &["-q", "-z", "follow,tcp,raw,0"]).unwrap();
        assert_eq!(whole.concat().matches("78787878").count(), 200_000 / 4, "file {number}");
    }
}

/// Takes the doubled dot from the beginning of lines (RFC 5321, section 4.5.2).
fn unstuff(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len());
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        out.extend(line.strip_prefix(b".").unwrap_or(line));
    }
    out
}
