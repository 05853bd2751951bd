//! Makes families, with our prefix, and keeps a list of them.

use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    CounterVec, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// A family as it is listed in `docs/metrics.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    pub help: String,
    pub labels: Vec<String>,
}

/// Makes families and registers them.
pub(super) struct Maker<'a> {
    registry: &'a Registry,
    families: Vec<Family>,
}

impl<'a> Maker<'a> {
    pub(super) fn new(registry: &'a Registry) -> Self {
        Self { registry, families: Vec::new() }
    }

    /// All that were made, by name.
    pub(super) fn families(self) -> Vec<Family> {
        let mut families = self.families;
        families.sort_by(|a, b| a.name.cmp(&b.name));
        families
    }

    /// What the kernel says of this process; gathered at each scrape.
    #[cfg(target_os = "linux")]
    pub(super) fn process(&mut self) -> Result<(), MetricsError> {
        let process = ProcessCollector::for_self();
        for desc in process.desc() {
            // Of its families the processor time alone only grows.
            let kind = if desc.fq_name.ends_with("_total") { "counter" } else { "gauge" };
            self.families.push(Family::of(desc, kind));
        }
        self.registry.register(Box::new(process))?;
        Ok(())
    }

    pub(super) fn counters(&mut self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, MetricsError> {
        self.register(IntCounterVec::new(options(name, help), labels)?, COUNTER)
    }

    pub(super) fn counter(&mut self, name: &str, help: &str) -> Result<IntCounter, MetricsError> {
        self.register(IntCounter::with_opts(options(name, help))?, COUNTER)
    }

    pub(super) fn gauges(&mut self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, MetricsError> {
        self.register(IntGaugeVec::new(options(name, help), labels)?, GAUGE)
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str) -> Result<IntGauge, MetricsError> {
        self.register(IntGauge::with_opts(options(name, help))?, GAUGE)
    }

    pub(super) fn seconds(&mut self, name: &str, help: &str, labels: &[&str]) -> Result<CounterVec, MetricsError> {
        self.register(CounterVec::new(options(name, help), labels)?, COUNTER)
    }

    pub(super) fn real_gauges(&mut self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, MetricsError> {
        self.register(GaugeVec::new(options(name, help), labels)?, GAUGE)
    }

    pub(super) fn delays(&mut self) -> Result<Histogram, MetricsError> {
        let help = "From the packet that completed the evidence to the alert (live capture).";
        let options = HistogramOpts::new("alert_delay_seconds", help).namespace(PREFIX);
        self.register(Histogram::with_opts(options.buckets(DELAYS.to_vec()))?, "histogram")
    }

    fn register<C: Collector + Clone + 'static>(&mut self, family: C, kind: &'static str) -> Result<C, MetricsError> {
        self.families.extend(family.desc().into_iter().map(|desc| Family::of(desc, kind)));
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

impl Family {
    fn of(desc: &Desc, kind: &'static str) -> Self {
        Self { name: desc.fq_name.clone(), kind, help: desc.help.clone(), labels: desc.variable_labels.clone() }
    }
}

/// Before every name.
pub(super) const PREFIX: &str = "mailsnare";
const COUNTER: &str = "counter";
const GAUGE: &str = "gauge";
/// Bounds of the delay histogram, in seconds: from one batch to a queue that is minutes behind.
const DELAYS: [f64; 11] = [0.001, 0.005, 0.02, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];
