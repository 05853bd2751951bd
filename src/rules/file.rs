//! Tests on files: all of a test's parts hold for one and the same attachment or archive member.

use super::matcher::NumberTest;
use super::text::{Text, TextTest};
use crate::model::mail::FileFact;
use crate::model::settings::HashKind;

/// Which files are asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Files of the message itself.
    Attachment,
    /// Files within archives.
    Member,
    /// Both.
    File,
}

impl Scope {
    pub const ALL: [Self; 3] = [Self::Attachment, Self::Member, Self::File];

    /// Its name in rules.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Attachment => "attachment",
            Self::Member => "member",
            Self::File => "file",
        }
    }

    fn covers(self, file: &FileFact) -> bool {
        match self {
            Self::Attachment => file.container.is_empty(),
            Self::Member => !file.container.is_empty(),
            Self::File => true,
        }
    }
}

/// What a file must be.
#[derive(Clone, Debug)]
pub(super) struct FileTest {
    pub scope: Scope,
    /// The name of an archive it sits in, at any depth.
    pub container: Option<TextTest>,
    /// In the rule's order.
    pub parts: Vec<FilePart>,
}

/// One property of a file.
#[derive(Clone, Debug)]
pub(super) enum FilePart {
    Name(TextTest),
    /// The type found from the bytes.
    Type(TextTest),
    Size(NumberTest),
    /// Any of these, sorted.
    Md5(Vec<[u8; 16]>),
    Sha1(Vec<[u8; 20]>),
    Sha256(Vec<[u8; 32]>),
    Encrypted(bool),
}

/// A file made ready for tests.
pub(super) struct FileTexts<'a> {
    fact: &'a FileFact,
    name: Text<'a>,
    kind: Text<'a>,
    containers: Vec<Text<'a>>,
}

impl<'a> FileTexts<'a> {
    pub fn new(fact: &'a FileFact) -> Self {
        Self {
            fact,
            name: Text::plain(fact.filename.as_bytes()),
            kind: Text::plain(fact.kind.0.as_bytes()),
            containers: fact.container.iter().map(|name| Text::plain(name.as_bytes())).collect(),
        }
    }
}

impl FileTest {
    /// The first file for which all holds.
    pub fn first<'f, 'a>(&self, files: &'f [FileTexts<'a>]) -> Option<&'f FileTexts<'a>> {
        files.iter().find(|file| self.holds(file))
    }

    /// Hashes it asks for.
    pub fn hashes(&self) -> impl Iterator<Item = HashKind> {
        self.parts.iter().filter_map(|part| match part {
            FilePart::Md5(_) => Some(HashKind::Md5),
            FilePart::Sha1(_) => Some(HashKind::Sha1),
            FilePart::Sha256(_) => Some(HashKind::Sha256),
            _ => None,
        })
    }

    fn holds(&self, file: &FileTexts<'_>) -> bool {
        self.scope.covers(file.fact)
            && self.parts.iter().all(|part| part.holds(file))
            && self.container.as_ref().is_none_or(|test| file.containers.iter().any(|name| test.holds(name)))
    }

    /// Says what matched: a line for each part, each with the file it is about.
    pub fn explain(&self, files: &[FileTexts<'_>], out: &mut Vec<String>) {
        let Some(file) = self.first(files) else { return };
        let within = file.containers.last().map(|name| format!(" in {}", name.quoted(0..0))).unwrap_or_default();
        let scope = self.scope.name();
        if self.parts.is_empty() {
            out.push(format!("{scope}.name {}{within}", file.name.quoted(0..0)));
        }
        for part in &self.parts {
            let said = match part {
                FilePart::Name(test) => {
                    let range = test.find(&file.name).unwrap_or_default();
                    format!("{scope}.name {}{within}", file.name.quoted(range))
                }
                _ => format!("{scope}.{} of {}{within}", part.shown(file.fact), file.name.quoted(0..0)),
            };
            if !out.contains(&said) {
                out.push(said);
            }
        }
    }
}

impl FilePart {
    fn holds(&self, file: &FileTexts<'_>) -> bool {
        match self {
            Self::Name(test) => test.holds(&file.name),
            Self::Type(test) => test.holds(&file.kind),
            Self::Size(test) => test.holds(file.fact.size),
            Self::Md5(known) => file.fact.md5.is_some_and(|hash| known.binary_search(&hash).is_ok()),
            Self::Sha1(known) => file.fact.sha1.is_some_and(|hash| known.binary_search(&hash).is_ok()),
            Self::Sha256(known) => file.fact.sha256.is_some_and(|hash| known.binary_search(&hash).is_ok()),
            Self::Encrypted(wanted) => file.fact.encrypted == *wanted,
        }
    }

    fn shown(&self, fact: &FileFact) -> String {
        match self {
            Self::Name(_) => format!("name {:?}", fact.filename),
            Self::Type(_) => format!("type {}", fact.kind.0),
            Self::Size(_) => format!("size {}", fact.size),
            Self::Md5(_) => format!("md5 {}", hex(fact.md5.as_ref().map_or(&[], |hash| hash))),
            Self::Sha1(_) => format!("sha1 {}", hex(fact.sha1.as_ref().map_or(&[], |hash| hash))),
            Self::Sha256(_) => format!("sha256 {}", hex(fact.sha256.as_ref().map_or(&[], |hash| hash))),
            Self::Encrypted(_) => format!("encrypted {}", fact.encrypted),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
