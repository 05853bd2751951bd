//! Builds the messages of rule tests: inert samples that have a worm's shape and nothing else of it.

use std::io::{Cursor, Write};

use zip::result::ZipResult;
use zip::unstable::write::FileOptionsExt;
use zip::write::{SimpleFileOptions, ZipWriter};
use zip::{CompressionMethod, DateTime};

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

/// A zip archive, its members stored; those `encrypted` under ZipCrypto, as the mailers of 2004 did. The same
/// members always give the same bytes.
pub(super) fn zip(members: &[Member]) -> ZipResult<Vec<u8>> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for member in members {
        let mut options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(DateTime::default());
        if member.encrypted {
            options = options.with_deprecated_encryption(PASSWORD)?;
        }
        writer.start_file(member.name.as_str(), options)?;
        writer.write_all(&member.content)?;
    }
    Ok(writer.finish()?.into_inner())
}

/// Ten hyphens and fifteen hexadecimal digits: the form the Mimail family used.
const BOUNDARY: &str = "----------8D1F3A5B7C9E0D2";
const PASSWORD: &[u8] = b"sample";

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
        let member = |encrypted| Member { name: "a.exe".into(), encrypted, content: program(64) };
        let archive = zip(&[member(true)]).unwrap();
        assert_eq!(archive[6] & 1, 1, "bit 0 of the local header's flags");
        assert_eq!(archive, zip(&[member(true)]).unwrap());
        let clear = zip(&[member(false)]).unwrap();
        assert_eq!(clear[6] & 1, 0);
        assert_eq!(archive.len(), clear.len() + 12, "PKWARE's encryption header");
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
