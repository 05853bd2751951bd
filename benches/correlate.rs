//! Events a second through [`Correlator::take`], for a mix as a worm and its neighbours make it: for each delivery an
//! MX and an address question with their answers, a connection, a greeting, a transaction and the flow's end. Before that,
//! bytes a host, by what the allocator gave out and did not get back.
//!
//! `cargo bench --bench correlate`. On two virtual cores (AMD EPYC, Zen 5), idle, Linux 6.18, rustc 1.95, November 2026:
//!
//! | what | events a second |
//! | --- | --- |
//! | 10 hosts, 10,000 deliveries | 2,800,000 |
//! | 10,000 hosts, one delivery each | 1,860,000 |
//!
//! | hosts that | bytes a host |
//! | --- | --- |
//! | asked for one exchanger | 1,890 |
//! | delivered once | 6,800 |
//! | delivered ten times, under suspicion, cut to the newest | 15,000 |
//! | delivered 500 times to as many domains, infected | 450,000 |
//!
//! All but the first are bounded by `limits::HOST_ENTRIES` over all hosts before they are by `limits::HOSTS`; then the last
//! two give up most of it (`detect::hosts`).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use mailsnare::correlator::{Correlator, CorrelatorSettings};
use mailsnare::model::event::{
    ConnectOutcome, DnsData, DnsMessage, DnsQuestion, DnsRecord, EndReason, Envelope, Event, EventKind, FlowEnd,
    Outcome, QTYPE_MX, Reply, SmtpEvent,
};
use mailsnare::model::limits;
use mailsnare::model::mail::Findings;
use mailsnare::model::net::{Flow, FlowNames, Transport, Vlans};
use mailsnare::model::rulebook::NoRules;
use mailsnare::model::time::Timestamp;
use smallvec::SmallVec;

const DELIVERIES: u32 = 10_000;
/// As the correlator keeps by default.
const HOSTS: u32 = limits::HOSTS as u32;

/// What its hosts did, how many there are, and the events of one of them.
type Case<'a> = (&'a str, u32, &'a dyn Fn(u32) -> Vec<Event>);

/// What the state of a host takes, all of it: facts, detectors, case, and its share of the tables.
fn bytes_per_host(_: &mut Criterion) {
    let question = |number: u32| {
        let flow = flow(host(number), IpAddr::from([10, 0, 0, 53]), 53, number, start());
        vec![event(&flow, dns("d1.example", QTYPE_MX, None), start())]
    };
    let cases: [Case<'_>; 4] = [
        ("asked for one exchanger", HOSTS, &question),
        ("delivered once", HOSTS, &|number| delivery(number, number, start())),
        ("delivered ten times, under suspicion", 10_000, &|number| deliveries(number, 10)),
        ("delivered 500 times, infected", 200, &|number| deliveries(number, 500)),
    ];
    for (what, hosts, events) in cases {
        let nothing = Findings::default();
        let mut kept = None;
        let spent = allocation_counter::measure(|| {
            let mut correlator = Correlator::new(CorrelatorSettings::default(), Arc::new(NoRules));
            for number in 0..hosts {
                // What is said, and the events themselves, are given back.
                let mut out = Vec::new();
                events(number).iter().for_each(|event| correlator.take(event, &nothing, &mut out));
            }
            kept = Some(correlator);
        });
        let stats = kept.as_ref().map(Correlator::stats).unwrap_or_default();
        let each = spent.bytes_current as f64 / stats.hosts.max(1) as f64;
        println!(
            "correlate/bytes_per_host: {hosts} hosts that {what}: {each:.0} bytes each ({} kept, {:.1} MB in all, {} things \
             remembered)",
            stats.hosts,
            spent.bytes_current as f64 / 1e6,
            stats.entries
        );
    }
}

fn take(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("correlate");
    let nothing = Findings::default();
    for (name, hosts) in [("10_hosts", 10), ("10000_hosts", 10_000)] {
        let events = events(hosts);
        group.throughput(Throughput::Elements(events.len() as u64));
        group.bench_function(name, |bencher| {
            let new = || Correlator::new(CorrelatorSettings::default(), Arc::new(NoRules));
            bencher.iter_batched_ref(
                || (new(), Vec::new()),
                |(correlator, out)| events.iter().for_each(|event| correlator.take(event, &nothing, out)),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

/// `DELIVERIES` of them, by `hosts` in turn, three seconds apart for each host, to 500 domains.
fn events(hosts: u32) -> Vec<Event> {
    let time = |number| Timestamp::from_parts(SECOND, i64::from(number) * 3_000_000_000 / i64::from(hosts));
    (0..DELIVERIES).flat_map(|number| delivery(number % hosts, number, time(number))).collect()
}

/// So many by one host, three seconds apart, to as many domains.
fn deliveries(host: u32, count: u32) -> Vec<Event> {
    (0..count)
        .flat_map(|number| delivery(host, number, Timestamp::from_parts(SECOND + 3 * i64::from(number), 0)))
        .collect()
}

/// One of them: question and answer, twice, then connection, greeting, transaction, end.
fn delivery(client: u32, number: u32, time: Timestamp) -> Vec<Event> {
    let client = host(client);
    let server = IpAddr::from((0xcb00_7100 + number % 500 * 256).to_be_bytes());
    let (domain, exchanger) = (format!("d{}.example", number % 500), format!("mx.d{}.example", number % 500));
    let resolver = flow(client, IpAddr::from([10, 0, 0, 53]), 53, number * 2, time);
    let mail = flow(client, server, 25, number * 2 + 1, time);
    let mx = DnsData::Mx { preference: 10, exchange: exchanger.as_str().into() };
    let address = match server {
        IpAddr::V4(address) => DnsData::A(address),
        IpAddr::V6(address) => DnsData::Aaaa(address),
    };
    let kinds = [
        (&resolver, dns(&domain, QTYPE_MX, None)),
        (&resolver, dns(&domain, QTYPE_MX, Some(mx))),
        (&resolver, dns(&exchanger, 1, None)),
        (&resolver, dns(&exchanger, 1, Some(address))),
        (&mail, EventKind::Connect(ConnectOutcome::Answered)),
        (&mail, EventKind::Greeting(Reply { code: 220, text: "mail.example ESMTP".into() })),
        (&mail, EventKind::Smtp(Box::new(transaction(time)))),
        (&mail, EventKind::FlowEnd(Box::new(end(time)))),
    ];
    kinds.into_iter().map(|(flow, kind)| event(flow, kind, time)).collect()
}

fn host(number: u32) -> IpAddr {
    IpAddr::from((0x0a01_0000 + number).to_be_bytes())
}

fn start() -> Timestamp {
    Timestamp::from_parts(SECOND, 0)
}

fn event(flow: &Arc<Flow>, kind: EventKind, time: Timestamp) -> Event {
    Event { seq: 0, time, source: 0, file: 0, packet: 1, flow: Some(Arc::clone(flow)), kind }
}

fn flow(client: IpAddr, server: IpAddr, port: u16, id: u32, started: Timestamp) -> Arc<Flow> {
    Arc::new(Flow {
        client: SocketAddr::new(client, 1_024 + (id % 60_000) as u16),
        server: SocketAddr::new(server, port),
        transport: Transport::Tcp,
        vlans: Vlans::default(),
        started,
        midstream: false,
        names: FlowNames::default(),
    })
}

fn dns(name: &str, qtype: u16, answer: Option<DnsData>) -> EventKind {
    let record = |data| DnsRecord { name: name.into(), rtype: qtype, ttl: 300, data };
    let answers: SmallVec<[DnsRecord; 1]> = answer.into_iter().map(record).collect();
    let flags = if answers.is_empty() { 0x0100 } else { 0x8180 };
    let queries = [DnsQuestion { name: name.into(), qtype }].into_iter().collect();
    EventKind::Dns(Box::new(DnsMessage { flags, queries, answers, ..DnsMessage::default() }))
}

fn transaction(started: Timestamp) -> SmtpEvent {
    let envelope = Envelope {
        mail_from: "james@example.net".into(),
        rcpt_to: vec!["someone@example.org".into()],
        ..Envelope::default()
    };
    SmtpEvent {
        started,
        envelope: Some(envelope),
        outcome: Outcome::Accepted,
        wire_bytes: 20_000,
        ..SmtpEvent::default()
    }
}

fn end(last: Timestamp) -> FlowEnd {
    FlowEnd {
        packets: [20, 20],
        bytes: [19_000, 1_500],
        last,
        app_proto: "smtp",
        reason: EndReason::Finished,
        tcp_flags: [0x1b; 2],
        wire_bytes: 500,
    }
}

const SECOND: i64 = 1_067_601_600;

criterion_group!(benches, bytes_per_host, take);
criterion_main!(benches);
