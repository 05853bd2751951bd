//! What events tell about the role of the server in them.

use super::{Correlator, Parties, Said};
use crate::detect::role::{Delivery, Role};
use crate::model::event::{EventKind, Outcome, SmtpEvent};
use crate::model::limits;
use crate::model::mail::Findings;
use crate::model::net::{Direction, Flow, Side};
use crate::model::time::Timestamp;

impl Correlator {
    /// What an event tells about the role of its server.
    pub(super) fn note_role(
        &mut self,
        kind: &EventKind,
        flow: &Flow,
        findings: &Findings,
        parties: &Parties,
        out: &mut Vec<Said>,
    ) {
        if !parties.server_is_home() || parties.client == parties.server {
            return;
        }
        let on_mail_port = self.settings.mail_ports.contains(&flow.server.port());
        let place = match kind {
            // RFC 5321, section 4.2.3: 220 is the greeting of a service that is ready; 554 says that there is none.
            EventKind::Greeting(reply) if reply.code == 220 && on_mail_port => self.open(parties.server),
            // Its greeting may have been lost by the capture; that it goes on to serve says the same.
            EventKind::Smtp(smtp) if serves(smtp) && on_mail_port => self.open(parties.server),
            EventKind::Dns(message) if message.is_response() && flow.server.port() == DNS_PORT => {
                self.open(parties.server)
            }
            EventKind::Smtp(_) | EventKind::FlowEnd(_) => match self.hosts.find(parties.server) {
                Some(place) => place,
                None => return,
            },
            _ => return,
        };
        if let Some(host) = self.hosts.host_mut(place) {
            let carried = findings.email.is_some();
            learn_role(&mut host.facts.role, kind, flow, &Brought { parties, now: self.now, on_mail_port, carried });
            host.facts.role.settle(&self.settings.detect.roles);
        }
        self.hosts.settle(place, &mut self.gone);
        self.close_gone(out);
    }
}

/// Around an event that may tell of a role.
struct Brought<'a> {
    parties: &'a Parties,
    now: Timestamp,
    on_mail_port: bool,
    /// A message was opened.
    carried: bool,
}

/// What an event tells about the role of its server.
fn learn_role(role: &mut Role, kind: &EventKind, flow: &Flow, brought: &Brought<'_>) {
    let (client, time) = (brought.parties.client, brought.now);
    let from_outside = brought.parties.direction == Direction::Inbound;
    match kind {
        EventKind::Greeting(_) => role.greets(flow.server.port(), time),
        EventKind::Smtp(smtp) => {
            if serves(smtp) && brought.on_mail_port {
                role.greets(flow.server.port(), time);
            }
            match &smtp.envelope {
                Some(envelope) if is_delivered(smtp, brought.carried) => {
                    let recipients = envelope.rcpt_to.len() as u64;
                    role.takes(&Delivery { client, from_outside, recipients, time });
                }
                None if smtp.tls => role.hides(flow),
                _ => {}
            }
        }
        EventKind::FlowEnd(end) => {
            if role.was_hidden(flow) && end.bytes[Side::Client.index()] >= limits::ROLE_SESSION_BYTES {
                role.takes(&Delivery { client, from_outside, recipients: 1, time });
            }
        }
        _ => role.answers_names(),
    }
}

/// Whether a server took a message, or took it as far as is seen where its decision is not.
fn is_delivered(smtp: &SmtpEvent, carried: bool) -> bool {
    match smtp.outcome {
        Outcome::Accepted => true,
        Outcome::Unknown => carried || smtp.message.is_some(),
        Outcome::Rejected | Outcome::Reset | Outcome::Aborted => false,
    }
}

/// Whether a server went along with a session: it answered with success, or agreed to encrypt.
fn serves(smtp: &SmtpEvent) -> bool {
    smtp.tls || smtp.reply.as_ref().is_some_and(|reply| (200..400).contains(&reply.code))
}

const DNS_PORT: u16 = 53;
