//! Replay of hand-built capture files: every format variant, cut at every byte, with bytes flipped, in folders.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;

use flate2::write::GzEncoder;
use mailsnare::capture::{CaptureError, FindingKind, OwnedPacket, ReplayOptions, ReplaySource, Source, Step};
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

// --- every variant of the formats ---------------------------------------------------------------------------------

#[test]
fn pcap_in_both_byte_orders_and_resolutions() {
    for order in [Order::Little, Order::Big] {
        for (magic, unit) in [(0xa1b2_c3d4, 1_000), (0xa1b2_3c4d, 1)] {
            let mut file = order.pcap_header(magic, 1);
            file.extend(order.pcap_record([1_067_601_600, 123_456, 3, 60], b"abc"));
            file.extend(order.pcap_record([1_067_601_601, 0, 0, 60], b""));
            let (packets, findings) = replay(&file);
            assert!(findings.is_empty(), "{findings:?}");
            let [first, second] = &packets[..] else { panic!("{packets:?}") };
            assert_eq!(first.time.as_nanos(), 1_067_601_600_000_000_000 + 123_456 * unit);
            assert_eq!((first.data.as_slice(), first.wire_len, first.link, first.number), (&b"abc"[..], 60, 1, 1));
            assert_eq!((second.data.len(), second.wire_len, second.number), (0, 60, 2));
        }
    }
}

#[test]
fn pcapng_sections_interfaces_and_packet_blocks() {
    for order in [Order::Little, Order::Big] {
        let mut file = order.section();
        file.extend(order.interface(1, 0, &[]));
        // Raw IP, nanoseconds, a week later than its times say.
        file.extend(order.interface(101, 0, &[(9, vec![9]), (14, order.u64(604_800))]));
        // Ethernet cut to 5 bytes, in 2^-20 seconds.
        file.extend(order.interface(1, 5, &[(9, vec![0x80 | 20])]));
        file.extend(order.enhanced(0, 1_067_601_600_000_001, 4, b"abc"));
        file.extend(order.enhanced(1, 1_067_601_600_000_000_001, 9, b"abcd"));
        file.extend(order.enhanced(2, (1_067_601_600 << 20) + (1 << 19), 9, b"abcde"));
        file.extend(order.block(0x0bad_0bad, b"a block of a kind nobody knows..."));
        file.extend(order.obsolete(1, 5, 9, b"abcdef"));
        file.extend(order.simple(3, b"xyz"));
        // A second section, in the other byte order, forgets the interfaces of the first.
        let other = order.other();
        file.extend(other.section());
        file.extend(other.interface(276, 4, &[]));
        file.extend(other.simple(9, b"wxyz"));
        file.extend(other.enhanced(0, 7_000_000, 1, b"!"));

        let (packets, findings) = replay(&file);
        assert!(findings.is_empty(), "{findings:?}");
        let base = 1_067_601_600_000_000_000;
        let week = 604_800_000_000_000_i64;
        let want: [(i64, u32, &[u8], u32); 7] = [
            (base + 1_000, 1, b"abc", 4),
            (base + 1 + week, 101, b"abcd", 9),
            (base + 500_000_000, 1, b"abcde", 9),
            (week + 5, 101, b"abcdef", 9),
            (week + 5, 1, b"xyz", 3),
            (week + 5, 276, b"wxyz", 9),
            (7_000_000_000, 276, b"!", 1),
        ];
        assert_eq!(packets.len(), want.len());
        for (packet, want) in packets.iter().zip(want) {
            assert_eq!((packet.time.as_nanos(), packet.link, packet.data.as_slice(), packet.wire_len), want);
        }
    }
}

#[test]
fn tshark_agrees_on_files_that_editcap_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let original = folder.path().join("original.pcap");
    fs::write(&original, sample_pcap(40)).unwrap();
    for format in ["pcap", "nsecpcap", "modpcap", "pcapng"] {
        let path = folder.path().join(format!("as-{format}"));
        let written =
            Command::new("editcap").args(["-F", format, "-s", "60", "-t", "0.25"]).arg(&original).arg(&path).output();
        let Ok(written) = written else { return println!("skipped: editcap is not installed") };
        assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
        let shown = Command::new("tshark")
            .args(["-T", "fields", "-e", "frame.time_epoch", "-e", "frame.cap_len", "-e", "frame.len", "-r"])
            .arg(&path)
            .output()
            .unwrap();
        let (packets, findings) = replay(&fs::read(&path).unwrap());
        assert!(findings.is_empty(), "{findings:?}");
        let ours: String = packets
            .iter()
            .map(|p| {
                let nanos = p.time.as_nanos();
                format!("{}.{:09}\t{}\t{}\n", nanos / 1_000_000_000, nanos % 1_000_000_000, p.data.len(), p.wire_len)
            })
            .collect();
        assert_eq!(ours, String::from_utf8_lossy(&shown.stdout), "{format}");
    }
}

#[test]
fn compression_is_found_by_content_and_may_come_in_pieces() {
    let plain = sample_pcapng(30);
    let (want, _) = replay(&plain);
    let (front, back) = plain.split_at(plain.len() / 2);
    for packed in [gzip(&plain), [gzip(front), gzip(back)].concat(), [zstd(front), zstd(back)].concat()] {
        assert_eq!(replay(&packed), (want.clone(), vec![]));
    }
}

#[test]
fn what_the_zstd_tool_packs_is_read_also_when_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let plain = sample_pcap(20_000);
    let path = write(folder.path(), "sample.pcap", &plain);
    for settings in [&["-1"][..], &["-19", "--no-check"], &["-3", "--long=27"]] {
        let packed = Command::new("zstd").args(settings).args(["-q", "-c"]).arg(&path).output();
        let Ok(packed) = packed else { return println!("skipped: zstd is not installed") };
        let packed = packed.stdout;
        let mut source = ReplaySource::from_reader("zst", Cursor::new(packed.clone()), &no_options()).unwrap();
        assert_eq!((count(&mut source), source.findings()), (20_000, &[][..]), "{settings:?}");
        let (packets, findings) = replay(&packed[..packed.len() * 3 / 4]);
        assert!(packets.len() > 10_000, "{settings:?}: only {} packets", packets.len());
        assert_eq!(findings, [FindingKind::Cut]);
    }
}

// --- cut and damaged ----------------------------------------------------------------------------------------------

#[test]
fn a_capture_cut_at_any_byte_gives_all_packets_before() {
    for file in [sample_pcap(6), sample_pcapng(6)] {
        let (all, _) = replay(&file);
        let mut before = 0;
        for len in 0..file.len() {
            let Ok(replay) = ReplaySource::from_reader("cut", Cursor::new(file[..len].to_vec()), &no_options()) else {
                assert_eq!(before, 0, "cut at {len}");
                continue;
            };
            let (packets, findings) = drain(replay);
            assert!(packets.len() >= before && packets[..] == all[..packets.len()], "cut at {len}");
            assert!(findings.iter().all(|kind| *kind == FindingKind::Cut), "cut at {len}: {findings:?}");
            assert!(findings.len() <= 1);
            before = packets.len();
        }
        assert_eq!(before, all.len() - 1);
    }
}

#[test]
fn a_compressed_capture_cut_anywhere_is_cut_and_not_damaged() {
    let plain = sample_pcap(3_000);
    let (all, _) = replay(&plain);
    for packed in [gzip(&plain), zstd(&plain)] {
        let mut before = 0;
        for len in (1..packed.len()).step_by(packed.len() / 97) {
            let Ok(source) = ReplaySource::from_reader("cut", Cursor::new(packed[..len].to_vec()), &no_options())
            else {
                assert_eq!(before, 0, "cut at {len}");
                continue;
            };
            let (packets, findings) = drain(source);
            assert!(packets.len() >= before && packets[..] == all[..packets.len()], "cut at {len}");
            assert_eq!(findings, [FindingKind::Cut], "cut at {len} of {}", packed.len());
            before = packets.len();
        }
        assert!(before > all.len() / 2, "{before} of {}", all.len());
    }
}

#[test]
fn damage_within_is_told_with_its_place_and_the_rest_goes_on_where_that_is_sound() {
    let order = Order::Little;
    let mut pcap = sample_pcap(3);
    let broken = pcap.len() + 8;
    pcap.extend(order.pcap_record([1, 0, 3, 3], b"abc"));
    pcap.extend(order.pcap_record([1, 0, 3, 3], b"abc"));
    pcap[broken..broken + 4].fill(0xff);
    let mut source = ReplaySource::from_reader("worm.pcap", Cursor::new(pcap), &no_options()).unwrap();
    assert_eq!(count(&mut source), 3);
    assert!(source.damaged());
    assert_eq!(source.stats().damaged, 1);
    assert_eq!(
        source.findings()[0].to_string(),
        "worm.pcap: damaged after packet 3: a packet claims to be 4294967295 bytes long; the rest of this file was not read"
    );

    // In pcapng the block around a bad packet still says where the next one is.
    let mut pcapng = sample_pcapng(2);
    for _ in 0..20 {
        pcapng.extend(order.enhanced(7, 0, 3, b"abc"));
    }
    pcapng.extend(order.enhanced(0, 0, 3, b"abc"));
    let mut source = ReplaySource::from_reader("x", Cursor::new(pcapng), &no_options()).unwrap();
    assert_eq!(count(&mut source), 3);
    assert_eq!(source.stats().damaged, 20);
    assert_eq!(source.findings().len(), 9);
    assert!(source.findings()[0].sentence.contains("interface 7"));
    assert_eq!(source.findings()[8].sentence, "damaged in 12 more places");
}

#[test]
fn a_wrong_length_in_the_middle_is_no_interrupted_capture() {
    let mut pcap = sample_pcap(5);
    // The second record's captured length: long enough to swallow the file, too long for its packet.
    let at = 24 + 16 + frame(0).len() + 8;
    pcap[at..at + 4].copy_from_slice(&200_000_u32.to_le_bytes());
    let (packets, findings) = replay(&pcap);
    assert_eq!((packets.len(), findings), (1, vec![FindingKind::Damaged]));

    let mut pcapng = sample_pcapng(5);
    let at = pcapng.windows(4).position(|w| w == 6_u32.to_le_bytes()).unwrap() + 4;
    pcapng[at..at + 4].copy_from_slice(&400_000_u32.to_le_bytes());
    assert_eq!(replay(&pcapng), (vec![], vec![FindingKind::Damaged]));
}

#[test]
fn a_damaged_file_does_not_keep_the_next_from_being_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut broken = sample_pcap(2);
    broken.extend([0xff; 64]);
    let mut cut = sample_pcap(3);
    cut.truncate(cut.len() - 1);
    let paths =
        [("a", &broken), ("b", &cut), ("c", &sample_pcap(4))].map(|(name, bytes)| write(folder.path(), name, bytes));
    let mut source = ReplaySource::open(&paths, &no_options()).unwrap();
    let mut files = [0; 3];
    while let Step::Packet(packet) = source.next().unwrap() {
        files[packet.file as usize] += 1;
        assert_eq!(packet.number, files[packet.file as usize]);
    }
    assert_eq!(files, [2, 2, 4]);
    let kinds: Vec<_> =
        source.findings().iter().map(|f| (Path::new(&f.path).ends_with("a"), f.kind, f.packet)).collect();
    assert_eq!(kinds, [(true, FindingKind::Damaged, 2), (false, FindingKind::Cut, 2)]);
    assert_eq!(Some(source.progress().load(Ordering::Relaxed)), source.total_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn flipped_bytes_never_panic_and_always_end(
        kind in 0..4_usize,
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1..=255_u8), 1..6),
    ) {
        let plain = if kind % 2 == 0 { sample_pcap(12) } else { sample_pcapng(12) };
        let mut file = match kind { 0 | 1 => plain, 2 => gzip(&plain), _ => zstd(&plain) };
        for (at, flip) in flips {
            let at = at.index(file.len());
            file[at] ^= flip;
        }
        if let Ok(source) = ReplaySource::from_reader("flipped", Cursor::new(file), &no_options()) {
            let (packets, findings) = drain(source);
            prop_assert!(packets.len() <= 2_000);
            prop_assert!(findings.len() <= 10);
            prop_assert!(packets.iter().all(|p| p.wire_len as usize >= p.data.len()));
        }
    }

    #[test]
    fn any_bytes_behind_a_header_never_panic(pcapng in any::<bool>(), junk in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut file = if pcapng { sample_pcapng(1) } else { sample_pcap(1) };
        file.extend(junk);
        prop_assert!(!replay(&file).0.is_empty());
    }
}

// --- paths --------------------------------------------------------------------------------------------------------

#[test]
fn a_folder_is_read_in_the_order_of_its_first_packets() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("older")).unwrap();
    let at = |seconds| {
        let mut file = Order::Little.pcap_header(0xa1b2_c3d4, 1);
        file.extend(Order::Little.pcap_record([seconds, 0, 3, 3], b"abc"));
        file
    };
    write(folder.path(), "a-late.pcap", &gzip(&at(300)));
    write(folder.path(), "b-early.cap", &zstd(&at(100)));
    write(folder.path(), "older/c-middle", &at(200));
    write(folder.path(), "empty.pcap", &Order::Little.pcap_header(0xa1b2_c3d4, 1));
    write(folder.path(), "notes.txt", b"captured on the mirror port\n");
    write(folder.path(), "picture.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR");
    let mut source = ReplaySource::open(&[folder.path().to_owned()], &no_options()).unwrap();
    let names = source.file_names();
    let short: Vec<_> = names.iter().map(|n| Path::new(n).file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(short, ["b-early.cap", "c-middle", "a-late.pcap", "empty.pcap"]);
    let mut seconds = Vec::new();
    while let Step::Packet(packet) = source.next().unwrap() {
        seconds.push((packet.time.seconds(), packet.file));
    }
    assert_eq!(seconds, [(100, 0), (200, 1), (300, 2)]);
    let [skipped] = source.findings() else { panic!("{:?}", source.findings()) };
    assert_eq!(skipped.kind, FindingKind::Skipped);
    assert!(skipped.to_string().contains("picture.png: passed over: it is "), "{skipped}");
    assert!(!source.damaged());
}

#[test]
fn what_cannot_be_replayed_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let empty_folder = folder.path().join("nothing");
    fs::create_dir(&empty_folder).unwrap();
    for (path, says) in [
        (folder.path().join("absent.pcap"), "no such file"),
        (write(folder.path(), "zero.pcap", b""), "is empty"),
        (write(folder.path(), "tiny", &sample_pcap(1)[..20]), "cut off within its header"),
        (write(folder.path(), "mail.txt", b"From: james@example.org\r\n"), "is a text file"),
        (write(folder.path(), "photos.zip", b"PK\x03\x04 and so on and so forth"), "unpack it first"),
        (write(folder.path(), "mail.gz", &gzip(b"From: james@example.org\r\n")), "gzip, and unpacked is a text file"),
        (write(folder.path(), "broken.gz", &gzip(&sample_pcap(1))[..12]), "cut off or corrupt"),
        (empty_folder, "no capture in this folder (files looked at: 0)"),
    ] {
        let error = ReplaySource::open(std::slice::from_ref(&path), &no_options()).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(says) && error.starts_with(path.to_str().unwrap()), "{error}");
    }
    assert!(matches!(ReplaySource::open(&[], &no_options()), Err(CaptureError::NothingGiven)));
}

#[test]
fn a_named_pipe_is_read_like_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    if !Command::new("mkfifo").arg(&path).status().is_ok_and(|status| status.success()) {
        return println!("skipped: mkfifo is not installed");
    }
    let writer = std::thread::spawn({
        let path = path.clone();
        move || {
            let mut pipe = fs::File::create(path).unwrap();
            for piece in gzip(&sample_pcap(50)).chunks(7) {
                pipe.write_all(piece).unwrap();
            }
        }
    });
    let mut source = ReplaySource::open(&[path], &no_options()).unwrap();
    assert_eq!(source.total_bytes(), None);
    assert_eq!(count(&mut source), 50);
    assert!(source.findings().is_empty());
    writer.join().unwrap();
}

#[test]
fn a_file_that_is_gone_when_its_turn_comes_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["a", "b", "c"].map(|name| write(folder.path(), name, &sample_pcap(2)));
    let mut source = ReplaySource::open(&paths, &no_options()).unwrap();
    fs::remove_file(&paths[1]).unwrap();
    assert_eq!(count(&mut source), 4);
    assert!(source.damaged());
    assert!(source.findings()[0].to_string().contains("could no longer be read"));
}

// --- filters ------------------------------------------------------------------------------------------------------

#[test]
fn a_filter_leaves_packets_out_and_their_numbers_in() {
    let options = ReplayOptions { bpf: Some("tcp dst port 25".to_owned()) };
    let mut source = ReplaySource::from_reader("x", Cursor::new(sample_pcap(6)), &options).unwrap();
    let mut numbers = Vec::new();
    while let Step::Packet(packet) = source.next().unwrap() {
        numbers.push(packet.number);
    }
    // Every second sample packet goes to port 25, from the first on.
    assert_eq!(numbers, [1, 3, 5]);
    let bad = ReplayOptions { bpf: Some("tcp dst prt 25".to_owned()) };
    let error = ReplaySource::from_reader("x", Cursor::new(sample_pcap(1)), &bad).map(|_| ()).unwrap_err();
    assert!(matches!(error, CaptureError::BadFilter { .. }));
}

#[test]
fn a_filter_that_cannot_judge_a_link_type_says_so_once() {
    let order = Order::Little;
    let mut file = order.section();
    file.extend(order.interface(147, 0, &[]));
    file.extend(order.interface(1, 0, &[]));
    for n in 0..4 {
        file.extend(order.enhanced(0, n, 60, &frame(0)));
        file.extend(order.enhanced(1, n, 60, &frame(0)));
    }
    let options = ReplayOptions { bpf: Some("tcp port 25".to_owned()) };
    let mut source = ReplaySource::from_reader("x", Cursor::new(file), &options).unwrap();
    assert_eq!(count(&mut source), 4);
    let [finding] = source.findings() else { panic!("{:?}", source.findings()) };
    assert_eq!(finding.kind, FindingKind::Skipped);
    assert!(finding.sentence.contains("link type 147"));
    assert_eq!((source.damaged(), source.stats().damaged), (false, 0));
}

#[test]
fn many_link_types_that_a_filter_cannot_judge_are_no_damage() {
    let order = Order::Little;
    let mut file = order.section();
    for n in 0..100_u16 {
        file.extend(order.interface(4_000 + n, 0, &[]));
        file.extend(order.enhanced(u32::from(n), 0, 60, &frame(0)));
    }
    let options = ReplayOptions { bpf: Some("tcp port 25".to_owned()) };
    let mut source = ReplaySource::from_reader("x", Cursor::new(file), &options).unwrap();
    assert_eq!(count(&mut source), 0);
    assert!(!source.damaged() && source.findings().iter().all(|f| f.kind == FindingKind::Skipped));
}

// --- reading ------------------------------------------------------------------------------------------------------

fn no_options() -> ReplayOptions {
    ReplayOptions::default()
}

fn replay(file: &[u8]) -> (Vec<OwnedPacket>, Vec<FindingKind>) {
    drain(ReplaySource::from_reader("memory", Cursor::new(file.to_vec()), &no_options()).unwrap())
}

fn drain(mut source: ReplaySource) -> (Vec<OwnedPacket>, Vec<FindingKind>) {
    let mut packets = Vec::new();
    while let Step::Packet(packet) = source.next().unwrap() {
        packets.push(packet.into());
    }
    (packets, source.findings().iter().map(|finding| finding.kind).collect())
}

fn count(source: &mut ReplaySource) -> usize {
    let mut count = 0;
    while let Step::Packet(_) = source.next().unwrap() {
        count += 1;
    }
    count
}

// --- building -----------------------------------------------------------------------------------------------------

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

/// An Ethernet frame with a TCP segment: to port 25 when `n` is even, else to port 80; its payload differs with `n`.
fn frame(n: u32) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    bytes.extend([0x45, 0, 0, 64, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 192, 0, 2, 1]);
    bytes.extend(1_025_u16.to_be_bytes());
    bytes.extend((if n.is_multiple_of(2) { 25_u16 } else { 80 }).to_be_bytes());
    bytes.extend([0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 0x20, 0, 0, 0, 0, 0]);
    bytes.extend((0..6_u32).flat_map(|i| (n.wrapping_mul(2_654_435_761) ^ i).to_be_bytes()));
    bytes
}

fn sample_pcap(packets: u32) -> Vec<u8> {
    let order = Order::Little;
    let mut file = order.pcap_header(0xa1b2_c3d4, 1);
    for n in 0..packets {
        let data = frame(n);
        file.extend(order.pcap_record([1_067_601_600 + n, n * 10, data.len() as u32, data.len() as u32], &data));
    }
    file
}

fn sample_pcapng(packets: u32) -> Vec<u8> {
    let order = Order::Little;
    let mut file = order.section();
    file.extend(order.interface(1, 0, &[(9, vec![9])]));
    for n in 0..packets {
        let data = frame(n);
        file.extend(order.enhanced(0, 1_067_601_600_000_000_000 + u64::from(n), data.len() as u32, &data));
    }
    file
}

/// Writes numbers in one byte order, and blocks made of them.
#[derive(Clone, Copy)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn other(self) -> Self {
        match self {
            Self::Little => Self::Big,
            Self::Big => Self::Little,
        }
    }

    fn u16(self, number: u16) -> Vec<u8> {
        match self {
            Self::Little => number.to_le_bytes().to_vec(),
            Self::Big => number.to_be_bytes().to_vec(),
        }
    }

    fn u32(self, number: u32) -> Vec<u8> {
        match self {
            Self::Little => number.to_le_bytes().to_vec(),
            Self::Big => number.to_be_bytes().to_vec(),
        }
    }

    fn u64(self, number: u64) -> Vec<u8> {
        match self {
            Self::Little => number.to_le_bytes().to_vec(),
            Self::Big => number.to_be_bytes().to_vec(),
        }
    }

    fn pcap_header(self, magic: u32, link: u32) -> Vec<u8> {
        [self.u32(magic), self.u16(2), self.u16(4), self.u32(0), self.u32(0), self.u32(65_535), self.u32(link)].concat()
    }

    fn pcap_record(self, fields: [u32; 4], data: &[u8]) -> Vec<u8> {
        fields.iter().flat_map(|field| self.u32(*field)).chain(data.iter().copied()).collect()
    }

    /// A pcapng block; its body is padded to four bytes.
    fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let padding = vec![0; body.len().next_multiple_of(4) - body.len()];
        let size = (12 + body.len() + padding.len()) as u32;
        [self.u32(kind), self.u32(size), body.to_vec(), padding, self.u32(size)].concat()
    }

    fn section(self) -> Vec<u8> {
        let body = [self.u32(0x1a2b_3c4d), self.u16(1), self.u16(0), self.u64(u64::MAX)].concat();
        self.block(0x0a0d_0d0a, &body)
    }

    fn interface(self, link: u16, snaplen: u32, options: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut body = [self.u16(link), self.u16(0), self.u32(snaplen)].concat();
        for (code, value) in options {
            body.extend([self.u16(*code), self.u16(value.len() as u16), value.clone()].concat());
            body.resize(body.len().next_multiple_of(4), 0);
        }
        body.extend([0; 4]);
        self.block(1, &body)
    }

    fn enhanced(self, interface: u32, time: u64, wire_len: u32, data: &[u8]) -> Vec<u8> {
        let head = [interface, (time >> 32) as u32, time as u32, data.len() as u32, wire_len];
        let mut body: Vec<u8> = head.iter().flat_map(|field| self.u32(*field)).collect();
        body.extend(data);
        body.resize(body.len().next_multiple_of(4), 0);
        // An option behind the packet: epb_flags, inbound.
        body.extend([self.u16(2), self.u16(4), self.u32(1), vec![0; 4]].concat());
        self.block(6, &body)
    }

    /// The obsolete Packet Block.
    fn obsolete(self, interface: u16, time: u64, wire_len: u32, data: &[u8]) -> Vec<u8> {
        let mut body = [self.u16(interface), self.u16(0)].concat();
        let head = [(time >> 32) as u32, time as u32, data.len() as u32, wire_len];
        body.extend(head.iter().flat_map(|field| self.u32(*field)));
        body.extend(data);
        self.block(2, &body)
    }

    fn simple(self, wire_len: u32, data: &[u8]) -> Vec<u8> {
        self.block(3, &[self.u32(wire_len), data.to_vec()].concat())
    }
}
