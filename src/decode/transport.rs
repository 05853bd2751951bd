//! TCP (RFC 9293) and UDP (RFC 768) headers.

use std::ops::Range;

use etherparse::err::tcp::HeaderSliceError;
use etherparse::{TcpHeaderSlice, UdpHeaderSlice};

use super::walk::{Fault, Found, Place, Walk};
use super::{Datagram, Decoded, IpFacts, Segment, Wire};

/// FIN to URG; ECE and CWR (RFC 3168) concern routers, not streams.
pub(super) const TCP_FLAGS: u8 = 0x3f;

impl Walk {
    /// The TCP segment that the rest of the packet is.
    pub(super) fn tcp(&self, ip: IpFacts, bytes: &[u8]) -> Result<Found, Fault> {
        let rest = self.rest(bytes);
        match TcpHeaderSlice::from_slice(rest) {
            Ok(header) => {
                let payload = self.at + header.slice().len()..self.end;
                Ok(segment(ip, &header, payload, self.lost, self.place()))
            }
            Err(HeaderSliceError::Len(_)) => self.tcp_cut_in_options(ip, rest),
            Err(HeaderSliceError::Content(_)) => Err(Fault::Invalid),
        }
    }

    /// A segment that the capture cut within its options: all that matters of the header is there, and how much
    /// payload there was can be told.
    fn tcp_cut_in_options(&self, ip: IpFacts, rest: &[u8]) -> Result<Found, Fault> {
        let mut fixed: [u8; 20] = *rest.first_chunk().ok_or(Fault::Invalid)?;
        let header_len = usize::from(fixed[12] >> 4) * 4;
        let missing = self.on_wire().checked_sub(header_len).ok_or(Fault::Invalid)?;
        fixed[12] = 5 << 4;
        let header = TcpHeaderSlice::from_slice(&fixed).map_err(|_| Fault::Invalid)?;
        Ok(segment(ip, &header, self.end..self.end, missing, Place::default()))
    }

    /// The UDP datagram that the rest of the packet is.
    pub(super) fn udp(&self, ip: IpFacts, bytes: &[u8]) -> Result<Found, Fault> {
        let header = UdpHeaderSlice::from_slice(self.rest(bytes)).map_err(|_| Fault::Invalid)?;
        let len = match usize::from(header.length()) {
            // RFC 2675, section 4, and segmentation offload: as long as the IP payload.
            0 => self.on_wire(),
            len => len,
        };
        if len < UDP_HEADER || (len > self.on_wire() && !self.cut) {
            return Err(Fault::Invalid);
        }
        let payload = self.at + UDP_HEADER..self.end.min(self.at + len);
        let datagram = Datagram {
            ip,
            src_port: header.source_port(),
            dst_port: header.destination_port(),
            payload: &[],
            missing: saturate((len - UDP_HEADER).saturating_sub(payload.len())),
            wire: Wire::default(),
        };
        Ok(Found { decoded: Decoded::Udp(datagram), payload, place: self.place() })
    }
}

fn segment(ip: IpFacts, header: &TcpHeaderSlice<'_>, payload: Range<usize>, missing: usize, place: Place) -> Found {
    let segment = Segment {
        ip,
        src_port: header.source_port(),
        dst_port: header.destination_port(),
        seq: header.sequence_number(),
        ack: header.acknowledgment_number(),
        flags: header.slice().get(13).copied().unwrap_or_default() & TCP_FLAGS,
        window: header.window_size(),
        payload: &[],
        missing: saturate(missing),
        wire: Wire::default(),
    };
    Found { decoded: Decoded::Tcp(segment), payload, place }
}

fn saturate(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Bytes of a UDP header.
pub(super) const UDP_HEADER: usize = 8;
