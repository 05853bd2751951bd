//! Cabinets (MS-CAB): stored and packed with MSZIP. What is packed with LZX or Quantum is listed.
//!
//! The files of a folder are packed as one stream, so they are read as they come, like those of a 7z. The crate for it
//! can be made to panic by a folder that has fewer blocks than its files need, and unpacks a folder anew for each file;
//! so the headers are walked here, and MSZIP, which is deflate with a memory, is left to flate2.

use std::io::{self, Read};

use flate2::{Decompress, FlushDecompress, Status};

use super::super::word::decode_unlabelled;
use super::fields::{u16_at, u32_at, until_zero};
use super::member::Reader;
use super::{Entry, Findings, Member, Method};

/// Reads at most `most` members. Returns them, and how many the cabinet says it has.
pub fn read(
    data: &[u8],
    container: &[String],
    most: usize,
    reader: &mut Reader<'_>,
    findings: &mut Findings<'_>,
) -> (Vec<Entry>, usize) {
    let Some(cabinet) = Cabinet::read(data, most) else {
        (findings.note)("archive-damaged", "a cabinet's header is cut".into());
        return Default::default();
    };
    if cabinet.files.len() < cabinet.stated.min(most) {
        (findings.note)("archive-damaged", "a cabinet's list of files is cut".into());
    }
    let mut members = Vec::new();
    let mut open: Option<(u16, Folder<'_>)> = None;
    for file in cabinet.files {
        if open.as_ref().is_none_or(|(index, _)| *index != file.folder) {
            open = cabinet.folders.get(usize::from(file.folder)).map(|folder| (file.folder, folder.clone()));
        }
        let member = Member { name: file.name, size: Some(file.size.into()), ..Member::default() };
        let Some((_, folder)) = open.as_mut() else {
            // Of a folder that goes on in another cabinet.
            members.push(Entry::Packed(Member { cut: true, ..member }));
            continue;
        };
        // Files that overlap, or lie apart, are not what a packer makes; going back would cost a folder each time.
        if folder.method == Packing::Other || folder.position != u64::from(file.offset) {
            let cut = folder.method != Packing::Other;
            members.push(Entry::Packed(Member { method: Method::Other, cut, ..member }));
            continue;
        }
        let mut content = folder.take(file.size.into());
        let (fact, inner, stopped) = reader.unpacked(container, member, &mut content, data.len(), findings);
        if stopped {
            folder.method = Packing::Other;
        }
        members.push(Entry::Read(Box::new(fact), inner));
    }
    (members, cabinet.stated)
}

struct Cabinet<'a> {
    folders: Vec<Folder<'a>>,
    files: Vec<File>,
    stated: usize,
}

/// An entry of the list of files (section 2.3).
struct File {
    size: u32,
    offset: u32,
    folder: u16,
    name: String,
}

impl<'a> Cabinet<'a> {
    /// Reads the headers, and at most `most` files (sections 2.1 to 2.3).
    fn read(data: &'a [u8], most: usize) -> Option<Self> {
        let files_at = usize::try_from(u32_at(data, 16)?).ok()?;
        let (folder_count, stated, flags) = (u16_at(data, 26)?, usize::from(u16_at(data, 28)?), u16_at(data, 30)?);
        let mut at = 36;
        let (mut folder_reserve, mut block_reserve) = (0, 0);
        if flags & HAS_RESERVE != 0 {
            folder_reserve = usize::from(*data.get(38)?);
            block_reserve = usize::from(*data.get(39)?);
            at = 40 + usize::from(u16_at(data, 36)?);
        }
        // Names of the cabinet before and of the one after, and of their discs.
        let names = 2 * [HAS_BEFORE, HAS_AFTER].iter().filter(|flag| flags & **flag != 0).count();
        for _ in 0..names {
            at = data.len() - until_zero(data.get(at..)?).1.len();
        }
        let mut folders = Vec::new();
        for _ in 0..folder_count.min(MAX_FOLDERS) {
            let Some(folder) = data.get(at..).and_then(|entry| Folder::open(data, entry, block_reserve)) else { break };
            folders.push(folder);
            at += 8 + folder_reserve;
        }
        let mut rest = data.get(files_at..)?;
        let mut files = Vec::new();
        while files.len() <= most && files.len() < stated {
            let Some((file, after)) = File::read(rest) else { break };
            files.push(file);
            rest = after;
        }
        Some(Self { folders, files, stated })
    }
}

impl File {
    fn read(data: &[u8]) -> Option<(Self, &[u8])> {
        let (name, rest) = until_zero(data.get(16..)?);
        let utf8 = u16_at(data, 14)? & NAME_IS_UTF8 != 0;
        let name = if utf8 { String::from_utf8_lossy(name) } else { decode_unlabelled(name) };
        let (size, offset, folder) = (u32_at(data, 0)?, u32_at(data, 4)?, u16_at(data, 8)?);
        Some((Self { size, offset, folder, name: name.replace('\\', "/") }, rest))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    Stored,
    MsZip,
    /// Not unpacked here, or no longer.
    Other,
}

/// What the files of a folder are packed into (section 2.4): blocks, each unpacked from those before it.
#[derive(Clone)]
struct Folder<'a> {
    method: Packing,
    data: &'a [u8],
    /// Where the next block begins, and how many are left.
    next: usize,
    left: u16,
    block_reserve: usize,
    /// The block under way, and how much of it was read.
    block: Vec<u8>,
    read: usize,
    /// Bytes read of all.
    position: u64,
}

impl<'a> Folder<'a> {
    fn open(data: &'a [u8], entry: &[u8], block_reserve: usize) -> Option<Self> {
        let method = match u16_at(entry, 6)? & 0xf {
            0 => Packing::Stored,
            1 => Packing::MsZip,
            _ => Packing::Other,
        };
        let next = usize::try_from(u32_at(entry, 0)?).ok()?;
        let left = u16_at(entry, 4)?;
        Some(Self { method, data, next, left, block_reserve, block: Vec::new(), read: 0, position: 0 })
    }

    /// Unpacks the next block. None when it is not all there, or makes no sense.
    fn next_block(&mut self) -> Option<()> {
        let header = self.data.get(self.next..)?;
        let (packed_size, size) = (usize::from(u16_at(header, 4)?), usize::from(u16_at(header, 6)?));
        let packed = header.get(8 + self.block_reserve..)?.get(..packed_size)?;
        self.block = match self.method {
            Packing::Stored => packed.to_vec(),
            Packing::MsZip => inflate(packed.strip_prefix(b"CK")?, size, &self.block)?,
            Packing::Other => return None,
        };
        self.read = 0;
        self.next += 8 + self.block_reserve + packed_size;
        self.left -= 1;
        (!self.block.is_empty() && self.block.len() == size).then_some(())
    }
}

impl Read for Folder<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.read == self.block.len() {
            if self.left == 0 {
                return Ok(0);
            }
            self.next_block().ok_or_else(|| io::Error::other("a block of a cabinet is damaged"))?;
        }
        let piece = self.block.get(self.read..).unwrap_or_default();
        let piece = &piece[..piece.len().min(buf.len())];
        buf[..piece.len()].copy_from_slice(piece);
        self.read += piece.len();
        self.position += piece.len() as u64;
        Ok(piece.len())
    }
}

/// A block of MSZIP: deflate by itself, but for the block before, to which it may refer.
fn inflate(packed: &[u8], size: usize, before: &[u8]) -> Option<Vec<u8>> {
    let mut inflater = Decompress::new(false);
    if !before.is_empty() {
        inflater.set_dictionary(before).ok()?;
    }
    let mut block = Vec::with_capacity(size.min(BLOCK));
    let status = inflater.decompress_vec(packed, &mut block, FlushDecompress::Finish).ok()?;
    (status == Status::StreamEnd).then_some(block)
}

/// A block's bytes, unpacked (section 2.4).
const BLOCK: usize = 32_768;
/// Folders looked at: there is no use for more than one in most cabinets.
const MAX_FOLDERS: u16 = 1_024;

// Flags of the header (section 2.1).
const HAS_BEFORE: u16 = 1;
const HAS_AFTER: u16 = 2;
const HAS_RESERVE: u16 = 4;

/// Of a file's attributes (section 2.3).
const NAME_IS_UTF8: u16 = 0x80;
