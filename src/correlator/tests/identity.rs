//! Which addresses are one host, and what that changes.

use std::sync::Arc;

use super::wire::*;
use crate::correlator::CorrelatorSettings;
use crate::model::alert::Verdict;
use crate::model::event::EventKind;
use crate::model::mail::Findings;
use crate::model::net::Mac;

const HOST6: &str = "fd00::5";
const ROUTER: u8 = 200;

/// An opening of a mail connection, over these hardware addresses, that is answered.
fn open(wire: &mut Wire, client: (&str, u8), server: (&str, u8)) -> Arc<crate::model::net::Flow> {
    let flow = wire.flow(client.0, server.0, 25);
    let mac = |last| Mac([2, 0, 0, 0, 0, last]);
    wire.feed(Some(&flow), EventKind::Hardware([mac(client.1), mac(server.1)]), &Findings::default());
    wire.feed(Some(&flow), EventKind::Connect(crate::model::event::ConnectOutcome::Answered), &Findings::default());
    flow
}

/// A link on which three hosts have hardware addresses of their own.
fn office() -> Wire {
    let mut wire = Wire::new();
    for last in 101..=103 {
        open(&mut wire, (&format!("10.0.0.{last}"), last), (OUTSIDE, ROUTER));
    }
    wire
}

fn hosts(wire: &Wire) -> Vec<String> {
    let report = wire.correlator.report();
    let mut hosts: Vec<String> = report.hosts.iter().map(|host| host.host.to_string()).collect();
    hosts.sort();
    hosts
}

#[test]
fn mail_over_both_families_is_one_hosts() {
    let mut wire = office();
    for n in 1..=10_u8 {
        let (client, server) =
            if n % 2 == 0 { (HOST, format!("203.0.{n}.25")) } else { (HOST6, format!("2001:db8:{n}::25")) };
        let flow = open(&mut wire, (client, 5), (&server, ROUTER));
        wire.message(&flow, 1, vec![hit(WORM)]);
        wire.wait(3);
    }
    let report = wire.correlator.report();
    let host = report.hosts.iter().find(|host| host.verdict == Verdict::Infected).unwrap();
    assert_eq!((host.messages, host.other_addresses.len()), (10, 1));
    let mut both = vec![host.host, host.other_addresses[0]];
    both.sort();
    assert_eq!(both, [ip(HOST), ip(HOST6)]);
    wire.correlator.finish(&mut wire.said);
    assert_eq!(wire.incidents().last().unwrap().other_addresses.len(), 1);
    assert_eq!(wire.correlator.stats().hosts, 4);
}

#[test]
fn a_role_earned_over_one_family_holds_over_the_other() {
    let mut wire = office();
    for client in 1..=3 {
        let flow = open(&mut wire, (&format!("192.0.{client}.1"), ROUTER), (SERVER, 25));
        wire.greet(&flow);
        wire.message(&flow, 1, vec![]);
        wire.wait(300);
    }
    for n in 1..=50 {
        let flow = open(&mut wire, ("fd00::25", 25), (&format!("2001:db8:{n}::25"), ROUTER));
        wire.message(&flow, 1, vec![]);
        wire.wait(3);
    }
    assert_eq!(wire.verdict(SERVER), Verdict::Clean);
    assert!(wire.alerts().iter().all(|alert| alert.host != Some(ip(SERVER)) && alert.host != Some(ip("fd00::25"))));
}

/// Both were known before the link was: what they did is joined, and of two incidents one goes on.
#[test]
fn two_cases_become_one_when_the_link_is_known() {
    let mut wire = Wire::new();
    for (client, network) in [(HOST, "203.0.{}.25"), (HOST6, "2001:db8:{}::25")] {
        for n in 1..=9 {
            let flow = open(&mut wire, (client, 5), (&network.replace("{}", &n.to_string()), ROUTER));
            wire.message(&flow, 1, vec![]);
            wire.wait(1);
        }
    }
    assert_eq!(wire.incidents().iter().map(|incident| incident.id).max(), Some(2));
    for last in 101..=103 {
        open(&mut wire, (&format!("10.0.0.{last}"), last), (OUTSIDE, ROUTER));
    }
    open(&mut wire, (HOST, 5), ("203.0.99.25", ROUTER));
    let report = wire.correlator.report();
    let both = report.hosts.iter().find(|host| host.host == ip(HOST)).unwrap();
    assert_eq!((both.messages, both.other_addresses.as_slice()), (18, [ip(HOST6)].as_slice()));
    wire.correlator.finish(&mut wire.said);
    let closed: Vec<u64> =
        wire.incidents().iter().filter(|incident| incident.closed).map(|incident| incident.id).collect();
    assert_eq!(closed, [2, 1]);
}

#[test]
fn behind_a_router_nobody_is_tied_and_a_wrong_tie_is_undone() {
    let mut wire = office();
    open(&mut wire, ("10.0.1.1", 50), (OUTSIDE, ROUTER));
    open(&mut wire, ("fd00:1::1", 50), ("2001:db8::25", ROUTER));
    assert_eq!(hosts(&wire).len(), 4, "as far as is known, one host");
    open(&mut wire, ("10.0.1.2", 50), (OUTSIDE, ROUTER));
    open(&mut wire, ("fd00:1::1", 50), ("2001:db8::25", ROUTER));
    let known = hosts(&wire);
    for address in ["10.0.1.1", "10.0.1.2", "fd00:1::1"] {
        assert!(known.iter().any(|host| host == address), "{address}: {known:?}");
    }
}

#[test]
fn a_declared_group_is_one_host_from_the_start() {
    let groups = vec![vec![ip(SERVER), ip("fd00::25")]];
    let settings = CorrelatorSettings {
        groups,
        mail_servers: vec!["fd00::25/128".parse().unwrap()],
        ..CorrelatorSettings::default()
    };
    let mut wire = Wire::with(settings, Arc::new(Book));
    for n in 1..=50 {
        let flow = wire.deliver(SERVER, RESOLVER, n, false);
        wire.message(&flow, 1, vec![]);
    }
    assert_eq!(wire.short(), [], "declared by its other address");
    let report = wire.correlator.report();
    assert_eq!(report.hosts[0].other_addresses, [ip("fd00::25")]);
    assert!(report.hosts[0].role.as_ref().unwrap().contains("declared (fd00::25/128)"));
}

/// An address that turns up behind another host's hardware address takes no history with it.
#[test]
fn an_address_that_changes_hands_brings_no_role_along() {
    let mut wire = office();
    for client in 1..=3 {
        let address = if client == 3 { "fd00::25" } else { SERVER };
        let flow = open(&mut wire, (&format!("192.0.{client}.1"), ROUTER), (address, 25));
        wire.greet(&flow);
        wire.message(&flow, 1, vec![]);
        wire.wait(300);
    }
    for n in 1..=9 {
        let flow = open(&mut wire, (HOST, 5), (&format!("203.0.{n}.25"), ROUTER));
        wire.message(&flow, 1, vec![]);
        let flow = open(&mut wire, ("fd00::25", 5), (&format!("2001:db8:{n}::25"), ROUTER));
        wire.message(&flow, 1, vec![]);
    }
    let report = wire.correlator.report();
    let find = |address: &str| report.hosts.iter().find(|host| host.host == ip(address)).unwrap();
    assert!(report.hosts.iter().all(|host| host.host != ip(SERVER)), "it sent nothing");
    assert_ne!(find(HOST).verdict, Verdict::Clean);
    assert_eq!(find(HOST).role, None);
    assert_eq!(find(HOST).other_addresses, [ip("fd00::25")]);
}

#[test]
fn two_addresses_that_mailed_are_one_host_that_mails() {
    for (second_mailed, mailing) in [(true, 1), (false, 1)] {
        let mut wire = Wire::new();
        open(&mut wire, (HOST, 5), (OUTSIDE, ROUTER));
        if second_mailed {
            open(&mut wire, (HOST6, 5), ("2001:db8::25", ROUTER));
            assert_eq!(wire.correlator.report().mailing_hosts, 2, "nothing ties them yet");
        } else {
            wire.ask(HOST6, "2001:db8::53", "d.example", crate::model::event::QTYPE_MX, None, false);
            let flow = wire.flow(HOST6, "2001:db8::53", 53);
            let mac = |last| Mac([2, 0, 0, 0, 0, last]);
            wire.feed(Some(&flow), EventKind::Hardware([mac(5), mac(ROUTER)]), &Findings::default());
        }
        for last in 101..=103 {
            open(&mut wire, (&format!("10.0.0.{last}"), last), (OUTSIDE, ROUTER));
        }
        open(&mut wire, (HOST, 5), ("203.0.99.25", ROUTER));
        let report = wire.correlator.report();
        assert!(report.hosts.iter().any(|host| host.other_addresses.len() == 1), "tied");
        assert_eq!(report.mailing_hosts, 3 + mailing);
    }
}
