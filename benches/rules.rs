//! What rules cost: the built-in packs and 100 rules more, against an ordinary message, the worm, and DNS names.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use mailsnare::model::event::{Envelope, SmtpEvent};
use mailsnare::model::mail::{Email, FileFact, FileKind, Header};
use mailsnare::model::net::Direction;
use mailsnare::rules::{BUILTIN, RuleSet, Subject};

fn rules(c: &mut Criterion) {
    let set = rule_set(100);
    for (name, mail) in [("ordinary message", ordinary(2_000)), ("long message", ordinary(200_000)), ("worm", worm())] {
        let (smtp, email, files) = mail;
        let subject =
            Subject { direction: Direction::Inbound, smtp: &smtp, email: Some(&email), files: &files, message: None };
        let hits = set.evaluate(&subject).len();
        assert_eq!(hits > 0, name == "worm", "{name}: {hits} rules matched");
        c.bench_function(name, |b| b.iter(|| set.evaluate(black_box(&subject))));
    }
    for name in ["www.example.org", "www.darkprofits.com"] {
        c.bench_function(name, |b| b.iter(|| set.evaluate_dns(black_box(name), Direction::Outbound)));
    }
}

/// The built-in packs and `count` rules in the manner of a pack of worm families.
fn rule_set(count: usize) -> RuleSet {
    let one = |at: usize| {
        let condition = match at % 5 {
            0 => format!(
                "subject = {{ one_of = [\"worm {at} says hello\", \"re: worm {at}\"] }}, \
                 attachment = {{ name = {{ ends_with = \".pif\" }} }}"
            ),
            1 => format!(
                "any = [{{ subject = {{ starts_with = \"virus {at}\" }} }}, \
                 {{ body = {{ contains = \"the text of virus {at} goes like this\" }} }}]"
            ),
            2 => format!(
                "all = [{{ member = {{ type = \"pe\", size = {} }} }}, {{ header = {{ name = \"X-Mailer\", contains = \"Mailer {at}\" }} }}]",
                30_000 + at
            ),
            3 => format!("attachment = {{ name = {{ regex = '^(?:doc|file|text){at}\\.(?:zip|scr|exe)$' }} }}"),
            _ => format!("dns.name = {{ ends_with = \".worm{at}.example\" }}"),
        };
        format!(
            "[[rule]]\nid = \"bench-{at}\"\nsid = {}\nrev = 1\ntitle = \"t\"\nseverity = \"low\"\ncategory = \"worm\"\n\
             remediation = \"r\"\nmatch = {{ {condition} }}\n",
            at + 1
        )
    };
    let mut sources: Vec<_> = BUILTIN.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
    sources.push(("bench.toml".to_owned(), (0..count).map(one).collect()));
    RuleSet::from_sources(&sources).expect("the bench's rules are sound")
}

type Mail = (SmtpEvent, Email, Vec<FileFact>);

fn ordinary(text: usize) -> Mail {
    let smtp = transaction("mail.example.com", "bob@example.com", "anna@example.org");
    let names = ["Received", "Received", "Date", "From", "To", "Subject", "Message-ID", "MIME-Version", "Content-Type"];
    let email = Email {
        headers: names.iter().map(|name| header(name, "some value of a header")).collect(),
        from: Some("Bob <bob@example.com>".into()),
        to: vec!["anna@example.org".into()],
        subject: Some("Minutes of Thursday's meeting".into()),
        text: "Dear Anna,\r\nthe minutes are attached, as promised. Best, Bob\r\n".repeat(text / 60),
        size: 60_000 + text as u64,
        ..Email::default()
    };
    let minutes =
        FileFact { filename: "Minutes.pdf".into(), size: 40_000, kind: FileKind("pdf"), ..FileFact::default() };
    (smtp, email, vec![minutes])
}

fn worm() -> Mail {
    let smtp = transaction("localhost", "james@example.org", "anna@example.org");
    let email = Email {
        headers: vec![header("From", "james@example.org"), header("X-Mailer", "The Bat! (v1.62)")],
        from: Some("james@example.org".into()),
        to: vec!["anna@example.org".into()],
        subject: Some("Re[2]: our private photos                        qkzvmhdw".into()),
        text: "Hello Dear!\n\nRight now enjoy the photos.\n\nKiss, James.\n".into(),
        size: 18_000,
        ..Email::default()
    };
    let zip = FileFact { filename: "photos.zip".into(), size: 12_958, kind: FileKind("zip"), ..FileFact::default() };
    let member = FileFact {
        filename: "photos.jpg.exe".into(),
        size: 12_832,
        kind: FileKind("pe"),
        container: vec!["photos.zip".into()],
        ..FileFact::default()
    };
    (smtp, email, vec![zip, member])
}

fn transaction(helo: &str, from: &str, to: &str) -> SmtpEvent {
    let envelope = Envelope { mail_from: from.into(), rcpt_to: vec![to.into()], ..Envelope::default() };
    SmtpEvent { helo: Some(helo.into()), envelope: Some(envelope), ..SmtpEvent::default() }
}

fn header(name: &str, value: &str) -> Header {
    Header { name: name.into(), value: value.into(), raw: value.into() }
}

criterion_group!(benches, rules);
criterion_main!(benches);
