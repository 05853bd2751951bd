//! The samples under pcaps/ through the binary, held to the sender's own record of each (`truth.json`), and byte for
//! byte to the lines committed beside it (`expected.jsonl`).
//!
//! After a change that is meant to change lines: `MAILSNARE_BLESS=1 cargo test --test samples` writes them anew. The
//! record is held against the committed lines as well, so what is blessed must be true.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use assert_cmd::Command;
use serde_json::{Value, json};

const SAMPLES: [&str; 4] = ["mimail-c-outbreak", "office-day", "arrival", "tls-outbreak"];
const INFECTED: &str = "10.20.1.26";

#[test]
fn the_outbreak_names_exactly_the_infected_host() {
    let (code, _, _) = replay("mimail-c-outbreak", &["--fail-on", "critical"]);
    assert_eq!(code, 3);
    let lines = eve("mimail-c-outbreak");
    let judged = lines.iter().filter(|line| line["event_type"] == "incident");
    let judged: Vec<_> = judged.map(|line| (&line["incident"]["host"], &line["incident"]["verdict"])).collect();
    assert!(!judged.is_empty() && judged.iter().all(|(host, _)| *host == INFECTED), "{judged:?}");
    assert_eq!(judged.last().unwrap().1, "infected");
    let critical = lines.iter().filter(|line| line["alert"]["severity"] == 1).collect::<Vec<_>>();
    assert!(critical.iter().any(|line| line["alert"]["rule"] == "mimail-c"));
    for line in critical {
        assert_eq!(line["alert"]["metadata"]["host"], json!([INFECTED]), "{line}");
    }
}

#[test]
fn the_office_day_is_a_day_like_any_other() {
    let (code, _, _) = replay("office-day", &["--fail-on", "medium"]);
    assert_eq!(code, 0);
    for line in eve("office-day") {
        assert!(line["event_type"] != "incident", "{line}");
        assert!(line["alert"]["severity"].as_u64().is_none_or(|severity| severity >= 4), "{line}");
    }
}

#[test]
fn the_arrival_is_an_alert_about_a_message_and_judges_nobody() {
    let (code, _, _) = replay("arrival", &["--fail-on", "high"]);
    assert_eq!(code, 3);
    let (code, _, _) = replay("arrival", &["--fail-on", "critical"]);
    assert_eq!(code, 0);
    let lines = eve("arrival");
    let worm = |line: &&Value| line["alert"]["rule"] == "mimail-c";
    let (alerts, record) = (lines.iter().filter(worm).collect::<Vec<_>>(), truth("arrival"));
    let arrivals = record["transactions"].as_array().unwrap().iter().filter(|entry| entry["kind"] == "worm").count();
    assert!(!alerts.is_empty() && alerts.len() <= arrivals);
    for alert in alerts {
        assert_eq!(alert["alert"]["severity"], 2);
        assert_eq!(alert["src_ip"], "203.0.113.51");
        assert!(alert["alert"]["remediation"].as_str().unwrap().to_lowercase().contains("unopened"));
    }
    assert!(lines.iter().all(|line| line["event_type"] != "incident"));
}

#[test]
fn the_bot_behind_tls_is_named_by_behaviour_alone() {
    let bot = "10.20.1.23";
    let (code, out, _) = replay("tls-outbreak", &["--fail-on", "high"]);
    assert_eq!(code, 3);
    let truth = truth("tls-outbreak");
    let sessions = truth["sessions"].as_array().unwrap().iter();
    let hidden = sessions.filter(|entry| entry["connect"] == "answered" && entry["tls"] != "none").count();
    let hidden = format!("({hidden} hidden by TLS)");
    for told in ["none of it needs a message's content", &hidden, "no message that could be seen"] {
        assert!(out.contains(told), "{told}: {out}");
    }
    let lines = eve("tls-outbreak");
    let from_bot = |line: &&Value| line["event_type"] == "smtp" && line["src_ip"] == bot;
    assert!(lines.iter().filter(from_bot).all(|line| line["smtp"]["mail_from"].is_null()), "something was read");
    for line in lines.iter().filter(|line| line["event_type"] == "alert") {
        assert_eq!(
            (&line["alert"]["category"], &line["alert"]["metadata"]["host"]),
            (&json!("behaviour"), &json!([bot]))
        );
    }
    let incidents: Vec<_> = lines.iter().filter(|line| line["event_type"] == "incident").collect();
    assert!(incidents.iter().all(|line| line["incident"]["host"] == bot), "{incidents:?}");
    let infected = incidents.iter().find(|line| line["incident"]["verdict"] == "infected").unwrap();
    let last = &incidents.last().unwrap()["incident"];
    let evidence = last["evidence"].as_array().unwrap();
    assert!(
        evidence.len() >= 3 && evidence.iter().all(|evidence| evidence["figures"]["content_free"] == "yes"),
        "{last}"
    );
    let flood = evidence.iter().find(|evidence| evidence["source"] == "flood-after-flag").unwrap();
    // As the recipe sends it.
    let figures = &flood["figures"];
    assert_eq!((&figures["connection_attempts"], &figures["echo_requests"]), (&json!(300), &json!(100)));
    assert_eq!((&figures["destination"], &figures["name"]), (&json!("203.0.113.200"), &json!("www.victim.example")));
    let flooded = lines.iter().find(|line| line["alert"]["rule"] == "flood-after-flag").unwrap();
    assert!(infected["timestamp"].as_str() < flooded["timestamp"].as_str(), "named before it attacked");
}

#[test]
fn the_outbreak_is_summed_up_with_chain_timeline_and_cost() {
    let (_, out, _) = replay("mimail-c-outbreak", &[]);
    let truth = truth("mimail-c-outbreak");
    let arrival = truth["transactions"].as_array().unwrap().iter().find(|entry| entry["kind"] == "worm").unwrap();
    assert!(
        out.contains(&format!(
            "Who infected whom, by the file that was passed on:\n  {}\n    {INFECTED}: ",
            arrival["src"].as_str().unwrap()
        )),
        "{out}"
    );
    assert!(out.contains(&format!(" UTC to <{}>", arrival["rcpt_to"][0].as_str().unwrap())), "{out}");
    let host = truth["hosts"].as_array().unwrap().iter().find(|host| host["addresses"] == json!([INFECTED])).unwrap();
    let (bytes, mx) = (host["mail_ip_bytes"].as_f64().unwrap(), host["mx_questions"].as_u64().unwrap());
    assert!(out.contains(&format!(", {mx} MX questions, {:.2} MB of mail traffic: ", bytes / 1e6)), "{out}");
    let at = |text: &str| out.find(text).unwrap_or_else(|| panic!("{text}: {out}"));
    let steps = ["first MX lookup", "first message", "first mimail-c at critical", "verdict: infected (mimail-c)"];
    assert!(steps.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{out}");
    // The name asked and the flood at it are one story.
    let lines = eve("mimail-c-outbreak");
    let last = lines.iter().rfind(|line| line["event_type"] == "incident").unwrap();
    let flood = last["incident"]["evidence"]
        .as_array()
        .unwrap()
        .iter()
        .find(|evidence| evidence["source"] == "flood-after-flag")
        .unwrap();
    let figures = &flood["figures"];
    assert_eq!((&figures["rule"], &figures["name"]), (&json!("mimail-c-dos"), &json!("www.darkprofits.com")));
    assert_eq!((&figures["connection_attempts"], &figures["echo_requests"]), (&json!(120), &json!(80)));
}

#[test]
fn everything_sent_is_told_as_it_was_sent() {
    for sample in SAMPLES {
        hold_to_the_record(sample, eve(sample));
    }
}

#[test]
fn the_committed_lines_are_true() {
    if blessing() {
        return;
    }
    for sample in SAMPLES {
        let text = fs::read_to_string(expected_path(sample)).unwrap();
        hold_to_the_record(sample, &parse(&text));
    }
}

#[test]
fn the_output_is_the_committed_lines() {
    for sample in SAMPLES {
        let text = output(sample);
        let path = expected_path(sample);
        if blessing() {
            hold_to_the_record(sample, eve(sample));
            fs::write(&path, text).unwrap();
            continue;
        }
        let expected = fs::read_to_string(&path).unwrap();
        let pairs = text.lines().zip(expected.lines()).zip(1..);
        if let Some(((line, expected), number)) = pairs.into_iter().find(|((line, expected), _)| line != expected) {
            panic!(
                "{sample}: line {number} differs. It is\n{line}\nand was\n{expected}\n\
                 If that is meant: MAILSNARE_BLESS=1 cargo test --test samples"
            );
        }
        assert!(text == expected, "{sample}: {} lines, were {}", text.lines().count(), expected.lines().count());
    }
}

#[test]
fn the_number_of_workers_changes_no_byte() {
    for sample in SAMPLES {
        for workers in ["1", "2", "8"] {
            let (_, out, _) = replay(sample, &["--eve", "-", "--workers", workers]);
            assert!(out == output(sample), "{sample} with {workers} workers");
        }
    }
}

// --- the record -------------------------------------------------------------------------------------------------

/// Holds lines to the sender's record: each transaction, attachment and MX question is told once, and no other.
fn hold_to_the_record(sample: &str, lines: &[Value]) {
    let truth = truth(sample);
    let entries = |name: &str| truth[name].as_array().unwrap().iter();

    let sent: BTreeMap<_, _> =
        entries("transactions").map(|entry| (place_of_record(entry), transaction(entry))).collect();
    let with_sender = |line: &&Value| line["event_type"] == "smtp" && !line["smtp"]["mail_from"].is_null();
    let mut told: BTreeMap<_, _> =
        lines.iter().filter(with_sender).map(|line| (place_of_line(line), told_transaction(line))).collect();
    assert_eq!(lines.iter().filter(with_sender).count(), told.len(), "{sample}: a transaction is told twice");
    for line in lines.iter().filter(|line| line["event_type"] == "fileinfo") {
        let transaction = told.get_mut(&place_of_line(line)).expect("a file belongs to a transaction");
        transaction["files"].as_array_mut().unwrap().push(told_file(line));
    }
    compare(sample, "transactions", &sent, &told);

    let asked: BTreeMap<_, _> = entries("mx_questions").map(|entry| (asked_by_record(entry), answer(entry))).collect();
    let mut told = BTreeMap::new();
    for line in lines.iter().filter(|line| line["event_type"] == "dns") {
        told_dns(line, &mut told);
    }
    compare(sample, "MX questions", &asked, &told);

    // Sessions without a transaction, or hidden by TLS, are told as such.
    let quiet =
        |entry: &&Value| entry["connect"] == "answered" && (entry["transactions"] == 0 || entry["tls"] != "none");
    let sessions: BTreeMap<_, _> = entries("sessions")
        .filter(quiet)
        .map(|entry| (ends(entry, "src", "sport", "dst", "dport"), json!([entry["helo"], entry["tls"] != "none"])))
        .collect();
    let without_sender = |line: &&Value| line["event_type"] == "smtp" && line["smtp"]["mail_from"].is_null();
    let told: BTreeMap<_, _> = lines
        .iter()
        .filter(without_sender)
        .map(|line| (ends_of_line(line), json!([line["smtp"]["helo"], line["smtp"]["tls"]])))
        .collect();
    compare(sample, "sessions", &sessions, &told);
}

fn compare(sample: &str, what: &str, sent: &BTreeMap<String, Value>, told: &BTreeMap<String, Value>) {
    assert!(!sent.is_empty() || what == "sessions" || sample == "arrival", "{sample}: the record has no {what}");
    for (place, entry) in sent {
        let told = told.get(place).unwrap_or_else(|| panic!("{sample}: {what}: {place} is not told"));
        assert_eq!(told, entry, "{sample}: {what}: {place}: told (left), sent (right)");
    }
    let invented: Vec<_> = told.keys().filter(|place| !sent.contains_key(*place)).collect();
    assert!(invented.is_empty(), "{sample}: {what}: told and never sent: {invented:?}");
}

/// A transaction as the record has it.
fn transaction(entry: &Value) -> Value {
    let message = &entry["message"];
    let files = message["attachments"].as_array().into_iter().flatten();
    let files: Vec<Value> = files.flat_map(|file| record_files(file, &[])).collect();
    json!({
        "helo": entry["helo"],
        "dialect": dialect(&entry["dialect"], message),
        "mail_from": entry["mail_from"],
        "rcpt_to": entry["rcpt_to"],
        "rcpt_rejected": entry["rcpt_rejected"],
        "outcome": entry["outcome"],
        "subject": message["subject"],
        "size": message["size"],
        "files": files,
    })
}

/// The same of a line; of a message that was cut off the record says nothing.
fn told_transaction(line: &Value) -> Value {
    let smtp = &line["smtp"];
    let email = if line["email"]["truncated"] == false { &line["email"] } else { &Value::Null };
    json!({
        "helo": smtp["helo"],
        "dialect": dialect(&smtp["dialect"], email),
        "mail_from": bare(&smtp["mail_from"]),
        "rcpt_to": smtp["rcpt_to"].as_array().into_iter().flatten().map(bare).collect::<Vec<_>>(),
        "rcpt_rejected": smtp["rcpt_rejected"].as_array().into_iter().flatten().map(rejected).collect::<Vec<_>>(),
        "outcome": smtp["outcome"],
        "subject": email["subject"],
        "size": email["size"],
        "files": [],
    })
}

/// Traits of how a client speaks. The record has all it would say, a line what it said in the session so far; where no
/// message was sent the two may differ in BDAT, which is left out then.
fn dialect<'a>(names: &'a Value, message: &Value) -> Vec<&'a str> {
    let names = names.as_array().into_iter().flatten().filter_map(Value::as_str);
    names.filter(|name| !message.is_null() || *name != "bdat").collect()
}

/// An attachment, and the members of an archive after it.
fn record_files(file: &Value, container: &[&str]) -> Vec<Value> {
    let name = file["name"].as_str().unwrap();
    let mut files = vec![json!({
        "name": name, "size": file["size"], "md5": file["md5"], "sha1": file["sha1"], "sha256": file["sha256"],
        "container": container,
    })];
    let inside = [container, &[name]].concat();
    files.extend(file["members"].as_array().into_iter().flatten().flat_map(|member| record_files(member, &inside)));
    files
}

fn told_file(line: &Value) -> Value {
    let file = &line["fileinfo"];
    assert_eq!((&file["state"], &file["gaps"]), (&"CLOSED".into(), &false.into()), "{line}");
    let container = file.get("container").cloned().unwrap_or_else(|| json!([]));
    json!({
        "name": file["filename"], "size": file["size"], "md5": file["md5"], "sha1": file["sha1"],
        "sha256": file["sha256"], "container": container,
    })
}

fn answer(entry: &Value) -> Value {
    let codes = BTreeMap::from([(0, "NOERROR"), (2, "SERVFAIL"), (3, "NXDOMAIN")]);
    let mut answers = entry["answers"].clone();
    answers.as_array_mut().unwrap().sort_by_key(Value::to_string);
    json!({ "asked": entry["time"], "rcode": codes[&entry["rcode"].as_u64().unwrap()], "answers": answers })
}

fn told_dns(line: &Value, told: &mut BTreeMap<String, Value>) {
    let dns = &line["dns"];
    assert_eq!(dns["queries"][0]["rrtype"], "MX", "only MX questions are told unless asked for: {line}");
    let key = format!(
        "{} {} {} {}",
        ends_of_line(line),
        line["proto"].as_str().unwrap().to_lowercase(),
        dns["id"],
        dns["queries"][0]["rrname"].as_str().unwrap()
    );
    if dns["type"] == "request" {
        let before = told.insert(key, json!({ "asked": line["timestamp"] }));
        assert!(before.is_none(), "asked twice: {line}");
        return;
    }
    let entry = told.get_mut(&key).unwrap_or_else(|| panic!("answered before it was asked: {line}"));
    let mut answers: Vec<Value> = dns["answers"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|record| format!("{} {}", record["preference"], record["rdata"].as_str().unwrap()).into())
        .collect();
    answers.sort_by_key(Value::to_string);
    entry["rcode"] = dns["rcode"].clone();
    entry["answers"] = answers.into();
}

fn asked_by_record(entry: &Value) -> String {
    let text = |field: &str| entry[field].as_str().unwrap();
    format!("{}:{} > {}:53 {} {} {}", text("src"), entry["sport"], text("dst"), text("over"), entry["id"], text("name"))
}

fn place_of_record(entry: &Value) -> String {
    format!("{} tx {}", ends(entry, "src", "sport", "dst", "dport"), entry["tx"])
}

fn place_of_line(line: &Value) -> String {
    format!("{} tx {}", ends_of_line(line), line["tx_id"])
}

fn ends_of_line(line: &Value) -> String {
    ends(line, "src_ip", "src_port", "dest_ip", "dest_port")
}

fn ends(entry: &Value, src: &str, sport: &str, dst: &str, dport: &str) -> String {
    let text = |field: &str| entry[field].as_str().unwrap();
    format!("{}:{} > {}:{}", text(src), entry[sport], text(dst), entry[dport])
}

fn bare(address: &Value) -> String {
    address.as_str().unwrap().trim_matches(['<', '>']).to_owned()
}

/// A refused recipient; in EVE with the server's reply.
fn rejected(entry: &Value) -> String {
    bare(if entry.is_object() { &entry["address"] } else { entry })
}

// --- running ----------------------------------------------------------------------------------------------------

/// Exit code, standard output and standard error of `replay pcaps/SAMPLE`. The path is relative, since it is in the
/// lines.
fn replay(sample: &str, options: &[&str]) -> (i32, String, String) {
    let mut command = Command::cargo_bin("mailsnare").unwrap();
    command.current_dir(root()).args(["replay", &format!("pcaps/{sample}")]).args(options);
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    (output.status.code().unwrap_or_else(|| panic!("{sample}: killed by a signal: {err}")), out, err)
}

/// The EVE lines of a sample; run once.
fn output(sample: &str) -> &'static str {
    static OUTPUTS: OnceLock<BTreeMap<&str, String>> = OnceLock::new();
    let outputs = OUTPUTS.get_or_init(|| {
        let run = |sample| {
            let (code, out, err) = replay(sample, &["--eve", "-"]);
            assert_eq!((code, err.as_str()), (0, ""), "{sample}");
            (sample, out)
        };
        SAMPLES.map(run).into()
    });
    &outputs[sample]
}

fn eve(sample: &str) -> &'static [Value] {
    static LINES: OnceLock<BTreeMap<&str, Vec<Value>>> = OnceLock::new();
    &LINES.get_or_init(|| SAMPLES.map(|sample| (sample, parse(output(sample)))).into())[sample]
}

fn parse(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn truth(sample: &str) -> Value {
    let path = root().join("pcaps").join(sample).join("truth.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn expected_path(sample: &str) -> PathBuf {
    root().join("pcaps").join(sample).join("expected.jsonl")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn blessing() -> bool {
    std::env::var_os("MAILSNARE_BLESS").is_some_and(|value| value == "1")
}

/// What mailing cost is what the sender put on the wire, and does not depend on which lines are wanted.
#[test]
fn the_cost_of_every_host_is_that_of_the_record_to_the_byte() {
    for sample in ["mimail-c-outbreak", "office-day", "arrival", "tls-outbreak"] {
        let truth = truth(sample);
        for events in ["alert", "alert,flow"] {
            let path = format!("{}/pcaps/{sample}/trace.pcap", env!("CARGO_MANIFEST_DIR"));
            let run = Command::new(env!("CARGO_BIN_EXE_mailsnare"))
                .args(["replay", "--format", "json", "--events", events, &path])
                .output()
                .unwrap();
            let summary: Value = serde_json::from_slice(&run.stdout).unwrap();
            for told in summary["hosts"].as_array().unwrap() {
                let is_it = |host: &&Value| host["addresses"].as_array().unwrap().contains(&told["host"]);
                let host = truth["hosts"].as_array().unwrap().iter().find(is_it).unwrap();
                let cost = |host: &Value, bytes: &str, mx: &str| {
                    ["messages", "recipients", bytes, mx].map(|what| host[what].as_u64().unwrap())
                };
                assert_eq!(
                    cost(told, "mail_bytes", "mx_lookups"),
                    cost(host, "mail_ip_bytes", "mx_questions"),
                    "{sample}, {events}: {}",
                    told["host"]
                );
            }
        }
    }
}
