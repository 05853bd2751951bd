//! Puts the events of several live sources in the order of their times.
//!
//! Threads that share an interface, or interfaces that see the two sides of one story, hand in what they saw at their
//! own pace: a DNS answer may arrive here after the connection it explains. So an event is held until no other source
//! can still bring an older one: each source tells how far it is ([`super::pulse::Pulse`]), also when its wire is idle.
//! Nobody is waited for longer than [`limits::MERGE_PATIENCE`], unless [`super::Plan`] says otherwise.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Batch, InForce, Slot};
use crate::model::limits;
use crate::model::time::Timestamp;

/// Events held until it is their turn.
pub(super) struct Merge {
    /// By source.
    queues: Vec<Queue>,
    held: usize,
    /// How long an event waits for sources that say nothing.
    patience: Duration,
}

#[derive(Default)]
struct Queue {
    slots: VecDeque<Held>,
    /// Time of the newest slot so far: within a source order is kept, whatever its packets' times.
    newest: Timestamp,
}

struct Held {
    slot: Slot,
    time: Timestamp,
    since: Instant,
    force: Arc<InForce>,
}

impl Merge {
    pub(super) fn new(sources: usize, patience: Duration) -> Self {
        Self { queues: (0..sources).map(|_| Queue::default()).collect(), held: 0, patience }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Takes a batch in, at wall time `now`.
    pub(super) fn put(&mut self, batch: Batch, now: Instant) {
        let Some(queue) = self.queues.get_mut(usize::from(batch.source)) else { return };
        self.held += batch.slots.len();
        for slot in batch.slots {
            queue.newest = queue.newest.max(slot.time());
            queue.slots.push_back(Held { slot, time: queue.newest, since: now, force: Arc::clone(&batch.force) });
        }
    }

    /// The next event in order, if it is known: `told` says how far each source is. Equal times go by source.
    pub(super) fn next(&mut self, told: &[Timestamp], now: Instant) -> Option<(Slot, Arc<InForce>)> {
        let heads = self.queues.iter().enumerate().filter_map(|(at, queue)| Some((queue.slots.front()?, at)));
        let (head, first) = heads.min_by_key(|(head, at)| (head.time, *at))?;
        let (time, since) = (head.time, head.since);
        let may_still_bring =
            |(at, queue): (usize, &Queue)| queue.slots.is_empty() && told.get(at).is_some_and(|told| *told < time);
        let waits = self.queues.iter().enumerate().any(may_still_bring);
        if waits && self.held <= limits::MERGE_EVENTS && now.duration_since(since) < self.patience {
            return None;
        }
        let held = self.queues.get_mut(first)?.slots.pop_front()?;
        self.held -= 1;
        Some((held.slot, held.force))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::event::{Event, EventKind};
    use crate::rules::RuleSet;

    fn event(source: u16, seq: u64, nanos: i64) -> Slot {
        let kind = EventKind::Tick(Box::default());
        Slot::Ready(Event { seq, time: Timestamp::from_nanos(nanos), source, file: 0, packet: 0, flow: None, kind })
    }

    fn batch(source: u16, times: &[i64], force: &Arc<InForce>) -> Batch {
        let slots = times.iter().zip(0..).map(|(nanos, seq)| event(source, seq, *nanos)).collect();
        Batch { slots, bytes: 0, source, force: Arc::clone(force) }
    }

    fn out(merge: &mut Merge, told: &[i64], now: Instant) -> Vec<(u16, i64)> {
        let told: Vec<_> = told.iter().map(|nanos| Timestamp::from_nanos(*nanos)).collect();
        let slots = std::iter::from_fn(|| merge.next(&told, now));
        slots
            .map(|(slot, _)| match slot {
                Slot::Ready(event) => (event.source, event.time.as_nanos()),
                _ => unreachable!("made ready above"),
            })
            .collect()
    }

    #[test]
    fn an_event_waits_for_sources_that_may_bring_an_older_one() {
        let force = Arc::new(InForce::new(RuleSet::builtin()));
        let now = Instant::now();
        let mut merge = Merge::new(2, limits::MERGE_PATIENCE);
        merge.put(batch(1, &[20, 40], &force), now);
        assert_eq!(out(&mut merge, &[10, 40], now), []);
        merge.put(batch(0, &[15, 30], &force), now);
        assert_eq!(out(&mut merge, &[30, 40], now), [(0, 15), (1, 20), (0, 30)]);
        assert_eq!(out(&mut merge, &[40, 40], now), [(1, 40)]);
        assert!(merge.is_empty());
    }

    #[test]
    fn a_source_that_says_nothing_is_waited_for_only_so_long() {
        let force = Arc::new(InForce::new(RuleSet::builtin()));
        let now = Instant::now();
        let mut merge = Merge::new(2, limits::MERGE_PATIENCE);
        merge.put(batch(1, &[20], &force), now);
        assert_eq!(out(&mut merge, &[0, 20], now), []);
        assert_eq!(out(&mut merge, &[0, 20], now + limits::MERGE_PATIENCE), [(1, 20)]);
        let many: Vec<i64> = (0..=i64::try_from(limits::MERGE_EVENTS).unwrap()).collect();
        merge.put(batch(1, &many, &force), now);
        assert_eq!(out(&mut merge, &[-1, 0], now).len(), 1, "what is past the bound goes at once");
    }

    proptest! {
        /// However the events of three sources are cut into batches and interleaved, they come out in the order of their
        /// times, and none is lost.
        #[test]
        fn what_comes_out_is_in_order(
            steps in prop::collection::vec((0_u16..3, prop::collection::vec(0_i64..50, 0..4)), 0..40),
        ) {
            let force = Arc::new(InForce::new(RuleSet::builtin()));
            let now = Instant::now();
            let (mut merge, mut told, mut heard, mut put) = (Merge::new(3, limits::MERGE_PATIENCE), [0_i64; 3], Vec::new(), 0);
            for (source, gaps) in steps {
                let times: Vec<i64> = gaps.iter().scan(told[usize::from(source)], |at, gap| {
                    *at += gap;
                    Some(*at)
                }).collect();
                told[usize::from(source)] = times.last().copied().unwrap_or(told[usize::from(source)]);
                put += times.len();
                merge.put(batch(source, &times, &force), now);
                heard.extend(out(&mut merge, &told, now));
            }
            heard.extend(out(&mut merge, &[i64::MAX; 3], now));
            prop_assert_eq!(heard.len(), put);
            prop_assert!(heard.is_sorted_by_key(|(_, nanos)| *nanos));
        }
    }
}
