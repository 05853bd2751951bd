//! Bytes that were lost, and captures that begin within a session.

use super::*;

#[test]
fn a_gap_in_the_message_marks_it_and_the_next_mail_is_read() {
    let mut t = Bench::new();
    t.play(OPENING).play("C: MAIL FROM:<a@x>\nS: 250 ok\nC: RCPT TO:<b@y>\nS: 250 ok\nC: DATA\nS: 354 go\nC: start");
    t.gap(Side::Client, 1460);
    t.client(b"tail of it\r\n.\r\n");
    t.play("S: 250 ok\nC: MAIL FROM:<c@x>\nS: 250 ok");
    let events = t.close();
    let message = events[0].message.as_ref().unwrap();
    assert_eq!((message.gaps, message.truncated), (1, true));
    assert_eq!(body(&events[0]), "start\r\ntail of it\r\n");
    assert_eq!((events[0].outcome, from(&events[1])), (Outcome::Accepted, "c@x"));
}

#[test]
fn an_end_of_data_that_was_lost_is_known_from_the_reply() {
    let mut t = Bench::new();
    t.play(OPENING).play("C: MAIL FROM:<a@x>\nS: 250 ok\nC: RCPT TO:<b@y>\nS: 250 ok\nC: DATA\nS: 354 go\nC: start");
    t.gap(Side::Client, 100);
    t.play("S: 250 taken\nC: MAIL FROM:<c@x>\nS: 250 ok");
    let events = t.close();
    assert_eq!((events[0].outcome, from(&events[1])), (Outcome::Accepted, "c@x"));
}

#[test]
fn lost_replies_do_not_put_it_out_of_step() {
    let mut t = Bench::new();
    t.play(OPENING).play("C: MAIL FROM:<a@x>");
    t.gap(Side::Server, 8);
    t.play("C: RCPT TO:<b@y>\nS: 550 no such user\nC: RCPT TO:<c@y>\nS: 250 ok\nC: DATA");
    t.gap(Side::Server, 8);
    t.play("C: Subject: x\nC: hi\nC: .\nS: 250 ok");
    let events = t.close();
    assert_eq!((from(&events[0]), to(&events[0])), ("a@x", vec!["c@y"]));
    assert_eq!(body(&events[0]), "Subject: x\r\nhi\r\n");
    assert_eq!(events[0].outcome, Outcome::Accepted);
}

#[test]
fn a_lost_data_command_is_known_from_354() {
    let mut t = Bench::new();
    t.play(OPENING).play("C: MAIL FROM:<a@x>\nS: 250 ok\nC: RCPT TO:<b@y>\nS: 250 ok");
    t.gap(Side::Client, 6);
    t.play("S: 354 go\nC: hi\nC: .\nS: 250 ok");
    assert_eq!(body(&t.close()[0]), "hi\r\n");
}

#[test]
fn a_capture_that_starts_inside_a_message_waits_for_a_command() {
    let mut t = Bench::on(true, true);
    t.client(b"data\r\nhelp me\r\nDATA\r\n.\r\n");
    t.play("S: 250 taken\nC: MAIL FROM:<c@x>\nS: 250 ok\nC: RCPT TO:<d@y>\nS: 250 ok");
    let events = t.close();
    assert_eq!(events.len(), 1);
    assert_eq!((from(&events[0]), to(&events[0])), ("c@x", vec!["d@y"]));
}

#[test]
fn a_gap_within_a_block_of_exchange_takes_its_part_of_it() {
    for (lost, next) in [(300, "c@x"), (0, "d@y")] {
        let mut t = Bench::new();
        t.play(OPENING).play("C: XEXCH50 60 2\nS: 354 go");
        t.client(&[b'x'; 20]);
        t.gap(Side::Client, 20);
        if lost == 0 {
            t.client(b"MAIL FROM:<c@x>\r\n.. ");
            t.server(b"250 taken\r\n");
        } else {
            // More is lost than was left of it: whatever comes next is a command.
            t.gap(Side::Client, lost);
            t.client(b"\r\n");
            t.server(b"250 taken\r\n");
            t.play("C: MAIL FROM:<c@x>\nS: 250 ok");
        }
        t.play("C: MAIL FROM:<d@y>\nS: 250 ok");
        assert_eq!(from(&t.close()[0]), next);
    }
}

#[test]
fn within_a_message_whose_beginning_was_lost_only_capitals_are_commands() {
    for (line, events) in [("BDAT 4 LAST", 1), ("bdat 4 last", 0)] {
        let mut t = Bench::on(true, true);
        t.client(format!("as we said,\r\n{line}\r\nhi\r\n").as_bytes());
        assert_eq!(t.close().len(), events, "{line}");
    }
}
