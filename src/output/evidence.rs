//! A capture for each incident (`--evidence`): the host's packets of mail and DNS, from before it was suspected until its
//! incident closes.
//!
//! What a host did before is taken from a ring of recent packets. Files are pcap with nanoseconds, which every tool
//! reads; one for each link type, as the format has one a file. Like extracted files they are the owner's alone,
//! no link is followed, and no packet is ever partly written, also when the disk fills.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::model::alert::{Incident, Verdict};
use crate::model::event::KeptPacket;
use crate::model::limits::{EVIDENCE_BUFFER, EVIDENCE_FILE_BYTES, EVIDENCE_NAMES, EVIDENCE_RING, EVIDENCE_TOTAL_BYTES};
use crate::model::time::Timestamp;

/// Writes the packets behind incidents.
#[derive(Debug)]
pub struct EvidenceWriter {
    dir: PathBuf,
    caps: Caps,
    /// Recent packets of all home hosts, oldest first, and the bytes they take.
    recent: VecDeque<Remembered>,
    recent_bytes: usize,
    /// Captures of open incidents.
    open: BTreeMap<IpAddr, Vec<Trace>>,
    /// What names were given in this run, the latest of them: since when, in seconds, and whose. A capture with one of
    /// them is not replaced.
    begun: BTreeSet<(i64, IpAddr)>,
    stats: EvidenceStats,
    first_error: Option<String>,
    last_error: Option<String>,
}

/// What became of the packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EvidenceStats {
    /// Files begun.
    pub files: u64,
    /// Packets written, and the bytes of the files.
    pub packets: u64,
    pub bytes: u64,
    /// Packets that no longer fitted into their file, or into what all may take together.
    pub over_cap: u64,
    /// Packets that could not be written.
    pub failed: u64,
    /// Packets remembered no longer that no capture has wanted so far, though their host may be suspected later on.
    pub forgotten: u64,
}

impl EvidenceStats {
    /// Packets wanted and not written.
    pub fn lost(&self) -> u64 {
        self.over_cap + self.failed
    }
}

impl EvidenceWriter {
    /// Writes into `dir`, which is made when it is missing.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn new(dir: &Path) -> Result<Self, EvidenceError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|source| EvidenceError { dir: dir.to_owned(), source })?;
        Ok(Self {
            dir: dir.to_owned(),
            caps: Caps { ring: EVIDENCE_RING, file: EVIDENCE_FILE_BYTES, total: EVIDENCE_TOTAL_BYTES },
            recent: VecDeque::new(),
            recent_bytes: 0,
            open: BTreeMap::new(),
            begun: BTreeSet::new(),
            stats: EvidenceStats::default(),
            first_error: None,
            last_error: None,
        })
    }

    /// The same with so many bytes of packets remembered of hosts that are not suspected yet.
    #[must_use]
    pub fn remembering(mut self, bytes: usize) -> Self {
        self.caps.ring = bytes;
        self
    }

    /// Bytes of packets remembered now, and of what waits to be written.
    pub fn memory(&self) -> usize {
        self.recent_bytes + self.open.values().flatten().map(|trace| trace.gathered.capacity()).sum::<usize>()
    }

    /// Takes a packet of a home host. Of a host with several addresses `known_as` gives the one its incidents name.
    pub fn packet(&mut self, time: Timestamp, packet: &KeptPacket, known_as: impl Fn(IpAddr) -> IpAddr) {
        let [from, to] = parties(packet).map(known_as);
        let mut wanted = self.add(from, time, packet);
        if to != from {
            wanted |= self.add(to, time, packet);
        }
        self.recent_bytes += footprint(packet);
        self.recent.push_back(Remembered { time, packet: packet.clone(), wanted });
        while self.recent_bytes > self.caps.ring
            && let Some(oldest) = self.recent.pop_front()
        {
            self.recent_bytes -= footprint(&oldest.packet);
            self.stats.forgotten += u64::from(!oldest.wanted);
        }
    }

    /// Hears of a host's case: begins its capture, or ends it.
    pub fn incident(&mut self, incident: &Incident) {
        let host = incident.host.to_canonical();
        // What was taken for a host of its own goes on in the capture of the host it is an address of.
        incident.other_addresses.iter().for_each(|other| self.end(other.to_canonical()));
        if incident.verdict != Verdict::Clean && !self.open.contains_key(&host) {
            self.begin(host, incident);
        }
        if incident.closed {
            self.end(host);
        }
    }

    fn end(&mut self, host: IpAddr) {
        if let Some(mut traces) = self.open.remove(&host) {
            traces.iter_mut().for_each(|trace| self.flush_trace(trace));
        }
    }

    /// Writes what was gathered.
    pub fn flush(&mut self) {
        let mut open = std::mem::take(&mut self.open);
        open.values_mut().flatten().for_each(|trace| self.flush_trace(trace));
        self.open = open;
    }

    /// What was written and what was not.
    pub fn stats(&self) -> EvidenceStats {
        self.stats
    }

    /// What went wrong first, as a sentence.
    pub fn first_error(&self) -> Option<&str> {
        self.first_error.as_deref()
    }

    /// What went wrong last.
    pub fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// Begins with what is remembered of the host.
    fn begin(&mut self, host: IpAddr, incident: &Incident) {
        let mut name = format!("{}-{}", host.to_string().replace(':', "-"), compact(incident.first_seen));
        let is_new = self.begun.insert((incident.first_seen.seconds(), host));
        if self.begun.len() > EVIDENCE_NAMES {
            self.begun.pop_first();
        }
        if !is_new {
            // The clock went back, or what the host did before counts again: another incident of this run has that name.
            name = format!("{name}-{}", incident.id);
        }
        self.open.insert(host, vec![Trace::new(self.dir.join(name))]);
        let addresses: Vec<IpAddr> = incident.other_addresses.iter().map(IpAddr::to_canonical).chain([host]).collect();
        let is_its = |packet: &KeptPacket| parties(packet).iter().any(|party| addresses.contains(party));
        let mut recent = std::mem::take(&mut self.recent);
        for remembered in recent.iter_mut().filter(|remembered| is_its(&remembered.packet)) {
            remembered.wanted |= self.add(host, remembered.time, &remembered.packet);
        }
        self.recent = recent;
    }

    /// Adds a packet to the host's capture, where one is open: whether it is.
    fn add(&mut self, host: IpAddr, time: Timestamp, packet: &KeptPacket) -> bool {
        let Some(mut traces) = self.open.remove(&host) else { return false };
        let index = traces.iter().position(|trace| trace.link.is_none_or(|link| link == packet.link));
        let index = index.unwrap_or_else(|| {
            // A second link type: a file of its own beside the first.
            let stem = traces.first().map(|first| first.stem.clone()).unwrap_or_default();
            traces.push(Trace::new(stem));
            traces.len() - 1
        });
        if let Some(trace) = traces.get_mut(index) {
            let second = (index > 0).then_some(packet.link);
            self.add_to(trace, second, time, packet);
        }
        self.open.insert(host, traces);
        true
    }

    fn add_to(&mut self, trace: &mut Trace, second_link: Option<u32>, time: Timestamp, packet: &KeptPacket) {
        let size = (RECORD_HEADER + packet.data.len()) as u64;
        if trace.link.is_none() {
            trace.link = Some(packet.link);
            trace.path = match second_link {
                None => with_ending(&trace.stem, ".pcap"),
                Some(link) => with_ending(&trace.stem, &format!("-link{link}.pcap")),
            };
            trace.gathered.extend_from_slice(&file_header(packet.link));
            self.stats.files += 1;
        }
        let waiting = trace.gathered.len() as u64;
        if trace.written + waiting + size > self.caps.file || self.stats.bytes + waiting + size > self.caps.total {
            self.stats.over_cap += 1;
            return;
        }
        trace.packets += 1;
        trace.gathered.extend_from_slice(&record_header(time, packet));
        trace.gathered.extend_from_slice(&packet.data);
        if trace.gathered.len() >= EVIDENCE_BUFFER {
            self.flush_trace(trace);
        }
    }

    fn flush_trace(&mut self, trace: &mut Trace) {
        if trace.gathered.is_empty() {
            return;
        }
        if trace.written > 0 && is_gone(&trace.path) {
            // Moved away, or deleted to make room: what comes goes to a new file.
            trace.written = 0;
            trace.gathered.splice(0..0, file_header(trace.link.unwrap_or_default()));
            self.stats.files += 1;
        }
        match trace.append() {
            Ok(()) => {
                self.stats.packets += trace.packets;
                self.stats.bytes += trace.gathered.len() as u64;
                trace.written += trace.gathered.len() as u64;
                trace.gathered.clear();
            }
            Err(error) => {
                self.stats.failed += trace.packets;
                let path = trace.path.display();
                let sentence = format!("cannot write evidence to {path}: {error}");
                self.first_error.get_or_insert_with(|| sentence.clone());
                self.last_error = Some(sentence);
                // Without its header a file is none: it stays for the next try.
                trace.gathered.truncate(if trace.written == 0 { FILE_HEADER } else { 0 });
            }
        }
        trace.packets = 0;
    }
}

/// Why no evidence can be kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot make the folder {} for evidence: {source}; choose another with --evidence", .dir.display())]
pub struct EvidenceError {
    dir: PathBuf,
    source: io::Error,
}

/// A recent packet.
#[derive(Debug)]
struct Remembered {
    time: Timestamp,
    packet: KeptPacket,
    /// Whether a capture took it, or would have if there had been room.
    wanted: bool,
}

/// Bytes: of packets remembered, of one file, of all.
#[derive(Debug)]
struct Caps {
    ring: usize,
    file: u64,
    total: u64,
}

/// One capture file.
#[derive(Debug)]
struct Trace {
    /// The path without its ending.
    stem: PathBuf,
    path: PathBuf,
    /// None before the first packet.
    link: Option<u32>,
    written: u64,
    /// Whole records not yet written, and how many packets they are.
    gathered: Vec<u8>,
    packets: u64,
}

impl Trace {
    fn new(stem: PathBuf) -> Self {
        Self { path: stem.clone(), stem, link: None, written: 0, gathered: Vec::new(), packets: 0 }
    }

    /// Writes all that was gathered or, when that fails, nothing of it. No file is held open: there may be an
    /// incident for every host.
    fn append(&self) -> io::Result<()> {
        let mut file = if self.written == 0 { create(&self.path)? } else { reopen(&self.path, self.written)? };
        let written = file.write_all(&self.gathered);
        match &written {
            Ok(()) => {}
            // A file without its header is none.
            Err(_) if self.written == 0 => fs::remove_file(&self.path)?,
            Err(_) => file.set_len(self.written)?,
        }
        written
    }
}

/// A new file. One of the same name is of the same incident, from a run before: it is replaced, if it is a file.
fn create(path: &Path) -> io::Result<File> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() => fs::remove_file(path)?,
        Ok(_) => return Err(something_else()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // `create_new` fails on anything that exists, links included (O_EXCL).
    OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)
}

/// The file as we left it.
fn reopen(path: &Path, length: u64) -> io::Result<File> {
    let meta = fs::symlink_metadata(path)?;
    if !meta.is_file() || meta.len() != length {
        return Err(something_else());
    }
    OpenOptions::new().append(true).open(path)
}

fn is_gone(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

fn something_else() -> io::Error {
    io::Error::other("something else has this name; it was left alone")
}

/// Both ends of a packet.
fn parties(packet: &KeptPacket) -> [IpAddr; 2] {
    packet.hosts.map(|host| host.to_canonical())
}

/// Memory a remembered packet takes, roughly.
fn footprint(packet: &KeptPacket) -> usize {
    packet.data.len() + size_of::<Remembered>()
}

/// `20031031T090525Z`.
fn compact(time: Timestamp) -> String {
    let iso = time.to_string();
    let seconds = iso.split('.').next().unwrap_or_default();
    seconds.chars().filter(|c| !matches!(c, '-' | ':')).chain(['Z']).collect()
}

fn with_ending(stem: &Path, ending: &str) -> PathBuf {
    // Not `with_extension`: an IPv4 address has dots.
    let mut path = stem.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

/// The header of a pcap file with nanoseconds (draft-ietf-opsawg-pcap, section 4).
fn file_header(link: u32) -> [u8; FILE_HEADER] {
    let mut header = [0; FILE_HEADER];
    header[..4].copy_from_slice(&0xa1b2_3c4d_u32.to_le_bytes());
    header[4..6].copy_from_slice(&2_u16.to_le_bytes());
    header[6..8].copy_from_slice(&4_u16.to_le_bytes());
    header[16..20].copy_from_slice(&SNAPLEN.to_le_bytes());
    header[20..].copy_from_slice(&link.to_le_bytes());
    header
}

/// The header of a packet (section 5).
fn record_header(time: Timestamp, packet: &KeptPacket) -> [u8; RECORD_HEADER] {
    let seconds = u32::try_from(time.seconds().max(0)).unwrap_or(u32::MAX);
    let nanoseconds = u32::try_from(time.as_nanos().rem_euclid(1_000_000_000)).unwrap_or_default();
    let captured = u32::try_from(packet.data.len()).unwrap_or(u32::MAX);
    let mut header = [0; RECORD_HEADER];
    for (place, word) in header.chunks_exact_mut(4).zip([seconds, nanoseconds, captured, packet.wire_len]) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    header
}

const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
/// The longest packet the format's readers take.
const SNAPLEN: u32 = 262_144;

#[cfg(test)]
mod tests;
