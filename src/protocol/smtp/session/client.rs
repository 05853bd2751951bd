//! What the client says: commands, messages, credentials, and bytes that were lost.

use super::super::command::{self, Command, Hello};
use super::super::data::Spool;
use super::super::transaction::Closed;
use super::{Context, Introduction, Mode, Pending, Question, Session, Standing, looks_like_tls};
use crate::model::event::{Auth, Dialect};
use crate::model::limits;
use crate::model::net::Side;

impl Session {
    pub(super) fn client_bytes(&mut self, bytes: &[u8], cx: &mut Context<'_>) {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match &mut self.mode {
                Mode::Command => self.command_bytes(rest, cx),
                Mode::Data(..) => self.data_bytes(rest, cx),
                Mode::Chunk { .. } => self.chunk_bytes(rest, cx),
                Mode::Undecided(_, held, _) => {
                    held.extend_from_slice(rest);
                    if self.replies_lost || held.len() > limits::SMTP_UNDECIDED {
                        self.decide_without_reply(cx);
                    }
                    &[]
                }
                Mode::Secret => self.secret_bytes(rest),
                Mode::Opaque => &[],
            };
        }
    }

    fn command_bytes<'a>(&mut self, bytes: &'a [u8], cx: &mut Context<'_>) -> &'a [u8] {
        if self.lines.is_empty() && looks_like_tls(bytes) {
            self.unannounced_tls(cx);
            return &[];
        }
        let mut lines = std::mem::take(&mut self.lines);
        let (rest, line) = lines.push(bytes, limits::SMTP_COMMAND_LINE);
        if let Some(line) = line {
            if line.too_long {
                self.anomaly("smtp-line-too-long", Side::Client, cx);
            }
            let mut dialect = self.dialect;
            let command = command::parse(line.text, &mut dialect);
            if line.bare_lf && command != Command::Unknown {
                dialect.add(Dialect::BARE_LF);
            }
            if self.believes(&command, line.text, cx) {
                self.dialect = dialect;
                self.command(command, cx);
            }
        }
        self.lines = lines;
        rest
    }

    /// Decides what a line tells of the protocol, and whether to take it for a command.
    fn believes(&mut self, command: &Command, line: &[u8], cx: &mut Context<'_>) -> bool {
        let opener = matches!(command, Command::Hello { .. } | Command::Mail { .. } | Command::Rcpt { .. });
        if opener {
            self.synced = true;
            self.stands(cx);
            return true;
        }
        let undecided = self.standing == Standing::Undecided;
        if (undecided && !self.expected) || (self.commands == 0 && is_http(line)) {
            self.standing = Standing::Other;
            self.mode = Mode::Opaque;
            return false;
        }
        // Within a message whose beginning was not seen, single words in capitals are still commands; the server
        // is the judge of DATA.
        self.synced
            || (matches!(command, Command::Bdat { .. }) && line.starts_with(b"BDAT "))
            || (matches!(command, Command::Quit | Command::Rset) && line.iter().all(u8::is_ascii_uppercase))
            || (*command == Command::Data && self.unseen[1])
    }

    /// This is SMTP: no doubt is left.
    pub(super) fn stands(&mut self, cx: &mut Context<'_>) {
        cx.stats.sessions += u64::from(self.standing == Standing::Undecided);
        self.standing = Standing::Smtp;
    }

    fn command(&mut self, command: Command, cx: &mut Context<'_>) {
        self.commands += 1;
        if self.replies_lost {
            self.forget_pending();
        }
        let server_seen = !self.unseen[1];
        if self.awaiting_greeting && server_seen && self.synced {
            self.dialect.add(Dialect::EARLY_TALKER);
        } else if !self.pending.is_empty() && server_seen {
            self.dialect.add(Dialect::PIPELINED);
        }
        match command {
            Command::Hello { kind, name } => {
                let before = self.introduced.replace(Introduction { kind, name });
                let resets = self.close_open(Closed::Reset, 1);
                self.expect(Pending::Hello { resets, before });
            }
            Command::Mail { path, size } => self.mail(path, size, cx),
            Command::Rcpt { path } => self.rcpt(path, cx),
            Command::Data => {
                let transaction = self.open().map(|open| open.id);
                self.expect(Pending::Data { transaction });
                self.ask(Question::Data, cx);
            }
            Command::Bdat { size, last } => self.bdat(size, last, cx),
            Command::Rset => {
                if self.next_id == 0 {
                    self.dialect.add(Dialect::RSET_FIRST);
                }
                self.close_open(Closed::Reset, 0);
                self.expect(Pending::Rset);
            }
            Command::Quit => {
                self.close_open(Closed::Ended, 0);
                self.expect(Pending::Other);
            }
            Command::Auth { mechanism } => {
                self.auth = Some(Auth { mechanism, accepted: None });
                self.expect(Pending::Auth);
                self.ask(Question::Auth, cx);
            }
            Command::StartTls => {
                self.expect(Pending::StartTls);
                self.ask(Question::StartTls, cx);
            }
            Command::Other | Command::Unknown => self.expect(Pending::Other),
        }
    }

    fn mail(&mut self, path: String, size: Option<u64>, cx: &mut Context<'_>) {
        // A MAIL within a transaction is refused by most servers (503); then the open one goes on.
        let refused = self.open().is_some_and(|open| open.refusal.is_some());
        let resets = self.close_open(Closed::Reset, u32::from(!refused)).filter(|_| !refused);
        let opens = self.begin(path, false, cx);
        if let Some(open) = self.open() {
            open.size_hint = usize::try_from(size.unwrap_or(0)).unwrap_or(usize::MAX).min(SIZE_HINT);
        }
        self.expect_for(opens, Pending::Mail { opens, resets });
    }

    fn rcpt(&mut self, path: String, cx: &mut Context<'_>) {
        if self.open().is_none() && (self.unseen[1] || self.pending.is_empty()) {
            // Its MAIL was lost or came before the capture; a refusal will undo this.
            self.begin(String::new(), true, cx);
        }
        let Some(open) = self.open() else {
            self.expect(Pending::Other);
            return;
        };
        let transaction = open.id;
        match open.add_recipient(path) {
            Some(index) => self.expect_for(transaction, Pending::Rcpt { transaction, index }),
            None => self.expect(Pending::Other),
        }
    }

    fn bdat(&mut self, size: u64, last: bool, cx: &mut Context<'_>) {
        self.dialect.add(Dialect::BDAT);
        let transaction = match self.open() {
            Some(open) => open.id,
            None => self.begin(String::new(), true, cx),
        };
        self.expect_for(transaction, Pending::Chunk { transaction, last });
        if let Some(open) = self.open().filter(|open| open.message.is_none()) {
            open.start_message();
        }
        // RFC 3030, section 2: the octets follow at once, whatever the server will say.
        self.mode = Mode::Chunk { remaining: size, last };
        if size == 0 {
            self.chunk_done(last, cx);
        }
    }

    fn data_bytes<'a>(&mut self, bytes: &'a [u8], cx: &mut Context<'_>) -> &'a [u8] {
        let bound = self.message_bound;
        let Mode::Data(reader, _) = &mut self.mode else { return &[] };
        let Some(open) = self.transactions.back_mut() else {
            self.mode = Mode::Command;
            return bytes;
        };
        let message = open.message.get_or_insert_default();
        let rest = reader.push(bytes, &mut Spool { message, bound, held: &mut cx.stats.held_bytes });
        match rest {
            None => &[],
            Some(rest) => {
                let noted = reader.candidate.is_some();
                if reader.bare_lf {
                    self.dialect.add(Dialect::BARE_LF);
                }
                if noted {
                    self.anomaly("smtp-nonstandard-end-of-data", Side::Client, cx);
                }
                self.data_done(cx);
                rest
            }
        }
    }

    fn chunk_bytes<'a>(&mut self, bytes: &'a [u8], cx: &mut Context<'_>) -> &'a [u8] {
        let bound = self.message_bound;
        let Mode::Chunk { remaining, last } = &mut self.mode else { return &[] };
        let take = usize::try_from(*remaining).unwrap_or(usize::MAX).min(bytes.len());
        let (chunk, rest) = bytes.split_at(take);
        *remaining -= chunk.len() as u64;
        let (done, last) = (*remaining == 0, *last);
        if let Some(open) = self.transactions.back_mut().filter(|t| t.closed.is_none()) {
            let message = open.message.get_or_insert_default();
            Spool { message, bound, held: &mut cx.stats.held_bytes }.add(chunk);
        }
        if done {
            self.chunk_done(last, cx);
        }
        rest
    }

    fn chunk_done(&mut self, last: bool, cx: &mut Context<'_>) {
        self.mode = Mode::Command;
        if last {
            self.message_done(cx);
            self.close_open(Closed::Complete, 0);
        }
    }

    /// The whole message after DATA was sent: what decides it is the next reply, or one that came early.
    pub(super) fn data_done(&mut self, cx: &mut Context<'_>) {
        self.mode = Mode::Command;
        self.message_done(cx);
        let lmtp = self.introduced.as_ref().is_some_and(|client| client.kind == Hello::Lhlo);
        let Some(open) = self.open() else { return };
        let transaction = open.id;
        open.closed = Some(Closed::Complete);
        if let Some(early) = open.refusal.clone() {
            open.decision = Some(early);
            return;
        }
        // RFC 2033, section 4.2: one reply for each recipient accepted.
        let recipients: Vec<Option<usize>> = if lmtp { open.accepted().map(Some).collect() } else { vec![None] };
        for recipient in recipients {
            self.expect_for(transaction, Pending::EndOfData { transaction, recipient });
        }
    }

    fn message_done(&mut self, cx: &mut Context<'_>) {
        cx.stats.messages += 1;
        if let Some(message) = self.open().and_then(|open| open.message.as_ref()) {
            cx.stats.message_bytes += message.size;
            cx.stats.truncated += u64::from(message.truncated);
        }
    }

    fn secret_bytes<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        match memchr::memchr(b'\n', bytes) {
            Some(end) => {
                self.mode = Mode::Undecided(Question::Auth, Vec::new(), false);
                &bytes[end + 1..]
            }
            None => &[],
        }
    }

    pub(super) fn client_gap(&mut self, lost: u64, cx: &mut Context<'_>) {
        cx.stats.resynchronised += 1;
        match &mut self.mode {
            Mode::Command => {
                self.lines.lose();
                self.synced = false;
            }
            Mode::Data(reader, loss) => {
                reader.lose();
                *loss = true;
                self.message_gap();
            }
            Mode::Chunk { remaining, .. } if lost < *remaining => {
                *remaining -= lost;
                self.message_gap();
            }
            Mode::Chunk { last, .. } => {
                let last = *last;
                self.message_gap();
                self.chunk_done(last, cx);
                self.lines.lose();
                self.synced = false;
            }
            Mode::Undecided(_, _, loss) => *loss = true,
            Mode::Secret => self.mode = Mode::Undecided(Question::Auth, Vec::new(), true),
            Mode::Opaque => {}
        }
    }

    pub(super) fn message_gap(&mut self) {
        if let Some(message) = self.open().map(|open| open.message.get_or_insert_default()) {
            message.gaps += 1;
            message.truncated = true;
        }
    }
}

/// Some clients try HTTP on every port.
fn is_http(line: &[u8]) -> bool {
    const METHODS: [&[u8]; 6] = [b"GET ", b"POST ", b"HEAD ", b"PUT ", b"CONNECT ", b"OPTIONS "];
    METHODS.iter().any(|method| line.starts_with(method))
}

/// At most so much is set aside for a message on the word of its SIZE parameter.
const SIZE_HINT: usize = 256 << 10;
