//! One budget of memory, divided over all that holds any.
//!
//! The division is fixed when the program starts: each pool has its own share and none borrows from another, so what
//! gives way depends on the capture alone, never on which thread was faster. Every share is in proportion: the bounds of
//! [`limits`] are those of [`limits::MEMORY`], and half the budget is half of each. What is kept for each source of packets
//! is divided among them.
//!
//! A pool that is full gives up its least valuable thing, which is counted:
//!
//! | pool | what gives way |
//! | --- | --- |
//! | `evidence` | the oldest packets kept in case their host is suspected |
//! | `queues` | live capture: the events that waited longest; a replay waits |
//! | `inspection` | live capture: messages pass on unopened, their envelopes are correlated; a replay waits |
//! | `reassembly` | late copies go unjudged, then holes are given up |
//! | `fragments` | the datagram that began first |
//! | `flows` | closed flows, then unanswered, then idle ones, those that spoke SMTP or DNS last |
//! | `dns` | the unfinished message that comes when there is no room |
//! | `messages` | the sessions that hold most are told as far as they were read |
//! | `hosts` | the long lists of infected hosts, quiet hosts, the lists of infected and suspicious ones; then hosts that mailed, known, suspicious, infected ones |

use std::fmt;
use std::str::FromStr;

use super::limits;

/// A budget, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Memory(pub u64);

impl Memory {
    /// The least that so many sources can work with: each must be able to hold a message of an ordinary worm many times
    /// over, and a DNS message of the longest.
    pub const fn least(sources: usize) -> Self {
        Self(limits::MEMORY_LEAST + limits::MEMORY_LEAST_SOURCE * sources as u64)
    }

    /// What is taken when nobody says anything: the bounds of [`limits`], unless there are so many sources that each would
    /// get too little.
    pub fn usual(sources: usize) -> Self {
        Self(limits::MEMORY).max(Self::least(sources))
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
        match units.into_iter().find(|(_, bits)| self.0 != 0 && self.0.is_multiple_of(1 << bits)) {
            Some((unit, bits)) => write!(f, "{}{unit}", self.0 >> bits),
            None => write!(f, "{}", self.0),
        }
    }
}

impl FromStr for Memory {
    type Err = String;

    /// Reads a number of bytes: `512MiB`, `512M`, `2G`, `536870912`. All units are powers of 1,024.
    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let bits = match text[digits.len()..].to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            _ => return Err(not_a_size(text)),
        };
        let number: u64 = digits.parse().map_err(|_| not_a_size(text))?;
        let bytes = number.checked_mul(1 << bits).filter(|bytes| *bytes <= limits::MEMORY_MOST);
        let memory = bytes.map(Self).ok_or_else(|| format!("'{text}' is more than any machine has; use less"))?;
        if memory < Self::least(1) {
            return Err(format!("{text} of memory is too little to work with; use at least {}", Self::least(1)));
        }
        Ok(memory)
    }
}

fn not_a_size(text: &str) -> String {
    format!("'{text}' is no size; write it as 512MiB or 2GiB")
}

/// What each pool may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shares {
    /// The whole.
    pub budget: Memory,
    /// Flows in the table of each source.
    pub flows: usize,
    /// Streams followed in full by each source.
    pub streams: usize,
    /// Bytes out of order held by all streams of a source.
    pub stream_bytes: usize,
    /// Delivered bytes kept for comparison by all streams of a source.
    pub tail_bytes: usize,
    /// Bytes of fragments held by each source.
    pub fragment_bytes: usize,
    /// Datagrams being put together by each source.
    pub fragment_datagrams: usize,
    /// Bytes of unfinished DNS messages held by each source.
    pub dns_bytes: usize,
    /// Bytes held by all SMTP sessions of a source.
    pub smtp_bytes: usize,
    /// Longest message kept in full, in bytes: one must fit with room to spare into what all sessions hold, and into what is
    /// inspected.
    pub message_bytes: usize,
    /// Bytes of messages waiting for or under inspection.
    pub inspect_bytes: usize,
    /// Bytes that an archive within archives may take while it is opened.
    pub nested_bytes: usize,
    /// Largest window of a packed stream that is unpacked, in bytes. An inspector that unpacks takes it beside all pools.
    pub window_bytes: u64,
    /// Bytes of events waiting for the correlator.
    pub event_bytes: usize,
    /// Home hosts with state.
    pub hosts: usize,
    /// Names and addresses remembered for all hosts.
    pub host_entries: usize,
    /// Bytes of packets remembered for evidence.
    pub evidence_bytes: usize,
}

impl Shares {
    /// Divides `budget` among the pools, and what is kept for each source among `sources`.
    pub fn of(budget: Memory, sources: usize) -> Self {
        let part = |whole: usize| (whole as u128 * u128::from(budget.0) / u128::from(limits::MEMORY)) as usize;
        let each = |whole: usize| (part(whole) / sources.max(1)).max(1);
        let smtp_bytes = each(limits::SMTP_HELD_BYTES);
        let inspect_bytes = part(limits::INSPECT_BYTES);
        Self {
            budget,
            flows: each(limits::FLOWS),
            streams: each(limits::STREAMS),
            stream_bytes: each(limits::STREAMS_HELD_BYTES),
            tail_bytes: each(limits::STREAMS_TAIL_BYTES),
            fragment_bytes: each(limits::FRAGMENT_BYTES),
            fragment_datagrams: each(limits::FRAGMENT_DATAGRAMS),
            dns_bytes: each(limits::DNS_HELD_BYTES),
            smtp_bytes,
            message_bytes: limits::MESSAGE_BYTES.min(smtp_bytes / 3 * 2).min(inspect_bytes / 3 * 2),
            inspect_bytes,
            nested_bytes: part(limits::ARCHIVE_NESTED_BYTES).min(limits::ARCHIVE_NESTED_BYTES),
            window_bytes: (part(limits::ARCHIVE_WINDOW as usize) as u64)
                .clamp(limits::ARCHIVE_WINDOW_LEAST, limits::ARCHIVE_WINDOW),
            event_bytes: part(limits::EVENT_BYTES),
            hosts: part(limits::HOSTS),
            host_entries: part(limits::HOST_ENTRIES),
            evidence_bytes: part(limits::EVIDENCE_RING),
        }
    }
}

impl Default for Shares {
    fn default() -> Self {
        Self::of(Memory(limits::MEMORY), 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_budget_gives_the_bounds_that_are_named() {
        let shares = Shares::of(Memory::usual(1), 1);
        assert_eq!((shares.flows, shares.streams), (limits::FLOWS, limits::STREAMS));
        assert_eq!((shares.stream_bytes, shares.tail_bytes), (limits::STREAMS_HELD_BYTES, limits::STREAMS_TAIL_BYTES));
        assert_eq!((shares.smtp_bytes, shares.dns_bytes), (limits::SMTP_HELD_BYTES, limits::DNS_HELD_BYTES));
        assert_eq!((shares.message_bytes, shares.inspect_bytes), (limits::MESSAGE_BYTES, limits::INSPECT_BYTES));
        assert_eq!((shares.nested_bytes, shares.window_bytes), (limits::ARCHIVE_NESTED_BYTES, limits::ARCHIVE_WINDOW));
        assert_eq!((shares.hosts, shares.host_entries), (limits::HOSTS, limits::HOST_ENTRIES));
        assert_eq!((shares.fragment_bytes, shares.evidence_bytes), (limits::FRAGMENT_BYTES, limits::EVIDENCE_RING));
    }

    /// With what one thing of each kind takes, all pools full together stay within the budget.
    #[test]
    fn all_pools_full_are_no_more_than_the_budget() {
        for (budget, sources) in [("1GiB", 1), ("32MiB", 1), ("64MiB", 1), ("512MiB", 4), ("8GiB", 64)] {
            let budget: Memory = budget.parse().unwrap();
            let s = Shares::of(budget, sources);
            let source = s.flows * limits::FLOW_COST
                + s.streams * limits::STREAM_COST
                + s.stream_bytes
                + s.tail_bytes
                + s.fragment_bytes
                + s.dns_bytes
                + s.smtp_bytes;
            let hosts = s.hosts * limits::HOST_COST + s.host_entries * limits::HOST_ENTRY_COST;
            let all = source * sources + hosts + s.inspect_bytes + s.event_bytes + s.evidence_bytes;
            assert!(all as u64 <= budget.0, "{budget} for {sources}: {all}");
            assert!(all as u64 >= budget.0 / 100 * 85, "{budget} for {sources}: {all} leaves much unused");
        }
    }

    #[test]
    fn sources_share_what_is_kept_for_each() {
        let (one, four) = (Shares::of(Memory(1 << 30), 1), Shares::of(Memory(1 << 30), 4));
        assert_eq!((four.flows, four.smtp_bytes), (one.flows / 4, one.smtp_bytes / 4));
        assert_eq!((four.hosts, four.inspect_bytes), (one.hosts, one.inspect_bytes));
        assert!(four.message_bytes >= 24 << 20, "{}", four.message_bytes);
    }

    /// At the least budget each source still takes a large mail, and DNS messages of the longest.
    #[test]
    fn the_least_budget_is_enough_to_work_with() {
        for sources in [1, 2, 8, 64, 1_024] {
            let shares = Shares::of(Memory::least(sources), sources);
            assert!(shares.message_bytes >= 1 << 20, "{sources}: {shares:?}");
            assert!(shares.dns_bytes >= 3 * limits::DNS_MESSAGE, "{sources}: {shares:?}");
            assert!(shares.fragment_bytes >= 3 * limits::DNS_MESSAGE, "{sources}: {shares:?}");
            assert!(shares.flows >= 10_000 && shares.hosts >= 3_000, "{sources}: {shares:?}");
            assert!(shares.nested_bytes >= 1 << 20, "{sources}: {shares:?}");
        }
    }

    #[test]
    fn sizes_are_read_and_shown() {
        for (text, bytes) in
            [("64MiB", 64 << 20), ("64M", 64 << 20), ("2g", 2 << 30), ("67108865", 67_108_865), ("65536KiB", 64 << 20)]
        {
            assert_eq!(text.parse(), Ok(Memory(bytes)), "{text}");
        }
        assert_eq!(Memory(64 << 20).to_string(), "64MiB");
        assert_eq!(Memory(3 << 30).to_string(), "3GiB");
        for (text, what) in [
            ("1MiB", "1MiB of memory is too little to work with; use at least 32MiB"),
            ("lots", "'lots' is no size; write it as 512MiB or 2GiB"),
            ("1.5GiB", "'1.5GiB' is no size; write it as 512MiB or 2GiB"),
            ("", "'' is no size; write it as 512MiB or 2GiB"),
            ("-1", "'-1' is no size; write it as 512MiB or 2GiB"),
            ("99999999999GiB", "'99999999999GiB' is more than any machine has; use less"),
        ] {
            assert_eq!(text.parse::<Memory>().unwrap_err(), what);
        }
    }
}
