//! What holds whatever comes in.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::wire::*;
use crate::correlator::CorrelatorSettings;
use crate::model::alert::Verdict;
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
        let settings = CorrelatorSettings { hosts: 2, host_entries: 12, ..CorrelatorSettings::default() };
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
                    6 => { let flow = wire.flow(from, to, 25); wire.message(&flow, 3, vec![hit(WORM), hit(99)]); }
                    _ => { let flow = wire.connect(from, to, 25); wire.message(&flow, 30, vec![hit(POLICY)]); }
                }
            }
            messages += u64::from(is_home && kind >= 6);
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
