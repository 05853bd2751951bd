//! `mailsnare replay`.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::health::Health;
use super::outputs::{self, Outputs};
use super::stop::{Stop, too_few_threads};
use super::{Failure, complain, packs, print, settings};
use crate::capture::{CaptureError, FindingKind, ReplayOptions, ReplaySource, Source, Step};
use crate::config::{Destination, Format};
use crate::model::report::Report;
use crate::model::stats::CaptureStats;
use crate::output::eve::Origin;
use crate::output::metrics::Metrics;
use crate::output::progress::Progress;
use crate::output::summary::{self, Notes, Style};
use crate::output::textfile;
use crate::pipeline::{self, Pressure, Server, SharedRules};

/// Runs the command.
///
/// # Errors
/// [`Failure::Failed`]: what, which file, what to do.
pub fn run(settings: &settings::Replay) -> Result<ExitCode, Failure> {
    let config = &settings.config;
    let rules = SharedRules::new(packs::load(config)?);
    let privacy = outputs::privacy(config)?;
    let options = ReplayOptions { bpf: config.bpf.clone() };
    let stop = Arc::new(AtomicBool::new(false));
    let source = ReplaySource::open_stoppable(&settings.captures, &options, Arc::clone(&stop))
        .map_err(|error| Failure::Failed(error.to_string()))?;
    let metrics =
        Arc::new(Metrics::new(env!("CARGO_PKG_VERSION")).map_err(|error| Failure::Failed(error.to_string()))?);
    let origin = Origin::Replay(source.file_names());
    let mut outputs = Outputs::open(config, origin, Arc::clone(&metrics), rules.get().rules().len())?;
    Stop::register(&stop)?.watch()?;
    let health = Health { metrics, pulse: outputs.pulse() };
    let server = outputs::listen(config)?.map(|listener| Server { listener, endpoints: &health });
    let watched = Watched::new(source);
    let plan = outputs::plan(config, privacy, Pressure::Wait);
    health.pulse.start();
    let run = pipeline::run(vec![watched], plan, &rules, &stop, server, &mut outputs);
    health.pulse.end();
    if run.incomplete {
        return Err(too_few_threads());
    }
    if run.broken {
        return Err(Failure::Failed(outputs::BROKEN.to_owned()));
    }
    let notes = outputs.finish();
    if stop.load(Ordering::Relaxed) {
        complain("stopped before the end; what had been read by then is in the results");
    }
    let mut failed = false;
    for (watched, _) in &run.sources {
        watched.progress.finish();
        failed |= tell_findings(&watched.source);
    }
    failed |= outputs.tell_failures(&run);
    if let Some(path) = &config.metrics_textfile {
        outputs.settle(&run.report);
        if let Err(error) = textfile::replace(path, &health.metrics.render_for_textfile()) {
            complain(&error.to_string());
            failed = true;
        }
    }
    if config.eve != Some(Destination::Stdout) {
        print(summary(&run.report, &notes, settings.format).as_bytes())?;
    }
    let alarmed = settings.fail_on.is_some_and(|limit| outputs.worst().is_some_and(|worst| worst.reaches(limit)));
    Ok(match (failed, alarmed) {
        (true, _) => ExitCode::FAILURE,
        (false, true) => ExitCode::from(ALARMED),
        (false, false) => ExitCode::SUCCESS,
    })
}

/// The summary in the format asked for.
pub(super) fn summary(report: &Report, notes: &Notes, format: Format) -> String {
    match format {
        Format::Json => summary::json(report, notes),
        Format::Table => {
            let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            let terminal = io::stdout().is_terminal();
            summary::text(report, notes, Style { colour: terminal && !plain, width: width(terminal) })
        }
    }
}

/// How wide the text may be: `COLUMNS` where it is set, else the terminal's width, else as it needs.
fn width(terminal: bool) -> Option<u16> {
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).filter(|&width| width > 0);
    said.or_else(|| terminal_size::terminal_size().filter(|_| terminal).map(|(width, _)| width.0))
}

/// Says what was wrong with the files; whether any was corrupt within.
fn tell_findings(source: &ReplaySource) -> bool {
    for finding in source.findings() {
        let kind = if finding.kind == FindingKind::Damaged { "" } else { "warning: " };
        complain(&format!("{kind}{finding}"));
    }
    source.damaged()
}

/// A replay with a progress bar beside it.
struct Watched {
    source: ReplaySource,
    bytes: Arc<AtomicU64>,
    progress: Progress,
    packets: u64,
}

impl Watched {
    fn new(source: ReplaySource) -> Self {
        let progress = Progress::new(source.total_bytes());
        Self { bytes: source.progress(), progress, packets: 0, source }
    }
}

impl Source for Watched {
    fn next(&mut self) -> Result<Step<'_>, CaptureError> {
        self.packets += 1;
        if self.packets.is_multiple_of(PACKETS_BETWEEN_LOOKS) {
            self.progress.tick(self.bytes.load(Ordering::Relaxed), self.packets);
        }
        self.source.next()
    }

    fn stats(&mut self) -> CaptureStats {
        self.source.stats()
    }
}

/// How often the progress bar looks up: some hundred times a second at full speed.
const PACKETS_BETWEEN_LOOKS: u64 = 1 << 14;

/// The exit code when an alert reached `--fail-on`.
const ALARMED: u8 = 3;
