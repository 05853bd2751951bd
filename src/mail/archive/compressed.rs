//! One file in a compressed stream: gzip (RFC 1952), bzip2, xz (its format 1.2.1), zstd (RFC 8878).

use std::cell::Cell;
use std::io::{self, BufRead, Read};

use bzip2::bufread::BzDecoder;
use flate2::bufread::GzDecoder;
use lzma_rust2::{LzmaReader, XzReader, lzma_get_memory_usage_by_props as get_memory_usage_by_props};
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::super::word::decode_unlabelled;
use super::fields::{u16_at, u32_at};
use super::{Listing, Member, Method};

/// The file within; `outer` is the archive's own name, from which a name is made that the stream does not hold.
pub fn list(data: &[u8], outer: &str, method: Method) -> Listing {
    let stated = if method == Method::Gzip { gzip_name(data) } else { None };
    let member = Member {
        name: stated.unwrap_or_else(|| without_suffix(outer)),
        packed_size: Some(data.len() as u64),
        method,
        packed: 0..data.len(),
        ..Member::default()
    };
    Listing { members: vec![member], stated: 1, anomalies: Vec::new() }
}

/// The name in a gzip header.
fn gzip_name(data: &[u8]) -> Option<String> {
    let mut decoder = GzDecoder::new(data);
    // The header is read with the first byte.
    let _ = decoder.read(&mut [0]);
    let name = decoder.header()?.filename()?;
    (!name.is_empty()).then(|| decode_unlabelled(name).into_owned())
}

/// As the unpacking programs name it.
fn without_suffix(outer: &str) -> String {
    let lower = outer.to_ascii_lowercase();
    for (suffix, instead) in SUFFIXES {
        if let Some(stem) = lower.strip_suffix(suffix).and_then(|stem| outer.get(..stem.len())) {
            return format!("{stem}{instead}");
        }
    }
    outer.to_owned()
}

/// Unpacks gzip, bzip2 or xz streams, one after the other (RFC 1952, section 2.2). What follows the last and is none is no
/// part of the file: most programs pass it over as well, and a file with a line end too many would else have no hash.
pub struct Streams<'a> {
    stream: Stream<'a>,
    /// How many more may begin.
    left: &'a Cell<usize>,
}

enum Stream<'a> {
    Gzip(Box<GzDecoder<&'a [u8]>>),
    Bzip2(BzDecoder<&'a [u8]>),
    /// With the memory, in KiB, that it may take.
    Xz(Box<XzReader<&'a [u8]>>, u32),
}

impl<'a> Streams<'a> {
    pub fn gzip(packed: &'a [u8], left: &'a Cell<usize>) -> Self {
        Self { stream: Stream::Gzip(Box::new(GzDecoder::new(packed))), left }
    }

    pub fn bzip2(packed: &'a [u8], left: &'a Cell<usize>) -> Self {
        Self { stream: Stream::Bzip2(BzDecoder::new(packed)), left }
    }

    /// With at most so many KiB of memory.
    pub fn xz(packed: &'a [u8], memory: u32, left: &'a Cell<usize>) -> Self {
        Self { stream: Stream::Xz(Box::new(XzReader::new_mem_limit(packed, false, memory)), memory), left }
    }

    /// Begins the stream behind the one that has ended, if there is one.
    fn next_stream(&mut self) -> io::Result<bool> {
        let next = match &self.stream {
            Stream::Gzip(ended) if ended.get_ref().starts_with(b"\x1f\x8b\x08") => {
                Stream::Gzip(Box::new(GzDecoder::new(ended.get_ref())))
            }
            Stream::Bzip2(ended) if ended.get_ref().starts_with(b"BZh") => {
                Stream::Bzip2(BzDecoder::new(ended.get_ref()))
            }
            Stream::Xz(ended, memory) => {
                let rest = ended.inner();
                // Padding between streams is of zeros, four at a time (section 2.2).
                let padding = rest.iter().take_while(|byte| **byte == 0).count();
                let next = rest.get(padding..).filter(|next| padding % 4 == 0 && next.starts_with(b"\xfd7zXZ\0"));
                let Some(next) = next else { return Ok(false) };
                Stream::Xz(Box::new(XzReader::new_mem_limit(next, false, *memory)), *memory)
            }
            _ => return Ok(false),
        };
        let left = self.left.get().checked_sub(1).ok_or_else(|| io::Error::other("too many streams"))?;
        self.left.set(left);
        self.stream = next;
        Ok(true)
    }
}

impl Read for Streams<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match &mut self.stream {
                Stream::Gzip(stream) => stream.read(buf)?,
                Stream::Bzip2(stream) => stream.read(buf)?,
                Stream::Xz(stream, _) => stream.read(buf)?,
            };
            if read > 0 || buf.is_empty() || !self.next_stream()? {
                return Ok(read);
            }
        }
    }
}

/// Unpacks a member of a zip that is packed with LZMA: two bytes of version, two that say how many properties follow, the
/// properties, and a bare stream (APPNOTE.TXT, section 5.8.8). Of a stream of unknown `size` (0) a marker is the end. `memory` is in KiB.
///
/// # Errors
/// The header is cut, or asks for more memory.
pub fn zip_lzma(packed: &[u8], size: u64, memory: u32) -> io::Result<LzmaReader<&[u8]>> {
    let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let properties = packed.get(4..4 + usize::from(u16_at(packed, 2).ok_or_else(cut)?)).ok_or_else(cut)?;
    let (first, window) = (*properties.first().ok_or_else(cut)?, u32_at(properties, 1).ok_or_else(cut)?);
    let needed = get_memory_usage_by_props(window, first)?;
    if needed > memory {
        return Err(io::Error::other(format!("it asks for {needed} KiB of memory")));
    }
    let size = if size == 0 { u64::MAX } else { size };
    LzmaReader::new_with_props(packed.get(4 + properties.len()..).unwrap_or_default(), size, first, window, None)
}

/// What cannot even be begun to be unpacked.
pub struct Failed(pub io::Error);

impl Read for Failed {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::new(self.0.kind(), self.0.to_string()))
    }
}

/// Unpacks zstd frames, one after the other (RFC 8878, section 3.1), with a bound on the window that a frame may ask for.
pub struct Zstd<'a> {
    packed: &'a [u8],
    decoder: FrameDecoder,
    in_frame: bool,
}

impl<'a> Zstd<'a> {
    /// Unpacks frames that ask for a window of at most so many bytes.
    pub fn new(packed: &'a [u8], window: u64) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(window);
        Self { packed, decoder, in_frame: false }
    }

    fn next_frame(&mut self) -> io::Result<()> {
        match self.decoder.reset(&mut self.packed) {
            Ok(()) => self.in_frame = true,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX).min(self.packed.len());
                self.packed.consume(length);
            }
            Err(error) => return Err(io::Error::other(error.to_string())),
        }
        Ok(())
    }
}

impl Read for Zstd<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            if buf.is_empty() || self.decoder.can_collect() > 0 {
                return self.decoder.read(buf);
            }
            if self.in_frame && self.decoder.is_finished() {
                let (stated, found) = (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum());
                if stated.is_some() && stated != found {
                    return Err(io::Error::other("its checksum is wrong"));
                }
                self.in_frame = false;
            } else if self.in_frame {
                let step = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder
                    .decode_blocks(&mut self.packed, step)
                    .map_err(|error| io::Error::other(error.to_string()))?;
            } else if self.packed.is_empty() {
                return Ok(0);
            } else {
                self.next_frame()?;
            }
        }
    }
}

/// Suffixes that go, and what comes instead.
const SUFFIXES: [(&str, &str); 12] = [
    (".tgz", ".tar"),
    (".gz", ""),
    (".tbz2", ".tar"),
    (".tbz", ".tar"),
    (".bz2", ""),
    (".bz", ""),
    (".txz", ".tar"),
    (".xz", ""),
    (".tzst", ".tar"),
    (".zst", ""),
    (".zstd", ""),
    (".z", ""),
];
