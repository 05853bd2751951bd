//! The shapes of EVE lines. Each borrows from the values it shows; key order is the order of the fields here.

use std::fmt;
use std::net::IpAddr;

use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};

use super::dns::Dns;
use super::mail::{EmailBody, FileBody, SmtpBody};
use super::stats::Stats;
use crate::model::alert::{Alert, Evidence, Figure, Incident, Moment};
use crate::model::event::{Anomaly, EndReason, FlowEnd};
use crate::model::net::{Flow, Side, Transport};
use crate::model::time::Timestamp;

/// A whole line: Suricata's common fields in its order, then the objects of the event type.
#[derive(Serialize)]
pub struct Line<'a> {
    pub timestamp: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_iface: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pcap_cnt: Option<u64>,
    pub event_type: &'static str,
    #[serde(skip_serializing_if = "<[u16]>::is_empty")]
    pub vlan: &'a [u16],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src_ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub src_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dest_ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dest_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proto: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_proto: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tx_id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub community_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert: Option<AlertBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp: Option<SmtpBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<EmailBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns: Option<Dns<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fileinfo: Option<FileBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anomaly: Option<AnomalyBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow: Option<FlowBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stats: Option<Stats<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pcap_filename: Option<&'a str>,
}

impl<'a> Line<'a> {
    /// A line with its time and type and nothing else.
    pub fn new(event_type: &'static str, time: Timestamp) -> Self {
        Self {
            timestamp: Time(time),
            flow_id: None,
            in_iface: None,
            pcap_cnt: None,
            event_type,
            vlan: &[],
            src_ip: None,
            src_port: None,
            dest_ip: None,
            dest_port: None,
            proto: None,
            app_proto: None,
            tx_id: None,
            community_id: None,
            alert: None,
            incident: None,
            smtp: None,
            email: None,
            dns: None,
            fileinfo: None,
            anomaly: None,
            flow: None,
            tcp: None,
            stats: None,
            pcap_filename: None,
        }
    }

    /// Fills in a flow's identity; the client is the source.
    pub fn set_flow(&mut self, flow: &'a Flow) {
        self.flow_id = Some(flow.id());
        self.vlan = flow.vlans.as_slice();
        self.src_ip = Some(flow.client.ip());
        let ports = flow.transport.has_ports();
        self.src_port = ports.then_some(flow.client.port());
        self.dest_ip = Some(flow.server.ip());
        self.dest_port = ports.then_some(flow.server.port());
        self.proto = Some(flow.transport.name());
        self.community_id = Some(flow.community_id()).filter(|id| !id.is_empty());
    }
}

/// `alert`: Suricata's fields to `metadata` (whose values are lists there); the rest is ours.
pub struct AlertBody<'a>(pub &'a Alert);

impl Serialize for AlertBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let alert = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("action", "allowed")?;
        map.serialize_entry("gid", &1)?;
        map.serialize_entry("signature_id", &alert.sid)?;
        map.serialize_entry("rev", &alert.rev)?;
        map.serialize_entry("signature", &alert.title)?;
        map.serialize_entry("category", &alert.category)?;
        map.serialize_entry("severity", &alert.severity.number())?;
        map.serialize_entry(
            "metadata",
            &Metadata { severity: [alert.severity.name()], host: alert.host.map(|h| [h]) },
        )?;
        map.serialize_entry("rule", &alert.rule)?;
        map.serialize_entry("evidence", &Each(&alert.evidence, EvidenceBody))?;
        if !alert.remediation.is_empty() {
            map.serialize_entry("remediation", &alert.remediation)?;
        }
        if !alert.references.is_empty() {
            map.serialize_entry("reference", &alert.references)?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct Metadata {
    severity: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<[IpAddr; 1]>,
}

/// A reason: `source`, `text`, and its `figures` by name. Also in the JSON summary.
pub struct EvidenceBody<'a>(pub &'a Evidence);

impl Serialize for EvidenceBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut evidence = serializer.serialize_struct("Evidence", 3)?;
        evidence.serialize_field("source", &self.0.source)?;
        evidence.serialize_field("text", &self.0.text)?;
        evidence.serialize_field("figures", &Figures(&self.0.figures))?;
        evidence.end()
    }
}

struct Figures<'a>(&'a [(&'static str, Figure)]);

impl Serialize for Figures<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, figure)| (name, FigureBody(figure))))
    }
}

struct FigureBody<'a>(&'a Figure);

impl Serialize for FigureBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Figure::Count(count) => count.serialize(serializer),
            Figure::Real(real) => real.serialize(serializer),
            Figure::Text(text) => text.serialize(serializer),
            Figure::List(list) => list.serialize(serializer),
        }
    }
}

/// `incident`: a host's case. All ours.
pub struct IncidentBody<'a>(pub &'a Incident);

impl Serialize for IncidentBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let incident = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &incident.id)?;
        map.serialize_entry("host", &incident.host)?;
        if !incident.other_addresses.is_empty() {
            map.serialize_entry("other_addresses", &incident.other_addresses)?;
        }
        map.serialize_entry("verdict", incident.verdict.name())?;
        map.serialize_entry("score", &incident.score)?;
        if let Some(role) = &incident.role {
            map.serialize_entry("role", role)?;
        }
        map.serialize_entry("first_seen", &Time(incident.first_seen))?;
        map.serialize_entry("last_seen", &Time(incident.last_seen))?;
        map.serialize_entry("messages", &incident.messages)?;
        map.serialize_entry("recipients", &incident.recipients)?;
        map.serialize_entry("mail_bytes", &incident.mail_bytes)?;
        map.serialize_entry("mx_lookups", &incident.mx_lookups)?;
        map.serialize_entry("share_of_link", &incident.share_of_link)?;
        map.serialize_entry("evidence", &Each(&incident.evidence, EvidenceBody))?;
        map.serialize_entry("timeline", &Each(&incident.timeline, MomentBody))?;
        map.serialize_entry("closed", &incident.closed)?;
        map.end()
    }
}

struct MomentBody<'a>(&'a Moment);

impl Serialize for MomentBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut moment = serializer.serialize_struct("Moment", 2)?;
        moment.serialize_field("time", &Time(self.0.time))?;
        moment.serialize_field("text", &self.0.text)?;
        moment.end()
    }
}

/// `anomaly`: Suricata's `type`, `event`, `layer`; `side` and `detail` are ours.
pub struct AnomalyBody<'a>(pub &'a Anomaly);

impl Serialize for AnomalyBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let anomaly = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", anomaly.layer.eve_type())?;
        map.serialize_entry("event", anomaly.name)?;
        map.serialize_entry("layer", anomaly.layer.name())?;
        if let Some(side) = anomaly.side {
            map.serialize_entry("side", if side == Side::Client { "client" } else { "server" })?;
        }
        if !anomaly.detail.is_empty() {
            map.serialize_entry("detail", &anomaly.detail)?;
        }
        map.end()
    }
}

/// `flow`: as Suricata has it, with our reasons for the end, which are finer than its own.
pub struct FlowBody<'a> {
    pub end: &'a FlowEnd,
    pub flow: &'a Flow,
}

impl Serialize for FlowBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (end, flow) = (self.end, self.flow);
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("pkts_toserver", &end.packets[0])?;
        map.serialize_entry("pkts_toclient", &end.packets[1])?;
        map.serialize_entry("bytes_toserver", &end.bytes[0])?;
        map.serialize_entry("bytes_toclient", &end.bytes[1])?;
        map.serialize_entry("start", &Time(flow.started))?;
        map.serialize_entry("end", &Time(end.last))?;
        map.serialize_entry("age", &end.age(flow.started).as_secs())?;
        map.serialize_entry("state", flow_state(end, flow).flow)?;
        map.serialize_entry("reason", end.reason.name())?;
        map.serialize_entry("alerted", &false)?;
        map.end()
    }
}

/// `tcp`: flags seen, in hexadecimal by direction and by name together.
pub struct TcpBody<'a> {
    pub end: &'a FlowEnd,
    pub flow: &'a Flow,
}

impl Serialize for TcpBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let [client, server] = self.end.tcp_flags;
        let both = client | server;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("tcp_flags", &Hex(&[both]))?;
        map.serialize_entry("tcp_flags_ts", &Hex(&[client]))?;
        map.serialize_entry("tcp_flags_tc", &Hex(&[server]))?;
        for (bit, name) in TCP_FLAGS {
            if both & bit != 0 {
                map.serialize_entry(name, &true)?;
            }
        }
        map.serialize_entry("state", flow_state(self.end, self.flow).tcp)?;
        map.end()
    }
}

struct FlowState {
    flow: &'static str,
    tcp: &'static str,
}

/// Suricata's words for how far a flow came, found from what was seen of it.
fn flow_state(end: &FlowEnd, flow: &Flow) -> FlowState {
    let [client, server] = end.tcp_flags;
    let (tcp, state) = match flow.transport {
        _ if matches!(end.reason, EndReason::Finished | EndReason::Reset) => ("closed", "closed"),
        Transport::Tcp if flow.midstream || (client & ACK != 0 && server & ACK != 0) => ("established", "established"),
        Transport::Tcp if server & SYN != 0 => ("syn_recv", "new"),
        Transport::Tcp => ("syn_sent", "new"),
        Transport::Udp | Transport::Other(_) if end.packets.iter().all(|&packets| packets > 0) => {
            ("none", "established")
        }
        Transport::Udp | Transport::Other(_) => ("none", "new"),
    };
    FlowState { flow: state, tcp }
}

/// A time in Suricata's form.
#[derive(Clone, Copy)]
pub struct Time(pub Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Bytes in lower-case hexadecimal.
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for Hex<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A list of values, each shown in another shape.
pub struct Each<'a, T, F>(pub &'a [T], pub F);

impl<'a, T, U: Serialize, F: Fn(&'a T) -> U> Serialize for Each<'a, T, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(&self.1))
    }
}

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// RFC 9293, section 3.1 (and RFC 3168 for the last two), in Suricata's order and under its names.
const TCP_FLAGS: [(u8, &str); 8] = [
    (SYN, "syn"),
    (0x01, "fin"),
    (0x04, "rst"),
    (0x08, "psh"),
    (ACK, "ack"),
    (0x20, "urg"),
    (0x40, "ecn"),
    (0x80, "cwr"),
];
