//! Where packets come from: capture files, standard input, live interfaces; and a source that spoils them for tests.
//!
//! [`ReplaySource`] reads pcap and pcapng, plain or compressed. [`LiveSource`] listens on an interface, and
//! [`SteadySource`] goes on when that goes away and comes back.
//! [`MemorySource`] serves packets held in memory, and [`FaultSource`] drops, doubles, reorders and damages those of
//! any other source. All are pulled through [`Source`], one packet at a time, each borrowed from the source's buffer.
//!
//! Within a replay the layers are, from the bytes up: `stoppable` (pipes that may fall silent),
//! `input` (file or stream, compression), `ahead` (a thread that reads large files ahead), `buffer` (the read
//! buffer), `pcap_file` and `pcapng_file` (one record out of a slice of bytes, pure), `reader` (records of one file),
//! `folder` (files in a folder), `file` (all files, in order, with what was wrong with them).

mod ahead;
mod bpf;
mod buffer;
mod error;
mod fault;
mod file;
mod finding;
mod folder;
mod input;
mod link;
mod live;
mod memory;
mod pcap_file;
mod pcapng_file;
mod reader;
mod record;
mod stoppable;

pub use error::CaptureError;
pub use fault::{FaultCounts, FaultSource, Faults};
pub use file::{ReplayOptions, ReplaySource, looks_like_capture};
pub use finding::{FileFinding, FindingKind};
pub use live::{Fanout, LiveOptions, LiveSource, SteadySource};
pub use memory::{MemorySource, OwnedPacket};

use crate::model::stats::CaptureStats;
use crate::model::time::Timestamp;

/// A packet as captured, borrowed from the source's buffer.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    pub time: Timestamp,
    /// Link type (LINKTYPE_ value of pcap files: 1 is Ethernet).
    pub link: u32,
    /// The bytes captured.
    pub data: &'a [u8],
    /// The packet's length on the wire; `data` is shorter when the capture was cut (snaplen), never longer.
    pub wire_len: u32,
    /// Number within its file or interface, from 1.
    pub number: u64,
    /// Index of its file among the source's files; 0 for live capture.
    pub file: u32,
}

/// What a source gives.
#[derive(Debug)]
pub enum Step<'a> {
    Packet(Packet<'a>),
    /// Nothing came for a while (live capture); the time is the wall clock's.
    Idle(Timestamp),
    /// No more packets will come.
    End,
}

/// A place packets come from, pulled one at a time.
pub trait Source {
    /// The next packet. Not called again after `End` or an error.
    fn next(&mut self) -> Result<Step<'_>, CaptureError>;

    /// What it counted so far: only what the source alone can know (`kernel_drops`, `interface_drops`, `damaged`,
    /// `outages`, `rings`, `rings_up`); packets and bytes are counted by the sensor.
    fn stats(&mut self) -> CaptureStats;
}

impl<S: Source + ?Sized> Source for Box<S> {
    fn next(&mut self) -> Result<Step<'_>, CaptureError> {
        (**self).next()
    }

    fn stats(&mut self) -> CaptureStats {
        (**self).stats()
    }
}
