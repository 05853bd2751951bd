//! tshark, which shares no code with us, sees in the samples what their records say was sent.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use mailsnare_lab::mail::sha256;
use mailsnare_lab::samples::{self, Recipe};
use mailsnare_lab::truth::{TransactionTruth, Truth};

const CHECKSUMS: [&str; 6] =
    ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"];

fn trace(recipe: &Recipe) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pcaps").join(recipe.name).join("trace.pcap")
}

/// tshark's output lines for `args` on a sample; none when tshark is not installed.
fn tshark(recipe: &Recipe, args: &[&str]) -> Option<Vec<String>> {
    let run = Command::new("tshark").arg("-r").arg(trace(recipe)).arg("-n").args(CHECKSUMS).args(args).output();
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
        for transaction in plain(truth) {
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

/// Takes the doubled dot from the beginning of lines (RFC 5321, section 4.5.2).
fn unstuff(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len());
    for line in message.split_inclusive(|byte| *byte == b'\n') {
        out.extend(line.strip_prefix(b".").unwrap_or(line));
    }
    out
}
