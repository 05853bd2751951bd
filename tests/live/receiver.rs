//! What a server reads of packets that are made to hide a session from a sensor: the kinds that
//! `src/sensor/tests/evasion.rs` shows to the sensor. The server here is the kernel of this machine, over loopback.

use super::netns::{Wire, run, skip};

#[test]
fn linux_reads_of_forged_packets_what_the_sensor_reads() {
    // Who may lay a wire may forge packets as well.
    if let Err(why) = Wire::lay() {
        return skip(&why);
    }
    let said = run("python3", &[concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle/linux_receiver.py")]).unwrap();
    let kinds = said.lines().filter(|line| line.starts_with("as expected")).count();
    assert!(kinds >= 17, "{said}");
}
