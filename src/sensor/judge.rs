//! Judges flows by their first packets: who opened them, what they may carry, whether they replace another.

use super::conversation::Conversation;
use crate::decode::Segment;
use crate::flow::Entry;
use crate::flow::flags::{ACK, SYN};
use crate::model::net::Side;
use crate::protocol::{dns, smtp};

/// What a flow's first payload says of it.
pub(super) enum Wanted {
    /// Mail, or what may be; `expected` on a mail port.
    Smtp {
        expected: bool,
    },
    Dns,
    No,
}

/// Judges the first payload of a flow, by port and by content. Turns the flow round where its opening was not seen
/// and the content shows that the sides were guessed wrong.
pub(super) fn wanted(
    entry: &mut Entry<Conversation>,
    low: bool,
    segment: &Segment<'_>,
    mail_ports: &PortSet,
) -> Wanted {
    if mail_ports.contains(entry.server().port()) {
        return Wanted::Smtp { expected: true };
    }
    if entry.server().port() == dns::PORT {
        return Wanted::Dns;
    }
    let side = entry.side(low);
    let opening_seen = entry.tcp_flags[side.index()] & SYN != 0;
    if opening_seen && segment.seq != entry.first_seq[side.index()] {
        // Its first bytes are still to come.
        return Wanted::Smtp { expected: false };
    }
    let speaks_as = if smtp::may_greet(segment.payload) {
        Side::Server
    } else if smtp::opens_smtp(segment.payload) {
        Side::Client
    } else {
        return Wanted::No;
    };
    match (speaks_as == side, entry.midstream) {
        (true, _) => Wanted::Smtp { expected: false },
        (false, true) => {
            entry.swap_sides();
            Wanted::Smtp { expected: false }
        }
        (false, false) => Wanted::No,
    }
}

/// Whether the sender of a flow's first packet opened it. Certain for SYN and SYN-ACK; else the side with the port of
/// a service is the server, else the side with the lower port below 1,024, else the first to be seen is the client.
pub(super) fn sender_is_client(segment: &Segment<'_>, mail_ports: &PortSet) -> bool {
    let (src, dst) = (segment.src_port, segment.dst_port);
    let serves = |port| port == dns::PORT || mail_ports.contains(port);
    match (segment.flags & SYN != 0, segment.flags & ACK != 0) {
        (true, ack) => !ack,
        _ if serves(src) != serves(dst) => serves(dst),
        _ if (src < 1024) != (dst < 1024) => dst < 1024,
        _ => true,
    }
}

/// Whether a segment opens a new connection between the ends of an old one (RFC 9293, section 3.6.1).
///
/// A SYN that nobody has answered could be forged to have a live session forgotten, so where a session is followed
/// and alive, the answer is awaited; where the other side is not in the capture, the SYN is believed.
pub(super) fn is_reuse(entry: &mut Entry<Conversation>, segment: &Segment<'_>, low: bool) -> bool {
    let side = entry.side(low);
    match (segment.flags & SYN != 0, segment.flags & ACK != 0) {
        (true, false) => {
            let same = entry.tcp_flags[side.index()] & SYN != 0
                && segment.seq.wrapping_add(1) == entry.first_seq[side.index()];
            let alive = entry.attached.is_some() && !entry.closed && entry.packets[side.other().index()] > 0;
            !same && entry.packets[side.index()] > 0 && !alive
        }
        (true, true) => {
            entry.attached.as_ref().and_then(|conversation| conversation.reuse).is_some_and(|(opener, seq)| {
                opener == side.other()
                    && segment.ack == seq.wrapping_add(1)
                    && segment.seq.wrapping_add(1) != entry.first_seq[side.index()]
            })
        }
        _ => false,
    }
}

/// A set of ports: one bit each.
#[derive(Debug)]
pub(super) struct PortSet(Box<[u64; 1024]>);

impl PortSet {
    pub(super) fn new(ports: &[u16]) -> Self {
        let mut bits = Box::new([0; 1024]);
        for port in ports {
            bits[usize::from(port / 64)] |= 1 << (port % 64);
        }
        Self(bits)
    }

    pub(super) const fn contains(&self, port: u16) -> bool {
        self.0[(port / 64) as usize] & (1 << (port % 64)) != 0
    }
}
