//! Distances in packet time that survive a clock that steps, and how often something may be said.

use std::time::Duration;

use crate::model::limits;
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

/// Whether an alert of this level, or of a worse one, was told within [`limits::ALERT_REPEAT`]; if not, it is told now.
/// `told` has a place for each level, mildest first.
pub fn repeats(told: &mut [Pace], level: usize, now: Timestamp) -> bool {
    if told.iter().skip(level).any(|told| !told.is_due(now, limits::ALERT_REPEAT)) {
        return true;
    }
    if let Some(told) = told.get_mut(level) {
        told.mark(now);
    }
    false
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

    #[test]
    fn what_is_worse_silences_what_is_milder_and_not_the_other_way_round() {
        let at = |seconds| Timestamp::from_parts(seconds, 0);
        let mut told = [Pace::default(); 2];
        assert!(!repeats(&mut told, 0, at(0)) && repeats(&mut told, 0, at(1)));
        assert!(!repeats(&mut told, 1, at(2)), "worse than what was told");
        assert!(repeats(&mut told, 0, at(3)) && repeats(&mut told, 1, at(3)));
        assert!(!repeats(&mut told, 0, at(2).plus(limits::ALERT_REPEAT)));
    }
}
