//! What is counted adds up.

use super::*;
use crate::model::event::Layer;
use crate::model::stats::FlowStats;
use mailsnare_lab::bulk;
use mailsnare_lab::mail::sha256;
use mailsnare_lab::samples;
use mailsnare_lab::smtp::Security;
use mailsnare_lab::tcp::Faults;
use mailsnare_lab::tls::Era;
use std::collections::BTreeMap;

/// Bytes told in events, and bytes of packets, by flow.
fn told_and_total(told: &Told) -> BTreeMap<u64, (u64, u64)> {
    let mut flows = BTreeMap::<u64, (u64, u64)>::new();
    for event in &told.events {
        let Some(flow) = event.flow.as_ref() else { continue };
        match &event.kind {
            EventKind::Smtp(smtp) => flows.entry(flow.id()).or_default().0 += smtp.wire_bytes,
            EventKind::FlowEnd(end) => {
                let sums = flows.entry(flow.id()).or_default();
                sums.0 += end.wire_bytes;
                assert_eq!(sums.1, 0, "a flow ends once");
                sums.1 = end.bytes.iter().sum();
            }
            _ => {}
        }
    }
    flows
}

#[test]
fn bytes_told_of_a_flow_add_up_to_all_it_had() {
    let three = || session(vec![letter(), letter(), letter()]);
    let faults = Faults { lost: 40, lost_before: 20, reordered: 40, duplicated: 40, unseen: 20 };
    for (name, session, faults) in [
        ("one letter", session(vec![letter()]), Faults::default()),
        ("three letters", three(), Faults::default()),
        ("over a bad network", three(), faults),
        ("within TLS", Session { security: Security::StartTls(Era::Tls13), ..three() }, Faults::default()),
        ("all TLS", Session { security: Security::Implicit(Era::Tls13), ..three() }, faults),
    ] {
        for seed in 1..20 {
            let plan = Conversation { faults, ..conversation(start(), 1_025, 25, seed) };
            let frames = plan.play(&script(&session)).packets;
            let on_the_wire: u64 = frames.iter().map(|frame| wire::ip_length(&frame.data)).sum();
            let flows = told_and_total(&sense(frames));
            assert_eq!(
                flows.values().copied().collect::<Vec<_>>(),
                [(on_the_wire, on_the_wire)],
                "{name}, seed {seed}"
            );
        }
    }
}

#[test]
fn every_flow_of_the_samples_is_told_to_its_last_byte() {
    for recipe in samples::ALL {
        let sample = recipe.make();
        let told = sense(sample.packets);
        let flows = told_and_total(&told);
        assert!(flows.values().all(|(told, total)| told == total), "{}", recipe.name);
        let sessions = &sample.truth.sessions;
        let sent: u64 = sessions.iter().map(|session| session.ip_bytes).sum();
        assert_eq!(flows.values().map(|(_, total)| total).sum::<u64>(), sent, "{}", recipe.name);
        assert_eq!(flows.len(), sessions.len(), "{}, those that nobody answered too", recipe.name);
    }
}

#[test]
fn every_message_of_the_samples_is_byte_for_byte_what_was_sent() {
    for recipe in samples::ALL {
        let sample = recipe.make();
        let sent = sample.truth.transactions.iter().filter_map(|sent| {
            let place = (sent.src.clone(), sent.sport, sent.dst.clone(), sent.dport, sent.tx as u32);
            Some((place, sent.message.as_ref()?.sha256.clone()))
        });
        let sent: BTreeMap<_, _> = sent.collect();
        let told = sense(sample.packets);
        let told = told.events.iter().filter_map(|event| {
            let (EventKind::Smtp(smtp), Some(flow)) = (&event.kind, &event.flow) else { return None };
            let message = smtp.message.as_ref().filter(|message| !message.truncated)?;
            let ends = [flow.client, flow.server].map(|end| (end.ip().to_string(), end.port()));
            let [(src, sport), (dst, dport)] = ends;
            Some(((src, sport, dst, dport, smtp.tx_id), sha256(&message.bytes)))
        });
        assert_eq!(told.collect::<BTreeMap<_, _>>(), sent, "{}", recipe.name);
    }
}

#[test]
fn time_is_told_each_second_with_all_counters() {
    let frames: Vec<_> = (0..95).map(|n| time_passes(start() + n * SECOND / 10)).collect();
    let told = sense(frames);
    let ticks = told.events.iter().filter_map(|event| match &event.kind {
        EventKind::Tick(stats) => Some((event.time.as_nanos() - start(), stats.capture.packets)),
        _ => None,
    });
    // The first packet's, one for each of nine seconds, and the last of all. A tick counts the packet that brings it.
    let mut expected: Vec<_> = (0..10).map(|n| (n * SECOND, n as u64 * 10 + 1)).collect();
    expected.push((94 * SECOND / 10, 95));
    assert_eq!(ticks.collect::<Vec<_>>(), expected);
}

#[test]
fn events_are_numbered_without_gaps_and_name_their_packet() {
    let told = sense([mail(start(), 1_025, 25, 1), mail(start() + 1_000, 1_026, 25, 2)].concat());
    assert!(told.events.iter().map(|event| event.seq).eq(0..told.events.len() as u64));
    let packets = told.stats.capture.packets;
    assert!(told.events.iter().all(|event| event.packet <= packets));
    let smtp = told.events.iter().find(|event| matches!(event.kind, EventKind::Smtp(_))).unwrap();
    assert!(smtp.packet > 0, "the reply to the end of data completes it");
}

#[test]
fn counters_of_the_samples_add_up() {
    for recipe in samples::ALL {
        let sample = recipe.make();
        let frames = sample.packets.len() as u64;
        let bytes: u64 = sample.packets.iter().map(|packet| packet.data.len() as u64).sum();
        let told = sense(sample.packets);
        let SensorStats { capture, decode, flow, smtp, dns } = &told.stats;
        assert_eq!((capture.packets, capture.bytes, capture.cut), (frames, bytes, 0), "{}", recipe.name);
        assert_eq!(decode.ipv4 + decode.ipv6, frames, "{}", recipe.name);
        assert_eq!(decode.tcp + decode.udp + decode.other, frames, "{}", recipe.name);
        assert_eq!(flow.tcp_opened + flow.udp_opened, flow.ended.iter().sum::<u64>(), "{}", recipe.name);
        assert_eq!(
            (flow.active, flow.streams, flow.held_bytes, flow.tail_bytes, smtp.held_bytes),
            (0, 0, 0, 0, 0),
            "{}",
            recipe.name
        );
        assert_eq!((flow.gaps, flow.invalid_segments, flow.streams_refused), (0, 0, 0), "{}", recipe.name);
        assert_eq!(smtp.transactions, told.mails().iter().filter(|mail| mail.envelope.is_some()).count() as u64);
        assert_eq!(smtp.transactions, sample.truth.transactions.len() as u64, "{}", recipe.name);
        let tls = sample.truth.sessions.iter().filter(|session| session.tls != "none" && session.connect == "answered");
        assert_eq!(smtp.tls_sessions, tls.count() as u64, "{}", recipe.name);
        let questions = sample.truth.mx_questions.len() + sample.truth.other_questions.len();
        assert_eq!((dns.queries, dns.responses, dns.malformed), (questions as u64, questions as u64, 0));
        assert_eq!(dns.mx_queries, sample.truth.mx_questions.len() as u64, "{}", recipe.name);
    }
}

#[test]
fn losses_are_counted_as_gaps_and_told() {
    let body = [b"Subject: x\r\n\r\n".as_slice(), &b"0123456789\r\n".repeat(2_000)].concat();
    let big = Transaction { message: body, ..letter() };
    let mut frames = conversation(start(), 1_025, 25, 1).play(&script(&session(vec![big]))).packets;
    let lost = frames.iter().position(|frame| payload(frame).len() == 1_460).unwrap() + 4;
    assert_eq!(payload(&frames[lost]).len(), 1_460);
    frames.remove(lost);
    let told = sense(frames);
    let message = told.mails()[0].message.as_ref().unwrap();
    assert_eq!((message.gaps, message.truncated), (1, true));
    assert_eq!((told.stats.flow.gaps, told.stats.flow.gap_bytes), (1, 1_460));
}

#[test]
fn flow_records_are_told_of_every_flow_on_request() {
    let web = conversation(start(), 1_040, 80, 3).play(&[
        Step::Client(b"GET /\r\n".to_vec()),
        Step::ClientFin,
        Step::ServerFin,
    ]);
    let mut questions: Vec<Frame> = Vec::new();
    bulk::dns(&mut questions, 1, 1).unwrap();
    questions.iter_mut().for_each(|frame| frame.time = start());
    let frames = [mail(start(), 1_025, 25, 1), web.packets, questions, vec![time_passes(start() + SECOND)]].concat();
    let settings = SensorSettings { flow_records: true, ..SensorSettings::default() };
    let told = sense_with(settings, frames.clone());
    let mut protocols: Vec<_> = told.flow_ends().iter().map(|end| end.app_proto).collect();
    protocols.sort_unstable();
    assert_eq!(protocols, ["dns", "failed", "failed", "smtp"]);
    let packets: u64 = told.flow_ends().iter().flat_map(|end| end.packets).sum();
    assert_eq!(packets, frames.len() as u64);
    assert_eq!(told.stats.flow.ended.len(), FlowStats::END_REASONS.len());
}

#[test]
fn a_differing_second_copy_is_an_anomaly_and_the_first_one_counts() {
    let frames = mail(start(), 1_025, 25, 1);
    let at = frames.iter().position(|frame| payload(frame).starts_with(b"RCPT")).unwrap();
    let hand = Hand {
        from_client: true,
        ports: [1_025, 25],
        seq: seq(&frames[at]),
        ack: u32::from_be_bytes(frames[at].data[42..46].try_into().unwrap()),
        flags: 24,
        payload: b"RCPT TO:<x@birch.example>\r\n",
    };
    let mut all = frames.clone();
    all.insert(at + 1, hand.at(frames[at].time + 1));
    let told = sense_as_is(SensorSettings::default(), &all);
    assert_is_the_letter(told.mails()[0]);
    assert_eq!((told.anomalies(), told.stats.flow.overlap_differs), (vec!["tcp-overlap-differs"], 1));
    let layers = told.pick(|kind| if let EventKind::Anomaly(anomaly) = kind { Some(anomaly.layer) } else { None });
    assert_eq!(layers, [Layer::Stream]);
}
