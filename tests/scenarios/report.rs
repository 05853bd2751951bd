//! Writes `tests/scenarios/README.md`: what the scenarios are, and how well the detectors do on them beside classic
//! thresholds. Run it with `cargo run --release --example scenarios`.

mod baseline;
mod run;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use mailsnare::detect::Detectors;
use mailsnare::model::alert::{Severity, Verdict};
use mailsnare::model::settings::{DetectSettings, DirectToMx, MailVolume, Roles};
use mailsnare::model::time::Timestamp;
use mailsnare::rules::RuleSet;
use mailsnare_lab::scenario::Scenario;

use baseline::Baselines;
use run::Run;

fn main() -> Result<(), String> {
    let scenarios = Scenario::all(run::folder())?;
    let (rules, none) = (Arc::new(RuleSet::builtin()), Arc::new(RuleSet::default()));
    let tried: Vec<Tried> = scenarios.iter().map(|scenario| Tried::new(scenario, &rules, &none)).collect();
    let mut page = String::from(INTRODUCTION);
    results(&mut page, &tried);
    sweep(&mut page, &scenarios, &none);
    standing(&mut page, &tried);
    let file = run::folder().join("README.md");
    std::fs::write(&file, &page).map_err(|error| format!("{}: {error}", file.display()))?;
    println!("{page}");
    Ok(())
}

/// A scenario with all that was said of it.
struct Tried<'a> {
    scenario: &'a Scenario,
    run: Run,
    /// When each way of telling first flagged which host.
    flags: BTreeMap<&'static str, BTreeMap<String, Timestamp>>,
}

impl<'a> Tried<'a> {
    fn new(scenario: &'a Scenario, rules: &Arc<RuleSet>, none: &Arc<RuleSet>) -> Self {
        let mut baselines = Baselines::default();
        let run = run::run(scenario, rules, DetectSettings::default(), |event| baselines.see(event));
        let blind = run::run(scenario, none, DetectSettings::default(), |_| ());
        let mut flags = BTreeMap::new();
        flags.insert(INFECTED, verdicts(&run, Verdict::Infected));
        flags.insert(SUSPICIOUS, verdicts(&run, Verdict::Suspicious));
        flags.insert(BLIND_INFECTED, verdicts(&blind, Verdict::Infected));
        flags.insert(BLIND_SUSPICIOUS, verdicts(&blind, Verdict::Suspicious));
        flags.insert(RULES, alerts(&run, |rule| !Detectors::names().contains(&rule)));
        for detector in detectors() {
            flags.insert(detector, alerts(&run, |rule| rule == detector));
        }
        for (name, hosts) in baselines.flags() {
            flags.insert(name, named(&run, hosts));
        }
        Self { scenario, run, flags }
    }
}

/// Detectors that raise alerts in their own name.
fn detectors() -> impl Iterator<Item = &'static str> {
    Detectors::names().iter().copied().filter(|name| !matches!(*name, "content-rule" | "name-rule"))
}

fn verdicts(run: &Run, verdict: Verdict) -> BTreeMap<String, Timestamp> {
    let hosts = run.outcome.addresses.keys();
    hosts.filter_map(|name| Some((name.clone(), run.since(name, verdict)?))).collect()
}

/// Hosts accused at medium or worse by a rule that passes.
fn alerts(run: &Run, passes: impl Fn(&str) -> bool) -> BTreeMap<String, Timestamp> {
    let first = |name: &str| {
        let mut accusations = run.accusations(name);
        accusations
            .find(|alert| passes(&alert.rule) && alert.severity.reaches(Severity::Medium))
            .map(|alert| alert.time)
    };
    run.outcome.addresses.keys().filter_map(|name| Some((name.clone(), first(name)?))).collect()
}

/// Baselines are given the true list of mail servers, and so never flag one that is well.
fn named(run: &Run, hosts: &BTreeMap<std::net::IpAddr, Timestamp>) -> BTreeMap<String, Timestamp> {
    let mut flags: BTreeMap<String, Timestamp> = BTreeMap::new();
    for (name, addresses) in &run.outcome.addresses {
        let is_infected = run.outcome.infected.contains(name);
        let flagged = addresses.iter().filter(|ip| is_infected || !run.outcome.mail_servers.contains(ip));
        if let Some(first) = flagged.filter_map(|ip| hosts.get(ip)).min() {
            flags.insert(name.clone(), *first);
        }
    }
    flags
}

/// What one way of telling came to on some scenarios.
#[derive(Default)]
struct Score {
    infected: usize,
    found: usize,
    wrong: BTreeSet<String>,
    messages: Vec<usize>,
    minutes: Vec<f64>,
}

impl Score {
    fn of(tried: &[&Tried<'_>], way: &str) -> Self {
        let mut score = Self::default();
        for Tried { scenario, run, flags } in tried {
            score.infected += run.outcome.infected.len();
            for (name, since) in flags.get(way).into_iter().flatten() {
                if !run.outcome.infected.contains(name) {
                    score.wrong.insert(format!("{} of {}", name, scenario.name));
                    continue;
                }
                score.found += 1;
                score.messages.push(run.attempts_until(name, *since));
                let began = run.began(name).unwrap_or(*since);
                score.minutes.push(since.since(began).as_secs_f64() / 60.0);
            }
        }
        score.messages.sort_unstable();
        score.minutes.sort_unstable_by(f64::total_cmp);
        score
    }

    fn row(&self, way: &str) -> String {
        let share = |part: usize, whole: usize| {
            if whole == 0 { "-".into() } else { format!("{:.3}", part as f64 / whole as f64) }
        };
        let middle = self.messages.len() / 2;
        let count = |at: Option<&usize>| at.map_or("-".into(), ToString::to_string);
        let minutes = |at: Option<&f64>| at.map_or("-".into(), |minutes| format!("{minutes:.1}"));
        format!(
            "| {way} | {} | {} | {} of {} | {} | {} | {} | {} | {} |\n",
            share(self.found, self.infected),
            share(self.found, self.found + self.wrong.len()),
            self.found,
            self.infected,
            self.wrong.len(),
            count(self.messages.get(middle)),
            count(self.messages.last()),
            minutes(self.minutes.get(middle)),
            minutes(self.minutes.last()),
        )
    }
}

fn results(page: &mut String, tried: &[Tried<'_>]) {
    let half = |tuning: bool| tried.iter().filter(move |tried| is_for_tuning(tried.scenario) == tuning);
    let halves = [
        ("Held out", half(false).collect::<Vec<_>>()),
        ("Tuning", half(true).collect()),
        ("All", tried.iter().collect()),
    ];
    let mut ways = vec![INFECTED, SUSPICIOUS, BLIND_INFECTED, BLIND_SUSPICIOUS, RULES];
    ways.extend(detectors());
    ways.extend(baseline::NAMES);
    for (title, tried) in halves {
        let _ = write!(page, "\n### {title}: {} scenarios\n\n{HEAD}", tried.len());
        ways.iter().for_each(|way| page.push_str(&Score::of(&tried, way).row(way)));
        for way in [INFECTED, SUSPICIOUS] {
            let wrong = Score::of(&tried, way).wrong;
            if !wrong.is_empty() {
                let _ = write!(page, "\nWrongly: {way}: {}.\n", wrong.into_iter().collect::<Vec<_>>().join(", "));
            }
        }
    }
}

/// How the thresholds do on the tuning half, by behaviour alone.
fn sweep(page: &mut String, scenarios: &[Scenario], none: &Arc<RuleSet>) {
    let mut settings = vec![("as built".to_owned(), DetectSettings::default())];
    for domains in [2, 4, 6] {
        let direct_to_mx = DirectToMx { domains, ..DirectToMx::default() };
        settings.push((
            format!("direct-to-mx: {domains} domains"),
            DetectSettings { direct_to_mx, ..DetectSettings::default() },
        ));
    }
    for messages in [25, 100] {
        let mail_volume = MailVolume { messages, connections: 2 * messages, ..MailVolume::default() };
        settings.push((
            format!("mail-volume: {messages} messages"),
            DetectSettings { mail_volume, ..DetectSettings::default() },
        ));
    }
    let roles = [
        ("roles: 2 clients", Roles { clients: 2, ..Roles::default() }),
        ("roles: 5 clients", Roles { clients: 5, ..Roles::default() }),
        ("roles: 2 contacts per client", Roles { contacts_per_client: 2, ..Roles::default() }),
        ("roles: 20 contacts per client", Roles { contacts_per_client: 20, ..Roles::default() }),
        ("roles: patience of 0 contacts", Roles { patience: 0, ..Roles::default() }),
        ("roles: patience of 200 contacts", Roles { patience: 200, ..Roles::default() }),
    ];
    settings
        .extend(roles.map(|(name, roles)| (name.to_owned(), DetectSettings { roles, ..DetectSettings::default() })));
    page.push_str("\n## Thresholds on the tuning half, by behaviour alone\n\n");
    page.push_str("| setting | infected: recall | infected: wrong | suspicious: recall | suspicious: wrong |\n| --- | --- | --- | --- | --- |\n");
    for (name, detect) in settings {
        let tried: Vec<Tried<'_>> = scenarios
            .iter()
            .filter(|scenario| is_for_tuning(scenario))
            .map(|scenario| {
                let run = run::run(scenario, none, detect.clone(), |_| ());
                let ways = [(INFECTED, Verdict::Infected), (SUSPICIOUS, Verdict::Suspicious)];
                let flags = ways.into_iter().map(|(way, verdict)| (way, verdicts(&run, verdict))).collect();
                Tried { scenario, run, flags }
            })
            .collect();
        let tried: Vec<&Tried<'_>> = tried.iter().collect();
        let score = |way| {
            let score = Score::of(&tried, way);
            format!("{:.3} | {}", score.found as f64 / score.infected.max(1) as f64, score.wrong.len())
        };
        let _ = writeln!(page, "| {name} | {} | {} |", score(INFECTED), score(SUSPICIOUS));
    }
}

/// Which half a scenario belongs to: by a hash of its name (FNV-1a), so that a new one moves no other across.
fn is_for_tuning(scenario: &Scenario) -> bool {
    let fold = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(16_777_619);
    (scenario.name.bytes().fold(2_166_136_261, fold) >> 16).is_multiple_of(2)
}

/// Each scenario, and whether what it expects holds.
fn standing(page: &mut String, tried: &[Tried<'_>]) {
    page.push_str("\n## The scenarios\n\n| scenario | half | what it shows | holds |\n| --- | --- | --- | --- |\n");
    for Tried { scenario, run, .. } in tried {
        let faults = run.faults(&scenario.plan.expect);
        let holds = match run::waits_for(scenario) {
            Some(detector) if !faults.is_empty() => format!("waits for {detector}"),
            _ if faults.is_empty() => "yes".into(),
            _ => "**no**".into(),
        };
        let honestly = &scenario.plan.expect.honestly;
        let about = if honestly.is_empty() {
            scenario.plan.about.clone()
        } else {
            format!("{}. {honestly}", scenario.plan.about)
        };
        let half = if is_for_tuning(scenario) { "tuning" } else { "held out" };
        let _ = writeln!(page, "| {} | {half} | {about} | {holds} |", scenario.name);
    }
}

const INFECTED: &str = "**verdict infected**";
const SUSPICIOUS: &str = "**verdict suspicious or infected**";
const BLIND_INFECTED: &str = "verdict infected, no rules loaded";
const BLIND_SUSPICIOUS: &str = "verdict suspicious or infected, no rules loaded";
const RULES: &str = "rules alone, medium or worse";

const HEAD: &str = "| way of telling | recall | precision | found | wrong | messages until, median | worst | minutes until, median | worst |\n\
                    | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";

const INTRODUCTION: &str = "\
# Scenarios

Each `*.toml` here describes a network, who mails on it and how (a worm, a bot, or somebody who does no harm and looks like
one), and what must be said of it and what must not. A seeded generator (`mailsnare-lab`, `scenario`) makes packets of it in memory;
`cargo test --test scenarios` plays them to sensor, inspector and correlator and checks what was said.
`SCENARIO=name cargo test --test scenarios -- --nocapture` plays one and shows all that was said.

This page is written by `cargo run --release --example scenarios`: do not edit it.

## Writing one

    about = \"...\"                    # what it shows, and where the behaviour was published
    age = \"early\"                    # or \"today\": stacks, banners, TLS, IPv6
    minutes = 10                     # of everyday life around it; everyday = false for none
    desks = 6                        # pc0, pc1 ... besides ns, mail, news, watch, admin, copier
    needs = [\"mx-guessing\"]          # detectors it waits for: until they exist, it cannot fail
    [[host]]                         # more hosts; count = 200 makes a group, `web*` names all of it
    [[mailer]]                       # who sends, how it finds the next hop, pace, refusals, TLS, dialect, letter
    [[inbound]]                      # mail to a host's port 25, from the world or from = \"pc1\"
    [[lookup]]                       # questions without mail
    [[flood]]                        # connection attempts, echo requests or pages to one destination, at a pace
    [expect]                         # infected = [...]; verdict, alerts, never, suspected_within, named_within, chain

All keys, with what they mean, are in `tests/support/src/scenario/plan.rs`; an unknown key is an error. Payloads are inert: `MZ` and zeros.

## Results

The unit is a home host. Recall is the share of infected hosts that were flagged; precision the share of flagged hosts that
are infected. *Messages until* counts the messages a host had tried to send (delivered or not, hidden or not) when it was flagged,
*minutes until* runs from its first try. Detectors and rules count from severity medium on. Scenarios are halved by a hash of
their names: thresholds are chosen on the tuning half only, and are to be judged by the other. What a detector *is* was thought out with
all of them in view, so the held-out half is a check of figures, not of ideas. A scenario shows what was thought of, not how often it
happens: the figures compare ways of telling with each other and are no forecast for a network. Most bots here make
up another name in EHLO for each session, more than do in life: `smtp-dialect`, and how soon a bot is called infected, look better for it.

Baselines are given a perfect list of mail servers: *ET 2000328* is 10 MAIL FROM in 120 s to port 25 outside, *ET 2003330* 30 MX questions over UDP
in 10 s, *one MX lookup* a single MX question, each by a host that is no mail server.
";
