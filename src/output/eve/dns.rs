//! `dns`: Suricata's version 3 shape, the same for requests and responses.

use std::borrow::Cow;

use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};

use super::types::Each;
use crate::model::event::{DnsData, DnsMessage, DnsQuestion, DnsRecord};

/// A DNS message (RFC 1035, section 4).
pub struct Dns<'a>(pub &'a DnsMessage);

impl Serialize for Dns<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let message = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("version", &3)?;
        map.serialize_entry("type", if message.is_response() { "response" } else { "request" })?;
        // Suricata's `tx_id` is left out: it counts transactions, and the sensor follows messages one by one.
        map.serialize_entry("id", &message.id)?;
        map.serialize_entry("flags", &Flags(message.flags))?;
        for (bit, name) in FLAGS {
            if message.flags & bit != 0 {
                map.serialize_entry(name, &true)?;
            }
        }
        map.serialize_entry("opcode", &message.opcode())?;
        map.serialize_entry("rcode", &rcode(message.rcode()))?;
        if !message.queries.is_empty() {
            map.serialize_entry("queries", &Each(&message.queries, Question))?;
        }
        if !message.answers.is_empty() {
            map.serialize_entry("answers", &Each(&message.answers, Record))?;
        }
        if !message.additionals.is_empty() {
            map.serialize_entry("additionals", &Each(&message.additionals, Record))?;
        }
        map.end()
    }
}

/// A record type's name (IANA, "Resource Record (RR) TYPEs"); `TYPE1234` (RFC 3597, section 5) where there is none.
pub fn rrtype(number: u16) -> Cow<'static, str> {
    match RRTYPES.binary_search_by_key(&number, |&(known, _)| known) {
        Ok(at) => Cow::Borrowed(RRTYPES[at].1),
        Err(_) => Cow::Owned(format!("TYPE{number}")),
    }
}

/// A response code's name (IANA, "DNS RCODEs") as Suricata spells it; the number where there is none.
pub fn rcode(code: u8) -> Cow<'static, str> {
    match RCODES.get(usize::from(code)) {
        Some(name) => Cow::Borrowed(name),
        None => Cow::Owned(code.to_string()),
    }
}

struct Flags(u16);

impl Serialize for Flags {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:x}", self.0))
    }
}

struct Question<'a>(&'a DnsQuestion);

impl Serialize for Question<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut question = serializer.serialize_struct("Question", 2)?;
        question.serialize_field("rrname", &self.0.name)?;
        question.serialize_field("rrtype", &rrtype(self.0.qtype))?;
        question.end()
    }
}

struct Record<'a>(&'a DnsRecord);

impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut record = serializer.serialize_map(None)?;
        record.serialize_entry("rrname", &self.0.name)?;
        record.serialize_entry("rrtype", &rrtype(self.0.rtype))?;
        record.serialize_entry("ttl", &self.0.ttl)?;
        match &self.0.data {
            DnsData::A(address) => record.serialize_entry("rdata", address)?,
            DnsData::Aaaa(address) => record.serialize_entry("rdata", address)?,
            // Suricata shows the exchanger alone; the preference tells which of them a worm picks.
            DnsData::Mx { preference, exchange } => {
                record.serialize_entry("rdata", exchange)?;
                record.serialize_entry("preference", preference)?;
            }
            DnsData::Name(name) => record.serialize_entry("rdata", name)?,
            DnsData::Text(text) => record.serialize_entry("rdata", text)?,
            DnsData::Opaque(_) => {}
        }
        record.end()
    }
}

/// RFC 1035, section 4.1.1, in Suricata's order.
const FLAGS: [(u16, &str); 6] =
    [(0x8000, "qr"), (0x0400, "aa"), (0x0200, "tc"), (0x0100, "rd"), (0x0080, "ra"), (0x0040, "z")];

const RCODES: [&str; 11] = [
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH",
    "NOTZONE",
];

/// Sorted by number.
const RRTYPES: &[(u16, &str)] = &[
    (1, "A"),
    (2, "NS"),
    (3, "MD"),
    (4, "MF"),
    (5, "CNAME"),
    (6, "SOA"),
    (7, "MB"),
    (8, "MG"),
    (9, "MR"),
    (10, "NULL"),
    (11, "WKS"),
    (12, "PTR"),
    (13, "HINFO"),
    (14, "MINFO"),
    (15, "MX"),
    (16, "TXT"),
    (17, "RP"),
    (18, "AFSDB"),
    (19, "X25"),
    (20, "ISDN"),
    (21, "RT"),
    (22, "NSAP"),
    (23, "NSAP-PTR"),
    (24, "SIG"),
    (25, "KEY"),
    (26, "PX"),
    (27, "GPOS"),
    (28, "AAAA"),
    (29, "LOC"),
    (30, "NXT"),
    (31, "EID"),
    (32, "NIMLOC"),
    (33, "SRV"),
    (34, "ATMA"),
    (35, "NAPTR"),
    (36, "KX"),
    (37, "CERT"),
    (38, "A6"),
    (39, "DNAME"),
    (40, "SINK"),
    (41, "OPT"),
    (42, "APL"),
    (43, "DS"),
    (44, "SSHFP"),
    (45, "IPSECKEY"),
    (46, "RRSIG"),
    (47, "NSEC"),
    (48, "DNSKEY"),
    (49, "DHCID"),
    (50, "NSEC3"),
    (51, "NSEC3PARAM"),
    (52, "TLSA"),
    (53, "SMIMEA"),
    (55, "HIP"),
    (59, "CDS"),
    (60, "CDNSKEY"),
    (61, "OPENPGPKEY"),
    (62, "CSYNC"),
    (63, "ZONEMD"),
    (64, "SVCB"),
    (65, "HTTPS"),
    (99, "SPF"),
    (108, "EUI48"),
    (109, "EUI64"),
    (249, "TKEY"),
    (250, "TSIG"),
    (251, "IXFR"),
    (252, "AXFR"),
    (253, "MAILB"),
    (254, "MAILA"),
    (255, "ANY"),
    (256, "URI"),
    (257, "CAA"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_their_names() {
        assert!(RRTYPES.is_sorted_by_key(|&(number, _)| number));
        for (number, name) in [(1, "A"), (15, "MX"), (65, "HTTPS"), (255, "ANY"), (1234, "TYPE1234"), (0, "TYPE0")] {
            assert_eq!(rrtype(number), name);
        }
    }

    #[test]
    fn codes_have_their_names() {
        for (code, name) in
            [(0, "NOERROR"), (2, "SERVFAIL"), (3, "NXDOMAIN"), (5, "REFUSED"), (10, "NOTZONE"), (15, "15")]
        {
            assert_eq!(rcode(code), name);
        }
    }
}
