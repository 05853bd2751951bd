//! What all SMTP sessions of a sensor hold, and which of them give way when that is too much.
//!
//! One account, since a bound for each session bounds nothing where there are thousands. The sessions that hold most
//! give way first: a worm's mail is some dozens of kilobytes, and whoever wants to fill the sensor has to hold more
//! than that in each session, or to keep up so many that `limits::STREAMS` stops it. To find the largest without a list
//! that each packet would have to keep in order, bytes are summed by size class; the flows are looked through only when
//! the account is full, and then a good part of it is made free.

use crate::model::limits;
use crate::model::stats::SmtpStats;

/// Bytes held, by the size class of the session that holds them.
#[derive(Debug)]
pub(super) struct SmtpAccount {
    /// What all sessions together may hold.
    pub(super) bound: u64,
    /// Of sessions that hold from 2^n bytes to twice as many.
    classes: [u64; CLASSES],
}

impl SmtpAccount {
    pub(super) const fn new(bound: u64) -> Self {
        Self { bound, classes: [0; CLASSES] }
    }

    /// A session that was `charged` so much holds `held` now.
    pub(super) fn settle(&mut self, charged: &mut u64, held: u64, stats: &mut SmtpStats) {
        if *charged == held {
            return;
        }
        let (before, now) = (class(*charged), class(held));
        self.classes[before] = self.classes[before].saturating_sub(*charged);
        self.classes[now] += held;
        stats.held_bytes = stats.held_bytes.saturating_sub(*charged) + held;
        *charged = held;
    }

    /// Whether sessions have to give way.
    pub(super) const fn is_full(&self, stats: &SmtpStats) -> bool {
        stats.held_bytes > self.bound
    }

    /// How much has to be made free, and the size from which on sessions give way for it.
    pub(super) fn relief(&self) -> (u64, u64) {
        let wanted = self.bound / limits::SMTP_RELIEF;
        let mut there = 0;
        for (class, bytes) in self.classes.iter().enumerate().rev() {
            there += bytes;
            if there >= wanted {
                return (wanted, 1 << class);
            }
        }
        (wanted, 0)
    }
}

/// The class of a size: the place of its highest bit.
fn class(size: u64) -> usize {
    size.checked_ilog2().unwrap_or(0) as usize
}

const CLASSES: usize = u64::BITS as usize;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_classes_that_free_enough_give_way() {
        let (mut account, mut stats) = (SmtpAccount::new(limits::SMTP_HELD_BYTES as u64), SmtpStats::default());
        let wanted = limits::SMTP_HELD_BYTES as u64 / limits::SMTP_RELIEF;
        let mut sessions = [0; 3];
        for (charged, held) in sessions.iter_mut().zip([wanted - 1, 40_000, 1_000]) {
            account.settle(charged, held, &mut stats);
        }
        assert_eq!(stats.held_bytes, wanted + 40_999);
        assert_eq!(account.relief(), (wanted, 32_768), "the largest alone is a byte short");
        account.settle(&mut sessions[0], wanted, &mut stats);
        assert_eq!(account.relief(), (wanted, 1 << wanted.ilog2()));
        for charged in &mut sessions {
            account.settle(charged, 0, &mut stats);
        }
        assert_eq!((stats.held_bytes, account.relief()), (0, (wanted, 0)));
    }
}
