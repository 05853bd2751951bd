//! SIGINT and SIGTERM: the first one has the run finish what is under way. That takes as long as those take who are told:
//! a pipe that nobody reads from holds it up for ever. So a second one, a moment later, ends the process at once.

use std::io;
use std::os::fd::AsFd;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::{Failure, complain};

/// Signals that end a run.
pub struct Stop {
    signals: Signals,
    /// Nothing is under way yet.
    starting: Arc<AtomicBool>,
}

impl Stop {
    /// From here on the first signal sets `flag`. Until [`Stop::watch`] is called it also ends the process, with 0: nothing
    /// is under way, and what is opened meanwhile may be waited for, as a named pipe that nobody reads.
    ///
    /// # Errors
    /// The system refuses.
    pub fn register(flag: &Arc<AtomicBool>) -> Result<Self, Failure> {
        let failed = |error| Failure::Failed(format!("cannot handle signals: {error}"));
        let starting = Arc::new(AtomicBool::new(true));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(flag)).map_err(failed)?;
            signal_hook::flag::register_conditional_shutdown(signal, 0, Arc::clone(&starting)).map_err(failed)?;
        }
        Ok(Self { signals: Signals::new([SIGINT, SIGTERM]).map_err(failed)?, starting })
    }

    /// Starts the thread that heeds the second one; of a live sensor once it is confined.
    ///
    /// # Errors
    /// No thread can be had.
    pub fn watch(self) -> Result<(), Failure> {
        let mut signals = self.signals;
        let work = move || {
            let mut first = None;
            for _ in signals.forever() {
                if is_second(&mut first, Instant::now()) {
                    if is_read(io::stderr()) {
                        complain(STOPPED);
                    }
                    process::exit(1);
                }
            }
        };
        self.starting.store(false, Ordering::Relaxed);
        let started = thread::Builder::new().name("signals".to_owned()).spawn(work);
        started.map(|_| ()).map_err(no_thread)
    }
}

/// Whether there is room for a line right now: it may be that pipe that nobody reads.
fn is_read(output: impl AsFd) -> bool {
    poll(&mut [PollFd::new(&output, PollFlags::OUT)], Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

/// Why a thread beside the run could not be started.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub fn no_thread(error: io::Error) -> Failure {
    Failure::Failed(format!("cannot start a thread: {error}; {MORE_THREADS}"))
}

/// Why a run was given up before it had begun.
pub fn too_few_threads() -> Failure {
    Failure::Failed(format!("given up before it began, since not all threads could be started; {MORE_THREADS}"))
}

/// Whether this signal comes after another one, and was sent for itself.
fn is_second(first: &mut Option<Instant>, now: Instant) -> bool {
    now.saturating_duration_since(*first.get_or_insert(now)) >= APART
}

/// Some send each signal twice, to a process and to its group (timeout(1)); people take longer.
const APART: Duration = Duration::from_millis(500);
const MORE_THREADS: &str = "raise the limit on threads (ulimit -u, TasksMax= of systemd) or memory";
const STOPPED: &str = "ended at once by a second signal: what was under way is lost, and there is no summary";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_sent_twice_is_one() {
        let (mut first, now) = (None, Instant::now());
        assert!(!is_second(&mut first, now));
        assert!(!is_second(&mut first, now + Duration::from_millis(20)));
        assert!(is_second(&mut first, now + Duration::from_secs(1)));
    }
}
