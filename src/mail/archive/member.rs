//! One member of an archive: unpacked piece by piece, told by its bytes, hashed.

use std::cell::Cell;
use std::io::{ErrorKind, Read};
use std::ops::Range;

use deflate64::Deflate64Decoder;
use delharc::crc::Crc16;
use delharc::header::CompressionMethod;

use super::super::hash::Hasher;
use super::super::kind::{KIND_BYTES, kind};
use super::super::name::bounded;
use super::super::office::{MacroSearch, is_macro_part, is_open_document_macro};
use super::super::password;
use super::compressed::{Failed, Streams, Zstd, zip_lzma};
use super::inflate::Inflate;
use super::lzh::Lzh;
use super::{Budget, Findings, Format, Inner, Said, zip};
use crate::model::limits;
use crate::model::mail::{FileFact, FileKind};
use crate::model::settings::InspectSettings;

/// A member as its archive states it.
#[derive(Debug, Default)]
pub struct Member {
    pub name: String,
    /// None when the archive does not say.
    pub size: Option<u64>,
    pub packed_size: Option<u64>,
    pub encrypted: bool,
    /// CRC-32, or for LZH its CRC-16.
    pub crc: Option<u32>,
    pub method: Method,
    /// Where its packed bytes are; shorter than `packed_size` when the archive is cut.
    pub packed: Range<usize>,
    /// Not all of its packed bytes are there.
    pub cut: bool,
    /// One more name of bytes that another member has, by right: a hard link in a disc image.
    pub linked: bool,
    /// Where its local header begins, in a zip.
    pub header: Option<usize>,
}

/// How a member is packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    Stored,
    /// RFC 1951, bare.
    Deflate,
    /// PKWARE's extension of it, with a window of 64 KiB.
    Deflate64,
    /// RFC 1952, with its own header and checksum.
    Gzip,
    Bzip2,
    Xz,
    /// LZMA as in a zip: APPNOTE.TXT, section 5.8.
    Lzma,
    /// RFC 8878.
    Zstd,
    Lzh(CompressionMethod),
    /// Any other: listed, not opened.
    #[default]
    Other,
}

impl Method {
    /// How much an unpacked byte counts: what it takes to unpack, in units of what inflating one takes.
    const fn cost(self) -> u64 {
        match self {
            Self::Bzip2 => limits::ARCHIVE_COST_BZIP2,
            Self::Deflate64 | Self::Xz | Self::Lzma | Self::Lzh(_) => limits::ARCHIVE_COST_LZMA,
            _ => 1,
        }
    }

    /// The checksum that archives with this method state.
    fn checksum(self) -> Checksum {
        match self {
            Self::Lzh(_) => Checksum::Crc16(Crc16::default()),
            _ => Checksum::Crc32(flate2::Crc::new()),
        }
    }

    /// Unpacks `packed`, of which `size` bytes come, from at most one stream more than `streams`; None when it cannot be unpacked here.
    fn open<'a>(
        self,
        packed: &'a [u8],
        size: u64,
        window: u64,
        streams: &'a Cell<usize>,
    ) -> Option<Box<dyn Read + 'a>> {
        Some(match self {
            Self::Stored => Box::new(packed),
            Self::Deflate => Box::new(Inflate::new(packed)),
            Self::Deflate64 => Box::new(Deflate64Decoder::with_buffer(packed)),
            Self::Gzip => Box::new(Streams::gzip(packed, streams)),
            Self::Bzip2 => Box::new(Streams::bzip2(packed, streams)),
            Self::Xz => Box::new(Streams::xz(packed, kibibytes(window), streams)),
            Self::Lzma => match zip_lzma(packed, size, kibibytes(window)) {
                Ok(reader) => Box::new(reader),
                Err(error) => Box::new(Failed(error)),
            },
            Self::Zstd => Box::new(Zstd::new(packed, window)),
            Self::Lzh(method) => Box::new(Lzh::new(method, packed, size)?),
            Self::Other => return None,
        })
    }
}

/// Reads members.
pub struct Reader<'a> {
    pub said: Said<'a>,
    pub settings: &'a InspectSettings,
    pub budget: &'a mut Budget,
    pub gaps: bool,
}

impl Reader<'_> {
    /// Unpacks `member` of `archive`, which lies in `container`, and says what it is; gives its content, too, when that
    /// is an archive.
    pub fn read(
        &mut self,
        archive: &[u8],
        container: &[String],
        member: Member,
        findings: &mut Findings<'_>,
    ) -> (FileFact, Inner) {
        let fact = self.stated(container, &member);
        let packed = archive.get(member.packed.clone()).unwrap_or_default();
        if member.encrypted {
            return self.decrypted(archive, fact, member, findings);
        }
        let streams = Cell::new(self.budget.streams);
        let unpacker = member.method.open(packed, fact.size, self.settings.window_bytes, &streams);
        let Some(mut unpacker) = unpacker else { return (fact, None) };
        if is_open_document_macro(&fact.filename) && kind(archive).0 == "odf" {
            (findings.note)("office-macro", fact.filename.clone());
        }
        let content = self.consume(unpacker.as_mut(), packed.len() as u64, fact.size, member.method);
        drop(unpacker);
        if streams.get() == 0 && content.damaged {
            (findings.note)("archive-too-large", format!("more than {} streams", limits::ARCHIVE_STREAMS));
        }
        self.budget.streams = streams.get();
        self.conclude(fact, &member, content, findings)
    }

    /// Tries the words of the message that may be passwords on an encrypted member of a zip. One that fits is tried
    /// first on the next.
    fn decrypted(
        &mut self,
        archive: &[u8],
        fact: FileFact,
        member: Member,
        findings: &mut Findings<'_>,
    ) -> (FileFact, Inner) {
        let said = [self.said.subject, self.said.text];
        let mut words = self.budget.passwords.take().unwrap_or_else(|| password::candidates(said));
        let mut opened = None;
        for (at, word) in words.iter().enumerate() {
            if member.header.is_none() || member.cut || self.budget.tries == 0 {
                break;
            }
            self.budget.tries -= 1;
            let packed = member.packed.len() as u64;
            let content =
                zip::decrypt(archive, &member, word, |reader| self.consume(reader, packed, fact.size, Method::Stored));
            // A password that is wrong passes the first check by chance once in 256 times, the checksum hardly ever.
            if let Some(content) = content.filter(|content| !content.damaged && content.size == fact.size) {
                opened = Some((at, content));
                break;
            }
        }
        let Some((at, content)) = opened else {
            self.budget.passwords = Some(words);
            return (fact, None);
        };
        words.swap(0, at);
        self.budget.passwords = Some(words);
        (findings.note)("archive-password-in-text", fact.filename.clone());
        // The checksum of an AES member may be left out; whatever is there was checked while it was decrypted.
        self.conclude(fact, &Member { crc: None, ..member }, content, findings)
    }

    /// As [`Reader::read`], for a member of a solid archive of `packed` bytes, which is unpacked already. Says as well
    /// whether a bound was met.
    pub fn unpacked(
        &mut self,
        container: &[String],
        member: Member,
        content: &mut dyn Read,
        packed: usize,
        findings: &mut Findings<'_>,
    ) -> (FileFact, Inner, bool) {
        let fact = self.stated(container, &member);
        let content = self.consume(content, packed as u64, fact.size, Method::Xz);
        let stopped = content.bound.is_some() || content.damaged;
        let (fact, inner) = self.conclude(fact, &member, content, findings);
        // All of them are held until the archive is read, so all of them together have the bound of one.
        let inner = inner.filter(|(_, data)| match self.budget.held.checked_sub(data.len()) {
            Some(held) => {
                self.budget.held = held;
                true
            }
            None => {
                (findings.note)("archive-too-large", format!("{:?} within a solid archive", fact.filename));
                false
            }
        });
        (fact, inner, stopped)
    }

    /// What the archive says of a member.
    fn stated(&self, container: &[String], member: &Member) -> FileFact {
        FileFact {
            filename: bounded(member.name.clone()),
            size: member.size.unwrap_or_default(),
            packed_size: member.packed_size,
            encrypted: member.encrypted,
            container: container.to_vec(),
            gaps: self.gaps,
            truncated: member.cut,
            ..FileFact::default()
        }
    }

    /// Adds to `fact` what the content shows.
    fn conclude(
        &self,
        mut fact: FileFact,
        member: &Member,
        content: Content,
        findings: &mut Findings<'_>,
    ) -> (FileFact, Inner) {
        fact.kind = content.kind();
        if is_macro_part(&fact.filename) || (fact.kind.0 == "ole" && content.macros.seen) {
            (findings.note)("office-macro", fact.filename.clone());
        }
        let bound_met = content.bound.is_some();
        if let Some((name, detail)) = content.bound {
            (findings.note)(name, detail);
        }
        let short = member.size.is_some_and(|size| content.size < size);
        fact.truncated |= bound_met || content.damaged || short;
        if member.crc.is_some_and(|crc| crc != content.checksum.sum()) && !fact.truncated {
            (findings.note)("archive-checksum-differs", fact.filename.clone());
        }
        if !fact.truncated {
            fact.size = content.size;
            content.hasher.finish(&mut fact);
        } else if fact.size == 0 {
            fact.size = content.size;
        }
        let kept = content.kept;
        if self.settings.keep_content && !fact.truncated && content.whole && kept.len() <= self.settings.keep_bytes {
            fact.content = Some(kept.clone());
        }
        let inner = match Format::of(fact.kind, &kept) {
            Some(format) if content.whole => Some((format, kept)),
            Some(_) => {
                let detail = format!("{:?} within an archive, {} bytes", fact.filename, fact.size);
                (findings.note)("archive-too-large", detail);
                None
            }
            None => None,
        };
        (fact, inner)
    }

    /// Unpacks a member piece by piece, as far as the bounds allow.
    fn consume(&mut self, unpacker: &mut dyn Read, packed: u64, stated: u64, method: Method) -> Content {
        let mut content = Content::new(self.settings, method.checksum());
        // Small members are many, and say so; one that does not say gets a whole piece.
        let wanted = usize::try_from(stated).ok().filter(|stated| *stated > 0).unwrap_or(PIECE);
        let mut piece = vec![0; wanted.clamp(MIN_PIECE, PIECE)];
        loop {
            let read = match unpacker.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => {
                    content.damaged = true;
                    break;
                }
            };
            let spent = (read as u64).saturating_mul(method.cost());
            if spent > self.budget.bytes {
                self.budget.bytes = 0;
                content.stop("archive-too-large", format!("more than {} bytes unpacked", self.settings.archive_bytes));
                break;
            }
            self.budget.bytes -= spent;
            content.take(piece.get(..read).unwrap_or_default(), self.settings);
            if content.size > limits::ARCHIVE_RATIO_FLOOR && content.size / packed.max(1) > limits::ARCHIVE_RATIO {
                content.stop("archive-bomb-ratio", format!("{} bytes from {packed}", content.size));
                break;
            }
        }
        content
    }
}

/// A member's content, as far as it was unpacked.
struct Content {
    size: u64,
    checksum: Checksum,
    hasher: Hasher,
    macros: MacroSearch,
    /// None until enough of the beginning is there.
    kind: Option<FileKind>,
    /// Its beginning; all of it while `whole`.
    kept: Vec<u8>,
    whole: bool,
    damaged: bool,
    bound: Option<(&'static str, String)>,
}

impl Content {
    fn new(settings: &InspectSettings, checksum: Checksum) -> Self {
        Self {
            size: 0,
            checksum,
            hasher: Hasher::new(settings),
            macros: MacroSearch::default(),
            kind: None,
            kept: Vec::new(),
            whole: true,
            damaged: false,
            bound: None,
        }
    }

    fn take(&mut self, piece: &[u8], settings: &InspectSettings) {
        self.size += piece.len() as u64;
        self.checksum.update(piece);
        self.hasher.update(piece);
        self.macros.update(piece);
        if self.kept.len() >= KIND_BYTES {
            self.kind.get_or_insert_with(|| kind(&self.kept));
        }
        let room = self.kind.map_or(usize::MAX, |kind| room(kind, settings));
        self.whole &= self.kept.len().saturating_add(piece.len()) <= room;
        if self.whole {
            self.kept.extend_from_slice(piece);
        }
    }

    fn kind(&self) -> FileKind {
        self.kind.unwrap_or_else(|| kind(&self.kept))
    }

    fn stop(&mut self, name: &'static str, detail: String) {
        self.bound = Some((name, detail));
    }
}

/// What tells whether a member was unpacked to what was packed.
enum Checksum {
    /// Of zip, 7z, RAR and ARJ.
    Crc32(flate2::Crc),
    /// Of LZH.
    Crc16(Crc16),
}

impl Checksum {
    fn update(&mut self, piece: &[u8]) {
        match self {
            Self::Crc32(sum) => sum.update(piece),
            Self::Crc16(sum) => sum.digest(piece),
        }
    }

    fn sum(&self) -> u32 {
        match self {
            Self::Crc32(sum) => sum.sum(),
            Self::Crc16(sum) => sum.sum16().into(),
        }
    }
}

/// How much of a member is kept once its kind is known.
fn room(kind: FileKind, settings: &InspectSettings) -> usize {
    let opened = if Format::of(kind, &[]).is_some() { settings.nested_bytes } else { 0 };
    let wanted = if settings.keep_content { settings.keep_bytes } else { 0 };
    opened.max(wanted)
}

/// What an LZMA decoder may take that has such a window.
fn kibibytes(window: u64) -> u32 {
    u32::try_from(window >> 10).unwrap_or(u32::MAX).saturating_add(DECODER_KIB)
}

/// What an LZMA decoder takes besides its window.
const DECODER_KIB: u32 = 256;
/// Bytes unpacked at a time.
const PIECE: usize = 64 << 10;
const MIN_PIECE: usize = 1_024;
