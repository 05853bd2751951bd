//! Floods that several threads saw a part of each.
//!
//! The kernel spreads the flows of an interface over the threads that read it, and so the connection attempts of one
//! flood. Each thread tells of a part that alone would be none, and here the parts are added up: what is passed on has
//! [`limits::FLOOD_PACKETS`] within [`limits::FLOOD_WINDOW`], as where one thread sees all. Of a part that is too small to
//! be told nothing is known, so that no sum is ever too high.

use std::net::IpAddr;

use crate::detect::pace::apart;
use crate::detect::recent::Recent;
use crate::model::event::Flood;
use crate::model::limits;
use crate::model::time::Timestamp;

/// Sums by pair of hosts. Bounded.
#[derive(Debug)]
pub(super) struct JointFloods {
    pairs: Recent<(IpAddr, IpAddr), Sum>,
}

#[derive(Clone, Debug)]
struct Sum {
    start: Timestamp,
    in_window: u64,
    /// The last whole window was a flood, or this one is.
    hot: bool,
    /// Not passed on yet.
    held: Option<Flood>,
}

impl Default for JointFloods {
    fn default() -> Self {
        Self { pairs: Recent::new(limits::FLOOD_JOINED) }
    }
}

impl JointFloods {
    /// Adds a part; what is to be passed on of the flood by now.
    pub(super) fn add(&mut self, from: IpAddr, to: IpAddr, part: &Flood) -> Option<Flood> {
        let new = Sum { start: part.since, in_window: 0, hot: false, held: None };
        let mut sum = self.pairs.get(&(from, to)).cloned().unwrap_or(new);
        if apart(sum.start, part.since) >= limits::FLOOD_WINDOW {
            sum.hot &= sum.in_window >= u64::from(limits::FLOOD_PACKETS);
            if !sum.hot {
                sum.held = None;
            }
            (sum.start, sum.in_window) = (part.since, 0);
        }
        sum.in_window = sum.in_window.saturating_add(part.syns).saturating_add(part.echoes);
        sum.hot |= sum.in_window >= u64::from(limits::FLOOD_PACKETS);
        let held = match sum.held.take() {
            Some(held) => joined(&held, part),
            None => *part,
        };
        let told = if sum.hot {
            Some(held)
        } else {
            sum.held = Some(held);
            None
        };
        self.pairs.insert((from, to), sum);
        told
    }

    /// Bytes that the sums take.
    pub(super) fn memory(&self) -> usize {
        self.pairs.weight() * limits::HOST_ENTRY_COST
    }
}

fn joined(one: &Flood, other: &Flood) -> Flood {
    Flood {
        syns: one.syns.saturating_add(other.syns),
        echoes: one.echoes.saturating_add(other.echoes),
        port: other.port.or(one.port),
        since: one.since.min(other.since),
        last: one.last.max(other.last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(syns: u64, from: i64, to: i64) -> Flood {
        let at = |second| Timestamp::from_parts(second, 0);
        Flood { syns, echoes: 0, port: Some(80), since: at(from), last: at(to) }
    }

    fn address(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[test]
    fn parts_of_one_window_are_one_flood_and_what_follows_is_passed_on() {
        let mut floods = JointFloods::default();
        let mut add = |flood| floods.add(address(1), address(2), &flood);
        assert_eq!(add(part(30, 0, 9)), None);
        assert_eq!(add(part(30, 1, 9)), None);
        assert_eq!(add(part(30, 1, 9)), None);
        assert_eq!(add(part(10, 2, 8)), Some(part(100, 0, 9)));
        assert_eq!(add(part(30, 10, 19)), Some(part(30, 10, 19)), "the window before was a flood");
        assert_eq!(add(part(30, 20, 29)), None, "this one was none");
    }

    #[test]
    fn parts_of_different_windows_or_pairs_do_not_add_up() {
        let mut floods = JointFloods::default();
        for second in 0..20 {
            assert_eq!(floods.add(address(1), address(2), &part(30, second * 10, second * 10 + 9)), None);
            assert_eq!(floods.add(address(1), address(3), &part(60, second * 10, second * 10 + 9)), None);
        }
    }

    #[test]
    fn pairs_are_bounded() {
        let mut floods = JointFloods::default();
        for number in 0..100_000 {
            floods.add(address(number), address(2), &part(60, 0, 9));
        }
        assert_eq!(floods.pairs.len(), limits::FLOOD_JOINED);
    }
}
