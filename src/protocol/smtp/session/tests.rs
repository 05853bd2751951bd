//! Sessions as scripts: `C:` and `S:` lines in, events out. What is right comes from the RFCs named in each test.

use super::*;
use crate::model::event::Outcome;
use proptest::prelude::*;

mod auth;
mod foreign;
mod hidden;
mod hostile;
mod losses;
mod order;
mod refused;
mod steps;

/// A session fed by hand.
struct Bench {
    session: Session,
    stats: SmtpStats,
    out: Vec<Said>,
    /// Neither side is missing, unless a test says so.
    server_unseen: bool,
    client_unseen: bool,
    now: Timestamp,
}

impl Bench {
    fn new() -> Self {
        Self::on(true, false)
    }

    fn on(expected: bool, midstream: bool) -> Self {
        let session = Session::new(Timestamp::default(), expected, midstream, 1 << 20);
        Self {
            session,
            stats: SmtpStats::default(),
            out: Vec::new(),
            server_unseen: false,
            client_unseen: false,
            now: Timestamp::default(),
        }
    }

    fn client(&mut self, bytes: &[u8]) {
        let mut cx = Context { now: self.now, stats: &mut self.stats, out: &mut self.out };
        self.session.client(bytes, self.server_unseen, &mut cx);
    }

    fn server(&mut self, bytes: &[u8]) {
        let mut cx = Context { now: self.now, stats: &mut self.stats, out: &mut self.out };
        self.session.server(bytes, self.client_unseen, &mut cx);
    }

    fn gap(&mut self, side: Side, lost: u64) {
        let mut cx = Context { now: self.now, stats: &mut self.stats, out: &mut self.out };
        self.session.gap(side, lost, &mut cx);
    }

    /// Plays `C: line` and `S: line`; each gets CRLF.
    fn play(&mut self, script: &str) -> &mut Self {
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (who, said) = line.split_at(2);
            let said = format!("{}\r\n", said.strip_prefix(' ').unwrap_or(said));
            match who {
                "C:" => self.client(said.as_bytes()),
                "S:" => self.server(said.as_bytes()),
                _ => panic!("neither C: nor S: in {line}"),
            }
        }
        self
    }

    fn close(&mut self) -> Vec<SmtpEvent> {
        let mut cx = Context { now: self.now, stats: &mut self.stats, out: &mut self.out };
        self.session.close(&mut cx);
        assert!(self.session.open.is_none() && self.session.pending.is_empty(), "everything was told");
        self.events()
    }

    fn events(&self) -> Vec<SmtpEvent> {
        self.out
            .iter()
            .filter_map(|said| match said {
                Said::Event(event) => Some((**event).clone()),
                _ => None,
            })
            .collect()
    }

    fn anomalies(&self) -> Vec<&'static str> {
        self.out
            .iter()
            .filter_map(|said| match said {
                Said::Anomaly(anomaly) => Some(anomaly.name),
                _ => None,
            })
            .collect()
    }
}

fn from(event: &SmtpEvent) -> &str {
    event.envelope.as_ref().map_or("no envelope", |envelope| &envelope.mail_from)
}

fn to(event: &SmtpEvent) -> Vec<&str> {
    event.envelope.iter().flat_map(|envelope| envelope.rcpt_to.iter().map(String::as_str)).collect()
}

fn body(event: &SmtpEvent) -> String {
    event.message.as_ref().map_or("no message".into(), |m| String::from_utf8_lossy(&m.bytes).into_owned())
}

const OPENING: &str = "S: 220 mx.example ESMTP
    C: EHLO client.example
    S: 250-mx.example
    S: 250 PIPELINING";

#[test]
fn the_scenario_of_rfc_5321_appendix_d_1() {
    let mut t = Bench::new();
    t.play(OPENING).play(
        "C: MAIL FROM:<Smith@bar.com>
        S: 250 OK
        C: RCPT TO:<Jones@foo.com>
        S: 250 OK
        C: RCPT TO:<Green@foo.com>
        S: 550 No such user here
        C: RCPT TO:<Brown@foo.com>
        S: 250 OK
        C: DATA
        S: 354 Start mail input; end with <CRLF>.<CRLF>
        C: Blah blah blah...
        C: ..etc. etc. etc.
        C: .
        S: 250 OK
        C: QUIT
        S: 221 foo.com Service closing transmission channel",
    );
    let events = t.close();
    assert_eq!(events.len(), 1);
    let event = &events[0];
    assert_eq!((from(event), to(event)), ("Smith@bar.com", vec!["Jones@foo.com", "Brown@foo.com"]));
    let rejected = &event.envelope.as_ref().unwrap().rcpt_rejected[0];
    assert_eq!((rejected.address.as_str(), rejected.reply.code), ("Green@foo.com", 550));
    assert_eq!(body(event), "Blah blah blah...\r\n.etc. etc. etc.\r\n");
    assert_eq!((event.helo.as_deref(), event.extended), (Some("client.example"), true));
    assert_eq!((event.outcome, event.reply.as_ref().unwrap().code), (Outcome::Accepted, 250));
    assert_eq!(t.out.iter().filter(|said| matches!(said, Said::Greeting(_))).count(), 1);
}

#[test]
fn pipelined_mails_after_data_are_kept_apart() {
    // RFC 2920, section 3.1: what follows the end of data may be in the same segment.
    let mut t = Bench::new();
    t.play(OPENING);
    t.client(b"MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n");
    t.server(b"250 ok\r\n250 ok\r\n354 go\r\n");
    t.client(b"one\r\n.\r\nMAIL FROM:<c@x>\r\nRCPT TO:<d@y>\r\nRCPT TO:<e@y>\r\nDATA\r\n");
    t.server(b"250 taken\r\n250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n");
    t.client(b"two\r\n.\r\nQUIT\r\n");
    t.server(b"554 refused\r\n221 bye\r\n");
    let events = t.close();
    assert_eq!(events.len(), 2);
    assert_eq!((from(&events[0]), to(&events[0]), body(&events[0])), ("a@x", vec!["b@y"], "one\r\n".into()));
    assert_eq!((from(&events[1]), to(&events[1]), body(&events[1])), ("c@x", vec!["d@y"], "two\r\n".into()));
    assert_eq!((events[0].outcome, events[1].outcome), (Outcome::Accepted, Outcome::Rejected));
    assert!(events[1].dialect.has(Dialect::PIPELINED));
}

#[test]
fn chunks_are_joined_and_need_no_354() {
    // RFC 3030, section 4.2, shortened; the chunk holds what looks like commands and dots.
    let mut t = Bench::new();
    t.play(OPENING);
    t.client(b"MAIL FROM:<a@x> BODY=BINARYMIME\r\nRCPT TO:<b@y>\r\nBDAT 9\r\n.\r\nQUIT\r\nBDAT 4 LAST\r\nabcdMAIL FROM:<n@x>\r\n");
    t.server(b"250 ok\r\n250 ok\r\n250 9 octets\r\n250 done\r\n250 ok\r\n");
    let events = t.close();
    assert_eq!((body(&events[0]), events[0].outcome), (".\r\nQUIT\r\nabcd".into(), Outcome::Accepted));
    assert_eq!((from(&events[1]), events[1].outcome), ("n@x", Outcome::Aborted));
}

#[test]
fn an_empty_last_chunk_ends_the_message() {
    let mut t = Bench::new();
    t.play(OPENING);
    t.client(b"MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nBDAT 3\r\nabcBDAT 0 LAST\r\n");
    t.server(b"250 ok\r\n250 ok\r\n250 ok\r\n250 done\r\n");
    assert_eq!(body(&t.events()[0]), "abc");
}

#[test]
fn a_message_given_up_after_some_chunks_is_not_whole() {
    // Exim sends the header as a chunk of its own, reads the refusals, and thinks better of the rest.
    let mut t = Bench::new();
    t.play(OPENING);
    t.client(b"MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nBDAT 12\r\nSubject: s\r\n");
    t.server(b"250 ok\r\n550 no\r\n503 no valid recipients\r\n");
    t.play("C: RSET\nS: 250 ok\nC: QUIT\nS: 221 bye");
    let message = t.events()[0].message.clone().unwrap();
    assert_eq!((message.bytes.as_slice(), message.truncated), (b"Subject: s\r\n".as_slice(), true));
}

#[test]
fn a_server_that_holds_on_to_a_failed_sender_sends_the_next_message_in_its_name() {
    // Exim, after every recipient of the first was refused and the client did not reset: what it stored names <a@x>.
    let mut t = Bench::new();
    t.play(OPENING);
    t.client(b"MAIL FROM:<a@x>\r\nRCPT TO:<no@y>\r\nBDAT 3 LAST\r\nabc");
    t.server(b"250 ok\r\n550 no\r\n503 no recipients\r\n");
    t.client(b"MAIL FROM:<b@x>\r\nRCPT TO:<ok@y>\r\nBDAT 3 LAST\r\ndef");
    t.server(b"503 sender already given\r\n250 ok\r\n250 done\r\n");
    t.client(b"MAIL FROM:<c@x>\r\nRCPT TO:<no@y>\r\nDATA\r\n");
    t.server(b"250 ok\r\n550 no\r\n503 no recipients\r\n");
    t.play("C: RSET\nS: 250 ok\nC: MAIL FROM:<d@x>\nS: 503 not now\nC: QUIT\nS: 221 bye");
    let events = t.close();
    let told: Vec<_> = events.iter().map(|event| (from(event), event.outcome)).collect();
    use Outcome::{Accepted, Rejected};
    assert_eq!(told, [("a@x", Rejected), ("a@x", Accepted), ("c@x", Rejected), ("d@x", Rejected)]);
}

#[test]
fn rset_ends_a_transaction_and_nothing_bleeds_into_the_next() {
    let mut t = Bench::new();
    t.play(OPENING).play(
        "C: MAIL FROM:<a@x>
        S: 250 ok
        C: RCPT TO:<b@y>
        S: 250 ok
        C: RSET
        S: 250 ok
        C: MAIL FROM:<c@x>
        S: 250 ok
        C: RCPT TO:<d@y>
        S: 250 ok
        C: DATA
        S: 354 go
        C: .
        S: 250 ok",
    );
    let events = t.close();
    assert_eq!((from(&events[0]), events[0].outcome), ("a@x", Outcome::Reset));
    assert_eq!((from(&events[1]), to(&events[1]), body(&events[1])), ("c@x", vec!["d@y"], String::new()));
}

#[test]
fn a_refused_data_leaves_the_client_in_commands() {
    let mut t = Bench::new();
    t.play(OPENING).play(
        "C: MAIL FROM:<a@x>
        S: 250 ok
        C: RCPT TO:<b@y>
        S: 450 later
        C: DATA
        S: 554 no valid recipients
        C: MAIL FROM:<c@x>
        S: 250 ok",
    );
    let events = t.close();
    assert_eq!((from(&events[0]), events[0].outcome), ("a@x", Outcome::Rejected));
    assert_eq!(events[0].reply.as_ref().unwrap().code, 554);
    assert_eq!(from(&events[1]), "c@x");
}

#[test]
fn a_nested_mail_that_is_refused_leaves_the_first_open() {
    // RFC 5321, section 4.1.4: MAIL within a transaction must be answered 503.
    let mut t = Bench::new();
    t.play(OPENING).play(
        "C: MAIL FROM:<a@x>
        S: 250 ok
        C: MAIL FROM:<z@x>
        S: 503 nested MAIL
        C: RCPT TO:<b@y>
        S: 250 ok
        C: DATA
        S: 354 go
        C: hi
        C: .
        S: 250 ok",
    );
    let events = t.close();
    assert_eq!(events.len(), 1);
    assert_eq!((from(&events[0]), to(&events[0]), events[0].outcome), ("a@x", vec!["b@y"], Outcome::Accepted));
}

#[test]
fn ehlo_refused_then_helo() {
    let mut t = Bench::new();
    t.play("S: 220 old\nC: EHLO c.example\nS: 502 what?\nC: HELO c.example\nS: 250 hi\nC: MAIL FROM:<a@x>\nS: 250 ok");
    let events = t.close();
    assert!(!events[0].extended);
    assert_eq!(events[0].helo.as_deref(), Some("c.example"));
}

#[test]
fn a_refused_hello_changes_nothing() {
    // RFC 5321, section 4.1.4: EHLO without a name is refused, and the open transaction goes on.
    let mut t = Bench::new();
    t.play("S: 220 mx\nC: HELO c.example\nS: 250 hi\nC: MAIL FROM:<a@x>\nS: 250 ok\nC: EHLO\nS: 501 Syntax");
    t.play("C: RCPT TO:<b@y>\nS: 250 ok\nC: DATA\nS: 354 go\nC: hi\nC: .\nS: 250 ok");
    let events = t.close();
    assert_eq!(events.len(), 1);
    assert_eq!((from(&events[0]), to(&events[0]), events[0].helo.as_deref()), ("a@x", vec!["b@y"], Some("c.example")));
    assert_eq!((events[0].outcome, t.stats.sessions), (Outcome::Accepted, 1));
}

#[test]
fn a_bdat_that_is_refused_for_its_syntax_has_no_chunk() {
    let mut t = Bench::new();
    t.play(OPENING);
    t.client(b"BDAT 5 X\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n");
    t.server(b"501 syntax\r\n250 ok\r\n250 ok\r\n354 go\r\n");
    t.play("C: hi\nC: .\nS: 250 ok");
    let events = t.close();
    assert_eq!((events.len(), from(&events[0]), body(&events[0])), (1, "a@x", "hi\r\n".into()));
}

#[test]
fn auth_keeps_no_secret() {
    let mut t = Bench::new();
    t.play(OPENING).play(
        "C: AUTH LOGIN
        S: 334 VXNlcm5hbWU6
        C: c2VjcmV0LXVzZXI=
        S: 334 UGFzc3dvcmQ6
        C: c2VjcmV0LXBhc3M=
        S: 235 ok
        C: MAIL FROM:<a@x>
        S: 250 ok",
    );
    let events = t.close();
    assert_eq!(events[0].auth, Some(Auth { mechanism: "LOGIN".into(), accepted: Some(true) }));
    let everything = format!("{:?}", t.out);
    assert!(!everything.contains("c2Vjc"), "{everything}");
}

#[test]
fn a_credential_that_looks_like_a_command_is_none() {
    let mut t = Bench::new();
    t.play(OPENING).play("C: AUTH LOGIN\nS: 334 u\nC: MAIL FROM:<pass@word>\nS: 535 no\nC: QUIT\nS: 221 bye");
    let events = t.close();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].envelope, None);
    assert_eq!(events[0].auth.as_ref().unwrap().accepted, Some(false));
}

#[test]
fn starttls_hides_the_rest_and_a_refusal_does_not() {
    let mut t = Bench::new();
    t.play(OPENING).play("C: STARTTLS\nS: 220 go ahead");
    t.client(b"\x16\x03\x01\x02\x00MAIL FROM:<not@this>\r\n");
    let events = t.close();
    assert_eq!(events.len(), 1);
    assert!(events[0].tls && events[0].envelope.is_none());
    assert_eq!(events[0].reply.as_ref().unwrap().code, 220);

    let mut t = Bench::new();
    t.play(OPENING).play("C: STARTTLS\nS: 454 not now\nC: MAIL FROM:<a@x>\nS: 250 ok");
    let events = t.close();
    assert_eq!((from(&events[0]), events[0].tls), ("a@x", false));
}

#[test]
fn tls_from_the_first_byte() {
    let mut t = Bench::new();
    t.client(b"\x16\x03\x01\x00\xa5");
    let events = t.close();
    assert!(events[0].tls);
}

#[test]
fn a_lone_dot_the_server_takes_for_the_end_is_the_end() {
    let mut t = Bench::new();
    t.play(OPENING).play("C: MAIL FROM:<a@x>\nS: 250 ok\nC: RCPT TO:<b@y>\nS: 250 ok\nC: DATA\nS: 354 go");
    t.client(b"hello\n.\nMAIL FROM:<smuggled@x>\r\nRCPT TO:<v@y>\r\n");
    t.server(b"250 taken\r\n250 ok\r\n250 ok\r\n");
    let events = t.close();
    assert_eq!((from(&events[0]), body(&events[0])), ("a@x", "hello\n".into()));
    assert_eq!((from(&events[1]), to(&events[1])), ("smuggled@x", vec!["v@y"]));
    assert_eq!(t.anomalies(), ["smtp-nonstandard-end-of-data"]);
}

#[test]
fn a_lone_dot_the_server_does_not_take_is_content() {
    let mut t = Bench::new();
    t.play(OPENING).play("C: MAIL FROM:<a@x>\nS: 250 ok\nC: RCPT TO:<b@y>\nS: 250 ok\nC: DATA\nS: 354 go");
    t.client(b"hello\n.\nMAIL FROM:<quoted@x>\r\n.\r\n");
    t.server(b"250 taken\r\n");
    let events = t.close();
    assert_eq!(events.len(), 1);
    assert_eq!(body(&events[0]), "hello\n\nMAIL FROM:<quoted@x>\r\n");
    assert_eq!(t.anomalies(), ["smtp-nonstandard-end-of-data"]);
}

#[test]
fn the_client_alone_is_believed() {
    let mut t = Bench::new();
    t.server_unseen = true;
    t.client(b"EHLO c\r\nAUTH LOGIN\r\nc2VjcmV0\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\nhi\r\n.\r\nQUIT\r\n");
    let events = t.events();
    assert_eq!((from(&events[0]), body(&events[0]), events[0].outcome), ("a@x", "hi\r\n".into(), Outcome::Unknown));
    assert_eq!(events[0].unseen, [false, true]);
    assert!(!events[0].dialect.has(Dialect::PIPELINED), "without replies nobody knows");
}

#[test]
fn other_protocols_are_told_apart() {
    for (greeting, said) in [("220 ftp ready", "USER anonymous"), ("220 x", "GET / HTTP/1.1"), ("220 hi", "NICK bob")] {
        let mut t = Bench::on(false, false);
        t.play(&format!("S: {greeting}\nC: {said}"));
        assert_eq!(t.session.standing(), Standing::Other, "{said}");
        assert!(t.close().is_empty());
    }
    let mut t = Bench::on(false, false);
    t.play("S: 220 hi\nC: EHLO x\nS: 250 ok\nC: MAIL FROM:<a@x>\nS: 250 ok");
    assert_eq!(t.session.standing(), Standing::Smtp);
    let mut t = Bench::new();
    t.play("C: GET / HTTP/1.0\nC: MAIL FROM:<a@x>");
    assert_eq!(t.session.standing(), Standing::Other);
}

#[test]
fn lmtp_has_a_reply_for_each_recipient() {
    // RFC 2033, section 4.2.
    let mut t = Bench::new();
    t.play(
        "S: 220 lmtp LMTP
        C: LHLO c
        S: 250 ok
        C: MAIL FROM:<a@x>
        S: 250 ok
        C: RCPT TO:<b@y>
        S: 250 ok
        C: RCPT TO:<c@y>
        S: 250 ok
        C: DATA
        S: 354 go
        C: hi
        C: .
        S: 452 b is full
        S: 250 c got it
        C: MAIL FROM:<n@x>
        S: 250 ok",
    );
    let events = t.close();
    assert_eq!((to(&events[0]), events[0].outcome), (vec!["c@y"], Outcome::Accepted));
    assert_eq!(events[0].envelope.as_ref().unwrap().rcpt_rejected[0].address, "b@y");
    assert_eq!(from(&events[1]), "n@x");
}

#[test]
fn who_speaks_before_the_greeting_is_noted() {
    let mut t = Bench::new();
    t.play("C: EHLO ylmf-pc\nS: 220 mx ESMTP\nS: 250 hi\nC: MAIL FROM:<a@x>\nS: 250 ok");
    let names: Vec<_> = t.close()[0].dialect.names().collect();
    assert_eq!(names, ["no-space-after-colon", "helo-bare-word", "early-talker"]);
}

#[test]
fn a_refusing_greeting_and_a_silent_close_are_told() {
    let mut t = Bench::new();
    t.play("S: 554 no service for you");
    let events = t.close();
    assert_eq!((events.len(), events[0].reply.as_ref().unwrap().code), (1, 554));
    let mut t = Bench::new();
    t.play("S: 220 mx ESMTP");
    assert!(t.close().is_empty(), "nobody said anything to it");
}

#[test]
fn endless_recipients_and_lines_stay_bounded() {
    let mut t = Bench::new();
    t.play(OPENING).play("C: MAIL FROM:<a@x>\nS: 250 ok");
    for n in 0..3_000 {
        t.client(format!("RCPT TO:<u{n}@y>\r\n").as_bytes());
    }
    t.client(&vec![b'x'; 1 << 20]);
    t.client(b"\r\n");
    assert!(t.session.pending.len() <= limits::SMTP_PIPELINE);
    let events = t.close();
    let envelope = events[0].envelope.as_ref().unwrap();
    assert_eq!(envelope.rcpt_to.len(), limits::SMTP_RECIPIENTS);
    assert_eq!(envelope.rcpt_dropped as usize, 3_000 - limits::SMTP_RECIPIENTS);
    assert_eq!(t.anomalies(), ["smtp-line-too-long"]);
}

/// Sessions in turns: who speaks, and what. Each turn waits for the one before.
const TURNS: &[(bool, &str)] = &[
    (false, "220-two lines\r\n220 ESMTP\r\n"),
    (true, "EHLO c.example\r\n"),
    (false, "250-mx\r\n250 AUTH PLAIN\r\n"),
    (true, "AUTH PLAIN\r\n"),
    (false, "334 \r\n"),
    (true, "AGFsaWNlAHNlY3JldA==\r\n"),
    (false, "235 ok\r\n"),
    (true, "MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nRCPT TO:<c@y>\r\nDATA\r\n"),
    (false, "250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n"),
    (
        true,
        "Subject: hi\r\n\r\n..dot\r\nend\r\n.\r\nRSET\r\nMAIL FROM:<d@x>\r\nRCPT TO:<e@y>\r\nBDAT 5\r\n12\r\n4BDAT 2 LAST\r\nxy",
    ),
    (false, "250 taken\r\n250 reset\r\n250 ok\r\n250 ok\r\n250 chunk\r\n451 later\r\n"),
    (true, "QUIT\r\n"),
    (false, "221 bye\r\n"),
];

fn play_split(pieces: &mut dyn FnMut() -> usize) -> (Vec<String>, usize) {
    let mut t = Bench::new();
    for (by_client, turn) in TURNS {
        let mut rest = turn.as_bytes();
        while !rest.is_empty() {
            let (piece, left) = rest.split_at(pieces().clamp(1, rest.len()));
            if *by_client {
                t.client(piece)
            } else {
                t.server(piece)
            }
            rest = left;
        }
    }
    let events = t.close().iter().map(|event| format!("{event:?}")).collect();
    (events, t.anomalies().len())
}

proptest! {
    #[test]
    fn any_split_gives_the_same_events(cuts in prop::collection::vec(1usize..40, 1..60)) {
        let whole = play_split(&mut || usize::MAX);
        prop_assert_eq!(whole.0.len(), 2);
        let mut at = 0;
        let split = play_split(&mut || { at += 1; cuts[at % cuts.len()] });
        prop_assert_eq!(split, whole);
    }

    /// Whatever both sides say, with gaps anywhere: no panic, and all message bytes are given back.
    #[test]
    fn nothing_hostile_breaks_it(steps in prop::collection::vec((0u8..6, 0usize..20, any::<Vec<u8>>()), 0..80), midstream: bool, expected: bool) {
        const SAYS: [&str; 20] = ["EHLO a\r\n", "MAIL FROM:<a@x> SIZE=99\r\n", "RCPT TO:<b>\r\n", "DATA\r\n", "BDAT 7\r\n", "BDAT 3 LAST\r\n",
            "RSET\r\n", "AUTH LOGIN\r\n", "STARTTLS\r\n", ".\r\n", "\n.\n", "QUIT\r\n", "x\n", "LHLO l\r\n", "PROXY TCP4 ", "\r.\r\n",
            "\u{16}\u{3}\u{1}\0\u{4}\u{1}\0\0\0", "XFORWARD NAME=a ADDR=b\r\n", "\r\n.\r", "\r\n\r\n\0\r\nQUIT\n!"];
        const REPLIES: [&str; 20] = ["220 ESMTP\r\n", "250 ok\r\n", "250-a\r\n", "354 go\r\n", "334 x\r\n", "235 ok\r\n", "503 no\r\n", "550 no\r\n",
            "421 bye\r\n", "220 tls\r\n", "\r\n", "999\r\n", "250 ok\r\n250 ok\r\n", "354 go\r\n", "250 2.1.0 <a@b>... Sender ok\r\n",
            "550 <c@d>... User unknown\r\n", "\u{16}\u{3}\u{3}\0\u{4}\u{e}\0\0\0", "251 ok\r\n", "221 bye\r\n", "+OK\r\n"];
        let mut t = Bench::on(expected, midstream);
        for (what, which, bytes) in steps {
            match what {
                0 | 1 => t.client(SAYS[which].as_bytes()),
                2 => t.server(REPLIES[which].as_bytes()),
                3 => if which % 2 == 0 { t.client(&bytes) } else { t.server(&bytes) },
                4 => t.gap(if which % 2 == 0 { Side::Client } else { Side::Server }, which as u64 * 3),
                _ => (t.server_unseen, t.client_unseen) = (which % 3 == 0, which % 3 == 1),
            }
        }
        t.close();
    }
}
