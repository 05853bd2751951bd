//! What the pages say, held against the checkout and the binary: where links lead, and which options and settings there
//! are. Pages that are made by a program (`tests/CONFORMANCE.md`, `tests/scenarios/README.md`) count, too.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use regex::Regex;

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut followed = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for target in link.captures_iter(&text).map(|found| found.get(1).unwrap().as_str()) {
            if target.contains("://") {
                continue;
            }
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            assert!(path.exists(), "{}: {target} leads nowhere", page.display());
            if !heading.is_empty() {
                let there = headings(&fs::read_to_string(&path).unwrap());
                assert!(there.contains(heading), "{}: {target}: there are {there:?}", page.display());
            }
            followed += 1;
        }
    }
    assert!(followed > 20, "{followed} links");
}

/// Whatever stands behind `mailsnare replay`, `live` or `rules` in a page is an option of that command.
#[test]
fn commands_in_pages_have_options_that_there_are() {
    let typed = Regex::new(r"(?m)\bmailsnare (replay|live|rules (?:check|list))\b([^`|\n]*(?:\\\n[^`|\n]*)*)").unwrap();
    let option = Regex::new(r"(?:^|\s)(--[a-z][a-z-]*)").unwrap();
    let mut found = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for command in typed.captures_iter(&text) {
            let there = options(&command[1].split(' ').collect::<Vec<_>>());
            for option in option.captures_iter(&command[2]) {
                assert!(there.contains(&option[1]), "{}: {}: no option {}", page.display(), &command[0], &option[1]);
                found += 1;
            }
        }
    }
    assert!(found > 20, "{found} options");
}

#[test]
fn the_readmes_table_has_options_that_there_are() {
    let there: BTreeSet<_> = options(&["replay"]).into_iter().chain(options(&["live"])).collect();
    let readme = fs::read_to_string("README.md").unwrap();
    let table = Regex::new(r"(?m)^\| `(--[a-z-]+)").unwrap();
    let told: BTreeSet<_> = table.captures_iter(&readme).map(|found| found[1].to_owned()).collect();
    assert!(told.len() > 20, "{told:?}");
    assert!(told.is_subset(&there), "no options: {:?}", told.difference(&there));
}

/// Settings as they stand in the pages.
#[test]
fn settings_in_pages_are_read_without_complaint() {
    let dir = tempfile::tempdir().unwrap();
    let readme = fs::read_to_string("README.md").unwrap();
    let verdict = fs::read_to_string("docs/VERDICT.md").unwrap();
    let (_, in_readme) = readme.split_once("```toml\n").unwrap();
    let (_, in_verdict) = verdict.split_once("## What you can say\n").unwrap();
    let indented = in_verdict.lines().filter_map(|line| line.strip_prefix("    ")).collect::<Vec<_>>().join("\n");
    for settings in [in_readme.split_once("```").unwrap().0, &indented] {
        let config = dir.path().join("mailsnare.toml");
        fs::write(&config, settings).unwrap();
        let output = mailsnare()
            .args(["replay", "--metrics", "off", "--eve", "/dev/null", "pcaps/arrival", "--config"])
            .arg(&config)
            .output()
            .unwrap();
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), complaint.as_str()), (Some(0), ""), "{settings}");
        assert!(settings.len() > 200, "{settings}");
    }
}

/// The program tells its keys where one is unknown: the README has each as an option, or in its example.
#[test]
fn the_readme_names_every_setting() {
    let readme = fs::read_to_string("README.md").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("mailsnare.toml");
    for (table, least) in [("", 25), ("[inspect]\n", 4), ("[sensor]\n", 3)] {
        fs::write(&config, format!("{table}xyz = 1")).unwrap();
        let output = mailsnare().args(["replay", "pcaps/arrival", "--config"]).arg(&config).output().unwrap();
        let complaint = String::from_utf8(output.stderr).unwrap();
        let (_, keys) = complaint.trim_end().split_once("use one of ").unwrap();
        let keys: Vec<_> = keys.split(", ").collect();
        assert!(keys.len() >= least, "{complaint}");
        for key in keys {
            let places = [format!("| `--{key}"), format!("\n[{key}"), format!("\n[[{key}]]"), format!("\n{key} = ")];
            assert!(places.iter().any(|place| readme.contains(place)), "{table}{key}");
        }
    }
}

/// The EVE lines in the README, but for what is left out at `…`, are those of the command above them.
#[test]
fn the_readme_shows_lines_that_are_written() {
    let readme = fs::read_to_string("README.md").unwrap();
    let (_, told) = readme.split_once("From `mailsnare ").unwrap();
    let (command, told) = told.split_once("`,").unwrap();
    let (_, shown) = told.split_once("```json\n").unwrap();
    let output = mailsnare().args(command.split(' ')).output().unwrap();
    let written = String::from_utf8(output.stdout).unwrap();
    let shown: Vec<_> = shown.split_once("```").unwrap().0.lines().collect();
    assert_eq!(shown.len(), 7);
    for line in shown {
        let parts: Vec<_> = line.split('…').map(regex::escape).collect();
        let like = Regex::new(&format!("(?m)^{}$", parts.join(".*?"))).unwrap();
        assert!(like.is_match(&written), "not written: {line}");
    }
}

/// Whoever reads a line finds each of its fields in the README: in a line there, or in the table of those that are ours.
#[test]
fn the_readme_names_the_fields_of_every_line() {
    let readme = fs::read_to_string("README.md").unwrap();
    let mut seen = BTreeSet::new();
    for sample in fs::read_dir("pcaps").unwrap() {
        let Ok(lines) = fs::read_to_string(sample.unwrap().path().join("expected.jsonl")) else { continue };
        for line in lines.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            for object in ["smtp", "email", "fileinfo", "alert", "incident", "anomaly"] {
                let fields = line.get(object).and_then(serde_json::Value::as_object);
                seen.extend(fields.into_iter().flat_map(|fields| fields.keys().map(|key| (object, key.clone()))));
            }
        }
    }
    assert!(seen.len() > 40, "{seen:?}");
    for (object, field) in seen {
        let told = SURICATAS.contains(&field.as_str())
            || readme.contains(&format!("\"{field}\":"))
            || readme.contains(&format!("`{field}`"));
        assert!(told, "{object}.{field}");
    }
}

/// Fields that no line in the README has, in the meaning of Suricata's manual ("EVE JSON Format").
const SURICATAS: &[&str] = &["cc", "url", "message_id", "date", "type", "event", "layer"];

/// All pages of the checkout, but for those of samples.
fn pages() -> Vec<PathBuf> {
    let folders =
        [".", "docs", "pcaps", "rules", "benches", "tests", "tests/fuzz", "tests/scenarios"].map(PathBuf::from);
    let mut pages = Vec::new();
    for entry in folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()) {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
    assert!(pages.len() > 12, "{pages:?}");
    pages
}

/// The headings of a page as links name them.
fn headings(text: &str) -> BTreeSet<String> {
    let titles = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    titles
        .map(|title| {
            let kept = title.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
            kept.collect::<String>().to_lowercase().replace(' ', "-")
        })
        .collect()
}

/// The long options that the help of a command lists.
fn options(command: &[&str]) -> BTreeSet<String> {
    let help = mailsnare().args(command).arg("--help").output().unwrap();
    let listed = Regex::new(r"(?m)^ +(?:-\w, )?(--[a-z-]+)").unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    listed.captures_iter(&help).map(|found| found[1].to_owned()).collect()
}

fn mailsnare() -> Command {
    let mut command = Command::cargo_bin("mailsnare").unwrap();
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")));
    command
}
