//! Packets of any link type through one decoder, so that fragments find each other.
//!
//! Input: records of a link type (1 byte, an index), the time that passed (1 byte), bytes cut off by the snaplen
//! (1 byte), a length (2 bytes) and the packet.

use std::time::Duration;

use mailsnare::decode::{Decoded, Decoder};
use mailsnare::model::limits;
use mailsnare::model::time::Timestamp;

use super::input::Input;

pub fn run(input: &[u8]) {
    let mut input = Input(input);
    let (mut decoder, mut now) = (Decoder::new(), Timestamp::from_parts(1_067_601_600, 0));
    let (mut all, mut counted) = (0, 0);
    while !input.is_empty() {
        let link = LINK_TYPES[usize::from(input.byte()) % LINK_TYPES.len()];
        now = now.plus(PAUSES[usize::from(input.byte()) % PAUSES.len()]);
        let cut = u32::from(input.byte());
        let length = usize::from(input.short());
        let packet = input.bytes(length);
        all += packet.len();
        let decoded = decoder.decode(link, packet, packet.len() as u32 + cut, now);
        counted += u64::from(decoded != Decoded::Nothing);
        match decoded {
            Decoded::Tcp(segment) => assert!(segment.payload.len() <= all, "a payload of bytes nobody sent"),
            Decoded::Udp(datagram) => assert!(datagram.payload.len() <= all, "a payload of bytes nobody sent"),
            Decoded::Other(..) | Decoded::Echo(..) | Decoded::Nothing => {}
        }
        let stats = decoder.stats();
        assert!(stats.fragments_reassembled <= stats.fragments);
        assert!(decoder.take_anomalies().len() <= limits::ANOMALIES);
    }
    let stats = decoder.stats();
    assert!(counted <= stats.tcp + stats.udp + stats.other, "each packet that came to something is counted");
}

/// All that are decoded, and one that is not.
const LINK_TYPES: [u32; 17] = [1, 1, 1, 101, 113, 276, 228, 229, 0, 108, 9, 50, 51, 239, 258, 12, 147];

/// Fragments wait a minute for each other.
const PAUSES: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(1), Duration::from_secs(10), Duration::from_secs(61)];
