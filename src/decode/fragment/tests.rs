//! Datagrams put together, refused and given up.

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
    assert!(bench.insert(key6(1), 0, true, &[0; 12]).is_err(), "no multiple of eight");
    assert!(bench.insert(key(1), 8, false, &[]).is_err(), "empty");
    assert!(bench.insert(key(1), 65_528, false, &[0; 7]).is_ok());
}

// What is said of IPv4 here, Linux does (`ip_frag_queue`).

#[test]
fn a_fragment_of_ipv4_is_cut_to_units_of_eight_bytes() {
    let mut bench = Bench::default();
    bench.put(key(1), 0, true, &[1; 15]);
    assert_eq!(bench.put(key(1), 8, false, &[2; 3]).unwrap(), [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2]);
    bench.check();
}

#[test]
fn a_datagram_of_ipv4_that_was_given_up_can_come_again() {
    // Two ends; a fragment of less than a unit, and of nothing.
    for (more, len, dropped) in [(false, 8, 2), (true, 7, 1), (true, 0, 1)] {
        let mut bench = Bench::default();
        bench.put(key(1), 8, false, &[9; 16]);
        let _ = bench.insert(key(1), 8, more, &vec![9; len]);
        bench.check();
        assert_eq!((bench.stats.fragments_dropped, bench.pool.datagrams.len()), (dropped, 0), "{more} {len}");
        bench.put(key(1), 0, true, &[1; 8]);
        assert_eq!(bench.put(key(1), 8, false, &[2]).unwrap(), [1, 1, 1, 1, 1, 1, 1, 1, 2]);
    }
}

#[test]
fn it_is_told_of_a_datagram_that_its_fragments_overlap() {
    for (second, overlaps) in [(&[1; 8][..], false), (&[1; 16], true), (&[2; 8], true)] {
        let mut bench = Bench::default();
        bench.put(key(1), 0, true, &[1; 8]);
        bench.put(key(1), 0, true, second);
        let whole = bench.insert(key(1), 8, false, &[1; 20]).unwrap().unwrap();
        assert_eq!(whole.overlaps, overlaps);
    }
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

/// RFC 8200, section 4.5: the next header is that of the first fragment; those of others may differ, and are ignored.
#[test]
fn the_first_fragment_says_what_the_datagram_carries() {
    for first_comes_last in [false, true] {
        let mut bench = Bench::default();
        let mut order = [(0_usize, true, 6_u8), (8, true, 17), (16, false, 58)];
        if first_comes_last {
            order.reverse();
        }
        let mut whole = None;
        for (offset, more, protocol) in order {
            let ip = IpFacts { src: key6(1).src, dst: key6(1).dst, vlans: Vlans::default(), ttl: protocol, bytes: 28 };
            let fragment = Fragment { key: key6(1), ip, protocol, offset, more, bytes: &[7; 8] };
            whole = bench.pool.insert(&fragment, bench.now, &mut bench.stats, &mut bench.anomalies).unwrap();
        }
        let whole = whole.unwrap();
        assert_eq!((whole.protocol, whole.ip.ttl), (6, 6), "{first_comes_last}");
    }
}
