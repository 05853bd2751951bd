//! What is kept of packets as evidence (`--evidence`): those of mail and of the DNS questions that are told, of home
//! hosts. Nothing that may be a credential is kept: where that is in doubt, only a packet's headers are.

use super::Core;
use super::conversation::App;
use crate::capture::Packet;
use crate::decode::IpFacts;
use crate::model::event::{EventKind, KeptPacket};
use crate::model::limits;

/// How much of a packet may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// It is neither mail nor DNS.
    Nothing,
    /// What precedes the payload of its segment.
    Headers,
    /// Its first bytes: the rest is encrypted, and as good as none.
    Start,
    Whole,
}

impl Keep {
    /// Of a packet on which this is spoken, as long as nobody knows better.
    pub(super) const fn of(app: &App) -> Self {
        match app {
            App::Smtp(_) => Self::Headers,
            App::SmtpDone => Self::Start,
            App::DnsOverTcp(_) | App::DnsDone => Self::Whole,
        }
    }
}

impl Core {
    /// Tells the packet at hand, as far as it may be kept.
    pub(super) fn keep_packet(&mut self, packet: &Packet<'_>, ip: &IpFacts, payload: &[u8]) {
        let keep = std::mem::replace(&mut self.keep, Keep::Nothing);
        let Some(home) = self.settings.keep_packets_of.as_ref().filter(|_| keep != Keep::Nothing) else { return };
        let hosts = [ip.src, ip.dst];
        if !hosts.iter().any(|host| home.contains(*host)) {
            return;
        }
        let kept = match keep {
            _ if payload.is_empty() => packet.data.len(),
            Keep::Nothing => return,
            // None within a datagram put together from fragments: the headers are in another packet.
            Keep::Headers => offset_within(packet.data, payload).unwrap_or(0),
            Keep::Start => packet.data.len().min(limits::EVIDENCE_ENCRYPTED),
            Keep::Whole => packet.data.len(),
        };
        if kept == 0 {
            return;
        }
        let data = packet.data.get(..kept).unwrap_or(packet.data).into();
        let packet = KeptPacket { link: packet.link, wire_len: packet.wire_len, data, hosts };
        self.push(None, EventKind::Packet(Box::new(packet)));
    }
}

/// Where `part` begins in `whole`, if it lies within it.
fn offset_within(whole: &[u8], part: &[u8]) -> Option<usize> {
    let offset = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    (offset + part.len() <= whole.len()).then_some(offset)
}
