//! `recipient-fanout` by events: who is accused, after how many deliveries, and who never.

use std::sync::Arc;

use super::wire::*;
use crate::correlator::CorrelatorSettings;
use crate::model::alert::{Alert, Figure, Severity, Verdict};
use crate::model::event::{
    ConnectOutcome, DnsMessage, DnsQuestion, EndReason, Envelope, EventKind, FlowEnd, Outcome, QTYPE_MX, Rejected,
    Reply, SmtpEvent,
};
use crate::model::mail::Findings;
use crate::model::rulebook::NoRules;

const FANOUT: &str = "recipient-fanout";

fn wire() -> Wire {
    Wire::with(CorrelatorSettings::default(), Arc::new(NoRules))
}

fn said(wire: &Wire) -> Vec<&Alert> {
    wire.alerts().into_iter().filter(|alert| alert.rule == FANOUT).collect()
}

fn server(n: u8) -> String {
    format!("203.0.{n}.25")
}

#[test]
fn four_servers_behind_tls_and_then_four_more_name_a_bot() {
    let mut wire = wire();
    for n in 1..=8 {
        let flow = wire.connect(HOST, &server(n), 25);
        wire.encrypted(&flow);
        wire.wait(60);
        if n < 8 {
            assert_ne!(wire.verdict(HOST), Verdict::Infected);
        }
        assert_eq!(said(&wire).len(), usize::from(n / 4));
    }
    let severities: Vec<_> = said(&wire).iter().map(|alert| alert.severity).collect();
    assert_eq!(severities, [Severity::Medium, Severity::High]);
    let evidence = &said(&wire)[0].evidence[0];
    assert_eq!(*figure(evidence, "first_contacts"), Figure::Count(4));
    // ln(0.8 / 0.2) four times.
    assert_eq!(*figure(evidence, "log_ratio"), Figure::Real(5.545));
    assert_eq!(wire.verdict(HOST), Verdict::Infected, "with direct-to-mx");
    for n in 9..=100 {
        let flow = wire.connect(HOST, &server(n), 25);
        wire.encrypted(&flow);
        wire.wait(20);
    }
    assert_eq!(said(&wire).len(), 2, "told once an hour");
}

#[test]
fn a_list_of_dead_addresses_names_within_four_messages() {
    let mut wire = wire();
    for n in 1..=4 {
        let flow = wire.deliver(HOST, OUTSIDE_RESOLVER, n, false);
        let to = if n % 2 == 0 { Outcome::Rejected } else { Outcome::Accepted };
        wire.letter(&flow, &[&format!("someone@d{n}.example")], to);
        wire.wait(3);
    }
    assert_eq!(said(&wire)[0].severity, Severity::High);
    assert_eq!(*figure(&said(&wire)[0].evidence[0], "refused"), Figure::Count(2));
    assert_eq!(wire.verdict(HOST), Verdict::Infected);
}

#[test]
fn domains_that_do_not_exist_count_for_a_host_that_mails() {
    let mut wire = wire();
    wire.connect(HOST, OUTSIDE, 25);
    for n in 1..=4 {
        let flow = wire.flow(HOST, RESOLVER, 53);
        let mut message = DnsMessage {
            queries: smallvec::smallvec![DnsQuestion { name: format!("gone{n}.example").into(), qtype: QTYPE_MX }],
            ..DnsMessage::default()
        };
        for flags in [0x0100, 0x8183, 0x8183] {
            message.flags = flags;
            wire.feed(Some(&flow), EventKind::Dns(Box::new(message.clone())), &Findings::default());
        }
    }
    assert_eq!(*figure(&said(&wire)[0].evidence[0], "no_such_domain"), Figure::Count(4));
}

#[test]
fn submission_to_a_provider_never_fans_out() {
    for (to, port) in [(OUTSIDE, 587), (OUTSIDE, 465), (SERVER, 25), (OUTSIDE, 25)] {
        let mut wire = wire();
        for n in 1..=200 {
            let flow = wire.connect(HOST, to, port);
            match n % 2 {
                0 => wire.encrypted(&flow),
                _ => wire.letter(&flow, &[&format!("friend@d{n}.example")], Outcome::Accepted),
            }
            wire.wait(60);
        }
        assert!(said(&wire).is_empty(), "{to} {port}: {:?}", said(&wire));
    }
}

#[test]
fn a_provider_that_is_down_is_one_failure_at_most() {
    let mut wire = wire();
    wire.connect(HOST, OUTSIDE, 25);
    for _ in 0..100 {
        for port in [25, 587] {
            let flow = wire.flow(HOST, &server(1), port);
            wire.feed(Some(&flow), EventKind::Connect(ConnectOutcome::Unanswered), &Findings::default());
        }
        wire.wait(60);
    }
    assert!(said(&wire).is_empty());
}

#[test]
fn probes_that_only_look_are_no_deliveries() {
    let mut wire = wire();
    for n in 1..=100 {
        let flow = wire.connect(HOST, &server(n), 25);
        let smtp = SmtpEvent { started: wire.now, ..SmtpEvent::default() };
        wire.feed(Some(&flow), EventKind::Smtp(Box::new(smtp)), &Findings::default());
        wire.end(&flow, 100);
        wire.wait(20);
    }
    assert!(said(&wire).is_empty());
}

#[test]
fn a_few_known_partners_are_honest() {
    let mut wire = wire();
    for round in 0..200 {
        let n = round % 3 + 1;
        let flow = wire.deliver(HOST, RESOLVER, n, false);
        wire.letter(&flow, &[&format!("alarm@d{n}.example")], Outcome::Accepted);
        wire.wait(300);
    }
    assert!(said(&wire).is_empty());
}

#[test]
fn a_mail_server_is_not_tested_and_a_fresh_one_mildly() {
    for (clients, worst) in [(3, None), (2, Some(Severity::Medium)), (1, Some(Severity::Medium))] {
        let mut wire = wire();
        wire.serve(SERVER, clients);
        for n in 1..=100 {
            let flow = wire.connect(SERVER, &server(n), 25);
            wire.encrypted(&flow);
            wire.wait(20);
        }
        assert_eq!(said(&wire).iter().map(|alert| alert.severity).min(), worst);
        assert_ne!(wire.verdict(SERVER), Verdict::Infected);
    }
}

/// Flows to port 25 that the sensor could not read, though both sides said enough for a delivery (600 bytes).
#[test]
fn sessions_that_cannot_be_read_count_by_their_server_where_both_sides_spoke() {
    let accused = |bytes: [u64; 2], port: u16, app_proto: &'static str| {
        let mut wire = wire();
        for n in 1..=4 {
            let flow = wire.connect(HOST, &server(n), port);
            for _ in 0..2 {
                let end = FlowEnd {
                    packets: [10, 10],
                    bytes,
                    last: wire.now,
                    app_proto,
                    reason: EndReason::Finished,
                    tcp_flags: [0x1b; 2],
                    wire_bytes: 2_000,
                };
                wire.feed(Some(&flow), EventKind::FlowEnd(Box::new(end)), &Findings::default());
            }
        }
        said(&wire).first().map(|alert| figure(&alert.evidence[0], "first_contacts").clone())
    };
    assert_eq!(accused([600, 600], 25, "failed"), Some(Figure::Count(4)), "each once, however often it is told");
    assert_eq!(accused([599, 5_000], 25, "failed"), None);
    assert_eq!(accused([5_000, 599], 25, "failed"), None);
    assert_eq!(accused([600, 600], 25, "smtp"), None, "what was read was counted by its messages");
    assert_eq!(accused([600, 600], 587, "failed"), None);
}

#[test]
fn submission_servers_that_are_down_say_nothing_of_whom_a_host_mails() {
    let mut wire = wire();
    wire.connect(HOST, OUTSIDE, 587);
    for n in 1..=100 {
        for (to, port) in [(server(n), 587), (server(n), 465), (format!("10.0.1.{n}"), 25)] {
            let flow = wire.flow(HOST, &to, port);
            wire.feed(Some(&flow), EventKind::Connect(ConnectOutcome::Refused), &Findings::default());
        }
    }
    assert!(said(&wire).is_empty());
}

#[test]
fn a_message_that_only_some_recipients_got_is_a_refusal() {
    let mut wire = wire();
    for n in 1..=4 {
        let flow = wire.connect(HOST, OUTSIDE, 25);
        let reply = Reply { code: 550, text: "5.1.1 no such user".into() };
        let envelope = Envelope {
            mail_from: "a@example.net".into(),
            rcpt_to: vec!["friend@example.org".into()],
            rcpt_rejected: vec![Rejected { address: format!("gone{n}@example.org"), reply }],
            ..Envelope::default()
        };
        let smtp = SmtpEvent { envelope: Some(envelope), outcome: Outcome::Accepted, ..SmtpEvent::default() };
        wire.feed(Some(&flow), EventKind::Smtp(Box::new(smtp)), &Findings::default());
    }
    assert_eq!(*figure(&said(&wire)[0].evidence[0], "refused"), Figure::Count(4));
}

#[test]
fn a_relay_that_takes_mail_for_all_and_breaks_off_is_no_failure() {
    let mut wire = wire();
    for n in 1..=100 {
        let flow = wire.connect(HOST, OUTSIDE, 25);
        wire.letter(&flow, &[&format!("r{}@d.example", n % 2)], Outcome::Aborted);
        wire.wait(60);
    }
    assert!(said(&wire).is_empty());
}

/// With a short memory an incident closes within the hour in which an alert is not repeated.
#[test]
fn a_relapse_is_told_anew_and_dated_from_then_though_a_test_was_under_way() {
    let mut detect = crate::model::settings::DetectSettings::default();
    detect.verdict.half_life_seconds = 60;
    let mut wire = Wire::with(CorrelatorSettings { detect, ..CorrelatorSettings::default() }, Arc::new(NoRules));
    let mail = |wire: &mut Wire, servers: std::ops::RangeInclusive<u8>| {
        for n in servers {
            let flow = wire.connect(HOST, &server(n), 25);
            wire.encrypted(&flow);
        }
    };
    mail(&mut wire, 1..=10);
    assert_eq!(said(&wire).len(), 2);
    for _ in 0..2 {
        wire.wait(1_000);
        wire.tick(1_000);
    }
    assert!(wire.incidents().pop().unwrap().closed);
    let again = wire.now;
    mail(&mut wire, 11..=12);
    assert_eq!(said(&wire).len(), 3, "two strangers before the incident closed, and two after");
    assert_eq!(wire.incidents().pop().unwrap().first_seen, again);
}

#[test]
fn where_no_recipient_is_seen_the_server_stands_for_the_domain() {
    let first_contacts = |servers: [u8; 4]| {
        let mut wire = wire();
        for n in servers {
            let flow = wire.connect(HOST, &server(n), 25);
            wire.letter(&flow, &[], Outcome::Accepted);
        }
        said(&wire).first().map(|alert| figure(&alert.evidence[0], "first_contacts").clone())
    };
    assert_eq!(first_contacts([1, 2, 3, 4]), Some(Figure::Count(4)));
    assert_eq!(first_contacts([1, 1, 1, 1]), None);
}

#[test]
fn to_be_turned_away_before_a_transaction_is_a_refusal_once_a_server() {
    let refused = |code: u16, port: u16, servers: [u8; 4]| {
        let mut wire = wire();
        for n in servers {
            let flow = wire.connect(HOST, &server(n), port);
            let reply = Some(Reply { code, text: "blocked".into() });
            let smtp = SmtpEvent { reply, ..SmtpEvent::default() };
            wire.feed(Some(&flow), EventKind::Smtp(Box::new(smtp)), &Findings::default());
        }
        said(&wire).first().map(|alert| figure(&alert.evidence[0], "refused").clone())
    };
    assert_eq!(refused(554, 25, [1, 2, 3, 4]), Some(Figure::Count(4)));
    assert_eq!(refused(554, 25, [1, 1, 1, 1]), None);
    assert_eq!(refused(250, 25, [1, 2, 3, 4]), None, "it was let in");
    assert_eq!(refused(554, 587, [1, 2, 3, 4]), None, "its provider's affair");
}
