//! 7z (7-Zip's 7zFormat.txt) through sevenz-rust2.
//!
//! Members of a block are packed as one stream, so they are read as they come rather than one at a time as those of
//! other archives. The crate allocates by what headers say: hence its memory limits, of which the one for the header
//! is small, since each byte of a header can stand for a member.

use std::io::{Cursor, Read};

use memchr::memmem;
use sevenz_rust2::{Archive, ArchiveEntry, BlockDecoder, Coder, EncoderMethod, Error, Password};

use super::super::password;
use super::fields::u64_at;
use super::member::Reader;
use super::narrowed::Narrowed;
use super::{Entry, Findings, Member, Method};
use crate::model::limits;

/// Reads at most `most` members. Returns them, and how many the archive says it has.
pub fn read(
    data: &[u8],
    container: &[String],
    most: usize,
    reader: &mut Reader<'_>,
    findings: &mut Findings<'_>,
) -> (Vec<Entry>, usize) {
    if reader.budget.headers == 0 {
        (findings.note)("archive-too-large", "headers of many 7z archives".to_owned());
        return Default::default();
    }
    let archive = header(data);
    reader.budget.headers = reader.budget.headers.saturating_sub(cost(data, &archive));
    let archive = match archive {
        Ok(archive) => archive,
        Err(Error::PasswordRequired | Error::UnsupportedCompressionMethod(_)) => {
            findings.listing_is_encrypted();
            return Default::default();
        }
        Err(error) => {
            (findings.note)("archive-damaged", error.to_string());
            return Default::default();
        }
    };
    let stated = archive.files.iter().filter(|file| !file.is_directory()).count();
    let mut members = Vec::new();
    for block in 0..archive.blocks.len() {
        if members.len() >= most {
            break;
        }
        read_block(&archive, block, data, container, most, (reader, findings), &mut members);
    }
    // What has no content is in no block.
    let blocks = &archive.stream_map.file_block_index;
    let empty =
        archive.files.iter().enumerate().filter(|(at, file)| {
            !file.is_directory() && !file.has_stream() && blocks.get(*at).is_none_or(Option::is_none)
        });
    for (_, file) in empty.take(most.saturating_sub(members.len())) {
        let member = Member { method: Method::Stored, size: Some(0), ..member(file, false) };
        members.push(Entry::Packed(member));
    }
    (members, stated)
}

fn header(data: &[u8]) -> Result<Archive, Error> {
    // Without a start header the crate would search the end for one, in quadratic time.
    if data.get(8..32).is_none_or(|start| start.iter().all(|byte| *byte == 0)) {
        return Err(Error::Other("its start header is missing".into()));
    }
    let (password, limit) = (Password::empty(), limits::SEVENZIP_HEADER_KIB);
    match Archive::read_with_memory_limit(&mut Cursor::new(data), &password, limit) {
        Err(error @ Error::MaxMemLimited { .. }) => match Narrowed::new(data) {
            Some(mut narrowed) => Archive::read_with_memory_limit(&mut narrowed, &password, limit),
            None => Err(error),
        },
        read => read,
    }
}

/// What it took to read a header. One that makes no sense may have taken as much as the largest; so may one packed with
/// bzip2, of which each byte can be a block of its own, and which no packer uses there.
fn cost(data: &[u8], header: &Result<Archive, Error>) -> usize {
    let at = u64_at(data, 12).and_then(|at| usize::try_from(at).ok()?.checked_add(32));
    let packed = at.and_then(|at| data.get(at..)).unwrap_or_default();
    let encoded = packed.first() == Some(&ENCODED) && memmem::find(packed, EncoderMethod::ID_BZIP2).is_some();
    match header {
        Ok(archive) if !encoded => {
            let members = archive.files.len().saturating_mul(limits::SEVENZIP_MEMBER_COST);
            let blocks = archive.blocks.len().saturating_mul(limits::SEVENZIP_BLOCK_COST);
            members.saturating_add(blocks).saturating_add(limits::SEVENZIP_HEADER_COST)
        }
        // Nothing was unpacked.
        Err(Error::PasswordRequired | Error::UnsupportedCompressionMethod(_)) => limits::SEVENZIP_HEADER_COST,
        _ => limits::SEVENZIP_HEADER_KIB << 10,
    }
}

/// Whether a block is packed twice over, as no packer does it: what comes between is not seen here, so it cannot be counted,
/// and can be ten thousand times as long as what goes in. BCJ2 splits a program into streams, each packed by itself.
fn is_chained(coders: &[Coder]) -> bool {
    let of = |ids: &[&[u8]]| coders.iter().filter(|coder| ids.contains(&coder.encoder_method_id())).count();
    let (lzma, bzip2) = (of(&[EncoderMethod::ID_LZMA, EncoderMethod::ID_LZMA2]), of(&[EncoderMethod::ID_BZIP2]));
    let split = of(&[EncoderMethod::ID_BCJ2]) > 0;
    lzma + bzip2 > 1 && !(split && bzip2 == 0)
}

fn read_block(
    archive: &Archive,
    block: usize,
    data: &[u8],
    container: &[String],
    most: usize,
    (reader, findings): (&mut Reader<'_>, &mut Findings<'_>),
    members: &mut Vec<Entry>,
) {
    let coders = archive.blocks.get(block).map_or(&[][..], |block| &block.coders);
    let key = coders.iter().find(|coder| coder.encoder_method_id() == EncoderMethod::ID_AES256_SHA256);
    let chained = is_chained(coders);
    let found = key.filter(|_| !chained).and_then(|key| find_password(archive, block, data, key.properties(), reader));
    let encrypted = key.is_some() && found.is_none();
    let password = found.unwrap_or_else(Password::empty);
    let mut source = Cursor::new(data);
    let decoder = BlockDecoder::new_with_memory_limit(1, window_kib(reader), block, archive, &password, &mut source);
    let files = decoder.entries().iter().filter(|file| !file.is_directory());
    let files =
        files.take(most.saturating_sub(members.len())).map(|file| member(file, key.is_some())).collect::<Vec<_>>();
    if key.is_some()
        && !encrypted
        && let Some(first) = files.first()
    {
        (findings.note)("archive-password-in-text", first.name.clone());
    }
    let mut done = 0;
    let mut each = |file: &ArchiveEntry, content: &mut dyn Read| {
        if members.len() >= most || file.is_directory() {
            return Ok(members.len() < most);
        }
        done += 1;
        let (fact, inner, stopped) =
            reader.unpacked(container, member(file, key.is_some()), content, data.len(), findings);
        members.push(Entry::Read(Box::new(fact), inner));
        Ok(!stopped)
    };
    let (cut, trouble) = match (encrypted, chained) {
        (true, _) => (false, None),
        (_, true) => (true, Some(("archive-damaged", "a block of a 7z archive is packed twice".to_owned()))),
        _ => match decoder.for_each_entries(&mut each) {
            Ok(_) => (true, None),
            Err(Error::UnsupportedCompressionMethod(method)) => (false, Some(("archive-not-opened", method))),
            Err(_) => (true, Some(("archive-damaged", "a block of a 7z archive".to_owned()))),
        },
    };
    // Those behind a bound, or behind damage, are listed.
    let left = files.into_iter().skip(done);
    members.extend(left.map(|file| Entry::Packed(Member { cut, ..file })));
    if let Some((name, detail)) = trouble {
        (findings.note)(name, detail);
    }
}

/// The word of the message that opens a block whose key has these properties (7-Zip's 7zFormat.txt names none of them:
/// the low six bits of the first byte are the rounds, as a power of two). It fits if the first file unpacks to what
/// its checksum says.
fn find_password(
    archive: &Archive,
    block: usize,
    data: &[u8],
    properties: &[u8],
    reader: &mut Reader<'_>,
) -> Option<Password> {
    if properties.first().is_none_or(|first| first & 0x3f > limits::SEVENZIP_KEY_ROUNDS) {
        return None;
    }
    let said = [reader.said.subject, reader.said.text];
    let window = window_kib(reader);
    let mut words = reader.budget.passwords.take().unwrap_or_else(|| password::candidates(said));
    let fits = words.iter().position(|word| {
        let budget = &mut *reader.budget;
        let Some(tries) = budget.tries.checked_sub(limits::SEVENZIP_TRY_COST) else { return false };
        budget.tries = tries;
        let (password, mut source) = (Password::new(word), Cursor::new(data));
        let decoder = BlockDecoder::new_with_memory_limit(1, window, block, archive, &password, &mut source);
        let mut whole = false;
        let mut first = |file: &ArchiveEntry, content: &mut dyn Read| {
            if file.is_directory() || file.size() == 0 {
                return Ok(true);
            }
            // What it takes to see counts as well.
            let room = budget.bytes / limits::ARCHIVE_COST_LZMA;
            let read = std::io::copy(&mut content.take(room), &mut std::io::sink())?;
            budget.bytes -= read * limits::ARCHIVE_COST_LZMA;
            whole = read == file.size();
            Ok(false)
        };
        decoder.for_each_entries(&mut first).is_ok() && whole
    });
    if let Some(at) = fits {
        // It is tried first on the next.
        words.swap(0, at);
    }
    let password = fits.and_then(|_| words.first()).map(|word| Password::new(word));
    reader.budget.passwords = Some(words);
    password
}

/// What a block's window may take.
fn window_kib(reader: &Reader<'_>) -> usize {
    usize::try_from(reader.settings.window_bytes >> 10).unwrap_or(usize::MAX)
}

fn member(file: &ArchiveEntry, encrypted: bool) -> Member {
    Member { name: file.name().to_owned(), size: Some(file.size()), encrypted, ..Member::default() }
}

/// What a packed header begins with (kEncodedHeader).
pub const ENCODED: u8 = 0x17;
