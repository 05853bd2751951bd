//! One direction of a TCP connection: what of it was delivered, what waits, and what its receiver should have dropped.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::model::limits;
use crate::model::stats::FlowStats;
use crate::model::time::Timestamp;

use super::Room;

/// One direction. Positions are offsets from its first data byte, so nothing wraps.
#[derive(Debug, Default)]
pub(super) struct Half {
    /// Sequence number of offset 0; none until a packet tells it.
    pub(super) first_seq: Option<u32>,
    /// Offset 0 is a guess: the opening was not seen.
    pub(super) guessed: bool,
    /// Whether any packet of this side was captured.
    pub(super) seen: bool,
    /// All before this was delivered or given up.
    pub(super) next: u64,
    /// All before this was acknowledged by the other side.
    pub(super) acked: u64,
    /// Where the side's data ends, once its FIN was seen.
    pub(super) fin: Option<u64>,
    /// Segments that cannot be delivered yet, by offset; they do not overlap.
    pub(super) held: BTreeMap<u64, Held>,
    pub(super) held_bytes: usize,
    /// All before this was sent, going by packets of this side alone; a FIN counts when it was seen.
    pub(super) sent: u64,
    /// Segments that their receiver should drop: delivered only where it has received what none but they have.
    pub(super) doubted: Vec<Doubted>,
    /// The byte that is out of band, and not read with the others. As in Linux there is one at most.
    pub(super) urgent: Option<u64>,
    /// The last bytes delivered, to compare late copies with.
    pub(super) tail: Vec<u8>,
    /// An acknowledged hole that is waited on.
    pub(super) hole: Option<Hole>,
    pub(super) room: Room,
}

/// A segment that waits, or what is left of it.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) bytes: Vec<u8>,
    /// Bytes not captured, after `bytes`.
    pub(super) missing: u32,
    /// Offset of the other direction that must be delivered first.
    pub(super) after: u64,
    /// Where the segment began.
    origin: u64,
}

/// A segment that its receiver should drop.
#[derive(Debug)]
pub(super) struct Doubted {
    pub(super) start: u64,
    bytes: Vec<u8>,
    /// For a wrong checksum.
    damaged: bool,
}

/// A hole that the other side acknowledged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hole {
    pub(super) since: Timestamp,
    /// Packets of the flow since.
    pub(super) packets: u32,
    /// The side that should have sent those bytes was heard since.
    pub(super) spoke: bool,
}

impl Held {
    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64 + u64::from(self.missing)
    }

    /// What it takes in memory: of a tiny segment its place is most.
    fn cost(&self) -> u64 {
        (self.bytes.len() + limits::SEGMENT_COST) as u64
    }
}

impl Held {
    /// Cuts so many bytes off its front.
    pub(super) fn cut(&mut self, old: usize) {
        let from_missing = old.saturating_sub(self.bytes.len());
        self.bytes.drain(..old.min(self.bytes.len()));
        self.missing = self.missing.saturating_sub(u32::try_from(from_missing).unwrap_or(u32::MAX));
    }
}

impl Half {
    /// Notes that a packet of this side was captured, and where its data begins.
    pub(super) fn meet(&mut self, seq: u32) {
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
    pub(super) fn offset(&self, seq: u32) -> i64 {
        let expected = self.first_seq.unwrap_or(seq).wrapping_add(self.next as u32);
        self.next as i64 + i64::from(seq.wrapping_sub(expected).cast_signed())
    }

    /// Cuts what was delivered before off the front of a segment; true if it differs from what was delivered.
    pub(super) fn cut_old<'a>(&self, start: i64, payload: &'a [u8]) -> (u64, &'a [u8], bool) {
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

    pub(super) fn deliver(&mut self, bytes: &[u8], stats: &mut FlowStats) {
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

    /// Keeps a segment for later; true if copies of a byte differ. Of those, that of the segment that begins first
    /// counts, and of two that begin at one place, that of the longer: as Linux and the BSDs have it. It is said after
    /// what of the other side; one that acknowledges what that has not sent, as far as is known, takes no other's place.
    pub(super) fn hold(
        &mut self,
        mut start: u64,
        mut payload: &[u8],
        missing: u32,
        (after, is_founded): (u64, bool),
        stats: &mut FlowStats,
    ) -> bool {
        let origin = start;
        let mut differs = is_founded && self.make_way(start, payload, stats);
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
                let bytes = payload[..free].to_vec();
                self.insert(start, Held { bytes, missing: 0, after, origin }, stats);
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
            self.insert(start, Held { bytes: Vec::new(), missing, after, origin }, stats);
        }
        differs
    }

    /// Takes away what is held of the bytes of a segment that counts for more; true if it differs from them.
    fn make_way(&mut self, start: u64, payload: &[u8], stats: &mut FlowStats) -> bool {
        let end = start + payload.len() as u64;
        let mut differs = false;
        let mut from = start;
        while let Some((&offset, held)) = self.held.range(from..end).next() {
            let held_end = offset + held.len();
            from = offset + 1;
            if held.origin < start || (held.origin == start && held_end >= end) {
                continue;
            }
            let Some(mut held) = self.unhold(offset, stats) else { break };
            differs |= differ(&held.bytes, &payload[(offset - start) as usize..]);
            if held_end > end {
                held.cut((end - offset) as usize);
                self.insert(end, held, stats);
            }
        }
        differs
    }

    /// Puts a segment aside that its receiver should drop.
    pub(super) fn set_aside(&mut self, start: i64, payload: &[u8], damaged: bool, stats: &mut FlowStats) {
        self.drop_doubted(stats);
        // What lies before the first byte of data is none.
        let before = usize::try_from(start.min(0).unsigned_abs()).unwrap_or(usize::MAX);
        let (start, payload) = (start.max(0) as u64, payload.get(before..).unwrap_or_default());
        let len = payload.len() as u64;
        let held: usize = self.doubted.iter().map(|doubted| doubted.bytes.len()).sum();
        let ahead = start.saturating_sub(self.next);
        if start + len > self.next
            && ahead < limits::STREAM_DOUBTED_BYTES as u64
            && held + payload.len() <= limits::STREAM_DOUBTED_BYTES
            && self.doubted.len() < limits::STREAM_DOUBTED_SEGMENTS
            && stats.held_bytes + len <= self.room.held
        {
            stats.held_bytes += len;
            self.doubted.push(Doubted { start, bytes: payload.to_vec(), damaged });
        }
    }

    /// Puts aside what is held of `range` and acknowledges bytes that the other side has not sent, going by its own
    /// packets: it sent only what comes before `sent`.
    pub(super) fn doubt_held(&mut self, range: Range<u64>, sent: u64, stats: &mut FlowStats) {
        let first = self.held.range(..=range.start).next_back().map_or(range.start, |(offset, _)| *offset);
        let overlapping = self.held.range(first..range.end.max(first));
        let unfounded = overlapping.filter(|(offset, held)| held.after > sent && **offset + held.len() > range.start);
        let unfounded: Vec<u64> = unfounded.map(|(offset, _)| *offset).collect();
        for offset in unfounded {
            if let Some(held) = self.unhold(offset, stats) {
                self.set_aside(offset as i64, &held.bytes, false, stats);
                stats.set_aside += 1;
            }
        }
    }

    /// Notes where the byte that is out of band lies, by the rules of Linux: one that was read is past, and one that
    /// is announced gives way only to one after it.
    pub(super) fn announce_urgent(&mut self, offset: i64) {
        if let Ok(offset) = u64::try_from(offset)
            && offset >= self.next
            && self.urgent.is_none_or(|announced| announced < self.next || announced < offset)
        {
            self.urgent = Some(offset);
        }
    }

    /// All before this was sent, going by this side's own packets.
    pub(super) fn own_word(&self) -> u64 {
        self.sent.max(self.next)
    }

    /// Where the other side's word on what was received can be believed: as far as this side has not shown that it is
    /// false.
    pub(super) fn believed_acked(&self) -> u64 {
        let most = self.own_word() + u64::from(self.fin.is_some());
        if self.hole.is_some_and(|hole| hole.spoke) { self.acked.min(most) } else { self.acked }
    }

    /// Memory that segments set aside take.
    pub(super) fn doubted_bytes(&self) -> u64 {
        self.doubted.iter().map(|doubted| doubted.bytes.len() as u64).sum()
    }

    /// All before this was sent, a FIN not counted.
    pub(super) fn reach(&self) -> u64 {
        let held = self.held.last_key_value().map_or(0, |(offset, held)| offset + held.len());
        held.max(self.next).max(self.acked.saturating_sub(1).min(self.sent))
    }

    /// Whether the other side acknowledged a byte that only a segment set aside has.
    pub(super) fn has_received_doubted(&self) -> bool {
        self.acked > self.next
            && self.held.keys().next().is_none_or(|&offset| offset > self.next)
            && self.doubted.iter().any(|doubted| doubted.covers(self.next))
    }

    /// Forgets all segments set aside.
    pub(super) fn forget_doubted(&mut self, stats: &mut FlowStats) {
        stats.held_bytes -= self.doubted_bytes();
        self.doubted = Vec::new();
    }

    /// The bytes before `target` of a segment set aside that has what is next, and whether it is damaged.
    pub(super) fn take_doubted(&mut self, target: u64, stats: &mut FlowStats) -> Option<(Vec<u8>, bool)> {
        let at = self.doubted.iter().position(|doubted| doubted.covers(self.next))?;
        let Doubted { start, mut bytes, damaged } = self.doubted.remove(at);
        stats.held_bytes -= bytes.len() as u64;
        bytes.truncate(usize::try_from(target.saturating_sub(start)).unwrap_or(usize::MAX));
        bytes.drain(..((self.next - start) as usize).min(bytes.len()));
        (!bytes.is_empty()).then_some((bytes, damaged))
    }

    /// Forgets segments set aside of which better copies were delivered.
    pub(super) fn drop_doubted(&mut self, stats: &mut FlowStats) {
        let next = self.next;
        self.doubted.retain(|doubted| {
            let len = doubted.bytes.len() as u64;
            let wanted = doubted.start + len > next;
            stats.held_bytes -= if wanted { 0 } else { len };
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

    pub(super) fn unhold(&mut self, offset: u64, stats: &mut FlowStats) -> Option<Held> {
        let held = self.held.remove(&offset)?;
        self.held_bytes -= held.bytes.len();
        stats.held_bytes -= held.cost();
        Some(held)
    }

    /// Forgets the last segment that waits; whether there was one.
    pub(super) fn drop_last(&mut self, stats: &mut FlowStats) -> bool {
        let last = self.held.last_key_value().map(|(&offset, _)| offset);
        last.and_then(|offset| self.unhold(offset, stats)).is_some()
    }

    pub(super) fn over_bound(&self) -> bool {
        !self.held.is_empty()
            && (self.held_bytes > limits::STREAM_HELD_BYTES || self.held.len() > limits::STREAM_HELD_SEGMENTS)
    }
}

impl Doubted {
    /// Whether it has the byte at `offset`.
    fn covers(&self, offset: u64) -> bool {
        self.start <= offset && offset < self.start + self.bytes.len() as u64
    }
}

/// Whether the bytes that both have differ.
fn differ(first: &[u8], second: &[u8]) -> bool {
    let both = first.len().min(second.len());
    first[..both] != second[..both]
}
