//! `flood-after-flag` by events: who it is said of, and of whom not.

use std::sync::Arc;

use super::wire::*;
use crate::correlator::CorrelatorSettings;
use crate::model::alert::{Alert, Figure, Severity, Verdict};
use crate::model::event::{DnsData, EventKind, Flood};
use crate::model::mail::Findings;
use crate::model::rulebook::NoRules;

const TARGET: &str = "203.0.113.200";

/// What the sensor tells of a second of it.
fn flood(wire: &mut Wire, from: &str, to: &str, syns: u64, echoes: u64) {
    let flow = wire.flow(from, to, 80);
    let since = wire.now;
    wire.wait(1);
    let flood = Flood { syns, echoes, port: Some(80), since, last: wire.now };
    wire.feed(Some(&flow), EventKind::Flood(Box::new(flood)), &Findings::default());
}

/// Makes a host suspicious by whole chains to three domains.
fn flag(wire: &mut Wire, host: &str) {
    for domain in 1..=3 {
        wire.deliver(host, RESOLVER, domain, false);
    }
    assert_eq!(wire.verdict(host), Verdict::Suspicious);
}

fn told(wire: &Wire) -> Vec<&Alert> {
    wire.alerts().into_iter().filter(|alert| alert.rule == "flood-after-flag").collect()
}

#[test]
fn a_flagged_host_that_floods_is_told_in_figures_and_named() {
    let mut wire = Wire::with(CorrelatorSettings::default(), Arc::new(NoRules));
    flag(&mut wire, HOST);
    wire.ask(HOST, RESOLVER, "victim.example", 1, Some(DnsData::A([203, 0, 113, 200].into())), false);
    flood(&mut wire, HOST, TARGET, 60, 40);
    let alerts = told(&wire);
    let evidence = &alerts[0].evidence[0];
    assert_eq!((alerts.len(), alerts[0].severity), (1, Severity::Medium));
    assert_eq!(
        evidence.text,
        "suspicious by then, it flooded 203.0.113.200 (asked for as victim.example): 60 connection attempts (the last to \
         TCP port 80) and 40 echo requests within 1.0 s (100 a second)"
    );
    for (name, expected) in [("packets", 100), ("connection_attempts", 60), ("echo_requests", 40), ("port", 80)] {
        assert_eq!(*figure(evidence, name), Figure::Count(expected), "{name}");
    }
    assert_eq!(*figure(evidence, "per_second"), Figure::Real(100.0));
    assert_eq!(wire.verdict(HOST), Verdict::Infected, "two independent behaviours");

    // What follows is no new alert, but is in the account.
    for _ in 0..9 {
        flood(&mut wire, HOST, TARGET, 60, 40);
    }
    assert_eq!(told(&wire).len(), 1);
    let report = wire.correlator.report();
    let account = report.hosts[0].evidence.iter().find(|evidence| evidence.source == "flood-after-flag").unwrap();
    assert_eq!(*figure(account, "packets"), Figure::Count(1_000));
    assert_eq!(*figure(account, "per_second"), Figure::Real(100.0));
    assert_eq!(*figure(account, "content_free"), Figure::Text("yes".into()));

    // Long and hard is worse.
    flood(&mut wire, HOST, TARGET, 60_000, 0);
    assert_eq!(told(&wire).iter().map(|alert| alert.severity).collect::<Vec<_>>(), [Severity::Medium, Severity::High]);
}

#[test]
fn who_is_not_under_suspicion_may_test_what_load_it_likes() {
    let mut wire = Wire::with(CorrelatorSettings::default(), Arc::new(NoRules));
    let flow = wire.connect(HOST, OUTSIDE, 587);
    wire.end(&flow, 2_000);
    for _ in 0..60 {
        flood(&mut wire, HOST, TARGET, 5_000, 100);
        flood(&mut wire, "10.0.0.77", TARGET, 5_000, 100);
    }
    assert!(told(&wire).is_empty());
    assert_eq!(wire.correlator.stats().hosts, 1, "a flood alone makes no state");
    // What it did before it was flagged stays its own affair; what it does from then on does not.
    flag(&mut wire, HOST);
    assert!(told(&wire).is_empty());
    flood(&mut wire, HOST, TARGET, 100, 0);
    assert_eq!(*figure(&told(&wire)[0].evidence[0], "packets"), Figure::Count(100));
}

#[test]
fn within_the_house_below_the_bound_or_spread_out_is_no_flood() {
    let mut wire = Wire::with(CorrelatorSettings::default(), Arc::new(NoRules));
    flag(&mut wire, HOST);
    flood(&mut wire, HOST, SERVER, 5_000, 0);
    flood(&mut wire, HOST, "239.1.1.1", 5_000, 0);
    flood(&mut wire, "192.0.2.9", HOST, 5_000, 0);
    for _ in 0..20 {
        flood(&mut wire, HOST, TARGET, 99, 0);
        wire.wait(61);
    }
    for last in 0..50 {
        flood(&mut wire, HOST, &format!("203.0.113.{last}"), 99, 0);
    }
    assert!(told(&wire).is_empty());
}

#[test]
fn a_name_that_a_rule_knows_and_the_flood_at_it_are_one_story() {
    let mut wire = Wire::new();
    let target = DnsData::A([203, 0, 113, 200].into());
    // Over UDP, from a host that never mailed: by itself low, since anyone could have forged it.
    wire.ask(HOST, RESOLVER, "WWW.darkprofits.com", 1, Some(target.clone()), false);
    assert_eq!(wire.verdict(HOST), Verdict::Clean);
    wire.wait(5);
    flood(&mut wire, HOST, TARGET, 60, 40);
    let alerts = told(&wire);
    assert_eq!((alerts.len(), alerts[0].severity), (1, Severity::High));
    let evidence = &alerts[0].evidence[0];
    assert!(
        evidence.text.starts_with(
            "flooded 203.0.113.200 (asked for as www.darkprofits.com, a name of mimail-c-dos, 5 s before): 60 connection"
        ),
        "{}",
        evidence.text
    );
    assert_eq!(*figure(evidence, "rule"), Figure::Text("mimail-c-dos".into()));
    assert_eq!(wire.verdict(HOST), Verdict::Suspicious);

    // The name alone, and a flood elsewhere, are no story.
    let mut other = Wire::new();
    other.ask(HOST, RESOLVER, "www.darkprofits.com", 1, Some(target), false);
    flood(&mut other, HOST, OUTSIDE, 5_000, 0);
    assert!(told(&other).is_empty());
}

/// What each of several threads tells of the same ten seconds is one flood, and less than that is none.
#[test]
fn parts_that_threads_saw_are_added_up() {
    let settings = CorrelatorSettings { joins_floods: true, ..CorrelatorSettings::default() };
    let mut wire = Wire::with(settings, Arc::new(NoRules));
    flag(&mut wire, HOST);
    for _ in 0..3 {
        flood(&mut wire, HOST, TARGET, 30, 0);
    }
    assert!(told(&wire).is_empty());
    // A slow trickle is no flood, however long it lasts: one thread would not have told of it at all.
    for _ in 0..20 {
        wire.wait(15);
        flood(&mut wire, HOST, TARGET, 60, 0);
    }
    assert!(told(&wire).is_empty());
    wire.wait(15);
    for _ in 0..4 {
        flood(&mut wire, HOST, TARGET, 20, 5);
    }
    assert_eq!(told(&wire).len(), 1);
    assert_eq!(*figure(&told(&wire)[0].evidence[0], "packets"), Figure::Count(100));
    flood(&mut wire, "10.0.0.77", TARGET, 5_000, 0);
    assert!(wire.correlator.stats().hosts <= 2, "a flood alone makes no state");
}

/// With a short memory an incident closes within the hour in which an alert is not repeated.
#[test]
fn a_flood_after_the_incident_closed_is_told_anew() {
    let mut detect = crate::model::settings::DetectSettings::default();
    detect.verdict.half_life_seconds = 60;
    let mut wire = Wire::with(CorrelatorSettings { detect, ..CorrelatorSettings::default() }, Arc::new(NoRules));
    for round in 1..=2 {
        (1..=3).for_each(|domain| drop(wire.deliver(HOST, RESOLVER, domain, false)));
        flood(&mut wire, HOST, TARGET, 100, 0);
        flood(&mut wire, HOST, TARGET, 100, 0);
        assert_eq!(told(&wire).len(), round);
        wire.wait(1_500);
        wire.tick(1_000);
        assert!(wire.incidents().pop().unwrap().closed);
    }
}

#[test]
fn a_target_is_known_by_its_name_over_ipv6_as_well() {
    let mut wire = Wire::new();
    let target = "2001:db8::80";
    let address = DnsData::Aaaa(target.parse().unwrap());
    wire.ask(HOST, RESOLVER, "www.darkprofits.com", 28, Some(address), false);
    flood(&mut wire, HOST, target, 100, 0);
    assert_eq!(*figure(&told(&wire)[0].evidence[0], "name"), Figure::Text("www.darkprofits.com".into()));
    assert_eq!(told(&wire)[0].severity, Severity::High);
}

/// One thread alone tells of each window by itself; within a minute they are one flood.
#[test]
fn windows_of_one_flood_are_added_up_and_a_pause_ends_it() {
    for (pause, count) in [(50, 1), (70, 0)] {
        let mut wire = Wire::with(CorrelatorSettings::default(), Arc::new(NoRules));
        flag(&mut wire, HOST);
        flood(&mut wire, HOST, TARGET, 99, 0);
        wire.wait(pause);
        flood(&mut wire, HOST, TARGET, 99, 0);
        assert_eq!(told(&wire).len(), count, "{pause} s");
    }
}

#[test]
fn names_and_targets_of_a_flagged_host_are_accounted_for() {
    let mut wire = Wire::with(CorrelatorSettings::default(), Arc::new(NoRules));
    flag(&mut wire, HOST);
    let before = wire.correlator.stats().entries;
    for n in 1..=100 {
        let address = DnsData::A([203, 0, 114, n].into());
        wire.ask(HOST, RESOLVER, &format!("v{n}.example"), 1, Some(address), false);
        flood(&mut wire, HOST, &format!("203.0.114.{n}"), 1, 0);
    }
    let more = wire.correlator.stats().entries - before;
    let targets = crate::model::limits::FLOOD_TARGETS.min(100) as u64;
    assert!((100 + targets..110 + targets).contains(&more), "100 names, {targets} targets: {more}");
}
