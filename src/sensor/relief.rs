//! Who gives way when what all flows share is used up: those that hold most, and not whoever comes next.

use super::Core;
use super::conversation::{Conversation, Listener, detail};
use crate::flow::{Entry, Place};
use crate::model::limits;
use crate::model::stats::SensorStats;

impl Core {
    /// Has the sessions that hold most give way: each is told as far as it was read, and goes on as a flow only.
    #[cold]
    pub(super) fn relieve_sessions(&mut self) {
        let (wanted, from) = self.smtp_account.relief();
        let charged = |entry: &Entry<Conversation>| entry.attached.as_ref().map_or(0, |c| c.charged);
        let large = self.table.places().map(|(place, entry)| (charged(entry), place));
        let mut large: Vec<(u64, Place)> = large.filter(|(charged, _)| *charged >= from.max(1)).collect();
        // By slot where they hold the same (the sort is stable): the same capture must have the same outcome.
        large.sort_by_key(|(charged, _)| std::cmp::Reverse(*charged));
        let mut freed = 0;
        for (charged, place) in large {
            if freed >= wanted {
                break;
            }
            self.conclude(place);
            self.stats.smtp.given_up += 1;
            freed += charged;
        }
    }

    /// Has the streams that hold most out of order give up their holes, until a good part of the room is free: else one
    /// host that fills it would cost each other stream what comes out of order there.
    #[cold]
    pub(super) fn relieve_streams(&mut self) {
        let held = |entry: &Entry<Conversation>| entry.attached.as_ref().map_or(0, |c| c.stream.memory());
        let large = self.table.places().map(|(place, entry)| (held(entry), place));
        let mut large: Vec<(u64, Place)> = large.filter(|(held, _)| *held > 0).collect();
        // By slot where they hold the same, as above.
        large.sort_by_key(|(held, _)| std::cmp::Reverse(*held));
        let wanted = self.settings.shares.stream_bytes as u64 / limits::STREAM_RELIEF;
        let mut freed = 0;
        for (held, place) in large {
            if freed >= wanted {
                break;
            }
            freed += held;
            let entry = self.table.get(place);
            let Some(conversation) = entry.attached.as_deref_mut() else { continue };
            let SensorStats { flow, smtp, dns, .. } = &mut self.stats;
            let (app, heard, now) = (&mut conversation.app, &mut self.heard, self.at.time);
            let (detail, dns_bound) = (detail(&self.settings), self.settings.shares.dns_bytes);
            let trust = [&mut entry.trust, &mut conversation.trust_long];
            let mut listener = Listener { app, smtp, dns, heard, now, detail, dns_bound, trust, delivered: 0 };
            conversation.stream.give_up_holes(flow, &mut listener);
            self.tell(place);
            if let Some(conversation) = self.table.get(place).attached.as_deref_mut() {
                conversation.settle(&mut self.smtp_account, &mut self.stats.smtp);
            }
        }
    }
}
