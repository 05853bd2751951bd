//! Attachments and archive members to a folder (`--extract`): DIR/SHA256, readable by the owner alone.
//!
//! What is written is live malware as often as not. So a file's name is never the sender's, nothing that exists is
//! written over, no link is followed, and nothing is ever executable.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::model::limits::{EXTRACT_FILE_BYTES, EXTRACT_TOTAL_BYTES};
use crate::model::mail::FileFact;
use crate::output::eve::types::Hex;

/// Writes files under the SHA-256 of what is written.
#[derive(Debug)]
pub struct Extractor {
    dir: PathBuf,
    file_cap: u64,
    total_cap: u64,
    stats: ExtractStats,
    first_error: Option<String>,
    last_error: Option<String>,
}

/// What became of the files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtractStats {
    /// Files written, and their bytes.
    pub written: u64,
    pub bytes: u64,
    /// Files that were there already.
    pub known: u64,
    /// Files larger than one may be.
    pub too_large: u64,
    /// Files that no longer fitted into what all may take together.
    pub over_total: u64,
    /// Files that could not be written.
    pub failed: u64,
}

impl ExtractStats {
    /// Files wanted and not written.
    pub fn lost(&self) -> u64 {
        self.too_large + self.over_total + self.failed
    }
}

impl Extractor {
    /// Writes into `dir`, which is made when it is missing.
    pub fn new(dir: &Path) -> Result<Self, ExtractError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|source| ExtractError { dir: dir.to_owned(), source })?;
        Ok(Self {
            dir: dir.to_owned(),
            file_cap: EXTRACT_FILE_BYTES,
            total_cap: EXTRACT_TOTAL_BYTES,
            stats: ExtractStats::default(),
            first_error: None,
            last_error: None,
        })
    }

    /// The same with other caps: bytes of one file, and of all files of this run together.
    #[must_use]
    pub fn with_caps(self, file_cap: u64, total_cap: u64) -> Self {
        Self { file_cap, total_cap, ..self }
    }

    /// Writes the file's content, when it was kept. True when it is in the folder afterwards (EVE's `stored`).
    pub fn store(&mut self, file: &FileFact) -> bool {
        let Some(content) = &file.content else { return false };
        let size = content.len() as u64;
        if size > self.file_cap {
            self.stats.too_large += 1;
            return false;
        }
        // Always of the bytes at hand: the hash in the findings may be of more than was kept, or not wanted at all.
        let path = self.dir.join(Hex(&Sha256::digest(content)).to_string());
        match self.put(&path, content) {
            Ok(Stored::Written) => {
                self.stats.written += 1;
                self.stats.bytes += size;
                true
            }
            Ok(Stored::Known) => {
                self.stats.known += 1;
                true
            }
            Ok(Stored::NoRoom) => {
                self.stats.over_total += 1;
                false
            }
            Err(error) => {
                self.stats.failed += 1;
                let sentence = format!("cannot write {}: {error}", path.display());
                self.first_error.get_or_insert_with(|| sentence.clone());
                self.last_error = Some(sentence);
                false
            }
        }
    }

    /// What was written and what was not.
    pub fn stats(&self) -> ExtractStats {
        self.stats
    }

    /// What went wrong first, as a sentence.
    pub fn first_error(&self) -> Option<&str> {
        self.first_error.as_deref()
    }

    /// What went wrong last.
    pub fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    fn put(&self, path: &Path, content: &[u8]) -> io::Result<Stored> {
        // Looked at without following: a link planted under the name is not the file.
        match fs::symlink_metadata(path) {
            Ok(meta) if meta.is_file() && meta.len() == content.len() as u64 => return Ok(Stored::Known),
            Ok(_) => return Err(io::Error::other("something else has this name; it was left alone")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        if content.len() as u64 > self.total_cap.saturating_sub(self.stats.bytes) {
            return Ok(Stored::NoRoom);
        }
        // `create_new` fails on anything that exists, links included (O_EXCL).
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        if let Err(error) = file.write_all(content) {
            // A part of it would pass for the whole.
            drop::<File>(file);
            let _ = fs::remove_file(path);
            return Err(error);
        }
        Ok(Stored::Written)
    }
}

enum Stored {
    Written,
    Known,
    NoRoom,
}

/// Why nothing can be extracted.
#[derive(Debug, thiserror::Error)]
#[error("cannot make the folder {} for extracted files: {source}; choose another with --extract", .dir.display())]
pub struct ExtractError {
    dir: PathBuf,
    source: io::Error,
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// `sha256sum` of the five bytes `hello`.
    const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    #[test]
    fn a_file_is_named_by_its_hash_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("a/b");
        let mut extractor = Extractor::new(&inner).unwrap();
        let mut file = fact(b"hello");
        file.filename = "../../etc/passwd".into();
        assert!(extractor.store(&file));
        let meta = fs::metadata(inner.join(HELLO)).unwrap();
        assert_eq!((meta.permissions().mode() & 0o777, meta.len()), (0o600, 5));
        assert_eq!(fs::metadata(&inner).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(&inner).unwrap().count(), 1);
    }

    #[test]
    fn the_same_content_is_written_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut extractor = Extractor::new(dir.path()).unwrap();
        assert!(extractor.store(&fact(b"hello")) && extractor.store(&fact(b"hello")));
        assert_eq!(extractor.stats(), ExtractStats { written: 1, bytes: 5, known: 1, ..ExtractStats::default() });
    }

    #[test]
    fn a_wrong_or_partial_hash_in_the_findings_does_not_name_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut extractor = Extractor::new(dir.path()).unwrap();
        assert!(extractor.store(&FileFact { sha256: Some([0; 32]), truncated: true, ..fact(b"hello") }));
        assert!(dir.path().join(HELLO).exists());
    }

    #[test]
    fn a_link_is_not_followed_and_nothing_is_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        fs::write(&victim, "keep").unwrap();
        symlink(&victim, dir.path().join(HELLO)).unwrap();
        let mut extractor = Extractor::new(dir.path()).unwrap();
        assert!(!extractor.store(&fact(b"hello")));
        fs::remove_file(dir.path().join(HELLO)).unwrap();
        symlink(dir.path().join("dangling"), dir.path().join(HELLO)).unwrap();
        assert!(!extractor.store(&fact(b"hello")));
        fs::remove_file(dir.path().join(HELLO)).unwrap();
        fs::write(dir.path().join(HELLO), "half").unwrap();
        assert!(!extractor.store(&fact(b"hello")));
        assert_eq!(fs::read_to_string(&victim).unwrap(), "keep");
        assert_eq!(fs::read_to_string(dir.path().join(HELLO)).unwrap(), "half");
        assert!(!dir.path().join("dangling").exists());
        assert_eq!(extractor.stats().failed, 3);
        assert!(extractor.first_error().unwrap().contains("something else has this name"));
    }

    #[test]
    fn caps_hold_and_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let mut extractor = Extractor::new(dir.path()).unwrap().with_caps(5, 8);
        assert!(!extractor.store(&fact(b"hello!")));
        assert!(extractor.store(&fact(b"hello")));
        assert!(!extractor.store(&fact(b"four")));
        assert!(extractor.store(&fact(b"abc")));
        assert!(!extractor.store(&FileFact::default()), "content that was not kept is not lost either");
        let expected = ExtractStats { written: 2, bytes: 8, too_large: 1, over_total: 1, ..ExtractStats::default() };
        assert_eq!((extractor.stats(), extractor.stats().lost()), (expected, 2));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_told() {
        let error = Extractor::new(Path::new("/dev/null/x")).unwrap_err().to_string();
        assert!(error.starts_with("cannot make the folder /dev/null/x for extracted files: "), "{error}");
    }

    fn fact(content: &[u8]) -> FileFact {
        FileFact { content: Some(content.to_vec()), size: content.len() as u64, ..FileFact::default() }
    }
}
