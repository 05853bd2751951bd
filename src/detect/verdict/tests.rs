//! What a case comes to.

use proptest::prelude::*;

use crate::model::alert::Alert;

use super::*;

fn signal(rule: &str, detector: &'static str, severity: Severity, bearing: Bearing, second: i64) -> Signal {
    let time = Timestamp::from_parts(second, 0);
    let alert = Alert {
        time,
        rule: rule.into(),
        sid: 1,
        rev: 1,
        title: String::new(),
        category: String::new(),
        severity,
        host: None,
        evidence: vec![],
        remediation: String::new(),
        references: vec![],
    };
    Signal { alert, detector, bearing, since: time, ground: detector }
}

#[test]
fn weighs_as_the_contract_says() {
    use Bearing::{Behaviour, Note, Proof};
    use Severity::{Critical, High, Low, Medium};
    type Said = (&'static str, Severity, Bearing);
    let cases: [(&[Said], Verdict); 9] = [
        (&[], Verdict::Clean),
        (&[("a", Low, Behaviour), ("b", Low, Behaviour), ("c", Low, Behaviour)], Verdict::Clean),
        (&[("a", Critical, Note), ("b", High, Note)], Verdict::Clean),
        (&[("a", Medium, Behaviour)], Verdict::Suspicious),
        (&[("a", High, Behaviour), ("a", Medium, Behaviour)], Verdict::Suspicious),
        (&[("a", High, Behaviour), ("b", Low, Behaviour)], Verdict::Suspicious),
        (&[("a", Low, Behaviour), ("b", Medium, Behaviour), ("a", Medium, Behaviour)], Verdict::Infected),
        (&[("a", High, Behaviour), ("b", Medium, Behaviour)], Verdict::Infected),
        (&[("a", Critical, Proof)], Verdict::Infected),
    ];
    for (signals, expected) in cases {
        let mut case = Case::default();
        for (number, (detector, severity, bearing)) in signals.iter().enumerate() {
            // A rule name of its own for each: two rules of one detector are still one ground.
            case.note(
                &signal(&format!("rule-{number}"), detector, *severity, *bearing, number as i64),
                &settings::Verdict::default(),
            );
        }
        assert_eq!(case.verdict(), expected, "{signals:?}");
    }
}

#[test]
fn a_clock_that_stepped_back_does_not_end_a_case_before_it_began() {
    let mut case = Case::default();
    let mut late = signal("volume", "y", Severity::Medium, Bearing::Behaviour, 10);
    late.since = Timestamp::from_parts(20, 0);
    case.note(&late, &settings::Verdict::default());
    let span = (Timestamp::from_parts(10, 0), Timestamp::from_parts(20, 0));
    assert_eq!(case.span(), Some(span));
}

#[test]
fn keeps_the_strongest_within_its_bound_and_every_change_of_verdict() {
    let mut case = Case::default();
    for number in 0..1_000 {
        let rule = format!("note-{number}");
        assert_eq!(
            case.note(&signal(&rule, "x", Severity::Critical, Bearing::Note, number), &settings::Verdict::default()),
            None
        );
    }
    let changed =
        case.note(&signal("volume", "y", Severity::Medium, Bearing::Behaviour, 2_000), &settings::Verdict::default());
    assert_eq!(changed, Some(Verdict::Suspicious));
    let changed =
        case.note(&signal("worm", "x", Severity::Critical, Bearing::Proof, 3_000), &settings::Verdict::default());
    assert_eq!(changed, Some(Verdict::Infected));
    let grounds = case.grounds();
    assert_eq!((grounds.len(), grounds[0].rule.as_str(), grounds[1].rule.as_str()), (64, "worm", "volume"));
    assert_eq!(case.timeline().len(), limits::INCIDENT_ENTRIES - 4);
    assert_eq!(case.timeline().last().unwrap().text, "verdict: infected (worm)");
    let span = (Timestamp::from_parts(2_000, 0), Timestamp::from_parts(3_000, 0));
    assert_eq!(case.span(), Some(span), "notes do not count");
}

/// By hand: 100 and 60 when they are said; six hours later 50 and 30; the behaviour seen again, mildly, stays.
#[test]
fn the_score_is_the_sum_of_weights_that_halve() {
    let settings = settings::Verdict::default();
    let mut case = Case::default();
    let at = |second| Timestamp::from_parts(second, 0);
    case.note(&signal("worm", "x", Severity::Critical, Bearing::Proof, 0), &settings);
    case.note(&signal("chain", "y", Severity::High, Bearing::Behaviour, 0), &settings);
    case.note(&signal("note", "z", Severity::Critical, Bearing::Note, 0), &settings);
    assert_eq!(case.score(at(0), &settings), 160.0);
    assert_eq!(case.score(at(21_600), &settings), 80.0);
    case.note(&signal("chain", "y", Severity::Low, Bearing::Behaviour, 21_600), &settings);
    assert_eq!(case.score(at(21_600), &settings), 80.0);
    case.again("x", at(21_600), &settings);
    assert_eq!(case.score(at(21_600), &settings), 130.0);
    let weights: f64 = case.grounds().iter().map(|ground| ground.weight(at(30_000), &settings)).sum();
    assert!((case.score(at(30_000), &settings) - weights).abs() < 1e-9);
    assert!(!case.is_calm(at(21_600 * 4), &settings) && case.is_calm(at(21_600 * 5), &settings));
}

proptest! {
    /// What comes in never lowers the score of the time it comes in, whatever there is.
    #[test]
    fn more_evidence_never_lowers_a_score(
        steps in prop::collection::vec((0_usize..90, 0_usize..5, 0_usize..3, 0_i64..50_000, any::<bool>()), 1..150)
    ) {
        const DETECTORS: [&str; 3] = ["a", "b", "c"];
        let settings = settings::Verdict::default();
        let (mut case, mut now) = (Case::default(), 0);
        for (rule, severity, kind, later, again) in steps {
            now += later;
            let time = Timestamp::from_parts(now, 0);
            let before = case.score(time, &settings);
            let bearing = [Bearing::Proof, Bearing::Behaviour, Bearing::Note][kind];
            match again {
                true => case.again(DETECTORS[kind], time, &settings),
                false => {
                    let rule = format!("rule-{rule}");
                    let severity = Severity::ALL[severity];
                    case.note(&signal(&rule, DETECTORS[kind], severity, bearing, now), &settings);
                }
            }
            prop_assert!(case.score(time, &settings) >= before);
        }
    }
}

fn figured(mut signal: Signal, name: &'static str) -> Signal {
    let figures = vec![(name, crate::model::alert::Figure::Count(1))];
    signal.alert.evidence = vec![Evidence { source: name.into(), text: String::new(), figures }];
    signal
}

#[test]
fn two_cases_of_one_host_keep_a_ground_of_both_once_and_at_its_stronger() {
    let settings = settings::Verdict::default();
    let at = |second| Timestamp::from_parts(second, 0);
    let case = |severity, second, name| {
        let mut case = Case::default();
        case.note(&figured(signal("volume", "x", severity, Bearing::Behaviour, second), name), &settings);
        case
    };
    let (mild, bad) = (Severity::Medium, Severity::High);
    for (mut one, other) in [(case(mild, 5, "mild"), case(bad, 9, "bad")), (case(bad, 9, "bad"), case(mild, 5, "mild"))]
    {
        one.join(other, at(9), &settings);
        let grounds = one.grounds();
        assert_eq!((grounds.len(), grounds[0].severity, grounds[0].times), (1, bad, 2));
        assert_eq!(grounds[0].evidence[0].source, "bad");
        assert_eq!((one.verdict(), one.span()), (Verdict::Suspicious, Some((at(5), at(9)))));
        let verdicts = one.timeline().iter().filter(|moment| moment.text.starts_with("verdict")).count();
        assert_eq!(verdicts, 2, "each had its own, and together they are no worse");
    }
}

#[test]
fn two_suspicious_addresses_may_be_one_infected_host() {
    let settings = settings::Verdict::default();
    let mut one = Case::default();
    one.note(&signal("volume", "x", Severity::Medium, Bearing::Behaviour, 1), &settings);
    let mut other = Case { incident: Some(7), ..Case::default() };
    other.note(&signal("chain", "y", Severity::High, Bearing::Behaviour, 2), &settings);
    one.join(other, Timestamp::from_parts(3, 0), &settings);
    assert_eq!((one.verdict(), one.grounds().len(), one.incident), (Verdict::Infected, 2, Some(7)));
    assert_eq!(one.timeline().last().unwrap().text, "verdict: infected (two addresses are one host)");
    assert_eq!(one.score(Timestamp::from_parts(3, 0), &settings), 100.0, "60 and 40");
}

#[test]
fn a_joined_case_stays_within_its_bound_and_leaves_room_for_its_end() {
    let settings = settings::Verdict::default();
    let full = |name: &str, from: i64| {
        let mut case = Case::default();
        for number in 0..1_000 {
            let rule = format!("{name}-{number}");
            case.note(&signal(&rule, "x", Severity::Low, Bearing::Behaviour, from + number), &settings);
        }
        case
    };
    let (mut one, other) = (full("a", 0), full("b", 5_000));
    one.join(other, Timestamp::from_parts(9_000, 0), &settings);
    assert_eq!(one.grounds().len(), limits::INCIDENT_ENTRIES);
    assert!(one.timeline().len() <= limits::INCIDENT_ENTRIES - KEPT_FREE);
    let few = |from: i64| {
        let mut case = Case::default();
        for number in 0..12 {
            let rule = format!("{from}-{number}");
            case.note(&signal(&rule, "x", Severity::Low, Bearing::Behaviour, from + number), &settings);
        }
        case
    };
    let mut both = few(100);
    both.join(few(0), Timestamp::from_parts(9_000, 0), &settings);
    let steps: Vec<&str> = both.timeline().iter().map(|moment| moment.text.as_str()).collect();
    assert_eq!((steps.len(), steps[0], steps[23]), (24, "first 0-0 at low", "first 100-11 at low"));
    let mut short = Case::default();
    short.note(&signal("worm", "x", Severity::Critical, Bearing::Proof, 9_500), &settings);
    one.join(short, Timestamp::from_parts(9_500, 0), &settings);
    assert_eq!((one.grounds()[0].rule.as_str(), one.verdict()), ("worm", Verdict::Infected));
}

#[test]
fn a_case_takes_an_entry_for_itself_and_each_step_and_more_for_each_ground_with_figures() {
    let settings = settings::Verdict::default();
    let mut case = Case::default();
    assert_eq!(case.entries(), 1);
    case.note(&figured(signal("volume", "x", Severity::Low, Bearing::Behaviour, 1), "figure"), &settings);
    assert_eq!(case.entries(), 1 + 7 + 1, "a ground with figures takes 1.1 KB, seven entries of 160 bytes");
    case.note(&signal("chain", "y", Severity::Low, Bearing::Behaviour, 2), &settings);
    assert_eq!(case.entries(), 1 + 7 + 3 + 2);
    case.shorten();
    assert_eq!(case.entries(), 1 + 3 + 3 + 2);
}
