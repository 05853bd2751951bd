//! What a packet costs to decode, in nanoseconds: the fast path, the general path, tags, tunnels, fragments.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use etherparse::{IpNumber, PacketBuilder, VlanId};
use mailsnare::decode::Decoder;
use mailsnare::model::time::Timestamp;

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    let tcp = segment(&[0x2e; 1_400]);
    let tagged = tagged_segment();
    let inner = &tcp[14..];
    let cases = [
        ("fast path, TCP", 1, tcp.clone()),
        ("fast path, VLAN and TCP", 1, tagged),
        ("general path, TCP", 101, inner.to_vec()),
        ("general path, IP in IP", 101, wrapped(4, inner)),
        ("general path, GRE", 101, wrapped(47, &[&[0, 0, 8, 0][..], inner].concat())),
        ("general path, not IP", 1, [&[2; 12][..], &[8, 6], &[0; 28]].concat()),
    ];
    for (name, link, packet) in &cases {
        let mut decoder = Decoder::new();
        group.throughput(Throughput::Elements(1));
        group.bench_function(*name, |bench| {
            bench.iter(|| {
                black_box(decoder.decode(*link, black_box(packet), packet.len() as u32, Timestamp::from_nanos(0)));
            });
        });
    }
    let pair = fragments();
    let mut decoder = Decoder::new();
    group.throughput(Throughput::Elements(2));
    group.bench_function("two fragments", |bench| {
        bench.iter(|| {
            for packet in &pair {
                black_box(decoder.decode(101, black_box(packet), packet.len() as u32, Timestamp::from_nanos(0)));
            }
        });
    });
    group.finish();
}

fn segment(payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 0, 0, 1], [192, 0, 2, 25], 64);
    builder.tcp(1025, 25, 1, 512).ack(1).write(&mut packet, payload).expect("a valid packet");
    packet
}

fn tagged_segment() -> Vec<u8> {
    let mut packet = Vec::new();
    let vlan = VlanId::try_new(100).expect("twelve bits");
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).single_vlan(vlan).ipv4([10, 0, 0, 1], [192, 0, 2, 25], 64);
    builder.tcp(1025, 25, 1, 512).ack(1).write(&mut packet, &[0x2e; 1_400]).expect("a valid packet");
    packet
}

fn wrapped(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    let builder = PacketBuilder::ipv4([198, 51, 100, 1], [198, 51, 100, 2], 64);
    builder.write(&mut packet, IpNumber(protocol), payload).expect("a valid packet");
    packet
}

/// A datagram of 2,000 bytes in two fragments.
fn fragments() -> [Vec<u8>; 2] {
    let datagram = [&[0, 53, 4, 0, 0x07, 0xd0, 0, 0][..], &[7; 1_992]].concat();
    let (mut first, mut last) = (wrapped(17, &datagram[..1_480]), wrapped(17, &datagram[1_480..]));
    first[6..8].copy_from_slice(&0x2000u16.to_be_bytes());
    last[6..8].copy_from_slice(&(1_480u16 / 8).to_be_bytes());
    [first, last]
}

criterion_group!(benches, decode);
criterion_main!(benches);
