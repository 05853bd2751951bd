//! Streams fed by hand: segments in, what was delivered out.

mod aside;
mod linux;

use super::*;
use proptest::prelude::*;

/// Writes down what a stream delivers.
#[derive(Default, Debug, PartialEq)]
struct Log(Vec<(Side, Said)>);

#[derive(Debug, PartialEq)]
enum Said {
    Data(Vec<u8>),
    Gap(u64),
    Differs,
}

impl Sink for Log {
    fn data(&mut self, side: Side, bytes: &[u8], _: bool) {
        if let Some((last, Said::Data(before))) = self.0.last_mut()
            && *last == side
        {
            before.extend_from_slice(bytes);
            return;
        }
        self.0.push((side, Said::Data(bytes.to_vec())));
    }

    fn gap(&mut self, side: Side, lost: u64) {
        self.0.push((side, Said::Gap(lost)));
    }

    fn differs(&mut self, side: Side) {
        self.0.push((side, Said::Differs));
    }
}

struct Bench {
    stream: Stream,
    stats: FlowStats,
    log: Log,
    now: Timestamp,
}

/// Offsets are counted from 1,000 (client) and 5,000 (server).
impl Bench {
    fn new() -> Self {
        Self::starting_at([Some(1_000), Some(5_000)])
    }

    fn starting_at(first: [Option<u32>; 2]) -> Self {
        let now = Timestamp::from_parts(100, 0);
        Self { stream: Stream::new(first), stats: FlowStats::default(), log: Log::default(), now }
    }

    fn send(&mut self, side: Side, seq: u32, ack: u32, payload: &[u8]) {
        self.send_flags(side, seq, ack, payload, 0);
    }

    fn send_flags(&mut self, side: Side, seq: u32, ack: u32, payload: &[u8], flags: u8) {
        let part = TcpPart { seq, ack: Some(ack), flags, payload, missing: 0, urgent: None };
        self.stream.segment(side, &part, self.now, &mut self.stats, &mut self.log);
    }

    fn client(&mut self, seq: u32, payload: &[u8]) {
        self.send(Side::Client, seq, 5_000, payload);
    }
}

fn data(side: Side, bytes: &[u8]) -> (Side, Said) {
    (side, Said::Data(bytes.to_vec()))
}

#[test]
fn out_of_order_segments_are_put_in_order() {
    let mut t = Bench::new();
    t.client(1_006, b"world");
    t.client(1_003, b"lo ");
    t.client(1_000, b"hel");
    assert_eq!(t.log.0, [data(Side::Client, b"hello world")]);
    assert_eq!((t.stats.out_of_order, t.stats.held_bytes), (2, 0));
}

#[test]
fn a_retransmission_is_delivered_once_and_its_new_tail_is_kept() {
    let mut t = Bench::new();
    t.client(1_000, b"abcd");
    t.client(1_000, b"abcd");
    t.client(1_002, b"cdEF");
    assert_eq!(t.log.0, [data(Side::Client, b"abcdEF")]);
    assert_eq!(t.stats.retransmitted, 2);
}

#[test]
fn the_first_copy_wins_or_the_one_that_begins_first_and_that_they_differ_is_told() {
    let mut t = Bench::new();
    t.client(1_000, b"abcd");
    t.client(1_000, b"aXcd");
    t.client(1_008, b"ijkl");
    t.client(1_006, b"ghZj");
    t.client(1_004, b"ef");
    assert_eq!(
        t.log.0,
        [
            data(Side::Client, b"abcd"),
            (Side::Client, Said::Differs),
            (Side::Client, Said::Differs),
            data(Side::Client, b"efghZjkl"),
        ]
    );
    assert_eq!(t.stats.overlap_differs, 2);
}

#[test]
fn nor_is_a_fin_before_bytes_that_wait_behind_a_hole() {
    let mut t = Bench::new();
    t.client(1_000, b"ab");
    t.client(1_004, b"ef");
    t.send_flags(Side::Client, 1_003, 5_000, b"", FIN | 16);
    t.client(1_002, b"cd");
    t.send(Side::Server, 5_000, 1_008, b"");
    t.send_flags(Side::Client, 1_005, 5_000, b"", FIN | 16);
    t.send_flags(Side::Client, 1_006, 5_000, b"g", FIN | 16);
    assert_eq!((t.log.0, t.stats.gaps), (vec![data(Side::Client, b"abcdefg")], 0));
    assert_eq!(t.stream.halves[0].fin, Some(7));
}

/// Segments merged by offload are longer than what is kept for comparison.
#[test]
fn the_same_bytes_again_do_not_differ_however_long_the_segments() {
    let said: Vec<u8> = (0..40_000_u32).map(|i| (i % 251) as u8).collect();
    let mut t = Bench::new();
    let mut sent = 0;
    for len in [3_000, 4_096, 5_000, 4_097, 8_000, 100, 9_000] {
        let (start, end) = (sent, sent + len);
        t.client(1_000 + start as u32, &said[start..end]);
        for back in [1, 4_096, 4_500, 5_000, 8_192, 20_000] {
            let from = end.saturating_sub(back);
            t.client(1_000 + from as u32, &said[from..end]);
        }
        sent = end;
    }
    assert_eq!((t.log.0, t.stats.overlap_differs), (vec![data(Side::Client, &said[..sent])], 0));
}

#[test]
fn a_keep_alive_probe_is_no_differing_copy() {
    let mut t = Bench::new();
    t.client(1_000, b"abcd");
    t.client(1_003, b"\0");
    assert_eq!(t.log.0, [data(Side::Client, b"abcd")]);
}

#[test]
fn an_acknowledged_hole_becomes_a_gap_after_patience() {
    let mut t = Bench::new();
    t.client(1_000, b"ab");
    t.client(1_004, b"ef");
    t.send(Side::Server, 5_000, 1_006, b"");
    assert_eq!(t.log.0, [data(Side::Client, b"ab")]);
    t.now = Timestamp::from_parts(102, 0);
    t.send(Side::Server, 5_000, 1_006, b"");
    assert_eq!(t.log.0, [data(Side::Client, b"ab"), (Side::Client, Said::Gap(2)), data(Side::Client, b"ef")]);
    assert_eq!((t.stats.gaps, t.stats.gap_bytes), (1, 2));
}

#[test]
fn a_hole_nobody_acknowledged_is_waited_for() {
    let mut t = Bench::new();
    t.client(1_002, b"cd");
    t.now = Timestamp::from_parts(500, 0);
    t.client(1_004, b"ef");
    assert_eq!(t.log.0, []);
    t.client(1_000, b"ab");
    assert_eq!(t.log.0, [data(Side::Client, b"abcdef")]);
}

#[test]
fn a_reply_does_not_overtake_its_command() {
    let mut t = Bench::new();
    t.send(Side::Server, 5_000, 1_004, b"250\n");
    assert_eq!(t.log.0, [], "the command it acknowledges is on its way");
    t.client(1_000, b"EHLO");
    assert_eq!(t.log.0, [data(Side::Client, b"EHLO"), data(Side::Server, b"250\n")]);
}

#[test]
fn a_lost_command_is_told_before_its_reply() {
    let mut t = Bench::new();
    t.client(1_000, b"");
    t.send(Side::Server, 5_000, 1_004, b"250\n");
    t.now = Timestamp::from_parts(102, 0);
    t.send(Side::Client, 1_004, 5_004, b"");
    assert_eq!(t.log.0, [(Side::Client, Said::Gap(4)), data(Side::Server, b"250\n")]);
}

#[test]
fn one_direction_alone_is_delivered() {
    let mut t = Bench::starting_at([None, None]);
    t.send(Side::Client, 70, 900, b"EHLO a\r\n");
    t.send(Side::Client, 78, 950, b"MAIL");
    assert_eq!(t.log.0, [data(Side::Client, b"EHLO a\r\nMAIL")]);
    assert_eq!(t.stats.gaps, 0);
}

#[test]
fn sequence_numbers_wrap() {
    let mut t = Bench::starting_at([Some(u32::MAX - 2), Some(0)]);
    t.send(Side::Client, 2, 0, b"fg");
    t.send(Side::Client, u32::MAX - 2, 0, b"abcde");
    assert_eq!(t.log.0, [data(Side::Client, b"abcdefg")]);
}

#[test]
fn both_fins_delivered_is_the_end() {
    let mut t = Bench::new();
    t.send_flags(Side::Client, 1_002, 5_000, b"", FIN | 16);
    t.send_flags(Side::Server, 5_000, 1_000, b"x", FIN | 16);
    assert!(!t.stream.finished(), "two bytes of the client are missing");
    t.client(1_000, b"ab");
    assert!(t.stream.finished());
}

#[test]
fn a_fin_that_comes_after_its_acknowledgment_leaves_no_hole() {
    let mut t = Bench::new();
    t.send(Side::Server, 5_000, 1_000, b"221 bye");
    // The client's FIN, acknowledging the server's, is captured before it.
    t.send_flags(Side::Client, 1_000, 5_008, b"", FIN | 16);
    t.send_flags(Side::Server, 5_007, 1_000, b"", FIN | 16);
    assert!(t.stream.finished());
    t.stream.flush(&mut t.stats, &mut t.log);
    assert_eq!((t.log.0, t.stats.gaps), (vec![data(Side::Server, b"221 bye")], 0));
}

#[test]
fn data_that_acknowledges_a_fin_not_yet_seen_does_not_wait_for_more_than_it() {
    let mut t = Bench::new();
    t.client(1_000, b"QUIT");
    t.send(Side::Server, 5_000, 1_005, b"221 bye");
    t.send_flags(Side::Client, 1_004, 5_000, b"", FIN | 16);
    assert_eq!(t.log.0, [data(Side::Client, b"QUIT"), data(Side::Server, b"221 bye")]);
    assert_eq!(t.stats.gaps, 0);
}

#[test]
fn a_fin_of_bytes_long_past_is_not_believed() {
    let mut t = Bench::new();
    t.client(1_000, b"DATA");
    t.send(Side::Server, 5_000, 1_004, b"354");
    for before in [1, 3, 1_000, 0x3000_0000_u32] {
        t.send_flags(Side::Client, 1_004_u32.wrapping_sub(before), 5_003, b"", FIN | 16);
        t.send_flags(Side::Server, 5_003_u32.wrapping_sub(before), 1_004, b"", FIN | 16);
        assert!(!t.stream.finished(), "{before} before");
    }
    t.send_flags(Side::Client, 1_004, 5_003, b".", FIN | 16);
    t.send_flags(Side::Server, 5_003, 1_006, b"250", FIN | 16);
    let expected =
        [data(Side::Client, b"DATA"), data(Side::Server, b"354"), data(Side::Client, b"."), data(Side::Server, b"250")];
    assert_eq!(t.log.0, expected);
    assert!(t.stream.finished());
}

#[test]
fn flush_tells_what_never_came() {
    let mut t = Bench::new();
    t.client(1_003, b"d");
    t.send_flags(Side::Client, 1_006, 5_000, b"", FIN | 16);
    t.stream.flush(&mut t.stats, &mut t.log);
    assert_eq!(t.log.0, [(Side::Client, Said::Gap(3)), data(Side::Client, b"d"), (Side::Client, Said::Gap(2))]);
    assert_eq!(t.stats.held_bytes, 0);
}

#[test]
fn bytes_cut_by_the_snaplen_are_a_gap() {
    let mut t = Bench::new();
    let part = TcpPart { seq: 1_000, ack: Some(5_000), flags: 0, payload: b"ab", missing: 3, urgent: None };
    t.stream.segment(Side::Client, &part, t.now, &mut t.stats, &mut t.log);
    t.client(1_005, b"fg");
    assert_eq!(t.log.0, [data(Side::Client, b"ab"), (Side::Client, Said::Gap(3)), data(Side::Client, b"fg")]);
}

/// Found by fuzzing: a segment whose bytes are all old or all cut off was delivered as no bytes.
#[test]
fn a_segment_of_which_nothing_was_captured_is_a_gap_and_no_data() {
    let mut t = Bench::new();
    let part = TcpPart { seq: 1_000, ack: Some(5_000), flags: 0, payload: b"", missing: 3, urgent: None };
    t.stream.segment(Side::Client, &part, t.now, &mut t.stats, &mut t.log);
    assert_eq!(t.log.0, [(Side::Client, Said::Gap(3))]);
}

#[test]
fn a_flood_of_tiny_segments_stays_within_the_bound() {
    // Where the other side is not seen nobody tells what arrived.
    for (server, gaps) in [(Some(5_000), false), (None, true)] {
        let mut t = Bench::starting_at([Some(1_000), server]);
        for n in 0..20_000_u32 {
            t.client(1_001 + 2 * n, b"x");
            assert!(t.stream.halves[0].held.len() <= limits::STREAM_HELD_SEGMENTS);
        }
        assert_eq!((t.stats.gaps > 0, t.stats.invalid_segments > 0), (gaps, !gaps));
    }
}

#[test]
fn segments_far_ahead_do_not_have_us_skip_what_is_still_to_come() {
    let mut t = Bench::new();
    t.client(1_000, b"ab");
    for n in 0..3_000_u32 {
        t.client(9_000_000 + 2 * n, b"x");
    }
    t.client(1_002, b"cd");
    assert_eq!((t.log.0, t.stats.gaps), (vec![data(Side::Client, b"abcd")], 0));
}

#[test]
fn what_is_set_aside_counts_from_the_first_byte_on() {
    let mut t = Bench::new();
    t.client(1_000, b"");
    assert!(t.stream.set_aside(Side::Client, 995, b"xxxxxab", true, &mut t.stats));
    t.send(Side::Server, 5_000, 1_002, b"");
    assert_eq!(t.log.0, [data(Side::Client, b"ab")]);
}

#[test]
fn delivered_bytes_are_kept_within_a_budget_shared_by_all_streams() {
    let mut t = Bench::new();
    t.client(1_000, b"abcd");
    t.client(1_000, b"aXcd");
    assert_eq!((t.stats.overlap_differs, t.stats.tail_bytes > 0), (1, true));
    t.stream.let_go(&mut t.stats);
    assert_eq!(t.stats.tail_bytes, 0);

    let mut t = Bench::new();
    t.stats.tail_bytes = limits::STREAMS_TAIL_BYTES as u64 + 1;
    t.client(1_000, b"abcd");
    t.client(1_000, b"aXcd");
    assert_eq!(t.log.0, [data(Side::Client, b"abcd")]);
    assert_eq!(t.stats.tail_bytes, limits::STREAMS_TAIL_BYTES as u64 + 1);
}

#[test]
fn a_reset_far_off_is_not_believed() {
    let mut t = Bench::new();
    t.client(1_000, b"ab");
    assert!(t.stream.plausible_reset(Side::Client, 1_002));
    assert!(!t.stream.plausible_reset(Side::Client, 1_002 + (2 << 20)));
}

/// A conversation: each turn is said only after all turns before it were heard, as a mail session is.
fn turns() -> impl Strategy<Value = Vec<(bool, Vec<u8>)>> {
    prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 1..40)), 1..12)
}

proptest! {
    /// Any cut into segments, any order, any duplication gives the same conversation, turn by turn.
    #[test]
    fn any_order_gives_the_same_conversation(turns in turns(), cut in 1usize..9, seed in any::<u64>(), starts in any::<[u32; 2]>()) {
        let (mut sent, mut segments) = ([0u32; 2], Vec::new());
        let mut expected = Log::default();
        for (by_client, bytes) in &turns {
            let side = if *by_client { Side::Client } else { Side::Server };
            expected.data(side, bytes, false);
            for piece in bytes.chunks(cut) {
                let ack = starts[side.other().index()].wrapping_add(sent[side.other().index()]);
                segments.push((side, starts[side.index()].wrapping_add(sent[side.index()]), ack, piece.to_vec()));
                sent[side.index()] += piece.len() as u32;
            }
        }
        // A seeded shuffle, with every third segment twice. All within the patience in packets.
        let mut order: Vec<usize> = (0..segments.len()).chain((0..segments.len()).step_by(3)).collect();
        let mut state = seed | 1;
        for i in (1..order.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            order.swap(i, (state >> 33) as usize % (i + 1));
        }
        order.truncate(limits::GAP_PATIENCE_PACKETS as usize);
        prop_assume!(order.len() < limits::GAP_PATIENCE_PACKETS as usize);
        let mut t = Bench::starting_at(starts.map(Some));
        for at in order {
            let (side, seq, ack, bytes) = &segments[at];
            t.send(*side, *seq, *ack, bytes);
        }
        prop_assert_eq!(&t.log, &expected);
        prop_assert_eq!(t.stats.held_bytes, 0);
    }

    /// Whatever comes, nothing panics, nothing is held past the bound, and a flush leaves nothing.
    #[test]
    fn nothing_hostile_breaks_it(parts in prop::collection::vec(
        (any::<bool>(), any::<u32>(), any::<Option<u32>>(), any::<u8>(), 0usize..300, 0u32..3, any::<bool>()), 0..200))
    {
        let mut t = Bench::new();
        for (client, seq, ack, flags, len, missing, near) in parts {
            let side = if client { Side::Client } else { Side::Server };
            let (seq, ack) = if near { (1_000 + seq % 2_000, ack.map(|a| 1_000 + a % 5_000)) } else { (seq, ack) };
            let payload = vec![flags; len];
            let part = TcpPart { seq, ack, flags, payload: &payload, missing, urgent: None };
            t.stream.segment(side, &part, t.now, &mut t.stats, &mut t.log);
            prop_assert_eq!(t.stats.held_bytes, t.stream.memory());
        }
        t.stream.flush(&mut t.stats, &mut t.log);
        prop_assert_eq!(t.stats.held_bytes, 0);
        t.stream.let_go(&mut t.stats);
        prop_assert_eq!((t.stats.held_bytes, t.stats.tail_bytes), (0, 0));
    }
}
