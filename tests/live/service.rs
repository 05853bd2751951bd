//! The sensor as a service: signals, settings read anew, and what the service manager is told.

use std::fs;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::netns::{PATIENCE, Wire, run, skip, wait_until};
use crate::sensor::Sensor;
use crate::{PACKETS, lines, metric, moved, packets, send, series, trace};

#[test]
fn sighup_reads_rules_and_settings_anew_and_broken_ones_change_nothing() {
    let wire = match Wire::lay() {
        Ok(wire) => wire,
        Err(why) => return skip(&why),
    };
    let folder = wire.dir().join("etc");
    fs::create_dir(&folder).unwrap();
    let (config, rules) = (folder.join("mailsnare.toml"), folder.join("rules.toml"));
    let settings = |home: &str| format!("rules = {rules:?}\nhome-net = \"{home}\"\nring-mib = 8\n");
    fs::write(&config, settings("192.0.2.0/24")).unwrap();
    fs::write(&rules, rule("first")).unwrap();
    let sensor = Sensor::start(&wire, &["--config", config.to_str().unwrap(), "--threads", "2"]);
    let reloads = |metrics: &str, result: &str| {
        series(metrics, &format!("mailsnare_rule_reloads_total{{result=\"{result}\"}}")).unwrap_or_default()
    };
    let (mut sent, mut net) = (0.0, 20);
    let mut told_since = 0;
    // Plays the outbreak, and gives the lines that it made the sensor write.
    let mut play = || {
        net += 1;
        let trace = moved(&wire, &trace("mimail-c-outbreak"), net);
        send(&wire, &trace);
        sent += packets(&trace);
        sensor.wait_for_metrics(|metrics| {
            metric(metrics, PACKETS) >= sent && metric(metrics, "mailsnare_queue_depth") == 0.0
        });
        let all = lines(&whole_lines(&sensor.eve));
        let new = all[told_since..].to_vec();
        told_since = all.len();
        new
    };
    let hits = |eve: &[Value], rule: &str| eve.iter().filter(|event| event["alert"]["rule"] == rule).count();
    let incidents = |eve: &[Value]| eve.iter().filter(|event| event["event_type"] == "incident").count();

    let eve = play();
    assert_eq!((hits(&eve, "first") > 0, incidents(&eve)), (true, 0), "nobody there is at home");

    // Replaced, not edited in place: as editors and package managers do.
    replace(&rules, &rule("second"));
    replace(&config, &(settings("10.0.0.0/8") + "workers = 3\n"));
    sensor.signal("HUP");
    sensor.wait_for_metrics(|metrics| reloads(metrics, "ok") == 1.0);
    sensor.wait_for_log("heeded only after a restart: workers", 1);
    let eve = play();
    assert!(hits(&eve, "second") > 0 && hits(&eve, "first") == 0);
    assert!(incidents(&eve) > 0, "they are at home now");

    replace(&rules, &rule("third").replace("severity", "severty"));
    sensor.signal("HUP");
    sensor.wait_for_metrics(|metrics| reloads(metrics, "failed") == 1.0);
    replace(&rules, &rule("fourth"));
    replace(&config, "home_net = \"192.0.2.0/24\"\n");
    sensor.signal("HUP");
    sensor.wait_for_metrics(|metrics| reloads(metrics, "failed") == 2.0);
    let log = sensor.log();
    assert!(log.contains(&format!("{}:", rules.display())) && log.contains("severty"), "{log}");
    assert!(log.contains(&format!("{}:1:1: unknown key 'home_net'", config.display())), "{log}");
    let eve = play();
    assert!(hits(&eve, "second") > 0 && hits(&eve, "fourth") == 0, "the old ones are in force");
    sensor.stop();
}

#[test]
fn the_service_manager_is_told_what_happens() {
    let wire = match Wire::lay() {
        Ok(wire) => wire,
        Err(why) => return skip(&why),
    };
    let manager = Manager::bind(wire.dir());
    let mut sensor = manager.start(&wire, &["--user", "nobody", "--eve", "-"]);
    manager.wait_for(&["READY=1", "STATUS=listening on "]);
    // The wire is silent, and the pipeline moves all the same.
    for _ in 0..3 {
        manager.wait_for(&["WATCHDOG=1"]);
    }
    sensor.signal("HUP");
    manager.wait_for(&["RELOADING=1", "MONOTONIC_USEC="]);
    manager.wait_for(&["READY=1"]);
    sensor.signal("TERM");
    manager.wait_for(&["STOPPING=1"]);
    assert_eq!(sensor.end(), Some(0), "{}", sensor.log());
}

#[test]
fn a_pipeline_that_stands_still_does_not_feed_the_watchdog() {
    let wire = match Wire::lay() {
        Ok(wire) => wire,
        Err(why) => return skip(&why),
    };
    let pipe = wire.dir().join("eve.pipe");
    run("mkfifo", &[pipe.to_str().unwrap()]).unwrap();
    let mut reader = fs::OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(&pipe).unwrap();
    let manager = Manager::bind(wire.dir());
    let sensor = manager.start(&wire, &["--eve", pipe.to_str().unwrap()]);
    manager.wait_for(&["READY=1"]);
    manager.wait_for(&["WATCHDOG=1"]);
    // Lines that nobody reads fill the pipe; the sensor waits for room there, and comes to nothing else.
    send(&wire, &trace("mimail-c-outbreak"));
    assert!(wait_until(PATIENCE, || manager.is_silent(10 * PERIOD)), "fed though nothing moves");
    sensor.wait_for_answer("/healthz", "503", "the pipeline has not moved for 3");
    sensor.wait_for_answer("/readyz", "503", "nothing was heard of interface");
    // Once someone reads, it goes on where it was.
    let mut told = Vec::new();
    let fed = wait_until(PATIENCE, || {
        let mut piece = vec![0; 1 << 16];
        let count = reader.read(&mut piece).unwrap_or_default();
        told.extend_from_slice(&piece[..count]);
        manager.hears().is_some_and(|said| said.contains("WATCHDOG=1"))
    });
    assert!(fed, "{}", sensor.log());
    assert!(!told.is_empty());
    sensor.wait_for_answer("/healthz", "200", "ok");
}

#[test]
fn a_stop_loses_no_mail_that_was_on_the_wire() {
    let wire = match Wire::lay() {
        Ok(wire) => wire,
        Err(why) => return skip(&why),
    };
    let trace = trace("mimail-c-outbreak");
    let sensor = Sensor::start(&wire, &["--interface", "lo"]);
    send(&wire, &trace);
    // At once: what the ring and the queues hold is still told.
    let eve = sensor.stop();
    let told = eve.iter().filter(|event| event["event_type"] == "smtp" && event["email"].is_object()).count();
    let summary = crate::replayed(&trace);
    assert_eq!(told, summary.iter().filter(|e| e["event_type"] == "smtp" && e["email"].is_object()).count());
}

/// Stands in for systemd: a socket that is told things.
struct Manager {
    socket: UnixDatagram,
    path: std::path::PathBuf,
}

impl Manager {
    fn bind(dir: &Path) -> Self {
        let path = dir.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        // As systemd's: whoever the service has become may write there.
        run("chmod", &["777", path.to_str().unwrap()]).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        Self { socket, path }
    }

    fn start<'a>(&self, wire: &'a Wire, options: &[&str]) -> Sensor<'a> {
        let program = Path::new(env!("CARGO_BIN_EXE_mailsnare"));
        Sensor::begin(wire, program, options, |command| {
            command.env("NOTIFY_SOCKET", &self.path).env("WATCHDOG_USEC", PERIOD.as_micros().to_string())
        })
    }

    /// The next message, if one comes soon.
    fn hears(&self) -> Option<String> {
        let mut text = [0; 4_096];
        let length = self.socket.recv(&mut text).ok()?;
        Some(String::from_utf8_lossy(&text[..length]).into_owned())
    }

    /// Waits for a message in which all this stands.
    fn wait_for(&self, what: &[&str]) {
        let heard = wait_until(PATIENCE, || {
            self.hears().is_some_and(|said| what.iter().all(|part| said.lines().any(|line| line.starts_with(part))))
        });
        assert!(heard, "not told: {what:?}");
    }

    /// Whether nothing is said for so long.
    fn is_silent(&self, time: Duration) -> bool {
        let began = Instant::now();
        while began.elapsed() < time {
            if self.hears().is_some() {
                return false;
            }
        }
        true
    }
}

/// A rule on every message of the worm.
fn rule(id: &str) -> String {
    format!(
        "[[rule]]\nid = \"{id}\"\nsid = 9990001\nrev = 1\ntitle = \"A test\"\nseverity = \"low\"\ncategory = \"test\"\n\
         remediation = \"Nothing.\"\nreference = [\"https://example.com/\"]\n\
         match = {{ attachment.name = {{ equals = \"photos.zip\" }} }}\n"
    )
}

fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(&new, path).unwrap();
}

/// What a file that is being written holds, without a line that is under way.
fn whole_lines(path: &Path) -> String {
    let mut text = fs::read_to_string(path).unwrap();
    text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
    text
}

/// The watchdog's period: short, so that the test is.
const PERIOD: Duration = Duration::from_millis(200);
/// From the kernel's headers, the same on all processors that we build for.
const O_NONBLOCK: i32 = 0o4000;
