//! Scenarios by hand-built events: what is said of whom, and what is not.

mod cases;
mod direct;
mod fanout;
mod floods;
mod guessing;
mod identity;
mod invariants;
mod policy;
mod roles;
mod spreading;
mod volume;
mod wire;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::*;
use crate::model::alert::Figure;
use crate::model::event::{ConnectOutcome, DnsData, DnsQuestion, Reply};
use crate::model::net::Flow;
use crate::model::rulebook::NoRules;
use crate::model::settings;
use crate::model::stats::SensorStats;

use wire::*;

#[test]
fn an_infected_host_is_named_with_its_figures_and_closed_at_the_end() {
    let mut wire = Wire::new();
    wire.tick(10_000);
    let flow = wire.deliver(HOST, OUTSIDE_RESOLVER, 1, true);
    wire.wait(3);
    wire.message(&flow, 1, vec![hit(WORM)]);
    wire.end(&flow, 200);
    wire.tick(4_800);
    assert_eq!(wire.short(), [alert("direct-to-mx", Severity::Low, HOST), alert("mimail-c", Severity::Critical, HOST)]);
    let worm = wire.alerts()[1];
    assert_eq!((worm.sid, worm.rev, worm.remediation.as_str()), (100, 2, "Delete unopened; patch (MS03-014)."));
    assert_eq!(*figure(&worm.evidence[0], "position"), Figure::Text("sender".into()));
    assert!(worm.evidence[0].text.contains("10.0.0.5, which is no mail server, sent"), "{}", worm.evidence[0].text);
    assert_eq!(*figure(&worm.evidence[0], "matched"), Figure::List(vec![r#"attachment.name "photos.zip""#.into()]));
    let first = wire.incidents()[0];
    assert_eq!((first.id, first.host, first.verdict, first.closed), (1, ip(HOST), Verdict::Infected, false));

    wire.correlator.finish(&mut wire.said);
    let incidents = wire.incidents();
    let last = incidents[1];
    assert_eq!((incidents.len(), last.id, last.verdict, last.closed), (2, 1, Verdict::Infected, true));
    assert_eq!((last.messages, last.recipients, last.mail_bytes, last.mx_lookups), (1, 1, 1_200, 1));
    assert_eq!(last.share_of_link, 0.25, "1,200 of the 4,800 bytes since its first mail");
    assert_eq!(last.role, None);
    assert_eq!(last.evidence[0].source, "mimail-c", "strongest first");
    assert!(!last.evidence[0].text.contains("alerts since"), "it was one: {}", last.evidence[0].text);
    let steps: Vec<&str> = last.timeline.iter().map(|moment| moment.text.as_str()).collect();
    assert_eq!(
        steps,
        [
            "first MX lookup (d1.example)",
            "first mail flow (to 203.0.113.1:25)",
            "first direct-to-mx at low",
            "first message",
            "first mimail-c at critical",
            "verdict: infected (mimail-c)",
        ]
    );
}

#[test]
fn every_message_that_matches_is_an_alert_and_the_verdict_is_told_once() {
    let mut wire = Wire::new();
    for _ in 0..3 {
        let flow = wire.connect(HOST, OUTSIDE, 25);
        wire.message(&flow, 1, vec![hit(WORM), hit(POLICY)]);
        wire.wait(3);
    }
    let count = |rule: &str| wire.alerts().iter().filter(|alert| alert.rule == rule).count();
    assert_eq!((count("mimail-c"), count("exe-in-zip"), wire.incidents().len()), (3, 3, 1));
    let alerts = wire.correlator.report().alerts;
    assert_eq!(
        alerts,
        [
            ("mimail-c".into(), Severity::Critical, 3),
            ("direct-to-mx".into(), Severity::Low, 1),
            ("exe-in-zip".into(), Severity::Low, 3),
        ]
    );
    let report = wire.correlator.report();
    assert!(report.hosts[0].evidence[0].text.contains("3 alerts since 2003-10-31T12:00:00"), "{report:?}");
}

#[test]
fn a_worm_within_the_house_is_as_bad_as_outbound() {
    let mut wire = Wire::new();
    let flow = wire.connect(HOST, SERVER, 25);
    wire.greet(&flow);
    wire.message(&flow, 1, vec![hit(WORM)]);
    assert_eq!(wire.short(), [alert("mimail-c", Severity::Critical, HOST)]);
    assert_eq!((wire.verdict(HOST), wire.verdict(SERVER)), (Verdict::Infected, Verdict::Clean));
}

#[test]
fn a_relay_is_not_judged_for_what_it_passes_on() {
    let mut learnt = Wire::new();
    learnt.serve(SERVER, 3);
    let nets = vec!["10.0.0.24/29".parse().unwrap()];
    let declared = CorrelatorSettings { mail_servers: nets, ..CorrelatorSettings::default() };
    for (mut wire, why) in [
        (learnt, "took 3 messages from 3 networks outside on port 25"),
        (Wire::with(declared, Arc::new(Book)), "declared"),
    ] {
        let flow = wire.deliver(SERVER, OUTSIDE_RESOLVER, 1, false);
        wire.message(&flow, 1, vec![hit(WORM)]);
        assert_eq!(wire.short(), [alert("mimail-c", Severity::High, SERVER)]);
        let evidence = &wire.alerts()[0].evidence[0];
        assert!(evidence.text.contains("relayed") && evidence.text.contains(why), "{}", evidence.text);
        assert_eq!(*figure(evidence, "position"), Figure::Text("carrier".into()));
        assert_eq!((wire.verdict(SERVER), wire.incidents().len()), (Verdict::Clean, 0));
    }
}

#[test]
fn an_arrival_judges_nobody() {
    let mut wire = Wire::new();
    let flow = wire.connect(OUTSIDE, SERVER, 25);
    wire.greet(&flow);
    wire.message(&flow, 1, vec![hit(WORM)]);
    assert_eq!(wire.short(), [alert("mimail-c", Severity::High, SERVER)]);
    assert_eq!(*figure(&wire.alerts()[0].evidence[0], "position"), Figure::Text("target".into()));
    wire.correlator.finish(&mut wire.said);
    assert_eq!((wire.verdict(SERVER), wire.incidents().len()), (Verdict::Clean, 0));
}

#[test]
fn a_message_between_strangers_is_about_no_host() {
    let mut wire = Wire::new();
    let flow = wire.connect("192.0.2.1", OUTSIDE, 25);
    wire.message(&flow, 1, vec![hit(WORM)]);
    assert_eq!(wire.short(), [("mimail-c".into(), Severity::High, None)]);
    assert_eq!(wire.correlator.stats().hosts, 0);
}

#[test]
fn two_behaviours_without_content_are_infection() {
    let mut wire = Wire::with(CorrelatorSettings::default(), Arc::new(NoRules));
    wire.tick(1_000_000);
    for round in 0..60 {
        let flow = wire.deliver(HOST, OUTSIDE_RESOLVER, round % 20 + 1, true);
        wire.message(&flow, 1, vec![]);
        wire.tick(5_000);
        wire.wait(3);
    }
    let expected = [
        alert("direct-to-mx", Severity::Low, HOST),
        alert("direct-to-mx", Severity::High, HOST),
        alert("mail-volume", Severity::Medium, HOST),
    ];
    assert_eq!(wire.short(), expected);
    let volume = &wire.alerts()[2].evidence[0];
    assert_eq!(*figure(volume, "messages"), Figure::Count(51));
    assert_eq!(*figure(volume, "passed"), Figure::List(vec!["51 messages (ceiling 50)".into()]));
    assert_eq!(*figure(volume, "bytes_in_all"), Figure::Count(51_000));
    // The 51st message came before the tick of its round: 50 ticks of 5,000 bytes.
    assert_eq!(*figure(volume, "share_of_link"), Figure::Real(51_000.0 / 250_000.0));
    let verdicts: Vec<_> = wire.incidents().iter().map(|incident| (incident.id, incident.verdict)).collect();
    assert_eq!(verdicts, [(1, Verdict::Suspicious), (1, Verdict::Infected)]);
    let sources: Vec<_> = wire.incidents()[1].evidence.iter().map(|evidence| evidence.source.clone()).collect();
    assert_eq!(sources, ["direct-to-mx", "mail-volume"]);
    assert_eq!(wire.incidents()[1].last_seen, wire.alerts()[2].time);
}

#[test]
fn a_name_rule_alerts_once_a_window_and_is_one_behaviour() {
    let mut wire = Wire::new();
    for _ in 0..100 {
        wire.ask(HOST, RESOLVER, "www.darkprofits.com", 1, None, true);
        wire.wait(11);
    }
    assert_eq!(wire.short(), vec![alert("mimail-c-dos", Severity::High, HOST); 2], "at 0 and after 600 s");
    assert_eq!(wire.verdict(HOST), Verdict::Suspicious);
    wire.correlator.finish(&mut wire.said);
    assert_eq!(wire.incidents()[1].last_seen, Timestamp::from_parts(1_067_601_600 + 99 * 11, 0));
}

#[test]
fn a_forged_question_makes_nobody_suspicious_and_a_host_that_mails_is_told_at_once() {
    let mut wire = Wire::new();
    wire.ask(HOST, RESOLVER, "www.darkprofits.com", 1, None, false);
    wire.wait(1);
    wire.ask(HOST, RESOLVER, "www.darkprofits.com", 1, None, false);
    assert_eq!(wire.short(), [alert("mimail-c-dos", Severity::Low, HOST)]);
    assert_eq!((wire.verdict(HOST), wire.incidents().len()), (Verdict::Clean, 0));
    wire.connect(HOST, OUTSIDE, 587);
    wire.ask(HOST, RESOLVER, "www.darkprofits.com", 1, None, false);
    assert_eq!(wire.short()[1], alert("mimail-c-dos", Severity::High, HOST));
    assert_eq!(wire.verdict(HOST), Verdict::Suspicious);
}

#[test]
fn a_host_that_never_mailed_is_reported_with_the_time_of_its_question() {
    let mut wire = Wire::new();
    wire.ask(HOST, RESOLVER, "www.darkprofits.com", 1, None, false);
    let host = &wire.correlator.report().hosts[0];
    assert_eq!((host.host, host.since, host.last_seen), (ip(HOST), wire.now, wire.now));
}

#[test]
fn a_resolver_that_asks_for_others_is_not_judged() {
    let mut wire = Wire::new();
    wire.ask(HOST, RESOLVER, "www.example.net", 1, Some(DnsData::A([203, 0, 113, 9].into())), false);
    wire.ask(RESOLVER, OUTSIDE_RESOLVER, "darkprofits.com", 1, None, false);
    assert_eq!(wire.short(), [alert("mimail-c-dos", Severity::High, RESOLVER)]);
    assert!(wire.alerts()[0].evidence[0].text.contains("answers names for others"));
    assert_eq!((wire.verdict(RESOLVER), wire.incidents().len()), (Verdict::Clean, 0));
}

#[test]
fn an_address_mapped_into_ipv6_is_the_same_host() {
    let mut wire = Wire::new();
    for n in 1..=3 {
        let (domain, exchanger) = (format!("d{n}.example"), format!("mx.d{n}.example"));
        let mx = DnsData::Mx { preference: 10, exchange: exchanger.as_str().into() };
        wire.ask("::ffff:10.0.0.5", OUTSIDE_RESOLVER, &domain, QTYPE_MX, Some(mx), false);
        wire.ask(HOST, OUTSIDE_RESOLVER, &exchanger, 1, Some(DnsData::A([203, 0, 113, n].into())), false);
        wire.connect(HOST, &format!("::ffff:203.0.113.{n}"), 25);
    }
    assert_eq!(wire.short().last().unwrap(), &alert("direct-to-mx", Severity::High, HOST));
}

#[test]
fn sources_count_their_bytes_apart() {
    let mut wire = Wire::new();
    for (source, bytes) in [(0, 1_000), (1, 500), (0, 3_000), (1, 600)] {
        let mut stats = SensorStats::default();
        stats.capture.bytes = bytes;
        stats.dns.queries = 1;
        let kind = EventKind::Tick(Box::new(stats));
        let event = Event { seq: 0, time: wire.now, source, file: 0, packet: 0, flow: None, kind };
        wire.correlator.take(&event, &Findings::default(), &mut wire.said);
    }
    let sensor = wire.correlator.report().sensor;
    assert_eq!((sensor.capture.bytes, sensor.dns.queries), (3_600, 2));
}

#[test]
fn the_same_events_say_the_same_in_every_run() {
    let run = |order: &[u8]| {
        let mut wire = Wire::new();
        // Hosts of no interest come in another order; what is said and reported stays.
        for n in order {
            wire.connect(&format!("10.0.9.{n}"), OUTSIDE, 587);
        }
        for n in 1..=40 {
            let client = format!("10.0.1.{n}");
            for domain in 1..=4 {
                let flow = wire.deliver(&client, RESOLVER, domain * 50 + n % 40, true);
                wire.message(&flow, 60, vec![hit(POLICY)]);
            }
        }
        wire.correlator.finish(&mut wire.said);
        format!("{:?} {:?}", wire.said, wire.correlator.report())
    };
    let forward: Vec<u8> = (0..=200).collect();
    let backward: Vec<u8> = forward.iter().rev().copied().collect();
    let first = run(&forward);
    assert_eq!(first, run(&forward), "another hash key");
    assert_eq!(first, run(&backward), "another order of arrival");
}

#[test]
fn a_million_spoofed_hosts_do_not_push_out_the_one_that_matters() {
    let home = HomeNet::new(vec!["10.0.0.0/8".parse().unwrap()]);
    let settings = CorrelatorSettings { home, hosts: 1_000, ..CorrelatorSettings::default() };
    let mut wire = Wire::with(settings, Arc::new(Book));
    wire.serve(SERVER, 3);
    for n in 1..=3 {
        wire.deliver(HOST, OUTSIDE_RESOLVER, n, false);
    }
    let question = EventKind::Dns(Box::new(DnsMessage {
        queries: smallvec::smallvec![DnsQuestion { name: "d1.example".into(), qtype: QTYPE_MX }],
        ..DnsMessage::default()
    }));
    let flow = wire.flow(HOST, OUTSIDE_RESOLVER, 53);
    let mut event = Event { seq: 0, time: wire.now, source: 0, file: 0, packet: 1, flow: None, kind: question };
    for number in 0..1_000_000_u32 {
        let client = SocketAddr::new(IpAddr::from((0x0a10_0000 + number).to_be_bytes()), 1_024);
        event.flow = Some(Arc::new(Flow { client, ..(*flow).clone() }));
        wire.correlator.take(&event, &Findings::default(), &mut wire.said);
    }
    let stats = wire.correlator.stats();
    assert_eq!((stats.hosts, stats.hosts_evicted), (1_000, 1_000_003 - 1_000 - 1));
    assert_eq!(wire.verdict(HOST), Verdict::Suspicious);
    let flow = wire.deliver(SERVER, OUTSIDE_RESOLVER, 1, false);
    wire.message(&flow, 1, vec![hit(WORM)]);
    assert_eq!(wire.verdict(SERVER), Verdict::Clean, "its role was kept");
}

#[test]
fn what_hosts_remember_is_bounded_together_and_an_evicted_case_is_closed() {
    let settings = CorrelatorSettings { host_entries: 300, ..CorrelatorSettings::default() };
    let mut wire = Wire::with(settings, Arc::new(Book));
    for n in 1..=200 {
        let client = format!("10.0.1.{n}");
        for domain in 1..=3 {
            wire.deliver(&client, OUTSIDE_RESOLVER, domain, false);
        }
        assert!(wire.correlator.stats().entries <= 300);
    }
    let closed = wire.incidents().iter().filter(|incident| incident.closed).count() as u64;
    assert_eq!(closed, wire.correlator.stats().hosts_evicted);
    wire.correlator.finish(&mut wire.said);
    let mut closed: Vec<u64> =
        wire.incidents().iter().filter(|incident| incident.closed).map(|incident| incident.id).collect();
    closed.sort_unstable();
    assert_eq!(closed, (1..=200).collect::<Vec<u64>>(), "each case is closed once");
}
