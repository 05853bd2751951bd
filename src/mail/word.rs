//! Header text as a reader sees it: encoded words (RFC 2047), raw 8-bit bytes, charsets.
//!
//! mail-parser supplies the charsets, and reads texts whose encoded words stand where RFC 2047 wants them. The search
//! for all others is ours: mail-parser 0.11.9 puts white space around words that have none, decodes each word by itself
//! although many mailers split a character between two, and folds white space away.

use std::borrow::Cow;

use mail_parser::decoders::charsets::map::charset_decoder;
use memchr::{memchr, memchr_iter, memmem};

use super::encoding::{decode_base64, decode_q, hex_pair};
use crate::model::limits;

/// Decodes the encoded words of `value`, wherever they stand: RFC 2047 forbids them within quoted strings and
/// without white space around, and mailers put them there.
pub fn decode_words(value: &[u8]) -> String {
    let mut text = Decoded::default();
    let mut rest = value;
    while let Some(start) = memmem::find(rest, b"=?") {
        let (before, from) = rest.split_at(start);
        match Word::parse(from) {
            Some(word) => {
                text.push_plain(before, true);
                text.push_word(&word);
                rest = from.get(word.length..).unwrap_or_default();
            }
            None => {
                // Goes on right behind `=?`: what stands there may still be one's beginning.
                let (skipped, after) = rest.split_at(start + 2);
                text.push_plain(skipped, false);
                rest = after;
            }
        }
    }
    text.push_plain(rest, false);
    text.finish()
}

/// Whether there may be an encoded word.
pub fn has_word(value: &[u8]) -> bool {
    memmem::find(value, b"=?").is_some()
}

/// Whether mail-parser reads a text as a reader does: one line of ASCII, each encoded word between single spaces, no two
/// in a row.
pub fn is_plain(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    if value.len() > limits::HEADER_PLAIN_BYTES || !value.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return false;
    }
    if !has_word(value) {
        return true;
    }
    let mut after_word = false;
    value.split(|byte| *byte == b' ').all(|piece| {
        let word = Word::parse(piece).is_some_and(|word| word.length == piece.len() && word.is_strict());
        let fits = if word { !after_word } else { !piece.is_empty() && !has_word(piece) };
        after_word = word;
        fits
    })
}

/// Bytes in a charset to text. An unknown charset is read like none at all: UTF-8 where it fits, else Windows-1252,
/// which is what the readers of the time fall back to.
pub fn decode_charset(charset: &[u8], bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return String::new();
    }
    // Most text is ASCII, whatever charset it claims; but UTF-7, UTF-16 and ISO-2022 write other text in ASCII bytes.
    let plain = bytes.is_ascii() && !STATEFUL.iter().any(|name| has_prefix(charset, name));
    if plain || charset.is_empty() || is_utf8(charset) {
        return decode_unlabelled(bytes).into_owned();
    }
    let alias = ALIASES.iter().find(|(name, _)| charset.eq_ignore_ascii_case(name));
    match charset_decoder(alias.map_or(charset, |(_, known)| known)) {
        Some(decode) => decode(bytes),
        _ => decode_unlabelled(bytes).into_owned(),
    }
}

/// Bytes without a charset to text: UTF-8 where it fits, else Windows-1252.
pub fn decode_unlabelled(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        // Cut within a character, or one foreign byte in much that is UTF-8: the rest is still UTF-8.
        Err(_) if mostly_utf8(bytes) => String::from_utf8_lossy(bytes),
        Err(_) => match charset_decoder(b"windows-1252") {
            Some(decode) => Cow::Owned(decode(bytes)),
            None => String::from_utf8_lossy(bytes),
        },
    }
}

/// Text put together from plain pieces and encoded words.
#[derive(Default)]
struct Decoded<'a> {
    text: String,
    /// Bytes of adjacent words in one charset, not yet decoded.
    pending: Vec<u8>,
    charset: &'a [u8],
    /// Plain bytes not yet decoded: raw 8-bit characters must not be cut in two.
    plain: Vec<u8>,
    after_word: bool,
}

impl<'a> Decoded<'a> {
    /// Adds text between words. White space alone between two words is not shown (RFC 2047, section 6.2).
    fn push_plain(&mut self, plain: &[u8], before_word: bool) {
        let white = plain.iter().all(u8::is_ascii_whitespace);
        if plain.is_empty() || (self.after_word && before_word && white) {
            return;
        }
        self.flush_words();
        self.plain.extend_from_slice(plain);
        self.after_word = false;
    }

    fn push_word(&mut self, word: &Word<'a>) {
        if !self.charset.eq_ignore_ascii_case(word.charset) {
            self.flush_words();
            self.charset = word.charset;
        }
        self.flush_plain();
        if word.base64 {
            self.pending.extend_from_slice(&decode_base64(word.text));
        } else {
            decode_q(word.text, &mut self.pending);
        }
        self.after_word = true;
    }

    fn flush_words(&mut self) {
        if !self.pending.is_empty() {
            self.text.push_str(&decode_charset(self.charset, &self.pending));
            self.pending.clear();
        }
    }

    fn flush_plain(&mut self) {
        if !self.plain.is_empty() {
            self.text.push_str(&decode_unlabelled(&self.plain));
            self.plain.clear();
        }
    }

    fn finish(mut self) -> String {
        self.flush_words();
        self.flush_plain();
        self.text
    }
}

/// An encoded word: `=?charset?B?text?=`.
struct Word<'a> {
    /// Without the language that RFC 2231, section 5 lets follow after a `*`.
    charset: &'a [u8],
    base64: bool,
    text: &'a [u8],
    length: usize,
}

impl<'a> Word<'a> {
    /// Reads a word at the start of `input`. Each part ends at the next question mark, so no byte is looked at more
    /// than a few times however often this is tried.
    fn parse(input: &'a [u8]) -> Option<Self> {
        let rest = input.strip_prefix(b"=?")?;
        let (charset, rest) = rest.split_at(memchr(b'?', rest)?);
        if charset.is_empty() || charset.iter().any(u8::is_ascii_whitespace) {
            return None;
        }
        let [b'?', encoding, b'?', rest @ ..] = rest else { return None };
        let base64 = match encoding {
            b'b' | b'B' => true,
            b'q' | b'Q' => false,
            _ => return None,
        };
        let (text, rest) = rest.split_at(memchr(b'?', rest)?);
        let rest = rest.strip_prefix(b"?=")?;
        let charset = charset.split(|byte| *byte == b'*').next().unwrap_or_default();
        Some(Self { charset, base64, text, length: input.len() - rest.len() })
    }

    /// Whether its text is encoded by the book, in UTF-8.
    fn is_strict(&self) -> bool {
        let encoded = if self.base64 {
            let symbols =
                self.text.strip_suffix(b"=").map_or(self.text, |text| text.strip_suffix(b"=").unwrap_or(text));
            let symbol = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
            self.text.len().is_multiple_of(4) && symbols.iter().all(symbol)
        } else {
            memchr_iter(b'=', self.text).all(|at| self.text.get(at + 1..).is_some_and(|text| hex_pair(text).is_some()))
        };
        encoded && is_utf8(self.charset)
    }
}

/// Charsets that write more than ASCII in ASCII bytes.
const STATEFUL: [&[u8]; 7] = [b"utf-7", b"utf7", b"utf-16", b"utf16", b"iso-2022", b"unicode-1-1", b"hz-gb"];

/// Charsets by the names that mail-parser does not know them by; and those of which it shows nothing (it has them replaced, as
/// browsers do), which are read like none at all: what stands there in ASCII can be read then, and does not hide.
const ALIASES: [(&[u8], &[u8]); 12] = [
    (b"cp932", b"windows-31j"),
    (b"cp949", b"windows-949"),
    (b"ms949", b"windows-949"),
    (b"uhc", b"windows-949"),
    (b"cp874", b"windows-874"),
    (b"unicode-1-1-utf-7", b"utf-7"),
    (b"iso-2022-kr", UNKNOWN),
    (b"csiso2022kr", UNKNOWN),
    (b"iso-2022-cn", UNKNOWN),
    (b"iso-2022-cn-ext", UNKNOWN),
    (b"hz-gb-2312", UNKNOWN),
    (b"replacement", UNKNOWN),
];

/// No charset's name.
const UNKNOWN: &[u8] = b"-";

fn has_prefix(name: &[u8], prefix: &[u8]) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn is_utf8(charset: &[u8]) -> bool {
    charset.eq_ignore_ascii_case(b"utf-8") || charset.eq_ignore_ascii_case(b"utf8")
}

/// Whether well-formed multi-byte characters outnumber the places that are not UTF-8.
fn mostly_utf8(bytes: &[u8]) -> bool {
    let (mut good, mut bad) = (0usize, 0usize);
    for chunk in bytes.utf8_chunks() {
        good += chunk.valid().bytes().filter(|byte| *byte >= 0xc0).count();
        bad += usize::from(!chunk.invalid().is_empty());
    }
    good > bad
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decodes_encoded_words() {
        let cases = [
            // RFC 2047, section 8.
            ("(=?ISO-8859-1?Q?a?=)", "(a)"),
            ("(=?ISO-8859-1?Q?a?= b)", "(a b)"),
            ("(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)"),
            ("(=?ISO-8859-1?Q?a?=    =?ISO-8859-1?Q?b?=)", "(ab)"),
            ("(=?ISO-8859-1?Q?a_b?=)", "(a b)"),
            ("(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)", "(a b)"),
            ("=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?= <keld@dkuug.dk>", "Keld J\u{f8}rn Simonsen <keld@dkuug.dk>"),
            // RFC 2231, section 5.
            ("=?US-ASCII*EN?Q?Keith_Moore?=", "Keith Moore"),
            ("pre=?utf-8?b?w6k=?=post", "pre\u{e9}post"),
            ("=?koi8-r?B?8NLJ18XU?=", "\u{41f}\u{440}\u{438}\u{432}\u{435}\u{442}"),
            ("=?gb2312?B?xOO6ww==?=", "\u{4f60}\u{597d}"),
            ("=?iso-2022-jp?B?GyRCJDMbKEI=?=", "\u{3053}"),
            ("=?utf-7?Q?+AOk-?=", "\u{e9}"),
            // One character split between two words.
            ("=?utf-8?q?=C3?= =?UTF-8?q?=A9?=", "\u{e9}"),
            ("=?unknown-8bit?q?caf=E9?=", "caf\u{e9}"),
            ("=?utf-8?q??=", ""),
            ("=?utf-8?x?abc?=", "=?utf-8?x?abc?="),
            ("=?utf-8?q?abc", "=?utf-8?q?abc"),
            ("=?=?utf-8?q?abc?=", "=?abc"),
            ("=?utf-8?q?a b?=", "a b"),
            ("a =?b c", "a =?b c"),
            ("=?us-ascii?Q?=41?=", "A"),
            ("Re[2]: our private photos      abcd", "Re[2]: our private photos      abcd"),
        ];
        for (value, expected) in cases {
            assert_eq!(decode_words(value.as_bytes()), expected, "{value}");
        }
    }

    #[test]
    fn charsets_are_known_by_the_names_that_mailers_use() {
        // python3 -c 'print("\u65e5\u2460".encode("cp932"), "\ub620".encode("cp949"), "\u0e44".encode("cp874"))'
        for (charset, bytes, text) in [
            ("CP932", &b"\x93\xfa\x87@"[..], "\u{65e5}\u{2460}"),
            ("cp949", b"\x8cc", "\u{b620}"),
            ("uhc", b"\x8cc", "\u{b620}"),
            ("cp874", b"\xe4", "\u{e44}"),
            ("unicode-1-1-utf-7", b"+AOk-", "\u{e9}"),
            ("iso-2022-kr", b"\x1b$)Chttp://x.example/", "\u{1b}$)Chttp://x.example/"),
            ("hz-gb-2312", b"the password is 123", "the password is 123"),
            ("replacement", b"hello", "hello"),
        ] {
            assert_eq!(decode_charset(charset.as_bytes(), bytes), text, "{charset}");
        }
    }

    #[test]
    fn raw_bytes_are_shown() {
        assert_eq!(decode_words("caf\u{e9}".as_bytes()), "caf\u{e9}");
        assert_eq!(decode_words(b"caf\xe9"), "caf\u{e9}");
        assert_eq!(
            decode_words("\u{4f60}\u{597d}\u{4f60}".as_bytes().split_last().unwrap().1),
            "\u{4f60}\u{597d}\u{fffd}"
        );
    }

    #[test]
    fn hostile_headers_take_linear_time() {
        let started = std::time::Instant::now();
        for piece in ["=?", "=?u8?q?", "=?u8?q?a", "=?a", "=?u8?b?AA", "=?a?q?x?= ", "=?", "?=", "=?\u{e9}?q?"] {
            decode_words(piece.repeat((2 << 20) / piece.len()).as_bytes());
        }
        assert!(started.elapsed().as_secs() < 10);
    }

    proptest! {
        #[test]
        fn both_readers_agree_on_what_is_plain(value in "([a-z:=?]{0,3}|=\\?utf-8\\?[qb]\\?[A-Za-z_]{0,5}(=C3=A9|YWJj)?\\?=)( ([a-z:=?]{1,3}|=\\?utf-8\\?[qb]\\?[A-Za-z_]{0,5}(=C3=A9|YWJj)?\\?=)){0,4}") {
            if is_plain(value.as_bytes()) {
                let field = format!("Subject: {value}\n");
                let parsed = mail_parser::MessageParser::new().parse_headers(&field).unwrap();
                let value_read = parsed.parts.into_iter().next().unwrap().headers.remove(0).value;
                if let mail_parser::HeaderValue::Text(text) = value_read
                    && !text.contains(char::REPLACEMENT_CHARACTER)
                {
                    let ours = decode_words(value.trim().as_bytes());
                    prop_assert_eq!(text.trim(), ours.trim(), "{:?}", value);
                }
            }
        }

        #[test]
        fn any_bytes_decode(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            decode_words(&value);
        }

        #[test]
        fn any_charset_decodes_any_bytes(
            at in 0..CHARSETS.len(),
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            decode_charset(CHARSETS[at].as_bytes(), &bytes);
        }

        #[test]
        fn any_charset_name_is_taken(name in proptest::collection::vec(any::<u8>(), 0..80)) {
            decode_charset(&name, b"\xe9\x00");
        }
    }

    const CHARSETS: &[&str] = &[
        "",
        "utf-8",
        "utf-7",
        "utf-16",
        "utf-16le",
        "utf-16be",
        "big5",
        "gbk",
        "gb18030",
        "euc-jp",
        "euc-kr",
        "shift_jis",
        "iso-2022-jp",
        "iso-2022-kr",
        "iso-8859-8",
        "koi8-u",
        "ibm850",
        "windows-1258",
        "macintosh",
        "tis-620",
    ];
}
