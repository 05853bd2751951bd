//! Rules that matched a message: who sent it, who passed it on, who was only sent it.
//!
//! What a host sends itself stands against it; what a mail server passes on does not stand against the server, and
//! what arrives stands against nobody here. A host that is taken for a mail server, or may be one, may pass on what it was
//! given: what it sends is not held against it before it has sent more worms than what it was brought explains. A server
//! that was declared is never judged for what it passes on.

use std::net::IpAddr;

use crate::model::alert::{Alert, Evidence, Figure, Severity};
use crate::model::event::{EventKind, SmtpEvent};
use crate::model::limits;
use crate::model::mail::RuleHit;
use crate::model::net::{Direction, Side};
use crate::model::rulebook::RuleFacts;
use crate::model::settings::DetectSettings;

use super::files::harmful;
use super::host::Facts;
use super::{Bearing, Detector, Scene, Signal, Signals};

/// Turns each hit into an alert: one for each transaction, since each is a message someone may still open.
#[derive(Debug)]
pub struct ContentRule;

/// Messages with a worm's marks that the host sent.
#[derive(Debug, Default)]
pub struct State {
    worms: u64,
}

impl Detector for ContentRule {
    type State = State;
    const NAME: &'static str = "content-rule";
    const CONTENT_FREE: bool = false;

    fn new(_settings: &DetectSettings) -> Self {
        Self
    }

    fn see(&self, host: &Facts, state: &mut State, scene: &Scene<'_>, signals: &mut Signals) {
        let EventKind::Smtp(smtp) = scene.kind else { return };
        let position = match (scene.part, scene.direction) {
            (Side::Client, _) if host.role.is_declared() => Position::Carrier,
            (Side::Client, _) => {
                let is_worm = |hit: &RuleHit| scene.rules.describe(hit.rule).is_some_and(|rule| rule.marks_infection);
                state.worms = state.worms.saturating_add(u64::from(scene.hits.iter().any(is_worm)));
                position(host, state.worms, scene)
            }
            (Side::Server, Direction::Inbound) => Position::Target,
            // Told from the client's side already.
            (Side::Server, _) => return,
        };
        for hit in scene.hits {
            let Some(facts) = scene.rules.describe(hit.rule) else { continue };
            let bearing = match position {
                Position::Sender if facts.marks_infection => Bearing::Proof,
                _ => Bearing::Note,
            };
            let severity = scene.rules.severity(hit.rule, position.counts_as());
            let evidence = evidence(hit, &facts, position, smtp, scene, host);
            let alert = rule_alert(&facts, severity, Some(host.addr), evidence, scene);
            signals.raised.push(Signal {
                alert,
                detector: Self::NAME,
                bearing,
                since: smtp.started,
                ground: Self::NAME,
            });
        }
    }
}

/// How a client that is not declared stands towards what it sends, of which so many messages had a worm's marks. What it
/// was brought bounds what it can have passed on.
fn position(host: &Facts, worms: u64, scene: &Scene<'_>) -> Position {
    let was_brought = || {
        let mut keys = harmful(&scene.findings.files).map(|(_, key)| key).take(limits::SIGHTED_PER_MESSAGE);
        keys.any(|key| scene.sightings.brought(key, host.addr).is_some_and(|(_, direct)| direct))
    };
    let given = host.role.taken_recipients();
    if host.role.is_mail_server() {
        let explained = worms <= given.saturating_mul(limits::ROLE_SPLIT).saturating_add(limits::ROLE_SLACK);
        return if explained || was_brought() { Position::Carrier } else { Position::Sender };
    }
    let explained = host.role.has_greeted() && worms <= given.saturating_add(limits::ROLE_SLACK);
    if explained { Position::Doubtful } else { Position::Sender }
}

/// Alerts about a message between two strangers: nobody here has a part in it.
pub fn passing<'a>(scene: &'a Scene<'_>) -> impl Iterator<Item = Alert> + 'a {
    scene.hits.iter().filter_map(|hit| {
        let facts = scene.rules.describe(hit.rule)?;
        let severity = scene.rules.severity(hit.rule, Direction::External);
        let text = format!("a message with the marks of {} passed by between hosts that are none of ours", facts.id);
        let figures = vec![("matched", matched(hit))];
        let evidence = Evidence { source: facts.id.into(), text, figures };
        Some(rule_alert(&facts, severity, None, evidence, scene))
    })
}

/// An alert in a rule's own words.
pub(super) fn rule_alert(
    facts: &RuleFacts<'_>,
    severity: Severity,
    host: Option<IpAddr>,
    evidence: Evidence,
    scene: &Scene<'_>,
) -> Alert {
    Alert {
        time: scene.time,
        rule: facts.id.into(),
        sid: facts.sid,
        rev: facts.rev,
        title: facts.title.into(),
        category: facts.category.into(),
        severity,
        host,
        evidence: vec![evidence],
        remediation: facts.remediation.into(),
        references: facts.references.to_vec(),
    }
}

/// What matched, cut to what an analyst needs.
pub(super) fn matched(hit: &RuleHit) -> Figure {
    let cut = |text: &String| text.chars().take(limits::EVIDENCE_TEXT).collect();
    Figure::List(hit.evidence.iter().take(limits::EVIDENCE_VALUES).map(cut).collect())
}

/// Where the host stands towards the message.
#[derive(Clone, Copy)]
enum Position {
    Sender,
    /// It may be a mail server, and this another's message.
    Doubtful,
    Carrier,
    Target,
}

impl Position {
    /// The direction whose severity applies: only what a host sends of its own accord is as bad as outbound, and
    /// sending it within the house is no better.
    const fn counts_as(self) -> Direction {
        match self {
            Self::Sender => Direction::Outbound,
            Self::Doubtful | Self::Carrier | Self::Target => Direction::Inbound,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Sender => "sender",
            Self::Doubtful => "sender-or-carrier",
            Self::Carrier => "carrier",
            Self::Target => "target",
        }
    }
}

fn evidence(
    hit: &RuleHit,
    facts: &RuleFacts<'_>,
    position: Position,
    smtp: &SmtpEvent,
    scene: &Scene<'_>,
    host: &Facts,
) -> Evidence {
    let (id, addr, peer, direction) = (facts.id, host.addr, scene.peer, scene.direction);
    let port = scene.flow.server.port();
    let text = match position {
        Position::Sender if host.role.is_mail_server() => format!(
            "{addr} sent a message with the marks of {id} to {peer} port {port} ({direction}); it is a {}, and has sent more \
             of them than what it was brought can explain",
            host.role.why().unwrap_or_default()
        ),
        Position::Sender => {
            format!(
                "{addr}, which is no mail server, sent a message with the marks of {id} to {peer} port {port} ({direction})"
            )
        }
        Position::Doubtful => format!(
            "{addr} sent a message with the marks of {id} to {peer} port {port} ({direction}); it {}, and is not judged \
             before it has sent more of them than it was brought copies of messages ({} so far)",
            host.role.why().unwrap_or_default(),
            host.role.taken_recipients()
        ),
        Position::Carrier => format!(
            "{addr} relayed a message with the marks of {id} to {peer} port {port} ({direction}); it is a {} and is not \
             judged for it: its logs tell who sent it",
            host.role.why().unwrap_or_default()
        ),
        Position::Target => {
            format!("{peer} sent {addr} port {port} a message with the marks of {id}; nobody here is judged for it")
        }
    };
    let figures = vec![
        ("position", Figure::Text(position.name().into())),
        ("direction", Figure::Text(direction.name().into())),
        ("outcome", Figure::Text(smtp.outcome.name().into())),
        ("recipients", Figure::Count(smtp.envelope.as_ref().map_or(0, |envelope| envelope.rcpt_to.len() as u64))),
        ("matched", matched(hit)),
    ];
    Evidence { source: id.into(), text, figures }
}
