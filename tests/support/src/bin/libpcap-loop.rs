//! The floor of the comparison: libpcap reads a capture, and nothing is done with its packets.

use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: libpcap-loop CAPTURE");
        return ExitCode::from(2);
    };
    let mut capture = match pcap::Capture::from_file(&path) {
        Ok(capture) => capture,
        Err(error) => {
            eprintln!("libpcap-loop: {path}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let (mut packets, mut bytes) = (0_u64, 0_u64);
    while let Ok(packet) = capture.next_packet() {
        packets += 1;
        bytes += packet.data.len() as u64;
    }
    println!("{packets} packets, {bytes} bytes");
    ExitCode::SUCCESS
}
