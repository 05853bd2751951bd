//! A host's case put into words: `incident` lines and the report.

use crate::model::alert::{CONTENT_FREE, Evidence, Figure, Incident, Moment, Verdict, WEIGHT};
use crate::model::limits;
use crate::model::report::HostReport;
use crate::model::settings;
use crate::model::time::Timestamp;

use super::Detectors;
use super::host::Host;

/// What is needed to tell of a case, as things stand.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub detectors: &'a Detectors,
    pub settings: &'a settings::Verdict,
    pub now: Timestamp,
    /// As for [`super::host::Facts::share_of_link`].
    pub captured: u64,
}

/// The incident of a host that has one.
pub fn incident(host: &Host, view: View<'_>, closed: bool) -> Option<Incident> {
    let case = host.case.as_ref()?;
    let View { settings, now, captured, .. } = view;
    let (facts, tally) = (&host.facts, &host.facts.tally);
    let (first_seen, last_seen) = case.span().unwrap_or((now, now));
    Some(Incident {
        time: now,
        id: case.incident?,
        host: facts.addr,
        other_addresses: facts.addresses().skip(1).collect(),
        verdict: case.verdict(),
        score: case.score(now, settings),
        role: facts.role.why(),
        first_seen,
        last_seen,
        messages: tally.messages,
        recipients: tally.recipients,
        mail_bytes: tally.bytes,
        mx_lookups: tally.mx_lookups,
        share_of_link: facts.share_of_link(captured),
        evidence: evidence(host, view),
        timeline: timeline(host),
        closed,
    })
}

/// A host's line in the report: as it stands, or with `worst` as it was when its case stood worst.
pub fn host_report(host: &Host, view: View<'_>, worst: bool) -> HostReport {
    let (facts, tally) = (&host.facts, &host.facts.tally);
    let judged = host.case.as_ref().filter(|case| case.verdict() != Verdict::Clean).and_then(|case| case.span());
    let since = judged.map(|(first, _)| first).or(facts.first_mail.as_ref().map(|(first, _)| *first));
    let report = HostReport {
        host: facts.addr,
        other_addresses: facts.addresses().skip(1).collect(),
        verdict: host.verdict(),
        score: host.case.as_ref().map_or(0.0, |case| case.score(view.now, view.settings)),
        role: facts.role.why(),
        role_kind: facts.role.kind(),
        since: since.or_else(|| noted(host).min()).unwrap_or(facts.last_seen),
        last_seen: noted(host).max().map_or(facts.last_seen, |noted| noted.max(facts.last_seen)),
        messages: tally.messages,
        recipients: tally.recipients,
        mail_bytes: tally.bytes,
        mx_lookups: tally.mx_lookups,
        share_of_link: facts.share_of_link(view.captured),
        evidence: evidence(host, view),
        timeline: timeline(host),
    };
    match host.past.as_deref().filter(|past| worst && past.verdict > report.verdict) {
        Some(past) => HostReport {
            verdict: past.verdict,
            score: past.score,
            since: past.first_seen,
            evidence: past.evidence.clone(),
            timeline: past.timeline.clone(),
            ..report
        },
        None => report,
    }
}

/// When things were first and last said about a host, whatever they weigh.
fn noted(host: &Host) -> impl Iterator<Item = Timestamp> + '_ {
    let grounds = host.case.as_ref().map(|case| case.grounds()).unwrap_or_default();
    grounds.into_iter().flat_map(|ground| [ground.first, ground.last])
}

/// Evidence, strongest first: as it stands now where the detector can tell, else as of the last alert. Each with what it
/// weighs, and whether it needs a message's content.
fn evidence(host: &Host, view: View<'_>) -> Vec<Evidence> {
    let grounds = host.case.as_ref().map(|case| case.grounds()).unwrap_or_default();
    let mut all = Vec::new();
    for ground in grounds {
        let mut weight = ground.weight(view.now, view.settings);
        let content_free = if Detectors::content_free(ground.detector) { "yes" } else { "no" };
        let mut put = |mut evidence: Evidence| {
            // Of several pieces from one ground the first carries its weight.
            evidence.figures.push((WEIGHT, Figure::Real(std::mem::take(&mut weight))));
            evidence.figures.push((CONTENT_FREE, Figure::Text(content_free.into())));
            all.push(evidence);
        };
        if let Some(current) = view.detectors.account(&host.states, ground.detector) {
            put(current);
            continue;
        }
        for evidence in &ground.evidence {
            let mut evidence = evidence.clone();
            evidence.figures.push(("alerts", Figure::Count(ground.times)));
            if ground.times > 1 {
                evidence.text = format!("{}; {} alerts since {}", evidence.text, ground.times, ground.first);
            }
            put(evidence);
        }
    }
    all.truncate(limits::INCIDENT_ENTRIES);
    all
}

/// First steps and what was said, in order of time.
fn timeline(host: &Host) -> Vec<Moment> {
    let facts = &host.facts;
    let mut timeline = Vec::new();
    if let Some((time, name)) = &facts.first_mx {
        timeline.push(Moment { time: *time, text: format!("first MX lookup ({name})") });
    }
    if let Some((time, server)) = &facts.first_mail {
        timeline.push(Moment { time: *time, text: format!("first mail flow (to {server})") });
    }
    if let Some(time) = facts.first_message {
        timeline.push(Moment { time, text: "first message".into() });
    }
    timeline.extend(host.case.iter().flat_map(|case| case.timeline()).cloned());
    timeline.sort_by_key(|moment| moment.time);
    timeline.truncate(limits::INCIDENT_ENTRIES);
    timeline
}
