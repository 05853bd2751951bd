//! Address lists (RFC 5322, section 3.4) as a reader sees them, one entry an address.
//!
//! Lists that follow the grammar are read by mail-parser. The lenient reader here takes the rest: quotes and comments
//! that stay open, characters split between encoded words or in no charset at all, which mail-parser 0.11.9 shows as
//! U+FFFD.

use mail_parser::Address;

use super::word::{decode_words, has_word};
use crate::model::limits;

/// Whether mail-parser reads a list as a reader does: names and addresses in ASCII, every quote and bracket closed, no
/// groups, comments or encoded words.
pub fn is_plain(value: &[u8]) -> bool {
    if value.len() > limits::HEADER_PLAIN_BYTES || has_word(value) {
        return false;
    }
    let (mut quoted, mut bracketed, mut done, mut words) = (false, false, false, false);
    for byte in value {
        match byte {
            b'\t' | b'\r' | b'\n' | b' ' => {}
            b'"' if !bracketed && !done && (quoted || !words) => {
                quoted = !quoted;
                (words, done) = (true, false);
            }
            b'\\' | b'(' | b')' | b'"' => return false,
            b'!'..=b'~' if quoted => {}
            b':' | b';' => return false,
            b'<' if !bracketed && !done => bracketed = true,
            b'>' if bracketed => (bracketed, done) = (false, true),
            b',' if !bracketed => (done, words) = (false, false),
            b'<' | b'>' | b',' => return false,
            b'!'..=b'~' if !done => words = true,
            _ => return false,
        }
    }
    !quoted && !bracketed
}

/// What mail-parser read, each address as [`list`] gives it.
pub fn read<'a>(list: &'a Address<'_>) -> impl Iterator<Item = String> + 'a {
    list.iter().filter_map(|entry| {
        let part = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().unwrap_or_default().trim().to_owned();
        shown(part(&entry.name), part(&entry.address))
    })
}

/// The addresses of an unfolded To, Cc or From value, at most `limit`, each as `a@b` or `Name <a@b>`. A name that
/// holds characters with a meaning in lists is quoted.
pub fn list(value: &[u8], limit: usize) -> Vec<String> {
    let mut out = Vec::new();
    let mut mailbox = Mailbox::default();
    let mut state = State::Phrase;
    let mut bytes = value.iter().copied();
    while let Some(byte) = bytes.next() {
        if out.len() == limit {
            return out;
        }
        state = match (state, byte) {
            (State::Phrase, b',' | b';') => {
                out.extend(std::mem::take(&mut mailbox).finish());
                State::Phrase
            }
            // The name of a group goes (section 3.4): its members are what is wanted.
            (State::Phrase, b':') if !mailbox.phrase.contains(&b'@') => {
                mailbox = Mailbox::default();
                State::Phrase
            }
            (State::Phrase, b'<') => {
                mailbox.bracketed = true;
                State::Address
            }
            (State::Phrase, b'"') => {
                mailbox.quoted = true;
                State::Quote
            }
            (State::Phrase, b'(') => State::Comment(1),
            (State::Phrase, _) => {
                mailbox.phrase.push(byte);
                State::Phrase
            }
            (State::Quote, b'"') => State::Phrase,
            (State::Quote, b'\\') => {
                mailbox.phrase.extend(bytes.next());
                State::Quote
            }
            (State::Quote, _) => {
                mailbox.phrase.push(byte);
                State::Quote
            }
            (State::Address, b'>') => State::Phrase,
            (State::Address, _) => {
                mailbox.address.push(byte);
                State::Address
            }
            (State::Comment(depth), b'\\') => {
                mailbox.comment.extend(bytes.next());
                State::Comment(depth)
            }
            (State::Comment(1), b')') => State::Phrase,
            (State::Comment(depth), _) => {
                mailbox.comment.push(byte);
                State::Comment(match byte {
                    b'(' => depth + 1,
                    b')' => depth - 1,
                    _ => depth,
                })
            }
        };
    }
    if out.len() < limit {
        out.extend(mailbox.finish());
    }
    out
}

#[derive(Clone, Copy)]
enum State {
    Phrase,
    Quote,
    Address,
    /// How deep.
    Comment(usize),
}

/// One list entry in the making.
#[derive(Default)]
struct Mailbox {
    /// What stands outside of brackets and comments: a name, or an address without brackets.
    phrase: Vec<u8>,
    quoted: bool,
    bracketed: bool,
    address: Vec<u8>,
    comment: Vec<u8>,
}

impl Mailbox {
    fn finish(self) -> Option<String> {
        let shown = |bytes: &[u8]| decode_words(bytes.trim_ascii()).trim().to_owned();
        let phrase = shown(&self.phrase);
        let (name, address) = if self.bracketed {
            (phrase, shown(&self.address))
        } else if self.quoted && !phrase.contains('@') {
            (phrase, String::new())
        } else {
            (shown(&self.comment), phrase)
        };
        self::shown(name, address)
    }
}

/// A name and an address, of which either may be missing.
fn shown(name: String, address: String) -> Option<String> {
    match (name.is_empty(), address.is_empty()) {
        (true, true) => None,
        (true, false) => Some(address),
        (false, true) => Some(name),
        (false, false) => Some(format!("{} <{address}>", quote(&name))),
    }
}

/// A name in quotes where it needs them (RFC 5322, section 3.2.4).
fn quote(name: &str) -> String {
    if !name.contains(['"', '\\', ',', ';', ':', '<', '>', '@', '(', ')', '[', ']']) {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_lists() {
        let cases: [(&str, &[&str]); 14] = [
            ("a@b", &["a@b"]),
            ("<a@b>", &["a@b"]),
            ("Joe Q. Public <john.q.public@example.com>", &["Joe Q. Public <john.q.public@example.com>"]),
            // RFC 5322, appendix A.1.2 and A.5.
            (
                "Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>",
                &["Mary Smith <mary@x.test>", "jdoe@example.org", "Who? <one@y.test>"],
            ),
            (
                "<boss@nil.test>, \"Giant; \\\"Big\\\" Box\" <sysservices@example.net>",
                &["boss@nil.test", "\"Giant; \\\"Big\\\" Box\" <sysservices@example.net>"],
            ),
            (
                "A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;",
                &["Ed Jones <c@a.test>", "joe@where.test", "John <jdoe@one.test>"],
            ),
            ("Undisclosed recipients:;", &[]),
            ("Pete(A nice \\) chap) <pete@silly.test>", &["Pete <pete@silly.test>"]),
            ("a@b (Al (the) Bee)", &["\"Al (the) Bee\" <a@b>"]),
            ("\"Doe, John\" <j@x>", &["\"Doe, John\" <j@x>"]),
            ("=?utf-8?q?Doe=2C_J=C3=B6rg?= <j@x>, b@c", &["\"Doe, J\u{f6}rg\" <j@x>", "b@c"]),
            ("\"=?iso-8859-1?q?J=F6rg?=\" <j@x>", &["J\u{f6}rg <j@x>"]),
            (", ,a@b,", &["a@b"]),
            ("just words", &["just words"]),
        ];
        for (value, expected) in cases {
            assert_eq!(list(value.as_bytes(), 10), expected, "{value}");
        }
    }

    #[test]
    fn is_bounded() {
        assert_eq!(list("a@b,".repeat(50).as_bytes(), 7).len(), 7);
    }

    fn parsed(value: &str) -> Vec<String> {
        let field = format!("To:{value}\n");
        let parsed = mail_parser::MessageParser::new().parse_headers(&field).unwrap();
        match parsed.parts.into_iter().next().unwrap().headers.remove(0).value {
            mail_parser::HeaderValue::Address(list) => read(&list).collect(),
            mail_parser::HeaderValue::Empty => Vec::new(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn plain_lists_are_ordinary_ones() {
        for value in ["a@b", " <a@b>", "Joe Q. Public <j@example.com>, x@y,\r\n\tC <c@d>", "\"Doe, John\" <j@x>"] {
            assert!(is_plain(value.as_bytes()), "{value}");
        }
        for value in ["\"open <a@b>", "<a@b", "A:a@b;", "a@b (c)", "=?utf-8?q?a?= <a@b>", "caf\u{e9} <a@b>", "a <b> c"]
        {
            assert!(!is_plain(value.as_bytes()), "{value}");
        }
    }

    proptest! {
        #[test]
        fn both_readers_agree_on_what_is_plain(value in " ([a-c@.<> ]{0,6}|[a-c]{1,3} <[a-c]@[a-c]>|\"[a-c,;: @]{0,4}\" ?<[a-c@]{0,3}>|,|\r\n[ \t]|[\"<>,a@])(, ?[a-c ]{0,4}<?[a-c@.]{1,4}>?){0,2}") {
            if is_plain(value.as_bytes()) {
                let unfolded = value.replace(['\r', '\n'], "");
                prop_assert_eq!(parsed(&value), list(unfolded.as_bytes(), 10), "{:?}", value);
            }
        }

        #[test]
        fn any_bytes_parse(value in proptest::collection::vec(any::<u8>(), 0..100)) {
            list(&value, 5);
        }
    }
}
