//! Traffic made to exhaust or derail a sensor, with the mail of one infected host hidden in it. Whoever watches must
//! stay within bounds, and still find that host. Hosts and addresses are those of [`crate::bulk`].

use std::io::{self, Cursor, Write};
use std::net::Ipv4Addr;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::bulk::Totals;
use crate::capture::{Merge, Packet, Sink};
use crate::clock::{MILLI, MINUTE, Nanos, SECOND};
use crate::dns::{self, Message};
use crate::host::{Host, WINDOWS_XP};
use crate::mail::{Attachment, Builder};
use crate::prng::{LETTERS, Rng};
use crate::smtp::{Client, Server, Session, Transaction};
use crate::talk::{Talk, datagram, mail_server, outside, segment};
use crate::tcp::Conversation;
use crate::wire::{self, ACK, FIN, PSH, RST, SYN, Tcp};
use crate::worm;

/// The infected host at home whose one mail is hidden in each attack.
pub const INFECTED: Ipv4Addr = Ipv4Addr::new(10, 20, 1, 66);

/// One kind of attack.
#[derive(Clone, Copy)]
pub struct Attack {
    pub name: &'static str,
    /// What it is after.
    pub about: &'static str,
    /// What its size counts.
    pub unit: &'static str,
    /// From its first packet to its last.
    pub span: Nanos,
    packets: fn(Wave) -> Packets,
}

impl Attack {
    /// The attack of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|attack| attack.name == name)
    }

    /// Writes an attack of this size, the worm's mail in its midst.
    pub fn write(&self, sink: &mut impl Sink, size: u64, seed: u64) -> io::Result<Totals> {
        // Not at a full minute, when all slow senders say their word.
        self.write_around(sink, size, seed, self.span / 3 + self.span / 120)
    }

    /// The same with the worm's mail so long after the attack began.
    pub fn write_around(&self, sink: &mut impl Sink, size: u64, seed: u64, after: Nanos) -> io::Result<Totals> {
        let mut merge = Merge::new();
        let packets = self.packets;
        let wave = Wave { size: size.max(1), span: self.span, seed };
        merge.add(START, move || packets(wave));
        let mailing = START + after;
        merge.add(mailing, move || infected(mailing, seed));
        let mut totals = Totals::default();
        for packet in merge {
            totals.packets += 1;
            totals.bytes += packet.data.len() as u64;
            sink.packet(packet.time, &packet.data)?;
        }
        Ok(totals)
    }
}

/// All of them.
pub const ALL: &[Attack] = &[
    Attack {
        name: "syn-flood",
        about: "the flow table: connections to the mail server that nobody opens",
        unit: "SYN",
        span: SPAN,
        packets: syn_flood,
    },
    Attack {
        name: "spoofed-hosts",
        about: "the table of home hosts: MX questions and connections from addresses that do not exist",
        unit: "sources",
        span: SPAN,
        packets: spoofed_hosts,
    },
    Attack {
        name: "sequence-games",
        about: "stream reassembly: segments that contradict each other, lie outside the window, begin and end at random",
        unit: "segments",
        span: SPAN,
        packets: sequence_games,
    },
    Attack {
        name: "tiny-segments",
        about: "stream buffers: one byte a segment behind a hole that is never filled, in 64 sessions",
        unit: "segments",
        span: SPAN,
        packets: tiny_segments,
    },
    Attack {
        name: "overlapping-fragments",
        about: "defragmentation: datagrams of fragments that overlap, differ, and never become whole",
        unit: "datagrams",
        span: SPAN,
        packets: overlapping_fragments,
    },
    Attack {
        name: "slow-senders",
        about: "sessions: each sends a message, a byte a minute, for twenty minutes",
        unit: "sessions",
        span: 21 * MINUTE,
        packets: slow_senders,
    },
    Attack {
        name: "endless-headers",
        about: "messages: header fields without end, in eight sessions",
        unit: "fields in each",
        span: SPAN,
        packets: endless_headers,
    },
    Attack {
        name: "endless-recipients",
        about: "envelopes: RCPT without end",
        unit: "recipients",
        span: SPAN,
        packets: endless_recipients,
    },
    Attack {
        name: "deep-mime",
        about: "the walk over parts: multiparts and messages within each other",
        unit: "levels",
        span: SPAN,
        packets: deep_mime,
    },
    Attack {
        name: "flat-bomb",
        about: "unpacking: a zip member of zeros",
        unit: "MiB unpacked",
        span: SPAN,
        packets: flat_bomb,
    },
    Attack {
        name: "nested-bomb",
        about: "unpacking: zips within zips, 16 in each",
        unit: "levels",
        span: SPAN,
        packets: nested_bomb,
    },
    Attack {
        name: "overlapping-bomb",
        about: "unpacking: a zip directory that names one member again and again",
        unit: "names",
        span: SPAN,
        packets: overlapping_bomb,
    },
    Attack {
        name: "dns-loops",
        about: "DNS names: compression pointers to themselves, to each other, in long chains",
        unit: "messages",
        span: SPAN,
        packets: dns_loops,
    },
];

/// How much of an attack.
#[derive(Clone, Copy)]
struct Wave {
    size: u64,
    span: Nanos,
    seed: u64,
}

impl Wave {
    /// When packet `number` of `count` comes.
    fn at(&self, number: u64, count: u64) -> Nanos {
        START + (i128::from(self.span) * i128::from(number) / i128::from(count.max(1))) as Nanos
    }
}

type Packets = Box<dyn Iterator<Item = Packet>>;

/// The worm mails itself once, straight to an exchanger outside.
fn infected(start: Nanos, seed: u64) -> Vec<Packet> {
    let mut rng = Rng::named(seed, "infected");
    let host = Host::home("infected", INFECTED, "user", &WINDOWS_XP);
    let (from, message) = worm::letter(&mut rng, "someone@example.net");
    let client = Client { pause: Some(100 * MILLI), ..worm::client(&mut rng) };
    let transaction = Transaction::new(&from, &["someone@example.net"], message.bytes);
    let session = Session::new(client, Server::new("mx.example.net"), vec![transaction]);
    let steps = session.script(&mut rng).steps;
    Conversation::new(host.endpoint(host.ip(), 1_066), outside(25, 25), start, seed).play(&steps).packets
}

// --- floods -----------------------------------------------------------------------------------------------------

fn syn_flood(wave: Wave) -> Packets {
    let mut rng = Rng::named(wave.seed, "syn-flood");
    let server = mail_server();
    Box::new((0..wave.size).map(move |number| {
        let client = outside(rng.next_u32(), rng.next_u16());
        let header = Tcp { seq: rng.next_u32(), flags: SYN, ..Tcp::default() };
        segment(wave.at(number, wave.size), &client, &server, header, &[])
    }))
}

fn spoofed_hosts(wave: Wave) -> Packets {
    let mut rng = Rng::named(wave.seed, "spoofed-hosts");
    let (resolver, exchanger) = (outside(53, 53), outside(26, 25));
    Box::new((0..2 * wave.size).map(move |number| {
        let at = wave.at(number, 2 * wave.size);
        // 10.64.0.0/10: apart from the infected host.
        let source = Ipv4Addr::from(0x0a40_0000 | ((number as u32 / 2) & 0x003f_ffff));
        let host = Host::home("spoofed", source, "nobody", &WINDOWS_XP);
        let client = host.endpoint(host.ip(), 1_024 + rng.next_u16() % 30_000);
        if number.is_multiple_of(2) {
            let name = format!("{}.example", rng.text(LETTERS, 8));
            datagram(at, &client, &resolver, &Message::query(rng.next_u16(), &name, dns::MX).encode(false))
        } else {
            segment(at, &client, &exchanger, Tcp { seq: rng.next_u32(), flags: SYN, ..Tcp::default() }, &[])
        }
    }))
}

// --- streams ----------------------------------------------------------------------------------------------------

fn sequence_games(wave: Wave) -> Packets {
    const SESSIONS: u64 = 200;
    let mut rng = Rng::named(wave.seed, "sequence-games");
    let opening = SESSIONS * Talk::OPENING;
    let count = opening + wave.size;
    Box::new((0..count).map(move |number| {
        let at = wave.at(number, count);
        if number < opening {
            return Talk(number % SESSIONS).open(at, number / SESSIONS);
        }
        let talk = Talk(rng.below(SESSIONS));
        let near = rng.below(3_000) as u32;
        let length = 1 + rng.below(600) as usize;
        let noise = rng.bytes(length);
        match rng.below(8) {
            // Overlapping ones, of other content each time.
            0..=3 => talk.client(at, near, ACK, &noise),
            4 => talk.client(at, rng.next_u32(), ACK | PSH, &noise),
            5 => talk.client(at, near.wrapping_sub(1_000_000_000), RST, &[]),
            6 => talk.client(at, rng.next_u32(), SYN, &[]),
            _ => talk.client(at, rng.next_u32(), FIN | ACK, &noise),
        }
    }))
}

fn tiny_segments(wave: Wave) -> Packets {
    const SESSIONS: u64 = 64;
    let opening = SESSIONS * Talk::OPENING;
    let count = opening + wave.size;
    Box::new((0..count).map(move |number| {
        let at = wave.at(number, count);
        if number < opening {
            return Talk(number % SESSIONS).open(at, number / SESSIONS);
        }
        let number = number - opening;
        // Every other byte, from the second one on: no two segments touch.
        Talk(number % SESSIONS).client(at, 1 + 2 * (number / SESSIONS) as u32, ACK | PSH, b"x")
    }))
}

fn slow_senders(wave: Wave) -> Packets {
    const BYTES: u64 = 20;
    let sessions = wave.size;
    Box::new((0..sessions * (Talk::OPENING + BYTES)).map(move |number| {
        let (step, talk) = (number / sessions, Talk(number % sessions));
        let within = (SECOND as u64 * (number % sessions) / sessions) as Nanos;
        if step < Talk::OPENING {
            return talk.open(START + step as Nanos * SECOND + within, step);
        }
        let byte = step - Talk::OPENING;
        talk.client(START + (byte as Nanos + 1) * MINUTE + within, byte as u32, ACK | PSH, b"x")
    }))
}

// --- fragments --------------------------------------------------------------------------------------------------

fn overlapping_fragments(wave: Wave) -> Packets {
    let mut rng = Rng::named(wave.seed, "overlapping-fragments");
    let server = mail_server();
    let pieces: [(u16, bool); 6] = [(0, true), (4, true), (2, true), (40, true), (38, true), (12, true)];
    let count = wave.size * pieces.len() as u64;
    Box::new((0..count).map(move |number| {
        let (offset, more) = pieces[number as usize % pieces.len()];
        let client = outside((number / pieces.len() as u64) as u32, 5_000);
        let noise = rng.bytes(64);
        let mut packet = datagram(wave.at(number, count), &client, &server, &noise);
        fragment(&mut packet.data, number as u16 / pieces.len() as u16, offset, more);
        packet
    }))
}

/// Makes an IPv4 frame of ours a fragment; its offset is in units of eight bytes.
pub fn fragment(frame: &mut [u8], id: u16, offset: u16, more: bool) {
    frame[18..20].copy_from_slice(&id.to_be_bytes());
    let flags = offset | if more { 0x2000 } else { 0 };
    frame[20..22].copy_from_slice(&flags.to_be_bytes());
    frame[24..26].fill(0);
    let sum = wire::checksum(0, &frame[14..34]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
}

// --- messages ---------------------------------------------------------------------------------------------------

fn endless_headers(wave: Wave) -> Packets {
    let field = |number: u64| format!("X-Header-{number}: {}\r\n", "v".repeat(60));
    let head: String = std::iter::once("Subject: headers\r\n".to_owned()).chain((0..wave.size).map(field)).collect();
    deliver(wave, 8, [head.as_bytes(), b"\r\ntext\r\n"].concat(), &["b@home.example"])
}

fn endless_recipients(wave: Wave) -> Packets {
    let recipients: Vec<String> = (0..wave.size).map(|number| format!("user{number}@home.example")).collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    deliver(wave, 1, b"Subject: all\r\n\r\ntext\r\n".to_vec(), &recipients)
}

fn deep_mime(wave: Wave) -> Packets {
    let level = |number: u64| match number % 2 {
        0 => format!("Content-Type: multipart/mixed; boundary=b{number}\r\n\r\n--b{number}\r\n"),
        _ => "Content-Type: message/rfc822\r\n\r\n".to_owned(),
    };
    let levels: String = (0..wave.size).map(level).collect();
    deliver(wave, 2, ["Subject: deep\r\n", &levels, "\r\ntext\r\n"].concat().into_bytes(), &["b@home.example"])
}

fn flat_bomb(wave: Wave) -> Packets {
    let zeros = vec![0; 1 << 20];
    attach(wave, archive("zeros.bin", |out| (0..wave.size).try_for_each(|_| out.write_all(&zeros))))
}

fn nested_bomb(wave: Wave) -> Packets {
    attach(wave, nested(wave.size))
}

fn overlapping_bomb(wave: Wave) -> Packets {
    attach(wave, overlapping(wave.size.min(9_999) as u16, wave.seed))
}

/// Sixteen alike members pack well: each level is little larger than the one within.
fn nested(levels: u64) -> Vec<u8> {
    let mut inner = archive("0.bin", |out| out.write_all(&vec![0; 1 << 20]));
    for _ in 0..levels {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for number in 0..16 {
            writer.start_file(format!("{number}.zip"), deflated()).expect("memory takes all writes");
            writer.write_all(&inner).expect("memory takes all writes");
        }
        inner = writer.finish().expect("memory takes all writes").into_inner();
    }
    inner
}

/// One member under many names, in the simplest form of David Fifield's bombs of 2019.
fn overlapping(names: u16, seed: u64) -> Vec<u8> {
    // Ten times as large unpacked: below any ratio that tells a bomb.
    let mut rng = Rng::named(seed, "overlapping-bomb");
    let content: Vec<u8> = (0..400).flat_map(|_| rng.bytes(100).repeat(10)).collect();
    let one = archive("0000", |out| out.write_all(&content));
    let at = |signature: &[u8]| one.windows(4).rposition(|window| window == signature).expect("an archive has it");
    let (directory, end) = (at(b"PK\x01\x02"), at(b"PK\x05\x06"));
    let mut entries = Vec::new();
    for number in 0..names {
        let mut entry = one[directory..end].to_vec();
        entry[46..50].copy_from_slice(format!("{number:04}").as_bytes());
        entries.extend(entry);
    }
    let mut bomb = [&one[..directory], &entries, &one[end..]].concat();
    let end = directory + entries.len();
    bomb[end + 8..end + 10].copy_from_slice(&names.to_le_bytes());
    bomb[end + 10..end + 12].copy_from_slice(&names.to_le_bytes());
    bomb[end + 12..end + 16].copy_from_slice(&(entries.len() as u32).to_le_bytes());
    bomb
}

fn archive(name: &str, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file(name, deflated()).expect("memory takes all writes");
    fill(&mut writer).expect("memory takes all writes");
    writer.finish().expect("memory takes all writes").into_inner()
}

fn deflated() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(CompressionMethod::Deflated)
}

fn attach(wave: Wave, content: Vec<u8>) -> Packets {
    let builder = Builder::new("See attached.").header("Subject", "Archive");
    let message = builder.attach(Attachment::new("archive.zip", "application/zip", content)).build();
    deliver(wave, 4, message.bytes, &["b@home.example"])
}

/// The same message from so many hosts outside to the mail server at home.
fn deliver(wave: Wave, sessions: u32, message: Vec<u8>, recipients: &[&str]) -> Packets {
    let mut merge = Merge::new();
    for number in 0..sessions {
        let start = wave.at(u64::from(number), u64::from(sessions));
        let transaction = Transaction::new("a@example.net", recipients, message.clone());
        merge.add(start, move || {
            let mut rng = Rng::named(wave.seed.wrapping_add(u64::from(number)), "deliver");
            let (client, server) = (Client::new("out.example.net"), Server::new("mail.home.example"));
            let steps = Session::new(client, server, vec![transaction]).script(&mut rng).steps;
            let (client, server) = (outside(900 + number, 4_000), mail_server());
            Conversation::new(client, server, start, rng.next_u64()).play(&steps).packets
        });
    }
    Box::new(merge)
}

// --- DNS --------------------------------------------------------------------------------------------------------

fn dns_loops(wave: Wave) -> Packets {
    let mut rng = Rng::named(wave.seed, "dns-loops");
    let resolver = outside(53, 53);
    Box::new((0..wave.size).map(move |number| {
        let host = Host::home("looper", Ipv4Addr::new(10, 20, 2, number as u8), "user", &WINDOWS_XP);
        let client = host.endpoint(host.ip(), 1_024 + (number % 50_000) as u16);
        // A header with one question (RFC 1035, section 4.1.1), whose name begins at byte 12.
        let mut message = rng.next_u16().to_be_bytes().to_vec();
        message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        match number % 4 {
            0 => message.extend([0xc0, 12]),
            1 => message.extend([0xc0, 14, 0xc0, 12]),
            2 => message.extend([1, b'a', 0xc0, 12]),
            // A chain: each pointer leads to the one before, the first one to itself.
            _ => {
                message.extend([0xc0, 12]);
                for place in (14..1_200).step_by(2) {
                    message.extend((0xc000 | (place - 2) as u16).to_be_bytes());
                }
            }
        }
        message.extend([0, 15, 0, 1]);
        datagram(wave.at(number, wave.size), &client, &resolver, &message)
    }))
}

/// 31 October 2003, nine o'clock.
const START: Nanos = 1_067_590_800 * SECOND;
/// Long enough for the worm's session to have attack before, around and behind it.
const SPAN: Nanos = 6 * SECOND;

#[cfg(test)]
mod tests {
    use std::io::Read;

    use zip::ZipArchive;

    use super::*;

    #[test]
    fn each_is_deterministic_in_order_and_around_the_worms_mail() {
        let infected = INFECTED.octets();
        for attack in ALL {
            let (mut one, mut two) = (Vec::new(), Vec::new());
            let totals = attack.write(&mut one, 4, 7).unwrap();
            assert_eq!(attack.write(&mut two, 4, 7).unwrap(), totals, "{}", attack.name);
            assert!(one == two && one.is_sorted_by_key(|packet| packet.time), "{}", attack.name);
            let worm = |packet: &Packet| packet.data[26..30] == infected || packet.data[30..34] == infected;
            assert!(one.iter().filter(|packet| worm(packet)).count() > 20, "{}", attack.name);
            assert!(one.first().is_some_and(|packet| !worm(packet)), "{}", attack.name);
        }
    }

    #[test]
    fn bombs_are_archives_to_those_who_open_them() {
        let mut outer = ZipArchive::new(Cursor::new(nested(2))).unwrap();
        assert_eq!(outer.len(), 16);
        let mut inner = Vec::new();
        outer.by_index(15).unwrap().read_to_end(&mut inner).unwrap();
        assert_eq!(ZipArchive::new(Cursor::new(inner)).unwrap().len(), 16);
        let bomb = overlapping(500, 1);
        let mut same = ZipArchive::new(Cursor::new(&bomb)).unwrap();
        assert_eq!(same.len(), 500);
        let sizes = [0, 499].map(|index| same.by_index_raw(index).unwrap().size());
        assert_eq!(sizes, [400_000; 2]);
        assert!(bomb.len() < 100_000, "{}", bomb.len());
    }
}
