//! The walk over a message's parts (RFC 2045, RFC 2046): one pass over its lines, with a stack of what is open.
//!
//! Nothing here recurses, and no byte is searched twice for a delimiter: 22,000 nested messages, or a million lines
//! that look like delimiters, cost one pass. Bodies are not copied; a part is a range of the message.

use std::ops::Range;

use memchr::memmem;

use super::encoding::TransferEncoding;
use super::header::{Block, late_start, line_at};
use super::name::file_name;
use super::once::Fields;
use super::parameter::{charset_name, media_type};
use crate::model::limits;

/// A leaf of the message, or a message within it.
#[derive(Debug, Default)]
pub struct Part {
    /// In lower case; the default where the field is missing or unreadable (RFC 2045, section 5.2).
    pub media: String,
    /// Whether the message itself said so.
    pub media_given: bool,
    pub charset: Option<Vec<u8>>,
    pub encoding: TransferEncoding,
    /// As a reader sees it.
    pub name: Option<String>,
    /// The part's other name, when Content-Type and Content-Disposition disagree.
    pub other_name: Option<String>,
    /// The first piece of a message sent in several (RFC 2046, section 5.2.2): what is left of it is in the others. Scanners
    /// that see pieces only were passed so.
    pub first_piece: bool,
    /// Content-Disposition says attachment.
    pub attached: bool,
    pub body: Range<usize>,
    /// A message whose own parts follow.
    pub walked: bool,
    /// A multipart that is encoded as a whole: where the value of its Content-Type stands. RFC 2045, section 6.4 forbids it;
    /// readers decode it all the same.
    pub multipart: Option<Range<usize>>,
    /// How deep it sits.
    pub depth: usize,
    /// It went on to the end of the bytes: when they were cut, so was it.
    pub open: bool,
}

impl Part {
    /// Whether it holds a message (RFC 2046, section 5.2.1; RFC 6532, section 3.7).
    pub fn is_message(&self) -> bool {
        matches!(self.media.as_str(), "message/rfc822" | "message/global" | "message/news") || self.first_piece
    }
}

/// What the walk found.
#[derive(Debug, Default)]
pub struct Walk {
    /// The message's own header block.
    pub top: Block,
    pub parts: Vec<Part>,
    /// Names of anomalies, each once.
    pub anomalies: Vec<&'static str>,
}

/// Walks over a message that itself sits `depth` deep; at most `most` parts.
pub fn walk(bytes: &[u8], depth: usize, most: usize) -> Walk {
    let mut walker = Walker { bytes, depth, most, found: Walk::default(), open: Vec::new(), lengths: 0 };
    walker.run();
    walker.found
}

struct Walker<'a> {
    bytes: &'a [u8],
    depth: usize,
    most: usize,
    found: Walk,
    open: Vec<Open>,
    /// One bit for each length, modulo 64, that a line of an open boundary can have: tells most lines apart at once.
    lengths: u64,
}

/// What a header block began.
enum Entered {
    /// A leaf: its index among the parts.
    Leaf(usize),
    /// A message: its header block comes next.
    Message,
    Multipart,
}

/// What is open around the current place, innermost last.
#[derive(Debug)]
enum Open {
    Multipart(Multipart),
    /// A message: its index among the parts.
    Message(usize),
}

#[derive(Debug)]
struct Multipart {
    /// None until the first line that can be one, when the field does not say.
    boundary: Option<Vec<u8>>,
    /// Parts are messages unless they say otherwise (RFC 2046, section 5.1.5).
    digest: bool,
    /// How it says it is encoded, which it may not be.
    encoding: TransferEncoding,
    /// Where the value of its Content-Type stands.
    content_type: Range<usize>,
    body: usize,
    /// A delimiter was seen.
    seen: bool,
    /// The close delimiter was seen.
    closed: bool,
}

/// A delimiter line.
struct Delimiter {
    /// Index of its multipart among what is open.
    level: usize,
    close: bool,
    line: Range<usize>,
    next: usize,
}

impl Walker<'_> {
    fn run(&mut self) {
        let late = late_start(self.bytes).filter(|_| self.depth == 0);
        if late.is_some() {
            self.note("mail-header-after-blank-line");
        }
        let (mut at, mut digest, mut first) = (late.unwrap_or_default(), false, true);
        loop {
            let block = Block::read(self.bytes, at, |line| self.delimiter(line).is_some());
            let body = block.body;
            let entered = self.enter(&block, digest);
            if std::mem::take(&mut first) {
                self.found.top = block;
            }
            let leaf = match entered {
                Entered::Message => {
                    (at, digest) = (body, false);
                    continue;
                }
                Entered::Leaf(index) => Some(index),
                Entered::Multipart => None,
            };
            match self.next_part(body, leaf) {
                Some(next) if self.found.parts.len() < self.most => (at, digest) = next,
                Some(_) => {
                    self.note("mime-too-many-parts");
                    return self.give_up();
                }
                None => return,
            }
        }
    }

    /// Opens what a header block begins.
    fn enter(&mut self, block: &Block, digest: bool) -> Entered {
        if block.cut {
            self.note("mail-header-too-long");
        }
        if block.malformed {
            self.note("mail-header-malformed");
        }
        let deep = self.depth + self.open.len() >= limits::MIME_DEPTH;
        let fields = Fields::read(block, self.bytes);
        if fields.contradict {
            self.note("mime-header-repeated");
        }
        let media = media_type(&fields.content_type.word);
        if let Some(media) = media.as_deref().filter(|media| media.starts_with("multipart/")) {
            if !deep {
                let digest = media == "multipart/digest";
                self.enter_multipart(&fields, digest, block);
                return Entered::Multipart;
            }
            self.note("mime-too-deep");
        }
        let mut part = self.part(block, &fields, media, digest);
        if part.is_message() && deep {
            self.note("mime-too-deep");
        }
        let room = !deep && self.found.parts.len() + 1 < self.most;
        part.walked = part.is_message() && part.encoding == TransferEncoding::Identity && room;
        let (walked, index) = (part.walked, self.found.parts.len());
        self.found.parts.push(part);
        if !walked {
            return Entered::Leaf(index);
        }
        self.push(Open::Message(index));
        Entered::Message
    }

    fn enter_multipart(&mut self, fields: &Fields<'_>, digest: bool, block: &Block) {
        let parameters = &fields.content_type;
        let boundary = parameters.raw("boundary").map(boundary_bytes).filter(|boundary| !boundary.is_empty());
        let boundary = boundary.or_else(|| parameters.text("boundary").map(String::into_bytes));
        if boundary.is_none() {
            self.note("mime-boundary-missing");
        }
        self.push(Open::Multipart(Multipart {
            boundary,
            digest,
            encoding: fields.encoding,
            content_type: fields.content_type_at.clone(),
            body: block.body,
            seen: false,
            closed: false,
        }));
    }

    fn part(&self, block: &Block, fields: &Fields<'_>, media: Option<String>, digest: bool) -> Part {
        let Fields { content_type, disposition, .. } = fields;
        let (name, other_name) = file_name(disposition, content_type);
        let number = content_type.raw("number").map(<[u8]>::trim_ascii);
        Part {
            first_piece: media.as_deref() == Some("message/partial") && number == Some(b"1"),
            media_given: media.is_some(),
            media: media.unwrap_or_else(|| if digest { "message/rfc822" } else { "text/plain" }.to_owned()),
            charset: content_type.raw("charset").map(|charset| charset_name(charset).to_vec()),
            encoding: fields.encoding,
            name,
            other_name,
            attached: disposition.word.eq_ignore_ascii_case(b"attachment"),
            body: block.body..block.body,
            depth: self.depth + self.open.len(),
            open: true,
            walked: false,
            multipart: None,
        }
    }

    /// Ends the leaf, if one was begun, whose body begins at `body`; finds where the next part begins, and whether in
    /// a digest.
    fn next_part(&mut self, body: usize, mut leaf: Option<usize>) -> Option<(usize, bool)> {
        let mut at = body;
        while let Some(delimiter) = self.find(at) {
            let end = before_line_end(self.bytes, delimiter.line.start).max(body);
            self.end_leaf(leaf.take(), end, false);
            self.close(delimiter.level + 1, end, false);
            at = delimiter.next;
            let Some(Open::Multipart(multipart)) = self.open.last_mut() else { return None };
            multipart.seen = true;
            if delimiter.close {
                multipart.closed = true;
                continue;
            }
            let (digest, reopened) = (multipart.digest, std::mem::take(&mut multipart.closed));
            if reopened {
                self.note("mime-part-after-close");
            }
            return Some((at, digest));
        }
        // The last line end stands for the delimiter that is missing, as Python's parser has it too.
        let undelimited = self.open.iter().any(|open| matches!(open, Open::Multipart(_)));
        let end = if undelimited { before_line_end(self.bytes, self.bytes.len()) } else { self.bytes.len() };
        self.end_leaf(leaf, end.max(body), true);
        self.close(0, self.bytes.len(), true);
        None
    }

    fn end_leaf(&mut self, leaf: Option<usize>, end: usize, open: bool) {
        if let Some(part) = leaf.and_then(|index| self.found.parts.get_mut(index)) {
            part.body.end = end;
            part.open = open;
        }
    }

    /// The next delimiter line at or after `at`.
    fn find(&mut self, at: usize) -> Option<Delimiter> {
        if !self.open.iter().any(|open| matches!(open, Open::Multipart(_))) {
            return None;
        }
        let rest = self.bytes.get(at..)?;
        for start in memmem::find_iter(rest, b"--").map(|found| at + found) {
            let at_line_start = start == at || matches!(self.bytes.get(start - 1), Some(b'\n' | b'\r'));
            if !at_line_start {
                continue;
            }
            let line = line_at(self.bytes, start);
            let text = self.bytes.get(line.text.clone()).unwrap_or_default();
            if let Some((level, close)) = self.delimiter(text).or_else(|| self.adopt(text)) {
                return Some(Delimiter { level, close, line: line.text, next: line.next });
            }
        }
        None
    }

    /// Whether a line is a delimiter of something open, of the innermost that fits. White space behind it does not
    /// count (RFC 2046, section 5.1.1); anything else does.
    fn delimiter(&self, line: &[u8]) -> Option<(usize, bool)> {
        let text = line.strip_prefix(b"--")?.trim_ascii_end();
        if self.lengths & 1 << (text.len() % 64) == 0 {
            return None;
        }
        self.open.iter().enumerate().rev().find_map(|(level, open)| {
            let Open::Multipart(Multipart { boundary: Some(boundary), .. }) = open else { return None };
            match text.strip_prefix(boundary.as_slice())? {
                b"" => Some((level, false)),
                b"--" => Some((level, true)),
                _ => None,
            }
        })
    }

    /// Takes a line for the boundary that the innermost multipart's header should have named.
    fn adopt(&mut self, line: &[u8]) -> Option<(usize, bool)> {
        let level = self.open.len().checked_sub(1)?;
        let text = line.strip_prefix(b"--")?.trim_ascii_end();
        match self.open.last_mut()? {
            Open::Multipart(multipart) if multipart.boundary.is_none() && !text.is_empty() => {
                multipart.boundary = Some(text.to_vec());
            }
            _ => return None,
        }
        self.measure();
        Some((level, false))
    }

    /// Closes all that is open from `level` inwards; it ended at `end`.
    fn close(&mut self, level: usize, end: usize, at_end: bool) {
        while self.open.len() > level {
            match self.open.pop() {
                Some(Open::Message(index)) => {
                    if let Some(part) = self.found.parts.get_mut(index) {
                        part.body.end = end.max(part.body.start);
                        part.open = at_end;
                    }
                }
                Some(Open::Multipart(multipart)) if !multipart.seen => self.keep_undivided(&multipart, end, at_end),
                Some(Open::Multipart(multipart)) if !multipart.closed => self.note("mime-not-closed"),
                _ => {}
            }
        }
        self.measure();
    }

    /// Closes all that is open, without a word on what is missing: it may well be there.
    fn give_up(&mut self) {
        for open in &mut self.open {
            if let Open::Multipart(multipart) = open {
                (multipart.seen, multipart.closed) = (true, true);
            }
        }
        self.close(0, self.bytes.len(), true);
    }

    /// A multipart whose boundary never comes is shown as text; one that is encoded may have it in what is decoded.
    fn keep_undivided(&mut self, multipart: &Multipart, end: usize, at_end: bool) {
        let encoded = multipart.encoding != TransferEncoding::Identity;
        self.note(if encoded { "mime-multipart-encoded" } else { "mime-boundary-never-seen" });
        self.found.parts.push(Part {
            media: if encoded { "multipart/mixed" } else { "text/plain" }.to_owned(),
            encoding: multipart.encoding,
            multipart: encoded.then(|| multipart.content_type.clone()),
            body: multipart.body..end.max(multipart.body),
            depth: self.depth + self.open.len(),
            open: at_end,
            ..Part::default()
        });
    }

    fn push(&mut self, open: Open) {
        self.open.push(open);
        self.measure();
    }

    fn measure(&mut self) {
        self.lengths = self.open.iter().fold(0, |lengths, open| match open {
            Open::Multipart(Multipart { boundary: Some(boundary), .. }) => {
                lengths | 1 << (boundary.len() % 64) | 1 << ((boundary.len() + 2) % 64)
            }
            _ => lengths,
        });
    }

    fn note(&mut self, name: &'static str) {
        if !self.found.anomalies.contains(&name) {
            self.found.anomalies.push(name);
        }
    }
}

/// A boundary's bytes: white space at its end does not count (RFC 2046, section 5.1.1).
fn boundary_bytes(value: &[u8]) -> Vec<u8> {
    value.trim_ascii_end().to_vec()
}

/// Where the line before `start` ends: its line end belongs to the delimiter (RFC 2046, section 5.1.1).
fn before_line_end(bytes: &[u8], start: usize) -> usize {
    let before = bytes.get(..start).unwrap_or_default();
    let before = before
        .strip_suffix(b"\n")
        .map(|text| text.strip_suffix(b"\r").unwrap_or(text))
        .unwrap_or_else(|| before.strip_suffix(b"\r").unwrap_or(before));
    before.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies(text: &str) -> Vec<(String, String)> {
        let found = walk(text.as_bytes(), 0, 100);
        found.parts.iter().map(|part| (part.media.clone(), text[part.body.clone()].to_owned())).collect()
    }

    fn plain(bodies: &[&str]) -> Vec<(String, String)> {
        bodies.iter().map(|body| ("text/plain".to_owned(), (*body).to_owned())).collect()
    }

    const HEAD: &str = "Content-Type: multipart/mixed; boundary=\"b\"\n\n";

    #[test]
    fn cuts_a_message_at_its_delimiters() {
        for end in ["\n", "\r\n", "\r"] {
            let text = format!("{HEAD}preamble\n--b\n\none\n\n--b  \n\ntwo--b\nx --b\n--bc\n--b--\nepilogue\n");
            let text = text.replace('\n', end);
            let two = "two--b\nx --b\n--bc".replace('\n', end);
            assert_eq!(bodies(&text), plain(&[&format!("one{end}"), &two]), "{end:?}");
        }
    }

    #[test]
    fn keeps_what_damaged_messages_hold() {
        // The close delimiter is missing.
        assert_eq!(bodies(&format!("{HEAD}--b\n\none\n--b\n\ntwo\n")), plain(&["one", "two"]));
        // Parts after the end; a part without a blank line; a part without anything.
        assert_eq!(bodies(&format!("{HEAD}--b\n\none\n--b--\n--b\n\ntwo\n--b--\n")), plain(&["one", "two"]));
        assert_eq!(bodies(&format!("{HEAD}--b\nno header\n--b\n--b--\n")), plain(&["no header", ""]));
        // The boundary never comes, is not named, or is folded to the next line.
        assert_eq!(bodies(&format!("{HEAD}one\n--c\n")), plain(&["one\n--c\n"]));
        let text = "Content-Type: multipart/mixed\n\n--x\n\none\n--x\n\ntwo\n--x--\n";
        assert_eq!(bodies(text), plain(&["one", "two"]));
        let text = "Content-Type: multipart/mixed;\n boundary=\n \"x\"\n\n--x\n\none\n--x--\n";
        assert_eq!(bodies(text), plain(&["one"]));
    }

    #[test]
    fn closes_inner_parts_at_outer_delimiters() {
        let inner = "Content-Type: multipart/alternative; boundary=c\n\n--c\n\none\n--c\n\ntwo\n";
        let text = format!("{HEAD}--b\n{inner}--b\n\nthree\n--b--\n");
        assert_eq!(bodies(&text), plain(&["one", "two", "three"]));
        assert_eq!(walk(text.as_bytes(), 0, 100).anomalies, ["mime-not-closed"]);
        // The same boundary inside and outside.
        let inner = inner.replace("=c", "=b").replace("--c", "--b");
        let text = format!("{HEAD}--b\n{inner}--b--\n--b\n\nthree\n--b--\n");
        assert_eq!(bodies(&text), plain(&["one", "two", "three"]));
    }

    #[test]
    fn walks_into_messages() {
        let text = format!("{HEAD}--b\nContent-Type: message/rfc822\n\nSubject: in\n\nbody\n--b\n\nlast\n--b--\n");
        let found = bodies(&text);
        assert_eq!(found[0], ("message/rfc822".to_owned(), "Subject: in\n\nbody".to_owned()));
        assert_eq!(found[1..], plain(&["body", "last"]));
        let digest = HEAD.replace("mixed", "digest");
        let text = format!("{digest}--b\n\nSubject: in\n\nbody\n--b\nContent-Type: text/plain\n\nx\n--b--\n");
        assert_eq!(bodies(&text)[1..], plain(&["body", "x"]));
    }

    #[test]
    fn is_bounded() {
        let text = format!("{HEAD}{}", "--b\n\nx\n".repeat(500));
        let found = walk(text.as_bytes(), 0, 100);
        assert_eq!((found.parts.len(), found.anomalies), (100, vec!["mime-too-many-parts"]));
        let text = "Content-Type: message/rfc822\n\n".repeat(22_000);
        let found = walk(text.as_bytes(), 0, 1_000);
        assert_eq!((found.parts.len(), found.anomalies), (limits::MIME_DEPTH + 1, vec!["mime-too-deep"]));
    }

    #[test]
    fn hostile_messages_take_linear_time() {
        let started = std::time::Instant::now();
        let nest = |level: usize| format!("Content-Type: multipart/mixed; boundary=aaaa{level}\n\n--aaaa{level}\n");
        let nested = (0..limits::MIME_DEPTH).map(nest).collect::<String>();
        for piece in
            ["--aaaaa\n", "--", "--\n", "-\n", "\n", "\r", "Content-Type: multipart/mixed\n\n--x\n", "a:\n\n--aaaa1\n"]
        {
            walk(format!("{nested}\n{}", piece.repeat((2 << 20) / piece.len())).as_bytes(), 0, limits::MIME_PARTS);
        }
        assert!(started.elapsed().as_secs() < 10);
    }
}
