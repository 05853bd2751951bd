//! What `/healthz` and `/readyz` go by: signs of life from the pipeline.
//!
//! Healthy: the correlator has moved within [`PATIENCE`]. It looks up every tenth of a second even when no packet
//! comes, and stands still when an inspector, an output or itself is stuck, or when it cannot catch up with one batch.
//!
//! Ready: packets can be read. A live source tells its counters once a second, on an idle wire too; ready is when each
//! has done so within [`PATIENCE`]. A replay is ready while it reads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::output::http::Endpoints;
use crate::output::metrics::Metrics;

/// Signs of life, left by the thread that hears the pipeline and read by the one that serves.
#[derive(Debug)]
pub struct Pulse {
    began: Instant,
    /// Milliseconds since `began` at the last sign of the correlator.
    beat: AtomicU64,
    /// The run is on: before it nothing is captured, and after it no longer.
    running: AtomicBool,
    /// Live sources by name, each with when it last told its counters; empty for a replay.
    sources: Mutex<Vec<(String, Option<Instant>)>>,
}

impl Pulse {
    /// For a replay, or for these interfaces.
    pub fn new(interfaces: &[String]) -> Arc<Self> {
        let sources = interfaces.iter().map(|name| (name.clone(), None)).collect();
        Arc::new(Self {
            began: Instant::now(),
            beat: AtomicU64::new(0),
            running: AtomicBool::new(false),
            sources: Mutex::new(sources),
        })
    }

    /// The run begins.
    pub fn start(&self) {
        self.beat();
        self.running.store(true, Ordering::Relaxed);
    }

    /// The run is over.
    pub fn end(&self) {
        self.running.store(false, Ordering::Relaxed);
    }

    /// The correlator moved.
    pub fn beat(&self) {
        let since = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.beat.store(since, Ordering::Relaxed);
    }

    /// A source told its counters.
    pub fn source(&self, source: u16) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, told)) = sources.get_mut(usize::from(source)) {
            *told = Some(Instant::now());
        }
    }

    fn health(&self, now: Instant) -> Result<(), String> {
        let still =
            now.saturating_duration_since(self.began + Duration::from_millis(self.beat.load(Ordering::Relaxed)));
        if self.running.load(Ordering::Relaxed) && still > PATIENCE {
            return Err(format!("the pipeline has not moved for {} s", still.as_secs()));
        }
        Ok(())
    }

    fn ready(&self, now: Instant) -> Result<(), String> {
        if !self.running.load(Ordering::Relaxed) {
            return Err("not capturing".to_owned());
        }
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let silent = |told: &Option<Instant>| told.is_none_or(|told| now.saturating_duration_since(told) > PATIENCE);
        match sources.iter().find(|(_, told)| silent(told)) {
            Some((name, None)) => Err(format!("interface {name} is not captured from yet")),
            Some((name, Some(told))) => {
                let still = now.saturating_duration_since(*told).as_secs();
                Err(format!("nothing was heard of interface {name} for {still} s"))
            }
            None => Ok(()),
        }
    }
}

/// What the metrics server tells.
pub struct Health {
    pub metrics: Arc<Metrics>,
    pub pulse: Arc<Pulse>,
}

impl Endpoints for Health {
    fn metrics(&self) -> Vec<u8> {
        self.metrics.render()
    }

    fn health(&self) -> Result<(), String> {
        self.pulse.health(Instant::now())
    }

    fn ready(&self) -> Result<(), String> {
        self.pulse.ready(Instant::now())
    }
}

/// How long a stage may be silent: far longer than one message, one batch or one slow write takes, and short enough for
/// a supervisor to act.
pub const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipeline_that_stands_still_is_not_healthy() {
        let pulse = Pulse::new(&[]);
        let late = Instant::now() + PATIENCE + Duration::from_secs(5);
        assert_eq!(pulse.health(late), Ok(()), "not begun is not stuck");
        pulse.start();
        assert_eq!(pulse.health(Instant::now()), Ok(()));
        let why = pulse.health(late).unwrap_err();
        assert!(why.starts_with("the pipeline has not moved for 3"), "{why}");
        pulse.end();
        assert_eq!(pulse.health(late), Ok(()), "over is not stuck");
    }

    #[test]
    fn ready_is_when_every_interface_is_heard_of() {
        let pulse = Pulse::new(&["eth0".into(), "eth1".into()]);
        let now = Instant::now;
        assert_eq!(pulse.ready(now()), Err("not capturing".into()));
        pulse.start();
        pulse.source(0);
        assert_eq!(pulse.ready(now()), Err("interface eth1 is not captured from yet".into()));
        pulse.source(1);
        assert_eq!(pulse.ready(now()), Ok(()));
        let why = pulse.ready(now() + PATIENCE + Duration::from_secs(2)).unwrap_err();
        assert!(why.starts_with("nothing was heard of interface eth0 for 3"), "{why}");
        pulse.source(9);
        pulse.end();
        assert_eq!(pulse.ready(now()), Err("not capturing".into()));
    }

    #[test]
    fn a_replay_is_ready_while_it_reads() {
        let pulse = Pulse::new(&[]);
        pulse.start();
        assert_eq!(pulse.ready(Instant::now()), Ok(()));
    }
}
