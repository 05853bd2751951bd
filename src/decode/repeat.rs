//! Copies of fragments that come when their datagram is whole already.
//!
//! A mirror port that sends each packet twice, as one that copies both directions of a switch does, repeats the fragment
//! that completed a datagram, too. The copy would open the datagram again, wait in vain, and be counted as lost.

use std::hash::BuildHasher;
use std::time::Duration;

use super::fragment::{Fragment, Key};
use crate::model::time::Timestamp;

/// The fragments that completed the latest datagrams.
#[derive(Debug, Default)]
pub(super) struct Completions {
    latest: [Option<Completion>; LATEST],
    /// Where the next one goes: in the place of the oldest.
    next: usize,
}

#[derive(Clone, Copy, Debug)]
struct Completion {
    key: Key,
    offset: usize,
    len: usize,
    hash: u64,
    time: Timestamp,
}

impl Completions {
    /// Notes that this fragment completed its datagram.
    pub(super) fn note(&mut self, fragment: &Fragment<'_>, now: Timestamp, hasher: &impl BuildHasher) {
        self.latest[self.next] = Some(Completion::of(fragment, now, hasher));
        self.next = (self.next + 1) % LATEST;
    }

    /// Whether one like it, byte for byte, has just completed a datagram.
    pub(super) fn has(&self, fragment: &Fragment<'_>, now: Timestamp, hasher: &impl BuildHasher) -> bool {
        let candidates = || self.latest.iter().flatten().filter(|known| known.key == fragment.key);
        candidates().next().is_some() && {
            let copy = Completion::of(fragment, now, hasher);
            candidates().any(|known| known.is_repeated_by(&copy))
        }
    }
}

impl Completion {
    fn of(fragment: &Fragment<'_>, time: Timestamp, hasher: &impl BuildHasher) -> Self {
        let Fragment { key, offset, bytes, .. } = *fragment;
        Self { key, offset, len: bytes.len(), hash: hasher.hash_one(bytes), time }
    }

    fn is_repeated_by(&self, other: &Self) -> bool {
        (self.offset, self.len, self.hash) == (other.offset, other.len, other.hash)
            && other.time.since(self.time) <= MIRRORED_WITHIN
    }
}

/// A copy is made by the same switch: few packets come between.
const LATEST: usize = 16;
/// ... and little time. Identifications are used again sooner or later (RFC 6864).
const MIRRORED_WITHIN: Duration = Duration::from_secs(1);
