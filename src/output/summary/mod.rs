//! The end of a run, for a tired analyst: the verdict in one line, then the hosts, why, what to do, and what was lost.
//!
//! [`text`] is for people, [`json()`] for programs; both say the same. Text that came off the wire is shown with control
//! characters spelt out, since a worm's file name must not drive the analyst's terminal.

mod chain;
mod json;
mod losses;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table, presets};

use self::chain::chain;
pub use self::json::json;
use self::losses::losses;
use self::words::{bytes, count, counted, duration, percent, plain, plain_to, time, wrapped};
use super::evidence::EvidenceStats;
use super::extract::ExtractStats;
use crate::model::alert::{Alert, CONTENT_FREE, Evidence, Figure, Severity, Verdict, WEIGHT};
use crate::model::limits::SUMMARY_ALERT_HOSTS;
use crate::model::report::{HostReport, Ignored, Report};
use crate::model::time::Timestamp;

/// What the summary says besides the report.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    /// What to do, by the rule or detector that found it ([`crate::model::alert::Alert::remediation`]).
    pub advice: BTreeMap<String, String>,
    /// Home hosts that alerts were about, by rule or detector and severity, at most [`SUMMARY_ALERT_HOSTS`] each.
    pub alerted: BTreeMap<(String, Severity), BTreeSet<IpAddr>>,
    /// As [`super::writer::EveWriter::lost_lines`].
    pub eve_lost_lines: u64,
    pub extract: ExtractStats,
    pub evidence: EvidenceStats,
    /// Alerts and incidents that others were to be told of and were not.
    pub untold: u64,
}

impl Notes {
    /// Keeps of an alert what the summary will say.
    pub fn note(&mut self, alert: &Alert) {
        if !self.advice.contains_key(&alert.rule) {
            self.advice.insert(alert.rule.clone(), alert.remediation.clone());
        }
        let Some(host) = alert.host else { return };
        let hosts = self.alerted.entry((alert.rule.clone(), alert.severity)).or_default();
        if hosts.len() < SUMMARY_ALERT_HOSTS {
            hosts.insert(host);
        }
    }
}

/// How the text looks. The default is for a file: no colours, as wide as it needs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Colours, where the caller found a terminal and no `NO_COLOR`.
    pub colour: bool,
    /// The terminal's width in columns.
    pub width: Option<u16>,
}

/// The summary for people.
pub fn text(report: &Report, notes: &Notes, style: Style) -> String {
    let mut out = String::new();
    let worst = report.hosts.iter().map(|host| host.verdict).max().unwrap_or_default();
    line(&mut out, &paint(&wrapped(&headline(report), 0, style.width), worst, style));
    if !report.hosts.is_empty() {
        section(&mut out, &hosts(report, style));
    }
    let suspects = report.hosts.iter().filter(|host| host.verdict != Verdict::Clean);
    for host in suspects.take(EXPLAINED) {
        section(&mut out, &why(host, report, notes, style));
    }
    if let Some(chain) = chain(report, style) {
        section(&mut out, &chain);
    }
    if !report.alerts.is_empty() {
        section(&mut out, &alerts(report, notes, style));
    }
    if let Some(ignored) = ignored(report) {
        section(&mut out, &ignored);
    }
    section(&mut out, &read(report, style));
    line(&mut out, &lost(report, notes, style));
    out
}

/// One sentence with the verdict.
fn headline(report: &Report) -> String {
    let with = |verdict| report.hosts.iter().filter(|host| host.verdict == verdict).collect::<Vec<_>>();
    let (infected, suspicious) = (with(Verdict::Infected), with(Verdict::Suspicious));
    // In a great outbreak not all of them are listed.
    let number = |listed: &[_], verdict| report.verdicts[verdict as usize].max(listed.len() as u64);
    match (number(&infected, Verdict::Infected), number(&suspicious, Verdict::Suspicious)) {
        (0, 0) => format!("{}.", nobody(report)),
        (0, some) => format!("No host is infected; {} under suspicion: {}", count(some), named(&suspicious, some)),
        (1, _) => format!("1 host is infected: {}", named(&infected, 1)),
        (some, _) => format!("{} hosts are infected: {}", count(some), named(&infected, some)),
    }
}

/// What there is to say when nobody is infected or under suspicion.
fn nobody(report: &Report) -> String {
    if span(report).is_none() {
        return "No packet was read".into();
    }
    let mut text = String::from("No host is infected or under suspicion");
    let worst = report.alerts.first().map(|(_, severity, _)| *severity).filter(|worst| worst.reaches(LOUD));
    if let Some(worst) = worst {
        let alerts: Vec<_> = report.alerts.iter().filter(|(_, severity, _)| *severity == worst).collect();
        let number = alerts.iter().map(|(.., number)| number).sum();
        let rules: Vec<_> = alerts.iter().map(|(rule, ..)| plain(rule)).collect();
        let verb = if number == 1 { "is" } else { "are" };
        let (one, many) = (format!("{worst} alert"), format!("{worst} alerts"));
        let _ = write!(text, ", but there {verb} {}: {}", counted(number, &one, &many), listed(&rules, NAMED));
    } else if report.mailing_hosts == 0 {
        let smtp = &report.sensor.smtp;
        text.push_str(match smtp.sessions + smtp.transactions {
            0 => "; there was no mail",
            _ => "; there was mail, but none from a home host (see --home-net)",
        });
    }
    text
}

/// Time of the first and last packet, where there was any.
fn span(report: &Report) -> Option<(Timestamp, Timestamp)> {
    report.span.filter(|_| report.sensor.capture.packets > 0)
}

/// `10.20.1.17 (mimail-c), since 2003-10-31 12:00:05 UTC.`; the first few hosts of so many, and the earliest time of
/// all that are listed.
fn named(hosts: &[&HostReport], all: u64) -> String {
    let name = |host: &&HostReport| match host.evidence.first() {
        Some(evidence) => format!("{} ({})", host.host, plain(&evidence.source)),
        None => host.host.to_string(),
    };
    let names: Vec<_> = hosts.iter().map(name).collect();
    let since = hosts.iter().map(|host| host.since).min().unwrap_or_default();
    format!("{}, since {}.", listed_of(&names, NAMED, all), time(since))
}

/// The first few, and how many more there are.
fn listed(names: &[String], most: usize) -> String {
    listed_of(names, most, names.len() as u64)
}

/// The same of so many, of which not all have a name here.
fn listed_of(names: &[String], most: usize, all: u64) -> String {
    let shown = names.len().min(most);
    let mut text = names.iter().take(shown).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = all.saturating_sub(shown as u64);
    if more > 0 {
        let _ = write!(text, " and {} more", count(more));
    }
    text
}

/// What share of all bytes read a host's mail took.
fn share(host: &HostReport, report: &Report) -> f64 {
    // Packets lost or cut off may make mail seem more than all there was.
    (host.mail_bytes as f64 / report.sensor.capture.bytes.max(1) as f64).min(1.0)
}

fn hosts(report: &Report, style: Style) -> String {
    let mut table = table(style);
    // How a host is known to be a mail server is told where there is room.
    let roles = style.width.is_none_or(|width| width >= ROOMY) && report.hosts.iter().any(|host| host.role.is_some());
    let mut header = vec!["HOST", "VERDICT", "SINCE (UTC)", "MESSAGES", "RCPTS", "MX", "MAIL", "SHARE"];
    header.extend(roles.then_some("ROLE"));
    table.set_header(header);
    let shown: Vec<_> = report.hosts.iter().take(suspects(report).clamp(LISTED, LISTED_MOST)).collect();
    for host in &shown {
        let since = time(host.since);
        let minute = since.get(..MINUTE).unwrap_or(&since);
        let mut row = vec![Cell::new(host.host), Cell::new(host.verdict.name()), Cell::new(minute)];
        let figures = [
            count(host.messages),
            count(host.recipients),
            count(host.mx_lookups),
            bytes(host.mail_bytes),
            percent(share(host, report)),
        ];
        row.extend(figures.map(Cell::new));
        // Since when it is known to be one is in the JSON.
        let role = host.role.as_deref().unwrap_or_default();
        row.extend(roles.then(|| Cell::new(plain(role.split(" since ").next().unwrap_or(role)))));
        table.add_row(row);
    }
    // On a narrow terminal the lesser figures go; an IPv6 address may break, and no figure does.
    let narrow = style.width.is_some_and(|width| width < NARROW);
    for (index, column) in table.column_iter_mut().enumerate().skip(1) {
        let hidden = narrow && LESSER.contains(&index);
        column.set_constraint(if hidden { ColumnConstraint::Hidden } else { ColumnConstraint::ContentWidth });
        if FIGURES.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = laid_out(&table);
    let mailing = shown.iter().filter(|host| host.mail_bytes > 0).count() as u64;
    let more = report.mailing_hosts.saturating_sub(mailing);
    if more > 0 {
        let _ = write!(text, "\n  and {} that spoke to mail servers", counted(more, "more host", "more hosts"));
    }
    text
}

fn why(host: &HostReport, report: &Report, notes: &Notes, style: Style) -> String {
    let others: Vec<String> = host.other_addresses.iter().map(ToString::to_string).collect();
    let also = if others.is_empty() { String::new() } else { format!(" (also {})", others.join(", ")) };
    let title = format!("{}{also} is {}:", host.host, host.verdict.name());
    let mut text = paint(&title, host.verdict, style);
    let mut item = |item: &str| {
        let _ = write!(text, "\n{}", wrapped(item, 4, style.width));
    };
    for evidence in host.evidence.iter().take(REASONS) {
        item(&format!("  - {}: {}{}", plain(&evidence.source), plain(&evidence.text), matched(evidence)));
    }
    if host.evidence.len() > REASONS {
        let more: Vec<_> = host.evidence.iter().skip(REASONS).map(|evidence| plain(&evidence.source)).collect();
        item(&format!("  - and {}", listed(&more, REASONS)));
    }
    if let Some(role) = &host.role {
        item(&format!("  Role: {}", plain(role)));
    }
    if let Some(sum) = score(host) {
        item(&sum);
    }
    item(&cost(host, report));
    for line in timeline(host) {
        item(&line);
    }
    item(&format!("  To do: {}", plain_to(advice(host, notes), ADVICE)));
    text
}

/// What its mail has taken.
fn cost(host: &HostReport, report: &Report) -> String {
    let seen = match host.messages {
        // Hidden by TLS, or lost.
        0 => "no message that could be seen".into(),
        some => {
            let to = counted(host.recipients, "recipient", "recipients");
            format!("{} to {to}", counted(some, "message", "messages"))
        }
    };
    format!(
        "  Cost: {seen}, {}, {} of mail traffic: {} of all bytes read",
        counted(host.mx_lookups, "MX question", "MX questions"),
        bytes(host.mail_bytes),
        percent(share(host, report)),
    )
}

/// What happened when. What was only of low severity, or says nothing about the host, is left to the JSON.
fn timeline(host: &HostReport) -> Vec<String> {
    let telling: Vec<_> =
        host.timeline.iter().filter(|moment| !QUIET.iter().any(|end| moment.text.ends_with(end))).collect();
    let mut lines: Vec<String> = telling
        .iter()
        .take(MOMENTS)
        .map(|moment| format!("    {}  {}", time(moment.time).trim_end_matches(" UTC"), plain(&moment.text)))
        .collect();
    if telling.len() > MOMENTS {
        lines.push(format!("    and {} more", telling.len() - MOMENTS));
    }
    if !lines.is_empty() {
        lines.insert(0, "  Timeline (UTC):".into());
    }
    lines
}

/// A figure of evidence by its name.
fn figure<'a>(evidence: &'a Evidence, name: &str) -> Option<&'a Figure> {
    evidence.figures.iter().find(|(known, _)| *known == name).map(|(_, figure)| figure)
}

/// What a rule matched: that convinces, where its name alone would have to be believed.
fn matched(evidence: &Evidence) -> String {
    let Some(Figure::List(marks)) = figure(evidence, MATCHED) else { return String::new() };
    let marks: Vec<_> = marks.iter().map(|mark| plain(mark)).collect();
    if marks.is_empty() { String::new() } else { format!("; matched {}", listed(&marks, NAMED)) }
}

/// How the score adds up, and which evidence needed no message's content; none where nothing was weighed.
fn score(host: &HostReport) -> Option<String> {
    let (mut parts, mut all_free) = (Vec::new(), true);
    for evidence in &host.evidence {
        let Some(Figure::Real(weight)) = figure(evidence, WEIGHT).filter(|weight| **weight != Figure::Real(0.0)) else {
            continue;
        };
        let free = figure(evidence, CONTENT_FREE) == Some(&Figure::Text("yes".into()));
        all_free &= free;
        parts.push(format!("{weight} {}{}", plain(&evidence.source), if free { "*" } else { "" }));
    }
    let note = if all_free { "* none of it needs a message's content" } else { "* needs no message's content" };
    (!parts.is_empty()).then(|| format!("  Score {}: {} ({note})", host.score, parts.join(" + ")))
}

/// What was left unsaid at the operator's wish.
fn ignored(report: &Report) -> Option<String> {
    let line = |ignored: &Ignored| {
        let (wish, times) = (&ignored.wish, counted(ignored.times, "time", "times"));
        format!("  - {} of {}, {times}: {}", plain(&wish.detector), wish.host, plain(&wish.reason))
    };
    let lines: Vec<String> = report.ignored.iter().map(line).collect();
    (!lines.is_empty()).then(|| format!("Not told, as configured:\n{}", lines.join("\n")))
}

/// What to do: the advice of the strongest evidence that has any.
fn advice<'a>(host: &HostReport, notes: &'a Notes) -> &'a str {
    let own = host.evidence.iter().find_map(|evidence| notes.advice.get(&evidence.source));
    match own {
        Some(advice) if !advice.is_empty() => advice,
        _ if host.verdict == Verdict::Infected => ADVICE_INFECTED,
        _ => ADVICE_SUSPICIOUS,
    }
}

fn alerts(report: &Report, notes: &Notes, style: Style) -> String {
    let mut table = table(style);
    table.set_header(vec!["ALERTS", "SEVERITY", "RULE", "HOSTS"]);
    for (rule, severity, number) in &report.alerts {
        let hosts: Vec<_> = notes.alerted.get(&(rule.clone(), *severity)).into_iter().flatten().collect();
        let hosts: Vec<_> = hosts.into_iter().map(ToString::to_string).collect();
        table.add_row(vec![count(*number), severity.name().to_owned(), plain(rule), listed(&hosts, NAMED)]);
    }
    if let Some(column) = table.column_mut(0) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = laid_out(&table);
    let suspects = report.hosts.iter().filter(|host| host.verdict != Verdict::Clean).take(EXPLAINED);
    let explained: BTreeSet<_> = suspects.flat_map(|host| &host.evidence).map(|evidence| &evidence.source).collect();
    let loud = report.alerts.iter().filter(|(_, severity, _)| severity.reaches(LOUD)).map(|(rule, ..)| rule);
    for rule in loud.filter(|rule| !explained.contains(rule)).collect::<BTreeSet<_>>() {
        if let Some(advice) = notes.advice.get(rule).filter(|advice| !advice.is_empty()) {
            let item = format!("  To do about {}: {}", plain(rule), plain_to(advice, ADVICE));
            let _ = write!(text, "\n{}", wrapped(&item, 4, style.width));
        }
    }
    text
}

fn read(report: &Report, style: Style) -> String {
    let Some((first, last)) = span(report) else { return "Read: nothing.".into() };
    let (capture, smtp, dns) = (&report.sensor.capture, &report.sensor.smtp, &report.sensor.dns);
    let read = format!(
        "Read: {} to {} ({}), {}, {}.",
        time(first).trim_end_matches(" UTC"),
        time(last),
        duration(last.since(first)),
        counted(capture.packets, "packet", "packets"),
        bytes(capture.bytes),
    );
    let mut mail = String::from("Mail: none");
    if smtp.sessions + smtp.transactions + smtp.messages > 0 {
        let parts = [(smtp.tls_sessions, "hidden by TLS"), (smtp.one_sided, "seen from one side alone")];
        let parts: Vec<_> = parts
            .into_iter()
            .filter(|(some, _)| *some > 0)
            .map(|(some, what)| format!("{} {what}", count(some)))
            .collect();
        let parts = if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) };
        mail = format!(
            "Mail: {}{parts}, {}, {}, {} opened, {}",
            counted(smtp.sessions, "session", "sessions"),
            counted(smtp.transactions, "transaction", "transactions"),
            counted(smtp.messages, "message", "messages"),
            count(report.inspect.inspected),
            counted(report.inspect.attachments, "attachment", "attachments"),
        );
    }
    let _ = write!(mail, "; {}.", counted(dns.mx_queries, "MX question", "MX questions"));
    format!("{}\n{}", wrapped(&read, 2, style.width), wrapped(&mail, 2, style.width))
}

fn lost(report: &Report, notes: &Notes, style: Style) -> String {
    let told: Vec<_> = losses(report, notes).into_iter().filter(|loss| loss.count > 0).collect();
    if told.is_empty() {
        return "Lost: nothing.".into();
    }
    let mut text = String::from("Lost:");
    for loss in told {
        let _ = write!(text, "\n{}", wrapped(&format!("  - {}", loss.sentence()), 4, style.width));
    }
    text
}

fn table(style: Style) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if let Some(width) = style.width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.max(MIN_WIDTH));
    }
    table
}

/// A table's lines without the blanks that pad its last column.
fn laid_out(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

fn suspects(report: &Report) -> usize {
    report.hosts.iter().filter(|host| host.verdict != Verdict::Clean).count()
}

fn paint(text: &str, verdict: Verdict, style: Style) -> String {
    let colour = match verdict {
        Verdict::Infected => "1;31",
        Verdict::Suspicious => "1;33",
        Verdict::Clean => "1;32",
    };
    if style.colour { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
}

fn section(out: &mut String, text: &str) {
    out.push('\n');
    line(out, text);
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

/// Hosts named in the headline.
const NAMED: usize = 3;
/// Rows of hosts, unless more are under suspicion.
const LISTED: usize = 10;
/// Rows of hosts in an outbreak; the JSON has all.
const LISTED_MOST: usize = 100;
/// Hosts whose reasons are given in the text; the JSON has all.
const EXPLAINED: usize = 20;
/// Reasons given for one host in the text; the JSON has all.
const REASONS: usize = 5;
/// Ends of moments that are left out of the timeline.
const QUIET: [&str; 2] = [" at low", ", not held against it"];
/// Moments of the timeline given for one host in the text; the JSON has all.
const MOMENTS: usize = 16;
/// Characters of advice shown: rules are written by hand, and what to do is what the reader came for.
const ADVICE: usize = 2_000;
/// Alerts from this severity on are to be noticed though no host is judged.
const LOUD: Severity = Severity::High;
/// The figure in which content rules list what they matched.
const MATCHED: &str = "matched";
/// Columns of the hosts' table that hold figures.
const FIGURES: std::ops::RangeInclusive<usize> = 3..=7;
/// Those that a narrow terminal does without: recipients, MX questions, share.
const LESSER: [usize; 3] = [4, 5, 7];
/// Terminal width below which it is narrow.
const NARROW: u16 = 80;
/// Terminal width from which the table tells roles.
const ROOMY: u16 = 110;
/// Characters of a time up to its minute.
const MINUTE: usize = "2003-10-31 12:00".len();
/// What the table takes without the lesser figures, an IPv4 address at its longest: narrower, nothing can be read.
const MIN_WIDTH: u16 = 67;
const ADVICE_INFECTED: &str =
    "take the host off the network, find the program that connects to port 25, and clean it before it comes back.";
const ADVICE_SUSPICIOUS: &str =
    "ask its owner whether it should send mail itself; if so, declare it with --mail-server, else look for a worm.";

#[cfg(test)]
mod tests;
