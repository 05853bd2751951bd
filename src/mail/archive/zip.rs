//! ZIP (PKWARE's APPNOTE.TXT 6.3.10): the central directory through the zip crate, and our own scan of the local
//! headers for archives that are cut or damaged.
//!
//! The crate's `ZipIterable` is used, since its `ZipArchive` keeps only the last of members with one name, and reads
//! the whole directory before it says how long it is. Packed bytes are taken from the archive directly: that works
//! the same way for both sources, and the crate would refuse what other readers still open.

use std::io::Cursor;
use std::ops::Range;

use memchr::memmem;
use zip::CompressionMethod;
use zip::read::Config;
use zip::result::ZipError;
use zip::unstable::read::ZipIterable;

use super::{Listing, Member, Method};

/// Lists at most `most` members.
pub fn list(data: &[u8], most: usize) -> Listing {
    match list_central(data, most) {
        Ok(listing) => listing,
        Err(error) => {
            let mut listing = list_local(data, most);
            listing.anomalies.push(("archive-damaged", error.to_string()));
            listing
        }
    }
}

/// Whether an end of central directory record (section 4.3.16) stands where one may.
pub fn ends_as_zip(data: &[u8]) -> bool {
    let tail = data.get(data.len().saturating_sub(END_BYTES)..).unwrap_or_default();
    memmem::rfind(tail, END).is_some_and(|at| tail.len() - at >= END_RECORD)
}

/// Lists members by the central directory (section 4.3.12).
fn list_central(data: &[u8], most: usize) -> Result<Listing, ZipError> {
    let mut archive = ZipIterable::try_new(Cursor::new(data), Config::default())?;
    let mut listing = Listing { stated: archive.len(), ..Listing::default() };
    for entry in archive.files()?.take(most) {
        let entry = entry?;
        let start = usize::try_from(entry.header_start()).unwrap_or(usize::MAX);
        let local = Local::read(data, start);
        let name = entry.name().map_or_else(|_| name(entry.name_raw(), false), |name| name.into_owned());
        let central_name = usize::try_from(entry.central_header_start()).ok().and_then(|at| raw_central_name(data, at));
        if let (Some(local), Some(central)) = (&local, central_name)
            && local.name != central
        {
            let other = self::name(local.name, local.flags & UTF8 != 0);
            listing.anomalies.push(("zip-names-differ", format!("{name:?} and {other:?}")));
        }
        if name.ends_with('/') && entry.size() == 0 {
            continue;
        }
        let packed_size = entry.compressed_size();
        let (packed, cut) = range(data, local.map_or(data.len(), |local| local.data), packed_size);
        listing.members.push(Member {
            name,
            size: Some(entry.size()),
            packed_size: Some(packed_size),
            encrypted: entry.encrypted(),
            crc: Some(entry.crc32()),
            method: match entry.compression() {
                CompressionMethod::Stored => Method::Stored,
                CompressionMethod::Deflated => Method::Deflate,
                _ => Method::Other,
            },
            packed,
            cut,
        });
    }
    Ok(listing)
}

/// Lists members by the local headers that can be found (section 4.3.7), front to back.
fn list_local(data: &[u8], most: usize) -> Listing {
    let mut listing = Listing::default();
    let mut at = 0;
    while let Some(found) = memmem::find(data.get(at..).unwrap_or_default(), LOCAL) {
        let start = at + found;
        at = start + LOCAL.len();
        let Some(local) = Local::read(data, start) else { continue };
        listing.stated += 1;
        let member = local.member(data);
        at = member.packed.end.max(at);
        if !(member.name.ends_with('/') && member.packed.is_empty()) {
            listing.members.push(member);
        }
        if listing.members.len() > most {
            break; // one more than allowed, so that the caller sees the bound was met
        }
    }
    listing
}

/// A local header.
struct Local<'a> {
    flags: u16,
    method: u16,
    crc: u32,
    packed_size: u32,
    size: u32,
    name: &'a [u8],
    /// Where the packed bytes begin.
    data: usize,
}

impl<'a> Local<'a> {
    /// Reads the header at `start`. Its name, at least, must be there.
    fn read(bytes: &'a [u8], start: usize) -> Option<Self> {
        let header = bytes.get(start..start.checked_add(LOCAL_BYTES)?)?;
        if !header.starts_with(LOCAL) {
            return None;
        }
        let name_length = usize::from(u16_at(header, 26)?);
        let extra_length = usize::from(u16_at(header, 28)?);
        let name_end = start + LOCAL_BYTES + name_length;
        Some(Self {
            flags: u16_at(header, 6)?,
            method: u16_at(header, 8)?,
            crc: u32_at(header, 14)?,
            packed_size: u32_at(header, 18)?,
            size: u32_at(header, 22)?,
            name: bytes.get(start + LOCAL_BYTES..name_end)?,
            data: name_end + extra_length,
        })
    }

    /// The member behind the header, as far as the header can say. Sizes that follow the data in a descriptor
    /// (section 4.3.9) or stand in a ZIP64 field are not known here: the data then goes on to the next signature.
    fn member(&self, bytes: &[u8]) -> Member {
        let unknown = self.flags & DESCRIPTOR != 0 && self.packed_size == 0
            || self.packed_size == u32::MAX
            || self.size == u32::MAX;
        let (packed, cut) = if unknown {
            let rest = bytes.get(self.data..).unwrap_or_default();
            let next = next_signature(rest);
            (self.data.min(bytes.len())..next.map_or(bytes.len(), |next| self.data + next), next.is_none())
        } else {
            range(bytes, self.data, u64::from(self.packed_size))
        };
        let method = match self.method {
            0 if unknown => Method::Other, // nothing says where stored bytes end
            0 => Method::Stored,
            8 => Method::Deflate,
            _ => Method::Other,
        };
        Member {
            name: name(self.name, self.flags & UTF8 != 0),
            size: (!unknown).then_some(u64::from(self.size)),
            packed_size: Some(if unknown { packed.len() as u64 } else { u64::from(self.packed_size) }),
            encrypted: self.flags & ENCRYPTED != 0,
            crc: (!unknown).then_some(self.crc),
            method,
            packed,
            // Deflated bytes say themselves where they end.
            cut: if unknown { method != Method::Deflate } else { cut },
        }
    }
}

/// Where the next header may begin. One search for all signatures, or one that never comes would be looked for anew
/// behind every header.
fn next_signature(data: &[u8]) -> Option<usize> {
    memmem::find_iter(data, b"PK")
        .find(|at| data.get(*at..).is_some_and(|rest| SIGNATURES.iter().any(|signature| rest.starts_with(signature))))
}

/// The bytes from `start`, `size` of them as far as there are so many, and whether there are not.
fn range(data: &[u8], start: usize, size: u64) -> (Range<usize>, bool) {
    let start = start.min(data.len());
    let there = data.len() - start;
    let wanted = usize::try_from(size).unwrap_or(usize::MAX);
    (start..start + wanted.min(there), wanted > there)
}

/// A member's name in the central directory as it stands there, before any extra field has its say.
fn raw_central_name(data: &[u8], at: usize) -> Option<&[u8]> {
    let length = usize::from(u16_at(data.get(at..)?, 28)?);
    let start = at.checked_add(CENTRAL_BYTES)?;
    data.get(start..start.checked_add(length)?)
}

/// A name in UTF-8 or, as the original tools wrote it, code page 437 (appendix D.1).
fn name(raw: &[u8], utf8: bool) -> String {
    if utf8 || raw.is_ascii() {
        return String::from_utf8_lossy(raw).into_owned();
    }
    raw.iter()
        .map(|byte| byte.checked_sub(0x80).and_then(|i| CP437.chars().nth(i.into())).unwrap_or(char::from(*byte)))
        .collect()
}

fn u16_at(data: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(data.get(at..)?.first_chunk().copied()?))
}

fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(data.get(at..)?.first_chunk().copied()?))
}

const LOCAL: &[u8] = b"PK\x03\x04";
const LOCAL_BYTES: usize = 30;
const CENTRAL_BYTES: usize = 46;
const END: &[u8] = b"PK\x05\x06";
const END_RECORD: usize = 22;
/// An end record and the longest comment behind it.
const END_BYTES: usize = END_RECORD + 65_535;
/// What can follow a member's data: a descriptor, the next member, the central directory.
const SIGNATURES: [&[u8]; 3] = [b"PK\x07\x08", LOCAL, b"PK\x01\x02"];

// General purpose bits (section 4.4.4).
const ENCRYPTED: u16 = 1;
const DESCRIPTOR: u16 = 1 << 3;
const UTF8: u16 = 1 << 11;

/// The upper half of IBM code page 437.
const CP437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";
