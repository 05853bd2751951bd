//! Attacks on the sensor, through all stages in one thread. What they cost must grow no faster than they do, also once
//! their bound is met: the budget is the least there is, so that small ones meet it.

use std::collections::BTreeSet;
use std::sync::Arc;

use mailsnare::correlator::{Correlator, CorrelatorSettings, Said};
use mailsnare::inspector::Inspector;
use mailsnare::model::eve_type::EventFilter;
use mailsnare::model::event::Event;
use mailsnare::model::memory::{Memory, Shares};
use mailsnare::model::net::HomeNet;
use mailsnare::model::settings::{InspectSettings, SensorSettings};
use mailsnare::output::eve::{Origin, Renderer};
use mailsnare::rules::RuleSet;
use mailsnare::sensor::Sensor;
use mailsnare_lab::attack::{Attack, INFECTED};
use mailsnare_lab::capture::Packet as Frame;

use super::{measured, watch};

/// The attacks and what they are [`measured`] in, once and twice as much: past what they are after, where that has a bound.
pub(super) const ATTACKS: [(&str, u64); 13] = [
    ("syn-flood", 40_000),
    ("spoofed-hosts", 4_000),
    ("sequence-games", 20_000),
    ("tiny-segments", 20_000),
    ("overlapping-fragments", 2_000),
    ("slow-senders", 2_500),
    ("endless-headers", 2_000),
    ("endless-recipients", 2_000),
    ("deep-mime", 1_000),
    ("flat-bomb", 4),
    ("nested-bomb", 2),
    ("overlapping-bomb", 1_500),
    ("dns-loops", 20_000),
];

/// Has an attack of this size measured; gives how many packets it has.
pub(super) fn attack(name: &str, size: u64) -> u64 {
    let attack = Attack::named(name).expect("the table names attacks there are");
    let mut frames: Vec<Frame> = Vec::new();
    attack.write(&mut frames, size, 1).expect("memory takes all");
    let shares = Shares::of(Memory::least(1), 1);
    let (flows, message_bytes) = (shares.flows, shares.message_bytes);
    let (nested_bytes, window_bytes) = (shares.nested_bytes, shares.window_bytes);
    let inspect = InspectSettings { archive_bytes: UNPACKED, nested_bytes, window_bytes, ..InspectSettings::default() };
    let (hosts, host_entries) = (shares.hosts, shares.host_entries);
    let settings = SensorSettings { flows, message_bytes, shares, ..SensorSettings::default() };
    let mut sensor = Sensor::new(settings, 0);
    let inspector = Inspector::new(HomeNet::default(), inspect);
    let rules = Arc::new(RuleSet::builtin());
    let settings = CorrelatorSettings { hosts, host_entries, ..CorrelatorSettings::default() };
    let mut correlator = Correlator::new(settings, Arc::clone(&rules) as _);
    let mut renderer = Renderer::new(EventFilter::default(), Origin::Replay(vec!["trace.pcap".into()]));
    let (mut said, mut out, mut found) = (Vec::new(), Vec::new(), BTreeSet::new());
    measured(|| {
        let mut hear = |mut event: Event| {
            let findings = inspector.inspect(&rules, &mut event);
            correlator.take(&event, &findings, &mut said);
            renderer.event(&event, Some(&findings), &[], &mut out);
            for said in said.drain(..) {
                match said {
                    Said::Alert(alert) => {
                        renderer.alert(&alert, Some((&event, Some(&findings))), &mut out);
                        found.insert(alert.host);
                    }
                    Said::Incident(incident) => renderer.incident(&incident, &mut out),
                }
            }
            out.clear();
        };
        watch(&mut sensor, &frames, |events| events.into_iter().for_each(&mut hear));
    });
    // The worm's mail is in each: not always told by its rule, since its session begins when no stream may be quiet.
    assert!(found.contains(&Some(INFECTED.into())), "{name} {size}: {found:?}");
    frames.len() as u64
}

/// What a message may unpack to: little, since bombs come up to it.
const UNPACKED: u64 = 16 << 20;
