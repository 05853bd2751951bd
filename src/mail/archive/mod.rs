//! Archives in attachments, and archives in those: listed and hashed member by member, within bounds.
//!
//! Iterative, with one open archive a level. A member is never held in memory as a whole, save one that is itself an
//! archive, or whose content is wanted. A bound met is an anomaly; the member is still listed, without hashes.

mod gzip;
mod inflate;
mod zip;

use std::borrow::Cow;

use super::hash::Hasher;
use super::kind::{KIND_BYTES, kind};
use crate::model::limits;
use crate::model::mail::{FileFact, FileKind};
use crate::model::settings::InspectSettings;

/// What may still be spent on the archives of one message.
#[derive(Debug)]
pub struct Budget {
    /// Members to list.
    pub members: usize,
    /// Bytes to unpack.
    pub bytes: u64,
}

impl Budget {
    /// As much as `settings` allow.
    pub fn new(settings: &InspectSettings) -> Self {
        Self { members: settings.archive_members, bytes: settings.archive_bytes }
    }
}

/// Where findings go.
pub struct Findings<'a> {
    pub files: &'a mut Vec<FileFact>,
    /// Takes an anomaly's name and figures.
    pub note: &'a mut dyn FnMut(&'static str, String),
}

/// Opens an attachment, if it is an archive, and adds its members to `findings`, each before its own members.
pub fn unpack(
    attachment: &FileFact,
    content: &[u8],
    settings: &InspectSettings,
    budget: &mut Budget,
    findings: &mut Findings<'_>,
) {
    let Some(format) = Format::of(attachment.kind, content) else { return };
    if settings.archive_depth == 0 {
        return (findings.note)("archive-too-deep", String::new());
    }
    let container = vec![attachment.filename.clone()];
    let mut open = vec![Archive::open(format, Cow::Borrowed(content), container, budget, findings)];
    while let Some(archive) = open.last_mut() {
        let Some(member) = archive.members.next() else {
            open.pop();
            continue;
        };
        let mut reader = Reader { settings, budget, gaps: attachment.gaps, inner: None };
        let fact = reader.read(&archive.data, &archive.container, member, findings);
        let inner = reader.inner.map(|(format, data)| {
            let mut container = archive.container.clone();
            container.push(fact.filename.clone());
            (format, data, container)
        });
        findings.files.push(fact);
        let Some((format, data, container)) = inner else { continue };
        if open.len() < settings.archive_depth {
            open.push(Archive::open(format, Cow::Owned(data), container, budget, findings));
        } else {
            (findings.note)("archive-too-deep", format!("more than {} levels", settings.archive_depth));
        }
    }
}

/// The archives that are opened.
#[derive(Clone, Copy, Debug)]
enum Format {
    Zip,
    Gzip,
}

impl Format {
    /// The format of a file, from what it is; a program may have an archive behind it (self-extracting), and so may
    /// bytes that are nothing else.
    fn of(kind: FileKind, content: &[u8]) -> Option<Self> {
        match kind.0 {
            "zip" => Some(Self::Zip),
            "gzip" => Some(Self::Gzip),
            "pe" | "elf" | "unknown" if zip::ends_as_zip(content) => Some(Self::Zip),
            _ => None,
        }
    }
}

/// An archive being gone through.
struct Archive<'a> {
    data: Cow<'a, [u8]>,
    container: Vec<String>,
    members: std::vec::IntoIter<Member>,
}

impl<'a> Archive<'a> {
    /// Lists an archive's members, as many as the budget has.
    fn open(
        format: Format,
        data: Cow<'a, [u8]>,
        container: Vec<String>,
        budget: &mut Budget,
        findings: &mut Findings<'_>,
    ) -> Self {
        let listing = match format {
            Format::Zip => zip::list(&data, budget.members),
            Format::Gzip => gzip::list(&data, container.last().map_or("", String::as_str)),
        };
        let mut members = listing.members;
        if listing.stated > budget.members || members.len() > budget.members {
            let detail = format!("{} members, of which {} listed", listing.stated, budget.members);
            (findings.note)("archive-too-many-members", detail);
            members.truncate(budget.members);
        }
        budget.members -= members.len();
        for (name, detail) in listing.anomalies {
            (findings.note)(name, detail);
        }
        Self { data, container, members: members.into_iter() }
    }
}

/// What an archive says of itself.
#[derive(Debug, Default)]
struct Listing {
    members: Vec<Member>,
    /// How many members it says it has.
    stated: usize,
    anomalies: Vec<(&'static str, String)>,
}

/// A member as its archive states it.
#[derive(Debug, Default)]
struct Member {
    name: String,
    /// None when the archive does not say.
    size: Option<u64>,
    packed_size: Option<u64>,
    encrypted: bool,
    crc: Option<u32>,
    method: Method,
    /// Where its packed bytes are; shorter than `packed_size` when the archive is cut.
    packed: std::ops::Range<usize>,
    /// Not all of its packed bytes are there.
    cut: bool,
}

/// How a member is packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Method {
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
struct Reader<'a> {
    settings: &'a InspectSettings,
    budget: &'a mut Budget,
    gaps: bool,
    /// The member's content, when it is an archive.
    inner: Option<(Format, Vec<u8>)>,
}

impl Reader<'_> {
    fn read(&mut self, archive: &[u8], container: &[String], member: Member, findings: &mut Findings<'_>) -> FileFact {
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
        let mut unpacker: Box<dyn std::io::Read> = match member.method {
            Method::Deflate => Box::new(inflate::Inflate::new(packed)),
            Method::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
            Method::Stored | Method::Other => Box::new(packed),
        };
        let content = self.consume(unpacker.as_mut(), packed.len() as u64, fact.size);
        fact.kind = content.kind;
        if let Some((name, detail)) = content.bound {
            (findings.note)(name, detail);
        }
        let short = member.size.is_some_and(|size| content.size < size);
        fact.truncated |= content.bound_met || content.damaged || short;
        if member.crc.is_some_and(|crc| crc != content.crc) && !fact.truncated {
            (findings.note)("archive-checksum-differs", fact.filename.clone());
        }
        if !fact.truncated {
            fact.size = content.size;
            content.hasher.finish(&mut fact);
        } else if fact.size == 0 {
            fact.size = content.size;
        }
        let kept = content.kept;
        if self.settings.keep_content && content.whole && kept.len() <= self.settings.keep_bytes {
            fact.content = Some(kept.clone());
        }
        if let Some(format) = Format::of(fact.kind, &kept).filter(|_| content.whole) {
            self.inner = Some((format, kept));
        }
        fact
    }

    /// Unpacks a member piece by piece, as far as the bounds allow.
    fn consume(&mut self, unpacker: &mut dyn std::io::Read, packed: u64, stated: u64) -> Content {
        let mut content = Content::new(self.settings);
        let mut piece = vec![0; PIECE.min(usize::try_from(stated).unwrap_or(PIECE).max(MIN_PIECE))];
        loop {
            let read = match unpacker.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
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
        content.settle();
        content
    }
}

/// A member's content, as far as it was unpacked.
struct Content {
    size: u64,
    crc: u32,
    checksum: flate2::Crc,
    kind: FileKind,
    hasher: Hasher,
    /// Its beginning; all of it while `whole`.
    kept: Vec<u8>,
    whole: bool,
    /// What `whole` may cost.
    keep: usize,
    damaged: bool,
    bound_met: bool,
    bound: Option<(&'static str, String)>,
    settled: bool,
}

impl Content {
    fn new(settings: &InspectSettings) -> Self {
        Self {
            size: 0,
            crc: 0,
            checksum: flate2::Crc::new(),
            kind: FileKind::default(),
            hasher: Hasher::new(settings),
            kept: Vec::new(),
            whole: true,
            keep: 0,
            damaged: false,
            bound_met: false,
            bound: None,
            settled: false,
        }
    }

    fn take(&mut self, piece: &[u8], settings: &InspectSettings) {
        self.size += piece.len() as u64;
        self.checksum.update(piece);
        self.hasher.update(piece);
        if self.kept.len() >= KIND_BYTES {
            self.settle_with(settings);
        }
        if self.kept.len() < KIND_BYTES || (self.whole && self.kept.len() + piece.len() <= self.keep) {
            self.kept.extend_from_slice(piece);
        } else {
            self.whole = false;
        }
    }

    /// Tells the kind once its beginning is there, and from it how much is to be kept.
    fn settle_with(&mut self, settings: &InspectSettings) {
        if self.settled {
            return;
        }
        self.settle();
        self.keep = if settings.keep_content { settings.keep_bytes } else { 0 };
        if matches!(self.kind.0, "zip" | "gzip") {
            self.keep = self.keep.max(limits::ARCHIVE_NESTED_BYTES);
        }
    }

    fn settle(&mut self) {
        self.crc = self.checksum.sum();
        if !self.settled {
            self.settled = true;
            self.kind = kind(&self.kept);
        }
    }

    fn stop(&mut self, name: &'static str, detail: String) {
        self.bound_met = true;
        self.bound = Some((name, detail));
    }
}

/// Bytes unpacked at a time.
const PIECE: usize = 64 << 10;
const MIN_PIECE: usize = 1_024;
