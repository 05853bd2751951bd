//! Live capture for real: packets on a wire, a real mail server, a real client, and the sensor beside them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use netns::{PATIENCE, Wire, run, skip, wait_until};

mod netns;

#[test]
fn a_mail_through_postfix_is_seen_with_its_attachment() {
    let wire = match Wire::lay() {
        Ok(wire) => wire,
        Err(why) => return skip(&why),
    };
    let postfix = wire.start_postfix();
    let sensor = Sensor::start(&wire, &["--mail-server", &wire.receiver.address.to_string()]);

    let (zip, member) = make_zip(wire.dir());
    let server = wire.receiver.address.to_string();
    wire.sender.output(
        "swaks",
        &[
            "--server",
            &server,
            "--helo",
            "client.mailsnare.test",
            "--from",
            "alice@client.test",
            "--to",
            "bob@mailsnare.test,carol@mailsnare.test",
            "--header",
            "Subject: holiday pictures",
            "--body",
            "as promised",
            "--attach-type",
            "application/zip",
            "--attach-name",
            "holiday.zip",
            "--attach",
            &format!("@{}", zip.display()),
        ],
    );
    // Postfix writes its log a moment after the client has gone.
    let taken = wait_until(PATIENCE, || postfix.log().contains("from=<alice@client.test>"));
    assert!(taken, "Postfix took no mail:\n{}", postfix.log());
    // Messages are counted as they come, packets about once a second.
    let counted = |metrics: &str| metric(metrics, MESSAGES) >= 1.0 && metric(metrics, PACKETS) > 10.0;
    assert!(wait_until(PATIENCE, || counted(&sensor.metrics())), "{}", sensor.metrics());

    let eve = sensor.stop();
    let smtp = one(&eve, "smtp", |event| bare(&event["smtp"]["mail_from"]) == "alice@client.test");
    assert_eq!(smtp["smtp"]["helo"], "client.mailsnare.test");
    let recipients: Vec<_> = smtp["smtp"]["rcpt_to"].as_array().unwrap().iter().map(bare).collect();
    assert_eq!(recipients, ["bob@mailsnare.test", "carol@mailsnare.test"]);
    assert_eq!(smtp["email"]["subject"], "holiday pictures");
    assert_eq!(smtp["email"]["attachment"], serde_json::json!(["holiday.zip"]));
    assert_eq!((&smtp["src_ip"], &smtp["dest_port"]), (&"10.77.0.1".into(), &25.into()));
    assert_eq!(smtp["in_iface"], wire.receiver.interface.as_str());
    assert_eq!(smtp["smtp"]["reply"]["code"], 250);

    let file = one(&eve, "fileinfo", |event| event["fileinfo"]["filename"] == "holiday.zip");
    assert_eq!(file["fileinfo"]["sha256"], sha256(&zip));
    assert_eq!(file["fileinfo"]["size"], fs::metadata(&zip).unwrap().len());
    let inside = one(&eve, "fileinfo", |event| event["fileinfo"]["filename"] == "beach.txt");
    assert_eq!(inside["fileinfo"]["sha256"], sha256(&member));
    assert_eq!(inside["fileinfo"]["container"], serde_json::json!(["holiday.zip"]));
}

#[test]
fn an_outbreak_on_the_wire_is_told_by_host() {
    let trace = Path::new(env!("CARGO_MANIFEST_DIR")).join("pcaps/mimail-c-outbreak/trace.pcap");
    if !trace.exists() {
        return skip("pcaps/mimail-c-outbreak/trace.pcap is not there");
    }
    let wire = match Wire::lay() {
        Ok(wire) => wire,
        Err(why) => return skip(&why),
    };
    let sensor = Sensor::start(&wire, &[]);
    // As fast as takes seconds, not as fast as can be: this is no load test.
    let interface = format!("--intf1={}", wire.sender.interface);
    wire.sender.output("tcpreplay", &[&interface, "--pps=5000", "--duration=60", trace.to_str().unwrap()]);
    wait_until(PATIENCE, || metric(&sensor.metrics(), PACKETS) >= packets(&trace));
    let metrics = sensor.metrics();
    assert!(metric(&metrics, PACKETS) >= packets(&trace), "{metrics}");
    assert!(metric(&metrics, MESSAGES) >= 1.0, "{metrics}");

    let live = infected(&sensor.stop());
    assert_eq!(live, infected(&replayed(&trace)));
    assert!(!live.is_empty());
}

/// A sensor listening at the receiver's end.
struct Sensor<'a> {
    wire: &'a Wire,
    process: Child,
    eve: PathBuf,
}

impl<'a> Sensor<'a> {
    /// Starts it and waits until it says that it is ready.
    fn start(wire: &'a Wire, options: &[&str]) -> Self {
        let eve = wire.dir().join("eve.json");
        let mut command = wire.receiver.command(env!("CARGO_BIN_EXE_mailsnare"));
        command.args(["live", "--interface", &wire.receiver.interface, "--metrics", METRICS, "--eve"]).arg(&eve);
        command.args(options).stdin(Stdio::null()).stdout(Stdio::null());
        let log = fs::File::create(wire.dir().join("sensor.log")).unwrap();
        let process = command.stderr(log).spawn().unwrap();
        let mut sensor = Self { wire, process, eve };
        let ready = wait_until(PATIENCE, || sensor.get("/readyz").is_some() || sensor.ended());
        assert!(ready && !sensor.ended(), "the sensor does not start: {}", sensor.log());
        sensor
    }

    fn ended(&mut self) -> bool {
        self.process.try_wait().unwrap().is_some()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.wire.dir().join("sensor.log")).unwrap_or_default()
    }

    /// Asks its HTTP server; none when it does not answer with success.
    fn get(&self, path: &str) -> Option<String> {
        let url = format!("http://{METRICS}{path}");
        let output = self.wire.receiver.command("curl").args(["-sf", "--max-time", "5", &url]).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }

    fn metrics(&self) -> String {
        self.get("/metrics").unwrap_or_else(|| panic!("no metrics: {}", self.log()))
    }

    /// Ends it as a service manager would; it must drain, exit with 0, and leave whole lines behind.
    fn stop(mut self) -> Vec<Value> {
        run("kill", &["-TERM", &self.process.id().to_string()]).unwrap();
        let mut status = None;
        wait_until(PATIENCE, || {
            status = self.process.try_wait().unwrap();
            status.is_some()
        });
        let code = status.and_then(|status| status.code());
        assert_eq!(code, Some(0), "after SIGTERM: {}", self.log());
        lines(&fs::read_to_string(&self.eve).unwrap())
    }
}

impl Drop for Sensor<'_> {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a replay of the same packets says.
fn replayed(trace: &Path) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_mailsnare")).arg("replay").arg(trace).args(["--eve", "-"]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    lines(&String::from_utf8(output.stdout).unwrap())
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// The only event of a type that fits.
fn one<'a>(eve: &'a [Value], kind: &str, fits: impl Fn(&Value) -> bool) -> &'a Value {
    let of_kind: Vec<_> = eve.iter().filter(|event| event["event_type"] == kind).collect();
    let found: Vec<_> = of_kind.iter().copied().filter(|event| fits(event)).collect();
    assert_eq!(found.len(), 1, "{kind} events: {of_kind:#?}");
    found[0]
}

/// Hosts that mailed the worm themselves.
fn infected(eve: &[Value]) -> BTreeSet<String> {
    let alerts = eve.iter().filter(|event| event["event_type"] == "alert" && event["alert"]["rule"] == "mimail-c");
    alerts
        .filter(|event| event["alert"]["severity"] == 1)
        .filter_map(|event| event["src_ip"].as_str().map(str::to_owned))
        .collect()
}

/// An address without angle brackets.
fn bare(address: &Value) -> &str {
    address.as_str().unwrap_or_default().trim_matches(['<', '>'])
}

/// The sum of a metric's series.
fn metric(text: &str, name: &str) -> f64 {
    let series = text.lines().filter_map(|line| line.strip_prefix(name)).filter(|rest| rest.starts_with(['{', ' ']));
    series.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Packets in a capture file, as another program counts them.
fn packets(trace: &Path) -> f64 {
    let counted = run("capinfos", &["-c", "-M", "-T", "-r", trace.to_str().unwrap()]).unwrap();
    counted.split_whitespace().last().unwrap().parse().unwrap()
}

/// A zip with one member, made by another program.
fn make_zip(dir: &Path) -> (PathBuf, PathBuf) {
    let (zip, member) = (dir.join("made.zip"), dir.join("beach.txt"));
    fs::write(&member, "sand and sea\n".repeat(100)).unwrap();
    run("zip", &["-q", "-j", "-X", zip.to_str().unwrap(), member.to_str().unwrap()]).unwrap();
    (zip, member)
}

/// A file's SHA-256, as another program computes it.
fn sha256(path: &Path) -> String {
    run("sha256sum", &[path.to_str().unwrap()]).unwrap().split(' ').next().unwrap().to_owned()
}

/// Where the sensor serves metrics, within its namespace.
const METRICS: &str = "127.0.0.1:9847";
const PACKETS: &str = "mailsnare_packets_total";
const MESSAGES: &str = "mailsnare_messages_total";
