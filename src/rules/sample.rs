//! Builds the messages of rule tests: inert samples that have a worm's shape and nothing else of it.

use std::io::{Cursor, Write};

use zip::result::ZipResult;
use zip::write::{SimpleFileOptions, ZipWriter};
use zip::{CompressionMethod, DateTime, ZipArchive};

/// A file to be attached.
pub(super) struct Attachment {
    pub name: String,
    pub content_type: String,
    pub content: Vec<u8>,
}

/// A file to be put into an archive.
pub(super) struct Member {
    pub name: String,
    pub encrypted: bool,
    pub content: Vec<u8>,
}

/// A message from its headers and text as written, with line feeds; CRLF on the wire unless `bare_lf`.
/// Attachments make it multipart/mixed (RFC 2046, section 5.1.3), in base64.
pub(super) fn message(written: &str, attachments: &[Attachment], bare_lf: bool) -> Vec<u8> {
    let written = written.replace("\r\n", "\n");
    let mut text = if attachments.is_empty() { written } else { multipart(&written, attachments) };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    if !bare_lf {
        text = text.replace('\n', "\r\n");
    }
    text.into_bytes()
}

/// Whether a message as written says what type it is.
pub(super) fn has_content_type(written: &str) -> bool {
    let head = written.replace("\r\n", "\n");
    let head = head.split("\n\n").next().unwrap_or_default();
    head.lines().any(|line| line.split(':').next().is_some_and(|name| name.trim().eq_ignore_ascii_case("content-type")))
}

fn multipart(written: &str, attachments: &[Attachment]) -> String {
    let (head, body) = written.split_once("\n\n").unwrap_or((written, ""));
    let head = head.trim_end_matches('\n');
    let mut out = format!(
        "{head}\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"{BOUNDARY}\"\n\n\
         --{BOUNDARY}\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{body}\n"
    );
    for Attachment { name, content_type, content } in attachments {
        let encoded = encodify::base64::MIME.encode(content).replace("\r\n", "\n");
        out.push_str(&format!(
            "--{BOUNDARY}\nContent-Type: {content_type}; name=\"{name}\"\nContent-Transfer-Encoding: base64\n\
             Content-Disposition: attachment; filename=\"{name}\"\n\n{}\n",
            encoded.trim_end()
        ));
    }
    out.push_str(&format!("--{BOUNDARY}--\n"));
    out
}

/// What passes for a program: the two letters that begin one, and zeros. It does nothing.
pub(super) fn program(size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size.max(2)];
    bytes[..2].copy_from_slice(b"MZ");
    bytes
}

/// A zip archive, its members stored. The same members always give the same bytes; so those `encrypted` only look
/// it: marked, with PKWARE's twelve bytes in front, and scrambled (a real cipher would begin with random bytes).
pub(super) fn zip(members: &[Member]) -> ZipResult<Vec<u8>> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default());
    for member in members {
        writer.start_file(member.name.as_str(), options)?;
        if member.encrypted {
            writer.write_all(&[SCRAMBLE; ENCRYPTION_HEADER])?;
            writer.write_all(&member.content.iter().map(|byte| byte ^ SCRAMBLE).collect::<Vec<_>>())?;
        } else {
            writer.write_all(&member.content)?;
        }
    }
    let mut bytes = writer.finish()?.into_inner();
    let mut archive = ZipArchive::new(Cursor::new(bytes.as_slice()))?;
    let mut headers = Vec::new();
    for (index, member) in members.iter().enumerate().filter(|(_, member)| member.encrypted) {
        let found = archive.by_index_raw(index)?;
        headers.push((found.header_start() as usize, found.central_header_start() as usize, member.content.len()));
    }
    for (local, central, size) in headers {
        mark_encrypted(&mut bytes, local + LOCAL_FLAGS, local + LOCAL_SIZE, size);
        mark_encrypted(&mut bytes, central + CENTRAL_FLAGS, central + CENTRAL_SIZE, size);
    }
    Ok(bytes)
}

/// Sets the flag "encrypted" and the size without encryption header in a member's header.
fn mark_encrypted(bytes: &mut [u8], flags: usize, size_at: usize, size: usize) {
    if let Some(flags) = bytes.get_mut(flags) {
        *flags |= 1;
    }
    if let Some(field) = bytes.get_mut(size_at..size_at + 4) {
        field.copy_from_slice(&u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes());
    }
}

// PKWARE APPNOTE, sections 4.3.7 and 4.3.12: where headers have the general purpose flags and the uncompressed size.
const LOCAL_FLAGS: usize = 6;
const LOCAL_SIZE: usize = 22;
const CENTRAL_FLAGS: usize = 8;
const CENTRAL_SIZE: usize = 24;
/// APPNOTE, section 6.1.3.
const ENCRYPTION_HEADER: usize = 12;
const SCRAMBLE: u8 = 0x5a;

/// Ten hyphens and fifteen hexadecimal digits: the form the Mimail family used.
const BOUNDARY: &str = "----------8D1F3A5B7C9E0D2";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worms_archive_has_its_published_size() {
        let member = Member { name: "photos.jpg.exe".into(), encrypted: false, content: program(12_832) };
        let archive = zip(&[member]).unwrap();
        assert_eq!(archive.len(), 12_958);
        assert_eq!(&archive[44..46], b"MZ", "stored, 30 bytes of header and 14 of name before it");
    }

    #[test]
    fn an_encrypted_member_is_marked_and_not_in_clear() {
        let member = |name: &str, encrypted| Member { name: name.into(), encrypted, content: program(64) };
        let members = [member("a.exe", false), member("b.exe", true), member("c.exe", false)];
        let bytes = zip(&members).unwrap();
        assert_eq!(bytes, zip(&members).unwrap());
        let mut archive = ZipArchive::new(Cursor::new(bytes.as_slice())).unwrap();
        for (index, encrypted) in [false, true, false].into_iter().enumerate() {
            let read = archive.by_index_raw(index).unwrap();
            assert_eq!((read.encrypted(), read.size()), (encrypted, 64));
            assert_eq!(read.compressed_size(), if encrypted { 76 } else { 64 });
            assert_eq!(bytes[read.header_start() as usize + 6] & 1, u8::from(encrypted), "local header");
            let start = read.data_start().unwrap() as usize;
            assert_eq!(bytes[start..].starts_with(b"MZ"), !encrypted);
        }
        assert!(archive.by_index(1).is_err(), "it asks for a password");
    }

    #[test]
    fn line_ends_are_as_asked_for() {
        assert_eq!(message("A: b\n\nc", &[], false), b"A: b\r\n\r\nc\r\n");
        assert_eq!(message("A: b\r\n\r\nc\r\n", &[], true), b"A: b\n\nc\n");
    }

    #[test]
    fn attachments_are_parts() {
        let attachment =
            Attachment { name: "x.bin".into(), content_type: "image/jpeg".into(), content: vec![0xff; 60] };
        let built = String::from_utf8(message("Subject: s\n\nhello\n", &[attachment], false)).unwrap();
        let lines: Vec<_> = built.split("\r\n").collect();
        assert!(lines.contains(&"Content-Type: image/jpeg; name=\"x.bin\""), "{built}");
        assert!(lines.contains(&"hello"));
        // 60 bytes are 80 characters: one full line of 76 and one of 4 (RFC 2045, section 6.8).
        assert!(lines.windows(2).any(|two| two == ["/".repeat(76), "////".into()]), "{built}");
        assert_eq!(built.matches(BOUNDARY).count(), 4);
        assert!(!has_content_type("Subject: content-type\n\nContent-Type: x"));
        assert!(has_content_type("A: b\ncontent-type : x\n\n"));
    }
}
