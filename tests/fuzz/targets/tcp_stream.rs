//! Segments of both sides of a connection, most of them near what is expected, through [`Stream`].
//!
//! What each byte must be follows from its sequence number, so what is delivered can be checked byte by byte. A
//! segment may say that its bytes are others: then copies differ, and either may be delivered.

use std::time::Duration;

use arbitrary::{Result, Unstructured};
use mailsnare::flow::{Sink, Stream, TcpPart};
use mailsnare::model::limits;
use mailsnare::model::net::Side;
use mailsnare::model::stats::FlowStats;
use mailsnare::model::time::Timestamp;

pub fn run(input: &[u8]) {
    // Running out of input in the middle of a segment ends the conversation before it.
    let mut input = Unstructured::new(input);
    let Ok(start) = Start::read(&mut input) else { return };
    let mut wire = Wire::new(&start);
    while let Ok(segment) = Segment::read(&mut input) {
        wire.carry(&segment);
    }
    wire.hang_up();
}

/// How a conversation begins.
struct Start {
    /// Whether the SYN of each side was seen.
    opening_seen: [bool; 2],
    first_seq: [u32; 2],
}

impl Start {
    fn read(input: &mut Unstructured<'_>) -> Result<Self> {
        let bits: u8 = input.arbitrary()?;
        // Near the wrap, at zero, or anywhere.
        let first = |way: u8, any: u16| match way & 3 {
            0 => u32::MAX - u32::from(any) % 200,
            1 => u32::from(any) % 200,
            _ => u32::from(any) << 16,
        };
        Ok(Self {
            opening_seen: [bits & 1 == 0, bits & 2 == 0],
            first_seq: [first(bits >> 2, input.arbitrary()?), first(bits >> 4, input.arbitrary()?)],
        })
    }
}

/// A segment, its numbers relative to those its side began with.
struct Segment {
    side: Side,
    seq: u32,
    ack: Option<u32>,
    flags: u8,
    length: usize,
    missing: u32,
    other_bytes: bool,
    later: Duration,
}

impl Segment {
    fn read(input: &mut Unstructured<'_>) -> Result<Self> {
        if input.is_empty() {
            return Err(arbitrary::Error::NotEnoughData);
        }
        let bits: u8 = input.arbitrary()?;
        let side = if bits & 1 == 0 { Side::Client } else { Side::Server };
        let seq = number(input, bits & 2 != 0)?;
        let ack = if bits & 4 != 0 { Some(number(input, bits & 8 != 0)?) } else { None };
        let (flags, length): (u8, u8) = input.arbitrary()?;
        // Long ones, too: the bytes kept for comparison are 4,096.
        let length = if bits & 16 != 0 { usize::from(length) * 24 } else { usize::from(length) };
        let missing = if bits & 32 != 0 { u32::from(input.arbitrary::<u8>()?) } else { 0 };
        let later = Duration::from_millis(if bits & 64 != 0 { 600 } else { 1 });
        Ok(Self { side, seq, ack, flags, length, missing, other_bytes: bits & 128 != 0, later })
    }
}

/// A sequence number relative to the first: near it, or anywhere.
fn number(input: &mut Unstructured<'_>, far: bool) -> Result<u32> {
    if far {
        return input.arbitrary();
    }
    // From a little before the first byte on.
    Ok(u32::from(input.arbitrary::<u16>()? & 0x3fff).wrapping_sub(64))
}

/// A stream, and what must be true of it.
struct Wire {
    stream: Stream,
    stats: FlowStats,
    first_seq: [u32; 2],
    now: Timestamp,
    heard: Heard,
}

/// What a stream delivers, checked on the way.
struct Heard {
    /// Sequence number of the next byte; not known before the first delivery when the opening was not seen.
    next: [Option<u32>; 2],
    sent: [Sent; 2],
    delivered: [u64; 2],
    lost: u64,
    differs: u64,
}

impl Wire {
    fn new(start: &Start) -> Self {
        let seen = |side: Side| start.opening_seen[side.index()].then_some(start.first_seq[side.index()]);
        let first = [seen(Side::Client), seen(Side::Server)];
        let heard = Heard { next: first, sent: start.first_seq.map(Sent::new), delivered: [0; 2], lost: 0, differs: 0 };
        let now = Timestamp::from_parts(1_067_601_600, 0);
        Self { stream: Stream::new(first), stats: FlowStats::default(), first_seq: start.first_seq, now, heard }
    }

    fn carry(&mut self, segment: &Segment) {
        let (me, other) = (segment.side.index(), segment.side.other().index());
        let seq = self.first_seq[me].wrapping_add(segment.seq);
        // A SYN takes the number before the first byte (RFC 9293, section 3.4).
        let first_byte = seq.wrapping_add(u32::from(segment.flags & SYN != 0));
        let payload: Vec<u8> = (0..segment.length as u32)
            .map(|n| byte_at(segment.side, first_byte.wrapping_add(n)) ^ u8::from(segment.other_bytes))
            .collect();
        self.heard.sent[me].insert(first_byte, payload.len(), segment.other_bytes);
        let part = TcpPart {
            seq,
            ack: segment.ack.map(|ack| self.first_seq[other].wrapping_add(ack)),
            flags: segment.flags,
            payload: &payload,
            missing: segment.missing,
            urgent: None,
        };
        self.now = self.now.plus(segment.later);
        self.stream.segment(segment.side, &part, self.now, &mut self.stats, &mut self.heard);
        self.check();
    }

    fn check(&self) {
        assert!(self.stats.held_bytes <= BOUND, "held past the bound");
        assert_eq!(self.stats.gap_bytes, self.heard.lost, "every lost byte was told");
        assert_eq!(self.stats.overlap_differs, self.heard.differs, "every differing copy was told");
        for side in [0, 1] {
            assert!(self.heard.delivered[side] <= self.heard.sent[side].bytes, "more delivered than was sent");
        }
    }

    fn hang_up(mut self) {
        self.stream.flush(&mut self.stats, &mut self.heard);
        self.check();
        assert_eq!(self.stats.held_bytes, 0, "a flush leaves nothing");
        self.stream.let_go(&mut self.stats);
        assert_eq!((self.stats.held_bytes, self.stats.tail_bytes), (0, 0), "all is given back");
    }
}

impl Sink for Heard {
    fn data(&mut self, side: Side, bytes: &[u8], _other_unseen: bool) {
        assert!(!bytes.is_empty(), "nothing was said");
        self.delivered[side.index()] += bytes.len() as u64;
        let Some(next) = &mut self.next[side.index()] else { return };
        let wrong = self.sent[side.index()].wrong(side, *next, bytes);
        assert_eq!(wrong, 0, "bytes of {side:?} from {next} on were never sent: {bytes:?}");
        *next = next.wrapping_add(bytes.len() as u32);
    }

    fn gap(&mut self, side: Side, lost: u64) {
        assert!(lost > 0, "nothing was lost");
        self.lost += lost;
        if let Some(next) = &mut self.next[side.index()] {
            *next = next.wrapping_add(lost as u32);
        }
    }

    fn differs(&mut self, _: Side) {
        self.differs += 1;
    }
}

/// Every byte that one side sent, by its sequence number: its own, and another in its place. Without a branch for each byte,
/// which the fuzzer would count and wonder at.
struct Sent {
    first_seq: u32,
    /// Those near the beginning, where most are; a bit for either byte.
    near: Vec<u8>,
    /// Segments that are not: where they begin, how long they are, and the bit.
    far: Vec<(u32, u32, u8)>,
    /// How many sequence numbers a byte was sent for, at most.
    bytes: u64,
}

impl Sent {
    fn new(first_seq: u32) -> Self {
        Self { first_seq: first_seq.wrapping_sub(1 << 12), near: vec![0; 1 << 16], far: Vec::new(), bytes: 0 }
    }

    fn insert(&mut self, seq: u32, length: usize, other_bytes: bool) {
        let bit = 1 << u8::from(other_bytes);
        let from = seq.wrapping_sub(self.first_seq) as usize;
        match self.near.get_mut(from..from + length) {
            Some(sent) => {
                self.bytes += sent.iter().map(|sent| u64::from(*sent == 0)).sum::<u64>();
                sent.iter_mut().for_each(|sent| *sent |= bit);
            }
            None => {
                self.bytes += length as u64;
                self.far.push((seq, length as u32, bit));
            }
        }
    }

    /// How many of these bytes were not sent.
    fn wrong(&self, side: Side, seq: u32, bytes: &[u8]) -> u32 {
        let from = seq.wrapping_sub(self.first_seq) as usize;
        let near = self.near.get(from..from + bytes.len()).filter(|_| self.far.is_empty());
        let seqs = (0..).map(|n| seq.wrapping_add(n));
        let differs = |byte: u8, at: u32| u32::from(byte & 0xfe != byte_at(side, at));
        match near {
            Some(sent) => {
                let each = bytes.iter().zip(sent).zip(seqs);
                each.map(|((byte, sent), at)| differs(*byte, at) | u32::from(sent & (1 << (byte & 1)) == 0)).sum()
            }
            None => {
                let each = bytes.iter().zip(seqs);
                each.map(|(byte, at)| differs(*byte, at) | u32::from(!self.contains(at, 1 << (byte & 1)))).sum()
            }
        }
    }

    fn contains(&self, seq: u32, bit: u8) -> bool {
        let near = self.near.get(seq.wrapping_sub(self.first_seq) as usize).is_some_and(|sent| sent & bit != 0);
        near || self.far.iter().any(|(from, length, its)| *its == bit && seq.wrapping_sub(*from) < *length)
    }
}

/// What a side says at a sequence number: even, so that a differing copy can be odd.
fn byte_at(side: Side, seq: u32) -> u8 {
    let mixed = (seq ^ side.index() as u32).wrapping_mul(0x9e37_79b1);
    (mixed >> 24) as u8 & 0xfe
}

const SYN: u8 = 2;

/// What both directions may hold, with what each segment takes besides its own bytes.
const BOUND: u64 = 2 * (limits::STREAM_HELD_BYTES + limits::STREAM_HELD_SEGMENTS * limits::SEGMENT_COST) as u64;
