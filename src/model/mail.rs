//! What the inspector finds in a message.

use super::event::Anomaly;

/// Everything found in one message. Empty parts where nothing was found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// None when the event carried no message.
    pub email: Option<Email>,
    /// Attachments and archive members, each attachment before its members.
    pub files: Vec<FileFact>,
    pub anomalies: Vec<Anomaly>,
    /// Rules that matched, in the rule set's order.
    pub hits: Vec<RuleHit>,
}

impl Findings {
    /// Bytes it takes besides itself, roughly.
    pub fn weight(&self) -> usize {
        let texts = |texts: &[String]| texts.iter().map(|text| size_of::<String>() + text.capacity()).sum::<usize>();
        let email = self.email.as_ref().map_or(0, |email| {
            let header = |header: &Header| {
                size_of::<Header>() + header.name.capacity() + header.value.capacity() + header.raw.capacity()
            };
            let single = [&email.from, &email.subject, &email.message_id, &email.date, &email.x_mailer];
            email.headers.iter().map(header).sum::<usize>()
                + single.into_iter().flatten().map(String::capacity).sum::<usize>()
                + texts(&email.to)
                + texts(&email.cc)
                + texts(&email.urls)
                + email.text.capacity()
        });
        let file = |file: &FileFact| {
            size_of::<FileFact>()
                + file.filename.capacity()
                + texts(&file.container)
                + file.content.as_ref().map_or(0, Vec::capacity)
        };
        let anomalies = self.anomalies.iter().map(|anomaly| size_of::<Anomaly>() + anomaly.detail.len());
        email + self.files.iter().map(file).sum::<usize>() + anomalies.sum::<usize>() + size_of_val(&self.hits[..])
    }
}

/// A message's headers and text as a reader sees them: encoded words decoded, folded lines joined.
#[derive(Clone, Debug, Default)]
pub struct Email {
    /// All headers of the top level, in order, within the bound.
    pub headers: Vec<Header>,
    /// `From`, as shown: display name and address.
    pub from: Option<String>,
    /// `To`, one entry an address.
    pub to: Vec<String>,
    /// `Cc`, one entry an address.
    pub cc: Vec<String>,
    pub subject: Option<String>,
    /// Without angle brackets.
    pub message_id: Option<String>,
    /// `Date`, as written.
    pub date: Option<String>,
    pub x_mailer: Option<String>,
    /// Text parts, decoded, joined, cut at a bound.
    pub text: String,
    /// Links found in the text, in order, without repeats, within the bound.
    pub urls: Vec<String>,
    /// MD5 of the body as delivered, from after the blank line that ends the headers: what Suricata's `body_md5` is of.
    pub body_md5: Option<[u8; 16]>,
    /// MD5 of the decoded subject (Suricata's `subject_md5`).
    pub subject_md5: Option<[u8; 16]>,
    /// Bytes on the wire.
    pub size: u64,
    /// True when not all of the message was there to be read.
    pub truncated: bool,
    /// Number of MIME parts walked.
    pub parts: u32,
}

/// One header field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Its name as written.
    pub name: String,
    /// Its value as a reader sees it.
    pub value: String,
    /// Its value as on the wire, folds included, without the final line end; lossy UTF-8.
    pub raw: String,
}

/// An attachment, or a member of an archive.
#[derive(Clone, Debug, Default)]
pub struct FileFact {
    /// The decoded name, as given; empty when it has none.
    pub filename: String,
    /// Bytes of the decoded content (for a member: as the archive states when it was not opened).
    pub size: u64,
    /// For a member: bytes it takes within the archive.
    pub packed_size: Option<u64>,
    /// Type found from the bytes: a short name as `zip`, `pe`, `pdf`; `unknown` otherwise, `empty` for none.
    pub kind: FileKind,
    /// The media type the message claims, for attachments.
    pub content_type: Option<String>,
    pub md5: Option<[u8; 16]>,
    pub sha1: Option<[u8; 20]>,
    pub sha256: Option<[u8; 32]>,
    /// Its content was cut: a bound, a gap, a damaged archive.
    pub truncated: bool,
    /// The capture lost bytes of the message it came in.
    pub gaps: bool,
    /// Encrypted: listed, not opened.
    pub encrypted: bool,
    /// Names of the archives it sits in, outermost first; empty for an attachment.
    pub container: Vec<String>,
    /// Its content, kept only when extraction was asked for.
    pub content: Option<Vec<u8>>,
}

/// A file's type as its first bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileKind(pub &'static str);

impl FileKind {
    /// Every name there is: what a rule may ask for.
    #[rustfmt::skip]
    pub const ALL: &'static [&'static str] = &[
        // Archives, compressed files and disk images.
        "zip", "gzip", "bzip2", "xz", "zstd", "7z", "rar", "cab", "arj", "lzh", "ace", "tar", "iso", "udf", "vhd",
        // Programs, and what runs as one.
        "pe", "elf", "macho", "msi", "class", "jar", "wasm", "lnk", "url", "reg", "script", "hta", "flash",
        // Documents and mail.
        "ole", "ooxml", "odf", "onenote", "tnef", "chm", "pdf", "rtf", "html", "xml", "text",
        // What is signed or sealed.
        "pkcs7", "pgp",
        // Pictures, sound and films.
        "png", "jpeg", "gif", "tiff", "bmp", "webp", "svg", "avi", "wav", "mp4", "mp3", "ogg",
        // Neither of these.
        "empty", "unknown",
    ];
}

impl Default for FileKind {
    fn default() -> Self {
        Self("unknown")
    }
}

/// A rule matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleHit {
    /// Its index in the rule set.
    pub rule: usize,
    /// What matched, as `attachment.name "photos.zip"`, in the rule's order.
    pub evidence: Vec<String>,
}
