//! Captures of incidents, byte by byte.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

const WORM: [u8; 4] = [10, 0, 0, 5];
const OTHER: [u8; 4] = [10, 0, 0, 6];
const NAME: &str = "10.0.0.5-20031031T090525Z.pcap";
/// 2003-10-31 09:05:25 UTC, by `date -d @1067591125 -u`.
const SINCE: i64 = 1_067_591_125;

#[test]
fn a_capture_holds_what_the_host_did_before_and_after_it_was_suspected_and_nothing_of_others() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = EvidenceWriter::new(dir.path()).unwrap();
    put(&mut writer, at(1), &packet(WORM, b"before"));
    put(&mut writer, at(2), &packet(OTHER, b"other"));
    writer.incident(&incident(false));
    put(&mut writer, at(3), &packet(WORM, b"after"));
    put(&mut writer, at(4), &packet(OTHER, b"other"));
    writer.incident(&incident(true));
    put(&mut writer, at(5), &packet(WORM, b"calm"));
    writer.flush();
    let meta = fs::metadata(dir.path().join(NAME)).unwrap();
    assert_eq!(meta.permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    let expected: [&[u8]; 6] = [
        // Words in this order: magic, version, zone, accuracy, longest packet, link type.
        &[0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0],
        // 1_067_591_126 is 0x3fa225d6: seconds, nanoseconds, captured, on the wire.
        &[0xd6, 0x25, 0xa2, 0x3f, 7, 0, 0, 0, 6, 0, 0, 0, 100, 0, 0, 0],
        b"before",
        &[0xd8, 0x25, 0xa2, 0x3f, 7, 0, 0, 0, 5, 0, 0, 0, 100, 0, 0, 0],
        b"after",
        b"",
    ];
    assert_eq!(fs::read(dir.path().join(NAME)).unwrap(), expected.concat());
    let stats = EvidenceStats { files: 1, packets: 2, bytes: meta.len(), ..EvidenceStats::default() };
    assert_eq!(writer.stats(), stats);
}

/// An office host mails over both families; the incident names it by one of its addresses.
#[test]
fn packets_of_all_addresses_of_the_host_are_its_evidence() {
    const SECOND: [u8; 4] = [10, 0, 0, 7];
    let dir = tempfile::tempdir().unwrap();
    let mut writer = EvidenceWriter::new(dir.path()).unwrap();
    put(&mut writer, at(1), &packet(SECOND, b"before"));
    let whole = |closed| Incident { other_addresses: vec![SECOND.into()], ..incident(closed) };
    writer.incident(&whole(false));
    let one = |address| if address == IpAddr::from(SECOND) { WORM.into() } else { address };
    writer.packet(at(2), &packet(SECOND, b"second"), one);
    writer.packet(at(3), &KeptPacket { hosts: [WORM.into(), SECOND.into()], ..packet(WORM, b"within") }, one);
    writer.packet(at(4), &packet(OTHER, b"other"), one);
    writer.incident(&whole(true));
    writer.packet(at(5), &packet(SECOND, b"calm"), one);
    writer.flush();
    let written = fs::read(dir.path().join(NAME)).unwrap();
    assert_eq!(written.len(), 24 + 3 * (16 + 6), "each once");
    assert_eq!((writer.stats().packets, fs::read_dir(dir.path()).unwrap().count()), (3, 1));
}

/// Of an address alone at first; then it turns out to be another's of the same host, and the incident goes on there.
#[test]
fn the_capture_of_an_address_ends_when_it_turns_out_to_be_another_hosts() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = EvidenceWriter::new(dir.path()).unwrap();
    let alone = Incident { host: OTHER.into(), ..incident(false) };
    writer.incident(&alone);
    put(&mut writer, at(1), &packet(OTHER, b"first."));
    let whole = |closed| Incident { other_addresses: vec![OTHER.into()], ..incident(closed) };
    writer.incident(&whole(false));
    writer.packet(at(2), &packet(OTHER, b"second"), |_| WORM.into());
    writer.incident(&whole(true));
    put(&mut writer, at(3), &packet(OTHER, b"calm"));
    writer.flush();
    let length = |name: &str| fs::metadata(dir.path().join(name)).unwrap().len();
    assert_eq!(length("10.0.0.6-20031031T090525Z.pcap"), 24 + 22);
    assert_eq!(length(NAME), 24 + 2 * 22, "with what is remembered");
    assert!(writer.open.is_empty());
}

#[test]
fn an_incident_that_is_dated_as_one_before_does_not_replace_its_capture() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = EvidenceWriter::new(dir.path()).unwrap();
    writer.caps.ring = 0;
    for (id, data) in [(1, b"one"), (2, b"two")] {
        writer.incident(&Incident { id, ..incident(false) });
        put(&mut writer, at(1), &packet(WORM, data));
        writer.incident(&Incident { id, ..incident(true) });
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    assert!(fs::read(dir.path().join(NAME)).unwrap().ends_with(b"one"));
    assert!(fs::read(dir.path().join("10.0.0.5-20031031T090525Z-2.pcap")).unwrap().ends_with(b"two"));
}

#[test]
fn of_the_captures_written_the_latest_are_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = EvidenceWriter::new(dir.path()).unwrap();
    for seconds in 0..EVIDENCE_NAMES as i64 + 10 {
        let first_seen = Timestamp::from_parts(seconds, 0);
        writer.incident(&Incident { first_seen, ..incident(false) });
        writer.incident(&Incident { first_seen, ..incident(true) });
    }
    assert_eq!((writer.begun.len(), writer.begun.first()), (EVIDENCE_NAMES, Some(&(10, WORM.into()))));
}

#[test]
fn another_link_type_has_a_file_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = EvidenceWriter::new(dir.path()).unwrap();
    writer.incident(&incident(false));
    put(&mut writer, at(1), &packet(WORM, b"ethernet"));
    put(&mut writer, at(2), &KeptPacket { link: 113, ..packet(WORM, b"cooked") });
    put(&mut writer, at(3), &KeptPacket { link: 113, ..packet(WORM, b"cooked") });
    writer.flush();
    let second = fs::read(dir.path().join("10.0.0.5-20031031T090525Z-link113.pcap")).unwrap();
    assert_eq!((second[20], second.len()), (113, 24 + 2 * (16 + 6)));
    assert_eq!(fs::metadata(dir.path().join(NAME)).unwrap().len(), 24 + 16 + 8);
}

#[test]
fn the_ring_and_the_files_are_bounded_and_what_did_not_fit_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = EvidenceWriter::new(dir.path()).unwrap();
    let one = footprint(&packet(WORM, b"0"));
    writer.caps = Caps { ring: 10 * one, file: 24 + 12 * 17, total: 1_000 };
    for number in b'0'..=b'9' + 20 {
        put(&mut writer, at(number.into()), &packet(WORM, &[number]));
    }
    assert_eq!((writer.recent.len(), writer.recent_bytes), (10, 10 * one));
    writer.incident(&incident(false));
    for _ in 0..5 {
        put(&mut writer, at(100), &packet(WORM, b"x"));
    }
    writer.flush();
    let written = fs::read(dir.path().join(NAME)).unwrap();
    assert_eq!((written.len(), written[24 + 16]), (24 + 12 * 17, b'9' + 11), "the newest ten, and two more");
    let EvidenceStats { packets, over_cap, forgotten, .. } = writer.stats();
    // Of 30 the newest ten were remembered when the host was suspected; what came in their place is no loss.
    assert_eq!((packets, over_cap, forgotten), (12, 3, 30 - 10));
}

#[test]
fn forgotten_are_packets_that_no_capture_has_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = EvidenceWriter::new(dir.path()).unwrap().remembering(4 * footprint(&packet(WORM, b"0")));
    writer.incident(&incident(false));
    for number in 0..8 {
        put(&mut writer, at(number), &packet(WORM, b"w"));
        put(&mut writer, at(number), &packet(OTHER, b"o"));
    }
    writer.incident(&incident(true));
    writer.flush();
    // Two packets of each are remembered still.
    let EvidenceStats { packets, forgotten, .. } = writer.stats();
    assert_eq!((packets, forgotten), (8, 8 - 2));
    // What the capture took while it was open is not lost once its host is calm.
    for number in 8..12 {
        put(&mut writer, at(number), &packet(OTHER, b"o"));
    }
    assert_eq!(writer.stats().forgotten, 8 - 2 + 2);
}

#[test]
fn a_file_of_a_run_before_is_replaced_and_a_link_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(NAME), "old").unwrap();
    let run = || {
        let mut writer = EvidenceWriter::new(dir.path()).unwrap();
        put(&mut writer, at(1), &packet(WORM, b"one"));
        writer.incident(&incident(false));
        writer.flush();
        writer
    };
    run();
    assert_eq!(fs::metadata(dir.path().join(NAME)).unwrap().len(), 24 + 16 + 3);
    let victim = dir.path().join("victim");
    fs::write(&victim, "keep").unwrap();
    fs::remove_file(dir.path().join(NAME)).unwrap();
    symlink(&victim, dir.path().join(NAME)).unwrap();
    let mut writer = run();
    assert_eq!(writer.stats().failed, 1);
    assert!(writer.first_error().unwrap().contains("something else has this name"));
    assert_eq!(fs::read_to_string(&victim).unwrap(), "keep");
    // Once it can be written, it is, from its header on.
    fs::remove_file(dir.path().join(NAME)).unwrap();
    put(&mut writer, at(2), &packet(WORM, b"two"));
    writer.flush();
    assert_eq!(fs::metadata(dir.path().join(NAME)).unwrap().len(), 24 + 16 + 3);
}

/// As who makes room on a full disk does.
#[test]
fn a_file_that_is_deleted_while_it_grows_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = EvidenceWriter::new(dir.path()).unwrap();
    writer.incident(&incident(false));
    for data in [b"one", b"two"] {
        put(&mut writer, at(1), &packet(WORM, data));
        writer.flush();
        let written = fs::read(dir.path().join(NAME)).unwrap();
        assert_eq!((&written[..24], &written[40..]), (&file_header(1)[..], &data[..]));
        fs::remove_file(dir.path().join(NAME)).unwrap();
    }
    assert_eq!((writer.stats().failed, writer.stats().packets, writer.stats().files), (0, 2, 2));
    // Without its folder there is no place to go.
    fs::remove_dir(dir.path()).unwrap();
    put(&mut writer, at(2), &packet(WORM, b"lost"));
    writer.flush();
    assert!(writer.last_error().unwrap().ends_with("No such file or directory (os error 2)"));
    fs::create_dir(dir.path()).unwrap();
    put(&mut writer, at(3), &packet(WORM, b"four"));
    writer.flush();
    assert_eq!(fs::metadata(dir.path().join(NAME)).unwrap().len(), 24 + 16 + 4);
    assert_eq!((writer.stats().failed, writer.stats().packets), (1, 3));
}

#[test]
fn a_folder_that_cannot_be_made_is_told() {
    let error = EvidenceWriter::new(Path::new("/dev/null/x")).unwrap_err().to_string();
    assert!(error.starts_with("cannot make the folder /dev/null/x for evidence: "), "{error}");
}

/// A packet where each address is a host.
fn put(writer: &mut EvidenceWriter, time: Timestamp, packet: &KeptPacket) {
    writer.packet(time, packet, |address| address);
}

fn packet(host: [u8; 4], data: &[u8]) -> KeptPacket {
    KeptPacket { link: 1, wire_len: 100, data: data.into(), hosts: [host.into(), [192, 0, 2, 25].into()] }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_parts(SINCE + second, 7)
}

fn incident(closed: bool) -> Incident {
    Incident {
        verdict: Verdict::Suspicious,
        first_seen: Timestamp::from_parts(SINCE, 0),
        closed,
        ..Incident::of(WORM.into())
    }
}
