//! Where `replay` and `live` put what the pipeline says: EVE lines, extracted files, metrics, notes for the summary.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::{Failure, complain};
use crate::config::{Config, Destination};
use crate::correlator::{CorrelatorSettings, Said};
use crate::detect::Detectors;
use crate::inspector::Inspector;
use crate::model::alert::Severity;
use crate::model::event::{Event, EventKind};
use crate::model::limits;
use crate::model::mail::Findings;
use crate::model::stats::{InspectStats, SensorStats};
use crate::model::time::Timestamp;
use crate::output::eve::{Origin, Renderer};
use crate::output::extract::Extractor;
use crate::output::http::Endpoints;
use crate::output::metrics::Metrics;
use crate::output::summary::Notes;
use crate::output::writer::{EveWriter, WriteError};
use crate::pipeline::{Audience, Plan, Pressure, Run, SharedRules, View};
use crate::rules::{RuleError, RuleSet};

/// Everything a run writes while it goes on.
pub struct Outputs {
    renderer: Renderer,
    writer: Option<EveWriter>,
    extractor: Option<Extractor>,
    metrics: Arc<Metrics>,
    /// Names of the sources, by [`Event::source`]; a replay is one source.
    sources: Vec<String>,
    /// Live capture: lines are flushed at each pause, delays are measured.
    live: bool,
    /// Set by SIGHUP.
    reload: Arc<AtomicBool>,
    rules: SharedRules,
    rule_paths: Option<Vec<std::path::PathBuf>>,
    notes: Notes,
    worst: Option<Severity>,
    /// The newest counters of each source, for the last `stats` line.
    last_ticks: BTreeMap<u16, Event>,
    inspect: InspectStats,
    busy_told: Vec<Duration>,
    hosts_told: Option<Instant>,
    lines: Vec<u8>,
}

impl Outputs {
    /// Opens what the configuration asks for.
    ///
    /// # Errors
    /// A file or folder that cannot be opened.
    pub fn open(
        config: &Config,
        origin: Origin,
        metrics: Arc<Metrics>,
        rules: SharedRules,
        reload: Arc<AtomicBool>,
    ) -> Result<Self, Failure> {
        let (live, sources) = match &origin {
            Origin::Live(interfaces) => (true, interfaces.clone()),
            Origin::Replay(_) => (false, vec!["replay".to_owned()]),
        };
        let writer = match &config.eve {
            None => None,
            Some(Destination::Stdout) => Some(EveWriter::stdout()),
            Some(Destination::File(path)) if live => Some(EveWriter::append(path)),
            Some(Destination::File(path)) => Some(EveWriter::create(path)),
        };
        let writer = writer.transpose().map_err(|error: WriteError| Failure::Failed(error.to_string()))?;
        let extractor = config.extract.as_deref().map(Extractor::new).transpose();
        metrics.set_rules(rules.get().rules().len());
        Ok(Self {
            renderer: Renderer::new(config.events, origin),
            writer,
            extractor: extractor.map_err(|error| Failure::Failed(error.to_string()))?,
            metrics,
            sources,
            live,
            reload,
            rules,
            rule_paths: config.rules.clone(),
            notes: Notes::default(),
            worst: None,
            last_ticks: BTreeMap::new(),
            inspect: InspectStats::default(),
            busy_told: Vec::new(),
            hosts_told: None,
            lines: Vec::new(),
        })
    }

    /// Writes the last lines; gives the notes for the summary.
    pub fn finish(&mut self) -> Notes {
        for event in std::mem::take(&mut self.last_ticks).into_values() {
            if let EventKind::Tick(stats) = &event.kind {
                self.renderer.stats(&event, stats, &self.inspect, true, &mut self.lines);
            }
        }
        self.write();
        self.flush();
        self.notes.eve_lost_lines = self.writer.as_ref().map_or(0, EveWriter::lost_lines);
        self.notes.extract = self.extractor.as_ref().map(Extractor::stats).unwrap_or_default();
        std::mem::take(&mut self.notes)
    }

    /// Says on standard error what went wrong in a run: with its sources, with what it had to write, or with itself.
    /// Whether anything did.
    pub fn tell_failures<S>(&self, run: &Run<S>) -> bool {
        let sources = run.sources.iter().filter_map(|(_, error)| error.as_ref()).map(ToString::to_string);
        // The first time each kept a line or a file from being written.
        let eve = self.writer.as_ref().and_then(EveWriter::first_error);
        let extract = self.extractor.as_ref().and_then(Extractor::first_error);
        let written = [eve, extract].into_iter().flatten().map(str::to_owned);
        let defect = (run.failed > 0).then(|| SENSOR_FAILED.to_owned());
        let all: Vec<_> = sources.chain(written).chain(defect).collect();
        all.iter().for_each(|sentence| complain(sentence));
        !all.is_empty()
    }

    /// The worst severity of any alert.
    pub fn worst(&self) -> Option<Severity> {
        self.worst
    }

    fn say(&mut self, said: &Said, cause: Option<(&Event, Option<&Findings>)>) {
        match said {
            Said::Alert(alert) => {
                self.metrics.observe_alert(alert);
                self.worst = Some(self.worst.map_or(alert.severity, |worst| worst.min(alert.severity)));
                self.notes.note(alert);
                self.renderer.alert(alert, cause, &mut self.lines);
                if self.live
                    && let Some(delay) = since(alert.time)
                {
                    self.metrics.observe_delay(delay);
                }
            }
            Said::Incident(incident) => {
                self.metrics.observe_incident(incident);
                self.renderer.incident(incident, &mut self.lines);
            }
        }
    }

    fn tick(&mut self, event: &Event, stats: &SensorStats, view: &View<'_>) {
        let source = self.sources.get(usize::from(event.source)).map_or("", String::as_str);
        self.metrics.update_sensor(source, event.time, stats);
        self.metrics.update_inspect(view.inspect);
        self.inspect = view.inspect.clone();
        if self.live {
            self.renderer.stats(event, stats, view.inspect, false, &mut self.lines);
        }
        let copy = Event { kind: EventKind::Tick(Box::new(stats.clone())), flow: None, ..*event };
        self.last_ticks.insert(event.source, copy);
    }

    fn write(&mut self) {
        let result = self.writer.as_mut().map(|writer| writer.write(&self.lines));
        self.tell(result);
        self.lines.clear();
    }

    fn flush(&mut self) {
        let result = self.writer.as_mut().map(EveWriter::flush);
        self.tell(result);
        if let Some(writer) = &self.writer {
            self.metrics.update_eve_lost(writer.lost_lines());
        }
    }

    /// A sensor may run for months after lines began to be lost, so that is told at once; a replay tells it at its end.
    fn tell(&self, result: Option<Result<(), WriteError>>) {
        if let Some(Err(error)) = result
            && self.live
        {
            tracing::error!("{error}");
        }
    }

    /// SIGHUP: re-opens the EVE file, reads the rules anew. What is broken leaves the old in force.
    fn reload(&mut self) {
        self.flush();
        if let Some(Err(error)) = self.writer.as_mut().map(EveWriter::reopen) {
            tracing::error!("{error}");
        }
        let Some(paths) = &self.rule_paths else { return };
        match RuleSet::load(paths) {
            Ok(rules) => {
                tracing::info!("{} rules read anew", rules.rules().len());
                self.metrics.set_rules(rules.rules().len());
                self.metrics.observe_reload(true);
                self.rules.set(rules);
            }
            Err(errors) => {
                self.metrics.observe_reload(false);
                tracing::error!("rules not replaced, the old ones stay in force: {}", sentences(&errors));
            }
        }
    }

    fn refresh_metrics(&mut self, view: &View<'_>) {
        let [messages, batches] = view.queues;
        self.metrics.set_queue("messages", messages);
        self.metrics.set_queue("events", batches);
        self.metrics.set_memory("inspection", view.message_bytes as u64);
        self.busy_told.resize(view.busy.len(), Duration::ZERO);
        for (worker, (told, busy)) in self.busy_told.iter_mut().zip(view.busy).enumerate() {
            self.metrics.add_busy(worker, busy.saturating_sub(std::mem::replace(told, *busy)));
        }
        if let Some(extractor) = &self.extractor {
            self.metrics.update_extract(&extractor.stats());
        }
        self.metrics.set_hosts(&view.correlator.hosts_for_metrics(limits::TOP_HOSTS));
    }
}

impl Audience for Outputs {
    fn hear(&mut self, event: &Event, findings: Option<&Findings>, said: &[Said], view: &View<'_>) {
        self.metrics.observe_event(event, findings);
        if let EventKind::Tick(stats) = &event.kind {
            self.tick(event, stats, view);
        }
        let stored: Vec<bool> = match (self.extractor.as_mut(), findings) {
            (Some(extractor), Some(findings)) => findings.files.iter().map(|file| extractor.store(file)).collect(),
            _ => Vec::new(),
        };
        self.renderer.event(event, findings, &stored, &mut self.lines);
        for said in said {
            self.say(said, Some((event, findings)));
        }
        if !self.lines.is_empty() {
            self.write();
        }
    }

    fn hear_said(&mut self, said: &[Said]) {
        said.iter().for_each(|said| self.say(said, None));
        self.write();
    }

    fn pause(&mut self, view: &View<'_>) {
        if self.reload.swap(false, Ordering::Relaxed) {
            self.reload();
        }
        if self.live {
            self.flush();
        }
        if self.hosts_told.is_none_or(|told| told.elapsed() >= METRICS_PAUSE) {
            self.hosts_told = Some(Instant::now());
            self.refresh_metrics(view);
        }
    }
}

/// What the metrics server tells.
pub struct Health {
    pub metrics: Arc<Metrics>,
    /// Packets are being read.
    pub ready: Arc<AtomicBool>,
}

impl Endpoints for Health {
    fn metrics(&self) -> Vec<u8> {
        self.metrics.render()
    }

    fn health(&self) -> Result<(), String> {
        Ok(())
    }

    fn ready(&self) -> Result<(), String> {
        let ready = self.ready.load(Ordering::Relaxed);
        if ready { Ok(()) } else { Err("not capturing".to_owned()) }
    }
}

/// Opens the metrics listener, where one is wanted.
///
/// # Errors
/// The address cannot be had.
pub fn listen(config: &Config) -> Result<Option<TcpListener>, Failure> {
    let Some(address) = config.metrics else { return Ok(None) };
    let listener = TcpListener::bind(address).map_err(|error| {
        Failure::Failed(format!(
            "cannot serve metrics on {address}: {error}; choose another address with --metrics, or off"
        ))
    })?;
    tracing::info!("metrics on http://{}/metrics", listener.local_addr().unwrap_or(address));
    Ok(Some(listener))
}

/// Reads the rules that the configuration names.
///
/// # Errors
/// Every fault of every file; a wish to ignore what does not exist.
pub fn load_rules(config: &Config) -> Result<RuleSet, Failure> {
    let rules = match &config.rules {
        None => RuleSet::builtin(),
        Some(paths) => RuleSet::load(paths).map_err(|errors| Failure::Failed(sentences(&errors)))?,
    };
    let known: Vec<&str> =
        Detectors::names().iter().copied().chain(rules.rules().iter().map(|rule| rule.id.as_str())).collect();
    let unknown = config.ignore.iter().find(|wish| !known.contains(&wish.detector.as_str()));
    match unknown {
        Some(wish) => {
            let what = crate::config::unknown("detector or rule", &wish.detector, &known);
            Err(Failure::Failed(format!("[[ignore]] in the configuration: {what}")))
        }
        None => Ok(rules),
    }
}

/// What the stages need to know, from the configuration.
pub fn plan(config: &Config, pressure: Pressure) -> Plan {
    Plan {
        sensor: config.sensor.clone(),
        inspector: Inspector::new(config.home_net.clone(), config.inspect.clone()),
        correlator: CorrelatorSettings {
            home: config.home_net.clone(),
            mail_servers: config.mail_servers.clone(),
            mail_ports: config.sensor.mail_ports.clone(),
            detect: config.detect.clone(),
            groups: config.groups.clone(),
            ignore: config.ignore.clone(),
            ..CorrelatorSettings::default()
        },
        workers: config.workers,
        pressure,
    }
}

/// Faults of rule files, one a line.
pub fn sentences(errors: &[RuleError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// How long ago a time on the wire was.
fn since(time: Timestamp) -> Option<Duration> {
    let wire = Duration::from_nanos(u64::try_from(time.as_nanos()).ok()?);
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?.checked_sub(wire)
}

/// How often gauges that cost something to gather are gathered.
const METRICS_PAUSE: Duration = Duration::from_secs(1);

/// When a thread of the pipeline ended in a defect.
const SENSOR_FAILED: &str = "the sensor failed on what it read, which is a defect: please report it with the \
     message above; what had been read by then is in the results";
