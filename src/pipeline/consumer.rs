//! The caller's thread: takes events in order, has them correlated, and tells the audience.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::force::{InForce, SharedRules};
use super::merge::Merge;
use super::{Audience, Batch, Inspected, Job, Shared, Slot, View};
use crate::correlator::{Correlator, CorrelatorSettings, Said};
use crate::inspector::Inspector;
use crate::model::event::{Event, EventKind};
use crate::model::limits;
use crate::model::mail::Findings;
use crate::model::report::Report;
use crate::model::stats::InspectStats;
use crate::rules::RuleSet;

/// Takes events in order, has them correlated, and tells the audience.
pub(super) struct Consumer<'a> {
    correlator: Correlator,
    rules: Arc<RuleSet>,
    /// Edition of the policy in force.
    edition: u64,
    shared: &'a Shared,
    jobs: &'a Receiver<Job>,
    inspector: &'a Inspector,
    audience: &'a mut dyn Audience,
    inspect: InspectStats,
    said: Vec<Said>,
    busy: Vec<Duration>,
    /// Room for events that is free again, and not yet given back.
    freed: usize,
    /// Events of the batch at hand that were heard.
    spent: Vec<Event>,
    /// Whether they go back to the one source there is.
    gives_back: bool,
}

impl<'a> Consumer<'a> {
    pub(super) fn new(
        settings: CorrelatorSettings,
        rules: &SharedRules,
        shared: &'a Shared,
        (jobs, inspector): (&'a Receiver<Job>, &'a Inspector),
        audience: &'a mut dyn Audience,
    ) -> Self {
        let rules = rules.get();
        Self {
            correlator: Correlator::new(settings, rules.clone()),
            rules,
            edition: 0,
            shared,
            jobs,
            inspector,
            audience,
            inspect: InspectStats::default(),
            said: Vec::new(),
            busy: Vec::new(),
            freed: 0,
            spent: Vec::new(),
            gives_back: false,
        }
    }

    pub(super) fn run(mut self, batches: &Receiver<Batch>, merged: Option<Duration>) -> Report {
        match merged {
            Some(patience) => self.merge(batches, patience),
            None => self.follow(batches),
        }
        self.correlator.finish(&mut self.said);
        self.audience.hear_last(&self.said);
        self.inspect.events_dropped = self.shared.dropped.load(Ordering::Relaxed);
        self.inspect.packets_dropped = self.shared.packets_dropped.load(Ordering::Relaxed);
        Report { inspect: self.inspect, ..self.correlator.report() }
    }

    /// Takes batches as they come, until no source is left.
    fn follow(&mut self, batches: &Receiver<Batch>) {
        self.gives_back = self.shared.pulse.sources() == 1;
        loop {
            match batches.recv_timeout(PAUSE) {
                Ok(batch) => {
                    self.enforce(&batch.force);
                    batch.slots.into_iter().for_each(|slot| self.slot(slot, batches.len()));
                    if !self.spent.is_empty() {
                        // Where the source does not come to it, they are dropped here.
                        let _ = self.shared.spent.0.try_send(std::mem::take(&mut self.spent));
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.pause(batches);
        }
    }

    /// The same with the events of all sources in the order of packet time.
    fn merge(&mut self, batches: &Receiver<Batch>, patience: Duration) {
        let (mut merge, mut told, mut open) = (Merge::new(self.shared.pulse.sources(), patience), Vec::new(), true);
        while open || !merge.is_empty() {
            // Before the channel is looked into, so that what is told is either taken in below or was before.
            self.shared.pulse.told(&mut told);
            let patience = if merge.is_empty() { PAUSE } else { MERGE_PAUSE };
            match batches.recv_timeout(patience) {
                Ok(batch) => {
                    let now = Instant::now();
                    merge.put(batch, now);
                    batches.try_iter().take(limits::BATCHES).for_each(|batch| merge.put(batch, now));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => open = false,
            }
            let now = Instant::now();
            while let Some((slot, force)) = merge.next(&told, now) {
                self.enforce(&force);
                self.slot(slot, batches.len());
            }
            self.pause(batches);
        }
    }

    /// Goes over to other rules or settings, if these are others.
    fn enforce(&mut self, force: &InForce) {
        if !Arc::ptr_eq(&force.rules, &self.rules) {
            self.rules = Arc::clone(&force.rules);
            self.correlator.set_rules(Arc::clone(&self.rules) as _);
        }
        // Merged sources may bring a few more events made under the old policy: what was given up stays given up.
        if let Some(policy) = &force.policy
            && force.edition > self.edition
        {
            self.edition = force.edition;
            self.correlator.set_settings(&policy.correlator);
        }
    }

    fn slot(&mut self, slot: Slot, waiting: usize) {
        self.freed += slot.bytes();
        // What is taken is given back once the event has been heard.
        let (mut event, findings, _taken) = match slot {
            Slot::Ready(event) => (event, None, None),
            Slot::Kept(event, taken) => (event, None, Some(taken)),
            Slot::Shed(event) => {
                self.inspect.shed_queue += 1;
                (event, None, None)
            }
            Slot::Waiting(filled, _) => match filled.recv() {
                Ok(Inspected { event, findings, taken }) => {
                    self.inspect.shed_failed += u64::from(findings.is_none());
                    (event, findings, Some(taken))
                }
                // Only if an inspector's thread died at work, which `catch_unwind` rules out.
                Err(_) => {
                    self.inspect.shed_failed += 1;
                    return;
                }
            },
        };
        if findings.is_none() {
            self.inspector.pass(&mut event);
        }
        self.hear(&event, findings.as_ref(), waiting);
        // The most by far; of the others some came from an inspector's thread.
        if self.gives_back && matches!(event.kind, EventKind::Dns(_)) {
            self.spent.push(event);
        }
    }

    fn hear(&mut self, event: &Event, findings: Option<&Findings>, waiting: usize) {
        if let Some(findings) = findings {
            self.inspect.count(findings);
        }
        self.correlator.take(event, findings.unwrap_or(&NOTHING), &mut self.said);
        if matches!(event.kind, EventKind::Tick(_)) {
            self.refresh();
        }
        let view = view(&self.correlator, &self.inspect, self.shared, &self.busy, self.jobs.len(), waiting);
        self.audience.hear(event, findings, &self.said, &view);
        self.said.clear();
    }

    fn pause(&mut self, batches: &Receiver<Batch>) {
        self.shared.event_room.give_back(std::mem::take(&mut self.freed));
        self.refresh();
        let view = view(&self.correlator, &self.inspect, self.shared, &self.busy, self.jobs.len(), batches.len());
        self.audience.pause(&view);
    }

    fn refresh(&mut self) {
        self.inspect.events_dropped = self.shared.dropped.load(Ordering::Relaxed);
        self.inspect.packets_dropped = self.shared.packets_dropped.load(Ordering::Relaxed);
        self.busy.clear();
        self.busy.extend(self.shared.busy.iter().map(|nanos| Duration::from_nanos(nanos.load(Ordering::Relaxed))));
    }
}

fn view<'v>(
    correlator: &'v Correlator,
    inspect: &'v InspectStats,
    shared: &'v Shared,
    busy: &'v [Duration],
    jobs: usize,
    batches: usize,
) -> View<'v> {
    let (message_bytes, event_bytes) = (shared.room.taken(), shared.event_room.taken());
    View { correlator, inspect, queues: [jobs, batches], message_bytes, event_bytes, busy, pulse: &shared.pulse }
}

/// What is found in an event that carries no message.
static NOTHING: Findings = Findings { email: None, files: Vec::new(), anomalies: Vec::new(), hits: Vec::new() };
/// How often the audience gets a moment for housekeeping when nothing happens.
const PAUSE: Duration = Duration::from_millis(100);
/// How often held events are looked at again: what sources tell of their progress comes without a wake-up.
const MERGE_PAUSE: Duration = Duration::from_millis(10);
