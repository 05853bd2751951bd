//! Who is taken for a mail server.

use super::*;
use crate::model::event::{Envelope, Rejected, Reply, SmtpEvent};

const START: i64 = 1_067_601_600;

fn at(second: i64) -> Timestamp {
    Timestamp::from_parts(START + second, 0)
}

/// A role that `clients` networks outside delivered one message each to, `apart` seconds from each other.
fn served(clients: u8, apart: i64, needs: &settings::Roles) -> Role {
    let mut role = Role::default();
    role.greets(25, at(0));
    for number in 0..clients {
        deliver(&mut role, [198, 51, number, 1], i64::from(number) * apart, needs);
    }
    role
}

fn deliver(role: &mut Role, client: [u8; 4], second: i64, needs: &settings::Roles) {
    let delivery = Delivery { client: client.into(), from_outside: true, recipients: 1, time: at(second) };
    role.takes(&delivery);
    role.settle(needs);
}

/// `count` contacts outside, each under another name and `unknown` in a hundred to somebody who does not exist.
fn spam(role: &mut Role, count: usize, unknown: usize, needs: &settings::Roles) {
    for number in 0..count {
        let address = "a@example.net".to_owned();
        let mut envelope = Envelope { mail_from: format!("x@{number}.example"), ..Envelope::default() };
        match (number * 37) % 100 < unknown {
            true => {
                let reply = Reply { code: 550, text: String::new() };
                envelope.rcpt_rejected.push(Rejected { address, reply });
            }
            false => envelope.rcpt_to.push(address),
        }
        let smtp = SmtpEvent {
            helo: Some(format!("mx{number}.example.net")),
            extended: true,
            envelope: Some(envelope),
            ..SmtpEvent::default()
        };
        role.conduct_mut().contact();
        role.conduct_mut().see(&smtp, 0);
        role.settle(needs);
    }
}

#[test]
fn says_how_it_knows() {
    let host: IpAddr = "10.0.0.25".parse().unwrap();
    let declared = Role::of(host, &["10.0.0.24/29".parse().unwrap()]);
    assert_eq!(declared.why().unwrap(), "mail server: declared (10.0.0.24/29)");
    assert!(declared.is_mail_server());

    let needs = settings::Roles::default();
    let mut role = Role::of(host, &["10.0.1.0/24".parse().unwrap()]);
    assert!(!role.is_mail_server() && role.why().is_none());
    role.greets(25, at(0));
    role.settle(&needs);
    let since = "since 2003-10-31T12:00:00.000000+0000";
    assert_eq!(role.why().unwrap(), format!("not known as a mail server: greets on port 25 {since}, took no mail"));
    let one = served(1, 300, &needs).why().unwrap();
    assert_eq!(one, format!("may be a mail server: took 1 message from 1 network outside on port 25 {since}"));
    let three = served(3, 300, &needs).why().unwrap();
    assert_eq!(three, format!("mail server: took 3 messages from 3 networks outside on port 25 {since}"));
    let many = served(40, 60, &needs).why().unwrap();
    assert!(many.starts_with("mail server: took 40 messages from 16 or more networks outside"), "{many}");
}

#[test]
fn it_takes_several_clients_over_a_while_who_deliver() {
    let needs = settings::Roles::default();
    assert!(served(3, 300, &needs).is_mail_server());
    assert!(!served(2, 3_600, &needs).is_mail_server(), "two, for as long as they like");
    assert!(!served(16, 30, &needs).is_mail_server(), "many, within eight minutes");
    let mut greeted = Role::default();
    (0..100).for_each(|second| greeted.greets(25, at(second * 60)));
    greeted.settle(&needs);
    assert!(!greeted.is_mail_server() && !greeted.may_be_mail_server(), "nothing was delivered");
    let mut one = Role::default();
    one.greets(25, at(0));
    (0..100).for_each(|number| deliver(&mut one, [198, 51, 100, number], i64::from(number) * 60, &needs));
    assert!(!one.is_mail_server(), "a hundred from one network");
}

#[test]
fn hosts_at_home_do_not_vouch_for_those_outside() {
    let needs = settings::Roles::default();
    let mut role = served(2, 600, &needs);
    let inside =
        |last: u8| Delivery { client: [10, 0, 0, last].into(), from_outside: false, recipients: 1, time: at(900) };
    role.takes(&inside(1));
    role.takes(&inside(2));
    role.settle(&needs);
    assert!(!role.is_mail_server(), "two and two are not four");
    role.takes(&inside(3));
    role.settle(&needs);
    assert!(role.is_mail_server(), "a smart host serves hosts at home alone");
}

#[test]
fn what_comes_late_counts_less() {
    let needs = settings::Roles::default();
    let mut infected = Role::default();
    infected.judged(Verdict::Infected);
    infected.greets(25, at(0));
    (0..9).for_each(|number| deliver(&mut infected, [198, 51, number, 1], i64::from(number) * 3_600, &needs));
    assert!(!infected.is_mail_server() && !infected.may_be_mail_server());
    let mut suspect = Role::default();
    suspect.judged(Verdict::Suspicious);
    suspect.greets(25, at(0));
    (0..5).for_each(|number| deliver(&mut suspect, [198, 51, number, 1], i64::from(number) * 900, &needs));
    assert!(!suspect.is_mail_server(), "five within an hour");
    deliver(&mut suspect, [198, 51, 9, 1], 4_000, &needs);
    assert!(suspect.is_mail_server(), "six, and over an hour");
}

/// By hand: 3 clients explain 5 contacts each, 3 recipients 2 each, and 3 are free: 24.
#[test]
fn a_learnt_role_covers_what_is_sent_in_proportion() {
    let needs = settings::Roles::default();
    let mut role = served(3, 300, &needs);
    spam(&mut role, 24, 60, &needs);
    assert!(role.is_mail_server());
    spam(&mut role, 1, 60, &needs);
    assert!(!role.is_mail_server() && !role.may_be_mail_server());
    assert!(role.why().unwrap().starts_with("no mail server, for too many it mails to do not exist: took 3"));
    let mut clean = served(3, 300, &needs);
    spam(&mut clean, 500, 5, &needs);
    assert!(clean.is_mail_server(), "a newsletter");
}

#[test]
fn doubt_makes_milder_and_proportion_ends_it() {
    use Severity::{High, Low};
    let needs = settings::Roles::default();
    let mut role = Role::default();
    assert_eq!(role.temper(High, "x"), (High, "x"));
    role.greets(25, at(0));
    role.settle(&needs);
    assert_eq!(role.temper(High, "x"), (High, "x"), "a greeting alone");
    deliver(&mut role, [198, 51, 100, 1], 5, &needs);
    assert_eq!(role.temper(High, "x"), (Low, DOUBTFUL));
    spam(&mut role, 10, 0, &needs);
    assert_eq!(role.temper(High, "x"), (Low, DOUBTFUL), "5 + 2 + 3");
    spam(&mut role, 1, 0, &needs);
    assert_eq!(role.temper(High, "x"), (High, "x"), "and speaks as a bot");
}

#[test]
fn ceilings_grow_with_those_who_deliver() {
    let needs = settings::Roles::default();
    let ceilings = [0, 2, 3, 8, 16].map(|clients| served(clients, 400, &needs).ceilings(100));
    assert_eq!(ceilings, [1, 1, 6, 16, 100]);
    assert_eq!(Role::of("10.0.0.1".parse().unwrap(), &["10.0.0.0/8".parse().unwrap()]).ceilings(100), 100);
}

/// Sessions outside under one full name and in its own domain, to the same recipient or each to a new one.
fn mail_well(role: &mut Role, count: usize, needs: &settings::Roles) {
    for number in 0..count {
        let envelope = Envelope {
            mail_from: "office@firm.example".into(),
            rcpt_to: vec![format!("r{number}@example.net")],
            ..Envelope::default()
        };
        let helo = Some("mx.firm.example".to_owned());
        let smtp = SmtpEvent { helo, extended: true, envelope: Some(envelope), ..SmtpEvent::default() };
        role.conduct_mut().contact();
        role.conduct_mut().see(&smtp, 0);
        role.settle(needs);
    }
}

#[test]
fn a_host_to_which_nothing_was_brought_is_told_by_its_manners() {
    let needs = settings::Roles::default();
    let mut role = Role::default();
    mail_well(&mut role, 1, &needs);
    assert_eq!((role.kind(), role.is_noteworthy()), (RoleKind::Possible, true));
    assert_eq!(role.why().unwrap(), "may be a mail server: speaks as one, took no mail");

    let hidden = |helo: &str| SmtpEvent { helo: Some(helo.into()), extended: true, tls: true, ..SmtpEvent::default() };
    let mut encrypts = Role::default();
    encrypts.conduct_mut().see(&hidden("mx.firm.example"), 0);
    encrypts.settle(&needs);
    assert_eq!(encrypts.temper(Severity::High, "x"), (Severity::Medium, DOUBTFUL), "what it sends is not seen");
    encrypts.conduct_mut().see(&hidden("other.firm.example"), 0);
    encrypts.settle(&needs);
    assert_eq!(encrypts.temper(Severity::High, "x"), (Severity::High, "x"));
}

#[test]
fn patience_is_four_times_as_long_with_a_host_that_was_brought_mail_from_outside() {
    let needs = settings::Roles::default();
    let patience = needs.patience as usize;
    let after = |role: &mut Role, contacts: usize| {
        mail_well(role, contacts, &needs);
        role.temper(Severity::High, "x").0
    };
    let mut stranger = Role::default();
    assert_eq!(after(&mut stranger, patience), Severity::Low);
    assert_eq!(after(&mut stranger, 1), Severity::Medium);
    let mut served = served(1, 0, &needs);
    assert_eq!(after(&mut served, 4 * patience), Severity::Low);
    assert_eq!(after(&mut served, 1), Severity::Medium);
}

#[test]
fn who_answers_names_is_a_resolver_and_nobody_else() {
    let mut role = Role::default();
    assert_eq!((role.kind(), role.is_resolver()), (RoleKind::Ordinary, false));
    role.answers_names();
    assert_eq!((role.kind(), role.is_resolver()), (RoleKind::Resolver, true));
}

#[test]
fn what_two_addresses_of_a_host_were_seen_to_do_adds_up() {
    let needs = settings::Roles::default();
    let (mut one, other) = (served(2, 600, &needs), served(3, 200, &needs));
    assert!(!one.is_mail_server() && !other.is_mail_server());
    one.join(other);
    one.settle(&needs);
    assert!(one.is_mail_server(), "three networks, over 600 s");
    let text = "mail server: took 5 messages from 3 networks outside on port 25";
    assert!(one.why().unwrap().starts_with(text), "{:?}", one.why());

    let (mut fickle, mut spammer) = (Role::default(), Role::default());
    mail_well(&mut fickle, 1, &needs);
    spam(&mut spammer, 20, 60, &needs);
    fickle.join(spammer);
    fickle.settle(&needs);
    assert!(fickle.is_fickle(), "the names of both count");
    assert_eq!(fickle.kind(), RoleKind::Ordinary);

    let mut unknown = Role::default();
    unknown.join(served(3, 300, &needs));
    unknown.settle(&needs);
    assert!(unknown.is_mail_server(), "only the other was served");

    let (mut many, mut more) = (served(10, 60, &needs), Role::default());
    more.greets(25, at(0));
    (0..10).for_each(|number| deliver(&mut more, [203, 0, number, 1], 0, &needs));
    many.join(more);
    assert_eq!(many.serves.unwrap().outside.len(), limits::ROLE_CLIENTS);
}
