//! Room for what is on its way through the pipeline: messages, events.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use super::lock;

/// Bytes under way, within a bound; what is larger than the bound goes alone.
#[derive(Debug)]
pub(super) struct Room {
    bound: usize,
    taken: Mutex<usize>,
    given_back: Condvar,
    /// Nobody gives back any more.
    wide: AtomicBool,
}

impl Room {
    pub(super) fn new(bound: usize) -> Self {
        Self { bound, taken: Mutex::default(), given_back: Condvar::new(), wide: AtomicBool::new(false) }
    }

    pub(super) fn try_take(&self, bytes: usize) -> bool {
        let mut taken = lock(&self.taken);
        let fits = *taken == 0 || *taken + bytes <= self.bound;
        if fits {
            *taken += bytes;
        }
        fits
    }

    pub(super) fn take(&self, bytes: usize) {
        let mut taken = lock(&self.taken);
        while *taken != 0 && *taken + bytes > self.bound && !self.wide.load(Ordering::Relaxed) {
            taken = self.given_back.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        *taken += bytes;
    }

    /// Lets everyone in from here on: the run is given up, and whoever waits must get to its end.
    pub(super) fn open_wide(&self) {
        let taken = lock(&self.taken);
        self.wide.store(true, Ordering::Relaxed);
        drop(taken);
        self.given_back.notify_all();
    }

    pub(super) fn give_back(&self, bytes: usize) {
        if bytes > 0 {
            *lock(&self.taken) -= bytes;
            self.given_back.notify_all();
        }
    }

    pub(super) fn taken(&self) -> usize {
        *lock(&self.taken)
    }
}
