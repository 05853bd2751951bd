//! Checksums of IPv4 headers (RFC 791), TCP (RFC 9293, section 3.1) and UDP (RFC 768), verified when someone asks:
//! on a background packet they would cost more than all of the decoding.

use std::net::IpAddr;

use etherparse::checksum::Sum16BitWords;

use crate::model::limits;

use super::transport::UDP_HEADER;
use super::{Datagram, IpFacts, Segment, be16};

/// A transport within its packet, all of it as on the wire: what checksums are taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wire<'a> {
    /// From the innermost IP header to the end of what it carries; from the transport on where the datagram was put
    /// together from fragments; empty where checksums say nothing, because bytes or lengths are missing.
    pub(super) packet: &'a [u8],
    /// Where the transport's header begins.
    pub(super) transport: u16,
    /// It was put together from fragments that overlap.
    pub(super) overlaps: bool,
}

impl Segment<'_> {
    /// Whether its checksum and that of its IPv4 header hold. None where that cannot be judged: bytes were not
    /// captured, or hardware was still to write the lengths.
    ///
    /// Behind a header that routes through stations (IPv4 source route, IPv6 routing header) the checksum is that for
    /// the last of them, and will be called wrong at all others.
    pub fn checksum_holds(&self) -> Option<bool> {
        let transport = self.wire.transport(usize::MAX)?;
        let len = u32::try_from(transport.len()).ok()?;
        Some(holds(pseudo_header(&self.ip, TCP, len).add_slice(transport)) && self.wire.ip_header_holds())
    }

    /// Whether it came in a packet longer than those of most wires ([`limits::WIRE_PACKET`]): then its checksum may never
    /// have been finished.
    pub fn is_long(&self) -> bool {
        self.wire.transport > 0 && self.wire.packet.len() > limits::WIRE_PACKET
    }
}

impl Datagram<'_> {
    /// As [`Segment::checksum_holds`]; None also where the sender made no checksum (RFC 768), and for packets longer than
    /// those of most wires ([`limits::WIRE_PACKET`]).
    pub fn checksum_holds(&self) -> Option<bool> {
        let transport = self.wire.transport(limits::WIRE_PACKET)?;
        let len = be16(transport, 4)?;
        let datagram = transport.get(..usize::from(len)).filter(|bytes| bytes.len() >= UDP_HEADER)?;
        if be16(transport, 6)? == 0 {
            return None;
        }
        Some(holds(pseudo_header(&self.ip, UDP, len.into()).add_slice(datagram)) && self.wire.ip_header_holds())
    }
}

impl<'a> Wire<'a> {
    /// From the transport's header on.
    pub(super) fn header(&self) -> Option<&'a [u8]> {
        self.packet.get(usize::from(self.transport)..)
    }

    fn transport(&self, longest: usize) -> Option<&[u8]> {
        if self.transport > 0 && self.packet.len() > longest {
            return None;
        }
        self.packet.get(usize::from(self.transport)..).filter(|bytes| !bytes.is_empty())
    }

    /// IPv6 has no header checksum, and a datagram put together has no one header.
    fn ip_header_holds(&self) -> bool {
        match self.packet.first() {
            Some(first) if self.transport > 0 && first >> 4 == 4 => {
                let header = self.packet.get(..usize::from(first & 0xf) * 4).unwrap_or_default();
                holds(Sum16BitWords::new().add_slice(header))
            }
            _ => true,
        }
    }
}

/// RFC 9293, section 3.1, and RFC 8200, section 8.1. The sum is the same whether a length has 16 or 32 bits.
fn pseudo_header(ip: &IpFacts, protocol: u8, len: u32) -> Sum16BitWords {
    let mut sum = Sum16BitWords::new();
    sum = match (ip.src, ip.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => sum.add_4bytes(src.octets()).add_4bytes(dst.octets()),
        (IpAddr::V6(src), IpAddr::V6(dst)) => sum.add_16bytes(src.octets()).add_16bytes(dst.octets()),
        // One packet has addresses of one family.
        _ => sum,
    };
    sum.add_4bytes(len.to_be_bytes()).add_2bytes([0, protocol])
}

/// A sum that takes in the checksum itself comes to nothing.
fn holds(sum: Sum16BitWords) -> bool {
    sum.ones_complement() == 0
}

const TCP: u8 = 6;
const UDP: u8 = 17;
