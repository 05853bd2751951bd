//! `self-propagation`: one harmful file goes from one host to many, as it came.
//!
//! H.-A. Kim and B. Karp ("Autograph", USENIX Security 2004) and S. Singh and others ("Automated Worm Fingerprinting",
//! OSDI 2004, "EarlyBird") find worms by content that is prevalent and spreads from many sources to many destinations.
//! In mail the content is a file: an attachment or archive member, by its hash. Where it reached the host before, the
//! message that brought it, and the host that sent it, are named: who infected whom.
//!
//! Only programs, and archives with programs in them, count: people send the same document to many.

use crate::model::alert::{Evidence, Figure, Severity};
use crate::model::event::{EventKind, SmtpEvent};
use crate::model::limits;
use crate::model::mail::FileFact;
use crate::model::net::Side;
use crate::model::settings::{self, DetectSettings};
use crate::model::time::Timestamp;

use super::files::{FileKey, Sighting, harmful};
use super::host::Facts;
use super::pace::{self, Pace, apart};
use super::recent::Recent;
use super::{Bearing, Behaviour, Detector, Scene, Signal, Signals, weight_of};

/// The detector. A mail server passes on what it is given.
#[derive(Debug)]
pub struct SelfPropagation {
    settings: settings::SelfPropagation,
}

/// Nothing for a host that never sent a harmful file.
#[derive(Debug, Default)]
pub struct State(Option<Box<Outbox>>);

#[derive(Debug)]
struct Outbox {
    files: Recent<FileKey, Sent>,
    /// When each severity was last told: medium, high.
    told: [Pace; 2],
}

/// One file that the host sent.
#[derive(Debug)]
struct Sent {
    since: Timestamp,
    messages: u64,
    /// At most [`limits::SENT_RECIPIENTS`].
    recipients: Vec<Box<str>>,
}

impl Detector for SelfPropagation {
    type State = State;
    const NAME: &'static str = "self-propagation";
    const CONTENT_FREE: bool = false;

    fn new(settings: &DetectSettings) -> Self {
        Self { settings: settings.self_propagation.clone() }
    }

    fn see(&self, host: &Facts, state: &mut State, scene: &Scene<'_>, signals: &mut Signals) {
        let EventKind::Smtp(smtp) = scene.kind else { return };
        if scene.part == Side::Server || scene.findings.files.is_empty() {
            return;
        }
        if host.role.is_mail_server() {
            state.0 = None;
            return;
        }
        for (file, key) in harmful(&scene.findings.files).take(limits::SIGHTED_PER_MESSAGE) {
            let brought = scene.sightings.brought(key, host.addr);
            let outbox = state.outbox();
            outbox.send(key, smtp, scene.time, self.settings.window_seconds);
            let sent = outbox.files.get(&key).map_or(0, |sent| sent.messages);
            let given = host.role.taken_recipients().saturating_add(limits::ROLE_SLACK);
            if host.role.has_greeted() && brought.is_some_and(|(_, direct)| direct) && sent <= given {
                // It was given this very file, and passes it on.
                continue;
            }
            self.tell(host, outbox, (file, key), brought, scene, signals);
        }
    }

    fn entries(state: &State) -> usize {
        // A file with its recipients weighs about as much as ten names.
        state.0.as_ref().map_or(0, |outbox| 10 * outbox.files.len() + weight_of::<Outbox>())
    }

    fn calm(state: &mut State) {
        state.0 = None;
    }

    fn shorten(state: &mut State, most: usize) {
        if let Some(outbox) = &mut state.0 {
            outbox.files.keep_youngest(most);
        }
    }
}

impl SelfPropagation {
    fn tell(
        &self,
        host: &Facts,
        outbox: &mut Outbox,
        (file, key): (&FileFact, FileKey),
        brought: Option<(&Sighting, bool)>,
        scene: &Scene<'_>,
        signals: &mut Signals,
    ) {
        let Some(sent) = outbox.files.get(&key) else { return };
        let needed = if brought.is_some() { self.settings.returned } else { self.settings.recipients };
        let needed = u64::from(needed.max(1)).min(limits::SENT_RECIPIENTS as u64);
        if (sent.recipients.len() as u64) < needed || sent.messages < u64::from(self.settings.messages) {
            return;
        }
        let level = usize::from(brought.is_some());
        let severity = if brought.is_some() { Severity::High } else { Severity::Medium };
        let alert = ABOUT.alert(scene.time, severity, host, evidence(file, key, sent, brought));
        let since = sent.since;
        if pace::repeats(&mut outbox.told, level, scene.time) {
            signals.again.push(Self::NAME);
            return;
        }
        let ground = Self::NAME;
        signals.raised.push(Signal { alert, detector: Self::NAME, bearing: Bearing::Behaviour, since, ground });
    }
}

fn evidence(file: &FileFact, key: FileKey, sent: &Sent, brought: Option<(&Sighting, bool)>) -> Evidence {
    let name: String = file.filename.chars().take(limits::EVIDENCE_TEXT).collect();
    let (messages, recipients) = (sent.messages, sent.recipients.len());
    let mut text = format!(
        "the same file \"{name}\" ({}, {}) in {messages} messages to {recipients} recipients",
        file.kind.0,
        key.hex()
    );
    let mut figures = vec![
        ("file", Figure::Text(name)),
        ("hash", Figure::Text(key.hex())),
        ("type", Figure::Text(file.kind.0.into())),
        ("messages", Figure::Count(messages)),
        ("recipients", Figure::Count(recipients as u64)),
    ];
    if let Some((by, direct)) = brought {
        let to = if direct { "the host itself" } else { "the network" };
        text.push_str(&format!(
            "; infected by {}: it reached {to} at {} in a message to {} for <{}>, subject \"{}\"",
            by.client, by.time, by.server, by.recipient, by.subject
        ));
        figures.extend([
            ("infected_by", Figure::Text(by.client.to_string())),
            ("brought_at", Figure::Text(by.time.to_string())),
            ("brought_to", Figure::Text(by.server.to_string())),
            ("brought_directly", Figure::Text(if direct { "yes" } else { "no" }.into())),
            ("brought_for", Figure::Text(by.recipient.clone())),
            ("brought_subject", Figure::Text(by.subject.clone())),
        ]);
    }
    Evidence { source: SelfPropagation::NAME.into(), text, figures }
}

impl State {
    fn outbox(&mut self) -> &mut Outbox {
        self.0.get_or_insert_with(|| {
            Box::new(Outbox { files: Recent::new(limits::SENT_FILES), told: [Pace::default(); 2] })
        })
    }
}

impl Outbox {
    /// Takes a message down; how many there were of this file.
    fn send(&mut self, key: FileKey, smtp: &SmtpEvent, now: Timestamp, window: u64) -> u64 {
        let known = self.files.get_mut(&key).filter(|sent| apart(sent.since, now).as_secs() <= window);
        let mut sent = match known {
            Some(sent) => Sent { recipients: std::mem::take(&mut sent.recipients), ..*sent },
            None => Sent { since: now, messages: 0, recipients: Vec::new() },
        };
        sent.messages = sent.messages.saturating_add(1);
        let to = smtp.envelope.iter().flat_map(|envelope| {
            envelope.rcpt_to.iter().chain(envelope.rcpt_rejected.iter().map(|rejected| &rejected.address))
        });
        for address in to {
            if sent.recipients.len() >= limits::SENT_RECIPIENTS {
                break;
            }
            let address = address.to_ascii_lowercase();
            if !sent.recipients.iter().any(|known| **known == address) {
                sent.recipients.push(address.into());
            }
        }
        let messages = sent.messages;
        self.files.insert(key, sent);
        messages
    }
}

const ABOUT: Behaviour = Behaviour {
    name: SelfPropagation::NAME,
    sid: SID,
    title: "Host sends one program to many recipients",
    remediation: REMEDIATION,
    references: &REFERENCES,
};
const SID: u32 = 9_000_105;
const REMEDIATION: &str = "Take the host off the network and scan it; warn those whom the file was sent to, and look at the \
                           host that is named as the source.";
const REFERENCES: [&str; 2] = [
    "Kim, Karp: Autograph: Toward Automated, Distributed Worm Signature Detection, USENIX Security 2004",
    "Singh, Estan, Varghese, Savage: Automated Worm Fingerprinting, OSDI 2004",
];
