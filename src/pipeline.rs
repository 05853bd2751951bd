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
//! What a panic costs, since no code is free of defects: in an inspector one message, which is counted, and its thread,
//! which is replaced; in a live source, the correlator or the audience the run, which ends as if stopped and says so in
//! [`Run`], for whoever supervises the process to start it again; in the metrics server one answer.

mod consumer;
pub mod courier;
mod feed;
mod force;
pub mod lookup;
mod merge;
mod pulse;
mod room;
#[cfg(test)]
mod tests;

use std::net::TcpListener;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use consumer::Consumer;
use feed::{Feed, read};
use force::InForce;
pub use force::{Policy, SharedRules};
pub use pulse::Pulse;
use room::{Room, Taken};

use crate::capture::{CaptureError, Source};
use crate::correlator::{Correlator, CorrelatorSettings, Said};
use crate::inspector::Inspector;
use crate::model::event::Event;
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
    /// Not all threads could be started, of which the log was told: nothing was begun, or the run was stopped at once.
    pub incomplete: bool,
    /// Sources whose thread failed, which is a defect of ours: what they had given by then is in the report.
    pub failed: usize,
    /// The correlator or the audience failed, which is a defect of ours too: the report is empty, and what was
    /// written by then is all there is.
    pub broken: bool,
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
        // Without all its threads a run is given up, not run lame: the sources are not even begun.
        let served = server.is_none_or(|Server { listener, endpoints }| {
            start(scope, "metrics", move || serve(&listener, over, endpoints)).is_some()
        });
        let complete = served
            && (0..workers).all(|worker| {
                let desk = Desk {
                    jobs: jobs_out.clone(),
                    planned: inspector,
                    busy: shared.busy.get(worker),
                    inspect: |inspector, rules, event| inspector.inspect(rules, event),
                };
                employ(scope, worker, desk)
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
        let begun = readers.len();
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
        let incomplete = begun < all;
        let failed = begun - sources.len();
        Run { incomplete, failed, broken: report.is_err(), report: report.unwrap_or_default(), sources }
    })
}

/// Starts a thread with a name that a message about its panic will show; says so when there can be no more threads.
fn start<'scope, T: Send + 'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Option<thread::ScopedJoinHandle<'scope, T>> {
    let started = thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, work);
    started.inspect_err(|error| tracing::error!("cannot start the thread '{name}': {error}")).ok()
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

/// What an inspector's thread works with.
#[derive(Clone)]
struct Desk<'run> {
    jobs: Receiver<Job>,
    planned: &'run Inspector,
    /// Nanoseconds it has worked.
    busy: Option<&'run AtomicU64>,
    /// [`Inspector::inspect`] but in tests.
    inspect: fn(&Inspector, &RuleSet, &mut Event) -> Findings,
}

/// Starts an inspector's thread, if there can be one more. One that failed on a message ends, and another takes its place:
/// whatever state libraries keep for each thread begins anew.
fn employ<'scope>(scope: &'scope thread::Scope<'scope, '_>, number: usize, desk: Desk<'scope>) -> bool {
    let work = move || {
        while inspect_all(&desk).is_break() {
            if employ(scope, number, desk.clone()) {
                break;
            }
            // There can be no more threads: this one goes on.
        }
    };
    start(scope, &format!("inspector {number}"), work).is_some()
}

/// Works on messages until no more can come, or one of them has shown a defect of ours. That must not cost its envelope,
/// nor any other message.
fn inspect_all(desk: &Desk<'_>) -> ControlFlow<()> {
    for Job { mut event, force, reply, mut taken } in &desk.jobs {
        let began = Instant::now();
        let inspector = force.policy.as_ref().map_or(desk.planned, |policy| &policy.inspector);
        let findings = catch_unwind(AssertUnwindSafe(|| (desk.inspect)(inspector, &force.rules, &mut event))).ok();
        if let Some(busy) = desk.busy {
            busy.fetch_add(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        let failed = findings.is_none();
        // What was opened is gone; what was found in it waits for its turn.
        taken.resize(event.weight() + findings.as_ref().map_or(0, Findings::weight) + WAITING_OVERHEAD);
        let _ = reply.send(Inspected { event, findings, taken });
        if failed {
            return ControlFlow::Break(());
        }
    }
    ControlFlow::Continue(())
}

/// A lock whose holder panicked guards a plain number or pointer, which is sound whatever happened.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Batches of heard events on their way back.
const SPENT: usize = 8;
