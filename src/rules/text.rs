//! Tests on text: what a value must look like, and what of it matched.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::ops::Range;

use memchr::memmem;
use regex::bytes::Regex;

use crate::model::limits::EVIDENCE_CHARS;

/// A value under test. Its case-folded form is made when first asked for.
#[derive(Debug)]
pub(super) struct Text<'a> {
    bytes: Cow<'a, [u8]>,
    /// None within when folding changes nothing.
    lower: OnceCell<Option<Vec<u8>>>,
}

impl<'a> Text<'a> {
    /// A value as it is: a name, an address, bytes of the wire.
    pub fn plain(bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        Self { bytes: bytes.into(), lower: OnceCell::new() }
    }

    /// Prose as a reader takes it in: any run of white space is one space, none at the ends.
    pub fn prose(text: &'a str) -> Self {
        Self::plain(match collapsed(text) {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        })
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn lower(&self) -> &[u8] {
        self.lower.get_or_init(|| folded(&self.bytes)).as_deref().unwrap_or(&self.bytes)
    }

    /// The value for people: quoted, control and invisible characters escaped, cut around `range`.
    pub fn quoted(&self, range: Range<usize>) -> String {
        quote(&self.bytes, range)
    }
}

/// What a text must be: all of the tests hold for one and the same value.
#[derive(Clone, Debug)]
pub(super) struct TextTest {
    pub tests: Vec<Test>,
    /// Upper and lower case are told apart.
    pub case: bool,
    /// The bytes of the wire are tested, not what a reader sees.
    pub raw: bool,
}

/// One test. Words are stored folded, unless case matters.
#[derive(Clone, Debug)]
pub(super) enum Test {
    /// Equal to one of these; sorted.
    OneOf(Vec<Box<[u8]>>),
    Contains(Box<memmem::Finder<'static>>),
    StartsWith(Box<[u8]>),
    EndsWith(Box<[u8]>),
    /// A glob, as the expression it stands for, with the longest run of plain characters in it.
    Glob(Regex, String),
    /// Sees the value unfolded: case is its own business.
    Regex(Regex),
}

impl TextTest {
    /// What of the value matched; none when any of the tests fails.
    pub fn find(&self, text: &Text<'_>) -> Option<Range<usize>> {
        let value = if self.case { text.bytes() } else { text.lower() };
        let mut matched = None;
        for test in &self.tests {
            let found = match test {
                Test::Regex(regex) => regex.find(text.bytes())?.range(),
                _ => test.find(value)?,
            };
            matched.get_or_insert(found);
        }
        // Folding can change lengths; then a place in the folded value means nothing in the value itself.
        let same_places = value.len() == text.bytes().len();
        Some(matched.filter(|_| same_places).unwrap_or(0..text.bytes().len()))
    }

    pub fn holds(&self, text: &Text<'_>) -> bool {
        self.find(text).is_some()
    }

    /// Words of which at least one stands in every value that passes (in either case); none when that is not known.
    pub fn literals(&self) -> Option<Vec<String>> {
        self.tests.iter().filter_map(Test::literals).min_by_key(Vec::len)
    }
}

impl Test {
    fn find(&self, value: &[u8]) -> Option<Range<usize>> {
        let end = value.len();
        match self {
            Self::OneOf(words) => words.binary_search_by(|word| (**word).cmp(value)).ok().map(|_| 0..end),
            Self::Contains(word) => word.find(value).map(|at| at..at + word.needle().len()),
            Self::StartsWith(word) => value.starts_with(word).then_some(0..word.len()),
            Self::EndsWith(word) => value.ends_with(word).then(|| end - word.len()..end),
            Self::Glob(regex, _) | Self::Regex(regex) => regex.find(value).map(|found| found.range()),
        }
    }

    fn literals(&self) -> Option<Vec<String>> {
        let ascii = |word: &[u8]| {
            let text = std::str::from_utf8(word).ok().filter(|text| text.is_ascii() && !text.is_empty());
            text.map(str::to_owned)
        };
        match self {
            Self::OneOf(words) => words.iter().map(|word| ascii(word)).collect(),
            Self::Contains(word) => Some(vec![ascii(word.needle())?]),
            Self::StartsWith(word) | Self::EndsWith(word) => Some(vec![ascii(word)?]),
            Self::Glob(_, literal) => Some(vec![ascii(literal.as_bytes())?]),
            Self::Regex(_) => None,
        }
    }
}

/// `text` with every run of white space made one space, and none at its ends.
fn collapsed(text: &str) -> Cow<'_, str> {
    if is_collapsed(text) {
        return Cow::Borrowed(text.trim_matches(' '));
    }
    let mut out = String::with_capacity(text.len());
    let mut add = |part: &str| {
        if !out.is_empty() && !part.is_empty() {
            out.push(' ');
        }
        out.push_str(part);
    };
    // Most white space of a body to be folded is line ends: whole lines are copied where that is so.
    for line in text.split('\n') {
        let line = line.trim();
        if is_collapsed(line) {
            add(line);
        } else {
            line.split_whitespace().for_each(&mut add);
        }
    }
    Cow::Owned(out)
}

/// Whether nothing in `text` but its ends needs folding: then it is ASCII with single spaces. Looks at all of it
/// without a branch, which is faster than to stop early.
fn is_collapsed(text: &str) -> bool {
    let odd = |byte: &u8| (b'\t'..=b'\r').contains(byte) | !byte.is_ascii();
    let bytes = text.as_bytes();
    let next = bytes.get(1..).unwrap_or_default();
    let doubled = bytes.iter().zip(next).fold(false, |found, (one, two)| found | ((*one == b' ') & (*two == b' ')));
    !doubled && !bytes.iter().fold(false, |found, byte| found | odd(byte))
}

/// A word of a rule, made as the values it is held against: white space collapsed within, but kept at the ends,
/// where "contains" and its kin can mean it.
pub(super) fn collapse_within(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    let mut spaced = false;
    for c in word.chars() {
        if !c.is_whitespace() {
            out.push(c);
        } else if !spaced {
            out.push(' ');
        }
        spaced = c.is_whitespace();
    }
    out
}

/// Lower case, character by character, so that a folded part is a part of the folded whole; none when nothing changes.
pub(super) fn folded(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.is_ascii() {
        return bytes.iter().any(u8::is_ascii_uppercase).then(|| bytes.to_ascii_lowercase());
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text.chars().flat_map(char::to_lowercase).collect::<String>().into_bytes()),
        Err(_) => Some(bytes.to_ascii_lowercase()),
    }
}

/// `bytes` in quotes: at most [`EVIDENCE_CHARS`] of them, beginning a little before `range` when that is far in.
fn quote(bytes: &[u8], range: Range<usize>) -> String {
    let fits = bytes.len() <= EVIDENCE_CHARS || range.start < EVIDENCE_CHARS / 2;
    let mut start = if fits { 0 } else { (range.start - CONTEXT).min(bytes.len()) };
    while start > 0 && bytes.get(start).is_some_and(|byte| byte & 0xc0 == 0x80) {
        start -= 1;
    }
    // Four bytes a character at most: no need to look at (and copy) the rest of a long body.
    let end = bytes.len().min(start + 4 * EVIDENCE_CHARS);
    let shown = String::from_utf8_lossy(bytes.get(start..end).unwrap_or_default());
    let mut out = String::with_capacity(shown.len() + 8);
    out.push_str(if start > 0 { "\"..." } else { "\"" });
    for c in shown.chars().take(EVIDENCE_CHARS) {
        match c {
            '\'' => out.push(c),
            _ => out.extend(c.escape_debug()),
        }
    }
    out.push_str(if end < bytes.len() || shown.chars().nth(EVIDENCE_CHARS).is_some() { "...\"" } else { "\"" });
    out
}

/// Characters shown before a match deep in a long text.
const CONTEXT: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn one_of(words: &[&str]) -> TextTest {
        let mut words: Vec<Box<[u8]>> = words.iter().map(|word| word.as_bytes().into()).collect();
        words.sort();
        TextTest { tests: vec![Test::OneOf(words)], case: false, raw: false }
    }

    #[test]
    fn folding_is_of_all_alphabets() {
        assert!(one_of(&["grüße"]).holds(&Text::plain("GRÜßE".as_bytes())));
        assert!(one_of(&["привет"]).holds(&Text::plain("Привет".as_bytes())));
        assert!(!one_of(&["gruesse"]).holds(&Text::plain("GRÜßE".as_bytes())));
    }

    #[test]
    fn folding_a_part_gives_a_part_of_the_folded_whole() {
        // A final sigma is folded like any other: str::to_lowercase would not.
        let whole = folded("ΟΔΟΣ ΕΙΣ".as_bytes()).unwrap();
        let part = folded("ΟΔΟΣ".as_bytes()).unwrap();
        assert!(whole.starts_with(&part));
    }

    #[test]
    fn prose_has_single_spaces() {
        for (written, read) in [
            ("a b", "a b"),
            (" a  b\r\n\tc ", "a b c"),
            ("ä\u{a0}\u{2003}ö", "ä ö"),
            ("", ""),
            (" \n ", ""),
            ("a\u{b}b", "a b"),
        ] {
            assert_eq!(Text::prose(written).bytes(), read.as_bytes(), "{written:?}");
        }
        assert_eq!(collapse_within("  a \t b "), " a b ");
    }

    proptest::proptest! {
        #[test]
        fn folding_space_is_splitting_into_words(text in "[a ä\n\t\r\u{a0}\u{2003}]{0,40}") {
            let words: Vec<_> = text.split_whitespace().collect();
            proptest::prop_assert_eq!(collapsed(&text), words.join(" "));
        }
    }

    #[test]
    fn evidence_is_escaped() {
        let name = "invoice\u{202e}gpj.exe\r\n\"\\'\u{0}";
        assert_eq!(Text::plain(name.as_bytes()).quoted(0..name.len()), r#""invoice\u{202e}gpj.exe\r\n\"\\'\0""#);
        assert_eq!(Text::plain(&b"a\xffb"[..]).quoted(0..3), "\"a\u{fffd}b\"");
    }

    #[test]
    fn evidence_of_a_long_text_is_cut_around_the_match() {
        let text = format!("{}needle{}", "x".repeat(1_000), "y".repeat(1_000));
        let shown = Text::plain(text.as_bytes()).quoted(1_000..1_006);
        assert_eq!(shown, format!("\"...{}needle{}...\"", "x".repeat(CONTEXT), "y".repeat(94)));
        let shown = Text::plain(text.as_bytes()).quoted(0..text.len());
        assert_eq!(shown, format!("\"{}...\"", "x".repeat(120)));
        // Two bytes a character, and the cut would fall within one.
        let text = format!("{}needle", "ä".repeat(1_000));
        let shown = Text::plain(text.as_bytes()).quoted(2_001..2_006);
        assert!(shown.starts_with("\"...ää") && shown.ends_with("needle\""), "{shown}");
    }

    #[test]
    fn a_match_in_a_value_that_folds_to_another_length_shows_the_whole() {
        // U+0130 folds to two characters, three bytes instead of two.
        let text = Text::plain("İstanbul".as_bytes());
        let test = TextTest { tests: vec![Test::EndsWith(b"bul"[..].into())], case: false, raw: false };
        assert_eq!(test.find(&text), Some(0..9));
    }
}
