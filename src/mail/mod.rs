//! A message opened: its headers as a reader sees them, its text, its attachments, and what is packed in those.
//!
//! Read `walk.rs` first: it cuts the message into parts. `header.rs`, `parameter.rs`, `word.rs` and `address.rs` read
//! what stands in headers; `encoding.rs` decodes bodies; `text.rs` collects what is shown, and `embedded.rs` the files in
//! it; `kind.rs`, `hash.rs`, `office.rs` and `oddity.rs` say what a file is; `archive/` lists what is in it, with words
//! from `password.rs` where it is locked.
//!
//! Senders here are hostile, and mail readers forgiving. So everything is lenient where readers are, since what they
//! open a sensor must see; and everything is bounded by [`limits`], in time too: no byte is looked at more than a
//! few times, nothing recurses, and a bound that is met is an anomaly among the findings.

mod address;
mod archive;
pub mod dialect;
mod embedded;
mod encoding;
mod hash;
mod header;
mod kind;
mod name;
mod oddity;
mod office;
mod once;
mod parameter;
mod password;
pub mod privacy;
mod text;
mod walk;
mod word;

use self::archive::{Budget, Said};
use self::encoding::TransferEncoding;
use self::hash::Hasher;
use self::kind::{is_sealed, kind};
use self::office::has_macros;
use self::walk::{Part, walk};
use crate::model::event::{Anomaly, Layer, Message};
use crate::model::limits;
use crate::model::mail::{Email, FileFact, Findings};
use crate::model::settings::{HashKind, InspectSettings};

/// Opens a message. The findings hold no rule hits; those are added by a later layer.
///
/// Pure: the same message and settings give the same findings.
pub fn inspect(message: &Message, settings: &InspectSettings) -> Findings {
    let mut inspection = Inspection {
        message,
        settings,
        email: Email::default(),
        files: Vec::new(),
        anomalies: Vec::new(),
        budget: Budget::new(settings),
        hashed: 0,
        embedded: 0,
        waiting: Vec::new(),
    };
    inspection.run();
    Findings {
        email: Some(inspection.email),
        files: inspection.files,
        anomalies: inspection.anomalies,
        hits: Vec::new(),
    }
}

/// One message being opened.
struct Inspection<'a> {
    message: &'a Message,
    settings: &'a InspectSettings,
    email: Email,
    files: Vec<FileFact>,
    anomalies: Vec<Anomaly>,
    budget: Budget,
    /// Bytes of messages within the message, hashed and kept as a whole so far.
    hashed: u64,
    /// Files found in texts so far.
    embedded: usize,
    /// Messages within the message that had to be decoded, and how deep they sit.
    waiting: Vec<(Vec<u8>, usize)>,
}

impl Inspection<'_> {
    fn run(&mut self) {
        let bytes = &self.message.bytes;
        let found = walk(bytes, 0, limits::MIME_PARTS);
        self.email = found.top.email(bytes);
        self.email.size = self.message.size;
        self.email.truncated = self.message.truncated || self.message.gaps > 0;
        let body = bytes.get(found.top.body..).unwrap_or_default();
        self.email.body_md5 = self.settings.wants(HashKind::Md5).then(|| hash::md5(body));
        self.parts(bytes, &found.parts, &found.anomalies);
        while let Some((bytes, depth)) = self.waiting.pop() {
            let room = limits::MIME_PARTS.saturating_sub(self.email.parts as usize);
            let found = walk(&bytes, depth, room.max(1));
            self.parts(&bytes, &found.parts, &found.anomalies);
        }
        for (name, detail) in self.files.iter().flat_map(oddity::of) {
            add(&mut self.anomalies, name, Layer::Mail, detail);
        }
    }

    fn parts(&mut self, bytes: &[u8], parts: &[Part], anomalies: &[&'static str]) {
        // Of a message that was cut, the end is missing by nature.
        for name in anomalies.iter().filter(|name| !(self.message.truncated && **name == "mime-not-closed")) {
            self.note(name, Layer::Mail, String::new());
        }
        // The text comes first: it may hold the password of an archive that stands before it.
        for part in parts.iter().filter(|part| !part.attached) {
            text::add_part(&mut self.email, part, bytes.get(part.body.clone()).unwrap_or_default());
        }
        for part in parts {
            let body = bytes.get(part.body.clone()).unwrap_or_default();
            self.part(bytes, part, body);
        }
        self.email.parts = self.email.parts.saturating_add(u32::try_from(parts.len()).unwrap_or(u32::MAX));
    }

    fn part(&mut self, bytes: &[u8], part: &Part, body: &[u8]) {
        if let Some(other) = &part.other_name {
            let name = part.name.as_deref().unwrap_or_default();
            self.note("attachment-names-differ", Layer::Mail, format!("{name:?} and {other:?}"));
        }
        let text = part.media.starts_with("text/");
        if part.name.is_none() && !part.attached && text {
            return self.embedded(part, body);
        }
        let content = part.encoding.decode(body);
        let room = part.depth < limits::MIME_DEPTH && (self.email.parts as usize) < limits::MIME_PARTS;
        if let Some(field) = part.multipart.clone() {
            if !room {
                return self.note("mime-too-deep", Layer::Mail, String::new());
            }
            let field = bytes.get(field).unwrap_or_default();
            let whole = [b"Content-Type:", field, b"\n\n", &content].concat();
            return self.waiting.push((whole, part.depth + 1));
        }
        // RFC 2046, section 5.2.1 forbids it; readers open it all the same.
        let encoded = part.is_message() && part.encoding != TransferEncoding::Identity;
        let opened = room && (encoded || is_message_file(part));
        self.file(part, &content, opened);
        if opened {
            self.waiting.push((content.into_owned(), part.depth + 1));
        }
    }

    /// Adds the files that stand in a text.
    fn embedded(&mut self, part: &Part, body: &[u8]) {
        if part.media != "text/plain" {
            return;
        }
        let room = limits::EMBEDDED_FILES.saturating_sub(self.embedded);
        // What is wholly uuencoded is a file, and names itself.
        let text = if part.encoding == TransferEncoding::Uuencode { body.into() } else { part.encoding.decode(body) };
        let found = embedded::find(&text, room);
        self.embedded += found.len();
        for file in found {
            let part = Part { name: Some(file.name), open: file.cut, ..Part::default() };
            self.file(&part, &file.content, false);
        }
    }

    /// Adds an attachment, and its members if it is an archive. `opened`: a message whose parts come later.
    fn file(&mut self, part: &Part, content: &[u8], opened: bool) {
        let mut fact = FileFact {
            filename: part.name.clone().unwrap_or_default(),
            size: content.len() as u64,
            kind: kind(content),
            content_type: part.media_given.then(|| part.media.clone()),
            truncated: part.open && (self.message.truncated || part.media.is_empty()),
            gaps: self.message.gaps > 0,
            ..FileFact::default()
        };
        fact.encrypted = is_sealed(fact.kind, content);
        let whole = !fact.truncated && (!(part.walked || opened) || self.has_room(fact.size));
        if whole {
            let mut hasher = Hasher::new(self.settings);
            hasher.update(content);
            hasher.finish(&mut fact);
        }
        let keep = self.settings.keep_content && content.len() <= self.settings.keep_bytes && whole;
        if fact.kind.0 == "ole" && has_macros(content) {
            self.note("office-macro", Layer::Mail, fact.filename.clone());
        }
        let Self { files, anomalies, budget, settings, email, .. } = self;
        files.push(FileFact { content: keep.then(|| content.to_vec()), ..fact.clone() });
        if !part.walked {
            let mut note = |name, detail| add(anomalies, name, layer_of(name), detail);
            let mut findings = archive::Findings { files, note: &mut note };
            let said = Said { subject: email.subject.as_deref().unwrap_or_default(), text: &email.text };
            archive::unpack(&fact, content, said, settings, budget, &mut findings);
        }
    }

    /// Whether one more message within may be hashed, and kept, as a whole: its parts are besides, so what is nested would
    /// be hashed again and again. The hash of a file that is cut is never made: the hash of a piece is nobody's hash.
    fn has_room(&mut self, size: u64) -> bool {
        self.hashed = self.hashed.saturating_add(size);
        let room = self.hashed <= (self.message.bytes.len() as u64).saturating_mul(limits::MIME_HASHED_TIMES);
        if !room {
            self.note("mime-too-deep", Layer::Mail, "messages not hashed as a whole".to_owned());
        }
        room
    }

    fn note(&mut self, name: &'static str, layer: Layer, detail: String) {
        add(&mut self.anomalies, name, layer, detail);
    }
}

/// Whether a file is a message by its name: readers open those with one click, whatever the part says it is.
fn is_message_file(part: &Part) -> bool {
    let name = part.name.as_deref().unwrap_or_default().trim_end_matches(['.', ' ']);
    let ending = name.len().checked_sub(4).and_then(|at| name.get(at..));
    !part.walked && !part.is_message() && ending.is_some_and(|ending| ending.eq_ignore_ascii_case(".eml"))
}

/// Where an anomaly of an archive belongs: damage and bounds are the archive's; what its members are, the message's.
fn layer_of(name: &str) -> Layer {
    if matches!(name, "office-macro" | "archive-password-in-text") { Layer::Mail } else { Layer::Archive }
}

/// Adds an anomaly, each name once, within the bound.
fn add(anomalies: &mut Vec<Anomaly>, name: &'static str, layer: Layer, detail: String) {
    if anomalies.len() < limits::ANOMALIES && !anomalies.iter().any(|anomaly| anomaly.name == name) {
        anomalies.push(Anomaly { name, layer, side: None, detail });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(bytes: impl Into<Vec<u8>>) -> Message {
        let bytes = bytes.into();
        Message { size: bytes.len() as u64, bytes, ..Message::default() }
    }

    fn open(bytes: impl Into<Vec<u8>>) -> Findings {
        inspect(&message(bytes), &InspectSettings::default())
    }

    fn names(findings: &Findings) -> Vec<&str> {
        findings.files.iter().map(|file| file.filename.as_str()).collect()
    }

    fn anomalies(findings: &Findings) -> Vec<&str> {
        findings.anomalies.iter().map(|anomaly| anomaly.name).collect()
    }

    /// A message with one part of these headers and this body.
    fn one_part(headers: &str, body: &str) -> String {
        format!("Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n--b\n{headers}\n\n{body}\n--b--\n")
    }

    /// Mimail.C as it arrives, its program replaced by zeros: zip stored by hand, no extra field (FIELD-NOTES).
    fn mimail_c() -> String {
        let program = [b"MZ".to_vec(), vec![0; 12_830]].concat();
        let mut crc = flate2::Crc::new();
        crc.update(&program);
        let sizes = [crc.sum(), 12_832, 12_832].map(u32::to_le_bytes).concat();
        let fields = [&[0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &sizes, &[14, 0, 0, 0]].concat();
        let name = b"photos.jpg.exe";
        let central = [b"PK\x01\x02\x0a\0", &fields[..], &[0; 14], name].concat();
        let end =
            [&b"PK\x05\x06\0\0\0\0\x01\0\x01\0"[..], &60u32.to_le_bytes(), &12_876u32.to_le_bytes(), &[0, 0]].concat();
        let zip = [b"PK\x03\x04", &fields[..], name, &program, &central, &end].concat();
        assert_eq!(zip.len(), 12_958);
        let body = encodify::base64::STANDARD.encode(&zip);
        assert_eq!(body.len(), 17_280);
        let lines = body.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect::<Vec<_>>();
        format!(
            "From: james@example.org\nTo: someone@example.org\nSubject: Re[2]: our private photos{}abcd\n\
             X-Mailer: The Bat! (v1.62)\nMIME-Version: 1.0\n\
             Content-Type: multipart/mixed;\n\tboundary=\"----------2C1B5A2C1B5A2C1\"\n\n\
             ------------2C1B5A2C1B5A2C1\nContent-Type: text/plain; charset=us-ascii\n\
             Content-Transfer-Encoding: 7bit\n\nHello Dear!\n\n------------2C1B5A2C1B5A2C1\n\
             Content-Type: application/x-zip-compressed; name=\"photos.zip\"\nContent-Transfer-Encoding: base64\n\
             Content-Disposition: attachment; filename=\"photos.zip\"\n\n{}\n\n------------2C1B5A2C1B5A2C1--\n\n",
            " ".repeat(40),
            lines.join("\n"),
        )
    }

    #[test]
    fn opens_mimail_c() {
        let findings = open(mimail_c());
        let email = findings.email.as_ref().unwrap();
        assert_eq!(email.from.as_deref(), Some("james@example.org"));
        assert_eq!(email.subject.as_deref(), Some(&*format!("Re[2]: our private photos{}abcd", " ".repeat(40))));
        assert_eq!(email.x_mailer.as_deref(), Some("The Bat! (v1.62)"));
        assert_eq!((email.date.as_ref(), email.message_id.as_ref()), (None, None));
        assert_eq!(email.text, "Hello Dear!\n");
        let [zip, program] = findings.files.as_slice() else { panic!("{findings:?}") };
        assert_eq!((zip.filename.as_str(), zip.size, zip.kind.0), ("photos.zip", 12_958, "zip"));
        assert_eq!(zip.content_type.as_deref(), Some("application/x-zip-compressed"));
        assert_eq!((program.filename.as_str(), program.size, program.kind.0), ("photos.jpg.exe", 12_832, "pe"));
        assert_eq!((program.packed_size, &program.container), (Some(12_832), &vec!["photos.zip".to_owned()]));
        // python3 -c 'import hashlib; print(hashlib.md5(b"MZ" + bytes(12830)).hexdigest())'
        assert_eq!(program.md5, Some(MIMAIL_SHAPE_MD5));
        assert!(!program.truncated && !program.encrypted);
        assert_eq!(anomalies(&findings), ["file-name-double-extension"]);
        assert_eq!(findings.files[0].md5, open(mimail_c().replace('\n', "\r\n")).files[0].md5);
    }

    const MIMAIL_SHAPE_MD5: [u8; 16] = *b"\xdb\xe2\xc6\x59\x95\x64\x57\xb4\x37\x66\x07\xdc\xc7\xef\x04\xae";

    #[test]
    fn finds_what_parsers_are_known_to_lose() {
        let zip = "UEsDBAoAAAAAAA";
        for headers in [
            "Content-Transfer-Encoding: base64;\nContent-Disposition: attachment; filename=a.zip",
            "Content-Transfer-Encoding: base64 (x)\nContent-Disposition: attachment; filename=a.zip",
            "Content-Transfer-Encoding:\n base64\nContent-Type: application/zip;\n name=\n \"a.zip\"",
        ] {
            let findings = open(one_part(headers, zip));
            assert_eq!((names(&findings)[0], findings.files[0].size), ("a.zip", 10), "{headers}");
            assert_eq!(findings.files[0].kind.0, "zip");
        }
        let headers = "Content-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=a";
        assert_eq!(open(one_part(headers, "aGVs\u{e9}bG8=")).files[0].size, 5);
        assert_eq!(open(one_part(headers, "aGVs\nbG8 --b--")).files[0].size, 6); // `b` is base64, too
        let cut = Message { truncated: true, ..message(one_part(headers, "aGVsbG8=").split("G8=").next().unwrap()) };
        let findings = inspect(&cut, &InspectSettings::default());
        assert_eq!((findings.files[0].size, findings.files[0].truncated, findings.files[0].md5), (3, true, None));
        assert!(findings.anomalies.is_empty() && findings.email.unwrap().truncated);
    }

    /// As Python's email package reads it; mailers of 2003 still wrote it.
    #[test]
    fn uuencode_is_a_transfer_encoding_as_well() {
        // python3 -c 'import binascii; print(binascii.b2a_uu(b"MZ hello"))'
        let body = "begin 644 other.exe\n(35H@:&5L;&\\ \n`\nend\n";
        for name in ["x-uuencode", "UUENCODE", "x-uue", "uue"] {
            let headers = format!("Content-Transfer-Encoding: {name}\nContent-Disposition: attachment; filename=a.exe");
            let findings = open(one_part(&headers, body));
            let files: Vec<_> = findings.files.iter().map(|file| (&*file.filename, file.size, file.kind.0)).collect();
            assert_eq!(files, [("a.exe", 8, "pe")], "{name}");
            let nameless = open(one_part(&format!("Content-Transfer-Encoding: {name}"), body));
            assert_eq!(names(&nameless), ["other.exe"], "{name}");
        }
        let headers = "Content-Transfer-Encoding: x-uue\nContent-Disposition: attachment; filename=a";
        assert_eq!(open(one_part(headers, "not uuencoded")).files[0].size, 13);
    }

    /// RFC 2046, section 5.2.2: the first piece has the headers, and whatever fits into it.
    #[test]
    fn the_first_piece_of_a_message_is_opened() {
        let inner =
            "Subject: inner\nContent-Disposition: attachment; filename=a.exe\nContent-Type: application/x\n\nMZ";
        let first = "Content-Type: message/partial; id=x; number=1; total=2";
        assert_eq!(names(&open(one_part(first, inner))), ["", "a.exe"]);
        let second = "Content-Type: message/partial; id=x; number=2; total=2";
        assert_eq!(names(&open(one_part(second, inner))), [""]);
    }

    #[test]
    fn inner_headers_stay_inside() {
        let inner = "From: inner@x\nSubject: inner\nMessage-ID: <inner>\n\ninner text";
        let findings = open(one_part("Content-Type: message/rfc822; name=fwd.eml", inner));
        let email = findings.email.as_ref().unwrap();
        assert_eq!((email.subject.as_deref(), &email.from, &email.message_id), (Some("x"), &None, &None));
        assert_eq!((names(&findings), email.text.as_str()), (vec!["fwd.eml"], "inner text"));
        assert_eq!(findings.files[0].size, inner.len() as u64);
        let encoded = encodify::base64::STANDARD.encode(one_part("Content-Disposition: attachment; filename=a", "z"));
        let headers = "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64";
        assert_eq!(names(&open(one_part(headers, &encoded))), ["", "a"]);
        let findings = open("no headers here\n\nSubject: not one\n");
        let email = findings.email.unwrap();
        assert_eq!((email.subject, email.headers.len()), (None, 0));
        assert_eq!(email.text, "no headers here\n\nSubject: not one\n");
    }

    #[test]
    fn lists_every_leaf_that_is_a_file() {
        for (headers, name) in [
            ("Content-Type: text/plain; name=a.txt", Some("a.txt")),
            ("Content-Disposition: attachment", Some("")),
            ("Content-Type: image/png", Some("")),
            ("Content-Type: text/html", None),
            ("Content-Type: nonsense", None),
            ("Content-Disposition: inline", None),
        ] {
            assert_eq!(names(&open(one_part(headers, "x"))).first().copied(), name, "{headers}");
        }
        let both = "Content-Type: text/plain; name=b.exe\nContent-Disposition: attachment; filename=a.txt";
        assert_eq!(anomalies(&open(one_part(both, "x"))), ["attachment-names-differ"]);
    }

    #[test]
    fn finds_files_in_text_and_macros_in_documents() {
        // python3 -c 'import binascii; print(binascii.b2a_uu(b"MZ hello"))'
        let findings = open("Subject: x\n\nHello\n\nbegin 644 a.exe\n(35H@:&5L;&\\ \n`\nend\n");
        assert_eq!((names(&findings), findings.files[0].kind.0), (vec!["a.exe"], "pe"));
        assert_eq!(findings.files[0].md5, Some(hash::md5(b"MZ hello")));
        let many = format!("Subject: x\n\n{}", "begin 644 a\n`\nend\n".repeat(500));
        assert_eq!(open(many).files.len(), limits::EMBEDDED_FILES);
        let document = [&b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"[..], &[0; 600]].concat();
        let stream = "_VBA_PROJECT".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        let headers = "Content-Transfer-Encoding: base64\nContent-Disposition: attachment; filename=a.doc";
        let macros = encodify::base64::STANDARD.encode([&document[..], &stream].concat());
        assert_eq!(anomalies(&open(one_part(headers, &macros))), ["office-macro"]);
        assert!(open(one_part(headers, &encodify::base64::STANDARD.encode(document))).anomalies.is_empty());
    }

    #[test]
    fn keeps_content_when_asked() {
        let settings = InspectSettings { keep_content: true, keep_bytes: 20_000, hashes: vec![], ..Default::default() };
        let findings = inspect(&message(mimail_c()), &settings);
        let kept = findings.files.iter().map(|file| file.content.as_ref().map(Vec::len)).collect::<Vec<_>>();
        assert_eq!(kept, [Some(12_958), Some(12_832)]);
        assert_eq!(findings.files[0].md5, None);
        let settings = InspectSettings { keep_bytes: 12_900, ..settings };
        let findings = inspect(&message(mimail_c()), &settings);
        assert_eq!(findings.files.iter().map(|file| file.content.is_some()).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn messages_that_nest_for_their_own_sake_are_hashed_and_kept_a_few_times() {
        let settings = InspectSettings { keep_content: true, ..Default::default() };
        for head in [
            "Content-Type: message/rfc822\n\n",
            "Content-Type: message/rfc822\nContent-Transfer-Encoding: quoted-printable\n\n",
            "Content-Type: application/octet-stream; name=a.eml\n\n",
        ] {
            let nested = message(format!("{}{}", head.repeat(50), "x".repeat(100_000)));
            let findings = inspect(&nested, &settings);
            assert_eq!((findings.files.len(), anomalies(&findings)), (50, vec!["mime-too-deep"]), "{head}");
            let hashed = findings.files.iter().filter(|file| file.md5.is_some()).count();
            let kept = findings.files.iter().filter(|file| file.content.is_some()).count();
            assert_eq!((hashed, kept), (4, 4), "{head}");
        }
    }

    #[test]
    fn hostile_messages_end_soon() {
        let started = std::time::Instant::now();
        let nested = "Content-Type: message/rfc822\n\n".repeat(22_000);
        assert_eq!(anomalies(&open(nested)), ["mime-too-deep"]);
        let absent = format!("Content-Type: multipart/mixed; boundary=never\n\n{}", "--neveR\n".repeat(130_000));
        assert_eq!(anomalies(&open(absent)), ["mime-boundary-never-seen"]);
        let levels = (0..30_000).map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n"));
        assert!(anomalies(&open(levels.collect::<String>())).contains(&"mime-too-deep"));
        let mut encoded = b"x".repeat(200_000);
        for _ in 0..8 {
            let head = b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n";
            encoded = [&head[..], encodify::base64::STANDARD.encode(&encoded).as_bytes()].concat();
        }
        assert_eq!(open(encoded).email.unwrap().parts, 9);
        assert!(started.elapsed().as_secs() < 10);
    }

    proptest! {
        #[test]
        fn any_bytes_are_opened(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            open(bytes);
        }

        #[test]
        fn anything_like_mail_is_opened(
            pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..40),
            cut in any::<bool>(),
        ) {
            let findings = inspect(
                &Message { truncated: cut, ..message(pieces.concat()) },
                &InspectSettings { keep_content: true, ..Default::default() },
            );
            prop_assert!(findings.anomalies.len() <= limits::ANOMALIES);
        }

        #[test]
        fn a_damaged_mail_is_opened(at in any::<prop::sample::Index>(), byte in any::<u8>(), end in any::<prop::sample::Index>()) {
            let mut bytes = mimail_c().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes.truncate(end.index(bytes.len() + 1));
            open(bytes);
        }
    }

    const PIECES: &[&str] = &[
        "Content-Type: multipart/mixed; boundary=b\n",
        "Content-Type: multipart/digest; boundary=\"c\"\r\n",
        "Content-Type: message/rfc822\n",
        "Content-Transfer-Encoding: base64\n",
        "Content-Type: text/html\n",
        "Content-Disposition: attachment; filename=\"a.zip\"\n",
        "Content-Transfer-Encoding: quoted-printable\n",
        "Content-Type: multipart/mixed\n",
        "\n",
        "\r\n",
        "\r",
        "--b\n",
        "--b--\n",
        "--c\r\n",
        "--c--",
        "--x\n",
        " fold\n",
        "From: a@b\n",
        "From x\n",
        "Subject: =?utf-8?q?a?=\n",
        "aGVsbG8=\n",
        "UEsDBAoAAAAAAA\n",
        "PK\x03\x04",
        "=3D=\n",
        "H4sIAAAAAAAAA0tMSgYAwkEkNQMAAAA=\n",
        "http://x.y/ \n",
        "PK\x05\x06",
        "\0\0\0\0",
    ];
}
