//! What mailers send: texts with places filled in, and inert files.

use crate::clock::{Nanos, rfc5322};
use crate::internet::person;
use crate::mail::{Attachment, Builder, Message, stored_zip};
use crate::office::DOMAIN;
use crate::prng::{HEX, LETTERS, Rng};

use super::plan::{FilePlan, LetterPlan, Many};

/// Whom a letter is for and who sends it: what its texts may name.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    pub to: &'a str,
    /// The sending host's name without its domain, and its address.
    pub host: &'a str,
    pub ip: &'a str,
}

/// A letter with its sender.
#[derive(Clone, Debug)]
pub struct Written {
    pub from: String,
    pub message: Message,
}

/// Writes one letter.
pub fn write(plan: &LetterPlan, rng: &mut Rng, at: Nanos, places: Places<'_>, recipients: &[String]) -> Written {
    let from = fill(&choose(&plan.from, rng, "{person}"), rng, places);
    let subject = fill(&choose(&plan.subject, rng, "Report"), rng, places);
    let text = fill(&choose(&plan.text, rng, "As discussed."), rng, places);
    let mut builder = Builder::new(&text)
        .header("From", &from)
        .header("To", &recipients.join(",\n "))
        .header("Subject", &subject)
        .boundary(&format!("----------{}", rng.text(HEX, 15)));
    if !plan.bare {
        let domain = from.rsplit_once('@').map_or(DOMAIN, |(_, domain)| domain.trim_end_matches('>'));
        builder =
            builder.header("Date", &rfc5322(at)).header("Message-ID", &format!("<{}@{domain}>", rng.text(LETTERS, 16)));
    }
    for (name, value) in &plan.headers {
        builder = builder.header(name, &fill(value, rng, places));
    }
    if plan.bare_lf {
        builder = builder.bare_line_feeds();
    }
    for file in &plan.attach {
        builder = builder.attach(attachment(file, rng, places));
    }
    let from = match plan.envelope.as_deref() {
        Some("<>") => String::new(),
        Some(envelope) => fill(envelope, rng, places),
        None => address(&from).to_owned(),
    };
    Written { from, message: builder.build() }
}

/// Fills the places of a text in.
pub fn fill(text: &str, rng: &mut Rng, places: Places<'_>) -> String {
    if !text.contains('{') {
        return text.to_owned();
    }
    let (user, domain) = places.to.split_once('@').unwrap_or((places.to, "localhost"));
    let length = 6 + rng.below(6) as usize;
    let values = [
        ("{to}", places.to.to_owned()),
        ("{user}", user.to_owned()),
        ("{domain}", domain.to_owned()),
        ("{host}", places.host.to_owned()),
        ("{ip}", places.ip.to_owned()),
        ("{own}", DOMAIN.to_owned()),
        ("{person}", person(rng, &format!("mail{}.example", rng.clone().below(40)))),
        ("{word}", rng.text(LETTERS, length)),
        ("{number}", format!("{}", 10_000 + rng.below(90_000))),
    ];
    values.iter().fold(text.to_owned(), |text, (place, value)| text.replace(place, value))
}

fn choose(many: &Many, rng: &mut Rng, otherwise: &str) -> String {
    if many.0.is_empty() { otherwise.to_owned() } else { rng.pick(&many.0).clone() }
}

fn address(header: &str) -> &str {
    header.rsplit_once('<').map_or(header, |(_, rest)| rest.trim_end_matches('>'))
}

fn attachment(plan: &FilePlan, rng: &mut Rng, places: Places<'_>) -> Attachment {
    let name = fill(&choose(&plan.name, rng, "file.bin"), rng, places);
    let media =
        |otherwise: &str| if plan.content_type.is_empty() { otherwise.into() } else { plan.content_type.clone() };
    if plan.zip.is_empty() {
        let content = content(plan, rng);
        return Attachment::new(&name, &media("application/octet-stream"), content);
    }
    let members: Vec<(String, Vec<u8>)> = plan
        .zip
        .iter()
        .map(|member| (fill(&choose(&member.name, rng, "file.bin"), rng, places), content(member, rng)))
        .collect();
    let members: Vec<(&str, &[u8])> =
        members.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
    let media = media("application/zip");
    if !plan.encrypted {
        return Attachment::zip(&name, &media, &members);
    }
    Attachment::new(&name, &media, marked_encrypted(stored_zip(&members)))
}

fn content(plan: &FilePlan, rng: &mut Rng) -> Vec<u8> {
    let mut content = rng.bytes(plan.noise);
    if plan.program > 0 {
        content = vec![0; plan.program.max(2)];
        content[..2].copy_from_slice(b"MZ");
        if plan.vary {
            content.extend(rng.bytes(16));
        }
    }
    content
}

/// Sets the flag "encrypted" in all headers of an archive (PKWARE APPNOTE, section 4.4.4). Nothing is encrypted: what
/// is within must be noise already.
fn marked_encrypted(mut archive: Vec<u8>) -> Vec<u8> {
    for at in 0..archive.len().saturating_sub(10) {
        match archive[at..at + 4] {
            [b'P', b'K', 3, 4] => archive[at + 6] |= 1,
            [b'P', b'K', 1, 2] => archive[at + 8] |= 1,
            _ => {}
        }
    }
    archive
}
