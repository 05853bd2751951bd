//! Numbers of the tables `[detect]`, `[inspect]` and `[sensor]` that make no sense: a chance of 2, a window of no time. A
//! detector with such a number would be silent, or never still, and nobody would know why.

use toml::de::{DeTable, DeValue};

use crate::model::settings::RecipientFanout;

/// The first number that is out of its range: where it stands in `text`, and what would be right. A text that cannot be
/// read has none: that was told before.
pub(super) fn fault(text: &str) -> Option<(usize, String)> {
    let document = DeTable::parse(text).ok()?;
    let mut faults: Vec<_> =
        RANGES.iter().filter_map(|(table, key, range)| outside(document.get_ref(), table, key, *range)).collect();
    faults.extend(unlikely(document.get_ref()));
    faults.extend(nameless(document.get_ref()));
    faults.into_iter().min()
}

/// What a number may be.
#[derive(Clone, Copy)]
enum Range {
    /// A whole number, bounds included.
    Whole(u64, u64),
    /// More than the first and less than the second.
    Between(f64, f64),
    /// As much or more.
    From(f64),
}

fn outside(document: &DeTable<'_>, table: &str, key: &str, range: Range) -> Option<(usize, String)> {
    let value = find(document, table, key)?;
    // Of a list every number counts.
    let numbers = value.get_ref().as_array().map_or_else(|| vec![value], |list| list.iter().collect());
    numbers.into_iter().find_map(|value| {
        let written = written(value.get_ref())?;
        let number: f64 = written.parse().ok()?;
        let (holds, right) = match range {
            Range::Whole(least, u64::MAX) => (number >= least as f64, format!("use {least} or more")),
            Range::Whole(least, most) => {
                (number >= least as f64 && number <= most as f64, format!("use {least} to {most}"))
            }
            Range::From(least) => (number >= least && number.is_finite(), format!("use {least} or more")),
            Range::Between(above, f64::INFINITY) => {
                (number > above && number.is_finite(), format!("use more than {above}"))
            }
            Range::Between(above, below) => {
                (number > above && number < below, format!("use more than {above} and less than {below}"))
            }
        };
        (!holds).then(|| (value.span().start, format!("{written} is out of range; {right}")))
    })
}

/// The test of `recipient-fanout` works only if an honest host finds whom it writes to more often than an infected one.
fn unlikely(document: &DeTable<'_>) -> Option<(usize, String)> {
    let table = "detect.recipient-fanout";
    let default = RecipientFanout::default();
    let (honest, infected) = (find(document, table, "theta0"), find(document, table, "theta1"));
    let number = |value: Option<&toml::Spanned<DeValue<'_>>>, default: f64| match value {
        Some(value) => written(value.get_ref())?.parse().ok(),
        None => Some(default),
    };
    let (theta0, theta1) = (number(honest, default.theta0)?, number(infected, default.theta1)?);
    let place = infected.or(honest)?.span().start;
    (theta1 >= theta0)
        .then(|| (place, format!("theta1 is {theta1}, and theta0 {theta0}; theta1 must be the smaller one")))
}

/// `self-propagation` knows a file again by its hash.
fn nameless(document: &DeTable<'_>) -> Option<(usize, String)> {
    let hashes = find(document, "inspect", "hashes")?;
    let what = "it names no hash, without which self-propagation sees nothing; name one: md5, sha1, sha256";
    hashes.get_ref().as_array().is_some_and(|list| list.is_empty()).then(|| (hashes.span().start, what.to_owned()))
}

fn find<'d, 'i>(document: &'d DeTable<'i>, table: &str, key: &str) -> Option<&'d toml::Spanned<DeValue<'i>>> {
    let within = table.split('.').try_fold(document, |at, name| at.get(name)?.get_ref().as_table())?;
    within.get(key)
}

/// A number as it was written, in decimal.
fn written(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::Integer(number) => Some(i128::from_str_radix(number.as_str(), number.radix()).ok()?.to_string()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        _ => None,
    }
}

const COUNT: Range = Range::Whole(1, u64::MAX);
/// Seconds: a year at most, which no host is remembered for.
const WINDOW: Range = Range::Whole(1, 366 * 86_400);
const CHANCE: Range = Range::Between(0.0, 1.0);
/// Chances of an error that are worth a test at all.
const ERROR: Range = Range::Between(0.0, 0.5);

const RANGES: &[(&str, &str, Range)] = &[
    ("detect.roles", "clients", COUNT),
    ("detect.roles", "patience", Range::Whole(0, u64::MAX)),
    ("detect.verdict", "half-life-seconds", WINDOW),
    ("detect.verdict", "calm-below", Range::Between(0.0, f64::INFINITY)),
    ("detect.direct-to-mx", "domains", COUNT),
    ("detect.direct-to-mx", "window-seconds", WINDOW),
    ("detect.direct-to-mx", "domains-a-day", COUNT),
    ("detect.recipient-fanout", "theta0", CHANCE),
    ("detect.recipient-fanout", "theta1", CHANCE),
    ("detect.recipient-fanout", "alpha", ERROR),
    ("detect.recipient-fanout", "beta", ERROR),
    ("detect.recipient-fanout", "repeats", COUNT),
    ("detect.mx-guessing", "domains", COUNT),
    ("detect.mx-guessing", "window-seconds", WINDOW),
    ("detect.self-propagation", "recipients", COUNT),
    ("detect.self-propagation", "returned", COUNT),
    ("detect.self-propagation", "messages", COUNT),
    ("detect.self-propagation", "window-seconds", WINDOW),
    ("detect.smtp-dialect", "early-sessions", COUNT),
    ("detect.smtp-dialect", "odd-traits", COUNT),
    ("detect.smtp-dialect", "names", COUNT),
    ("detect.mail-volume", "window-seconds", WINDOW),
    ("detect.mail-volume", "messages", COUNT),
    ("detect.mail-volume", "recipients", COUNT),
    ("detect.mail-volume", "bytes", COUNT),
    ("detect.mail-volume", "connections", COUNT),
    ("detect.mail-volume", "server-factor", COUNT),
    ("detect.mail-volume", "submission-factor", COUNT),
    // More are not kept of a host, so that it would never be compared with itself.
    ("detect.mail-volume", "baseline-windows", Range::Whole(1, 24)),
    ("detect.mail-volume", "baseline-deviations", Range::Between(0.0, f64::INFINITY)),
    ("detect.mail-volume", "baseline-floor", Range::From(0.0)),
    ("detect.flood-after-flag", "packets", COUNT),
    ("detect.flood-after-flag", "heavy", COUNT),
    ("detect.flood-after-flag", "window-seconds", WINDOW),
    ("inspect", "archive-depth", Range::Whole(0, 32)),
    ("sensor", "flows", Range::Whole(1, 1 << 30)),
    ("sensor", "message-bytes", Range::Whole(1, 1 << 30)),
    ("sensor", "mail-ports", Range::Whole(1, 65_535)),
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Layer;

    #[test]
    fn every_range_is_of_a_setting_there_is() {
        for (table, key, range) in RANGES {
            let value = match range {
                Range::Whole(..) if *key == "mail-ports" => "[26]",
                Range::Whole(..) => "2",
                Range::Between(..) | Range::From(_) => "0.25",
            };
            let text = format!("{table}.{key} = {value}");
            let read = Layer::read(Path::new("test.toml"), &text).map(|_| ()).map_err(|error| error.to_string());
            assert_eq!(read, Ok(()), "{text}");
        }
    }

    #[test]
    fn a_number_out_of_range_is_told_at_its_place() {
        for (text, place, what) in [
            ("[sensor]\nflows = 0", 17, "0 is out of range; use 1 to 1073741824"),
            ("[sensor]\nmail-ports = [25, 0]", 27, "0 is out of range; use 1 to 65535"),
            ("[detect.recipient-fanout]\ntheta0 = 2.0", 35, "2.0 is out of range; use more than 0 and less than 1"),
            ("[detect.recipient-fanout]\nalpha = nan", 34, "nan is out of range; use more than 0 and less than 0.5"),
            (
                "[detect.recipient-fanout]\ntheta0 = 0.1",
                35,
                "theta1 is 0.2, and theta0 0.1; theta1 must be the smaller one",
            ),
            ("detect.mail-volume.messages = 0", 30, "0 is out of range; use 1 or more"),
            ("[detect]\nverdict = { calm-below = -1 }", 34, "-1 is out of range; use more than 0"),
            ("[detect.mail-volume]\nbaseline-floor = -0.1", 38, "-0.1 is out of range; use 0 or more"),
            ("[detect.mail-volume]\nbaseline-deviations = inf", 43, "inf is out of range; use more than 0"),
            (
                "[inspect]\nhashes = []",
                19,
                "it names no hash, without which self-propagation sees nothing; name one: md5, sha1, sha256",
            ),
            ("[inspect]\narchive-depth = 0x21", 26, "33 is out of range; use 0 to 32"),
        ] {
            assert_eq!(fault(text), Some((place, what.to_owned())), "{text}");
        }
        for text in
            ["", "a = [", "[inspect]\narchive-depth = 0", "[detect.mail-volume]\nbaseline-floor = 0.0\nmessages = 1"]
        {
            assert_eq!(fault(text), None, "{text}");
        }
    }
}
