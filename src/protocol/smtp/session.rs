//! The SMTP session: which reply belongs to which command, and what both mean.
//!
//! The client may be ahead of the server (pipelining, RFC 2920), so each command waits in a queue for its reply.
//! Three commands decide how the bytes after them are to be read, and only the reply tells: DATA, STARTTLS and
//! AUTH. Bytes that come before that reply are held. Where the server's side is not in the capture, the client's
//! word is taken.

use std::collections::VecDeque;
use std::sync::Arc;

use super::command::{Declared, Hello};
use super::data::DataReader;
use super::held::Held;
use super::reply::{LineBuffer, ReplyReader};
use super::transaction::{Closed, Transaction, is_success};
use crate::model::event::{Anomaly, Auth, Dialect, Layer, Reply, SmtpEvent};
use crate::model::limits;
use crate::model::net::Side;
use crate::model::stats::SmtpStats;
use crate::model::time::Timestamp;
use crate::protocol::tls::Handshake;
use pending::Pending;
use question::Question;

mod alone;
mod client;
mod pending;
mod question;
mod server;
#[cfg(test)]
mod tests;
mod tls;

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
    /// Counters of the sensor. What a session holds it says itself ([`Session::held_bytes`]).
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
    /// Bytes of the names kept in case a pending hello is refused; too many since the queue was last empty.
    names_pending: usize,
    awaiting_greeting: bool,
    greeting: Option<Reply>,
    last_reply: Option<Reply>,
    /// Replies heard so far.
    replies_heard: u64,
    /// False while we may be inside a message whose beginning was not seen: lines are then believed to be commands
    /// only where they can be nothing else.
    synced: bool,
    /// Replies were lost: which of the pending commands were answered is not known.
    replies_lost: bool,
    introduced: Option<Introduction>,
    /// The server refused a hello other than HELO.
    refused_ehlo: bool,
    /// What it offered when it took one.
    extensions: Arc<[String]>,
    /// What a relay said of the client before it: for the session, and for the next transaction.
    xclient: Vec<(String, String)>,
    xforward: Vec<(String, String)>,
    /// A transaction has begun since the last XFORWARD.
    xforward_used: bool,
    tls: bool,
    tls_since: Timestamp,
    auth: Option<Auth>,
    /// AUTH was said, or answered.
    auth_seen: bool,
    /// Bytes of either side were lost.
    bytes_lost: bool,
    dialect: Dialect,
    /// Oldest first; the last one is open when its `closed` is none.
    transactions: VecDeque<Transaction>,
    /// The sender, with what it declared, of a transaction that failed without an end to it: some servers hold on to it, refuse the next MAIL
    /// with 503, and send what follows in its name.
    sender_in_force: Option<(String, Declared)>,
    next_id: u32,
    /// Commands the client said, and events raised.
    commands: u64,
    events: u64,
    /// Names of the anomalies told: each once a session.
    anomalies: Vec<&'static str>,
    unseen: [bool; 2],
    /// What stood behind an odd end of data, up to the real one, when it looks like commands: a server that took that
    /// end will answer them.
    smuggled: Option<Held>,
    /// That a message is being read was not said by the server.
    guessed: bool,
    /// Whether anything said since [`Session::unveil`] may be a credential.
    veiled: bool,
}

/// How the client's next bytes are to be read.
#[derive(Debug)]
enum Mode {
    /// The client's first bytes may be those of a PROXY header.
    Preamble(Vec<u8>),
    Command,
    /// The message after DATA.
    Data(DataReader, DataLoss),
    /// A chunk of BDAT.
    Chunk {
        remaining: u64,
        last: bool,
    },
    /// The reply to the question decides; bytes meanwhile.
    Undecided(Question, Held),
    /// A credential, up to the next line end.
    Secret,
    /// The handshake of TLS.
    Tls(Box<Handshake>),
    /// What follows XEXCH50: no lines.
    Block(u64),
    /// TLS after its handshake, or another protocol.
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

impl Session {
    /// A session whose flow began at `started`. `expected`: on a mail port; `midstream`: its opening was not seen.
    pub fn new(started: Timestamp, expected: bool, midstream: bool, message_bound: usize) -> Self {
        Self {
            expected,
            message_bound,
            standing: Standing::Undecided,
            started,
            mode: if midstream { Mode::Command } else { Mode::Preamble(Vec::new()) },
            lines: LineBuffer::default(),
            replies: ReplyReader::default(),
            pending: VecDeque::new(),
            names_pending: 0,
            awaiting_greeting: !midstream,
            greeting: None,
            last_reply: None,
            replies_heard: 0,
            synced: !midstream,
            replies_lost: false,
            introduced: None,
            refused_ehlo: false,
            extensions: Arc::default(),
            xclient: Vec::new(),
            xforward: Vec::new(),
            xforward_used: false,
            tls: false,
            tls_since: Timestamp::default(),
            auth: None,
            auth_seen: false,
            bytes_lost: false,
            dialect: Dialect::default(),
            transactions: VecDeque::new(),
            next_id: 0,
            commands: 0,
            events: 0,
            sender_in_force: None,
            anomalies: Vec::new(),
            unseen: [true; 2],
            smuggled: None,
            guessed: false,
            veiled: false,
        }
    }

    /// Whether all that was said since the last call is known to be no credential: commands understood, messages whose
    /// beginning was seen, replies to these. What is not understood may be one.
    pub fn unveil(&mut self) -> bool {
        let doubtful = self.standing != Standing::Smtp || self.lines.holds_part() || self.replies.holds_part();
        !(std::mem::take(&mut self.veiled) || doubtful)
    }

    /// Whether this is SMTP, as far as can be told.
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    /// Whether all was told that can be: TLS hides the rest, or it is another protocol.
    pub const fn is_over(&self) -> bool {
        matches!(self.mode, Mode::Opaque)
    }

    /// Bytes it holds: itself, what is under way, and unfinished messages. Takes some 20 to 100 ns.
    pub fn held_bytes(&self) -> usize {
        let mode = match &self.mode {
            Mode::Preamble(held) => held.capacity(),
            Mode::Undecided(_, held) => held.held_bytes(),
            Mode::Data(reader, _) => reader.held_bytes(),
            Mode::Tls(handshake) => handshake.held_bytes(),
            Mode::Command | Mode::Chunk { .. } | Mode::Secret | Mode::Block(_) | Mode::Opaque => 0,
        };
        let replies = [&self.greeting, &self.last_reply].into_iter().flatten();
        let forwarded =
            self.xclient.iter().chain(&self.xforward).map(|(name, value)| name.capacity() + value.capacity());
        size_of::<Self>()
            + mode
            + self.lines.held_bytes()
            + self.replies.held_bytes()
            + self.pending.capacity() * size_of::<Pending>()
            + if self.pending.is_empty() { 0 } else { self.names_pending }
            + self.introduced.as_ref().map_or(0, |client| client.name.capacity())
            + self.extensions.iter().map(|one| size_of::<String>() + one.capacity()).sum::<usize>()
            + replies.map(|reply| reply.text.capacity()).sum::<usize>()
            + forwarded.sum::<usize>()
            + self.smuggled.as_ref().map_or(0, Held::held_bytes)
            + self.transactions.iter().map(Transaction::held_bytes).sum::<usize>()
    }

    /// What the client said next. `server_unseen`: no packet of the server was captured so far.
    pub fn client(&mut self, bytes: &[u8], server_unseen: bool, cx: &mut Context<'_>) {
        if self.unseen[0] {
            self.client_appears(cx);
        }
        self.unseen = [false, server_unseen];
        self.client_bytes(bytes, cx);
        self.watch_handshake(cx);
    }

    /// What the server said next. `client_unseen`: no packet of the client was captured so far.
    pub fn server(&mut self, bytes: &[u8], client_unseen: bool, cx: &mut Context<'_>) {
        self.unseen = [client_unseen, false];
        self.server_bytes(bytes, cx);
        self.watch_handshake(cx);
    }

    /// Bytes of one side were lost.
    pub fn gap(&mut self, side: Side, lost: u64, cx: &mut Context<'_>) {
        if let Mode::Tls(handshake) = &mut self.mode {
            handshake.gap(side);
            self.watch_handshake(cx);
            return;
        }
        self.bytes_lost = true;
        match (&self.mode, side) {
            (Mode::Opaque, _) => {}
            (_, Side::Client) => {
                cx.stats.resynchronised += 1;
                self.client_hole(lost, cx);
            }
            (_, Side::Server) => {
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
        self.tell_tls(cx);
        if let Mode::Data(reader, _) = &mut self.mode {
            let reader = std::mem::take(reader);
            self.message_read(&reader, cx);
        }
        if let Some(open) = self.open() {
            open.closed = Some(Closed::Ended);
        }
        while let Some(transaction) = self.transactions.pop_front() {
            self.tell(transaction, cx);
        }
        let refused = self.greeting.as_ref().is_some_and(|greeting| !is_success(greeting.code));
        let alone = self.unseen[0] && self.replies_heard > 1;
        if self.standing == Standing::Smtp && self.events == 0 && (self.commands > 0 || refused || alone) {
            self.events += 1;
            cx.out.push(Said::Event(Box::new(self.session_event())));
        }
    }

    /// This is SMTP: no doubt is left.
    fn stands(&mut self, cx: &mut Context<'_>) {
        if self.standing != Standing::Undecided {
            return;
        }
        self.standing = Standing::Smtp;
        cx.stats.sessions += 1;
        self.tell_greeting(cx);
    }

    /// Tells the greeting, once it is known to be one of SMTP.
    fn tell_greeting(&self, cx: &mut Context<'_>) {
        if let Some(greeting) = self.greeting.as_ref().filter(|greeting| is_success(greeting.code)) {
            cx.out.push(Said::Greeting(greeting.clone()));
        }
    }

    /// This is another protocol: nothing more is said of it.
    fn is_other(&mut self) {
        self.standing = Standing::Other;
        self.mode = Mode::Opaque;
    }

    // --- transactions and their replies -------------------------------------------------------------------------

    fn begin(&mut self, mail_from: String, headless: bool, cx: &mut Context<'_>) -> u32 {
        if self.transactions.len() >= limits::SMTP_TRANSACTIONS
            && let Some(oldest) = self.transactions.pop_front()
        {
            self.tell(oldest, cx);
        }
        let id = self.next_id;
        self.next_id += 1;
        self.smuggled = None;
        let mut transaction = Transaction::new(id, cx.now, mail_from);
        transaction.headless = headless;
        transaction.forwarded = self.forwarded();
        self.xforward_used = true;
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
            Pending::Data { .. }
            | Pending::Rset
            | Pending::StartTls
            | Pending::Auth
            | Pending::Block
            | Pending::Forwarded
            | Pending::Quit
            | Pending::Other
            | Pending::Unknown => {}
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
        if transaction.is_empty() || self.standing == Standing::Other {
            return;
        }
        cx.stats.transactions += 1;
        if let Some(message) = transaction.message.as_mut() {
            message.truncated |= transaction.closed != Some(Closed::Complete);
        }
        let event = SmtpEvent {
            tx_id: transaction.id,
            started: transaction.started,
            outcome: transaction.outcome(),
            reply: transaction.deciding_reply(),
            message: transaction.message.take(),
            forwarded: std::mem::take(&mut transaction.forwarded),
            envelope: Some(transaction.envelope()),
            ..self.event()
        };
        self.events += 1;
        cx.out.push(Said::Event(Box::new(event)));
    }

    /// The session itself, for one in which no transaction began.
    fn session_event(&self) -> SmtpEvent {
        SmtpEvent { tx_id: self.next_id, started: self.started, reply: self.last_reply.clone(), ..self.event() }
    }

    fn event(&self) -> SmtpEvent {
        SmtpEvent {
            helo: self.introduced.as_ref().map(|client| client.name.clone()),
            extended: self.introduced.as_ref().is_some_and(|client| client.kind != Hello::Helo),
            helo_fallback: self.refused_ehlo
                && self.introduced.as_ref().is_some_and(|client| client.kind == Hello::Helo),
            extensions: Arc::clone(&self.extensions),
            tls: self.tls,
            auth: self.auth.clone(),
            forwarded: self.forwarded(),
            dialect: self.dialect,
            unseen: self.unseen,
            ..SmtpEvent::default()
        }
    }

    /// What a relay said of the client before it; what it said of the mail at hand comes first.
    fn forwarded(&self) -> Vec<(String, String)> {
        let of_session = self.xclient.iter().filter(|(name, _)| self.xforward.iter().all(|(other, _)| other != name));
        self.xforward.iter().chain(of_session).take(limits::SMTP_FORWARDED).cloned().collect()
    }

    /// Tells an anomaly, once a session.
    fn anomaly(&mut self, name: &'static str, side: Side, detail: String, cx: &mut Context<'_>) {
        if !self.anomalies.contains(&name) && self.anomalies.len() < limits::ANOMALIES {
            self.anomalies.push(name);
            cx.out.push(Said::Anomaly(Anomaly { name, layer: Layer::Smtp, side: Some(side), detail }));
        }
    }
}
