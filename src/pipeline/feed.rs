//! The thread of one source: packets to the sensor, events to inspectors and correlator, in order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Sender, TrySendError, bounded};

use super::pulse::Beat;
use super::room::Taken;
use super::{Batch, InForce, Job, Pressure, Shared, SharedRules, Slot};
use crate::capture::{CaptureError, Source, Step};
use crate::model::event::{Event, EventKind};
use crate::model::limits;
use crate::model::net::HomeNet;
use crate::model::settings::TICK;
use crate::model::time::Timestamp;
use crate::sensor::Sensor;

/// Reads a source to its end. A live one that fails ends the run: half of what was to be watched would go unseen.
pub(super) fn read<S: Source>(
    mut source: S,
    mut sensor: Sensor,
    mut feed: Feed<'_>,
    stop: &AtomicBool,
) -> (S, Option<CaptureError>) {
    let mut error = None;
    let mut losses_due = Timestamp::default();
    let live = feed.pressure == Pressure::Shed;
    let _guard = StopsOnPanic(live.then_some(stop));
    while !stop.load(Ordering::Relaxed) || live {
        feed.beat.step();
        let now = match source.next() {
            Ok(Step::Packet(packet)) => {
                let now = packet.time;
                sensor.packet(&packet);
                now
            }
            Ok(Step::Idle(now)) => {
                sensor.idle(now);
                feed.send(sensor.drain());
                now
            }
            Ok(Step::End) => break,
            Err(failure) => {
                error = Some(failure);
                if live {
                    stop.store(true, Ordering::Relaxed);
                }
                break;
            }
        };
        if sensor.has_batch() || (live && feed.is_due(now, sensor.waiting())) {
            feed.send(sensor.drain());
        }
        if live && sensor.waiting() == 0 {
            feed.tell(now);
        }
        // The clock may have been set back: then what is due is so at once.
        if live && (now >= losses_due || losses_due.since(now) > 2 * TICK) {
            losses_due = now.plus(TICK);
            sensor.note_losses(&source.stats());
            if let Some(home) = feed.other_home() {
                sensor.answer_for(home);
            }
        }
    }
    sensor.note_losses(&source.stats());
    while sensor.wind_up() {
        feed.send(sensor.drain());
    }
    feed.finish(sensor.drain());
    (source, error)
}

/// Gives events to inspectors and correlator, in order.
pub(super) struct Feed<'a> {
    jobs: Sender<Job>,
    batches: Sender<Batch>,
    rules: SharedRules,
    shared: &'a Shared,
    pressure: Pressure,
    /// Batches the correlator had no room for yet.
    backlog: VecDeque<Batch>,
    /// Packet time at which the oldest event not yet sent was first noticed.
    waiting_since: Option<Timestamp>,
    /// Number of the source.
    source: u16,
    beat: Beat<'a>,
    /// Packet time last told as that up to which all is sent.
    told: Timestamp,
    /// Edition of the policy that the sensor knows of.
    edition: u64,
}

/// Ends the run when its thread panics.
struct StopsOnPanic<'a>(Option<&'a AtomicBool>);

impl Drop for StopsOnPanic<'_> {
    fn drop(&mut self) {
        if let Some(stop) = self.0
            && std::thread::panicking()
        {
            stop.store(true, Ordering::Relaxed);
        }
    }
}

impl<'a> Feed<'a> {
    pub(super) fn new(
        jobs: Sender<Job>,
        batches: Sender<Batch>,
        rules: SharedRules,
        shared: &'a Shared,
        pressure: Pressure,
        source: u16,
    ) -> Self {
        let (backlog, beat, told) = (VecDeque::new(), shared.pulse.beat(source.into()), Timestamp::default());
        Self { jobs, batches, rules, shared, pressure, backlog, waiting_since: None, source, beat, told, edition: 0 }
    }

    /// The networks that are answered for since the policy was changed, once.
    fn other_home(&mut self) -> Option<HomeNet> {
        let force = self.rules.in_force();
        if force.edition <= self.edition {
            return None;
        }
        self.edition = force.edition;
        force.policy.as_ref().map(|policy| policy.correlator.home.clone())
    }

    /// Nothing waits here, and it is `now`: others need not wait for us up to then.
    fn tell(&mut self, now: Timestamp) {
        if self.backlog.is_empty() && now.since(self.told) >= TELL_EVERY {
            self.told = now;
            self.beat.told(now);
        }
    }

    /// Whether events have waited long enough for more to share their batch.
    fn is_due(&mut self, now: Timestamp, waiting: usize) -> bool {
        if waiting == 0 && self.backlog.is_empty() {
            self.waiting_since = None;
            return false;
        }
        let since = *self.waiting_since.get_or_insert(now);
        now.since(since) >= limits::BATCH_PATIENCE || now < since
    }

    fn send(&mut self, events: Vec<Event>) {
        self.waiting_since = None;
        self.shared.spent.1.try_iter().take(2).for_each(drop);
        let force = self.rules.in_force();
        let mut slots = Vec::with_capacity(events.len());
        for event in events {
            let bytes = match &event.kind {
                EventKind::Packet(packet) => {
                    let bytes = packet.data.len() + PACKET_OVERHEAD;
                    if let Some(taken) = self.shared.room.try_hold(bytes) {
                        slots.push(Slot::Kept(event, taken));
                    } else if self.pressure == Pressure::Wait {
                        self.pass_on(std::mem::take(&mut slots), &force);
                        slots.push(Slot::Kept(event, self.shared.room.hold(bytes)));
                    } else {
                        self.shared.packets_dropped.fetch_add(1, Ordering::Relaxed);
                    }
                    continue;
                }
                EventKind::Smtp(_) => event.weight() + OVERHEAD,
                _ => {
                    slots.push(Slot::Ready(event));
                    continue;
                }
            };
            let slot = match self.pressure {
                Pressure::Wait => {
                    let taken = self.shared.room.try_hold(bytes).unwrap_or_else(|| {
                        // The correlator must get to what we hold before there can be room.
                        self.pass_on(std::mem::take(&mut slots), &force);
                        self.shared.room.hold(bytes)
                    });
                    self.assign(event, taken, &force)
                }
                Pressure::Shed if self.jobs.is_full() => Slot::Shed(without_bytes(event)),
                Pressure::Shed => match self.shared.room.try_hold(bytes) {
                    Some(taken) => self.assign(event, taken, &force),
                    None => Slot::Shed(without_bytes(event)),
                },
            };
            slots.push(slot);
        }
        self.pass_on(slots, &force);
    }

    pub(super) fn finish(&mut self, events: Vec<Event>) {
        self.send(events);
        for batch in self.backlog.drain(..) {
            let _ = self.batches.send(batch);
        }
    }

    /// Hands a message to the inspectors.
    fn assign(&self, event: Event, taken: Taken, force: &Arc<InForce>) -> Slot {
        let (reply, filled) = bounded(1);
        let time = event.time;
        let job = Job { event, force: Arc::clone(force), reply, taken };
        let refused = match self.pressure {
            Pressure::Wait => self.jobs.send(job).err().map(|refused| refused.0),
            Pressure::Shed => self.jobs.try_send(job).err().map(TrySendError::into_inner),
        };
        match refused {
            None => Slot::Waiting(filled, time),
            Some(job) => Slot::Shed(without_bytes(job.event)),
        }
    }

    /// Adds a batch to the backlog; small ones share a place there.
    fn put_back(&mut self, batch: Batch) {
        match self.backlog.back_mut() {
            _ if batch.slots.is_empty() => {}
            Some(last)
                if last.slots.len() + batch.slots.len() <= limits::BATCH && Arc::ptr_eq(&last.force, &batch.force) =>
            {
                last.slots.extend(batch.slots);
                last.bytes += batch.bytes;
            }
            _ => self.backlog.push_back(batch),
        }
    }

    fn pass_on(&mut self, slots: Vec<Slot>, force: &Arc<InForce>) {
        let bytes = slots.iter().map(Slot::bytes).sum();
        let batch = Batch { slots, bytes, source: self.source, force: Arc::clone(force) };
        if self.pressure == Pressure::Wait {
            self.shared.event_room.take(bytes);
            // It fails only when the correlator is gone, and then nobody is left to tell.
            let _ = self.batches.send(batch);
            return;
        }
        while !self.shared.event_room.try_take(bytes) {
            let Some(oldest) = self.backlog.pop_front() else { return self.give_up(batch, false) };
            self.give_up(oldest, true);
        }
        self.put_back(batch);
        while let Some(batch) = self.backlog.pop_front() {
            if let Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) = self.batches.try_send(batch) {
                self.backlog.push_front(batch);
                break;
            }
        }
        while self.backlog.len() > limits::BACKLOG
            && let Some(batch) = self.backlog.pop_front()
        {
            self.give_up(batch, true);
        }
    }

    /// Drops events that the correlator had no time for; `roomed` if they had taken their room already.
    fn give_up(&self, batch: Batch, roomed: bool) {
        let packets = batch.slots.iter().filter(|slot| matches!(slot, Slot::Kept(..))).count() as u64;
        self.shared.packets_dropped.fetch_add(packets, Ordering::Relaxed);
        self.shared.dropped.fetch_add(batch.slots.len() as u64 - packets, Ordering::Relaxed);
        if roomed {
            self.shared.event_room.give_back(batch.bytes);
        }
    }
}

/// A message that nobody will open is not worth the memory it takes while its event waits.
fn without_bytes(mut event: Event) -> Event {
    if let EventKind::Smtp(smtp) = &mut event.kind
        && let Some(message) = &mut smtp.message
    {
        message.bytes = Vec::new();
    }
    event
}

/// How much packet time passes between two tellings.
const TELL_EVERY: Duration = Duration::from_millis(5);

/// What an event and its findings take besides its message's bytes, roughly.
const OVERHEAD: usize = 2_048;
/// What the event of a packet takes besides the packet's bytes, roughly.
const PACKET_OVERHEAD: usize = 192;

#[cfg(test)]
mod tests {
    use crossbeam_channel::Receiver;

    use super::*;
    use crate::correlator::CorrelatorSettings;
    use crate::inspector::Inspector;
    use crate::model::event::{Message, SmtpEvent};
    use crate::model::memory::{Memory, Shares};
    use crate::model::settings::{InspectSettings, SensorSettings};
    use crate::model::stats::CaptureStats;
    use crate::pipeline::Policy;
    use crate::rules::RuleSet;

    /// A feed of a live source whose inspectors are all busy, the correlator's end, with room for one batch, and
    /// theirs, which is always full.
    fn feed(shared: &Shared) -> (Feed<'_>, Receiver<Batch>, Receiver<Job>) {
        let (jobs, busy) = bounded(0);
        let (batches_in, batches_out) = bounded(1);
        let rules = SharedRules::new(RuleSet::builtin());
        (Feed::new(jobs, batches_in, rules, shared, Pressure::Shed, 0), batches_out, busy)
    }

    /// An idle wire whose clock is at these seconds in turn; counts how often it is asked for its counters.
    struct Clock(Vec<i64>, usize);

    impl Source for Clock {
        fn next(&mut self) -> Result<Step<'_>, CaptureError> {
            let now = self.0.pop();
            Ok(now.map_or(Step::End, |seconds| Step::Idle(Timestamp::from_parts(seconds, 0))))
        }

        fn stats(&mut self) -> CaptureStats {
            self.1 += 1;
            CaptureStats::default()
        }
    }

    /// Counters, and with them whether the interface is still there, are seen to every second of a clock that was set back.
    #[test]
    fn a_clock_that_is_set_back_holds_nothing_up() {
        let shared = Shared::new(1, 1, &Shares::default());
        let (feed, batches, _busy) = feed(&shared);
        let seconds = vec![10_002, 10_001, 10_000, 50_001, 50_000];
        let (asked, sensor) = (seconds.len() + 1, Sensor::new(SensorSettings::default(), 0));
        let drain = std::thread::spawn(move || {
            let slots = batches.iter().flat_map(|batch| batch.slots);
            slots.filter(|slot| matches!(slot, Slot::Ready(event) if matches!(event.kind, EventKind::Tick(_)))).count()
        });
        let (clock, error) = read(Clock(seconds.into_iter().collect(), 0), sensor, feed, &AtomicBool::new(false));
        // Once a second, and once at the end.
        assert_eq!((clock.1, error.is_none()), (asked, true));
        // The sensor tells its counters as often.
        assert_eq!(drain.join().unwrap(), asked);
    }

    #[test]
    fn other_networks_to_answer_for_are_told_once() {
        let shared = Shared::new(1, 1, &Shares::default());
        let (mut feed, _batches, _busy) = feed(&shared);
        assert!(feed.other_home().is_none());
        let home = HomeNet::new(vec!["192.0.2.0/24".parse().unwrap()]);
        let inspector = Inspector::new(home.clone(), InspectSettings::default());
        let correlator = CorrelatorSettings { home, ..CorrelatorSettings::default() };
        feed.rules.replace(RuleSet::default(), Policy { inspector, correlator });
        assert!(feed.other_home().is_some_and(|home| home.contains("192.0.2.7".parse().unwrap())));
        assert!(feed.other_home().is_none());
    }

    fn mail(seq: u64, bytes: usize) -> Event {
        let message = Message { bytes: vec![b'x'; bytes], size: bytes as u64, ..Message::default() };
        let kind = EventKind::Smtp(Box::new(SmtpEvent { message: Some(message), ..SmtpEvent::default() }));
        Event { seq, time: Timestamp::default(), source: 0, file: 0, packet: 1, flow: None, kind }
    }

    #[test]
    fn a_message_that_is_shed_goes_on_without_its_bytes() {
        let shared = Shared::new(1, 1, &Shares::default());
        let (mut feed, batches, _busy) = feed(&shared);
        feed.send(vec![mail(0, 1_000)]);
        let batch = batches.try_recv().expect("a batch");
        let [Slot::Shed(Event { kind: EventKind::Smtp(smtp), .. })] = &batch.slots[..] else { panic!("not shed") };
        let message = smtp.message.as_ref().expect("its envelope still says that there was a message");
        assert_eq!((message.bytes.capacity(), message.size), (0, 1_000));
        assert_eq!(shared.room.taken(), 0);
    }

    #[test]
    fn events_that_wait_for_the_correlator_share_places_and_silence_takes_none() {
        let shared = Shared::new(1, 1, &Shares::default());
        let (mut feed, batches, _busy) = feed(&shared);
        for seq in 0..1_000 {
            feed.send(vec![mail(seq, 0)]);
            feed.send(Vec::new());
        }
        assert_eq!(feed.backlog.len(), 999_usize.div_ceil(limits::BATCH));
        let mut told = Vec::new();
        while let Ok(batch) = batches.try_recv() {
            told.extend(batch.slots.iter().map(|slot| match slot {
                Slot::Ready(event) | Slot::Shed(event) => event.seq,
                Slot::Waiting(..) | Slot::Kept(..) => panic!("nobody could take it"),
            }));
            feed.send(Vec::new());
        }
        assert!(told.into_iter().eq(0..1_000), "all of them, in order");
        assert_eq!(shared.dropped.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_waits_past_the_bound_is_dropped_and_counted() {
        let shared = Shared::new(1, 1, &Shares::default());
        let (mut feed, _batches, _busy) = feed(&shared);
        let sent = (limits::BACKLOG + 11) * limits::BATCH;
        for seq in 0..sent {
            feed.send(vec![mail(seq as u64, 0)]);
        }
        let waiting: usize = feed.backlog.iter().map(|batch| batch.slots.len()).sum();
        assert!(feed.backlog.len() <= limits::BACKLOG);
        // One event is with the correlator.
        assert_eq!(shared.dropped.load(Ordering::Relaxed) as usize, sent - waiting - 1);
    }

    #[test]
    fn what_waits_past_its_share_of_memory_is_dropped_oldest_first() {
        let shared = Shared::new(1, 1, &Shares::of(Memory::least(1), 1));
        let (mut feed, _batches, _busy) = feed(&shared);
        let weight = mail(0, 0).weight();
        let fit = Shares::of(Memory::least(1), 1).event_bytes / weight;
        for seq in 0..fit + 100 {
            feed.send(vec![mail(seq as u64, 0)]);
        }
        assert!(shared.event_room.taken() <= fit * weight);
        let dropped = shared.dropped.load(Ordering::Relaxed) as usize;
        assert!((100..100 + 2 * limits::BATCH).contains(&dropped), "{dropped}");
        let oldest = feed.backlog.front().and_then(|batch| batch.slots.first());
        // The first event went to the correlator at once; those behind it gave way.
        assert!(matches!(oldest, Some(Slot::Shed(event)) if event.seq == dropped as u64 + 1));
    }
}
