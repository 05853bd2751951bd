//! When a wrong TCP checksum is held against a segment.
//!
//! Its receiver drops such a segment, so a sensor that takes it can be told one thing while the receiver is told
//! another, and where the first copy wins, the lie wins (Ptacek and Newsham 1998, section 5.2). Yet in a capture made
//! on the sender itself all checksums are wrong, for the hardware fills them in later. So a side is held to its
//! checksums once they have been seen to be real.
//!
//! Long packets have a trust of their own. Hardware and kernels merge segments and leave the checksum of the whole
//! unfinished, among short ones whose checksums are real; on a network with jumbo frames those of long packets are
//! real as well.

/// What the checksums of one side of a flow are worth. One byte: every flow has two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// None held yet.
    #[default]
    Unproven,
    /// The last one held: by chance that happens once in 65,536 times, often enough in a long capture.
    Once,
    /// Two in a row held: they are real.
    Proven,
    /// A segment set aside was received nevertheless: whatever these checksums are, they tell nothing.
    Waived,
}

impl Trust {
    /// Takes in whether a segment's checksum holds. True when the segment is to be set aside.
    pub fn rejects(&mut self, holds: bool) -> bool {
        *self = match (*self, holds) {
            (Self::Unproven, true) => Self::Once,
            (Self::Once, true) => Self::Proven,
            (Self::Unproven | Self::Once, false) => Self::Unproven,
            (settled, _) => settled,
        };
        *self == Self::Proven && !holds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_rejects(checksums: &[bool], expected: &[bool]) {
        let mut trust = Trust::default();
        let rejected: Vec<_> = checksums.iter().map(|&holds| trust.rejects(holds)).collect();
        assert_eq!(rejected, expected);
    }

    #[test]
    fn a_wrong_one_counts_after_two_that_hold() {
        assert_rejects(&[true, true, false, true, false], &[false, false, true, false, true]);
    }

    #[test]
    fn one_that_holds_by_chance_among_wrong_ones_proves_nothing() {
        assert_rejects(&[false, true, false, false, true, false], &[false; 6]);
    }

    #[test]
    fn once_waived_nothing_is_held_against_it() {
        let mut trust = Trust::Waived;
        assert!(![true, true, true, false].into_iter().any(|holds| trust.rejects(holds)));
    }
}
