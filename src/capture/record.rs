//! What the two file formats share: byte order, and the outcome of looking for a record in a slice of bytes.

use crate::model::time::Timestamp;

/// The outcome of looking for a record at the start of some bytes.
#[derive(Debug, PartialEq)]
pub(super) enum Parsed {
    Packet(Record),
    /// A block that holds no packet, this long.
    Other(usize),
    /// Not all there: it takes this many bytes, counted from the record's start.
    Need(usize),
    Damaged(Damage),
}

/// A packet's record; offsets count from the record's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) time: Timestamp,
    pub(super) link: u32,
    /// The packet's bytes: `start..start + len`.
    pub(super) start: usize,
    pub(super) len: usize,
    pub(super) wire_len: u32,
    /// Length of the whole record.
    pub(super) size: usize,
}

/// A record that cannot be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Damage {
    /// What is wrong with it, as a clause: "a packet claims 4,294,967,295 bytes".
    pub(super) what: String,
    /// Its length, when that is trustworthy, so that reading can go on behind it.
    pub(super) size: Option<usize>,
}

impl Damage {
    /// Damage behind which nothing can be trusted.
    pub(super) fn fatal(what: impl Into<String>) -> Parsed {
        Parsed::Damaged(Self { what: what.into(), size: None })
    }

    /// Damage within a record of known length.
    pub(super) fn within(size: usize, what: impl Into<String>) -> Parsed {
        Parsed::Damaged(Self { what: what.into(), size: Some(size) })
    }
}

/// Byte order of a file or section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    /// The 16-bit number at `at`; none when the bytes are not there.
    pub(super) fn u16(self, data: &[u8], at: usize) -> Option<u16> {
        let bytes = *data.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        })
    }

    /// The 32-bit number at `at`; none when the bytes are not there.
    pub(super) fn u32(self, data: &[u8], at: usize) -> Option<u32> {
        let bytes = *data.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        })
    }
}
