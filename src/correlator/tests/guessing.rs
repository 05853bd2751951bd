//! `mx-guessing` by events.

use std::sync::Arc;

use super::wire::*;
use crate::correlator::CorrelatorSettings;
use crate::model::alert::{Figure, Severity};
use crate::model::event::{DnsData, QTYPE_MX};
use crate::model::rulebook::NoRules;

fn wire() -> Wire {
    Wire::with(CorrelatorSettings::default(), Arc::new(NoRules))
}

fn worst(wire: &Wire) -> Option<Severity> {
    wire.alerts().iter().filter(|alert| alert.rule == "mx-guessing").map(|alert| alert.severity).min()
}

fn guess(wire: &mut Wire, n: u8) {
    for (label, qtype) in [("mx", 1), ("mail", 1), ("smtp", 28)] {
        let found = (label == "mail").then_some(DnsData::A([203, 0, n, 25].into()));
        wire.ask(HOST, RESOLVER, &format!("{label}.d{n}.example"), qtype, found, false);
    }
    wire.wait(4);
}

#[test]
fn five_domains_are_told_and_a_connection_proves_it() {
    let mut wire = wire();
    (1..=4).for_each(|n| guess(&mut wire, n));
    assert_eq!(worst(&wire), None);
    guess(&mut wire, 5);
    assert_eq!(worst(&wire), Some(Severity::Low), "questions can be forged");
    wire.connect(HOST, "203.0.5.25", 25);
    assert_eq!(worst(&wire), Some(Severity::High));
    let alert = wire.alerts().into_iter().find(|alert| alert.severity == Severity::High).unwrap();
    assert_eq!(*figure(&alert.evidence[0], "domains"), Figure::Count(5));
    assert_eq!(*figure(&alert.evidence[0], "connections"), Figure::Count(1));
    assert_eq!(*figure(&alert.evidence[0], "questions"), Figure::Count(15));
}

#[test]
fn slowly_or_with_questions_for_exchangers_is_silent() {
    let mut slow = wire();
    for n in 1..=20 {
        guess(&mut slow, n);
        slow.wait(200);
    }
    assert_eq!(worst(&slow), None);

    let mut before = wire();
    let mut after = wire();
    for n in 1..=20 {
        let (domain, exchanger) = (format!("d{n}.example"), format!("mail.h{n}.example"));
        let mx = DnsData::Mx { preference: 10, exchange: exchanger.as_str().into() };
        before.ask(HOST, RESOLVER, &domain, QTYPE_MX, Some(mx), false);
        before.ask(HOST, RESOLVER, &exchanger, 1, None, false);
        guess(&mut before, n);
        guess(&mut after, n.min(4));
        after.ask(HOST, RESOLVER, &format!("d{}.example", n.min(4)), QTYPE_MX, None, false);
    }
    assert_eq!((worst(&before), worst(&after)), (None, None));
}

#[test]
fn resolvers_and_mail_servers_ask_for_others() {
    let mut resolver = wire();
    resolver.ask("10.0.0.99", HOST, "www.example.net", 1, Some(DnsData::A([203, 0, 113, 9].into())), false);
    (1..=20).for_each(|n| guess(&mut resolver, n));
    let mut server = wire();
    server.serve(HOST, 3);
    (1..=20).for_each(|n| guess(&mut server, n));
    assert_eq!((worst(&resolver), worst(&server)), (None, None));
}

#[test]
fn only_mail_to_a_guessed_address_proves_it() {
    let mut wire = wire();
    (1..=5).for_each(|n| guess(&mut wire, n));
    wire.connect(HOST, "203.0.5.25", 587);
    wire.connect(HOST, "203.0.99.25", 25);
    assert_ne!(worst(&wire), Some(Severity::High));
    wire.connect(HOST, "203.0.5.25", 25);
    assert_eq!(worst(&wire), Some(Severity::High));
}

#[test]
fn a_look_at_the_website_of_a_domain_excuses_no_guess() {
    let mut wire = wire();
    for n in 1..=5 {
        wire.ask(HOST, RESOLVER, &format!("d{n}.example"), 1, None, false);
        guess(&mut wire, n);
    }
    assert_eq!(worst(&wire), Some(Severity::Low));
}

#[test]
fn guesses_are_dated_from_the_first_after_a_pause_of_an_hour() {
    for (pause, first) in [(3_000, "mx.d1.example"), (4_000, "mx.d2.example")] {
        let mut wire = wire();
        guess(&mut wire, 1);
        wire.wait(pause);
        (2..=6).for_each(|n| guess(&mut wire, n));
        let alert = wire.alerts().pop().unwrap();
        let Figure::List(names) = figure(&alert.evidence[0], "names") else { panic!("{alert:?}") };
        assert_eq!(names[0], first);
    }
}

#[test]
fn the_account_of_a_suspect_tells_its_guesses_as_they_stand_at_the_end() {
    let mut wire = wire();
    (1..=5).for_each(|n| guess(&mut wire, n));
    wire.connect(HOST, "203.0.5.25", 25);
    guess(&mut wire, 6);
    let report = wire.correlator.report();
    let account = report.hosts[0].evidence.iter().find(|evidence| evidence.source == "mx-guessing").unwrap();
    assert_eq!(*figure(account, "questions"), Figure::Count(18));
}

#[test]
fn a_guess_may_lead_to_an_ipv6_address() {
    let mut wire = wire();
    for n in 1..=5 {
        let found = DnsData::Aaaa(format!("2001:db8:{n}::25").parse().unwrap());
        wire.ask(HOST, RESOLVER, &format!("smtp.d{n}.example"), 28, Some(found), false);
    }
    wire.connect("fd00::5", "2001:db8:5::25", 25);
    assert_ne!(worst(&wire), Some(Severity::High), "another host");
    wire.connect(HOST, "2001:db8:5::25", 25);
    assert_eq!(worst(&wire), Some(Severity::High));
}

#[test]
fn questions_for_other_names_or_types_make_no_state() {
    let mut wire = wire();
    wire.ask(HOST, OUTSIDE_RESOLVER, "www.d.example", 1, None, false);
    wire.ask(HOST, OUTSIDE_RESOLVER, "mail.d.example", 16, None, false);
    assert_eq!(wire.correlator.stats().hosts, 0);
    wire.ask(HOST, OUTSIDE_RESOLVER, "mail.d.example", 28, None, false);
    assert_eq!(wire.correlator.stats().hosts, 1);
}

#[test]
fn only_who_answers_is_a_resolver() {
    let mut wire = wire();
    wire.ask("10.0.0.99", HOST, "www.example.net", 1, None, false);
    (1..=5).for_each(|n| guess(&mut wire, n));
    assert_eq!(worst(&wire), Some(Severity::Low));
}
