//! Families of what each source's sensor counts: a table of names and where to read them.

use prometheus::{IntCounterVec, IntGaugeVec};

use super::maker::Maker;
use super::{MetricsError, advance, signed};
use crate::model::stats::{FlowStats, SensorStats};
use crate::model::time::Timestamp;

#[derive(Debug)]
pub struct SensorFamilies {
    /// In the order of [`COUNTERS`].
    counters: Vec<IntCounterVec>,
    opened: IntCounterVec,
    ended: IntCounterVec,
    active: IntGaugeVec,
    streams: IntGaugeVec,
    last_packet: IntGaugeVec,
    up: IntGaugeVec,
}

impl SensorFamilies {
    pub fn new(made: &mut Maker<'_>) -> Result<Self, MetricsError> {
        let by_interface = &["interface"];
        let counters = COUNTERS.iter().map(|counter| made.counters(counter.name, counter.help, by_interface));
        Ok(Self {
            counters: counters.collect::<Result<_, _>>()?,
            opened: made.counters("flows_opened_total", "Flows begun.", &["interface", "transport"])?,
            ended: made.counters("flows_ended_total", "Flows ended, by cause.", &["interface", "reason"])?,
            active: made.gauges("flows_active", "Flows in the table.", by_interface)?,
            streams: made.gauges("streams_active", "TCP streams followed in full.", by_interface)?,
            up: made.gauges(
                "interface_up",
                "1 while the interface is there, up, and listened to; 0 while it is away or down (live capture).",
                by_interface,
            )?,
            last_packet: made.gauges(
                "last_packet_timestamp_seconds",
                "When the packet counter last moved, in packet time.",
                by_interface,
            )?,
        })
    }

    /// Moves a source's counters on from `last` to `stats`.
    pub fn update(&self, source: &str, now: Timestamp, last: &SensorStats, stats: &SensorStats) {
        for (counter, family) in COUNTERS.iter().zip(&self.counters) {
            advance(&family.with_label_values(&[source]), (counter.read)(last), (counter.read)(stats));
        }
        let (before, flow) = (&last.flow, &stats.flow);
        advance(&self.opened.with_label_values(&[source, "tcp"]), before.tcp_opened, flow.tcp_opened);
        advance(&self.opened.with_label_values(&[source, "udp"]), before.udp_opened, flow.udp_opened);
        for (index, reason) in FlowStats::END_REASONS.iter().enumerate() {
            advance(&self.ended.with_label_values(&[source, reason]), before.ended[index], flow.ended[index]);
        }
        self.active.with_label_values(&[source]).set(signed(flow.active));
        self.streams.with_label_values(&[source]).set(signed(flow.streams));
        if stats.capture.rings > 0 {
            let up = stats.capture.rings_up == stats.capture.rings;
            self.up.with_label_values(&[source]).set(i64::from(up));
        }
        if stats.capture.packets > last.capture.packets {
            self.last_packet.with_label_values(&[source]).set(now.seconds());
        }
    }
}

struct Counter {
    name: &'static str,
    help: &'static str,
    read: fn(&SensorStats) -> u64,
}

const fn counter(name: &'static str, help: &'static str, read: fn(&SensorStats) -> u64) -> Counter {
    Counter { name, help, read }
}

const COUNTERS: &[Counter] = &[
    counter("packets_total", "Packets captured.", |s| s.capture.packets),
    counter("bytes_total", "Bytes of captured packets, on the wire.", |s| s.capture.bytes),
    counter("packets_cut_total", "Packets captured only in part (snaplen).", |s| s.capture.cut),
    counter("kernel_drops_total", "Packets the kernel dropped for want of buffer.", |s| s.capture.kernel_drops),
    counter("interface_drops_total", "Packets the interface or its driver dropped.", |s| s.capture.interface_drops),
    counter("interface_outages_total", "Times the interface went down or away.", |s| s.capture.outages),
    counter("damaged_records_total", "Capture file records that could not be read.", |s| s.capture.damaged),
    counter("ipv4_packets_total", "IPv4 packets.", |s| s.decode.ipv4),
    counter("ipv6_packets_total", "IPv6 packets.", |s| s.decode.ipv6),
    counter("tcp_segments_total", "TCP segments.", |s| s.decode.tcp),
    counter("udp_datagrams_total", "UDP datagrams.", |s| s.decode.udp),
    counter("vlan_packets_total", "Packets with VLAN tags.", |s| s.decode.vlan),
    counter("tunnel_headers_total", "Tunnel headers taken off.", |s| s.decode.tunnels),
    counter("other_packets_total", "Packets that are not IP, or of a transport not followed.", |s| s.decode.other),
    counter("invalid_packets_total", "Malformed packets.", |s| s.decode.invalid),
    counter("unsupported_link_packets_total", "Packets of a link type not read.", |s| s.decode.unsupported_link),
    counter("fragments_total", "IP fragments.", |s| s.decode.fragments),
    counter("fragments_reassembled_total", "Datagrams put together.", |s| s.decode.fragments_reassembled),
    counter("fragments_dropped_total", "IP fragments given up.", |s| s.decode.fragments_dropped),
    counter("fragments_overlap_total", "IP fragments that contradict others.", |s| s.decode.fragments_overlap),
    counter("stream_gaps_total", "Gaps in TCP streams.", |s| s.flow.gaps),
    counter("stream_gap_bytes_total", "Bytes lost in gaps.", |s| s.flow.gap_bytes),
    counter("segments_out_of_order_total", "TCP segments out of order.", |s| s.flow.out_of_order),
    counter("segments_retransmitted_total", "TCP segments sent again.", |s| s.flow.retransmitted),
    counter("segments_differing_total", "Second copies that differ from the first.", |s| s.flow.overlap_differs),
    counter("segments_not_followed_total", "TCP segments of streams past the bound.", |s| s.flow.streams_refused),
    counter("segments_invalid_total", "TCP segments outside any plausible window.", |s| s.flow.invalid_segments),
    counter("bad_checksums_total", "Segments and datagrams of mail and DNS with a wrong checksum.", |s| {
        s.flow.bad_checksums
    }),
    counter(
        "segments_set_aside_total",
        "TCP segments not read because their receiver drops them, most for a wrong checksum.",
        |s| s.flow.set_aside,
    ),
    counter("smtp_sessions_total", "SMTP sessions.", |s| s.smtp.sessions),
    counter("smtp_tls_sessions_total", "SMTP sessions that went to TLS.", |s| s.smtp.tls_sessions),
    counter("smtp_transactions_total", "SMTP transactions.", |s| s.smtp.transactions),
    counter("smtp_messages_total", "Messages seen on the wire.", |s| s.smtp.messages),
    counter("smtp_message_bytes_total", "Bytes of messages on the wire.", |s| s.smtp.message_bytes),
    counter("smtp_messages_truncated_total", "Messages of which not all was kept.", |s| s.smtp.truncated),
    counter("smtp_resynchronised_total", "Sessions lost and found again.", |s| s.smtp.resynchronised),
    counter("smtp_sessions_given_up_total", "Sessions not read to their end for want of memory.", |s| s.smtp.given_up),
    counter(
        "smtp_sessions_one_sided_total",
        "Sessions of which one side alone was seen: where they are most, the mirror shows one direction.",
        |s| s.smtp.one_sided,
    ),
    counter("dns_queries_total", "DNS queries.", |s| s.dns.queries),
    counter("dns_responses_total", "DNS responses.", |s| s.dns.responses),
    counter("dns_malformed_total", "Messages on port 53 that are not DNS.", |s| s.dns.malformed),
    counter("dns_messages_lost_total", "DNS messages over TCP damaged, cut off or given up.", |s| s.dns.lost),
    counter("mx_lookups_total", "DNS questions for MX.", |s| s.dns.mx_queries),
];
