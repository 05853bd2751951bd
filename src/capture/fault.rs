//! A source that spoils the packets of another one: a bad network on demand, the same for the same seed.

use std::collections::VecDeque;
use std::time::Duration;

use super::error::CaptureError;
use super::memory::OwnedPacket;
use super::{Source, Step};
use crate::model::stats::CaptureStats;
use crate::model::time::Timestamp;

/// What goes wrong, and how often: each probability from 0 (never, the default) to 1 (always).
#[derive(Clone, Debug, PartialEq)]
pub struct Faults {
    /// The packet is lost.
    pub drop: f64,
    /// It comes twice.
    pub duplicate: f64,
    /// It comes late: after up to `window` others, but before any that is `late` or more behind it.
    pub reorder: f64,
    pub window: usize,
    pub late: Duration,
    /// Only its beginning was captured (its length on the wire stays).
    pub truncate: f64,
    /// One bit is flipped.
    pub corrupt: f64,
    /// Its time is earlier by `back`.
    pub step_back: f64,
    pub back: Duration,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            drop: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
            window: 8,
            late: Duration::from_millis(500),
            truncate: 0.0,
            corrupt: 0.0,
            step_back: 0.0,
            back: Duration::from_secs(5),
        }
    }
}

/// How often each fault happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts {
    pub dropped: u64,
    pub duplicated: u64,
    pub reordered: u64,
    pub truncated: u64,
    pub corrupted: u64,
    pub stepped_back: u64,
}

/// Spoils the packets of `S`.
#[derive(Debug)]
pub struct FaultSource<S> {
    inner: S,
    faults: Faults,
    random: SplitMix,
    /// Packets that come later, and after how many others: at most `window` and one.
    held: VecDeque<(usize, OwnedPacket)>,
    current: OwnedPacket,
    ended: bool,
    counts: FaultCounts,
}

impl<S: Source> FaultSource<S> {
    /// The same seed over the same packets gives the same faults.
    pub fn new(inner: S, faults: Faults, seed: u64) -> Self {
        Self {
            inner,
            faults,
            random: SplitMix(seed),
            held: VecDeque::new(),
            current: OwnedPacket::default(),
            ended: false,
            counts: FaultCounts::default(),
        }
    }

    /// What went wrong so far.
    pub fn counts(&self) -> FaultCounts {
        self.counts
    }

    /// A held packet whose turn has come.
    fn due(&mut self) -> Option<OwnedPacket> {
        let at = self.held.iter().position(|(wait, _)| *wait == 0 || self.ended)?;
        self.held.remove(at).map(|(_, packet)| packet)
    }

    /// What becomes of a packet: given now (some), or lost or held back (none).
    fn meet(&mut self, mut packet: OwnedPacket) -> Option<OwnedPacket> {
        for (wait, _) in &mut self.held {
            *wait = wait.saturating_sub(1);
        }
        if self.happens(self.faults.drop) {
            self.counts.dropped += 1;
            return None;
        }
        self.spoil(&mut packet);
        if self.happens(self.faults.duplicate) {
            self.counts.duplicated += 1;
            self.held.push_back((0, packet.clone()));
        }
        if self.happens(self.faults.reorder) {
            self.counts.reordered += 1;
            let wait = 1 + self.random.below(self.faults.window);
            self.held.push_back((wait, packet));
            return None;
        }
        Some(packet)
    }

    /// Whether packets are held that may not come after one of this time; theirs is the next turn.
    fn hurry(&mut self, time: Timestamp) -> bool {
        let late = self.faults.late;
        let overdue = self.held.iter_mut().filter(|(_, held)| time.since(held.time) >= late);
        overdue.map(|(wait, _)| *wait = 0).count() > 0
    }

    fn spoil(&mut self, packet: &mut OwnedPacket) {
        if self.happens(self.faults.truncate) {
            self.counts.truncated += 1;
            let keep = self.random.below(packet.data.len());
            packet.data.truncate(keep);
        }
        if self.happens(self.faults.corrupt) {
            let at = self.random.below(packet.data.len());
            let bit = self.random.below(8);
            if let Some(byte) = packet.data.get_mut(at) {
                self.counts.corrupted += 1;
                *byte ^= 1 << bit;
            }
        }
        if self.happens(self.faults.step_back) {
            self.counts.stepped_back += 1;
            let back = i64::try_from(self.faults.back.as_nanos()).unwrap_or(i64::MAX);
            packet.time = Timestamp::from_nanos(packet.time.as_nanos().saturating_sub(back));
        }
    }

    /// Draws a number whatever the probability, so that one fault's setting does not shift the others' dice.
    fn happens(&mut self, probability: f64) -> bool {
        self.random.unit() < probability
    }
}

impl<S: Source> Source for FaultSource<S> {
    fn next(&mut self) -> Result<Step<'_>, CaptureError> {
        loop {
            if let Some(packet) = self.due() {
                self.current = packet;
                break;
            }
            if self.ended {
                return Ok(Step::End);
            }
            let packet = match self.inner.next()? {
                Step::Packet(packet) => OwnedPacket::from(packet),
                Step::Idle(now) => return Ok(Step::Idle(now)),
                Step::End => {
                    self.ended = true;
                    continue;
                }
            };
            let Some(packet) = self.meet(packet) else { continue };
            if self.hurry(packet.time) {
                self.held.push_back((0, packet));
            } else {
                self.current = packet;
                break;
            }
        }
        Ok(Step::Packet(self.current.as_packet()))
    }

    fn stats(&mut self) -> CaptureStats {
        self.inner.stats()
    }
}

/// A small generator of equally distributed numbers (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number
/// generators").
#[derive(Clone, Debug)]
struct SplitMix(u64);

impl SplitMix {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to just below 1.
    fn unit(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// From 0 to just below `bound`; zero for a bound of zero.
    fn below(&mut self, bound: usize) -> usize {
        (self.draw() % (bound as u64).max(1)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::MemorySource;

    fn given(faults: Faults, seed: u64) -> (Vec<OwnedPacket>, FaultCounts) {
        let packets = (1..=1_000_u32)
            .map(|n| OwnedPacket::ethernet(Timestamp::from_parts(i64::from(n), 0), n.to_be_bytes().repeat(15)));
        let mut source = FaultSource::new(MemorySource::new(packets.collect()), faults, seed);
        let mut given = Vec::new();
        while let Ok(Step::Packet(packet)) = source.next() {
            given.push(packet.into());
        }
        (given, source.counts())
    }

    #[test]
    fn without_faults_nothing_changes() {
        let (packets, counts) = given(Faults::default(), 1);
        assert!(packets.iter().map(|p| p.number).eq(1..=1_000));
        assert_eq!(counts, FaultCounts::default());
    }

    #[test]
    fn the_seed_decides() {
        let faults =
            Faults { drop: 0.2, duplicate: 0.2, reorder: 0.2, truncate: 0.2, corrupt: 0.2, ..Faults::default() };
        assert_eq!(given(faults.clone(), 7), given(faults.clone(), 7));
        assert_ne!(given(faults.clone(), 7).0, given(faults, 8).0);
    }

    #[test]
    fn counts_add_up() {
        let faults = Faults { drop: 0.1, duplicate: 0.1, reorder: 0.5, ..Faults::default() };
        let (packets, counts) = given(faults, 3);
        assert!(counts.dropped > 50 && counts.duplicated > 50 && counts.reordered > 300, "{counts:?}");
        assert_eq!(packets.len() as u64, 1_000 - counts.dropped + counts.duplicated);
    }

    #[test]
    fn reordering_stays_within_its_window_and_loses_nothing() {
        for reorder in [0.3, 1.0] {
            let (packets, _) = given(Faults { reorder, window: 4, ..Faults::default() }, 5);
            let mut numbers: Vec<_> = packets.iter().map(|p| p.number).collect();
            assert!(!numbers.is_sorted());
            for (place, number) in (1_u64..).zip(&numbers) {
                assert!(number.abs_diff(place) <= 2 * 4, "packet {number} in place {place}");
            }
            numbers.sort_unstable();
            assert!(numbers.into_iter().eq(1..=1_000));
        }
    }

    #[test]
    fn spoilt_packets_keep_their_length_on_the_wire() {
        let faults = Faults { truncate: 1.0, step_back: 1.0, ..Faults::default() };
        let (packets, _) = given(faults, 9);
        assert!(packets.iter().all(|p| p.data.len() < 60 && p.wire_len == 60));
        assert!(packets.iter().all(|p| p.time.seconds() == p.number as i64 - 5));
        let (packets, counts) = given(Faults { corrupt: 1.0, ..Faults::default() }, 9);
        assert_eq!(counts.corrupted, 1_000);
        for packet in packets {
            let clean = (packet.number as u32).to_be_bytes().repeat(15);
            let flipped: u32 = packet.data.iter().zip(&clean).map(|(a, b)| (a ^ b).count_ones()).sum();
            assert_eq!(flipped, 1);
        }
    }
}
