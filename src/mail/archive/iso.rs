//! Disc images by ISO 9660 (ECMA-119), with the names of Joliet (its escape sequences in a supplementary descriptor) and
//! of Rock Ridge (RRIP 1.12, section 4.1.4). Files lie in them as they are.
//!
//! Mailed images hide programs from readers that know only archives, while Windows opens them with two clicks. The
//! crates for it read sectors through traits of a file system; the records are plain, so they are walked here. Images
//! with UDF alone are not read.

use std::collections::HashSet;

use super::fields::{range, u16_at, u32_at};
use super::{Listing, Member, Method};
use crate::model::limits;

/// Lists at most one member more than `most`.
pub fn list(data: &[u8], most: usize) -> Listing {
    let volumes = volumes(data);
    let mut listing = Listing::default();
    if volumes.is_empty() {
        listing.anomalies.push(("archive-damaged", "no volume descriptor".into()));
    }
    // What Joliet shows is what Windows shows. Files that only the other tree knows are listed as well.
    let mut known = HashSet::new();
    let mut seen = HashSet::new();
    // Directories that share their bytes, or their parents', would make a small image cost hours.
    let mut unread = data.len();
    for volume in volumes {
        let mut walk = Walk {
            data,
            most,
            volume,
            unread: &mut unread,
            known: &known,
            seen: &mut seen,
            entered: HashSet::new(),
            listing: &mut listing,
        };
        walk.run();
        known.extend(seen.drain());
    }
    listing
}

/// A tree of directories.
struct Volume {
    root: Extent,
    /// Bytes of a logical block.
    block: usize,
    joliet: bool,
}

/// Where a file or directory lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Extent {
    start: usize,
    size: usize,
}

/// The trees of an image, Joliet's first (sections 8.4 and 8.5).
fn volumes(data: &[u8]) -> Vec<Volume> {
    let mut volumes = Vec::new();
    for sector in data.get(SYSTEM_AREA..).unwrap_or_default().chunks_exact(SECTOR).take(MAX_DESCRIPTORS) {
        let joliet = matches!(sector.get(88..91), Some(b"%/@" | b"%/C" | b"%/E"));
        if sector.get(1..6).is_none_or(|id| id != b"CD001") || sector[0] == TERMINATOR {
            break;
        }
        let block = u16_at(sector, 128).map_or(SECTOR, usize::from);
        let root = sector.get(156..190).and_then(|record| Record::read(record, block));
        if let (Some(root), PRIMARY, _) | (Some(root), SUPPLEMENTARY, true) = (root, sector[0], joliet) {
            volumes.push(Volume { root: root.extent, block, joliet: joliet && sector[0] == SUPPLEMENTARY });
        }
    }
    volumes.sort_by_key(|volume| !volume.joliet);
    volumes
}

struct Walk<'a, 'w> {
    data: &'a [u8],
    most: usize,
    volume: Volume,
    /// Bytes of directories that may still be read.
    unread: &'w mut usize,
    /// Where the files of the trees before lie.
    known: &'w HashSet<Extent>,
    /// ... and those of this one.
    seen: &'w mut HashSet<Extent>,
    /// Where the directories entered lie.
    entered: HashSet<usize>,
    listing: &'w mut Listing,
}

impl Walk<'_, '_> {
    fn run(&mut self) {
        self.entered.insert(self.volume.root.start);
        let mut waiting = vec![(self.volume.root, String::new())];
        while let Some((extent, path)) = waiting.pop() {
            let Some(unread) = self.unread.checked_sub(extent.size) else {
                return self.listing.anomalies.push(("archive-damaged", "directories that share bytes".into()));
            };
            *self.unread = unread;
            let mut inner = Vec::new();
            self.directory(extent, &path, &mut inner);
            inner.retain(|(_, path)| path.len() < limits::FILE_NAME_BYTES);
            // The first comes next.
            waiting.extend(inner.into_iter().rev());
            waiting.truncate(limits::ARCHIVE_MEMBERS);
            if self.listing.members.len() > self.most {
                return;
            }
        }
    }

    /// Lists the files of a directory; adds directories within to `inner`.
    fn directory(&mut self, extent: Extent, path: &str, inner: &mut Vec<(Extent, String)>) {
        let (there, _) = range(self.data, extent.start, extent.size as u64);
        // A record lies within one sector (section 6.8.1.1); the rest of a sector is zeros.
        for sector in self.data[there].chunks(SECTOR) {
            let mut rest = sector;
            while let Some((record, after)) = rest.first().and_then(|length| rest.split_at_checked((*length).into())) {
                let Some(record) = Record::read(record, self.volume.block) else { break };
                rest = after;
                if matches!(record.name, [0] | [1]) {
                    continue;
                }
                if record.flags & DIRECTORY != 0 && !self.enters(&record.extent, inner.len()) {
                    continue;
                }
                let name = format!("{path}{}", record.shown_name(self.volume.joliet));
                if record.flags & DIRECTORY != 0 {
                    inner.push((record.extent, format!("{name}/")));
                } else {
                    self.file(name, &record);
                }
                if self.listing.members.len() > self.most {
                    return;
                }
            }
        }
    }

    /// Whether a directory is entered, beside `waiting` others of the same one. Each waits with its whole path, which is
    /// why no more of them are told than can be entered.
    fn enters(&mut self, extent: &Extent, waiting: usize) -> bool {
        if waiting < limits::ARCHIVE_MEMBERS {
            return self.entered.insert(extent.start);
        }
        if !self.entered.contains(&extent.start) && self.listing.anomalies.is_empty() {
            let detail = format!("more than {waiting} directories in one");
            self.listing.anomalies.push(("archive-too-many-members", detail));
        }
        false
    }

    fn file(&mut self, name: String, record: &Record<'_>) {
        let Extent { start, size } = record.extent;
        // Files without content lie anywhere, and are not worth being told twice.
        if self.known.contains(&record.extent) || (size == 0 && !self.known.is_empty()) {
            return;
        }
        let linked = !self.seen.insert(record.extent);
        let (packed, cut) = range(self.data, start, size as u64);
        let size = Some(size as u64);
        // In pieces: a file of several extents (section 6.5.1), or with gaps between its sectors (section 9.1.6).
        let whole = record.flags & CONTINUED == 0 && !record.interleaved;
        let method = if whole { Method::Stored } else { Method::Other };
        self.listing.stated += 1;
        self.listing.members.push(Member {
            name,
            size,
            packed_size: size,
            method,
            packed,
            cut,
            linked,
            ..Member::default()
        });
    }
}

/// A directory record (section 9.1).
struct Record<'a> {
    extent: Extent,
    flags: u8,
    interleaved: bool,
    name: &'a [u8],
    /// Where Rock Ridge writes.
    system_use: &'a [u8],
}

impl<'a> Record<'a> {
    fn read(record: &'a [u8], block: usize) -> Option<Self> {
        let name_length = usize::from(*record.get(32)?);
        let name = record.get(33..33 + name_length)?;
        // A name of even length has a byte behind it, so that what follows lies at an even place.
        let system_use = record.get(33 + name_length + usize::from(name_length % 2 == 0)..).unwrap_or_default();
        let extended = usize::from(*record.get(1)?);
        let block_number = usize::try_from(u32_at(record, 2)?).ok()?.checked_add(extended)?;
        let start = block_number.checked_mul(block)?;
        let size = usize::try_from(u32_at(record, 10)?).ok()?;
        let interleaved = record.get(26..28)? != [0, 0];
        Some(Self { extent: Extent { start, size }, flags: record[25], interleaved, name, system_use })
    }

    fn shown_name(&self, joliet: bool) -> String {
        let name = match self.rock_ridge_name().filter(|_| !joliet) {
            Some(name) => String::from_utf8_lossy(&name).into_owned(),
            None if joliet => {
                let units = self.name.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
                char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
            }
            None => String::from_utf8_lossy(self.name).into_owned(),
        };
        // The version of a file (section 7.5.1), and the dot of a name without an extension.
        let name = name.rsplit_once(';').filter(|(_, version)| is_number(version)).map_or(&*name, |(name, _)| name);
        name.strip_suffix('.').unwrap_or(name).to_owned()
    }

    /// The name in its NM fields, if it has any (RRIP, section 4.1.4; SUSP, section 4).
    fn rock_ridge_name(&self) -> Option<Vec<u8>> {
        let mut name = None;
        let mut rest = self.system_use;
        while let Some((field, after)) = rest.get(2).and_then(|length| rest.split_at_checked((*length).into())) {
            if field.starts_with(b"NM") {
                name.get_or_insert_with(Vec::new).extend_from_slice(field.get(5..).unwrap_or_default());
            }
            if field.len() < 4 {
                break;
            }
            rest = after;
        }
        name.filter(|name| !name.is_empty())
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

const SECTOR: usize = 2_048;
/// Sixteen sectors that are not the standard's business (section 6.2.1).
const SYSTEM_AREA: usize = 16 * SECTOR;
/// Descriptors looked at: images have two to four.
const MAX_DESCRIPTORS: usize = 32;

// Types of volume descriptors (section 8.1.1).
const PRIMARY: u8 = 1;
const SUPPLEMENTARY: u8 = 2;
const TERMINATOR: u8 = 255;

// File flags (section 9.1.6).
const DIRECTORY: u8 = 1 << 1;
const CONTINUED: u8 = 1 << 7;
