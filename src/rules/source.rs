//! A rule file as text and as TOML: every value with its place, every fault with line, column and a way out.

use std::fmt;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::model::limits::RULE_SAMPLE_BYTES;

/// A TOML value and where it stands.
pub(super) type Value<'i> = Spanned<DeValue<'i>>;

/// What is wrong with a rule file, where, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// The file's name as it was given.
    pub file: String,
    /// From 1; 0 when the file as a whole is meant (it could not be read).
    pub line: usize,
    /// In characters, from 1; 0 with line 0.
    pub column: usize,
    pub message: String,
    /// What would be right; empty when the message says it all.
    pub hint: String,
}

impl RuleError {
    /// An error about a file as a whole.
    pub(super) fn of_file(file: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { file: file.into(), line: 0, column: 0, message: message.into(), hint: hint.into() }
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}", self.message)?;
        if !self.hint.is_empty() {
            write!(f, "; hint: {}", self.hint)?;
        }
        Ok(())
    }
}

impl std::error::Error for RuleError {}

/// A rule file being read, and the faults found in it so far.
pub(super) struct Source<'a> {
    name: &'a str,
    text: &'a str,
    /// Offset of each line's first byte.
    lines: Vec<usize>,
    errors: Vec<RuleError>,
    /// Bytes of samples made for its tests so far.
    sample_bytes: usize,
}

impl<'a> Source<'a> {
    pub fn new(name: &'a str, text: &'a str) -> Self {
        let lines = std::iter::once(0).chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1)).collect();
        Self { name, text, lines, errors: Vec::new(), sample_bytes: 0 }
    }

    pub fn name(&self) -> &'a str {
        self.name
    }

    pub fn into_errors(self) -> Vec<RuleError> {
        self.errors
    }

    /// The file as TOML; none when it is not, which is then the file's only error: what follows a fault of
    /// syntax is guesswork.
    pub fn parse(&mut self) -> Option<Spanned<DeTable<'a>>> {
        match DeTable::parse(self.text) {
            Ok(document) => Some(document),
            Err(error) => {
                let (message, expected) = error.message().split_once(", expected ").unwrap_or((error.message(), ""));
                let hint = if expected.is_empty() { String::new() } else { format!("expected {expected}") };
                self.error(error.span().map_or(0, |span| span.start), format!("not TOML: {message}"), hint);
                None
            }
        }
    }

    /// Line and column, from 1, of a byte of the file.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|&start| start <= offset).max(1);
        let start = self.lines.get(line - 1).copied().unwrap_or(0);
        let before = self.text.as_bytes().get(start..offset.min(self.text.len())).unwrap_or_default();
        // Characters, not bytes: every byte but the continuation bytes of UTF-8 begins one.
        (line, 1 + before.iter().filter(|&&byte| byte & 0xc0 != 0x80).count())
    }

    /// Notes a fault at a byte of the file.
    pub fn error(&mut self, offset: usize, message: impl Into<String>, hint: impl Into<String>) {
        let (line, column) = self.position(offset);
        let (message, hint) = (message.into(), hint.into());
        self.errors.push(RuleError { file: self.name.to_owned(), line, column, message, hint });
    }

    /// Accounts for a sample to be made; false, and a fault noted, when the file's samples grow too large.
    pub fn afford(&mut self, offset: usize, bytes: usize) -> bool {
        self.sample_bytes = self.sample_bytes.saturating_add(bytes);
        let affordable = self.sample_bytes <= RULE_SAMPLE_BYTES;
        if !affordable {
            let message = format!("the samples of this file take {} bytes", self.sample_bytes);
            self.error(offset, message, format!("make them smaller: {RULE_SAMPLE_BYTES} bytes are allowed"));
        }
        affordable
    }

    /// Where the character `within` bytes into a string value stands: exact unless the string uses escapes.
    pub fn inside(&self, value: &Value<'_>, within: usize) -> usize {
        let span = value.span();
        let written = self.text.get(span.clone()).unwrap_or_default();
        let content = value.get_ref().as_str().unwrap_or_default();
        written.find(content).map_or(span.start, |start| span.start + start + within)
    }

    pub fn string<'d>(&mut self, key: &str, value: &'d Value<'_>) -> Option<&'d str> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong_type(key, value, "a string", "in quotes");
        }
        text
    }

    /// A string that says something.
    pub fn filled<'d>(&mut self, key: &str, value: &'d Value<'_>) -> Option<&'d str> {
        let text = self.string(key, value)?;
        if text.trim().is_empty() {
            self.error(value.span().start, format!("`{key}` is empty"), "say something, or leave the key out");
            return None;
        }
        Some(text)
    }

    /// A string, or a list of them; at least one.
    pub fn strings<'d, 'i>(&mut self, key: &str, value: &'d Value<'i>) -> Option<Vec<(&'d str, &'d Value<'i>)>> {
        if value.get_ref().is_str() {
            return Some(vec![(self.string(key, value)?, value)]);
        }
        if value.get_ref().as_array().is_none() {
            self.wrong_type(key, value, "a string or a list of strings", "as \"x\" or [\"x\", \"y\"]");
            return None;
        }
        let items = self.items(key, value)?;
        // Not short-circuiting: each wrong item is to be told.
        let texts: Vec<_> = items.iter().map(|item| Some((self.string(key, item)?, item))).collect();
        texts.into_iter().collect()
    }

    /// A list with at least one item.
    pub fn items<'d, 'i>(&mut self, key: &str, value: &'d Value<'i>) -> Option<&'d [Value<'i>]> {
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(key, value, "a list", "in [ ]");
            return None;
        };
        if items.is_empty() {
            self.error(value.span().start, format!("`{key}` is empty"), "it needs at least one entry");
            return None;
        }
        Some(items.as_ref())
    }

    /// A whole number, not negative.
    pub fn number(&mut self, key: &str, value: &Value<'_>) -> Option<u64> {
        let number = value.get_ref().as_integer().and_then(|n| u64::from_str_radix(n.as_str(), n.radix()).ok());
        if number.is_none() {
            self.wrong_type(key, value, "a whole number from 0", "as 12_832");
        }
        number
    }

    pub fn boolean(&mut self, key: &str, value: &Value<'_>) -> Option<bool> {
        let truth = value.get_ref().as_bool();
        if truth.is_none() {
            self.wrong_type(key, value, "true or false", "without quotes");
        }
        truth
    }

    pub fn table<'d, 'i>(&mut self, key: &str, value: &'d Value<'i>) -> Option<Fields<'d, 'i>> {
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_type(key, value, "a table", "as { key = value }");
            return None;
        };
        Some(Fields::new(table, value.span().start))
    }

    pub fn wrong_type(&mut self, key: &str, value: &Value<'_>, wanted: &str, how: &str) {
        let found = match value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.error(value.span().start, format!("`{key}` is {found}"), format!("it must be {wanted}, {how}"));
    }

    /// Notes that `word` is none of `known`.
    pub fn unknown(&mut self, offset: usize, what: &str, word: &str, known: &[&str]) {
        self.error(offset, format!("unknown {what} `{}`", word.escape_debug()), suggestion(word, known));
    }
}

/// A table's entries in the order they were written.
pub(super) struct Fields<'d, 'i> {
    /// Offset of the table's header or opening brace.
    pub at: usize,
    pub entries: Vec<Entry<'d, 'i>>,
}

/// A key, where it stands, and its value.
#[derive(Clone, Copy)]
pub(super) struct Entry<'d, 'i> {
    pub key: &'d str,
    pub at: usize,
    pub value: &'d Value<'i>,
}

impl<'d, 'i> Fields<'d, 'i> {
    pub fn new(table: &'d DeTable<'i>, at: usize) -> Self {
        let entry = |(key, value): (&'d Spanned<_>, _)| Entry { key: as_str(key), at: key.span().start, value };
        let mut entries: Vec<_> = table.iter().map(entry).collect();
        entries.sort_by_key(|entry| entry.at);
        Self { at, entries }
    }

    pub fn get(&self, key: &str) -> Option<&'d Value<'i>> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| entry.value)
    }

    /// The value of a key that must be there.
    pub fn required(&self, source: &mut Source<'_>, what: &str, key: &str, hint: &str) -> Option<&'d Value<'i>> {
        let value = self.get(key);
        if value.is_none() {
            source.error(self.at, format!("{what} has no `{key}`"), hint);
        }
        value
    }

    /// Notes every key that is none of `known`.
    pub fn allow(&self, source: &mut Source<'_>, what: &str, known: &[&str]) {
        for entry in self.entries.iter().filter(|entry| !known.contains(&entry.key)) {
            source.unknown(entry.at, &format!("key in {what}:"), entry.key, known);
        }
    }
}

fn as_str<'d>(key: &'d Spanned<toml::de::DeString<'_>>) -> &'d str {
    key.get_ref()
}

/// "Did you mean", or what there is to choose from.
pub(super) fn suggestion(word: &str, known: &[&str]) -> String {
    let plain = |text: &str| text.to_lowercase().replace(['-', '_', ' '], "");
    let word = plain(word);
    let near = known.iter().map(|&candidate| (distance(&word, &plain(candidate)), candidate)).min();
    match near {
        Some((far, candidate)) if far <= word.len().max(3) / 3 => format!("did you mean `{candidate}`?"),
        _ if known.is_empty() || known.len() > LONGEST_LIST => String::new(),
        _ => format!("use one of {}", known.join(", ")),
    }
}

/// Edit distance with swaps of neighbours (optimal string alignment) between two words; words too long to be
/// typing errors count as unlike.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > LONGEST_WORD || b.len() > LONGEST_WORD {
        return usize::MAX;
    }
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, &left) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &right) in b.iter().enumerate() {
            let mut best = (above[j] + usize::from(left != right)).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && left == b[j - 1] && a[i - 1] == right {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

const LONGEST_WORD: usize = 64;
const LONGEST_LIST: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let source = Source::new("x.toml", "a = 1\nb = 'äöü' + 1\n");
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(6), (2, 1));
        assert_eq!(source.position("a = 1\nb = 'äöü' ".len()), (2, 11));
        assert_eq!(source.position(1_000), (3, 1));
    }

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        let known = ["subject", "starts_with", "rcpt_to"];
        assert_eq!(suggestion("sbuject", &known), "did you mean `subject`?");
        assert_eq!(suggestion("StartsWith", &known), "did you mean `starts_with`?");
        assert_eq!(suggestion("colour", &known), "use one of subject, starts_with, rcpt_to");
        assert_eq!(suggestion(&"x".repeat(10_000), &known), "use one of subject, starts_with, rcpt_to");
    }

    #[test]
    fn distance_is_the_textbooks() {
        for (a, b, far) in [("", "abc", 3), ("kitten", "sitting", 3), ("ca", "ac", 1), ("same", "same", 0)] {
            assert_eq!(distance(a, b), far, "{a} {b}");
        }
    }

    #[test]
    fn an_error_prints_its_place_and_hint() {
        let mut source = Source::new("rules/x.toml", "a = 1\nbee = 2\n");
        source.error(6, "unknown key `bee`", "did you mean `be`?");
        assert_eq!(
            source.into_errors()[0].to_string(),
            "rules/x.toml:2:1: unknown key `bee`; hint: did you mean `be`?"
        );
        assert_eq!(RuleError::of_file("x", "cannot be read", "").to_string(), "x: cannot be read");
    }
}
