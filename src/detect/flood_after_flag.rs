//! `flood-after-flag`: a host under suspicion floods one destination.
//!
//! Worms of this age are tools of attack besides: Mimail.C sends SYN segments to TCP port 80 and echo requests to
//! darkprofits.com, MyDoom to www.sco.com, and today's bots to whom they are told. J. Mirkovic, G. Prier and P. Reiher
//! ("Attacking DDoS at the Source", ICNP 2002, "D-WARD") see floods where they begin, by packets to one destination that
//! outrun what comes of them; H. Wang, D. Zhang and K. Shin ("Detecting SYN Flooding Attacks", INFOCOM 2002) by SYN
//! segments alone.
//!
//! A rate says little by itself: load testers, monitoring and crawlers reach it every day. So it counts only from a
//! host that is held to be suspicious or infected by then, or towards an address that the host was given for a name which
//! a rule knows as a worm's target. Only destinations outside count: inside stand proxies and servers that are met so.

use std::net::IpAddr;
use std::time::Duration;

use crate::model::alert::{Evidence, Figure, Severity, Verdict};
use crate::model::event::{DnsData, DnsMessage, EventKind, Flood};
use crate::model::limits;
use crate::model::net::{Direction, Side};
use crate::model::settings::DetectSettings;
use crate::model::time::Timestamp;

use super::host::Facts;
use super::pace::{self, Pace, apart};
use super::recent::Recent;
use super::{Bearing, Behaviour, Detector, Scene, Signal, Signals, weight_of};

/// The detector.
#[derive(Debug)]
pub struct FloodAfterFlag {
    packets: u64,
    heavy: u64,
    window: Duration,
}

/// Nothing for a host that was never under suspicion.
#[derive(Debug, Default)]
pub struct State(Option<Box<Watch>>);

#[derive(Debug)]
struct Watch {
    /// Names that rules know and that the host asked for, with the rule; the oldest goes first.
    wanted: Vec<(Box<str>, Box<str>)>,
    /// What the addresses it was given were asked for as.
    names: Recent<IpAddr, Name>,
    targets: Recent<IpAddr, Target>,
    /// The destination told last: what [`Detector::account`] tells.
    latest: Option<IpAddr>,
    /// When each severity was last told: medium, high.
    told: [Pace; 2],
}

#[derive(Clone, Debug)]
struct Name {
    name: Box<str>,
    rule: Option<Box<str>>,
    asked: Timestamp,
}

/// What was sent to one destination.
#[derive(Clone, Debug)]
struct Target {
    syns: u64,
    echoes: u64,
    /// That of the last SYN segment.
    port: Option<u16>,
    since: Timestamp,
    last: Timestamp,
    verdict: Verdict,
}

impl Detector for FloodAfterFlag {
    type State = State;
    const NAME: &'static str = "flood-after-flag";

    fn new(settings: &DetectSettings) -> Self {
        let settings = &settings.flood_after_flag;
        Self {
            packets: settings.packets.max(1),
            heavy: settings.heavy.max(settings.packets),
            window: Duration::from_secs(settings.window_seconds),
        }
    }

    fn see(&self, host: &Facts, state: &mut State, scene: &Scene<'_>, signals: &mut Signals) {
        if scene.part == Side::Server {
            return;
        }
        match scene.kind {
            EventKind::Dns(message) if message.is_response() => state.answer(message, scene),
            EventKind::Dns(message) => state.question(message, scene),
            EventKind::Flood(flood) if scene.direction == Direction::Outbound && !scene.peer.is_multicast() => {
                self.flood(host, state, flood, scene, signals);
            }
            _ => {}
        }
    }

    fn entries(state: &State) -> usize {
        state.0.as_ref().map_or(0, |watch| {
            watch.wanted.len() + watch.names.weight() + watch.targets.weight() + weight_of::<Watch>()
        })
    }

    fn shorten(state: &mut State, most: usize) {
        if let Some(watch) = &mut state.0 {
            watch.wanted.drain(..watch.wanted.len().saturating_sub(most));
            watch.names.keep_youngest(most);
            watch.targets.keep_youngest(most);
        }
    }

    fn calm(state: &mut State) {
        if let Some(watch) = &mut state.0 {
            watch.told = Default::default();
        }
    }

    fn account(&self, state: &State) -> Option<Evidence> {
        let watch = state.0.as_ref()?;
        let latest = watch.latest?;
        Some(evidence(latest, watch.targets.get(&latest)?, watch.names.get(&latest)))
    }
}

impl FloodAfterFlag {
    fn flood(&self, host: &Facts, state: &mut State, flood: &Flood, scene: &Scene<'_>, signals: &mut Signals) {
        let flagged = scene.verdict != Verdict::Clean;
        let named = state.0.as_ref().and_then(|watch| watch.names.get(&scene.peer)).cloned();
        let attacked = named.as_ref().is_some_and(|name| name.rule.is_some());
        if !flagged && !attacked {
            return;
        }
        let watch = state.watch();
        let target = watch.add(flood, scene, self.window);
        let sent = target.syns.saturating_add(target.echoes);
        if sent < self.packets {
            return;
        }
        watch.latest = Some(scene.peer);
        let level = usize::from(attacked || sent >= self.heavy);
        if pace::repeats(&mut watch.told, level, scene.time) {
            signals.again.push(Self::NAME);
            return;
        }
        let severity = if level == 0 { Severity::Medium } else { Severity::High };
        let alert = ABOUT.alert(scene.time, severity, host, evidence(scene.peer, &target, named.as_ref()));
        signals.raised.push(Signal {
            alert,
            detector: Self::NAME,
            bearing: Bearing::Behaviour,
            since: target.since,
            ground: Self::NAME,
        });
    }
}

impl State {
    fn watch(&mut self) -> &mut Watch {
        self.0.get_or_insert_with(|| {
            Box::new(Watch {
                wanted: Vec::new(),
                names: Recent::new(limits::FLOOD_NAMES),
                targets: Recent::new(limits::FLOOD_TARGETS),
                latest: None,
                told: [Pace::default(); 2],
            })
        })
    }

    /// Remembers the names that rules know.
    fn question(&mut self, message: &DnsMessage, scene: &Scene<'_>) {
        let Some(hit) = scene.hits.first() else { return };
        let Some(facts) = scene.rules.describe(hit.rule) else { return };
        let watch = self.watch();
        for query in &message.queries {
            let name: Box<str> = query.name.to_ascii_lowercase().into();
            watch.wanted.retain(|(known, _)| *known != name);
            // A mirror port may have shown the answer before the question.
            for answered in watch.names.values_mut().filter(|known| known.name == name) {
                answered.rule.get_or_insert_with(|| facts.id.into());
            }
            if watch.wanted.len() >= limits::NAME_RULES {
                watch.wanted.remove(0);
            }
            watch.wanted.push((name, facts.id.into()));
        }
    }

    /// Remembers under which name addresses were asked for: of a host under suspicion all, else those that rules know.
    fn answer(&mut self, message: &DnsMessage, scene: &Scene<'_>) {
        let flagged = scene.verdict != Verdict::Clean;
        if !flagged && self.0.as_ref().is_none_or(|watch| watch.wanted.is_empty()) {
            return;
        }
        let Some(question) = message.queries.first() else { return };
        let watch = self.watch();
        let name = question.name.to_ascii_lowercase();
        let rule = watch.wanted.iter().find(|(known, _)| **known == *name).map(|(_, rule)| rule.clone());
        if rule.is_none() && !flagged {
            return;
        }
        for record in &message.answers {
            let address = match record.data {
                DnsData::A(address) => IpAddr::from(address),
                DnsData::Aaaa(address) => IpAddr::from(address).to_canonical(),
                _ => continue,
            };
            // Of several names for one address the one that a rule knows stays.
            let ruled = watch.names.get(&address).filter(|known| known.rule.is_some() && rule.is_none()).is_some();
            if !ruled {
                let named = Name { name: name.as_str().into(), rule: rule.clone(), asked: scene.time };
                watch.names.insert(address, named);
            }
        }
    }
}

impl Watch {
    /// Adds to what was sent to the destination; begins anew after a pause.
    fn add(&mut self, flood: &Flood, scene: &Scene<'_>, window: Duration) -> Target {
        let known = self.targets.get(&scene.peer).filter(|known| apart(known.last, flood.since) <= window);
        let mut target = known.cloned().unwrap_or(Target {
            syns: 0,
            echoes: 0,
            port: None,
            since: flood.since,
            last: flood.last,
            verdict: scene.verdict,
        });
        target.syns = target.syns.saturating_add(flood.syns);
        target.echoes = target.echoes.saturating_add(flood.echoes);
        target.last = target.last.max(flood.last);
        target.port = flood.port.or(target.port);
        self.targets.insert(scene.peer, target.clone());
        target
    }
}

fn evidence(address: IpAddr, target: &Target, named: Option<&Name>) -> Evidence {
    let Target { syns, echoes, port, since, last, verdict } = target;
    let seconds = apart(*since, *last).as_secs_f64();
    let sent = syns.saturating_add(*echoes);
    // Less than a second is no time to speak of a rate.
    let rate = (sent as f64 / seconds.max(1.0) * 10.0).round() / 10.0;
    let to_port = port.map(|port| format!(" (the last to TCP port {port})")).unwrap_or_default();
    let whom = match named {
        None => format!("{address} (not asked for by name)"),
        Some(Name { name, rule: None, .. }) => format!("{address} (asked for as {name})"),
        Some(Name { name, rule: Some(rule), asked }) => {
            let before = since.since(*asked).as_secs();
            format!("{address} (asked for as {name}, a name of {rule}, {before} s before)")
        }
    };
    let held = match verdict {
        Verdict::Clean => String::new(),
        verdict => format!("{} by then, it ", verdict.name()),
    };
    let text = format!(
        "{held}flooded {whom}: {syns} connection attempts{to_port} and {echoes} echo requests within {seconds:.1} s \
         ({rate} a second)"
    );
    let mut figures = vec![
        ("destination", Figure::Text(address.to_string())),
        ("packets", Figure::Count(sent)),
        ("connection_attempts", Figure::Count(*syns)),
        ("echo_requests", Figure::Count(*echoes)),
        ("seconds", Figure::Real((seconds * 10.0).round() / 10.0)),
        ("per_second", Figure::Real(rate)),
    ];
    figures.extend(port.map(|port| ("port", Figure::Count(port.into()))));
    if let Some(Name { name, rule, asked }) = named {
        figures.push(("name", Figure::Text(name.to_string())));
        figures.push(("asked", Figure::Text(asked.to_string())));
        figures.extend(rule.as_ref().map(|rule| ("rule", Figure::Text(rule.to_string()))));
    }
    Evidence { source: FloodAfterFlag::NAME.into(), text, figures }
}

const ABOUT: Behaviour = Behaviour {
    name: FloodAfterFlag::NAME,
    sid: SID,
    title: "Host under suspicion floods one destination",
    remediation: REMEDIATION,
    references: &REFERENCES,
};
const SID: u32 = 9_000_107;
const REMEDIATION: &str = "Take the host off the network: it takes part in an attack. Until then block what it sends to the \
                           destination named, and keep a capture of it for those who are attacked.";
const REFERENCES: [&str; 2] = [
    "Mirkovic, Prier, Reiher: Attacking DDoS at the Source, ICNP 2002 (D-WARD)",
    "Wang, Zhang, Shin: Detecting SYN Flooding Attacks, INFOCOM 2002",
];
