//! DNS over TCP: a stream of messages, each behind its length.

use super::{HEADER, looks_like_dns};
use crate::model::limits;

/// Cuts one direction of a TCP stream into messages (RFC 1035, section 4.2.2; RFC 7766, section 8). Messages may be
/// split or joined at any byte. One that lies whole in the bytes pushed is handed on without a copy.
///
/// It holds at most one message ([`limits::DNS_MESSAGE`]); what all framers hold is for the owner to bound, by
/// [`TcpFramer::held_bytes`] and [`TcpFramer::forget`].
#[derive(Debug, Default)]
pub struct TcpFramer {
    place: Place,
    /// The part of a message seen so far.
    held: Vec<u8>,
    /// See [`TcpFramer::lost`].
    lost: u64,
    /// See [`TcpFramer::is_first_defect`].
    defect_told: bool,
}

/// Where in the stream the framer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before a length field, or after its first byte.
    Length(Option<u8>),
    /// Within a message of so many bytes, `held` of which are here.
    Message(usize),
    /// Within a message that was given up, so many bytes before its end.
    Skip(usize),
    /// Somewhere; the count is of pushes that did not begin with a message. What is held may be the length of the next.
    Lost(u32),
}

impl Default for Place {
    fn default() -> Self {
        Self::Length(None)
    }
}

impl TcpFramer {
    /// A framer at the start of a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// A framer for a connection whose beginning was not seen.
    pub fn midstream() -> Self {
        Self { place: Place::Lost(0), ..Self::default() }
    }

    /// True the first time it is asked: what is wrong with a stream's messages is told once.
    pub fn is_first_defect(&mut self) -> bool {
        !std::mem::replace(&mut self.defect_told, true)
    }

    /// Takes the stream's next bytes and hands on each message they complete.
    pub fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(&[u8])) {
        if let Place::Lost(tried) = self.place {
            let Some(found) = self.find(bytes).filter(|_| !self.gave_up()) else {
                self.place = Place::Lost(tried.saturating_add(1));
                self.held.clear();
                // It may be the length of the next, which some programs send by itself (RFC 7766, section 8, tells why not).
                self.held.extend(<[u8; 2]>::try_from(bytes).ok().into_iter().flatten());
                return;
            };
            self.place = found;
            self.held.clear();
        }
        while !bytes.is_empty() {
            bytes = self.step(bytes, &mut each);
        }
    }

    /// Where the place is lost: the place at the front of `bytes`, if they or the two bytes before them tell it.
    fn find(&self, bytes: &[u8]) -> Option<Place> {
        if let [high, low] = self.held[..] {
            let length = usize::from(u16::from_be_bytes([high, low]));
            if length >= HEADER && looks_like_dns(bytes.get(..length).unwrap_or(bytes)) {
                return Some(Place::Message(length));
            }
        }
        starts_with_message(bytes).then_some(Place::Length(None))
    }

    /// Says that the next `bytes` of the stream were not captured.
    ///
    /// A gap within a message of known length costs that message. After a longer one, or one of unknown length (0),
    /// the place is lost until a push begins with what [`looks_like_dns`], as senders that write one message at a
    /// time make likely; after [`limits::DNS_RESYNC`] pushes that do not, the connection is given up.
    pub fn gap(&mut self, bytes: u64) {
        let missing = match self.place {
            Place::Message(length) => length.saturating_sub(self.held.len()),
            Place::Skip(left) => left,
            Place::Length(_) => 0,
            Place::Lost(_) => {
                self.held = Vec::new();
                return;
            }
        };
        self.lost += u64::from(!matches!(self.place, Place::Length(None) | Place::Skip(_)));
        self.held = Vec::new();
        self.place = match usize::try_from(bytes) {
            Ok(1..) if bytes < missing as u64 => Place::Skip(missing.saturating_sub(bytes as usize)),
            Ok(1..) if bytes == missing as u64 => Place::Length(None),
            _ => Place::Lost(0),
        };
    }

    /// Gives up the message that is under way, if one is: there is no room for it, or its rest will not come. What
    /// follows it is read all the same.
    pub fn forget(&mut self) {
        if let Place::Message(length) = self.place {
            self.lost += 1;
            self.place = Place::Skip(length.saturating_sub(self.held.len()));
        }
        self.held = Vec::new();
    }

    /// Memory taken now: the framer's share in what all of them may hold together.
    pub fn held_bytes(&self) -> usize {
        self.held.capacity()
    }

    /// Messages lost so far: damaged by a gap, too short to hold a header, or given up.
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Whether the connection was given up: nothing will come of it any more.
    pub const fn gave_up(&self) -> bool {
        matches!(self.place, Place::Lost(tried) if tried >= limits::DNS_RESYNC)
    }

    /// Goes on by one length field or one message, or to the end of `bytes`; returns what is left of them.
    fn step<'a>(&mut self, bytes: &'a [u8], each: &mut impl FnMut(&[u8])) -> &'a [u8] {
        match self.place {
            Place::Length(high) => {
                let (length, rest) = match (high, bytes) {
                    (Some(high), [low, rest @ ..]) => (u16::from_be_bytes([high, *low]), rest),
                    (None, [high, low, rest @ ..]) => (u16::from_be_bytes([*high, *low]), rest),
                    (_, rest) => {
                        self.place = Place::Length(rest.first().copied().or(high));
                        return &[];
                    }
                };
                self.place = self.begin(usize::from(length));
                rest
            }
            Place::Message(length) => {
                let missing = length.saturating_sub(self.held.len());
                let Some((part, rest)) = bytes.split_at_checked(missing) else {
                    self.held.extend_from_slice(bytes);
                    return &[];
                };
                self.place = Place::Length(None);
                if self.held.is_empty() {
                    each(part);
                } else {
                    self.held.extend_from_slice(part);
                    each(&self.held);
                    self.held.clear();
                    self.held.shrink_to(HELD_CAPACITY);
                }
                rest
            }
            Place::Skip(left) => match bytes.split_at_checked(left) {
                Some((_, rest)) => {
                    self.place = Place::Length(None);
                    rest
                }
                None => {
                    self.place = Place::Skip(left.saturating_sub(bytes.len()));
                    &[]
                }
            },
            Place::Lost(_) => &[],
        }
    }

    /// What follows a length field: a message, or for lengths that cannot hold a header bytes to pass over.
    fn begin(&mut self, length: usize) -> Place {
        match length {
            HEADER.. => Place::Message(length),
            0 => {
                self.lost += 1;
                Place::Length(None)
            }
            _ => {
                self.lost += 1;
                Place::Skip(length)
            }
        }
    }
}

/// Whether bytes of a TCP stream begin with a length field and a message, as far as they go.
fn starts_with_message(bytes: &[u8]) -> bool {
    let [high, low, rest @ ..] = bytes else { return false };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    looks_like_dns(rest.get(..length).unwrap_or(rest))
}

/// Capacity kept between messages: more than most ever need.
const HELD_CAPACITY: usize = 1_024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{mx_query, mx_response};
    use super::*;

    /// The messages that a framer hands on when `stream` comes in pieces cut at `cuts`.
    fn framed(framer: &mut TcpFramer, stream: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
        let (mut messages, mut from) = (Vec::new(), 0);
        for cut in cuts.iter().copied().chain([stream.len()]) {
            let to = cut.clamp(from, stream.len());
            framer.push(&stream[from..to], |message| messages.push(message.to_vec()));
            from = to;
        }
        messages
    }

    fn stream(messages: &[Vec<u8>]) -> Vec<u8> {
        messages.iter().flat_map(|m| [&u16::try_from(m.len()).unwrap().to_be_bytes()[..], m].concat()).collect()
    }

    #[test]
    fn frames_messages_split_anywhere() {
        let messages = [mx_query(), mx_response(), mx_query()];
        let stream = stream(&messages);
        for cut in 0..=stream.len() {
            assert_eq!(framed(&mut TcpFramer::new(), &stream, &[cut]), messages, "cut at {cut}");
        }
        let single: Vec<_> = (0..stream.len()).collect();
        assert_eq!(framed(&mut TcpFramer::new(), &stream, &single), messages);
    }

    #[test]
    fn a_whole_message_is_not_copied() {
        let stream = stream(&[mx_query()]);
        let mut framer = TcpFramer::new();
        framer.push(&stream[..2], |_| panic!("nothing is whole yet"));
        let mut at = std::ptr::null();
        framer.push(&stream[2..], |message| at = message.as_ptr());
        assert_eq!(at, stream[2..].as_ptr());
    }

    #[test]
    fn lengths_without_room_for_a_header_are_passed_over() {
        let bytes = [&[0, 0, 0, 3, 9, 9, 9, 0, 0][..], &stream(&[mx_query()])].concat();
        let mut framer = TcpFramer::new();
        assert_eq!(framed(&mut framer, &bytes, &[4]), [mx_query()]);
        assert_eq!(framer.lost(), 3);
    }

    #[test]
    fn a_gap_within_a_message_costs_only_that_message() {
        let (first, second) = (stream(&[mx_response()]), stream(&[mx_query()]));
        for lost in [1, 20, first.len() - 10] {
            let mut framer = TcpFramer::new();
            framer.push(&first[..10], |_| panic!("nothing is whole yet"));
            framer.gap(lost as u64);
            assert_eq!(framed(&mut framer, &[&first[10 + lost..], &second].concat(), &[5]), [mx_query()], "{lost}");
            assert_eq!((framer.lost(), framer.held.len()), (1, 0));
        }
    }

    #[test]
    fn a_message_that_is_forgotten_costs_only_itself() {
        let (first, second) = (stream(&[mx_response()]), stream(&[mx_query()]));
        let mut framer = TcpFramer::new();
        framer.push(&first[..10], |_| panic!("nothing is whole yet"));
        assert!(framer.held_bytes() > 0);
        framer.forget();
        assert_eq!((framer.held_bytes(), framer.lost()), (0, 1));
        assert_eq!(framed(&mut framer, &[&first[10..], &second].concat(), &[5]), [mx_query()]);
        framer.forget();
        assert_eq!(framer.lost(), 1, "between messages there is nothing to lose");
    }

    #[test]
    fn a_longer_gap_is_over_where_a_push_begins_with_a_message() {
        let whole = stream(&[mx_query()]);
        let mut framer = TcpFramer::new();
        framer.gap(100);
        assert!(framed(&mut framer, &whole[3..], &[]).is_empty());
        let longer = stream(&[mx_response()]);
        assert_eq!(framed(&mut framer, &longer, &[40]), [mx_response()]);

        framer.gap(0);
        for _ in 0..limits::DNS_RESYNC {
            assert!(!framer.gave_up());
            framer.push(b"no message begins here", |_| panic!("out of step"));
        }
        assert!(framer.gave_up());
        framer.push(&whole, |_| panic!("given up"));
        assert_eq!(framed(&mut TcpFramer::midstream(), &whole, &[]), [mx_query()]);
    }

    #[test]
    fn a_length_that_was_sent_by_itself_shows_where_a_message_begins() {
        let (query, response) = (stream(&[mx_query()]), stream(&[mx_response()]));
        let mut framer = TcpFramer::midstream();
        assert!(framed(&mut framer, &query[7..], &[]).is_empty());
        assert_eq!(framed(&mut framer, &response, &[2, 50]), [mx_response()]);
        assert_eq!(framed(&mut framer, &query, &[2]), [mx_query()]);

        for before in [&b"\0\x03"[..], b"ab", b"\0\x20x"] {
            let mut framer = TcpFramer::midstream();
            framer.push(before, |_| panic!("no message"));
            assert_eq!(framed(&mut framer, &query, &[]), [mx_query()], "{before:?}");
        }
        let mut framer = TcpFramer::midstream();
        framer.push(&query[..2], |_| panic!("no message"));
        framer.gap(5);
        framer.push(&query[2..], |_| panic!("its length was another's"));
    }

    proptest! {
        #[test]
        fn the_splits_of_a_stream_do_not_matter(
            lengths in proptest::collection::vec(0usize..300, 0..8),
            mut cuts in proptest::collection::vec(0usize..2_400, 0..20),
        ) {
            cuts.sort_unstable();
            let messages: Vec<_> = lengths.iter().enumerate().map(|(i, n)| vec![i as u8; *n]).collect();
            let expected: Vec<_> = messages.iter().filter(|m| m.len() >= HEADER).cloned().collect();
            prop_assert_eq!(framed(&mut TcpFramer::new(), &stream(&messages), &cuts), expected);
        }

        #[test]
        fn a_framer_takes_any_bytes_and_gaps(
            pieces in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..300), any::<Option<u16>>()), 0..20)
        ) {
            let mut framer = TcpFramer::new();
            for (bytes, gap) in pieces {
                framer.push(&bytes, |message| assert!(message.len() >= HEADER));
                if let Some(gap) = gap {
                    framer.gap(u64::from(gap));
                }
                prop_assert!(framer.held.len() <= limits::DNS_MESSAGE);
            }
        }
    }
}
