//! The pcap format (draft-ietf-opsawg-pcap; pcap-savefile(5)): a header, then records.
//!
//! The header is read by pcap-parser. Records are read here, since its frame parsers know neither the swapped lengths
//! of versions before 2.4 nor a bound for a length that cannot be true.

use pcap_parser::parse_pcap_header;

use super::record::{Damage, Order, Parsed, Record};
use crate::model::limits;
use crate::model::time::Timestamp;

/// How to read the records of one pcap file.
#[derive(Debug)]
pub(super) struct PcapFile {
    order: Order,
    /// Nanoseconds in a unit of a time's fraction: 1,000 or 1.
    unit: i64,
    /// 16, or 24 in Kuznetzov's "modified" format.
    record_header: usize,
    lengths: Lengths,
    link: u32,
    /// The longest packet the header promises; zero for no promise.
    snaplen: u32,
    /// The longest packet believed.
    max_packet: u32,
}

/// The order of captured and original length, which old versions swapped (libpcap's sf-pcap.c tells the story).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lengths {
    AsWritten,
    Swapped,
    /// Version 2.3: whichever is smaller was captured.
    Unsure,
}

impl PcapFile {
    /// Length of the file's header.
    pub(super) const HEADER: usize = 24;

    /// Whether a file that begins so is pcap.
    pub(super) fn is_magic(start: [u8; 4]) -> bool {
        matches!(u32::from_le_bytes(start), 0xa1b2_c3d4 | 0xa1b2_3c4d | 0xa1b2_cd34 | 0xd4c3_b2a1 | 0x4d3c_b2a1)
    }

    /// Goes on with the file whose header `data` begins with.
    fn go_over(&mut self, data: &[u8]) -> Parsed {
        let Some(header) = data.get(..Self::HEADER) else { return Parsed::Need(Self::HEADER) };
        match Self::open(header) {
            Ok(next) => {
                *self = next;
                Parsed::Other(Self::HEADER)
            }
            Err(what) => Damage::fatal(format!("the file joined to it here {what}")),
        }
    }

    /// Reads the file's header; the error is a clause that says what is wrong with it.
    pub(super) fn open(header: &[u8]) -> Result<Self, String> {
        let (_, header) = parse_pcap_header(header).map_err(|_| "has a damaged pcap header".to_owned())?;
        let lengths = match (header.version_major, header.version_minor) {
            (2, 0..=2) | (543, 0) => Lengths::Swapped,
            (2, 3) => Lengths::Unsure,
            (2, 4) => Lengths::AsWritten,
            (major, minor) => {
                return Err(format!("is a pcap file of version {major}.{minor}, of which only 2.0 to 2.4 are known"));
            }
        };
        Ok(Self {
            order: if header.is_bigendian() { Order::Big } else { Order::Little },
            unit: if header.is_nanosecond_precision() { 1 } else { 1_000 },
            record_header: if header.is_modified_format() { 24 } else { 16 },
            lengths,
            // The upper six bits tell of a frame check sequence, not of the link.
            link: header.network.0.cast_unsigned() & 0x03ff_ffff,
            snaplen: header.snaplen,
            max_packet: header.snaplen.clamp(limits::CAPTURE_PACKET, limits::CAPTURE_RECORD as u32),
        })
    }

    /// Reads the record that `data` begins with; or the header of another file, where files were joined end to end.
    pub(super) fn parse(&mut self, data: &[u8]) -> Parsed {
        let (Some(seconds), Some(fraction), Some((captured, original))) =
            (self.order.u32(data, 0), self.order.u32(data, 4), self.lengths(data))
        else {
            return Parsed::Need(self.record_header);
        };
        if captured | original == 0 && data.first_chunk().is_some_and(|magic| Self::is_magic(*magic)) {
            // As a record it would be of a packet of no bytes at all, in 2055 or later.
            return self.go_over(data);
        }
        if captured > self.max_packet {
            return Damage::fatal(format!("a packet claims to be {captured} bytes long"));
        }
        if seconds | fraction | captured | original == 0 {
            // What a crashed machine leaves behind: space set aside and never written.
            return Damage::fatal("a record is all zeros");
        }
        let len = captured as usize;
        let size = self.record_header + len;
        if data.len() < size {
            return Parsed::Need(size);
        }
        Parsed::Packet(Record {
            time: Timestamp::from_parts(i64::from(seconds), i64::from(fraction) * self.unit),
            link: self.link,
            start: self.record_header,
            len,
            wire_len: original.max(captured),
            size,
        })
    }

    /// Whether a record that begins so, and is not all there, looks like the last one of an interrupted capture,
    /// and not like a wrong length in the middle of a file.
    pub(super) fn looks_cut(&self, data: &[u8]) -> bool {
        self.lengths(data)
            .is_none_or(|(captured, original)| captured <= original && (self.snaplen == 0 || captured <= self.snaplen))
    }

    /// Captured and original length of the record that `data` begins with.
    fn lengths(&self, data: &[u8]) -> Option<(u32, u32)> {
        let (first, second) = (self.order.u32(data, 8)?, self.order.u32(data, 12)?);
        Some(match self.lengths {
            Lengths::Swapped => (second, first),
            Lengths::Unsure if first > second => (second, first),
            _ => (first, second),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(magic: u32, version: (u16, u16), snaplen: u32, network: u32) -> Vec<u8> {
        let mut bytes = magic.to_le_bytes().to_vec();
        bytes.extend(version.0.to_le_bytes());
        bytes.extend(version.1.to_le_bytes());
        bytes.extend([0; 8]);
        bytes.extend(snaplen.to_le_bytes());
        bytes.extend(network.to_le_bytes());
        bytes
    }

    fn record(fields: [u32; 4], data: &[u8]) -> Vec<u8> {
        fields.iter().flat_map(|f| f.to_le_bytes()).chain(data.iter().copied()).collect()
    }

    #[test]
    fn lengths_of_old_versions_are_swapped() {
        let bytes = record([7, 8, 60, 3], b"abc");
        for (version, want) in [((2, 2), Some(3)), ((2, 3), Some(3)), ((2, 4), None)] {
            let mut file = PcapFile::open(&header(0xa1b2_c3d4, version, 65_535, 1)).unwrap();
            match (file.parse(&bytes), want) {
                (Parsed::Packet(record), Some(len)) => assert_eq!((record.len, record.wire_len), (len, 60)),
                (Parsed::Need(76), None) => {}
                (other, _) => panic!("version {version:?} gave {other:?}"),
            }
        }
    }

    #[test]
    fn the_modified_format_has_longer_record_headers() {
        let mut file = PcapFile::open(&header(0xa1b2_cd34, (2, 4), 65_535, 1)).unwrap();
        let mut bytes = record([1, 2, 3, 3], &[0; 8]);
        bytes.extend(b"abc");
        let Parsed::Packet(found) = file.parse(&bytes) else { panic!("no packet") };
        assert_eq!(&bytes[found.start..found.start + found.len], b"abc");
        assert_eq!(found.time, Timestamp::from_parts(1, 2_000));
    }

    #[test]
    fn a_link_type_comes_without_the_bits_above_it() {
        let file = PcapFile::open(&header(0xa1b2_c3d4, (2, 4), 6, 0x3000_0084)).unwrap();
        assert_eq!(file.link, 132);
    }

    #[test]
    fn lengths_that_cannot_be_true_are_damage_not_a_wait_for_more() {
        let mut file = PcapFile::open(&header(0xa1b2_c3d4, (2, 4), 0, 1)).unwrap();
        assert!(matches!(file.parse(&record([1, 0, 262_145, 262_145], b"")), Parsed::Damaged(_)));
        assert!(matches!(file.parse(&record([1, 0, 262_144, 262_144], b"")), Parsed::Need(262_160)));
        let mut jumbo = PcapFile::open(&header(0xa1b2_c3d4, (2, 4), u32::MAX, 1)).unwrap();
        assert!(matches!(jumbo.parse(&record([1, 0, 1 << 24, 1 << 24], b"")), Parsed::Need(_)));
        assert!(matches!(jumbo.parse(&record([1, 0, (1 << 24) + 1, 1], b"")), Parsed::Damaged(_)));
    }

    #[test]
    fn a_file_joined_to_another_goes_on_in_its_own_way() {
        let mut file = PcapFile::open(&header(0xa1b2_c3d4, (2, 4), 65_535, 1)).unwrap();
        let mut next = header(0xa1b2_3c4d, (2, 4), 65_535, 101);
        next.extend(record([1, 2, 3, 3], b"abc"));
        assert_eq!(file.parse(&next), Parsed::Other(24));
        let Parsed::Packet(found) = file.parse(&next[24..]) else { panic!("no packet") };
        assert_eq!((found.link, found.time), (101, Timestamp::from_parts(1, 2)));
        // A packet of that time is one.
        let late = record([0xa1b2_c3d4, 0x0004_0002, 3, 3], b"abc........");
        assert!(matches!(file.parse(&late), Parsed::Packet(_)));
    }

    #[test]
    fn zeros_are_no_packets() {
        let mut file = PcapFile::open(&header(0xa1b2_c3d4, (2, 4), 65_535, 1)).unwrap();
        assert!(matches!(file.parse(&[0; 64]), Parsed::Damaged(_)));
    }

    #[test]
    fn versions_nobody_knows_are_named() {
        assert!(PcapFile::open(&header(0xa1b2_c3d4, (9, 1), 65_535, 1)).unwrap_err().contains("9.1"));
    }
}
