//! `stats`: what Suricata counts under Suricata's names, and everything else under `mailsnare`.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::model::stats::{FlowStats, InspectStats, SensorStats};

/// A source's counters so far.
pub struct Stats<'a> {
    /// Packet time since the first event, in whole seconds.
    pub uptime: std::time::Duration,
    pub sensor: &'a SensorStats,
    pub inspect: &'a InspectStats,
}

impl Serialize for Stats<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("uptime", &self.uptime.as_secs())?;
        map.serialize_entry("capture", &capture(self.sensor))?;
        map.serialize_entry("decoder", &decoder(self.sensor))?;
        map.serialize_entry("defrag", &defrag(self.sensor))?;
        map.serialize_entry("flow", &flow(self.sensor))?;
        map.serialize_entry("tcp", &tcp(self.sensor))?;
        map.serialize_entry("app_layer", &AppLayer(self.sensor))?;
        map.serialize_entry("mailsnare", &Ours(self.sensor, self.inspect))?;
        map.end()
    }
}

fn capture(sensor: &SensorStats) -> impl Serialize {
    let capture = &sensor.capture;
    Counters([
        ("kernel_packets", capture.packets.saturating_add(capture.kernel_drops)),
        ("kernel_drops", capture.kernel_drops),
        ("kernel_ifdrops", capture.interface_drops),
        ("cut", capture.cut),
        ("damaged", capture.damaged),
    ])
}

fn decoder(sensor: &SensorStats) -> impl Serialize {
    let (capture, decode) = (&sensor.capture, &sensor.decode);
    Counters([
        ("pkts", capture.packets),
        ("bytes", capture.bytes),
        ("invalid", decode.invalid),
        ("ipv4", decode.ipv4),
        ("ipv6", decode.ipv6),
        ("tcp", decode.tcp),
        ("udp", decode.udp),
        ("vlan", decode.vlan),
        ("tunnels", decode.tunnels),
        ("other", decode.other),
        ("unsupported_link", decode.unsupported_link),
    ])
}

fn defrag(sensor: &SensorStats) -> impl Serialize {
    let decode = &sensor.decode;
    Counters([
        ("fragments", decode.fragments),
        ("reassembled", decode.fragments_reassembled),
        ("dropped", decode.fragments_dropped),
        ("overlap", decode.fragments_overlap),
    ])
}

fn flow(sensor: &SensorStats) -> impl Serialize {
    let flow = &sensor.flow;
    Counters([
        ("total", flow.tcp_opened.saturating_add(flow.udp_opened)),
        ("active", flow.active),
        ("tcp", flow.tcp_opened),
        ("udp", flow.udp_opened),
    ])
}

fn tcp(sensor: &SensorStats) -> impl Serialize {
    let flow = &sensor.flow;
    Counters([
        ("sessions", flow.tcp_opened),
        ("active_sessions", flow.streams),
        ("reassembly_gap", flow.gaps),
        ("reassembly_gap_bytes", flow.gap_bytes),
        ("reassembly_memuse", flow.held_bytes),
        ("segment_out_of_order", flow.out_of_order),
        ("segment_retransmitted", flow.retransmitted),
        ("segment_memcap_drop", flow.streams_refused),
        ("segment_invalid", flow.invalid_segments),
        ("invalid_checksum", flow.bad_checksums),
        ("segment_set_aside", flow.set_aside),
        ("overlap_diff_data", flow.overlap_differs),
    ])
}

/// Suricata's counters of application protocols: flows and transactions by protocol.
struct AppLayer<'a>(&'a SensorStats);

impl Serialize for AppLayer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (smtp, dns) = (&self.0.smtp, &self.0.dns);
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("flow", &Counters([("smtp", smtp.sessions)]))?;
        let messages = dns.queries.saturating_add(dns.responses);
        map.serialize_entry("tx", &Counters([("smtp", smtp.transactions), ("dns", messages)]))?;
        map.end()
    }
}

/// Counters that Suricata has no name for.
struct Ours<'a>(&'a SensorStats, &'a InspectStats);

impl Serialize for Ours<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(SensorStats { flow, smtp, dns, .. }, inspect) = self;
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("flow_ended", &Ended(&flow.ended))?;
        let of_smtp = Counters([
            ("sessions", smtp.sessions),
            ("tls_sessions", smtp.tls_sessions),
            ("transactions", smtp.transactions),
            ("messages", smtp.messages),
            ("message_bytes", smtp.message_bytes),
            ("truncated", smtp.truncated),
            ("resynchronised", smtp.resynchronised),
            ("given_up", smtp.given_up),
            ("one_sided", smtp.one_sided),
            ("held_bytes", smtp.held_bytes),
        ]);
        map.serialize_entry("smtp", &of_smtp)?;
        let of_dns = Counters([
            ("queries", dns.queries),
            ("responses", dns.responses),
            ("mx_queries", dns.mx_queries),
            ("malformed", dns.malformed),
            ("lost", dns.lost),
            ("held_bytes", dns.held_bytes),
        ]);
        map.serialize_entry("dns", &of_dns)?;
        map.serialize_entry("inspect", &inspected(inspect))?;
        map.end()
    }
}

fn inspected(inspect: &InspectStats) -> impl Serialize {
    Counters([
        ("inspected", inspect.inspected),
        ("shed_queue", inspect.shed_queue),
        ("shed_failed", inspect.shed_failed),
        ("attachments", inspect.attachments),
        ("members", inspect.members),
        ("bombs", inspect.bombs),
    ])
}

struct Ended<'a>(&'a [u64; 6]);

impl Serialize for Ended<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(FlowStats::END_REASONS.iter().zip(self.0))
    }
}

/// Named counters in a fixed order.
pub struct Counters<const N: usize>(pub [(&'static str, u64); N]);

impl<const N: usize> Serialize for Counters<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0)
    }
}
