//! Writes a conversation from a plan: a client that means every command, and a server that answers as RFC 5321 has it.
//!
//! A plan is a list of steps, each a byte for what is done, one for how the client says it, one for how the server
//! answers, and what the step needs besides. The server keeps the state that the RFC gives it; so it is known, without
//! asking the sensor, what it took.

use mailsnare::model::net::Side;

use super::super::input::Input;
use super::record::{Accepted, Transaction};
use super::words::{self, CREDENTIAL, NAMES};

/// Both sides' bytes, and who has to wait for whom.
#[derive(Default)]
pub struct Talk {
    pub said: [Vec<u8>; 2],
    waits: [Vec<Wait>; 2],
    /// What the server took, in order.
    pub accepted: Vec<Accepted>,
    /// The server refused nothing: its client alone tells as much as both.
    pub nothing_refused: bool,
}

/// A side says what comes after `from` once it has heard `heard` bytes of the other.
struct Wait {
    from: usize,
    heard: usize,
}

impl Talk {
    /// How far a side may have spoken, `at` having been said.
    pub fn may_say(&self, side: Side, at: [usize; 2]) -> usize {
        let waits = &self.waits[side.index()];
        let open = waits.iter().find(|wait| wait.from >= at[side.index()] && wait.heard > at[side.other().index()]);
        open.map_or(self.said[side.index()].len(), |wait| wait.from)
    }

    /// The next place of a side from which on the other has something to say.
    pub fn next_heard(&self, side: Side, at: usize) -> usize {
        let waits = self.waits[side.other().index()].iter().map(|wait| wait.heard);
        waits.filter(|heard| *heard > at).min().unwrap_or(self.said[side.index()].len())
    }

    fn says(&mut self, side: Side, bytes: &[u8]) {
        self.said[side.index()].extend_from_slice(bytes);
    }

    /// The side has heard all of the other before it goes on.
    fn waits(&mut self, side: Side) {
        let [from, heard] = [side, side.other()].map(|side| self.said[side.index()].len());
        self.waits[side.index()].push(Wait { from, heard });
    }
}

/// Writes the conversation that a plan means.
pub fn write(plan: &mut Input<'_>, on_mail_port: bool) -> Talk {
    let mut script = Script::new(plan.byte());
    script.greet(plan, on_mail_port);
    for _ in 0..MOST_STEPS {
        if plan.is_empty() || script.over || script.talk.said[0].len() > MOST_BYTES {
            break;
        }
        script.step(plan);
    }
    script.talk
}

/// More than the places in a session where state could get lost.
const MOST_STEPS: usize = 48;
/// Less than is held for a reply (`limits::SMTP_UNDECIDED`).
const MOST_BYTES: usize = 40 << 10;

struct Script {
    talk: Talk,
    open: Option<Transaction>,
    /// Who the client is: name, whether by EHLO or LHLO, and whether by LHLO.
    helo: Option<(&'static str, bool, bool)>,
    auth: Option<(&'static str, bool)>,
    /// The server keeps a transaction of which it refused the data, until it is reset.
    holds_on: bool,
    /// The server takes a second MAIL for a reset, as qmail does, not for a mistake.
    mail_resets: bool,
    /// The server wants nothing of this client.
    shut: bool,
    over: bool,
}

/// How the client says something.
struct How(u8);

impl How {
    /// It goes on without waiting for the reply (RFC 2920).
    fn pipelined(&self) -> bool {
        self.0 & 128 != 0
    }

    fn line(&self, verb: &str, rest: &str) -> Vec<u8> {
        let verb = if self.0 & 64 != 0 { verb.to_ascii_lowercase() } else { verb.to_owned() };
        let end = if self.0 & 32 != 0 { "\n" } else { "\r\n" };
        format!("{verb}{rest}{end}").into_bytes()
    }

    fn address(&self, name: &str) -> String {
        let space = if self.0 & 16 != 0 { " " } else { "" };
        let bare = self.0 & 8 != 0 && !name.is_empty() && !name.contains('"');
        if bare { format!("{space}{name}") } else { format!("{space}<{name}>") }
    }
}

/// How the server answers: whether as it is asked to, and in what words.
#[derive(Clone, Copy)]
struct Answer(u8);

impl Answer {
    fn refusal(self) -> Option<u16> {
        (self.0 & 7 == 7).then(|| words::REFUSALS[usize::from(self.0 >> 3) % words::REFUSALS.len()])
    }
}

impl Script {
    fn new(bits: u8) -> Self {
        Self {
            talk: Talk { nothing_refused: true, ..Talk::default() },
            open: None,
            helo: None,
            auth: None,
            holds_on: bits & 1 != 0,
            mail_resets: bits & 2 != 0,
            shut: false,
            over: false,
        }
    }

    // --- both sides ---------------------------------------------------------------------------------------------

    fn greet(&mut self, plan: &mut Input<'_>, on_mail_port: bool) {
        let bits = plan.byte();
        if bits & 1 != 0 {
            self.talk.says(Side::Client, words::PROXY[usize::from(bits >> 1 & 1)]);
        }
        self.shut = bits & 0x1c == 0x1c;
        let greeting = if self.shut { "554 no service\r\n" } else { words::GREETINGS[usize::from(bits >> 5)] };
        self.talk.nothing_refused &= !self.shut;
        self.talk.says(Side::Server, greeting.as_bytes());
        if bits & 0x1c != 4 {
            self.talk.waits(Side::Client);
        }
        if !on_mail_port {
            // There, nothing else is an opening.
            self.hello(plan, "EHLO");
        }
    }

    /// The client says a command.
    fn command(&mut self, bytes: &[u8]) {
        self.talk.says(Side::Client, bytes);
    }

    /// The server answers what was said last. False when it hung up with that.
    fn reply(&mut self, code: u16, answer: Answer, echo: &str) -> bool {
        self.talk.waits(Side::Server);
        let text = words::reply(code, answer.0 >> 3, echo);
        self.talk.says(Side::Server, text.as_bytes());
        self.talk.nothing_refused &= code < 400;
        if code == 421 {
            self.over = true;
        }
        !self.over
    }

    /// The client hears it before it goes on, unless it is `pipelined`.
    fn heard(&mut self, how: &How) {
        if !how.pipelined() {
            self.talk.waits(Side::Client);
        }
    }

    /// A command that is answered with one reply and does nothing else.
    fn simple(&mut self, how: &How, line: &[u8], code: u16, answer: Answer) {
        self.command(line);
        self.reply(if self.shut { 503 } else { code }, answer, "");
        self.heard(how);
    }

    // --- steps --------------------------------------------------------------------------------------------------

    fn step(&mut self, plan: &mut Input<'_>) {
        match plan.byte() % 32 {
            0..=3 => self.mail(plan),
            4..=7 => self.rcpt(plan),
            8..=11 => self.data(plan),
            12..=14 => self.bdat(plan),
            15 | 16 => self.hello(plan, "EHLO"),
            17 => self.hello(plan, "HELO"),
            18 => self.hello(plan, "LHLO"),
            19 | 20 => {
                let (how, answer) = (How(plan.byte()), Answer(plan.byte()));
                if !self.shut {
                    self.open = None;
                }
                self.simple(&how, &how.line("RSET", ""), 250, answer);
            }
            21..=23 => self.auth(plan),
            24 => self.start_tls(plan),
            25 | 26 => {
                let (how, answer, which) = (How(plan.byte()), Answer(plan.byte()), plan.byte());
                let (verb, rest, code) = words::OTHERS[usize::from(which) % words::OTHERS.len()];
                self.simple(&how, &how.line(verb, rest), answer.refusal().unwrap_or(code), answer);
            }
            27 => {
                let (how, answer) = (How(plan.byte()), Answer(plan.byte()));
                self.simple(&how, &how.line("QUIT", ""), 221, answer);
                self.over = true;
            }
            28 => {
                // The server closes on its own account (RFC 5321, section 3.8).
                self.reply(421, Answer(plan.byte()), "");
            }
            29 => {
                // The connection breaks within a command.
                let most = usize::from(plan.byte() & 15);
                self.command(&b"RCPT TO:<a@one.e"[..most]);
                self.over = true;
            }
            // Steps without a meaning are a pause.
            _ => self.talk.waits(Side::Client),
        }
    }

    fn hello(&mut self, plan: &mut Input<'_>, verb: &'static str) {
        let (how, answer, which) = (How(plan.byte()), Answer(plan.byte()), plan.byte());
        // What is still to be decided is decided first, so that it is known who sent it.
        self.talk.waits(Side::Client);
        let name = words::HOSTS[usize::from(which) % words::HOSTS.len()];
        let within = self.open.is_some();
        self.command(&how.line(verb, &format!(" {name}")));
        let refusal = if self.shut { Some(503) } else { answer.refusal() };
        if let Some(code) = refusal {
            self.reply(code, answer, "");
            // It is what the client called itself, all the same.
            self.helo = self.helo.or(Some((name, verb != "HELO", false)));
        } else {
            self.talk.waits(Side::Server);
            self.talk.says(Side::Server, &words::extensions(answer.0 >> 3));
            self.helo = Some((name, verb != "HELO", verb == "LHLO"));
            self.open = None;
        }
        if within {
            // Whether the transaction goes on is worth to know (RFC 2920, section 3.1: EHLO ends a group).
            self.talk.waits(Side::Client);
        } else {
            self.heard(&how);
        }
    }

    fn mail(&mut self, plan: &mut Input<'_>) {
        let (how, answer, which) = (How(plan.byte()), Answer(plan.byte()), plan.byte());
        let name = NAMES[usize::from(which & 7)];
        let params = words::Params::new(which >> 3);
        self.command(&how.line("MAIL FROM:", &format!("{}{}", how.address(name), params.text)));
        let nested = self.open.is_some() && !self.mail_resets;
        let refusal = if self.shut || nested { Some(503) } else { answer.refusal() };
        if !nested {
            self.open = None;
        }
        if self.reply(refusal.unwrap_or(250), answer, &format!("<{name}>... Sender ok")) && refusal.is_none() {
            self.open = Some(Transaction::new(name, params));
        }
        self.heard(&how);
    }

    fn rcpt(&mut self, plan: &mut Input<'_>) {
        let (how, answer, which) = (How(plan.byte()), Answer(plan.byte()), plan.byte());
        // The null sender is nobody to send to.
        let name = NAMES[1 + usize::from(which & 7) % (NAMES.len() - 1)];
        let params = if which & 8 != 0 { " NOTIFY=NEVER ORCPT=rfc822;x+40y" } else { "" };
        self.command(&how.line("RCPT TO:", &format!("{}{params}", how.address(name))));
        let ready = self.open.as_ref().is_some_and(|open| !open.in_chunks());
        let refusal = if self.shut || !ready { Some(503) } else { answer.refusal() };
        self.reply(
            refusal.unwrap_or(if answer.0 & 8 == 0 { 250 } else { 251 }),
            answer,
            &format!("<{name}>... Recipient"),
        );
        if let Some(open) = self.open.as_mut() {
            open.recipients.push((name, refusal));
        }
        self.heard(&how);
    }

    fn data(&mut self, plan: &mut Input<'_>) {
        let (how, answer, end) = (How(plan.byte()), Answer(plan.byte()), Answer(plan.byte()));
        self.command(&how.line("DATA", ""));
        let ready = self.open.as_ref().is_some_and(|open| open.is_ready() && !open.in_chunks());
        let refusal = if self.shut || !ready { Some(503) } else { answer.refusal() };
        // One who does not wait for 354 sends the message all the same; where that is refused, the server reads commands.
        let early = how.pipelined() && refusal.is_none();
        if !self.reply(refusal.unwrap_or(354), answer, "") {
            return;
        }
        if refusal.is_some() {
            self.refused_data();
            self.talk.waits(Side::Client);
            return;
        }
        if !early {
            self.talk.waits(Side::Client);
        }
        let (message, wire) = words::message_with_dots(plan);
        self.command(&wire);
        if let Some(open) = self.open.as_mut() {
            open.message = message;
        }
        self.decide(end);
        self.heard(&how);
    }

    fn bdat(&mut self, plan: &mut Input<'_>) {
        let (how, answer, bits) = (How(plan.byte()), Answer(plan.byte()), plan.byte());
        let last = bits & 1 != 0;
        let chunk = if bits & 2 != 0 { Vec::new() } else { words::content(plan) };
        let mut bytes = how.line("BDAT", &format!(" {}{}", chunk.len(), if last { " LAST" } else { "" }));
        bytes.extend_from_slice(&chunk);
        self.command(&bytes);
        let ready = self.open.as_ref().is_some_and(Transaction::is_ready) && !self.shut;
        if let Some(open) = self.open.as_mut() {
            open.chunks(&chunk);
        }
        match (ready, last) {
            (true, true) => self.decide(answer),
            (true, false) => {
                let lmtp = self.helo.is_some_and(|(.., lmtp)| lmtp);
                let refusal = answer.refusal().filter(|_| !lmtp);
                self.reply(refusal.unwrap_or(250), answer, "");
                if refusal.is_some() {
                    self.refused_data();
                }
            }
            (false, _) => {
                self.reply(503, answer, "");
                self.refused_data();
            }
        }
        self.heard(&how);
    }

    /// The server says what becomes of the message.
    fn decide(&mut self, answer: Answer) {
        let Some(mut taken) = self.open.take() else { return };
        let lmtp = self.helo.is_some_and(|(.., lmtp)| lmtp);
        let mut accepted = false;
        if lmtp {
            // RFC 2033, section 4.2: for each recipient. Every other one may be refused.
            for (count, (name, refusal)) in taken.recipients.iter_mut().filter(|(_, no)| no.is_none()).enumerate() {
                *refusal = if count & 1 == usize::from(answer.0 >> 7) { answer.refusal() } else { None };
                let name = *name;
                let (code, gone) = (refusal.unwrap_or(250), *refusal == Some(421));
                accepted |= refusal.is_none();
                if !self.reply(code, answer, &format!("<{name}> delivered")) || gone {
                    return;
                }
            }
        } else {
            let code = answer.refusal().unwrap_or(250);
            self.reply(code, answer, "");
            accepted = code == 250;
        }
        if accepted {
            self.talk.accepted.push(Accepted::new(&taken, self.helo, self.auth));
        }
    }

    fn refused_data(&mut self) {
        if self.holds_on {
            if let Some(open) = self.open.as_mut() {
                open.failed |= open.in_chunks();
                open.data_refused = true;
            }
        } else {
            self.open = None;
        }
    }

    fn auth(&mut self, plan: &mut Input<'_>) {
        let (how, answer, which) = (How(plan.byte()), Answer(plan.byte()), plan.byte());
        self.talk.waits(Side::Client);
        let (mechanism, initial, rounds) = words::MECHANISMS[usize::from(which & 7)];
        let first = if initial { format!(" {mechanism} {CREDENTIAL}{CREDENTIAL}=") } else { format!(" {mechanism}") };
        self.command(&how.line("AUTH", &first));
        // RFC 4954, section 4: not twice, nor within a transaction.
        let done = self.auth.is_some_and(|(_, accepted)| accepted);
        let early = if self.shut || self.open.is_some() || done { Some(503) } else { None };
        let known = words::SASL.contains(&mechanism);
        let unknown = (!known).then_some(504);
        let echo = format!("I do not take {CREDENTIAL}");
        if !done {
            self.auth = Some((if known { mechanism } else { "" }, false));
        }
        if let Some(code) = early.or(unknown) {
            self.reply(code, answer, &echo);
            return self.talk.waits(Side::Client);
        }
        for round in 0..rounds {
            self.reply(334, Answer(which), "VXNlcm5hbWU6");
            self.talk.waits(Side::Client);
            if which & 8 != 0 && round == rounds / 2 {
                self.command(b"*\r\n");
                self.reply(501, answer, &echo);
                return self.talk.waits(Side::Client);
            }
            self.command(format!("{CREDENTIAL}{CREDENTIAL}{CREDENTIAL}\r\n").as_bytes());
        }
        let refused = which & 16 != 0;
        let code = if refused { words::AUTH_REFUSALS[usize::from(which >> 5)] } else { 235 };
        self.auth = Some((mechanism, !refused));
        self.reply(code, answer, if refused { &echo } else { "" });
        self.talk.waits(Side::Client);
    }

    fn start_tls(&mut self, plan: &mut Input<'_>) {
        let (how, answer) = (How(plan.byte()), Answer(plan.byte()));
        self.talk.waits(Side::Client);
        self.command(&how.line("STARTTLS", ""));
        let refusal = if self.shut { Some(503) } else { answer.refusal() };
        self.reply(refusal.unwrap_or(220), answer, "");
        if refusal.is_none() {
            if how.pipelined() {
                // What RFC 3207 forbids and attackers try.
                self.command(b"MAIL FROM:<x@y>\r\n");
            }
            self.talk.waits(Side::Client);
            self.command(words::TLS_HELLO);
            self.talk.waits(Side::Server);
            self.talk.says(Side::Server, words::TLS_ALERT);
            self.over = true;
        } else {
            self.talk.waits(Side::Client);
        }
    }
}
