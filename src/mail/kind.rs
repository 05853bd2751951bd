//! What a file is, told by its first bytes alone: names lie.
//!
//! One ordered table of magic numbers, as published by the formats themselves; the first that fits wins.

use memchr::memmem;

use crate::model::mail::FileKind;

/// Bytes from the start of a file that [`kind`] may look at: an ISO 9660 image shows itself only after 32 KiB.
pub const KIND_BYTES: usize = 64 << 10;

/// A file's type. `data` is the file's beginning, at least [`KIND_BYTES`] of it where there are as many.
pub fn kind(data: &[u8]) -> FileKind {
    if data.is_empty() {
        return FileKind("empty");
    }
    if let Some((_, _, name)) = MAGIC.iter().find(|(offset, magic, _)| has(data, *offset, magic)) {
        return FileKind(match *name {
            "zip" => zip_based(data),
            "ole" => compound(data),
            name => name,
        });
    }
    let shaped = fat_or_class(data).or_else(|| bzip2(data)).or_else(|| old_tar(data));
    let shaped = shaped.or_else(|| bitmap(data)).or_else(|| pkcs7(data).map(|_| "pkcs7"));
    if let Some(name) = shaped.or_else(|| wide_text(data)).or_else(|| markup(data)).or_else(|| late_pdf(data)) {
        return FileKind(name);
    }
    if is_text(data) { FileKind("text") } else { FileKind::default() }
}

/// Whether a file of this kind is sealed as a whole, for its recipient alone to open: S/MIME (RFC 8551, section 3.3) and
/// OpenPGP (RFC 9580, section 6.2.1).
pub fn is_sealed(kind: FileKind, data: &[u8]) -> bool {
    match kind.0 {
        "pkcs7" => matches!(pkcs7(data), Some(ENVELOPED | AUTHENTICATED_ENVELOPED)),
        "pgp" => data.trim_ascii_start().starts_with(b"-----BEGIN PGP MESSAGE-----"),
        _ => false,
    }
}

fn has(data: &[u8], offset: usize, magic: &[u8]) -> bool {
    data.get(offset..).is_some_and(|rest| rest.starts_with(magic))
}

/// Formats that are zips, told by the first member, which each of them prescribes: Office Open XML (ECMA-376, part 2),
/// OpenDocument (its part 2, section 3.3), JAR.
fn zip_based(data: &[u8]) -> &'static str {
    let name = data.get(30..).unwrap_or_default();
    match () {
        () if name.starts_with(b"[Content_Types].xml") || name.starts_with(b"_rels/.rels") => "ooxml",
        () if name.starts_with(b"mimetypeapplication/vnd.oasis.opendocument") => "odf",
        () if name.starts_with(b"META-INF/") => "jar",
        () => "zip",
    }
}

/// A compound file (MS-CFB) whose root entry has the class of Windows Installer is an installation package, which runs
/// when it is opened. Section 2.2: sector size at 30, first directory sector at 48; section 2.6.1: class at 80 of an
/// entry, of which the root is the first.
fn compound(data: &[u8]) -> &'static str {
    let class = || {
        let shift = data.get(30).filter(|shift| **shift <= 12)?;
        let sector = u32::from_le_bytes(*data.get(48..)?.first_chunk()?);
        let at = (u64::from(sector) + 1).checked_shl(u32::from(*shift))?.checked_add(80)?;
        data.get(usize::try_from(at).ok()?..)?.get(..16)
    };
    if class() == Some(INSTALLER_CLASS) { "msi" } else { "ole" }
}

/// Three letters are no magic number by themselves: a block, or the end, must follow the level.
fn bzip2(data: &[u8]) -> Option<&'static str> {
    let rest =
        data.strip_prefix(b"BZh").filter(|rest| rest.first().is_some_and(|level| (b'1'..=b'9').contains(level)))?;
    let begins = [&b"1AY&SY"[..], b"\x17rE8P\x90"].iter().any(|magic| has(rest, 1, magic));
    begins.then_some("bzip2")
}

/// tar before POSIX had no magic number, but a checksum: the header's bytes, its own counted as spaces.
fn old_tar(data: &[u8]) -> Option<&'static str> {
    let header = data.get(..512)?;
    let digits = header.get(148..156)?.split(|byte| matches!(byte, 0 | b' ')).find(|digits| !digits.is_empty())?;
    let stated = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()?;
    let sum = header.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) });
    (header.first() != Some(&0) && sum.sum::<u32>() == stated).then_some("tar")
}

/// The content type of a CMS structure (RFC 5652, section 3): a sequence that begins with its object identifier.
fn pkcs7(data: &[u8]) -> Option<&[u8]> {
    let [0x30, length, rest @ ..] = data else { return None };
    let more = usize::from(length & 0x7f);
    let rest = if *length < 0x80 { rest } else { rest.get(more..).filter(|_| more <= 4)? };
    let [0x06, length, rest @ ..] = rest else { return None };
    let identifier = rest.get(..usize::from(*length))?;
    (identifier.starts_with(PKCS_7) || identifier == AUTHENTICATED_ENVELOPED).then_some(identifier)
}

/// Readers of PDF take what stands before its first line for nothing, up to 1,024 bytes (implementation notes of Adobe's
/// PDF reference 1.7, appendix H, section 3.4.1).
fn late_pdf(data: &[u8]) -> Option<&'static str> {
    let head = data.get(..PDF_PROBE).unwrap_or(data);
    let at = memmem::find(head, b"%PDF-")?;
    matches!(head.get(at.checked_sub(1)?), Some(b'\n' | b'\r')).then_some("pdf")
}

/// UTF-16 behind a byte order mark: what a text or a script is saved as when Windows says "Unicode".
fn wide_text(data: &[u8]) -> Option<&'static str> {
    let head = data.get(..TEXT_PROBE).unwrap_or(data);
    let from_bytes = match head.first_chunk()? {
        b"\xff\xfe" => u16::from_le_bytes,
        b"\xfe\xff" => u16::from_be_bytes,
        _ => return None,
    };
    let units = head.get(2..)?.as_chunks::<2>().0.iter().map(|unit| from_bytes(*unit));
    let text = char::decode_utf16(units).collect::<Result<String, _>>().ok()?;
    (!text.is_empty() && is_text(text.as_bytes())).then(|| markup(text.as_bytes()).unwrap_or("text"))
}

/// Mach-O universal binaries and Java classes share a magic number: a class file's version is at least 45, a
/// universal binary has a handful of architectures.
fn fat_or_class(data: &[u8]) -> Option<&'static str> {
    let rest = data.strip_prefix(b"\xca\xfe\xba\xbe")?;
    match rest.get(2..4)? {
        [0, 0..=40] => Some("macho"),
        _ => Some("class"),
    }
}

/// Two letters are no magic number by themselves: a bitmap's reserved fields must be zero as well.
fn bitmap(data: &[u8]) -> Option<&'static str> {
    (data.starts_with(b"BM") && data.get(6..10) == Some(&[0; 4])).then_some("bmp")
}

/// Text formats, after a byte order mark and white space.
fn markup(data: &[u8]) -> Option<&'static str> {
    let data = data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data).trim_ascii_start();
    let head = data.get(..MARKUP_BYTES).unwrap_or(data).to_ascii_lowercase();
    let (_, name) = MARKUP.iter().find(|(start, _)| head.starts_with(start))?;
    match *name {
        "xml" if memmem::find(&head, b"<svg").is_some() => Some("svg"),
        // Windows Script Host runs jobs within a prologue, too.
        "xml" if memmem::find(&head, b"<job").is_some() && memmem::find(&head, b"<script").is_some() => Some("script"),
        // An HTML application runs with its user's rights.
        "html" if memmem::find(&head, b"<hta:application").is_some() => Some("hta"),
        name => Some(name),
    }
}

/// Text is UTF-8 or a single-byte charset: no control characters besides white space, escape and form feed.
fn is_text(data: &[u8]) -> bool {
    let head = data.get(..TEXT_PROBE).unwrap_or(data);
    // All bytes are looked at, since that takes many at a time; there are not many.
    let has_control = head.iter().fold(false, |found, byte| found | is_control(*byte));
    !has_control
        && (std::str::from_utf8(head).map_or_else(|e| e.error_len().is_none(), |_| true)
            || head.iter().filter(|byte| byte.is_ascii()).count() * 4 >= head.len() * 3)
}

/// Whether a byte does not belong into text.
const fn is_control(byte: u8) -> bool {
    let allowed = matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b | 0x1a);
    (byte < 0x20) & !allowed | (byte == 0x7f)
}

/// {000C1084-0000-0000-C000-000000000046} as it lies in a file.
const INSTALLER_CLASS: &[u8] = b"\x84\x10\x0c\0\0\0\0\0\xc0\0\0\0\0\0\0\x46";

/// PKCS #7, whose content types end in one number more (RFC 5652, section 14); 3 is enveloped data.
const PKCS_7: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07";
const ENVELOPED: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03";
/// RFC 5083, section 2.1.
const AUTHENTICATED_ENVELOPED: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x17";

const PDF_PROBE: usize = 1_024;
const MARKUP_BYTES: usize = 4_096;
const TEXT_PROBE: usize = 4_096;

/// Offset, magic number, name.
const MAGIC: &[(usize, &[u8], &str)] = &[
    (0, b"PK\x03\x04", "zip"),
    (0, b"PK\x05\x06", "zip"),
    (0, b"PK\x07\x08PK", "zip"),
    (0, b"PK00PK\x03\x04", "zip"),
    (0, b"\x1f\x8b\x08", "gzip"),
    (0, b"\xfd7zXZ\x00", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"Rar!\x1a\x07", "rar"),
    (0, b"MSCF\0\0\0\0", "cab"),
    (0, b"\x60\xea", "arj"),
    (2, b"-lh", "lzh"),
    (2, b"-lz", "lzh"),
    (7, b"**ACE**", "ace"),
    (257, b"ustar", "tar"),
    (32_769, b"CD001", "iso"),
    // UDF alone (ECMA-167, part 2, section 9.1): without a volume of ISO 9660 beside it.
    (32_769, b"BEA01", "udf"),
    // Disc images that Windows opens with two clicks (MS-VHDX, section 2.2.1, and the format before it).
    (0, b"conectix", "vhd"),
    (0, b"vhdxfile", "vhd"),
    // A DOS header without a valid PE header behind it still runs, or is a sample with its teeth drawn.
    (0, b"MZ", "pe"),
    (0, b"ZM", "pe"),
    (0, b"\x7fELF", "elf"),
    (0, b"\xfe\xed\xfa\xce", "macho"),
    (0, b"\xfe\xed\xfa\xcf", "macho"),
    (0, b"\xce\xfa\xed\xfe", "macho"),
    (0, b"\xcf\xfa\xed\xfe", "macho"),
    (0, b"\x4c\0\0\0\x01\x14\x02\0", "lnk"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
    (0, b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d", "onenote"),
    (0, b"\x78\x9f\x3e\x22", "tnef"),
    (0, b"ITSF\x03\0\0\0", "chm"),
    (0, b"%PDF-", "pdf"),
    (0, b"{\\rt", "rtf"),
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"\xff\xd8\xff", "jpeg"),
    (0, b"GIF87a", "gif"),
    (0, b"GIF89a", "gif"),
    (0, b"II*\0", "tiff"),
    (0, b"MM\0*", "tiff"),
    (8, b"WEBP", "webp"),
    (8, b"AVI ", "avi"),
    (8, b"WAVE", "wav"),
    (4, b"ftyp", "mp4"),
    (0, b"ID3", "mp3"),
    (0, b"OggS\0", "ogg"),
    (0, b"\0asm", "wasm"),
    (0, b"FWS", "flash"),
    (0, b"CWS", "flash"),
    (0, b"#!", "script"),
];

/// How a text format begins, in lower case.
const MARKUP: &[(&[u8], &str)] = &[
    (b"<!doctype html", "html"),
    (b"<html", "html"),
    (b"<head", "html"),
    (b"<body", "html"),
    (b"<script", "html"),
    (b"<iframe", "html"),
    (b"<meta", "html"),
    (b"<hta:application", "hta"),
    (b"<title", "html"),
    (b"<!--", "html"),
    (b"<job", "script"),
    (b"<package", "script"),
    (b"<?xml", "xml"),
    (b"<svg", "svg"),
    (b"@echo off", "script"),
    (b"#!", "script"),
    (b"<?php", "script"),
    (b"on error resume next", "script"),
    (b"[internetshortcut]", "url"),
    (b"windows registry editor version", "reg"),
    (b"regedit4", "reg"),
    (b"-----begin pgp ", "pgp"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_files_by_their_magic_numbers() {
        let mut tar = vec![b'a'; 257];
        tar.extend_from_slice(b"ustar\x0000");
        let mut iso = vec![0; 32_769];
        iso.extend_from_slice(b"CD001\x01");
        let mut v7 = vec![0; 512];
        v7[..5].copy_from_slice(b"a.txt");
        let sum = b"a.txt".iter().map(|byte| u32::from(*byte)).sum::<u32>() + 8 * 32;
        v7[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let mut msi = vec![0; 2_048];
        msi[..8].copy_from_slice(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1");
        (msi[30], msi[48]) = (9, 1);
        let ole = msi.clone();
        msi[1_104..1_120].copy_from_slice(INSTALLER_CLASS);
        let zip = |first: &str| [&b"PK\x03\x04"[..], &[0; 26], first.as_bytes()].concat();
        let files: Vec<(&[u8], &str)> = vec![
            (b"", "empty"),
            (b"PK\x03\x04\x0a\0", "zip"),
            (b"PK\x05\x06\0\0", "zip"),
            (b"\x1f\x8b\x08\0", "gzip"),
            (b"MZ\x90\0", "pe"),
            (b"MZ", "pe"),
            (b"\xca\xfe\xba\xbe\0\0\0\x02", "macho"),
            (b"\xca\xfe\xba\xbe\0\0\0\x34", "class"),
            (b"%PDF-1.4\n", "pdf"),
            (b"  <!DOCTYPE html><p>", "html"),
            (b"<?xml version=\"1.0\"?><svg xmlns=\"x\"/>", "svg"),
            (b"hello\r\n", "text"),
            ("caf\u{e9}".as_bytes(), "text"),
            (b"\x00\x01\x02", "unknown"),
            (b"BM is a text", "text"),
            (&tar, "tar"),
            (&iso, "iso"),
            (&v7, "tar"),
            (&v7[..511], "unknown"),
            (&msi, "msi"),
            (&ole, "ole"),
            (b"BZh91AY&SY\0", "bzip2"),
            (b"BZh is a text", "text"),
            (b"<html><head><HTA:APPLICATION id=x>", "hta"),
            (b"#!/bin/sh\n", "script"),
            (b"\x4c\0\0\0\x01\x14\x02\0", "lnk"),
            (b"7z\xbc\xaf\x27\x1c", "7z"),
            (b"Rar!\x1a\x07\x01\0", "rar"),
            (b"MSCF\0\0\0\0", "cab"),
            (b"\x60\xea\x2a", "arj"),
            (b"  -lh5-", "lzh"),
            (b"\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03\xa0\x80", "pkcs7"),
            (b"\x30\x82\x01\0\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02", "pkcs7"),
            (b"\x30\x82\x01\0\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", "unknown"), // a key
            (b"-----BEGIN PGP MESSAGE-----\n", "pgp"),
            (b"\xff\xfeO\0n\0 \0E\0r\0r\0o\0r\0 \0R\0e\0s\0u\0m\0e\0 \0N\0e\0x\0t\0\r\0\n\0", "script"),
            (b"\xfe\xff\0h\0i", "text"),
            (b"\xff\xfe\0\0\x01\0", "unknown"),
            (b"junk\r\n%PDF-1.4\n", "pdf"),
            (b"about %PDF-1.4\n", "text"),
            (b"[InternetShortcut]\r\nURL=file://x/y.exe\r\n", "url"),
            (b"<?xml version='1.0'?><package><job><script>1", "script"),
        ];
        for (first, name) in [("[Content_Types].xml", "ooxml"), ("META-INF/MANIFEST.MF", "jar"), ("x", "zip")] {
            assert_eq!(kind(&zip(first)), FileKind(name));
        }
        for (data, name) in files {
            assert_eq!(kind(data), FileKind(name), "{:?}", data.get(..20));
        }
    }

    #[test]
    fn every_kind_is_one_that_rules_may_ask_for() {
        let named = MAGIC.iter().map(|(_, _, name)| *name).chain(MARKUP.iter().map(|(_, name)| *name));
        let others = ["pkcs7", "macho", "class", "bmp", "svg", "text", "empty", "msi", "hta", "jar", "ooxml", "odf"];
        for name in named.chain(others).chain([FileKind::default().0]) {
            assert!(FileKind::ALL.contains(&name), "add \"{name}\" to FileKind::ALL");
        }
    }

    #[test]
    fn text_cut_within_a_character_is_still_text() {
        let text = "\u{43f}".repeat(4_000);
        assert_eq!(kind(text.as_bytes()), FileKind("text"));
        assert_eq!(kind(&text.as_bytes()[..4_095]), FileKind("text"));
    }
}
