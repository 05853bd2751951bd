//! `mailsnare live`.

use std::fs::File;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::SIGHUP;

use super::health::{Health, Pulse};
use super::outputs::{self, Outputs};
use super::reload::Reload;
use super::service::Service;
use super::stop::{Stop, too_few_threads};
use super::{Failure, args, packs, print, replay, settings};
use crate::capture::{CaptureError, Fanout, LiveOptions, SteadySource};
use crate::config::{Config, Destination, Format, LogLevel};
use crate::confine::{self, Account, Grants, Report};
use crate::correlator::Said;
use crate::model::event::Event;
use crate::model::mail::Findings;
use crate::output::eve::Origin;
use crate::output::metrics::Metrics;
use crate::pipeline::{self, Audience, Pressure, Server, SharedRules, View};

/// Runs the command. What needs rights comes first: interfaces and ports; then rights are given up; files that are
/// written are opened by whom they will be re-opened by; then the process closes itself in, and only then packets of
/// strangers are looked at.
///
/// # Errors
/// [`Failure::Failed`]: what, which interface, what to do.
pub fn run(typed: args::Live, log_level: Option<LogLevel>, settings: settings::Live) -> Result<ExitCode, Failure> {
    let config = &settings.config;
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
    let account = settings.user.as_deref().map(Account::named).transpose().map_err(|error| failed(&error))?;
    let (stop, reload) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let signals = Stop::register(&stop)?;
    signal_hook::flag::register(SIGHUP, Arc::clone(&reload))
        .map_err(|error| Failure::Failed(format!("cannot handle signals: {error}")))?;
    let sources = open(&settings, &stop).map_err(|error| failed(&error))?;
    let listener = outputs::listen(config)?;
    if settings.confine {
        let given_up = confine::become_harmless(account.as_ref(), settings.reopen).map_err(|error| failed(&error))?;
        tell(&given_up);
        if let Some(path) = typed.common.config.as_deref() {
            still_readable(path);
        }
    }
    let rules = SharedRules::new(packs::load(config)?);
    let privacy = outputs::privacy(config)?;
    let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION")).map_err(|error| failed(&error))?);
    let origin = Origin::Live(sources.iter().map(|source| source.interface().to_owned()).collect());
    let mut outputs = Outputs::open(config, origin, Arc::clone(&metrics), rules.get().rules().len())?;
    if settings.confine {
        let others = confine::other_threads();
        if others > 0 {
            tracing::error!("not confined: files: {others} threads run already, and Landlock does not bind them");
        }
        tell(&confine::close_in(&grants(config, typed.common.config.as_deref())));
    }
    signals.watch()?;
    outputs.begin()?;
    let rings = u64::from(settings.ring_mib) << 20;
    metrics.set_memory("rings", rings.saturating_mul(sources.len() as u64));
    let health = Health { metrics, pulse: outputs.pulse() };
    let server = listener.map(|listener| Server { listener, endpoints: &health });
    let mut plan = outputs::plan(config, privacy.clone(), Pressure::Shed);
    plan.sensor.share_floods(usize::from(settings.threads));
    plan.correlator.joins_floods = settings.threads > 1;
    let mut attendant = Attendant {
        outputs: &mut outputs,
        service: Service::new(),
        rules: rules.clone(),
        status: format!("listening on {}", settings.interfaces.join(", ")),
        settings: Reload::new(typed, log_level, settings.clone(), privacy),
        reload,
        stop: Arc::clone(&stop),
        pulse: Arc::clone(&health.pulse),
        began: false,
        ends: false,
        seen: Vec::new(),
    };
    let run = pipeline::run(sources, plan, &rules, &stop, server, &mut attendant);
    health.pulse.end();
    attendant.stopping();
    if run.incomplete {
        return Err(too_few_threads());
    }
    if run.broken {
        return Err(Failure::Failed(outputs::BROKEN.to_owned()));
    }
    let notes = outputs.finish();
    let failed = outputs.tell_failures(&run);
    if config.eve != Some(Destination::Stdout) {
        print(replay::summary(&run.report, &notes, Format::Table).as_bytes())?;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Better said at the start than at the first reload, months later.
fn still_readable(config: &Path) {
    if let Err(error) = File::open(config) {
        let path = config.display();
        tracing::warn!(
            "{path}: cannot be read by the user that the sensor has become ({error}), so that SIGHUP will fail"
        );
    }
}

/// Opens every interface, with as many rings as there are to be threads.
fn open(settings: &settings::Live, stop: &Arc<AtomicBool>) -> Result<Vec<SteadySource>, CaptureError> {
    let mut sources = Vec::new();
    for interface in &settings.interfaces {
        let options = LiveOptions {
            bpf: settings.config.bpf.clone(),
            snaplen: settings.snaplen,
            promiscuous: settings.promiscuous,
            ring_bytes: settings.ring_mib.saturating_mul(1 << 20),
            fanout: (settings.threads > 1).then(Arc::<Fanout>::default),
            stop: Arc::clone(stop),
            ..LiveOptions::default()
        };
        for ring in 0..settings.threads {
            let source = SteadySource::open(interface, &options)?;
            let source = if settings.reopen { source } else { source.mortal() };
            sources.push(if ring == 0 { source } else { source.silent() });
        }
    }
    Ok(sources)
}

/// The files that must stay within reach: what SIGHUP reads and writes anew, and what is written all along.
fn grants(config: &Config, file: Option<&Path>) -> Grants {
    let mut grants = Grants::system();
    for path in config.rules.iter().flatten().map(|path| path.as_path()).chain(file) {
        if path.is_dir() {
            grants.read_folder(path);
        } else {
            if Grants::is_bound_to_file(path) {
                tracing::warn!(
                    "{}: another file put in its place cannot be read by SIGHUP; change it in place, or keep it in a \
                     folder of its own",
                    path.display()
                );
            }
            grants.read_file(path);
        }
    }
    if let Some(Destination::File(path)) = &config.eve {
        grants.write_file(path);
    }
    if config.alertmanager.is_some() {
        grants.connect();
    }
    for path in [&config.extract, &config.evidence].into_iter().flatten() {
        grants.write_folder(path);
    }
    grants
}

fn tell(report: &Report) {
    tracing::info!("confined: {report}");
    for missing in &report.missing {
        tracing::warn!("not confined: {missing}");
    }
}

/// Stands between the pipeline and the outputs: sees to signals, and keeps the service manager informed.
struct Attendant<'a> {
    outputs: &'a mut Outputs,
    service: Service,
    rules: SharedRules,
    settings: Reload,
    /// For the service manager.
    status: String,
    /// Set by SIGHUP.
    reload: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    pulse: Arc<Pulse>,
    /// It was told that packets are read; that it ends.
    began: bool,
    ends: bool,
    seen: Vec<u64>,
}

impl Attendant<'_> {
    fn reload(&mut self) {
        self.service.reloading();
        self.outputs.reopen();
        match self.settings.read() {
            Ok(fresh) => {
                tracing::info!("settings and {} rules read anew", fresh.rules.rules().len());
                if !fresh.unheeded.is_empty() {
                    tracing::warn!("changed, and heeded only after a restart: {}", fresh.unheeded.join(", "));
                }
                self.outputs.reloaded(Some((fresh.rules.rules().len(), fresh.config.events)));
                self.rules.replace(fresh.rules, fresh.policy);
            }
            Err(error) => {
                self.outputs.reloaded(None);
                tracing::error!("settings and rules not replaced, the old ones stay in force: {error}");
            }
        }
        self.service.ready(&self.status);
    }

    fn stopping(&mut self) {
        if !std::mem::replace(&mut self.ends, true) {
            self.service.stopping();
        }
    }
}

impl Audience for Attendant<'_> {
    fn hear(&mut self, event: &Event, findings: Option<&Findings>, said: &[Said], view: &View<'_>) {
        self.outputs.hear(event, findings, said, view);
    }

    fn hear_said(&mut self, said: &[Said]) {
        self.outputs.hear_said(said);
    }

    fn hear_last(&mut self, said: &[Said]) {
        self.outputs.hear_last(said);
    }

    fn pause(&mut self, view: &View<'_>) {
        self.outputs.pause(view);
        if !self.began && view.pulse.all_moved(&mut self.seen) {
            self.began = true;
            self.pulse.start();
            tracing::info!("{}", self.status);
            self.service.ready(&self.status);
        }
        if self.began && self.reload.swap(false, Ordering::Relaxed) {
            self.reload();
        }
        if self.stop.load(Ordering::Relaxed) {
            self.stopping();
        }
        self.service.feed(view.pulse);
    }
}
