//! An attachment as it is: archives above all, whatever their kind.
//!
//! Input: a byte of circumstances, then the file.

use mailsnare::mail;
use mailsnare::model::event::Message;

use super::guard::Guard;
use super::input::Input;
use super::mail::{TIME, check, settings};

pub fn run(input: &[u8]) {
    let mut input = Input(input);
    let circumstances = input.byte();
    let file = input.0;
    let bytes = [HEADERS, file].concat();
    let message = Message { size: bytes.len() as u64, bytes, truncated: circumstances & 1 != 0, gaps: 0 };
    let settings = settings(circumstances & 2 != 0);
    let guard = Guard::start();
    let findings = mail::inspect(&message, &settings);
    guard.check(TIME);
    check(&findings, &settings);
    let attachment = findings.files.first().expect("the attachment is told, whatever is in it");
    assert_eq!(attachment.filename, "a.zip");
    assert!(attachment.container.is_empty());
    assert_eq!(attachment.size, file.len() as u64, "as long as what was sent");
}

/// The body that follows is the file, byte for byte (RFC 3030, section 3).
const HEADERS: &[u8] = b"MIME-Version: 1.0\r\n\
    Content-Type: application/octet-stream\r\n\
    Content-Transfer-Encoding: binary\r\n\
    Content-Disposition: attachment; filename=\"a.zip\"\r\n\
    \r\n";
