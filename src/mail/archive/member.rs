//! One member of an archive: unpacked piece by piece, told by its bytes, hashed.

use std::io::{ErrorKind, Read};
use std::ops::Range;

use super::super::hash::Hasher;
use super::super::kind::{KIND_BYTES, kind};
use super::inflate::Inflate;
use super::{Budget, Findings, Format};
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
    pub crc: Option<u32>,
    pub method: Method,
    /// Where its packed bytes are; shorter than `packed_size` when the archive is cut.
    pub packed: Range<usize>,
    /// Not all of its packed bytes are there.
    pub cut: bool,
}

/// How a member is packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    Stored,
    /// RFC 1951, bare.
    Deflate,
    /// RFC 1952, with its own header and checksum.
    Gzip,
    /// Any other: listed, not opened.
    #[default]
    Other,
}

/// Reads one member.
pub struct Reader<'a> {
    pub settings: &'a InspectSettings,
    pub budget: &'a mut Budget,
    pub gaps: bool,
    /// The member's content, when it is an archive.
    pub inner: Option<(Format, Vec<u8>)>,
}

impl Reader<'_> {
    /// Unpacks `member` of `archive`, which lies in `container`, and says what it is.
    pub fn read(
        &mut self,
        archive: &[u8],
        container: &[String],
        member: Member,
        findings: &mut Findings<'_>,
    ) -> FileFact {
        let mut fact = FileFact {
            filename: member.name,
            size: member.size.unwrap_or_default(),
            packed_size: member.packed_size,
            encrypted: member.encrypted,
            container: container.to_vec(),
            gaps: self.gaps,
            truncated: member.cut,
            ..FileFact::default()
        };
        let packed = archive.get(member.packed).unwrap_or_default();
        if member.encrypted || member.method == Method::Other {
            return fact;
        }
        let mut unpacker: Box<dyn Read> = match member.method {
            Method::Deflate => Box::new(Inflate::new(packed)),
            Method::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
            Method::Stored | Method::Other => Box::new(packed),
        };
        let content = self.consume(unpacker.as_mut(), packed.len() as u64, fact.size);
        fact.kind = content.kind();
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
        match Format::of(fact.kind, &kept) {
            Some(format) if content.whole => self.inner = Some((format, kept)),
            Some(_) => {
                let detail = format!("{:?} within an archive, {} bytes", fact.filename, fact.size);
                (findings.note)("archive-too-large", detail);
            }
            None => {}
        }
        fact
    }

    /// Unpacks a member piece by piece, as far as the bounds allow.
    fn consume(&mut self, unpacker: &mut dyn Read, packed: u64, stated: u64) -> Content {
        let mut content = Content::new(self.settings);
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
            if read as u64 > self.budget.bytes {
                self.budget.bytes = 0;
                content.stop("archive-too-large", format!("more than {} bytes unpacked", self.settings.archive_bytes));
                break;
            }
            self.budget.bytes -= read as u64;
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
    checksum: flate2::Crc,
    hasher: Hasher,
    /// None until enough of the beginning is there.
    kind: Option<FileKind>,
    /// Its beginning; all of it while `whole`.
    kept: Vec<u8>,
    whole: bool,
    damaged: bool,
    bound: Option<(&'static str, String)>,
}

impl Content {
    fn new(settings: &InspectSettings) -> Self {
        Self {
            size: 0,
            checksum: flate2::Crc::new(),
            hasher: Hasher::new(settings),
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

/// How much of a member is kept once its kind is known.
fn room(kind: FileKind, settings: &InspectSettings) -> usize {
    let opened = if Format::of(kind, &[]).is_some() { limits::ARCHIVE_NESTED_BYTES } else { 0 };
    let wanted = if settings.keep_content { settings.keep_bytes } else { 0 };
    opened.max(wanted)
}

/// Bytes unpacked at a time.
const PIECE: usize = 64 << 10;
const MIN_PIECE: usize = 1_024;
