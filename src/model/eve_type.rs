//! Which types of line are written (`--events`).

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

/// Everything that is about mail, and no line a DNS question or flow.
impl Default for EventFilter {
    fn default() -> Self {
        let quiet = |kind: &EventType| !matches!(kind, EventType::Dns | EventType::Flow);
        EventType::ALL.into_iter().filter(quiet).fold(Self::NONE, Self::with)
    }
}

/// A list of names with commas; blanks around a name are allowed. The error is the name that is none of ours.
impl FromStr for EventFilter {
    type Err = String;

    fn from_str(list: &str) -> Result<Self, String> {
        list.split(',').map(str::trim).try_fold(Self::NONE, |filter, name| {
            let kind = EventType::ALL.into_iter().find(|kind| kind.option() == name);
            kind.map(|kind| filter.with(kind)).ok_or_else(|| name.to_owned())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_there_is_no_line_a_question_or_a_flow() {
        for kind in EventType::ALL {
            let noisy = matches!(kind, EventType::Dns | EventType::Flow);
            assert_eq!(EventFilter::default().has(kind), !noisy, "{kind:?}");
        }
    }

    #[test]
    fn a_list_names_exactly_its_types() {
        let filter: EventFilter = "flow, dns".parse().unwrap();
        for kind in EventType::ALL {
            assert_eq!(filter.has(kind), matches!(kind, EventType::Flow | EventType::Dns), "{kind:?}");
        }
        assert_eq!("alert,http".parse::<EventFilter>(), Err("http".to_owned()));
        assert_eq!("".parse::<EventFilter>(), Err(String::new()));
    }
}
