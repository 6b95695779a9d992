//! How long a reservation lasts, as people write it: `90s`, `15m`, `24h`, `never`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How long a reservation lasts without being renewed.
///
/// ```
/// use portkeeper::Ttl;
/// use std::time::Duration;
/// assert_eq!("15m".parse(), Ok(Ttl::For(Duration::from_secs(900))));
/// assert_eq!("never".parse(), Ok(Ttl::Never));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ttl {
    /// This long, time asleep included.
    For(Duration),
    /// Until the next boot.
    Never,
}

impl Ttl {
    /// What a reservation gets that nobody gave a time: 24 hours.
    pub const DEFAULT: Ttl = Ttl::For(Duration::from_secs(24 * 60 * 60));
}

/// A text is no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a length of time: {text} (a number with s, m, h or d, such as 90s, 15m, 24h, 7d)")]
pub struct ParseError {
    text: String,
}

/// Reads a length of time: a whole number of seconds (`90s`), minutes (`15m`), hours (`24h`) or days
/// (`7d`), or of milliseconds (`250ms`); at most a hundred years.
///
/// # Errors
/// [`ParseError`].
pub fn duration(text: &str) -> Result<Duration, ParseError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        "d" => 24 * 60 * 60 * 1000,
        _ => 0_u64,
    };
    const HUNDRED_YEARS: u64 = 36_525 * 24 * 60 * 60 * 1000;
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(milliseconds))
        .filter(|&time| milliseconds > 0 && time <= HUNDRED_YEARS)
        .map(Duration::from_millis)
        .ok_or_else(|| ParseError {
            text: text.escape_debug().to_string(),
        })
}

impl FromStr for Ttl {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Ttl, ParseError> {
        match text {
            "never" => Ok(Ttl::Never),
            _ => duration(text).map(Ttl::For),
        }
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ttl::Never => f.write_str("never"),
            Ttl::For(time) if time.subsec_millis() == 0 => write!(f, "{}s", time.as_secs()),
            Ttl::For(time) => write!(f, "{}ms", time.as_millis()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        let check = |text: &str, expect: Option<u64>| {
            let time = duration(text).ok().map(|time| time.as_millis() as u64);
            assert_eq!(time, expect, "{text:?}");
        };
        check("90s", Some(90_000));
        check("15m", Some(900_000));
        check("24h", Some(86_400_000));
        check("7d", Some(604_800_000));
        check("250ms", Some(250));
        check("0s", Some(0));
        for text in [
            "",
            "s",
            "90",
            "-1s",
            "1.5h",
            "1 h",
            "1h30m",
            "999999999999999999999s",
            "99999999d",
            "1w",
        ] {
            check(text, None);
        }
    }
}
