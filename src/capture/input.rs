//! A capture's bytes: counted as they come from the disk, then unpacked if they are compressed.

use std::fmt;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use flate2::bufread::GzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use crate::model::limits;

/// Where raw bytes come from.
pub(super) type RawReader = Box<dyn Read + Send>;

/// The unpacked bytes of one capture.
pub(super) struct Input {
    unpacked: RawReader,
    compression: Compression,
    at_end: Arc<AtomicBool>,
}

/// How a file is compressed, found by its first bytes and not by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Input {
    /// Looks at the first bytes of `raw` and sets up what unpacks it. `progress` counts raw bytes read.
    pub(super) fn new(raw: RawReader, progress: Arc<AtomicU64>) -> io::Result<Self> {
        let at_end = Arc::new(AtomicBool::new(false));
        let mut tap = Tap { raw, progress, at_end: Arc::clone(&at_end) };
        let mut start = Vec::with_capacity(4);
        (&mut tap).take(4).read_to_end(&mut start)?;
        let compression = Compression::of(&start);
        let raw = Cursor::new(start).chain(tap);
        let unpacked: RawReader = match compression {
            Compression::None => Box::new(raw),
            Compression::Gzip => {
                let packed = BufReader::with_capacity(PACKED_READ, raw);
                Box::new(Sips(Members(Some(GzDecoder::new(packed)))))
            }
            Compression::Zstd => Box::new(ZstdReader::new(BufReader::with_capacity(PACKED_READ, raw))),
        };
        Ok(Self { unpacked, compression, at_end })
    }

    /// Takes the bytes themselves away, to be read elsewhere; what is left only tells about them.
    pub(super) fn take_bytes(&mut self) -> RawReader {
        std::mem::replace(&mut self.unpacked, Box::new(io::empty()))
    }

    /// Puts back what was taken.
    pub(super) fn put_back(&mut self, bytes: RawReader) {
        self.unpacked = bytes;
    }

    pub(super) fn compression(&self) -> Compression {
        self.compression
    }

    /// Whether the raw bytes have come to their end. After an error of a decoder it tells a file that was cut off
    /// (it asked for more than there was) from a corrupt one.
    pub(super) fn at_end(&self) -> bool {
        self.at_end.load(Ordering::Relaxed)
    }
}

impl Read for Input {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.unpacked.read(buf)
    }
}

impl Compression {
    pub(super) fn of(start: &[u8]) -> Self {
        match start {
            // RFC 1952, section 2.3.1.
            [0x1f, 0x8b, ..] => Self::Gzip,
            // RFC 8878, sections 3.1.1 and 3.1.2: a frame, or a skippable frame before it.
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Self::Zstd,
            _ => Self::None,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

/// Counts what is read, and notes the end.
struct Tap {
    raw: RawReader,
    progress: Arc<AtomicU64>,
    at_end: Arc<AtomicBool>,
}

impl Read for Tap {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.raw.read(buf)?;
        if count == 0 && !buf.is_empty() {
            self.at_end.store(true, Ordering::Relaxed);
        }
        self.progress.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Reads from a decoder a little at a time: it gives up the whole of the call in which it meets an error.
struct Sips<R>(R);

impl<R: Read> Read for Sips<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = buf.len().min(SIP);
        self.0.read(buf.get_mut(..len).unwrap_or_default())
    }
}

/// Unpacks gzip members, one after the other (RFC 1952, section 2.2). Zeros behind one, as tapes and whole blocks of a disk
/// leave them, are nothing, as to gzip(1). None at the end.
struct Members<R>(Option<GzDecoder<R>>);

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.0 {
            let count = member.read(buf)?;
            if count > 0 || buf.is_empty() {
                return Ok(count);
            }
            self.0 = match self.0.take() {
                Some(member) => next_member(member.into_inner())?.map(GzDecoder::new),
                None => None,
            };
        }
        Ok(0)
    }
}

/// The packed bytes from the next one on that is no zero; none when there is none.
fn next_member<R: BufRead>(mut packed: R) -> io::Result<Option<R>> {
    loop {
        let bytes = packed.fill_buf()?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let found = zeros < bytes.len();
        packed.consume(zeros);
        if found {
            return Ok(Some(packed));
        }
    }
}

/// Unpacks zstd frames, one after the other (RFC 8878, section 3.1).
struct ZstdReader<R> {
    packed: R,
    decoder: FrameDecoder,
    state: ZstdState,
}

enum ZstdState {
    BetweenFrames,
    InFrame,
    /// What was unpacked before the error is given first.
    Failing(io::Error),
    Ended,
}

impl<R: BufRead> ZstdReader<R> {
    fn new(packed: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(limits::ZSTD_WINDOW);
        Self { packed, decoder, state: ZstdState::BetweenFrames }
    }

    /// Enters the next frame, passing over skippable ones; the end of the file is the end here and nowhere else.
    fn next_frame(&mut self) -> io::Result<()> {
        if self.packed.fill_buf()?.is_empty() {
            self.state = ZstdState::Ended;
            return Ok(());
        }
        match self.decoder.reset(&mut self.packed) {
            Ok(()) => self.state = ZstdState::InFrame,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                let skipped = io::copy(&mut (&mut self.packed).take(u64::from(length)), &mut io::sink())?;
                if skipped < u64::from(length) {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            Err(error) => return Err(io::Error::other(error.to_string())),
        }
        Ok(())
    }

    /// Unpacks one more block, at most 128 KiB (RFC 8878, section 3.1.1.2.4).
    fn next_block(&mut self) {
        if let Err(error) = self.decoder.decode_blocks(&mut self.packed, BlockDecodingStrategy::UptoBlocks(1)) {
            self.state = ZstdState::Failing(io::Error::other(error.to_string()));
            // The decoder holds back the last window of what it has unpacked until the frame ends, which for a small
            // file is everything. So it is shown an end: an empty raw block marked as the last, and a checksum.
            let end = [0x01, 0, 0, 0, 0, 0, 0];
            let _ = self.decoder.decode_blocks(end.as_slice(), BlockDecodingStrategy::UptoBlocks(1));
        }
    }

    fn check_sum(&self) -> io::Result<()> {
        match (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum()) {
            (Some(stated), Some(found)) if stated != found => Err(io::Error::other("its checksum is wrong")),
            _ => Ok(()),
        }
    }
}

impl<R: BufRead> Read for ZstdReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            if self.decoder.can_collect() > 0 {
                return self.decoder.read(buf);
            }
            match std::mem::replace(&mut self.state, ZstdState::Ended) {
                ZstdState::BetweenFrames => {
                    self.state = ZstdState::BetweenFrames;
                    self.next_frame()?;
                }
                ZstdState::InFrame if self.decoder.is_finished() => {
                    self.check_sum()?;
                    self.state = ZstdState::BetweenFrames;
                }
                ZstdState::InFrame => {
                    self.state = ZstdState::InFrame;
                    self.next_block();
                }
                ZstdState::Failing(error) => return Err(error),
                ZstdState::Ended => return Ok(0),
            }
        }
    }
}

/// Compressed bytes read at a time.
const PACKED_READ: usize = 256 << 10;
/// Unpacked bytes asked of a gzip decoder at a time.
const SIP: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::GzEncoder;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn text() -> Vec<u8> {
        (0..60_000_u32).flat_map(|n| (n * n).to_string().into_bytes()).collect()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        compress_to_vec(bytes, CompressionLevel::Fastest)
    }

    /// All that comes out, the error that ended it, and whether the file had then been read to its end.
    fn unpack(packed: &[u8]) -> (Vec<u8>, Option<io::Error>, bool) {
        let mut input = Input::new(Box::new(Cursor::new(packed.to_vec())), Arc::default()).unwrap();
        let mut out = Vec::new();
        let error = input.read_to_end(&mut out).err();
        (out, error, input.at_end())
    }

    #[test]
    fn members_and_frames_are_read_one_after_the_other() {
        let text = text();
        let (front, back) = text.split_at(70_001);
        let skippable = [&[0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
        for packed in [
            text.clone(),
            [gzip(front), gzip(back)].concat(),
            [gzip(front), gzip(back), vec![0; 600_000]].concat(),
            [zstd(front), zstd(back)].concat(),
            [skippable.clone(), zstd(front), skippable, zstd(back)].concat(),
        ] {
            let (out, error, at_end) = unpack(&packed);
            assert!(error.is_none() && at_end, "{error:?}");
            assert!(out == text);
        }
    }

    #[test]
    fn a_file_cut_off_gives_what_was_there_and_then_an_error_at_its_end() {
        let text = text();
        for packed in [gzip(&text), zstd(&text)] {
            let (out, error, at_end) = unpack(&packed[..packed.len() * 3 / 4]);
            assert!(error.is_some() && at_end);
            assert!(out.len() > text.len() / 2, "only {} of {} bytes", out.len(), text.len());
            assert!(text.starts_with(&out));
        }
    }

    #[test]
    fn a_wrong_checksum_is_an_error_before_the_end() {
        let mut packed = gzip(&text());
        let crc = packed.len() - 8;
        packed[crc] ^= 1;
        packed.extend([0; 32]);
        let (out, error, _) = unpack(&packed);
        assert!(out == text() && error.is_some());
    }

    #[test]
    fn what_is_no_member_behind_one_is_an_error_after_all_that_was_read() {
        let (out, error, _) = unpack(&[gzip(&text()), vec![0; 512], b"something else".to_vec()].concat());
        assert!(out == text() && error.is_some());
    }

    #[test]
    fn progress_counts_packed_bytes() {
        let packed = gzip(&text());
        let progress = Arc::new(AtomicU64::new(0));
        let mut input = Input::new(Box::new(Cursor::new(packed.clone())), Arc::clone(&progress)).unwrap();
        assert_eq!(input.compression(), Compression::Gzip);
        io::copy(&mut input, &mut io::sink()).unwrap();
        assert_eq!(progress.load(Ordering::Relaxed), packed.len() as u64);
    }
}
