//! Cost of a DNS message: a glance, a full reading, and framing over TCP.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mailsnare::protocol::dns::{Detail, TcpFramer, glance, looks_like_dns, parse};

fn dns(c: &mut Criterion) {
    let (query, response) = (message(0x0100, 0), message(0x8180, 5));
    let mut group = c.benchmark_group("dns");
    group.bench_function("glance/query", |b| b.iter(|| glance(black_box(&query))));
    group.bench_function("probe/query", |b| b.iter(|| looks_like_dns(black_box(&query))));
    group.bench_function("parse/query", |b| b.iter(|| parse(black_box(&query), false, Detail::All)));
    group.bench_function("parse/response of five", |b| b.iter(|| parse(black_box(&response), false, Detail::All)));

    let framed = [&u16::try_from(response.len()).unwrap().to_be_bytes()[..], &response].concat().repeat(100);
    group.throughput(Throughput::Bytes(framed.len() as u64));
    for (name, size) in [("frame/whole", framed.len()), ("frame/split", 100)] {
        group.bench_function(name, |b| {
            let mut framer = TcpFramer::new();
            b.iter(|| {
                let mut bytes = 0;
                for piece in framed.chunks(size) {
                    framer.push(black_box(piece), |message| bytes += message.len());
                }
                bytes
            });
        });
    }
    group.finish();
}

/// A question for the exchangers of google.com, with so many answers.
fn message(flags: u16, answers: u16) -> Vec<u8> {
    let mut bytes = vec![0, 1];
    bytes.extend([flags, 1, answers, 0, 0].iter().flat_map(|word| word.to_be_bytes()));
    bytes.extend(b"\x06google\x03com\x00\x00\x0f\x00\x01");
    for answer in 0..answers {
        bytes.extend(b"\xc0\x0c\x00\x0f\x00\x01\x00\x00\x01\x2c\x00\x0a\x00");
        bytes.push(u8::try_from(answer).unwrap());
        bytes.extend(b"\x05smtp5\xc0\x0c");
    }
    bytes
}

criterion_group!(benches, dns);
criterion_main!(benches);
