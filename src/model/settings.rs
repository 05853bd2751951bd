//! Settings of the stages, with their defaults. `config.rs` reads them from a file; the command line overrides.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;

use super::limits;
use super::memory::Shares;
use super::net::HomeNet;

/// Thresholds of the detectors (`[detect]` in the configuration file).
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DetectSettings {
    pub roles: Roles,
    pub verdict: Verdict,
    pub direct_to_mx: DirectToMx,
    pub recipient_fanout: RecipientFanout,
    pub mx_guessing: MxGuessing,
    pub self_propagation: SelfPropagation,
    pub smtp_dialect: SmtpDialect,
    pub mail_volume: MailVolume,
    pub flood_after_flag: FloodAfterFlag,
}

/// How a home host earns the role of a mail server that was not declared.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Roles {
    /// Independent clients that must have delivered mail to it: networks outside (of /24, /48), or hosts at home.
    pub clients: u32,
    /// From the first to the last of what they delivered: accomplices come when they are called, correspondents when
    /// they have something to say.
    pub served_seconds: u64,
    /// Contacts on port 25 outside that each network which delivered to it explains ...
    pub contacts_per_client: u32,
    /// ... and each recipient of what was delivered: a list server passes one message on to many, a person's answer goes
    /// to one.
    pub contacts_per_message: u32,
    /// Contacts for which a host that nobody has written to yet, and that speaks as a mail server, is taken for a new one.
    pub patience: u32,
}

impl Default for Roles {
    fn default() -> Self {
        Self { clients: 3, served_seconds: 600, contacts_per_client: 5, contacts_per_message: 2, patience: 50 }
    }
}

/// How a host's score fades, and when its incident closes.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Verdict {
    /// After this long without anything new a piece of evidence weighs half.
    pub half_life_seconds: u64,
    /// An incident closes when what is held against the host weighs less than this: with the defaults some 12 hours
    /// after the last of one behaviour of medium severity, some 20 hours after the last of a worm's messages.
    pub calm_below: f64,
}

impl Default for Verdict {
    fn default() -> Self {
        Self { half_life_seconds: 21_600, calm_below: 10.0 }
    }
}

/// What an operator does not want to be told: a detector or rule, for some hosts, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignore {
    pub detector: String,
    pub host: IpNet,
    /// Shown in the summary.
    pub reason: String,
}

/// `direct-to-mx`: the chain of MX question, answer, address and connection.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DirectToMx {
    /// Distinct domains delivered to within `window-seconds` before the alert is high; fewer are low (one admin's test).
    pub domains: u32,
    pub window_seconds: u64,
    /// The same within a day, for who is patient.
    pub domains_a_day: u32,
}

impl Default for DirectToMx {
    fn default() -> Self {
        Self { domains: 3, window_seconds: 600, domains_a_day: 12 }
    }
}

/// `recipient-fanout`: the sequential test over outcomes of deliveries.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RecipientFanout {
    /// Share of deliveries to known domains and servers that succeed, of an honest host. Jung 2004 takes 0.8.
    pub theta0: f64,
    /// The same of an infected host; less than `theta0`. Jung 2004 takes 0.2.
    pub theta1: f64,
    /// The chance to accuse an honest host.
    pub alpha: f64,
    /// The chance to acquit an infected one.
    pub beta: f64,
    /// Verdicts of infection in a row from which first contacts alone are high, and a ground of their own.
    pub repeats: u32,
}

impl Default for RecipientFanout {
    fn default() -> Self {
        Self { theta0: 0.8, theta1: 0.2, alpha: 0.01, beta: 0.01, repeats: 2 }
    }
}

/// `mx-guessing`: names of mail servers asked for without their domains' exchangers.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct MxGuessing {
    /// Distinct domains within `window-seconds` from which it is told: a mail program asks for its provider's one or two.
    pub domains: u32,
    pub window_seconds: u64,
}

impl Default for MxGuessing {
    fn default() -> Self {
        Self { domains: 5, window_seconds: 600 }
    }
}

/// `self-propagation`: one program from one host to many recipients.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SelfPropagation {
    /// Distinct recipients of one file within `window-seconds` from which it is told as medium.
    pub recipients: u32,
    /// The same for a file that reached the network before; told as high.
    pub returned: u32,
    /// Messages it must have been in: one message to many is how people send.
    pub messages: u32,
    pub window_seconds: u64,
}

impl Default for SelfPropagation {
    fn default() -> Self {
        Self { recipients: 5, returned: 3, messages: 3, window_seconds: 86_400 }
    }
}

/// `smtp-dialect`: bots by how they speak.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SmtpDialect {
    /// Sessions in which the host spoke before the greeting from which it is medium: a capture may lose one greeting.
    pub early_sessions: u32,
    /// Odd traits in one session (of `HELO localhost`, lower case, bare line feeds, no brackets) from which it is told
    /// as low.
    pub odd_traits: u32,
    /// Names it gave itself in EHLO or HELO from which it is medium: a machine has one, a bot's template makes them up.
    /// At most 4 are told apart.
    pub names: u32,
}

impl Default for SmtpDialect {
    fn default() -> Self {
        Self { early_sessions: 2, odd_traits: 2, names: 3 }
    }
}

/// `mail-volume`: ceilings per host and window.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct MailVolume {
    pub window_seconds: u64,
    /// Messages an ordinary host may send in a window: a person writes a few, a worm of this family 22 a minute.
    pub messages: u64,
    /// Recipients in a window.
    pub recipients: u64,
    /// Bytes of mail flows in a window.
    pub bytes: u64,
    /// Connections to mail ports in a window.
    pub connections: u64,
    /// A mail server's ceilings are this many times as high; of one that was not declared, at most twice the number of
    /// clients that deliver to it.
    pub server_factor: u64,
    /// Up to so many times the ceiling is low where all of it was handed in at a submission port in the house: its server
    /// knows who it was, and a mail merge is such a thing.
    pub submission_factor: u64,
    /// Windows with mail that must be known of a host before it is compared with itself; at most 24 are kept.
    pub baseline_windows: u32,
    /// How many deviations above its own median are too many.
    pub baseline_deviations: f64,
    /// As a share of the ceilings: below it nothing is compared, since small hosts vary most.
    pub baseline_floor: f64,
}

impl Default for MailVolume {
    fn default() -> Self {
        Self {
            window_seconds: 600,
            messages: 50,
            recipients: 200,
            bytes: 100 << 20,
            connections: 100,
            server_factor: 100,
            submission_factor: 4,
            baseline_windows: 12,
            baseline_deviations: 5.0,
            baseline_floor: 0.5,
        }
    }
}

/// Where syslog messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyslogTarget {
    /// A datagram socket of this machine.
    Unix(PathBuf),
    /// Host (name or address) and port.
    Udp(String, u16),
}

impl fmt::Display for SyslogTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Udp(host, port) => write!(f, "udp://{host}:{port}"),
        }
    }
}

/// `flood-after-flag`: floods of one destination by a host under suspicion.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct FloodAfterFlag {
    /// Connection attempts and echo requests to one destination from which it is told as medium. Below
    /// [`limits::FLOOD_PACKETS`] in [`limits::FLOOD_WINDOW`] nothing is counted.
    pub packets: u64,
    /// So many are high: at the least rate that is counted, some minutes of it.
    pub heavy: u64,
    /// After a longer pause it is another flood.
    pub window_seconds: u64,
}

impl Default for FloodAfterFlag {
    fn default() -> Self {
        Self { packets: 100, heavy: 2_000, window_seconds: 60 }
    }
}

/// What the inspector reads and how far (`[inspect]`).
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct InspectSettings {
    /// Hashes computed for each file.
    pub hashes: Vec<HashKind>,
    pub archive_depth: usize,
    pub archive_members: usize,
    pub archive_bytes: u64,
    /// Keep file contents in the findings (set when `--extract` is given, not in the file).
    #[serde(skip)]
    pub keep_content: bool,
    /// Largest file kept.
    #[serde(skip)]
    pub keep_bytes: usize,
    /// What archives within archives may take in memory while a message is opened (set by `memory`).
    #[serde(skip)]
    pub nested_bytes: usize,
    /// Largest window that a packed stream may ask for (set by `memory`).
    #[serde(skip)]
    pub window_bytes: u64,
}

impl Default for InspectSettings {
    fn default() -> Self {
        Self {
            hashes: vec![HashKind::Md5, HashKind::Sha1, HashKind::Sha256],
            archive_depth: limits::ARCHIVE_DEPTH,
            archive_members: limits::ARCHIVE_MEMBERS,
            archive_bytes: limits::ARCHIVE_BYTES,
            keep_content: false,
            keep_bytes: 32 << 20,
            nested_bytes: limits::ARCHIVE_NESTED_BYTES,
            window_bytes: limits::ARCHIVE_WINDOW,
        }
    }
}

impl InspectSettings {
    /// Whether `kind` is to be computed.
    pub fn wants(&self, kind: HashKind) -> bool {
        self.hashes.contains(&kind)
    }
}

/// A hash algorithm by its name in the settings.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum HashKind {
    Md5,
    Sha1,
    Sha256,
}

impl HashKind {
    /// Its name in settings and rules.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }
}

/// What `[sensor]` says; none where it leaves that to the budget of memory, or to the default.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SensorTable {
    /// Flows of all sources together.
    pub flows: Option<usize>,
    pub message_bytes: Option<usize>,
    pub mail_ports: Option<Vec<u16>>,
}

impl SensorTable {
    /// The settings of one of `sources` sensors: what is said wins, the rest follows from their shares.
    pub fn settings(&self, shares: &Shares, sources: usize) -> SensorSettings {
        let default = SensorSettings::default();
        SensorSettings {
            flows: self.flows.map_or(shares.flows, |flows| flows.div_ceil(sources.max(1))),
            message_bytes: self.message_bytes.unwrap_or(shares.message_bytes),
            mail_ports: self.mail_ports.clone().unwrap_or(default.mail_ports),
            shares: shares.clone(),
            ..SensorSettings::default()
        }
    }
}

/// What the sensor follows.
#[derive(Clone, Debug, PartialEq)]
pub struct SensorSettings {
    pub flows: usize,
    /// Longest message kept in full, in bytes.
    pub message_bytes: usize,
    /// TCP ports on which SMTP is expected; on others it is found by content.
    pub mail_ports: Vec<u16>,
    /// Raise an event at the end of every flow, not only of mail flows (set when `--events` has `flow`).
    pub flow_records: bool,
    /// Raise events for every DNS message, not only those the chain needs (set when `--events` has `dns`).
    pub all_dns: bool,
    /// Raise an event for every packet of mail, and of DNS that is told, of hosts in these networks (set when
    /// `--evidence` is given).
    pub keep_packets_of: Option<HomeNet>,
    /// What it may hold, and those after it.
    pub shares: Shares,
    /// Connection attempts and echo requests of a pair of hosts within [`limits::FLOOD_WINDOW`] that are told (set by the
    /// number of threads).
    pub flood_packets: u32,
}

impl Default for SensorSettings {
    fn default() -> Self {
        Self {
            flows: limits::FLOWS,
            message_bytes: limits::MESSAGE_BYTES,
            mail_ports: vec![25, 465, 587, 2525],
            flow_records: false,
            all_dns: false,
            keep_packets_of: None,
            shares: Shares::default(),
            flood_packets: limits::FLOOD_PACKETS,
        }
    }
}

impl SensorSettings {
    /// One of so many threads that share an interface, and with it each flood: tells of a part from half of what it
    /// would see of the smallest, since the kernel does not share out evenly.
    pub fn share_floods(&mut self, threads: usize) {
        if threads > 1 {
            let half = limits::FLOOD_PACKETS / (2 * u32::try_from(threads).unwrap_or(u32::MAX / 2));
            self.flood_packets = half.max(limits::FLOOD_PART);
        }
    }
}

/// Packet time between two ticks.
pub const TICK: Duration = Duration::from_secs(1);
