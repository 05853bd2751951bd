//! What operators load into other programs, held against what the sensor serves: alerting rules, dashboard, pages.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mailsnare::output::metrics::{Metrics, reference};
use regex::Regex;
use serde_json::Value;

#[test]
fn the_page_of_metrics_is_that_of_the_code() {
    let page = reference(&Metrics::new("1").unwrap());
    let path = file("docs/metrics.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap();
    assert!(written == page, "docs/metrics.md is old: make it anew with UPDATE_DOCS=1 cargo test --test observability");
}

#[test]
fn promtool_takes_the_rules_and_their_tests_pass() {
    if !promtool() {
        return;
    }
    for arguments in [["check", "rules", "mailsnare.rules.yml"], ["test", "rules", "mailsnare_test.yml"]] {
        let done = Command::new("promtool").args(arguments).current_dir(file("rules/prometheus")).output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "promtool {}: {said}", arguments.join(" "));
    }
}

#[test]
fn every_alert_is_tested_firing_and_not() {
    let tests = fs::read_to_string(file("rules/prometheus/mailsnare_test.yml")).unwrap();
    for alert in alerts() {
        let cases: Vec<_> = tests.split("alertname: ").filter(|case| case.starts_with(&format!("{alert}\n"))).collect();
        let quiet = cases.iter().filter(|case| case.lines().nth(1).is_some_and(|line| line.ends_with("[]"))).count();
        assert!(quiet > 0 && quiet < cases.len(), "{alert}: {quiet} of {} cases are quiet", cases.len());
    }
}

#[test]
fn every_alert_has_a_section_in_the_runbook() {
    let runbook = fs::read_to_string(file("docs/runbook.md")).unwrap();
    let sections: BTreeSet<_> =
        runbook.lines().filter_map(|line| line.strip_prefix("## ")).map(str::to_owned).collect();
    assert_eq!(sections, alerts().into_iter().collect());
    let rules = rules();
    for section in &sections {
        // As GitHub and others make anchors.
        let link = format!("runbook: docs/runbook.md#{}\n", section.to_lowercase());
        assert_eq!(rules.matches(&link).count(), 1, "{link}");
    }
}

#[test]
fn rules_dashboard_and_pages_name_only_metrics_there_are() {
    let served = served();
    let recorded: BTreeSet<String> =
        found(r"record: (\S+)", &rules()).into_iter().map(|name| name.replace("record: ", "")).collect();
    assert!(recorded.len() > 8);
    for path in [
        "rules/prometheus/mailsnare.rules.yml",
        "rules/prometheus/mailsnare_test.yml",
        "rules/grafana/mailsnare.json",
        "docs/runbook.md",
        "docs/alerting.md",
        "docs/deployment.md",
        "docs/live.md",
        "docs/first-page.md",
        "docs/VERDICT.md",
        "README.md",
        "CHANGELOG.md",
    ] {
        let text = fs::read_to_string(file(path)).unwrap();
        // Names of recording rules hold those of metrics.
        let names = found(r"[a-z_]*:?\b(?:mailsnare|process)_[a-z0-9_]+(?::[a-z0-9_]+)?", &text);
        for name in &names {
            let known = if name.contains(':') { recorded.contains(name) } else { served.contains(name) };
            assert!(known || NO_METRIC.contains(&name.as_str()), "{path} names {name}, which is no metric");
        }
        assert!(names.len() > usize::from(path.starts_with("rules/")) * 5, "{path}: {names:?}");
    }
}

#[test]
fn the_dashboard_shows_what_it_is_for() {
    let text = fs::read_to_string(file("rules/grafana/mailsnare.json")).unwrap();
    let board: Value = serde_json::from_str(&text).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let titles: Vec<_> = panels.iter().map(|panel| panel["title"].as_str().unwrap()).collect();
    for wanted in ["Hosts by mail volume", "MX lookups", "Alerts", "Losses"] {
        assert!(titles.contains(&wanted), "{titles:?}");
    }
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    let mut places = BTreeSet::new();
    for panel in panels {
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{panel}");
        }
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        let mut cells = (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y)));
        assert!(x + w <= 24 && cells.all(|cell| places.insert(cell)), "panels overlap: {panel}");
    }
}

/// Prometheus itself parses every expression of the dashboard: as recording rules.
#[test]
fn promtool_takes_the_dashboards_expressions() {
    if !promtool() {
        return;
    }
    let board: Value =
        serde_json::from_str(&fs::read_to_string(file("rules/grafana/mailsnare.json")).unwrap()).unwrap();
    let targets = board["panels"].as_array().unwrap().iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let mut group = String::from("groups: [{name: dashboard, rules: [\n");
    for (number, target) in targets.enumerate() {
        let expression = target["expr"].as_str().unwrap().replace("$__rate_interval", "5m");
        group += &format!("{{record: 'a:b:{number}', expr: {}}},\n", Value::from(expression));
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dashboard.yml");
    fs::write(&path, group + "]}]\n").unwrap();
    let done = Command::new("promtool").args(["check", "rules"]).arg(&path).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn a_replay_leaves_a_textfile_that_promtool_takes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mailsnare.prom");
    let run = |trace: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailsnare"));
        command.args(["replay", "--metrics-textfile"]).args([&path, &file(trace)]).output().unwrap()
    };
    let done = run("pcaps/mimail-c-outbreak");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = fs::read_to_string(&path).unwrap();
    for series in [
        // Those of the capture's own record: see pcaps/README.md and the summary in the README.
        "mailsnare_host_verdict{host=\"10.20.1.26\"} 2",
        "mailsnare_hosts{verdict=\"infected\"} 1",
        "mailsnare_packets_total{interface=\"replay\"} 12594",
        "mailsnare_messages_inspected_total 209",
        "mailsnare_queue_depth{queue=\"events\"} 0",
    ] {
        assert!(text.lines().any(|line| line == series), "no {series} in:\n{text}");
    }
    assert!(!text.contains("process_"), "node_exporter has those of its own");
    if promtool() {
        let mut command = Command::new("promtool");
        command.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut tool = command.spawn().unwrap();
        tool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let done = tool.wait_with_output().unwrap();
        assert!(done.status.success() && done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    // A run that cannot begin leaves the last one's.
    assert!(!run("pcaps/no-such-capture").status.success());
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

/// Alerts of the rules, by name.
fn alerts() -> Vec<String> {
    found(r"- alert: (\S+)", &rules()).into_iter().map(|line| line.replace("- alert: ", "")).collect()
}

fn rules() -> String {
    fs::read_to_string(file("rules/prometheus/mailsnare.rules.yml")).unwrap()
}

/// Names under which samples are served.
fn served() -> BTreeSet<String> {
    let metrics = Metrics::new("1").unwrap();
    let names = metrics.families().iter().flat_map(|family| {
        let name = &family.name;
        match family.kind {
            "histogram" => ["_bucket", "_sum", "_count"].iter().map(|end| format!("{name}{end}")).collect(),
            _ => vec![name.clone()],
        }
    });
    names.collect()
}

fn found(pattern: &str, text: &str) -> BTreeSet<String> {
    Regex::new(pattern).unwrap().find_iter(text).map(|found| found.as_str().to_owned()).collect()
}

/// Whether promtool is there; with CI=true it must be.
fn promtool() -> bool {
    let there = Command::new("promtool").arg("--version").output().is_ok_and(|done| done.status.success());
    assert!(there || std::env::var_os("CI").is_none(), "promtool is not installed (Debian package prometheus)");
    if !there {
        eprintln!("skipped: promtool is not installed (Debian package prometheus)");
    }
    there
}

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Words that look like a metric: a file, a prefix, a package, a folder.
const NO_METRIC: &[&str] = &["mailsnare_test", "mailsnare_", "mailsnare_0", "process_", "mailsnare_host_"];
