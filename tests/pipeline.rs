//! The pipeline as a library, over packets in memory: the same lines whatever the number of threads, and sound
//! behaviour on a network that loses, doubles, shuffles and damages.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mailsnare::capture::{CaptureError, FaultSource, Faults, MemorySource, OwnedPacket, Source, Step};
use mailsnare::correlator::{CorrelatorSettings, Said};
use mailsnare::inspector::Inspector;
use mailsnare::model::alert::{Alert, Incident, Severity, Verdict};
use mailsnare::model::eve_type::EventFilter;
use mailsnare::model::event::{Event, EventKind};
use mailsnare::model::mail::Findings;
use mailsnare::model::net::HomeNet;
use mailsnare::model::settings::{InspectSettings, SensorSettings};
use mailsnare::model::stats::{CaptureStats, SensorStats};
use mailsnare::model::time::Timestamp;
use mailsnare::output::eve::{Origin, Renderer};
use mailsnare::pipeline::{self, Audience, Plan, Pressure, SharedRules, View};
use mailsnare::rules::RuleSet;
use mailsnare_lab::samples;
use mailsnare_lab::truth::Truth;

/// The home host that has the worm in the outbreak.
const INFECTED: &str = "10.20.1.26";

#[test]
fn the_number_of_workers_changes_no_byte() {
    for recipe in samples::ALL {
        let (packets, truth) = sample(recipe.name);
        let one = run(MemorySource::new(packets.clone()), 1);
        assert_eq!(one.messages, truth.transactions.iter().filter(|sent| sent.message.is_some()).count());
        for workers in [2, 8] {
            let more = run(MemorySource::new(packets.clone()), workers);
            assert!(more.eve == one.eve, "{} with {workers} workers", recipe.name);
            assert_eq!(more.stats, one.stats);
        }
    }
}

#[test]
fn several_sources_are_one_story_each_in_order() {
    let (packets, _) = sample("arrival");
    let sources = (0..3).map(|_| MemorySource::new(packets.clone())).collect();
    let (heard, _) = run_all::<MemorySource>(sources, 2);
    assert_eq!(heard.stats.len(), 3);
    assert!(heard.stats.iter().all(|stats| stats.capture.packets == packets.len() as u64));
    assert_eq!(heard.messages, 3 * run(MemorySource::new(packets), 1).messages);
}

#[test]
fn an_office_day_on_a_bad_network_raises_no_alarm() {
    let (packets, _) = sample("office-day");
    for seed in 1..=6 {
        for faults in [loss(), disorder(), damage(), clocks(), everything()] {
            let heard = run_faulty(&packets, faults.clone(), seed);
            let alarm = heard.alerts.iter().find(|alert| alert.severity.reaches(Severity::Medium));
            assert!(alarm.is_none(), "seed {seed}, {faults:?}: {alarm:#?}");
            let judged: Vec<_> = heard.incidents.iter().map(|incident| (incident.host, incident.verdict)).collect();
            assert!(judged.is_empty(), "seed {seed}, {faults:?}: {judged:?}");
        }
    }
}

#[test]
fn the_outbreak_on_a_bad_network_still_names_the_host_and_no_other() {
    let (packets, _) = sample("mimail-c-outbreak");
    let infected: IpAddr = INFECTED.parse().unwrap();
    for seed in 1..=6 {
        for faults in [loss(), disorder(), clocks(), everything()] {
            let heard = run_faulty(&packets, faults.clone(), seed);
            let named: BTreeSet<_> =
                heard.incidents.iter().filter(|case| case.verdict == Verdict::Infected).map(|case| case.host).collect();
            assert_eq!(named, BTreeSet::from([infected]), "seed {seed}, {faults:?}");
            let critical = heard.alerts.iter().filter(|alert| alert.severity == Severity::Critical);
            assert!(critical.into_iter().all(|alert| alert.host == Some(infected)), "seed {seed}, {faults:?}");
        }
    }
}

/// Duplicates and reordering hide nothing: TCP makes up for both, and so does whoever reads along.
#[test]
fn no_alert_is_lost_to_packets_that_come_twice_or_late() {
    for name in ["mimail-c-outbreak", "arrival"] {
        let (packets, _) = sample(name);
        let count = |heard: &Heard| {
            let mut by_rule = BTreeMap::<(String, Severity, Option<IpAddr>), usize>::new();
            for alert in &heard.alerts {
                *by_rule.entry((alert.rule.clone(), alert.severity, alert.host)).or_default() += 1;
            }
            by_rule
        };
        let clean = run(MemorySource::new(packets.clone()), 2);
        let expected = count(&clean);
        assert!(!expected.is_empty());
        for seed in 1..=3 {
            let twice = Faults { duplicate: 0.2, ..Faults::default() };
            let late = Faults { reorder: 0.2, window: 4, ..Faults::default() };
            for faults in [twice, late, disorder()] {
                let heard = run_faulty(&packets, faults.clone(), seed);
                let found = count(&heard);
                for (what, times) in &expected {
                    let now = found.get(what).copied().unwrap_or_default();
                    assert!(now >= *times, "{what:?}: {now} of {times}; seed {seed}, {faults:?}");
                }
                assert_eq!(heard.messages, clean.messages, "seed {seed}, {faults:?}");
            }
        }
    }
}

/// Live capture with more to do than it is let do: each message that was told of was opened, or counted as passed on.
#[test]
fn what_live_capture_passes_on_adds_up() {
    let (packets, _) = sample("mimail-c-outbreak");
    for seed in 1..=2 {
        let spoilt = spoil(&packets, everything(), seed);
        let (count, stop) = (spoilt.len() as u64, AtomicBool::new(false));
        let live = Live { packets: MemorySource::new(spoilt), stop: &stop, nap: None, silence: 0 };
        let mut plan = Plan { workers: 1, ..live_plan() };
        // Room for one message at a time, and someone slow to hear of it, so that others pass on unopened.
        plan.sensor.shares.inspect_bytes = 1;
        let slow = Some(Duration::from_micros(500));
        let mut ear = Ear { stop_at: Some((&stop, count)), slow, may_pass_on: true, ..Ear::default() };
        let run = pipeline::run(vec![live], plan, &SharedRules::new(RuleSet::builtin()), &stop, None, &mut ear);
        let (heard, account) = (&ear.heard, &run.report.inspect);
        assert_eq!((account.events_dropped, account.shed_failed), (0, 0), "seed {seed}");
        assert!(account.shed_queue > 0, "seed {seed}: all were opened, so this tests nothing");
        assert_eq!((heard.passed_on, heard.opened), (account.shed_queue, account.inspected), "seed {seed}");
        assert_eq!(heard.stats[0].smtp.transactions, heard.transactions, "seed {seed}");
    }
}

/// The packets as a bad network delivers them.
fn spoil(packets: &[OwnedPacket], faults: Faults, seed: u64) -> Vec<OwnedPacket> {
    let mut source = FaultSource::new(MemorySource::new(packets.to_vec()), faults, seed);
    let mut spoilt = Vec::new();
    while let Step::Packet(packet) = source.next().unwrap() {
        let (time, link, wire_len) = (packet.time, packet.link, packet.wire_len);
        spoilt.push(OwnedPacket { time, link, data: packet.data.to_vec(), wire_len, number: 0, file: 0 });
    }
    spoilt
}

#[test]
fn half_of_each_conversation_is_enough_to_name_the_host() {
    let (packets, _) = sample("mimail-c-outbreak");
    let infected: IpAddr = INFECTED.parse().unwrap();
    let home = |packet: &OwnedPacket| packet.data.get(26..28) == Some(&[10, 20]);
    let outward: Vec<_> = packets.iter().filter(|packet| home(packet)).cloned().collect();
    let heard = run(MemorySource::new(outward), 2);
    let critical: BTreeSet<_> =
        heard.alerts.iter().filter(|alert| alert.severity == Severity::Critical).map(|alert| alert.host).collect();
    assert_eq!(critical, BTreeSet::from([Some(infected)]));
}

#[test]
fn a_stop_ends_a_replay_early_and_in_order() {
    let (packets, _) = sample("mimail-c-outbreak");
    let stop = AtomicBool::new(true);
    let mut ear = Ear::default();
    let rules = SharedRules::new(RuleSet::builtin());
    let run = pipeline::run(vec![MemorySource::new(packets)], plan(2), &rules, &stop, None, &mut ear);
    assert!(run.sources[0].1.is_none());
    assert_eq!(ear.next_seq, [1], "the last tick, and nothing else");
}

/// A source in whose thread something goes wrong after so many packets.
struct Breaking(MemorySource, usize);

impl Source for Breaking {
    fn next(&mut self) -> Result<Step<'_>, CaptureError> {
        assert!(self.1 > 0, "a defect, made for the test");
        self.1 -= 1;
        self.0.next()
    }

    fn stats(&mut self) -> CaptureStats {
        self.0.stats()
    }
}

#[test]
fn a_source_that_breaks_is_told_and_the_others_go_on() {
    let (packets, _) = sample("arrival");
    let whole = run(MemorySource::new(packets.clone()), 1);
    let sources = [usize::MAX, packets.len() / 2].map(|steps| Breaking(MemorySource::new(packets.clone()), steps));
    let (mut ear, rules) = (Ear::default(), SharedRules::new(RuleSet::builtin()));
    let run = pipeline::run(sources.into(), plan(2), &rules, &AtomicBool::new(false), None, &mut ear);
    assert_eq!((run.failed, run.sources.len()), (1, 1));
    let messages = ear.heard.messages;
    assert!((whole.messages..2 * whole.messages).contains(&messages), "{messages} messages");
}

#[test]
fn a_live_source_that_breaks_ends_the_run() {
    let (packets, _) = sample("arrival");
    let stop = AtomicBool::new(false);
    let steady = Live { packets: MemorySource::new(packets.clone()), stop: &stop, nap: None, silence: 0 };
    let breaking = Breaking(MemorySource::new(packets.clone()), packets.len() / 2);
    let sources: Vec<Box<dyn Source + Send>> = vec![Box::new(steady), Box::new(breaking)];
    let (mut ear, rules) = (Ear::default(), SharedRules::new(RuleSet::builtin()));
    let run = pipeline::run(sources, live_plan(), &rules, &stop, None, &mut ear);
    // The steady one would go on for ever.
    assert_eq!((run.failed, run.broken, stop.load(Ordering::Relaxed)), (1, false, true));
    assert_eq!(ear.heard.stats[0].capture.packets, packets.len() as u64);
}

/// An audience in which something goes wrong at an event.
struct Broken(usize);

impl Audience for Broken {
    fn hear(&mut self, _: &Event, _: Option<&Findings>, _: &[Said], _: &View<'_>) {
        assert!(self.0 > 0, "a defect, made for the test");
        self.0 -= 1;
    }

    fn hear_said(&mut self, _: &[Said]) {}

    fn pause(&mut self, _: &View<'_>) {}
}

#[test]
fn an_audience_that_breaks_ends_the_run_and_nobody_waits_for_it() {
    // Many more messages, and bytes of them, than any queue holds.
    let (packets, _) = sample("mimail-c-outbreak");
    let rules = SharedRules::new(RuleSet::builtin());
    for events in [0, 1, 100] {
        let stop = AtomicBool::new(false);
        let source = vec![MemorySource::new(packets.clone())];
        let run = pipeline::run(source, plan(2), &rules, &stop, None, &mut Broken(events));
        assert_eq!((run.broken, run.failed), (true, 0));

        let stop = AtomicBool::new(false);
        let live = || Live { packets: MemorySource::new(packets.clone()), stop: &stop, nap: None, silence: 0 };
        let run = pipeline::run(vec![live(), live()], live_plan(), &rules, &stop, None, &mut Broken(events));
        assert_eq!((run.broken, run.failed), (true, 0));
        assert!(run.report.hosts.is_empty(), "nothing is claimed of what was not looked at");
    }
}

#[test]
fn flows_shared_among_live_sources_are_told_as_by_one() {
    let (packets, truth) = sample("mimail-c-outbreak");
    let one = run(MemorySource::new(packets.clone()), 1);
    let rules = SharedRules::new(RuleSet::builtin());
    // The first is the slow one, then the last: what it sees comes long after what the others saw of the same moment.
    for slow in [0, 2] {
        let stop = AtomicBool::new(false);
        let sources = (0..3_usize).map(|ring| {
            let mine = packets.iter().filter(|packet| ring_of(&packet.data) == ring).cloned().collect();
            let nap = (ring == slow).then_some(Duration::from_micros(100));
            Live { packets: MemorySource::new(mine), stop: &stop, nap, silence: 0 }
        });
        let mut ear = Ear { stop_at: Some((&stop, packets.len() as u64)), ..Ear::default() };
        let mut plan = live_plan();
        plan.sensor.share_floods(3);
        plan.correlator.joins_floods = true;
        let run = pipeline::run(sources.collect(), plan, &rules, &stop, None, &mut ear);
        let lost = &run.report.inspect;
        assert_eq!((lost.shed_queue, lost.shed_failed, lost.events_dropped), (0, 0, 0));
        assert_eq!(ear.heard.messages, truth.transactions.iter().filter(|sent| sent.message.is_some()).count());
        assert!(ear.times.is_sorted(), "events come in the order of their times");
        let alerts = |heard: &Heard| -> Vec<_> {
            // Each source sees a part of a flood, so that it passes the bound at another packet.
            let told = heard.alerts.iter().filter(|alert| alert.rule != "flood-after-flag");
            told.map(|alert| (alert.time, alert.rule.clone(), alert.host, alert.severity)).collect()
        };
        assert!(alerts(&ear.heard) == alerts(&one), "{:?}", alerts(&ear.heard).len());
        let floods = |heard: &Heard| -> Vec<_> {
            let told = heard.alerts.iter().filter(|alert| alert.rule == "flood-after-flag");
            told.map(|alert| (alert.time, alert.host, alert.severity)).collect()
        };
        let (shared, whole) = (floods(&ear.heard), floods(&one));
        assert!(!whole.is_empty() && shared.len() == whole.len(), "{shared:?} {whole:?}");
        for (shared, whole) in shared.into_iter().zip(whole) {
            assert_eq!((shared.1, shared.2), (whole.1, whole.2));
            let late = shared.0.since(whole.0);
            assert!(shared.0 >= whole.0 && late <= mailsnare::model::limits::FLOOD_WINDOW, "{late:?}");
        }
    }
}

#[test]
fn a_wire_that_falls_silent_ages_flows_and_closes_incidents() {
    let (packets, _) = sample("mimail-c-outbreak");
    let (stop, rules) = (AtomicBool::new(false), SharedRules::new(RuleSet::builtin()));
    let source = Live { packets: MemorySource::new(packets), stop: &stop, nap: None, silence: 0 };
    let mut ear = Ear { stop_when_closed: Some(&stop), ..Ear::default() };
    pipeline::run(vec![source], live_plan(), &rules, &stop, None, &mut ear);
    let last = ear.heard.incidents.last().unwrap();
    assert_eq!((last.host, last.closed), (INFECTED.parse().unwrap(), true));
    assert!(ear.closed_while_running, "by time, not by the end of the run");
    let flow = &ear.heard.stats[0].flow;
    assert_eq!((flow.active, flow.ended[5]), (0, 0), "none was left for the end: {flow:?}");
}

/// Packets from memory as an interface gives them: there is no end but the stop, and silence until then.
struct Live<'a> {
    packets: MemorySource,
    stop: &'a AtomicBool,
    /// How long it takes over ten packets.
    nap: Option<Duration>,
    /// Milliseconds that nothing came.
    silence: i64,
}

impl Source for Live<'_> {
    fn next(&mut self) -> Result<Step<'_>, CaptureError> {
        if let Some(nap) = self.nap {
            std::thread::sleep(nap / 10);
        }
        match self.packets.next()? {
            Step::End if self.stop.load(Ordering::Relaxed) => Ok(Step::End),
            Step::End => {
                std::thread::sleep(Duration::from_millis(1));
                self.silence += 1;
                Ok(Step::Idle(Timestamp::from_nanos(i64::MAX / 2 + self.silence * 1_000_000)))
            }
            step => Ok(step),
        }
    }

    fn stats(&mut self) -> CaptureStats {
        self.packets.stats()
    }
}

/// Which of three rings a frame goes to: the same for both directions of a flow.
fn ring_of(frame: &[u8]) -> usize {
    let ends = frame.get(26..38).unwrap_or_default();
    let sum: usize = ends.iter().map(|byte| usize::from(*byte)).sum();
    sum % 3
}

fn live_plan() -> Plan {
    // A machine that is busy with other things is no reason to tell anything out of order.
    Plan { pressure: Pressure::Shed, merge_patience: Duration::from_secs(60), ..plan(2) }
}

#[test]
fn what_cannot_be_written_at_once_is_no_loss() {
    // More messages than all queues hold, and a listener that takes its time.
    let (packets, truth) = sample("mimail-c-outbreak");
    let mut ear = Ear { slow: Some(Duration::from_micros(200)), ..Ear::default() };
    let rules = SharedRules::new(RuleSet::builtin());
    let stop = AtomicBool::new(false);
    let run = pipeline::run(vec![MemorySource::new(packets)], plan(1), &rules, &stop, None, &mut ear);
    assert_eq!((run.report.inspect.shed_queue, run.report.inspect.events_dropped), (0, 0));
    assert_eq!(ear.heard.messages, truth.transactions.iter().filter(|sent| sent.message.is_some()).count());
}

// --- faults -----------------------------------------------------------------------------------------------------

fn loss() -> Faults {
    Faults { drop: 0.02, ..Faults::default() }
}

fn disorder() -> Faults {
    Faults { reorder: 0.1, duplicate: 0.05, ..Faults::default() }
}

fn damage() -> Faults {
    Faults { truncate: 0.03, corrupt: 0.03, ..Faults::default() }
}

fn clocks() -> Faults {
    Faults { step_back: 0.02, back: Duration::from_secs(120), ..Faults::default() }
}

fn everything() -> Faults {
    Faults {
        drop: 0.01,
        duplicate: 0.02,
        reorder: 0.05,
        truncate: 0.005,
        corrupt: 0.005,
        step_back: 0.01,
        ..Faults::default()
    }
}

/// Runs spoilt packets, and holds the books to what was delivered.
fn run_faulty(packets: &[OwnedPacket], faults: Faults, seed: u64) -> Heard {
    let what = format!("seed {seed}, {faults:?}");
    let source = FaultSource::new(MemorySource::new(packets.to_vec()), faults, seed);
    let (heard, sources) = run_all(vec![source], 2);
    let counts = sources[0].counts();
    let [stats] = &heard.stats[..] else { panic!("one source") };
    assert_eq!(stats.capture.packets, packets.len() as u64 - counts.dropped + counts.duplicated, "{what}");
    assert!(stats.capture.cut >= counts.truncated, "{what}");
    // Each transaction that was counted was told, each message that was told was opened.
    assert_eq!(stats.smtp.transactions, heard.transactions, "{what}");
    assert_eq!(heard.inspected, heard.begun, "{what}");
    assert!(heard.messages as u64 <= stats.smtp.messages, "{what}");
    let flow = &stats.flow;
    assert_eq!(flow.tcp_opened + flow.udp_opened, flow.ended.iter().sum::<u64>(), "{what}");
    assert_eq!(
        (flow.active, flow.streams, flow.held_bytes, flow.tail_bytes, stats.smtp.held_bytes, stats.dns.held_bytes),
        (0, 0, 0, 0, 0, 0),
        "{what}"
    );
    heard
}

// --- running ----------------------------------------------------------------------------------------------------

/// A sample's packets and the sender's record.
fn sample(name: &str) -> (Vec<OwnedPacket>, Truth) {
    let recipe = samples::ALL.iter().find(|recipe| recipe.name == name).expect("a recipe of this name");
    let sample = recipe.make();
    let packets = sample.packets.into_iter();
    let packets = packets.map(|packet| OwnedPacket::ethernet(Timestamp::from_nanos(packet.time), packet.data));
    (packets.collect(), sample.truth)
}

/// What came out.
#[derive(Debug, Default)]
struct Heard {
    eve: Vec<u8>,
    alerts: Vec<Alert>,
    incidents: Vec<Incident>,
    /// Messages found in events.
    messages: usize,
    /// The same, those that were cut off among them.
    begun: u64,
    /// Transactions told of.
    transactions: u64,
    /// Messages that were inspected, by the pipeline's own account.
    inspected: u64,
    /// Transactions that nobody inspected, and messages that someone did, by what was told.
    passed_on: u64,
    opened: u64,
    /// The last counters of each source.
    stats: Vec<SensorStats>,
}

fn run(source: MemorySource, workers: usize) -> Heard {
    run_all(vec![source], workers).0
}

fn run_all<S: Source + Send>(sources: Vec<S>, workers: usize) -> (Heard, Vec<S>) {
    let mut ear = Ear::default();
    let (rules, stop) = (SharedRules::new(RuleSet::builtin()), AtomicBool::new(false));
    let run = pipeline::run(sources, plan(workers), &rules, &stop, None, &mut ear);
    let shed = &run.report.inspect;
    assert_eq!((shed.shed_queue, shed.shed_failed, shed.events_dropped), (0, 0, 0), "a replay loses nothing");
    assert!(run.sources.iter().all(|(_, error)| error.is_none()));
    ear.heard.inspected = shed.inspected;
    (ear.heard, run.sources.into_iter().map(|(source, _)| source).collect())
}

fn plan(workers: usize) -> Plan {
    Plan {
        sensor: SensorSettings::default(),
        inspector: Inspector::new(HomeNet::default(), InspectSettings::default()),
        correlator: CorrelatorSettings::default(),
        workers,
        pressure: Pressure::Wait,
        merge_patience: mailsnare::model::limits::MERGE_PATIENCE,
    }
}

/// Writes down what the pipeline says, and holds it to its order.
struct Ear<'a> {
    heard: Heard,
    renderer: Renderer,
    /// The number that the next event of each source must have.
    next_seq: Vec<u64>,
    /// How long it takes over an event.
    slow: Option<Duration>,
    /// Mails need not be inspected.
    may_pass_on: bool,
    /// Times of events with a flow, as they came.
    times: Vec<Timestamp>,
    /// Ends the run when so many packets are told of.
    stop_at: Option<(&'a AtomicBool, u64)>,
    /// Ends the run when an incident is closed while it goes on.
    stop_when_closed: Option<&'a AtomicBool>,
    closed_while_running: bool,
}

impl Default for Ear<'_> {
    fn default() -> Self {
        let renderer = Renderer::new(EventFilter::default(), Origin::Replay(vec!["memory".into()]));
        Self {
            heard: Heard::default(),
            renderer,
            next_seq: Vec::new(),
            slow: None,
            may_pass_on: false,
            times: Vec::new(),
            stop_at: None,
            stop_when_closed: None,
            closed_while_running: false,
        }
    }
}

impl Audience for Ear<'_> {
    fn hear(&mut self, event: &Event, findings: Option<&Findings>, said: &[Said], _: &View<'_>) {
        let source = usize::from(event.source);
        self.next_seq.resize(self.next_seq.len().max(source + 1), 0);
        self.heard.stats.resize(self.next_seq.len(), SensorStats::default());
        assert_eq!(event.seq, self.next_seq[source], "events come in order, none left out");
        self.next_seq[source] += 1;
        match &event.kind {
            EventKind::Tick(stats) => self.heard.stats[source] = (**stats).clone(),
            EventKind::Smtp(smtp) => {
                // Of a message that was cut off, the record says nothing.
                self.heard.messages += usize::from(smtp.message.as_ref().is_some_and(|message| !message.truncated));
                self.heard.begun += u64::from(smtp.message.is_some());
                self.heard.transactions += u64::from(smtp.envelope.is_some());
                self.heard.passed_on += u64::from(findings.is_none());
                self.heard.opened += u64::from(findings.is_some_and(|findings| findings.email.is_some()));
                assert!(findings.is_some() || self.may_pass_on, "every mail is inspected");
            }
            _ => {}
        }
        self.renderer.event(event, findings, &[], &mut self.heard.eve);
        for said in said {
            if let Said::Alert(alert) = said {
                self.renderer.alert(alert, Some((event, findings)), &mut self.heard.eve);
            }
        }
        self.hear_said(said);
        self.slow.into_iter().for_each(std::thread::sleep);
        if event.flow.is_some() {
            self.times.push(event.time);
        }
        if let Some(stop) = self.stop_when_closed
            && self.heard.incidents.iter().any(|incident| incident.closed)
        {
            self.closed_while_running = true;
            stop.store(true, Ordering::Relaxed);
        }
        if let Some((stop, packets)) = self.stop_at
            && self.heard.stats.iter().map(|stats| stats.capture.packets).sum::<u64>() >= packets
        {
            stop.store(true, Ordering::Relaxed);
        }
    }

    fn hear_said(&mut self, said: &[Said]) {
        for said in said {
            match said {
                Said::Alert(alert) => self.heard.alerts.push((**alert).clone()),
                Said::Incident(incident) => {
                    self.renderer.incident(incident, &mut self.heard.eve);
                    self.heard.incidents.push((**incident).clone());
                }
            }
        }
    }

    fn pause(&mut self, _: &View<'_>) {}
}
