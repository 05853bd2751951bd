//! What the correlator says: alerts about one thing seen, incidents about one host.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::time::Timestamp;

/// How bad it is. Orders from worst to least, so `Critical < Info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    Critical,
    High,
    Medium,
    Low,
    Info,
}

impl Severity {
    /// All, worst first.
    pub const ALL: [Self; 5] = [Self::Critical, Self::High, Self::Medium, Self::Low, Self::Info];

    /// EVE's number: 1 for critical to 5 for info.
    pub const fn number(self) -> u8 {
        self as u8 + 1
    }

    /// Its name in rules, options and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
            Self::Info => "info",
        }
    }

    /// Whether this is `threshold` or worse.
    pub fn reaches(self, threshold: Self) -> bool {
        self <= threshold
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Severity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|s| s.name() == text);
        found.ok_or_else(|| format!("unknown severity '{text}'; use one of critical, high, medium, low, info"))
    }
}

/// A detector or rule fired.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    pub time: Timestamp,
    /// The rule's or detector's stable name.
    pub rule: String,
    /// EVE's `signature_id`.
    pub sid: u32,
    pub rev: u32,
    /// One line for people (EVE's `signature`).
    pub title: String,
    pub category: String,
    pub severity: Severity,
    /// The home host it is about, if one is.
    pub host: Option<IpAddr>,
    pub evidence: Vec<Evidence>,
    pub remediation: String,
    pub references: Vec<String>,
}

/// Why: one reason, in words for people and figures for programs.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// The detector or rule that gives it.
    pub source: String,
    /// One sentence with its figures.
    pub text: String,
    /// The same figures by name, in a fixed order.
    pub figures: Vec<(&'static str, Figure)>,
}

/// A figure of evidence.
#[derive(Clone, Debug, PartialEq)]
pub enum Figure {
    Count(u64),
    Real(f64),
    Text(String),
    List(Vec<String>),
}

/// In the evidence of an incident: what it weighs by now. They add up to the score.
pub const WEIGHT: &str = "weight";
/// In the evidence of an incident: `yes` where it needs no message's content, else `no`.
pub const CONTENT_FREE: &str = "content_free";

/// What is thought of a host. Orders from best to worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    #[default]
    Clean,
    Suspicious,
    Infected,
}

impl Verdict {
    /// All, best first.
    pub const ALL: [Self; 3] = [Self::Clean, Self::Suspicious, Self::Infected];

    /// Its name in EVE and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Suspicious => "suspicious",
            Self::Infected => "infected",
        }
    }
}

/// A host's case: told when its verdict changes, and once more at the end.
#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    pub time: Timestamp,
    /// Stable for one run: a number from 1.
    pub id: u64,
    pub host: IpAddr,
    /// Its other addresses, where they are known to be the same host; in order.
    pub other_addresses: Vec<IpAddr>,
    pub verdict: Verdict,
    /// The sum of the weights of its evidence, which each carries as its figure `weight`.
    pub score: f64,
    /// Whether the host is a mail server, and how that is known; none for an ordinary host.
    pub role: Option<String>,
    /// First and last time the host did what it is judged for.
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    pub messages: u64,
    pub recipients: u64,
    /// Bytes of IP packets of its mail flows, both ways.
    pub mail_bytes: u64,
    pub mx_lookups: u64,
    /// `mail_bytes` as a share (0 to 1) of all bytes captured since the host's first mail: those between the last
    /// tick before its first event on a mail flow and the last tick so far, over all sources. 0 until that second
    /// tick has come; never above 1, though mail bytes newer than the tick are already in `mail_bytes`.
    pub share_of_link: f64,
    pub evidence: Vec<Evidence>,
    pub timeline: Vec<Moment>,
    /// True for the last line about it.
    pub closed: bool,
}

/// A step in an incident's timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    pub time: Timestamp,
    pub text: String,
}

#[cfg(test)]
impl Incident {
    /// One of which little more is known than whose it is, for tests.
    pub fn of(host: IpAddr) -> Self {
        Self {
            time: Timestamp::default(),
            id: 1,
            host,
            other_addresses: Vec::new(),
            verdict: Verdict::Infected,
            score: 0.0,
            role: None,
            first_seen: Timestamp::default(),
            last_seen: Timestamp::default(),
            messages: 0,
            recipients: 0,
            mail_bytes: 0,
            mx_lookups: 0,
            share_of_link: 0.0,
            evidence: Vec::new(),
            timeline: Vec::new(),
            closed: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severity_reaches_what_is_milder() {
        assert!(Severity::Critical.reaches(Severity::High));
        assert!(Severity::High.reaches(Severity::High));
        assert!(!Severity::Medium.reaches(Severity::High));
        assert_eq!("low".parse(), Ok(Severity::Low));
        assert!("Low!".parse::<Severity>().unwrap_err().contains("critical"));
        assert_eq!(Severity::Info.number(), 5);
    }
}
