//! One mail transaction while it is under way (RFC 5321, section 3.3).

use super::command::Declared;
use crate::model::event::{Envelope, Message, Outcome, Rejected, Reply};
use crate::model::limits;
use crate::model::time::Timestamp;

/// A transaction from MAIL to its decision.
#[derive(Debug)]
pub struct Transaction {
    pub started: Timestamp,
    pub mail_from: String,
    recipients: Vec<Recipient>,
    /// Bytes of the recipients' addresses and refusals.
    recipients_text: usize,
    recipients_dropped: u32,
    pub message: Option<Message>,
    pub declared: Declared,
    /// What a relay said of the client before it.
    pub forwarded: Vec<(String, String)>,
    /// Set when it is told.
    pub closed: Option<Closed>,
    /// Its beginning was not seen.
    pub headless: bool,
    /// What the server may have kept of one whose last chunk was out of sequence, and that was told.
    pub leftover: bool,
    /// A refusal of the sender, or of the data before or while it was sent.
    pub refusal: Option<Reply>,
    /// It was the sender that was refused: nothing was opened.
    pub sender_refused: bool,
    /// The reply to the end of the data.
    pub decision: Option<Reply>,
    /// What the server said as it closed the channel on its own account (421).
    pub farewell: Option<Reply>,
    /// The server, heard alone, asked for the message: its next reply decides.
    pub in_data: bool,
}

#[derive(Debug)]
struct Recipient {
    address: String,
    refusal: Option<Reply>,
}

/// Why nothing more is added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// All of the message was sent.
    Complete,
    /// RSET, a new HELO or EHLO, or another MAIL.
    Reset,
    /// QUIT, or the connection's end.
    Ended,
}

impl Transaction {
    pub fn new(started: Timestamp, mail_from: String) -> Self {
        Self {
            started,
            mail_from,
            recipients: Vec::new(),
            recipients_text: 0,
            recipients_dropped: 0,
            message: None,
            declared: Declared::default(),
            forwarded: Vec::new(),
            closed: None,
            headless: false,
            leftover: false,
            refusal: None,
            sender_refused: false,
            decision: None,
            farewell: None,
            in_data: false,
        }
    }

    /// Adds a recipient; gives its index, or none past the bound.
    pub fn add_recipient(&mut self, address: String) -> Option<usize> {
        if self.recipients.len() >= limits::SMTP_RECIPIENTS {
            self.recipients_dropped += 1;
            return None;
        }
        self.recipients_text += address.capacity();
        self.recipients.push(Recipient { address, refusal: None });
        Some(self.recipients.len() - 1)
    }

    /// The server refused the recipient at `index`.
    pub fn refuse_recipient(&mut self, index: usize, reply: Reply) {
        if let Some(recipient) = self.recipients.get_mut(index) {
            self.recipients_text += reply.text.capacity();
            let before = recipient.refusal.replace(reply);
            self.recipients_text -= before.map_or(0, |before| before.text.capacity());
        }
    }

    /// The server refused it as such. What follows on a refused sender is refused for its sake.
    pub fn refuse(&mut self, reply: Reply) {
        if !(self.sender_refused && self.refusal.is_some()) {
            self.refusal = Some(reply);
        }
    }

    /// Indices of the recipients not refused so far, in order.
    pub fn accepted(&self) -> impl Iterator<Item = usize> + '_ {
        self.recipients.iter().enumerate().filter(|(_, r)| r.refusal.is_none()).map(|(index, _)| index)
    }

    /// The same sender, of whom nothing else is known.
    pub fn leftover(&self) -> Self {
        Self {
            declared: self.declared,
            forwarded: self.forwarded.clone(),
            headless: self.headless,
            leftover: true,
            ..Self::new(self.started, self.mail_from.clone())
        }
    }

    /// Begins its message anew.
    pub fn start_message(&mut self) {
        let declared = usize::try_from(self.declared.size.unwrap_or(0)).unwrap_or(usize::MAX);
        let bytes = Vec::with_capacity(declared.min(limits::MESSAGE_SIZE_HINT));
        self.message = Some(Message { bytes, ..Message::default() });
    }

    /// Bytes it holds, its message among them.
    pub fn held_bytes(&self) -> usize {
        let replies = [&self.refusal, &self.decision, &self.farewell];
        let forwarded = self.forwarded.iter().map(|(name, value)| name.capacity() + value.capacity());
        size_of::<Self>()
            + self.mail_from.capacity()
            + self.recipients.capacity() * size_of::<Recipient>()
            + self.recipients_text
            + replies.into_iter().flatten().map(|reply| reply.text.capacity()).sum::<usize>()
            + forwarded.sum::<usize>()
            + self.message.as_ref().map_or(0, |message| message.bytes.capacity())
    }

    /// Whether there is anything worth telling.
    pub fn is_empty(&self) -> bool {
        // RFC 5321, section 4.1.4: RCPT without MAIL is answered 503, and opens nothing.
        let nobody = self.recipients.iter().all(|r| r.refusal.as_ref().is_some_and(|reply| reply.code == 503));
        (self.headless || self.leftover) && nobody && self.message.is_none() && !self.in_data
    }

    pub fn outcome(&self) -> Outcome {
        let all_refused = !self.recipients.is_empty() && self.accepted().next().is_none();
        match (self.closed, &self.decision) {
            (Some(Closed::Complete), Some(reply)) if is_success(reply.code) => Outcome::Accepted,
            (Some(Closed::Complete), Some(_)) => Outcome::Rejected,
            (_, _) if self.refusal.is_some() || all_refused => Outcome::Rejected,
            (Some(Closed::Complete), None) => Outcome::Unknown,
            (Some(Closed::Reset), _) => Outcome::Reset,
            (Some(Closed::Ended) | None, _) => Outcome::Aborted,
        }
    }

    /// The reply that decided it: a refusal of the sender, else the one to the end of data, else another refusal.
    pub fn deciding_reply(&self) -> Option<Reply> {
        let taken = self.decision.as_ref().is_some_and(|reply| is_success(reply.code));
        if self.sender_refused && self.refusal.is_some() && !taken {
            return self.refusal.clone();
        }
        let last_refused = || self.recipients.iter().rev().find_map(|r| r.refusal.clone());
        self.decision.clone().or_else(|| self.refusal.clone()).or_else(last_refused).or_else(|| self.farewell.clone())
    }

    /// Takes the envelope out.
    pub fn envelope(&mut self) -> Envelope {
        let mut envelope = Envelope {
            mail_from: std::mem::take(&mut self.mail_from),
            mail_from_unseen: self.headless,
            size_declared: self.declared.size,
            body: self.declared.body,
            utf8: self.declared.utf8,
            rcpt_dropped: self.recipients_dropped,
            ..Envelope::default()
        };
        for Recipient { address, refusal } in self.recipients.drain(..) {
            match refusal {
                None => envelope.rcpt_to.push(address),
                Some(reply) => envelope.rcpt_rejected.push(Rejected { address, reply }),
            }
        }
        envelope
    }
}

/// 2yz: the command was done (RFC 5321, section 4.2.1).
pub fn is_success(code: u16) -> bool {
    (200..300).contains(&code)
}
