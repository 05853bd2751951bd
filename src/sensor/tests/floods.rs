//! Connection attempts and echo requests: what is told of them and what is not.

use mailsnare_lab::clock::MILLI;

use super::*;
use crate::flow::flags::{ACK, SYN};
use crate::model::event::Flood;
use crate::model::limits;

impl Told {
    fn floods(&self) -> Vec<(&Flow, &Flood)> {
        let floods = self.events.iter().filter_map(|event| match &event.kind {
            EventKind::Flood(flood) => Some((event.flow.as_deref().unwrap(), &**flood)),
            _ => None,
        });
        floods.collect()
    }
}

fn syn(number: u32, port: u16, flags: u8) -> Hand<'static> {
    Hand { from_client: true, ports: [2_000 + number as u16, port], seq: number, ack: 0, flags, payload: &[] }
}

fn echo(time: Nanos, reply: bool) -> Frame {
    let [client, server] = ends(0, 0);
    let (from, to) = if reply { (server, client) } else { (client, server) };
    let link = Link { src: from.mac, dst: to.mac, vlan: None };
    let ip = Ip { src: from.ip, dst: to.ip, ttl: 64, id: 7, df: false };
    let mut data = Vec::new();
    wire::echo(&mut data, &link, &ip, reply, 1, 1, b"abcdefgh");
    Frame { time, data }
}

#[test]
fn a_flood_is_told_in_figures_with_who_and_to_whom() {
    let mut frames = Vec::new();
    for number in 0..300 {
        let at = start() + i64::from(number) * 10 * MILLI;
        frames.push(if number % 3 == 0 { echo(at, false) } else { syn(number, 80, SYN).at(at) });
    }
    frames.push(time_passes(start() + 30 * SECOND));
    let told = sense(frames);
    let floods = told.floods();
    for (flow, flood) in &floods {
        assert_eq!((flow.client.ip(), flow.server.ip()), (CLIENT.into(), SERVER.into()));
        assert_eq!(flood.port, Some(80));
    }
    assert_eq!(floods[0].1.syns + floods[0].1.echoes, u64::from(limits::FLOOD_PACKETS));
    let sum = floods.iter().fold((0, 0), |sum, (_, flood)| (sum.0 + flood.syns, sum.1 + flood.echoes));
    assert_eq!(sum, (200, 100));
    assert_eq!(floods.len(), 2, "no event for each packet");
}

#[test]
fn a_mirror_that_sends_each_packet_twice_makes_no_flood_of_half_a_one() {
    for copied in [false, true] {
        // A SYN with another number each time, from ports that come again; or one and the same, sent again after a while.
        for numbers in [60, 1] {
            let frames = (0..60).flat_map(|n| {
                let at = start() + i64::from(n) * 100 * MILLI;
                let frame = syn(n % numbers, 80, SYN).at(at);
                let copy = Frame { time: at + 20_000, ..frame.clone() };
                if copied { vec![frame, copy] } else { vec![frame] }
            });
            let told = sense(frames.collect());
            assert_eq!(told.floods(), [], "{copied} {numbers}");
        }
    }
    // Sent again and again at once it is one all the same.
    let frames = (0..1_000).map(|n| syn(1, 80, SYN).at(start() + i64::from(n) * MILLI));
    let told = sense(frames.collect());
    assert!(told.floods().iter().map(|(_, flood)| flood.syns).sum::<u64>() >= 500);
}

#[test]
fn what_is_answered_carried_or_told_elsewhere_is_no_flood() {
    let mut frames = Vec::new();
    for number in 0..1_000 {
        let at = start() + i64::from(number) * MILLI;
        frames.push(echo(at, true));
        frames.push(syn(number, 25, SYN).at(at));
        frames.push(syn(number, 53, SYN).at(at));
        let answer = Hand { from_client: false, ..syn(number, 80, SYN | ACK) };
        frames.push(answer.at(at));
    }
    // A backup: one connection, a lot of data.
    let block = Step::Client(vec![0; 1_000_000]);
    frames.extend(conversation(start(), 1_025, 443, 1).play(&[block.clone(), block]).packets);
    assert_eq!(sense(frames).floods(), []);
}
