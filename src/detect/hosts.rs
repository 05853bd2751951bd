//! The table of home hosts: bounded in hosts and in what they remember, the least valuable given up first.

use std::net::IpAddr;

use foldhash::quality::RandomState;
use hashbrown::HashMap;
use ipnet::IpNet;

use super::host::{Host, Worth};
use crate::model::limits;

/// Home hosts by address. The index is hashed with a key, since addresses can be spoofed at will; its order never
/// shows.
///
/// Each class of [`Worth`] is a list in order of last activity, linked through the slots, so that finding the host to
/// give up takes no search however many strangers come.
#[derive(Debug)]
pub struct HostTable {
    capacity: usize,
    entry_capacity: usize,
    index: HashMap<IpAddr, u32, RandomState>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    classes: [List; Worth::CLASSES],
    /// Hosts in the table; the index has each of their addresses.
    hosts: usize,
    entries: usize,
    evicted: u64,
    /// Addresses declared to be one host each, and which of them an address belongs to.
    groups: Vec<Vec<IpAddr>>,
    grouped: HashMap<IpAddr, u32, RandomState>,
}

/// A host's place in the table, good until the next `settle`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(u32);

#[derive(Debug)]
struct Slot {
    host: Option<Box<Host>>,
    class: usize,
    entries: usize,
    before: u32,
    after: u32,
}

/// Ends of a list of slots; oldest first.
#[derive(Clone, Copy, Debug)]
struct List {
    oldest: u32,
    newest: u32,
}

impl HostTable {
    /// A table for `capacity` hosts which remember `entry_capacity` things among them.
    pub fn new(capacity: usize, entry_capacity: usize) -> Self {
        Self {
            // Slots are numbered with 32 bits, the last number meaning none.
            capacity: capacity.clamp(1, NONE as usize - 1),
            entry_capacity,
            index: HashMap::default(),
            slots: Vec::new(),
            free: Vec::new(),
            classes: [List { oldest: NONE, newest: NONE }; Worth::CLASSES],
            hosts: 0,
            entries: 0,
            evicted: 0,
            groups: Vec::new(),
            grouped: HashMap::default(),
        }
    }

    /// The same, with addresses declared to be one host each. An address in two groups counts to the first.
    pub fn with_groups(mut self, groups: &[Vec<IpAddr>]) -> Self {
        for (number, group) in (0..).zip(groups) {
            for address in group {
                self.grouped.entry(*address).or_insert(number);
            }
        }
        self.groups = groups.to_vec();
        self
    }

    /// Hosts in the table.
    pub fn len(&self) -> usize {
        self.hosts
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.hosts == 0
    }

    /// Things remembered by all hosts, as of their last `settle`.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// Bytes that all hosts take, with what they remember.
    pub fn memory(&self) -> usize {
        self.slots.len() * size_of::<Slot>()
            + self.hosts * size_of::<Host>()
            + self.index.allocation_size()
            + self.free.capacity() * 4
            + self.entries * limits::HOST_ENTRY_COST
    }

    /// Hosts given up so far.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Whether `addr` has state.
    pub fn find(&self, addr: IpAddr) -> Option<Place> {
        self.index.get(&addr).copied().map(Place)
    }

    /// The place of `addr`, new if need be. Follow with [`HostTable::settle`].
    pub fn open(&mut self, addr: IpAddr, declared: &[IpNet]) -> Place {
        if let Some(&slot) = self.index.get(&addr) {
            return Place(slot);
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { host: None, class: 0, entries: 0, before: NONE, after: NONE });
            (self.slots.len() - 1) as u32
        });
        self.slots[slot as usize].host = Some(Box::new(Host::new(addr, declared)));
        self.index.insert(addr, slot);
        self.hosts += 1;
        self.push(slot, 0, 0);
        if let Some(group) = self.grouped.get(&addr).and_then(|group| self.groups.get(*group as usize)).cloned() {
            group.into_iter().for_each(|address| self.alias(Place(slot), address, declared));
        }
        Place(slot)
    }

    /// Lets `address` stand for the host there, unless it stands for one already.
    pub fn alias(&mut self, place: Place, address: IpAddr, declared: &[IpNet]) {
        if self.index.contains_key(&address) {
            return;
        }
        if let Some(host) = self.host_mut(place) {
            host.facts.also_at(address, declared);
            self.index.insert(address, place.0);
        }
    }

    /// Lets `address` no longer stand for a host of another address.
    pub fn part(&mut self, address: IpAddr) {
        let Some(place) = self.find(address) else { return };
        if self.grouped.contains_key(&address) {
            return;
        }
        if let Some(host) = self.host_mut(place)
            && host.facts.leave(address)
        {
            self.index.remove(&address);
        }
    }

    /// Takes a host out of the table, as when another turns out to be the same.
    pub fn take(&mut self, place: Place) -> Option<Host> {
        self.slots.get(place.0 as usize)?.host.as_ref()?;
        self.remove(place.0)
    }

    /// The host there.
    pub fn host(&self, place: Place) -> Option<&Host> {
        self.slots.get(place.0 as usize)?.host.as_deref()
    }

    /// The host there, to be changed.
    pub fn host_mut(&mut self, place: Place) -> Option<&mut Host> {
        self.slots.get_mut(place.0 as usize)?.host.as_deref_mut()
    }

    /// Files a host anew after it acted, and gives up others until the table is within its bounds. Those go to
    /// `gone`, least valuable first; never the host itself.
    pub fn settle(&mut self, place: Place, gone: &mut Vec<Host>) {
        let Some(host) = self.host_mut(place) else { return };
        let (class, entries) = (host.worth() as usize, host.states.entries());
        self.unlink(place.0);
        self.push(place.0, class, entries);
        while self.hosts > self.capacity || self.entries > self.entry_capacity {
            let Some(victim) = self.least_valuable(place.0) else { break };
            gone.extend(self.remove(victim));
            self.evicted += 1;
        }
    }

    /// All hosts, in no order: sort before anything is said.
    pub fn iter(&self) -> impl Iterator<Item = &Host> {
        self.slots.iter().filter_map(|slot| slot.host.as_deref())
    }

    /// All hosts, to be changed, in no order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Host> {
        self.slots.iter_mut().filter_map(|slot| slot.host.as_deref_mut())
    }

    fn least_valuable(&self, but_not: u32) -> Option<u32> {
        self.classes.iter().find_map(|list| {
            let oldest = list.oldest;
            let victim = if oldest == but_not { self.slots[oldest as usize].after } else { oldest };
            (victim != NONE).then_some(victim)
        })
    }

    fn remove(&mut self, slot: u32) -> Option<Host> {
        self.unlink(slot);
        let host = self.slots[slot as usize].host.take()?;
        for address in host.facts.addresses() {
            self.index.remove(&address);
        }
        self.hosts -= 1;
        self.free.push(slot);
        Some(*host)
    }

    /// Appends a slot to a class as its newest.
    fn push(&mut self, slot: u32, class: usize, entries: usize) {
        let newest = self.classes[class].newest;
        let place = &mut self.slots[slot as usize];
        (place.class, place.entries, place.before, place.after) = (class, entries, newest, NONE);
        self.entries += entries;
        match newest {
            NONE => self.classes[class].oldest = slot,
            newest => self.slots[newest as usize].after = slot,
        }
        self.classes[class].newest = slot;
    }

    fn unlink(&mut self, slot: u32) {
        let Slot { class, entries, before, after, .. } = self.slots[slot as usize];
        self.entries -= entries;
        match before {
            NONE => self.classes[class].oldest = after,
            before => self.slots[before as usize].after = after,
        }
        match after {
            NONE => self.classes[class].newest = before,
            after => self.slots[after as usize].before = before,
        }
    }
}

/// No slot.
const NONE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::detect::verdict::Case;
    use crate::model::alert::Verdict;

    fn addr(number: u32) -> IpAddr {
        IpAddr::from((0x0a00_0000 + number).to_be_bytes())
    }

    fn act(table: &mut HostTable, number: u32, verdict: Verdict) -> Vec<IpAddr> {
        let place = table.open(addr(number), &[]);
        if verdict != Verdict::Clean {
            table.host_mut(place).unwrap().case = Some(Box::new(Case::with_verdict(verdict)));
        }
        let mut gone = Vec::new();
        table.settle(place, &mut gone);
        gone.iter().map(|host| host.facts.addr).collect()
    }

    #[test]
    fn gives_up_the_clean_and_oldest_first_and_the_infected_last() {
        let mut table = HostTable::new(3, 100);
        assert!(act(&mut table, 1, Verdict::Infected).is_empty());
        assert!(act(&mut table, 2, Verdict::Suspicious).is_empty());
        assert!(act(&mut table, 3, Verdict::Clean).is_empty());
        assert_eq!(act(&mut table, 4, Verdict::Clean), [addr(3)]);
        assert_eq!(act(&mut table, 5, Verdict::Suspicious), [addr(4)]);
        assert_eq!(act(&mut table, 6, Verdict::Infected), [addr(2)]);
        assert_eq!(act(&mut table, 7, Verdict::Infected), [addr(5)]);
        assert_eq!(act(&mut table, 8, Verdict::Infected), [addr(1)]);
        assert_eq!((table.len(), table.evicted()), (3, 5));
    }

    #[test]
    fn activity_keeps_a_host() {
        let mut table = HostTable::new(2, 100);
        act(&mut table, 1, Verdict::Clean);
        act(&mut table, 2, Verdict::Clean);
        act(&mut table, 1, Verdict::Clean);
        assert_eq!(act(&mut table, 3, Verdict::Clean), [addr(2)]);
    }

    #[test]
    fn one_host_of_many_addresses_takes_one_place_and_goes_as_one() {
        let group = vec![addr(1), addr(2), "fd00::1".parse().unwrap()];
        let mut table = HostTable::new(2, 100).with_groups(std::slice::from_ref(&group));
        let place = table.open(group[2], &[]);
        assert!(group.iter().all(|address| table.find(*address) == Some(place)));
        table.part(addr(1));
        assert_eq!(table.find(addr(1)), Some(place), "what is declared stays");
        table.alias(place, addr(9), &[]);
        table.settle(place, &mut Vec::new());
        assert_eq!((table.len(), table.find(addr(9))), (1, Some(place)));
        table.part(addr(9));
        assert_eq!(table.find(addr(9)), None);
        act(&mut table, 5, Verdict::Clean);
        assert_eq!(act(&mut table, 6, Verdict::Clean), [group[2]]);
        assert!(group.iter().all(|address| table.find(*address).is_none()));
        assert_eq!(table.len(), 2);
    }

    proptest! {
        /// Against a list that is searched for the least valuable.
        #[test]
        fn behaves_as_a_sorted_list_would(acts in prop::collection::vec((0_u32..20, 0_usize..3), 1..300)) {
            let mut table = HostTable::new(6, 100);
            let mut list: Vec<(IpAddr, Verdict)> = Vec::new();
            for (number, class) in acts {
                let verdict = Verdict::ALL[class];
                let known = list.iter().position(|(known, _)| *known == addr(number)).map(|at| list.remove(at).1);
                list.push((addr(number), if verdict == Verdict::Clean { known.unwrap_or_default() } else { verdict }));
                let mut expected = Vec::new();
                if list.len() > 6 {
                    let others = &list[..list.len() - 1];
                    let victim = (0..others.len()).min_by_key(|at| (others[*at].1, *at)).unwrap();
                    expected.push(list.remove(victim).0);
                }
                prop_assert_eq!(act(&mut table, number, verdict), expected);
                prop_assert_eq!(table.len(), list.len());
            }
        }
    }
}
