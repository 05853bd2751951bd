//! The PROXY header that a load balancer puts before a session (HAProxy, "The PROXY protocol", versions 1 and 2). It
//! is passed over: addresses are those of the flow.

/// What the first bytes of a client are.
#[derive(Debug, PartialEq, Eq)]
pub enum Preamble {
    /// They may become a header.
    Undecided,
    /// A header, so many bytes long.
    Header(usize),
    None,
}

/// Judges a client's first bytes.
pub fn preamble(bytes: &[u8]) -> Preamble {
    let begins = |with: &[u8]| {
        let both = with.len().min(bytes.len());
        both > 0 && with[..both] == bytes[..both]
    };
    if begins(VERSION_1) {
        let line = &bytes[..bytes.len().min(VERSION_1_LENGTH)];
        match memchr::memchr(b'\n', line) {
            Some(end) => Preamble::Header(end + 1),
            None if line.len() < VERSION_1_LENGTH => Preamble::Undecided,
            None => Preamble::None,
        }
    } else if begins(VERSION_2) {
        match *bytes.get(VERSION_2.len()..).unwrap_or_default() {
            [command, _, high, low, ..] => {
                let length = VERSION_2.len() + 4 + usize::from(u16::from_be_bytes([high, low]));
                match command >> 4 == 2 && length <= VERSION_2_LENGTH {
                    true if bytes.len() >= length => Preamble::Header(length),
                    true => Preamble::Undecided,
                    false => Preamble::None,
                }
            }
            _ => Preamble::Undecided,
        }
    } else {
        Preamble::None
    }
}

const VERSION_1: &[u8] = b"PROXY ";
/// Its section 2.1: 107 characters, line end included, is the longest.
const VERSION_1_LENGTH: usize = 107;
/// Its section 2.2.
const VERSION_2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Addresses take up to 216 bytes; extensions some hundreds, a certificate's names included.
const VERSION_2_LENGTH: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_version_1_is_known_whatever_its_split() {
        // The example of its section 2.1.
        let header = b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n";
        let session = [header.as_slice(), b"EHLO x\r\n"].concat();
        for cut in 1..header.len() {
            assert_eq!(preamble(&session[..cut]), Preamble::Undecided, "{cut}");
        }
        assert_eq!(preamble(&session), Preamble::Header(header.len()));
        assert_eq!(preamble(&[b"PROXY ".as_slice(), &[b'x'; 200]].concat()), Preamble::None);
        assert_eq!(preamble(b"PROXIMITY"), Preamble::None);
        assert_eq!(preamble(b"EHLO"), Preamble::None);
    }

    #[test]
    fn version_2_says_its_length() {
        let mut session = VERSION_2.to_vec();
        session.extend([0x21, 0x11, 0, 12]);
        session.extend([192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 0x04, 0, 25]);
        assert_eq!(preamble(&session[..20]), Preamble::Undecided);
        assert_eq!(preamble(&session), Preamble::Header(28));
        session[12] = 0x31;
        assert_eq!(preamble(&session), Preamble::None);
        assert_eq!(preamble(b"\r\nEHLO x\r\n"), Preamble::None);
    }
}
