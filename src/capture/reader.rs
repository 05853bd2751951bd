//! The packets of one capture file, in whichever format.

use std::io;

use super::ahead::Ahead;
use super::buffer::ReadBuffer;
use super::finding::FindingKind;
use super::input::{Compression, Input};
use super::pcap_file::PcapFile;
use super::pcapng_file::PcapngFile;
use super::record::{Parsed, Record};
use crate::model::time::Timestamp;

/// Reads the packets of one capture file.
pub(super) struct CaptureReader {
    input: Input,
    /// Where the input's bytes come from, once they are read ahead.
    ahead: Option<Ahead>,
    buffer: ReadBuffer,
    format: Format,
    packets: u64,
}

/// What the reader found next.
#[derive(Debug)]
pub(super) enum Found {
    Packet(Frame),
    /// Something could not be read.
    Loss(Loss),
    End,
}

/// A packet; its bytes are had from [`CaptureReader::bytes`] until the next is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) time: Timestamp,
    pub(super) link: u32,
    pub(super) wire_len: u32,
    /// Number in the file, from 1.
    pub(super) number: u64,
    at: usize,
    len: usize,
}

/// Something that could not be read.
#[derive(Debug)]
pub(super) struct Loss {
    pub(super) kind: FindingKind,
    pub(super) sentence: String,
    /// Whether reading can go on behind it.
    pub(super) goes_on: bool,
}

/// Why a file cannot be read as a capture at all.
#[derive(Debug)]
pub(super) enum OpenError {
    Io(io::Error),
    /// A verb phrase: "is empty".
    NotACapture(String),
}

enum Format {
    Pcap(PcapFile),
    Pcapng(PcapngFile),
}

impl CaptureReader {
    /// Reads the beginning of a file and finds its format. `capacity` is how much is read at a time.
    pub(super) fn open(mut input: Input, capacity: usize) -> Result<Self, OpenError> {
        let mut buffer = ReadBuffer::with_capacity(capacity);
        while buffer.data().len() < PcapFile::HEADER {
            match buffer.fill(&mut input, PcapFile::HEADER) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    return Err(match input.compression() {
                        Compression::None => OpenError::Io(error),
                        packing => OpenError::NotACapture(format!(
                            "is compressed with {packing}, and cut off or corrupt before anything could be read"
                        )),
                    });
                }
            }
        }
        let format = Format::of(buffer.data()).map_err(|what| OpenError::NotACapture(within(&input, what)))?;
        let mut reader = Self { input, ahead: None, buffer, format, packets: 0 };
        match &reader.format {
            Format::Pcap(_) => reader.buffer.consume(PcapFile::HEADER),
            Format::Pcapng(_) => reader.read_section_header()?,
        }
        Ok(reader)
    }

    /// Has the rest be read ahead on a thread of its own; where there can be none, it is read as before.
    pub(super) fn read_ahead(&mut self) {
        match Ahead::start(self.input.take_bytes()) {
            Ok(ahead) => self.ahead = Some(ahead),
            Err(bytes) => self.input.put_back(bytes),
        }
    }

    /// The next packet, or what stands in its way. After a loss that does not go on there is nothing more.
    pub(super) fn next(&mut self) -> Found {
        loop {
            match self.format.parse(self.buffer.data()) {
                Parsed::Packet(record) => return Found::Packet(self.take(&record)),
                Parsed::Other(size) => self.buffer.consume(size),
                Parsed::Need(size) => {
                    if let Some(end) = self.fill(size) {
                        return end;
                    }
                }
                Parsed::Damaged(damage) => {
                    self.buffer.consume(damage.size.unwrap_or(0));
                    return Found::Loss(self.damaged(&damage.what, damage.size.is_some()));
                }
            }
        }
    }

    /// A packet's bytes.
    pub(super) fn bytes(&self, frame: &Frame) -> &[u8] {
        self.buffer.at(frame.at, frame.len)
    }

    /// Packets read so far.
    pub(super) fn packets(&self) -> u64 {
        self.packets
    }

    fn take(&mut self, record: &Record) -> Frame {
        self.packets += 1;
        let at = self.buffer.position() + record.start;
        self.buffer.consume(record.size);
        Frame {
            time: record.time,
            link: record.link,
            wire_len: record.wire_len,
            number: self.packets,
            at,
            len: record.len,
        }
    }

    /// Reads more; when there is no more, says what kind of end this is.
    fn fill(&mut self, need: usize) -> Option<Found> {
        let filled = match &mut self.ahead {
            Some(ahead) => self.buffer.take_from(ahead, need),
            None => self.buffer.fill(&mut self.input, need),
        };
        let failed = self.ahead.as_ref().is_some_and(Ahead::has_failed);
        match filled {
            Ok(true) => None,
            Ok(false) if self.buffer.data().is_empty() => Some(Found::End),
            Ok(false) if self.format.looks_cut(self.buffer.data()) => Some(Found::Loss(self.cut())),
            Ok(false) => Some(Found::Loss(self.damaged("a packet's length is wrong", false))),
            Err(_) if self.input.compression() != Compression::None && self.input.at_end() && !failed => {
                Some(Found::Loss(self.cut()))
            }
            Err(error) => {
                let what = match self.input.compression() {
                    _ if failed => format!("reading failed ({error})"),
                    Compression::None => format!("reading failed ({error})"),
                    packing => format!("the {packing} data is corrupt ({error})"),
                };
                Some(Found::Loss(self.damaged(&what, false)))
            }
        }
    }

    /// The section header that a pcapng file begins with decides whether the file can be read at all.
    fn read_section_header(&mut self) -> Result<(), OpenError> {
        loop {
            let what = match self.format.parse(self.buffer.data()) {
                Parsed::Other(size) => {
                    self.buffer.consume(size);
                    return Ok(());
                }
                Parsed::Need(size) => match self.buffer.fill(&mut self.input, size) {
                    Ok(true) => continue,
                    Ok(false) | Err(_) => "is a pcapng file cut off within its header".to_owned(),
                },
                Parsed::Damaged(damage) => format!("begins like a pcapng file, but {}", damage.what),
                Parsed::Packet(_) => "begins like a pcapng file, but without a section".to_owned(),
            };
            return Err(OpenError::NotACapture(within(&self.input, what)));
        }
    }

    fn cut(&self) -> Loss {
        let sentence = match self.packets {
            0 => "cut off before the end of its first packet; the capture was interrupted".to_owned(),
            1 => "cut off after packet 1, which was read; the capture was interrupted".to_owned(),
            n => {
                format!("cut off after packet {n}; all {n} packets before that were read; the capture was interrupted")
            }
        };
        Loss { kind: FindingKind::Cut, sentence, goes_on: false }
    }

    fn damaged(&self, what: &str, goes_on: bool) -> Loss {
        let rest = if goes_on { "reading goes on behind it" } else { "the rest of this file was not read" };
        let place = match self.packets {
            0 => "damaged before its first packet".to_owned(),
            n => format!("damaged after packet {n}"),
        };
        Loss { kind: FindingKind::Damaged, sentence: format!("{place}: {what}; {rest}"), goes_on }
    }
}

impl Format {
    /// Finds the format by a file's first bytes; the error is a verb phrase.
    fn of(start: &[u8]) -> Result<Self, String> {
        let Some(magic) = start.first_chunk::<4>() else {
            return Err(if start.is_empty() { "is empty".to_owned() } else { describe(start).to_owned() });
        };
        if *magic == PcapngFile::MAGIC {
            return Ok(Self::Pcapng(PcapngFile::new()));
        }
        if !PcapFile::is_magic(*magic) {
            return Err(describe(start).to_owned());
        }
        match start.get(..PcapFile::HEADER) {
            Some(header) => PcapFile::open(header).map(Self::Pcap),
            None => Err("is a pcap file cut off within its header".to_owned()),
        }
    }

    fn parse(&mut self, data: &[u8]) -> Parsed {
        match self {
            Self::Pcap(file) => file.parse(data),
            Self::Pcapng(file) => file.parse(data),
        }
    }

    fn looks_cut(&self, data: &[u8]) -> bool {
        match self {
            Self::Pcap(file) => file.looks_cut(data),
            Self::Pcapng(file) => file.looks_cut(data),
        }
    }
}

/// Whether a file that begins so is a capture, or compressed as one may be.
pub(super) fn is_start(start: &[u8]) -> bool {
    let is_magic = |magic: &[u8; 4]| *magic == PcapngFile::MAGIC || PcapFile::is_magic(*magic);
    start.first_chunk().is_some_and(is_magic) || Compression::of(start) != Compression::None
}

/// Says of compressed files that it is their content that was looked at.
fn within(input: &Input, what: String) -> String {
    match input.compression() {
        Compression::None => what,
        packing => format!("is compressed with {packing}, and unpacked {what}"),
    }
}

/// What a file is that is no capture, by its first bytes.
fn describe(start: &[u8]) -> &'static str {
    const KNOWN: &[(&[u8], &str)] = &[
        (b"\xa1\xb2\xcd\x34", "is a pcap file in an old big-endian form; convert it first (editcap -F pcap)"),
        (b"snoop\0\0\0", "is a snoop capture; convert it first (editcap -F pcap)"),
        (b"GMBU", "is a Network Monitor capture; convert it first (editcap -F pcap)"),
        (b"RTSS", "is a Network Monitor capture; convert it first (editcap -F pcap)"),
        (b"XCP\0", "is a Sniffer capture; convert it first (editcap -F pcap)"),
        (b"PK\x03\x04", "is a ZIP archive; unpack it first"),
        (b"BZh", "is compressed with bzip2; unpack it first (bunzip2)"),
        (b"\xfd7zXZ", "is compressed with xz; unpack it first (unxz)"),
        (b"\x04\x22\x4d\x18", "is compressed with lz4; unpack it first (unlz4)"),
        (b"7z\xbc\xaf", "is a 7z archive; unpack it first"),
        (b"\x1f\x8b", "is compressed twice; unpack it first (gunzip)"),
        (b"\x28\xb5\x2f\xfd", "is compressed twice; unpack it first (unzstd)"),
    ];
    let known = KNOWN.iter().find(|(magic, _)| start.starts_with(magic));
    let is_text = start.iter().all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace());
    match known {
        Some((_, what)) => what,
        None if start.is_empty() => "is empty",
        None if is_text => TEXT_FILE,
        None => "is no capture",
    }
}
/// What a text file is told to be. Notes beside captures are nothing to warn of.
pub(super) const TEXT_FILE: &str = "is a text file";
