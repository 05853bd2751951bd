//! Who is taken for a mail server, and what that changes.

use super::wire::*;
use crate::model::alert::{Figure, Severity, Verdict};
use crate::model::event::{ConnectOutcome, Envelope, EventKind, Outcome, Reply, SmtpEvent};
use crate::model::mail::Findings;

#[test]
fn one_inbound_connection_buys_a_worm_nothing() {
    let mut wire = Wire::new();
    let greeted = wire.connect(OUTSIDE, HOST, 25);
    wire.greet(&greeted);
    for n in 1..=5 {
        let flow = wire.deliver(HOST, OUTSIDE_RESOLVER, n, true);
        wire.wait(3);
        wire.message(&flow, 1, vec![hit(WORM)]);
    }
    assert_eq!(wire.verdict(HOST), Verdict::Infected);
    let worst: Vec<Severity> =
        wire.alerts().iter().filter(|alert| alert.rule == "mimail-c").map(|alert| alert.severity).collect();
    let (given, own) = (Severity::High, Severity::Critical);
    assert_eq!(worst, [given, given, given, own, own], "it was brought nothing, so the fourth cannot be another's");
    let evidence = &wire.alerts().iter().find(|alert| alert.rule == "mimail-c").unwrap().evidence[0];
    assert_eq!(*figure(evidence, "position"), Figure::Text("sender-or-carrier".into()));
    assert!(evidence.text.contains("greets on port 25 since"), "{}", evidence.text);
}

/// Three clients brought one message each: twelve copies and three more can be theirs.
#[test]
fn a_learnt_role_hides_no_worm() {
    let mut wire = Wire::new();
    wire.serve(HOST, 3);
    for n in 1..=20 {
        let flow = wire.deliver(HOST, OUTSIDE_RESOLVER, n, true);
        wire.message(&flow, 1, vec![hit(WORM)]);
    }
    let worst: Vec<Severity> =
        wire.alerts().iter().filter(|alert| alert.rule == "mimail-c").map(|alert| alert.severity).collect();
    assert_eq!(worst.iter().position(|severity| *severity == Severity::Critical), Some(15));
    assert_eq!(wire.verdict(HOST), Verdict::Infected);
    let last = wire.alerts().pop().unwrap();
    assert!(last.evidence[0].text.contains("more of them than what it was brought can explain"), "{last:?}");
}

/// A relay that encrypts: what it was brought is known by the length of the sessions.
#[test]
fn encrypted_deliveries_count_where_they_are_long_enough() {
    for (client_bytes, taken) in [(2_000, None), (4_000, Some("took 3 messages from 3 networks outside"))] {
        let mut wire = Wire::new();
        for n in 1..=3 {
            let flow = wire.connect(&format!("192.0.{n}.1"), SERVER, 25);
            wire.greet(&flow);
            let smtp = SmtpEvent { started: wire.now, tls: true, ..SmtpEvent::default() };
            wire.feed(Some(&flow), EventKind::Smtp(Box::new(smtp)), &Findings::default());
            wire.end_with(&flow, 0, [client_bytes, 2_000]);
            wire.wait(300);
        }
        wire.connect(SERVER, OUTSIDE, 25);
        let report = wire.correlator.report();
        let role = report.hosts.iter().find(|host| host.host == ip(SERVER)).unwrap().role.clone();
        assert_eq!(role.as_deref().is_some_and(|role| role.starts_with("mail server")), taken.is_some(), "{role:?}");
        assert!(role.unwrap().contains(taken.unwrap_or("took no mail")));
    }
}

#[test]
fn a_young_relay_that_passes_on_what_it_is_given_is_not_judged() {
    let mut wire = Wire::new();
    for n in 1..=50 {
        let given = wire.connect("10.0.0.9", SERVER, 25);
        wire.greet(&given);
        wire.message(&given, 1, vec![]);
        let flow = wire.connect(SERVER, &format!("203.0.113.{n}"), 25);
        wire.message(&flow, 1, vec![hit(WORM)]);
        wire.wait(3);
    }
    assert_eq!(wire.verdict(SERVER), Verdict::Clean);
}

#[test]
fn greetings_after_the_verdict_do_not_clear_it() {
    let mut wire = Wire::new();
    let flow = wire.connect(HOST, OUTSIDE, 25);
    wire.message(&flow, 1, vec![hit(WORM)]);
    assert_eq!(wire.verdict(HOST), Verdict::Infected);
    wire.serve(HOST, 10);
    let flow = wire.connect(HOST, OUTSIDE, 25);
    wire.message(&flow, 1, vec![hit(WORM)]);
    let last = wire.alerts().pop().unwrap();
    assert_eq!((last.rule.as_str(), last.severity), ("mimail-c", Severity::Critical));
    assert_eq!(wire.correlator.report().hosts.iter().find(|host| host.host == ip(HOST)).unwrap().role, None);
}

/// By hand: one client and one message explain 5 + 2 + 3 contacts.
#[test]
fn a_server_with_one_client_is_taken_for_one_in_proportion_to_what_it_was_brought() {
    let mut wire = Wire::new();
    wire.serve(SERVER, 1);
    for n in 1..=10 {
        let flow = wire.deliver(SERVER, RESOLVER, n, false);
        wire.message(&flow, 1, vec![]);
        wire.wait(5);
    }
    assert!(wire.alerts().iter().all(|alert| alert.severity == Severity::Low), "{:?}", wire.short());
    for n in 11..=60 {
        let flow = wire.deliver(SERVER, RESOLVER, n, false);
        wire.message(&flow, 1, vec![]);
        wire.wait(5);
    }
    let worst = wire.alerts().iter().map(|alert| alert.severity).min();
    assert_eq!((worst, wire.verdict(SERVER)), (Some(Severity::Medium), Verdict::Suspicious), "{:?}", wire.short());
}

#[test]
fn a_server_to_which_three_delivered_is_at_most_low_before_it_has_served_for_long() {
    let mut wire = Wire::new();
    for client in 1..=3 {
        let flow = wire.connect(&format!("192.0.{client}.1"), SERVER, 25);
        wire.greet(&flow);
        wire.message(&flow, 1, vec![]);
    }
    for n in 1..=60 {
        let flow = wire.deliver(SERVER, RESOLVER, n, false);
        wire.message(&flow, 1, vec![]);
        wire.wait(3);
    }
    assert!(wire.alerts().iter().all(|alert| alert.severity == Severity::Low), "{:?}", wire.short());
    assert_eq!(wire.verdict(SERVER), Verdict::Clean);
}

#[test]
fn a_scanner_that_only_looks_is_suspicious_at_most() {
    let mut wire = Wire::new();
    for network in 1..=60 {
        let flow = wire.flow(HOST, &format!("203.0.{network}.25"), 25);
        let outcome = if network % 2 == 0 { ConnectOutcome::Answered } else { ConnectOutcome::Refused };
        wire.feed(Some(&flow), EventKind::Connect(outcome), &Findings::default());
        wire.wait(5);
    }
    assert_eq!(wire.verdict(HOST), Verdict::Suspicious);
    let flow = wire.connect(HOST, "203.0.61.25", 25);
    wire.message(&flow, 1, vec![]);
    for network in 62..=70 {
        wire.connect(HOST, &format!("203.0.{network}.25"), 25);
        let refused = wire.flow(HOST, &format!("203.0.{}.25", network + 100), 25);
        wire.feed(Some(&refused), EventKind::Connect(ConnectOutcome::Refused), &Findings::default());
    }
    assert_eq!(wire.verdict(HOST), Verdict::Infected, "one that mails is none");
}

/// The capture lost its greetings: that it took mail says the same (RFC 5321, section 4.2: 2xx and 3xx are success).
#[test]
fn a_server_whose_greetings_were_lost_is_known_by_what_it_goes_on_to_serve() {
    let role = |code: u16, port: u16, tls: bool| {
        let mut wire = Wire::new();
        for n in 1..=3 {
            let flow = wire.connect(&format!("192.0.{n}.1"), SERVER, port);
            let envelope = Envelope { rcpt_to: vec!["a@example.net".into()], ..Envelope::default() };
            let smtp = SmtpEvent {
                envelope: (!tls).then_some(envelope),
                tls,
                outcome: Outcome::Accepted,
                reply: (code > 0).then(|| Reply { code, text: String::new() }),
                ..SmtpEvent::default()
            };
            wire.feed(Some(&flow), EventKind::Smtp(Box::new(smtp)), &Findings::default());
            wire.end_with(&flow, 0, [4_000, 2_000]);
            wire.wait(300);
        }
        wire.connect(SERVER, OUTSIDE, 25);
        wire.correlator.report().hosts.iter().find(|host| host.host == ip(SERVER)).unwrap().role.clone()
    };
    let server = "mail server: took 3 messages from 3 networks outside";
    assert!(role(250, 25, false).unwrap().starts_with(server));
    assert!(role(0, 587, true).unwrap().starts_with(server), "it agreed to encrypt");
    assert_eq!(role(550, 25, false), None, "it refused");
    assert_eq!(role(250, 80, false), None, "no port of mail");
}

#[test]
fn a_session_that_is_refused_or_on_another_port_makes_no_state_of_its_server() {
    for (code, port) in [(554, 25), (220, 80)] {
        let mut wire = Wire::new();
        let flow = wire.flow(OUTSIDE, SERVER, port);
        wire.feed(Some(&flow), EventKind::Greeting(Reply { code, text: String::new() }), &Findings::default());
        let reply = Some(Reply { code, text: String::new() });
        let smtp = SmtpEvent { reply, ..SmtpEvent::default() };
        wire.feed(Some(&flow), EventKind::Smtp(Box::new(smtp)), &Findings::default());
        assert_eq!(wire.correlator.stats().hosts, 0, "{code} on {port}");
    }
}

#[test]
fn a_scanner_that_leaves_where_it_is_let_in_is_low() {
    let worst = |code: u16| {
        let mut wire = Wire::new();
        for network in 1..=60 {
            let flow = wire.connect(HOST, &format!("203.0.{network}.25"), 25);
            let reply = Some(Reply { code, text: String::new() });
            let smtp = SmtpEvent { helo: Some("probe.example".into()), reply, ..SmtpEvent::default() };
            wire.feed(Some(&flow), EventKind::Smtp(Box::new(smtp)), &Findings::default());
            wire.wait(5);
        }
        wire.alerts().iter().filter(|alert| alert.rule == "direct-to-mx").map(|alert| alert.severity).min()
    };
    assert_eq!((worst(250), worst(554)), (Some(Severity::Low), Some(Severity::Medium)));
}

#[test]
fn one_delivery_of_a_host_that_answers_as_a_mail_server_is_no_news() {
    let mut wire = Wire::new();
    let asked = wire.connect(OUTSIDE, HOST, 25);
    wire.greet(&asked);
    wire.deliver(HOST, OUTSIDE_RESOLVER, 1, false);
    assert_eq!(wire.short(), []);
    (2..=3).for_each(|n| drop(wire.deliver(HOST, OUTSIDE_RESOLVER, n, false)));
    assert_eq!(wire.short(), [alert("direct-to-mx", Severity::High, HOST)], "a greeting alone earns nothing");
}

/// Manners alone do not excuse any number of messages: they could all be to one victim. Four times the ceiling is 200.
#[test]
fn good_manners_excuse_no_flood_of_mail() {
    let worst = |count: usize, greets: bool| {
        let mut wire = Wire::new();
        if greets {
            let asked = wire.connect(OUTSIDE, SERVER, 25);
            wire.greet(&asked);
        }
        let flow = wire.connect(SERVER, OUTSIDE, 25);
        for _ in 0..count {
            let envelope = Envelope {
                mail_from: "office@firm.example".into(),
                rcpt_to: vec!["alarm@example.net".into()],
                ..Envelope::default()
            };
            let smtp = SmtpEvent {
                helo: Some("mx.firm.example".into()),
                extended: true,
                envelope: Some(envelope),
                outcome: Outcome::Accepted,
                ..SmtpEvent::default()
            };
            wire.feed(Some(&flow), EventKind::Smtp(Box::new(smtp)), &Findings::default());
        }
        wire.alerts().iter().filter(|alert| alert.rule == "mail-volume").map(|alert| alert.severity).min()
    };
    assert_eq!(worst(50, false), None);
    assert_eq!([worst(200, false), worst(201, false)], [Some(Severity::Low), Some(Severity::Medium)]);
    assert_eq!(worst(201, true), Some(Severity::Low), "others were seen to connect to it");
}
