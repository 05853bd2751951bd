//! How long messages take to open: a worm's, a large attachment, headers alone, and one made to be slow.

use std::fmt::Write;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mailsnare::mail::inspect;
use mailsnare::model::event::Message;
use mailsnare::model::settings::InspectSettings;

fn open(c: &mut Criterion) {
    let mut group = c.benchmark_group("mail");
    for (name, bytes) in [
        ("zip-20k", attached(&zip())),
        ("tar-gz-20k", attached(&tar_gz())),
        ("base64-1m", attached(&vec![0x5a; 750_000])),
        ("headers", headers()),
        ("boundaries-1m", boundaries()),
        ("nested-22000", "Content-Type: message/rfc822\n\n".repeat(22_000).into_bytes()),
    ] {
        let message = Message { size: bytes.len() as u64, bytes, ..Message::default() };
        let settings = InspectSettings::default();
        group.throughput(Throughput::Bytes(message.size));
        group.bench_with_input(BenchmarkId::from_parameter(name), &message, |b, message| {
            b.iter(|| inspect(black_box(message), &settings));
        });
        let unhashed = InspectSettings { hashes: Vec::new(), ..settings };
        group.bench_with_input(BenchmarkId::new("unhashed", name), &message, |b, message| {
            b.iter(|| inspect(black_box(message), &unhashed));
        });
    }
    group.finish();
}

/// A message with one attachment.
fn attached(content: &[u8]) -> Vec<u8> {
    let mut text = String::from(
        "From: james@example.org\r\nTo: someone@example.org\r\nSubject: Re[2]: our private photos    abcd\r\n\
         Content-Type: multipart/mixed; boundary=\"----------2C1B5A2C1B5A2C1\"\r\n\r\n\
         ------------2C1B5A2C1B5A2C1\r\nContent-Type: text/plain\r\n\r\nHello Dear!\r\n\
         ------------2C1B5A2C1B5A2C1\r\nContent-Type: application/x-zip-compressed; name=\"photos.zip\"\r\n\
         Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"photos.zip\"\r\n\r\n",
    );
    let body = encodify::base64::STANDARD.encode(content);
    for line in body.as_bytes().chunks(76) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push_str("\r\n");
    }
    text.push_str("------------2C1B5A2C1B5A2C1--\r\n");
    text.into_bytes()
}

/// A stored zip of Mimail's size: one member, `MZ` and zeros.
fn zip() -> Vec<u8> {
    let program = [b"MZ".to_vec(), vec![0; 12_830]].concat();
    let mut crc = flate2::Crc::new();
    crc.update(&program);
    let sizes = [crc.sum(), 12_832, 12_832].map(u32::to_le_bytes).concat();
    let fields = [&[0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &sizes, &[14, 0, 0, 0]].concat();
    let name = b"photos.jpg.exe";
    let central = [b"PK\x01\x02\x0a\0", &fields[..], &[0; 14], name].concat();
    let places = [60u32, 12_876].map(u32::to_le_bytes).concat();
    let end = [&b"PK\x05\x06\0\0\0\0\x01\0\x01\0"[..], &places, &[0, 0]].concat();
    [b"PK\x03\x04", &fields[..], name, &program, &central, &end].concat()
}

/// A packed tar with one member of Mimail's size.
fn tar_gz() -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let program = [b"MZ".to_vec(), vec![0x5a; 12_830]].concat();
    let mut header = tar::Header::new_gnu();
    header.set_size(program.len() as u64);
    let mut archive = tar::Builder::new(&mut packer);
    archive.append_data(&mut header, "photos.jpg.exe", program.as_slice()).expect("memory takes it");
    archive.finish().expect("memory takes it");
    drop(archive);
    packer.finish().expect("memory takes it")
}

/// Twenty header fields of an ordinary message, and nothing else.
fn headers() -> Vec<u8> {
    let mut text = String::from(
        "From: =?utf-8?q?J=C3=B6rg?= <j@example.com>\r\nTo: a@b.example, \"C D\" <c@d.example>\r\nDate: Fri, 31 Oct 2003 12:00:00 +0000\r\n\
         Subject: =?utf-8?b?R3LDvMOfZQ==?= and more\r\nMessage-ID: <1@example.com>\r\n",
    );
    for hop in 0..15 {
        let _ = write!(
            text,
            "Received: from h{hop}.example by h{hop}.example\r\n\tid {hop}; Fri, 31 Oct 2003 12:00:00 +0000\r\n"
        );
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// Lines that all but are delimiters.
fn boundaries() -> Vec<u8> {
    format!("Content-Type: multipart/mixed; boundary=never\r\n\r\n{}", "--neveR\r\n".repeat(110_000)).into_bytes()
}

criterion_group!(benches, open);
criterion_main!(benches);
