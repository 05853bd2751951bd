//! What the receiver of a segment drops, and what a sensor must not read either: or it could be told one thing while the
//! receiver is told another (Ptacek and Newsham 1998). It is put aside, and read after all where it was received.

use super::Core;
use super::conversation::Conversation;
use super::judge::is_verified;
use crate::decode::Segment;
use crate::flow::flags::{ACK, FIN, RST, SYN};
use crate::flow::{Entry, Place};
use crate::model::net::Side;

impl Core {
    /// Whether a segment is one that its receiver drops, so that what it says must not count. A wrong checksum counts where
    /// checksums can be relied on: [`crate::flow::trust`].
    pub(super) fn is_set_aside(&mut self, place: Place, low: bool, segment: &Segment<'_>) -> bool {
        let entry = self.table.get(place);
        if !is_verified(entry, &self.mail_ports) {
            return false;
        }
        let side = entry.side(low);
        let damaged = self.is_damaged(place, side, segment);
        if !damaged {
            let entry = self.table.get(place);
            entry.plain[side.index()] |= segment.is_plain();
            if !is_unfit(entry, side, segment) {
                return false;
            }
        }
        // It is followed from here on, so that an acknowledgement shows if the receiver took it all the same.
        let attached = self.attach(place, low, segment);
        let entry = self.table.get(place);
        if attached
            && let Some(conversation) = entry.attached.as_deref_mut()
            && !conversation.stream.set_aside(side, segment.seq, segment.payload, damaged, &mut self.stats.flow)
        {
            return false;
        }
        entry.count(side, segment.ip.bytes, self.at.time);
        self.stats.flow.set_aside += 1;
        true
    }

    fn is_damaged(&mut self, place: Place, side: Side, segment: &Segment<'_>) -> bool {
        let Some(holds) = segment.checksum_holds() else { return false };
        let entry = self.table.get(place);
        let trust = match entry.attached.as_deref_mut() {
            Some(conversation) if segment.is_long() => &mut conversation.trust_long,
            // None has held so far.
            None if segment.is_long() => return false,
            _ => &mut entry.trust,
        };
        let rejected = trust[side.index()].rejects(holds);
        // A long one that was merged has no checksum of the wire to be wrong.
        self.stats.flow.bad_checksums += u64::from(!holds && (rejected || !segment.is_long()));
        rejected
    }
}

/// Whether a segment with a good checksum is dropped all the same: it acknowledges nothing (RFC 9293, section 3.10.7.4,
/// fifth), is signed for those who share a key (RFC 2385, RFC 5925), comes in a datagram whose fragments overlap, or is
/// older than what was received (RFC 7323, section 5.3). One that has hardly a hop left, or options before its header,
/// while others of its sender have not, is dropped on its way or by whom it is sent to more likely than not.
pub(super) fn is_unfit(entry: &Entry<Conversation>, side: Side, segment: &Segment<'_>) -> bool {
    let resets = segment.flags & RST != 0;
    if segment.payload.is_empty() && segment.flags & FIN == 0 && !resets {
        return false;
    }
    if segment.is_signed() || segment.overlaps() || (entry.plain[side.index()] && segment.is_odd()) {
        return true;
    }
    // A reset may come without ACK, and is not judged by its timestamp.
    !resets
        && (segment.flags & (ACK | SYN) == 0
            || entry.attached.as_deref().is_some_and(|conversation| conversation.is_outdated(side, segment)))
}
