//! SMTP sessions as scripts (RFC 5321): what the client says, what the server answers, in which dialect.

use encodify::base64;

use crate::clock::Nanos;
use crate::mail::sha256;
use crate::prng::Rng;
use crate::tcp::Step;
use crate::tls::{self, Era};

/// How a client speaks.
#[derive(Clone, Debug)]
pub struct Client {
    pub helo: String,
    /// EHLO, not HELO.
    pub extended: bool,
    /// `MAIL FROM: <x>`: wrong, and common.
    pub colon_space: bool,
    pub lower_case: bool,
    pub brackets: bool,
    /// Speaks before the greeting.
    pub early: bool,
    /// Sends RSET before the first MAIL.
    pub reset_first: bool,
    /// Sends commands without waiting for replies (RFC 2920).
    pub pipelining: bool,
    /// Sends messages in chunks of this size with BDAT (RFC 3030).
    pub chunk: Option<usize>,
    /// Silence before each command; the conversation's `think` when none.
    pub pause: Option<Nanos>,
    pub leave: Leave,
}

/// How a client goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// QUIT.
    Politely,
    /// FIN without a word.
    Silently,
    /// RST.
    Rudely,
}

impl Client {
    /// A well-behaved client.
    pub fn new(helo: &str) -> Self {
        Self {
            helo: helo.into(),
            extended: true,
            colon_space: false,
            lower_case: false,
            brackets: true,
            early: false,
            reset_first: false,
            pipelining: false,
            chunk: None,
            pause: None,
            leave: Leave::Politely,
        }
    }

    /// A well-behaved client that pipelines, as a modern mail server does.
    pub fn pipelining(helo: &str) -> Self {
        Self { pipelining: true, ..Self::new(helo) }
    }

    fn command(&self, verb: &str, rest: &str) -> String {
        let verb = if self.lower_case { verb.to_ascii_lowercase() } else { verb.into() };
        if rest.is_empty() { format!("{verb}\r\n") } else { format!("{verb} {rest}\r\n") }
    }

    fn path(&self, verb: &str, address: &str) -> String {
        let verb = if self.lower_case { verb.to_ascii_lowercase() } else { verb.into() };
        let space = if self.colon_space { " " } else { "" };
        let (open, close) = if self.brackets { ("<", ">") } else { ("", "") };
        format!("{verb}:{space}{open}{address}{close}\r\n")
    }

    /// The traits of this way of speaking, by the names rules use; `bare-lf` is the message's own affair.
    pub fn dialect(&self) -> Vec<&'static str> {
        let helo = self.helo.to_ascii_lowercase();
        let literal = helo.starts_with('[');
        let named = [
            (!self.colon_space, "no-space-after-colon"),
            (self.colon_space, "space-after-colon"),
            (!self.extended, "helo"),
            (helo == "localhost" || helo.starts_with("localhost."), "helo-localhost"),
            (!literal && !helo.contains('.'), "helo-bare-word"),
            (literal, "helo-literal"),
            (self.lower_case, "lower-case"),
            (self.early, "early-talker"),
            (!self.brackets, "no-brackets"),
            (self.pipelining, "pipelined"),
            (self.chunk.is_some(), "bdat"),
            (self.reset_first, "rset-first"),
        ];
        named.iter().filter(|(spoken, _)| *spoken).map(|(_, name)| *name).collect()
    }
}

/// A server and what it says of itself.
#[derive(Clone, Debug)]
pub struct Server {
    pub name: String,
    /// What follows its name in the greeting.
    pub software: String,
    /// Keywords of its EHLO reply.
    pub extensions: Vec<String>,
    /// Silence before each reply; the conversation's `think` when none.
    pub pause: Option<Nanos>,
}

impl Server {
    /// A server of today.
    pub fn new(name: &str) -> Self {
        let extensions = ["PIPELINING", "SIZE 52428800", "STARTTLS", "8BITMIME", "CHUNKING"];
        Self::of(name, "ESMTP Postfix", &extensions)
    }

    /// A server with this greeting and these extensions.
    pub fn of(name: &str, software: &str, extensions: &[&str]) -> Self {
        let extensions = extensions.iter().map(|keyword| (*keyword).into()).collect();
        Self { name: name.into(), software: software.into(), extensions, pause: None }
    }
}

/// A server's reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub code: u16,
    pub lines: Vec<String>,
}

impl Reply {
    /// A reply of one line.
    pub fn new(code: u16, text: &str) -> Self {
        Self { code, lines: vec![text.into()] }
    }

    /// Whether it accepts.
    pub fn positive(&self) -> bool {
        (200..400).contains(&self.code)
    }

    /// Its bytes (RFC 5321, section 4.2.1).
    pub fn encode(&self) -> Vec<u8> {
        let last = self.lines.len().saturating_sub(1);
        let line = |(index, text)| format!("{}{}{text}\r\n", self.code, if index < last { '-' } else { ' ' });
        self.lines.iter().enumerate().map(line).collect::<String>().into_bytes()
    }
}

/// A mail transaction.
#[derive(Clone, Debug)]
pub struct Transaction {
    pub mail_from: String,
    pub mail_reply: Reply,
    /// Recipients, each with its reply.
    pub recipients: Vec<(String, Reply)>,
    /// The message before dots are stuffed; not sent when every recipient was refused.
    pub message: Vec<u8>,
    /// The reply to the end of the message.
    pub end_reply: Reply,
    /// The client goes after this many bytes of the message.
    pub cut: Option<usize>,
}

impl Transaction {
    /// One that is accepted.
    pub fn new(mail_from: &str, recipients: &[&str], message: Vec<u8>) -> Self {
        let recipients = recipients.iter().map(|address| ((*address).into(), Reply::new(250, "2.1.5 Ok"))).collect();
        let (mail_reply, end_reply) = (Reply::new(250, "2.1.0 Ok"), Reply::new(250, "2.0.0 Ok: queued"));
        Self { mail_from: mail_from.into(), mail_reply, recipients, message, end_reply, cut: None }
    }

    /// Refuses all recipients.
    pub fn refused(mut self, reply: &Reply) -> Self {
        self.recipients.iter_mut().for_each(|(_, answer)| answer.clone_from(reply));
        self
    }

    /// Addresses taken or refused.
    pub fn addresses(&self, taken: bool) -> Vec<String> {
        let wanted = self.recipients.iter().filter(|(_, reply)| reply.positive() == taken);
        wanted.map(|(address, _)| address.clone()).collect()
    }

    /// Whether a message is sent at all.
    pub fn has_data(&self) -> bool {
        self.mail_reply.positive() && self.recipients.iter().any(|(_, reply)| reply.positive())
    }

    /// The message as the receiver gets it: with its final line end.
    pub fn received(&self) -> Vec<u8> {
        let mut message = self.message.clone();
        if !message.ends_with(b"\r\n") {
            message.extend(b"\r\n");
        }
        message
    }
}

/// What protects a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    None,
    /// RFC 3207.
    StartTls(Era),
    /// RFC 8314: TLS from the first byte.
    Implicit(Era),
}

/// How a client proves who it is (RFC 4954). The credentials are made up.
#[derive(Clone, Debug)]
pub enum Auth {
    Plain { user: String, password: String },
    Login { user: String, password: String },
}

impl Auth {
    /// The mechanism's name.
    pub fn mechanism(&self) -> &'static str {
        match self {
            Self::Plain { .. } => "PLAIN",
            Self::Login { .. } => "LOGIN",
        }
    }
}

/// A session.
#[derive(Clone, Debug)]
pub struct Session {
    pub client: Client,
    pub server: Server,
    pub security: Security,
    pub auth: Option<Auth>,
    pub transactions: Vec<Transaction>,
}

/// A session as steps of a conversation; each transaction that is not hidden by TLS has a mark at its MAIL command.
#[derive(Clone, Debug)]
pub struct Script {
    pub steps: Vec<Step>,
    pub sent: Vec<Sent>,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub outcome: &'static str,
    /// Size and SHA-256 of the message as received; none when it was not sent, or not to its end.
    pub message: Option<(u64, String)>,
}

impl Session {
    /// A session in the clear.
    pub fn new(client: Client, server: Server, transactions: Vec<Transaction>) -> Self {
        Self { client, server, security: Security::None, auth: None, transactions }
    }

    /// The steps of this session.
    pub fn script(&self, rng: &mut Rng) -> Script {
        let mut writer = Writer { session: self, steps: vec![] };
        if let Security::Implicit(era) = self.security {
            writer.hidden(rng, era);
            return Script { steps: writer.steps, sent: vec![] };
        }
        writer.greet();
        if let Security::StartTls(era) = self.security {
            writer.ask(&self.client.command("STARTTLS", ""), &Reply::new(220, "2.0.0 Ready to start TLS"));
            writer.hidden(rng, era);
            return Script { steps: writer.steps, sent: vec![] };
        }
        writer.authenticate();
        if self.client.reset_first {
            writer.ask(&self.client.command("RSET", ""), &Reply::new(250, "2.0.0 Ok"));
        }
        let mut sent = Vec::new();
        for transaction in &self.transactions {
            sent.push(writer.transaction(transaction));
            if transaction.cut.is_some() {
                return Script { steps: writer.steps, sent };
            }
        }
        writer.leave();
        Script { steps: writer.steps, sent }
    }
}

struct Writer<'a> {
    session: &'a Session,
    steps: Vec<Step>,
}

impl Writer<'_> {
    fn client(&mut self, bytes: impl Into<Vec<u8>>) {
        self.steps.extend(self.session.client.pause.map(Step::Wait));
        self.steps.push(Step::Client(bytes.into()));
    }

    fn server(&mut self, bytes: impl Into<Vec<u8>>) {
        self.steps.extend(self.session.server.pause.map(Step::Wait));
        self.steps.push(Step::Server(bytes.into()));
    }

    fn ask(&mut self, command: &str, reply: &Reply) {
        self.client(command);
        self.server(reply.encode());
    }

    fn greet(&mut self) {
        let Session { client, server, .. } = self.session;
        let greeting = Reply::new(220, &format!("{} {}", server.name, server.software)).encode();
        let mut reply = Reply::new(250, &server.name);
        if client.extended {
            reply.lines.extend(server.extensions.iter().cloned());
        }
        let hello = client.command(if client.extended { "EHLO" } else { "HELO" }, &client.helo);
        if client.early {
            self.client(hello);
            self.server([greeting, reply.encode()].concat());
        } else {
            self.server(greeting);
            self.ask(&hello, &reply);
        }
    }

    fn authenticate(&mut self) {
        let encode = |text: &str| base64::STANDARD.encode(text.as_bytes());
        let accepted = Reply::new(235, "2.7.0 Authentication successful");
        match &self.session.auth {
            None => {}
            Some(Auth::Plain { user, password }) => {
                self.ask(&format!("AUTH PLAIN {}\r\n", encode(&format!("\0{user}\0{password}"))), &accepted);
            }
            Some(Auth::Login { user, password }) => {
                self.ask("AUTH LOGIN\r\n", &Reply::new(334, "VXNlcm5hbWU6"));
                self.ask(&format!("{}\r\n", encode(user)), &Reply::new(334, "UGFzc3dvcmQ6"));
                self.ask(&format!("{}\r\n", encode(password)), &accepted);
            }
        }
    }

    fn transaction(&mut self, transaction: &Transaction) -> Sent {
        let client = &self.session.client;
        let has_data = transaction.has_data();
        let mut commands = vec![(client.path("MAIL FROM", &transaction.mail_from), transaction.mail_reply.clone())];
        if transaction.mail_reply.positive() || client.pipelining {
            let recipients = transaction.recipients.iter();
            commands.extend(recipients.map(|(address, reply)| (client.path("RCPT TO", address), reply.clone())));
        }
        if client.chunk.is_none() && (has_data || client.pipelining) {
            let go = if has_data { Reply::new(354, "End data with <CR><LF>.<CR><LF>") } else { no_recipients() };
            commands.push((client.command("DATA", ""), go));
        }
        self.steps.push(Step::Mark);
        if client.pipelining {
            self.client(commands.iter().map(|(command, _)| command.as_str()).collect::<String>());
            self.server(commands.iter().flat_map(|(_, reply)| reply.encode()).collect::<Vec<_>>());
        } else {
            commands.iter().for_each(|(command, reply)| self.ask(command, reply));
        }
        if !has_data {
            return Sent { outcome: "rejected", message: None };
        }
        self.content(transaction)
    }

    fn content(&mut self, transaction: &Transaction) -> Sent {
        if let Some(cut) = transaction.cut {
            let stuffed = stuff_dots(&transaction.received());
            self.client(&stuffed[..cut.min(stuffed.len())]);
            self.steps.push(Step::ClientFin);
            self.steps.push(Step::ServerFin);
            return Sent { outcome: "aborted", message: None };
        }
        let received = transaction.received();
        if let Some(chunk) = self.session.client.chunk {
            let chunks: Vec<&[u8]> = received.chunks(chunk.max(1)).collect();
            for (index, data) in chunks.iter().enumerate() {
                let last = index + 1 == chunks.len();
                let command = format!("BDAT {}{}\r\n", data.len(), if last { " LAST" } else { "" });
                self.client([command.as_bytes(), data].concat());
                let taken = Reply::new(250, &format!("2.0.0 {} octets received", data.len()));
                self.server(if last { &transaction.end_reply } else { &taken }.encode());
            }
        } else {
            self.client([&stuff_dots(&received)[..], b".\r\n"].concat());
            self.server(transaction.end_reply.encode());
        }
        let outcome = if transaction.end_reply.positive() { "accepted" } else { "rejected" };
        Sent { outcome, message: Some((received.len() as u64, sha256(&received))) }
    }

    fn leave(&mut self) {
        match self.session.client.leave {
            Leave::Politely => {
                self.ask(&self.session.client.command("QUIT", ""), &Reply::new(221, "2.0.0 Bye"));
                self.steps.extend([Step::ServerFin, Step::ClientFin]);
            }
            Leave::Silently => self.steps.extend([Step::ClientFin, Step::ServerFin]),
            Leave::Rudely => self.steps.push(Step::ClientReset),
        }
    }

    /// The rest of the session as records of noise of about the right sizes.
    fn hidden(&mut self, rng: &mut Rng, era: Era) {
        let mut talk = vec![(true, 60), (false, 180)];
        if self.session.auth.is_some() {
            talk.extend([(true, 70), (false, 60)]);
        }
        for transaction in &self.session.transactions {
            talk.extend([(true, 60), (false, 40), (true, transaction.message.len()), (false, 60)]);
        }
        talk.extend([(true, 10), (false, 30)]);
        self.steps.extend(tls::exchange(rng, era, &self.session.server.name, &talk));
        self.steps.extend([Step::ClientFin, Step::ServerFin]);
    }
}

/// RFC 5321, section 4.5.2. Lines may end in a bare line feed here: clients that send those stuff by them.
pub fn stuff_dots(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 16);
    let mut before = b'\n';
    for byte in message {
        if before == b'\n' && *byte == b'.' {
            out.push(b'.');
        }
        out.push(*byte);
        before = *byte;
    }
    out
}

/// RFC 2920, section 3.1: DATA after nothing but refusals.
fn no_recipients() -> Reply {
    Reply::new(554, "5.5.1 Error: no valid recipients")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(session: &Session) -> (String, String) {
        let mut both = (String::new(), String::new());
        for step in session.script(&mut Rng::new(1)).steps {
            match step {
                Step::Client(bytes) => both.0.push_str(&String::from_utf8_lossy(&bytes)),
                Step::Server(bytes) => both.1.push_str(&String::from_utf8_lossy(&bytes)),
                _ => {}
            }
        }
        both
    }

    fn letter() -> Transaction {
        Transaction::new("a@alder.example", &["b@birch.example"], b"Subject: x\r\n\r\n.\r\n..\r\nend".to_vec())
    }

    #[test]
    fn a_plain_session_reads_as_rfc_5321_has_it() {
        let session = Session::new(Client::new("alder.example"), Server::new("mx.birch.example"), vec![letter()]);
        let (client, server) = said(&session);
        let expected = "EHLO alder.example\r\nMAIL FROM:<a@alder.example>\r\nRCPT TO:<b@birch.example>\r\nDATA\r\n\
                        Subject: x\r\n\r\n..\r\n...\r\nend\r\n.\r\nQUIT\r\n";
        assert_eq!(client, expected);
        assert!(server.starts_with("220 mx.birch.example ESMTP Postfix\r\n250-mx.birch.example\r\n250-PIPELINING\r\n"));
        assert_eq!(session.script(&mut Rng::new(1)).sent[0].message.as_ref().unwrap().0, 26);
    }

    #[test]
    fn dialects_are_spoken_and_named() {
        let client = Client {
            extended: false,
            colon_space: true,
            lower_case: true,
            brackets: false,
            chunk: Some(10),
            reset_first: true,
            leave: Leave::Silently,
            ..Client::new("localhost")
        };
        let names = client.dialect();
        for name in ["space-after-colon", "helo", "helo-localhost", "lower-case", "no-brackets", "bdat", "rset-first"] {
            assert!(names.contains(&name), "{name}");
        }
        let (client, _) = said(&Session::new(client, Server::new("mx"), vec![letter()]));
        assert!(client.starts_with("helo localhost\r\nrset\r\nmail from: a@alder.example\r\n"));
        assert!(client.contains("BDAT 10\r\nSubject: xBDAT 10\r\n") && client.contains("BDAT 6 LAST\r\n"));
        assert!(!client.contains("quit"));
    }

    #[test]
    fn refused_recipients_get_no_message() {
        let refused = letter().refused(&Reply::new(550, "5.1.1 unknown"));
        for client in [Client::new("x.example"), Client::pipelining("x.example")] {
            let session = Session::new(client, Server::new("mx"), vec![refused.clone()]);
            assert!(!said(&session).0.contains("Subject"));
            assert_eq!(session.script(&mut Rng::new(1)).sent, [Sent { outcome: "rejected", message: None }]);
        }
    }

    #[test]
    fn tls_hides_the_rest() {
        let auth = Some(Auth::Login { user: "u".into(), password: "p".into() });
        let clear = Session { auth, ..Session::new(Client::new("pc"), Server::new("mx"), vec![letter()]) };
        assert!(said(&clear).0.contains("AUTH LOGIN\r\ndQ==\r\ncA==\r\n"));
        for security in [Security::StartTls(Era::Tls13), Security::Implicit(Era::Tls13)] {
            let session = Session { security, ..clear.clone() };
            assert!(!said(&session).0.contains("MAIL"));
            assert!(session.script(&mut Rng::new(1)).sent.is_empty());
        }
    }
}
