//! The packs' own tests, with messages read by mail-parser and the zip crate instead of our inspector: an oracle
//! for both the packs and, later, the inspector.

use std::io::{Cursor, Read};

use mail_parser::{MessageParser, MimeHeaders};
use mailsnare::model::mail::{Email, FileFact, FileKind, Header, RuleHit};
use mailsnare::rules::{BUILTIN, RuleSet, RuleTest, Subject};

#[test]
fn the_built_in_packs_compile_and_pass_their_tests() {
    let sources: Vec<_> = BUILTIN.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
    let set = RuleSet::from_sources(&sources)
        .unwrap_or_else(|errors| panic!("{}", errors.iter().map(|e| format!("{e}\n")).collect::<String>()));
    assert!(set.rules().len() >= 6 && set.tests().len() >= 25);
    let told = |test: &RuleTest| {
        let place = format!("{}:{}: \"{}\"", test.file, test.line, test.name);
        test.faults(&set, &hits(&set, test)).into_iter().map(move |fault| format!("{place}: {fault}"))
    };
    let faults: Vec<_> = set.tests().iter().flat_map(told).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    for rule in set.rules() {
        let tested = set.tests().iter().any(|test| test.expect_match.contains(&rule.id));
        assert!(tested, "no test shows that {} matches", rule.id);
        let spared = set.tests().iter().any(|test| test.expect_no_match.contains(&rule.id));
        assert!(spared, "no test shows what {} leaves alone", rule.id);
    }
}

/// A pack that is not built in finds nothing, and one that is told of nowhere is not found.
#[test]
fn every_file_of_rules_is_built_in_and_told_of() {
    let readme = std::fs::read_to_string("rules/README.md").unwrap();
    let mut files = 0;
    for entry in std::fs::read_dir("rules").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".toml") {
            assert!(BUILTIN.iter().any(|(path, _)| *path == format!("rules/{name}")), "{name} is not built in");
            assert!(readme.contains(&format!("`{name}`")), "{name} is not in rules/README.md");
            files += 1;
        }
    }
    assert_eq!(files, BUILTIN.len());
}

#[test]
fn the_worm_gives_all_its_evidence() {
    let set = RuleSet::builtin();
    let worm = set.tests().iter().find(|test| test.name == "the worm as published").unwrap();
    let hits = hits(&set, worm);
    let hit = hits.iter().find(|hit| set.rules()[hit.rule].id == "mimail-c").unwrap();
    let subject = "subject \"Re[2]: our private photos qkzvmhdw\"";
    assert_eq!(
        hit.evidence,
        [
            "member.type pe of \"photos.jpg.exe\" in \"photos.zip\"",
            "member.name \"photos.jpg.exe\" in \"photos.zip\"",
            subject,
            "header_from \"james@example.org\"",
            "header_from and rcpt_to share the domain \"example.org\"",
            "mail_from \"james@example.org\"",
            "mail_from and rcpt_to share the domain \"example.org\"",
            "attachment.name \"photos.zip\"",
            "member.size 12832 of \"photos.jpg.exe\" in \"photos.zip\"",
            "attachment.size 12958 of \"photos.zip\"",
            "helo \"localhost\"",
            "header Date absent",
            "header Message-ID absent",
            "header X-Mailer \"The Bat! (v1.62)\"",
            "dialect no-space-after-colon",
            "dialect bare-lf",
        ]
    );
}

fn hits(set: &RuleSet, test: &RuleTest) -> Vec<RuleHit> {
    if let Some(name) = &test.dns {
        return set.evaluate_dns(name, test.direction);
    }
    let message = test.smtp.message.as_ref().map(|message| message.bytes.as_slice());
    let read = message.map(read);
    let (email, files) = read.as_ref().map(|(email, files)| (Some(email), files.as_slice())).unwrap_or_default();
    set.evaluate(&Subject { direction: test.direction, smtp: &test.smtp, email, files, message })
}

fn read(bytes: &[u8]) -> (Email, Vec<FileFact>) {
    let message = MessageParser::default().parse(bytes).unwrap();
    let shown = |address: Option<&mail_parser::Address<'_>>| -> Vec<String> {
        let list = address.map(|address| address.clone().into_list()).unwrap_or_default();
        let one = |a: &mail_parser::Addr<'_>| format!("{} <{}>", a.name().unwrap_or(""), a.address().unwrap_or(""));
        list.iter().map(one).collect()
    };
    let headers = message.headers_raw().map(|(name, value)| Header {
        name: name.to_owned(),
        value: value.split_whitespace().collect::<Vec<_>>().join(" "),
        raw: value.to_owned(),
    });
    let email = Email {
        headers: headers.collect(),
        from: shown(message.from()).into_iter().next(),
        to: shown(message.to()),
        cc: shown(message.cc()),
        subject: message.subject().map(str::to_owned),
        text: message.body_text(0).map(|text| text.into_owned()).unwrap_or_default(),
        size: bytes.len() as u64,
        ..Email::default()
    };
    let mut files = Vec::new();
    for part in message.attachments() {
        add(&mut files, part.attachment_name().unwrap_or(""), part.contents(), &[]);
    }
    (email, files)
}

fn add(files: &mut Vec<FileFact>, name: &str, content: &[u8], container: &[String]) {
    let kind = match content {
        [b'M', b'Z', ..] => "pe",
        [b'P', b'K', 3, 4, ..] => "zip",
        [0xff, 0xd8, ..] => "jpeg",
        _ => "unknown",
    };
    files.push(FileFact {
        filename: name.to_owned(),
        size: content.len() as u64,
        kind: FileKind(kind),
        container: container.to_vec(),
        ..FileFact::default()
    });
    if kind != "zip" {
        return;
    }
    let within: Vec<String> = container.iter().cloned().chain([name.to_owned()]).collect();
    let mut archive = zip::ZipArchive::new(Cursor::new(content)).unwrap();
    for index in 0..archive.len() {
        let member = archive.by_index_raw(index).unwrap();
        let (name, size, encrypted) = (member.name().unwrap().into_owned(), member.size(), member.encrypted());
        drop(member);
        if encrypted {
            files.push(FileFact { filename: name, size, encrypted, container: within.clone(), ..FileFact::default() });
            continue;
        }
        let mut content = Vec::new();
        archive.by_index(index).unwrap().read_to_end(&mut content).unwrap();
        add(files, &name, &content, &within);
    }
}

#[test]
fn a_test_tells_what_went_wrong() {
    let set = RuleSet::builtin();
    let worm = set.tests().iter().find(|test| test.name == "the worm as published").unwrap();
    assert_eq!(worm.faults(&set, &hits(&set, worm)), [""; 0]);
    assert_eq!(worm.faults(&set, &[]), ["mimail-c did not match"]);
    let stolen = set.rules().iter().position(|rule| rule.id == "mimail-c-exfiltration").unwrap();
    let wrong = RuleHit { rule: stolen, evidence: vec!["a".into(), "b".into()] };
    assert_eq!(worm.faults(&set, &[wrong]), ["mimail-c did not match", "mimail-c-exfiltration matched: a; b"]);
}
