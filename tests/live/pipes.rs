//! Where EVE lines go while that goes away and comes back: a named pipe, a file.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::Value;

use super::netns::{Wire, run, skip};
use super::sensor::Sensor;
use super::{metric, send, trace};

/// A service manager sends one SIGTERM, and much later SIGKILL.
#[test]
fn a_reader_that_is_away_holds_up_neither_the_end_nor_a_reload() {
    let wire = match Wire::lay() {
        Ok(wire) => wire,
        Err(why) => return skip(&why),
    };
    let pipe = wire.dir().join("pipe");
    run("mkfifo", &[pipe.to_str().unwrap()]).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_mailsnare"));
    let options = ["--eve", pipe.to_str().unwrap()];
    let mut sensor = Sensor::begin(&wire, program, &options, |command| command);
    sensor.wait_for_log("waiting for a reader of ", 1);
    sensor.signal("TERM");
    assert_eq!(sensor.end(), Some(0), "{}", sensor.log());

    let mut sensor = Sensor::begin(&wire, program, &options, |command| command);
    sensor.wait_for_log("waiting for a reader of ", 1);
    let reader = open(&pipe);
    sensor.wait_for_answer("/readyz", "200", "");
    drop(reader);
    sensor.signal("HUP");
    sensor.wait_for_log("; start its reader, or choose another place with --eve", 1);
    sensor.wait_for_log("rules read anew", 1);
    send(&wire, &trace("arrival"));
    sensor.wait_for_metrics(|metrics| metric(metrics, "mailsnare_eve_lines_lost_total") > 0.0);
    sensor.wait_for_answer("/healthz", "200", "ok");

    // One that comes back gets what is said from then on, in whole lines.
    let reader = open(&pipe);
    sensor.signal("TERM");
    let lines: Vec<_> = BufReader::new(reader).lines().map(Result::unwrap).collect();
    let last: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(last.last().unwrap()["event_type"], "stats");
    assert_eq!(sensor.end(), Some(1), "lines were lost: {}", sensor.log());
}

/// As by who makes room on a full disk: without a name nobody can read it.
#[test]
fn a_file_that_is_deleted_is_begun_anew() {
    let wire = match Wire::lay() {
        Ok(wire) => wire,
        Err(why) => return skip(&why),
    };
    let sensor = Sensor::start(&wire, &[]);
    fs::remove_file(&sensor.eve).unwrap();
    sensor.wait_for_log("the EVE file was deleted, and is begun anew", 1);
    send(&wire, &trace("arrival"));
    let eve = sensor.stop();
    assert!(eve.iter().any(|event| event["event_type"] == "smtp"), "{eve:?}");
}

/// The reading end, also when nobody writes (any more): what is read then has an end at once.
fn open(pipe: &Path) -> File {
    let reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(pipe).unwrap();
    rustix::io::ioctl_fionbio(&reader, false).unwrap();
    reader
}
