//! Replay: the packets of capture files, folders and standard input, one file after the other.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::fs::{self, File, Metadata};
use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::bpf::Filter;
use super::error::CaptureError;
use super::finding::{FileFinding, FindingKind};
use super::folder;
use super::input::{Input, RawReader};
use super::reader::{self, CaptureReader, Found, Frame, Loss, OpenError, TEXT_FILE};
use super::stoppable::Stoppable;
use super::{Packet, Source, Step};
use crate::model::limits;
use crate::model::stats::CaptureStats;
use crate::model::time::Timestamp;

/// The name of standard input, on the command line and in [`ReplaySource::file_names`].
pub(super) const STANDARD_INPUT: &str = "-";

/// How to replay.
#[derive(Clone, Debug, Default)]
pub struct ReplayOptions {
    /// Only packets that pass this filter (pcap-filter(7)) are given; those that do not still count in packet numbers.
    pub bpf: Option<String>,
}

/// Packets from capture files: pcap and pcapng, plain or compressed with gzip or zstd.
///
/// Files are given in the order named; those of a folder in the time order of their first packets. A damaged file
/// does not end the replay: see [`ReplaySource::findings`]. A file that is named again, or linked to, is read once.
pub struct ReplaySource {
    names: Vec<String>,
    /// Files by device and number, each with the name it is read under.
    known: HashMap<(u64, u64), String>,
    waiting: VecDeque<Capture>,
    current: Option<Current>,
    /// Captures begun so far; the current one's index is one less.
    begun: usize,
    filter: Option<Filter>,
    findings: Vec<FileFinding>,
    any_damage: bool,
    damaged: u64,
    progress: Arc<AtomicU64>,
    total: Option<u64>,
    stop: Arc<AtomicBool>,
}

/// A capture whose turn has not come.
struct Capture {
    origin: Origin,
    /// Bytes on disk; none for streams.
    size: Option<u64>,
}

enum Origin {
    File(PathBuf),
    /// Something that can be opened only once: standard input, a pipe, a reader.
    Stream(Box<CaptureReader>),
}

/// The capture being read.
struct Current {
    reader: Box<CaptureReader>,
    /// What `progress` shall say when it is done, however much of it was read.
    progress_after: Option<u64>,
    /// Findings told of, and damage only counted.
    told: usize,
    untold: u64,
}

impl ReplaySource {
    /// Opens files, folders, and standard input (`-`). Looks at the beginning of every file, so that one which is no
    /// capture is an error now and not hours later.
    ///
    /// # Errors
    /// A path that does not exist, may not be read, or is no capture; a folder without captures; a bad filter.
    pub fn open(paths: &[PathBuf], options: &ReplayOptions) -> Result<Self, CaptureError> {
        Self::open_stoppable(paths, options, Arc::default())
    }

    /// As [`ReplaySource::open`]; once `stop` is set, a pipe that has fallen silent is waited for no longer.
    ///
    /// # Errors
    /// As [`ReplaySource::open`].
    pub fn open_stoppable(
        paths: &[PathBuf],
        options: &ReplayOptions,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, CaptureError> {
        let mut replay = Self { stop, ..Self::empty(options)? };
        for path in paths {
            replay.add_path(path)?;
        }
        if replay.waiting.is_empty() {
            return Err(CaptureError::NothingGiven);
        }
        replay.total = replay.waiting.iter().map(|capture| capture.size).sum();
        Ok(replay)
    }

    /// Replays one capture from any reader; `name` stands for its path.
    ///
    /// # Errors
    /// When it is no capture, or the filter is bad.
    pub fn from_reader(
        name: &str,
        reader: impl Read + Send + 'static,
        options: &ReplayOptions,
    ) -> Result<Self, CaptureError> {
        let mut replay = Self::empty(options)?;
        replay.add_stream(name.to_owned(), Box::new(reader))?;
        Ok(replay)
    }

    /// The captures' names, in the order of replay; [`Packet::file`] is an index into them.
    pub fn file_names(&self) -> Vec<String> {
        self.names.clone()
    }

    /// What was wrong with the files read so far. Complete after [`Step::End`].
    pub fn findings(&self) -> &[FileFinding] {
        &self.findings
    }

    /// Whether any file was corrupt within: the replay is then incomplete, and its caller exits with 1.
    pub fn damaged(&self) -> bool {
        self.any_damage
    }

    /// Bytes read so far, as they lie on the disk; goes up to [`ReplaySource::total_bytes`].
    pub fn progress(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.progress)
    }

    /// Bytes of all files as they lie on the disk; none when standard input or a pipe is among them.
    pub fn total_bytes(&self) -> Option<u64> {
        self.total
    }

    fn empty(options: &ReplayOptions) -> Result<Self, CaptureError> {
        Ok(Self {
            names: Vec::new(),
            known: HashMap::new(),
            waiting: VecDeque::new(),
            current: None,
            begun: 0,
            filter: options.bpf.as_deref().map(Filter::new).transpose()?,
            findings: Vec::new(),
            any_damage: false,
            damaged: 0,
            progress: Arc::default(),
            total: None,
            stop: Arc::default(),
        })
    }

    fn add_path(&mut self, path: &Path) -> Result<(), CaptureError> {
        if path.as_os_str() == STANDARD_INPUT {
            return self.add_standard_input();
        }
        let name = folder::name(path);
        let about = fs::metadata(path).map_err(|error| CaptureError::from_io(name.clone(), error))?;
        if about.is_dir() {
            self.add_folder(path)
        } else if about.is_file() {
            probe(path).map_err(|error| error.of(name))?;
            self.add_file(path.to_owned(), &about)
        } else {
            let stream = File::open(path).map_err(|error| CaptureError::from_io(name.clone(), error))?;
            self.add_stream(name, Box::new(Stoppable::new(stream, Arc::clone(&self.stop))))
        }
    }

    fn add_standard_input(&mut self) -> Result<(), CaptureError> {
        if self.names.iter().any(|name| name == STANDARD_INPUT) {
            return Err(CaptureError::StandardInputTwice);
        }
        if io::stdin().is_terminal() {
            let what = "is a terminal; send a capture into it (tcpdump -w - | ...)".to_owned();
            return Err(CaptureError::NotACapture { path: "standard input".to_owned(), what });
        }
        // A descriptor of our own: the standard library's reader has a buffer that cannot be asked what it holds.
        let own = io::stdin().as_fd().try_clone_to_owned();
        let own = own.map_err(|error| CaptureError::from_io("standard input".to_owned(), error))?;
        self.add_stream(STANDARD_INPUT.to_owned(), Box::new(Stoppable::new(own, Arc::clone(&self.stop))))
    }

    fn add_stream(&mut self, name: String, stream: RawReader) -> Result<(), CaptureError> {
        let reader = Input::new(stream, Arc::clone(&self.progress))
            .map_err(OpenError::Io)
            .and_then(|input| CaptureReader::open(input, limits::CAPTURE_READ))
            .map_err(|error| {
                error.of(if name == STANDARD_INPUT { "standard input".to_owned() } else { name.clone() })
            })?;
        self.add(name, Capture { origin: Origin::Stream(Box::new(reader)), size: None })
    }

    /// Adds a file, but only once, under whatever names and links it was found: all in it would be counted twice.
    fn add_file(&mut self, path: PathBuf, about: &Metadata) -> Result<(), CaptureError> {
        let name = folder::name(&path);
        match self.known.entry((about.dev(), about.ino())) {
            Entry::Occupied(known) => {
                let sentence = format!("passed over: it is {}, which is read already", known.get());
                self.skip(&path, FindingKind::Skipped, &sentence);
                Ok(())
            }
            Entry::Vacant(new) => {
                new.insert(name.clone());
                self.add(name, Capture { origin: Origin::File(path), size: Some(about.len()) })
            }
        }
    }

    fn add(&mut self, name: String, capture: Capture) -> Result<(), CaptureError> {
        if self.waiting.len() >= limits::CAPTURE_FILES {
            return Err(CaptureError::TooManyFiles { path: name });
        }
        self.names.push(name);
        self.waiting.push_back(capture);
        Ok(())
    }

    fn add_folder(&mut self, path: &Path) -> Result<(), CaptureError> {
        let listing = folder::list(path)?;
        let looked_at = listing.files.len();
        for (skipped, why) in &listing.skipped {
            self.skip(skipped, FindingKind::Skipped, &format!("passed over: {why}"));
        }
        for (unread, why) in &listing.unread {
            self.skip(unread, FindingKind::Damaged, &format!("passed over: {why}"));
        }
        let mut captures = Vec::new();
        for file in listing.files {
            match probe(&file).and_then(|first| Ok((first, fs::metadata(&file).map_err(OpenError::Io)?))) {
                Ok((first, about)) => captures.push((first, file, about)),
                Err(OpenError::NotACapture(what)) if what == TEXT_FILE => {}
                Err(OpenError::NotACapture(what)) => {
                    self.skip(&file, FindingKind::Skipped, &format!("passed over: it {what}"));
                }
                Err(OpenError::Io(error)) => {
                    let why = format!("passed over: it could not be read ({error})");
                    self.skip(&file, FindingKind::Damaged, &why);
                }
            }
        }
        if captures.is_empty() {
            return Err(CaptureError::NoCaptureInFolder { path: folder::name(path), looked_at });
        }
        // Files without a packet come last; the path decides among equals, so that the order is always the same.
        captures.sort_by_key(|(first, path, _)| (first.is_none(), *first, path.clone()));
        captures.into_iter().try_for_each(|(_, file, about)| self.add_file(file, &about))
    }

    /// Passes something in a folder over. What could not be read may be a capture: without it the replay is incomplete.
    fn skip(&mut self, path: &Path, kind: FindingKind, sentence: &str) {
        self.damaged += u64::from(kind == FindingKind::Damaged);
        let sentence = sentence.to_owned();
        self.tell(FileFinding { path: folder::name(path), packet: 0, kind, sentence });
    }

    /// Goes to the next capture; false when there is none. One that cannot be opened any more is a finding.
    fn begin_next(&mut self) -> bool {
        let Some(capture) = self.waiting.pop_front() else { return false };
        self.begun += 1;
        let before = self.progress.load(Ordering::Relaxed);
        let progress_after = capture.size.map(|size| before.saturating_add(size));
        let opened = match capture.origin {
            Origin::Stream(reader) => Ok(reader),
            Origin::File(path) => open_file(&path, Arc::clone(&self.progress), limits::CAPTURE_READ).map(Box::new),
        };
        match opened {
            Ok(mut reader) => {
                if capture.size.is_some_and(|size| size >= limits::CAPTURE_AHEAD_FROM) {
                    reader.read_ahead();
                }
                self.current = Some(Current { reader, progress_after, told: 0, untold: 0 });
            }
            Err(error) => {
                self.damaged += 1;
                let path = self.names.get(self.begun - 1).cloned().unwrap_or_default();
                let sentence = format!("could no longer be read when its turn came: {}", error.clause());
                self.tell(FileFinding { path, packet: 0, kind: FindingKind::Damaged, sentence });
            }
        }
        true
    }

    /// Advances to the next packet that is to be given.
    fn advance(&mut self) -> Option<Frame> {
        loop {
            let Some(current) = &mut self.current else {
                if self.begin_next() {
                    continue;
                }
                return None;
            };
            match current.reader.next() {
                Found::Packet(frame) => {
                    let Some(filter) = &mut self.filter else { return Some(frame) };
                    match filter.passes(frame.link, current.reader.bytes(&frame)) {
                        Ok(true) => return Some(frame),
                        Ok(false) => {}
                        Err(sentence) => self.lost(Loss { kind: FindingKind::Skipped, sentence, goes_on: true }),
                    }
                }
                Found::Loss(loss) => self.lost(loss),
                Found::End => self.finish(),
            }
        }
    }

    /// Keeps a loss as a finding, within bounds, and leaves the file when nothing more can be had of it.
    fn lost(&mut self, loss: Loss) {
        let Some(current) = &mut self.current else { return };
        if loss.kind == FindingKind::Cut && self.stop.load(Ordering::Relaxed) {
            // Not the capture was cut off: its reader was told to stop.
            return self.finish();
        }
        let packet = current.reader.packets();
        if loss.kind != FindingKind::Skipped {
            self.damaged += 1;
        }
        self.any_damage |= loss.kind == FindingKind::Damaged;
        let goes_on = loss.goes_on;
        if goes_on && current.told >= limits::CAPTURE_FINDINGS_PER_FILE {
            current.untold += u64::from(loss.kind == FindingKind::Damaged);
        } else {
            current.told += 1;
            self.tell_of_current(packet, loss.kind, loss.sentence);
        }
        if !goes_on {
            self.finish();
        }
    }

    /// Leaves the current file.
    fn finish(&mut self) {
        let Some(Current { reader, progress_after, untold, .. }) = self.current.take() else { return };
        if untold > 0 {
            let sentence = format!("damaged in {untold} more places");
            self.tell_of_current(reader.packets(), FindingKind::Damaged, sentence);
        }
        // It may be reading ahead still.
        drop(reader);
        if let Some(progress) = progress_after {
            self.progress.store(progress, Ordering::Relaxed);
        }
    }

    fn tell_of_current(&mut self, packet: u64, kind: FindingKind, sentence: String) {
        let path = self.names.get(self.begun.saturating_sub(1)).cloned().unwrap_or_default();
        self.tell(FileFinding { path, packet, kind, sentence });
    }

    fn tell(&mut self, finding: FileFinding) {
        self.any_damage |= finding.kind == FindingKind::Damaged;
        match self.findings.len() {
            n if n < limits::CAPTURE_FINDINGS => self.findings.push(finding),
            limits::CAPTURE_FINDINGS => self.findings.push(FileFinding {
                sentence: format!("more than {} findings; the rest is not listed", limits::CAPTURE_FINDINGS),
                ..finding
            }),
            _ => {}
        }
    }
}

impl Source for ReplaySource {
    fn next(&mut self) -> Result<Step<'_>, CaptureError> {
        let frame = self.advance();
        let (Some(frame), Some(current)) = (frame, &self.current) else { return Ok(Step::End) };
        Ok(Step::Packet(Packet {
            time: frame.time,
            link: frame.link,
            data: current.reader.bytes(&frame),
            wire_len: frame.wire_len,
            number: frame.number,
            file: u32::try_from(self.begun - 1).unwrap_or(u32::MAX),
        }))
    }

    fn stats(&mut self) -> CaptureStats {
        CaptureStats { damaged: self.damaged, ..CaptureStats::default() }
    }
}

/// Opens a file and finds its format.
fn open_file(path: &Path, progress: Arc<AtomicU64>, capacity: usize) -> Result<CaptureReader, OpenError> {
    let file = File::open(path).map_err(OpenError::Io)?;
    let input = Input::new(Box::new(file), progress).map_err(OpenError::Io)?;
    CaptureReader::open(input, capacity)
}

/// Whether a file begins as a capture does, plain or compressed: nothing that anyone would want overwritten.
pub fn looks_like_capture(path: &Path) -> bool {
    // Of a pipe nothing may be taken.
    if !fs::metadata(path).is_ok_and(|about| about.is_file()) {
        return false;
    }
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(4).read_to_end(&mut start));
    read.is_ok() && reader::is_start(&start)
}

/// Checks that a file is a capture, and finds the time of its first packet.
fn probe(path: &Path) -> Result<Option<Timestamp>, OpenError> {
    let mut reader = open_file(path, Arc::default(), PROBE_READ)?;
    loop {
        match reader.next() {
            Found::Packet(frame) => return Ok(Some(frame.time)),
            Found::Loss(loss) if loss.goes_on => {}
            Found::Loss(_) | Found::End => return Ok(None),
        }
    }
}

impl OpenError {
    /// As an error about `path`.
    fn of(self, path: String) -> CaptureError {
        match self {
            Self::Io(cause) => CaptureError::from_io(path, cause),
            Self::NotACapture(what) => CaptureError::NotACapture { path, what },
        }
    }

    fn clause(self) -> String {
        match self {
            Self::Io(error) => error.to_string(),
            Self::NotACapture(what) => format!("it {what}"),
        }
    }
}

/// Bytes read at a time to see what a file is: enough for the header and a packet.
const PROBE_READ: usize = 16 << 10;
