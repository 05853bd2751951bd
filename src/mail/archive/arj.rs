//! ARJ (its TECHNOTE.TXT): headers one behind the other, each with the packed bytes it tells of. Stored members are
//! opened; its own packing is not, since no crate unpacks it.

use super::super::word::decode_unlabelled;
use super::fields::{range, u16_at, u32_at, until_zero};
use super::{Listing, Member, Method};

/// Lists at most one member more than `most`.
pub fn list(data: &[u8], most: usize) -> Listing {
    let mut listing = Listing::default();
    let mut at = 0;
    while listing.members.len() <= most {
        let Some(header) = Header::read(data, at) else {
            let end = data.get(at..).is_some_and(|rest| rest.starts_with(&END));
            if !end {
                listing.anomalies.push(("archive-damaged", "an ARJ header is missing".into()));
            }
            break;
        };
        at = header.end;
        if header.kind == MAIN {
            continue;
        }
        let (packed, cut) = range(data, header.end, header.packed_size.into());
        at = packed.end;
        if header.kind == DIRECTORY {
            continue;
        }
        let stored = header.method == 0;
        listing.stated += 1;
        listing.members.push(Member {
            name: decode_unlabelled(header.name).into_owned(),
            size: Some(header.size.into()),
            packed_size: Some(header.packed_size.into()),
            encrypted: header.flags & GARBLED != 0,
            crc: Some(header.crc),
            method: if stored { Method::Stored } else { Method::Other },
            packed,
            cut: cut || header.flags & (CONTINUES | CONTINUED) != 0,
            ..Member::default()
        });
    }
    listing
}

struct Header<'a> {
    flags: u8,
    method: u8,
    kind: u8,
    packed_size: u32,
    size: u32,
    crc: u32,
    name: &'a [u8],
    /// Where the packed bytes begin.
    end: usize,
}

impl<'a> Header<'a> {
    fn read(data: &'a [u8], at: usize) -> Option<Self> {
        let rest = data.get(at..)?;
        let length = usize::from(u16_at(rest, 2)?);
        if !rest.starts_with(MARK) || length == 0 || length > MAX_BASIC {
            return None;
        }
        let basic = rest.get(4..4 + length)?;
        let fixed = usize::from(*basic.first()?);
        // Its checksum; then headers that extend it, each with another, up to an empty one.
        let mut end = 4 + length + 4;
        loop {
            let extension = usize::from(u16_at(rest, end)?);
            end += 2;
            if extension == 0 {
                break;
            }
            end += extension + 4;
        }
        Some(Self {
            flags: *basic.get(4)?,
            method: *basic.get(5)?,
            kind: *basic.get(6)?,
            packed_size: u32_at(basic, 12)?,
            size: u32_at(basic, 16)?,
            crc: u32_at(basic, 20)?,
            name: until_zero(basic.get(fixed..)?).0,
            end: at + end,
        })
    }
}

const MARK: &[u8] = b"\x60\xea";
const END: [u8; 4] = *b"\x60\xea\0\0";
/// "Basic header size (...) maximum header size is 2600".
const MAX_BASIC: usize = 2_600;

// File types.
const MAIN: u8 = 2;
const DIRECTORY: u8 = 3;

// Flags.
const GARBLED: u8 = 1;
const CONTINUES: u8 = 1 << 2;
const CONTINUED: u8 = 1 << 3;
