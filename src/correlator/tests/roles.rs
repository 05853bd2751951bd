//! Who is taken for a mail server, and what that changes.

use super::wire::*;
use crate::model::alert::{Figure, Severity, Verdict};

#[test]
fn one_inbound_connection_buys_a_worm_nothing() {
    let mut wire = Wire::new();
    wire.serve(HOST, 1);
    for n in 1..=5 {
        let flow = wire.deliver(HOST, OUTSIDE_RESOLVER, n, true);
        wire.wait(3);
        wire.message(&flow, 1, vec![hit(WORM)]);
    }
    assert_eq!(wire.verdict(HOST), Verdict::Infected);
    let worst: Vec<Severity> =
        wire.alerts().iter().filter(|alert| alert.rule == "mimail-c").map(|alert| alert.severity).collect();
    let (given, own) = (Severity::High, Severity::Critical);
    assert_eq!(worst, [given, given, given, own, own], "it was brought nothing, so the fourth cannot be another's");
    let evidence = &wire.alerts().iter().find(|alert| alert.rule == "mimail-c").unwrap().evidence[0];
    assert_eq!(*figure(evidence, "position"), Figure::Text("sender-or-carrier".into()));
    assert!(evidence.text.contains("it may be a mail server: greeted 1 client on port 25"), "{}", evidence.text);
}

#[test]
fn a_young_relay_that_passes_on_what_it_is_given_is_not_judged() {
    let mut wire = Wire::new();
    for n in 1..=50 {
        let given = wire.connect("10.0.0.9", SERVER, 25);
        wire.greet(&given);
        wire.message(&given, 1, vec![]);
        let flow = wire.connect(SERVER, &format!("203.0.113.{n}"), 25);
        wire.message(&flow, 1, vec![hit(WORM)]);
        wire.wait(3);
    }
    assert_eq!(wire.verdict(SERVER), Verdict::Clean);
}

#[test]
fn greetings_after_the_verdict_do_not_clear_it() {
    let mut wire = Wire::new();
    let flow = wire.connect(HOST, OUTSIDE, 25);
    wire.message(&flow, 1, vec![hit(WORM)]);
    assert_eq!(wire.verdict(HOST), Verdict::Infected);
    wire.serve(HOST, 10);
    let flow = wire.connect(HOST, OUTSIDE, 25);
    wire.message(&flow, 1, vec![hit(WORM)]);
    let last = wire.alerts().pop().unwrap();
    assert_eq!((last.rule.as_str(), last.severity), ("mimail-c", Severity::Critical));
    assert_eq!(wire.correlator.report().hosts.iter().find(|host| host.host == ip(HOST)).unwrap().role, None);
}

#[test]
fn a_fresh_server_is_at_most_medium_until_it_has_greeted_enough_and_clean_then() {
    let mut wire = Wire::new();
    wire.serve(SERVER, 1);
    for n in 1..=60 {
        let flow = wire.deliver(SERVER, RESOLVER, n, false);
        wire.message(&flow, 1, vec![]);
        assert!(wire.alerts().iter().all(|alert| alert.severity == Severity::Low), "more clients may come");
        wire.wait(5);
    }
    wire.wait(1_600);
    for n in 1..=60 {
        let flow = wire.deliver(SERVER, RESOLVER, n, false);
        wire.message(&flow, 1, vec![]);
        wire.wait(5);
    }
    let worst = wire.alerts().iter().map(|alert| alert.severity).min();
    assert_eq!((worst, wire.verdict(SERVER)), (Some(Severity::Medium), Verdict::Suspicious), "{:?}", wire.short());
    let said = wire.alerts().len();
    wire.serve(SERVER, 3);
    for n in 61..=120 {
        wire.deliver(SERVER, RESOLVER, n, false);
        wire.wait(5);
    }
    assert_eq!(wire.alerts().len(), said);
    assert!(wire.correlator.report().hosts[0].role.as_ref().unwrap().starts_with("mail server: greeted 3 clients"));
}

#[test]
fn a_server_seen_to_greet_two_is_at_most_low() {
    let mut wire = Wire::new();
    wire.serve(SERVER, 2);
    for n in 1..=60 {
        let flow = wire.deliver(SERVER, RESOLVER, n, false);
        wire.message(&flow, 1, vec![]);
        wire.wait(3);
    }
    assert!(wire.alerts().iter().all(|alert| alert.severity == Severity::Low), "{:?}", wire.short());
    assert_eq!(wire.verdict(SERVER), Verdict::Clean);
}
