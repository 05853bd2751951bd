//! The handshake of a TLS connection, both directions.
//!
//! Input: a byte of circumstances, then turns: a byte with the speaker (its lowest bit) and what is said, two bytes of length,
//! and so many bytes. They are bytes as they are, or, which leads deeper, one handshake message of the kind that the next
//! byte names, put into records.

use mailsnare::model::event::TlsFacts;
use mailsnare::model::limits;
use mailsnare::model::net::Side;
use mailsnare::protocol::tls::{Handshake, opens_tls};

use super::input::{Input, Lengths};

pub fn run(input: &[u8]) {
    let mut input = Input(input);
    let circumstances = input.byte();
    let turns = turns(&mut input, circumstances);
    let whole = heard(&turns, || usize::MAX);
    let mut lengths = Lengths::new(circumstances.into());
    for (how, facts) in [("byte by byte", heard(&turns, || 1)), ("in small pieces", heard(&turns, || lengths.next()))] {
        assert_eq!(facts, whole, "heard otherwise {how}");
    }
    // What comes behind a gap tells nothing, and takes nothing back.
    let mut cut = Handshake::default();
    for (number, (side, bytes)) in turns.iter().enumerate() {
        if number == usize::from(circumstances >> 4) {
            cut.gap(*side);
        }
        cut.push(*side, bytes);
    }
    check(&cut.into_facts());
    for (_, bytes) in &turns {
        let first = &bytes[..bytes.len().min(3)];
        assert!(!opens_tls(first) || first[0] == 22, "TLS opens with a handshake");
    }
}

/// Who said what, in order.
fn turns(input: &mut Input<'_>, circumstances: u8) -> Vec<(Side, Vec<u8>)> {
    let mut turns = Vec::new();
    while !input.is_empty() && turns.len() < 16 {
        let how = input.byte();
        let side = if how & 1 == 0 { Side::Client } else { Side::Server };
        let bytes = if how & 2 == 0 {
            let length = usize::from(input.short());
            input.bytes(length).to_vec()
        } else {
            let kind = input.byte();
            let length = usize::from(input.short());
            // RFC 8446, section 5.1: a message may be cut into records at will.
            let most = if how & 4 == 0 { 16_384 } else { 1 + usize::from(circumstances & 15) * 40 };
            in_records(&message(kind, input.bytes(length)), most)
        };
        turns.push((side, bytes));
    }
    turns
}

/// RFC 8446, section 4.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32).to_be_bytes();
    [&[kind], &length[1..], body].concat()
}

fn in_records(bytes: &[u8], most: usize) -> Vec<u8> {
    let record = |piece: &[u8]| [&[22, 3, 3], (piece.len() as u16).to_be_bytes().as_slice(), piece].concat();
    bytes.chunks(most).flat_map(record).collect()
}

fn heard(turns: &[(Side, Vec<u8>)], mut length: impl FnMut() -> usize) -> TlsFacts {
    let mut handshake = Handshake::default();
    for (side, bytes) in turns {
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(length().min(rest.len()));
            rest = after;
            handshake.push(*side, piece);
            assert!(handshake.held_bytes() <= HELD, "{} bytes held", handshake.held_bytes());
        }
    }
    let facts = handshake.into_facts();
    check(&facts);
    facts
}

/// Two sides' messages under way, their buffers grown by doubling, and the rest of a handshake.
const HELD: usize = 4 * limits::TLS_HANDSHAKE + 4096;

fn check(facts: &TlsFacts) {
    assert!(facts.client_alpns.len() <= limits::TLS_NAMES && facts.alt_names.len() <= limits::TLS_NAMES);
    let texts = [&facts.sni, &facts.server_alpn, &facts.subject, &facts.issuer].into_iter().flatten();
    for text in texts.chain(&facts.client_alpns).chain(&facts.alt_names) {
        // A replaced byte takes three.
        assert!(text.len() <= 3 * limits::TLS_NAME, "a name of {} bytes", text.len());
    }
    assert!(facts.subject.is_none() || facts.fingerprint.is_some(), "a certificate has a fingerprint");
}
