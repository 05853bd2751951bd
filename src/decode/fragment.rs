//! Fragments put together (RFC 791, section 3.2; RFC 8200, section 4.5; RFC 815 in spirit), within bounds.
//!
//! What each fragment adds is kept as pieces that do not overlap, so the work for a fragment is in proportion to its
//! length however an attacker cuts it. Where fragments overlap:
//!
//! - IPv4: the first copy wins. Hosts differ (Ptacek and Newsham 1998), and Linux discards such datagrams since
//!   4.19; so it is told of the datagram that its fragments overlap ([`Whole::overlaps`]).
//! - IPv6: the datagram is discarded, with every fragment of it still to come, except that an exact duplicate is
//!   ignored (RFC 5722; RFC 8200, section 4.5). No conforming host reads it either.
//!
//! Differing copies raise the anomaly `fragment-overlap-differs`. The oldest datagram goes when there is no room.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::model::limits;
use crate::model::stats::DecodeStats;
use crate::model::time::Timestamp;

use super::repeat::Completions;
use super::walk::Fault;
use super::{Anomalies, IpFacts};

/// The datagrams of which some fragments have come.
#[derive(Debug)]
pub(super) struct FragmentPool {
    datagrams: HashMap<Key, Assembly, RandomState>,
    /// The same datagrams in the order they came in, with the time each began.
    ages: BTreeMap<u64, (Key, Timestamp)>,
    /// The next age to give out.
    next_age: u64,
    /// What completed the latest of those no longer here.
    completions: Completions,
    /// Bytes held, with [`PIECE_COST`] for each piece.
    held: usize,
    /// Bytes and datagrams that may be held.
    most: usize,
    most_datagrams: usize,
}

impl Default for FragmentPool {
    fn default() -> Self {
        Self::within(limits::FRAGMENT_BYTES, limits::FRAGMENT_DATAGRAMS)
    }
}

/// What fragments of one datagram have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    pub(super) id: u32,
    pub(super) protocol: u8,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}, id {:#x}", self.src, self.dst, self.id)
    }
}

/// One fragment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fragment<'a> {
    pub(super) key: Key,
    pub(super) ip: IpFacts,
    /// What the datagram carries.
    pub(super) protocol: u8,
    /// In bytes.
    pub(super) offset: usize,
    /// Others come after it.
    pub(super) more: bool,
    pub(super) bytes: &'a [u8],
}

/// A datagram all of whose fragments have come.
#[derive(Debug)]
pub(super) struct Whole {
    /// As in the first fragment; `bytes` is the sum over all of them.
    pub(super) ip: IpFacts,
    pub(super) protocol: u8,
    /// Some of its fragments overlap, and not as exact copies.
    pub(super) overlaps: bool,
    pieces: Pieces,
}

impl Whole {
    /// Puts the bytes in order into `buffer`, in place of what it held.
    pub(super) fn write_to(&self, buffer: &mut Vec<u8>) {
        buffer.clear();
        self.pieces.values().for_each(|piece| buffer.extend_from_slice(piece));
    }
}

impl FragmentPool {
    /// A pool for so many bytes and datagrams.
    pub(super) fn within(most: usize, most_datagrams: usize) -> Self {
        let (datagrams, ages, completions) = (HashMap::default(), BTreeMap::new(), Completions::default());
        Self { datagrams, ages, next_age: 0, completions, held: 0, most, most_datagrams }
    }

    /// Bytes held, with what each datagram takes.
    pub(super) fn held_bytes(&self) -> usize {
        self.held + self.datagrams.len() * DATAGRAM_COST
    }

    /// Takes a fragment in; gives the datagram back when it was the last one missing.
    pub(super) fn insert(
        &mut self,
        fragment: &Fragment<'_>,
        now: Timestamp,
        stats: &mut DecodeStats,
        anomalies: &mut Anomalies,
    ) -> Result<Option<Whole>, Fault> {
        let whole = self.take_in(fragment, now, stats, anomalies);
        stats.fragment_bytes = self.held_bytes() as u64;
        whole
    }

    fn take_in(
        &mut self,
        fragment: &Fragment<'_>,
        now: Timestamp,
        stats: &mut DecodeStats,
        anomalies: &mut Anomalies,
    ) -> Result<Option<Whole>, Fault> {
        self.expire(now, stats);
        // Linux cuts one of IPv4 that is not the last to whole units of eight bytes, where RFC 8200 has it dropped.
        let whole_units = fragment.bytes.len() / 8 * 8;
        let cut = if fragment.more && fragment.key.src.is_ipv4() { whole_units } else { fragment.bytes.len() };
        let fragment = &Fragment { bytes: fragment.bytes.get(..cut).unwrap_or_default(), ..*fragment };
        let end = fragment.offset + fragment.bytes.len();
        if end > MAX_DATAGRAM {
            anomalies.add("fragment-too-long", || format!("{}: ends at {end}", fragment.key));
            return Err(Fault::Invalid);
        }
        if fragment.bytes.is_empty() && fragment.key.src.is_ipv4() {
            // Linux gives its datagram up.
            self.give_up(&fragment.key, stats);
            return Err(Fault::Invalid);
        }
        // Only the last one may be of any length (RFC 8200, section 4.5).
        if fragment.bytes.is_empty() || (fragment.more && !fragment.bytes.len().is_multiple_of(8)) {
            return Err(Fault::Invalid);
        }
        if !self.datagrams.contains_key(&fragment.key) && self.completions.has(fragment, now, self.datagrams.hasher()) {
            return Ok(None);
        }
        let datagram = self.find_or_open(fragment, now, stats);
        let before = datagram.cost();
        let refusal = datagram.add(fragment, stats);
        let (after, complete, refused) = (datagram.cost(), datagram.is_complete(), datagram.refused);
        self.held = self.held - before + after;
        if let Some(refusal) = refusal {
            anomalies.add(refusal, || fragment.key.to_string());
        }
        if refused && fragment.key.src.is_ipv4() {
            // Linux forgets it, and takes what comes next under its identification for another datagram.
            self.give_up(&fragment.key, stats);
            return Ok(None);
        }
        if complete {
            self.completions.note(fragment, now, self.datagrams.hasher());
            return Ok(self.take(&fragment.key).and_then(|whole| {
                stats.fragments_reassembled += 1;
                let (ip, protocol) = whole.first?;
                let ip = IpFacts { bytes: whole.wire_bytes, ..ip };
                Some(Whole { ip, protocol, overlaps: whole.overlaps, pieces: whole.pieces })
            }));
        }
        while self.held_bytes() > self.most && self.drop_oldest(stats) {}
        Ok(None)
    }

    fn find_or_open(&mut self, fragment: &Fragment<'_>, now: Timestamp, stats: &mut DecodeStats) -> &mut Assembly {
        if self.datagrams.len() >= self.most_datagrams && !self.datagrams.contains_key(&fragment.key) {
            self.drop_oldest(stats);
        }
        self.datagrams.entry(fragment.key).or_insert_with(|| {
            let age = self.next_age;
            self.next_age += 1;
            self.ages.insert(age, (fragment.key, now));
            Assembly::open(age)
        })
    }

    /// Drops what has waited too long, counted from its first fragment (RFC 8200, section 4.5). Packet time can step
    /// back; then nothing is dropped, and the bounds hold.
    fn expire(&mut self, now: Timestamp, stats: &mut DecodeStats) {
        while let Some((_, (_, opened))) = self.ages.first_key_value()
            && now.since(*opened) > limits::FRAGMENT_TIMEOUT
        {
            self.drop_oldest(stats);
        }
    }

    /// Drops the oldest datagram; false when there is none.
    fn drop_oldest(&mut self, stats: &mut DecodeStats) -> bool {
        let Some((_, (key, _))) = self.ages.pop_first() else { return false };
        if let Some(datagram) = self.datagrams.remove(&key) {
            self.held -= datagram.cost();
            stats.fragments_dropped += datagram.waiting;
        }
        true
    }

    fn give_up(&mut self, key: &Key, stats: &mut DecodeStats) {
        if let Some(datagram) = self.take(key) {
            stats.fragments_dropped += datagram.waiting;
        }
    }

    fn take(&mut self, key: &Key) -> Option<Assembly> {
        let datagram = self.datagrams.remove(key)?;
        self.ages.remove(&datagram.age);
        self.held -= datagram.cost();
        Some(datagram)
    }
}

/// Bytes by offset; no two overlap.
type Pieces = BTreeMap<usize, Box<[u8]>>;

/// A datagram in the making.
#[derive(Debug)]
struct Assembly {
    age: u64,
    /// Facts and protocol of the fragment at offset 0.
    first: Option<(IpFacts, u8)>,
    pieces: Pieces,
    /// Bytes in `pieces`.
    covered: usize,
    /// Its length, known once the last fragment came.
    len: Option<usize>,
    /// The furthest byte seen.
    reach: usize,
    /// Bytes of all its IP packets.
    wire_bytes: u32,
    /// Fragments taken in, copies included: what is lost when it is given up.
    waiting: u64,
    /// It was given up. In IPv6 it stays, so that its later fragments do not open it again (RFC 5722, section 4).
    refused: bool,
    /// Some of its fragments overlap, and not as exact copies.
    overlaps: bool,
}

impl Assembly {
    fn open(age: u64) -> Self {
        Self {
            age,
            first: None,
            pieces: Pieces::new(),
            covered: 0,
            len: None,
            reach: 0,
            wire_bytes: 0,
            waiting: 0,
            refused: false,
            overlaps: false,
        }
    }

    fn cost(&self) -> usize {
        self.covered + self.pieces.len() * PIECE_COST
    }

    fn is_complete(&self) -> bool {
        self.len == Some(self.covered)
    }

    /// Takes a fragment in. Gives the name of an anomaly, if it is one.
    fn add(&mut self, fragment: &Fragment<'_>, stats: &mut DecodeStats) -> Option<&'static str> {
        if self.refused {
            stats.fragments_dropped += 1;
            return None;
        }
        self.waiting += 1;
        self.wire_bytes = self.wire_bytes.saturating_add(fragment.ip.bytes);
        let end = fragment.offset + fragment.bytes.len();
        self.reach = self.reach.max(end);
        let len = self.len.unwrap_or(if fragment.more { usize::MAX } else { end });
        if self.reach > len || (!fragment.more && end != len) {
            return self.refuse(Some("fragment-ends-differ"), stats);
        }
        if self.waiting > limits::FRAGMENTS_PER_DATAGRAM as u64 {
            return self.refuse(Some("fragment-too-many"), stats);
        }
        if !fragment.more {
            self.len = Some(end);
        }
        if fragment.offset == 0 && self.first.is_none() {
            self.first = Some((fragment.ip, fragment.protocol));
        }
        let overlap = self.place(fragment.offset, fragment.bytes);
        let differs = overlap == Overlap::Differs;
        self.overlaps |= matches!(overlap, Overlap::Differs | Overlap::Partial);
        stats.fragments_overlap += u64::from(differs);
        let anomaly = differs.then_some("fragment-overlap-differs");
        if fragment.key.src.is_ipv6() && matches!(overlap, Overlap::Differs | Overlap::Partial) {
            return self.refuse(anomaly, stats);
        }
        anomaly
    }

    /// Gives the datagram up.
    fn refuse(&mut self, anomaly: Option<&'static str>, stats: &mut DecodeStats) -> Option<&'static str> {
        stats.fragments_dropped += std::mem::take(&mut self.waiting);
        self.pieces.clear();
        (self.covered, self.len, self.refused) = (0, None, true);
        anomaly
    }

    /// Keeps what is new of `bytes` at `start`.
    fn place(&mut self, start: usize, bytes: &[u8]) -> Overlap {
        let end = start + bytes.len();
        let before = self.pieces.range(..=start).next_back();
        let from = before.filter(|(at, piece)| *at + piece.len() > start).map_or(start, |(at, _)| *at);
        let (mut at, mut gaps, mut overlap) = (start, Vec::new(), Overlap::None);
        for (&piece_start, piece) in self.pieces.range(from..end) {
            let piece_end = piece_start + piece.len();
            let (low, high) = (piece_start.max(start), piece_end.min(end));
            if low > at {
                gaps.push(at..low);
            }
            at = high;
            overlap = overlap.max(match () {
                () if piece.get(low - piece_start..high - piece_start) != bytes.get(low - start..high - start) => {
                    Overlap::Differs
                }
                () if (piece_start, piece_end) == (start, end) => Overlap::Duplicate,
                () => Overlap::Partial,
            });
        }
        for gap in gaps.into_iter().chain((at < end).then_some(at..end)) {
            self.covered += gap.len();
            self.pieces.insert(gap.start, bytes.get(gap.start - start..gap.end - start).unwrap_or_default().into());
        }
        overlap
    }
}

/// How a fragment meets those before it, mildest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Overlap {
    None,
    /// The very same bytes at the same place.
    Duplicate,
    /// The same bytes, cut otherwise.
    Partial,
    Differs,
}

/// The 16-bit lengths of both versions of IP. RFC 791 counts the header too; 20 bytes more do no harm.
const MAX_DATAGRAM: usize = 65_535;
/// What a piece costs besides its bytes: its place in the tree and its allocation.
const PIECE_COST: usize = 64;
/// What a datagram costs besides its pieces: its places in the table and in the order of age.
const DATAGRAM_COST: usize = 256;

#[cfg(test)]
mod tests;
