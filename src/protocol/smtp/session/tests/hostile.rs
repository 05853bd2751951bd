//! What only somebody says who wants the sensor to fall.

use super::*;

/// Each question is decided by the next, all of them in one segment: as deep as there are questions, were they read within
/// each other.
#[test]
fn questions_upon_questions_do_not_nest() {
    let mut t = Bench::new();
    t.server_unseen = true;
    t.client(b"EHLO c\r\n");
    t.client(&b"XEXCH50 1 2\r\n".repeat(5_000));
    t.client(b"MAIL FROM:<a@x>\r\n");
    assert_eq!((t.session.commands, from(&t.close()[0])), (5_002, "a@x"));

    // Of a server that does not answer.
    let mut t = Bench::new();
    t.play(OPENING);
    for _ in 0..2 {
        t.client(&b"DATA\r\n".repeat(10_900));
    }
    t.client(b"MAIL FROM:<a@x>\r\n");
    t.play("S: 354 go\nC: hi\nC: .\nS: 250 ok");
    t.close();
    assert!(t.session.commands > 10_000);
}

/// With something between them, chunks of one message count each as one: what waits for replies is bounded.
#[test]
fn chunks_apart_are_bounded_as_messages_are() {
    let mut t = Bench::new();
    t.play(OPENING);
    let chunk = vec![b'x'; 1 << 20];
    let mut most = 0;
    for _ in 0..2 * limits::SMTP_TRANSACTIONS {
        t.client(b"BDAT 1048576\r\n");
        t.client(&chunk);
        t.client(b"NOOP\r\n");
        most = most.max(t.session.held_bytes());
    }
    assert!(most < (limits::SMTP_TRANSACTIONS + 2) << 20, "{most}");
    // Without, they are of one message.
    let mut t = Bench::new();
    t.play(OPENING);
    for _ in 0..8 {
        t.client(b"BDAT 1048576\r\n");
        t.client(&chunk);
    }
    assert!(t.session.held_bytes() < 2 << 20);
    let events = t.close();
    let message = events[0].message.as_ref().unwrap();
    assert_eq!((message.bytes.len(), message.size, message.truncated), (1 << 20, 8 << 20, true));
}
