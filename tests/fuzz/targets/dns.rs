//! A DNS message, and the same bytes as a TCP stream of messages.
//!
//! Input: a byte of circumstances, then the message or stream.

use mailsnare::model::limits;
use mailsnare::protocol::dns::{self, Detail, TcpFramer};

use super::input::{Input, Lengths};

pub fn run(input: &[u8]) {
    let mut input = Input(input);
    let circumstances = input.byte();
    if circumstances & 1 == 0 { message(input.0) } else { stream(input.0, circumstances) }
}

fn message(bytes: &[u8]) {
    let all = dns::parse(bytes, false, Detail::All);
    let chain = dns::parse(bytes, false, Detail::ChainOnly);
    match (&all, &chain) {
        (Ok(Some(all)), Ok(Some(chain))) => assert_eq!(all, chain, "read alike whatever was asked for"),
        (Ok(None), _) => panic!("all was asked for, nothing was read"),
        _ => {}
    }
    let read = match &all {
        Ok(read) => read.as_ref(),
        Err(malformed) => malformed.readable.as_deref(),
    };
    if let Some(read) = read {
        let records = read.answers.len() + read.additionals.len();
        assert!(read.queries.len() <= limits::DNS_RECORDS && records <= limits::DNS_RECORDS);
        for name in read.queries.iter().map(|q| &q.name).chain(read.answers.iter().map(|a| &a.name)) {
            // 255 octets (RFC 1035, section 2.3.4), each at most four characters in presentation form.
            assert!(name.len() <= 4 * 255, "a name of {} bytes", name.len());
        }
    }
    if let (Ok(Some(all)), Ok(glance)) = (&all, dns::glance(bytes)) {
        assert_eq!(all.is_response(), glance.response);
        assert_eq!(all.queries.iter().any(|query| query.qtype == 15), glance.mx, "MX is asked for, or is not");
    }
    let _ = dns::looks_like_dns(bytes);
}

/// A stream whole, in small pieces, and with a gap.
fn stream(bytes: &[u8], circumstances: u8) {
    let whole = framed(&mut TcpFramer::new(), bytes, || usize::MAX);
    let mut lengths = Lengths::new(circumstances.into());
    assert_eq!(framed(&mut TcpFramer::new(), bytes, || lengths.next()), whole, "said otherwise in pieces");
    assert_eq!(framed(&mut TcpFramer::new(), bytes, || 1), whole, "said otherwise byte by byte");
    for message in &whole {
        let _ = dns::parse(message, true, Detail::All);
    }
    let (before, after) = bytes.split_at(bytes.len() / 2);
    let mut framer = if circumstances & 2 == 0 { TcpFramer::new() } else { TcpFramer::midstream() };
    framed(&mut framer, before, || usize::MAX);
    framer.gap(u64::from(circumstances >> 2));
    framed(&mut framer, after, || usize::MAX);
}

/// The messages of a stream that comes in pieces.
fn framed(framer: &mut TcpFramer, bytes: &[u8], mut length: impl FnMut() -> usize) -> Vec<Vec<u8>> {
    let (mut messages, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(length().min(rest.len()));
        rest = after;
        framer.push(piece, |message| messages.push(message.to_vec()));
        assert!(framer.held_bytes() <= limits::DNS_MESSAGE, "held past the bound");
    }
    messages
}
