//! Packets that a server drops, or reads otherwise than one might think, sent by a host that wants to be misread. The
//! judge is Linux, which most mail servers run on: what it makes of each is said beside it, and
//! `tests/oracle/linux_receiver.py` asks it.

use super::*;
use crate::flow::flags::{ACK, FIN, RST, SYN};

/// A segment like one of the lab's, with what a test changes.
#[derive(Clone)]
struct Forged {
    time: Nanos,
    from_client: bool,
    server_port: u16,
    seq: u32,
    ack: u32,
    flags: u8,
    options: Vec<u8>,
    payload: Vec<u8>,
}

const URG: u8 = 32;
const PORTS: [u16; 2] = [1_025, 25];

impl Forged {
    fn like(frame: &Frame) -> Self {
        let header = usize::from(frame.data[46] >> 4) * 4;
        let from_client = sent_by(frame) == CLIENT;
        let port = if from_client { 36 } else { 34 };
        Self {
            time: frame.time,
            from_client,
            server_port: u16::from_be_bytes([frame.data[port], frame.data[port + 1]]),
            seq: seq(frame),
            ack: u32::from_be_bytes([frame.data[42], frame.data[43], frame.data[44], frame.data[45]]),
            flags: tcp_flags(frame),
            options: frame.data[54..34 + header].to_vec(),
            payload: payload(frame).to_vec(),
        }
    }

    /// The same with as many bytes of rubbish, sent just before.
    fn rubbish(frame: &Frame) -> Self {
        let like = Self::like(frame);
        Self { time: frame.time - 2, payload: vec![b'x'; like.payload.len()], ..like }
    }

    fn frame(&self) -> Frame {
        let Self { from_client, seq, ack, flags, .. } = *self;
        let hand = Hand { from_client, ports: [PORTS[0], self.server_port], seq, ack, flags, payload: &self.payload };
        hand.with_options(self.time, &self.options)
    }
}

fn is_client_data(frame: &Frame) -> bool {
    sent_by(frame) == CLIENT && !payload(frame).is_empty()
}

/// A session in which each segment of the client with data is sent as `attack` has it.
fn attacked(attack: impl Fn(&Frame) -> Vec<Frame>) -> Vec<Frame> {
    let spread = |frame: Frame| if is_client_data(&frame) { attack(&frame) } else { vec![frame] };
    let frames: Vec<Frame> = mail(start(), PORTS[0], PORTS[1], 1).into_iter().flat_map(spread).collect();
    frames
}

#[track_caller]
fn assert_reads_the_letter(name: &str, frames: Vec<Frame>) -> Told {
    let told = sense(frames);
    let mails = told.mails();
    assert_eq!(mails.len(), 1, "{name}: {:?} {:?}", told.story(), told.stats.flow);
    assert!(mails[0].envelope.is_some(), "{name}: {:?}", told.stats.flow);
    assert_is_the_letter(mails[0]);
    assert_eq!((told.stats.flow.gaps, told.stats.flow.held_bytes, told.stats.flow.tail_bytes), (0, 0, 0), "{name}");
    told
}

/// RFC 9293, section 3.10.7.4, fifth: without ACK it is dropped.
#[test]
fn data_without_ack_does_not_win_over_data_with_it() {
    for flags in [0, 8, FIN] {
        let frames = attacked(|frame| vec![Forged { flags, ..Forged::rubbish(frame) }.frame(), frame.clone()]);
        assert_reads_the_letter(&format!("{flags}"), frames);
    }
}

/// Linux drops a segment that acknowledges what was never sent (`tcp_ack`), or what lies before the beginning by more
/// than a window.
#[test]
fn data_that_acknowledges_what_was_never_sent_does_not_win() {
    for off in [1, 3, 1_000, 60_000, 0x0100_0000, 0x2000_0000, 0x7000_0000, 0x9000_0000, 0xf000_0000] {
        let frames = attacked(|frame| {
            let like = Forged::rubbish(frame);
            vec![Forged { ack: like.ack.wrapping_add(off), ..like }.frame(), frame.clone()]
        });
        assert_reads_the_letter(&format!("{off:#x} ahead"), frames);
    }
}

/// The acknowledgment alone, again and again, while the session takes its time.
#[test]
fn acknowledgments_of_what_was_never_sent_cost_no_reply() {
    for off in [1, 40, 1_000, 60_000, 0x0100_0000] {
        let talk = script(&session(vec![letter()]));
        let plan = Conversation { think: 3 * SECOND, ..conversation(start(), PORTS[0], PORTS[1], 1) };
        let frames = plan.play(&talk).packets.into_iter().flat_map(|frame| {
            if !is_client_data(&frame) {
                return vec![frame];
            }
            let like = Forged::like(&frame);
            let lies = (1..3).map(|n| Forged {
                time: frame.time - n,
                ack: like.ack.wrapping_add(off),
                payload: vec![],
                ..like.clone()
            });
            lies.map(|lie| lie.frame()).chain([frame.clone()]).collect()
        });
        let told = assert_reads_the_letter(&format!("{off:#x}"), frames.collect());
        assert_eq!(told.mails()[0].outcome, Outcome::Accepted, "{off:#x}");
    }
}

/// Linux drops a segment signed (RFC 2385; RFC 5925) that it has no key for.
#[test]
fn a_signed_segment_does_not_win_over_one_without() {
    for options in [[&[19, 18][..], &[7; 16], &[1, 1]].concat(), [&[1, 29, 16][..], &[7; 14], &[1, 1, 1]].concat()] {
        let frames = attacked(|frame| {
            vec![Forged { options: options.clone(), ..Forged::rubbish(frame) }.frame(), frame.clone()]
        });
        assert_reads_the_letter("signed", frames);
    }
}

/// RFC 5961, section 3.2: a reset that is not exactly where it should be is answered, and ends nothing. Nor does one that
/// dies on its way; what a reset carries is no data.
#[test]
fn a_reset_after_which_the_session_goes_on_ended_nothing() {
    let clean = mail(start(), PORTS[0], PORTS[1], 1);
    for (off, payload) in [(0, 0), (1, 0), (100, 0), (60_000, 0), (1, 20), (0, 20)] {
        for at in 3..clean.len() - 4 {
            let Some(next) = clean[at..].iter().find(|frame| sent_by(frame) == CLIENT) else { continue };
            let like = Forged::like(next);
            let (seq, payload) = (like.seq.wrapping_add(off), vec![b'x'; payload]);
            let mut frames = clean.clone();
            let time = clean[at - 1].time + 1;
            frames.insert(at, Forged { time, seq, flags: RST | ACK, payload, ..like }.frame());
            assert_reads_the_letter(&format!("{off} before {at}"), frames);
        }
    }
}

/// Fast open (RFC 7413) that the server does not grant: it acknowledges the SYN alone, and the client sends the data again,
/// or something else.
#[test]
fn data_of_a_syn_counts_only_when_it_is_acknowledged() {
    let clean = mail(start(), PORTS[0], PORTS[1], 1);
    let mut frames = clean.clone();
    frames[0] = Forged { payload: vec![b'x'; 1_400], ..Forged::like(&clean[0]) }.frame();
    assert_reads_the_letter("not granted", frames);
    // Granted: its acknowledgment takes in the data.
    let first = clean.iter().position(is_client_data).unwrap();
    let data = Forged::like(&clean[first]).payload;
    let mut frames = clean.clone();
    frames.remove(first);
    frames[0] = Forged { payload: data.clone(), ..Forged::like(&clean[0]) }.frame();
    let answer = Forged::like(&clean[1]);
    frames[1] = Forged { ack: answer.ack.wrapping_add(data.len() as u32), ..answer }.frame();
    assert_reads_the_letter("granted", frames);
}

/// RFC 5961, section 4: a SYN amid a connection is answered and dropped.
#[test]
fn data_of_a_syn_amid_the_session_does_not_win() {
    for flags in [SYN, SYN | ACK, SYN | FIN] {
        let frames = attacked(|frame| {
            let like = Forged::rubbish(frame);
            vec![Forged { seq: like.seq.wrapping_sub(1), flags, ..like }.frame(), frame.clone()]
        });
        assert_reads_the_letter(&format!("{flags}"), frames);
    }
}

/// Behind a hole, bytes of the segment that begins first are read (`tcp_data_queue_ofo`); of two that begin at one place,
/// those of the longer.
#[test]
fn behind_a_hole_the_segment_that_begins_first_wins() {
    for (rubbish, genuine) in [((8, 20), (4, 99)), ((8, 12), (8, 99)), ((9, 99), (8, 99))] {
        let frames = attacked(|frame| {
            let like = Forged::like(frame);
            let piece = |(from, to): (usize, usize), time, rubbish| {
                let (to, from) = (to.min(like.payload.len()), from.min(like.payload.len()));
                let payload = if rubbish { vec![b'x'; to - from] } else { like.payload[from..to].to_vec() };
                Forged { time, seq: like.seq.wrapping_add(from as u32), payload, ..like.clone() }.frame()
            };
            let (first, second) = (piece(rubbish, frame.time - 3, true), piece(genuine, frame.time - 2, false));
            vec![first, second, piece((0, genuine.0), frame.time - 1, false), frame.clone()]
        });
        assert_reads_the_letter(&format!("{rubbish:?} {genuine:?}"), frames);
    }
}

/// The segment with its URG flag and an urgent pointer.
fn urgent(like: &Forged, pointer: u16) -> Frame {
    let mut frame = Forged { flags: like.flags | URG, ..like.clone() }.frame();
    frame.data[52..54].copy_from_slice(&pointer.to_be_bytes());
    let sum = u16::from_be_bytes([frame.data[50], frame.data[51]]);
    // RFC 1624: the sum of the words grows by the pointer.
    let (sum, carry) = (!sum).overflowing_add(pointer);
    frame.data[50..52].copy_from_slice(&(!(sum + u16::from(carry))).to_be_bytes());
    frame
}

/// What a segment says that acknowledges what was never sent counts for nothing, its urgent pointer included.
#[test]
fn an_urgent_pointer_of_a_segment_that_is_dropped_takes_no_byte() {
    for pointer in [1, 4, 10] {
        let frames = attacked(|frame| {
            let like = Forged::rubbish(frame);
            vec![urgent(&Forged { ack: like.ack.wrapping_add(100_000), ..like }, pointer), frame.clone()]
        });
        assert_reads_the_letter(&format!("{pointer}"), frames);
    }
}

/// RFC 6093: the byte before the urgent pointer is out of band, and not read with the others.
#[test]
fn an_urgent_byte_is_not_read() {
    for at in [0, 2, usize::MAX] {
        let mut sent = [0_u32; 2];
        let frames = mail(start(), PORTS[0], PORTS[1], 1).into_iter().map(|frame| {
            let like = Forged::like(&frame);
            let side = usize::from(!like.from_client);
            let (seq, ack) = (like.seq.wrapping_add(sent[side]), like.ack.wrapping_add(sent[1 - side]));
            if !is_client_data(&frame) {
                return Forged { seq, ack, ..like }.frame();
            }
            let at = at.min(like.payload.len());
            let mut payload = like.payload.clone();
            payload.insert(at, b'x');
            sent[side] += 1;
            urgent(&Forged { seq, ack, payload, ..like }, at as u16 + 1)
        });
        let told = assert_reads_the_letter(&format!("{at}"), frames.collect());
        assert_eq!(told.stats.flow.bad_checksums, 0);
    }
}

/// The segment with timestamps.
fn stamped(frame: &Frame, value: u32, echo: u32) -> Forged {
    let like = Forged::like(frame);
    let mut options = like.options.clone();
    options.extend([1, 1, 8, 10]);
    options.extend(value.to_be_bytes());
    options.extend((100_000 + echo).to_be_bytes());
    Forged { options, ..like }
}

/// A copy of what was acknowledged long ago is dropped, with whatever time it claims (RFC 9293, section 3.10.7.4): the
/// clock of its sender is where it was.
#[test]
fn an_old_copy_from_the_future_makes_no_segment_an_old_one() {
    let mut sent: Vec<Forged> = Vec::new();
    let frames = mail(start(), PORTS[0], PORTS[1], 1).into_iter().enumerate().flat_map(|(n, frame)| {
        let good = stamped(&frame, 100_000 + n as u32, (n as u32).saturating_sub(1));
        if !is_client_data(&frame) {
            return vec![good.frame()];
        }
        let old = Forged { seq: good.seq, ..stamped(&frame, 9_000_000, n as u32) };
        sent.push(old);
        // A copy of the last one acknowledged would count: it ends where the next begins.
        let old = sent.len().checked_sub(3).and_then(|at| sent.get(at)).cloned();
        let old = old.map(|old| Forged { time: frame.time - 1, ack: good.ack, ..old }.frame());
        old.into_iter().chain([good.frame()]).collect()
    });
    let told = assert_reads_the_letter("from the future", frames.collect());
    assert_eq!(told.stats.flow.set_aside, 0);
}

/// PAWS (RFC 7323, section 5): a segment with an old timestamp is dropped.
#[test]
fn a_segment_with_an_old_timestamp_does_not_win() {
    let frames = mail(start(), PORTS[0], PORTS[1], 1).into_iter().enumerate().flat_map(|(n, frame)| {
        let value = 100_000 + n as u32;
        let echo = (n as u32).saturating_sub(1);
        let good = stamped(&frame, value, echo);
        if !is_client_data(&frame) {
            return vec![good.frame()];
        }
        let old =
            Forged { payload: vec![b'x'; good.payload.len()], time: frame.time - 2, ..stamped(&frame, 90_000, echo) };
        vec![old.frame(), good.frame()]
    });
    assert_reads_the_letter("old", frames.collect());
}

/// A frame with other hops, or options of IPv4, and the checksum of its header anew.
fn with_header(frame: &Frame, ttl: u8, options: &[u8]) -> Frame {
    let mut data = frame.data[..34].to_vec();
    data.extend(options);
    data[14] = 0x45 + options.len() as u8 / 4;
    let total = u16::from_be_bytes([frame.data[16], frame.data[17]]) + options.len() as u16;
    data[16..18].copy_from_slice(&total.to_be_bytes());
    data[22] = ttl;
    data[24..26].copy_from_slice(&[0, 0]);
    let sum = wire::checksum(0, &data[14..34 + options.len()]);
    data[24..26].copy_from_slice(&sum.to_be_bytes());
    data.extend(&frame.data[34..]);
    Frame { time: frame.time, data }
}

/// One that dies before it reaches the server, and one whose options it does not take (a source route; a length that is
/// wrong).
#[test]
fn a_packet_that_does_not_arrive_does_not_win() {
    for (ttl, options) in [(3, &[][..]), (64, &[0x83, 3, 4, 0]), (64, &[7, 1, 0, 0])] {
        for port in [25, 2_525] {
            let frames = mail(start(), PORTS[0], port, 1).into_iter().flat_map(|frame| {
                if !is_client_data(&frame) {
                    return vec![frame];
                }
                let rubbish = Forged::rubbish(&frame).frame();
                vec![with_header(&rubbish, ttl, options), frame]
            });
            assert_reads_the_letter(&format!("{ttl} {options:?} {port}"), frames.collect());
        }
    }
}

/// What dies on its way ends nothing, however exact.
#[test]
fn a_reset_that_does_not_arrive_ends_nothing() {
    let clean = mail(start(), PORTS[0], PORTS[1], 1);
    for at in 3..clean.len() - 4 {
        let Some(next) = clean[at..].iter().find(|frame| sent_by(frame) == CLIENT) else { continue };
        // The rest comes when the sensor would have forgotten a session that was reset.
        let mut frames = clean.clone();
        frames[at..].iter_mut().for_each(|frame| frame.time += 60 * SECOND);
        let reset = Forged { time: clean[at - 1].time + 1, flags: RST | ACK, payload: vec![], ..Forged::like(next) };
        frames.insert(at, with_header(&reset.frame(), 3, &[]));
        frames.extend((1..60).map(|n| time_passes(clean[at - 1].time + n * SECOND)));
        let told = assert_reads_the_letter(&format!("before {at}"), frames);
        assert_eq!(told.end_reasons(), [EndReason::Finished]);
    }
}

/// Where all packets have options there is nothing odd about them.
#[test]
fn a_session_of_packets_with_options_is_read() {
    let frames = mail(start(), PORTS[0], PORTS[1], 1);
    let frames = frames.iter().map(|frame| with_header(frame, 64, &[0x94, 4, 0, 0])).collect();
    let told = assert_reads_the_letter("options", frames);
    assert_eq!(told.stats.flow.set_aside, 0);
}

/// Tiny segments beyond the server's window, more than are held.
#[test]
fn segments_beyond_the_window_do_not_have_us_skip_the_session() {
    let clean = mail(start(), PORTS[0], PORTS[1], 1);
    let at = clean.iter().position(is_client_data).unwrap();
    let like = Forged { payload: b"x".to_vec(), ..Forged::like(&clean[at]) };
    let mut frames = clean.clone();
    frames.extend((0..3_000_u32).map(|n| {
        Forged { seq: like.seq.wrapping_add(5_000_000 + n * 2), time: clean[at].time - 1, ..like.clone() }.frame()
    }));
    let told = sense(frames);
    assert_eq!(told.mails().len(), 1, "{:?}", told.stats.flow);
    assert_is_the_letter(told.mails()[0]);
    assert_eq!(told.stats.flow.invalid_segments, 3_000 - 1_024);
}

/// The source of a session's packets in fragments, as `cut` has them: where each begins and ends, and other bytes for it.
fn fragments(frame: &Frame, cuts: &[(usize, usize, bool)]) -> Vec<Frame> {
    let packet = &frame.data[34..];
    if packet.len() < 40 {
        return vec![frame.clone()];
    }
    let last = cuts.iter().map(|(_, to, _)| *to).max().unwrap_or(0);
    let fragment = |&(from, to, rubbish): &(usize, usize, bool)| {
        let (from, to_byte) = (from.min(packet.len()), to.min(packet.len()));
        let mut body = packet[from..to_byte].to_vec();
        if rubbish {
            body.fill(b'x');
        }
        let mut data = frame.data[..34].to_vec();
        data[16..18].copy_from_slice(&(20 + body.len() as u16).to_be_bytes());
        // One identification for each packet.
        let number = seq(frame) as u16;
        data[18..20].copy_from_slice(&number.to_be_bytes());
        let more = if to == last { 0 } else { 0x2000 };
        data[20..22].copy_from_slice(&(more | (from / 8) as u16).to_be_bytes());
        data[24..26].copy_from_slice(&[0, 0]);
        let sum = wire::checksum(0, &data[14..34]);
        data[24..26].copy_from_slice(&sum.to_be_bytes());
        data.extend(body);
        Frame { time: frame.time, data }
    };
    cuts.iter().map(fragment).collect()
}

/// Linux cuts what is over eight bytes off a fragment that is not the last (`ip_frag_queue`).
#[test]
fn a_fragment_of_an_odd_length_is_cut_and_read() {
    for over in [0, 1, 7] {
        let frames = attacked(|frame| fragments(frame, &[(0, 24 + over, false), (24, 9_999, false)]));
        assert_reads_the_letter(&format!("{over} over"), frames);
    }
}

/// Linux gives a datagram up whose fragments contradict each other, and takes the next of its identification for new.
#[test]
fn a_datagram_given_up_may_be_sent_again_under_its_identification() {
    let frames = attacked(|frame| {
        let bad = fragments(frame, &[(16, 32, true)]).into_iter().chain(fragments(frame, &[(8, 24, false)]));
        bad.chain(fragments(frame, &[(0, 24, false), (24, 9_999, false)])).collect()
    });
    assert_reads_the_letter("given up", frames);
}

/// Linux drops a datagram of which fragments overlap, others may take it: what has a better copy is not read.
#[test]
fn a_datagram_of_overlapping_fragments_does_not_win() {
    let frames = attacked(|frame| {
        let rubbish = Forged::rubbish(frame).frame();
        if rubbish.data.len() < 34 + 40 {
            return vec![frame.clone()];
        }
        let cuts = [(0, 24, false), (16, 32, false), (32, 9_999, false)];
        fragments(&rubbish, &cuts).into_iter().chain([frame.clone()]).collect()
    });
    assert_reads_the_letter("overlapping", frames);
}

/// A FIN by itself may be dropped by whoever it is sent to, and is a flow all the same.
#[test]
fn a_flow_that_begins_with_what_is_set_aside_is_counted() {
    let frames = (0..100).map(|n| {
        let hand = Hand { from_client: true, ports: [10_000 + n, 25], seq: 1, ack: 1, flags: FIN, payload: b"" };
        hand.at(start() + i64::from(n) * 1_000)
    });
    let told = sense(frames.collect::<Vec<_>>());
    assert_eq!(told.stats.flow.tcp_opened, 100);
    assert_eq!(told.stats.flow.ended.iter().sum::<u64>(), 100);
}

/// A stream that holds much out of order does not cost others their bytes.
#[test]
fn streams_that_hoard_give_way_to_those_that_do_not() {
    let mut settings = SensorSettings::default();
    settings.shares.stream_bytes = 1 << 20;
    let mut frames = Vec::new();
    for n in 0..40_u16 {
        let hand =
            |seq, flags, payload| Hand { from_client: true, ports: [10_000 + n, 25], seq, ack: 1, flags, payload };
        frames.push(hand(100, SYN, b"".as_slice()).at(start()));
        frames.push(Hand { from_client: false, seq: 0, ack: 101, ..hand(0, SYN | ACK, b"") }.at(start()));
        // So small that what is left of the room is less than any other segment takes.
        frames.extend((0..1_000_u32).map(|k| hand(201 + k * 2, ACK, b"x").at(start() + 1)));
    }
    let mut session = mail(start() + SECOND, PORTS[0], PORTS[1], 1);
    // Each segment of the client in two, the second first.
    session = session
        .into_iter()
        .flat_map(|frame| {
            if !is_client_data(&frame) {
                return vec![frame];
            }
            let like = Forged::like(&frame);
            let (a, b) = like.payload.split_at(2);
            let second = Forged { seq: like.seq.wrapping_add(2), payload: b.to_vec(), ..like.clone() };
            vec![second.frame(), Forged { payload: a.to_vec(), ..like.clone() }.frame()]
        })
        .collect();
    frames.extend(session);
    let told = sense_with(settings, frames);
    let mails: Vec<_> = told.mails().into_iter().filter(|mail| mail.message.is_some()).collect();
    assert_eq!(mails.len(), 1, "{:?}", told.stats.flow);
    assert_is_the_letter(mails[0]);
    assert_eq!(told.stats.flow.held_bytes, 0);
}

/// Both ports are those of mail, and the server is the first to be seen.
#[test]
fn who_serves_is_told_by_what_is_said_where_both_ports_serve() {
    let mut frames = mail(start(), 25, 25, 1);
    frames.drain(..3);
    assert_eq!(sent_by(&frames[0]), SERVER);
    let told = sense(frames);
    let [mail] = told.mails()[..] else { panic!("{:?}", told.story()) };
    assert_is_the_letter(mail);
    assert_eq!(told.flow_ends().len(), 1);
    assert!(told.flows().iter().all(|flow| flow.client.ip() == CLIENT));
}
