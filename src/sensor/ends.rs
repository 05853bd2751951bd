//! How flows end, and what is told of them then.

use std::sync::Arc;

use super::Core;
use super::conversation::{App, Conversation};
use crate::flow::Entry;
use crate::flow::flags::{RST, SYN};
use crate::model::event::{ConnectOutcome, EndReason, EventKind, FlowEnd};
use crate::model::net::Transport;

impl Core {
    pub(super) fn end_flows(&mut self) {
        let mut ended = std::mem::take(&mut self.ended);
        for (entry, reason) in ended.drain(..) {
            self.end_flow(entry, reason);
        }
        // Its memory serves again: in a full table each new flow ends another.
        self.ended = ended;
    }

    pub(super) fn end_flow(&mut self, mut entry: Entry<Conversation>, mut reason: EndReason) {
        let bytes = entry.bytes[0] + entry.bytes[1];
        let mut attached = entry.attached.take();
        if let Some(conversation) = attached.as_deref_mut() {
            self.close_conversation(conversation, bytes);
            self.stats.flow.streams -= 1;
        }
        if entry.closed && reason != EndReason::Evicted {
            // It was over before; what came now only made us forget it.
            let reset = (entry.tcp_flags[0] | entry.tcp_flags[1]) & RST != 0;
            reason = if reset { EndReason::Reset } else { EndReason::Finished };
        }
        self.stats.flow.ended[reason as usize] += 1;
        let is_mail = attached.as_ref().is_some_and(|c| matches!(c.app, App::SmtpDone));
        self.stats.smtp.one_sided += u64::from(is_mail && entry.packets.contains(&0));
        let mail_port = entry.transport() == Transport::Tcp && self.mail_ports.contains(entry.server_port());
        let unanswered = mail_port && !entry.connect_told && entry.tcp_flags == [SYN, 0];
        // Also of one that never came to mail: what it took is part of what mailing costs, whether flows are told or not.
        if !(is_mail || mail_port || self.settings.flow_records) {
            return;
        }
        let flow = attached.as_ref().map_or_else(|| Arc::new(entry.identity()), |c| Arc::clone(&c.flow));
        if unanswered {
            self.push(Some(Arc::clone(&flow)), EventKind::Connect(ConnectOutcome::Unanswered));
        }
        let told = attached.as_ref().map_or(0, |c| c.told_bytes);
        let end = FlowEnd {
            packets: entry.packets.map(u64::from),
            bytes: entry.bytes,
            last: entry.last,
            app_proto: attached.as_ref().map_or(if entry.dns { "dns" } else { "failed" }, |c| c.app.name()),
            reason,
            tcp_flags: entry.tcp_flags,
            wire_bytes: bytes - told.min(bytes),
        };
        self.push(Some(flow), EventKind::FlowEnd(Box::new(end)));
    }
}
