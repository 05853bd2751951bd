//! Counters: everything seen and everything lost. Plain sums; each stage owns its own and hands out copies.

use super::mail::Findings;

/// What the sensor counted since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SensorStats {
    pub capture: CaptureStats,
    pub decode: DecodeStats,
    pub flow: FlowStats,
    pub smtp: SmtpStats,
    pub dns: DnsStats,
}

/// Packets as they came in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaptureStats {
    pub packets: u64,
    /// Bytes on the wire (not only those captured).
    pub bytes: u64,
    /// Packets of which the capture kept only the beginning (snaplen).
    pub cut: u64,
    /// Packets the kernel dropped for want of buffer space.
    pub kernel_drops: u64,
    /// Packets the interface or its driver dropped.
    pub interface_drops: u64,
    /// Records of a capture file that could not be read.
    pub damaged: u64,
    /// Times the interface went away or down while it was listened to.
    pub outages: u64,
    /// Kernel rings that are to be filled from an interface: one a live source, none of a replay.
    pub rings: u64,
    /// Of these, rings whose interface is there and up now.
    pub rings_up: u64,
}

/// What became of the packets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecodeStats {
    pub ipv4: u64,
    pub ipv6: u64,
    pub tcp: u64,
    pub udp: u64,
    pub vlan: u64,
    /// Tunnel headers taken off.
    pub tunnels: u64,
    /// Neither IPv4 nor IPv6 (ARP and the like), or a transport that is not followed.
    pub other: u64,
    /// Malformed: a header that is not all there or contradicts itself.
    pub invalid: u64,
    pub unsupported_link: u64,
    pub fragments: u64,
    pub fragments_reassembled: u64,
    /// Fragments given up: timed out, or over the bound.
    pub fragments_dropped: u64,
    /// Fragments that overlap others with different bytes.
    pub fragments_overlap: u64,
    /// Bytes that waiting fragments take now.
    pub fragment_bytes: u64,
}

/// The flow table and TCP reassembly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowStats {
    pub tcp_opened: u64,
    pub udp_opened: u64,
    /// Flows in the table now.
    pub active: u64,
    /// Streams kept in full now (mail, DNS over TCP, and those not yet told apart).
    pub streams: u64,
    /// Segments of flows worth following in full that were not followed, because `limits::STREAMS` was met.
    pub streams_refused: u64,
    /// Flows ended, in the order of [`FlowStats::END_REASONS`].
    pub ended: [u64; 6],
    /// Gaps told to a protocol, and the bytes lost in them.
    pub gaps: u64,
    pub gap_bytes: u64,
    pub out_of_order: u64,
    pub retransmitted: u64,
    /// Second copies that differ from the first.
    pub overlap_differs: u64,
    /// Bytes held for reassembly now, with what each segment takes besides its own.
    pub held_bytes: u64,
    /// Bytes that the flow table and the conversations attached to it take now, without what these hold.
    pub table_bytes: u64,
    /// Delivered bytes kept for comparison with later copies now.
    pub tail_bytes: u64,
    /// Segments, or acknowledgments in them, outside any plausible window, not followed.
    pub invalid_segments: u64,
    /// Segments and datagrams of mail and DNS whose checksum, or that of their IPv4 header, is wrong: damaged, forged,
    /// or captured before the hardware filled it in.
    pub bad_checksums: u64,
    /// Segments set aside, because their receiver drops them too: the checksum is wrong though others of the same sender
    /// hold, they acknowledge nothing or what was never sent, they are out of date, signed, or of a SYN.
    pub set_aside: u64,
}

impl FlowStats {
    /// The names behind `ended`, in its order.
    pub const END_REASONS: [&'static str; 6] = ["finished", "reset", "timeout", "evicted", "replaced", "shutdown"];
}

/// SMTP as spoken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SmtpStats {
    pub sessions: u64,
    pub tls_sessions: u64,
    pub transactions: u64,
    pub messages: u64,
    /// Bytes of messages on the wire.
    pub message_bytes: u64,
    /// Messages of which not all was kept.
    pub truncated: u64,
    /// Sessions in which the parser lost its place and found it again.
    pub resynchronised: u64,
    /// Sessions not read to their end, because all of them together held too much and these held most.
    pub given_up: u64,
    /// Sessions of which one side alone was captured to their end.
    pub one_sided: u64,
    /// Bytes held for sessions now, unfinished messages among them.
    pub held_bytes: u64,
}

/// DNS as spoken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsStats {
    pub queries: u64,
    pub responses: u64,
    /// Questions for MX.
    pub mx_queries: u64,
    /// On port 53 and not DNS.
    pub malformed: u64,
    /// Messages over TCP that could not be read: damaged by a gap, cut off, or given up for want of room.
    pub lost: u64,
    /// Bytes of unfinished messages over TCP held now.
    pub held_bytes: u64,
}

/// What the inspectors counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InspectStats {
    pub inspected: u64,
    /// Passed on uninspected because the queue was full (live capture).
    pub shed_queue: u64,
    /// Passed on uninspected because an inspector failed on it: a defect of ours.
    pub shed_failed: u64,
    /// Events of all kinds lost because the correlator did not keep up (live capture).
    pub events_dropped: u64,
    /// Packets not kept as evidence because the correlator did not keep up (live capture).
    pub packets_dropped: u64,
    pub attachments: u64,
    pub members: u64,
    /// Bounds met while unpacking.
    pub bombs: u64,
}

impl InspectStats {
    /// Counts what was found in one message.
    pub fn count(&mut self, findings: &Findings) {
        let members = findings.files.iter().filter(|file| !file.container.is_empty()).count() as u64;
        self.inspected += u64::from(findings.email.is_some());
        self.members += members;
        self.attachments += findings.files.len() as u64 - members;
        self.bombs += findings.anomalies.iter().filter(|anomaly| BOUNDS.contains(&anomaly.name)).count() as u64;
    }
}

/// Anomalies of archives that say that a bound was met. Others say what is wrong with them: one that was cut off or damaged,
/// or is encrypted, met none.
const BOUNDS: [&str; 5] = [
    "archive-bomb-ratio",
    "archive-members-overlap",
    "archive-too-deep",
    "archive-too-large",
    "archive-too-many-members",
];

/// What the correlator counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CorrelateStats {
    /// Home hosts with state now.
    pub hosts: u64,
    /// Home hosts whose state was given up because the table was full.
    pub hosts_evicted: u64,
    /// Times that what a host under suspicion remembered was cut to its newest for want of room.
    pub hosts_shortened: u64,
    /// Entries of their chains held now.
    pub entries: u64,
    /// Bytes that hosts take with all that is remembered of them.
    pub bytes: u64,
}

impl SensorStats {
    /// Adds another source's counters, for sums over sources. Saturates.
    pub fn add(&mut self, other: &Self) {
        self.capture.add(&other.capture);
        self.decode.add(&other.decode);
        self.flow.add(&other.flow);
        self.smtp.add(&other.smtp);
        self.dns.add(&other.dns);
    }
}

/// Adds the named counters of `$other` to those of `$self`.
macro_rules! add_fields {
    ($self:ident, $other:ident: $($field:ident),+ $(,)?) => {
        // Naming every field makes a counter added later, and forgotten here, an error.
        let Self { $($field),+ } = $other;
        $(Sum::add(&mut $self.$field, $field);)+
    };
}

trait Sum {
    fn add(&mut self, other: &Self);
}

impl Sum for u64 {
    fn add(&mut self, other: &Self) {
        *self = self.saturating_add(*other);
    }
}

impl<const N: usize> Sum for [u64; N] {
    fn add(&mut self, other: &Self) {
        self.iter_mut().zip(other).for_each(|(sum, more)| Sum::add(sum, more));
    }
}

impl CaptureStats {
    fn add(&mut self, other: &Self) {
        add_fields!(self, other: packets, bytes, cut, kernel_drops, interface_drops, damaged, outages, rings, rings_up);
    }
}

impl DecodeStats {
    fn add(&mut self, other: &Self) {
        add_fields!(self, other: ipv4, ipv6, tcp, udp, vlan, tunnels, other, invalid, unsupported_link, fragments, fragments_reassembled, fragments_dropped, fragments_overlap, fragment_bytes);
    }
}

impl FlowStats {
    fn add(&mut self, other: &Self) {
        add_fields!(self, other: tcp_opened, udp_opened, active, streams, streams_refused, ended, gaps, gap_bytes, out_of_order, retransmitted, overlap_differs, held_bytes, table_bytes, tail_bytes, invalid_segments, bad_checksums, set_aside);
    }
}

impl SmtpStats {
    fn add(&mut self, other: &Self) {
        add_fields!(self, other: sessions, tls_sessions, transactions, messages, message_bytes, truncated, resynchronised, given_up, one_sided, held_bytes);
    }
}

impl DnsStats {
    fn add(&mut self, other: &Self) {
        add_fields!(self, other: queries, responses, mx_queries, malformed, lost, held_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::{Anomaly, Layer};

    #[test]
    fn only_bounds_are_counted_as_such() {
        let mut stats = InspectStats::default();
        for (name, bombs) in [("archive-damaged", 0), ("archive-too-deep", 1), ("archive-checksum-differs", 1)] {
            let anomaly = Anomaly { name, layer: Layer::Archive, side: None, detail: String::new() };
            stats.count(&Findings { anomalies: vec![anomaly], ..Findings::default() });
            assert_eq!(stats.bombs, bombs, "{name}");
        }
    }

    #[test]
    fn sums_over_sources_saturate() {
        let mut sum = SensorStats::default();
        let mut one = SensorStats::default();
        one.capture.bytes = u64::MAX - 1;
        one.flow.ended = [1, 2, 3, 4, 5, 6];
        one.dns.mx_queries = 7;
        sum.add(&one);
        sum.add(&one);
        assert_eq!(sum.capture.bytes, u64::MAX);
        assert_eq!(sum.flow.ended, [2, 4, 6, 8, 10, 12]);
        assert_eq!(sum.dns.mx_queries, 14);
    }
}
