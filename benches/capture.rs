//! Reading 100,000 packets from a file: the replay, with and without a filter, and libpcap on the same file.

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mailsnare::capture::{ReplayOptions, ReplaySource, Source, Step};

const PACKETS: u32 = 100_000;
const FILTER: &str = "tcp port 25";

fn reading(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder for the captures");
    let pcap = folder.path().join("bench.pcap");
    let pcapng = folder.path().join("bench.pcapng");
    fs::write(&pcap, pcap_bytes()).expect("space for the captures");
    fs::write(&pcapng, pcapng_bytes()).expect("space for the captures");

    let mut group = c.benchmark_group("capture");
    group.throughput(Throughput::Elements(u64::from(PACKETS)));
    group.bench_function("replay pcap", |b| b.iter(|| replay(&pcap, None)));
    group.bench_function("replay pcapng", |b| b.iter(|| replay(&pcapng, None)));
    group.bench_function("replay pcap, filter", |b| b.iter(|| replay(&pcap, Some(FILTER))));
    group.bench_function("libpcap pcap", |b| b.iter(|| libpcap(&pcap, None)));
    group.bench_function("libpcap pcapng", |b| b.iter(|| libpcap(&pcapng, None)));
    group.bench_function("libpcap pcap, filter", |b| b.iter(|| libpcap(&pcap, Some(FILTER))));
    group.finish();
}

/// Bytes of all packets given.
fn replay(path: &Path, filter: Option<&str>) -> usize {
    let options = ReplayOptions { bpf: filter.map(str::to_owned) };
    let paths: [PathBuf; 1] = [path.to_owned()];
    let mut source = ReplaySource::open(&paths, &options).expect("the file just written");
    let mut bytes = 0;
    while let Ok(Step::Packet(packet)) = source.next() {
        bytes += black_box(packet).data.len();
    }
    bytes
}

fn libpcap(path: &Path, filter: Option<&str>) -> usize {
    let mut capture = pcap::Capture::from_file(path).expect("the file just written");
    if let Some(filter) = filter {
        capture.filter(filter, true).expect("a filter that is right");
    }
    let mut bytes = 0;
    while let Ok(packet) = capture.next_packet() {
        bytes += black_box(packet).data.len();
    }
    bytes
}

/// A TCP segment in an Ethernet frame, every fourth one of mail; sizes as in real traffic, 60 to 1,514 bytes.
fn frame(n: u32) -> Vec<u8> {
    let len = if n.is_multiple_of(3) { 1_514 } else { 60 + (n as usize * 37) % 200 };
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    bytes.extend([0x45, 0, (len >> 8) as u8, (len - 14) as u8, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 192, 0, 2, 1]);
    bytes.extend(1_025_u16.to_be_bytes());
    bytes.extend((if n.is_multiple_of(4) { 25_u16 } else { 443 }).to_be_bytes());
    bytes.resize(len, 0);
    bytes
}

fn pcap_bytes() -> Vec<u8> {
    let mut file: Vec<u8> =
        [0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, 1_u32].iter().flat_map(|f| f.to_le_bytes()).collect();
    for n in 0..PACKETS {
        let data = frame(n);
        let len = data.len() as u32;
        file.extend([1_067_601_600 + n / 1_000, n % 1_000, len, len].iter().flat_map(|f| f.to_le_bytes()));
        file.extend(data);
    }
    file
}

fn pcapng_bytes() -> Vec<u8> {
    let words = |words: &[u32]| words.iter().flat_map(|f| f.to_le_bytes()).collect::<Vec<u8>>();
    let mut file = words(&[0x0a0d_0d0a, 28, 0x1a2b_3c4d, 1, u32::MAX, u32::MAX, 28, 1, 20, 1, 262_144, 20]);
    for n in 0..PACKETS {
        let mut data = frame(n);
        let len = data.len() as u32;
        data.resize(data.len().next_multiple_of(4), 0);
        let size = 32 + data.len() as u32;
        file.extend(words(&[6, size, 0, 0x0003_cb00, n, len, len]));
        file.extend(data);
        file.extend(words(&[size]));
    }
    file
}

criterion_group!(benches, reading);
criterion_main!(benches);
