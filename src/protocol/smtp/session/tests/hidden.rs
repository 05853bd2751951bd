//! TLS: the switch, what its handshake shows, and what is told when (RFC 3207, RFC 8314).

use super::*;
use crate::protocol::tls;

const CLIENT: &[u8] = tls::tests::TLS12[0];
const SERVER: &[u8] = tls::tests::TLS12[1];

fn sni(event: &SmtpEvent) -> Option<&str> {
    event.tls_facts.as_ref()?.sni.as_deref()
}

fn subject_known(event: &SmtpEvent) -> bool {
    event.tls_facts.as_ref().is_some_and(|facts| facts.subject.is_some())
}

#[test]
fn the_event_waits_for_the_certificate() {
    let mut t = Bench::new();
    t.play(OPENING).play("C: STARTTLS\nS: 220 go ahead");
    t.client(CLIENT);
    assert!(t.events().is_empty() && !t.session.is_over());
    t.server(SERVER);
    let events = t.events();
    assert_eq!((events.len(), sni(&events[0]), subject_known(&events[0])), (1, Some("mx.example"), true));
    assert_eq!((events[0].tls, events[0].helo.as_deref()), (true, Some("client.example")));
    assert!(t.session.is_over());
    t.client(b"\x17\x03\x03\x00\x05abcde");
    assert_eq!(t.close().len(), 1);
}

#[test]
fn from_the_first_byte_behind_a_proxy_header_and_not() {
    for header in [&b""[..], b"PROXY TCP4 192.0.2.1 198.51.100.1 4242 465\r\n"] {
        let mut t = Bench::new();
        for byte in [header, CLIENT].concat() {
            t.client(&[byte]);
        }
        t.server(SERVER);
        let events = t.close();
        assert_eq!((events.len(), sni(&events[0]), subject_known(&events[0])), (1, Some("mx.example"), true));
        assert_eq!((t.stats.sessions, t.stats.tls_sessions), (1, 1));
    }
}

#[test]
fn a_handshake_that_stalls_is_told_as_far_as_it_was_seen() {
    let mut t = Bench::new();
    t.play(OPENING).play("C: STARTTLS\nS: 220 go ahead");
    t.client(CLIENT);
    t.now = Timestamp::from_parts(59, 0);
    t.server(&SERVER[..90]);
    assert!(t.events().is_empty());
    t.now = Timestamp::from_parts(60, 0);
    t.server(&SERVER[90..91]);
    assert_eq!((sni(&t.events()[0]), subject_known(&t.events()[0])), (Some("mx.example"), false));

    let mut t = Bench::new();
    t.play(OPENING).play("C: STARTTLS\nS: 220 go ahead");
    assert_eq!(t.close().len(), 1, "the connection ended first");
}

#[test]
fn each_side_alone() {
    let mut t = Bench::new();
    t.server_unseen = true;
    t.client(b"EHLO c\r\nSTARTTLS\r\n");
    t.client(CLIENT);
    let events = t.close();
    assert_eq!((events.len(), sni(&events[0]), events[0].unseen), (1, Some("mx.example"), [false, true]));

    let mut t = Bench::new();
    t.client_unseen = true;
    t.play("S: 220 mx ESMTP\nS: 250 STARTTLS\nS: 220 2.0.0 Ready to start TLS");
    t.server(SERVER);
    let events = t.close();
    assert_eq!((events.len(), events[0].tls, subject_known(&events[0])), (1, true, true));
    assert_eq!((sni(&events[0]), events[0].unseen), (None, [true, false]));
}

#[test]
fn the_reply_to_starttls_was_lost() {
    let mut t = Bench::new();
    t.play(OPENING).play("C: STARTTLS");
    t.gap(Side::Server, 20);
    t.client(CLIENT);
    t.server(SERVER);
    let events = t.close();
    assert_eq!((events.len(), sni(&events[0]), subject_known(&events[0])), (1, Some("mx.example"), true));
}

#[test]
fn a_mail_before_the_switch_went_in_clear() {
    let mut t = Bench::new();
    t.play(OPENING)
        .play("C: MAIL FROM:<a@x>\nS: 250 ok\nC: RCPT TO:<b@y>\nS: 250 ok\nC: DATA\nS: 354 go\nC: hi\nC: .\nS: 250 ok");
    t.play("C: STARTTLS\nS: 220 go ahead");
    t.client(CLIENT);
    t.server(SERVER);
    let events = t.close();
    assert_eq!((events.len(), events[0].tls, events[0].outcome), (2, false, Outcome::Accepted));
    assert_eq!((events[1].tls, events[1].tx_id), (true, 1));
    assert!(events[1].envelope.is_none());
}

#[test]
fn commands_slipped_in_before_the_handshake_are_an_anomaly() {
    let mut t = Bench::new();
    t.play(OPENING);
    t.client(b"STARTTLS\r\nMAIL FROM:<slipped@x>\r\n");
    t.play("S: 220 go ahead");
    t.client(CLIENT);
    t.server(SERVER);
    let events = t.close();
    assert_eq!(
        (events.len(), sni(&events[0]), t.anomalies()),
        (1, Some("mx.example"), vec!["smtp-starttls-injection"])
    );
}

#[test]
fn tls_on_other_ports_is_not_followed() {
    let mut t = Bench::on(false, false);
    t.client(CLIENT);
    assert_eq!(t.session.standing(), Standing::Other);
    assert!(t.close().is_empty());
}

proptest! {
    #[test]
    fn any_split_gives_the_same_facts(cuts in prop::collection::vec(1usize..200, 1..40)) {
        let mut t = Bench::new();
        let mut at = 0;
        let turns: [(bool, &[u8]); 5] =
            [(false, b"220 ESMTP\r\n"), (true, b"STARTTLS\r\n"), (false, b"220 go\r\n"), (true, CLIENT), (false, SERVER)];
        for (by_client, turn) in turns {
            let mut rest = turn;
            while !rest.is_empty() {
                at += 1;
                let (piece, left) = rest.split_at(cuts[at % cuts.len()].min(rest.len()));
                if by_client { t.client(piece) } else { t.server(piece) }
                rest = left;
            }
        }
        let events = t.close();
        prop_assert_eq!((events.len(), sni(&events[0]), subject_known(&events[0])), (1, Some("mx.example"), true));
    }
}

#[test]
fn a_handshake_tells_by_itself_that_starttls_was_granted() {
    // The reply was lost, and so was all that the server said since: the first bytes of TLS are no line.
    let mut t = Bench::new();
    t.play(OPENING).play("C: STARTTLS");
    t.client(&[0x16, 3, 1]);
    let events = t.close();
    assert_eq!((events.len(), events[0].tls), (1, true));
}
