//! The only threads and channels: one thread a source, N inspectors, and the caller's thread as correlator. (A source that
//! reads large files has one that reads ahead, which knows of bytes alone: `capture/ahead.rs`.)
//!
//! Order is kept by construction. A source puts each event into the ordered channel: as it is, or, when its message is
//! to be inspected, as a place that the inspector will fill. The correlator takes places in order and waits for each
//! to be filled, so what it sees does not depend on how many inspectors there are.
//!
//! A replay waits when a queue is full. Live capture never waits: a message that finds the inspectors busy goes on
//! uninspected and is counted; batches that find the correlator busy are held up to a bound, then dropped and counted.
//! Several live sources tell one story: their events are put in the order of packet time (`merge`).
//!
//! What a panic costs, since no code is free of defects: in an inspector one message, which is counted; in a live
//! source, the correlator or the audience the run, which ends as if stopped and says so in [`Run`], for whoever
//! supervises the process to start it again; in the metrics server one answer.

pub mod courier;
mod feed;
pub mod lookup;
mod merge;
mod pulse;
mod room;
#[cfg(test)]
mod tests;

use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use feed::{Feed, read};
use merge::Merge;
pub use pulse::Pulse;
use room::{Room, Taken};

use crate::capture::{CaptureError, Source};
use crate::correlator::{Correlator, CorrelatorSettings, Said};
use crate::inspector::Inspector;
use crate::model::event::{Event, EventKind};
use crate::model::limits;
use crate::model::mail::Findings;
use crate::model::memory::Shares;
use crate::model::report::Report;
use crate::model::settings::SensorSettings;
use crate::model::stats::InspectStats;
use crate::model::time::Timestamp;
use crate::output::http::{self, Endpoints};
use crate::rules::RuleSet;
use crate::sensor::Sensor;

/// What the stages need to know.
#[derive(Debug)]
pub struct Plan {
    pub sensor: SensorSettings,
    pub inspector: Inspector,
    pub correlator: CorrelatorSettings,
    /// Inspector threads, at least one.
    pub workers: usize,
    /// Whether a full queue holds the sources up.
    pub pressure: Pressure,
    /// How long live sources wait for each other, that events may be told in the order of packet time: by default
    /// [`limits::MERGE_PATIENCE`].
    pub merge_patience: Duration,
}

/// What a source does when a queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressure {
    /// It waits: nothing is lost (replay).
    Wait,
    /// It goes on: what does not fit is counted (live capture).
    Shed,
}

/// Who hears what the pipeline says. Called in the order of events, from the caller's thread.
pub trait Audience {
    /// An event with what was found in it (none when it carried no message, or was not inspected), and what the
    /// correlator says about it.
    fn hear(&mut self, event: &Event, findings: Option<&Findings>, said: &[Said], view: &View<'_>);

    /// What the correlator says without an event: the wire is idle, or the capture is over.
    fn hear_said(&mut self, said: &[Said]);

    /// What the correlator says when the capture is over: it closes every incident, whether the host has calmed or not.
    fn hear_last(&mut self, said: &[Said]) {
        self.hear_said(said);
    }

    /// Time passed without events, or a batch was done: a moment for housekeeping.
    fn pause(&mut self, view: &View<'_>);
}

/// A look inside, for metrics.
pub struct View<'a> {
    pub correlator: &'a Correlator,
    pub inspect: &'a InspectStats,
    /// Messages waiting for inspectors, batches waiting for the correlator.
    pub queues: [usize; 2],
    /// Bytes of messages under way between sensor and correlator.
    pub message_bytes: usize,
    /// Bytes of other events under way.
    pub event_bytes: usize,
    /// Time each inspector has worked so far.
    pub busy: &'a [Duration],
    /// Whether the sources move.
    pub pulse: &'a Pulse,
}

/// The metrics server of a run.
pub struct Server<'a> {
    pub listener: TcpListener,
    pub endpoints: &'a (dyn Endpoints + Sync),
}

/// How a run ended.
#[derive(Debug)]
pub struct Run<S> {
    pub report: Report,
    /// The sources, each with the error that ended it, if one did.
    pub sources: Vec<(S, Option<CaptureError>)>,
    /// Sources whose thread failed, which is a defect of ours: what they had given by then is in the report.
    pub failed: usize,
    /// The correlator or the audience failed, which is a defect of ours too: the report is empty, and what was
    /// written by then is all there is.
    pub broken: bool,
}

/// The rules and settings in force. Each batch of events is held against those that were in force when it was made.
#[derive(Clone, Debug)]
pub struct SharedRules(Arc<Mutex<Arc<InForce>>>);

/// Settings of the later stages that can be changed while they run.
#[derive(Clone, Debug)]
pub struct Policy {
    pub inspector: Inspector,
    /// Of these [`Correlator::set_settings`] says which are heeded.
    pub correlator: CorrelatorSettings,
}

/// What is in force at one time.
#[derive(Debug)]
struct InForce {
    rules: Arc<RuleSet>,
    /// None for that of the plan.
    policy: Option<Policy>,
    /// Which policy this is; it never goes back.
    edition: u64,
}

impl InForce {
    fn new(rules: RuleSet) -> Self {
        Self { rules: Arc::new(rules), policy: None, edition: 0 }
    }
}

impl SharedRules {
    /// Puts a first set in force.
    pub fn new(rules: RuleSet) -> Self {
        Self(Arc::new(Mutex::new(Arc::new(InForce::new(rules)))))
    }

    /// The rules in force.
    pub fn get(&self) -> Arc<RuleSet> {
        Arc::clone(&lock(&self.0).rules)
    }

    /// Puts other rules in force; the policy stays.
    pub fn set(&self, rules: RuleSet) {
        let mut force = lock(&self.0);
        let (policy, edition) = (force.policy.clone(), force.edition);
        *force = Arc::new(InForce { rules: Arc::new(rules), policy, edition });
    }

    /// Puts other rules and another policy in force, both at once.
    pub fn replace(&self, rules: RuleSet, policy: Policy) {
        let mut force = lock(&self.0);
        let edition = force.edition + 1;
        *force = Arc::new(InForce { rules: Arc::new(rules), policy: Some(policy), edition });
    }

    fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&lock(&self.0))
    }
}

/// Runs the sources to their end, or until `stop` is set and what is under way is finished. Sets `stop` itself when
/// the run cannot go on: live sources must heed it.
pub fn run<S: Source + Send>(
    sources: Vec<S>,
    plan: Plan,
    rules: &SharedRules,
    stop: &AtomicBool,
    server: Option<Server<'_>>,
    audience: &mut dyn Audience,
) -> Run<S> {
    let workers = plan.workers.max(1);
    let (jobs_in, jobs_out) = bounded(limits::INSPECT_QUEUE);
    let (batches_in, batches_out) = bounded(limits::BATCHES);
    let shared = Shared::new(workers, sources.len(), &plan.sensor.shares);
    let (shared, inspector) = (&shared, &plan.inspector);
    let over = &AtomicBool::new(false);
    let all = sources.len();
    thread::scope(|scope| {
        if let Some(Server { listener, endpoints }) = server {
            start(scope, "metrics", move || serve(&listener, over, endpoints));
        }
        // Without all its threads a run is given up, not run lame: the sources are not even begun.
        let complete = (0..workers).all(|worker| {
            let jobs = jobs_out.clone();
            let busy = shared.busy.get(worker);
            let inspect = |inspector: &Inspector, rules: &RuleSet, event: &mut Event| inspector.inspect(rules, event);
            start(scope, &format!("inspector {worker}"), move || inspect_all(&jobs, inspector, busy, inspect)).is_some()
        });
        let readers: Vec<_> = sources
            .into_iter()
            .zip(0..)
            .filter(|_| complete)
            .filter_map(|(source, number)| {
                let sensor = Sensor::new(plan.sensor.clone(), number);
                let feed = Feed::new(jobs_in.clone(), batches_in.clone(), rules.clone(), shared, plan.pressure, number);
                let reader = start(scope, &format!("sensor {number}"), move || read(source, sensor, feed, stop));
                if reader.is_none() {
                    stop.store(true, Ordering::Relaxed);
                }
                reader
            })
            .collect();
        // Held by the readers alone from here on: when they end, so do the inspectors and this thread's loop.
        drop((jobs_in, batches_in));
        let merged = (plan.pressure == Pressure::Shed && all > 1).then_some(plan.merge_patience);
        let consumer = Consumer::new(plan.correlator, rules, shared, (&jobs_out, inspector), audience);
        let report = catch_unwind(AssertUnwindSafe(|| consumer.run(&batches_out, merged)));
        if report.is_err() {
            // Nobody takes events any more: the sources must not wait for it.
            stop.store(true, Ordering::Relaxed);
            shared.room.open_wide();
            shared.event_room.open_wide();
            drop(batches_out);
        }
        let sources: Vec<_> = readers.into_iter().filter_map(|reader| reader.join().ok()).collect();
        over.store(true, Ordering::Relaxed);
        Run { failed: all - sources.len(), broken: report.is_err(), report: report.unwrap_or_default(), sources }
    })
}

/// Starts a thread with a name that a message about its panic will show; says so when there can be no more threads.
fn start<'scope, T: Send + 'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Option<thread::ScopedJoinHandle<'scope, T>> {
    let started = thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, work);
    started
        .inspect_err(|error| tracing::error!("cannot start the thread '{name}': {error}; raise the limit on threads"))
        .ok()
}

/// Serves metrics until the run is over, whatever one answer may run into.
fn serve(listener: &TcpListener, over: &AtomicBool, endpoints: &(dyn Endpoints + Sync)) {
    while !over.load(Ordering::Relaxed) {
        match catch_unwind(AssertUnwindSafe(|| http::serve(listener, over, endpoints))) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => return tracing::error!("metrics are not served: {error}"),
            Err(_) => tracing::error!("an answer about metrics failed, which is a defect: please report it"),
        }
    }
}

/// What threads share besides channels.
#[derive(Debug)]
struct Shared {
    /// Of messages, and of packets kept as evidence.
    room: Arc<Room>,
    /// Of the other events.
    event_room: Room,
    pulse: Pulse,
    /// Events dropped because the correlator did not keep up.
    dropped: AtomicU64,
    /// Packets for evidence dropped for the same reason.
    packets_dropped: AtomicU64,
    /// Nanoseconds each inspector has worked.
    busy: Vec<AtomicU64>,
    /// Events that were heard, on their way back to the thread that made them: where one thread allocates and another
    /// frees, both wait for the same lock of the allocator.
    spent: (Sender<Vec<Event>>, Receiver<Vec<Event>>),
}

impl Shared {
    fn new(workers: usize, sources: usize, shares: &Shares) -> Self {
        Self {
            room: Arc::new(Room::new(shares.inspect_bytes)),
            event_room: Room::new(shares.event_bytes),
            pulse: Pulse::new(sources),
            dropped: AtomicU64::new(0),
            packets_dropped: AtomicU64::new(0),
            busy: (0..workers).map(|_| AtomicU64::new(0)).collect(),
            spent: bounded(SPENT),
        }
    }
}

/// A message to be inspected, and where to put the result.
struct Job {
    event: Event,
    force: Arc<InForce>,
    reply: Sender<Inspected>,
    taken: Taken,
}

struct Inspected {
    event: Event,
    /// None when the inspector failed.
    findings: Option<Findings>,
    /// What both take until they are told.
    taken: Taken,
}

/// A place in the order of events.
enum Slot {
    Ready(Event),
    /// It was to be inspected, but the inspectors were busy.
    Shed(Event),
    /// A packet kept as evidence, with the room it takes.
    Kept(Event, Taken),
    /// An inspector will fill it. With the event's time.
    Waiting(Receiver<Inspected>, Timestamp),
}

impl Slot {
    /// Bytes of the room for events that it takes.
    fn bytes(&self) -> usize {
        match self {
            Self::Ready(event) | Self::Shed(event) => event.weight(),
            Self::Kept(..) | Self::Waiting(..) => 0,
        }
    }

    fn time(&self) -> Timestamp {
        match self {
            Self::Ready(event) | Self::Shed(event) | Self::Kept(event, _) => event.time,
            Self::Waiting(_, time) => *time,
        }
    }
}

/// Events of one source, in order.
struct Batch {
    slots: Vec<Slot>,
    /// Room that its events take; those that take room for messages do not count.
    bytes: usize,
    source: u16,
    force: Arc<InForce>,
}

/// What a place in the order and the channel to fill it take besides the message, roughly.
const WAITING_OVERHEAD: usize = 2_048;

// --- inspectors -------------------------------------------------------------------------------------------------

/// Works on messages until no more can come. `inspect` is [`Inspector::inspect`] but in tests.
fn inspect_all(
    jobs: &Receiver<Job>,
    planned: &Inspector,
    busy: Option<&AtomicU64>,
    inspect: impl Fn(&Inspector, &RuleSet, &mut Event) -> Findings,
) {
    for Job { mut event, force, reply, mut taken } in jobs {
        let began = Instant::now();
        let inspector = force.policy.as_ref().map_or(planned, |policy| &policy.inspector);
        // A defect in our handling of one hostile message must not cost its envelope, nor this thread.
        let findings = catch_unwind(AssertUnwindSafe(|| inspect(inspector, &force.rules, &mut event))).ok();
        if let Some(busy) = busy {
            busy.fetch_add(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        // What was opened is gone; what was found in it waits for its turn.
        taken.resize(event.weight() + findings.as_ref().map_or(0, Findings::weight) + WAITING_OVERHEAD);
        let _ = reply.send(Inspected { event, findings, taken });
    }
}

// --- correlator -------------------------------------------------------------------------------------------------

/// Takes events in order, has them correlated, and tells the audience.
struct Consumer<'a> {
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
    fn new(
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

    fn run(mut self, batches: &Receiver<Batch>, merged: Option<Duration>) -> Report {
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
                // Only if an inspector thread died, which `catch_unwind` rules out.
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

/// A lock whose holder panicked guards a plain number or pointer, which is sound whatever happened.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Batches of heard events on their way back.
const SPENT: usize = 8;
/// What is found in an event that carries no message.
static NOTHING: Findings = Findings { email: None, files: Vec::new(), anomalies: Vec::new(), hits: Vec::new() };
/// How often the audience gets a moment for housekeeping when nothing happens.
const PAUSE: Duration = Duration::from_millis(100);
/// How often held events are looked at again: what sources tell of their progress comes without a wake-up.
const MERGE_PAUSE: Duration = Duration::from_millis(10);
