//! Interfaces that go down, away and come back, while another goes on.

use std::path::Path;

use crate::netns::{Wire, run, skip};
use crate::sensor::Sensor;
use crate::{packets, send, series, trace};

#[test]
fn an_interface_that_goes_and_comes_back_is_told_and_the_other_goes_on() {
    let wire = match Wire::lay() {
        Ok(wire) => wire,
        Err(why) => return skip(&why),
    };
    let second = Second::lay(&wire);
    let sensor = Sensor::start(&wire, &["--interface", "two", "--threads", "2", "--bpf", "ip"]);
    let up = |metrics: &str, name: &str| series(metrics, &format!("mailsnare_interface_up{{interface=\"{name}\"}}"));
    let outages = |metrics: &str| series(metrics, "mailsnare_interface_outages_total{interface=\"two\"}");
    let is =
        |metrics: &str, state: f64, times: f64| up(metrics, "two") == Some(state) && outages(metrics) == Some(times);
    sensor.wait_for_metrics(|metrics| is(metrics, 1.0, 0.0) && up(metrics, &wire.receiver.interface) == Some(1.0));

    second.ip(&["link", "set", "two", "down"]);
    sensor.wait_for_metrics(|metrics| is(metrics, 0.0, 1.0));
    second.ip(&["link", "set", "two", "up"]);
    sensor.wait_for_metrics(|metrics| is(metrics, 1.0, 1.0));
    // A renamed interface is another one, though the kernel would go on giving its packets.
    for (from, to) in [("two", "three"), ("three", "two")] {
        second.ip(&["link", "set", from, "down"]);
        second.ip(&["link", "set", from, "name", to]);
        second.ip(&["link", "set", to, "up"]);
        let state = if to == "two" { 1.0 } else { 0.0 };
        sensor.wait_for_metrics(|metrics| is(metrics, state, 2.0));
    }
    second.ip(&["link", "del", "two"]);
    sensor.wait_for_metrics(|metrics| is(metrics, 0.0, 3.0));

    // While it is away the other one is read, all of it.
    let arrival = trace("arrival");
    let counted = |metrics: &str, name: &str| {
        series(metrics, &format!("mailsnare_ipv4_packets_total{{interface=\"{name}\"}}")).unwrap_or_default()
    };
    send(&wire, &arrival);
    sensor.wait_for_metrics(|metrics| counted(metrics, &wire.receiver.interface) == packets(&arrival));
    assert_eq!(up(&sensor.metrics(), &wire.receiver.interface), Some(1.0));
    // Packets of it cannot be read, and that is said; the pipeline moves.
    sensor.wait_for_answer("/readyz", "503", "nothing was heard of interface two for 3");
    sensor.wait_for_answer("/healthz", "200", "ok");

    second.make();
    // It may just have looked in vain, and then looks again after 30 seconds: that is waited for first.
    sensor.wait_for_answer("/readyz", "200", "ok");
    sensor.wait_for_metrics(|metrics| is(metrics, 1.0, 3.0));
    let before = counted(&sensor.metrics(), "two");
    second.send(&arrival);
    sensor.wait_for_metrics(|metrics| counted(metrics, "two") == before + packets(&arrival));

    let log = sensor.log();
    for said in ["interface is down", "interface is up again", "interface is lost", "interface is back"] {
        assert!(log.contains(said), "{said}: {log}");
    }
    let seen = sensor.stop();
    let mails = |name: &str| seen.iter().filter(|e| e["event_type"] == "smtp" && e["in_iface"] == name).count();
    assert!(mails("two") > 0);
    assert_eq!(mails("two"), mails(&wire.receiver.interface), "the same packets on both");
}

#[test]
fn without_reopening_the_end_of_the_interface_is_the_end() {
    let wire = match Wire::lay() {
        Ok(wire) => wire,
        Err(why) => return skip(&why),
    };
    let mut sensor = Sensor::start(&wire, &["--no-reopen"]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", sensor.pid())).unwrap();
    assert!(status.contains("CapPrm:\t0000000000000000\n"), "no capability is kept: {status}");
    run("ip", &["-n", &wire.receiver.name, "link", "del", &wire.receiver.interface]).unwrap();
    assert_eq!(sensor.end(), Some(1), "{}", sensor.log());
    let said = format!("mailsnare: interface '{}' disappeared while capturing", wire.receiver.interface);
    assert!(sensor.log().contains(&said), "{}", sensor.log());
}

/// Half of what was to be watched would go unseen, and nobody would start it again.
#[test]
fn without_reopening_the_end_of_one_interface_is_the_end_of_all() {
    let wire = match Wire::lay() {
        Ok(wire) => wire,
        Err(why) => return skip(&why),
    };
    let second = Second::lay(&wire);
    let mut sensor = Sensor::start(&wire, &["--no-reopen", "--interface", "two", "--threads", "2"]);
    second.ip(&["link", "del", "far"]);
    assert_eq!(sensor.end(), Some(1), "{}", sensor.log());
    let said = "mailsnare: interface 'two' disappeared while capturing";
    assert_eq!(sensor.log().matches(said).count(), 1, "{}", sensor.log());
}

/// A second cable, both of whose ends are at the receiver: `far` and `two`.
struct Second<'a>(&'a Wire);

impl<'a> Second<'a> {
    fn lay(wire: &'a Wire) -> Self {
        let second = Self(wire);
        second.make();
        second
    }

    fn make(&self) {
        self.ip(&["link", "add", "far", "type", "veth", "peer", "name", "two"]);
        self.ip(&["link", "set", "far", "up"]);
        self.ip(&["link", "set", "two", "up"]);
    }

    fn ip(&self, args: &[&str]) {
        run("ip", &[&["-n", &self.0.receiver.name], args].concat()).unwrap();
    }

    fn send(&self, trace: &Path) {
        let options = ["--intf1=far", "--pps=5000", "--duration=60", trace.to_str().unwrap()];
        self.0.receiver.output("tcpreplay", &options);
    }
}
