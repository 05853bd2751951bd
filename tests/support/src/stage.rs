//! The stage a scenario is played on: hosts, names, packets, and the record of what was really sent.
//!
//! Everything is collected in memory and sorted at the end; captures too long for that are made of several stages
//! through [`crate::capture::Merge`], or of [`crate::bulk`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::capture::{Packet, PcapFormat, in_time_order, pcap};
use crate::clock::{MICRO, MILLI, Nanos, iso};
use crate::dns::{self, Zones};
use crate::host::{Endpoint, Host};
use crate::mail::Message;
use crate::prng::Rng;
use crate::smtp::{Security, Session};
use crate::tcp::{Conversation, Faults, Opening, Played, Step};
use crate::truth::{HostTruth, MessageTruth, QuestionTruth, SessionTruth, TransactionTruth, Truth};
use crate::wire::{self, Ip, Link};

/// A scenario in the making.
#[derive(Debug)]
pub struct Stage {
    pub rng: Rng,
    pub zones: Zones,
    pub truth: Truth,
    /// Accidents of the conversations to come.
    pub faults: Faults,
    /// The VLAN of the packets to come.
    pub vlan: Option<u16>,
    packets: Vec<Packet>,
    hosts: Vec<Host>,
    by_address: BTreeMap<IpAddr, usize>,
    /// The next ephemeral port of each host.
    ports: Vec<u16>,
    forwarders: BTreeMap<IpAddr, Forwarder>,
}

/// A resolver that asks another for what it does not know.
#[derive(Debug)]
struct Forwarder {
    upstream: Host,
    /// Domains it answers for itself.
    own: Vec<String>,
    known: BTreeSet<(String, u16)>,
}

/// Who talks to whom.
#[derive(Clone, Copy, Debug)]
pub struct Route<'a> {
    pub client: &'a Host,
    pub server: &'a Host,
    pub port: u16,
    /// Over IPv6, which both must have.
    pub v6: bool,
}

impl<'a> Route<'a> {
    /// Over IPv4.
    pub fn new(client: &'a Host, server: &'a Host, port: u16) -> Self {
        Self { client, server, port, v6: false }
    }

    /// Over IPv6.
    pub fn v6(client: &'a Host, server: &'a Host, port: u16) -> Self {
        Self { client, server, port, v6: true }
    }

    fn address(&self, host: &Host) -> IpAddr {
        host.address_like(if self.v6 { IpAddr::from([0u16; 8]) } else { IpAddr::from([0u8; 4]) })
    }
}

/// A question and how it is asked.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    pub name: &'a str,
    pub qtype: u16,
    pub tcp: bool,
    /// The transaction id; random when none.
    pub id: Option<u16>,
    pub edns: Option<u16>,
    /// The answer comes cut.
    pub cut: bool,
}

impl<'a> Ask<'a> {
    /// Over UDP.
    pub fn new(name: &'a str, qtype: u16) -> Self {
        Self { name, qtype, tcp: false, id: None, edns: None, cut: false }
    }
}

/// A mail session to be played.
#[derive(Clone, Debug)]
pub struct Mailing<'a> {
    pub session: Session,
    pub opening: Opening,
    /// What kind of mail it is, and each transaction's message.
    pub kind: &'static str,
    pub messages: Vec<&'a Message>,
}

impl<'a> Mailing<'a> {
    /// A session that comes about, with these messages.
    pub fn new(kind: &'static str, session: Session, messages: Vec<&'a Message>) -> Self {
        Self { session, opening: Opening::Answered, kind, messages }
    }
}

/// A finished scenario.
#[derive(Clone, Debug)]
pub struct Sample {
    /// In time order.
    pub packets: Vec<Packet>,
    pub truth: Truth,
}

impl Sample {
    /// The capture file, with microseconds or nanoseconds.
    pub fn trace(&self, nanoseconds: bool) -> Vec<u8> {
        pcap(&self.packets, PcapFormat { nanoseconds, ..PcapFormat::default() })
    }

    /// The record, as `truth.json` has it.
    pub fn truth_json(&self) -> String {
        let time = |packet: Option<&Packet>| iso(packet.map_or(0, |packet| packet.time));
        let span = (time(self.packets.first()), time(self.packets.last()));
        self.truth.to_json(self.packets.len() as u64, (&span.0, &span.1))
    }
}

impl Stage {
    /// An empty stage.
    pub fn new(sample: &str, seed: u64) -> Self {
        Self {
            rng: Rng::named(seed, sample),
            zones: Zones::default(),
            truth: Truth { sample: sample.into(), seed, ..Truth::default() },
            faults: Faults::default(),
            vlan: None,
            packets: vec![],
            hosts: vec![],
            by_address: BTreeMap::new(),
            ports: vec![],
            forwarders: BTreeMap::new(),
        }
    }

    /// Brings a host on, under its name in the directory.
    pub fn add(&mut self, host: Host) -> Host {
        let addresses: Vec<IpAddr> = host.v4.map(IpAddr::V4).into_iter().chain(host.v6.map(IpAddr::V6)).collect();
        for ip in &addresses {
            let before = self.by_address.insert(*ip, self.hosts.len());
            assert!(before.is_none(), "{ip} is given to two hosts");
            self.zones.address(&host.name, *ip);
        }
        self.truth.hosts.push(HostTruth {
            name: host.name.clone(),
            addresses: addresses.iter().map(ToString::to_string).collect(),
            home: host.home,
            role: host.role.into(),
            stack: host.stack.name.into(),
            ..HostTruth::default()
        });
        let (first, last) = host.stack.ports;
        self.ports.push(first + self.rng.below(u64::from(last - first) / 2) as u16);
        self.hosts.push(host.clone());
        host
    }

    /// The host with this address; panics when there is none, which is an error in the scenario.
    pub fn host_at(&self, ip: IpAddr) -> Host {
        self.hosts[self.by_address[&ip]].clone()
    }

    /// Makes `resolver` ask `upstream` for all but its `own` domains, each name once.
    pub fn forward(&mut self, resolver: &Host, upstream: &Host, own: &[&str]) {
        let own: Vec<String> = own.iter().map(|domain| (*domain).into()).collect();
        for ip in resolver.v4.map(IpAddr::V4).into_iter().chain(resolver.v6.map(IpAddr::V6)) {
            let forwarder = Forwarder { upstream: upstream.clone(), own: own.clone(), known: BTreeSet::new() };
            self.forwarders.insert(ip, forwarder);
        }
    }

    /// Plays a conversation from an ephemeral port. Returns its ends, and what came of it without the packets.
    pub fn connect(
        &mut self,
        at: Nanos,
        route: Route<'_>,
        opening: Opening,
        steps: &[Step],
    ) -> ([Endpoint; 2], Played) {
        let port = self.next_port(route.client);
        let client = route.client.endpoint(route.address(route.client), port);
        let server = route.server.endpoint(route.address(route.server), route.port);
        let seed = self.rng.next_u64();
        let (faults, vlan) = (self.faults, self.vlan);
        let plan = Conversation { opening, faults, vlan, ..Conversation::new(client, server, at, seed) };
        let mut played = plan.play(steps);
        self.packets.append(&mut played.packets);
        ([client, server], played)
    }

    /// Puts one frame on the wire that belongs to no conversation; `build` fills it.
    pub fn frame(&mut self, at: Nanos, from: &Host, to: &Host, build: impl FnOnce(&mut Vec<u8>, &Link, &Ip)) {
        let link = Link { src: from.mac, dst: to.mac, vlan: self.vlan };
        let ttl = from.stack.ttl.saturating_sub(from.hops);
        let ip = Ip { src: from.ip(), dst: to.ip(), ttl, id: self.rng.next_u16(), df: false };
        let mut data = Vec::new();
        build(&mut data, &link, &ip);
        self.packets.push(Packet { time: at, data });
    }

    /// Asks `server`, which asks its upstream if it must. Returns when the client has the answer, and the answer.
    pub fn lookup(&mut self, at: Nanos, client: &Host, server: &Host, ask: Ask<'_>) -> (Nanos, dns::Message) {
        let id = ask.id.unwrap_or_else(|| self.rng.next_u16());
        let query = dns::Message { edns: ask.edns, ..dns::Message::query(id, ask.name, ask.qtype) };
        let full = query.answered_by(&self.zones);
        let answer = if ask.cut { full.cut() } else { full };
        let think = self.think_of(at, server, ask);
        let route = Route::new(client, server, 53);
        let (asked, done, src) = if ask.tcp {
            let steps = [
                Step::Mark,
                Step::Client(query.encode_tcp(true)),
                Step::Wait(think),
                Step::Server(answer.encode_tcp(true)),
                Step::ClientFin,
                Step::ServerFin,
            ];
            let (ends, played) = self.connect(at, route, Opening::Answered, &steps);
            (played.marks[0], played.end, ends[0])
        } else {
            let src = client.endpoint(client.ip(), self.next_port(client));
            self.frame(at, client, server, |out, link, ip| {
                wire::udp(out, link, ip, (src.port, 53), &query.encode(true))
            });
            let back = at + server.round_trip + think;
            self.frame(back, server, client, |out, link, ip| {
                wire::udp(out, link, ip, (53, src.port), &answer.encode(true))
            });
            (at, back + client.round_trip, src)
        };
        self.record_question(asked, src, server, ask, &answer);
        (done, answer)
    }

    /// Plays a mail session and records it. Returns when it was over.
    pub fn mail(&mut self, at: Nanos, route: Route<'_>, mailing: &Mailing<'_>) -> Nanos {
        let Mailing { session, opening, .. } = mailing;
        let script = session.script(&mut self.rng);
        let (ends, played) = self.connect(at, route, *opening, &script.steps);
        let answered = *opening == Opening::Answered;
        let hidden = session.security != Security::None;
        let sums = self.sums(route.client);
        sums.sessions += 1;
        sums.mail_ip_bytes += played.ip_bytes;
        self.truth.sessions.push(SessionTruth {
            time: iso(at),
            src: ends[0].ip.to_string(),
            sport: ends[0].port,
            dst: ends[1].ip.to_string(),
            dport: ends[1].port,
            connect: match opening {
                Opening::Refused => "refused",
                Opening::Unanswered => "unanswered",
                _ => "answered",
            },
            tls: match session.security {
                Security::None => "none",
                Security::StartTls(_) => "starttls",
                Security::Implicit(_) => "implicit",
            },
            auth: session.auth.as_ref().filter(|_| answered && !hidden).map(|auth| auth.mechanism()),
            helo: Some(session.client.helo.clone())
                .filter(|_| answered && !matches!(session.security, Security::Implicit(_))),
            transactions: if answered { session.transactions.len() } else { 0 },
            ip_bytes: played.ip_bytes,
        });
        for (tx, (sent, time)) in script.sent.iter().zip(&played.marks).enumerate() {
            self.record_transaction(route, ends, mailing, tx, sent, *time);
        }
        played.end
    }

    /// All packets in order, and the record.
    pub fn finish(mut self) -> Sample {
        in_time_order(&mut self.packets);
        self.truth.sort();
        Sample { packets: self.packets, truth: self.truth }
    }

    fn record_transaction(
        &mut self,
        route: Route<'_>,
        ends: [Endpoint; 2],
        mailing: &Mailing<'_>,
        tx: usize,
        sent: &crate::smtp::Sent,
        time: Nanos,
    ) {
        let transaction = &mailing.session.transactions[tx];
        let client = &mailing.session.client;
        let message = sent.message.as_ref().map(|(size, sha256)| MessageTruth {
            subject: mailing.messages[tx].subject.clone(),
            size: *size,
            sha256: sha256.clone(),
            attachments: mailing.messages[tx].attachments.clone(),
        });
        let mut dialect = client.dialect();
        if message.is_some() && has_bare_line_feed(&transaction.message) {
            dialect.push("bare-lf");
        }
        let rcpt_to = transaction.addresses(true);
        let sums = self.sums(route.client);
        sums.messages += u64::from(message.is_some());
        sums.recipients += rcpt_to.len() as u64;
        self.truth.transactions.push(TransactionTruth {
            time: iso(time),
            src: ends[0].ip.to_string(),
            sport: ends[0].port,
            dst: ends[1].ip.to_string(),
            dport: ends[1].port,
            tx,
            direction: match (route.client.home, route.server.home) {
                (true, true) => "internal",
                (true, false) => "outbound",
                _ => "inbound",
            },
            kind: mailing.kind,
            helo: client.helo.clone(),
            extended: client.extended,
            dialect,
            mail_from: transaction.mail_from.clone(),
            rcpt_to,
            rcpt_rejected: transaction.addresses(false),
            outcome: sent.outcome,
            message,
        });
    }

    /// How long a server takes over a question: long, when it has to ask further.
    fn think_of(&mut self, at: Nanos, server: &Host, ask: Ask<'_>) -> Nanos {
        let own = 200 * MICRO + self.rng.between(0, 200) * MICRO;
        let Some(forwarder) = self.forwarders.get_mut(&server.ip()) else { return own };
        let home = forwarder.own.iter().any(|domain| ask.name == domain || ask.name.ends_with(&format!(".{domain}")));
        if home || !forwarder.known.insert((ask.name.into(), ask.qtype)) {
            return own;
        }
        let upstream = forwarder.upstream.clone();
        // By then a TCP question has come through its handshake.
        let asked = at + server.round_trip + own + if ask.tcp { 30 * MILLI } else { 0 };
        let further = Ask { edns: Some(1232), ..Ask::new(ask.name, ask.qtype) };
        // It may have been asked over IPv6 and ask further over IPv4.
        let resolver = self.host_at(server.ip());
        let (answered, _) = self.lookup(asked, &resolver, &upstream, further);
        answered + own - at
    }

    fn record_question(&mut self, at: Nanos, src: Endpoint, server: &Host, ask: Ask<'_>, answer: &dns::Message) {
        let text = |record: &dns::Record| match &record.data {
            dns::Data::Address(ip) => ip.to_string(),
            dns::Data::Mx(preference, name) => format!("{preference} {name}"),
            dns::Data::Cname(text) | dns::Data::Ns(text) | dns::Data::Txt(text) => text.clone(),
        };
        let question = QuestionTruth {
            time: iso(at),
            src: src.ip.to_string(),
            sport: src.port,
            dst: server.address_like(src.ip).to_string(),
            over: if ask.tcp { "tcp" } else { "udp" },
            id: answer.id,
            name: ask.name.into(),
            qtype: ask.qtype,
            rcode: answer.rcode,
            truncated: answer.truncated,
            answers: answer.answers.iter().map(text).collect(),
        };
        if ask.qtype == dns::MX {
            let index = self.by_address[&src.ip];
            self.truth.hosts[index].mx_questions += 1;
            self.truth.mx_questions.push(question);
        } else {
            self.truth.other_questions.push(question);
        }
    }

    fn sums(&mut self, host: &Host) -> &mut HostTruth {
        let index = self.by_address[&host.ip()];
        &mut self.truth.hosts[index]
    }

    fn next_port(&mut self, host: &Host) -> u16 {
        let index = self.by_address[&host.ip()];
        let (first, last) = host.stack.ports;
        let port = self.ports[index];
        self.ports[index] = if port >= last { first } else { port + 1 };
        port
    }
}

fn has_bare_line_feed(message: &[u8]) -> bool {
    message.first() == Some(&b'\n') || message.windows(2).any(|pair| pair[1] == b'\n' && pair[0] != b'\r')
}
