//! What people wrote, and to whom, left out before anything beyond the inspectors sees it (the `privacy` setting).
//!
//! All outputs and all evidence come from events and findings, so this is done once, here, to those: nothing that is
//! told later can hold what is not in them any more. Rules see the message as it is.
//!
//! A local part becomes `~` and twelve hexadecimal digits, a keyed hash (HMAC-SHA-256, RFC 2104) of the whole address:
//! equal addresses stay equal under one key, and without the key nobody can try out names. Domains stay, since whom a
//! worm mails is told by them. `docs/privacy.md` lists what is left out and what is not.

use std::borrow::Cow;
use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::model::event::{Anomaly, Event, EventKind, Reply, SmtpEvent, TlsFacts};
use crate::model::mail::{Email, Findings};

/// Leaves out and hashes, under one key.
#[derive(Clone)]
pub struct Privacy {
    keyed: Hmac<Sha256>,
}

impl Privacy {
    /// Hashes are made with `key`: RFC 2104 takes any length; 32 random bytes are right.
    pub fn new(key: &[u8]) -> Self {
        // HMAC takes keys of any length, so there is nothing to fail; an empty one would be the same for everyone.
        let keyed = Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()));
        Self { keyed }
    }

    /// Conceals what an event holds besides a message's bytes.
    pub fn event(&self, event: &mut Event) {
        match &mut event.kind {
            EventKind::Smtp(smtp) => self.smtp(smtp),
            EventKind::Anomaly(anomaly) => self.anomaly(anomaly),
            EventKind::Greeting(reply) => self.reply(reply),
            EventKind::Connect(_)
            | EventKind::Dns(_)
            | EventKind::FlowEnd(_)
            | EventKind::Flood(_)
            | EventKind::Hardware(_)
            // Packets are kept as they are, and none where privacy is wanted.
            | EventKind::Packet(_)
            | EventKind::Tick(_) => {}
        }
    }

    /// Conceals what was found in a message.
    pub fn findings(&self, findings: &mut Findings) {
        if let Some(email) = &mut findings.email {
            self.email(email);
        }
        for file in &mut findings.files {
            self.text(&mut file.filename);
            file.container.iter_mut().for_each(|name| self.text(name));
        }
        findings.anomalies.iter_mut().for_each(|anomaly| self.anomaly(anomaly));
        for hit in &mut findings.hits {
            hit.evidence.iter_mut().for_each(|matched| *matched = self.matched(matched));
        }
    }

    fn smtp(&self, smtp: &mut SmtpEvent) {
        if let Some(envelope) = &mut smtp.envelope {
            self.address(&mut envelope.mail_from);
            envelope.rcpt_to.iter_mut().for_each(|address| self.address(address));
            for rejected in &mut envelope.rcpt_rejected {
                self.address(&mut rejected.address);
                self.reply(&mut rejected.reply);
            }
        }
        if let Some(reply) = &mut smtp.reply {
            self.reply(reply);
        }
        if let Some(helo) = &mut smtp.helo {
            self.text(helo);
        }
        smtp.forwarded.iter_mut().for_each(|(_, value)| self.text(value));
        if let Some(TlsFacts { subject, issuer, alt_names, .. }) = smtp.tls_facts.as_deref_mut() {
            subject.iter_mut().chain(issuer).chain(alt_names).for_each(|name| self.text(name));
        }
    }

    fn email(&self, email: &mut Email) {
        // What is shown as a name beside the address is a person's as often as not.
        for address in email.from.iter_mut().chain(&mut email.to).chain(&mut email.cc) {
            *address = self.mailbox(address);
        }
        if let Some(id) = &mut email.message_id {
            self.address(id);
        }
        email.subject = None;
        // A subject is short enough to be guessed from its hash.
        email.subject_md5 = None;
        email.urls.clear();
        email.text.clear();
        email.headers.clear();
        if let Some(mailer) = &mut email.x_mailer {
            self.text(mailer);
        }
    }

    /// Servers write what they like into replies, users' names among it: the enhanced status code (RFC 3463) is kept.
    fn reply(&self, reply: &mut Reply) {
        let code = reply.text.split_whitespace().next().unwrap_or_default();
        let enhanced = code.split('.').count() == 3 && code.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        reply.text = if enhanced { code.to_owned() } else { String::new() };
    }

    fn anomaly(&self, anomaly: &mut Anomaly) {
        self.text(&mut anomaly.detail);
    }

    /// One piece of a rule's evidence, `FIELD VALUE`: what people wrote goes, what the worm is known by stays.
    fn matched(&self, matched: &str) -> String {
        let (field, value) = matched.split_once(' ').unwrap_or((matched, ""));
        let is_value = value.starts_with('"');
        match field {
            "mail_from" | "rcpt_to" | "header_from" | "header_to" if is_value && value.contains('@') => {
                format!("{field} \"{}\"", self.mailbox(value.trim_matches('"')))
            }
            // `X and Y share the domain Z`.
            "mail_from" | "rcpt_to" | "header_from" | "header_to" | "helo" if value.starts_with("and ") => {
                self.scrubbed(matched).into_owned()
            }
            "header" => {
                let (name, rest) = value.split_once(' ').unwrap_or((value, ""));
                let said = if matches!(rest, "present" | "absent") { rest } else { LEFT_OUT };
                format!("header {name} {said}")
            }
            "helo" | "size" | "direction" | "dialect" | "dns.name" => self.scrubbed(matched).into_owned(),
            _ if FILES.iter().any(|scope| field.starts_with(scope)) => self.scrubbed(matched).into_owned(),
            _ => format!("{field} {LEFT_OUT}"),
        }
    }

    /// The address in `Name <local@domain>`, concealed, without the name.
    fn mailbox(&self, text: &str) -> String {
        let inner = text.rsplit_once('<').map_or(text, |(_, rest)| rest.split('>').next().unwrap_or_default());
        let mut address = inner.trim().to_owned();
        self.address(&mut address);
        address
    }

    /// Hashes the local part of an address. The null sender stays; so does what follows the last `@` where it can be a
    /// domain.
    fn address(&self, address: &mut String) {
        if address.is_empty() {
            return;
        }
        let domain = address.rsplit_once('@').map(|(_, domain)| domain).filter(|domain| is_domain(domain));
        let hash = self.hash(address);
        *address = domain.map_or_else(|| format!("~{hash}"), |domain| format!("~{hash}@{domain}"));
    }

    fn text(&self, text: &mut String) {
        if let Cow::Owned(scrubbed) = self.scrubbed(text) {
            *text = scrubbed;
        }
    }

    /// A text in which the local part of whatever looks like an address is hashed.
    fn scrubbed<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('@') {
            let (before, after) = (rest.get(..at).unwrap_or_default(), rest.get(at + 1..).unwrap_or_default());
            let start = local_start(before);
            let local = before.get(start..).unwrap_or_default();
            let domain: &str = after.get(..after.find(|c| !in_domain(c)).unwrap_or(after.len())).unwrap_or_default();
            out.push_str(before.get(..start).unwrap_or_default());
            if local.is_empty() {
                out.push('@');
            } else {
                out.push('~');
                out.push_str(&self.hash(&format!("{local}@{domain}")));
                out.push('@');
            }
            out.push_str(domain);
            rest = after.get(domain.len()..).unwrap_or_default();
        }
        if out.is_empty() {
            return Cow::Borrowed(text);
        }
        out.push_str(rest);
        Cow::Owned(out)
    }

    /// Case does not tell mailboxes apart in practice, though RFC 5321, section 2.4 lets a server do so.
    fn hash(&self, address: &str) -> String {
        let mut mac = self.keyed.clone();
        mac.update(address.to_lowercase().as_bytes());
        mac.finalize().into_bytes().iter().take(HASH_BYTES).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Never shows the key.
impl fmt::Debug for Privacy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Privacy")
    }
}

/// Where the local part that ends a text begins: a quoted string, or what may stand in one without quotes (RFC 5322,
/// section 3.2.3, and any letter beyond ASCII).
fn local_start(before: &str) -> usize {
    if let Some(open) = before.strip_suffix('"').and_then(|quoted| quoted.rfind('"')) {
        return open;
    }
    let outside = |c: char| c.is_whitespace() || c.is_control() || "<>()[]\\,;:\"@".contains(c);
    before
        .rfind(outside)
        .map_or(0, |at| at + before.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8))
}

fn is_domain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(in_domain)
}

/// Host names and address literals.
fn in_domain(c: char) -> bool {
    c.is_alphanumeric() || ".-_[]:".contains(c)
}

const LEFT_OUT: &str = "(left out)";
/// Fields of rules that are about files.
const FILES: [&str; 3] = ["attachment.", "member.", "file."];
/// 48 bits: two of a million addresses share a hash in one of some five hundred networks.
const HASH_BYTES: usize = 6;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::event::{Envelope, Rejected};
    use crate::model::mail::RuleHit;

    fn privacy() -> Privacy {
        Privacy::new(b"a key of a test")
    }

    /// From `printf 'alice@example.com' | openssl dgst -sha256 -hmac 'a key of a test'`, its first twelve digits.
    const ALICE: &str = "~4512c40acdf8@example.com";

    #[test]
    fn equal_addresses_have_equal_hashes_under_one_key_only() {
        let hashed = |privacy: &Privacy, text: &str| privacy.mailbox(text);
        let privacy = privacy();
        assert_eq!(hashed(&privacy, "alice@example.com"), ALICE);
        assert_eq!(hashed(&privacy, "Alice Smith <ALICE@example.com>"), ALICE);
        assert_ne!(hashed(&Privacy::new(b"another"), "alice@example.com"), ALICE);
        assert_ne!(hashed(&privacy, "alice@example.org").split('@').next(), ALICE.split('@').next());
    }

    #[test]
    fn nothing_of_a_local_part_is_left_in_any_place() {
        let mut smtp = SmtpEvent {
            helo: Some("secret@laptop.example".into()),
            envelope: Some(Envelope {
                mail_from: "secret@a.example".into(),
                rcpt_to: vec![
                    "@relay.example:secret@b.example".into(),
                    "secret".into(),
                    "\"secret here\"@b.example".into(),
                    "x@secret y".into(),
                ],
                rcpt_rejected: vec![Rejected {
                    address: "secret@c.example".into(),
                    reply: Reply { code: 550, text: "5.1.1 <secret@c.example>... secret unknown".into() },
                }],
                ..Envelope::default()
            }),
            reply: Some(Reply { code: 250, text: "secret is welcome".into() }),
            forwarded: vec![("NAME".into(), "secret@d.example".into())],
            ..SmtpEvent::default()
        };
        let mut findings = Findings {
            email: Some(Email {
                from: Some("Secret Person <secret@a.example>".into()),
                to: vec!["secret@b.example".into()],
                subject: Some("secret".into()),
                subject_md5: Some([1; 16]),
                message_id: Some("secret@a.example".into()),
                urls: vec!["http://x.example/?u=secret".into()],
                ..Email::default()
            }),
            hits: vec![RuleHit {
                rule: 0,
                evidence: ["subject \"secret\"", "body \"secret\"", "header X-A \"secret\"", "rcpt_to \"secret\""]
                    .into_iter()
                    .chain(["header_from \"secret <secret@a.example>\"", "rcpt_to \"secret@b.example\""])
                    .map(str::to_owned)
                    .collect(),
            }],
            ..Findings::default()
        };
        privacy().smtp(&mut smtp);
        privacy().findings(&mut findings);
        let told = format!("{smtp:?} {findings:?}").to_lowercase();
        assert!(!told.contains("secret"), "{told}");
        let envelope = smtp.envelope.unwrap();
        assert!(envelope.mail_from.ends_with("@a.example") && envelope.rcpt_to[0].ends_with("@b.example"));
        assert_eq!(envelope.rcpt_rejected[0].reply, Reply { code: 550, text: "5.1.1".into() });
        assert_eq!(
            findings.hits[0].evidence[..4],
            ["subject (left out)", "body (left out)", "header X-A (left out)", "rcpt_to (left out)"]
        );
    }

    #[test]
    fn what_a_worm_is_known_by_stays() {
        let privacy = privacy();
        for said in [
            "member.type pe of \"photos.jpg.exe\" in \"photos.zip\"",
            "helo \"localhost\"",
            "header Date absent",
            "dialect helo-localhost, bare-lf",
            "mail_from and rcpt_to share the domain example.com",
            "dns.name \"darkprofits.com\"",
            "size 18324",
        ] {
            assert_eq!(privacy.matched(said), said);
        }
        let mut null = String::new();
        privacy.address(&mut null);
        assert_eq!(null, "", "the null sender is nobody");
    }

    #[test]
    fn addresses_in_running_text_are_hashed_where_they_stand() {
        let privacy = privacy();
        let text = "for <alice@example.com>, subject \"\"; not @ all";
        assert_eq!(privacy.scrubbed(text), format!("for <{ALICE}>, subject \"\"; not @ all"));
        assert!(matches!(privacy.scrubbed("nothing here"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn any_text_can_be_scrubbed(text in ".{0,60}", local in "[a-z]{6,12}", end in "( .{0,20})?") {
            let whole = format!("{text} {local}@example.com{end}");
            let scrubbed = privacy().scrubbed(&whole).into_owned();
            prop_assert!(scrubbed.contains("@example.com"));
            let leak = format!("{local}@");
            prop_assert!(text.contains(&local) || end.contains(&local) || !scrubbed.contains(&leak));
        }
    }
}
