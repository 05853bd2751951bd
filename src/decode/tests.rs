//! Packets built by etherparse or by hand, decoded; properties over any bytes.

use etherparse::{IpNumber, Ipv4Header, Ipv6Header, PacketBuilder, TcpHeader};
use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_nanos(1_067_601_600_000_000_000);
const V6_SRC: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const V6_DST: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];

fn mail(payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([10, 0, 0, 1], [192, 0, 2, 25], 64)
        .tcp(1025, 25, 7_000, 512)
        .ack(90)
        .write(&mut packet, payload)
        .unwrap();
    packet
}

/// The IP packet within [`mail`].
fn mail_ip(payload: &[u8]) -> Vec<u8> {
    mail(payload)[14..].to_vec()
}

fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    [&[2; 12], &ether_type.to_be_bytes()[..], payload].concat()
}

fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    PacketBuilder::ipv4([198, 51, 100, 1], [198, 51, 100, 2], 9)
        .write(&mut packet, IpNumber(protocol), payload)
        .unwrap();
    packet
}

fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let header = Ipv6Header {
        payload_length: u16::try_from(payload.len()).unwrap(),
        next_header: IpNumber(next),
        hop_limit: 47,
        source: V6_SRC,
        destination: V6_DST,
        ..Ipv6Header::default()
    };
    [&header.to_bytes(), payload].concat()
}

fn udp(src: u16, dst: u16, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len() + 8).unwrap();
    [&src.to_be_bytes()[..], &dst.to_be_bytes(), &len.to_be_bytes(), &[0, 0], payload].concat()
}

/// An IPv4 fragment of [`ipv4`], offset in bytes.
fn fragment(protocol: u8, id: u16, offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    let mut packet = ipv4(protocol, payload);
    packet[4..6].copy_from_slice(&id.to_be_bytes());
    packet[6..8].copy_from_slice(&((offset / 8) | if more { 0x2000 } else { 0 }).to_be_bytes());
    packet
}

fn ipv6_fragment(id: u32, next: u8, offset: u16, more: bool, payload: &[u8]) -> Vec<u8> {
    let flags = offset | u16::from(more);
    ipv6(44, &[&[next, 0], &flags.to_be_bytes()[..], &id.to_be_bytes(), payload].concat())
}

fn decode(decoder: &mut Decoder, link: u32, packet: &[u8]) -> Decoded<'static> {
    leak(decoder.decode(link, packet, packet.len() as u32, NOW))
}

/// For comparison after the packet is gone: tests are short.
fn leak(decoded: Decoded<'_>) -> Decoded<'static> {
    fn keep(bytes: &[u8]) -> &'static [u8] {
        bytes.to_vec().leak()
    }
    match decoded {
        Decoded::Tcp(segment) => Decoded::Tcp(Segment {
            payload: keep(segment.payload),
            wire: Wire { packet: keep(segment.wire.packet), ..segment.wire },
            ..segment
        }),
        Decoded::Udp(datagram) => Decoded::Udp(Datagram {
            payload: keep(datagram.payload),
            wire: Wire { packet: keep(datagram.wire.packet), ..datagram.wire },
            ..datagram
        }),
        Decoded::Other(ip, protocol) => Decoded::Other(ip, protocol),
        Decoded::Echo(ip, protocol) => Decoded::Echo(ip, protocol),
        Decoded::Nothing => Decoded::Nothing,
    }
}

#[track_caller]
fn assert_mail<'a>(decoded: Decoded<'a>, payload: &[u8]) -> Segment<'a> {
    let Decoded::Tcp(segment) = decoded else { panic!("no segment: {decoded:?}") };
    assert_eq!((segment.src_port, segment.dst_port), (1025, 25));
    assert_eq!(segment.ip.src, IpAddr::from([10, 0, 0, 1]));
    assert_eq!(segment.payload, payload);
    segment
}

#[test]
fn a_segment_is_read_in_full_and_padding_is_no_payload() {
    let mut packet = mail(b"QUIT\r\n");
    packet.extend([0; 9]);
    let mut decoder = Decoder::new();
    let expected = Segment {
        ip: IpFacts {
            src: [10, 0, 0, 1].into(),
            dst: [192, 0, 2, 25].into(),
            vlans: Vlans::default(),
            ttl: 64,
            bytes: 46,
        },
        src_port: 1025,
        dst_port: 25,
        seq: 7_000,
        ack: 90,
        flags: 16,
        window: 512,
        payload: b"QUIT\r\n",
        missing: 0,
        wire: Wire { packet: mail_ip(b"QUIT\r\n").leak(), transport: 20 },
    };
    assert_eq!(decode(&mut decoder, 1, &packet), Decoded::Tcp(expected));
    assert_eq!(*decoder.stats(), DecodeStats { ipv4: 1, tcp: 1, ..DecodeStats::default() });
}

#[test]
fn vlan_tags_are_kept_outermost_first() {
    let tags = [0x88a8, 0x6064, 0x9100, 0x0005, 0x8100, 0x0006, 0x8100, 0x0007];
    for count in 0..=4 {
        let mut packet = vec![2; 12];
        packet.extend(tags[..count * 2].iter().flat_map(|word: &u16| word.to_be_bytes()));
        packet.extend(&mail(b"x")[12..]);
        let mut decoder = Decoder::new();
        let segment = assert_mail(decode(&mut decoder, 1, &packet), b"x");
        assert_eq!(segment.ip.vlans.as_slice(), &[100, 5, 6][..count.min(3)]);
        assert_eq!(decoder.stats().vlan, u64::from(count > 0));
    }
}

#[test]
fn what_the_capture_cut_is_missing() {
    let packet = mail(b"MAIL FROM:<a@b>\r\n");
    let wire_len = packet.len() as u32 + 4;
    for (kept, payload, missing) in [(60, &b"MAIL F"[..], 11), (54, b"", 17)] {
        let mut decoder = Decoder::new();
        let segment = assert_mail(decoder.decode(1, &packet[..kept], wire_len, NOW), payload);
        assert_eq!((segment.missing, segment.ip.bytes), (missing, 57));
    }
    let mut decoder = Decoder::new();
    assert_eq!(decoder.decode(1, &packet[..53], wire_len, NOW), Decoded::Nothing);
    assert_eq!(decoder.stats().invalid, 1);
}

#[test]
fn a_segment_cut_within_its_options_still_tells_its_payload() {
    let mut packet = mail(&[b'x'; 20]);
    packet[14 + 20 + 12] = 8 << 4;
    let mut decoder = Decoder::new();
    let segment = assert_mail(decoder.decode(1, &packet[..58], packet.len() as u32, NOW), b"");
    assert_eq!((segment.missing, segment.seq), (8, 7_000));
}

#[test]
fn a_datagram_cut_by_the_capture_is_missing_bytes() {
    let packet = ethernet(0x0800, &ipv4(17, &udp(53, 1024, &[7; 100])));
    let mut decoder = Decoder::new();
    let decoded = decoder.decode(1, &packet[..14 + 20 + 8 + 30], packet.len() as u32, NOW);
    let Decoded::Udp(datagram) = decoded else { panic!("{decoded:?}") };
    assert_eq!((datagram.payload, datagram.missing), (&[7; 30][..], 70));
}

#[test]
fn a_length_of_zero_means_offload() {
    let mut packet = mail(b"DATA\r\n");
    packet[16..18].fill(0);
    let segment = assert_mail(decode(&mut Decoder::new(), 1, &packet), b"DATA\r\n");
    assert_eq!(segment.ip.bytes, 46);

    let mut packet = ethernet(0x86dd, &ipv6(17, &udp(1, 2, b"dns")));
    packet[18..20].fill(0);
    let Decoded::Udp(datagram) = decode(&mut Decoder::new(), 1, &packet) else { panic!() };
    assert_eq!((datagram.payload, datagram.ip.bytes), (&b"dns"[..], 51));
}

#[test]
fn malformed_headers_are_counted_and_give_nothing() {
    let good = mail(b"NOOP\r\n");
    let spoil = |at: usize, value: u8| {
        let mut packet = good.clone();
        packet[at] = value;
        packet
    };
    let mut datagram = ethernet(0x0800, &ipv4(17, &udp(1, 2, b"abc")));
    datagram[39] = 12;
    let mut short = datagram.clone();
    short[39] = 7;
    let cases = [
        ("version 5", spoil(14, 0x55)),
        ("IP header of 16 bytes", spoil(14, 0x44)),
        ("IP longer than the frame", spoil(17, 200)),
        ("IP shorter than its header", spoil(17, 19)),
        ("TCP header of 16 bytes", spoil(46, 4 << 4)),
        ("TCP header past the end", spoil(46, 15 << 4)),
        ("frame of 13 bytes", good[..13].to_vec()),
        ("UDP longer than IP", datagram),
        ("UDP of 7 bytes", short),
        ("IPv6 cut", ethernet(0x86dd, &ipv6(6, &[0; 20])[..39])),
        ("extension header past the end", ethernet(0x86dd, &ipv6(0, &[6, 1, 0, 0, 0, 0, 0, 0]))),
    ];
    for (what, packet) in cases {
        let mut decoder = Decoder::new();
        assert_eq!(decode(&mut decoder, 1, &packet), Decoded::Nothing, "{what}");
        assert_eq!((decoder.stats().invalid, decoder.stats().tcp + decoder.stats().udp), (1, 0), "{what}");
    }
}

/// RFC 792: type 8 asks, 0 answers, 3 says that something was not reached. RFC 4443: 128 asks, 129 answers.
#[test]
fn echo_requests_are_told_from_their_answers_and_from_the_rest() {
    for (protocol, kind, asks) in [(1, 8, true), (1, 0, false), (1, 3, false), (1, 128, false)] {
        let ping = ethernet(0x0800, &ipv4(protocol, &[kind, 0, 0, 0, 0, 0, 0, 0]));
        assert_eq!(matches!(decode(&mut Decoder::new(), 1, &ping), Decoded::Echo(_, 1)), asks, "{kind}");
    }
    for (kind, asks) in [(128, true), (129, false), (8, false), (135, false)] {
        let ping = ipv6(58, &[kind, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(matches!(decode(&mut Decoder::new(), 101, &ping), Decoded::Echo(_, 58)), asks, "{kind}");
    }
    assert!(
        matches!(decode(&mut Decoder::new(), 101, &ipv6(58, &[])), Decoded::Other(_, 58)),
        "nothing of it is there"
    );
}

#[test]
fn what_is_not_ip_or_not_known_is_counted_apart() {
    let mut decoder = Decoder::new();
    assert_eq!(decode(&mut decoder, 1, &ethernet(0x0806, &[0; 28])), Decoded::Nothing);
    assert_eq!(decode(&mut decoder, 147, &mail(b"")), Decoded::Nothing);
    let ping = decode(&mut decoder, 1, &ethernet(0x0800, &ipv4(1, &[8, 0, 0, 0, 0, 0, 0, 0])));
    assert!(matches!(ping, Decoded::Echo(ip, 1) if ip.ttl == 9 && ip.bytes == 28));
    assert_eq!(*decoder.stats(), DecodeStats { ipv4: 1, other: 2, unsupported_link: 1, ..DecodeStats::default() });
}

#[test]
fn every_link_type_leads_to_ip() {
    let ip = mail_ip(b"x");
    let six = ipv6(17, &udp(5, 6, b"y"));
    let with = |head: &[u8]| [head, &ip].concat();
    let mut cooked = vec![0; 16];
    cooked[14] = 8;
    let mut cooked2 = vec![0; 20];
    cooked2[0] = 8;
    let nflog =
        |head: [u8; 4]| [&[2, 0, 0, 0, 0, 5, 0, 1, 9, 0, 0, 0][..4], &[6, 0, 1, 0, 1, 2, 0, 0], &head, &ip].concat();
    let nflog_len = u16::try_from(ip.len() + 4).unwrap();
    let [low, high] = nflog_len.to_le_bytes();
    let big = [&[2, 0, 0, 0, high, low, 0, 9][..], &ip].concat();
    let session = [&[0x11, 0, 0, 7, 0, ip.len() as u8 + 2, 0, 0x21][..], &ip, &[0; 6]].concat();
    let pktap = [&[12, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0][..], &mail(b"x")].concat();
    let snap = [&[2; 12][..], &[0, ip.len() as u8 + 8, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &ip, &[0; 3]].concat();
    let cases = [
        ("raw", 101, ip.clone()),
        ("raw of BSD", 12, ip.clone()),
        ("raw of OpenBSD", 14, ip.clone()),
        ("raw IPv4", 228, ip.clone()),
        ("loopback, little-endian", 0, with(&[2, 0, 0, 0])),
        ("loopback, big-endian", 0, with(&[0, 0, 0, 2])),
        ("loopback of OpenBSD", 108, with(&[0, 0, 0, 2])),
        ("cooked", 113, with(&cooked)),
        ("cooked version 2", 276, with(&cooked2)),
        ("PPP", 9, with(&[0xff, 3, 0, 0x21])),
        ("PPP without framing", 9, with(&[0, 0x21])),
        ("PPP, protocol compressed", 9, with(&[0x21])),
        ("PPP in HDLC", 50, with(&[0xff, 3, 0, 0x21])),
        ("Cisco HDLC", 104, with(&[0x0f, 0, 8, 0])),
        ("PPPoE", 51, session.clone()),
        ("PPPoE in Ethernet", 1, ethernet(0x8864, &session)),
        ("NFLOG", 239, nflog([low, high, 9, 0])),
        ("NFLOG, big-endian", 239, big),
        ("PKTAP", 258, pktap),
        ("SNAP", 1, snap),
        ("enc0", 109, with(&[2, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0])),
        ("VN-Tag", 1, ethernet(0x8926, &with(&[0, 1, 0, 2, 8, 0]))),
        ("HSR", 1, ethernet(0x892f, &with(&[0, 46, 0, 1, 8, 0]))),
        ("Cisco's metadata", 1, ethernet(0x8909, &with(&[1, 1, 0, 1, 0, 5, 8, 0]))),
        ("802.1ah", 1, ethernet(0x88e7, &[&[0, 0, 0, 1], &mail(b"x")[..]].concat())),
        ("FabricPath", 1, ethernet(0x8903, &[&[0, 1], &mail(b"x")[..]].concat())),
        ("802.1BR", 1, ethernet(0x893f, &with(&[0, 0, 0, 0, 0, 0, 8, 0]))),
        ("MPLS", 1, ethernet(0x8847, &with(&[0, 0, 0x10, 64, 0, 1, 1, 64]))),
        ("MPLS, pseudowire", 1, ethernet(0x8847, &[&[0, 1, 1, 64, 0, 0, 0, 0], &mail(b"x")[..]].concat())),
        ("MPLS, no control word", 1, ethernet(0x8847, &[&[0, 1, 1, 64], &mail(b"x")[..]].concat())),
    ];
    for (what, link, packet) in cases {
        let mut decoder = Decoder::new();
        let decoded = decode(&mut decoder, link, &packet);
        assert!(matches!(decoded, Decoded::Tcp(_)), "{what}: {decoded:?} {:?}", decoder.stats());
        assert_mail(decoded, b"x");
    }
    for (link, head) in [(229, &[][..]), (101, &[]), (0, &[30, 0, 0, 0]), (0, &[0, 0, 0, 24]), (9, &[0, 0x57])] {
        let decoded = decode(&mut Decoder::new(), link, &[head, &six].concat());
        assert!(matches!(decoded, Decoded::Udp(udp) if udp.payload == b"y"), "{link}: {decoded:?}");
    }
}

#[test]
fn every_extension_header_is_passed() {
    let segment = &mail_ip(b"hello")[20..];
    let kinds = [0, 43, 60, 135, 139, 140, 51];
    let mut payload = segment.to_vec();
    let mut next = 6;
    for kind in kinds.into_iter().rev() {
        // Eight bytes and eight more; AH counts in words of four.
        let mut header = vec![next, if kind == 51 { 2 } else { 1 }];
        header.resize(16, 0);
        payload.splice(0..0, header);
        next = kind;
    }
    let packet = ethernet(0x86dd, &ipv6(next, &payload));
    let Decoded::Tcp(found) = decode(&mut Decoder::new(), 1, &packet) else { panic!() };
    assert_eq!((found.payload, found.dst_port, found.ip.ttl), (&b"hello"[..], 25, 47));
    assert_eq!(found.ip.bytes as usize, 40 + kinds.len() * 16 + segment.len());
}

#[test]
fn too_many_extension_headers_are_an_anomaly() {
    let chain = |count: usize, last: u8, payload: &[u8]| {
        let mut headers = vec![[60, 0, 1, 4, 0, 0, 0, 0]; count];
        headers[count - 1][0] = last;
        ipv6(60, &[&headers.concat(), payload].concat())
    };
    // Each IP header begins a count of its own.
    let allowed = chain(limits::MAX_IPV6_EXTENSIONS, 17, &udp(5, 6, b"y"));
    let twice = chain(limits::MAX_IPV6_EXTENSIONS, 41, &allowed);
    assert!(matches!(decode(&mut Decoder::new(), 229, &twice), Decoded::Udp(_)));
    let mut decoder = Decoder::new();
    let many = chain(limits::MAX_IPV6_EXTENSIONS + 1, 17, &udp(5, 6, b"y"));
    assert_eq!(decode(&mut decoder, 229, &many), Decoded::Nothing);
    let names: Vec<_> = decoder.take_anomalies().iter().map(|anomaly| anomaly.name).collect();
    assert_eq!((names, decoder.stats().invalid), (vec!["ipv6-too-many-extensions"], 1));
}

#[test]
fn an_authentication_header_is_passed_and_esp_is_the_end() {
    let mut header = vec![6, 4];
    header.resize(24, 0);
    let packet = ipv4(51, &[&header, &mail_ip(b"x")[20..]].concat());
    assert!(matches!(decode(&mut Decoder::new(), 101, &packet), Decoded::Tcp(found) if found.payload == b"x"));
    assert!(matches!(decode(&mut Decoder::new(), 101, &ipv6(50, &[1; 40])), Decoded::Other(_, 50)));
}

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
fn endless_encapsulation_is_cut_off() {
    let mut packet = mail_ip(b"x");
    for _ in 0..limits::MAX_ENCAPSULATION {
        packet = ipv4(4, &packet);
    }
    assert_mail(decode(&mut Decoder::new(), 101, &packet), b"x");
    let mut decoder = Decoder::new();
    decode(&mut decoder, 101, &ipv4(4, &packet));
    assert_eq!(decoder.take_anomalies()[0].name, "encapsulation-too-deep");
    assert!(decoder.take_anomalies().is_empty());
    let labels = ethernet(0x8847, &[0; 60_000]);
    for _ in 0..limits::ANOMALIES + 5 {
        assert_eq!(decode(&mut decoder, 1, &labels), Decoded::Nothing);
    }
    assert_eq!(decoder.take_anomalies().len(), limits::ANOMALIES);
}

#[test]
fn tunnels_lead_to_the_inner_packet() {
    let (ip, frame) = (mail_ip(b"x"), mail(b"x"));
    let gre = |head: &[u8], inner: &[u8]| ipv4(47, &[head, inner].concat());
    let over = |port: u16, head: &[u8], inner: &[u8]| ipv4(17, &udp(50_000, port, &[head, inner].concat()));
    let len = |extra: usize| u16::try_from(ip.len() + extra).unwrap().to_be_bytes();
    let erspan3 = [0x20, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    let [gtp_high, gtp_low] = len(8);
    let [l2tp_high, l2tp_low] = len(12);
    let cases = [
        ("IP in IP", ipv4(4, &ip)),
        ("IPv4 in IPv6", ipv6(4, &ip)),
        ("GRE", gre(&[0, 0, 8, 0], &ip)),
        ("GRE, checksum, key and sequence", gre(&[[0xb0, 0, 8, 0], [0; 4], [1; 4], [2; 4]].concat(), &ip)),
        ("GRE, source route", gre(&[&[0x40, 0, 8, 0][..], &[0; 4], &[0, 1, 0, 4], &[9; 4], &[0; 4]].concat(), &ip)),
        ("GRE, bridging", gre(&[0, 0, 0x65, 0x58], &frame)),
        ("PPTP", gre(&[&[0x30, 0x81, 0x88, 0x0b], &len(4)[..], &[0, 1], &[0; 8], &[0xff, 3, 0, 0x21]].concat(), &ip)),
        ("WCCP", gre(&[0, 0, 0x88, 0x3e, 0, 0, 0, 0], &ip)),
        ("ERSPAN I", gre(&[0, 0, 0x88, 0xbe], &frame)),
        ("ERSPAN II", gre(&[&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 5, 0, 9][..], &[0; 4]].concat(), &frame)),
        ("ERSPAN III", gre(&[&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1][..], &erspan3].concat(), &frame)),
        ("NSH in GRE", gre(&[0, 0, 0x89, 0x4f, 0, 2, 1, 1, 0, 0, 0, 0], &ip)),
        ("MPLS in IP", ipv4(137, &[&[0, 1, 1, 64], &ip[..]].concat())),
        ("EtherIP", ipv4(97, &[&[0x30, 0], &frame[..]].concat())),
        ("VXLAN", over(4789, &[8, 0, 0, 0, 0, 0, 9, 0], &frame)),
        ("VXLAN, reserved bits", over(8472, &[0x88, 1, 2, 3, 0, 0, 9, 7], &frame)),
        ("VXLAN-GPE", over(4790, &[0x0c, 0, 0, 1, 0, 0, 9, 0], &ip)),
        ("Geneve", over(6081, &[1, 0, 0x65, 0x58, 0, 0, 9, 0, 1, 2, 3, 0], &frame)),
        ("Geneve, IP", over(6081, &[0, 0, 8, 0, 0, 0, 9, 0], &ip)),
        ("TZSP", over(37_008, &[1, 0, 0, 1, 0, 10, 1, 200, 1], &frame)),
        ("MPLS in UDP", over(6_635, &[0, 0, 0x10, 64, 0, 1, 1, 64], &ip)),
        ("LISP", over(4_341, &[0; 8], &ip)),
        (
            "GTP-U, extension header",
            over(2152, &[0x34, 255, gtp_high, gtp_low, 0, 0, 0, 1, 0, 0, 0, 0x85, 1, 0, 0, 0], &ip),
        ),
        ("L2TP", over(1701, &[0x40, 2, l2tp_high, l2tp_low, 0, 1, 0, 2, 0xff, 3, 0, 0x21], &ip)),
    ];
    for (what, packet) in cases {
        let mut decoder = Decoder::new();
        let decoded = decode(&mut decoder, 1, &ethernet(if packet[0] >> 4 == 4 { 0x0800 } else { 0x86dd }, &packet));
        assert!(matches!(decoded, Decoded::Tcp(_)), "{what}: {decoded:?} {:?}", decoder.stats());
        assert_eq!(assert_mail(decoded, b"x").ip.bytes as usize, ip.len(), "{what}");
        assert_eq!((decoder.stats().tunnels, decoder.stats().udp, decoder.stats().invalid), (1, 0, 0), "{what}");
    }
    let six = decode(&mut Decoder::new(), 101, &ipv4(41, &ipv6(17, &udp(5, 6, b"y"))));
    assert!(matches!(six, Decoded::Udp(found) if found.ip.src == IpAddr::from(V6_SRC)), "{six:?}");
}

#[test]
fn teredo_is_told_by_its_addresses() {
    let mut inner = ipv6(17, &udp(5, 6, b"y"));
    let over = |inner: &[u8]| ipv4(17, &udp(50_000, 3544, &[&[0, 1, 0, 0][..], &[0; 9], &[0; 8], inner].concat()));
    assert!(matches!(decode(&mut Decoder::new(), 101, &over(&inner)), Decoded::Udp(found) if found.dst_port == 3544));
    inner[10..12].fill(0);
    assert!(matches!(decode(&mut Decoder::new(), 101, &over(&inner)), Decoded::Udp(found) if found.dst_port == 6));
}

#[test]
fn other_traffic_on_tunnel_ports_stays_what_it_is() {
    for port in [4789, 8472, 4790, 6081, 2152, 3544, 1701, 37_008, 6_635, 4_341] {
        for payload in [&b"hello, I am no tunnel at all"[..], &[0; 64], &[0xff; 64], b""] {
            let mut decoder = Decoder::new();
            let decoded = decode(&mut decoder, 101, &ipv4(17, &udp(40_000, port, payload)));
            assert!(matches!(decoded, Decoded::Udp(found) if found.payload == payload), "{port}: {decoded:?}");
            assert_eq!((decoder.stats().tunnels, decoder.stats().invalid, decoder.stats().udp), (0, 0, 1), "{port}");
        }
    }
}

#[test]
fn a_tunnel_without_ip_inside_is_told_as_its_carrier() {
    let mut decoder = Decoder::new();
    let arp = decode(&mut decoder, 101, &ipv4(47, &[&[0, 0, 8, 6], &[0; 28][..]].concat()));
    assert!(matches!(arp, Decoded::Other(_, 47)), "{arp:?}");
    let mut inner = mail(b"x");
    // An IP length past the end of the frame.
    inner[17] = 250;
    let bad = decode(&mut decoder, 101, &ipv4(17, &udp(1, 4789, &[&[8, 0, 0, 0, 0, 0, 9, 0], &inner[..]].concat())));
    assert!(matches!(bad, Decoded::Udp(found) if found.dst_port == 4789), "{bad:?}");
    assert_eq!((decoder.stats().invalid, decoder.stats().other, decoder.stats().udp), (1, 1, 1));
}

#[test]
fn a_frame_the_mirror_cut_is_missing_bytes() {
    let inner = mail(&[b'x'; 40]);
    let head = [0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 5, 0x04, 9, 0, 0, 0, 0];
    let packet = ipv4(47, &[&head, &inner[..inner.len() - 30]].concat());
    let segment = assert_mail(decode(&mut Decoder::new(), 101, &packet), &[b'x'; 10]);
    assert_eq!(segment.missing, 30);
}

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

// --- checksums --------------------------------------------------------------------------------------------------

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

#[test]
fn hardware_addresses_are_those_of_the_frame_and_only_for_what_it_carries_itself() {
    let facts = |packet: &[u8]| match decode(&mut Decoder::new(), 1, packet) {
        Decoded::Tcp(Segment { ip, .. }) | Decoded::Udp(Datagram { ip, .. }) => ip,
        other => panic!("{other:?}"),
    };
    let [sender, receiver] = [Mac([2; 6]), Mac([4; 6])];
    let plain = mail(b"EHLO a\r\n");
    assert_eq!(hardware(1, &plain, &facts(&plain)), Some([sender, receiver]));
    let tagged = [&plain[..12], &[0x81, 0, 0, 7, 0x88, 0xa8, 0, 9], &plain[12..]].concat();
    assert_eq!(hardware(1, &tagged, &facts(&tagged)), Some([sender, receiver]));
    let six = [&plain[..12], &[0x86, 0xdd], &ipv6(17, &udp(9, 9, b"x"))[..]].concat();
    assert_eq!(hardware(1, &six, &facts(&six)), Some([sender, receiver]));

    let tunnel = [&plain[..14], &ipv4(4, &mail_ip(b"EHLO a\r\n"))[..]].concat();
    assert_eq!(hardware(1, &tunnel, &facts(&tunnel)), None, "the tunnel's end, not the host's");
    assert_eq!(hardware(101, &plain, &facts(&plain)), None, "a link without such addresses");
    for len in 0..plain.len() {
        let told = hardware(1, &plain[..len], &facts(&plain));
        assert_eq!(told.is_some(), len >= 34, "{len}");
    }
}
