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
