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
