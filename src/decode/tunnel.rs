//! Tunnels: GRE with ERSPAN, NSH, TRILL, EtherIP, and those over UDP.
//!
//! A tunnel over UDP is known by a port alone, and any client may happen to use that port. So each is believed only
//! when its header and the beginning of what it carries are right; otherwise the datagram is what it says it is.

use super::be16;
use super::link::{ETHER_IPV4, ETHER_IPV6, ether_type, is_plausible_ethernet, is_plausible_ip, ppp};
use super::walk::{Fault, Layer, Step};

/// Whether a tunnel may run between these ports.
#[inline]
pub(super) fn is_tunnel_port(src: u16, dst: u16) -> bool {
    matches!(dst, VXLAN | VXLAN_LINUX | VXLAN_GPE | GENEVE | GTP_U | TEREDO | L2TP | TZSP | MPLS_UDP | LISP | GUE)
        || matches!(src, GTP_U | TEREDO | L2TP)
}

/// The tunnel header at the front of a datagram's payload, of which `on_wire` bytes were sent.
pub(super) fn over_udp(src: u16, dst: u16, payload: &[u8], on_wire: usize) -> Option<Step> {
    match (src, dst) {
        // Here the source port is a hash of the flow: only the destination is fixed.
        (_, VXLAN | VXLAN_LINUX) => vxlan(payload),
        (_, VXLAN_GPE) => vxlan_gpe(payload, on_wire),
        (_, GENEVE) => geneve(payload, on_wire),
        (_, TZSP) => tzsp(payload),
        (_, MPLS_UDP) => mpls(payload, on_wire),
        (_, LISP) => lisp(payload, on_wire),
        (_, GUE) => gue(payload, on_wire),
        (GTP_U, _) | (_, GTP_U) => gtp_u(payload, on_wire),
        (TEREDO, _) | (_, TEREDO) => teredo(payload, on_wire),
        (L2TP, _) | (_, L2TP) => l2tp(payload, on_wire),
        _ => None,
    }
}

/// GRE version 0 (RFC 2784, 2890; routing of RFC 1701) and 1 (PPTP, RFC 2637).
pub(super) fn gre(rest: &[u8]) -> Result<Step, Fault> {
    let (Some(flags), Some(protocol)) = (be16(rest, 0), be16(rest, 2)) else { return Err(Fault::Invalid) };
    let word = |bit: u16| if flags & bit != 0 { 4 } else { 0 };
    match flags & GRE_VERSION {
        0 => {
            let mut len = 4 + word(GRE_CHECKSUM | GRE_ROUTING) + word(GRE_KEY) + word(GRE_SEQUENCE);
            if flags & GRE_ROUTING != 0 {
                len = source_routes(rest, len)?;
            }
            gre_payload(protocol, flags, rest, len)
        }
        1 if protocol == 0x880b && flags & GRE_KEY != 0 => {
            let payload = be16(rest, 4).ok_or(Fault::Invalid)?;
            Ok(Step::to(Layer::Ppp, 8 + word(GRE_SEQUENCE) + word(GRE_ACKNOWLEDGE)).of(payload.into()))
        }
        _ => Err(Fault::Invalid),
    }
}

fn gre_payload(protocol: u16, flags: u16, rest: &[u8], len: usize) -> Result<Step, Fault> {
    match protocol {
        // ERSPAN type I has no header of its own, and no sequence number (draft-foschiano-erspan-03).
        0x88be if flags & GRE_SEQUENCE == 0 => Ok(Step::to(Layer::Ethernet, len)),
        0x88be | 0x22eb => Ok(Step::to(Layer::Erspan, len)),
        // WCCP version 2 puts four bytes before the packet, version 1 none (draft-mclaggan-wccp-v2rev1).
        0x883e => {
            let first = *rest.get(len).ok_or(Fault::Invalid)?;
            Ok(Step::to(Layer::Ip, if first >> 4 == 4 { len } else { len + 4 }))
        }
        0x880b => Ok(Step::to(Layer::Ppp, len)),
        TRANSPARENT_BRIDGING => Ok(Step::to(Layer::Ethernet, len)),
        _ => ether_type(protocol).map(|layer| Step::to(layer, len)).ok_or(Fault::NotIp),
    }
}

/// Where GRE's list of source routes ends: at an entry of family 0 and length 0 (RFC 1701).
fn source_routes(rest: &[u8], mut at: usize) -> Result<usize, Fault> {
    loop {
        let (Some(family), Some(&len)) = (be16(rest, at), rest.get(at + 3)) else { return Err(Fault::Invalid) };
        at += 4 + usize::from(len);
        if family == 0 && len == 0 {
            return Ok(at);
        }
    }
}

/// ERSPAN types II and III (draft-foschiano-erspan-03).
pub(super) fn erspan(rest: &[u8]) -> Result<Step, Fault> {
    let (Some(version), Some(session)) = (be16(rest, 0), be16(rest, 2)) else { return Err(Fault::Invalid) };
    let step = match version >> 12 {
        1 => Step::to(Layer::Ethernet, 8),
        2 => {
            let kinds = be16(rest, 10).ok_or(Fault::Invalid)?;
            let len = if kinds & 1 == 0 { 12 } else { 20 };
            match (kinds >> 10) & 0x1f {
                0 => Step::to(Layer::Ethernet, len),
                2 => Step::to(Layer::Ip, len),
                _ => return Err(Fault::NotIp),
            }
        }
        _ => return Err(Fault::Invalid),
    };
    Ok(Step { cut: session & 0x0400 != 0, ..step })
}

/// Network service header (RFC 8300, section 2).
pub(super) fn nsh(rest: &[u8]) -> Result<Step, Fault> {
    let (Some(base), Some(&next)) = (be16(rest, 0), rest.get(3)) else { return Err(Fault::Invalid) };
    let len = usize::from(base & 0x3f) * 4;
    if base >> 14 != 0 || len < 8 {
        return Err(Fault::Invalid);
    }
    let layer = match next {
        1 => Layer::Ipv4,
        2 => Layer::Ipv6,
        3 => Layer::Ethernet,
        4 => Layer::Nsh,
        5 => Layer::Mpls,
        _ => return Err(Fault::NotIp),
    };
    Ok(Step::to(layer, len))
}

/// TRILL (RFC 6325, section 3): version 0, options in words of four bytes, then a whole frame.
pub(super) fn trill(rest: &[u8]) -> Result<Step, Fault> {
    let flags = be16(rest, 0).ok_or(Fault::Invalid)?;
    if flags >> 14 != 0 {
        return Err(Fault::Invalid);
    }
    Ok(Step::to(Layer::Ethernet, 6 + usize::from((flags >> 6) & 0x1f) * 4))
}

/// EtherIP (RFC 3378): version 3, and twelve bits that are zero.
pub(super) fn ether_ip(rest: &[u8]) -> Result<Step, Fault> {
    match be16(rest, 0) {
        Some(0x3000) => Ok(Step::to(Layer::Ethernet, 2)),
        _ => Err(Fault::Invalid),
    }
}

/// VXLAN (RFC 7348, section 5). Only the I flag must be set: reserved bits are ignored on receipt, and some are used
/// by the group policy extension.
fn vxlan(payload: &[u8]) -> Option<Step> {
    let frame = payload.get(8..)?;
    (payload.first()? & VXLAN_I != 0 && is_plausible_ethernet(frame)).then(|| Step::to(Layer::Ethernet, 8))
}

/// VXLAN with a next protocol (draft-ietf-nvo3-vxlan-gpe).
fn vxlan_gpe(payload: &[u8], on_wire: usize) -> Option<Step> {
    let (flags, inner) = (*payload.first()?, payload.get(8..)?);
    if flags & VXLAN_I == 0 {
        return None;
    }
    match payload.get(3)? {
        1 | 2 if is_plausible_ip(inner, on_wire - 8) => Some(Step::to(Layer::Ip, 8)),
        3 if is_plausible_ethernet(inner) => Some(Step::to(Layer::Ethernet, 8)),
        4 => Some(Step::to(Layer::Nsh, 8)),
        _ => None,
    }
}

/// Geneve (RFC 8926, section 3.4): version 0, options within the datagram, and a payload that fits its type.
fn geneve(payload: &[u8], on_wire: usize) -> Option<Step> {
    let (&first, protocol) = (payload.first()?, be16(payload, 2)?);
    let len = 8 + usize::from(first & 0x3f) * 4;
    let inner = payload.get(len..)?;
    let (layer, fits) = match protocol {
        TRANSPARENT_BRIDGING => (Layer::Ethernet, is_plausible_ethernet(inner)),
        ETHER_IPV4 | ETHER_IPV6 => (Layer::Ip, is_plausible_ip(inner, on_wire - len)),
        _ => return None,
    };
    (first >> 6 == 0 && fits).then(|| Step::to(layer, len))
}

/// TZSP, in which access points and routers send what they mirror: version 1, a packet received or sent, Ethernet; then
/// tagged fields up to one that ends them.
fn tzsp(payload: &[u8]) -> Option<Step> {
    let mut at = match payload {
        [1, 0 | 1, 0, 1, ..] => 4,
        _ => return None,
    };
    loop {
        match payload.get(at)? {
            0 => at += 1,
            1 => break,
            _ => at += 2 + usize::from(*payload.get(at + 1)?),
        }
    }
    is_plausible_ethernet(payload.get(at + 1..)?).then(|| Step::to(Layer::Ethernet, at + 1))
}

/// MPLS in UDP (RFC 7510): labels, the last of which carries IP.
fn mpls(payload: &[u8], on_wire: usize) -> Option<Step> {
    let labels = payload.chunks_exact(4).position(|label| label[2] & 1 != 0)? + 1;
    is_plausible_ip(payload.get(labels * 4..)?, on_wire - labels * 4).then(|| Step::to(Layer::Mpls, 0))
}

/// LISP (RFC 9300, section 5): eight bytes before the packet.
fn lisp(payload: &[u8], on_wire: usize) -> Option<Step> {
    is_plausible_ip(payload.get(8..)?, on_wire - 8).then(|| Step::to(Layer::Ip, 8))
}

/// Generic UDP encapsulation (draft-ietf-intarea-gue, section 3): a header with optional fields, of data and not control;
/// or in its version 1 none at all, since IP's own first bits say that it is there.
fn gue(payload: &[u8], on_wire: usize) -> Option<Step> {
    let (&first, &protocol) = (payload.first()?, payload.get(1)?);
    let (layer, len) = match (first >> 6, first & GUE_CONTROL, protocol) {
        (0, 0, 4) => (Layer::Ipv4, 4 + usize::from(first & 0x1f) * 4),
        (0, 0, 41) => (Layer::Ipv6, 4 + usize::from(first & 0x1f) * 4),
        (1, ..) => (Layer::Ip, 0),
        _ => return None,
    };
    is_plausible_ip(payload.get(len..)?, on_wire.checked_sub(len)?).then(|| Step::to(layer, len))
}

/// GTP-U version 1 (3GPP TS 29.281, section 5): a user packet, with optional fields and a chain of extension headers.
fn gtp_u(payload: &[u8], on_wire: usize) -> Option<Step> {
    let (&flags, &kind, len) = (payload.first()?, payload.get(1)?, be16(payload, 2)?);
    if flags & 0xf0 != 0x30 || kind != GTP_USER_PACKET || usize::from(len) + 8 != on_wire {
        return None;
    }
    let mut at = 8;
    if flags & 0x07 != 0 {
        at = 12;
        let mut next = *payload.get(11)?;
        while flags & 0x04 != 0 && next != 0 {
            let words = usize::from(*payload.get(at)?);
            if words == 0 {
                return None;
            }
            at += words * 4;
            next = *payload.get(at - 1)?;
        }
    }
    is_plausible_ip(payload.get(at..)?, on_wire - at).then(|| Step::to(Layer::Ip, at))
}

/// Teredo (RFC 4380, section 5.1.1): an authentication header, an origin indication, both optional, then IPv6, one
/// end of which has a Teredo or a link-local address. Trailers may follow (MS-TERE).
fn teredo(payload: &[u8], on_wire: usize) -> Option<Step> {
    let mut at = 0;
    if be16(payload, at)? == 1 {
        let (&client, &secret) = (payload.get(2)?, payload.get(3)?);
        at += 13 + usize::from(client) + usize::from(secret);
    }
    if be16(payload, at)? == 0 {
        at += 8;
    }
    let packet = payload.get(at..)?;
    let is_own = |address: usize| {
        packet
            .get(address..)
            .is_some_and(|rest| rest.starts_with(&[0x20, 0x01, 0, 0]) || rest.starts_with(&[0xfe, 0x80]))
    };
    let fits = packet.first()? >> 4 == 6 && is_plausible_ip(packet, on_wire - at) && (is_own(8) || is_own(24));
    fits.then(|| Step::to(Layer::Ipv6, at))
}

/// An L2TP version 2 data message (RFC 2661, section 3.1) that carries IP.
fn l2tp(payload: &[u8], on_wire: usize) -> Option<Step> {
    let flags = be16(payload, 0)?;
    if flags & L2TP_CONTROL != 0 || flags & L2TP_RESERVED != 0 || flags & 0xf != 2 {
        return None;
    }
    let mut at = 2;
    if flags & L2TP_LENGTH != 0 {
        if usize::from(be16(payload, at)?) != on_wire {
            return None;
        }
        at += 2;
    }
    // Tunnel and session.
    at += 4;
    if flags & L2TP_SEQUENCE != 0 {
        at += 4;
    }
    if flags & L2TP_OFFSET != 0 {
        at += 2 + usize::from(be16(payload, at)?);
    }
    let frame = payload.get(at..)?;
    let inner = ppp(frame).ok()?;
    is_plausible_ip(frame.get(inner.skip..)?, on_wire - at - inner.skip).then(|| Step::to(Layer::Ppp, at))
}

const VXLAN: u16 = 4789;
/// What Linux used before a number was assigned, and still does by default.
const VXLAN_LINUX: u16 = 8472;
const VXLAN_GPE: u16 = 4790;
const TZSP: u16 = 37_008;
const MPLS_UDP: u16 = 6_635;
const LISP: u16 = 4_341;
const GENEVE: u16 = 6081;
const GUE: u16 = 6080;
const GTP_U: u16 = 2152;
const TEREDO: u16 = 3544;
const L2TP: u16 = 1701;

/// The EtherType of an Ethernet frame within GRE or Geneve (RFC 1701).
const TRANSPARENT_BRIDGING: u16 = 0x6558;

const GRE_CHECKSUM: u16 = 0x8000;
const GRE_ROUTING: u16 = 0x4000;
const GRE_KEY: u16 = 0x2000;
const GRE_SEQUENCE: u16 = 0x1000;
const GRE_ACKNOWLEDGE: u16 = 0x0080;
const GRE_VERSION: u16 = 0x0007;

const VXLAN_I: u8 = 0x08;
const GUE_CONTROL: u8 = 0x20;
const GTP_USER_PACKET: u8 = 255;
const L2TP_CONTROL: u16 = 0x8000;
const L2TP_LENGTH: u16 = 0x4000;
const L2TP_SEQUENCE: u16 = 0x0800;
const L2TP_OFFSET: u16 = 0x0200;
const L2TP_RESERVED: u16 = 0x34f0;
