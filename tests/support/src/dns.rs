//! DNS messages written by hand (RFC 1035), and a small directory of names that answers questions.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// Types of records (IANA numbers).
pub const A: u16 = 1;
pub const NS: u16 = 2;
pub const CNAME: u16 = 5;
pub const MX: u16 = 15;
pub const TXT: u16 = 16;
pub const AAAA: u16 = 28;

pub const NOERROR: u16 = 0;
pub const SERVFAIL: u16 = 2;
pub const NXDOMAIN: u16 = 3;

/// A message: one question, as everyone sends them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub id: u16,
    pub response: bool,
    pub truncated: bool,
    pub recursion_desired: bool,
    pub rcode: u16,
    pub question: Question,
    pub answers: Vec<Record>,
    pub additionals: Vec<Record>,
    /// Size offered in an OPT record (RFC 6891).
    pub edns: Option<u16>,
}

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    pub name: String,
    pub qtype: u16,
}

/// A record with its owner's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub name: String,
    pub ttl: u32,
    pub data: Data,
}

/// A record's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    Address(IpAddr),
    Mx(u16, String),
    Cname(String),
    Ns(String),
    Txt(String),
}

impl Message {
    /// A recursive question.
    pub fn query(id: u16, name: &str, qtype: u16) -> Self {
        let question = Question { name: name.into(), qtype };
        Self { id, question, recursion_desired: true, ..Self::default() }
    }

    /// The answer `zones` give to this question.
    pub fn answered_by(&self, zones: &Zones) -> Self {
        let (rcode, answers, additionals) = zones.resolve(&self.question);
        Self { response: true, rcode, answers, additionals, edns: self.edns.map(|_| 1232), ..self.clone() }
    }

    /// The same answer, cut to nothing, so that it is asked again over TCP.
    pub fn cut(&self) -> Self {
        Self { truncated: true, answers: vec![], additionals: vec![], ..self.clone() }
    }

    /// Its bytes, with names compressed (RFC 1035, section 4.1.4) when `compress`.
    pub fn encode(&self, compress: bool) -> Vec<u8> {
        let mut writer = Writer { out: Vec::with_capacity(128), known: compress.then(BTreeMap::new) };
        let bit = |set: bool, shift: u16| u16::from(set) << shift;
        let flags =
            bit(self.response, 15) | bit(self.truncated, 9) | bit(self.recursion_desired, 8) | bit(self.response, 7);
        let counts = [self.id, flags | self.rcode, 1, self.answers.len() as u16, 0];
        counts.iter().for_each(|field| writer.u16(*field));
        writer.u16((self.additionals.len() + usize::from(self.edns.is_some())) as u16);
        writer.name(&self.question.name);
        writer.u16(self.question.qtype);
        writer.u16(CLASS_IN);
        self.answers.iter().chain(&self.additionals).for_each(|record| writer.record(record));
        if let Some(size) = self.edns {
            writer.out.extend([0, 0, 41]);
            writer.u16(size);
            writer.out.extend([0; 6]);
        }
        writer.out
    }

    /// As sent over TCP: with its length in front (RFC 1035, section 4.2.2).
    pub fn encode_tcp(&self, compress: bool) -> Vec<u8> {
        let message = self.encode(compress);
        [&(message.len() as u16).to_be_bytes()[..], &message].concat()
    }

    /// The addresses among its answers.
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.answers.iter().filter_map(|r| if let Data::Address(ip) = r.data { Some(ip) } else { None }).collect()
    }

    /// The exchangers among its answers, lowest preference first.
    pub fn exchangers(&self) -> Vec<(u16, String)> {
        let mx = |r: &Record| {
            if let Data::Mx(preference, name) = &r.data { Some((*preference, name.clone())) } else { None }
        };
        let mut exchangers: Vec<_> = self.answers.iter().filter_map(mx).collect();
        exchangers.sort();
        exchangers
    }
}

/// Who is who: names with their records. A name that was never added does not exist.
#[derive(Clone, Debug, Default)]
pub struct Zones {
    names: BTreeMap<String, Vec<Record>>,
}

impl Zones {
    /// Adds a record.
    pub fn add(&mut self, name: &str, data: Data) {
        let record = Record { name: name.into(), ttl: 3600, data };
        self.names.entry(name.to_ascii_lowercase()).or_default().push(record);
    }

    /// Adds an address.
    pub fn address(&mut self, name: &str, ip: IpAddr) {
        self.add(name, Data::Address(ip));
    }

    /// Adds an exchanger.
    pub fn exchanger(&mut self, domain: &str, preference: u16, name: &str) {
        self.add(domain, Data::Mx(preference, name.into()));
    }

    /// Response code, answers, and the addresses of exchangers that are known.
    pub fn resolve(&self, question: &Question) -> (u16, Vec<Record>, Vec<Record>) {
        let Some(records) = self.names.get(&question.name.to_ascii_lowercase()) else {
            return (NXDOMAIN, vec![], vec![]);
        };
        let answers: Vec<Record> =
            records.iter().filter(|record| record.data.rtype() == question.qtype).cloned().collect();
        let target = |record: &Record| if let Data::Mx(_, name) = &record.data { self.names.get(name) } else { None };
        let glue = answers.iter().filter_map(target).flatten().filter(|r| matches!(r.data, Data::Address(_)));
        let additionals = glue.cloned().collect();
        (NOERROR, answers, additionals)
    }
}

impl Data {
    /// The type's number.
    pub fn rtype(&self) -> u16 {
        match self {
            Self::Address(IpAddr::V4(_)) => A,
            Self::Address(IpAddr::V6(_)) => AAAA,
            Self::Mx(..) => MX,
            Self::Cname(_) => CNAME,
            Self::Ns(_) => NS,
            Self::Txt(_) => TXT,
        }
    }
}

struct Writer {
    out: Vec<u8>,
    /// Where a name was written before.
    known: Option<BTreeMap<String, u16>>,
}

impl Writer {
    fn u16(&mut self, value: u16) {
        self.out.extend(value.to_be_bytes());
    }

    fn name(&mut self, name: &str) {
        let mut rest = name.trim_end_matches('.');
        while !rest.is_empty() {
            if let Some(known) = &mut self.known {
                if let Some(at) = known.get(rest).copied() {
                    return self.u16(0xc000 | at);
                }
                if self.out.len() < 0x4000 {
                    known.insert(rest.to_owned(), self.out.len() as u16);
                }
            }
            let (label, tail) = rest.split_once('.').unwrap_or((rest, ""));
            self.out.push(label.len().min(63) as u8);
            self.out.extend(label.bytes().take(63));
            rest = tail;
        }
        self.out.push(0);
    }

    fn record(&mut self, record: &Record) {
        self.name(&record.name);
        self.u16(record.data.rtype());
        self.u16(CLASS_IN);
        self.out.extend(record.ttl.to_be_bytes());
        let length_at = self.out.len();
        self.u16(0);
        match &record.data {
            Data::Address(IpAddr::V4(ip)) => self.out.extend(ip.octets()),
            Data::Address(IpAddr::V6(ip)) => self.out.extend(ip.octets()),
            Data::Mx(preference, name) => {
                self.u16(*preference);
                self.name(name);
            }
            Data::Cname(name) | Data::Ns(name) => self.name(name),
            Data::Txt(text) => {
                for chunk in text.as_bytes().chunks(255) {
                    self.out.push(chunk.len() as u8);
                    self.out.extend(chunk);
                }
            }
        }
        let length = (self.out.len() - length_at - 2) as u16;
        self.out[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
    }
}

const CLASS_IN: u16 = 1;

#[cfg(test)]
mod tests {
    use domain::base::{Message as Parsed, iana::Rcode};
    use domain::rdata::{A as ParsedA, Mx as ParsedMx};

    use super::*;

    fn zones() -> Zones {
        let mut zones = Zones::default();
        zones.exchanger("alder.example", 20, "mx2.alder.example");
        zones.exchanger("alder.example", 10, "mx1.alder.example");
        zones.address("mx1.alder.example", "192.0.2.10".parse().unwrap());
        zones.address("mx2.alder.example", "192.0.2.11".parse().unwrap());
        zones.add("alder.example", Data::Txt("v=spf1 mx -all".into()));
        zones
    }

    #[test]
    fn answers_are_what_the_domain_crate_reads() {
        for compress in [false, true] {
            let answer = Message::query(77, "alder.example", MX).answered_by(&zones());
            let bytes = answer.encode(compress);
            let parsed = Parsed::from_octets(bytes.as_slice()).unwrap();
            assert_eq!(parsed.header().id(), 77);
            assert!(parsed.header().qr() && parsed.header().ra());
            let mx: Vec<(u16, String)> = parsed
                .answer()
                .unwrap()
                .limit_to::<ParsedMx<_>>()
                .map(|r| r.map(|r| (r.data().preference(), r.data().exchange().to_string())).unwrap())
                .collect();
            assert_eq!(mx, [(20, "mx2.alder.example".into()), (10, "mx1.alder.example".into())]);
            let glue = parsed.additional().unwrap().limit_to::<ParsedA>().map(|r| r.unwrap().data().addr().to_string());
            assert_eq!(glue.collect::<Vec<_>>(), ["192.0.2.11", "192.0.2.10"]);
            assert_eq!(answer.exchangers()[0], (10, "mx1.alder.example".into()));
        }
    }

    #[test]
    fn compression_saves_bytes() {
        let answer = Message::query(1, "alder.example", MX).answered_by(&zones());
        assert!(answer.encode(true).len() + 60 < answer.encode(false).len());
    }

    #[test]
    fn unknown_names_do_not_exist_and_answers_can_be_cut() {
        let answer = Message::query(1, "elm.example", MX).answered_by(&zones());
        let bytes = answer.encode(true);
        assert_eq!(Parsed::from_octets(bytes.as_slice()).unwrap().header().rcode(), Rcode::NXDOMAIN);
        let cut = Message::query(1, "alder.example", MX).answered_by(&zones()).cut().encode(true);
        assert!(Parsed::from_octets(cut.as_slice()).unwrap().header().tc());
        let wire = answer.encode_tcp(true);
        assert_eq!(usize::from(u16::from_be_bytes([wire[0], wire[1]])), wire.len() - 2);
    }
}
