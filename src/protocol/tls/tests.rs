//! Handshakes recorded between OpenSSL's two ends (Python's `ssl` over `MemoryBIO`), the certificate made with
//! `openssl req -x509`; what is in them is what `openssl x509` prints and what the program asked for.

use proptest::prelude::*;

use super::*;

pub(crate) const TLS12: [&[u8]; 2] =
    [include_bytes!("samples/tls12-client.bin"), include_bytes!("samples/tls12-server.bin")];
const TLS13: [&[u8]; 2] = [include_bytes!("samples/tls13-client.bin"), include_bytes!("samples/tls13-server.bin")];

/// Both sides in turns of `piece` bytes.
fn hear([client, server]: [&[u8]; 2], piece: usize) -> (TlsFacts, bool) {
    let mut handshake = Handshake::default();
    let (mut client, mut server) = (client.chunks(piece), server.chunks(piece));
    loop {
        let (said, answered) = (client.next(), server.next());
        if said.is_none() && answered.is_none() {
            break;
        }
        handshake.push(Side::Client, said.unwrap_or_default());
        handshake.push(Side::Server, answered.unwrap_or_default());
    }
    let done = handshake.is_done();
    (handshake.into_facts(), done)
}

#[test]
fn tls_1_2_shows_names_and_certificate() {
    let name = "C=AT, ST=Wien, O=Beispiel, Söhne, OU=Mail + OU=Post, CN=mx.example, emailAddress=post@mx.example";
    let expected = TlsFacts {
        version: Some("TLS 1.2".into()),
        sni: Some("mx.example".into()),
        client_alpns: vec!["smtp".into(), "http/1.1".into()],
        server_alpn: Some("smtp".into()),
        subject: Some(name.into()),
        issuer: Some(name.into()),
        alt_names: [
            "mx.example",
            "*.mail.example",
            "192.0.2.25",
            "2001:db8::25",
            "post@mx.example",
            "https://mx.example/",
        ]
        .map(str::to_owned)
        .to_vec(),
        fingerprint: Some([
            0xd4, 0x45, 0x98, 0xbe, 0x78, 0x68, 0xee, 0x12, 0x3e, 0x84, 0x5b, 0xcf, 0x40, 0x28, 0xf6, 0x6d, 0x59, 0xc5,
            0xe8, 0xf9,
        ]),
    };
    for piece in [1, 2, 7, 100, 1 << 16] {
        assert_eq!(hear(TLS12, piece), (expected.clone(), true), "in pieces of {piece}");
    }
}

#[test]
fn tls_1_3_hides_the_certificate() {
    let (facts, done) = hear(TLS13, 1 << 16);
    assert!(done);
    assert_eq!((facts.version.as_deref(), facts.sni.as_deref()), (Some("TLS 1.3"), Some("mx.example")));
    // The server's ALPN is among its encrypted extensions (RFC 8446, section 4.3.1).
    assert_eq!((facts.subject, facts.server_alpn, facts.fingerprint), (None, None, None));
}

#[test]
fn a_request_to_retry_is_not_the_servers_hello() {
    // RFC 8446, section 4.1.4: the request, a change of cipher for middle boxes, then the hello.
    let mut request = TLS13[1][..5 + usize::from(u16::from_be_bytes([TLS13[1][3], TLS13[1][4]]))].to_vec();
    request[11..43].copy_from_slice(&RETRY_RANDOM);
    let mut handshake = Handshake::default();
    handshake.push(Side::Client, TLS13[0]);
    handshake.push(Side::Server, &[&request, b"\x14\x03\x03\x00\x01\x01".as_slice()].concat());
    assert!(!handshake.is_done());
    handshake.push(Side::Server, TLS13[1]);
    assert!(handshake.is_done());
}

#[test]
fn a_resumed_session_has_no_certificate_to_wait_for() {
    // RFC 5246, section 7.3: after its hello the server changes the cipher at once.
    let hello = &TLS12[1][..5 + usize::from(u16::from_be_bytes([TLS12[1][3], TLS12[1][4]]))];
    assert!(hello.len() < 200, "the hello has a record of its own");
    let mut handshake = Handshake::default();
    handshake.push(Side::Client, TLS12[0]);
    handshake.push(Side::Server, hello);
    assert!(!handshake.is_done());
    handshake.push(Side::Server, b"\x14\x03\x03\x00\x01\x01");
    assert!(handshake.is_done());
    assert_eq!(handshake.into_facts().version.as_deref(), Some("TLS 1.2"));
}

#[test]
fn a_gap_ends_what_one_side_tells() {
    let mut handshake = Handshake::default();
    handshake.push(Side::Client, &TLS12[0][..50]);
    handshake.gap(Side::Client);
    handshake.push(Side::Client, &TLS12[0][100..]);
    handshake.push(Side::Server, TLS12[1]);
    assert!(handshake.is_done());
    let facts = handshake.into_facts();
    assert_eq!((facts.sni, facts.version.as_deref()), (None, Some("TLS 1.2")));
}

#[test]
fn the_first_certificate_is_enough_and_a_broken_one_has_a_fingerprint() {
    let mut facts = TlsFacts::default();
    certificate::read(b"no certificate", &mut facts);
    assert!(facts.fingerprint.is_some() && facts.subject.is_none());

    // A hello, and a certificate message that promises a second certificate which never comes.
    let list = [&[0, 0x7f, 0xff, 0, 0, 3][..], b"abc", &[0, 0x7f, 0xf9]].concat();
    let message = [&[CERTIFICATE, 0, 0x80, 0x02][..], &list].concat();
    let record = [&[HANDSHAKE, 3, 3, 0, message.len() as u8][..], &message].concat();
    let mut handshake = Handshake::default();
    handshake.push(Side::Client, TLS12[0]);
    handshake.push(Side::Server, &record);
    assert!(handshake.is_done());
}

#[test]
fn what_is_no_tls_and_what_never_ends_are_let_go() {
    let mut handshake = Handshake::default();
    handshake.push(Side::Client, b"EHLO again\r\n");
    handshake.push(Side::Server, b"502 what?\r\n");
    assert!(handshake.is_done());
    assert_eq!(handshake.into_facts(), TlsFacts::default());

    let mut handshake = Handshake::default();
    // Empty records of a handshake, for ever.
    for _ in 0..limits::TLS_HANDSHAKE / 5 + 1 {
        handshake.push(Side::Client, b"\x16\x03\x01\x00\x00");
    }
    assert!(handshake.is_done());
}

#[test]
fn a_start_of_tls_is_told_from_text() {
    for opens in [&b"\x16"[..], b"\x16\x03", b"\x16\x03\x01\x02\x00"] {
        assert!(opens_tls(opens));
    }
    for other in [&b""[..], b"EHLO", b"\x16\x02", b"\x16\x03\x09", b"\x17\x03\x03"] {
        assert!(!opens_tls(other));
    }
}

proptest! {
    #[test]
    fn nothing_hostile_breaks_it(pieces in prop::collection::vec((any::<bool>(), any::<Vec<u8>>()), 0..20)) {
        let mut handshake = Handshake::default();
        for (client, piece) in pieces {
            handshake.push(if client { Side::Client } else { Side::Server }, &piece);
        }
        handshake.into_facts();
    }

    /// Handshakes with one byte changed, in any pieces.
    #[test]
    fn a_damaged_handshake_is_read_as_far_as_it_goes(at in 0usize..1188, with: u8, piece in 1usize..300, old: bool) {
        let [client, server] = if old { TLS12 } else { TLS13 };
        let mut damaged = [client.to_vec(), server.to_vec()];
        for side in &mut damaged {
            let index = at % side.len();
            side[index] = with;
        }
        let (facts, _) = hear([&damaged[0], &damaged[1]], piece);
        prop_assert!(facts.alt_names.len() <= limits::TLS_NAMES);
    }
}
