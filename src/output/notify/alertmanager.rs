//! Incidents to Alertmanager, by its API v2 (`POST /api/v2/alerts`, in its `openapi.yaml`).
//!
//! Alertmanager forgets an alert at its `endsAt`. So an open incident is posted again every [`limits::ALERT_RESEND`]
//! with an end a few times as far ahead: when the sensor dies, its pages end by themselves; when it is merely started
//! anew, they go on without a gap. An incident that closes is posted once more with its end in the past.
//!
//! [`Pager`] is the whole of it but for the network: it knows what is open, what is due, and when to try again. It keeps
//! states, not messages: whatever the other side does, it holds one alert a host, within a bound.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::NotifyStats;
use crate::model::alert::{Incident, Verdict};
use crate::model::limits;
use crate::model::time::Timestamp;

/// What Alertmanager is to know, and when it is to be told.
#[derive(Debug)]
pub struct Pager {
    /// The label `sensor` of every alert.
    sensor: String,
    pages: BTreeMap<Key, Page>,
    /// No post before this moment, after one that failed.
    wait_until: Option<Instant>,
    /// How long to wait after the next failure.
    backoff: Duration,
    stats: NotifyStats,
}

/// A host is paged for under one name at a time.
type Key = (IpAddr, Verdict);

#[derive(Debug)]
struct Page {
    incident: Incident,
    resolved: bool,
    /// When it is to be posted (again).
    due: Instant,
}

/// Alerts to post, and whose they are.
#[derive(Debug)]
pub struct Post {
    /// The request's body, JSON.
    pub body: Vec<u8>,
    /// Each with whether it was resolved when the post was made.
    keys: Vec<(Key, bool)>,
}

/// Carries posts out. Blocks for as long as [`limits::ALERT_POST`].
#[derive(Debug)]
pub struct Poster {
    agent: ureq::Agent,
    url: String,
    failing: bool,
}

impl Poster {
    /// To the Alertmanager at this base address, as `http://127.0.0.1:9093`.
    pub fn new(base: &str) -> Self {
        // What is configured is where it goes: no proxy of the environment, no redirect to elsewhere.
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(limits::ALERT_POST))
            .proxy(None)
            .max_redirects(0)
            .http_status_as_error(false)
            .user_agent(concat!("mailsnare/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Self { agent, url: format!("{base}/api/v2/alerts"), failing: false }
    }

    /// Posts, and tells the log when it begins or ceases to fail.
    pub fn post(&mut self, body: &[u8]) -> Answer {
        let response = self.agent.post(&self.url).content_type("application/json").send(body);
        let (answer, why) = match response.map(|response| response.status().as_u16()) {
            Ok(200..300) => (Answer::Taken, String::new()),
            Ok(status @ (429 | 500..)) => (Answer::Failed, format!("it answered {status}")),
            Ok(status) => (Answer::Refused, format!("it answered {status}")),
            Err(error) => (Answer::Failed, error.to_string()),
        };
        let failing = answer != Answer::Taken;
        match (self.failing, failing) {
            (false, true) => tracing::error!("Alertmanager at {} is not told: {why}; it is tried again", self.url),
            (true, false) => tracing::info!("Alertmanager at {} is told again", self.url),
            _ => {}
        }
        self.failing = failing;
        answer
    }
}

/// What became of a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Taken,
    /// The other side looked at it and will not have it (4xx): trying again soon would change nothing.
    Refused,
    /// Nobody there, too slow, or in trouble (5xx, 429).
    Failed,
}

impl Pager {
    /// A pager that knows of nothing; `sensor` names this sensor in every alert.
    pub fn new(sensor: String) -> Self {
        Self {
            sensor,
            pages: BTreeMap::new(),
            wait_until: None,
            backoff: limits::ALERT_RETRY_FIRST,
            stats: NotifyStats::default(),
        }
    }

    /// Takes in what is now thought of a host.
    pub fn take(&mut self, incident: Incident, now: Instant) {
        let host = incident.host;
        // An address that was taken for a host of its own before: what was told of it goes on under this one.
        for verdict in [Verdict::Suspicious, Verdict::Infected] {
            for other in &incident.other_addresses {
                if let Some(page) = self.pages.get_mut(&(*other, verdict)).filter(|page| !page.resolved) {
                    (page.resolved, page.due) = (true, now);
                }
            }
        }
        let open = (!incident.closed && incident.verdict != Verdict::Clean).then_some(incident.verdict);
        for verdict in [Verdict::Suspicious, Verdict::Infected] {
            if Some(verdict) == open {
                continue;
            }
            // What is not thought any more is over.
            if let Some(page) = self.pages.get_mut(&(host, verdict)).filter(|page| !page.resolved) {
                if incident.verdict == verdict {
                    page.incident = incident.clone();
                }
                (page.resolved, page.due) = (true, now);
            }
        }
        let Some(verdict) = open else { return };
        if !self.pages.contains_key(&(host, verdict)) && !self.make_room(verdict) {
            self.stats.dropped += 1;
            return;
        }
        self.pages.insert((host, verdict), Page { incident, resolved: false, due: now });
    }

    /// What is to be posted now, resolutions first; none when nothing is due.
    pub fn post(&self, now: Instant, wall: Timestamp) -> Option<Post> {
        if self.wait_until.is_some_and(|until| now < until) {
            return None;
        }
        let mut due: Vec<_> = self.pages.iter().filter(|(_, page)| page.due <= now).collect();
        due.sort_by_key(|(_, page)| (!page.resolved, page.due));
        due.truncate(limits::ALERTS_IN_POST);
        if due.is_empty() {
            return None;
        }
        let alerts: Vec<_> = due.iter().map(|(key, page)| self.alert(**key, page, wall)).collect();
        // Plain values into memory: this cannot fail.
        let body = serde_json::to_vec(&alerts).unwrap_or_default();
        Some(Post { body, keys: due.into_iter().map(|(key, page)| (*key, page.resolved)).collect() })
    }

    /// Notes what became of a post. Between the two calls nothing else must have been called but [`Pager::take`].
    pub fn answered(&mut self, post: &Post, answer: Answer, now: Instant) {
        let alerts = post.keys.len() as u64;
        if answer == Answer::Failed {
            self.stats.failed += 1;
            self.wait_until = Some(now + self.backoff);
            self.backoff = (self.backoff * 2).min(limits::ALERT_RETRY_MOST);
            self.give_up_stale(now);
            return;
        }
        (self.wait_until, self.backoff) = (None, limits::ALERT_RETRY_FIRST);
        match answer {
            Answer::Taken => self.stats.sent += alerts,
            _ => {
                self.stats.failed += 1;
                self.stats.dropped += alerts;
            }
        }
        for (key, resolved) in &post.keys {
            let Some(page) = self.pages.get_mut(key) else { continue };
            if *resolved && page.resolved {
                self.pages.remove(key);
            } else if *resolved == page.resolved {
                page.due = now + limits::ALERT_RESEND;
            }
        }
    }

    /// When [`Pager::post`] may next have something, if nothing is taken in before.
    pub fn next(&self) -> Option<Instant> {
        let due = self.pages.values().map(|page| page.due).min()?;
        Some(self.wait_until.map_or(due, |until| until.max(due)))
    }

    /// Whether something is due that was never told: the end of a run may wait for it.
    pub fn is_behind(&self, now: Instant) -> bool {
        self.pages.values().any(|page| page.due <= now)
    }

    /// What became of alerts so far.
    pub fn stats(&self) -> NotifyStats {
        self.stats
    }

    /// Alerts waiting to be posted.
    pub fn waiting(&self, now: Instant) -> usize {
        self.pages.values().filter(|page| page.due <= now).count()
    }

    /// Makes room for one more, of one host worse than another's page; false where there is none.
    fn make_room(&mut self, verdict: Verdict) -> bool {
        if self.pages.len() < limits::ALERTMANAGER_PAGES {
            return true;
        }
        let rank = |page: &Page| (!page.resolved, page.incident.verdict);
        let least = self.pages.iter().min_by_key(|(_, page)| rank(page));
        match least.map(|(key, page)| (*key, rank(page))) {
            Some((key, least)) if least < (true, verdict) => {
                self.pages.remove(&key);
                self.stats.dropped += 1;
                true
            }
            _ => false,
        }
    }

    /// A resolution that could not be told for so long is known by then: the alert has met its end.
    fn give_up_stale(&mut self, now: Instant) {
        let before = self.pages.len();
        self.pages.retain(|_, page| !(page.resolved && now.saturating_duration_since(page.due) > limits::ALERT_LIFE));
        self.stats.dropped += (before - self.pages.len()) as u64;
    }

    fn alert(&self, (host, verdict): Key, page: &Page, wall: Timestamp) -> AlertBody {
        let incident = &page.incident;
        let (name, severity, title) = match verdict {
            Verdict::Infected => ("MailsnareHostInfected", "critical", "is infected and mails itself"),
            _ => ("MailsnareHostSuspicious", "warning", "is under suspicion of mailing itself"),
        };
        let starts = incident.first_seen.min(wall);
        let ends = if page.resolved { wall } else { wall.plus(limits::ALERT_LIFE) };
        let sources: Vec<_> = unique(incident.evidence.iter().map(|evidence| evidence.source.as_str()));
        let evidence: Vec<_> =
            incident.evidence.iter().take(EVIDENCE).map(|said| format!("{}: {}", said.source, said.text)).collect();
        AlertBody {
            labels: BTreeMap::from([
                ("alertname", name.to_owned()),
                ("host", host.to_string()),
                ("sensor", self.sensor.clone()),
                ("severity", severity.to_owned()),
                ("verdict", verdict.name().to_owned()),
            ]),
            annotations: BTreeMap::from([
                ("summary", format!("{host} {title} (since {}, seen by {})", incident.first_seen, self.sensor)),
                (
                    "description",
                    format!(
                        "Until {}: messages {}, recipients {}, bytes of mail {}, MX lookups {}; found by {}.",
                        incident.time,
                        incident.messages,
                        incident.recipients,
                        incident.mail_bytes,
                        incident.mx_lookups,
                        sources.join(", ")
                    ),
                ),
                ("evidence", cut(&evidence.join("\n"))),
                ("since", incident.first_seen.to_string()),
                ("query", format!("mailsnare_host_evidence_weight{{host=\"{host}\"}}")),
                ("runbook", format!("docs/runbook.md#{}", name.to_lowercase())),
            ]),
            starts_at: Rfc3339(starts),
            ends_at: Rfc3339(ends.max(starts)),
        }
    }
}

/// A `postableAlert`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AlertBody {
    labels: BTreeMap<&'static str, String>,
    annotations: BTreeMap<&'static str, String>,
    starts_at: Rfc3339,
    ends_at: Rfc3339,
}

/// A time as RFC 3339 writes it.
#[derive(Debug)]
struct Rfc3339(Timestamp);

impl Serialize for Rfc3339 {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&super::syslog::rfc3339(self.0))
    }
}

fn unique<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found = Vec::new();
    for name in names {
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

/// An annotation goes into mails and chats: as much as is read there.
fn cut(text: &str) -> String {
    match text.char_indices().nth(limits::ANNOTATION_CHARS) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Pieces of evidence told in an alert; EVE has all.
const EVIDENCE: usize = 5;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use serde_json::Value;

    use super::*;
    use crate::model::alert::Evidence;

    #[test]
    fn an_open_incident_is_told_again_and_a_closed_one_once() {
        let (mut pager, start) = (Pager::new("tap-1".into()), Instant::now());
        pager.take(incident(1, Verdict::Infected), start);
        let post = pager.post(start, WALL).unwrap();
        let [alert] = &alerts(&post)[..] else { panic!("one alert") };
        assert_eq!(alert["labels"]["alertname"], "MailsnareHostInfected");
        assert_eq!((&alert["labels"]["host"], &alert["labels"]["sensor"]), (&"10.0.0.1".into(), &"tap-1".into()));
        assert_eq!(alert["startsAt"], "2003-10-31T12:00:00.000000Z");
        assert_eq!(alert["endsAt"], "2003-10-31T12:06:40.000000Z", "five minutes after WALL");
        assert!(alert["annotations"]["evidence"].as_str().unwrap().contains("direct-to-mx: why"));
        pager.answered(&post, Answer::Taken, start);
        assert!(pager.post(start, WALL).is_none(), "told");
        let again = start + limits::ALERT_RESEND;
        assert_eq!(pager.next(), Some(again));
        let post = pager.post(again, WALL).unwrap();
        pager.answered(&post, Answer::Taken, again);
        pager.take(Incident { closed: true, ..incident(1, Verdict::Infected) }, again);
        let post = pager.post(again, WALL).unwrap();
        assert_eq!(alerts(&post)[0]["endsAt"], "2003-10-31T12:01:40.000000Z");
        pager.answered(&post, Answer::Taken, again);
        assert_eq!((pager.next(), pager.stats().sent), (None, 3));
    }

    #[test]
    fn a_host_that_turns_out_infected_is_no_longer_merely_suspicious() {
        let (mut pager, now) = (Pager::new("a".into()), Instant::now());
        pager.take(incident(1, Verdict::Suspicious), now);
        pager.answered(&pager.post(now, WALL).unwrap(), Answer::Taken, now);
        pager.take(incident(1, Verdict::Infected), now);
        let told = alerts(&pager.post(now, WALL).unwrap());
        let ends: Vec<_> =
            told.iter().map(|alert| (alert["labels"]["verdict"].clone(), alert["endsAt"].clone())).collect();
        assert_eq!(ends[0], ("suspicious".into(), "2003-10-31T12:01:40.000000Z".into()));
        assert_eq!(ends[1], ("infected".into(), "2003-10-31T12:06:40.000000Z".into()));
    }

    /// Two addresses turned out to be one host, which goes on under the other of them.
    #[test]
    fn what_was_told_of_another_address_of_the_host_ends() {
        let (mut pager, now) = (Pager::new("a".into()), Instant::now());
        pager.take(incident(1, Verdict::Infected), now);
        pager.answered(&pager.post(now, WALL).unwrap(), Answer::Taken, now);
        let other_addresses = vec![incident(1, Verdict::Infected).host];
        pager.take(Incident { other_addresses, ..incident(2, Verdict::Infected) }, now);
        let told = alerts(&pager.post(now, WALL).unwrap());
        let ends: Vec<_> =
            told.iter().map(|alert| (alert["labels"]["host"].clone(), alert["endsAt"].clone())).collect();
        assert_eq!(ends[0], ("10.0.0.1".into(), "2003-10-31T12:01:40.000000Z".into()));
        assert_eq!(ends[1], ("10.0.0.2".into(), "2003-10-31T12:06:40.000000Z".into()));
    }

    #[test]
    fn a_failure_is_tried_again_ever_more_slowly_with_the_newest_state() {
        let (mut pager, mut now) = (Pager::new("a".into()), Instant::now());
        pager.take(incident(1, Verdict::Suspicious), now);
        let mut waits = Vec::new();
        for _ in 0..9 {
            let post = pager.post(now, WALL).unwrap();
            pager.answered(&post, Answer::Failed, now);
            assert!(pager.post(now, WALL).is_none());
            let next = pager.next().unwrap();
            waits.push((next - now).as_secs());
            now = next;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        pager.take(Incident { messages: 77, ..incident(1, Verdict::Suspicious) }, now);
        let post = pager.post(now, WALL).unwrap();
        assert!(alerts(&post)[0]["annotations"]["description"].as_str().unwrap().contains("messages 77,"));
        pager.answered(&post, Answer::Taken, now);
        assert_eq!(pager.stats(), NotifyStats { sent: 1, failed: 9, dropped: 0 });
    }

    #[test]
    fn what_is_refused_does_not_hold_up_the_rest() {
        let (mut pager, now) = (Pager::new("a".into()), Instant::now());
        pager.take(incident(1, Verdict::Infected), now);
        let post = pager.post(now, WALL).unwrap();
        pager.answered(&post, Answer::Refused, now);
        assert_eq!(pager.next(), Some(now + limits::ALERT_RESEND));
        pager.take(incident(2, Verdict::Infected), now);
        assert_eq!(alerts(&pager.post(now, WALL).unwrap()).len(), 1);
        assert_eq!(pager.stats(), NotifyStats { sent: 0, failed: 1, dropped: 1 });
    }

    #[test]
    fn news_that_come_while_a_post_is_under_way_are_not_lost() {
        let (mut pager, now) = (Pager::new("a".into()), Instant::now());
        pager.take(incident(1, Verdict::Infected), now);
        let post = pager.post(now, WALL).unwrap();
        pager.take(Incident { closed: true, ..incident(1, Verdict::Infected) }, now);
        pager.answered(&post, Answer::Taken, now);
        assert_eq!(alerts(&pager.post(now, WALL).unwrap())[0]["endsAt"], "2003-10-31T12:01:40.000000Z");
    }

    #[test]
    fn an_outbreak_beyond_the_bound_costs_suspicions_first() {
        let (mut pager, now) = (Pager::new("a".into()), Instant::now());
        let all = limits::ALERTMANAGER_PAGES as u32;
        for number in 0..all + 10 {
            pager.take(incident(number, Verdict::Suspicious), now);
        }
        assert_eq!((pager.pages.len(), pager.stats().dropped), (all as usize, 10));
        pager.take(incident(900_000, Verdict::Infected), now);
        assert!(pager.pages.keys().any(|(_, verdict)| *verdict == Verdict::Infected));
        assert_eq!((pager.pages.len(), pager.stats().dropped), (all as usize, 11));
        assert!(alerts(&pager.post(now, WALL).unwrap()).len() <= limits::ALERTS_IN_POST);
    }

    #[test]
    fn a_resolution_nobody_takes_is_given_up_once_the_alert_has_ended_anyway() {
        let (mut pager, now) = (Pager::new("a".into()), Instant::now());
        pager.take(incident(1, Verdict::Infected), now);
        pager.answered(&pager.post(now, WALL).unwrap(), Answer::Taken, now);
        pager.take(Incident { closed: true, ..incident(1, Verdict::Infected) }, now);
        let late = now + limits::ALERT_LIFE + Duration::from_secs(1);
        let post = pager.post(late, WALL).unwrap();
        pager.answered(&post, Answer::Failed, late);
        assert_eq!((pager.next(), pager.stats().dropped), (None, 1));
    }

    fn alerts(post: &Post) -> Vec<Value> {
        serde_json::from_slice(&post.body).unwrap()
    }

    fn incident(host: u32, verdict: Verdict) -> Incident {
        let why = Evidence { source: "direct-to-mx".into(), text: "why".into(), figures: Vec::new() };
        Incident {
            time: Timestamp::default(),
            id: 1,
            host: Ipv4Addr::from((10 << 24) + host).into(),
            other_addresses: Vec::new(),
            verdict,
            score: 1.0,
            role: None,
            first_seen: Timestamp::from_parts(1_067_601_600, 0),
            last_seen: Timestamp::default(),
            messages: 1,
            recipients: 1,
            mail_bytes: 1,
            mx_lookups: 1,
            share_of_link: 0.0,
            evidence: vec![why],
            timeline: Vec::new(),
            closed: false,
        }
    }

    /// A hundred seconds after the incident began.
    const WALL: Timestamp = Timestamp::from_nanos(1_067_601_700_000_000_000);
}
