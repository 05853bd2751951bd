//! Macros in office documents: not whether they are bad, only that they are there.

use memchr::memmem;

/// Whether a member of a document in a zip is its macro project: named by ECMA-376's part conventions, and by MS-OFFMACRO2,
/// section 2.2.1.
pub fn is_macro_part(name: &str) -> bool {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    ["vbaProject.bin", "vbaProjectSignature.bin"].iter().any(|part| file.eq_ignore_ascii_case(part))
}

/// Whether a member of an OpenDocument file is a macro: Basic in a library, or a script of another language (OpenDocument
/// 1.3, part 3, section 3.12, and the packages that LibreOffice writes). Lists of what is in a library are none.
pub fn is_open_document_macro(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    let basic =
        name.starts_with("Basic/") && file.ends_with(".xml") && !matches!(file, "script-lb.xml" | "script-lc.xml");
    basic || (name.starts_with("Scripts/") && !file.is_empty())
}

/// Whether a compound file holds a macro project: by the name of the stream that each has (MS-OVBA, section 2.3.4.1).
pub fn has_macros(content: &[u8]) -> bool {
    memmem::find(content, STREAM).is_some()
}

/// The same for content that comes in pieces.
#[derive(Debug, Default)]
pub struct MacroSearch {
    pub seen: bool,
    /// The end of the last piece.
    tail: Vec<u8>,
}

impl MacroSearch {
    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        if self.seen {
            return;
        }
        self.tail.extend_from_slice(piece.get(..STREAM.len().min(piece.len())).unwrap_or_default());
        self.seen = has_macros(&self.tail) || has_macros(piece);
        let whole = if piece.len() < STREAM.len() { &self.tail[..] } else { piece };
        let keep = whole.get(whole.len().saturating_sub(STREAM.len() - 1)..).unwrap_or_default().to_vec();
        self.tail = keep;
    }
}

/// `_VBA_PROJECT` in UTF-16, as a directory entry has it.
const STREAM: &[u8] = b"_\0V\0B\0A\0_\0P\0R\0O\0J\0E\0C\0T\0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_macro_parts() {
        assert!(is_macro_part("word/vbaProject.bin") && is_macro_part("XL\\VBAPROJECT.BIN"));
        assert!(!is_macro_part("word/document.xml") && !is_macro_part("vbaProject.bin/x"));
        assert!(is_open_document_macro("Basic/Standard/Module1.xml") && is_open_document_macro("Scripts/python/a.py"));
        assert!(!is_open_document_macro("Basic/script-lc.xml") && !is_open_document_macro("Scripts/"));
    }

    #[test]
    fn finds_the_stream_in_pieces_of_any_size() {
        let content = [&[7; 100][..], STREAM, &[7; 50]].concat();
        for size in 1..content.len() {
            let mut search = MacroSearch::default();
            content.chunks(size).for_each(|piece| search.update(piece));
            assert!(search.seen, "{size}");
            let mut search = MacroSearch::default();
            content[..123].chunks(size).for_each(|piece| search.update(piece));
            assert!(!search.seen, "{size}");
        }
    }
}
