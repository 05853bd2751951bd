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
        fields.allow(&mut source, "a rule file:", &["family", "rule", "test"]);
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
    fields.allow(source, "[family]:", &["name", "description"]);
    if let Some(value) = fields.get("description") {
        source.filled("description", value);
    }
    let name = fields.required(source, "[family]", "name", "write name = \"Mimail\"")?;
    source.filled("name", name).map(str::to_owned)
}

fn read_rule(source: &mut Source<'_>, file: &mut File, value: &Value<'_>, family: &str) -> Option<Rule> {
    let fields = source.table("rule", value)?;
    fields.allow(source, "[[rule]]:", RULE_KEYS);
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
    fields.allow(source, "`severity`:", &DIRECTIONS.map(Direction::name));
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
