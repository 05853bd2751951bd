//! What the server says: each reply finds its command and settles what it asked.

use super::super::transaction::{Closed, is_success};
use super::{Context, Mode, Pending, Question, Said, Session, Standing};
use crate::model::event::{Dialect, Reply};
use crate::model::net::Side;

impl Session {
    pub(super) fn reply(&mut self, reply: Reply, cx: &mut Context<'_>) {
        self.last_reply = Some(reply.clone());
        if std::mem::take(&mut self.awaiting_greeting) {
            self.greet(reply, cx);
            return;
        }
        if matches!(self.mode, Mode::Data(..)) && self.pending.is_empty() {
            self.reply_within_data(reply, cx);
            return;
        }
        if reply.code == 354 {
            self.skip_to_data();
        }
        match self.pending.pop_front() {
            // The DATA it answers was lost.
            None if reply.code == 354 && matches!(self.mode, Mode::Command) && !self.unseen[0] => {
                self.begin_data(None, false, cx);
            }
            None => {}
            Some(pending) => self.answer(pending, reply, cx),
        }
    }

    fn greet(&mut self, reply: Reply, cx: &mut Context<'_>) {
        let says_so = reply.text.contains("SMTP") || reply.text.contains("LMTP");
        if self.standing == Standing::Undecided && (self.expected || says_so) {
            self.stands(cx);
        }
        if is_success(reply.code) && self.standing == Standing::Smtp {
            cx.out.push(Said::Greeting(reply.clone()));
        }
        self.greeting = Some(reply);
    }

    fn answer(&mut self, pending: Pending, reply: Reply, cx: &mut Context<'_>) {
        let success = is_success(reply.code);
        match pending {
            Pending::Hello { resets, before } => {
                self.settle_reset(resets, success);
                if success {
                    self.sender_in_force = None;
                }
                // RFC 5321, section 4.1.1.1: after a refusal the state is as before.
                if !success && before.is_some() {
                    self.introduced = before;
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
                let mut failed = None;
                if let Some(transaction) = self.answered(transaction) {
                    if !success {
                        failed = Some(transaction.mail_from.clone());
                    }
                    if last {
                        transaction.decision = Some(reply);
                    } else if !success {
                        transaction.refusal = Some(reply);
                    }
                }
                // RFC 3030, section 2: what state a refused chunk leaves is for RSET to settle.
                if last || failed.is_some() {
                    self.sender_in_force = failed;
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
            Pending::Other => {}
        }
    }

    fn mail_answered(&mut self, opens: u32, resets: Option<u32>, reply: Reply) {
        let success = is_success(reply.code);
        let nested = !success && reply.code == 503 && resets.is_some();
        self.settle_reset(resets, !nested);
        let Some(at) = self.transactions.iter().position(|t| t.id == opens) else { return };
        self.transactions[at].awaiting = self.transactions[at].awaiting.saturating_sub(1);
        if nested {
            if let Some(refused) = self.transactions.remove(at)
                && let Some(open) = self.transactions.get_mut(at.wrapping_sub(1))
            {
                open.adopt(refused);
            }
        } else if success {
            self.sender_in_force = None;
        } else if reply.code == 503
            && let Some(sender) = &self.sender_in_force
        {
            self.transactions[at].mail_from.clone_from(sender);
        } else {
            self.transactions[at].refusal = Some(reply);
        }
    }

    /// A command that resets the open transaction was accepted, or refused and the transaction goes on.
    pub(super) fn settle_reset(&mut self, resets: Option<u32>, accepted: bool) {
        let newest = self.transactions.back().map(|t| t.id);
        if let Some(transaction) = resets.and_then(|id| self.answered(id)) {
            let is_newest = newest == Some(transaction.id) || newest == Some(transaction.id + 1);
            if !accepted && transaction.closed == Some(Closed::Reset) && is_newest {
                transaction.closed = None;
            }
        }
    }

    fn data_answered(&mut self, transaction: Option<u32>, reply: Reply, cx: &mut Context<'_>) {
        let Mode::Undecided(Question::Data, ..) = &self.mode else { return };
        let Mode::Undecided(_, held, loss) = std::mem::replace(&mut self.mode, Mode::Command) else { return };
        if (300..400).contains(&reply.code) {
            self.begin_data(transaction, loss, cx);
        } else {
            if loss {
                self.lines.lose();
            }
            if let Some(open) = self.open() {
                open.refusal = Some(reply);
                self.sender_in_force = Some(open.mail_from.clone());
            }
        }
        self.client_bytes(&held, cx);
    }

    fn start_tls_answered(&mut self, success: bool, cx: &mut Context<'_>) {
        let Mode::Undecided(Question::StartTls, ..) = &self.mode else { return };
        if success {
            self.switch_to_tls(cx);
        } else if let Mode::Undecided(_, held, _) = std::mem::replace(&mut self.mode, Mode::Command) {
            self.client_bytes(&held, cx);
        }
    }

    fn auth_answered(&mut self, code: u16, cx: &mut Context<'_>) {
        let more = (300..400).contains(&code);
        if more {
            self.pending.push_front(Pending::Auth);
        } else if let Some(auth) = self.auth.as_mut() {
            auth.accepted = Some(is_success(code));
        }
        if let Mode::Undecided(Question::Auth, ..) = &self.mode {
            let next = if more { Mode::Secret } else { Mode::Command };
            if let Mode::Undecided(_, held, _) = std::mem::replace(&mut self.mode, next) {
                self.client_bytes(&held, cx);
            }
        }
    }

    /// The server spoke while we think the client is still sending its message.
    fn reply_within_data(&mut self, reply: Reply, cx: &mut Context<'_>) {
        let Mode::Data(reader, lost) = &mut self.mode else { return };
        if let Some(candidate) = reader.candidate.take() {
            // The server took the odd line ends for the end of the message.
            if let Some(message) = self.transactions.back_mut().and_then(|open| open.message.as_mut()) {
                let before = message.bytes.len();
                candidate.apply(message);
                let dropped = (before - message.bytes.len()) as u64;
                cx.stats.held_bytes = cx.stats.held_bytes.saturating_sub(dropped);
            }
            self.dialect.add(Dialect::BARE_LF);
            self.anomaly("smtp-nonstandard-end-of-data", Side::Client, cx);
            self.data_done(cx);
            self.reply(reply, cx);
            self.client_bytes(&candidate.after, cx);
        } else if *lost {
            // The end of the message was in the bytes we lost.
            self.data_done(cx);
            self.reply(reply, cx);
        } else if !is_success(reply.code)
            && let Some(open) = self.open()
        {
            open.refusal = Some(reply);
        }
    }

    /// 354 can only answer DATA: what waits before it was answered by replies we lost.
    fn skip_to_data(&mut self) {
        while self.pending.iter().any(|pending| matches!(pending, Pending::Data { .. }))
            && !matches!(self.pending.front(), Some(Pending::Data { .. }))
        {
            if let Some(skipped) = self.pending.pop_front() {
                self.unanswered(&skipped);
            }
        }
    }
}
