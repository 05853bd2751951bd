//! Files within text, from before MIME: uuencode (POSIX.1-2017, uuencode), its base64 form, and yEnc (its draft 1.3).
//!
//! Mail readers of the time show them as attachments. One pass over the lines; a file that does not end is cut.

use memchr::memmem;

use super::encoding::decode_base64;
use super::header::line_at;
use super::word::decode_unlabelled;

/// A file found in a text.
#[derive(Debug, PartialEq, Eq)]
pub struct Embedded {
    pub name: String,
    pub content: Vec<u8>,
    /// Its end was not seen, or it is not as long as it says.
    pub cut: bool,
}

/// The files in a decoded text, at most `most`.
pub fn find(text: &[u8], most: usize) -> Vec<Embedded> {
    let mut found = Vec::new();
    if memmem::find(text, b"begin").is_none() {
        return found;
    }
    let mut at = 0;
    while at < text.len() && found.len() < most {
        let line = line_at(text, at);
        let start = text.get(line.text).unwrap_or_default();
        let (file, next) = match Start::parse(start) {
            Some(Start::Uu(name)) => uu(text, line.next, name),
            Some(Start::Base64(name)) => base64(text, line.next, name),
            Some(Start::Yenc(name, size)) => yenc(text, line.next, name, size),
            None => (None, line.next),
        };
        found.extend(file);
        at = next.max(line.next);
    }
    found
}

/// The content of the first file in a body that is said to be one.
pub fn first(body: &[u8]) -> Option<Vec<u8>> {
    find(body, 1).pop().map(|file| file.content)
}

/// A line that begins a file.
enum Start<'a> {
    Uu(&'a [u8]),
    Base64(&'a [u8]),
    Yenc(&'a [u8], Option<usize>),
}

impl<'a> Start<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        if let Some(rest) = line.strip_prefix(b"=ybegin ") {
            // The name goes to the end of the line, so it comes last.
            let name = memmem::find(rest, b"name=").and_then(|at| rest.get(at + 5..)).unwrap_or_default();
            return Some(Self::Yenc(name.trim_ascii(), number(rest, b"size=")));
        }
        let (rest, base64) = match line.strip_prefix(b"begin-base64 ") {
            Some(rest) => (rest, true),
            None => (line.strip_prefix(b"begin ")?, false),
        };
        let digits = rest.iter().take_while(|byte| (b'0'..=b'7').contains(byte)).count();
        let name = rest.get(digits..)?.strip_prefix(b" ")?.trim_ascii();
        if !(3..=5).contains(&digits) || name.is_empty() {
            return None;
        }
        Some(if base64 { Self::Base64(name) } else { Self::Uu(name) })
    }
}

/// Reads lines of a length character and groups of four. The first line that is none ends the file.
fn uu(text: &[u8], start: usize, name: &[u8]) -> (Option<Embedded>, usize) {
    let (mut at, mut content, mut ended, mut lines) = (start, Vec::new(), false, 0u32);
    while at < text.len() {
        let line = line_at(text, at);
        let bytes = text.get(line.text).unwrap_or_default();
        if bytes.trim_ascii() == b"end" {
            (at, ended) = (line.next, true);
            break;
        }
        let Some(length) = uu_length(bytes) else {
            if bytes.is_empty() && !ended {
                at = line.next;
                continue;
            }
            break;
        };
        uu_line(bytes.get(1..).unwrap_or_default(), length, &mut content);
        (at, ended, lines) = (line.next, length == 0, lines + 1);
    }
    if lines == 0 && !ended {
        return (None, start);
    }
    (Some(Embedded { name: shown(name), content, cut: !ended }), at)
}

/// How many bytes a line says it holds, if its own length allows that. Spaces at its end may have been lost.
fn uu_length(line: &[u8]) -> Option<usize> {
    let first = line.first().filter(|byte| (b' '..=b'`').contains(byte))?;
    let length = usize::from((first - b' ') & 63);
    let wanted = length.div_ceil(3) * 4;
    // Some encoders add a checksum character or two.
    let fits = line.len() <= 1 + wanted + 2 && line.iter().all(|byte| (b' '..=b'`').contains(byte));
    fits.then_some(length)
}

fn uu_line(symbols: &[u8], length: usize, out: &mut Vec<u8>) {
    let symbol = |at: usize| u32::from(symbols.get(at).map_or(0, |byte| byte.wrapping_sub(b' ') & 63));
    let end = out.len() + length;
    for group in 0..length.div_ceil(3) {
        let bits = (0..4).fold(0, |bits, i| bits << 6 | symbol(group * 4 + i));
        out.extend_from_slice(bits.to_be_bytes().get(1..).unwrap_or_default());
    }
    out.truncate(end);
}

/// Reads up to the line `====`.
fn base64(text: &[u8], start: usize, name: &[u8]) -> (Option<Embedded>, usize) {
    let rest = text.get(start..).unwrap_or_default();
    let end = memmem::find(rest, b"\n====").map(|at| at + 1);
    let content = decode_base64(rest.get(..end.unwrap_or(rest.len())).unwrap_or_default());
    let next = start + end.map_or(rest.len(), |end| end + 4);
    (Some(Embedded { name: shown(name), content, cut: end.is_none() }), next)
}

/// Reads up to the `=yend` line: each byte is moved by 42, critical ones are escaped.
fn yenc(text: &[u8], start: usize, name: &[u8], size: Option<usize>) -> (Option<Embedded>, usize) {
    let (mut at, mut content, mut ended, mut wanted) = (start, Vec::new(), false, size);
    while at < text.len() {
        let line = line_at(text, at);
        let bytes = text.get(line.text).unwrap_or_default();
        at = line.next;
        if bytes.starts_with(b"=ypart ") {
            wanted = None; // the size is that of all parts
            continue;
        }
        if let Some(rest) = bytes.strip_prefix(b"=yend ") {
            (ended, wanted) = (true, number(rest, b"size=").or(wanted));
            break;
        }
        let mut escaped = false;
        for byte in bytes {
            match (escaped, byte) {
                (false, b'=') => escaped = true,
                _ => {
                    content.push(byte.wrapping_sub(if escaped { 64 + 42 } else { 42 }));
                    escaped = false;
                }
            }
        }
    }
    let cut = !ended || wanted.is_some_and(|wanted| wanted != content.len());
    (Some(Embedded { name: shown(name), content, cut }), at)
}

/// The number behind a key.
fn number(line: &[u8], key: &[u8]) -> Option<usize> {
    let digits = line.get(memmem::find(line, key)? + key.len()..)?;
    let digits = digits.split(|byte| !byte.is_ascii_digit()).next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn shown(name: &[u8]) -> String {
    super::name::bounded(decode_unlabelled(name).into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(name: &str, content: &[u8], cut: bool) -> Embedded {
        Embedded { name: name.to_owned(), content: content.to_vec(), cut }
    }

    #[test]
    fn finds_files() {
        // python3 -c 'import binascii; print(binascii.b2a_uu(b"MZ hello"))'
        let text = b"Hello\r\n\r\nbegin 644 a b.exe\r\n(35H@:&5L;&\\ \r\n`\r\nend\r\nbye\r\n";
        assert_eq!(find(text, 9), [file("a b.exe", b"MZ hello", false)]);
        let text = b"begin 644 a\n(35H@:&5L;&\\\n";
        assert_eq!(find(text, 9), [file("a", b"MZ hello", true)]);
        let text = b"begin-base64 644 b\naGVs\nbG8=\n====\nbegin 0644 c\n`\nend\n";
        assert_eq!(find(text, 9), [file("b", b"hello", false), file("c", b"", false)]);
        let text = b"=ybegin line=128 size=3 name=x y.exe\r\nw\x84=J\r\n=yend size=3 crc32=1\r\n";
        assert_eq!(find(text, 9), [file("x y.exe", b"MZ\xe0", false)]);
        for text in ["begin with me\nM\n", "begin 644\nx\n", "to begin 644 x\n", "begin 644 x\nno, this is prose.\n"] {
            assert_eq!(find(text.as_bytes(), 9), [], "{text}");
        }
    }

    #[test]
    fn hostile_text_takes_linear_time() {
        let started = std::time::Instant::now();
        for piece in
            ["begin 644 x\n", "=ybegin name=\n", "begin-base64 644 x\n", "begin 644 x\n`\n", "begin", "=y", "M\n"]
        {
            let text = format!("begin 644 x\n{}", piece.repeat((2 << 20) / piece.len()));
            find(text.as_bytes(), 50);
        }
        assert!(started.elapsed().as_secs() < 10);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(begin 644 a\n|=ybegin size=2 name=b\n|=yend size=2\n|end\n|[ -`]{0,5}\n|`\n|begin-base64 644 c\n|====){0,12}") {
            find(text.as_bytes(), 5);
        }
    }
}
