//! The words of both sides, and the content of messages.

use super::super::input::Input;

/// Part of every credential, and of nothing else.
pub const CREDENTIAL: &str = "Zq7Zq7Zq7";

/// Senders and recipients.
pub const NAMES: [&str; 8] = [
    "",
    "a@one.example",
    "b@two.example",
    "c.d+e@[192.0.2.1]",
    "\"odd>one\"@b.example",
    "\u{fc}@b\u{fc}cher.example",
    "postmaster",
    "x@y",
];

pub const HOSTS: [&str; 4] = ["client.example", "localhost", "[192.0.2.1]", "PC"];

pub const PROXY: [&[u8]; 2] = [
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1025 25\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x01\xdc\x04\0\x19",
];

pub const GREETINGS: [&str; 8] = [
    "220 mx.example ESMTP\r\n",
    "220 mx.example\r\n",
    "220-mx.example ESMTP\r\n220-no spam\r\n220 here\r\n",
    "220\r\n",
    "220 mx.example LMTP\r\n",
    "220 mx.example ESMTP\n",
    "220-\r\n220 \r\n",
    "220 mx.example Microsoft ESMTP MAIL Service ready\r\n",
];

/// Refusals that any command may meet. Not 503, which says something of the session's state.
pub const REFUSALS: [u16; 8] = [450, 451, 550, 554, 421, 452, 552, 501];

pub const AUTH_REFUSALS: [u16; 8] = [535, 535, 454, 534, 538, 501, 500, 432];

/// Verb, what follows it, and how it is answered.
pub const OTHERS: [(&str, &str, u16); 10] = [
    ("NOOP", "", 250),
    ("VRFY", " a", 252),
    ("HELP", "", 214),
    ("EXPN", " list", 502),
    ("XYZZY", " nothing", 500),
    ("XCLIENT", " NAME=spike.example ADDR=192.0.2.9", 220),
    ("XFORWARD", " NAME=spike.example ADDR=192.0.2.9 HELO=x", 250),
    ("", "", 500),
    ("ETRN", " example", 250),
    ("BDAT", " x", 501),
];

/// Mechanism, whether its first response comes with the command, and how many rounds follow.
pub const MECHANISMS: [(&str, bool, u8); 8] = [
    ("PLAIN", true, 0),
    ("PLAIN", false, 1),
    ("LOGIN", false, 2),
    ("LOGIN", true, 1),
    ("CRAM-MD5", false, 1),
    ("XOAUTH2", true, 1),
    ("NTLM", false, 2),
    ("X-OWN", true, 1),
];

/// Those of [`MECHANISMS`] that are known to others.
pub const SASL: [&str; 5] = ["PLAIN", "LOGIN", "CRAM-MD5", "XOAUTH2", "NTLM"];

/// The beginning of a handshake: records of a hello that goes on, and of an alert.
pub const TLS_HELLO: &[u8] = b"\x16\x03\x01\0\x20\x01\0\0\x1c\x03\x03aaaaaaaaaaaaaaaaaaaaaaaaaa";
pub const TLS_ALERT: &[u8] = b"\x15\x03\x01\0\x02\x02\x28";

/// Parameters of MAIL.
pub struct Params {
    pub text: String,
    /// SIZE, BODY and SMTPUTF8.
    pub declared: (Option<u64>, Option<&'static str>, bool),
}

impl Params {
    pub fn new(bits: u8) -> Self {
        let size = (bits & 1 != 0).then_some(1000);
        let body = match bits >> 1 & 3 {
            1 => Some("8BITMIME"),
            2 => Some("BINARYMIME"),
            _ => None,
        };
        let utf8 = bits & 8 != 0;
        let mut text = String::new();
        if bits & 16 != 0 {
            text.push_str(" RET=HDRS ENVID=QQ314159 AUTH=<>");
        }
        if let Some(body) = body {
            text.push_str(" BODY=");
            text.push_str(body);
        }
        if utf8 {
            text.push_str(" SMTPUTF8");
        }
        if let Some(size) = size {
            text.push_str(&format!(" size={size}"));
        }
        Self { text, declared: (size, body, utf8) }
    }
}

/// A reply in one of the ways that servers have.
pub fn reply(code: u16, way: u8, echo: &str) -> String {
    let class = code / 100;
    match way & 7 {
        0 => format!("{code} ok\r\n"),
        1 => format!("{code} {class}.0.0 {echo}\r\n"),
        2 => format!("{code}-{class}.7.1 one\r\n{code} {class}.7.1 two {echo}\r\n"),
        3 => format!("{code}\r\n"),
        4 => format!("{code} {class}.1.0 {echo}\n"),
        5 => format!("{code}-\r\n{code}-{echo}\r\n{code} \r\n"),
        6 => format!("{code}\t{echo}\r\n"),
        _ => format!("{code} {echo}: {}\r\n", "long ".repeat(40)),
    }
}

/// The reply to a hello.
pub fn extensions(way: u8) -> Vec<u8> {
    let offers: &[&str] = match way & 3 {
        0 => &[],
        1 => &["PIPELINING", "SIZE 10240000", "8BITMIME"],
        2 => &["AUTH PLAIN LOGIN", "AUTH=PLAIN LOGIN", "STARTTLS", "CHUNKING", "BINARYMIME", "SMTPUTF8"],
        _ => &["dsn", "XCLIENT NAME ADDR", "ENHANCEDSTATUSCODES"],
    };
    let mut lines = vec!["mx.example Hello"];
    lines.extend(offers);
    let last = lines.len() - 1;
    let text: String = lines
        .iter()
        .enumerate()
        .map(|(n, line)| format!("250{}{line}\r\n", if n < last { '-' } else { ' ' }))
        .collect();
    text.into_bytes()
}

/// Some content: pieces that matter to a reader of SMTP, and bytes taken as they are.
pub fn content(plan: &mut Input<'_>) -> Vec<u8> {
    let mut content = Vec::new();
    for _ in 0..plan.byte() % 32 {
        match plan.byte() {
            // Never part of a credential, nor of a command with a name that is in no table.
            byte @ ..128 => content.push(match byte {
                b'Z' | b':' => b'-',
                byte => byte,
            }),
            word => content.extend_from_slice(PIECES[usize::from(word - 128) % PIECES.len()]),
        }
    }
    content
}

/// A message, and how it is sent after DATA: whole lines, dots doubled at the start of each (RFC 5321, section 4.5.2), and
/// the end.
pub fn message_with_dots(plan: &mut Input<'_>) -> (Vec<u8>, Vec<u8>) {
    let mut message = content(plan);
    if !message.is_empty() && !message.ends_with(b"\r\n") {
        message.extend_from_slice(b"\r\n");
    }
    let mut wire = Vec::new();
    for line in message.split_inclusive(|&byte| byte == b'\n') {
        if line.starts_with(b".") {
            wire.push(b'.');
        }
        wire.extend_from_slice(line);
    }
    wire.extend_from_slice(b".\r\n");
    (message, wire)
}

const PIECES: [&[u8]; 24] = [
    b"\r\n",
    b"\r\n.\r\n",
    b"\n.\n",
    b"\r.\r",
    b"\r\n..\r\n",
    b"\r",
    b"\n",
    b".",
    b"\0",
    b"\xff\xfe",
    b"Subject: x\r\n\r\n",
    b"MAIL FROM:<a@one.example>\r\n",
    b"RCPT TO:<b@two.example>\r\n",
    b"DATA\r\n",
    b"QUIT\r\n",
    b"RSET\r\n",
    b"EHLO client.example\r\n",
    b"BDAT 5 LAST\r\n",
    b"AUTH PLAIN\r\n",
    b"STARTTLS\r\n",
    b"\x16\x03\x01",
    b"250 ok\r\n",
    b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    b"GET / HTTP/1.1\r\n",
];
