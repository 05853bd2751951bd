//! Addresses, ports, flows, and which side of the fence a host stands on.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;

use community_id::calculate_community_id;
use ipnet::IpNet;

use super::time::Timestamp;

/// The transport a flow runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    Tcp,
    Udp,
    /// Any other, by its IP protocol number (IANA): counted as a flow, never followed, without ports.
    Other(u8),
}

impl Transport {
    /// Suricata's name for it in `proto`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Other(number) => other_name(number),
        }
    }

    /// The IP protocol number (IANA).
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Other(number) => number,
        }
    }

    /// Whether it has ports.
    pub const fn has_ports(self) -> bool {
        matches!(self, Self::Tcp | Self::Udp)
    }
}

const fn other_name(number: u8) -> &'static str {
    match number {
        1 => "ICMP",
        2 => "IGMP",
        4 => "IPv4",
        41 => "IPv6",
        47 => "GRE",
        50 => "ESP",
        51 => "AH",
        58 => "IPv6-ICMP",
        89 => "OSPF",
        103 => "PIM",
        112 => "VRRP",
        132 => "SCTP",
        _ => "IP",
    }
}

/// Who said it: the side that opened the flow, or the side that answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    Client,
    Server,
}

impl Side {
    /// The other side.
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// 0 for the client, 1 for the server: an index into per-side pairs.
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// A hardware address (IEEE 802, 48 bits).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Whether it can be one interface's: not a group's (the lowest bit of the first byte), nor all zeros, as on loopback.
    pub fn is_station(self) -> bool {
        self.0[0] & 1 == 0 && self != Self::default()
    }
}

/// The VLAN identifiers (12 bits each) a packet carried, outermost first. At most three are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Vlans {
    ids: [u16; 3],
    len: u8,
}

impl Vlans {
    /// Adds a tag inside those already there; a fourth and later ones are not kept.
    pub fn push(&mut self, id: u16) {
        if let Some(slot) = self.ids.get_mut(usize::from(self.len)) {
            *slot = id & 0x0fff;
            self.len += 1;
        }
    }

    /// The identifiers, outermost first.
    pub fn as_slice(&self) -> &[u16] {
        &self.ids[..usize::from(self.len)]
    }
}

/// A flow's identity, fixed when the first event on it is raised; shared by all its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    pub client: SocketAddr,
    pub server: SocketAddr,
    pub transport: Transport,
    pub vlans: Vlans,
    /// Time of its first packet.
    pub started: Timestamp,
    /// True when the capture began inside the flow, so that its opening was not seen.
    pub midstream: bool,
    /// What it is called: follows from the rest.
    pub names: FlowNames,
}

/// What a flow is called, made when first asked for: most flows are never told of, and each name costs a hash.
#[derive(Clone, Debug, Default)]
pub struct FlowNames {
    id: OnceLock<u64>,
    community_id: OnceLock<Box<str>>,
}

/// They say nothing that the flow does not.
impl PartialEq for FlowNames {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for FlowNames {}

impl Flow {
    /// Suricata's `flow_id`: stable for one capture, below 2^53 so that JSON readers keep it exact.
    pub fn id(&self) -> u64 {
        *self.names.id.get_or_init(|| self.make_id())
    }

    /// Community ID version 1, seed 0 (`1:...`); empty for transports without ports.
    pub fn community_id(&self) -> &str {
        self.names.community_id.get_or_init(|| self.make_community_id().into_boxed_str())
    }

    /// FNV-1a over both ends, the transport and the time; the same for either direction. Not the table's keyed hash,
    /// which differs from run to run.
    fn make_id(&self) -> u64 {
        let ends = [self.client, self.server].map(|end| (words(end.ip()), end.port()));
        let [low, high] = if ends[0] <= ends[1] { ends } else { [ends[1], ends[0]] };
        let words = [
            low.0[0],
            low.0[1],
            high.0[0],
            high.0[1],
            u64::from(low.1) << 16 | u64::from(high.1),
            u64::from(self.transport.number()),
            self.started.as_nanos() as u64,
        ];
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in words.iter().flat_map(|word| word.to_le_bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        (hash ^ hash >> 53) & ((1 << 53) - 1)
    }

    fn make_community_id(&self) -> String {
        if !self.transport.has_ports() {
            // For ICMP it would need type and code, for which a flow has no place.
            return String::new();
        }
        let (client, server) = (self.client, self.server);
        let ports = (Some(client.port()), Some(server.port()));
        let protocol = self.transport.number();
        calculate_community_id(0, client.ip(), server.ip(), ports.0, ports.1, protocol, false).unwrap_or_default()
    }
}

/// An address as two words that compare and hash quickly.
pub(crate) fn words(address: IpAddr) -> [u64; 2] {
    match address {
        // As an IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2).
        IpAddr::V4(v4) => [0, 0xffff_0000_0000 | u64::from(u32::from(v4))],
        IpAddr::V6(v6) => {
            let bits = u128::from(v6);
            [(bits >> 64) as u64, bits as u64]
        }
    }
}

/// The networks we answer for (`--home-net`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HomeNet(Vec<IpNet>);

impl HomeNet {
    /// Home is what any of `nets` contains.
    pub fn new(nets: Vec<IpNet>) -> Self {
        Self(nets)
    }

    /// Whether `host` is ours. An IPv4 address mapped into IPv6 counts as the IPv4 address.
    pub fn contains(&self, host: IpAddr) -> bool {
        let host = host.to_canonical();
        self.0.iter().any(|net| net.contains(&host))
    }

    /// Which way traffic from `client` to `server` goes.
    pub fn direction(&self, client: IpAddr, server: IpAddr) -> Direction {
        match (self.contains(client), self.contains(server)) {
            (true, false) => Direction::Outbound,
            (false, true) => Direction::Inbound,
            (true, true) => Direction::Internal,
            (false, false) => Direction::External,
        }
    }
}

/// Private IPv4 ranges (RFC 1918), IPv6 unique local (RFC 4193) and link-local addresses (RFC 4291, 2.5.6).
impl Default for HomeNet {
    fn default() -> Self {
        let nets = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10"];
        Self(nets.iter().filter_map(|net| net.parse().ok()).collect())
    }
}

/// Which way a flow goes, seen from the home networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// From a home host to the world.
    Outbound,
    /// From the world to a home host.
    Inbound,
    /// Between two home hosts.
    Internal,
    /// Between two hosts that are both none of ours.
    External,
}

impl Direction {
    /// Its name in rules and in evidence.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
            Self::Internal => "internal",
            Self::External => "external",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_home_is_private_space_in_both_families() {
        let home = HomeNet::default();
        for (host, ours) in [
            ("10.1.2.3", true),
            ("172.31.255.255", true),
            ("172.32.0.0", false),
            ("::ffff:192.168.3.4", true),
            ("fd00::1", true),
            ("2001:db8::1", false),
            ("198.51.100.7", false),
        ] {
            assert_eq!(home.contains(host.parse().unwrap()), ours, "{host}");
        }
    }

    #[test]
    fn direction_is_seen_from_home() {
        let home = HomeNet::default();
        let (ours, theirs) = ("10.0.0.1".parse().unwrap(), "203.0.113.1".parse().unwrap());
        assert_eq!(home.direction(ours, theirs), Direction::Outbound);
        assert_eq!(home.direction(theirs, ours), Direction::Inbound);
        assert_eq!(home.direction(ours, ours), Direction::Internal);
        assert_eq!(home.direction(theirs, theirs), Direction::External);
    }

    #[test]
    fn a_fourth_vlan_tag_is_not_kept() {
        let mut vlans = Vlans::default();
        for id in [1, 2, 3, 4] {
            vlans.push(id);
        }
        assert_eq!(vlans.as_slice(), [1, 2, 3]);
    }

    fn flow(client: &str, server: &str) -> Flow {
        Flow {
            client: client.parse().unwrap(),
            server: server.parse().unwrap(),
            transport: Transport::Tcp,
            vlans: Vlans::default(),
            started: Timestamp::from_parts(5, 0),
            midstream: false,
            names: FlowNames::default(),
        }
    }

    #[test]
    fn community_id_is_the_published_one() {
        // From the specification's own test vectors (community-id-spec, baseline_deflt).
        let (there, back) = ("128.232.110.120:34855", "66.35.250.204:80");
        for flow in [flow(there, back), flow(back, there)] {
            assert_eq!(flow.community_id(), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        }
        assert_eq!(Flow { transport: Transport::Other(1), ..flow(there, back) }.community_id(), "");
    }

    #[test]
    fn ids_survive_json_readers_and_are_those_of_both_directions() {
        let id = flow("10.0.0.1:77", "192.0.2.1:25").id();
        assert!(id < 1 << 53);
        assert_eq!(id, flow("192.0.2.1:25", "10.0.0.1:77").id());
        assert_ne!(id, flow("10.0.0.1:78", "192.0.2.1:25").id());
    }
}
