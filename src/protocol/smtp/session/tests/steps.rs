//! Replies and commands out of step, and what servers and clients do that no RFC has them do.

use super::*;

pub(super) const UP_TO_DATA: &str = "C: MAIL FROM:<a@x>\nS: 250 ok\nC: RCPT TO:<b@y>\nS: 250 ok\nC: DATA";
const UP_TO_RCPT: &str = "C: MAIL FROM:<a@x>\nS: 250 ok\nC: RCPT TO:<b@y>\nS: 250 ok";
const MESSAGE: &str = "C: Subject: x\nC:\nC: hi\nC: .\nS: 250 taken";

fn one(script: &[&str]) -> SmtpEvent {
    let mut t = Bench::new();
    for part in script {
        t.play(part);
    }
    let mut events = t.close();
    assert_eq!(events.len(), 1, "{script:?}");
    events.remove(0)
}

#[test]
fn the_server_closes_at_any_time() {
    // RFC 5321, section 3.8: 421 to any command, or to none.
    let event = one(&[OPENING, "C: MAIL FROM:<a@x>\nS: 421 4.3.2 shutting down"]);
    assert_eq!((event.outcome, event.reply.unwrap().code), (Outcome::Rejected, 421));
    let event = one(&[OPENING, "C: MAIL FROM:<a@x>\nS: 250 ok\nS: 421 4.4.2 timeout"]);
    assert_eq!((event.outcome, event.reply.unwrap().code), (Outcome::Aborted, 421));
    let event = one(&[OPENING, UP_TO_DATA, "S: 354 go\nC: hi\nS: 421 4.3.2 disk full"]);
    assert_eq!((event.outcome, event.reply.unwrap().code), (Outcome::Rejected, 421));
    let event = one(&["S: 421 4.7.0 too many of you"]);
    assert_eq!((event.envelope, event.reply.unwrap().code), (None, 421));
}

#[test]
fn a_connection_that_just_ends() {
    let event = one(&[OPENING, UP_TO_DATA, "S: 354 go\nC: half of"]);
    assert_eq!((event.outcome, body(&event)), (Outcome::Aborted, "half of\r\n".into()));
    assert!(event.message.unwrap().truncated);
    let event = one(&[OPENING, UP_TO_DATA]);
    assert_eq!((event.outcome, event.message.is_some()), (Outcome::Aborted, false));
}

#[test]
fn odd_answers_to_data() {
    // Neither 354 nor an error: the client goes on with the message, or with commands.
    for odd in ["250 send it", "251 ok", "200 fine"] {
        let event = one(&[OPENING, UP_TO_DATA, &format!("S: {odd}"), MESSAGE]);
        assert_eq!((body(&event), event.outcome), ("Subject: x\r\n\r\nhi\r\n".into(), Outcome::Accepted), "{odd}");
        let event = one(&[OPENING, UP_TO_DATA, &format!("S: {odd}"), "C: RSET\nS: 250 ok\nC: QUIT\nS: 221 bye"]);
        assert_eq!((event.outcome, event.message.is_some()), (Outcome::Reset, false), "{odd}");
    }
    // 354 said twice is said once.
    let event = one(&[OPENING, UP_TO_DATA, "S: 354 go\nS: 354 go on", MESSAGE]);
    assert_eq!((event.outcome, event.reply.unwrap().code), (Outcome::Accepted, 250));
}

#[test]
fn an_odd_answer_to_data_in_pieces() {
    let mut t = Bench::new();
    t.play(OPENING).play(UP_TO_DATA).play("S: 250 send it");
    for byte in b"MAIL comes\r\n.\r\n" {
        t.client(&[*byte]);
    }
    t.play("S: 250 taken");
    assert_eq!(body(&t.close()[0]), "MAIL comes\r\n");
}

#[test]
fn commands_after_failures() {
    let event = one(&[
        OPENING,
        "C: RCPT TO:<early@y>\nS: 503 MAIL first
        C: VRFY root\nS: 252 cannot
        C: EXPN staff\nS: 550 no
        C: HELP\nS: 214-a\nS: 214-b\nS: 214 c
        C: NOOP\nS: 250 ok
        C: WHATEVER\nS: 500 what?",
        UP_TO_DATA,
        "S: 354 go",
        MESSAGE,
    ]);
    // The RCPT that came too early opened nothing that the server knew of.
    assert_eq!((from(&event), to(&event), event.outcome), ("a@x", vec!["b@y"], Outcome::Accepted));
}

#[test]
fn a_server_that_greets_twice_or_in_pieces() {
    let event = one(&["S: 220 proxy\nS: 220 mx ESMTP\nC: HELO c\nS: 250 hi", UP_TO_DATA, "S: 354 go", MESSAGE]);
    assert_eq!((to(&event), event.outcome), (vec!["b@y"], Outcome::Accepted));
    let event = one(&[OPENING, "C: MAIL FROM:<a@x>\nS: 220 mx\nS: 250 ok\nC: RCPT TO:<b@y>\nS: 550 no"]);
    assert_eq!(event.envelope.unwrap().rcpt_rejected[0].address, "b@y");
    let mut t = Bench::new();
    for piece in ["2", "20-mx", ".example\r", "\n22", "0 ESMTP", "\r\n"] {
        t.server(piece.as_bytes());
    }
    t.play("C: HELO c\nS: 250 hi").play(UP_TO_DATA).play("S: 354 go").play(MESSAGE);
    assert_eq!(t.close()[0].outcome, Outcome::Accepted);
    let greeting = t.out.iter().find_map(|said| if let Said::Greeting(reply) = said { Some(reply) } else { None });
    assert_eq!(greeting.unwrap().text, "mx.example\nESMTP");
}

#[test]
fn a_greeting_that_was_not_captured() {
    let event = one(&["C: EHLO c\nS: 250 hi", UP_TO_DATA, "S: 354 go", MESSAGE]);
    assert_eq!((to(&event), event.outcome), (vec!["b@y"], Outcome::Accepted));
}

#[test]
fn pipelined_commands_whose_replies_were_lost_in_part() {
    let mut t = Bench::new();
    t.play(OPENING);
    t.client(b"MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nRCPT TO:<c@y>\r\nDATA\r\n");
    t.gap(Side::Server, 8);
    // Whose refusal that is cannot be known; 354 can be only one's.
    t.server(b"550 no\r\n354 go\r\n");
    t.client(b"hi\r\n.\r\nMAIL FROM:<d@x>\r\nRCPT TO:<e@y>\r\n");
    t.server(b"250 taken\r\n250 ok\r\n550 no\r\n");
    let events = t.close();
    assert_eq!((to(&events[0]), events[0].outcome), (vec!["b@y", "c@y"], Outcome::Accepted));
    assert_eq!(events[1].envelope.as_ref().unwrap().rcpt_rejected[0].address, "e@y");
}

#[test]
fn a_message_in_chunks_over_lmtp() {
    // RFC 2033, section 4.2, with BDAT: one reply for each recipient accepted.
    let mut t = Bench::new();
    t.play("S: 220 LMTP\nC: LHLO c\nS: 250 CHUNKING");
    t.client(
        b"MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nRCPT TO:<c@y>\r\nRCPT TO:<d@y>\r\nBDAT 2 LAST\r\nhiMAIL FROM:<n@x>\r\n",
    );
    t.server(b"250 ok\r\n250 ok\r\n550 no c\r\n250 ok\r\n452 b is full\r\n250 d has it\r\n503 no more\r\n");
    let events = t.close();
    assert_eq!((to(&events[0]), events[0].outcome), (vec!["d@y"], Outcome::Accepted));
    let rejected: Vec<_> = events[0].envelope.iter().flat_map(|e| &e.rcpt_rejected).map(|r| r.reply.code).collect();
    assert_eq!(rejected, [452, 550]);
    assert_eq!((from(&events[1]), events[1].outcome), ("n@x", Outcome::Rejected));
}

/// Its end came late to the sensor, or never came: the client gave up.
#[test]
fn replies_to_a_chunk_before_its_end() {
    // RFC 2033, section 4.2, with BDAT: one reply for each recipient.
    let mut t = Bench::new();
    t.play("S: 220 LMTP\nC: LHLO c\nS: 250 CHUNKING");
    t.client(b"MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nRCPT TO:<c@y>\r\nBDAT 4 LAST\r\nhi");
    t.server(b"250 ok\r\n250 ok\r\n250 ok\r\n250 b has it\r\n550 no c\r\n");
    t.client(b"hoMAIL FROM:<n@x>\r\n");
    t.server(b"550 no more\r\n");
    let events = t.close();
    assert_eq!((to(&events[0]), body(&events[0]), events[0].outcome), (vec!["b@y"], "hiho".into(), Outcome::Accepted));
    assert_eq!((from(&events[1]), events[1].outcome), ("n@x", Outcome::Rejected));

    // As within a message after DATA.
    for (chunk, code) in [("BDAT 1000", 552), ("BDAT 1000 LAST", 552), ("BDAT 1000 LAST", 421)] {
        let event = one(&[OPENING, UP_TO_RCPT, &format!("C: {chunk}\nC: hi\nS: {code} enough")]);
        assert_eq!((event.outcome, event.reply.as_ref().unwrap().code), (Outcome::Rejected, code), "{chunk}");
        assert_eq!(body(&event), "hi\r\n");
    }
    let event = one(&[OPENING, UP_TO_RCPT, "C: BDAT 1000\nC: hi\nS: 250 go on"]);
    assert_eq!((event.outcome, event.reply), (Outcome::Aborted, None));
}

/// A chunk that is out of sequence may leave its sender with the server: of that alone nothing is told, nor is it counted.
#[test]
fn transactions_are_numbered_as_they_are_told() {
    let mut t = Bench::new();
    t.play(OPENING).play(UP_TO_RCPT);
    t.client(b"BDAT 2\r\nhiBDAT 2 LAST\r\nhoRSET\r\n");
    t.server(b"452 full\r\n503 no\r\n250 ok\r\n");
    t.play(UP_TO_RCPT);
    let events = t.close();
    assert_eq!(events.iter().map(|event| event.tx_id).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn what_is_declared_and_who_is_spoken_for() {
    let mut t = Bench::new();
    t.play("S: 220 mx ESMTP\nC: XCLIENT ADDR=192.0.2.9 NAME=first\nS: 220 mx ESMTP\nC: EHLO c\nS: 250 XFORWARD");
    t.play("C: XFORWARD NAME=[UNAVAILABLE]\nS: 250 ok\nC: XFORWARD PROTO=SMTP\nS: 250 ok");
    t.play("C: MAIL FROM:<a@x> SIZE=70000 BODY=8BITMIME SMTPUTF8 RET=HDRS\nS: 250 ok\nC: RSET\nS: 250 ok");
    t.play("C: XFORWARD PROTO=ESMTP\nS: 250 ok\nC: MAIL FROM:<>\nS: 250 ok");
    let events = t.close();
    let envelope = events[0].envelope.as_ref().unwrap();
    assert_eq!((envelope.size_declared, envelope.body, envelope.utf8), (Some(70_000), Some("8BITMIME"), true));
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let addr = pair("ADDR", "192.0.2.9");
    assert_eq!(events[0].forwarded, [pair("NAME", "[UNAVAILABLE]"), pair("PROTO", "SMTP"), addr.clone()]);
    assert_eq!(events[1].forwarded, [pair("PROTO", "ESMTP"), addr, pair("NAME", "first")]);
    assert_eq!((from(&events[1]), events[1].envelope.as_ref().unwrap().mail_from_unseen), ("", false));
    assert_eq!(events[1].helo.as_deref(), Some("c"), "the client's own word");

    let mut t = Bench::new();
    t.play(OPENING).play("C: XCLIENT ADDR=192.0.2.9\nS: 550 5.7.0 not you\nC: MAIL FROM:<a@x>\nS: 250 ok");
    assert!(t.close()[0].forwarded.is_empty());
}

#[test]
fn a_proxy_header_is_passed_over() {
    let mut t = Bench::new();
    t.client(b"PROXY TCP4 192.0.2.1 198.51.100.1 4242 25\r\n");
    t.play(OPENING).play(UP_TO_DATA).play("S: 354 go").play(MESSAGE);
    let event = &t.close()[0];
    assert_eq!((from(event), event.dialect.has(Dialect::EARLY_TALKER)), ("a@x", false));
}

#[test]
fn smuggling_shapes_are_told_once_and_bare_line_feeds_are_not() {
    let mut t = Bench::new();
    t.play(OPENING);
    for _ in 0..2 {
        t.play(UP_TO_DATA).play("S: 354 go");
        t.client(b"a\r.\r\nMAIL FROM:<s@x>\r\n\r\n.\r\n");
        t.play("S: 250 taken");
    }
    t.client(b"NO\0OP\r\nNO\rOP\r\nNO\0OP\r\n");
    t.close();
    assert_eq!(t.anomalies(), ["smtp-bare-cr", "smtp-nonstandard-end-of-data", "smtp-nul"]);
    assert!(format!("{:?}", t.out).contains("CR . CR, followed by commands"));

    // The connection ends before the message does.
    let mut t = Bench::new();
    t.play(OPENING).play(UP_TO_DATA).play("S: 354 go");
    t.client(b"a\n.\n");
    assert!(t.close()[0].dialect.has(Dialect::BARE_LF));
    assert_eq!(t.anomalies(), ["smtp-nonstandard-end-of-data"]);

    // As the family of Mimail writes: bare line feeds within the message, a proper end.
    let mut t = Bench::new();
    t.play(OPENING).play(UP_TO_DATA).play("S: 354 go");
    t.client(b"From: x\nTo: y\n\nhi\n..\n\r\n.\r\n");
    t.play("S: 250 taken");
    let events = t.close();
    assert!(t.anomalies().is_empty() && events[0].dialect.has(Dialect::BARE_LF));
}

#[test]
fn a_server_that_takes_a_dot_between_lone_crs_for_the_end() {
    let mut t = Bench::new();
    t.play(OPENING).play(UP_TO_DATA).play("S: 354 go");
    t.client(b"hello\r.\r\nMAIL FROM:<smuggled@x>\r\nRCPT TO:<v@y>\r\n");
    t.server(b"250 taken\r\n250 ok\r\n250 ok\r\n");
    let events = t.close();
    assert_eq!((events.len(), body(&events[0]), events[0].outcome), (2, "hello\r".into(), Outcome::Accepted));
    assert_eq!((from(&events[1]), to(&events[1])), ("smuggled@x", vec!["v@y"]));
}

#[test]
fn a_line_under_way_comes_after_what_was_smuggled() {
    let mut t = Bench::new();
    t.play(OPENING).play(UP_TO_DATA).play("S: 354 go");
    t.client(b"hello\n.\nMAIL FROM:<smuggled@x>\r\n.\r\nMAIL FROM:<c@");
    t.server(b"250 taken\r\n250 ok\r\n");
    t.client(b"x>\r\n");
    t.server(b"250 ok\r\n");
    let senders: Vec<_> = t.close().iter().map(|event| from(event).to_owned()).collect();
    assert_eq!(senders, ["a@x", "smuggled@x", "c@x"]);
}

/// A server that repeats what it refuses, after a loss in which AUTH may have been.
#[test]
fn a_refusal_that_may_answer_a_lost_auth_has_no_text() {
    let mut t = Bench::new();
    t.play(OPENING);
    t.gap(Side::Client, 40);
    t.play("C: MAIL FROM:<a@x>\nS: 550 5.7.1 I do not take AGpvaG4=\nC: QUIT\nS: 221 bye");
    let reply = t.close()[0].reply.clone().unwrap();
    assert_eq!((reply.code, reply.text.as_str()), (550, "5.7.1"));
}

#[test]
fn a_reply_to_what_was_lost_is_none_to_what_stood_behind_an_odd_end() {
    let mut t = Bench::new();
    t.play(OPENING).play(UP_TO_DATA).play("S: 354 go");
    t.client(b"hello\n.\nMAIL FROM:<quoted@x>\r\n.\r\n");
    t.server(b"250 taken\r\n");
    t.gap(Side::Client, 6);
    t.server(b"250 ok\r\n");
    assert_eq!(t.close().iter().map(from).collect::<Vec<_>>(), ["a@x"]);
}

/// What is lost behind such an end is lost to the server's commands, too: no line goes on over the hole.
#[test]
fn a_hole_behind_an_odd_end_stays_one() {
    let mut t = Bench::new();
    t.play(OPENING).play(UP_TO_DATA).play("S: 354 go");
    t.client(b"hello\n.\nMAIL FROM:<smuggled@x>\r\nMAIL FROM: other@");
    t.gap(Side::Client, 6);
    t.client(b"org SIZE=1000\r\nRCPT TO:<v@y>\r\n");
    t.server(b"250 taken\r\n250 ok\r\n");
    let events = t.close();
    assert_eq!((body(&events[0]), events[0].message.as_ref().unwrap().gaps), ("hello\n".into(), 0));
    assert_eq!((from(&events[1]), to(&events[1])), ("smuggled@x", vec!["v@y"]));
    assert_eq!(events.len(), 2);
}

/// Out of step after a loss, the end of a chunk may be taken for the beginning of a command line.
#[test]
fn a_credential_behind_what_seems_a_hello_is_not_its_name() {
    let mut t = Bench::new();
    t.play(OPENING);
    t.gap(Side::Server, 20);
    t.client(b"EHLO cAUTH PLAIN AGpvaG4AaHVudGVyMg==\r\n");
    t.server(b"235 welcome AGpvaG4AaHVudGVyMg==\r\n");
    t.play("C: MAIL FROM:<a@x>\nS: 250 ok");
    let events = t.close();
    assert_eq!((events[0].helo.as_deref(), from(&events[0])), (Some("client.example"), "a@x"));
    assert_eq!(events[0].auth.as_ref().unwrap().accepted, Some(true));
    assert!(!format!("{events:?}").contains("AGpv"));
}

#[test]
fn a_tap_that_delivers_one_direction_before_the_other() {
    const CLIENT: &[u8] =
        b"EHLO c\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\nhi\r\n.\r\nMAIL FROM:<c@x>\r\nQUIT\r\n";
    const SERVER: &[u8] = b"220 mx ESMTP\r\n250 hi\r\n250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n250 ok\r\n221 bye\r\n";
    let mut t = Bench::new();
    t.client(CLIENT);
    t.server(SERVER);
    let events = t.close();
    assert_eq!((from(&events[0]), to(&events[0]), body(&events[0])), ("a@x", vec!["b@y"], "hi\r\n".into()));
    assert_eq!((events[0].outcome, from(&events[1])), (Outcome::Accepted, "c@x"));

    // The other way round nobody knows which reply was whose, but what was sent is known.
    let mut t = Bench::new();
    t.server(SERVER);
    t.client(CLIENT);
    let events = t.close();
    assert_eq!((from(&events[0]), to(&events[0]), body(&events[0])), ("a@x", vec!["b@y"], "hi\r\n".into()));
    assert_eq!((events.len(), from(&events[1])), (2, "c@x"));
}

#[test]
fn a_capture_that_starts_between_the_reply_to_data_and_the_message() {
    let mut t = Bench::on(true, true);
    t.client_unseen = true;
    t.play("S: 354 go");
    t.client_unseen = false;
    t.play(MESSAGE).play("C: MAIL FROM:<n@x>\nS: 250 ok");
    let events = t.close();
    assert_eq!((body(&events[0]), events[0].outcome), ("Subject: x\r\n\r\nhi\r\n".into(), Outcome::Accepted));
    assert!(events[0].envelope.as_ref().unwrap().mail_from_unseen);
    assert_eq!(from(&events[1]), "n@x");
}

/// Found by fuzzing: the chunk's bytes were never given back to the account of all messages, which so filled up.
#[test]
fn a_chunk_after_a_refused_mail_is_of_the_transaction_that_goes_on() {
    let mut t = Bench::new();
    t.play("S: 220 mx ESMTP\nC: EHLO a\nS: 250 ok\nC: MAIL FROM:<a@b>\nS: 250 ok");
    t.client(b"MAIL FROM:<c@d>\r\nRCPT TO:<e@f>\r\nBDAT 6 LAST\r\nchunk\n");
    t.play("S: 503 nested\nS: 250 ok\nS: 250 queued");
    let [event] = &t.close()[..] else { panic!("{:?}", t.out) };
    let envelope = event.envelope.as_ref().unwrap();
    assert_eq!((envelope.mail_from.as_str(), &envelope.rcpt_to[..]), ("a@b", &["e@f".to_owned()][..]));
    assert_eq!(event.message.as_ref().unwrap().bytes, b"chunk\n");
}

#[test]
fn what_the_server_offers_is_kept_with_each_transaction() {
    let script = format!(
        "S: 220 mx.example ESMTP
        C: EHLO client.example
        S: 250-mx.example
        S: 250-PIPELINING
        S: 250-size 10240000
        S: 250 AUTH PLAIN LOGIN
        {LETTER}
        {LETTER}"
    );
    let mut bench = Bench::new();
    let told = bench.play(&script).close();
    let offered: Vec<_> = told.iter().map(|event| event.extensions.join(", ")).collect();
    assert_eq!(offered, ["PIPELINING, SIZE 10240000, AUTH PLAIN LOGIN"; 2]);
    assert!(told.iter().all(|event| event.extended && !event.helo_fallback));
}

/// RFC 5321, section 3.2: a client whose EHLO is refused falls back to HELO.
#[test]
fn a_fall_back_to_helo_is_seen() {
    let opening = "S: 220 mx.example
        C: EHLO client.example
        S: 502 command not implemented
        C: HELO client.example
        S: 250 mx.example";
    let told = Bench::new().play(&format!("{opening}\n{LETTER}")).close();
    assert_eq!((told.len(), told[0].helo_fallback, told[0].extended, told[0].extensions.len()), (1, true, false, 0));
    // HELO from the start, and HELO after an EHLO that was taken, are choices.
    for hello in ["", "C: EHLO client.example\nS: 250-mx.example\nS: 250 DSN\n"] {
        let opening = format!("S: 220 mx.example\n{hello}C: HELO client.example\nS: 250 mx.example");
        let told = Bench::new().play(&format!("{opening}\n{LETTER}")).close();
        assert_eq!((told[0].helo_fallback, told[0].extensions.len()), (false, 0));
    }
}

#[test]
fn a_server_heard_alone_tells_what_it_offers() {
    let mut bench = Bench::new();
    bench.client_unseen = true;
    let told =
        bench.play("S: 220 mx.example ESMTP\nS: 250-mx.example\nS: 250-STARTTLS\nS: 250 DSN\nS: 221 bye").close();
    assert_eq!(told.iter().map(|event| event.extensions.join(" ")).collect::<Vec<_>>(), ["STARTTLS DSN"]);
}

const LETTER: &str = "C: MAIL FROM:<a@b>
    S: 250 ok
    C: RCPT TO:<c@d>
    S: 250 ok
    C: DATA
    S: 354 go
    C: Subject: x
    C:
    C: .
    S: 250 taken";

/// RFC 5321, section 4.1.4, and RFC 2920: what follows a MAIL that is refused within a transaction is of that transaction.
/// Found by fuzzing.
#[test]
fn what_is_pipelined_behind_a_refused_mail_is_of_the_transaction_that_goes_on() {
    let mut t = Bench::new();
    t.play("S: 220 mx ESMTP\nC: EHLO a\nS: 250 ok\nC: MAIL FROM:<a@b>\nS: 250 ok\nC: RCPT TO:<e@f>\nS: 250 ok");
    t.client(b"MAIL FROM:<c@d>\r\nRCPT TO:<no@f>\r\nMAIL FROM:<g@h>\r\nRCPT TO:<i@j>\r\nDATA\r\n");
    t.play("S: 503 nested\nS: 550 no\nS: 503 nested\nS: 250 ok\nS: 354 go\nC: x\nC: .\nS: 250 queued");
    let [event] = &t.close()[..] else { panic!("{:?}", t.out) };
    let refused: Vec<_> = event.envelope.iter().flat_map(|all| &all.rcpt_rejected).map(|one| &*one.address).collect();
    assert_eq!((from(event), to(event), refused), ("a@b", vec!["e@f", "i@j"], vec!["no@f"]));
    assert_eq!((body(event).as_str(), event.outcome), ("x\r\n", Outcome::Accepted));

    let mut t = Bench::new();
    t.play("S: 220 mx ESMTP\nC: EHLO a\nS: 250 ok\nC: MAIL FROM:<a@b>\nS: 250 ok\nC: RCPT TO:<e@f>\nS: 250 ok");
    t.client(b"BDAT 3\r\noneBDAT 0\r\nMAIL FROM:<c@d>\r\nBDAT 3 LAST\r\ntwo");
    t.play("S: 250 ok\nS: 250 ok\nS: 503 nested\nS: 250 queued");
    let [event] = &t.close()[..] else { panic!("{:?}", t.out) };
    assert_eq!((from(event), body(event).as_str(), event.outcome), ("a@b", "onetwo", Outcome::Accepted));
}

/// Postfix keeps sender and recipients when it refuses DATA, and refuses the next MAIL. Found by fuzzing.
#[test]
fn a_refused_data_may_leave_the_transaction_open() {
    let mut t = Bench::new();
    t.play(
        "S: 220 mx ESMTP\nC: EHLO a\nS: 250 ok\nC: MAIL FROM:<a@b> SIZE=9\nS: 250 ok\nC: RCPT TO:<c@d>\nS: 250 ok
        C: DATA\nS: 451 later\nC: MAIL FROM:<e@f>\nS: 503 nested\nC: RCPT TO:<g@h>\nS: 250 ok
        C: DATA\nS: 354 go\nC: .\nS: 250 queued",
    );
    let [event] = &t.close()[..] else { panic!("{:?}", t.out) };
    assert_eq!((from(event), to(event), event.outcome), ("a@b", vec!["c@d", "g@h"], Outcome::Accepted));
    assert_eq!(event.envelope.as_ref().unwrap().size_declared, Some(9));
}

/// Found by fuzzing: bytes on both sides of a hole were read as one line.
#[test]
fn nothing_is_joined_over_a_hole_while_a_reply_is_awaited() {
    let mut t = Bench::new();
    t.play("S: 220 mx ESMTP\nC: EHLO a\nS: 250 ok\nC: MAIL FROM:<a@b>\nS: 250 ok\nC: STARTTLS");
    t.gap(Side::Server, 8);
    t.client(b"RCPT TO:<c@d");
    t.gap(Side::Client, 8);
    t.client(b">\r\nRCPT TO:<e@f>\r\n");
    assert_eq!(t.close().iter().map(to).collect::<Vec<_>>(), [["e@f"]]);

    // A message that was sent before the server asked for it, with a hole before a line that begins with a dot.
    let mut t = Bench::new();
    t.play(
        "S: 220 mx ESMTP\nC: EHLO a\nS: 250 ok\nC: MAIL FROM:<a@b>\nS: 250 ok\nC: RCPT TO:<c@d>\nS: 250 ok\nC: DATA",
    );
    t.client(b"one\r\ntw");
    t.gap(Side::Client, 3);
    t.client(b"e\r\n..\r\n.\r\n");
    t.play("S: 354 go\nS: 250 queued");
    let [event] = &t.close()[..] else { panic!("{:?}", t.out) };
    assert_eq!((body(event).as_str(), event.message.as_ref().unwrap().gaps), ("one\r\ntwe\r\n.\r\n", 1));

    // It turns out to be asked for while a line was under way.
    let mut t = Bench::new();
    t.play("S: 220 mx ESMTP\nC: EHLO a\nS: 250 ok\nC: MAIL FROM:<a@b>\nS: 250 ok\nC: RCPT TO:<c@d>\nS: 250 ok");
    t.gap(Side::Client, 6);
    t.client(b"Subject");
    t.play("S: 354 go\nC: : x\nC: .\nS: 250 queued");
    assert!(t.close().iter().any(|event| body(event) == "Subject: x\r\n"), "{:?}", t.out);
}

/// RFC 2033: a server that does not take LHLO answers the end of data once.
#[test]
fn a_refused_lhlo_is_no_lmtp() {
    let mut t = Bench::new();
    t.play(
        "S: 220 mx ESMTP\nC: LHLO a\nS: 500 what\nC: MAIL FROM:<a@b>\nS: 250 ok\nC: RCPT TO:<c@d>\nS: 250 ok
        C: RCPT TO:<e@f>\nS: 250 ok\nC: DATA\nS: 354 go\nC: .\nS: 250 queued\nC: MAIL FROM:<g@h>\nS: 550 no",
    );
    let outcomes: Vec<_> = t.close().iter().map(|event| event.outcome).collect();
    assert_eq!(outcomes, [Outcome::Accepted, Outcome::Rejected]);
}

/// RFC 2033, section 4.2, has a reply for each recipient of a message; 503 is none. Found by fuzzing.
#[test]
fn a_last_chunk_out_of_sequence_is_answered_once_also_in_lmtp() {
    let mut t = Bench::new();
    t.play(
        "S: 220 mx LMTP\nC: LHLO a\nS: 250 ok\nC: MAIL FROM:<a@b>\nS: 250 ok\nC: RCPT TO:<c@d>\nS: 250 ok
        C: RCPT TO:<e@f>\nS: 250 ok",
    );
    t.client(b"BDAT 1\r\nx");
    t.play("S: 554 no");
    t.client(b"BDAT 0 LAST\r\nMAIL FROM:<g@h>\r\n");
    t.play("S: 503 no transaction\nS: 250 ok\nC: QUIT\nS: 221 bye");
    let told: Vec<_> = t.close().iter().map(|event| (from(event).to_owned(), event.outcome)).collect();
    assert_eq!(told, [("a@b".to_owned(), Outcome::Rejected), ("g@h".to_owned(), Outcome::Aborted)]);
}
