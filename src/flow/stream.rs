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
use crate::model::memory::Shares;
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
    /// What comes next was set aside, but received all the same.
    fn believed(&mut self, _side: Side) {}
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

/// What all streams of a sensor together may hold, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Out of order.
    held: u64,
    /// Delivered, kept for comparison.
    tail: u64,
}

impl Room {
    /// As the budget leaves it.
    pub const fn of(shares: &Shares) -> Self {
        Self { held: shares.stream_bytes as u64, tail: shares.tail_bytes as u64 }
    }
}

impl Default for Room {
    fn default() -> Self {
        Self { held: limits::STREAMS_HELD_BYTES as u64, tail: limits::STREAMS_TAIL_BYTES as u64 }
    }
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
    /// Segments with wrong checksums, by offset: delivered only where the other side received what none but they have.
    doubted: Vec<(u64, Vec<u8>)>,
    /// The last bytes delivered, to compare late copies with.
    tail: Vec<u8>,
    /// Since when an acknowledged hole has been waited on, and packets of the flow since.
    hole: Option<(Timestamp, u32)>,
    room: Room,
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

    /// What it takes in memory: of a tiny segment its place is most.
    fn cost(&self) -> u64 {
        (self.bytes.len() + limits::SEGMENT_COST) as u64
    }
}

impl Stream {
    /// A connection whose sides' first data bytes have these sequence numbers, where their SYNs were seen.
    pub fn new(first_seq: [Option<u32>; 2]) -> Self {
        Self { halves: first_seq.map(|first_seq| Half { first_seq, seen: first_seq.is_some(), ..Half::default() }) }
    }

    /// The same where all streams together may hold so much.
    #[must_use]
    pub fn within(mut self, room: Room) -> Self {
        self.halves.iter_mut().for_each(|half| half.room = room);
        self
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
        // One of bytes long past is dropped by its receiver (RFC 9293, section 3.10.7.4) and must not end it for us.
        if part.flags & FIN != 0 && half.fin.is_none() && end >= half.reach() as i64 {
            self.end_at(side, end as u64);
        }
        if !part.payload.is_empty() || part.missing > 0 {
            self.accept(side, start, part, after, stats, sink);
        }
        self.pump(stats, sink);
        self.lose_patience(now, stats, sink);
    }

    /// Puts a segment aside that its receiver should drop. It is delivered after all, and [`Sink::believed`] told,
    /// where the bytes turn out to have been received though no better copy of them came. False when it must be taken
    /// as any other, because where the side's data begins is not known.
    pub fn set_aside(&mut self, side: Side, seq: u32, payload: &[u8], stats: &mut FlowStats) -> bool {
        let half = &mut self.halves[side.index()];
        if half.first_seq.is_none() {
            return false;
        }
        half.drop_doubted(stats);
        let start = half.offset(seq).max(0) as u64;
        let len = payload.len() as u64;
        let held: usize = half.doubted.iter().map(|(_, bytes)| bytes.len()).sum();
        let ahead = start.saturating_sub(half.next);
        if start + len > half.next
            && ahead < limits::STREAM_DOUBTED_BYTES as u64
            && held + payload.len() <= limits::STREAM_DOUBTED_BYTES
            && half.doubted.len() < limits::STREAM_DOUBTED_SEGMENTS
            && stats.held_bytes + len <= half.room.held
        {
            stats.held_bytes += len;
            half.doubted.push((start, payload.to_vec()));
        }
        true
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
            if half.seen {
                while self.halves[side.index()].next < said {
                    self.give_up(side, said, stats, sink);
                }
            }
        }
    }

    /// Notes where the data of `side` ends. Its FIN has a sequence number, but is no byte to wait for, also where the
    /// acknowledgment of it was captured first.
    fn end_at(&mut self, side: Side, end: u64) {
        let [half, other] = self.pair(side);
        half.fin = Some(end);
        half.acked = half.acked.min(end);
        other.held.values_mut().for_each(|held| held.after = held.after.min(end));
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
            while self.halves[side.index()].has_received_doubted() {
                self.release(side, stats, sink);
            }
            let half = &mut self.halves[side.index()];
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
                self.give_up(side, target, stats, sink);
            }
            Some(mut first) => {
                let after = first.get().after;
                match other.held.first_key_value() {
                    // Each waits for the other, which honest hosts cannot do: let this one go first.
                    Some((&offset, _)) if offset <= other.next => first.get_mut().after = 0,
                    Some((&offset, _)) => self.give_up(side.other(), offset.min(after), stats, sink),
                    None if after > other.next => self.give_up(side.other(), after, stats, sink),
                    None => first.get_mut().after = 0,
                }
            }
            None => self.give_up(side, acked, stats, sink),
        }
        self.pump(stats, sink);
    }

    /// Stops waiting for what is missing before `target`: a segment that was set aside takes its place, or a gap, as far
    /// as there is one of them.
    fn give_up(&mut self, side: Side, target: u64, stats: &mut FlowStats, sink: &mut impl Sink) {
        let other_unseen = !self.halves[side.other().index()].seen;
        let half = &mut self.halves[side.index()];
        if let Some(bytes) = half.take_doubted(target, stats) {
            half.deliver(&bytes, stats);
            sink.believed(side);
            sink.data(side, &bytes, other_unseen);
            return;
        }
        let next = half.next;
        let known = half.doubted.iter().map(|(start, _)| *start).filter(|start| *start > next).min();
        self.skip_to(side, target.min(known.unwrap_or(target)), stats, sink);
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

    /// Bytes held that cannot be delivered yet, with what each segment takes besides its own.
    pub fn held_bytes(&self) -> usize {
        self.halves.iter().map(|half| half.held_bytes + half.held.len() * limits::SEGMENT_COST).sum()
    }

    /// Forgets everything, and gives what it took back to the sensor's account. What is still held is not delivered.
    pub fn let_go(&mut self, stats: &mut FlowStats) {
        stats.held_bytes -= self.held_bytes() as u64;
        for half in &mut self.halves {
            stats.held_bytes -= half.doubted.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>();
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
        if kept.len() < bytes.len() {
            // The bytes left out stand between what was kept before and these.
            self.tail.clear();
        }
        if self.tail.len() + kept.len() > 2 * limits::STREAM_TAIL {
            let surplus = (self.tail.len() + kept.len() - limits::STREAM_TAIL).min(self.tail.len());
            self.tail.drain(..surplus);
        }
        let before = self.tail.capacity() as u64;
        if self.tail.len() + kept.len() > self.tail.capacity() && stats.tail_bytes > self.room.tail {
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

    /// All before this was sent, a FIN not counted.
    fn reach(&self) -> u64 {
        let held = self.held.last_key_value().map_or(0, |(offset, held)| offset + held.len());
        held.max(self.next).max(self.acked.saturating_sub(1))
    }

    /// Whether the other side acknowledged a byte that only a segment set aside has.
    fn has_received_doubted(&self) -> bool {
        self.acked > self.next
            && self.held.keys().next().is_none_or(|&offset| offset > self.next)
            && self.doubted.iter().any(|doubted| covers(doubted, self.next))
    }

    /// The bytes before `target` of a segment set aside that has what is next.
    fn take_doubted(&mut self, target: u64, stats: &mut FlowStats) -> Option<Vec<u8>> {
        let at = self.doubted.iter().position(|doubted| covers(doubted, self.next))?;
        let (start, mut bytes) = self.doubted.remove(at);
        stats.held_bytes -= bytes.len() as u64;
        bytes.truncate(usize::try_from(target.saturating_sub(start)).unwrap_or(usize::MAX));
        bytes.drain(..((self.next - start) as usize).min(bytes.len()));
        (!bytes.is_empty()).then_some(bytes)
    }

    /// Forgets segments set aside of which better copies were delivered.
    fn drop_doubted(&mut self, stats: &mut FlowStats) {
        let next = self.next;
        self.doubted.retain(|(start, bytes)| {
            let wanted = start + bytes.len() as u64 > next;
            stats.held_bytes -= if wanted { 0 } else { bytes.len() as u64 };
            wanted
        });
    }

    fn insert(&mut self, offset: u64, held: Held, stats: &mut FlowStats) {
        self.held_bytes += held.bytes.len();
        stats.held_bytes += held.cost();
        if let Some(replaced) = self.held.insert(offset, held) {
            self.held_bytes -= replaced.bytes.len();
            stats.held_bytes -= replaced.cost();
        }
    }

    fn unhold(&mut self, offset: u64, stats: &mut FlowStats) -> Option<Held> {
        let held = self.held.remove(&offset)?;
        self.held_bytes -= held.bytes.len();
        stats.held_bytes -= held.cost();
        Some(held)
    }

    fn over_bound(&self, stats: &FlowStats) -> bool {
        !self.held.is_empty()
            && (self.held_bytes > limits::STREAM_HELD_BYTES
                || self.held.len() > limits::STREAM_HELD_SEGMENTS
                || stats.held_bytes > self.room.held)
    }
}

/// Whether a segment has the byte at `offset`.
fn covers((start, bytes): &(u64, Vec<u8>), offset: u64) -> bool {
    *start <= offset && offset < start + bytes.len() as u64
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
mod tests;
