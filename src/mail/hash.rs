//! The hashes of a file, as many as the settings ask for, fed piece by piece.

use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;

use crate::model::mail::FileFact;
use crate::model::settings::{HashKind, InspectSettings};

/// Hashes of one file in the making.
#[derive(Debug)]
pub struct Hasher {
    md5: Option<Md5>,
    sha1: Option<Sha1>,
    sha256: Option<Sha256>,
}

impl Hasher {
    /// Hashes of the kinds that `settings` names.
    pub fn new(settings: &InspectSettings) -> Self {
        Self {
            md5: settings.wants(HashKind::Md5).then(Md5::new),
            sha1: settings.wants(HashKind::Sha1).then(Sha1::new),
            sha256: settings.wants(HashKind::Sha256).then(Sha256::new),
        }
    }

    /// Takes the next bytes of the file.
    pub fn update(&mut self, data: &[u8]) {
        if let Some(hash) = &mut self.md5 {
            hash.update(data);
        }
        if let Some(hash) = &mut self.sha1 {
            hash.update(data);
        }
        if let Some(hash) = &mut self.sha256 {
            hash.update(data);
        }
    }

    /// Writes the hashes into `fact`.
    pub fn finish(self, fact: &mut FileFact) {
        fact.md5 = self.md5.map(|hash| hash.finalize().into());
        fact.sha1 = self.sha1.map(|hash| hash.finalize().into());
        fact.sha256 = self.sha256.map(|hash| hash.finalize().into());
    }
}

/// MD5 of `data` in one go.
pub fn md5(data: &[u8]) -> [u8; 16] {
    Md5::digest(data).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computes_what_the_settings_ask_for() {
        let settings = InspectSettings { hashes: vec![HashKind::Md5, HashKind::Sha1], ..Default::default() };
        let mut hasher = Hasher::new(&settings);
        hasher.update(b"a");
        hasher.update(b"bc");
        let mut fact = FileFact::default();
        hasher.finish(&mut fact);
        // RFC 1321, appendix A.5, and RFC 3174, section 7.3.
        assert_eq!(fact.md5, Some(*b"\x90\x01\x50\x98\x3c\xd2\x4f\xb0\xd6\x96\x3f\x7d\x28\xe1\x7f\x72"));
        let sha1 = b"\xa9\x99\x3e\x36\x47\x06\x81\x6a\xba\x3e\x25\x71\x78\x50\xc2\x6c\x9c\xd0\xd8\x9d";
        assert_eq!(fact.sha1, Some(*sha1));
        assert_eq!(fact.sha256, None);
    }
}
