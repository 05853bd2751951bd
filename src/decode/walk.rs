//! The general path: a packet taken apart one header at a time.

use std::ops::Range;

use crate::model::limits;
use crate::model::net::Vlans;
use crate::model::time::Timestamp;

use super::fragment::Whole;
use super::{Context, Datagram, Decoded, IpFacts, Segment, Wire};
use super::{be16, link, tunnel};

/// Where in a packet the decoder stands, and what it learned on the way.
#[derive(Debug)]
pub(super) struct Walk {
    layer: Layer,
    /// The bytes not yet read: `at..end` of the packet, or of the datagram put together.
    pub(super) at: usize,
    pub(super) end: usize,
    /// Bytes after `end` that were on the wire but not captured.
    pub(super) lost: usize,
    /// The mirroring switch said it cut the frame (ERSPAN's T bit): an IP length past the end is then no contradiction.
    pub(super) cut: bool,
    pub(super) vlans: Vlans,
    /// The innermost IP header so far.
    pub(super) ip: Option<IpFacts>,
    /// Where that header begins, if it is among the bytes that are walked.
    pub(super) ip_at: Option<usize>,
    /// That header does not say how long it is (offload, jumbograms).
    pub(super) unstated: bool,
    /// IPv6 extension headers since that header.
    pub(super) extensions: usize,
    /// Tags, labels and tunnels taken off.
    depth: usize,
    /// What the packet is as far as was read: its transport, or the carrier of a tunnel, which it remains when
    /// nothing inside can be read. Kept here, for moving it from step to step would cost more than the step.
    pub(super) found: Option<Found>,
    /// The bytes are those of a datagram put together.
    pub(super) resumed: bool,
    /// ... from fragments that overlap.
    overlaps: bool,
}

/// The header expected next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    /// A link layer by its LINKTYPE_ number.
    Link(u32),
    Ethernet,
    Llc,
    Vlan,
    /// A tag of so many bytes before the next EtherType (802.1BR E-TAG, VN-Tag).
    Tag(usize),
    /// A tag of so many bytes before a whole Ethernet frame (802.1ah).
    Frame(usize),
    Mpls,
    Pppoe,
    Ppp,
    /// IP of the version its first four bits say.
    Ip,
    Ipv4,
    Ipv6,
    /// What an IP header of that version (4 or 6) carries, by protocol number.
    Payload(u8, u8),
    Gre,
    Erspan,
    Nsh,
    Trill,
    EtherIp,
}

/// How one header ends: what follows, after how many bytes, and how long that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) layer: Layer,
    pub(super) skip: usize,
    /// Bytes of what follows, where the header says so.
    pub(super) len: Option<usize>,
    /// The header says that what follows was cut.
    pub(super) cut: bool,
}

impl Step {
    /// `layer` after `skip` bytes.
    pub(super) fn to(layer: Layer, skip: usize) -> Self {
        Self { layer, skip, len: None, cut: false }
    }

    /// The same, for `len` bytes.
    pub(super) fn of(self, len: usize) -> Self {
        Self { len: Some(len), ..self }
    }
}

/// Why a walk ended without a find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A header is not all there or contradicts itself.
    Invalid,
    /// A protocol that is not followed.
    NotIp,
    UnsupportedLink,
}

/// What one step gave.
#[derive(Debug)]
pub(super) enum Next {
    Layer(Layer),
    /// There is nothing further in; [`Walk::found`] has what was found.
    End,
    /// A fragment that waits for others, or was refused.
    Kept,
    /// A datagram is complete; the walk resumes on its bytes.
    Whole(Box<Whole>),
}

/// A transport found, with the place of its payload instead of the payload, so that it outlives the walk's borrow.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) decoded: Decoded<'static>,
    pub(super) payload: Range<usize>,
    pub(super) place: Place,
}

/// The place of a packet and of the transport in it, as [`Wire`] has the bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    packet: Range<usize>,
    transport: u16,
    overlaps: bool,
}

impl Found {
    /// IP with a transport that is not followed.
    pub(super) fn other(ip: IpFacts, protocol: u8) -> Self {
        Self { decoded: Decoded::Other(ip, protocol), payload: 0..0, place: Place::default() }
    }

    /// The find with its payload, out of the bytes that were walked.
    pub(super) fn over(self, bytes: &[u8]) -> Decoded<'_> {
        let payload = bytes.get(self.payload).unwrap_or_default();
        let packet = bytes.get(self.place.packet).unwrap_or_default();
        let wire = Wire { packet, transport: self.place.transport, overlaps: self.place.overlaps };
        match self.decoded {
            Decoded::Tcp(segment) => Decoded::Tcp(Segment { payload, wire, ..segment }),
            Decoded::Udp(datagram) => Decoded::Udp(Datagram { payload, wire, ..datagram }),
            other => other,
        }
    }
}

impl Walk {
    /// A walk over a packet of link type `link`, of which `captured` of `wire_len` bytes are there.
    pub(super) fn new(link: u32, captured: usize, wire_len: u32) -> Self {
        Self {
            layer: Layer::Link(link),
            at: 0,
            end: captured,
            // Damaged captures give a length on the wire below the one captured.
            lost: usize::try_from(wire_len).unwrap_or(usize::MAX).saturating_sub(captured),
            cut: false,
            vlans: Vlans::default(),
            ip: None,
            ip_at: None,
            unstated: false,
            extensions: 0,
            depth: 0,
            found: None,
            resumed: false,
            overlaps: false,
        }
    }

    /// Goes on with a datagram put together, `len` bytes long.
    pub(super) fn resume(&mut self, whole: &Whole, len: usize) {
        let version = if whole.ip.src.is_ipv4() { 4 } else { 6 };
        self.layer = Layer::Payload(whole.protocol, version);
        (self.at, self.end, self.lost, self.cut) = (0, len, 0, false);
        (self.ip, self.vlans) = (Some(whole.ip), whole.ip.vlans);
        (self.ip_at, self.unstated) = (None, false);
        // It points into the last fragment's packet, and that fragment is not the datagram.
        self.found = None;
        self.resumed = true;
        self.overlaps |= whole.overlaps;
    }

    /// Reads headers until a transport, the end of what can be read, or a fragment. A datagram that the fragment
    /// completes is given back, to [`Walk::resume`] on.
    pub(super) fn run(&mut self, bytes: &[u8], now: Timestamp, context: &mut Context) -> Option<Box<Whole>> {
        loop {
            match self.step(bytes, now, context) {
                Ok(Next::Layer(layer)) => self.layer = layer,
                Ok(Next::End) => return None,
                Ok(Next::Kept) => {
                    self.found = None;
                    return None;
                }
                Ok(Next::Whole(whole)) => return Some(whole),
                Err(fault) => {
                    self.count_fault(fault, context);
                    return None;
                }
            }
        }
    }

    fn step(&mut self, bytes: &[u8], now: Timestamp, context: &mut Context) -> Result<Next, Fault> {
        let rest = self.rest(bytes);
        let step = match self.layer {
            Layer::Ip => link::ip_version(rest),
            Layer::Ipv4 => return self.ipv4(bytes, now, context),
            Layer::Ipv6 => return self.ipv6(bytes, context),
            Layer::Payload(protocol, version) => return self.payload(protocol, version, bytes, now, context),
            Layer::Ethernet => link::ethernet(rest),
            Layer::Llc => link::llc(rest),
            Layer::Ppp => link::ppp(rest),
            Layer::Link(number) => self.deeper(context).and_then(|()| link::link(number, rest)),
            Layer::Vlan => self.deeper(context).and_then(|()| self.vlan(rest, context)),
            Layer::Tag(len) => self.deeper(context).and_then(|()| link::tag(len, rest)),
            Layer::Frame(len) => self.deeper(context).map(|()| Step::to(Layer::Ethernet, len)),
            Layer::Mpls => self.deeper(context).and_then(|()| link::mpls(rest)),
            Layer::Pppoe => self.deeper(context).and_then(|()| link::pppoe(rest)),
            Layer::Trill => self.deeper(context).and_then(|()| tunnel::trill(rest)),
            Layer::Nsh => self.deeper(context).and_then(|()| tunnel::nsh(rest)),
            // These four count where their carrier is noted.
            Layer::Gre => tunnel::gre(rest),
            Layer::Erspan => tunnel::erspan(rest),
            Layer::EtherIp => tunnel::ether_ip(rest),
        }?;
        self.apply(step)
    }

    /// Moves past a header.
    pub(super) fn apply(&mut self, step: Step) -> Result<Next, Fault> {
        self.at += step.skip;
        if self.at > self.end {
            return Err(Fault::Invalid);
        }
        self.cut |= step.cut;
        if let Some(len) = step.len {
            self.shorten(len)?;
        }
        Ok(Next::Layer(step.layer))
    }

    /// Ends the packet `len` bytes from here: what follows is padding, a trailer, or not there.
    pub(super) fn shorten(&mut self, len: usize) -> Result<(), Fault> {
        let captured = self.end - self.at;
        if len > captured.saturating_add(self.lost) && !self.cut {
            return Err(Fault::Invalid);
        }
        self.lost = len.saturating_sub(captured);
        self.end = self.at + len.min(captured);
        Ok(())
    }

    /// The bytes not yet read.
    pub(super) fn rest<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(self.at..self.end).unwrap_or_default()
    }

    /// How many bytes are left, captured or not.
    pub(super) fn on_wire(&self) -> usize {
        (self.end - self.at).saturating_add(self.lost)
    }

    /// Where the transport at hand lies; nowhere when not all of it is there.
    pub(super) fn place(&self) -> Place {
        let start = self.ip_at.unwrap_or(self.at);
        match u16::try_from(self.at.saturating_sub(start)) {
            Ok(transport) if self.lost == 0 && !self.unstated => {
                Place { packet: start..self.end, transport, overlaps: self.overlaps }
            }
            _ => Place::default(),
        }
    }

    /// The transport the packet carries.
    pub(super) fn end(&mut self, found: Found) -> Result<Next, Fault> {
        self.found = Some(found);
        Ok(Next::End)
    }

    /// Notes that a tunnel comes next, and what the packet is should that be unreadable.
    pub(super) fn enter(&mut self, carrier: Found, context: &mut Context) -> Result<(), Fault> {
        self.found = Some(carrier);
        self.deeper(context)?;
        context.stats.tunnels += 1;
        Ok(())
    }

    fn deeper(&mut self, context: &mut Context) -> Result<(), Fault> {
        self.depth += 1;
        // The link layer itself is counted too.
        if self.depth > limits::MAX_ENCAPSULATION + 1 {
            context.anomalies.add("encapsulation-too-deep", || format!("over {} layers", limits::MAX_ENCAPSULATION));
            return Err(Fault::Invalid);
        }
        Ok(())
    }

    fn vlan(&mut self, rest: &[u8], context: &mut Context) -> Result<Step, Fault> {
        context.stats.vlan += u64::from(self.vlans.as_slice().is_empty());
        self.vlans.push(be16(rest, 0).ok_or(Fault::Invalid)?);
        link::tag(2, rest)
    }

    /// Counts a fault; the packet is then told as its carrier, if it has one.
    fn count_fault(&self, fault: Fault, context: &mut Context) {
        match fault {
            Fault::Invalid => context.stats.invalid += 1,
            Fault::UnsupportedLink => context.stats.unsupported_link += 1,
            Fault::NotIp if self.found.is_none() => context.stats.other += 1,
            // The carrier will be counted for what it is.
            Fault::NotIp => {}
        }
    }
}
