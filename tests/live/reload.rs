//! Settings read anew while the sensor runs, behind links as people lay them; and an output that nobody reads.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use crate::netns::{PATIENCE, Wire, skip, wait_until};
use crate::sensor::Sensor;
use crate::{MESSAGES, infected, metric, packets, send, trace};

/// A configuration, a rule and the EVE file each stand elsewhere, and only links to them where they are looked for.
#[test]
fn what_stands_behind_links_is_read_and_made_anew() {
    let wire = match Wire::lay() {
        Ok(wire) => wire,
        Err(why) => return skip(&why),
    };
    let dir = wire.dir();
    for name in ["etc", "there", "rules", "shared", "log", "disk"] {
        fs::create_dir(dir.join(name)).unwrap();
    }
    let link = |from: &str, to: &str| symlink(dir.join(to), dir.join(from)).unwrap();
    let (eve, config) = (dir.join("log/eve.json"), dir.join("etc/mailsnare.toml"));
    fs::write(dir.join("disk/eve.json"), "").unwrap();
    link("log/eve.json", "disk/eve.json");
    fs::write(dir.join("shared/ours.toml"), rule(9_200_001)).unwrap();
    link("rules/ours.toml", "shared/ours.toml");
    fs::write(dir.join("there/mailsnare.toml"), format!("rules = {:?}\n", dir.join("rules"))).unwrap();
    link("etc/mailsnare.toml", "there/mailsnare.toml");

    let sensor = Sensor::start(&wire, &["--config", config.to_str().unwrap(), "--eve", eve.to_str().unwrap()]);
    // All of it is put in place as editors and log rotation do: another file, under the same name.
    fs::write(dir.join("new"), rule(9_200_001) + &rule(9_200_002)).unwrap();
    fs::rename(dir.join("new"), dir.join("shared/ours.toml")).unwrap();
    fs::rename(dir.join("disk/eve.json"), dir.join("disk/eve.json.1")).unwrap();
    sensor.signal("HUP");
    sensor.wait_for_log("settings and 2 rules read anew", 1);
    assert!(wait_until(PATIENCE, || dir.join("disk/eve.json").exists()), "{}", sensor.log());
    assert!(!sensor.log().contains("cannot open"), "{}", sensor.log());

    // Where it may not go any more it says so.
    fs::create_dir(dir.join("elsewhere")).unwrap();
    fs::write(dir.join("elsewhere/ours.toml"), rule(9_200_003)).unwrap();
    fs::write(dir.join("there/mailsnare.toml"), format!("rules = {:?}\n", dir.join("elsewhere"))).unwrap();
    sensor.signal("HUP");
    if sensor.log().contains("confined: files: Landlock") {
        sensor.wait_for_log("can be read only after a restart, since the sensor is confined", 1);
    }
    let mut sensor = sensor;
    sensor.signal("TERM");
    assert_eq!(sensor.end(), Some(0), "{}", sensor.log());
}

/// The hosts that are answered for are others from SIGHUP on, for what is kept of their packets too.
#[test]
fn evidence_is_of_the_networks_answered_for_now() {
    let wire = match Wire::lay() {
        Ok(wire) => wire,
        Err(why) => return skip(&why),
    };
    let (config, evidence) = (wire.dir().join("etc"), wire.dir().join("evidence"));
    fs::create_dir(&config).unwrap();
    let config = config.join("mailsnare.toml");
    let say = |network: &str| {
        fs::write(&config, format!("home-net = {network:?}\nevidence = {evidence:?}\n")).unwrap();
    };
    say("192.0.2.0/24");
    let sensor = Sensor::start(&wire, &["--config", config.to_str().unwrap()]);
    say("10.20.0.0/16");
    sensor.signal("HUP");
    sensor.wait_for_log("rules read anew", 1);
    // The sensor's thread looks once a second.
    thread::sleep(Duration::from_secs(2));
    send(&wire, &trace("mimail-c-outbreak"));
    sensor.wait_for_metrics(|metrics| metric(metrics, MESSAGES) >= 200.0);
    let eve = sensor.stop();
    let host = infected(&eve).into_iter().next().expect("nobody is infected");
    let kept = fs::read_dir(&evidence).unwrap().map(|file| file.unwrap().path());
    let of_host: Vec<_> = kept.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&host)).collect();
    let [capture] = &of_host[..] else { panic!("{of_host:?}") };
    assert!(packets(capture) > 1_000.0, "{}", packets(capture));
}

/// A shipper that reads the lines goes away: the sensor goes on, but not as if nothing were lost.
#[test]
fn lines_that_nobody_reads_from_standard_output_are_lost() {
    let wire = match Wire::lay() {
        Ok(wire) => wire,
        Err(why) => return skip(&why),
    };
    let program = Path::new(env!("CARGO_BIN_EXE_mailsnare"));
    let (reader, writer) = std::io::pipe().unwrap();
    let sensor = Sensor::start_as(&wire, program, &["--eve", "-"], |command| command.stdout(Stdio::from(writer)));
    drop(reader);
    send(&wire, &trace("arrival"));
    sensor.wait_for_log("cannot write to standard output: Broken pipe", 1);
    sensor.wait_for_metrics(|metrics| metric(metrics, "mailsnare_eve_lines_lost_total") > 0.0);
    let mut sensor = sensor;
    sensor.signal("TERM");
    assert_eq!(sensor.end(), Some(1), "{}", sensor.log());
}

/// As with a mounted volume that hangs: the first signal waits for it, the second does not.
#[test]
fn a_sensor_whose_reader_is_stuck_is_ended_by_a_second_signal() {
    let wire = match Wire::lay() {
        Ok(wire) => wire,
        Err(why) => return skip(&why),
    };
    let program = Path::new(env!("CARGO_BIN_EXE_mailsnare"));
    let (reader, writer) = std::io::pipe().unwrap();
    let options = ["--eve", "-", "--events", "flow,alert,incident,smtp,fileinfo,dns"];
    let mut sensor = Sensor::start_as(&wire, program, &options, |command| command.stdout(Stdio::from(writer)));
    send(&wire, &trace("mimail-c-outbreak"));
    sensor.signal("TERM");
    thread::sleep(Duration::from_secs(2));
    assert!(sensor.ended().is_none(), "it was to wait: {}", sensor.log());
    sensor.signal("TERM");
    assert_eq!(sensor.end(), Some(1), "{}", sensor.log());
    assert!(sensor.log().contains("ended at once by a second signal"), "{}", sensor.log());
    drop(reader);
}

fn rule(sid: u32) -> String {
    format!(
        "[[rule]]\nid = \"r{sid}\"\nsid = {sid}\nrev = 1\ntitle = \"t\"\nseverity = \"low\"\ncategory = \"c\"\n\
         remediation = \"r\"\nmatch.helo = \"x\"\n\n"
    )
}
