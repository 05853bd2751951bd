//! The SMTP session: which reply belongs to which command, and what both mean.
//!
//! The client may be ahead of the server (pipelining, RFC 2920), so each command waits in a queue for its reply, and is
//! applied with it.
//! Three commands decide how the bytes after them are to be read, and only the reply tells: DATA, STARTTLS and
//! AUTH. Bytes that come before that reply are held. Where the server's side is not in the capture, the client's
//! word is taken.

use std::sync::Arc;

use super::command::Hello;
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
use pending::{Pending, Queue};
use question::Question;

mod alone;
mod client;
mod pending;
mod question;
mod server;
mod settle;
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
    /// Commands whose replies are to come.
    pending: Queue,
    /// Replies still to come before those: to commands that had to leave the queue.
    overdue: usize,
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
    /// Bytes of either side were lost, and of the client.
    bytes_lost: bool,
    client_lost: bool,
    dialect: Dialect,
    /// The transaction that the server has, as far as it has answered.
    open: Option<Box<Transaction>>,
    /// Transactions told.
    next_id: u32,
    /// MAIL was said.
    mail_said: bool,
    /// Bytes kept of the message under way in chunks, if one is.
    chunked: Option<usize>,
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
    },
    /// The reply to the question decides; bytes meanwhile.
    Undecided(Question, Held),
    /// A credential, up to the next line end.
    Secret,
    /// The rest of a line that is passed over.
    Passed,
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
            pending: Queue::default(),
            overdue: 0,
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
            client_lost: false,
            dialect: Dialect::default(),
            open: None,
            next_id: 0,
            mail_said: false,
            chunked: None,
            commands: 0,
            events: 0,
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
            Mode::Command | Mode::Chunk { .. } | Mode::Secret | Mode::Passed | Mode::Block(_) | Mode::Opaque => 0,
        };
        let replies = [&self.greeting, &self.last_reply].into_iter().flatten();
        let forwarded =
            self.xclient.iter().chain(&self.xforward).map(|(name, value)| name.capacity() + value.capacity());
        size_of::<Self>()
            + mode
            + self.lines.held_bytes()
            + self.replies.held_bytes()
            + self.pending.held_bytes()
            + self.introduced.as_ref().map_or(0, |client| client.name.capacity())
            + self.extensions.iter().map(|one| size_of::<String>() + one.capacity()).sum::<usize>()
            + replies.map(|reply| reply.text.capacity()).sum::<usize>()
            + forwarded.sum::<usize>()
            + self.smuggled.as_ref().map_or(0, Held::held_bytes)
            + self.open.as_ref().map_or(0, |open| open.held_bytes())
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
                self.client_lost = true;
                self.client_hole(lost, cx);
            }
            (_, Side::Server) => {
                self.replies.lose();
                self.replies_lost = true;
                self.overdue = 0;
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
        self.forget_pending(cx);
        self.close_open(Closed::Ended, cx);
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

    // --- what is said -------------------------------------------------------------------------------------------

    fn tell(&mut self, mut transaction: Transaction, cx: &mut Context<'_>) {
        if transaction.is_empty() || self.standing == Standing::Other {
            return;
        }
        cx.stats.transactions += 1;
        if let Some(message) = transaction.message.as_mut() {
            let complete = transaction.closed == Some(Closed::Complete);
            message.truncated |= !complete;
            if complete {
                cx.stats.messages += 1;
                cx.stats.message_bytes += message.size;
                cx.stats.truncated += u64::from(message.truncated);
            }
        }
        let event = SmtpEvent {
            tx_id: self.next_id,
            started: transaction.started,
            outcome: transaction.outcome(),
            reply: transaction.deciding_reply(),
            message: transaction.message.take(),
            forwarded: std::mem::take(&mut transaction.forwarded),
            envelope: Some(transaction.envelope()),
            ..self.event()
        };
        self.next_id += 1;
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
