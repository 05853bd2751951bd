//! `mx-guessing`: a host asks for mail servers by the names they might have.
//!
//! A worm without code for MX questions, or for those who have no exchanger, puts mx., mail., smtp. and the like before
//! the domain of each address it found (MyDoom: McAfee and F-Secure, January 2004; Mytob: Trend Micro, 2005, which asks
//! for no exchanger at all). Nobody else asks for such names under many domains without asking for their exchangers.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::model::alert::{Evidence, Figure, Severity};
use crate::model::event::{DnsData, DnsMessage, EventKind, QTYPE_MX};
use crate::model::limits;
use crate::model::net::{Direction, Side};
use crate::model::settings::DetectSettings;
use crate::model::time::Timestamp;

use super::host::Facts;
use super::pace::{self, Pace, apart};
use super::recent::Recent;
use super::{Bearing, Behaviour, Detector, Scene, Signal, Signals, weight_of};

/// The detector. Mail servers, and hosts that answer names for others, are left alone.
#[derive(Debug)]
pub struct MxGuessing {
    domains: usize,
    window: Duration,
}

/// Nothing for a host that never guessed.
#[derive(Debug, Default)]
pub struct State(Option<Box<Guesses>>);

#[derive(Debug)]
struct Guesses {
    /// Domains under which it guessed, and when last.
    domains: Recent<Arc<str>, Timestamp>,
    /// Domains whose exchangers it asked for, and the exchangers it was told of: no guesses.
    asked: Recent<Box<str>, ()>,
    /// Addresses that guessed names have.
    addresses: Recent<IpAddr, ()>,
    questions: u64,
    /// Connections to port 25 of such an address.
    connections: u64,
    since: Timestamp,
    last: Timestamp,
    first_name: String,
    last_name: String,
    /// When each severity was last told: low, medium, high.
    told: [Pace; 3],
}

impl Detector for MxGuessing {
    type State = State;
    const NAME: &'static str = "mx-guessing";

    fn new(settings: &DetectSettings) -> Self {
        let settings = &settings.mx_guessing;
        Self { domains: settings.domains.max(1) as usize, window: Duration::from_secs(settings.window_seconds) }
    }

    fn see(&self, host: &Facts, state: &mut State, scene: &Scene<'_>, signals: &mut Signals) {
        if scene.part == Side::Server || host.role.is_mail_server() || host.role.is_resolver() {
            return;
        }
        let news = match scene.kind {
            EventKind::Dns(message) if message.is_response() => {
                if let Some(guesses) = state.0.as_mut() {
                    guesses.answer(message);
                }
                false
            }
            EventKind::Dns(message) => state.question(message, scene.time),
            EventKind::Connect(_) if scene.direction == Direction::Outbound && scene.flow.server.port() == PORT => {
                state.0.as_mut().is_some_and(|guesses| guesses.connect(scene.peer))
            }
            _ => false,
        };
        if news && let Some(guesses) = state.0.as_mut() {
            self.tell(host, guesses, scene, signals);
        }
    }

    fn entries(state: &State) -> usize {
        state.0.as_ref().map_or(0, |guesses| {
            let lists = [guesses.domains.weight(), guesses.asked.weight(), guesses.addresses.weight()];
            lists.iter().sum::<usize>() + weight_of::<Guesses>()
        })
    }

    fn shorten(state: &mut State, most: usize) {
        if let Some(guesses) = &mut state.0 {
            guesses.domains.keep_youngest(most);
            guesses.asked.keep_youngest(most);
            guesses.addresses.keep_youngest(most);
        }
    }

    fn calm(state: &mut State) {
        if let Some(guesses) = &mut state.0 {
            guesses.told = Default::default();
            guesses.first_name.clear();
        }
    }

    fn account(&self, state: &State) -> Option<Evidence> {
        state.0.as_ref().map(|guesses| self.evidence(guesses))
    }
}

/// Whether a question may be a guess at a mail server's name.
pub fn may_guess(message: &DnsMessage) -> bool {
    message.queries.iter().any(|query| GUESSED_TYPES.contains(&query.qtype) && guess(&query.name).is_some())
}

impl MxGuessing {
    fn tell(&self, host: &Facts, guesses: &mut Guesses, scene: &Scene<'_>, signals: &mut Signals) {
        if self.within_window(guesses) < self.domains {
            return;
        }
        // Questions can be forged; a server that answers the host cannot.
        let worst = match (guesses.connections, host.conversed) {
            (1.., _) => Severity::High,
            (0, true) => Severity::Medium,
            (0, false) => Severity::Low,
        };
        // Who asks for mail servers does more than look who answers on a port.
        let (severity, ground) = host.role.temper(worst, Self::NAME);
        let level = LEVELS.iter().position(|known| *known == severity).unwrap_or_default();
        if pace::repeats(&mut guesses.told, level, scene.time) {
            signals.again.push(Self::NAME);
            return;
        }
        let alert = ABOUT.alert(scene.time, severity, host, self.evidence(guesses));
        let since = guesses.since;
        signals.raised.push(Signal { alert, detector: Self::NAME, bearing: Bearing::Behaviour, since, ground });
    }

    fn within_window(&self, guesses: &Guesses) -> usize {
        guesses.domains.values().filter(|at| apart(guesses.last, **at) <= self.window).count()
    }

    fn evidence(&self, guesses: &Guesses) -> Evidence {
        let (domains, window) = (self.within_window(guesses), self.window.as_secs());
        let text = format!(
            "asked for names of mail servers under {domains} domains within {window} s (told from {}) and for none of their \
             exchangers: {} questions, first {}, last {}; {} connections to port 25 of addresses it found so",
            self.domains, guesses.questions, guesses.first_name, guesses.last_name, guesses.connections
        );
        let figures = vec![
            ("domains", Figure::Count(domains as u64)),
            ("threshold", Figure::Count(self.domains as u64)),
            ("window_seconds", Figure::Count(window)),
            ("questions", Figure::Count(guesses.questions)),
            ("addresses", Figure::Count(guesses.addresses.len() as u64)),
            ("connections", Figure::Count(guesses.connections)),
            ("names", Figure::List(vec![guesses.first_name.clone(), guesses.last_name.clone()])),
        ];
        Evidence { source: Self::NAME.into(), text, figures }
    }
}

impl State {
    /// Takes a question; true when it is a guess.
    fn question(&mut self, message: &DnsMessage, now: Timestamp) -> bool {
        let mut news = false;
        for query in &message.queries {
            match guess(&query.name) {
                Some(domain) if GUESSED_TYPES.contains(&query.qtype) => {
                    news |= self.guesses(now).guess(&query.name, &domain, now);
                }
                _ if query.qtype == QTYPE_MX => self.guesses(now).exonerate(&query.name.to_ascii_lowercase()),
                _ => {}
            }
        }
        news
    }

    fn guesses(&mut self, now: Timestamp) -> &mut Guesses {
        self.0.get_or_insert_with(|| {
            Box::new(Guesses {
                domains: Recent::new(limits::GUESS_ENTRIES),
                asked: Recent::new(limits::GUESS_ENTRIES),
                addresses: Recent::new(limits::GUESS_ENTRIES),
                questions: 0,
                connections: 0,
                since: now,
                last: now,
                first_name: String::new(),
                last_name: String::new(),
                told: [Pace::default(); 3],
            })
        })
    }
}

impl Guesses {
    fn guess(&mut self, name: &str, domain: &str, now: Timestamp) -> bool {
        if self.asked.get(domain).is_some() || self.asked.get(name.to_ascii_lowercase().as_str()).is_some() {
            return false;
        }
        self.domains.insert(domain.into(), now);
        if self.first_name.is_empty() || apart(now, self.last) > limits::CHAIN_AGE {
            (self.since, self.first_name) = (now, name.into());
        }
        self.questions = self.questions.saturating_add(1);
        (self.last, self.last_name) = (now, name.into());
        true
    }

    /// What was asked for, or told, as an exchanger is no guess, nor was it one before.
    fn exonerate(&mut self, name: &str) {
        self.asked.insert(name.into(), ());
        self.domains.remove(name);
    }

    fn answer(&mut self, message: &DnsMessage) {
        for record in &message.answers {
            match &record.data {
                DnsData::Mx { exchange, .. } => {
                    let name = exchange.trim_end_matches('.').to_ascii_lowercase();
                    self.asked.insert(name.into(), ());
                }
                DnsData::A(address) => self.learn(message, IpAddr::from(*address)),
                DnsData::Aaaa(address) => self.learn(message, IpAddr::from(*address).to_canonical()),
                _ => {}
            }
        }
    }

    fn learn(&mut self, message: &DnsMessage, address: IpAddr) {
        let domain = message.queries.first().and_then(|question| guess(&question.name));
        if domain.is_some_and(|domain| self.domains.get(&*domain).is_some()) {
            self.addresses.insert(address, ());
        }
    }

    fn connect(&mut self, server: IpAddr) -> bool {
        let found = self.addresses.get(&server).is_some();
        self.connections = self.connections.saturating_add(u64::from(found));
        found
    }
}

/// The domain under which a name is one of those that mail servers have, in lower case.
fn guess(name: &str) -> Option<String> {
    let (label, domain) = name.trim_end_matches('.').split_once('.')?;
    // A name right under a public suffix, as mail.com, is a domain itself.
    let guessed = domain.contains('.') && LABELS.iter().any(|known| label.eq_ignore_ascii_case(known));
    guessed.then(|| domain.to_ascii_lowercase())
}

/// MyDoom: mx, mail, smtp, mx1, mxs, mail1, relay, ns, gate; Mytob: the same list.
const LABELS: [&str; 9] = ["mx", "mail", "smtp", "mx1", "mxs", "mail1", "relay", "ns", "gate"];
/// A and AAAA.
const GUESSED_TYPES: [u16; 2] = [1, 28];
const PORT: u16 = 25;
const LEVELS: [Severity; 3] = [Severity::Low, Severity::Medium, Severity::High];
const ABOUT: Behaviour = Behaviour {
    name: MxGuessing::NAME,
    sid: SID,
    title: "Host guesses the names of mail servers under many domains",
    remediation: REMEDIATION,
    references: &REFERENCES,
};
const SID: u32 = 9_000_104;
const REMEDIATION: &str = "Take the host off the network and scan it for a mass mailer (MyDoom, Mytob and their like find \
                           mail servers so); block port 25 outbound for all but mail servers.";
const REFERENCES: [&str; 2] =
    ["F-Secure: MyDoom, virus description, January 2004", "Trend Micro: WORM_MYTOB, virus encyclopedia, 2005"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_a_guess_from_a_domain() {
        assert_eq!(guess("MX.Example.NET.").unwrap(), "example.net");
        assert_eq!(guess("gate.sub.example.net").unwrap(), "sub.example.net");
        for name in ["mail.com", "www.example.net", "mail", "", "mailer.example.net", "."] {
            assert_eq!(guess(name), None, "{name}");
        }
    }
}
