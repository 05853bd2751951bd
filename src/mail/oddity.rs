//! What is odd about a file's name: told to the analyst as anomalies. Rules see the name itself.

use crate::model::mail::FileFact;

/// Names of anomalies and what they are about, of one file.
pub fn of(file: &FileFact) -> impl Iterator<Item = (&'static str, String)> {
    let name = file.filename.as_str();
    let member = !file.container.is_empty();
    let checks = [
        ("file-name-rtl-override", name.contains(is_direction)),
        ("file-name-control-characters", name.contains(char::is_control)),
        ("file-name-path", if member { leaves_folder(name) } else { name.contains(['/', '\\']) }),
        ("file-name-trailing-dots", name.ends_with(['.', ' '])),
        ("file-name-double-extension", has_double_extension(name)),
        ("file-name-type-differs", differs(name, file.kind.0)),
    ];
    let detail = format!("{:?}, by its bytes {}", shown(name), file.kind.0);
    checks.into_iter().filter(|(_, odd)| *odd).map(move |(name, _)| (name, detail.clone()))
}

/// Formatting characters that turn the direction of text (Unicode Standard Annex #9, sections 2.1 to 2.4).
fn is_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A member has a path by right; one that leads out of the folder it is unpacked to has not.
fn leaves_folder(name: &str) -> bool {
    let drive =
        name.as_bytes().first_chunk().is_some_and(|[letter, colon]| letter.is_ascii_alphabetic() && *colon == b':');
    name.starts_with(['/', '\\']) || drive || name.split(['/', '\\']).any(|part| part == "..")
}

/// A program that poses as something else: `photos.jpg.exe`, `letter.doc      .pif`.
fn has_double_extension(name: &str) -> bool {
    let Some((stem, last)) = split(name) else { return false };
    let before = split(stem.trim_end()).and_then(|(_, before)| group(before));
    // The word before must be an extension that invites opening.
    group(last) == Some(Group::Program) && before.is_some_and(|before| before != Group::Program)
}

/// Whether bytes and extension clearly belong to different worlds: a picture that is a program, a document that is an
/// archive. What is text by its bytes can be anything.
fn differs(name: &str, kind: &str) -> bool {
    let Some((_, extension)) = split(name) else { return false };
    let (Some(said), Some(found)) = (group(extension), kind_group(kind)) else { return false };
    match (said, found) {
        // Sound and films come in containers of many names; and text may be a table, a page or a picture in disguise.
        (Group::Text, found) => matches!(found, Group::Program | Group::Archive),
        // Documents of today are zips, and those of a program are not always told apart from others.
        (Group::Document, Group::Archive) => kind != "zip" || !is_zip_document(extension),
        (Group::Archive, Group::Document) => !matches!(kind, "ooxml" | "odf"),
        (said, found) => said != found,
    }
}

/// What stands before and behind the last dot.
fn split(name: &str) -> Option<(&str, &str)> {
    let name = name.trim_end_matches(['.', ' ']);
    let (stem, extension) = name.rsplit_once('.')?;
    (!stem.is_empty() && (1..=5).contains(&extension.len())).then_some((stem, extension))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    Program,
    Archive,
    Document,
    Image,
    Media,
    Text,
}

fn group(extension: &str) -> Option<Group> {
    let fits = |list: &str| list.split(' ').any(|other| other.eq_ignore_ascii_case(extension));
    EXTENSIONS.iter().find(|(_, list)| fits(list)).map(|(group, _)| *group)
}

fn kind_group(kind: &str) -> Option<Group> {
    KINDS.iter().find(|(_, list)| list.split(' ').any(|other| other == kind)).map(|(group, _)| *group)
}

fn is_zip_document(extension: &str) -> bool {
    let lower = extension.to_ascii_lowercase();
    lower.ends_with('x') || lower.ends_with('m') || lower.starts_with("od") || lower == "pages" || lower == "xlsb"
}

/// A name cut to what an analyst needs to see of it.
fn shown(name: &str) -> &str {
    name.get(..name.floor_char_boundary(SHOWN)).unwrap_or_default()
}

const SHOWN: usize = 200;

/// Extensions that say what a file is. Those of many meanings (`dat`, `bin`, `com` sites aside) are left out.
const EXTENSIONS: &[(Group, &str)] = &[
    (Group::Program, "exe scr pif com cpl dll bat cmd vbs vbe js jse wsf wsh hta lnk url msi msp ps1 reg jar"),
    (Group::Archive, "zip rar 7z gz tgz bz2 xz zst tar cab arj lzh lha ace iso img udf vhd vhdx"),
    (Group::Document, "doc docx docm dot dotm xls xlsx xlsm xlsb ppt pptx pptm pdf rtf odt ods odp one pages"),
    (Group::Image, "jpg jpeg png gif bmp tif tiff webp ico svg"),
    (Group::Media, "mp3 mp4 wav avi ogg mpg mpeg mov wmv wma"),
    (Group::Text, "txt csv htm html xml log eml ics vcf css json"),
];

/// Types told from bytes that leave no doubt.
const KINDS: &[(Group, &str)] = &[
    (Group::Program, "pe elf macho lnk url reg msi hta class jar"),
    (Group::Archive, "zip gzip bzip2 xz zstd 7z rar cab arj lzh ace tar iso udf vhd"),
    (Group::Document, "pdf rtf ole ooxml odf onenote"),
    (Group::Image, "png jpeg gif bmp tiff webp"),
    (Group::Media, "mp3 mp4 wav avi ogg"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::mail::FileKind;

    fn odd(name: &str, kind: &'static str, container: &[&str]) -> Vec<&'static str> {
        let container = container.iter().map(|&name| name.to_owned()).collect();
        let file = FileFact { filename: name.to_owned(), kind: FileKind(kind), container, ..FileFact::default() };
        of(&file).map(|(name, _)| name).collect()
    }

    #[test]
    fn tells_what_is_odd() {
        for (name, kind, expected) in [
            ("photos.jpg.exe", "pe", &["file-name-double-extension"][..]),
            ("letter.doc          .pif", "pe", &["file-name-double-extension"]),
            ("photo.jpg", "pe", &["file-name-type-differs"]),
            ("invoice.pdf", "zip", &["file-name-type-differs"]),
            ("notes.txt", "elf", &["file-name-type-differs"]),
            ("setup.exe", "zip", &["file-name-type-differs"]),
            ("report.zip", "lnk", &["file-name-type-differs"]),
            ("\u{202e}gpj.exe", "pe", &["file-name-rtl-override"]),
            ("a\u{1}.txt", "text", &["file-name-control-characters"]),
            ("..\\x.txt", "text", &["file-name-path"]),
            ("x.exe. ", "pe", &["file-name-trailing-dots"]),
        ] {
            assert_eq!(odd(name, kind, &[]), expected, "{name}");
        }
    }

    #[test]
    fn ordinary_names_are_not_odd() {
        for (name, kind) in [
            ("photos.zip", "zip"),
            ("photo.jpg", "png"),
            ("letter.docx", "ooxml"),
            ("letter.docx", "zip"),
            ("letter.docx", "ole"), // encrypted
            ("letter.doc", "ooxml"),
            ("letter.doc", "rtf"),
            ("page.html", "html"),
            ("archive.tar.gz", "gzip"),
            ("report.v1.2.pdf", "pdf"),
            ("setup.exe", "pe"),
            ("run.bat", "text"),
            ("table.csv", "ole"),
            ("www.example.com", "text"),
            ("notes", "pe"),
            ("", "unknown"),
        ] {
            assert_eq!(odd(name, kind, &[]), Vec::<&str>::new(), "{name} {kind}");
        }
        assert_eq!(odd("folder/a.txt", "text", &["a.zip"]), Vec::<&str>::new());
        for name in ["../a.txt", "/etc/a.txt", "C:\\a.txt", "a\\..\\..\\b.txt"] {
            assert_eq!(odd(name, "text", &["a.zip"]), ["file-name-path"]);
        }
    }
}
