//! Fields that archives of all kinds have: numbers with the low byte first, names, stretches of packed bytes.

use std::ops::Range;

/// The bytes from `start`, `size` of them as far as there are so many, and whether there are not.
pub fn range(data: &[u8], start: usize, size: u64) -> (Range<usize>, bool) {
    let start = start.min(data.len());
    let there = data.len() - start;
    let wanted = usize::try_from(size).unwrap_or(usize::MAX);
    (start..start + wanted.min(there), wanted > there)
}

/// A name in UTF-8 or, as the original tools wrote it, code page 437 (appendix D.1). Archivers on macOS write UTF-8 and do
/// not say so; 7-Zip and libarchive read it, and the central directory is read so as well.
pub fn name(raw: &[u8], utf8: bool) -> String {
    if utf8 || std::str::from_utf8(raw).is_ok() {
        return String::from_utf8_lossy(raw).into_owned();
    }
    raw.iter()
        .map(|byte| {
            byte.checked_sub(0x80).and_then(|i| CP437.get(usize::from(i)).copied()).unwrap_or(char::from(*byte))
        })
        .collect()
}

pub fn u16_at(data: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(data.get(at..)?.first_chunk().copied()?))
}

pub fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(data.get(at..)?.first_chunk().copied()?))
}

pub fn u64_at(data: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(data.get(at..)?.first_chunk().copied()?))
}

/// The bytes up to a zero, and what follows it; all of them without one.
pub fn until_zero(data: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(0, data) {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[]),
    }
}

/// The upper half of IBM code page 437.
const CP437: [char; 128] = [
    'Ç', 'ü', 'é', 'â', 'ä', 'à', 'å', 'ç', 'ê', 'ë', 'è', 'ï', 'î', 'ì', 'Ä', 'Å', 'É', 'æ', 'Æ', 'ô', 'ö', 'ò', 'û',
    'ù', 'ÿ', 'Ö', 'Ü', '¢', '£', '¥', '₧', 'ƒ', 'á', 'í', 'ó', 'ú', 'ñ', 'Ñ', 'ª', 'º', '¿', '⌐', '¬', '½', '¼', '¡',
    '«', '»', '░', '▒', '▓', '│', '┤', '╡', '╢', '╖', '╕', '╣', '║', '╗', '╝', '╜', '╛', '┐', '└', '┴', '┬', '├', '─',
    '┼', '╞', '╟', '╚', '╔', '╩', '╦', '╠', '═', '╬', '╧', '╨', '╤', '╥', '╙', '╘', '╒', '╓', '╫', '╪', '┘', '┌', '█',
    '▄', '▌', '▐', '▀', 'α', 'ß', 'Γ', 'π', 'Σ', 'σ', 'µ', 'τ', 'Φ', 'Θ', 'Ω', 'δ', '∞', 'φ', 'ε', '∩', '≡', '±', '≥',
    '≤', '⌠', '⌡', '÷', '≈', '°', '∙', '·', '√', 'ⁿ', '²', '■', '\u{a0}',
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_utf8_or_code_page_437() {
        assert_eq!(name("\u{fc}n\u{ef}.txt".as_bytes(), false), "\u{fc}n\u{ef}.txt");
        // python3 -c 'print(bytes([0x41, 0x80, 0x9f, 0xa0, 0xe1, 0xfe, 0xff]).decode("cp437"))'
        assert_eq!(name(b"A\x80\x9f\xa0\xe1\xfe\xff", false), "A\u{c7}\u{192}\u{e1}\u{df}\u{25a0}\u{a0}");
    }
}
