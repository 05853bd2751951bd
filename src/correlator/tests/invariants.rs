//! What holds whatever comes in.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::wire::*;
use crate::correlator::CorrelatorSettings;
use crate::model::alert::Verdict;
use crate::model::event::{EventKind, Flood, QTYPE_MX};
use crate::model::limits;
use crate::model::mail::Findings;
use crate::model::time::Timestamp;
use std::sync::Arc;

/// A step of a random event sequence.
fn step() -> impl Strategy<Value = (i64, u8, u8, u8, u64)> {
    let second = prop_oneof![8 => 0_i64..5_000, 1 => Just(i64::MAX), 1 => Just(i64::MIN), 1 => any::<i64>()];
    (second, 0_u8..12, 0_u8..6, 0_u8..6, prop_oneof![9 => 0_u64..5_000, 1 => Just(u64::MAX)])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever comes in whatever order and time: nothing panics, bounds hold, sums are those of the events, a verdict
    /// never falls, and every incident that was opened is closed once, last of its number.
    #[test]
    fn any_sequence_of_events_adds_up(steps in prop::collection::vec(step(), 0..150)) {
        let hosts = ["10.0.0.1", "10.0.0.2", "fd00::3", "198.51.100.1", "203.0.113.1", "2001:db8::1"];
        let settings = CorrelatorSettings { hosts: 2, host_entries: 40, ..CorrelatorSettings::default() };
        let mut tight = Wire::with(settings, Arc::new(Book));
        let mut wide = Wire::new();
        let mut messages = 0_u64;
        for (second, kind, client, server, bytes) in steps {
            let is_home = client < 3;
            for wire in [&mut tight, &mut wide] {
                wire.now = Timestamp::from_parts(second, 0);
                let (from, to) = (hosts[usize::from(client)], hosts[usize::from(server)]);
                match kind {
                    0 => drop(wire.deliver(from, to, server, true)),
                    1 => wire.tick(bytes % 10_000),
                    2 => { let flow = wire.connect(from, to, 25); wire.greet(&flow); }
                    3 => { let flow = wire.connect(from, to, 25); wire.end(&flow, bytes); }
                    4 => wire.ask(from, to, "darkprofits.com", 1, None, false),
                    5 => wire.correlator.advance(wire.now, &mut wire.said),
                    11 => {
                        let flow = wire.flow(from, to, 80);
                        let (since, last) = (Timestamp::from_parts(second.saturating_sub(9), 0), wire.now);
                        let flood = Flood { syns: bytes, echoes: bytes / 2, port: Some(80), since, last };
                        wire.feed(Some(&flow), EventKind::Flood(Box::new(flood)), &Findings::default());
                    }
                    6 => { let flow = wire.flow(from, to, 25); wire.message(&flow, 3, vec![hit(WORM), hit(99)]); }
                    _ => { let flow = wire.connect(from, to, 25); wire.message(&flow, 30, vec![hit(POLICY)]); }
                }
            }
            messages += u64::from(is_home && (6..11).contains(&kind));
            prop_assert!(tight.correlator.stats().hosts <= 2);
        }
        for wire in [&mut tight, &mut wide] {
            wire.correlator.finish(&mut wire.said);
            let mut open: BTreeMap<u64, (Verdict, bool)> = BTreeMap::new();
            for incident in wire.incidents() {
                let (verdict, closed) = open.get(&incident.id).copied().unwrap_or_default();
                prop_assert!(!closed && verdict <= incident.verdict && (0.0..=1.0).contains(&incident.share_of_link));
                prop_assert!(incident.first_seen <= incident.last_seen);
                open.insert(incident.id, (incident.verdict, incident.closed));
            }
            prop_assert!(open.values().all(|(_, closed)| *closed));
            prop_assert!(open.keys().copied().eq(1..=open.len() as u64));
            let report = wire.correlator.report();
            let counted: u64 = report.alerts.iter().map(|(_, _, count)| count).sum();
            prop_assert_eq!(counted, wire.alerts().len() as u64);
        }
        let sum: u64 = wide.correlator.report().hosts.iter().map(|host| host.messages).sum();
        prop_assert_eq!(sum, messages);
    }
}

/// The bound that stands by default: whatever passes through, the infected, then those under suspicion, are the last to go.
#[test]
fn the_default_bound_on_hosts_holds_and_the_infected_outlast_a_crowd() {
    let mut wire = Wire::new();
    let infected = ["10.200.0.1", "10.200.0.2"];
    for host in infected {
        let flow = wire.connect(host, OUTSIDE, 25);
        wire.message(&flow, 1, vec![hit(WORM)]);
    }
    let suspicious = "10.200.0.3";
    for domain in 1..=3 {
        wire.deliver(suspicious, RESOLVER, domain, false);
    }
    // The three above and the resolver come on top.
    let crowd = limits::HOSTS as u32 + 200;
    for number in 0..crowd {
        let host = std::net::Ipv4Addr::from(0x0a01_0000 + number).to_string();
        wire.ask(&host, RESOLVER, "d1.example", QTYPE_MX, None, false);
        assert!(wire.correlator.stats().hosts <= limits::HOSTS as u64);
    }
    let stats = wire.correlator.stats();
    assert_eq!((stats.hosts, stats.hosts_evicted), (limits::HOSTS as u64, 204), "{stats:?}");
    assert!(stats.entries <= limits::HOST_ENTRIES as u64, "{stats:?}");
    assert!(infected.iter().all(|host| wire.verdict(host) == Verdict::Infected));
    assert_eq!(wire.verdict(suspicious), Verdict::Suspicious);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Hosts that have nothing to do with each other: in which order they act at the same time changes nothing that is
    /// thought of any of them.
    #[test]
    fn the_order_of_independent_hosts_does_not_matter(
        rounds in prop::collection::vec((0_u64..2_000, prop::collection::vec(0_u8..5, 4)), 1..60)
    ) {
        let run = |backwards: bool| {
            let mut wire = Wire::new();
            for (wait, kinds) in &rounds {
                wire.wait(*wait);
                let mut acts: Vec<(u8, u8)> = (1..).zip(kinds.iter().copied()).collect();
                if backwards {
                    acts.reverse();
                }
                for (number, kind) in acts {
                    let host = format!("10.0.0.{number}");
                    // Each mails exchangers of its own, some of them several.
                    let place = number * 50 + (wait % 40) as u8;
                    match kind {
                        0 => {}
                        1 => { let flow = wire.deliver(&host, OUTSIDE_RESOLVER, place, false); wire.message(&flow, 1, vec![]); }
                        2 => { let flow = wire.connect(&host, &format!("203.0.{place}.25"), 25); wire.message(&flow, 9, vec![hit(POLICY)]); }
                        3 => {
                            let flow = wire.connect(&format!("192.0.{place}.1"), &host, 25);
                            wire.greet(&flow);
                            wire.message(&flow, 1, vec![]);
                        }
                        _ => { let flow = wire.deliver(&host, OUTSIDE_RESOLVER, place, true); wire.message(&flow, 1, vec![hit(WORM)]); }
                    }
                }
            }
            let mut hosts = wire.correlator.report().hosts;
            hosts.sort_by_key(|host| host.host);
            let thought = |host: &crate::model::report::HostReport| {
                (host.host, host.verdict, host.score, host.role.clone(), host.messages, host.since, format!("{:?}", host.evidence))
            };
            hosts.iter().map(thought).collect::<Vec<_>>()
        };
        prop_assert_eq!(run(false), run(true));
    }

    /// One more worm's message, or one more stranger written to, never lowers the score of a host at that time.
    #[test]
    fn more_of_the_same_never_lowers_a_score(steps in prop::collection::vec((0_u64..4_000, 0_u8..4, 1_u8..200), 1..60)) {
        let mut wire = Wire::new();
        let score = |wire: &Wire| {
            let report = wire.correlator.report();
            report.hosts.iter().find(|host| host.host == ip(HOST)).map_or(0.0, |host| host.score)
        };
        for (wait, kind, place) in steps {
            wire.wait(wait);
            wire.correlator.advance(wire.now, &mut wire.said);
            let before = score(&wire);
            let hits = if kind == 0 { vec![hit(WORM)] } else { vec![] };
            let flow = match kind {
                1 => wire.connect(HOST, &format!("203.0.{place}.25"), 25),
                _ => wire.deliver(HOST, OUTSIDE_RESOLVER, place, false),
            };
            wire.message(&flow, usize::from(kind) * 30 + 1, hits);
            prop_assert!(score(&wire) >= before, "{} after {before}", score(&wire));
        }
    }
}
