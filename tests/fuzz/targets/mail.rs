//! A message, headers and all.
//!
//! Input: a byte of circumstances, then the message.

use std::time::Duration;

use mailsnare::mail;
use mailsnare::model::event::Message;
use mailsnare::model::limits;
use mailsnare::model::mail::Findings;
use mailsnare::model::settings::InspectSettings;

use super::guard::Guard;
use super::input::Input;

pub fn run(input: &[u8]) {
    let mut input = Input(input);
    let circumstances = input.byte();
    let message = Message {
        bytes: input.0.to_vec(),
        size: input.0.len() as u64,
        truncated: circumstances & 1 != 0,
        gaps: u32::from(circumstances & 2 != 0),
    };
    let settings = settings(circumstances & 4 != 0);
    let guard = Guard::start();
    let findings = mail::inspect(&message, &settings);
    guard.check(TIME);
    check(&findings, &settings);
}

/// Small bounds, so that small inputs meet them.
pub fn settings(keep_content: bool) -> InspectSettings {
    InspectSettings {
        archive_depth: 3,
        archive_members: 20,
        archive_bytes: 256 << 10,
        keep_content,
        keep_bytes: 64 << 10,
        ..InspectSettings::default()
    }
}

/// What must hold of the findings of any message.
pub fn check(findings: &Findings, settings: &InspectSettings) {
    let email = findings.email.as_ref().expect("a message was read");
    assert!(email.parts as usize <= limits::MIME_PARTS + 1, "{} parts", email.parts);
    assert!(email.headers.len() <= limits::HEADER_FIELDS);
    assert!(email.text.len() <= limits::TEXT_BYTES + 4, "text of {} bytes", email.text.len());
    assert!(email.urls.len() <= limits::URLS && email.urls.iter().all(|url| url.len() <= limits::URL_BYTES + 4));
    assert!(email.to.len() <= limits::HEADER_ADDRESSES && email.cc.len() <= limits::HEADER_ADDRESSES);
    assert!(findings.anomalies.len() <= 2 * limits::ANOMALIES, "{} anomalies", findings.anomalies.len());
    let members = findings.files.iter().filter(|file| !file.container.is_empty()).count();
    assert!(members <= settings.archive_members, "{members} members");
    for file in &findings.files {
        assert!(file.filename.len() <= limits::FILE_NAME_BYTES, "a name of {} bytes", file.filename.len());
        assert!(file.container.len() <= settings.archive_depth, "{} archives deep", file.container.len());
        match &file.content {
            Some(content) => assert!(settings.keep_content && content.len() <= settings.keep_bytes),
            None => assert!(!settings.keep_content || file.size > 0 || file.md5.is_none() || file.encrypted),
        }
    }
}

/// Inputs are at most 64 KiB; this is a hundred times what they take, with all checks of a debug build on.
pub const TIME: Duration = Duration::from_secs(4);
