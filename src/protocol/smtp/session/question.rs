//! Commands after which only the reply tells how to read on: DATA, STARTTLS, AUTH, XEXCH50.

use super::super::command::{self, Command};
use super::super::data::DataReader;
use super::{Context, DataLoss, Mode, Question, Session};
use crate::model::event::Dialect;
use crate::model::limits;
use crate::protocol::tls::opens_tls;

impl Session {
    /// The reply to the command just read decides how to go on; without the server, the client's word is taken.
    pub(super) fn ask(&mut self, question: Question, cx: &mut Context<'_>) {
        // What follows XEXCH50 is told from commands by what it is.
        if !self.unseen[1] || matches!(question, Question::Block(_)) {
            self.mode = Mode::Undecided(question, Vec::new(), false);
        } else if question == Question::Data {
            let transaction = self.open().map(|open| open.id);
            self.begin_data(transaction, false, cx);
            self.guessed = true;
        }
    }

    /// Whether bytes held while a reply was awaited are enough to do without it: a line, or the TLS that was asked for,
    /// which is no line.
    pub(super) fn can_decide(question: Question, held: &[u8]) -> bool {
        let tls = question == Question::StartTls && held.len() >= 3 && opens_tls(held);
        tls || held.len() > limits::SMTP_COMMAND_LINE || held.contains(&b'\n')
    }

    /// The reply will not come: what the client went on to say decides.
    pub(super) fn decide_without_reply(&mut self, cx: &mut Context<'_>) {
        let Mode::Undecided(question, held, loss) = std::mem::replace(&mut self.mode, Mode::Command) else { return };
        self.forget_pending();
        let goes_on = command::parse(
            held.split(|&b| b == b'\n').next().unwrap_or_default().trim_ascii_end(),
            &mut Dialect::default(),
        );
        match question {
            Question::Data if goes_on == Command::Unknown && !held.is_empty() => {
                let transaction = self.open().map(|open| open.id);
                self.begin_data(transaction, loss, cx);
                self.guessed = true;
            }
            Question::Block(size) if goes_on == Command::Unknown && !held.is_empty() => self.mode = Mode::Block(size),
            Question::StartTls if opens_tls(&held) => return self.switch_to_tls(&held, cx),
            Question::Auth if goes_on == Command::Unknown && !held.is_empty() => {
                let rest = memchr::memchr(b'\n', &held).map_or(&[][..], |end| &held[end + 1..]);
                return self.client_bytes(rest, cx);
            }
            _ => {}
        }
        self.client_bytes(&held, cx);
    }

    pub(super) fn begin_data(&mut self, transaction: Option<u32>, loss: DataLoss, cx: &mut Context<'_>) {
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
        let mut reader = DataReader::default();
        if loss {
            reader.lose();
        }
        self.mode = Mode::Data(reader, loss);
        if loss {
            self.message_gap();
        }
    }
}
