//! Frame to IP to segment or datagram: link layers, tags, tunnels, fragments.
//!
//! [`Decoder::decode`] tries two ways. `fast` knows the packet nine in ten are (Ethernet, VLAN tags, one IP header,
//! TCP or UDP) and refuses everything else; `walk` takes any packet apart one header at a time, in a loop bounded by
//! [`limits::MAX_ENCAPSULATION`]. Both must agree where both apply; a
//! property test holds them to it.
//!
//! | file | knows |
//! | --- | --- |
//! | `link` | link types, EtherTypes, LLC, PPP, PPPoE, MPLS |
//! | `ip` | IPv4, IPv6 and its extension headers, AH, what an IP payload can be |
//! | `tunnel` | GRE, ERSPAN, NSH, TRILL, EtherIP; VXLAN, Geneve, GUE, GTP-U, Teredo, L2TP over UDP |
//! | `fragment` | fragments put together, within bounds |
//! | `transport` | TCP and UDP headers |
//! | `checksum` | whether a segment or datagram came through whole, when asked |
//!
//! Lengths are taken from the innermost header that states one, so padding and trailers never become payload.
//! Checksums are verified only when asked ([`Segment::checksum_holds`]); what a wrong one means is for the asker to
//! say, since a host's own packets are captured before the hardware fills theirs in. Not decoded: IEEE 802.11, ATM, frame
//! relay, ESP (RFC 4303), IPComp (RFC 3173), L2TPv3. A packet inside which nothing further can be read is told as its
//! carrier (the UDP datagram, or IP with the tunnel's protocol number).

mod checksum;
mod fast;
mod fragment;
mod ip;
mod link;
mod repeat;
mod transport;
mod tunnel;
mod walk;

use std::net::IpAddr;

use crate::model::event::{Anomaly, Layer as EventLayer};
use crate::model::limits;
use crate::model::net::{Mac, Vlans};
use crate::model::stats::DecodeStats;
use crate::model::time::Timestamp;

pub use checksum::Wire;
use fragment::FragmentPool;
use walk::Walk;

/// Takes packets apart. Holds the fragments that wait for others, and its counters; no clock, no I/O.
#[derive(Debug, Default)]
pub struct Decoder {
    context: Context,
    /// The datagram last put together from fragments; what was decoded from it borrows from here.
    held: Vec<u8>,
}

impl Decoder {
    /// A decoder that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with room for so many bytes of fragments, of so many datagrams.
    #[must_use]
    pub fn with_room_for(mut self, bytes: usize, datagrams: usize) -> Self {
        self.context.fragments = FragmentPool::within(bytes, datagrams);
        self
    }

    /// Decodes one packet. The result borrows from the packet or, after reassembly of fragments, from the decoder.
    ///
    /// `link` is the LINKTYPE_ value of pcap files, `wire_len` the packet's length in bytes before the capture cut
    /// it, `now` the packet's time. Whatever cannot be followed is counted in [`Decoder::stats`].
    pub fn decode<'a>(&'a mut self, link: u32, data: &'a [u8], wire_len: u32, now: Timestamp) -> Decoded<'a> {
        if link == link::ETHERNET
            && let Some(decoded) = fast::decode(data)
        {
            self.context.count_headers(&decoded);
            self.context.count(&decoded);
            return decoded;
        }
        self.decode_any(link, data, wire_len, now)
    }

    /// The general path: any packet, one header at a time.
    fn decode_any<'a>(&'a mut self, link: u32, data: &'a [u8], wire_len: u32, now: Timestamp) -> Decoded<'a> {
        let mut walk = Walk::new(link, data.len(), wire_len);
        let mut whole = walk.run(data, now, &mut self.context);
        // Ends: a datagram within a datagram lies a tunnel or an extension header deeper, and the walk counts both.
        while let Some(datagram) = whole {
            datagram.write_to(&mut self.held);
            walk.resume(&datagram, self.held.len());
            whole = walk.run(&self.held, now, &mut self.context);
        }
        let bytes = if walk.resumed { &self.held } else { data };
        let decoded = walk.found.map_or(Decoded::Nothing, |found| found.over(bytes));
        self.context.count(&decoded);
        decoded
    }

    /// Everything counted so far.
    pub fn stats(&self) -> &DecodeStats {
        &self.context.stats
    }

    /// Anomalies since the last call, at most [`limits::ANOMALIES`]. Costs nothing when there are none.
    pub fn take_anomalies(&mut self) -> Vec<Anomaly> {
        std::mem::take(&mut self.context.anomalies.0)
    }
}

/// The hardware addresses of a frame, sender's and receiver's, where it carries the addresses of `ip` itself and not
/// within a tunnel. None on link layers that have none, or but one.
pub fn hardware(link: u32, frame: &[u8], ip: &IpFacts) -> Option<[Mac; 2]> {
    if link != link::ETHERNET {
        return None;
    }
    let (receiver, sender) = (frame.first_chunk()?, frame.get(6..)?.first_chunk()?);
    let mut at = 12;
    while link::is_vlan(be16(frame, at)?) {
        at += 4;
    }
    let packet = frame.get(at + 2..)?;
    let carries = match (be16(frame, at)?, ip.src, ip.dst) {
        (link::ETHER_IPV4, IpAddr::V4(src), IpAddr::V4(dst)) => {
            packet.get(12..20)? == [src.octets(), dst.octets()].as_flattened()
        }
        (link::ETHER_IPV6, IpAddr::V6(src), IpAddr::V6(dst)) => {
            packet.get(8..40)? == [src.octets(), dst.octets()].as_flattened()
        }
        _ => false,
    };
    carries.then_some([Mac(*sender), Mac(*receiver)])
}

/// What a packet turned out to be, innermost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    Tcp(Segment<'a>),
    Udp(Datagram<'a>),
    /// IP with a transport that is not followed; its protocol number (1 ICMP, 58 ICMPv6, 132 SCTP ...).
    Other(IpFacts, u8),
    /// An echo request (RFC 792; RFC 4443, section 4.1), with the protocol number of ICMP or ICMPv6.
    Echo(IpFacts, u8),
    /// Nothing to follow: not IP, malformed, or a fragment that waits for others. Counted.
    Nothing,
}

/// The IP layer of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpFacts {
    pub src: IpAddr,
    pub dst: IpAddr,
    pub vlans: Vlans,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Bytes of the IP packet on the wire, header included (all fragments together when it was put together).
    pub bytes: u32,
}

/// A TCP segment (RFC 9293).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    pub ip: IpFacts,
    pub src_port: u16,
    pub dst_port: u16,
    pub seq: u32,
    pub ack: u32,
    /// The flag bits: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32.
    pub flags: u8,
    pub window: u16,
    pub payload: &'a [u8],
    /// Payload bytes that were on the wire but not captured (snaplen), after `payload`.
    pub missing: u32,
    /// What its checksums are taken over.
    pub wire: Wire<'a>,
}

/// The timestamps option of a segment (RFC 7323, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamps {
    /// By the sender's clock.
    pub value: u32,
    /// The latest that the sender received; it counts where the segment acknowledges something.
    pub echo: u32,
}

impl<'a> Segment<'a> {
    /// The urgent pointer, where the URG flag is set and the header is there.
    pub fn urgent(&self) -> Option<u16> {
        (self.flags & URG != 0).then(|| be16(self.wire.header()?, 18)).flatten()
    }

    /// Whether it is signed by its ends' key: by an option of RFC 2385 or RFC 5925.
    pub fn is_signed(&self) -> bool {
        self.options().any(|(kind, _)| kind == MD5 || kind == AO)
    }

    /// Its timestamps (RFC 7323, section 3).
    pub fn timestamp(&self) -> Option<Timestamps> {
        let (_, value) = self.options().find(|(kind, _)| *kind == TIMESTAMPS)?;
        Some(Timestamps { value: be32(value, 0)?, echo: be32(value, 4)? })
    }

    /// Whether its packet is as nearly all are: no options of IPv4, no extension headers of IPv6, hops to spare.
    pub fn is_plain(&self) -> bool {
        self.ip.ttl >= limits::TTL_PLAIN && !self.has_options()
    }

    /// Whether its packet may be dropped on its way to a host that takes plain ones, or by it.
    pub fn is_odd(&self) -> bool {
        self.ip.ttl < limits::TTL_ODD || self.has_options()
    }

    /// Whether something lies between IP's fixed header and its own; not known of a datagram put together from fragments.
    fn has_options(&self) -> bool {
        let fixed = if self.ip.src.is_ipv4() { 20 } else { 40 };
        self.wire.transport > fixed
    }

    /// Whether it comes in an IPv4 datagram of fragments that overlap, and not as exact copies.
    pub fn overlaps(&self) -> bool {
        self.wire.overlaps
    }

    /// The options of its header, as far as they are sound: kind and value (RFC 9293, section 3.1).
    fn options(&self) -> impl Iterator<Item = (u8, &'a [u8])> {
        let header = self.wire.header().unwrap_or_default();
        let end = header.get(12).map_or(0, |offset| usize::from(offset >> 4) * 4);
        let mut rest = header.get(20..end).unwrap_or_default();
        std::iter::from_fn(move || {
            while let [NO_OPERATION, after @ ..] = rest {
                rest = after;
            }
            let (&kind, &len) = (rest.first().filter(|kind| **kind != END_OF_OPTIONS)?, rest.get(1)?);
            let value = rest.get(2..usize::from(len))?;
            rest = &rest[usize::from(len)..];
            Some((kind, value))
        })
    }
}

const URG: u8 = 32;
/// Kinds of TCP options (IANA).
const END_OF_OPTIONS: u8 = 0;
const NO_OPERATION: u8 = 1;
const TIMESTAMPS: u8 = 8;
const MD5: u8 = 19;
const AO: u8 = 29;

/// A UDP datagram (RFC 768).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    pub ip: IpFacts,
    pub src_port: u16,
    pub dst_port: u16,
    pub payload: &'a [u8],
    /// Payload bytes that were on the wire but not captured.
    pub missing: u32,
    /// What its checksums are taken over.
    pub wire: Wire<'a>,
}

/// What a walk over a packet reads and writes besides the packet.
#[derive(Debug, Default)]
struct Context {
    stats: DecodeStats,
    anomalies: Anomalies,
    fragments: FragmentPool,
}

impl Context {
    /// Counts what came out.
    fn count(&mut self, decoded: &Decoded<'_>) {
        match decoded {
            Decoded::Tcp(_) => self.stats.tcp += 1,
            Decoded::Udp(_) => self.stats.udp += 1,
            Decoded::Other(..) | Decoded::Echo(..) => self.stats.other += 1,
            Decoded::Nothing => {}
        }
    }

    /// Counts the headers the fast path went over; the walk counts them as it meets them.
    fn count_headers(&mut self, decoded: &Decoded<'_>) {
        let (Decoded::Tcp(Segment { ip, .. }) | Decoded::Udp(Datagram { ip, .. })) = decoded else { return };
        match ip.src {
            IpAddr::V4(_) => self.stats.ipv4 += 1,
            IpAddr::V6(_) => self.stats.ipv6 += 1,
        }
        self.stats.vlan += u64::from(!ip.vlans.as_slice().is_empty());
    }
}

/// Anomalies not yet taken out: the first ones say what is wrong, the rest are dropped.
#[derive(Debug, Default)]
struct Anomalies(Vec<Anomaly>);

impl Anomalies {
    /// Notes an anomaly; `detail` is only made when there is room for it.
    fn add(&mut self, name: &'static str, detail: impl FnOnce() -> String) {
        if self.0.len() < limits::ANOMALIES {
            self.0.push(Anomaly { name, layer: EventLayer::Decode, side: None, detail: detail() });
        }
    }
}

/// A big-endian 16-bit number at `at`.
fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
}

/// A big-endian 32-bit number at `at`.
fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests;
