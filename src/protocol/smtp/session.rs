//! The SMTP session: which reply belongs to which command, and what both mean.
//!
//! The client may be ahead of the server (pipelining, RFC 2920), so each command waits in a queue for its reply.
//! Three commands decide how the bytes after them are to be read, and only the reply tells: DATA, STARTTLS and
//! AUTH. Bytes that come before that reply are held. Where the server's side is not in the capture, the client's
//! word is taken.

use std::collections::VecDeque;

use super::command::{self, Command, Hello};
use super::data::{DataReader, Spool};
use super::reply::{LineBuffer, ReplyReader};
use super::transaction::{Closed, Transaction, is_success};
use crate::model::event::{Anomaly, Auth, Dialect, Layer, Reply, SmtpEvent};
use crate::model::limits;
use crate::model::net::Side;
use crate::model::stats::SmtpStats;
use crate::model::time::Timestamp;

/// What a session says.
#[derive(Debug)]
pub enum Said {
    Event(Box<SmtpEvent>),
    /// The server greeted.
    Greeting(Reply),
    Anomaly(Anomaly),
}

/// What a session needs from its surroundings at each step.
#[derive(Debug)]
pub struct Context<'a> {
    /// Time of the packet at hand.
    pub now: Timestamp,
    /// Counters of the sensor; `held_bytes` is its account of message bytes.
    pub stats: &'a mut SmtpStats,
    /// Where to say things.
    pub out: &'a mut Vec<Said>,
}

/// Whether the conversation is SMTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not enough was said.
    Undecided,
    Smtp,
    /// Another protocol: there is nothing to follow.
    Other,
}

/// One SMTP session, both directions.
#[derive(Debug)]
pub struct Session {
    /// On a port where SMTP is expected.
    expected: bool,
    /// Bytes of one message that are kept.
    message_bound: usize,
    standing: Standing,
    started: Timestamp,
    mode: Mode,
    lines: LineBuffer,
    replies: ReplyReader,
    /// Commands whose replies are to come, in order.
    pending: VecDeque<Pending>,
    awaiting_greeting: bool,
    greeting: Option<Reply>,
    last_reply: Option<Reply>,
    /// False while we may be inside a message whose beginning was not seen: lines are then believed to be commands
    /// only where they can be nothing else.
    synced: bool,
    /// Replies were lost: which of the pending commands were answered is not known.
    replies_lost: bool,
    introduced: Option<Introduction>,
    tls: bool,
    auth: Option<Auth>,
    dialect: Dialect,
    /// Oldest first; the last one is open when its `closed` is none.
    transactions: VecDeque<Transaction>,
    next_id: u32,
    /// Commands the client said, and events raised.
    commands: u64,
    events: u64,
    anomalies: usize,
    unseen: [bool; 2],
}

/// How the client's next bytes are to be read.
#[derive(Debug)]
enum Mode {
    Command,
    /// The message after DATA.
    Data(DataReader, DataLoss),
    /// A chunk of BDAT.
    Chunk {
        remaining: u64,
        last: bool,
    },
    /// The reply to the question decides; bytes meanwhile.
    Undecided(Question, Vec<u8>, DataLoss),
    /// A credential, up to the next line end.
    Secret,
    /// TLS, or another protocol.
    Opaque,
}

/// Who the client says it is.
#[derive(Debug)]
struct Introduction {
    kind: Hello,
    name: String,
}

/// Whether bytes were lost since the mode began.
type DataLoss = bool;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    Data,
    StartTls,
    Auth,
}

/// A command that waits for its reply.
#[derive(Debug)]
enum Pending {
    /// A hello; the transaction it resets if accepted, and who the client said it was before.
    Hello {
        resets: Option<u32>,
        before: Option<Introduction>,
    },
    /// The transaction it opens, and the one it resets if accepted.
    Mail {
        opens: u32,
        resets: Option<u32>,
    },
    Rcpt {
        transaction: u32,
        index: usize,
    },
    Data {
        transaction: Option<u32>,
    },
    Chunk {
        transaction: u32,
        last: bool,
    },
    /// The end of data; for LMTP, of one recipient.
    EndOfData {
        transaction: u32,
        recipient: Option<usize>,
    },
    StartTls,
    Auth,
    Other,
}

impl Session {
    /// A session whose flow began at `started`. `expected`: on a mail port; `midstream`: its opening was not seen.
    pub fn new(started: Timestamp, expected: bool, midstream: bool, message_bound: usize) -> Self {
        Self {
            expected,
            message_bound,
            standing: Standing::Undecided,
            started,
            mode: Mode::Command,
            lines: LineBuffer::default(),
            replies: ReplyReader::default(),
            pending: VecDeque::new(),
            awaiting_greeting: !midstream,
            greeting: None,
            last_reply: None,
            synced: !midstream,
            replies_lost: false,
            introduced: None,
            tls: false,
            auth: None,
            dialect: Dialect::default(),
            transactions: VecDeque::new(),
            next_id: 0,
            commands: 0,
            events: 0,
            anomalies: 0,
            unseen: [true; 2],
        }
    }

    /// Whether this is SMTP, as far as can be told.
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    /// Whether TLS hides the rest.
    pub const fn is_tls(&self) -> bool {
        self.tls
    }

    /// What the client said next. `server_unseen`: no packet of the server was captured so far.
    pub fn client(&mut self, bytes: &[u8], server_unseen: bool, cx: &mut Context<'_>) {
        self.unseen = [false, server_unseen];
        self.client_bytes(bytes, cx);
        self.tell_decided(cx);
    }

    /// What the server said next.
    pub fn server(&mut self, bytes: &[u8], client_unseen: bool, cx: &mut Context<'_>) {
        self.unseen = [client_unseen, false];
        let mut rest = bytes;
        while !rest.is_empty() && !matches!(self.mode, Mode::Opaque) {
            let (left, reply) = self.replies.push(rest);
            rest = left;
            if let Some(reply) = reply {
                self.reply(reply, cx);
            }
        }
        self.tell_decided(cx);
    }

    /// Bytes of one side were lost.
    pub fn gap(&mut self, side: Side, lost: u64, cx: &mut Context<'_>) {
        if matches!(self.mode, Mode::Opaque) {
            return;
        }
        match side {
            Side::Client => self.client_gap(lost, cx),
            Side::Server => {
                self.replies.lose();
                self.replies_lost = true;
                self.awaiting_greeting = false;
            }
        }
    }

    /// The connection is over: tells all that is still open.
    pub fn close(&mut self, cx: &mut Context<'_>) {
        if matches!(self.mode, Mode::Undecided(..)) {
            self.decide_without_reply(cx);
        }
        if let Some(open) = self.open() {
            open.closed = Some(Closed::Ended);
            if let Some(message) = open.message.as_mut() {
                message.truncated = true;
            }
        }
        while let Some(transaction) = self.transactions.pop_front() {
            self.tell(transaction, cx);
        }
        let refused = self.greeting.as_ref().is_some_and(|greeting| !is_success(greeting.code));
        if self.standing == Standing::Smtp && self.events == 0 && (self.commands > 0 || refused) {
            self.tell_session(cx);
        }
    }

    // --- the client's side --------------------------------------------------------------------------------------

    fn client_bytes(&mut self, bytes: &[u8], cx: &mut Context<'_>) {
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
    fn stands(&mut self, cx: &mut Context<'_>) {
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
                self.expect(Pending::Other);
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
    fn data_done(&mut self, cx: &mut Context<'_>) {
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

    fn client_gap(&mut self, lost: u64, cx: &mut Context<'_>) {
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

    fn message_gap(&mut self) {
        if let Some(message) = self.open().map(|open| open.message.get_or_insert_default()) {
            message.gaps += 1;
            message.truncated = true;
        }
    }

    // --- the server's side --------------------------------------------------------------------------------------

    fn reply(&mut self, reply: Reply, cx: &mut Context<'_>) {
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
                if let Some(transaction) = self.answered(transaction) {
                    if last {
                        transaction.decision = Some(reply);
                    } else if !success {
                        transaction.refusal = Some(reply);
                    }
                }
            }
            Pending::EndOfData { transaction, recipient } => {
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
        } else if !success {
            self.transactions[at].refusal = Some(reply);
        }
    }

    /// A command that resets the open transaction was accepted, or refused and the transaction goes on.
    fn settle_reset(&mut self, resets: Option<u32>, accepted: bool) {
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

    // --- questions ----------------------------------------------------------------------------------------------

    /// The reply to the command just read decides how to go on; without the server, the client's word is taken.
    fn ask(&mut self, question: Question, cx: &mut Context<'_>) {
        if !self.unseen[1] {
            self.mode = Mode::Undecided(question, Vec::new(), false);
        } else if question == Question::Data {
            let transaction = self.open().map(|open| open.id);
            self.begin_data(transaction, false, cx);
        }
    }

    /// The reply will not come: what the client went on to say decides.
    fn decide_without_reply(&mut self, cx: &mut Context<'_>) {
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

    fn begin_data(&mut self, transaction: Option<u32>, loss: DataLoss, cx: &mut Context<'_>) {
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

    // --- TLS ----------------------------------------------------------------------------------------------------

    fn switch_to_tls(&mut self, cx: &mut Context<'_>) {
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
    fn unannounced_tls(&mut self, cx: &mut Context<'_>) {
        if self.expected || self.standing == Standing::Smtp {
            self.stands(cx);
            self.switch_to_tls(cx);
        } else {
            self.standing = Standing::Other;
            self.mode = Mode::Opaque;
        }
    }

    // --- transactions and their replies -------------------------------------------------------------------------

    fn begin(&mut self, mail_from: String, headless: bool, cx: &mut Context<'_>) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        let mut transaction = Transaction::new(id, cx.now, mail_from);
        transaction.headless = headless;
        self.transactions.push_back(transaction);
        id
    }

    /// The transaction the client is adding to.
    fn open(&mut self) -> Option<&mut Transaction> {
        self.transactions.back_mut().filter(|transaction| transaction.closed.is_none())
    }

    /// Closes the open transaction, which then waits for `awaiting` more replies; gives its id.
    fn close_open(&mut self, how: Closed, awaiting: u32) -> Option<u32> {
        let open = self.open()?;
        open.closed = Some(how);
        open.awaiting += awaiting;
        Some(open.id)
    }

    fn expect(&mut self, pending: Pending) {
        if self.unseen[1] {
            // No reply will be seen: nothing waits for one.
            if let Pending::Hello { resets, .. } | Pending::Mail { resets, .. } = pending {
                self.settle_reset(resets, true);
            }
            return;
        }
        if self.pending.len() >= limits::SMTP_PIPELINE
            && let Some(oldest) = self.pending.pop_front()
        {
            self.unanswered(&oldest);
        }
        self.pending.push_back(pending);
    }

    fn expect_for(&mut self, transaction: u32, pending: Pending) {
        if !self.unseen[1]
            && let Some(transaction) = self.transactions.iter_mut().find(|t| t.id == transaction)
        {
            transaction.awaiting += 1;
        }
        self.expect(pending);
    }

    /// The transaction a reply belongs to, which now waits for one less.
    fn answered(&mut self, id: u32) -> Option<&mut Transaction> {
        let transaction = self.transactions.iter_mut().find(|transaction| transaction.id == id)?;
        transaction.awaiting = transaction.awaiting.saturating_sub(1);
        Some(transaction)
    }

    /// A reply that will not come: its command is taken to have done what it asked.
    fn unanswered(&mut self, pending: &Pending) {
        match *pending {
            Pending::Hello { resets, .. } => self.settle_reset(resets, true),
            Pending::Mail { opens, resets } => {
                self.settle_reset(resets, true);
                self.answered(opens);
            }
            Pending::Rcpt { transaction, .. }
            | Pending::Chunk { transaction, .. }
            | Pending::EndOfData { transaction, .. } => {
                self.answered(transaction);
            }
            Pending::Data { .. } | Pending::StartTls | Pending::Auth | Pending::Other => {}
        }
    }

    fn forget_pending(&mut self) {
        self.replies_lost = false;
        while let Some(pending) = self.pending.pop_front() {
            self.unanswered(&pending);
        }
    }

    // --- what is said -------------------------------------------------------------------------------------------

    /// Tells the transactions that are decided, in the order they began.
    fn tell_decided(&mut self, cx: &mut Context<'_>) {
        while let Some(first) = self.transactions.front()
            && first.closed.is_some()
            && first.awaiting == 0
            && let Some(transaction) = self.transactions.pop_front()
        {
            self.tell(transaction, cx);
        }
    }

    fn tell(&mut self, mut transaction: Transaction, cx: &mut Context<'_>) {
        let held = transaction.message.as_ref().map_or(0, |message| message.bytes.len() as u64);
        cx.stats.held_bytes = cx.stats.held_bytes.saturating_sub(held);
        if transaction.is_empty() || self.standing == Standing::Other {
            return;
        }
        cx.stats.transactions += 1;
        let event = SmtpEvent {
            tx_id: transaction.id,
            started: transaction.started,
            outcome: transaction.outcome(),
            reply: transaction.deciding_reply(),
            message: transaction.message.take(),
            envelope: Some(transaction.envelope()),
            ..self.event()
        };
        self.events += 1;
        cx.out.push(Said::Event(Box::new(event)));
    }

    fn tell_session(&mut self, cx: &mut Context<'_>) {
        self.events += 1;
        let event =
            SmtpEvent { tx_id: self.next_id, started: self.started, reply: self.last_reply.clone(), ..self.event() };
        cx.out.push(Said::Event(Box::new(event)));
    }

    fn event(&self) -> SmtpEvent {
        SmtpEvent {
            helo: self.introduced.as_ref().map(|client| client.name.clone()),
            extended: self.introduced.as_ref().is_some_and(|client| client.kind != Hello::Helo),
            tls: self.tls,
            auth: self.auth.clone(),
            dialect: self.dialect,
            unseen: self.unseen,
            ..SmtpEvent::default()
        }
    }

    fn anomaly(&mut self, name: &'static str, side: Side, cx: &mut Context<'_>) {
        self.anomalies += 1;
        if self.anomalies <= limits::ANOMALIES {
            let anomaly = Anomaly { name, layer: Layer::Smtp, side: Some(side), detail: String::new() };
            cx.out.push(Said::Anomaly(anomaly));
        }
    }
}

/// A TLS handshake record (RFC 8446, section 5.1) begins so; no SMTP command does.
fn looks_like_tls(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0x16) && bytes.get(1).is_none_or(|&major| major == 3)
}

/// Some clients try HTTP on every port.
fn is_http(line: &[u8]) -> bool {
    const METHODS: [&[u8]; 6] = [b"GET ", b"POST ", b"HEAD ", b"PUT ", b"CONNECT ", b"OPTIONS "];
    METHODS.iter().any(|method| line.starts_with(method))
}

/// At most so much is set aside for a message on the word of its SIZE parameter.
const SIZE_HINT: usize = 256 << 10;

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
