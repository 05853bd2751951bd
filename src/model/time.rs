//! Packet time: the only clock of every stage.

use std::fmt;
use std::time::Duration;

use time::OffsetDateTime;

/// A moment in packet time: nanoseconds since 1970-01-01 00:00:00 UTC, leap seconds not counted.
///
/// Times come from capture files and can be anything; all arithmetic saturates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// A time from whole seconds and a fraction in nanoseconds. A fraction of a second or more (seen in
    /// damaged captures) carries over into the seconds.
    pub fn from_parts(seconds: i64, nanoseconds: i64) -> Self {
        Self(seconds.saturating_mul(NANOS).saturating_add(nanoseconds))
    }

    /// A time from nanoseconds since the epoch.
    pub const fn from_nanos(nanoseconds: i64) -> Self {
        Self(nanoseconds)
    }

    /// Nanoseconds since the epoch.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(NANOS)
    }

    /// Seconds since the epoch, with a fraction: for gauges and shares, not for ordering.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / NANOS as f64
    }

    /// How long after `earlier` this is; zero when it is not after it (packet time can step back).
    pub fn since(self, earlier: Self) -> Duration {
        u64::try_from(self.0.saturating_sub(earlier.0)).map_or(Duration::ZERO, Duration::from_nanos)
    }

    /// This time less `before`.
    pub fn minus(self, before: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(before.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// This time and `after` more.
    pub fn plus(self, after: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(after.as_nanos()).unwrap_or(i64::MAX)))
    }
}

/// Suricata's form, `2003-10-31T12:00:00.000000+0000`: always UTC, microseconds.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (year, month, day) = at.to_calendar_date();
        let (hour, minute, second, micro) = at.to_hms_micro();
        write!(f, "{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micro:06}+0000", u8::from(month))
    }
}

const NANOS: i64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_suricata_does() {
        let at = Timestamp::from_parts(1_067_601_600, 1_234_000);
        assert_eq!(at.to_string(), "2003-10-31T12:00:00.001234+0000");
    }

    #[test]
    fn arithmetic_saturates_and_never_goes_negative() {
        let late = Timestamp::from_parts(i64::MAX, 5);
        assert_eq!(Timestamp::default().since(late), Duration::ZERO);
        assert_eq!(late.plus(Duration::from_secs(9)), Timestamp::from_nanos(i64::MAX));
        assert_eq!(Timestamp::from_parts(1, 1_500_000_000), Timestamp::from_nanos(2_500_000_000));
    }

    #[test]
    fn every_time_can_be_printed() {
        for at in [i64::MIN, -1, 0, i64::MAX] {
            assert!(Timestamp::from_nanos(at).to_string().ends_with("+0000"));
        }
    }
}
