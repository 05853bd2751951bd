//! 10 March 2026, eight to five: everything a network may do with mail without being ill.

use crate::clock::{HOUR, MILLI, MINUTE, Nanos, SECOND, utc};
use crate::dns;
use crate::host::{Host, LINUX};
use crate::internet::{Age, Internet, person};
use crate::office::{DOMAIN, Letter, Office, somebody, unknown_user};
use crate::prng::Rng;
use crate::smtp::{Client, Security, Session};
use crate::stage::{Ask, Mailing, Route, Sample, Stage};
use crate::tls::Era;

/// Readers of the newsletter.
const READERS: usize = 320;

pub fn make(name: &str, seed: u64) -> Sample {
    let start = utc(2026, 3, 10, 8, 0, 0);
    let mut stage = Stage::new(name, seed);
    let mut internet = Internet::new(&mut stage, Age::Today);
    let office = Office::new(&mut stage, &mut internet, 12);
    let v6 = "2001:db8:77::25".parse().expect("an address");
    let friend = Host::outside("out.example.com", [192, 0, 2, 25].into(), "mail server", &LINUX).with_v6(v6);
    let friend = stage.add(friend);
    let list = stage.add(Host::outside("lists.example.org", [192, 0, 2, 26].into(), "mail server", &LINUX));
    let provider = stage.add(Host::outside("smtp.example.net", [192, 0, 2, 58].into(), "submission server", &LINUX));
    let mut day =
        Day { rng: Rng::named(seed, "day"), stage: &mut stage, internet: &mut internet, office: &office, start };

    day.monitoring();
    day.web();
    day.inbound(&friend, &list);
    day.outbound();
    day.provider(&provider);
    day.administrator();
    day.newsletter(&list);
    stage.finish()
}

struct Day<'a> {
    rng: Rng,
    stage: &'a mut Stage,
    internet: &'a mut Internet,
    office: &'a Office,
    start: Nanos,
}

impl Day<'_> {
    /// A random moment of the working day.
    fn spot(&mut self) -> Nanos {
        self.start + self.rng.between(2 * MINUTE, 9 * HOUR - 10 * MINUTE)
    }

    fn monitoring(&mut self) {
        for round in 0..27 {
            let at = self.start + round * 20 * MINUTE + 5 * SECOND;
            self.office.probe(self.stage, at, &self.office.relay);
            self.office.probe(self.stage, at + SECOND, &self.office.newsletter);
        }
    }

    fn web(&mut self) {
        let sites = self.internet.sites.clone();
        for user in &self.office.users {
            for _ in 0..5 {
                let (at, bytes, clear) = (self.spot(), 4_000 + self.rng.below(22_000) as usize, self.rng.chance(300));
                self.office.browse(self.stage, at, user, &sites[self.rng.below(4) as usize], bytes, clear);
            }
            for _ in 0..3 {
                let (at, bytes) = (self.spot(), 1_000 + self.rng.below(5_000) as usize);
                self.office.fetch(self.stage, at, user, bytes);
            }
        }
        // One large download, so that mail is a small share of the link.
        let at = self.start + 3 * HOUR;
        self.office.browse(self.stage, at, &self.office.users[3], &sites[2], 1_200_000, true);
    }

    /// From outside to the relay, over both families; some for people who left; some with photos.
    fn inbound(&mut self, friend: &Host, list: &Host) {
        for number in 0..24 {
            let at = self.spot();
            let to = self.office.user_address(&self.office.users[number % 12]);
            let sender = if number % 3 == 0 { list } else { friend };
            let from = person(&mut self.rng, "example.com");
            let letter = match number {
                5 | 14 => Letter::photos(&mut self.rng, at, &from, &to),
                _ => Letter::personal(&mut self.rng, at, &from, &[to]),
            };
            if number % 8 == 7 {
                let client = Client::pipelining(&sender.name);
                let transaction = letter.transaction().refused(&unknown_user());
                let session = Session::new(client, self.office.greeting(&self.office.relay), vec![transaction]);
                let mailing = Mailing::new("letter", session, vec![&letter.message]);
                self.stage.mail(at, Route::new(sender, &self.office.relay, 25), &mailing);
            } else {
                self.office.receive(self.stage, at, sender, &letter);
            }
        }
        for number in 0..3 {
            let at = self.spot();
            self.office.scan(self.stage, at, &self.office.users[number]);
        }
    }

    /// Users hand letters in, within TLS; the relay sends them on, with its own MX questions.
    fn outbound(&mut self) {
        let domains = self.internet.domains.clone();
        for number in 0..36 {
            let at = self.spot();
            let user = &self.office.users[number % 12];
            let mut to = vec![somebody(&mut self.rng, &domains)];
            if number % 5 == 0 {
                let domain = to[0].split('@').nth(1).unwrap_or_default().to_owned();
                to.push(person(&mut self.rng, &domain));
            }
            let letter = Letter::personal(&mut self.rng, at, &self.office.user_address(user), &to);
            let security =
                if number % 4 == 3 { Security::Implicit(Era::Tls13) } else { Security::StartTls(Era::Tls13) };
            let handed = self.office.submit(self.stage, at, user, &letter, security);
            let relayed = [letter.relayed(handed, &self.office.relay)];
            let from = (&self.office.relay, self.office.relay_client());
            self.office.deliver(self.stage, self.internet, handed + 300 * MILLI, from, &relayed, "letter");
        }
        // An answer too long for UDP is asked again over TCP: no sign of a worm.
        let at = self.start + 5 * HOUR;
        let ask = Ask { cut: true, ..Ask::new(&domains[1], dns::MX) };
        let (cut, _) = self.stage.lookup(at, &self.office.relay, &self.office.resolver, ask);
        let again = Ask { tcp: true, cut: false, ..ask };
        self.stage.lookup(cut + MILLI, &self.office.relay, &self.office.resolver, again);
    }

    /// A user whose mail is with a provider outside submits there, all day.
    fn provider(&mut self, provider: &Host) {
        for number in 0..8 {
            let at = self.spot();
            let user = &self.office.users[10];
            let known = self.stage.lookup(at, user, &self.office.resolver, Ask::new(&provider.name, dns::A)).0;
            let to = somebody(&mut self.rng, &self.internet.domains);
            let letter = Letter::personal(&mut self.rng, at, "me@example.net", &[to]);
            let (security, port) = if number % 2 == 0 {
                (Security::StartTls(Era::Tls13), 587)
            } else {
                (Security::Implicit(Era::Tls13), 465)
            };
            let session = Session::new(
                Client::new("[10.20.1.30]"),
                crate::smtp::Server::new(&provider.name),
                vec![letter.transaction()],
            );
            let session = Session { security, ..session };
            let mailing = Mailing::new("submission", session, vec![&letter.message]);
            self.stage.mail(known + MILLI, Route::new(user, provider, port), &mailing);
        }
    }

    /// Two lookups, and one test by hand with a third.
    fn administrator(&mut self) {
        let domains = self.internet.friendly();
        self.office.dig(self.stage, self.start + 95 * MINUTE, &domains[2]);
        self.office.dig(self.stage, self.start + 97 * MINUTE, DOMAIN);
        self.office.manual_test(self.stage, self.internet, self.start + 100 * MINUTE, &domains[2]);
    }

    /// Hundreds of messages in a quarter of an hour from a host that also takes mail: grouped by domain, several to
    /// a session, now and then in chunks. Bounces come back to it.
    fn newsletter(&mut self, list: &Host) {
        let begin = self.start + 2 * HOUR;
        let mut readers: Vec<String> = (0..READERS).map(|_| somebody(&mut self.rng, &self.internet.domains)).collect();
        readers.sort_by(|a, b| a.split('@').nth(1).cmp(&b.split('@').nth(1)));
        self.office.bounce(self.stage, begin - 40 * MINUTE, list, "former.reader@alder.example");
        let domain = |address: &String| address.split('@').nth(1).map(str::to_owned);
        let mut at = begin;
        for group in readers.chunk_by(|a, b| domain(a) == domain(b)) {
            for (batch, readers) in group.chunks(5).enumerate() {
                let issues: Vec<Letter> = readers.iter().map(|to| self.office.issue(&mut self.rng, at, to)).collect();
                let client = self.office.newsletter_client(batch % 2 == 1);
                let from = (&self.office.newsletter, client);
                self.office.deliver(self.stage, self.internet, at, from, &issues, "newsletter");
                at += self.rng.between(4 * SECOND, 14 * SECOND);
            }
        }
        for minute in [3, 8, 21] {
            let failed = somebody(&mut self.rng, &self.internet.domains);
            self.office.bounce(self.stage, begin + minute * MINUTE, list, &failed);
        }
    }
}
