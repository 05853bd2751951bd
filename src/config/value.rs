//! What single settings can be, as words.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;

use crate::model::eve_type::{EventFilter, EventType};

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

/// Jaro-Winkler likeness above which two names are taken for one mistyped.
const ALIKE: f64 = 0.8;
