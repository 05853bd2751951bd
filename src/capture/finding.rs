//! What was found wrong with a capture file.

use std::fmt;

/// Something in a capture file that could not be read, or a file that was passed over. Displays as a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFinding {
    /// The file, as in the replay's file names; `-` is standard input.
    pub path: String,
    /// The last packet read before it, by its number in the file; 0 when there was none.
    pub packet: u64,
    pub kind: FindingKind,
    /// What, and what became of the rest of the file.
    pub sentence: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FindingKind {
    /// The file ends within a record: the capture was interrupted. All before it was read. A warning.
    Cut,
    /// The file is corrupt within, or could not be read at all. What could be read was read. The caller exits with 1.
    Damaged,
    /// Left out on purpose: no capture, or packets that the filter cannot judge. A warning.
    Skipped,
}

impl fmt::Display for FileFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.path == super::file::STANDARD_INPUT { "standard input" } else { self.path.as_str() };
        write!(f, "{name}: {}", self.sentence)
    }
}
