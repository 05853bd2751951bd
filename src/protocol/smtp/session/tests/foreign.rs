//! Other protocols on mail ports and elsewhere, and the server heard alone.

use super::*;

/// How other protocols begin, by their RFCs (959, 9112, 1939, 3501, 2812, 4253).
const FOREIGN: [(&str, &str); 9] = [
    ("FTP", "S: 220 (vsFTPd 3.0.3)\nC: USER anonymous\nS: 331 password?\nC: PASS x@y\nS: 230 in\nC: QUIT\nS: 221 bye"),
    ("FTP", "S: 220 ready\nC: AUTH TLS\nS: 234 go"),
    ("HTTP", "C: GET / HTTP/1.1\nC: Host: a\nC:\nS: HTTP/1.1 400 Bad"),
    ("HTTP", "C: POST / HTTP/1.1\nC:\nC: HELO x\nC: MAIL FROM:<a@b>"),
    ("POP3", "S: +OK ready\nC: USER a\nS: +OK\nC: PASS b\nS: +OK\nC: RETR 1\nS: +OK\nS: Subject: x\nS: 220 ESMTP"),
    ("POP3", "C: CAPA\nS: +OK"),
    ("IMAP", "S: * OK IMAP4rev1\nC: a1 LOGIN a b\nS: a1 OK"),
    ("IRC", "C: NICK a\nC: USER a 0 * :a\nS: :irc.example 001 a :Welcome"),
    ("SSH", "S: SSH-2.0-OpenSSH_9\nC: SSH-2.0-x"),
];

#[test]
fn other_protocols_are_not_mistaken_for_mail() {
    for expected in [true, false] {
        for (protocol, script) in FOREIGN {
            let mut t = Bench::on(expected, false);
            t.play(script);
            assert_eq!(t.session.standing(), Standing::Other, "{protocol}, expected: {expected}");
            t.close();
            assert!(t.out.is_empty(), "{protocol}: {:?}", t.out);
            assert_eq!(t.stats.sessions, 0);
        }
    }
}

#[test]
fn a_server_heard_alone_tells_what_its_replies_repeat() {
    // Sendmail 8 without its client.
    let mut t = Bench::new();
    t.client_unseen = true;
    t.play(
        "S: 220 mx.example ESMTP Sendmail 8.13.8
        S: 250-mx.example Hello c.example [192.0.2.1], pleased to meet you
        S: 250 PIPELINING
        S: 250 2.1.0 <a@b.example>... Sender ok
        S: 250 2.1.5 <c@d.example>... Recipient ok
        S: 550 5.1.1 <e@d.example>... User unknown
        S: 354 Enter mail
        S: 250 2.0.0 id Message accepted for delivery
        S: 250 2.1.0 <>... Sender ok
        S: 452 4.5.3 <f@d.example>... Too many recipients
        S: 221 2.0.0 mx.example closing connection",
    );
    let events = t.close();
    assert_eq!(events.len(), 2);
    assert_eq!((from(&events[0]), to(&events[0])), ("a@b.example", vec!["c@d.example"]));
    assert_eq!(events[0].envelope.as_ref().unwrap().rcpt_rejected[0].address, "e@d.example");
    assert_eq!((events[0].outcome, events[0].reply.as_ref().unwrap().code), (Outcome::Accepted, 250));
    assert!(events[0].message.is_none() && events[0].helo.is_none());
    assert_eq!(events[0].unseen, [true, false]);
    assert_eq!((from(&events[1]), events[1].envelope.as_ref().unwrap().mail_from_unseen), ("", false));
    assert_eq!((to(&events[1]), events[1].outcome), (vec![], Outcome::Rejected));
}

#[test]
fn a_server_heard_alone_that_repeats_nothing() {
    let mut t = Bench::new();
    t.client_unseen = true;
    t.play("S: 220 mx\nS: 250 mx\nS: 250 2.1.0 Ok\nS: 250 2.1.5 Ok\nS: 354 go\nS: 554 5.7.1 spam\nS: 221 bye");
    let events = t.close();
    let envelope = events[0].envelope.as_ref().unwrap();
    assert_eq!((events.len(), envelope.mail_from_unseen, envelope.rcpt_to.len()), (1, true, 0));
    assert_eq!((events[0].outcome, events[0].reply.as_ref().unwrap().code), (Outcome::Rejected, 554));
    assert_eq!(t.out.iter().filter(|said| matches!(said, Said::Greeting(_))).count(), 1);

    let mut t = Bench::new();
    t.client_unseen = true;
    t.play("S: 220 mx ESMTP\nS: 250 mx\nS: 221 bye");
    let events = t.close();
    assert_eq!((events.len(), events[0].envelope.is_none(), events[0].unseen), (1, true, [true, false]));
}

#[test]
fn an_ftp_server_heard_alone_is_no_mail_server() {
    let mut t = Bench::new();
    t.client_unseen = true;
    t.play("S: 220 ProFTPD FTP Server\nS: 331 Password required\nS: 230 in\nS: 221 bye");
    t.close();
    assert!(t.out.is_empty(), "{:?}", t.out);
}

#[test]
fn the_client_alone_in_chunks() {
    let mut t = Bench::new();
    t.server_unseen = true;
    t.client(b"EHLO c\r\nMAIL FROM:<a@x> SIZE=8 BODY=BINARYMIME\r\nRCPT TO:<b@y>\r\nBDAT 3\r\nabcBDAT 5 LAST\r\ndefghQUIT\r\n");
    let events = t.close();
    assert_eq!((events.len(), body(&events[0]), events[0].outcome), (1, "abcdefgh".into(), Outcome::Unknown));
    assert_eq!(events[0].envelope.as_ref().unwrap().body, Some("BINARYMIME"));
}

/// Found by fuzzing: what a segment began with was taken for the start of a line.
#[test]
fn a_greeting_split_before_a_colon_is_no_irc() {
    let mut t = Bench::on(true, false);
    t.server(b"220 mx.example ESMTP; 12");
    t.server(b":00:01\r\n");
    assert_eq!(t.session.standing(), Standing::Smtp);
}

/// Found by fuzzing: a lone byte 22 was taken for TLS when it was a segment of its own, and for text when it was not.
#[test]
fn tls_is_told_from_text_however_it_is_split() {
    let tls = b"\x16\x03\x01\x00\x05hello";
    for (start, is_tls) in [(&tls[..], true), (b"\x16enough\r\n", false), (b"\x16\x03\x07enough\r\n", false)] {
        for cut in 1..4 {
            let mut t = Bench::on(true, false);
            t.play("S: 220 mx ESMTP\nC: EHLO a\nS: 250 ok");
            t.client(&start[..cut]);
            t.client(&start[cut..]);
            assert_eq!(t.close().iter().any(|event| event.tls), is_tls, "{start:?} cut at {cut}");
        }
    }
}

#[test]
fn a_reply_without_an_address_is_no_null_sender() {
    let senders = |reply: &str| {
        let mut t = Bench::new();
        t.client_unseen = true;
        t.play(&format!(
            "S: 220 mx\nS: 250 mx\nS: {reply}\nS: 250 2.1.5 <b@y>... Recipient ok\nS: 354 go\nS: 250 taken"
        ));
        t.close()[0].envelope.as_ref().map(|envelope| (envelope.mail_from_unseen, envelope.mail_from.clone()))
    };
    assert_eq!(senders("250 2.1.0 <>... Sender ok"), Some((false, String::new())), "RFC 5321, section 4.5.5");
    assert_eq!(senders("250 2.1.0 <a@x>... Sender ok"), Some((false, "a@x".into())));
    assert!(senders("250 2.1.0 ... Sender ok").unwrap().0);
}

/// Some servers refuse a sender only when a recipient is named: it is the transaction that is open.
#[test]
fn a_sender_refused_late_begins_no_other_transaction() {
    let mut t = Bench::new();
    t.client_unseen = true;
    t.play("S: 220 mx\nS: 250 mx\nS: 250 2.1.0 <a@x>... Sender ok\nS: 550 5.7.1 <a@x>... Sender blocked\nS: 221 bye");
    let events = t.close();
    assert_eq!((events.len(), from(&events[0])), (1, "a@x"));
}
