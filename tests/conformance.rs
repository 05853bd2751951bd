//! Public captures of other projects, against what those projects say of them: `compare.py` beside the captures runs
//! the binary over all of them and names each difference.
//!
//! `conformance_explained.json` has the differences that are understood and stay, each with its witness;
//! `conformance_table.py` makes CONFORMANCE.md of them and of a run, and sees also the cases that `compare.py` leaves out.
//!
//! The captures are no part of this repository. `MAILSNARE_CAPTURES` names their folder (default:
//! `../shared/captures`); where it is absent, the tests say that they are skipped.

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn core_agrees_and_robust_ends_by_itself() {
    let Some(outcome) = compare("core,robust") else { return };
    assert!(outcome.success, "{}", outcome.text);
    assert_eq!(outcome.differing, BTreeSet::new(), "{}", outcome.text);
}

#[test]
fn what_differs_in_more_and_decode_is_explained() {
    let Some(outcome) = compare("more,decode") else { return };
    let unexplained: Vec<_> = outcome.differing.difference(&explained()).cloned().collect();
    assert!(unexplained.is_empty(), "{unexplained:?}\n{}", outcome.text);
}

/// Also fails when an explanation is no longer needed.
#[test]
fn the_table_finds_nothing_unexplained_and_is_the_one_that_is_kept() {
    let Some(folder) = captures() else { return };
    let output = Command::new("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance_table.py"))
        .arg("--captures")
        .arg(folder)
        .args(["--binary", env!("CARGO_BIN_EXE_mailsnare")])
        .output()
        .expect("python3 makes the table");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let kept = include_str!("CONFORMANCE.md");
    assert_eq!(String::from_utf8_lossy(&output.stdout), kept, "tests/conformance_table.py says how to make it anew");
}

/// The cases whose difference is understood.
fn explained() -> BTreeSet<String> {
    let entries: serde_json::Value = serde_json::from_str(include_str!("conformance_explained.json")).expect("JSON");
    let entries = entries.as_array().expect("a list").iter();
    entries.map(|entry| entry["case"].as_str().expect("a case").to_owned()).collect()
}

struct Outcome {
    success: bool,
    differing: BTreeSet<String>,
    text: String,
}

/// The folder of captures; none where there is nothing to run.
fn captures() -> Option<PathBuf> {
    let folder = env::var_os("MAILSNARE_CAPTURES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/captures"), PathBuf::from);
    if folder.join("compare.py").exists() {
        return Some(folder);
    }
    eprintln!(
        "skipped: conformance: no compare.py in {}; MAILSNARE_CAPTURES names the folder of public captures",
        folder.display()
    );
    None
}

/// Runs the script over some sets.
fn compare(sets: &str) -> Option<Outcome> {
    let script = captures()?.join("compare.py");
    let output = Command::new("python3")
        .arg(&script)
        .args(["--binary", env!("CARGO_BIN_EXE_mailsnare"), "--set", sets])
        .output()
        .expect("python3 runs the comparison");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    let case = |line: &str| Some(line.strip_prefix("DIFFERS ")?.split_once(':')?.0.to_owned());
    let differing = text.lines().filter_map(case).collect();
    // 0: all agree, 1: some differ; anything else is no comparison.
    assert!(matches!(output.status.code(), Some(0 | 1)), "{text}");
    assert!(text.contains(" agree, "), "nothing was compared: {text}");
    eprintln!("{text}");
    Some(Outcome { success: output.status.success(), differing, text })
}
