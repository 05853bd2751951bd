//! A message opened: its headers as a reader sees them, its text, its attachments, and what is packed in those.
//!
//! Read [`walk`] first: it cuts the message into parts. [`header`], [`parameter`], [`word`] and [`address`] read what
//! stands in headers; [`encoding`] decodes bodies; [`text`] collects what is shown; [`kind`] and [`hash`] say what a
//! file is; [`archive`] lists what is in it.
//!
//! Senders here are hostile, and mail readers forgiving. So everything is lenient where readers are, since what they
//! open a sensor must see; and everything is bounded by [`limits`], in time too: no byte is looked at more than a
//! few times, nothing recurses, and a bound that is met is an anomaly among the findings.

mod address;
mod archive;
mod encoding;
mod hash;
mod header;
mod kind;
mod name;
mod parameter;
mod text;
mod walk;
mod word;

use self::archive::Budget;
use self::encoding::TransferEncoding;
use self::hash::Hasher;
use self::kind::kind;
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
    /// Bytes of attachments hashed so far.
    hashed: u64,
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
    }

    fn parts(&mut self, bytes: &[u8], parts: &[Part], anomalies: &[&'static str]) {
        for name in anomalies {
            self.note(name, Layer::Mail, String::new());
        }
        for part in parts {
            let body = bytes.get(part.body.clone()).unwrap_or_default();
            self.part(part, body);
        }
        self.email.parts = self.email.parts.saturating_add(u32::try_from(parts.len()).unwrap_or(u32::MAX));
    }

    fn part(&mut self, part: &Part, body: &[u8]) {
        if let Some(other) = &part.other_name {
            let name = part.name.as_deref().unwrap_or_default();
            self.note("attachment-names-differ", Layer::Mail, format!("{name:?} and {other:?}"));
        }
        if !part.attached {
            text::add_part(&mut self.email, part, body);
        }
        let text = part.media.starts_with("text/");
        if part.name.is_none() && !part.attached && text {
            return;
        }
        let content = part.encoding.decode(body);
        self.file(part, &content);
        // RFC 2046, section 5.2.1 forbids it; readers open it all the same.
        let encoded = part.encoding != TransferEncoding::Identity;
        let room = part.depth < limits::MIME_DEPTH && (self.email.parts as usize) < limits::MIME_PARTS;
        if part.is_message() && encoded && room {
            self.waiting.push((content.into_owned(), part.depth + 1));
        }
    }

    /// Adds an attachment, and its members if it is an archive.
    fn file(&mut self, part: &Part, content: &[u8]) {
        let mut fact = FileFact {
            filename: part.name.clone().unwrap_or_default(),
            size: content.len() as u64,
            kind: kind(content),
            content_type: part.media_given.then(|| part.media.clone()),
            truncated: self.message.truncated && part.open,
            gaps: self.message.gaps > 0,
            ..FileFact::default()
        };
        self.hash(&mut fact, content);
        let keep = self.settings.keep_content && content.len() <= self.settings.keep_bytes && !fact.truncated;
        let Self { files, anomalies, budget, settings, .. } = self;
        files.push(FileFact { content: keep.then(|| content.to_vec()), ..fact.clone() });
        if !part.walked {
            let mut note = |name, detail| add(anomalies, name, Layer::Archive, detail);
            archive::unpack(&fact, content, settings, budget, &mut archive::Findings { files, note: &mut note });
        }
    }

    /// Hashes a file, unless it is cut: the hash of a piece is nobody's hash.
    fn hash(&mut self, fact: &mut FileFact, content: &[u8]) {
        if fact.truncated {
            return;
        }
        self.hashed = self.hashed.saturating_add(fact.size);
        if self.hashed > limits::MIME_HASHED_BYTES {
            self.note("mime-too-much-to-hash", Layer::Mail, String::new());
            return;
        }
        let mut hasher = Hasher::new(self.settings);
        hasher.update(content);
        hasher.finish(fact);
    }

    fn note(&mut self, name: &'static str, layer: Layer, detail: String) {
        add(&mut self.anomalies, name, layer, detail);
    }
}

/// Adds an anomaly, each name once, within the bound.
fn add(anomalies: &mut Vec<Anomaly>, name: &'static str, layer: Layer, detail: String) {
    if anomalies.len() < limits::ANOMALIES && !anomalies.iter().any(|anomaly| anomaly.name == name) {
        anomalies.push(Anomaly { name, layer, side: None, detail });
    }
}
