//! `mailsnare rules`: checks rule packs with the tests they bring along, and lists the rules in force and the detectors.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use super::args::RulesCommand;
use super::{Failure, packs, print};
use crate::config::Format;
use crate::detect::about::{About, Parameter, about};
use crate::inspector::Inspector;
use crate::model::alert::Figure;
use crate::model::alert::Severity;
use crate::model::net::{Direction, HomeNet};
use crate::model::settings::{DetectSettings, InspectSettings};
use crate::rules::{Rule, RuleSet, RuleTest};

/// Runs the command.
///
/// # Errors
/// [`Failure::Failed`]: every fault of every file, each with its place and what would be right.
pub fn run(command: &RulesCommand) -> Result<ExitCode, Failure> {
    match command {
        RulesCommand::Check { paths } => check(paths),
        RulesCommand::List { format, rules } => list(rules, format.unwrap_or_default()),
    }
}

fn check(paths: &[PathBuf]) -> Result<ExitCode, Failure> {
    let set = load(paths)?;
    let inspector = Inspector::new(HomeNet::default(), InspectSettings::default());
    let faults: Vec<String> = set.tests().iter().flat_map(|test| run_test(&set, &inspector, test)).collect();
    if !faults.is_empty() {
        return Err(Failure::Failed(faults.join("\n")));
    }
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let (rules, tests) = (count(set.rules().len(), "rule"), count(set.tests().len(), "test"));
    print(format!("{rules} and {tests}: all good\n").as_bytes())
}

/// Holds one test against the rules; gives what it expected otherwise, with its place.
fn run_test(set: &RuleSet, inspector: &Inspector, test: &RuleTest) -> Vec<String> {
    let hits = match &test.dns {
        Some(name) => set.evaluate_dns(name, test.direction),
        None => inspector.inspect_mail(set, &mut test.smtp.clone(), test.direction).hits,
    };
    let place = format!("{}:{}:1: test \"{}\"", test.file, test.line, test.name.escape_debug());
    test.faults(set, &hits).into_iter().map(|fault| format!("{place}: {fault}")).collect()
}

fn list(paths: &[PathBuf], format: Format) -> Result<ExitCode, Failure> {
    let set = load(paths)?;
    let text = match format {
        Format::Table => table(&set),
        Format::Json => json(&set),
    };
    print(text.as_bytes())
}

fn load(paths: &[PathBuf]) -> Result<RuleSet, Failure> {
    if paths.is_empty() {
        return Ok(RuleSet::builtin());
    }
    packs::read(paths)
}

fn table(set: &RuleSet) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["RULE", "SID", "REV", "SEVERITY", "CATEGORY", "TITLE"]);
    for rule in set.rules() {
        let severity = severities(rule);
        table.add_row([&rule.id, &rule.sid.to_string(), &rule.rev.to_string(), &severity, &rule.category, &rule.title]);
    }
    let mut out = String::new();
    table.lines().for_each(|line| {
        let _ = writeln!(out, "{}", line.trim());
    });
    out.push('\n');
    out.push_str(&detectors());
    out
}

/// The detectors with their settings, which stand under `[detect.NAME]` in the configuration file.
fn detectors() -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["DETECTOR", "SID", "SETTING", "DEFAULT", "MEANING"]);
    for about in about(&DetectSettings::default()) {
        let sid = about.sid.map(|sid| sid.to_string()).unwrap_or_default();
        let after = if about.references.is_empty() { "" } else { "; after " };
        let title = format!("{}{after}{}", about.title, about.references.join("; "));
        table.add_row([about.name, &sid, "", "", &title]);
        for Parameter { key, value, meaning } in &about.parameters {
            table.add_row(["", "", key, &shown(value).to_string(), meaning]);
        }
    }
    let lines = table.lines().map(|line| format!("{}\n", line.trim_end().strip_prefix(' ').unwrap_or(line.trim_end())));
    lines.collect()
}

fn shown(value: &Figure) -> serde_json::Value {
    match value {
        Figure::Count(count) => (*count).into(),
        Figure::Real(real) => (*real).into(),
        Figure::Text(text) => text.as_str().into(),
        Figure::List(list) => list.clone().into(),
    }
}

/// The severity of most directions, then the others: `critical; inbound high`.
fn severities(rule: &Rule) -> String {
    let count = |severity| DIRECTIONS.into_iter().filter(|&way| rule.severity(way) == severity).count();
    let usual = Severity::ALL.into_iter().rev().max_by_key(|&severity| count(severity)).unwrap_or(Severity::Info);
    let mut text = usual.name().to_owned();
    for way in DIRECTIONS.into_iter().filter(|&way| rule.severity(way) != usual) {
        let _ = write!(text, "; {way} {}", rule.severity(way));
    }
    text
}

fn json(set: &RuleSet) -> String {
    let abouts = about(&DetectSettings::default());
    let rules = set.rules().iter().map(|rule| Item::Rule(Listed::new(rule)));
    let items: Vec<Item<'_>> = rules.chain(abouts.iter().map(|about| Item::Detector(Described::new(about)))).collect();
    // Plain strings and numbers always serialise.
    let mut text = serde_json::to_string_pretty(&items).unwrap_or_default();
    text.push('\n');
    text
}

/// One entry of the JSON list, told apart by its key `kind`.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Item<'a> {
    Rule(Listed<'a>),
    Detector(Described<'a>),
}

/// A detector, or another part of `[detect]`.
#[derive(Serialize)]
struct Described<'a> {
    id: &'a str,
    sid: Option<u32>,
    title: &'a str,
    reference: &'a [&'a str],
    parameters: Vec<Setting<'a>>,
}

#[derive(Serialize)]
struct Setting<'a> {
    key: &'a str,
    default: serde_json::Value,
    meaning: &'a str,
}

impl<'a> Described<'a> {
    fn new(about: &'a About) -> Self {
        let setting =
            |Parameter { key, value, meaning }: &'a Parameter| Setting { key, default: shown(value), meaning };
        Self {
            id: about.name,
            sid: about.sid,
            title: about.title,
            reference: about.references,
            parameters: about.parameters.iter().map(setting).collect(),
        }
    }
}

/// A rule as `--format json` lists it.
#[derive(Serialize)]
struct Listed<'a> {
    id: &'a str,
    sid: u32,
    rev: u32,
    title: &'a str,
    severity: BTreeMap<&'static str, &'static str>,
    category: &'a str,
    reference: &'a [String],
    remediation: &'a str,
    file: &'a str,
}

impl<'a> Listed<'a> {
    fn new(rule: &'a Rule) -> Self {
        Self {
            id: &rule.id,
            sid: rule.sid,
            rev: rule.rev,
            title: &rule.title,
            severity: DIRECTIONS.map(|way| (way.name(), rule.severity(way).name())).into(),
            category: &rule.category,
            reference: &rule.references,
            remediation: &rule.remediation,
            file: &rule.file,
        }
    }
}

const DIRECTIONS: [Direction; 4] = [Direction::Outbound, Direction::Inbound, Direction::Internal, Direction::External];
