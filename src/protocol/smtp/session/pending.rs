//! Commands that wait for their replies, with what they said: nothing is done before the server has answered.

use std::collections::VecDeque;

use super::super::transaction::Transaction;
use super::Introduction;
use crate::model::event::{Message, Reply};
use crate::model::limits;

/// A command that waits for its reply.
#[derive(Debug)]
pub(super) enum Pending {
    Hello(Introduction),
    /// MAIL, and the transaction it opens.
    Mail(Box<Transaction>),
    /// RCPT, and whom it names.
    Rcpt(String),
    Data,
    Chunk(Box<Chunk>),
    EndOfData,
    /// What is left to be said of a message: something of each of these recipients (RFC 2033, section 4.2).
    Deliveries(VecDeque<usize>),
    Rset,
    StartTls,
    Auth,
    Block,
    /// XCLIENT or XFORWARD.
    Forwarded,
    Quit,
    Other,
    /// What is no command of SMTP. It may have been a credential, and the reply may repeat it.
    Unknown,
}

/// Commands that alone have certain replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plain {
    /// 354: DATA, or XEXCH50.
    Data,
    /// 221.
    Quit,
    /// 220.
    StartTls,
}

/// BDAT with its chunk (RFC 3030).
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub piece: Message,
    /// None came right before it: the bound of a message begins anew.
    pub first: bool,
    pub last: bool,
    /// All of it was read.
    pub complete: bool,
    /// What the server said before all of it was read: of LMTP's replies there may be several.
    pub early: VecDeque<Reply>,
}

/// Commands in the order they were said.
#[derive(Debug, Default)]
pub(super) struct Queue {
    commands: VecDeque<Pending>,
    /// Bytes of names and addresses, and of chunks.
    text: usize,
    pieces: usize,
    /// First chunks among the commands: messages that wait to be decided, each within the bound of one.
    messages: usize,
    /// How many there are of each kind that [`Plain`] tells: servers may say 220 any number of times.
    plain: [usize; 3],
}

impl Queue {
    pub fn push(&mut self, command: Pending) {
        self.count(&command, true);
        self.commands.push_back(command);
    }

    pub fn push_front(&mut self, command: Pending) {
        self.count(&command, true);
        self.commands.push_front(command);
    }

    pub fn pop(&mut self) -> Option<Pending> {
        let command = self.commands.pop_front()?;
        self.count(&command, false);
        Some(command)
    }

    pub fn front(&self) -> Option<&Pending> {
        self.commands.front()
    }

    /// The chunk that is being read, if one is: nothing is said behind it.
    pub fn open_chunk(&mut self) -> Option<&mut Chunk> {
        match self.commands.back_mut() {
            Some(Pending::Chunk(chunk)) if !chunk.complete => Some(chunk),
            _ => None,
        }
    }

    /// That chunk was read.
    pub fn complete_chunk(&mut self) {
        if let Some(chunk) = self.open_chunk() {
            chunk.complete = true;
            self.pieces += self.commands.back().map_or(0, Pending::piece);
        }
    }

    /// How many commands are before the first of that kind.
    pub fn position(&self, of: Plain) -> Option<usize> {
        if self.plain[of as usize] == 0 {
            return None;
        }
        self.commands.iter().position(|command| command.plain() == Some(of))
    }

    pub fn len(&self) -> usize {
        self.commands.len()
    }

    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Before more is queued, the oldest must go.
    pub fn is_full(&self) -> bool {
        self.commands.len() >= limits::SMTP_PIPELINE
            || self.text >= limits::SMTP_PIPELINE_TEXT
            || self.messages >= limits::SMTP_TRANSACTIONS
    }

    pub fn held_bytes(&self) -> usize {
        let under_way = match self.commands.back() {
            Some(Pending::Chunk(chunk)) if !chunk.complete => chunk.held_bytes(),
            _ => 0,
        };
        self.commands.capacity() * size_of::<Pending>() + self.text + self.pieces + under_way
    }

    fn count(&mut self, command: &Pending, comes: bool) {
        let first = usize::from(matches!(command, Pending::Chunk(chunk) if chunk.first));
        if let Some(plain) = command.plain() {
            let of_kind = &mut self.plain[plain as usize];
            *of_kind = if comes { *of_kind + 1 } else { *of_kind - 1 };
        }
        if comes {
            self.text += command.text();
            self.pieces += command.piece();
            self.messages += first;
        } else {
            self.text -= command.text();
            self.pieces -= command.piece();
            self.messages -= first;
        }
    }
}

impl Chunk {
    /// Bytes it holds while it is read.
    fn held_bytes(&self) -> usize {
        let replies = self.early.iter().map(|reply| reply.text.capacity()).sum::<usize>();
        self.piece.bytes.capacity() + self.early.capacity() * size_of::<Reply>() + replies
    }
}

impl Pending {
    /// Bytes it holds, but for those of chunks.
    fn text(&self) -> usize {
        match self {
            Self::Hello(client) => client.name.capacity(),
            Self::Mail(transaction) => transaction.held_bytes(),
            Self::Rcpt(path) => path.capacity(),
            Self::Deliveries(recipients) => recipients.capacity() * size_of::<usize>(),
            Self::Chunk(_) => size_of::<Chunk>(),
            _ => 0,
        }
    }

    fn plain(&self) -> Option<Plain> {
        match self {
            Self::Data | Self::Block => Some(Plain::Data),
            Self::Quit => Some(Plain::Quit),
            Self::StartTls => Some(Plain::StartTls),
            _ => None,
        }
    }

    /// Bytes of a chunk that was read.
    fn piece(&self) -> usize {
        match self {
            Self::Chunk(chunk) if chunk.complete => chunk.piece.bytes.capacity(),
            _ => 0,
        }
    }
}
