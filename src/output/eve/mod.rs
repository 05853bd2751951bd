//! Values to EVE lines: one JSON object a line, with the field names of Suricata's EVE JSON format.
//!
//! Read first: Suricata's manual, "EVE JSON Format". Where we have a fact Suricata has no field for, the field is ours
//! and sits in the object it belongs to. Nothing here does I/O; lines are appended to a buffer the caller owns.
//!
//! `model::eve_type` says which types there are; [`types`] has the shape of a line, [`mail`], [`dns`] and [`stats`] those of
//! their objects.

pub mod dns;
pub mod mail;
pub mod stats;
pub mod types;

use std::time::Duration;

use serde::Serialize;

use self::dns::Dns;
use self::mail::{EmailBody, FileBody, SmtpBody};
use self::stats::Stats;
use self::types::{AlertBody, AnomalyBody, FlowBody, IncidentBody, Line, TcpBody};
use crate::model::alert::{Alert, Incident};
use crate::model::eve_type::{EventFilter, EventType};
use crate::model::event::{Anomaly, DnsMessage, Event, EventKind, FlowEnd, Layer, QTYPE_MX, SmtpEvent};
use crate::model::mail::{FileFact, Findings};
use crate::model::net::Transport;
use crate::model::stats::{InspectStats, SensorStats};
use crate::model::time::Timestamp;

/// Turns events, alerts, incidents and counters into EVE lines.
///
/// Same input, same bytes: the only state is when statistics were last written.
#[derive(Debug)]
pub struct Renderer {
    filter: EventFilter,
    origin: Origin,
    /// Time of the first event, from which `stats.uptime` counts.
    began: Option<Timestamp>,
    /// When each source's statistics were last written, by source index.
    stats_at: Vec<Option<Timestamp>>,
}

/// Where packets come from, and so which of Suricata's fields name the place.
#[derive(Clone, Debug)]
pub enum Origin {
    /// Interface names by [`Event::source`]: lines carry `in_iface`.
    Live(Vec<String>),
    /// File names by [`Event::file`]: lines carry `pcap_cnt` and `pcap_filename`.
    Replay(Vec<String>),
}

impl Renderer {
    /// A renderer that writes the types `filter` holds.
    pub fn new(filter: EventFilter, origin: Origin) -> Self {
        Self { filter, origin, began: None, stats_at: Vec::new() }
    }

    /// Writes the types that `filter` holds from here on.
    pub fn set_filter(&mut self, filter: EventFilter) {
        self.filter = filter;
    }

    /// Which types it writes.
    pub fn filter(&self) -> EventFilter {
        self.filter
    }

    /// Appends the lines of an event: its own, and those of the files and anomalies found in its message.
    ///
    /// `stored` says for each of `findings.files` whether it was extracted; a shorter slice means the rest was not.
    /// `Greeting` and `Connect` have no line; for `Tick` see [`Renderer::stats`].
    pub fn event(&mut self, event: &Event, findings: Option<&Findings>, stored: &[bool], out: &mut Vec<u8>) {
        self.began.get_or_insert(event.time);
        match &event.kind {
            EventKind::Smtp(smtp) => self.smtp(event, smtp, findings, stored, out),
            EventKind::Dns(message) => self.dns(event, message, out),
            EventKind::FlowEnd(end) => self.flow(event, end, out),
            EventKind::Anomaly(anomaly) => self.anomaly(event, anomaly, None, out),
            EventKind::Greeting(_)
            | EventKind::Connect(_)
            | EventKind::Flood(_)
            | EventKind::Hardware(_)
            | EventKind::Packet(_)
            | EventKind::Tick(_) => {}
        }
    }

    /// Appends an alert's line, with what it was raised on: the event, and what was found in its message.
    pub fn alert(&self, alert: &Alert, cause: Option<(&Event, Option<&Findings>)>, out: &mut Vec<u8>) {
        if !self.filter.has(EventType::Alert) {
            return;
        }
        let mut line = match cause {
            Some((event, _)) => self.line(EventType::Alert, event),
            None => Line::new(EventType::Alert.name(), alert.time),
        };
        line.timestamp = types::Time(alert.time);
        if line.src_ip.is_none() {
            line.src_ip = alert.host;
        }
        line.alert = Some(AlertBody(alert));
        match cause.map(|(event, findings)| (&event.kind, findings)) {
            Some((EventKind::Smtp(smtp), findings)) => {
                line.app_proto = Some("smtp");
                line.tx_id = Some(smtp.tx_id);
                line.smtp = Some(SmtpBody(smtp));
                line.email = EmailBody::of(smtp, findings);
            }
            Some((EventKind::Dns(message), _)) => {
                line.app_proto = Some("dns");
                line.dns = Some(Dns(message));
            }
            _ => {}
        }
        append(&line, out);
    }

    /// Appends an incident's line. An incident is about a host and not a flow: `src_ip` is the host.
    pub fn incident(&self, incident: &Incident, out: &mut Vec<u8>) {
        if !self.filter.has(EventType::Incident) {
            return;
        }
        let mut line = Line::new(EventType::Incident.name(), incident.time);
        line.src_ip = Some(incident.host);
        line.incident = Some(IncidentBody(incident));
        append(&line, out);
    }

    /// Appends a source's counters, when [`STATS_INTERVAL`] of packet time has passed since they were last written
    /// (for a replay [`REPLAY_STATS_INTERVAL`]), or when `last` says that these are the final ones.
    ///
    /// For equal output from any number of workers `inspect` must count the messages up to this event and no others.
    pub fn stats(
        &mut self,
        event: &Event,
        sensor: &SensorStats,
        inspect: &InspectStats,
        last: bool,
        out: &mut Vec<u8>,
    ) {
        let began = *self.began.get_or_insert(event.time);
        if !self.filter.has(EventType::Stats) || !(self.stats_due(event.source, began, event.time) || last) {
            return;
        }
        let mut line = Line::new(EventType::Stats.name(), event.time);
        if let Origin::Live(names) = &self.origin {
            line.in_iface = names.get(usize::from(event.source)).map(String::as_str);
        }
        line.stats = Some(Stats { uptime: event.time.since(began), sensor, inspect });
        append(&line, out);
    }

    fn stats_due(&mut self, source: u16, began: Timestamp, now: Timestamp) -> bool {
        let source = usize::from(source);
        if self.stats_at.len() <= source {
            self.stats_at.resize(source + 1, None);
        }
        let Some(at) = self.stats_at.get_mut(source) else { return false };
        let due = match &self.origin {
            Origin::Live(_) => at.is_none_or(|at| now.since(at) >= STATS_INTERVAL),
            Origin::Replay(_) => now.since(*at.get_or_insert(began)) >= REPLAY_STATS_INTERVAL,
        };
        if due {
            *at = Some(now);
        }
        due
    }

    fn smtp(&self, event: &Event, smtp: &SmtpEvent, findings: Option<&Findings>, stored: &[bool], out: &mut Vec<u8>) {
        if self.filter.has(EventType::Smtp) {
            let mut line = self.mail_line(EventType::Smtp, event, smtp);
            line.smtp = Some(SmtpBody(smtp));
            line.email = EmailBody::of(smtp, findings);
            append(&line, out);
        }
        let Some(findings) = findings else { return };
        if self.filter.has(EventType::Fileinfo) {
            for (index, file) in findings.files.iter().enumerate() {
                self.file(event, smtp, file, stored.get(index).copied().unwrap_or(false), out);
            }
        }
        for anomaly in &findings.anomalies {
            self.anomaly(event, anomaly, Some(smtp.tx_id), out);
        }
    }

    fn file(&self, event: &Event, smtp: &SmtpEvent, file: &FileFact, stored: bool, out: &mut Vec<u8>) {
        let mut line = self.mail_line(EventType::Fileinfo, event, smtp);
        line.fileinfo = Some(FileBody { file, stored, tx_id: smtp.tx_id });
        append(&line, out);
    }

    fn dns(&self, event: &Event, message: &DnsMessage, out: &mut Vec<u8>) {
        let asks_mx = || message.queries.iter().any(|query| query.qtype == QTYPE_MX);
        if !(self.filter.has(EventType::Dns) || self.filter.has(EventType::DnsMx) && asks_mx()) {
            return;
        }
        let mut line = self.line(EventType::Dns, event);
        line.app_proto = Some("dns");
        line.dns = Some(Dns(message));
        append(&line, out);
    }

    fn flow(&self, event: &Event, end: &FlowEnd, out: &mut Vec<u8>) {
        let (true, Some(flow)) = (self.filter.has(EventType::Flow), &event.flow) else { return };
        let mut line = self.line(EventType::Flow, event);
        line.app_proto = Some(end.app_proto);
        line.flow = Some(FlowBody { end, flow });
        line.tcp = (flow.transport == Transport::Tcp).then_some(TcpBody { end, flow });
        append(&line, out);
    }

    fn anomaly(&self, event: &Event, anomaly: &Anomaly, tx_id: Option<u32>, out: &mut Vec<u8>) {
        if !self.filter.has(EventType::Anomaly) {
            return;
        }
        let mut line = self.line(EventType::Anomaly, event);
        line.app_proto = match anomaly.layer {
            Layer::Decode | Layer::Stream => None,
            Layer::Dns => Some("dns"),
            Layer::Smtp | Layer::Mail | Layer::Archive => Some("smtp"),
        };
        line.tx_id = tx_id;
        line.anomaly = Some(AnomalyBody(anomaly));
        append(&line, out);
    }

    fn mail_line<'a>(&'a self, kind: EventType, event: &'a Event, smtp: &SmtpEvent) -> Line<'a> {
        let mut line = self.line(kind, event);
        line.app_proto = Some("smtp");
        line.tx_id = Some(smtp.tx_id);
        line
    }

    /// The part all lines about an event share. Addresses are those of the flow, whoever sent the packet.
    fn line<'a>(&'a self, kind: EventType, event: &'a Event) -> Line<'a> {
        let mut line = Line::new(kind.name(), event.time);
        match &self.origin {
            Origin::Live(names) => line.in_iface = names.get(usize::from(event.source)).map(String::as_str),
            Origin::Replay(files) => {
                line.pcap_cnt = (event.packet > 0).then_some(event.packet);
                line.pcap_filename = usize::try_from(event.file).ok().and_then(|i| files.get(i)).map(String::as_str);
            }
        }
        if let Some(flow) = &event.flow {
            line.set_flow(flow);
        }
        line
    }
}

/// Packet time between two `stats` lines of a live source: what dashboards resolve.
pub const STATS_INTERVAL: Duration = Duration::from_secs(60);

/// The same for a replay, which ends with one in any case: some dozens a day, however dense the capture.
pub const REPLAY_STATS_INTERVAL: Duration = Duration::from_secs(3_600);

/// Appends one line. Serialising plain values into memory cannot fail; if it ever did, the buffer is left as it was
/// rather than with half a line.
fn append<T: Serialize>(line: &T, out: &mut Vec<u8>) {
    let start = out.len();
    match serde_json::to_writer(&mut *out, line) {
        Ok(()) => out.push(b'\n'),
        Err(_) => out.truncate(start),
    }
}

#[cfg(test)]
mod tests;
