//! The world a scenario plays in: the office, the outside, and 120 domains whose exchangers each stand in a network of
//! their own. Addresses are those set aside for benchmarks (RFC 2544) and documentation (RFC 3849).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::host::{Host, LINUX, LINUX_2_4, Stack, WINDOWS_10, WINDOWS_XP};
use crate::internet::{Age, Internet};
use crate::office::{DOMAIN, Office};
use crate::smtp::Server;
use crate::stage::Stage;

use super::plan::{Era, HostPlan, Plan};

/// Everyone and everything.
#[derive(Debug)]
pub struct World {
    pub internet: Internet,
    pub office: Office,
    pub domains: Vec<String>,
    /// Resolvers outside that nobody at home runs.
    pub resolvers: Vec<Host>,
    /// Where people with mail elsewhere submit.
    pub provider: Host,
    /// Servers that send mail here.
    pub senders: Vec<Host>,
    hosts: BTreeMap<String, Host>,
    groups: BTreeMap<String, Vec<String>>,
}

impl World {
    pub fn new(stage: &mut Stage, plan: &Plan) -> Self {
        let age = if plan.age == Era::Today { Age::Today } else { Age::Year2003 };
        let (server, desk): (&Stack, &Stack) =
            if age == Age::Today { (&LINUX, &WINDOWS_10) } else { (&LINUX_2_4, &WINDOWS_XP) };
        let mut internet = Internet::new(stage, age);
        let office = Office::new(stage, &mut internet, plan.desks);
        let outside = |name: &str, v4: [u8; 4], role| Host::outside(name, Ipv4Addr::from(v4), role, server);
        let resolvers = (1..=4)
            .map(|n| stage.add(outside(&format!("resolver{n}.example.org"), [192, 0, 2, 200 + n], "resolver")))
            .collect();
        let provider = stage.add(outside("smtp.example.net", [192, 0, 2, 58], "submission server"));
        let senders = (1..=20)
            .map(|n| stage.add(outside(&format!("out{n}.example.com"), [198, 19, 200 + n, 25], "mail server")))
            .collect();
        let domains = (0..DOMAINS).map(|n| domain(stage, &mut internet, n, server)).collect();
        let mut world = Self {
            internet,
            office,
            domains,
            resolvers,
            provider,
            senders,
            hosts: BTreeMap::new(),
            groups: BTreeMap::new(),
        };
        world.name_office();
        for (subnet, host) in (2..).zip(&plan.host) {
            world.add(stage, host, subnet, if host.server { server } else { desk });
        }
        world
    }

    /// The hosts a name stands for: one, or with `*` at its end a group. Panics on a name nobody has, which is an
    /// error in the scenario.
    pub fn named(&self, name: &str) -> Vec<(String, Host)> {
        let names = match name.strip_suffix('*') {
            Some("pc") => self.hosts.keys().filter(|host| host.starts_with("pc")).cloned().collect(),
            Some(group) => self.groups.get(group).unwrap_or_else(|| panic!("no group is called {name}")).clone(),
            None => vec![name.to_owned()],
        };
        let found = |name: String| {
            let host = self.hosts.get(&name).unwrap_or_else(|| panic!("no host is called {name}")).clone();
            (name, host)
        };
        names.into_iter().map(found).collect()
    }

    /// All home hosts by name, with their addresses.
    pub fn addresses(&self) -> BTreeMap<String, Vec<IpAddr>> {
        let addresses = |host: &Host| host.v4.map(IpAddr::V4).into_iter().chain(host.v6.map(IpAddr::V6)).collect();
        self.hosts.iter().map(|(name, host)| (name.clone(), addresses(host))).collect()
    }

    fn name_office(&mut self) {
        let office = &self.office;
        let fixed =
            [&office.resolver, &office.relay, &office.newsletter, &office.monitor, &office.admin, &office.copier];
        let short = |host: &Host| host.name.split('.').next().unwrap_or_default().to_owned();
        self.hosts.extend(fixed.into_iter().chain(&office.users).map(|host| (short(host), host.clone())));
    }

    fn add(&mut self, stage: &mut Stage, plan: &HostPlan, subnet: u8, stack: &'static Stack) {
        for n in 1..=plan.count {
            let name = if plan.count == 1 { plan.name.clone() } else { format!("{}{n}", plan.name) };
            let (high, low) = ((n / 250) as u8, (n % 250) as u8);
            let v4 = Ipv4Addr::new(10, 20, 4 * subnet + high, low);
            let v6 = Ipv6Addr::new(0xfd00, 0x20, 0, 0, 0, 0, u16::from(subnet), n);
            let role = if plan.server { "server" } else { "user" };
            let mut host = Host::home(&format!("{name}.{DOMAIN}"), v4, role, stack).with_v6(v6);
            if plan.v6_only {
                host.v4 = None;
            }
            let host = stage.add(host);
            self.groups.entry(plan.name.clone()).or_default().push(name.clone());
            self.hosts.insert(name, host);
        }
    }
}

/// A domain of the world: one or two exchangers, some of the names worms guess, a web server.
fn domain(stage: &mut Stage, internet: &mut Internet, n: u8, stack: &'static Stack) -> String {
    let domain = format!("firm{n}.{}", ZONES[usize::from(n) % ZONES.len()]);
    let exchanger = |preference: u16, v4: [u8; 4]| {
        let name = format!("mx{}.{domain}", preference / 10);
        let host = Host::outside(&name, Ipv4Addr::from(v4), "exchanger", stack);
        // Every other one has IPv6.
        let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0x5000 + u16::from(n), 0, 0, 0, preference, 0x25);
        if n.is_multiple_of(2) { host.with_v6(v6) } else { host }
    };
    let best = stage.add(exchanger(10, [198, 18, n, 25]));
    let mut hosts = vec![best.clone()];
    if n.is_multiple_of(3) {
        hosts.push(stage.add(exchanger(20, [198, 19, n, 25])));
    }
    for (preference, host) in (1..).zip(&hosts) {
        stage.zones.exchanger(&domain, preference * 10, &host.name);
        internet.register(host, &Server::new(&host.name));
    }
    let web = stage.add(Host::outside(&format!("www.{domain}"), [198, 19, n, 80].into(), "web server", stack));
    stage.zones.address(&domain, if n.is_multiple_of(4) { best.ip() } else { web.ip() });
    for (label, every) in GUESSES {
        if n.is_multiple_of(every) {
            stage.zones.address(&format!("{label}.{domain}"), best.ip());
        }
    }
    domain
}

const DOMAINS: u8 = 120;

const ZONES: [&str; 5] = ["example", "test", "example.net", "example.org", "example.com"];

/// Names worms guess, and of how many domains one has it.
const GUESSES: [(&str, u8); 7] =
    [("mail", 2), ("smtp", 3), ("mx", 4), ("relay", 11), ("ns", 5), ("gate", 13), ("mail1", 9)];
