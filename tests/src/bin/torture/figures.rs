//! Numbers as the lines of rows show them. Never judges them.

use std::fmt;
use std::time::Duration;

/// How long several things took.
#[derive(Debug, Default)]
pub(crate) struct Spread {
    took: Vec<Duration>,
}

impl Spread {
    pub(crate) fn of(mut took: Vec<Duration>) -> Spread {
        took.sort_unstable();
        Spread { took }
    }

    /// What so many percent stayed within.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let index = (self.took.len() * percent).div_ceil(100).saturating_sub(1);
        self.took.get(index).copied().unwrap_or_default()
    }

    /// The longest.
    pub(crate) fn max(&self) -> Duration {
        self.took.last().copied().unwrap_or_default()
    }

    /// The sum, shared out evenly.
    pub(crate) fn mean(&self) -> Duration {
        let count = u32::try_from(self.took.len().max(1)).unwrap_or(u32::MAX);
        self.took.iter().sum::<Duration>() / count
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, max] = [self.percentile(50), self.percentile(99), self.max()].map(ms);
        write!(f, "p50 {p50}, p99 {p99}, max {max}")
    }
}

/// A time in milliseconds.
pub(crate) fn ms(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    match ms {
        ..10.0 => format!("{ms:.1} ms"),
        _ => format!("{ms:.0} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles() {
        let check = |count: u64, percent, expect: u64| {
            let spread = Spread::of((1..=count).map(Duration::from_millis).collect());
            assert_eq!(
                spread.percentile(percent),
                Duration::from_millis(expect),
                "{percent} % of {count}"
            );
        };
        check(100, 50, 50);
        check(100, 99, 99);
        check(10, 99, 10);
        check(1, 50, 1);
        check(0, 50, 0);
    }
}
