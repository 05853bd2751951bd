//! `mailsnare live`.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::health::Health;
use super::outputs::{self, Outputs};
use super::{Failure, print, replay, settings};
use crate::capture::{LiveOptions, LiveSource};
use crate::config::{Destination, Format};
use crate::output::eve::Origin;
use crate::output::metrics::Metrics;
use crate::pipeline::{self, Pressure, Server, SharedRules};

/// Runs the command.
///
/// # Errors
/// [`Failure::Failed`]: what, which interface, what to do.
pub fn run(settings: &settings::Live) -> Result<ExitCode, Failure> {
    let config = &settings.config;
    let rules = SharedRules::new(outputs::load_rules(config)?);
    let privacy = outputs::privacy(config)?;
    let stop = Arc::new(AtomicBool::new(false));
    let options = LiveOptions {
        bpf: config.bpf.clone(),
        snaplen: settings.snaplen,
        promiscuous: settings.promiscuous,
        ring_bytes: settings.ring_mib.saturating_mul(1 << 20),
        stop: Arc::clone(&stop),
        ..LiveOptions::default()
    };
    let sources: Result<Vec<_>, _> = settings.interfaces.iter().map(|name| LiveSource::open(name, &options)).collect();
    let sources = sources.map_err(|error| Failure::Failed(error.to_string()))?;
    let metrics =
        Arc::new(Metrics::new(env!("CARGO_PKG_VERSION")).map_err(|error| Failure::Failed(error.to_string()))?);
    let reload = Arc::new(AtomicBool::new(false));
    let origin = Origin::Live(settings.interfaces.clone());
    let mut outputs = Outputs::open(config, origin, Arc::clone(&metrics), rules.clone(), Arc::clone(&reload))?;
    for (signal, flag) in [(SIGINT, &stop), (SIGTERM, &stop), (SIGHUP, &reload)] {
        signal_hook::flag::register(signal, Arc::clone(flag))
            .map_err(|error| Failure::Failed(format!("cannot handle signals: {error}")))?;
    }
    let health = Health { metrics, pulse: outputs.pulse() };
    let server = outputs::listen(config)?.map(|listener| Server { listener, endpoints: &health });
    tracing::info!("listening on {}", settings.interfaces.join(", "));
    let plan = outputs::plan(config, privacy, Pressure::Shed);
    health.pulse.start();
    let run = pipeline::run(sources, plan, &rules, &stop, server, &mut outputs);
    health.pulse.end();
    let notes = outputs.finish();
    let failed = outputs.tell_failures(&run);
    if config.eve != Some(Destination::Stdout) {
        print(replay::summary(&run.report, &notes, Format::Table).as_bytes())?;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
