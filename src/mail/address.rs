//! Address lists (RFC 5322, section 3.4) as a reader sees them, one entry an address.
//!
//! Lenient: quotes and comments may stay open, addresses may lack brackets or commas may be doubled.

use super::word::decode_words;

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
        match (name.is_empty(), address.is_empty()) {
            (true, true) => None,
            (true, false) => Some(address),
            (false, true) => Some(name),
            (false, false) => Some(format!("{} <{address}>", quote(&name))),
        }
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

    proptest! {
        #[test]
        fn any_bytes_parse(value in proptest::collection::vec(any::<u8>(), 0..100)) {
            list(&value, 5);
        }
    }
}
