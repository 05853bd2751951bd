//! What comes without a connection: DNS over UDP, echo requests, and transports that are only counted.

use std::sync::Arc;

use super::Core;
use super::conversation::{detail, dns_anomaly, read_dns};
use super::keep::Keep;
use crate::decode::{Datagram, IpFacts};
use crate::flow::{Key, Knock, lone_identity};
use crate::model::event::EventKind;
use crate::model::net::Transport;
use crate::protocol::dns;

impl Core {
    pub(super) fn udp(&mut self, datagram: &Datagram<'_>) {
        let (key, low) =
            Key::new(datagram.ip.src, datagram.src_port, datagram.ip.dst, datagram.dst_port, Transport::Udp);
        let now = self.at.time;
        let guess = || datagram.dst_port == dns::PORT || datagram.src_port != dns::PORT;
        let place =
            self.table.find_or_open(key, guess, low, self.at.clock(), |entry, why| self.ended.push((entry, why)));
        if !self.ended.is_empty() {
            self.end_flows();
        }
        let entry = self.table.get(place);
        if place.opened {
            self.stats.flow.udp_opened += 1;
            entry.vlans = datagram.ip.vlans;
        }
        entry.count(entry.side(low), datagram.ip.bytes, now);
        if datagram.src_port != dns::PORT && datagram.dst_port != dns::PORT {
            return;
        }
        self.stats.flow.bad_checksums += u64::from(datagram.checksum_holds() == Some(false));
        let (message, defect) = read_dns(datagram.payload, false, detail(&self.settings), &mut self.stats.dns);
        let defect = defect.filter(|_| !std::mem::replace(&mut entry.defect_told, true));
        entry.dns |= message.is_some();
        if message.is_none() && defect.is_none() {
            return;
        }
        // Made anew for each message: a flow has two, and a million flows with something attached would be a burden.
        let (flow, side) = (Arc::new(entry.identity()), entry.side(low));
        if let Some(defect) = defect {
            self.push(Some(Arc::clone(&flow)), EventKind::Anomaly(dns_anomaly(side, defect)));
        }
        if let Some(message) = message {
            self.push(Some(flow), EventKind::Dns(Box::new(message)));
        }
        self.keep = Keep::Whole;
    }

    /// A packet of a transport that is not followed: kept as a flow where records of all flows are wanted.
    pub(super) fn other(&mut self, ip: &IpFacts, protocol: u8) {
        if !self.settings.flow_records {
            return;
        }
        let (key, low) = Key::new(ip.src, 0, ip.dst, 0, Transport::Other(protocol));
        let now = self.at.time;
        let place =
            self.table.find_or_open(key, || true, low, self.at.clock(), |entry, why| self.ended.push((entry, why)));
        if !self.ended.is_empty() {
            self.end_flows();
        }
        let entry = self.table.get(place);
        if place.opened {
            entry.vlans = ip.vlans;
        }
        entry.count(entry.side(low), ip.bytes, now);
    }

    /// An echo request: counted, since floods are made of them.
    pub(super) fn echo(&mut self, ip: &IpFacts, protocol: u8) {
        self.other(ip, protocol);
        let now = self.at.time;
        let identity = || {
            let (key, low) = Key::new(ip.src, 0, ip.dst, 0, Transport::Other(protocol));
            lone_identity(key, low, ip.vlans, now)
        };
        self.floods.count(ip.src, ip.dst, Knock::Echo, now, identity, &mut self.told);
        if !self.told.is_empty() {
            self.push_floods();
        }
    }

    pub(super) fn push_floods(&mut self) {
        let mut told = std::mem::take(&mut self.told);
        for (flow, flood) in told.drain(..) {
            self.push(Some(flow), EventKind::Flood(Box::new(flood)));
        }
        self.told = told;
    }
}
