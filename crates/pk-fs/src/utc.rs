//! The wall clock as it stands in files, `2026-11-22T12:00:00Z` (RFC 3339, UTC), and in their names.
//! For people; nothing is decided by it. Never reads a clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment as RFC 3339 has it. Moments before 1970 are written as 1970.
#[must_use]
pub fn rfc3339(time: SystemTime) -> String {
    let Utc {
        year,
        month,
        day,
        hour,
        minute,
        second,
    } = Utc::of(time);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// A moment as part of a file name: `20260102T030405.123456789Z`. Later ones sort behind.
#[must_use]
pub fn stamp(time: SystemTime) -> String {
    let Utc {
        year,
        month,
        day,
        hour,
        minute,
        second,
    } = Utc::of(time);
    let nanos = time
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .subsec_nanos();
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}.{nanos:09}Z")
}

/// The length of a stamp, until the year 10000.
pub const STAMP_LENGTH: usize = "20260102T030405.123456789Z".len();

/// Reads what [`stamp`] wrote; `None` for anything else.
#[must_use]
pub fn parse_stamp(text: &str) -> Option<SystemTime> {
    let digits = |from: usize, to: usize| text.get(from..to);
    let (year, month, day) = (digits(0, 4)?, digits(4, 6)?, digits(6, 8)?);
    let (hour, minute, second) = (digits(9, 11)?, digits(11, 13)?, digits(13, 15)?);
    let nanos: u32 = digits(16, 25)?.parse().ok()?;
    let time = parse(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z"))?;
    let time = time + Duration::from_nanos(nanos.into());
    (stamp(time) == text).then_some(time)
}

/// Reads what [`rfc3339`] wrote; `None` for anything else.
#[must_use]
pub fn parse(text: &str) -> Option<SystemTime> {
    let field = |from: usize, to: usize, before: &str| {
        let digits = text
            .get(from..to)?
            .bytes()
            .all(|byte| byte.is_ascii_digit());
        (digits && text.get(from - before.len()..from)? == before)
            .then(|| text[from..to].parse::<u64>().ok())?
    };
    let (year, month, day) = (field(0, 4, "")?, field(5, 7, "-")?, field(8, 10, "-")?);
    let (hour, minute, second) = (
        field(11, 13, "T")?,
        field(14, 16, ":")?,
        field(17, 19, ":")?,
    );
    let plausible = year >= 1970
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60
        && text.get(19..) == Some("Z");
    let seconds = || days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    plausible.then(|| UNIX_EPOCH + Duration::from_secs(seconds()))
}

struct Utc {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
}

impl Utc {
    /// Howard Hinnant's `civil_from_days`: years begin in March, so that the leap day comes last.
    fn of(time: SystemTime) -> Utc {
        let seconds = time
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let days = seconds / 86_400 + 719_468;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let from_march = (5 * of_year + 2) / 153;
        let month = if from_march < 10 {
            from_march + 3
        } else {
            from_march - 9
        };
        Utc {
            year: year + era * 400 + u64::from(month <= 2),
            month,
            day: of_year - (153 * from_march + 2) / 5 + 1,
            hour: seconds / 3600 % 24,
            minute: seconds / 60 % 60,
            second: seconds % 60,
        }
    }
}

/// Days from 1970-01-01, the inverse of the above.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let from_march = (month + 9) % 12;
    let of_year = (153 * from_march + 2) / 5 + day.saturating_sub(1);
    let of_era = (year % 400) * 365 + (year % 400) / 4 - (year % 400) / 100 + of_year;
    (year / 400 * 146_097 + of_era).saturating_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_calendar_agrees_with_jiff(seconds in 0_i64..253_402_300_799) {
            let time = UNIX_EPOCH + Duration::from_secs(seconds as u64);
            let theirs = jiff::Timestamp::from_second(seconds).unwrap().to_string();
            prop_assert_eq!(rfc3339(time), theirs);
            prop_assert_eq!(parse(&rfc3339(time)), Some(time));
            let precise = time + Duration::from_nanos(seconds as u64 % 1_000_000_000);
            prop_assert_eq!(parse_stamp(&stamp(precise)), Some(precise));
        }
    }

    #[test]
    fn anything_else_is_no_time() {
        let precise = UNIX_EPOCH + Duration::new(951_868_799, 1);
        assert_eq!(stamp(precise), "20000229T235959.000000001Z");
        assert_eq!(stamp(precise).len(), STAMP_LENGTH);
        for text in [
            "",
            "2026-11-22",
            "2026-11-22T12:00:00",
            "2026-13-22T12:00:00Z",
            "1969-11-22T12:00:00Z",
            "0000-01-01T00:00:00Z",
            "2026-11-22T12:00:00Zx",
            "2026-11-22 12:00:00Z",
            "+026-11-22T12:00:00Z",
            "日本語日本語日",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        // Every beginning of a stamp, and those that read as another moment than they say.
        let whole = stamp(precise);
        for end in 0..whole.len() {
            assert_eq!(parse_stamp(&whole[..end]), None, "{}", &whole[..end]);
            assert_eq!(parse(&rfc3339(precise)[..end.min(19)]), None);
        }
        for text in [
            "20000229T235959.00000000xZ",
            "20000230T235959.000000001Z",
            "20000229x235959.000000001Z",
            "20001329T235959.000000001Z",
        ] {
            assert_eq!(parse_stamp(text), None, "{text}");
        }
    }
}
