//! Proof against living software: Postfix, Exim and OpenSMTPD pass mail to one another, swaks, msmtp and Python send
//! it to them, on a network that loses, reorders and doubles packets; and the sensor must tell what they recorded.
//!
//! The oracle is the senders' own record (`send.py`) and what the servers stored (`stored.py`), never the sensor.
//! Needs root and what `tests/setup.sh --all` installs. `LIVING_SEED=7 cargo test --test living` sends other letters.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use compare::{Truth, Verdict, lines};
use lan::Lan;
use space::skip;

mod compare;
mod lan;
#[path = "../netns/space.rs"]
mod space;

#[test]
fn what_living_software_sends_is_told_as_it_was_sent() {
    let mut lan = match Lan::lay() {
        Ok(lan) => lan,
        Err(why) => return skip(&why),
    };
    lan.serve();
    let file = |name: &str| lan.dir().join(name).to_str().unwrap().to_owned();
    let (trace, live_eve, replay_eve) = (file("trace.pcap"), file("live.json"), file("replay.json"));
    let tcpdump = lan.listen("tcpdump", &["-i", "mirror", "-B", "65536", "-U", "-w", &trace], "listening on");
    let live = ["live", "--interface", "mirror", "--metrics", "off", "--events", EVENTS, "--eve", &live_eve];
    let sensor = lan.listen(SENSOR, &live, "istening");

    let seed = std::env::var("LIVING_SEED").map_or(1, |seed| seed.parse().expect("LIVING_SEED is a number"));
    lan.send(seed);
    lan.let_faults_in();
    lan.send(seed + 1);
    let stored = lan.settle();
    let captured = tcpdump.stop();
    assert!(captured.contains("\n0 packets dropped by kernel"), "the capture is not whole: {captured}");
    sensor.stop();

    let truth = Truth::read(lan.dir(), &stored);
    replay(&trace, &replay_eve);
    let mut failed = false;
    say("not tried: OpenSMTPD 6.8 as a server in TLS, which fails with OpenSSL 3 (OpenSMTPD issue 1171)");
    for (how, eve) in [("replay", &replay_eve), ("live", &live_eve)] {
        let eve = lines(&fs::read_to_string(eve).unwrap());
        let verdict = truth.compare(&eve, &lan.client());
        failed |= !verdict.differences.is_empty();
        say(&format!("{how}: {}", report(&verdict)));
        assert!(harmed(&eve), "the network was not harmful enough to prove anything");
        enough(&verdict);
    }
    assert!(!failed, "the sensor does not tell what was sent");
}

/// Says it past the harness, which shows the output of failed tests only: what was proved is to be read as well.
fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "{what}");
}

/// Analyses a capture file.
fn replay(trace: &str, eve: &str) {
    let mut command = Command::new(SENSOR);
    command.args(["replay", trace, "--events", EVENTS, "--eve", eve]).stdin(Stdio::null());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(Path::new(eve).exists());
}

/// Whether loss, reordering and doubling left their marks on what was captured.
fn harmed(eve: &[serde_json::Value]) -> bool {
    let stats = eve.iter().rfind(|event| event["event_type"] == "stats").unwrap();
    let counted = |name: &str| stats["stats"]["tcp"][name].as_u64().unwrap();
    counted("segment_out_of_order") >= 100 && counted("segment_retransmitted") >= 100
}

/// The figures, and each difference.
fn report(verdict: &Verdict) -> String {
    let Verdict { messages, relayed, stored, tls, bdat: [by_clients, by_servers], files, refused, differences } =
        verdict;
    let mut text = format!(
        "{messages} messages of clients ({by_clients} in BDAT), {relayed} passed on ({by_servers} in BDAT), {stored} \
         stored copies, {files} files, {refused} refused recipients, {tls} sessions in TLS: {} differences",
        differences.len()
    );
    // Each is named; a line of theirs may hold a hundred recipients.
    for difference in differences {
        text += "\n  ";
        text.extend(difference.chars().take(1000));
    }
    text
}

/// All that was to be compared was there to compare.
fn enough(verdict: &Verdict) {
    let Verdict { messages, relayed, stored, tls, bdat, files, refused, .. } = verdict;
    let found = [*messages, *relayed, *stored, *tls, bdat[0], bdat[1], *files, *refused];
    let least = [200, 200, 2000, 30, 20, 20, 500, 100];
    assert!(found.iter().zip(least).all(|(found, least)| *found >= least), "{found:?} of at least {least:?}");
}

const SENSOR: &str = env!("CARGO_BIN_EXE_mailsnare");
const EVENTS: &str = "smtp,fileinfo,anomaly,stats";
