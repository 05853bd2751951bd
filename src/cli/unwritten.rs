//! When a live sensor says that it cannot write: at once, since it may run for months after that, and not with every file.

use std::time::{Duration, Instant};

/// Of one kind of output: how much was lost when that was last told.
#[derive(Debug, Default)]
pub struct Unwritten {
    lost: u64,
    told: Option<Instant>,
}

impl Unwritten {
    /// Whether to tell, at `now`, that `lost` could not be written so far: there is more than was told, and that was not
    /// just now.
    pub fn is_due(&mut self, lost: u64, now: Instant) -> bool {
        let due = lost > self.lost && self.told.is_none_or(|told| now.saturating_duration_since(told) >= PAUSE);
        if due {
            (self.lost, self.told) = (lost, Some(now));
        }
        due
    }
}

/// Between two complaints of the same kind.
const PAUSE: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_told_at_once_and_what_follows_now_and_then() {
        let (mut unwritten, start) = (Unwritten::default(), Instant::now());
        let told = [(0, 0), (1, 1), (5, 2), (9, 599), (9, 601), (9, 5_000), (10, 5_001)]
            .map(|(lost, second)| unwritten.is_due(lost, start + Duration::from_secs(second)));
        assert_eq!(told, [false, true, false, false, true, false, true]);
    }
}
