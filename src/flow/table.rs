//! The flow table: one keyed hash look-up a packet, a fixed number of bytes a flow, a bound on flows.
//!
//! A background flow costs one [`Entry`] and no allocation. What a mail or DNS flow needs besides is attached as
//! a box. Idle flows are found by a hand that goes round the slots as packet time passes, so no list has to be
//! relinked on each packet; a flow that has timed out but was not yet met by the hand counts as ended all the same
//! when its next packet comes, so that what the hand met is never visible in the output.

use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::model::event::EndReason;
use crate::model::limits;
use crate::model::net::{Flow, FlowNames, Side, Transport, Vlans, words};
use crate::model::time::Timestamp;

use super::trust::Trust;

/// What makes two packets belong to one flow: both ends and the transport. The lower end (by address, then port)
/// comes first, so both directions give the same key. VLAN tags are not part of it: a mirror often shows the two
/// directions, or the same packet twice, under different tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    low: [u64; 2],
    high: [u64; 2],
    ports: u32,
    transport: Transport,
}

impl Key {
    /// The key of a packet, and whether its sender is the lower end.
    pub fn new(src: IpAddr, src_port: u16, dst: IpAddr, dst_port: u16, transport: Transport) -> (Self, bool) {
        let (from, to) = ((words(src), src_port), (words(dst), dst_port));
        let sender_is_low = from <= to;
        let (low, high) = if sender_is_low { (from, to) } else { (to, from) };
        let ports = u32::from(low.1) << 16 | u32::from(high.1);
        (Self { low: low.0, high: high.0, ports, transport }, sender_is_low)
    }

    /// The transport.
    pub const fn transport(&self) -> Transport {
        self.transport
    }

    /// The lower or the higher end.
    pub fn end(&self, low: bool) -> SocketAddr {
        let (address, port) = if low { (self.low, self.ports >> 16) } else { (self.high, self.ports & 0xffff) };
        SocketAddr::new(address_of(address), port as u16)
    }
}

/// One flow. `T` is what its owner attaches to flows worth more than counting.
#[derive(Debug)]
pub struct Entry<T> {
    key: Key,
    pub started: Timestamp,
    pub last: Timestamp,
    /// Bytes of IP packets by side: `[client, server]`.
    pub bytes: [u64; 2],
    /// Packets by side; saturating.
    pub packets: [u32; 2],
    /// For TCP: sequence number of the first data byte by side, valid where the SYN of that side was seen.
    pub first_seq: [u32; 2],
    /// TCP flags seen, or-ed, by side.
    pub tcp_flags: [u8; 2],
    /// For TCP: the side of a SYN amid a connection. It opens a new one if it is answered.
    pub reopening: Option<Side>,
    /// That SYN's sequence number. (Apart from its side, or padding would make an entry eight bytes longer.)
    pub reopening_seq: u32,
    /// What the checksums of each side are worth, where they are looked at.
    pub trust: [Trust; 2],
    /// Whether a side was seen to send packets as nearly all are, so that others stand out; where that is looked at.
    pub plain: [bool; 2],
    pub vlans: Vlans,
    /// Which end of the key is the client.
    client_is_low: bool,
    /// The capture began inside it.
    pub midstream: bool,
    /// Not worth another look: its content is known to be of no interest.
    pub ignored: bool,
    /// FIN both ways or RST: only late copies are expected.
    pub closed: bool,
    /// A connection attempt that was reported already.
    pub connect_told: bool,
    /// Its last packet was taken for a mirror's copy of a SYN.
    pub syn_copied: bool,
    /// DNS was spoken on it, over UDP; nothing needs to be attached for that.
    pub dns: bool,
    /// What claims to be DNS on it made no sense, and that was told.
    pub defect_told: bool,
    /// In use; free slots keep their place for the next flow.
    occupied: bool,
    pub attached: Option<Box<T>>,
}

impl<T> Entry<T> {
    /// Which side the lower end of the key is on.
    pub fn side(&self, sender_is_low: bool) -> Side {
        if sender_is_low == self.client_is_low { Side::Client } else { Side::Server }
    }

    /// The client's address and port.
    pub fn client(&self) -> SocketAddr {
        self.key.end(self.client_is_low)
    }

    /// The server's address and port.
    pub fn server(&self) -> SocketAddr {
        self.key.end(!self.client_is_low)
    }

    /// The server's port alone, which each packet asks for.
    pub const fn server_port(&self) -> u16 {
        if self.client_is_low { self.key.ports as u16 } else { (self.key.ports >> 16) as u16 }
    }

    pub const fn transport(&self) -> Transport {
        self.key.transport
    }

    /// Counts a packet of one side, with its bytes.
    pub fn count(&mut self, side: Side, bytes: u32, now: Timestamp) {
        self.last = now;
        self.bytes[side.index()] += u64::from(bytes);
        self.packets[side.index()] = self.packets[side.index()].saturating_add(1);
    }

    /// Turns the flow round: what was taken for the client is the server.
    pub fn swap_sides(&mut self) {
        self.client_is_low = !self.client_is_low;
        self.bytes.swap(0, 1);
        self.packets.swap(0, 1);
        self.first_seq.swap(0, 1);
        self.tcp_flags.swap(0, 1);
        self.trust.swap(0, 1);
        self.plain.swap(0, 1);
        self.reopening = self.reopening.map(Side::other);
    }

    /// Its identity, for events.
    pub fn identity(&self) -> Flow {
        Flow {
            client: self.client(),
            server: self.server(),
            transport: self.key.transport,
            vlans: self.vlans,
            started: self.started,
            midstream: self.midstream,
            names: FlowNames::default(),
        }
    }

    /// How long it may be idle.
    fn patience(&self) -> Duration {
        match self.key.transport {
            Transport::Udp | Transport::Other(_) => limits::TIMEOUT_UDP,
            Transport::Tcp if self.closed => limits::TIMEOUT_CLOSED,
            // One packet is no conversation, whatever it says.
            Transport::Tcp if self.packets[0].saturating_add(self.packets[1]) <= 1 => limits::TIMEOUT_NEW,
            Transport::Tcp if self.attached.is_some() => limits::TIMEOUT_MAIL,
            Transport::Tcp if self.packets[0] == 0 || self.packets[1] == 0 => limits::TIMEOUT_NEW,
            Transport::Tcp => limits::TIMEOUT_TCP,
        }
    }

    fn timed_out(&self, now: Timestamp) -> bool {
        now.since(self.last) > self.patience()
    }
}

/// The identity of a packet's flow that has no entry: of a transport that is not followed.
pub fn lone_identity(key: Key, sender_is_low: bool, vlans: Vlans, now: Timestamp) -> Flow {
    Entry { vlans, ..Entry::<()>::new(key, sender_is_low, now) }.identity()
}

/// All flows of one source.
#[derive(Debug)]
pub struct FlowTable<T> {
    index: HashTable<u32>,
    slots: Vec<Entry<T>>,
    free: Vec<u32>,
    hasher: RandomState,
    capacity: usize,
    /// The slot the sweeping hand looks at next.
    hand: usize,
    /// A bit for each slot: set where something was attached, cleared when it is met without.
    followed: Vec<u64>,
    /// The slot from which on the next to give way is looked for.
    seeker: usize,
}

/// The time of a packet, and the time by which flows have grown old.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    pub now: Timestamp,
    /// Behind `now` where `now` is in doubt: one packet with a wrong time must not end what is alive.
    pub ages: Timestamp,
}

impl From<Timestamp> for Clock {
    fn from(now: Timestamp) -> Self {
        Self { now, ages: now }
    }
}

/// The flows of a table that is no more.
pub type Flows<T> = std::iter::Filter<std::vec::IntoIter<Entry<T>>, fn(&Entry<T>) -> bool>;

/// Where a packet's flow is.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    slot: u32,
    /// True when this packet opened it.
    pub opened: bool,
}

impl<T> FlowTable<T> {
    /// A table of at most `capacity` flows. Its hash is keyed anew each time: an unkeyed one can be attacked
    /// through chosen ports.
    pub fn new(capacity: usize) -> Self {
        Self {
            index: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            hasher: RandomState::default(),
            capacity: capacity.clamp(1, u32::MAX as usize),
            hand: 0,
            followed: Vec::new(),
            seeker: 0,
        }
    }

    /// Flows in the table.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Bytes the table takes, attached boxes not counted, nor room that was set aside and never touched.
    pub fn memory(&self) -> usize {
        let small = self.free.capacity() * 4 + self.followed.capacity() * 8;
        self.slots.len() * size_of::<Entry<T>>() + self.index.allocation_size() + small
    }

    /// Finds or opens the flow of a packet. `ended` is given each flow that had to end for it: its own past life
    /// when that timed out, or another that gave up its place.
    pub fn find_or_open(
        &mut self,
        key: Key,
        sender_is_client: impl FnOnce() -> bool,
        sender_is_low: bool,
        clock: Clock,
        mut ended: impl FnMut(Entry<T>, EndReason),
    ) -> Place {
        let hash = self.hasher.hash_one(key);
        if let Some(&slot) = self.index.find(hash, |&slot| self.slots[slot as usize].key == key) {
            if !self.slots[slot as usize].timed_out(clock.ages) {
                return Place { slot, opened: false };
            }
            if let Some(entry) = self.remove(slot) {
                ended(entry, EndReason::TimedOut);
            }
        }
        if self.index.len() >= self.capacity
            && let Some(entry) = self.least_valuable().and_then(|slot| self.remove(slot))
        {
            ended(entry, EndReason::Evicted);
        }
        let client_is_low = sender_is_client() == sender_is_low;
        Place { slot: self.insert(hash, Entry::new(key, client_is_low, clock.now)), opened: true }
    }

    /// The flow at a place.
    pub fn get(&mut self, place: Place) -> &mut Entry<T> {
        &mut self.slots[place.slot as usize]
    }

    /// Ends the flow at a place and opens it anew with the same ends (port reuse).
    pub fn reopen(&mut self, place: Place, sender_is_low: bool, now: Timestamp) -> Entry<T> {
        let key = self.slots[place.slot as usize].key;
        std::mem::replace(&mut self.slots[place.slot as usize], Entry::new(key, sender_is_low, now))
    }

    /// Attaches what the flow at a place needs besides.
    pub fn attach(&mut self, place: Place, attached: Box<T>) {
        let (word, bit) = (place.slot as usize / 64, place.slot % 64);
        if self.followed.len() <= word {
            self.followed.resize(word + 1, 0);
        }
        self.followed[word] |= 1 << bit;
        self.get(place).attached = Some(attached);
    }

    /// Ends, to make room for what is attached, a flow with something attached: of the next of them one of a single packet,
    /// else one that is closed, else one of which one side alone was heard and that is quiet. Those under way must not drive
    /// each other out: they give way for a `beginning` alone, or they would be back with their next packet, and drive out
    /// others. It is the slowest since it began, so that whoever says a word a minute, however many they are and whether or
    /// not anybody answers, keeps out nobody who has something to say; nor do those who begin, however many, drive out
    /// whoever says it.
    pub fn evict_slowest(&mut self, now: Timestamp, beginning: bool) -> Option<Entry<T>> {
        let mut least: Option<(u8, u64, Timestamp, usize)> = None;
        let mut first = None;
        // Each one looked at costs a cache miss, and whoever is refused asks again with each packet.
        for looked in 1..=if beginning { SAMPLE } else { ENOUGH } {
            let Some(slot) = self.next_followed().filter(|slot| first != Some(*slot)) else { break };
            first.get_or_insert(slot);
            let entry = &self.slots[slot];
            let age = now.since(entry.started).as_secs();
            let pace = entry.bytes[0].saturating_add(entry.bytes[1]) / age.max(1);
            let slow = age >= limits::STREAM_GRACE.as_secs() && pace < limits::STREAM_SLOW;
            let quiet = now.since(entry.last) > limits::TIMEOUT_NEW;
            let (worth, pace) = match entry.packets {
                [0, 1] | [1, 0] => (LONE, 0),
                _ if entry.closed => (LONE + 1, 0),
                [0, _] | [_, 0] if quiet => (LONE + 2, 0),
                _ if beginning && (slow || quiet) => (LONE + 3, pace),
                _ => continue,
            };
            let worth = (worth, pace, entry.last, slot);
            least = Some(least.map_or(worth, |least| least.min(worth)));
            if looked >= ENOUGH && least.is_some_and(|(worth, ..)| worth == LONE) {
                break;
            }
        }
        self.remove(least?.3 as u32)
    }

    /// The next slot, from the seeker on and round, that has something attached.
    fn next_followed(&mut self) -> Option<usize> {
        // The word it begins in is looked at twice: from there on, and at last as a whole.
        for _ in 0..=self.followed.len() {
            let word = self.seeker / 64;
            let bits = self.followed.get_mut(word)?;
            let mut ahead = *bits & (u64::MAX << (self.seeker % 64));
            while ahead != 0 {
                let slot = word * 64 + ahead.trailing_zeros() as usize;
                if self.slots.get(slot).is_some_and(|entry| entry.attached.is_some()) {
                    self.seeker = (slot + 1) % (self.followed.len() * 64);
                    return Some(slot);
                }
                ahead &= ahead - 1;
                *bits &= !(1 << (slot % 64));
            }
            self.seeker = (word + 1) % self.followed.len() * 64;
        }
        None
    }

    /// Looks at the next `count` slots for flows that timed out.
    pub fn sweep(&mut self, count: usize, now: Timestamp, mut ended: impl FnMut(Entry<T>)) {
        for _ in 0..count.min(self.slots.len()) {
            self.hand = if self.hand + 1 < self.slots.len() { self.hand + 1 } else { 0 };
            if self.slots[self.hand].occupied
                && self.slots[self.hand].timed_out(now)
                && let Some(entry) = self.remove(self.hand as u32)
            {
                ended(entry);
            }
        }
    }

    /// All flows, in the order of their slots.
    pub fn places(&self) -> impl Iterator<Item = (Place, &Entry<T>)> {
        let slots = self.slots.iter().enumerate().filter(|(_, entry)| entry.occupied);
        slots.map(|(slot, entry)| (Place { slot: slot as u32, opened: false }, entry))
    }

    /// Slots in use or free: what a whole round of the hand looks at.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// All flows, in the order of their slots.
    pub fn into_flows(self) -> Flows<T> {
        self.slots.into_iter().filter(|entry: &Entry<T>| entry.occupied)
    }

    fn insert(&mut self, hash: u64, entry: Entry<T>) -> u32 {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = entry;
                slot
            }
            None => {
                self.slots.push(entry);
                (self.slots.len() - 1) as u32
            }
        };
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.index.insert_unique(hash, slot, |&slot| hasher.hash_one(slots[slot as usize].key));
        slot
    }

    fn remove(&mut self, slot: u32) -> Option<Entry<T>> {
        let key = self.slots[slot as usize].key;
        let found = self.index.find_entry(self.hasher.hash_one(key), |&other| other == slot);
        found.ok()?.remove();
        self.free.push(slot);
        let vacant = Entry { occupied: false, ..Entry::new(key, true, Timestamp::default()) };
        Some(std::mem::replace(&mut self.slots[slot as usize], vacant))
    }

    /// Whom to give up when the table is full: among the slots after the hand, a closed flow, else one that nobody
    /// answered, else the longest idle without anything attached, else the longest idle (DESIGN, section 9).
    fn least_valuable(&mut self) -> Option<u32> {
        let mut best: Option<(u8, Timestamp, usize)> = None;
        for looked in 1..=SAMPLE.min(self.slots.len()) {
            self.hand = if self.hand + 1 < self.slots.len() { self.hand + 1 } else { 0 };
            let entry = &self.slots[self.hand];
            if entry.occupied {
                let worth = (entry.worth(), entry.last, self.hand);
                best = Some(best.map_or(worth, |least| least.min(worth)));
            }
            // Under a flood there is no need to look far: each slot looked at costs a cache miss.
            if looked >= ENOUGH && best.is_some_and(|(worth, ..)| worth <= UNANSWERED) {
                break;
            }
        }
        best.map(|(_, _, slot)| slot as u32)
    }
}

impl<T> Entry<T> {
    fn new(key: Key, client_is_low: bool, now: Timestamp) -> Self {
        Self {
            key,
            started: now,
            last: now,
            bytes: [0; 2],
            packets: [0; 2],
            first_seq: [0; 2],
            tcp_flags: [0; 2],
            reopening: None,
            reopening_seq: 0,
            trust: [Trust::default(); 2],
            plain: [false; 2],
            vlans: Vlans::default(),
            client_is_low,
            midstream: false,
            ignored: false,
            closed: false,
            connect_told: false,
            syn_copied: false,
            dns: false,
            defect_told: false,
            occupied: true,
            attached: None,
        }
    }

    fn worth(&self) -> u8 {
        match (&self.attached, self.closed, self.packets[1]) {
            (None, true, _) => 0,
            (None, false, 0) => UNANSWERED,
            (None, false, _) => 2,
            (Some(_), true, _) => 3,
            (Some(_), false, _) => 4,
        }
    }
}

fn address_of(words: [u64; 2]) -> IpAddr {
    let bits = u128::from(words[0]) << 64 | u128::from(words[1]);
    Ipv6Addr::from(bits).to_canonical()
}

/// Slots looked at for the least valuable flow: enough to find a poor one, few enough to stay cheap under a flood.
const SAMPLE: usize = 64;
/// ... and after how many a closed or unanswered one will do: the oldest of eight is hardly ever one just opened.
const ENOUGH: usize = 8;
/// What a flow is worth that nobody answered; only a closed one is worth less.
const UNANSWERED: u8 = 1;
/// What a followed flow is worth that is a single packet; none is worth less.
const LONE: u8 = 0;

#[cfg(test)]
mod tests;
