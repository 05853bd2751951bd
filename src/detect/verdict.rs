//! The case against a host: what was said about it, weighed into a verdict and a score.
//!
//! Infected: it sent what only an infected host sends, or it shows two independent behaviours of at least medium
//! severity. Suspicious: one such behaviour. Low never tips it. While an incident is open its verdict only rises.
//!
//! The score says how much there is. Each piece of evidence, one for each rule or detector, has a weight, and the score
//! is their sum; every weight is written beside its evidence. A weight is, when something is said,
//!
//! | what | weight |
//! | --- | --- |
//! | proof: a message that only an infected host sends | 100 |
//! | a behaviour of high or critical severity | 60 |
//! | a behaviour of medium severity | 40 |
//! | a behaviour of low severity | 5 |
//! | what says nothing about the host (mail it was sent, or passed on) | 0 |
//!
//! and halves with every half-life that passes without more of the same ([`settings::Verdict`]), rounded to hundredths.
//! More of the same, but milder, lifts it no higher than its own weight. An incident closes when the weights of what is
//! held against the host (all but low) come to less than `calm-below`; what is said later opens another.

use crate::model::alert::{Evidence, Severity, Verdict};
use crate::model::limits;
use crate::model::settings;
use crate::model::time::Timestamp;

use super::role::DOUBTFUL;
use super::{Bearing, Signal};

pub use crate::model::alert::Moment;

/// All that was said about one host. Bounded by [`limits::INCIDENT_ENTRIES`].
#[derive(Debug, Default)]
pub struct Case {
    verdict: Verdict,
    grounds: Vec<Ground>,
    timeline: Vec<Moment>,
    /// Number of its incident, once there is one.
    pub incident: Option<u64>,
}

/// One reason, for as long as it has held.
#[derive(Debug)]
pub struct Ground {
    pub detector: &'static str,
    pub rule: String,
    pub severity: Severity,
    pub bearing: Bearing,
    /// As [`Signal::ground`], of the newest alert of that severity.
    pub stands_on: &'static str,
    pub first: Timestamp,
    pub last: Timestamp,
    /// Severity of the newest alert.
    newest: Severity,
    /// What it weighed at its last alert, `weighed`.
    weight: f64,
    weighed: Timestamp,
    /// How many alerts.
    pub times: u64,
    /// Of the newest alert of that severity.
    pub evidence: Vec<Evidence>,
}

impl Case {
    /// Takes a signal in; the new verdict when that changed it.
    pub fn note(&mut self, signal: &Signal, settings: &settings::Verdict) -> Option<Verdict> {
        self.note_ground(signal, settings);
        let verdict = self.weigh().max(self.verdict);
        if verdict == self.verdict {
            return None;
        }
        self.verdict = verdict;
        let text = format!("verdict: {} ({})", verdict.name(), signal.alert.rule);
        self.timeline.push(Moment { time: signal.alert.time, text });
        Some(verdict)
    }

    /// A detector saw more of what it told of before.
    pub fn again(&mut self, detector: &str, now: Timestamp, settings: &settings::Verdict) {
        for ground in self.grounds.iter_mut().filter(|ground| ground.detector == detector) {
            ground.last = ground.last.max(now);
            ground.lift(weight(ground.bearing, ground.newest), now, settings);
        }
    }

    /// Takes in the case against another address of the same host. What both have is kept once, at its stronger.
    pub fn join(&mut self, other: Self, now: Timestamp, settings: &settings::Verdict) {
        for ground in other.grounds {
            let same = |known: &&mut Ground| known.rule == ground.rule && known.bearing == ground.bearing;
            if let Some(known) = self.grounds.iter_mut().find(same) {
                known.join(ground, settings);
                continue;
            }
            self.make_room(&ground);
            if self.grounds.len() < limits::INCIDENT_ENTRIES {
                self.grounds.push(ground);
            }
        }
        let room = (limits::INCIDENT_ENTRIES - KEPT_FREE).saturating_sub(self.timeline.len());
        self.timeline.extend(other.timeline.into_iter().take(room));
        self.timeline.sort_by_key(|moment| moment.time);
        self.incident = self.incident.or(other.incident);
        let before = self.verdict.max(other.verdict);
        self.verdict = self.weigh().max(before);
        if self.verdict > before {
            let text = format!("verdict: {} (two addresses are one host)", self.verdict.name());
            self.timeline.push(Moment { time: now, text });
        }
    }

    /// The sum of all weights.
    pub fn score(&self, now: Timestamp, settings: &settings::Verdict) -> f64 {
        hundredths(self.grounds.iter().map(|ground| ground.weight(now, settings)).sum())
    }

    /// Whether what is held against the host weighs too little by now for an incident.
    pub fn is_calm(&self, now: Timestamp, settings: &settings::Verdict) -> bool {
        let held: f64 =
            self.grounds.iter().filter(|ground| ground.weighs()).map(|ground| ground.weight(now, settings)).sum();
        // Nothing that is held against a host may close its own incident.
        held < settings.calm_below.clamp(0.01, MEDIUM / 2.0)
    }

    /// Puts the end into the timeline.
    pub fn close(&mut self, now: Timestamp) {
        self.timeline.push(Moment { time: now, text: "closed: nothing more was seen".into() });
    }

    /// What is thought of the host.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// What it takes, in entries of [`limits::HOST_ENTRY_COST`] bytes: a reason with its figures takes about 1.1 KB,
    /// without them half of that.
    pub fn entries(&self) -> usize {
        let weight = |ground: &Ground| if ground.evidence.iter().all(|piece| piece.figures.is_empty()) { 3 } else { 7 };
        1 + self.grounds.iter().map(weight).sum::<usize>() + self.timeline.len()
    }

    /// Gives up the figures of all evidence for want of room. Its words, which name them, stay.
    pub fn shorten(&mut self) {
        for piece in self.grounds.iter_mut().flat_map(|ground| &mut ground.evidence) {
            piece.figures = Vec::new();
            piece.text.shrink_to_fit();
        }
    }

    /// When the host first and last did what it is judged for; none while it is not.
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let mut span: Option<(Timestamp, Timestamp)> = None;
        for ground in self.grounds.iter().filter(|ground| ground.weighs()) {
            let (first, last) = span.unwrap_or((ground.first, ground.last));
            span = Some((first.min(ground.first), last.max(ground.last)));
        }
        span
    }

    /// All grounds, strongest first.
    pub fn grounds(&self) -> Vec<&Ground> {
        let mut grounds: Vec<&Ground> = self.grounds.iter().collect();
        grounds.sort_by(|a, b| strength(a).cmp(&strength(b)));
        grounds
    }

    /// First hits and changes of verdict, in the order they came.
    pub fn timeline(&self) -> &[Moment] {
        &self.timeline
    }

    fn note_ground(&mut self, signal: &Signal, settings: &settings::Verdict) {
        let alert = &signal.alert;
        let same = |ground: &&mut Ground| ground.rule == alert.rule && ground.bearing == signal.bearing;
        if let Some(known) = self.grounds.iter_mut().find(same) {
            if known.take(signal, settings) {
                self.tell_step(signal);
            }
            return;
        }
        let ground = Ground {
            detector: signal.detector,
            rule: alert.rule.clone(),
            severity: alert.severity,
            bearing: signal.bearing,
            stands_on: signal.ground,
            // A clock that stepped back must not end a case before it began.
            first: signal.since.min(alert.time),
            last: signal.since.max(alert.time),
            newest: alert.severity,
            weight: weight(signal.bearing, alert.severity),
            weighed: alert.time,
            times: 1,
            evidence: alert.evidence.clone(),
        };
        self.make_room(&ground);
        if self.grounds.len() < limits::INCIDENT_ENTRIES {
            self.grounds.push(ground);
        }
        self.tell_step(signal);
    }

    /// Lets the weakest ground go where a stronger one needs its place.
    fn make_room(&mut self, new: &Ground) {
        if self.grounds.len() < limits::INCIDENT_ENTRIES {
            return;
        }
        let weakest =
            (0..self.grounds.len()).max_by(|a, b| strength(&self.grounds[*a]).cmp(&strength(&self.grounds[*b])));
        if let Some(weakest) = weakest.filter(|at| strength(new) < strength(&self.grounds[*at])) {
            self.grounds.remove(weakest);
        }
    }

    fn tell_step(&mut self, signal: &Signal) {
        if self.timeline.len() >= limits::INCIDENT_ENTRIES - KEPT_FREE {
            return;
        }
        let (rule, severity) = (&signal.alert.rule, signal.alert.severity);
        let note = if signal.bearing == Bearing::Note { ", not held against it" } else { "" };
        self.timeline.push(Moment { time: signal.alert.time, text: format!("first {rule} at {severity}{note}") });
    }

    fn weigh(&self) -> Verdict {
        if self.grounds.iter().any(|ground| ground.bearing == Bearing::Proof) {
            return Verdict::Infected;
        }
        let weighing = self.grounds.iter().filter(|ground| ground.weighs());
        let mut stands: Vec<&str> = weighing.map(|ground| ground.stands_on).collect();
        stands.sort_unstable();
        stands.dedup();
        // What is doubtful by itself makes nothing else more certain.
        let certain = stands.iter().filter(|ground| **ground != DOUBTFUL).count();
        match certain {
            0 if stands.is_empty() => Verdict::Clean,
            0 | 1 => Verdict::Suspicious,
            _ => Verdict::Infected,
        }
    }

    #[cfg(test)]
    pub(super) fn with_verdict(verdict: Verdict) -> Self {
        Self { verdict, ..Self::default() }
    }
}

impl Ground {
    /// Takes one more alert in; true when it is worse than those before.
    fn take(&mut self, signal: &Signal, settings: &settings::Verdict) -> bool {
        let alert = &signal.alert;
        self.newest = alert.severity;
        self.lift(weight(self.bearing, alert.severity), alert.time, settings);
        let is_worse = alert.severity < self.severity;
        let first = signal.since.min(alert.time);
        // What was too mild to be held against the host is not what it is judged for.
        self.first = if is_worse && !self.weighs() { first } else { self.first.min(first) };
        self.last = self.last.max(signal.since).max(alert.time);
        self.times = self.times.saturating_add(1);
        if alert.severity <= self.severity {
            self.severity = alert.severity;
            self.stands_on = signal.ground;
            self.evidence.clone_from(&alert.evidence);
        }
        is_worse
    }

    /// Takes in the same ground from another address of the same host.
    fn join(&mut self, other: Self, settings: &settings::Verdict) {
        let now = self.weighed.max(other.weighed);
        self.lift(other.weight(now, settings), now, settings);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.times = self.times.saturating_add(other.times);
        if other.severity < self.severity {
            (self.severity, self.stands_on, self.evidence) = (other.severity, other.stands_on, other.evidence);
        }
    }

    /// What it weighs by now.
    pub fn weight(&self, now: Timestamp, settings: &settings::Verdict) -> f64 {
        let half_lives = now.since(self.weighed).as_secs_f64() / (settings.half_life_seconds.max(1) as f64);
        hundredths(self.weight * 0.5_f64.powf(half_lives))
    }

    /// Makes it weigh at least so much from now on.
    fn lift(&mut self, weight: f64, now: Timestamp, settings: &settings::Verdict) {
        self.weight = self.weight(now, settings).max(weight);
        // A clock that was ahead by far and came back must not keep it from fading.
        let is_ahead = self.weighed.since(now) >= limits::CLOCK_LEAP;
        self.weighed = if is_ahead { now } else { self.weighed.max(now) };
    }

    /// Whether it is held against the host. Low is what an admin's test looks like.
    fn weighs(&self) -> bool {
        match self.bearing {
            Bearing::Proof => true,
            Bearing::Behaviour => self.severity.reaches(Severity::Medium),
            Bearing::Note => false,
        }
    }
}

/// Orders grounds from strongest to weakest; the rule's name makes the order one and only.
fn strength(ground: &Ground) -> (u8, Severity, Timestamp, &str) {
    (ground.bearing as u8, ground.severity, ground.first, &ground.rule)
}

/// The weight of something said just now.
fn weight(bearing: Bearing, severity: Severity) -> f64 {
    match (bearing, severity) {
        (Bearing::Proof, _) => PROOF,
        (Bearing::Note, _) | (_, Severity::Info) => 0.0,
        (_, Severity::Critical | Severity::High) => HIGH,
        (_, Severity::Medium) => MEDIUM,
        (_, Severity::Low) => LOW,
    }
}

/// Rounded as it is shown, so that what is shown adds up.
fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

const PROOF: f64 = 100.0;
const HIGH: f64 = 60.0;
const MEDIUM: f64 = 40.0;
const LOW: f64 = 5.0;

/// Places in the timeline kept for what must not be crowded out: at most two changes of verdict, the end, and the first
/// question, flow and message that `incident` puts in.
const KEPT_FREE: usize = 6;

#[cfg(test)]
mod tests;
