//! `direct-to-mx` by events, and whom it leaves alone.

use super::wire::*;
use super::*;

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
