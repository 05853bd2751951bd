//! What the settings mean, checked: from the configuration file and the command line to one [`Config`].
//!
//! A [`Layer`] holds what one place says, with holes for what it leaves open. The command line is laid over the
//! file, and [`Config::new`] fills the holes that stay with defaults. Keys of the file are named as the options;
//! the tables `[detect]`, `[inspect]` and `[sensor]` are those of [`crate::model::settings`].

mod told;

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ipnet::IpNet;
use serde::de::{DeserializeSeed, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

pub use self::told::Alertmanager;
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
    #[serde(deserialize_with = "networks")]
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
    pub metrics_textfile: Option<PathBuf>,
    #[serde(deserialize_with = "text")]
    pub alertmanager: Option<Alertmanager>,
    #[serde(deserialize_with = "text")]
    pub syslog: Option<SyslogTarget>,
    pub privacy: Option<bool>,
    pub privacy_key_file: Option<PathBuf>,
    pub extract: Option<PathBuf>,
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
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        Self::read(path, &text)
    }

    /// Reads the text of a configuration file; `path` is for messages only.
    ///
    /// # Errors
    /// As [`Layer::load`], but for reading.
    pub fn read(path: &Path, text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| {
            let (line, column) = position(text, error.span().map_or(0, |span| span.start));
            ConfigError::Invalid { path: path.to_owned(), line, column, what: better(error.message()) }
        })
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

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    Stdout,
    File(PathBuf),
}

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("expected a file name, or - for standard output".to_owned()),
            "-" => Ok(Self::Stdout),
            path => Ok(Self::File(path.into())),
        }
    }
}

/// Whether and where metrics are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metrics(pub Option<SocketAddr>);

impl FromStr for Metrics {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self(None));
        }
        let address = text.parse().map(|address| Self(Some(address)));
        address.map_err(|_| {
            format!("'{text}' is no address with a port; write it as 127.0.0.1:9847 or [::1]:9847, or off")
        })
    }
}

/// The EVE types that a list with commas names.
///
/// # Errors
/// A sentence that names what would be right.
pub fn events(text: &str) -> Result<EventFilter, String> {
    text.parse().map_err(|name: String| unknown("event type", &name, &EventType::ALL.map(EventType::option)))
}

/// How a result is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Table,
    Json,
}

impl Format {
    /// The names that `--format` takes.
    pub const NAMES: [&'static str; 2] = ["table", "json"];
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "table" => Ok(Self::Table),
            "json" => Ok(Self::Json),
            _ => Err(unknown("format", text, &Self::NAMES)),
        }
    }
}

/// How much is logged to standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    Off,
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// The names that `--log-level` takes.
    pub const NAMES: [&'static str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
}

impl FromStr for LogLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "error" => Ok(Self::Error),
            "warn" => Ok(Self::Warn),
            "info" => Ok(Self::Info),
            "debug" => Ok(Self::Debug),
            "trace" => Ok(Self::Trace),
            _ => Err(unknown("log level", text, &Self::NAMES)),
        }
    }
}

/// Reads a network: an address with a prefix length, or one address alone.
///
/// # Errors
/// A sentence that says what would be right.
pub fn network(text: &str) -> Result<IpNet, String> {
    let net = text.parse::<IpNet>().map(|net| net.trunc()).or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    net.map_err(|_| format!("'{text}' is no network; write it as 192.0.2.0/24, 2001:db8::/32, or one address"))
}

/// Says that `name` is not known as a `what`, and what is.
pub fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|known| (strsim::jaro_winkler(known, name), known));
    match nearest.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((likeness, nearest)) if likeness > ALIKE => {
            format!("unknown {what} '{name}'; did you mean '{nearest}'?")
        }
        _ => format!("unknown {what} '{name}'; use one of {}", known.join(", ")),
    }
}

/// A reader's message, with the nearest known name where it complains about an unknown one.
fn better(message: &str) -> String {
    for (start, what) in [("unknown field `", "key"), ("unknown variant `", "value")] {
        if let Some((name, known)) = message.strip_prefix(start).and_then(|rest| rest.split_once('`')) {
            // What follows is ", expected one of `a`, `b`" or ", expected `a` or `b`".
            let known: Vec<_> = known.split('`').skip(1).step_by(2).collect();
            return unknown(what, name, &known);
        }
    }
    message.to_owned()
}

/// The line and column of a place in a text, both from 1; columns count characters.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

/// A value given as a string.
fn text<'de, D: Deserializer<'de>, T: FromStr<Err = String>>(from: D) -> Result<Option<T>, D::Error> {
    from.deserialize_str(One(T::from_str)).map(Some)
}

fn event_types<'de, D: Deserializer<'de>>(from: D) -> Result<Option<EventFilter>, D::Error> {
    let Some(names) = list(from, |name| events(name).map(|_| name.to_owned()))? else { return Ok(None) };
    events(&names.join(",")).map(Some).map_err(D::Error::custom)
}

fn one_network<'de, D: Deserializer<'de>>(from: D) -> Result<IpNet, D::Error> {
    from.deserialize_str(One(network))
}

fn groups<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Group>, D::Error> {
    let groups = Vec::<Group>::deserialize(from)?;
    if groups.len() > limits::GROUPS {
        return Err(D::Error::custom(format!("{} groups are too many; {} at most", groups.len(), limits::GROUPS)));
    }
    let mut known = HashSet::new();
    match groups.iter().flat_map(|group| &group.addresses).find(|address| !known.insert(**address)) {
        Some(address) => Err(D::Error::custom(format!("{address} is in two groups; an address is of one host"))),
        None => Ok(groups),
    }
}

fn addresses<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpAddr>, D::Error> {
    let addresses: Option<Vec<IpAddr>> = list(from, |text| match text.parse::<IpAddr>() {
        Ok(address) => Ok(address.to_canonical()),
        Err(_) => Err(format!("'{text}' is no address; write it as 192.0.2.25 or 2001:db8::25")),
    })?;
    let addresses = addresses.unwrap_or_default();
    match addresses.len() {
        2..=limits::GROUP_ADDRESSES => Ok(addresses),
        0 | 1 => Err(D::Error::custom("a group needs two addresses of one host or more")),
        many => Err(D::Error::custom(format!("{many} addresses are too many; {} at most", limits::GROUP_ADDRESSES))),
    }
}

fn reason<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    from.deserialize_str(One(|text| match text.trim() {
        "" => Err("say why it is ignored: the reason is shown in the summary".to_owned()),
        reason => Ok(reason.to_owned()),
    }))
}

fn networks<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<IpNet>>, D::Error> {
    list(from, network)
}

fn paths<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<PathBuf>>, D::Error> {
    list(from, |text| Ok(text.into()))
}

fn names<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    list(from, |text| Ok(text.to_owned()))
}

fn workers<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u16>, D::Error> {
    ranged(from, 1, u32::from(MAX_WORKERS)).map(|workers| u16::try_from(workers).ok())
}

fn snaplen<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    ranged(from, MIN_SNAPLEN, MAX_SNAPLEN).map(Some)
}

fn ring_mib<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    ranged(from, 1, MAX_RING_MIB).map(Some)
}

fn threads<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u16>, D::Error> {
    ranged(from, 1, u32::from(limits::RINGS)).map(|threads| u16::try_from(threads).ok())
}

fn ranged<'de, D: Deserializer<'de>>(from: D, least: u32, most: u32) -> Result<u32, D::Error> {
    let value = i64::deserialize(from)?;
    let within = u32::try_from(value).ok().filter(|value| (least..=most).contains(value));
    within.ok_or_else(|| D::Error::custom(format!("{value} is out of range; use {least} to {most}")))
}

/// A list of strings, or one string alone.
fn list<'de, D: Deserializer<'de>, T>(from: D, read: Read<T>) -> Result<Option<Vec<T>>, D::Error> {
    from.deserialize_any(Many(read)).map(Some)
}

/// Makes a value of a string, or says what would be right.
type Read<T> = fn(&str) -> Result<T, String>;

/// Takes one string. Its complaint is the visitor's, so that the reader adds the place of this very string.
struct One<T>(Read<T>);

/// Takes a list of strings, or one.
struct Many<T>(Read<T>);

impl<T> Visitor<'_> for One<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }
}

impl<'de, T> DeserializeSeed<'de> for One<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<T, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'de, T> Visitor<'de> for Many<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of strings")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<T>, E> {
        Ok(vec![One(self.0).visit_str(text)?])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(One(self.0))? {
            list.push(item);
        }
        Ok(list)
    }
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
/// Jaro-Winkler likeness above which two names are taken for one mistyped.
const ALIKE: f64 = 0.8;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Layer, String> {
        Layer::read(Path::new("test.toml"), text).map_err(|error| error.to_string())
    }

    fn complaint(text: &str) -> String {
        read(text).unwrap_err()
    }

    #[test]
    fn an_empty_file_leaves_everything_to_the_defaults() {
        let config = Config::new(read("").unwrap(), None, 8);
        assert_eq!((config.workers, config.metrics, config.eve, config.rules), (7, None, None, None));
        assert_eq!(config.events, "alert,incident,smtp,fileinfo,dns:mx,anomaly,stats".parse().unwrap());
        assert!(config.home_net.contains("192.168.1.1".parse().unwrap()));
        assert!(!config.sensor.flow_records && !config.sensor.all_dns && !config.inspect.keep_content);
        assert_eq!(Config::new(Layer::default(), None, 1).workers, 1);
    }

    #[test]
    fn every_setting_is_read() {
        let text = r#"
            rules = ["a.toml", "b"]
            home-net = ["192.0.2.1/24", "2001:db8::1"]
            mail-server = "192.0.2.25"
            eve = "-"
            events = ["alert", "dns", "flow"]
            bpf = "port 25"
            workers = 3
            memory = "256MiB"
            metrics = "[::1]:9000"
            extract = "out"
            log-level = "warn"
            interface = "eth0"
            snaplen = 2000
            no-promiscuous = true
            ring-mib = 8
            threads = 2
            user = "mailsnare"
            no-reopen = true
            no-confinement = true
            fail-on = "high"
            format = "json"
            [detect.mail-volume]
            messages = 7
            [inspect]
            hashes = ["sha256"]
            [sensor]
            mail-ports = [26]
        "#;
        let layer = read(text).unwrap();
        assert_eq!(layer.interface, Some(vec!["eth0".to_owned()]));
        assert_eq!((layer.snaplen, layer.no_promiscuous, layer.ring_mib), (Some(2000), Some(true), Some(8)));
        assert_eq!((layer.threads, layer.user.as_deref()), (Some(2), Some("mailsnare")));
        assert_eq!((layer.no_reopen, layer.no_confinement), (Some(true), Some(true)));
        assert_eq!((layer.fail_on, layer.format), (Some(Severity::High), Some(Format::Json)));
        assert_eq!(layer.log_level, Some(LogLevel::Warn));
        let config = Config::new(layer, None, 8);
        assert_eq!(config.rules, Some(vec!["a.toml".into(), "b".into()]));
        assert!(config.home_net.contains("192.0.2.200".parse().unwrap()));
        assert!(config.home_net.contains("2001:db8::1".parse().unwrap()));
        assert!(!config.home_net.contains("10.0.0.1".parse().unwrap()));
        assert_eq!(config.mail_servers, ["192.0.2.25/32".parse::<IpNet>().unwrap()]);
        assert_eq!((config.eve.as_ref(), config.workers), (Some(&Destination::Stdout), 3));
        assert_eq!(config.shares().budget, Memory(256 << 20));
        assert_eq!(config.metrics, Some("[::1]:9000".parse().unwrap()));
        assert!(config.events.has(EventType::Alert) && !config.events.has(EventType::Smtp));
        assert!(config.sensor.all_dns && config.sensor.flow_records && config.inspect.keep_content);
        assert_eq!((config.detect.mail_volume.messages, config.sensor.mail_ports), (7, vec![26]));
    }

    #[test]
    fn what_is_laid_over_wins() {
        let below = read("workers = 3\nmetrics = \"127.0.0.1:1\"\nbpf = \"tcp\"\n[sensor]\nflows = 5").unwrap();
        let above = Layer { workers: Some(4), metrics: Some(Metrics(None)), ..Layer::default() };
        let config = Config::new(above.over(below), "127.0.0.1:2".parse().ok(), 8);
        assert_eq!((config.workers, config.metrics, config.bpf.as_deref()), (4, None, Some("tcp")));
        assert_eq!(config.sensor.flows, 5);
    }

    #[test]
    fn sources_share_the_budget_and_what_is_said_of_flows_wins() {
        let config = |text| Config::new(read(text).unwrap(), None, 2);
        let two = config("memory = \"64MiB\"").for_sources(2).unwrap();
        assert_eq!((two.sensor.flows, two.shares().hosts), (31_250, 6_250));
        let two = config("memory = \"64MiB\"\n[sensor]\nflows = 1_000_001\nmessage-bytes = 9").for_sources(2).unwrap();
        assert_eq!((two.sensor.flows, two.sensor.message_bytes), (500_001, 9));
        let why = config("memory = \"64MiB\"").for_sources(4).unwrap_err();
        assert!(why.contains("64MiB of memory is too little for 4 capture threads; use --memory 80MiB"), "{why}");
        let usual = config("").for_sources(1_000).unwrap();
        assert_eq!(usual.shares().budget, Memory::least(1_000));
    }

    #[test]
    fn a_mistake_is_told_with_its_place_and_what_would_be_right() {
        for (text, what) in [
            ("\nhome_net = \"10.0.0.0/8\"", "test.toml:2:1: unknown key 'home_net'; did you mean 'home-net'?"),
            ("[detect.mail-volume]\n  mesages = 3", "test.toml:2:3: unknown key 'mesages'; did you mean 'messages'?"),
            ("home-net = [\n  \"10.0.0.0/8\",\n  \"ten\"]", "test.toml:3:3: 'ten' is no network; write it as"),
            ("events = [\"alrt\"]", "test.toml:1:11: unknown event type 'alrt'; did you mean 'alert'?"),
            ("workers = 0", "test.toml:1:11: 0 is out of range; use 1 to 256"),
            ("memory = \"8MiB\"", "test.toml:1:10: 8MiB of memory is too little to work with; use at least 32MiB"),
            ("memory = \"8 apples\"", "test.toml:1:10: '8 apples' is no size; write it as 512MiB or 2GiB"),
            ("threads = 65", "test.toml:1:11: 65 is out of range; use 1 to 64"),
            ("fail-on = \"worst\"", "test.toml:1:11: unknown severity 'worst'; use one of critical"),
            ("[inspect]\nhashes = [\"sha-256\"]", "test.toml:2:11: unknown value 'sha-256'; did you mean 'sha256'?"),
            ("metrics = \"9847\"", "test.toml:1:11: '9847' is no address with a port; write it as 127.0.0.1:9847"),
            ("eve = 1", "test.toml:1:7: invalid type: integer `1`, expected a string"),
            ("workers = 1\nworkers = 2", "test.toml:2:1: duplicate key"),
        ] {
            assert!(complaint(text).starts_with(what), "{text:?}: {}", complaint(text));
        }
        assert!(complaint("xyz = 1").contains("unknown key 'xyz'; use one of rules, home-net"));
    }

    #[test]
    fn the_example_of_the_readme_holds() {
        let readme = include_str!("../README.md");
        let example = readme.split("```toml").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let layer = read(example).unwrap();
        assert_eq!(layer.interface, Some(vec!["eth1".to_owned()]));
        // It shows the defaults of the tables.
        let sensor = layer.sensor.settings(&Shares::default(), 1);
        assert_eq!((layer.detect, sensor), (DetectSettings::default(), SensorSettings::default()));
        assert_eq!(layer.inspect, InspectSettings::default());
        assert_eq!(layer.events, Some(EventFilter::default()));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Layer::load(Path::new("no/such.toml")).unwrap_err().to_string();
        assert!(error.starts_with("cannot read the configuration file no/such.toml: "), "{error}");
    }

    #[test]
    fn a_group_is_addresses_of_one_host() {
        let layer = read("[[group]]\naddresses = [\"192.0.2.25\", \"2001:db8::25\", \"::ffff:192.0.2.26\"]\n").unwrap();
        let expected: Vec<IpAddr> = ["192.0.2.25", "2001:db8::25", "192.0.2.26"].map(|ip| ip.parse().unwrap()).to_vec();
        assert_eq!(Config::new(Layer::default().over(layer), None, 2).groups, [expected]);
        for (text, what) in [
            ("addresses = [\"192.0.2.25\", \"mx\"]", "'mx' is no address; write it as 192.0.2.25 or 2001:db8::25"),
            ("addresses = [\"192.0.2.25\"]", "a group needs two addresses of one host or more"),
            (
                "addresses = [\"192.0.2.25\", \"192.0.2.26\"]\n[[group]]\naddresses = [\"192.0.2.26\", \"192.0.2.27\"]",
                "192.0.2.26 is in two groups; an address is of one host",
            ),
        ] {
            let told = complaint(&format!("[[group]]\n{text}\n"));
            assert!(told.starts_with("test.toml:") && told.contains(what), "{told}");
        }
        let many: Vec<String> = (0..65).map(|n| format!("\"192.0.2.{n}\"")).collect();
        assert!(
            complaint(&format!("[[group]]\naddresses = [{}]\n", many.join(","))).contains("65 addresses are too many")
        );
    }

    #[test]
    fn a_wish_not_to_be_told_names_detector_hosts_and_reason() {
        let text = "[[ignore]]\ndetector = \"mail-volume\"\nhost = \"10.0.0.7\"\nreason = \"sends the bills\"\n";
        let layer = Layer::read(Path::new("m.toml"), text).unwrap();
        let config = Config::new(layer, None, 2);
        let expected = Ignore {
            detector: "mail-volume".into(),
            host: "10.0.0.7/32".parse().unwrap(),
            reason: "sends the bills".into(),
        };
        assert_eq!(config.ignore, [expected]);
        for (from, to, complaint) in [
            ("sends the bills", " ", "say why"),
            ("reason = \"sends the bills\"", "", "reason"),
            ("10.0.0.7", "10.0.0.300", "no network"),
            ("reason", "reasom", "reason"),
        ] {
            let error = Layer::read(Path::new("m.toml"), &text.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(complaint), "{error}");
        }
    }
}
