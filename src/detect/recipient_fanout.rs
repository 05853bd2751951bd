//! `recipient-fanout`: does a host deliver to strangers, and fail as often as one who has only a list of addresses?
//!
//! A sequential probability ratio test (A. Wald, "Sequential Analysis", 1947) over the outcomes of a host's deliveries,
//! as J. Jung, V. Paxson, A. W. Berger and H. Balakrishnan run it over first contacts of scanners ("Fast Portscan
//! Detection Using Sequential Hypothesis Testing", IEEE Symposium on Security and Privacy 2004), and Z. Duan and others
//! over what a host mails ("Detecting Spam Zombies by Monitoring Outgoing Messages", INFOCOM 2009, "SPOT").
//!
//! Each outcome is a success (mail to a domain or server that is known for the host) or a failure (a first contact,
//! a refusal, no answer, a domain that does not exist). A success is seen with probability `theta0` of an honest host
//! and `theta1` of an infected one, so it adds `ln(theta1 / theta0)` to the ratio, and a failure
//! `ln((1 - theta1) / (1 - theta0))`. At `ln((1 - beta) / alpha)` the host is taken for infected, at
//! `ln(beta / (1 - alpha))` for honest; either way the test begins anew. `alpha` is the chance to accuse an honest host,
//! `beta` the chance to acquit an infected one.
//!
//! Nothing here needs a message's content. Where the envelope is encrypted, the server stands for the domain.

use std::net::IpAddr;

use crate::model::alert::{Evidence, Figure, Severity};
use crate::model::event::{ConnectOutcome, DnsMessage, EventKind, FlowEnd, Outcome, QTYPE_MX, SmtpEvent};
use crate::model::limits;
use crate::model::net::{Direction, Side};
use crate::model::settings::{self, DetectSettings};
use crate::model::time::Timestamp;

use super::direct_to_mx::{DirectToMx, network};
use super::host::Facts;
use super::pace::{self, Pace};
use super::recent::Recent;
use super::{Bearing, Behaviour, Detector, Scene, Signal, Signals, weight_of};

/// The detector. Mail servers and resolvers are not tested.
#[derive(Debug)]
pub struct RecipientFanout {
    settings: settings::RecipientFanout,
    /// What a success and a failure add to the ratio, and where it decides.
    success: f64,
    failure: f64,
    infected_at: f64,
    honest_at: f64,
}

/// Nothing for a host that neither mailed nor asked for an exchanger.
#[derive(Debug, Default)]
pub struct State(Option<Box<Test>>);

#[derive(Debug)]
struct Test {
    /// Domains the host delivered to, and those that failed it.
    domains: Recent<Box<str>, ()>,
    /// Networks of servers it reached, or tried to.
    networks: Recent<IpAddr, ()>,
    /// Domains it asked the exchangers of: it delivers to them itself.
    asked: Recent<Box<str>, ()>,
    /// Flows whose outcome is counted.
    counted: Recent<u64, ()>,
    ratio: f64,
    since: Option<Timestamp>,
    tally: Tally,
    /// The test that last came to the verdict of infection.
    proof: Option<(f64, Tally)>,
    infected: u64,
    honest: u64,
    /// When each severity was last told: medium, high.
    told: [Pace; 2],
}

/// Outcomes since the test began, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    known: u64,
    strangers: u64,
    refused: u64,
    unanswered: u64,
    missing: u64,
    aborted: u64,
}

/// How one delivery went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Known,
    Stranger,
    Refused,
    Unanswered,
    Missing,
    Aborted,
}

impl Detector for RecipientFanout {
    type State = State;
    const NAME: &'static str = "recipient-fanout";

    fn new(settings: &DetectSettings) -> Self {
        let settings = settings.recipient_fanout.clone();
        // Probabilities of 0 and 1 would decide at once and for ever, and a test whose hypotheses agree never would.
        let within = |value: f64, low: f64, high: f64| if value.is_finite() { value.clamp(low, high) } else { high };
        let theta0 = within(settings.theta0, 0.02, 0.99);
        let theta1 = within(settings.theta1, 0.01, theta0 - 0.01);
        let (alpha, beta) = (within(settings.alpha, 1e-9, 0.4), within(settings.beta, 1e-9, 0.4));
        Self {
            settings,
            success: (theta1 / theta0).ln(),
            failure: ((1.0 - theta1) / (1.0 - theta0)).ln(),
            infected_at: ((1.0 - beta) / alpha).ln(),
            honest_at: (beta / (1.0 - alpha)).ln(),
        }
    }

    fn see(&self, host: &Facts, state: &mut State, scene: &Scene<'_>, signals: &mut Signals) {
        if scene.part == Side::Server {
            return;
        }
        if host.role.is_mail_server() {
            state.0 = None;
            return;
        }
        let Some(step) = state.step(scene) else { return };
        let Some(test) = state.0.as_mut() else { return };
        if self.take(test, step, scene.time) && host.conversed && !host.role.is_resolver() {
            self.tell(host, test, scene, signals);
        }
    }

    fn entries(state: &State) -> usize {
        state.0.as_ref().map_or(0, |test| {
            let lists = [test.domains.weight(), test.networks.weight(), test.asked.weight(), test.counted.weight()];
            lists.iter().sum::<usize>() + weight_of::<Test>()
        })
    }

    fn calm(state: &mut State) {
        if let Some(test) = &mut state.0 {
            test.told = Default::default();
            // A test that was under way goes on, and stands for what is done from now on.
            test.since = None;
        }
    }

    fn shorten(state: &mut State, most: usize) {
        if let Some(test) = &mut state.0 {
            test.domains.keep_youngest(most);
            test.networks.keep_youngest(most);
            test.asked.keep_youngest(most);
            test.counted.keep_youngest(most);
        }
    }
}

impl RecipientFanout {
    /// Adds an outcome; true when the test comes to the verdict of infection.
    fn take(&self, test: &mut Test, step: Step, now: Timestamp) -> bool {
        test.since.get_or_insert(now);
        test.tally.add(step);
        test.ratio += if step == Step::Known { self.success } else { self.failure };
        if test.ratio > self.honest_at && test.ratio < self.infected_at {
            return false;
        }
        let infected = test.ratio >= self.infected_at;
        let (ratio, tally) = (std::mem::take(&mut test.ratio), std::mem::take(&mut test.tally));
        if infected {
            test.infected = test.infected.saturating_add(1);
            test.proof = Some((ratio, tally));
        } else {
            test.honest = test.honest.saturating_add(1);
            test.since = None;
            // A run of mail to strangers is over: the next one has to be proven from the start.
            test.infected = 0;
        }
        infected
    }

    fn tell(&self, host: &Facts, test: &mut Test, scene: &Scene<'_>, signals: &mut Signals) {
        let Some((ratio, tally)) = test.proof else { return };
        let enough = test.infected >= u64::from(self.settings.repeats.max(1));
        let worst = if enough || tally.failed() > 0 { Severity::High } else { Severity::Medium };
        // The first contacts of a few deliveries are what the chains of `direct-to-mx` are made of as well: without a
        // failure they are no second ground before the test has come to its verdict again.
        let own = if worst == Severity::High { Self::NAME } else { DirectToMx::NAME };
        let (severity, ground) = host.temper(worst, own);
        // A mail server mails strangers all day: where the host may be one, one verdict of the test is no news.
        if severity == Severity::Low || (host.role.may_be_mail_server() && !enough) {
            return;
        }
        let level = usize::from(severity == Severity::High);
        if pace::repeats(&mut test.told, level, scene.time) {
            signals.again.push(Self::NAME);
            return;
        }
        let alert = ABOUT.alert(scene.time, severity, host, self.evidence(test, ratio, &tally));
        let since = test.since.unwrap_or(scene.time);
        signals.raised.push(Signal { alert, detector: Self::NAME, bearing: Bearing::Behaviour, since, ground });
    }

    fn evidence(&self, test: &Test, ratio: f64, tally: &Tally) -> Evidence {
        let (settings, round) = (&self.settings, |value: f64| (value * 1_000.0).round() / 1_000.0);
        let text = format!(
            "of {} deliveries {} went to known domains and servers, {} were first contacts, {} were refused, {} found no \
             answer, {} no such domain, {} broke off: the logarithm of the likelihood ratio is {ratio:.2} (infected from \
             {:.2}, honest from {:.2}); verdicts of infection in a row: {}",
            tally.sum(),
            tally.known,
            tally.strangers,
            tally.refused,
            tally.unanswered,
            tally.missing,
            tally.aborted,
            self.infected_at,
            self.honest_at,
            test.infected
        );
        let figures = vec![
            ("log_ratio", Figure::Real(round(ratio))),
            ("infected_at", Figure::Real(round(self.infected_at))),
            ("honest_at", Figure::Real(round(self.honest_at))),
            ("theta0", Figure::Real(settings.theta0)),
            ("theta1", Figure::Real(settings.theta1)),
            ("outcomes", Figure::Count(tally.sum())),
            ("known", Figure::Count(tally.known)),
            ("first_contacts", Figure::Count(tally.strangers)),
            ("refused", Figure::Count(tally.refused)),
            ("unanswered", Figure::Count(tally.unanswered)),
            ("no_such_domain", Figure::Count(tally.missing)),
            ("aborted", Figure::Count(tally.aborted)),
            ("verdicts_infected", Figure::Count(test.infected)),
            ("verdicts_honest", Figure::Count(test.honest)),
        ];
        Evidence { source: Self::NAME.into(), text, figures }
    }
}

impl State {
    /// What an event tells about one delivery; none where it tells nothing, or nothing new.
    fn step(&mut self, scene: &Scene<'_>) -> Option<Step> {
        match scene.kind {
            EventKind::Dns(message) if message.is_response() => self.0.as_mut()?.answer(message),
            EventKind::Dns(message) => {
                let asked = message.queries.iter().filter(|query| query.qtype == QTYPE_MX);
                asked.for_each(|query| self.test().asked.insert(fold(&query.name), ()));
                None
            }
            // A submission server that is down says nothing about whom a host mails to.
            EventKind::Connect(outcome) if direct(scene) => self.test().connect(*outcome, scene.peer),
            EventKind::Smtp(smtp) => self.test().transaction(smtp, scene),
            EventKind::FlowEnd(end) => self.0.as_mut().and_then(|test| test.end(end, scene)),
            _ => None,
        }
    }

    fn test(&mut self) -> &mut Test {
        self.0.get_or_insert_with(|| {
            let entries = limits::FANOUT_ENTRIES;
            Box::new(Test {
                domains: Recent::new(entries),
                networks: Recent::new(entries),
                asked: Recent::new(entries),
                counted: Recent::new(limits::FANOUT_FLOWS),
                ratio: 0.0,
                since: None,
                tally: Tally::default(),
                proof: None,
                infected: 0,
                honest: 0,
                told: [Pace::default(); 2],
            })
        })
    }
}

impl Test {
    /// RFC 1035, section 4.1.1: RCODE 3, the name does not exist. Counted once for a domain.
    fn answer(&mut self, message: &DnsMessage) -> Option<Step> {
        let question = message.queries.first().filter(|query| query.qtype == QTYPE_MX && message.rcode() == 3)?;
        let domain = fold(&question.name);
        self.asked.get(&domain)?;
        note(&mut self.domains, domain).then_some(Step::Missing)
    }

    /// Tries in vain count once for a network: a server that is down is asked again and again.
    fn connect(&mut self, outcome: ConnectOutcome, server: IpAddr) -> Option<Step> {
        match outcome {
            ConnectOutcome::Answered => None,
            ConnectOutcome::Refused | ConnectOutcome::Unanswered => {
                note(&mut self.networks, network(server)).then_some(Step::Unanswered)
            }
        }
    }

    fn transaction(&mut self, smtp: &SmtpEvent, scene: &Scene<'_>) -> Option<Step> {
        let flow = scene.flow.id().rotate_left(32) ^ scene.flow.started.as_nanos() as u64;
        let Some(envelope) = &smtp.envelope else {
            let code = smtp.reply.as_ref().map_or(0, |reply| reply.code);
            let step = match smtp.tls {
                true => self.hidden(scene),
                // Turned away before a transaction began; a session that only looked is no delivery.
                false if code >= 400 && direct(scene) => {
                    note(&mut self.networks, network(scene.peer)).then_some(Step::Refused)
                }
                false => None,
            };
            self.counted.insert(flow, ());
            return step;
        };
        self.counted.insert(flow, ());
        let known_server = !note(&mut self.networks, network(scene.peer));
        let all = envelope.rcpt_to.iter().chain(envelope.rcpt_rejected.iter().map(|rejected| &rejected.address));
        let (mut domains, mut new, mut asked) = (0, false, false);
        for domain in all.filter_map(|address| address.rsplit_once('@')).map(|(_, domain)| fold(domain)) {
            domains += 1;
            asked |= self.asked.get(&domain).is_some();
            new |= note(&mut self.domains, domain);
        }
        // A server that takes mail for others, and was not found by their exchangers, is the host's relay: whom a
        // person writes to for the first time is not held against them.
        let relayed = !direct(scene) || (known_server && !asked);
        let stranger = if domains == 0 { !known_server } else { new };
        match smtp.outcome {
            _ if !envelope.rcpt_rejected.is_empty() => Some(Step::Refused),
            Outcome::Rejected => Some(Step::Refused),
            _ if stranger && relayed => None,
            _ if stranger => Some(Step::Stranger),
            Outcome::Aborted if !relayed => Some(Step::Aborted),
            Outcome::Accepted => Some(Step::Known),
            _ => None,
        }
    }

    /// A delivery of which only the server is seen.
    fn hidden(&mut self, scene: &Scene<'_>) -> Option<Step> {
        match (note(&mut self.networks, network(scene.peer)), direct(scene)) {
            (true, true) => Some(Step::Stranger),
            (true, false) => None,
            (false, _) => Some(Step::Known),
        }
    }

    /// A flow on which no mail was seen, though both sides spoke: the sensor could not read it.
    fn end(&mut self, end: &FlowEnd, scene: &Scene<'_>) -> Option<Step> {
        let flow = scene.flow.id().rotate_left(32) ^ scene.flow.started.as_nanos() as u64;
        let spoke = end.bytes.iter().all(|bytes| *bytes >= limits::FANOUT_SESSION_BYTES);
        if end.app_proto == "smtp" || !spoke || self.counted.get(&flow).is_some() {
            return None;
        }
        self.counted.insert(flow, ());
        self.hidden(scene)
    }
}

impl Tally {
    fn add(&mut self, step: Step) {
        let count = match step {
            Step::Known => &mut self.known,
            Step::Stranger => &mut self.strangers,
            Step::Refused => &mut self.refused,
            Step::Unanswered => &mut self.unanswered,
            Step::Missing => &mut self.missing,
            Step::Aborted => &mut self.aborted,
        };
        *count = count.saturating_add(1);
    }

    /// Failures that are more than a first contact.
    const fn failed(&self) -> u64 {
        self.refused + self.unanswered + self.missing + self.aborted
    }

    const fn sum(&self) -> u64 {
        self.known + self.strangers + self.failed()
    }
}

/// Whether the host delivers itself, as far as the port tells: submission (RFC 6409, RFC 8314) and servers in the house
/// are its own relays.
fn direct(scene: &Scene<'_>) -> bool {
    scene.direction == Direction::Outbound && !SUBMISSION.contains(&scene.flow.server.port())
}

/// Remembers a key; true when it is new. One that is used stays young.
fn note<K: std::hash::Hash + Eq + Clone>(known: &mut Recent<K, ()>, key: K) -> bool {
    let new = known.get(&key).is_none();
    known.insert(key, ());
    new
}

/// A domain as it is compared.
fn fold(domain: &str) -> Box<str> {
    domain.trim_end_matches(['.', '>']).to_ascii_lowercase().into()
}

const SUBMISSION: [u16; 2] = [465, 587];
const ABOUT: Behaviour = Behaviour {
    name: RecipientFanout::NAME,
    sid: SID,
    title: "Host mails strangers as one who works through a list of addresses",
    remediation: REMEDIATION,
    references: &REFERENCES,
};
const SID: u32 = 9_000_103;
const REMEDIATION: &str = "Take the host off the network and scan it for a mass mailer or a spam bot; block port 25 \
                           outbound for all but mail servers. If it is a mail server, say so with --mail-server.";
const REFERENCES: [&str; 3] = [
    "Wald: Sequential Analysis, 1947",
    "Jung, Paxson, Berger, Balakrishnan: Fast Portscan Detection Using Sequential Hypothesis Testing, IEEE S&P 2004",
    "Duan, Chen, Sanchez, Dong, Stephenson, Barker: Detecting Spam Zombies by Monitoring Outgoing Messages, INFOCOM 2009",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(settings: settings::RecipientFanout, steps: &[Step]) -> Vec<bool> {
        let detector =
            RecipientFanout::new(&DetectSettings { recipient_fanout: settings, ..DetectSettings::default() });
        let mut state = State::default();
        let test = state.test();
        steps.iter().map(|step| detector.take(test, *step, Timestamp::default())).collect()
    }

    /// By hand, after Wald: with 0.8 and 0.2 an outcome weighs ln 4 = 1.386, and 0.01 and 0.01 decide at ln 99 = 4.595,
    /// so the fourth net failure accuses.
    #[test]
    fn decides_as_wald_does() {
        use Step::{Known, Refused, Stranger};
        let detector = RecipientFanout::new(&DetectSettings::default());
        assert!((detector.failure - 4_f64.ln()).abs() < 1e-9 && (detector.success + 4_f64.ln()).abs() < 1e-9);
        assert!((detector.infected_at - 99_f64.ln()).abs() < 1e-9 && (detector.honest_at + 99_f64.ln()).abs() < 1e-9);
        let default = settings::RecipientFanout::default;
        assert_eq!(decide(default(), &[Stranger, Refused, Stranger, Stranger]), [false, false, false, true]);
        let mixed = [Stranger, Known, Stranger, Stranger, Known, Stranger, Stranger, Stranger];
        assert_eq!(decide(default(), &mixed).iter().filter(|accused| **accused).count(), 1);
        assert_eq!(decide(default(), &[Known; 400]), [false; 400]);
    }

    #[test]
    fn settings_without_sense_do_not_break_it() {
        for (theta0, theta1, alpha) in
            [(0.0, 1.0, 0.0), (1.0, 0.0, 1.0), (0.2, 0.8, f64::NAN), (f64::INFINITY, -1.0, 0.5)]
        {
            let settings = settings::RecipientFanout { theta0, theta1, alpha, ..settings::RecipientFanout::default() };
            let detector =
                RecipientFanout::new(&DetectSettings { recipient_fanout: settings, ..DetectSettings::default() });
            assert!(detector.success < 0.0 && detector.failure > 0.0, "{detector:?}");
            assert!(detector.infected_at > 0.0 && detector.honest_at < 0.0, "{detector:?}");
        }
    }
}
