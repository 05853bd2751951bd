//! The message after DATA: dots unstuffed, its end found (RFC 5321, sections 4.1.1.4 and 4.5.2).
//!
//! Only `CRLF . CRLF` ends a message. Some servers also take a lone dot between other line ends for the end; who
//! knows which can smuggle a second message past a listener that decides differently. So such a place is only noted
//! as a candidate: reading goes on, and the server's reply decides (see `Session`).

use std::fmt;

use super::held::Held;
use crate::model::event::Message;
use crate::model::limits;

/// Reads the bytes after DATA into a message.
#[derive(Debug)]
pub struct DataReader {
    at: At,
    /// How the line before ended (the DATA command itself counts).
    before: LineEnd,
    /// Where the dot after a lone CR stood.
    dot: Place,
    pub candidate: Option<Candidate>,
    odd_end: Option<OddEnd>,
    /// A line ended in LF alone.
    pub bare_lf: bool,
    /// A CR stood alone.
    pub bare_cr: bool,
}

/// A lone dot between line ends that are not both CRLF.
#[derive(Debug)]
pub struct Candidate {
    /// The message before it.
    before: Place,
    /// It ended in CR: an LF right after still belongs to it.
    takes_lf: bool,
    /// What came after it, as sent: commands, if the server took it for the end.
    after: Held,
}

/// The first place where some servers would see the end of the message, and others would not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OddEnd {
    /// The line ends before and after the dot.
    pub ends: [LineEnd; 2],
    /// SMTP commands stood right after it: the shape of a smuggled message.
    pub followed: bool,
}

/// How a line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEnd {
    CrLf,
    Lf,
    Cr,
}

/// A place in a message, and what was known of the message there.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// Bytes kept before it.
    kept: usize,
    size: u64,
    gaps: u32,
    truncated: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    LineStart,
    InLine,
    /// After a CR that may be half a line end.
    Cr,
    /// After a lone CR and a dot.
    CrDot,
    /// A dot stood at the start of the line.
    Dot,
    /// ... and a CR after it.
    DotCr,
}

impl Default for DataReader {
    fn default() -> Self {
        Self {
            at: At::LineStart,
            before: LineEnd::CrLf,
            dot: Place::default(),
            candidate: None,
            odd_end: None,
            bare_lf: false,
            bare_cr: false,
        }
    }
}

impl DataReader {
    /// Reads up to the end of the message; gives what follows it, or none while it goes on.
    pub fn push<'a>(&mut self, bytes: &'a [u8], message: &mut Spool<'_>) -> Option<&'a [u8]> {
        self.keep_after_candidate(bytes);
        let mut rest = bytes;
        while let Some((&first, after_first)) = rest.split_first() {
            match (self.at, first) {
                (At::InLine, _) => rest = self.rest_of_line(rest, message),
                (At::Cr, b'\n') => {
                    message.add(b"\n");
                    self.line_ended(LineEnd::CrLf);
                    rest = after_first;
                }
                (At::Cr, b'.') => {
                    self.bare_cr = true;
                    self.dot = message.place();
                    message.add(b".");
                    self.at = At::CrDot;
                    rest = after_first;
                }
                (At::Cr, _) => {
                    self.bare_cr = true;
                    self.at = At::InLine;
                }
                (At::CrDot, _) => {
                    let end = if first == b'\r' { LineEnd::Cr } else { LineEnd::Lf };
                    if matches!(first, b'\r' | b'\n') {
                        self.note_candidate(self.dot, [LineEnd::Cr, end], after_first);
                    }
                    self.at = At::InLine;
                }
                (At::LineStart, b'.') => {
                    self.at = At::Dot;
                    rest = after_first;
                }
                (At::Dot, b'\r') => {
                    self.at = At::DotCr;
                    rest = after_first;
                }
                (At::DotCr, b'\n') if self.before == LineEnd::CrLf => return Some(after_first),
                (At::Dot | At::DotCr, b'\n') => {
                    let end = if self.at == At::DotCr { LineEnd::CrLf } else { LineEnd::Lf };
                    self.note_candidate(message.place(), [self.before, end], after_first);
                    message.add(if end == LineEnd::CrLf { b"\r\n" } else { b"\n" });
                    self.line_ended(end);
                    rest = after_first;
                }
                (At::DotCr, _) => {
                    self.note_candidate(message.place(), [self.before, LineEnd::Cr], rest);
                    message.add(b"\r");
                    self.at = At::Cr;
                }
                // The first dot of a line that goes on was put there by the sender (section 4.5.2).
                (At::LineStart | At::Dot, _) => self.at = At::InLine,
            }
        }
        None
    }

    /// Bytes were lost: where we are in a line is unknown. The next line start may be the real one.
    pub fn lose(&mut self, lost: u64) {
        self.at = At::InLine;
        if let Some(candidate) = &mut self.candidate {
            candidate.after.lose(lost);
            if candidate.after.is_full() {
                self.drop_candidate();
            }
        }
    }

    /// Bytes it holds besides the message.
    pub fn held_bytes(&self) -> usize {
        self.candidate.as_ref().map_or(0, |candidate| candidate.after.held_bytes())
    }

    /// What stands behind the odd end, if it looks like commands, and before the last `rest` bytes read.
    pub fn take_smuggled(&mut self, rest: usize) -> Option<Held> {
        self.candidate.take().filter(Candidate::opens_smtp)?.into_after().without_last(rest)
    }

    /// The first odd end, if one was met.
    pub fn odd_end(&self) -> Option<OddEnd> {
        let followed = self.candidate.as_ref().is_some_and(Candidate::opens_smtp);
        self.odd_end.map(|odd| OddEnd { followed: odd.followed || followed, ..odd })
    }

    /// Takes a line to its end, and all whole lines behind it that have nothing to stop at: they are most of a message.
    fn rest_of_line<'a>(&mut self, rest: &'a [u8], message: &mut Spool<'_>) -> &'a [u8] {
        let mut line = 0;
        let (length, ended) = loop {
            let Some(end) = memchr::memchr2(b'\r', b'\n', &rest[line..]).map(|end| line + end) else {
                message.add(rest);
                return &[];
            };
            match rest[end..] {
                [b'\n', ..] => break (end + 1, Some(LineEnd::Lf)),
                [_, b'\n', next, ..] if next != b'.' => line = end + 2,
                [_, b'\n', ..] => break (end + 2, Some(LineEnd::CrLf)),
                _ => break (end + 1, None),
            }
            self.before = LineEnd::CrLf;
        };
        message.add(&rest[..length]);
        match ended {
            Some(how) => self.line_ended(how),
            None => self.at = At::Cr,
        }
        &rest[length..]
    }

    fn line_ended(&mut self, how: LineEnd) {
        self.bare_lf |= how == LineEnd::Lf;
        self.before = how;
        self.at = At::LineStart;
    }

    fn note_candidate(&mut self, before: Place, ends: [LineEnd; 2], after: &[u8]) {
        if self.odd_end.is_none() {
            self.odd_end = Some(OddEnd { ends, followed: false });
            self.candidate = Some(Candidate { before, takes_lf: ends[1] == LineEnd::Cr, after: Held::default() });
            self.keep_after_candidate(after);
        }
    }

    /// Keeps what comes after a candidate, in case the server says it was the end. Long silence of the server says
    /// it was not.
    fn keep_after_candidate(&mut self, bytes: &[u8]) {
        if let Some(candidate) = self.candidate.as_mut() {
            let room = limits::SMTP_UNDECIDED - candidate.after.bytes().len();
            candidate.after.push(&bytes[..bytes.len().min(room)]);
            if bytes.len() > room {
                self.drop_candidate();
            }
        }
    }

    fn drop_candidate(&mut self) {
        self.odd_end = self.odd_end();
        self.candidate = None;
    }
}

impl Candidate {
    /// Cuts the message back to where this candidate stood.
    pub fn apply(&self, message: &mut Message) {
        message.bytes.truncate(self.before.kept);
        message.size = self.before.size;
        message.gaps = self.before.gaps;
        message.truncated = self.before.truncated;
    }

    /// What came after it, as sent.
    pub fn into_after(mut self) -> Held {
        if self.takes_lf && self.after.before_holes().starts_with(b"\n") {
            self.after.skip(1);
        }
        self.after
    }

    fn opens_smtp(&self) -> bool {
        let after = self.after.before_holes();
        let after = after.strip_prefix(b"\n").filter(|_| self.takes_lf).unwrap_or(after);
        after.len() >= 5 && super::opens_smtp(after)
    }
}

impl fmt::Display for LineEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CrLf => "CRLF",
            Self::Lf => "LF",
            Self::Cr => "CR",
        })
    }
}

impl fmt::Display for OddEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [before, after] = self.ends;
        write!(f, "{before} . {after}{}", if self.followed { ", followed by commands" } else { "" })
    }
}

/// Where message bytes go, within the bound of one message.
pub struct Spool<'a> {
    pub message: &'a mut Message,
    /// Bytes one message may keep.
    pub bound: usize,
}

impl Spool<'_> {
    /// Adds bytes; past the bound they are counted and dropped, and the message is marked truncated.
    pub fn add(&mut self, bytes: &[u8]) {
        self.message.size += bytes.len() as u64;
        let room = self.bound.saturating_sub(self.message.bytes.len());
        let kept = &bytes[..bytes.len().min(room)];
        self.message.truncated |= kept.len() < bytes.len();
        let buffer = &mut self.message.bytes;
        if buffer.len() >= LARGE && buffer.capacity() - buffer.len() < kept.len() {
            // Doubling, as vectors do, could leave half of a large buffer empty.
            buffer.reserve_exact(kept.len().max(buffer.len() / 4));
        }
        buffer.extend_from_slice(kept);
    }

    /// Adds what another spool kept, and what it knew of the rest.
    pub fn add_piece(&mut self, piece: &Message) {
        self.add(&piece.bytes);
        self.message.size += piece.size - piece.bytes.len() as u64;
        self.message.truncated |= piece.truncated;
        self.message.gaps += piece.gaps;
    }

    fn place(&self) -> Place {
        let Message { bytes, size, truncated, gaps } = &*self.message;
        Place { kept: bytes.len(), size: *size, gaps: *gaps, truncated: *truncated }
    }
}

/// From here on a message's buffer grows by a quarter.
const LARGE: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The message read from parts of a stream, and what follows it.
    fn read(parts: &[&[u8]]) -> (Vec<u8>, Option<Vec<u8>>, DataReader) {
        let (mut reader, mut message) = (DataReader::default(), Message::default());
        for (n, part) in parts.iter().enumerate() {
            let mut spool = Spool { message: &mut message, bound: 1 << 20 };
            if let Some(rest) = reader.push(part, &mut spool) {
                let after = [rest, &parts[n + 1..].concat()].concat();
                return (message.bytes, Some(after), reader);
            }
        }
        (message.bytes, None, reader)
    }

    #[test]
    fn dots_are_unstuffed_and_the_end_is_found() {
        let (message, after, _) = read(&[b"a\r\n..b\r\n.c\r\n...\r\n.\r\nQUIT\r\n"]);
        assert_eq!(message, b"a\r\n.b\r\nc\r\n..\r\n");
        assert_eq!(after.unwrap(), b"QUIT\r\n");
    }

    #[test]
    fn a_dot_as_the_first_line_is_an_empty_message() {
        let (message, after, _) = read(&[b".\r\n"]);
        assert_eq!((message, after), (vec![], Some(vec![])));
    }

    #[test]
    fn a_lone_dot_between_bare_line_feeds_is_a_candidate_only() {
        let (message, after, reader) = read(&[b"a\n.\nMAIL", b" FROM:<x>\r\n"]);
        assert_eq!(message, b"a\n\nMAIL FROM:<x>\r\n");
        assert_eq!(after, None);
        let candidate = reader.candidate.unwrap();
        let mut cut = Message { bytes: message, size: 20, ..Message::default() };
        candidate.apply(&mut cut);
        assert_eq!(candidate.into_after().bytes(), b"MAIL FROM:<x>\r\n");
        assert_eq!((cut.bytes.as_slice(), cut.size), (b"a\n".as_slice(), 2));
    }

    /// The shapes of the advisory on SMTP smuggling (SEC Consult, December 2023), and the one that is none.
    #[test]
    fn every_odd_end_is_a_candidate_however_it_is_split() {
        let shapes: [(&[u8], &str, &[u8]); 7] = [
            (b"\n.\n", "LF . LF", b"a"),
            (b"\n.\r\n", "LF . CRLF", b"a"),
            (b"\r\n.\n", "CRLF . LF", b"a"),
            (b"\r.\r\n", "CR . CR", b"a"),
            (b"\r.\n", "CR . LF", b"a"),
            (b"\r\n.\r", "CRLF . CR", b"a"),
            (b"\n.\r", "LF . CR", b"a"),
        ];
        for (shape, name, text) in shapes {
            let wire = [text, shape, b"MAIL FROM:<x@y>\r\nand so on\r\n.\r\nQUIT".as_slice()].concat();
            for cut in 0..wire.len() {
                let (message, after, reader) = read(&[&wire[..cut], &wire[cut..]]);
                let odd = reader.odd_end().unwrap_or_else(|| panic!("{name} split at {cut}"));
                assert_eq!(odd.to_string(), format!("{name}, followed by commands"), "split at {cut}");
                assert_eq!(after.as_deref(), Some(b"QUIT".as_slice()));
                let candidate = reader.candidate.unwrap();
                let mut cut_back = Message { size: message.len() as u64, bytes: message, ..Message::default() };
                candidate.apply(&mut cut_back);
                let kept = [text, &shape[..shape.iter().position(|&b| b == b'.').unwrap()]].concat();
                assert_eq!((cut_back.bytes, cut_back.size), (kept.clone(), kept.len() as u64), "{name}");
                let after = candidate.into_after();
                assert!(after.bytes().starts_with(b"MAIL FROM:<x@y>\r\nand"), "{name} split at {cut}");
            }
        }
        assert_eq!(read(&[b"a\nb\n..\n\r\n.\r\n"]).2.odd_end(), None);
    }

    #[test]
    fn lone_line_ends_are_noted() {
        assert!(read(&[b"a\nb\r\n"]).2.bare_lf);
        assert!(read(&[b"a\rb\r\n"]).2.bare_cr);
        assert!(read(&[b"a\r", b"b\r\n"]).2.bare_cr);
        let clean = read(&[b"a\r", b"\nb\r\n"]).2;
        assert!(!clean.bare_lf && !clean.bare_cr);
    }

    #[test]
    fn bytes_past_the_bound_are_counted_not_kept() {
        let (mut reader, mut message) = (DataReader::default(), Message::default());
        let mut spool = Spool { message: &mut message, bound: 4 };
        assert!(reader.push(b"abcdefgh\r\n.\r\n", &mut spool).is_some());
        assert_eq!((message.bytes.as_slice(), message.size, message.truncated), (&b"abcd"[..], 10, true));
    }

    proptest! {
        /// Whatever is stuffed comes out again, whatever the split (RFC 5321, section 4.5.2 is the oracle).
        #[test]
        fn stuffing_round_trips(lines in prop::collection::vec("[.a\r]{0,5}", 0..12), cuts in prop::collection::vec(1usize..7, 0..20)) {
            let sent: Vec<u8> = lines.iter().flat_map(|l| format!("{l}x\r\n").into_bytes()).collect();
            let mut wire: Vec<u8> = Vec::new();
            for line in &lines {
                if line.starts_with('.') { wire.push(b'.'); }
                wire.extend_from_slice(format!("{line}x\r\n").as_bytes());
            }
            wire.extend_from_slice(b".\r\nQUIT");
            let (mut parts, mut rest) = (Vec::new(), wire.as_slice());
            for cut in cuts {
                let (part, left) = rest.split_at(cut.min(rest.len()));
                parts.push(part);
                rest = left;
            }
            parts.push(rest);
            let (message, after, _) = read(&parts);
            prop_assert_eq!(message, sent);
            prop_assert_eq!(after.unwrap(), b"QUIT");
        }
    }

    #[test]
    fn an_odd_end_is_none_once_much_has_followed_it() {
        for (followed, undecided) in [(limits::SMTP_UNDECIDED, true), (limits::SMTP_UNDECIDED + 1, false)] {
            let part = vec![b'x'; followed / 2];
            let (message, after, reader) = read(&[b"a\n.\n", &part, &part, &vec![b'x'; followed % 2]]);
            assert_eq!((message.len(), after), (3 + followed, None));
            assert_eq!(reader.candidate.is_some(), undecided, "{followed}");
            assert!(reader.odd_end().is_some(), "it is told all the same");
        }
    }
}
