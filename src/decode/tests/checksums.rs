//! What is judged by its checksum, and what is not.

use etherparse::PacketBuilder;

use super::*;

/// What both paths say of a packet's checksums.
#[track_caller]
fn checksum_holds(link: u32, packet: &[u8], wire_len: usize) -> Option<bool> {
    let holds = |decoded: Decoded<'_>| match decoded {
        Decoded::Tcp(segment) => segment.checksum_holds(),
        Decoded::Udp(datagram) => datagram.checksum_holds(),
        other => panic!("no transport: {other:?}"),
    };
    let one = holds(Decoder::new().decode(link, packet, wire_len as u32, NOW));
    assert_eq!(one, holds(Decoder::new().decode_any(link, packet, wire_len as u32, NOW)));
    one
}

/// A query for MX over Ethernet, by etherparse.
fn question(v6: bool) -> Vec<u8> {
    let (mut packet, builder) = (Vec::new(), PacketBuilder::ethernet2([2; 6], [4; 6]));
    let builder = if v6 {
        builder.ipv6(V6_SRC, V6_DST, 47).udp(1_025, 53)
    } else {
        builder.ipv4([10, 0, 0, 1], [192, 0, 2, 53], 64).udp(1_025, 53)
    };
    builder.write(&mut packet, b"any message of odd length").unwrap();
    packet
}

#[test]
fn a_checksum_holds_until_a_bit_flips() {
    for packet in [mail(b"QUIT\r\n"), mail(b"odd"), mail(b""), question(false), question(true)] {
        assert_eq!(checksum_holds(1, &packet, packet.len()), Some(true));
        let header = if packet[12] == 0x08 { 34 } else { 54 };
        // Addresses, then all of TCP or UDP but what says where its payload lies.
        for at in (header - 8..packet.len()).filter(|at| ![header + 4, header + 5, header + 12].contains(at)) {
            let mut damaged = packet.clone();
            damaged[at] ^= 0x04;
            assert_eq!(checksum_holds(1, &damaged, packet.len()), Some(false), "byte {at}");
        }
        let mut padded = packet.clone();
        padded.extend([7; 9]);
        assert_eq!(checksum_holds(1, &padded, padded.len()), Some(true));
    }
}

#[test]
fn the_ipv4_header_is_looked_at_too() {
    let mut packet = mail(b"QUIT\r\n");
    // The time to live, which the pseudo-header has not.
    packet[14 + 8] -= 1;
    assert_eq!(checksum_holds(1, &packet, packet.len()), Some(false));
}

#[test]
fn what_is_not_all_there_or_was_never_on_the_wire_is_not_judged() {
    let packet = mail(b"MAIL FROM:<a@b>\r\n");
    assert_eq!(checksum_holds(1, &packet[..packet.len() - 1], packet.len()), None);
    // Cut within the options, too.
    let mut options = packet.clone();
    options[14 + 20 + 12] = 8 << 4;
    assert_eq!(checksum_holds(1, &options[..60], packet.len()), None);
    let mut unstated = packet.clone();
    unstated[16..18].fill(0);
    assert_eq!(checksum_holds(1, &unstated, packet.len()), None);
}

#[test]
fn packets_longer_than_those_of_most_wires_are_told_apart() {
    for (more, long) in [(0, false), (1, true), (7_500, true)] {
        let packet = mail(&vec![b'x'; limits::WIRE_PACKET - 40 + more]);
        let mut decoder = Decoder::new();
        let Decoded::Tcp(segment) = decode(&mut decoder, 1, &packet) else { panic!("no segment") };
        assert_eq!((segment.is_long(), segment.checksum_holds()), (long, Some(true)));
    }
}

#[test]
fn udp_without_a_checksum_is_not_judged() {
    let mut packet = question(false);
    packet[14 + 20 + 6..14 + 20 + 8].fill(0);
    assert_eq!(checksum_holds(1, &packet, packet.len()), None);
}

/// However long: no offload hands out a segment in fragments.
#[test]
fn a_segment_out_of_fragments_is_judged() {
    let whole = mail_ip(&[b'x'; 2_000]);
    for (flip, expected) in [(0, Some(true)), (1, Some(false))] {
        let mut transport = whole[20..].to_vec();
        transport[1_700] ^= flip;
        let mut fragments = [0, 1_000, 2_000].map(|at| {
            let end = transport.len().min(at + 1_000);
            fragment(6, 9, at as u16, end < transport.len(), &transport[at..end])
        });
        fragments.iter_mut().for_each(|packet| packet[12..20].copy_from_slice(&whole[12..20]));
        let mut decoder = Decoder::new();
        let [first, second, last] = fragments;
        assert_eq!(decode(&mut decoder, 101, &first), Decoded::Nothing);
        assert_eq!(decode(&mut decoder, 101, &second), Decoded::Nothing);
        let Decoded::Tcp(segment) = decode(&mut decoder, 101, &last) else { panic!("no segment") };
        assert_eq!(segment.checksum_holds(), expected);
    }
}

#[test]
fn in_a_tunnel_and_behind_extension_headers_the_innermost_counts() {
    let inner = mail_ip(b"QUIT\r\n");
    let mut tunnel = ipv4(4, &inner);
    // The outer header's is for routers.
    tunnel[8] -= 1;
    assert_eq!(checksum_holds(101, &tunnel, tunnel.len()), Some(true));
    let transport = question(true)[54..].to_vec();
    let extended = ipv6(60, &[&[17, 0, 1, 4, 0, 0, 0, 0][..], &transport].concat());
    assert_eq!(checksum_holds(101, &extended, extended.len()), Some(true));
    let resumed = ipv6_fragment(5, 17, 0, false, &transport);
    assert_eq!(checksum_holds(101, &resumed, resumed.len()), Some(true));
}

/// What is longer than the packets of most wires was put together by hardware that had yet to finish its checksum.
#[test]
fn datagrams_longer_than_a_wires_packets_are_not_judged() {
    for (payload, judged) in [(limits::WIRE_PACKET - 28, true), (limits::WIRE_PACKET - 27, false), (5_000, false)] {
        let mut packet = Vec::new();
        PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4([10, 0, 0, 1], [192, 0, 2, 53], 64)
            .udp(1_025, 53)
            .write(&mut packet, &vec![7; payload])
            .unwrap();
        assert_eq!(checksum_holds(1, &packet, packet.len()), judged.then_some(true), "{payload}");
        packet[50] ^= 1;
        assert_eq!(checksum_holds(1, &packet, packet.len()), judged.then_some(false), "{payload}");
    }
}
