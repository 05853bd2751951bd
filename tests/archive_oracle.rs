//! Archives made by Python's standard library and the system's packers must list the same members for us: names, sizes,
//! hashes, and what lies within archives within.

use std::process::Command;

use mailsnare::inspector::Inspector;
use mailsnare::mail::inspect;
use mailsnare::model::event::{Message, SmtpEvent};
use mailsnare::model::mail::Findings;
use mailsnare::model::net::{Direction, HomeNet};
use mailsnare::model::settings::InspectSettings;
use mailsnare::rules::RuleSet;
use serde_json::{Value, json};

#[test]
fn agrees_with_the_packers() {
    let Some(cases) = made() else { return };
    let skipped = cases.iter().filter(|case| case["skipped"].is_string());
    skipped.for_each(|case| eprintln!("skipped {}: {}", case["case"], case["skipped"]));
    let whole: Vec<_> = cases.iter().filter(|case| case["skipped"].is_null()).collect();
    whole.iter().for_each(|case| check(case));
    assert!(cases.len() > 80, "{} cases", cases.len());
    assert!(
        std::env::var_os("CI").is_none() || whole.len() == cases.len(),
        "packers are missing: run tests/setup.sh --all"
    );
}

/// What malspam of today sends: a program behind two extensions, in what scanners open less often.
#[test]
fn rules_see_into_every_kind_of_archive() {
    let Some(cases) = made() else { return };
    let (rules, settings) = (RuleSet::builtin(), InspectSettings::default());
    let inspector = Inspector::new(HomeNet::default(), settings);
    let mut seen = Vec::new();
    for case in &cases {
        let name = case["case"].as_str().unwrap();
        let program = |member: &Value| {
            member
                .as_array()
                .unwrap()
                .iter()
                .any(|word| matches!(word.as_str(), Some("invoice.pdf.exe" | "photos.jpg.exe")))
        };
        if case["members"].as_array().is_none_or(|members| !members.iter().any(program)) || case["raw"].is_string() {
            continue;
        }
        let message = message(case);
        let mut smtp = SmtpEvent { message: Some(message), ..SmtpEvent::default() };
        let found = inspector.inspect_mail(&rules, &mut smtp, Direction::Outbound);
        let hits: Vec<_> = found.hits.iter().map(|hit| rules.rules()[hit.rule].id.as_str()).collect();
        for rule in ["executable-in-archive", "double-extension"] {
            assert!(hits.contains(&rule), "{name}: {hits:?}");
        }
        seen.push(name);
    }
    for kind in ["iso", "cab", "rar4", "rar5", "arj", "lzh", "ace"] {
        assert!(seen.iter().any(|name| name.starts_with(kind)), "no {kind} among {seen:?}");
    }
}

/// The cases of `tests/oracle`; None, having said why, where there is no Python.
fn made() -> Option<Vec<Value>> {
    let script = [include_str!("oracle/archives.py"), include_str!("oracle/archives_more.py")].concat();
    let made = match Command::new("python3").arg("-c").arg(script).output() {
        Ok(made) => made,
        Err(error) => {
            eprintln!("skipped: python3 cannot be run: {error}");
            return None;
        }
    };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let lines = String::from_utf8(made.stdout).unwrap();
    Some(lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect())
}

/// Each archive again, damaged in hundreds of ways: nothing panics, and every bound holds.
#[test]
fn damaged_archives_are_opened() {
    let Some(cases) = made() else { return };
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % below as u64).unwrap()
    };
    for case in cases {
        let Some(data) = case["data"].as_str() else { continue };
        let data = encodify::base64::STANDARD.decode(data).unwrap();
        let header = if data.starts_with(b"7z") { 32 + number(&data, 12) } else { 0 };
        // Large ones are large for their content, which is no format's; and a key of a 7z takes its time.
        let slow = data.len() > LARGE || case["case"].as_str().is_some_and(|name| name.starts_with("7z-aes"));
        for round in 0..if slow { 6 } else { 40 } {
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

/// Bytes from which on an archive is damaged in fewer ways.
const LARGE: usize = 200_000;

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
    if ["7z", "zip-aes", "iso", "cab"].iter().any(|packer| name.contains(packer)) {
        members.sort_by_key(Value::to_string);
        expected.sort_by_key(Value::to_string);
    }
    assert_eq!(Value::Array(members), Value::Array(expected), "{name}: {:?}", found.anomalies);
    let anomalies = found.anomalies.iter().map(|anomaly| anomaly.name).filter(|name| !name.starts_with("file-name"));
    let told: &[&str] = match name {
        "zip-unlisted" => &["zip-member-unlisted"],
        _ if name.starts_with("zip-") && name.ends_with("-cut") => &["archive-damaged"],
        _ if name.ends_with("-said") => &["archive-password-in-text"],
        _ => &[],
    };
    assert_eq!(anomalies.collect::<Vec<_>>(), told, "{name}");
    let encrypted = ["-said", "-encrypted", "-garbled"].iter().any(|end| name.ends_with(end))
        || name == "zip-crypto"
        || name.contains("aes");
    let files = found.files.iter().filter(|file| !file.container.is_empty() && file.size > 0);
    files.for_each(|file| assert_eq!(file.encrypted, encrypted, "{name}: {}", file.filename));
}

/// Opens a message with this text and this attachment, or with a text that holds files.
fn open(case: &Value) -> Findings {
    inspect(&message(case), &InspectSettings::default())
}

fn message(case: &Value) -> Message {
    if let Some(raw) = case["raw"].as_str() {
        let text = encodify::base64::STANDARD.decode(raw).unwrap();
        let bytes = [&b"Subject: x\r\n\r\n"[..], &text].concat();
        return Message { size: bytes.len() as u64, bytes, ..Message::default() };
    }
    let data = encodify::base64::STANDARD.decode(case["data"].as_str().unwrap()).unwrap();
    let (text, file) = (case["text"].as_str().unwrap(), case["file"].as_str().unwrap());
    let bytes = format!(
        "Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
         Content-Disposition: attachment; filename=\"{file}\"\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n\
         --b\r\n\r\n{text}\r\n--b--\r\n",
        encodify::base64::STANDARD.encode(&data),
    );
    Message { size: bytes.len() as u64, bytes: bytes.into_bytes(), ..Message::default() }
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
