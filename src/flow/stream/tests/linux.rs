//! Streams against a receiver as Linux is one, whatever a client sends to be misread.

use super::*;

/// What Linux makes of the segments of a client (`tcp_data_queue`, `tcp_data_queue_ofo`), without its merging of what lies
/// side by side.
#[derive(Default)]
struct Linux {
    read: Vec<u8>,
    /// Out of order: where each begins, and its bytes.
    waiting: Vec<(usize, Vec<u8>)>,
}

impl Linux {
    fn take(&mut self, start: usize, bytes: &[u8]) {
        let end = start + bytes.len();
        if start > self.read.len() {
            if self.waiting.iter().any(|(at, held)| *at <= start && end <= at + held.len()) {
                return;
            }
            self.waiting.retain(|(at, held)| *at < start || at + held.len() > end);
            let place = self.waiting.partition_point(|(at, _)| *at < start);
            self.waiting.insert(place, (start, bytes.to_vec()));
            return;
        }
        self.read_on(start, bytes);
        while let Some(place) = self.waiting.iter().position(|(at, _)| *at <= self.read.len()) {
            let (at, held) = self.waiting.remove(place);
            self.read_on(at, &held);
        }
    }

    fn read_on(&mut self, start: usize, bytes: &[u8]) {
        self.read.extend(bytes.get(self.read.len() - start..).unwrap_or_default());
    }
}

/// A segment that the client sends.
#[derive(Clone, Debug)]
struct Sent {
    kind: Kind,
    start: usize,
    len: usize,
    /// Its bytes: genuine are zeros.
    value: u8,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Fit,
    /// What Linux drops.
    Reset,
    Syn,
    /// Further than the server goes: of what is said soon after, it cannot be told from packets that changed places.
    AcknowledgesAhead(u32),
    /// The server says something, or time passes.
    Answer,
    Pause,
}

fn sent() -> impl Strategy<Value = Sent> {
    let kind = prop_oneof![
        6 => Just(Kind::Fit),
        1 => Just(Kind::Reset),
        1 => Just(Kind::Syn),
        1 => Just(Kind::Answer),
        1 => Just(Kind::Pause),
        2 => prop_oneof![Just(2_000), Just(60_000), Just(1 << 20), Just(1 << 27), Just(u32::MAX - 70_000)].prop_map(Kind::AcknowledgesAhead),
    ];
    (kind, 0_usize..60, 1_usize..30, 0_u8..4).prop_map(|(kind, start, len, value)| Sent { kind, start, len, value })
}

proptest! {
    #[test]
    fn reads_what_linux_reads(segments in prop::collection::vec(sent(), 0..40), acknowledges in any::<bool>()) {
        let (mut t, mut linux) = (Bench::new(), Linux::default());
        t.send(Side::Server, 5_000, 1_000, b"220");
        let (mut said, mut ack) = (b"220".to_vec(), 5_003);
        let rest = (0..9).map(|n| Sent { kind: Kind::Fit, start: n * 10, len: 10, value: 0 });
        for Sent { kind, start, len, value } in segments.into_iter().chain(rest) {
            let (seq, bytes) = (1_000 + start as u32, vec![value; len]);
            let mut send = |seq, ack: u32, flags| t.send_flags(Side::Client, seq, ack, &bytes, flags | 16);
            match kind {
                Kind::Fit => {
                    send(seq, ack, 0);
                    linux.take(start, &bytes);
                }
                Kind::Reset => send(seq, ack, RST),
                Kind::Syn => send(seq.wrapping_sub(1), ack, SYN),
                Kind::AcknowledgesAhead(by) => send(seq, ack.wrapping_add(by), 0),
                Kind::Answer => {
                    t.send(Side::Server, ack, 1_000 + linux.read.len() as u32, &bytes);
                    said.extend(&bytes);
                    ack += len as u32;
                }
                Kind::Pause => t.now = t.now.plus(limits::GAP_PATIENCE.mul_f32(0.6)),
            }
            if acknowledges {
                t.send(Side::Server, ack, 1_000 + linux.read.len() as u32, b"");
            }
        }
        let heard = |of: Side| {
            let pieces = t.log.0.iter().filter_map(|(side, said)| match said {
                Said::Data(bytes) if *side == of => Some(bytes.clone()),
                _ => None,
            });
            pieces.collect::<Vec<_>>().concat()
        };
        prop_assert_eq!(heard(Side::Client), linux.read);
        // Where the server keeps silent on what was falsely acknowledged it is believed in the end.
        if acknowledges {
            prop_assert_eq!((heard(Side::Server), t.stats.gaps), (said, 0));
        }
    }
}
