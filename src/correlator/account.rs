//! What the correlator tells of itself: the report of a run, hosts and counters for metrics.

use std::collections::BTreeMap;

use super::{Correlator, view};
use crate::detect::host::Host;
use crate::detect::incident::host_report;
use crate::model::alert::{Severity, Verdict};
use crate::model::limits;
use crate::model::report::{HostReport, Ignored, Report};
use crate::model::stats::{CorrelateStats, SensorStats};

impl Correlator {
    /// The whole run so far. What the inspectors counted is left for the pipeline to fill in.
    pub fn report(&self) -> Report {
        Report {
            span: self.span,
            hosts: self.hosts_listed(limits::TOP_HOSTS, true),
            verdicts: self.verdicts(Host::worst),
            ignored: self.ignored(),
            mailing_hosts: self.mailing_hosts,
            alerts: self.alerts_by_rule(),
            sensor: self.link.sum(),
            correlate: self.stats(),
            ..Report::default()
        }
    }

    /// How many home hosts are under suspicion, by verdict in the order of [`Verdict::ALL`]; the clean are not counted.
    pub fn suspects(&self) -> [u64; Verdict::ALL.len()] {
        self.verdicts(Host::verdict)
    }

    fn verdicts(&self, verdict: impl Fn(&Host) -> Verdict) -> [u64; Verdict::ALL.len()] {
        let mut counts = [0; Verdict::ALL.len()];
        for verdict in self.hosts.iter().map(verdict).filter(|verdict| *verdict != Verdict::Clean) {
            counts[verdict as usize] += 1;
        }
        counts
    }

    /// Hosts under suspicion, and the `top` by mail bytes among the rest that mailed; worst verdict first, then most
    /// mail bytes, then by address. At most [`limits::REPORT_HOSTS`].
    pub fn hosts_for_metrics(&self, top: usize) -> Vec<HostReport> {
        self.hosts_listed(top, false)
    }

    /// The same; with `worst` each host as it stood worst in the whole run.
    fn hosts_listed(&self, top: usize, worst: bool) -> Vec<HostReport> {
        let verdict = |host: &Host| if worst { host.worst() } else { host.verdict() };
        let rank = |host: &Host| (std::cmp::Reverse((verdict(host), host.facts.tally.bytes)), host.facts.addr);
        let known = |host: &&Host| host.case.is_some() || host.past.is_some() || host.facts.first_mail.is_some();
        let mut hosts: Vec<&Host> = self.hosts.iter().filter(known).collect();
        hosts.sort_unstable_by_key(|host| rank(host));
        let suspects = hosts.partition_point(|host| verdict(host) != Verdict::Clean);
        hosts.truncate(suspects.saturating_add(top).min(limits::REPORT_HOSTS));
        let view = view(&self.detectors, &self.settings, self.now, &self.link);
        hosts.into_iter().map(|host| host_report(host, view, worst)).collect()
    }

    fn ignored(&self) -> Vec<Ignored> {
        let times = self.ignored.iter().copied().chain(std::iter::repeat(0));
        self.settings.ignore.iter().cloned().zip(times).map(|(wish, times)| Ignored { wish, times }).collect()
    }

    /// What it counted.
    pub fn stats(&self) -> CorrelateStats {
        CorrelateStats {
            hosts: self.hosts.len() as u64,
            hosts_evicted: self.hosts.evicted(),
            hosts_shortened: self.hosts.shortened(),
            entries: self.hosts.entries() as u64,
            bytes: (self.hosts.memory() + self.identities.memory() + self.sightings.memory() + self.joint.memory())
                as u64,
        }
    }

    fn alerts_by_rule(&self) -> Vec<(String, Severity, u64)> {
        let counts = self.alerts.iter().flat_map(|(rule, counts)| {
            Severity::ALL.into_iter().zip(counts).map(move |(severity, count)| (rule.clone(), severity, *count))
        });
        let mut alerts: Vec<_> = counts.filter(|(_, _, count)| *count > 0).collect();
        // Stable: rules come by name from the map.
        alerts.sort_by_key(|(_, severity, _)| *severity);
        alerts
    }
}

/// The last tick of each source.
#[derive(Default)]
pub(super) struct Link {
    sources: BTreeMap<u16, SensorStats>,
    /// Bytes captured, all sources together.
    pub(super) captured: u64,
}

impl Link {
    pub(super) fn tick(&mut self, source: u16, stats: &SensorStats) {
        let last = self.sources.entry(source).or_default();
        self.captured = self.captured.saturating_sub(last.capture.bytes).saturating_add(stats.capture.bytes);
        last.clone_from(stats);
    }

    pub(super) fn sum(&self) -> SensorStats {
        let mut sum = SensorStats::default();
        self.sources.values().for_each(|stats| sum.add(stats));
        sum
    }
}
