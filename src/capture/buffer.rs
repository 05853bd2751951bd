//! The read buffer: one allocation, filled in large reads, grown only as far as a record needs; or pieces that were read
//! ahead, taken as they are.

use std::io::{self, ErrorKind, Read};

use super::ahead::Ahead;
use crate::model::limits;

/// Bytes read from a source and not yet consumed.
#[derive(Debug)]
pub(super) struct ReadBuffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl ReadBuffer {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { bytes: vec![0; capacity], start: 0, end: 0 }
    }

    /// What is there to be read.
    pub(super) fn data(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Where `data` begins; with it, [`ReadBuffer::at`] finds bytes again after they were consumed.
    pub(super) fn position(&self) -> usize {
        self.start
    }

    /// `len` bytes from the position `at`; valid until the next fill.
    pub(super) fn at(&self, at: usize, len: usize) -> &[u8] {
        self.bytes.get(at..at + len).unwrap_or_default()
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }

    /// Takes the next piece that was read ahead, towards `need` bytes of data; false at the end. What was not consumed
    /// is put before it, where the piece has room; the record that needs more than that is put together here.
    pub(super) fn take_from(&mut self, ahead: &mut Ahead, need: usize) -> io::Result<bool> {
        let Some(mut piece) = ahead.next()? else { return Ok(false) };
        let rest = self.end - self.start;
        if rest <= HEAD && need.saturating_sub(rest) <= piece.end - HEAD {
            let start = HEAD - rest;
            if let Some(room) = piece.bytes.get_mut(start..HEAD) {
                room.copy_from_slice(self.data());
            }
            std::mem::swap(&mut self.bytes, &mut piece.bytes);
            (self.start, self.end) = (start, piece.end);
        } else {
            let read = piece.bytes.get(HEAD..piece.end).unwrap_or_default();
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, rest);
            self.bytes.truncate(rest);
            self.bytes.extend_from_slice(read);
            self.end = self.bytes.len();
        }
        ahead.give_back(piece);
        Ok(true)
    }

    /// Reads once more from `source`, towards `need` bytes of data; false at its end. Grows by doubling as bytes
    /// arrive, so that a false length in a short file costs nothing.
    pub(super) fn fill(&mut self, source: &mut dyn Read, need: usize) -> io::Result<bool> {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end == self.bytes.len() && need > self.end {
            let double = self.bytes.len().saturating_mul(2).clamp(MIN_CAPACITY, limits::CAPTURE_RECORD * 2);
            self.bytes.resize(double, 0);
        }
        loop {
            match source.read(self.bytes.get_mut(self.end..).unwrap_or_default()) {
                Ok(count) => {
                    self.end = (self.end + count).min(self.bytes.len());
                    return Ok(count > 0);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Bytes that were read ahead, with room before them for what is left of the piece before.
#[derive(Debug)]
pub(super) struct Piece {
    bytes: Vec<u8>,
    end: usize,
}

impl Piece {
    pub(super) fn new() -> Self {
        Self { bytes: Vec::new(), end: HEAD }
    }

    /// Makes it empty, and of its full size again, whatever served as one.
    pub(super) fn clear(&mut self) {
        self.bytes.resize(HEAD + limits::CAPTURE_READ, 0);
        self.bytes.shrink_to(2 * limits::CAPTURE_READ);
        self.end = HEAD;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.end <= HEAD
    }

    /// Where more can be read to.
    pub(super) fn room(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// So much was read.
    pub(super) fn add(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }
}

const MIN_CAPACITY: usize = 4_096;
/// Room before a piece: the longest packets are some 64 KiB.
const HEAD: usize = 128 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_what_a_record_needs_and_keeps_what_was_not_consumed() {
        let source: Vec<u8> = (0..20_000_u32).map(|n| n as u8).collect();
        let mut reader = source.as_slice();
        let mut buffer = ReadBuffer::with_capacity(100);
        assert!(buffer.fill(&mut reader, 100).unwrap());
        buffer.consume(60);
        while buffer.data().len() < 15_000 {
            assert!(buffer.fill(&mut reader, 15_000).unwrap());
        }
        assert_eq!(&buffer.data()[..15_000], &source[60..15_060]);
        while buffer.fill(&mut reader, usize::MAX).unwrap() {}
        assert_eq!(buffer.data(), &source[60..]);
    }

    #[test]
    fn never_grows_past_twice_the_longest_record() {
        let mut endless = io::repeat(7);
        let mut buffer = ReadBuffer::with_capacity(1 << 20);
        while buffer.fill(&mut endless, usize::MAX).unwrap() {}
        assert_eq!(buffer.data().len(), limits::CAPTURE_RECORD * 2);
    }
}
