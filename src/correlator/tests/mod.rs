//! Scenarios by hand-built events: what is said of whom, and what is not.

mod cases;
mod fanout;
mod floods;
mod guessing;
mod identity;
mod invariants;
mod policy;
mod roles;
mod spreading;
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
fn an_admins_manual_test_is_at_most_low() {
    let mut wire = Wire::new();
    for name in ["one.example", "two.example", "three.example", "four.example"] {
        let mx = DnsData::Mx { preference: 10, exchange: format!("mx.{name}").into() };
        wire.ask(HOST, OUTSIDE_RESOLVER, name, QTYPE_MX, Some(mx), false);
    }
    assert_eq!(wire.short(), [], "questions alone are counted, not told");
    for _ in 0..5 {
        let flow = wire.deliver(HOST, OUTSIDE_RESOLVER, 1, false);
        wire.message(&flow, 1, vec![]);
        wire.wait(20);
    }
    assert_eq!(wire.short(), [alert("direct-to-mx", Severity::Low, HOST)]);
    assert_eq!(wire.verdict(HOST), Verdict::Clean);
    assert_eq!(wire.correlator.report().hosts[0].mx_lookups, 9);
}

#[test]
fn three_domains_by_whole_chains_are_high_whoever_resolves_and_over_which_transport() {
    for (resolver, over_tcp) in [(OUTSIDE_RESOLVER, false), (OUTSIDE_RESOLVER, true), (RESOLVER, false)] {
        let mut wire = Wire::new();
        for n in 1..=5 {
            wire.deliver(HOST, resolver, n, over_tcp);
            wire.wait(3);
        }
        assert_eq!(
            wire.short(),
            [alert("direct-to-mx", Severity::Low, HOST), alert("direct-to-mx", Severity::High, HOST)]
        );
        let evidence = &wire.alerts()[1].evidence[0];
        assert_eq!(*figure(evidence, "domains"), Figure::Count(3));
        assert_eq!(*figure(evidence, "connections"), Figure::Count(3));
        let chains = [
            "d1.example > MX mx.d1.example > 203.0.113.1 port 25",
            "d3.example > MX mx.d3.example > 203.0.113.3 port 25",
        ];
        assert_eq!(*figure(evidence, "chains"), Figure::List(chains.map(String::from).to_vec()));
        assert_eq!(wire.verdict(HOST), Verdict::Suspicious);
        assert_eq!(wire.verdict(resolver), Verdict::Clean);
        let report = wire.correlator.report();
        assert_eq!(
            *figure(&report.hosts[0].evidence[0], "domains_in_all"),
            Figure::Count(5),
            "as it stands at the end"
        );
    }
}

#[test]
fn three_domains_spread_over_a_day_are_low() {
    let mut wire = Wire::new();
    for n in 1..=9 {
        wire.deliver(HOST, OUTSIDE_RESOLVER, n, false);
        wire.wait(2_000);
    }
    assert!(wire.alerts().iter().all(|alert| alert.severity == Severity::Low));
    assert_eq!(wire.verdict(HOST), Verdict::Clean);
    assert_eq!(wire.alerts().len(), 5, "one in an hour: at 0, 4,000, 8,000, 12,000 and 16,000 s");
}

/// Slower than three in a window, but as many in a day as nobody tries by hand.
#[test]
fn twelve_domains_within_a_day_are_high_however_slowly() {
    for (pause, worst) in [(7_800, Severity::High), (7_900, Severity::Low)] {
        let mut wire = Wire::new();
        for n in 1..=12 {
            assert!(wire.alerts().iter().all(|alert| alert.severity == Severity::Low), "{n}");
            wire.wait(pause);
            wire.deliver(HOST, OUTSIDE_RESOLVER, n, false);
        }
        // Eleven pauses: 85,800 s are less than a day, 86,900 s are more.
        let last = wire.alerts().pop().unwrap();
        let text = &last.evidence[0].text;
        assert_eq!(last.severity, worst);
        assert_eq!(text.contains(", 12 within a day (high from 12)"), worst == Severity::High, "{text}");
    }
    let mut fast = Wire::new();
    (1..=12).for_each(|n| drop(fast.deliver(HOST, OUTSIDE_RESOLVER, n, false)));
    fast.wait(3_600);
    fast.deliver(HOST, OUTSIDE_RESOLVER, 13, false);
    let text = fast.alerts().pop().unwrap().evidence[0].text.clone();
    assert!(text.contains("13 within a day"), "the window is over, the day is not: {text}");
}

#[test]
fn an_outbreak_is_dated_from_its_first_delivery_not_from_last_winters_test() {
    let mut wire = Wire::new();
    wire.deliver(HOST, OUTSIDE_RESOLVER, 9, false);
    wire.wait(100 * 86_400);
    let began = wire.now;
    for n in 1..=3 {
        wire.deliver(HOST, OUTSIDE_RESOLVER, n, false);
        wire.wait(3);
    }
    wire.correlator.finish(&mut wire.said);
    let last = wire.incidents()[1];
    assert_eq!((last.first_seen, last.last_seen), (began, began.plus(std::time::Duration::from_secs(6))));
    assert_eq!(wire.correlator.report().hosts[0].since, began);
}

#[test]
fn connections_without_visible_questions_are_weaker_evidence() {
    let mut wire = Wire::new();
    for network in 1..=9 {
        wire.connect(HOST, &format!("203.0.{network}.25"), 25);
    }
    assert_eq!(
        wire.short(),
        [alert("direct-to-mx", Severity::Low, HOST), alert("direct-to-mx", Severity::Medium, HOST)]
    );
    let text = &wire.alerts()[1].evidence[0].text;
    assert!(text.contains("only connections were seen, no MX question"), "{text}");

    let mut farm = Wire::new();
    for last in 1..=9 {
        farm.connect(HOST, &format!("203.0.113.{last}"), 25);
    }
    assert_eq!(farm.short(), [alert("direct-to-mx", Severity::Low, HOST)], "neighbours are one provider");
}

#[test]
fn submission_to_providers_is_a_clients_right() {
    let mut wire = Wire::new();
    for network in 1..=9 {
        for port in [465, 587] {
            let flow = wire.connect(HOST, &format!("203.0.{network}.25"), port);
            wire.message(&flow, 1, vec![]);
        }
    }
    assert_eq!(wire.short(), []);
    assert_eq!(wire.correlator.report().hosts[0].messages, 18);
}

#[test]
fn refused_and_unanswered_connections_deliver_nothing() {
    let mut wire = Wire::new();
    for network in 1..=9 {
        for outcome in [ConnectOutcome::Refused, ConnectOutcome::Unanswered] {
            let flow = wire.flow(HOST, &format!("203.0.{network}.25"), 25);
            wire.feed(Some(&flow), EventKind::Connect(outcome), &Findings::default());
        }
    }
    assert_eq!(wire.short(), []);
}

#[test]
fn a_flow_that_was_open_before_the_capture_counts_once() {
    let mut wire = Wire::new();
    let flow = wire.flow(HOST, OUTSIDE, 25);
    let flow = Arc::new(Flow { midstream: true, ..(*flow).clone() });
    wire.message(&flow, 1, vec![]);
    wire.message(&flow, 1, vec![]);
    assert_eq!(*figure(&wire.alerts()[0].evidence[0], "connections"), Figure::Count(1));
    assert_eq!(wire.short(), [alert("direct-to-mx", Severity::Low, HOST)]);
}

#[test]
fn a_newsletter_server_is_at_most_low() {
    let mut wire = Wire::new();
    wire.serve(SERVER, 3);
    for round in 0..20 {
        for n in 1..=100 {
            let flow = wire.deliver(SERVER, RESOLVER, n, false);
            wire.message(&flow, 5, vec![]);
            wire.end(&flow, 200);
        }
        wire.wait(30 + round);
    }
    // Three clients are known: six times an ordinary host's ceilings. Two windows are passed.
    assert_eq!(wire.short(), vec![alert("mail-volume", Severity::Low, SERVER); 2]);
    let report = &wire.correlator.report().hosts[0];
    assert_eq!((report.messages, report.recipients, report.mail_bytes), (2_000, 10_000, 2_400_000));
    assert!(report.role.as_ref().unwrap().contains("took 3 messages from 3 networks outside on port 25"));
}

#[test]
fn a_host_that_becomes_a_mail_server_is_left_alone_from_then_on() {
    let mut wire = Wire::new();
    wire.deliver(SERVER, RESOLVER, 1, false);
    wire.serve(SERVER, 3);
    for n in 2..=9 {
        wire.deliver(SERVER, RESOLVER, n, false);
    }
    assert_eq!(wire.short(), [alert("direct-to-mx", Severity::Low, SERVER)]);
}

#[test]
fn greeting_oneself_or_refusing_is_no_role() {
    let mut wire = Wire::new();
    let own = wire.connect(HOST, HOST, 25);
    wire.greet(&own);
    let inbound = wire.connect(OUTSIDE, HOST, 25);
    let refusal = Reply { code: 554, text: "no service".into() };
    wire.feed(Some(&inbound), EventKind::Greeting(refusal), &Findings::default());
    let web = wire.connect(OUTSIDE, HOST, 2121);
    wire.greet(&web);
    let flow = wire.connect(HOST, OUTSIDE, 25);
    wire.message(&flow, 1, vec![hit(WORM)]);
    assert_eq!(wire.verdict(HOST), Verdict::Infected);
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
fn mail_volume_is_told_once_a_window_and_each_ceiling_counts() {
    let ceilings = settings::MailVolume {
        window_seconds: 100,
        messages: 1_000,
        recipients: 1_000,
        bytes: 4_500,
        connections: 3,
        server_factor: 10,
        ..settings::MailVolume::default()
    };
    let detect = DetectSettings { mail_volume: ceilings, ..DetectSettings::default() };
    let mut wire = Wire::with(CorrelatorSettings { detect, ..CorrelatorSettings::default() }, Arc::new(NoRules));
    for _ in 0..30 {
        let flow = wire.connect(HOST, OUTSIDE, 587);
        wire.message(&flow, 1, vec![]);
        wire.wait(10);
    }
    assert_eq!(wire.short(), vec![alert("mail-volume", Severity::Medium, HOST); 3]);
    let passed = |at: usize| figure(&wire.alerts()[at].evidence[0], "passed").clone();
    assert_eq!(passed(0), Figure::List(vec!["4 connections (ceiling 3)".into()]));
    assert_eq!(passed(1), Figure::List(vec!["9000 bytes (ceiling 4500)".into(), "10 connections (ceiling 3)".into()]));
}

/// Sends so many messages in each window of 600 s, through a provider.
fn windows(wire: &mut Wire, counts: impl IntoIterator<Item = usize>) {
    for count in counts {
        for _ in 0..count {
            let flow = wire.connect(HOST, OUTSIDE, 587);
            wire.message(&flow, 1, vec![]);
        }
        wire.wait(600);
    }
}

#[test]
fn a_host_is_compared_with_what_is_usual_for_it() {
    let mut sudden = Wire::new();
    windows(&mut sudden, [4, 5, 6].repeat(5));
    windows(&mut sudden, [30]);
    assert_eq!(sudden.short(), [alert("mail-volume", Severity::Medium, HOST)]);
    let passed = figure(&sudden.alerts()[0].evidence[0], "passed");
    let Figure::List(passed) = passed else { panic!("{passed:?}") };
    // Median 5, deviation 1.4826 of one message, 5 of them: 12.4; but half the ceiling at the least.
    assert!(passed[0].starts_with("26 messages (bound 25: usual for this host are 5, deviation 1.5"), "{passed:?}");

    let mut small = Wire::new();
    windows(&mut small, [1, 1, 2].repeat(5));
    windows(&mut small, [20]);
    let mut busy = Wire::new();
    windows(&mut busy, [30, 35, 40, 28].repeat(10));
    let mut young = Wire::new();
    windows(&mut young, [2, 40, 2, 40, 2, 40]);
    assert_eq!((small.short(), busy.short(), young.short()), (vec![], vec![], vec![]));
}

/// A mail merge: its server, in the house, knows who it was.
#[test]
fn what_is_handed_in_at_home_is_low_up_to_four_times_the_ceiling() {
    let worst = |count: usize, port: u16| {
        let mut wire = Wire::new();
        for _ in 0..count {
            let flow = wire.connect(HOST, SERVER, port);
            wire.message(&flow, 1, vec![]);
            wire.wait(1);
        }
        wire.alerts().iter().map(|alert| alert.severity).min()
    };
    assert_eq!([50, 51, 200].map(|count| worst(count, 587)), [None, Some(Severity::Low), Some(Severity::Low)]);
    assert_eq!(worst(201, 587), Some(Severity::Medium), "more than a mail merge");
    assert_eq!(worst(51, 25), Some(Severity::Medium), "without a password");
}

/// By hand: median 20 and no spread, so a tenth of it is the deviation, and five of those are allowed: 30.
#[test]
fn as_much_as_its_bound_is_usual_and_one_message_more_is_not() {
    for (count, told) in [(30, 0), (31, 1)] {
        let mut wire = Wire::new();
        windows(&mut wire, [20; 12]);
        windows(&mut wire, [count]);
        assert_eq!(wire.alerts().len(), told, "{count}");
    }
}

#[test]
fn a_window_past_its_ceiling_does_not_become_usual() {
    let mut wire = Wire::new();
    windows(&mut wire, [60; 6]);
    windows(&mut wire, [5; 12]);
    let before = wire.alerts().len();
    windows(&mut wire, [30]);
    assert_eq!(wire.alerts().len(), before + 1);
    let text = &wire.alerts()[before].evidence[0].text;
    assert!(text.contains("usual for this host are 5"), "{text}");
}

#[test]
fn a_slow_ramp_is_seen() {
    let mut wire = Wire::new();
    // One message more every six windows, which is an hour: never twice as many as the hour before.
    windows(&mut wire, (0..270).map(|window| 3 + window / 6));
    assert!(wire.short().contains(&alert("mail-volume", Severity::Medium, HOST)));
    assert!(wire.alerts()[0].evidence[0].text.contains("usual for this host"));
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
