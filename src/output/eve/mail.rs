//! `smtp`, `email` and `fileinfo`: a mail transaction, its message, and the files in it.

use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};

use super::types::{Each, Hex};
use crate::model::event::{Rejected, Reply, SmtpEvent, TlsFacts};
use crate::model::mail::{Email, FileFact, Findings};

/// `smtp`: Suricata has `helo`, `mail_from`, `rcpt_to`; the rest is ours.
pub struct SmtpBody<'a>(pub &'a SmtpEvent);

impl Serialize for SmtpBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let smtp = self.0;
        let mut map = serializer.serialize_map(None)?;
        if let Some(helo) = &smtp.helo {
            map.serialize_entry("helo", helo)?;
        }
        if smtp.helo_fallback {
            map.serialize_entry("helo_fallback", &true)?;
        }
        if !smtp.extensions.is_empty() {
            map.serialize_entry("extensions", &*smtp.extensions)?;
        }
        if let Some(envelope) = &smtp.envelope {
            if !envelope.mail_from_unseen {
                map.serialize_entry("mail_from", &Angle(&envelope.mail_from))?;
            }
            if !envelope.rcpt_to.is_empty() {
                map.serialize_entry("rcpt_to", &Angles(&envelope.rcpt_to))?;
            }
            if !envelope.rcpt_rejected.is_empty() {
                map.serialize_entry("rcpt_rejected", &Each(&envelope.rcpt_rejected, RejectedBody))?;
            }
            if envelope.rcpt_dropped > 0 {
                map.serialize_entry("rcpt_dropped", &envelope.rcpt_dropped)?;
            }
            if let Some(size) = envelope.size_declared {
                map.serialize_entry("size_declared", &size)?;
            }
            if let Some(body) = envelope.body {
                map.serialize_entry("body", body)?;
            }
            if envelope.utf8 {
                map.serialize_entry("utf8", &true)?;
            }
        }
        if let Some(reply) = &smtp.reply {
            map.serialize_entry("reply", &ReplyBody(reply))?;
        }
        map.serialize_entry("tls", &smtp.tls)?;
        if let Some(facts) = smtp.tls_facts.as_deref().filter(|facts| **facts != TlsFacts::default()) {
            map.serialize_entry("tls_info", &TlsBody::of(facts))?;
        }
        if let Some(auth) = &smtp.auth {
            map.serialize_entry("auth", &AuthBody { mechanism: &auth.mechanism, accepted: auth.accepted })?;
        }
        if !smtp.forwarded.is_empty() {
            map.serialize_entry("xclient", &Attributes(&smtp.forwarded))?;
        }
        let mut traits = smtp.dialect.names().peekable();
        if traits.peek().is_some() {
            map.serialize_entry("dialect", &traits.collect::<Vec<_>>())?;
        }
        if let Some(hash) = &smtp.dialect_hash {
            map.serialize_entry("dialect_hash", hash)?;
        }
        map.serialize_entry("outcome", smtp.outcome.name())?;
        match smtp.unseen {
            [false, false] => {}
            [true, false] => map.serialize_entry("unseen", &["client"])?,
            [false, true] => map.serialize_entry("unseen", &["server"])?,
            [true, true] => map.serialize_entry("unseen", &["client", "server"])?,
        }
        map.end()
    }
}

/// What a TLS handshake showed, in the names of Suricata's `tls` object.
#[derive(Serialize)]
struct TlsBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuerdn: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    subjectaltname: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<Fingerprint<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sni: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    client_alpns: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    server_alpns: &'a [String],
}

impl<'a> TlsBody<'a> {
    fn of(facts: &'a TlsFacts) -> Self {
        Self {
            subject: facts.subject.as_deref(),
            issuerdn: facts.issuer.as_deref(),
            subjectaltname: &facts.alt_names,
            fingerprint: facts.fingerprint.as_ref().map(|sha1| Fingerprint(sha1)),
            sni: facts.sni.as_deref(),
            version: facts.version.as_deref(),
            client_alpns: &facts.client_alpns,
            server_alpns: facts.server_alpn.as_slice(),
        }
    }
}

/// Bytes in hexadecimal with colons between them, as Suricata writes fingerprints.
struct Fingerprint<'a>(&'a [u8]);

impl Serialize for Fingerprint<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<String> = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        serializer.serialize_str(&bytes.join(":"))
    }
}

/// What a relay said of the client before it, by name.
struct Attributes<'a>(&'a [(String, String)]);

impl Serialize for Attributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name.to_ascii_lowercase(), value)))
    }
}

#[derive(Serialize)]
struct AuthBody<'a> {
    mechanism: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<bool>,
}

struct ReplyBody<'a>(&'a Reply);

impl Serialize for ReplyBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut reply = serializer.serialize_struct("Reply", 2)?;
        reply.serialize_field("code", &self.0.code)?;
        reply.serialize_field("text", &self.0.text)?;
        reply.end()
    }
}

struct RejectedBody<'a>(&'a Rejected);

impl Serialize for RejectedBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rejected = serializer.serialize_struct("Rejected", 3)?;
        rejected.serialize_field("address", &Angle(&self.0.address))?;
        rejected.serialize_field("code", &self.0.reply.code)?;
        rejected.serialize_field("text", &self.0.reply.text)?;
        rejected.end()
    }
}

/// `email`: as Suricata has it with its extended fields; `size` and `truncated` are ours.
#[derive(Serialize)]
pub struct EmailBody<'a> {
    /// Suricata's names for how far its parser came.
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    to: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    cc: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attachment: Vec<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    url: &'a [String],
    /// The header's value, and so with angle brackets.
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<Angle<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x_mailer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    date: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_md5: Option<Hex<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject_md5: Option<Hex<'a>>,
    size: u64,
    truncated: bool,
}

impl<'a> EmailBody<'a> {
    /// What was found in the message; for a message that was not inspected, only its size. None without a message.
    pub fn of(smtp: &'a SmtpEvent, findings: Option<&'a Findings>) -> Option<Self> {
        if let Some(email) = findings.and_then(|findings| findings.email.as_ref()) {
            return Some(Self::inspected(email, findings.map_or(&[], |findings| &findings.files)));
        }
        smtp.message.as_ref().map(|message| Self {
            status: "NONE",
            from: None,
            to: &[],
            cc: &[],
            attachment: Vec::new(),
            url: &[],
            message_id: None,
            subject: None,
            x_mailer: None,
            date: None,
            body_md5: None,
            subject_md5: None,
            size: message.size,
            truncated: message.truncated,
        })
    }

    fn inspected(email: &'a Email, files: &'a [FileFact]) -> Self {
        let attachments = files.iter().filter(|file| file.container.is_empty());
        Self {
            status: if email.truncated { "BODY_STARTED" } else { "PARSE_DONE" },
            from: email.from.as_deref(),
            to: &email.to,
            cc: &email.cc,
            attachment: attachments.map(|file| file.filename.as_str()).collect(),
            url: &email.urls,
            message_id: email.message_id.as_deref().map(Angle),
            subject: email.subject.as_deref(),
            x_mailer: email.x_mailer.as_deref(),
            date: email.date.as_deref(),
            body_md5: email.body_md5.as_ref().map(|hash| Hex(hash)),
            subject_md5: email.subject_md5.as_ref().map(|hash| Hex(hash)),
            size: email.size,
            truncated: email.truncated,
        }
    }
}

/// `fileinfo`: as Suricata has it; `content_type`, `container`, `packed_size` and `encrypted` are ours.
pub struct FileBody<'a> {
    pub file: &'a FileFact,
    pub stored: bool,
    pub tx_id: u32,
}

impl Serialize for FileBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let file = self.file;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("filename", &file.filename)?;
        map.serialize_entry("magic", file.kind.0)?;
        map.serialize_entry("gaps", &file.gaps)?;
        map.serialize_entry("state", if file.truncated { "TRUNCATED" } else { "CLOSED" })?;
        let hashes = [
            ("md5", file.md5.as_ref().map(<[u8; 16]>::as_slice)),
            ("sha1", file.sha1.as_ref().map(<[u8; 20]>::as_slice)),
            ("sha256", file.sha256.as_ref().map(<[u8; 32]>::as_slice)),
        ];
        for (name, hash) in hashes {
            if let Some(hash) = hash {
                map.serialize_entry(name, &Hex(hash))?;
            }
        }
        map.serialize_entry("stored", &self.stored)?;
        map.serialize_entry("size", &file.size)?;
        map.serialize_entry("tx_id", &self.tx_id)?;
        if let Some(content_type) = &file.content_type {
            map.serialize_entry("content_type", content_type)?;
        }
        if !file.container.is_empty() {
            map.serialize_entry("container", &file.container)?;
        }
        if let Some(packed) = file.packed_size {
            map.serialize_entry("packed_size", &packed)?;
        }
        map.serialize_entry("encrypted", &file.encrypted)?;
        map.end()
    }
}

/// A mailbox or message identifier in its angle brackets.
struct Angle<'a>(&'a str);

impl Serialize for Angle<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("<{}>", self.0))
    }
}

struct Angles<'a>(&'a [String]);

impl Serialize for Angles<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|address| Angle(address)))
    }
}
