//! A wire made by hand: feeds a correlator with events on a clock of its own.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::correlator::{Correlator, CorrelatorSettings, Said};
use crate::model::alert::{Alert, Evidence, Figure, Incident, Severity, Verdict};
use crate::model::event::{
    ConnectOutcome, DnsData, DnsMessage, DnsQuestion, DnsRecord, EndReason, Envelope, Event, EventKind, FlowEnd,
    Outcome, QTYPE_MX, Rejected, Reply, SmtpEvent,
};
use crate::model::mail::{Email, Findings, RuleHit};
use crate::model::net::{Direction, Flow, FlowNames, Transport, Vlans};
use crate::model::rulebook::{RuleBook, RuleFacts};
use crate::model::stats::SensorStats;
use crate::model::time::Timestamp;

pub const WORM: usize = 0;
pub const POLICY: usize = 1;
pub const DOS: usize = 2;

pub const HOST: &str = "10.0.0.5";
pub const SERVER: &str = "10.0.0.25";
pub const RESOLVER: &str = "10.0.0.53";
pub const OUTSIDE: &str = "198.51.100.7";
pub const OUTSIDE_RESOLVER: &str = "198.51.100.53";

/// Three rules: a worm's message, a policy's, and the name the worm attacks.
pub struct Book;

impl RuleBook for Book {
    fn describe(&self, rule: usize) -> Option<RuleFacts<'_>> {
        let (id, category) = *[("mimail-c", "worm"), ("exe-in-zip", "policy"), ("mimail-c-dos", "worm")].get(rule)?;
        let sid = 100 + rule as u32;
        let remediation = "Delete unopened; patch (MS03-014).";
        Some(RuleFacts {
            id,
            sid,
            rev: 2,
            title: "A title",
            category,
            references: &[],
            remediation,
            marks_infection: category == "worm",
        })
    }

    fn severity(&self, rule: usize, direction: Direction) -> Severity {
        match (rule, direction) {
            (WORM, Direction::Outbound) => Severity::Critical,
            (POLICY, _) => Severity::Low,
            _ => Severity::High,
        }
    }

    fn match_dns(&self, name: &str, _direction: Direction) -> Vec<RuleHit> {
        if name.ends_with("darkprofits.com") { vec![hit(DOS)] } else { Vec::new() }
    }
}

pub fn hit(rule: usize) -> RuleHit {
    RuleHit { rule, evidence: vec![r#"attachment.name "photos.zip""#.into()] }
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Feeds a correlator by hand, on a clock of its own.
pub struct Wire {
    pub correlator: Correlator,
    pub now: Timestamp,
    flows: u64,
    captured: u64,
    pub said: Vec<Said>,
}

impl Wire {
    pub fn new() -> Self {
        Self::with(CorrelatorSettings::default(), Arc::new(Book))
    }

    pub fn with(settings: CorrelatorSettings, rules: Arc<dyn RuleBook + Send + Sync>) -> Self {
        let now = Timestamp::from_parts(1_067_601_600, 0);
        Self { correlator: Correlator::new(settings, rules), now, flows: 0, captured: 0, said: Vec::new() }
    }

    pub fn wait(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
    }

    pub fn feed(&mut self, flow: Option<&Arc<Flow>>, kind: EventKind, findings: &Findings) {
        let event = Event { seq: 0, time: self.now, source: 0, file: 0, packet: 1, flow: flow.cloned(), kind };
        self.correlator.take(&event, findings, &mut self.said);
    }

    pub fn flow(&mut self, client: &str, server: &str, port: u16) -> Arc<Flow> {
        self.flows += 1;
        Arc::new(Flow {
            client: SocketAddr::new(ip(client), 1_024 + (self.flows % 60_000) as u16),
            server: SocketAddr::new(ip(server), port),
            transport: Transport::Tcp,
            vlans: Vlans::default(),
            started: self.now,
            midstream: false,
            names: FlowNames::default(),
        })
    }

    pub fn tick(&mut self, more: u64) {
        self.captured += more;
        let mut stats = SensorStats::default();
        stats.capture.bytes = self.captured;
        self.feed(None, EventKind::Tick(Box::new(stats)), &Findings::default());
    }

    pub fn connect(&mut self, client: &str, server: &str, port: u16) -> Arc<Flow> {
        let flow = self.flow(client, server, port);
        self.feed(Some(&flow), EventKind::Connect(ConnectOutcome::Answered), &Findings::default());
        flow
    }

    pub fn greet(&mut self, flow: &Arc<Flow>) {
        let reply = Reply { code: 220, text: "mail.example ESMTP".into() };
        self.feed(Some(flow), EventKind::Greeting(reply), &Findings::default());
    }

    /// So many clients outside, each in a network of its own, deliver a message to `server`, 300 s from each other.
    pub fn serve(&mut self, server: &str, clients: u8) {
        for client in 1..=clients {
            if client > 1 {
                self.wait(300);
            }
            let flow = self.connect(&format!("192.0.{client}.1"), server, 25);
            self.greet(&flow);
            self.message(&flow, 1, vec![]);
        }
    }

    /// A message accepted on `flow`; 1,000 bytes on the wire.
    pub fn message(&mut self, flow: &Arc<Flow>, recipients: usize, hits: Vec<RuleHit>) {
        let rcpt_to = (0..recipients).map(|number| format!("r{number}@example.net")).collect();
        let envelope = Envelope { mail_from: "james@example.net".into(), rcpt_to, ..Envelope::default() };
        let smtp = SmtpEvent {
            started: self.now,
            envelope: Some(envelope),
            outcome: Outcome::Accepted,
            wire_bytes: 1_000,
            ..SmtpEvent::default()
        };
        let findings = Findings { email: Some(Email::default()), hits, ..Findings::default() };
        self.feed(Some(flow), EventKind::Smtp(Box::new(smtp)), &findings);
    }

    /// A message to these recipients that ends so; a refused one loses its recipients.
    pub fn letter(&mut self, flow: &Arc<Flow>, to: &[&str], outcome: Outcome) {
        let (mut rcpt_to, mut rcpt_rejected) = (Vec::new(), Vec::new());
        for address in to.iter().map(|address| (*address).to_owned()) {
            match outcome {
                Outcome::Rejected => rcpt_rejected
                    .push(Rejected { address, reply: Reply { code: 550, text: "5.1.1 no such user".into() } }),
                _ => rcpt_to.push(address),
            }
        }
        let envelope = Envelope { mail_from: "a@example.net".into(), rcpt_to, rcpt_rejected, ..Envelope::default() };
        let smtp = SmtpEvent { started: self.now, envelope: Some(envelope), outcome, ..SmtpEvent::default() };
        self.feed(Some(flow), EventKind::Smtp(Box::new(smtp)), &Findings::default());
    }

    /// A session that goes to TLS and stays there.
    pub fn encrypted(&mut self, flow: &Arc<Flow>) {
        let smtp = SmtpEvent { started: self.now, tls: true, ..SmtpEvent::default() };
        self.feed(Some(flow), EventKind::Smtp(Box::new(smtp)), &Findings::default());
        self.end(flow, 2_000);
    }

    pub fn end(&mut self, flow: &Arc<Flow>, wire_bytes: u64) {
        self.end_with(flow, wire_bytes, [500, 500]);
    }

    /// The same, with the bytes of both sides.
    pub fn end_with(&mut self, flow: &Arc<Flow>, wire_bytes: u64, bytes: [u64; 2]) {
        let end = FlowEnd {
            packets: [10, 10],
            bytes,
            last: self.now,
            app_proto: "smtp",
            reason: EndReason::Finished,
            tcp_flags: [0x1b; 2],
            wire_bytes,
        };
        self.feed(Some(flow), EventKind::FlowEnd(Box::new(end)), &Findings::default());
    }

    /// A question and its answer, `None` for an answer that is not in the capture.
    pub fn ask(&mut self, client: &str, resolver: &str, name: &str, qtype: u16, data: Option<DnsData>, over_tcp: bool) {
        let transport = if over_tcp { Transport::Tcp } else { Transport::Udp };
        let flow = Arc::new(Flow { transport, ..(*self.flow(client, resolver, 53)).clone() });
        let mut message = DnsMessage {
            flags: 0x0100,
            queries: smallvec::smallvec![DnsQuestion { name: name.into(), qtype }],
            over_tcp,
            ..DnsMessage::default()
        };
        self.feed(Some(&flow), EventKind::Dns(Box::new(message.clone())), &Findings::default());
        if let Some(data) = data {
            message.flags = 0x8180;
            message.answers.push(DnsRecord { name: name.into(), rtype: qtype, ttl: 300, data });
            self.feed(Some(&flow), EventKind::Dns(Box::new(message)), &Findings::default());
        }
    }

    /// The whole chain to the exchanger of domain number `n`, connection included.
    pub fn deliver(&mut self, client: &str, resolver: &str, n: u8, over_tcp: bool) -> Arc<Flow> {
        let (domain, exchanger) = (format!("d{n}.example"), format!("mx.d{n}.example"));
        let address = [203, 0, 113, n];
        let mx = DnsData::Mx { preference: 10, exchange: exchanger.as_str().into() };
        self.ask(client, resolver, &domain, QTYPE_MX, Some(mx), over_tcp);
        self.ask(client, resolver, &exchanger, 1, Some(DnsData::A(address.into())), over_tcp);
        self.connect(client, &IpAddr::from(address).to_string(), 25)
    }

    pub fn alerts(&self) -> Vec<&Alert> {
        let alerts = self.said.iter().filter_map(|said| match said {
            Said::Alert(alert) => Some(&**alert),
            Said::Incident(_) => None,
        });
        alerts.collect()
    }

    pub fn incidents(&self) -> Vec<&Incident> {
        let incidents = self.said.iter().filter_map(|said| match said {
            Said::Incident(incident) => Some(&**incident),
            Said::Alert(_) => None,
        });
        incidents.collect()
    }

    /// Alerts in short: rule, severity, host.
    pub fn short(&self) -> Vec<(String, Severity, Option<IpAddr>)> {
        self.alerts().iter().map(|alert| (alert.rule.clone(), alert.severity, alert.host)).collect()
    }

    pub fn verdict(&self, host: &str) -> Verdict {
        let host = ip(host);
        let report = self.correlator.report();
        report.hosts.iter().find(|report| report.host == host).map_or(Verdict::Clean, |report| report.verdict)
    }
}

pub fn figure<'a>(evidence: &'a Evidence, name: &str) -> &'a Figure {
    &evidence.figures.iter().find(|(known, _)| *known == name).unwrap().1
}

pub fn alert(rule: &str, severity: Severity, host: &str) -> (String, Severity, Option<IpAddr>) {
    (rule.into(), severity, Some(ip(host)))
}
