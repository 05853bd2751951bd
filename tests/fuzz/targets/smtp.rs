//! A session: what client and server say, in turns, with gaps.
//!
//! Input: a byte of circumstances, then a script. In a script a byte below 128 is itself; one from 128 on is a word of
//! [`WORDS`] or, from [`TURNS`] on, a turn: who speaks next, a gap, or a byte above 127 taken as it is. Mutations that
//! move bytes about so move whole commands, and everyday sessions can be written by hand (`\r\n` as the byte 0x80).

use std::fmt;

use mailsnare::model::limits;
use mailsnare::model::net::Side;
use mailsnare::model::stats::SmtpStats;
use mailsnare::model::time::Timestamp;
use mailsnare::protocol::smtp::{Context, Said, Session, Standing};

use super::input::{Input, Lengths};

pub fn run(input: &[u8]) {
    let mut input = Input(input);
    let circumstances = input.byte();
    let steps = steps(&mut input);
    let scene = Circumstances::read(circumstances);
    let whole = play(&scene, &steps, |_| usize::MAX).words;
    let mut lengths = Lengths::new(circumstances.into());
    for (how, said) in
        [("byte by byte", play(&scene, &steps, |_| 1)), ("in small pieces", play(&scene, &steps, |_| lengths.next()))]
    {
        assert_eq!(said.words, whole, "said otherwise when it came {how}");
    }
    assert!(names_secret(&steps) || !whole.contains(SECRET), "a credential was said: {whole}");
}

/// Something that happens on the wire.
#[derive(PartialEq)]
pub(super) enum Step {
    Says(Side, Vec<u8>),
    Gap(Side, u64),
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Says(side, bytes) => write!(f, "{side:?} says {}", bytes.escape_ascii()),
            Self::Gap(side, lost) => write!(f, "{side:?} loses {lost}"),
        }
    }
}

/// Reads a script.
fn steps(input: &mut Input<'_>) -> Vec<Step> {
    let (mut steps, mut side, mut said) = (Vec::new(), Side::Server, Vec::new());
    let end_turn = |side: Side, said: &mut Vec<u8>, steps: &mut Vec<Step>| {
        if !said.is_empty() {
            steps.push(Step::Says(side, std::mem::take(said)));
        }
    };
    while !input.is_empty() {
        match input.byte() {
            byte @ ..128 => said.push(byte),
            code @ TURNS.. => {
                if code != LITERAL {
                    end_turn(side, &mut said, &mut steps);
                }
                match code {
                    LITERAL => said.push(input.byte() | 0x80),
                    GAP => steps.push(Step::Gap(side, 1 + u64::from(input.short()))),
                    code if code & 1 == 0 => side = Side::Client,
                    _ => side = Side::Server,
                }
            }
            word => {
                let word = WORDS[usize::from(word - 128) % WORDS.len()];
                // Only a client has credentials.
                if side == Side::Client || !word.contains(SECRET) {
                    said.extend_from_slice(word.as_bytes());
                }
            }
        }
    }
    end_turn(side, &mut said, &mut steps);
    // Turns that follow each other without a gap are one: there is nothing between them on a wire.
    steps.dedup_by(|later, earlier| match (later, earlier) {
        (Step::Says(a, more), Step::Says(b, bytes)) if a == b => {
            bytes.append(more);
            true
        }
        _ => false,
    });
    steps
}

/// Whether the credential stands anywhere but on a line of its own or in an AUTH command: then it is a name, too. The
/// fuzzer sees what is searched for, and learns to write it.
fn names_secret(steps: &[Step]) -> bool {
    let said = steps.iter().filter_map(|step| match step {
        Step::Says(_, bytes) => Some(String::from_utf8_lossy(bytes)),
        Step::Gap(..) => None,
    });
    said.into_iter().any(|said| {
        let credentials = SECRET_WORDS.map(|word| said.matches(word).count()).iter().sum::<usize>();
        said.matches(SECRET).count() > credentials
    })
}

/// Where a session is seen, and how.
pub(super) struct Circumstances {
    /// On a mail port.
    pub expected: bool,
    /// Its opening was not seen.
    pub midstream: bool,
    /// Bytes of a message that are kept.
    pub bound: usize,
    /// One side may not be in the capture at all.
    pub unseen: Option<Side>,
}

impl Circumstances {
    fn read(bits: u8) -> Self {
        let has = |bit: u8| bits & bit != 0;
        Self {
            expected: !has(2),
            midstream: has(4),
            bound: if has(1) { 64 } else { 1 << 20 },
            unseen: if has(8) { Some(if has(16) { Side::Client } else { Side::Server }) } else { None },
        }
    }
}

/// What a session said.
pub(super) struct Played {
    pub said: Vec<Said>,
    /// All of it in words, with what was counted.
    pub words: String,
}

/// Plays the steps, each cut into pieces.
pub(super) fn play(scene: &Circumstances, steps: &[Step], mut length: impl FnMut(Side) -> usize) -> Played {
    let Circumstances { expected, midstream, bound, unseen } = *scene;
    let mut session = Session::new(Timestamp::default(), expected, midstream, bound);
    let (mut stats, mut out) = (SmtpStats::default(), Vec::new());
    for step in steps {
        let mut cx = Context { now: Timestamp::default(), stats: &mut stats, out: &mut out };
        match step {
            Step::Says(side, _) | Step::Gap(side, _) if unseen == Some(*side) => {}
            Step::Gap(side, lost) => session.gap(*side, *lost, &mut cx),
            Step::Says(side, bytes) => {
                let mut rest = bytes.as_slice();
                while !rest.is_empty() && session.standing() != Standing::Other && !session.is_over() {
                    let (piece, after) = rest.split_at(length(*side).min(rest.len()));
                    rest = after;
                    let other_unseen = unseen == Some(side.other());
                    match side {
                        Side::Client => session.client(piece, other_unseen, &mut cx),
                        Side::Server => session.server(piece, other_unseen, &mut cx),
                    }
                }
            }
        }
    }
    let mut cx = Context { now: Timestamp::default(), stats: &mut stats, out: &mut out };
    session.close(&mut cx);
    assert!(session.held_bytes() < HELD_AFTER_CLOSE, "what was told is given back");
    let anomalies = out.iter().filter(|said| matches!(said, Said::Anomaly(_))).count();
    assert!(anomalies <= limits::ANOMALIES);
    for said in &out {
        if let Said::Event(event) = said {
            let kept = event.message.as_ref().map_or(0, |message| message.bytes.len());
            assert!(kept <= bound, "a message past its bound");
            let rcpt = event.envelope.as_ref().map_or(0, |envelope| envelope.rcpt_to.len());
            assert!(rcpt <= 2 * limits::SMTP_RECIPIENTS);
        }
    }
    let summary = (session.standing(), session.is_over(), stats.transactions, stats.messages, stats.message_bytes);
    let words = format!("{summary:?} {out:?}");
    Played { said: out, words }
}

/// What a session holds once it is closed: itself, a queue of commands, the line under way.
const HELD_AFTER_CLOSE: usize = 512 << 10;

/// Never part of anything said. Its words stand on lines of their own, so that it is a credential and never a name.
const SECRET: &str = "Q2FuYXJ5";
const SECRET_WORDS: [&str; 2] = ["\nAUTH PLAIN Q2FuYXJ5\r\n", "\nQ2FuYXJ5\r\n"];

/// From here on a byte is a turn. Even ones are the client's, odd ones the server's.
const TURNS: u8 = 0xe0;
const GAP: u8 = 0xfe;
const LITERAL: u8 = 0xff;

const WORDS: &[&str] = &[
    "\r\n",
    "\r\n.\r\n",
    "\n.\n",
    "\n.\r\n",
    "\r\n.\n",
    ".",
    "..",
    "\r",
    "\n",
    "EHLO client.example\r\n",
    "HELO localhost\r\n",
    "LHLO a\r\n",
    "MAIL FROM:<",
    "MAIL FROM: ",
    "RCPT TO:<",
    "> SIZE=1000 BODY=8BITMIME\r\n",
    ">\r\n",
    "a@one.example",
    "b@two.example",
    "DATA\r\n",
    "BDAT 10\r\n",
    "BDAT 0 LAST\r\n",
    "BDAT 6 LAST\r\n",
    "0123456789",
    "RSET\r\n",
    "NOOP\r\n",
    "QUIT\r\n",
    "VRFY a\r\n",
    "STARTTLS\r\n",
    "\r\nAUTH PLAIN Q2FuYXJ5\r\n",
    "AUTH LOGIN\r\n",
    "\r\nQ2FuYXJ5\r\n",
    "*\r\n",
    "220 mx.example ESMTP\r\n",
    "250-mx.example\r\n",
    "250 ok\r\n",
    "250",
    "334 \r\n",
    "235 2.7.0 ok\r\n",
    "354 go ahead\r\n",
    "421 4.3.2 later\r\n",
    "450 4.2.1 busy\r\n",
    "503 5.5.1 bad sequence\r\n",
    "535 5.7.8 no\r\n",
    "550 5.1.1 no such user\r\n",
    "554 5.7.1 refused\r\n",
    "221 2.0.0 bye\r\n",
    "Subject: x\r\n\r\n",
    "X-Mailer: The Bat!\n",
    "\r\n..\r\n",
    "\x16\x03\x01",
    "GET / HTTP/1.1\r\n",
    "XCLIENT NAME=a\r\n",
    "BDAT 99999999999999999999 LAST\r\n",
    "BDAT -1\r\n",
    "<",
    ">",
    "@[192.0.2.1]",
    " SIZE=18446744073709551615",
    "DATA \r\n",
    "rset\r\n",
    "AUTH ",
    "PROXY TCP4 192.0.2.1 192.0.2.2 1025 25\r\n",
    "XFORWARD NAME=a ADDR=192.0.2.1\r\n",
    "MAIL FROM:<a@b> BODY=BINARYMIME SMTPUTF8 AUTH=<>\r\n",
    "250 2.1.0 <a@one.example>... Sender ok\r\n",
    "250 2.1.5 <b@two.example>... Recipient ok\r\n",
    "USER a\r\n",
    "\0",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];
