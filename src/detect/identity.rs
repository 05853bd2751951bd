//! Which addresses are one host: by the hardware address that carries them, where hardware addresses mean hosts.
//!
//! Behind a router's hardware address stand many hosts. So a hardware address means a host only while one IPv4 address at
//! most and no address of a stranger was seen behind it, and its IPv6 addresses are of a few networks (a host makes new
//! ones in the same: RFC 8981); and on links alone where several such were seen. Between two routers there are none.
//!
//! What a host sends can be forged, so that only openings of TCP connections count that were answered: frames were then
//! delivered to the hardware address, or came back from it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::model::limits;
use crate::model::net::Mac;

use super::recent::Recent;

/// Hardware addresses and what stands behind them, for each source. Bounded by [`limits::HARDWARE`].
#[derive(Debug)]
pub struct Identities {
    stations: Recent<(u16, Mac), Station>,
    /// Stations of each source that are hosts at home with IPv4, and those that turned out to be routers.
    links: BTreeMap<u16, [u64; 2]>,
}

/// What stands behind a hardware address.
#[derive(Clone, Debug, Default)]
struct Station {
    v4: Option<Ipv4Addr>,
    /// Newest last, at most [`limits::HOST_ADDRESSES`].
    v6: Vec<Ipv6Addr>,
    router: bool,
}

/// Bytes that a station takes with its address, twice, and two IPv6 addresses of its own.
const STATION_COST: usize = 150;

/// What has become known of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    None,
    /// These are one host.
    Tie(Vec<IpAddr>),
    /// These are not, or no longer known to be.
    Untie(Vec<IpAddr>),
}

impl Default for Identities {
    fn default() -> Self {
        Self::new(limits::HARDWARE)
    }
}

impl Identities {
    /// Remembers so many hardware addresses.
    pub fn new(hardware: usize) -> Self {
        Self { stations: Recent::new(hardware), links: BTreeMap::new() }
    }

    /// Bytes that all of them take, roughly.
    pub fn memory(&self) -> usize {
        self.stations.len() * STATION_COST
    }

    /// A connection was opened from or to `address`, which stands behind `mac` on that source.
    pub fn note(&mut self, source: u16, mac: Mac, address: IpAddr, is_home: bool) -> News {
        if !mac.is_station() {
            return News::None;
        }
        let mut station = self.stations.get_mut(&(source, mac)).map(std::mem::take).unwrap_or_default();
        let was_host = station.is_host();
        let known = station.addresses();
        let dropped = if station.router { None } else { station.see(address, is_home) };
        let [hosts, routers] = self.links.entry(source).or_default();
        *hosts = (*hosts + u64::from(station.is_host())).saturating_sub(u64::from(was_host));
        *routers += u64::from(station.router && !known.is_empty());
        let plain = *hosts >= limits::HARDWARE_HOSTS && hosts > routers;
        let news = match (station.router, dropped) {
            (true, _) if known.len() > 1 => News::Untie(known),
            (true, _) => News::None,
            (false, Some(dropped)) => News::Untie(vec![dropped]),
            (false, None) if plain && station.is_host() && !station.v6.is_empty() => News::Tie(station.addresses()),
            (false, None) => News::None,
        };
        if station.router {
            station = Station { router: true, ..Station::default() };
        }
        self.stations.insert((source, mac), station);
        news
    }
}

impl Station {
    /// Takes an address in; the one that had to make room for it.
    fn see(&mut self, address: IpAddr, is_home: bool) -> Option<IpAddr> {
        match address {
            _ if !is_home => self.router = true,
            IpAddr::V4(address) => self.router = *self.v4.get_or_insert(address) != address,
            IpAddr::V6(address) => {
                if let Some(at) = self.v6.iter().position(|known| *known == address) {
                    self.v6.remove(at);
                }
                self.v6.push(address);
                let mut networks: Vec<u64> =
                    self.v6.iter().map(|address| (u128::from(*address) >> 64) as u64).collect();
                networks.sort_unstable();
                networks.dedup();
                self.router = networks.len() > limits::HOST_NETWORKS;
                if self.v6.len() > limits::HOST_ADDRESSES {
                    return Some(self.v6.remove(0).into());
                }
            }
        }
        None
    }

    /// A host as far as is known, and one that has IPv4: of others nothing tells them from a router for IPv6.
    fn is_host(&self) -> bool {
        !self.router && self.v4.is_some()
    }

    /// IPv4 first.
    fn addresses(&self) -> Vec<IpAddr> {
        self.v4.iter().map(|v4| IpAddr::V4(*v4)).chain(self.v6.iter().map(|v6| IpAddr::V6(*v6))).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mac(last: u8) -> Mac {
        Mac([2, 0, 0, 0, 0, last])
    }

    fn v4(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    fn v6(network: u16, last: u16) -> IpAddr {
        Ipv6Addr::new(0xfd00, 0, 0, network, 0, 0, 0, last).into()
    }

    /// A link on which hardware addresses 1 to 3 are hosts with IPv4.
    fn office() -> Identities {
        let mut identities = Identities::default();
        for last in 1..=3 {
            assert_eq!(identities.note(0, mac(last), v4(last), true), News::None);
        }
        identities
    }

    #[test]
    fn one_address_of_each_family_behind_one_hardware_address_is_a_host() {
        let mut identities = office();
        assert_eq!(identities.note(0, mac(1), v6(0, 1), true), News::Tie(vec![v4(1), v6(0, 1)]));
        assert_eq!(identities.note(0, mac(1), v6(0, 2), true), News::Tie(vec![v4(1), v6(0, 1), v6(0, 2)]));
        assert_eq!(identities.note(1, mac(2), v6(0, 3), true), News::None, "another link");
        assert_eq!(identities.note(0, mac(9), v6(0, 9), true), News::None, "no IPv4: as a router for IPv6 would look");
    }

    #[test]
    fn a_router_is_no_host() {
        let mut identities = office();
        identities.note(0, mac(1), v6(0, 1), true);
        let known = vec![v4(1), v6(0, 1)];
        assert_eq!(identities.note(0, mac(1), v4(7), true), News::Untie(known.clone()), "a second IPv4 address");
        assert_eq!(identities.note(0, mac(1), v6(0, 1), true), News::None, "and for good");

        let mut identities = office();
        identities.note(0, mac(1), v6(0, 1), true);
        assert_eq!(
            identities.note(0, mac(1), [198, 51, 100, 1].into(), false),
            News::Untie(known),
            "strangers behind it"
        );

        let mut identities = office();
        (0..3).for_each(|network| drop(identities.note(0, mac(1), v6(network, 1), true)));
        assert!(matches!(identities.note(0, mac(1), v6(3, 1), true), News::Untie(_)), "four networks");
    }

    #[test]
    fn between_two_routers_nothing_is_tied() {
        let mut identities = Identities::default();
        for n in 1..=50 {
            let home = if n % 2 == 0 { v4(n) } else { v6(0, n.into()) };
            identities.note(0, mac(200), [198, 51, 100, n].into(), false);
            assert!(!matches!(identities.note(0, mac(201), home, true), News::Tie(_)));
        }
    }

    #[test]
    fn a_host_that_changes_its_address_for_each_message_stays_one() {
        let mut identities = office();
        for last in 1..=8 {
            assert!(matches!(identities.note(0, mac(1), v6(0, last), true), News::Tie(_)));
        }
        assert_eq!(identities.note(0, mac(1), v6(0, 9), true), News::Untie(vec![v6(0, 1)]), "the oldest makes room");
        assert!(matches!(identities.note(0, mac(1), v6(0, 9), true), News::Tie(known) if known.len() == 9));
    }

    /// A link between routers has a few hosts as well; who they are cannot be told there.
    #[test]
    fn where_as_many_route_as_are_hosts_nobody_is_tied() {
        for (routers, tied) in [(2, true), (3, false)] {
            let mut identities = office();
            for last in 10..10 + routers {
                identities.note(0, mac(last), v4(last), true);
                identities.note(0, mac(last), v4(last + 100), true);
            }
            let news = identities.note(0, mac(1), v6(0, 1), true);
            assert_eq!(matches!(news, News::Tie(_)), tied, "{routers}: {news:?}");
        }
    }

    proptest! {
        /// Whatever comes: no tie holds two IPv4 addresses, or more than its bound.
        #[test]
        fn ties_are_sound(steps in prop::collection::vec((0_u8..6, 0_u8..6, 0_u16..4, any::<bool>(), any::<bool>()), 0..200)) {
            let mut identities = office();
            for (hardware, last, network, is_v4, is_home) in steps {
                let address = if is_v4 { v4(last) } else { v6(network, last.into()) };
                if let News::Tie(addresses) = identities.note(0, mac(hardware), address, is_home) {
                    prop_assert_eq!(addresses.iter().filter(|address| address.is_ipv4()).count(), 1);
                    prop_assert!(addresses.len() <= 1 + limits::HOST_ADDRESSES && addresses.contains(&address));
                }
            }
        }
    }
}
