//! Counters for Prometheus. Names and labels follow its conventions: base units, `_total` for what only grows.
//!
//! The number of series is bounded whatever the traffic: labels are interfaces, names from our own tables, rule names
//! up to [`METRIC_RULES`], and hosts as [`Metrics::set_hosts`] says. Nothing a stranger writes becomes a label.

mod sensor;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    CounterVec, Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use self::sensor::SensorFamilies;
use super::extract::ExtractStats;
use crate::model::alert::{Alert, Incident, Severity, Verdict};
use crate::model::event::{Anomaly, Event, EventKind};
use crate::model::limits::{METRIC_RULES, METRIC_SUSPECTS, TOP_HOSTS};
use crate::model::mail::Findings;
use crate::model::report::{HostReport, RoleKind};
use crate::model::stats::{InspectStats, SensorStats};
use crate::model::time::Timestamp;

/// All metric families. Shared between the thread that counts and the one that serves: every method takes `&self`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
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
    eve_lost: IntCounter,
    extracted: IntCounterVec,
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
    /// Rules with a series of their own.
    rules: HashSet<String>,
    /// Hosts with series of their own.
    hosts: HashSet<IpAddr>,
}

/// One series a host in each.
#[derive(Debug)]
struct PerHost {
    mail_bytes: IntCounterVec,
    messages: IntCounterVec,
    recipients: IntCounterVec,
    mx_lookups: IntCounterVec,
    verdict: IntGaugeVec,
    role: IntGaugeVec,
}

impl Metrics {
    /// An empty registry with every family in it; `version` is ours, for `mailsnare_build_info`.
    ///
    /// # Errors
    /// When a family is named twice or wrongly: a defect of ours, found by any test that makes one.
    pub fn new(version: &str) -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let made = Maker { registry: &registry };
        let build = made.gauges("build_info", "Always 1; the label says which version runs.", &["version"])?;
        build.with_label_values(&[version]).set(1);
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        let metrics = Self {
            sensor: SensorFamilies::new(&made)?,
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
            eve_lost: made.counter("eve_lines_lost_total", "EVE lines that could not be written.")?,
            extracted: made.counters("extracted_files_total", "Files for --extract, by result.", &["result"])?,
            rules: made.gauge("rules", "Rules in force.")?,
            reloads: made.counters("rule_reloads_total", "Times rules were read anew, by result.", &["result"])?,
            hosts: made.gauges("hosts", "Home hosts under suspicion.", &["verdict"])?,
            per_host: PerHost::new(&made)?,
            top_hosts: TOP_HOSTS,
            state: Mutex::default(),
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
        let (reassembly, messages) = state.sources.values().fold((0_u64, 0_u64), |(streams, mails), stats| {
            let held = stats.flow.held_bytes + stats.flow.tail_bytes + stats.dns.held_bytes;
            (streams.saturating_add(held), mails.saturating_add(stats.smtp.held_bytes))
        });
        self.set_memory("reassembly", reassembly);
        self.set_memory("messages", messages);
    }

    /// Brings the inspectors' counters up to `stats`.
    pub fn update_inspect(&self, stats: &InspectStats) {
        let mut state = self.state();
        let last = std::mem::replace(&mut state.inspect, stats.clone());
        advance(&self.inspected, last.inspected, stats.inspected);
        advance(&self.shed.with_label_values(&["queue_full"]), last.shed_queue, stats.shed_queue);
        advance(&self.shed.with_label_values(&["inspector_failed"]), last.shed_failed, stats.shed_failed);
        advance(&self.bombs, last.bombs, stats.bombs);
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

    /// Says how many rules are in force.
    pub fn set_rules(&self, rules: usize) {
        self.rules.set(i64::try_from(rules).unwrap_or(i64::MAX));
    }

    /// Counts a reload of the rules.
    pub fn observe_reload(&self, worked: bool) {
        self.reloads.with_label_values(&[if worked { "ok" } else { "failed" }]).inc();
    }

    /// Replaces the hosts that have series: those under suspicion, and those that mailed most.
    ///
    /// However many hosts there are, at most [`METRIC_SUSPECTS`] and the top ones get series.
    pub fn set_hosts(&self, hosts: &[HostReport]) {
        for verdict in [Verdict::Suspicious, Verdict::Infected] {
            let count = hosts.iter().filter(|host| host.verdict == verdict).count();
            self.hosts.with_label_values(&[verdict.name()]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        let mut state = self.state();
        let mut gone = std::mem::take(&mut state.hosts);
        for host in chosen(hosts, self.top_hosts) {
            if state.hosts.insert(host.host) {
                gone.remove(&host.host);
                self.per_host.update(host);
            }
        }
        for host in gone {
            self.per_host.remove(host);
        }
    }

    /// Everything, in Prometheus' text format.
    pub fn render(&self) -> Vec<u8> {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
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
        self.update_inspect(&InspectStats::default());
        self.update_extract(&ExtractStats::default());
        for severity in Severity::ALL {
            self.alerts.with_label_values(&[OTHER, severity.name()]);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves plain sums here, never a broken invariant.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PerHost {
    fn new(made: &Maker<'_>) -> Result<Self, MetricsError> {
        let host = &["host"];
        Ok(Self {
            mail_bytes: made.counters("host_mail_bytes_total", "Bytes of a host's mail flows, both ways.", host)?,
            messages: made.counters("host_messages_total", "Messages a host sent.", host)?,
            recipients: made.counters("host_recipients_total", "Recipients a host sent to.", host)?,
            mx_lookups: made.counters("host_mx_lookups_total", "MX questions a host asked.", host)?,
            verdict: made.gauges("host_verdict", "0 clean, 1 suspicious, 2 infected.", host)?,
            role: made.gauges("host_role", "1 for the role a host has.", &["host", "role"])?,
        })
    }

    fn update(&self, report: &HostReport) {
        let name = report.host.to_string();
        for (family, value) in [
            (&self.mail_bytes, report.mail_bytes),
            (&self.messages, report.messages),
            (&self.recipients, report.recipients),
            (&self.mx_lookups, report.mx_lookups),
        ] {
            let counter = family.with_label_values(&[name.as_str()]);
            // A host that was forgotten and came back starts anew, as a process would.
            if counter.get() > value {
                counter.reset();
            }
            counter.inc_by(value - counter.get());
        }
        self.verdict.with_label_values(&[name.as_str()]).set(report.verdict as i64);
        self.forget_role(&name, Some(report.role_kind));
        self.role.with_label_values(&[name.as_str(), report.role_kind.name()]).set(1);
    }

    /// Removes the series of all roles but one.
    fn forget_role(&self, host: &str, but: Option<RoleKind>) {
        for kind in RoleKind::ALL.into_iter().filter(|kind| Some(*kind) != but) {
            let _ = self.role.remove_label_values(&[host, kind.name()]);
        }
    }

    fn remove(&self, host: IpAddr) {
        let name = host.to_string();
        for family in [&self.mail_bytes, &self.messages, &self.recipients, &self.mx_lookups] {
            // An error says that there is no such series, which is what is wanted.
            let _ = family.remove_label_values(&[name.as_str()]);
        }
        let _ = self.verdict.remove_label_values(&[name.as_str()]);
        self.forget_role(&name, None);
    }
}

/// The hosts that get series; one may be named twice. Ties go by address, so that the choice is stable.
fn chosen(hosts: &[HostReport], top: usize) -> Vec<&HostReport> {
    let mut by_bytes: Vec<&HostReport> = hosts.iter().collect();
    take_first(&mut by_bytes, top, |host| (std::cmp::Reverse(host.mail_bytes), host.host));
    let mut suspects: Vec<&HostReport> = hosts.iter().filter(|host| host.verdict != Verdict::Clean).collect();
    take_first(&mut suspects, METRIC_SUSPECTS, |host| {
        (std::cmp::Reverse(host.verdict), std::cmp::Reverse(host.mail_bytes), host.host)
    });
    by_bytes.append(&mut suspects);
    by_bytes
}

/// Leaves the `count` items that sort first, in any order.
fn take_first<'a, K: Ord>(hosts: &mut Vec<&'a HostReport>, count: usize, key: impl Fn(&'a HostReport) -> K) {
    if count < hosts.len() {
        hosts.select_nth_unstable_by_key(count, |host| key(host));
        hosts.truncate(count);
    }
}

/// Moves a counter on by what its source grew; a source that fell back moves nothing.
fn advance(counter: &IntCounter, before: u64, after: u64) {
    counter.inc_by(after.saturating_sub(before));
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Makes families, with our prefix, and registers them.
struct Maker<'a> {
    registry: &'a Registry,
}

impl Maker<'_> {
    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, MetricsError> {
        self.register(IntCounterVec::new(options(name, help), labels)?)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, MetricsError> {
        self.register(IntCounter::with_opts(options(name, help))?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, MetricsError> {
        self.register(IntGaugeVec::new(options(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, MetricsError> {
        self.register(IntGauge::with_opts(options(name, help))?)
    }

    fn seconds(&self, name: &str, help: &str, labels: &[&str]) -> Result<CounterVec, MetricsError> {
        self.register(CounterVec::new(options(name, help), labels)?)
    }

    fn delays(&self) -> Result<Histogram, MetricsError> {
        let help = "From the packet that completed the evidence to the alert (live capture).";
        let options = HistogramOpts::new("alert_delay_seconds", help).namespace(PREFIX);
        self.register(Histogram::with_opts(options.buckets(DELAYS.to_vec()))?)
    }

    fn register<C: Collector + Clone + 'static>(&self, family: C) -> Result<C, MetricsError> {
        self.registry.register(Box::new(family.clone()))?;
        Ok(family)
    }
}

fn options(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace(PREFIX)
}

/// A family that cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be set up: {0}; this is a defect of mailsnare, please report it")]
pub struct MetricsError(#[from] prometheus::Error);

const PREFIX: &str = "mailsnare";
const OTHER: &str = "other";
const CLEAN: &str = "clean";
const MATCHED: &str = "matched";
const UNINSPECTED: &str = "uninspected";
/// Bounds of the delay histogram, in seconds: from one batch to a queue that is minutes behind.
const DELAYS: [f64; 11] = [0.001, 0.005, 0.02, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

#[cfg(test)]
mod tests;
