//! Floods, forged times, full tables.

use super::*;
use crate::flow::flags::{ACK, SYN};
use crate::model::limits;
use mailsnare_lab::bulk;
use mailsnare_lab::tcp::Faults;
use proptest::prelude::*;

#[test]
fn a_packet_from_the_far_future_ends_nothing() {
    let clean = mail(start(), 1_025, 25, 1);
    for away in
        [3_600 * SECOND, 50 * 365 * 24 * 3_600 * SECOND, Nanos::MAX - start(), -start(), -start() - 1, -5 * SECOND]
    {
        for at in 0..clean.len() {
            let mut frames = clean.clone();
            frames.insert(at, time_passes(start().saturating_add(away)));
            let told = sense_as_is(SensorSettings::default(), &frames);
            assert_eq!(told.mails().len(), 1, "{away} before frame {at}: {:?}", told.story());
            assert_is_the_letter(told.mails()[0]);
        }
    }
}

#[test]
fn a_packet_of_the_session_itself_may_have_a_wrong_time() {
    let clean = mail(start(), 1_025, 25, 1);
    for away in [3_600 * SECOND, 50 * 365 * 24 * 3_600 * SECOND, -start(), -5 * SECOND] {
        for at in 0..clean.len() {
            let mut frames = clean.clone();
            frames[at].time += away;
            let told = sense_as_is(SensorSettings::default(), &frames);
            let letters = told.mails().iter().filter(|mail| mail.message.is_some()).count();
            assert_eq!(letters, 1, "frame {at} off by {away}: {:?}", told.story());
        }
    }
}

#[test]
fn time_that_stepped_back_for_good_does_not_stop_the_ticks() {
    let mut frames: Vec<_> = (0..5).map(|n| time_passes(start() + n * SECOND)).collect();
    frames.extend((0..10).map(|n| time_passes(start() - 3_600 * SECOND + n * SECOND)));
    let told = sense_as_is(SensorSettings::default(), &frames);
    let ticks = told.pick(|kind| matches!(kind, EventKind::Tick(_)).then_some(())).len();
    assert!(ticks >= 15, "{ticks} ticks in 15 seconds");
}

#[test]
fn a_flood_of_syn_costs_its_entries_only() {
    let mut frames: Vec<Frame> = Vec::new();
    bulk::syn_flood(&mut frames, 20_000, 1).unwrap();
    for frame in &mut frames {
        // To port 25: the flood that would hurt most.
        frame.data[36..38].copy_from_slice(&25_u16.to_be_bytes());
    }
    let settings = SensorSettings { flows: 1_000, ..SensorSettings::default() };
    let mut sensor = Sensor::new(settings, 0);
    for (number, frame) in (1..).zip(&frames) {
        sensor.packet(&packet(frame, number));
        assert!(sensor.core.table.len() <= 1_000);
    }
    assert_eq!((sensor.stats().flow.streams, sensor.stats().flow.held_bytes), (0, 0));
    let attached = frames.iter().filter(|frame| {
        let (key, _) = crate::flow::Key::new(
            sent_by(frame).into(),
            u16::from_be_bytes([frame.data[34], frame.data[35]]),
            Ipv4Addr::new(10, 20, 0, 80).into(),
            25,
            crate::model::net::Transport::Tcp,
        );
        let now = Timestamp::from_nanos(frame.time);
        let place = sensor.core.table.find_or_open(key, || true, true, now.into(), |_, _| {});
        sensor.core.table.get(place).attached.is_some()
    });
    assert_eq!(attached.count(), 0);
}

#[test]
fn mail_flows_outlive_background_flows_in_a_full_table() {
    let talk = script(&session(vec![letter()]));
    let sessions = 20;
    let mut frames = Vec::new();
    for n in 0..sessions {
        // Slow sessions: some seconds before each command.
        let plan =
            Conversation { think: SECOND, ..conversation(start() + i64::from(n) * 1_000, 2_000 + n, 25, u64::from(n)) };
        frames.extend(plan.play(&talk).packets);
    }
    // Between their commands thousands of web flows come and go, some of them answered, none of them closed.
    for n in 0..8_000_u16 {
        let at = start() + SECOND / 2 + i64::from(n) * 2_000_000;
        let syn = Hand { from_client: true, ports: [10_000 + n, 80], seq: 1, ack: 0, flags: SYN, payload: b"" };
        frames.push(syn.at(at));
        if n % 2 == 0 {
            frames.push(Hand { from_client: false, seq: 5, ack: 2, flags: SYN | ACK, ..syn }.at(at + 1));
            frames.push(Hand { seq: 2, ack: 6, flags: ACK, payload: b"GET / HTTP/1.0\r\n\r\n", ..syn }.at(at + 2));
        }
    }
    let settings = SensorSettings { flows: 100, ..SensorSettings::default() };
    let told = sense_with(settings, frames);
    assert!(told.stats.flow.ended[EndReason::Evicted as usize] > 7_000);
    assert_eq!(told.mails().len(), usize::from(sessions));
    told.mails().into_iter().for_each(assert_is_the_letter);
    assert!(told.flow_ends().iter().all(|end| end.reason != EndReason::Evicted || end.app_proto != "smtp"));
}

#[test]
fn a_flood_of_questions_drives_no_mail_out() {
    let talk = script(&session(vec![letter()]));
    let plan = Conversation { think: SECOND, ..conversation(start(), 2_000, 25, 1) };
    let mut frames = plan.play(&talk).packets;
    let mut questions: Vec<Frame> = Vec::new();
    bulk::dns(&mut questions, 5_000, 1).unwrap();
    for (frame, n) in questions.iter_mut().zip(0..) {
        frame.time = start() + n * 1_500_000;
    }
    frames.append(&mut questions);
    let told = sense_with(SensorSettings { flows: 100, ..SensorSettings::default() }, frames);
    // Before it spoke it was worth no more than a question.
    let ends = told.flow_ends();
    assert_eq!((told.mails().len(), ends.iter().filter(|end| end.app_proto == "smtp").count()), (1, 1), "{ends:?}");
    assert_is_the_letter(told.mails()[0]);
    assert_eq!(told.stats.dns.queries, 5_000);
}

#[test]
fn a_full_table_of_mail_still_takes_the_next_flow() {
    let settings = SensorSettings { flows: 8, ..SensorSettings::default() };
    let frames = (0..40_u16).flat_map(|n| {
        let mut frames = mail(start() + i64::from(n) * 10 * SECOND, 2_000 + n, 25, u64::from(n));
        frames.retain(|frame| tcp_flags(frame) & 1 == 0);
        frames
    });
    let told = sense_with(settings, frames.collect());
    assert_eq!((told.mails().len(), told.flow_ends().len()), (40, 40));
    assert_eq!(told.stats.flow.ended[EndReason::Evicted as usize], 32);
}

#[test]
fn streams_are_bounded_and_the_refused_counted() {
    let mut sensor = Sensor::new(SensorSettings::default(), 0);
    sensor.core.stats.flow.streams = limits::STREAMS as u64;
    for frame in mail(start(), 1_025, 25, 1) {
        sensor.packet(&packet(&frame, 1));
    }
    assert!(sensor.stats().flow.streams_refused > 0);
    let told = Told { events: sensor.drain(), stats: sensor.stats().clone() };
    assert!(told.mails().is_empty());
}

/// The client's side of hostile sessions, in pieces: whatever a session may hold, each kind has much of it.
fn hoards() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let opening = b"EHLO x\r\nMAIL FROM:<a@b>\r\n".to_vec();
    let long = "x".repeat(3_900);
    let recipients = (0..15).map(|n| format!("RCPT TO:<{n}{long}@d>\r\n").into_bytes());
    let hellos = format!("EHLO {long}\r\n").repeat(15).into_bytes();
    let transactions = format!("MAIL FROM:<{long}@d>\r\n").repeat(15).into_bytes();
    let chunk = [b"BDAT 9000000\r\n".as_slice(), &[b'x'; 50_000]].concat();
    let handshake = [b"\x16\x03\x01\x40\0".as_slice(), &[1; 16_000]].concat();
    vec![
        ("recipients", std::iter::once(opening.clone()).chain(recipients).collect()),
        ("commands without replies", vec![opening.clone(), b"NOOP\r\n".repeat(2_500)]),
        ("hellos", vec![hellos]),
        ("transactions", vec![transactions]),
        ("bytes after DATA", vec![opening.clone(), [b"DATA\r\n".as_slice(), &[b'x'; 60_000]].concat()]),
        ("a chunk", vec![opening.clone(), chunk.clone()]),
        ("a size that is claimed", vec![b"EHLO x\r\nMAIL FROM:<a@b>\r\nBDAT 99999999 LAST\r\nx".to_vec()]),
        ("a handshake", vec![handshake]),
        ("an endless line", vec![opening, vec![b'x'; 4_000]]),
    ]
}

/// What a hoarder sends, from its SYN on; its server has answered once and is silent.
fn hoarder(port: u16, pieces: &[Vec<u8>], at: Nanos) -> Vec<Frame> {
    let segment = |from_client, seq, flags, payload| {
        let ack = if from_client { 500 } else { 101 };
        Hand { from_client, ports: [port, 25], seq, ack, flags, payload }.at(at)
    };
    let greeting = b"220 mx.example ESMTP\r\n";
    let mut frames = vec![
        segment(true, 100, SYN, b"".as_slice()),
        segment(false, 499, SYN | ACK, b""),
        segment(false, 500, ACK, greeting),
    ];
    let mut seq = 101;
    for piece in pieces {
        frames.push(segment(true, seq, ACK, piece));
        seq += piece.len() as u32;
    }
    frames
}

#[test]
fn hoarding_sessions_give_way_and_a_letter_among_them_is_read() {
    const BOUND: u64 = 2 << 20;
    for (name, pieces) in hoards() {
        let mut sensor = Sensor::new(SensorSettings::default(), 0);
        sensor.core.smtp_account.bound = BOUND;
        // The letter's session begins early and ends late: its packets lie among those of the others.
        let letter = mail(start(), 1_025, 25, 1);
        let hoarders = (0..1_000).map(|n| hoarder(2_000 + n, &pieces, start() + i64::from(n)));
        let mut most = 0;
        let mut number = 0;
        let mut take = |sensor: &mut Sensor, frame: &Frame| {
            number += 1;
            sensor.packet(&packet(frame, number));
            most = most.max(sensor.stats().smtp.held_bytes);
        };
        let mut waiting = letter.iter();
        for (nth, frames) in hoarders.enumerate() {
            if nth % (1_000 / letter.len()) == 0 {
                waiting.by_ref().take(1).for_each(|frame| take(&mut sensor, frame));
            }
            frames.iter().for_each(|frame| take(&mut sensor, frame));
        }
        waiting.for_each(|frame| take(&mut sensor, frame));
        assert!(most <= BOUND && most > BOUND / 2, "{name}: {most} bytes held");
        assert!(sensor.stats().smtp.given_up > 100, "{name}: {} given up", sensor.stats().smtp.given_up);
        sensor.finish();
        assert_eq!(sensor.stats().smtp.held_bytes, 0, "{name}");
        let told = Told { events: sensor.drain(), stats: sensor.stats().clone() };
        let letters = told
            .mails()
            .into_iter()
            .filter(|mail| mail.envelope.as_ref().is_some_and(|envelope| envelope.mail_from == "a@alder.example"));
        let letters: Vec<_> = letters.collect();
        assert_eq!(letters.len(), 1, "{name}");
        assert_is_the_letter(letters[0]);
    }
}

#[test]
fn what_gives_way_is_told_as_far_as_it_was_read() {
    let body = b"Subject: first words\r\n\r\n".repeat(2_000);
    let chunk = [b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 9000000\r\n".as_slice(), &body].concat();
    let mut sensor = Sensor::new(SensorSettings::default(), 0);
    sensor.core.smtp_account.bound = 40_000;
    for (number, frame) in (1..).zip(hoarder(2_000, &[chunk], start())) {
        sensor.packet(&packet(&frame, number));
    }
    let smtp = &sensor.stats().smtp;
    assert_eq!((smtp.given_up, smtp.held_bytes, sensor.stats().flow.ended.iter().sum::<u64>()), (1, 0, 0));
    sensor.finish();
    let told = Told { events: sensor.drain(), stats: sensor.stats().clone() };
    let [mail] = told.mails()[..] else { panic!("{:?}", told.story()) };
    let message = mail.message.as_ref().unwrap();
    assert!(message.bytes == body && message.truncated);
    assert_eq!((mail.outcome, told.flow_ends().len()), (Outcome::Aborted, 1));
}

/// A segment of a DNS stream from the client, whose SYN had the sequence number 100.
fn of_dns(port: u16, seq: u32, flags: u8, payload: &[u8]) -> Frame {
    Hand { from_client: true, ports: [port, 53], seq, ack: 0, flags, payload }.at(start() + i64::from(port))
}

#[test]
fn unfinished_questions_over_tcp_are_bounded_together_and_the_given_up_counted() {
    // Each stream begins the longest message there is, and never ends it.
    let unfinished = [[0xff; 2].as_slice(), &[0; 60_000]].concat();
    let streams = (limits::DNS_HELD_BYTES / 60_000 + 50) as u16;
    let frames = (1..=streams).flat_map(|port| [of_dns(port, 100, SYN, b""), of_dns(port, 101, ACK, &unfinished)]);
    let mut sensor = Sensor::new(SensorSettings::default(), 0);
    for (number, frame) in (1..).zip(frames) {
        sensor.packet(&packet(&frame, number));
        assert!(sensor.stats().dns.held_bytes <= limits::DNS_HELD_BYTES as u64);
    }
    assert!(sensor.stats().dns.held_bytes > limits::DNS_HELD_BYTES as u64 - 100_000, "there is room to be used");
    assert!((50..100).contains(&sensor.stats().dns.lost), "{} given up", sensor.stats().dns.lost);
    sensor.finish();
    // Those that were held are lost as well: their rest never came.
    assert_eq!((sensor.stats().dns.held_bytes, sensor.stats().dns.lost), (0, u64::from(streams)));
}

#[test]
fn questions_over_tcp_are_read_from_a_connection_that_the_capture_joins_late() {
    let question = {
        let mut questions: Vec<Frame> = Vec::new();
        bulk::dns(&mut questions, 1, 1).unwrap();
        // Ethernet, IPv4 and UDP headers lie before it.
        let message = questions[0].data[42..].to_vec();
        [&(message.len() as u16).to_be_bytes()[..], &message].concat()
    };
    let rest = (question.len() - 5) as u32;
    let told = sense(vec![of_dns(1_030, 101, ACK, &question[5..]), of_dns(1_030, 101 + rest, ACK, &question)]);
    assert_eq!(told.questions().len(), 1, "{:?}", told.stats.dns);
}

/// A server's first acknowledgment, of nothing yet, captured at any place of the handshake, its SYN-ACK after it too.
#[test]
fn an_early_acknowledgment_does_not_hide_where_the_server_begins() {
    let clean = mail(start(), 1_025, 25, 1);
    let [syn, answer] = [&clean[0], &clean[1]].map(|frame| (seq(frame).wrapping_add(1), tcp_flags(frame)));
    assert_eq!((syn.1, answer.1), (2, 2 | ACK));
    let early = Hand { from_client: false, ports: [1_025, 25], seq: answer.0, ack: syn.0, flags: ACK, payload: b"" };
    for place in 1..4 {
        let mut frames = clean.clone();
        frames.insert(place, early.at(frames[place - 1].time));
        let told = sense(frames);
        assert_eq!((told.mails().len(), told.stats.flow.invalid_segments), (1, 0), "{place}: {:?}", told.story());
        assert_is_the_letter(told.mails()[0]);
    }
}

#[test]
fn a_session_over_a_bad_network_is_read_as_it_was_said() {
    let body = [b"Subject: x\r\n\r\n".as_slice(), &b"0123456789\r\n".repeat(3_000)].concat();
    let big = Transaction { message: body, ..letter() };
    let talk = script(&session(vec![letter(), big.clone(), letter()]));
    for seed in 1..60 {
        let faults = Faults { lost: 60, lost_before: 60, reordered: 60, duplicated: 60, unseen: 0 };
        let plan = Conversation { faults, ..conversation(start(), 1_025, 25, seed) };
        let told = sense(plan.play(&talk).packets);
        let messages: Vec<_> = told.mails().iter().map(|mail| mail.message.as_ref().unwrap().bytes.clone()).collect();
        assert!(messages == [letter().received(), big.received(), letter().received()], "seed {seed}");
        assert_eq!((told.stats.flow.gaps, told.stats.flow.held_bytes), (0, 0), "seed {seed}");
    }
}

proptest! {
    /// Whatever is lost, doubled, shuffled or cut: nothing panics, what is held is given back, numbers have no gaps.
    #[test]
    fn no_disorder_breaks_the_books(
        picks in prop::collection::vec((0usize..400, 0usize..1_600, -2_000_000_000_i64..2_000_000_000), 0..250),
        flows in 1usize..20,
    ) {
        let clean = [mail(start(), 1_025, 25, 1), mail(start(), 1_026, 2_626, 2), mail(start() + SECOND, 1_025, 25, 3)].concat();
        let frames: Vec<Frame> = picks
            .into_iter()
            .map(|(index, keep, shift)| {
                let frame = &clean[index % clean.len()];
                Frame { time: frame.time + shift, data: frame.data[..keep.min(frame.data.len())].to_vec() }
            })
            .collect();
        let told = sense_as_is(SensorSettings { flows, flow_records: true, ..SensorSettings::default() }, &frames);
        prop_assert!(told.events.iter().map(|event| event.seq).eq(0..told.events.len() as u64));
        let SensorStats { capture, flow, smtp, dns, .. } = &told.stats;
        prop_assert_eq!(dns.held_bytes, 0);
        prop_assert_eq!(capture.packets, frames.len() as u64);
        prop_assert_eq!((flow.held_bytes, flow.tail_bytes, flow.streams, smtp.held_bytes), (0, 0, 0, 0));
        prop_assert_eq!(flow.tcp_opened + flow.udp_opened, flow.ended.iter().sum::<u64>());
    }
}

/// A million flows that ended at once made a million events at once: more memory than all the flows had taken.
#[test]
fn the_events_of_a_flood_do_not_pile_up() {
    let mut frames: Vec<Frame> = Vec::new();
    mailsnare_lab::attack::Attack::named("syn-flood").unwrap().write(&mut frames, 20_000, 1).unwrap();
    let later = frames.last().unwrap().time + 60 * SECOND;
    // All have timed out by then; or the capture ends while they are open.
    for quiet in [5_000, 0] {
        let mut sensor = Sensor::new(SensorSettings::default(), 0);
        let (mut most, mut unanswered) = (0, 0);
        let mut take = |sensor: &mut Sensor| {
            let events = sensor.drain();
            most = most.max(events.len());
            let told = |event: &&Event| matches!(event.kind, EventKind::Connect(ConnectOutcome::Unanswered));
            unanswered += events.iter().filter(told).count();
        };
        let quiet = (0..quiet).map(|number| time_passes(later + number * SECOND / 1_000));
        for (number, frame) in (1..).zip(frames.iter().cloned().chain(quiet)) {
            sensor.packet(&packet(&frame, number));
            take(&mut sensor);
        }
        while sensor.wind_up() {
            take(&mut sensor);
        }
        take(&mut sensor);
        assert!(unanswered >= 19_900, "{unanswered}");
        // Of each flow that nobody answered, and that it ended.
        assert!(most <= 2 * crate::sensor::SWEEP + 16, "{most} events at once");
    }
}

/// Two interfaces in one file, one clock three seconds behind the other: time went back only once.
#[test]
fn clocks_that_differ_bring_no_tick_with_each_packet() {
    let sessions = (0..20).flat_map(|n| mail(start() + i64::from(n) * SECOND / 2, 2_000 + n, 25, 1));
    let mut frames: Vec<Frame> = sessions.collect();
    frames.sort_by_key(|frame| frame.time);
    for frame in frames.iter_mut().skip(1).step_by(2) {
        frame.time -= 3 * SECOND;
    }
    let seconds = (frames[frames.len() - 2].time - frames[0].time) / SECOND;
    let told = sense_as_is(SensorSettings::default(), &frames);
    let ticks = told.pick(|kind| matches!(kind, EventKind::Tick(_)).then_some(())).len();
    assert!(frames.len() > 200 && ticks as i64 <= seconds + 4, "{ticks} ticks of {} packets", frames.len());
}
