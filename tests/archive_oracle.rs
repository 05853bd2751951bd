//! Archives made by Python's standard library and the system's packers must list the same members for us: names, sizes,
//! hashes, and what lies within archives within.

use std::process::Command;

use mailsnare::mail::inspect;
use mailsnare::model::event::Message;
use mailsnare::model::mail::Findings;
use mailsnare::model::settings::InspectSettings;
use serde_json::{Value, json};

#[test]
fn agrees_with_the_packers() {
    let made = match Command::new("python3").arg("-c").arg(include_str!("oracle/archives.py")).output() {
        Ok(made) => made,
        Err(error) => return eprintln!("skipped: python3 cannot be run: {error}"),
    };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let lines = String::from_utf8(made.stdout).unwrap();
    let mut seen = 0;
    for case in lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        match case["skipped"].as_str() {
            Some(why) => eprintln!("skipped {}: {why}", case["case"]),
            None => check(&case),
        }
        seen += 1;
    }
    assert!(seen > 40, "{seen} cases");
}

fn check(case: &Value) {
    let name = case["case"].as_str().unwrap();
    let found = open(case);
    let mut members = members(&found);
    let mut expected = case["members"].as_array().unwrap().clone();
    // Packers sort as they like.
    if name.contains("7z") || name.starts_with("zip-aes") {
        members.sort_by_key(Value::to_string);
        expected.sort_by_key(Value::to_string);
    }
    assert_eq!(Value::Array(members), Value::Array(expected), "{name}: {:?}", found.anomalies);
    let anomalies = found.anomalies.iter().map(|anomaly| anomaly.name).filter(|name| !name.starts_with("file-name"));
    let told: &[&str] = match name {
        "zip-unlisted" => &["zip-member-unlisted"],
        _ if name.ends_with("-said") => &["archive-password-in-text"],
        _ => &[],
    };
    assert_eq!(anomalies.collect::<Vec<_>>(), told, "{name}");
    let encrypted = name.ends_with("-said") || ["zip-crypto", "7z-encrypted"].contains(&name) || name.contains("aes");
    let files = found.files.iter().filter(|file| !file.container.is_empty() && file.size > 0);
    files.for_each(|file| assert_eq!(file.encrypted, encrypted, "{name}: {}", file.filename));
}

/// Opens a message with this text and this attachment.
fn open(case: &Value) -> Findings {
    let data = encodify::base64::STANDARD.decode(case["data"].as_str().unwrap()).unwrap();
    let (text, file) = (case["text"].as_str().unwrap(), case["file"].as_str().unwrap());
    let bytes = format!(
        "Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
         Content-Disposition: attachment; filename=\"{file}\"\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n\
         --b\r\n\r\n{text}\r\n--b--\r\n",
        encodify::base64::STANDARD.encode(&data),
    );
    let message = Message { size: bytes.len() as u64, bytes: bytes.into_bytes(), ..Message::default() };
    inspect(&message, &InspectSettings::default())
}

fn members(found: &Findings) -> Vec<Value> {
    let members = found.files.iter().filter(|file| !file.container.is_empty());
    let listed = members.map(|file| {
        let mut line = file.container.iter().map(|name| json!(name)).collect::<Vec<_>>();
        let hash = file.sha256.map(|hash| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        line.extend([json!(file.filename), json!(file.size), json!(hash)]);
        Value::Array(line)
    });
    listed.collect()
}
