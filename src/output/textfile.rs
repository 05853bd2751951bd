//! A file that its readers never see half-written, for node_exporter's textfile collector.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Whether [`replace`] could put a file there, as far as that shows beforehand.
///
/// # Errors
/// Something that is no file has this name: a rename would do away with a device, as `/dev/null`, for all who use it.
pub fn check(path: &Path) -> Result<(), TextfileError> {
    // A link to a file gives way to a file, as it always did.
    match fs::metadata(path) {
        Ok(meta) if !meta.is_file() => {
            Err(TextfileError { path: path.to_owned(), source: io::Error::other("this is no file; it was left alone") })
        }
        _ => Ok(()),
    }
}

/// Puts `bytes` in the place of the file: written beside it under another name, then renamed. All may read it, as
/// node_exporter does under a user of its own.
///
/// # Errors
/// It cannot be written, or something else has its name; what was there before stays.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), TextfileError> {
    check(path)?;
    let failed = |source| TextfileError { path: path.to_owned(), source };
    let name = path.file_name().ok_or_else(|| failed(io::Error::other("this names no file")))?;
    // The collector reads `*.prom` only.
    let beside = path.with_file_name(format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id()));
    let done = write(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    done.map_err(|source| {
        let _ = fs::remove_file(&beside);
        failed(source)
    })
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Why the file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the metrics to {}: {source}; see that its folder exists and may be written to", path.display())]
pub struct TextfileError {
    path: PathBuf,
    source: io::Error,
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mailsnare.prom");
        replace(&path, b"one 1\n").unwrap();
        replace(&path, b"two 2\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two 2\n");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o444, 0o444);
    }

    #[test]
    fn what_cannot_be_written_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let error = replace(&dir.path().join("no/m.prom"), b"x").unwrap_err().to_string();
        assert!(error.starts_with("cannot write the metrics to ") && error.contains("m.prom: No such file"), "{error}");
        fs::create_dir(dir.path().join("m.prom")).unwrap();
        replace(&dir.path().join("m.prom"), b"x").unwrap_err();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays");
    }

    /// As `/dev/null` and `/dev/stdout` are, which root could do away with for the whole machine.
    #[test]
    fn what_is_no_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (socket, link) = (dir.path().join("socket"), dir.path().join("link"));
        let _socket = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        for path in [&socket, &link] {
            let error = replace(path, b"x").unwrap_err().to_string();
            assert!(error.contains("this is no file; it was left alone"), "{error}");
            assert!(!fs::symlink_metadata(path).unwrap().is_file());
        }
        let (elsewhere, to_a_file) = (dir.path().join("elsewhere"), dir.path().join("m.prom"));
        fs::write(&elsewhere, "old").unwrap();
        std::os::unix::fs::symlink(&elsewhere, &to_a_file).unwrap();
        replace(&to_a_file, b"new").unwrap();
        assert_eq!((fs::read(&to_a_file).unwrap(), fs::read(&elsewhere).unwrap()), (b"new".to_vec(), b"old".to_vec()));
    }
}
