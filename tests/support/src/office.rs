//! Legitimate life of a network: mail through a relay, submission, a newsletter, an administrator, monitoring, the web.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::clock::{MILLI, Nanos, SECOND, rfc5322};
use crate::dns;
use crate::host::{Host, LINUX, LINUX_2_4, Stack, WINDOWS_10, WINDOWS_98, WINDOWS_XP};
use crate::internet::{Age, Internet, person};
use crate::mail::{Attachment, Builder, Message};
use crate::prng::{LETTERS, Rng};
use crate::smtp::{Auth, Client, Leave, Reply, Security, Server, Session, Transaction};
use crate::stage::{Ask, Mailing, Route, Stage};
use crate::tcp::{Opening, Step};
use crate::tls::{self, Era};

/// The home network.
#[derive(Debug)]
pub struct Office {
    pub resolver: Host,
    pub relay: Host,
    pub newsletter: Host,
    pub monitor: Host,
    pub admin: Host,
    pub copier: Host,
    pub users: Vec<Host>,
    pub era: Era,
    age: Age,
}

/// Its domain.
pub const DOMAIN: &str = "northfield.example";

/// A letter with its envelope.
#[derive(Clone, Debug)]
pub struct Letter {
    pub from: String,
    pub to: Vec<String>,
    pub message: Message,
}

impl Office {
    /// Brings the office on stage, with `users` desks.
    pub fn new(stage: &mut Stage, internet: &mut Internet, users: u8) -> Self {
        let age = internet.age;
        let (desk, server): (&[&Stack], _) = match age {
            Age::Year2003 => (&[&WINDOWS_XP, &WINDOWS_98], &LINUX_2_4),
            Age::Today => (&[&WINDOWS_10, &LINUX], &LINUX),
        };
        let mut home = |name: &str, subnet: u8, n: u8, role, stack| {
            let host = Host::home(&format!("{name}.{DOMAIN}"), Ipv4Addr::new(10, 20, subnet, n), role, stack);
            let v6 = Ipv6Addr::new(0xfd00, 0x20, 0, 0, 0, 0, u16::from(subnet), u16::from(n));
            stage.add(if age == Age::Today { host.with_v6(v6) } else { host })
        };
        let office = Self {
            resolver: home("ns", 0, 53, "resolver", server),
            relay: home("mail", 0, 25, "mail server", server),
            newsletter: home("news", 0, 80, "newsletter host", server),
            monitor: home("watch", 0, 90, "monitoring", server),
            admin: home("admin", 1, 9, "administrator", server),
            copier: home("copier", 1, 60, "copier", server),
            users: (0..users).map(|n| home(&format!("pc{n}"), 1, 20 + n, "user", desk[usize::from(n) % 2])).collect(),
            era: if age == Age::Today { Era::Tls13 } else { Era::Tls10 },
            age,
        };
        stage.zones.exchanger(DOMAIN, 10, &office.relay.name);
        stage.zones.exchanger(&format!("news.{DOMAIN}"), 10, &office.newsletter.name);
        stage.forward(&office.resolver, &internet.resolver, &[DOMAIN]);
        internet.register(&office.relay, &office.greeting(&office.relay));
        internet.register(&office.newsletter, &office.greeting(&office.newsletter));
        office
    }

    /// What a server of the office says of itself.
    pub fn greeting(&self, host: &Host) -> Server {
        match self.age {
            Age::Today => Server::new(&host.name),
            Age::Year2003 => Server::of(
                &host.name,
                "ESMTP Postfix",
                &["PIPELINING", "SIZE 10240000", "AUTH PLAIN LOGIN", "8BITMIME"],
            ),
        }
    }

    /// Somebody at the office.
    pub fn user_address(&self, user: &Host) -> String {
        let name = user.name.split('.').next().unwrap_or("user");
        format!("{name}@{DOMAIN}")
    }

    /// A page of `bytes` from `site`, in the clear or in TLS.
    pub fn browse(&self, stage: &mut Stage, at: Nanos, user: &Host, site: &Host, bytes: usize, clear: bool) -> Nanos {
        let (known, _) = stage.lookup(at, user, &self.resolver, Ask::new(&site.name, dns::A));
        let mut rng = Rng::new(stage.rng.next_u64());
        let mut steps = if clear {
            let request = format!("GET /{} HTTP/1.1\r\nHost: {}\r\n\r\n", rng.text(LETTERS, 8), site.name);
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {bytes}\r\n\r\n");
            vec![Step::Client(request.into_bytes()), Step::Server([head.into_bytes(), rng.bytes(bytes)].concat())]
        } else {
            tls::exchange(&mut rng, self.era, &site.name, &[(true, 420), (false, bytes)])
        };
        steps.extend([Step::ClientFin, Step::ServerFin]);
        let route = Route::new(user, site, if clear { 80 } else { 443 });
        stage.connect(known + MILLI, route, Opening::Answered, &steps).1.end
    }

    /// Fetches `bytes` of mail over IMAP in TLS.
    pub fn fetch(&self, stage: &mut Stage, at: Nanos, user: &Host, bytes: usize) -> Nanos {
        let mut rng = Rng::new(stage.rng.next_u64());
        let talk = [(false, 60), (true, 40), (false, 90), (true, 30), (false, bytes), (true, 20), (false, 40)];
        let mut steps = tls::exchange(&mut rng, self.era, &self.relay.name, &talk);
        steps.extend([Step::ClientFin, Step::ServerFin]);
        stage.connect(at, Route::new(user, &self.relay, 993), Opening::Answered, &steps).1.end
    }

    /// A user hands a letter to the relay on the submission port: today within TLS, in 2003 in the clear.
    pub fn submit(&self, stage: &mut Stage, at: Nanos, user: &Host, letter: &Letter, security: Security) -> Nanos {
        let name = user.name.split('.').next().unwrap_or("pc").to_owned();
        let auth = Some(Auth::Plain { user: name.clone(), password: "made-up".into() });
        let client = Client { colon_space: user.stack.name.starts_with("Windows"), ..Client::new(&name) };
        let session =
            Session { security, auth, ..Session::new(client, self.greeting(&self.relay), vec![letter.transaction()]) };
        let port = if matches!(security, Security::Implicit(_)) { 465 } else { 587 };
        let route = Route { v6: self.age == Age::Today, ..Route::new(user, &self.relay, port) };
        stage.mail(at, route, &Mailing::new("submission", session, vec![&letter.message]))
    }

    /// A server of the office delivers letters to one domain: MX over UDP through its resolver, best exchanger first.
    pub fn deliver(
        &self,
        stage: &mut Stage,
        internet: &mut Internet,
        at: Nanos,
        from: (&Host, Client),
        letters: &[Letter],
        kind: &'static str,
    ) -> Nanos {
        let (host, client) = from;
        let Some(domain) = letters.first().and_then(|letter| letter.to.first()).and_then(|to| to.split('@').nth(1))
        else {
            return at;
        };
        let ask = Ask { edns: (self.age == Age::Today).then_some(1232), ..Ask::new(domain, dns::MX) };
        let (known, answer) = stage.lookup(at, host, &self.resolver, ask);
        let Some((_, exchanger)) = answer.exchangers().into_iter().next() else { return known };
        let (mut known, mut answer) = stage.lookup(known + MILLI, host, &self.resolver, Ask::new(&exchanger, dns::A));
        if self.age == Age::Today {
            let (later, v6) = stage.lookup(known + MILLI, host, &self.resolver, Ask::new(&exchanger, dns::AAAA));
            if !v6.addresses().is_empty() {
                (known, answer) = (later, v6);
            }
        }
        let Some(ip) = answer.addresses().first().copied() else { return known };
        let server = stage.host_at(ip);
        let transactions = letters.iter().map(Letter::transaction).collect();
        let (opening, session) = internet.receive(ip, client, transactions);
        let mailing =
            Mailing { opening, ..Mailing::new(kind, session, letters.iter().map(|letter| &letter.message).collect()) };
        stage.mail(known + MILLI, Route { v6: ip.is_ipv6(), ..Route::new(host, &server, 25) }, &mailing)
    }

    /// A letter comes to the relay from an exchanger of the world.
    pub fn receive(&self, stage: &mut Stage, at: Nanos, sender: &Host, letter: &Letter) -> Nanos {
        let client = Client { pipelining: self.age == Age::Today, ..Client::new(&sender.name) };
        let session = Session::new(client, self.greeting(&self.relay), vec![letter.transaction()]);
        let v6 = sender.v6.is_some() && self.relay.v6.is_some();
        let route = Route { v6, ..Route::new(sender, &self.relay, 25) };
        stage.mail(at, route, &Mailing::new("letter", session, vec![&letter.message]))
    }

    /// A bounce comes to the newsletter host: null sender, plain text.
    pub fn bounce(&self, stage: &mut Stage, at: Nanos, sender: &Host, failed: &str) -> Nanos {
        let to = format!("bounces@news.{DOMAIN}");
        let text = format!("Your message could not be delivered to\n\n  {failed}\n\n550 5.1.1 User unknown");
        let from = format!("MAILER-DAEMON@{}", sender.name);
        let message = dated(at, &mut stage.rng, &from, &to, "Undelivered Mail Returned to Sender", &text).build();
        let transaction = Transaction::new("", &[&to], message.bytes.clone());
        let client = Client::pipelining(&sender.name);
        let session = Session::new(client, self.greeting(&self.newsletter), vec![transaction]);
        stage.mail(at, Route::new(sender, &self.newsletter, 25), &Mailing::new("bounce", session, vec![&message]))
    }

    /// The copier mails a scan to a user through the relay, in its own plain manner.
    pub fn scan(&self, stage: &mut Stage, at: Nanos, user: &Host) -> Nanos {
        let (from, to) = (format!("copier@{DOMAIN}"), self.user_address(user));
        let mut pdf = b"%PDF-1.4\n".to_vec();
        pdf.extend(stage.rng.bytes(30_000));
        let scan = Attachment::new("scan0001.pdf", "application/pdf", pdf);
        let message = dated(at, &mut stage.rng, &from, &to, "Scan", "Scanned document.").attach(scan).build();
        let transaction = Transaction::new(&from, &[&to], message.bytes.clone());
        let client = Client { extended: false, ..Client::new("copier") };
        let session = Session::new(client, self.greeting(&self.relay), vec![transaction]);
        stage.mail(at, Route::new(&self.copier, &self.relay, 25), &Mailing::new("scan", session, vec![&message]))
    }

    /// Monitoring looks whether a mail server greets, over IPv4 and, today, over IPv6.
    pub fn probe(&self, stage: &mut Stage, at: Nanos, server: &Host) -> Nanos {
        let session = Session::new(Client::new(&self.monitor.name), self.greeting(server), vec![]);
        let mailing = Mailing::new("probe", session, vec![]);
        let end = stage.mail(at, Route::new(&self.monitor, server, 25), &mailing);
        if self.age == Age::Year2003 {
            return end;
        }
        stage.mail(end + SECOND, Route::v6(&self.monitor, server, 25), &mailing)
    }

    /// The administrator tries one exchanger by hand, line by line: slow, in small letters, one short message.
    pub fn manual_test(&self, stage: &mut Stage, internet: &mut Internet, at: Nanos, domain: &str) -> Nanos {
        let (known, answer) =
            stage.lookup(at, &self.admin, &self.resolver, Ask { edns: Some(1232), ..Ask::new(domain, dns::MX) });
        let Some((_, exchanger)) = answer.exchangers().into_iter().next() else { return known };
        let typed = known + 20 * SECOND;
        let (known, answer) = stage.lookup(typed, &self.admin, &self.resolver, Ask::new(&exchanger, dns::A));
        let Some(ip) = answer.addresses().first().copied() else { return known };
        let server = stage.host_at(ip);
        let (from, to) = (format!("admin@{DOMAIN}"), format!("postmaster@{domain}"));
        let bytes = b"subject: test\r\n\r\ntest, please ignore\r\n".to_vec();
        let message = Message { bytes: bytes.clone(), subject: "test".into(), attachments: vec![] };
        let client = Client {
            extended: false,
            lower_case: true,
            pause: Some(7 * SECOND),
            ..Client::new("admin.northfield.example")
        };
        let (opening, session) = internet.receive(ip, client, vec![Transaction::new(&from, &[&to], bytes)]);
        let mailing = Mailing { opening, ..Mailing::new("test", session, vec![&message]) };
        stage.mail(known + MILLI, Route::new(&self.admin, &server, 25), &mailing)
    }

    /// The administrator looks up a domain's exchangers.
    pub fn dig(&self, stage: &mut Stage, at: Nanos, domain: &str) -> Nanos {
        stage.lookup(at, &self.admin, &self.resolver, Ask { edns: Some(1232), ..Ask::new(domain, dns::MX) }).0
    }

    /// How the relay speaks as a client.
    pub fn relay_client(&self) -> Client {
        Client { pipelining: true, ..Client::new(&self.relay.name) }
    }

    /// How the newsletter host speaks as a client.
    pub fn newsletter_client(&self, chunked: bool) -> Client {
        let chunk = chunked.then_some(8_192);
        Client { pipelining: true, chunk, leave: Leave::Politely, ..Client::new(&self.newsletter.name) }
    }

    /// An issue of the newsletter for one reader.
    pub fn issue(&self, rng: &mut Rng, at: Nanos, to: &str) -> Letter {
        let from = format!("news@news.{DOMAIN}");
        let text = format!(
            "News of the month.\n\n{}\n\n-- \nTo leave: https://news.{DOMAIN}/leave/{}",
            prose(rng, 24),
            rng.text(LETTERS, 12)
        );
        let builder = dated(at, rng, &from, to, "Northfield news", &text)
            .header("List-Unsubscribe", &format!("<https://news.{DOMAIN}/leave>"))
            .header("Precedence", "bulk");
        let sender = format!("bounces+{}@news.{DOMAIN}", to.replace('@', "="));
        Letter { from: sender, to: vec![to.into()], message: builder.build() }
    }
}

impl Letter {
    /// A personal letter, now and then with an attachment.
    pub fn personal(rng: &mut Rng, at: Nanos, from: &str, to: &[String]) -> Self {
        let subject = *rng.pick(SUBJECTS);
        let sentences = 3 + rng.below(12) as usize;
        let mut text = prose(rng, sentences);
        // A line that begins with a dot, for the stuffing.
        text.push_str("\n.plan: see above\n");
        let mut builder = dated(at, rng, from, &to.join(", "), subject, &text);
        if let Some(attachment) = attachment(rng) {
            builder = builder.attach(attachment);
        }
        Self { from: from.into(), to: to.to_vec(), message: builder.build() }
    }

    /// Photos in an archive, sent by a person: near to a worm's mail in all but what counts.
    pub fn photos(rng: &mut Rng, at: Nanos, from: &str, to: &str) -> Self {
        let mut photo = |length| [&[0xff, 0xd8, 0xff, 0xe0][..], &rng.bytes(length)].concat();
        let (one, two) = (photo(9_000), photo(7_000));
        let archive = Attachment::zip("photos.zip", "application/zip", &[("party1.jpg", &one), ("party2.jpg", &two)]);
        let message =
            dated(at, rng, from, to, "Re: photos of the summer party", "Here they are.").attach(archive).build();
        Self { from: from.into(), to: vec![to.into()], message }
    }

    /// The transaction that carries it, accepted.
    pub fn transaction(&self) -> Transaction {
        let to: Vec<&str> = self.to.iter().map(String::as_str).collect();
        Transaction::new(&self.from, &to, self.message.bytes.clone())
    }

    /// The same letter after it passed through `relay` (RFC 5321, section 4.4).
    pub fn relayed(&self, at: Nanos, relay: &Host) -> Self {
        let mut trace = format!("Received: by {} (Postfix)\r\n", relay.name);
        let _ = write!(trace, "\tid 3F2A1; {}\r\n", rfc5322(at));
        let mut relayed = self.clone();
        relayed.message.bytes = [trace.as_bytes(), &self.message.bytes].concat();
        relayed
    }
}

/// A 550 for a recipient nobody knows.
pub fn unknown_user() -> Reply {
    Reply::new(550, "5.1.1 User unknown in local recipient table")
}

/// Somebody at one of `domains`.
pub fn somebody(rng: &mut Rng, domains: &[String]) -> String {
    let domain = rng.pick(domains).clone();
    person(rng, &domain)
}

fn dated(at: Nanos, rng: &mut Rng, from: &str, to: &str, subject: &str, text: &str) -> Builder {
    let domain = from.rsplit_once('@').map_or(DOMAIN, |(_, domain)| domain);
    let boundary = format!("=_{}", rng.text(LETTERS, 20));
    Builder::new(text)
        .header("Date", &rfc5322(at))
        .header("From", from)
        .header("To", to)
        .header("Subject", subject)
        .header("Message-ID", &format!("<{}@{domain}>", rng.text(LETTERS, 16)))
        .boundary(&boundary)
}

fn attachment(rng: &mut Rng) -> Option<Attachment> {
    match rng.below(8) {
        0 => {
            let pdf = [&b"%PDF-1.4\n"[..], &rng.bytes(6_000)].concat();
            Some(Attachment::new("minutes.pdf", "application/pdf", pdf))
        }
        1 => {
            let table = prose(rng, 30).into_bytes();
            Some(Attachment::zip("figures.zip", "application/zip", &[("figures.csv", &table)]))
        }
        _ => None,
    }
}

fn prose(rng: &mut Rng, sentences: usize) -> String {
    let mut text = String::new();
    for number in 0..sentences {
        let word = |rng: &mut Rng| *rng.pick(WORDS);
        let _ = write!(text, "The {} of the {} is {} this {}.", word(rng), word(rng), word(rng), word(rng));
        text.push(if number % 2 == 1 { '\n' } else { ' ' });
    }
    text
}

#[rustfmt::skip]
const WORDS: &[&str] = &[
    "report", "meeting", "garden", "budget", "harbour", "window", "quarter", "library", "ready", "late",
    "week", "bridge", "paper", "kitchen", "figure", "summer", "project", "plan", "quiet", "review",
];

const SUBJECTS: &[&str] =
    &["Minutes", "Re: budget", "Lunch on Thursday?", "Draft for review", "Re: Re: plan", "Invoice 4711"];
