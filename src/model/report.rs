//! What is said at the end: every host that mailed, and what was lost on the way.

use std::net::IpAddr;

use super::alert::{Evidence, Moment, Severity, Verdict};
use super::settings::Ignore;
use super::stats::{CorrelateStats, InspectStats, SensorStats};
use super::time::Timestamp;

/// The whole run in one value: what the summary and `--format json` print.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Time of the first and last packet; none when there was no packet.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Home hosts under suspicion, and those that mailed most; worst verdict first, then most mail bytes.
    pub hosts: Vec<HostReport>,
    /// How many hosts under suspicion there are, listed or not, each at its worst; by verdict in the order of
    /// [`Verdict::ALL`]. The clean are not counted.
    pub verdicts: [u64; Verdict::ALL.len()],
    /// Home hosts that mailed at all, listed or not.
    pub mailing_hosts: u64,
    /// Alerts by rule name, worst severity first, then by name.
    pub alerts: Vec<(String, Severity, u64)>,
    /// What was left unsaid at the operator's wish, in the order of the configuration.
    pub ignored: Vec<Ignored>,
    pub sensor: SensorStats,
    pub inspect: InspectStats,
    pub correlate: CorrelateStats,
}

/// A wish not to be told, and how often it was heeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    pub wish: Ignore,
    pub times: u64,
}

/// A host's role in short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RoleKind {
    Declared,
    Learnt,
    /// It may be a mail server.
    Possible,
    Resolver,
    #[default]
    Ordinary,
}

impl RoleKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Declared, Self::Learnt, Self::Possible, Self::Resolver, Self::Ordinary];

    /// Its name in metrics and in the JSON summary.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Declared => "mail-server-declared",
            Self::Learnt => "mail-server-learnt",
            Self::Possible => "mail-server-possible",
            Self::Resolver => "resolver",
            Self::Ordinary => "ordinary",
        }
    }
}

/// One home host.
#[derive(Clone, Debug)]
pub struct HostReport {
    pub host: IpAddr,
    /// Its other addresses, where they are known to be the same host; in order.
    pub other_addresses: Vec<IpAddr>,
    /// In the report at the end: the worst of the run, also where the host has calmed since.
    pub verdict: Verdict,
    /// As [`super::alert::Incident::score`].
    pub score: f64,
    /// As [`super::alert::Incident::role`].
    pub role: Option<String>,
    pub role_kind: RoleKind,
    /// When it first did what it is judged for; for a clean host, when it first mailed.
    pub since: Timestamp,
    pub last_seen: Timestamp,
    pub messages: u64,
    pub recipients: u64,
    /// Bytes of IP packets of its mail flows, both ways.
    pub mail_bytes: u64,
    pub mx_lookups: u64,
    /// 0 to 1, as [`super::alert::Incident::share_of_link`].
    pub share_of_link: f64,
    /// Strongest first.
    pub evidence: Vec<Evidence>,
    /// First steps, first alerts and changes of verdict, in order of time.
    pub timeline: Vec<Moment>,
}
