//! Content transfer encodings (RFC 2045, section 6), read leniently: what a mail reader would still open, we open.

use std::borrow::Cow;

use encodify::{base64, qp};
use memchr::{memchr, memchr3};

use super::embedded;

/// How a part's body is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransferEncoding {
    /// 7bit, 8bit, binary, none, or unknown: taken as it is.
    #[default]
    Identity,
    Base64,
    QuotedPrintable,
    /// What mailers wrote before MIME had settled, and some long after (python3's email package reads it as well).
    Uuencode,
}

impl TransferEncoding {
    /// Reads a Content-Transfer-Encoding value. Only its first word counts, so that `base64;` and `base64 (x)`,
    /// which readers take for base64, are not a way to hide an attachment.
    pub fn parse(value: &[u8]) -> Self {
        let start = value.iter().position(|byte| is_word(*byte)).unwrap_or(value.len());
        let word = value.get(start..).unwrap_or_default();
        let word = word.split(|byte| !is_word(*byte)).next().unwrap_or_default();
        if word.eq_ignore_ascii_case(b"base64") {
            Self::Base64
        } else if word.eq_ignore_ascii_case(b"quoted-printable") {
            Self::QuotedPrintable
        } else if UUENCODE.iter().any(|name| word.eq_ignore_ascii_case(name)) {
            Self::Uuencode
        } else {
            Self::Identity
        }
    }

    /// The decoded body, borrowed where nothing was to decode.
    pub fn decode(self, body: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Self::Identity => Cow::Borrowed(body),
            Self::Base64 => Cow::Owned(decode_base64(body)),
            Self::QuotedPrintable => decode_quoted_printable(body),
            Self::Uuencode => embedded::first(body).map_or(Cow::Borrowed(body), Cow::Owned),
        }
    }
}

/// Names that were in use; none is registered.
const UUENCODE: [&[u8]; 4] = [b"x-uuencode", b"uuencode", b"x-uue", b"uue"];

/// Decodes base64 as mail carries it.
///
/// Bytes outside the alphabet are skipped (RFC 2045, section 6.8), padding may be missing, and a tail cut within a
/// group gives the bytes it still holds. After padding, data may go on: some senders encode piece by piece. But a
/// footer that a mailing list put below the base64 does not: what follows padding counts only when its whole line
/// is base64.
pub fn decode_base64(input: &[u8]) -> Vec<u8> {
    decode_clean_base64(input).unwrap_or_else(|| decode_spoilt_base64(input))
}

/// The common case, line by line in one go: nothing but base64 and white space, and padding only at the end.
fn decode_clean_base64(input: &[u8]) -> Option<Vec<u8>> {
    let (symbols, padding) = input.split_at(memchr(b'=', input).unwrap_or(input.len()));
    if !trim_padding(padding).is_empty() {
        return None;
    }
    base64::MIME.decode(symbols).ok()
}

fn decode_spoilt_base64(input: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(input.len() / 4 * 3 + 3);
    let mut decoder = base64::STANDARD.decoder();
    let mut rest = input;
    loop {
        let used = decoder.decode_symbols(rest, &mut out);
        rest = rest.get(used..).unwrap_or_default();
        let Some((byte, after)) = rest.split_first() else { break };
        rest = after;
        if *byte == b'=' && !decoder.is_aligned() {
            decoder.pad(&mut out);
            rest = trim_padding(rest);
            if !next_line_is_base64(rest) {
                break;
            }
        }
    }
    decoder.finish(&mut out);
    out
}

/// Decodes quoted-printable (RFC 2045, section 6.7): a broken `=` stands for itself, white space at a line's end goes.
pub fn decode_quoted_printable(input: &[u8]) -> Cow<'_, [u8]> {
    match qp::BODY.decode(input) {
        Ok(decoded) => decoded,
        Err(_) => Cow::Borrowed(input), // cannot happen: the lenient decoder takes everything
    }
}

/// Decodes the text of a Q encoded word (RFC 2047, section 4.2).
pub fn decode_q(input: &[u8], out: &mut Vec<u8>) {
    let mut rest = input;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'_' => out.push(b' '),
            b'=' => match hex_pair(after) {
                Some(value) => {
                    out.push(value);
                    rest = after.get(2..).unwrap_or_default();
                }
                None => out.push(b'='),
            },
            _ => out.push(*byte),
        }
    }
}

/// Two hexadecimal digits at the start of `input`.
pub fn hex_pair(input: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*input.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// Takes the rest of the padding and white space off.
fn trim_padding(input: &[u8]) -> &[u8] {
    let end = input.iter().position(|byte| !(byte.is_ascii_whitespace() || *byte == b'=')).unwrap_or(input.len());
    input.get(end..).unwrap_or_default()
}

/// Whether what follows padding, up to the line's end or the next padding, is base64. Looking no further than the
/// next padding keeps the whole decoding linear.
fn next_line_is_base64(input: &[u8]) -> bool {
    let end = memchr3(b'\n', b'\r', b'=', input).unwrap_or(input.len());
    let line = input.get(..end).unwrap_or_default();
    line.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b' ' | b'\t'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_the_name_of_an_encoding_as_readers_do() {
        for value in ["base64", " BASE64 ", "base64;", "base64 (x)", "\"base64\"", "base64; charset=x"] {
            assert_eq!(TransferEncoding::parse(value.as_bytes()), TransferEncoding::Base64, "{value}");
        }
        assert_eq!(TransferEncoding::parse(b"Quoted-Printable"), TransferEncoding::QuotedPrintable);
        for value in ["", "8bit", "x-base64", "base64x"] {
            assert_eq!(TransferEncoding::parse(value.as_bytes()), TransferEncoding::Identity, "{value}");
        }
    }

    #[test]
    fn base64_survives_what_mail_does_to_it() {
        let cases: [(&str, &[u8]); 11] = [
            ("aGVsbG8=", b"hello"),
            ("aGVsbG8", b"hello"),
            ("aGVs\r\nbG8=\r\n", b"hello"),
            ("aG!V\u{80}s-bG8=", b"hello"),
            ("aGVsbG8==", b"hello"),
            ("=aGVsbG8=", b"hello"),
            ("aGk=\r\ndGhlcmU=\r\n", b"hithere"),
            ("aGk=dGhlcmU=", b"hithere"),
            ("aGk=\r\n____\r\nA footer of a list\r\n", b"hi"),
            ("aGVsb", b"hel"),
            ("aGVsbG", b"hell"),
        ];
        for (text, expected) in cases {
            let text = text.chars().map(|c| c as u8).collect::<Vec<_>>();
            assert_eq!(decode_base64(&text), expected, "{:?}", String::from_utf8_lossy(&text));
        }
    }

    #[test]
    fn quoted_printable_survives_what_mail_does_to_it() {
        let cases: [(&str, &str); 7] = [
            ("a=3Db", "a=b"),
            ("a=3db", "a=b"),
            ("soft=\r\nbreak", "softbreak"),
            ("soft=\nbreak", "softbreak"),
            ("soft= \t\r\nbreak", "softbreak"),
            ("trailing  \r\nline", "trailing\r\nline"),
            ("broken =ZZ = x=", "broken =ZZ = x"),
        ];
        for (text, expected) in cases {
            assert_eq!(String::from_utf8_lossy(&decode_quoted_printable(text.as_bytes())), expected, "{text:?}");
        }
    }

    #[test]
    fn padding_everywhere_costs_linear_time() {
        let started = std::time::Instant::now();
        decode_base64(&b"AA=".repeat(1 << 20));
        decode_base64(&b"=".repeat(4 << 20));
        decode_base64(&b"AA=A".repeat(1 << 20));
        assert!(started.elapsed().as_secs() < 5);
    }

    /// Base64 by the book, to compare with.
    fn encode(data: &[u8]) -> String {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut out = String::new();
        for group in data.chunks(3) {
            let bits = (0..3).fold(0u32, |bits, i| bits << 8 | u32::from(group.get(i).copied().unwrap_or(0)));
            for i in 0..4 {
                let symbol = ALPHABET[(bits >> (18 - 6 * i) & 63) as usize];
                out.push(if i <= group.len() { symbol as char } else { '=' });
            }
        }
        out
    }

    proptest! {
        #[test]
        fn base64_round_trips_through_line_breaks_and_junk(
            data in proptest::collection::vec(any::<u8>(), 0..600),
            width in 1usize..90,
            junk in proptest::collection::vec((any::<prop::sample::Index>(), "[-_!@#.:\\r\\n \t]"), 0..20),
        ) {
            let encoded = encode(&data);
            let (text, padding) = encoded.split_at(encoded.trim_end_matches('=').len());
            let mut wire: Vec<u8> = Vec::new();
            for line in text.as_bytes().chunks(width) {
                wire.extend_from_slice(line);
                wire.extend_from_slice(b"\r\n");
            }
            for (at, byte) in junk {
                let at = at.index(wire.len() + 1);
                wire.splice(at..at, byte.bytes());
            }
            wire.extend_from_slice(padding.as_bytes());
            prop_assert_eq!(decode_base64(&wire), data);
        }

        #[test]
        fn both_ways_agree(input in "[A-Za-z0-9+/ \r\n\t\u{b}\u{c}]{0,200}=?[= \r\n]{0,4}") {
            let clean = decode_clean_base64(input.as_bytes());
            prop_assert!(clean.is_none_or(|clean| clean == decode_spoilt_base64(input.as_bytes())));
        }

        #[test]
        fn any_bytes_decode(data in proptest::collection::vec(any::<u8>(), 0..300)) {
            decode_base64(&data);
            decode_quoted_printable(&data);
            decode_q(&data, &mut Vec::new());
        }
    }
}
