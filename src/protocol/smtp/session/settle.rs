//! What a command does once it is answered: the transaction that the server has, and what becomes of it.
//!
//! A command is applied when its reply is heard, in order, as the server applied it; of the transaction that is open no
//! more is known than the server said. So a MAIL refused because another is open changes nothing, and what was pipelined
//! behind it goes where the server put it.

use std::collections::VecDeque;

use super::super::command::Hello;
use super::super::data::Spool;
use super::super::reply::extensions;
use super::super::transaction::{Closed, Transaction, is_success};
use super::pending::Chunk;
use super::{Context, Introduction, Pending, Session};
use crate::model::event::Reply;

impl Session {
    /// Queues a command. Where no reply will be seen it is applied at once.
    pub(super) fn expect(&mut self, command: Pending, cx: &mut Context<'_>) {
        if self.unseen[1] {
            return self.settle(command, None, cx);
        }
        while self.pending.is_full()
            && let Some(oldest) = self.pending.pop()
        {
            self.settle(oldest, None, cx);
            self.overdue += 1;
        }
        self.pending.push(command);
    }

    /// No reply will come to what was said so far.
    pub(super) fn forget_pending(&mut self, cx: &mut Context<'_>) {
        self.replies_lost = false;
        self.overdue = 0;
        while let Some(command) = self.pending.pop() {
            self.settle(command, None, cx);
        }
    }

    /// Applies a command with its reply. Without one it is taken to have done what it asked.
    pub(super) fn settle(&mut self, command: Pending, reply: Option<Reply>, cx: &mut Context<'_>) {
        let refused = reply.as_ref().is_some_and(|reply| !is_success(reply.code));
        if let Some(farewell) = reply.as_ref().filter(|reply| reply.code == 421)
            && let Some(open) = self.open.as_mut()
        {
            open.farewell = Some(farewell.clone());
        }
        match command {
            Pending::Hello(client) => self.hello_settled(client, reply, cx),
            Pending::Mail(transaction) => self.mail_settled(transaction, reply, cx),
            Pending::Rcpt(path) => self.rcpt_settled(path, reply.filter(|_| refused), cx),
            Pending::Data => {
                if let Some(reply) = reply {
                    self.data_answered(reply, cx);
                }
            }
            Pending::Chunk(mut chunk) => {
                let reply = reply.or_else(|| chunk.early.pop_front());
                self.chunk_settled(*chunk, reply, cx);
            }
            Pending::EndOfData => {
                let recipients = self.recipients_to_answer();
                self.delivery_settled(recipients, reply, cx);
            }
            Pending::Deliveries(recipients) => self.delivery_settled(recipients, reply, cx),
            Pending::Rset if !refused => self.close_open(Closed::Reset, cx),
            Pending::Quit => self.close_open(Closed::Ended, cx),
            Pending::StartTls => {
                if reply.is_some() {
                    self.start_tls_answered(!refused, cx);
                }
            }
            Pending::Auth => {
                if let Some(reply) = reply {
                    self.auth_answered(reply.code, cx);
                }
            }
            Pending::Block => {
                if let Some(reply) = reply {
                    self.block_answered(reply.code, cx);
                }
            }
            Pending::Forwarded if refused => {
                self.xclient.clear();
                self.xforward.clear();
            }
            Pending::Rset | Pending::Forwarded | Pending::Other | Pending::Unknown => {}
        }
    }

    fn hello_settled(&mut self, mut client: Introduction, reply: Option<Reply>, cx: &mut Context<'_>) {
        match reply {
            Some(reply) if !is_success(reply.code) => {
                self.refused_ehlo |= client.kind != Hello::Helo;
                // RFC 5321, section 4.1.1.1: after a refusal the state is as before. It is what the client calls itself, all
                // the same. One that does not take LHLO does not answer for each recipient.
                if client.kind == Hello::Lhlo {
                    client.kind = Hello::Ehlo;
                }
                self.introduced.get_or_insert(client);
                return;
            }
            Some(reply) => self.extensions = extensions(&reply.text),
            None => {}
        }
        self.close_open(Closed::Reset, cx);
        self.introduced = Some(client);
    }

    fn mail_settled(&mut self, mut transaction: Box<Transaction>, reply: Option<Reply>, cx: &mut Context<'_>) {
        if let Some(reply) = reply.filter(|reply| !is_success(reply.code)) {
            // RFC 5321, section 4.1.4: MAIL within a transaction. That one goes on.
            if reply.code == 503 && self.open.as_ref().is_some_and(|open| !open.sender_refused) {
                return;
            }
            transaction.refusal = Some(reply);
            transaction.sender_refused = true;
        }
        self.close_open(Closed::Reset, cx);
        self.begin(transaction);
    }

    fn rcpt_settled(&mut self, path: String, refusal: Option<Reply>, cx: &mut Context<'_>) {
        // RFC 5321, section 4.1.4: RCPT without MAIL is answered 503, and opens nothing.
        if self.open.is_none() && refusal.as_ref().is_some_and(|reply| reply.code == 503) {
            return;
        }
        let open = self.open_or_headless(cx);
        if let Some(index) = open.add_recipient(path)
            && let Some(refusal) = refusal
        {
            open.refuse_recipient(index, refusal);
        }
    }

    fn chunk_settled(&mut self, chunk: Chunk, reply: Option<Reply>, cx: &mut Context<'_>) {
        let bound = self.message_bound;
        let open = self.open_or_headless(cx);
        match &mut open.message {
            Some(message) => Spool { message, bound }.add_piece(&chunk.piece),
            none => *none = Some(chunk.piece),
        }
        let refusal = reply.as_ref().filter(|reply| !is_success(reply.code));
        if !(chunk.last && chunk.complete) {
            if let Some(refusal) = refusal {
                open.refuse(refusal.clone());
            }
        } else {
            // A command out of sequence is answered once. Some servers hold on to the sender then, and send what follows in
            // its name; not to one that they refused.
            if refusal.is_some_and(|reply| reply.code == 503) && !open.sender_refused {
                let leftover = Box::new(open.leftover());
                self.delivery_settled(VecDeque::new(), reply, cx);
                self.begin(leftover);
            } else {
                let recipients = self.recipients_to_answer();
                self.delivery_settled(recipients, reply, cx);
            }
        }
    }

    /// RFC 2033, section 4.2: after the data there is one reply for each recipient accepted. In SMTP there is one for all.
    fn recipients_to_answer(&self) -> VecDeque<usize> {
        let open = self.open.as_ref().filter(|_| self.speaks_lmtp());
        open.map(|open| open.accepted().collect()).unwrap_or_default()
    }

    pub(super) fn speaks_lmtp(&self) -> bool {
        self.introduced.as_ref().is_some_and(|client| client.kind == Hello::Lhlo)
    }

    /// A reply to a whole message: for the first of these recipients, if any, else for all.
    fn delivery_settled(&mut self, mut recipients: VecDeque<usize>, reply: Option<Reply>, cx: &mut Context<'_>) {
        let Some(open) = self.open.as_mut() else { return };
        let Some(reply) = reply else { return self.close_open(Closed::Complete, cx) };
        if let Some(recipient) = recipients.pop_front()
            && !is_success(reply.code)
        {
            open.refuse_recipient(recipient, reply.clone());
        }
        // A refused chunk makes what follows a command out of sequence: that is why.
        let reply = if reply.code == 503 { open.refusal.clone().unwrap_or(reply) } else { reply };
        // Of several, one success is what counts.
        if open.decision.as_ref().is_none_or(|before| !is_success(before.code)) {
            open.decision = Some(reply);
        }
        if recipients.is_empty() {
            self.close_open(Closed::Complete, cx);
        } else {
            self.pending.push_front(Pending::Deliveries(recipients));
        }
    }

    // --- the open transaction -----------------------------------------------------------------------------------

    /// The transaction that the server has now.
    pub(super) fn begin(&mut self, transaction: Box<Transaction>) -> &mut Transaction {
        self.open.insert(transaction)
    }

    /// ... or one whose MAIL was lost, or came before the capture.
    pub(super) fn open_or_headless(&mut self, cx: &Context<'_>) -> &mut Transaction {
        match self.open.take() {
            Some(open) => self.open.insert(open),
            None => {
                let mut transaction = self.new_transaction(String::new(), cx);
                transaction.headless = true;
                self.begin(transaction)
            }
        }
    }

    pub(super) fn new_transaction(&mut self, mail_from: String, cx: &Context<'_>) -> Box<Transaction> {
        let mut transaction = Box::new(Transaction::new(cx.now, mail_from));
        transaction.forwarded = self.forwarded();
        self.xforward_used = true;
        transaction
    }

    /// Nothing more is added to the open transaction: it is told.
    pub(super) fn close_open(&mut self, how: Closed, cx: &mut Context<'_>) {
        if let Some(mut transaction) = self.open.take() {
            transaction.closed = Some(how);
            self.tell(*transaction, cx);
        }
    }
}
