//! Where `replay` and `live` put what the pipeline says: EVE lines, extracted files, evidence, metrics, notes for the
//! summary.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::health::Pulse;
use super::told::Told;
use super::unwritten::Unwritten;
use super::{Failure, complain};
use crate::capture;
use crate::config::{Config, Destination};
use crate::correlator::{CorrelatorSettings, Said};
use crate::inspector::Inspector;
use crate::mail::privacy::Privacy;
use crate::model::alert::Severity;
use crate::model::eve_type::EventFilter;
use crate::model::event::{Event, EventKind};
use crate::model::limits;
use crate::model::mail::Findings;
use crate::model::report::Report;
use crate::model::stats::{InspectStats, SensorStats, SmtpStats};
use crate::model::time::Timestamp;
use crate::output::eve::{Origin, Renderer};
use crate::output::evidence::EvidenceWriter;
use crate::output::extract::Extractor;
use crate::output::metrics::Metrics;
use crate::output::summary::Notes;
use crate::output::textfile;
use crate::output::writer::{EveWriter, WriteError};
use crate::pipeline::{Audience, Plan, Pressure, Run, View};

/// Everything a run writes while it goes on.
pub struct Outputs {
    renderer: Renderer,
    writer: Option<EveWriter>,
    extractor: Option<Extractor>,
    evidence: Option<EvidenceWriter>,
    metrics: Arc<Metrics>,
    pulse: Arc<Pulse>,
    told: Told,
    /// Names of the sources, by [`Event::source`]; a replay is one source.
    sources: Vec<String>,
    /// Live capture: lines are flushed at each pause, delays are measured.
    live: bool,
    notes: Notes,
    /// What was told of files and of packets that could not be written.
    files_unwritten: Unwritten,
    packets_unwritten: Unwritten,
    /// The EVE file was deleted, and could not be begun anew yet, which was told.
    deleted_told: bool,
    /// Of a replay: that others were not told of all that was to be told, as a sentence.
    untold: Option<String>,
    worst: Option<Severity>,
    /// The newest counters of each source.
    counters: BTreeMap<u16, SensorStats>,
    /// Those of each interface, all its threads together, for the last `stats` line: by its first source.
    last_ticks: BTreeMap<u16, Event>,
    inspect: InspectStats,
    /// What is said from now on is said because there is nothing more to hear.
    capture_is_over: bool,
    busy_told: Vec<Duration>,
    hosts_told: Option<Instant>,
    /// Interfaces, by their first source, of which it was said that they show one direction.
    one_sided_told: BTreeSet<u16>,
    lines: Vec<u8>,
}

impl Outputs {
    /// Opens what the configuration asks for; `rules` is how many are in force.
    ///
    /// # Errors
    /// A file or folder that cannot be opened.
    pub fn open(config: &Config, origin: Origin, metrics: Arc<Metrics>, rules: usize) -> Result<Self, Failure> {
        let (live, sources) = match &origin {
            Origin::Live(interfaces) => (true, interfaces.clone()),
            Origin::Replay(_) => (false, vec!["replay".to_owned()]),
        };
        if let Some(Destination::File(path)) = &config.eve {
            no_capture(path, "--eve")?;
        }
        if let Some(path) = &config.metrics_textfile {
            no_capture(path, "--metrics-textfile")?;
            textfile::check(path).map_err(|error| Failure::Failed(error.to_string()))?;
        }
        let pulse = Pulse::new(if live { &sources } else { &[] });
        let told = Told::open(config, &origin)?;
        let writer = match &config.eve {
            None => None,
            Some(Destination::Stdout) => Some(EveWriter::stdout(!live)),
            Some(Destination::File(path)) if live => Some(EveWriter::append(path)),
            Some(Destination::File(path)) => Some(EveWriter::create(path)),
        };
        let writer = writer.transpose().map_err(|error: WriteError| Failure::Failed(error.to_string()))?;
        let extractor = config.extract.as_deref().map(Extractor::new).transpose();
        let evidence = config.evidence.as_deref().map(EvidenceWriter::new).transpose();
        let ring = config.shares().evidence_bytes;
        metrics.set_rules(rules);
        metrics.set_memory_budget(config.shares().budget.0);
        Ok(Self {
            renderer: Renderer::new(config.events, origin),
            writer,
            extractor: extractor.map_err(|error| Failure::Failed(error.to_string()))?,
            evidence: evidence.map_err(|error| Failure::Failed(error.to_string()))?.map(|new| new.remembering(ring)),
            metrics,
            pulse,
            told,
            sources,
            live,
            notes: Notes::default(),
            files_unwritten: Unwritten::default(),
            packets_unwritten: Unwritten::default(),
            deleted_told: false,
            untold: None,
            worst: None,
            counters: BTreeMap::new(),
            last_ticks: BTreeMap::new(),
            inspect: InspectStats::default(),
            capture_is_over: false,
            busy_told: Vec::new(),
            hosts_told: None,
            one_sided_told: BTreeSet::new(),
            lines: Vec::new(),
        })
    }

    /// Starts the threads of those who are told, of a live sensor once it is confined.
    ///
    /// # Errors
    /// No thread can be had.
    pub fn begin(&mut self) -> Result<(), Failure> {
        self.told.begin()?;
        self.told.tend(&self.metrics);
        Ok(())
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
        self.notes.untold = self.told.finish(&self.metrics);
        self.untold = self.told.failure().filter(|_| !self.live);
        self.notes.eve_lost_lines = self.writer.as_ref().map_or(0, EveWriter::lost_lines);
        if let Some(evidence) = &mut self.evidence {
            evidence.flush();
            self.notes.evidence = evidence.stats();
        }
        self.notes.extract = self.extractor.as_ref().map(Extractor::stats).unwrap_or_default();
        std::mem::take(&mut self.notes)
    }

    /// Brings the metrics up to the end of a run. Hosts are shown as they stood worst in it.
    pub fn settle(&self, report: &Report) {
        self.metrics.update_inspect(&report.inspect);
        self.metrics.update_correlate(&report.correlate);
        if let Some(extractor) = &self.extractor {
            self.metrics.update_extract(&extractor.stats());
        }
        for queue in ["messages", "events"] {
            self.metrics.set_queue(queue, 0);
        }
        for pool in ["inspection", "queues"] {
            self.metrics.set_memory(pool, 0);
        }
        self.metrics.set_hosts(&report.hosts);
    }

    /// Says on standard error what went wrong in a run: with its sources, with what it had to write, or with itself.
    /// Whether anything did.
    pub fn tell_failures<S>(&self, run: &Run<S>) -> bool {
        let sources = run.sources.iter().filter_map(|(_, error)| error.as_ref()).map(ToString::to_string);
        // The first time each kept a line or a file from being written.
        let eve = self.writer.as_ref().and_then(EveWriter::first_error);
        let extract = self.extractor.as_ref().and_then(Extractor::first_error);
        let evidence = self.evidence.as_ref().and_then(EvidenceWriter::first_error);
        let written = [eve, extract, evidence, self.untold.as_deref()].into_iter().flatten().map(str::to_owned);
        let defect = (run.failed > 0).then(|| SENSOR_FAILED.to_owned());
        let mut all: Vec<_> = sources.chain(written).chain(defect).collect();
        // All threads of an interface say the same.
        all.dedup();
        all.iter().for_each(|sentence| complain(sentence));
        !all.is_empty()
    }

    /// What `/healthz` and `/readyz` go by.
    pub fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
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
                self.told.alert(alert, cause);
                if self.live
                    && let Some(delay) = since(alert.time)
                {
                    self.metrics.observe_delay(delay);
                }
            }
            Said::Incident(incident) => {
                self.metrics.observe_incident(incident);
                if let Some(evidence) = &mut self.evidence {
                    evidence.incident(incident);
                }
                self.renderer.incident(incident, &mut self.lines);
                self.told.incident(incident, self.capture_is_over);
            }
        }
    }

    fn tick(&mut self, event: &Event, stats: &SensorStats, view: &View<'_>) {
        self.counters.insert(event.source, stats.clone());
        let (first, stats) = self.together(event.source);
        let name = self.sources.get(usize::from(first)).map_or("", String::as_str);
        self.metrics.update_sensor(name, event.time, &stats);
        let SmtpStats { sessions, one_sided, .. } = stats.smtp;
        if self.live && one_sided >= ONE_SIDED && one_sided > sessions / 2 && self.one_sided_told.insert(first) {
            tracing::warn!(
                interface = name,
                "of {one_sided} of {sessions} mail sessions one side alone was seen; does the mirror show both directions?"
            );
        }
        self.metrics.update_inspect(view.inspect);
        self.inspect = view.inspect.clone();
        let event = Event { kind: EventKind::Tick(Box::new(stats.clone())), flow: None, source: first, ..*event };
        self.renderer.stats(&event, &stats, view.inspect, false, &mut self.lines);
        self.last_ticks.insert(first, event);
    }

    /// The counters of a source and of all others on the same interface, which share its packets; with the first of
    /// them, in whose name they are told.
    fn together(&self, source: u16) -> (u16, SensorStats) {
        let name = self.sources.get(usize::from(source));
        let is_same = |other: u16| self.sources.get(usize::from(other)) == name;
        let first = (0..source).find(|other| is_same(*other)).unwrap_or(source);
        let mut sum = SensorStats::default();
        let same = self.counters.iter().filter(|(other, _)| is_same(**other));
        same.for_each(|(_, stats)| sum.add(stats));
        (first, sum)
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

    /// Begins the EVE file anew when it was deleted, as by who makes room on a disk: into the old one lines would go for
    /// months, and nobody could read them.
    fn replace_deleted(&mut self) {
        let Some(writer) = self.writer.as_mut().filter(|writer| self.live && writer.is_deleted()) else { return };
        match writer.reopen() {
            Ok(()) => {
                tracing::warn!("the EVE file was deleted, and is begun anew; what was written meanwhile is lost");
                self.deleted_told = false;
            }
            Err(error) if !std::mem::replace(&mut self.deleted_told, true) => {
                tracing::error!("the EVE file was deleted, and its lines are lost until it is begun anew: {error}");
            }
            Err(_) => {}
        }
    }

    fn tell_unwritten(&mut self) {
        if !self.live {
            return;
        }
        let now = Instant::now();
        if let Some(extractor) = &self.extractor
            && let (failed, Some(error)) = (extractor.stats().failed, extractor.last_error())
            && self.files_unwritten.is_due(failed, now)
        {
            tracing::error!("{error}; files not extracted so far: {failed}");
        }
        if let Some(evidence) = &self.evidence
            && let (failed, Some(error)) = (evidence.stats().failed, evidence.last_error())
            && self.packets_unwritten.is_due(failed, now)
        {
            tracing::error!("{error}; packets not kept so far: {failed}");
        }
    }

    /// Opens the EVE file anew, after it was moved away. When that fails, the old one is written on.
    pub fn reopen(&mut self) {
        self.flush();
        if let Some(Err(error)) = self.writer.as_mut().map(EveWriter::reopen) {
            tracing::error!("{error}");
        }
    }

    /// Settings were read anew, with so many rules and these types of EVE lines; or could not be.
    pub fn reloaded(&mut self, fresh: Option<(usize, EventFilter)>) {
        self.metrics.observe_reload(fresh.is_some());
        if let Some((rules, events)) = fresh {
            self.metrics.set_rules(rules);
            self.renderer.set_filter(events);
        }
    }

    fn refresh_metrics(&mut self, view: &View<'_>) {
        let [messages, batches] = view.queues;
        self.metrics.set_queue("messages", messages);
        self.metrics.set_queue("events", batches);
        self.metrics.set_memory("inspection", view.message_bytes as u64);
        self.metrics.set_memory("queues", view.event_bytes as u64);
        self.busy_told.resize(view.busy.len(), Duration::ZERO);
        for (worker, (told, busy)) in self.busy_told.iter_mut().zip(view.busy).enumerate() {
            self.metrics.add_busy(worker, busy.saturating_sub(std::mem::replace(told, *busy)));
        }
        if let Some(extractor) = &self.extractor {
            self.metrics.update_extract(&extractor.stats());
        }
        if let Some(evidence) = &self.evidence {
            self.metrics.update_evidence(&evidence.stats());
            self.metrics.set_memory("evidence", evidence.memory() as u64);
        }
        self.tell_unwritten();
        self.replace_deleted();
        self.metrics.update_inspect(view.inspect);
        self.told.tend(&self.metrics);
        self.metrics.update_correlate(&view.correlator.stats());
        self.metrics.set_hosts(&view.correlator.hosts_for_metrics(limits::TOP_HOSTS));
        self.metrics.set_suspects(view.correlator.suspects());
    }
}

impl Audience for Outputs {
    fn hear(&mut self, event: &Event, findings: Option<&Findings>, said: &[Said], view: &View<'_>) {
        if let (EventKind::Packet(packet), Some(evidence)) = (&event.kind, &mut self.evidence) {
            evidence.packet(event.time, packet, |address| view.correlator.known_as(address));
        }
        if findings.is_some() {
            // It may have waited long for an inspector. Other events are told of by the batch: see `pause`.
            self.pulse.beat();
        }
        self.metrics.observe_event(event, findings);
        if let EventKind::Tick(stats) = &event.kind {
            // Of an interface that is away there is no sign of life.
            if stats.capture.rings_up == stats.capture.rings {
                self.pulse.source(event.source);
            }
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
            // It may have taken long, too.
            self.pulse.beat();
        }
    }

    fn hear_said(&mut self, said: &[Said]) {
        said.iter().for_each(|said| self.say(said, None));
        self.write();
    }

    fn hear_last(&mut self, said: &[Said]) {
        self.capture_is_over = true;
        self.hear_said(said);
    }

    fn pause(&mut self, view: &View<'_>) {
        self.pulse.beat();
        if self.live {
            self.flush();
            if let Some(evidence) = &mut self.evidence {
                evidence.flush();
            }
        }
        if self.hosts_told.is_none_or(|told| told.elapsed() >= METRICS_PAUSE) {
            self.hosts_told = Some(Instant::now());
            self.refresh_metrics(view);
        }
    }
}

/// A slip of the shell (`--eve *.pcap`) must not cost a capture.
fn no_capture(path: &Path, option: &str) -> Result<(), Failure> {
    if !capture::looks_like_capture(path) {
        return Ok(());
    }
    let path = path.display();
    Err(Failure::Failed(format!(
        "{path}: is a capture, which {option} would overwrite; name another file, or remove it first"
    )))
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

/// What the stages need to know, from the configuration.
pub fn plan(config: &Config, privacy: Option<Privacy>, pressure: Pressure) -> Plan {
    Plan {
        sensor: config.sensor.clone(),
        inspector: Inspector::new(config.home_net.clone(), config.inspect.clone()).with_privacy(privacy),
        correlator: CorrelatorSettings {
            home: config.home_net.clone(),
            mail_servers: config.mail_servers.clone(),
            mail_ports: config.sensor.mail_ports.clone(),
            detect: config.detect.clone(),
            groups: config.groups.clone(),
            ignore: config.ignore.clone(),
            joins_floods: false,
            hosts: config.shares().hosts,
            host_entries: config.shares().host_entries,
        },
        workers: config.workers,
        pressure,
        merge_patience: limits::MERGE_PATIENCE,
    }
}

/// What is left out of all outputs, where the configuration asks for that.
///
/// # Errors
/// The key cannot be read, or is too short.
pub fn privacy(config: &Config) -> Result<Option<Privacy>, Failure> {
    if !config.privacy {
        return Ok(None);
    }
    let (path, own) = match &config.privacy_key_file {
        Some(path) => (path.as_path(), true),
        None => (Path::new(RANDOM), false),
    };
    let fail = |why: String| Failure::Failed(format!("cannot use the key in {}: {why}", path.display()));
    let mut key = Vec::new();
    let file = File::open(path).map_err(|error| fail(error.to_string()))?;
    let most = if own { limits::PRIVACY_KEY_MOST } else { limits::PRIVACY_KEY };
    file.take(most).read_to_end(&mut key).map_err(|error| fail(error.to_string()))?;
    if own {
        // An editor adds a line end, which is no part of the key.
        key.truncate(key.trim_ascii_end().len());
    }
    if key.len() < limits::PRIVACY_KEY_LEAST {
        let what = "head -c 32 /dev/urandom | base64";
        let least = limits::PRIVACY_KEY_LEAST;
        return Err(fail(format!("it has fewer than {least} bytes; make one with '{what}'")));
    }
    Ok(Some(Privacy::new(&key)))
}

/// How long ago a time on the wire was.
fn since(time: Timestamp) -> Option<Duration> {
    let wire = Duration::from_nanos(u64::try_from(time.as_nanos()).ok()?);
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?.checked_sub(wire)
}

/// Sessions seen from one side alone before that is worth a word.
const ONE_SIDED: u64 = 20;
/// Where a key comes from when none is given.
const RANDOM: &str = "/dev/urandom";

/// How often gauges that cost something to gather are gathered.
const METRICS_PAUSE: Duration = Duration::from_secs(1);

/// When the correlator or the outputs ended in a defect: what was written by then is all there is.
pub const BROKEN: &str = "mailsnare failed on what it read, which is a defect: please report it with the message above; \
     lines that were written by then are whole";
/// When a thread of the pipeline ended in a defect.
const SENSOR_FAILED: &str = "the sensor failed on what it read, which is a defect: please report it with the \
     message above; what had been read by then is in the results";
