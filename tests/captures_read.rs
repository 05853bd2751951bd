//! Every trace of the public test captures is read to its end, and agrees with libpcap packet by packet.
//!
//! The folder is named by `MAILSNARE_CAPTURES`; without it, `../shared/captures` beside this project is tried.

use std::fs;
use std::path::{Path, PathBuf};

use mailsnare::capture::{FindingKind, ReplayOptions, ReplaySource, Source, Step};
use serde_json::Value;

#[test]
fn every_public_trace_is_read_as_libpcap_reads_it() {
    let Some(folder) = captures() else { return };
    let mut read = 0;
    let mut differences = Vec::new();
    for case in cases(&folder) {
        let Some(trace) = files(&case).into_iter().find(|f| f.file_stem().is_some_and(|stem| stem == "trace")) else {
            continue;
        };
        let expected: Value = serde_json::from_slice(&fs::read(case.join("expected.json")).unwrap()).unwrap();
        if let Err(difference) = compare(&trace, &expected) {
            differences.push(format!("{}: {difference}", case.display()));
        }
        read += 1;
    }
    assert!(read > 100, "only {read} traces in {}", folder.display());
    assert!(differences.is_empty(), "{} of {read} differ:\n{}", differences.len(), differences.join("\n"));
}

/// Reads a trace with the replay and with libpcap side by side, then compares the number of packets.
fn compare(trace: &Path, expected: &Value) -> Result<(), String> {
    let allowed: Vec<u64> =
        ["packets", "packets_libpcap"].iter().filter_map(|k| expected["counts"][k].as_u64()).collect();
    let mut replay = match ReplaySource::open(&[trace.to_owned()], &ReplayOptions::default()) {
        Ok(replay) => replay,
        Err(error) if may_fail(expected) && allowed.contains(&0) => {
            println!("{error}");
            return Ok(());
        }
        Err(error) => return Err(error.to_string()),
    };
    let mut libpcap = pcap::Capture::from_file_with_precision(trace, pcap::Precision::Nano).ok();
    let mut count = 0;
    while let Step::Packet(ours) = replay.next().map_err(|e| e.to_string())? {
        count += 1;
        let Some(theirs) = libpcap.as_mut().and_then(|l| l.next_packet().ok()) else {
            libpcap = None;
            continue;
        };
        // libpcap cuts packets to the snapshot length that the file's header states.
        if !ours.data.starts_with(theirs.data) || theirs.data.len() != theirs.header.caplen as usize {
            return Err(format!("the bytes of packet {count} differ"));
        }
        let time = theirs.header.ts.tv_sec * 1_000_000_000 + theirs.header.ts.tv_usec;
        // libpcap reads a pcap file's seconds as signed, against the draft; and gives Simple Packet Blocks, which
        // have no time, the year 1970, where we stay at the time of the packet before.
        let after_2038 = time + (1_000_000_000 << 32);
        if ![time, after_2038].contains(&ours.time.as_nanos()) && time != 0 {
            return Err(format!("the time of packet {count} is {} and not {time}", ours.time.as_nanos()));
        }
        if ours.wire_len != theirs.header.len.max(ours.data.len() as u32) || ours.number != count {
            return Err(format!("length or number of packet {count} differ"));
        }
    }
    for finding in replay.findings() {
        println!("{:?} {finding}", finding.kind);
    }
    let damaged = replay.findings().iter().any(|f| f.kind == FindingKind::Damaged);
    if damaged != replay.damaged() || damaged && !may_fail(expected) {
        return Err(format!("damaged: {:?}", replay.findings()));
    }
    if !allowed.is_empty() && !allowed.contains(&count) {
        return Err(format!("{count} packets, expected {allowed:?}"));
    }
    Ok(())
}

/// Whether the case allows exit code 1.
fn may_fail(expected: &Value) -> bool {
    expected["exit_codes"].as_array().is_some_and(|codes| codes.iter().any(|code| code == 1))
}

fn captures() -> Option<PathBuf> {
    let named = std::env::var_os("MAILSNARE_CAPTURES").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/captures"));
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no folder {}; name one in MAILSNARE_CAPTURES", folder.display());
    None
}

fn cases(folder: &Path) -> Vec<PathBuf> {
    let sets = ["core", "more", "decode", "robust"];
    let folders = sets.iter().flat_map(|set| files(&folder.join(set)));
    folders.filter(|case| case.join("expected.json").is_file()).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}
