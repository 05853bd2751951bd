//! Signs of life of each source: how far its events are told, and that its thread still moves.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::model::time::Timestamp;

/// One lane a source. Written by the source's thread alone, read by the correlator's.
#[derive(Debug)]
pub struct Pulse {
    lanes: Vec<Lane>,
}

/// On a cache line of its own: a source writes to it at every packet.
#[derive(Debug)]
#[repr(align(64))]
struct Lane {
    /// Nanoseconds of packet time up to which every event has been handed on.
    told: AtomicI64,
    /// Steps its thread has made; [`ENDED`] when it will make no more.
    steps: AtomicU64,
}

impl Pulse {
    pub(super) fn new(sources: usize) -> Self {
        let lane = || Lane { told: AtomicI64::new(i64::MIN), steps: AtomicU64::new(0) };
        Self { lanes: (0..sources).map(|_| lane()).collect() }
    }

    /// How many there are.
    pub(super) fn sources(&self) -> usize {
        self.lanes.len()
    }

    /// The lane of one source, for its thread.
    pub(super) fn beat(&self, source: usize) -> Beat<'_> {
        Beat { lane: self.lanes.get(source), steps: 0 }
    }

    /// Up to when each source has handed on its events. Those older than that, of the same source, are in the channel
    /// already: read this first, then the channel.
    pub(super) fn told(&self, into: &mut Vec<Timestamp>) {
        into.clear();
        into.extend(self.lanes.iter().map(|lane| Timestamp::from_nanos(lane.told.load(Ordering::Acquire))));
    }

    /// Whether every source has made a step since this was last asked with the same `seen` (empty at first), or has
    /// ended. Only a yes is remembered there.
    pub fn all_moved(&self, seen: &mut Vec<u64>) -> bool {
        seen.resize(self.lanes.len(), 0);
        let steps = || self.lanes.iter().map(|lane| lane.steps.load(Ordering::Relaxed));
        let moved = steps().zip(seen.iter()).all(|(now, before)| now == ENDED || now != *before);
        if moved {
            seen.clear();
            seen.extend(steps());
        }
        moved
    }
}

/// How a source's thread gives its signs. When it ends, or is ended by a panic, nobody waits for it any more.
#[derive(Debug)]
pub(super) struct Beat<'a> {
    lane: Option<&'a Lane>,
    steps: u64,
}

impl Beat<'_> {
    /// A step was made.
    pub(super) fn step(&mut self) {
        self.steps += 1;
        if let Some(lane) = self.lane {
            lane.steps.store(self.steps, Ordering::Relaxed);
        }
    }

    /// Every event up to `time` is in the channel.
    pub(super) fn told(&self, time: Timestamp) {
        if let Some(lane) = self.lane {
            lane.told.store(time.as_nanos(), Ordering::Release);
        }
    }
}

impl Drop for Beat<'_> {
    fn drop(&mut self) {
        if let Some(lane) = self.lane {
            lane.told.store(i64::MAX, Ordering::Release);
            lane.steps.store(ENDED, Ordering::Relaxed);
        }
    }
}

const ENDED: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_that_stands_still_is_noticed_and_one_that_ended_is_not_waited_for() {
        let pulse = Pulse::new(2);
        let (mut a, mut b) = (pulse.beat(0), pulse.beat(1));
        let mut seen = Vec::new();
        assert!(!pulse.all_moved(&mut seen), "no source has begun");
        a.step();
        assert!(!pulse.all_moved(&mut seen));
        b.step();
        assert!(pulse.all_moved(&mut seen), "steps since the last yes count, whenever they were");
        b.step();
        assert!(!pulse.all_moved(&mut seen));
        drop(a);
        assert!(pulse.all_moved(&mut seen));
        let mut told = Vec::new();
        b.told(Timestamp::from_nanos(7));
        pulse.told(&mut told);
        assert_eq!(told, [Timestamp::from_nanos(i64::MAX), Timestamp::from_nanos(7)]);
    }
}
