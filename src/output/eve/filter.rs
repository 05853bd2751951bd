//! Which types of line are written (`--events`).

use std::fmt;
use std::str::FromStr;

/// A type of EVE line. `DnsMx` is written as `dns` and narrows which messages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    Alert,
    Incident,
    Smtp,
    Fileinfo,
    Dns,
    DnsMx,
    Anomaly,
    Stats,
    Flow,
}

impl EventType {
    /// All, in the order messages list them.
    pub const ALL: [Self; 9] = [
        Self::Alert,
        Self::Incident,
        Self::Smtp,
        Self::Fileinfo,
        Self::Dns,
        Self::DnsMx,
        Self::Anomaly,
        Self::Stats,
        Self::Flow,
    ];

    /// `event_type` in the line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DnsMx => "dns",
            other => other.option(),
        }
    }

    /// Its name in `--events`.
    pub const fn option(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Incident => "incident",
            Self::Smtp => "smtp",
            Self::Fileinfo => "fileinfo",
            Self::Dns => "dns",
            Self::DnsMx => "dns:mx",
            Self::Anomaly => "anomaly",
            Self::Stats => "stats",
            Self::Flow => "flow",
        }
    }
}

/// The types wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventFilter(u16);

impl EventFilter {
    /// The default of `--events`.
    pub const DEFAULT: &'static str = "alert,incident,smtp,fileinfo,dns:mx,anomaly,stats";

    /// No type at all.
    pub const NONE: Self = Self(0);

    /// Whether lines of this type are wanted.
    pub const fn has(self, kind: EventType) -> bool {
        self.0 & (1 << kind as u16) != 0
    }

    /// The same filter with one more type.
    #[must_use]
    pub const fn with(self, kind: EventType) -> Self {
        Self(self.0 | 1 << kind as u16)
    }
}

/// [`EventFilter::DEFAULT`]: everything that is about mail, and no line a DNS question or flow.
impl Default for EventFilter {
    fn default() -> Self {
        let quiet = |kind: &EventType| !matches!(kind, EventType::Dns | EventType::Flow);
        EventType::ALL.into_iter().filter(quiet).fold(Self::NONE, Self::with)
    }
}

/// A list of names with commas; blanks around a name are allowed.
impl FromStr for EventFilter {
    type Err = UnknownType;

    fn from_str(list: &str) -> Result<Self, UnknownType> {
        list.split(',').map(str::trim).try_fold(Self::NONE, |filter, name| {
            let kind = EventType::ALL.into_iter().find(|kind| kind.option() == name);
            kind.map(|kind| filter.with(kind)).ok_or_else(|| UnknownType(name.to_owned()))
        })
    }
}

/// A name in `--events` that is none of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownType(String);

impl fmt::Display for UnknownType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = EventType::ALL.map(EventType::option).join(", ");
        match self.0.as_str() {
            "" => write!(f, "an event type is missing; use a list with commas of {known}"),
            name => write!(f, "unknown event type '{name}'; use a list with commas of {known}"),
        }
    }
}

impl std::error::Error for UnknownType {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_what_its_text_says() {
        assert_eq!(EventFilter::DEFAULT.parse(), Ok(EventFilter::default()));
        assert!(!EventFilter::default().has(EventType::Dns));
        assert!(EventFilter::default().has(EventType::DnsMx));
        assert!(!EventFilter::default().has(EventType::Flow));
    }

    #[test]
    fn a_list_names_exactly_its_types() {
        let filter: EventFilter = "flow, dns".parse().unwrap();
        for kind in EventType::ALL {
            assert_eq!(filter.has(kind), matches!(kind, EventType::Flow | EventType::Dns), "{kind:?}");
        }
    }

    #[test]
    fn an_unknown_name_is_told_with_the_known_ones() {
        let error = "alert,http".parse::<EventFilter>().unwrap_err().to_string();
        assert_eq!(
            error,
            "unknown event type 'http'; use a list with commas of alert, incident, smtp, fileinfo, dns, dns:mx, \
             anomaly, stats, flow"
        );
        let error = "alert,,smtp".parse::<EventFilter>().unwrap_err().to_string();
        assert!(error.starts_with("an event type is missing"), "{error}");
        assert!("".parse::<EventFilter>().is_err());
    }
}
