//! Room for messages on their way through the pipeline.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use super::lock;
use crate::model::limits;

/// Bytes of messages under way, within a bound; one larger than the bound goes alone.
#[derive(Debug, Default)]
pub(super) struct Room {
    taken: Mutex<usize>,
    given_back: Condvar,
    /// Nobody gives back any more.
    wide: AtomicBool,
}

impl Room {
    pub(super) fn try_take(&self, bytes: usize) -> bool {
        let mut taken = lock(&self.taken);
        let fits = *taken == 0 || *taken + bytes <= limits::INSPECT_BYTES;
        if fits {
            *taken += bytes;
        }
        fits
    }

    pub(super) fn take(&self, bytes: usize) {
        let mut taken = lock(&self.taken);
        while *taken != 0 && *taken + bytes > limits::INSPECT_BYTES && !self.wide.load(Ordering::Relaxed) {
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
