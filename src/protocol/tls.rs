//! What a TLS handshake shows in clear: server name, version, application protocol, and up to TLS 1.2 the server's
//! certificate (RFC 8446, RFC 5246). A client's hello in the form of SSL 2 (RFC 5246, appendix E.2) names no server
//! and is passed over.
//!
//! A hello is a few fields behind lengths, read here as they come. Parser crates for it bring twenty others, or a
//! whole TLS stack; the certificate, which is real work, is left to `x509-cert`.
//!
//! [`Handshake`] holds no socket and no clock. It keeps at most [`limits::TLS_HANDSHAKE`] bytes a side and decrypts
//! nothing.

mod certificate;
mod reader;

use self::reader::{Fields, RecordReader, Step};
use crate::model::event::TlsFacts;
use crate::model::limits;
use crate::model::net::Side;

/// One handshake, both directions.
#[derive(Debug, Default)]
pub struct Handshake {
    facts: TlsFacts,
    /// The server asked for another hello of the client; its own is still to come.
    retry: bool,
    sides: [Watched; 2],
}

/// What one side sent so far.
#[derive(Debug, Default)]
struct Watched {
    reader: RecordReader,
    /// Nothing more is to be learnt from it.
    done: bool,
    seen: usize,
}

impl Handshake {
    /// What `side` sent next. After it is done, does nothing.
    pub fn push(&mut self, side: Side, bytes: &[u8]) {
        let watched = &mut self.sides[side.index()];
        watched.seen = watched.seen.saturating_add(bytes.len());
        if watched.done {
            return;
        }
        let room = limits::TLS_HANDSHAKE - watched.reader.taken().min(limits::TLS_HANDSHAKE);
        let (facts, retry) = (&mut self.facts, &mut self.retry);
        watched.done = watched.reader.push(&bytes[..bytes.len().min(room)], |step| match (side, step) {
            (_, Step::Over) => true,
            // What one side says before the second hello of a retry; else the end of what is in clear.
            (Side::Client, Step::CipherChange) => false,
            (Side::Server, Step::CipherChange) => !*retry,
            (Side::Client, Step::Message { kind: CLIENT_HELLO, body, whole: true }) => {
                // A second one, after the server asked to retry, names the same server.
                read_client_hello(body, facts);
                true
            }
            (Side::Server, Step::Message { kind: SERVER_HELLO, body, whole: true }) => {
                let last = read_server_hello(body, facts);
                *retry = last == Some(Last::Retry);
                last == Some(Last::Encrypts)
            }
            (Side::Server, Step::Message { kind: CERTIFICATE, body, whole }) => {
                let first = Fields(body).first_certificate();
                if let Some(first) = first {
                    certificate::read(first, facts);
                }
                first.is_some() || whole
            }
            // Without a certificate before it, there will be none (an anonymous session).
            (Side::Server, Step::Message { kind: SERVER_HELLO_DONE, .. }) => true,
            _ => false,
        });
        watched.done |= watched.reader.taken() >= limits::TLS_HANDSHAKE;
        if watched.done {
            watched.reader = RecordReader::default();
        }
    }

    /// Bytes of `side` were lost: what it said so far is all.
    pub fn gap(&mut self, side: Side) {
        let watched = &mut self.sides[side.index()];
        watched.done = true;
        watched.reader = RecordReader::default();
    }

    /// Whether all that can be learnt was: both sides are done, or one of them is far past its handshake.
    pub fn is_done(&self) -> bool {
        self.sides.iter().all(|watched| watched.done)
            || self.sides.iter().any(|watched| watched.seen >= limits::TLS_HANDSHAKE)
    }

    /// Bytes it holds. What was learnt is a few names, and not counted.
    pub fn held_bytes(&self) -> usize {
        size_of::<Self>() + self.sides.iter().map(|watched| watched.reader.held_bytes()).sum::<usize>()
    }

    /// What was learnt so far.
    pub fn into_facts(self) -> TlsFacts {
        self.facts
    }
}

/// Whether bytes that begin so are the start of a TLS connection: a handshake record (RFC 8446, section 5.1), which
/// no line of SMTP begins like. `start` may be cut short; at least one byte must be there.
pub fn opens_tls(start: &[u8]) -> bool {
    match *start {
        [] => false,
        [first] => first == HANDSHAKE,
        [first, major] => first == HANDSHAKE && major == 3,
        [first, major, minor, ..] => first == HANDSHAKE && major == 3 && minor <= 4,
    }
}

/// RFC 8446, section 4.1.2.
fn read_client_hello(body: &[u8], facts: &mut TlsFacts) -> Option<()> {
    let mut hello = Fields(body);
    hello.take(2 + RANDOM)?;
    hello.vector(1)?;
    hello.vector(2)?;
    hello.vector(1)?;
    let mut extensions = Fields(hello.vector(2)?);
    while let Some((kind, content)) = extensions.extension() {
        match kind {
            SERVER_NAME => facts.sni = Fields(content).server_name().map(name),
            ALPN => facts.client_alpns = Fields(content).protocols().take(limits::TLS_NAMES).map(name).collect(),
            _ => {}
        }
    }
    Some(())
}

/// What follows a server's hello.
#[derive(Debug, PartialEq, Eq)]
enum Last {
    /// Another one, after another of the client (RFC 8446, section 4.1.4).
    Retry,
    /// The rest of the handshake in clear, the certificate among it.
    Certificate,
    /// Nothing in clear.
    Encrypts,
}

/// RFC 8446, section 4.1.3.
fn read_server_hello(body: &[u8], facts: &mut TlsFacts) -> Option<Last> {
    let mut hello = Fields(body);
    let mut version = hello.number(2)?;
    let retry = hello.take(RANDOM)? == RETRY_RANDOM;
    facts.version = Some(version_name(version));
    hello.vector(1)?;
    // Cipher suite and compression.
    hello.take(3)?;
    let mut extensions = Fields(hello.vector(2).unwrap_or_default());
    while let Some((kind, content)) = extensions.extension() {
        match kind {
            SUPPORTED_VERSIONS => version = Fields(content).number(2).unwrap_or(version),
            ALPN => facts.server_alpn = Fields(content).protocols().next().map(name),
            _ => {}
        }
    }
    facts.version = Some(version_name(version));
    Some(match retry {
        true => Last::Retry,
        false if version >= TLS_1_3 => Last::Encrypts,
        false => Last::Certificate,
    })
}

/// Suricata's words.
fn version_name(version: usize) -> String {
    match version {
        0x0002 | 0x0200 => "SSLv2".into(),
        0x0300 => "SSLv3".into(),
        0x0301 => "TLSv1".into(),
        0x0302 => "TLS 1.1".into(),
        0x0303 => "TLS 1.2".into(),
        0x0304 => "TLS 1.3".into(),
        // Drafts of TLS 1.3 (draft-ietf-tls-tls13-28, section 4.2.1.1).
        0x7f00..=0x7fff => format!("TLS 1.3 draft-{:02}", version & 0xff),
        other => format!("0x{other:04x}"),
    }
}

fn name(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(limits::TLS_NAME)]).into_owned()
}

/// Record type and message types (RFC 8446, sections 5.1 and 4).
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;
const SERVER_HELLO_DONE: u8 = 14;

/// Extension types (IANA).
const SERVER_NAME: usize = 0;
const ALPN: usize = 16;
const SUPPORTED_VERSIONS: usize = 43;

const TLS_1_3: usize = 0x0304;
const RANDOM: usize = 32;
/// RFC 8446, section 4.1.3: SHA-256 of "HelloRetryRequest".
const RETRY_RANDOM: [u8; RANDOM] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11,
    0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

#[cfg(test)]
pub(crate) mod tests;
