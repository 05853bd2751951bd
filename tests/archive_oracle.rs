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

/// Each archive again, damaged in hundreds of ways: nothing panics, and every bound holds.
#[test]
fn damaged_archives_are_opened() {
    let made = match Command::new("python3").arg("-c").arg(include_str!("oracle/archives.py")).output() {
        Ok(made) => made,
        Err(error) => return eprintln!("skipped: python3 cannot be run: {error}"),
    };
    let lines = String::from_utf8(made.stdout).unwrap();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % below as u64).unwrap()
    };
    for case in lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let Some(data) = case["data"].as_str() else { continue };
        let data = encodify::base64::STANDARD.decode(data).unwrap();
        let header = if data.starts_with(b"7z") { 32 + number(&data, 12) } else { 0 };
        for round in 0..40 {
            let mut damaged = data.clone();
            for _ in 0..=round % 3 {
                // Half of the time where the headers are.
                let at = if round % 2 == 0 { header + next(data.len() - header) } else { next(data.len()) };
                damaged[at] = if round % 5 == 0 { 0xff } else { u8::try_from(next(256)).unwrap() };
            }
            if header > 0 {
                mend_checksums(&mut damaged, header);
            } else if round % 4 == 0 {
                damaged.truncate(next(data.len()));
            }
            let mut broken = case.clone();
            broken["data"] = json!(encodify::base64::STANDARD.encode(&damaged));
            let found = open(&broken);
            assert!(found.files.len() <= 1 + InspectSettings::default().archive_members);
        }
    }
}

/// Makes the checksums of a damaged 7z header right, or nothing behind them would be read.
fn mend_checksums(data: &mut [u8], header: usize) {
    let end = header + number(data, 20);
    if let Some(checksum) = data.get(header..end).map(crc) {
        data[28..32].copy_from_slice(&checksum.to_le_bytes());
    }
    let checksum = crc(&data[12..32]);
    data[8..12].copy_from_slice(&checksum.to_le_bytes());
}

fn crc(data: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(data);
    crc.sum()
}

fn number(data: &[u8], at: usize) -> usize {
    u32::from_le_bytes(data[at..at + 4].try_into().unwrap()) as usize
}

fn check(case: &Value) {
    let name = case["case"].as_str().unwrap();
    let found = open(case);
    let mut members = listed(&found, case["raw"].is_null());
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

/// Opens a message with this text and this attachment, or with a text that holds files.
fn open(case: &Value) -> Findings {
    if let Some(raw) = case["raw"].as_str() {
        let text = encodify::base64::STANDARD.decode(raw).unwrap();
        return found([&b"Subject: x\r\n\r\n"[..], &text].concat());
    }
    let data = encodify::base64::STANDARD.decode(case["data"].as_str().unwrap()).unwrap();
    let (text, file) = (case["text"].as_str().unwrap(), case["file"].as_str().unwrap());
    let bytes = format!(
        "Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
         Content-Disposition: attachment; filename=\"{file}\"\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n\
         --b\r\n\r\n{text}\r\n--b--\r\n",
        encodify::base64::STANDARD.encode(&data),
    );
    found(bytes.into_bytes())
}

fn found(bytes: Vec<u8>) -> Findings {
    let message = Message { size: bytes.len() as u64, bytes, ..Message::default() };
    inspect(&message, &InspectSettings::default())
}

fn listed(found: &Findings, members: bool) -> Vec<Value> {
    let members = found.files.iter().filter(|file| file.container.is_empty() != members);
    let listed = members.map(|file| {
        let mut line = file.container.iter().map(|name| json!(name)).collect::<Vec<_>>();
        let hash = file.sha256.map(|hash| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        line.extend([json!(file.filename), json!(file.size), json!(hash)]);
        Value::Array(line)
    });
    listed.collect()
}
