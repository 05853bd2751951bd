//! An event as the correlator looks at it: who talks to whom, and what is known beyond it.

use std::net::IpAddr;

use crate::detect::Scene;
use crate::detect::files::Sightings;
use crate::detect::host::Load;
use crate::model::alert::Verdict;
use crate::model::event::Event;
use crate::model::mail::{Findings, RuleHit};
use crate::model::net::{Direction, Flow, HomeNet, Side};
use crate::model::rulebook::RuleBook;

/// Who talks to whom.
#[derive(Clone, Copy)]
pub(super) struct Parties {
    pub(super) client: IpAddr,
    pub(super) server: IpAddr,
    pub(super) direction: Direction,
}

impl Parties {
    /// IPv4 addresses mapped into IPv6 (RFC 4291, section 2.5.5.2) are the IPv4 hosts they stand for.
    pub(super) fn of(flow: &Flow, home: &HomeNet) -> Self {
        let (client, server) = (flow.client.ip().to_canonical(), flow.server.ip().to_canonical());
        Self { client, server, direction: home.direction(client, server) }
    }

    pub(super) fn client_is_home(&self) -> bool {
        matches!(self.direction, Direction::Outbound | Direction::Internal)
    }

    pub(super) fn server_is_home(&self) -> bool {
        matches!(self.direction, Direction::Inbound | Direction::Internal)
    }
}

/// An event with all that was found out about it before any host is looked at.
pub(super) struct Moment<'a> {
    pub(super) event: &'a Event,
    pub(super) flow: &'a Flow,
    pub(super) findings: &'a Findings,
    pub(super) hits: &'a [RuleHit],
    pub(super) parties: Parties,
}

impl<'a> Moment<'a> {
    pub(super) fn scene(&self, part: Side, peer: IpAddr, load: Load, known: Known<'a>) -> Scene<'a> {
        Scene {
            time: self.event.time,
            kind: &self.event.kind,
            flow: self.flow,
            findings: self.findings,
            peer,
            part,
            direction: self.parties.direction,
            verdict: known.verdict,
            load,
            hits: self.hits,
            rules: known.rules,
            sightings: known.sightings,
            captured: known.captured,
        }
    }
}

/// What is known beyond the event and the host's own facts.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) rules: &'a dyn RuleBook,
    pub(super) sightings: &'a Sightings,
    pub(super) captured: u64,
    pub(super) verdict: Verdict,
}
