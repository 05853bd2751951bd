//! Puts the two directions of a TCP connection back in order (RFC 9293), for a listener in the middle.
//!
//! A listener cannot ask for a segment again, so it must decide when a hole stays a hole. The receiver tells: what
//! it acknowledged did arrive. A hole that was acknowledged and is still not filled after a little patience (a mirror
//! port reorders) was lost on the way to us; it is told to the protocol as a gap. A hole that was not acknowledged
//! will be sent again, so it is waited for.
//!
//! The directions are kept in order against each other too: data is handed on only after the bytes it acknowledges,
//! so that a reply never overtakes its command, however the capture shuffled them.
//!
//! Where copies of a byte differ, the first one wins; that they differ is told.

use std::collections::BTreeMap;

use crate::model::limits;
use crate::model::net::Side;
use crate::model::stats::FlowStats;
use crate::model::time::Timestamp;

use super::flags::{FIN, SYN};

/// Takes what a stream delivers.
pub trait Sink {
    /// The next bytes one side sent. `other_unseen` is true while no packet of the other side was captured.
    fn data(&mut self, side: Side, bytes: &[u8], other_unseen: bool);
    /// `lost` bytes of one side are missing here.
    fn gap(&mut self, side: Side, lost: u64);
    /// A second copy of bytes of one side differs from the first.
    fn differs(&mut self, side: Side);
}

/// The part of a segment that matters here.
#[derive(Clone, Copy, Debug)]
pub struct TcpPart<'a> {
    pub seq: u32,
    /// The acknowledgment number, where the ACK flag is set.
    pub ack: Option<u32>,
    pub flags: u8,
    pub payload: &'a [u8],
    /// Bytes after the payload that were on the wire but not captured.
    pub missing: u32,
}

/// Both directions of one connection.
#[derive(Debug)]
pub struct Stream {
    halves: [Half; 2],
}

/// One direction. Positions are offsets from its first data byte, so nothing wraps.
#[derive(Debug, Default)]
struct Half {
    /// Sequence number of offset 0; none until a packet tells it.
    first_seq: Option<u32>,
    /// Offset 0 is a guess: the opening was not seen.
    guessed: bool,
    /// Whether any packet of this side was captured.
    seen: bool,
    /// All before this was delivered or given up.
    next: u64,
    /// All before this was acknowledged by the other side.
    acked: u64,
    /// Where the side's data ends, once its FIN was seen.
    fin: Option<u64>,
    /// Segments that cannot be delivered yet, by offset; they do not overlap.
    held: BTreeMap<u64, Held>,
    held_bytes: usize,
    /// The last bytes delivered, to compare late copies with.
    tail: Vec<u8>,
    /// Since when an acknowledged hole has been waited on, and packets of the flow since.
    hole: Option<(Timestamp, u32)>,
}

/// A segment that waits.
#[derive(Debug)]
struct Held {
    bytes: Vec<u8>,
    /// Bytes not captured, after `bytes`.
    missing: u32,
    /// Offset of the other direction that must be delivered first.
    after: u64,
}

impl Held {
    fn len(&self) -> u64 {
        self.bytes.len() as u64 + u64::from(self.missing)
    }
}

impl Stream {
    /// A connection whose sides' first data bytes have these sequence numbers, where their SYNs were seen.
    pub fn new(first_seq: [Option<u32>; 2]) -> Self {
        Self { halves: first_seq.map(|first_seq| Half { first_seq, seen: first_seq.is_some(), ..Half::default() }) }
    }

    /// Takes a segment of `side`, captured at `now`, and delivers what became deliverable.
    pub fn segment(
        &mut self,
        side: Side,
        part: &TcpPart<'_>,
        now: Timestamp,
        stats: &mut FlowStats,
        sink: &mut impl Sink,
    ) {
        let after = self.acknowledge(side, part.ack);
        let half = &mut self.halves[side.index()];
        let seq = if part.flags & SYN != 0 { part.seq.wrapping_add(1) } else { part.seq };
        half.meet(seq);
        let start = half.offset(seq);
        let end = start.saturating_add_unsigned(part.payload.len() as u64 + u64::from(part.missing));
        if end > half.next.saturating_add(MAX_AHEAD) as i64 {
            stats.invalid_segments += 1;
            return;
        }
        if part.flags & FIN != 0 && half.fin.is_none() {
            half.fin = Some(end.max(0) as u64);
        }
        if !part.payload.is_empty() || part.missing > 0 {
            self.accept(side, start, part, after, stats, sink);
        }
        self.pump(stats, sink);
        self.lose_patience(now, stats, sink);
    }

    /// Whether both sides have said all they will say.
    pub fn finished(&self) -> bool {
        self.halves.iter().all(|half| !half.seen || half.fin.is_some_and(|fin| half.next >= fin))
    }

    /// Whether a reset of `side` with this sequence number would be believed: near what is expected next. One far
    /// off is ignored by its receiver (RFC 9293, section 3.10.7.4) and must not blind us either.
    pub fn plausible_reset(&self, side: Side, seq: u32) -> bool {
        let half = &self.halves[side.index()];
        half.first_seq.is_none() || half.offset(seq).abs_diff(half.next as i64) <= RESET_WINDOW
    }

    /// Delivers all that is held, holes told as gaps: the connection is over.
    pub fn flush(&mut self, stats: &mut FlowStats, sink: &mut impl Sink) {
        self.pump(stats, sink);
        while let Some(side) = SIDES.into_iter().find(|side| !self.halves[side.index()].held.is_empty()) {
            self.release(side, stats, sink);
        }
        for side in SIDES {
            let half = &self.halves[side.index()];
            let said = half.fin.unwrap_or(0).max(half.acked);
            if half.seen && said > half.next {
                self.skip_to(side, said, stats, sink);
            }
        }
    }

    /// Notes what `side` acknowledges; gives the offset of the other side that its data must wait for.
    fn acknowledge(&mut self, side: Side, ack: Option<u32>) -> u64 {
        let other = &mut self.halves[side.other().index()];
        let Some(ack) = ack else { return 0 };
        if other.first_seq.is_none() {
            other.first_seq = Some(ack);
            other.guessed = true;
        }
        let limit = other.fin.unwrap_or(u64::MAX);
        let offset = (other.offset(ack).max(0) as u64).min(limit);
        if offset > other.next.saturating_add(MAX_AHEAD) {
            return 0;
        }
        other.acked = other.acked.max(offset);
        offset
    }

    fn accept(
        &mut self,
        side: Side,
        start: i64,
        part: &TcpPart<'_>,
        after: u64,
        stats: &mut FlowStats,
        sink: &mut impl Sink,
    ) {
        let [half, other] = self.pair(side);
        let (start, payload, differs) = half.cut_old(start, part.payload);
        if differs {
            stats.overlap_differs += 1;
            sink.differs(side);
        }
        if payload.len() < part.payload.len() {
            stats.retransmitted += 1;
        }
        if payload.is_empty() && part.missing == 0 {
            return;
        }
        let in_order = start == half.next && half.held.is_empty();
        if in_order && (after <= other.next || !other.seen) {
            let other_unseen = !other.seen;
            if !payload.is_empty() {
                half.deliver(payload, stats);
                sink.data(side, payload, other_unseen);
            }
            if part.missing > 0 {
                let target = self.halves[side.index()].next + u64::from(part.missing);
                self.skip_to(side, target, stats, sink);
            }
            return;
        }
        if start > half.next {
            stats.out_of_order += 1;
        }
        if half.hold(start, payload, part.missing, after, stats) {
            stats.overlap_differs += 1;
            sink.differs(side);
        }
        while self.halves[side.index()].over_bound(stats) {
            self.release(side, stats, sink);
        }
    }

    /// Delivers all that is next in line, of either side.
    fn pump(&mut self, stats: &mut FlowStats, sink: &mut impl Sink) {
        let mut moved = true;
        while moved {
            moved = false;
            for side in SIDES {
                while let Some(held) = self.take_ready(side, stats) {
                    moved = true;
                    let other_unseen = !self.halves[side.other().index()].seen;
                    if !held.bytes.is_empty() {
                        self.halves[side.index()].deliver(&held.bytes, stats);
                        sink.data(side, &held.bytes, other_unseen);
                    }
                    if held.missing > 0 {
                        let target = self.halves[side.index()].next + u64::from(held.missing);
                        self.skip_to(side, target, stats, sink);
                    }
                }
            }
        }
    }

    /// Takes the first held segment of `side` if its turn has come, cut to what is new.
    fn take_ready(&mut self, side: Side, stats: &mut FlowStats) -> Option<Held> {
        let [half, other] = self.pair(side);
        let (&offset, first) = half.held.first_key_value()?;
        if offset > half.next || (first.after > other.next && other.seen) {
            return None;
        }
        let mut held = half.unhold(offset, stats)?;
        let old = half.next - offset;
        if old > 0 {
            let from_missing = old.saturating_sub(held.bytes.len() as u64);
            held.bytes.drain(..(old as usize).min(held.bytes.len()));
            held.missing = held.missing.saturating_sub(from_missing.min(u64::from(u32::MAX)) as u32);
        }
        Some(held)
    }

    /// Gives up holes that the other side acknowledged a while ago.
    fn lose_patience(&mut self, now: Timestamp, stats: &mut FlowStats, sink: &mut impl Sink) {
        for side in SIDES {
            let half = &mut self.halves[side.index()];
            if !half.seen || half.acked <= half.next {
                half.hole = None;
                continue;
            }
            let (since, packets) = *half.hole.get_or_insert((now, 0));
            half.hole = Some((since, packets + 1));
            if now.since(since) > limits::GAP_PATIENCE || packets > limits::GAP_PATIENCE_PACKETS {
                let acked = half.acked;
                while self.halves[side.index()].next < acked {
                    self.release(side, stats, sink);
                }
                self.halves[side.index()].hole = None;
            }
        }
    }

    /// Makes progress on `side` by giving something up: the hole before its first held segment, or the bytes of
    /// the other side which that segment waits for, or all that was acknowledged.
    fn release(&mut self, side: Side, stats: &mut FlowStats, sink: &mut impl Sink) {
        let [half, other] = self.pair(side);
        let (next, acked) = (half.next, half.acked);
        match half.held.first_entry() {
            Some(first) if *first.key() > next => {
                let target = *first.key();
                self.skip_to(side, target, stats, sink);
            }
            Some(mut first) => {
                let after = first.get().after;
                match other.held.first_key_value() {
                    // Each waits for the other, which honest hosts cannot do: let this one go first.
                    Some((&offset, _)) if offset <= other.next => first.get_mut().after = 0,
                    Some((&offset, _)) => self.skip_to(side.other(), offset.min(after), stats, sink),
                    None if after > other.next => self.skip_to(side.other(), after, stats, sink),
                    None => first.get_mut().after = 0,
                }
            }
            None => self.skip_to(side, acked, stats, sink),
        }
        self.pump(stats, sink);
    }

    fn skip_to(&mut self, side: Side, target: u64, stats: &mut FlowStats, sink: &mut impl Sink) {
        let half = &mut self.halves[side.index()];
        let lost = target.saturating_sub(half.next);
        if lost == 0 {
            return;
        }
        half.next = target;
        half.tail.clear();
        stats.gaps += 1;
        stats.gap_bytes += lost;
        sink.gap(side, lost);
    }

    fn pair(&mut self, side: Side) -> [&mut Half; 2] {
        let [client, server] = &mut self.halves;
        match side {
            Side::Client => [client, server],
            Side::Server => [server, client],
        }
    }

    /// Bytes held that cannot be delivered yet.
    pub fn held_bytes(&self) -> usize {
        self.halves.iter().map(|half| half.held_bytes).sum()
    }

    /// Forgets everything, and gives what it took back to the sensor's account. What is still held is not delivered.
    pub fn let_go(&mut self, stats: &mut FlowStats) {
        for half in &mut self.halves {
            stats.held_bytes -= half.held_bytes as u64;
            stats.tail_bytes -= half.tail.capacity() as u64;
        }
        *self = Self::new([None; 2]);
    }
}

impl Half {
    /// Notes that a packet of this side was captured, and where its data begins.
    fn meet(&mut self, seq: u32) {
        if self.first_seq.is_none() {
            self.first_seq = Some(seq);
            self.guessed = true;
        }
        if !self.seen && self.guessed {
            // What came before the first packet we see was never ours to miss.
            self.next = self.next.max(self.offset(seq).max(0) as u64);
        }
        self.seen = true;
    }

    /// The offset of a sequence number: the one nearest to what is expected, so that it may wrap (RFC 9293, 3.4).
    fn offset(&self, seq: u32) -> i64 {
        let expected = self.first_seq.unwrap_or(seq).wrapping_add(self.next as u32);
        self.next as i64 + i64::from(seq.wrapping_sub(expected).cast_signed())
    }

    /// Cuts what was delivered before off the front of a segment; true if it differs from what was delivered.
    fn cut_old<'a>(&self, start: i64, payload: &'a [u8]) -> (u64, &'a [u8], bool) {
        let Ok(old) = usize::try_from(self.next as i64 - start) else {
            return (start.max(0) as u64, payload, false);
        };
        let old = old.min(payload.len());
        let (before, new) = payload.split_at(old);
        // A keep-alive probe repeats the last byte, and may send anything in its place (RFC 9293, section 3.8.4).
        let probe = payload.len() == 1 && old == 1;
        let behind = (self.next as i64 - start) as usize;
        let differs = !probe && behind <= self.tail.len() && {
            let from = self.tail.len() - behind;
            self.tail[from..from + old] != *before
        };
        (self.next.max(start.max(0) as u64), new, differs)
    }

    fn deliver(&mut self, bytes: &[u8], stats: &mut FlowStats) {
        self.next += bytes.len() as u64;
        let kept = &bytes[bytes.len().saturating_sub(limits::STREAM_TAIL)..];
        if self.tail.len() + kept.len() > 2 * limits::STREAM_TAIL {
            let surplus = (self.tail.len() + kept.len() - limits::STREAM_TAIL).min(self.tail.len());
            self.tail.drain(..surplus);
        }
        let before = self.tail.capacity() as u64;
        if self.tail.len() + kept.len() > self.tail.capacity() && stats.tail_bytes > limits::STREAMS_TAIL_BYTES as u64 {
            // Later copies of these bytes go unjudged; the first one was read all the same.
            self.tail = Vec::new();
        } else {
            self.tail.extend_from_slice(kept);
        }
        stats.tail_bytes = stats.tail_bytes + self.tail.capacity() as u64 - before;
    }

    /// Keeps a segment for later, without what is held of it already; true if the copies differ.
    fn hold(&mut self, mut start: u64, mut payload: &[u8], missing: u32, after: u64, stats: &mut FlowStats) -> bool {
        let mut differs = false;
        if let Some((&offset, held)) = self.held.range(..=start).next_back() {
            let covered = (offset + held.len()).saturating_sub(start).min(payload.len() as u64) as usize;
            let at = (start - offset) as usize;
            differs |= differ(held.bytes.get(at..).unwrap_or_default(), &payload[..covered]);
            start += covered as u64;
            payload = &payload[covered..];
        }
        while !payload.is_empty() {
            let following = self.held.range(start..).next().map(|(&offset, held)| (offset, held.len()));
            let free = following.map_or(u64::MAX, |(offset, _)| offset - start).min(payload.len() as u64) as usize;
            if free > 0 {
                self.insert(start, Held { bytes: payload[..free].to_vec(), missing: 0, after }, stats);
                start += free as u64;
                payload = &payload[free..];
            }
            if let (Some((offset, len)), false) = (following, payload.is_empty()) {
                let covered = len.min(payload.len() as u64) as usize;
                differs |= differ(self.held.get(&offset).map_or(&[], |held| &held.bytes), &payload[..covered]);
                start += covered as u64;
                payload = &payload[covered..];
            }
        }
        if missing > 0 && !self.held.contains_key(&start) {
            self.insert(start, Held { bytes: Vec::new(), missing, after }, stats);
        }
        differs
    }

    fn insert(&mut self, offset: u64, held: Held, stats: &mut FlowStats) {
        self.held_bytes += held.bytes.len();
        stats.held_bytes += held.bytes.len() as u64;
        if let Some(replaced) = self.held.insert(offset, held) {
            self.held_bytes -= replaced.bytes.len();
            stats.held_bytes -= replaced.bytes.len() as u64;
        }
    }

    fn unhold(&mut self, offset: u64, stats: &mut FlowStats) -> Option<Held> {
        let held = self.held.remove(&offset)?;
        self.held_bytes -= held.bytes.len();
        stats.held_bytes -= held.bytes.len() as u64;
        Some(held)
    }

    fn over_bound(&self, stats: &FlowStats) -> bool {
        !self.held.is_empty()
            && (self.held_bytes > limits::STREAM_HELD_BYTES
                || self.held.len() > limits::STREAM_HELD_SEGMENTS
                || stats.held_bytes > limits::STREAMS_HELD_BYTES as u64)
    }
}

/// Whether the bytes that both have differ.
fn differ(first: &[u8], second: &[u8]) -> bool {
    let both = first.len().min(second.len());
    first[..both] != second[..both]
}

const SIDES: [Side; 2] = [Side::Client, Side::Server];

/// How far ahead of what is expected a segment or an acknowledgment may be and still be believed: more than any
/// window real hosts offer by default (Linux: 6 MiB), far below the 1 GiB that window scaling could name.
const MAX_AHEAD: u64 = 64 << 20;

/// How far from what is expected a reset may be and still be believed.
const RESET_WINDOW: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Writes down what a stream delivers.
    #[derive(Default, Debug, PartialEq)]
    struct Log(Vec<(Side, Said)>);

    #[derive(Debug, PartialEq)]
    enum Said {
        Data(Vec<u8>),
        Gap(u64),
        Differs,
    }

    impl Sink for Log {
        fn data(&mut self, side: Side, bytes: &[u8], _: bool) {
            if let Some((last, Said::Data(before))) = self.0.last_mut()
                && *last == side
            {
                before.extend_from_slice(bytes);
                return;
            }
            self.0.push((side, Said::Data(bytes.to_vec())));
        }

        fn gap(&mut self, side: Side, lost: u64) {
            self.0.push((side, Said::Gap(lost)));
        }

        fn differs(&mut self, side: Side) {
            self.0.push((side, Said::Differs));
        }
    }

    struct Bench {
        stream: Stream,
        stats: FlowStats,
        log: Log,
        now: Timestamp,
    }

    /// Offsets are counted from 1,000 (client) and 5,000 (server).
    impl Bench {
        fn new() -> Self {
            Self::starting_at([Some(1_000), Some(5_000)])
        }

        fn starting_at(first: [Option<u32>; 2]) -> Self {
            let now = Timestamp::from_parts(100, 0);
            Self { stream: Stream::new(first), stats: FlowStats::default(), log: Log::default(), now }
        }

        fn send(&mut self, side: Side, seq: u32, ack: u32, payload: &[u8]) {
            self.send_flags(side, seq, ack, payload, 0);
        }

        fn send_flags(&mut self, side: Side, seq: u32, ack: u32, payload: &[u8], flags: u8) {
            let part = TcpPart { seq, ack: Some(ack), flags, payload, missing: 0 };
            self.stream.segment(side, &part, self.now, &mut self.stats, &mut self.log);
        }

        fn client(&mut self, seq: u32, payload: &[u8]) {
            self.send(Side::Client, seq, 5_000, payload);
        }
    }

    fn data(side: Side, bytes: &[u8]) -> (Side, Said) {
        (side, Said::Data(bytes.to_vec()))
    }

    #[test]
    fn out_of_order_segments_are_put_in_order() {
        let mut t = Bench::new();
        t.client(1_006, b"world");
        t.client(1_003, b"lo ");
        t.client(1_000, b"hel");
        assert_eq!(t.log.0, [data(Side::Client, b"hello world")]);
        assert_eq!((t.stats.out_of_order, t.stats.held_bytes), (2, 0));
    }

    #[test]
    fn a_retransmission_is_delivered_once_and_its_new_tail_is_kept() {
        let mut t = Bench::new();
        t.client(1_000, b"abcd");
        t.client(1_000, b"abcd");
        t.client(1_002, b"cdEF");
        assert_eq!(t.log.0, [data(Side::Client, b"abcdEF")]);
        assert_eq!(t.stats.retransmitted, 2);
    }

    #[test]
    fn the_first_copy_wins_and_a_differing_second_is_told() {
        let mut t = Bench::new();
        t.client(1_000, b"abcd");
        t.client(1_000, b"aXcd");
        t.client(1_008, b"ijkl");
        t.client(1_006, b"ghZj");
        t.client(1_004, b"ef");
        assert_eq!(
            t.log.0,
            [
                data(Side::Client, b"abcd"),
                (Side::Client, Said::Differs),
                (Side::Client, Said::Differs),
                data(Side::Client, b"efghijkl"),
            ]
        );
        assert_eq!(t.stats.overlap_differs, 2);
    }

    #[test]
    fn a_keep_alive_probe_is_no_differing_copy() {
        let mut t = Bench::new();
        t.client(1_000, b"abcd");
        t.client(1_003, b"\0");
        assert_eq!(t.log.0, [data(Side::Client, b"abcd")]);
    }

    #[test]
    fn an_acknowledged_hole_becomes_a_gap_after_patience() {
        let mut t = Bench::new();
        t.client(1_000, b"ab");
        t.client(1_004, b"ef");
        t.send(Side::Server, 5_000, 1_006, b"");
        assert_eq!(t.log.0, [data(Side::Client, b"ab")]);
        t.now = Timestamp::from_parts(102, 0);
        t.send(Side::Server, 5_000, 1_006, b"");
        assert_eq!(t.log.0, [data(Side::Client, b"ab"), (Side::Client, Said::Gap(2)), data(Side::Client, b"ef")]);
        assert_eq!((t.stats.gaps, t.stats.gap_bytes), (1, 2));
    }

    #[test]
    fn a_hole_nobody_acknowledged_is_waited_for() {
        let mut t = Bench::new();
        t.client(1_002, b"cd");
        t.now = Timestamp::from_parts(500, 0);
        t.client(1_004, b"ef");
        assert_eq!(t.log.0, []);
        t.client(1_000, b"ab");
        assert_eq!(t.log.0, [data(Side::Client, b"abcdef")]);
    }

    #[test]
    fn a_reply_does_not_overtake_its_command() {
        let mut t = Bench::new();
        t.send(Side::Server, 5_000, 1_004, b"250\n");
        assert_eq!(t.log.0, [], "the command it acknowledges is on its way");
        t.client(1_000, b"EHLO");
        assert_eq!(t.log.0, [data(Side::Client, b"EHLO"), data(Side::Server, b"250\n")]);
    }

    #[test]
    fn a_lost_command_is_told_before_its_reply() {
        let mut t = Bench::new();
        t.client(1_000, b"");
        t.send(Side::Server, 5_000, 1_004, b"250\n");
        t.now = Timestamp::from_parts(102, 0);
        t.send(Side::Client, 1_004, 5_004, b"");
        assert_eq!(t.log.0, [(Side::Client, Said::Gap(4)), data(Side::Server, b"250\n")]);
    }

    #[test]
    fn one_direction_alone_is_delivered() {
        let mut t = Bench::starting_at([None, None]);
        t.send(Side::Client, 70, 900, b"EHLO a\r\n");
        t.send(Side::Client, 78, 950, b"MAIL");
        assert_eq!(t.log.0, [data(Side::Client, b"EHLO a\r\nMAIL")]);
        assert_eq!(t.stats.gaps, 0);
    }

    #[test]
    fn sequence_numbers_wrap() {
        let mut t = Bench::starting_at([Some(u32::MAX - 2), Some(0)]);
        t.send(Side::Client, 2, 0, b"fg");
        t.send(Side::Client, u32::MAX - 2, 0, b"abcde");
        assert_eq!(t.log.0, [data(Side::Client, b"abcdefg")]);
    }

    #[test]
    fn both_fins_delivered_is_the_end() {
        let mut t = Bench::new();
        t.send_flags(Side::Client, 1_002, 5_000, b"", FIN | 16);
        t.send_flags(Side::Server, 5_000, 1_000, b"x", FIN | 16);
        assert!(!t.stream.finished(), "two bytes of the client are missing");
        t.client(1_000, b"ab");
        assert!(t.stream.finished());
    }

    #[test]
    fn flush_tells_what_never_came() {
        let mut t = Bench::new();
        t.client(1_003, b"d");
        t.send_flags(Side::Client, 1_006, 5_000, b"", FIN | 16);
        t.stream.flush(&mut t.stats, &mut t.log);
        assert_eq!(t.log.0, [(Side::Client, Said::Gap(3)), data(Side::Client, b"d"), (Side::Client, Said::Gap(2))]);
        assert_eq!(t.stats.held_bytes, 0);
    }

    #[test]
    fn bytes_cut_by_the_snaplen_are_a_gap() {
        let mut t = Bench::new();
        let part = TcpPart { seq: 1_000, ack: Some(5_000), flags: 0, payload: b"ab", missing: 3 };
        t.stream.segment(Side::Client, &part, t.now, &mut t.stats, &mut t.log);
        t.client(1_005, b"fg");
        assert_eq!(t.log.0, [data(Side::Client, b"ab"), (Side::Client, Said::Gap(3)), data(Side::Client, b"fg")]);
    }

    /// Found by fuzzing: a segment whose bytes are all old or all cut off was delivered as no bytes.
    #[test]
    fn a_segment_of_which_nothing_was_captured_is_a_gap_and_no_data() {
        let mut t = Bench::new();
        let part = TcpPart { seq: 1_000, ack: Some(5_000), flags: 0, payload: b"", missing: 3 };
        t.stream.segment(Side::Client, &part, t.now, &mut t.stats, &mut t.log);
        assert_eq!(t.log.0, [(Side::Client, Said::Gap(3))]);
    }

    #[test]
    fn a_flood_of_tiny_segments_stays_within_the_bound() {
        let mut t = Bench::new();
        for n in 0..20_000_u32 {
            t.client(1_001 + 2 * n, b"x");
            assert!(t.stream.halves[0].held.len() <= limits::STREAM_HELD_SEGMENTS);
        }
        assert!(t.stats.gaps > 0);
    }

    #[test]
    fn delivered_bytes_are_kept_within_a_budget_shared_by_all_streams() {
        let mut t = Bench::new();
        t.client(1_000, b"abcd");
        t.client(1_000, b"aXcd");
        assert_eq!((t.stats.overlap_differs, t.stats.tail_bytes > 0), (1, true));
        t.stream.let_go(&mut t.stats);
        assert_eq!(t.stats.tail_bytes, 0);

        let mut t = Bench::new();
        t.stats.tail_bytes = limits::STREAMS_TAIL_BYTES as u64 + 1;
        t.client(1_000, b"abcd");
        t.client(1_000, b"aXcd");
        assert_eq!(t.log.0, [data(Side::Client, b"abcd")]);
        assert_eq!(t.stats.tail_bytes, limits::STREAMS_TAIL_BYTES as u64 + 1);
    }

    #[test]
    fn a_reset_far_off_is_not_believed() {
        let mut t = Bench::new();
        t.client(1_000, b"ab");
        assert!(t.stream.plausible_reset(Side::Client, 1_002));
        assert!(!t.stream.plausible_reset(Side::Client, 1_002 + (2 << 20)));
    }

    /// A conversation: each turn is said only after all turns before it were heard, as a mail session is.
    fn turns() -> impl Strategy<Value = Vec<(bool, Vec<u8>)>> {
        prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 1..40)), 1..12)
    }

    proptest! {
        /// Any cut into segments, any order, any duplication gives the same conversation, turn by turn.
        #[test]
        fn any_order_gives_the_same_conversation(turns in turns(), cut in 1usize..9, seed in any::<u64>(), starts in any::<[u32; 2]>()) {
            let (mut sent, mut segments) = ([0u32; 2], Vec::new());
            let mut expected = Log::default();
            for (by_client, bytes) in &turns {
                let side = if *by_client { Side::Client } else { Side::Server };
                expected.data(side, bytes, false);
                for piece in bytes.chunks(cut) {
                    let ack = starts[side.other().index()].wrapping_add(sent[side.other().index()]);
                    segments.push((side, starts[side.index()].wrapping_add(sent[side.index()]), ack, piece.to_vec()));
                    sent[side.index()] += piece.len() as u32;
                }
            }
            // A seeded shuffle, with every third segment twice. All within the patience in packets.
            let mut order: Vec<usize> = (0..segments.len()).chain((0..segments.len()).step_by(3)).collect();
            let mut state = seed | 1;
            for i in (1..order.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                order.swap(i, (state >> 33) as usize % (i + 1));
            }
            order.truncate(limits::GAP_PATIENCE_PACKETS as usize);
            prop_assume!(order.len() < limits::GAP_PATIENCE_PACKETS as usize);
            let mut t = Bench::starting_at(starts.map(Some));
            for at in order {
                let (side, seq, ack, bytes) = &segments[at];
                t.send(*side, *seq, *ack, bytes);
            }
            prop_assert_eq!(&t.log, &expected);
            prop_assert_eq!(t.stats.held_bytes, 0);
        }

        /// Whatever comes, nothing panics, nothing is held past the bound, and a flush leaves nothing.
        #[test]
        fn nothing_hostile_breaks_it(parts in prop::collection::vec(
            (any::<bool>(), any::<u32>(), any::<Option<u32>>(), any::<u8>(), 0usize..300, 0u32..3, any::<bool>()), 0..200))
        {
            let mut t = Bench::new();
            for (client, seq, ack, flags, len, missing, near) in parts {
                let side = if client { Side::Client } else { Side::Server };
                let (seq, ack) = if near { (1_000 + seq % 2_000, ack.map(|a| 1_000 + a % 5_000)) } else { (seq, ack) };
                let payload = vec![flags; len];
                let part = TcpPart { seq, ack, flags, payload: &payload, missing };
                t.stream.segment(side, &part, t.now, &mut t.stats, &mut t.log);
                prop_assert_eq!(t.stats.held_bytes as usize, t.stream.held_bytes());
            }
            t.stream.flush(&mut t.stats, &mut t.log);
            prop_assert_eq!(t.stats.held_bytes, 0);
            t.stream.let_go(&mut t.stats);
            prop_assert_eq!((t.stats.held_bytes, t.stats.tail_bytes), (0, 0));
        }
    }
}
