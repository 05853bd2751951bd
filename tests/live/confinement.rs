//! What the running sensor may still do, as the kernel sees it; and that it works all the same.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use crate::netns::{PATIENCE, Wire, run, skip, wait_until};
use crate::sensor::Sensor;
use crate::{MESSAGES, lines, metric, moved, replayed, send, trace};

#[test]
fn a_sensor_started_by_root_works_as_nobody_with_one_capability() {
    let wire = match Wire::lay() {
        Ok(wire) => wire,
        Err(why) => return skip(&why),
    };
    let nobody = id("-u", "nobody");
    let folder = wire.dir().join("log");
    fs::create_dir(&folder).unwrap();
    run("chown", &["nobody", folder.to_str().unwrap()]).unwrap();
    let (eve, extract) = (folder.join("eve.json"), folder.join("files"));
    // Nobody answers to these names (RFC 6761, section 6.4): the sensor starts all the same, and with it the threads that
    // try to reach them.
    let away = ["--syslog", "udp://log.invalid", "--alertmanager", "http://alertmanager.invalid:9093"];
    let options = ["--user", "nobody", "--eve", eve.to_str().unwrap(), "--extract", extract.to_str().unwrap()];
    let sensor = Sensor::start(&wire, &[&options[..], &away, &["--threads", "2"]].concat());
    sensor.wait_for_log("syslog at udp://log.invalid:514 is not told: ", 1);

    // Of the process and of each of its threads.
    let mut names = BTreeSet::new();
    for task in fs::read_dir(format!("/proc/{}/task", sensor.pid())).unwrap() {
        let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let is =
            |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().trim().to_owned();
        let ids: Vec<_> = is("Uid:").split_whitespace().map(str::to_owned).collect();
        assert_eq!(ids, [nobody.as_str(); 4], "{status}");
        assert!(!is("Groups:").split_whitespace().any(|group| group == "0"), "{status}");
        assert!(!is("Gid:").split_whitespace().any(|group| group == "0"), "{status}");
        // CAP_NET_RAW is number 13 (linux/capability.h).
        for set in ["CapPrm:", "CapEff:"] {
            assert_eq!(u64::from_str_radix(&is(set), 16), Ok(1 << 13), "{set} {status}");
        }
        for set in ["CapInh:", "CapBnd:", "CapAmb:"] {
            assert_eq!(u64::from_str_radix(&is(set), 16), Ok(0), "{set} {status}");
        }
        assert_eq!((is("NoNewPrivs:"), is("Seccomp:")), ("1".to_owned(), "2".to_owned()), "{status}");
        names.insert(is("Name:"));
    }
    for name in ["mailsnare", "metrics", "lookup", "alertmanager"] {
        assert!(names.contains(name), "{name}: {names:?}");
    }
    assert!(names.len() >= 6, "besides, sensors and inspectors: {names:?}");
    let log = sensor.log();
    assert!(!log.contains("Landlock does not bind them"), "{log}");
    assert!(log.contains("confined: files: Landlock") || log.contains("not confined: files: "), "{log}");

    let failed = "mailsnare_notifications_total{channel=\"syslog\",result=\"failed\"}";
    sensor.wait_for_metrics(|metrics| metric(metrics, failed) >= 1.0);
    // The process metrics read /proc.
    assert!(metric(&sensor.metrics(), "process_open_fds") > 3.0, "{}", sensor.metrics());

    // It captures, writes what was attached, and opens its lines anew after a rotation.
    let trace = trace("arrival");
    let messages =
        replayed(&trace).iter().filter(|event| event["event_type"] == "smtp" && event["email"].is_object()).count();
    assert!(messages > 0);
    send(&wire, &trace);
    sensor.wait_for_metrics(|metrics| metric(metrics, MESSAGES) == messages as f64);
    let old = folder.join("eve.json.1");
    fs::rename(&eve, &old).unwrap();
    sensor.signal("HUP");
    assert!(wait_until(PATIENCE, || eve.exists()), "{}", sensor.log());
    send(&wire, &moved(&wire, &trace, 21));
    sensor.wait_for_metrics(|metrics| metric(metrics, MESSAGES) == 2.0 * messages as f64);
    sensor.signal("TERM");
    let mut sensor = sensor;
    assert_eq!(sensor.end(), Some(0), "{}", sensor.log());
    for path in [&old, &eve] {
        let told = lines(&fs::read_to_string(path).unwrap());
        assert!(told.iter().any(|event| event["event_type"] == "fileinfo"), "{}", path.display());
    }
    let files: Vec<_> = fs::read_dir(&extract).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(!files.is_empty());
    for file in files.iter().chain([&eve]) {
        assert_eq!(fs::metadata(file).unwrap().uid().to_string(), nobody, "{}", file.display());
    }
    assert!(!sensor.log().contains("not replaced"), "{}", sensor.log());
}

#[test]
fn a_plain_user_captures_with_a_capability_on_the_file_and_not_without() {
    let wire = match Wire::lay() {
        Ok(wire) => wire,
        Err(why) => return skip(&why),
    };
    let program = wire.dir().join("mailsnare");
    fs::copy(env!("CARGO_BIN_EXE_mailsnare"), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(wire.dir(), fs::Permissions::from_mode(0o777)).unwrap();
    let plain = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", program.to_str().unwrap()];

    let mut live = wire.receiver.command(plain[0]);
    live.args(&plain[1..]).args(["live", "--metrics", "off", "--interface", &wire.receiver.interface]);
    let output = live.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("no permission to capture on") && said.contains("setcap cap_net_raw"), "{said}");

    // As the documentation says.
    run("setcap", &["cap_net_raw=ep", program.to_str().unwrap()]).unwrap();
    let launcher = wire.dir().join("launch");
    fs::write(&launcher, format!("#!/bin/sh\nexec {} \"$@\"\n", plain.join(" "))).unwrap();
    fs::set_permissions(&launcher, fs::Permissions::from_mode(0o755)).unwrap();
    let sensor = Sensor::start_as(&wire, Path::new(&launcher), &["--threads", "2"], |command| command);
    let status = fs::read_to_string(format!("/proc/{}/status", sensor.pid())).unwrap();
    assert!(status.contains("CapEff:\t0000000000002000\n") && status.contains("Seccomp:\t2\n"), "{status}");
    assert!(status.contains(&format!("Uid:\t{}\t", id("-u", "nobody"))), "{status}");
    send(&wire, &trace("arrival"));
    sensor.wait_for_metrics(|metrics| metric(metrics, MESSAGES) >= 1.0);
    sensor.stop();
}

/// Root could read it at the start, nobody cannot at a reload.
#[test]
fn a_configuration_that_cannot_be_read_again_is_told_at_the_start() {
    let wire = match Wire::lay() {
        Ok(wire) => wire,
        Err(why) => return skip(&why),
    };
    let etc = wire.dir().join("etc");
    fs::create_dir(&etc).unwrap();
    fs::set_permissions(wire.dir(), fs::Permissions::from_mode(0o777)).unwrap();
    for (name, mode, told) in [("closed.toml", 0o600, true), ("open.toml", 0o644, false)] {
        let config = etc.join(name);
        fs::write(&config, "workers = 1\n").unwrap();
        fs::set_permissions(&config, fs::Permissions::from_mode(mode)).unwrap();
        let sensor = Sensor::start(&wire, &["--user", "nobody", "--config", config.to_str().unwrap()]);
        let said = format!("{}: cannot be read by the user that the sensor has become", config.display());
        assert_eq!(sensor.log().contains(&said), told, "{}", sensor.log());
        sensor.stop();
        fs::remove_file(wire.dir().join("eve.json")).unwrap();
    }
}

fn id(what: &str, user: &str) -> String {
    run("id", &[what, user]).unwrap().trim().to_owned()
}
