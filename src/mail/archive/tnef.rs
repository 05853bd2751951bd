//! TNEF, `winmail.dat` (MS-OXTNEF): the attachments that Outlook wraps up with its own properties.
//!
//! A stream of attributes (section 2.1.3): level, identifier, length, data, checksum. Those of an attachment follow its
//! attAttachRendData. Its long name stands among MAPI properties (section 2.1.3.3.1), which may hold a whole message in
//! turn: that is listed as TNEF within TNEF, and opened by the walk.

use std::ops::Range;

use super::super::word::decode_unlabelled;
use super::{Listing, Member, Method};

/// Lists at most one member more than `most`, so that the caller sees the bound was met.
pub fn list(data: &[u8], most: usize) -> Listing {
    let mut reader = Reader { data, at: HEADER };
    let mut listing = Listing::default();
    let mut attachment: Option<Attachment> = None;
    while listing.members.len() <= most && reader.at < data.len() {
        let Some((id, content)) = reader.attribute() else {
            listing
                .anomalies
                .push(("archive-damaged", format!("TNEF ends within an attribute, at byte {}", reader.at)));
            break;
        };
        match id {
            ATTACH_REND_DATA => {
                listing.members.extend(attachment.take().and_then(Attachment::finish));
                attachment = Some(Attachment::default());
            }
            ATTACH_TITLE => attachment.get_or_insert_default().title = text(data.get(content).unwrap_or_default()),
            ATTACH_DATA => attachment.get_or_insert_default().content = Some(content),
            ATTACHMENT => attachment.get_or_insert_default().properties(data, content),
            _ => {}
        }
    }
    listing.members.extend(attachment.and_then(Attachment::finish));
    listing.stated = listing.members.len();
    listing
}

/// An attachment in the making.
#[derive(Default)]
struct Attachment {
    /// The short name.
    title: Option<String>,
    name: Option<String>,
    content: Option<Range<usize>>,
}

impl Attachment {
    fn finish(self) -> Option<Member> {
        let content = self.content?;
        let size = content.len() as u64;
        Some(Member {
            name: self.name.or(self.title).unwrap_or_default(),
            size: Some(size),
            packed_size: Some(size),
            method: Method::Stored,
            packed: content,
            ..Member::default()
        })
    }

    /// Takes the name, and a message as content, from MAPI properties; gives up at the first that it cannot read.
    fn properties(&mut self, data: &[u8], range: Range<usize>) {
        let mut reader = Reader { data: data.get(..range.end).unwrap_or_default(), at: range.start };
        let count = reader.u32().unwrap_or_default();
        for _ in 0..count {
            if self.property(&mut reader).is_none() {
                return;
            }
        }
    }

    fn property(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let (kind, id) = (reader.u16()?, reader.u16()?);
        if id >= NAMED {
            reader.take(16)?;
            match reader.u32()? {
                0 => reader.take(4)?,
                _ => reader.counted()?,
            };
        }
        let values = if kind & MULTIPLE != 0 || is_variable(kind) { reader.u32()? } else { 1 };
        for _ in 0..values {
            let value = match kind & !MULTIPLE {
                kind if is_variable(kind) => reader.counted()?,
                INTEGER_64 | DOUBLE | CURRENCY | APP_TIME | TIME => reader.take(8)?,
                CLSID => reader.take(16)?,
                SHORT | LONG | FLOAT | ERROR | BOOLEAN => reader.take(4)?,
                _ => return None,
            };
            let bytes = reader.data.get(value.clone()).unwrap_or_default();
            match (id, kind) {
                (LONG_FILENAME, STRING) => self.name = text(bytes),
                (LONG_FILENAME, UNICODE) => self.name = wide_text(bytes),
                // An embedded message is TNEF behind the identifier of its interface.
                (DATA_OBJECT, OBJECT) if bytes.get(16..20) == Some(SIGNATURE) => {
                    self.content = Some(value.start + 16..value.end);
                }
                _ => {}
            }
        }
        Some(())
    }
}

/// Reads little-endian fields.
struct Reader<'a> {
    data: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    /// The next attribute: its identifier, and where its data is.
    fn attribute(&mut self) -> Option<(u32, Range<usize>)> {
        self.take(1)?;
        let id = self.u32()?;
        let length = usize::try_from(self.u32()?).ok()?;
        let content = self.take(length)?;
        self.take(2)?;
        Some((id, content))
    }

    /// A value behind its length, filled up to four bytes.
    fn counted(&mut self) -> Option<Range<usize>> {
        let length = usize::try_from(self.u32()?).ok()?;
        let value = self.take(length)?;
        self.at = self.at.checked_add(length.wrapping_neg() % 4)?;
        Some(value)
    }

    fn take(&mut self, length: usize) -> Option<Range<usize>> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.data.len())?;
        Some(std::mem::replace(&mut self.at, end)..end)
    }

    fn u16(&mut self) -> Option<u16> {
        let range = self.take(2)?;
        Some(u16::from_le_bytes(*self.data.get(range)?.first_chunk()?))
    }

    fn u32(&mut self) -> Option<u32> {
        let range = self.take(4)?;
        Some(u32::from_le_bytes(*self.data.get(range)?.first_chunk()?))
    }
}

fn is_variable(kind: u16) -> bool {
    matches!(kind & !MULTIPLE, STRING | UNICODE | BINARY | OBJECT)
}

/// A string that ends with a zero, in an 8-bit charset that is named elsewhere or not at all.
fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    Some(decode_unlabelled(bytes.get(..end)?).into_owned()).filter(|text| !text.is_empty())
}

fn wide_text(bytes: &[u8]) -> Option<String> {
    let units = bytes.as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit));
    let text =
        char::decode_utf16(units.take_while(|unit| *unit != 0)).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER));
    Some(text.collect::<String>()).filter(|text| !text.is_empty())
}

/// Signature and key (section 2.1.3.1).
const SIGNATURE: &[u8] = b"\x78\x9f\x3e\x22";
const HEADER: usize = 6;

// Attributes (section 2.1.3.2).
const ATTACH_TITLE: u32 = 0x0001_8010;
const ATTACH_DATA: u32 = 0x0006_800f;
const ATTACH_REND_DATA: u32 = 0x0006_9002;
const ATTACHMENT: u32 = 0x0006_9005;

// MAPI properties and their types (MS-OXPROPS, sections 2.586 and 2.592; MS-OXCDATA, section 2.11.1).
const LONG_FILENAME: u16 = 0x3707;
const DATA_OBJECT: u16 = 0x3701;
const NAMED: u16 = 0x8000;
const MULTIPLE: u16 = 0x1000;
const SHORT: u16 = 0x0002;
const LONG: u16 = 0x0003;
const FLOAT: u16 = 0x0004;
const DOUBLE: u16 = 0x0005;
const CURRENCY: u16 = 0x0006;
const APP_TIME: u16 = 0x0007;
const ERROR: u16 = 0x000a;
const BOOLEAN: u16 = 0x000b;
const OBJECT: u16 = 0x000d;
const INTEGER_64: u16 = 0x0014;
const STRING: u16 = 0x001e;
const UNICODE: u16 = 0x001f;
const TIME: u16 = 0x0040;
const CLSID: u16 = 0x0048;
const BINARY: u16 = 0x0102;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn attribute(id: u32, content: &[u8]) -> Vec<u8> {
        let sum = content.iter().fold(0u16, |sum, byte| sum.wrapping_add(u16::from(*byte)));
        [&[2][..], &id.to_le_bytes(), &(content.len() as u32).to_le_bytes(), content, &sum.to_le_bytes()].concat()
    }

    fn sample() -> Vec<u8> {
        let name = "long.exe\0".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        let long =
            [&2u32.to_le_bytes()[..], &[0x03, 0, 0x05, 0x37, 1, 0, 0, 0], &[0x1f, 0, 0x07, 0x37, 1, 0, 0, 0]].concat();
        let long = [long, (name.len() as u32).to_le_bytes().to_vec(), name, vec![0, 0]].concat();
        [
            b"\x78\x9f\x3e\x22\x01\0".to_vec(),
            attribute(ATTACH_REND_DATA, &[0; 14]),
            attribute(ATTACH_TITLE, b"SHORT~1.EXE\0"),
            attribute(ATTACH_DATA, b"MZ one"),
            attribute(ATTACHMENT, &long),
            attribute(ATTACH_REND_DATA, &[0; 14]),
            attribute(ATTACH_TITLE, b"two.txt\0"),
            attribute(ATTACH_DATA, b"two"),
        ]
        .concat()
    }

    #[test]
    fn lists_attachments_by_their_long_names() {
        let data = sample();
        let listing = list(&data, 10);
        let seen = listing.members.iter().map(|m| (m.name.as_str(), &data[m.packed.clone()])).collect::<Vec<_>>();
        assert_eq!(seen, [("long.exe", &b"MZ one"[..]), ("two.txt", b"two")]);
        assert!(listing.anomalies.is_empty());
        let cut = list(&data[..data.len() - 4], 10);
        assert_eq!((cut.members.len(), cut.anomalies[0].0), (1, "archive-damaged"));
    }

    #[test]
    fn hostile_counts_end_soon() {
        let started = std::time::Instant::now();
        let many = [&[0xff; 4][..], &[0x1f, 0x10, 0x07, 0x37, 0xff, 0xff, 0xff, 0xff], &[0; 1 << 20]].concat();
        list(&[&b"\x78\x9f\x3e\x22\x01\0"[..], &attribute(ATTACHMENT, &many)].concat(), 10);
        assert!(started.elapsed().as_secs() < 5);
    }

    proptest! {
        #[test]
        fn damaged_streams_are_read(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut data = sample();
            let at = at.index(data.len());
            data[at] = byte;
            list(&data, 10);
        }
    }
}
