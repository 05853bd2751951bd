//! A TCP conversation as a tap between two hosts sees it: handshake, segments, acknowledgements, end.
//!
//! The application is a script of [`Step`]s. The simulator gives it segments of the right size in growing flights,
//! delayed acknowledgements, the time each side needs to hear the other, and on request the accidents of a real
//! network. It is no full TCP: it knows what will be said, so it can write both sides at once.

use crate::capture::{Packet, in_time_order};
use crate::clock::{MICRO, MILLI, Nanos, SECOND};
use crate::host::{Endpoint, SynOption};
use crate::prng::Rng;
use crate::wire::{self, ACK, FIN, Ip, Link, PSH, RST, SYN, Tcp};

/// What happens next in a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The client writes these bytes, once it has heard all the server said.
    Client(Vec<u8>),
    /// The server writes these bytes, once it has heard all the client said.
    Server(Vec<u8>),
    /// The next to act takes this long, in place of [`Conversation::think`].
    Wait(Nanos),
    /// Remembers the time of the next packet of the script.
    Mark,
    ClientFin,
    ServerFin,
    ClientReset,
    ServerReset,
}

/// How the connection comes about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Opening {
    /// SYN, SYN-ACK, ACK.
    #[default]
    Answered,
    /// The SYN is answered with RST.
    Refused,
    /// Nothing answers; the SYN is sent three times.
    Unanswered,
    /// The capture begins after the handshake.
    Midstream,
}

/// Accidents, each as so many data segments in a thousand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Lost beyond the tap: the tap sees the segment and its retransmission.
    pub lost: u32,
    /// Lost before the tap: it sees only the retransmission, late.
    pub lost_before: u32,
    /// Swapped with the packet after it.
    pub reordered: u32,
    /// Seen twice.
    pub duplicated: u32,
    /// Delivered, but not captured.
    pub unseen: u32,
}

/// Two ends and what is between them.
#[derive(Clone, Copy, Debug)]
pub struct Conversation {
    pub client: Endpoint,
    pub server: Endpoint,
    pub vlan: Option<u16>,
    /// Time of the first packet.
    pub start: Nanos,
    pub opening: Opening,
    /// How long a side takes to answer when the script does not say.
    pub think: Nanos,
    pub faults: Faults,
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Played {
    /// In time order.
    pub packets: Vec<Packet>,
    /// The times of the [`Step::Mark`]s.
    pub marks: Vec<Nanos>,
    /// Time of the last packet.
    pub end: Nanos,
    /// Bytes of IP packets, both ways.
    pub ip_bytes: u64,
}

impl Conversation {
    /// A conversation without accidents.
    pub fn new(client: Endpoint, server: Endpoint, start: Nanos, seed: u64) -> Self {
        let (opening, faults) = (Opening::default(), Faults::default());
        Self { client, server, vlan: None, start, opening, think: 500 * MICRO, faults, seed }
    }

    /// Plays the script. Steps after a refused or unanswered opening do not happen.
    pub fn play(&self, steps: &[Step]) -> Played {
        let mut player = Player::new(self);
        if player.open(self.opening) {
            steps.iter().for_each(|step| player.step(step));
        }
        player.finish()
    }
}

const CLIENT: usize = 0;
const SERVER: usize = 1;

struct Player<'a> {
    plan: &'a Conversation,
    rng: Rng,
    sides: [Side; 2],
    timestamps: bool,
    /// Data bytes in a segment.
    segment: usize,
    wait: Option<Nanos>,
    mark: bool,
    packets: Vec<Packet>,
    /// Indices of data segments, for the faults that are applied at the end.
    data: Vec<usize>,
    marks: Vec<Nanos>,
}

struct Side {
    at: Endpoint,
    seq: u32,
    /// The next byte expected from the peer.
    expects: u32,
    ip_id: u16,
    window: u16,
    timestamp_base: u32,
    last_timestamp: u32,
    /// When it can act again: after its own last packet, and after it heard the peer's.
    ready: Nanos,
    /// Until when it may delay acknowledging a segment.
    ack_due: Option<Nanos>,
    /// Segments it sends before it waits for acknowledgements.
    flight: usize,
}

impl<'a> Player<'a> {
    fn new(plan: &'a Conversation) -> Self {
        let mut rng = Rng::new(plan.seed);
        let timestamps = plan.client.stack.timestamps() && plan.server.stack.timestamps();
        let scaled = plan.client.stack.scale().is_some() && plan.server.stack.scale().is_some();
        let mut side = |at: Endpoint| Side {
            at,
            seq: rng.next_u32(),
            expects: 0,
            ip_id: rng.next_u16(),
            window: match at.stack.scale() {
                Some(shift) if scaled => (65_535u32 >> shift) as u16,
                _ => at.stack.window.max(16_384),
            },
            timestamp_base: rng.next_u32() >> 4,
            last_timestamp: 0,
            ready: plan.start,
            ack_due: None,
            flight: 4,
        };
        let sides = [side(plan.client), side(plan.server)];
        let segment = usize::from(plan.client.stack.mss.min(plan.server.stack.mss));
        let segment = segment - if timestamps { 12 } else { 0 } - if plan.client.ip.is_ipv6() { 20 } else { 0 };
        Self {
            plan,
            rng,
            sides,
            timestamps,
            segment,
            wait: None,
            mark: false,
            packets: vec![],
            data: vec![],
            marks: vec![],
        }
    }

    /// Returns whether the connection stands.
    fn open(&mut self, opening: Opening) -> bool {
        let start = self.plan.start;
        let [to_client, to_server] = [self.plan.client.round_trip, self.plan.server.round_trip];
        if opening == Opening::Midstream {
            self.sides[CLIENT].expects = self.sides[SERVER].seq;
            self.sides[SERVER].expects = self.sides[CLIENT].seq;
            return true;
        }
        self.emit(CLIENT, start, SYN, &[]);
        match opening {
            Opening::Unanswered => {
                for again in [3 * SECOND, 9 * SECOND] {
                    self.sides[CLIENT].seq = self.sides[CLIENT].seq.wrapping_sub(1);
                    self.emit(CLIENT, start + again, SYN, &[]);
                }
                false
            }
            Opening::Refused => {
                self.sides[SERVER].expects = self.sides[CLIENT].seq;
                self.sides[SERVER].seq = 0;
                self.emit(SERVER, start + to_server, RST | ACK, &[]);
                false
            }
            _ => {
                self.sides[SERVER].expects = self.sides[CLIENT].seq;
                self.emit(SERVER, start + to_server, SYN | ACK, &[]);
                self.sides[CLIENT].expects = self.sides[SERVER].seq;
                let answered = start + to_server + to_client;
                self.emit(CLIENT, answered, ACK, &[]);
                self.sides[CLIENT].ready = answered + 10 * MICRO;
                self.sides[SERVER].ready = answered + to_server;
                true
            }
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Client(data) => self.say(CLIENT, data),
            Step::Server(data) => self.say(SERVER, data),
            Step::Wait(span) => self.wait = Some(self.wait.unwrap_or(0) + span),
            Step::Mark => self.mark = true,
            Step::ClientFin => self.close(CLIENT, FIN | ACK),
            Step::ServerFin => self.close(SERVER, FIN | ACK),
            Step::ClientReset => self.close(CLIENT, RST | ACK),
            Step::ServerReset => self.close(SERVER, RST | ACK),
        }
    }

    /// Sends `data` in flights: each waits for the acknowledgement of the one before.
    fn say(&mut self, who: usize, data: &[u8]) {
        let mut at = self.turn(who);
        let segments: Vec<&[u8]> = data.chunks(self.segment).collect();
        let mut rest = segments.as_slice();
        while !rest.is_empty() {
            let (flight, later) = rest.split_at(self.sides[who].flight.min(rest.len()));
            let acknowledged = self.fly(who, at, flight, later.is_empty());
            at = acknowledged + self.sides[who].at.round_trip;
            rest = later;
            self.sides[who].flight = (self.sides[who].flight * 2).min(MOST_IN_FLIGHT);
        }
    }

    /// Sends one flight and has it acknowledged, all of it unless it is the `last`. Returns when the tap saw the
    /// last acknowledgement.
    fn fly(&mut self, who: usize, start: Nanos, flight: &[&[u8]], last: bool) -> Nanos {
        let peer = 1 - who;
        let hears = self.sides[peer].at.round_trip;
        let mut at = start;
        let mut acknowledged = start + hears;
        let mut hole: Option<(usize, u32)> = None;
        let mut behind_hole = 0;
        for (index, data) in flight.iter().enumerate() {
            at = start + index as i64 * SEGMENT_TIME;
            let push = if last && index + 1 == flight.len() { PSH } else { 0 };
            let lost_before = hole.is_none() && self.rng.chance(self.plan.faults.lost_before);
            let lost = hole.is_none() && (lost_before || self.rng.chance(self.plan.faults.lost));
            let seq = self.sides[who].seq;
            let sent = self.emit(who, at, ACK | push, data);
            if lost_before {
                self.packets.pop();
            } else {
                self.data.push(sent);
            }
            if lost {
                hole = Some((index, seq));
            } else if hole.is_some() {
                // RFC 5681, section 4.2: out-of-order data is acknowledged at once, with the hole's beginning.
                behind_hole += 1;
                self.emit(peer, at + hears, ACK, &[]);
            } else {
                self.sides[peer].expects = self.sides[who].seq;
                if self.sides[peer].ack_due.take().is_some() {
                    acknowledged = at + hears;
                    self.emit(peer, acknowledged, ACK, &[]);
                } else {
                    self.sides[peer].ack_due = Some(at + hears + self.sides[peer].at.stack.delayed_ack);
                }
            }
        }
        if let Some((index, seq)) = hole {
            // Three duplicates call for the segment at once (RFC 5681, section 3.2); otherwise the timer does.
            let timer = if behind_hole >= 3 { 0 } else { RETRANSMISSION_TIME };
            at += hears + self.sides[who].at.round_trip + timer;
            self.flush_acks(at);
            let after = std::mem::replace(&mut self.sides[who].seq, seq);
            let again = self.emit(who, at, ACK, flight[index]);
            self.data.push(again);
            self.sides[who].seq = after;
            self.sides[peer].expects = after;
            self.sides[peer].ack_due = Some(at + hears);
        }
        if !last && self.sides[peer].ack_due.take().is_some() {
            acknowledged = at + hears;
            self.emit(peer, acknowledged, ACK, &[]);
        }
        self.sides[who].ready = at + SEGMENT_TIME;
        self.sides[peer].ready = self.sides[peer].ready.max(at + hears);
        acknowledged
    }

    fn close(&mut self, who: usize, flags: u8) {
        let at = self.turn(who);
        self.emit(who, at, flags, &[]);
        let peer = 1 - who;
        let hears = self.sides[peer].at.round_trip;
        self.sides[who].ready = at + SEGMENT_TIME;
        self.sides[peer].ready = self.sides[peer].ready.max(at + hears);
        if flags & FIN != 0 {
            self.sides[peer].expects = self.sides[who].seq;
            self.sides[peer].ack_due = Some(at + hears);
        } else {
            self.sides[CLIENT].ack_due = None;
            self.sides[SERVER].ack_due = None;
        }
    }

    /// When `who` acts next. Acknowledgements due until then are sent; its own travels with what it says.
    fn turn(&mut self, who: usize) -> Nanos {
        let think = self.wait.take().unwrap_or_else(|| self.plan.think + self.rng.between(0, self.plan.think / 4 + 1));
        let at = self.sides[who].ready + think;
        self.flush_acks(at);
        self.sides[who].ack_due = None;
        if std::mem::take(&mut self.mark) {
            self.marks.push(at);
        }
        at
    }

    /// Sends the acknowledgements that were delayed long enough.
    fn flush_acks(&mut self, until: Nanos) {
        for who in [CLIENT, SERVER] {
            if let Some(due) = self.sides[who].ack_due.filter(|due| *due <= until) {
                self.emit(who, due, ACK, &[]);
                self.sides[who].ack_due = None;
                self.sides[who].ready = self.sides[who].ready.max(due + MICRO);
            }
        }
    }

    /// Puts one segment on the wire and counts its bytes; returns its index.
    fn emit(&mut self, who: usize, at: Nanos, flags: u8, data: &[u8]) -> usize {
        let mut options = Vec::new();
        if flags & SYN != 0 {
            self.syn_options(who, at, flags, &mut options);
        } else if self.timestamps && flags & RST == 0 {
            options.extend([1, 1]);
            self.timestamp(who, at, &mut options);
        }
        let peer = self.sides[1 - who].at;
        let side = &mut self.sides[who];
        let acknowledges = if flags & ACK != 0 { side.expects } else { 0 };
        let window = match flags {
            _ if flags & RST != 0 => 0,
            _ if flags & SYN != 0 => side.at.stack.window,
            _ => side.window,
        };
        let header = Tcp {
            src_port: side.at.port,
            dst_port: peer.port,
            seq: side.seq,
            ack: acknowledges,
            flags,
            window,
            options: &options,
        };
        let link = Link { src: side.at.mac, dst: peer.mac, vlan: self.plan.vlan };
        let ip = Ip { src: side.at.ip, dst: peer.ip, ttl: side.at.ttl(), id: side.ip_id, df: true };
        let mut frame = Vec::with_capacity(14 + 60 + data.len());
        wire::tcp(&mut frame, &link, &ip, &header, data);
        side.ip_id = side.ip_id.wrapping_add(1);
        let counted = data.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        side.seq = side.seq.wrapping_add(counted);
        self.packets.push(Packet { time: at, data: frame });
        self.packets.len() - 1
    }

    /// A SYN-ACK offers only what the SYN offered (RFC 7323, sections 2.2 and 3.2).
    fn syn_options(&mut self, who: usize, at: Nanos, flags: u8, options: &mut Vec<u8>) {
        let stack = self.sides[who].at.stack;
        let asked = self.plan.client.stack;
        let v6 = self.sides[who].at.ip.is_ipv6();
        let answer = flags & ACK != 0;
        for option in stack.options {
            match option {
                SynOption::Mss => {
                    options.extend([2, 4]);
                    options.extend((stack.mss - if v6 { 20 } else { 0 }).to_be_bytes());
                }
                SynOption::Nop => options.push(1),
                SynOption::SackPermitted => options.extend([4, 2]),
                SynOption::Timestamps if answer && !asked.timestamps() => options.extend([1, 1]),
                SynOption::Timestamps => self.timestamp(who, at, options),
                SynOption::Scale(_) if answer && asked.scale().is_none() => options.extend([1, 1, 1]),
                SynOption::Scale(shift) => options.extend([3, 3, *shift]),
            }
        }
        options.resize(options.len().next_multiple_of(4), 0);
    }

    fn timestamp(&mut self, who: usize, at: Nanos, options: &mut Vec<u8>) {
        let echo = self.sides[1 - who].last_timestamp;
        let side = &mut self.sides[who];
        let ticks = ((at - self.plan.start).max(0) / MILLI) as u32;
        side.last_timestamp = side.timestamp_base.wrapping_add(ticks);
        options.extend([8, 10]);
        options.extend(side.last_timestamp.to_be_bytes());
        options.extend(echo.to_be_bytes());
    }

    fn finish(mut self) -> Played {
        self.flush_acks(Nanos::MAX);
        self.spoil();
        in_time_order(&mut self.packets);
        let end = self.packets.last().map_or(self.plan.start, |packet| packet.time);
        let ip_bytes = self.packets.iter().map(|packet| wire::ip_length(&packet.data)).sum();
        Played { packets: self.packets, marks: self.marks, end, ip_bytes }
    }

    /// Applies the accidents that happen to packets, not to the conversation.
    fn spoil(&mut self) {
        let Faults { reordered, duplicated, unseen, .. } = self.plan.faults;
        if reordered + duplicated + unseen == 0 {
            return;
        }
        let mut gone = Vec::new();
        for index in std::mem::take(&mut self.data) {
            let time = self.packets[index].time;
            if self.rng.chance(unseen) {
                gone.push(index);
            } else if self.rng.chance(duplicated) {
                let data = self.packets[index].data.clone();
                self.packets.push(Packet { time: time + 2 * MICRO, data });
            } else if self.rng.chance(reordered) {
                self.packets[index].time = time + SEGMENT_TIME + MICRO;
            }
        }
        for index in gone {
            self.packets[index].data.clear();
        }
        self.packets.retain(|packet| !packet.data.is_empty());
    }
}

/// Between two segments of a flight: 1,500 bytes take 120 microseconds at 100 Mbit/s.
const SEGMENT_TIME: Nanos = 120 * MICRO;
const RETRANSMISSION_TIME: Nanos = 300 * MILLI;
/// Stays below the smallest window in use: 8 * 1,460 < 16,384.
const MOST_IN_FLIGHT: usize = 8;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::Ipv4Addr;

    use etherparse::{SlicedPacket, TransportSlice};

    use super::*;
    use crate::host::{Host, LINUX, WINDOWS_XP};

    fn plan(seed: u64) -> Conversation {
        let client = Host::home("c", Ipv4Addr::new(10, 20, 1, 5), "user", &WINDOWS_XP);
        let server = Host::outside("s", Ipv4Addr::new(192, 0, 2, 9), "web", &LINUX);
        Conversation::new(client.endpoint(client.ip(), 1025), server.endpoint(server.ip(), 80), SECOND, seed)
    }

    fn script() -> (Vec<Step>, Vec<u8>, Vec<u8>) {
        let (up, down) = (Rng::new(5).bytes(30_000), Rng::new(6).bytes(70_001));
        let steps = vec![
            Step::Server(b"hello".to_vec()),
            Step::Wait(SECOND),
            Step::Mark,
            Step::Client(up.clone()),
            Step::Server(down.clone()),
            Step::ClientFin,
            Step::ServerFin,
        ];
        (steps, up, [b"hello".to_vec(), down].concat())
    }

    /// Puts both directions together by sequence number alone.
    fn reassemble(packets: &[Packet]) -> [Vec<u8>; 2] {
        let mut streams = [BTreeMap::new(), BTreeMap::new()];
        let mut base = [None, None];
        for packet in packets {
            let parsed = SlicedPacket::from_ethernet(&packet.data).unwrap();
            let Some(TransportSlice::Tcp(tcp)) = parsed.transport else { panic!("not TCP") };
            let side = usize::from(tcp.source_port() == 80);
            if tcp.syn() {
                base[side] = Some(tcp.sequence_number().wrapping_add(1));
            } else if !tcp.payload().is_empty() {
                let offset = tcp.sequence_number().wrapping_sub(base[side].unwrap());
                streams[side].insert(offset, tcp.payload().to_vec());
            }
        }
        streams.map(|stream| {
            stream.into_iter().fold(Vec::new(), |mut whole, (offset, data)| {
                assert_eq!(whole.len(), offset as usize, "a hole");
                whole.extend(data);
                whole
            })
        })
    }

    #[test]
    fn both_sides_arrive_whole() {
        let (steps, up, down) = script();
        let played = plan(1).play(&steps);
        assert_eq!(reassemble(&played.packets), [up, down]);
        assert!(played.packets.is_sorted_by_key(|packet| packet.time));
        assert_eq!(played.marks.len(), 1);
        assert!(played.marks[0] > 2 * SECOND && played.end > played.marks[0]);
    }

    #[test]
    fn what_was_lost_is_sent_again() {
        let (steps, up, down) = script();
        for faults in [
            Faults { lost: 100, ..Faults::default() },
            Faults { lost_before: 100, ..Faults::default() },
            Faults { reordered: 100, duplicated: 100, ..Faults::default() },
        ] {
            let clean = plan(1).play(&steps).packets.len();
            let played = Conversation { faults, ..plan(1) }.play(&steps);
            assert_eq!(reassemble(&played.packets), [up.clone(), down.clone()], "{faults:?}");
            assert!(played.packets.len() > clean, "{faults:?}");
        }
    }

    #[test]
    fn the_capture_can_miss_packets() {
        let (steps, ..) = script();
        let clean = plan(1).play(&steps).packets.len();
        let faults = Faults { unseen: 100, ..Faults::default() };
        assert!(Conversation { faults, ..plan(1) }.play(&steps).packets.len() < clean);
    }

    #[test]
    fn no_connection_no_conversation() {
        let (steps, ..) = script();
        let count = |opening| Conversation { opening, ..plan(1) }.play(&steps).packets.len();
        assert_eq!((count(Opening::Refused), count(Opening::Unanswered)), (2, 3));
        assert_eq!(count(Opening::Midstream), count(Opening::Answered) - 3);
    }
}
