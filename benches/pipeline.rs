//! A whole replay from memory: sensor, inspectors, correlator, without output.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use mailsnare::capture::{MemorySource, OwnedPacket};
use mailsnare::correlator::{CorrelatorSettings, Said};
use mailsnare::inspector::Inspector;
use mailsnare::model::event::Event;
use mailsnare::model::mail::Findings;
use mailsnare::model::net::HomeNet;
use mailsnare::model::settings::{InspectSettings, SensorSettings};
use mailsnare::model::time::Timestamp;
use mailsnare::pipeline::{self, Audience, Plan, Pressure, SharedRules, View};
use mailsnare::rules::RuleSet;
use mailsnare_lab::capture::Packet as Frame;
use mailsnare_lab::{bulk, samples};

fn replay(c: &mut Criterion) {
    let mut group = c.benchmark_group("pipeline");
    let outbreak = samples::ALL[0].make().packets;
    let (mut mail, mut web) = (Vec::new(), Vec::new());
    bulk::mail(&mut mail, 500, 1).expect("memory takes all");
    bulk::web(&mut web, 20_000_000, 200_000, 1).expect("memory takes all");
    let rules = SharedRules::new(RuleSet::builtin());
    for (name, frames) in [("outbreak", outbreak), ("500 mails", mail), ("20 MB of web", web)] {
        group.throughput(Throughput::Bytes(frames.iter().map(|frame| frame.data.len() as u64).sum()));
        let source = MemorySource::new(frames.into_iter().map(owned).collect());
        for workers in [1, 2] {
            group.bench_function(format!("{name}, workers {workers}"), |b| {
                b.iter_batched(
                    || source.clone(),
                    |source| {
                        let stop = AtomicBool::new(false);
                        pipeline::run(vec![source], plan(workers), &rules, &stop, None, &mut Nobody)
                    },
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
}

fn plan(workers: usize) -> Plan {
    Plan {
        sensor: SensorSettings::default(),
        inspector: Inspector::new(HomeNet::default(), InspectSettings::default()),
        correlator: CorrelatorSettings::default(),
        workers,
        pressure: Pressure::Wait,
        merge_patience: mailsnare::model::limits::MERGE_PATIENCE,
    }
}

fn owned(frame: Frame) -> OwnedPacket {
    OwnedPacket::ethernet(Timestamp::from_nanos(frame.time), frame.data)
}

struct Nobody;

impl Audience for Nobody {
    fn hear(&mut self, _: &Event, _: Option<&Findings>, _: &[Said], _: &View<'_>) {}

    fn hear_said(&mut self, _: &[Said]) {}

    fn pause(&mut self, _: &View<'_>) {}
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = replay
}
criterion_main!(benches);
