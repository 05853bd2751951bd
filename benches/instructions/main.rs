//! The same work for each stage, every time, to have its instructions counted: `benches/instructions.py` runs this under
//! callgrind, one stage a run, and only what happens within [`measured`] is counted.
//!
//! Without a stage's name, as in test mode, all run once and nothing is counted. `attack NAME FACTOR` is an attack on the
//! sensor, `attacks` lists those there are.

mod attacks;

use std::hint::black_box;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::sync::Arc;

use attacks::ATTACKS;
use mailsnare::capture::Packet;
use mailsnare::correlator::{Correlator, CorrelatorSettings};
use mailsnare::decode::{Decoded, Decoder};
use mailsnare::flow::{FlowTable, Key, Sink, Stream, TcpPart};
use mailsnare::inspector::Inspector;
use mailsnare::mail::inspect;
use mailsnare::model::eve_type::EventFilter;
use mailsnare::model::event::{Envelope, Event, Message, SmtpEvent};
use mailsnare::model::mail::Findings;
use mailsnare::model::net::{Direction, HomeNet, Side, Transport};
use mailsnare::model::settings::{InspectSettings, SensorSettings};
use mailsnare::model::stats::{FlowStats, SmtpStats};
use mailsnare::model::time::Timestamp;
use mailsnare::output::eve::{Origin, Renderer};
use mailsnare::protocol::dns::{Detail, parse};
use mailsnare::protocol::smtp::{Context, Session};
use mailsnare::rules::{RuleSet, Subject};
use mailsnare::sensor::Sensor;
use mailsnare_lab::capture::Packet as Frame;
use mailsnare_lab::prng::Rng;
use mailsnare_lab::{bulk, samples, smtp as lab, tcp, worm};

/// Sets up a stage's work and has it [`measured`]; gives how many pieces of work that were.
type Stage = fn() -> u64;

const STAGES: [(&str, Stage); 11] = [
    ("decode", decode),
    ("flow", flow),
    ("stream", stream),
    ("smtp", smtp),
    ("dns", dns),
    ("sensor", sensor),
    ("mail", mail),
    ("archive", archive),
    ("rules", rules),
    ("correlator", correlator),
    ("eve", eve),
];

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {
            STAGES.iter().for_each(run);
            let mut there_are = mailsnare_lab::attack::ALL.iter();
            let left_out = there_are.find(|attack| ATTACKS.iter().all(|(name, _)| *name != attack.name));
            assert_eq!(left_out.map(|attack| attack.name), None, "all are counted");
            ATTACKS.iter().for_each(|(name, size)| println!("{name} {}", attacks::attack(name, size / 10 + 1)));
        }
        ["attacks"] => ATTACKS.iter().for_each(|(name, _)| println!("{name}")),
        ["attack", name, factor] => {
            let size = ATTACKS.iter().find(|(known, _)| *known == name).map(|(_, size)| size);
            let (Some(size), Ok(factor)) = (size, factor.parse::<u64>()) else { return ExitCode::FAILURE };
            println!("{}", attacks::attack(name, size * factor));
        }
        [name] => {
            let Some(stage) = STAGES.iter().find(|(stage, _)| *stage == name) else { return ExitCode::FAILURE };
            run(stage);
        }
        _ => return ExitCode::FAILURE,
    }
    ExitCode::SUCCESS
}

fn run((name, stage): &(&str, Stage)) {
    println!("{name} {}", stage());
}

/// What callgrind counts. Its name is in the script.
#[inline(never)]
fn measured<T>(work: impl FnOnce() -> T) -> T {
    black_box(work())
}

// --- packets ----------------------------------------------------------------------------------------------------

fn decode() -> u64 {
    let frames = traffic();
    let mut decoder = Decoder::new();
    let followed = measured(|| {
        let mut decoded = |frame: &Frame| {
            let now = Timestamp::from_nanos(frame.time);
            !matches!(decoder.decode(1, &frame.data, frame.data.len() as u32, now), Decoded::Nothing)
        };
        frames.iter().filter(|frame| decoded(frame)).count()
    });
    assert_eq!(followed, frames.len());
    frames.len() as u64
}

fn flow() -> u64 {
    let now = Timestamp::from_parts(1_000, 0);
    let keys: Vec<_> = (0..20_000_u32)
        .map(|number| {
            let client = IpAddr::from(Ipv4Addr::from(0x0a14_0000 | number >> 8));
            Key::new(client, 1_024 + (number & 0xff) as u16, [198, 18, 0, 1].into(), 443, Transport::Tcp)
        })
        .collect();
    // Half of them find no room.
    let mut table = FlowTable::<u64>::new(10_000);
    let mut evicted = 0;
    measured(|| {
        for _ in 0..5 {
            for &(key, low) in &keys {
                let place = table.find_or_open(key, || true, low, now.into(), |_, _| evicted += 1);
                table.get(place).count(Side::Client, 60, now);
            }
        }
    });
    assert!(evicted >= 10_000);
    5 * keys.len() as u64
}

fn stream() -> u64 {
    const SEGMENTS: u32 = 2_000;
    let now = Timestamp::from_parts(1_000, 0);
    let data = vec![0x55; 1_460];
    let (mut stats, mut bytes) = (FlowStats::default(), Bytes(0));
    let mut stream = Stream::new([Some(1), Some(1)]);
    measured(|| {
        for number in 0..SEGMENTS {
            // The second half comes with neighbours swapped.
            let place = if number < SEGMENTS / 2 { number } else { number ^ 1 };
            let part =
                TcpPart { seq: 1 + place * 1_460, ack: Some(1), flags: 16, payload: &data, missing: 0, urgent: None };
            stream.segment(Side::Client, &part, now, &mut stats, &mut bytes);
        }
    });
    assert_eq!(bytes.0, SEGMENTS as usize * 1_460);
    u64::from(SEGMENTS)
}

struct Bytes(usize);

impl Sink for Bytes {
    fn data(&mut self, _: Side, bytes: &[u8], _: bool) {
        self.0 += bytes.len();
    }

    fn gap(&mut self, _: Side, _: u64) {}

    fn differs(&mut self, _: Side) {}
}

fn sensor() -> u64 {
    let frames = traffic();
    let mut sensor = Sensor::new(SensorSettings::default(), 0);
    measured(|| {
        watch(&mut sensor, &frames, |events| drop(black_box(events)));
    });
    frames.len() as u64
}

// --- protocols --------------------------------------------------------------------------------------------------

fn smtp() -> u64 {
    let mut rng = Rng::new(1);
    let sessions: Vec<Vec<tcp::Step>> = letters(40)
        .into_iter()
        .map(|(from, message)| {
            let transaction = lab::Transaction::new(&from, &["someone@birch.example"], message);
            let client = lab::Client::pipelining("pc.alder.example");
            lab::Session::new(client, lab::Server::new("mx.birch.example"), vec![transaction]).script(&mut rng).steps
        })
        .collect();
    let now = Timestamp::from_parts(1_000, 0);
    let (mut stats, mut out) = (SmtpStats::default(), Vec::new());
    measured(|| {
        for steps in &sessions {
            let mut session = Session::new(now, true, false, 64 << 20);
            let mut cx = Context { now, stats: &mut stats, out: &mut out };
            for step in steps {
                match step {
                    tcp::Step::Client(bytes) => {
                        bytes.chunks(1_460).for_each(|segment| session.client(segment, false, &mut cx));
                    }
                    tcp::Step::Server(bytes) => session.server(bytes, false, &mut cx),
                    _ => {}
                }
            }
            session.close(&mut cx);
        }
    });
    assert_eq!(stats.messages, 40);
    40
}

fn dns() -> u64 {
    let mut frames: Vec<Frame> = Vec::new();
    bulk::dns(&mut frames, 2_000, 1).expect("memory takes all");
    // Behind Ethernet, IPv4 and UDP.
    let messages: Vec<&[u8]> = frames.iter().map(|frame| &frame.data[42..]).collect();
    let read = measured(|| messages.iter().filter(|message| parse(message, false, Detail::All).is_ok()).count());
    assert_eq!(read, messages.len());
    messages.len() as u64
}

// --- messages ---------------------------------------------------------------------------------------------------

fn mail() -> u64 {
    let messages: Vec<Message> = letters(40).into_iter().map(|(_, bytes)| message(bytes)).collect();
    open(&messages, &InspectSettings::default())
}

fn archive() -> u64 {
    let noise: Vec<u8> = Rng::new(2).bytes(2_000).into_iter().cycle().take(300_000).collect();
    let mut header = tar::Header::new_gnu();
    header.set_size(noise.len() as u64);
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(&tarred(&mut header, &noise)).expect("memory takes it");
    let packed = packer.finish().expect("memory takes it");
    let attachment = mailsnare_lab::mail::Attachment::new("a.tar.gz", "application/gzip", packed);
    let built = mailsnare_lab::mail::Builder::new("See attached.").header("Subject", "x").attach(attachment).build();
    let messages = vec![message(built.bytes); 10];
    open(&messages, &InspectSettings { hashes: Vec::new(), ..InspectSettings::default() })
}

fn tarred(header: &mut tar::Header, content: &[u8]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(header, "content.bin", content).expect("memory takes it");
    archive.into_inner().expect("memory takes it")
}

fn open(messages: &[Message], settings: &InspectSettings) -> u64 {
    let files = measured(|| messages.iter().map(|message| inspect(message, settings).files.len()).sum::<usize>());
    assert!(files >= 2 * messages.len());
    messages.len() as u64
}

fn rules() -> u64 {
    let set = RuleSet::builtin();
    let mail: Vec<(SmtpEvent, Message, Findings)> = letters(40)
        .into_iter()
        .map(|(from, bytes)| {
            let envelope =
                Envelope { mail_from: from, rcpt_to: vec!["someone@birch.example".into()], ..Envelope::default() };
            let message = message(bytes);
            let findings = inspect(&message, &InspectSettings::default());
            (SmtpEvent { envelope: Some(envelope), ..SmtpEvent::default() }, message, findings)
        })
        .collect();
    let hits: usize = measured(|| {
        let evaluate = |(smtp, message, found): &(SmtpEvent, Message, Findings)| {
            let (email, message) = (found.email.as_ref(), Some(message.bytes.as_slice()));
            let subject = Subject { direction: Direction::Outbound, smtp, email, files: &found.files, message };
            set.evaluate(&subject).len()
        };
        mail.iter().map(evaluate).sum()
    });
    assert!(hits >= mail.len());
    mail.len() as u64
}

// --- hosts and output -------------------------------------------------------------------------------------------

fn correlator() -> u64 {
    let (events, findings) = outbreak();
    let mut correlator = Correlator::new(CorrelatorSettings::default(), Arc::new(RuleSet::builtin()));
    let mut said = Vec::new();
    measured(|| {
        for (event, found) in events.iter().zip(&findings) {
            correlator.take(event, found, &mut said);
        }
    });
    assert!(!said.is_empty());
    events.len() as u64
}

fn eve() -> u64 {
    let (events, findings) = outbreak();
    let mut renderer = Renderer::new(EventFilter::default(), Origin::Replay(vec!["trace.pcap".into()]));
    let mut out = Vec::new();
    measured(|| {
        for (event, found) in events.iter().zip(&findings) {
            renderer.event(event, Some(found), &[], &mut out);
        }
    });
    assert!(!out.is_empty());
    events.len() as u64
}

// --- what the stages are given ----------------------------------------------------------------------------------

/// The outbreak of `pcaps/`, and twice as many packets of web traffic.
fn traffic() -> Vec<Frame> {
    let mut frames = samples::ALL[0].make().packets;
    bulk::web(&mut frames, 20_000_000, 50_000, 1).expect("memory takes all");
    frames
}

/// Events of the outbreak, with what was found in each.
fn outbreak() -> (Vec<Event>, Vec<Findings>) {
    let mut sensor = Sensor::new(SensorSettings::default(), 0);
    let mut events = Vec::new();
    watch(&mut sensor, &samples::ALL[0].make().packets, |more| events.extend(more));
    let inspector = Inspector::new(HomeNet::default(), InspectSettings::default());
    let set = RuleSet::builtin();
    let findings = events.iter_mut().map(|event| inspector.inspect(&set, event)).collect();
    (events, findings)
}

fn watch(sensor: &mut Sensor, frames: &[Frame], mut take: impl FnMut(Vec<Event>)) {
    for (number, frame) in (1..).zip(frames) {
        let (time, wire_len) = (Timestamp::from_nanos(frame.time), frame.data.len() as u32);
        sensor.packet(&Packet { time, link: 1, data: &frame.data, wire_len, number, file: 0 });
        if sensor.waiting() >= 64 {
            take(sensor.drain());
        }
    }
    sensor.finish();
    take(sensor.drain());
}

/// The worm's messages, with their senders.
fn letters(count: u64) -> Vec<(String, Vec<u8>)> {
    let letter = |number| {
        let (from, message) = worm::letter(&mut Rng::new(number), "someone@birch.example");
        (from, message.bytes)
    };
    (0..count).map(letter).collect()
}

fn message(bytes: Vec<u8>) -> Message {
    Message { size: bytes.len() as u64, bytes, ..Message::default() }
}
