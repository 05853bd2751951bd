//! Messages made and read by Python's standard library must hold the same for us: names, sizes, hashes, members.

use std::process::Command;

use mailsnare::mail::inspect;
use mailsnare::model::event::Message;
use mailsnare::model::mail::{FileFact, Findings};
use mailsnare::model::settings::InspectSettings;
use serde_json::Value;

#[test]
fn agrees_with_python() {
    let made = match Command::new("python3").arg("-c").arg(include_str!("oracle/mail.py")).output() {
        Ok(made) => made,
        Err(error) => return eprintln!("skipped: python3 cannot be run: {error}"),
    };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let lines = String::from_utf8(made.stdout).unwrap();
    let cases = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>();
    assert!(cases.len() > 150);
    for case in &cases {
        check(case);
    }
}

fn check(case: &Value) {
    let bytes = encodify::base64::STANDARD.decode(text(&case["mail"])).unwrap();
    let wire = String::from_utf8_lossy(bytes.get(..1_500).unwrap_or(&bytes)).into_owned();
    let message = Message { size: bytes.len() as u64, bytes, ..Message::default() };
    let found = inspect(&message, &InspectSettings::default());

    let email = found.email.as_ref().unwrap();
    let from = email.from.as_deref().map(address).unwrap_or_default();
    assert_eq!(from, text(&case["from"]), "From of {wire}");
    let to = email.to.iter().map(|to| address(to)).collect::<Vec<_>>();
    assert_eq!(to, case["to"].as_array().unwrap().iter().map(text).collect::<Vec<_>>(), "To of {wire}");
    assert_eq!(email.subject.as_deref().map(str::trim), case["subject"].as_str().map(str::trim), "Subject of {wire}");

    assert_eq!(attachments(&found), lines(&case["files"]), "files of {wire}");
    assert_eq!(members(&found), lines(&case["members"]), "members of {wire}");
}

/// The attachments as name, size, MD5, SHA-256; messages within the message are not listed by the oracle.
fn attachments(found: &Findings) -> Vec<String> {
    let files = found.files.iter().filter(|file| file.container.is_empty());
    sorted(files.filter(|file| file.content_type.as_deref() != Some("message/rfc822")).map(|file| {
        let (md5, sha256) = (file.md5.as_ref().map(|h| hex(h)), file.sha256.as_ref().map(|h| hex(h)));
        format!("{:?}", [file.filename.clone(), file.size.to_string(), md5.unwrap(), sha256.unwrap()])
    }))
}

fn members(found: &Findings) -> Vec<String> {
    sorted(found.files.iter().filter(|file| !file.container.is_empty()).map(|file: &FileFact| {
        let hash = file.sha256.as_ref().map(|hash| hex(hash)).unwrap();
        format!("{:?}", [&file.container[..], &[file.filename.clone(), file.size.to_string(), hash]].concat())
    }))
}

fn lines(lists: &Value) -> Vec<String> {
    let show = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let lists = lists.as_array().unwrap().iter().map(|list| list.as_array().unwrap());
    sorted(lists.map(|list| format!("{:?}", list.iter().map(show).collect::<Vec<_>>())))
}

fn sorted(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines = lines.collect::<Vec<_>>();
    lines.sort();
    lines
}

/// The address of `Name <address>`.
fn address(shown: &str) -> &str {
    shown.rsplit_once('<').map_or(shown, |(_, address)| address.trim_end_matches('>'))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
