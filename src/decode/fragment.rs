//! Fragments put together (RFC 791, section 3.2; RFC 8200, section 4.5; RFC 815 in spirit), within bounds.
//!
//! What each fragment adds is kept as pieces that do not overlap, so the work for a fragment is in proportion to its
//! length however an attacker cuts it. Where fragments overlap:
//!
//! - IPv4: the first copy wins. Hosts differ (Ptacek and Newsham 1998), and Linux discards such datagrams since
//!   4.19; what was read first can at least not be rewritten afterwards.
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
#[derive(Debug)]
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
        let end = fragment.offset + fragment.bytes.len();
        if end > MAX_DATAGRAM {
            anomalies.add("fragment-too-long", || format!("{}: ends at {end}", fragment.key));
            return Err(Fault::Invalid);
        }
        // Only the last one may be of any length (RFC 791, section 3.2; RFC 8200, section 4.5).
        if fragment.bytes.is_empty() || (fragment.more && !fragment.bytes.len().is_multiple_of(8)) {
            return Err(Fault::Invalid);
        }
        if !self.datagrams.contains_key(&fragment.key) && self.completions.has(fragment, now, self.datagrams.hasher()) {
            return Ok(None);
        }
        let datagram = self.find_or_open(fragment, now, stats);
        let before = datagram.cost();
        let refusal = datagram.add(fragment, stats);
        let (after, complete) = (datagram.cost(), datagram.is_complete());
        self.held = self.held - before + after;
        if let Some(refusal) = refusal {
            anomalies.add(refusal, || fragment.key.to_string());
        }
        if complete {
            self.completions.note(fragment, now, self.datagrams.hasher());
            return Ok(self.take(&fragment.key).and_then(|whole| {
                stats.fragments_reassembled += 1;
                let (ip, protocol) = whole.first?;
                Some(Whole { ip: IpFacts { bytes: whole.wire_bytes, ..ip }, protocol, pieces: whole.pieces })
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
    /// It was given up; it stays so that its later fragments do not open it again.
    refused: bool,
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
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use crate::model::net::Vlans;

    use super::*;

    /// A pool with its counters, and packet time.
    #[derive(Default)]
    struct Bench {
        pool: FragmentPool,
        stats: DecodeStats,
        anomalies: Anomalies,
        now: Timestamp,
    }

    impl Bench {
        fn insert(&mut self, key: Key, offset: usize, more: bool, bytes: &[u8]) -> Result<Option<Whole>, Fault> {
            let wire_bytes = bytes.len() as u32 + 20;
            let ip = IpFacts { src: key.src, dst: key.dst, vlans: Vlans::default(), ttl: 64, bytes: wire_bytes };
            let fragment = Fragment { key, ip, protocol: key.protocol, offset, more, bytes };
            self.pool.insert(&fragment, self.now, &mut self.stats, &mut self.anomalies)
        }

        /// Inserts, and gives the bytes of the datagram it completed.
        fn put(&mut self, key: Key, offset: usize, more: bool, bytes: &[u8]) -> Option<Vec<u8>> {
            self.insert(key, offset, more, bytes).unwrap().map(|whole| {
                let mut buffer = vec![1, 2, 3];
                whole.write_to(&mut buffer);
                buffer
            })
        }

        fn names(&mut self) -> Vec<&'static str> {
            std::mem::take(&mut self.anomalies.0).iter().map(|anomaly| anomaly.name).collect()
        }

        fn check(&self) {
            let held: usize = self.pool.datagrams.values().map(Assembly::cost).sum();
            assert_eq!(self.pool.held, held);
            assert!(held <= limits::FRAGMENT_BYTES);
            assert_eq!(self.pool.ages.len(), self.pool.datagrams.len());
            assert!(self.pool.datagrams.len() <= limits::FRAGMENT_DATAGRAMS);
        }
    }

    fn key(id: u32) -> Key {
        Key { src: [10, 0, 0, 1].into(), dst: [10, 0, 0, 2].into(), id, protocol: 17 }
    }

    fn key6(id: u32) -> Key {
        Key { src: [1u16, 0, 0, 0, 0, 0, 0, 1].into(), dst: [1u16, 0, 0, 0, 0, 0, 0, 2].into(), id, protocol: 44 }
    }

    #[test]
    fn datagrams_with_another_key_do_not_mix() {
        let mut bench = Bench::default();
        assert_eq!(bench.put(key(1), 0, true, &[1; 8]), None);
        for other in [key(2), key6(1), Key { protocol: 6, ..key(1) }, Key { src: [10, 0, 0, 9].into(), ..key(1) }] {
            assert_eq!(bench.put(other, 8, false, &[2; 8]), None, "{other}");
        }
        assert_eq!(bench.put(key(1), 8, false, &[3; 3]).unwrap(), [1, 1, 1, 1, 1, 1, 1, 1, 3, 3, 3]);
        bench.check();
    }

    #[test]
    fn the_first_copy_wins_in_ipv4_and_a_different_one_is_told() {
        let mut bench = Bench::default();
        bench.put(key(1), 8, true, &[1; 16]);
        bench.put(key(1), 0, true, &[2; 16]);
        assert_eq!(bench.names(), ["fragment-overlap-differs"]);
        let whole = bench.put(key(1), 16, false, &[1; 16]).unwrap();
        assert_eq!(whole, [[2; 8], [1; 8], [1; 8], [1; 8]].concat());
        assert_eq!((bench.stats.fragments_overlap, bench.stats.fragments_dropped), (1, 0));
        assert!(bench.names().is_empty(), "an overlap of equal bytes is nothing to tell");
    }

    #[test]
    fn an_overlap_discards_an_ipv6_datagram_and_what_still_comes() {
        for differs in [false, true] {
            let mut bench = Bench::default();
            bench.put(key6(1), 0, true, &[1; 16]);
            bench.put(key6(1), 8, true, &[if differs { 2 } else { 1 }; 16]);
            assert_eq!(bench.names().len(), usize::from(differs));
            assert_eq!(bench.put(key6(1), 16, false, &[1; 8]), None);
            assert_eq!(bench.put(key6(1), 0, true, &[1; 16]), None);
            assert_eq!((bench.stats.fragments_dropped, bench.pool.held), (4, 0));
            bench.check();
        }
    }

    #[test]
    fn an_exact_duplicate_does_no_harm() {
        for key in [key(1), key6(1)] {
            let mut bench = Bench::default();
            bench.put(key, 0, true, &[1; 16]);
            bench.put(key, 0, true, &[1; 16]);
            assert_eq!(bench.put(key, 16, false, &[2]).unwrap().len(), 17);
        }
    }

    #[test]
    fn what_completed_a_datagram_does_not_open_it_again_when_it_comes_twice() {
        for (key, order) in [(key(1), [0, 1, 2]), (key6(1), [2, 0, 1])] {
            let mut bench = Bench::default();
            let wholes = order.map(|at: u8| {
                let put = |bench: &mut Bench| bench.put(key, usize::from(at) * 8, at < 2, &[at; 8]);
                [put(&mut bench), put(&mut bench)]
            });
            assert_eq!(wholes.iter().flatten().flatten().count(), 1, "{order:?}");
            assert!(bench.pool.datagrams.is_empty(), "{order:?}");
            bench.check();
        }
    }

    #[test]
    fn a_datagram_whose_identification_is_used_again_is_no_copy() {
        let mut bench = Bench::default();
        let (first, last) = ([1; 8], [2; 8]);
        bench.put(key(1), 0, true, &first);
        assert!(bench.put(key(1), 8, false, &last).is_some());
        // Other bytes at once, and the same bytes later, each from its end.
        assert_eq!(bench.put(key(1), 8, false, &[3; 8]), None);
        assert_eq!(bench.put(key(1), 0, true, &first).unwrap()[8..], [3; 8]);
        bench.now = bench.now.plus(Duration::from_secs(2));
        assert_eq!(bench.put(key(1), 8, false, &last), None);
        assert_eq!(bench.put(key(1), 0, true, &first).unwrap()[8..], last);
    }

    #[test]
    fn contradictory_ends_discard_the_datagram() {
        let cases: [&[(usize, bool, usize)]; 3] =
            [&[(8, false, 8), (16, true, 8)], &[(8, false, 8), (8, false, 16)], &[(16, true, 8), (8, false, 8)]];
        for fragments in cases {
            let mut bench = Bench::default();
            for &(offset, more, len) in fragments {
                bench.put(key(1), offset, more, &vec![0; len]);
            }
            assert_eq!(bench.names(), ["fragment-ends-differ"], "{fragments:?}");
            assert_eq!(bench.put(key(1), 0, true, &[0; 8]), None);
            bench.check();
        }
    }

    #[test]
    fn impossible_fragments_are_refused() {
        let mut bench = Bench::default();
        assert!(bench.insert(key(1), 65_528, false, &[0; 8]).is_err(), "past 65,535");
        assert_eq!(bench.names(), ["fragment-too-long"]);
        assert!(bench.insert(key(1), 0, true, &[0; 12]).is_err(), "no multiple of eight");
        assert!(bench.insert(key(1), 8, false, &[]).is_err(), "empty");
        assert!(bench.insert(key(1), 65_528, false, &[0; 7]).is_ok());
    }

    #[test]
    fn what_waits_too_long_is_dropped() {
        let mut bench = Bench::default();
        bench.put(key(1), 0, true, &[1; 8]);
        bench.now = bench.now.plus(limits::FRAGMENT_TIMEOUT);
        bench.put(key(2), 0, true, &[1; 8]);
        assert_eq!(bench.stats.fragments_dropped, 0);
        bench.now = bench.now.plus(Duration::from_nanos(1));
        assert_eq!(bench.put(key(1), 8, false, &[2; 8]), None);
        assert_eq!(bench.stats.fragments_dropped, 1);
        assert!(bench.put(key(2), 8, false, &[2; 8]).is_some());
        bench.check();
    }

    #[test]
    fn the_oldest_goes_when_there_is_no_room() {
        let mut bench = Bench::default();
        for id in 0..limits::FRAGMENT_DATAGRAMS as u32 + 2 {
            bench.put(key(id), 0, true, &[1; 8]);
        }
        assert_eq!(bench.stats.fragments_dropped, 2);
        assert_eq!(bench.put(key(1), 8, false, &[2; 8]), None);
        assert!(bench.put(key(5), 8, false, &[2; 8]).is_some());
        bench.check();

        let mut bench = Bench::default();
        for id in 0..2_000 {
            bench.put(key(id), 0, true, &[1; 16_000]);
        }
        bench.check();
        assert_eq!(
            bench.stats.fragments_dropped as usize,
            2_000 - limits::FRAGMENT_BYTES / (16_000 + PIECE_COST + DATAGRAM_COST)
        );
    }

    #[test]
    fn one_datagram_has_only_so_many_fragments() {
        let mut bench = Bench::default();
        for index in 0..=limits::FRAGMENTS_PER_DATAGRAM {
            bench.put(key(1), index * 16, true, &[1; 8]);
        }
        assert_eq!(bench.names(), ["fragment-too-many"]);
        assert_eq!((bench.stats.fragments_dropped as usize, bench.pool.held), (limits::FRAGMENTS_PER_DATAGRAM + 1, 0));
    }

    /// A datagram, and its fragments in an order of their own, some of them twice.
    fn shuffled() -> impl Strategy<Value = (Vec<u8>, Vec<(usize, usize)>)> {
        (proptest::collection::vec(any::<u8>(), 9..3_000), proptest::collection::btree_set(1..370usize, 1..20))
            .prop_flat_map(|(datagram, cuts)| {
                let len = datagram.len();
                let mut ends: Vec<_> = cuts.into_iter().map(|cut| cut * 8).filter(|cut| *cut < len).collect();
                ends.push(len);
                let starts = std::iter::once(0).chain(ends.clone());
                let fragments: Vec<_> = starts.zip(ends.clone()).collect();
                let copies = proptest::sample::subsequence(fragments.clone(), 0..=fragments.len());
                (Just(datagram), copies.prop_map(move |more| [fragments.clone(), more].concat()).prop_shuffle())
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_order_gives_the_same_datagram((datagram, fragments) in shuffled(), six in any::<bool>()) {
            let mut bench = Bench::default();
            let key = if six { key6(7) } else { key(7) };
            let mut wholes = Vec::new();
            for (start, end) in fragments {
                wholes.extend(bench.put(key, start, end < datagram.len(), &datagram[start..end]));
                bench.check();
            }
            prop_assert!(!wholes.is_empty());
            prop_assert!(wholes.iter().all(|whole| *whole == datagram));
            prop_assert!(bench.names().is_empty());
        }

        /// Against a receiver that writes each byte once: in IPv4 the first copy wins.
        #[test]
        fn overlapping_fragments_give_the_first_copy_of_each_byte(
            cuts in proptest::collection::vec((0..40usize, 1..12usize, any::<u8>()), 1..30)
        ) {
            let mut bench = Bench::default();
            let mut model = [None; 52 * 8];
            let len = cuts.iter().map(|(start, words, _)| (start + words) * 8).max().unwrap_or(0);
            let (mut whole, mut differed) = (None, 0);
            let fillers = (0..len / 8).map(|start| (start, 1, 0));
            for (start, words, value) in cuts.into_iter().chain(fillers) {
                let (start, end) = (start * 8, (start + words) * 8);
                differed += u64::from(model[start..end].iter().any(|byte| byte.is_some_and(|byte| byte != value)));
                model[start..end].iter_mut().for_each(|byte| { byte.get_or_insert(value); });
                whole = bench.put(key(1), start, end < len, &vec![value; end - start]);
                bench.check();
                if whole.is_some() {
                    break;
                }
            }
            let expected: Vec<u8> = model[..len].iter().map(|byte| byte.unwrap()).collect();
            prop_assert_eq!(whole, Some(expected));
            prop_assert_eq!(bench.stats.fragments_overlap, differed);
        }

        #[test]
        fn the_books_balance_whatever_comes(
            fragments in proptest::collection::vec((0..4u32, any::<bool>(), 0..12usize, any::<bool>(), 0..4usize, any::<bool>(), 0..20u64), 1..120)
        ) {
            let mut bench = Bench::default();
            let mut taken = 0;
            for (id, six, start, more, words, value, seconds) in fragments {
                bench.now = bench.now.plus(Duration::from_secs(seconds));
                let key = if six { key6(id) } else { key(id) };
                taken += u64::from(bench.insert(key, start * 8, more, &vec![u8::from(value); words * 8]).is_ok());
                bench.check();
            }
            let waiting: u64 = bench.pool.datagrams.values().map(|datagram| datagram.waiting).sum();
            prop_assert!(bench.stats.fragments_dropped + waiting <= taken);
        }
    }
}
