//! Refused senders, and what is refused for their sake.

use super::*;

#[test]
fn a_refused_sender_is_not_the_one_of_the_next_transaction() {
    // A server that wants AUTH first refuses each command as out of sequence.
    let mut t = Bench::new();
    t.play(OPENING);
    for sender in ["a@x", "b@x", "c@x"] {
        t.client(format!("MAIL FROM:<{sender}>\r\nRCPT TO:<{sender}.y>\r\nBDAT 2 LAST\r\nhi").as_bytes());
        t.server(b"503 5.5.1 AUTH first\r\n503 5.5.1 no\r\n503 5.5.1 no\r\n");
    }
    let events = t.close();
    let told: Vec<_> = events.iter().map(|event| (event.tx_id, from(event), event.outcome)).collect();
    assert_eq!(told, [(0, "a@x", Outcome::Rejected), (1, "b@x", Outcome::Rejected), (2, "c@x", Outcome::Rejected)]);
}

/// The words that tell why, such as the block list a sender is on, are those said to MAIL.
#[test]
fn the_reply_that_refused_a_sender_is_not_lost_behind_what_follows_from_it() {
    for (rest, last) in [("DATA\r\n", ""), ("BDAT 2 LAST\r\nhi", ""), ("BDAT 2\r\nhiBDAT 2 LAST\r\nho", "503 no\r\n")] {
        let mut t = Bench::new();
        t.play(OPENING);
        t.client(format!("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\n{rest}").as_bytes());
        t.server(format!("550 5.7.1 blocked\r\n503 no\r\n503 no\r\n{last}").as_bytes());
        let event = &t.close()[0];
        let reply = event.reply.as_ref().unwrap();
        assert_eq!((event.outcome, reply.code, reply.text.as_str()), (Outcome::Rejected, 550, "5.7.1 blocked"));
    }
}

#[test]
fn a_refused_chunk_is_why_the_last_one_is_out_of_sequence() {
    let mut t = Bench::new();
    t.play(OPENING);
    t.client(b"MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nBDAT 2\r\nhiBDAT 2 LAST\r\nho");
    t.server(b"250 ok\r\n250 ok\r\n452 4.3.1 full\r\n503 no\r\n");
    let event = &t.close()[0];
    assert_eq!((event.outcome, event.reply.as_ref().unwrap().code), (Outcome::Rejected, 452));
}

/// RFC 5321, section 3.8.
#[test]
fn a_server_may_bid_farewell_in_reply_to_anything() {
    for command in ["NOOP", "RSET", "VRFY a", "EHLO again.example"] {
        let mut t = Bench::new();
        t.play(OPENING).play(&format!("C: MAIL FROM:<a@x>\nS: 250 ok\nC: {command}\nS: 421 4.3.2 going down"));
        let event = &t.close()[0];
        if command == "RSET" {
            assert_eq!((event.outcome, event.reply.as_ref()), (Outcome::Reset, None), "ended before");
        } else {
            assert_eq!((event.outcome, event.reply.as_ref().unwrap().code), (Outcome::Aborted, 421), "{command}");
        }
    }
}

/// A tap may deliver all of the client first: more than is queued.
#[test]
fn replies_to_commands_that_left_the_queue_are_passed_over() {
    let mut t = Bench::new();
    t.play(OPENING);
    let accepts = |number: usize| !(number * number).is_multiple_of(3);
    let count = limits::SMTP_TRANSACTIONS + 36;
    for number in 0..count {
        t.client(format!("MAIL FROM:<{number}@x>\r\nRCPT TO:<b@y>\r\nBDAT 2 LAST\r\nhi").as_bytes());
    }
    for number in 0..count {
        let end = if accepts(number) { "250 taken" } else { "554 no" };
        t.server(format!("250 ok\r\n250 ok\r\n{end}\r\n").as_bytes());
    }
    let events = t.close();
    assert_eq!(events.len(), count);
    for (number, event) in events.iter().enumerate() {
        let outcome = if accepts(number) { Outcome::Accepted } else { Outcome::Rejected };
        let outcome = if number < 36 { Outcome::Unknown } else { outcome };
        assert_eq!((from(event), event.outcome), (&*format!("{number}@x"), outcome));
    }
}

#[test]
fn what_decides_is_what_refused_the_sender_unless_the_message_was_taken_all_the_same() {
    let reply = |code: u16| Reply { code, text: String::new() };
    let decided = |sender_refused: bool, decision: Option<u16>| {
        let mut transaction = Transaction::new(Timestamp::default(), "a@x".into());
        (transaction.sender_refused, transaction.refusal) = (sender_refused, Some(reply(550)));
        transaction.decision = decision.map(reply);
        transaction.deciding_reply().unwrap().code
    };
    assert_eq!([decided(true, None), decided(true, Some(503)), decided(true, Some(250))], [550, 550, 250]);
    assert_eq!([decided(false, None), decided(false, Some(503))], [550, 503]);
}

#[test]
fn what_a_server_keeps_of_a_transaction_is_its_sender_as_far_as_it_was_seen() {
    for headless in [false, true] {
        let mut transaction = Transaction::new(Timestamp::default(), "a@x".into());
        transaction.headless = headless;
        transaction.add_recipient("b@y".into());
        let mut leftover = transaction.leftover();
        assert!(leftover.is_empty(), "of that alone nothing is told");
        let envelope = leftover.envelope();
        assert_eq!((envelope.mail_from.as_str(), envelope.mail_from_unseen), ("a@x", headless));
        assert!(envelope.rcpt_to.is_empty());
    }
}
