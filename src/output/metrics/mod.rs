//! Counters for Prometheus. Names and labels follow its conventions: base units, `_total` for what only grows.
//!
//! The number of series is bounded whatever the traffic: labels are interfaces, names from our own tables, rule names
//! up to [`METRIC_RULES`], and hosts as [`Metrics::set_hosts`] says. Nothing a stranger writes becomes a label.

mod maker;
mod per_host;
mod reference;
mod sensor;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::{
    CounterVec, Encoder, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder,
};

use self::maker::Maker;
pub use self::maker::{Family, MetricsError};
use self::per_host::{PerHost, chosen};
pub use self::reference::reference;
use self::sensor::SensorFamilies;
use super::evidence::EvidenceStats;
use super::extract::ExtractStats;
use super::notify::NotifyStats;
use crate::model::alert::{Alert, Incident, Severity, Verdict};
use crate::model::event::{Anomaly, Event, EventKind};
use crate::model::limits::{METRIC_RULES, TOP_HOSTS};
use crate::model::mail::Findings;
use crate::model::report::HostReport;
use crate::model::stats::{CorrelateStats, InspectStats, SensorStats};
use crate::model::time::Timestamp;

/// All metric families. Shared between the thread that counts and the one that serves: every method takes `&self`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    families: Vec<Family>,
    sensor: SensorFamilies,
    messages: IntCounterVec,
    attachments: IntCounterVec,
    members: IntCounterVec,
    anomalies: IntCounterVec,
    alerts: IntCounterVec,
    incidents: IntCounterVec,
    alert_delay: Histogram,
    inspected: IntCounter,
    shed: IntCounterVec,
    bombs: IntCounter,
    queue_depth: IntGaugeVec,
    busy: CounterVec,
    memory: IntGaugeVec,
    memory_budget: IntGauge,
    events_dropped: IntCounter,
    hosts_evicted: IntCounter,
    hosts_shortened: IntCounter,
    hosts_tracked: IntGauge,
    host_entries: IntGauge,
    notifications: IntCounterVec,
    eve_lost: IntCounter,
    extracted: IntCounterVec,
    evidence: IntCounterVec,
    rules: IntGauge,
    reloads: IntCounterVec,
    hosts: IntGaugeVec,
    per_host: PerHost,
    top_hosts: usize,
    state: Mutex<State>,
}

/// What counters were last brought up to.
#[derive(Debug, Default)]
struct State {
    sources: HashMap<String, SensorStats>,
    inspect: InspectStats,
    extract: ExtractStats,
    evidence: EvidenceStats,
    /// Rules with a series of their own.
    rules: HashSet<String>,
    /// Hosts with series of their own, and the reasons against them that have.
    hosts: HashMap<IpAddr, Vec<String>>,
}

impl Metrics {
    /// An empty registry with every family in it; `version` is ours, for `mailsnare_build_info`.
    ///
    /// # Errors
    /// When a family is named twice or wrongly: a defect of ours, found by any test that makes one.
    pub fn new(version: &str) -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let mut made = Maker::new(&registry);
        let build = made.gauges("build_info", "Always 1; the label says which version runs.", &["version"])?;
        build.with_label_values(&[version]).set(1);
        #[cfg(target_os = "linux")]
        made.process()?;
        let metrics = Self {
            sensor: SensorFamilies::new(&mut made)?,
            messages: made.counters(
                "messages_total",
                "Messages by what inspection said: clean, matched (by a rule), uninspected.",
                &["verdict"],
            )?,
            attachments: made.counters(
                "attachments_total",
                "Attachments by type found from their bytes.",
                &["type"],
            )?,
            members: made.counters("archive_members_total", "Archive members by type.", &["type"])?,
            anomalies: made.counters("anomalies_total", "Anomalies by name and layer.", &["name", "layer"])?,
            alerts: made.counters("alerts_total", "Alerts by rule or detector and severity.", &["rule", "severity"])?,
            incidents: made.counters(
                "incidents_total",
                "Changes of a host's verdict, by new verdict.",
                &["verdict"],
            )?,
            alert_delay: made.delays()?,
            inspected: made.counter("messages_inspected_total", "Messages that were opened and read.")?,
            shed: made.counters("messages_shed_total", "Messages passed on without inspection.", &["reason"])?,
            bombs: made.counter("archive_limits_met_total", "Archives of which a bound stopped the unpacking.")?,
            queue_depth: made.gauges("queue_depth", "Items waiting in a queue.", &["queue"])?,
            busy: made.seconds("worker_busy_seconds_total", "Time inspectors spent on messages.", &["worker"])?,
            memory: made.gauges("memory_bytes", "Bytes held, by pool.", &["pool"])?,
            memory_budget: made
                .gauge("memory_budget_bytes", "Bytes that all pools together may hold, kernel rings aside.")?,
            events_dropped: made.counter(
                "events_dropped_total",
                "Events lost because the correlator did not keep up with a live capture.",
            )?,
            hosts_evicted: made.counter("hosts_evicted_total", "Home hosts forgotten for want of room.")?,
            hosts_shortened: made.counter(
                "hosts_shortened_total",
                "Times that what an infected or suspicious host mailed was cut to the newest for want of room.",
            )?,
            hosts_tracked: made.gauge("tracked_hosts", "Home hosts with state.")?,
            host_entries: made.gauge(
                "tracked_host_entries",
                "What is remembered of them, in entries of the weight of a name or address.",
            )?,
            notifications: made.counters(
                "notifications_total",
                "Alerts and incidents told to others, by way and result.",
                &["channel", "result"],
            )?,
            eve_lost: made.counter("eve_lines_lost_total", "EVE lines that could not be written.")?,
            extracted: made.counters("extracted_files_total", "Files for --extract, by result.", &["result"])?,
            evidence: made.counters("evidence_packets_total", "Packets for --evidence, by result.", &["result"])?,
            rules: made.gauge("rules", "Rules in force.")?,
            reloads: made.counters("rule_reloads_total", "Times rules were read anew, by result.", &["result"])?,
            hosts: made.gauges("hosts", "Home hosts under suspicion.", &["verdict"])?,
            per_host: PerHost::new(&mut made)?,
            top_hosts: TOP_HOSTS,
            state: Mutex::default(),
            families: made.families(),
            registry,
        };
        metrics.name_known_labels();
        Ok(metrics)
    }

    /// The same with series for another number of top hosts (`--top`).
    #[must_use]
    pub fn with_top_hosts(self, top_hosts: usize) -> Self {
        Self { top_hosts, ..self }
    }

    /// Brings a source's counters up to `stats`; `now` is the time of its latest packet or tick.
    pub fn update_sensor(&self, source: &str, now: Timestamp, stats: &SensorStats) {
        let mut state = self.state();
        let last = state.sources.entry(source.to_owned()).or_default();
        self.sensor.update(source, now, last, stats);
        *last = stats.clone();
        for (pool, held) in SENSOR_POOLS {
            let sum = state.sources.values().map(held).fold(0_u64, u64::saturating_add);
            self.set_memory(pool, sum);
        }
    }

    /// Brings the inspectors' counters up to `stats`.
    pub fn update_inspect(&self, stats: &InspectStats) {
        let mut state = self.state();
        let last = std::mem::replace(&mut state.inspect, stats.clone());
        advance(&self.inspected, last.inspected, stats.inspected);
        advance(&self.shed.with_label_values(&["queue_full"]), last.shed_queue, stats.shed_queue);
        advance(&self.shed.with_label_values(&["inspector_failed"]), last.shed_failed, stats.shed_failed);
        advance(&self.evidence.with_label_values(&["shed"]), last.packets_dropped, stats.packets_dropped);
        advance(&self.bombs, last.bombs, stats.bombs);
        advance(&self.events_dropped, last.events_dropped, stats.events_dropped);
    }

    /// Brings what the correlator counts up to `stats`.
    pub fn update_correlate(&self, stats: &CorrelateStats) {
        advance(&self.hosts_evicted, self.hosts_evicted.get(), stats.hosts_evicted);
        advance(&self.hosts_shortened, self.hosts_shortened.get(), stats.hosts_shortened);
        self.hosts_tracked.set(signed(stats.hosts));
        self.host_entries.set(signed(stats.entries));
        self.set_memory("hosts", stats.bytes);
    }

    /// Brings the counters of one way of telling (as `syslog`) up to `stats`.
    pub fn update_notifications(&self, channel: &'static str, stats: &NotifyStats) {
        for (result, count) in [("sent", stats.sent), ("failed", stats.failed), ("dropped", stats.dropped)] {
            let counter = self.notifications.with_label_values(&[channel, result]);
            advance(&counter, counter.get(), count);
        }
    }

    /// Brings the counters of extracted files up to `stats`.
    pub fn update_extract(&self, stats: &ExtractStats) {
        let last = std::mem::replace(&mut self.state().extract, *stats);
        for (result, before, after) in [
            ("written", last.written, stats.written),
            ("known", last.known, stats.known),
            ("too_large", last.too_large, stats.too_large),
            ("over_total", last.over_total, stats.over_total),
            ("failed", last.failed, stats.failed),
        ] {
            advance(&self.extracted.with_label_values(&[result]), before, after);
        }
    }

    /// Brings the counters of packets for evidence up to `stats`.
    pub fn update_evidence(&self, stats: &EvidenceStats) {
        let last = std::mem::replace(&mut self.state().evidence, *stats);
        for (result, before, after) in [
            ("written", last.packets, stats.packets),
            ("over_cap", last.over_cap, stats.over_cap),
            ("failed", last.failed, stats.failed),
            ("forgotten", last.forgotten, stats.forgotten),
        ] {
            advance(&self.evidence.with_label_values(&[result]), before, after);
        }
    }

    /// Brings the count of lost EVE lines up to `lines`.
    pub fn update_eve_lost(&self, lines: u64) {
        advance(&self.eve_lost, self.eve_lost.get(), lines);
    }

    /// Counts what an event and the message in it are.
    pub fn observe_event(&self, event: &Event, findings: Option<&Findings>) {
        match &event.kind {
            EventKind::Anomaly(anomaly) => self.count_anomaly(anomaly),
            EventKind::Smtp(smtp) => {
                let verdict = match findings {
                    Some(findings) if findings.email.is_some() && findings.hits.is_empty() => Some(CLEAN),
                    Some(findings) if findings.email.is_some() => Some(MATCHED),
                    _ => smtp.message.is_some().then_some(UNINSPECTED),
                };
                if let Some(verdict) = verdict {
                    self.messages.with_label_values(&[verdict]).inc();
                }
            }
            _ => {}
        }
        let Some(findings) = findings else { return };
        for file in &findings.files {
            let family = if file.container.is_empty() { &self.attachments } else { &self.members };
            family.with_label_values(&[file.kind.0]).inc();
        }
        for anomaly in &findings.anomalies {
            self.count_anomaly(anomaly);
        }
    }

    /// Counts an alert.
    pub fn observe_alert(&self, alert: &Alert) {
        let mut state = self.state();
        let known = state.rules.contains(&alert.rule);
        if !known && state.rules.len() < METRIC_RULES {
            state.rules.insert(alert.rule.clone());
        }
        let rule = if state.rules.contains(&alert.rule) { alert.rule.as_str() } else { OTHER };
        self.alerts.with_label_values(&[rule, alert.severity.name()]).inc();
    }

    /// Counts a change of verdict; the closing line of an incident is none.
    pub fn observe_incident(&self, incident: &Incident) {
        if !incident.closed {
            self.incidents.with_label_values(&[incident.verdict.name()]).inc();
        }
    }

    /// Notes how long after its packet an alert was raised (live capture; a replay has no such delay).
    pub fn observe_delay(&self, delay: Duration) {
        self.alert_delay.observe(delay.as_secs_f64());
    }

    /// Says how many items wait in a queue.
    pub fn set_queue(&self, queue: &'static str, depth: usize) {
        self.queue_depth.with_label_values(&[queue]).set(i64::try_from(depth).unwrap_or(i64::MAX));
    }

    /// Adds time a worker spent on messages.
    pub fn add_busy(&self, worker: usize, busy: Duration) {
        self.busy.with_label_values(&[worker.to_string().as_str()]).inc_by(busy.as_secs_f64());
    }

    /// Says how many bytes a pool holds.
    pub fn set_memory(&self, pool: &'static str, bytes: u64) {
        self.memory.with_label_values(&[pool]).set(signed(bytes));
    }

    /// Says how many bytes all pools together may hold.
    pub fn set_memory_budget(&self, bytes: u64) {
        self.memory_budget.set(signed(bytes));
    }

    /// Says how many rules are in force.
    pub fn set_rules(&self, rules: usize) {
        self.rules.set(i64::try_from(rules).unwrap_or(i64::MAX));
    }

    /// Counts a reload of the rules.
    pub fn observe_reload(&self, worked: bool) {
        self.reloads.with_label_values(&[if worked { "ok" } else { "failed" }]).inc();
    }

    /// Says how many hosts are under suspicion, by verdict in the order of [`Verdict::ALL`], whether they have series or not.
    pub fn set_suspects(&self, counts: [u64; Verdict::ALL.len()]) {
        for (verdict, count) in Verdict::ALL.into_iter().zip(counts).filter(|(verdict, _)| *verdict != Verdict::Clean) {
            self.hosts.with_label_values(&[verdict.name()]).set(signed(count));
        }
    }

    /// Replaces the hosts that have series: those under suspicion, and those that mailed most. Their number under suspicion
    /// is that of `hosts`, until [`Metrics::set_suspects`] says another.
    ///
    /// However many hosts there are, at most [`METRIC_SUSPECTS`](crate::model::limits::METRIC_SUSPECTS) and the top ones get series.
    pub fn set_hosts(&self, hosts: &[HostReport]) {
        let mut counts = [0; Verdict::ALL.len()];
        for host in hosts {
            counts[host.verdict as usize] += 1;
        }
        self.set_suspects(counts);
        let mut state = self.state();
        let mut gone = std::mem::take(&mut state.hosts);
        for host in chosen(hosts, self.top_hosts) {
            if let Entry::Vacant(place) = state.hosts.entry(host.host) {
                let reasons = place.insert(gone.remove(&host.host).unwrap_or_default());
                self.per_host.update(host, reasons);
            }
        }
        for (host, reasons) in gone {
            self.per_host.remove(host, &reasons);
        }
    }

    /// Everything, in Prometheus' text format.
    pub fn render(&self) -> Vec<u8> {
        self.render_where(|_| true)
    }

    /// The same without the process's own families (`process_*`), which node_exporter has of itself already: its
    /// textfile collector refuses a second one.
    pub fn render_for_textfile(&self) -> Vec<u8> {
        self.render_where(|name| name.starts_with(maker::PREFIX))
    }

    /// Every family there is, whether it has series yet or not, in the order of their names.
    pub fn families(&self) -> &[Family] {
        &self.families
    }

    fn render_where(&self, wanted: impl Fn(&str) -> bool) -> Vec<u8> {
        let mut families = self.registry.gather();
        families.retain(|family| wanted(family.name()));
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&families, &mut text) {
            tracing::error!("metrics cannot be rendered: {error}");
        }
        text
    }

    fn count_anomaly(&self, anomaly: &Anomaly) {
        self.anomalies.with_label_values(&[anomaly.name, anomaly.layer.name()]).inc();
    }

    /// Shows series whose labels are known beforehand as 0 from the start, so that a first increase is seen as one.
    fn name_known_labels(&self) {
        for verdict in [CLEAN, MATCHED, UNINSPECTED] {
            self.messages.with_label_values(&[verdict]);
        }
        for verdict in [Verdict::Suspicious, Verdict::Infected] {
            self.incidents.with_label_values(&[verdict.name()]);
            self.hosts.with_label_values(&[verdict.name()]);
        }
        for result in ["ok", "failed"] {
            self.reloads.with_label_values(&[result]);
        }
        SENSOR_POOLS.iter().map(|(pool, _)| *pool).chain(OTHER_POOLS).for_each(|pool| self.set_memory(pool, 0));
        self.update_inspect(&InspectStats::default());
        self.update_extract(&ExtractStats::default());
        self.update_evidence(&EvidenceStats::default());
        for severity in Severity::ALL {
            self.alerts.with_label_values(&[OTHER, severity.name()]);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves plain sums here, never a broken invariant.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Moves a counter on by what its source grew; a source that fell back moves nothing.
fn advance(counter: &IntCounter, before: u64, after: u64) {
    counter.inc_by(after.saturating_sub(before));
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Reads what a sensor holds in one pool.
type Held = fn(&SensorStats) -> u64;

/// What sensors hold, by pool.
const SENSOR_POOLS: [(&str, Held); 5] = [
    ("flows", |stats| stats.flow.table_bytes),
    ("reassembly", |stats| stats.flow.held_bytes + stats.flow.tail_bytes),
    ("fragments", |stats| stats.decode.fragment_bytes),
    ("dns", |stats| stats.dns.held_bytes),
    ("messages", |stats| stats.smtp.held_bytes),
];
/// Pools of the later stages.
const OTHER_POOLS: [&str; 5] = ["inspection", "queues", "hosts", "evidence", "rings"];

const OTHER: &str = "other";
const CLEAN: &str = "clean";
const MATCHED: &str = "matched";
const UNINSPECTED: &str = "uninspected";

#[cfg(test)]
mod tests;
