//! Commands after which only the reply tells how to read on: DATA, STARTTLS, AUTH, XEXCH50.

use super::super::command::Command;
use super::super::data::DataReader;
use super::super::held::{Held, first_command};
use super::{Context, Mode, Session};
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

impl Question {
    /// Whether what was said since is enough to do without the reply: a line, or the TLS that was asked for, which is no
    /// line.
    pub(super) fn can_be_decided(self, bytes: &[u8]) -> bool {
        let tls = self == Self::StartTls && bytes.len() >= 3 && opens_tls(bytes);
        tls || bytes.len() > limits::SMTP_COMMAND_LINE || bytes.contains(&b'\n')
    }
}

impl Session {
    /// The reply to the command just read decides how to go on; without the server, the client's word is taken.
    pub(super) fn ask(&mut self, question: Question, cx: &mut Context<'_>) {
        // What follows XEXCH50 is told from commands by what it is.
        if !self.unseen[1] || matches!(question, Question::Block(_)) {
            self.mode = Mode::Undecided(question, Held::default());
        } else if question == Question::Data {
            self.begin_data(cx);
            self.guessed = true;
        }
    }

    /// Reads what was held, in the mode that was decided on.
    pub(super) fn read_held(&mut self, held: &Held, cx: &mut Context<'_>) {
        for (piece, lost) in held.pieces() {
            self.client_bytes(piece, cx);
            if let Some(lost) = lost {
                self.client_hole(lost, cx);
            }
        }
    }

    /// What was held is a handshake.
    pub(super) fn held_is_tls(&mut self, held: &Held, cx: &mut Context<'_>) {
        self.switch_to_tls(held.before_holes(), cx);
        if held.has_holes()
            && let Mode::Tls(handshake) = &mut self.mode
        {
            handshake.gap(Side::Client);
        }
    }

    /// The reply will not come: what the client went on to say decides.
    pub(super) fn decide_without_reply(&mut self, cx: &mut Context<'_>) {
        let Mode::Undecided(question, mut held) = std::mem::replace(&mut self.mode, Mode::Command) else { return };
        if question == Question::StartTls && opens_tls(held.bytes()) {
            self.forget_pending(cx);
            return self.held_is_tls(&held, cx);
        }
        let no_command = !held.bytes().is_empty() && held.first_command() == Command::Unknown;
        if self.decide(question, no_command, cx) && !held.skip_line() {
            self.mode = Mode::Passed;
        }
        self.read_held(&held, cx);
    }

    /// The same where nothing was held before `bytes`: none of them is copied, and a client that asks again and again
    /// within them is read in one loop. Gives what is to be read on.
    pub(super) fn decide_at_once<'a>(&mut self, question: Question, bytes: &'a [u8], cx: &mut Context<'_>) -> &'a [u8] {
        self.mode = Mode::Command;
        if question == Question::StartTls && opens_tls(bytes) {
            self.forget_pending(cx);
            self.switch_to_tls(bytes, cx);
            return &[];
        }
        if self.decide(question, first_command(bytes) == Command::Unknown, cx) {
            self.mode = Mode::Passed;
        }
        bytes
    }

    /// `no_command`: what follows does not begin with one. Gives whether its first line is to be passed over.
    fn decide(&mut self, question: Question, no_command: bool, cx: &mut Context<'_>) -> bool {
        self.forget_pending(cx);
        match question {
            Question::Data if no_command => {
                self.begin_data(cx);
                self.guessed = true;
            }
            Question::Block(size) if no_command => self.mode = Mode::Block(size),
            _ => {}
        }
        question == Question::Auth && no_command
    }

    pub(super) fn begin_data(&mut self, cx: &Context<'_>) {
        let open = self.open_or_headless(cx);
        open.start_message();
        open.refusal = None;
        self.synced = true;
        self.guessed = false;
        self.mode = Mode::Data(DataReader::default(), false);
    }
}
