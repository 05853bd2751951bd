//! A bound on the time one input may take.

use std::fs;
use std::time::{Duration, Instant};

/// Measures the time this thread computes, so that a busy machine is not mistaken for a slow parser.
pub struct Guard {
    started: Instant,
    computed: Option<Duration>,
}

impl Guard {
    pub fn start() -> Self {
        Self { started: Instant::now(), computed: None }.with_computed()
    }

    /// Panics when more than `most` was computed since the start.
    pub fn check(&self, most: Duration) {
        // The wall clock is cheap and can only say more than the thread's own.
        if self.started.elapsed() <= most {
            return;
        }
        if let (Some(before), Some(now)) = (self.computed, thread_time()) {
            let taken = now.saturating_sub(before);
            assert!(
                taken <= most,
                "took {taken:?} of computing; at most {most:?} is allowed for an input of this size"
            );
        }
    }

    fn with_computed(mut self) -> Self {
        self.computed = thread_time();
        self
    }
}

/// Time this thread has been on a processor, where the system tells it (proc_pid_schedstat(5)).
fn thread_time() -> Option<Duration> {
    let line = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    line.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}
