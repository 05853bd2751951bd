//! Packets held in memory: for tests, benches, and sources that spoil others.

use std::io::Cursor;

use super::error::CaptureError;
use super::file::{ReplayOptions, ReplaySource};
use super::{Packet, Source, Step};
use crate::model::stats::CaptureStats;
use crate::model::time::Timestamp;

/// A packet that owns its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedPacket {
    pub time: Timestamp,
    /// LINKTYPE_ value.
    pub link: u32,
    pub data: Vec<u8>,
    pub wire_len: u32,
    pub number: u64,
    pub file: u32,
}

impl OwnedPacket {
    /// A whole Ethernet frame.
    pub fn ethernet(time: Timestamp, data: Vec<u8>) -> Self {
        let wire_len = u32::try_from(data.len()).unwrap_or(u32::MAX);
        Self { time, link: 1, data, wire_len, number: 0, file: 0 }
    }

    /// The packet, borrowed.
    pub fn as_packet(&self) -> Packet<'_> {
        Packet {
            time: self.time,
            link: self.link,
            data: &self.data,
            wire_len: self.wire_len,
            number: self.number,
            file: self.file,
        }
    }
}

impl From<Packet<'_>> for OwnedPacket {
    fn from(packet: Packet<'_>) -> Self {
        Self {
            time: packet.time,
            link: packet.link,
            data: packet.data.to_vec(),
            wire_len: packet.wire_len,
            number: packet.number,
            file: packet.file,
        }
    }
}

/// A source of packets held in memory.
#[derive(Clone, Debug, Default)]
pub struct MemorySource {
    packets: Vec<OwnedPacket>,
    next: usize,
    stats: CaptureStats,
}

impl MemorySource {
    /// Serves `packets` in their order. Numbers that are zero are set to the packet's place, from 1.
    pub fn new(mut packets: Vec<OwnedPacket>) -> Self {
        for (number, packet) in (1..).zip(&mut packets) {
            if packet.number == 0 {
                packet.number = number;
            }
        }
        Self { packets, next: 0, stats: CaptureStats::default() }
    }

    /// Serves the packets of a capture file whose bytes these are (pcap or pcapng, compressed or not).
    ///
    /// # Errors
    /// When it is no capture. Damage within is counted, as for a file.
    pub fn from_capture(bytes: &[u8]) -> Result<Self, CaptureError> {
        let reader = Cursor::new(bytes.to_vec());
        let mut replay = ReplaySource::from_reader("memory", reader, &ReplayOptions::default())?;
        let mut packets = Vec::new();
        while let Step::Packet(packet) = replay.next()? {
            packets.push(packet.into());
        }
        Ok(Self { packets, next: 0, stats: replay.stats() })
    }

    /// Starts again from the first packet.
    pub fn rewind(&mut self) {
        self.next = 0;
    }

    /// All its packets.
    pub fn packets(&self) -> &[OwnedPacket] {
        &self.packets
    }
}

impl Source for MemorySource {
    fn next(&mut self) -> Result<Step<'_>, CaptureError> {
        let packet = self.packets.get(self.next);
        self.next += usize::from(packet.is_some());
        Ok(packet.map_or(Step::End, |p| Step::Packet(p.as_packet())))
    }

    fn stats(&mut self) -> CaptureStats {
        self.stats.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_packets_in_order_with_numbers_and_again_after_a_rewind() {
        let at = Timestamp::from_nanos;
        let mut source =
            MemorySource::new(vec![OwnedPacket::ethernet(at(1), vec![1]), OwnedPacket::ethernet(at(2), vec![2, 2])]);
        for _ in 0..2 {
            for want in 1..=2 {
                let Ok(Step::Packet(packet)) = source.next() else { panic!("no packet {want}") };
                assert_eq!((packet.number, packet.data.len(), packet.wire_len), (want, want as usize, want as u32));
            }
            assert!(matches!(source.next(), Ok(Step::End)));
            source.rewind();
        }
    }
}
