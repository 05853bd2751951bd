//! `direct-to-mx`: a host that is no mail server delivers mail to the outside itself.
//!
//! Clients hand their mail to a server of theirs; only servers ask who exchanges mail for a domain and connect there.
//! D. Whyte, P. C. van Oorschot and E. Kranakis, "Addressing Malicious SMTP-based Mass-Mailing Activity within an
//! Enterprise Network" (2005): an MX question of an ordinary host is ground for suspicion; the chain from the question
//! to the connection is proof that it mails. One admin's test looks the same, once: so the number of domains decides.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::model::alert::{Evidence, Figure, Severity};
use crate::model::event::EventKind;
use crate::model::limits;
use crate::model::net::{Direction, Side};
use crate::model::settings::DetectSettings;
use crate::model::time::Timestamp;

use super::chain::{self, Chain, Link};
use super::host::Facts;
use super::pace::{self, Pace, apart};
use super::recent::Recent;
use super::{Bearing, Behaviour, Detector, Scene, Signal, Signals, weight_of};

/// The detector. Port 25 alone: submission (587, 465) to a provider is a client's right (RFC 6409).
#[derive(Debug)]
pub struct DirectToMx {
    domains: usize,
    window: Duration,
    domains_a_day: usize,
}

/// Nothing for a host that neither got an MX answer nor connected to a port 25 outside.
#[derive(Debug, Default)]
pub struct State(Option<Box<Trail>>);

/// Where a host delivered.
#[derive(Debug)]
struct Trail {
    chain: Chain,
    /// Domains it delivered to by the whole chain, and when last.
    domains: Recent<Arc<str>, Timestamp>,
    /// How many those were when most were remembered, where some had to be given up since.
    domains_before: usize,
    /// Networks of servers it connected to though nothing seen led it there. By network, since one domain's exchangers
    /// tend to be neighbours.
    networks: Recent<IpAddr, Timestamp>,
    connections: u64,
    /// The first delivery since the host last paused for [`limits::CHAIN_AGE`], or its incident closed: a test last winter
    /// is not the begin of today's outbreak.
    since: Timestamp,
    last: Timestamp,
    /// Empty before that delivery.
    first_step: String,
    last_step: Step,
    /// When each severity was last told: low, medium, high.
    told: [Pace; 3],
    mx_questions: u64,
}

/// The last delivery, kept in parts: put into words only when asked.
#[derive(Debug)]
enum Step {
    Chain(Link),
    Connection(IpAddr),
}

impl Detector for DirectToMx {
    type State = State;
    const NAME: &'static str = "direct-to-mx";

    fn new(settings: &DetectSettings) -> Self {
        let settings = &settings.direct_to_mx;
        Self {
            // With a threshold of 1 one lookup would be high, but it would still be what the operator asked for.
            domains: settings.domains.max(1) as usize,
            window: Duration::from_secs(settings.window_seconds),
            domains_a_day: settings.domains_a_day.max(1) as usize,
        }
    }

    fn see(&self, host: &Facts, state: &mut State, scene: &Scene<'_>, signals: &mut Signals) {
        if scene.part == Side::Server {
            return;
        }
        if host.role.is_mail_server() {
            state.0 = None;
            return;
        }
        match scene.kind {
            EventKind::Dns(message)
                if message.is_response() && (chain::tells_exchangers(message) || state.0.is_some()) =>
            {
                state.trail(scene.time).chain.answer(message, scene.time);
            }
            EventKind::Connect(_) | EventKind::Smtp(_)
                if scene.load.contact && scene.flow.server.port() == PORT && scene.direction == Direction::Outbound =>
            {
                let trail = state.trail(scene.time);
                trail.mx_questions = host.tally.mx_lookups;
                trail.deliver(scene.peer, scene.time);
                self.tell(host, trail, scene, signals);
            }
            _ => {}
        }
    }

    fn entries(state: &State) -> usize {
        state.0.as_ref().map_or(0, |trail| {
            trail.chain.entries() + trail.domains.weight() + trail.networks.weight() + weight_of::<Trail>()
        })
    }

    fn shorten(state: &mut State, most: usize) {
        if let Some(trail) = &mut state.0 {
            trail.domains_before = trail.domains_in_all();
            trail.chain.shorten(most);
            trail.domains.keep_youngest(most);
            trail.networks.keep_youngest(most);
        }
    }

    fn calm(state: &mut State) {
        if let Some(trail) = &mut state.0 {
            trail.told = Default::default();
            trail.first_step.clear();
        }
    }

    fn account(&self, state: &State) -> Option<Evidence> {
        state.0.as_ref().filter(|trail| trail.connections > 0).map(|trail| self.evidence(trail))
    }
}

impl DirectToMx {
    /// Raises a signal where the severity is new or an hour has passed; a milder one keeps silent meanwhile.
    fn tell(&self, host: &Facts, trail: &mut Trail, scene: &Scene<'_>, signals: &mut Signals) {
        let (severity, ground) = host.temper(self.level(trail), Self::NAME);
        // That a host which may well be a mail server, or answers as one, does as mail servers do is no news.
        if severity == Severity::Low && (host.role.may_be_mail_server() || host.role.has_greeted()) {
            return;
        }
        let level = LEVELS.iter().position(|known| *known == severity).unwrap_or_default();
        if pace::repeats(&mut trail.told, level, scene.time) {
            signals.again.push(Self::NAME);
            return;
        }
        let alert = ABOUT.alert(scene.time, severity, host, self.evidence(trail));
        signals.raised.push(Signal {
            alert,
            detector: Self::NAME,
            bearing: Bearing::Behaviour,
            since: trail.since,
            ground,
        });
    }

    /// Only whole chains make it high: a connection whose reason was not seen may go to a
    /// provider's relay.
    fn level(&self, trail: &Trail) -> Severity {
        let (domains, networks) = self.within_window(trail);
        match (domains >= self.domains, domains + networks >= self.domains) {
            (true, _) => Severity::High,
            // Counted only where it decides: a day has more of them than a window.
            _ if trail.domains.len() >= self.domains_a_day && self.within_a_day(trail) >= self.domains_a_day => {
                Severity::High
            }
            (_, true) => Severity::Medium,
            _ => Severity::Low,
        }
    }

    fn within_a_day(&self, trail: &Trail) -> usize {
        trail.domains.values().filter(|at| apart(trail.last, **at) <= DAY).count()
    }

    fn within_window(&self, trail: &Trail) -> (usize, usize) {
        let recent = |at: &&Timestamp| apart(trail.last, **at) <= self.window;
        (trail.domains.values().filter(recent).count(), trail.networks.values().filter(recent).count())
    }

    fn evidence(&self, trail: &Trail) -> Evidence {
        let (domains, networks) = self.within_window(trail);
        let (chain, window) = (&trail.chain, self.window.as_secs());
        let last = trail.last_step.text();
        let told = match (trail.domains.is_empty(), trail.networks.is_empty()) {
            (false, _) => format!(
                "whole chains from MX question to connection for {domains} domains within {window} s (high from {}), {} in \
                 all",
                self.domains,
                trail.domains_in_all()
            ),
            _ if trail.mx_questions == 0 => "of the chain only connections were seen, no MX question".into(),
            _ => "MX questions and connections were seen, but no answer that leads from one to the other".into(),
        };
        let loose = match networks {
            0 => String::new(),
            count => {
                format!("; servers in {count} networks reached within {window} s without a question that led there")
            }
        };
        let patient = match self.within_a_day(trail) {
            count if domains < self.domains && count >= self.domains_a_day => {
                format!(", {count} within a day (high from {})", self.domains_a_day)
            }
            _ => String::new(),
        };
        let text = format!(
            "no mail server, yet {} connections to port 25 outside: {told}{patient}{loose}; {} MX questions, {} MX answers; first {}, \
             last {last}",
            trail.connections, trail.mx_questions, chain.mx_answers, trail.first_step
        );
        let count = |number: usize| Figure::Count(number as u64);
        let figures = vec![
            ("domains", count(domains)),
            ("networks_without_question", count(networks)),
            ("window_seconds", Figure::Count(window)),
            ("threshold", count(self.domains)),
            ("domains_in_all", count(trail.domains_in_all())),
            ("mx_questions", Figure::Count(trail.mx_questions)),
            ("mx_answers", Figure::Count(chain.mx_answers)),
            ("addresses", Figure::Count(chain.addresses_learnt)),
            ("connections", Figure::Count(trail.connections)),
            ("chains", Figure::List(vec![trail.first_step.clone(), last])),
        ];
        Evidence { source: Self::NAME.into(), text, figures }
    }
}

impl State {
    fn trail(&mut self, now: Timestamp) -> &mut Trail {
        self.0.get_or_insert_with(|| {
            Box::new(Trail {
                chain: Chain::default(),
                domains: Recent::new(limits::CHAIN_ENTRIES),
                domains_before: 0,
                networks: Recent::new(limits::CHAIN_ENTRIES),
                connections: 0,
                since: now,
                last: now,
                first_step: String::new(),
                last_step: Step::Connection(IpAddr::from([0; 4])),
                told: [Pace::default(); 3],
                mx_questions: 0,
            })
        })
    }
}

impl Trail {
    /// How many domains it delivered to, as far as they were remembered at one time.
    fn domains_in_all(&self) -> usize {
        self.domains_before.max(self.domains.len())
    }

    fn deliver(&mut self, server: IpAddr, now: Timestamp) {
        self.last_step = match self.chain.connect(server, now) {
            Some(link) => {
                self.domains.insert(Arc::clone(&link.domain), now);
                Step::Chain(link)
            }
            None => {
                self.networks.insert(network(server), now);
                Step::Connection(server)
            }
        };
        if self.first_step.is_empty() || apart(now, self.last) > limits::CHAIN_AGE {
            self.since = now;
            self.first_step = self.last_step.text();
        }
        self.connections = self.connections.saturating_add(1);
        self.last = now;
    }
}

impl Step {
    fn text(&self) -> String {
        match self {
            Self::Chain(Link { domain, exchanger, address, implicit }) => {
                let record = if *implicit { "no MX" } else { "MX" };
                format!("{domain} > {record} {exchanger} > {address} port 25")
            }
            Self::Connection(address) => format!("{address} port 25"),
        }
    }
}

/// The /24 or /48 a server stands in.
pub(super) fn network(server: IpAddr) -> IpAddr {
    match server {
        IpAddr::V4(address) => IpAddr::V4((u32::from(address) & 0xffff_ff00).into()),
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & (u128::MAX << 80)).into()),
    }
}

const PORT: u16 = 25;
const DAY: Duration = Duration::from_secs(86_400);
/// What [`Trail::told`] counts.
const LEVELS: [Severity; 3] = [Severity::Low, Severity::Medium, Severity::High];
/// Detectors number their alerts from 9,000,101, far from rule packs.
const ABOUT: Behaviour = Behaviour {
    name: DirectToMx::NAME,
    sid: SID,
    title: "Host that is no mail server delivers mail straight to the world",
    remediation: REMEDIATION,
    references: &[REFERENCE],
};
const SID: u32 = 9_000_101;
const REMEDIATION: &str = "Take the host off the network and scan it for a mass mailer; block port 25 outbound for all but \
                           mail servers. If it is a mail server, say so with --mail-server.";
const REFERENCE: &str = "Whyte, van Oorschot, Kranakis: Addressing Malicious SMTP-based Mass-Mailing Activity within an \
                         Enterprise Network, 2005";
