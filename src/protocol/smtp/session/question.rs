//! Commands after which only the reply tells how to read on: DATA, STARTTLS, AUTH, XEXCH50.

use super::super::command::{self, Command};
use super::super::data::DataReader;
use super::{Context, Mode, Session};
use crate::model::event::Dialect;
use crate::model::limits;
use crate::model::net::Side;
use crate::protocol::tls::opens_tls;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    Data,
    StartTls,
    Auth,
    /// XEXCH50, of so many bytes.
    Block(u64),
}

/// What the client said since its question, with the holes in it: once the question is decided it is read as if it came
/// only then.
#[derive(Debug, Default)]
pub(super) struct Held {
    bytes: Vec<u8>,
    /// Where bytes were lost, and how many.
    holes: Vec<(usize, u64)>,
}

impl Held {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn lose(&mut self, lost: u64) {
        match self.holes.last_mut() {
            Some((at, before)) if *at == self.bytes.len() => *before += lost,
            _ => self.holes.push((self.bytes.len(), lost)),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.holes.is_empty()
    }

    /// No more is held while the reply is awaited.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() > limits::SMTP_UNDECIDED || self.holes.len() > limits::SMTP_UNDECIDED_HOLES
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.bytes.capacity() + self.holes.capacity() * size_of::<(usize, u64)>()
    }

    /// Whether it is enough to do without the reply: a line, or the TLS that was asked for, which is no line.
    pub(super) fn can_decide(&self, question: Question) -> bool {
        let tls = question == Question::StartTls && self.bytes.len() >= 3 && opens_tls(&self.bytes);
        tls || self.bytes.len() > limits::SMTP_COMMAND_LINE || self.bytes.contains(&b'\n')
    }

    /// What came before anything was lost.
    fn before_holes(&self) -> &[u8] {
        let end = self.holes.first().map_or(self.bytes.len(), |(at, _)| *at);
        self.bytes.get(..end).unwrap_or_default()
    }

    /// Its first line, or what there is of it, as a command.
    fn first_command(&self) -> Command {
        let line = self.before_holes().split(|&b| b == b'\n').next().unwrap_or_default();
        command::parse(line.trim_ascii_end(), &mut Dialect::default())
    }

    /// Forgets the first line.
    fn skip_line(&mut self) {
        let skipped = memchr::memchr(b'\n', &self.bytes).map_or(self.bytes.len(), |end| end + 1);
        self.bytes.drain(..skipped);
        self.holes.retain_mut(|(at, _)| match at.checked_sub(skipped) {
            Some(later) => {
                *at = later;
                true
            }
            None => false,
        });
    }
}

impl Session {
    /// The reply to the command just read decides how to go on; without the server, the client's word is taken.
    pub(super) fn ask(&mut self, question: Question, cx: &mut Context<'_>) {
        // What follows XEXCH50 is told from commands by what it is.
        if !self.unseen[1] || matches!(question, Question::Block(_)) {
            self.mode = Mode::Undecided(question, Held::default());
        } else if question == Question::Data {
            let transaction = self.open().map(|open| open.id);
            self.begin_data(transaction, cx);
            self.guessed = true;
        }
    }

    /// Reads what was held, in the mode that was decided on.
    pub(super) fn read_held(&mut self, held: Held, cx: &mut Context<'_>) {
        let mut from = 0;
        for (at, lost) in held.holes {
            self.client_bytes(held.bytes.get(from..at).unwrap_or_default(), cx);
            self.client_hole(lost, cx);
            from = at;
        }
        self.client_bytes(held.bytes.get(from..).unwrap_or_default(), cx);
    }

    /// What was held is a handshake.
    pub(super) fn held_is_tls(&mut self, held: &Held, cx: &mut Context<'_>) {
        self.switch_to_tls(held.before_holes(), cx);
        if !held.holes.is_empty()
            && let Mode::Tls(handshake) = &mut self.mode
        {
            handshake.gap(Side::Client);
        }
    }

    /// The reply will not come: what the client went on to say decides.
    pub(super) fn decide_without_reply(&mut self, cx: &mut Context<'_>) {
        let Mode::Undecided(question, mut held) = std::mem::replace(&mut self.mode, Mode::Command) else { return };
        self.forget_pending();
        let no_command = !held.bytes.is_empty() && held.first_command() == Command::Unknown;
        match question {
            Question::Data if no_command => {
                let transaction = self.open().map(|open| open.id);
                self.begin_data(transaction, cx);
                self.guessed = true;
            }
            Question::Block(size) if no_command => self.mode = Mode::Block(size),
            Question::StartTls if opens_tls(&held.bytes) => return self.held_is_tls(&held, cx),
            Question::Auth if no_command => held.skip_line(),
            _ => {}
        }
        self.read_held(held, cx);
    }

    pub(super) fn begin_data(&mut self, transaction: Option<u32>, cx: &mut Context<'_>) {
        let open = self.open().map(|open| open.id);
        if open.is_none() || (transaction.is_some() && open != transaction) {
            self.begin(String::new(), true, cx);
        }
        if let Some(open) = self.open() {
            open.start_message();
            open.refusal = None;
        }
        self.synced = true;
        self.guessed = false;
        self.mode = Mode::Data(DataReader::default(), false);
    }
}
