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
//! Where copies of a byte differ, the first one that its receiver can have taken wins; behind a hole, that of the segment
//! that begins first. That they differ is told. Segments that a receiver drops must not win: those whose checksum is
//! wrong or that the owner says so of ([`Stream::set_aside`]), data of a SYN until it is acknowledged (RFC 7413), data
//! that acknowledges what was never sent. They are kept in case it turns out that they were received.
//!
//! What was acknowledged is the word of the side that acknowledges. Where the other side goes on and shows by its own
//! sequence numbers that it has not sent as much, it is the acknowledgment that was false, and no hole is given up.

mod half;

use crate::model::limits;
use crate::model::memory::Shares;
use crate::model::net::Side;
use crate::model::stats::FlowStats;
use crate::model::time::Timestamp;

use super::flags::{FIN, RST, SYN};
use half::{Half, Held, Hole};

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
    /// The urgent pointer, where the URG flag is set.
    pub urgent: Option<u16>,
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
        if part.flags & RST != 0 {
            // What it carries is no data, and what it acknowledges nothing that counts.
            return;
        }
        let seq = if part.flags & SYN != 0 { part.seq.wrapping_add(1) } else { part.seq };
        if self.is_absurd(side, part.ack) {
            stats.invalid_segments += 1;
            self.set_aside(side, seq, part.payload, false, stats);
            return;
        }
        let after = self.acknowledge(side, part.ack);
        let half = &mut self.halves[side.index()];
        half.meet(seq);
        let start = half.offset(seq);
        let end = start.saturating_add_unsigned(part.payload.len() as u64 + u64::from(part.missing));
        if end > half.next.saturating_add(MAX_AHEAD) as i64 {
            stats.invalid_segments += 1;
            return;
        }
        half.sent = half.sent.max(end.max(0) as u64);
        if let Some(hole) = &mut half.hole {
            hole.spoke = true;
        }
        if let Some(pointer) = part.urgent {
            let [half, other] = self.pair(side);
            // Of a segment that acknowledges what was not sent its receiver takes nothing.
            if !other.seen || after <= other.own_word() {
                // It points behind the byte (RFC 6093, section 3).
                half.announce_urgent(start + i64::from(pointer.saturating_sub(1)));
            }
        }
        let half = &mut self.halves[side.index()];
        // One of bytes long past is dropped by its receiver (RFC 9293, section 3.10.7.4) and must not end it for us.
        if part.flags & FIN != 0 && half.fin.is_none() && end >= half.reach() as i64 {
            self.end_at(side, end as u64);
        }
        if part.flags & SYN != 0 {
            self.halves[side.index()].set_aside(start, part.payload, false, stats);
            stats.set_aside += u64::from(!part.payload.is_empty());
        } else if !part.payload.is_empty() || part.missing > 0 {
            self.accept(side, start, part, after, stats, sink);
        }
        self.pump(stats, sink);
        self.lose_patience(now, stats, sink);
    }

    /// Puts a segment aside that its receiver should drop. It is delivered after all where the bytes turn out to have
    /// been received though no better copy of them came; for a `damaged` one [`Sink::believed`] is told then. False when
    /// it must be taken as any other, because where the side's data begins is not known.
    pub fn set_aside(&mut self, side: Side, seq: u32, payload: &[u8], damaged: bool, stats: &mut FlowStats) -> bool {
        let half = &mut self.halves[side.index()];
        if half.first_seq.is_none() {
            return false;
        }
        half.set_aside(half.offset(seq), payload, damaged, stats);
        true
    }

    /// Whether both sides have said all they will say.
    pub fn finished(&self) -> bool {
        self.halves.iter().all(|half| !half.seen || half.fin.is_some_and(|fin| half.next >= fin))
    }

    /// Whether a reset of `side` with this sequence number would be believed: between what its receiver acknowledged and
    /// what was sent. Any other is ignored (RFC 9293, section 3.10.7.4; RFC 5961, section 3.2) and must not blind us either.
    pub fn plausible_reset(&self, side: Side, seq: u32) -> bool {
        let half = &self.halves[side.index()];
        let (offset, said) = (half.offset(seq), half.own_word().max(half.acked));
        half.first_seq.is_none() || (half.acked.min(half.next) as i64..=said as i64 + 1).contains(&offset)
    }

    /// Whether this side's next bytes would begin with this sequence number, or after it: it is not a copy.
    pub fn is_new(&self, side: Side, seq: u32, len: usize) -> bool {
        let half = &self.halves[side.index()];
        half.first_seq.is_none() || half.offset(seq).saturating_add(len as i64) > half.next as i64
    }

    /// Whether a segment of `side` may be what its receiver expects: not ahead of a hole, and not wholly before what was
    /// acknowledged (RFC 7323, section 4.3).
    pub fn is_in_order(&self, side: Side, seq: u32, len: usize) -> bool {
        let half = &self.halves[side.index()];
        let start = half.offset(seq);
        half.first_seq.is_none() || (start <= half.next as i64 && start.saturating_add(len as i64) >= half.acked as i64)
    }

    /// Whether the other side has sent what `side` acknowledges, as far as is known; a FIN may be part of it.
    pub fn is_founded(&self, side: Side, ack: u32) -> bool {
        let other = &self.halves[side.other().index()];
        other.first_seq.is_none() || (0..=other.own_word() as i64 + 1).contains(&other.offset(ack))
    }

    /// Delivers all that is held, holes told as gaps: the connection is over.
    pub fn flush(&mut self, stats: &mut FlowStats, sink: &mut impl Sink) {
        self.release_held(stats, sink);
        for side in SIDES {
            let half = &self.halves[side.index()];
            let said = half.fin.unwrap_or(0).max(half.believed_acked());
            if half.seen {
                while self.halves[side.index()].next < said {
                    self.give_up(side, said, stats, sink);
                }
            }
        }
        self.halves.iter_mut().for_each(|half| half.forget_doubted(stats));
    }

    /// Delivers what is held or lets it go, and forgets what was set aside: there is no room for it.
    pub fn give_up_holes(&mut self, stats: &mut FlowStats, sink: &mut impl Sink) {
        self.pump(stats, sink);
        while let Some(side) = SIDES.into_iter().find(|side| !self.halves[side.index()].held.is_empty()) {
            self.make_room(side, stats, sink);
        }
        self.halves.iter_mut().for_each(|half| half.forget_doubted(stats));
    }

    fn release_held(&mut self, stats: &mut FlowStats, sink: &mut impl Sink) {
        self.pump(stats, sink);
        while let Some(side) = SIDES.into_iter().find(|side| !self.halves[side.index()].held.is_empty()) {
            self.release(side, stats, sink);
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

    /// Whether no host that takes part in this connection acknowledges so: what lies before its beginning, or far beyond
    /// all that was sent. That is known once something of the other side was seen where it should be.
    fn is_absurd(&self, side: Side, ack: Option<u32>) -> bool {
        let other = &self.halves[side.other().index()];
        let Some(ack) = ack.filter(|_| other.first_seq.is_some() && other.seen && other.next > 0) else { return false };
        let offset = other.offset(ack);
        (offset < 0 && !other.guessed) || offset > other.next.saturating_add(MAX_AHEAD) as i64
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
        let (sent, end) = (other.own_word(), start + payload.len() as u64);
        if !half.held.is_empty() && after <= sent {
            half.doubt_held(start..end, sent, stats);
        }
        let in_order = start == half.next && half.held.is_empty();
        if in_order && (after <= other.next || !other.seen) {
            if !payload.is_empty() {
                self.hand_over(side, payload, stats, sink);
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
        if half.hold(start, payload, part.missing, (after, after <= sent), stats) {
            stats.overlap_differs += 1;
            sink.differs(side);
        }
        while self.halves[side.index()].over_bound() {
            self.make_room(side, stats, sink);
        }
    }

    /// Lets go of something that `side` holds. What was lost before it is given up only where the other side has received
    /// more; else it is still to be sent, and the last that is held goes: it may lie beyond any window.
    fn make_room(&mut self, side: Side, stats: &mut FlowStats, sink: &mut impl Sink) {
        let [half, other] = self.pair(side);
        let is_waited_for = half.held.first_key_value().is_some_and(|(offset, _)| *offset > half.next);
        if is_waited_for && other.seen && half.acked <= half.next {
            stats.invalid_segments += u64::from(half.drop_last(stats));
        } else {
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
                    if !held.bytes.is_empty() {
                        self.hand_over(side, &held.bytes, stats, sink);
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
            held.cut(old as usize);
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
            let [half, other] = self.pair(side);
            let mut hole = half.hole.unwrap_or(Hole { since: now, packets: 0, spoke: false });
            let waited = now.since(hole.since);
            let over = waited > limits::GAP_PATIENCE || hole.packets > limits::GAP_PATIENCE_PACKETS;
            hole.packets += 1;
            half.hole = Some(hole);
            // By its own word it has sent less. (A FIN counts one, and may be all that is missing.)
            if half.acked > half.own_word() + u64::from(half.fin.is_some()) {
                if hole.spoke && over {
                    half.acked = half.own_word();
                    half.hole = None;
                    let sent = half.acked;
                    other.doubt_held(0..u64::MAX, sent, stats);
                    continue;
                }
                if waited <= limits::SILENCE_PATIENCE {
                    continue;
                }
            }
            if over {
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
        let half = &mut self.halves[side.index()];
        if let Some((bytes, damaged)) = half.take_doubted(target, stats) {
            if damaged {
                sink.believed(side);
            }
            self.hand_over(side, &bytes, stats, sink);
            return;
        }
        let next = half.next;
        let known = half.doubted.iter().map(|doubted| doubted.start).filter(|start| *start > next).min();
        self.skip_to(side, target.min(known.unwrap_or(target)), stats, sink);
    }

    /// Delivers the next bytes of `side`, without one that is out of band.
    fn hand_over(&mut self, side: Side, bytes: &[u8], stats: &mut FlowStats, sink: &mut impl Sink) {
        let other_unseen = !self.halves[side.other().index()].seen;
        let half = &mut self.halves[side.index()];
        let start = half.next;
        half.deliver(bytes, stats);
        let Some(urgent) = half.urgent.filter(|urgent| (start..half.next).contains(urgent)) else {
            return sink.data(side, bytes, other_unseen);
        };
        half.urgent = None;
        let (before, after) = bytes.split_at((urgent - start) as usize);
        for part in [before, &after[1..]] {
            if !part.is_empty() {
                sink.data(side, part, other_unseen);
            }
        }
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

    /// All that it takes of the room that streams share.
    pub fn memory(&self) -> u64 {
        self.held_bytes() as u64 + self.halves.iter().map(Half::doubted_bytes).sum::<u64>()
    }

    /// Forgets everything, and gives what it took back to the sensor's account. What is still held is not delivered.
    pub fn let_go(&mut self, stats: &mut FlowStats) {
        stats.held_bytes -= self.memory();
        for half in &mut self.halves {
            stats.tail_bytes -= half.tail.capacity() as u64;
        }
        *self = Self::new([None; 2]);
    }
}

const SIDES: [Side; 2] = [Side::Client, Side::Server];

/// How far ahead of what is expected a segment or an acknowledgment may be and still be believed: more than any
/// window real hosts offer by default (Linux: 6 MiB), far below the 1 GiB that window scaling could name.
const MAX_AHEAD: u64 = 64 << 20;

#[cfg(test)]
mod tests;
