//! One header block (RFC 5322, section 2.2): where it ends, its fields, and what a reader sees of them.
//!
//! Line ends are CRLF, LF or CR, as they come: worms of this family send bare LF. The block is cut up here, since its
//! end, the raw value of each field and the bounds must be exact. What a field says is then read by mail-parser, field by
//! field: only those that it is known to read right are shown to it (`is_plain` of `parameter.rs`, `address.rs`,
//! `word.rs`), so that neither what it loses nor what takes it quadratic time can be reached from the wire. The
//! others are read by the lenient readers beside those functions.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr_iter, memchr2};

use mail_parser::{HeaderValue, MessageParser};

use super::address;
use super::hash;
use super::parameter::{self, Parameters};
use super::word::{self, decode_words};
use crate::model::limits;
use crate::model::mail::{Email, Header};

/// A header block within a message: ranges of the message's bytes.
#[derive(Debug, Default)]
pub struct Block {
    pub fields: Vec<Field>,
    /// Where the body begins.
    pub body: usize,
    /// Fields, or bytes of fields, past the bound were left out.
    pub cut: bool,
    /// A line that is no header field stands among the fields.
    pub malformed: bool,
}

/// A field of a block.
#[derive(Clone, Debug)]
pub struct Field {
    pub name: Range<usize>,
    /// From behind the colon to before the last line end.
    pub value: Range<usize>,
    /// Behind the last line end.
    pub end: usize,
}

impl Block {
    /// Reads the block that begins at `start`. It ends with a blank line, before a line for which `ends_at` holds
    /// (a delimiter that comes early), or before the first line that cannot be a field.
    ///
    /// A line that is no field, but has fields around it, is passed over: some readers do so, and a sender could
    /// hide the fields behind it. An mbox `From ` line at the front is no field and no body.
    pub fn read(bytes: &[u8], start: usize, mut ends_at: impl FnMut(&[u8]) -> bool) -> Self {
        let mut block = Self { body: start, ..Self::default() };
        let mut bound = Bound::default();
        let mut at = start;
        while at < bytes.len() {
            let line = line_at(bytes, at);
            let text = bytes.get(line.text.clone()).unwrap_or_default();
            if text.is_empty() {
                block.body = line.next;
                return block;
            }
            if text.starts_with(b"--") && ends_at(text) {
                break;
            }
            match (line_kind(text), block.fields.last_mut()) {
                (Kind::Fold, Some(field)) if !bound.dropping => {
                    // One line can be as long as the message.
                    field.value.end = line.text.end.min(field.value.start + limits::HEADER_BYTES);
                    field.end = line.next;
                    block.cut |= field.value.end < line.text.end;
                    bound.dropping = field.value.end < line.text.end;
                }
                (Kind::Fold, Some(_)) => block.cut = true,
                (Kind::Field { name, value }, _) => {
                    let over = at - start > limits::HEADER_BYTES || block.fields.len() >= limits::HEADER_FIELDS;
                    bound.dropping = !bound.keeps(text.get(..name).unwrap_or_default(), over);
                    block.cut |= bound.dropping;
                    if !bound.dropping {
                        let start = at + value;
                        let end = line.text.end.min(start + limits::HEADER_BYTES);
                        block.cut |= end < line.text.end;
                        bound.dropping = end < line.text.end;
                        block.fields.push(Field { name: at..at + name, value: start..end, end: line.next });
                    }
                }
                (_, None) if at == start && (text.starts_with(b"From ") || text.starts_with(b">From ")) => {}
                (_, Some(_)) if followed_by_field(bytes, line.next) => {
                    (block.malformed, bound.dropping) = (true, true);
                }
                _ => break,
            }
            at = line.next;
        }
        block.body = at;
        block
    }

    /// The fields of that name, unfolded.
    pub fn all<'s>(&'s self, bytes: &'s [u8], name: &'s str) -> impl Iterator<Item = Cow<'s, [u8]>> {
        self.named(bytes, name).map(move |field| unfold(bytes.get(field.value.clone()).unwrap_or_default()))
    }

    /// The fields of that name, each as a word with parameters (Content-Type, Content-Disposition), and where its value
    /// stands.
    pub fn all_parameters<'s, 'a: 's>(
        &'s self,
        bytes: &'a [u8],
        name: &'s str,
    ) -> impl Iterator<Item = (Range<usize>, Parameters<'a>)> + use<'s, 'a> {
        self.named(bytes, name).map(move |field| {
            let value = bytes.get(field.value.clone()).unwrap_or_default();
            let read = match field.parsed(bytes, parameter::is_plain(value)) {
                Some(HeaderValue::ContentType(value)) => Parameters::read(value),
                _ => Parameters::parse(value),
            };
            (field.value.clone(), read)
        })
    }

    /// Whether there are several fields of that name.
    pub fn is_repeated(&self, bytes: &[u8], name: &str) -> bool {
        self.named(bytes, name).nth(1).is_some()
    }

    fn named<'s>(&'s self, bytes: &'s [u8], name: &'s str) -> impl Iterator<Item = &'s Field> {
        self.fields
            .iter()
            .filter(move |field| bytes.get(field.name.clone()).is_some_and(|n| n.eq_ignore_ascii_case(name.as_bytes())))
    }

    /// The first field of that name, as text.
    fn text(&self, bytes: &[u8], name: &str) -> Option<String> {
        let field = self.named(bytes, name).next()?;
        let value = bytes.get(field.value.clone()).unwrap_or_default();
        match field.parsed(bytes, word::is_plain(value)) {
            Some(HeaderValue::Text(text)) if !text.contains(char::REPLACEMENT_CHARACTER) => {
                Some(text.trim().to_owned())
            }
            _ => Some(decode_words(unfold(value).trim_ascii())),
        }
    }

    /// The addresses of all fields of that name.
    fn addresses(&self, bytes: &[u8], name: &str) -> Vec<String> {
        let mut all = Vec::new();
        for field in self.named(bytes, name) {
            let value = bytes.get(field.value.clone()).unwrap_or_default();
            let room = limits::HEADER_ADDRESSES - all.len();
            match field.parsed(bytes, address::is_plain(value)) {
                Some(HeaderValue::Address(list)) => all.extend(address::read(&list).take(room)),
                _ => all.append(&mut address::list(&unfold(value), room)),
            }
        }
        all
    }

    /// What the block, as a message's own, says to its reader. Of fields that come more than once the first counts,
    /// save for lists of addresses, which are joined.
    pub fn email(&self, bytes: &[u8]) -> Email {
        let text = |name: &str| self.text(bytes, name);
        let from = self.addresses(bytes, "from").join(", ");
        let subject = text("subject");
        Email {
            headers: self.fields.iter().map(|field| shown(bytes, field)).collect(),
            from: if from.is_empty() { text("from") } else { Some(from) },
            to: self.addresses(bytes, "to"),
            cc: self.addresses(bytes, "cc"),
            subject_md5: subject.as_ref().map(|subject| hash::md5(subject.as_bytes())),
            subject,
            message_id: text("message-id").map(|id| without_brackets(&id).to_owned()),
            date: text("date"),
            x_mailer: text("x-mailer"),
            ..Email::default()
        }
    }
}

impl Field {
    /// The field as mail-parser reads it, if `plain` says that it can. None as well for lines that end in CR alone, and
    /// for a field without a line end of its own, of which it would lose the end.
    fn parsed<'a>(&self, bytes: &'a [u8], plain: bool) -> Option<HeaderValue<'a>> {
        let field = bytes.get(self.name.start..self.end)?;
        let ends_known =
            field.ends_with(b"\n") && memchr_iter(b'\r', field).all(|at| field.get(at + 1) == Some(&b'\n'));
        if !plain || !ends_known {
            return None;
        }
        let part = MessageParser::new().parse_headers(field)?.parts.into_iter().next()?;
        part.headers.into_iter().next().map(|header| header.value)
    }
}

/// What is kept of a block past the bound: the first of each field that says who, what and how, which a sender could
/// else push out of sight behind a thousand others.
#[derive(Default)]
struct Bound {
    /// One bit for each of [`KEPT`] seen.
    seen: u32,
    /// The field before was left out, and its folds with it.
    dropping: bool,
}

impl Bound {
    fn keeps(&mut self, name: &[u8], over: bool) -> bool {
        let Some(index) = KEPT.iter().position(|kept| kept.eq_ignore_ascii_case(name)) else { return !over };
        let first = self.seen & 1 << index == 0;
        self.seen |= 1 << index;
        first || !over
    }
}

/// A line of a message.
#[derive(Clone, Debug)]
pub struct Line {
    /// Without its end.
    pub text: Range<usize>,
    /// Where the next line begins.
    pub next: usize,
}

/// The line that begins at `start`. A line ends in LF, CRLF or CR; several CR before one LF (a known defect of
/// gateways) are one end too, or a header block would end too early.
pub fn line_at(bytes: &[u8], start: usize) -> Line {
    let rest = bytes.get(start..).unwrap_or_default();
    let Some(length) = memchr2(b'\n', b'\r', rest) else { return Line { text: start..bytes.len(), next: bytes.len() } };
    let end = rest.get(length..).unwrap_or_default();
    let returns = end.iter().take(MAX_RETURNS).take_while(|byte| **byte == b'\r').count();
    let ended = match end.get(returns) {
        Some(b'\n') => returns + 1,
        _ => 1,
    };
    Line { text: start..start + length, next: start + length + ended }
}

/// Takes the folds out of a value (RFC 5322, section 2.2.3): only line ends go, white space stays.
pub fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    if memchr2(b'\r', b'\n', value).is_none() {
        return Cow::Borrowed(value);
    }
    Cow::Owned(value.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect())
}

/// Where the header block of a message begins that has blank lines before it, if fields that only a message has follow
/// them. By the standard its header is empty then and all of this is text (RFC 5322, section 2.1); but senders that end
/// DATA with one line end too many write so, and a sensor that takes the rest for text can be passed.
pub fn late_start(bytes: &[u8]) -> Option<usize> {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).filter(|start| *start > 0)?;
    let text = bytes.get(line_at(bytes, start).text)?;
    match line_kind(text) {
        Kind::Field { name, .. } => {
            let name = text.get(..name)?;
            KEPT.iter().chain(OPENERS).any(|known| known.eq_ignore_ascii_case(name)).then_some(start)
        }
        _ => None,
    }
}

enum Kind {
    /// Length of the name, and where the value begins behind the colon.
    Field {
        name: usize,
        value: usize,
    },
    /// Begins with white space: goes on the field before.
    Fold,
    Other,
}

/// What a line within a header block is. White space before the colon is obsolete but legal (RFC 5322, section 4.5).
fn line_kind(text: &[u8]) -> Kind {
    if matches!(text.first(), Some(b' ' | b'\t')) {
        return Kind::Fold;
    }
    let name = text.iter().take_while(|byte| byte.is_ascii_graphic() && **byte != b':').count();
    let rest = text.get(name..).unwrap_or_default();
    let colon = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    match rest.get(colon) {
        Some(b':') if (1..=limits::HEADER_NAME_BYTES).contains(&name) => Kind::Field { name, value: name + colon + 1 },
        _ => Kind::Other,
    }
}

fn followed_by_field(bytes: &[u8], next: usize) -> bool {
    let text = line_at(bytes, next).text;
    matches!(line_kind(bytes.get(text).unwrap_or_default()), Kind::Field { .. })
}

fn shown(bytes: &[u8], field: &Field) -> Header {
    let name = bytes.get(field.name.clone()).unwrap_or_default();
    let raw = bytes.get(field.value.clone()).unwrap_or_default().trim_ascii();
    Header {
        name: String::from_utf8_lossy(name).into_owned(),
        value: decode_words(&unfold(raw)),
        raw: String::from_utf8_lossy(raw).into_owned(),
    }
}

fn without_brackets(id: &str) -> &str {
    match id.split_once('<') {
        Some((_, rest)) => rest.split('>').next().unwrap_or(rest).trim(),
        None => id.trim_matches(['<', '>', ' ']),
    }
}

/// Fields kept past the bound.
const KEPT: [&[u8]; 10] = [
    b"From",
    b"To",
    b"Cc",
    b"Subject",
    b"Date",
    b"Message-ID",
    b"X-Mailer",
    b"Content-Type",
    b"Content-Transfer-Encoding",
    b"Content-Disposition",
];

/// Other fields that messages begin with.
const OPENERS: &[&[u8]] = &[b"Received", b"Return-Path", b"MIME-Version", b"Reply-To", b"Sender", b"DKIM-Signature"];

/// Carriage returns in a row that can belong to one line end.
const MAX_RETURNS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Block {
        Block::read(bytes, 0, |_| false)
    }

    fn body(text: &str) -> &str {
        &text[read(text.as_bytes()).body..]
    }

    #[test]
    fn finds_the_end_of_the_block() {
        for text in [
            "Subject: x\r\n\r\nbody",
            "Subject: x\n\nbody",
            "Subject: x\r\rbody",
            "Subject: x\r\r\n\r\r\nbody",
            "From a@b Fri Oct 31 2003\nSubject: x\n\nbody",
            "Subject: x\n \n folded\n\nbody",
            "Subject: x\nbody",
            "body",
            "\nbody",
            "Subject: x\njunk line\nTo: a@b\n\nbody",
            "Subject : x\n\nbody",
        ] {
            assert_eq!(body(text), "body", "{text:?}");
        }
        assert_eq!(body("Hello there\nhow are you\n\nNote: x"), "Hello there\nhow are you\n\nNote: x");
        assert_eq!(body("Subject: x\n"), "");
        assert_eq!(body(""), "");
    }

    #[test]
    fn shows_fields_as_a_reader_sees_them() {
        let text = b"From: \"Joe\" <james@example.com>\nTo: a@b,\n\tC <c@d>\nTO: e@f\n\
            Subject: =?utf-8?q?caf=C3=A9?=\n =?utf-8?q?_x?=   y\nSUBJECT: second\n\
            Message-ID: <1@x>\nDate: Fri, 31 Oct 2003 12:00:00 +0000\nX-Mailer: The Bat! (v1.62)\n\nbody\n";
        let email = read(text).email(text);
        assert_eq!(email.from.as_deref(), Some("Joe <james@example.com>"));
        assert_eq!(email.to, ["a@b", "C <c@d>", "e@f"]);
        assert_eq!(email.subject.as_deref(), Some("caf\u{e9} x   y"));
        assert_eq!(email.message_id.as_deref(), Some("1@x"));
        assert_eq!(email.date.as_deref(), Some("Fri, 31 Oct 2003 12:00:00 +0000"));
        assert_eq!(email.x_mailer.as_deref(), Some("The Bat! (v1.62)"));
        assert_eq!(email.headers.len(), 8);
        assert_eq!(email.headers[3].raw, "=?utf-8?q?caf=C3=A9?=\n =?utf-8?q?_x?=   y");
        assert_eq!(email.headers[2], Header { name: "TO".into(), value: "e@f".into(), raw: "e@f".into() });
    }

    #[test]
    fn line_ends_do_not_matter() {
        let text = "To: \"x, y\" <xy@a>, a@b\nSubject: one =?utf-8?q?tw=C3=B3?= three\nCc: c@d\n\n";
        for end in ["\n", "\r\n", "\r", "\r\r\n"] {
            let text = text.replace('\n', end);
            let email = read(text.as_bytes()).email(text.as_bytes());
            assert_eq!(email.to, ["\"x, y\" <xy@a>", "a@b"], "{end:?}");
            assert_eq!((email.subject.as_deref(), email.cc), (Some("one tw\u{f3} three"), vec!["c@d".to_owned()]));
        }
        let text = "To: a@b, c@d";
        assert_eq!(read(text.as_bytes()).email(text.as_bytes()).to, ["a@b", "c@d"]);
    }

    #[test]
    fn a_delimiter_ends_the_block() {
        let text = b"Content-Type: text/plain\n--b:1\nrest";
        let block = Block::read(text, 0, |line| line == b"--b:1");
        assert_eq!(&text[block.body..], b"--b:1\nrest");
        assert_eq!(read(text).fields.len(), 2);
    }

    #[test]
    fn a_block_is_bounded() {
        let many = b"A: b\n".repeat(limits::HEADER_FIELDS + 5);
        let text = [&many[..], b"From: a@b,\n c@d\nB: x\n fold\nFrom: e@f\n\nbody"].concat();
        let block = read(&text);
        assert!(block.cut);
        assert_eq!(block.fields.len(), limits::HEADER_FIELDS + 1);
        assert_eq!(block.email(&text).from.as_deref(), Some("a@b, c@d"));
        assert_eq!(&text[block.body..], b"body");

        let text = [b"A: b\n".to_vec(), b" c\n".repeat(limits::HEADER_BYTES), b"To: a@b\n\nbody".to_vec()].concat();
        let block = read(&text);
        assert!(block.cut && block.fields[0].value.len() == limits::HEADER_BYTES);
        assert_eq!(block.email(&text).to, ["a@b"]);
        assert_eq!(&text[block.body..], b"body");

        let text =
            [b"A: ".to_vec(), b"c".repeat(9 * limits::HEADER_BYTES), b"\n fold\nTo: a@b\n\nbody".to_vec()].concat();
        let block = read(&text);
        assert!(block.cut && block.fields[0].value.len() == limits::HEADER_BYTES);
        assert_eq!((block.email(&text).to, &text[block.body..]), (vec!["a@b".to_owned()], &b"body"[..]));

        let text = [b"A: b\n ".to_vec(), b"c".repeat(9 * limits::HEADER_BYTES), b"\nTo: a@b\n\nbody".to_vec()].concat();
        let block = read(&text);
        assert!(block.cut && block.fields[0].value.len() == limits::HEADER_BYTES);
        assert_eq!((block.email(&text).to, &text[block.body..]), (vec!["a@b".to_owned()], &b"body"[..]));
    }
}
