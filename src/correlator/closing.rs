//! The end of incidents: hosts that have calmed, and hosts that the table gave up.

use super::{Correlator, Said, view};
use crate::detect::incident::incident;
use crate::detect::pace::apart;
use crate::model::alert::Verdict;
use crate::model::limits;
use crate::model::time::Timestamp;

impl Correlator {
    /// Tells the end of the cases of hosts the table gave up.
    pub(super) fn close_gone(&mut self, out: &mut Vec<Said>) {
        for host in self.gone.drain(..) {
            let view = view(&self.detectors, &self.settings, self.now, &self.link);
            if let Some(incident) = incident(&host, view, true) {
                self.open.remove(&incident.id);
                out.push(Said::Incident(Box::new(incident)));
            }
        }
    }

    /// The time by which incidents may close. A leap has to be borne out by another event, of its time or one further on:
    /// one packet with a damaged time must not end everything that is under way.
    pub(super) fn believed(&mut self) -> Option<Timestamp> {
        let leaps = |since, now| apart(since, now) >= limits::CLOCK_LEAP;
        if !leaps(self.swept, self.now) {
            self.leapt = None;
            return Some(self.now);
        }
        match self.leapt {
            Some(first) if first == self.now => None,
            Some(first) if !leaps(first, self.now) => Some(self.now),
            before => {
                self.leapt = Some(self.now);
                before.filter(|first| *first < self.now)
            }
        }
    }

    /// Closes the incidents of hosts that have calmed, in the order of their numbers. Looks every
    /// [`limits::CALM_SWEEP`].
    pub(super) fn close_calm(&mut self, now: Timestamp, out: &mut Vec<Said>) {
        if apart(now, self.swept) < limits::CALM_SWEEP {
            return;
        }
        self.swept = now;
        let weighing = &self.settings.detect.verdict;
        let mut calmed = Vec::new();
        for (&id, &addr) in &self.open {
            let Some(place) = self.hosts.find(addr) else { continue };
            let Some(host) = self.hosts.host_mut(place) else { continue };
            if !host.case.as_ref().is_some_and(|case| case.is_calm(now, weighing)) {
                continue;
            }
            if let Some(case) = &mut host.case {
                case.close(now);
            }
            let last = incident(host, view(&self.detectors, &self.settings, now, &self.link), true);
            host.case = None;
            host.states.calm();
            host.facts.role.judged(Verdict::Clean);
            host.facts.role.settle(&self.settings.detect.roles);
            calmed.push((id, place));
            let Some(last) = last else { continue };
            out.push(Said::Incident(Box::new(last.clone())));
            if host.past.as_ref().is_none_or(|past| past.verdict <= last.verdict) {
                host.past = Some(Box::new(last));
            }
        }
        for (id, place) in calmed {
            self.open.remove(&id);
            self.hosts.settle(place, &mut self.gone);
        }
        self.close_gone(out);
    }
}
