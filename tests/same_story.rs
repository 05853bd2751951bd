//! One sample, changed in ways that change nothing of what was said: segments cut, joined, repeated, out of order; IP in
//! fragments; tags, tunnels and link types around it. The mails, files, questions, alerts and anomalies told must stay
//! the same, and nothing may be told as lost.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::OnceLock;

use assert_cmd::Command;
use mailsnare_lab::capture::{Packet, PcapFormat, pcap};
use mailsnare_lab::samples;
use mailsnare_lab::wire::{self, ACK, FIN, Ip, Link, Mac, PSH, RST, SYN, Tcp};
use serde_json::Value;

// --- segments ---------------------------------------------------------------------------------------------------

#[test]
fn however_segments_are_cut_or_joined() {
    for size in [1, 7, 100, 536] {
        assert_same(&format!("cut to {size}"), &each_data(sample(), |segment| segment.cut(size)));
    }
    let reversed = |segment: &Segment| segment.cut(7).into_iter().rev().collect();
    assert_same("cut to 7, reversed", &each_data(sample(), reversed));
    assert_same("joined by offload", &joined(sample(), 9_000));
}

#[test]
fn however_often_bytes_come() {
    assert_same("doubled", &each(sample(), |_| true, |segment| vec![segment.clone(), segment.clone()]));
    assert_same(
        "half, whole, rest",
        &each_data(sample(), |segment| {
            let [half, rest] = segment.halves();
            vec![half, segment.clone(), rest]
        }),
    );
    assert_same(
        "rest, half, whole",
        &each_data(sample(), |segment| {
            let [half, rest] = segment.halves();
            vec![rest, half, segment.clone()]
        }),
    );
    assert_same(
        "keep-alive probes with a byte",
        &each_data(sample(), |segment| {
            let probe = Segment { seq: segment.seq.wrapping_sub(1), payload: vec![0], flags: ACK, ..segment.clone() };
            vec![probe, segment.clone()]
        }),
    );
}

/// More at once than the 4 KiB that a stream keeps for comparison.
#[test]
fn however_much_of_it_comes_again() {
    for again in [1, 4_096, 4_150, 6_000] {
        let mut said: BTreeMap<Ends, Vec<u8>> = BTreeMap::new();
        let repeated = each_data(&joined(sample(), 9_000), |segment| {
            let said = said.entry(segment.ends()).or_default();
            said.extend_from_slice(&segment.payload);
            let back = &said[said.len().saturating_sub(again)..];
            let seq = segment.seq.wrapping_add(segment.payload.len() as u32).wrapping_sub(back.len() as u32);
            vec![segment.clone(), Segment { seq, payload: back.to_vec(), ..segment.clone() }]
        });
        assert_same(&format!("joined, and {again} bytes again"), &repeated);
    }
}

/// A reply before its command, an acknowledgment before what it acknowledges, FINs among them.
#[test]
fn whichever_of_two_neighbours_comes_first() {
    for phase in 0..2 {
        let mut packets = sample().to_vec();
        for at in (phase..packets.len() - 1).step_by(2) {
            let [Some(one), Some(other)] = [0, 1].map(|n| Segment::of(&packets[at + n])) else { continue };
            if one.connection() == other.connection() && (one.flags | other.flags) & RST == 0 {
                (packets[at].data, packets[at + 1].data) = (other.packet().data, one.packet().data);
            }
        }
        assert_same(&format!("swapped from {phase} on"), &packets);
    }
}

#[test]
fn wherever_sequence_numbers_wrap() {
    let mut begun: BTreeMap<Ends, u32> = BTreeMap::new();
    for segment in sample().iter().filter_map(Segment::of) {
        begun.entry(segment.ends()).or_insert(segment.seq);
    }
    for before in [0, 1, 20, 300, 9_000_u32] {
        let shift = |ends: Ends| 0_u32.wrapping_sub(before).wrapping_sub(begun[&ends]);
        let moved = |segment: &Segment| {
            let [one, other] = segment.ends();
            let (seq, ack) = (segment.seq.wrapping_add(shift([one, other])), shift([other, one]));
            let ack = if segment.flags & ACK == 0 { 0 } else { segment.ack.wrapping_add(ack) };
            vec![Segment { seq, ack, ..segment.clone() }]
        };
        assert_same(&format!("wrapped after {before} bytes"), &each(sample(), |_| true, moved));
    }
}

#[test]
fn whatever_their_receiver_drops() {
    for (name, flags, behind) in [
        ("FIN of long ago", FIN | ACK, 0x3000_0000),
        ("FIN of bytes just acknowledged", FIN | ACK, 3),
        ("FIN far ahead", FIN | ACK, 0xd000_0000),
        ("RST far off", RST, 0x3000_0000),
        ("bytes of long ago", PSH | ACK, 0x3000_0000_u32),
    ] {
        let stray = |segment: &Segment| {
            let payload = if flags & PSH == 0 { Vec::new() } else { b"RSET\r\n".to_vec() };
            vec![segment.clone(), Segment { seq: segment.seq.wrapping_sub(behind), flags, payload, ..segment.clone() }]
        };
        assert_same(name, &each_data(sample(), stray));
    }
}

// --- packets ----------------------------------------------------------------------------------------------------

#[test]
fn however_datagrams_are_cut() {
    for size in [8, 24, 256] {
        let cut = |packet: &Packet| fragments(&packet.data[14..], size);
        let reversed = |packet: &Packet| cut(packet).into_iter().rev().collect();
        // A whole datagram that comes twice was said twice.
        let doubled = |packet: &Packet| {
            let fragments = cut(packet);
            let copies = 1 + usize::from(fragments.len() > 1);
            fragments.into_iter().flat_map(|fragment| vec![fragment; copies]).collect()
        };
        assert_same(&format!("fragments of {size}"), &each_ip(cut));
        assert_same(&format!("fragments of {size}, reversed"), &each_ip(reversed));
        assert_same(&format!("fragments of {size}, doubled"), &each_ip(doubled));
    }
}

/// The bytes before an Ethernet frame or an IPv4 packet within another, each by its standard.
#[test]
fn whatever_is_around_it() {
    let vxlan = [0x08, 0, 0, 0, 0, 0, 42, 0];
    let geneve = [0x02, 0x40, 0x65, 0x58, 0, 0, 42, 0, 1, 2, 0x80, 1, 0, 0, 0, 1];
    type Wrap<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;
    let wraps: [(&str, Wrap<'_>); 12] = [
        ("802.1Q", &|frame| [&frame[..12], &[0x81, 0, 0, 42], &frame[12..]].concat()),
        ("802.1ad", &|frame| [&frame[..12], &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 42], &frame[12..]].concat()),
        ("MPLS", &|frame| [&frame[..12], &[0x88, 0x47, 0, 1, 0, 64, 0, 2, 1, 64], &frame[14..]].concat()),
        ("PPPoE", &|frame| {
            let len = (frame.len() - 14 + 2) as u16;
            [&frame[..12], &[0x88, 0x64, 0x11, 0, 0, 5], &len.to_be_bytes(), &[0, 0x21], &frame[14..]].concat()
        }),
        ("802.1ah", &|frame| [&frame[..12], &[0x88, 0xe7, 0, 0, 0, 42], frame].concat()),
        ("IP in IP", &|frame| outer(4, &frame[14..])),
        ("GRE", &|frame| outer(47, &[&[0x20, 0, 0x08, 0, 0, 0, 0, 7], &frame[14..]].concat())),
        ("GRE with Ethernet", &|frame| outer(47, &[&[0, 0, 0x65, 0x58], frame].concat())),
        ("ERSPAN II", &|frame| {
            outer(47, &[&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 7, 0, 11, 0, 0, 0, 0], frame].concat())
        }),
        ("VXLAN", &|frame| outer_udp(4_789, &[&vxlan[..], frame].concat())),
        ("Geneve with an option", &|frame| outer_udp(6_081, &[&geneve[..], frame].concat())),
        ("GTP-U", &|frame| {
            let len = (frame.len() - 14) as u16;
            outer_udp(2_152, &[&[0x30, 255], &len.to_be_bytes()[..], &[0, 0, 0, 1], &frame[14..]].concat())
        }),
    ];
    for (name, wrap) in wraps {
        let wrapped = |packet: &Packet| Packet { time: packet.time, data: wrap(&unpadded(&packet.data)) };
        assert_same(name, &sample().iter().map(wrapped).collect::<Vec<_>>());
    }
}

#[test]
fn whatever_link_it_was_captured_on() {
    let cooked = [0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0];
    let cooked2 = [8, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
    let links: [(u32, &[u8]); 8] = [
        (101, &[]),
        (228, &[]),
        (113, &cooked),
        (276, &cooked2),
        (0, &[2, 0, 0, 0]),
        (108, &[0, 0, 0, 2]),
        (9, &[0xff, 3, 0, 0x21]),
        (104, &[0x0f, 0, 8, 0]),
    ];
    for (link, header) in links {
        let relinked =
            |packet: &Packet| Packet { time: packet.time, data: [header, &unpadded(&packet.data)[14..]].concat() };
        let packets: Vec<_> = sample().iter().map(relinked).collect();
        assert_told_alike(&format!("link type {link}"), &pcap(&packets, PcapFormat { link, ..PcapFormat::default() }));
    }
}

// --- changing ---------------------------------------------------------------------------------------------------

/// From whom to whom.
type Ends = [(IpAddr, u16); 2];

/// A TCP segment and what carries it.
#[derive(Clone, Debug)]
struct Segment {
    time: i64,
    ip: Ip,
    ports: [u16; 2],
    seq: u32,
    ack: u32,
    flags: u8,
    window: u16,
    options: Vec<u8>,
    payload: Vec<u8>,
}

impl Segment {
    /// Reads an Ethernet frame of the sample: IPv4 without options.
    fn of(packet: &Packet) -> Option<Self> {
        let (ip, word) = (&packet.data[14..], |at: usize| u16::from_be_bytes([packet.data[at], packet.data[at + 1]]));
        if ip[9] != 6 {
            return None;
        }
        let long = |at: usize| u32::from(word(at)) << 16 | u32::from(word(at + 2));
        let [src, dst] = [12, 16].map(|at| IpAddr::from(Ipv4Addr::from(long(14 + at))));
        let (header, end) = (34 + usize::from(packet.data[46] >> 4) * 4, 14 + usize::from(word(16)));
        Some(Self {
            time: packet.time,
            ip: Ip { src, dst, ttl: ip[8], id: word(18), df: ip[6] & 0x40 != 0 },
            ports: [word(34), word(36)],
            seq: long(38),
            ack: long(42),
            flags: packet.data[47],
            window: word(48),
            options: packet.data[54..header].to_vec(),
            payload: packet.data[header..end].to_vec(),
        })
    }

    fn packet(&self) -> Packet {
        let Self { ports: [src_port, dst_port], seq, ack, flags, window, ref options, .. } = *self;
        let mut data = Vec::new();
        wire::tcp(
            &mut data,
            &link(),
            &self.ip,
            &Tcp { src_port, dst_port, seq, ack, flags, window, options },
            &self.payload,
        );
        Packet { time: self.time, data }
    }

    fn ends(&self) -> Ends {
        [(self.ip.src, self.ports[0]), (self.ip.dst, self.ports[1])]
    }

    fn connection(&self) -> Ends {
        let mut ends = self.ends();
        ends.sort();
        ends
    }

    fn cut(&self, size: usize) -> Vec<Self> {
        let piece = |(n, bytes): (usize, &[u8])| {
            let last = (n + 1) * size >= self.payload.len();
            let flags = if last { self.flags } else { self.flags & !PSH };
            Self { seq: self.seq.wrapping_add((n * size) as u32), flags, payload: bytes.to_vec(), ..self.clone() }
        };
        self.payload.chunks(size).enumerate().map(piece).collect()
    }

    /// The second half may be empty.
    fn halves(&self) -> [Self; 2] {
        let (half, rest) = self.payload.split_at(self.payload.len().div_ceil(2));
        let at = |back: usize, payload: &[u8]| Self {
            seq: self.seq.wrapping_add(back as u32),
            payload: payload.to_vec(),
            ..self.clone()
        };
        [at(0, half), at(half.len(), rest)]
    }
}

/// Segments in place of each that is `wanted`.
fn each(
    packets: &[Packet],
    wanted: impl Fn(&Segment) -> bool,
    mut change: impl FnMut(&Segment) -> Vec<Segment>,
) -> Vec<Packet> {
    let changed = |packet: &Packet| match Segment::of(packet) {
        Some(segment) if wanted(&segment) => change(&segment).iter().map(Segment::packet).collect(),
        _ => vec![packet.clone()],
    };
    packets.iter().flat_map(changed).collect()
}

fn each_data(packets: &[Packet], change: impl FnMut(&Segment) -> Vec<Segment>) -> Vec<Packet> {
    each(packets, |segment| !segment.payload.is_empty() && segment.flags & (SYN | FIN | RST) == 0, change)
}

/// What one side says before the other says anything, as segments of at most `limit` bytes.
fn joined(packets: &[Packet], limit: usize) -> Vec<Packet> {
    let (mut out, mut last) = (Vec::<Packet>::new(), BTreeMap::<Ends, usize>::new());
    for packet in packets {
        if let Some(segment) = Segment::of(packet) {
            let before = last.get(&segment.connection()).map(|&at| (at, Segment::of(&out[at]).unwrap()));
            if let Some((at, mut before)) = before
                && before.ends() == segment.ends()
                && (before.flags | segment.flags) & (SYN | FIN | RST) == 0
                && before.seq.wrapping_add(before.payload.len() as u32) == segment.seq
                && !before.payload.is_empty()
                && !segment.payload.is_empty()
                && before.payload.len() + segment.payload.len() <= limit
            {
                before.payload.extend(&segment.payload);
                out[at] = before.packet();
                continue;
            }
            if !segment.payload.is_empty() || segment.flags & (SYN | FIN | RST) != 0 {
                last.insert(segment.connection(), out.len());
            }
        }
        out.push(packet.clone());
    }
    out
}

/// Other IPv4 packets in place of each.
fn each_ip(change: impl Fn(&Packet) -> Vec<Vec<u8>>) -> Vec<Packet> {
    let framed = |packet: &Packet, ip: Vec<u8>| Packet { time: packet.time, data: [&packet.data[..14], &ip].concat() };
    sample()
        .iter()
        .flat_map(|packet| change(packet).into_iter().map(|ip| framed(packet, ip)).collect::<Vec<_>>())
        .collect()
}

/// An IPv4 packet in fragments (RFC 791, section 3.2) with `size` bytes each.
fn fragments(packet: &[u8], size: usize) -> Vec<Vec<u8>> {
    let len = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
    let count = (len - 20).div_ceil(size);
    let fragment = |(n, bytes): (usize, &[u8])| {
        let more = if n + 1 < count { 0x2000 } else { 0 };
        let mut fragment = [&packet[..20], bytes].concat();
        fragment[2..4].copy_from_slice(&(20 + bytes.len() as u16).to_be_bytes());
        fragment[6..8].copy_from_slice(&((n * size / 8) as u16 | more).to_be_bytes());
        seal(&mut fragment);
        fragment
    };
    packet[20..len].chunks(size).enumerate().map(fragment).collect()
}

/// A frame with an IPv4 packet that carries `payload`.
fn outer(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let len = (20 + payload.len()) as u16;
    let mut ip =
        [&[0x45, 0], &len.to_be_bytes()[..], &[0, 1, 0, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2], payload]
            .concat();
    seal(&mut ip);
    [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0][..], &ip].concat()
}

fn outer_udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let [src, dst] = [1, 2].map(|host| IpAddr::from(Ipv4Addr::new(192, 0, 2, host)));
    let mut frame = Vec::new();
    wire::udp(&mut frame, &link(), &Ip { src, dst, ttl: 64, id: 1, df: false }, (50_000, port), payload);
    frame
}

/// Puts the right checksum into an IPv4 header of 20 bytes.
fn seal(packet: &mut [u8]) {
    packet[10..12].fill(0);
    let sum = wire::checksum(0, &packet[..20]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// Without what fills a frame up to Ethernet's least length.
fn unpadded(frame: &[u8]) -> Vec<u8> {
    frame[..14 + wire::ip_length(frame) as usize].to_vec()
}

fn link() -> Link {
    Link { src: Mac([2, 0, 0, 0, 0, 1]), dst: Mac([2, 0, 0, 0, 0, 2]), vlan: None }
}

// --- telling ----------------------------------------------------------------------------------------------------

fn sample() -> &'static [Packet] {
    static SAMPLE: OnceLock<Vec<Packet>> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let recipe = samples::ALL.iter().find(|recipe| recipe.name == "arrival").expect("a sample of this name");
        recipe.make().packets
    })
}

#[track_caller]
fn assert_same(name: &str, packets: &[Packet]) {
    assert_told_alike(name, &pcap(packets, PcapFormat::default()));
}

#[track_caller]
fn assert_told_alike(name: &str, capture: &[u8]) {
    static AS_IT_WAS: OnceLock<Vec<String>> = OnceLock::new();
    let as_it_was = AS_IT_WAS.get_or_init(|| told(&pcap(sample(), PcapFormat::default())));
    assert!(as_it_was.iter().any(|line| line.contains("mimail-c")), "{as_it_was:#?}");
    let now = told(capture);
    let lacking: Vec<_> = as_it_was.iter().filter(|line| !now.contains(line)).collect();
    let added: Vec<_> = now.iter().filter(|line| !as_it_was.contains(line)).collect();
    assert!(lacking.is_empty() && added.is_empty(), "{name}: lacking {lacking:#?}, added {added:#?}");
    assert_eq!(now.len(), as_it_was.len(), "{name}");
}

/// What is told of a capture, without when, and in how many packets and bytes.
fn told(capture: &[u8]) -> Vec<String> {
    let mut command = Command::cargo_bin("mailsnare").unwrap();
    command.args(["replay", "-", "--eve", "-", "--events", "smtp,fileinfo,dns,alert,anomaly,stats"]);
    let output = command.write_stdin(capture).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let mut told: Vec<_> = lines.lines().map(|line| essence(serde_json::from_str(line).unwrap())).collect();
    told.sort();
    told
}

fn essence(mut line: Value) -> String {
    if line["event_type"] == "stats" {
        let stats = &line["stats"];
        let lost = ["reassembly_gap", "overlap_diff_data", "segment_memcap_drop"].map(|name| &stats["tcp"][name]);
        return format!("lost: {lost:?}, {}, {}", stats["defrag"]["dropped"], stats["mailsnare"]["smtp"]);
    }
    let object = line.as_object_mut().unwrap();
    for name in ["timestamp", "flow_id", "pcap_cnt", "vlan"] {
        object.remove(name);
    }
    if let Some(alert) = object.get_mut("alert") {
        alert["evidence"].take();
    }
    line.to_string()
}
