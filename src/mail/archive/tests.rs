//! Zips by APPNOTE.TXT's own words, so that they can be wrong where a library would not let them.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use proptest::prelude::*;

use super::super::hash::md5;
use super::super::kind::kind;
use super::*;

/// A member for [`build`].
#[derive(Clone)]
struct Entry {
    name: &'static [u8],
    central_name: &'static [u8],
    flags: u16,
    deflate: bool,
    data: Vec<u8>,
}

fn entry(name: &'static str, data: &[u8]) -> Entry {
    Entry { name: name.as_bytes(), central_name: name.as_bytes(), flags: 0, deflate: true, data: data.to_vec() }
}

fn deflated(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn gzipped(data: &[u8], name: Option<&str>) -> Vec<u8> {
    let builder = flate2::GzBuilder::new();
    let builder = match name {
        Some(name) => builder.filename(name),
        None => builder,
    };
    let mut encoder: GzEncoder<Vec<u8>> = builder.write(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// A zip by APPNOTE.TXT's own words, so that it can be wrong where a library would not let it. Bit 3 of the flags
/// puts a descriptor behind the data.
fn build(entries: &[Entry]) -> Vec<u8> {
    let (mut out, mut central) = (Vec::new(), Vec::new());
    for entry in entries {
        let mut crc = flate2::Crc::new();
        crc.update(&entry.data);
        let packed = if entry.deflate { deflated(&entry.data) } else { entry.data.clone() };
        let sizes = [crc.sum(), packed.len() as u32, entry.data.len() as u32].map(u32::to_le_bytes).concat();
        let method = if entry.deflate { 8u16 } else { 0 };
        let head = [[20, 0], entry.flags.to_le_bytes(), method.to_le_bytes(), [0; 2], [0; 2]].concat();
        let streamed = entry.flags & 8 != 0;
        let offset = (out.len() as u32).to_le_bytes();
        let stated = if streamed { vec![0; 12] } else { sizes.clone() };
        out.extend([&b"PK\x03\x04"[..], &head, &stated].concat());
        out.extend([(entry.name.len() as u16).to_le_bytes(), [0; 2]].concat());
        out.extend([entry.name, &packed].concat());
        if streamed {
            out.extend([b"PK\x07\x08", &sizes[..]].concat());
        }
        central.extend([b"PK\x01\x02\x14\0", &head[..], &sizes].concat());
        central.extend((entry.central_name.len() as u16).to_le_bytes());
        central.extend([&[0; 12], &offset[..], entry.central_name].concat());
    }
    let count = (entries.len() as u16).to_le_bytes();
    let places = [(central.len() as u32).to_le_bytes(), (out.len() as u32).to_le_bytes()].concat();
    out.extend([&central[..], b"PK\x05\x06\0\0\0\0", &count, &count, &places, &[0; 2]].concat());
    out
}

fn unpack_with(content: &[u8], settings: &InspectSettings) -> (Vec<FileFact>, Vec<&'static str>) {
    unpack_said(content, Said::default(), settings)
}

fn unpack_said(content: &[u8], said: Said<'_>, settings: &InspectSettings) -> (Vec<FileFact>, Vec<&'static str>) {
    let (mut files, mut names) = (Vec::new(), Vec::new());
    let attachment = FileFact { filename: "outer.zip".into(), kind: kind(content), ..FileFact::default() };
    let mut note = |name, _| names.push(name);
    let mut findings = Findings { files: &mut files, note: &mut note };
    unpack(&attachment, content, said, settings, &mut Budget::new(settings), &mut findings);
    names.dedup();
    (files, names)
}

fn unpacked(content: &[u8]) -> (Vec<FileFact>, Vec<&'static str>) {
    unpack_with(content, &InspectSettings::default())
}

fn paths(files: &[FileFact]) -> Vec<String> {
    let path = |file: &FileFact| [&file.container[1..], std::slice::from_ref(&file.filename)].concat().join("|");
    files.iter().map(path).collect()
}

#[test]
fn goes_through_archives_within_archives_in_order() {
    let inner = build(&[entry("x", b"xx"), entry("y", b"")]);
    let gz = gzipped(b"inside", Some("named.txt"));
    let zip = build(&[entry("a.exe", b"MZ\0"), entry("in.zip", &inner), entry("dir/", b""), entry("z.gz", &gz)]);
    let (files, anomalies) = unpacked(&zip);
    assert_eq!(paths(&files), ["a.exe", "in.zip", "in.zip|x", "in.zip|y", "z.gz", "z.gz|named.txt"]);
    assert_eq!(
        files.iter().map(|file| file.kind.0).collect::<Vec<_>>(),
        ["pe", "zip", "text", "empty", "gzip", "text"]
    );
    assert_eq!(files[1].md5, Some(md5(&inner)));
    assert_eq!(files[2].container, ["outer.zip", "in.zip"]);
    assert_eq!((files[5].size, files[5].md5, anomalies), (6, Some(md5(b"inside")), vec![]));
}

#[test]
fn lists_what_is_hidden_or_closed() {
    let twice = build(&[entry("same", b"1"), entry("same", b"2")]);
    assert_eq!(unpacked(&twice).0.iter().map(|f| f.md5).collect::<Vec<_>>(), [Some(md5(b"1")), Some(md5(b"2"))]);
    let differ = build(&[Entry { name: b"photos.jpg.exe", ..entry("photos.jpg", b"MZ") }]);
    assert_eq!(
        (paths(&unpacked(&differ).0), unpacked(&differ).1),
        (vec!["photos.jpg".into()], vec!["zip-names-differ"])
    );
    let (files, anomalies) = unpacked(&build(&[Entry { flags: 1, deflate: false, ..entry("secret.exe", b"?????") }]));
    assert!(files[0].encrypted && files[0].md5.is_none() && anomalies.is_empty());
    assert_eq!((files[0].size, files[0].kind.0, &*files[0].filename), (5, "unknown", "secret.exe"));
    let old = build(&[Entry { name: b"\x81.txt", central_name: b"\x81.txt", ..entry("", b"x") }]);
    assert_eq!((paths(&unpacked(&old).0), unpacked(&old).1), (vec!["\u{fc}.txt".into()], vec![]));
    assert_eq!(paths(&unpacked(&old[..old.len() - 30]).0), ["\u{fc}.txt"]);
    let program = [b"MZ stub".to_vec(), build(&[entry("a", b"x")])].concat();
    assert_eq!(paths(&unpacked(&program).0), ["a"]);
    assert_eq!(paths(&unpacked(&gzipped(b"x", None)).0), ["outer.zip"]);
}

#[test]
fn a_cut_archive_shows_what_is_left_and_no_wrong_hash() {
    let noise = (0..3_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect::<Vec<_>>();
    let entries = [
        entry("deflated", &noise),
        Entry { deflate: false, ..entry("stored", b"MZ stored") },
        Entry { flags: 8, ..entry("streamed", b"streamed streamed streamed") },
        Entry { flags: 8, deflate: false, ..entry("both", b"both") },
    ];
    let zip = build(&entries);
    let (whole, anomalies) = unpacked(&zip);
    assert_eq!((whole.len(), anomalies), (4, vec![]));
    for end in 0..zip.len() {
        let (files, _) = unpacked(&zip[..end]);
        assert!(files.len() <= 4);
        for (file, entry) in files.iter().zip(&entries) {
            assert_eq!(file.filename.as_bytes(), entry.name, "cut at {end}");
            assert!(file.md5.is_none_or(|hash| hash == md5(&entry.data)), "cut at {end}");
            assert_eq!(file.md5.is_none(), file.truncated || file.filename == "both", "cut at {end}");
        }
    }
    let (files, anomalies) = unpacked(&zip[..zip.len() - 1]);
    assert_eq!((files.len(), anomalies), (4, vec!["archive-damaged"]));
    assert_eq!(files.iter().filter(|file| file.md5.is_some()).count(), 3);
}

#[test]
fn bombs_are_anomalies() {
    let bomb = build(&[entry("zeros", &vec![0; 3 << 20]), entry("after", b"x")]);
    let (files, anomalies) = unpacked(&bomb);
    assert_eq!((files[0].size, files[0].md5, files[0].truncated), (3 << 20, None, true));
    assert_eq!((files[1].md5, anomalies), (Some(md5(b"x")), vec!["archive-bomb-ratio"]));

    let settings = InspectSettings { archive_bytes: 1_000, archive_members: 3, archive_depth: 2, ..Default::default() };
    let large = build(&[entry("a", &[b'a'; 900]), entry("b", &[b'b'; 900]), entry("c", b"c")]);
    let (files, anomalies) = unpack_with(&large, &settings);
    assert_eq!(
        files.iter().map(|file| (file.size, file.truncated)).collect::<Vec<_>>(),
        [(900, false), (900, true), (1, true)]
    );
    assert_eq!(anomalies, ["archive-too-large"]);

    let many = build(&vec![entry("a", b"a"); 5]);
    let (files, anomalies) = unpack_with(&many, &settings);
    assert_eq!((files.len(), anomalies), (3, vec!["archive-too-many-members"]));
    let (files, anomalies) = unpack_with(&many[..many.len() - 1], &settings);
    assert_eq!((files.len(), anomalies), (3, vec!["archive-damaged", "archive-too-many-members"]));

    // Many entries for the same bytes, which unpack to nothing.
    let blocks = Entry { deflate: false, ..entry("a", &b"\0\0\0\xff\xff".repeat(10)) };
    let mut shared = build(std::slice::from_ref(&blocks));
    let directory = shared.len() - 22 - 47;
    let central = shared[directory..directory + 47].to_vec();
    shared.truncate(directory);
    shared.extend(central.repeat(50));
    shared.extend([&b"PK\x05\x06\0\0\0\0\x32\0\x32\0"[..], &(47u32 * 50).to_le_bytes()].concat());
    shared.extend([&(directory as u32).to_le_bytes()[..], &[0, 0]].concat());
    let (files, anomalies) = unpacked(&shared);
    assert_eq!((files.len(), anomalies), (50, vec!["archive-members-overlap"]));
    assert_eq!(files.iter().filter(|file| file.truncated).count(), 50 - shared.len() / 50);

    let deep = (0..4).fold(b"x".to_vec(), |inner, _| build(&[entry("in.zip", &inner)]));
    let (files, anomalies) = unpack_with(&deep, &settings);
    assert_eq!((paths(&files), anomalies), (vec!["in.zip".into(), "in.zip|in.zip".into()], vec!["archive-too-deep"]));
}

#[test]
fn hostile_archives_end_soon() {
    let started = std::time::Instant::now();
    assert_eq!(unpacked(&build(&vec![entry("a", b"a"); 65_000])).0.len(), limits::ARCHIVE_MEMBERS);
    for piece in ["PK\x03\x04", "PK\x05\x06", "PK\x06\x06", "PK\x06\x07PK\x05\x06", "PK\x01\x02", "PK\x07\x08"] {
        unpacked(&[b"PK\x03\x04", piece.repeat((1 << 20) / piece.len()).as_bytes()].concat());
        let ends = format!("PK\x03\x04{}PK\x05\x06{}", piece.repeat(30_000), "\0".repeat(18));
        unpacked(ends.as_bytes());
    }
    let local = [&b"PK\x03\x04\x14\0\x08\0\x08\0"[..], &[0; 20]].concat();
    unpacked(&local.repeat(30_000));
    unpacked(&b"\x1f\x8b\x08\x08".repeat(300_000));
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
}

#[test]
fn an_entry_that_points_at_nothing_hides_no_member() {
    let shown = build(&[entry("a.txt", b"one")]);
    let mut hidden = build(&[entry("b.exe", b"two")]);
    hidden.truncate(hidden.windows(4).position(|at| at == b"PK\x01\x02").unwrap());
    let directory = shown.windows(4).position(|at| at == b"PK\x01\x02").unwrap();
    let mut zip = [&hidden, &shown[directory..]].concat();
    let offset = hidden.len() + 42;
    // Its directory begins behind the hidden member, and its entry says that a.txt begins at 1.
    zip[offset] = 1;
    let end = zip.len() - 6;
    zip[end..end + 4].copy_from_slice(&(hidden.len() as u32).to_le_bytes());
    let (files, anomalies) = unpacked(&zip);
    let seen = files.iter().map(|file| (file.filename.as_str(), file.md5)).collect::<Vec<_>>();
    assert_eq!(seen, [("a.txt", None), ("b.exe", Some(md5(b"two")))]);
    assert_eq!(anomalies, ["zip-member-unlisted"]);
}

fn decoded(base64: &str) -> Vec<u8> {
    super::super::encoding::decode_base64(base64.as_bytes())
}

#[test]
fn what_follows_the_last_stream_is_no_part_of_the_file() {
    // python3 -c 'import base64, bz2; print(base64.b64encode(bz2.compress(b"hello")))'
    let bzip2 = decoded("QlpoOTFBWSZTWRkxZT0AAACBAAJEoAAhmmgzTQczi7kinChIDJiynoA=");
    for stream in [gzipped(b"hello", None), bzip2] {
        for (content, after) in [("hello", &b""[..]), ("hello", b"\r\n"), ("hello", &[0; 512]), ("hellohello", &stream)]
        {
            let (files, anomalies) = unpacked(&[&stream, after].concat());
            assert_eq!((files[0].md5, files[0].truncated), (Some(md5(content.as_bytes())), false), "{after:?}");
            assert_eq!(anomalies, Vec::<&str>::new());
        }
        let (files, _) = unpacked(&[&stream[..], &stream[..12]].concat());
        assert_eq!((files[0].md5, files[0].truncated), (None, true));
    }
}

#[test]
fn streams_that_hold_nothing_have_a_bound() {
    // python3 -c 'import base64, bz2; print(base64.b64encode(bz2.compress(b"")))'
    let nothing = decoded("QlpoORdyRThQkAAAAAA=");
    let (files, anomalies) = unpacked(&nothing.repeat(limits::ARCHIVE_STREAMS + 1));
    assert_eq!((files[0].truncated, anomalies), (false, Vec::new()));
    let (files, anomalies) = unpacked(&nothing.repeat(limits::ARCHIVE_STREAMS + 2));
    assert_eq!((files[0].truncated, anomalies), (true, vec!["archive-too-large"]));
}

#[test]
fn headers_of_7z_archives_have_a_bound_together() {
    // Its header, packed with LZMA, states 426,664 empty files without names.
    let many = decoded(
        "N3q8ryccAASXTjJD3wAAAAAAAAAdAAAAAAAAAETRF9QAAIGWsK2pa2G2OWKLp2FVI8shIOMN9hSaLFySJoUoTmzo4AZuyTXm\
        rgetxLStgEbACyXOpeqM0IYhxlPGRXfsDF4fj0J5hDJGkJx2231h9OAF7AV0KIFmiQO+1/h/N6d7iea+aooY3I9R0RuYkueg\
        yM4HBO6f3qVCy4g/XACP0E6vJiiUcR89jyThcJ6nI1/sKMuF0ZWYin4qkfIndfcZwAaYTZj92K/VkA/EJVP49ZE2MQWlsO5v\
        wXBNRwzRkRGqrWAdus6xJxhcWYbpZlJYvul2qlqzpsh3//9/PAAAFwYAAQmA3wAHCwEAASMDAQEFXQAAEAAMzbXVAAA=",
    );
    let (_, anomalies) = unpacked(&build(&vec![entry("a.7z", &many); 8]));
    assert!(!anomalies.contains(&"archive-too-large"));
    let (_, anomalies) = unpacked(&build(&vec![entry("a.7z", &many); 10]));
    assert!(anomalies.contains(&"archive-too-large"));
}

#[test]
fn a_7z_whose_header_asks_for_a_large_window_is_opened() {
    // printf one > a.txt; printf two > b.txt; bsdtar --format=7zip --options compression=lzma1 -cf - a.txt b.txt | base64,
    // and with lzma2: libarchive 3.
    for archive in [
        "N3q8ryccAAOEj1+WcwAAAAAAAAAhAAAAAAAAAIXy7RoAN5uI1KrpaZo8Ov/9ocAAAACBMweuD87ysgwHyEOAg4Fb/6x2z3g/\
        Dlvd8045N8NYnelZyYc1I25VpBvljYGmWYON25qu3+NhnUt9q1BzMyOQ4qdwxk65KlOupS0gpzjyz7ro5dRYx2fLan99B//+\
        3TwAFwYQAQljAAcLAQABIwMBAQVdAACAAAyAkgoBYJ1ADgAA",
        "N3q8ryccAAN45sc3bwAAAAAAAAAbAAAAAAAAANJI6VABAAVvbmV0d28A4ACLAF1dAACBMweuD85vVl76Dfokg54TXsyFQ7iX\
        6g3I19wG5RH5zuYt6AC4NiDY9zzM6vNlXACVyWMt7/ixjDxqSaRc+1NOUtum4oKdRVIsgZCcEwCb/o9laK5xYyRAgAAAAAAX\
        BgoBCWUABwsBAAEhIQEWDICMCgHTlfVdAAA=",
    ] {
        let (files, anomalies) = unpacked(&decoded(archive));
        let seen = files.iter().map(|file| (file.filename.as_str(), file.md5)).collect::<Vec<_>>();
        assert_eq!(seen, [("a.txt", Some(md5(b"one"))), ("b.txt", Some(md5(b"two")))]);
        assert_eq!(anomalies, Vec::<&str>::new());
    }
}

#[test]
fn a_7z_packed_in_a_way_of_its_own_is_not_called_damaged() {
    // printf one > a.txt; 7z a -mtm- -m0=ppmd -mhc=off p.7z a.txt
    let archive = decoded(
        "N3q8ryccAAS9ctj6CAAAAAAAAABGAAAAAAAAAJ8sHn4AbwIpjNuDAAEEBgABCQgABwsBAAEjAwQBBQYAAAEADAMACAoB8YZs\
        egAABQEZBgAAAAAAABENAGEALgB0AHgAdAAAABUGAQAggKSBAAA=",
    );
    let (files, anomalies) = unpacked(&archive);
    assert_eq!((files[0].filename.as_str(), files[0].size, files[0].truncated), ("a.txt", 3, false));
    assert_eq!((files[0].md5, anomalies), (None, vec!["archive-not-opened"]));
}

#[test]
fn a_7z_block_that_is_packed_twice_is_not_unpacked() {
    // b"hello" in bzip2 in LZMA; `7z t` takes it for sound.
    let twice = decoded(
        "N3q8ryccAASQljWqNgAAAAAAAAAxAAAAAAAAACVMc3IAIRaJbHE9q32J5jwVe8CprXk58tjiROez8QySBRmp8Y8bH+c+GW+c\
        5paQjxbnoEf//8+kAAABBAYAAQk2AAcLAQACAwQCAiMDAQEFXQAAAQAAAQwFKQAIDQEAAAUBEQUAYQAAAAAA",
    );
    let (files, anomalies) = unpacked(&twice);
    assert_eq!((files[0].filename.as_str(), files[0].size, files[0].truncated), ("a", 5, true));
    assert_eq!(anomalies, ["archive-damaged"]);
}

/// A directory record of ISO 9660 (ECMA-119, section 9.1).
fn record(block: u32, size: u32, flags: u8, name: &[u8]) -> Vec<u8> {
    let pad = 1 - name.len() % 2;
    let both = |number: u32| [number.to_le_bytes(), number.to_be_bytes()].concat();
    let length = (33 + name.len() + pad) as u8;
    let head = [&[length, 0][..], &both(block), &both(size), &[0; 7], &[flags, 0, 0], &[1, 0, 0, 1]].concat();
    [&head[..], &[name.len() as u8], name, &vec![0; pad]].concat()
}

#[test]
fn hard_links_of_an_image_are_read() {
    let sector = |mut bytes: Vec<u8>| {
        bytes.resize(2_048, 0);
        bytes
    };
    let mut volume = sector(b"\x01CD001\x01".to_vec());
    volume[128..132].copy_from_slice(&[0, 8, 8, 0]);
    let root = record(18, 2_048, 2, &[0]);
    volume[156..156 + root.len()].copy_from_slice(&root);
    let content = vec![7; 60_000];
    let names = [record(19, 60_000, 0, b"A.;1"), record(19, 60_000, 0, b"B.;1"), record(19, 60_000, 0, b"C.;1")];
    let image = [vec![0; 16 * 2_048], volume, sector(b"\xffCD001".to_vec()), sector(names.concat()), content.clone()];
    let (files, anomalies) = unpacked(&image.concat());
    let seen = files.iter().map(|file| (file.filename.as_str(), file.md5)).collect::<Vec<_>>();
    assert_eq!(seen, ["A", "B", "C"].map(|name| (name, Some(md5(&content)))));
    assert_eq!(anomalies, Vec::<&str>::new());
}

#[test]
fn directories_of_an_image_wait_within_a_bound() {
    let sectors = 600_u32;
    let mut volume = vec![0; 2_048];
    volume[..7].copy_from_slice(b"\x01CD001\x01");
    volume[128..132].copy_from_slice(&[0, 8, 8, 0]);
    let root = record(18, 2_048, 2, &[0]);
    volume[156..156 + root.len()].copy_from_slice(&root);
    let mut end = vec![0; 2_048];
    end[..6].copy_from_slice(b"\xffCD001");
    let mut image = [vec![0; 16 * 2_048], volume, end].concat();
    let sector = |mut records: Vec<u8>| {
        records.resize(2_048, 0);
        records
    };
    // Down to a path of some 3,800 bytes; there, 36,000 directories.
    image.extend((19..37).flat_map(|next| sector(record(next, 2_048, 2, &[b'd'; 200]))));
    image.extend(sector(record(38, sectors * 2_048, 2, &[b'd'; 200])));
    image.extend(sector(Vec::new()));
    for at in 0..sectors {
        image.extend(sector((0..60).flat_map(|n| record(1_000_000 + at * 60 + n, 0, 2, b"d")).collect()));
    }
    let (files, anomalies) = unpacked(&image);
    assert_eq!((files.len(), anomalies), (0, vec!["archive-too-many-members"]));
}

/// A stored member, said in both its headers to be packed with this method.
fn packed_with(method: u8, packed: &[u8]) -> Vec<u8> {
    let mut zip = build(&[Entry { deflate: false, ..entry("a", packed) }]);
    let central = zip.len() - 22 - 47;
    (zip[8], zip[central + 10]) = (method, method);
    zip
}

#[test]
fn a_member_of_a_zip_packed_in_a_way_of_its_own_is_told() {
    let (files, anomalies) = unpacked(&packed_with(6, b"imploded"));
    assert_eq!((files[0].filename.as_str(), files[0].md5), ("a", None));
    assert_eq!(anomalies, ["archive-not-opened"]);
}

/// APPNOTE.TXT, section 5.8.8: version, length of the properties, properties, of which four bytes are the window.
#[test]
fn a_member_of_a_zip_gets_no_window_beyond_the_bound() {
    let mut header = [9, 20, 5, 0, 0x5d, 0, 0, 0, 0xff].to_vec();
    header.extend([0; 64]);
    for packed in [&header[..], &header[..6], b""] {
        let (files, _) = unpacked(&packed_with(14, packed));
        assert_eq!((files.len(), files[0].md5), (1, None));
        assert!(files[0].truncated);
    }
}

#[test]
fn a_wrong_checksum_is_told() {
    let mut zip = build(&[Entry { deflate: false, ..entry("a", b"hello") }]);
    zip[31] ^= 1;
    let (files, anomalies) = unpacked(&zip);
    assert_eq!((anomalies, files[0].md5), (vec!["archive-checksum-differs"], Some(md5(b"iello"))));
}

proptest! {
    #[test]
    fn a_damaged_archive_is_opened(places in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let inner = build(&[entry("x", b"xx"), Entry { flags: 8, ..entry("y", b"yyyyyyyyy") }]);
        let mut zip = build(&[entry("a", b"abc"), Entry { deflate: false, ..entry("in.zip", &inner) }]);
        for (at, byte) in places {
            let at = at.index(zip.len());
            zip[at] = byte;
        }
        unpacked(&zip);
    }
}
