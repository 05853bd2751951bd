//! A rule's tree of conditions, held against one message or one DNS question.

use super::field::{Context, TextField};
use super::file::FileTest;
use super::text::{Text, TextTest};
use crate::model::event::Dialect;
use crate::model::net::Direction;

/// A condition. Its depth is bounded by [`crate::model::limits::RULE_DEPTH`] when it is read.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    /// So many of these at least.
    AtLeast(usize, Vec<Condition>),
    /// Any value of the field passes the test.
    Text(TextField, TextTest),
    /// Any value of the header of that name does.
    Header(String, TextTest),
    /// The message has that header.
    Has(String),
    /// The message was read and has no such header.
    Lacks(String),
    /// Any file does.
    File(FileTest),
    /// The size of the message in bytes.
    Size(NumberTest),
    Direction(Vec<Direction>),
    /// Any of these [`Dialect`] bits was seen.
    Dialect(u32),
    /// A domain among the values of the one field is among those of the other.
    SameDomain(TextField, TextField),
    /// The DNS name asked.
    DnsName(TextTest),
}

impl Condition {
    /// Whether it holds, with as little work as that takes.
    pub fn holds(&self, context: &Context<'_>) -> bool {
        match self {
            // What costs next to nothing decides most rules, so it is asked first.
            Self::All(parts) => {
                let (cheap, other) = (|part: &&Self| part.is_cheap(), |part: &&Self| !part.is_cheap());
                parts.iter().filter(cheap).chain(parts.iter().filter(other)).all(|part| part.holds(context))
            }
            Self::Any(parts) => parts.iter().any(|part| part.holds(context)),
            Self::Not(part) => !part.holds(context),
            Self::AtLeast(count, parts) => {
                parts.iter().filter(|part| part.holds(context)).take(*count).count() == *count
            }
            Self::Text(field, test) => first(context.values(*field, test.raw), test).is_some(),
            Self::Header(name, test) => context.header(name, test.raw).any(|value| test.holds(value)),
            Self::Has(name) => context.has_header(name) == Some(true),
            Self::Lacks(name) => context.has_header(name) == Some(false),
            Self::File(test) => test.first(context.files()).is_some(),
            Self::Size(test) => context.size().is_some_and(|size| test.holds(size)),
            Self::Direction(ways) => ways.contains(&context.direction()),
            Self::Dialect(bits) => context.dialect().has(*bits),
            Self::SameDomain(one, other) => context.shared_domain(*one, *other).is_some(),
            Self::DnsName(test) => context.dns_name().is_some_and(|name| test.holds(name)),
        }
    }

    /// Whether it looks at no text.
    const fn is_cheap(&self) -> bool {
        matches!(self, Self::Size(_) | Self::Direction(_) | Self::Dialect(_) | Self::File(_))
    }

    /// Says why it holds: every mark that does, in the rule's order. For a condition that does not hold, nothing.
    pub fn explain(&self, context: &Context<'_>, out: &mut Vec<String>) {
        match self {
            Self::All(_) | Self::Any(_) | Self::AtLeast(..) if !self.holds(context) => {}
            _ => self.explain_held(context, out),
        }
    }

    /// As [`Condition::explain`], of one with parts that is known to hold.
    pub fn explain_held(&self, context: &Context<'_>, out: &mut Vec<String>) {
        match self {
            Self::All(parts) => parts.iter().for_each(|part| part.explain_held(context, out)),
            Self::Any(parts) | Self::AtLeast(_, parts) => parts.iter().for_each(|part| part.explain(context, out)),
            Self::File(test) => test.explain(context.files(), out),
            _ => {
                let said = self.evidence(context).filter(|said| !out.contains(said));
                out.extend(said);
            }
        }
    }

    /// What a single mark has to show for itself. The absence of a thing shows nothing: `lacks` is for that.
    fn evidence(&self, context: &Context<'_>) -> Option<String> {
        match self {
            Self::Text(field, test) => {
                let (value, range) = first(context.values(*field, test.raw), test)?;
                Some(format!("{} {}", field.name(), value.quoted(range)))
            }
            Self::Header(name, test) => {
                let found = context.header(name, test.raw).find_map(|value| Some((value, test.find(value)?)));
                found.map(|(value, range)| format!("header {name} {}", value.quoted(range)))
            }
            Self::Has(name) => self.holds(context).then(|| format!("header {name} present")),
            Self::Lacks(name) => self.holds(context).then(|| format!("header {name} absent")),
            Self::Size(test) => context.size().filter(|&size| test.holds(size)).map(|size| format!("size {size}")),
            Self::Direction(_) => self.holds(context).then(|| format!("direction {}", context.direction())),
            Self::Dialect(bits) => {
                let traits: Vec<_> = Dialect(context.dialect().0 & bits).names().collect();
                (!traits.is_empty()).then(|| format!("dialect {}", traits.join(", ")))
            }
            Self::SameDomain(one, other) => {
                let domain = Text::plain(context.shared_domain(*one, *other)?);
                let domain = domain.quoted(0..0);
                Some(format!("{} and {} share the domain {domain}", one.name(), other.name()))
            }
            Self::DnsName(test) => {
                let name = context.dns_name()?;
                Some(format!("dns.name {}", name.quoted(test.find(name)?)))
            }
            Self::All(_) | Self::Any(_) | Self::Not(_) | Self::AtLeast(..) | Self::File(_) => None,
        }
    }

    /// Words of which at least one stands in every DNS name this holds for; none when that is not known.
    pub fn dns_literals(&self) -> Option<Vec<String>> {
        match self {
            Self::DnsName(test) => test.literals(),
            Self::All(parts) => parts.iter().filter_map(Self::dns_literals).min_by_key(Vec::len),
            Self::Any(parts) | Self::AtLeast(_, parts) => {
                let each: Option<Vec<_>> = parts.iter().map(Self::dns_literals).collect();
                each.map(|lists| lists.concat())
            }
            _ => None,
        }
    }

    /// Calls `visit` with every condition without parts of its own.
    pub fn visit_marks(&self, visit: &mut impl FnMut(&Self)) {
        match self {
            Self::All(parts) | Self::Any(parts) | Self::AtLeast(_, parts) => {
                parts.iter().for_each(|part| part.visit_marks(visit));
            }
            Self::Not(part) => part.visit_marks(visit),
            _ => visit(self),
        }
    }
}

fn first<'t, 'a>(values: &'t [Text<'a>], test: &TextTest) -> Option<(&'t Text<'a>, std::ops::Range<usize>)> {
    values.iter().find_map(|value| Some((value, test.find(value)?)))
}

/// What a number must be: all of the ranges hold.
#[derive(Clone, Debug)]
pub(super) struct NumberTest(pub Vec<NumberRange>);

/// One test on a number.
#[derive(Clone, Debug)]
pub(super) enum NumberRange {
    OneOf(Vec<u64>),
    /// Bounds included.
    Between(u64, u64),
}

impl NumberTest {
    pub fn holds(&self, number: u64) -> bool {
        self.0.iter().all(|range| match range {
            NumberRange::OneOf(numbers) => numbers.contains(&number),
            NumberRange::Between(least, most) => (*least..=*most).contains(&number),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::model::event::{Dialect, Envelope, SmtpEvent};
    use crate::model::mail::{Email, FileFact, FileKind, Header};
    use crate::model::net::Direction;
    use crate::rules::{RuleSet, Subject};

    fn set(condition: &str) -> RuleSet {
        let text = format!(
            "[[rule]]\nid = \"x\"\nsid = 1\nrev = 1\ntitle = \"t\"\nseverity = \"low\"\ncategory = \"c\"\n\
             remediation = \"r\"\nmatch = {{ {condition} }}\n"
        );
        let set = RuleSet::from_sources(&[("f".to_owned(), text)]);
        set.unwrap_or_else(|errors| panic!("{condition}: {}", errors[0]))
    }

    struct Mail {
        smtp: SmtpEvent,
        email: Email,
        files: Vec<FileFact>,
        message: &'static [u8],
    }

    fn file(name: &str, kind: &'static str, size: u64, container: &[&str]) -> FileFact {
        FileFact {
            filename: name.into(),
            kind: FileKind(kind),
            size,
            container: container.iter().map(|&name| name.into()).collect(),
            ..FileFact::default()
        }
    }

    fn header(name: &str, value: &str, raw: &str) -> Header {
        Header { name: name.into(), value: value.into(), raw: raw.into() }
    }

    fn mail() -> Mail {
        let mut dialect = Dialect::default();
        dialect.add(Dialect::HELO | Dialect::BARE_LF);
        let mut zipped = file("photos.jpg.exe", "pe", 12_832, &["outer.zip", "photos.zip"]);
        zipped.md5 = Some([0xab; 16]);
        zipped.sha256 = Some([0xcd; 32]);
        let mut locked = file("notes.txt", "unknown", 10, &["outer.zip"]);
        locked.encrypted = true;
        Mail {
            smtp: SmtpEvent {
                helo: Some("localhost".into()),
                envelope: Some(Envelope {
                    mail_from: "James@example.org".into(),
                    rcpt_to: vec!["bob@example.com".into(), "anna@EXAMPLE.org".into()],
                    ..Envelope::default()
                }),
                dialect,
                ..SmtpEvent::default()
            },
            email: Email {
                headers: vec![
                    header(
                        "Subject",
                        "Grüße: our private photos  abc",
                        "=?utf-8?q?Gr=C3=BC=C3=9Fe?=: our\r\n private photos  abc",
                    ),
                    header("X-Mailer", "The Bat! (v1.62)", "The Bat! (v1.62)"),
                    header("Received", "from a by b", "from a\r\n\tby b"),
                    header("received", "from c by d", "from c\r\n\tby d"),
                ],
                from: Some("James <james@example.org>".into()),
                to: vec!["anna@example.net".into()],
                subject: Some("Grüße: our private photos  abc".into()),
                text: "Hello Dear!\r\n\r\nThe password\r\n is  12345.\r\n".into(),
                size: 20_000,
                ..Email::default()
            },
            files: vec![file("outer.zip", "zip", 13_100, &[]), zipped, locked],
            message: b"Subject: x\r\n\r\nHello=20Dear!\r\n\r\nTVqQAAMAAAAEAAAA\r\n",
        }
    }

    fn evidence(condition: &str, mail: &Mail) -> Option<Vec<String>> {
        let subject = Subject {
            direction: Direction::Inbound,
            smtp: &mail.smtp,
            email: Some(&mail.email),
            files: &mail.files,
            message: Some(mail.message),
        };
        set(condition).evaluate(&subject).pop().map(|hit| hit.evidence)
    }

    #[track_caller]
    fn assert_says(condition: &str, expected: &[&str]) {
        let evidence = evidence(condition, &mail()).unwrap_or_else(|| panic!("no match: {condition}"));
        assert_eq!(evidence, expected, "{condition}");
    }

    #[track_caller]
    fn assert_silent(condition: &str) {
        assert_eq!(evidence(condition, &mail()), None, "{condition}");
    }

    #[test]
    fn every_test_on_text() {
        let subject = ["subject \"Grüße: our private photos abc\""];
        for test in [
            "\"grüsse: our private photos abc\"",
            "{ equals = \"grüße: our  private photos abc \" }",
            "{ equals = \"GRÜßE: OUR PRIVATE PHOTOS ABC\" }",
            "{ equals = \"Grüße: our private photos abc\", case = true }",
            "{ contains = \"PRIVATE\" }",
            "{ starts_with = \"grüße:\" }",
            "{ ends_with = \" abc\" }",
            "{ glob = \"*Our Private*a?c\" }",
            "{ glob = \"{hello,grüße}:*[a-c]\" }",
            "{ regex = 'our\\s+PRIVATE' }",
            "{ one_of = [\"x\", \"Grüße: our private photos abc\"] }",
            "[\"x\", \"grüße: our private photos abc\"]",
            "{ starts_with = \"grüße\", ends_with = \"abc\", contains = \"private\" }",
        ] {
            if test.contains("grüsse") {
                assert_silent(&format!("subject = {test}"));
            } else {
                assert_says(&format!("subject = {test}"), &subject);
            }
        }
        // `*` and `?` take in whatever stands there, line ends too.
        let mut two_lines = mail();
        two_lines.smtp.helo = Some("a\n/b".into());
        assert!(evidence("helo = { glob = \"a?*b\" }", &two_lines).is_some());
        for test in [
            "\"our private photos\"",
            "{ equals = \"grüße: our private photos abc\", case = true }",
            "{ contains = \"PRIVATE\", case = true }",
            "{ starts_with = \"our\" }",
            "{ ends_with = \"photos\" }",
            "{ glob = \"our*\" }",
            "{ glob = \"*ABC\", case = true }",
            "{ regex = 'PRIVATE', case = true }",
            "{ one_of = [\"a\", \"b\"] }",
            "{ starts_with = \"grüße\", ends_with = \"photos\" }",
        ] {
            assert_silent(&format!("subject = {test}"));
        }
    }

    #[test]
    fn fields_of_the_envelope() {
        assert_says("helo = \"LOCALHOST\"", &["helo \"localhost\""]);
        assert_says("mail_from = { starts_with = \"james@\" }", &["mail_from \"James@example.org\""]);
        assert_says("rcpt_to = { ends_with = \"@example.org\" }", &["rcpt_to \"anna@EXAMPLE.org\""]);
        // Both tests must hold for one and the same recipient.
        assert_silent("rcpt_to = { starts_with = \"bob@\", ends_with = \".org\" }");
        assert_says("header_from = \"james@example.org\"", &["header_from \"james@example.org\""]);
        assert_says("header_to = \"anna@example.net\"", &["header_to \"anna@example.net\""]);
        assert_says("direction = [\"outbound\", \"inbound\"]", &["direction inbound"]);
        assert_silent("direction = \"outbound\"");
        assert_says("dialect = [\"helo\", \"bare-lf\", \"bdat\"]", &["dialect helo, bare-lf"]);
        assert_silent("dialect = \"pipelined\"");
        assert_says("size = { at_least = 20_000, at_most = 20_000 }", &["size 20000"]);
        assert_says("size = { between = [1, 20_000] }", &["size 20000"]);
        assert_says("size = [1, 20_000]", &["size 20000"]);
        assert_silent("size = { at_least = 20_001 }");
        assert_silent("size = 19_999");
    }

    #[test]
    fn headers() {
        assert_says("header = { name = \"x-mailer\", contains = \"bat!\" }", &["header x-mailer \"The Bat! (v1.62)\""]);
        assert_says("header = { name = \"Received\", starts_with = \"from c\" }", &["header Received \"from c by d\""]);
        assert_silent("header = { name = \"Received\", starts_with = \"from c\", ends_with = \"by b\" }");
        assert_says(
            "header = { name = \"Received\", contains = \"\\n\\t\", raw = true }",
            &["header Received \"from a\\r\\n\\tby b\""],
        );
        assert_says("has = \"X-MAILER\"", &["header X-MAILER present"]);
        assert_says("lacks = \"Date\"", &["header Date absent"]);
        assert_silent("has = \"Date\"");
        assert_silent("lacks = \"X-Mailer\"");
        assert_says(
            "subject = { contains = \"=C3=BC\", raw = true }",
            &["subject \"=?utf-8?q?Gr=C3=BC=C3=9Fe?=: our\\r\\n private photos  abc\""],
        );
    }

    #[test]
    fn the_body_as_read_and_as_sent() {
        assert_says(
            "body = { contains = \"the PASSWORD is 12345\" }",
            &["body \"Hello Dear! The password is 12345.\""],
        );
        // White space of the rule's words is folded as well; an expression sees what a reader sees.
        assert!(evidence("body = { contains = \"password\\r\\n is\" }", &mail()).is_some());
        assert_silent("body = { regex = 'password\\r\\n' }");
        assert_says(
            "body = { contains = \"tvqqaamaaaaeaaaa\", raw = true }",
            &["body \"Hello=20Dear!\\r\\n\\r\\nTVqQAAMAAAAEAAAA\\r\\n\""],
        );
        assert_silent("body = { contains = \"tvqqaamaaaaeaaaa\", raw = true, case = true }");
        assert_silent("body = { contains = \"Subject\", raw = true }");
        let mut without = mail();
        without.message = b"";
        assert_eq!(evidence("body = { contains = \"x\", raw = true }", &without), None);
    }

    #[test]
    fn all_parts_of_a_file_test_hold_for_one_file() {
        assert_says(
            "member = { name = { ends_with = \".exe\" }, type = \"pe\", size = 12_832, in = \"photos.zip\" }",
            &[
                "member.name \"photos.jpg.exe\" in \"photos.zip\"",
                "member.type pe of \"photos.jpg.exe\" in \"photos.zip\"",
                "member.size 12832 of \"photos.jpg.exe\" in \"photos.zip\"",
            ],
        );
        // Each holds, but for different files.
        assert_silent("member = { name = \"photos.jpg.exe\", encrypted = true }");
        assert_silent("file = { name = \"outer.zip\", type = \"pe\" }");
        assert_silent("member = { encrypted = true, in = { name = \"photos.zip\" } }");
        assert_says(
            "member = { encrypted = true, in = { name = \"OUTER.zip\" } }",
            &["member.encrypted true of \"notes.txt\" in \"outer.zip\""],
        );
        assert_says(
            "attachment = { name = \"outer.zip\", type = \"zip\" }",
            &["attachment.name \"outer.zip\"", "attachment.type zip of \"outer.zip\""],
        );
        assert_silent("attachment = { type = \"pe\" }");
        assert_silent("member = { type = \"zip\" }");
        assert_says("file = { type = \"zip\" }", &["file.type zip of \"outer.zip\""]);
        assert_says(
            "member = { in = { name = { glob = \"ph*\" } } }",
            &["member.name \"photos.jpg.exe\" in \"photos.zip\""],
        );
    }

    #[test]
    fn hashes_of_files() {
        let (md5, sha256) = ("AB".repeat(16), "cd".repeat(32));
        let shown = format!("file.md5 {} of \"photos.jpg.exe\" in \"photos.zip\"", "ab".repeat(16));
        assert_says(&format!("file = {{ md5 = \"{md5}\" }}"), &[&shown]);
        assert_says(&format!("file = {{ md5 = {{ one_of = [\"{}\", \"{md5}\"] }} }}", "00".repeat(16)), &[&shown]);
        assert!(evidence(&format!("member = {{ sha256 = \"{sha256}\" }}"), &mail()).is_some());
        assert_silent(&format!("file = {{ md5 = \"{}\" }}", "00".repeat(16)));
        // Not computed: no match, whatever is asked.
        assert_silent(&format!("file = {{ sha1 = \"{}\" }}", "00".repeat(20)));
    }

    #[test]
    fn conditions_join() {
        let (yes, no) = ("{ helo = \"localhost\" }", "{ helo = \"other\" }");
        let also = "{ has = \"Subject\" }";
        let helo = "helo \"localhost\"";
        let has = "header Subject present";
        assert_says(&format!("all = [{yes}, {also}]"), &[helo, has]);
        assert_silent(&format!("all = [{yes}, {no}]"));
        // All marks that hold are told, not only the first, in the rule's order and once.
        assert_says(&format!("any = [{no}, {also}, {yes}, {yes}]"), &[has, helo]);
        assert_silent(&format!("any = [{no}]"));
        assert_says(&format!("not = {no}"), &[]);
        assert_silent(&format!("not = {yes}"));
        assert_says(&format!("at_least = {{ count = 2, of = [{yes}, {no}, {also}] }}"), &[helo, has]);
        assert_says(&format!("at_least = {{ count = 1, of = [{yes}, {no}, {also}] }}"), &[helo, has]);
        assert_silent(&format!("at_least = {{ count = 3, of = [{yes}, {no}, {also}] }}"));
        assert_silent(&format!("at_least = {{ count = 2, of = [{yes}, {no}] }}"));
        // Several keys in one table must all hold; a part that fails as a whole gives no evidence.
        assert_silent("helo = \"localhost\", has = \"Date\"");
        assert_says(&format!("any = [{{ all = [{yes}, {no}] }}, {also}]"), &[has]);
    }

    #[test]
    fn domains_are_compared_across_fields() {
        assert_says(
            "same_domain = [\"mail_from\", \"rcpt_to\"]",
            &["mail_from and rcpt_to share the domain \"example.org\""],
        );
        assert_says(
            "same_domain = [\"header_from\", \"mail_from\"]",
            &["header_from and mail_from share the domain \"example.org\""],
        );
        assert_silent("same_domain = [\"header_to\", \"rcpt_to\"]");
    }

    #[test]
    fn a_session_without_a_message_lacks_nothing() {
        let mail = mail();
        let subject =
            Subject { direction: Direction::Inbound, smtp: &mail.smtp, email: None, files: &[], message: None };
        assert_eq!(set("lacks = \"Date\"").evaluate(&subject), []);
        assert_eq!(set("size = { at_most = 1 }").evaluate(&subject), []);
        assert_eq!(set("helo = \"localhost\"").evaluate(&subject).len(), 1);
    }

    #[test]
    fn mail_rules_say_nothing_about_names_and_name_rules_nothing_about_mail() {
        let mail = mail();
        let subject = Subject {
            direction: Direction::Inbound,
            smtp: &mail.smtp,
            email: Some(&mail.email),
            files: &[],
            message: None,
        };
        assert_eq!(set("not = { dns.name = \"x\" }").evaluate(&subject), []);
        assert_eq!(set("not = { helo = \"x\" }").evaluate_dns("x", Direction::Inbound), []);
    }

    proptest! {
        #[test]
        fn any_mail_is_matched_without_panic(text in "\\PC{0,300}", name in "\\PC{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut mail = mail();
            mail.email.text = text.clone();
            mail.email.subject = Some(text.clone());
            mail.email.from = Some(text.clone());
            mail.email.headers = vec![Header { name: name.clone(), value: text.clone(), raw: text.clone() }];
            mail.smtp.helo = Some(name.clone());
            mail.smtp.envelope = Some(Envelope { mail_from: name.clone(), rcpt_to: vec![text.clone()], ..Envelope::default() });
            mail.files = vec![file(&name, "pe", 1, &[&text])];
            let subject = Subject { direction: Direction::Outbound, smtp: &mail.smtp, email: Some(&mail.email), files: &mail.files, message: Some(&bytes) };
            let everything = set(
                "any = [{ subject = { regex = '.' } }, { body = { glob = \"*a*\" } }, { body = { regex = '.', raw = true } }, \
                 { member = { in = { name = { regex = '.' } }, name = { contains = \"a\" } } }, { header_from = { regex = '.' } }, \
                 { same_domain = [\"helo\", \"rcpt_to\"] }, { header = { name = \"a\", contains = \"e\", raw = true } }]",
            );
            for hit in everything.evaluate(&subject).into_iter().chain(RuleSet::builtin().evaluate(&subject)) {
                for line in hit.evidence {
                    prop_assert!(!line.contains(char::is_control), "{line:?}");
                    // 120 characters of value, each at most `\u{10ffff}` when escaped, and some words about it.
                    prop_assert!(line.chars().count() < 2 * 120 * 10 + 60);
                }
            }
        }

        #[test]
        fn contains_agrees_with_the_standard_library(text in "[aAbBßẞéÉ ]{0,12}", word in "[aAbBßéÉ]{1,3}") {
            let mut mail = mail();
            mail.smtp.helo = Some(text.clone());
            let expected = text.to_lowercase().contains(&word.to_lowercase());
            prop_assert_eq!(evidence(&format!("helo = {{ contains = \"{word}\" }}"), &mail).is_some(), expected);
        }
    }
}
