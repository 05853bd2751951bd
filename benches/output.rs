//! What it costs to say something: an EVE line of each common kind, a write, a scrape.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mailsnare::model::eve_type::EventFilter;
use mailsnare::model::event::{DnsData, DnsMessage, DnsQuestion, DnsRecord, Envelope, Event, EventKind, SmtpEvent};
use mailsnare::model::mail::{Email, FileFact, FileKind, Findings};
use mailsnare::model::net::{Flow, FlowNames, Transport, Vlans};
use mailsnare::model::stats::SensorStats;
use mailsnare::model::time::Timestamp;
use mailsnare::output::eve::{Origin, Renderer};
use mailsnare::output::metrics::Metrics;
use mailsnare::output::writer::EveWriter;

fn render(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("eve");
    let mut renderer = Renderer::new(EventFilter::default(), Origin::Replay(vec!["worm.pcap".into()]));
    let findings = findings();
    let mail = event(EventKind::Smtp(Box::new(mail())));
    let question = event(EventKind::Dns(Box::new(answer())));
    let mut out = Vec::new();
    group.bench_function("smtp with two files", |bencher| {
        bencher.iter(|| {
            out.clear();
            renderer.event(black_box(&mail), Some(&findings), &[], &mut out);
            out.len()
        });
    });
    group.bench_function("dns answer", |bencher| {
        bencher.iter(|| {
            out.clear();
            renderer.event(black_box(&question), None, &[], &mut out);
            out.len()
        });
    });
    group.finish();
}

fn write(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("writer");
    let line = format!("{{\"a\":\"{}\"}}\n", "x".repeat(700));
    group.throughput(Throughput::Bytes(line.len() as u64));
    let mut writer = EveWriter::append(Path::new("/dev/null")).expect("/dev/null");
    group.bench_function("line", |bencher| bencher.iter(|| writer.write(black_box(line.as_bytes()))));
    group.finish();
}

fn count(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("metrics");
    let metrics = Metrics::new("0").expect("families");
    let (mail, findings) = (event(EventKind::Smtp(Box::new(mail()))), findings());
    let mut stats = SensorStats::default();
    group.bench_function("event", |bencher| {
        bencher.iter(|| metrics.observe_event(black_box(&mail), Some(&findings)));
    });
    group.bench_function("sensor", |bencher| {
        bencher.iter(|| {
            stats.capture.packets += 1;
            metrics.update_sensor("eth0", Timestamp::default(), black_box(&stats));
        });
    });
    group.bench_function("scrape", |bencher| bencher.iter(|| metrics.render().len()));
    group.finish();
}

fn event(kind: EventKind) -> Event {
    let flow = Flow {
        client: ([10, 20, 1, 17], 1044).into(),
        server: ([198, 51, 100, 25], 25).into(),
        transport: Transport::Tcp,
        vlans: Vlans::default(),
        started: Timestamp::default(),
        midstream: false,
        names: FlowNames::default(),
    };
    let time = Timestamp::from_parts(1_067_601_605, 1_234_567);
    Event { seq: 0, time, source: 0, file: 0, packet: 17, flow: Some(Arc::new(flow)), kind }
}

fn mail() -> SmtpEvent {
    SmtpEvent {
        helo: Some("localhost".into()),
        envelope: Some(Envelope {
            mail_from: "james@example.com".into(),
            rcpt_to: vec!["ann@example.com".into()],
            ..Envelope::default()
        }),
        ..SmtpEvent::default()
    }
}

fn findings() -> Findings {
    let file = |filename: &str, kind, container: &[&str]| FileFact {
        filename: filename.into(),
        size: 12_958,
        kind: FileKind(kind),
        md5: Some([1; 16]),
        sha1: Some([2; 20]),
        sha256: Some([3; 32]),
        container: container.iter().map(|&name| name.to_owned()).collect(),
        ..FileFact::default()
    };
    let email = Email {
        from: Some("james@example.com".into()),
        to: vec!["ann@example.com".into()],
        subject: Some("Re[2]: our private photos".into()),
        x_mailer: Some("The Bat! (v1.62)".into()),
        size: 17_900,
        ..Email::default()
    };
    let files = vec![file("photos.zip", "zip", &[]), file("photos.jpg.exe", "pe", &["photos.zip"])];
    Findings { email: Some(email), files, ..Findings::default() }
}

fn answer() -> DnsMessage {
    let exchange = DnsData::Mx { preference: 10, exchange: "mx.example.com".into() };
    DnsMessage {
        id: 0x1234,
        flags: 0x8180,
        queries: smallvec::smallvec![DnsQuestion { name: "example.com".into(), qtype: 15 }],
        answers: smallvec::smallvec![DnsRecord { name: "example.com".into(), rtype: 15, ttl: 300, data: exchange }],
        ..DnsMessage::default()
    }
}

criterion_group!(benches, render, write, count);
criterion_main!(benches);
