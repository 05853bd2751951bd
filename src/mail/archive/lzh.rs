//! LZH, also called LHA, through delharc: its header reader and its decoders.

use std::io::{self, Read};

use delharc::LhaHeader;
use delharc::decode::{Decoder, DecoderAny};
use delharc::header::CompressionMethod;

use super::super::word::decode_unlabelled;
use super::fields::range;
use super::{Listing, Member, Method};

/// Lists at most one member more than `most`.
pub fn list(data: &[u8], most: usize) -> Listing {
    let mut listing = Listing::default();
    let mut rest = data;
    while listing.members.len() <= most {
        let header = match LhaHeader::read(&mut rest) {
            Ok(Some(header)) => header,
            Ok(None) => break,
            Err(error) => {
                listing.anomalies.push(("archive-damaged", error.to_string()));
                break;
            }
        };
        let start = data.len() - rest.len();
        let (packed, cut) = range(data, start, header.compressed_size);
        rest = data.get(packed.end..).unwrap_or_default();
        if header.is_directory() {
            continue;
        }
        listing.stated += 1;
        listing.members.push(Member {
            name: name(&header),
            size: Some(header.original_size),
            packed_size: Some(header.compressed_size),
            crc: Some(header.file_crc.into()),
            method: header.compression_method().map_or(Method::Other, Method::Lzh),
            packed,
            cut,
            ..Member::default()
        });
    }
    listing
}

/// Directory and name: in extended headers of type 2 and 1, else in the header itself. Directories end in 0xFF.
fn name(header: &LhaHeader) -> String {
    let extra = |kind: u8| header.iter_extra().find_map(|extra| extra.strip_prefix(&[kind]));
    let directory = extra(2).unwrap_or_default();
    let file = extra(1).unwrap_or(&header.filename);
    let mut path = directory.to_vec();
    if !path.is_empty() && !matches!(path.last(), Some(0xff | b'/')) {
        path.push(b'/');
    }
    path.extend_from_slice(file);
    let path: Vec<u8> = path.into_iter().map(|byte| if byte == 0xff { b'/' } else { byte }).collect();
    decode_unlabelled(&path).into_owned()
}

/// Unpacks a member.
pub struct Lzh<'a> {
    decoder: DecoderAny<&'a [u8]>,
    left: u64,
}

impl<'a> Lzh<'a> {
    /// `size`: the bytes that come out, which the packed ones do not say.
    /// None for a method that is not unpacked here.
    pub fn new(method: CompressionMethod, packed: &'a [u8], size: u64) -> Option<Self> {
        match DecoderAny::new_from_compression(method, packed) {
            DecoderAny::UnsupportedDecoder(_) => None,
            decoder => Some(Self { decoder, left: size }),
        }
    }
}

impl Read for Lzh<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        let piece = &mut buf[..wanted];
        self.decoder.fill_buffer(piece).map_err(|error| io::Error::other(error.to_string()))?;
        self.left -= wanted as u64;
        Ok(wanted)
    }
}
