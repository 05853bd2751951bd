//! What a host is for: a mail server is told apart before anyone is judged.
//!
//! A role has to be earned, for a worm would buy it otherwise: it can open port 25 and have accomplices connect. What
//! counts is mail that was *delivered* to the host, by how many independent clients, over how long a time, and how
//! much of it there is beside what the host sends:
//!
//! - A host is a mail server when it is declared; or when clients in several networks outside, or several hosts at home,
//!   delivered mail to it over a while ([`settings::Roles`]). Clients of one network count once, and a connection that
//!   delivers nothing counts not at all.
//! - A learnt role covers what the host sends in proportion to what it was brought. Beyond that it holds only as long as
//!   those it writes to exist: a host that works through a list of addresses loses it ([`super::conduct`]).
//! - A host that was brought something, yet not enough, may be a mail server, newly set up or seldom used; so may one
//!   that nobody has written to yet and that speaks as servers do. What looks bad is then said more mildly
//!   ([`Role::temper`]), within the same proportion, or for its first contacts.
//! - What comes late counts less: of a host under suspicion twice as much is asked, and one judged infected earns nothing.
//! - No role hides a worm's own marks for longer than what the host was brought can explain.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::model::alert::{Severity, Verdict};
use crate::model::limits;
use crate::model::net::Flow;
use crate::model::report::RoleKind;
use crate::model::settings;
use crate::model::time::Timestamp;

use super::conduct::{Conduct, Manners};
use super::direct_to_mx::network;
use super::host::FlowRing;
use super::pace::apart;

/// A home host's role, with what it rests on. Each kind of evidence stands by itself, so that one can be asked for
/// more than another.
#[derive(Clone, Debug, Default)]
pub struct Role {
    declared: Option<IpNet>,
    serves: Option<Box<Serves>>,
    conduct: Option<Box<Conduct>>,
    answers_names: bool,
    /// What is thought of the host by now.
    verdict: Verdict,
    /// What all of it comes to: see [`Role::settle`].
    standing: Standing,
}

/// What a role comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    #[default]
    Ordinary,
    /// It may be a mail server; more cannot be said for it.
    Possible,
    /// The same, and what it does is what a small or new mail server does.
    Likely,
    Server,
}

/// A host seen to greet clients on a mail port.
#[derive(Clone, Debug)]
struct Serves {
    port: u16,
    since: Timestamp,
    /// Networks outside, and hosts at home, whose mail it took. At most [`limits::ROLE_CLIENTS`] each.
    outside: Vec<IpAddr>,
    inside: Vec<IpAddr>,
    /// First and last time it took mail.
    first: Option<Timestamp>,
    last: Timestamp,
    /// Messages it took, and encrypted sessions that were long enough for one.
    taken: u64,
    /// To how many recipients those were.
    recipients: u64,
    established: bool,
    /// Sessions that went to TLS and are not over.
    hidden: FlowRing,
}

/// Mail brought to a host.
#[derive(Clone, Copy, Debug)]
pub struct Delivery {
    pub client: IpAddr,
    /// The client is none of ours.
    pub from_outside: bool,
    /// 1 where they are not seen.
    pub recipients: u64,
    pub time: Timestamp,
}

impl Role {
    /// The role of a host of which only its address is known: a mail server when one of `declared` contains it.
    pub fn of(host: IpAddr, declared: &[IpNet]) -> Self {
        let mut role = Self::default();
        role.also_at(host, declared);
        role
    }

    /// The declarations changed: the host is what they say now, and what it was seen to do stays known.
    pub fn declare(&mut self, addresses: impl Iterator<Item = IpAddr>, declared: &[IpNet], needs: &settings::Roles) {
        self.declared = None;
        addresses.for_each(|address| self.also_at(address, declared));
        self.settle(needs);
    }

    /// The host has this address, too.
    pub fn also_at(&mut self, address: IpAddr, declared: &[IpNet]) {
        if self.declared.is_none() {
            self.declared = declared.iter().find(|net| net.contains(&address)).copied();
        }
        if self.declared.is_some() {
            self.standing = Standing::Server;
        }
    }

    /// The host greeted someone with 220 (RFC 5321, section 3.1) on one of its mail ports. Ports of submission count
    /// as port 25 does: a host that takes mail from others passes it on. A greeting alone earns nothing.
    pub fn greets(&mut self, port: u16, now: Timestamp) {
        if self.verdict == Verdict::Infected || self.serves.is_some() {
            return;
        }
        self.serves = Some(Box::new(Serves {
            port,
            since: now,
            outside: Vec::new(),
            inside: Vec::new(),
            first: None,
            last: now,
            taken: 0,
            recipients: 0,
            established: false,
            hidden: FlowRing::default(),
        }));
    }

    /// Mail was delivered to the host, which greeted the client.
    pub fn takes(&mut self, delivery: &Delivery) {
        let verdict = self.verdict;
        let Some(serves) = self.serves.as_mut().filter(|_| verdict != Verdict::Infected) else { return };
        let (known, client) = match delivery.from_outside {
            true => (&mut serves.outside, network(delivery.client)),
            false => (&mut serves.inside, delivery.client),
        };
        if known.len() < limits::ROLE_CLIENTS && !known.contains(&client) {
            known.push(client);
        }
        serves.taken = serves.taken.saturating_add(1);
        serves.recipients = serves.recipients.saturating_add(delivery.recipients.max(1));
        serves.first.get_or_insert(delivery.time);
        serves.last = serves.last.max(delivery.time);
    }

    /// A session with the host went to TLS; whether it delivers shows at its end.
    pub fn hides(&mut self, flow: &Flow) {
        if let Some(serves) = &mut self.serves {
            serves.hidden.enter(flow);
        }
    }

    /// Whether a flow that ended had gone to TLS.
    pub fn was_hidden(&mut self, flow: &Flow) -> bool {
        self.serves.as_mut().is_some_and(|serves| serves.hidden.leave(flow))
    }

    /// What it does as a client of servers outside.
    pub fn conduct_mut(&mut self) -> &mut Conduct {
        self.conduct.get_or_insert_default()
    }

    /// Whether it gives servers outside other names than its first, and not just once in a while.
    pub fn is_fickle(&self) -> bool {
        self.conduct.as_ref().is_some_and(|conduct| conduct.is_fickle())
    }

    /// How many names it gave to servers outside.
    pub fn names(&self) -> u32 {
        self.conduct.as_ref().map_or(0, |conduct| conduct.names())
    }

    /// Whether it did more on port 25 outside than look who answers.
    pub fn has_mailed(&self) -> bool {
        self.conduct.as_ref().is_some_and(|conduct| conduct.has_mailed())
    }

    /// Whether it left wherever it was let in ([`Conduct::leaves_when_welcome`]).
    pub fn leaves_when_welcome(&self) -> bool {
        self.conduct.as_ref().is_some_and(|conduct| conduct.leaves_when_welcome())
    }

    /// The host answered another's DNS question.
    pub fn answers_names(&mut self) {
        self.answers_names = true;
    }

    /// What is thought of the host from now on: what it is brought later counts less, or not at all.
    pub fn judged(&mut self, verdict: Verdict) {
        self.verdict = verdict;
    }

    /// Makes up its mind from what is known by now. To be called after anything was added.
    pub fn settle(&mut self, needs: &settings::Roles) {
        if let Some(serves) = self.serves.as_mut().filter(|_| self.verdict != Verdict::Infected) {
            serves.weigh(needs, self.verdict);
        }
        self.standing = match &self.serves {
            _ if self.declared.is_some() => Standing::Server,
            Some(serves) if serves.established && (!self.fails() || self.is_covered(serves, needs)) => Standing::Server,
            _ if self.fails() || self.verdict == Verdict::Infected => Standing::Ordinary,
            Some(serves) => self.by_mail(serves, needs).max(self.by_manners(needs)),
            None => self.by_manners(needs),
        };
    }

    /// Whether it may send mail straight to the world, and what it sends may be another's.
    pub fn is_mail_server(&self) -> bool {
        self.standing == Standing::Server
    }

    /// Whether that was said by the operator.
    pub fn is_declared(&self) -> bool {
        self.declared.is_some()
    }

    /// Whether something speaks for it, and too little to be sure.
    pub fn may_be_mail_server(&self) -> bool {
        matches!(self.standing, Standing::Possible | Standing::Likely)
    }

    /// Whether it was seen to greet clients, so that what it sends may be another's.
    pub fn has_greeted(&self) -> bool {
        self.serves.is_some()
    }

    /// Messages and encrypted sessions that others brought to it.
    pub fn taken(&self) -> u64 {
        self.serves.as_ref().map_or(0, |serves| serves.taken)
    }

    /// To how many recipients those were.
    pub fn taken_recipients(&self) -> u64 {
        self.serves.as_ref().map_or(0, |serves| serves.recipients)
    }

    /// Whether names it asks for may be asked on another's behalf.
    pub fn is_resolver(&self) -> bool {
        self.answers_names
    }

    /// How many times an ordinary host's ceilings it may reach: a declared server `most`; a learnt one twice for each
    /// client known to deliver to it, and `most` when they are too many to be kept.
    pub fn ceilings(&self, most: u64) -> u64 {
        match &self.serves {
            _ if self.declared.is_some() => most,
            Some(serves) if self.is_mail_server() => match serves.clients() {
                clients if clients >= limits::ROLE_CLIENTS as u64 => most,
                clients => most.min(2 * clients),
            },
            _ => 1,
        }
    }

    /// What a behaviour that every mail server shows comes to with this host, and on which ground it stands. Where the
    /// host may be a mail server it is at most medium, or low where what was seen is as of one. Doubtful behaviours are
    /// one ground together, however many.
    pub fn temper(&self, severity: Severity, ground: &'static str) -> (Severity, &'static str) {
        match self.standing {
            Standing::Ordinary | Standing::Server => (severity, ground),
            Standing::Possible => (severity.max(Severity::Medium), DOUBTFUL),
            Standing::Likely => (severity.max(Severity::Low), DOUBTFUL),
        }
    }

    /// Whether anything speaks for it: a declaration, a greeting, its manners.
    pub fn is_noteworthy(&self) -> bool {
        self.serves.is_some() || self.standing != Standing::Ordinary
    }

    /// The role in short.
    pub fn kind(&self) -> RoleKind {
        match self.standing {
            Standing::Server if self.declared.is_some() => RoleKind::Declared,
            Standing::Server => RoleKind::Learnt,
            Standing::Possible | Standing::Likely => RoleKind::Possible,
            Standing::Ordinary if self.answers_names => RoleKind::Resolver,
            Standing::Ordinary => RoleKind::Ordinary,
        }
    }

    /// How it is known to be a mail server, or why it may be one or is not; none for a host that nothing speaks for.
    pub fn why(&self) -> Option<String> {
        if let Some(net) = self.declared {
            return Some(format!("mail server: declared ({net})"));
        }
        let known = match &self.serves {
            Some(serves) if serves.taken > 0 => serves.text(),
            Some(serves) => format!("greets on port {} since {}, took no mail", serves.port, serves.since),
            None if self.may_be_mail_server() => "speaks as one, took no mail".into(),
            None => return None,
        };
        let lead = match self.standing {
            Standing::Server => "mail server",
            Standing::Possible | Standing::Likely => "may be a mail server",
            Standing::Ordinary if self.fails() => "no mail server, for too many it mails to do not exist",
            Standing::Ordinary => "not known as a mail server",
        };
        Some(format!("{lead}: {known}"))
    }

    /// Adds what was known of another address of the same host.
    pub fn join(&mut self, other: Self) {
        self.declared = self.declared.or(other.declared);
        self.answers_names |= other.answers_names;
        match (&mut self.conduct, other.conduct) {
            (Some(conduct), Some(other)) => conduct.join(*other),
            (conduct @ None, other) => *conduct = other,
            _ => {}
        }
        match (&mut self.serves, other.serves) {
            (Some(serves), Some(other)) => serves.join(*other),
            (serves @ None, other) => *serves = other,
            _ => {}
        }
    }

    fn fails(&self) -> bool {
        self.conduct.as_ref().is_some_and(|conduct| conduct.fails())
    }

    fn contacts(&self) -> u64 {
        self.conduct.as_ref().map_or(0, |conduct| conduct.contacts)
    }

    /// Whether what the host was brought explains as much as it sent.
    fn is_covered(&self, serves: &Serves, needs: &settings::Roles) -> bool {
        serves.taken > 0 && self.contacts() <= serves.allowance(needs)
    }

    /// What the mail that was brought to it says for it.
    fn by_mail(&self, serves: &Serves, needs: &settings::Roles) -> Standing {
        if self.is_covered(serves, needs) {
            return Standing::Likely;
        }
        let times = if self.verdict == Verdict::Clean { 1 } else { 2 };
        let several = serves.clients() >= u64::from(needs.clients.max(1)) * times;
        let conduct = self.conduct.as_deref();
        match (several, conduct.is_some_and(|conduct| conduct.is_fickle())) {
            (true, false) => Standing::Likely,
            (true, true) => Standing::Possible,
            (false, _) if serves.taken > 0 && !conduct.is_some_and(|conduct| conduct.is_ill()) => Standing::Possible,
            (false, _) => Standing::Ordinary,
        }
    }

    /// What its manners say for it, for as long as patience lasts.
    fn by_manners(&self, needs: &settings::Roles) -> Standing {
        let Some(conduct) = &self.conduct else { return Standing::Ordinary };
        let served = self.serves.as_ref().is_some_and(|serves| !serves.outside.is_empty());
        let times = if served { limits::ROLE_PATIENCE_SERVED } else { 1 };
        let fresh = conduct.new_contacts() <= u64::from(needs.patience).saturating_mul(times);
        match conduct.manners() {
            Manners::Good if fresh => Standing::Likely,
            Manners::Good => Standing::Possible,
            Manners::Hidden if fresh => Standing::Possible,
            _ => Standing::Ordinary,
        }
    }
}

impl Serves {
    /// What made a host a mail server keeps it one. Of a host under suspicion twice as much is asked, and at least an hour.
    fn weigh(&mut self, needs: &settings::Roles, verdict: Verdict) {
        let (times, least) = if verdict == Verdict::Clean { (1, Duration::ZERO) } else { (2, limits::ROLE_SUSPECT) };
        let clients = u64::from(needs.clients.max(1)) * times;
        let served = Duration::from_secs(needs.served_seconds.saturating_mul(times)).max(least);
        let long = self.first.is_some_and(|first| apart(first, self.last) >= served);
        self.established |= long && self.clients() >= clients.min(limits::ROLE_CLIENTS as u64);
    }

    /// Independent clients: networks outside, or hosts at home. The two are not added up, since neither vouches for the
    /// other.
    fn clients(&self) -> u64 {
        self.outside.len().max(self.inside.len()) as u64
    }

    /// How many contacts outside the mail that was brought to the host explains.
    fn allowance(&self, needs: &settings::Roles) -> u64 {
        let by_clients = (self.outside.len() as u64).saturating_mul(needs.contacts_per_client.into());
        let by_mail = self.recipients.saturating_mul(needs.contacts_per_message.into());
        by_clients.saturating_add(by_mail).saturating_add(limits::ROLE_SLACK)
    }

    fn join(&mut self, other: Self) {
        for (known, more) in [(&mut self.outside, other.outside), (&mut self.inside, other.inside)] {
            for client in more {
                if known.len() < limits::ROLE_CLIENTS && !known.contains(&client) {
                    known.push(client);
                }
            }
        }
        self.since = self.since.min(other.since);
        self.first = [self.first, other.first].into_iter().flatten().min();
        self.last = self.last.max(other.last);
        self.taken = self.taken.saturating_add(other.taken);
        self.recipients = self.recipients.saturating_add(other.recipients);
        self.established |= other.established;
    }

    fn text(&self) -> String {
        let count = |known: usize, one: &str, many: &str| match known {
            0 => None,
            1 => Some(format!("1 {one}")),
            limits::ROLE_CLIENTS.. => Some(format!("{known} or more {many}")),
            _ => Some(format!("{known} {many}")),
        };
        let outside = count(self.outside.len(), "network outside", "networks outside");
        let inside = count(self.inside.len(), "host at home", "hosts at home");
        let clients = outside.into_iter().chain(inside).collect::<Vec<_>>().join(" and ");
        let plural = if self.taken == 1 { "" } else { "s" };
        let first = self.first.unwrap_or(self.since);
        format!("took {} message{plural} from {clients} on port {} since {first}", self.taken, self.port)
    }
}

/// Stands for all detectors that spoke of a host which may be a mail server.
pub const DOUBTFUL: &str = "may be a mail server";

#[cfg(test)]
mod tests;
