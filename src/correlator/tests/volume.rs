//! `mail-volume` by events.

use super::wire::*;
use super::*;

#[test]
fn mail_volume_is_told_once_a_window_and_each_ceiling_counts() {
    let ceilings = settings::MailVolume {
        window_seconds: 100,
        messages: 1_000,
        recipients: 1_000,
        bytes: 4_500,
        connections: 3,
        server_factor: 10,
        ..settings::MailVolume::default()
    };
    let detect = DetectSettings { mail_volume: ceilings, ..DetectSettings::default() };
    let mut wire = Wire::with(CorrelatorSettings { detect, ..CorrelatorSettings::default() }, Arc::new(NoRules));
    for _ in 0..30 {
        let flow = wire.connect(HOST, OUTSIDE, 587);
        wire.message(&flow, 1, vec![]);
        wire.wait(10);
    }
    assert_eq!(wire.short(), vec![alert("mail-volume", Severity::Medium, HOST); 3]);
    let passed = |at: usize| figure(&wire.alerts()[at].evidence[0], "passed").clone();
    assert_eq!(passed(0), Figure::List(vec!["4 connections (ceiling 3)".into()]));
    assert_eq!(passed(1), Figure::List(vec!["9000 bytes (ceiling 4500)".into(), "10 connections (ceiling 3)".into()]));
}

/// Sends so many messages in each window of 600 s, through a provider.
fn windows(wire: &mut Wire, counts: impl IntoIterator<Item = usize>) {
    for count in counts {
        for _ in 0..count {
            let flow = wire.connect(HOST, OUTSIDE, 587);
            wire.message(&flow, 1, vec![]);
        }
        wire.wait(600);
    }
}

#[test]
fn a_host_is_compared_with_what_is_usual_for_it() {
    let mut sudden = Wire::new();
    windows(&mut sudden, [4, 5, 6].repeat(5));
    windows(&mut sudden, [30]);
    assert_eq!(sudden.short(), [alert("mail-volume", Severity::Medium, HOST)]);
    let passed = figure(&sudden.alerts()[0].evidence[0], "passed");
    let Figure::List(passed) = passed else { panic!("{passed:?}") };
    // Median 5, deviation 1.4826 of one message, 5 of them: 12.4; but half the ceiling at the least.
    assert!(passed[0].starts_with("26 messages (bound 25: usual for this host are 5, deviation 1.5"), "{passed:?}");

    let mut small = Wire::new();
    windows(&mut small, [1, 1, 2].repeat(5));
    windows(&mut small, [20]);
    let mut busy = Wire::new();
    windows(&mut busy, [30, 35, 40, 28].repeat(10));
    let mut young = Wire::new();
    windows(&mut young, [2, 40, 2, 40, 2, 40]);
    assert_eq!((small.short(), busy.short(), young.short()), (vec![], vec![], vec![]));
}

/// A mail merge: its server, in the house, knows who it was.
#[test]
fn what_is_handed_in_at_home_is_low_up_to_four_times_the_ceiling() {
    let worst = |count: usize, port: u16| {
        let mut wire = Wire::new();
        for _ in 0..count {
            let flow = wire.connect(HOST, SERVER, port);
            wire.message(&flow, 1, vec![]);
            wire.wait(1);
        }
        wire.alerts().iter().map(|alert| alert.severity).min()
    };
    assert_eq!([50, 51, 200].map(|count| worst(count, 587)), [None, Some(Severity::Low), Some(Severity::Low)]);
    assert_eq!(worst(201, 587), Some(Severity::Medium), "more than a mail merge");
    assert_eq!(worst(51, 25), Some(Severity::Medium), "without a password");
}

/// By hand: median 20 and no spread, so a tenth of it is the deviation, and five of those are allowed: 30.
#[test]
fn as_much_as_its_bound_is_usual_and_one_message_more_is_not() {
    for (count, told) in [(30, 0), (31, 1)] {
        let mut wire = Wire::new();
        windows(&mut wire, [20; 12]);
        windows(&mut wire, [count]);
        assert_eq!(wire.alerts().len(), told, "{count}");
    }
}

#[test]
fn a_window_past_its_ceiling_does_not_become_usual() {
    let mut wire = Wire::new();
    windows(&mut wire, [60; 6]);
    windows(&mut wire, [5; 12]);
    let before = wire.alerts().len();
    windows(&mut wire, [30]);
    assert_eq!(wire.alerts().len(), before + 1);
    let text = &wire.alerts()[before].evidence[0].text;
    assert!(text.contains("usual for this host are 5"), "{text}");
}

#[test]
fn a_slow_ramp_is_seen() {
    let mut wire = Wire::new();
    // One message more every six windows, which is an hour: never twice as many as the hour before.
    windows(&mut wire, (0..270).map(|window| 3 + window / 6));
    assert!(wire.short().contains(&alert("mail-volume", Severity::Medium, HOST)));
    assert!(wire.alerts()[0].evidence[0].text.contains("usual for this host"));
}
