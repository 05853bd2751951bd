//! The fields rules can ask for, read from a message or a DNS question when first asked for.

use std::cell::OnceCell;

use memchr::memmem;

use super::file::FileTexts;
use super::text::Text;
use crate::model::event::{Dialect, SmtpEvent};
use crate::model::limits::RULE_RAW_BYTES;
use crate::model::mail::{Email, FileFact, Header};
use crate::model::net::Direction;

/// A message as the rules see it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub direction: Direction,
    /// The transaction, with its envelope and dialect.
    pub smtp: &'a SmtpEvent,
    /// The message read; none when there was none.
    pub email: Option<&'a Email>,
    /// Its attachments and archive members.
    pub files: &'a [FileFact],
    /// The message's bytes, for tests of the raw body.
    pub message: Option<&'a [u8]>,
}

/// A field that holds text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextField {
    Helo,
    MailFrom,
    RcptTo,
    HeaderFrom,
    HeaderTo,
    Subject,
    Body,
}

impl TextField {
    pub const ALL: [Self; 7] =
        [Self::Helo, Self::MailFrom, Self::RcptTo, Self::HeaderFrom, Self::HeaderTo, Self::Subject, Self::Body];

    /// Its name in rules.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Helo => "helo",
            Self::MailFrom => "mail_from",
            Self::RcptTo => "rcpt_to",
            Self::HeaderFrom => "header_from",
            Self::HeaderTo => "header_to",
            Self::Subject => "subject",
            Self::Body => "body",
        }
    }

    /// Whether what is on the wire differs from what a reader sees.
    pub const fn has_raw(self) -> bool {
        matches!(self, Self::Subject | Self::Body)
    }

    /// Whether its white space is folded before it is tested.
    pub const fn is_prose(self) -> bool {
        self.has_raw()
    }

    /// Whether its values have a domain.
    pub const fn has_domain(self) -> bool {
        !self.is_prose()
    }
}

/// What rules are held against. Each field is made ready at most once, however many rules ask for it.
pub(super) struct Context<'a> {
    about: About<'a>,
    texts: [OnceCell<Vec<Text<'a>>>; TextField::ALL.len()],
    raw_subject: OnceCell<Vec<Text<'a>>>,
    raw_body: OnceCell<Vec<Text<'a>>>,
    headers: OnceCell<Vec<HeaderTexts<'a>>>,
    files: OnceCell<Vec<FileTexts<'a>>>,
}

enum About<'a> {
    Mail(Subject<'a>),
    Dns { name: Text<'a>, direction: Direction },
}

struct HeaderTexts<'a> {
    name: &'a str,
    value: Text<'a>,
    raw: Text<'a>,
}

impl<'a> Context<'a> {
    pub fn of_mail(subject: &Subject<'a>) -> Self {
        Self::new(About::Mail(*subject))
    }

    /// `name` is in presentation form, with or without the final dot.
    pub fn of_dns(name: &'a str, direction: Direction) -> Self {
        let bare = name.strip_suffix('.').filter(|rest| !rest.is_empty()).unwrap_or(name);
        Self::new(About::Dns { name: Text::plain(bare.as_bytes()), direction })
    }

    fn new(about: About<'a>) -> Self {
        Self {
            about,
            texts: Default::default(),
            raw_subject: OnceCell::new(),
            raw_body: OnceCell::new(),
            headers: OnceCell::new(),
            files: OnceCell::new(),
        }
    }

    pub fn direction(&self) -> Direction {
        match &self.about {
            About::Mail(subject) => subject.direction,
            About::Dns { direction, .. } => *direction,
        }
    }

    pub fn dns_name(&self) -> Option<&Text<'a>> {
        match &self.about {
            About::Mail(_) => None,
            About::Dns { name, .. } => Some(name),
        }
    }

    pub fn dialect(&self) -> Dialect {
        self.mail().map(|mail| mail.smtp.dialect).unwrap_or_default()
    }

    /// Bytes of the message on the wire.
    pub fn size(&self) -> Option<u64> {
        let mail = self.mail()?;
        mail.email.map(|email| email.size).or_else(|| mail.message.map(|bytes| bytes.len() as u64))
    }

    pub fn files(&self) -> &[FileTexts<'a>] {
        self.files
            .get_or_init(|| self.mail().map(|mail| mail.files).unwrap_or_default().iter().map(FileTexts::new).collect())
    }

    /// The values of the headers of that name, in order.
    pub fn header<'c>(&'c self, name: &'c str, raw: bool) -> impl Iterator<Item = &'c Text<'a>> {
        let named = self.headers().iter().filter(|header| header.name.eq_ignore_ascii_case(name));
        named.map(move |header| if raw { &header.raw } else { &header.value })
    }

    /// Whether there is a header of that name; none without a message that could have one. A message cut short
    /// within its headers is still taken at its word: what is shown is what was sent first.
    pub fn has_header(&self, name: &str) -> Option<bool> {
        let email = self.mail()?.email?;
        Some(email.headers.iter().any(|header| header.name.eq_ignore_ascii_case(name)))
    }

    pub fn values(&self, field: TextField, raw: bool) -> &[Text<'a>] {
        match field {
            TextField::Subject if raw => self.raw_subject.get_or_init(|| self.read_raw_subject()),
            TextField::Body if raw => self.raw_body.get_or_init(|| self.read_raw_body()),
            _ => self.texts[field as usize].get_or_init(|| self.read(field)),
        }
    }

    /// A domain that both fields have, folded.
    pub fn shared_domain(&self, one: TextField, other: TextField) -> Option<&[u8]> {
        let domains = |field| self.values(field, false).iter().filter_map(move |value| domain(field, value.lower()));
        let mut ones: Vec<&[u8]> = domains(one).collect();
        ones.sort_unstable();
        domains(other).find(|domain| ones.binary_search(domain).is_ok())
    }

    fn mail(&self) -> Option<&Subject<'a>> {
        match &self.about {
            About::Mail(subject) => Some(subject),
            About::Dns { .. } => None,
        }
    }

    fn email(&self) -> Option<&'a Email> {
        self.mail()?.email
    }

    fn headers(&self) -> &[HeaderTexts<'a>] {
        let texts = |header: &'a Header| HeaderTexts {
            name: &header.name,
            value: Text::prose(&header.value),
            raw: Text::plain(header.raw.as_bytes()),
        };
        self.headers.get_or_init(|| {
            let headers: &'a [Header] = self.email().map(|email| email.headers.as_slice()).unwrap_or_default();
            headers.iter().map(texts).collect()
        })
    }

    fn read(&self, field: TextField) -> Vec<Text<'a>> {
        let Some(mail) = self.mail() else { return Vec::new() };
        let envelope = mail.smtp.envelope.as_ref();
        let email = mail.email;
        match field {
            TextField::Helo => mail.smtp.helo.iter().map(|name| Text::plain(name.as_bytes())).collect(),
            TextField::MailFrom => envelope.map(|e| Text::plain(e.mail_from.as_bytes())).into_iter().collect(),
            TextField::RcptTo => {
                envelope.into_iter().flat_map(|e| &e.rcpt_to).map(|to| Text::plain(to.as_bytes())).collect()
            }
            TextField::HeaderFrom => email.and_then(|e| e.from.as_deref()).map(address_text).into_iter().collect(),
            TextField::HeaderTo => {
                email.into_iter().flat_map(|e| e.to.iter().chain(&e.cc)).map(|to| address_text(to)).collect()
            }
            TextField::Subject => email.and_then(|e| e.subject.as_deref()).map(Text::prose).into_iter().collect(),
            TextField::Body => email.map(|e| Text::prose(&e.text)).into_iter().collect(),
        }
    }

    fn read_raw_subject(&self) -> Vec<Text<'a>> {
        let headers = self.email().map(|email| email.headers.as_slice()).unwrap_or_default();
        let named = headers.iter().filter(|header| header.name.eq_ignore_ascii_case("subject"));
        named.map(|header| Text::plain(header.raw.as_bytes())).collect()
    }

    fn read_raw_body(&self) -> Vec<Text<'a>> {
        let body = self.mail().and_then(|mail| mail.message).map(raw_body);
        body.map(|bytes| Text::plain(bytes.get(..RULE_RAW_BYTES).unwrap_or(bytes))).into_iter().collect()
    }
}

/// What follows the empty line after the headers, whichever line ends the message uses.
fn raw_body(message: &[u8]) -> &[u8] {
    let crlf = memmem::find(message, b"\r\n\r\n").map(|at| at + 4);
    let lf = memmem::find(message, b"\n\n").map(|at| at + 2);
    let start = crlf.into_iter().chain(lf).min().unwrap_or(message.len());
    message.get(start..).unwrap_or_default()
}

fn address_text(shown: &str) -> Text<'_> {
    Text::plain(address(shown).as_bytes())
}

/// The address in a header's value: what stands in the last angle brackets, or else all of it.
fn address(shown: &str) -> &str {
    let bracketed = shown.rsplit_once('<').and_then(|(_, rest)| Some(rest.split_once('>')?.0));
    bracketed.unwrap_or(shown).trim()
}

/// The domain of an address, or of a HELO name, which is one; none when it is empty.
fn domain(field: TextField, value: &[u8]) -> Option<&[u8]> {
    let domain = match memchr::memrchr(b'@', value) {
        Some(at) => value.get(at + 1..)?,
        None if field == TextField::Helo => value,
        None => return None,
    };
    let domain = domain.strip_suffix(b".").unwrap_or(domain);
    (!domain.is_empty()).then_some(domain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::Envelope;

    #[test]
    fn addresses_are_taken_out_of_headers() {
        for (shown, bare) in [
            ("James <james@example.org>", "james@example.org"),
            ("\"a <b@c>\" <d@e>", "d@e"),
            (" f@g ", "f@g"),
            ("half <open@x", "half <open@x"),
            ("", ""),
        ] {
            assert_eq!(address(shown), bare);
        }
    }

    #[test]
    fn domains_are_folded_and_bare() {
        let smtp = SmtpEvent {
            helo: Some("Example.ORG".into()),
            envelope: Some(Envelope {
                mail_from: "james@EXAMPLE.org.".into(),
                rcpt_to: vec!["a@b.test".into(), "nobody".into(), "you@example.org".into()],
                ..Envelope::default()
            }),
            ..SmtpEvent::default()
        };
        let subject = Subject { direction: Direction::Inbound, smtp: &smtp, email: None, files: &[], message: None };
        let context = Context::of_mail(&subject);
        let shared = |a, b| context.shared_domain(a, b).map(|domain| String::from_utf8_lossy(domain).into_owned());
        assert_eq!(shared(TextField::MailFrom, TextField::RcptTo).as_deref(), Some("example.org"));
        assert_eq!(shared(TextField::Helo, TextField::RcptTo).as_deref(), Some("example.org"));
        assert_eq!(shared(TextField::HeaderFrom, TextField::RcptTo), None);
    }

    #[test]
    fn a_raw_body_begins_after_the_first_empty_line() {
        assert_eq!(raw_body(b"A: b\r\n\r\nbody\n\nmore"), b"body\n\nmore");
        assert_eq!(raw_body(b"A: b\n\nbody\r\n\r\nmore"), b"body\r\n\r\nmore");
        assert_eq!(raw_body(b"A: b\r\n"), b"");
    }

    #[test]
    fn field_names_are_distinct() {
        let mut names = TextField::ALL.map(TextField::name);
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(TextField::ALL.iter().enumerate().all(|(at, field)| *field as usize == at));
    }
}
