//! Rule tests: messages and DNS questions a pack brings along, with the rules that must and must not match.

use super::RuleSet;
use super::condition;
use super::parse::Claim;
use super::sample::{self, Attachment};
use super::source::{Fields, Source, Value};
use super::words;
use crate::model::event::{Dialect, Envelope, Message, SmtpEvent};
use crate::model::limits::RULE_TEST_DEPTH;
use crate::model::mail::RuleHit;
use crate::model::net::Direction;

/// A test of a rule pack, ready to be run: its message is built.
#[derive(Clone, Debug)]
pub struct RuleTest {
    pub name: String,
    /// Where it stands.
    pub file: String,
    pub line: usize,
    /// Ids of the rules that must match.
    pub expect_match: Vec<String>,
    /// Ids of the rules that must not.
    pub expect_no_match: Vec<String>,
    pub direction: Direction,
    /// The transaction to be inspected, its message within; without envelope and message for a DNS test.
    pub smtp: SmtpEvent,
    /// The DNS name asked, for a DNS test.
    pub dns: Option<String>,
}

impl RuleTest {
    /// What went wrong, in words: rules that should have matched and did not, and the other way round. `hits` are
    /// those of `set` for this test's message or name.
    pub fn faults(&self, set: &RuleSet, hits: &[RuleHit]) -> Vec<String> {
        let found = |id: &String| hits.iter().find(|hit| set.rules().get(hit.rule).is_some_and(|rule| rule.id == *id));
        let missed = self.expect_match.iter().filter(|id| found(id).is_none()).map(|id| format!("{id} did not match"));
        let wrong = self.expect_no_match.iter().filter_map(|id| {
            let evidence = found(id)?.evidence.join("; ");
            Some(if evidence.is_empty() { format!("{id} matched") } else { format!("{id} matched: {evidence}") })
        });
        missed.chain(wrong).collect()
    }
}

/// A test as its file has it: the ids it names are yet to be looked up among the rules of all files.
pub(super) struct TestDraft {
    pub test: RuleTest,
    /// Every id named, with its place.
    pub named: Vec<Claim<String>>,
    /// All rules of the test's own file must not match, but for those that must.
    pub none_of_file: bool,
}

/// Reads a `[[test]]`; none when it is faulty.
pub(super) fn read(source: &mut Source<'_>, value: &Value<'_>) -> Option<TestDraft> {
    let fields = source.table("test", value)?;
    fields.allow(source, "[[test]]", TEST_KEYS);
    let name = fields.required(source, "[[test]]", "name", "say what the test shows");
    let name = name.and_then(|value| source.filled("name", value));
    let mut named = Vec::new();
    let expect_match = read_ids(source, &fields, "match", &mut named);
    let expect_no_match = read_ids(source, &fields, "no_match", &mut named);
    if fields.get("match").is_none() && fields.get("no_match").is_none() {
        let hint = "say match = [\"rule-id\"], or no_match = [\"*\"] for none of this file";
        source.error(fields.at, "[[test]] expects nothing", hint);
    }
    let direction = match fields.get("direction") {
        Some(value) => source.string("direction", value).and_then(|name| condition::direction(source, name, value)),
        None => Some(Direction::Inbound),
    };
    let dns = match fields.get("dns") {
        Some(value) => {
            if let Some(entry) = fields.entries.iter().find(|entry| MAIL_KEYS.contains(&entry.key)) {
                source.error(entry.at, format!("`{}` beside `dns`", entry.key), "a test is of a question or a message");
            }
            let name = source.filled("dns", value)?;
            // With its final dot it is a name as people write it.
            if let Some((message, hint)) = words::name_fault(name, false) {
                source.error(value.span().start, message, hint);
                return None;
            }
            Some(name.to_owned())
        }
        None => None,
    };
    let smtp = read_transaction(source, &fields);

    let (expect_match, mut expect_no_match) = (expect_match?, expect_no_match?);
    let none_of_file = expect_no_match.iter().any(|id| id == ALL);
    expect_no_match.retain(|id| id != ALL);
    named.retain(|claim| claim.value != ALL);
    let test = RuleTest {
        name: name?.to_owned(),
        file: source.name().to_owned(),
        line: source.position(fields.at).0,
        expect_match,
        expect_no_match,
        direction: direction?,
        smtp: smtp?,
        dns,
    };
    Some(TestDraft { test, named, none_of_file })
}

fn read_ids(
    source: &mut Source<'_>,
    fields: &Fields<'_, '_>,
    key: &str,
    named: &mut Vec<Claim<String>>,
) -> Option<Vec<String>> {
    let Some(value) = fields.get(key) else { return Some(Vec::new()) };
    let ids = source.strings(key, value)?;
    for (id, at) in &ids {
        let (line, column) = source.position(at.span().start);
        if *id == ALL && key == "match" {
            source.error(at.span().start, "`*` cannot be expected to match", "name the rules; * is for no_match");
        }
        named.push(Claim { value: (*id).to_owned(), line, column });
    }
    Some(ids.into_iter().map(|(id, _)| id.to_owned()).collect())
}

fn read_transaction(source: &mut Source<'_>, fields: &Fields<'_, '_>) -> Option<SmtpEvent> {
    let mut text = |key: &str| match fields.get(key) {
        Some(value) => source.string(key, value).map(|text| Some(text.to_owned())),
        None => Some(None),
    };
    let (helo, ehlo, mail_from, written) = (text("helo"), text("ehlo"), text("mail_from"), text("message"));
    let rcpt_to = match fields.get("rcpt_to") {
        Some(value) => {
            source.strings("rcpt_to", value).map(|list| list.into_iter().map(|(to, _)| to.to_owned()).collect())
        }
        None => Some(Vec::new()),
    };
    let mut dialect = match fields.get("dialect") {
        Some(value) => condition::dialect(source, value),
        None => Some(Dialect::default()),
    };
    let bare_lf = fields.get("bare_lf").map_or(Some(false), |value| source.boolean("bare_lf", value));
    let attachments = match fields.get("attachment") {
        Some(value) => read_attachments(source, value),
        None => Some(Vec::new()),
    };
    if let (Some(dialect), Some(true)) = (&mut dialect, bare_lf) {
        dialect.add(Dialect::BARE_LF);
    }

    let (helo, ehlo, mail_from, written, rcpt_to) = (helo?, ehlo?, mail_from?, written?, rcpt_to?);
    let message = compose(source, fields, written.as_deref(), &attachments?, bare_lf?)?;
    let has_envelope = mail_from.is_some() || !rcpt_to.is_empty() || message.is_some();
    let envelope = Envelope { mail_from: mail_from.unwrap_or_default(), rcpt_to, ..Envelope::default() };
    Some(SmtpEvent {
        extended: ehlo.is_some(),
        helo: ehlo.or(helo),
        envelope: has_envelope.then_some(envelope),
        dialect: dialect?,
        message,
        ..SmtpEvent::default()
    })
}

fn compose(
    source: &mut Source<'_>,
    fields: &Fields<'_, '_>,
    written: Option<&str>,
    attachments: &[Attachment],
    bare_lf: bool,
) -> Option<Option<Message>> {
    let place = |key: &str| fields.entries.iter().find(|entry| entry.key == key).map_or(fields.at, |entry| entry.at);
    let Some(written) = written else {
        if !attachments.is_empty() {
            source.error(
                place("attachment"),
                "`attachment` without `message`",
                "write its headers and text in `message`",
            );
            return None;
        }
        return Some(None);
    };
    if !attachments.is_empty() && sample::has_content_type(written) {
        let hint = "leave it out: the attachments make it multipart/mixed";
        source.error(place("message"), "the message has a Content-Type of its own", hint);
        return None;
    }
    let bytes = sample::message(written, attachments, bare_lf);
    let size = bytes.len() as u64;
    Some(Some(Message { bytes, size, truncated: false, gaps: 0 }))
}

fn read_attachments(source: &mut Source<'_>, value: &Value<'_>) -> Option<Vec<Attachment>> {
    let items = source.items("attachment", value)?;
    condition::every(items.iter().map(|item| {
        let fields = source.table("attachment", item)?;
        fields.allow(source, "`attachment`", ATTACHMENT_KEYS);
        let content_type = match fields.get("content_type") {
            Some(value) => source.filled("content_type", value)?,
            None => "application/octet-stream",
        };
        let name = read_name(source, &fields, "`attachment`")?;
        let content = read_content(source, &fields, "`attachment`", 0)?;
        Some(Attachment { name, content_type: content_type.to_owned(), content })
    }))
}

fn read_name(source: &mut Source<'_>, fields: &Fields<'_, '_>, what: &str) -> Option<String> {
    let value = fields.required(source, what, "name", "give the file a name")?;
    let name = source.string("name", value)?;
    if name.contains(['\r', '\n', '\0', '"']) {
        source.error(
            value.span().start,
            "a name with quotes or line ends",
            "write the whole part in `message` instead",
        );
        return None;
    }
    Some(name.to_owned())
}

/// The bytes of a sample file: text, base64, an inert program, or an archive of samples.
fn read_content(source: &mut Source<'_>, fields: &Fields<'_, '_>, what: &str, depth: usize) -> Option<Vec<u8>> {
    let mut kinds = fields.entries.iter().filter(|entry| CONTENT_KEYS.contains(&entry.key));
    let hint = format!("give one of {}", CONTENT_KEYS.join(", "));
    let Some(entry) = kinds.next() else {
        source.error(fields.at, format!("{what} has no content"), hint);
        return None;
    };
    if let Some(second) = kinds.next() {
        source.error(second.at, format!("{what} has both `{}` and `{}`", entry.key, second.key), hint);
        return None;
    }
    let (key, value) = (entry.key, entry.value);
    match key {
        "text" => source.string(key, value).map(|text| text.as_bytes().to_vec()),
        "base64" => {
            let decoded = encodify::base64::MIME.decode(source.string(key, value)?).ok();
            if decoded.is_none() {
                source.error(value.span().start, "not base64", "RFC 2045, section 6.8; line ends are welcome");
            }
            decoded
        }
        "mz_size" => {
            let size = usize::try_from(source.number(key, value)?).unwrap_or(usize::MAX);
            if size < 2 {
                source.error(value.span().start, format!("`mz_size` is {size}"), "MZ alone takes 2");
                return None;
            }
            if !source.afford(value.span().start, size) {
                return None;
            }
            Some(sample::program(size))
        }
        _ => read_zip(source, value, depth),
    }
}

fn read_zip(source: &mut Source<'_>, value: &Value<'_>, depth: usize) -> Option<Vec<u8>> {
    if depth >= RULE_TEST_DEPTH {
        source.error(value.span().start, format!("archives nested more than {RULE_TEST_DEPTH} deep"), "nest less");
        return None;
    }
    let items = source.items("zip", value)?;
    let members = condition::every(items.iter().map(|item| {
        let fields = source.table("zip", item)?;
        fields.allow(source, "a member of `zip`", MEMBER_KEYS);
        let name = read_name(source, &fields, "a member of `zip`")?;
        let encrypted = fields.get("encrypted").map_or(Some(false), |value| source.boolean("encrypted", value))?;
        let content = read_content(source, &fields, "a member of `zip`", depth + 1)?;
        Some(sample::Member { name, encrypted, content })
    }))?;
    match sample::zip(&members) {
        Ok(archive) => Some(archive),
        Err(error) => {
            source.error(value.span().start, format!("the archive cannot be built: {error}"), "");
            None
        }
    }
}

/// In `no_match`: every rule of the file.
const ALL: &str = "*";

const TEST_KEYS: &[&str] = &[
    "name",
    "match",
    "no_match",
    "direction",
    "helo",
    "ehlo",
    "mail_from",
    "rcpt_to",
    "dialect",
    "bare_lf",
    "message",
    "attachment",
    "dns",
];
const MAIL_KEYS: &[&str] = &["helo", "ehlo", "mail_from", "rcpt_to", "dialect", "bare_lf", "message", "attachment"];
const ATTACHMENT_KEYS: &[&str] = &["name", "content_type", "text", "base64", "mz_size", "zip"];
const MEMBER_KEYS: &[&str] = &["name", "encrypted", "text", "base64", "mz_size", "zip"];
const CONTENT_KEYS: &[&str] = &["text", "base64", "mz_size", "zip"];

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::*;

    fn tests(text: &str) -> Vec<RuleTest> {
        let file = parse("f", text);
        assert_eq!(file.errors, []);
        file.tests.into_iter().map(|draft| draft.test).collect()
    }

    #[test]
    fn a_test_is_a_transaction_ready_to_inspect() {
        let text = "[[test]]\nname = \"t\"\nno_match = \"*\"\ndirection = \"outbound\"\nehlo = \"host\"\n\
                    dialect = [\"pipelined\"]\nbare_lf = true\nmail_from = \"a@b\"\nrcpt_to = [\"c@d\", \"e@f\"]\n\
                    message = '''\nSubject: s\n\nbody\n'''\n";
        let test = tests(text).remove(0);
        assert_eq!((test.name.as_str(), test.file.as_str(), test.line), ("t", "f", 1));
        assert_eq!(test.direction, Direction::Outbound);
        assert_eq!((test.smtp.helo.as_deref(), test.smtp.extended), (Some("host"), true));
        assert_eq!(test.smtp.dialect.names().collect::<Vec<_>>(), ["bare-lf", "pipelined"]);
        let envelope = test.smtp.envelope.unwrap();
        assert_eq!((envelope.mail_from.as_str(), envelope.rcpt_to.len()), ("a@b", 2));
        let message = test.smtp.message.unwrap();
        assert_eq!(message.bytes, b"Subject: s\n\nbody\n");
        assert_eq!((message.size, message.truncated), (17, false));
    }

    #[test]
    fn a_dns_test_has_no_transaction() {
        let test = tests("[[test]]\nname = \"t\"\nno_match = \"*\"\ndns = \"x.test\"\n").remove(0);
        assert_eq!(test.dns.as_deref(), Some("x.test"));
        assert!(test.smtp.envelope.is_none() && test.smtp.message.is_none());
        assert_eq!(test.direction, Direction::Inbound);
    }

    #[test]
    fn samples_are_built_where_they_are_attached() {
        let text = "[[test]]\nname = \"t\"\nno_match = \"*\"\nmessage = \"Subject: s\\n\\nbody\\n\"\n\
                    attachment = [{ name = \"a.bin\", base64 = \"TVo=\" }, { name = \"b.zip\", zip = [{ name = \"c.exe\", mz_size = 100 }] }]\n";
        let message = tests(text).remove(0).smtp.message.unwrap();
        let message = mail_parser::MessageParser::default().parse(&message.bytes).unwrap();
        assert_eq!(message.body_text(0).unwrap().trim(), "body");
        assert_eq!(message.attachment(0).unwrap().contents(), b"MZ");
        let mut archive =
            zip::ZipArchive::new(std::io::Cursor::new(message.attachment(1).unwrap().contents())).unwrap();
        let mut member = Vec::new();
        std::io::copy(&mut archive.by_name("c.exe").unwrap(), &mut member).unwrap();
        assert_eq!(member, [b"MZ".as_slice(), &[0; 98]].concat());
    }

    #[test]
    fn faults_of_tests() {
        for (lines, fault) in [
            ("no_match = \"*\"", "1:1: [[test]] has no `name`; hint: say what the test shows"),
            (
                "name = \"t\"",
                "1:1: [[test]] expects nothing; hint: say match = [\"rule-id\"], or no_match = [\"*\"] for none of this file",
            ),
            (
                "name = \"t\"\nmatch = \"*\"",
                "3:9: `*` cannot be expected to match; hint: name the rules; * is for no_match",
            ),
            (
                "name = \"t\"\nno_match = \"*\"\ndns = \"x\"\nhelo = \"y\"",
                "5:1: `helo` beside `dns`; hint: a test is of a question or a message",
            ),
            (
                "name = \"t\"\nno_match = \"*\"\nattachement = []",
                "4:1: unknown key in [[test]]: `attachement`; hint: did you mean `attachment`?",
            ),
            (
                "name = \"t\"\nno_match = \"*\"\nattachment = [{ name = \"x\", text = \"y\" }]",
                "4:1: `attachment` without `message`; hint: write its headers and text in `message`",
            ),
            (
                "name = \"t\"\nno_match = \"*\"\nmessage = \"a: b\"\nattachment = [{ name = \"x\" }]",
                "5:15: `attachment` has no content; hint: give one of text, base64, mz_size, zip",
            ),
            (
                "name = \"t\"\nno_match = \"*\"\nmessage = \"a: b\"\nattachment = [{ name = \"x\", text = \"y\", mz_size = 2 }]",
                "5:41: `attachment` has both `text` and `mz_size`; hint: give one of text, base64, mz_size, zip",
            ),
            (
                "name = \"t\"\nno_match = \"*\"\nmessage = \"a: b\"\nattachment = [{ name = \"x\", mz_size = 9999999999 }]",
                "5:39: the samples of this file take 9999999999 bytes; hint: make them smaller: 8388608 bytes are allowed",
            ),
            (
                "name = \"t\"\nno_match = \"*\"\nmessage = \"Content-Type: x\\n\\n\"\nattachment = [{ name = \"x\", text = \"y\" }]",
                "4:1: the message has a Content-Type of its own; hint: leave it out: the attachments make it multipart/mixed",
            ),
            (
                "name = \"t\"\nno_match = \"*\"\nmessage = \"a: b\"\nattachment = [{ name = \"x\\\"\", text = \"y\" }]",
                "5:24: a name with quotes or line ends; hint: write the whole part in `message` instead",
            ),
        ] {
            let told: Vec<_> =
                parse("f", &format!("[[test]]\n{lines}\n")).errors.iter().map(ToString::to_string).collect();
            assert_eq!(told, [format!("f:{fault}")], "{lines}");
        }
    }

    #[test]
    fn samples_of_a_file_are_bounded_together() {
        let test = |size: u32| {
            format!(
                "[[test]]\nname = \"t\"\nno_match = \"*\"\nmessage = \"a: b\"\nattachment = [{{ name = \"x\", mz_size = {size} }}]\n"
            )
        };
        assert_eq!(parse("f", &test(4 << 20).repeat(2)).errors, []);
        let told: Vec<_> =
            parse("f", &(test(4 << 20).repeat(2) + &test(2))).errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "f:15:39: the samples of this file take 8388610 bytes; hint: make them smaller: 8388608 bytes are allowed"
            ]
        );
        assert_eq!(parse("f", &test(1)).errors[0].message, "`mz_size` is 1");
    }
}
