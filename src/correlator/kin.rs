//! Which addresses are one host: what is learnt of it is carried out here, on the table of hosts.

use std::net::IpAddr;

use super::{Correlator, Parties, Said, view};
use crate::detect::host::Host;
use crate::detect::hosts::Place;
use crate::detect::identity::News;
use crate::detect::incident::incident;
use crate::model::alert::Verdict;
use crate::model::net::Mac;

impl Correlator {
    /// The address by which the host of `address` is known; itself where there is no such host.
    pub fn known_as(&self, address: IpAddr) -> IpAddr {
        let host = self.hosts.find(address).and_then(|place| self.hosts.host(place));
        host.map_or(address, |host| host.facts.addr)
    }

    /// What the hardware addresses of a flow tell about which addresses are one host.
    pub(super) fn note_hardware(&mut self, source: u16, hardware: [Mac; 2], parties: &Parties, out: &mut Vec<Said>) {
        let [client, server] = hardware;
        if client == server {
            return;
        }
        let sides =
            [(client, parties.client, parties.client_is_home()), (server, parties.server, parties.server_is_home())];
        for (mac, address, is_home) in sides {
            match self.identities.note(source, mac, address, is_home) {
                News::None => {}
                News::Tie(addresses) => self.tie(&addresses, out),
                News::Untie(addresses) => addresses.into_iter().for_each(|address| self.hosts.part(address)),
            }
        }
    }

    /// From now on `addresses` are one host; what was known of each is joined into what is known of the first.
    fn tie(&mut self, addresses: &[IpAddr], out: &mut Vec<Said>) {
        let Some(place) = addresses.iter().find_map(|address| self.hosts.find(*address)) else {
            // Nothing is known yet; the first event that makes a host of one comes with the next opening.
            let Some(first) = addresses.first() else { return };
            let place = self.open(*first);
            addresses.iter().for_each(|address| self.hosts.alias(place, *address, &self.settings.mail_servers));
            self.hosts.settle(place, &mut self.gone);
            return self.close_gone(out);
        };
        for address in addresses {
            if let Some(other) = self.hosts.find(*address).filter(|other| *other != place) {
                self.part_or_join(place, other, *address, addresses, out);
            }
            self.hosts.alias(place, *address, &self.settings.mail_servers);
        }
        if let Some(host) = self.hosts.host_mut(place) {
            host.facts.role.settle(&self.settings.detect.roles);
        }
        self.hosts.settle(place, &mut self.gone);
        self.close_gone(out);
    }

    /// Of a host that is known by none but these addresses all is joined. From one that has others the address is
    /// taken: it changed hands, and its history stays where it was made.
    fn part_or_join(&mut self, place: Place, other: Place, address: IpAddr, addresses: &[IpAddr], out: &mut Vec<Said>) {
        let is_same = |host: &Host| host.facts.addresses().all(|known| addresses.contains(&known));
        if !self.hosts.host(other).is_some_and(is_same) {
            self.hosts.part(address);
        } else if let Some(other) = self.hosts.take(other) {
            self.join(place, other, out);
        }
    }

    /// Joins a host into another that turned out to be the same. Of two open incidents the second is closed: it goes on
    /// in the first.
    fn join(&mut self, place: Place, other: Host, out: &mut Vec<Said>) {
        let Some(host) = self.hosts.host_mut(place) else { return };
        let ours = host.case.as_ref().and_then(|case| case.incident);
        let theirs = other.case.as_ref().and_then(|case| case.incident);
        if let (Some(_), Some(theirs)) = (ours, theirs) {
            let view = view(&self.detectors, &self.settings, self.now, &self.link);
            out.extend(incident(&other, view, true).map(|last| Said::Incident(Box::new(last))));
            self.open.remove(&theirs);
        } else if let Some(theirs) = theirs {
            self.open.insert(theirs, host.facts.addr);
        }
        let both_mailed = host.facts.first_mail.is_some() && other.facts.first_mail.is_some();
        self.mailing_hosts = self.mailing_hosts.saturating_sub(u64::from(both_mailed));
        let addresses: Vec<IpAddr> = other.facts.addresses().collect();
        host.join(other, self.now, &self.settings.detect.verdict);
        addresses.iter().for_each(|address| self.hosts.alias(place, *address, &self.settings.mail_servers));
        // Two that were suspicious may be infected together.
        let Some(host) = self.hosts.host_mut(place) else { return };
        let before = ours.or(theirs).is_some();
        if host.verdict() > Verdict::Clean && before {
            let view = view(&self.detectors, &self.settings, self.now, &self.link);
            out.extend(incident(host, view, false).map(|now| Said::Incident(Box::new(now))));
        }
    }
}
