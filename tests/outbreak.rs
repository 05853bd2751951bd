//! An outbreak fills the host table with what infected hosts remember of all they mailed. What is bounded must give way
//! without a verdict being lost: the lists go before the hosts, and each time is counted.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use mailsnare::correlator::{Correlator, CorrelatorSettings, Said};
use mailsnare::model::alert::{Figure, Incident, Verdict};
use mailsnare::model::event::{
    ConnectOutcome, DnsData, DnsMessage, DnsQuestion, DnsRecord, Envelope, Event, EventKind, Outcome, QTYPE_MX,
    SmtpEvent,
};
use mailsnare::model::limits;
use mailsnare::model::mail::Findings;
use mailsnare::model::net::{Flow, FlowNames, Transport, Vlans};
use mailsnare::model::rulebook::NoRules;
use mailsnare::model::time::Timestamp;
use smallvec::smallvec;

const INFECTED: u32 = 1_020;
const DOMAINS: u32 = 500;
/// As much for each of them as 6,000 have in the usual table.
const ENTRIES: usize = limits::HOST_ENTRIES / 6;

#[test]
fn an_outbreak_of_hosts_that_each_mail_500_domains_loses_no_verdict() {
    let mut told = Told::default();
    let mut kept = None;
    let spent = allocation_counter::measure(|| {
        let mut correlator = table(INFECTED as usize + 300);
        // Honest hosts that mail one correspondent: they too must be there in the end.
        for number in 0..200 {
            told.take(&mut correlator, &mail(client(INFECTED + number), 7, Timestamp::from_parts(START, 0)));
        }
        for domain in 0..DOMAINS {
            let now = Timestamp::from_parts(START + 3 * i64::from(domain), 0);
            for number in 0..INFECTED {
                told.take(&mut correlator, &delivery(client(number), [10, 0, 0, 53].into(), domain, now));
            }
            let stats = correlator.stats();
            assert!(stats.entries <= ENTRIES as u64, "{stats:?}");
        }
        kept = Some(correlator);
    });
    let mut correlator = kept.unwrap();
    let stats = correlator.stats();
    let account = stats.bytes as f64 / spent.bytes_current as f64;
    eprintln!("{stats:?}, {} bytes allocated: {account:.2}", spent.bytes_current);
    assert_eq!(stats.hosts_evicted, 0);
    // The resolver inside is one, too.
    assert_eq!(stats.hosts, u64::from(INFECTED) + 200 + 1);
    assert!(stats.hosts_shortened >= u64::from(INFECTED), "{stats:?}");
    assert_eq!(correlator.suspects()[Verdict::Infected as usize], u64::from(INFECTED));
    assert_eq!(told.closed, 0);
    assert!((0.75..=1.25).contains(&account), "the account is {account:.2} of what is allocated");

    let mut last = Vec::new();
    correlator.finish(&mut last);
    let ended: Vec<_> = last.iter().filter_map(closed).collect();
    assert_eq!(ended.len(), INFECTED as usize);
    for incident in ended {
        let figure = |name| incident.evidence.iter().flat_map(|piece| &piece.figures).find(|(known, _)| *known == name);
        assert_eq!(incident.verdict, Verdict::Infected);
        assert_eq!(incident.messages, u64::from(DOMAINS / EACH));
        // Counts outlive the lists they were taken from.
        assert_eq!(figure("connections"), Some(&("connections", Figure::Count(DOMAINS.into()))), "{incident:?}");
        assert!(incident.evidence.iter().any(|piece| piece.source == "direct-to-mx"), "{incident:?}");
    }
}

/// With more of them than the table can hold, those it gives up are told to the end before they go, and each is counted.
#[test]
fn infected_hosts_that_find_no_room_are_told_before_they_go() {
    let mut told = Told::default();
    let mut correlator = table(100);
    for number in 0..200 {
        for domain in 0..40 {
            let now = Timestamp::from_parts(START + i64::from(number * 40 + domain), 0);
            told.take(&mut correlator, &delivery(client(number), [198, 51, 100, 53].into(), domain, now));
        }
    }
    let stats = correlator.stats();
    assert_eq!(stats.hosts, 100);
    assert!(stats.hosts_evicted >= 100, "{stats:?}");
    let mut last = Vec::new();
    correlator.finish(&mut last);
    let (opened, ended) = (told.opened, told.closed + last.iter().filter_map(closed).count() as u64);
    assert!(opened == 200 && ended == 200, "{opened} opened, {ended} closed");
}

fn table(hosts: usize) -> Correlator {
    let settings = CorrelatorSettings { hosts, host_entries: ENTRIES, ..CorrelatorSettings::default() };
    Correlator::new(settings, Arc::new(NoRules))
}

/// What was said, counted and given back.
#[derive(Default)]
struct Told {
    out: Vec<Said>,
    opened: u64,
    closed: u64,
}

impl Told {
    fn take(&mut self, correlator: &mut Correlator, events: &[Event]) {
        let nothing = Findings::default();
        events.iter().for_each(|event| correlator.take(event, &nothing, &mut self.out));
        for said in self.out.drain(..) {
            self.opened += u64::from(opened(&said));
            self.closed += u64::from(closed(&said).is_some());
        }
        self.out.shrink_to_fit();
    }
}

fn closed(said: &Said) -> Option<&Incident> {
    match said {
        Said::Incident(incident) if incident.closed => Some(incident),
        _ => None,
    }
}

/// Whether it is the first line about an incident: the verdict rose from clean.
fn opened(said: &Said) -> bool {
    let Said::Incident(incident) = said else { return false };
    let changes = incident.timeline.iter().filter(|moment| moment.text.starts_with("verdict: ")).count();
    !incident.closed && changes == 1
}

/// What a worm does for each domain: it is told the exchanger and its address, goes there, and of every so many a message
/// is accepted.
fn delivery(client: IpAddr, resolver: IpAddr, domain: u32, time: Timestamp) -> Vec<Event> {
    let server = Ipv4Addr::from(0xcb00_7119 + domain * 256);
    let (name, exchange) = (format!("d{domain}.example"), format!("mx.d{domain}.example"));
    let record = |name: &str, rtype, data| DnsRecord { name: name.into(), rtype, ttl: 300, data };
    let answer = DnsMessage {
        flags: 0x8180,
        queries: smallvec![DnsQuestion { name: name.as_str().into(), qtype: QTYPE_MX }],
        answers: smallvec![record(&name, QTYPE_MX, DnsData::Mx { preference: 10, exchange: exchange.as_str().into() })],
        additionals: vec![record(&exchange, 1, DnsData::A(server))],
        ..DnsMessage::default()
    };
    let asked = flow(client, resolver, 53, domain * 2, time);
    let mut events = vec![event(&asked, EventKind::Dns(Box::new(answer)), time)];
    events.extend(session(client, server.into(), domain, time));
    events
}

/// A message to a correspondent.
fn mail(client: IpAddr, correspondent: u32, time: Timestamp) -> Vec<Event> {
    session(client, Ipv4Addr::from(0xc633_6419 + correspondent).into(), 0, time)
}

fn session(client: IpAddr, server: IpAddr, number: u32, time: Timestamp) -> Vec<Event> {
    let flow = flow(client, server, 25, number * 2 + 1, time);
    let mut events = vec![event(&flow, EventKind::Connect(ConnectOutcome::Answered), time)];
    if number.is_multiple_of(EACH) {
        let rcpt_to = vec![format!("someone@d{number}.example")];
        let envelope = Envelope { mail_from: "james@example.net".into(), rcpt_to, ..Envelope::default() };
        let outcome = Outcome::Accepted;
        let smtp = SmtpEvent { started: time, envelope: Some(envelope), outcome, ..SmtpEvent::default() };
        events.push(event(&flow, EventKind::Smtp(Box::new(smtp)), time));
    }
    events
}

fn client(number: u32) -> IpAddr {
    IpAddr::from((0x0a01_0000 + number).to_be_bytes())
}

fn flow(client: IpAddr, server: IpAddr, port: u16, id: u32, started: Timestamp) -> Arc<Flow> {
    Arc::new(Flow {
        client: SocketAddr::new(client, 1_024 + (id % 60_000) as u16),
        server: SocketAddr::new(server, port),
        transport: Transport::Tcp,
        vlans: Vlans::default(),
        started,
        midstream: false,
        names: FlowNames::default(),
    })
}

fn event(flow: &Arc<Flow>, kind: EventKind, time: Timestamp) -> Event {
    Event { seq: 0, time, source: 0, file: 0, packet: 1, flow: Some(Arc::clone(flow)), kind }
}

/// Deliveries for each message that is accepted.
const EACH: u32 = 5;
const START: i64 = 1_067_601_600;
