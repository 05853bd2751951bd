//! The pcapng format (draft-ietf-opsawg-pcapng): blocks in sections; packets name the interface that saw them.
//!
//! Section headers and interface descriptions are read by pcap-parser. Packet blocks are read here, since it makes a
//! list of every packet's options, and so are the blocks' frames, since it does not check all their lengths. Its times
//! are not used either: they refuse resolutions in powers of two, and read if_tsoffset in one byte order only.

use pcap_parser::pcapng::{
    parse_interfacedescriptionblock_be, parse_interfacedescriptionblock_le, parse_sectionheaderblock,
};

use super::record::{Damage, Order, Parsed, Record};
use crate::model::limits;
use crate::model::time::Timestamp;

/// How to read the blocks of the current section.
#[derive(Debug)]
pub(super) struct PcapngFile {
    order: Order,
    interfaces: Vec<Interface>,
    /// Time of the last packet: the best guess for a Simple Packet Block, which has none.
    last: Timestamp,
}

/// What an Interface Description Block says that packets need (section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Interface {
    link: u32,
    /// Zero for no limit.
    snaplen: u32,
    units: Units,
    /// Seconds to add to every time.
    offset: i64,
}

impl PcapngFile {
    /// How every pcapng file begins (section 4.1); it reads the same in both byte orders.
    pub(super) const MAGIC: [u8; 4] = SECTION_HEADER.to_be_bytes();

    /// A reader at the start of a file.
    pub(super) fn new() -> Self {
        Self { order: Order::Little, interfaces: Vec::new(), last: Timestamp::default() }
    }

    /// Reads the block that `data` begins with.
    pub(super) fn parse(&mut self, data: &[u8]) -> Parsed {
        // Twelve bytes are the shortest block, and show a section's byte order.
        let Some(bytes) = data.first_chunk::<12>() else { return Parsed::Need(12) };
        if bytes.starts_with(&Self::MAGIC) {
            return self.section(data);
        }
        let (Some(kind), Some(claimed)) = (self.order.u32(data, 0), self.order.u32(data, 4)) else {
            return Parsed::Need(12);
        };
        let size = claimed as usize;
        if !is_block_size(size, limits::CAPTURE_RECORD) {
            return Damage::fatal(format!("a block claims to be {claimed} bytes long"));
        }
        let Some(block) = data.get(..size) else { return Parsed::Need(size) };
        if self.order.u32(block, size - 4) != Some(claimed) {
            return Damage::fatal("a block's two lengths differ");
        }
        match kind {
            ENHANCED_PACKET => {
                let interface = self.order.u32(block, 8);
                self.packet(block, interface)
            }
            OBSOLETE_PACKET => {
                let interface = self.order.u16(block, 8).map(u32::from);
                self.packet(block, interface)
            }
            SIMPLE_PACKET => self.simple_packet(block),
            INTERFACE_DESCRIPTION => self.interface(block),
            _ => Parsed::Other(size),
        }
    }

    /// Whether a block that begins so, and is not all there, looks like the last one of an interrupted capture, and
    /// not like a wrong length in the middle of a file: the lengths of a packet and of its block agree.
    pub(super) fn looks_cut(&self, data: &[u8]) -> bool {
        let (Some(kind), Some(size)) = (self.order.u32(data, 0), self.order.u32(data, 4)) else { return true };
        if !matches!(kind, ENHANCED_PACKET | OBSOLETE_PACKET) {
            return true;
        }
        self.order.u32(data, 20).is_none_or(|captured| {
            let shortest = captured as usize + PACKET_OVERHEAD;
            (shortest..shortest + PACKET_OPTIONS).contains(&(size as usize))
        })
    }

    /// Section Header Block (section 4.1): sets the byte order and forgets the interfaces before it.
    fn section(&mut self, data: &[u8]) -> Parsed {
        let order = match Order::Little.u32(data, 8) {
            Some(BYTE_ORDER) => Order::Little,
            Some(other) if other.swap_bytes() == BYTE_ORDER => Order::Big,
            _ => return Damage::fatal("a section header has no byte-order mark"),
        };
        let Some(claimed) = order.u32(data, 4) else { return Parsed::Need(12) };
        let size = claimed as usize;
        if !is_block_size(size, limits::CAPTURE_OPTIONS) {
            return Damage::fatal(format!("a section header claims to be {claimed} bytes long"));
        }
        let Some(block) = data.get(..size) else { return Parsed::Need(size) };
        if order.u32(block, size - 4) != Some(claimed) {
            return Damage::fatal("a section header's two lengths differ");
        }
        let Ok((_, header)) = parse_sectionheaderblock(block) else {
            return Damage::fatal("a section header cannot be read");
        };
        let version = (header.major_version, header.minor_version);
        if !matches!(version, (1, 0 | 2)) {
            return Damage::fatal(format!(
                "a section is of version {}.{}; 1.0 and 1.2 are known",
                version.0, version.1
            ));
        }
        self.order = order;
        self.interfaces.clear();
        Parsed::Other(size)
    }

    /// Interface Description Block (section 4.2).
    fn interface(&mut self, block: &[u8]) -> Parsed {
        if block.len() > limits::CAPTURE_OPTIONS {
            return Damage::fatal("an interface description is too long");
        }
        if self.interfaces.len() >= limits::CAPTURE_INTERFACES {
            return Damage::fatal(format!("a section describes more than {} interfaces", limits::CAPTURE_INTERFACES));
        }
        let parsed = match self.order {
            Order::Little => parse_interfacedescriptionblock_le(block),
            Order::Big => parse_interfacedescriptionblock_be(block),
        };
        let Ok((_, description)) = parsed else {
            // Packets name interfaces by their place: with one missing, all later ones would be mistaken.
            return Damage::fatal("an interface description cannot be read");
        };
        self.interfaces.push(Interface {
            link: description.linktype.0.cast_unsigned(),
            snaplen: description.snaplen,
            units: Units::from_option(description.if_tsresol),
            offset: match self.order {
                Order::Little => description.if_tsoffset,
                // pcap-parser reads it as little-endian always.
                Order::Big => description.if_tsoffset.swap_bytes(),
            },
        });
        Parsed::Other(block.len())
    }

    /// Enhanced Packet Block (section 4.3), and the obsolete Packet Block (appendix A), which differs only in the
    /// interface's number.
    fn packet(&mut self, block: &[u8], interface: Option<u32>) -> Parsed {
        let field = |index: usize| self.order.u32(block, 12 + 4 * index);
        let (Some(interface), Some(high), Some(low), Some(captured), Some(original)) =
            (interface, field(0), field(1), field(2), field(3))
        else {
            return Damage::within(block.len(), "a packet block is too short");
        };
        let len = captured as usize;
        if block.len().saturating_sub(PACKET_OVERHEAD) < len {
            return Damage::within(block.len(), format!("a packet of {captured} bytes is longer than its block"));
        }
        let Some(described) = self.interfaces.get(interface as usize) else {
            return Damage::within(
                block.len(),
                format!("a packet is of interface {interface}, which is not described"),
            );
        };
        self.last = described.time(u64::from(high) << 32 | u64::from(low));
        Parsed::Packet(Record {
            time: self.last,
            link: described.link,
            start: PACKET_OVERHEAD - 4,
            len,
            wire_len: original.max(captured),
            size: block.len(),
        })
    }

    /// Simple Packet Block (section 4.4): of the first interface, without a time.
    fn simple_packet(&self, block: &[u8]) -> Parsed {
        let (Some(original), Some(room)) = (self.order.u32(block, 8), block.len().checked_sub(16)) else {
            return Damage::within(block.len(), "a packet block is too short");
        };
        let Some(described) = self.interfaces.first() else {
            return Damage::within(block.len(), "a packet is of interface 0, which is not described");
        };
        let limit = if described.snaplen == 0 { u32::MAX } else { described.snaplen };
        let len = original.min(limit) as usize;
        if len > room {
            return Damage::within(block.len(), format!("a packet of {len} bytes is longer than its block"));
        }
        Parsed::Packet(Record {
            time: self.last,
            link: described.link,
            start: 12,
            len,
            wire_len: original,
            size: block.len(),
        })
    }
}

impl Interface {
    fn time(&self, units: u64) -> Timestamp {
        let nanos = self.units.to_nanos(units);
        Timestamp::from_nanos(self.offset.saturating_mul(1_000_000_000).saturating_add(nanos))
    }
}

/// The unit of an interface's times (if_tsresol, section 4.2), in the form that is cheapest to apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Units {
    /// Nanoseconds in a unit.
    Nanos(u64),
    /// Units in a nanosecond; zero for more than a number can hold.
    Fractions(u64),
    /// 2^-x seconds.
    Binary(u8),
}

impl Units {
    fn from_option(if_tsresol: u8) -> Self {
        let exponent = u32::from(if_tsresol & 0x7f);
        if if_tsresol & 0x80 != 0 {
            Self::Binary(if_tsresol & 0x7f)
        } else if exponent <= 9 {
            Self::Nanos(10_u64.pow(9 - exponent))
        } else {
            Self::Fractions(10_u64.checked_pow(exponent - 9).unwrap_or(0))
        }
    }

    fn to_nanos(self, units: u64) -> i64 {
        let nanos = match self {
            Self::Nanos(each) => units.saturating_mul(each),
            Self::Fractions(many) => units.checked_div(many).unwrap_or(0),
            Self::Binary(exponent) => {
                let nanos = (u128::from(units) * 1_000_000_000) >> exponent;
                u64::try_from(nanos).unwrap_or(u64::MAX)
            }
        };
        i64::try_from(nanos).unwrap_or(i64::MAX)
    }
}

/// Section 3.1: a block holds its type and its length twice, and its length is a multiple of four.
fn is_block_size(size: usize, most: usize) -> bool {
    (12..=most).contains(&size) && size.is_multiple_of(4)
}

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const INTERFACE_DESCRIPTION: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
/// Bytes of a packet block around its packet: type, length, five fields, length again.
const PACKET_OVERHEAD: usize = 32;
/// Options and padding that one packet plausibly has: an option's length has 16 bits, and few packets have any.
const PACKET_OPTIONS: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolutions_in_powers_of_ten_and_two() {
        // Default and common ones, then the corners of section 4.2's if_tsresol.
        assert_eq!(Units::from_option(6).to_nanos(1_500_000), 1_500_000_000);
        assert_eq!(Units::from_option(9).to_nanos(7), 7);
        assert_eq!(Units::from_option(12).to_nanos(7_999), 7);
        assert_eq!(Units::from_option(0).to_nanos(3), 3_000_000_000);
        assert_eq!(Units::from_option(127).to_nanos(u64::MAX), 0);
        assert_eq!(Units::from_option(0x80 | 10).to_nanos(1_536), 1_500_000_000);
        assert_eq!(Units::from_option(0x80).to_nanos(2), 2_000_000_000);
        assert_eq!(Units::from_option(0xff).to_nanos(u64::MAX), 0);
        assert_eq!(Units::from_option(0).to_nanos(u64::MAX), i64::MAX);
    }

    #[test]
    fn a_block_shorter_than_its_fields_is_damage_within() {
        let mut file = PcapngFile::new();
        for kind in [ENHANCED_PACKET, OBSOLETE_PACKET, SIMPLE_PACKET] {
            let mut block = kind.to_le_bytes().to_vec();
            block.extend(12_u32.to_le_bytes());
            block.extend(12_u32.to_le_bytes());
            assert!(matches!(file.parse(&block), Parsed::Damaged(Damage { size: Some(12), .. })), "type {kind}");
        }
    }

    #[test]
    fn lengths_that_cannot_be_true_stop_the_file() {
        let mut file = PcapngFile::new();
        for size in [0_u32, 8, 13, 1 << 25, u32::MAX] {
            let mut block = 99_u32.to_le_bytes().to_vec();
            block.extend(size.to_le_bytes());
            block.extend([0; 8]);
            assert!(matches!(file.parse(&block), Parsed::Damaged(Damage { size: None, .. })), "length {size}");
        }
    }
}
