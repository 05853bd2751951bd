//! What is kept of a flow that is, or may be, worth following, and what is heard on it.

use std::sync::Arc;

use super::smtp_account::SmtpAccount;
use crate::decode::Segment;
use crate::flow::flags::{ACK, RST, SYN};
use crate::flow::{Entry, Room, Sink, Stream, Trust};
use crate::model::event::{Anomaly, DnsMessage, Layer};
use crate::model::net::{Flow, Side};
use crate::model::settings::SensorSettings;
use crate::model::stats::{DnsStats, FlowStats, SmtpStats};
use crate::model::time::Timestamp;
use crate::protocol::dns::{self, Defect, Detail, TcpFramer};
use crate::protocol::smtp::{Context, Said, Session};

/// What is kept of a flow that is, or may be, worth following.
#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) flow: Arc<Flow>,
    pub(super) stream: Stream,
    pub(super) app: App,
    /// Bytes of the flow told in events so far.
    pub(super) told_bytes: u64,
    /// What the checksums of long packets are worth, by side.
    pub(super) trust_long: [Trust; 2],
    /// Bytes it holds as a session of SMTP, as they stand in the account.
    pub(super) charged: u64,
    stamps: Stamps,
}

/// The timestamps of a connection (RFC 7323), by side.
#[derive(Debug, Default)]
struct Stamps {
    /// Whether it sends any.
    sent: [bool; 2],
    latest: [Option<u32>; 2],
}

#[derive(Debug)]
pub(super) enum App {
    Smtp(Box<Session>),
    /// One framer a side.
    DnsOverTcp(Box<[TcpFramer; 2]>),
    /// SMTP that went over to TLS, or is over.
    SmtpDone,
    DnsDone,
}

/// Collects what protocols say while a stream delivers.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) smtp: Vec<Said>,
    pub(super) dns: Vec<DnsMessage>,
    pub(super) defect: Option<(Side, Defect)>,
    pub(super) differs: Option<Side>,
}

impl Conversation {
    pub(super) fn new(entry: &Entry<Self>, app: App, room: Room) -> Self {
        let first_seq = [Side::Client, Side::Server].map(|side| {
            let opened = entry.tcp_flags[side.index()] & SYN != 0;
            opened.then_some(entry.first_seq[side.index()])
        });
        let flow = Arc::new(entry.identity());
        let stream = Stream::new(first_seq).within(room);
        Self {
            flow,
            stream,
            app,
            told_bytes: 0,
            trust_long: [Trust::default(); 2],
            charged: 0,
            stamps: Stamps::default(),
        }
    }

    /// Whether what is said is still listened to.
    pub(super) fn is_followed(&self) -> bool {
        matches!(self.app, App::Smtp(_) | App::DnsOverTcp(_))
    }

    /// Whether a segment's timestamp is older than one that was received, so that its receiver drops it (RFC 7323,
    /// section 5.3).
    pub(super) fn is_outdated(&self, side: Side, segment: &Segment<'_>) -> bool {
        // Both send them if both agreed to, and the other side does not lie for this one.
        if !self.is_followed() || !self.stamps.sent[side.other().index()] {
            return false;
        }
        let (Some(stamp), Some(latest)) = (segment.timestamp(), self.stamps.latest[side.index()]) else { return false };
        // By one it may be older, for Linux.
        latest.wrapping_sub(stamp.value).cast_signed() > 1
            && self.stream.is_new(side, segment.seq, segment.payload.len())
    }

    /// Notes the timestamps of a segment: its own, and that of the other side which it echoes.
    pub(super) fn note_timestamps(&mut self, side: Side, segment: &Segment<'_>) {
        let Some(stamp) = segment.timestamp() else { return };
        self.stamps.sent[side.index()] = true;
        if segment.flags & (SYN | RST | ACK) != ACK || !self.stream.is_founded(side, segment.ack) {
            return;
        }
        // One that comes before its turn does not count yet: others may have been sent before it. One that comes long
        // after is dropped.
        if self.stream.is_in_order(side, segment.seq, segment.payload.len()) {
            self.stamps.note(side, stamp.value);
        }
        self.stamps.note(side.other(), stamp.echo);
    }

    /// Stops following: only the flow's identity and its account stay.
    pub(super) fn let_go(&mut self, app: App, stats: &mut FlowStats) {
        self.stream.let_go(stats);
        self.app = app;
    }

    /// Brings the account up to what it holds now.
    pub(super) fn settle(&mut self, account: &mut SmtpAccount, stats: &mut SmtpStats) {
        let held = if let App::Smtp(session) = &self.app { session.held_bytes() as u64 } else { 0 };
        account.settle(&mut self.charged, held, stats);
    }

    /// Of the flow's `bytes`, those no event has told; told from now on if `telling`.
    pub(super) fn untold(&mut self, bytes: u64, telling: bool) -> u64 {
        let untold = bytes - self.told_bytes.min(bytes);
        if telling {
            self.told_bytes = bytes;
        }
        untold
    }
}

impl Stamps {
    fn note(&mut self, side: Side, value: u32) {
        let latest = &mut self.latest[side.index()];
        if latest.is_none_or(|latest| value.wrapping_sub(latest).cast_signed() > 0) {
            *latest = Some(value);
        }
    }
}

impl App {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Smtp(_) | Self::SmtpDone => "smtp",
            Self::DnsOverTcp(_) | Self::DnsDone => "dns",
        }
    }
}

impl Heard {
    pub(super) fn is_empty(&self) -> bool {
        self.smtp.is_empty() && self.dns.is_empty() && self.differs.is_none()
    }

    pub(super) fn has_mail(&self) -> bool {
        self.smtp.iter().any(|said| matches!(said, Said::Event(_)))
    }

    pub(super) fn clear(&mut self) {
        self.smtp.clear();
        self.dns.clear();
        self.defect = None;
        self.differs = None;
    }
}

/// Hands what a stream delivers to the protocol on it.
pub(super) struct Listener<'a> {
    pub(super) app: &'a mut App,
    pub(super) smtp: &'a mut SmtpStats,
    pub(super) dns: &'a mut DnsStats,
    pub(super) heard: &'a mut Heard,
    pub(super) now: Timestamp,
    pub(super) detail: Detail,
    /// Bytes of unfinished DNS messages that all streams may hold together.
    pub(super) dns_bound: usize,
    /// What checksums of short and of long packets are worth.
    pub(super) trust: [&'a mut [Trust; 2]; 2],
    /// Bytes delivered so far.
    pub(super) delivered: usize,
}

impl Sink for Listener<'_> {
    fn data(&mut self, side: Side, bytes: &[u8], other_unseen: bool) {
        self.delivered += bytes.len();
        match self.app {
            App::Smtp(session) => {
                let mut cx = Context { now: self.now, stats: self.smtp, out: &mut self.heard.smtp };
                match side {
                    Side::Client => session.client(bytes, other_unseen, &mut cx),
                    Side::Server => session.server(bytes, other_unseen, &mut cx),
                }
            }
            App::DnsOverTcp(framers) => {
                let framer = &mut framers[side.index()];
                let before = Account::of(framer);
                let mut defect = None;
                framer.push(bytes, |message| {
                    let (read, wrong) = read_dns(message, true, self.detail, self.dns);
                    self.heard.dns.extend(read);
                    defect = defect.or(wrong);
                });
                before.settle(framer, self.dns_bound, self.dns);
                if let Some(defect) = defect.filter(|_| framer.is_first_defect()) {
                    self.heard.defect = Some((side, defect));
                }
            }
            App::SmtpDone | App::DnsDone => {}
        }
    }

    fn gap(&mut self, side: Side, lost: u64) {
        match self.app {
            App::Smtp(session) => {
                let mut cx = Context { now: self.now, stats: self.smtp, out: &mut self.heard.smtp };
                session.gap(side, lost, &mut cx);
            }
            App::DnsOverTcp(framers) => {
                let framer = &mut framers[side.index()];
                let before = Account::of(framer);
                framer.gap(lost);
                before.settle(framer, self.dns_bound, self.dns);
            }
            App::SmtpDone | App::DnsDone => {}
        }
    }

    fn believed(&mut self, side: Side) {
        self.trust.iter_mut().for_each(|trust| trust[side.index()] = Trust::WAIVED);
    }

    fn differs(&mut self, side: Side) {
        self.heard.differs = Some(side);
    }
}

/// What a framer held and had lost before it took more.
struct Account {
    held: u64,
    lost: u64,
}

impl Account {
    fn of(framer: &TcpFramer) -> Self {
        Self { held: framer.held_bytes() as u64, lost: framer.lost() }
    }

    /// Brings the sensor's counters up to date. A framer for which there is no room forgets its message.
    fn settle(&self, framer: &mut TcpFramer, bound: usize, stats: &mut DnsStats) {
        let held_by_others = stats.held_bytes.saturating_sub(self.held);
        if held_by_others + framer.held_bytes() as u64 > bound as u64 {
            framer.forget();
        }
        stats.held_bytes = held_by_others + framer.held_bytes() as u64;
        stats.lost += framer.lost() - self.lost;
    }
}

/// The connection is over: messages that were not whole are lost.
pub(super) fn close_framers(framers: &mut [TcpFramer; 2], stats: &mut DnsStats) {
    for framer in framers {
        let before = Account::of(framer);
        framer.forget();
        before.settle(framer, usize::MAX, stats);
    }
}

/// Reads a DNS message and counts it; a damaged one as far as it was readable, and with what is wrong when that is worth
/// telling.
pub(super) fn read_dns(
    bytes: &[u8],
    over_tcp: bool,
    detail: Detail,
    stats: &mut DnsStats,
) -> (Option<DnsMessage>, Option<Defect>) {
    let seen = dns::glance(bytes);
    if let Ok(glance) = &seen {
        stats.queries += u64::from(!glance.response);
        stats.responses += u64::from(glance.response);
        stats.mx_queries += u64::from(!glance.response && glance.mx);
    }
    let read = match (seen, detail) {
        (Ok(glance), Detail::ChainOnly) if !glance.chain => return (None, None),
        (Err(malformed), Detail::ChainOnly) => Err(malformed),
        _ => dns::read(bytes, over_tcp),
    };
    match read {
        Ok(message) => (Some(message), None),
        Err(malformed) => {
            stats.malformed += 1;
            // Without as much as a question it may be anything.
            let readable = malformed.readable.map(|readable| *readable);
            let readable = readable.filter(|message| !message.queries.is_empty() || !message.answers.is_empty());
            (readable, Some(malformed.defect).filter(|defect| defect.is_telling()))
        }
    }
}

/// What is wrong with a message, as an anomaly.
pub(super) fn dns_anomaly(side: Side, defect: Defect) -> Anomaly {
    Anomaly { name: defect.name(), layer: Layer::Dns, side: Some(side), detail: String::new() }
}

pub(super) const fn detail(settings: &SensorSettings) -> Detail {
    if settings.all_dns { Detail::All } else { Detail::ChainOnly }
}
