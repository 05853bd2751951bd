//! Distances in packet time that survive a clock that steps, and how often something may be said.

use std::time::Duration;

use crate::model::time::Timestamp;

/// How far apart two times are, whichever comes first. A capture's clock can step back; a window that asks only
/// "how long ago" would then hold an entry from the future for as long as the capture lasts.
pub fn apart(a: Timestamp, b: Timestamp) -> Duration {
    a.since(b).max(b.since(a))
}

/// Remembers when something was last said.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace(Option<Timestamp>);

impl Pace {
    /// Whether `period` has passed since it was last said, or it never was.
    pub fn is_due(&self, now: Timestamp, period: Duration) -> bool {
        self.0.is_none_or(|last| apart(now, last) >= period)
    }

    /// It is said now.
    pub fn mark(&mut self, now: Timestamp) {
        self.0 = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_stepped_back_does_not_silence_for_ever() {
        let at = |seconds| Timestamp::from_parts(seconds, 0);
        let minute = Duration::from_secs(60);
        let mut pace = Pace::default();
        assert!(pace.is_due(at(0), minute));
        pace.mark(at(5_000_000));
        assert!(!pace.is_due(at(5_000_059), minute));
        assert!(pace.is_due(at(5_000_060), minute));
        assert!(pace.is_due(at(10), minute), "the last time lies far in the future");
        assert_eq!(
            apart(Timestamp::from_nanos(i64::MIN), Timestamp::from_nanos(i64::MAX)).as_nanos(),
            i64::MAX as u128
        );
    }
}
