//! What the server says: each reply finds its command and settles what it asked.

use super::super::command::Hello;
use super::super::reply::extensions;
use super::super::transaction::{Closed, Transaction, is_success};
use super::alone::enhanced_status;
use super::{Context, Mode, Pending, Question, Session, Standing};
use crate::model::event::Reply;
use crate::model::net::Side;

impl Session {
    pub(super) fn server_bytes(&mut self, bytes: &[u8], cx: &mut Context<'_>) {
        let mut rest = bytes;
        while !rest.is_empty() {
            match &mut self.mode {
                Mode::Opaque => return,
                Mode::Tls(handshake) => return handshake.push(Side::Server, rest),
                // The client's hello, before it, was lost or is not in the capture.
                _ if self.replies.opens_tls(rest) => {
                    let held = self.replies.take_line();
                    self.unannounced_tls(&[], cx);
                    if let Mode::Tls(handshake) = &mut self.mode {
                        handshake.push(Side::Server, &held);
                    }
                }
                _ => {
                    let (left, reply) = self.replies.push(rest);
                    rest = left;
                    if self.replies.is_foreign() && self.standing == Standing::Undecided {
                        return self.is_other();
                    }
                    if let Some(reply) = reply {
                        self.reply(reply, cx);
                        self.tell_decided(cx);
                    }
                }
            }
        }
    }

    pub(super) fn reply(&mut self, reply: Reply, cx: &mut Context<'_>) {
        if !self.awaiting_greeting {
            self.end_preamble(cx);
        }
        let reply = self.without_secrets(reply);
        self.replies_heard += 1;
        self.last_reply = Some(reply.clone());
        if self.awaiting_greeting {
            self.awaiting_greeting = false;
            // Nothing but a greeting or a refusal comes first (RFC 5321, section 4.3.2): the greeting was lost.
            let answers = is_success(reply.code) && reply.code != 220 && !self.pending.is_empty();
            if !answers {
                return self.greet(reply, cx);
            }
        }
        if self.unseen[0] {
            return self.reply_alone(reply, cx);
        }
        if matches!(self.mode, Mode::Data(..)) && self.pending.is_empty() {
            return self.reply_within_data(reply, cx);
        }
        match self.next_answered(&reply) {
            Some(pending) => self.answer(pending, reply, cx),
            // The DATA it answers was lost.
            None if reply.code == 354 && self.pending.is_empty() && self.lost_in_commands() => {
                // A line under way is the first of the message.
                let held = self.lines.take();
                self.begin_data(None, cx);
                self.client_bytes(&held, cx);
            }
            // RFC 5321, section 3.8: the server may close the channel at any time, and says so.
            None if reply.code == 421 => {
                if let Some(open) = self.open() {
                    open.farewell = Some(reply);
                }
            }
            None if is_success(reply.code) && self.pending.is_empty() && matches!(self.mode, Mode::Command) => {
                self.smuggled_answered(reply, cx);
            }
            None => {}
        }
    }

    /// Whether commands of the client may have been lost.
    fn lost_in_commands(&self) -> bool {
        matches!(self.mode, Mode::Command) && !self.synced
    }

    /// The command a reply belongs to: the oldest one, unless its code says otherwise.
    fn next_answered(&mut self, reply: &Reply) -> Option<Pending> {
        match reply.code {
            354 => self.skip_to(|pending| matches!(pending, Pending::Data { .. } | Pending::Block)),
            221 => self.skip_to(|pending| matches!(pending, Pending::Quit)),
            220 => self.skip_to(|pending| matches!(pending, Pending::StartTls)),
            _ => {}
        }
        let oldest = self.pending.front()?;
        // A second greeting, or a challenge nobody asked for, answers nothing.
        let stray = match reply.code {
            220 => matches!(oldest, Pending::Mail { .. } | Pending::Rcpt { .. } | Pending::Data { .. }),
            334 => !matches!(oldest, Pending::Auth | Pending::Unknown | Pending::Other),
            _ => false,
        };
        // Some replies were lost, and this one does not say whose it is.
        let unclear = self.replies_lost && self.pending.len() > 1 && !matches!(reply.code, 220 | 221 | 354);
        if stray || unclear { None } else { self.pending.pop_front() }
    }

    /// Credentials are said by clients, and repeated by servers in what they answer: of such replies only the codes
    /// are kept. So too where it is not known what was said.
    fn without_secrets(&mut self, mut reply: Reply) -> Reply {
        let asked = self.pending.front();
        let of_auth = matches!(reply.code, 235 | 334 | 432 | 534 | 535 | 538) || matches!(asked, Some(Pending::Auth));
        let of_unknown = matches!(asked, Some(Pending::Unknown)) || reply.code == 500;
        // RFC 4954, section 4: these may answer AUTH, too.
        let of_anything = matches!(reply.code, 454 | 501..=504) && (asked.is_none() || self.replies_lost);
        // Nothing but AUTH is asked for more so. Once anything was lost, its end may answer what seems to be another command.
        self.auth_seen |= reply.code == 334;
        let of_lost = self.bytes_lost && (self.auth_seen || self.may_hide_auth()) && !is_success(reply.code);
        self.veiled |= self.replies_lost || matches!(asked, Some(Pending::Forwarded | Pending::Other));
        if of_auth || of_unknown || of_anything || of_lost {
            self.veiled = true;
            reply.text = enhanced_status(&reply.text).unwrap_or_default().to_owned();
        }
        reply
    }

    /// Whether AUTH may be in what the client said last, and is not told from other things.
    fn may_hide_auth(&self) -> bool {
        match &self.mode {
            Mode::Undecided(_, held) => !held.is_empty(),
            Mode::Data(_, loss) => *loss || self.guessed,
            _ => !self.synced,
        }
    }

    fn greet(&mut self, reply: Reply, cx: &mut Context<'_>) {
        let says_so = reply.text.contains("SMTP") || reply.text.contains("LMTP");
        // FTP greets alike: unless the server says more, what the client says decides.
        let refuses = self.expected && !is_success(reply.code);
        let alone = self.expected && self.unseen[0] && !reply.text.contains("FTP");
        self.greeting = Some(reply);
        if self.standing == Standing::Smtp {
            // The client did not wait for it.
            self.tell_greeting(cx);
        } else if says_so || refuses || alone {
            self.stands(cx);
        }
    }

    fn answer(&mut self, pending: Pending, reply: Reply, cx: &mut Context<'_>) {
        let success = is_success(reply.code);
        match pending {
            Pending::Hello { kind, resets, before } => {
                self.settle_reset(resets, success);
                if success {
                    self.sender_in_force = None;
                    self.extensions = extensions(&reply.text);
                }
                self.refused_ehlo |= !success && kind != Hello::Helo;
                // RFC 5321, section 4.1.1.1: after a refusal the state is as before.
                if !success && before.is_some() {
                    self.introduced = before;
                } else if !success
                    && let Some(client) = self.introduced.as_mut().filter(|client| client.kind == Hello::Lhlo)
                {
                    // One that does not take LHLO does not answer for each recipient.
                    client.kind = Hello::Ehlo;
                }
            }
            Pending::Mail { opens, resets } => self.mail_answered(opens, resets, reply),
            Pending::Rcpt { transaction, index } => {
                if let Some(transaction) = self.answered(transaction)
                    && !success
                {
                    transaction.refuse_recipient(index, reply);
                }
            }
            Pending::Data { transaction } => self.data_answered(transaction, reply, cx),
            Pending::Chunk { transaction, last } => {
                let failed = !success;
                let sender = self.transactions.iter().find(|t| t.id == transaction).map(Transaction::sender);
                self.chunk_answered(transaction, last, reply);
                // RFC 3030, section 2: what state a refused chunk leaves is for RSET to settle.
                if last || failed {
                    self.sender_in_force = sender.filter(|_| failed);
                }
            }
            Pending::EndOfData { transaction, recipient } => {
                self.sender_in_force = None;
                if let Some(transaction) = self.answered(transaction) {
                    match recipient {
                        Some(index) if !success => transaction.refuse_recipient(index, reply.clone()),
                        _ => {}
                    }
                    // Of several (LMTP), one success is what counts.
                    if transaction.decision.as_ref().is_none_or(|before| !is_success(before.code)) {
                        transaction.decision = Some(reply);
                    }
                }
            }
            Pending::Rset => self.sender_in_force = None,
            Pending::StartTls => self.start_tls_answered(success, cx),
            Pending::Auth => self.auth_answered(reply.code, cx),
            Pending::Block => self.block_answered(reply.code, cx),
            Pending::Forwarded if !success => {
                self.xclient.clear();
                self.xforward.clear();
            }
            Pending::Forwarded | Pending::Quit | Pending::Other | Pending::Unknown => {}
        }
    }

    fn chunk_answered(&mut self, transaction: u32, last: bool, reply: Reply) {
        let lmtp = self.speaks_lmtp();
        let Some(transaction) = self.answered(transaction) else { return };
        if !last {
            if !is_success(reply.code) {
                transaction.refusal = Some(reply);
            }
            return;
        }
        // RFC 2033, section 4.2: one reply for each recipient accepted. This is the first one's, unless it says that the
        // command is out of sequence.
        let each = lmtp && reply.code != 503;
        let recipients: Vec<usize> = if each { transaction.accepted().collect() } else { Vec::new() };
        transaction.decision = Some(reply.clone());
        if let Some((first, others)) = recipients.split_first() {
            transaction.awaiting += others.len() as u32;
            if !is_success(reply.code) {
                transaction.refuse_recipient(*first, reply);
            }
            let transaction = transaction.id;
            for &recipient in others.iter().rev() {
                self.pending.push_front(Pending::EndOfData { transaction, recipient: Some(recipient) });
            }
        }
    }

    fn mail_answered(&mut self, opens: u32, resets: Option<u32>, reply: Reply) {
        let success = is_success(reply.code);
        let nested = !success && reply.code == 503 && resets.is_some();
        self.settle_reset(resets, !nested);
        let Some(at) = self.transactions.iter().position(|t| t.id == opens) else { return };
        self.transactions[at].awaiting = self.transactions[at].awaiting.saturating_sub(1);
        if nested {
            let Some(refused) = self.transactions.remove(at) else { return };
            let goes_on = self.transactions.iter_mut().find(|t| Some(t.id) == resets);
            if let Some(goes_on) = goes_on {
                let (to, recipients) = (goes_on.id, goes_on.adopt(refused, self.message_bound));
                for pending in &mut self.pending {
                    pending.move_over(opens, to, recipients);
                }
            }
        } else if success {
            self.sender_in_force = None;
        } else if reply.code == 503
            && let Some((sender, declared)) = &self.sender_in_force
        {
            self.transactions[at].mail_from.clone_from(sender);
            self.transactions[at].declared = *declared;
        } else {
            self.transactions[at].refusal = Some(reply);
            self.transactions[at].sender_refused = true;
        }
    }

    /// A command that resets the open transaction was accepted, or refused and the transaction goes on.
    pub(super) fn settle_reset(&mut self, resets: Option<u32>, accepted: bool) {
        let Some(id) = resets else { return };
        let later = self.transactions.iter().rev().take_while(|t| t.id != id).count();
        if let Some(transaction) = self.answered(id)
            && !accepted
            && transaction.closed == Some(Closed::Reset)
            // No other has begun since, but for the one that was refused.
            && later <= 1
        {
            transaction.closed = None;
        }
    }

    fn data_answered(&mut self, transaction: Option<u32>, reply: Reply, cx: &mut Context<'_>) {
        let Mode::Undecided(Question::Data, held) = &self.mode else { return };
        if is_success(reply.code) {
            // Neither go ahead nor refusal (RFC 5321, section 4.3.2 knows only 354 and errors): the client decides.
            self.replies_lost = true;
            if Question::Data.can_be_decided(held) {
                self.decide_without_reply(cx);
            }
            return;
        }
        let Mode::Undecided(_, held) = std::mem::replace(&mut self.mode, Mode::Command) else { return };
        if (300..400).contains(&reply.code) {
            self.replies_lost = false;
            self.begin_data(transaction, cx);
        } else {
            self.sender_in_force = self.open().map(|open| open.sender()).or(self.sender_in_force.take());
            self.refuse_open(reply);
        }
        self.read_held(&held, cx);
    }

    /// The server refused the open transaction as such.
    pub(super) fn refuse_open(&mut self, reply: Reply) {
        if let Some(open) = self.open() {
            open.refusal = Some(reply);
        }
    }

    fn start_tls_answered(&mut self, success: bool, cx: &mut Context<'_>) {
        let Mode::Undecided(Question::StartTls, ..) = &self.mode else { return };
        let Mode::Undecided(_, held) = std::mem::replace(&mut self.mode, Mode::Command) else { return };
        if success { self.held_is_tls(&held, cx) } else { self.read_held(&held, cx) }
    }

    fn auth_answered(&mut self, code: u16, cx: &mut Context<'_>) {
        let more = (300..400).contains(&code);
        if more {
            self.pending.push_front(Pending::Auth);
        } else if let Some(auth) = self.auth.as_mut().filter(|auth| auth.accepted != Some(true)) {
            auth.accepted = Some(is_success(code));
        }
        if let Mode::Undecided(Question::Auth, ..) = &self.mode {
            let next = if more { Mode::Secret } else { Mode::Command };
            if let Mode::Undecided(_, held) = std::mem::replace(&mut self.mode, next) {
                self.read_held(&held, cx);
            }
        }
    }

    /// A reply to nothing we know of: the server took the odd end for the end of the message, and what stood behind it for
    /// commands. They are read as it reads them; the message they were hidden in is told already, as a whole.
    fn smuggled_answered(&mut self, reply: Reply, cx: &mut Context<'_>) {
        if let Some(smuggled) = self.smuggled.take() {
            self.read_held(&smuggled, cx);
            self.reply(reply, cx);
        }
    }

    fn block_answered(&mut self, code: u16, cx: &mut Context<'_>) {
        let Mode::Undecided(Question::Block(size), ..) = self.mode else { return };
        let goes_ahead = code == 354;
        let next = if goes_ahead && size > 0 { Mode::Block(size) } else { Mode::Command };
        if goes_ahead {
            // It is answered once more behind the block.
            self.pending.push_front(Pending::Other);
        }
        if let Mode::Undecided(_, held) = std::mem::replace(&mut self.mode, next) {
            self.read_held(&held, cx);
        }
    }

    /// The server spoke while we think the client is still sending its message.
    fn reply_within_data(&mut self, reply: Reply, cx: &mut Context<'_>) {
        let Mode::Data(reader, lost) = &mut self.mode else { return };
        if reply.code == 354 {
            // Said twice.
        } else if reader.candidate.is_some() {
            let mut reader = std::mem::take(reader);
            self.message_read(&reader, cx);
            let Some(candidate) = reader.candidate.take() else { return };
            // The server took the odd line ends for the end of the message.
            if let Some(message) = self.transactions.back_mut().and_then(|open| open.message.as_mut()) {
                candidate.apply(message);
            }
            self.data_done(cx);
            self.reply(reply, cx);
            self.read_held(&candidate.into_after(), cx);
        } else if *lost {
            // The end of the message was in the bytes we lost.
            self.data_done(cx);
            self.reply(reply, cx);
        } else if reply.code >= 400 {
            self.refuse_open(reply);
        }
    }

    /// Passes over commands whose replies were lost, up to the one that alone has such a reply.
    fn skip_to(&mut self, is_it: impl Fn(&Pending) -> bool) {
        let Some(at) = self.pending.iter().position(is_it) else { return };
        for _ in 0..at {
            if let Some(skipped) = self.pending.pop_front() {
                self.unanswered(&skipped);
            }
        }
    }
}
