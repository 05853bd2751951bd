//! Segments set aside, copies that are compared, and what a stream may hold.

use super::*;

impl Bench {
    fn set_aside(&mut self, seq: u32, payload: &[u8]) -> bool {
        self.stream.set_aside(Side::Client, seq, payload, true, &mut self.stats)
    }

    /// The server acknowledges, and again when patience is over.
    fn acknowledge_late(&mut self, ack: u32) {
        self.send(Side::Server, 5_000, ack, b"");
        self.now = self.now.plus(limits::SILENCE_PATIENCE + limits::GAP_PATIENCE);
        self.send(Side::Server, 5_000, ack, b"");
    }
}

#[test]
fn a_segment_set_aside_takes_its_place_and_what_is_before_it_is_a_gap() {
    let mut t = Bench::new();
    t.client(1_000, b"ab");
    assert!(t.set_aside(1_004, b"ef"));
    t.acknowledge_late(1_008);
    let expected = [
        data(Side::Client, b"ab"),
        (Side::Client, Said::Gap(2)),
        data(Side::Client, b"ef"),
        (Side::Client, Said::Gap(2)),
    ];
    assert_eq!((t.log.0.as_slice(), t.stats.held_bytes), (expected.as_slice(), 0));
}

#[test]
fn a_segment_set_aside_of_which_a_better_copy_came_ends_no_patience() {
    let mut t = Bench::new();
    t.client(1_000, b"ab");
    t.set_aside(1_002, b"XY");
    t.client(1_002, b"cd");
    t.send(Side::Server, 5_000, 1_006, b"");
    assert_eq!((t.log.0.as_slice(), t.stats.gaps), ([data(Side::Client, b"abcd")].as_slice(), 0));
    t.client(1_004, b"ef");
    assert_eq!((t.log.0.as_slice(), t.stats.gaps), ([data(Side::Client, b"abcdef")].as_slice(), 0));
}

#[test]
fn only_so_much_is_set_aside_and_nothing_that_is_past_or_far_off() {
    let kept = |t: &mut Bench, seq: u32, len: usize| {
        let before = t.stats.held_bytes;
        assert!(t.set_aside(seq, &vec![b'x'; len]), "it is dropped, not taken as another");
        t.stats.held_bytes - before == len as u64
    };
    let bound = limits::STREAM_DOUBTED_BYTES;
    let mut t = Bench::new();
    t.client(1_000, b"abcd");
    assert!(!kept(&mut t, 1_000, 4) && !kept(&mut t, 1_001, 2), "delivered already");
    assert!(!kept(&mut t, 1_004 + bound as u32, 2), "far off");
    assert!(kept(&mut t, 1_003, 2) && kept(&mut t, 1_003 + bound as u32, 2));
    t.stream.let_go(&mut t.stats);
    assert_eq!(t.stats.held_bytes, 0);

    let mut large = Bench::new();
    assert!(kept(&mut large, 1_000, bound) && !kept(&mut large, 1_000, 1));
    let mut many = Bench::new();
    let taken = (0..limits::STREAM_DOUBTED_SEGMENTS + 9).filter(|_| kept(&mut many, 1_000, 1)).count();
    assert_eq!(taken, limits::STREAM_DOUBTED_SEGMENTS);
    let mut full = Bench::new();
    full.stats.held_bytes = limits::STREAMS_HELD_BYTES as u64 - 1;
    assert!(kept(&mut full, 1_000, 1) && !kept(&mut full, 1_000, 1), "what all streams hold has a bound");
    assert!(!Bench::starting_at([None, None]).set_aside(1_000, b"x"), "where its data begins is not known");
}

/// What should be dropped and was received all the same is read, as much of it as may be on its way at once.
#[test]
fn a_flight_of_segments_set_aside_is_read_when_it_was_received() {
    let mut t = Bench::new();
    t.client(1_000, b"a");
    for number in 0..200_u32 {
        assert!(t.set_aside(1_001 + number * 1_000, &[b'x'; 1_000]));
    }
    t.client(201_001, b"z");
    t.send(Side::Server, 5_000, 201_002, b"");
    let delivered: usize =
        t.log.0.iter().map(|(_, said)| if let Said::Data(data) = said { data.len() } else { 0 }).sum();
    assert_eq!((delivered, t.stats.gaps, t.stats.held_bytes), (200_002, 0, 0));
}

/// The capture cut a segment short, of which another copy begins further on.
#[test]
fn what_follows_a_cut_segment_goes_on_behind_it() {
    let mut t = Bench::new();
    t.client(1_004, b"efghi");
    let part = TcpPart { seq: 1_000, ack: Some(5_000), flags: 0, payload: b"ab", missing: 5, urgent: None };
    t.stream.segment(Side::Client, &part, t.now, &mut t.stats, &mut t.log);
    assert_eq!(t.log.0, [data(Side::Client, b"ab"), (Side::Client, Said::Gap(5)), data(Side::Client, b"hi")]);
}

#[test]
fn copies_are_compared_across_segments_as_far_back_as_the_tail_reaches() {
    let mut t = Bench::new();
    let (len, back) = (100, limits::STREAM_TAIL);
    let mut differing = 0;
    for number in 0..200_usize {
        t.client(1_000 + (number * len) as u32, &vec![b'a'; len]);
        let end = (number + 1) * len;
        if end >= back {
            let from = end - back;
            let mut copy = vec![b'a'; 2 * len];
            t.client(1_000 + from as u32, &copy);
            assert_eq!(t.stats.overlap_differs, differing, "the same at {number}");
            copy[len] = b'b';
            t.client(1_000 + from as u32, &copy);
            differing += 1;
            assert_eq!(t.stats.overlap_differs, differing, "another at {number}");
        }
    }
    assert!(t.stats.tail_bytes <= 4 * back as u64, "{}", t.stats.tail_bytes);
}

#[test]
fn bytes_that_wait_stay_within_the_bound_of_their_stream() {
    let mut t = Bench::new();
    for number in 0..4_000_u32 {
        t.client(1_001 + number * 1_460, &[b'x'; 1_460]);
        assert!(t.stream.halves[0].held_bytes <= limits::STREAM_HELD_BYTES, "{number}");
    }
    assert_eq!(t.stats.gaps, 0, "the byte before them was not acknowledged: it is still to come");
    assert!(t.stats.invalid_segments > 0, "so the last of them went");
}

#[test]
fn a_side_that_was_never_captured_is_no_hole() {
    let mut t = Bench::starting_at([None, None]);
    for (second, seq) in [(100, 70), (105, 72), (110, 74)] {
        t.now = Timestamp::from_parts(second, 0);
        // What it acknowledges of the other side grows all the while.
        t.send(Side::Client, seq, 900 + seq, b"ab");
    }
    assert_eq!((t.log.0.as_slice(), t.stats.gaps), ([data(Side::Client, b"ababab")].as_slice(), 0));
}
