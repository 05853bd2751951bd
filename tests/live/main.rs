//! Live capture for real: packets on a wire, a real mail server, a real client, and the sensor beside them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use netns::{PATIENCE, Wire, run, skip, wait_until};
use sensor::Sensor;

mod confinement;
mod interfaces;
mod memory;
#[path = "../netns/mod.rs"]
mod netns;
mod on_call;
mod pipes;
#[path = "../netns/on_call.rs"]
mod programs;
mod receiver;
mod reload;
mod sensor;
mod service;
mod threads;

#[test]
fn a_mail_through_postfix_is_seen_with_its_attachment() {
    let wire = match Wire::lay() {
        Ok(wire) => wire,
        Err(why) => return skip(&why),
    };
    let postfix = wire.start_postfix();
    let sensor = Sensor::start(&wire, &["--mail-server", &wire.receiver.address.to_string()]);

    let (zip, member) = make_zip(wire.dir());
    let server = wire.receiver.address.to_string();
    wire.sender.output(
        "swaks",
        &[
            "--server",
            &server,
            "--helo",
            "client.mailsnare.test",
            "--from",
            "alice@client.test",
            "--to",
            "bob@mailsnare.test,carol@mailsnare.test",
            "--header",
            "Subject: holiday pictures",
            "--body",
            "as promised",
            "--attach-type",
            "application/zip",
            "--attach-name",
            "holiday.zip",
            "--attach",
            &format!("@{}", zip.display()),
        ],
    );
    // Postfix writes its log a moment after the client has gone.
    let taken = wait_until(PATIENCE, || postfix.log().contains("from=<alice@client.test>"));
    assert!(taken, "Postfix took no mail:\n{}", postfix.log());
    // Messages are counted as they come, packets about once a second.
    let counted = |metrics: &str| metric(metrics, MESSAGES) >= 1.0 && metric(metrics, PACKETS) > 10.0;
    assert!(wait_until(PATIENCE, || counted(&sensor.metrics())), "{}", sensor.metrics());

    let eve = sensor.stop();
    let smtp = one(&eve, "smtp", |event| bare(&event["smtp"]["mail_from"]) == "alice@client.test");
    assert_eq!(smtp["smtp"]["helo"], "client.mailsnare.test");
    let recipients: Vec<_> = smtp["smtp"]["rcpt_to"].as_array().unwrap().iter().map(bare).collect();
    assert_eq!(recipients, ["bob@mailsnare.test", "carol@mailsnare.test"]);
    assert_eq!(smtp["email"]["subject"], "holiday pictures");
    assert_eq!(smtp["email"]["attachment"], serde_json::json!(["holiday.zip"]));
    assert_eq!((&smtp["src_ip"], &smtp["dest_port"]), (&"10.77.0.1".into(), &25.into()));
    assert_eq!(smtp["in_iface"], wire.receiver.interface.as_str());
    assert_eq!(smtp["smtp"]["reply"]["code"], 250);

    let file = one(&eve, "fileinfo", |event| event["fileinfo"]["filename"] == "holiday.zip");
    assert_eq!(file["fileinfo"]["sha256"], sha256(&zip));
    assert_eq!(file["fileinfo"]["size"], fs::metadata(&zip).unwrap().len());
    let inside = one(&eve, "fileinfo", |event| event["fileinfo"]["filename"] == "beach.txt");
    assert_eq!(inside["fileinfo"]["sha256"], sha256(&member));
    assert_eq!(inside["fileinfo"]["container"], serde_json::json!(["holiday.zip"]));
}

#[test]
fn an_outbreak_on_the_wire_is_told_by_host() {
    let trace = trace("mimail-c-outbreak");
    let wire = match Wire::lay() {
        Ok(wire) => wire,
        Err(why) => return skip(&why),
    };
    let sensor = Sensor::start(&wire, &[]);
    send(&wire, &trace);
    wait_until(PATIENCE, || metric(&sensor.metrics(), PACKETS) >= packets(&trace));
    let metrics = sensor.metrics();
    assert!(metric(&metrics, PACKETS) >= packets(&trace), "{metrics}");
    assert!(metric(&metrics, MESSAGES) >= 1.0, "{metrics}");

    let live = infected(&sensor.stop());
    assert_eq!(live, infected(&replayed(&trace)));
    assert!(!live.is_empty());
}

/// The packets of a sample.
fn trace(sample: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("pcaps").join(sample).join("trace.pcap")
}

/// Puts the packets of a capture on the wire: as fast as takes seconds, not as fast as can be, since this is no load test.
fn send(wire: &Wire, trace: &Path) {
    let interface = format!("--intf1={}", wire.sender.interface);
    wire.sender.output("tcpreplay", &[&interface, "--pps=5000", "--duration=60", trace.to_str().unwrap()]);
}

/// The same packets between hosts of another network, 10.`net`.0.0/16: new flows to a sensor that has seen the first.
fn moved(wire: &Wire, trace: &Path, net: u8) -> PathBuf {
    let mut bytes = fs::read(trace).unwrap();
    // Samples are plain pcap files of this byte order, with Ethernet and IPv4 in them.
    let mut at = 24;
    while at < bytes.len() {
        let length = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
        let packet = &mut bytes[at + 16..at + 16 + length];
        at += 16 + length;
        if packet[12..14] == [8, 0] {
            move_packet(packet, net);
        }
    }
    let moved = wire.dir().join(format!("{net}.pcap"));
    fs::write(&moved, bytes).unwrap();
    moved
}

/// Moves addresses of 10.20.0.0/16 in an Ethernet frame with IPv4, and mends its checksums.
fn move_packet(packet: &mut [u8], net: u8) {
    let transport = 14 + usize::from(packet[14] & 15) * 4;
    let first_fragment = packet[20] & 0x1f == 0 && packet[21] == 0;
    let inner = match packet[23] {
        6 if first_fragment => Some(transport + 16),
        17 if first_fragment => Some(transport + 6),
        _ => None,
    };
    for address in [26, 30] {
        if packet[address..address + 2] != [10, 20] {
            continue;
        }
        packet[address + 1] = net;
        for sum in [Some(24), inner].into_iter().flatten() {
            let before = u16::from_be_bytes([packet[sum], packet[sum + 1]]);
            // RFC 1624, equation 3, for the one word that changed.
            let mut total = u32::from(!before) + u32::from(!0x0a14_u16) + (0x0a00 | u32::from(net));
            while total > 0xffff {
                total = (total & 0xffff) + (total >> 16);
            }
            packet[sum..sum + 2].copy_from_slice(&(!(total as u16)).to_be_bytes());
        }
    }
}

/// What a replay of the same packets says.
fn replayed(trace: &Path) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_mailsnare")).arg("replay").arg(trace).args(["--eve", "-"]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    lines(&String::from_utf8(output.stdout).unwrap())
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// The only event of a type that fits.
fn one<'a>(eve: &'a [Value], kind: &str, fits: impl Fn(&Value) -> bool) -> &'a Value {
    let of_kind: Vec<_> = eve.iter().filter(|event| event["event_type"] == kind).collect();
    let found: Vec<_> = of_kind.iter().copied().filter(|event| fits(event)).collect();
    assert_eq!(found.len(), 1, "{kind} events: {of_kind:#?}");
    found[0]
}

/// Hosts that mailed the worm themselves.
fn infected(eve: &[Value]) -> BTreeSet<String> {
    let alerts = eve.iter().filter(|event| event["event_type"] == "alert" && event["alert"]["rule"] == "mimail-c");
    alerts
        .filter(|event| event["alert"]["severity"] == 1)
        .filter_map(|event| event["src_ip"].as_str().map(str::to_owned))
        .collect()
}

/// An address without angle brackets.
fn bare(address: &Value) -> &str {
    address.as_str().unwrap_or_default().trim_matches(['<', '>'])
}

/// The value of one series, as it stands in the text: `name{label="value"}`. None when it is not there.
fn series(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

/// The sum of a metric's series.
fn metric(text: &str, name: &str) -> f64 {
    let series = text.lines().filter_map(|line| line.strip_prefix(name)).filter(|rest| rest.starts_with(['{', ' ']));
    series.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Packets in a capture file, as another program counts them.
fn packets(trace: &Path) -> f64 {
    let counted = run("capinfos", &["-c", "-M", "-T", "-r", trace.to_str().unwrap()]).unwrap();
    counted.split_whitespace().last().unwrap().parse().unwrap()
}

/// A zip with one member, made by another program.
fn make_zip(dir: &Path) -> (PathBuf, PathBuf) {
    let (zip, member) = (dir.join("made.zip"), dir.join("beach.txt"));
    fs::write(&member, "sand and sea\n".repeat(100)).unwrap();
    run("zip", &["-q", "-j", "-X", zip.to_str().unwrap(), member.to_str().unwrap()]).unwrap();
    (zip, member)
}

/// A file's SHA-256, as another program computes it.
fn sha256(path: &Path) -> String {
    run("sha256sum", &[path.to_str().unwrap()]).unwrap().split(' ').next().unwrap().to_owned()
}

const PACKETS: &str = "mailsnare_packets_total";
const MESSAGES: &str = "mailsnare_messages_total";
