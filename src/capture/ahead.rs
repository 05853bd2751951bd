//! Reads a file on a thread of its own, some pieces ahead of who reads its packets, so that copying it out of the page
//! cache, and unpacking it, goes on beside everything else.

use std::io::{self, ErrorKind, Read};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded, never};

use super::buffer::Piece;
use super::input::RawReader;
use crate::model::limits;

/// The reader's end. Dropped, it has the thread end at its next piece, and waits for that.
pub(super) struct Ahead {
    read: Receiver<Outcome>,
    empty: Sender<Piece>,
    /// The end, or an error, was told: nothing comes after it.
    ended: bool,
    /// The thread failed, which is a defect.
    failed: bool,
    thread: Option<JoinHandle<()>>,
}

/// A piece; none at the end of the file, which is told, so that a thread that fails is not taken for it.
type Outcome = io::Result<Option<Piece>>;

impl Ahead {
    /// Starts to read; gives the source back where no thread can be had.
    pub(super) fn start(source: RawReader) -> Result<Self, RawReader> {
        let (read_in, read) = bounded(limits::CAPTURE_AHEAD);
        let (empty, empty_out) = bounded(limits::CAPTURE_AHEAD);
        // The source changes hands only once the thread runs, since a thread that cannot start drops what it was given.
        let (source_in, source_out) = bounded(1);
        let work = move || {
            if let Ok(source) = source_out.recv() {
                read_all(source, &read_in, &empty_out);
            }
        };
        match thread::Builder::new().name("read ahead".to_owned()).spawn(work) {
            Ok(thread) => {
                let _ = source_in.send(source);
                for _ in 0..limits::CAPTURE_AHEAD {
                    let _ = empty.send(Piece::new());
                }
                Ok(Self { read, empty, ended: false, failed: false, thread: Some(thread) })
            }
            Err(_) => Err(source),
        }
    }

    /// The next piece; none at the end.
    pub(super) fn next(&mut self) -> Outcome {
        if self.ended {
            return Ok(None);
        }
        let outcome = self.read.recv().unwrap_or_else(|_| {
            self.failed = true;
            Err(io::Error::other("the thread that reads it failed, which is a defect: please report it"))
        });
        self.ended = !matches!(outcome, Ok(Some(_)));
        outcome
    }

    /// Whether the thread failed: then the file is neither cut nor corrupt.
    pub(super) const fn has_failed(&self) -> bool {
        self.failed
    }

    /// Gives a piece back to be filled again.
    pub(super) fn give_back(&mut self, piece: Piece) {
        let _ = self.empty.send(piece);
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        (self.read, self.empty) = (never(), bounded(0).0);
        // What it still reads must not be counted as read of the next file.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Fills pieces until the source or its reader comes to an end. What was read before an error is handed over before it.
fn read_all(mut source: RawReader, read: &Sender<Outcome>, empty: &Receiver<Piece>) {
    for mut piece in empty {
        let outcome = fill(&mut source, &mut piece);
        if !piece.is_empty() && read.send(Ok(Some(piece))).is_err() {
            return;
        }
        let end = match outcome {
            Ok(true) => continue,
            Ok(false) => Ok(None),
            Err(error) => Err(error),
        };
        let _ = read.send(end);
        return;
    }
}

/// Reads until the piece is full; false at the end of the source.
fn fill(source: &mut RawReader, piece: &mut Piece) -> io::Result<bool> {
    piece.clear();
    loop {
        let room = piece.room();
        if room.is_empty() {
            return Ok(true);
        }
        match source.read(room) {
            Ok(0) => return Ok(false),
            Ok(count) => piece.add(count),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::buffer::ReadBuffer;

    /// Gives so much a call, so many bytes in all, then an error if there is one.
    struct Source {
        step: usize,
        left: usize,
        given: usize,
        error: bool,
    }

    impl Read for Source {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            if self.left == 0 && self.error {
                return Err(io::Error::other("damaged"));
            }
            let count = buf.len().min(self.step).min(self.left);
            for byte in buf.iter_mut().take(count) {
                *byte = byte_at(self.given);
                self.given += 1;
            }
            self.left -= count;
            Ok(count)
        }
    }

    fn byte_at(place: usize) -> u8 {
        (place % 251) as u8
    }

    /// All that a buffer gets to see, taken in records of so many bytes, and the error at the end.
    fn read_by(record: usize, source: Source) -> (usize, Option<String>) {
        let mut ahead = Ahead::start(Box::new(source)).unwrap_or_else(|_| panic!("no thread"));
        let mut buffer = ReadBuffer::with_capacity(100);
        let mut taken = 0;
        loop {
            while buffer.data().len() >= record {
                let expected = (taken..taken + record).map(byte_at);
                assert!(buffer.data()[..record].iter().copied().eq(expected), "after {taken} bytes");
                let at = buffer.position();
                buffer.consume(record);
                assert_eq!(buffer.at(at, 1), [byte_at(taken)]);
                taken += record;
            }
            match buffer.take_from(&mut ahead, record) {
                Ok(true) => {}
                Ok(false) => return (taken + buffer.data().len(), None),
                Err(error) => return (taken + buffer.data().len(), Some(error.to_string())),
            }
        }
    }

    #[test]
    fn every_byte_arrives_once_and_in_order_whatever_a_record_takes() {
        let all = 3 * limits::CAPTURE_READ + 4_321;
        for (record, step) in [(1_514, usize::MAX), (70_000, 16_384), (333_333, usize::MAX), (1_500_000, 100_000)] {
            let source = Source { step, left: all, given: 0, error: false };
            assert_eq!(read_by(record, source), (all, None), "{record}");
        }
    }

    #[test]
    fn an_error_comes_after_all_that_was_read_before_it() {
        for left in [0, 1, 2 * limits::CAPTURE_READ] {
            let source = Source { step: 1_000, left, given: 0, error: true };
            assert_eq!(read_by(1_514, source), (left, Some("damaged".to_owned())));
        }
    }

    #[test]
    fn a_thread_that_fails_is_no_end_of_the_file() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                panic!("for the test");
            }
        }
        let mut ahead = Ahead::start(Box::new(Failing)).unwrap_or_else(|_| panic!("no thread"));
        assert!(ahead.next().is_err_and(|error| error.to_string().contains("defect")));
        assert!(ahead.next().is_ok_and(|piece| piece.is_none()));
    }

    #[test]
    fn a_reader_that_stops_ends_the_thread() {
        let (ended_in, ended) = bounded::<()>(0);
        struct Watched {
            source: Source,
            _ended: Sender<()>,
        }
        impl Read for Watched {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.source.read(buf)
            }
        }
        let endless = Source { step: 4_096, left: usize::MAX, given: 0, error: false };
        let mut ahead = Ahead::start(Box::new(Watched { source: endless, _ended: ended_in }))
            .unwrap_or_else(|_| panic!("no thread"));
        assert!(ahead.next().is_ok_and(|piece| piece.is_some()));
        drop(ahead);
        // Its end of the channel goes with the source, which the thread owns.
        assert!(ended.recv().is_err());
    }
}
