//! Messages and what is in them, with the facts a test wants to know: sizes and hashes as the sender has them.

use std::fmt::Write as _;
use std::io::{Cursor, Write as _};

use encodify::base64;
use md5::{Digest, Md5};
use serde::Serialize;
use sha1::Sha1;
use sha2::Sha256;
use zip::write::{SimpleFileOptions, ZipWriter};
use zip::{CompressionMethod, DateTime};

/// A finished message, before dots are stuffed.
#[derive(Clone, Debug)]
pub struct Message {
    pub bytes: Vec<u8>,
    pub subject: String,
    pub attachments: Vec<FileFacts>,
}

/// What is known of a file that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileFacts {
    pub name: String,
    pub size: u64,
    pub md5: String,
    pub sha1: String,
    pub sha256: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<FileFacts>,
}

impl FileFacts {
    /// The facts of a file without members.
    pub fn of(name: &str, content: &[u8]) -> Self {
        Self {
            name: name.into(),
            size: content.len() as u64,
            md5: hex(&Md5::digest(content)),
            sha1: hex(&Sha1::digest(content)),
            sha256: sha256(content),
            members: vec![],
        }
    }
}

/// An attachment to be.
#[derive(Clone, Debug)]
pub struct Attachment {
    pub content_type: String,
    pub content: Vec<u8>,
    pub facts: FileFacts,
}

impl Attachment {
    /// A plain file.
    pub fn new(name: &str, content_type: &str, content: Vec<u8>) -> Self {
        Self { content_type: content_type.into(), facts: FileFacts::of(name, &content), content }
    }

    /// A zip archive of stored members, without extra fields.
    pub fn zip(name: &str, content_type: &str, members: &[(&str, &[u8])]) -> Self {
        let mut attachment = Self::new(name, content_type, stored_zip(members));
        attachment.facts.members = members.iter().map(|(name, content)| FileFacts::of(name, content)).collect();
        attachment
    }
}

/// Builds a message: headers in the order they are given, then text, then attachments.
#[derive(Clone, Debug)]
pub struct Builder {
    headers: Vec<(String, String)>,
    text: String,
    attachments: Vec<Attachment>,
    boundary: String,
    line_end: &'static str,
}

impl Builder {
    /// A message of text; `text` has its lines separated by `\n`.
    pub fn new(text: &str) -> Self {
        let boundary = "=_part".into();
        Self { headers: vec![], text: text.into(), attachments: vec![], boundary, line_end: "\r\n" }
    }

    /// The next header; folds are the caller's.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Adds an attachment, in base64 of 76 columns.
    pub fn attach(mut self, attachment: Attachment) -> Self {
        self.attachments.push(attachment);
        self
    }

    /// What separates the parts.
    pub fn boundary(mut self, boundary: &str) -> Self {
        self.boundary = boundary.into();
        self
    }

    /// Lines end in a bare line feed, as some worms have it.
    pub fn bare_line_feeds(mut self) -> Self {
        self.line_end = "\n";
        self
    }

    /// The message. `Content-Type` and its kin follow the given headers.
    pub fn build(self) -> Message {
        let mut out = String::new();
        let mut subject = String::new();
        for (name, value) in &self.headers {
            let _ = writeln!(out, "{name}: {value}");
            if name.eq_ignore_ascii_case("subject") {
                subject.clone_from(value);
            }
        }
        out.push_str("MIME-Version: 1.0\n");
        if self.attachments.is_empty() {
            out.push_str("Content-Type: text/plain; charset=us-ascii\nContent-Transfer-Encoding: 7bit\n\n");
            let _ = writeln!(out, "{}", self.text);
        } else {
            self.multipart(&mut out);
        }
        let bytes = if self.line_end == "\n" { out } else { out.replace('\n', self.line_end) }.into_bytes();
        Message { bytes, subject, attachments: self.attachments.into_iter().map(|a| a.facts).collect() }
    }

    fn multipart(&self, out: &mut String) {
        let boundary = &self.boundary;
        let _ = write!(out, "Content-Type: multipart/mixed;\n boundary=\"{boundary}\"\n\n");
        let _ = write!(out, "--{boundary}\nContent-Type: text/plain; charset=us-ascii\n");
        let _ = write!(out, "Content-Transfer-Encoding: 7bit\n\n{}\n", self.text);
        for Attachment { content_type, content, facts } in &self.attachments {
            let name = &facts.name;
            let _ = write!(out, "--{boundary}\nContent-Type: {content_type};\n name=\"{name}\"\n");
            let _ = writeln!(out, "Content-Transfer-Encoding: base64");
            let _ = write!(out, "Content-Disposition: attachment;\n filename=\"{name}\"\n\n");
            out.push_str(&base64_lines(content));
        }
        let _ = write!(out, "\n--{boundary}--\n\n");
    }
}

/// Base64 in lines of 76 characters (RFC 2045, section 6.8), each ended by a line feed.
pub fn base64_lines(content: &[u8]) -> String {
    let encoded = base64::STANDARD.encode(content);
    let mut lines = String::with_capacity(encoded.len() + encoded.len() / 76 + 1);
    for line in encoded.as_bytes().chunks(76) {
        lines.extend(line.iter().map(|byte| char::from(*byte)));
        lines.push('\n');
    }
    lines
}

/// A zip archive of stored members, dated 31 October 2003: 76 bytes and twice the name for each, and 22 at the end.
/// Deflated archives would change with the compressor's version, and with them every committed capture.
pub fn stored_zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let date = DateTime::from_date_and_time(2003, 10, 31, 9, 0, 0).expect("a date zip can express");
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .unix_permissions(0o644)
        .last_modified_time(date);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in members {
        writer.start_file(*name, options).expect("memory takes all writes");
        writer.write_all(content).expect("memory takes all writes");
    }
    writer.finish().expect("memory takes all writes").into_inner()
}

/// SHA-256 in lower-case hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_the_published_ones() {
        // RFC 1321, FIPS 180-4: "abc".
        let facts = FileFacts::of("abc", b"abc");
        assert_eq!(facts.md5, "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(facts.sha1, "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(facts.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn a_message_is_laid_out_as_mime_has_it() {
        let message = Builder::new("Hello.\n.dot").header("Subject", "Report").boundary("xx");
        let plain = String::from_utf8(message.clone().build().bytes).unwrap();
        assert!(plain.starts_with("Subject: Report\r\nMIME-Version: 1.0\r\n"));
        assert!(plain.ends_with("\r\n\r\nHello.\r\n.dot\r\n"));
        let built = message.attach(Attachment::new("a.bin", "application/octet-stream", vec![0; 57 * 2])).build();
        let text = String::from_utf8(built.bytes).unwrap();
        assert_eq!(text.matches("--xx\r\n").count(), 2);
        assert!(text.contains(&format!("\r\n\r\n{0}\r\n{0}\r\n\r\n--xx--\r\n", "A".repeat(76))));
        assert_eq!(built.attachments[0].size, 114);
        assert_eq!(built.subject, "Report");
    }

    #[test]
    fn archives_are_stored_without_extra_fields() {
        let archive = stored_zip(&[("a.txt", b"one"), ("bb.txt", b"three")]);
        assert_eq!(archive.len(), 2 * 76 + 2 * (5 + 6) + 8 + 22);
        assert!(archive.windows(5).any(|window| window == b"three"));
    }
}
