//! The flow table, filled, aged, and full.

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_parts(seconds, 0)
}

fn key(port: u16) -> (Key, bool) {
    Key::new("10.0.0.1".parse().unwrap(), port, "192.0.2.1".parse().unwrap(), 25, Transport::Tcp)
}

fn open(table: &mut FlowTable<u8>, port: u16, now: Timestamp) -> (Place, Vec<EndReason>) {
    let (key, low) = key(port);
    let mut ended = Vec::new();
    let place = table.find_or_open(key, || true, low, now.into(), |_, reason| ended.push(reason));
    (place, ended)
}

#[test]
fn both_directions_are_one_flow_with_the_opener_as_client() {
    let mut table = FlowTable::<u8>::new(10);
    let (a, b) = ("10.0.0.9".parse().unwrap(), "10.0.0.2".parse().unwrap());
    let (there, low) = Key::new(a, 4000, b, 25, Transport::Tcp);
    let (back, back_low) = Key::new(b, 25, a, 4000, Transport::Tcp);
    assert_eq!(there, back);
    let first = table.find_or_open(there, || true, low, at(1).into(), |_, _| panic!("nothing ends"));
    let second = table.find_or_open(back, || true, back_low, at(1).into(), |_, _| panic!("nothing ends"));
    assert!(first.opened && !second.opened);
    let entry = table.get(second);
    assert_eq!(
        (entry.client().to_string(), entry.server().to_string()),
        ("10.0.0.9:4000".into(), "10.0.0.2:25".into())
    );
    assert_eq!((entry.side(low), entry.side(back_low)), (Side::Client, Side::Server));
    entry.swap_sides();
    assert_eq!(entry.client().to_string(), "10.0.0.2:25");
}

/// Of a thousand flows ten are followed, and far apart.
#[test]
fn the_slowest_of_those_that_are_followed_gives_way_to_one_that_begins() {
    let mut table = FlowTable::<u8>::new(10_000);
    for port in 1..=1_000 {
        let (place, _) = open(&mut table, port, at(0));
        if port % 100 == 0 {
            table.attach(place, Box::new(0));
            for side in [Side::Client, Side::Server] {
                let bytes = match port {
                    500 => 3_000,
                    700 => 30,
                    _ => 1_000,
                };
                (0..2).for_each(|_| table.get(place).count(side, bytes, at(29)));
            }
        }
    }
    let mut evict = |seconds, beginning| Some(table.evict_slowest(at(seconds), beginning)?.client().port());
    assert_eq!(evict(29, false), None, "for a packet of one that is under way none");
    assert_eq!(evict(9, true), None, "all are young");
    assert_eq!(evict(29, true), Some(700), "though it spoke just now");
    // The others are alike, and each is met once.
    let mut others: Vec<_> = std::iter::from_fn(|| evict(29, true)).collect();
    others.sort_unstable();
    assert_eq!(others, [100, 200, 300, 400, 600, 800, 900, 1_000], "one is not slow");
    assert_eq!((table.len(), table.followed.iter().map(|bits| bits.count_ones()).sum::<u32>()), (991, 1));
}

#[test]
fn an_idle_flow_ends_when_its_next_packet_comes_even_if_the_hand_never_met_it() {
    let mut table = FlowTable::new(10);
    open(&mut table, 1, at(0));
    let (place, ended) = open(&mut table, 1, at(3_600));
    assert!(place.opened);
    assert_eq!(ended, [EndReason::TimedOut]);
    assert_eq!(table.len(), 1);
}

#[test]
fn a_full_table_gives_up_a_flow_without_attachment_first() {
    let mut table = FlowTable::new(3);
    for port in 1..=3 {
        let (place, _) = open(&mut table, port, at(i64::from(port)));
        if port != 2 {
            table.get(place).attached = Some(Box::new(0));
        }
    }
    let (_, ended) = open(&mut table, 4, at(4));
    assert_eq!(ended, [EndReason::Evicted]);
    assert_eq!(table.len(), 3);
    assert!(open(&mut table, 2, at(4)).0.opened, "the unattached flow was the one to go");
}

#[test]
fn a_flow_may_be_idle_for_as_long_as_its_state_says() {
    let idle = |packets: [u32; 2], closed: bool, mail: bool| {
        let mut table = FlowTable::new(10);
        let (place, _) = open(&mut table, 1, at(0));
        let entry = table.get(place);
        (entry.packets, entry.closed, entry.attached) = (packets, closed, mail.then(|| Box::new(0)));
        let ends = |table: &mut FlowTable<u8>, seconds: u64| {
            let mut ended = 0;
            table.sweep(table.slots(), at(seconds as i64), |_| ended += 1);
            ended == 1
        };
        (1..2_000).find(|seconds| ends(&mut table, *seconds)).map(|seconds| Duration::from_secs(seconds - 1))
    };
    assert_eq!(idle([1, 0], false, false), Some(limits::TIMEOUT_NEW), "nobody answered");
    assert_eq!(idle([0, 1], false, false), Some(limits::TIMEOUT_NEW), "only the answer was captured");
    assert_eq!(idle([1, 1], false, false), Some(limits::TIMEOUT_TCP));
    assert_eq!(idle([1, 0], false, true), Some(limits::TIMEOUT_NEW), "one packet is no conversation");
    assert_eq!(idle([2, 0], false, true), Some(limits::TIMEOUT_MAIL));
    assert_eq!(idle([9, 9], true, true), Some(limits::TIMEOUT_CLOSED));
}

#[test]
fn the_hand_finds_what_timed_out_and_nothing_else() {
    let mut table = FlowTable::new(100);
    for port in 0..50 {
        open(&mut table, port, at(if port % 2 == 0 { 0 } else { 100 }));
    }
    let mut ended = 0;
    table.sweep(table.slots(), at(101), |_| ended += 1);
    assert_eq!((ended, table.len()), (25, 25));
}
