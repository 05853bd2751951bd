//! Time in captures: nanoseconds since 1970-01-01 00:00:00 UTC, leap seconds not counted.

/// Nanoseconds: a moment since the epoch, or a span.
pub type Nanos = i64;

pub const MICRO: Nanos = 1_000;
pub const MILLI: Nanos = 1_000_000;
pub const SECOND: Nanos = 1_000_000_000;
pub const MINUTE: Nanos = 60 * SECOND;
pub const HOUR: Nanos = 60 * MINUTE;

/// The moment of a date and time of day, UTC.
pub fn utc(year: i64, month: i64, day: i64, hour: i64, minute: i64, second: i64) -> Nanos {
    days_from_civil(year, month, day) * 24 * HOUR + hour * HOUR + minute * MINUTE + second * SECOND
}

/// As EVE writes it: `2003-10-31T09:00:00.000000+0000`, cut to microseconds.
pub fn iso(at: Nanos) -> String {
    let (year, month, day) = civil_from_days(at.div_euclid(24 * HOUR));
    let (hour, minute, second) = time_of_day(at);
    let micro = at.rem_euclid(SECOND) / MICRO;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micro:06}+0000")
}

/// As a Date header has it (RFC 5322, section 3.3): `Fri, 31 Oct 2003 09:00:00 +0000`.
pub fn rfc5322(at: Nanos) -> String {
    let days = at.div_euclid(24 * HOUR);
    let (year, month, day) = civil_from_days(days);
    let (hour, minute, second) = time_of_day(at);
    // 1970-01-01 was a Thursday.
    let weekday = WEEKDAYS[(days + 4).rem_euclid(7) as usize];
    let month = MONTHS[month as usize - 1];
    format!("{weekday}, {day} {month} {year:04} {hour:02}:{minute:02}:{second:02} +0000")
}

fn time_of_day(at: Nanos) -> (i64, i64, i64) {
    let second = at.rem_euclid(24 * HOUR) / SECOND;
    (second / 3600, second / 60 % 60, second % 60)
}

/// Howard Hinnant, "chrono-compatible low-level date algorithms": years begin in March, eras have 400 years.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_date() {
        // date -u -d '2003-10-31 12:00:00' +%s; date -u -R
        let at = utc(2003, 10, 31, 12, 0, 0);
        assert_eq!(at, 1_067_601_600 * SECOND);
        assert_eq!(rfc5322(at), "Fri, 31 Oct 2003 12:00:00 +0000");
        assert_eq!(iso(at + 1_234_567), "2003-10-31T12:00:00.001234+0000");
        assert_eq!(utc(2024, 2, 29, 23, 59, 59), 1_709_251_199 * SECOND);
        assert_eq!(rfc5322(1_709_251_199 * SECOND), "Thu, 29 Feb 2024 23:59:59 +0000");
    }
}
