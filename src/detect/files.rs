//! Files that can do harm, wherever they were seen: who brought them to whom, over all hosts.

use std::net::IpAddr;

use crate::model::event::SmtpEvent;
use crate::model::limits;
use crate::model::mail::{FileFact, Findings};
use crate::model::time::Timestamp;

use super::recent::Recent;

/// A file by its content: the first half of its SHA-256; of another hash where the setting `hashes` leaves that out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileKey([u8; 16]);

impl FileKey {
    /// None for a file that was not hashed.
    pub fn of(file: &FileFact) -> Option<Self> {
        let sha256 = file.sha256.as_ref().map(<[u8; 32]>::as_slice);
        let hash =
            sha256.or(file.sha1.as_ref().map(<[u8; 20]>::as_slice)).or(file.md5.as_ref().map(<[u8; 16]>::as_slice));
        hash.and_then(|hash| hash.first_chunk::<16>()).map(|hash| Self(*hash))
    }

    /// In hexadecimal.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// One time a file was seen on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    pub time: Timestamp,
    pub client: IpAddr,
    pub server: IpAddr,
    /// The first recipient; empty where none was seen.
    pub recipient: String,
    pub subject: String,
}

/// Bounded memory of such files, as they came to home hosts: what goes out infects nobody here.
#[derive(Debug)]
pub struct Sightings(Recent<FileKey, Vec<Sighting>>);

impl Default for Sightings {
    fn default() -> Self {
        Self::new(limits::SIGHTED_FILES)
    }
}

impl Sightings {
    /// Remembers so many files.
    pub fn new(files: usize) -> Self {
        Self(Recent::new(files))
    }

    /// Bytes that all of them take, roughly.
    pub fn memory(&self) -> usize {
        self.0.values().map(|seen| FILE_COST + seen.len() * SIGHTING_COST).sum()
    }

    /// Remembers a message's harmful files: of each the first sighting, and the latest by the rest of those who sent it.
    pub fn note(&mut self, client: IpAddr, server: IpAddr, now: Timestamp, smtp: &SmtpEvent, findings: &Findings) {
        for (_, key) in harmful(&findings.files).take(limits::SIGHTED_PER_MESSAGE) {
            let mut seen = self.0.get_mut(&key).map(std::mem::take).unwrap_or_default();
            if seen.len() >= limits::SIGHTINGS {
                seen.remove(1);
            }
            let cut = |text: &str| text.chars().take(limits::EVIDENCE_TEXT).collect();
            let recipient = smtp.envelope.as_ref().and_then(|envelope| envelope.rcpt_to.first());
            seen.push(Sighting {
                time: now,
                client,
                server,
                recipient: recipient.map(|recipient| cut(recipient)).unwrap_or_default(),
                subject: findings
                    .email
                    .as_ref()
                    .and_then(|email| email.subject.as_deref())
                    .map(cut)
                    .unwrap_or_default(),
            });
            self.0.insert(key, seen);
        }
    }

    /// The message that most likely brought the file to `host`: the first that was sent to it, else the latest that
    /// another sent, which a server in between may have handed out. Also whether it was the former.
    pub fn brought(&self, key: FileKey, host: IpAddr) -> Option<(&Sighting, bool)> {
        let seen = self.0.get(&key)?;
        let direct = seen.iter().find(|sighting| sighting.server == host).map(|sighting| (sighting, true));
        direct.or_else(|| seen.iter().rev().find(|sighting| sighting.client != host).map(|sighting| (sighting, false)))
    }
}

/// Bytes that a file takes, and each of its sightings with recipient and subject.
const FILE_COST: usize = 160;
const SIGHTING_COST: usize = 240;

/// The files of a message that can do harm, with their keys: programs, and the archives they come in.
pub fn harmful(files: &[FileFact]) -> impl Iterator<Item = (&FileFact, FileKey)> {
    let is_harmful = |at: usize, file: &FileFact| {
        let members =
            || files.get(at + 1..).unwrap_or_default().iter().take_while(|member| !member.container.is_empty());
        runs(file) || (file.container.is_empty() && members().any(runs))
    };
    let chosen = files.iter().enumerate().filter(move |(at, file)| is_harmful(*at, file)).map(|(_, file)| file);
    chosen.filter_map(|file| Some((file, FileKey::of(file)?)))
}

/// Whether a file is a program by its content, or would be run as one for its name.
fn runs(file: &FileFact) -> bool {
    let extension = file.filename.trim_end().rsplit_once('.').map(|(_, extension)| extension);
    PROGRAMS.contains(&file.kind.0)
        || extension.is_some_and(|extension| EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known)))
}

const PROGRAMS: [&str; 6] = ["pe", "elf", "macho", "class", "lnk", "script"];
/// What Windows runs when it is opened.
const EXTENSIONS: [&str; 15] =
    ["exe", "scr", "pif", "com", "bat", "cmd", "cpl", "vbs", "vbe", "js", "jse", "wsf", "hta", "lnk", "msi"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::mail::FileKind;

    fn file(name: &str, kind: &'static str, container: &[&str], hash: u8) -> FileFact {
        FileFact {
            filename: name.into(),
            kind: FileKind(kind),
            container: container.iter().map(ToString::to_string).collect(),
            sha256: Some([hash; 32]),
            ..FileFact::default()
        }
    }

    #[test]
    fn programs_and_the_archives_around_them_are_harmful() {
        let files = [
            file("minutes.pdf", "pdf", &[], 1),
            file("photos.zip", "zip", &[], 2),
            file("photos.jpg.exe", "pe", &["photos.zip"], 3),
            file("papers.zip", "zip", &[], 4),
            file("paper.txt", "text", &["papers.zip"], 5),
            file("locked.zip", "zip", &[], 6),
            file("bill.scr ", "unknown", &["locked.zip"], 7),
        ];
        let found: Vec<u8> = harmful(&files).map(|(_, key)| key.0[0]).collect();
        assert_eq!(found, [2, 3, 6, 7]);
    }

    #[test]
    fn remembers_the_first_and_the_latest() {
        let mut sightings = Sightings::default();
        let ip = |last: u8| IpAddr::from([10, 0, 0, last]);
        let findings = Findings { files: vec![file("x.exe", "pe", &[], 1)], ..Findings::default() };
        for last in 1..=50 {
            let now = Timestamp::from_parts(last.into(), 0);
            sightings.note(ip(last), ip(100), now, &SmtpEvent::default(), &findings);
        }
        let key = FileKey::of(&findings.files[0]).unwrap();
        assert_eq!(sightings.0.get(&key).unwrap().len(), limits::SIGHTINGS);
        let (first, direct) = sightings.brought(key, ip(100)).unwrap();
        assert_eq!((first.client, direct), (ip(1), true));
        let (latest, direct) = sightings.brought(key, ip(50)).unwrap();
        assert_eq!((latest.client, direct), (ip(49), false), "not its own");
    }
}
