//! tar (POSIX.1-2017, pax; GNU tar's long names) through the tar crate. Content is taken from the archive directly.

use std::io::Cursor;

use super::super::word::decode_unlabelled;
use super::{Listing, Member, Method};

/// Lists at most one member more than `most`, so that the caller sees the bound was met.
pub fn list(data: &[u8], most: usize) -> Listing {
    let mut listing = Listing::default();
    let mut archive = tar::Archive::new(Cursor::new(data));
    let entries = match archive.entries_with_seek() {
        Ok(entries) => entries,
        Err(error) => return damaged(listing, &error),
    };
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return damaged(listing, &error),
        };
        let kind = entry.header().entry_type();
        let holds_data = kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse();
        if kind.is_dir() || kind.is_pax_global_extensions() {
            continue;
        }
        listing.stated += 1;
        let size = if holds_data { entry.size() } else { 0 };
        let start = usize::try_from(entry.raw_file_position()).unwrap_or(usize::MAX).min(data.len());
        let wanted = usize::try_from(size).unwrap_or(usize::MAX);
        let there = wanted.min(data.len() - start);
        listing.members.push(Member {
            name: decode_unlabelled(&entry.path_bytes()).into_owned(),
            size: Some(size),
            packed_size: Some(size),
            // The holes of a sparse file are not in the archive: it is listed only.
            method: if kind.is_gnu_sparse() { Method::Other } else { Method::Stored },
            packed: start..start + there,
            cut: there < wanted,
            ..Member::default()
        });
        if listing.members.len() > most {
            break;
        }
    }
    listing
}

fn damaged(mut listing: Listing, error: &std::io::Error) -> Listing {
    listing.anomalies.push(("archive-damaged", error.to_string()));
    listing
}
