//! Reads the tests on one value: words, patterns, numbers, hashes.

use globset::GlobBuilder;
use memchr::memmem;
use regex::bytes::{Regex, RegexBuilder};

use super::condition::every;
use super::matcher::{NumberRange, NumberTest};
use super::source::{Entry, Fields, Source, Value};
use super::text::{Test, TextTest, collapse_within, folded};
use crate::model::limits::RULE_REGEX_BYTES;

/// What sort of text a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Names and addresses: tested as they are.
    Plain,
    /// The name of a DNS question: ASCII, as on the wire, and without the final dot.
    Name,
    /// Text for people: white space is folded, and there is a raw form.
    Prose,
}

/// Reads tests on text: a string to equal, a list of such, or a table of tests.
pub(super) fn text_test(source: &mut Source<'_>, key: &str, value: &Value<'_>, kind: Kind) -> Option<TextTest> {
    if value.get_ref().is_table() {
        let fields = source.table(key, value)?;
        return text_tests(source, key, &fields, kind);
    }
    if !value.get_ref().is_str() && !value.get_ref().is_array() {
        source.wrong_type(key, value, "a string, a list of strings, or a table of tests", "as { contains = \"x\" }");
        return None;
    }
    let style = Style { kind, case: false, raw: false };
    style.fitting(source, "equals", value)?;
    Some(TextTest { tests: vec![style.one_of(source, key, value)?], case: false, raw: false })
}

/// Reads a table of tests on text.
pub(super) fn text_tests(source: &mut Source<'_>, key: &str, fields: &Fields<'_, '_>, kind: Kind) -> Option<TextTest> {
    let style = Style::read(source, key, fields, kind)?;
    let tests = fields.entries.iter().filter(|entry| !matches!(entry.key, "case" | "raw"));
    let tests = every(tests.map(|entry| style.test(source, key, entry)))?;
    if tests.is_empty() {
        source.error(fields.at, format!("`{key}` tests nothing"), format!("use one of {}", TEXT_TESTS.join(", ")));
        return None;
    }
    Some(TextTest { tests, case: style.case, raw: style.raw })
}

/// How words are to be read.
#[derive(Clone, Copy)]
struct Style {
    kind: Kind,
    case: bool,
    raw: bool,
}

impl Style {
    fn read(source: &mut Source<'_>, key: &str, fields: &Fields<'_, '_>, kind: Kind) -> Option<Self> {
        let mut flag = |name: &str| fields.get(name).map_or(Some(false), |value| source.boolean(name, value));
        let (case, raw) = (flag("case"), flag("raw"));
        let style = Self { kind, case: case?, raw: raw? };
        if style.raw && kind != Kind::Prose {
            let at = fields.entries.iter().find(|entry| entry.key == "raw").map_or(fields.at, |entry| entry.at);
            source.error(at, format!("`{key}` has no raw form"), "raw is for subject, header and body");
            return None;
        }
        Some(style)
    }

    fn test(self, source: &mut Source<'_>, field: &str, entry: &Entry<'_, '_>) -> Option<Test> {
        let Entry { key, value, .. } = *entry;
        self.fitting(source, key, value)?;
        Some(match key {
            "equals" => {
                source.string(key, value)?;
                self.one_of(source, key, value)?
            }
            "one_of" => self.one_of(source, key, value)?,
            "contains" => Test::Contains(Box::new(memmem::Finder::new(&self.part(source, key, value)?).into_owned())),
            "starts_with" => Test::StartsWith(self.part(source, key, value)?),
            "ends_with" => Test::EndsWith(self.part(source, key, value)?),
            "glob" => self.glob(source, key, value)?,
            "regex" => Test::Regex(self.regex(source, key, value)?),
            _ => {
                source.unknown(entry.at, &format!("test of {field}:"), key, TEXT_TESTS);
                return None;
            }
        })
    }

    /// Words that no value could ever have, so that a rule would be silent for ever, are a mistake.
    fn fitting(self, source: &mut Source<'_>, key: &str, value: &Value<'_>) -> Option<()> {
        if self.kind != Kind::Name {
            return Some(());
        }
        let words: Vec<_> = match value.get_ref().as_array() {
            Some(items) => items.iter().collect(),
            None => vec![value],
        };
        every(words.into_iter().map(|word| {
            // What is no string is told by who reads it.
            let Some(text) = word.get_ref().as_str() else { return Some(()) };
            let ends = matches!(key, "equals" | "one_of" | "ends_with" | "glob");
            match name_fault(text, ends) {
                Some((message, hint)) => {
                    source.error(word.span().start, message, hint);
                    None
                }
                None => Some(()),
            }
        }))
        .map(|_| ())
    }

    fn one_of(self, source: &mut Source<'_>, key: &str, value: &Value<'_>) -> Option<Test> {
        let words = source.strings(key, value)?;
        let whole = |word| if self.folds_space() { self.spaced(word).trim().to_owned() } else { self.spaced(word) };
        let mut words: Vec<Box<[u8]>> = words.iter().map(|(word, _)| self.fold(whole(word))).collect();
        words.sort_unstable();
        Some(Test::OneOf(words))
    }

    /// A word to be found within a value.
    fn part(self, source: &mut Source<'_>, key: &str, value: &Value<'_>) -> Option<Box<[u8]>> {
        let word = source.string(key, value)?;
        if word.is_empty() {
            source.error(value.span().start, format!("`{key}` is empty"), "it would match everything: leave it out");
            return None;
        }
        Some(self.fold(self.spaced(word)))
    }

    fn glob(self, source: &mut Source<'_>, key: &str, value: &Value<'_>) -> Option<Test> {
        let pattern = String::from_utf8(self.fold(self.spaced(source.filled(key, value)?)).into()).ok()?;
        // Names here are not paths: `*` takes in slashes, and a backslash escapes.
        let glob = GlobBuilder::new(&pattern).literal_separator(false).backslash_escape(true).build();
        let regex = glob.map_err(|error| error.kind().to_string()).and_then(|glob| {
            let regex = RegexBuilder::new(glob.regex()).dot_matches_new_line(true).size_limit(RULE_REGEX_BYTES).build();
            regex.map_err(|_| "it is too large".to_owned())
        });
        match regex {
            Ok(regex) => Some(Test::Glob(regex, longest_literal(&pattern))),
            Err(message) => {
                let hint = "* is any text, ? one character, [ab] a or b, {a,b} one of; \\ takes these literally";
                source.error(value.span().start, format!("bad glob: {message}"), hint);
                None
            }
        }
    }

    fn regex(self, source: &mut Source<'_>, key: &str, value: &Value<'_>) -> Option<Regex> {
        let pattern = source.filled(key, value)?;
        // The wire's bytes need not be UTF-8.
        let unicode = !self.raw;
        if let Err((message, within)) = check_syntax(pattern, unicode) {
            let at = source.inside(value, within);
            source.error(
                at,
                format!("bad regex: {message}"),
                "the syntax is that of the Rust crate regex; quote it in '...'",
            );
            return None;
        }
        let mut builder = RegexBuilder::new(pattern);
        builder.unicode(unicode).case_insensitive(!self.case);
        match builder.size_limit(RULE_REGEX_BYTES).build() {
            Ok(regex) => Some(regex),
            Err(error) => {
                let last = error.to_string().lines().last().unwrap_or_default().trim_end_matches('.').to_owned();
                source.error(value.span().start, format!("bad regex: {last}"), "make its repeats and classes smaller");
                None
            }
        }
    }

    /// The word with its white space as that of the values it is held against.
    fn spaced(self, word: &str) -> String {
        if self.folds_space() { collapse_within(word) } else { word.to_owned() }
    }

    fn folds_space(self) -> bool {
        self.kind == Kind::Prose && !self.raw
    }

    fn fold(self, word: String) -> Box<[u8]> {
        let bytes = word.into_bytes();
        if self.case { bytes.into() } else { folded(&bytes).unwrap_or(bytes).into() }
    }
}

/// What is wrong with a word for a name that is asked for, and what would be right; `ends` if the name is to end with it.
pub(super) fn name_fault(word: &str, ends: bool) -> Option<(&'static str, &'static str)> {
    if !word.is_ascii() {
        let hint = "names go over the wire in ASCII: write its labels as \"xn--...\" (the program idn2 prints them)";
        return Some(("a DNS name with letters beyond ASCII", hint));
    }
    let dotted = ends && word.len() > 1 && word.ends_with('.');
    dotted.then_some(("a DNS name with its final dot", "leave the dot out: names are tested without it"))
}

/// What is wrong with an expression, and at which of its bytes.
fn check_syntax(pattern: &str, unicode: bool) -> Result<(), (String, usize)> {
    let mut parser = regex_syntax::ParserBuilder::new().unicode(unicode).utf8(false).build();
    match parser.parse(pattern) {
        Ok(_) => Ok(()),
        Err(regex_syntax::Error::Parse(error)) => Err((error.kind().to_string(), error.span().start.offset)),
        Err(regex_syntax::Error::Translate(error)) => Err((error.kind().to_string(), error.span().start.offset)),
        Err(error) => Err((error.to_string(), 0)),
    }
}

/// The longest run of plain characters that every match of a glob has; empty when the glob has more than `*` and `?`.
fn longest_literal(glob: &str) -> String {
    if glob.contains(['[', ']', '{', '}', '\\', '!']) {
        return String::new();
    }
    glob.split(['*', '?']).max_by_key(|run| run.len()).unwrap_or_default().to_owned()
}

/// Reads tests on a number: a number to equal, a list of such, or a table of ranges.
pub(super) fn number_test(source: &mut Source<'_>, key: &str, value: &Value<'_>) -> Option<NumberTest> {
    if value.get_ref().is_integer() {
        return Some(NumberTest(vec![NumberRange::OneOf(vec![source.number(key, value)?])]));
    }
    if value.get_ref().is_array() {
        return Some(NumberTest(vec![NumberRange::OneOf(numbers(source, key, value)?)]));
    }
    if !value.get_ref().is_table() {
        source.wrong_type(
            key,
            value,
            "a whole number, a list of them, or a table of ranges",
            "as { at_least = 1_000 }",
        );
        return None;
    }
    let fields = source.table(key, value)?;
    let ranges = every(fields.entries.iter().map(|entry| number_range(source, key, entry)))?;
    if ranges.is_empty() {
        source.error(fields.at, format!("`{key}` tests nothing"), format!("use one of {}", NUMBER_TESTS.join(", ")));
        return None;
    }
    Some(NumberTest(ranges))
}

fn number_range(source: &mut Source<'_>, field: &str, entry: &Entry<'_, '_>) -> Option<NumberRange> {
    let Entry { key, value, .. } = *entry;
    Some(match key {
        "equals" => NumberRange::OneOf(vec![source.number(key, value)?]),
        "one_of" => NumberRange::OneOf(numbers(source, key, value)?),
        "at_least" => NumberRange::Between(source.number(key, value)?, u64::MAX),
        "at_most" => NumberRange::Between(0, source.number(key, value)?),
        "between" => match numbers(source, key, value)?[..] {
            [least, most] if least <= most => NumberRange::Between(least, most),
            _ => {
                let hint = "write between = [least, most], both included";
                source.error(value.span().start, "`between` needs two numbers in order", hint);
                return None;
            }
        },
        _ => {
            source.unknown(entry.at, &format!("test of {field}:"), key, NUMBER_TESTS);
            return None;
        }
    })
}

fn numbers(source: &mut Source<'_>, key: &str, value: &Value<'_>) -> Option<Vec<u64>> {
    let items = source.items(key, value)?;
    every(items.iter().map(|item| source.number(key, item)))
}

/// Reads hashes in hexadecimal, one or a list; sorted.
pub(super) fn hashes<const N: usize>(source: &mut Source<'_>, key: &str, value: &Value<'_>) -> Option<Vec<[u8; N]>> {
    let value = match value.get_ref().as_table() {
        Some(_) => {
            let fields = source.table(key, value)?;
            fields.allow(source, &format!("`{key}`"), &["equals", "one_of"]);
            if let (Some(_), Some(both)) = (fields.get("equals"), fields.get("one_of")) {
                source.error(both.span().start, format!("`{key}` has both `equals` and `one_of`"), "keep one of them");
                return None;
            }
            let chosen = fields.get("equals").or(fields.get("one_of"));
            if chosen.is_none() {
                source.error(fields.at, format!("`{key}` tests nothing"), "use equals or one_of");
            }
            chosen?
        }
        None => value,
    };
    let words = source.strings(key, value)?;
    let mut hashes = every(words.iter().map(|(word, at)| {
        let hash = unhex(word);
        if hash.is_none() {
            let hint = format!("it has {} hexadecimal digits", 2 * N);
            source.error(at.span().start, format!("not a hash for `{key}`"), hint);
        }
        hash
    }))?;
    hashes.sort_unstable();
    Some(hashes)
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut hash = [0; N];
    for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

const TEXT_TESTS: &[&str] =
    &["equals", "contains", "starts_with", "ends_with", "glob", "regex", "one_of", "case", "raw"];

const NUMBER_TESTS: &[&str] = &["equals", "one_of", "between", "at_least", "at_most"];
