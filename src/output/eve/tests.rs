//! Lines against JSON written by hand after Suricata's manual ("EVE JSON Format"), not after our own output.

use std::net::IpAddr;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::model::alert::{Evidence, Figure, Moment, Severity, Verdict};
use crate::model::event::{
    Auth, ConnectOutcome, Dialect, DnsData, DnsQuestion, DnsRecord, EndReason, Envelope, Message, Outcome, Rejected,
    Reply, TlsFacts,
};
use crate::model::mail::{Email, FileKind};
use crate::model::net::{Flow, FlowNames, Side, Vlans};

#[test]
fn a_session_without_transaction_has_suricatas_common_fields_in_its_order() {
    let smtp = SmtpEvent { helo: Some("localhost".into()), ..SmtpEvent::default() };
    let line = only_line(&mut replay("smtp"), &event(EventKind::Smtp(Box::new(smtp))), None);
    assert_eq!(
        line,
        "{\"timestamp\":\"2003-10-31T12:00:05.001234+0000\",\"flow_id\":6084923951690342,\"pcap_cnt\":17,\
         \"event_type\":\"smtp\",\"vlan\":[100,7],\"src_ip\":\"10.20.1.17\",\"src_port\":1044,\
         \"dest_ip\":\"198.51.100.25\",\"dest_port\":25,\"proto\":\"TCP\",\"app_proto\":\"smtp\",\"tx_id\":0,\
         \"community_id\":\"1:kbhl5j24whlArsfiQE3onhvhRK4=\",\
         \"smtp\":{\"helo\":\"localhost\",\"tls\":false,\"outcome\":\"unknown\"},\
         \"pcap_filename\":\"worm.pcap\"}"
    );
}

#[test]
fn smtp_shows_envelope_dialogue_and_message() {
    let line = parse(&mut replay("smtp"), &event(EventKind::Smtp(Box::new(worm_mail()))), Some(&worm_findings()));
    assert_eq!(
        line["smtp"],
        json!({
            "helo": "localhost",
            "helo_fallback": true,
            "extensions": ["PIPELINING", "SIZE 10240000"],
            "mail_from": "<james@example.com>",
            "rcpt_to": ["<ann@example.com>"],
            "rcpt_rejected": [{"address": "<bob@example.com>", "code": 550, "text": "5.1.1 no such user"}],
            "rcpt_dropped": 3,
            "size_declared": 18_000,
            "body": "8BITMIME",
            "utf8": true,
            "reply": {"code": 250, "text": "2.0.0 queued"},
            "tls": true,
            "auth": {"mechanism": "PLAIN", "accepted": false},
            "xclient": {"addr": "192.0.2.1"},
            "dialect": ["no-space-after-colon", "helo-localhost"],
            "outcome": "accepted",
            "unseen": ["server"]
        })
    );
    assert_eq!(
        line["email"],
        json!({
            "status": "PARSE_DONE",
            "from": "James <james@example.com>",
            "to": ["ann@example.com"],
            "cc": ["\"Carl, C.\" <carl@example.com>"],
            "attachment": ["photos.zip"],
            "url": ["http://www.example.net/"],
            "message_id": "<1@example.com>",
            "subject": "Re[2]: our private photos",
            "x_mailer": "The Bat! (v1.62)",
            "date": "Fri, 31 Oct 2003 12:00:00 +0000",
            "body_md5": "000102030405060708090a0b0c0d0e0f",
            "subject_md5": "ffffffffffffffffffffffffffffffff",
            "size": 17_900,
            "truncated": false
        })
    );
}

#[test]
fn a_null_sender_is_a_pair_of_brackets() {
    let smtp = SmtpEvent { envelope: Some(Envelope::default()), ..SmtpEvent::default() };
    let line = parse(&mut replay("smtp"), &event(EventKind::Smtp(Box::new(smtp))), None);
    assert_eq!(line["smtp"]["mail_from"], "<>");
    assert_eq!(line["smtp"].get("rcpt_to"), None);
}

#[test]
fn a_sender_that_was_not_seen_is_not_the_null_sender() {
    let envelope = Envelope { mail_from_unseen: true, rcpt_to: vec!["a@b".into()], ..Envelope::default() };
    let smtp = SmtpEvent { envelope: Some(envelope), ..SmtpEvent::default() };
    let line = parse(&mut replay("smtp"), &event(EventKind::Smtp(Box::new(smtp))), None);
    assert_eq!((line["smtp"].get("mail_from"), &line["smtp"]["rcpt_to"]), (None, &json!(["<a@b>"])));
}

#[test]
fn a_handshake_has_the_names_of_suricatas_tls_object() {
    let facts = TlsFacts {
        version: Some("TLS 1.2".into()),
        sni: Some("mx.example".into()),
        client_alpns: vec!["smtp".into()],
        server_alpn: Some("smtp".into()),
        subject: Some("CN=mx.example".into()),
        issuer: Some("C=AT, CN=CA".into()),
        alt_names: vec!["mx.example".into()],
        fingerprint: Some([0xab; 20]),
    };
    let smtp = SmtpEvent { tls: true, tls_facts: Some(Box::new(facts)), ..SmtpEvent::default() };
    let line = parse(&mut replay("smtp"), &event(EventKind::Smtp(Box::new(smtp))), None);
    assert_eq!(
        line["smtp"]["tls_info"],
        json!({
            "subject": "CN=mx.example", "issuerdn": "C=AT, CN=CA", "subjectaltname": ["mx.example"],
            "fingerprint": (["ab"; 20].join(":")), "sni": "mx.example", "version": "TLS 1.2",
            "client_alpns": ["smtp"], "server_alpns": ["smtp"]
        })
    );
    let smtp = SmtpEvent { tls: true, tls_facts: Some(Box::default()), ..SmtpEvent::default() };
    let line = parse(&mut replay("smtp"), &event(EventKind::Smtp(Box::new(smtp))), None);
    assert_eq!(line["smtp"].get("tls_info"), None, "nothing was seen of it");
}

#[test]
fn a_message_that_was_not_inspected_still_shows_its_size() {
    let message = Message { size: 70_000_000, truncated: true, ..Message::default() };
    let smtp = SmtpEvent { message: Some(message), ..worm_mail() };
    let line = parse(&mut replay("smtp"), &event(EventKind::Smtp(Box::new(smtp))), None);
    assert_eq!(line["email"], json!({"status": "NONE", "size": 70_000_000, "truncated": true}));
}

#[test]
fn a_cut_message_is_no_finished_parse() {
    let email = Email { truncated: true, size: 9, ..Email::default() };
    let findings = Findings { email: Some(email), ..Findings::default() };
    let line = parse(&mut replay("smtp"), &event(EventKind::Smtp(Box::new(worm_mail()))), Some(&findings));
    assert_eq!(line["email"], json!({"status": "BODY_STARTED", "size": 9, "truncated": true}));
}

#[test]
fn fileinfo_is_one_line_a_file_and_says_where_it_sat() {
    let event = event(EventKind::Smtp(Box::new(worm_mail())));
    let lines = lines(&mut replay("fileinfo"), &event, Some(&worm_findings()), &[true]);
    let [zip, member] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(zip["event_type"], "fileinfo");
    assert_eq!((&zip["app_proto"], &zip["tx_id"]), (&json!("smtp"), &json!(2)));
    assert_eq!(zip.get("smtp").or(zip.get("email")), None);
    assert_eq!(
        zip["fileinfo"],
        json!({
            "filename": "photos.zip", "magic": "zip", "gaps": false, "state": "CLOSED",
            "md5": "11111111111111111111111111111111",
            "sha1": "2222222222222222222222222222222222222222",
            "sha256": "3333333333333333333333333333333333333333333333333333333333333333",
            "stored": true, "size": 12_958, "tx_id": 2, "content_type": "application/zip", "encrypted": false
        })
    );
    assert_eq!(
        member["fileinfo"],
        json!({
            "filename": "photos.jpg.exe", "magic": "pe", "gaps": true, "state": "TRUNCATED", "stored": false,
            "size": 12_832, "tx_id": 2, "container": ["photos.zip"], "packed_size": 12_800, "encrypted": true
        })
    );
}

#[test]
fn dns_has_suricatas_version_3_shape() {
    let line = parse(&mut replay("dns"), &event(EventKind::Dns(Box::new(mx_answer()))), None);
    assert_eq!(line["app_proto"], "dns");
    assert_eq!(
        line["dns"],
        json!({
            "version": 3, "type": "response", "id": 4660, "flags": "8583",
            "qr": true, "aa": true, "rd": true, "ra": true, "opcode": 0, "rcode": "NXDOMAIN",
            "queries": [{"rrname": "example.com", "rrtype": "MX"}],
            "answers": [
                {"rrname": "example.com", "rrtype": "MX", "ttl": 300, "rdata": "mx.example.com", "preference": 10},
                {"rrname": "example.com", "rrtype": "TYPE65280", "ttl": 1}
            ],
            "additionals": [
                {"rrname": "mx.example.com", "rrtype": "A", "ttl": 60, "rdata": "198.51.100.25"},
                {"rrname": "mx.example.com", "rrtype": "AAAA", "ttl": 60, "rdata": "2001:db8::25"}
            ]
        })
    );
}

#[test]
fn dns_mx_writes_only_questions_for_mx() {
    let mut renderer = replay("dns:mx");
    let mut address = mx_answer();
    address.queries[0].qtype = 1;
    assert_eq!(lines(&mut renderer, &event(EventKind::Dns(Box::new(address))), None, &[]), Vec::<Value>::new());
    let mx = parse(&mut renderer, &event(EventKind::Dns(Box::new(mx_answer()))), None);
    assert_eq!(mx["event_type"], "dns");
}

#[test]
fn an_alert_carries_its_cause() {
    let cause = event(EventKind::Smtp(Box::new(worm_mail())));
    let mut out = Vec::new();
    replay("alert").alert(&worm_alert(), Some((&cause, Some(&worm_findings()))), &mut out);
    let line: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(line["timestamp"], "2003-10-31T12:00:06.000000+0000");
    assert_eq!((&line["src_ip"], &line["dest_port"]), (&json!("10.20.1.17"), &json!(25)));
    assert_eq!((&line["tx_id"], &line["pcap_cnt"]), (&json!(2), &json!(17)));
    assert_eq!(line["smtp"]["rcpt_to"], json!(["<ann@example.com>"]));
    assert_eq!(line["email"]["subject"], "Re[2]: our private photos");
    assert_eq!(
        line["alert"],
        json!({
            "action": "allowed", "gid": 1, "signature_id": 9_000_001, "rev": 2,
            "signature": "Mimail.C mails itself", "category": "worm", "severity": 1,
            "metadata": {"severity": ["critical"], "host": ["10.20.1.17"]},
            "rule": "mimail-c",
            "evidence": [{
                "source": "mimail-c", "text": "attachment.name \"photos.zip\"",
                "figures": {"messages": 22, "rate": 0.5, "name": "photos.zip", "to": ["a", "b"]}
            }],
            "remediation": "Disconnect the host.",
            "reference": ["https://example.org/mimail-c"]
        })
    );
}

#[test]
fn an_alert_without_a_flow_names_its_host_as_source() {
    let mut out = Vec::new();
    replay("alert").alert(&worm_alert(), None, &mut out);
    let line: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(line["src_ip"], "10.20.1.17");
    assert_eq!(line.get("dest_ip").or(line.get("flow_id")).or(line.get("smtp")), None);
}

#[test]
fn an_incident_tells_the_case_of_its_host() {
    let at = |seconds: i64| Timestamp::from_parts(1_067_601_600 + seconds, 0);
    let incident = Incident {
        other_addresses: vec!["fd00::26".parse().unwrap()],
        time: at(60),
        id: 1,
        host: "10.20.1.17".parse().unwrap(),
        verdict: Verdict::Infected,
        score: 160.0,
        role: None,
        first_seen: at(5),
        last_seen: at(59),
        messages: 22,
        recipients: 22,
        mail_bytes: 440_000,
        mx_lookups: 21,
        share_of_link: 0.25,
        evidence: worm_alert().evidence,
        timeline: vec![Moment { time: at(5), text: "first MX lookup".into() }],
        closed: true,
    };
    let mut out = Vec::new();
    replay("incident").incident(&incident, &mut out);
    let line: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!((&line["event_type"], &line["src_ip"]), (&json!("incident"), &json!("10.20.1.17")));
    let expected = json!({
        "id": 1, "host": "10.20.1.17", "other_addresses": ["fd00::26"], "verdict": "infected", "score": 160.0,
        "first_seen": "2003-10-31T12:00:05.000000+0000", "last_seen": "2003-10-31T12:00:59.000000+0000",
        "messages": 22, "recipients": 22, "mail_bytes": 440_000, "mx_lookups": 21, "share_of_link": 0.25,
        "evidence": [{
            "source": "mimail-c", "text": "attachment.name \"photos.zip\"",
            "figures": {"messages": 22, "rate": 0.5, "name": "photos.zip", "to": ["a", "b"]}
        }],
        "timeline": [{"time": "2003-10-31T12:00:05.000000+0000", "text": "first MX lookup"}],
        "closed": true
    });
    assert_eq!(line["incident"], expected);
}

#[test]
fn a_flow_has_suricatas_shape() {
    let mut end = FlowEnd {
        packets: [6, 5],
        bytes: [700, 900],
        last: Timestamp::from_parts(1_067_601_607, 0),
        app_proto: "smtp",
        reason: EndReason::Finished,
        tcp_flags: [0x1b, 0x13],
        wire_bytes: 0,
    };
    let line = parse(&mut replay("flow"), &event(EventKind::FlowEnd(Box::new(end.clone()))), None);
    assert_eq!(line["app_proto"], "smtp");
    assert_eq!(
        line["flow"],
        json!({
            "pkts_toserver": 6, "pkts_toclient": 5, "bytes_toserver": 700, "bytes_toclient": 900,
            "start": "2003-10-31T12:00:04.000000+0000", "end": "2003-10-31T12:00:07.000000+0000", "age": 3,
            "state": "closed", "reason": "finished", "alerted": false
        })
    );
    assert_eq!(
        line["tcp"],
        json!({
            "tcp_flags": "1b", "tcp_flags_ts": "1b", "tcp_flags_tc": "13",
            "syn": true, "fin": true, "psh": true, "ack": true, "state": "closed"
        })
    );
    end.reason = EndReason::TimedOut;
    for (flags, state, tcp) in [
        ([0x02, 0x00], "new", "syn_sent"),
        ([0x02, 0x12], "new", "syn_recv"),
        ([0x12, 0x12], "established", "established"),
    ] {
        end.tcp_flags = flags;
        let line = parse(&mut replay("flow"), &event(EventKind::FlowEnd(Box::new(end.clone()))), None);
        assert_eq!((&line["flow"]["state"], &line["tcp"]["state"]), (&json!(state), &json!(tcp)));
    }
    let quiet = lines(
        &mut replay("alert,incident,smtp,fileinfo,dns:mx,anomaly,stats"),
        &event(EventKind::FlowEnd(Box::new(end))),
        None,
        &[],
    );
    assert_eq!(quiet, Vec::<Value>::new());
}

#[test]
fn an_anomaly_has_suricatas_type_and_our_name() {
    let anomaly = Anomaly {
        name: "tcp-overlap-differs",
        layer: Layer::Stream,
        side: Some(Side::Client),
        detail: "12 bytes at 4,000".into(),
    };
    let line = parse(&mut replay("anomaly"), &event(EventKind::Anomaly(anomaly)), None);
    assert_eq!(line.get("app_proto"), None);
    assert_eq!(
        line["anomaly"],
        json!({
            "type": "stream", "event": "tcp-overlap-differs", "layer": "stream", "side": "client",
            "detail": "12 bytes at 4,000"
        })
    );
}

#[test]
fn an_anomaly_within_a_message_belongs_to_its_transaction() {
    let anomaly = Anomaly { name: "archive-ratio", layer: Layer::Archive, side: None, detail: String::new() };
    let findings = Findings { anomalies: vec![anomaly], ..Findings::default() };
    let line = parse(&mut replay("anomaly"), &event(EventKind::Smtp(Box::new(worm_mail()))), Some(&findings));
    assert_eq!((&line["app_proto"], &line["tx_id"]), (&json!("smtp"), &json!(2)));
    assert_eq!(line["anomaly"], json!({"type": "applayer", "event": "archive-ratio", "layer": "archive"}));
}

#[test]
fn stats_come_once_an_interval_and_at_the_end() {
    let mut sensor = SensorStats::default();
    sensor.capture.packets = 1_000;
    sensor.capture.kernel_drops = 24;
    sensor.decode.ipv4 = 990;
    sensor.flow.gaps = 2;
    sensor.flow.ended[3] = 5;
    sensor.smtp.transactions = 7;
    let inspect = InspectStats { shed_queue: 3, ..InspectStats::default() };
    let mut renderer = Renderer::new("stats".parse().unwrap(), Origin::Live(vec!["eth0".into()]));
    let mut out = Vec::new();
    for (seconds, last) in [(0, false), (59, false), (60, false), (61, false), (62, true)] {
        let mut tick = event(EventKind::Tick(Box::default()));
        tick.time = Timestamp::from_parts(1_067_601_600 + seconds, 0);
        renderer.stats(&tick, &sensor, &inspect, last, &mut out);
    }
    let lines = parse_all(&out);
    assert_eq!(lines.iter().map(|line| line["stats"]["uptime"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 60, 62]);
    let line = &lines[0];
    assert_eq!((&line["event_type"], &line["in_iface"]), (&json!("stats"), &json!("eth0")));
    assert_eq!(line.get("src_ip").or(line.get("flow_id")), None);
    let stats = &line["stats"];
    assert_eq!((&stats["decoder"]["pkts"], &stats["decoder"]["ipv4"]), (&json!(1_000), &json!(990)));
    assert_eq!((&stats["capture"]["kernel_packets"], &stats["capture"]["kernel_drops"]), (&json!(1_024), &json!(24)));
    assert_eq!((&stats["tcp"]["reassembly_gap"], &stats["app_layer"]["tx"]["smtp"]), (&json!(2), &json!(7)));
    assert_eq!(
        (&stats["mailsnare"]["flow_ended"]["evicted"], &stats["mailsnare"]["inspect"]["shed_queue"]),
        (&json!(5), &json!(3))
    );
}

#[test]
fn live_lines_name_the_interface_and_no_file() {
    let mut renderer = Renderer::new("smtp".parse().unwrap(), Origin::Live(vec!["eth0".into(), "eth1".into()]));
    let mut event = event(EventKind::Smtp(Box::default()));
    event.source = 1;
    let line = parse(&mut renderer, &event, None);
    assert_eq!(line["in_iface"], "eth1");
    assert_eq!(line.get("pcap_cnt").or(line.get("pcap_filename")), None);
}

#[test]
fn a_time_out_has_no_packet_number() {
    let mut event = event(EventKind::Smtp(Box::default()));
    event.packet = 0;
    assert_eq!(parse(&mut replay("smtp"), &event, None).get("pcap_cnt"), None);
}

#[test]
fn events_that_are_for_the_detectors_have_no_line() {
    let mut renderer = replay("alert,incident,smtp,fileinfo,dns,dns:mx,anomaly,stats,flow");
    for kind in [
        EventKind::Greeting(Reply::default()),
        EventKind::Connect(ConnectOutcome::Refused),
        EventKind::Tick(Box::default()),
    ] {
        assert_eq!(lines(&mut renderer, &event(kind), None, &[]), Vec::<Value>::new());
    }
}

#[test]
fn figures_that_are_no_number_are_null() {
    let mut alert = worm_alert();
    alert.evidence[0].figures = vec![("share", Figure::Real(f64::NAN))];
    let mut out = Vec::new();
    replay("alert").alert(&alert, None, &mut out);
    assert_eq!(parse_all(&out)[0]["alert"]["evidence"][0]["figures"], json!({"share": null}));
}

proptest! {
    /// Whatever the wire said, a line is one line of JSON and gives back the very strings.
    #[test]
    fn hostile_strings_stay_within_their_line(helo in ".*", subject in "[\\x00-\\x{ff}]*", name in any::<String>()) {
        let smtp = SmtpEvent { helo: Some(helo.clone()), ..SmtpEvent::default() };
        let email = Email { subject: Some(subject.clone()), ..Email::default() };
        let file = FileFact { filename: name.clone(), ..FileFact::default() };
        let findings = Findings { email: Some(email), files: vec![file], ..Findings::default() };
        let event = event(EventKind::Smtp(Box::new(smtp)));
        let lines = lines(&mut replay("smtp,fileinfo"), &event, Some(&findings), &[]);
        prop_assert_eq!(lines.len(), 2);
        prop_assert_eq!(&lines[0]["smtp"]["helo"], &json!(helo));
        prop_assert_eq!(&lines[0]["email"]["subject"], &json!(subject));
        prop_assert_eq!(&lines[1]["fileinfo"]["filename"], &json!(name));
    }
}

fn replay(events: &str) -> Renderer {
    Renderer::new(events.parse().unwrap(), Origin::Replay(vec!["other.pcap".into(), "worm.pcap".into()]))
}

fn only_line(renderer: &mut Renderer, event: &Event, findings: Option<&Findings>) -> String {
    let mut out = Vec::new();
    renderer.event(event, findings, &[], &mut out);
    let text = String::from_utf8(out).unwrap();
    let (line, rest) = text.split_once('\n').expect("a line");
    assert_eq!(rest, "", "more than one line");
    line.to_owned()
}

fn parse(renderer: &mut Renderer, event: &Event, findings: Option<&Findings>) -> Value {
    serde_json::from_str(&only_line(renderer, event, findings)).unwrap()
}

fn lines(renderer: &mut Renderer, event: &Event, findings: Option<&Findings>, stored: &[bool]) -> Vec<Value> {
    let mut out = Vec::new();
    renderer.event(event, findings, stored, &mut out);
    parse_all(&out)
}

fn parse_all(out: &[u8]) -> Vec<Value> {
    assert!(out.is_empty() || out.ends_with(b"\n"));
    out.split_inclusive(|&byte| byte == b'\n').map(|line| serde_json::from_slice(line).unwrap()).collect()
}

fn event(kind: EventKind) -> Event {
    let mut vlans = Vlans::default();
    vlans.push(100);
    vlans.push(7);
    let flow = Flow {
        client: "10.20.1.17:1044".parse().unwrap(),
        server: "198.51.100.25:25".parse().unwrap(),
        transport: Transport::Tcp,
        vlans,
        started: Timestamp::from_parts(1_067_601_604, 0),
        midstream: false,
        names: FlowNames::default(),
    };
    Event {
        seq: 9,
        time: Timestamp::from_parts(1_067_601_605, 1_234_567),
        source: 0,
        file: 1,
        packet: 17,
        flow: Some(Arc::new(flow)),
        kind,
    }
}

fn worm_mail() -> SmtpEvent {
    let refusal = Reply { code: 550, text: "5.1.1 no such user".into() };
    SmtpEvent {
        tx_id: 2,
        helo: Some("localhost".into()),
        helo_fallback: true,
        extensions: ["PIPELINING".into(), "SIZE 10240000".into()].into(),
        envelope: Some(Envelope {
            mail_from: "james@example.com".into(),
            rcpt_to: vec!["ann@example.com".into()],
            rcpt_rejected: vec![Rejected { address: "bob@example.com".into(), reply: refusal }],
            rcpt_dropped: 3,
            size_declared: Some(18_000),
            body: Some("8BITMIME"),
            utf8: true,
            mail_from_unseen: false,
        }),
        reply: Some(Reply { code: 250, text: "2.0.0 queued".into() }),
        tls: true,
        forwarded: vec![("ADDR".into(), "192.0.2.1".into())],
        auth: Some(Auth { mechanism: "PLAIN".into(), accepted: Some(false) }),
        dialect: Dialect(Dialect::NO_SPACE_AFTER_COLON | Dialect::HELO_LOCALHOST),
        outcome: Outcome::Accepted,
        unseen: [false, true],
        ..SmtpEvent::default()
    }
}

fn worm_findings() -> Findings {
    let email = Email {
        from: Some("James <james@example.com>".into()),
        to: vec!["ann@example.com".into()],
        cc: vec!["\"Carl, C.\" <carl@example.com>".into()],
        subject: Some("Re[2]: our private photos".into()),
        message_id: Some("1@example.com".into()),
        date: Some("Fri, 31 Oct 2003 12:00:00 +0000".into()),
        x_mailer: Some("The Bat! (v1.62)".into()),
        urls: vec!["http://www.example.net/".into()],
        body_md5: Some([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]),
        subject_md5: Some([0xff; 16]),
        size: 17_900,
        ..Email::default()
    };
    let zip = FileFact {
        filename: "photos.zip".into(),
        size: 12_958,
        kind: FileKind("zip"),
        content_type: Some("application/zip".into()),
        md5: Some([0x11; 16]),
        sha1: Some([0x22; 20]),
        sha256: Some([0x33; 32]),
        ..FileFact::default()
    };
    let member = FileFact {
        filename: "photos.jpg.exe".into(),
        size: 12_832,
        packed_size: Some(12_800),
        kind: FileKind("pe"),
        truncated: true,
        gaps: true,
        encrypted: true,
        container: vec!["photos.zip".into()],
        ..FileFact::default()
    };
    Findings { email: Some(email), files: vec![zip, member], ..Findings::default() }
}

fn mx_answer() -> DnsMessage {
    let record = |name: &str, rtype, ttl, data| DnsRecord { name: name.into(), rtype, ttl, data };
    DnsMessage {
        id: 0x1234,
        flags: 0x8583,
        queries: smallvec::smallvec![DnsQuestion { name: "example.com".into(), qtype: QTYPE_MX }],
        answers: smallvec::smallvec![
            record("example.com", 15, 300, DnsData::Mx { preference: 10, exchange: "mx.example.com".into() }),
            record("example.com", 65_280, 1, DnsData::Opaque(4)),
        ],
        additionals: vec![
            record("mx.example.com", 1, 60, DnsData::A("198.51.100.25".parse().unwrap())),
            record("mx.example.com", 28, 60, DnsData::Aaaa("2001:db8::25".parse().unwrap())),
        ],
        over_tcp: false,
    }
}

fn worm_alert() -> Alert {
    let host: IpAddr = "10.20.1.17".parse().unwrap();
    Alert {
        time: Timestamp::from_parts(1_067_601_606, 0),
        rule: "mimail-c".into(),
        sid: 9_000_001,
        rev: 2,
        title: "Mimail.C mails itself".into(),
        category: "worm".into(),
        severity: Severity::Critical,
        host: Some(host),
        evidence: vec![Evidence {
            source: "mimail-c".into(),
            text: "attachment.name \"photos.zip\"".into(),
            figures: vec![
                ("messages", Figure::Count(22)),
                ("rate", Figure::Real(0.5)),
                ("name", Figure::Text("photos.zip".into())),
                ("to", Figure::List(vec!["a".into(), "b".into()])),
            ],
        }],
        remediation: "Disconnect the host.".into(),
        references: vec!["https://example.org/mimail-c".into()],
    }
}
