//! Datagrams put together again, also within tunnels.

use super::*;

#[test]
fn fragments_are_put_together_and_their_bytes_summed() {
    let datagram = udp(53, 1024, &[5; 100]);
    let mut decoder = Decoder::new();
    // The second first: over Ethernet neither may take the fast path.
    let [first, second] = [fragment(17, 9, 0, true, &datagram[..56]), fragment(17, 9, 56, false, &datagram[56..])];
    assert_eq!(decode(&mut decoder, 1, &ethernet(0x0800, &second)), Decoded::Nothing);
    let decoded = decode(&mut decoder, 1, &ethernet(0x0800, &first));
    let Decoded::Udp(found) = decoded else { panic!("{decoded:?}") };
    assert_eq!((found.payload, found.src_port, found.ip.bytes), (&[5; 100][..], 53, 108 + 40));
    let expected = DecodeStats { ipv4: 2, udp: 1, fragments: 2, fragments_reassembled: 1, ..DecodeStats::default() };
    assert_eq!(*decoder.stats(), expected);
}

#[test]
fn an_atomic_fragment_waits_for_nobody() {
    let datagram = udp(7, 8, b"atom");
    let mut decoder = Decoder::new();
    // RFC 6946: a fragment of the same identification that waits has no say in it.
    assert_eq!(decode(&mut decoder, 229, &ipv6_fragment(1, 17, 8, false, b"tail")), Decoded::Nothing);
    let decoded = decode(&mut decoder, 229, &ipv6_fragment(1, 17, 0, false, &datagram));
    assert!(matches!(decoded, Decoded::Udp(found) if found.payload == b"atom"), "{decoded:?}");
}

#[test]
fn the_next_header_of_the_first_ipv6_fragment_counts() {
    let datagram = udp(7, 8, &[3; 24]);
    let mut decoder = Decoder::new();
    decode(&mut decoder, 229, &ipv6_fragment(1, 99, 16, false, &datagram[16..]));
    let decoded = decode(&mut decoder, 229, &ipv6_fragment(1, 17, 0, true, &datagram[..16]));
    assert!(matches!(decoded, Decoded::Udp(found) if found.payload == [3; 24]), "{decoded:?}");
}

#[test]
fn fragments_within_a_tunnel_within_fragments() {
    let datagram = udp(7, 8, &[9; 40]);
    let mut decoder = Decoder::new();
    // Each inner fragment travels in an outer packet that was itself fragmented.
    let inner = [fragment(17, 1, 0, true, &datagram[..24]), fragment(17, 1, 24, false, &datagram[24..])];
    let mut last = Decoded::Nothing;
    for (id, inner) in (100..).zip(&inner) {
        assert_eq!(decode(&mut decoder, 101, &fragment(4, id, 0, true, &inner[..16])), Decoded::Nothing);
        last = decode(&mut decoder, 101, &fragment(4, id, 16, false, &inner[16..]));
    }
    assert!(matches!(last, Decoded::Udp(found) if found.payload == [9; 40]), "{last:?}");
    assert_eq!((decoder.stats().fragments, decoder.stats().fragments_reassembled), (6, 3));
}

#[test]
fn a_malformed_datagram_put_together_within_a_tunnel_is_nothing() {
    let mut decoder = Decoder::new();
    let mut datagram = udp(7, 8, &[9; 40]);
    datagram[4..6].copy_from_slice(&[1, 0]);
    for inner in [fragment(17, 1, 0, true, &datagram[..24]), fragment(17, 1, 24, false, &datagram[24..])] {
        let outer = ipv4(17, &udp(5, 4789, &[&[8, 0, 0, 0, 0, 0, 9, 0][..], &ethernet(0x0800, &inner)].concat()));
        assert_eq!(decode(&mut decoder, 101, &outer), Decoded::Nothing);
    }
    assert_eq!((decoder.stats().fragments_reassembled, decoder.stats().invalid), (1, 1));
}

#[test]
fn a_fragment_cut_by_the_capture_is_dropped() {
    let packet = fragment(17, 1, 0, true, &[0; 64]);
    let mut decoder = Decoder::new();
    assert_eq!(decoder.decode(101, &packet[..60], packet.len() as u32, NOW), Decoded::Nothing);
    assert_eq!((decoder.stats().fragments, decoder.stats().fragments_dropped), (1, 1));
}

#[test]
fn a_decoder_keeps_as_many_datagrams_as_it_was_given_room_for() {
    for (room, kept) in [(2, false), (3, true)] {
        let mut decoder = Decoder::new().with_room_for(1 << 20, room);
        for id in 1..=3 {
            decode(&mut decoder, 101, &fragment(254, id, 0, true, &[7; 16]));
        }
        // The oldest made room, where there was none for three.
        let whole = decode(&mut decoder, 101, &fragment(254, 1, 16, false, &[7; 8]));
        assert_eq!(matches!(whole, Decoded::Other(_, 254)), kept, "{room}: {whole:?}");
    }
}
