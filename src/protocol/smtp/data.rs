//! The message after DATA: dots unstuffed, its end found (RFC 5321, sections 4.1.1.4 and 4.5.2).
//!
//! Only `CRLF . CRLF` ends a message. Some servers also take a lone dot between other line ends for the end; who
//! knows which can smuggle a second message past a listener that decides differently. So such a place is only noted
//! as a candidate: reading goes on, and the server's reply decides (see `Session`).

use crate::model::event::Message;
use crate::model::limits;

/// Reads the bytes after DATA into a message.
#[derive(Debug)]
pub struct DataReader {
    at: At,
    /// The line before ended in CRLF (the DATA command itself counts).
    after_crlf: bool,
    last_was_cr: bool,
    pub candidate: Option<Candidate>,
    /// A line ended in LF alone.
    pub bare_lf: bool,
    /// A CR stood alone.
    pub bare_cr: bool,
}

/// A lone dot between line ends that are not both CRLF.
#[derive(Debug)]
pub struct Candidate {
    /// Length of the message before it: kept bytes, and size on the wire.
    kept: usize,
    size: u64,
    /// What came after it, as sent: commands, if the server took it for the end.
    pub after: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    LineStart,
    InLine,
    /// A dot stood at the start of the line.
    Dot,
    /// ... and a CR after it.
    DotCr,
}

impl Default for DataReader {
    fn default() -> Self {
        Self {
            at: At::LineStart,
            after_crlf: true,
            last_was_cr: false,
            candidate: None,
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
                (At::LineStart, b'.') => {
                    self.at = At::Dot;
                    rest = after_first;
                }
                (At::Dot, b'\r') => {
                    self.at = At::DotCr;
                    rest = after_first;
                }
                (At::DotCr, b'\n') if self.after_crlf => return Some(after_first),
                (At::Dot | At::DotCr, b'\n') => {
                    self.note_candidate(message, after_first);
                    let crlf = self.at == At::DotCr;
                    message.add(if crlf { b"\r\n" } else { b"\n" });
                    self.line_ended(crlf);
                    rest = after_first;
                }
                (At::DotCr, _) => {
                    message.add(b"\r");
                    self.last_was_cr = true;
                    self.at = At::InLine;
                }
                // The first dot of a line that goes on was put there by the sender (section 4.5.2).
                (At::LineStart | At::Dot, _) => self.at = At::InLine,
                (At::InLine, _) => rest = self.rest_of_line(rest, message),
            }
        }
        None
    }

    /// Bytes were lost: where we are in a line is unknown. The next line start may be the real one.
    pub fn lose(&mut self) {
        self.at = At::InLine;
        self.last_was_cr = false;
    }

    fn rest_of_line<'a>(&mut self, rest: &'a [u8], message: &mut Spool<'_>) -> &'a [u8] {
        let Some(end) = memchr::memchr(b'\n', rest) else {
            self.bare_cr |= lone_cr(rest, self.last_was_cr);
            self.last_was_cr = rest.last() == Some(&b'\r');
            message.add(rest);
            return &[];
        };
        let line = &rest[..=end];
        let crlf = if end > 0 { line[end - 1] == b'\r' } else { self.last_was_cr };
        self.bare_cr |= lone_cr(&line[..end], self.last_was_cr && end > 0);
        message.add(line);
        self.line_ended(crlf);
        &rest[end + 1..]
    }

    fn line_ended(&mut self, crlf: bool) {
        self.bare_lf |= !crlf;
        self.after_crlf = crlf;
        self.last_was_cr = false;
        self.at = At::LineStart;
    }

    fn note_candidate(&mut self, message: &Spool<'_>, after: &[u8]) {
        if self.candidate.is_none() {
            let (kept, size) = (message.message.bytes.len(), message.message.size);
            self.candidate = Some(Candidate { kept, size, after: Vec::new() });
            self.keep_after_candidate(after);
        }
    }

    /// Keeps what comes after a candidate, in case the server says it was the end. Long silence of the server says
    /// it was not.
    fn keep_after_candidate(&mut self, bytes: &[u8]) {
        if let Some(candidate) = self.candidate.as_mut() {
            if candidate.after.len() + bytes.len() > limits::SMTP_UNDECIDED {
                self.candidate = None;
            } else {
                candidate.after.extend_from_slice(bytes);
            }
        }
    }
}

impl Candidate {
    /// Cuts the message back to where this candidate stood.
    pub fn apply(&self, message: &mut Message) {
        message.bytes.truncate(self.kept);
        message.size = self.size;
    }
}

/// A CR in `bytes` that no LF follows; the last byte is not judged, what follows it is not known yet.
fn lone_cr(bytes: &[u8], cr_before: bool) -> bool {
    let inner = &bytes[..bytes.len().saturating_sub(1)];
    (cr_before && !bytes.is_empty()) || memchr::memchr(b'\r', inner).is_some()
}

/// Where message bytes go, within the bounds of one message and of all together.
pub struct Spool<'a> {
    pub message: &'a mut Message,
    /// Bytes one message may keep.
    pub bound: usize,
    /// Bytes all unfinished messages of the sensor hold now.
    pub held: &'a mut u64,
}

impl Spool<'_> {
    /// Adds bytes; past a bound they are counted and dropped, and the message is marked truncated.
    pub fn add(&mut self, bytes: &[u8]) {
        self.message.size += bytes.len() as u64;
        let all = usize::try_from(*self.held).unwrap_or(usize::MAX);
        let room =
            self.bound.saturating_sub(self.message.bytes.len()).min(limits::MESSAGES_HELD_BYTES.saturating_sub(all));
        let kept = &bytes[..bytes.len().min(room)];
        self.message.truncated |= kept.len() < bytes.len();
        self.message.bytes.extend_from_slice(kept);
        *self.held += kept.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The message read from parts of a stream, and what follows it.
    fn read(parts: &[&[u8]]) -> (Vec<u8>, Option<Vec<u8>>, DataReader) {
        let (mut reader, mut message, mut held) = (DataReader::default(), Message::default(), 0);
        for (n, part) in parts.iter().enumerate() {
            let mut spool = Spool { message: &mut message, bound: 1 << 20, held: &mut held };
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
        assert_eq!(candidate.after, b"MAIL FROM:<x>\r\n");
        let mut cut = Message { bytes: message, size: 20, ..Message::default() };
        candidate.apply(&mut cut);
        assert_eq!((cut.bytes.as_slice(), cut.size), (b"a\n".as_slice(), 2));
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
        let (mut reader, mut message, mut held) = (DataReader::default(), Message::default(), 0);
        let mut spool = Spool { message: &mut message, bound: 4, held: &mut held };
        assert!(reader.push(b"abcdefgh\r\n.\r\n", &mut spool).is_some());
        assert_eq!((message.bytes.as_slice(), message.size, message.truncated, held), (&b"abcd"[..], 10, true, 4));
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
}
