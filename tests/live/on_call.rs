//! From packet to page, with the real programs: mailsnare on a wire, a Prometheus that scrapes it with our rules, an
//! Alertmanager, and at the end a receiver of pages that is ours. The page for the infected host comes, names no other,
//! tells what to do, and is taken back when the host is calm.
//!
//! All of it lives in the two network namespaces of a [`Wire`]; the times of the programs are set short, since a test has
//! no fifteen minutes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use mailsnare_lab::bulk;
use mailsnare_lab::capture::{PcapFormat, PcapWriter};

use crate::netns::{Namespace, PATIENCE, Wire, require, run, skip, wait_until};
use crate::programs::{Program, said};
use crate::sensor::Sensor;

const INFECTED: &str = "10.20.1.26";

#[test]
fn the_page_for_the_infected_host_comes_and_goes() {
    if let Err(why) = require(&["prometheus", "prometheus-alertmanager", "python3"]) {
        return skip(&why);
    }
    let wire = match Wire::lay() {
        Ok(wire) => wire,
        Err(why) => return skip(&why),
    };
    let place = &wire.receiver;
    let dir = wire.dir();
    let pager = Pager::start(place, dir);
    let manager = place.command("prometheus-alertmanager");
    let _alertmanager = Program::alertmanager(manager, dir, "127.0.0.1:9093", "http://127.0.0.1:9099/");
    let _prometheus = start_prometheus(place, dir);
    let mut syslog = place.command("python3");
    syslog.args(["-c", SYSLOG]).arg(dir.join("syslog.txt"));
    let _syslog = Program::start(syslog, dir, "syslog");

    // As tightly confined as a service is; those it tells are known to it by name.
    let log = dir.join("log");
    fs::create_dir(&log).unwrap();
    run("chown", &["nobody", log.to_str().unwrap()]).unwrap();
    let (eve, evidence) = (log.join("eve.json"), log.join("evidence"));
    let options = ["--user", "nobody", "--eve", eve.to_str().unwrap()];
    let elsewhere = ["--alertmanager", "http://localhost:9093", "--syslog", "udp://localhost:5514"];
    let mut sensor =
        Sensor::start(&wire, &[&options[..], &elsewhere, &["--evidence", evidence.to_str().unwrap()]].concat());
    assert_eq!(sensor.get("/healthz").as_deref(), Some("ok\n"));
    let scraped = || query(place, "up{job=\"mailsnare\"}").as_deref() == Some("1");
    assert!(wait_until(PATIENCE, scraped), "Prometheus does not scrape the sensor: {}", said(dir, "prometheus"));

    play(&wire);

    // The sensor's own has the label `sensor`, the one of Prometheus has none.
    let own = |page: &Value| !page["labels"]["sensor"].is_null();
    let page = pager.wait_for("firing", "MailsnareHostInfected", |page| !own(page)).expect("the page");
    assert_eq!(page["labels"]["host"], INFECTED);
    let told = |name: &str| page["annotations"][name].as_str().unwrap_or_default().to_owned();
    assert_eq!(page["labels"]["severity"], "critical");
    assert!(told("summary").contains(INFECTED), "{page}");
    assert!(told("description").contains("Take it off the network."), "{page}");
    assert!(told("evidence").contains("mimail-c") && told("evidence").contains("direct-to-mx"), "{page}");
    assert_eq!(told("runbook"), "docs/runbook.md#mailsnarehostinfected");
    // What the page tells to ask gives an answer.
    assert!(query(place, &told("query")).is_some(), "{page}");
    let page = pager.wait_for("firing", "MailsnareHostInfected", own).expect("the sensor's own page");
    assert!(page["annotations"]["evidence"].as_str().unwrap().contains("mimail-c"), "{page}");
    let syslog = || fs::read_to_string(dir.join("syslog.txt")).unwrap_or_default();
    assert!(wait_until(PATIENCE, || syslog().contains("rule=\"mimail-c\"")), "{}", said(dir, "syslog"));
    let captures: Vec<_> = fs::read_dir(&evidence).unwrap().map(|file| file.unwrap().path()).collect();
    let [capture] = &captures[..] else { panic!("{captures:?}") };
    assert!(capture.file_name().unwrap().to_str().unwrap().starts_with(INFECTED), "{captures:?}");
    // The kept packets lead to the same verdict.
    assert_eq!(crate::infected(&crate::replayed(capture)), [INFECTED.to_owned()].into());

    // The sensor dies as hard as can be, and is started anew: nobody knows of an infection any more, and lines stay whole.
    sensor.signal("KILL");
    assert!(wait_until(PATIENCE, || sensor.ended().is_some()));
    assert!(pager.wait_for("firing", "MailsnareDown", |_| true).is_some(), "that the sensor is down is a page too");
    let sensor = Sensor::start(&wire, &options);
    assert!(pager.wait_for("resolved", "MailsnareDown", |_| true).is_some(), "{}", sensor.log());
    assert!(pager.wait_for("resolved", "MailsnareHostInfected", |page| !own(page)).is_some(), "{:?}", pager.pages());
    assert_whole_lines(&eve);
    let eve = fs::read_to_string(&eve).unwrap();
    assert!(eve.lines().any(|line| line.contains("\"verdict\":\"infected\"") && line.contains(INFECTED)));

    let named: Vec<_> =
        pager.pages().into_iter().filter(|page| page["labels"]["alertname"] == "MailsnareHostInfected").collect();
    assert!(named.iter().all(|page| page["labels"]["host"] == INFECTED), "{named:?}");
}

#[test]
fn a_full_disk_costs_lines_and_nothing_else() {
    let wire = match Wire::lay() {
        Ok(wire) => wire,
        Err(why) => return skip(&why),
    };
    let disk = Disk::mount(wire.dir(), "128k");
    let eve = disk.0.join("eve.json");
    let evidence = disk.0.join("evidence");
    let options = ["--eve", eve.to_str().unwrap(), "--evidence", evidence.to_str().unwrap()];
    let sensor = Sensor::start(&wire, &options);
    let metric = |name: &str| value(&sensor.metrics(), name);
    let infections = || metric("mailsnare_alerts_total{rule=\"mimail-c\",severity=\"critical\"}");

    play(&wire);
    assert!(wait_until(PATIENCE, || metric("mailsnare_eve_lines_lost_total") > 100.0), "{}", sensor.log());
    assert!(wait_until(PATIENCE, || infections() >= 187.0), "{} alerts", infections());
    sensor.wait_for_log(&format!("cannot write to the EVE file {}: No space left on device", eve.display()), 1);
    sensor.wait_for_log(&format!("cannot write evidence to {}", evidence.display()), 1);
    sensor.wait_for_log("; packets not kept so far: ", 1);
    assert_whole_lines(&eve);

    // There is room again: what comes from now on is written. Of the same packets once more, that is what is said over
    // UDP; the connections are known to be over.
    disk.resize("64m");
    let lost = metric("mailsnare_eve_lines_lost_total");
    let lines = fs::read_to_string(&eve).unwrap().lines().count();
    play(&wire);
    let written = || fs::read_to_string(&eve).unwrap().lines().count() - lines;
    assert!(wait_until(PATIENCE, || written() > 50), "{} lines more", written());
    assert_eq!(metric("mailsnare_eve_lines_lost_total"), lost);
    assert_whole_lines(&eve);
}

/// As much traffic as the sender can send, and the outbreak in the middle of it: what was not read was counted.
#[test]
fn under_load_the_counters_tell_the_truth() {
    let wire = match Wire::lay() {
        Ok(wire) => wire,
        Err(why) => return skip(&why),
    };
    // A small ring, so that packets are lost on any machine.
    let sensor = Sensor::start(&wire, &["--ring-mib", "1"]);
    let traffic = wire.dir().join("web.pcap");
    let mut sink =
        PcapWriter::new(std::io::BufWriter::new(fs::File::create(&traffic).unwrap()), PcapFormat::default()).unwrap();
    bulk::web(&mut sink, 40_000_000, 200_000, 7).unwrap();
    sink.finish().unwrap();
    let interface = format!("--intf1={}", wire.sender.interface);
    let sent = std::thread::scope(|scope| {
        let outbreak = scope.spawn(|| play(&wire));
        let web = wire.sender.output("tcpreplay", &[&interface, "--topspeed", "--loop=5", traffic.to_str().unwrap()]);
        count_sent(&web) + count_sent(&outbreak.join().unwrap())
    });
    assert!(sent > 100_000.0, "{sent}");
    let told = || {
        let text = sensor.metrics();
        ["packets", "kernel_drops", "interface_drops"].map(|name| value(&text, &format!("mailsnare_{name}_total{{")))
    };
    let all = || told().iter().sum::<f64>();
    assert!(wait_until(PATIENCE, || all() >= sent), "{:?} of {sent}", told());
    // The two ends say a little by themselves (neighbour discovery).
    assert!(all() < sent + 500.0, "{:?} of {sent}", told());
}

/// What tcpreplay says that it sent.
fn count_sent(said: &str) -> f64 {
    let count = said.lines().find_map(|line| line.trim().strip_prefix("Successful packets:"));
    count.unwrap().trim().parse().unwrap()
}

/// Plays the outbreak at the sender's end: as fast as takes seconds. Gives what tcpreplay said.
fn play(wire: &Wire) -> String {
    let trace = Path::new(env!("CARGO_MANIFEST_DIR")).join("pcaps/mimail-c-outbreak/trace.pcap");
    let interface = format!("--intf1={}", wire.sender.interface);
    wire.sender.output("tcpreplay", &[&interface, "--pps=5000", "--duration=60", trace.to_str().unwrap()])
}

/// The first series that begins so.
fn value(metrics: &str, name: &str) -> f64 {
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next_back());
    value.map_or(0.0, |value| value.parse().unwrap())
}

fn assert_whole_lines(eve: &Path) {
    let text = fs::read_to_string(eve).unwrap();
    assert!(text.ends_with('\n'));
    assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "no line is cut");
}

/// A small file system of its own, gone when dropped.
struct Disk(PathBuf);

impl Disk {
    fn mount(dir: &Path, size: &str) -> Self {
        let place = dir.join("disk");
        fs::create_dir(&place).unwrap();
        run("mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs", place.to_str().unwrap()]).unwrap();
        Self(place)
    }

    fn resize(&self, size: &str) {
        run("mount", &["-o", &format!("remount,size={size}"), self.0.to_str().unwrap()]).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: who writes there may not have ended yet.
        let _ = run("umount", &["--lazy", self.0.to_str().unwrap()]);
    }
}

/// Starts Prometheus with our rules.
fn start_prometheus(place: &Namespace, dir: &Path) -> Program {
    fs::write(dir.join("mailsnare.rules.yml"), quick_rules()).unwrap();
    fs::write(dir.join("prometheus.yml"), PROMETHEUS).unwrap();
    let mut prometheus = place.command("prometheus");
    prometheus.arg(format!("--config.file={}", dir.join("prometheus.yml").display()));
    prometheus.arg(format!("--storage.tsdb.path={}", dir.join("tsdb").display()));
    prometheus.arg("--web.listen-address=127.0.0.1:9090");
    Program::start(prometheus, dir, "prometheus")
}

/// Our rules, in a hurry: what they wait for and look back on is cut to seconds.
fn quick_rules() -> String {
    let rules = fs::read_to_string("rules/prometheus/mailsnare.rules.yml").unwrap();
    let quick = rules.replace("[10m]", "[10s]").replace("for: 2m", "for: 1s").replace("for: 5m", "for: 1s");
    assert_ne!(quick, rules);
    quick
}

/// What Prometheus answers to a query, as the first value.
fn query(place: &Namespace, expression: &str) -> Option<String> {
    let mut curl = place.command("curl");
    curl.args(["-sfG", "--max-time", "5", "http://127.0.0.1:9090/api/v1/query", "--data-urlencode"]);
    let output = curl.arg(format!("query={expression}")).output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).ok()?;
    answer["data"]["result"][0]["value"][1].as_str().map(str::to_owned)
}

/// Who is paged: takes what Alertmanager posts.
struct Pager {
    _program: Program,
    file: PathBuf,
}

impl Pager {
    fn start(place: &Namespace, dir: &Path) -> Self {
        let file = dir.join("pages.jsonl");
        fs::write(&file, "").unwrap();
        let mut command = place.command("python3");
        command.args(["-c", PAGER]).arg(&file);
        Self { _program: Program::start(command, dir, "pager"), file }
    }

    /// Every page so far, in order.
    fn pages(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.file).unwrap();
        let whole = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        whole.flat_map(|post| post["alerts"].as_array().cloned().unwrap_or_default()).collect()
    }

    /// The newest page of this name and status that fits, once there is one.
    fn wait_for(&self, status: &str, name: &str, fits: impl Fn(&Value) -> bool) -> Option<Value> {
        let find = || {
            let wanted = |page: &Value| page["status"] == status && page["labels"]["alertname"] == name && fits(page);
            self.pages().into_iter().rfind(wanted)
        };
        wait_until(PATIENCE + Duration::from_secs(30), || find().is_some()).then(find).flatten()
    }
}

/// Writes what comes to syslog's socket to a file, one line each.
const SYSLOG: &str = r#"
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 5514))
with open(sys.argv[1], "wb", buffering=0) as told:
    while True:
        told.write(server.recv(65536) + b"\n")
"#;

/// Writes what is posted to a file, one line each.
const PAGER: &str = r#"
import http.server, sys
class Pager(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with open(sys.argv[1], "ab") as pages:
            pages.write(body.replace(b"\n", b" ") + b"\n")
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
http.server.ThreadingHTTPServer(("127.0.0.1", 9099), Pager).serve_forever()
"#;

const PROMETHEUS: &str = "\
global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [mailsnare.rules.yml]
alerting: { alertmanagers: [{ static_configs: [{ targets: ['127.0.0.1:9093'] }] }] }
scrape_configs:
  - job_name: mailsnare
    static_configs: [{ targets: ['127.0.0.1:9847'] }]
";
