//! A capture file: pcap, pcapng, gzip or zstd of either.

use std::io::Cursor;

use mailsnare::capture::{ReplayOptions, ReplaySource, Source, Step};
use mailsnare::model::limits;

pub fn run(input: &[u8]) {
    let options = ReplayOptions::default();
    // What is no capture is refused with a sentence.
    let mut replay = match ReplaySource::from_reader("fuzz", Cursor::new(input.to_vec()), &options) {
        Ok(replay) => replay,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let mut number = 0;
    loop {
        match replay.next() {
            Ok(Step::Packet(packet)) => {
                assert!(packet.number > number, "packets are numbered as they come");
                number = packet.number;
                assert_eq!(packet.file, 0);
                assert!(packet.data.len() <= packet.wire_len as usize, "longer than it was on the wire");
                assert!(packet.data.len() <= limits::CAPTURE_RECORD);
            }
            Ok(Step::Idle(_)) => panic!("a file is never idle"),
            Ok(Step::End) => break,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                break;
            }
        }
        // A small compressed file can hold millions of packets; more of the same shows nothing new.
        if number > 50_000 {
            return;
        }
    }
    // Besides those: what ended it, and how many more there were.
    assert!(replay.findings().len() <= limits::CAPTURE_FINDINGS_PER_FILE + 2, "damage is told a few times");
    assert!(!replay.damaged() || replay.stats().damaged > 0, "damage that is known is counted");
}
