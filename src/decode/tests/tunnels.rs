//! What carries packets within packets.

use super::*;

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
