//! More conversations than there may be streams: which of them give way, and to whom.

use super::*;
use crate::flow::flags::{ACK, SYN};

const PORTS: [u16; 2] = [1_025, 25];

fn few_streams() -> SensorSettings {
    let mut settings = SensorSettings::default();
    settings.shares.streams = 50;
    settings
}

/// How many messages were read.
fn letters(told: &Told) -> usize {
    told.mails().into_iter().filter(|mail| mail.message.is_some()).count()
}

/// Packets that nobody answers, each between other ends, took all the room there is for a quarter of an hour.
#[test]
fn streams_that_nobody_answers_give_way() {
    let mut frames: Vec<Frame> = (0..2_000)
        .map(|n| {
            let hand =
                Hand { from_client: true, ports: [10_000 + n, 25], seq: 1, ack: 1, flags: ACK, payload: b"EHLO x\r\n" };
            hand.at(start() - SECOND + i64::from(n) * 1_000)
        })
        .collect();
    frames.extend(mail(start() + SECOND, PORTS[0], PORTS[1], 1));
    let told = sense_with(few_streams(), frames);
    assert_eq!(letters(&told), 1, "{:?}", told.stats.flow);
    assert_eq!((told.stats.flow.streams, told.stats.flow.tcp_opened), (0, told.stats.flow.ended.iter().sum()));
}

/// Sessions that say a word a minute, and are answered, took all the room as well.
#[test]
fn streams_that_are_quiet_give_way() {
    let begun =
        (0..60).flat_map(|n| mail(start() - 45 * SECOND + i64::from(n) * 10, 1_100 + n, 25, 1).into_iter().take(9));
    let mut frames: Vec<Frame> = begun.collect();
    frames.extend(mail(start(), PORTS[0], PORTS[1], 1));
    let told = sense_with(few_streams(), frames);
    assert_eq!(letters(&told), 1, "{:?}", told.stats.flow);
    assert_eq!(told.stats.flow.ended[EndReason::Evicted as usize], 1);
}

/// They all speak at once, a moment before a session begins: none of them is quiet.
#[test]
fn streams_that_are_slow_give_way() {
    let begun = start() - 45 * SECOND;
    let mut frames = Vec::new();
    for n in 0..200_u16 {
        let session = mail(begun + i64::from(n) * 10, 1_100 + n, 25, 1);
        let last = session.iter().take(9).rfind(|frame| sent_by(frame) == CLIENT).cloned();
        frames.extend(session.into_iter().take(9));
        // Its last words once more, which are as good as new ones to whoever counts packets.
        frames.extend(last.map(|last| Frame { time: start() - 1_000, ..last }));
    }
    frames.extend(mail(start(), PORTS[0], PORTS[1], 1));
    frames.sort_by_key(|frame| frame.time);
    let told = sense_with(few_streams(), frames);
    assert_eq!(letters(&told), 1, "{:?}", told.stats.flow);
    assert_eq!(told.stats.flow.ended[EndReason::Evicted as usize], 1);
}

/// Nobody answers them, as nobody answers forged packets, and each repeats a word before it would be quiet: a megabit a
/// second is enough for all streams there are.
#[test]
fn streams_of_one_side_that_are_slow_give_way() {
    let mut frames = Vec::new();
    for n in 0..50_u16 {
        for (seconds, seq, flags, payload) in
            [(45, 0, SYN, &b""[..]), (45, 1, ACK, b"EHLO x\r\n"), (20, 1, ACK, b"EHLO x\r\n")]
        {
            let hand = Hand { from_client: true, ports: [10_000 + n, 25], seq, ack: 1, flags, payload };
            frames.push(hand.at(start() - seconds * SECOND + i64::from(n) * 10 + i64::from(seq)));
        }
    }
    frames.extend(mail(start(), PORTS[0], PORTS[1], 1));
    frames.sort_by_key(|frame| frame.time);
    let told = sense_with(few_streams(), frames);
    assert_eq!(letters(&told), 1, "{:?}", told.stats.flow);
}

/// Where one side alone is captured a session that gave way comes back amid itself, and drives out nobody in its turn.
#[test]
fn slow_sessions_seen_from_one_side_do_not_drive_each_other_out() {
    let slow = |n: u16, begun: Nanos| {
        let mut frames = mail(begun, 1_100 + n, 25, 1);
        frames.retain(|frame| sent_by(frame) == CLIENT);
        for (frame, number) in frames.iter_mut().zip(0..) {
            frame.time = begun + i64::from(number) * 12 * SECOND + i64::from(n) * 10;
        }
        frames
    };
    // Of 50 that are under way ten give way to as many that begin later.
    let mut frames: Vec<_> = (0..50).flat_map(|n| slow(n, start())).collect();
    frames.extend((50..60).flat_map(|n| slow(n, start() + 50 * SECOND)));
    frames.sort_by_key(|frame| frame.time);
    let told = sense_with(few_streams(), frames);
    let ended = |reason: EndReason| told.stats.flow.ended[reason as usize];
    assert_eq!((ended(EndReason::Evicted), ended(EndReason::Finished)), (10, 50), "{:?}", told.stats.flow);
    assert!(told.stats.flow.streams_refused >= 10);
}

/// As many connections as there may be streams, each opened with a few packets that anyone can forge, and none of them old
/// enough to give way: those that say something keep their streams.
#[test]
fn a_flood_of_sessions_that_begin_drives_out_none_that_has_something_to_say() {
    let talkative = |n: u16| {
        let letters = (0..40).map(|_| letter()).collect();
        let mut frames = conversation(start(), 1_100 + n, 25, 1).play(&script(&session(letters))).packets;
        let step = 40 * SECOND / frames.len() as Nanos;
        frames.iter_mut().zip(0..).for_each(|(frame, number)| frame.time = start() + number * step + i64::from(n));
        frames
    };
    for answered in [false, true] {
        let mut frames: Vec<_> = (0..20).flat_map(talkative).collect();
        for n in 0..500_u16 {
            let opening =
                [(true, 0, 0, SYN, &b""[..]), (false, 0, 1, SYN | ACK, b""), (true, 1, 1, ACK, b"EHLO x\r\n")];
            for ((from_client, seq, ack, flags, payload), step) in opening.into_iter().zip(0..) {
                if from_client || answered {
                    let hand = Hand { from_client, ports: [10_000 + n, 25], seq, ack, flags, payload };
                    frames.push(hand.at(start() + 20 * SECOND + i64::from(n) * 1_000_000 + step));
                }
            }
        }
        frames.sort_by_key(|frame| frame.time);
        let told = sense_with(few_streams(), frames);
        let whole = letters(&told);
        let stats = &told.stats.flow;
        assert_eq!((whole, stats.ended[EndReason::Evicted as usize], stats.gaps), (800, 0, 0), "{answered}: {stats:?}");
    }
}

/// Where one side alone is captured nobody seems to be answered: sessions under way do not drive each other out.
#[test]
fn sessions_seen_from_one_side_keep_their_streams() {
    let sessions = (0..100).flat_map(|n| mail(start() + i64::from(n) * 10, 1_100 + n, 25, 1));
    let mut frames: Vec<Frame> = sessions.filter(|frame| sent_by(frame) == CLIENT).collect();
    frames.sort_by_key(|frame| frame.time);
    let told = sense_with(few_streams(), frames);
    assert_eq!(letters(&told), 50, "{:?}", told.stats.flow);
}
