//! Frame to IP to segment or datagram: link layers, tags, tunnels, fragments.

use std::net::IpAddr;

use crate::model::net::Vlans;

/// What a packet turned out to be, innermost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    Tcp(Segment<'a>),
    Udp(Datagram<'a>),
    /// IP with a transport that is not followed; its protocol number (1 ICMP, 58 ICMPv6, 132 SCTP ...).
    Other(IpFacts, u8),
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
}

/// A UDP datagram (RFC 768).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    pub ip: IpFacts,
    pub src_port: u16,
    pub dst_port: u16,
    pub payload: &'a [u8],
    /// Payload bytes that were on the wire but not captured.
    pub missing: u32,
}
