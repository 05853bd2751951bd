//! The end of a run, for a tired analyst: the verdict in one line, then the hosts, why, what to do, and what was lost.
//!
//! [`text`] is for people, [`json()`] for programs; both say the same. Text that came off the wire is shown with control
//! characters spelt out, since a worm's file name must not drive the analyst's terminal.

mod json;
mod losses;
mod words;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table, presets};

pub use self::json::json;
use self::losses::losses;
use self::words::{bytes, count, counted, duration, percent, plain, time};
use super::extract::ExtractStats;
use crate::model::alert::Verdict;
use crate::model::report::{HostReport, Report};

/// What the summary says besides the report.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    /// What to do, by the rule or detector that found it ([`crate::model::alert::Alert::remediation`]).
    pub advice: BTreeMap<String, String>,
    /// As [`super::writer::EveWriter::lost_lines`].
    pub eve_lost_lines: u64,
    pub extract: ExtractStats,
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
    line(&mut out, &paint(&headline(report), worst, style));
    if !report.hosts.is_empty() {
        section(&mut out, &hosts(report, style));
    }
    let suspects = report.hosts.iter().filter(|host| host.verdict != Verdict::Clean);
    for host in suspects.take(EXPLAINED) {
        section(&mut out, &why(host, notes, style));
    }
    if !report.alerts.is_empty() {
        section(&mut out, &alerts(report, style));
    }
    section(&mut out, &read(report));
    line(&mut out, &lost(report, notes));
    out
}

/// One sentence with the verdict.
fn headline(report: &Report) -> String {
    let with = |verdict| report.hosts.iter().filter(|host| host.verdict == verdict).collect::<Vec<_>>();
    let (infected, suspicious) = (with(Verdict::Infected), with(Verdict::Suspicious));
    match (infected.len(), suspicious.len()) {
        (0, 0) if report.span.is_none() => "No packet was read.".into(),
        (0, 0) if report.mailing_hosts == 0 => "No host is infected or under suspicion; no home host sent mail.".into(),
        (0, 0) => "No host is infected or under suspicion.".into(),
        (0, some) => format!("No host is infected; {some} under suspicion: {}", named(&suspicious)),
        (1, _) => format!("1 host is infected: {}", named(&infected)),
        (some, _) => format!("{some} hosts are infected: {}", named(&infected)),
    }
}

/// `10.20.1.17 (mimail-c), since 2003-10-31 12:00:05 UTC.`; the first few hosts, and the earliest time of all.
fn named(hosts: &[&HostReport]) -> String {
    let name = |host: &&HostReport| match host.evidence.first() {
        Some(evidence) => format!("{} ({})", host.host, plain(&evidence.source)),
        None => host.host.to_string(),
    };
    let mut names = hosts.iter().take(NAMED).map(name).collect::<Vec<_>>().join(", ");
    if hosts.len() > NAMED {
        let _ = write!(names, " and {} more", hosts.len() - NAMED);
    }
    let since = hosts.iter().map(|host| host.since).min().unwrap_or_default();
    format!("{names}, since {}.", time(since))
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
            percent(host.share_of_link),
        ];
        row.extend(figures.map(Cell::new));
        row.extend(roles.then(|| Cell::new(plain(host.role.as_deref().unwrap_or_default()))));
        table.add_row(row);
    }
    // On a narrow terminal an IPv6 address breaks, and no figure does.
    for (index, column) in table.column_iter_mut().enumerate().skip(1) {
        column.set_constraint(ColumnConstraint::ContentWidth);
        if FIGURES.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = laid_out(&table);
    let more = report.mailing_hosts.saturating_sub(shown.len() as u64);
    if more > 0 {
        let _ = write!(text, "\n  and {} that sent mail", counted(more, "more host", "more hosts"));
    }
    text
}

fn why(host: &HostReport, notes: &Notes, style: Style) -> String {
    let title = format!("{} is {}:", host.host, host.verdict.name());
    let mut text = paint(&title, host.verdict, style);
    for evidence in host.evidence.iter().take(REASONS) {
        let _ = write!(text, "\n  - {}: {}", plain(&evidence.source), plain(&evidence.text));
    }
    if host.evidence.len() > REASONS {
        let _ = write!(text, "\n  - and {}", counted((host.evidence.len() - REASONS) as u64, "more", "more"));
    }
    let _ = write!(text, "\n  To do: {}", plain(advice(host, notes)));
    text
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

fn alerts(report: &Report, style: Style) -> String {
    let mut table = table(style);
    table.set_header(vec!["ALERTS", "SEVERITY", "RULE"]);
    for (rule, severity, number) in &report.alerts {
        table.add_row(vec![count(*number), severity.name().to_owned(), plain(rule)]);
    }
    if let Some(column) = table.column_mut(0) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    laid_out(&table)
}

fn read(report: &Report) -> String {
    let Some((first, last)) = report.span else { return "Read: nothing.".into() };
    let (capture, smtp, dns) = (&report.sensor.capture, &report.sensor.smtp, &report.sensor.dns);
    format!(
        "Read: {} to {} ({}), {}, {}.\nMail: {}, {}, {}, {} opened, {}; {} asked.",
        time(first).trim_end_matches(" UTC"),
        time(last),
        duration(last.since(first)),
        counted(capture.packets, "packet", "packets"),
        bytes(capture.bytes),
        counted(smtp.sessions, "session", "sessions"),
        counted(smtp.transactions, "transaction", "transactions"),
        counted(smtp.messages, "message", "messages"),
        count(report.inspect.inspected),
        counted(report.inspect.attachments, "attachment", "attachments"),
        counted(dns.mx_queries, "MX question", "MX questions"),
    )
}

fn lost(report: &Report, notes: &Notes) -> String {
    let told: Vec<_> = losses(report, notes).into_iter().filter(|loss| loss.count > 0).collect();
    if told.is_empty() {
        return "Lost: nothing.".into();
    }
    let mut text = String::from("Lost:");
    for loss in told {
        let _ = write!(text, "\n  - {}", loss.sentence());
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
/// Columns of the hosts' table that hold figures.
const FIGURES: std::ops::RangeInclusive<usize> = 3..=7;
/// Terminal width from which the table tells roles.
const ROOMY: u16 = 110;
/// Characters of a time up to its minute.
const MINUTE: usize = "2003-10-31 12:00".len();
/// Narrower than this no table can be read.
const MIN_WIDTH: u16 = 60;
const ADVICE_INFECTED: &str =
    "take the host off the network, find the program that connects to port 25, and clean it before it comes back.";
const ADVICE_SUSPICIOUS: &str =
    "ask its owner whether it should send mail itself; if so, declare it with --mail-server, else look for a worm.";

#[cfg(test)]
mod tests;
