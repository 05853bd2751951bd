//! Real captures of other projects' test suites, decoded: every flow their oracles state must be found.
//!
//! The captures are no part of the repository. `MAILSNARE_CAPTURES` names the folder that holds them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use mailsnare::decode::{Decoded, Decoder};
use mailsnare::model::time::Timestamp;
use pcap_parser::{Block, PcapBlockOwned, PcapError, create_reader};
use serde_json::Value;

/// Cases that differ and may, each with the reason and who says so.
const DIFFERING: &[(&str, &str)] = &[
    (
        "suricata-decode-too-small",
        "The UDP header has 4 bytes of its 8 (RFC 768); tshark shows the ports and says \"Malformed Packet\".",
    ),
    (
        "zeek-ipv4-fragmented-1",
        "The first fragment is no multiple of 8 bytes long (RFC 791, section 3.2) and another runs past the last; tshark \
         says \"Malformed Packet\".",
    ),
    (
        "zeek-tunnels-gre-aruba-amsdu",
        "GRE type 0x8240 carries IEEE 802.11 frames (tshark: gre, wlan), which are not decoded.",
    ),
];

/// Both ends of a flow, smaller first; the port is 0 where the transport has none.
type Ends = [(IpAddr, u16); 2];

#[test]
fn every_stated_flow_is_decoded() {
    let mut cases = cases("decode");
    cases.sort();
    let (mut agreed, mut differing, mut beyond) = (0, Vec::new(), Vec::new());
    for case in &cases {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let expected: Value = serde_json::from_slice(&fs::read(case.join("expected.json")).unwrap()).unwrap();
        let seen = flows_of(case);
        match expected["flows"].as_array().unwrap().iter().find(|flow| !seen.contains(&ends_of(flow))) {
            None => agreed += 1,
            Some(flow) if expected["beyond"].as_bool() == Some(true) => beyond.push(format!("{name}: {flow}")),
            Some(flow) => differing.push((name, flow.to_string())),
        }
    }
    if cases.is_empty() {
        return;
    }
    println!("{agreed} of {} agree; beyond the contract: {beyond:#?}", cases.len());
    let unlisted: Vec<_> =
        differing.iter().filter(|(name, _)| DIFFERING.iter().all(|(listed, _)| listed != name)).collect();
    assert!(unlisted.is_empty(), "flows not seen: {unlisted:#?}");
    let healed: Vec<_> =
        DIFFERING.iter().filter(|(listed, _)| differing.iter().all(|(name, _)| name != listed)).collect();
    assert!(healed.is_empty(), "listed as differing, and agree: {healed:#?}");
}

/// Captures made to break dissectors, and everything else there is.
#[test]
fn no_capture_makes_the_decoder_panic() {
    for case in ["core", "more", "robust"].iter().flat_map(|set| cases(set)) {
        let mut decoder = Decoder::new();
        // Some files are damaged; what can be read of them is.
        let _ = for_each_packet(&trace_of(&case), |link, data, wire_len, now| {
            decoder.decode(link, data, wire_len, now);
        });
    }
}

/// The folders of a set; none, with a word to the reader, where the captures are absent.
fn cases(set: &str) -> Vec<PathBuf> {
    let folder = std::env::var_os("MAILSNARE_CAPTURES").map_or_else(|| "../shared/captures".into(), PathBuf::from);
    let Ok(entries) = fs::read_dir(folder.join(set)) else {
        println!("skipped: no captures in {}; set MAILSNARE_CAPTURES to their folder", folder.display());
        return Vec::new();
    };
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn trace_of(case: &Path) -> PathBuf {
    ["trace.pcap", "trace.pcapng"].map(|name| case.join(name)).into_iter().find(|path| path.exists()).unwrap()
}

fn ends_of(flow: &Value) -> Ends {
    let end = |ip: &str, port: &str| {
        (flow[ip].as_str().unwrap().parse().unwrap(), u16::try_from(flow[port].as_u64().unwrap_or(0)).unwrap())
    };
    sorted(end("src_ip", "src_port"), end("dest_ip", "dest_port"))
}

fn sorted(one: (IpAddr, u16), other: (IpAddr, u16)) -> Ends {
    [one.min(other), one.max(other)]
}

fn flows_of(case: &Path) -> BTreeSet<Ends> {
    let mut decoder = Decoder::new();
    let mut flows = BTreeSet::new();
    for_each_packet(&trace_of(case), |link, data, wire_len, now| {
        let (ip, ports) = match decoder.decode(link, data, wire_len, now) {
            Decoded::Tcp(segment) => (segment.ip, (segment.src_port, segment.dst_port)),
            Decoded::Udp(datagram) => (datagram.ip, (datagram.src_port, datagram.dst_port)),
            Decoded::Other(ip, _) | Decoded::Echo(ip, _) => (ip, (0, 0)),
            Decoded::Nothing => return,
        };
        flows.insert(sorted((ip.src, ports.0), (ip.dst, ports.1)));
    })
    .unwrap();
    flows
}

/// Calls `each` with link type, bytes, length on the wire and time of every packet of a capture file.
fn for_each_packet(path: &Path, mut each: impl FnMut(u32, &[u8], u32, Timestamp)) -> Result<(), String> {
    let wrong = |what: &dyn std::fmt::Debug| format!("{}: {what:?}", path.display());
    let mut reader = create_reader(1 << 20, File::open(path).unwrap()).map_err(|error| wrong(&error))?;
    let (mut links, mut file_link) = (Vec::new(), 0);
    loop {
        match reader.next() {
            Ok((offset, block)) => {
                match block {
                    PcapBlockOwned::LegacyHeader(header) => file_link = header.network.0.cast_unsigned(),
                    PcapBlockOwned::Legacy(packet) => {
                        let at = Timestamp::from_parts(packet.ts_sec.into(), i64::from(packet.ts_usec) * 1_000);
                        each(file_link, kept(packet.data, packet.caplen), packet.origlen, at);
                    }
                    PcapBlockOwned::NG(Block::SectionHeader(_)) => links.clear(),
                    PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
                        links.push(interface.linktype.0.cast_unsigned());
                    }
                    PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
                        let at = (i64::from(packet.ts_high) << 32) | i64::from(packet.ts_low);
                        let link = links.get(packet.if_id as usize).copied().unwrap_or_default();
                        let at = Timestamp::from_nanos(at.saturating_mul(1_000));
                        each(link, kept(packet.data, packet.caplen), packet.origlen, at);
                    }
                    PcapBlockOwned::NG(_) => {}
                }
                reader.consume(offset);
            }
            Err(PcapError::Eof) => return Ok(()),
            Err(PcapError::Incomplete(_)) => {
                if reader.reader_exhausted() {
                    return Err(wrong(&"cut short"));
                }
                reader.refill().map_err(|error| wrong(&error))?;
            }
            Err(error) => return Err(wrong(&error)),
        }
    }
}

/// What is a packet's own: pcapng pads to four bytes.
fn kept(data: &[u8], len: u32) -> &[u8] {
    data.get(..len as usize).unwrap_or(data)
}
