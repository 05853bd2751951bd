//! The third stage: events with findings in, alerts and incidents out. All host state is here.
//!
//! Pure: takes events in sequence order, has no clock but theirs, and says the same about the same events whatever the
//! hash keys of the run. What is told of whom: only home hosts have state. An event is shown to the detectors once for
//! each home host that has a part in it, the client first.

mod account;
mod closing;
mod joint;
mod kin;
mod moment;
mod roles;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use account::Link;
use joint::JointFloods;
use moment::{Known, Moment, Parties};

use crate::detect::chain::tells_exchangers;
use crate::detect::files::Sightings;
use crate::detect::host::{Facts, Host, Load};
use crate::detect::hosts::{HostTable, Place};
use crate::detect::identity::Identities;
use crate::detect::incident::{View, incident};
use crate::detect::mx_guessing::may_guess;
use crate::detect::name_rule::ASKED_AS;
use crate::detect::{Detectors, Signal, Signals, content_rule};
use crate::model::alert::{Alert, Incident, Severity, Verdict};
use crate::model::event::{DnsMessage, Event, EventKind, QTYPE_MX};
use crate::model::limits;
use crate::model::mail::{Findings, RuleHit};
use crate::model::net::{Direction, HomeNet, Side};
use crate::model::rulebook::RuleBook;
use crate::model::settings::{DetectSettings, Ignore, SensorSettings};
use crate::model::time::Timestamp;

/// What the correlator needs to know beforehand.
#[derive(Clone, Debug)]
pub struct CorrelatorSettings {
    pub home: HomeNet,
    /// Hosts declared to be mail servers (`--mail-server`).
    pub mail_servers: Vec<IpNet>,
    /// Ports on which a flow is a mail flow whatever is spoken; as the sensor's.
    pub mail_ports: Vec<u16>,
    pub detect: DetectSettings,
    /// Addresses declared to be one host each.
    pub groups: Vec<Vec<IpAddr>>,
    /// What is not to be told.
    pub ignore: Vec<Ignore>,
    /// Threads share interfaces, and tell of parts of floods ([`SensorSettings::share_floods`]).
    pub joins_floods: bool,
    /// Home hosts with state at once.
    pub hosts: usize,
    /// Names and addresses remembered for all of them together.
    pub host_entries: usize,
}

impl Default for CorrelatorSettings {
    fn default() -> Self {
        Self {
            home: HomeNet::default(),
            mail_servers: Vec::new(),
            mail_ports: SensorSettings::default().mail_ports,
            detect: DetectSettings::default(),
            groups: Vec::new(),
            ignore: Vec::new(),
            joins_floods: false,
            hosts: limits::HOSTS,
            host_entries: limits::HOST_ENTRIES,
        }
    }
}

/// Something to be told to people.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    Alert(Box<Alert>),
    Incident(Box<Incident>),
}

/// Joins events into cases against hosts.
pub struct Correlator {
    settings: CorrelatorSettings,
    rules: Arc<dyn RuleBook + Send + Sync>,
    detectors: Detectors,
    hosts: HostTable,
    identities: Identities,
    sightings: Sightings,
    link: Link,
    joint: JointFloods,
    /// Time of the newest event, or of the wire when idle.
    now: Timestamp,
    /// Earliest and latest event.
    span: Option<(Timestamp, Timestamp)>,
    incidents: u64,
    /// Incidents that are not closed, and whose they are.
    open: BTreeMap<u64, IpAddr>,
    /// When they were last looked through for those that can be closed.
    swept: Timestamp,
    /// Time leapt to here, and no other event has said so yet.
    leapt: Option<Timestamp>,
    /// How often each wish of [`CorrelatorSettings::ignore`] was heeded.
    ignored: Vec<u64>,
    mailing_hosts: u64,
    /// Alerts by rule, in the order of [`Severity::ALL`].
    alerts: BTreeMap<String, [u64; Severity::ALL.len()]>,
    /// Kept to be used again for the next event.
    signals: Signals,
    gone: Vec<Host>,
}

impl Correlator {
    /// A correlator that has seen nothing yet.
    pub fn new(settings: CorrelatorSettings, rules: Arc<dyn RuleBook + Send + Sync>) -> Self {
        let sightings = Sightings::new((settings.hosts / 10).clamp(1, limits::SIGHTED_FILES));
        Self {
            detectors: Detectors::new(&settings.detect),
            hosts: HostTable::new(settings.hosts, settings.host_entries).with_groups(&settings.groups),
            identities: Identities::new(settings.hosts),
            settings,
            rules,
            sightings,
            link: Link::default(),
            joint: JointFloods::default(),
            now: Timestamp::default(),
            span: None,
            incidents: 0,
            open: BTreeMap::new(),
            swept: Timestamp::default(),
            leapt: None,
            ignored: Vec::new(),
            mailing_hosts: 0,
            alerts: BTreeMap::new(),
            signals: Signals::default(),
            gone: Vec::new(),
        }
    }

    /// Puts another rule set in force. Hits of events still to come must be those of the new set.
    pub fn set_rules(&mut self, rules: Arc<dyn RuleBook + Send + Sync>) {
        self.rules = rules;
    }

    /// Puts other settings in force, for events still to come: of `settings`, the networks, the declared mail servers,
    /// the thresholds and what is to be ignored. Sizes, groups and ports stay as they were. Of a host that is no longer at home
    /// nothing more is learnt; its open incident closes when it has calmed.
    pub fn set_settings(&mut self, settings: &CorrelatorSettings) {
        let CorrelatorSettings { home, mail_servers, detect, ignore, .. } = settings.clone();
        let times_of = |wish: &Ignore| {
            let at = self.settings.ignore.iter().position(|before| before == wish);
            at.and_then(|at| self.ignored.get(at).copied()).unwrap_or_default()
        };
        self.ignored = ignore.iter().map(times_of).collect();
        self.detectors = Detectors::new(&detect);
        for host in self.hosts.iter_mut() {
            let addresses: Vec<IpAddr> = host.facts.addresses().collect();
            host.facts.role.declare(addresses.into_iter(), &mail_servers, &detect.roles);
        }
        self.settings = CorrelatorSettings { home, mail_servers, detect, ignore, ..std::mem::take(&mut self.settings) };
    }

    /// Takes the next event in order; appends what is to be said about it.
    pub fn take(&mut self, event: &Event, findings: &Findings, out: &mut Vec<Said>) {
        self.now = event.time;
        let (first, last) = self.span.unwrap_or((event.time, event.time));
        self.span = Some((first.min(event.time), last.max(event.time)));
        if let Some(now) = self.believed() {
            self.close_calm(now, out);
        }
        if let EventKind::Tick(stats) = &event.kind {
            self.link.tick(event.source, stats);
        }
        let Some(flow) = event.flow.as_deref() else { return };
        let parties = Parties::of(flow, &self.settings.home);
        if let EventKind::Hardware(hardware) = &event.kind {
            self.note_hardware(event.source, *hardware, &parties, out);
            return;
        }
        // Of others than home hosts nothing is kept that could say so, but for a group that reaches outside.
        let any = !self.settings.groups.is_empty();
        let known = |address, is_home| if is_home || any { self.known_as(address) } else { address };
        let parties = Parties {
            client: known(parties.client, parties.client_is_home()),
            server: known(parties.server, parties.server_is_home()),
            ..parties
        };
        let whole;
        let event = match &event.kind {
            EventKind::Flood(part) if self.settings.joins_floods => {
                // Of hosts that are not known nothing would be said anyway.
                let known = parties.client_is_home() && self.hosts.find(parties.client).is_some();
                let sum = known.then(|| self.joint.add(parties.client, parties.server, part)).flatten();
                let Some(flood) = sum else { return };
                whole = Event { kind: EventKind::Flood(Box::new(flood)), flow: event.flow.clone(), ..*event };
                &whole
            }
            _ => event,
        };
        self.note_role(&event.kind, flow, findings, &parties, out);
        let named = self.names_asked(&event.kind, &parties);
        let hits = if named.is_empty() { &findings.hits } else { &named };
        let moment = Moment { event, flow, findings, hits, parties };
        if parties.client_is_home() && self.concerns_client(&moment) {
            self.show(&moment, Side::Client, out);
        }
        if parties.server_is_home() && !hits.is_empty() && matches!(event.kind, EventKind::Smtp(_)) {
            self.show(&moment, Side::Server, out);
        }
        if parties.direction == Direction::External && matches!(event.kind, EventKind::Smtp(_)) {
            self.pass_by(&moment, out);
        }
        if let EventKind::Smtp(smtp) = &event.kind
            && !findings.files.is_empty()
            && parties.server_is_home()
        {
            self.sightings.note(parties.client, parties.server, event.time, smtp, findings);
        }
    }

    /// Idle wire: time went on without events.
    pub fn advance(&mut self, now: Timestamp, out: &mut Vec<Said>) {
        self.now = now;
        self.close_calm(now, out);
    }

    /// The end: closes all incidents, in the order of their numbers.
    pub fn finish(&mut self, out: &mut Vec<Said>) {
        let view = view(&self.detectors, &self.settings, self.now, &self.link);
        let mut last: Vec<Incident> = self.hosts.iter().filter_map(|host| incident(host, view, true)).collect();
        last.sort_by_key(|incident| incident.id);
        out.extend(last.into_iter().map(|incident| Said::Incident(Box::new(incident))));
    }

    fn open(&mut self, host: IpAddr) -> Place {
        self.hosts.open(host, &self.settings.mail_servers)
    }

    /// Rules met by the names a home host asks for.
    fn names_asked(&self, kind: &EventKind, parties: &Parties) -> Vec<RuleHit> {
        match kind {
            EventKind::Dns(message) if !message.is_response() && parties.client_is_home() => {
                message.queries.iter().flat_map(|query| self.rules.match_dns(&query.name, ASKED_AS)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether the client's state has anything to do with the event. Most questions have nothing to do with mail:
    /// they make no state.
    fn concerns_client(&self, moment: &Moment<'_>) -> bool {
        let known = || self.hosts.find(moment.parties.client).is_some();
        match &moment.event.kind {
            EventKind::Smtp(_) | EventKind::Connect(_) => true,
            EventKind::Dns(message) if message.is_response() => tells_exchangers(message) || known(),
            EventKind::Dns(message) => asks_mx(message) || may_guess(message) || !moment.hits.is_empty(),
            EventKind::FlowEnd(end) => {
                end.app_proto == "smtp" || self.settings.mail_ports.contains(&moment.flow.server.port())
            }
            // Whoever floods and is not known yet is not under suspicion either.
            EventKind::Flood(_) => known(),
            EventKind::Greeting(_)
            | EventKind::Hardware(_)
            | EventKind::Anomaly(_)
            | EventKind::Packet(_)
            | EventKind::Tick(_) => false,
        }
    }

    /// Shows an event to the detectors as one home host takes part in it.
    fn show(&mut self, moment: &Moment<'_>, part: Side, out: &mut Vec<Said>) {
        let (event, flow, parties) = (moment.event, moment.flow, &moment.parties);
        let (addr, peer) = match part {
            Side::Client => (parties.client, parties.server),
            Side::Server => (parties.server, parties.client),
        };
        let captured = self.link.captured;
        let place = self.hosts.open(addr, &self.settings.mail_servers);
        let Some(host) = self.hosts.host_mut(place) else { return };
        let mut load = Load::default();
        if part == Side::Client {
            load = host.facts.load(&event.kind, flow, moment.findings, &self.settings.mail_ports);
            let mailed_before = host.facts.first_mail.is_some();
            host.facts.note(&load, &event.kind, flow, event.time, captured);
            if parties.direction == Direction::Outbound && flow.server.port() == SMTP_PORT {
                host.facts.conduct(&load, &event.kind, &self.settings.detect.roles);
            }
            self.mailing_hosts += u64::from(!mailed_before && host.facts.first_mail.is_some());
        }
        let known = Known { rules: &*self.rules, sightings: &self.sightings, captured, verdict: host.verdict() };
        let scene = moment.scene(part, peer, load, known);
        self.detectors.see(&host.facts, &mut host.states, &scene, &mut self.signals);
        let weighing = &self.settings.detect.verdict;
        for detector in self.signals.again.drain(..) {
            if let Some(case) = &mut host.case {
                case.again(detector, event.time, weighing);
            }
        }
        for signal in self.signals.raised.drain(..) {
            if heeded(&self.settings.ignore, &mut self.ignored, &signal, &host.facts) {
                continue;
            }
            count(&mut self.alerts, &signal.alert);
            let changed = judge(host, &signal, &mut self.incidents, &self.settings.detect);
            out.push(Said::Alert(Box::new(signal.alert)));
            let view = view(&self.detectors, &self.settings, event.time, &self.link);
            if changed && let Some(incident) = incident(host, view, false) {
                self.open.insert(incident.id, incident.host);
                out.push(Said::Incident(Box::new(incident)));
            }
        }
        self.hosts.settle(place, &mut self.gone);
        self.close_gone(out);
    }

    /// A message between strangers.
    fn pass_by(&mut self, moment: &Moment<'_>, out: &mut Vec<Said>) {
        let (peer, captured) = (moment.parties.server, self.link.captured);
        let known = Known { rules: &*self.rules, sightings: &self.sightings, captured, verdict: Verdict::Clean };
        let scene = moment.scene(Side::Client, peer, Load::default(), known);
        for alert in content_rule::passing(&scene) {
            count(&mut self.alerts, &alert);
            out.push(Said::Alert(Box::new(alert)));
        }
    }
}

/// Adds a signal to the host's case; true when that changed its verdict. The first change opens an incident.
fn judge(host: &mut Host, signal: &Signal, incidents: &mut u64, settings: &DetectSettings) -> bool {
    let case = host.case.get_or_insert_default();
    let changed = case.note(signal, &settings.verdict).is_some();
    if changed {
        host.facts.role.judged(case.verdict());
        host.facts.role.settle(&settings.roles);
    }
    if changed && case.incident.is_none() {
        *incidents += 1;
        case.incident = Some(*incidents);
    }
    changed
}

/// Whether the operator does not want to be told this; counts it then.
fn heeded(ignore: &[Ignore], heeded: &mut Vec<u64>, signal: &Signal, host: &Facts) -> bool {
    let is_meant = |wish: &Ignore| {
        (wish.detector == signal.detector || wish.detector == signal.alert.rule)
            && host.addresses().any(|address| wish.host.contains(&address))
    };
    let Some(at) = ignore.iter().position(is_meant) else { return false };
    heeded.resize(ignore.len(), 0);
    if let Some(times) = heeded.get_mut(at) {
        *times = times.saturating_add(1);
    }
    true
}

/// How cases are told of, as things stand.
fn view<'a>(detectors: &'a Detectors, settings: &'a CorrelatorSettings, now: Timestamp, link: &Link) -> View<'a> {
    View { detectors, settings: &settings.detect.verdict, now, captured: link.captured }
}

fn count(alerts: &mut BTreeMap<String, [u64; Severity::ALL.len()]>, alert: &Alert) {
    if !alerts.contains_key(&alert.rule) {
        alerts.insert(alert.rule.clone(), Default::default());
    }
    let counts = alerts.get_mut(&alert.rule).and_then(|counts| counts.get_mut(alert.severity as usize));
    if let Some(count) = counts {
        *count = count.saturating_add(1);
    }
}

fn asks_mx(message: &DnsMessage) -> bool {
    message.queries.iter().any(|query| query.qtype == QTYPE_MX)
}

const SMTP_PORT: u16 = 25;

#[cfg(test)]
mod tests;
