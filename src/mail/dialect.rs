//! A short hash of how a client speaks SMTP and writes its messages: two clients with the same are the same program.
//!
//! After G. Stringhini, M. Egele, A. Zarras, T. Holz, C. Kruegel and G. Vigna, "B@bel: Leveraging Email Delivery for Spam
//! Mitigation" (USENIX Security 2012). How it is computed is told in `rules/README.md`, so that others can do the same.

use sha2::{Digest, Sha256};

use crate::model::event::Dialect;
use crate::model::mail::Header;

/// 16 hexadecimal digits: the first 8 bytes of SHA-256 over a line of text each for the version, the traits and the
/// order of the header fields.
pub fn dialect_hash(dialect: Dialect, headers: &[Header]) -> String {
    let traits: Vec<&str> = Dialect(dialect.0 & !CIRCUMSTANCES).names().collect();
    let mut fields: Vec<&str> = Vec::new();
    for header in headers {
        let known = FIELDS.iter().find(|known| header.name.eq_ignore_ascii_case(known));
        if let Some(name) = known.filter(|name| !fields.contains(name)) {
            fields.push(name);
        }
    }
    let text = format!("{VERSION}\n{}\n{}\n", traits.join(","), fields.join(":"));
    Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

const VERSION: &str = "mailsnare-dialect-1";
/// Traits that depend on the server or on the network as much as on the client.
const CIRCUMSTANCES: u32 = Dialect::EARLY_TALKER | Dialect::PIPELINED | Dialect::BDAT;
/// Fields that a program writes, or does not, whatever the message says; those that relays add are left out.
const FIELDS: [&str; 16] = [
    "date",
    "from",
    "to",
    "subject",
    "message-id",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "x-mailer",
    "user-agent",
    "x-priority",
    "x-msmail-priority",
    "x-mimeole",
    "importance",
    "reply-to",
    "sender",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(names: &[&str]) -> Vec<Header> {
        names.iter().map(|name| Header { name: (*name).into(), ..Header::default() }).collect()
    }

    /// `printf 'mailsnare-dialect-1\nhelo,helo-localhost\nfrom:to:subject\n' | sha256sum | cut -c1-16`
    #[test]
    fn agrees_with_sha256sum() {
        let dialect = Dialect(Dialect::HELO | Dialect::HELO_LOCALHOST);
        assert_eq!(dialect_hash(dialect, &headers(&["From", "To", "Subject"])), "1e53e7ab6fe2681e");
        assert_eq!(dialect_hash(Dialect::default(), &[]), "dfb88d8d522694d6");
    }

    #[test]
    fn only_what_the_program_decides_counts() {
        let usual = headers(&["Received", "From", "To", "Subject", "Date"]);
        let hash = dialect_hash(Dialect(Dialect::HELO), &usual);
        assert_eq!(dialect_hash(Dialect(Dialect::HELO | Dialect::PIPELINED), &usual), hash);
        assert_eq!(
            dialect_hash(Dialect(Dialect::HELO), &headers(&["FROM", "To", "To", "X-Spam", "Subject", "Date"])),
            hash
        );
        assert_ne!(dialect_hash(Dialect(Dialect::HELO), &headers(&["To", "From", "Subject", "Date"])), hash);
    }
}
