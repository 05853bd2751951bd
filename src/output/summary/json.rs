//! The summary as one JSON document (`--format json`). Keys are stable: they are added to, not changed.

use std::net::IpAddr;

use serde::ser::{Serialize, Serializer};

use super::losses::losses;
use super::{Notes, advice, headline, share, span};
use crate::model::alert::{Evidence, Severity, Verdict};
use crate::model::report::{HostReport, Ignored, Report};
use crate::output::eve::stats::Stats;
use crate::output::eve::types::{Each, EvidenceBody, Time};

/// The whole report as one document with a final line end.
pub fn json(report: &Report, notes: &Notes) -> String {
    let uptime = report.span.map(|(first, last)| last.since(first)).unwrap_or_default();
    let document = Document {
        headline: headline(report),
        span: span(report).map(|(first, last)| Span { first: Time(first), last: Time(last) }),
        hosts: report.hosts.iter().map(|host| Host::of(host, report, notes)).collect(),
        mailing_hosts: report.mailing_hosts,
        alerts: report.alerts.iter().map(|alert| AlertCount::of(alert, notes)).collect(),
        ignored: report.ignored.iter().map(Wish::of).collect(),
        lost: Lost(report, notes),
        stats: Stats { uptime, sensor: &report.sensor, inspect: &report.inspect },
    };
    // Plain values into memory: this cannot fail.
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

#[derive(serde::Serialize)]
struct Document<'a> {
    headline: String,
    span: Option<Span>,
    hosts: Vec<Host<'a>>,
    mailing_hosts: u64,
    alerts: Vec<AlertCount<'a>>,
    /// Wishes of the configuration not to be told of something, and how often each was heeded.
    ignored: Vec<Wish<'a>>,
    lost: Lost<'a>,
    stats: Stats<'a>,
}

#[derive(serde::Serialize)]
struct Span {
    first: Time,
    last: Time,
}

#[derive(serde::Serialize)]
struct Host<'a> {
    host: IpAddr,
    other_addresses: &'a [IpAddr],
    verdict: &'static str,
    score: f64,
    role: Option<&'a str>,
    role_kind: &'static str,
    since: Time,
    last_seen: Time,
    messages: u64,
    recipients: u64,
    mail_bytes: u64,
    mx_lookups: u64,
    share_of_link: f64,
    /// Of all bytes read, which is what the table shows.
    share_of_all: f64,
    evidence: Each<'a, Evidence, fn(&'a Evidence) -> EvidenceBody<'a>>,
    timeline: Vec<Step<'a>>,
    remediation: Option<&'a str>,
}

/// What happened when.
#[derive(serde::Serialize)]
struct Step<'a> {
    time: Time,
    text: &'a str,
}

impl<'a> Host<'a> {
    fn of(host: &'a HostReport, report: &Report, notes: &'a Notes) -> Self {
        Self {
            host: host.host,
            other_addresses: &host.other_addresses,
            verdict: host.verdict.name(),
            score: host.score,
            role: host.role.as_deref(),
            role_kind: host.role_kind.name(),
            since: Time(host.since),
            last_seen: Time(host.last_seen),
            messages: host.messages,
            recipients: host.recipients,
            mail_bytes: host.mail_bytes,
            mx_lookups: host.mx_lookups,
            share_of_link: host.share_of_link,
            share_of_all: share(host, report),
            evidence: Each(&host.evidence, EvidenceBody),
            timeline: host.timeline.iter().map(|step| Step { time: Time(step.time), text: &step.text }).collect(),
            remediation: (host.verdict != Verdict::Clean).then(|| advice(host, notes)),
        }
    }
}

#[derive(serde::Serialize)]
struct AlertCount<'a> {
    rule: &'a str,
    severity: &'static str,
    count: u64,
    /// Home hosts they are about, in the order of their addresses.
    hosts: Vec<IpAddr>,
    remediation: Option<&'a str>,
}

impl<'a> AlertCount<'a> {
    fn of((rule, severity, count): &'a (String, Severity, u64), notes: &'a Notes) -> Self {
        let hosts = notes.alerted.get(&(rule.clone(), *severity)).into_iter().flatten().copied().collect();
        let remediation = notes.advice.get(rule).map(String::as_str);
        Self { rule, severity: severity.name(), count: *count, hosts, remediation }
    }
}

#[derive(serde::Serialize)]
struct Wish<'a> {
    detector: &'a str,
    host: String,
    reason: &'a str,
    times: u64,
}

impl<'a> Wish<'a> {
    fn of(ignored: &'a Ignored) -> Self {
        let wish = &ignored.wish;
        Self { detector: &wish.detector, host: wish.host.to_string(), reason: &wish.reason, times: ignored.times }
    }
}

/// Every kind of loss by its key, zeros included.
struct Lost<'a>(&'a Report, &'a Notes);

impl Serialize for Lost<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(losses(self.0, self.1).iter().map(|loss| (loss.key, loss.count)))
    }
}
