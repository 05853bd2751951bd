//! Frames as they lie on the wire: Ethernet, VLAN tags, IPv4 or IPv6, and TCP, UDP or ICMP with right checksums.
//!
//! Written by hand: a frame is a dozen fields, and the benches want them faster than a general builder gives them.
//! The tests read every kind back with etherparse.

use std::net::IpAddr;

/// A hardware address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

/// The link layer of a frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct Link {
    pub src: Mac,
    pub dst: Mac,
    /// An IEEE 802.1Q tag.
    pub vlan: Option<u16>,
}

/// The network layer; both addresses must be of one family.
#[derive(Clone, Copy, Debug)]
pub struct Ip {
    pub src: IpAddr,
    pub dst: IpAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    /// IPv4 identification.
    pub id: u16,
    /// IPv4 "don't fragment".
    pub df: bool,
}

/// A TCP header (RFC 9293, section 3.1).
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp<'a> {
    pub src_port: u16,
    pub dst_port: u16,
    pub seq: u32,
    pub ack: u32,
    /// Flag bits: see [`FIN`] and its neighbours.
    pub flags: u8,
    pub window: u16,
    /// Options, a multiple of four bytes, at most 40.
    pub options: &'a [u8],
}

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const PSH: u8 = 8;
pub const ACK: u8 = 16;

/// Replaces `frame` with a TCP segment.
pub fn tcp(frame: &mut Vec<u8>, link: &Link, ip: &Ip, tcp: &Tcp<'_>, payload: &[u8]) {
    let header = 20 + tcp.options.len();
    let start = begin(frame, link, ip, IPPROTO_TCP, header + payload.len());
    frame.extend(tcp.src_port.to_be_bytes());
    frame.extend(tcp.dst_port.to_be_bytes());
    frame.extend(tcp.seq.to_be_bytes());
    frame.extend(tcp.ack.to_be_bytes());
    frame.extend([(header as u8 / 4) << 4, tcp.flags]);
    frame.extend(tcp.window.to_be_bytes());
    frame.extend([0; 4]);
    frame.extend_from_slice(tcp.options);
    frame.extend_from_slice(payload);
    let sum = checksum(pseudo_header(ip, IPPROTO_TCP, header + payload.len()), &frame[start..]);
    frame[start + 16..start + 18].copy_from_slice(&sum.to_be_bytes());
    pad(frame);
}

/// Replaces `frame` with a UDP datagram (RFC 768).
pub fn udp(frame: &mut Vec<u8>, link: &Link, ip: &Ip, ports: (u16, u16), payload: &[u8]) {
    let length = 8 + payload.len();
    let start = begin(frame, link, ip, IPPROTO_UDP, length);
    frame.extend(ports.0.to_be_bytes());
    frame.extend(ports.1.to_be_bytes());
    frame.extend((length as u16).to_be_bytes());
    frame.extend([0; 2]);
    frame.extend_from_slice(payload);
    // RFC 768: a sum of zero is sent as all ones, because zero means "no checksum".
    let sum = match checksum(pseudo_header(ip, IPPROTO_UDP, length), &frame[start..]) {
        0 => 0xffff,
        sum => sum,
    };
    frame[start + 6..start + 8].copy_from_slice(&sum.to_be_bytes());
    pad(frame);
}

/// Replaces `frame` with an ICMP or ICMPv6 echo request, or its reply (RFC 792, RFC 4443).
pub fn echo(frame: &mut Vec<u8>, link: &Link, ip: &Ip, reply: bool, id: u16, sequence: u16, payload: &[u8]) {
    let v6 = ip.src.is_ipv6();
    let (protocol, kind) =
        if v6 { (IPPROTO_ICMPV6, if reply { 129 } else { 128 }) } else { (1, if reply { 0 } else { 8 }) };
    let start = begin(frame, link, ip, protocol, 8 + payload.len());
    frame.extend([kind, 0, 0, 0]);
    frame.extend(id.to_be_bytes());
    frame.extend(sequence.to_be_bytes());
    frame.extend_from_slice(payload);
    let seed = if v6 { pseudo_header(ip, protocol, 8 + payload.len()) } else { 0 };
    let sum = checksum(seed, &frame[start..]);
    frame[start + 2..start + 4].copy_from_slice(&sum.to_be_bytes());
    pad(frame);
}

/// Bytes of the IP packet in a frame of ours, padding not counted.
pub fn ip_length(frame: &[u8]) -> u64 {
    let at = if frame[12..14] == ETHERTYPE_VLAN { 18 } else { 14 };
    if frame[at] >> 4 == 4 {
        u64::from(u16::from_be_bytes([frame[at + 2], frame[at + 3]]))
    } else {
        40 + u64::from(u16::from_be_bytes([frame[at + 4], frame[at + 5]]))
    }
}

/// The Internet checksum (RFC 1071) of `bytes`, with `seed` (a sum of 16-bit words) added in.
pub fn checksum(seed: u64, bytes: &[u8]) -> u16 {
    // RFC 1071, section 2: the sum may be taken over wider words, and in either byte order.
    let mut sum = u64::from(((seed % 0xffff) as u16).to_be());
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        sum += u64::from(u32::from_ne_bytes([word[0], word[1], word[2], word[3]]));
    }
    let mut rest = [0; 4];
    rest[..words.remainder().len()].copy_from_slice(words.remainder());
    sum += u64::from(u32::from_ne_bytes(rest));
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16).to_be()
}

/// Writes link and network layer for a payload of `length` bytes and returns where that payload begins.
fn begin(frame: &mut Vec<u8>, link: &Link, ip: &Ip, protocol: u8, length: usize) -> usize {
    frame.clear();
    frame.extend(link.dst.0);
    frame.extend(link.src.0);
    if let Some(vlan) = link.vlan {
        frame.extend(ETHERTYPE_VLAN);
        frame.extend((vlan & 0x0fff).to_be_bytes());
    }
    match (ip.src, ip.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            frame.extend([0x08, 0x00]);
            let start = frame.len();
            frame.extend([0x45, 0]);
            frame.extend((20 + length as u16).to_be_bytes());
            frame.extend(ip.id.to_be_bytes());
            frame.extend([if ip.df { 0x40 } else { 0 }, 0, ip.ttl, protocol, 0, 0]);
            frame.extend(src.octets());
            frame.extend(dst.octets());
            let sum = checksum(0, &frame[start..]);
            frame[start + 10..start + 12].copy_from_slice(&sum.to_be_bytes());
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            frame.extend((length as u16).to_be_bytes());
            frame.extend([protocol, ip.ttl]);
            frame.extend(src.octets());
            frame.extend(dst.octets());
        }
        (src, dst) => panic!("a packet from {src} to {dst} cannot be: they are of different families"),
    }
    frame.len()
}

/// The sum of the pseudo header's words (RFC 9293, section 3.1; RFC 8200, section 8.1).
fn pseudo_header(ip: &Ip, protocol: u8, length: usize) -> u64 {
    let words = |bytes: &[u8]| -> u64 {
        bytes.chunks_exact(2).map(|pair| u64::from(u16::from_be_bytes([pair[0], pair[1]]))).sum()
    };
    let addresses = match (ip.src, ip.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => words(&src.octets()) + words(&dst.octets()),
        (IpAddr::V6(src), IpAddr::V6(dst)) => words(&src.octets()) + words(&dst.octets()),
        _ => 0,
    };
    addresses + u64::from(protocol) + length as u64
}

/// Ethernet's shortest frame is 60 bytes without its check sum: a mirror port shows the padding.
fn pad(frame: &mut Vec<u8>) {
    if frame.len() < 60 {
        frame.resize(60, 0);
    }
}

const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;
const IPPROTO_ICMPV6: u8 = 58;
const ETHERTYPE_VLAN: [u8; 2] = [0x81, 0x00];

#[cfg(test)]
mod tests {
    use etherparse::{NetSlice, SlicedPacket, TransportSlice};

    use super::*;

    fn ip(src: &str, dst: &str) -> Ip {
        Ip { src: src.parse().unwrap(), dst: dst.parse().unwrap(), ttl: 64, id: 7, df: true }
    }

    fn families() -> [Ip; 2] {
        [ip("10.20.1.5", "198.51.100.25"), ip("fd00:20::5", "2001:db8::25")]
    }

    #[test]
    fn segments_are_what_etherparse_reads() {
        for (ip, vlan, length) in families().into_iter().flat_map(|ip| [(ip, None, 1459), (ip, Some(20), 0)]) {
            let payload = vec![0xa5; length];
            let header = Tcp {
                src_port: 1025,
                dst_port: 25,
                seq: 1,
                ack: 2,
                flags: SYN | ACK,
                window: 8192,
                options: &[1, 1, 4, 2],
            };
            let mut frame = Vec::new();
            tcp(&mut frame, &Link { vlan, ..Link::default() }, &ip, &header, &payload);
            let parsed = SlicedPacket::from_ethernet(&frame).unwrap();
            assert_eq!(parsed.vlan_ids().first().map(|id| id.value()), vlan);
            let Some(TransportSlice::Tcp(seen)) = parsed.transport else { panic!("not TCP") };
            assert_eq!((seen.source_port(), seen.destination_port()), (1025, 25));
            assert_eq!(seen.payload(), payload);
            let expected = match parsed.net.unwrap() {
                NetSlice::Ipv4(net) => {
                    assert_eq!(net.header().header_checksum(), net.header().to_header().calc_header_checksum());
                    seen.to_header().calc_checksum_ipv4(&net.header().to_header(), &payload).unwrap()
                }
                NetSlice::Ipv6(net) => {
                    seen.to_header().calc_checksum_ipv6(&net.header().to_header(), &payload).unwrap()
                }
                _ => panic!("not IP"),
            };
            assert_eq!(seen.checksum(), expected);
            assert_eq!(ip_length(&frame), if ip.src.is_ipv4() { 44 } else { 64 } + length as u64);
        }
    }

    #[test]
    fn datagrams_are_what_etherparse_reads() {
        for ip in families() {
            let mut frame = Vec::new();
            udp(&mut frame, &Link::default(), &ip, (1026, 53), b"question");
            let parsed = SlicedPacket::from_ethernet(&frame).unwrap();
            let Some(TransportSlice::Udp(seen)) = parsed.transport else { panic!("not UDP") };
            assert_eq!(seen.payload(), b"question");
            let expected = match parsed.net.unwrap() {
                NetSlice::Ipv4(net) => seen.to_header().calc_checksum_ipv4(&net.header().to_header(), b"question"),
                NetSlice::Ipv6(net) => seen.to_header().calc_checksum_ipv6(&net.header().to_header(), b"question"),
                _ => panic!("not IP"),
            };
            assert_eq!(seen.checksum(), expected.unwrap());
        }
    }

    #[test]
    fn echoes_carry_right_checksums() {
        for ip in families() {
            let mut frame = Vec::new();
            echo(&mut frame, &Link::default(), &ip, false, 3, 4, &[7; 31]);
            match SlicedPacket::from_ethernet(&frame).unwrap().transport {
                Some(TransportSlice::Icmpv4(seen)) => {
                    assert_eq!(seen.checksum(), seen.icmp_type().calc_checksum(seen.payload()));
                }
                Some(TransportSlice::Icmpv6(seen)) => {
                    let (IpAddr::V6(src), IpAddr::V6(dst)) = (ip.src, ip.dst) else { unreachable!() };
                    assert!(seen.is_checksum_valid(src.octets(), dst.octets()));
                }
                other => panic!("not an echo: {other:?}"),
            }
        }
    }

    #[test]
    fn short_frames_are_padded() {
        let mut frame = Vec::new();
        tcp(&mut frame, &Link::default(), &families()[0], &Tcp::default(), &[]);
        assert_eq!((frame.len(), ip_length(&frame)), (60, 40));
    }
}
