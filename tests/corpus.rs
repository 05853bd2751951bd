//! The inputs kept by the fuzz targets, through the same code: what was found once is looked at with every test run,
//! on a stable toolchain.

#[path = "fuzz/targets/mod.rs"]
mod targets;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs every file of a target's corpus; names the files that fail.
fn replay(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a folder that can be listed").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{}: no inputs are kept", folder.display());
    target(b"");
    let failed: Vec<_> = files
        .iter()
        .filter(|file| {
            let input = fs::read(file).expect("a file that can be read");
            catch_unwind(AssertUnwindSafe(|| target(&input))).is_err()
        })
        .collect();
    assert!(failed.is_empty(), "{} of {} inputs fail: {failed:?}", failed.len(), files.len());
}

macro_rules! replays {
    ($($target:ident),+ $(,)?) => {
        $(#[test] fn $target() { replay(stringify!($target), targets::$target::run); })+

        /// A target without a test of its own would rot.
        #[test]
        fn every_target_is_replayed() {
            let manifest = include_str!("fuzz/Cargo.toml");
            let mut declared: Vec<_> = manifest.lines().filter_map(|line| line.strip_prefix("path = \"bins/")).collect();
            declared.sort_unstable();
            let mut replayed = vec![$(concat!(stringify!($target), ".rs\"")),+];
            replayed.sort_unstable();
            assert_eq!(declared, replayed);
        }
    };
}

replays!(archive, capture_file, dns, eve, frames, mail, rules, smtp, smtp_session, tcp_stream, tls);

/// The README tells of the long runs what the ledger has.
#[test]
fn the_table_of_long_runs_is_made_from_their_ledger() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/ledger.py");
    let output = Command::new("python3").arg(script).arg("table").output().expect("python3 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).expect("a table is text");
    let readme = include_str!("fuzz/README.md");
    let kept = readme.split_once("made by ledger.py: -->\n").and_then(|(_, after)| after.split_once("<!-- until here"));
    assert_eq!(kept.map(|(kept, _)| kept), Some(table.as_str()), "python3 tests/fuzz/ledger.py write");
}
