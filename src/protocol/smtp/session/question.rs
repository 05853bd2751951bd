//! Commands after which only the reply tells how to read on: DATA, STARTTLS, AUTH; and the switch to TLS.

use super::super::command::{self, Command};
use super::super::data::DataReader;
use super::super::transaction::Closed;
use super::{Context, DataLoss, Mode, Question, Session, Standing, looks_like_tls};
use crate::model::event::Dialect;

impl Session {
    /// The reply to the command just read decides how to go on; without the server, the client's word is taken.
    pub(super) fn ask(&mut self, question: Question, cx: &mut Context<'_>) {
        if !self.unseen[1] {
            self.mode = Mode::Undecided(question, Vec::new(), false);
        } else if question == Question::Data {
            let transaction = self.open().map(|open| open.id);
            self.begin_data(transaction, false, cx);
        }
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
            }
            Question::StartTls if looks_like_tls(&held) => return self.switch_to_tls(cx),
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
            let before = open.start_message();
            open.refusal = None;
            cx.stats.held_bytes = cx.stats.held_bytes.saturating_sub(before);
        }
        self.synced = true;
        let mut reader = DataReader::default();
        if loss {
            reader.lose();
        }
        self.mode = Mode::Data(reader, loss);
        if loss {
            self.message_gap();
        }
    }

    pub(super) fn switch_to_tls(&mut self, cx: &mut Context<'_>) {
        self.close_open(Closed::Ended, 0);
        while let Some(transaction) = self.transactions.pop_front() {
            self.tell(transaction, cx);
        }
        self.tls = true;
        self.mode = Mode::Opaque;
        cx.stats.tls_sessions += 1;
        self.tell_session(cx);
    }

    /// TLS from the first byte (RFC 8314, section 3.3), or after a STARTTLS whose reply we do not have.
    pub(super) fn unannounced_tls(&mut self, cx: &mut Context<'_>) {
        if self.expected || self.standing == Standing::Smtp {
            self.stands(cx);
            self.switch_to_tls(cx);
        } else {
            self.standing = Standing::Other;
            self.mode = Mode::Opaque;
        }
    }
}
