use std::io::Write;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use super::*;
use crate::model::alert::{Evidence, Figure, WEIGHT};
use crate::model::event::{Layer, Message, SmtpEvent};
use crate::model::limits::{METRIC_EVIDENCE, METRIC_SUSPECTS};
use crate::model::mail::{Email, FileFact, FileKind, RuleHit};
use crate::model::report::RoleKind;

#[test]
fn counters_advance_by_the_difference_and_never_go_back() {
    let metrics = Metrics::new("1.2.3").unwrap();
    for (packets, shown) in [(10, 10), (25, 25), (20, 25), (30, 35)] {
        let mut stats = SensorStats::default();
        stats.capture.packets = packets;
        metrics.update_sensor("eth0", Timestamp::from_parts(7, 0), &stats);
        assert_eq!(value(&metrics, "mailsnare_packets_total{interface=\"eth0\"}"), shown.to_string());
    }
}

#[test]
fn each_source_has_its_own_counters_and_pools_are_summed() {
    let metrics = Metrics::new("1.2.3").unwrap();
    let mut stats = SensorStats::default();
    stats.capture.packets = 5;
    stats.flow.held_bytes = 1_000;
    stats.flow.ended[3] = 2;
    metrics.update_sensor("eth0", Timestamp::from_parts(1_067_601_600, 0), &stats);
    metrics.update_sensor("eth1", Timestamp::from_parts(1_067_601_600, 0), &stats);
    for (series, expected) in [
        ("mailsnare_packets_total{interface=\"eth1\"}", "5"),
        ("mailsnare_flows_ended_total{interface=\"eth0\",reason=\"evicted\"}", "2"),
        ("mailsnare_memory_bytes{pool=\"reassembly\"}", "2000"),
        ("mailsnare_last_packet_timestamp_seconds{interface=\"eth0\"}", "1067601600"),
        ("mailsnare_build_info{version=\"1.2.3\"}", "1"),
    ] {
        assert_eq!(value(&metrics, series), expected, "{series}");
    }
}

#[test]
fn an_idle_interface_keeps_the_time_of_its_last_packet() {
    let metrics = Metrics::new("1").unwrap();
    let mut stats = SensorStats::default();
    stats.capture.packets = 1;
    metrics.update_sensor("eth0", Timestamp::from_parts(100, 0), &stats);
    metrics.update_sensor("eth0", Timestamp::from_parts(200, 0), &stats);
    assert_eq!(value(&metrics, "mailsnare_last_packet_timestamp_seconds{interface=\"eth0\"}"), "100");
}

#[test]
fn messages_are_counted_by_what_inspection_said() {
    let metrics = Metrics::new("1").unwrap();
    let file = |kind, container: &[&str]| FileFact {
        kind: FileKind(kind),
        container: container.iter().map(|&name| name.to_owned()).collect(),
        ..FileFact::default()
    };
    let anomaly = Anomaly { name: "archive-ratio", layer: Layer::Archive, side: None, detail: String::new() };
    let clean = Findings { email: Some(Email::default()), ..Findings::default() };
    let matched = Findings {
        hits: vec![RuleHit { rule: 0, evidence: Vec::new() }],
        files: vec![file("zip", &[]), file("pe", &["a.zip"])],
        anomalies: vec![anomaly],
        ..clean.clone()
    };
    let with_message = SmtpEvent { message: Some(Message::default()), ..SmtpEvent::default() };
    metrics.observe_event(&event(SmtpEvent::default()), Some(&clean));
    metrics.observe_event(&event(SmtpEvent::default()), Some(&matched));
    metrics.observe_event(&event(with_message), None);
    metrics.observe_event(&event(SmtpEvent::default()), None);
    for (series, expected) in [
        ("mailsnare_messages_total{verdict=\"clean\"}", "1"),
        ("mailsnare_messages_total{verdict=\"matched\"}", "1"),
        ("mailsnare_messages_total{verdict=\"uninspected\"}", "1"),
        ("mailsnare_attachments_total{type=\"zip\"}", "1"),
        ("mailsnare_archive_members_total{type=\"pe\"}", "1"),
        ("mailsnare_anomalies_total{layer=\"archive\",name=\"archive-ratio\"}", "1"),
    ] {
        assert_eq!(value(&metrics, series), expected, "{series}");
    }
}

#[test]
fn what_was_lost_is_shown_by_reason_from_the_start() {
    let metrics = Metrics::new("1").unwrap();
    assert_eq!(value(&metrics, "mailsnare_messages_shed_total{reason=\"queue_full\"}"), "0");
    metrics.update_inspect(&InspectStats { shed_queue: 3, inspected: 9, ..InspectStats::default() });
    metrics.update_inspect(&InspectStats { shed_queue: 4, inspected: 9, ..InspectStats::default() });
    metrics.update_eve_lost(7);
    metrics.update_extract(&ExtractStats { failed: 2, ..ExtractStats::default() });
    for (series, expected) in [
        ("mailsnare_messages_shed_total{reason=\"queue_full\"}", "4"),
        ("mailsnare_messages_inspected_total", "9"),
        ("mailsnare_eve_lines_lost_total", "7"),
        ("mailsnare_extracted_files_total{result=\"failed\"}", "2"),
    ] {
        assert_eq!(value(&metrics, series), expected, "{series}");
    }
}

#[test]
fn alerts_of_too_many_rules_share_a_name() {
    let metrics = Metrics::new("1").unwrap();
    for number in 0..METRIC_RULES + 5 {
        metrics.observe_alert(&alert(&format!("rule-{number}")));
    }
    metrics.observe_alert(&alert("rule-0"));
    assert_eq!(value(&metrics, "mailsnare_alerts_total{rule=\"rule-0\",severity=\"high\"}"), "2");
    assert_eq!(value(&metrics, "mailsnare_alerts_total{rule=\"other\",severity=\"high\"}"), "5");
}

#[test]
fn a_host_has_series_while_it_is_worth_them() {
    let metrics = Metrics::new("1").unwrap().with_top_hosts(1);
    let (loud, worm) = (host(1, Verdict::Clean, 9_000), host(2, Verdict::Infected, 500));
    metrics.set_hosts(&[loud.clone(), worm.clone(), host(3, Verdict::Clean, 100)]);
    let loud_series = "mailsnare_host_mail_bytes_total{host=\"10.0.0.1\"}";
    let role = |role: &str| format!("mailsnare_host_role{{host=\"10.0.0.1\",role=\"{role}\"}}");
    assert_eq!(value(&metrics, &role("ordinary")), "1");
    metrics.set_hosts(&[HostReport { role_kind: RoleKind::Learnt, ..loud.clone() }]);
    assert_eq!(value(&metrics, &role("mail-server-learnt")), "1");
    assert!(!text(&metrics).contains("ordinary"), "one role at a time");
    metrics.set_hosts(&[loud.clone(), worm.clone(), host(3, Verdict::Clean, 100)]);
    assert_eq!(value(&metrics, loud_series), "9000");
    assert_eq!(value(&metrics, "mailsnare_host_verdict{host=\"10.0.0.2\"}"), "2");
    assert_eq!(value(&metrics, "mailsnare_hosts{verdict=\"infected\"}"), "1");
    assert!(!text(&metrics).contains("10.0.0.3"));
    metrics.set_hosts(&[HostReport { mail_bytes: 9_500, ..loud }, host(2, Verdict::Clean, 500)]);
    assert_eq!(value(&metrics, loud_series), "9500");
    assert!(!text(&metrics).contains("10.0.0.2"), "it calmed");
    metrics.set_hosts(&[host(1, Verdict::Clean, 10)]);
    assert_eq!(value(&metrics, loud_series), "10", "forgotten by the correlator, and back");
}

#[test]
fn a_million_hosts_do_not_make_a_million_series() {
    let metrics = Metrics::new("1").unwrap();
    let verdicts = [Verdict::Clean, Verdict::Suspicious, Verdict::Infected];
    let hosts: Vec<_> = (0..1_000_000_u32)
        .map(|number| host(number, verdicts[number as usize % 3], u64::from(number.reverse_bits())))
        .collect();
    let before = series(&metrics);
    metrics.set_hosts(&hosts);
    // Seven series a host, and one for each of its reasons.
    let most = before + (METRIC_SUSPECTS + TOP_HOSTS) * (7 + METRIC_EVIDENCE);
    assert!(series(&metrics) <= most, "{} series, {before} before", series(&metrics));
    // Other hosts the next time: those of before make room.
    metrics.set_hosts(&hosts[500_000..]);
    assert!(series(&metrics) <= most, "{} series, {before} before", series(&metrics));
    metrics.set_hosts(&hosts);
    let shown = text(&metrics).lines().filter(|line| line.starts_with("mailsnare_host_verdict{")).count();
    assert!((METRIC_SUSPECTS..=METRIC_SUSPECTS + TOP_HOSTS).contains(&shown), "{shown}");
    assert_eq!(value(&metrics, "mailsnare_hosts{verdict=\"infected\"}"), "333333");
    let loudest = hosts.iter().max_by_key(|host| host.mail_bytes).unwrap();
    assert_eq!(
        value(&metrics, &format!("mailsnare_host_mail_bytes_total{{host=\"{}\"}}", loudest.host)),
        loudest.mail_bytes.to_string()
    );
    metrics.set_hosts(&[]);
    assert!(!text(&metrics).contains("mailsnare_host_"), "{}", text(&metrics));
    assert_eq!(series(&metrics), before);
}

#[test]
fn suspects_are_counted_whether_they_have_series_or_not() {
    let metrics = Metrics::new("1").unwrap();
    metrics.set_hosts(&[host(1, Verdict::Infected, 1)]);
    metrics.set_suspects([90_000, 7, 5_000]);
    assert_eq!(value(&metrics, "mailsnare_hosts{verdict=\"infected\"}"), "5000");
    assert_eq!(value(&metrics, "mailsnare_hosts{verdict=\"suspicious\"}"), "7");
    assert!(!text(&metrics).contains("verdict=\"clean\"} 90000"));
}

#[test]
fn a_page_can_name_the_strongest_reasons() {
    let metrics = Metrics::new("1").unwrap();
    let reason = |source: &str, weight| Evidence {
        source: source.into(),
        text: String::new(),
        figures: vec![(WEIGHT, Figure::Real(weight))],
    };
    let mut worm = host(1, Verdict::Infected, 1);
    worm.evidence = vec![reason("mimail-c", 60.0), reason("direct-to-mx", 20.5), reason("mimail-c", 1.0)];
    metrics.set_hosts(std::slice::from_ref(&worm));
    let series = |source: &str| format!("mailsnare_host_evidence_weight{{host=\"10.0.0.1\",source=\"{source}\"}}");
    assert_eq!(value(&metrics, &series("mimail-c")), "61");
    assert_eq!(value(&metrics, &series("direct-to-mx")), "20.5");
    worm.evidence.remove(1);
    metrics.set_hosts(&[worm]);
    assert!(!text(&metrics).contains("direct-to-mx"), "what is no longer held against it goes");
}

#[test]
fn what_goes_to_a_textfile_does_not_collide_with_its_reader() {
    let metrics = Metrics::new("1").unwrap();
    let written = String::from_utf8(metrics.render_for_textfile()).unwrap();
    assert!(text(&metrics).contains("\nprocess_cpu_seconds_total "));
    assert!(!written.contains("process_"));
    assert!(written.contains("mailsnare_build_info{version=\"1\"} 1"));
}

#[test]
fn delays_fall_into_their_buckets() {
    let metrics = Metrics::new("1").unwrap();
    metrics.observe_delay(Duration::from_millis(60));
    metrics.observe_delay(Duration::from_secs(600));
    assert_eq!(value(&metrics, "mailsnare_alert_delay_seconds_bucket{le=\"0.02\"}"), "0");
    assert_eq!(value(&metrics, "mailsnare_alert_delay_seconds_bucket{le=\"0.1\"}"), "1");
    assert_eq!(value(&metrics, "mailsnare_alert_delay_seconds_count"), "2");
}

#[test]
fn one_thread_may_count_while_another_serves() {
    fn shared<T: Send + Sync>() {}
    shared::<Metrics>();
}

/// The format's own reference checker, where it is installed.
#[test]
fn promtool_finds_nothing_wrong() {
    let metrics = Metrics::new("1").unwrap();
    metrics.update_sensor("eth\"0\\", Timestamp::default(), &SensorStats::default());
    metrics.update_inspect(&InspectStats::default());
    metrics.observe_alert(&alert("mimail-c"));
    metrics.set_hosts(&[host(1, Verdict::Infected, 1)]);
    metrics.set_queue("inspect", 3);
    metrics.add_busy(0, Duration::from_millis(5));
    metrics.observe_reload(true);
    let tool = Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut tool) = tool else {
        assert!(std::env::var_os("CI").is_none(), "promtool is not installed");
        eprintln!("skipped: promtool is not installed");
        return;
    };
    tool.stdin.take().unwrap().write_all(&metrics.render()).unwrap();
    let done = tool.wait_with_output().unwrap();
    assert!(done.status.success() && done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Series shown, those of the process apart (they come and go with what the kernel tells).
fn series(metrics: &Metrics) -> usize {
    text(metrics).lines().filter(|line| line.starts_with("mailsnare_")).count()
}

/// The value of a series, as text.
fn value(metrics: &Metrics, series: &str) -> String {
    let text = text(metrics);
    let found = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no {series} in:\n{text}")).to_owned()
}

fn text(metrics: &Metrics) -> String {
    String::from_utf8(metrics.render()).unwrap()
}

fn event(smtp: SmtpEvent) -> Event {
    let kind = EventKind::Smtp(Box::new(smtp));
    Event { seq: 0, time: Timestamp::default(), source: 0, file: 0, packet: 1, flow: None, kind }
}

fn alert(rule: &str) -> Alert {
    Alert {
        time: Timestamp::default(),
        rule: rule.to_owned(),
        sid: 1,
        rev: 1,
        title: String::new(),
        category: String::new(),
        severity: Severity::High,
        host: None,
        evidence: Vec::new(),
        remediation: String::new(),
        references: Vec::new(),
    }
}

fn host(number: u32, verdict: Verdict, mail_bytes: u64) -> HostReport {
    HostReport {
        host: Ipv4Addr::from((10 << 24) + number).into(),
        verdict,
        score: 0.0,
        role: None,
        role_kind: RoleKind::Ordinary,
        other_addresses: Vec::new(),
        since: Timestamp::default(),
        last_seen: Timestamp::default(),
        messages: 1,
        recipients: 1,
        mail_bytes,
        mx_lookups: 1,
        share_of_link: 0.0,
        evidence: Vec::new(),
        timeline: Vec::new(),
    }
}
