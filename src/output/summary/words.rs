//! Figures, times and foreign text as people read them.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::LazyLock;
use std::time::Duration;

use regex::Regex;

use crate::model::time::Timestamp;

/// `2003-10-31 12:00:05 UTC`.
pub fn time(at: Timestamp) -> String {
    let iso = at.to_string();
    let whole = iso.split('.').next().unwrap_or_default();
    format!("{} UTC", whole.replacen('T', " ", 1))
}

/// `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 packet`, `2,000 packets`.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// Decimal units with three figures, as network people count: `950 B`, `12.3 kB`, `4.00 GB`.
pub fn bytes(number: u64) -> String {
    if number < 1_000 {
        return format!("{number} B");
    }
    let mut value = number as f64;
    let mut unit = "B";
    for next in ["kB", "MB", "GB", "TB", "PB", "EB"] {
        // Rounded up to three figures, 999.9 would read 1000.
        if value < 999.5 {
            break;
        }
        value /= 1_000.0;
        unit = next;
    }
    let decimals = if value < 9.995 {
        2
    } else if value < 99.95 {
        1
    } else {
        0
    };
    format!("{value:.decimals$} {unit}")
}

/// A share from 0 to 1 as `12.3 %`.
pub fn percent(share: f64) -> String {
    match share * 100.0 {
        0.0 => "0 %".into(),
        little if little > 0.0 && little < 0.1 => "< 0.1 %".into(),
        some if some.is_finite() => format!("{some:.1} %"),
        _ => "?".into(),
    }
}

/// `5 days 3 h`, `3 h 12 min`, `10 min 5 s`, `5 s`, `< 1 s`: the two largest units.
pub fn duration(span: Duration) -> String {
    let seconds = span.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let both = |large: String, small: u64, unit: &str| {
        if small == 0 { large } else { format!("{large} {small} {unit}") }
    };
    match (days, hours, minutes) {
        (0, 0, 0) if seconds == 0 => "< 1 s".into(),
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => both(format!("{minutes} min"), seconds % 60, "s"),
        (0, ..) => both(format!("{hours} h"), minutes % 60, "min"),
        _ => both(counted(days, "day", "days"), hours % 24, "h"),
    }
}

/// Foreign text made safe for a terminal and a single line: control characters and those that turn the direction of
/// writing are spelt out, and what is too long is cut.
pub fn plain(text: &str) -> String {
    plain_to(text, SHOWN)
}

/// The same, cut after `most` characters.
pub fn plain_to(text: &str, most: usize) -> String {
    let text = readable_times(text);
    let mut out = String::with_capacity(text.len());
    for (index, char) in text.chars().enumerate() {
        if index == most {
            out.push('…');
            break;
        }
        if char.is_control() || DIRECTIONS.iter().any(|range| range.contains(&char)) {
            let _ = write!(out, "{}", char.escape_unicode());
        } else {
            out.push(char);
        }
    }
    out
}

/// Times within a sentence as the rest of the summary has them: without fractions and offset.
fn readable_times(text: &str) -> Cow<'_, str> {
    static EVE_TIME: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)\.\d{6}\+0000").ok());
    EVE_TIME.as_ref().map_or(Cow::Borrowed(text), |times| times.replace_all(text, "$1 $2 UTC"))
}

/// A paragraph in lines no longer than the terminal is wide, the later ones indented. Without a width it is one line;
/// a word longer than a line stays whole.
pub fn wrapped(text: &str, indent: usize, width: Option<u16>) -> String {
    let Some(width) = width.map(|width| usize::from(width).max(NARROWEST)) else { return text.to_owned() };
    let mut out = String::with_capacity(text.len() + text.len() / 16);
    let mut column = 0;
    for (index, word) in text.split(' ').enumerate() {
        let long = word.chars().count();
        // A sign stays with its number.
        if index > 0 && column + 1 + long > width && column > indent && word != "%" {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else if index > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += long;
    }
    out
}

/// Columns below which lines are not made shorter.
const NARROWEST: usize = 40;

/// Characters of one foreign text shown.
const SHOWN: usize = 300;

/// Unicode's marks, embeddings, overrides, isolates, and line separators.
const DIRECTIONS: [std::ops::RangeInclusive<char>; 5] = [
    '\u{61c}'..='\u{61c}',
    '\u{200b}'..='\u{200f}',
    '\u{2028}'..='\u{202e}',
    '\u{2066}'..='\u{2069}',
    '\u{feff}'..='\u{feff}',
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
        for (number, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.00 kB"),
            (12_345, "12.3 kB"),
            (999_499, "999 kB"),
            (999_500, "1.00 MB"),
            (4_000_000_000, "4.00 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(bytes(number), text);
        }
        for (share, text) in [(0.0, "0 %"), (0.0001, "< 0.1 %"), (0.123, "12.3 %"), (1.0, "100.0 %"), (f64::NAN, "?")] {
            assert_eq!(percent(share), text);
        }
        for (seconds, text) in [
            (0, "< 1 s"),
            (59, "59 s"),
            (60, "1 min"),
            (605, "10 min 5 s"),
            (7_260, "2 h 1 min"),
            (86_400, "1 day"),
            (190_800, "2 days 5 h"),
        ] {
            assert_eq!(duration(Duration::from_secs(seconds)), text);
        }
        assert_eq!(time(Timestamp::from_parts(1_067_601_605, 999_999_999)), "2003-10-31 12:00:05 UTC");
    }

    #[test]
    fn times_in_sentences_read_as_elsewhere() {
        assert_eq!(
            plain("4 alerts since 2003-10-31T09:09:07.579736+0000, at 12:00"),
            "4 alerts since 2003-10-31 09:09:07 UTC, at 12:00"
        );
    }

    #[test]
    fn paragraphs_keep_to_the_width() {
        let text = "  - direct-to-mx: forty domains were asked for within ten minutes of each other";
        assert_eq!(wrapped(text, 4, None), text);
        assert_eq!(
            wrapped(text, 4, Some(42)),
            "  - direct-to-mx: forty domains were asked\n    for within ten minutes of each other"
        );
        let long = "x".repeat(60);
        assert_eq!(wrapped(&format!("see {long} there"), 2, Some(40)), format!("see\n  {long}\n  there"));
    }

    #[test]
    fn foreign_text_cannot_drive_a_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\nc\u{9b}d\u{202e}exe.jpg"), "a\\u{1b}[2Jb\\u{a}c\\u{9b}d\\u{202e}exe.jpg");
        assert_eq!(plain("photos – für Ünï.zip"), "photos – für Ünï.zip");
        assert_eq!(plain(&"x".repeat(1_000)).chars().count(), 301);
    }
}
