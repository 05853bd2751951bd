//! A 7z archive whose packed header asks for a larger window than a header can use.
//!
//! libarchive (bsdtar, and Windows 11, which makes 7z archives with it) asks for 8 MiB to pack some hundred bytes, where
//! 7-Zip asks for 1 MiB. No match reaches further back than what was unpacked so far, so a header within the bound unpacks
//! the same with less; and the bound of the crate, which is one for window and header, can stay where it is.

use std::io::{self, Read, Seek, SeekFrom};

use super::fields::{u32_at, u64_at};
use super::sevenzip::ENCODED;

/// The bytes of an archive, but for its start header and its header.
pub struct Narrowed<'a> {
    data: &'a [u8],
    start: [u8; START],
    header_at: usize,
    header: Vec<u8>,
    at: usize,
}

impl<'a> Narrowed<'a> {
    /// None when the header is not packed, or not with LZMA.
    pub fn new(data: &'a [u8]) -> Option<Self> {
        let mut start = *data.first_chunk::<START>()?;
        let header_at = usize::try_from(u64_at(&start, 12)?).ok()?.checked_add(START)?;
        let length = usize::try_from(u64_at(&start, 20)?).ok().filter(|length| *length <= MAX_ENCODED)?;
        let mut header = data.get(header_at..header_at.checked_add(length)?)?.to_vec();
        let whole = crc(&header) == u32_at(&start, 28)?;
        if header.first() != Some(&ENCODED) || !whole || !narrow(&mut header) {
            return None;
        }
        start[28..].copy_from_slice(&crc(&header).to_le_bytes());
        let sum = crc(&start[12..]).to_le_bytes();
        start[8..12].copy_from_slice(&sum);
        Some(Self { data, start, header_at, header, at: 0 })
    }

    /// The bytes from the current place on that lie together.
    fn piece(&self) -> &[u8] {
        let piece = match self.at {
            at if at < START => self.start.get(at..),
            at if at < self.header_at => self.data.get(at..self.header_at),
            at => self.header.get(at - self.header_at..),
        };
        piece.unwrap_or_default()
    }
}

impl Read for Narrowed<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.piece().read(buf)?;
        self.at += read;
        Ok(read)
    }
}

impl Seek for Narrowed<'_> {
    fn seek(&mut self, place: SeekFrom) -> io::Result<u64> {
        let length = self.header_at + self.header.len();
        let at = match place {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => (self.at as u64).checked_add_signed(by),
            SeekFrom::End(by) => (length as u64).checked_add_signed(by),
        };
        let at = at.and_then(|at| usize::try_from(at).ok()).ok_or(io::ErrorKind::InvalidInput)?;
        self.at = at;
        Ok(at as u64)
    }
}

/// Sets the windows that its coders ask for. Whether there are any.
fn narrow(header: &mut [u8]) -> bool {
    let mut found = false;
    for at in 0..header.len() {
        let rest = header.get_mut(at..).unwrap_or_default();
        if rest.starts_with(LZMA)
            && let Some(window) = rest.get_mut(LZMA.len() + 1..LZMA.len() + 5)
        {
            window.copy_from_slice(&WINDOW.to_le_bytes());
            found = true;
        } else if rest.starts_with(LZMA_2)
            && let Some(window) = rest.get_mut(LZMA_2.len())
        {
            *window = WINDOW_2;
            found = true;
        }
    }
    found
}

fn crc(data: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(data);
    crc.sum()
}

/// Signature, version, and where the header lies.
const START: usize = 32;
/// Ordinary ones take some forty bytes.
const MAX_ENCODED: usize = 1 << 10;

/// A coder: the length of its method and that it has properties, the method, the length of the properties. Those of LZMA
/// begin with a byte for its parameters.
const LZMA: &[u8] = b"\x23\x03\x01\x01\x05";
const LZMA_2: &[u8] = b"\x21\x21\x01";

/// What 7-Zip asks for.
const WINDOW: u32 = 1 << 20;
/// The same as LZMA2 writes it: 2 << (16 / 2 + 11).
const WINDOW_2: u8 = 16;
