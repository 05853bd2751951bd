//! Plays a plan: everyday life, then each mailer by its habits.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::clock::{MILLI, MINUTE, Nanos, SECOND, utc};
use crate::dns;
use crate::host::Host;
use crate::internet::{Age, household, person};
use crate::office::{DOMAIN, Letter, somebody, unknown_user};
use crate::prng::Rng;
use crate::smtp::{Auth, Client, Leave, Reply, Security, Server, Session, Transaction};
use crate::stage::{Ask, Mailing, Route, Sample, Stage};
use crate::tcp::{Faults, Opening, Step};
use crate::tls::Era as TlsEra;
use crate::wire::{self, SYN, Tcp};

use super::letter::{self, Places, Written};
use super::plan::{Era, Find, FloodPlan, Inbound, Leaving, Lookup, Mailer, Plan, Record, Resolver, Speech, Tls};
use super::world::World;

/// What a plan came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Packets, and what was really sent.
    pub sample: Sample,
    /// When each mailing host tried to send a message, hidden or not, delivered or not; in order.
    pub attempts: BTreeMap<String, Vec<Nanos>>,
    /// All home hosts by name.
    pub addresses: BTreeMap<String, Vec<IpAddr>>,
    /// Hosts that are in truth infected, groups taken apart.
    pub infected: Vec<String>,
    /// Hosts that are in truth mail servers: the world's baselines are given them for nothing.
    pub mail_servers: Vec<IpAddr>,
    /// Addresses declared.
    pub declared: Vec<IpAddr>,
    /// Addresses declared to be one host each.
    pub groups: Vec<Vec<IpAddr>>,
}

pub fn play(name: &str, plan: &Plan) -> Outcome {
    let start = match plan.age {
        Era::Early => utc(2003, 10, 31, 9, 0, 0),
        Era::Today => utc(2026, 3, 10, 9, 0, 0),
    };
    let mut stage = Stage::new(name, SEED);
    let world = World::new(&mut stage, plan);
    let in_thousand = |share: f64| (share * 1000.0).round() as u32;
    stage.faults =
        Faults { lost_before: in_thousand(plan.loss), unseen: in_thousand(plan.unseen), ..Faults::default() };
    let infected = plan.expect.infected.iter().flat_map(|name| world.named(name)).map(|(name, _)| name).collect();
    let mut player = Player { stage, world, start, attempts: BTreeMap::new(), infected };
    if plan.everyday {
        player.everyday(plan.minutes);
    }
    plan.inbound.iter().for_each(|inbound| player.inbound(inbound));
    plan.lookup.iter().for_each(|lookup| player.ask(lookup));
    plan.mailer.iter().for_each(|mailer| player.mailer(mailer));
    plan.flood.iter().for_each(|flood| player.flood(flood));
    player.finish(plan)
}

struct Player {
    stage: Stage,
    world: World,
    start: Nanos,
    attempts: BTreeMap<String, Vec<Nanos>>,
    infected: Vec<String>,
}

/// One mailer on one host, with what it remembers.
struct Sender<'a> {
    plan: &'a Mailer,
    name: String,
    host: Host,
    kind: &'static str,
    rng: Rng,
    known: BTreeMap<String, Option<Host>>,
    asked: usize,
    number: usize,
}

/// Messages for one next hop.
struct Batch {
    domain: String,
    letters: Vec<(Vec<String>, Written)>,
}

impl Player {
    // --- everyday life ------------------------------------------------------------------------------------------

    /// Mail in and out through the relay, the web, monitoring: little of each, so that scenarios stay small.
    fn everyday(&mut self, minutes: i64) {
        let mut rng = Rng::new(self.stage.rng.next_u64());
        let (stage, office) = (&mut self.stage, &self.world.office);
        let span = minutes * MINUTE;
        for number in 0..minutes / 2 + 1 {
            let at = self.start + 2 * SECOND + number * 2 * MINUTE;
            let from = person(&mut rng, "example.com");
            let to = office.user_address(rng.pick(&office.users));
            let letter = short_letter(&mut rng, &from, &to);
            office.receive(stage, at, rng.pick(&self.world.senders[..6]), &letter);
        }
        for number in 0..minutes / 5 {
            office.probe(stage, self.start + number * 5 * MINUTE + 11 * SECOND, &office.relay);
        }
        for _ in 0..minutes {
            let at = self.start + rng.between(SECOND, span);
            let (user, site) =
                (rng.pick(&office.users).clone(), self.world.internet.sites[rng.below(3) as usize].clone());
            let bytes = 500 + rng.below(6_000) as usize;
            office.browse(stage, at, &user, &site, bytes, rng.chance(500));
        }
        for _ in 0..minutes / 3 {
            let at = self.start + rng.between(SECOND, span);
            let user = rng.pick(&office.users).clone();
            let to = somebody(&mut rng, &self.world.domains);
            let letter = short_letter(&mut rng, &office.user_address(&user), &to);
            let security =
                if self.world.internet.age == Age::Today { Security::StartTls(office.era) } else { Security::None };
            let handed = office.submit(stage, at, &user, &letter, security);
            let from = (&office.relay, office.relay_client());
            let relayed = [letter.relayed(handed, &office.relay)];
            office.deliver(stage, &mut self.world.internet, handed + 300 * MILLI, from, &relayed, "letter");
        }
    }

    /// Mail comes to a host's port 25.
    fn inbound(&mut self, plan: &Inbound) {
        for (name, host) in self.world.named(&plan.host) {
            let mut rng = Rng::new(self.stage.rng.next_u64());
            for number in 0..plan.messages {
                let at = self.start + seconds(plan.start + number as f64 * plan.every);
                let senders = self.world.senders.len().min(usize::from(plan.senders.max(1)));
                let sender = match &plan.from {
                    Some(name) => self.world.named(name).remove(0).1,
                    None => self.world.senders[number % senders].clone(),
                };
                let to = self.recipient_at_home(&mut rng, &name);
                let places = Places { to: &to, host: "out", ip: "198.19.201.25" };
                let written = letter::write(&plan.letter, &mut rng, at, places, std::slice::from_ref(&to));
                let mut transaction = Transaction::new(&written.from, &[&to], written.message.bytes.clone());
                if rng.chance(thousandths(plan.unknown)) {
                    transaction = transaction.refused(&unknown_user());
                }
                let server = self.world.office.greeting(&host);
                let (transactions, messages) =
                    if plan.empty { (vec![], vec![]) } else { (vec![transaction], vec![&written.message]) };
                let session = Session::new(Client::pipelining(&sender.name), server, transactions);
                let route = Route { v6: false, ..Route::new(&sender, &host, 25) };
                self.stage.mail(at, route, &Mailing::new("inbound", session, messages));
            }
        }
    }

    /// A host asks and does not mail.
    fn ask(&mut self, plan: &Lookup) {
        let qtype = if plan.record == Record::Mx { dns::MX } else { dns::A };
        for (_, host) in self.world.named(&plan.host) {
            for number in 0..plan.count {
                let at = self.start + seconds(plan.start + number as f64 * plan.every);
                let names = if plan.names.is_empty() { &self.world.domains } else { &plan.names };
                let name = names[number % names.len()].clone();
                let resolver = self.resolver(plan.resolver, &host, number);
                self.stage.lookup(at, &host, &resolver, Ask::new(&name, qtype));
            }
        }
    }

    /// A host knocks at one destination, over and over; echo requests and pages are spread evenly over the rest.
    fn flood(&mut self, plan: &FloodPlan) {
        let target = match plan.name.as_str() {
            "" => self.world.internet.sites[0].clone(),
            name => self.stage.add(household(name, ATTACKED)),
        };
        for (_, host) in self.world.named(&plan.host) {
            let resolver = self.resolver(Resolver::Home, &host, 0);
            let mut at = self.start + seconds(plan.start);
            at = self.stage.lookup(at, &host, &resolver, Ask::new(&target.name, dns::A)).0 + MILLI;
            let (all, pause) = (plan.syns + plan.echoes + plan.pages, seconds(1.0 / plan.per_second));
            for number in 0..all {
                at += pause;
                // Bresenham: the nth of them where n * share / all comes to the next whole number.
                let is_due = |share: u32| {
                    u64::from(number + 1) * u64::from(share) / u64::from(all)
                        > u64::from(number) * u64::from(share) / u64::from(all)
                };
                if is_due(plan.echoes) {
                    self.stage.frame(at, &host, &target, |out, link, ip| {
                        wire::echo(out, link, ip, false, 0x200, number as u16, &[0x61; 32]);
                    });
                } else if is_due(plan.pages) {
                    let steps = [
                        Step::Client(b"GET / HTTP/1.1\r\nHost: site\r\n\r\n".to_vec()),
                        Step::Server(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
                        Step::ClientFin,
                        Step::ServerFin,
                    ];
                    self.stage.connect(at, Route::new(&host, &target, 80), Opening::Answered, &steps);
                } else {
                    let header = Tcp {
                        src_port: 2_000 + (number % 30_000) as u16,
                        dst_port: 80,
                        seq: self.stage.rng.next_u32(),
                        flags: SYN,
                        window: 16_384,
                        ..Tcp::default()
                    };
                    self.stage.frame(at, &host, &target, |out, link, ip| wire::tcp(out, link, ip, &header, &[]));
                }
            }
        }
    }

    // --- mailers ------------------------------------------------------------------------------------------------

    fn mailer(&mut self, plan: &Mailer) {
        let group = self.world.named(&plan.host);
        let spread = plan.every / group.len() as f64;
        for (place, (name, host)) in group.into_iter().enumerate() {
            let kind = if self.infected.contains(&name) { "worm" } else { "letter" };
            let rng = Rng::new(self.stage.rng.next_u64());
            let mut sender = Sender { plan, name, host, kind, rng, known: BTreeMap::new(), asked: 0, number: 0 };
            let mut at = self.start + seconds(plan.start + spread * place as f64);
            for session in 1..=plan.sessions {
                self.session(&mut sender, at);
                let jitter = 0.7 + sender.rng.below(600) as f64 / 1000.0;
                at += seconds(plan.every * jitter);
                if plan.burst > 0 && session % plan.burst == 0 {
                    at += seconds(plan.pause);
                }
            }
        }
    }

    /// One session: letters, next hop, connection.
    fn session(&mut self, sender: &mut Sender<'_>, at: Nanos) {
        let batch = self.batch(sender, at);
        let plan = sender.plan;
        self.attempts.entry(sender.name.clone()).or_default().extend(vec![at; batch.letters.len()]);
        match plan.find {
            Find::Relay | Find::Submission => self.hand_in(sender, at, batch),
            Find::Provider => self.submit(sender, at, &batch),
            Find::Mx | Find::Guess | Find::None => {
                let (known, server) = self.next_hop(sender, at, &batch.domain);
                if let Some(server) = server {
                    self.deliver(sender, known + MILLI, &server, &batch);
                }
            }
        }
    }

    fn batch(&self, sender: &mut Sender<'_>, at: Nanos) -> Batch {
        let Sender { plan, rng, number, .. } = sender;
        let home = rng.chance(thousandths(plan.home));
        let domain = if let Some(to) = plan.to.get(*number % plan.to.len().max(1)) {
            to.split('@').nth(1).unwrap_or_default().to_owned()
        } else if home {
            DOMAIN.to_owned()
        } else if rng.chance(thousandths(plan.missing)) {
            format!("gone{}.example", rng.below(1000))
        } else {
            self.world.domains[rng.below(plan.domains.clamp(1, self.world.domains.len()) as u64) as usize].clone()
        };
        let mut letters = Vec::new();
        for _ in 0..plan.per_session {
            let recipients: Vec<String> = (0..plan.recipients)
                .map(|_| {
                    *number += 1;
                    match plan.to.get((*number - 1) % plan.to.len().max(1)) {
                        Some(to) => to.clone(),
                        None if home => self.recipient_at_home(rng, ""),
                        None => person(rng, &domain),
                    }
                })
                .collect();
            let ip = sender.host.ip().to_string();
            let places = Places { to: &recipients[0], host: &sender.name, ip: &ip };
            letters.push((recipients.clone(), letter::write(&plan.letter, rng, at, places, &recipients)));
        }
        Batch { domain, letters }
    }

    /// Asks for the next hop as this mailer does; none when there is nobody to go to.
    fn next_hop(&mut self, sender: &mut Sender<'_>, at: Nanos, domain: &str) -> (Nanos, Option<Host>) {
        if sender.plan.remembers
            && let Some(known) = sender.known.get(domain)
        {
            return (at, known.clone());
        }
        let (known, server) = match sender.plan.find {
            Find::None => (at, self.exchanger_of(domain)),
            Find::Guess => self.guess(sender, at, domain),
            _ => self.ask_exchanger(sender, at, domain),
        };
        sender.known.insert(domain.to_owned(), server.clone());
        (known, server)
    }

    fn ask_exchanger(&mut self, sender: &mut Sender<'_>, at: Nanos, domain: &str) -> (Nanos, Option<Host>) {
        let resolver = self.resolver(sender.plan.resolver, &sender.host, sender.asked);
        sender.asked += 1;
        let ask = Ask { tcp: sender.plan.ask_tcp, id: sender.plan.query_id, ..Ask::new(domain, dns::MX) };
        let (known, answer) = self.stage.lookup(at, &sender.host, &resolver, ask);
        let Some((_, exchanger)) = answer.exchangers().into_iter().next() else { return (known, None) };
        let qtype = if sender.plan.v6 { dns::AAAA } else { dns::A };
        let (mut known, mut answer) =
            self.stage.lookup(known + MILLI, &sender.host, &resolver, Ask::new(&exchanger, qtype));
        if answer.addresses().is_empty() && sender.host.v4.is_some() {
            (known, answer) = self.stage.lookup(known + MILLI, &sender.host, &resolver, Ask::new(&exchanger, dns::A));
        }
        (known, answer.addresses().first().map(|ip| self.stage.host_at(*ip)))
    }

    /// Asks for one likely name after the other until one has an address.
    fn guess(&mut self, sender: &mut Sender<'_>, at: Nanos, domain: &str) -> (Nanos, Option<Host>) {
        let mut now = at;
        for label in &sender.plan.guess {
            let name = format!("{label}{domain}");
            let resolver = self.resolver(sender.plan.resolver, &sender.host, sender.asked);
            sender.asked += 1;
            let (known, answer) = self.stage.lookup(now, &sender.host, &resolver, Ask::new(&name, dns::A));
            now = known + MILLI;
            if let Some(ip) = answer.addresses().first() {
                return (now, Some(self.stage.host_at(*ip)));
            }
        }
        (now, None)
    }

    fn deliver(&mut self, sender: &mut Sender<'_>, at: Nanos, server: &Host, batch: &Batch) {
        let plan = sender.plan;
        let client = client(&plan.speaks, sender, &batch.domain);
        let mut transactions = transactions(batch);
        for (_, reply) in transactions.iter_mut().flat_map(|transaction| &mut transaction.recipients) {
            if sender.rng.chance(thousandths(plan.unknown)) {
                *reply = Reply::new(550, "5.1.1 User unknown");
            } else if sender.rng.chance(thousandths(plan.greylisted)) {
                *reply = Reply::new(451, "4.7.1 Greylisted, please try again in 300 seconds");
            }
        }
        let (mut opening, session) = if self.world.internet.takes(server.ip()) {
            self.world.internet.receive(server.ip(), client, transactions)
        } else {
            (Opening::Refused, Session::new(client, Server::new(&server.name), transactions))
        };
        if sender.rng.chance(thousandths(plan.closed)) {
            opening = Opening::Refused;
        } else if sender.rng.chance(thousandths(plan.silent)) {
            opening = Opening::Unanswered;
        }
        let session = Session { security: self.security(plan.tls), ..session };
        let v6 = sender.host.v4.is_none() || (plan.v6 && server.v6.is_some());
        if v6 && server.v6.is_none() {
            return;
        }
        let route = Route { v6, ..Route::new(&sender.host, server, 25) };
        let messages = batch.letters.iter().map(|(_, written)| &written.message).collect();
        self.stage.mail(at, route, &Mailing { opening, ..Mailing::new(sender.kind, session, messages) });
    }

    /// Through the relay at home, which passes on what is for the world.
    fn hand_in(&mut self, sender: &mut Sender<'_>, at: Nanos, batch: Batch) {
        let plan = sender.plan;
        let client = client(&plan.speaks, sender, &batch.domain);
        let relay = self.world.office.relay.clone();
        let submission = plan.find == Find::Submission;
        let auth = submission.then(|| Auth::Plain { user: sender.name.clone(), password: "made-up".into() });
        let session = Session::new(client, self.world.office.greeting(&relay), transactions(&batch));
        let session = Session { security: self.security(plan.tls), auth, ..session };
        let port = match plan.tls {
            _ if !submission => 25,
            Tls::Implicit => 465,
            _ => 587,
        };
        let messages = batch.letters.iter().map(|(_, written)| &written.message).collect();
        let route = Route::new(&sender.host, &relay, port);
        let handed = self.stage.mail(at, route, &Mailing::new(sender.kind, session, messages));
        if batch.domain == DOMAIN {
            return;
        }
        let letters: Vec<Letter> = batch
            .letters
            .into_iter()
            .map(|(to, written)| Letter { from: written.from, to, message: written.message }.relayed(handed, &relay))
            .collect();
        let from = (&relay, self.world.office.relay_client());
        self.world.office.deliver(
            &mut self.stage,
            &mut self.world.internet,
            handed + 300 * MILLI,
            from,
            &letters,
            "relayed",
        );
    }

    /// To a provider outside, on a submission port.
    fn submit(&mut self, sender: &mut Sender<'_>, at: Nanos, batch: &Batch) {
        let plan = sender.plan;
        let client = client(&plan.speaks, sender, &batch.domain);
        let provider = self.world.provider.clone();
        let resolver = self.resolver(plan.resolver, &sender.host, sender.asked);
        let (known, _) = self.stage.lookup(at, &sender.host, &resolver, Ask::new(&provider.name, dns::A));
        let auth = Some(Auth::Login { user: sender.name.clone(), password: "made-up".into() });
        let session = Session::new(client, Server::new(&provider.name), transactions(batch));
        let session = Session { security: self.security(plan.tls), auth, ..session };
        let port = if plan.tls == Tls::Implicit { 465 } else { 587 };
        let messages = batch.letters.iter().map(|(_, written)| &written.message).collect();
        let route = Route::new(&sender.host, &provider, port);
        self.stage.mail(known + MILLI, route, &Mailing::new(sender.kind, session, messages));
    }

    // --- helpers ------------------------------------------------------------------------------------------------

    fn resolver(&self, choice: Resolver, host: &Host, turn: usize) -> Host {
        match choice {
            Resolver::Outside => self.world.internet.resolver.clone(),
            Resolver::List => self.world.resolvers[turn % self.world.resolvers.len()].clone(),
            // Asked over the only family the host has.
            Resolver::Home if host.v4.is_none() => Host { v4: None, ..self.world.office.resolver.clone() },
            Resolver::Home => self.world.office.resolver.clone(),
        }
    }

    fn exchanger_of(&self, domain: &str) -> Option<Host> {
        let mx = dns::Message::query(0, domain, dns::MX).answered_by(&self.stage.zones);
        let (_, exchanger) = mx.exchangers().into_iter().next()?;
        let address = dns::Message::query(0, &exchanger, dns::A).answered_by(&self.stage.zones);
        address.addresses().first().map(|ip| self.stage.host_at(*ip))
    }

    fn security(&self, tls: Tls) -> Security {
        let era = if self.world.internet.age == Age::Today { TlsEra::Tls13 } else { TlsEra::Tls10 };
        match tls {
            Tls::None => Security::None,
            Tls::Starttls => Security::StartTls(era),
            Tls::Implicit => Security::Implicit(era),
        }
    }

    /// Somebody at the office; for a host that takes mail for a domain of its own, somebody there.
    fn recipient_at_home(&self, rng: &mut Rng, host: &str) -> String {
        if host.is_empty() || host == "mail" {
            return self.world.office.user_address(rng.pick(&self.world.office.users));
        }
        format!("info@{host}.{DOMAIN}")
    }

    fn finish(mut self, plan: &Plan) -> Outcome {
        self.attempts.values_mut().for_each(|times| times.sort_unstable());
        let addresses = self.world.addresses();
        let of = |names: &[&str]| names.iter().flat_map(|name| addresses[*name].clone()).collect::<Vec<_>>();
        let named = |name: &String| self.world.named(name).into_iter().flat_map(|(name, _)| addresses[&name].clone());
        let declared: Vec<IpAddr> = plan.declared.iter().flat_map(named).collect();
        let groups = plan.groups.iter().map(|group| group.iter().flat_map(named).collect()).collect();
        let mut mail_servers = of(&["mail", "news", "ns"]);
        mail_servers.extend(plan.inbound.iter().flat_map(|inbound| named(&inbound.host)));
        mail_servers.extend(&declared);
        Outcome {
            sample: self.stage.finish(),
            attempts: self.attempts,
            infected: self.infected,
            addresses,
            mail_servers,
            declared,
            groups,
        }
    }
}

fn transactions(batch: &Batch) -> Vec<Transaction> {
    let transaction = |(to, written): &(Vec<String>, Written)| {
        let to: Vec<&str> = to.iter().map(String::as_str).collect();
        Transaction::new(&written.from, &to, written.message.bytes.clone())
    };
    batch.letters.iter().map(transaction).collect()
}

fn client(speech: &Speech, sender: &mut Sender<'_>, domain: &str) -> Client {
    let ip = sender.host.ip().to_string();
    let to = format!("nobody@{domain}");
    let places = Places { to: &to, host: &sender.name, ip: &ip };
    let helo = match speech.helo.as_str() {
        "" => sender.host.name.clone(),
        helo => letter::fill(helo, &mut sender.rng, places),
    };
    let has = |name: &str| speech.dialect.iter().any(|trait_name| trait_name == name);
    for name in &speech.dialect {
        assert!(DIALECT.contains(&name.as_str()), "no trait of speech is called {name}");
    }
    Client {
        extended: !has("helo"),
        colon_space: has("space-after-colon"),
        lower_case: has("lower-case"),
        brackets: !has("no-brackets"),
        early: has("early-talker"),
        reset_first: has("rset-first"),
        pipelining: has("pipelined"),
        chunk: has("bdat").then_some(8_192),
        pause: (speech.pause > 0.0).then(|| seconds(speech.pause)),
        leave: match speech.leave {
            Leaving::Quit => Leave::Politely,
            Leaving::Fin => Leave::Silently,
            Leaving::Reset => Leave::Rudely,
        },
        ..Client::new(&helo)
    }
}

fn short_letter(rng: &mut Rng, from: &str, to: &str) -> Letter {
    let plan = super::plan::LetterPlan {
        from: super::plan::Many(vec![from.into()]),
        subject: super::plan::Many(SUBJECTS.map(String::from).to_vec()),
        ..Default::default()
    };
    let places = Places { to, host: "", ip: "" };
    let written = letter::write(&plan, rng, 0, places, &[to.to_owned()]);
    Letter { from: written.from, to: vec![to.to_owned()], message: written.message }
}

fn seconds(seconds: f64) -> Nanos {
    (seconds * SECOND as f64) as Nanos
}

fn thousandths(share: f64) -> u32 {
    (share * 1000.0).round() as u32
}

const SEED: u64 = 4;

/// Where a name stands that is attacked and nothing else.
const ATTACKED: [u8; 4] = [203, 0, 113, 200];

const SUBJECTS: [&str; 4] = ["Minutes", "Re: budget", "Lunch on Thursday?", "Draft for review"];

#[rustfmt::skip]
const DIALECT: &[&str] = &[
    "helo", "space-after-colon", "lower-case", "no-brackets", "early-talker", "rset-first", "pipelined", "bdat",
];
