//! The chain from a question to a delivery: who exchanges mail for a domain, where that exchanger is, who went there.
//!
//! RFC 5321, section 5.1 has a client find a domain's exchangers (MX), then their addresses, then connect to port 25.
//! A host that is seen to take all these steps delivers mail itself (Whyte, van Oorschot and Kranakis 2005). The
//! questions may go to a resolver inside; then the client's own questions to it are what is joined here.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use crate::model::event::{DnsData, DnsMessage, DnsRecord, QTYPE_MX};
use crate::model::limits;
use crate::model::time::Timestamp;

use super::pace::apart;
use super::recent::Recent;

/// What one host has learnt about exchangers from the answers it got. Bounded; names are kept in lower case.
#[derive(Debug)]
pub struct Chain {
    exchangers: Recent<Arc<str>, Exchanger>,
    addresses: Recent<IpAddr, Address>,
    /// MX answers that named an exchanger, or left the domain itself as one.
    pub mx_answers: u64,
    /// Addresses of exchangers learnt, those in the additional section included.
    pub addresses_learnt: u64,
}

/// A chain that is whole: the host asked for the domain's exchangers, learnt this address, and connected to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub domain: Arc<str>,
    pub exchanger: Arc<str>,
    pub address: IpAddr,
    /// The domain has no MX record and is its own exchanger.
    pub implicit: bool,
}

#[derive(Debug)]
struct Exchanger {
    learnt: Timestamp,
    /// Domains it was named for and no connection has been counted for yet, oldest first. The last one stays.
    domains: Vec<Arc<str>>,
    implicit: bool,
}

#[derive(Debug)]
struct Address {
    learnt: Timestamp,
    exchanger: Arc<str>,
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            exchangers: Recent::new(limits::CHAIN_ENTRIES),
            addresses: Recent::new(limits::CHAIN_ENTRIES),
            mx_answers: 0,
            addresses_learnt: 0,
        }
    }
}

impl Chain {
    /// Takes an answer the host got. Answers to questions that have nothing to do with mail pass by.
    pub fn answer(&mut self, message: &DnsMessage, now: Timestamp) {
        let Some(question) = message.queries.first().filter(|_| message.rcode() == NOERROR) else { return };
        if tells_exchangers(message) {
            self.learn_exchangers(&fold(&question.name), message, now);
        }
        self.learn_addresses(&fold(&question.name), message, now);
    }

    /// The host reached port 25 of `address`: the chain that led it there, when its links were seen.
    ///
    /// Where several domains share an exchanger, each connection stands for one of them, the one longest asked for.
    pub fn connect(&mut self, address: IpAddr, now: Timestamp) -> Option<Link> {
        let known = self.addresses.get(&address).filter(|known| is_fresh(known.learnt, now))?;
        let exchanger = Arc::clone(&known.exchanger);
        let entry = self.exchangers.get_mut(&*exchanger).filter(|entry| is_fresh(entry.learnt, now))?;
        let domain = match entry.domains.len() {
            0 => return None,
            1 => Arc::clone(entry.domains.first()?),
            _ => entry.domains.remove(0),
        };
        Some(Link { domain, exchanger, address, implicit: entry.implicit })
    }

    /// What exchangers and addresses weigh.
    pub fn entries(&self) -> usize {
        self.exchangers.weight() + self.addresses.weight()
    }

    /// Forgets all but the `most` exchangers and addresses learnt last.
    pub fn shorten(&mut self, most: usize) {
        self.exchangers.keep_youngest(most);
        self.addresses.keep_youngest(most);
    }

    fn learn_exchangers(&mut self, domain: &str, message: &DnsMessage, now: Timestamp) {
        let domain: Arc<str> = domain.into();
        let mut has_mx = false;
        for record in &message.answers {
            if let DnsData::Mx { exchange, .. } = &record.data {
                has_mx = true;
                let exchange = fold(exchange);
                // RFC 7505, section 3: the root as the only exchanger says that the domain takes no mail.
                if !exchange.is_empty() {
                    self.learn_exchanger(&exchange, &domain, false, now);
                }
            }
        }
        // RFC 5321, section 5.1: without MX records the domain itself is its exchanger. An answer that was cut says
        // nothing about what it leaves out.
        if !has_mx && !message.is_truncated() && !domain.is_empty() {
            self.learn_exchanger(&domain, &domain, true, now);
        }
    }

    fn learn_exchanger(&mut self, name: &str, domain: &Arc<str>, implicit: bool, now: Timestamp) {
        self.mx_answers = self.mx_answers.saturating_add(1);
        let (name, mut domains) = match self.exchangers.get_mut(name) {
            Some(known) if is_fresh(known.learnt, now) => (name.into(), std::mem::take(&mut known.domains)),
            _ => (if name == &**domain { Arc::clone(domain) } else { name.into() }, Vec::new()),
        };
        domains.retain(|known| known != domain);
        domains.push(Arc::clone(domain));
        if domains.len() > limits::CHAIN_SHARED {
            domains.remove(0);
        }
        self.exchangers.insert(name, Exchanger { learnt: now, domains, implicit });
    }

    /// Records that give an exchanger's address. An alias of an exchanger is one too (RFC 2181, section 10.3 forbids
    /// it, the world does it), so that a client which follows it by a question of its own is followed.
    fn learn_addresses(&mut self, question: &str, message: &DnsMessage, now: Timestamp) {
        if self.exchangers.is_empty() {
            return;
        }
        // Whatever the answer section holds was reached from the question, through aliases or not.
        let asked = self.exchangers.get(question).map(|_| question);
        for record in &message.answers {
            self.learn_record(record, asked, now);
        }
        for record in &message.additionals {
            self.learn_record(record, None, now);
        }
    }

    fn learn_record(&mut self, record: &DnsRecord, asked: Option<&str>, now: Timestamp) {
        let address = match &record.data {
            DnsData::A(address) => IpAddr::from(*address),
            DnsData::Aaaa(address) => IpAddr::from(*address).to_canonical(),
            DnsData::Name(target) if record.rtype == TYPE_CNAME => return self.learn_alias(record, target, now),
            _ => return,
        };
        let owner = fold(&record.name);
        let Some(exchanger) = asked.into_iter().chain([&*owner]).find(|name| self.exchangers.get(*name).is_some())
        else {
            return;
        };
        self.addresses_learnt = self.addresses_learnt.saturating_add(1);
        self.addresses.insert(address, Address { learnt: now, exchanger: exchanger.into() });
    }

    fn learn_alias(&mut self, record: &DnsRecord, target: &str, now: Timestamp) {
        let Some(known) = self.exchangers.get(&*fold(&record.name)) else { return };
        let target = fold(target);
        if self.exchangers.get(&*target).is_none() {
            let alias = Exchanger { learnt: now, domains: known.domains.clone(), implicit: known.implicit };
            self.exchangers.insert((&*target).into(), alias);
        }
    }
}

/// Whether an answer is about exchangers: to a question for them, or to one for all records that brought some along.
pub fn tells_exchangers(message: &DnsMessage) -> bool {
    message.queries.iter().any(|query| query.qtype == QTYPE_MX)
        || message.answers.iter().any(|record| matches!(record.data, DnsData::Mx { .. }))
}

/// Whether an answer of then still explains a connection of now.
fn is_fresh(then: Timestamp, now: Timestamp) -> bool {
    apart(then, now) <= limits::CHAIN_AGE
}

/// A name as it is compared: lower case (RFC 4343), without the final dot; the root is empty.
fn fold(name: &str) -> Cow<'_, str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Cow::Owned(name.to_ascii_lowercase());
    }
    Cow::Borrowed(name)
}

/// RCODE 0 (RFC 1035, section 4.1.1).
const NOERROR: u8 = 0;
/// CNAME (RFC 1035, section 3.3.1).
const TYPE_CNAME: u16 = 5;

#[cfg(test)]
mod tests {
    use crate::model::event::DnsQuestion;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_parts(1_067_601_600 + seconds, 0)
    }

    fn answer(name: &str, qtype: u16, answers: Vec<(&str, DnsData)>, additionals: Vec<(&str, DnsData)>) -> DnsMessage {
        let records = |list: Vec<(&str, DnsData)>| {
            let record = |(name, data): (&str, DnsData)| {
                let rtype = match data {
                    DnsData::A(_) => 1,
                    DnsData::Aaaa(_) => 28,
                    DnsData::Name(_) => TYPE_CNAME,
                    _ => QTYPE_MX,
                };
                DnsRecord { name: name.into(), rtype, ttl: 300, data }
            };
            list.into_iter().map(record).collect::<Vec<_>>()
        };
        DnsMessage {
            flags: 0x8180,
            queries: smallvec::smallvec![DnsQuestion { name: name.into(), qtype }],
            answers: records(answers).into(),
            additionals: records(additionals),
            ..DnsMessage::default()
        }
    }

    fn mx(exchange: &str) -> DnsData {
        DnsData::Mx { preference: 10, exchange: exchange.into() }
    }

    fn a(last: u8) -> DnsData {
        DnsData::A([203, 0, 113, last].into())
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([203, 0, 113, last])
    }

    fn domain(link: Option<Link>) -> Option<String> {
        link.map(|link| link.domain.to_string())
    }

    #[test]
    fn joins_question_answer_address_and_connection() {
        let mut chain = Chain::default();
        chain.answer(&answer("Example.NET", 15, vec![("example.net", mx("MX1.example.net."))], vec![]), at(0));
        assert_eq!(chain.connect(ip(1), at(1)), None, "no address yet");
        chain.answer(&answer("mx1.example.net", 1, vec![("mx1.example.net", a(1))], vec![]), at(1));
        let link = chain.connect(ip(1), at(2)).unwrap();
        assert_eq!((&*link.domain, &*link.exchanger, link.implicit), ("example.net", "mx1.example.net", false));
        assert_eq!(chain.connect(ip(2), at(2)), None, "another address");
        assert_eq!(chain.connect(ip(1), at(4_000)), None, "an hour later the answer explains nothing");
    }

    #[test]
    fn takes_exchangers_from_an_answer_to_any() {
        let mut chain = Chain::default();
        let all = vec![("example.net", a(1)), ("example.net", mx("mx.example.net"))];
        chain.answer(&answer("example.net", 255, all, vec![("mx.example.net", a(2))]), at(0));
        assert_eq!(domain(chain.connect(ip(2), at(0))).unwrap(), "example.net");
        assert_eq!(
            chain.connect(ip(1), at(0)),
            None,
            "where there is an MX record the domain's own address is not used"
        );
    }

    #[test]
    fn takes_addresses_from_the_additional_section() {
        let mut chain = Chain::default();
        let glue = vec![("mx.example.net", a(7)), ("ns.example.net", a(8))];
        chain.answer(&answer("example.net", 15, vec![("example.net", mx("mx.example.net"))], glue), at(0));
        assert_eq!(domain(chain.connect(ip(7), at(0))).unwrap(), "example.net");
        assert_eq!(chain.connect(ip(8), at(0)), None, "a name server's glue is no exchanger");
    }

    #[test]
    fn follows_aliases_in_one_answer_or_by_another_question() {
        let mut chain = Chain::default();
        chain.answer(&answer("example.net", 15, vec![("example.net", mx("mail.example.net"))], vec![]), at(0));
        let aliased = vec![("mail.example.net", DnsData::Name("farm.example.org".into())), ("farm.example.org", a(3))];
        chain.answer(&answer("mail.example.net", 1, aliased, vec![]), at(0));
        assert_eq!(domain(chain.connect(ip(3), at(0))).unwrap(), "example.net");
        chain.answer(&answer("farm.example.org", 1, vec![("farm.example.org", a(4))], vec![]), at(0));
        assert_eq!(domain(chain.connect(ip(4), at(0))).unwrap(), "example.net");
    }

    #[test]
    fn null_mx_has_no_exchanger_and_no_mx_makes_the_domain_one() {
        let mut chain = Chain::default();
        chain.answer(&answer("null.example", 15, vec![("null.example", mx("."))], vec![]), at(0));
        chain.answer(&answer("null.example", 1, vec![("null.example", a(1))], vec![]), at(0));
        assert_eq!(chain.connect(ip(1), at(0)), None, "RFC 7505");

        chain.answer(&answer("plain.example", 15, vec![], vec![]), at(0));
        chain.answer(&answer("plain.example", 1, vec![("plain.example", a(2))], vec![]), at(0));
        assert!(chain.connect(ip(2), at(0)).unwrap().implicit, "RFC 5321, section 5.1");

        let mut cut = answer("cut.example", 15, vec![], vec![]);
        cut.flags |= 0x0200;
        let mut missing = answer("missing.example", 15, vec![], vec![]);
        missing.flags |= 3;
        for (message, name, last) in [(cut, "cut.example", 3), (missing, "missing.example", 4)] {
            chain.answer(&message, at(0));
            chain.answer(&answer(name, 1, vec![(name, a(last))], vec![]), at(0));
            assert_eq!(chain.connect(ip(last), at(0)), None, "{name}");
        }
    }

    #[test]
    fn domains_behind_one_exchanger_take_a_connection_each() {
        let mut chain = Chain::default();
        for name in ["one.example", "two.example", "three.example"] {
            let glue = vec![("mx.provider.example", a(9))];
            chain.answer(&answer(name, 15, vec![(name, mx("mx.provider.example"))], glue), at(0));
        }
        let order: Vec<_> = (0..4).filter_map(|_| domain(chain.connect(ip(9), at(1)))).collect();
        assert_eq!(order, ["one.example", "two.example", "three.example", "three.example"]);
    }

    #[test]
    fn stays_within_its_bounds() {
        let mut chain = Chain::default();
        for number in 0..5_000 {
            let (name, exchanger) = (format!("d{number}.example"), format!("mx{number}.example"));
            let address = DnsData::A((0x0b00_0000 + number).into());
            let glue = vec![(&*exchanger, address)];
            chain.answer(&answer(&name, 15, vec![(&name, mx(&exchanger))], glue), at(0));
        }
        let held = (chain.exchangers.len(), chain.addresses.len());
        assert_eq!(held, (limits::CHAIN_ENTRIES, limits::CHAIN_ENTRIES));
        chain.shorten(3);
        assert_eq!((chain.exchangers.len(), chain.addresses.len()), (3, 3));
    }

    #[test]
    fn an_exchanger_is_shared_by_the_eight_domains_asked_for_last() {
        for (asked, known) in [(8, 8), (9, 8)] {
            let mut chain = Chain::default();
            for number in 1..=asked {
                let name = format!("d{number}.example");
                let glue = vec![("mx.provider.example", a(9))];
                chain.answer(&answer(&name, 15, vec![(&name, mx("mx.provider.example"))], glue), at(0));
            }
            let first = domain(chain.connect(ip(9), at(1))).unwrap();
            assert_eq!(first, format!("d{}.example", asked - known + 1));
        }
    }

    #[test]
    fn an_exchanger_learnt_anew_after_an_hour_stands_for_the_new_domain_alone() {
        for (pause, first) in [(3_600, "old.example"), (3_601, "new.example")] {
            let mut chain = Chain::default();
            for (name, second) in [("old.example", 0), ("new.example", pause)] {
                let glue = vec![("mx.provider.example", a(9))];
                chain.answer(&answer(name, 15, vec![(name, mx("mx.provider.example"))], glue), at(second));
            }
            assert_eq!(domain(chain.connect(ip(9), at(pause))).unwrap(), first);
        }
    }

    #[test]
    fn what_it_remembers_counts_and_what_it_forgot_does_not() {
        let mut chain = Chain::default();
        assert_eq!(chain.entries(), 0);
        for number in 1..=9 {
            let (name, exchanger) = (format!("d{number}.example"), format!("mx{number}.example"));
            let glue = vec![(&*exchanger, a(number))];
            chain.answer(&answer(&name, 15, vec![(&name, mx(&exchanger))], glue), at(0));
        }
        assert_eq!(chain.entries(), 2 * (9 + 1), "nine exchangers, nine addresses, and a table for each");
        chain.shorten(4);
        assert_eq!(chain.entries(), 2 * (4 + 1));
    }

    #[test]
    fn a_name_server_of_an_exchanger_is_no_alias_of_it() {
        for (rtype, expected) in [(TYPE_CNAME, Some("example.net".to_owned())), (2, None)] {
            let mut chain = Chain::default();
            chain.answer(&answer("example.net", 15, vec![("example.net", mx("mx.example.net"))], vec![]), at(0));
            let other = vec![("mx.example.net", DnsData::Name("other.example.org".into()))];
            let mut named = answer("mx.example.net", 255, other, vec![]);
            named.answers[0].rtype = rtype;
            chain.answer(&named, at(0));
            chain.answer(&answer("other.example.org", 1, vec![("other.example.org", a(3))], vec![]), at(0));
            assert_eq!(domain(chain.connect(ip(3), at(0))), expected, "type {rtype}");
        }
    }
}
