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
        return FileKind(name);
    }
    if let Some(name) = fat_or_class(data).or_else(|| bitmap(data)).or_else(|| markup(data)) {
        return FileKind(name);
    }
    if is_text(data) { FileKind("text") } else { FileKind::default() }
}

fn has(data: &[u8], offset: usize, magic: &[u8]) -> bool {
    data.get(offset..).is_some_and(|rest| rest.starts_with(magic))
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
    if *name == "xml" && memmem::find(&head, b"<svg").is_some() { Some("svg") } else { Some(name) }
}

/// Text is UTF-8 or a single-byte charset: no control characters besides white space, escape and form feed.
fn is_text(data: &[u8]) -> bool {
    let head = data.get(..TEXT_PROBE).unwrap_or(data);
    head.iter().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b | 0x1a | 0x20..=0x7e | 0x80..))
        && (std::str::from_utf8(head).map_or_else(|e| e.error_len().is_none(), |_| true)
            || head.iter().filter(|byte| byte.is_ascii()).count() * 4 >= head.len() * 3)
}

const MARKUP_BYTES: usize = 1_024;
const TEXT_PROBE: usize = 4_096;

/// Offset, magic number, name.
const MAGIC: &[(usize, &[u8], &str)] = &[
    (0, b"PK\x03\x04", "zip"),
    (0, b"PK\x05\x06", "zip"),
    (0, b"PK\x07\x08PK", "zip"),
    (0, b"PK00PK\x03\x04", "zip"),
    (0, b"\x1f\x8b\x08", "gzip"),
    (0, b"BZh", "bzip2"),
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
    (b"<job", "script"),
    (b"<package", "script"),
    (b"<?xml", "xml"),
    (b"<svg", "svg"),
    (b"@echo off", "script"),
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
        let files: [(&[u8], &str); 17] = [
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
        ];
        for (data, name) in files {
            assert_eq!(kind(data), FileKind(name), "{:?}", data.get(..20));
        }
    }

    #[test]
    fn every_kind_is_one_that_rules_may_ask_for() {
        let named = MAGIC.iter().map(|(_, _, name)| *name).chain(MARKUP.iter().map(|(_, name)| *name));
        for name in named.chain(["macho", "class", "bmp", "svg", "text", "empty", FileKind::default().0]) {
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
