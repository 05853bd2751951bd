//! What TLS looks like from outside: hellos in the clear, then records of noise. Nothing is encrypted; the noise
//! comes from the scenario's generator.

use crate::prng::Rng;
use crate::tcp::Step;

/// Which TLS is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    /// TLS 1.0 (RFC 2246), a resumed session, so that no certificate is sent.
    Tls10,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

/// A whole exchange: the handshake, then one record of noise for each `(from the client, of so many bytes)`.
pub fn exchange(rng: &mut Rng, era: Era, server_name: &str, talk: &[(bool, usize)]) -> Vec<Step> {
    let session = rng.bytes(32);
    let mut steps = vec![Step::Client(client_hello(rng, era, server_name, &session))];
    let mut server = server_hello(rng, era, &session);
    let finish = |rng: &mut Rng| match era {
        Era::Tls10 => [record(CHANGE_CIPHER_SPEC, era, &[1]), record(HANDSHAKE, era, &rng.bytes(40))].concat(),
        Era::Tls13 => [record(CHANGE_CIPHER_SPEC, era, &[1]), record(APPLICATION_DATA, era, &rng.bytes(53))].concat(),
    };
    server.extend(finish(rng));
    if era == Era::Tls13 {
        // Encrypted extensions, certificate and its proof travel as application data.
        server.extend(record(APPLICATION_DATA, era, &rng.bytes(2600)));
    }
    steps.push(Step::Server(server));
    steps.push(Step::Client(finish(rng)));
    for (from_client, length) in talk {
        let data = noise(rng, era, *length);
        steps.push(if *from_client { Step::Client(data) } else { Step::Server(data) });
    }
    steps
}

/// Application data that hides `length` bytes, in records of at most 16 KiB.
pub fn noise(rng: &mut Rng, era: Era, length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(length + 64);
    let mut left = length.max(1);
    while left > 0 {
        let now = left.min(16_384);
        out.extend(record(APPLICATION_DATA, era, &rng.bytes(now + 17)));
        left -= now;
    }
    out
}

/// A ClientHello with a server name (RFC 6066, section 3).
pub fn client_hello(rng: &mut Rng, era: Era, server_name: &str, session: &[u8]) -> Vec<u8> {
    let mut body = hello(rng, era, session);
    let suites: &[u16] = match era {
        Era::Tls10 => &[0x0004, 0x0005, 0x000a, 0x0009],
        Era::Tls13 => &[0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f],
    };
    vector16(&mut body, &suites.iter().flat_map(|suite| suite.to_be_bytes()).collect::<Vec<_>>());
    body.extend([1, 0]);
    let mut name = vec![0];
    vector16(&mut name, server_name.as_bytes());
    let mut names = Vec::new();
    vector16(&mut names, &name);
    let mut extensions = extension(0, &names);
    if era == Era::Tls13 {
        extensions.extend(extension(10, &[0, 2, 0, 29])); // supported groups: x25519
        extensions.extend(extension(13, &[0, 4, 4, 3, 8, 4])); // signature algorithms
        extensions.extend(extension(43, &[4, 3, 4, 3, 3])); // supported versions: 1.3, 1.2
        let mut share = vec![0, 29];
        vector16(&mut share, &rng.bytes(32));
        let mut shares = Vec::new();
        vector16(&mut shares, &share);
        extensions.extend(extension(51, &shares));
    }
    vector16(&mut body, &extensions);
    record(HANDSHAKE, Era::Tls10, &handshake(1, &body))
}

/// The ServerHello that answers it: the cipher suite is the first one offered.
pub fn server_hello(rng: &mut Rng, era: Era, session: &[u8]) -> Vec<u8> {
    let mut body = hello(rng, era, session);
    match era {
        Era::Tls10 => body.extend([0, 4, 0]),
        Era::Tls13 => {
            body.extend([0x13, 0x01, 0]);
            let mut share = vec![0, 29];
            vector16(&mut share, &rng.bytes(32));
            vector16(&mut body, &[extension(43, &[3, 4]), extension(51, &share)].concat());
        }
    }
    record(HANDSHAKE, era, &handshake(2, &body))
}

/// How both hellos begin: version, random bytes, session.
fn hello(rng: &mut Rng, era: Era, session: &[u8]) -> Vec<u8> {
    let mut body = match era {
        Era::Tls10 => vec![3, 1],
        Era::Tls13 => vec![3, 3],
    };
    body.extend(rng.bytes(32));
    body.push(session.len() as u8);
    body.extend(session);
    body
}

fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32).to_be_bytes();
    [&[kind], &length[1..], body].concat()
}

fn record(kind: u8, era: Era, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![kind, 3, if era == Era::Tls10 { 1 } else { 3 }];
    vector16(&mut out, payload);
    out
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    let mut out = kind.to_be_bytes().to_vec();
    vector16(&mut out, body);
    out
}

fn vector16(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u16).to_be_bytes());
    out.extend(bytes);
}

const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_nest() {
        for era in [Era::Tls10, Era::Tls13] {
            let hello = client_hello(&mut Rng::new(1), era, "mail.example.net", &[7; 32]);
            assert_eq!(usize::from(u16::from_be_bytes([hello[3], hello[4]])), hello.len() - 5);
            assert_eq!(u32::from_be_bytes([0, hello[6], hello[7], hello[8]]) as usize, hello.len() - 9);
            assert!(hello.windows(16).any(|window| window == b"mail.example.net"));
        }
    }

    #[test]
    fn long_talk_is_cut_into_records() {
        let data = noise(&mut Rng::new(1), Era::Tls13, 40_000);
        let (mut at, mut records) = (0, 0);
        while at < data.len() {
            assert_eq!(data[at..at + 3], [23, 3, 3]);
            at += 5 + usize::from(u16::from_be_bytes([data[at + 3], data[at + 4]]));
            records += 1;
        }
        assert_eq!((at, records), (data.len(), 3));
    }
}
