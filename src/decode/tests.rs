//! Packets built by etherparse or by hand, decoded; properties over any bytes.

mod checksums;
mod fragments;
mod headers;
mod properties;
mod tunnels;

use etherparse::{IpNumber, Ipv6Header, PacketBuilder};

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
        wire: Wire { packet: mail_ip(b"QUIT\r\n").leak(), transport: 20, overlaps: false },
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
