//! RAR of versions 1.5 to 4 and of version 5, by their published formats (RARLAB's TECHNOTE.TXT for either): blocks one
//! behind the other, each a header and the packed bytes it tells of. Stored members are opened. Packed ones are listed:
//! the one crate that unpacks them in Rust is young, and ten times the size of all else that opens archives here.

use super::super::word::decode_unlabelled;
use super::fields::{range, u16_at, u32_at, until_zero};
use super::{LISTING_ENCRYPTED, Listing, Member, Method};

/// Lists at most one member more than `most`.
pub fn list(data: &[u8], most: usize) -> Listing {
    let mut listing = Listing::default();
    let (mut at, read): (usize, ReadBlock) =
        if data.starts_with(SIGNATURE_5) { (SIGNATURE_5.len(), block_5) } else { (SIGNATURE_4.len(), block_4) };
    while at < data.len() && listing.members.len() <= most {
        let Some(block) = read(data, at) else {
            listing.anomalies.push(("archive-damaged", "a RAR header is cut or makes no sense".into()));
            break;
        };
        let (packed, cut) = range(data, block.end, block.packed_size);
        at = packed.end;
        match block.kind {
            Kind::End => break,
            Kind::HeadersEncrypted => {
                listing.anomalies.push((LISTING_ENCRYPTED, String::new()));
                break;
            }
            Kind::Other => {}
            Kind::File(member) => {
                listing.stated += 1;
                let packed_size = Some(block.packed_size);
                listing.members.push(Member { packed_size, packed, cut: cut || member.cut, ..*member });
            }
        }
    }
    listing
}

/// Reads the block at a place. None where it is cut or makes no sense.
type ReadBlock = fn(&[u8], usize) -> Option<Block>;

struct Block {
    kind: Kind,
    /// Bytes behind the header.
    packed_size: u64,
    end: usize,
}

enum Kind {
    File(Box<Member>),
    /// What follows cannot be read without a password.
    HeadersEncrypted,
    End,
    Other,
}

// --- versions 1.5 to 4 ------------------------------------------------------------------------------------------

fn block_4(data: &[u8], at: usize) -> Option<Block> {
    let rest = data.get(at..)?;
    let (kind, flags, length) = (*rest.get(2)?, u16_at(rest, 3)?, usize::from(u16_at(rest, 5)?));
    let header = rest.get(..length).filter(|header| header.len() >= 7)?;
    let mut packed_size = if flags & LONG_BLOCK != 0 { u64::from(u32_at(header, 7)?) } else { 0 };
    let kind = match kind {
        MAIN_4 if flags & PASSWORD_4 != 0 => Kind::HeadersEncrypted,
        END_4 => Kind::End,
        FILE_4 => {
            let mut size = u64::from(u32_at(header, 11)?);
            let mut name_at = 32;
            if flags & LARGE_4 != 0 {
                packed_size |= u64::from(u32_at(header, 32)?) << 32;
                size |= u64::from(u32_at(header, 36)?) << 32;
                name_at = 40;
            }
            let name = header.get(name_at..name_at + usize::from(u16_at(header, 26)?))?;
            let member = Member {
                name: name_4(name, flags & UNICODE_4 != 0),
                size: Some(size),
                encrypted: flags & ENCRYPTED_4 != 0,
                crc: Some(u32_at(header, 16)?),
                method: if header[25] == STORED_4 { Method::Stored } else { Method::Other },
                cut: flags & (SPLIT_BEFORE_4 | SPLIT_AFTER_4) != 0,
                ..Member::default()
            };
            if flags & WINDOW_4 == WINDOW_4 { Kind::Other } else { Kind::File(Box::new(member)) }
        }
        _ => Kind::Other,
    };
    Some(Block { kind, packed_size, end: at + length })
}

/// The name in the system's character set, and behind a zero what makes it one in Unicode; or all of it in UTF-8.
fn name_4(raw: &[u8], unicode: bool) -> String {
    let slashes = |name: String| name.replace('\\', "/");
    match raw.contains(&0) {
        true if unicode => {
            let (plain, packed) = until_zero(raw);
            slashes(String::from_utf16_lossy(&unpack_name(plain, packed)))
        }
        _ => slashes(decode_unlabelled(until_zero(raw).0).into_owned()),
    }
}

/// A name in UTF-16 from its low bytes and instructions, of two bits each, four to a byte.
fn unpack_name(plain: &[u8], packed: &[u8]) -> Vec<u16> {
    let mut name: Vec<u16> = Vec::new();
    let mut bytes = packed.iter().copied();
    let high = u16::from(bytes.next().unwrap_or_default()) << 8;
    let (mut flags, mut left) = (0_u8, 0);
    while name.len() < plain.len().max(packed.len()) {
        if left == 0 {
            let Some(next) = bytes.next() else { break };
            (flags, left) = (next, 4);
        }
        let step = flags >> 6;
        (flags, left) = (flags << 2, left - 1);
        let Some(byte) = bytes.next() else { break };
        match step {
            0 => name.push(byte.into()),
            1 => name.push(high | u16::from(byte)),
            2 => {
                let Some(upper) = bytes.next() else { break };
                name.push(u16::from(upper) << 8 | u16::from(byte));
            }
            _ => {
                let corrected = byte & 0x80 != 0;
                let correction = if corrected { bytes.next().unwrap_or_default() } else { 0 };
                for _ in 0..(byte & 0x7f) + 2 {
                    let Some(low) = plain.get(name.len()) else { break };
                    let low = u16::from(low.wrapping_add(correction));
                    name.push(if corrected { high | low } else { low });
                }
            }
        }
    }
    name
}

const SIGNATURE_4: &[u8] = b"Rar!\x1a\x07\0";

// Block types.
const MAIN_4: u8 = 0x73;
const FILE_4: u8 = 0x74;
const END_4: u8 = 0x7b;

/// Of any block: bytes follow it.
const LONG_BLOCK: u16 = 0x8000;
/// Of the archive: its headers are encrypted.
const PASSWORD_4: u16 = 0x80;

// Of a file.
const SPLIT_BEFORE_4: u16 = 1;
const SPLIT_AFTER_4: u16 = 2;
const ENCRYPTED_4: u16 = 4;
const WINDOW_4: u16 = 0xe0; // all of its bits: a directory
const LARGE_4: u16 = 0x100;
const UNICODE_4: u16 = 0x200;

const STORED_4: u8 = 0x30;

// --- version 5 --------------------------------------------------------------------------------------------------

fn block_5(data: &[u8], at: usize) -> Option<Block> {
    let mut rest = Fields(data.get(at..)?.get(4..)?);
    let length = usize::try_from(rest.number()?).ok().filter(|length| *length > 0)?;
    let start = data.len() - rest.0.len();
    let end = start.checked_add(length)?;
    let mut header = Fields(data.get(start..end)?);
    let (kind, flags) = (header.number()?, header.number()?);
    let extra = if flags & HAS_EXTRA_5 != 0 { usize::try_from(header.number()?).ok()? } else { 0 };
    let packed_size = if flags & HAS_DATA_5 != 0 { header.number()? } else { 0 };
    let kind = match kind {
        FILE_5 => {
            let extra = length.checked_sub(extra).and_then(|from| data.get(start + from..end)).unwrap_or_default();
            let member = file_5(&mut header, extra)?;
            let cut = flags & (SPLIT_BEFORE_5 | SPLIT_AFTER_5) != 0;
            member.map_or(Kind::Other, |member| Kind::File(Box::new(Member { cut, ..member })))
        }
        ENCRYPTION_5 => Kind::HeadersEncrypted,
        END_5 => Kind::End,
        _ => Kind::Other,
    };
    Some(Block { kind, packed_size, end })
}

/// What a file header says; nothing of a directory. None when it is cut.
fn file_5(header: &mut Fields<'_>, extra: &[u8]) -> Option<Option<Member>> {
    let flags = header.number()?;
    let size = header.number()?;
    let _attributes = header.number()?;
    if flags & HAS_TIME_5 != 0 {
        header.take(4)?;
    }
    let crc = if flags & HAS_CRC_5 != 0 { Some(u32_at(header.take(4)?, 0)?) } else { None };
    let compression = header.number()?;
    let _system = header.number()?;
    let name = usize::try_from(header.number()?).ok().and_then(|length| header.take(length))?;
    if flags & DIRECTORY_5 != 0 {
        return Some(None);
    }
    let encrypted = Fields(extra).records().any(|kind| kind == RECORD_ENCRYPTION_5);
    Some(Some(Member {
        name: String::from_utf8_lossy(name).into_owned(),
        size: (flags & SIZE_UNKNOWN_5 == 0).then_some(size),
        encrypted,
        crc,
        method: if compression >> 7 & 7 == 0 { Method::Stored } else { Method::Other },
        ..Member::default()
    }))
}

/// Fields of a header, the next one first.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// A number of seven bits a byte, the low ones first, of which the last has no high bit.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for at in 0..MAX_NUMBER {
            let byte = *self.0.get(at)?;
            number |= u64::from(byte & 0x7f).checked_shl(7 * at as u32)?;
            if byte & 0x80 == 0 {
                self.0 = &self.0[at + 1..];
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (field, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(field)
    }

    /// The types of the records of an extra area.
    fn records(mut self) -> impl Iterator<Item = u64> {
        std::iter::from_fn(move || {
            let length = usize::try_from(self.number()?).ok()?;
            Fields(self.take(length)?).number()
        })
    }
}

const SIGNATURE_5: &[u8] = b"Rar!\x1a\x07\x01\0";
/// "Variable length integer": at most ten bytes.
const MAX_NUMBER: usize = 10;

// Header types.
const FILE_5: u64 = 2;
const ENCRYPTION_5: u64 = 4;
const END_5: u64 = 5;

// Of any header.
const HAS_EXTRA_5: u64 = 1;
const HAS_DATA_5: u64 = 2;
const SPLIT_BEFORE_5: u64 = 8;
const SPLIT_AFTER_5: u64 = 16;

// Of a file.
const DIRECTORY_5: u64 = 1;
const HAS_TIME_5: u64 = 2;
const HAS_CRC_5: u64 = 4;
const SIZE_UNKNOWN_5: u64 = 8;

const RECORD_ENCRYPTION_5: u64 = 1;
