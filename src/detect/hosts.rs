//! The table of home hosts: bounded in hosts and in what they remember, the least valuable given up first.
//!
//! An outbreak fills the table with what infected hosts remember: the names and addresses of all they mailed. Of those
//! hosts the verdict stands, and the lists add little to it, while a list given up of an honest host makes it look as if
//! it mailed strangers. So the lists of infected hosts are cut to their newest before any host is given up, cut once more
//! before one is that converses, and then those of hosts under suspicion.

use std::net::IpAddr;

use foldhash::quality::RandomState;
use hashbrown::HashMap;
use ipnet::IpNet;

use super::host::{Host, Worth};
use crate::model::limits;

/// Home hosts by address. The index is hashed with a key, since addresses can be spoofed at will; its order never
/// shows.
///
/// Hosts of one [`Worth`] that remember about as much are a list in order of last activity, linked through the slots, so
/// that finding the host that gives way takes no search however many strangers come.
#[derive(Debug)]
pub struct HostTable {
    capacity: usize,
    entry_capacity: usize,
    index: HashMap<IpAddr, u32, RandomState>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    lists: [List; LISTS],
    /// How often hosts were filed in them.
    filed: u64,
    /// Hosts in the table; the index has each of their addresses.
    hosts: usize,
    entries: usize,
    evicted: u64,
    shortened: u64,
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
    list: usize,
    entries: usize,
    /// [`HostTable::filed`] when it was.
    filed: u64,
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
            lists: [List { oldest: NONE, newest: NONE }; LISTS],
            filed: 0,
            hosts: 0,
            entries: 0,
            evicted: 0,
            shortened: 0,
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

    /// How often what a host under suspicion remembered was cut to its newest.
    pub fn shortened(&self) -> u64 {
        self.shortened
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
            self.slots.push(Slot { host: None, list: 0, entries: 0, filed: 0, before: NONE, after: NONE });
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

    /// Files a host anew after it acted, and cuts or gives up others until the table is within its bounds. Those given up
    /// go to `gone`, least valuable first; never the host itself.
    pub fn settle(&mut self, place: Place, gone: &mut Vec<Host>) {
        let Some(host) = self.host(place) else { return };
        let (worth, entries) = (host.worth(), host.entries());
        self.unlink(place.0);
        self.push(place.0, list(worth, Band::of(entries)), entries);
        while self.hosts > self.capacity {
            if !Worth::ALL.into_iter().any(|worth| self.give_up(worth, Band::Empty, place.0, gone)) {
                break;
            }
        }
        while self.entries > self.entry_capacity {
            let gives_way = ORDER.into_iter().any(|step| match step {
                Step::Shorten(worth, band, most) => self.shorten(worth, band, most),
                Step::GiveUp(worth) => self.give_up(worth, Band::Short, place.0, gone),
            });
            if !gives_way {
                break;
            }
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

    /// Cuts what the oldest such host remembers, and files it as short, so that it is not cut again before it acts; false
    /// when there is none.
    fn shorten(&mut self, worth: Worth, band: Band, most: usize) -> bool {
        let Some(slot) = self.oldest(worth, band, NONE) else { return false };
        let Some(host) = self.host_mut(Place(slot)) else { return false };
        host.shorten(most);
        let entries = host.entries();
        self.unlink(slot);
        self.push(slot, list(worth, Band::Short), entries);
        self.shortened += 1;
        true
    }

    /// Gives up the oldest such host; false when there is none.
    fn give_up(&mut self, worth: Worth, band: Band, but_not: u32, gone: &mut Vec<Host>) -> bool {
        let Some(slot) = self.oldest(worth, band, but_not) else { return false };
        gone.extend(self.remove(slot));
        self.evicted += 1;
        true
    }

    /// The host filed longest ago among those that are worth so much and remember so much or more.
    fn oldest(&self, worth: Worth, band: Band, but_not: u32) -> Option<u32> {
        let bands = Band::ALL.into_iter().filter(|other| *other >= band);
        let oldest = bands.filter_map(|band| {
            let oldest = self.lists[list(worth, band)].oldest;
            let slot = if oldest == but_not && oldest != NONE { self.slots[oldest as usize].after } else { oldest };
            (slot != NONE).then_some(slot)
        });
        oldest.min_by_key(|slot| self.slots[*slot as usize].filed)
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

    /// Appends a slot to a list as its newest.
    fn push(&mut self, slot: u32, list: usize, entries: usize) {
        let newest = self.lists[list].newest;
        self.filed += 1;
        let place = &mut self.slots[slot as usize];
        (place.list, place.entries, place.before, place.after) = (list, entries, newest, NONE);
        place.filed = self.filed;
        self.entries += entries;
        match newest {
            NONE => self.lists[list].oldest = slot,
            newest => self.slots[newest as usize].after = slot,
        }
        self.lists[list].newest = slot;
    }

    fn unlink(&mut self, slot: u32) {
        let Slot { list, entries, before, after, .. } = self.slots[slot as usize];
        self.entries -= entries;
        match before {
            NONE => self.lists[list].oldest = after,
            before => self.slots[before as usize].after = after,
        }
        match after {
            NONE => self.lists[list].newest = before,
            after => self.slots[after as usize].before = before,
        }
    }
}

/// How much a host remembers, as far as it matters to what gives way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Band {
    /// Nothing: where too much is remembered, giving it up would not help.
    Empty,
    Short,
    /// More than [`limits::HOST_SHORT`].
    Middling,
    /// More than [`limits::HOST_LONG`].
    Long,
}

impl Band {
    const ALL: [Self; 4] = [Self::Empty, Self::Short, Self::Middling, Self::Long];

    fn of(entries: usize) -> Self {
        match entries {
            0 => Self::Empty,
            entries if entries <= limits::HOST_SHORT => Self::Short,
            entries if entries <= limits::HOST_LONG => Self::Middling,
            _ => Self::Long,
        }
    }
}

/// The list in which hosts of that worth and band are.
const fn list(worth: Worth, band: Band) -> usize {
    worth as usize * Band::ALL.len() + band as usize
}

const LISTS: usize = Worth::CLASSES * Band::ALL.len();

/// What is done where too much is remembered.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A host that is worth so much and remembers so much or more keeps so many things of each kind, and counts as short.
    Shorten(Worth, Band, usize),
    /// A host that is worth so much goes.
    GiveUp(Worth),
}

/// Newest things of each kind that are kept of a long list: about what a detector needs to say again what it said.
const KEPT: usize = 4;

/// The first of these that can be done is.
const ORDER: [Step; 8] = [
    Step::Shorten(Worth::Infected, Band::Long, KEPT),
    Step::GiveUp(Worth::Quiet),
    Step::Shorten(Worth::Infected, Band::Middling, 1),
    Step::Shorten(Worth::Suspicious, Band::Middling, KEPT),
    Step::GiveUp(Worth::Mailing),
    Step::GiveUp(Worth::Known),
    Step::GiveUp(Worth::Suspicious),
    Step::GiveUp(Worth::Infected),
];

/// No slot.
const NONE: u32 = u32::MAX;

#[cfg(test)]
mod tests;
