//! What a host is for: a mail server is told apart before anyone is judged.
//!
//! A role has to be earned, for a worm would buy it otherwise: it can open port 25 and have one accomplice connect. So
//! a host is a mail server when it is declared, when it has greeted several clients, or when it has greeted at least
//! two and taken mail for a while ([`settings::Roles`]). A host that has greeted fewer may be one, newly set up or
//! seldom used: what looks bad is then said more mildly ([`Role::temper`]), and what it sends may be another's until
//! it has sent more than it was given. A host judged infected earns nothing by what it greets afterwards.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::model::alert::Severity;
use crate::model::limits;
use crate::model::settings;
use crate::model::time::Timestamp;

use super::pace::apart;

/// A home host's role, with what it rests on. Each kind of evidence stands by itself, so that one can be asked for
/// more than another.
#[derive(Clone, Debug, Default)]
pub struct Role {
    declared: Option<IpNet>,
    serves: Option<Box<Serves>>,
    answers_names: bool,
    /// Judged infected: nothing more is learnt.
    frozen: bool,
}

/// A host seen to greet clients on a mail port.
#[derive(Clone, Debug)]
struct Serves {
    port: u16,
    since: Timestamp,
    last: Timestamp,
    /// At most [`limits::ROLE_CLIENTS`].
    clients: Vec<IpAddr>,
    /// Messages it accepted, as far as was seen.
    accepted: u64,
    /// Transactions and encrypted sessions brought to it.
    taken: u64,
    established: bool,
}

impl Role {
    /// The role of a host of which only its address is known: a mail server when one of `declared` contains it.
    pub fn of(host: IpAddr, declared: &[IpNet]) -> Self {
        Self { declared: declared.iter().find(|net| net.contains(&host)).copied(), ..Self::default() }
    }

    /// The declarations changed: the host is what they say now, and what it was seen to do stays known.
    pub fn declare(&mut self, host: IpAddr, declared: &[IpNet]) {
        self.declared = declared.iter().find(|net| net.contains(&host)).copied();
    }

    /// The host greeted `client` with 220 (RFC 5321, section 3.1) on one of its mail ports. Ports of submission count
    /// as port 25 does: a host that takes mail from others passes it on.
    pub fn greets(&mut self, client: IpAddr, port: u16, now: Timestamp, needs: &settings::Roles) {
        if self.frozen {
            return;
        }
        let new = || {
            let clients = Vec::new();
            Box::new(Serves { port, since: now, last: now, clients, accepted: 0, taken: 0, established: false })
        };
        let serves = self.serves.get_or_insert_with(new);
        if serves.clients.len() < limits::ROLE_CLIENTS && !serves.clients.contains(&client) {
            serves.clients.push(client);
        }
        serves.last = serves.last.max(now);
        serves.weigh(needs);
    }

    /// A transaction with the host, or an encrypted session, of another that it greeted came to its end.
    pub fn takes(&mut self, accepted: bool, now: Timestamp, needs: &settings::Roles) {
        let Some(serves) = self.serves.as_mut().filter(|_| !self.frozen) else { return };
        serves.taken = serves.taken.saturating_add(1);
        serves.accepted = serves.accepted.saturating_add(u64::from(accepted));
        serves.last = serves.last.max(now);
        serves.weigh(needs);
    }

    /// The host answered another's DNS question.
    pub fn answers_names(&mut self) {
        self.answers_names = true;
    }

    /// The host is judged infected, or no more: whether what it greets counts.
    pub fn freeze(&mut self, infected: bool) {
        self.frozen = infected;
    }

    /// Whether it may send mail straight to the world, and what it sends may be another's.
    pub fn is_mail_server(&self) -> bool {
        self.declared.is_some() || self.serves.as_ref().is_some_and(|serves| serves.established)
    }

    /// Whether it greeted someone, and too few to be sure.
    pub fn may_be_mail_server(&self) -> bool {
        !self.is_mail_server() && self.serves.is_some()
    }

    /// Transactions and encrypted sessions that others brought to it.
    pub fn taken(&self) -> u64 {
        self.serves.as_ref().map_or(0, |serves| serves.taken)
    }

    /// Whether names it asks for may be asked on another's behalf.
    pub fn is_resolver(&self) -> bool {
        self.answers_names
    }

    /// What a behaviour that every mail server shows comes to with this host, and on which ground it stands. Where the
    /// host may be a mail server, at most medium; and low where it has greeted two clients, has served for
    /// [`limits::ROLE_AT_EASE`], was brought about as much as it delivered, or began to deliver within
    /// [`limits::ROLE_GRACE`], so that more clients may yet come. Doubtful behaviours are one ground together, however many.
    pub fn temper(
        &self,
        severity: Severity,
        ground: &'static str,
        delivered: u64,
        delivering: Duration,
    ) -> (Severity, &'static str) {
        let Some(serves) = self.serves.as_ref().filter(|_| self.may_be_mail_server()) else {
            return (severity, ground);
        };
        let at_ease = serves.clients.len() > 1
            || apart(serves.since, serves.last) >= limits::ROLE_AT_EASE
            || delivering < limits::ROLE_GRACE
            || (serves.taken > 0 && delivered <= serves.taken.saturating_mul(2).saturating_add(limits::ROLE_SLACK));
        (severity.max(if at_ease { Severity::Low } else { Severity::Medium }), DOUBTFUL)
    }

    /// How it is known to be a mail server, or why it may be one; none for an ordinary host.
    pub fn why(&self) -> Option<String> {
        if let Some(net) = self.declared {
            return Some(format!("mail server: declared ({net})"));
        }
        let serves = self.serves.as_ref()?;
        let count = serves.clients.len();
        let more = if count == limits::ROLE_CLIENTS { " or more" } else { "" };
        let plural = if count == 1 { "" } else { "s" };
        let (port, since) = (serves.port, serves.since);
        let greeted = format!("greeted {count}{more} client{plural} on port {port} since {since}");
        Some(match (serves.established, serves.accepted) {
            (false, _) => format!("may be a mail server: {greeted}"),
            (true, 0) => format!("mail server: {greeted}"),
            (true, accepted) => format!("mail server: {greeted}, took {accepted} messages"),
        })
    }
}

impl Serves {
    /// What made a host a mail server keeps it one.
    fn weigh(&mut self, needs: &settings::Roles) {
        let (clients, served) = (self.clients.len() as u64, apart(self.since, self.last));
        let by_clients = clients >= u64::from(needs.clients.max(1)).min(limits::ROLE_CLIENTS as u64);
        let by_mail = clients > 1
            && self.accepted >= needs.messages.max(1)
            && served >= Duration::from_secs(needs.served_seconds);
        self.established |= by_clients || by_mail;
    }
}

/// Stands for all detectors that spoke of a host which may be a mail server.
pub const DOUBTFUL: &str = "may be a mail server";

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_067_601_600;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_parts(START + second, 0)
    }

    fn client(last: u8) -> IpAddr {
        IpAddr::from([198, 51, 100, last])
    }

    #[test]
    fn says_how_it_knows() {
        let host: IpAddr = "10.0.0.25".parse().unwrap();
        let declared = Role::of(host, &["10.0.0.24/29".parse().unwrap()]);
        assert_eq!(declared.why().unwrap(), "mail server: declared (10.0.0.24/29)");

        let needs = settings::Roles::default();
        let mut seen = Role::of(host, &["10.0.1.0/24".parse().unwrap()]);
        assert!(!seen.is_mail_server() && seen.why().is_none());
        for number in 1..=40_u8 {
            seen.greets(client(number), 25, at(number.into()), &needs);
            seen.greets(client(1), 25, at(100), &needs);
            assert_eq!(seen.is_mail_server(), number >= 3);
            assert_eq!(seen.may_be_mail_server(), number < 3);
            if number == 2 {
                let why = "may be a mail server: greeted 2 clients on port 25 since 2003-10-31T12:00:01.000000+0000";
                assert_eq!(seen.why().unwrap(), why);
            }
        }
        assert!(seen.why().unwrap().starts_with("mail server: greeted 16 or more clients"));
    }

    #[test]
    fn two_clients_and_mail_over_time_are_enough_and_one_client_never_is() {
        let needs = settings::Roles::default();
        let mut role = Role::default();
        for second in 0..100 {
            role.greets(client(1), 25, at(second * 600), &needs);
            role.takes(true, at(second * 600 + 1), &needs);
        }
        assert!(!role.is_mail_server(), "a single accomplice");
        role.greets(client(2), 25, at(60_000), &needs);
        assert!(role.is_mail_server());

        let mut brief = Role::default();
        brief.greets(client(1), 25, at(0), &needs);
        brief.greets(client(2), 25, at(1), &needs);
        for second in 2..100 {
            brief.takes(true, at(second), &needs);
        }
        assert!(!brief.is_mail_server(), "two accomplices and a minute");
    }

    #[test]
    fn an_infected_host_earns_nothing() {
        let needs = settings::Roles::default();
        let mut role = Role::default();
        role.freeze(true);
        (1..=9).for_each(|number| role.greets(client(number), 25, at(0), &needs));
        assert!(!role.is_mail_server() && !role.may_be_mail_server());
        role.freeze(false);
        (1..=9).for_each(|number| role.greets(client(number), 25, at(0), &needs));
        assert!(role.is_mail_server(), "cleaned, and a server after all");
    }

    #[test]
    fn doubt_makes_milder() {
        use Severity::{High, Low, Medium};
        let needs = settings::Roles::default();
        let mut role = Role::default();
        let (grace, short) = (limits::ROLE_GRACE, limits::ROLE_GRACE - Duration::from_secs(1));
        assert_eq!(role.temper(High, "x", 100, short), (High, "x"));
        role.greets(client(1), 25, at(0), &needs);
        assert_eq!(role.temper(High, "x", 100, short), (Low, DOUBTFUL), "more may come");
        assert_eq!(role.temper(High, "x", 100, grace), (Medium, DOUBTFUL));
        assert_eq!(role.temper(Low, "y", 100, grace), (Low, DOUBTFUL));
        role.takes(true, at(500), &needs);
        let passed_on = [5, 6].map(|delivered| role.temper(High, "x", delivered, grace).0);
        assert_eq!(passed_on, [Low, Medium]);
        role.greets(client(1), 25, at(3_600), &needs);
        assert_eq!(role.temper(High, "x", 100, grace), (Low, DOUBTFUL), "served for an hour");
    }
}
