//! A moment as a file name: UTC, sorts by time. Never reads a clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// `20260102T030405.123456789Z`. Moments before 1970 count as its beginning.
pub(crate) fn stamp(now: SystemTime) -> String {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let nanos = since.subsec_nanos();
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}.{nanos:09}Z")
}

/// The length of a stamp, until the year 10000.
pub(crate) const LENGTH: usize = "20260102T030405.123456789Z".len();

/// Year, month and day of a number of days since 1970, in the Gregorian calendar: Hinnant's
/// `civil_from_days`, in which years begin in March, so that the leap day comes last.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn moments_are_names() {
        let check = |seconds: u64, nanos: u32, expect: &str| {
            assert_eq!(stamp(UNIX_EPOCH + Duration::new(seconds, nanos)), expect);
            assert_eq!(expect.len(), LENGTH);
        };
        check(0, 0, "19700101T000000.000000000Z");
        check(951_782_400, 1, "20000229T000000.000000001Z");
        check(951_868_799, 0, "20000229T235959.000000000Z");
        check(1_767_323_045, 123_456_789, "20260102T030405.123456789Z");
        check(4_107_542_399, 999_999_999, "21000228T235959.999999999Z");
        check(4_107_542_400, 0, "21000301T000000.000000000Z");
    }
}
