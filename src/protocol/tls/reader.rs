//! Records to handshake messages, and fields behind lengths (RFC 8446, sections 3 and 5.1).

/// Puts the handshake messages of one side together from its records.
#[derive(Debug, Default)]
pub(super) struct RecordReader {
    /// Bytes of records not yet taken apart.
    raw: Vec<u8>,
    /// Bytes of messages not yet read.
    messages: Vec<u8>,
    taken: usize,
}

/// What a side went on to say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// A handshake message; for one that is not `whole`, its beginning.
    Message { kind: u8, body: &'a [u8], whole: bool },
    /// What follows is encrypted, unless a hello is still to come (RFC 8446, appendix D.4).
    CipherChange,
    /// Nothing in clear follows: an alert, encrypted data, the hello of SSL 2, or no TLS at all.
    Over,
}

impl RecordReader {
    /// Bytes it holds.
    pub(super) fn held_bytes(&self) -> usize {
        self.raw.capacity() + self.messages.capacity()
    }

    /// Bytes pushed so far.
    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    /// Takes what came next and tells each step of it, until `told` says it has heard enough: then true.
    pub(super) fn push(&mut self, bytes: &[u8], mut told: impl FnMut(Step<'_>) -> bool) -> bool {
        let at_start = self.taken == self.raw.len();
        self.taken += bytes.len();
        self.raw.extend_from_slice(bytes);
        let mut at = 0;
        let enough = loop {
            let Some((&[kind, major, _, high, low], content)) = self.raw[at..].split_first_chunk::<5>() else {
                break at_start && at == 0 && self.raw.first().is_some_and(|&first| is_no_record(first));
            };
            if is_no_record(kind) || major != 3 {
                break told(Step::Over);
            }
            let Some(content) = content.get(..usize::from(u16::from_be_bytes([high, low]))) else { break false };
            at += 5 + content.len();
            match kind {
                HANDSHAKE => {
                    self.messages.extend_from_slice(content);
                    if tell_messages(&mut self.messages, &mut told) {
                        break true;
                    }
                }
                CHANGE_CIPHER_SPEC if told(Step::CipherChange) => break true,
                CHANGE_CIPHER_SPEC => {}
                _ => break told(Step::Over),
            }
        };
        self.raw.drain(..at);
        enough
    }
}

/// Tells the messages that are all there, and what there is of the next one.
fn tell_messages(messages: &mut Vec<u8>, told: &mut impl FnMut(Step<'_>) -> bool) -> bool {
    let mut at = 0;
    let enough = loop {
        let mut rest = Fields(&messages[at..]);
        let (Some(kind), Some(length)) = (rest.number(1), rest.number(3)) else { break false };
        let whole = rest.0.len() >= length;
        let body = &rest.0[..length.min(rest.0.len())];
        if told(Step::Message { kind: kind as u8, body, whole }) {
            break true;
        }
        if !whole {
            break false;
        }
        at += 4 + length;
    };
    messages.drain(..at);
    enough
}

const fn is_no_record(kind: u8) -> bool {
    kind < CHANGE_CIPHER_SPEC || kind > HEARTBEAT
}

/// Fields of the presentation language of TLS: what is left to read.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (field, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(field)
    }

    /// A number of one to three bytes, the high one first.
    pub(super) fn number(&mut self, bytes: usize) -> Option<usize> {
        Some(self.take(bytes)?.iter().fold(0, |number, &byte| number << 8 | usize::from(byte)))
    }

    /// Bytes behind their length, which has `bytes` bytes itself.
    pub(super) fn vector(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let length = self.number(bytes)?;
        self.take(length)
    }

    /// The next extension: its type and content (RFC 8446, section 4.2).
    pub(super) fn extension(&mut self) -> Option<(usize, &'a [u8])> {
        Some((self.number(2)?, self.vector(2)?))
    }

    /// The first host name of a `server_name` extension (RFC 6066, section 3). A server's is empty.
    pub(super) fn server_name(mut self) -> Option<&'a [u8]> {
        let mut list = Fields(self.vector(2)?);
        loop {
            match (list.number(1)?, list.vector(2)?) {
                (0, name) => return Some(name),
                _ => continue,
            }
        }
    }

    /// The names of an ALPN extension (RFC 7301, section 3.1).
    pub(super) fn protocols(mut self) -> impl Iterator<Item = &'a [u8]> {
        let mut list = Fields(self.vector(2).unwrap_or_default());
        std::iter::from_fn(move || list.vector(1))
    }

    /// The first of a list of certificates, once it is all there (RFC 5246, section 7.4.2): the server's own.
    pub(super) fn first_certificate(mut self) -> Option<&'a [u8]> {
        self.number(3)?;
        self.vector(3)
    }
}

/// Record types (RFC 8446, section 5.1; RFC 6520).
const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;
const HEARTBEAT: u8 = 24;
