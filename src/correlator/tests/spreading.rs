//! `self-propagation` and `smtp-dialect` by events.

use std::sync::Arc;

use super::wire::*;
use crate::correlator::CorrelatorSettings;
use crate::model::alert::{Alert, Figure, Severity, Verdict};
use crate::model::event::{Dialect, Envelope, EventKind, SmtpEvent};
use crate::model::mail::{Email, FileFact, FileKind, Findings};
use crate::model::rulebook::NoRules;

fn wire() -> Wire {
    Wire::with(CorrelatorSettings::default(), Arc::new(NoRules))
}

/// A message with a file of this name and type, and of these recipients.
fn send(wire: &mut Wire, from: &str, to: &str, file: (&str, &'static str, u8), recipients: &[String]) {
    let flow = wire.connect(from, to, 25);
    let envelope = Envelope { rcpt_to: recipients.to_vec(), ..Envelope::default() };
    let smtp = SmtpEvent { started: wire.now, envelope: Some(envelope), ..SmtpEvent::default() };
    let (name, kind, hash) = file;
    let fact =
        FileFact { filename: name.into(), kind: FileKind(kind), sha256: Some([hash; 32]), ..FileFact::default() };
    let email = Email { subject: Some("our private photos".into()), ..Email::default() };
    let findings = Findings { email: Some(email), files: vec![fact], ..Findings::default() };
    wire.feed(Some(&flow), EventKind::Smtp(Box::new(smtp)), &findings);
    wire.wait(3);
}

fn to(number: u8) -> Vec<String> {
    vec![format!("friend{number}@example.net")]
}

fn said<'a>(wire: &'a Wire, rule: &str) -> Vec<&'a Alert> {
    wire.alerts().into_iter().filter(|alert| alert.rule == rule).collect()
}

#[test]
fn one_program_to_five_is_told_and_a_document_never_is() {
    let (mut worm, mut person, mut once) = (wire(), wire(), wire());
    for number in 1..=20 {
        send(&mut worm, HOST, OUTSIDE, ("patch.exe", "pe", 1), &to(number));
        send(&mut person, HOST, OUTSIDE, ("minutes.pdf", "pdf", 1), &to(number));
        send(&mut once, HOST, OUTSIDE, ("tool.exe", "pe", number), &to(number));
        let expected = usize::from(number >= 5);
        assert_eq!(said(&worm, "self-propagation").len(), expected);
    }
    assert_eq!(said(&worm, "self-propagation")[0].severity, Severity::Medium);
    assert!(said(&person, "self-propagation").is_empty() && said(&once, "self-propagation").is_empty());

    let mut list = wire();
    let many: Vec<String> = (1..=20).flat_map(to).collect();
    send(&mut list, HOST, OUTSIDE, ("tool.exe", "pe", 1), &many);
    assert!(said(&list, "self-propagation").is_empty(), "one message to many is how people send");
}

/// With a short memory an incident closes within the hour in which an alert is not repeated.
#[test]
fn a_program_that_goes_on_after_the_incident_closed_is_told_anew_from_the_start() {
    let mut detect = crate::model::settings::DetectSettings::default();
    detect.verdict.half_life_seconds = 60;
    let mut wire = Wire::with(CorrelatorSettings { detect, ..CorrelatorSettings::default() }, Arc::new(NoRules));
    for round in 1..=2 {
        for number in 1..=5 {
            assert_eq!(said(&wire, "self-propagation").len(), round - 1);
            send(&mut wire, HOST, OUTSIDE, ("patch.exe", "pe", 1), &to(number));
        }
        assert_eq!(said(&wire, "self-propagation").len(), round);
        wire.wait(1_500);
        wire.tick(1_000);
        assert!(wire.incidents().pop().unwrap().closed);
    }
}

#[test]
fn who_infected_whom_is_told_along_the_chain() {
    let second = "10.0.0.6";
    let mut wire = wire();
    send(&mut wire, OUTSIDE, HOST, ("photos.exe", "pe", 7), &to(0));
    for number in 1..=4 {
        send(&mut wire, HOST, second, ("photos.exe", "pe", 7), &to(number));
    }
    for number in 1..=4 {
        send(&mut wire, second, OUTSIDE, ("photos.exe", "pe", 7), &to(number));
    }
    let told = said(&wire, "self-propagation");
    let by: Vec<_> =
        told.iter().map(|alert| (alert.host.unwrap(), figure(&alert.evidence[0], "infected_by"))).collect();
    let text = |text: &str| Figure::Text(text.into());
    assert_eq!(by, [(ip(HOST), &text(OUTSIDE)), (ip(second), &text(HOST))]);
    assert!(told.iter().all(|alert| alert.severity == Severity::High));
    let words = &told[1].evidence[0].text;
    assert!(words.contains("infected by 10.0.0.5: it reached the host itself at 2003-10-31T12:00:03"), "{words}");
    assert!(words.contains("subject \"our private photos\""), "{words}");
}

/// As it goes in a house: letters come to the server, and are fetched from it. All the while the first one goes on
/// mailing the world; what it sends there infects nobody here.
#[test]
fn three_generations_are_told_apart_though_all_came_through_the_server() {
    let (first, second, third) = (HOST, "10.0.0.6", "10.0.0.7");
    let mut wire = wire();
    wire.serve(SERVER, 3);
    let spread = |wire: &mut Wire, from: &str, next: &str| {
        send(wire, from, SERVER, ("photos.exe", "pe", 7), &[next.to_owned()]);
        for number in 1..=12 {
            send(wire, from, OUTSIDE, ("photos.exe", "pe", 7), &to(number));
        }
    };
    send(&mut wire, OUTSIDE, SERVER, ("photos.exe", "pe", 7), &["first@home.example".to_owned()]);
    spread(&mut wire, first, "second@home.example");
    spread(&mut wire, second, "third@home.example");
    for number in 1..=12 {
        send(&mut wire, third, OUTSIDE, ("photos.exe", "pe", 7), &to(number));
        send(&mut wire, first, OUTSIDE, ("photos.exe", "pe", 7), &to(number));
    }
    let told: Vec<_> = said(&wire, "self-propagation")
        .iter()
        .map(|alert| {
            let text = |name| match figure(&alert.evidence[0], name) {
                Figure::Text(text) => text.clone(),
                other => panic!("{other:?}"),
            };
            (alert.host.unwrap(), text("infected_by"), text("brought_for"), text("brought_directly"))
        })
        .collect();
    let step = |host, by: &str, recipient: &str| (ip(host), by.to_owned(), recipient.to_owned(), "no".to_owned());
    assert_eq!(
        told,
        [
            step(first, OUTSIDE, "first@home.example"),
            step(second, first, "second@home.example"),
            step(third, second, "third@home.example"),
        ]
    );
}

#[test]
fn a_server_passes_programs_on() {
    for clients in [1, 3] {
        let mut wire = wire();
        wire.serve(SERVER, clients);
        for number in 1..=20 {
            send(&mut wire, HOST, SERVER, ("photos.exe", "pe", 7), &to(number));
            send(&mut wire, SERVER, OUTSIDE, ("photos.exe", "pe", 7), &to(number));
        }
        let hosts: Vec<_> = said(&wire, "self-propagation").iter().map(|alert| alert.host.unwrap()).collect();
        assert_eq!(hosts, [ip(HOST)], "{clients}");
    }
}

fn speak(wire: &mut Wire, to: &str, port: u16, helo: &str, traits: u32) {
    let flow = wire.connect(HOST, to, port);
    let helo = Some(helo.to_owned());
    let smtp = SmtpEvent { helo, dialect: Dialect(traits), unseen: [false; 2], ..SmtpEvent::default() };
    wire.feed(Some(&flow), EventKind::Smtp(Box::new(smtp)), &Findings::default());
}

fn worst(wire: &Wire) -> Option<Severity> {
    said(wire, "smtp-dialect").iter().map(|alert| alert.severity).min()
}

#[test]
fn marks_of_bots_are_medium_and_oddities_low() {
    let mut cutwail = wire();
    speak(&mut cutwail, OUTSIDE, 25, "ylmf-pc", 0);
    assert_eq!((worst(&cutwail), cutwail.verdict(HOST)), (Some(Severity::Medium), Verdict::Suspicious));

    let mut early = wire();
    speak(&mut early, OUTSIDE, 25, "pc", Dialect::EARLY_TALKER);
    assert_eq!(worst(&early), Some(Severity::Low), "a greeting may be lost");
    speak(&mut early, OUTSIDE, 25, "pc", Dialect::EARLY_TALKER);
    assert_eq!(worst(&early), Some(Severity::Medium));

    let mut odd = wire();
    speak(&mut odd, OUTSIDE, 25, "localhost", Dialect::HELO_LOCALHOST);
    assert_eq!(worst(&odd), None);
    speak(&mut odd, OUTSIDE, 25, "localhost", Dialect::HELO_LOCALHOST | Dialect::BARE_LF);
    assert_eq!((worst(&odd), odd.verdict(HOST)), (Some(Severity::Low), Verdict::Clean));
}

#[test]
fn how_a_host_speaks_to_its_relay_or_provider_is_its_own_affair() {
    let mut wire = wire();
    for _ in 0..5 {
        speak(&mut wire, SERVER, 25, "ylmf-pc", Dialect::EARLY_TALKER);
        speak(&mut wire, OUTSIDE, 587, "ylmf-pc", Dialect::EARLY_TALKER);
    }
    assert_eq!(worst(&wire), None);
}

#[test]
fn a_machine_has_one_name_and_a_bots_template_many() {
    let mut wire = wire();
    for name in ["mx.a.example", "mx.b.example", "mx.a.example", "MX.b.example."] {
        speak(&mut wire, OUTSIDE, 25, name, 0);
        assert_eq!(worst(&wire), None, "{name}");
    }
    speak(&mut wire, OUTSIDE, 25, "mx.c.example", 0);
    assert_eq!(worst(&wire), Some(Severity::Medium));
    let alert = said(&wire, "smtp-dialect").pop().unwrap();
    assert_eq!(*figure(&alert.evidence[0], "names"), Figure::Count(3));
    assert!(alert.evidence[0].text.contains("gave itself several names"), "{alert:?}");
}

#[test]
fn a_session_counts_once_however_many_messages_it_carries() {
    let mut wire = wire();
    let flow = wire.connect(HOST, OUTSIDE, 25);
    for tx_id in 0..5 {
        let helo = Some("pc".to_owned());
        let dialect = Dialect(Dialect::EARLY_TALKER);
        let smtp = SmtpEvent { helo, dialect, tx_id, unseen: [false; 2], ..SmtpEvent::default() };
        wire.feed(Some(&flow), EventKind::Smtp(Box::new(smtp)), &Findings::default());
    }
    assert_eq!(worst(&wire), Some(Severity::Low), "one greeting may have been lost");
}

#[test]
fn how_a_mail_server_speaks_is_its_own_affair() {
    let mut wire = wire();
    wire.serve(HOST, 3);
    speak(&mut wire, OUTSIDE, 25, "ylmf-pc", Dialect::EARLY_TALKER);
    assert_eq!(worst(&wire), None);
}

#[test]
fn names_given_to_a_relay_or_a_provider_are_not_counted() {
    let mut wire = wire();
    for n in 0..9 {
        speak(&mut wire, SERVER, 25, &format!("a{n}.example"), 0);
        speak(&mut wire, OUTSIDE, 587, &format!("b{n}.example"), 0);
    }
    speak(&mut wire, OUTSIDE, 25, "c.example", 0);
    assert_eq!(worst(&wire), None);
}

/// A capture that damages a name now and then: one session in ten may have another.
#[test]
fn three_names_among_many_sessions_under_one_are_no_template() {
    let mut wire = wire();
    for n in 0..60 {
        let name = if n % 20 == 19 { format!("mx.{n}.example") } else { "mx.firm.example".into() };
        speak(&mut wire, OUTSIDE, 25, &name, 0);
    }
    assert_eq!(worst(&wire), None);
}
