//! What the client says: commands, messages, credentials, and bytes that were lost.

use super::super::command::{self, Command, Declared, Forwarded};
use super::super::data::{DataReader, Spool};
use super::super::held::Held;
use super::super::proxy::{self, Preamble};
use super::super::reply::Line;
use super::super::transaction::Closed;
use super::pending::Chunk;
use super::{Context, Introduction, Mode, Pending, Question, Session, Standing};
use crate::model::event::{Auth, Dialect, Message};
use crate::model::limits;
use crate::model::net::Side;

impl Session {
    pub(super) fn client_bytes(&mut self, bytes: &[u8], cx: &mut Context<'_>) {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match &mut self.mode {
                Mode::Preamble(_) => return self.first_bytes(rest, cx),
                Mode::Command => self.command_bytes(rest, cx),
                Mode::Data(..) => self.data_bytes(rest, cx),
                Mode::Chunk { .. } => self.chunk_bytes(rest, cx),
                Mode::Undecided(question, held) => {
                    self.veiled = true;
                    let (question, alone) = (*question, self.replies_lost || self.unseen[1]);
                    let enough = |held: &[u8]| alone && question.can_be_decided(held);
                    if held.is_empty() && (enough(rest) || rest.len() > limits::SMTP_UNDECIDED) {
                        self.decide_at_once(question, rest, cx)
                    } else {
                        held.push(rest);
                        if enough(held.bytes()) || held.is_full() {
                            self.decide_without_reply(cx);
                        }
                        &[]
                    }
                }
                Mode::Secret => self.skip_line(rest, Mode::Undecided(Question::Auth, Held::default())),
                Mode::Passed => self.skip_line(rest, Mode::Command),
                Mode::Tls(handshake) => {
                    handshake.push(Side::Client, rest);
                    &[]
                }
                Mode::Block(remaining) => {
                    self.veiled = true;
                    let take = usize::try_from(*remaining).unwrap_or(usize::MAX).min(rest.len());
                    *remaining -= take as u64;
                    if *remaining == 0 {
                        self.mode = Mode::Command;
                    }
                    rest.get(take..).unwrap_or_default()
                }
                Mode::Opaque => &[],
            };
        }
    }

    /// A load balancer may say who the client is before the client says anything.
    fn first_bytes(&mut self, bytes: &[u8], cx: &mut Context<'_>) {
        let Mode::Preamble(held) = &mut self.mode else { return };
        held.extend_from_slice(bytes);
        let header = match proxy::preamble(held) {
            Preamble::Undecided => return,
            Preamble::Header(length) => length,
            Preamble::None => 0,
        };
        if let Mode::Preamble(held) = std::mem::replace(&mut self.mode, Mode::Command) {
            self.client_bytes(held.get(header..).unwrap_or_default(), cx);
        }
    }

    /// The server answers what may have become a header: to it, that was a line.
    pub(super) fn end_preamble(&mut self, cx: &mut Context<'_>) {
        if let Mode::Preamble(held) = &mut self.mode
            && !held.is_empty()
        {
            let held = std::mem::take(held);
            self.mode = Mode::Command;
            self.client_bytes(&held, cx);
        }
    }

    fn command_bytes<'a>(&mut self, bytes: &'a [u8], cx: &mut Context<'_>) -> &'a [u8] {
        if self.lines.opens_tls(bytes) {
            let held = self.lines.take();
            self.unannounced_tls(&held, cx);
            return bytes;
        }
        let mut lines = std::mem::take(&mut self.lines);
        let (rest, line) = lines.push(bytes, limits::SMTP_COMMAND_LINE);
        if let Some(line) = line {
            self.command_line(&line, cx);
        }
        self.lines = lines;
        rest
    }

    fn command_line(&mut self, line: &Line<'_>, cx: &mut Context<'_>) {
        let mut dialect = self.dialect;
        let text = if self.bytes_lost { command::from_auth(line.text) } else { line.text };
        let command = command::parse(text, &mut dialect);
        // Believed or not: what answers it may repeat a credential.
        self.auth_seen |= matches!(command, Command::Auth { .. });
        if line.bare_lf && command != Command::Unknown {
            dialect.add(Dialect::BARE_LF);
        }
        let understood = self.believes(&command, text, cx);
        self.veiled |= !(understood && !line.too_long && is_free_of_secrets(&command, text));
        if !understood {
            return;
        }
        self.dialect = dialect;
        if self.standing == Standing::Smtp {
            if line.too_long {
                self.anomaly("smtp-line-too-long", Side::Client, String::new(), cx);
            }
            if memchr::memchr(0, line.text).is_some() {
                self.anomaly("smtp-nul", Side::Client, "in a command".into(), cx);
            }
            if memchr::memchr(b'\r', line.text).is_some() {
                self.anomaly("smtp-bare-cr", Side::Client, "in a command".into(), cx);
            }
        }
        self.command(command, cx);
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
        let first = self.commands == 0 && self.synced;
        if (undecided && !self.expected) || (first && command::is_foreign(line)) {
            self.is_other();
            return false;
        }
        // Within a message whose beginning was not seen, single words in capitals are still commands; the server
        // is the judge of DATA.
        self.synced
            || (matches!(command, Command::Bdat { .. }) && line.starts_with(b"BDAT "))
            || (matches!(command, Command::Quit | Command::Rset) && line.iter().all(u8::is_ascii_uppercase))
            || (*command == Command::Data && self.unseen[1])
    }

    fn command(&mut self, command: Command, cx: &mut Context<'_>) {
        self.commands += 1;
        if self.replies_lost {
            self.forget_pending(cx);
        }
        let server_seen = !self.unseen[1];
        if self.awaiting_greeting && server_seen && self.synced {
            self.dialect.add(Dialect::EARLY_TALKER);
        } else if !self.pending.is_empty() && server_seen {
            self.dialect.add(Dialect::PIPELINED);
        }
        if !matches!(command, Command::Bdat { .. }) {
            self.chunked = None;
        }
        match command {
            Command::Hello { kind, name } => self.expect(Pending::Hello(Introduction { kind, name }), cx),
            Command::Mail { path, declared } => self.mail(path, declared, cx),
            Command::Rcpt { path } => self.expect(Pending::Rcpt(path), cx),
            Command::Data => {
                self.expect(Pending::Data, cx);
                self.ask(Question::Data, cx);
            }
            Command::Bdat { size, last } => self.bdat(size, last, cx),
            Command::Rset => {
                if !self.mail_said {
                    self.dialect.add(Dialect::RSET_FIRST);
                }
                if self.pending.is_empty() {
                    // RFC 5321, section 4.1.1.5: it cannot be refused.
                    self.close_open(Closed::Reset, cx);
                }
                self.expect(Pending::Rset, cx);
            }
            Command::Quit => {
                if self.pending.is_empty() {
                    // Whatever the server says to it, the client has given up.
                    self.close_open(Closed::Ended, cx);
                }
                self.expect(Pending::Quit, cx);
            }
            Command::Auth { mechanism } => {
                // RFC 4954, section 4: who has authenticated cannot again, and does not lose it by trying.
                if self.auth.as_ref().is_none_or(|auth| auth.accepted != Some(true)) {
                    self.auth = Some(Auth { mechanism, accepted: None });
                }
                self.expect(Pending::Auth, cx);
                self.ask(Question::Auth, cx);
            }
            Command::StartTls => {
                self.expect(Pending::StartTls, cx);
                self.ask(Question::StartTls, cx);
            }
            Command::Block { size } => {
                self.expect(Pending::Block, cx);
                self.ask(Question::Block(size), cx);
            }
            Command::Forwarded { kind, attributes } => {
                self.forward(kind, attributes);
                self.expect(Pending::Forwarded, cx);
            }
            Command::Other => self.expect(Pending::Other, cx),
            Command::Unknown => self.expect(Pending::Unknown, cx),
        }
    }

    /// Relays say it in several lines; a later word on the same matter counts.
    fn forward(&mut self, kind: Forwarded, attributes: Vec<(String, String)>) {
        let kept = match kind {
            Forwarded::Xclient => &mut self.xclient,
            Forwarded::Xforward => {
                if std::mem::take(&mut self.xforward_used) {
                    self.xforward.clear();
                }
                &mut self.xforward
            }
        };
        for (name, value) in attributes {
            kept.retain(|(other, _)| *other != name);
            // There are fewer names than the bound, so this stays within it.
            kept.push((name, value));
        }
    }

    fn mail(&mut self, path: String, declared: Declared, cx: &mut Context<'_>) {
        self.mail_said = true;
        self.smuggled = None;
        let mut transaction = self.new_transaction(path, cx);
        transaction.declared = declared;
        self.expect(Pending::Mail(transaction), cx);
    }

    fn bdat(&mut self, size: u64, last: bool, cx: &mut Context<'_>) {
        self.dialect.add(Dialect::BDAT);
        // RFC 3030, section 2: the octets follow at once, whatever the server will say.
        self.mode = Mode::Chunk { remaining: size };
        let room = usize::try_from(size).unwrap_or(usize::MAX).min(limits::MESSAGE_SIZE_HINT);
        let piece = Message { bytes: Vec::with_capacity(room), ..Message::default() };
        let first = self.chunked.is_none();
        let chunk = Pending::Chunk(Box::new(Chunk { piece, first, last, ..Chunk::default() }));
        if self.unseen[1] {
            // It waits for its own end, not for a reply.
            self.pending.push(chunk);
        } else {
            self.expect(chunk, cx);
        }
        if size == 0 {
            self.chunk_done(cx);
        }
    }

    fn data_bytes<'a>(&mut self, bytes: &'a [u8], cx: &mut Context<'_>) -> &'a [u8] {
        let bound = self.message_bound;
        let Mode::Data(reader, loss) = &mut self.mode else { return &[] };
        self.veiled |= self.guessed || *loss;
        let Some(open) = self.open.as_mut() else {
            self.mode = Mode::Command;
            return bytes;
        };
        let message = open.message.get_or_insert_default();
        let rest = reader.push(bytes, &mut Spool { message, bound });
        match rest {
            None => &[],
            Some(rest) => {
                let mut reader = std::mem::take(reader);
                self.message_read(&reader, cx);
                self.smuggled = reader.take_smuggled(rest.len());
                self.data_done(cx);
                rest
            }
        }
    }

    /// What the way a message was written tells of its sender.
    pub(super) fn message_read(&mut self, reader: &DataReader, cx: &mut Context<'_>) {
        if reader.bare_lf {
            self.dialect.add(Dialect::BARE_LF);
        }
        if reader.bare_cr {
            self.anomaly("smtp-bare-cr", Side::Client, "in a message".into(), cx);
        }
        if let Some(odd) = reader.odd_end() {
            self.anomaly("smtp-nonstandard-end-of-data", Side::Client, odd.to_string(), cx);
        }
    }

    fn chunk_bytes<'a>(&mut self, bytes: &'a [u8], cx: &mut Context<'_>) -> &'a [u8] {
        let Mode::Chunk { remaining } = &mut self.mode else { return &[] };
        let take = usize::try_from(*remaining).unwrap_or(usize::MAX).min(bytes.len());
        let (octets, rest) = bytes.split_at(take);
        *remaining -= octets.len() as u64;
        let done = *remaining == 0;
        if let Some(chunk) = self.pending.open_chunk() {
            let bound = self.message_bound.saturating_sub(self.chunked.unwrap_or(0));
            Spool { message: &mut chunk.piece, bound }.add(octets);
        }
        if done {
            self.chunk_done(cx);
        }
        rest
    }

    fn chunk_done(&mut self, cx: &mut Context<'_>) {
        self.mode = Mode::Command;
        let Some(chunk) = self.pending.open_chunk() else { return };
        let (early, last) = (std::mem::take(&mut chunk.early), chunk.last);
        self.chunked = Some(self.chunked.unwrap_or(0) + chunk.piece.bytes.len()).filter(|_| !last);
        self.pending.complete_chunk();
        if early.is_empty() && self.unseen[1] {
            // None ever is heard, and nothing else waits.
            if let Some(chunk) = self.pending.pop() {
                self.settle(chunk, None, cx);
            }
        }
        // Nothing else waits before it: a reply to it was heard, and for LMTP more may have been.
        for reply in early {
            if let Some(command) = self.pending.pop() {
                self.settle(command, Some(reply), cx);
            }
        }
    }

    /// The whole message after DATA was sent: what decides it is the next reply, or one that came early.
    pub(super) fn data_done(&mut self, cx: &mut Context<'_>) {
        self.mode = Mode::Command;
        let Some(open) = self.open.as_mut() else { return };
        match open.refusal.clone() {
            Some(early) => {
                open.decision = Some(early);
                self.close_open(Closed::Complete, cx);
            }
            None => self.expect(Pending::EndOfData, cx),
        }
    }

    /// Reads nothing up to the next line end, and goes on behind it as `next` says.
    fn skip_line<'a>(&mut self, bytes: &'a [u8], next: Mode) -> &'a [u8] {
        self.veiled = true;
        match memchr::memchr(b'\n', bytes) {
            Some(end) => {
                self.mode = next;
                &bytes[end + 1..]
            }
            None => &[],
        }
    }

    /// Bytes of the client are missing here.
    pub(super) fn client_hole(&mut self, lost: u64, cx: &mut Context<'_>) {
        match &mut self.mode {
            Mode::Preamble(_) | Mode::Command => {
                self.mode = Mode::Command;
                self.lines.lose();
                self.synced = false;
            }
            Mode::Data(reader, loss) => {
                reader.lose(lost);
                *loss = true;
                self.message_gap();
            }
            Mode::Chunk { remaining } if lost < *remaining => {
                *remaining -= lost;
                self.message_gap();
            }
            Mode::Chunk { .. } => {
                self.message_gap();
                self.chunk_done(cx);
                self.lines.lose();
                self.synced = false;
            }
            Mode::Block(remaining) if lost < *remaining => *remaining -= lost,
            // The end of a line that is passed over may be in the hole.
            Mode::Block(_) | Mode::Passed => {
                self.mode = Mode::Command;
                self.lines.lose();
                self.synced = false;
            }
            Mode::Undecided(_, held) => {
                held.lose(lost);
                if held.is_full() {
                    self.decide_without_reply(cx);
                }
            }
            Mode::Secret => {
                // The end of its line may be in the hole.
                let mut held = Held::default();
                held.lose(lost);
                self.mode = Mode::Undecided(Question::Auth, held);
            }
            Mode::Tls(_) | Mode::Opaque => {}
        }
    }

    pub(super) fn message_gap(&mut self) {
        let message = match self.pending.open_chunk() {
            Some(chunk) => Some(&mut chunk.piece),
            None => self.open.as_mut().map(|open| open.message.get_or_insert_default()),
        };
        if let Some(message) = message {
            message.gaps += 1;
            message.truncated = true;
        }
    }
}

/// Whether a command says nothing that only its client and its server should know.
fn is_free_of_secrets(command: &Command, line: &[u8]) -> bool {
    match command {
        // RFC 4954, section 5: AUTH= names a user.
        Command::Mail { .. } => !memchr::memchr_iter(b'=', line).any(|at| {
            line.get(..at)
                .and_then(|before| before.last_chunk::<4>())
                .is_some_and(|name| name.eq_ignore_ascii_case(b"AUTH"))
        }),
        Command::Hello { .. }
        | Command::Rcpt { .. }
        | Command::Data
        | Command::Bdat { .. }
        | Command::Rset
        | Command::Quit
        | Command::StartTls => true,
        Command::Auth { .. }
        | Command::Block { .. }
        | Command::Forwarded { .. }
        | Command::Other
        | Command::Unknown => false,
    }
}
