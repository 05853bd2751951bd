//! Scenarios: networks described under `tests/scenarios/`, and what must be said of them and what must not.
//!
//! `SCENARIO=name cargo test --test scenarios` runs one and shows all that was said of it.

#[path = "scenarios/baseline.rs"]
mod baseline;
#[path = "scenarios/run.rs"]
mod run;

use std::sync::{Arc, Mutex};

use mailsnare::model::settings::DetectSettings;
use mailsnare::rules::RuleSet;
use mailsnare_lab::scenario::Scenario;

#[test]
fn what_is_said_is_what_was_to_be_said() {
    let mut scenarios = Scenario::all(run::folder()).unwrap_or_else(|error| panic!("{error}"));
    let only = std::env::var("SCENARIO").ok();
    if let Some(only) = &only {
        scenarios.retain(|scenario| scenario.name == *only);
    }
    assert!(!scenarios.is_empty(), "no scenario");
    let rules = Arc::new(RuleSet::builtin());
    let queue = Mutex::new(scenarios.iter());
    let faults = Mutex::new(Vec::new());
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                loop {
                    let Some(scenario) = queue.lock().unwrap().next() else { return };
                    faults.lock().unwrap().extend(told(scenario, &rules, only.is_some()));
                }
            });
        }
    });
    let mut faults = faults.into_inner().unwrap();
    faults.sort();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// A checker that finds nothing wrong with a wrong expectation would make all of this worthless.
#[test]
fn wrong_expectations_are_told() {
    let mut scenario = read("mimail-c");
    let run = run::run(&scenario, &Arc::new(RuleSet::builtin()), DetectSettings::default(), |_| ());
    assert_eq!(run.faults(&scenario.plan.expect), [""; 0]);
    let expect = &mut scenario.plan.expect;
    expect.verdict.insert("pc3".into(), "clean".into());
    expect.verdict.insert("pc1".into(), "infected".into());
    expect.never.push("mimail-c".into());
    expect.suspected_within = Some(0);
    expect.alerts[0].host = "pc1".into();
    expect.chain.push(["pc1".into(), "pc3".into()]);
    let faults = run.faults(expect);
    for told in [
        "pc3 is infected, not clean",
        "pc1 is clean, not infected",
        "mimail-c was said",
        "pc3 was suspicious after",
        "mimail-c of pc1 was not said",
        "does not say that pc1 infected it",
        " of pc3: ",
    ] {
        assert!(faults.iter().any(|fault| fault.contains(told)), "{told}: {faults:#?}");
    }
}

/// Public knowledge of this family: ET 2003330 counts UDP alone and cannot see it, ET 2000328 fires within a minute or so.
#[test]
fn classic_thresholds_do_on_mimail_what_is_known_of_them() {
    let scenario = read("mimail-c");
    let mut baselines = baseline::Baselines::default();
    let rules = Arc::new(RuleSet::default());
    let run = run::run(&scenario, &rules, DetectSettings::default(), |event| baselines.see(event));
    let host = run.outcome.addresses["pc3"][0];
    let flags: Vec<_> = baselines.flags().map(|(name, hosts)| (name, hosts.get(&host).copied())).collect();
    let began = run.began("pc3").unwrap();
    let [(_, Some(mail_from)), (_, None), (_, Some(lookup))] = flags[..] else { panic!("{flags:?}") };
    assert!((20..90).contains(&mail_from.since(began).as_secs()), "{mail_from}");
    assert_eq!(lookup.since(began).as_secs(), 0);
}

fn read(name: &str) -> Scenario {
    let scenarios = Scenario::all(run::folder()).unwrap_or_else(|error| panic!("{error}"));
    scenarios.into_iter().find(|scenario| scenario.name == name).unwrap()
}

/// What went other than expected in one scenario.
fn told(scenario: &Scenario, rules: &Arc<RuleSet>, show: bool) -> Vec<String> {
    let run = run::run(scenario, rules, DetectSettings::default(), |_| ());
    if show {
        eprintln!(
            "{} packets, attempts {:?}",
            run.outcome.sample.packets.len(),
            run.outcome.attempts.iter().map(|(name, times)| (name, times.len())).collect::<Vec<_>>()
        );
        for alert in &run.alerts {
            let host = alert.host.map(|host| host.to_string()).unwrap_or_default();
            eprintln!(
                "{} {} {} {host}: {:?}",
                alert.time,
                alert.rule,
                alert.severity,
                alert.evidence.iter().map(|reason| &reason.text).collect::<Vec<_>>()
            );
        }
        for incident in &run.incidents {
            eprintln!(
                "{} {} {} closed={} {:?}",
                incident.time,
                incident.host,
                incident.verdict.name(),
                incident.closed,
                incident.timeline
            );
        }
    }
    let faults = run.faults(&scenario.plan.expect);
    match run::waits_for(scenario) {
        Some(detector) => {
            let standing = if faults.is_empty() { "and holds already".into() } else { faults.join("; ") };
            eprintln!("{}: waiting for {detector} ({standing})", scenario.name);
            Vec::new()
        }
        None => faults.into_iter().map(|fault| format!("{}: {fault}", scenario.name)).collect(),
    }
}
