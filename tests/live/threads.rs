//! Several capture threads on one interface, and several interfaces: one story.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::netns::{Wire, skip};
use crate::sensor::Sensor;
use crate::{MESSAGES, metric, packets, replayed, send, trace};

#[test]
fn four_threads_tell_of_every_mail_what_one_tells() {
    let trace = trace("mimail-c-outbreak");
    let wire = match Wire::lay() {
        Ok(wire) => wire,
        Err(why) => return skip(&why),
    };
    // The kernel's own neighbour discovery is IPv6.
    let sensor = Sensor::start(&wire, &["--threads", "4", "--bpf", "ip"]);
    // What the kernel says of the sensor's sockets: four rings in one group.
    let sockets = wire.receiver.output("ss", &["--packet", "--numeric", "--extended", "--no-header"]);
    let groups: Vec<_> = sockets.lines().filter(|line| line.contains("fanout(")).collect();
    assert_eq!(groups.len(), 4, "{sockets}");
    assert!(groups.iter().all(|group| group.trim() == groups[0].trim()), "{sockets}");

    let replayed = replayed(&trace);
    let mails = mails(&replayed);
    send(&wire, &trace);
    sensor.wait_for_metrics(|metrics| {
        metric(metrics, PACKETS) >= packets(&trace) && metric(metrics, MESSAGES) >= mails.values().sum::<usize>() as f64
    });
    let metrics = sensor.metrics();
    assert_eq!(metric(&metrics, PACKETS), packets(&trace), "each packet once");
    for lost in ["mailsnare_kernel_drops_total", "mailsnare_stream_gaps_total", "mailsnare_messages_shed_total"] {
        assert_eq!(metric(&metrics, lost), 0.0, "{lost}");
    }
    // One interface, one set of series, however many threads.
    assert_eq!(metrics.lines().filter(|line| line.starts_with("mailsnare_packets_total{")).count(), 1, "{metrics}");

    let eve = sensor.stop();
    assert_eq!(self::mails(&eve), mails);
    // Chains are joined from questions, answers and connections that came through different threads.
    assert_eq!(chains(&eve), chains(&replayed));
    assert!(chains(&eve).is_some_and(|domains| domains > 3), "{:?}", chains(&eve));
    let times: Vec<_> = eve.iter().filter(|event| event["event_type"] == "smtp").map(|e| &e["timestamp"]).collect();
    assert!(times.is_sorted_by_key(|time| time.as_str()), "transactions in the order of their times");
}

/// How often each transaction was told of: who, to whom, what about, and how it ended.
fn mails(eve: &[Value]) -> BTreeMap<String, usize> {
    let mut mails = BTreeMap::new();
    for event in eve.iter().filter(|event| event["event_type"] == "smtp" && event["email"].is_object()) {
        let (smtp, email) = (&event["smtp"], &event["email"]);
        let ends = (&event["src_ip"], &event["src_port"], &event["dest_ip"]);
        let what = format!("{ends:?} {smtp} {} {}", email["subject"], email["body_md5"]);
        *mails.entry(what).or_default() += 1;
    }
    mails
}

/// In how many domains whole chains were seen, of the infected host: in its last incident line.
fn chains(eve: &[Value]) -> Option<u64> {
    let last =
        eve.iter().rfind(|event| event["event_type"] == "incident" && event["incident"]["host"] == "10.20.1.26")?;
    let evidence = last["incident"]["evidence"].as_array()?;
    let chain = evidence.iter().find(|evidence| evidence["source"] == "direct-to-mx")?;
    chain["figures"]["domains_all"].as_u64().or_else(|| chain["figures"]["domains"].as_u64())
}

const PACKETS: &str = "mailsnare_ipv4_packets_total";
