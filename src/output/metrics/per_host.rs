//! Series of single hosts, for those worth them: under suspicion, or among the top by mail bytes.

use std::cmp::Reverse;
use std::net::IpAddr;

use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec};

use super::MetricsError;
use super::maker::Maker;
use crate::model::alert::{Evidence, Figure, Verdict, WEIGHT};
use crate::model::limits::{METRIC_EVIDENCE, METRIC_SUSPECTS};
use crate::model::report::{HostReport, RoleKind};

/// One series a host in each; in the last one for each of its strongest reasons.
#[derive(Debug)]
pub(super) struct PerHost {
    mail_bytes: IntCounterVec,
    messages: IntCounterVec,
    recipients: IntCounterVec,
    mx_lookups: IntCounterVec,
    verdict: IntGaugeVec,
    role: IntGaugeVec,
    since: IntGaugeVec,
    link_share: GaugeVec,
    evidence: GaugeVec,
}

impl PerHost {
    pub(super) fn new(made: &mut Maker<'_>) -> Result<Self, MetricsError> {
        let host = &["host"];
        Ok(Self {
            mail_bytes: made.counters("host_mail_bytes_total", "Bytes of a host's mail flows, both ways.", host)?,
            messages: made.counters("host_messages_total", "Messages a host sent.", host)?,
            recipients: made.counters("host_recipients_total", "Recipients a host sent to.", host)?,
            mx_lookups: made.counters("host_mx_lookups_total", "MX questions a host asked.", host)?,
            verdict: made.gauges("host_verdict", "0 clean, 1 suspicious, 2 infected.", host)?,
            role: made.gauges("host_role", "1 for the role a host has.", &["host", "role"])?,
            since: made.gauges(
                "host_since_timestamp_seconds",
                "When a host first did what it is judged for; for a clean one, when it first mailed.",
                host,
            )?,
            link_share: made.real_gauges(
                "host_link_share_ratio",
                "A host's mail bytes as a share (0 to 1) of all bytes captured since its first mail.",
                host,
            )?,
            evidence: made.real_gauges(
                "host_evidence_weight",
                "What is held against a host under suspicion, by the rule or detector that says it: the strongest five.",
                &["host", "source"],
            )?,
        })
    }

    /// Brings a host's series up to `report`; `before` are the reasons it had series for, and are replaced.
    pub(super) fn update(&self, report: &HostReport, before: &mut Vec<String>) {
        let name = report.host.to_string();
        let host = &[name.as_str()];
        for (family, value) in [
            (&self.mail_bytes, report.mail_bytes),
            (&self.messages, report.messages),
            (&self.recipients, report.recipients),
            (&self.mx_lookups, report.mx_lookups),
        ] {
            let counter = family.with_label_values(host);
            // A host that was forgotten and came back starts anew, as a process would.
            if counter.get() > value {
                counter.reset();
            }
            counter.inc_by(value - counter.get());
        }
        self.verdict.with_label_values(host).set(report.verdict as i64);
        self.forget_role(&name, Some(report.role_kind));
        self.role.with_label_values(&[name.as_str(), report.role_kind.name()]).set(1);
        self.since.with_label_values(host).set(report.since.seconds());
        self.link_share.with_label_values(host).set(report.share_of_link);
        let gone = std::mem::take(before);
        for (source, weight) in reasons(report) {
            self.evidence.with_label_values(&[name.as_str(), source]).set(weight);
            before.push(source.to_owned());
        }
        self.forget_reasons(&name, gone.iter().filter(|source| !before.contains(source)));
    }

    /// Takes a host's series away.
    pub(super) fn remove(&self, host: IpAddr, reasons: &[String]) {
        let name = host.to_string();
        let host = &[name.as_str()];
        for family in [&self.mail_bytes, &self.messages, &self.recipients, &self.mx_lookups] {
            // An error says that there is no such series, which is what is wanted.
            let _ = family.remove_label_values(host);
        }
        let _ = self.verdict.remove_label_values(host);
        self.forget_role(&name, None);
        let _ = self.since.remove_label_values(host);
        let _ = self.link_share.remove_label_values(host);
        self.forget_reasons(&name, reasons.iter());
    }

    /// Removes the series of all roles but one.
    fn forget_role(&self, host: &str, but: Option<RoleKind>) {
        for kind in RoleKind::ALL.into_iter().filter(|kind| Some(*kind) != but) {
            let _ = self.role.remove_label_values(&[host, kind.name()]);
        }
    }

    fn forget_reasons<'a>(&self, host: &str, reasons: impl Iterator<Item = &'a String>) {
        for reason in reasons {
            let _ = self.evidence.remove_label_values(&[host, reason]);
        }
    }
}

/// The strongest reasons against a host under suspicion, each with what all its evidence weighs.
fn reasons(report: &HostReport) -> Vec<(&str, f64)> {
    let mut reasons: Vec<(&str, f64)> = Vec::new();
    if report.verdict == Verdict::Clean {
        return reasons;
    }
    for evidence in &report.evidence {
        let weight = weight(evidence);
        if let Some((_, sum)) = reasons.iter_mut().find(|(source, _)| *source == evidence.source) {
            *sum += weight;
        } else if reasons.len() < METRIC_EVIDENCE {
            reasons.push((&evidence.source, weight));
        }
    }
    reasons
}

fn weight(evidence: &Evidence) -> f64 {
    let figure = evidence.figures.iter().find(|(name, _)| *name == WEIGHT);
    if let Some((_, Figure::Real(weight))) = figure { *weight } else { 0.0 }
}

/// The hosts that get series; one may be named twice. Ties go by address, so that the choice is stable.
pub(super) fn chosen(hosts: &[HostReport], top: usize) -> Vec<&HostReport> {
    let mut by_bytes: Vec<&HostReport> = hosts.iter().collect();
    take_first(&mut by_bytes, top, |host| (Reverse(host.mail_bytes), host.host));
    let mut suspects: Vec<&HostReport> = hosts.iter().filter(|host| host.verdict != Verdict::Clean).collect();
    take_first(&mut suspects, METRIC_SUSPECTS, |host| (Reverse(host.verdict), Reverse(host.mail_bytes), host.host));
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
