use serde_json::{Value, json};

use super::*;
use crate::model::alert::{Moment, Severity};
use crate::model::stats::SmtpStats;
use crate::model::time::Timestamp;

/// In a great outbreak the hosts listed are some of them.
#[test]
fn the_headline_counts_hosts_that_are_not_listed() {
    let mut report = outbreak();
    report.verdicts = [0, 7, 1_203];
    let headline = text(&report, &Notes::default(), Style::default());
    assert!(headline.starts_with("1,203 hosts are infected: "), "{headline:.200}");
    assert!(headline.lines().next().unwrap().contains(" and 1,20"), "{headline:.200}");
}

#[test]
fn an_infected_host_comes_first_with_its_reasons_and_what_to_do() {
    let text = text(&outbreak(), &notes(), Style::default());
    let expected = "\
1 host is infected: 10.20.1.17 (mimail-c), since 2003-10-31 12:00:05 UTC.

 HOST        VERDICT   SINCE (UTC)       MESSAGES  RCPTS  MX     MAIL    SHARE  ROLE
 10.20.1.17  infected  2003-10-31 12:00     1,022  1,022  21   440 kB    2.9 %
 10.20.1.2   clean     2003-10-31 12:00        40    400   0  12.0 MB   80.0 %  mail server: declared
  and 3 more hosts that spoke to mail servers

10.20.1.17 is infected:
  - mimail-c: attachment.name \"photos.zip\"
  - direct-to-mx: 21 domains in 60 s
  Cost: 1,022 messages to 1,022 recipients, 21 MX questions, 440 kB of mail traffic: 2.9 % of all bytes read
  Timeline (UTC):
    2003-10-31 12:00:09  verdict: infected (mimail-c)
  To do: Disconnect the host; apply MS03-014.

 ALERTS  SEVERITY  RULE          HOSTS
     22  critical  mimail-c      10.20.1.17
      1  high      direct-to-mx

Read: 2003-10-31 12:00:00 to 2003-10-31 12:10:05 UTC (10 min 5 s), 12,345 packets, 15.0 MB.
Mail: 25 sessions, 24 transactions, 22 messages, 22 opened, 23 attachments; 1 MX question.
Lost: nothing.
";
    assert_eq!(trimmed(&text), trimmed(expected));
}

#[test]
fn what_a_rule_matched_is_shown() {
    let mut report = outbreak();
    let marks = ["subject \"a\"", "helo \"b\"", "size 3", "has Date", "lacks X"].map(str::to_owned).to_vec();
    report.hosts[0].evidence[0].figures.push((MATCHED, Figure::List(marks)));
    let text = text(&report, &notes(), Style::default());
    let line = "- mimail-c: attachment.name \"photos.zip\"; matched subject \"a\", helo \"b\", size 3 and 2 more\n";
    assert!(text.contains(line), "{text}");
}

#[test]
fn losses_are_said_plainly() {
    let mut report = outbreak();
    report.sensor.flow.gaps = 3;
    report.sensor.flow.gap_bytes = 4_096;
    report.sensor.flow.ended[3] = 1;
    report.sensor.capture.kernel_drops = 2_000;
    report.inspect.shed_queue = 5;
    let notes = Notes { eve_lost_lines: 1, ..notes() };
    let text = text(&report, &notes, Style::default());
    let lost = text.split("Lost:").nth(1).unwrap();
    assert_eq!(
        lost,
        "\n  - 2,000 packets dropped by the kernel for want of buffer\
         \n  - 3 gaps in TCP streams (4,096 bytes)\
         \n  - 1 flow evicted before its end\
         \n  - 5 messages not opened: the inspectors were busy\
         \n  - 1 EVE line that could not be written\n"
    );
}

#[test]
fn the_headline_fits_what_was_found() {
    let mut report = outbreak();
    report.hosts.truncate(1);
    let host = report.hosts.remove(0);
    let copies = |count: u8, verdict| -> Vec<HostReport> {
        let copy = |last| HostReport { host: [10, 0, 0, last].into(), verdict, ..host.clone() };
        (1..=count).map(copy).collect()
    };
    for (hosts, expected) in [
        (
            copies(2, Verdict::Clean),
            "No host is infected or under suspicion, but there are 22 critical alerts: mimail-c.",
        ),
        (
            copies(1, Verdict::Suspicious),
            "No host is infected; 1 under suspicion: 10.0.0.1 (mimail-c), since 2003-10-31 12:00:05 UTC.",
        ),
        (
            copies(5, Verdict::Infected),
            "5 hosts are infected: 10.0.0.1 (mimail-c), 10.0.0.2 (mimail-c), 10.0.0.3 (mimail-c) and 2 more, since \
             2003-10-31 12:00:05 UTC.",
        ),
    ] {
        assert_eq!(headline(&Report { hosts, ..report.clone() }), expected);
    }
    let calm = Report { alerts: vec![("direct-to-mx".into(), Severity::Low, 3)], ..report };
    assert_eq!(headline(&calm), "No host is infected or under suspicion.");
    let foreign = Report { mailing_hosts: 0, ..calm };
    assert_eq!(
        headline(&foreign),
        "No host is infected or under suspicion; there was mail, but none from a home host (see --home-net)."
    );
    let mut silent = foreign;
    silent.sensor.smtp = SmtpStats::default();
    assert_eq!(headline(&silent), "No host is infected or under suspicion; there was no mail.");
    assert!(read(&silent, Style::default()).ends_with("\nMail: none; 1 MX question."));
}

#[test]
fn an_empty_capture_has_a_summary_too() {
    let text = text(&Report::default(), &Notes::default(), Style::default());
    assert_eq!(text, "No packet was read.\n\nRead: nothing.\nLost: nothing.\n");

    // A file may have sections, and so a span of a sort, and no packet.
    let header_alone = Report { span: Some(<_>::default()), ..Report::default() };
    assert_eq!(super::text(&header_alone, &Notes::default(), Style::default()), text);
    let document: Value = serde_json::from_str(&super::json(&header_alone, &Notes::default())).unwrap();
    assert_eq!((&document["span"], &document["hosts"]), (&Value::Null, &json!([])));
}

#[test]
fn a_worm_that_only_arrived_is_announced_with_what_to_do() {
    let mut report = outbreak();
    report.hosts.remove(0);
    report.alerts = vec![("mimail-c".into(), Severity::High, 1)];
    let mut notes = notes();
    notes.alerted =
        [(("mimail-c".to_owned(), Severity::High), (1..=5).map(|last| [10, 20, 0, last].into()).collect())].into();
    let text = text(&report, &notes, Style::default());
    assert!(
        text.starts_with("No host is infected or under suspicion, but there is 1 high alert: mimail-c.\n"),
        "{text}"
    );
    let lines = trimmed(&text);
    assert!(lines.contains(&"1 high mimail-c 10.20.0.1, 10.20.0.2, 10.20.0.3 and 2 more".to_owned()), "{text}");
    assert!(lines.contains(&"To do about mimail-c: Disconnect the host; apply MS03-014.".to_owned()), "{text}");
}

#[test]
fn a_suspect_without_advice_gets_the_general_one() {
    let mut report = outbreak();
    report.hosts[0].verdict = Verdict::Suspicious;
    let text = text(&report, &Notes::default(), Style::default());
    assert!(text.contains("  To do: ask its owner whether it should send mail itself;"), "{text}");
}

#[test]
fn colours_show_only_when_asked_for_and_foreign_text_brings_none() {
    let mut report = outbreak();
    report.hosts[0].evidence[0].text = "\u{1b}[31mboo\r\n10.0.0.9 is clean".into();
    let dull = text(&report, &notes(), Style::default());
    assert!(!dull.contains('\u{1b}'));
    assert!(dull.contains("- mimail-c: \\u{1b}[31mboo\\u{d}\\u{a}10.0.0.9 is clean\n"), "{dull}");
    let bright = text(&report, &notes(), Style { colour: true, width: None });
    assert!(bright.starts_with("\u{1b}[1;31m1 host is infected: "));
}

#[test]
fn a_table_keeps_to_the_terminal() {
    let mut report = outbreak();
    report.hosts[1].host = "2001:db8:1111:2222:3333:4444:5555:6666".parse().unwrap();
    let text = text(&report, &notes(), Style { colour: false, width: Some(80) });
    let table = text.split("\n\n").nth(1).unwrap();
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    assert!(table.contains("12.0 MB  80.0 %"), "{table}");
    let narrow = super::text(&report, &notes(), Style { colour: false, width: Some(50) });
    assert!(trimmed(&narrow).contains(&"10.20.1.17 infected 2003-10-31 12:00 1,022 440 kB".to_owned()), "{narrow}");
    let sentences = text.lines().filter(|line| !line.contains("2001:db8"));
    assert!(sentences.clone().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn every_suspect_is_listed_and_clean_hosts_only_to_a_point() {
    let mut report = outbreak();
    let host = report.hosts[0].clone();
    let hosts = |verdict, third| -> Vec<HostReport> {
        let copy = |last| HostReport { host: [10, 0, third, last].into(), verdict, ..host.clone() };
        (0..30_u8).map(copy).collect()
    };
    report.hosts = hosts(Verdict::Infected, 1);
    report.hosts.extend(hosts(Verdict::Clean, 2));
    report.mailing_hosts = 60;
    let text = text(&report, &notes(), Style::default());
    assert!(text.contains("10.0.1.29 ") && !text.contains("10.0.2.0 "));
    assert!(text.contains("and 30 more hosts that spoke to mail servers"));
}

#[test]
fn json_says_the_same_under_stable_keys() {
    let mut report = outbreak();
    report.sensor.flow.gaps = 3;
    let document: Value = serde_json::from_str(&super::json(&report, &notes())).unwrap();
    let keys: Vec<_> = document.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["alerts", "headline", "hosts", "ignored", "lost", "mailing_hosts", "span", "stats"]);
    assert_eq!(
        document["span"],
        json!({"first": "2003-10-31T12:00:00.000000+0000", "last": "2003-10-31T12:10:05.000000+0000"})
    );
    assert_eq!(
        document["hosts"][0],
        json!({
            "host": "10.20.1.17", "other_addresses": [], "role_kind": "ordinary", "verdict": "infected", "score": 160.0, "role": null,
            "since": "2003-10-31T12:00:05.000000+0000", "last_seen": "2003-10-31T12:10:00.000000+0000",
            "messages": 1022, "recipients": 1022, "mail_bytes": 440_000, "mx_lookups": 21, "share_of_link": 0.25, "share_of_all": 440_000.0 / 15_000_000.0,
            "evidence": [
                {"source": "mimail-c", "text": "attachment.name \"photos.zip\"", "figures": {}},
                {"source": "direct-to-mx", "text": "21 domains in 60 s", "figures": {"domains": 21}}
            ],
            "timeline": [
                {"time": "2003-10-31T12:00:05.000000+0000", "text": "first direct-to-mx at low"},
                {"time": "2003-10-31T12:00:09.000000+0000", "text": "verdict: infected (mimail-c)"}
            ],
            "remediation": "Disconnect the host; apply MS03-014."
        })
    );
    assert_eq!(document["hosts"][1]["remediation"], Value::Null);
    assert_eq!(document["mailing_hosts"], 5);
    assert_eq!(
        document["alerts"][0],
        json!({
            "rule": "mimail-c", "severity": "critical", "count": 22, "hosts": ["10.20.1.17"],
            "remediation": "Disconnect the host; apply MS03-014."
        })
    );
    assert_eq!((&document["alerts"][1]["hosts"], &document["alerts"][1]["remediation"]), (&json!([]), &Value::Null));
    assert_eq!((&document["lost"]["stream_gaps"], &document["lost"]["kernel_drops"]), (&json!(3), &json!(0)));
    assert_eq!(document["stats"]["decoder"]["pkts"], 12_345);
    assert_eq!(document["headline"], "1 host is infected: 10.20.1.17 (mimail-c), since 2003-10-31 12:00:05 UTC.");
}

/// Tables pad their columns; what counts here is the words and their order.
fn trimmed(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn notes() -> Notes {
    let advice = [("mimail-c".to_owned(), "Disconnect the host; apply MS03-014.".to_owned())];
    let alerted = [(("mimail-c".to_owned(), Severity::Critical), [[10, 20, 1, 17].into()].into())];
    Notes { advice: advice.into(), alerted: alerted.into(), ..Notes::default() }
}

pub(super) fn outbreak() -> Report {
    let at = |seconds: i64| Timestamp::from_parts(1_067_601_600 + seconds, 0);
    let evidence =
        |source: &str, text: &str| Evidence { source: source.into(), text: text.into(), figures: Vec::new() };
    let mut chain = evidence("direct-to-mx", "21 domains in 60 s");
    chain.figures.push(("domains", Figure::Count(21)));
    let worm = HostReport {
        other_addresses: vec![],
        role_kind: crate::model::report::RoleKind::Ordinary,
        host: [10, 20, 1, 17].into(),
        verdict: Verdict::Infected,
        score: 160.0,
        role: None,
        since: at(5),
        last_seen: at(600),
        messages: 1_022,
        recipients: 1_022,
        mail_bytes: 440_000,
        mx_lookups: 21,
        share_of_link: 0.25,
        evidence: vec![evidence("mimail-c", "attachment.name \"photos.zip\""), chain],
        timeline: vec![
            Moment { time: at(5), text: "first direct-to-mx at low".into() },
            Moment { time: at(9), text: "verdict: infected (mimail-c)".into() },
        ],
    };
    let server = HostReport {
        host: [10, 20, 1, 2].into(),
        verdict: Verdict::Clean,
        score: 0.0,
        role: Some("mail server: declared".into()),
        since: at(1),
        messages: 40,
        recipients: 400,
        mail_bytes: 12_000_000,
        mx_lookups: 0,
        share_of_link: 0.000_5,
        evidence: Vec::new(),
        timeline: Vec::new(),
        ..worm.clone()
    };
    let mut report = Report {
        span: Some((at(0), at(605))),
        hosts: vec![worm, server],
        mailing_hosts: 5,
        alerts: vec![("mimail-c".into(), Severity::Critical, 22), ("direct-to-mx".into(), Severity::High, 1)],
        ..Report::default()
    };
    report.sensor.capture.packets = 12_345;
    report.sensor.capture.bytes = 15_000_000;
    report.sensor.smtp.sessions = 25;
    report.sensor.smtp.transactions = 24;
    report.sensor.smtp.messages = 22;
    report.sensor.dns.mx_queries = 1;
    report.inspect.inspected = 22;
    report.inspect.attachments = 23;
    report
}
