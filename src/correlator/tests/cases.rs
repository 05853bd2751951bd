//! How a case opens, adds up, fades, closes and opens again; and what is not told at the operator's wish.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use proptest::prelude::*;

use super::wire::*;
use crate::correlator::{CorrelatorSettings, Said};
use crate::model::alert::{CONTENT_FREE, Evidence, Figure, Incident, Verdict, WEIGHT};
use crate::model::event::{Dialect, EventKind, Flood, SmtpEvent};
use crate::model::limits;
use crate::model::mail::Findings;
use crate::model::report::Ignored;
use crate::model::settings::Ignore;
use crate::model::time::Timestamp;

fn weight(evidence: &Evidence) -> f64 {
    match figure(evidence, WEIGHT) {
        Figure::Real(weight) => *weight,
        other => panic!("{other:?}"),
    }
}

fn worm(wire: &mut Wire, host: &str, n: u8) {
    let flow = wire.deliver(host, OUTSIDE_RESOLVER, n, true);
    wire.message(&flow, 1, vec![hit(WORM)]);
    wire.wait(3);
}

#[test]
fn the_score_adds_up_by_hand_and_says_what_needed_no_content() {
    let mut wire = Wire::new();
    (1..=4).for_each(|n| worm(&mut wire, HOST, n));
    wire.correlator.finish(&mut wire.said);
    let last = wire.incidents().pop().unwrap();
    let of = |source: &str| last.evidence.iter().find(|evidence| evidence.source == source).unwrap();
    // Proof 100, and a behaviour of high severity 60: nothing has faded at the time of the last.
    assert_eq!((weight(of("mimail-c")), weight(of("direct-to-mx"))), (100.0, 60.0));
    let sum: f64 = last.evidence.iter().map(weight).sum();
    assert!((last.score - sum).abs() < 0.001, "{} {sum}", last.score);
    let report = &wire.correlator.report().hosts[0];
    assert_eq!((report.score, report.verdict), (last.score, last.verdict));
    let free = |source| figure(of(source), CONTENT_FREE);
    assert_eq!((free("mimail-c"), free("direct-to-mx")), (&Figure::Text("no".into()), &Figure::Text("yes".into())));
}

#[test]
fn a_calm_host_is_let_go_and_a_relapse_is_another_incident() {
    let mut wire = Wire::new();
    worm(&mut wire, HOST, 1);
    assert_eq!(wire.correlator.hosts_for_metrics(0).len(), 1);
    // 100 falls below 10 after log2(10) = 3.32 half-lives of six hours: 71,753 s.
    wire.wait(71_600);
    wire.tick(1_000);
    assert_eq!(wire.incidents().len(), 1, "not yet");
    wire.wait(300);
    wire.tick(1_000);
    let closed = wire.incidents().pop().unwrap().clone();
    assert_eq!((closed.id, closed.verdict, closed.closed), (1, Verdict::Infected, true));
    assert_eq!(closed.timeline.last().unwrap().text, "closed: nothing more was seen");
    assert!(weight(&closed.evidence[0]) < 10.0, "{closed:?}");
    assert!(wire.correlator.hosts_for_metrics(0).is_empty(), "calm");
    assert_eq!(wire.verdict(HOST), Verdict::Infected, "the report is of the whole run");
    let report = wire.correlator.report();
    assert_eq!((report.hosts[0].evidence[0].source.as_str(), report.hosts[0].score), ("mimail-c", closed.score));
    assert_eq!(report.correlate, wire.correlator.stats());

    worm(&mut wire, HOST, 2);
    let again = wire.incidents().pop().unwrap();
    assert_eq!((again.id, again.verdict, again.closed), (2, Verdict::Infected, false));
    wire.correlator.finish(&mut wire.said);
    let ends: Vec<(u64, bool)> = wire.incidents().iter().map(|incident| (incident.id, incident.closed)).collect();
    assert_eq!(ends, [(1, false), (1, true), (2, false), (2, true)]);
}

/// A damaged record, or a clock that was set twice: one packet of 2106 among those of 2003.
#[test]
fn one_packet_out_of_its_time_closes_no_incident() {
    let mut wire = Wire::new();
    let began = wire.now;
    (1..=3).for_each(|n| drop(wire.deliver(HOST, OUTSIDE_RESOLVER, n, false)));
    wire.wait(3);
    let now = wire.now;
    wire.now = Timestamp::from_parts(4_290_000_000, 0);
    wire.connect("10.0.0.77", OUTSIDE, 25);
    wire.tick(1_000);
    wire.now = now;
    wire.tick(1_000);
    (4..=6).for_each(|n| drop(wire.deliver(HOST, OUTSIDE_RESOLVER, n, false)));
    wire.correlator.finish(&mut wire.said);
    let told: Vec<_> =
        wire.incidents().iter().map(|incident| (incident.id, incident.first_seen, incident.closed)).collect();
    assert_eq!(told, [(1, began, false), (1, began, true)]);
    assert_eq!(wire.incidents()[1].time, now, "closed at the end, and not before");
}

/// The same packet, sent by the host itself: its incident fades all the same.
#[test]
fn a_host_that_acted_out_of_its_time_calms_all_the_same() {
    let mut wire = Wire::new();
    let now = wire.now;
    wire.now = Timestamp::from_parts(4_290_000_000, 0);
    worm(&mut wire, HOST, 1);
    wire.now = now;
    worm(&mut wire, HOST, 2);
    wire.wait(72_000);
    wire.tick(1_000);
    wire.wait(100);
    wire.tick(1_000);
    assert!(wire.incidents().pop().unwrap().closed);
}

/// With a short memory an incident may close within the hour in which an alert is not repeated.
#[test]
fn what_a_host_does_after_its_incident_closed_is_told_anew_and_dated_from_then() {
    let mut detect = crate::model::settings::DetectSettings::default();
    detect.verdict.half_life_seconds = 60;
    let mut wire = Wire::with(CorrelatorSettings { detect, ..CorrelatorSettings::default() }, Arc::new(Book));
    let bout = |wire: &mut Wire| {
        for n in 1..=8 {
            let flow = wire.deliver(HOST, OUTSIDE_RESOLVER, n, false);
            let dialect = Dialect(Dialect::EARLY_TALKER);
            let smtp = SmtpEvent { started: wire.now, dialect, tls: true, ..SmtpEvent::default() };
            wire.feed(Some(&flow), EventKind::Smtp(Box::new(smtp)), &Findings::default());
        }
    };
    bout(&mut wire);
    let first = wire.alerts().len();
    assert_eq!(wire.incidents().pop().unwrap().verdict, Verdict::Infected);
    wire.wait(1_000);
    wire.tick(1_000);
    wire.wait(100);
    wire.tick(1_000);
    assert!(wire.incidents().pop().unwrap().closed);
    let again = wire.now;
    bout(&mut wire);
    let relapse = wire.incidents().pop().unwrap();
    assert_eq!((relapse.id, relapse.verdict, relapse.closed), (2, Verdict::Infected, false));
    assert!(wire.alerts().len() > first);
    assert_eq!(relapse.first_seen, again, "{:?}", relapse.timeline);
}

#[test]
fn an_idle_wire_closes_as_well() {
    let mut wire = Wire::new();
    worm(&mut wire, HOST, 1);
    wire.wait(100_000);
    wire.correlator.advance(wire.now, &mut wire.said);
    assert!(wire.incidents().pop().unwrap().closed);
}

/// An outbreak of which not every host is listed.
#[test]
fn hosts_that_are_not_listed_are_counted() {
    let mut wire = Wire::new();
    for host in 0..1_203_u16 {
        let flow = wire.connect(&format!("10.1.{}.{}", host / 200, host % 200), OUTSIDE, 25);
        wire.message(&flow, 1, vec![hit(WORM)]);
    }
    let report = wire.correlator.report();
    assert_eq!((report.hosts.len(), report.verdicts), (limits::REPORT_HOSTS, [0, 0, 1_203]));
}

#[test]
fn what_is_ignored_is_not_told_and_counted_with_its_reason() {
    let wish = |detector: &str, host: &str| Ignore {
        detector: detector.into(),
        host: host.parse().unwrap(),
        reason: "sends the bills".into(),
    };
    let ignore =
        vec![wish("mimail-c", "10.0.0.5/32"), wish("direct-to-mx", "10.0.0.0/24"), wish("mail-volume", "::/0")];
    let settings = CorrelatorSettings { ignore: ignore.clone(), ..CorrelatorSettings::default() };
    let mut wire = Wire::with(settings, Arc::new(Book));
    (1..=2).for_each(|n| worm(&mut wire, HOST, n));
    assert_eq!((wire.alerts().len(), wire.verdict(HOST)), (0, Verdict::Clean));
    worm(&mut wire, "10.0.1.9", 1);
    assert_eq!(wire.verdict("10.0.1.9"), Verdict::Infected);
    let [first, second, third]: [Ignore; 3] = ignore.try_into().unwrap();
    let expected = [(first, 2), (second, 1), (third, 0)].map(|(wish, times)| Ignored { wish, times });
    assert_eq!(wire.correlator.report().ignored, expected);
}

/// All that was said of each host, without the numbers of incidents, which count them all.
fn by_host(wire: &Wire) -> BTreeMap<IpAddr, Vec<Said>> {
    let mut said: BTreeMap<IpAddr, Vec<Said>> = BTreeMap::new();
    for one in &wire.said {
        let (host, one) = match one {
            Said::Alert(alert) => (alert.host.unwrap(), one.clone()),
            Said::Incident(incident) => {
                (incident.host, Said::Incident(Box::new(Incident { id: 0, ..(**incident).clone() })))
            }
        };
        said.entry(host).or_default().push(one);
    }
    said
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    /// What is said of a host depends on what it does, not on where others' events stand among its own.
    #[test]
    fn the_order_of_independent_hosts_does_not_matter(
        steps in prop::collection::vec((0_u8..4, 1_u8..30, 0_u8..4), 1..60),
        shuffle in any::<u64>()
    ) {
        let run = |turned: bool| {
            let mut wire = Wire::new();
            for (round, (_, n, kind)) in steps.iter().enumerate() {
                let mut hosts: Vec<u8> = steps.iter().skip(round).take(3).map(|(host, ..)| *host).collect();
                hosts.sort_unstable();
                hosts.dedup();
                if turned {
                    hosts.reverse();
                    let by = shuffle as usize % hosts.len();
                    hosts.rotate_left(by);
                }
                for host in hosts {
                    let host = format!("10.0.0.{}", 100 + host);
                    match kind {
                        0 => { let flow = wire.connect(&host, OUTSIDE, 25); wire.message(&flow, 9, vec![hit(WORM)]); }
                        1 => { let flow = wire.connect(&host, &format!("203.0.{n}.25"), 25); wire.encrypted(&flow); }
                        2 => { wire.deliver(&host, OUTSIDE_RESOLVER, *n, true); }
                        _ => wire.ask(&host, OUTSIDE_RESOLVER, &format!("mail.d{n}.example"), 1, None, false),
                    }
                }
                wire.wait(u64::from(*n) * 60);
            }
            wire.correlator.finish(&mut wire.said);
            by_host(&wire)
        };
        prop_assert_eq!(run(false), run(true));
    }
}

#[test]
fn suspects_and_hosts_that_mail_are_counted_once_each() {
    let mut wire = Wire::new();
    for host in ["10.0.0.5", "10.0.0.6", "10.0.0.7"] {
        for _ in 0..3 {
            let flow = wire.connect(host, OUTSIDE, 25);
            wire.message(&flow, 1, vec![]);
        }
    }
    assert_eq!((wire.correlator.report().mailing_hosts, wire.correlator.suspects()), (3, [0; 3]));
    worm(&mut wire, "10.0.0.5", 1);
    (1..=3).for_each(|n| drop(wire.deliver("10.0.0.6", OUTSIDE_RESOLVER, n, false)));
    assert_eq!(wire.correlator.suspects(), [0, 1, 1], "by verdict, the clean left out");
}

#[test]
fn what_is_remembered_of_hosts_and_floods_is_accounted_for() {
    let settings = CorrelatorSettings { joins_floods: true, ..CorrelatorSettings::default() };
    let mut wire = Wire::with(settings, Arc::new(Book));
    worm(&mut wire, HOST, 1);
    let before = wire.correlator.stats();
    assert!(before.bytes >= before.entries * limits::HOST_ENTRY_COST as u64, "{before:?}");
    assert!(before.bytes < 1 << 20, "{before:?}");
    let flood = Flood { syns: 30, echoes: 0, port: Some(80), since: wire.now, last: wire.now };
    for n in 1..=100 {
        let flow = wire.flow(HOST, &format!("203.0.113.{n}"), 80);
        wire.feed(Some(&flow), EventKind::Flood(Box::new(flood)), &Findings::default());
    }
    let pairs = wire.correlator.stats().bytes - before.bytes;
    assert!(pairs >= 100 * limits::HOST_ENTRY_COST as u64, "{pairs}");
}

#[test]
fn a_message_that_breaks_a_policy_proves_no_infection() {
    let mut wire = Wire::new();
    let flow = wire.connect(HOST, OUTSIDE, 25);
    (0..9).for_each(|_| wire.message(&flow, 1, vec![hit(POLICY)]));
    assert_eq!((wire.verdict(HOST), wire.incidents().len()), (Verdict::Clean, 0));
    assert!(wire.alerts().iter().any(|alert| alert.rule == "exe-in-zip"), "it is told all the same");
}
