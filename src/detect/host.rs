//! What is kept of one home host, whoever judges it.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::model::alert::{Incident, Severity, Verdict};
use crate::model::event::{EventKind, FlowEnd, Outcome, QTYPE_MX};
use crate::model::limits;
use crate::model::mail::Findings;
use crate::model::net::Flow;
use crate::model::settings;
use crate::model::time::Timestamp;

use super::States;
use super::role::Role;
use super::verdict::Case;

/// A home host: what is known of it, what each detector remembers of it, and the case against it.
#[derive(Debug)]
pub struct Host {
    pub facts: Facts,
    pub states: States,
    /// None until something was said about it.
    pub case: Option<Box<Case>>,
    /// Its worst incident that is closed.
    pub past: Option<Box<Incident>>,
}

/// What all detectors may read of a host.
#[derive(Debug)]
pub struct Facts {
    /// The address it was first known by.
    pub addr: IpAddr,
    /// Others that are the same host; none for most.
    others: Vec<IpAddr>,
    pub role: Role,
    pub tally: Tally,
    /// Its first event on a mail flow it opened, and where that flow led.
    pub first_mail: Option<(Timestamp, SocketAddr)>,
    pub first_message: Option<Timestamp>,
    /// Its first question for a mail exchanger, and of which domain.
    pub first_mx: Option<(Timestamp, Box<str>)>,
    /// Last time it mailed or asked for an exchanger.
    pub last_seen: Timestamp,
    /// Whether anything answered it on a mail port: what one spoofed packet cannot bring about.
    pub conversed: bool,
    /// All bytes captured before its first mail.
    captured_before: u64,
    /// Mail flows lately counted as connections.
    flows: FlowRing,
}

/// Sums over a host's life in the table. They saturate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Transactions that carried a message, or were accepted.
    pub messages: u64,
    /// Recipients not refused.
    pub recipients: u64,
    /// Bytes of IP packets, both ways, of mail flows it opened.
    pub bytes: u64,
    /// Attempts to connect to a mail port, however they ended.
    pub connections: u64,
    pub mx_lookups: u64,
}

impl Tally {
    /// Adds `more`.
    pub fn add(&mut self, more: &Self) {
        for (sum, more) in [
            (&mut self.messages, more.messages),
            (&mut self.recipients, more.recipients),
            (&mut self.bytes, more.bytes),
            (&mut self.connections, more.connections),
            (&mut self.mx_lookups, more.mx_lookups),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

/// What one event adds to its client, and what it tells about the flow.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    pub adds: Tally,
    /// The event is of a mail flow.
    pub mail: bool,
    /// The first sign that the other side of this mail flow was reached.
    pub contact: bool,
}

impl Host {
    /// A host nothing is known of but its address.
    pub fn new(addr: IpAddr, declared: &[IpNet]) -> Self {
        let facts = Facts {
            addr,
            others: Vec::new(),
            role: Role::of(addr, declared),
            tally: Tally::default(),
            first_mail: None,
            first_message: None,
            first_mx: None,
            last_seen: Timestamp::default(),
            conversed: false,
            captured_before: 0,
            flows: FlowRing::default(),
        };
        Self { facts, states: States::default(), case: None, past: None }
    }

    /// Adds all that was known of another address, which turned out to be the same host. Of what detectors remember only
    /// the larger part is kept: to join two windows or two sequential tests would be to invent an order of events.
    pub fn join(&mut self, other: Self, now: Timestamp, verdict: &settings::Verdict) {
        let Self { facts, states, case, past } = other;
        if states.entries() > self.states.entries() {
            self.states = states;
        }
        self.facts.join(facts);
        match (&mut self.case, case) {
            (Some(case), Some(other)) => case.join(*other, now, verdict),
            (case @ None, other) => *case = other,
            _ => {}
        }
        if past.as_ref().map(|past| past.verdict) > self.past.as_ref().map(|past| past.verdict) {
            self.past = past;
        }
        self.facts.role.judged(self.verdict());
    }

    /// What is thought of it.
    pub fn verdict(&self) -> Verdict {
        self.case.as_ref().map_or(Verdict::Clean, |case| case.verdict())
    }

    /// The worst that was thought of it.
    pub fn worst(&self) -> Verdict {
        self.past.as_ref().map_or(Verdict::Clean, |past| past.verdict).max(self.verdict())
    }

    /// Things remembered of it: by detectors, in the case against it, and in one that is closed.
    pub fn entries(&self) -> usize {
        let past = self.past.as_ref().map_or(0, |past| 7 * past.evidence.len() + past.timeline.len() + 3);
        self.states.entries() + self.case.as_ref().map_or(0, |case| case.entries()) + past
    }

    /// Gives up all but the `most` newest of each kind of thing remembered of it. Verdict, reasons and sums stay.
    pub fn shorten(&mut self, most: usize) {
        self.states.shorten(most);
        if let Some(case) = self.case.as_mut().filter(|_| most <= 1) {
            case.shorten();
        }
    }

    /// How much would be lost with it: the table gives up the lowest first.
    pub fn worth(&self) -> Worth {
        match self.verdict() {
            Verdict::Infected => Worth::Infected,
            Verdict::Suspicious => Worth::Suspicious,
            Verdict::Clean if self.case.is_some() || self.past.is_some() || self.facts.role.is_noteworthy() => {
                Worth::Known
            }
            Verdict::Clean if self.facts.conversed => Worth::Mailing,
            Verdict::Clean => Worth::Quiet,
        }
    }
}

/// The classes in which hosts are given up, least valuable first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Worth {
    /// Only asked, or knocked in vain: one spoofed packet does as much.
    Quiet,
    Mailing,
    /// A mail server, or something was said about it.
    Known,
    Suspicious,
    Infected,
}

impl Worth {
    /// Number of classes.
    pub const CLASSES: usize = Self::ALL.len();
    /// All of them, least valuable first.
    pub const ALL: [Self; 5] = [Self::Quiet, Self::Mailing, Self::Known, Self::Suspicious, Self::Infected];
}

impl Facts {
    /// The address it was first known by, and its others.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        std::iter::once(self.addr).chain(self.others.iter().copied())
    }

    /// It has this address, too.
    pub(super) fn also_at(&mut self, address: IpAddr, declared: &[IpNet]) {
        if address != self.addr {
            self.others.push(address);
            self.others.sort_unstable();
            self.others.dedup();
            self.role.also_at(address, declared);
        }
    }

    /// It no longer has it; false for the address it is known by.
    pub(super) fn leave(&mut self, address: IpAddr) -> bool {
        let had = self.others.len();
        self.others.retain(|other| *other != address);
        self.others.len() < had
    }

    fn join(&mut self, other: Self) {
        self.tally.add(&other.tally);
        let since = |facts: &Self| facts.first_mail.map(|(first, _)| first);
        if other.first_mail.is_some() && (self.first_mail.is_none() || since(&other) < since(self)) {
            (self.first_mail, self.captured_before) = (other.first_mail, other.captured_before);
        }
        self.first_message = [self.first_message, other.first_message].into_iter().flatten().min();
        self.first_mx = [self.first_mx.take(), other.first_mx].into_iter().flatten().min();
        self.last_seen = self.last_seen.max(other.last_seen);
        self.conversed |= other.conversed;
        self.role.join(other.role);
    }

    /// Reads what an event of a flow this host opened adds; remembers the flow as counted.
    pub fn load(&mut self, kind: &EventKind, flow: &Flow, findings: &Findings, mail_ports: &[u16]) -> Load {
        use crate::model::event::ConnectOutcome::Answered;

        let known_port = mail_ports.contains(&flow.server.port());
        let mut load = Load::default();
        match kind {
            EventKind::Connect(outcome) => {
                load.mail = true;
                // A flow whose other side is not in the capture may be counted already, by what was said on it.
                load.adds.connections = u64::from(self.flows.enter(flow));
                load.contact = *outcome == Answered && load.adds.connections > 0;
            }
            EventKind::Smtp(smtp) => {
                load.mail = true;
                load.adds.bytes = smtp.wire_bytes;
                if let Some(envelope) = &smtp.envelope {
                    let carried = smtp.message.is_some() || findings.email.is_some();
                    load.adds.messages = u64::from(carried || smtp.outcome == Outcome::Accepted);
                    load.adds.recipients = envelope.rcpt_to.len() as u64 + u64::from(envelope.rcpt_dropped);
                }
                // Where the opening was seen and the port is known, `Connect` told of the flow before.
                let untold = flow.midstream || smtp.unseen != [false; 2] || !known_port;
                load.contact = untold && smtp.tx_id == 0 && self.flows.enter(flow);
                load.adds.connections = u64::from(load.contact);
            }
            EventKind::FlowEnd(end) if known_port || end.app_proto == "smtp" => {
                load.mail = true;
                load.adds.bytes = end.wire_bytes;
            }
            EventKind::Dns(message) if !message.is_response() => {
                load.adds.mx_lookups = message.queries.iter().filter(|query| query.qtype == QTYPE_MX).count() as u64;
            }
            _ => {}
        }
        load
    }

    /// Counts an event of a flow this host opened.
    pub fn note(&mut self, load: &Load, kind: &EventKind, flow: &Flow, now: Timestamp, captured: u64) {
        self.tally.add(&load.adds);
        if load.mail && self.first_mail.is_none() {
            self.first_mail = Some((now, flow.server));
            self.captured_before = captured;
        }
        if load.adds.messages > 0 && self.first_message.is_none() {
            self.first_message = Some(now);
        }
        if let EventKind::Dns(message) = kind
            && load.adds.mx_lookups > 0
            && self.first_mx.is_none()
        {
            let asked = message.queries.iter().find(|query| query.qtype == QTYPE_MX);
            self.first_mx = asked.map(|query| (now, query.name.as_str().into()));
        }
        self.conversed |= load.contact || matches!(kind, EventKind::Smtp(_));
        if load.mail || load.adds.mx_lookups > 0 {
            self.last_seen = now;
        }
    }

    /// Counts an event of a flow it opened to port 25 outside, for what its manners say.
    pub fn conduct(&mut self, load: &Load, kind: &EventKind, needs: &settings::Roles) {
        if load.adds.connections > 0 {
            self.role.conduct_mut().contact();
            self.role.settle(needs);
        }
        match kind {
            EventKind::Smtp(smtp) => {
                let taken = self.role.taken();
                self.role.conduct_mut().see(smtp, taken);
            }
            EventKind::FlowEnd(end) if could_not_be_read(end) => self.role.conduct_mut().unread(),
            _ => return,
        }
        self.role.settle(needs);
    }

    /// As [`Role::temper`]. Besides, a host that asks for no exchanger and begins no transaction, but only looks who
    /// answers on port 25, is a scanner as likely as a bot: at most medium, and one ground together; low where it was let in and
    /// left.
    pub fn temper(&self, severity: Severity, ground: &'static str) -> (Severity, &'static str) {
        if self.tally.mx_lookups == 0 && !self.role.has_mailed() {
            let most = if self.role.leaves_when_welcome() { Severity::Low } else { Severity::Medium };
            return self.role.temper(severity.max(most), ONLY_LOOKS);
        }
        self.role.temper(severity, ground)
    }

    /// Its mail bytes as a share (0 to 1) of all bytes captured since its first mail; see
    /// [`crate::model::alert::Incident::share_of_link`]. `captured` is the sum of the last ticks of all sources.
    pub fn share_of_link(&self, captured: u64) -> f64 {
        let since = captured.saturating_sub(self.captured_before);
        if since == 0 { 0.0 } else { (self.tally.bytes as f64 / since as f64).min(1.0) }
    }
}

/// Whether a flow's end tells of a session of which nothing was understood.
pub(super) fn could_not_be_read(end: &FlowEnd) -> bool {
    end.app_proto != "smtp" && end.bytes.iter().all(|bytes| *bytes >= limits::FANOUT_SESSION_BYTES)
}

/// Stands for all detectors that spoke of a host which only looks who answers.
const ONLY_LOOKS: &str = "only looks who answers";

/// The last few flows of some kind, so that one is known when it comes up again. With more of them open at once than it
/// holds, some are forgotten.
#[derive(Clone, Debug, Default)]
pub(super) struct FlowRing {
    ids: [u64; 8],
    next: u8,
}

impl FlowRing {
    /// Remembers a flow; false when it was remembered already.
    pub(super) fn enter(&mut self, flow: &Flow) -> bool {
        let flow = Self::key(flow);
        if self.ids.contains(&flow) {
            return false;
        }
        if let Some(place) = self.ids.get_mut(usize::from(self.next)) {
            *place = flow;
        }
        self.next = (self.next + 1) % self.ids.len() as u8;
        true
    }

    /// Forgets a flow; false when it was not remembered.
    pub(super) fn leave(&mut self, flow: &Flow) -> bool {
        let flow = Self::key(flow);
        let known = self.ids.iter_mut().find(|known| **known == flow);
        known.map(|known| *known = 0).is_some()
    }

    /// The same addresses and ports later are another flow. Zero marks an empty place.
    fn key(flow: &Flow) -> u64 {
        (flow.id().rotate_left(32) ^ flow.started.as_nanos() as u64).max(1)
    }
}

#[cfg(test)]
mod tests;
