//! Detectors: one a file, each over the state of one home host and events without content.
//!
//! A detector is told of every event a home host has a part in, reads the facts all share ([`host::Facts`]), keeps a
//! state of its own for each host, and raises [`Signal`]s. What a signal does to the host's verdict is not its
//! business: [`verdict`] weighs them. A new detector is a file, and a line in the table below.

use std::net::IpAddr;

use crate::model::alert::{Alert, Evidence, Severity, Verdict};
use crate::model::event::EventKind;
use crate::model::limits;
use crate::model::mail::{Findings, RuleHit};
use crate::model::net::{Direction, Flow, Side};
use crate::model::rulebook::RuleBook;
use crate::model::settings::DetectSettings;
use crate::model::time::Timestamp;

pub mod about;
pub mod baseline;
pub mod chain;
pub mod conduct;
pub mod content_rule;
pub mod direct_to_mx;
pub mod files;
pub mod flood_after_flag;
pub mod host;
pub mod hosts;
pub mod identity;
pub mod incident;
pub mod mail_volume;
pub mod mx_guessing;
pub mod name;
pub mod name_rule;
pub mod pace;
pub mod recent;
pub mod recipient_fanout;
pub mod role;
pub mod self_propagation;
pub mod smtp_dialect;
pub mod verdict;

use files::Sightings;
use host::{Facts, Load};

detectors! {
    content_rule: content_rule::ContentRule,
    name_rule: name_rule::NameRule,
    direct_to_mx: direct_to_mx::DirectToMx,
    recipient_fanout: recipient_fanout::RecipientFanout,
    mx_guessing: mx_guessing::MxGuessing,
    self_propagation: self_propagation::SelfPropagation,
    smtp_dialect: smtp_dialect::SmtpDialect,
    mail_volume: mail_volume::MailVolume,
    flood_after_flag: flood_after_flag::FloodAfterFlag,
}

/// One way of telling that a host mails itself.
pub trait Detector {
    /// What it remembers of one host. Most hosts do little: let the default take no memory beyond a pointer.
    type State: Default + std::fmt::Debug;

    /// Its stable name: two signals of one detector are never two independent grounds.
    const NAME: &'static str;

    /// Whether it works where the content of messages is hidden, by TLS or because nobody opened them.
    const CONTENT_FREE: bool = true;

    /// The detector with its thresholds.
    fn new(settings: &DetectSettings) -> Self;

    /// Takes the next event the host has a part in.
    fn see(&self, host: &Facts, state: &mut Self::State, scene: &Scene<'_>, signals: &mut Signals);

    /// What is remembered in `state`, in entries of [`limits::HOST_ENTRY_COST`] bytes, which a bound over all hosts must
    /// count.
    fn entries(_state: &Self::State) -> usize {
        0
    }

    /// Gives up all but the `most` newest of each kind of thing remembered in `state`. Counts stay. A host under suspicion
    /// is asked for this before any is given up for want of room.
    fn shorten(_state: &mut Self::State, _most: usize) {}

    /// The host's incident is over: what it does from here on is told anew, and dated from then.
    fn calm(_state: &mut Self::State) {}

    /// What stands against the host by now, for `incident` lines; none where the evidence of the last alert will do.
    fn account(&self, _state: &Self::State) -> Option<Evidence> {
        None
    }
}

/// What a value weighs as [`Detector::entries`] counts, without what it points to.
const fn weight_of<T>() -> usize {
    size_of::<T>().div_ceil(limits::HOST_ENTRY_COST)
}

/// One event as one home host takes part in it.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    pub time: Timestamp,
    pub kind: &'a EventKind,
    pub flow: &'a Flow,
    pub findings: &'a Findings,
    /// The other end of the flow.
    pub peer: IpAddr,
    /// The host's part in the flow.
    pub part: Side,
    pub direction: Direction,
    /// What is thought of the host before this event.
    pub verdict: Verdict,
    /// What the event adds; nothing where the host is the server.
    pub load: Load,
    /// Rules that matched: the message, or the name asked for.
    pub hits: &'a [RuleHit],
    pub rules: &'a dyn RuleBook,
    /// Harmful files seen before, of whomever.
    pub sightings: &'a Sightings,
    /// All bytes captured so far, by the last tick of each source.
    pub captured: u64,
}

/// What a signal means for its host's verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearing {
    /// The host sent what only an infected host sends.
    Proof,
    /// The host behaves as an infected one would; weighs by its severity.
    Behaviour,
    /// Worth telling, and says nothing about the host: it was sent something, or passed something on.
    Note,
}

/// Something a detector has to say.
#[derive(Debug)]
pub struct Signal {
    pub alert: Alert,
    /// [`Detector::NAME`] of who says it.
    pub detector: &'static str,
    pub bearing: Bearing,
    /// When what it is about began.
    pub since: Timestamp,
    /// Signals of one ground are not independent of each other: [`Detector::NAME`], or the name of what they share.
    pub ground: &'static str,
}

/// What a detector of behaviour says in all its alerts.
#[derive(Clone, Copy, Debug)]
pub struct Behaviour {
    /// [`Detector::NAME`].
    pub name: &'static str,
    pub sid: u32,
    pub title: &'static str,
    pub remediation: &'static str,
    pub references: &'static [&'static str],
}

impl Behaviour {
    /// An alert about `host`.
    pub fn alert(&self, time: Timestamp, severity: Severity, host: &Facts, evidence: Evidence) -> Alert {
        Alert {
            time,
            rule: self.name.into(),
            sid: self.sid,
            rev: 1,
            title: self.title.into(),
            category: "behaviour".into(),
            severity,
            host: Some(host.addr),
            evidence: vec![evidence],
            remediation: self.remediation.into(),
            references: self.references.iter().map(|reference| (*reference).to_owned()).collect(),
        }
    }
}

/// Collects what detectors say about one event.
#[derive(Debug, Default)]
pub struct Signals {
    pub raised: Vec<Signal>,
    /// Detectors that saw more of what they last raised a signal for, and have nothing new to say.
    pub again: Vec<&'static str>,
}

/// Makes of the table a field for each detector, a field for its state of each host, and the calls to all of them.
macro_rules! detectors {
    ($($field:ident: $detector:ty,)+) => {
        /// All detectors, with their thresholds.
        #[derive(Debug)]
        pub struct Detectors {
            $($field: $detector,)+
        }

        /// What all detectors remember of one host.
        #[derive(Debug, Default)]
        pub struct States {
            $($field: <$detector as Detector>::State,)+
        }

        impl Detectors {
            /// Their names, in the order of the table.
            pub const fn names() -> &'static [&'static str] {
                &[$(<$detector as Detector>::NAME,)+]
            }

            /// All detectors, with their thresholds from `settings`.
            pub fn new(settings: &DetectSettings) -> Self {
                Self { $($field: <$detector>::new(settings),)+ }
            }

            /// Tells every detector, in the order of the table, of an event.
            pub fn see(&self, host: &Facts, states: &mut States, scene: &Scene<'_>, signals: &mut Signals) {
                $(self.$field.see(host, &mut states.$field, scene, signals);)+
            }

            /// Whether the detector of that name needs no content ([`Detector::CONTENT_FREE`]).
            pub fn content_free(detector: &str) -> bool {
                $(if <$detector>::NAME == detector {
                    return <$detector>::CONTENT_FREE;
                })+
                false
            }

            /// [`Detector::account`] of the detector of that name.
            pub fn account(&self, states: &States, detector: &str) -> Option<Evidence> {
                $(if <$detector>::NAME == detector {
                    return self.$field.account(&states.$field);
                })+
                None
            }
        }

        impl States {
            /// [`Detector::entries`], over all detectors.
            pub fn entries(&self) -> usize {
                0 $(+ <$detector>::entries(&self.$field))+
            }

            /// [`Detector::calm`] of all detectors.
            pub fn calm(&mut self) {
                $(<$detector>::calm(&mut self.$field);)+
            }

            /// [`Detector::shorten`] of all detectors.
            pub fn shorten(&mut self, most: usize) {
                $(<$detector>::shorten(&mut self.$field, most);)+
            }
        }
    };
}
use detectors;
