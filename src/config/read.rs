//! How values are read from the file, each complaint at the place of its value.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;
use serde::de::{DeserializeSeed, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::value::{events, network, unknown};
use super::{Group, MAX_RING_MIB, MAX_SNAPLEN, MAX_WORKERS, MIN_SNAPLEN};
use crate::model::eve_type::EventFilter;
use crate::model::limits;

/// A reader's message, with the nearest known name where it complains about an unknown one.
pub(super) fn better(message: &str) -> String {
    for (start, what) in [("unknown field `", "key"), ("unknown variant `", "value")] {
        if let Some((name, known)) = message.strip_prefix(start).and_then(|rest| rest.split_once('`')) {
            // What follows is ", expected one of `a`, `b`" or ", expected `a` or `b`".
            let known: Vec<_> = known.split('`').skip(1).step_by(2).collect();
            return unknown(what, name, &known);
        }
    }
    // Kinds of numbers go by the names that Rust has for them.
    let kinds = NUMBERS.iter().find_map(|(kind, words)| Some((message.strip_suffix(kind)?, words)));
    kinds.map_or_else(|| message.to_owned(), |(before, words)| format!("{before}{words}"))
}

const NUMBERS: [(&str, &str); 6] = [
    ("expected i64", "expected a whole number"),
    ("expected usize", "expected a whole number from 0"),
    ("expected u64", "expected a whole number from 0"),
    ("expected u32", "expected a whole number from 0 to 4294967295"),
    ("expected u16", "expected a whole number from 0 to 65535"),
    ("expected f64", "expected a number"),
];

/// The line and column of a place in a text, both from 1; columns count characters.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

/// A value given as a string.
pub(super) fn text<'de, D: Deserializer<'de>, T: FromStr<Err = String>>(from: D) -> Result<Option<T>, D::Error> {
    from.deserialize_str(One(T::from_str)).map(Some)
}

pub(super) fn event_types<'de, D: Deserializer<'de>>(from: D) -> Result<Option<EventFilter>, D::Error> {
    let Some(names) = list(from, |name| events(name).map(|_| name.to_owned()))? else { return Ok(None) };
    events(&names.join(",")).map(Some).map_err(D::Error::custom)
}

pub(super) fn one_network<'de, D: Deserializer<'de>>(from: D) -> Result<IpNet, D::Error> {
    from.deserialize_str(One(network))
}

pub(super) fn groups<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Group>, D::Error> {
    let groups = Vec::<Group>::deserialize(from)?;
    if groups.len() > limits::GROUPS {
        return Err(D::Error::custom(format!("{} groups are too many; {} at most", groups.len(), limits::GROUPS)));
    }
    let mut known = HashSet::new();
    match groups.iter().flat_map(|group| &group.addresses).find(|address| !known.insert(**address)) {
        Some(address) => Err(D::Error::custom(format!("{address} is in two groups; an address is of one host"))),
        None => Ok(groups),
    }
}

pub(super) fn addresses<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpAddr>, D::Error> {
    let addresses: Option<Vec<IpAddr>> = list(from, |text| match text.parse::<IpAddr>() {
        Ok(address) => Ok(address.to_canonical()),
        Err(_) => Err(format!("'{text}' is no address; write it as 192.0.2.25 or 2001:db8::25")),
    })?;
    let addresses = addresses.unwrap_or_default();
    match addresses.len() {
        2..=limits::GROUP_ADDRESSES => Ok(addresses),
        0 | 1 => Err(D::Error::custom("a group needs two addresses of one host or more")),
        many => Err(D::Error::custom(format!("{many} addresses are too many; {} at most", limits::GROUP_ADDRESSES))),
    }
}

pub(super) fn reason<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    from.deserialize_str(One(|text| match text.trim() {
        "" => Err("say why it is ignored: the reason is shown in the summary".to_owned()),
        reason => Ok(reason.to_owned()),
    }))
}

pub(super) fn networks<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<IpNet>>, D::Error> {
    list(from, network)
}

/// The networks that are answered for: without any, nobody would be judged.
pub(super) fn home_networks<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<IpNet>>, D::Error> {
    some(networks(from)?, "it names no network, so that no host would be judged; leave it out for private networks")
}

/// Rule files and folders: without any, no rule would be in force.
pub(super) fn paths<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<PathBuf>>, D::Error> {
    some(list(from, path)?, "it names no rule file; leave it out for the built-in rules")
}

pub(super) fn one_path<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    from.deserialize_str(One(path)).map(Some)
}

/// The command line takes no empty name either.
fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("expected the name of a file or folder".to_owned()) } else { Ok(text.into()) }
}

fn some<T, E: serde::de::Error>(list: Option<Vec<T>>, complaint: &str) -> Result<Option<Vec<T>>, E> {
    match list {
        Some(list) if list.is_empty() => Err(E::custom(complaint)),
        list => Ok(list),
    }
}

pub(super) fn names<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    list(from, |text| Ok(text.to_owned()))
}

pub(super) fn workers<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u16>, D::Error> {
    ranged(from, 1, u32::from(MAX_WORKERS)).map(|workers| u16::try_from(workers).ok())
}

pub(super) fn snaplen<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    ranged(from, MIN_SNAPLEN, MAX_SNAPLEN).map(Some)
}

pub(super) fn ring_mib<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u32>, D::Error> {
    ranged(from, 1, MAX_RING_MIB).map(Some)
}

pub(super) fn threads<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u16>, D::Error> {
    ranged(from, 1, u32::from(limits::RINGS)).map(|threads| u16::try_from(threads).ok())
}

fn ranged<'de, D: Deserializer<'de>>(from: D, least: u32, most: u32) -> Result<u32, D::Error> {
    let value = i64::deserialize(from)?;
    let within = u32::try_from(value).ok().filter(|value| (least..=most).contains(value));
    within.ok_or_else(|| D::Error::custom(format!("{value} is out of range; use {least} to {most}")))
}

/// A list of strings, or one string alone.
fn list<'de, D: Deserializer<'de>, T>(from: D, read: Read<T>) -> Result<Option<Vec<T>>, D::Error> {
    from.deserialize_any(Many(read)).map(Some)
}

/// Makes a value of a string, or says what would be right.
type Read<T> = fn(&str) -> Result<T, String>;

/// Takes one string. Its complaint is the visitor's, so that the reader adds the place of this very string.
struct One<T>(Read<T>);

/// Takes a list of strings, or one.
struct Many<T>(Read<T>);

impl<T> Visitor<'_> for One<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }
}

impl<'de, T> DeserializeSeed<'de> for One<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<T, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'de, T> Visitor<'de> for Many<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of strings")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Vec<T>, E> {
        Ok(vec![One(self.0).visit_str(text)?])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(One(self.0))? {
            list.push(item);
        }
        Ok(list)
    }
}
