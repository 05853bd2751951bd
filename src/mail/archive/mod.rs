//! Archives in attachments, and archives in those: listed and hashed member by member, within bounds.
//!
//! Iterative, with one open archive a level. A member is never held in memory as a whole, save one that is itself an
//! archive, or whose content is wanted. A bound met is an anomaly; the member is still listed, without hashes.
//!
//! One file a format: `zip.rs`, `tar.rs`, `sevenzip.rs`, `rar.rs` and so on, and `compressed.rs` for what holds one file.

mod ace;
mod arj;
mod cab;
mod compressed;
mod fields;
mod inflate;
mod iso;
mod lzh;
mod member;
mod narrowed;
mod rar;
mod sevenzip;
mod tar;
mod tnef;
mod zip;

use std::borrow::Cow;

use self::member::{Member, Method, Reader};
use crate::model::limits;
use crate::model::mail::{FileFact, FileKind};
use crate::model::settings::InspectSettings;

/// What may still be spent on the archives of one message.
#[derive(Debug)]
pub struct Budget {
    /// Members to list.
    pub members: usize,
    /// Bytes to unpack; those of slow formats count several times.
    pub bytes: u64,
    /// Bytes of archives to hold that are members of solid archives.
    pub held: usize,
    /// Passwords to try.
    pub tries: usize,
    /// What headers of 7z archives may still cost.
    pub headers: usize,
    /// Streams that may still follow another in one file.
    pub streams: usize,
    /// Words that may be passwords, the one that fitted last first. None until one is wanted.
    passwords: Option<Vec<String>>,
}

impl Budget {
    /// As much as `settings` allow.
    pub fn new(settings: &InspectSettings) -> Self {
        Self {
            members: settings.archive_members,
            bytes: settings.archive_bytes,
            held: settings.nested_bytes,
            tries: limits::ARCHIVE_TRIES,
            headers: limits::SEVENZIP_HEADERS,
            streams: limits::ARCHIVE_STREAMS,
            passwords: None,
        }
    }
}

/// What a message says to its reader: the password of an archive may be in it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Said<'a> {
    pub subject: &'a str,
    pub text: &'a str,
}

/// Where findings go.
pub struct Findings<'a> {
    pub files: &'a mut Vec<FileFact>,
    /// Takes an anomaly's name and figures.
    pub note: &'a mut dyn FnMut(&'static str, String),
}

impl Findings<'_> {
    /// The archive that was told last does not even show what is in it.
    fn listing_is_encrypted(&mut self) {
        if let Some(archive) = self.files.last_mut() {
            archive.encrypted = true;
        }
        (self.note)(LISTING_ENCRYPTED, String::new());
    }
}

/// The anomaly of an archive whose list of members is encrypted.
const LISTING_ENCRYPTED: &str = "archive-listing-encrypted";

/// Opens an attachment, if it is an archive, and adds its members to `findings`, each before its own members.
pub fn unpack(
    attachment: &FileFact,
    content: &[u8],
    said: Said<'_>,
    settings: &InspectSettings,
    budget: &mut Budget,
    findings: &mut Findings<'_>,
) {
    let Some(format) = Format::of(attachment.kind, content) else { return };
    let mut walk = Walk { said, settings, gaps: attachment.gaps, budget, findings, open: Vec::new() };
    walk.enter(format, Cow::Borrowed(content), vec![attachment.filename.clone()]);
    walk.run();
}

/// The walk through one attachment.
struct Walk<'a, 'f> {
    said: Said<'a>,
    settings: &'a InspectSettings,
    gaps: bool,
    budget: &'a mut Budget,
    findings: &'a mut Findings<'f>,
    /// One archive a level, the outermost first.
    open: Vec<Archive<'a>>,
}

impl<'a> Walk<'a, '_> {
    fn run(&mut self) {
        while let Some(archive) = self.open.last_mut() {
            let container = archive.container.clone();
            let (fact, inner) = match archive.members.next() {
                None => {
                    self.open.pop();
                    continue;
                }
                Some(Entry::Read(fact, inner)) => (*fact, inner),
                Some(Entry::Packed(mut member)) => {
                    let unread = if member.linked { 0 } else { member.packed.len() };
                    match archive.unread.checked_sub(unread) {
                        Some(unread) => archive.unread = unread,
                        None => {
                            (self.findings.note)("archive-members-overlap", member.name.clone());
                            (member.method, member.cut) = (Method::Other, true);
                        }
                    }
                    let mut reader =
                        Reader { said: self.said, settings: self.settings, budget: self.budget, gaps: self.gaps };
                    reader.read(&archive.data, &container, member, self.findings)
                }
            };
            let name = fact.filename.clone();
            self.findings.files.push(fact);
            if let Some((format, data)) = inner {
                self.enter(format, Cow::Owned(data), [container, vec![name]].concat());
            }
        }
    }

    /// Opens an archive, whose members come next.
    fn enter(&mut self, format: Format, data: Cow<'a, [u8]>, container: Vec<String>) {
        if self.open.len() >= self.settings.archive_depth {
            let detail = format!("more than {} levels", self.settings.archive_depth);
            return (self.findings.note)("archive-too-deep", detail);
        }
        let most = self.budget.members;
        let outer = container.last().map_or("", String::as_str);
        let (mut members, stated) = match format {
            Format::SevenZip => {
                let mut reader =
                    Reader { said: self.said, settings: self.settings, budget: self.budget, gaps: self.gaps };
                sevenzip::read(&data, &container, most, &mut reader, self.findings)
            }
            Format::Zip => self.listed(zip::list(&data, most)),
            Format::Cab => {
                let mut reader =
                    Reader { said: self.said, settings: self.settings, budget: self.budget, gaps: self.gaps };
                cab::read(&data, &container, most, &mut reader, self.findings)
            }
            Format::Rar => self.listed(rar::list(&data, most)),
            Format::Iso => self.listed(iso::list(&data, most)),
            Format::Arj => self.listed(arj::list(&data, most)),
            Format::Lzh => self.listed(lzh::list(&data, most)),
            Format::Ace => self.listed(ace::list(&data, most)),
            Format::Tar => self.listed(tar::list(&data, most)),
            Format::Tnef => self.listed(tnef::list(&data, most)),
            Format::Udf => {
                let detail = "a disc image of UDF alone".to_owned();
                self.listed(Listing { anomalies: vec![("archive-not-opened", detail)], ..Listing::default() })
            }
            Format::Compressed(method) => self.listed(compressed::list(&data, outer, method)),
        };
        if stated > most || members.len() > most {
            (self.findings.note)("archive-too-many-members", format!("{stated} members, of which {most} listed"));
            members.truncate(most);
        }
        self.budget.members -= members.len();
        self.open.push(Archive { unread: data.len(), data, container, members: members.into_iter() });
    }

    /// Tells what a listing found, and hands on its members.
    fn listed(&mut self, listing: Listing) -> (Vec<Entry>, usize) {
        for (name, detail) in listing.anomalies {
            match name {
                LISTING_ENCRYPTED => self.findings.listing_is_encrypted(),
                name => (self.findings.note)(name, detail),
            }
        }
        (listing.members.into_iter().map(Entry::Packed).collect(), listing.stated)
    }
}

/// The archives that are opened.
#[derive(Clone, Copy, Debug)]
enum Format {
    Zip,
    Tar,
    SevenZip,
    Tnef,
    Cab,
    Rar,
    Iso,
    Arj,
    Lzh,
    Ace,
    /// Not opened: a file system, of which mailed images without ISO 9660 beside it are rare.
    Udf,
    /// One file.
    Compressed(Method),
}

impl Format {
    /// The format of a file, from what it is; a program may have an archive behind it (self-extracting), and so may a
    /// picture that hides one. Compound files hold whole documents in pieces, which are no archive of theirs.
    fn of(kind: FileKind, content: &[u8]) -> Option<Self> {
        match kind.0 {
            "zip" | "ooxml" | "odf" | "jar" => Some(Self::Zip),
            "tar" => Some(Self::Tar),
            "7z" => Some(Self::SevenZip),
            "tnef" => Some(Self::Tnef),
            "cab" => Some(Self::Cab),
            "rar" => Some(Self::Rar),
            "iso" => Some(Self::Iso),
            "arj" => Some(Self::Arj),
            "lzh" => Some(Self::Lzh),
            "ace" => Some(Self::Ace),
            "udf" => Some(Self::Udf),
            "gzip" => Some(Self::Compressed(Method::Gzip)),
            "bzip2" => Some(Self::Compressed(Method::Bzip2)),
            "xz" => Some(Self::Compressed(Method::Xz)),
            "zstd" => Some(Self::Compressed(Method::Zstd)),
            "ole" | "msi" | "onenote" => None,
            _ if zip::ends_as_zip(content) => Some(Self::Zip),
            _ => None,
        }
    }
}

/// An archive being gone through.
struct Archive<'a> {
    data: Cow<'a, [u8]>,
    container: Vec<String>,
    members: std::vec::IntoIter<Entry>,
    /// Packed bytes not yet read: members that share theirs would make a small archive unpack for hours. Links are stored, so
    /// what they take is bounded by the bytes to unpack.
    unread: usize,
}

/// An archive within: what it is, and its bytes.
type Inner = Option<(Format, Vec<u8>)>;

/// A member of an open archive.
enum Entry {
    Packed(Member),
    /// Read already, from an archive that has to be read front to back.
    Read(Box<FileFact>, Inner),
}

/// What an archive says of itself.
#[derive(Debug, Default)]
struct Listing {
    members: Vec<Member>,
    /// How many members it says it has.
    stated: usize,
    anomalies: Vec<(&'static str, String)>,
}

#[cfg(test)]
mod tests;
