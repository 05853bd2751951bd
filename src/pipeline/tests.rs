//! The stages after the sensor, joined by hand.

use super::*;
use crate::model::event::{Envelope, EventKind, Message, SmtpEvent};
use crate::model::net::HomeNet;
use crate::model::settings::InspectSettings;

/// Writes down the senders of transactions, and whether they were inspected.
#[derive(Default)]
struct Ear(Vec<(String, bool)>);

impl Audience for Ear {
    fn hear(&mut self, event: &Event, findings: Option<&Findings>, _: &[Said], _: &View<'_>) {
        let EventKind::Smtp(smtp) = &event.kind else { return };
        let sender = smtp.envelope.as_ref().map(|envelope| envelope.mail_from.clone());
        self.0.push((sender.unwrap_or_default(), findings.is_some()));
    }

    fn hear_said(&mut self, _: &[Said]) {}

    fn pause(&mut self, _: &View<'_>) {}
}

fn mail(seq: u64, mail_from: &str) -> Event {
    let envelope = Envelope { mail_from: mail_from.to_owned(), ..Envelope::default() };
    let message = Message { bytes: b"Subject: x\r\n\r\n".to_vec(), size: 14, ..Message::default() };
    let smtp = SmtpEvent { envelope: Some(envelope), message: Some(message), ..SmtpEvent::default() };
    let kind = EventKind::Smtp(Box::new(smtp));
    Event { seq, time: Timestamp::default(), source: 0, file: 0, packet: 1, flow: None, kind }
}

#[test]
fn an_inspector_that_fails_loses_one_message_and_goes_on() {
    let inspector = Inspector::new(HomeNet::default(), InspectSettings::default());
    let rules = SharedRules::new(RuleSet::builtin());
    let shared = Shared::new(1, 1, &Shares::default());
    let (jobs_in, jobs_out) = bounded(8);
    let (batches_in, batches_out) = bounded(8);
    let mut feed = Feed::new(jobs_in, batches_in, rules.clone(), &shared, Pressure::Wait, 0);
    feed.finish(["a@x", "breaks@x", "c@x"].into_iter().zip(0..).map(|(from, seq)| mail(seq, from)).collect());
    drop(feed);
    inspect_all(&jobs_out, &inspector, None, |inspector, rules, event| {
        let breaks = |smtp: &SmtpEvent| smtp.envelope.as_ref().is_some_and(|it| it.mail_from == "breaks@x");
        assert!(!matches!(&event.kind, EventKind::Smtp(smtp) if breaks(smtp)), "a defect, made for the test");
        inspector.inspect(rules, event)
    });
    let mut ear = Ear::default();
    let settings = CorrelatorSettings::default();
    let report = Consumer::new(settings, &rules, &shared, (&jobs_out, &inspector), &mut ear).run(&batches_out, None);
    let expected = [("a@x", true), ("breaks@x", false), ("c@x", true)];
    assert_eq!(ear.0, expected.map(|(from, inspected)| (from.to_owned(), inspected)));
    assert_eq!((report.inspect.shed_failed, report.inspect.inspected), (1, 2));
    assert_eq!((shared.room.taken(), shared.event_room.taken()), (0, 0));
}
