//! ZIP (PKWARE's APPNOTE.TXT 6.3.10): the central directory through the zip crate, and our own scan of the local
//! headers for archives that are cut or damaged.
//!
//! The crate's `ZipIterable` is used, since its `ZipArchive` keeps only the last of members with one name, and reads
//! the whole directory before it says how long it is. Packed bytes are taken from the archive directly: that works
//! the same way for both sources, and the crate would refuse what other readers still open.

use std::io::{Cursor, Read};
use std::ops::Range;

use memchr::memmem;
use zip::read::{Config, ZipReadOptions, read_zipfile_from_stream_with_options};
use zip::result::ZipError;
use zip::unstable::read::ZipIterable;

use super::super::name::bounded;
use super::fields::{name, range, u16_at, u32_at, u64_at};
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

/// Unpacks an encrypted member (section 6.1; AES as in section 7) with a password and hands it to `read`. None when the
/// password does not fit, or the member is packed with LZMA: the crate, asked to, would unpack that with any window.
pub fn decrypt<T>(data: &[u8], member: &Member, password: &str, read: impl FnOnce(&mut dyn Read) -> T) -> Option<T> {
    let mut source = data.get(member.header?..member.packed.end)?;
    // What the local header leaves to a descriptor is known from the central directory.
    let options = ZipReadOptions::new()
        .password(Some(password.as_bytes()))
        .override_compressed_size(member.packed.len() as u64)
        .override_uncompressed_size(member.size?)
        .override_crc(member.crc?);
    let mut file = read_zipfile_from_stream_with_options(&mut source, options).ok()??;
    Some(read(&mut file))
}

/// Whether an end of central directory record (section 4.3.16) stands where one may.
pub fn ends_as_zip(data: &[u8]) -> bool {
    let tail = data.get(data.len().saturating_sub(END_BYTES)..).unwrap_or_default();
    // From the back by its last byte: files that are no zip are most, and a search for the whole of it backwards is slow.
    let mut ends = memchr::memrchr_iter(END[3], tail).map(|last| last + 1);
    let found = ends.find(|end| tail.get(..*end).is_some_and(|before| before.ends_with(END)));
    found.is_some_and(|end| tail.len() - (end - END.len()) >= END_RECORD)
}

/// Lists members by the central directory (section 4.3.12).
fn list_central(data: &[u8], most: usize) -> Result<Listing, ZipError> {
    let mut archive = ZipIterable::try_new(Cursor::new(data), Config::default())?;
    let mut listing = Listing { stated: archive.len(), ..Listing::default() };
    let mut known = Vec::new();
    for entry in archive.files()?.take(most) {
        let entry = entry?;
        let start = usize::try_from(entry.header_start()).unwrap_or(usize::MAX);
        let local = Local::read(data, start);
        let name = entry.name().map_or_else(|_| name(entry.name_raw(), false), |name| name.into_owned());
        let central =
            usize::try_from(entry.central_header_start()).ok().and_then(|at| data.get(at..)).unwrap_or_default();
        if let (Some(local), Some(name_there)) = (&local, raw_central_name(central))
            && local.name != name_there
        {
            let other = super::fields::name(local.name, local.flags & UTF8 != 0);
            let (name, other) = (bounded(name.clone()), bounded(other));
            listing.anomalies.push(("zip-names-differ", format!("{name:?} and {other:?}")));
        }
        let packed_size = entry.compressed_size();
        let (packed, cut) = range(data, local.as_ref().map_or(data.len(), |local| local.data), packed_size);
        // An entry that points at nothing takes no place where others may lie.
        if local.is_some() {
            known.push(start..packed.end);
        }
        if name.ends_with('/') && entry.size() == 0 {
            continue;
        }
        let packing = u16_at(central, 10).unwrap_or_default();
        if !entry.encrypted() {
            tell_unopened(&mut listing, packing);
        }
        listing.members.push(Member {
            name,
            size: Some(entry.size()),
            packed_size: Some(packed_size),
            encrypted: entry.encrypted(),
            crc: Some(entry.crc32()),
            method: method(packing),
            packed,
            cut,
            header: Some(start),
            linked: false,
        });
    }
    if listing.stated <= most {
        list_unlisted(data, most, known, &mut listing);
    }
    Ok(listing)
}

/// Adds members that only their local headers tell of: some readers go by those, and a scanner that goes by the
/// directory would be passed. Looked for in what lies between the members that are known.
fn list_unlisted(data: &[u8], most: usize, mut known: Vec<Range<usize>>, listing: &mut Listing) {
    known.sort_by_key(|range| range.start);
    known.push(data.len()..data.len());
    let mut at = 0;
    for range in known {
        while at < range.start && listing.members.len() <= most {
            let Some(found) = data.get(at..range.start).and_then(|gap| memmem::find(gap, LOCAL)) else { break };
            let start = at + found;
            at = start + LOCAL.len();
            let Some(local) = Local::read(data, start).filter(Local::is_likely) else { continue };
            let member = local.member(data);
            if member.cut || member.packed.end > range.start || member.name.ends_with('/') {
                continue;
            }
            at = member.packed.end.max(at);
            listing.anomalies.push(("zip-member-unlisted", member.name.clone()));
            if !member.encrypted {
                tell_unopened(listing, local.method);
            }
            listing.stated += 1;
            listing.members.push(member);
        }
        at = at.max(range.end);
    }
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
            if !member.encrypted {
                tell_unopened(&mut listing, local.method);
            }
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
    /// Where the header begins.
    start: usize,
    version: u16,
    extra: &'a [u8],
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
            start,
            version: u16_at(header, 4)?,
            extra: bytes.get(name_end..name_end + extra_length).unwrap_or_default(),
            data: name_end + extra_length,
        })
    }

    /// Whether it is a header, and not just its signature among other bytes: a version that exists, a method of the
    /// published list (section 4.4.5), a name of printable characters.
    fn is_likely(&self) -> bool {
        let method = matches!(self.method, 0 | 1 | 6 | 8 | 9 | 12 | 14 | 93 | 95 | 98 | 99);
        let name = (1..=MAX_LIKELY_NAME).contains(&self.name.len()) && self.name.iter().all(|byte| *byte >= b' ');
        self.version & 0xff <= MAX_VERSION && method && name
    }

    /// An extra field's content (section 4.5).
    fn extra(&self, id: u16) -> Option<&'a [u8]> {
        let mut rest = self.extra;
        loop {
            let length = usize::from(u16_at(rest, 2)?);
            let content = rest.get(4..4 + length)?;
            if u16_at(rest, 0)? == id {
                return Some(content);
            }
            rest = rest.get(4 + length..)?;
        }
    }

    /// Unpacked and packed size: of a ZIP64 member in its extra field (section 4.5.3).
    fn sizes(&self) -> (u64, u64) {
        let large = self.size == u32::MAX || self.packed_size == u32::MAX;
        let wide = self.extra(ZIP64).filter(|_| large).and_then(|field| Some((u64_at(field, 0)?, u64_at(field, 8)?)));
        wide.unwrap_or((u64::from(self.size), u64::from(self.packed_size)))
    }

    /// The name, in UTF-8 where an extra field has it (section 4.6.9), if that is about the name in the header.
    fn shown_name(&self) -> String {
        let unicode = self.extra(UNICODE_PATH).and_then(|field| {
            let mut crc = flate2::Crc::new();
            crc.update(self.name);
            let fits = field.first() == Some(&1) && u32_at(field, 1)? == crc.sum();
            std::str::from_utf8(field.get(5..)?).ok().filter(|_| fits)
        });
        unicode.map_or_else(|| name(self.name, self.flags & UTF8 != 0), str::to_owned)
    }

    /// The member behind the header, as far as the header can say. Sizes that follow the data in a descriptor
    /// (section 4.3.9) are not known here: the data then goes on to the next signature.
    fn member(&self, bytes: &[u8]) -> Member {
        let (size, packed_size) = self.sizes();
        let unknown = self.flags & DESCRIPTOR != 0 && packed_size == 0 || packed_size == u64::from(u32::MAX);
        let (packed, cut) = if unknown {
            let rest = bytes.get(self.data..).unwrap_or_default();
            let next = next_signature(rest);
            (self.data.min(bytes.len())..next.map_or(bytes.len(), |next| self.data + next), next.is_none())
        } else {
            range(bytes, self.data, packed_size)
        };
        // Nothing says where stored bytes end.
        let method = if unknown && self.method == 0 { Method::Other } else { method(self.method) };
        Member {
            name: self.shown_name(),
            size: (!unknown).then_some(size),
            packed_size: Some(if unknown { packed.len() as u64 } else { packed_size }),
            encrypted: self.flags & ENCRYPTED != 0,
            crc: (!unknown).then_some(self.crc),
            method,
            packed,
            // Packed bytes say themselves where they end.
            cut: if unknown { matches!(method, Method::Stored | Method::Other) } else { cut },
            header: Some(self.start),
            linked: false,
        }
    }
}

/// How a member is packed (section 4.4.5). With AES the method stands elsewhere, and such a member is encrypted anyway.
fn method(number: u16) -> Method {
    match number {
        0 => Method::Stored,
        8 => Method::Deflate,
        9 => Method::Deflate64,
        12 => Method::Bzip2,
        14 => Method::Lzma,
        93 => Method::Zstd,
        95 => Method::Xz,
        _ => Method::Other,
    }
}

/// Notes, once for an archive, that a member is packed in a way that is not unpacked here.
fn tell_unopened(listing: &mut Listing, packing: u16) {
    let told = listing.anomalies.iter().any(|(name, _)| *name == NOT_OPENED);
    if method(packing) == Method::Other && !told {
        listing.anomalies.push((NOT_OPENED, format!("compression method {packing}")));
    }
}

/// Where the next header may begin. One search for all signatures, or one that never comes would be looked for anew
/// behind every header.
fn next_signature(data: &[u8]) -> Option<usize> {
    memmem::find_iter(data, b"PK")
        .find(|at| data.get(*at..).is_some_and(|rest| SIGNATURES.iter().any(|signature| rest.starts_with(signature))))
}

/// The name in a header of the central directory as it stands there, before any extra field has its say.
fn raw_central_name(header: &[u8]) -> Option<&[u8]> {
    let length = usize::from(u16_at(header, 28)?);
    header.get(CENTRAL_BYTES..CENTRAL_BYTES + length)
}

const NOT_OPENED: &str = "archive-not-opened";
const LOCAL: &[u8] = b"PK\x03\x04";
const LOCAL_BYTES: usize = 30;
const CENTRAL_BYTES: usize = 46;
const END: &[u8] = b"PK\x05\x06";
const END_RECORD: usize = 22;
/// An end record and the longest comment behind it.
const END_BYTES: usize = END_RECORD + 65_535;
/// What can follow a member's data: a descriptor, the next member, the central directory.
const SIGNATURES: [&[u8]; 3] = [b"PK\x07\x08", LOCAL, b"PK\x01\x02"];

/// Extra fields (section 4.5.2, 4.6.9).
const ZIP64: u16 = 1;
const UNICODE_PATH: u16 = 0x7075;

/// Version 6.3 is the latest (section 4.4.3.2); and a name longer than this is no file's.
const MAX_VERSION: u16 = 63;
const MAX_LIKELY_NAME: usize = 1_024;

// General purpose bits (section 4.4.4).
const ENCRYPTED: u16 = 1;
const DESCRIPTOR: u16 = 1 << 3;
const UTF8: u16 = 1 << 11;
