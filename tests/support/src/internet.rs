//! The world outside: domains with their exchangers and tempers, web sites, and a resolver.
//! All addresses are those set aside for documentation (RFC 5737, RFC 3849), as are most names (RFC 2606).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::host::{Host, LINUX, LINUX_2_4, Stack, WINDOWS_XP};
use crate::prng::Rng;
use crate::smtp::{Client, Reply, Server, Session, Transaction};
use crate::stage::Stage;
use crate::tcp::Opening;

/// When a scenario plays: it decides stacks, banners and who has IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    Year2003,
    Today,
}

/// How a domain's exchangers treat those who come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temper {
    Takes,
    /// Every third recipient is unknown.
    KnowsFew,
    /// Takes the message and refuses it at its end.
    Filters,
    /// Asks everyone to come again later.
    Greylists,
    /// Port 25 is closed.
    Refuses,
    /// Nothing answers.
    Silent,
}

/// Everyone outside.
#[derive(Debug)]
pub struct Internet {
    pub age: Age,
    pub resolver: Host,
    pub sites: Vec<Host>,
    pub domains: Vec<String>,
    /// Domains that do not exist.
    pub missing: Vec<String>,
    exchangers: BTreeMap<IpAddr, Exchanger>,
}

#[derive(Debug)]
struct Exchanger {
    temper: Temper,
    server: Server,
    asked: u32,
}

impl Internet {
    /// Brings all of it on stage.
    pub fn new(stage: &mut Stage, age: Age) -> Self {
        let stack = server_stack(age);
        let outside = |name: &str, v4: [u8; 4], role| Host::outside(name, Ipv4Addr::from(v4), role, stack);
        let resolver = stage.add(outside("resolver.example.net", [198, 51, 100, 53], "resolver"));
        let names = ["www.example.com", "news.example.org", "files.example.net", "www.google.com"];
        let sites = (80u8..).zip(names).map(|(n, name)| stage.add(outside(name, [192, 0, 2, n], "web site"))).collect();
        let missing = vec!["gorse.example".into(), "heather.test".into(), "bracken.example.org".into()];
        let mut internet = Self { age, resolver, sites, domains: vec![], missing, exchangers: BTreeMap::new() };
        for (index, tree) in (0u8..).zip(TREES) {
            let domain = format!("{tree}.{}", ZONES[usize::from(index) % ZONES.len()]);
            let temper = match index {
                3 | 13 | 23 | 33 => Temper::KnowsFew,
                5 | 25 => Temper::Filters,
                8 | 28 => Temper::Greylists,
                17 => Temper::Refuses,
                36 => Temper::Silent,
                _ => Temper::Takes,
            };
            internet.exchanger(stage, &domain, 10, [198, 51, 100, 60 + index], temper);
            if index % 3 != 0 {
                internet.exchanger(stage, &domain, 20, [203, 0, 113, 60 + index], temper);
            }
            internet.domains.push(domain);
        }
        internet
    }

    /// Gives `domain` one more exchanger.
    pub fn exchanger(&mut self, stage: &mut Stage, domain: &str, preference: u16, v4: [u8; 4], temper: Temper) -> Host {
        let name = format!("mx{}.{domain}", preference / 10);
        let mut host = Host::outside(&name, Ipv4Addr::from(v4), "exchanger", server_stack(self.age));
        if self.age == Age::Today && v4[3].is_multiple_of(4) {
            host = host.with_v6(Ipv6Addr::new(0x2001, 0xdb8, 0x25, 0, 0, 0, preference, u16::from(v4[3])));
        }
        stage.zones.exchanger(domain, preference, &name);
        let server = banner(self.age, &name, v4[3]);
        let addresses = host.v4.map(IpAddr::V4).into_iter().chain(host.v6.map(IpAddr::V6));
        self.exchangers.extend(addresses.map(|ip| (ip, Exchanger { temper, server: server.clone(), asked: 0 })));
        stage.add(host)
    }

    /// Registers a server that is no outside host, so that mail can be sent to it, too.
    pub fn register(&mut self, host: &Host, server: &Server) {
        let addresses = host.v4.map(IpAddr::V4).into_iter().chain(host.v6.map(IpAddr::V6));
        let entry = |ip| (ip, Exchanger { temper: Temper::Takes, server: server.clone(), asked: 0 });
        self.exchangers.extend(addresses.map(entry));
    }

    /// What happens when `client` comes to the exchanger at `ip` with these transactions.
    pub fn receive(&mut self, ip: IpAddr, client: Client, mut transactions: Vec<Transaction>) -> (Opening, Session) {
        let exchanger = self.exchangers.get_mut(&ip).unwrap_or_else(|| panic!("nobody takes mail at {ip}"));
        let opening = match exchanger.temper {
            Temper::Refuses => Opening::Refused,
            Temper::Silent => Opening::Unanswered,
            _ => Opening::Answered,
        };
        for transaction in &mut transactions {
            for (_, reply) in &mut transaction.recipients {
                exchanger.asked += 1;
                match exchanger.temper {
                    Temper::KnowsFew if exchanger.asked.is_multiple_of(3) => {
                        *reply = Reply::new(550, "5.1.1 User unknown")
                    }
                    Temper::Greylists => *reply = Reply::new(451, "4.7.1 Greylisted, please try again in 300 seconds"),
                    _ => {}
                }
            }
            if exchanger.temper == Temper::Filters {
                transaction.end_reply = Reply::new(554, "5.7.1 Message content rejected");
            }
        }
        (opening, Session::new(client, exchanger.server.clone(), transactions))
    }

    /// Whether the exchanger at `ip` takes what comes.
    pub fn takes(&self, ip: IpAddr) -> bool {
        self.exchangers.get(&ip).is_some_and(|exchanger| exchanger.temper == Temper::Takes)
    }

    /// Domains that take mail without trouble.
    pub fn friendly(&self) -> Vec<String> {
        let trouble = [3, 5, 8, 13, 17, 23, 25, 28, 33, 36];
        let keep = |(index, domain): (usize, &String)| (!trouble.contains(&index)).then(|| domain.clone());
        self.domains.iter().enumerate().filter_map(keep).collect()
    }
}

/// A person's address at `domain`.
pub fn person(rng: &mut Rng, domain: &str) -> String {
    format!("{}.{}@{domain}", rng.pick(FIRST), rng.pick(LAST))
}

fn server_stack(age: Age) -> &'static Stack {
    if age == Age::Today { &LINUX } else { &LINUX_2_4 }
}

/// The greetings of the usual servers of the time.
fn banner(age: Age, name: &str, n: u8) -> Server {
    if age == Age::Today {
        return Server::new(name);
    }
    match n % 4 {
        0 => Server::of(
            name,
            "ESMTP Sendmail 8.12.10/8.12.10; Fri, 31 Oct 2003",
            &["ENHANCEDSTATUSCODES", "8BITMIME", "SIZE"],
        ),
        1 => Server::of(name, "ESMTP Postfix", &["PIPELINING", "SIZE 10240000", "ETRN", "8BITMIME"]),
        2 => Server::of(name, "ESMTP", &["PIPELINING", "8BITMIME"]),
        _ => Server::of(name, "Microsoft ESMTP MAIL Service, Version: 5.0.2195.6713 ready", &["SIZE", "PIPELINING"]),
    }
}

/// A home computer somewhere in the world.
pub fn household(name: &str, v4: [u8; 4]) -> Host {
    Host::outside(name, Ipv4Addr::from(v4), "household", &WINDOWS_XP)
}

const ZONES: [&str; 5] = ["example", "test", "example.net", "example.org", "example.com"];

#[rustfmt::skip]
const TREES: [&str; 40] = [
    "alder", "ash", "aspen", "bay", "beech", "birch", "cedar", "cherry", "chestnut", "cypress",
    "elder", "elm", "fir", "hazel", "hawthorn", "hemlock", "hickory", "holly", "hornbeam", "juniper",
    "larch", "laurel", "lime", "linden", "maple", "mulberry", "oak", "olive", "osier", "pear",
    "pine", "plane", "plum", "poplar", "rowan", "spruce", "sycamore", "walnut", "willow", "yew",
];

#[rustfmt::skip]
const FIRST: &[&str] = &[
    "ada", "ben", "clara", "david", "edith", "felix", "greta", "hugo", "ines", "jonas", "karin", "leo",
    "mara", "nils", "olga", "paul", "rosa", "simon", "tilda", "viktor",
];

#[rustfmt::skip]
const LAST: &[&str] = &[
    "baker", "carter", "dyer", "fisher", "glover", "hooper", "joiner", "mason", "naylor", "porter",
    "sawyer", "slater", "tanner", "thatcher", "turner", "weaver", "wheeler", "wright",
];
