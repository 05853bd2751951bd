//! What is kept of a host.

use super::*;
use crate::model::event::{ConnectOutcome, EndReason, SmtpEvent};
use crate::model::net::{FlowNames, Transport, Vlans};

/// A flow to that port outside, begun at that second.
fn flow(second: i64, port: u16) -> Flow {
    Flow {
        client: "10.0.0.1:40000".parse().unwrap(),
        server: SocketAddr::new(IpAddr::from([203, 0, 113, 1]), port),
        transport: Transport::Tcp,
        vlans: Vlans::default(),
        started: Timestamp::from_parts(second, 0),
        midstream: false,
        names: FlowNames::default(),
    }
}

/// 100,000 hosts within 50 MB, what they remember aside.
#[test]
fn a_quiet_host_is_small() {
    assert!(size_of::<Host>() <= 448, "{}", size_of::<Host>());
}

#[test]
fn a_flow_counts_once() {
    let mut ring = FlowRing::default();
    assert!(ring.enter(&flow(0, 25)) && !ring.enter(&flow(0, 25)));
    for second in 1..=8 {
        assert!(ring.enter(&flow(second, 25)));
    }
    assert!(ring.enter(&flow(0, 25)), "long gone, and no harm done");
}

#[test]
fn share_of_link_is_a_share() {
    let mut host = Host::new(IpAddr::from([10, 0, 0, 1]), &[]);
    host.facts.captured_before = 1_000;
    host.facts.tally.bytes = 500;
    assert_eq!(host.facts.share_of_link(1_000), 0.0, "no tick since");
    assert_eq!(host.facts.share_of_link(3_000), 0.25);
    assert_eq!(host.facts.share_of_link(1_100), 1.0, "the tick is older than the bytes");
    assert_eq!(host.facts.share_of_link(0), 0.0, "a counter that went back");
}

#[test]
fn as_many_open_flows_are_told_apart_as_there_are_places() {
    let mut ring = FlowRing::default();
    // Twice around: the oldest gives way, and no other.
    for second in 1..=20 {
        assert!(ring.enter(&flow(second, 25)), "{second}");
        assert!(((second - 7).max(1)..=second).all(|known| !ring.enter(&flow(known, 25))), "{second}");
    }
    assert!(ring.leave(&flow(20, 25)) && !ring.leave(&flow(20, 25)) && !ring.leave(&flow(12, 25)));
}

#[test]
fn a_host_is_worth_what_would_be_lost_with_it() {
    let mut host = Host::new(IpAddr::from([10, 0, 0, 1]), &[]);
    assert_eq!(host.worth(), Worth::Quiet);
    host.facts.conversed = true;
    assert_eq!(host.worth(), Worth::Mailing);
    host.case = Some(Box::default());
    assert_eq!(host.worth(), Worth::Known, "something was said about it");
    let mut server = Host::new(IpAddr::from([10, 0, 0, 2]), &["10.0.0.2/32".parse().unwrap()]);
    assert_eq!(server.worth(), Worth::Known);
    server.case = Some(Box::new(Case::with_verdict(Verdict::Infected)));
    assert_eq!(server.worth(), Worth::Infected);
}

#[test]
fn a_session_that_could_not_be_read_may_have_been_mail() {
    let mailed = |app_proto: &'static str, bytes: [u64; 2]| {
        let mut facts = Host::new(IpAddr::from([10, 0, 0, 1]), &[]).facts;
        let end = FlowEnd {
            packets: [9; 2],
            bytes,
            last: Timestamp::default(),
            app_proto,
            reason: EndReason::Finished,
            tcp_flags: [0x1b; 2],
            wire_bytes: 0,
        };
        facts.conduct(&Load::default(), &EventKind::FlowEnd(Box::new(end)), &settings::Roles::default());
        facts.role.has_mailed()
    };
    let enough = limits::FANOUT_SESSION_BYTES;
    assert!(mailed("failed", [enough; 2]));
    assert!(!mailed("smtp", [enough; 2]), "it could");
    assert!(!mailed("failed", [enough - 1, enough]) && !mailed("failed", [enough, enough - 1]), "too short for one");
}

/// A flow that was open before the capture has no `Connect`: its first message tells of it, and no later one.
#[test]
fn a_session_is_a_connection_where_its_opening_told_of_none() {
    let mut facts = Host::new(IpAddr::from([10, 0, 0, 1]), &[]).facts;
    let open = |second| Flow { midstream: true, ..flow(second, 25) };
    let mut load = |flow: &Flow, tx_id: u32, unseen: [bool; 2]| {
        let smtp = SmtpEvent { tx_id, unseen, ..SmtpEvent::default() };
        let kind = EventKind::Smtp(Box::new(smtp));
        facts.load(&kind, flow, &Findings::default(), &[25]).adds.connections
    };
    assert_eq!(load(&flow(1, 25), 0, [false; 2]), 0, "`Connect` told of it");
    assert_eq!([load(&open(2), 0, [false; 2]), load(&open(2), 0, [false; 2])], [1, 0]);
    assert_eq!([load(&open(3), 1, [false; 2]), load(&flow(4, 25), 0, [true, false])], [0, 1]);
    assert_eq!(load(&flow(5, 2_525), 0, [false; 2]), 1, "a port that is none of mail");
}

#[test]
fn a_flow_whose_opening_is_told_twice_is_one_contact() {
    let mut facts = Host::new(IpAddr::from([10, 0, 0, 1]), &[]).facts;
    let mut contact =
        |outcome| facts.load(&EventKind::Connect(outcome), &flow(1, 25), &Findings::default(), &[25]).contact;
    assert_eq!([contact(ConnectOutcome::Answered), contact(ConnectOutcome::Answered)], [true, false]);
}

#[test]
fn the_first_mail_of_two_addresses_is_the_earlier_with_what_was_captured_before_it() {
    let mailed = |second: Option<i64>| {
        let mut host = Host::new(IpAddr::from([10, 0, 0, 1]), &[]);
        if let Some(second) = second {
            let load = Load { mail: true, ..Load::default() };
            let (kind, now) = (EventKind::Connect(ConnectOutcome::Answered), Timestamp::from_parts(second, 0));
            host.facts.note(&load, &kind, &flow(second, 25), now, second as u64 * 100);
        }
        host
    };
    for (one, other, first) in [(None, Some(5), 5), (Some(5), None, 5), (Some(5), Some(3), 3), (Some(3), Some(5), 3)] {
        let mut host = mailed(one);
        host.join(mailed(other), Timestamp::from_parts(9, 0), &settings::Verdict::default());
        let (time, _) = host.facts.first_mail.unwrap();
        assert_eq!((time, host.facts.captured_before), (Timestamp::from_parts(first, 0), first as u64 * 100));
    }
}

#[test]
fn a_message_counts_where_it_was_carried_or_taken_and_the_first_is_remembered() {
    let mut facts = Host::new(IpAddr::from([10, 0, 0, 1]), &[]).facts;
    let opened = Findings { email: Some(Default::default()), ..Findings::default() };
    let cases = [
        (Outcome::Aborted, false, &Findings::default(), 0),
        (Outcome::Aborted, true, &Findings::default(), 1),
        (Outcome::Aborted, false, &opened, 1),
        (Outcome::Accepted, false, &Findings::default(), 1),
    ];
    for (second, (outcome, kept, findings, expected)) in (0..).zip(cases) {
        let message = kept.then(Default::default);
        let smtp = SmtpEvent { envelope: Some(Default::default()), outcome, message, ..SmtpEvent::default() };
        let kind = EventKind::Smtp(Box::new(smtp));
        let load = facts.load(&kind, &flow(0, 25), findings, &[25]);
        assert_eq!(load.adds.messages, expected, "{outcome:?} {kept}");
        facts.note(&load, &kind, &flow(0, 25), Timestamp::from_parts(second, 0), 0);
    }
    assert_eq!((facts.tally.messages, facts.first_message), (3, Some(Timestamp::from_parts(1, 0))));
}
