//! A packet of a flow that is neither mail nor DNS costs no allocation: what a busy link is mostly made of.

use mailsnare::capture::Packet;
use mailsnare::model::settings::SensorSettings;
use mailsnare::model::time::Timestamp;
use mailsnare::sensor::Sensor;
use mailsnare_lab::bulk;
use mailsnare_lab::capture::Packet as Frame;

#[test]
fn a_packet_of_a_web_flow_allocates_nothing() {
    let mut frames: Vec<Frame> = Vec::new();
    bulk::web(&mut frames, 2_000_000, 50_000, 1).unwrap();
    bulk::syn_flood(&mut frames, 2_000, 1).unwrap();
    // The flood's entries are more than fit, so that each new flow ends another.
    let settings = SensorSettings { flows: 1_000, ..SensorSettings::default() };
    let mut sensor = Sensor::new(settings, 0);
    // The first round gives the table its size.
    feed(&mut sensor, &frames);
    let spent = allocation_counter::measure(|| feed(&mut sensor, &frames));
    let seen = &sensor.stats().capture;
    assert_eq!(seen.packets, 2 * frames.len() as u64);
    assert!(sensor.stats().flow.ended[EVICTED] > 2_000, "{:?}", sensor.stats().flow);
    assert_eq!(spent.count_total, 0, "{} packets: {spent:?}", frames.len());
}

/// All at one moment: counters are told once a second, and that does allocate.
fn feed(sensor: &mut Sensor, frames: &[Frame]) {
    for (number, frame) in (1..).zip(frames) {
        let time = Timestamp::from_parts(1_000_000, 0);
        let wire_len = frame.data.len() as u32;
        sensor.packet(&Packet { time, link: 1, data: &frame.data, wire_len, number, file: 0 });
    }
}

/// Its place in `FlowStats::END_REASONS`.
const EVICTED: usize = 3;
