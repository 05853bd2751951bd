//! What was lost on the way, each with what it means.

use super::Notes;
use super::words::{count, counted};
use crate::model::report::Report;

/// One kind of loss.
pub struct Loss {
    /// Its key in the JSON summary.
    pub key: &'static str,
    pub count: u64,
    one: &'static str,
    many: &'static str,
    /// More about it; begins with a comma or bracket.
    more: String,
}

impl Loss {
    /// `3 gaps in TCP streams (4,096 bytes)`.
    pub fn sentence(&self) -> String {
        format!("{}{}", counted(self.count, self.one, self.many), self.more)
    }
}

/// Every kind, lost or not, from the wire inwards.
pub fn losses(report: &Report, notes: &Notes) -> Vec<Loss> {
    let (capture, decode) = (&report.sensor.capture, &report.sensor.decode);
    let (flow, smtp, inspect) = (&report.sensor.flow, &report.sensor.smtp, &report.inspect);
    let loss = |key, count, one, many| Loss { key, count, one, many, more: String::new() };
    let evicted = flow.ended.get(EVICTED).copied().unwrap_or_default();
    // A few are damage on the way, and were sent again.
    let set_aside = if flow.set_aside < MANY { 0 } else { flow.set_aside };
    let gap_bytes = format!(" ({} bytes)", count(flow.gap_bytes));
    vec![
        loss(
            "kernel_drops",
            capture.kernel_drops,
            "packet dropped by the kernel for want of buffer",
            "packets dropped by the kernel for want of buffer",
        ),
        loss(
            "interface_drops",
            capture.interface_drops,
            "packet dropped by the interface",
            "packets dropped by the interface",
        ),
        loss(
            "interface_outages",
            capture.outages,
            "time an interface was down or away",
            "times an interface was down or away",
        ),
        loss(
            "damaged_records",
            capture.damaged,
            "damaged record in the capture files",
            "damaged records in the capture files",
        ),
        loss("cut_packets", capture.cut, "packet captured only in part", "packets captured only in part"),
        loss("invalid_packets", decode.invalid, "malformed packet", "malformed packets"),
        loss(
            "unsupported_link_packets",
            decode.unsupported_link,
            "packet of a link type that is not read",
            "packets of link types that are not read",
        ),
        loss("fragments_dropped", decode.fragments_dropped, "IP fragment given up", "IP fragments given up"),
        Loss { more: gap_bytes, ..loss("stream_gaps", flow.gaps, "gap in TCP streams", "gaps in TCP streams") },
        loss(
            "segments_not_followed",
            flow.streams_refused,
            "TCP segment not read: too many streams at once",
            "TCP segments not read: too many streams at once",
        ),
        loss(
            "segments_set_aside",
            set_aside,
            "TCP segment not read, as its receiver drops it (a wrong checksum, mostly)",
            "TCP segments not read, as their receivers drop them (wrong checksums, mostly)",
        ),
        loss("flows_evicted", evicted, "flow evicted before its end", "flows evicted before their end"),
        loss(
            "dns_messages",
            report.sensor.dns.lost,
            "DNS message over TCP not read to its end",
            "DNS messages over TCP not read to their end",
        ),
        loss(
            "sessions_given_up",
            smtp.given_up,
            "SMTP session not read to its end: all together held too much",
            "SMTP sessions not read to their end: all together held too much",
        ),
        loss("messages_truncated", smtp.truncated, "message not kept whole", "messages not kept whole"),
        loss(
            "messages_shed_queue",
            inspect.shed_queue,
            "message not opened: the inspectors were busy",
            "messages not opened: the inspectors were busy",
        ),
        loss(
            "messages_shed_failed",
            inspect.shed_failed,
            "message not opened: an inspector failed on it, which is a defect; please report it",
            "messages not opened: an inspector failed on them, which is a defect; please report it",
        ),
        loss(
            "events_dropped",
            inspect.events_dropped,
            "event lost: its outputs could not keep up",
            "events lost: their outputs could not keep up",
        ),
        loss(
            "archive_limits_met",
            inspect.bombs,
            "archive not unpacked to the end: it met a bound",
            "archives not unpacked to the end: they met a bound",
        ),
        loss(
            "hosts_evicted",
            report.correlate.hosts_evicted,
            "home host forgotten: the host table was full",
            "home hosts forgotten: the host table was full",
        ),
        loss(
            "hosts_shortened",
            report.correlate.hosts_shortened,
            "list of what an infected or suspicious host mailed cut to its newest: the host table was full",
            "lists of what infected or suspicious hosts mailed cut to their newest: the host table was full",
        ),
        loss(
            "eve_lines",
            notes.eve_lost_lines,
            "EVE line that could not be written",
            "EVE lines that could not be written",
        ),
        loss("files_not_extracted", notes.extract.lost(), "file not extracted", "files not extracted"),
        loss(
            "packets_not_kept",
            notes.evidence.lost() + inspect.packets_dropped,
            "packet not kept as evidence",
            "packets not kept as evidence",
        ),
        loss(
            "notifications_dropped",
            notes.untold,
            "alert or incident that syslog or Alertmanager was not told of",
            "alerts and incidents that syslog or Alertmanager were not told of",
        ),
    ]
}

/// Its place in `FlowStats::END_REASONS`.
const EVICTED: usize = 3;

/// Segments set aside before the summary speaks of it: a bad cable, or someone who plays tricks.
const MANY: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::stats::FlowStats;

    #[test]
    fn evicted_flows_are_counted_at_their_place() {
        assert_eq!(FlowStats::END_REASONS[EVICTED], "evicted");
    }
}
