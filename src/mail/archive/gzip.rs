//! gzip (RFC 1952): one file, its name in the header if at all.

use std::io::Read;

use flate2::bufread::GzDecoder;

use super::super::word::decode_unlabelled;
use super::{Listing, Member, Method};

/// The file within; `outer` is the archive's own name, from which a missing name is made.
pub fn list(data: &[u8], outer: &str) -> Listing {
    let mut decoder = GzDecoder::new(data);
    // The header is read with the first byte.
    let _ = decoder.read(&mut [0]);
    let stated = decoder.header().and_then(|header| header.filename()).filter(|name| !name.is_empty());
    let name = stated.map_or_else(|| without_suffix(outer), |name| decode_unlabelled(name).into_owned());
    let member = Member {
        name,
        packed_size: Some(data.len() as u64),
        method: Method::Gzip,
        packed: 0..data.len(),
        ..Member::default()
    };
    Listing { members: vec![member], stated: 1, anomalies: Vec::new() }
}

/// As gunzip names it.
fn without_suffix(outer: &str) -> String {
    let lower = outer.to_ascii_lowercase();
    match lower.strip_suffix(".tgz") {
        Some(stem) => format!("{}.tar", outer.get(..stem.len()).unwrap_or_default()),
        None => lower.strip_suffix(".gz").and_then(|stem| outer.get(..stem.len())).unwrap_or(outer).to_owned(),
    }
}
