//! Wrong checksums: from offload, from damage on the way, and from someone who wants us to read what nobody receives.

use super::*;
use crate::flow::flags::{ACK, RST};

/// A copy of a frame whose TCP checksum is wrong.
fn spoilt(frame: &Frame) -> Frame {
    let mut copy = frame.clone();
    copy.data[50] ^= 0x5a;
    copy
}

/// A copy of a frame with other bytes as payload, and the checksum it had.
fn forged(frame: &Frame) -> Frame {
    let mut copy = frame.clone();
    let payload_len = payload(frame).len();
    let at = 14 + usize::from(u16::from_be_bytes([frame.data[16], frame.data[17]])) - payload_len;
    copy.data[at..at + payload_len].fill(b'x');
    copy.time -= 1;
    copy
}

fn is_client_data(frame: &Frame) -> bool {
    sent_by(frame) == CLIENT && !payload(frame).is_empty()
}

#[track_caller]
fn assert_letter_only(told: &Told) {
    assert_eq!(told.mails().len(), 1, "{:?}", told.story());
    assert_is_the_letter(told.mails()[0]);
    assert_eq!((told.anomalies(), told.stats.flow.gaps), (Vec::new(), 0));
}

#[test]
fn a_damaged_copy_does_not_win_over_the_good_one_after_it() {
    for port in [25, 587, 2_525] {
        let frames: Vec<_> = mail(start(), 1_025, port, 1)
            .into_iter()
            .flat_map(|frame| if is_client_data(&frame) { vec![forged(&frame), frame] } else { vec![frame] })
            .collect();
        let copies = frames.iter().filter(|frame| is_client_data(frame)).count() as u64 / 2;
        let told = sense(frames);
        assert_letter_only(&told);
        assert_eq!((told.stats.flow.bad_checksums, told.stats.flow.set_aside), (copies, copies));
    }
}

/// Two valid segments in a row would betray the sender; each is followed by one that is damaged.
#[test]
fn nor_does_it_where_every_other_segment_is_damaged_from_the_beginning() {
    let copies = |frame: Frame| {
        let mut after = spoilt(&frame);
        after.time += 1;
        match (sent_by(&frame) == CLIENT, payload(&frame).is_empty()) {
            (true, true) => vec![frame, after],
            (true, false) => vec![forged(&frame), frame],
            (false, _) => vec![frame],
        }
    };
    assert_letter_only(&sense(mail(start(), 1_025, 25, 1).into_iter().flat_map(copies).collect()));
}

#[test]
fn nor_does_it_after_it() {
    let frames = mail(start(), 1_025, 25, 1);
    let copies = frames.iter().filter(|frame| is_client_data(frame)).map(|frame| {
        let mut copy = forged(frame);
        copy.time += 2;
        copy
    });
    let told = sense([frames.clone(), copies.collect()].concat());
    assert_letter_only(&told);
}

#[test]
fn a_damaged_reset_or_fin_ends_nothing() {
    let clean = mail(start(), 1_025, 25, 1);
    for (flags, from_client) in [(RST | ACK, true), (RST, false), (1 | ACK, true)] {
        for at in 4..clean.len() - 4 {
            let mut frames = clean.clone();
            // As far as the side has come.
            let own = |frame: &&Frame| (sent_by(frame) == CLIENT) == from_client;
            let last = frames[..at].iter().rev().find(own).unwrap();
            let seq = seq(last).wrapping_add(payload(last).len() as u32);
            let hand = Hand { from_client, ports: [1_025, 25], seq, ack: 0, flags, payload: b"" };
            frames.insert(at, spoilt(&hand.at(frames[at].time)));
            let told = sense_as_is(SensorSettings::default(), &frames);
            assert_letter_only(&told);
            assert_eq!(told.end_reasons(), [EndReason::Finished]);
        }
    }
}

/// A capture made on the sender itself, before its hardware fills in checksums.
#[test]
fn where_all_are_wrong_none_is_held_against_a_segment() {
    for offloaded in [[true, false], [false, true], [true, true]] {
        let spoil = |frame: Frame| {
            let from_client = sent_by(&frame) == CLIENT;
            if offloaded[usize::from(!from_client)] { spoilt(&frame) } else { frame }
        };
        let told = sense(mail(start(), 1_025, 25, 1).into_iter().map(spoil).collect());
        assert_letter_only(&told);
        assert!(told.stats.flow.bad_checksums > 0);
        assert_eq!(told.stats.flow.set_aside, 0);
    }
}

/// One in 65,536 unfinished checksums holds by chance, a handshake's too.
#[test]
fn where_one_holds_by_chance_none_is_held_against_a_segment() {
    let clean = mail(start(), 1_025, 25, 1);
    for lucky in 0..clean.len() {
        let spoil = |(n, frame): (usize, &Frame)| if n == lucky { frame.clone() } else { spoilt(frame) };
        let told = sense(clean.iter().enumerate().map(spoil).collect());
        assert_letter_only(&told);
        assert_eq!(told.stats.flow.set_aside, 0);
    }
}

/// The kernel of a mail server hands several segments on as one, and leaves its checksum unfinished.
#[test]
fn what_was_merged_on_its_way_in_is_read_among_valid_segments() {
    let body = [b"Subject: long\r\n\r\n".to_vec(), b"A line of the letter.\r\n".repeat(400)].concat();
    let letter = Transaction::new("a@alder.example", &["b@birch.example"], body.clone());
    let frames = conversation(start(), 1_025, 25, 1).play(&script(&session(vec![letter]))).packets;
    let mut merged: Vec<Frame> = Vec::new();
    let mut merges = 0;
    for frame in frames {
        match merged.last_mut() {
            Some(last)
                if is_client_data(last)
                    && is_client_data(&frame)
                    && seq(last).wrapping_add(payload(last).len() as u32) == seq(&frame) =>
            {
                let ack = u32::from_be_bytes([frame.data[42], frame.data[43], frame.data[44], frame.data[45]]);
                let bytes = [payload(last), payload(&frame)].concat();
                let hand = Hand {
                    from_client: true,
                    ports: [1_025, 25],
                    seq: seq(last),
                    ack,
                    flags: tcp_flags(&frame),
                    payload: &bytes,
                };
                *last = spoilt(&hand.at(last.time));
                merges += 1;
            }
            _ => merged.push(frame),
        }
    }
    assert!(merges > 2, "{merges} merges");
    let told = sense(merged);
    let message = told.mails()[0].message.as_ref().expect("a message");
    assert_eq!((&message.bytes[..], message.gaps), (&body[..], 0));
    assert_eq!(told.stats.flow.set_aside, 0);
}

/// Where frames are jumbo, long packets are real and so are their checksums: once two have held, a wrong one is held
/// against them.
#[test]
fn a_damaged_jumbo_does_not_win_where_jumbos_hold() {
    for (damaged_from, as_sent) in [(0, false), (1, false), (2, true)] {
        let said: Vec<Vec<u8>> =
            std::iter::once(b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 32000 LAST\r\n".to_vec())
                .chain((0..8_u8).map(|n| vec![b'a' + n; 4_000]))
                .collect();
        let hand = |from_client, seq, flags, payload| {
            let ack = if from_client { 901 } else { 101 };
            Hand { from_client, ports: [1_025, 25], seq, ack, flags, payload }
        };
        let mut frames =
            vec![hand(true, 100, 2, b"".as_slice()).at(start()), hand(false, 900, 2 | ACK, b"").at(start() + 1)];
        let mut seq = 101;
        for (n, payload) in said.iter().enumerate() {
            let frame = hand(true, seq, ACK, payload).at(start() + 10 * (n as i64 + 1));
            if n > damaged_from {
                frames.push(forged(&frame));
            }
            frames.push(frame);
            seq += payload.len() as u32;
        }
        let told = sense(frames);
        let read = &told.mails()[0].message.as_ref().unwrap().bytes;
        assert_eq!(told.stats.flow.set_aside, 6, "damaged from {damaged_from} on");
        assert_eq!(*read == said[1..].concat(), as_sent, "damaged from {damaged_from} on");
    }
}

/// Captures in which names and texts were made anonymous: the handshake is as it was, the rest is wrong.
#[test]
fn what_is_received_all_the_same_is_set_aside_only_until_that_shows() {
    let transactions = vec![letter(), letter(), letter()];
    let plan = Conversation { think: 3 * SECOND, ..conversation(start(), 1_025, 25, 1) };
    let frames = plan.play(&script(&session(transactions))).packets;
    let spoil = |frame: Frame| if is_client_data(&frame) { spoilt(&frame) } else { frame };
    let told = sense(frames.into_iter().map(spoil).collect());
    let letters: Vec<_> = told.mails().into_iter().filter(|mail| mail.message.is_some()).collect();
    assert_eq!(letters.len(), 3, "{:?}", told.story());
    letters.into_iter().for_each(assert_is_the_letter);
    assert_eq!((told.anomalies(), told.stats.flow.gaps, told.stats.flow.held_bytes), (Vec::new(), 0, 0));
    assert!((1..4).contains(&told.stats.flow.set_aside), "{} set aside", told.stats.flow.set_aside);
}

#[test]
fn so_it_is_with_one_side_alone() {
    let frames = mail(start(), 1_025, 25, 1);
    let client = frames.into_iter().filter(|frame| sent_by(frame) == CLIENT);
    let spoil = |frame: Frame| if is_client_data(&frame) { spoilt(&frame) } else { frame };
    let told = sense(client.map(spoil).collect());
    assert_eq!(told.mails().len(), 1, "{:?}", told.story());
    assert_is_the_letter(told.mails()[0]);
}

#[test]
fn background_is_not_verified() {
    let frames = mail(start(), 1_025, 80, 1);
    let web = frames.iter().filter(|frame| payload(frame).is_empty()).map(spoilt).collect();
    assert_eq!(sense(web).stats.flow.bad_checksums, 0);
}

#[test]
fn a_question_with_a_wrong_checksum_is_counted_and_read() {
    let query = b"\x02\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x05birch\x07example\x00\x00\x0f\x00\x01";
    let ip = Ip { src: CLIENT.into(), dst: SERVER.into(), ttl: 64, id: 1, df: false };
    let mut data = Vec::new();
    wire::udp(&mut data, &Link::default(), &ip, (4_000, 53), query);
    let good = Frame { time: start(), data: data.clone() };
    data[40] ^= 0x5a;
    let told = sense(vec![good, Frame { time: start() + SECOND, data }]);
    assert_eq!((told.questions().len(), told.stats.flow.bad_checksums), (2, 1));
}
