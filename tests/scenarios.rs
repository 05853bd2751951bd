//! Scenarios: networks described under `tests/scenarios/`, and what must be said of them and what must not.
//!
//! `SCENARIO=name cargo test --test scenarios` runs one and shows all that was said of it.

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
