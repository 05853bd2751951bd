//! Where packets come from: capture files, standard input, live interfaces; and a source that spoils them for tests.

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
    /// The packet's length on the wire; `data` is shorter when the capture was cut (snaplen).
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

    /// What it counted so far: only what the source alone can know (`kernel_drops`, `interface_drops`, `damaged`);
    /// packets and bytes are counted by the sensor.
    fn stats(&mut self) -> CaptureStats;
}

/// Why no packets can be had. Each says what, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// Placeholder until the sources are written.
    #[error("{0}")]
    Other(String),
}
