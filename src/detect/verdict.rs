//! The case against a host: what was said about it, weighed into a verdict.
//!
//! Infected: it sent what only an infected host sends, or it shows two independent behaviours of at least medium
//! severity. Suspicious: one such behaviour. Low never tips it. A verdict only rises.

use crate::model::alert::{Evidence, Severity, Verdict};
use crate::model::limits;
use crate::model::time::Timestamp;

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
    /// How many alerts.
    pub times: u64,
    /// Of the newest alert of that severity.
    pub evidence: Vec<Evidence>,
}

impl Case {
    /// Takes a signal in; the new verdict when that changed it.
    pub fn note(&mut self, signal: &Signal) -> Option<Verdict> {
        self.note_ground(signal);
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
    pub fn again(&mut self, detector: &str, now: Timestamp) {
        for ground in self.grounds.iter_mut().filter(|ground| ground.detector == detector) {
            ground.last = ground.last.max(now);
        }
    }

    /// What is thought of the host.
    pub fn verdict(&self) -> Verdict {
        self.verdict
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

    fn note_ground(&mut self, signal: &Signal) {
        let alert = &signal.alert;
        let same = |ground: &&mut Ground| ground.rule == alert.rule && ground.bearing == signal.bearing;
        if let Some(known) = self.grounds.iter_mut().find(same) {
            if known.take(signal) {
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
        match stands.len() {
            0 => Verdict::Clean,
            1 => Verdict::Suspicious,
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
    fn take(&mut self, signal: &Signal) -> bool {
        let alert = &signal.alert;
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

/// Places in the timeline kept for what must not be crowded out: at most two changes of verdict, and the first
/// question, flow and message that `incident` puts in.
const KEPT_FREE: usize = 5;

#[cfg(test)]
mod tests {
    use crate::model::alert::Alert;

    use super::*;

    fn signal(rule: &str, detector: &'static str, severity: Severity, bearing: Bearing, second: i64) -> Signal {
        let time = Timestamp::from_parts(second, 0);
        let alert = Alert {
            time,
            rule: rule.into(),
            sid: 1,
            rev: 1,
            title: String::new(),
            category: String::new(),
            severity,
            host: None,
            evidence: vec![],
            remediation: String::new(),
            references: vec![],
        };
        Signal { alert, detector, bearing, since: time, ground: detector }
    }

    #[test]
    fn weighs_as_the_contract_says() {
        use Bearing::{Behaviour, Note, Proof};
        use Severity::{Critical, High, Low, Medium};
        type Said = (&'static str, Severity, Bearing);
        let cases: [(&[Said], Verdict); 9] = [
            (&[], Verdict::Clean),
            (&[("a", Low, Behaviour), ("b", Low, Behaviour), ("c", Low, Behaviour)], Verdict::Clean),
            (&[("a", Critical, Note), ("b", High, Note)], Verdict::Clean),
            (&[("a", Medium, Behaviour)], Verdict::Suspicious),
            (&[("a", High, Behaviour), ("a", Medium, Behaviour)], Verdict::Suspicious),
            (&[("a", High, Behaviour), ("b", Low, Behaviour)], Verdict::Suspicious),
            (&[("a", Low, Behaviour), ("b", Medium, Behaviour), ("a", Medium, Behaviour)], Verdict::Infected),
            (&[("a", High, Behaviour), ("b", Medium, Behaviour)], Verdict::Infected),
            (&[("a", Critical, Proof)], Verdict::Infected),
        ];
        for (signals, expected) in cases {
            let mut case = Case::default();
            for (number, (detector, severity, bearing)) in signals.iter().enumerate() {
                // A rule name of its own for each: two rules of one detector are still one ground.
                case.note(&signal(&format!("rule-{number}"), detector, *severity, *bearing, number as i64));
            }
            assert_eq!(case.verdict(), expected, "{signals:?}");
        }
    }

    #[test]
    fn a_clock_that_stepped_back_does_not_end_a_case_before_it_began() {
        let mut case = Case::default();
        let mut late = signal("volume", "y", Severity::Medium, Bearing::Behaviour, 10);
        late.since = Timestamp::from_parts(20, 0);
        case.note(&late);
        let span = (Timestamp::from_parts(10, 0), Timestamp::from_parts(20, 0));
        assert_eq!(case.span(), Some(span));
    }

    #[test]
    fn keeps_the_strongest_within_its_bound_and_every_change_of_verdict() {
        let mut case = Case::default();
        for number in 0..1_000 {
            let rule = format!("note-{number}");
            assert_eq!(case.note(&signal(&rule, "x", Severity::Critical, Bearing::Note, number)), None);
        }
        let changed = case.note(&signal("volume", "y", Severity::Medium, Bearing::Behaviour, 2_000));
        assert_eq!(changed, Some(Verdict::Suspicious));
        let changed = case.note(&signal("worm", "x", Severity::Critical, Bearing::Proof, 3_000));
        assert_eq!(changed, Some(Verdict::Infected));
        let grounds = case.grounds();
        assert_eq!((grounds.len(), grounds[0].rule.as_str(), grounds[1].rule.as_str()), (64, "worm", "volume"));
        assert_eq!(case.timeline().len(), limits::INCIDENT_ENTRIES - 3);
        assert_eq!(case.timeline().last().unwrap().text, "verdict: infected (worm)");
        let span = (Timestamp::from_parts(2_000, 0), Timestamp::from_parts(3_000, 0));
        assert_eq!(case.span(), Some(span), "notes do not count");
    }
}
