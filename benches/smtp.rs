//! Cost of an SMTP session: one message of 20 KB, and many small commands.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mailsnare::model::net::Side;
use mailsnare::model::stats::SmtpStats;
use mailsnare::model::time::Timestamp;
use mailsnare::protocol::smtp::{Context, Said, Session};
use mailsnare_lab::prng::Rng;
use mailsnare_lab::smtp as lab;
use mailsnare_lab::tcp::Step;

fn smtp(c: &mut Criterion) {
    let mut group = c.benchmark_group("smtp");
    let line = b"UmVwb3J0IGZvciB0aGUgd2VlazogYWxsIGlzIHdlbGwsIGFuZCB0aGUgd2VhdGhlciBpcyBmaW5lLg==\r\n";
    let large = transaction([b"Subject: report\r\n\r\n".as_slice(), &line.repeat(250)].concat());
    let small = transaction(b"Subject: hello\r\n\r\nhello\r\n".to_vec());
    for (name, session, messages) in [
        ("message of 20 KB", session(lab::Client::new("pc.alder.example"), vec![large.clone()]), 1),
        (
            "message of 20 KB in BDAT",
            {
                let client = lab::Client { chunk: Some(4_096), ..lab::Client::new("pc.alder.example") };
                session(client, vec![large])
            },
            1,
        ),
        ("fifty small messages", session(lab::Client::new("pc.alder.example"), vec![small.clone(); 50]), 50),
        ("fifty small messages, pipelined", session(lab::Client::pipelining("pc.alder.example"), vec![small; 50]), 50),
    ] {
        let talk = talk(&session);
        group.throughput(Throughput::Bytes(talk.iter().map(|(_, bytes)| bytes.len() as u64).sum()));
        group.bench_function(name, |b| {
            b.iter(|| {
                let said = listen(black_box(&talk));
                let events = said.iter().filter(|said| matches!(said, Said::Event(_))).count();
                assert_eq!(events, messages);
            });
        });
    }
    group.finish();
}

fn listen(talk: &[(Side, Vec<u8>)]) -> Vec<Said> {
    let now = Timestamp::from_parts(1_000, 0);
    let mut session = Session::new(now, true, false, 64 << 20);
    let (mut stats, mut out) = (SmtpStats::default(), Vec::new());
    let mut cx = Context { now, stats: &mut stats, out: &mut out };
    for (side, bytes) in talk {
        match side {
            Side::Client => session.client(bytes, false, &mut cx),
            Side::Server => session.server(bytes, false, &mut cx),
        }
    }
    session.close(&mut cx);
    out
}

fn transaction(message: Vec<u8>) -> lab::Transaction {
    lab::Transaction::new("a@alder.example", &["b@birch.example"], message)
}

fn session(client: lab::Client, transactions: Vec<lab::Transaction>) -> lab::Session {
    lab::Session::new(client, lab::Server::new("mx.birch.example"), transactions)
}

/// What each side says, in segments as Ethernet carries them.
fn talk(session: &lab::Session) -> Vec<(Side, Vec<u8>)> {
    let mut talk = Vec::new();
    for step in session.script(&mut Rng::new(1)).steps {
        let (side, bytes) = match step {
            Step::Client(bytes) => (Side::Client, bytes),
            Step::Server(bytes) => (Side::Server, bytes),
            _ => continue,
        };
        talk.extend(bytes.chunks(1_460).map(|segment| (side, segment.to_vec())));
    }
    talk
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = smtp
}
criterion_main!(benches);
