//! What a host is for: a mail server is told apart before anyone is judged.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::limits;
use crate::model::time::Timestamp;

/// A home host's role, with what it rests on. Each kind of evidence stands by itself, so that one can be asked for
/// more than another.
#[derive(Clone, Debug, Default)]
pub struct Role {
    declared: Option<IpNet>,
    greeted: Option<Box<Greeted>>,
    answers_names: bool,
}

/// A server seen to greet clients on a mail port.
#[derive(Clone, Debug)]
struct Greeted {
    port: u16,
    since: Timestamp,
    /// At most [`limits::ROLE_CLIENTS`].
    clients: Vec<IpAddr>,
}

impl Role {
    /// The role of a host of which only its address is known: a mail server when one of `declared` contains it.
    pub fn of(host: IpAddr, declared: &[IpNet]) -> Self {
        Self { declared: declared.iter().find(|net| net.contains(&host)).copied(), ..Self::default() }
    }

    /// The host greeted `client` with 220 (RFC 5321, section 3.1) on one of its mail ports. Ports of submission count
    /// as port 25 does: a host that takes mail from others passes it on.
    pub fn greets(&mut self, client: IpAddr, port: u16, now: Timestamp) {
        let new = || Box::new(Greeted { port, since: now, clients: Vec::new() });
        let greeted = self.greeted.get_or_insert_with(new);
        if greeted.clients.len() < limits::ROLE_CLIENTS && !greeted.clients.contains(&client) {
            greeted.clients.push(client);
        }
    }

    /// The host answered another's DNS question.
    pub fn answers_names(&mut self) {
        self.answers_names = true;
    }

    /// Whether it may send mail straight to the world, and what it sends may be another's.
    pub fn is_mail_server(&self) -> bool {
        self.declared.is_some() || self.greeted.is_some()
    }

    /// Whether names it asks for may be asked on another's behalf.
    pub fn is_resolver(&self) -> bool {
        self.answers_names
    }

    /// How it is known to be a mail server; none for an ordinary host.
    pub fn why(&self) -> Option<String> {
        if let Some(net) = self.declared {
            return Some(format!("mail server: declared ({net})"));
        }
        let greeted = self.greeted.as_ref()?;
        let count = greeted.clients.len();
        let more = if count == limits::ROLE_CLIENTS { " or more" } else { "" };
        let plural = if count == 1 { "" } else { "s" };
        Some(format!(
            "mail server: greeted {count}{more} client{plural} on port {} since {}",
            greeted.port, greeted.since
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_how_it_knows() {
        let host: IpAddr = "10.0.0.25".parse().unwrap();
        let declared = Role::of(host, &["10.0.0.24/29".parse().unwrap()]);
        assert_eq!(declared.why().unwrap(), "mail server: declared (10.0.0.24/29)");

        let mut seen = Role::of(host, &["10.0.1.0/24".parse().unwrap()]);
        assert!(!seen.is_mail_server() && seen.why().is_none());
        for client in 1..=40_u8 {
            seen.greets(
                IpAddr::from([198, 51, 100, client]),
                25,
                Timestamp::from_parts(1_067_601_600 + i64::from(client), 0),
            );
            seen.greets(IpAddr::from([198, 51, 100, 1]), 25, Timestamp::from_parts(1_067_601_700, 0));
            if client == 2 {
                let why = "mail server: greeted 2 clients on port 25 since 2003-10-31T12:00:01.000000+0000";
                assert_eq!(seen.why().unwrap(), why);
            }
        }
        assert!(seen.why().unwrap().contains("greeted 16 or more clients"));
    }
}
