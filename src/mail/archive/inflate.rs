//! DEFLATE (RFC 1951) from a slice, with an honest end: a stream that stops early is an error, where flate2's own
//! reader takes it for finished.

use std::io::{self, Read};

use flate2::{Decompress, FlushDecompress, Status};

/// Unpacks a bare deflate stream.
pub struct Inflate<'a> {
    state: Decompress,
    input: &'a [u8],
    done: bool,
}

impl<'a> Inflate<'a> {
    pub fn new(input: &'a [u8]) -> Self {
        Self { state: Decompress::new(false), input, done: false }
    }
}

impl Read for Inflate<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.done || out.is_empty() {
            return Ok(0);
        }
        let (before_in, before_out) = (self.state.total_in(), self.state.total_out());
        let status = self.state.decompress(self.input, out, FlushDecompress::None)?;
        let used = usize::try_from(self.state.total_in() - before_in).unwrap_or(usize::MAX);
        let written = usize::try_from(self.state.total_out() - before_out).unwrap_or_default();
        self.input = self.input.get(used..).unwrap_or_default();
        self.done = status == Status::StreamEnd;
        if written == 0 && !self.done {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(written)
    }
}
