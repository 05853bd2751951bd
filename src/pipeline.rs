//! The only threads and channels: one thread a source, N inspectors, and the caller's thread as correlator.
//!
//! Order is kept by construction. A source puts each event into the ordered channel: as it is, or, when its message is
//! to be inspected, as a place that the inspector will fill. The correlator takes places in order and waits for each
//! to be filled, so what it sees does not depend on how many inspectors there are.
//!
//! A replay waits when a queue is full. Live capture never waits: a message that finds the inspectors busy goes on
//! uninspected and is counted; batches that find the correlator busy are held up to a bound, then dropped and counted.

pub mod courier;
mod feed;
mod room;

use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use feed::{Feed, read};
use room::Room;

use crate::capture::{CaptureError, Source};
use crate::correlator::{Correlator, CorrelatorSettings, Said};
use crate::inspector::Inspector;
use crate::model::event::Event;
use crate::model::limits;
use crate::model::mail::Findings;
use crate::model::report::Report;
use crate::model::settings::SensorSettings;
use crate::model::stats::InspectStats;
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
    /// Time each inspector has worked so far.
    pub busy: &'a [Duration],
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
}

/// The rules in force. Each batch of events is held against the set that was in force when it was made.
#[derive(Clone, Debug)]
pub struct SharedRules(Arc<Mutex<Arc<RuleSet>>>);

impl SharedRules {
    /// Puts a first set in force.
    pub fn new(rules: RuleSet) -> Self {
        Self(Arc::new(Mutex::new(Arc::new(rules))))
    }

    /// The set in force.
    pub fn get(&self) -> Arc<RuleSet> {
        Arc::clone(&lock(&self.0))
    }

    /// Puts another set in force.
    pub fn set(&self, rules: RuleSet) {
        *lock(&self.0) = Arc::new(rules);
    }
}

/// Runs the sources to their end, or until `stop` is set and what is under way is finished.
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
    let shared = Shared::new(workers);
    let (shared, inspector) = (&shared, &plan.inspector);
    let over = &AtomicBool::new(false);
    thread::scope(|scope| {
        if let Some(Server { listener, endpoints }) = server {
            scope.spawn(move || {
                if let Err(error) = http::serve(&listener, over, endpoints) {
                    tracing::error!("metrics are not served: {error}");
                }
            });
        }
        for worker in 0..workers {
            let jobs = jobs_out.clone();
            scope.spawn(move || inspect_all(&jobs, inspector, &shared.busy[worker]));
        }
        let readers: Vec<_> = sources
            .into_iter()
            .zip(0..)
            .map(|(source, number)| {
                let sensor = Sensor::new(plan.sensor.clone(), number);
                let feed = Feed::new(jobs_in.clone(), batches_in.clone(), rules.clone(), shared, plan.pressure);
                scope.spawn(move || read(source, sensor, feed, stop))
            })
            .collect();
        // Held by the readers alone from here on: when they end, so do the inspectors and this thread's loop.
        drop((jobs_in, batches_in));
        let consumer = Consumer::new(plan.correlator, rules, shared, (&jobs_out, inspector), audience);
        let report = consumer.run(&batches_out);
        over.store(true, Ordering::Relaxed);
        let all = readers.len();
        let sources: Vec<_> = readers.into_iter().filter_map(|reader| reader.join().ok()).collect();
        Run { report, failed: all - sources.len(), sources }
    })
}

/// What threads share besides channels.
#[derive(Debug)]
struct Shared {
    room: Room,
    /// Events dropped because the correlator did not keep up.
    dropped: AtomicU64,
    /// Packets for evidence dropped for the same reason.
    packets_dropped: AtomicU64,
    /// Nanoseconds each inspector has worked.
    busy: Vec<AtomicU64>,
}

impl Shared {
    fn new(workers: usize) -> Self {
        Self {
            room: Room::default(),
            dropped: AtomicU64::new(0),
            packets_dropped: AtomicU64::new(0),
            busy: (0..workers).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

/// A message to be inspected, and where to put the result.
struct Job {
    event: Event,
    rules: Arc<RuleSet>,
    reply: Sender<Inspected>,
}

struct Inspected {
    event: Event,
    /// None when the inspector failed.
    findings: Option<Findings>,
}

/// A place in the order of events.
enum Slot {
    Ready(Event),
    /// It was to be inspected, but the inspectors were busy.
    Shed(Event),
    /// A packet kept as evidence, with the bytes of room it takes.
    Kept(Event, usize),
    /// An inspector will fill it. With the bytes of room its message takes until then.
    Waiting(Receiver<Inspected>, usize),
}

struct Batch {
    slots: Vec<Slot>,
    rules: Arc<RuleSet>,
}

// --- inspectors -------------------------------------------------------------------------------------------------

/// Works on messages until no more can come.
fn inspect_all(jobs: &Receiver<Job>, inspector: &Inspector, busy: &AtomicU64) {
    for Job { mut event, rules, reply } in jobs {
        let began = Instant::now();
        // A defect in our handling of one hostile message must not cost its envelope, nor this thread.
        let findings = catch_unwind(AssertUnwindSafe(|| inspector.inspect(&rules, &mut event))).ok();
        busy.fetch_add(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        let _ = reply.send(Inspected { event, findings });
    }
}

// --- correlator -------------------------------------------------------------------------------------------------

/// Takes events in order, has them correlated, and tells the audience.
struct Consumer<'a> {
    correlator: Correlator,
    rules: Arc<RuleSet>,
    shared: &'a Shared,
    jobs: &'a Receiver<Job>,
    inspector: &'a Inspector,
    audience: &'a mut dyn Audience,
    inspect: InspectStats,
    said: Vec<Said>,
    busy: Vec<Duration>,
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
            shared,
            jobs,
            inspector,
            audience,
            inspect: InspectStats::default(),
            said: Vec::new(),
            busy: Vec::new(),
        }
    }

    fn run(mut self, batches: &Receiver<Batch>) -> Report {
        loop {
            match batches.recv_timeout(PAUSE) {
                Ok(batch) => self.batch(batch, batches),
                Err(RecvTimeoutError::Timeout) => self.pause(batches),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.correlator.finish(&mut self.said);
        self.audience.hear_last(&self.said);
        self.inspect.events_dropped = self.shared.dropped.load(Ordering::Relaxed);
        self.inspect.packets_dropped = self.shared.packets_dropped.load(Ordering::Relaxed);
        Report { inspect: self.inspect, ..self.correlator.report() }
    }

    fn batch(&mut self, batch: Batch, batches: &Receiver<Batch>) {
        if !Arc::ptr_eq(&batch.rules, &self.rules) {
            self.rules = Arc::clone(&batch.rules);
            self.correlator.set_rules(batch.rules);
        }
        for slot in batch.slots {
            let (mut event, findings, bytes) = match slot {
                Slot::Ready(event) => (event, None, 0),
                Slot::Kept(event, bytes) => (event, None, bytes),
                Slot::Shed(event) => {
                    self.inspect.shed_queue += 1;
                    (event, None, 0)
                }
                Slot::Waiting(filled, bytes) => match filled.recv() {
                    Ok(Inspected { event, findings }) => {
                        self.inspect.shed_failed += u64::from(findings.is_none());
                        (event, findings, bytes)
                    }
                    // Only if an inspector thread died, which `catch_unwind` rules out.
                    Err(_) => {
                        self.inspect.shed_failed += 1;
                        self.shared.room.give_back(bytes);
                        continue;
                    }
                },
            };
            if findings.is_none() {
                self.inspector.pass(&mut event);
            }
            self.hear(&event, findings.as_ref(), batches.len());
            self.shared.room.give_back(bytes);
        }
        self.pause(batches);
    }

    fn hear(&mut self, event: &Event, findings: Option<&Findings>, waiting: usize) {
        if let Some(findings) = findings {
            self.inspect.count(findings);
        }
        let nothing = Findings::default();
        self.correlator.take(event, findings.unwrap_or(&nothing), &mut self.said);
        self.refresh();
        let view = view(&self.correlator, &self.inspect, self.shared, &self.busy, self.jobs.len(), waiting);
        self.audience.hear(event, findings, &self.said, &view);
        self.said.clear();
    }

    fn pause(&mut self, batches: &Receiver<Batch>) {
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
    shared: &Shared,
    busy: &'v [Duration],
    jobs: usize,
    batches: usize,
) -> View<'v> {
    View { correlator, inspect, queues: [jobs, batches], message_bytes: shared.room.taken(), busy }
}

/// A lock whose holder panicked guards a plain number or pointer, which is sound whatever happened.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often the audience gets a moment for housekeeping when nothing happens.
const PAUSE: Duration = Duration::from_millis(100);
