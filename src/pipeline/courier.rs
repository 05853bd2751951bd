//! A thread beside the run that carries incidents to Alertmanager, however slow that is: nothing in the pipeline waits
//! for it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::lock;
use crate::model::alert::Incident;
use crate::model::limits;
use crate::model::time::Timestamp;
use crate::output::notify::NotifyStats;
use crate::output::notify::alertmanager::{Answer, Pager};

/// The near end: takes incidents and never waits.
#[derive(Debug)]
pub struct Courier {
    incidents: Sender<Incident>,
    /// The same channel's far end, for what is left in it.
    untaken: Receiver<Incident>,
    /// Closed when the thread has ended.
    ended: Receiver<()>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Incidents that found the channel full.
    overrun: AtomicU64,
    /// What the thread counted, and how many alerts wait to be posted.
    told: Mutex<(NotifyStats, usize)>,
}

impl Courier {
    /// Starts the thread; `post` carries one body out and may block.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start(pager: Pager, post: impl FnMut(&[u8]) -> Answer + Send + 'static) -> std::io::Result<Self> {
        let (incidents, taken) = bounded(limits::ALERTMANAGER_QUEUE);
        let (ends, ended) = bounded(0);
        let shared = Arc::new(Shared::default());
        let (theirs, untaken) = (Arc::clone(&shared), taken.clone());
        thread::Builder::new().name("alertmanager".into()).spawn(move || {
            carry(pager, post, &taken, &theirs);
            drop::<Sender<()>>(ends);
        })?;
        Ok(Self { incidents, untaken, ended, shared })
    }

    /// Tells an incident, or counts it as dropped.
    pub fn tell(&self, incident: &Incident) {
        if self.incidents.try_send(incident.clone()).is_err() {
            self.shared.overrun.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What became of alerts so far.
    pub fn stats(&self) -> NotifyStats {
        let (stats, _) = *lock(&self.shared.told);
        NotifyStats { dropped: stats.dropped + self.shared.overrun.load(Ordering::Relaxed), ..stats }
    }

    /// Incidents and alerts that wait.
    pub fn waiting(&self) -> usize {
        self.incidents.len() + lock(&self.shared.told).1
    }

    /// The end of the run: waits, within [`limits::ALERT_LAST`], until what is due has been posted. What is open stays
    /// open at Alertmanager, and ends there by itself unless another run takes it up.
    pub fn finish(self) -> NotifyStats {
        self.finish_within(limits::ALERT_LAST + Duration::from_secs(1))
    }

    fn finish_within(self, patience: Duration) -> NotifyStats {
        let Self { incidents, untaken, ended, shared } = self;
        drop(incidents);
        // A post that hangs is left behind: the process is about to end.
        let _ = ended.recv_timeout(patience);
        let (stats, waiting) = *lock(&shared.told);
        let left = (waiting + untaken.len()) as u64;
        NotifyStats { dropped: stats.dropped + left + shared.overrun.load(Ordering::Relaxed), ..stats }
    }
}

fn carry(mut pager: Pager, mut post: impl FnMut(&[u8]) -> Answer, incidents: &Receiver<Incident>, shared: &Shared) {
    let mut last = None;
    loop {
        let now = Instant::now();
        let wait = pager.next().map_or(IDLE, |next| next.saturating_duration_since(now));
        match last {
            None => match incidents.recv_timeout(wait) {
                Ok(incident) => {
                    let now = Instant::now();
                    pager.take(incident, now);
                    incidents.try_iter().for_each(|incident| pager.take(incident, now));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => last = Some(Instant::now() + limits::ALERT_LAST),
            },
            Some(last) => thread::sleep(wait.min(last.saturating_duration_since(now))),
        }
        if let Some(due) = pager.post(Instant::now(), wall()) {
            // Before a post that may hang for as long as the run has left.
            *lock(&shared.told) = (pager.stats(), pager.waiting(Instant::now()));
            // A panic, as of a library that can have no more threads for now, must not leave nobody to tell of what comes.
            let answer = catch_unwind(AssertUnwindSafe(|| post(&due.body))).unwrap_or(Answer::Failed);
            pager.answered(&due, answer, Instant::now());
        }
        let now = Instant::now();
        *lock(&shared.told) = (pager.stats(), pager.waiting(now));
        if last.is_some_and(|last| now >= last || !pager.is_behind(now)) {
            return;
        }
    }
}

fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// How long to sleep when there is nothing to do.
const IDLE: Duration = Duration::from_secs(3_600);

#[cfg(test)]
mod tests {
    use super::*;

    /// As a library does that can have no thread to look up a name.
    #[test]
    fn a_post_that_panics_is_tried_again() {
        let (mut posts, count) = (0, Arc::new(AtomicU64::new(0)));
        let counted = Arc::clone(&count);
        let post = move |_: &[u8]| {
            posts += 1;
            assert_ne!(posts, 1, "a defect, made for the test");
            counted.fetch_add(1, Ordering::Relaxed);
            Answer::Taken
        };
        let courier = Courier::start(Pager::new("tap-1".to_owned()), post).unwrap();
        courier.tell(&Incident::of([10, 0, 0, 5].into()));
        let stats = courier.finish();
        assert_eq!((count.load(Ordering::Relaxed), stats.sent, stats.failed, stats.dropped), (1, 1, 1, 0));
    }

    /// Alertmanager took the connection and says nothing: what it was to be told of is no secret.
    #[test]
    fn what_a_post_that_hangs_leaves_behind_is_counted() {
        let (began, begins) = bounded(1);
        let (lasts, last) = bounded::<()>(0);
        let post = move |_: &[u8]| {
            let _ = began.send(());
            let _ = last.recv();
            Answer::Failed
        };
        let courier = Courier::start(Pager::new("tap-1".to_owned()), post).unwrap();
        courier.tell(&Incident::of([10, 0, 0, 5].into()));
        begins.recv().unwrap();
        courier.tell(&Incident::of([10, 0, 0, 6].into()));
        let stats = courier.finish_within(Duration::from_millis(50));
        assert_eq!((stats.sent, stats.dropped), (0, 2));
        drop(lasts);
    }
}
