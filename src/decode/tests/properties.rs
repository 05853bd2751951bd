//! Both paths agree, and no bytes make either panic.

use etherparse::{IpNumber, Ipv4Header, TcpHeader};
use proptest::prelude::*;

use super::*;

/// A frame of the common kind, or nearly, and where its IP header begins.
fn frames() -> impl Strategy<Value = (Vec<u8>, usize)> {
    let tags =
        proptest::collection::vec((prop_oneof![Just(0x8100u16), Just(0x88a8), Just(0x9100)], any::<u16>()), 0..5);
    let ports = (prop_oneof![any::<u16>(), Just(4789), Just(53)], prop_oneof![any::<u16>(), Just(4789), Just(25)]);
    let bytes = proptest::collection::vec(any::<u8>(), 0..60);
    (tags, any::<[u8; 16]>(), any::<bool>(), any::<bool>(), ports, bytes, 0..12usize, 0..3usize).prop_map(
        |(tags, numbers, six, tcp, (src, dst), payload, padding, options)| {
            let [address, other, seq, ack] =
                std::array::from_fn(|n| <[u8; 4]>::try_from(&numbers[n * 4..][..4]).unwrap());
            let transport = if tcp {
                let mut header = TcpHeader::new(src, dst, u32::from_be_bytes(seq), src ^ dst);
                header.acknowledgment_number = u32::from_be_bytes(ack);
                header.syn = seq[0] & 1 == 1;
                header.set_options_raw(&[1; 8][..options * 4]).unwrap();
                [&header.to_bytes()[..], &payload].concat()
            } else {
                udp(src, dst, &payload)
            };
            let protocol = IpNumber(if tcp { 6 } else { 17 });
            let inner = if six {
                ipv6(protocol.0, &transport)
            } else {
                let mut header = Ipv4Header::new(0, seq[1], protocol, address, other).unwrap();
                header.options = (&[1; 8][..options * 4]).try_into().unwrap();
                header.set_payload_len(transport.len()).unwrap();
                [&header.to_bytes()[..], &transport].concat()
            };
            let tags = tags.iter().flat_map(|(kind, id)| [kind.to_be_bytes(), id.to_be_bytes()].concat());
            let mut frame: Vec<u8> = vec![2; 12].into_iter().chain(tags).collect();
            frame.extend(if six { [0x86, 0xdd] } else { [0x08, 0x00] });
            let start = frame.len();
            frame.extend(inner);
            frame.extend(vec![0; padding]);
            (frame, start)
        },
    )
}

/// Changes a few bytes of the headers, perhaps cuts the end, perhaps tells of more bytes on the wire.
fn spoilt() -> impl Strategy<Value = (Vec<u8>, u32)> {
    // From the innermost EtherType on; the first eight bytes of the IP header hold most of what can go wrong.
    let place = prop_oneof![0..10usize, 0..70usize];
    let flips = prop_oneof![any::<u8>(), (0..8u32).prop_map(|bit| 1 << bit)];
    let changes = proptest::collection::vec((place, flips), 0..4);
    let cut = proptest::option::weighted(0.3, any::<prop::sample::Index>());
    (frames(), changes, cut, prop_oneof![Just(0u32), 0..40u32]).prop_map(|((mut frame, start), changes, cut, more)| {
        for (at, flips) in changes {
            if let Some(byte) = frame.get_mut(start - 2 + at) {
                *byte ^= flips;
            }
        }
        let wire_len = frame.len() as u32 + more;
        if let Some(cut) = cut {
            frame.truncate(cut.index(frame.len()));
        }
        (frame, wire_len)
    })
}

/// Decodes with both paths and demands the same answer and the same counters.
fn assert_paths_agree(frame: &[u8], wire_len: u32) -> Result<(), TestCaseError> {
    let (mut fast, mut general) = (Decoder::new(), Decoder::new());
    prop_assert_eq!(fast.decode(1, frame, wire_len, NOW), general.decode_any(1, frame, wire_len, NOW));
    prop_assert_eq!(fast.stats(), general.stats());
    prop_assert_eq!(fast.take_anomalies(), general.take_anomalies());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4_000) })]

    #[test]
    fn both_paths_agree_on_valid_frames((frame, start) in frames()) {
        assert_paths_agree(&frame, frame.len() as u32)?;
        let mut decoder = Decoder::new();
        let decoded = decoder.decode(1, &frame, frame.len() as u32, NOW);
        let tunnel = match decoded {
            Decoded::Tcp(_) => false,
            Decoded::Udp(udp) => tunnel::is_tunnel_port(udp.src_port, udp.dst_port),
            _ => panic!("{decoded:?}"),
        };
        // Else the fast path would be of no use, and agree with everything.
        prop_assert!(start > 14 + 3 * 4 || tunnel || fast::decode(&frame).is_some());
    }

    #[test]
    fn both_paths_agree_on_spoilt_frames((frame, wire_len) in spoilt()) {
        assert_paths_agree(&frame, wire_len)?;
    }

    #[test]
    fn any_bytes_of_any_link_type_are_decoded_without_panic(
        packets in proptest::collection::vec(
            (prop_oneof![any::<u32>(), prop::sample::select(LINKS)], proptest::collection::vec(any::<u8>(), 0..200), any::<u32>()),
            1..8,
        )
    ) {
        let mut decoder = Decoder::new();
        for (link, packet, wire_len) in &packets {
            decoder.decode(*link, packet, *wire_len, NOW);
        }
    }

    /// Random bytes rarely get past the first header; these are led into every layer.
    #[test]
    fn any_payload_of_any_protocol_is_decoded_without_panic(
        protocol in prop::sample::select(&[0u8, 4, 6, 17, 41, 43, 44, 47, 51, 60, 97, 135, 137, 143][..]),
        gre in prop::sample::select(&[0x0800u16, 0x86dd, 0x6558, 0x88be, 0x22eb, 0x880b, 0x883e, 0x8847, 0x894f, 0x8100][..]),
        port in prop::sample::select(&[4789u16, 8472, 4790, 6081, 2152, 3544, 1701][..]),
        six in any::<bool>(),
        lead in any::<bool>(),
        payload in proptest::collection::vec(any::<u8>(), 4..200),
        cut in 0..60usize,
    ) {
        let mut payload = payload;
        match protocol {
            47 if lead => {
                payload[0] &= 0xf0;
                payload[1] = 0;
                payload[2..4].copy_from_slice(&gre.to_be_bytes());
            }
            17 => payload = udp(1, port, &payload),
            _ => {}
        }
        let packet = if six { ipv6(protocol, &payload) } else { ipv4(protocol, &payload) };
        let kept = packet.len().saturating_sub(cut);
        Decoder::new().decode(101, &packet[..kept], packet.len() as u32, NOW);
    }
}

const LINKS: &[u32] = &[0, 1, 9, 12, 50, 51, 101, 104, 108, 109, 113, 228, 229, 239, 258, 276];
