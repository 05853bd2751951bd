//! Fields of tunnel headers that decide how long a header is, or whether it is one; each after its document.

use super::*;

fn over(port: u16, head: &[u8], inner: &[u8]) -> Vec<u8> {
    ipv4(17, &udp(50_000, port, &[head, inner].concat()))
}

fn gre(head: &[u8], inner: &[u8]) -> Vec<u8> {
    ipv4(47, &[head, inner].concat())
}

/// Whether the decoder sees the mail within: else the carrier is told.
fn leads_to_mail(packet: &[u8]) -> bool {
    let mut decoder = Decoder::new();
    match decode(&mut decoder, 101, packet) {
        decoded @ Decoded::Tcp(_) => assert_mail(decoded, b"x").payload == b"x",
        Decoded::Udp(_) => {
            assert_eq!(decoder.stats().invalid, 0, "other traffic on a tunnel's port is no fault");
            false
        }
        Decoded::Other(..) => false,
        decoded => panic!("{decoded:?}"),
    }
}

#[test]
fn gre_has_the_fields_its_flags_say() {
    let ip = mail_ip(b"x");
    let pptp = |flags: u8| {
        let head = [flags, 1, 0x88, 0x0b, 0, ip.len() as u8 + 4, 0, 1];
        let sequence: &[u8] = if flags & 0x10 == 0 { &[] } else { &[0; 4] };
        gre(&[&head, sequence, &[0xff, 3, 0, 0x21]].concat(), &ip)
    };
    // RFC 2637, section 4.1: the key is always there.
    assert!(leads_to_mail(&pptp(0x20)) && leads_to_mail(&pptp(0x30)));
    assert!(!leads_to_mail(&pptp(0x00)) && !leads_to_mail(&pptp(0x10)));
    // RFC 1701: source routes end at an entry of family 0 and length 0, not at one of either.
    for entry in [&[0, 1, 0, 0][..], &[0, 0, 0, 4, 9, 9, 9, 9]] {
        assert!(leads_to_mail(&gre(&[&[0x40, 0, 8, 0, 0, 0, 0, 0], entry, &[0; 4]].concat(), &ip)), "{entry:?}");
    }
}

#[test]
fn erspan_iii_says_what_it_mirrors() {
    let kinds = |high: u8, low: u8, more: &[u8], inner: &[u8]| {
        let head = [0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 0, 0, 1, 0, 0, 0, 0, 0, 0, high, low];
        leads_to_mail(&gre(&[&head, more].concat(), inner))
    };
    // draft-foschiano-erspan-03, section 4.2: five bits of frame type behind the first, and a last one for eight bytes more.
    assert!(kinds(0x00, 0, &[], &mail(b"x")) && kinds(0x80, 1, &[0; 8], &mail(b"x")), "Ethernet");
    assert!(kinds(0x08, 0, &[], &mail_ip(b"x")) && kinds(0x08, 1, &[0; 8], &mail_ip(b"x")), "IP");
    assert!(!kinds(0x04, 0, &[], &mail(b"x")), "CAN");
}

#[test]
fn a_service_header_takes_two_words_at_the_least() {
    let nsh = |words: u8, context: &[u8]| {
        leads_to_mail(&gre(&[&[0, 0, 0x89, 0x4f, 0, words, 1, 1][..], context].concat(), &mail_ip(b"x")))
    };
    // RFC 8300, section 2.2: the length counts the base and service path headers, of a word each.
    assert!(nsh(2, &[0; 4]) && nsh(6, &[0; 20]));
    assert!(!nsh(1, &[]) && !nsh(0, &[0; 4]));
}

#[test]
fn trill_options_are_passed_over() {
    // RFC 6325, section 3.2: version, reserved, multi-destination, five bits of option length, hop count.
    for words in [0_u8, 1, 31] {
        let flags = (u16::from(words) << 6 | 9).to_be_bytes();
        let head = [&flags[..], &[0, 1, 0, 2], &vec![0xee; usize::from(words) * 4]].concat();
        let frame = ethernet(0x22f3, &[&head, &mail(b"x")[..]].concat());
        assert_mail(decode(&mut Decoder::new(), 1, &frame), b"x");
    }
}

#[test]
fn tunnels_over_udp_have_the_fields_their_flags_say() {
    let (ip, six) = (mail_ip(b"x"), |payload: &[u8]| ipv6(17, &udp(5, 6, payload)));
    // draft-ietf-nvo3-vxlan-gpe: the I flag must be set.
    assert!(leads_to_mail(&over(4790, &[0x08, 0, 0, 1, 0, 0, 9, 0], &ip)));
    assert!(!leads_to_mail(&over(4790, &[0x04, 0, 0, 1, 0, 0, 9, 0], &ip)));
    // draft-ietf-intarea-gue, section 3: two bits of version, one for control, five of length in words.
    assert!(leads_to_mail(&over(6080, &[0x00, 4, 0, 0], &ip)));
    assert!(leads_to_mail(&over(6080, &[0x02, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &ip)));
    assert!(leads_to_mail(&over(6080, &[], &ip)), "version 1 has no header");
    assert!(!leads_to_mail(&over(6080, &[0x20, 4, 0, 0], &ip)), "control");
    for head in [&[0x00, 41, 0, 0][..], &[0x01, 41, 0, 0, 0, 0, 0, 0]] {
        let decoded = decode(&mut Decoder::new(), 101, &over(6080, head, &six(b"y")));
        assert!(matches!(decoded, Decoded::Udp(found) if found.payload == b"y"), "{decoded:?}");
    }
    // RFC 2661, section 3.1: length, sequence and offset are optional.
    let len = (ip.len() + 10) as u8;
    assert!(leads_to_mail(&over(1701, &[0x00, 2, 0, 1, 0, 2, 0xff, 3, 0, 0x21], &ip)));
    assert!(leads_to_mail(&over(1701, &[0x08, 2, 0, 1, 0, 2, 0, 0, 0, 0, 0xff, 3, 0, 0x21], &ip)));
    assert!(leads_to_mail(&over(1701, &[0x02, 2, 0, 1, 0, 2, 0, 3, 9, 9, 9, 0xff, 3, 0, 0x21], &ip)));
    assert!(!leads_to_mail(&over(1701, &[0x40, 2, 0, len + 3, 0, 1, 0, 2, 0xff, 3, 0, 0x21], &ip)), "another length");
}

/// RFC 4380, section 5.1.1: the lengths of the client's identifier and of the authentication value, both, then nine bytes.
#[test]
fn teredo_may_be_authenticated() {
    let mut inner = ipv6(17, &udp(5, 6, b"y"));
    inner[10..12].fill(0);
    for (client, secret) in [(0_u8, 0_u8), (4, 0), (0, 20), (4, 20)] {
        let head = [&[0, 1, client, secret][..], &vec![7; usize::from(client) + usize::from(secret) + 9]].concat();
        let decoded = decode(&mut Decoder::new(), 101, &over(3544, &head, &inner));
        assert!(matches!(decoded, Decoded::Udp(found) if found.payload == b"y"), "{client} {secret}: {decoded:?}");
    }
}

#[test]
fn a_packet_longer_than_what_carries_it_is_no_packet() {
    let ip = mail_ip(b"x");
    for (port, head) in [(4_341, &[0; 8][..]), (4790, &[0x0c, 0, 0, 1, 0, 0, 9, 0]), (6080, &[0, 4, 0, 0])] {
        assert!(leads_to_mail(&over(port, head, &ip)), "{port}");
        let mut long = ip.clone();
        long[3] += 1;
        assert!(!leads_to_mail(&over(port, head, &long)), "{port}");
    }
}

/// RFC 8986: Ethernet in segment routing, which IPv4 has not.
#[test]
fn protocol_143_is_a_frame_in_ipv6_alone() {
    assert_mail(decode(&mut Decoder::new(), 101, &ipv6(143, &mail(b"x"))), b"x");
    let decoded = decode(&mut Decoder::new(), 101, &ipv4(143, &mail(b"x")));
    assert!(matches!(decoded, Decoded::Other(_, 143)), "{decoded:?}");
}

#[test]
fn protocol_44_is_a_fragment_in_ipv6_alone() {
    let decoded =
        decode(&mut Decoder::new(), 101, &ipv4(44, &[&[6, 0, 0, 0, 0, 0, 0, 1], &mail_ip(b"x")[20..]].concat()));
    assert!(matches!(decoded, Decoded::Other(_, 44)), "{decoded:?}");
}

#[test]
fn vlan_tags_are_bounded_as_all_encapsulation_is() {
    let tagged = |tags: usize| {
        ethernet(0x8100, &[&[0, 7, 0x81, 0].repeat(tags - 1)[..], &[0, 7, 8, 0], &mail_ip(b"x")].concat())
    };
    let mut decoder = Decoder::new();
    for tags in [1, 3, 4, limits::MAX_ENCAPSULATION] {
        assert_mail(decode(&mut decoder, 1, &tagged(tags)), b"x");
    }
    assert!(decoder.take_anomalies().is_empty());
    assert_eq!(decode(&mut decoder, 1, &tagged(limits::MAX_ENCAPSULATION + 1)), Decoded::Nothing);
    assert_eq!(decoder.take_anomalies()[0].name, "encapsulation-too-deep");
}

#[test]
fn a_packet_of_nothing_but_its_header_is_sound() {
    let mut decoder = Decoder::new();
    for packet in [ipv4(254, b""), ipv6(254, b"")] {
        assert!(matches!(decode(&mut decoder, 101, &packet), Decoded::Other(_, 254)));
    }
    assert_eq!(decoder.stats().invalid, 0);
}
