//! What the server says: each reply finds its command and settles what it asked.

use super::super::transaction::is_success;
use super::alone::enhanced_status;
use super::pending::Plain;
use super::{Context, Mode, Pending, Question, Session, Standing};
use crate::model::event::Reply;
use crate::model::limits;
use crate::model::net::Side;

impl Session {
    pub(super) fn server_bytes(&mut self, bytes: &[u8], cx: &mut Context<'_>) {
        let mut rest = bytes;
        while !rest.is_empty() {
            match &mut self.mode {
                Mode::Opaque => return,
                Mode::Tls(handshake) => return handshake.push(Side::Server, rest),
                // The client's hello, before it, was lost or is not in the capture.
                _ if self.replies.opens_tls(rest) => {
                    let held = self.replies.take_line();
                    self.unannounced_tls(&[], cx);
                    if let Mode::Tls(handshake) = &mut self.mode {
                        handshake.push(Side::Server, &held);
                    }
                }
                _ => {
                    let (left, reply) = self.replies.push(rest);
                    rest = left;
                    if self.replies.is_foreign() && self.standing == Standing::Undecided {
                        return self.is_other();
                    }
                    if let Some(reply) = reply {
                        self.reply(reply, cx);
                    }
                }
            }
        }
    }

    pub(super) fn reply(&mut self, reply: Reply, cx: &mut Context<'_>) {
        if !self.awaiting_greeting {
            self.end_preamble(cx);
        }
        let reply = self.without_secrets(reply);
        self.replies_heard += 1;
        self.last_reply = Some(reply.clone());
        if self.awaiting_greeting {
            self.awaiting_greeting = false;
            // Nothing but a greeting or a refusal comes first (RFC 5321, section 4.3.2): the greeting was lost.
            let answers = is_success(reply.code) && reply.code != 220 && !self.pending.is_empty();
            if !answers {
                return self.greet(reply, cx);
            }
        }
        if self.unseen[0] {
            return self.reply_alone(reply, cx);
        }
        if matches!(self.mode, Mode::Data(..)) && self.pending.is_empty() {
            return self.reply_within_data(reply, cx);
        }
        if matches!(reply.code, 220 | 221 | 354) {
            // These find their command by themselves.
            self.overdue = 0;
        } else if self.overdue > 0 {
            self.overdue -= 1;
            return;
        }
        match self.next_answered(&reply, cx) {
            Some(command) => self.settle(command, Some(reply), cx),
            // The DATA it answers was lost.
            None if reply.code == 354 && self.pending.is_empty() && self.lost_in_commands() => {
                // A line under way is the first of the message.
                let held = self.lines.take();
                self.begin_data(cx);
                self.client_bytes(&held, cx);
            }
            // RFC 5321, section 3.8: the server may close the channel at any time, and says so.
            None if reply.code == 421 => {
                if let Some(open) = self.open.as_mut() {
                    open.farewell = Some(reply);
                }
            }
            None if is_success(reply.code) && self.pending.is_empty() && matches!(self.mode, Mode::Command) => {
                self.smuggled_answered(reply, cx);
            }
            None => {}
        }
    }

    /// Whether commands of the client may have been lost.
    fn lost_in_commands(&self) -> bool {
        matches!(self.mode, Mode::Command) && !self.synced
    }

    /// The command a reply belongs to: the oldest one, unless its code says otherwise.
    fn next_answered(&mut self, reply: &Reply, cx: &mut Context<'_>) -> Option<Pending> {
        match reply.code {
            354 => self.skip_to(Plain::Data, cx),
            221 => self.skip_to(Plain::Quit, cx),
            220 => self.skip_to(Plain::StartTls, cx),
            _ => {}
        }
        if self.pending.len() == 1 {
            let lmtp = self.speaks_lmtp();
            if let Some(chunk) = self.pending.open_chunk() {
                // It is settled once all of it was read.
                let most = if lmtp { limits::SMTP_RECIPIENTS } else { 1 };
                if chunk.early.len() < most {
                    chunk.early.push_back(reply.clone());
                }
                return None;
            }
        }
        let oldest = self.pending.front()?;
        // A second greeting, or a challenge nobody asked for, answers nothing.
        let stray = match reply.code {
            220 => matches!(oldest, Pending::Mail(_) | Pending::Rcpt(_) | Pending::Data),
            334 => !matches!(oldest, Pending::Auth | Pending::Unknown | Pending::Other),
            _ => false,
        };
        // Some replies were lost, and this one does not say whose it is.
        let unclear = self.replies_lost && self.pending.len() > 1 && !matches!(reply.code, 220 | 221 | 354);
        if stray || unclear { None } else { self.pending.pop() }
    }

    /// Credentials are said by clients, and repeated by servers in what they answer: of such replies only the codes
    /// are kept. So too where it is not known what was said.
    fn without_secrets(&mut self, mut reply: Reply) -> Reply {
        let asked = self.pending.front();
        let of_auth = matches!(reply.code, 235 | 334 | 432 | 534 | 535 | 538) || matches!(asked, Some(Pending::Auth));
        let of_unknown = matches!(asked, Some(Pending::Unknown)) || reply.code == 500;
        // RFC 4954, section 4: these may answer AUTH, too.
        let of_anything = matches!(reply.code, 454 | 501..=504) && (asked.is_none() || self.replies_lost);
        // Nothing but AUTH is asked for more so. Once anything was lost, its end may answer what seems to be another command;
        // and AUTH itself may be what was lost.
        self.auth_seen |= reply.code == 334;
        let hidden = self.client_lost || (self.bytes_lost && (self.auth_seen || self.may_hide_auth()));
        let of_lost = hidden && !is_success(reply.code);
        self.veiled |= self.replies_lost || matches!(asked, Some(Pending::Forwarded | Pending::Other));
        if of_auth || of_unknown || of_anything || of_lost {
            self.veiled = true;
            reply.text = enhanced_status(&reply.text).unwrap_or_default().to_owned();
        }
        reply
    }

    /// Whether AUTH may be in what the client said last, and is not told from other things.
    fn may_hide_auth(&self) -> bool {
        match &self.mode {
            Mode::Undecided(_, held) => !held.is_empty(),
            Mode::Data(_, loss) => *loss || self.guessed,
            _ => !self.synced,
        }
    }

    fn greet(&mut self, reply: Reply, cx: &mut Context<'_>) {
        let says_so = reply.text.contains("SMTP") || reply.text.contains("LMTP");
        // FTP greets alike: unless the server says more, what the client says decides.
        let refuses = self.expected && !is_success(reply.code);
        let alone = self.expected && self.unseen[0] && !reply.text.contains("FTP");
        self.greeting = Some(reply);
        if self.standing == Standing::Smtp {
            // The client did not wait for it.
            self.tell_greeting(cx);
        } else if says_so || refuses || alone {
            self.stands(cx);
        }
    }

    pub(super) fn data_answered(&mut self, reply: Reply, cx: &mut Context<'_>) {
        let Mode::Undecided(Question::Data, held) = &self.mode else { return };
        if is_success(reply.code) {
            // Neither go ahead nor refusal (RFC 5321, section 4.3.2 knows only 354 and errors): the client decides.
            self.replies_lost = true;
            if Question::Data.can_be_decided(held.bytes()) {
                self.decide_without_reply(cx);
            }
            return;
        }
        let Mode::Undecided(_, held) = std::mem::replace(&mut self.mode, Mode::Command) else { return };
        if (300..400).contains(&reply.code) {
            self.replies_lost = false;
            self.begin_data(cx);
        } else {
            self.refuse_open(reply);
        }
        self.read_held(&held, cx);
    }

    /// The server refused the open transaction as such.
    pub(super) fn refuse_open(&mut self, reply: Reply) {
        if let Some(open) = self.open.as_mut() {
            open.refuse(reply);
        }
    }

    pub(super) fn start_tls_answered(&mut self, success: bool, cx: &mut Context<'_>) {
        let Mode::Undecided(Question::StartTls, ..) = &self.mode else { return };
        let Mode::Undecided(_, held) = std::mem::replace(&mut self.mode, Mode::Command) else { return };
        if success { self.held_is_tls(&held, cx) } else { self.read_held(&held, cx) }
    }

    pub(super) fn auth_answered(&mut self, code: u16, cx: &mut Context<'_>) {
        let more = (300..400).contains(&code);
        if more {
            self.pending.push_front(Pending::Auth);
        } else if let Some(auth) = self.auth.as_mut().filter(|auth| auth.accepted != Some(true)) {
            auth.accepted = Some(is_success(code));
        }
        if let Mode::Undecided(Question::Auth, ..) = &self.mode {
            let next = if more { Mode::Secret } else { Mode::Command };
            if let Mode::Undecided(_, held) = std::mem::replace(&mut self.mode, next) {
                self.read_held(&held, cx);
            }
        }
    }

    /// A reply to nothing we know of: the server took the odd end for the end of the message, and what stood behind it for
    /// commands. They are read as it reads them; the message they were hidden in is told already, as a whole.
    fn smuggled_answered(&mut self, reply: Reply, cx: &mut Context<'_>) {
        // Unless it answers what was lost.
        if self.synced
            && let Some(smuggled) = self.smuggled.take()
        {
            // A line under way came after it.
            let under_way = self.lines.take();
            self.read_held(&smuggled, cx);
            self.reply(reply, cx);
            self.client_bytes(&under_way, cx);
        }
    }

    pub(super) fn block_answered(&mut self, code: u16, cx: &mut Context<'_>) {
        let Mode::Undecided(Question::Block(size), ..) = self.mode else { return };
        let goes_ahead = code == 354;
        let next = if goes_ahead && size > 0 { Mode::Block(size) } else { Mode::Command };
        if goes_ahead {
            // It is answered once more behind the block.
            self.pending.push_front(Pending::Other);
        }
        if let Mode::Undecided(_, held) = std::mem::replace(&mut self.mode, next) {
            self.read_held(&held, cx);
        }
    }

    /// The server spoke while we think the client is still sending its message.
    fn reply_within_data(&mut self, reply: Reply, cx: &mut Context<'_>) {
        let Mode::Data(reader, lost) = &mut self.mode else { return };
        if reply.code == 354 {
            // Said twice.
        } else if reader.candidate.is_some() {
            let mut reader = std::mem::take(reader);
            self.message_read(&reader, cx);
            let Some(candidate) = reader.candidate.take() else { return };
            // The server took the odd line ends for the end of the message.
            if let Some(message) = self.open.as_mut().and_then(|open| open.message.as_mut()) {
                candidate.apply(message);
            }
            self.data_done(cx);
            self.reply(reply, cx);
            self.read_held(&candidate.into_after(), cx);
        } else if *lost {
            // The end of the message was in the bytes we lost.
            self.data_done(cx);
            self.reply(reply, cx);
        } else if reply.code >= 400 {
            self.refuse_open(reply);
        }
    }

    /// Passes over commands whose replies were lost, up to the one that alone has such a reply.
    fn skip_to(&mut self, command: Plain, cx: &mut Context<'_>) {
        let Some(at) = self.pending.position(command) else { return };
        for _ in 0..at {
            if let Some(skipped) = self.pending.pop() {
                self.settle(skipped, None, cx);
            }
        }
    }
}
