//! ACE (as its author's technical notes and the acefile project describe it): blocks one behind the other. Stored
//! members are opened; its own packing is not, since no crate unpacks it.

use super::super::word::decode_unlabelled;
use super::fields::{range, u16_at, u32_at, u64_at};
use super::{Listing, Member, Method};

/// Lists at most one member more than `most`.
pub fn list(data: &[u8], most: usize) -> Listing {
    let mut listing = Listing::default();
    let mut at = 0;
    while at < data.len() && listing.members.len() <= most {
        let Some(block) = Block::read(data, at) else {
            listing.anomalies.push(("archive-damaged", "an ACE block is cut or empty".into()));
            break;
        };
        let (packed, cut) = range(data, block.end, block.packed_size);
        at = packed.end;
        if let Some(file) = block.file.filter(|file| file.attributes & DIRECTORY == 0) {
            listing.stated += 1;
            listing.members.push(Member {
                name: decode_unlabelled(file.name).into_owned(),
                size: Some(file.size),
                packed_size: Some(block.packed_size),
                encrypted: block.flags & ENCRYPTED != 0,
                // CRC-32 without the last complement.
                crc: Some(!file.crc),
                method: if file.packing == 0 { Method::Stored } else { Method::Other },
                packed,
                cut: cut || block.flags & (CONTINUES | CONTINUED) != 0,
                ..Member::default()
            });
        }
    }
    listing
}

struct Block<'a> {
    flags: u16,
    /// Bytes behind it.
    packed_size: u64,
    file: Option<File<'a>>,
    end: usize,
}

struct File<'a> {
    size: u64,
    attributes: u32,
    crc: u32,
    packing: u8,
    name: &'a [u8],
}

impl<'a> Block<'a> {
    fn read(data: &'a [u8], at: usize) -> Option<Self> {
        let rest = data.get(at..)?;
        let length = usize::from(u16_at(rest, 2)?);
        let block = rest.get(..4 + length)?;
        let (kind, flags) = (*block.get(4)?, u16_at(block, 5)?);
        let wide = matches!(kind, FILE_64 | RECOVERY_64 | RECOVERY_64B);
        let packed_size = match (flags & HAS_BYTES != 0, wide) {
            (false, _) => 0,
            (true, false) => u32_at(block, 7)?.into(),
            (true, true) => u64_at(block, 7)?,
        };
        let file = match kind {
            FILE_32 => Some(File::read(block, u32_at(block, 11)?.into(), 15)?),
            FILE_64 => Some(File::read(block, u64_at(block, 15)?, 23)?),
            _ => None,
        };
        Some(Self { flags, packed_size, file, end: at + block.len() })
    }
}

impl<'a> File<'a> {
    /// `at`: where the fields behind the sizes begin.
    fn read(block: &'a [u8], size: u64, at: usize) -> Option<Self> {
        let name_length = usize::from(u16_at(block, at + 18)?);
        Some(Self {
            size,
            attributes: u32_at(block, at + 4)?,
            crc: u32_at(block, at + 8)?,
            packing: *block.get(at + 12)?,
            name: block.get(at + 20..at + 20 + name_length)?,
        })
    }
}

// Block types.
const FILE_32: u8 = 1;
const FILE_64: u8 = 3;
const RECOVERY_64: u8 = 4;
const RECOVERY_64B: u8 = 5;

// Flags.
const HAS_BYTES: u16 = 1;
const CONTINUED: u16 = 1 << 12;
const CONTINUES: u16 = 1 << 13;
const ENCRYPTED: u16 = 1 << 14;

/// Of the attributes of MS-DOS.
const DIRECTORY: u32 = 0x10;
