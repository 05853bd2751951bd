//! IPv4 (RFC 791), IPv6 (RFC 8200) with its extension headers, AH (RFC 4302), and what IP carries.

use std::net::IpAddr;

use etherparse::{Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice};

use crate::model::limits;
use crate::model::time::Timestamp;

use super::fragment::{Fragment, Key};
use super::walk::{Fault, Found, Layer, Next, Step, Walk};
use super::{Context, Decoded, IpFacts, tunnel};

impl Walk {
    /// An IPv4 header.
    pub(super) fn ipv4(&mut self, bytes: &[u8], now: Timestamp, context: &mut Context) -> Result<Next, Fault> {
        let header = Ipv4HeaderSlice::from_slice(self.rest(bytes)).map_err(|_| Fault::Invalid)?;
        let header_len = header.slice().len();
        let total = match usize::from(header.total_len()) {
            // Segmentation offload: the packet was captured before the hardware cut it and wrote lengths.
            0 => self.on_wire(),
            total => total,
        };
        if total < header_len {
            return Err(Fault::Invalid);
        }
        self.shorten(total)?;
        self.begin(header.total_len() == 0);
        self.at += header_len;
        context.stats.ipv4 += 1;
        let ip = self.note(header.source_addr().into(), header.destination_addr().into(), header.ttl(), total);
        let protocol = header.protocol().0;
        if !header.is_fragmenting_payload() {
            return Ok(Next::Layer(Layer::Payload(protocol, 4)));
        }
        let fragment = Fragment {
            key: Key { src: ip.src, dst: ip.dst, id: header.identification().into(), protocol },
            ip,
            protocol,
            offset: usize::from(header.fragments_offset().value()) * 8,
            more: header.more_fragments(),
            bytes: self.rest(bytes),
        };
        self.fragment(&fragment, now, context)
    }

    /// An IPv6 header.
    pub(super) fn ipv6(&mut self, bytes: &[u8], context: &mut Context) -> Result<Next, Fault> {
        let header = Ipv6HeaderSlice::from_slice(self.rest(bytes)).map_err(|_| Fault::Invalid)?;
        let total = match usize::from(header.payload_length()) {
            // Jumbograms (RFC 2675) and segmentation offload: as long as the frame.
            0 if header.next_header().0 != NO_NEXT_HEADER => self.on_wire(),
            payload => IPV6_HEADER + payload,
        };
        self.shorten(total)?;
        self.begin(header.payload_length() == 0);
        self.at += IPV6_HEADER;
        context.stats.ipv6 += 1;
        self.note(header.source_addr().into(), header.destination_addr().into(), header.hop_limit(), total);
        Ok(Next::Layer(Layer::Payload(header.next_header().0, 6)))
    }

    /// Here an IP header begins.
    fn begin(&mut self, unstated: bool) {
        (self.ip_at, self.unstated) = (Some(self.at), unstated);
    }

    fn note(&mut self, src: IpAddr, dst: IpAddr, ttl: u8, total: usize) -> IpFacts {
        let ip = IpFacts { src, dst, vlans: self.vlans, ttl, bytes: u32::try_from(total).unwrap_or(u32::MAX) };
        self.extensions = 0;
        *self.ip.insert(ip)
    }

    /// What an IP header carries.
    pub(super) fn payload(
        &mut self,
        protocol: u8,
        version: u8,
        bytes: &[u8],
        now: Timestamp,
        context: &mut Context,
    ) -> Result<Next, Fault> {
        let ip = self.ip.ok_or(Fault::Invalid)?;
        let inner = match protocol {
            TCP => return self.tcp(ip, bytes).and_then(|found| self.end(found)),
            UDP => return self.datagram(ip, bytes, context),
            AUTHENTICATION => return self.extension(protocol, version, bytes, context),
            HOP_BY_HOP | ROUTING | DESTINATION | MOBILITY | HIP | SHIM6 if version == 6 => {
                return self.extension(protocol, version, bytes, context);
            }
            FRAGMENT if version == 6 => return self.ipv6_fragment(ip, bytes, now, context),
            4 => Layer::Ipv4,
            41 => Layer::Ipv6,
            47 => Layer::Gre,
            97 => Layer::EtherIp,
            137 => Layer::Mpls,
            // Ethernet in segment routing (RFC 8986).
            143 if version == 6 => Layer::Ethernet,
            ICMP | ICMPV6 => return self.end(self.icmp(ip, protocol, bytes)),
            _ => return self.end(Found::other(ip, protocol)),
        };
        self.enter(Found::other(ip, protocol), context)?;
        Ok(Next::Layer(inner))
    }

    /// A control message; of a fragment, which has no first byte to look at, or a later one, no more is said.
    fn icmp(&self, ip: IpFacts, protocol: u8, bytes: &[u8]) -> Found {
        let request = if protocol == ICMP { ECHO_REQUEST } else { ECHO_REQUEST_V6 };
        match self.rest(bytes).first() {
            Some(&kind) if kind == request => {
                Found { decoded: Decoded::Echo(ip, protocol), ..Found::other(ip, protocol) }
            }
            _ => Found::other(ip, protocol),
        }
    }

    /// An extension header: the next header's number, and a length in units of eight bytes after the first eight
    /// (RFC 8200, section 4; RFC 6564), for AH in units of four after the first eight (RFC 4302, section 2.2).
    ///
    /// An AH shorter than the 12 bytes of its fixed part is taken by its own word, as Zeek and tshark take it: nothing
    /// of it is used here.
    fn extension(&mut self, protocol: u8, version: u8, bytes: &[u8], context: &mut Context) -> Result<Next, Fault> {
        self.count_extension(context)?;
        let [next, len, ..] = *self.rest(bytes) else { return Err(Fault::Invalid) };
        let len = match protocol {
            AUTHENTICATION => 8 + usize::from(len) * 4,
            _ => 8 + usize::from(len) * 8,
        };
        self.apply(Step::to(Layer::Payload(next, version), len))
    }

    /// An IPv6 fragment header (RFC 8200, section 4.5).
    fn ipv6_fragment(
        &mut self,
        ip: IpFacts,
        bytes: &[u8],
        now: Timestamp,
        context: &mut Context,
    ) -> Result<Next, Fault> {
        self.count_extension(context)?;
        let header = Ipv6FragmentHeaderSlice::from_slice(self.rest(bytes)).map_err(|_| Fault::Invalid)?;
        self.at += header.slice().len();
        let protocol = header.next_header().0;
        if !header.is_fragmenting_payload() {
            // RFC 6946: an atomic fragment is processed apart from all others.
            return Ok(Next::Layer(Layer::Payload(protocol, 6)));
        }
        let fragment = Fragment {
            // Fragments may differ in their next header; that of the first counts.
            key: Key { src: ip.src, dst: ip.dst, id: header.identification(), protocol: FRAGMENT },
            ip,
            protocol,
            offset: usize::from(header.fragment_offset().value()) * 8,
            more: header.more_fragments(),
            bytes: self.rest(bytes),
        };
        self.fragment(&fragment, now, context)
    }

    fn fragment(&self, fragment: &Fragment<'_>, now: Timestamp, context: &mut Context) -> Result<Next, Fault> {
        let Context { stats, anomalies, fragments } = context;
        stats.fragments += 1;
        if self.lost > 0 {
            // A hole could never be filled.
            stats.fragments_dropped += 1;
            return Ok(Next::Kept);
        }
        Ok(fragments.insert(fragment, now, stats, anomalies)?.map_or(Next::Kept, |whole| Next::Whole(Box::new(whole))))
    }

    fn count_extension(&mut self, context: &mut Context) -> Result<(), Fault> {
        self.extensions += 1;
        if self.extensions > limits::MAX_IPV6_EXTENSIONS {
            context.anomalies.add("ipv6-too-many-extensions", || format!("over {}", limits::MAX_IPV6_EXTENSIONS));
            return Err(Fault::Invalid);
        }
        Ok(())
    }

    /// A UDP datagram, or the tunnel it carries.
    fn datagram(&mut self, ip: IpFacts, bytes: &[u8], context: &mut Context) -> Result<Next, Fault> {
        let found = self.udp(ip, bytes)?;
        let Decoded::Udp(udp) = found.decoded else { return self.end(found) };
        if !tunnel::is_tunnel_port(udp.src_port, udp.dst_port) {
            return self.end(found);
        }
        let payload = bytes.get(found.payload.clone()).unwrap_or_default();
        let missing = usize::try_from(udp.missing).unwrap_or(usize::MAX);
        match tunnel::over_udp(udp.src_port, udp.dst_port, payload, payload.len().saturating_add(missing)) {
            Some(step) => {
                (self.at, self.end, self.lost) = (found.payload.start, found.payload.end, missing);
                self.enter(found, context)?;
                self.apply(step)
            }
            None => self.end(found),
        }
    }
}

const IPV6_HEADER: usize = 40;

// IANA's protocol numbers.
const HOP_BY_HOP: u8 = 0;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
/// Types of control messages (RFC 792; RFC 4443, section 4.1).
const ECHO_REQUEST: u8 = 8;
const ECHO_REQUEST_V6: u8 = 128;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const NO_NEXT_HEADER: u8 = 59;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;
const HIP: u8 = 139;
const SHIM6: u8 = 140;
