//! What belongs to what: blocks, chunks and replies out of the plain order, and what a session holds meanwhile.

use super::steps::UP_TO_DATA;
use super::*;

/// XEXCH50 of Exchange: once the server says 354, so many bytes of no line follow.
#[test]
fn a_block_of_exchange_is_no_command() {
    let mut t = Bench::new();
    t.play(OPENING).play("C: XEXCH50 17 2\nS: 354 send it");
    t.client(b"MAIL FROM:<x@y>\r\n");
    t.server(b"250 ok\r\n");
    t.play("C: MAIL FROM:<a@x>\nS: 550 no");
    assert_eq!(t.close().iter().map(from).collect::<Vec<_>>(), ["a@x"]);

    let mut refused = Bench::new();
    refused.play(OPENING).play("C: XEXCH50 17 2\nS: 504 no");
    refused.client(b"MAIL FROM:<x@y>\r\n");
    refused.server(b"550 no\r\n");
    assert_eq!(refused.close().iter().map(from).collect::<Vec<_>>(), ["x@y"]);
}

/// RFC 2920: replies come in the order of the commands, also while a chunk behind them is under way.
#[test]
fn replies_to_what_stands_before_a_chunk_are_not_the_chunks() {
    let mut t = Bench::new();
    t.play(OPENING);
    t.client(b"MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nRCPT TO:<c@y>\r\nBDAT 4 LAST\r\nhi");
    t.server(b"250 ok\r\n550 no b\r\n250 ok\r\n");
    t.client(b"ho");
    t.server(b"250 taken\r\n");
    let event = &t.close()[0];
    assert_eq!((to(event), body(event), event.outcome), (vec!["c@y"], "hiho".into(), Outcome::Accepted));
    assert_eq!(event.envelope.as_ref().unwrap().rcpt_rejected[0].address, "b@y");
}

#[test]
fn a_refusal_with_nothing_to_refuse_does_not_make_an_odd_end_one() {
    for (reply, senders) in [("250 ok", vec!["a@x", "smuggled@x"]), ("500 what", vec!["a@x"])] {
        let mut t = Bench::new();
        t.play(OPENING).play(UP_TO_DATA).play("S: 354 go");
        t.client(b"hello\n.\nMAIL FROM:<smuggled@x>\r\n.\r\n");
        t.server(format!("250 taken\r\n{reply}\r\n").as_bytes());
        assert_eq!(t.close().iter().map(from).collect::<Vec<_>>(), senders, "{reply}");
    }
}

#[test]
fn what_a_relay_said_of_its_client_is_told_of_a_session_without_mail_too() {
    let mut t = Bench::new();
    t.play(OPENING).play("C: XCLIENT NAME=desk.example ADDR=192.0.2.7\nS: 220 mx\nC: EHLO desk.example\nS: 250 mx");
    t.play("C: QUIT\nS: 221 bye");
    let forwarded = t.close().remove(0).forwarded;
    assert_eq!(forwarded, [("NAME", "desk.example"), ("ADDR", "192.0.2.7")].map(|(a, b)| (a.into(), b.into())));
}

/// A credential may be what is not understood, and half a line is not.
#[test]
fn half_a_line_of_either_side_may_be_a_credential() {
    let mut t = Bench::new();
    t.play(OPENING);
    assert!(t.session.unveil());
    t.client(b"RSE");
    assert!(!t.session.unveil(), "a command under way");
    t.client(b"T\r\n");
    assert!(t.session.unveil());
    t.server(b"250 o");
    assert!(!t.session.unveil(), "a reply under way");
    t.server(b"k\r\n");
    assert!(t.session.unveil());
}

#[test]
fn what_a_session_holds_is_accounted_for() {
    let (long, mut t) = ("x".repeat(300), Bench::new());
    t.play(OPENING);
    let mut held = t.session.held_bytes();
    assert!(held >= size_of::<Session>());
    let mut grows = |t: &Bench, by: usize, what: &str| {
        let now = t.session.held_bytes();
        assert!((held + by..held + 8 * by + 4_096).contains(&now), "{what}: {held}, then {now}");
        held = now;
    };
    t.client(b"MAIL FROM:<");
    t.client(long.as_bytes());
    grows(&t, 300, "half a line");
    t.client(b"@example.net>\r\n");
    t.server(b"250 ok\r\n");
    for number in 0..20 {
        t.client(format!("RCPT TO:<{number}{long}@example.net>\r\n").as_bytes());
    }
    grows(&t, 20 * 300, "recipients that wait for their replies");
    for _ in 0..20 {
        t.server(format!("250-{long}\r\n").as_bytes());
    }
    grows(&t, 1_000, "a reply that is not over");
    t.server(b"250 ok\r\n");
    (1..20).for_each(|_| t.server(format!("550 {long}\r\n").as_bytes()));
    let before = t.session.held_bytes();
    t.client(b"BDAT 100000 LAST\r\n");
    t.client(&[b'x'; 50_000]);
    let chunk = t.session.held_bytes();
    assert!((before + 50_000..before + 150_000).contains(&chunk), "half a chunk: {before}, then {chunk}");
}
