//! SIGINT and SIGTERM: the first one has the run finish what is under way. That takes as long as those take who are told:
//! a pipe that nobody reads from holds it up for ever. So a second one, a moment later, ends the process at once.

use std::process;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::{Failure, complain};

/// Signals that end a run.
pub struct Stop {
    signals: Signals,
}

impl Stop {
    /// From here on signals no longer end the process by themselves: the first one sets `flag`.
    ///
    /// # Errors
    /// The system refuses.
    pub fn register(flag: &Arc<AtomicBool>) -> Result<Self, Failure> {
        let failed = |error| Failure::Failed(format!("cannot handle signals: {error}"));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(flag)).map_err(failed)?;
        }
        Ok(Self { signals: Signals::new([SIGINT, SIGTERM]).map_err(failed)? })
    }

    /// Starts the thread that heeds the second one; of a live sensor once it is confined.
    ///
    /// # Errors
    /// No thread can be had.
    pub fn watch(mut self) -> Result<(), Failure> {
        let work = move || {
            let mut first = None;
            for _ in self.signals.forever() {
                if is_second(&mut first, Instant::now()) {
                    complain(STOPPED);
                    process::exit(1);
                }
            }
        };
        let started = thread::Builder::new().name("signals".to_owned()).spawn(work);
        started.map(|_| ()).map_err(|error| Failure::Failed(format!("cannot start a thread: {error}")))
    }
}

/// Whether this signal comes after another one, and was sent for itself.
fn is_second(first: &mut Option<Instant>, now: Instant) -> bool {
    now.saturating_duration_since(*first.get_or_insert(now)) >= APART
}

/// Some send each signal twice, to a process and to its group (timeout(1)); people take longer.
const APART: Duration = Duration::from_millis(500);
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
