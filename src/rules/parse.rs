//! Reads a rule file: its family, its rules, its tests.

use super::condition::{self, DIRECTIONS, every};
use super::matcher::Condition;
use super::source::{Fields, RuleError, Source, Value};
use super::test_case::{self, TestDraft};
use super::{Rule, Severities};
use crate::model::alert::Severity;
use crate::model::net::Direction;

/// What a rule file says.
#[derive(Default)]
pub(super) struct File {
    pub rules: Vec<Rule>,
    pub tests: Vec<TestDraft>,
    /// Every `id` and `sid` with its place, of faulty rules too.
    pub ids: Vec<Claim<String>>,
    pub sids: Vec<Claim<u32>>,
    pub errors: Vec<RuleError>,
}

/// A name or number a rule claims for itself.
pub(super) struct Claim<T> {
    pub value: T,
    pub line: usize,
    pub column: usize,
}

/// Reads `text`, the contents of the file called `name`. Whatever it holds, every fault is told and none panics.
pub(super) fn parse(name: &str, text: &str) -> File {
    let mut source = Source::new(name, text);
    let mut file = File::default();
    if let Some(document) = source.parse() {
        let fields = Fields::new(document.get_ref(), 0);
        fields.allow(&mut source, "a rule file", &["family", "rule", "test"]);
        let family = fields.get("family").and_then(|value| read_family(&mut source, value)).unwrap_or_default();
        for table in tables(&mut source, &fields, "rule") {
            let rule = read_rule(&mut source, &mut file, table, &family);
            file.rules.extend(rule);
        }
        for table in tables(&mut source, &fields, "test") {
            file.tests.extend(test_case::read(&mut source, table));
        }
        if fields.entries.is_empty() {
            source.error(0, "the file says nothing", "begin a rule with [[rule]]");
        }
    }
    file.errors = source.into_errors();
    file
}

fn tables<'d, 'i>(source: &mut Source<'_>, fields: &Fields<'d, 'i>, key: &str) -> &'d [Value<'i>] {
    let Some(value) = fields.get(key) else { return &[] };
    match value.get_ref().as_array() {
        Some(tables) => tables.as_ref(),
        None => {
            source.error(value.span().start, format!("`{key}` is not a list of tables"), format!("write [[{key}]]"));
            &[]
        }
    }
}

fn read_family(source: &mut Source<'_>, value: &Value<'_>) -> Option<String> {
    let fields = source.table("family", value)?;
    fields.allow(source, "[family]", &["name", "description"]);
    if let Some(value) = fields.get("description") {
        source.filled("description", value);
    }
    let name = fields.required(source, "[family]", "name", "write name = \"Mimail\"")?;
    source.filled("name", name).map(str::to_owned)
}

fn read_rule(source: &mut Source<'_>, file: &mut File, value: &Value<'_>, family: &str) -> Option<Rule> {
    let fields = source.table("rule", value)?;
    fields.allow(source, "[[rule]]", RULE_KEYS);
    let need = |source: &mut Source<'_>, key: &str, hint: &str| fields.required(source, "[[rule]]", key, hint);

    let id = need(source, "id", "a stable name, as id = \"mimail-c\"").and_then(|value| read_id(source, file, value));
    let sid =
        need(source, "sid", "a number of its own, as sid = 9100001").and_then(|value| read_sid(source, file, value));
    let rev = need(source, "rev", "rev = 1, and one more at every change")
        .and_then(|value| read_positive(source, "rev", value));
    let title = need(source, "title", "one line for people").and_then(|value| read_line(source, "title", value));
    let severity = need(source, "severity", "severity = \"high\", or a table by direction")
        .and_then(|value| read_severities(source, value));
    let category = need(source, "category", "what kind of thing it is, as category = \"worm\"")
        .and_then(|value| read_line(source, "category", value));
    let remediation = need(source, "remediation", "what to do about it, for a tired analyst")
        .and_then(|value| source.filled("remediation", value));
    let references = match fields.get("reference") {
        Some(value) => read_references(source, value),
        None => Some(Vec::new()),
    };
    let condition = need(source, "match", "write [rule.match] and conditions under it")
        .and_then(|value| condition::read(source, "match", value, 0));
    let marks = match fields.get("evidence") {
        Some(value) => condition::read_list(source, "evidence", value, 1),
        None => Some(Vec::new()),
    };

    let (condition, marks) = (condition?, marks?);
    let asks_dns = read_scope(source, fields.get("match")?, &condition, &marks)?;
    Some(Rule {
        id: id?,
        sid: sid?,
        rev: rev?,
        title: title?,
        severity: severity?,
        category: category?,
        references: references?,
        remediation: remediation?.trim().to_owned(),
        family: family.to_owned(),
        file: source.name().to_owned(),
        line: source.position(fields.at).0,
        asks_dns,
        condition,
        marks,
    })
}

/// Whether a rule is about DNS names; a rule about both a message and a name could never match.
fn read_scope(source: &mut Source<'_>, value: &Value<'_>, condition: &Condition, marks: &[Condition]) -> Option<bool> {
    let (mut dns, mut mail) = (false, false);
    for part in std::iter::once(condition).chain(marks) {
        part.visit_marks(&mut |mark| match mark {
            Condition::DnsName(_) => dns = true,
            Condition::Direction(_) => {}
            _ => mail = true,
        });
    }
    if dns && mail {
        let hint = "write two rules: a DNS question and a message are never seen in one";
        source.error(value.span().start, "the rule asks for a DNS name and for a message", hint);
        return None;
    }
    Some(dns)
}

fn read_id(source: &mut Source<'_>, file: &mut File, value: &Value<'_>) -> Option<String> {
    let id = source.string("id", value)?;
    let kebab = !id.is_empty()
        && id.split('-').all(|word| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        });
    if !kebab {
        let hint = "use lower-case letters, digits and single hyphens, as \"mimail-c\"";
        source.error(value.span().start, format!("`{}` is not an id", id.escape_debug()), hint);
        return None;
    }
    let (line, column) = source.position(value.span().start);
    file.ids.push(Claim { value: id.to_owned(), line, column });
    Some(id.to_owned())
}

fn read_sid(source: &mut Source<'_>, file: &mut File, value: &Value<'_>) -> Option<u32> {
    let sid = read_positive(source, "sid", value)?;
    let (line, column) = source.position(value.span().start);
    file.sids.push(Claim { value: sid, line, column });
    Some(sid)
}

fn read_positive(source: &mut Source<'_>, key: &str, value: &Value<'_>) -> Option<u32> {
    let number = source.number(key, value)?;
    let fits = u32::try_from(number).ok().filter(|&number| number > 0);
    if fits.is_none() {
        source.error(value.span().start, format!("`{key}` is {number}"), format!("use 1 to {}", u32::MAX));
    }
    fits
}

fn read_line(source: &mut Source<'_>, key: &str, value: &Value<'_>) -> Option<String> {
    let text = source.filled(key, value)?;
    if text.contains(char::is_control) {
        source.error(value.span().start, format!("`{key}` has control characters"), "keep it to one line");
        return None;
    }
    Some(text.to_owned())
}

fn read_references(source: &mut Source<'_>, value: &Value<'_>) -> Option<Vec<String>> {
    let items = source.items("reference", value)?;
    every(items.iter().map(|item| read_line(source, "reference", item)))
}

fn read_severities(source: &mut Source<'_>, value: &Value<'_>) -> Option<Severities> {
    if value.get_ref().is_str() {
        return read_severity(source, "severity", value).map(|severity| Severities([severity; DIRECTIONS.len()]));
    }
    if !value.get_ref().is_table() {
        source.wrong_type("severity", value, "a string, or a table with one for each direction", "as \"high\"");
        return None;
    }
    let fields = source.table("severity", value)?;
    fields.allow(source, "`severity`", &DIRECTIONS.map(Direction::name));
    let hint = "name all four directions: inbound, outbound, internal, external";
    let each = every(DIRECTIONS.into_iter().map(|direction| {
        let value = fields.required(source, "`severity`", direction.name(), hint)?;
        read_severity(source, direction.name(), value)
    }))?;
    Some(Severities(each.try_into().ok()?))
}

fn read_severity(source: &mut Source<'_>, key: &str, value: &Value<'_>) -> Option<Severity> {
    let name = source.string(key, value)?;
    let found = Severity::ALL.into_iter().find(|severity| severity.name() == name);
    if found.is_none() {
        source.unknown(value.span().start, "severity", name, &Severity::ALL.map(Severity::name));
    }
    found
}

const RULE_KEYS: &[&str] =
    &["id", "sid", "rev", "title", "severity", "category", "reference", "remediation", "match", "evidence"];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Eight sound lines, then `rest` from line 9 on.
    fn rule(rest: &str) -> String {
        format!(
            "[[rule]]\nid = \"x\"\nsid = 1\nrev = 1\ntitle = \"t\"\nseverity = \"low\"\ncategory = \"c\"\n\
             remediation = \"r\"\n{rest}"
        )
    }

    fn faults(text: &str) -> Vec<String> {
        let mut errors = parse("f", text).errors;
        errors.sort_by_key(|error| (error.line, error.column));
        errors.iter().map(ToString::to_string).collect()
    }

    #[track_caller]
    fn assert_fault(text: &str, fault: &str) {
        assert_eq!(faults(text), [fault]);
    }

    #[test]
    fn a_sound_rule_is_read_whole() {
        let text = "[family]\nname = \"F\"\n".to_owned()
            + &rule("reference = [\"a\", \"b\"]\n[rule.match]\nsubject = \"s\"\n[[rule.evidence]]\nhelo = \"h\"\n");
        let file = parse("f", &text);
        assert_eq!(file.errors, []);
        let [rule] = &file.rules[..] else { panic!("{} rules", file.rules.len()) };
        assert_eq!((rule.id.as_str(), rule.sid, rule.rev, rule.line), ("x", 1, 1, 3));
        assert_eq!((rule.title.as_str(), rule.category.as_str(), rule.remediation.as_str()), ("t", "c", "r"));
        assert_eq!((rule.family.as_str(), rule.file.as_str(), rule.asks_dns), ("F", "f", false));
        assert_eq!(rule.references, ["a", "b"]);
        assert_eq!(rule.severity.uniform(), Some(Severity::Low));
        assert_eq!(rule.marks.len(), 1);
    }

    #[test]
    fn severity_can_differ_by_direction() {
        let table =
            "severity = { inbound = \"high\", outbound = \"critical\", internal = \"medium\", external = \"info\" }";
        let file = parse("f", &rule("match.helo = \"h\"").replace("severity = \"low\"", table));
        assert_eq!(file.errors, []);
        let severity = |direction| file.rules[0].severity(direction);
        assert_eq!(severity(Direction::Inbound), Severity::High);
        assert_eq!(severity(Direction::Outbound), Severity::Critical);
        assert_eq!(severity(Direction::Internal), Severity::Medium);
        assert_eq!(severity(Direction::External), Severity::Info);
        assert_eq!(file.rules[0].severity.uniform(), None);
    }

    #[test]
    fn faults_of_the_file() {
        assert_fault("a = [1,\n", "f:1:8: not TOML: unclosed array; hint: expected `]`");
        assert_fault("", "f:1:1: the file says nothing; hint: begin a rule with [[rule]]");
        assert_fault("[[rules]]\nid = 1\n", "f:1:3: unknown key in a rule file: `rules`; hint: did you mean `rule`?");
        assert_fault("[rule]\nid = 1\n", "f:1:1: `rule` is not a list of tables; hint: write [[rule]]");
        assert_fault("rule = [3]\n", "f:1:9: `rule` is an integer; hint: it must be a table, as { key = value }");
        assert_fault("[family]\n", "f:1:1: [family] has no `name`; hint: write name = \"Mimail\"");
    }

    #[test]
    fn faults_of_a_rules_own_keys() {
        let sound = rule("match.helo = \"h\"\n");
        assert_eq!(faults(&sound), [""; 0]);
        for (key, with, fault) in [
            (
                "id = \"x\"",
                "id = \"Bad Id\"",
                "2:6: `Bad Id` is not an id; hint: use lower-case letters, digits and single hyphens, as \"mimail-c\"",
            ),
            ("id = \"x\"", "id = 7", "2:6: `id` is an integer; hint: it must be a string, in quotes"),
            ("sid = 1", "sid = 0", "3:7: `sid` is 0; hint: use 1 to 4294967295"),
            ("sid = 1", "sid = 4294967296", "3:7: `sid` is 4294967296; hint: use 1 to 4294967295"),
            ("rev = 1", "rev = -1", "4:7: `rev` is an integer; hint: it must be a whole number from 0, as 12_832"),
            ("title = \"t\"", "title = \" \"", "5:9: `title` is empty; hint: say something, or leave the key out"),
            ("title = \"t\"", "title = \"a\\nb\"", "5:9: `title` has control characters; hint: keep it to one line"),
            ("\"low\"", "\"hihg\"", "6:12: unknown severity `hihg`; hint: did you mean `high`?"),
            (
                "\"low\"",
                "{ inbound = \"low\", outbound = \"low\", internal = \"low\" }",
                "6:12: `severity` has no `external`; hint: name all four directions: inbound, outbound, internal, external",
            ),
            (
                "\"low\"",
                "3",
                "6:12: `severity` is an integer; hint: it must be a string, or a table with one for each direction, as \"high\"",
            ),
            (
                "category",
                "catgory",
                "1:1: [[rule]] has no `category`; hint: what kind of thing it is, as category = \"worm\"\n7:1: unknown key in [[rule]]: `catgory`; hint: did you mean `category`?",
            ),
            (
                "match.helo = \"h\"\n",
                "",
                "1:1: [[rule]] has no `match`; hint: write [rule.match] and conditions under it",
            ),
            (
                "match.helo",
                "reference = [1]\nmatch.helo",
                "9:14: `reference` is an integer; hint: it must be a string, in quotes",
            ),
            ("match.helo", "evidence = []\nmatch.helo", "9:12: `evidence` is empty; hint: it needs at least one entry"),
        ] {
            let expected: Vec<_> = fault.lines().map(|line| format!("f:{line}")).collect();
            assert_eq!(faults(&sound.replace(key, with)), expected, "{with}");
        }
    }

    /// Stands before the place a fault is to be told at.
    const MARK: char = '»';

    #[test]
    fn faults_of_conditions() {
        assert_fault(&rule("match = {}"), "f:9:9: `match` is empty; hint: name a field, as { subject = \"...\" }");
        for (condition, fault) in [
            ("all = »[]", "`all` is empty; hint: it needs at least one entry"),
            ("»sbuject = \"x\"", "unknown field `sbuject`; hint: did you mean `subject`?"),
            ("any = »{ helo = \"x\" }", "`any` is a table; hint: it must be a list, in [ ]"),
            ("not = »[1]", "`not` is a list; hint: it must be a table, as { key = value }"),
            (
                "subject = »3",
                "`subject` is an integer; hint: it must be a string, a list of strings, or a table of tests, as { contains = \"x\" }",
            ),
            (
                "subject = »{}",
                "`subject` tests nothing; hint: use one of equals, contains, starts_with, ends_with, glob, regex, one_of, case, raw",
            ),
            (
                "subject = { »startswith = \"x\" }",
                "unknown test of subject: `startswith`; hint: did you mean `starts_with`?",
            ),
            ("subject = { contains = »\"\" }", "`contains` is empty; hint: it would match everything: leave it out"),
            ("subject = { equals = »[\"a\"] }", "`equals` is a list; hint: it must be a string, in quotes"),
            ("subject = { one_of = [\"a\", »2] }", "`one_of` is an integer; hint: it must be a string, in quotes"),
            (
                "subject = { regex = 'ab»(c' }",
                "bad regex: unclosed group; hint: the syntax is that of the Rust crate regex; quote it in '...'",
            ),
            (
                "subject = { regex = »'a{1000}{1000}' }",
                "bad regex: Compiled regex exceeds size limit of 4194304 bytes; hint: make its repeats and classes smaller",
            ),
            (
                "subject = { glob = »\"a[b\" }",
                "bad glob: unclosed character class; missing ']'; hint: * is any text, ? one character, [ab] a or b, {a,b} one of; \\ takes these literally",
            ),
            (
                "helo = { equals = \"x\", »raw = true }",
                "`helo` has no raw form; hint: raw is for subject, header and body",
            ),
            (
                "helo = { equals = \"x\", case = »1 }",
                "`case` is an integer; hint: it must be true or false, without quotes",
            ),
            (
                "header = »{ contains = \"x\" }",
                "`header` has no `name`; hint: write header = { name = \"X-Mailer\", contains = \"...\" }, or has = \"X-Mailer\"",
            ),
            ("has = »\"X Mailer:\"", "not a header's name; hint: write it without colon and spaces, as \"X-Mailer\""),
            (
                "size = { between = »[2, 1] }",
                "`between` needs two numbers in order; hint: write between = [least, most], both included",
            ),
            (
                "size = { »more = 2 }",
                "unknown test of size: `more`; hint: use one of equals, one_of, between, at_least, at_most",
            ),
            ("attachment = { »nmae = \"x\" }", "unknown property of attachment: `nmae`; hint: did you mean `name`?"),
            (
                "attachment = { »in = \"x\" }",
                "an attachment is in no archive; hint: use `member` for files in archives",
            ),
            ("member = { md5 = »\"abc\" }", "not a hash for `md5`; hint: it has 32 hexadecimal digits"),
            ("member = { type = »\"exe\" }", "unknown file type `exe`; hint: did you mean `pe`?"),
            ("file = { type = [\"PE\", »\"ziip\"] }", "unknown file type `ziip`; hint: did you mean `zip`?"),
            (
                "file = { type = { one_of = [»\"jpg\", \"gif\"] } }",
                "unknown file type `jpg`; hint: did you mean `jpeg`?",
            ),
            ("file = { type = { equals = »\"elv\" } }", "unknown file type `elv`; hint: did you mean `elf`?"),
            (
                "direction = »\"outgoing\"",
                "unknown direction `outgoing`; hint: use one of inbound, outbound, internal, external",
            ),
            ("dialect = [»\"bare_lf\"]", "unknown dialect trait `bare_lf`; hint: did you mean `bare-lf`?"),
            (
                "same_domain = »[\"helo\"]",
                "`same_domain` compares two different fields; hint: write same_domain = [\"header_from\", \"rcpt_to\"]",
            ),
            (
                "same_domain = [»\"subject\", \"helo\"]",
                "unknown field with a domain: `subject`; hint: use one of helo, mail_from, rcpt_to, header_from, header_to",
            ),
            (
                "at_least = { count = »3, of = [{ helo = \"x\" }] }",
                "`count` is 3; hint: count from 1 to 1, the number of conditions",
            ),
            (
                "at_least = »{ of = [{ helo = \"x\" }] }",
                "`at_least` has no `count`; hint: write at_least = { count = 2, of = [ ... ] }",
            ),
            (
                "dns.name = »\"evil.example.\"",
                "a DNS name with its final dot; hint: leave the dot out: names are tested without it",
            ),
            (
                "dns.name = [\"a.example\", »\"münchen.example\"]",
                "a DNS name with letters beyond ASCII; hint: names go over the wire in ASCII: write its labels as \"xn--...\" (the program idn2 prints them)",
            ),
            (
                "dns.name = { ends_with = »\".example.\" }",
                "a DNS name with its final dot; hint: leave the dot out: names are tested without it",
            ),
            (
                "dns.name = { regex = »'^mü' }",
                "a DNS name with letters beyond ASCII; hint: names go over the wire in ASCII: write its labels as \"xn--...\" (the program idn2 prints them)",
            ),
            (
                "dns.name = { contains = \"x\", »raw = true }",
                "`dns.name` has no raw form; hint: raw is for subject, header and body",
            ),
            (
                "file = { md5 = { equals = \"00\", one_of = »[\"00\"] } }",
                "`md5` has both `equals` and `one_of`; hint: keep one of them",
            ),
            ("dns = »\"x\"", "`dns` is a string; hint: it must be a table, write dns.name = \"example.org\""),
        ] {
            let line = format!("match = {{ {condition} }}");
            let column = 1 + line.chars().position(|c| c == MARK).unwrap();
            assert_eq!(faults(&rule(&line.replace(MARK, ""))), [format!("f:9:{column}: {fault}")], "{condition}");
        }
    }

    #[test]
    fn a_regex_fault_is_placed_within_an_escaped_string_as_well_as_can_be() {
        let text = rule("match.subject = { regex = \"a\\\\d(c\" }\n");
        assert_eq!(faults(&text)[0].split(": ").next(), Some("f:9:27"), "the string's beginning");
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let text = rule("match.all = [{ helo = 1 }, { subjekt = \"x\" }]\n").replace("rev = 1", "rev = 0");
        let places: Vec<_> = parse("f", &text).errors.iter().map(|error| (error.line, error.column)).collect();
        assert_eq!(places, [(4, 7), (9, 23), (9, 30)]);
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| {
            rule(&format!("match = {}{{ helo = \"x\" }}{}\n", "{ not = ".repeat(depth), " }".repeat(depth)))
        };
        assert_eq!(faults(&nested(32)), [""; 0]);
        let fault = faults(&nested(33));
        assert!(fault[0].contains("nested more than 32 deep; hint: split"), "{fault:?}");
        // Deeper still, the TOML reader refuses.
        assert!(faults(&nested(10_000))[0].contains("not TOML"));
    }

    /// Text that looks like rules, to get past the reader of TOML.
    fn rule_like() -> impl Strategy<Value = String> {
        let keys = "id|sid|match|all|any|not|at_least|count|of|subject|body|header|name|regex|glob|one_of|size|between|\
                    attachment|member|in|md5|dns|dialect|direction|severity|evidence|case|raw|family|message|zip|mz_size|\
                    base64|no_match|encrypted|\"\"|ü";
        let value = prop_oneof![
            "\"[ -~äß\u{202e}]{0,8}\"",
            "'[ -&(-~]{0,8}'",
            "-?[0-9]{1,20}",
            Just("true".to_owned()),
            Just("1979-05-27".to_owned()),
            Just("nan".to_owned()),
        ]
        .prop_recursive(4, 32, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
                prop::collection::btree_map(keys, inner, 0..4).prop_map(|entries| {
                    let entries: Vec<_> = entries.iter().map(|(key, value)| format!("{key} = {value}")).collect();
                    format!("{{ {} }}", entries.join(", "))
                }),
            ]
        });
        let table = prop_oneof![Just("[[rule]]"), Just("[[test]]"), Just("[family]"), Just("[rule.match]")];
        let keyed = prop::collection::btree_map(keys, value, 0..6);
        prop::collection::vec((table, keyed), 0..5).prop_map(|tables| {
            let lines = |(head, entries): (&str, std::collections::BTreeMap<String, String>)| {
                let entries: String = entries.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
                format!("{head}\n{entries}")
            };
            tables.into_iter().map(lines).collect()
        })
    }

    proptest! {
        #[test]
        fn whatever_a_file_holds_is_read_without_panic(text in "\\PC*|[\\[\\]{}='\"a-e\\\\\n.,# 0-9]{0,200}") {
            parse("f", &text);
        }

        #[test]
        fn whatever_looks_like_rules_is_read_and_each_fault_has_a_place(text in rule_like()) {
            let lines = text.split('\n').count();
            for error in parse("f", &text).errors {
                prop_assert!((1..=lines).contains(&error.line), "{error}");
                let line = text.split('\n').nth(error.line - 1).unwrap();
                prop_assert!((1..=line.chars().count() + 1).contains(&error.column), "{error}");
            }
        }
    }
}
