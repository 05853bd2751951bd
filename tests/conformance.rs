//! Public captures of other projects, against what those projects say of them: `compare.py` beside the captures runs
//! the binary over all of them and names each difference.
//!
//! The captures are no part of this repository. `MAILSNARE_CAPTURES` names their folder (default:
//! `../shared/captures`); where it is absent, the tests say that they are skipped.

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Differences that are understood and stay, each with its reason.
const EXPLAINED: [(&str, &str); 2] = [
    (
        "decode/suricata-decode-too-small",
        "the frame ends four bytes into its UDP header; Suricata logs a flow from what is there, we count a damaged packet",
    ),
    (
        "decode/zeek-tunnels-gre-aruba-amsdu",
        "several 802.11 frames in one GRE packet (A-MSDU), sent by one vendor's access points; not decoded",
    ),
];

#[test]
fn core_agrees_and_robust_ends_by_itself() {
    let Some(outcome) = compare("core,robust") else { return };
    assert!(outcome.success, "{}", outcome.text);
    assert_eq!(outcome.differing, BTreeSet::new(), "{}", outcome.text);
}

#[test]
fn what_differs_in_more_and_decode_is_explained() {
    let Some(outcome) = compare("more,decode") else { return };
    let explained: BTreeSet<String> = EXPLAINED.iter().map(|(case, _)| (*case).to_owned()).collect();
    let unexplained: Vec<_> = outcome.differing.difference(&explained).collect();
    assert!(unexplained.is_empty(), "{unexplained:?}\n{}", outcome.text);
    let mended: Vec<_> = explained.difference(&outcome.differing).collect();
    assert!(mended.is_empty(), "no longer differ, so strike them off the list: {mended:?}\n{}", outcome.text);
    assert_eq!(outcome.success, explained.is_empty(), "{}", outcome.text);
}

struct Outcome {
    success: bool,
    differing: BTreeSet<String>,
    text: String,
}

/// Runs the script over some sets; none where there is nothing to run.
fn compare(sets: &str) -> Option<Outcome> {
    let folder = env::var_os("MAILSNARE_CAPTURES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/captures"), PathBuf::from);
    let script = folder.join("compare.py");
    if !script.exists() {
        eprintln!(
            "skipped: conformance with {sets}: no {}; MAILSNARE_CAPTURES names the folder of public captures",
            script.display()
        );
        return None;
    }
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
