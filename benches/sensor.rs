//! Packets a second through the sensor: web traffic in TLS, mail sessions, DNS, a SYN flood.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use mailsnare::capture::Packet;
use mailsnare::model::settings::SensorSettings;
use mailsnare::model::time::Timestamp;
use mailsnare::sensor::Sensor;
use mailsnare_lab::bulk;
use mailsnare_lab::capture::Packet as Frame;

fn sensor(c: &mut Criterion) {
    let mut group = c.benchmark_group("sensor");
    let mut kinds: [(&str, Vec<Frame>); 4] = Default::default();
    kinds[0].0 = "web";
    bulk::web(&mut kinds[0].1, 20_000_000, 200_000, 1).expect("memory takes all");
    kinds[1].0 = "mail";
    bulk::mail(&mut kinds[1].1, 200, 1).expect("memory takes all");
    kinds[2].0 = "dns";
    bulk::dns(&mut kinds[2].1, 10_000, 1).expect("memory takes all");
    kinds[3].0 = "syn flood";
    bulk::syn_flood(&mut kinds[3].1, 20_000, 1).expect("memory takes all");
    for (name, frames) in &kinds {
        group.throughput(Throughput::Elements(frames.len() as u64));
        group.bench_function(*name, |b| {
            b.iter_batched(
                || Sensor::new(SensorSettings::default(), 0),
                |mut sensor| {
                    for (number, frame) in (1..).zip(frames) {
                        sensor.packet(&packet(frame, number));
                        if sensor.waiting() >= 64 {
                            drop(black_box(sensor.drain()));
                        }
                    }
                    sensor
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

fn packet(frame: &Frame, number: u64) -> Packet<'_> {
    let (time, wire_len) = (Timestamp::from_nanos(frame.time), frame.data.len() as u32);
    Packet { time, link: 1, data: &frame.data, wire_len, number, file: 0 }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = sensor
}
criterion_main!(benches);
