//! The stages after the sensor, joined by hand.

use std::thread::ThreadId;

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

/// [`Inspector::inspect`], with a defect: it cannot stand one sender.
fn breaks(inspector: &Inspector, rules: &RuleSet, event: &mut Event) -> Findings {
    lock(&THREADS).push(thread::current().id());
    let EventKind::Smtp(smtp) = &event.kind else { unreachable!("only mail is inspected") };
    let sender = smtp.envelope.as_ref().map(|envelope| envelope.mail_from.as_str());
    assert_ne!(sender, Some("breaks@x"), "a defect, made for the test");
    inspector.inspect(rules, event)
}

/// The threads that ran [`breaks`], in turn.
static THREADS: Mutex<Vec<ThreadId>> = Mutex::new(Vec::new());

#[test]
fn an_inspector_that_fails_loses_one_message_and_is_replaced() {
    let inspector = Inspector::new(HomeNet::default(), InspectSettings::default());
    let rules = SharedRules::new(RuleSet::builtin());
    let shared = Shared::new(1, 1, &Shares::default());
    let (jobs_in, jobs_out) = bounded(8);
    let (batches_in, batches_out) = bounded(8);
    let mut feed = Feed::new(jobs_in, batches_in, rules.clone(), &shared, Pressure::Wait, 0);
    let senders = ["a@x", "b@x", "breaks@x", "c@x", "d@x"];
    feed.finish(senders.into_iter().zip(0..).map(|(from, seq)| mail(seq, from)).collect());
    drop(feed);
    let desk = Desk { jobs: jobs_out.clone(), planned: &inspector, busy: None, inspect: breaks };
    assert!(thread::scope(|scope| employ(scope, 0, desk)));
    let mut ear = Ear::default();
    let settings = CorrelatorSettings::default();
    let report = Consumer::new(settings, &rules, &shared, (&jobs_out, &inspector), &mut ear).run(&batches_out, None);
    assert_eq!(ear.0, senders.map(|from| (from.to_owned(), from != "breaks@x")));
    assert_eq!((report.inspect.shed_failed, report.inspect.inspected), (1, 4));
    assert_eq!((shared.room.taken(), shared.event_room.taken()), (0, 0));
    let threads = lock(&THREADS).clone();
    let [first, second] = [threads[0], threads[3]];
    assert_eq!(threads, [first, first, first, second, second]);
    assert_ne!(first, second);
}
