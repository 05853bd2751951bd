//! What a live sensor says it holds, the kernel's rings included, against what the kernel says it takes.

use std::fs;

use mailsnare::model::limits;

use crate::netns::{Wire, skip};
use crate::sensor::Sensor;
use crate::{MESSAGES, metric, send, trace};

#[test]
fn the_pools_and_the_rings_are_what_the_sensor_takes() {
    let wire = match Wire::lay() {
        Ok(wire) => wire,
        Err(why) => return skip(&why),
    };
    for (threads, ring) in [("1", 24_u64), ("2", 64)] {
        let sensor = Sensor::start(&wire, &["--threads", threads, "--ring-mib", &ring.to_string()]);
        send(&wire, &trace("mimail-c-outbreak"));
        sensor.wait_for_metrics(|metrics| metric(metrics, MESSAGES) > 50.0);
        let metrics = sensor.metrics();
        let rings = metric(&metrics, "mailsnare_memory_bytes{pool=\"rings\"}") as u64;
        assert_eq!(rings, (threads.parse::<u64>().unwrap() * ring) << 20);
        let pools = metrics.lines().filter(|line| line.starts_with("mailsnare_memory_bytes{"));
        let told: f64 = pools.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum();
        let status = fs::read_to_string(format!("/proc/{}/status", sensor.pid())).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        let resident = resident.unwrap().parse::<u64>().unwrap() << 10;
        let share = (told + limits::MEMORY_BASE as f64) / resident as f64;
        assert!((0.75..=1.25).contains(&share), "{threads} threads: {share:.2} of {resident}: {metrics}");
        drop(sensor.stop());
    }
}
