//! The second stage: a message in, findings out. Pure and without state, so any number of threads can run it.

use crate::mail;
use crate::mail::privacy::Privacy;
use crate::model::event::{Event, EventKind, Message, SmtpEvent};
use crate::model::mail::Findings;
use crate::model::net::{Direction, Flow, HomeNet};
use crate::model::settings::InspectSettings;
use crate::rules::{RuleSet, Subject};

/// Opens messages and holds them against the rules.
#[derive(Clone, Debug)]
pub struct Inspector {
    home: HomeNet,
    settings: InspectSettings,
    privacy: Option<Privacy>,
}

impl Inspector {
    /// An inspector for messages from and to these home networks.
    pub fn new(home: HomeNet, settings: InspectSettings) -> Self {
        Self { home, settings, privacy: None }
    }

    /// The same, leaving out of events and findings what `privacy` says. None leaves out nothing.
    #[must_use]
    pub fn with_privacy(self, privacy: Option<Privacy>) -> Self {
        Self { privacy, ..self }
    }

    /// What is in an event's message, and which rules it matches. The message's bytes are given up: everything worth
    /// keeping of them is in the findings. Events that are not mail find nothing.
    pub fn inspect(&self, rules: &RuleSet, event: &mut Event) -> Findings {
        let direction = event.flow.as_deref().map_or(Direction::External, |flow| self.direction(flow));
        let mut findings = match &mut event.kind {
            EventKind::Smtp(smtp) => self.inspect_mail(rules, smtp, direction),
            _ => Findings::default(),
        };
        if let Some(privacy) = &self.privacy {
            privacy.findings(&mut findings);
            privacy.event(event);
        }
        findings
    }

    /// For an event that goes on without inspection: leaves out of it what [`Inspector::inspect`] would.
    pub fn pass(&self, event: &mut Event) {
        if let Some(privacy) = &self.privacy {
            privacy.event(event);
        }
    }

    /// As [`Inspector::inspect`], for a transaction that goes this way.
    pub fn inspect_mail(&self, rules: &RuleSet, smtp: &mut SmtpEvent, direction: Direction) -> Findings {
        let message = smtp.message.take();
        let mut findings = message.as_ref().map_or_else(Findings::default, |m| mail::inspect(m, &self.settings));
        findings.hits = rules.evaluate(&Subject {
            direction,
            smtp,
            email: findings.email.as_ref(),
            files: &findings.files,
            message: message.as_ref().map(|message| message.bytes.as_slice()),
        });
        if smtp.envelope.is_some() {
            let headers = findings.email.as_ref().map(|email| email.headers.as_slice()).unwrap_or_default();
            smtp.dialect_hash = Some(mail::dialect::dialect_hash(smtp.dialect, headers));
        }
        if let Some(email) = findings.email.as_mut() {
            // Only the rules need them.
            email.text = String::new();
            email.headers = Vec::new();
        }
        smtp.message = message.map(|message| Message { bytes: Vec::new(), ..message });
        findings
    }

    fn direction(&self, flow: &Flow) -> Direction {
        self.home.direction(flow.client.ip(), flow.server.ip())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::Envelope;
    use crate::model::time::Timestamp;

    #[test]
    fn privacy_holds_for_what_is_not_inspected_too() {
        let envelope = Envelope { mail_from: "alice@example.com".into(), ..Envelope::default() };
        let event = || Event {
            seq: 0,
            time: Timestamp::default(),
            source: 0,
            file: 0,
            packet: 1,
            flow: None,
            kind: EventKind::Smtp(Box::new(SmtpEvent { envelope: Some(envelope.clone()), ..SmtpEvent::default() })),
        };
        let private = Inspector::new(HomeNet::default(), InspectSettings::default());
        let private = private.with_privacy(Some(Privacy::new(b"a key of a test")));
        let (mut passed, mut inspected) = (event(), event());
        private.pass(&mut passed);
        private.inspect(&RuleSet::builtin(), &mut inspected);
        for concealed in [passed, inspected] {
            let told = format!("{concealed:?}");
            assert!(!told.contains("alice") && told.contains("@example.com"), "{told}");
        }
    }
}
