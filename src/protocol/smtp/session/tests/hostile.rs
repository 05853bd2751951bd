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
