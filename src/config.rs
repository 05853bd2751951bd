//! What the settings mean, checked: from the configuration file and the command line to one [`Config`].
//!
//! A [`Layer`] holds what one place says, with holes for what it leaves open. The command line is laid over the
//! file, and [`Config::new`] fills the holes that stay with defaults. Keys of the file are named as the options;
//! the tables `[detect]`, `[inspect]` and `[sensor]` are those of [`crate::model::settings`].

mod range;
mod read;
mod told;
mod value;

use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::Deserialize;

use self::read::{
    addresses, better, event_types, groups, home_networks, names, networks, one_network, one_path, paths, position,
    reason, ring_mib, snaplen, text, threads, workers,
};
pub use self::told::Alertmanager;
pub use self::value::{Destination, Format, LogLevel, Metrics, events, network, unknown};
use crate::model::alert::Severity;
use crate::model::eve_type::{EventFilter, EventType};
use crate::model::limits;
use crate::model::memory::{Memory, Shares};
use crate::model::net::HomeNet;
use crate::model::settings::{DetectSettings, Ignore, InspectSettings, SensorSettings, SensorTable, SyslogTarget};

/// Everything that `replay` and `live` share, with no holes left.
#[derive(Clone, Debug)]
pub struct Config {
    /// Rule files or folders; none for the pack built into the binary.
    pub rules: Option<Vec<PathBuf>>,
    pub home_net: HomeNet,
    /// Hosts allowed to send mail straight to the world.
    pub mail_servers: Vec<IpNet>,
    /// Where EVE lines go; none for nowhere.
    pub eve: Option<Destination>,
    pub events: EventFilter,
    /// Capture filter in pcap-filter syntax, not yet compiled.
    pub bpf: Option<String>,
    /// Inspector threads.
    pub workers: usize,
    /// Where to serve metrics; none for nowhere.
    pub metrics: Option<SocketAddr>,
    /// Where a replay writes its metrics for node_exporter; none for nowhere.
    pub metrics_textfile: Option<PathBuf>,
    /// Where a live run posts incidents; none for nowhere.
    pub alertmanager: Option<Alertmanager>,
    /// Where alerts and incidents go by syslog; none for nowhere.
    pub syslog: Option<SyslogTarget>,
    /// Whether what people wrote, and to whom, is left out of all outputs.
    pub privacy: bool,
    /// What the hashes of `privacy` are keyed with; none for a new key each run.
    pub privacy_key_file: Option<PathBuf>,
    /// Folder for attachments; none when they are not written.
    pub extract: Option<PathBuf>,
    /// Folder for captures of incidents; none when they are not written.
    pub evidence: Option<PathBuf>,
    pub detect: DetectSettings,
    /// Addresses that are one host each.
    pub groups: Vec<Vec<IpAddr>>,
    /// What is not to be told.
    pub ignore: Vec<Ignore>,
    pub inspect: InspectSettings,
    pub sensor: SensorSettings,
    /// The budget of memory; none for the usual one.
    pub memory: Option<Memory>,
    /// What `[sensor]` said.
    sensor_said: SensorTable,
}

impl Config {
    /// Fills what `layer` leaves open. `metrics` is the command's default for serving metrics, `cores` the number of
    /// processor cores.
    pub fn new(layer: Layer, metrics: Option<SocketAddr>, cores: usize) -> Self {
        let events = layer.events.unwrap_or_default();
        let mut inspect = layer.inspect;
        inspect.keep_content = layer.extract.is_some();
        let home_net = layer.home_net.map_or_else(HomeNet::default, HomeNet::new);
        let sensor = SensorSettings {
            flow_records: events.has(EventType::Flow),
            all_dns: events.has(EventType::Dns),
            keep_packets_of: layer.evidence.is_some().then(|| home_net.clone()),
            ..SensorSettings::default()
        };
        let config = Self {
            rules: layer.rules,
            home_net,
            mail_servers: layer.mail_server.unwrap_or_default(),
            eve: layer.eve,
            events,
            bpf: layer.bpf,
            workers: layer.workers.map_or(cores.saturating_sub(1).clamp(1, usize::from(MAX_WORKERS)), usize::from),
            metrics: layer.metrics.map_or(metrics, |said| said.0),
            metrics_textfile: layer.metrics_textfile,
            alertmanager: layer.alertmanager,
            syslog: layer.syslog,
            privacy: layer.privacy.unwrap_or_default(),
            privacy_key_file: layer.privacy_key_file,
            extract: layer.extract,
            evidence: layer.evidence,
            detect: layer.detect,
            groups: layer.group.into_iter().map(|group| group.addresses).collect(),
            ignore: layer.ignore.into_iter().map(Into::into).collect(),
            inspect,
            sensor,
            memory: layer.memory,
            sensor_said: layer.sensor,
        };
        config.within(Shares::of(layer.memory.unwrap_or(Memory::usual(1)), 1), 1)
    }

    /// The same for so many sources of packets, which share the budget of memory.
    ///
    /// # Errors
    /// The budget that was said is too little for them: a sentence that says how much would do.
    pub fn for_sources(self, sources: usize) -> Result<Self, String> {
        let budget = self.memory.unwrap_or(Memory::usual(sources));
        if budget < Memory::least(sources) {
            let least = Memory::least(sources);
            return Err(format!(
                "{budget} of memory is too little for {sources} capture threads; use --memory {least} or more, or fewer \
                 --threads"
            ));
        }
        Ok(self.within(Shares::of(budget, sources), sources))
    }

    /// What the budget leaves to each pool.
    pub fn shares(&self) -> &Shares {
        &self.sensor.shares
    }

    fn within(mut self, shares: Shares, sources: usize) -> Self {
        self.inspect.nested_bytes = shares.nested_bytes;
        self.inspect.window_bytes = shares.window_bytes;
        self.inspect.keep_bytes = self.inspect.keep_bytes.min(shares.nested_bytes);
        let SensorSettings { flow_records, all_dns, keep_packets_of, .. } = self.sensor;
        let settings = self.sensor_said.settings(&shares, sources);
        self.sensor = SensorSettings { flow_records, all_dns, keep_packets_of, ..settings };
        self
    }
}

/// What one place, file or command line, says; none where it says nothing. Its fields are the file's keys.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Layer {
    #[serde(deserialize_with = "paths")]
    pub rules: Option<Vec<PathBuf>>,
    #[serde(deserialize_with = "home_networks")]
    pub home_net: Option<Vec<IpNet>>,
    #[serde(deserialize_with = "networks")]
    pub mail_server: Option<Vec<IpNet>>,
    #[serde(deserialize_with = "text")]
    pub eve: Option<Destination>,
    #[serde(deserialize_with = "event_types")]
    pub events: Option<EventFilter>,
    pub bpf: Option<String>,
    #[serde(deserialize_with = "workers")]
    pub workers: Option<u16>,
    #[serde(deserialize_with = "text")]
    pub memory: Option<Memory>,
    #[serde(deserialize_with = "text")]
    pub metrics: Option<Metrics>,
    #[serde(deserialize_with = "one_path")]
    pub metrics_textfile: Option<PathBuf>,
    #[serde(deserialize_with = "text")]
    pub alertmanager: Option<Alertmanager>,
    #[serde(deserialize_with = "text")]
    pub syslog: Option<SyslogTarget>,
    pub privacy: Option<bool>,
    #[serde(deserialize_with = "one_path")]
    pub privacy_key_file: Option<PathBuf>,
    #[serde(deserialize_with = "one_path")]
    pub extract: Option<PathBuf>,
    #[serde(deserialize_with = "one_path")]
    pub evidence: Option<PathBuf>,
    #[serde(deserialize_with = "text")]
    pub log_level: Option<LogLevel>,
    #[serde(deserialize_with = "names")]
    pub interface: Option<Vec<String>>,
    #[serde(deserialize_with = "snaplen")]
    pub snaplen: Option<u32>,
    pub no_promiscuous: Option<bool>,
    #[serde(deserialize_with = "ring_mib")]
    pub ring_mib: Option<u32>,
    #[serde(deserialize_with = "threads")]
    pub threads: Option<u16>,
    pub user: Option<String>,
    pub no_reopen: Option<bool>,
    pub no_confinement: Option<bool>,
    #[serde(deserialize_with = "text")]
    pub fail_on: Option<Severity>,
    #[serde(deserialize_with = "text")]
    pub format: Option<Format>,
    /// In the file only, as are those below.
    pub detect: DetectSettings,
    #[serde(deserialize_with = "groups")]
    pub group: Vec<Group>,
    pub ignore: Vec<Wish>,
    pub inspect: InspectSettings,
    pub sensor: SensorTable,
}

impl Layer {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// The file cannot be read, is not TOML, or holds an unknown key or an impossible value.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = contents(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        Self::read(path, &text)
    }

    /// Reads the text of a configuration file; `path` is for messages only.
    ///
    /// # Errors
    /// As [`Layer::load`], but for reading.
    pub fn read(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let invalid = |offset: usize, what: String| {
            let (line, column) = position(text, offset);
            ConfigError::Invalid { path: path.to_owned(), line, column, what }
        };
        let layer = toml::from_str(text).map_err(|error: toml::de::Error| {
            invalid(error.span().map_or(0, |span| span.start), better(error.message()))
        })?;
        match range::fault(text) {
            Some((offset, what)) => Err(invalid(offset, what)),
            None => Ok(layer),
        }
    }

    /// What this layer says, and where it says nothing what `below` says. The tables are `below`'s: the command
    /// line has none.
    pub fn over(self, below: Self) -> Self {
        Self {
            rules: self.rules.or(below.rules),
            home_net: self.home_net.or(below.home_net),
            mail_server: self.mail_server.or(below.mail_server),
            eve: self.eve.or(below.eve),
            events: self.events.or(below.events),
            bpf: self.bpf.or(below.bpf),
            workers: self.workers.or(below.workers),
            memory: self.memory.or(below.memory),
            metrics: self.metrics.or(below.metrics),
            metrics_textfile: self.metrics_textfile.or(below.metrics_textfile),
            alertmanager: self.alertmanager.or(below.alertmanager),
            syslog: self.syslog.or(below.syslog),
            privacy: self.privacy.or(below.privacy),
            privacy_key_file: self.privacy_key_file.or(below.privacy_key_file),
            extract: self.extract.or(below.extract),
            evidence: self.evidence.or(below.evidence),
            log_level: self.log_level.or(below.log_level),
            interface: self.interface.or(below.interface),
            snaplen: self.snaplen.or(below.snaplen),
            no_promiscuous: self.no_promiscuous.or(below.no_promiscuous),
            ring_mib: self.ring_mib.or(below.ring_mib),
            threads: self.threads.or(below.threads),
            user: self.user.or(below.user),
            no_reopen: self.no_reopen.or(below.no_reopen),
            no_confinement: self.no_confinement.or(below.no_confinement),
            fail_on: self.fail_on.or(below.fail_on),
            format: self.format.or(below.format),
            detect: below.detect,
            group: below.group,
            ignore: below.ignore,
            inspect: below.inspect,
            sensor: below.sensor,
        }
    }
}

/// A table `[[group]]`: addresses that are one host, as the IPv4 and the IPv6 address of a mail server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    #[serde(deserialize_with = "addresses")]
    pub addresses: Vec<IpAddr>,
}

/// A table `[[ignore]]`: a detector or rule that is not told about some hosts. All three keys are needed: whoever comes
/// after has to know why.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    pub detector: String,
    #[serde(deserialize_with = "one_network")]
    pub host: IpNet,
    #[serde(deserialize_with = "reason")]
    pub reason: String,
}

impl From<Wish> for Ignore {
    fn from(wish: Wish) -> Self {
        Self { detector: wish.detector, host: wish.host, reason: wish.reason }
    }
}

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration file {path}: {source}", path = path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    /// Line and column count from 1; columns are characters.
    #[error("{path}:{line}:{column}: {what}", path = path.display())]
    Invalid { path: PathBuf, line: usize, column: usize, what: String },
}

/// A device has no end.
fn contents(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(limits::CONFIG_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > limits::CONFIG_FILE_BYTES {
        return Err(io::Error::other(format!("it has more than {} bytes", limits::CONFIG_FILE_BYTES)));
    }
    Ok(text)
}

/// Inspector threads: more than any one machine has cores to spare for.
pub const MAX_WORKERS: u16 = 256;
/// Bytes kept of each packet: less cannot hold the headers of IPv6 and TCP behind tags.
pub const MIN_SNAPLEN: u32 = 128;
/// Longer than any packet, offloaded ones included; also the default.
pub const MAX_SNAPLEN: u32 = 262_144;
/// Kernel buffer for one interface: half a second of mail at 1 Gbit/s.
pub const RING_MIB: u32 = 64;
/// Libpcap takes a 32-bit number of bytes.
pub const MAX_RING_MIB: u32 = 2_047;
#[cfg(test)]
mod tests;
