//! Judges flows by their first packets: who opened them, what they may carry, whether they replace another.

use super::conversation::Conversation;
use crate::decode::Segment;
use crate::flow::Entry;
use crate::flow::flags::{ACK, FIN, RST, SYN};
use crate::model::limits;
use crate::model::net::Side;
use crate::model::time::Timestamp;
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
    if mail_ports.contains(entry.server_port()) {
        // Where the other port serves mail too, and the opening was not seen, what is said tells who serves.
        let side = entry.side(low);
        let greets = smtp::may_greet(segment.payload);
        if entry.midstream
            && mail_ports.contains(entry.client().port())
            && (greets || smtp::opens_smtp(segment.payload))
            && greets != (side == Side::Server)
        {
            entry.swap_sides();
        }
        return Wanted::Smtp { expected: true };
    }
    if entry.server_port() == dns::PORT {
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
/// A SYN that nobody has answered could be forged to have a live session forgotten. So where both sides are captured,
/// and what they say is of interest, the answer is awaited; elsewhere the SYN is believed.
pub(super) fn is_reuse(entry: &mut Entry<Conversation>, segment: &Segment<'_>, low: bool) -> bool {
    let side = entry.side(low);
    match (segment.flags & SYN != 0, segment.flags & ACK != 0) {
        (true, false) => {
            let repeated = entry.tcp_flags[side.index()] & SYN != 0
                && segment.seq.wrapping_add(1) == entry.first_seq[side.index()];
            if repeated {
                return false;
            }
            let alive = !is_over(entry) && !entry.ignored && entry.packets[side.other().index()] > 0;
            if alive {
                (entry.reopening, entry.reopening_seq) = (Some(side), segment.seq);
            }
            !alive && entry.packets[side.index()] > 0
        }
        (true, true) => {
            entry.reopening == Some(side.other())
                && segment.ack == entry.reopening_seq.wrapping_add(1)
                && segment.seq.wrapping_add(1) != entry.first_seq[side.index()]
        }
        _ => false,
    }
}

/// Whether a SYN is the copy that a mirror makes of the one before it. Each has one: of a flood of one SYN, over and over,
/// every other one counts.
pub(super) fn is_copied_syn(entry: &Entry<Conversation>, segment: &Segment<'_>, side: Side, now: Timestamp) -> bool {
    let repeated = segment.flags & (SYN | ACK) == SYN
        && entry.tcp_flags[side.index()] & SYN != 0
        && segment.seq.wrapping_add(1) == entry.first_seq[side.index()];
    repeated && !entry.syn_copied && now.since(entry.last) <= limits::MIRROR_DELAY
}

/// Whether a flow is over. A reset of what was open may have died on its way: what follows it tells.
fn is_over(entry: &Entry<Conversation>) -> bool {
    let [client, server] = entry.tcp_flags;
    let was_open = client & server & SYN != 0 && client & server & FIN == 0;
    entry.closed && !(was_open && entry.attached.as_deref().is_none_or(Conversation::is_followed))
}

/// Whether the checksums of a segment matter: those of a conversation, and of the handshake before one on its ports.
pub(super) fn is_verified(entry: &Entry<Conversation>, mail_ports: &PortSet) -> bool {
    match entry.attached.as_deref() {
        Some(conversation) => conversation.is_followed(),
        None if entry.ignored => false,
        None => {
            let port = entry.server_port();
            port == dns::PORT || mail_ports.contains(port)
        }
    }
}

/// Whether a port is that of mail or DNS, whose connections are told one by one and judged by what is said on them.
pub(super) fn is_served(port: u16, mail_ports: &PortSet) -> bool {
    port == dns::PORT || mail_ports.contains(port)
}

/// Whether a reset ends a flow: one that its receiver would ignore (RFC 9293, sections 3.10.7.3 and 3.10.7.4) must
/// not blind us either.
pub(super) fn is_believed_reset(entry: &Entry<Conversation>, segment: &Segment<'_>, side: Side) -> bool {
    if segment.flags & RST == 0 {
        return false;
    }
    if let Some(conversation) = entry.attached.as_deref() {
        return conversation.stream.plausible_reset(side, segment.seq);
    }
    let opening_seen = |side: Side| entry.tcp_flags[side.index()] & SYN != 0;
    let [own, other] = [side, side.other()].map(|side| entry.first_seq[side.index()]);
    // Nothing was said yet, or nothing of interest, and then it does not matter.
    match (opening_seen(side), opening_seen(side.other())) {
        _ if entry.ignored => true,
        (true, _) => segment.seq.wrapping_sub(own.wrapping_sub(1)) <= NEAR,
        (false, true) if segment.flags & ACK != 0 => segment.ack == other,
        _ => true,
    }
}

/// How far behind the opening a reset may be and still be believed where nothing was said in between: a window as
/// hosts offer by default.
const NEAR: u32 = 65_535;

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
