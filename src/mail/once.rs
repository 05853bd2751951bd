//! Fields that a part may have once (RFC 2045, section 3), and has several times.
//!
//! Of two that contradict each other some readers take the first and some the last. So none is right, and what counts is
//! what a reader could open: the reading that shows more is taken, a file rather than its encoding, a multipart rather
//! than its source; where they show alike, the first. That they contradict is told.

use std::ops::Range;

use super::encoding::TransferEncoding;
use super::header::Block;
use super::parameter::{Parameters, media_type};

/// What a part's fields say of it.
pub struct Fields<'a> {
    pub content_type: Parameters<'a>,
    /// Where its value stands.
    pub content_type_at: Range<usize>,
    pub disposition: Parameters<'a>,
    pub encoding: TransferEncoding,
    /// Fields of one name say different things.
    pub contradict: bool,
}

impl<'a> Fields<'a> {
    /// Reads them from a part's header block.
    pub fn read(block: &Block, bytes: &'a [u8]) -> Self {
        let (content_type_at, content_type) = most(block.all_parameters(bytes, CONTENT_TYPE), type_shows);
        Self {
            content_type,
            content_type_at,
            disposition: most(block.all_parameters(bytes, DISPOSITION), disposition_shows).1,
            encoding: block
                .all(bytes, ENCODING)
                .map(|value| TransferEncoding::parse(&value))
                .find(|encoding| *encoding != TransferEncoding::Identity)
                .unwrap_or_default(),
            contradict: [CONTENT_TYPE, DISPOSITION, ENCODING].iter().any(|name| differ(block, bytes, name)),
        }
    }
}

/// The first of those that show most. Each is judged once: a field may be long, and there may be many beside it.
fn most<'a, T: Ord>(all: impl Iterator<Item = Placed<'a>>, shows: impl Fn(&Parameters<'_>) -> T) -> Placed<'a> {
    let judged = all.map(|placed| (shows(&placed.1), placed));
    judged.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, placed)| placed).unwrap_or_default()
}

/// A field read, and where its value stands.
type Placed<'a> = (Range<usize>, Parameters<'a>);

fn type_shows(field: &Parameters<'_>) -> (u8, bool) {
    let media = media_type(&field.word).unwrap_or_default();
    let class = match media.split('/').next() {
        Some("multipart") => 3,
        Some("message") => 2,
        Some("" | "text") | None => 0,
        Some(_) => 1,
    };
    (class, field.has("name") || field.has("boundary"))
}

fn disposition_shows(field: &Parameters<'_>) -> (bool, bool) {
    (field.has("filename"), field.word.eq_ignore_ascii_case(b"attachment"))
}

fn differ(block: &Block, bytes: &[u8], name: &str) -> bool {
    if !block.is_repeated(bytes, name) {
        return false;
    }
    let mut all = block.all(bytes, name);
    let Some(first) = all.next() else { return false };
    all.any(|other| !other.trim_ascii().eq_ignore_ascii_case(first.trim_ascii()))
}

const CONTENT_TYPE: &str = "content-type";
const DISPOSITION: &str = "content-disposition";
const ENCODING: &str = "content-transfer-encoding";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, TransferEncoding, bool) {
        let block = Block::read(text.as_bytes(), 0, |_| false);
        let fields = Fields::read(&block, text.as_bytes());
        (String::from_utf8_lossy(&fields.content_type.word).into_owned(), fields.encoding, fields.contradict)
    }

    #[test]
    fn the_reading_that_shows_more_is_taken_in_any_order() {
        use TransferEncoding::{Base64, Identity, QuotedPrintable};
        for (fields, media, encoding, contradict) in [
            (
                &["Content-Type: text/plain", "Content-Type: multipart/mixed; boundary=b"][..],
                "multipart/mixed",
                Identity,
                true,
            ),
            (&["Content-Type: text/plain", "Content-Type: application/zip"], "application/zip", Identity, true),
            (&["Content-Transfer-Encoding: 7bit", "Content-Transfer-Encoding: base64"], "", Base64, true),
            (&["Content-Transfer-Encoding: BASE64", "Content-Transfer-Encoding: base64"], "", Base64, false),
            (&["Content-Type: text/plain"], "text/plain", Identity, false),
        ] {
            let (forwards, backwards) =
                (fields.join("\n"), fields.iter().rev().copied().collect::<Vec<_>>().join("\n"));
            for text in [forwards, backwards] {
                assert_eq!(read(&format!("{text}\n\n")), (media.to_owned(), encoding, contradict), "{text}");
            }
        }
        // Where they show alike, the first.
        let text = "Content-Type: text/plain\nContent-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\
            Content-Transfer-Encoding: base64\n\n";
        assert_eq!(read(text), ("text/plain".to_owned(), QuotedPrintable, true));
    }

    #[test]
    fn one_long_field_among_many_takes_linear_time() {
        let text = format!("Content-Type: {}\n{}\n", "a".repeat(240 << 10), "Content-Type:x\n".repeat(999));
        let block = Block::read(text.as_bytes(), 0, |_| false);
        let started = std::time::Instant::now();
        for _ in 0..50 {
            Fields::read(&block, text.as_bytes());
        }
        assert!(started.elapsed().as_secs() < 10);
    }
}
