//! Capture files: pcap and a minimal pcapng, written to any `io::Write`; and the merging of many conversations
//! into one line of packets in time order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Write};

use crate::clock::{MICRO, Nanos, SECOND};

/// A packet with the time at which the tap saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub time: Nanos,
    pub data: Vec<u8>,
}

/// Takes packets in time order.
pub trait Sink {
    /// Takes one packet.
    fn packet(&mut self, time: Nanos, data: &[u8]) -> io::Result<()>;
}

impl<S: Sink + ?Sized> Sink for &mut S {
    fn packet(&mut self, time: Nanos, data: &[u8]) -> io::Result<()> {
        (**self).packet(time, data)
    }
}

/// How a pcap file is laid out.
#[derive(Clone, Copy, Debug)]
pub struct PcapFormat {
    pub big_endian: bool,
    /// Fractions of a second in nanoseconds, not microseconds.
    pub nanoseconds: bool,
    /// Longer packets are cut to this many bytes, and say so.
    pub snaplen: u32,
    /// LINKTYPE_ value: 1 is Ethernet.
    pub link: u32,
}

impl Default for PcapFormat {
    fn default() -> Self {
        Self { big_endian: false, nanoseconds: false, snaplen: 262_144, link: 1 }
    }
}

/// Writes a pcap file (draft-ietf-opsawg-pcap). Give it a buffered writer.
#[derive(Debug)]
pub struct PcapWriter<W> {
    out: W,
    format: PcapFormat,
}

impl<W: Write> PcapWriter<W> {
    /// Writes the file header.
    pub fn new(mut out: W, format: PcapFormat) -> io::Result<Self> {
        let magic: u32 = if format.nanoseconds { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
        let order = Order(format.big_endian);
        let mut header = Vec::with_capacity(24);
        header.extend(order.u32(magic));
        header.extend(order.u16(2));
        header.extend(order.u16(4));
        header.extend([0; 8]);
        header.extend(order.u32(format.snaplen));
        header.extend(order.u32(format.link));
        out.write_all(&header)?;
        Ok(Self { out, format })
    }

    /// Flushes, and gives the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

impl<W: Write> Sink for PcapWriter<W> {
    fn packet(&mut self, time: Nanos, data: &[u8]) -> io::Result<()> {
        let order = Order(self.format.big_endian);
        let fraction = time.rem_euclid(SECOND) / if self.format.nanoseconds { 1 } else { MICRO };
        let kept = data.len().min(self.format.snaplen as usize);
        let mut header = [0; 16];
        header[0..4].copy_from_slice(&order.u32(time.div_euclid(SECOND) as u32));
        header[4..8].copy_from_slice(&order.u32(fraction as u32));
        header[8..12].copy_from_slice(&order.u32(kept as u32));
        header[12..16].copy_from_slice(&order.u32(data.len() as u32));
        self.out.write_all(&header)?;
        self.out.write_all(&data[..kept])
    }
}

/// Writes a pcapng file (draft-ietf-opsawg-pcapng): one section, one Ethernet interface with nanoseconds.
#[derive(Debug)]
pub struct PcapngWriter<W> {
    out: W,
    order: Order,
}

impl<W: Write> PcapngWriter<W> {
    /// Writes the section header and the interface description.
    pub fn new(mut out: W, big_endian: bool) -> io::Result<Self> {
        let order = Order(big_endian);
        let mut section = Vec::new();
        section.extend(order.u32(0x1a2b_3c4d));
        section.extend(order.u16(1));
        section.extend(order.u16(0));
        section.extend([0xff; 8]); // section length: not given
        let mut interface = Vec::new();
        interface.extend(order.u16(1)); // LINKTYPE_ETHERNET
        interface.extend(order.u16(0));
        interface.extend(order.u32(0)); // no snaplen
        interface.extend(order.u16(9)); // if_tsresol ...
        interface.extend(order.u16(1));
        interface.extend([9, 0, 0, 0]); // ... 10^-9 seconds
        interface.extend([0; 4]); // opt_endofopt
        write_block(&mut out, order, 0x0a0d_0d0a, &section)?;
        write_block(&mut out, order, 1, &interface)?;
        Ok(Self { out, order })
    }

    /// Flushes, and gives the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

impl<W: Write> Sink for PcapngWriter<W> {
    fn packet(&mut self, time: Nanos, data: &[u8]) -> io::Result<()> {
        let order = self.order;
        let mut body = Vec::with_capacity(data.len() + 24);
        body.extend(order.u32(0));
        body.extend(order.u32((time as u64 >> 32) as u32));
        body.extend(order.u32(time as u32));
        body.extend(order.u32(data.len() as u32));
        body.extend(order.u32(data.len() as u32));
        body.extend_from_slice(data);
        body.resize(body.len().next_multiple_of(4), 0);
        write_block(&mut self.out, order, 6, &body)
    }
}

/// Keeps packets in memory.
impl Sink for Vec<Packet> {
    fn packet(&mut self, time: Nanos, data: &[u8]) -> io::Result<()> {
        self.push(Packet { time, data: data.to_vec() });
        Ok(())
    }
}

/// Puts the packets of many conversations into time order; those of one moment stay as they were.
pub fn in_time_order(packets: &mut [Packet]) {
    packets.sort_by_key(|packet| packet.time);
}

/// Writes `packets`, already in order, as one pcap file in memory.
pub fn pcap(packets: &[Packet], format: PcapFormat) -> Vec<u8> {
    let size = packets.iter().map(|packet| packet.data.len() + 16).sum::<usize>();
    let mut writer = PcapWriter::new(Vec::with_capacity(size + 24), format).expect("memory takes all writes");
    for packet in packets {
        writer.packet(packet.time, &packet.data).expect("memory takes all writes");
    }
    writer.finish().expect("memory takes all writes")
}

/// Merges streams of packets into time order without holding them all: a stream is begun only when its time has
/// come, so memory grows with the streams that overlap, not with the length of the capture.
///
/// Each stream must be in time order itself and must not begin before the time it was announced for.
#[derive(Default)]
pub struct Merge<'a> {
    /// Streams not yet begun, latest start first.
    waiting: Vec<Waiting<'a>>,
    sorted: bool,
    /// Index into `running` by the time of its next packet; ties go to the stream that was added first.
    heads: BinaryHeap<Reverse<(Nanos, usize, usize)>>,
    running: Vec<Option<Running<'a>>>,
    free: Vec<usize>,
    added: usize,
}

type Stream<'a> = Box<dyn Iterator<Item = Packet> + 'a>;

struct Waiting<'a> {
    start: Nanos,
    number: usize,
    open: Box<dyn FnOnce() -> Stream<'a> + 'a>,
}

struct Running<'a> {
    next: Packet,
    rest: Stream<'a>,
}

impl<'a> Merge<'a> {
    /// Nothing to merge yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Announces a stream whose first packet comes at `start` or later; `open` is called when that time has come.
    pub fn add<I>(&mut self, start: Nanos, open: impl FnOnce() -> I + 'a)
    where
        I: IntoIterator<Item = Packet>,
        I::IntoIter: 'a,
    {
        let open = Box::new(move || Box::new(open().into_iter()) as Stream<'a>);
        self.waiting.push(Waiting { start, number: self.added, open });
        self.added += 1;
        self.sorted = false;
    }

    /// Writes all that is left to `sink`; returns the number of packets.
    pub fn write(&mut self, sink: &mut impl Sink) -> io::Result<u64> {
        let mut count = 0;
        for packet in self {
            sink.packet(packet.time, &packet.data)?;
            count += 1;
        }
        Ok(count)
    }

    /// Begins every stream that may have a packet before the earliest one known.
    fn admit(&mut self) {
        if !self.sorted {
            self.waiting.sort_by_key(|waiting| Reverse((waiting.start, waiting.number)));
            self.sorted = true;
        }
        while let Some(waiting) = self.waiting.last() {
            if self.heads.peek().is_some_and(|Reverse((time, ..))| *time < waiting.start) {
                return;
            }
            let Some(waiting) = self.waiting.pop() else { return };
            self.run(waiting.number, (waiting.open)());
        }
    }

    fn run(&mut self, number: usize, mut rest: Stream<'a>) {
        let Some(next) = rest.next() else { return };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.running.push(None);
            self.running.len() - 1
        });
        self.heads.push(Reverse((next.time, number, slot)));
        self.running[slot] = Some(Running { next, rest });
    }
}

impl Iterator for Merge<'_> {
    type Item = Packet;

    fn next(&mut self) -> Option<Packet> {
        self.admit();
        let Reverse((_, number, slot)) = self.heads.pop()?;
        let running = self.running[slot].as_mut()?;
        let Some(after) = running.rest.next() else {
            self.free.push(slot);
            return self.running[slot].take().map(|done| done.next);
        };
        self.heads.push(Reverse((after.time, number, slot)));
        Some(std::mem::replace(&mut running.next, after))
    }
}

fn write_block(out: &mut impl Write, order: Order, kind: u32, body: &[u8]) -> io::Result<()> {
    let length = order.u32(body.len() as u32 + 12);
    out.write_all(&order.u32(kind))?;
    out.write_all(&length)?;
    out.write_all(body)?;
    out.write_all(&length)
}

/// Big-endian when true.
#[derive(Clone, Copy, Debug)]
struct Order(bool);

impl Order {
    fn u16(self, value: u16) -> [u8; 2] {
        if self.0 { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn u32(self, value: u32) -> [u8; 4] {
        if self.0 { value.to_be_bytes() } else { value.to_le_bytes() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(time: Nanos, mark: u8) -> Packet {
        Packet { time, data: vec![mark; 60] }
    }

    #[test]
    fn pcap_header_and_record_are_as_the_draft_says() {
        let format = PcapFormat { big_endian: true, nanoseconds: true, snaplen: 4, link: 1 };
        let file = pcap(&[packet(5 * SECOND + 9, 0xee)], format);
        let expected: &[u8] = &[
            0xa1, 0xb2, 0x3c, 0x4d, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1, // file header
            0, 0, 0, 5, 0, 0, 0, 9, 0, 0, 0, 4, 0, 0, 0, 60, 0xee, 0xee, 0xee, 0xee, // a packet, cut
        ];
        assert_eq!(file, expected);
    }

    #[test]
    fn merging_equals_sorting() {
        let streams: Vec<Vec<Packet>> =
            (0..50u8).map(|s| (0..20).map(|i| packet(i64::from(s) * 7 + i * 3, s)).collect()).collect();
        let mut sorted: Vec<Packet> = streams.concat();
        in_time_order(&mut sorted);
        let mut merge = Merge::new();
        for stream in &streams {
            merge.add(stream[0].time, || stream.clone());
        }
        assert_eq!(merge.collect::<Vec<_>>(), sorted);
    }

    #[test]
    fn streams_begin_only_when_their_time_has_come() {
        let begun = std::cell::Cell::new(0);
        let mut merge = Merge::new();
        for start in 0..100 {
            let begun = &begun;
            merge.add(start * SECOND, move || {
                begun.set(begun.get() + 1);
                [packet(start * SECOND, 0)]
            });
        }
        assert_eq!(merge.next().map(|p| p.time), Some(0));
        assert!(begun.get() <= 2, "{} streams begun", begun.get());
        assert_eq!(merge.count(), 99);
    }
}
