//! Hosts: their addresses, where they stand as seen from the tap, and the habits of their TCP/IP stack.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::clock::{MICRO, MILLI, Nanos};
use crate::wire::Mac;

/// A TCP/IP stack as a passive observer tells it: the values are those of the public p0f signatures.
#[derive(Debug)]
pub struct Stack {
    pub name: &'static str,
    /// TTL or hop limit as sent.
    pub ttl: u8,
    /// Window of the SYN.
    pub window: u16,
    pub mss: u16,
    /// Options of the SYN, in order.
    pub options: &'static [SynOption],
    /// How long an acknowledgement may wait for data to travel with.
    pub delayed_ack: Nanos,
    /// First and last ephemeral port.
    pub ports: (u16, u16),
}

/// An option of a SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SynOption {
    Mss,
    Nop,
    SackPermitted,
    /// RFC 7323: used on all segments when both sides offer it.
    Timestamps,
    /// RFC 7323: the window's shift.
    Scale(u8),
}

impl Stack {
    /// Whether it offers timestamps.
    pub fn timestamps(&self) -> bool {
        self.options.contains(&SynOption::Timestamps)
    }

    /// The shift it offers for its window.
    pub fn scale(&self) -> Option<u8> {
        self.options.iter().find_map(|option| if let SynOption::Scale(shift) = option { Some(*shift) } else { None })
    }
}

pub static WINDOWS_98: Stack = Stack {
    name: "Windows 98",
    ttl: 128,
    window: 8192,
    mss: 1460,
    options: &[SynOption::Mss, SynOption::Nop, SynOption::Nop, SynOption::SackPermitted],
    delayed_ack: 200 * MILLI,
    ports: (1025, 5000),
};

pub static WINDOWS_XP: Stack = Stack { name: "Windows XP", window: 65_535, ..WINDOWS_98 };

pub static WINDOWS_10: Stack = Stack {
    name: "Windows 10",
    ttl: 128,
    window: 64_240,
    mss: 1460,
    options: &[
        SynOption::Mss,
        SynOption::Nop,
        SynOption::Scale(8),
        SynOption::Nop,
        SynOption::Nop,
        SynOption::SackPermitted,
    ],
    delayed_ack: 40 * MILLI,
    ports: (49_152, 65_535),
};

pub static LINUX_2_4: Stack = Stack {
    name: "Linux 2.4",
    ttl: 64,
    window: 5840,
    mss: 1460,
    options: &[SynOption::Mss, SynOption::SackPermitted, SynOption::Timestamps, SynOption::Nop, SynOption::Scale(0)],
    delayed_ack: 40 * MILLI,
    ports: (32_768, 61_000),
};

pub static LINUX: Stack = Stack {
    name: "Linux",
    window: 64_240,
    options: &[SynOption::Mss, SynOption::SackPermitted, SynOption::Timestamps, SynOption::Nop, SynOption::Scale(7)],
    ..LINUX_2_4
};

/// A machine in a scenario.
#[derive(Clone, Debug)]
pub struct Host {
    pub name: String,
    pub v4: Option<Ipv4Addr>,
    pub v6: Option<Ipv6Addr>,
    pub stack: &'static Stack,
    /// The hardware address the tap sees: its own at home, the router's for all outside.
    pub mac: Mac,
    /// Routers between it and the tap.
    pub hops: u8,
    /// From the tap to it and back.
    pub round_trip: Nanos,
    /// True for a host of the watched network.
    pub home: bool,
    /// What it is, for people: `user`, `mail server`, `resolver` ...
    pub role: &'static str,
}

impl Host {
    /// A host of the watched network, beside the tap.
    pub fn home(name: &str, v4: Ipv4Addr, role: &'static str, stack: &'static Stack) -> Self {
        let [_, b, c, d] = v4.octets();
        let mac = Mac([0x02, 0x00, 0x5e, b, c, d]);
        let round_trip = 150 * MICRO + i64::from(d) * 3 * MICRO;
        Self { name: name.into(), v4: Some(v4), v6: None, stack, mac, hops: 0, round_trip, home: true, role }
    }

    /// A host of the world, some hops and milliseconds beyond the router; both follow from its address.
    pub fn outside(name: &str, v4: Ipv4Addr, role: &'static str, stack: &'static Stack) -> Self {
        let [.., c, d] = v4.octets();
        let hops = 6 + (c ^ d) % 11;
        let round_trip = 4 * MILLI + i64::from(c ^ d.rotate_left(3)) * 311 * MICRO;
        Self { name: name.into(), v4: Some(v4), v6: None, stack, mac: ROUTER, hops, round_trip, home: false, role }
    }

    /// The same host with an IPv6 address, too.
    pub fn with_v6(mut self, v6: Ipv6Addr) -> Self {
        self.v6 = Some(v6);
        self
    }

    /// Its address of the family of `like`; panics when it has none, which is an error in the scenario.
    pub fn address_like(&self, like: IpAddr) -> IpAddr {
        let address = if like.is_ipv4() { self.v4.map(IpAddr::V4) } else { self.v6.map(IpAddr::V6) };
        address.unwrap_or_else(|| panic!("{} has no address of the family of {like}", self.name))
    }

    /// Its IPv4 address, or the IPv6 one when it has no other.
    pub fn ip(&self) -> IpAddr {
        self.v4.map(IpAddr::V4).or(self.v6.map(IpAddr::V6)).unwrap_or_else(|| panic!("{} has no address", self.name))
    }

    /// One end of a conversation.
    pub fn endpoint(&self, ip: IpAddr, port: u16) -> Endpoint {
        let Self { stack, mac, hops, round_trip, .. } = *self;
        Endpoint { ip, port, mac, stack, hops, round_trip }
    }
}

/// One end of a conversation.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint {
    pub ip: IpAddr,
    pub port: u16,
    pub mac: Mac,
    pub stack: &'static Stack,
    pub hops: u8,
    pub round_trip: Nanos,
}

impl Endpoint {
    /// The TTL its packets have at the tap.
    pub fn ttl(&self) -> u8 {
        self.stack.ttl.saturating_sub(self.hops)
    }
}

/// The router to the world, as the tap sees it.
pub const ROUTER: Mac = Mac([0x02, 0x00, 0x5e, 0x00, 0x00, 0x01]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_outside_are_behind_the_router() {
        let host = Host::outside("mx", Ipv4Addr::new(198, 51, 100, 25), "exchanger", &LINUX);
        let end = host.endpoint(host.ip(), 25);
        assert_eq!(end.mac, ROUTER);
        assert!(end.ttl() < LINUX.ttl && end.ttl() > 40);
        assert_eq!(LINUX.scale(), Some(7));
        assert!(!WINDOWS_XP.timestamps());
    }
}
