//! Fields that archives of all kinds have: numbers with the low byte first, names, stretches of packed bytes.

use std::ops::Range;

/// The bytes from `start`, `size` of them as far as there are so many, and whether there are not.
pub fn range(data: &[u8], start: usize, size: u64) -> (Range<usize>, bool) {
    let start = start.min(data.len());
    let there = data.len() - start;
    let wanted = usize::try_from(size).unwrap_or(usize::MAX);
    (start..start + wanted.min(there), wanted > there)
}

/// A name in UTF-8 or, as the original tools wrote it, code page 437 (appendix D.1).
pub fn name(raw: &[u8], utf8: bool) -> String {
    if utf8 || raw.is_ascii() {
        return String::from_utf8_lossy(raw).into_owned();
    }
    raw.iter()
        .map(|byte| byte.checked_sub(0x80).and_then(|i| CP437.chars().nth(i.into())).unwrap_or(char::from(*byte)))
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
const CP437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";
