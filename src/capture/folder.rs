//! The files in a folder and the folders below it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::CaptureError;
use crate::model::limits;

/// What a folder holds.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Regular files, in the order of their paths.
    pub(super) files: Vec<PathBuf>,
    /// What was passed over, and why (a clause).
    pub(super) skipped: Vec<(PathBuf, String)>,
    /// What could not be looked at, and why: there may be captures in it.
    pub(super) unread: Vec<(PathBuf, String)>,
}

/// Lists a folder. Links to files are followed, links to folders are not, so that no loop is possible; folders
/// within folders are searched to a bounded depth.
pub(super) fn list(root: &Path) -> Result<Listing, CaptureError> {
    let mut listing = Listing::default();
    let mut folders = vec![(root.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let entries = match entries(&folder) {
            Ok(entries) => entries,
            Err(error) if depth == 0 => return Err(CaptureError::from_io(name(root), error)),
            Err(error) => {
                listing.unread.push((folder, format!("the folder could not be read ({error})")));
                continue;
            }
        };
        for path in entries {
            match kind(&path) {
                Ok(Kind::File) => listing.files.push(path),
                Ok(Kind::Folder) if depth < limits::CAPTURE_FOLDER_DEPTH => folders.push((path, depth + 1)),
                Ok(Kind::Folder) => listing.unread.push((path, "the folder lies too deep".to_owned())),
                Ok(Kind::Other(what)) => listing.skipped.push((path, what.to_owned())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    listing.skipped.push((path, "a link to nothing".to_owned()));
                }
                Err(error) => listing.unread.push((path, format!("it could not be examined ({error})"))),
            }
            if listing.files.len() + listing.skipped.len() + listing.unread.len() > limits::CAPTURE_FILES {
                return Err(CaptureError::TooManyFiles { path: name(root) });
            }
        }
    }
    listing.files.sort();
    listing.skipped.sort();
    listing.unread.sort();
    Ok(listing)
}

enum Kind {
    File,
    Folder,
    Other(&'static str),
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?.map(|entry| entry.map(|e| e.path())).collect()
}

fn kind(path: &Path) -> io::Result<Kind> {
    let own = fs::symlink_metadata(path)?.file_type();
    let real = fs::metadata(path)?.file_type();
    Ok(if real.is_file() {
        Kind::File
    } else if real.is_dir() && own.is_symlink() {
        Kind::Other("a link to a folder, which is not followed")
    } else if real.is_dir() {
        Kind::Folder
    } else {
        Kind::Other("a device, pipe or socket")
    })
}

/// A path as people read it, on one line; not for opening it again.
pub(super) fn name(path: &Path) -> String {
    let name = path.to_string_lossy();
    if !name.contains(char::is_control) {
        return name.into_owned();
    }
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    name.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn folders_are_searched_and_links_do_not_loop() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("b/c");
        fs::create_dir_all(&inner).unwrap();
        for file in ["z.pcap", "a.pcap", "b/m.pcap", "b/c/n.pcap"] {
            fs::write(root.path().join(file), b"x").unwrap();
        }
        symlink(root.path(), inner.join("loop")).unwrap();
        symlink(root.path().join("a.pcap"), inner.join("linked.pcap")).unwrap();
        symlink("nowhere", inner.join("dangling")).unwrap();
        let listing = list(root.path()).unwrap();
        let found: Vec<_> = listing.files.iter().map(|f| name(f.strip_prefix(root.path()).unwrap())).collect();
        assert_eq!(found, ["a.pcap", "b/c/linked.pcap", "b/c/n.pcap", "b/m.pcap", "z.pcap"]);
        assert_eq!(listing.skipped.len(), 2, "{:?}", listing.skipped);
    }

    #[test]
    fn a_name_is_one_line_and_moves_no_cursor() {
        let path = Path::new("day \u{1b}[2J\n/Zoë.pcap");
        assert_eq!(name(path), "day \\u{1b}[2J\\n/Zoë.pcap");
    }

    #[test]
    fn depth_is_bounded() {
        let root = tempfile::tempdir().unwrap();
        let mut path = root.path().to_owned();
        for _ in 0..limits::CAPTURE_FOLDER_DEPTH + 1 {
            path.push("d");
        }
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("deep.pcap"), b"x").unwrap();
        let listing = list(root.path()).unwrap();
        assert!(listing.files.is_empty());
        assert!(listing.unread[0].1.contains("too deep"));
    }
}
