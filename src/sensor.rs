//! Packets to events: decodes, finds the flow, reassembles what may be mail or DNS, and says what was said.
//!
//! Pure: packets and their times go in, events come out through [`Sensor::drain`]. A background packet costs one
//! decode and one look-up in the flow table; only flows that are, or may be, mail or DNS get a
//! conversation of its own.

mod aside;
mod conversation;
mod datagrams;
mod ends;
mod judge;
mod keep;
mod relief;
mod smtp_account;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use aside::is_unfit;
use conversation::{App, Conversation, Heard, Listener, close_framers, detail, dns_anomaly};
use judge::{PortSet, Wanted, is_believed_reset, is_copied_syn, is_reuse, is_served, sender_is_client, wanted};
use keep::Keep;
use smtp_account::SmtpAccount;

use crate::capture::Packet;
use crate::decode::{self, Decoded, Decoder, Segment};
use crate::flow::flags::{ACK, FIN, RST, SYN};
use crate::flow::flood::Told;
use crate::flow::{Clock, Entry, Floods, FlowTable, Flows, Key, Knock, Place, Room, TcpPart, Trust};
use crate::model::event::{Anomaly, ConnectOutcome, EndReason, Event, EventKind, Layer};
use crate::model::limits;
use crate::model::net::{Flow, HomeNet, Mac, Side, Transport};
use crate::model::settings::{SensorSettings, TICK};
use crate::model::stats::{CaptureStats, SensorStats};
use crate::model::time::Timestamp;
use crate::protocol::dns::{self, TcpFramer};
use crate::protocol::smtp::{Context, Said, Session, Standing};

/// One source's packets to events.
#[derive(Debug)]
pub struct Sensor {
    decoder: Decoder,
    core: Core,
}

/// All but the decoder, from which decoded packets are borrowed.
#[derive(Debug)]
struct Core {
    settings: SensorSettings,
    mail_ports: PortSet,
    table: FlowTable<Conversation>,
    floods: Floods,
    stats: SensorStats,
    smtp_account: SmtpAccount,
    source: u16,
    at: At,
    next_tick: Option<Timestamp>,
    /// Slots of the table still to be looked at for this tick.
    to_sweep: usize,
    /// Flows still to be ended, once the capture is over.
    ending: Option<Flows<Conversation>>,
    next_seq: u64,
    events: Vec<Event>,
    /// Bytes of the messages and packets in them.
    event_bytes: usize,
    /// Flows that ended while a place was sought for another.
    ended: Vec<(Entry<Conversation>, EndReason)>,
    /// What the protocols said of the packet at hand.
    heard: Heard,
    /// How much of the packet at hand may be kept as evidence.
    keep: Keep,
    /// Floods that are to be told.
    told: Told,
}

/// Where we are in the capture.
#[derive(Clone, Copy, Debug, Default)]
struct At {
    time: Timestamp,
    packet: u64,
    file: u32,
    /// Time of the packet before. Idle flows are aged by the earlier of the two, so that a single packet from the
    /// far future (a damaged record, a clock that jumped) does not end everything.
    before: Timestamp,
}

impl At {
    fn clock(&self) -> Clock {
        Clock { now: self.time, ages: self.time.min(self.before) }
    }
}

impl Sensor {
    /// A sensor for the source with this number.
    pub fn new(settings: SensorSettings, source: u16) -> Self {
        let shares = &settings.shares;
        let decoder = Decoder::new().with_room_for(shares.fragment_bytes, shares.fragment_datagrams);
        let core = Core {
            mail_ports: PortSet::new(&settings.mail_ports),
            table: FlowTable::new(settings.flows),
            floods: Floods::telling(settings.flood_packets),
            stats: SensorStats::default(),
            smtp_account: SmtpAccount::new(settings.shares.smtp_bytes as u64),
            source,
            at: At::default(),
            next_tick: None,
            to_sweep: 0,
            ending: None,
            next_seq: 0,
            events: Vec::new(),
            event_bytes: 0,
            ended: Vec::new(),
            heard: Heard::default(),
            keep: Keep::Nothing,
            told: Told::new(),
            settings,
        };
        Self { decoder, core }
    }

    /// Takes the next packet.
    pub fn packet(&mut self, packet: &Packet<'_>) {
        let core = &mut self.core;
        core.arrive(packet);
        // Time goes back when two packets say so: sources whose clocks differ must not bring a tick with each packet.
        let latest = packet.time.max(core.at.before);
        if core.next_tick.is_none_or(|due| packet.time >= due || due.since(latest) > 2 * TICK) {
            core.stats.decode = self.decoder.stats().clone();
            core.tick(packet.time);
        } else if core.to_sweep > 0 {
            core.sweep();
        }
        match self.decoder.decode(packet.link, packet.data, packet.wire_len, packet.time) {
            Decoded::Tcp(segment) => {
                core.tcp(&segment, packet);
                if core.keep != Keep::Nothing {
                    core.keep_packet(packet, &segment.ip, segment.payload);
                }
            }
            Decoded::Udp(datagram) => {
                core.udp(&datagram);
                if core.keep != Keep::Nothing {
                    core.keep_packet(packet, &datagram.ip, datagram.payload);
                }
            }
            Decoded::Other(ip, protocol) => core.other(&ip, protocol),
            Decoded::Echo(ip, protocol) => core.echo(&ip, protocol),
            Decoded::Nothing => {}
        }
        for anomaly in self.decoder.take_anomalies() {
            core.push(None, EventKind::Anomaly(anomaly));
        }
    }

    /// The wire is idle, and it is `now`: ages flows.
    pub fn idle(&mut self, now: Timestamp) {
        self.core.at = At { time: now, before: now, packet: 0, ..self.core.at };
        // As with a packet: the clock may have been set back.
        if self.core.next_tick.is_none_or(|due| now >= due || due.since(now) > 2 * TICK) {
            self.core.stats.decode = self.decoder.stats().clone();
            self.core.tick(now);
        } else if self.core.to_sweep > 0 {
            self.core.sweep();
        }
    }

    /// Packets of hosts in these networks are kept from here on, where any are kept.
    pub fn answer_for(&mut self, home: HomeNet) {
        if let Some(kept) = &mut self.core.settings.keep_packets_of {
            *kept = home;
        }
    }

    /// Losses only the source knows of.
    pub fn note_losses(&mut self, losses: &CaptureStats) {
        let capture = &mut self.core.stats.capture;
        capture.kernel_drops = losses.kernel_drops;
        capture.interface_drops = losses.interface_drops;
        capture.damaged = losses.damaged;
        (capture.outages, capture.rings, capture.rings_up) = (losses.outages, losses.rings, losses.rings_up);
    }

    /// The capture is over: ends all flows and tells the final counters.
    pub fn finish(&mut self) {
        while self.wind_up() {}
    }

    /// As [`Sensor::finish`], but some flows at a time, so that the events of a million flows need not be held at once.
    /// True while there are more.
    pub fn wind_up(&mut self) -> bool {
        let core = &mut self.core;
        core.at.packet = 0;
        if core.to_sweep > 0 {
            core.sweep();
            return true;
        }
        let flows =
            core.ending.get_or_insert_with(|| std::mem::replace(&mut core.table, FlowTable::new(1)).into_flows());
        core.ended.extend(flows.by_ref().take(SWEEP).map(|entry| (entry, EndReason::Shutdown)));
        if !core.ended.is_empty() {
            core.end_flows();
            return true;
        }
        core.floods.finish(&mut core.told);
        core.push_floods();
        core.stats.decode = self.decoder.stats().clone();
        core.push_stats();
        false
    }

    /// Events raised since the last call, in order.
    pub fn drain(&mut self) -> Vec<Event> {
        self.core.event_bytes = 0;
        std::mem::take(&mut self.core.events)
    }

    /// How many events wait to be drained.
    pub fn waiting(&self) -> usize {
        self.core.events.len()
    }

    /// Whether they are enough for a batch: by number, or by the bytes of their messages, which no account has while they
    /// wait here.
    pub fn has_batch(&self) -> bool {
        self.waiting() >= limits::BATCH || self.core.event_bytes >= limits::BATCH_BYTES
    }

    /// Counters so far; those of the decoder as of the last tick.
    pub fn stats(&self) -> &SensorStats {
        &self.core.stats
    }
}

impl Core {
    fn arrive(&mut self, packet: &Packet<'_>) {
        let before =
            if self.at.packet == 0 && self.at.time == Timestamp::default() { packet.time } else { self.at.time };
        self.at = At { time: packet.time, packet: packet.number, file: packet.file, before };
        let capture = &mut self.stats.capture;
        capture.packets += 1;
        capture.bytes += u64::from(packet.wire_len);
        capture.cut += u64::from((packet.data.len() as u64) < u64::from(packet.wire_len));
    }

    /// Once a second of packet time: ages flows, tells the counters.
    fn tick(&mut self, now: Timestamp) {
        let late = self.next_tick.map_or(Duration::ZERO, |due| now.since(due));
        // A round of the hand takes four seconds, however many ticks those are.
        let quarters = (late.as_secs() + 1).min(4) as usize;
        self.to_sweep = (self.table.slots() / 4 + 1) * quarters;
        self.sweep();
        self.floods.tick(now, &mut self.told);
        self.push_floods();
        self.next_tick = Some(now.plus(TICK));
        self.push_stats();
    }

    /// Looks at some slots of the table for flows that timed out. A packet pays for no more: after a flood a whole
    /// table may have timed out, and its events must not pile up.
    fn sweep(&mut self) {
        let piece = self.to_sweep.min(SWEEP);
        self.table.sweep(piece, self.at.clock().ages, |entry| self.ended.push((entry, EndReason::TimedOut)));
        self.end_flows();
        self.to_sweep -= piece;
    }

    fn push_stats(&mut self) {
        let flow = &mut self.stats.flow;
        flow.active = self.table.len() as u64;
        let conversations = flow.streams as usize * (size_of::<Conversation>() + size_of::<Flow>() + COMMUNITY_ID);
        flow.table_bytes = (self.table.memory() + conversations) as u64;
        let stats = Box::new(self.stats.clone());
        self.push(None, EventKind::Tick(stats));
    }

    fn push(&mut self, flow: Option<Arc<Flow>>, kind: EventKind) {
        let At { time, packet, file, .. } = self.at;
        self.event_bytes += match &kind {
            EventKind::Smtp(smtp) => smtp.message.as_ref().map_or(0, |message| message.bytes.len()),
            EventKind::Packet(packet) => packet.data.len(),
            _ => 0,
        };
        self.events.push(Event { seq: self.next_seq, time, source: self.source, file, packet, flow, kind });
        self.next_seq += 1;
    }

    fn tcp(&mut self, segment: &Segment<'_>, packet: &Packet<'_>) {
        let (key, low) = Key::new(segment.ip.src, segment.src_port, segment.ip.dst, segment.dst_port, Transport::Tcp);
        let now = self.at.time;
        let guess = || sender_is_client(segment, &self.mail_ports);
        let mut place =
            self.table.find_or_open(key, guess, low, self.at.clock(), |entry, why| self.ended.push((entry, why)));
        if place.opened {
            self.note_opening(place, segment);
        }
        if self.is_set_aside(place, low, segment) {
            self.end_flows();
            return;
        }
        if !place.opened && is_reuse(self.table.get(place), segment, low) {
            let sender_is_client = segment.flags & ACK == 0;
            let client_is_low = if sender_is_client { low } else { !low };
            let old = self.table.reopen(place, client_is_low, now);
            self.ended.push((old, EndReason::Replaced));
            place.opened = true;
            self.note_opening(place, segment);
        }
        if !self.ended.is_empty() {
            self.end_flows();
        }
        let entry = self.table.get(place);
        let side = entry.side(low);
        let is_copy = !place.opened && is_copied_syn(entry, segment, side, now);
        entry.syn_copied = is_copy;
        entry.count(side, segment.ip.bytes, now);
        // The first SYN-ACK names the SYN it answers; any other SYN before it was not taken.
        let before = entry.tcp_flags[side.index()];
        let answers = segment.flags & (SYN | ACK) == SYN | ACK && before & (SYN | ACK) != SYN | ACK;
        // Its SYN is relied on from now on (`Conversation::new`), so the first must be noted, late as it may come.
        if segment.flags & SYN != 0 && (place.opened || answers || before & SYN == 0) {
            entry.first_seq[side.index()] = segment.seq.wrapping_add(1);
        }
        if answers {
            entry.first_seq[side.other().index()] = segment.ack;
        }
        if segment.flags & (SYN | ACK) == SYN
            && side == Side::Client
            && !is_copy
            && !is_served(entry.server_port(), &self.mail_ports)
        {
            let identity = || entry.identity();
            self.floods.count(
                segment.ip.src,
                segment.ip.dst,
                Knock::Syn(segment.dst_port),
                now,
                identity,
                &mut self.told,
            );
        }
        let reset = is_believed_reset(entry, segment, side);
        entry.tcp_flags[side.index()] |= segment.flags;
        let both_fin = entry.tcp_flags[0] & entry.tcp_flags[1] & FIN != 0;
        // Of a conversation the end is told when all of it was heard.
        entry.closed |= reset || (both_fin && entry.attached.is_none());
        let port = entry.server_port();
        let mail_port = self.mail_ports.contains(port);
        if mail_port || port == dns::PORT {
            self.keep = Keep::Headers;
        }
        if !entry.connect_told && mail_port {
            let flags = segment.flags & !RST | if reset { RST } else { 0 };
            self.connect(place, side, flags, || decode::hardware(packet.link, packet.data, &segment.ip));
        }
        self.follow(place, low, segment);
        if !self.told.is_empty() {
            self.push_floods();
        }
    }

    fn note_opening(&mut self, place: Place, segment: &Segment<'_>) {
        self.stats.flow.tcp_opened += 1;
        let entry = self.table.get(place);
        entry.vlans = segment.ip.vlans;
        entry.midstream = segment.flags & SYN == 0;
    }

    /// Tells how an attempt to open a mail connection ended, and over which hardware the answer came.
    fn connect(&mut self, place: Place, side: Side, flags: u8, hardware: impl Fn() -> Option<[Mac; 2]>) {
        let entry = self.table.get(place);
        let outcome = match (side, flags & SYN != 0, flags & RST != 0) {
            (Side::Server, true, _) if flags & ACK != 0 => ConnectOutcome::Answered,
            (Side::Server, _, true) if entry.tcp_flags[0] & SYN != 0 => ConnectOutcome::Refused,
            _ => return,
        };
        entry.connect_told = true;
        let flow = entry.attached.as_ref().map_or_else(|| Arc::new(entry.identity()), |c| Arc::clone(&c.flow));
        if outcome == ConnectOutcome::Answered
            && let Some([server, client]) = hardware()
        {
            self.push(Some(Arc::clone(&flow)), EventKind::Hardware([client, server]));
        }
        self.push(Some(flow), EventKind::Connect(outcome));
    }

    /// Sees to it that the flow of a segment has a conversation, if it deserves one; whether it has.
    fn attach(&mut self, place: Place, low: bool, segment: &Segment<'_>) -> bool {
        let entry = self.table.get(place);
        let has_payload = !segment.payload.is_empty() || segment.missing > 0;
        if entry.attached.is_none() {
            if entry.ignored || !has_payload {
                return false;
            }
            let app = match wanted(entry, low, segment, &self.mail_ports) {
                Wanted::Smtp { expected } => {
                    let bound = self.settings.message_bytes;
                    App::Smtp(Box::new(Session::new(entry.started, expected, entry.midstream, bound)))
                }
                Wanted::Dns if entry.midstream => {
                    App::DnsOverTcp([TcpFramer::midstream(), TcpFramer::midstream()].into())
                }
                Wanted::Dns => App::DnsOverTcp([TcpFramer::new(), TcpFramer::new()].into()),
                Wanted::No => {
                    entry.ignored = true;
                    return false;
                }
            };
            if self.stats.flow.streams >= self.settings.shares.streams as u64 {
                // A stranger's packets, each of another flow, must not keep out those who converse, nor must those who
                // say a word a minute.
                let beginning =
                    !entry.midstream && entry.packets[0].saturating_add(entry.packets[1]) <= limits::STREAM_BEGINNING;
                let Some(slow) = self.table.evict_slowest(self.at.time, beginning) else {
                    self.stats.flow.streams_refused += 1;
                    return false;
                };
                self.end_flow(slow, EndReason::Evicted);
            }
            self.stats.flow.streams += 1;
            let conversation = Conversation::new(self.table.get(place), app, Room::of(&self.settings.shares));
            self.table.attach(place, Box::new(conversation));
        }
        true
    }

    /// The same, where what its receiver drops must not decide what the flow is taken for.
    fn attach_fit(&mut self, place: Place, low: bool, segment: &Segment<'_>) -> bool {
        let entry = self.table.get(place);
        !is_unfit(entry, entry.side(low), segment) && self.attach(place, low, segment)
    }

    /// Gives a segment to the conversation of its flow, if it has or deserves one.
    fn follow(&mut self, place: Place, low: bool, segment: &Segment<'_>) {
        let entry = self.table.get(place);
        // What most packets belong to: nothing that is followed.
        if entry.attached.is_none() && (entry.ignored || !self.attach_fit(place, low, segment)) {
            return;
        }
        let entry = self.table.get(place);
        let side = entry.side(low);
        let Some(conversation) = entry.attached.as_deref_mut() else { return };
        self.keep = Keep::of(&conversation.app);
        if conversation.is_followed() {
            conversation.note_timestamps(side, segment);
            let part = TcpPart {
                seq: segment.seq,
                ack: (segment.flags & ACK != 0).then_some(segment.ack),
                flags: segment.flags,
                payload: segment.payload,
                missing: segment.missing,
                urgent: segment.urgent(),
            };
            let SensorStats { flow, smtp, dns, .. } = &mut self.stats;
            let (heard, detail) = (&mut self.heard, detail(&self.settings));
            let (now, trust) = (self.at.time, [&mut entry.trust, &mut conversation.trust_long]);
            let app = &mut conversation.app;
            let dns_bound = self.settings.shares.dns_bytes;
            let mut listener = Listener { app, smtp, dns, heard, now, detail, dns_bound, trust, delivered: 0 };
            conversation.stream.segment(side, &part, self.at.time, flow, &mut listener);
            let whole = listener.delivered == segment.payload.len() && segment.missing == 0;
            // Who goes on after a reset did not mean it, or it did not get far.
            entry.closed &= listener.delivered == 0 || entry.tcp_flags[side.index()] & RST == 0;
            if let App::Smtp(session) = &mut conversation.app
                && session.unveil()
                && whole
            {
                self.keep = Keep::Whole;
            }
        }
        // A reset may die on its way, and does for whoever wants us to look away: what follows it tells. Nothing does if it
        // was meant, and then the flow has little time left.
        let over = conversation.stream.finished();
        self.tell(place);
        if over {
            self.table.get(place).closed = true;
            self.conclude(place);
        }
        if let Some(conversation) = self.table.get(place).attached.as_deref_mut() {
            conversation.settle(&mut self.smtp_account, &mut self.stats.smtp);
        }
        if self.smtp_account.is_full(&self.stats.smtp) {
            self.relieve_sessions();
        }
        if self.stats.flow.held_bytes > self.settings.shares.stream_bytes as u64 {
            self.relieve_streams();
        }
    }

    /// Turns what was heard on a flow into events; lets go of what needs no more following.
    fn tell(&mut self, place: Place) {
        let entry = self.table.get(place);
        let bytes = entry.bytes[0] + entry.bytes[1];
        let Some(conversation) = entry.attached.as_deref_mut() else { return };
        let flow = Arc::clone(&conversation.flow);
        if let App::Smtp(session) = &conversation.app {
            match session.standing() {
                Standing::Other => return self.ignore(place),
                _ if session.is_over() => conversation.let_go(App::SmtpDone, &mut self.stats.flow),
                _ => {}
            }
        }
        if self.heard.is_empty() {
            return;
        }
        let untold = conversation.untold(bytes, self.heard.has_mail());
        self.push_heard(&flow, untold);
    }

    /// Lets go of a conversation that turned out to be none of ours: nothing of it is told.
    fn ignore(&mut self, place: Place) {
        let entry = self.table.get(place);
        entry.ignored = true;
        if let Some(mut conversation) = entry.attached.take() {
            self.stats.flow.streams -= 1;
            conversation.let_go(App::SmtpDone, &mut self.stats.flow);
            conversation.settle(&mut self.smtp_account, &mut self.stats.smtp);
        }
        self.heard.clear();
    }

    fn push_heard(&mut self, flow: &Arc<Flow>, mut wire_bytes: u64) {
        let mut heard = std::mem::take(&mut self.heard);
        if let Some(side) = heard.differs.take() {
            let anomaly =
                Anomaly { name: "tcp-overlap-differs", layer: Layer::Stream, side: Some(side), detail: String::new() };
            self.push(Some(Arc::clone(flow)), EventKind::Anomaly(anomaly));
        }
        for said in heard.smtp.drain(..) {
            let kind = match said {
                Said::Event(mut event) => {
                    event.wire_bytes = std::mem::take(&mut wire_bytes);
                    EventKind::Smtp(event)
                }
                Said::Greeting(reply) => EventKind::Greeting(reply),
                Said::Anomaly(anomaly) => EventKind::Anomaly(anomaly),
            };
            self.push(Some(Arc::clone(flow)), kind);
        }
        if let Some((side, defect)) = heard.defect.take() {
            self.push(Some(Arc::clone(flow)), EventKind::Anomaly(dns_anomaly(side, defect)));
        }
        for message in heard.dns.drain(..) {
            self.push(Some(Arc::clone(flow)), EventKind::Dns(Box::new(message)));
        }
        self.heard = heard;
    }

    /// A conversation is over, or no longer listened to; its entry stays.
    fn conclude(&mut self, place: Place) {
        let entry = self.table.get(place);
        let bytes = entry.bytes[0] + entry.bytes[1];
        if let Some(mut conversation) = entry.attached.take() {
            self.close_conversation(&mut conversation, bytes);
            self.table.get(place).attached = Some(conversation);
        }
    }

    /// Has a conversation say all that is still open.
    fn close_conversation(&mut self, conversation: &mut Conversation, bytes: u64) {
        if !conversation.is_followed() {
            return;
        }
        let now = self.at.time;
        let SensorStats { flow, smtp, dns, .. } = &mut self.stats;
        let (heard, detail) = (&mut self.heard, detail(&self.settings));
        let [short, long] = &mut [[Trust::default(); 2]; 2];
        let trust = [short, long];
        let app = &mut conversation.app;
        let dns_bound = self.settings.shares.dns_bytes;
        let mut listener = Listener { app, smtp, dns, heard, now, detail, dns_bound, trust, delivered: 0 };
        conversation.stream.flush(flow, &mut listener);
        let done = match &mut conversation.app {
            App::Smtp(session) => {
                session.close(&mut Context { now, stats: &mut self.stats.smtp, out: &mut self.heard.smtp });
                App::SmtpDone
            }
            App::DnsOverTcp(framers) => {
                close_framers(framers, &mut self.stats.dns);
                App::DnsDone
            }
            App::SmtpDone | App::DnsDone => return,
        };
        conversation.let_go(done, &mut self.stats.flow);
        conversation.settle(&mut self.smtp_account, &mut self.stats.smtp);
        let untold = conversation.untold(bytes, self.heard.has_mail());
        self.push_heard(&Arc::clone(&conversation.flow), untold);
    }
}

/// Bytes of a flow's Community ID.
const COMMUNITY_ID: usize = 30;
/// Slots of the flow table looked at, and flows ended, in one piece.
const SWEEP: usize = 1_024;
