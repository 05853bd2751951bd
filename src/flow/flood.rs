//! Who floods whom: connection attempts and echo requests, counted by pair of hosts in fixed memory.
//!
//! What a flood is made of opens something and goes no further: SYN segments (RFC 9293, section 3.5) and echo requests
//! (RFC 792; RFC 4443, section 4.1). A download, a backup or a stream counts for nothing here, however heavy it is.
//! Datagrams are left out: where a mirror shows one side only, every QUIC upload would look like a flood.
//!
//! Nothing is allocated for a pair, and nothing said of it, before it passes [`limits::FLOOD_PACKETS`] within
//! [`limits::FLOOD_WINDOW`], or a part of that where several threads see a part each. Pairs live in buckets of four; a new pair takes the place of the one that was counted
//! least in its window, after the Space-Saving of Metwally, Agrawal and El Abbadi (ICDT 2005), but begins at zero: no
//! count is ever too high. The hash has no key, so that the same capture gives the same events. To push a flood out of
//! its bucket one needs as many larger ones in it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::model::event::Flood;
use crate::model::limits;
use crate::model::net::{Flow, words};
use crate::model::settings::TICK;
use crate::model::time::Timestamp;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knock {
    /// A SYN without ACK, to this port.
    Syn(u16),
    /// An echo request.
    Echo,
}

/// The counters of one source.
#[derive(Debug)]
pub struct Floods {
    slots: Box<[Slot]>,
    /// As [`crate::model::settings::SensorSettings::flood_packets`].
    bound: u32,
    /// Pairs that passed the bound, in the order in which they did.
    hot: Vec<Hot>,
}

/// A pair of hosts, packets going one way.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    src: [u64; 2],
    dst: [u64; 2],
    /// Begin of the window, and what was counted in it.
    start: Timestamp,
    in_window: u32,
    hot: bool,
    /// Not told yet, with its first and last time.
    syns: u32,
    echoes: u32,
    port: u16,
    since: Timestamp,
    last: Timestamp,
}

#[derive(Debug)]
struct Hot {
    slot: usize,
    flow: Arc<Flow>,
    told: Timestamp,
}

/// Floods to be told: the flow of the packet that passed the bound, and what was counted since they were last told.
pub type Told = Vec<(Arc<Flow>, Flood)>;

impl Default for Floods {
    fn default() -> Self {
        Self::telling(limits::FLOOD_PACKETS)
    }
}

impl Floods {
    /// Counters that tell of a pair from so many packets within [`limits::FLOOD_WINDOW`].
    pub fn telling(bound: u32) -> Self {
        Self { slots: vec![Slot::default(); BUCKETS * WAYS].into_boxed_slice(), bound: bound.max(1), hot: Vec::new() }
    }

    /// Counts a packet. `identity` is asked for when the pair passes the bound with it.
    pub fn count(
        &mut self,
        src: IpAddr,
        dst: IpAddr,
        knock: Knock,
        now: Timestamp,
        identity: impl FnOnce() -> Flow,
        told: &mut Told,
    ) {
        let (src, dst) = (words(src), words(dst));
        let place = self.place(src, dst, now, told);
        let Some(slot) = self.slots.get_mut(place) else { return };
        slot.count(knock, now);
        if !slot.hot && slot.in_window >= self.bound {
            slot.hot = true;
            let flow = Arc::new(identity());
            told.push((Arc::clone(&flow), slot.take()));
            self.hot.push(Hot { slot: place, flow, told: now });
        }
    }

    /// Time went on: tells what was counted in the windows that ended.
    pub fn tick(&mut self, now: Timestamp, told: &mut Told) {
        let (slots, bound) = (&mut self.slots, self.bound);
        // What is a part only counts with those of others, which do not wait for it.
        let is_part = bound < limits::FLOOD_PACKETS;
        let pause = if is_part { nanos(TICK) } else { WINDOW };
        self.hot.retain_mut(|hot| {
            if are_near(now, hot.told, pause) {
                return true;
            }
            let Some(slot) = slots.get_mut(hot.slot) else { return false };
            let counted = slot.tell(&hot.flow, told);
            hot.told = now;
            // In a part's new window it begins anew; nothing of it is lost, since it is told with what comes up to the bound.
            slot.hot = if is_part { slot.live(now) >= bound } else { counted >= bound };
            slot.hot
        });
    }

    /// The capture is over: tells what is left.
    pub fn finish(&mut self, told: &mut Told) {
        for hot in self.hot.drain(..) {
            if let Some(slot) = self.slots.get_mut(hot.slot) {
                slot.tell(&hot.flow, told);
                slot.hot = false;
            }
        }
    }

    /// The slot of a pair, made free for it if need be.
    fn place(&mut self, src: [u64; 2], dst: [u64; 2], now: Timestamp, told: &mut Told) -> usize {
        let first = bucket(src, dst) * WAYS;
        let ways = self.slots.get(first..first + WAYS).unwrap_or_default();
        let mut least = (u32::MAX, Timestamp::default(), first);
        for (place, slot) in (first..).zip(ways) {
            if slot.src == src && slot.dst == dst {
                return place;
            }
            let worth = (slot.live(now), slot.start, place);
            least = if place == first { worth } else { least.min(worth) };
        }
        let (_, _, place) = least;
        self.cool(place, told);
        if let Some(slot) = self.slots.get_mut(place) {
            *slot = Slot { src, dst, start: now, ..Slot::default() };
        }
        place
    }

    /// A pair gives up its slot: what is left of a flood is told.
    fn cool(&mut self, place: usize, told: &mut Told) {
        let Some(slot) = self.slots.get_mut(place).filter(|slot| slot.hot) else { return };
        if let Some(at) = self.hot.iter().position(|hot| hot.slot == place) {
            let hot = self.hot.remove(at);
            slot.tell(&hot.flow, told);
        }
    }
}

impl Slot {
    fn count(&mut self, knock: Knock, now: Timestamp) {
        if !are_near(now, self.start, WINDOW) {
            (self.start, self.in_window) = (now, 0);
            if !self.hot {
                (self.syns, self.echoes) = (0, 0);
            }
        }
        if self.syns + self.echoes == 0 {
            self.since = now;
        }
        self.last = now;
        self.in_window = self.in_window.saturating_add(1);
        match knock {
            // Told every window, so neither comes near its end.
            Knock::Syn(port) => {
                self.syns = (self.syns + 1).min(MOST);
                self.port = port;
            }
            Knock::Echo => self.echoes = (self.echoes + 1).min(MOST),
        }
    }

    /// What it counts for in its bucket: nothing once its window is over.
    fn live(&self, now: Timestamp) -> u32 {
        if are_near(now, self.start, WINDOW) { self.in_window } else { 0 }
    }

    /// Takes out what was not told yet.
    fn take(&mut self) -> Flood {
        let flood = Flood {
            syns: self.syns.into(),
            echoes: self.echoes.into(),
            port: (self.syns > 0).then_some(self.port),
            since: self.since.min(self.last),
            last: self.last.max(self.since),
        };
        (self.syns, self.echoes) = (0, 0);
        flood
    }

    /// Tells what was not told yet, if there is any; how much it was.
    fn tell(&mut self, flow: &Arc<Flow>, told: &mut Told) -> u32 {
        let counted = self.syns + self.echoes;
        if counted > 0 {
            told.push((Arc::clone(flow), self.take()));
        }
        counted
    }
}

/// Whether less than so many nanoseconds lie between two times: each SYN asks for it five times, so it has to be quick.
const fn are_near(a: Timestamp, b: Timestamp, nanos: u64) -> bool {
    a.as_nanos().abs_diff(b.as_nanos()) < nanos
}

const fn nanos(time: Duration) -> u64 {
    time.as_secs() * 1_000_000_000 + time.subsec_nanos() as u64
}

/// Multiplies and folds, as FxHash does: quick, and the same in every run.
fn bucket(src: [u64; 2], dst: [u64; 2]) -> usize {
    let mut hash = 0_u64;
    for word in [src[0], src[1], dst[0], dst[1]] {
        hash = (hash.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    (hash >> 40) as usize % BUCKETS
}

/// Pairs counted at once: [`limits::FLOOD_PAIRS`], in buckets.
const WAYS: usize = 4;
const BUCKETS: usize = limits::FLOOD_PAIRS / WAYS;
/// [`limits::FLOOD_WINDOW`] in nanoseconds.
const WINDOW: u64 = nanos(limits::FLOOD_WINDOW);
/// Far from overflow, also of a sum of two.
const MOST: u32 = u32::MAX / 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::net::{FlowNames, Transport, Vlans};

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_parts(1_000, millis * 1_000_000)
    }

    fn ip(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    fn flow() -> Flow {
        Flow {
            client: "10.0.0.1:1".parse().unwrap(),
            server: "192.0.2.1:80".parse().unwrap(),
            transport: Transport::Tcp,
            vlans: Vlans::default(),
            started: at(0),
            midstream: false,
            names: FlowNames::default(),
        }
    }

    fn knock(floods: &mut Floods, src: u32, dst: u32, kind: Knock, millis: i64, told: &mut Told) {
        floods.count(ip(src), ip(dst), kind, at(millis), flow, told);
    }

    #[test]
    fn a_flood_is_told_at_the_bound_and_then_once_a_window_with_nothing_lost() {
        let (mut floods, mut told) = (Floods::default(), Told::new());
        for number in 0..2_000_i64 {
            // 100 a second, one in four an echo request, for 20 seconds.
            let kind = if number % 4 == 0 { Knock::Echo } else { Knock::Syn(80) };
            knock(&mut floods, 1, 2, kind, number * 10, &mut told);
            if number == 98 {
                assert!(told.is_empty());
            }
            if number % 100 == 99 {
                floods.tick(at(number * 10), &mut told);
            }
        }
        floods.tick(at(40_000), &mut told);
        floods.tick(at(50_000), &mut told);
        assert_eq!((told[0].1.syns, told[0].1.echoes), (75, 25));
        assert_eq!((told[0].1.since, told[0].1.last), (at(0), at(990)));
        let sum = told.iter().fold((0, 0), |sum, (_, flood)| (sum.0 + flood.syns, sum.1 + flood.echoes));
        assert_eq!(sum, (1_500, 500));
        assert!(told.len() <= 4, "{}", told.len());
        assert!(floods.hot.is_empty(), "it is over");
    }

    #[test]
    fn a_part_of_a_flood_that_stopped_is_forgotten() {
        let (mut floods, mut told) = (Floods::telling(8), Told::new());
        (0..20).for_each(|number| knock(&mut floods, 1, 2, Knock::Syn(80), number, &mut told));
        for second in 1..=12 {
            floods.tick(at(second * 1_000), &mut told);
        }
        assert_eq!(told.iter().map(|(_, flood)| flood.syns).sum::<u64>(), 20);
        assert!(floods.hot.is_empty(), "it is over");
        knock(&mut floods, 1, 2, Knock::Syn(80), 60_000, &mut told);
        floods.finish(&mut told);
        assert_eq!(told.iter().map(|(_, flood)| flood.syns).sum::<u64>(), 20, "one is no part of a flood");
    }

    #[test]
    fn a_pace_below_the_bound_is_never_told() {
        let (mut floods, mut told) = (Floods::default(), Told::new());
        // Nine a second for an hour: 90 in ten seconds.
        for number in 0..32_400_i64 {
            knock(&mut floods, 1, 2, Knock::Syn(80), number * 1_000 / 9, &mut told);
            floods.tick(at(number * 1_000 / 9), &mut told);
        }
        floods.finish(&mut told);
        assert!(told.is_empty());
    }

    #[test]
    fn many_to_many_is_no_flood_and_does_not_hide_one() {
        let (mut floods, mut told) = (Floods::default(), Told::new());
        for number in 0..200_000_u32 {
            let millis = i64::from(number) / 20;
            knock(&mut floods, 0x0a00_0000 + number % 5_000, number, Knock::Syn(80), millis, &mut told);
            // Among 20,000 a second, one that sends 20.
            if number % 1_000 == 0 {
                knock(&mut floods, 7, 9, Knock::Syn(80), millis, &mut told);
            }
        }
        floods.finish(&mut told);
        let sum: u64 = told.iter().map(|(_, flood)| flood.syns).sum();
        assert!((190..=200).contains(&sum), "{sum}");
    }

    proptest! {
        /// Against exact counts: never too many, and all of them while the pairs fit.
        #[test]
        fn counts_what_there_is(knocks in prop::collection::vec((0_u32..4, 0_u32..4, 0_i64..40), 1..3_000)) {
            let (mut floods, mut told) = (Floods::default(), Told::new());
            let (mut now, mut passed) = (0, 0_u64);
            for (src, dst, step) in &knocks {
                now += step;
                knock(&mut floods, *src, *dst, Knock::Syn(80), now, &mut told);
            }
            floods.finish(&mut told);
            for (_, flood) in &told {
                passed += flood.syns;
                prop_assert!(flood.since <= flood.last);
            }
            prop_assert!(passed <= knocks.len() as u64);
        }
    }
}
