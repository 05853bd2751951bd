//! Who gives way, and in which order.

use proptest::prelude::*;

use super::*;
use crate::detect::files::Sightings;
use crate::detect::host::Load;
use crate::detect::verdict::Case;
use crate::detect::{Detectors, Scene, Signals};
use crate::model::alert::Verdict;
use crate::model::event::{DnsMessage, DnsQuestion, EventKind, QTYPE_MX};
use crate::model::mail::Findings;
use crate::model::net::{Direction, Flow, FlowNames, Side, Transport, Vlans};
use crate::model::rulebook::NoRules;
use crate::model::settings::DetectSettings;
use crate::model::time::Timestamp;

fn addr(number: u32) -> IpAddr {
    IpAddr::from((0x0a00_0000 + number).to_be_bytes())
}

fn act(table: &mut HostTable, number: u32, verdict: Verdict) -> Vec<IpAddr> {
    let place = table.open(addr(number), &[]);
    if verdict != Verdict::Clean {
        table.host_mut(place).unwrap().case = Some(Box::new(Case::with_verdict(verdict)));
    }
    let mut gone = Vec::new();
    table.settle(place, &mut gone);
    gone.iter().map(|host| host.facts.addr).collect()
}

#[test]
fn gives_up_the_clean_and_oldest_first_and_the_infected_last() {
    let mut table = HostTable::new(3, 100);
    assert!(act(&mut table, 1, Verdict::Infected).is_empty());
    assert!(act(&mut table, 2, Verdict::Suspicious).is_empty());
    assert!(act(&mut table, 3, Verdict::Clean).is_empty());
    assert_eq!(act(&mut table, 4, Verdict::Clean), [addr(3)]);
    assert_eq!(act(&mut table, 5, Verdict::Suspicious), [addr(4)]);
    assert_eq!(act(&mut table, 6, Verdict::Infected), [addr(2)]);
    assert_eq!(act(&mut table, 7, Verdict::Infected), [addr(5)]);
    assert_eq!(act(&mut table, 8, Verdict::Infected), [addr(1)]);
    assert_eq!((table.len(), table.evicted()), (3, 5));
}

#[test]
fn activity_keeps_a_host() {
    let mut table = HostTable::new(2, 100);
    act(&mut table, 1, Verdict::Clean);
    act(&mut table, 2, Verdict::Clean);
    act(&mut table, 1, Verdict::Clean);
    assert_eq!(act(&mut table, 3, Verdict::Clean), [addr(2)]);
}

#[test]
fn one_host_of_many_addresses_takes_one_place_and_goes_as_one() {
    let group = vec![addr(1), addr(2), "fd00::1".parse().unwrap()];
    let mut table = HostTable::new(2, 100).with_groups(std::slice::from_ref(&group));
    let place = table.open(group[2], &[]);
    assert!(group.iter().all(|address| table.find(*address) == Some(place)));
    table.part(addr(1));
    assert_eq!(table.find(addr(1)), Some(place), "what is declared stays");
    table.alias(place, addr(9), &[]);
    table.settle(place, &mut Vec::new());
    assert_eq!((table.len(), table.find(addr(9))), (1, Some(place)));
    table.part(addr(9));
    assert_eq!(table.find(addr(9)), None);
    act(&mut table, 5, Verdict::Clean);
    assert_eq!(act(&mut table, 6, Verdict::Clean), [group[2]]);
    assert!(group.iter().all(|address| table.find(*address).is_none()));
    assert_eq!(table.len(), 2);
}

/// Lists go before hosts, and where too much is remembered, hosts that remember nothing do not go at all.
#[test]
fn what_the_infected_remember_is_cut_before_anyone_goes() {
    let question = |domain: u32| {
        let queries = smallvec::smallvec![DnsQuestion { name: format!("d{domain}.example").into(), qtype: QTYPE_MX }];
        EventKind::Dns(Box::new(DnsMessage { queries, ..DnsMessage::default() }))
    };
    let flow = Flow {
        client: "10.0.0.1:1024".parse().unwrap(),
        server: "203.0.113.53:53".parse().unwrap(),
        transport: Transport::Udp,
        vlans: Vlans::default(),
        started: Timestamp::default(),
        midstream: false,
        names: FlowNames::default(),
    };
    let detectors = Detectors::new(&DetectSettings::default());
    let ask = |table: &mut HostTable, number: u32, verdict: Verdict, domains: std::ops::Range<u32>| {
        let place = table.open(addr(number), &[]);
        let host = table.host_mut(place).unwrap();
        for domain in domains {
            let scene = Scene {
                time: Timestamp::default(),
                kind: &question(domain),
                flow: &flow,
                findings: &Findings::default(),
                peer: flow.server.ip(),
                part: Side::Client,
                direction: Direction::Outbound,
                verdict,
                load: Load::default(),
                hits: &[],
                rules: &NoRules,
                sightings: &Sightings::new(1),
                captured: 0,
            };
            detectors.see(&host.facts, &mut host.states, &scene, &mut Signals::default());
        }
        act(table, number, verdict)
    };
    let mut table = HostTable::new(100, 490);
    assert!(act(&mut table, 1, Verdict::Clean).is_empty(), "it remembers nothing");
    assert!(ask(&mut table, 2, Verdict::Clean, 0..20).is_empty());
    assert!(ask(&mut table, 3, Verdict::Infected, 0..200).is_empty());
    assert_eq!(table.shortened(), 0);
    let before = table.entries();
    assert!(ask(&mut table, 4, Verdict::Infected, 0..200).is_empty(), "the other infected host gave way");
    assert_eq!(table.shortened(), 1);
    assert!(table.entries() < before + 50, "{} after {before}", table.entries());
    // One that is only suspected keeps its lists longer than a quiet host its place, but no one goes for nothing.
    assert_eq!(ask(&mut table, 5, Verdict::Suspicious, 0..200), [addr(2)]);
    assert!(table.find(addr(1)).is_some() && table.entries() <= 490);
    assert_eq!(table.evicted(), 1);
}

proptest! {
    /// Against a list that is searched for the least valuable.
    #[test]
    fn behaves_as_a_sorted_list_would(acts in prop::collection::vec((0_u32..20, 0_usize..3), 1..300)) {
        let mut table = HostTable::new(6, 100);
        let mut list: Vec<(IpAddr, Verdict)> = Vec::new();
        for (number, class) in acts {
            let verdict = Verdict::ALL[class];
            let known = list.iter().position(|(known, _)| *known == addr(number)).map(|at| list.remove(at).1);
            list.push((addr(number), if verdict == Verdict::Clean { known.unwrap_or_default() } else { verdict }));
            let mut expected = Vec::new();
            if list.len() > 6 {
                let others = &list[..list.len() - 1];
                let victim = (0..others.len()).min_by_key(|at| (others[*at].1, *at)).unwrap();
                expected.push(list.remove(victim).0);
            }
            prop_assert_eq!(act(&mut table, number, verdict), expected);
            prop_assert_eq!(table.len(), list.len());
        }
    }
}

#[test]
fn as_many_hosts_and_entries_as_were_asked_for_are_kept() {
    let mut table = HostTable::new(3, 100);
    assert!(table.is_empty());
    for number in 1..=3 {
        assert!(act(&mut table, number, Verdict::Clean).is_empty());
    }
    assert!(!table.is_empty());
    // A case takes an entry at the least, and without grounds no more.
    let mut full = HostTable::new(9, 3);
    for number in 1..=3 {
        assert!(act(&mut full, number, Verdict::Suspicious).is_empty(), "{}", full.entries());
    }
    assert_eq!((full.entries(), act(&mut full, 4, Verdict::Suspicious)), (3, vec![addr(1)]));
}

#[test]
fn among_hosts_of_one_worth_the_oldest_goes_whatever_it_remembers() {
    let mut table = HostTable::new(9, 9_999);
    let file = |table: &mut HostTable, number: u32, entries: usize| {
        let place = table.open(addr(number), &[]);
        table.unlink(place.0);
        table.push(place.0, list(Worth::Quiet, Band::of(entries)), entries);
    };
    for (number, entries) in [(1, limits::HOST_LONG + 1), (2, 0), (3, limits::HOST_SHORT), (4, limits::HOST_LONG)] {
        file(&mut table, number, entries);
    }
    let mut gone = Vec::new();
    while table.give_up(Worth::Quiet, Band::Empty, NONE, &mut gone) {}
    let gone: Vec<IpAddr> = gone.iter().map(|host| host.facts.addr).collect();
    assert_eq!(gone, [1, 2, 3, 4].map(addr));
}

#[test]
fn memory_is_that_of_its_hosts_and_of_what_they_remember() {
    let mut table = HostTable::new(1_000, 1_000);
    assert_eq!(table.memory(), 0);
    for number in 0..100 {
        act(&mut table, number, Verdict::Clean);
    }
    let (least, hosts) = (100 * (size_of::<Slot>() + size_of::<Host>()), table.memory());
    assert!((least..2 * least).contains(&hosts), "{hosts} for {least} and an index");
    act(&mut table, 0, Verdict::Infected);
    assert_eq!(table.memory() - hosts, limits::HOST_ENTRY_COST, "a case without grounds is one entry");
    // Places that are free take what their numbers take.
    let place = table.find(addr(1)).unwrap();
    let (before, list) = (table.memory(), table.free.capacity());
    table.take(place);
    assert_eq!(before - table.memory(), size_of::<Host>() - 4 * (table.free.capacity() - list));
}
