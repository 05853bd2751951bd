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
///
/// A wrong checksum holds by chance once in 65,536 times, often enough in a long capture; two of a few segments hardly
/// ever do. They need not follow each other, or a sender who spoils every other segment would never be held to any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trust(u8);

impl Trust {
    /// A segment set aside was received nevertheless: whatever these checksums are, they tell nothing.
    pub const WAIVED: Self = Self(u8::MAX);
    /// Two of a few held: they are real.
    const PROVEN: Self = Self(u8::MAX - 1);
    /// None held lately.
    const UNPROVEN: Self = Self(0);
    /// One held, and none after it yet. One more for each wrong one since, up to [`FEW`].
    const ONCE: Self = Self(1);

    /// Takes in whether a segment's checksum holds. True when the segment is to be set aside.
    pub fn rejects(&mut self, holds: bool) -> bool {
        *self = match (*self, holds) {
            (settled @ (Self::PROVEN | Self::WAIVED), _) => settled,
            (Self::UNPROVEN, true) => Self::ONCE,
            (_, true) => Self::PROVEN,
            (Self(since), false) if (1..FEW).contains(&since) => Self(since + 1),
            (_, false) => Self::UNPROVEN,
        };
        *self == Self::PROVEN && !holds
    }
}

/// Among so many segments two must hold. Of unfinished checksums, two do so by chance once in 500 million.
const FEW: u8 = 8;

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
        let mut checksums = vec![true];
        for _ in 0..3 {
            checksums.extend([false; FEW as usize]);
            checksums.push(true);
        }
        checksums.push(false);
        assert_rejects(&checksums, &vec![false; checksums.len()]);
    }

    #[test]
    fn spoiling_every_other_segment_does_not_help_a_sender() {
        assert_rejects(&[true, false, true, false, true, false], &[false, false, false, true, false, true]);
    }

    #[test]
    fn once_waived_nothing_is_held_against_it() {
        let mut trust = Trust::WAIVED;
        assert!(![true, true, true, false].into_iter().any(|holds| trust.rejects(holds)));
    }
}
