//! Conversations as a tap would see them, and what the sensor says of them. The packets come from `mailsnare-lab`,
//! which shares no code with this crate.

mod account;
mod checksums;
mod crowds;
mod ends;
mod evasion;
mod floods;
mod hostile;
mod speech;

use std::net::Ipv4Addr;

use mailsnare_lab::capture::{Packet as Frame, in_time_order};
use mailsnare_lab::clock::{Nanos, SECOND, utc};
use mailsnare_lab::host::{Endpoint, Host, LINUX, WINDOWS_XP};
use mailsnare_lab::prng::Rng;
use mailsnare_lab::smtp::{Client, Server, Session, Transaction};
use mailsnare_lab::tcp::{Conversation, Opening, Step};
use mailsnare_lab::wire::{self, Ip, Link, Tcp};

use super::Sensor;
use crate::capture::Packet;
use crate::model::event::{
    ConnectOutcome, DnsMessage, EndReason, Event, EventKind, FlowEnd, Message, Outcome, SmtpEvent,
};
use crate::model::net::Flow;
use crate::model::settings::SensorSettings;
use crate::model::stats::SensorStats;
use crate::model::time::Timestamp;

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 20, 1, 26);
const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 60);

/// When every scene begins.
fn start() -> Nanos {
    utc(2003, 10, 31, 9, 0, 0)
}

fn ends(client_port: u16, server_port: u16) -> [Endpoint; 2] {
    let client = Host::home("pc", CLIENT, "user", &WINDOWS_XP);
    let server = Host::outside("mx", SERVER, "mail server", &LINUX);
    [client.endpoint(client.ip(), client_port), server.endpoint(server.ip(), server_port)]
}

/// A conversation between [`CLIENT`] and [`SERVER`] that begins at `at`. The seed decides the sequence numbers.
fn conversation(at: Nanos, client_port: u16, server_port: u16, seed: u64) -> Conversation {
    let [client, server] = ends(client_port, server_port);
    Conversation::new(client, server, at, seed)
}

/// One message of a few lines from a@alder.example to b@birch.example.
fn letter() -> Transaction {
    let message = b"Subject: lunch\r\n\r\nAt noon?\r\n.hidden\r\n".to_vec();
    Transaction::new("a@alder.example", &["b@birch.example"], message)
}

fn session(transactions: Vec<Transaction>) -> Session {
    Session::new(Client::new("pc.alder.example"), Server::new("mx.birch.example"), transactions)
}

/// The steps of a session.
fn script(session: &Session) -> Vec<Step> {
    session.script(&mut Rng::new(1)).steps
}

/// A whole mail session with one letter, from SYN to the last FIN.
fn mail(at: Nanos, client_port: u16, server_port: u16, seed: u64) -> Vec<Frame> {
    conversation(at, client_port, server_port, seed).play(&script(&session(vec![letter()]))).packets
}

/// A segment by hand.
struct Hand<'a> {
    from_client: bool,
    ports: [u16; 2],
    seq: u32,
    ack: u32,
    flags: u8,
    payload: &'a [u8],
}

impl Hand<'_> {
    fn at(&self, time: Nanos) -> Frame {
        self.with_options(time, &[])
    }

    fn with_options(&self, time: Nanos, options: &[u8]) -> Frame {
        let [client, server] = ends(self.ports[0], self.ports[1]);
        let (from, to) = if self.from_client { (client, server) } else { (server, client) };
        let link = Link { src: from.mac, dst: to.mac, vlan: None };
        let ip = Ip { src: from.ip, dst: to.ip, ttl: 64, id: 7, df: true };
        let header = Tcp {
            src_port: from.port,
            dst_port: to.port,
            seq: self.seq,
            ack: self.ack,
            flags: self.flags,
            window: 8_192,
            options,
        };
        let mut data = Vec::new();
        wire::tcp(&mut data, &link, &ip, &header, self.payload);
        Frame { time, data }
    }
}

/// A segment of a frame made by the lab, as far as tests need to read it: untagged Ethernet, IPv4 without options.
fn sent_by(frame: &Frame) -> Ipv4Addr {
    Ipv4Addr::new(frame.data[26], frame.data[27], frame.data[28], frame.data[29])
}

fn tcp_flags(frame: &Frame) -> u8 {
    frame.data[47]
}

fn seq(frame: &Frame) -> u32 {
    u32::from_be_bytes([frame.data[38], frame.data[39], frame.data[40], frame.data[41]])
}

/// Bytes of the TCP payload of a frame.
fn payload(frame: &Frame) -> &[u8] {
    let total = usize::from(u16::from_be_bytes([frame.data[16], frame.data[17]]));
    let header = usize::from(frame.data[46] >> 4) * 4;
    &frame.data[34 + header..14 + total]
}

/// A frame of a host that has nothing to do with the scene: only time passes.
fn time_passes(time: Nanos) -> Frame {
    let link = Link::default();
    let ip = Ip { src: [10, 20, 1, 99].into(), dst: [10, 20, 1, 98].into(), ttl: 64, id: 1, df: false };
    let mut data = Vec::new();
    wire::udp(&mut data, &link, &ip, (4_000, 4_001), b"tick");
    Frame { time, data }
}

/// Everything the sensor said of a capture.
struct Told {
    events: Vec<Event>,
    stats: SensorStats,
}

/// Feeds frames in time order to a sensor with the default settings.
fn sense(frames: Vec<Frame>) -> Told {
    sense_with(SensorSettings::default(), frames)
}

fn sense_with(settings: SensorSettings, mut frames: Vec<Frame>) -> Told {
    in_time_order(&mut frames);
    sense_as_is(settings, &frames)
}

fn sense_as_is(settings: SensorSettings, frames: &[Frame]) -> Told {
    let mut sensor = Sensor::new(settings, 0);
    for (number, frame) in (1..).zip(frames) {
        sensor.packet(&packet(frame, number));
    }
    sensor.finish();
    Told { events: sensor.drain(), stats: sensor.stats().clone() }
}

fn packet(frame: &Frame, number: u64) -> Packet<'_> {
    Packet {
        time: Timestamp::from_nanos(frame.time),
        link: 1,
        data: &frame.data,
        wire_len: frame.data.len() as u32,
        number,
        file: 0,
    }
}

impl Told {
    fn pick<'a, T>(&'a self, pick: impl Fn(&'a EventKind) -> Option<T>) -> Vec<T> {
        self.events.iter().filter_map(|event| pick(&event.kind)).collect()
    }

    fn mails(&self) -> Vec<&SmtpEvent> {
        self.pick(|kind| if let EventKind::Smtp(smtp) = kind { Some(&**smtp) } else { None })
    }

    fn connects(&self) -> Vec<ConnectOutcome> {
        self.pick(|kind| if let EventKind::Connect(outcome) = kind { Some(*outcome) } else { None })
    }

    fn flow_ends(&self) -> Vec<&FlowEnd> {
        self.pick(|kind| if let EventKind::FlowEnd(end) = kind { Some(&**end) } else { None })
    }

    fn end_reasons(&self) -> Vec<EndReason> {
        self.flow_ends().iter().map(|end| end.reason).collect()
    }

    fn questions(&self) -> Vec<&DnsMessage> {
        self.pick(|kind| if let EventKind::Dns(message) = kind { Some(&**message) } else { None })
    }

    fn anomalies(&self) -> Vec<&'static str> {
        self.pick(|kind| if let EventKind::Anomaly(anomaly) = kind { Some(anomaly.name) } else { None })
    }

    /// The names of the events, in order, ticks and hardware addresses left out.
    fn story(&self) -> Vec<&'static str> {
        self.pick(|kind| match kind {
            EventKind::Smtp(_) => Some("smtp"),
            EventKind::Greeting(_) => Some("greeting"),
            EventKind::Connect(_) => Some("connect"),
            EventKind::Dns(_) => Some("dns"),
            EventKind::FlowEnd(_) => Some("end"),
            EventKind::Anomaly(_) => Some("anomaly"),
            EventKind::Packet(_) => Some("packet"),
            EventKind::Flood(_) => Some("flood"),
            EventKind::Hardware(_) | EventKind::Tick(_) => None,
        })
    }

    fn flows(&self) -> Vec<&Flow> {
        self.events.iter().filter_map(|event| event.flow.as_deref()).collect()
    }
}

/// Holds one event to the letter that was sent.
fn assert_is_the_letter(mail: &SmtpEvent) {
    let envelope = mail.envelope.as_ref().expect("an envelope");
    assert_eq!(
        (envelope.mail_from.as_str(), &envelope.rcpt_to[..]),
        ("a@alder.example", &["b@birch.example".into()][..])
    );
    let sent = letter().received();
    let Message { bytes, size, truncated, gaps } = mail.message.as_ref().expect("a message");
    assert_eq!(String::from_utf8_lossy(bytes), String::from_utf8_lossy(&sent));
    assert_eq!((*size, *truncated, *gaps), (sent.len() as u64, false, 0));
}

/// Long enough after a scene for every time-out of a mail flow.
const LATER: Nanos = 1_000 * SECOND;
