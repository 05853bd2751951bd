//! Runs a scenario through the three stages, without threads, and says how what they said compares with what was to
//! be said. Shared by the test and the table.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use ipnet::IpNet;
use mailsnare::capture::Packet;
use mailsnare::correlator::{Correlator, CorrelatorSettings, Said};
use mailsnare::detect::Detectors;
use mailsnare::inspector::Inspector;
use mailsnare::model::alert::{Alert, Figure, Incident, Severity, Verdict};
use mailsnare::model::event::Event;
use mailsnare::model::net::HomeNet;
use mailsnare::model::settings::{DetectSettings, InspectSettings, SensorSettings};
use mailsnare::model::time::Timestamp;
use mailsnare::rules::RuleSet;
use mailsnare::sensor::Sensor;
use mailsnare_lab::scenario::{Expect, Outcome, Scenario};

/// Where the scenarios lie.
pub fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios"))
}

/// Whether all detectors a scenario waits for exist; else the first that does not.
pub fn waits_for(scenario: &Scenario) -> Option<&str> {
    scenario.plan.needs.iter().map(String::as_str).find(|name| !Detectors::names().contains(name))
}

/// What the three stages said of a scenario.
pub struct Run {
    pub outcome: Outcome,
    pub alerts: Vec<Alert>,
    pub incidents: Vec<Incident>,
}

/// Plays a scenario to the stages; `watch` sees every event before it is inspected.
pub fn run(scenario: &Scenario, rules: &Arc<RuleSet>, detect: DetectSettings, mut watch: impl FnMut(&Event)) -> Run {
    let outcome = scenario.play();
    let home = HomeNet::default();
    let mail_servers = outcome.declared.iter().map(|ip| IpNet::from(*ip)).collect();
    let inspector = Inspector::new(home.clone(), InspectSettings::default());
    let groups = outcome.groups.clone();
    let settings = CorrelatorSettings { home, mail_servers, detect, groups, ..CorrelatorSettings::default() };
    let mut correlator = Correlator::new(settings, Arc::<RuleSet>::clone(rules));
    let mut sensor = Sensor::new(SensorSettings::default(), 0);
    let mut said = Vec::new();
    let mut hear = |sensor: &mut Sensor, correlator: &mut Correlator, said: &mut Vec<Said>| {
        for mut event in sensor.drain() {
            watch(&event);
            let findings = inspector.inspect(rules, &mut event);
            correlator.take(&event, &findings, said);
        }
    };
    for (number, packet) in (1..).zip(&outcome.sample.packets) {
        let time = Timestamp::from_nanos(packet.time);
        let wire_len = packet.data.len() as u32;
        sensor.packet(&Packet { time, link: ETHERNET, data: &packet.data, wire_len, number, file: 0 });
        hear(&mut sensor, &mut correlator, &mut said);
    }
    sensor.finish();
    hear(&mut sensor, &mut correlator, &mut said);
    correlator.finish(&mut said);
    let (mut alerts, mut incidents) = (Vec::new(), Vec::new());
    for one in said {
        match one {
            Said::Alert(alert) => alerts.push(*alert),
            Said::Incident(incident) => incidents.push(*incident),
        }
    }
    Run { outcome, alerts, incidents }
}

impl Run {
    /// What went other than expected, in words.
    pub fn faults(&self, expect: &Expect) -> Vec<String> {
        let mut faults = Vec::new();
        for name in self.outcome.addresses.keys() {
            self.check_verdict(name, expect, &mut faults);
        }
        for wanted in &expect.alerts {
            let least: Severity = wanted.at_least.parse().unwrap_or_else(|error| panic!("{error}"));
            let said = self.alerts_about(&wanted.host);
            if !said.clone().any(|alert| alert.rule == wanted.rule && alert.severity.reaches(least)) {
                faults.push(format!("{} of {} was not said at {least} or worse", wanted.rule, wanted.host));
            }
        }
        for rule in &expect.never {
            if let Some(alert) = self.alerts.iter().find(|alert| alert.rule == *rule) {
                faults.push(format!("{rule} was said at {} of {}: {}", alert.time, self.who(alert), reasons(alert)));
            }
        }
        let bounds = [(Verdict::Suspicious, expect.suspected_within), (Verdict::Infected, expect.named_within)];
        for (verdict, bound) in bounds.into_iter().filter_map(|(verdict, bound)| Some((verdict, bound?))) {
            for name in &self.outcome.infected {
                match self.since(name, verdict).map(|since| self.attempts_until(name, since)) {
                    Some(count) if count <= bound => {}
                    Some(count) => {
                        faults.push(format!("{name} was {} after {count} messages, not {bound}", verdict.name()))
                    }
                    None => faults.push(format!("{name} was never {}", verdict.name())),
                }
            }
        }
        for [source, victim] in &expect.chain {
            let named = |address: &IpAddr| {
                let address = address.to_string();
                let told = |incident: &Incident| incident.evidence.iter().any(|reason| reason.text.contains(&address));
                self.incidents.iter().any(|incident| self.is(victim, incident.host) && told(incident))
            };
            if !self.outcome.addresses[source].iter().any(named) {
                faults.push(format!("the case of {victim} does not say that {source} infected it"));
            }
        }
        faults
    }

    /// When this or a worse verdict was first given of a host.
    pub fn since(&self, name: &str, verdict: Verdict) -> Option<Timestamp> {
        let about = self.incidents.iter().filter(|incident| self.is(name, incident.host));
        about.filter(|incident| incident.verdict >= verdict).map(|incident| incident.time).min()
    }

    /// Messages a host had tried to send by then.
    pub fn attempts_until(&self, name: &str, until: Timestamp) -> usize {
        let attempts = self.outcome.attempts.get(name).map(Vec::as_slice).unwrap_or_default();
        attempts.partition_point(|at| *at <= until.as_nanos())
    }

    /// When it first tried to send one.
    pub fn began(&self, name: &str) -> Option<Timestamp> {
        self.outcome.attempts.get(name)?.first().map(|at| Timestamp::from_nanos(*at))
    }

    /// The alerts that accuse a host: not those that say that mail arrived at it, or went through it.
    pub fn accusations<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Alert> + Clone {
        self.alerts_about(name).filter(|alert| {
            let passing = |figure: &(&str, Figure)| {
                figure.0 == "position" && matches!(&figure.1, Figure::Text(text) if text != "sender")
            };
            !alert.evidence.iter().flat_map(|reason| &reason.figures).any(passing)
        })
    }

    fn alerts_about<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Alert> + Clone {
        self.alerts.iter().filter(|alert| alert.host.is_some_and(|host| self.is(name, host)))
    }

    fn check_verdict(&self, name: &str, expect: &Expect, faults: &mut Vec<String>) {
        let infected = self.outcome.infected.iter().any(|infected| infected == name);
        let otherwise = if infected { "infected" } else { "clean" };
        let group = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let given = expect.verdict.get(name).or_else(|| expect.verdict.get(&format!("{group}*")));
        let wanted = given.map_or(otherwise, String::as_str);
        let said =
            Verdict::ALL.into_iter().rev().find(|verdict| self.since(name, *verdict).is_some()).unwrap_or_default();
        if !wanted.split(" or ").any(|verdict| verdict == said.name()) {
            let reasons: Vec<String> = self
                .accusations(name)
                .take(3)
                .map(|alert| format!("{} at {}: {}", alert.rule, alert.severity, reasons(alert)))
                .collect();
            faults.push(format!("{name} is {}, not {wanted} [{}]", said.name(), reasons.join(" | ")));
        }
        if wanted == "clean" {
            let worst: Option<Severity> = expect.worst.parse().ok();
            if let Some(alert) = self.accusations(name).find(|alert| worst.is_none_or(|worst| alert.severity < worst)) {
                faults.push(format!("{} at {} of {name}: {}", alert.rule, alert.severity, reasons(alert)));
            }
        }
    }

    fn is(&self, name: &str, host: IpAddr) -> bool {
        self.outcome.addresses.get(name).is_some_and(|addresses| addresses.contains(&host))
    }

    fn who(&self, alert: &Alert) -> String {
        alert.host.map_or_else(|| "nobody".into(), |host| host.to_string())
    }
}

fn reasons(alert: &Alert) -> String {
    alert.evidence.iter().map(|reason| reason.text.as_str()).collect::<Vec<_>>().join("; ")
}

/// LINKTYPE_ETHERNET.
const ETHERNET: u32 = 1;
