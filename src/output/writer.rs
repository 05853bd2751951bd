//! Whole lines to a file, a pipe or standard output: no line is ever partly written, also when the disk fills.
//!
//! Lines are gathered and written together. When a write fails half-way, what is out of a line is taken back (regular
//! files), or finished first when writing works again (pipes, which cannot take back). Lines that could not be written
//! are counted, and writing goes on being tried: a full disk costs lines, not the sensor.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use libc::O_NONBLOCK;
use rustix::io::{Errno, ioctl_fionbio};

use crate::model::limits::{EVE_BUFFER, EVE_TAIL};

/// Writes EVE lines.
#[derive(Debug)]
pub struct EveWriter {
    target: Target,
    sink: Box<dyn Sink>,
    /// Whole lines not yet written.
    buffer: Vec<u8>,
    /// The rest of a line whose beginning is out and cannot be taken back.
    owed: Vec<u8>,
    failing: bool,
    /// Of standard output: that nobody reads it any more is no error.
    reader_may_leave: bool,
    closed: bool,
    lost_lines: u64,
    first_error: Option<String>,
    repaired: u64,
}

#[derive(Clone, Debug)]
enum Target {
    File(PathBuf),
    Stdout,
}

impl EveWriter {
    /// A fresh file for a replay: what was in it is gone.
    pub fn create(path: &Path) -> Result<Self, WriteError> {
        let file = open_first(path)?;
        if is_regular(&file) {
            file.set_len(0).map_err(|source| cannot("empty", path, source))?;
        }
        Ok(Self::new(Target::File(path.to_owned()), Box::new(file), 0))
    }

    /// A file to go on with (live capture). A last line that was cut off, as by a crash, is taken away first:
    /// see [`EveWriter::repaired_bytes`].
    pub fn append(path: &Path) -> Result<Self, WriteError> {
        let (file, repaired) = repaired(open_first(path)?, path)?;
        Ok(Self::new(Target::File(path.to_owned()), Box::new(file), repaired))
    }

    /// Standard output. Of a replay its reader may have had enough (`| head`): a quiet end. A live sensor goes on, and what
    /// nobody reads from there is lost as any other line.
    pub fn stdout(reader_may_leave: bool) -> Result<Self, WriteError> {
        // A descriptor of our own: the standard library's would hold back lines in a buffer we cannot see into.
        let own = io::stdout().as_fd().try_clone_to_owned();
        let own = own.map_err(|source| WriteError { action: "use", target: Target::Stdout.to_string(), source })?;
        let mut writer = Self::new(Target::Stdout, Box::new(File::from(own)), 0);
        writer.reader_may_leave = reader_may_leave;
        Ok(writer)
    }

    fn new(target: Target, sink: Box<dyn Sink>, repaired: u64) -> Self {
        let buffer = Vec::with_capacity(EVE_BUFFER);
        let (owed, first_error) = (Vec::new(), None);
        let (failing, closed, reader_may_leave, lost_lines) = (false, false, false, 0);
        Self { target, sink, buffer, owed, failing, reader_may_leave, closed, lost_lines, first_error, repaired }
    }

    /// Takes whole lines, each with its line end, and writes when enough have gathered.
    ///
    /// # Errors
    /// When writing began to fail; while it goes on failing, lines are only counted ([`EveWriter::lost_lines`]).
    pub fn write(&mut self, lines: &[u8]) -> Result<(), WriteError> {
        debug_assert!(lines.is_empty() || lines.ends_with(b"\n"), "only whole lines");
        if self.closed {
            return Ok(());
        }
        self.buffer.extend_from_slice(lines);
        if self.buffer.len() < EVE_BUFFER { Ok(()) } else { self.flush() }
    }

    /// Writes what has gathered. Errors as [`EveWriter::write`].
    pub fn flush(&mut self) -> Result<(), WriteError> {
        if self.closed || (self.buffer.is_empty() && self.owed.is_empty()) {
            return Ok(());
        }
        let lost_before = self.lost_lines;
        let result = self.pay().and_then(|()| self.put());
        self.buffer.clear();
        match result {
            Ok(()) => {
                self.failing = false;
                Ok(())
            }
            // The reader of a named pipe may come back.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe && self.reader_may_leave => {
                self.closed = true;
                self.lost_lines = lost_before;
                Ok(())
            }
            Err(error) => self.fail(error),
        }
    }

    /// Opens the file anew under its name, after the old one was moved away (SIGHUP). Standard output stays as it is.
    ///
    /// # Errors
    /// When the file cannot be opened; the old one is kept and written on.
    pub fn reopen(&mut self) -> Result<(), WriteError> {
        self.flush()?;
        if let Target::File(path) = &self.target {
            let (file, repaired) = repaired(open(path)?, path)?;
            self.lost_lines += u64::from(!self.owed.is_empty());
            self.owed.clear();
            self.sink = Box::new(file);
            self.repaired += repaired;
        }
        Ok(())
    }

    /// Whether the file has no name any more: what is written to it, nobody will read. It can be opened anew.
    pub fn is_deleted(&self) -> bool {
        matches!(self.target, Target::File(_)) && self.sink.is_deleted()
    }

    /// Lines that could not be written.
    pub fn lost_lines(&self) -> u64 {
        self.lost_lines
    }

    /// What went wrong first, as a sentence; none when every line was written.
    pub fn first_error(&self) -> Option<&str> {
        self.first_error.as_deref()
    }

    /// True once the reader of standard output has gone. Nothing more is written, and nothing counts as lost.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Bytes of cut-off lines taken away from the ends of files that were appended to.
    pub fn repaired_bytes(&self) -> u64 {
        self.repaired
    }

    /// Finishes the line whose beginning is out.
    fn pay(&mut self) -> io::Result<()> {
        let (written, result) = write_most(&mut *self.sink, &self.owed);
        self.owed.drain(..written);
        if result.is_err() {
            self.lost_lines += lines_in(&self.buffer);
        }
        result
    }

    /// Writes the buffer; on an error sees to it that no part of a line stays out.
    fn put(&mut self) -> io::Result<()> {
        let (written, result) = write_most(&mut *self.sink, &self.buffer);
        let Err(error) = result else { return Ok(()) };
        let (out, rest) = self.buffer.split_at(written);
        let whole = memchr::memrchr(b'\n', out).map_or(0, |at| at + 1);
        let part = written - whole;
        let mut lost = lines_in(rest);
        if part > 0 && !self.sink.take_back(part as u64).unwrap_or(false) {
            // The line will be finished, so it is not lost.
            let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            self.owed.extend_from_slice(&rest[..end]);
            lost = lost.saturating_sub(1);
        }
        self.lost_lines += lost;
        Err(error)
    }

    fn fail(&mut self, source: io::Error) -> Result<(), WriteError> {
        let error = WriteError { action: "write to", target: self.target.to_string(), source };
        self.first_error.get_or_insert_with(|| error.to_string());
        if std::mem::replace(&mut self.failing, true) { Ok(()) } else { Err(error) }
    }
}

/// Last words: what has gathered is written. An error here shows in nothing but the file, so callers that care flush.
impl Drop for EveWriter {
    fn drop(&mut self) {
        let _ = self.flush();
    }
}

/// Why EVE lines cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {target}: {source}; {}, or choose another place with --eve", remedy(.source))]
pub struct WriteError {
    action: &'static str,
    target: String,
    source: io::Error,
}

/// What would make writing possible.
fn remedy(error: &io::Error) -> &'static str {
    match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE) => return "raise the limit on open files",
        Some(Errno::NXIO) => return "start its reader",
        _ => {}
    }
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free space there",
        io::ErrorKind::FileTooLarge => "raise the limit on the size of files",
        io::ErrorKind::InvalidFilename => "give it a shorter name",
        io::ErrorKind::NotFound => "make its folder first",
        io::ErrorKind::IsADirectory => "name a file in it",
        io::ErrorKind::BrokenPipe => "start its reader",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => "grant the right to write there",
        _ => "see to its disk",
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "the EVE file {}", path.display()),
            Self::Stdout => f.write_str("standard output"),
        }
    }
}

/// Where bytes go.
trait Sink: Write + Send + std::fmt::Debug {
    /// Takes the last `bytes` written back; false when this kind of sink cannot.
    fn take_back(&mut self, bytes: u64) -> io::Result<bool>;

    /// Whether it is a file that was deleted.
    fn is_deleted(&self) -> bool {
        false
    }
}

impl Sink for File {
    fn take_back(&mut self, bytes: u64) -> io::Result<bool> {
        let length = self.metadata()?.len();
        if !is_regular(self) || length < bytes {
            return Ok(false);
        }
        self.set_len(length - bytes)?;
        // Standard output sent to a file has a position; left beyond the end it would make a hole.
        self.seek(SeekFrom::End(0))?;
        Ok(true)
    }

    fn is_deleted(&self) -> bool {
        self.metadata().is_ok_and(|meta| meta.is_file() && meta.nlink() == 0)
    }
}

/// The same as [`open`] at the start of a run, which may wait: for whoever is to read a named pipe.
fn open_first(path: &Path) -> Result<File, WriteError> {
    match open(path) {
        Err(error) if nobody_reads(&error.source) && is_pipe(path) => {
            tracing::info!("waiting for a reader of {}", path.display());
            OpenOptions::new().append(true).open(path).map_err(|source| cannot("open", path, source))
        }
        opened => opened,
    }
}

/// Opens for appending, which keeps lines in order also when another program cuts the file. Waits for nobody: a named pipe
/// that nobody reads is an error.
fn open(path: &Path) -> Result<File, WriteError> {
    if is_pipe(path) {
        let pipe = OpenOptions::new().append(true).custom_flags(O_NONBLOCK).open(path);
        // Once it is open it is waited for: of a replay no line is to be lost because its reader takes a breath.
        let pipe = pipe.and_then(|pipe| ioctl_fionbio(&pipe, false).map(|()| pipe).map_err(io::Error::from));
        return pipe.map_err(|source| cannot("open", path, source));
    }
    // Only what can be read is looked at for a cut-off line; a device is often for writing alone.
    let regular = std::fs::metadata(path).map_or(true, |meta| meta.is_file());
    let mut options = OpenOptions::new();
    // Mail is private: not for everyone on the machine to read.
    options.create(true).append(true).read(regular).mode(0o640);
    options.open(path).map_err(|source| cannot("open", path, source))
}

/// Gives the file to go on with, and the bytes of a cut-off line that were taken away from it.
fn repaired(mut file: File, path: &Path) -> Result<(File, u64), WriteError> {
    let repaired = if is_regular(&file) { repair(&mut file) } else { Ok(0) };
    repaired.map(|repaired| (file, repaired)).map_err(|source| cannot("repair", path, source))
}

fn cannot(action: &'static str, path: &Path, source: io::Error) -> WriteError {
    WriteError { action, target: Target::File(path.to_owned()).to_string(), source }
}

/// Makes a file end in a line end. A last line that begins as ours do, or is the zeros a power cut leaves, is taken
/// away; any other text gets a line end, since a file that is not ours is not ours to cut.
fn repair(file: &mut File) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let start = last_line_start(file, length)?;
    if start == Some(length) {
        return Ok(0);
    }
    if let Some(start) = start {
        let mut first = [0];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut first)?;
        if matches!(first, [b'{'] | [0]) {
            file.set_len(start)?;
            return Ok(length - start);
        }
    }
    file.write_all(b"\n")?;
    Ok(0)
}

/// Where the text after the last line end begins; `length` when nothing follows it; none when it is too far back.
fn last_line_start(file: &mut File, length: u64) -> io::Result<Option<u64>> {
    let mut chunk = vec![0; EVE_BUFFER];
    let mut end = length;
    while end > 0 && length - end < EVE_TAIL {
        let size = end.min(EVE_BUFFER as u64);
        let piece = &mut chunk[..size as usize];
        file.seek(SeekFrom::Start(end - size))?;
        file.read_exact(piece)?;
        if let Some(at) = memchr::memrchr(b'\n', piece) {
            return Ok(Some(end - size + at as u64 + 1));
        }
        end -= size;
    }
    Ok((end == 0).then_some(0))
}

/// Writes as much of `bytes` as can be written; says how much that was.
fn write_most(sink: &mut dyn Sink, bytes: &[u8]) -> (usize, io::Result<()>) {
    let (mut written, mut waited) = (0, Duration::ZERO);
    while written < bytes.len() {
        match sink.write(&bytes[written..]) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => (written, waited) = (written + count, Duration::ZERO),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A terminal or pipe that another program made non-blocking.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && waited < PATIENCE => {
                std::thread::sleep(NAP);
                waited += NAP;
            }
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

fn is_pipe(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.file_type().is_fifo())
}

fn nobody_reads(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::NXIO)
}

fn is_regular(file: &File) -> bool {
    file.metadata().is_ok_and(|meta| meta.is_file())
}

fn lines_in(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// How long a non-blocking sink may stay full before lines are given up.
const PATIENCE: Duration = Duration::from_secs(2);
const NAP: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests;
