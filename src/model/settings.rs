//! Settings of the stages, with their defaults. `config.rs` reads them from a file; the command line overrides.

use std::time::Duration;

use serde::Deserialize;

use super::limits;

/// Thresholds of the detectors (`[detect]` in the configuration file).
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DetectSettings {
    pub roles: Roles,
    pub direct_to_mx: DirectToMx,
    pub recipient_fanout: RecipientFanout,
    pub mx_guessing: MxGuessing,
    pub mail_volume: MailVolume,
}

/// How a home host earns the role of a mail server that was not declared.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Roles {
    /// Distinct clients it must have greeted on a mail port. One or two can be had for nothing: a port scan, a worm's
    /// own accomplice.
    pub clients: u32,
    /// Or, with at least two clients: messages it must have accepted ...
    pub messages: u64,
    /// ... and for how long it must have served by then.
    pub served_seconds: u64,
}

impl Default for Roles {
    fn default() -> Self {
        Self { clients: 3, messages: 2, served_seconds: 3_600 }
    }
}

/// `direct-to-mx`: the chain of MX question, answer, address and connection.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DirectToMx {
    /// Distinct domains delivered to within `window-seconds` before the alert is high; fewer are low (one admin's test).
    pub domains: u32,
    pub window_seconds: u64,
}

impl Default for DirectToMx {
    fn default() -> Self {
        Self { domains: 3, window_seconds: 600 }
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
    /// A mail server's ceilings are this many times as high.
    pub server_factor: u64,
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
        }
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

/// What the sensor follows (`[sensor]`).
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SensorSettings {
    pub flows: usize,
    /// Longest message kept in full, in bytes.
    pub message_bytes: usize,
    /// TCP ports on which SMTP is expected; on others it is found by content.
    pub mail_ports: Vec<u16>,
    /// Raise an event at the end of every flow, not only of mail flows (set when `--events` has `flow`).
    #[serde(skip)]
    pub flow_records: bool,
    /// Raise events for every DNS message, not only those the chain needs (set when `--events` has `dns`).
    #[serde(skip)]
    pub all_dns: bool,
}

impl Default for SensorSettings {
    fn default() -> Self {
        Self {
            flows: limits::FLOWS,
            message_bytes: limits::MESSAGE_BYTES,
            mail_ports: vec![25, 465, 587, 2525],
            flow_records: false,
            all_dns: false,
        }
    }
}

/// Packet time between two ticks.
pub const TICK: Duration = Duration::from_secs(1);
