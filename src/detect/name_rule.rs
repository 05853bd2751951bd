//! Rules that matched a name a host asked for, as the target of an attack it is about to join.

use crate::model::alert::{Evidence, Severity};
use crate::model::event::EventKind;
use crate::model::limits;
use crate::model::net::{Direction, Side, Transport};
use crate::model::settings::DetectSettings;

use super::content_rule::{matched, rule_alert};
use super::host::Facts;
use super::pace::Pace;
use super::{Bearing, Detector, Scene, Signal, Signals};

/// Alerts once for each host and rule and [`limits::NAME_ALERT_REPEAT`]: a host that is to flood a target asks for it
/// over and over.
///
/// A question is no proof, since a person may ask it too; it is one behaviour among others. A question over UDP of a host
/// that never conversed with a mail server may be forged by anyone: it is low, and weighs nothing. A host that answers names
/// for others asks on their behalf, and is not judged for it.
#[derive(Debug)]
pub struct NameRule;

/// When each rule, by its `sid`, last made an alert, and whether a mild one.
#[derive(Debug, Default)]
pub struct State(Vec<(u32, Told)>);

#[derive(Clone, Copy, Debug, Default)]
struct Told {
    pace: Pace,
    mild: bool,
}

impl Detector for NameRule {
    type State = State;
    const NAME: &'static str = "name-rule";

    fn new(_settings: &DetectSettings) -> Self {
        Self
    }

    fn see(&self, host: &Facts, state: &mut State, scene: &Scene<'_>, signals: &mut Signals) {
        if !matches!(scene.kind, EventKind::Dns(_)) || scene.part == Side::Server {
            return;
        }
        for hit in scene.hits {
            let Some(facts) = scene.rules.describe(hit.rule) else { continue };
            let mild = !host.conversed && !host.role.is_resolver() && scene.flow.transport != Transport::Tcp;
            let told = state.told(facts.sid);
            let repeats = !told.pace.is_due(scene.time, limits::NAME_ALERT_REPEAT);
            if repeats && (mild || !told.mild) {
                signals.again.push(Self::NAME);
                continue;
            }
            told.pace.mark(scene.time);
            told.mild = mild;
            let (bearing, behalf) = if host.role.is_resolver() {
                (Bearing::Note, "; it answers names for others, so one of those may be the host to look for")
            } else {
                (Bearing::Behaviour, "")
            };
            let text = format!("{} asked {} for a name of {}{behalf}", host.addr, scene.peer, facts.id);
            let evidence = Evidence { source: facts.id.into(), text, figures: vec![("matched", matched(hit))] };
            let severity = scene.rules.severity(hit.rule, ASKED_AS);
            let severity = if mild { severity.max(Severity::Low) } else { severity };
            let alert = rule_alert(&facts, severity, Some(host.addr), evidence, scene);
            signals.raised.push(Signal { alert, detector: Self::NAME, bearing, since: scene.time, ground: Self::NAME });
        }
    }

    fn calm(state: &mut State) {
        state.0.clear();
    }
}

impl State {
    fn told(&mut self, sid: u32) -> &mut Told {
        let known = self.0.iter().position(|(known, _)| *known == sid);
        let place = known.unwrap_or_else(|| {
            if self.0.len() >= limits::NAME_RULES {
                self.0.remove(0);
            }
            self.0.push((sid, Told::default()));
            self.0.len() - 1
        });
        &mut self.0[place].1
    }
}

/// A question of a home host is meant for the world, also when a resolver inside is asked to carry it there.
pub const ASKED_AS: Direction = Direction::Outbound;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Timestamp;

    #[test]
    fn remembers_a_bounded_number_of_rules() {
        let mut state = State::default();
        for sid in 0..1_000 {
            state.told(sid).pace.mark(Timestamp::default());
        }
        assert_eq!(state.0.len(), limits::NAME_RULES);
        assert!(!state.told(999).pace.is_due(Timestamp::default(), limits::NAME_ALERT_REPEAT));
    }
}
