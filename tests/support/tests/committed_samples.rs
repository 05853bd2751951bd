//! The samples under pcaps/ are what their recipes make, and show what they are meant to show.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use mailsnare_lab::samples;
use mailsnare_lab::stage::Sample;
use mailsnare_lab::truth::TransactionTruth;
use mailsnare_lab::worm;

fn sample(name: &str) -> Sample {
    samples::ALL.iter().find(|recipe| recipe.name == name).expect("a recipe of this name").make()
}

/// Microseconds of the day of a time as the record has it.
fn micros(time: &str) -> i64 {
    let field = |range: std::ops::Range<usize>| time[range].parse::<i64>().unwrap();
    ((field(11..13) * 60 + field(14..16)) * 60 + field(17..19)) * 1_000_000 + field(20..26)
}

#[test]
fn committed_files_are_what_the_recipes_make() {
    let output = Command::new(env!("CARGO_BIN_EXE_make-pcaps")).arg("--check").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pcaps/README.md")).unwrap();
    for row in String::from_utf8(output.stdout).unwrap().lines() {
        assert!(readme.contains(row), "pcaps/README.md lacks the row: {row}");
    }
}

#[test]
fn a_difference_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let make = |arg: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_make-pcaps"))
            .args(["--only", "arrival", "--out"])
            .arg(dir.path())
            .args(arg)
            .output()
            .unwrap()
    };
    assert!(make(&[]).status.success());
    assert!(make(&["--check"]).status.success());
    let path = dir.path().join("arrival/trace.pcap");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let output = make(&["--check"]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && message.contains("trace.pcap: differs from its recipe at byte 1000"),
        "{message}"
    );
}

#[test]
fn the_outbreak_is_the_published_worm() {
    let truth = sample("mimail-c-outbreak").truth;
    let worm: Vec<&TransactionTruth> =
        truth.messages().filter(|t| t.kind == "worm" && t.direction != "inbound").collect();
    assert!((180..=220).contains(&worm.len()), "{} messages", worm.len());
    for transaction in &worm {
        let message = transaction.message.as_ref().unwrap();
        assert!(message.subject.starts_with(worm::SUBJECT));
        assert_eq!(transaction.helo, "localhost");
        assert_eq!(transaction.rcpt_to.len(), 1);
        let domain = transaction.rcpt_to[0].split('@').nth(1).unwrap();
        assert_eq!(transaction.mail_from, format!("james@{domain}"));
        let archive = &message.attachments[0];
        assert_eq!((archive.name.as_str(), archive.size), ("photos.zip", 12_958));
        assert_eq!((archive.members[0].name.as_str(), archive.members[0].size), ("photos.jpg.exe", 12_832));
        for name in ["helo", "helo-localhost", "no-space-after-colon", "bare-lf"] {
            assert!(transaction.dialect.contains(&name), "{name}");
        }
    }
    // At most about 22 messages in any minute.
    let times: Vec<i64> = worm.iter().map(|t| micros(&t.time)).collect();
    let busiest = times.iter().map(|at| times.iter().filter(|t| (*at..*at + 60_000_000).contains(t)).count()).max();
    assert!((20..=23).contains(&busiest.unwrap()), "{busiest:?} messages in a minute");
    assert!(times.last().unwrap() - times[0] > 9 * 60_000_000);

    assert!(truth.messages().any(|t| t.kind == "worm" && t.direction == "inbound"), "it arrives");
    assert!(worm.iter().any(|t| t.direction == "internal"), "it reaches home mailboxes from inside");
    assert_eq!(truth.messages().filter(|t| t.kind == "theft").count(), worm::MAILBOXES.len());
    assert!(truth.transactions.iter().any(|t| t.kind == "worm" && !t.rcpt_rejected.is_empty()));
    assert!(
        truth.sessions.iter().any(|s| s.connect == "refused")
            && truth.sessions.iter().any(|s| s.connect == "unanswered")
    );
    for name in [worm::GATE, worm::TARGET] {
        assert!(truth.other_questions.iter().any(|q| q.name == name), "{name}");
    }
    let infected = &worm[0].src;
    let over_tcp: Vec<_> = truth.mx_questions.iter().filter(|q| &q.src == infected && q.over == "tcp").collect();
    assert_eq!(over_tcp.iter().map(|q| q.id).collect::<BTreeSet<_>>().len(), 1, "one fixed transaction id");
    assert!(over_tcp.len() > 150);
}

#[test]
fn nobody_but_servers_and_the_administrator_mails_the_world_on_the_office_day() {
    let truth = sample("office-day").truth;
    let direct: BTreeSet<&str> =
        truth.transactions.iter().filter(|t| t.direction == "outbound").map(|t| t.src.as_str()).collect();
    let v4: BTreeSet<&str> = direct.iter().copied().filter(|ip| !ip.contains(':')).collect();
    assert_eq!(v4, BTreeSet::from(["10.20.0.25", "10.20.0.80", "10.20.1.9"]));
    let v6: BTreeSet<&str> = direct.difference(&v4).copied().collect();
    assert_eq!(v6, BTreeSet::from(["fd00:20::19", "fd00:20::50"]));
    assert_eq!(truth.transactions.iter().filter(|t| t.src == "10.20.1.9").count(), 1);
    assert!(truth.messages().filter(|t| t.kind == "newsletter").count() > 200);
    assert!(truth.mx_questions.iter().any(|q| q.truncated) && truth.mx_questions.iter().any(|q| q.over == "tcp"));
    // The newsletter host takes mail before it sends any.
    let first = |kind| truth.transactions.iter().position(|t| t.kind == kind).unwrap();
    assert!(first("bounce") < first("newsletter"));
    for tls in ["starttls", "implicit"] {
        assert!(truth.sessions.iter().any(|s| s.tls == tls), "{tls}");
    }
}

#[test]
fn in_the_arrival_the_worm_only_comes_in() {
    let truth = sample("arrival").truth;
    assert_eq!(truth.messages().filter(|t| t.kind == "worm").count(), 2);
    assert!(truth.transactions.iter().all(|t| t.direction == "inbound"));
}

#[test]
fn in_the_tls_outbreak_nothing_of_the_bot_is_in_clear() {
    let sample = sample("tls-outbreak");
    let truth = &sample.truth;
    let bot = |src: &str| src == "10.20.1.23";
    assert!(!truth.transactions.iter().any(|t| bot(&t.src)));
    let sessions: Vec<_> = truth.sessions.iter().filter(|s| bot(&s.src)).collect();
    assert!(sessions.len() > 20 && sessions.iter().all(|s| s.tls == "starttls"));
    let networks: BTreeSet<_> = sessions.iter().map(|s| s.dst.rsplit_once('.').unwrap().0).collect();
    assert!(networks.len() > 10, "strangers are told apart by their networks: {networks:?}");
    assert!(sample.trace(true).len() < 1_000_000);
}

#[test]
fn samples_stay_small_and_addresses_stay_in_documentation_space() {
    for recipe in samples::ALL {
        let sample = recipe.make();
        assert!(sample.trace(recipe.nanoseconds).len() < 5_000_000, "{}", recipe.name);
        for address in sample.truth.hosts.iter().flat_map(|host| &host.addresses) {
            // RFC 5737, RFC 2544, RFC 3849.
            let nets = ["10.20.", "192.0.2.", "198.51.100.", "203.0.113.", "198.18.", "fd00:20::", "2001:db8:"];
            assert!(nets.iter().any(|net| address.starts_with(net)), "{address}");
        }
    }
}
