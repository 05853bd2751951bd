//! How connections begin and end, and how the next one between the same ends is told from the last.

use super::*;
use crate::flow::flags::{ACK, FIN, RST, SYN};
use mailsnare_lab::smtp::Leave;

/// How many mails, each the letter, and how their flows ended.
fn letters_and_ends(told: &Told) -> (usize, Vec<EndReason>) {
    told.mails().into_iter().for_each(assert_is_the_letter);
    (told.mails().len(), told.end_reasons())
}

fn reset_at_the_end(at: Nanos, seed: u64) -> Vec<Frame> {
    let client = Client { leave: Leave::Rudely, ..Client::new("pc.alder.example") };
    conversation(at, 1_025, 25, seed).play(&script(&Session { client, ..session(vec![letter()]) })).packets
}

#[test]
fn a_flow_ends_by_fin_by_reset_and_by_time() {
    let whole = mail(start(), 1_025, 25, 1);
    let mut silent = whole.clone();
    silent.retain(|frame| tcp_flags(frame) & FIN == 0);
    for (name, frames, reason) in [
        ("fin", whole, EndReason::Finished),
        ("reset", reset_at_the_end(start(), 1), EndReason::Reset),
        ("silence", silent, EndReason::TimedOut),
    ] {
        let count = frames.len() as u64;
        for goes_on in [false, true] {
            let mut frames = frames.clone();
            if goes_on {
                frames.extend((0..6).map(|n| time_passes(start() + LATER + n * SECOND)));
            }
            let told = sense(frames);
            let expected = if goes_on || reason != EndReason::TimedOut { reason } else { EndReason::Shutdown };
            assert_eq!(letters_and_ends(&told), (1, vec![expected]), "{name}, goes on: {goes_on}");
            assert_eq!(told.flow_ends()[0].packets.iter().sum::<u64>(), count, "{name}");
        }
    }
}

#[test]
fn a_session_that_falls_silent_inside_a_message_is_told_when_its_time_is_up() {
    let cut = Transaction { cut: Some(20), ..letter() };
    let mut frames = conversation(start(), 1_025, 25, 1).play(&script(&session(vec![cut]))).packets;
    frames.retain(|frame| tcp_flags(frame) & FIN == 0);
    let last = frames.last().unwrap().time;
    let seconds = |n| last + n * SECOND;
    // Some traffic every few seconds, as on any link.
    frames.extend((1..200).map(|n| time_passes(seconds(n * 5))));
    let told = sense(frames);
    let mails = told.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].outcome, Outcome::Aborted);
    let message = mails[0].message.as_ref().unwrap();
    assert_eq!((message.bytes.as_slice(), message.truncated), (&letter().received()[..20], true));
    let told_at = told.events.iter().find(|event| matches!(event.kind, EventKind::Smtp(_))).unwrap().time.as_nanos();
    assert!((seconds(900)..=seconds(910)).contains(&told_at), "{} s", (told_at - last) / SECOND);
    assert_eq!(told.end_reasons(), [EndReason::TimedOut]);
}

#[test]
fn the_next_connection_from_the_same_port_is_another_flow() {
    for (name, first, between) in [
        ("after FIN, at once", mail(start(), 1_025, 25, 1), SECOND),
        ("after FIN, a minute later", mail(start(), 1_025, 25, 1), 60 * SECOND),
        ("after RST", reset_at_the_end(start(), 1), SECOND),
        ("after a time-out", mail(start(), 1_025, 25, 1), LATER),
    ] {
        let last = first.last().unwrap().time;
        let frames = [first, mail(last + between, 1_025, 25, 2)].concat();
        let told = sense(frames);
        assert_eq!(letters_and_ends(&told).0, 2, "{name}");
        assert_eq!(told.connects(), [ConnectOutcome::Answered; 2], "{name}");
        assert_eq!(told.flow_ends().len(), 2, "{name}");
        let flows = told.flows();
        assert_ne!(flows[0].id(), flows[flows.len() - 1].id(), "{name}");
        assert!(told.anomalies().is_empty(), "{name}: {:?}", told.anomalies());
    }
}

#[test]
fn the_next_connection_is_told_though_the_end_of_the_last_was_not_seen() {
    let mut first = mail(start(), 1_025, 25, 1);
    first.retain(|frame| tcp_flags(frame) & FIN == 0);
    let last = first.last().unwrap().time;
    for seed in 2..40 {
        let told = sense([first.clone(), mail(last + 20 * SECOND, 1_025, 25, seed)].concat());
        assert_eq!(letters_and_ends(&told).0, 2, "seed {seed}: {:?}", told.story());
        assert_eq!(told.end_reasons()[0], EndReason::Replaced);
        assert!(told.anomalies().is_empty(), "seed {seed}: {:?}", told.anomalies());
        let ids: std::collections::BTreeSet<u64> = told.flows().iter().map(|flow| flow.id()).collect();
        assert_eq!(ids.len(), 2);
    }
}

#[test]
fn a_repeated_syn_is_no_new_connection() {
    let mut frames = mail(start(), 1_025, 25, 1);
    let syn = frames[0].clone();
    assert_eq!(tcp_flags(&syn), SYN);
    for at in 1..frames.len() {
        let mut again = frames.clone();
        again.insert(at, Frame { time: frames[at].time, data: syn.data.clone() });
        let told = sense_as_is(SensorSettings::default(), &again);
        assert_eq!(letters_and_ends(&told), (1, vec![EndReason::Finished]), "before frame {at}");
    }
    frames.insert(1, Frame { time: syn.time, ..syn });
    assert_eq!(sense(frames).stats.flow.tcp_opened, 1);
}

/// A packet that its receiver would ignore must not blind us, wherever in the session it comes.
#[test]
fn a_forged_packet_amid_a_live_session_blinds_nobody() {
    let frames = mail(start(), 1_025, 25, 1);
    let forged = |flags: u8, from_client, number: u32| Hand {
        from_client,
        ports: [1_025, 25],
        seq: seq(&frames[0]).wrapping_add(number),
        ack: 77,
        flags,
        payload: b"",
    };
    let far = [0x4000_0000, 0x7fff_0000, 0x8000_1000, 0xc000_0000];
    for number in far {
        // Each from this frame on: a forged SYN-ACK that comes before the true one cannot be told from it.
        for (name, first, hand) in [
            ("SYN", 1, forged(SYN, true, number)),
            ("SYN-ACK", 2, forged(SYN | ACK, false, number)),
            ("RST of the client", 1, forged(RST, true, number)),
            ("RST of the server", 1, forged(RST | ACK, false, number)),
            ("FIN of the client", 1, forged(FIN | ACK, true, number)),
            ("SYN from the server", 1, forged(SYN, false, number)),
        ] {
            for at in first..frames.len() {
                let mut all = frames.clone();
                all.insert(at, hand.at(frames[at - 1].time + 1));
                let told = sense_as_is(SensorSettings::default(), &all);
                let mails = told.mails();
                assert_eq!(mails.len(), 1, "{name} before frame {at}, off by {number:#x}: {:?}", told.story());
                assert_is_the_letter(mails[0]);
            }
        }
    }
}

#[test]
fn connection_attempts_to_mail_ports_are_told_by_their_outcome() {
    for (opening, outcome) in [
        (Opening::Answered, ConnectOutcome::Answered),
        (Opening::Refused, ConnectOutcome::Refused),
        (Opening::Unanswered, ConnectOutcome::Unanswered),
    ] {
        for port in [25, 465, 587, 80] {
            let plan = Conversation { opening, ..conversation(start(), 1_025, port, 1) };
            let mut frames = plan.play(&[]).packets;
            let on_the_wire: u64 = frames.iter().map(|frame| wire::ip_length(&frame.data)).sum();
            frames.extend((1..20).map(|n| time_passes(start() + n * 10 * SECOND)));
            let told = sense(frames);
            let expected = if port == 80 { vec![] } else { vec![outcome] };
            assert_eq!(told.connects(), expected, "{opening:?} on {port}");
            let bytes: Vec<u64> = told.flow_ends().iter().map(|end| end.wire_bytes).collect();
            let sent = if port == 80 { vec![] } else { vec![on_the_wire] };
            assert_eq!((told.mails().len(), bytes), (0, sent), "{opening:?} on {port}: what it took is told");
            assert_eq!((told.stats.flow.streams, told.stats.smtp.sessions), (0, 0));
        }
    }
}

#[test]
fn an_attempt_is_unanswered_only_when_nobody_answers_it_in_time() {
    let syn = Conversation { opening: Opening::Unanswered, ..conversation(start(), 1_025, 25, 1) }.play(&[]).packets;
    let mut frames = syn.clone();
    frames.extend((1..40).map(|n| time_passes(start() + n * SECOND)));
    // The last SYN came at 9 s; a flow that nobody answers is given 30 s, so at 40 s it is still young.
    let mut sensor = Sensor::new(SensorSettings::default(), 0);
    in_time_order(&mut frames);
    frames.iter().for_each(|frame| sensor.packet(&packet(frame, 1)));
    let told = Told { events: sensor.drain(), stats: sensor.stats().clone() };
    assert!(told.connects().is_empty());
    sensor.idle(Timestamp::from_nanos(start() + 60 * SECOND));
    let told = Told { events: sensor.drain(), stats: sensor.stats().clone() };
    assert_eq!(told.connects(), [ConnectOutcome::Unanswered]);
}

#[test]
fn a_reset_inside_a_message_ends_it() {
    let cut = Transaction { cut: Some(20), ..letter() };
    let mut frames = conversation(start(), 1_025, 25, 1).play(&script(&session(vec![cut]))).packets;
    let at = frames.iter().position(|frame| tcp_flags(frame) & FIN != 0).unwrap();
    let fin = frames[at].clone();
    assert_eq!(sent_by(&fin), CLIENT);
    frames.truncate(at);
    let reset = Hand { from_client: true, ports: [1_025, 25], seq: seq(&fin), ack: 0, flags: RST, payload: b"" };
    frames.push(reset.at(fin.time));
    let told = sense(frames);
    assert_eq!((told.mails()[0].outcome, told.end_reasons()), (Outcome::Aborted, vec![EndReason::Reset]));
    assert!(told.mails()[0].message.as_ref().unwrap().truncated);
}
