//! Cost of the flow table per packet, and of a TCP stream per byte, in order and out of order.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use mailsnare::flow::{FlowTable, Key, Sink, Stream, TcpPart};
use mailsnare::model::net::{Side, Transport};
use mailsnare::model::stats::FlowStats;
use mailsnare::model::time::Timestamp;

fn table(c: &mut Criterion) {
    let mut group = c.benchmark_group("flow/table");
    group.throughput(Throughput::Elements(1));
    let now = Timestamp::from_parts(1_000, 0);
    for flows in [1_000_u32, 100_000, 1_000_000] {
        let mut table = FlowTable::<u64>::new(1 << 20);
        let keys: Vec<_> = (0..flows).map(key).collect();
        for &(key, low) in &keys {
            let place = table.find_or_open(key, || true, low, now.into(), |_, _| ());
            table.get(place).count(Side::Client, 60, now);
        }
        let mut at = 0;
        group.bench_function(format!("find among {flows}"), |b| {
            b.iter(|| {
                // A stride that visits all in no order a cache would like.
                at = (at + 7_919) % keys.len();
                let (key, low) = keys[at];
                let place = table.find_or_open(black_box(key), || true, low, now.into(), |_, _| ());
                table.get(place).count(Side::Client, 60, now);
            });
        });
    }
    let mut table = FlowTable::<u64>::new(100_000);
    let mut number = 0;
    group.bench_function("open in a full table", |b| {
        b.iter(|| {
            number += 1;
            let (key, low) = key(number);
            table.find_or_open(black_box(key), || true, low, now.into(), |entry, _| drop(black_box(entry)))
        });
    });
    group.finish();
}

fn key(number: u32) -> (Key, bool) {
    let client = IpAddr::from(Ipv4Addr::from(0x0a14_0000 | (number >> 10)));
    Key::new(client, 1_024 + (number % 1_024) as u16, [198, 18, 0, 1].into(), 443, Transport::Tcp)
}

/// One megabyte in segments of 1,460 bytes.
fn stream(c: &mut Criterion) {
    let mut group = c.benchmark_group("flow/stream");
    let data = vec![0x55; 1_460];
    let segments: u32 = 720;
    group.throughput(Throughput::Bytes(u64::from(segments) * 1_460));
    // Which segment comes n-th: the bits of n that are flipped.
    let orders = [("in order", 0), ("neighbours swapped", 1), ("eight reversed", 7)];
    for (name, flipped) in orders {
        group.bench_function(name, |b| {
            b.iter_batched(
                || (Stream::new([Some(1), Some(1)]), FlowStats::default(), Count(0)),
                |(mut stream, mut stats, mut count)| {
                    let now = Timestamp::from_parts(1_000, 0);
                    for n in 0..segments {
                        let seq = 1 + (n ^ flipped) * 1_460;
                        let part = TcpPart { seq, ack: Some(1), flags: 16, payload: &data, missing: 0, urgent: None };
                        stream.segment(Side::Client, &part, now, &mut stats, &mut count);
                    }
                    assert_eq!(count.0, segments as usize * 1_460);
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

struct Count(usize);

impl Sink for Count {
    fn data(&mut self, _: Side, bytes: &[u8], _: bool) {
        self.0 += black_box(bytes).len();
    }

    fn gap(&mut self, _: Side, _: u64) {}

    fn differs(&mut self, _: Side) {}
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = table, stream
}
criterion_main!(benches);
