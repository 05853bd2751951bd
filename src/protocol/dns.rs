//! DNS (RFC 1035), over UDP and TCP.
//!
//! The chain question, answer, address, connection is what betrays a host that mails itself, so MX, A and AAAA
//! are read on every network; all other types only when asked for ([`Detail::All`]). [`glance`] says in some ten
//! nanoseconds what a message is about, [`read`] and [`parse`] read it, [`TcpFramer`] cuts a TCP stream into messages
//! (RFC 1035, section 4.2.2), and [`looks_like_dns`] tells DNS on a port where it is not expected.
//!
//! Lenient on purpose: this is a witness, not a resolver. What can be read of a damaged message is handed on beside
//! the defect, since the client may well have acted on it. Names may be compressed at will; pointers must point
//! backwards (RFC 1035, section 4.1.4), which the `domain` crate holds them to, so no loop is possible.

use std::fmt::{self, Write};

use compact_str::CompactString;
use domain::base::iana::Rtype;
use domain::base::message::RecordSection;
use domain::base::name::ParsedName;
use domain::base::rdata::ParseRecordData;
use domain::base::record::ParsedRecord;
use domain::base::{Message, UnknownRecordData};
use domain::rdata::{A, Aaaa, Caa, Cname, Dname, Ds, Hinfo, Mx, Ns, Ptr, Soa, Srv, Txt};

pub use tcp::TcpFramer;

use crate::model::event::{DnsData, DnsMessage, DnsQuestion, DnsRecord};
use crate::model::limits;

mod tcp;

/// The port of DNS (IANA).
pub const PORT: u16 = 53;

/// Which messages are worth reading in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Only those that ask for MX, A or AAAA.
    ChainOnly,
    All,
}

/// What a message is about, found without reading past its questions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Glance {
    /// QR: a response, not a query.
    pub response: bool,
    /// It asks for MX.
    pub mx: bool,
    /// It asks for MX, A or AAAA: what the chain to a mail exchanger is made of.
    pub chain: bool,
}

/// Why a message could not be read to its end, with what could be read before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{defect}")]
pub struct Malformed {
    pub defect: Defect,
    /// Everything before the defect, when the header was whole and the message was worth reading in full.
    pub readable: Option<Box<DnsMessage>>,
}

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Defect {
    /// Shorter than the header's 12 bytes.
    Header,
    /// A question is cut off or its name is invalid.
    Question,
    /// A record is cut off, its name is invalid, or its data contradicts its type.
    Record,
    /// More questions and records than are read.
    TooMany,
    /// Bytes follow the last record.
    Trailing,
}

impl Defect {
    /// Whether it hides what was said, and so is worth an anomaly: a header cut, or bytes behind the last record, are what
    /// other protocols on the port, and careless programs, look like.
    pub const fn is_telling(self) -> bool {
        matches!(self, Self::Question | Self::Record | Self::TooMany)
    }

    /// A stable name, as for anomalies.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Header => "dns-header-cut",
            Self::Question => "dns-question-invalid",
            Self::Record => "dns-record-invalid",
            Self::TooMany => "dns-too-many-records",
            Self::Trailing => "dns-trailing-bytes",
        }
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "the message is shorter than a DNS header",
            Self::Question => "a question is cut off or has an invalid name",
            Self::Record => "a record is cut off or contradicts itself",
            Self::TooMany => "the message has more records than are read",
            Self::Trailing => "bytes follow the last record",
        })
    }
}

impl From<Defect> for Malformed {
    fn from(defect: Defect) -> Self {
        Self { defect, readable: None }
    }
}

/// Says what a message is about.
///
/// # Errors
/// [`Defect::Header`] or [`Defect::Question`]: this is not DNS, or it was cut before anything was asked.
pub fn glance(message: &[u8]) -> Result<Glance, Malformed> {
    let message = Message::from_slice(message).map_err(|_| Defect::Header)?;
    let mut seen = Glance { response: message.header().qr(), ..Glance::default() };
    for question in message.question().take(limits::DNS_RECORDS) {
        let qtype = question.map_err(|_| Defect::Question)?.qtype();
        seen.mx |= qtype == Rtype::MX;
        seen.chain |= matches!(qtype, Rtype::MX | Rtype::A | Rtype::AAAA);
    }
    Ok(seen)
}

/// Reads a message; none when `detail` says that it is not worth reading, which costs no allocation.
///
/// # Errors
/// [`Malformed`], with what was readable before the defect.
pub fn parse(message: &[u8], over_tcp: bool, detail: Detail) -> Result<Option<DnsMessage>, Malformed> {
    if detail == Detail::ChainOnly && !glance(message)?.chain {
        return Ok(None);
    }
    read(message, over_tcp).map(Some)
}

/// Reads a message in full.
///
/// # Errors
/// [`Malformed`], with what was readable before the defect.
pub fn read(message: &[u8], over_tcp: bool) -> Result<DnsMessage, Malformed> {
    let bytes = Message::from_slice(message).map_err(|_| Defect::Header)?;
    let header = bytes.header_section();
    let mut read = DnsMessage { id: header.header().id(), flags: flags(message), over_tcp, ..DnsMessage::default() };
    match read_sections(bytes, &mut read) {
        Ok(()) => Ok(read),
        Err(defect) => Err(Malformed { defect, readable: Some(Box::new(read)) }),
    }
}

/// Whether a message on an unexpected port is DNS: strict, so that little else passes. It wants a known operation,
/// one question (RFC 9619) with a name of printable bytes and a class in use, and section counts that a message has
/// room for. `message` may be cut after the question.
pub fn looks_like_dns(message: &[u8]) -> bool {
    let Ok(bytes) = Message::from_slice(message) else { return false };
    let (header, counts) = (bytes.header(), bytes.header_counts());
    let records = [counts.ancount(), counts.nscount(), counts.arcount()].map(usize::from);
    let update = header.opcode().to_int() == OPCODE_UPDATE;
    if !KNOWN_OPCODES.contains(&header.opcode().to_int()) || header.z() || counts.qdcount() != 1 {
        return false;
    }
    // A query brings no answers, and beside EDNS and TSIG nothing else; an update or a notice may.
    if !header.qr() && header.opcode().to_int() == 0 && (records[0] > 0 || records[2] > 2) {
        return false;
    }
    if records.iter().sum::<usize>() * SHORTEST_RECORD > limits::DNS_MESSAGE {
        return false;
    }
    let Some(Ok(question)) = bytes.question().next() else { return false };
    let printable = question.qname().iter().all(|label| label.iter().all(|byte| byte.is_ascii_graphic()));
    let class = question.qclass().to_int();
    printable && question.qtype().to_int() != 0 && (matches!(class, 1 | 3 | 4 | 255) || (update && class == 254))
}

/// Reads the sections into `read`, as far as they are sound.
fn read_sections(bytes: &Message<[u8]>, read: &mut DnsMessage) -> Result<(), Defect> {
    let mut budget = limits::DNS_RECORDS;
    let mut questions = bytes.question();
    for question in questions.by_ref() {
        budget = budget.checked_sub(1).ok_or(Defect::TooMany)?;
        let question = question.map_err(|_| Defect::Question)?;
        read.queries.push(DnsQuestion { name: name(question.qname()), qtype: question.qtype().to_int() });
    }
    // The zone an UPDATE changes stands as its question, and its records may lack data (RFC 2136, section 2.4).
    let strict = read.opcode() != OPCODE_UPDATE;
    let mut defect = None;
    let mut answers = questions.answer().map_err(|_| Defect::Question)?;
    // What the counts promise, but no more than the message has room for.
    let room = |promised: u16| usize::from(promised).min(bytes.as_slice().len() / SHORTEST_RECORD);
    let counts = bytes.header_counts();
    read.answers.reserve(room(counts.ancount()).min(budget));
    read_records(&mut answers, &mut budget, |record| {
        defect = defect.or(push_record(&mut read.answers, record).filter(|_| strict));
    })?;
    let mut authority = answers.next_section().ok().flatten().ok_or(Defect::Record)?;
    read_records(&mut authority, &mut budget, |_| {})?;
    let mut additional = authority.next_section().ok().flatten().ok_or(Defect::Record)?;
    read_records(&mut additional, &mut budget, |record| {
        if matches!(record.rtype(), Rtype::A | Rtype::AAAA) {
            if read.additionals.is_empty() {
                read.additionals.reserve(room(counts.arcount()).min(limits::DNS_RECORDS));
            }
            defect = defect.or(push_record(&mut read.additionals, record).filter(|_| strict));
        }
    })?;
    if additional.pos() < bytes.as_slice().len() {
        return Err(defect.unwrap_or(Defect::Trailing));
    }
    defect.map_or(Ok(()), Err)
}

type Record<'a> = ParsedRecord<'a, [u8]>;

/// Walks a section to its end within the budget.
fn read_records<'a>(
    section: &mut RecordSection<'a, [u8]>,
    budget: &mut usize,
    mut each: impl FnMut(Record<'a>),
) -> Result<(), Defect> {
    for record in section.by_ref() {
        *budget = budget.checked_sub(1).ok_or(Defect::TooMany)?;
        each(record.map_err(|_| Defect::Record)?);
    }
    Ok(())
}

/// Adds a record; says so when its data contradicts its type, in which case only its length is kept. The OPT
/// pseudo-record (RFC 6891) is no record of any name and is left out.
fn push_record(records: &mut impl Extend<DnsRecord>, record: Record<'_>) -> Option<Defect> {
    if record.rtype() == Rtype::OPT {
        return None;
    }
    let data = read_data(&record);
    let defect = data.is_none().then_some(Defect::Record);
    records.extend([DnsRecord {
        name: name(&record.owner()),
        rtype: record.rtype().to_int(),
        ttl: record.ttl().as_secs(),
        data: data.unwrap_or(DnsData::Opaque(usize::from(record.rdlen()))),
    }]);
    defect
}

/// A record's data; none when it contradicts the record's type.
fn read_data(record: &Record<'_>) -> Option<DnsData> {
    Some(match record.rtype() {
        Rtype::A => DnsData::A(typed::<A>(record)?.addr()),
        Rtype::AAAA => DnsData::Aaaa(typed::<Aaaa>(record)?.addr()),
        Rtype::MX => {
            let mx = typed::<Mx<Name<'_>>>(record)?;
            DnsData::Mx { preference: mx.preference(), exchange: name(mx.exchange()) }
        }
        Rtype::CNAME => DnsData::Name(name(typed::<Cname<Name<'_>>>(record)?.cname())),
        Rtype::NS => DnsData::Name(name(typed::<Ns<Name<'_>>>(record)?.nsdname())),
        Rtype::PTR => DnsData::Name(name(typed::<Ptr<Name<'_>>>(record)?.ptrdname())),
        Rtype::DNAME => DnsData::Name(name(typed::<Dname<Name<'_>>>(record)?.dname())),
        Rtype::SOA => DnsData::Text(soa(&typed(record)?).into()),
        Rtype::SRV => DnsData::Text(srv(&typed(record)?).into()),
        Rtype::TXT => DnsData::Text(typed::<Txt<&[u8]>>(record)?.to_string().into()),
        Rtype::SPF => DnsData::Text(spf(record)?.into()),
        Rtype::HINFO => DnsData::Text(typed::<Hinfo<&[u8]>>(record)?.to_string().into()),
        Rtype::CAA => DnsData::Text(typed::<Caa<&[u8]>>(record)?.to_string().into()),
        Rtype::DS => DnsData::Text(typed::<Ds<&[u8]>>(record)?.to_string().into()),
        _ => DnsData::Opaque(usize::from(record.rdlen())),
    })
}

type Name<'a> = ParsedName<&'a [u8]>;

fn typed<'a, Data: ParseRecordData<'a, [u8]>>(record: &Record<'a>) -> Option<Data> {
    record.to_record::<Data>().ok().flatten().map(|record| record.into_data())
}

fn soa(soa: &Soa<Name<'_>>) -> String {
    let times = [soa.refresh(), soa.retry(), soa.expire(), soa.minimum()].map(|ttl| ttl.as_secs());
    let [refresh, retry, expire, minimum] = times;
    let (mname, rname) = (name(soa.mname()), name(soa.rname()));
    format!("{mname} {rname} {} {refresh} {retry} {expire} {minimum}", soa.serial())
}

fn srv(srv: &Srv<Name<'_>>) -> String {
    format!("{} {} {} {}", srv.priority(), srv.weight(), srv.port(), name(srv.target()))
}

/// SPF (RFC 4408, section 3.1.1) has the form of TXT.
fn spf(record: &Record<'_>) -> Option<String> {
    let data = typed::<UnknownRecordData<&[u8]>>(record)?;
    Some(Txt::from_octets(*data.data()).ok()?.to_string())
}

/// The header's second word (RFC 1035, section 4.1.1).
fn flags(message: &[u8]) -> u16 {
    message.get(2..4).map_or(0, |word| word.iter().fold(0, |flags, byte| flags << 8 | u16::from(*byte)))
}

/// A name in presentation form (RFC 1035, section 5.1) without the final dot; the root is `.`.
fn name<Octets: AsRef<[u8]>>(name: &ParsedName<Octets>) -> CompactString {
    if name.is_root() {
        return CompactString::const_new(".");
    }
    let (mut text, mut len) = ([0; LONGEST_NAME], 0);
    for label in name.iter().filter(|label| !label.is_root()) {
        let bytes = label.as_slice();
        let dot = usize::from(len > 0);
        let Some([place @ .., _]) = text.get_mut(len..=len + dot + bytes.len()) else { return escaped(name) };
        if let (1, Some(first)) = (dot, place.first_mut()) {
            *first = b'.';
        }
        let Some(place) = place.get_mut(dot..) else { return escaped(name) };
        if !bytes.iter().all(|byte| matches!(byte, b'!'..=b'~') && !matches!(byte, b'.' | b'\\')) {
            return escaped(name);
        }
        place.copy_from_slice(bytes);
        len += dot + bytes.len();
    }
    text.get(..len).and_then(|text| str::from_utf8(text).ok()).map_or_else(|| escaped(name), CompactString::from)
}

/// The same for a name with bytes that have to be escaped.
#[cold]
fn escaped<Octets: AsRef<[u8]>>(name: &ParsedName<Octets>) -> CompactString {
    let mut text = CompactString::default();
    for label in name.iter().filter(|label| !label.is_root()) {
        if !text.is_empty() {
            text.push('.');
        }
        label.as_slice().iter().for_each(|byte| escape(*byte, &mut text));
    }
    text
}

fn escape(byte: u8, text: &mut CompactString) {
    match byte {
        b'.' | b'\\' => text.extend(['\\', char::from(byte)]),
        b'!'..=b'~' => text.push(char::from(byte)),
        _ => write!(text, "\\{byte:03}").unwrap_or_default(),
    }
}

/// Bytes of the longest name (RFC 1035, section 3.1), and so of its text where nothing is escaped.
const LONGEST_NAME: usize = 256;
/// Bytes of a message's header (RFC 1035, section 4.1.1).
const HEADER: usize = 12;
/// The shortest record: the root as name, type, class, TTL and an empty length (RFC 1035, section 4.1.3).
const SHORTEST_RECORD: usize = 11;
/// UPDATE (RFC 2136).
const OPCODE_UPDATE: u8 = 5;
/// QUERY, IQUERY, STATUS, NOTIFY, UPDATE (IANA, DNS OpCodes).
const KNOWN_OPCODES: [u8; 5] = [0, 1, 2, 4, OPCODE_UPDATE];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::event::QTYPE_MX;

    const A: u16 = 1;
    const TXT: u16 = 16;

    /// A message of raw sections, put together as RFC 1035, section 4 draws it.
    fn message(flags: u16, counts: [u16; 4], body: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![0x12, 0x34];
        bytes.extend(flags.to_be_bytes());
        bytes.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
        bytes.extend(body.concat());
        bytes
    }

    fn question(name: &[u8], qtype: u16) -> Vec<u8> {
        [name, &qtype.to_be_bytes(), &[0, 1]].concat()
    }

    fn record(name: &[u8], rtype: u16, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(data.len()).unwrap();
        [name, &rtype.to_be_bytes(), &[0, 1, 0, 0, 0x0e, 0x10], &length.to_be_bytes(), data].concat()
    }

    const EXAMPLE: &[u8] = b"\x07example\x03com\x00";
    /// A pointer to the question's name.
    const SAME: &[u8] = b"\xc0\x0c";

    pub(super) fn mx_query() -> Vec<u8> {
        message(0x0100, [1, 0, 0, 0], &[&question(EXAMPLE, QTYPE_MX)])
    }

    pub(super) fn mx_response() -> Vec<u8> {
        let mx = record(SAME, QTYPE_MX, b"\x00\x0a\x04mail\xc0\x0c");
        let soa = record(SAME, 6, &[SAME, SAME, &[0; 20]].concat());
        let address = record(b"\x04mail\xc0\x0c", A, &[192, 0, 2, 1]);
        let opt = b"\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00";
        message(0x8180, [1, 1, 1, 2], &[&question(EXAMPLE, QTYPE_MX), &mx, &soa, &address, opt])
    }

    fn all(bytes: &[u8]) -> Result<Option<DnsMessage>, Malformed> {
        parse(bytes, false, Detail::All)
    }

    fn answer(rtype: u16, data: &[u8]) -> DnsData {
        let bytes = message(0x8180, [1, 1, 0, 0], &[&question(EXAMPLE, rtype), &record(SAME, rtype, data)]);
        all(&bytes).unwrap().unwrap().answers.remove(0).data
    }

    #[test]
    fn reads_an_exchanger_and_its_address() {
        let read = parse(&mx_response(), true, Detail::ChainOnly).unwrap().unwrap();
        assert_eq!((read.id, read.flags, read.over_tcp), (0x1234, 0x8180, true));
        assert_eq!(*read.queries, [DnsQuestion { name: "example.com".into(), qtype: QTYPE_MX }]);
        let exchange = CompactString::const_new("mail.example.com");
        let data = DnsData::Mx { preference: 10, exchange: exchange.clone() };
        assert_eq!(*read.answers, [DnsRecord { name: "example.com".into(), rtype: QTYPE_MX, ttl: 3600, data }]);
        let data = DnsData::A([192, 0, 2, 1].into());
        assert_eq!(read.additionals, [DnsRecord { name: exchange, rtype: A, ttl: 3600, data }]);
    }

    #[test]
    fn a_glance_tells_what_is_asked() {
        assert_eq!(glance(&mx_query()), Ok(Glance { response: false, mx: true, chain: true }));
        assert_eq!(glance(&mx_response()), Ok(Glance { response: true, mx: true, chain: true }));
        let txt = message(0, [1, 0, 0, 0], &[&question(EXAMPLE, TXT)]);
        assert_eq!(glance(&txt), Ok(Glance::default()));
        assert_eq!(glance(&[0; 11]), Err(Defect::Header.into()));
        assert_eq!(glance(&mx_query()[..20]), Err(Defect::Question.into()));
    }

    #[test]
    fn only_the_chain_is_read_unless_all_is_wanted() {
        let txt = message(0, [1, 0, 0, 0], &[&question(EXAMPLE, TXT)]);
        assert_eq!(parse(&txt, false, Detail::ChainOnly), Ok(None));
        assert_eq!(all(&txt).unwrap().unwrap().queries[0].qtype, TXT);
    }

    #[test]
    fn data_shows_in_presentation_form() {
        let text = |text: &str| DnsData::Text(text.into());
        assert_eq!(answer(28, &[0; 16]), DnsData::Aaaa(std::net::Ipv6Addr::UNSPECIFIED));
        assert_eq!(answer(5, b"\x01a\xc0\x0c"), DnsData::Name("a.example.com".into()));
        assert_eq!(answer(2, b"\x00"), DnsData::Name(".".into()));
        assert_eq!(answer(TXT, b"\x03v=x\x02\"\x07"), text(r#""v=x" "\"\007""#));
        assert_eq!(answer(99, b"\x06v=spf1"), text(r#""v=spf1""#));
        assert_eq!(answer(33, b"\x00\x01\x00\x02\x00\x19\x01a\xc0\x0c"), text("1 2 25 a.example.com"));
        let soa = [SAME, b"\x01h\xc0\x0c", &[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5]].concat();
        assert_eq!(answer(6, &soa), text("example.com h.example.com 1 2 3 4 5"));
        assert_eq!(answer(13, b"\x03x86\x05Linux"), text(r#""x86" "Linux""#));
        // RFC 4034, section 5.3: key tag, algorithm, digest type, digest in hexadecimal digits of either case.
        let ds = [&[0xec, 0x45, 5, 1][..], &[0x2b; 20]].concat();
        assert_eq!(answer(43, &ds), text(&format!("60485 5 1 {}", "2b".repeat(20))));
        assert_eq!(answer(65_280, &[1, 2, 3]), DnsData::Opaque(3));
    }

    #[test]
    fn odd_bytes_in_names_are_escaped() {
        let odd = message(0, [1, 0, 0, 0], &[&question(b"\x05a.b\\ \x02\xff\x00\x00", A)]);
        assert_eq!(all(&odd).unwrap().unwrap().queries[0].name, r"a\.b\\\032.\255\000");
    }

    #[test]
    fn a_cut_message_gives_what_came_before_the_cut() {
        let whole = mx_response();
        let cut = all(&whole[..whole.len() - 14]).unwrap_err();
        assert_eq!(cut.defect, Defect::Record);
        let readable = cut.readable.unwrap();
        assert_eq!((readable.queries.len(), readable.answers.len(), readable.additionals.len()), (1, 1, 0));

        let trailing = all(&[&whole[..], b"zz"].concat()).unwrap_err();
        assert_eq!(trailing.defect, Defect::Trailing);
        assert_eq!(*trailing.readable.unwrap(), all(&whole).unwrap().unwrap());
    }

    #[test]
    fn data_that_contradicts_its_type_is_kept_by_length() {
        let short = record(SAME, A, &[192, 0, 2]);
        let sound = record(SAME, A, &[192, 0, 2, 1]);
        let bytes = message(0x8180, [1, 2, 0, 0], &[&question(EXAMPLE, A), &short, &sound]);
        let bad = all(&bytes).unwrap_err();
        let data: Vec<_> = bad.readable.unwrap().answers.into_iter().map(|answer| answer.data).collect();
        assert_eq!((bad.defect, data), (Defect::Record, vec![DnsData::Opaque(3), DnsData::A([192, 0, 2, 1].into())]));
    }

    #[test]
    fn an_update_deletes_with_empty_records() {
        // RFC 2136, section 2.5.2: delete an RRset.
        let zone = question(EXAMPLE, 6);
        let bytes = message(0x2800, [1, 1, 0, 0], &[&zone, &record(SAME, A, b"")]);
        let read = all(&bytes).unwrap().unwrap();
        assert_eq!((read.opcode(), &read.answers[0].data), (5, &DnsData::Opaque(0)));
    }

    #[test]
    fn compression_cannot_loop() {
        // To itself, forwards, and in a circle of two.
        for name in [&b"\xc0\x0c"[..], b"\xc0\x20", b"\x01a\xc0\x0c", b"\xc0\x0e\xc0\x0c"] {
            let bytes = message(0, [1, 0, 0, 0], &[&question(name, QTYPE_MX)]);
            assert_eq!(all(&bytes).unwrap_err().defect, Defect::Question, "{name:?}");
            assert_eq!(glance(&bytes), Err(Defect::Question.into()));
        }
    }

    #[test]
    fn records_are_bounded() {
        let many = record(SAME, A, &[192, 0, 2, 1]).repeat(1_000);
        let bytes = message(0x8180, [1, 1_000, 0, 0], &[&question(EXAMPLE, A), &many]);
        let bad = all(&bytes).unwrap_err();
        assert_eq!((bad.defect, bad.readable.unwrap().answers.len()), (Defect::TooMany, limits::DNS_RECORDS - 1));
        let many = question(SAME, A).repeat(1_000);
        let bad = all(&message(0, [1_001, 0, 0, 0], &[&question(EXAMPLE, A), &many])).unwrap_err();
        assert_eq!((bad.defect, bad.readable.unwrap().queries.len()), (Defect::TooMany, limits::DNS_RECORDS));
    }

    #[test]
    fn the_probe_knows_dns_from_other_talk() {
        assert!(looks_like_dns(&mx_query()));
        assert!(looks_like_dns(&mx_response()));
        assert!(looks_like_dns(&message(0x0100, [1, 0, 0, 1], &[&question(EXAMPLE, A), b"\x00\x00\x29"])));
        for other in [
            &b"EHLO client.example\r\nMAIL FROM:<a@example.com>\r\n"[..],
            b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
            b"220 mail.example.com ESMTP\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00\x00\x00\x00\x00",
            &[0; 64],
            &[0xff; 64],
        ] {
            assert!(!looks_like_dns(other), "{other:?}");
        }
        let with = |flags: u16, counts: [u16; 4]| looks_like_dns(&message(flags, counts, &[&question(EXAMPLE, A)]));
        assert!(with(0x0100, [1, 0, 0, 2]), "EDNS and TSIG");
        assert!(!with(0x0100, [1, 0, 0, 3]) && !with(0x0100, [1, 1, 0, 0]), "a query brings no more");
        // A record takes 11 bytes at the least, and a message 65,535 at the most.
        assert!(with(0x8180, [1, 5_000, 457, 500]) && !with(0x8180, [1, 5_000, 458, 500]));
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = (glance(&bytes), all(&bytes), parse(&bytes, true, Detail::ChainOnly), looks_like_dns(&bytes));
        }

        #[test]
        fn any_record_can_be_read(rtype in 0u16..300, data in proptest::collection::vec(any::<u8>(), 0..80)) {
            let body = [question(EXAMPLE, rtype), record(SAME, rtype, &data)];
            let _ = all(&message(0x8180, [1, 1, 0, 0], &[&body[0], &body[1]]));
        }

        #[test]
        fn any_damage_to_a_message_can_be_read(at in 0usize..200, byte: u8, end in 0usize..200) {
            let mut bytes = mx_response();
            let (length, end) = (bytes.len(), end.min(bytes.len()));
            bytes[at % length] = byte;
            let read = all(&bytes[..end]);
            let read = read.unwrap_or_else(|bad| bad.readable.map(|message| *message));
            prop_assert_eq!(read.is_some(), end >= HEADER);
        }
    }
}
