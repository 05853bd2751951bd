//! Link layers, and what lies between them and IP: EtherTypes and tags, LLC, PPP, PPPoE, MPLS.
//!
//! Link types are those of <https://www.tcpdump.org/linktypes.html>. Each function reads one header from the front of
//! `rest` and says what follows it.

use super::walk::{Fault, Layer, Step};
use super::{be16, be32};

/// Ethernet, the one link type of the fast path.
pub(super) const ETHERNET: u32 = 1;
pub(super) const ETHER_IPV4: u16 = 0x0800;
pub(super) const ETHER_IPV6: u16 = 0x86dd;

/// The header of a link type.
pub(super) fn link(number: u32, rest: &[u8]) -> Result<Step, Fault> {
    match number {
        ETHERNET => Ok(Step::to(Layer::Ethernet, 0)),
        // BSD loopback: an address family in the byte order of the capturing host, or of the network.
        0 | 108 => family(rest),
        9 => Ok(Step::to(Layer::Ppp, 0)),
        50 | 104 => hdlc(rest),
        51 => Ok(Step::to(Layer::Pppoe, 0)),
        // Raw IP: the registered number, and those of BSD and OpenBSD before it.
        101 | 12 | 14 => Ok(Step::to(Layer::Ip, 0)),
        228 => Ok(Step::to(Layer::Ipv4, 0)),
        229 => Ok(Step::to(Layer::Ipv6, 0)),
        113 => cooked(rest, be16(rest, 2), be16(rest, 14), 16),
        276 => cooked(rest, be16(rest, 8), be16(rest, 0), 20),
        // BSD's enc0, for what comes out of IPsec: a family, then an index and flags.
        109 => family(rest).map(|step| Step { skip: 12, ..step }),
        239 => nflog(rest),
        258 => pktap(rest),
        _ => Err(Fault::UnsupportedLink),
    }
}

/// Ethernet II, or IEEE 802.3 with a length in place of the type.
pub(super) fn ethernet(rest: &[u8]) -> Result<Step, Fault> {
    ether_type_or_len(rest, 12)
}

/// A tag of `len` bytes, then an EtherType: 802.1Q and 802.1ad (2), VN-Tag and HSR (4), 802.1BR and Cisco's metadata (6).
pub(super) fn tag(len: usize, rest: &[u8]) -> Result<Step, Fault> {
    ether_type_or_len(rest, len)
}

fn ether_type_or_len(rest: &[u8], at: usize) -> Result<Step, Fault> {
    let value = be16(rest, at).ok_or(Fault::Invalid)?;
    if value <= MAX_802_3 {
        return Ok(Step::to(Layer::Llc, at + 2).of(value.into()));
    }
    ether_type(value).map(|layer| Step::to(layer, at + 2)).ok_or(Fault::NotIp)
}

/// What an EtherType announces, where it is followed.
pub(super) fn ether_type(value: u16) -> Option<Layer> {
    Some(match value {
        ETHER_IPV4 => Layer::Ipv4,
        ETHER_IPV6 => Layer::Ipv6,
        _ if is_vlan(value) => Layer::Vlan,
        0x8847 | 0x8848 => Layer::Mpls,
        0x8864 => Layer::Pppoe,
        // VN-Tag and HSR; 802.1BR and Cisco's metadata.
        0x8926 | 0x892f => Layer::Tag(4),
        0x893f | 0x8909 => Layer::Tag(6),
        // Whole frames within frames: 802.1ah, FabricPath.
        0x88e7 => Layer::Frame(4),
        0x8903 => Layer::Frame(2),
        0x894f => Layer::Nsh,
        0x22f3 => Layer::Trill,
        _ => return None,
    })
}

/// 802.1Q, 802.1ad, and the number QinQ used before 802.1ad had one.
#[inline]
pub(super) fn is_vlan(ether_type: u16) -> bool {
    matches!(ether_type, 0x8100 | 0x88a8 | 0x9100)
}

/// Whether this can be an Ethernet frame that is followed: asked where nothing says what a payload is.
pub(super) fn is_plausible_ethernet(frame: &[u8]) -> bool {
    be16(frame, 12).and_then(ether_type).is_some()
}

/// Whether this can be an IP packet of at most `on_wire` bytes.
pub(super) fn is_plausible_ip(packet: &[u8], on_wire: usize) -> bool {
    let Some(&first) = packet.first() else { return false };
    let lengths = match first >> 4 {
        4 => (usize::from(first & 0xf) * 4, be16(packet, 2).map(usize::from)),
        6 => (40, be16(packet, 4).map(|len| usize::from(len) + 40)),
        _ => return false,
    };
    matches!(lengths, (header, Some(total)) if header >= 20 && total >= header && total <= on_wire)
}

/// IEEE 802.2 LLC: SNAP (RFC 1042) or the rare service access point of IP itself.
pub(super) fn llc(rest: &[u8]) -> Result<Step, Fault> {
    match rest {
        // The organisation is none (RFC 1042) or Apple's bridge tunnel (802.1H).
        [0xaa, 0xaa, 0x03, 0x00, 0x00, 0x00 | 0xf8, ..] => {
            let value = be16(rest, 6).ok_or(Fault::Invalid)?;
            ether_type(value).map(|layer| Step::to(layer, 8)).ok_or(Fault::NotIp)
        }
        [0x06, 0x06, 0x03, ..] => Ok(Step::to(Layer::Ip, 3)),
        _ => Err(Fault::NotIp),
    }
}

/// IP, by its version.
pub(super) fn ip_version(rest: &[u8]) -> Result<Step, Fault> {
    match rest.first().ok_or(Fault::Invalid)? >> 4 {
        4 => Ok(Step::to(Layer::Ipv4, 0)),
        6 => Ok(Step::to(Layer::Ipv6, 0)),
        _ => Err(Fault::Invalid),
    }
}

/// PPP (RFC 1661), with or without the address and control bytes of HDLC-like framing (RFC 1662); the protocol may
/// be compressed to one byte, which is then odd (RFC 1661, section 6.5).
pub(super) fn ppp(rest: &[u8]) -> Result<Step, Fault> {
    let framing = if rest.starts_with(&[0xff, 0x03]) { 2 } else { 0 };
    let first = *rest.get(framing).ok_or(Fault::Invalid)?;
    let (protocol, len) = match first & 1 {
        1 => (first.into(), 1),
        _ => (be16(rest, framing).ok_or(Fault::Invalid)?, 2),
    };
    let layer = match protocol {
        0x0021 => Layer::Ipv4,
        0x0057 => Layer::Ipv6,
        0x0281 | 0x0283 => Layer::Mpls,
        _ => return Err(Fault::NotIp),
    };
    Ok(Step::to(layer, framing + len))
}

/// PPP or Cisco's HDLC, told apart by the address byte (RFC 1547, section 4.3.1).
fn hdlc(rest: &[u8]) -> Result<Step, Fault> {
    match rest {
        [0x0f | 0x8f, _, ..] => ether_type_or_len(rest, 2),
        _ => Ok(Step::to(Layer::Ppp, 0)),
    }
}

/// A PPPoE session packet (RFC 2516, section 4).
pub(super) fn pppoe(rest: &[u8]) -> Result<Step, Fault> {
    let head: &[u8; 6] = rest.first_chunk().ok_or(Fault::Invalid)?;
    match head {
        [0x11, 0x00, _, _, high, low] => Ok(Step::to(Layer::Ppp, 6).of(u16::from_be_bytes([*high, *low]).into())),
        // Discovery.
        [0x11, ..] => Err(Fault::NotIp),
        _ => Err(Fault::Invalid),
    }
}

/// One MPLS label (RFC 3032). Nothing says what the last one carries: IP shows its version (RFC 4928), an
/// Ethernet pseudowire a control word that begins with zero (RFC 4385, section 3), or no control word at all.
pub(super) fn mpls(rest: &[u8]) -> Result<Step, Fault> {
    let label = be32(rest, 0).ok_or(Fault::Invalid)?;
    if label & BOTTOM_OF_STACK == 0 {
        return Ok(Step::to(Layer::Mpls, 4));
    }
    let payload = rest.get(4..).unwrap_or_default();
    match payload.first().ok_or(Fault::Invalid)? >> 4 {
        4 => Ok(Step::to(Layer::Ipv4, 4)),
        6 => Ok(Step::to(Layer::Ipv6, 4)),
        0 if payload.get(4..).is_some_and(is_plausible_ethernet) => Ok(Step::to(Layer::Ethernet, 8)),
        _ if is_plausible_ethernet(payload) => Ok(Step::to(Layer::Ethernet, 4)),
        _ => Err(Fault::NotIp),
    }
}

/// BSD loopback. The family numbers of IPv6 are those of NetBSD and BSD/OS, FreeBSD, macOS, and Linux.
fn family(rest: &[u8]) -> Result<Step, Fault> {
    let family = be32(rest, 0).ok_or(Fault::Invalid)?;
    match if family > 0xffff { family.swap_bytes() } else { family } {
        2 => Ok(Step::to(Layer::Ipv4, 4)),
        24 | 28 | 30 | 10 => Ok(Step::to(Layer::Ipv6, 4)),
        _ => Err(Fault::NotIp),
    }
}

/// Linux cooked capture, version 1 (16 bytes) or 2 (20 bytes). For some hardware the protocol field is no EtherType.
fn cooked(rest: &[u8], hardware: Option<u16>, protocol: Option<u16>, len: usize) -> Result<Step, Fault> {
    let (Some(hardware), Some(protocol), true) = (hardware, protocol, rest.len() >= len) else {
        return Err(Fault::Invalid);
    };
    match (hardware, protocol) {
        // ARPHRD_NETLINK; 802.11 with its several kinds of preamble.
        (824 | 801..=804, _) => Err(Fault::NotIp),
        (_, 0x0004) => Ok(Step::to(Layer::Llc, len)),
        _ => ether_type(protocol).map(|layer| Step::to(layer, len)).ok_or(Fault::NotIp),
    }
}

/// Linux NFLOG: a family, then attributes (length and type in the byte order of the capturing host, padded to four
/// bytes), of which one holds the packet.
fn nflog(rest: &[u8]) -> Result<Step, Fault> {
    const PAYLOAD: u16 = 9;
    let mut at = 4;
    loop {
        let (Some(mut len), Some(mut kind)) = (be16(rest, at), be16(rest, at + 2)) else {
            return Err(Fault::Invalid);
        };
        // Types are small numbers: one above 255 was written in the other byte order.
        if kind > 0xff {
            (len, kind) = (len.swap_bytes(), kind.swap_bytes());
        }
        let Some(value_len) = usize::from(len).checked_sub(4) else { return Err(Fault::Invalid) };
        if kind == PAYLOAD {
            return Ok(Step::to(Layer::Ip, at + 4).of(value_len));
        }
        at += usize::from(len).next_multiple_of(4);
    }
}

/// Apple's PKTAP: its own length, a record type, and the link type of what follows, little-endian.
fn pktap(rest: &[u8]) -> Result<Step, Fault> {
    let (Some(len), Some(number)) = (be32(rest, 0), be32(rest, 8)) else { return Err(Fault::Invalid) };
    let len = usize::try_from(len.swap_bytes()).map_err(|_| Fault::Invalid)?;
    if len < 12 || len > rest.len() {
        return Err(Fault::Invalid);
    }
    Ok(Step::to(Layer::Link(number.swap_bytes()), len))
}

/// Up to here the field is a length, from 0x0600 a type (IEEE 802.3, 3.2.6); between is neither.
const MAX_802_3: u16 = 1500;
const BOTTOM_OF_STACK: u32 = 0x100;
