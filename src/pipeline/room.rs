//! Room for what is on its way through the pipeline: messages, events.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

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

/// What is taken of a room by one thing under way, and given back when it is gone, wherever that happens.
#[derive(Debug)]
pub(super) struct Taken {
    room: Arc<Room>,
    bytes: usize,
}

impl Taken {
    /// The thing has become larger or smaller. Others wait until it fits; itself it does not.
    pub(super) fn resize(&mut self, bytes: usize) {
        let before = std::mem::replace(&mut self.bytes, bytes);
        if bytes > before {
            *lock(&self.room.taken) += bytes - before;
        } else {
            self.room.give_back(before - bytes);
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.give_back(self.bytes);
    }
}

impl Room {
    /// Takes so much where there is as much.
    pub(super) fn try_hold(self: &Arc<Self>, bytes: usize) -> Option<Taken> {
        self.try_take(bytes).then(|| Taken { room: Arc::clone(self), bytes })
    }

    /// Waits until there is as much.
    pub(super) fn hold(self: &Arc<Self>, bytes: usize) -> Taken {
        self.take(bytes);
        Taken { room: Arc::clone(self), bytes }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_given_back_as_it_shrinks_and_goes() {
        let room = Arc::new(Room::new(100));
        let mut taken = room.hold(90);
        assert!(room.try_hold(20).is_none());
        taken.resize(10);
        let other = room.try_hold(80).expect("there is room");
        taken.resize(50);
        assert_eq!(room.taken(), 130, "what grows does not wait");
        drop((taken, other));
        assert_eq!(room.taken(), 0);
    }
}
