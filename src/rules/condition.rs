//! Reads a rule's tree of conditions.
//!
//! A condition is a table. Each key names a field or a way to join other conditions; several keys in one table
//! must all hold. `rules/README.md` is the reference for those who write rules.

use super::field::TextField;
use super::file::{FilePart, FileTest, Scope};
use super::matcher::Condition;
use super::source::{Entry, Fields, Source, Value, suggestion};
use super::words;
use crate::model::event::Dialect;
use crate::model::limits::RULE_DEPTH;
use crate::model::mail::FileKind;
use crate::model::net::Direction;

/// Reads a condition; none when it is faulty, and then the fault is noted.
pub(super) fn read(source: &mut Source<'_>, key: &str, value: &Value<'_>, depth: usize) -> Option<Condition> {
    if depth > RULE_DEPTH {
        let message = format!("conditions are nested more than {RULE_DEPTH} deep");
        source.error(value.span().start, message, "split the rule in two");
        return None;
    }
    let fields = source.table(key, value)?;
    if fields.entries.is_empty() {
        source.error(fields.at, format!("`{key}` is empty"), "name a field, as { subject = \"...\" }");
        return None;
    }
    let mut parts = every(fields.entries.iter().map(|entry| read_entry(source, entry, depth)))?;
    if parts.len() == 1 { parts.pop() } else { Some(Condition::All(parts)) }
}

/// Reads a list of conditions.
pub(super) fn read_list(source: &mut Source<'_>, key: &str, value: &Value<'_>, depth: usize) -> Option<Vec<Condition>> {
    let items = source.items(key, value)?;
    every(items.iter().map(|item| read(source, key, item, depth)))
}

fn read_entry(source: &mut Source<'_>, entry: &Entry<'_, '_>, depth: usize) -> Option<Condition> {
    let Entry { key, value, .. } = *entry;
    if let Some(field) = TextField::ALL.into_iter().find(|field| field.name() == key) {
        return Some(Condition::Text(field, words::text_test(source, key, value, field.into())?));
    }
    if let Some(scope) = Scope::ALL.into_iter().find(|scope| scope.name() == key) {
        return read_file(source, scope, value);
    }
    match key {
        "all" => Some(Condition::All(read_list(source, key, value, depth + 1)?)),
        "any" => Some(Condition::Any(read_list(source, key, value, depth + 1)?)),
        "not" => Some(Condition::Not(Box::new(read(source, key, value, depth + 1)?))),
        "at_least" => read_at_least(source, value, depth),
        "header" => read_header(source, value),
        "has" => Some(Condition::Has(header_name(source, key, value)?)),
        "lacks" => Some(Condition::Lacks(header_name(source, key, value)?)),
        "size" => Some(Condition::Size(words::number_test(source, key, value)?)),
        "direction" => read_directions(source, value),
        "dialect" => read_dialect(source, value),
        "same_domain" => read_same_domain(source, value),
        "dns" => read_dns(source, value),
        _ => {
            source.unknown(entry.at, "field", key, KEYS);
            None
        }
    }
}

fn read_at_least(source: &mut Source<'_>, value: &Value<'_>, depth: usize) -> Option<Condition> {
    let what = "`at_least`";
    let fields = source.table("at_least", value)?;
    fields.allow(source, what, &["count", "of"]);
    let hint = "write at_least = { count = 2, of = [ ... ] }";
    let count = fields.required(source, what, "count", hint);
    let of = fields.required(source, what, "of", hint);
    let parts = of.and_then(|of| read_list(source, "of", of, depth + 1));
    let counted = count.and_then(|count| source.number("count", count));
    let (parts, counted, count) = (parts?, counted?, count?);
    if counted == 0 || counted > parts.len() as u64 {
        let hint = format!("count from 1 to {}, the number of conditions", parts.len());
        source.error(count.span().start, format!("`count` is {counted}"), hint);
        return None;
    }
    Some(Condition::AtLeast(counted as usize, parts))
}

fn read_header(source: &mut Source<'_>, value: &Value<'_>) -> Option<Condition> {
    let fields = source.table("header", value)?;
    let hint = "write header = { name = \"X-Mailer\", contains = \"...\" }, or has = \"X-Mailer\"";
    let name = fields.required(source, "`header`", "name", hint)?;
    let name = header_name(source, "name", name)?;
    let tests = Fields { at: fields.at, entries: fields.entries.into_iter().filter(|e| e.key != "name").collect() };
    let test = words::text_tests(source, "header", &tests, words::Kind::Prose)?;
    Some(Condition::Header(name, test))
}

/// A header's name: RFC 5322, section 2.2: printable ASCII but the colon.
fn header_name(source: &mut Source<'_>, key: &str, value: &Value<'_>) -> Option<String> {
    let name = source.filled(key, value)?;
    if !name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':') {
        source.error(value.span().start, "not a header's name", "write it without colon and spaces, as \"X-Mailer\"");
        return None;
    }
    Some(name.to_owned())
}

fn read_file(source: &mut Source<'_>, scope: Scope, value: &Value<'_>) -> Option<Condition> {
    let key = scope.name();
    let fields = source.table(key, value)?;
    if fields.entries.is_empty() {
        source.error(fields.at, format!("`{key}` is empty"), format!("name a property: {}", FILE_KEYS.join(", ")));
        return None;
    }
    let mut container = None;
    let mut parts = Vec::new();
    let mut sound = true;
    for entry in &fields.entries {
        if entry.key == "in" && scope != Scope::Attachment {
            container = read_container(source, entry.value);
            sound &= container.is_some();
            continue;
        }
        let part = read_file_part(source, key, entry);
        sound &= part.is_some();
        parts.extend(part);
    }
    sound.then_some(Condition::File(FileTest { scope, container, parts }))
}

fn read_container(source: &mut Source<'_>, value: &Value<'_>) -> Option<super::text::TextTest> {
    if value.get_ref().is_table() {
        let fields = source.table("in", value)?;
        fields.allow(source, "`in`", &["name"]);
        let name = fields.required(source, "`in`", "name", "write in = { name = \"photos.zip\" }")?;
        return words::text_test(source, "name", name, words::Kind::Plain);
    }
    words::text_test(source, "in", value, words::Kind::Plain)
}

fn read_file_part(source: &mut Source<'_>, scope: &str, entry: &Entry<'_, '_>) -> Option<FilePart> {
    let Entry { key, value, .. } = *entry;
    Some(match key {
        "name" => FilePart::Name(words::text_test(source, key, value, words::Kind::Plain)?),
        "type" => FilePart::Type(read_kind(source, value)?),
        "size" => FilePart::Size(words::number_test(source, key, value)?),
        "md5" => FilePart::Md5(words::hashes(source, key, value)?),
        "sha1" => FilePart::Sha1(words::hashes(source, key, value)?),
        "sha256" => FilePart::Sha256(words::hashes(source, key, value)?),
        "encrypted" => FilePart::Encrypted(source.boolean(key, value)?),
        "in" => {
            source.error(entry.at, "an attachment is in no archive", "use `member` for files in archives");
            return None;
        }
        _ => {
            source.unknown(entry.at, &format!("property of {scope}:"), key, FILE_KEYS);
            return None;
        }
    })
}

/// A test on a file's type. A name that is no type's would never match, so it is a mistake.
fn read_kind(source: &mut Source<'_>, value: &Value<'_>) -> Option<super::text::TextTest> {
    let mut sound = true;
    for (name, at) in whole_words(value) {
        if !FileKind::ALL.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            let message = format!("unknown file type `{}`", name.escape_debug());
            source.error(at.span().start, message, right_kind(name));
            sound = false;
        }
    }
    words::text_test(source, "type", value, words::Kind::Plain).filter(|_| sound)
}

/// What somebody who wrote this name for a file's type may have meant.
fn right_kind(name: &str) -> String {
    let extension = EXTENSIONS.iter().find(|(extension, _)| extension.eq_ignore_ascii_case(name));
    let near = extension.map_or_else(|| suggestion(name, FileKind::ALL), |(_, kind)| format!("did you mean `{kind}`?"));
    // There are many, but nowhere else do they stand together.
    if near.is_empty() { format!("use one of {}", FileKind::ALL.join(", ")) } else { near }
}

/// The words that a test on text compares with the whole value.
fn whole_words<'d, 'i>(value: &'d Value<'i>) -> Vec<(&'d str, &'d Value<'i>)> {
    let value_of = |key: &str| value.get_ref().as_table().and_then(|table| table.get(key));
    let places = [Some(value), value_of("equals"), value_of("one_of")];
    let values = places.into_iter().flatten().flat_map(|place| match place.get_ref().as_array() {
        Some(items) => items.iter().collect::<Vec<_>>(),
        None => vec![place],
    });
    values.filter_map(|value| value.get_ref().as_str().map(|word| (word, value))).collect()
}

fn read_directions(source: &mut Source<'_>, value: &Value<'_>) -> Option<Condition> {
    let names = source.strings("direction", value)?;
    let ways = every(names.iter().map(|(name, at)| direction(source, name, at)))?;
    Some(Condition::Direction(ways))
}

/// A direction by its name.
pub(super) fn direction(source: &mut Source<'_>, name: &str, value: &Value<'_>) -> Option<Direction> {
    let found = DIRECTIONS.into_iter().find(|direction| direction.name() == name);
    if found.is_none() {
        source.unknown(value.span().start, "direction", name, &DIRECTIONS.map(Direction::name));
    }
    found
}

fn read_dialect(source: &mut Source<'_>, value: &Value<'_>) -> Option<Condition> {
    Some(Condition::Dialect(dialect(source, value)?.0))
}

/// Traits of the dialect by their names.
pub(super) fn dialect(source: &mut Source<'_>, value: &Value<'_>) -> Option<Dialect> {
    let names = source.strings("dialect", value)?;
    let bits = every(names.iter().map(|(name, at)| {
        let found = Dialect::NAMES.iter().find(|(_, known)| known == name).map(|(bit, _)| *bit);
        if found.is_none() {
            let known: Vec<_> = Dialect::NAMES.iter().map(|(_, name)| *name).collect();
            source.unknown(at.span().start, "dialect trait", name, &known);
        }
        found
    }))?;
    Some(Dialect(bits.into_iter().fold(0, |all, bit| all | bit)))
}

fn read_same_domain(source: &mut Source<'_>, value: &Value<'_>) -> Option<Condition> {
    let names = source.strings("same_domain", value)?;
    let known: Vec<_> = TextField::ALL.into_iter().filter(|field| field.has_domain()).collect();
    let fields = every(names.iter().map(|(name, at)| {
        let found = known.iter().copied().find(|field| field.name() == *name);
        if found.is_none() {
            let known: Vec<_> = known.iter().map(|field| field.name()).collect();
            source.unknown(at.span().start, "field with a domain:", name, &known);
        }
        found
    }))?;
    match fields[..] {
        [one, other] if one != other => Some(Condition::SameDomain(one, other)),
        _ => {
            let hint = "write same_domain = [\"header_from\", \"rcpt_to\"]";
            source.error(value.span().start, "`same_domain` compares two different fields", hint);
            None
        }
    }
}

fn read_dns(source: &mut Source<'_>, value: &Value<'_>) -> Option<Condition> {
    let hint = "write dns.name = \"example.org\"";
    if !value.get_ref().is_table() {
        source.wrong_type("dns", value, "a table", hint);
        return None;
    }
    let fields = source.table("dns", value)?;
    fields.allow(source, "`dns`", &["name"]);
    let name = fields.required(source, "`dns`", "name", hint)?;
    Some(Condition::DnsName(words::text_test(source, "dns.name", name, words::Kind::Name)?))
}

/// All of them, or none when any is missing; every one is read, so that every fault is noted.
pub(super) fn every<T>(parts: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let parts: Vec<Option<T>> = parts.collect();
    parts.into_iter().collect()
}

impl From<TextField> for words::Kind {
    fn from(field: TextField) -> Self {
        if field.is_prose() { Self::Prose } else { Self::Plain }
    }
}

/// All directions.
pub(super) const DIRECTIONS: [Direction; 4] =
    [Direction::Inbound, Direction::Outbound, Direction::Internal, Direction::External];

/// Extensions written where a type is wanted: types are told by bytes, and have names of their own.
const EXTENSIONS: &[(&str, &str)] = &[
    ("exe", "pe"),
    ("dll", "pe"),
    ("scr", "pe"),
    ("doc", "ole"),
    ("xls", "ole"),
    ("msi", "ole"),
    ("bat", "script"),
    ("vbs", "script"),
    ("txt", "text"),
    ("tgz", "gzip"),
];

const KEYS: &[&str] = &[
    "all",
    "any",
    "not",
    "at_least",
    "helo",
    "mail_from",
    "rcpt_to",
    "header_from",
    "header_to",
    "header",
    "has",
    "lacks",
    "subject",
    "body",
    "attachment",
    "member",
    "file",
    "size",
    "direction",
    "dialect",
    "same_domain",
    "dns",
];

const FILE_KEYS: &[&str] = &["name", "type", "size", "md5", "sha1", "sha256", "encrypted", "in"];
