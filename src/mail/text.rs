//! What a message says: its text parts in Unicode, and the links in them.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, Input};
use mail_parser::decoders::html::html_to_text;

use super::walk::Part;
use super::word::{decode_charset, decode_unlabelled};
use crate::model::limits;
use crate::model::mail::Email;

/// Adds a text part to what is known of the message, up to the bounds.
pub fn add_part(email: &mut Email, part: &Part, body: &[u8]) {
    let room = limits::TEXT_BYTES.saturating_sub(email.text.len());
    if room == 0 || !matches!(part.media.as_str(), "text/plain" | "text/html") {
        return;
    }
    // No encoding takes more than three bytes for one, line breaks aside; markup and links may take more, and
    // what lies past this is past what a reader scrolls to.
    let body = body.get(..room.saturating_mul(4)).unwrap_or(body);
    let decoded = part.encoding.decode(body);
    let decoded = decoded.get(..room.saturating_mul(2)).unwrap_or(&decoded);
    let text = match &part.charset {
        Some(charset) => decode_charset(charset, decoded),
        None => decode_unlabelled(decoded).into_owned(),
    };
    if part.media == "text/html" {
        add_links(&mut email.urls, &text.replace("&amp;", "&"));
        append(&mut email.text, &html_to_text(&text), room);
    } else {
        add_links(&mut email.urls, &text);
        append(&mut email.text, &text, room);
    }
}

fn append(text: &mut String, more: &str, room: usize) {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(more.get(..more.floor_char_boundary(room)).unwrap_or_default());
}

/// Adds the links of `text`: from `http://`, `https://` or `www.` to the next character that cannot be part of one.
fn add_links(urls: &mut Vec<String>, text: &str) {
    let mut at = 0;
    while let Some(found) = STARTS.find(Input::new(text).range(at..)) {
        if urls.len() == limits::URLS {
            return;
        }
        let rest = text.get(found.start()..).unwrap_or_default();
        let end = rest.find(ends_link).unwrap_or(rest.len());
        at = found.start() + end.max(found.len());
        let before = text.get(..found.start()).and_then(|text| text.chars().next_back());
        let url = rest.get(..rest.floor_char_boundary(end.min(limits::URL_BYTES))).unwrap_or_default();
        let url = url.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', '}', '\'', '*', '_']);
        if url.len() > found.len() && !before.is_some_and(char::is_alphanumeric) && !urls.iter().any(|old| old == url) {
            urls.push(url.to_owned());
        }
    }
}

fn ends_link(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | ']')
}

static STARTS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(["http://", "https://", "www."])
        .unwrap_or_else(|error| unreachable!("three short words always build: {error}"))
});

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn links(text: &str) -> Vec<String> {
        let mut urls = Vec::new();
        add_links(&mut urls, text);
        urls
    }

    fn shown(media: &str, charset: &str, body: &[u8]) -> Email {
        let part = Part { media: media.into(), charset: Some(charset.into()), ..Part::default() };
        let mut email = Email::default();
        add_part(&mut email, &part, body);
        email
    }

    #[test]
    fn finds_links() {
        assert_eq!(
            links(
                "see http://a.example/x?y=1, HTTPS://b.example. (www.c.example) or <http://d.example/>; http://a.example/x?y=1"
            ),
            ["http://a.example/x?y=1", "HTTPS://b.example", "www.c.example", "http://d.example/"]
        );
        assert_eq!(links("http:// www. awww.x http"), Vec::<String>::new());
        assert_eq!(links("http://www.darkprofits.com\r\nx"), ["http://www.darkprofits.com"]);
        let many = (0..500).map(|n| format!("www.x{n} ")).collect::<String>();
        assert_eq!(links(&many).len(), limits::URLS);
        assert_eq!(links(&format!("http://{}", "\u{e9}".repeat(9_000)))[0].len(), limits::URL_BYTES - 1);
    }

    #[test]
    fn shows_text_in_its_charset() {
        assert_eq!(shown("text/plain", "koi8-r", b"\xf0\xd2\xc9").text, "\u{41f}\u{440}\u{438}");
        assert_eq!(shown("text/plain", "nonsense", b"caf\xe9").text, "caf\u{e9}");
        let email = shown("text/html", "utf-8", b"<p>One <a href='http://x.example/?a&amp;b'>two</a></p>&lt;");
        assert_eq!(email.urls, ["http://x.example/?a&b"]);
        assert_eq!(email.text.split_whitespace().collect::<Vec<_>>(), ["One", "two", "<"]);
    }

    #[test]
    fn text_is_bounded() {
        let email = shown("text/plain", "utf-8", &b"\xc3\xa9".repeat(limits::TEXT_BYTES));
        assert_eq!(email.text.len(), limits::TEXT_BYTES);
    }

    #[test]
    fn hostile_text_takes_linear_time() {
        let started = std::time::Instant::now();
        for piece in ["<", "<a", "&", "&#", "<!--", "-->", "www.", "http://", "<script>", "</", "<a b='"] {
            shown("text/html", "utf-8", piece.repeat((1 << 20) / piece.len()).as_bytes());
            shown("text/plain", "utf-7", piece.repeat((1 << 20) / piece.len()).as_bytes());
        }
        assert!(started.elapsed().as_secs() < 10);
    }

    proptest! {
        #[test]
        fn any_markup_is_read(body in "([<>/&;#!-]|[a-z\u{e9}\u{4f60} ]|script|style|head|&amp;|http://|www\\.){0,60}") {
            shown("text/html", "utf-8", body.as_bytes());
        }
    }
}
