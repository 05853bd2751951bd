//! The conversation as packets, through the whole sensor: reassembly is then part of it, and so is what it accounts for.

use std::time::Duration;

use mailsnare::capture::Packet;
use mailsnare::model::event::{EventKind, SmtpEvent};
use mailsnare::model::net::Side;
use mailsnare::model::settings::SensorSettings;
use mailsnare::model::time::Timestamp;
use mailsnare::sensor::Sensor;

use super::{Scene, Sight, Step, Steps};

/// What is said of the conversation, and what all of its pools still hold when it is over: sessions, segments out of
/// order, delivered bytes.
pub fn through_sensor(scene: &Scene, steps: &Steps) -> (Vec<SmtpEvent>, [u64; 3]) {
    let settings = SensorSettings { flows: 8, message_bytes: scene.bound(), ..SensorSettings::default() };
    let mut wire = Wire {
        sensor: Sensor::new(settings, 0),
        unseen: if let Sight::One(side) = scene.sight { Some(side.other()) } else { None },
        number: 0,
        next: [0xffff_fff0, 77],
    };
    wire.carry(Side::Client, SYN, &[]);
    wire.carry(Side::Server, SYN | ACK, &[]);
    wire.carry(Side::Client, ACK, &[]);
    for (count, step) in steps.iter().enumerate() {
        match step {
            Step::Gap(side, lost) => wire.skip(*side, *lost),
            Step::Says(side, bytes) => {
                for piece in bytes.chunks(LONGEST) {
                    wire.carry(*side, ACK, piece);
                    if count % 7 == 3 && scene.seed & 1 != 0 {
                        wire.again(*side, piece);
                    }
                }
            }
        }
    }
    for side in [Side::Client, Side::Server] {
        wire.carry(side, FIN | ACK, &[]);
    }
    wire.carry(Side::Client, ACK, &[]);
    wire.sensor.finish();
    let (mut said, mut account) = (Vec::new(), [u64::MAX; 3]);
    for event in wire.sensor.drain() {
        match event.kind {
            EventKind::Smtp(smtp) => said.push(*smtp),
            EventKind::Tick(stats) => account = [stats.smtp.held_bytes, stats.flow.held_bytes, stats.flow.tail_bytes],
            _ => {}
        }
    }
    (said, account)
}

/// On Ethernet (RFC 879).
const LONGEST: usize = 1_460;

const FIN: u8 = 1;
const SYN: u8 = 2;
const ACK: u8 = 16;

struct Wire {
    sensor: Sensor,
    unseen: Option<Side>,
    number: u64,
    /// Of each side, the sequence number of what it says next.
    next: [u32; 2],
}

impl Wire {
    fn carry(&mut self, side: Side, flags: u8, payload: &[u8]) {
        self.packet(side, flags, self.next[side.index()], payload);
        let counts = payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        self.next[side.index()] = self.next[side.index()].wrapping_add(counts);
    }

    /// The bytes said last, sent once more.
    fn again(&mut self, side: Side, payload: &[u8]) {
        self.packet(side, ACK, self.next[side.index()].wrapping_sub(payload.len() as u32), payload);
    }

    fn skip(&mut self, side: Side, lost: u64) {
        self.next[side.index()] = self.next[side.index()].wrapping_add(lost as u32);
    }

    fn packet(&mut self, side: Side, flags: u8, seq: u32, payload: &[u8]) {
        self.number += 1;
        if self.unseen == Some(side) {
            return;
        }
        let ack = if flags & ACK != 0 { self.next[side.other().index()] } else { 0 };
        let data = frame(side, flags, [seq, ack], payload);
        let time = Timestamp::from_parts(1_067_601_600, 0).plus(Duration::from_millis(self.number));
        let wire_len = data.len() as u32;
        self.sensor.packet(&Packet { time, link: 1, data: &data, wire_len, number: self.number, file: 0 });
    }
}

/// A segment on IPv4 and Ethernet, checksums in place.
fn frame(side: Side, flags: u8, [seq, ack]: [u32; 2], payload: &[u8]) -> Vec<u8> {
    let (ends, ports) = match side {
        Side::Client => ([10, 0, 0, 1, 192, 0, 2, 25], [1025_u16, 25]),
        Side::Server => ([192, 0, 2, 25, 10, 0, 0, 1], [25, 1025]),
    };
    let mut tcp = Vec::with_capacity(20 + payload.len());
    tcp.extend(ports.iter().flat_map(|port| port.to_be_bytes()));
    tcp.extend(seq.to_be_bytes());
    tcp.extend(ack.to_be_bytes());
    tcp.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    tcp.extend_from_slice(payload);
    let pseudo = sum(&ends) + 6 + tcp.len() as u32;
    let check = folded(pseudo + sum(&tcp));
    tcp[16..18].copy_from_slice(&check.to_be_bytes());
    let mut ip = vec![0x45, 0];
    ip.extend((20 + tcp.len() as u16).to_be_bytes());
    ip.extend([0, 7, 0x40, 0, 64, 6, 0, 0]);
    ip.extend(ends);
    let check = folded(sum(&ip));
    ip[10..12].copy_from_slice(&check.to_be_bytes());
    [b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0".as_slice(), &ip, &tcp].concat()
}

/// RFC 1071.
fn sum(bytes: &[u8]) -> u32 {
    bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0))).sum()
}

fn folded(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
