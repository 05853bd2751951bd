//! What the sensor says: events, numbered in order, from packets to mail transactions.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use compact_str::CompactString;
use smallvec::SmallVec;

use super::net::{Flow, Mac, Side};
use super::stats::SensorStats;
use super::time::Timestamp;

/// One thing the sensor saw.
#[derive(Debug)]
pub struct Event {
    /// Its number among the events of its source, from 0, without gaps.
    pub seq: u64,
    /// Time of the packet that completed it.
    pub time: Timestamp,
    /// Which source (interface, or the replay) it came from: an index into the pipeline's source names.
    pub source: u16,
    /// Which capture file its packet came from: an index into the replay's file names; 0 for live capture.
    pub file: u32,
    /// The number, from 1, of that packet within its file or interface; 0 when no packet completed it (a time-out).
    pub packet: u64,
    /// The flow it happened on; none for events about the capture as a whole.
    pub flow: Option<Arc<Flow>>,
    pub kind: EventKind,
}

impl Event {
    /// Bytes it takes in memory, its flow not counted: several events share that.
    pub fn weight(&self) -> usize {
        let kind = match &self.kind {
            EventKind::Smtp(smtp) => size_of::<SmtpEvent>() + smtp.weight(),
            EventKind::Greeting(reply) => reply.text.len(),
            EventKind::Dns(message) => size_of::<DnsMessage>() + message.weight(),
            EventKind::FlowEnd(_) => size_of::<FlowEnd>(),
            EventKind::Anomaly(anomaly) => anomaly.detail.len(),
            EventKind::Packet(packet) => size_of::<KeptPacket>() + packet.data.len(),
            EventKind::Flood(_) => size_of::<Flood>(),
            EventKind::Tick(_) => size_of::<SensorStats>(),
            EventKind::Hardware(_) | EventKind::Connect(_) => 0,
        };
        size_of::<Self>() + kind
    }
}

/// Bytes that so many take when they are allocated by themselves: names are short, so that what the allocator adds, and
/// rounds up to, is as much again.
const fn on_heap(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { (bytes + 23).next_multiple_of(16) }
}

/// What was seen.
#[derive(Debug)]
pub enum EventKind {
    /// A mail transaction, or a session in which none began.
    Smtp(Box<SmtpEvent>),
    /// A server said hello on a mail flow: evidence that it serves mail.
    Greeting(Reply),
    /// Which hardware addresses carry the flow, client's and server's: a host's own, or a router's. Told before the
    /// `Connect` that says it was answered, where the frame shows it.
    Hardware([Mac; 2]),
    /// How an attempt to connect to a mail port ended.
    Connect(ConnectOutcome),
    /// A DNS message.
    Dns(Box<DnsMessage>),
    /// A flow ended: always told for mail flows, for others when flow records are wanted.
    FlowEnd(Box<FlowEnd>),
    /// Something that ought not to be on a wire.
    Anomaly(Anomaly),
    /// A packet of a home host's mail or of its DNS questions, kept as evidence; told only where evidence is wanted.
    Packet(Box<KeptPacket>),
    /// A host sends one other more connection attempts or echo requests than anyone has use for; the flow's client is
    /// who sends them.
    Flood(Box<Flood>),
    /// Packet time went on: all counters so far. Raised about once a second of packet time, and at the end.
    Tick(Box<SensorStats>),
}

/// A packet as captured, or as much of it as may be kept: of what may hold a credential only the headers are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptPacket {
    /// Link type (LINKTYPE_ value of pcap files).
    pub link: u32,
    /// Bytes on the wire; `data` may be shorter.
    pub wire_len: u32,
    pub data: Box<[u8]>,
    /// Source and destination, innermost.
    pub hosts: [IpAddr; 2],
}

/// A mail transaction (RFC 5321, section 3.3) with the session around it; `envelope` is none for a session
/// that ended, or went to TLS, before any transaction began.
#[derive(Clone, Debug, Default)]
pub struct SmtpEvent {
    /// Number of the transaction in its session, from 0.
    pub tx_id: u32,
    /// Time of the MAIL command (of the first byte, for a session without one).
    pub started: Timestamp,
    /// The name the client gave in HELO, EHLO or LHLO.
    pub helo: Option<String>,
    /// True for EHLO or LHLO, false for HELO.
    pub extended: bool,
    /// The server refused EHLO, and HELO was said after it (RFC 5321, section 3.2).
    pub helo_fallback: bool,
    /// The extensions that the server offered in its last reply to EHLO or LHLO (RFC 5321, section 4.1.1.1), in its order:
    /// each a keyword in upper case and its parameters as sent. Within TLS, those offered before it.
    pub extensions: Arc<[String]>,
    pub envelope: Option<Envelope>,
    /// The reply that decided it: to the end of the data, or a refusal before it, the sender's first; of a session without a
    /// transaction, the last reply.
    pub reply: Option<Reply>,
    /// True once the session was switched to TLS (RFC 3207) or began in it (RFC 8314).
    pub tls: bool,
    /// What the TLS handshake showed in clear; only on the event that tells the switch.
    pub tls_facts: Option<Box<TlsFacts>>,
    pub auth: Option<Auth>,
    /// What a relay said of the client before it (XCLIENT and XFORWARD of Postfix): attribute, in upper case, and
    /// value. Never mixed with what the client says of itself.
    pub forwarded: Vec<(String, String)>,
    /// How the client speaks, as a set of named traits.
    pub dialect: Dialect,
    /// A short hash of the dialect and the order of the message's header fields, 16 hexadecimal digits; filled in by the
    /// inspector, none before.
    pub dialect_hash: Option<String>,
    pub outcome: Outcome,
    /// The message, when any of it was seen; taken out by the inspector.
    pub message: Option<Message>,
    /// Bytes of the flow's IP packets, both ways, since the flow's previous event.
    pub wire_bytes: u64,
    /// Sides whose packets were not in the capture: `[client, server]`.
    pub unseen: [bool; 2],
}

impl SmtpEvent {
    /// Bytes of what it points to, but for what its session shares.
    fn weight(&self) -> usize {
        let text = |text: &String| size_of::<String>() + text.len();
        let envelope = self.envelope.as_ref().map_or(0, |envelope| {
            let refused = |one: &Rejected| size_of::<Rejected>() + one.address.len() + one.reply.text.len();
            envelope.mail_from.len()
                + envelope.rcpt_to.iter().map(text).sum::<usize>()
                + envelope.rcpt_rejected.iter().map(refused).sum::<usize>()
        });
        envelope
            + self.message.as_ref().map_or(0, |message| message.bytes.len())
            + self.helo.as_ref().map_or(0, String::len)
            + self.reply.as_ref().map_or(0, |reply| reply.text.len())
            + self.forwarded.iter().map(|(name, value)| text(name) + text(value)).sum::<usize>()
            + self.tls_facts.as_ref().map_or(0, |facts| {
                size_of::<TlsFacts>() + facts.alt_names.iter().chain(&facts.client_alpns).map(text).sum::<usize>()
            })
    }
}

/// The addresses a message travels under; not necessarily those in its headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Reverse-path without angle brackets; empty for the null sender `<>`.
    pub mail_from: String,
    /// The sender was not seen (its MAIL was lost, or came before the capture); `mail_from` is then empty and means nothing.
    pub mail_from_unseen: bool,
    /// Bytes the client declared the message to have (SIZE, RFC 1870).
    pub size_declared: Option<u64>,
    /// BODY as declared: `7BIT`, `8BITMIME` (RFC 6152) or `BINARYMIME` (RFC 3030).
    pub body: Option<&'static str>,
    /// SMTPUTF8 was declared (RFC 6531).
    pub utf8: bool,
    /// Forward-paths accepted, or not refused as far as was seen.
    pub rcpt_to: Vec<String>,
    /// Forward-paths the server refused, with the reason.
    pub rcpt_rejected: Vec<Rejected>,
    /// Recipients past the bound, counted but not kept.
    pub rcpt_dropped: u32,
}

/// A recipient the server refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    pub address: String,
    pub reply: Reply,
}

/// A server's reply (RFC 5321, section 4.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Three digits.
    pub code: u16,
    /// Its text, lines joined with a line feed, cut at a bound.
    pub text: String,
}

/// An authentication exchange (RFC 4954). Never holds a user name, password or token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// The SASL mechanism in upper case, as `PLAIN`.
    pub mechanism: String,
    /// Whether the server accepted it; none when its answer was not seen.
    pub accepted: Option<bool>,
}

/// What a TLS handshake shows in clear. Up to TLS 1.2 the certificate is among it; TLS 1.3 encrypts it (RFC 8446,
/// section 2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFacts {
    /// The version agreed on, in Suricata's words: `TLS 1.2`. None when the server's hello was not seen.
    pub version: Option<String>,
    /// The server name the client asked for (SNI, RFC 6066, section 3).
    pub sni: Option<String>,
    /// Application protocols the client offered, and the one the server chose (ALPN, RFC 7301).
    pub client_alpns: Vec<String>,
    pub server_alpn: Option<String>,
    /// The server's certificate: names as `C=US, O=Example, CN=mx.example`.
    pub subject: Option<String>,
    pub issuer: Option<String>,
    /// DNS names, addresses and mailboxes of its subjectAltName (RFC 5280, section 4.2.1.6), within a bound.
    pub alt_names: Vec<String>,
    /// SHA-1 over the certificate, as Suricata and the public block lists have it.
    pub fingerprint: Option<[u8; 20]>,
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// The server took the message (2xx to the end of data).
    Accepted,
    /// The server refused the sender, all recipients, or the message.
    Rejected,
    /// The client reset it (RSET, or HELO/EHLO in between).
    Reset,
    /// The connection ended or was lost before a decision.
    Aborted,
    /// The server's decision was not in the capture.
    #[default]
    Unknown,
}

impl Outcome {
    /// Its name in EVE (`smtp.outcome`).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Reset => "reset",
            Self::Aborted => "aborted",
            Self::Unknown => "unknown",
        }
    }
}

/// A message as it was sent: dots unstuffed, final line end included.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// The bytes kept, at most the spool limit.
    pub bytes: Vec<u8>,
    /// How long it was on the wire, kept or not, without bytes lost in gaps.
    pub size: u64,
    /// True when `bytes` is not all of it: over the limit, or cut off before its end.
    pub truncated: bool,
    /// Number of places where the capture lost bytes.
    pub gaps: u32,
}

/// Traits of how a client speaks SMTP (Stringhini and others 2012, "B@bel").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Dialect(pub u32);

impl Dialect {
    /// `MAIL FROM:<x>` or `RCPT TO:<x>` without a space after the colon: what RFC 5321 asks for.
    pub const NO_SPACE_AFTER_COLON: u32 = 1;
    /// A space after the colon: forbidden by RFC 5321, section 3.3, and common.
    pub const SPACE_AFTER_COLON: u32 = 1 << 1;
    /// The session was opened with HELO, not EHLO.
    pub const HELO: u32 = 1 << 2;
    /// `HELO localhost` or `EHLO localhost`, with or without a domain part.
    pub const HELO_LOCALHOST: u32 = 1 << 3;
    /// A bare word as name: no dot, not an address literal.
    pub const HELO_BARE_WORD: u32 = 1 << 4;
    /// An address literal in brackets as name.
    pub const HELO_LITERAL: u32 = 1 << 5;
    /// A command verb not in upper case.
    pub const LOWER_CASE: u32 = 1 << 6;
    /// A line ended in a bare line feed.
    pub const BARE_LF: u32 = 1 << 7;
    /// The client spoke before the server's greeting (RFC 5321, section 4.3.1).
    pub const EARLY_TALKER: u32 = 1 << 8;
    /// An address without angle brackets.
    pub const NO_BRACKETS: u32 = 1 << 9;
    /// Commands sent without waiting for replies.
    pub const PIPELINED: u32 = 1 << 10;
    /// BDAT (RFC 3030) in place of DATA.
    pub const BDAT: u32 = 1 << 11;
    /// RSET before the first MAIL.
    pub const RSET_FIRST: u32 = 1 << 12;

    /// Each trait's bit and its name in EVE and rules.
    pub const NAMES: &'static [(u32, &'static str)] = &[
        (Self::NO_SPACE_AFTER_COLON, "no-space-after-colon"),
        (Self::SPACE_AFTER_COLON, "space-after-colon"),
        (Self::HELO, "helo"),
        (Self::HELO_LOCALHOST, "helo-localhost"),
        (Self::HELO_BARE_WORD, "helo-bare-word"),
        (Self::HELO_LITERAL, "helo-literal"),
        (Self::LOWER_CASE, "lower-case"),
        (Self::BARE_LF, "bare-lf"),
        (Self::EARLY_TALKER, "early-talker"),
        (Self::NO_BRACKETS, "no-brackets"),
        (Self::PIPELINED, "pipelined"),
        (Self::BDAT, "bdat"),
        (Self::RSET_FIRST, "rset-first"),
    ];

    /// Marks a trait as seen.
    pub fn add(&mut self, bit: u32) {
        self.0 |= bit;
    }

    /// Whether a trait was seen.
    pub const fn has(self, bit: u32) -> bool {
        self.0 & bit != 0
    }

    /// The names of the traits seen, in the table's order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().filter(move |(bit, _)| self.has(*bit)).map(|(_, name)| *name)
    }
}

/// How an attempt to open a mail connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectOutcome {
    /// SYN was answered with SYN-ACK.
    Answered,
    /// SYN was answered with RST.
    Refused,
    /// Nothing answered before the flow timed out.
    Unanswered,
}

/// A DNS message (RFC 1035, section 4), names in presentation form, without the final dot (the root is `.`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsMessage {
    pub id: u16,
    /// The 16 bits of flags and codes, as on the wire.
    pub flags: u16,
    // Nearly all messages have one question and one answer or none: with those in place, and short names in place
    // too, a message is one allocation.
    pub queries: SmallVec<[DnsQuestion; 1]>,
    pub answers: SmallVec<[DnsRecord; 1]>,
    /// Records of the additional section that give addresses.
    pub additionals: Vec<DnsRecord>,
    /// True for DNS over TCP.
    pub over_tcp: bool,
}

impl DnsMessage {
    /// Bytes of what it points to.
    fn weight(&self) -> usize {
        let name = |name: &CompactString| if name.is_heap_allocated() { on_heap(name.capacity()) } else { 0 };
        let data = |data: &DnsData| match data {
            DnsData::Mx { exchange, .. } => name(exchange),
            DnsData::Name(target) => name(target),
            DnsData::Text(text) => on_heap(text.len()),
            DnsData::A(_) | DnsData::Aaaa(_) | DnsData::Opaque(_) => 0,
        };
        let record = |record: &DnsRecord| name(&record.name) + data(&record.data);
        // Lists grow by doubling, and keep what they grew to.
        let list = |spilled: bool, bytes: usize| if spilled { on_heap(bytes) } else { 0 };
        list(self.queries.spilled(), self.queries.capacity() * size_of::<DnsQuestion>())
            + list(self.answers.spilled(), self.answers.capacity() * size_of::<DnsRecord>())
            + on_heap(self.additionals.capacity() * size_of::<DnsRecord>())
            + self.queries.iter().map(|query| name(&query.name)).sum::<usize>()
            + self.answers.iter().chain(&self.additionals).map(record).sum::<usize>()
    }

    /// QR: whether this is a response.
    pub const fn is_response(&self) -> bool {
        self.flags & 0x8000 != 0
    }

    /// OPCODE.
    pub const fn opcode(&self) -> u8 {
        ((self.flags >> 11) & 0xf) as u8
    }

    /// RCODE, the four bits of the header.
    pub const fn rcode(&self) -> u8 {
        (self.flags & 0xf) as u8
    }

    /// TC: whether the answer was cut and will be asked again over TCP.
    pub const fn is_truncated(&self) -> bool {
        self.flags & 0x0200 != 0
    }
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsQuestion {
    pub name: CompactString,
    /// QTYPE (IANA number).
    pub qtype: u16,
}

/// A resource record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsRecord {
    pub name: CompactString,
    /// TYPE (IANA number).
    pub rtype: u16,
    pub ttl: u32,
    pub data: DnsData,
}

/// The types of record data that are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsData {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Mx {
        preference: u16,
        exchange: CompactString,
    },
    /// The target of CNAME, NS, PTR, DNAME.
    Name(CompactString),
    /// Any other type that has a presentation form worth showing (TXT, SOA, SRV ...).
    Text(Box<str>),
    /// A type that is not read; only its length is known.
    Opaque(usize),
}

/// MX, the type this sensor is about (RFC 1035, section 3.3.9).
pub const QTYPE_MX: u16 = 15;

/// A flow's end.
#[derive(Clone, Debug)]
pub struct FlowEnd {
    /// Packets by side: `[client, server]`.
    pub packets: [u64; 2],
    /// Bytes of IP packets by side.
    pub bytes: [u64; 2],
    pub last: Timestamp,
    /// The protocol found: `smtp`, `dns`, `tls`, or `failed`.
    pub app_proto: &'static str,
    pub reason: EndReason,
    /// TCP flags seen by side, or-ed.
    pub tcp_flags: [u8; 2],
    /// Bytes of the flow's IP packets, both ways, since the flow's previous event.
    pub wire_bytes: u64,
}

impl FlowEnd {
    /// From first packet to last.
    pub fn age(&self, started: Timestamp) -> Duration {
        self.last.since(started)
    }
}

/// What one host sent another since that was last told: told when [`super::limits::FLOOD_PACKETS`] is passed, then once
/// in each [`super::limits::FLOOD_WINDOW`]. Where threads share an interface, each tells of its part from fewer on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flood {
    /// SYN segments without ACK; those to mail ports and of DNS are not counted.
    pub syns: u64,
    /// Echo requests of ICMP or ICMPv6.
    pub echoes: u64,
    /// The port that the last of the SYN segments was sent to.
    pub port: Option<u16>,
    /// Time of the first and the last of them.
    pub since: Timestamp,
    pub last: Timestamp,
}

/// Why a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// FIN both ways.
    Finished,
    Reset,
    TimedOut,
    /// Its place was needed.
    Evicted,
    /// A new connection took its addresses and ports.
    Replaced,
    /// The capture ended.
    Shutdown,
}

impl EndReason {
    /// Its name in metrics and EVE.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Reset => "reset",
            Self::TimedOut => "timeout",
            Self::Evicted => "evicted",
            Self::Replaced => "replaced",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Something that ought not to be on a wire, or a bound that was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// Stable name, kebab-case: `tcp-overlap-differs`.
    pub name: &'static str,
    pub layer: Layer,
    /// Which side it came from, when one did.
    pub side: Option<Side>,
    /// What, in figures; empty when the name says it all.
    pub detail: String,
}

/// Where an anomaly was met: Suricata's `anomaly.type` is derived from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    Decode,
    Stream,
    Smtp,
    Dns,
    Mail,
    Archive,
}

impl Layer {
    /// Suricata's `anomaly.type`.
    pub const fn eve_type(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Stream => "stream",
            _ => "applayer",
        }
    }

    /// The layer's name in EVE (`anomaly.layer`).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Stream => "stream",
            Self::Smtp => "smtp",
            Self::Dns => "dns",
            Self::Mail => "mail",
            Self::Archive => "archive",
        }
    }
}
