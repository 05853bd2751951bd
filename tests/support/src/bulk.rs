//! Traffic by the gigabyte for benches: deterministic, streamed to a sink, never held in memory.
//! Hosts at home are 10.20.0.0/16, the world is 198.18.0.0/15 (RFC 2544: set aside for benchmarks).

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use crate::capture::{Merge, Packet, Sink};
use crate::clock::{MICRO, MILLI, Nanos, SECOND};
use crate::dns::{Message, Zones};
use crate::host::{Endpoint, Host, LINUX, ROUTER, WINDOWS_10};
use crate::mail::{Attachment, Builder};
use crate::prng::{LETTERS, Rng};
use crate::smtp::{Client, Server, Session, Transaction};
use crate::talk::{self, Talk};
use crate::tcp::Conversation;
use crate::tls::{self, Era};
use crate::wire::{self, ACK, FIN, Ip, Link, Mac, PSH, SYN, Tcp};
use crate::worm;

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub packets: u64,
    /// Bytes of frames, capture headers not counted.
    pub bytes: u64,
    pub flows: u64,
}

/// Web traffic in TLS: about `bytes` of frames in flows of about `flow_bytes` each, 256 of them at once.
pub fn web(sink: &mut impl Sink, bytes: u64, flow_bytes: u64, seed: u64) -> io::Result<Totals> {
    let mut out = Output::new(sink);
    let mut rng = Rng::named(seed, "web");
    let opaque = Opaque::new(&mut rng);
    let mut running: Vec<Flow> = Vec::with_capacity(AT_ONCE);
    while out.totals.bytes < bytes || !running.is_empty() {
        while running.len() < AT_ONCE && out.totals.bytes < bytes {
            out.totals.flows += 1;
            running.push(Flow::new(&mut rng, out.totals.flows, flow_bytes));
        }
        let mut index = 0;
        while index < running.len() {
            if running[index].step(&mut out, &opaque)? {
                index += 1;
            } else {
                running.swap_remove(index);
            }
        }
    }
    Ok(out.totals)
}

/// Mail: `sessions` of one message with a zip archive of about 20 KB each, a new one every 2 ms.
pub fn mail(sink: &mut impl Sink, sessions: u64, seed: u64) -> io::Result<Totals> {
    let mut counted = Output::new(sink);
    let mut merge = Merge::new();
    for number in 0..sessions {
        let start = START + number as i64 * 2 * MILLI;
        merge.add(start, move || session_at(number, start, seed));
    }
    merge.write(&mut counted)?;
    counted.totals.flows = sessions;
    Ok(counted.totals)
}

/// What a network carries: TLS and QUIC, DNS, and mail as one flow in two hundred. About `bytes` of frames in `flows`
/// flows: most are small, a few carry most of the bytes.
pub fn mixed(sink: &mut impl Sink, bytes: u64, flows: u64, seed: u64) -> io::Result<Totals> {
    let mut out = Output::new(sink);
    let mut rng = Rng::named(seed, "mixed");
    let opaque = Opaque::new(&mut rng);
    let mean = bytes / flows.max(1);
    let mut running: Vec<Running> = Vec::with_capacity(AT_ONCE);
    let mut begun = 0;
    while begun < flows || !running.is_empty() {
        while running.len() < AT_ONCE && begun < flows {
            begun += 1;
            // Of a thousand flows ...
            let size = heavy_tailed(&mut rng, mean);
            running.push(match rng.below(1_000) {
                0..300 => Running::Ready(questions(&mut rng, begun).into_iter()),
                300..305 => Running::Ready(session(begun, seed).into_iter()),
                305..500 => Running::Quic(Quic::new(&mut rng, begun, size)),
                _ => Running::Web(Flow::new(&mut rng, begun, size)),
            });
        }
        let mut index = 0;
        while index < running.len() {
            let goes_on = match &mut running[index] {
                Running::Web(flow) => flow.step(&mut out, &opaque)?,
                Running::Quic(flow) => flow.step(&mut out, &opaque)?,
                Running::Ready(packets) => match packets.next() {
                    Some(packet) => out.put(&packet.data).map(|()| true)?,
                    None => false,
                },
            };
            if goes_on {
                index += 1;
            } else {
                running.swap_remove(index);
            }
        }
    }
    out.totals.flows = flows;
    Ok(out.totals)
}

/// Mail with an attachment of `attached` bytes in each of `sessions` sessions, all at once.
pub fn big_mail(sink: &mut impl Sink, sessions: u64, attached: u64, seed: u64) -> io::Result<Totals> {
    let mut out = Output::new(sink);
    let content = Rng::named(seed, "big").bytes(attached as usize);
    let attachment = Attachment::new("video.mp4", "video/mp4", content);
    let message = Builder::new("See the film.").header("Subject", "Film").attach(attachment).build().bytes;
    for step in 0..Talk::OPENING {
        (0..sessions).try_for_each(|number| out.put(&Talk(number).open(0, step).data))?;
    }
    let mut sent = 0;
    for data in message.chunks(SEGMENT) {
        for number in 0..sessions {
            out.put(&Talk(number).client(0, sent, ACK, data).data)?;
            if (sent as usize / SEGMENT) % 2 == 1 {
                out.put(&Talk(number).server(0, 0, sent + data.len() as u32, ACK, &[]).data)?;
            }
        }
        sent += data.len() as u32;
    }
    for step in 0..Talk::ENDING {
        (0..sessions).try_for_each(|number| out.put(&Talk(number).end(0, sent, step).data))?;
    }
    out.totals.flows = sessions;
    Ok(out.totals)
}

/// An outbreak: each of `hosts` home hosts asks for an exchanger and mails the worm to it, `mails` times.
pub fn outbreak(sink: &mut impl Sink, hosts: u64, mails: u64, seed: u64) -> io::Result<Totals> {
    let mut counted = Output::new(sink);
    let mut merge = Merge::new();
    for number in 0..hosts * mails {
        let (host, mail) = (number % hosts, number / hosts);
        let start = START + mail as i64 * 20 * SECOND + host as i64 * 11 * MILLI;
        merge.add(start, move || infection(host, mail, start, seed.wrapping_add(number)));
    }
    merge.write(&mut counted)?;
    counted.totals.flows = 2 * hosts * mails;
    Ok(counted.totals)
}

/// The messages of [`mail`] by themselves, each behind its length in four bytes, little end first.
pub fn messages(out: &mut impl io::Write, count: u64, seed: u64) -> io::Result<()> {
    for number in 0..count {
        let message = zip_mail(&mut Rng::named(seed.wrapping_add(number), "mail")).received();
        out.write_all(&(message.len() as u32).to_le_bytes())?;
        out.write_all(&message)?;
    }
    Ok(())
}

/// DNS over UDP: `count` questions with their answers, one in ten for an exchanger.
pub fn dns(sink: &mut impl Sink, count: u64, seed: u64) -> io::Result<Totals> {
    let mut out = Output::new(sink);
    let mut rng = Rng::named(seed, "dns");
    let mut frame = Vec::new();
    for number in 0..count {
        let (client, server) = pair(number, 53);
        let name = format!("{}.example.com", rng.text(LETTERS, 8));
        let mut zones = Zones::default();
        zones.exchanger(&name, 10, "mx.example.com");
        zones.address(&name, IpAddr::from([192, 0, 2, 80]));
        let query = Message::query(rng.next_u16(), &name, if rng.chance(100) { crate::dns::MX } else { crate::dns::A });
        for (from, to, message) in
            [(client, server, query.encode(true)), (server, client, query.answered_by(&zones).encode(true))]
        {
            wire::udp(&mut frame, &link(&from, &to), &ip(&from, &to, number as u16), (from.port, to.port), &message);
            out.put(&frame)?;
        }
    }
    out.totals.flows = count;
    Ok(out.totals)
}

/// `count` SYN from random addresses and ports to one home server, none of them answered.
pub fn syn_flood(sink: &mut impl Sink, count: u64, seed: u64) -> io::Result<Totals> {
    let mut out = Output::new(sink);
    let mut rng = Rng::named(seed, "synflood");
    let target = end(Ipv4Addr::new(10, 20, 0, 80), 80);
    let mut frame = Vec::new();
    for _ in 0..count {
        let source = end(Ipv4Addr::from(0xc612_0000 | (rng.next_u32() & 0x0001_ffff)), rng.next_u16());
        let header = Tcp {
            src_port: source.port,
            dst_port: 80,
            seq: rng.next_u32(),
            flags: SYN,
            window: 1024,
            ..Tcp::default()
        };
        wire::tcp(&mut frame, &link(&source, &target), &ip(&source, &target, rng.next_u16()), &header, &[]);
        out.put(&frame)?;
    }
    out.totals.flows = count;
    Ok(out.totals)
}

/// What web flows say.
struct Opaque {
    hello: Vec<u8>,
    answer: Vec<u8>,
    noise: Vec<u8>,
}

impl Opaque {
    fn new(rng: &mut Rng) -> Self {
        let noise = rng.bytes(NOISE);
        let hello = tls::client_hello(rng, Era::Tls13, "www.example.com", &[7; 32]);
        let answer = tls::server_hello(rng, Era::Tls13, &[7; 32]);
        Self { hello, answer, noise }
    }
}

/// A flow of mixed traffic.
enum Running {
    Web(Flow),
    Quic(Quic),
    Ready(std::vec::IntoIter<Packet>),
}

/// QUIC as a tap sees it: datagrams with a long header first (RFC 9000, section 17.2), then with short ones.
struct Quic {
    client: Endpoint,
    server: Endpoint,
    left: u64,
    step: u32,
    noise_at: usize,
    frame: Vec<u8>,
}

impl Quic {
    fn new(rng: &mut Rng, number: u64, bytes: u64) -> Self {
        let (client, server) = pair(number, 443);
        let noise_at = rng.below(NOISE as u64 / 2) as usize;
        Self { client, server, left: bytes.max(2_400), step: 0, noise_at, frame: Vec::with_capacity(1_300) }
    }

    fn step(&mut self, out: &mut Output<'_, impl Sink>, opaque: &Opaque) -> io::Result<bool> {
        let (first, up, length) = match self.step {
            0 => (0xc3, true, 1_200),
            1 => (0xc1, false, 1_200),
            step if step.is_multiple_of(4) => (0x41, true, 40),
            _ => (0x41, false, self.left.min(1_200) as usize),
        };
        self.step += 1;
        self.left -= if up { 0 } else { (length as u64).min(self.left) };
        self.noise_at = (self.noise_at + length) % (NOISE - SEGMENT);
        let (from, to) = if up { (self.client, self.server) } else { (self.server, self.client) };
        let mut payload = [0; 1_200];
        payload[..length].copy_from_slice(&opaque.noise[self.noise_at..self.noise_at + length]);
        payload[0] = first;
        let ports = (from.port, to.port);
        wire::udp(&mut self.frame, &link(&from, &to), &ip(&from, &to, self.step as u16), ports, &payload[..length]);
        out.put(&self.frame)?;
        Ok(self.left > 0)
    }
}

/// Around `mean`: seven of ten are an eighth of it, six of a hundred ten times as much.
fn heavy_tailed(rng: &mut Rng, mean: u64) -> u64 {
    match rng.below(100) {
        0..70 => mean / 8,
        70..94 => mean,
        _ => mean * 12,
    }
}

/// A question for an address, and its answer.
fn questions(rng: &mut Rng, number: u64) -> Vec<Packet> {
    let (client, server) = pair(number, 53);
    let name = format!("{}.example.com", rng.text(LETTERS, 8));
    let mut zones = Zones::default();
    zones.address(&name, IpAddr::from([192, 0, 2, 80]));
    let query = Message::query(rng.next_u16(), &name, crate::dns::A);
    let answer = query.answered_by(&zones).encode(true);
    vec![talk::datagram(0, &client, &server, &query.encode(true)), talk::datagram(0, &server, &client, &answer)]
}

/// A session that delivers one message with an archive.
fn session(number: u64, seed: u64) -> Vec<Packet> {
    session_at(number, START, seed)
}

fn session_at(number: u64, start: Nanos, seed: u64) -> Vec<Packet> {
    let (client, server) = pair(number, 25);
    let mut rng = Rng::named(seed.wrapping_add(number), "mail");
    let transaction = zip_mail(&mut rng);
    let steps = Session::new(Client::new("host.example.com"), Server::new("mx.example.net"), vec![transaction]);
    let steps = steps.script(&mut rng).steps;
    Conversation::new(client, server, start, rng.next_u64()).play(&steps).packets
}

/// An infected host's question for an exchanger, and its mail to it.
fn infection(host: u64, mail: u64, start: Nanos, seed: u64) -> Vec<Packet> {
    let mut rng = Rng::named(seed, "infection");
    let home = Host::home("infected", Ipv4Addr::from(0x0a14_0100 + host as u32), "user", &WINDOWS_10);
    let exchanger = talk::outside(0x1000 + rng.below(500) as u32, 25);
    let domain = format!("{}.example", rng.text(LETTERS, 8));
    let resolver = talk::outside(53, 53);
    let question = home.endpoint(home.ip(), 20_000 + mail as u16);
    let mut zones = Zones::default();
    zones.exchanger(&domain, 10, &format!("mx.{domain}"));
    zones.address(&format!("mx.{domain}"), exchanger.ip);
    let query = Message::query(rng.next_u16(), &domain, crate::dns::MX);
    let answer = query.answered_by(&zones).encode(true);
    let mut packets = vec![
        talk::datagram(start, &question, &resolver, &query.encode(true)),
        talk::datagram(start + 20 * MILLI, &resolver, &question, &answer),
    ];
    let recipient = format!("someone@{domain}");
    let (from, message) = worm::letter(&mut rng, &recipient);
    let transaction = Transaction::new(&from, &[&recipient], message.bytes);
    let steps = Session::new(worm::client(&mut rng), Server::new(&format!("mx.{domain}")), vec![transaction]);
    let steps = steps.script(&mut rng).steps;
    let client = home.endpoint(home.ip(), 2_000 + mail as u16);
    packets.extend(Conversation::new(client, exchanger, start + 40 * MILLI, rng.next_u64()).play(&steps).packets);
    packets
}

/// A web flow part of the way through its life.
struct Flow {
    client: Endpoint,
    server: Endpoint,
    seq: [u32; 2],
    step: u32,
    left: u64,
    noise_at: usize,
    frame: Vec<u8>,
}

impl Flow {
    fn new(rng: &mut Rng, number: u64, bytes: u64) -> Self {
        let (client, server) = pair(number, 443);
        let left = bytes / 2 + rng.below(bytes.max(1));
        let noise_at = rng.below(NOISE as u64 / 2) as usize;
        Self {
            client,
            server,
            seq: [rng.next_u32(), rng.next_u32()],
            step: 0,
            left,
            noise_at,
            frame: Vec::with_capacity(1514),
        }
    }

    /// Puts the next packet out; false when the flow is over.
    fn step(&mut self, out: &mut Output<'_, impl Sink>, opaque: &Opaque) -> io::Result<bool> {
        let step = self.step;
        self.step += 1;
        match step {
            0 => self.send(out, 0, SYN, &[])?,
            1 => self.send(out, 1, SYN | ACK, &[])?,
            2 => self.send(out, 0, ACK, &[])?,
            3 => self.send(out, 0, ACK | PSH, &opaque.hello)?,
            4 => self.send(out, 1, ACK | PSH, &opaque.answer)?,
            // Two segments down, one acknowledgement up.
            _ if self.left > 0 && step.is_multiple_of(3) => self.send(out, 0, ACK, &[])?,
            _ if self.left > 0 => {
                let length = self.left.min(SEGMENT as u64) as usize;
                self.left -= length as u64;
                self.noise_at = (self.noise_at + length) % (NOISE - SEGMENT);
                self.send(out, 1, ACK, &opaque.noise[self.noise_at..self.noise_at + length])?;
                if self.left == 0 {
                    self.step = LAST;
                }
            }
            LAST => self.send(out, 1, ACK | FIN, &[])?,
            LAST_BUT_ONE => self.send(out, 0, ACK | FIN, &[])?,
            _ => {
                self.send(out, 1, ACK, &[])?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn send(&mut self, out: &mut Output<'_, impl Sink>, side: usize, flags: u8, data: &[u8]) -> io::Result<()> {
        let (from, to) = if side == 0 { (self.client, self.server) } else { (self.server, self.client) };
        let ack = if flags & ACK != 0 { self.seq[1 - side] } else { 0 };
        let header = Tcp {
            src_port: from.port,
            dst_port: to.port,
            seq: self.seq[side],
            ack,
            flags,
            window: 64_240,
            options: &[],
        };
        wire::tcp(&mut self.frame, &link(&from, &to), &ip(&from, &to, self.step as u16), &header, data);
        let counted = data.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        self.seq[side] = self.seq[side].wrapping_add(counted);
        out.put(&self.frame)
    }
}

/// A sink with a clock and sums.
struct Output<'a, S> {
    sink: &'a mut S,
    now: Nanos,
    totals: Totals,
}

impl<'a, S: Sink> Output<'a, S> {
    fn new(sink: &'a mut S) -> Self {
        Self { sink, now: START, totals: Totals::default() }
    }

    /// Puts a frame out, one packet time after the last.
    fn put(&mut self, frame: &[u8]) -> io::Result<()> {
        self.now += PACKET_TIME;
        self.packet(self.now, frame)
    }
}

impl<S: Sink> Sink for Output<'_, S> {
    fn packet(&mut self, time: Nanos, data: &[u8]) -> io::Result<()> {
        self.totals.packets += 1;
        self.totals.bytes += data.len() as u64;
        self.sink.packet(time, data)
    }
}

/// The ends of flow `number`: client address and port repeat only after 60,000 * 65,536 flows.
fn pair(number: u64, port: u16) -> (Endpoint, Endpoint) {
    let [.., a, b] = (number as u32).wrapping_mul(40_503).to_be_bytes();
    let client = Host::home("bulk", Ipv4Addr::new(10, 20, a, b), "user", &WINDOWS_10);
    let mut server = end(Ipv4Addr::from(0xc612_0000 | (number as u32 & 0x3ff)), port);
    server.mac = ROUTER;
    (client.endpoint(client.ip(), 1024 + (number >> 16) as u16 % 60_000), server)
}

fn end(ip: Ipv4Addr, port: u16) -> Endpoint {
    Endpoint { ip: IpAddr::V4(ip), port, mac: Mac([2, 0, 0, 0, 0, 9]), stack: &LINUX, hops: 8, round_trip: 12 * MILLI }
}

fn link(from: &Endpoint, to: &Endpoint) -> Link {
    Link { src: from.mac, dst: to.mac, vlan: None }
}

fn ip(from: &Endpoint, to: &Endpoint, id: u16) -> Ip {
    Ip { src: from.ip, dst: to.ip, ttl: from.ttl(), id, df: true }
}

fn zip_mail(rng: &mut Rng) -> Transaction {
    let content = rng.bytes(14_000);
    let archive = Attachment::zip("report.zip", "application/zip", &[("report.bin", &content)]);
    let builder = Builder::new("See the attached report.")
        .header("From", "a@example.com")
        .header("To", "b@example.net")
        .header("Subject", &format!("Report {}", rng.text(LETTERS, 6)))
        .header("Date", "Tue, 10 Mar 2026 10:00:00 +0000");
    Transaction::new("a@example.com", &["b@example.net"], builder.attach(archive).build().bytes)
}

const START: Nanos = 1_773_136_800 * crate::clock::SECOND;
/// A full frame takes 12 microseconds at 1 Gbit/s.
const PACKET_TIME: Nanos = 12 * MICRO;
const AT_ONCE: usize = 256;
const SEGMENT: usize = 1460;
const NOISE: usize = 1 << 20;
const LAST: u32 = u32::MAX - 3;
const LAST_BUT_ONE: u32 = LAST + 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::utc;

    type Kind = fn(&mut Vec<Packet>) -> io::Result<Totals>;

    #[test]
    fn all_kinds_are_deterministic_and_in_order() {
        let kinds: [Kind; 7] = [
            |sink| mixed(sink, 2_000_000, 400, 7),
            |sink| big_mail(sink, 3, 200_000, 7),
            |sink| outbreak(sink, 5, 2, 7),
            |sink| web(sink, 2_000_000, 20_000, 7),
            |sink| mail(sink, 20, 7),
            |sink| dns(sink, 50, 7),
            |sink| syn_flood(sink, 50, 7),
        ];
        for kind in kinds {
            let (mut one, mut two) = (Vec::new(), Vec::new());
            let totals = kind(&mut one).unwrap();
            assert_eq!(kind(&mut two).unwrap(), totals);
            assert!(one == two && one.is_sorted_by_key(|packet| packet.time));
            assert_eq!(totals.packets, one.len() as u64);
            assert!(one[0].time >= START && START == utc(2026, 3, 10, 10, 0, 0));
        }
    }

    #[test]
    fn flows_are_as_many_as_told_and_do_not_collide() {
        let mut packets: Vec<Packet> = Vec::new();
        let totals = web(&mut packets, 1_000_000, 10_000, 1).unwrap();
        let syn = packets.iter().filter(|packet| packet.data[47] == SYN).map(|packet| packet.data[26..38].to_vec());
        let distinct: std::collections::BTreeSet<_> = syn.collect();
        assert_eq!(distinct.len() as u64, totals.flows);
        assert!((1_000_000..1_200_000 + 256 * 15_000).contains(&totals.bytes));
    }
}
