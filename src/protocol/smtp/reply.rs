//! A server's replies (RFC 5321, section 4.2), put together from lines.

use std::sync::Arc;

use super::command::is_foreign_server;
use crate::model::event::Reply;
use crate::model::limits;
use crate::protocol::tls::opens_tls;

/// Collects reply lines into replies. Keeps at most one reply.
#[derive(Debug, Default)]
pub struct ReplyReader {
    line: LineBuffer,
    open: Option<Reply>,
    /// A line was read, or lost.
    begun: bool,
    /// The first line is one of another protocol.
    foreign: bool,
}

impl ReplyReader {
    /// Whether a reply has begun and is not complete.
    pub fn holds_part(&self) -> bool {
        self.open.is_some() || self.line.holds_part()
    }

    /// Takes bytes up to and including the next line end; gives what is left, and a reply if one is complete.
    pub fn push<'a>(&mut self, bytes: &'a [u8]) -> (&'a [u8], Option<Reply>) {
        let (rest, line) = self.line.push(bytes, limits::SMTP_REPLY_LINE);
        if let Some(line) = &line
            && !std::mem::replace(&mut self.begun, true)
        {
            self.foreign = is_foreign_server(line.text);
        }
        let reply = line.and_then(|line| Self::line(&mut self.open, line.text));
        (rest, reply)
    }

    /// Bytes it holds.
    pub fn held_bytes(&self) -> usize {
        self.line.held_bytes() + self.open.as_ref().map_or(0, |reply| reply.text.capacity())
    }

    /// Whether the first line the server said belongs to another protocol.
    pub fn is_foreign(&self) -> bool {
        self.foreign
    }

    /// As [`LineBuffer::opens_tls`].
    pub fn opens_tls(&self, more: &[u8]) -> bool {
        self.line.opens_tls(more)
    }

    /// Gives up the line under way.
    pub fn take_line(&mut self) -> Vec<u8> {
        self.line.take()
    }

    /// Bytes were lost: what is half read cannot be completed.
    pub fn lose(&mut self) {
        self.open = None;
        self.begun = true;
        self.line.lose();
    }

    fn line(open: &mut Option<Reply>, line: &[u8]) -> Option<Reply> {
        let (code, more, text) = parse_line(line)?;
        // Some servers change the code within one reply; the last line's is what clients act on.
        let reply = open.get_or_insert_default();
        reply.code = code;
        let room = limits::SMTP_REPLY_TEXT.saturating_sub(reply.text.len());
        if room > 1 {
            if !reply.text.is_empty() {
                reply.text.push('\n');
            }
            let text = &text[..text.len().min(room)];
            match str::from_utf8(text) {
                Ok(text) => reply.text.push_str(text),
                Err(_) => reply.text.push_str(&String::from_utf8_lossy(text)),
            }
        }
        if more { None } else { open.take() }
    }
}

/// The extensions that a reply to EHLO offers: its lines after the first (RFC 5321, section 4.1.1.1), keywords in upper
/// case. Lines of another shape are passed over; so is the older `AUTH=`, which repeats `AUTH` for clients of its time.
pub fn extensions(text: &str) -> Arc<[String]> {
    let offered = text.lines().skip(1).filter_map(|line| {
        let keyword = line.split(' ').next()?;
        let valid = keyword.starts_with(|c: char| c.is_ascii_alphanumeric())
            && keyword.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && line.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        valid.then(|| format!("{}{}", keyword.to_ascii_uppercase(), &line[keyword.len()..]))
    });
    offered.take(limits::SMTP_EXTENSIONS).collect()
}

/// Code, whether more lines follow, text. None when it is no reply line.
fn parse_line(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (digits, rest) = line.split_at_checked(3)?;
    if !digits.iter().all(u8::is_ascii_digit) || !(b'1'..=b'5').contains(&digits[0]) {
        return None;
    }
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    match rest.first() {
        None => Some((code, false, b"")),
        Some(b'-') => Some((code, true, rest[1..].trim_ascii())),
        // RFC 5321 asks for a space; some servers use a tab or none before the text.
        Some(_) => Some((code, false, rest.trim_ascii())),
    }
}

/// A line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub struct Line<'a> {
    pub text: &'a [u8],
    /// It ended in LF without CR.
    pub bare_lf: bool,
    /// It was longer than the bound: `text` is its beginning.
    pub too_long: bool,
}

/// Cuts a stream into lines, holding at most one unfinished line up to a bound.
#[derive(Debug, Default)]
pub struct LineBuffer {
    held: Vec<u8>,
    /// The held line was handed out: forget it at the next push.
    done: bool,
    /// The current line is over the bound; its rest is dropped.
    too_long: bool,
}

impl LineBuffer {
    /// Whether a line has begun and is not complete.
    pub fn holds_part(&self) -> bool {
        !self.done && (self.too_long || !self.held.is_empty())
    }

    /// Takes bytes up to and including the next line end, and gives what is left, with the line if it is complete.
    /// A line that lies whole within `bytes` is not copied.
    pub fn push<'a, 'b: 'a>(&'a mut self, bytes: &'b [u8], bound: usize) -> (&'b [u8], Option<Line<'a>>) {
        if std::mem::take(&mut self.done) {
            self.held.clear();
            self.too_long = false;
        }
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            self.hold(bytes, bound);
            return (&[], None);
        };
        let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
        if self.held.is_empty() && line.len() <= bound {
            return (rest, Some(finish(line, self.too_long)));
        }
        self.hold(line, bound);
        self.done = true;
        (rest, Some(finish(&self.held, self.too_long)))
    }

    /// Bytes were lost: the line under way is forgotten. What comes next may be the end of another line or a line of
    /// its own (segments mostly begin with one); its reader must judge that by its content.
    pub fn lose(&mut self) {
        *self = Self::default();
    }

    /// Whether the line under way, `more` being its next bytes, is no line but the start of TLS. As with a line, it
    /// does not matter how its bytes are split: with too few of them the answer is no.
    pub fn opens_tls(&self, more: &[u8]) -> bool {
        let held = if self.done { &[] } else { self.held.as_slice() };
        let mut start = held.iter().chain(more).copied();
        let mut next = || start.next();
        held.len() < 3 && matches!((next(), next(), next()), (Some(a), Some(b), Some(c)) if opens_tls(&[a, b, c]))
    }

    /// Bytes it holds.
    pub fn held_bytes(&self) -> usize {
        self.held.capacity()
    }

    /// Gives up the line under way.
    pub fn take(&mut self) -> Vec<u8> {
        let Self { held, done, .. } = std::mem::take(self);
        if done { Vec::new() } else { held }
    }

    fn hold(&mut self, bytes: &[u8], bound: usize) {
        let room = bound.saturating_sub(self.held.len());
        self.held.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.too_long |= bytes.len() > room;
    }
}

fn finish(line: &[u8], too_long: bool) -> Line<'_> {
    match line.strip_suffix(b"\r") {
        Some(text) => Line { text, bare_lf: false, too_long },
        None => Line { text: line, bare_lf: !too_long, too_long },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn replies(parts: &[&[u8]]) -> Vec<(u16, String)> {
        let mut reader = ReplyReader::default();
        let mut found = Vec::new();
        for part in parts {
            let mut rest: &[u8] = part;
            while !rest.is_empty() {
                let (left, reply) = reader.push(rest);
                rest = left;
                found.extend(reply.map(|reply| (reply.code, reply.text)));
            }
        }
        found
    }

    #[test]
    fn multi_line_replies_are_one() {
        let found = replies(&[b"250-mx.example\r\n250-SIZE 100\r\n250 PIPELINING\r\n354\r\n221 bye\n"]);
        assert_eq!(
            found,
            [(250, "mx.example\nSIZE 100\nPIPELINING".into()), (354, String::new()), (221, "bye".into())]
        );
    }

    #[test]
    fn extensions_are_the_lines_of_the_grammar() {
        // RFC 5321, appendix D.1, and what Postfix and Exchange add.
        let text = "foo.com greets bar.com\n8BITMIME\nSIZE 10240000\ndsn\nX-ANONYMOUSTLS\nAUTH=LOGIN\nAUTH PLAIN LOGIN\n\n- no\nnaïve";
        assert_eq!(*extensions(text), ["8BITMIME", "SIZE 10240000", "DSN", "X-ANONYMOUSTLS", "AUTH PLAIN LOGIN"]);
        assert!(extensions("mx.example Hello").is_empty() && extensions("").is_empty());
        assert_eq!(extensions(&"x\n".repeat(500)).len(), limits::SMTP_EXTENSIONS);
    }

    #[test]
    fn what_is_no_reply_is_passed_over() {
        assert_eq!(replies(&[b"hello\r\n999 no\r\n25\r\n250 ok\r\n"]), [(250, "ok".into())]);
    }

    #[test]
    fn text_and_lines_are_bounded() {
        let long = [b"250 ".as_slice(), &[b'x'; 100_000], b"\r\n220 after\r\n"].concat();
        let found = replies(&[&long]);
        assert!(found[0].1.len() <= limits::SMTP_REPLY_TEXT);
        assert_eq!(found[1], (220, "after".into()));
    }

    #[test]
    fn after_a_loss_the_next_whole_line_counts() {
        let mut reader = ReplyReader::default();
        reader.push(b"250-half");
        reader.lose();
        let (rest, reply) = reader.push(b"rest of something\r\n354 go\r\n");
        assert_eq!(reply, None);
        assert_eq!(reader.push(rest).1.map(|reply| reply.code), Some(354));
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_replies(cuts in prop::collection::vec(1usize..30, 0..8)) {
            let whole: &[u8] = b"220 hi\r\n250-a\r\n250-b\r\n250 c\r\njunk\r\n354 go\r\n550 5.1.1 no\r\n";
            let (mut parts, mut rest) = (Vec::new(), whole);
            for cut in cuts {
                let (part, left) = rest.split_at(cut.min(rest.len()));
                parts.push(part);
                rest = left;
            }
            parts.push(rest);
            prop_assert_eq!(replies(&parts), replies(&[whole]));
        }
    }
}
