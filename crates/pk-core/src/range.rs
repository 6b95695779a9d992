//! A run of ports, both ends included. Never empty.

use std::fmt;
use std::str::FromStr;

use crate::port::{self, Port};

/// Ports from `first` to `last`, both included.
///
/// ```
/// use pk_core::PortRange;
/// let range: PortRange = "8888-8988".parse()?;
/// assert_eq!(range.len(), 101);
/// # Ok::<(), pk_core::range::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PortRange {
    first: Port,
    last: Port,
}

/// Two ends that make no range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The first port comes after the last.
    #[error("not a range: {first}-{last} (the first port comes after the last)")]
    Backwards {
        /// The first.
        first: Port,
        /// The last.
        last: Port,
    },
    /// There is no `-` between two numbers.
    #[error("not a range: {text} (a range is START-END)")]
    Shape {
        /// What was there.
        text: String,
    },
    /// One end is no port.
    #[error(transparent)]
    Port(#[from] port::ParseError),
}

impl PortRange {
    /// Where ports are looked for when nobody says where: 20000 to 29999. No browser blocks one of
    /// them, no operating system hands them out by itself, Kubernetes leaves them alone and IANA
    /// has assigned 1.5 % of them.
    pub const DEFAULT: PortRange = match (Port::new(20000), Port::new(29999)) {
        (Some(first), Some(last)) => PortRange { first, last },
        _ => unreachable!(),
    };

    /// The range from `first` to `last`.
    ///
    /// # Errors
    /// [`Error::Backwards`].
    pub fn new(first: Port, last: Port) -> Result<PortRange, Error> {
        if first > last {
            return Err(Error::Backwards { first, last });
        }
        Ok(PortRange { first, last })
    }

    /// Its first port.
    #[must_use]
    pub fn first(self) -> Port {
        self.first
    }

    /// Its last port.
    #[must_use]
    pub fn last(self) -> Port {
        self.last
    }

    /// How many ports it has, 1 to 65535.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a range is never empty")]
    pub fn len(self) -> u32 {
        u32::from(self.last.number()) - u32::from(self.first.number()) + 1
    }

    /// Whether `port` is in it.
    #[must_use]
    pub fn contains(self, port: Port) -> bool {
        self.first <= port && port <= self.last
    }

    /// Its ports, in order.
    pub fn ports(self) -> impl Iterator<Item = Port> {
        (self.first.number()..=self.last.number()).filter_map(Port::new)
    }

    /// Its ports in order, beginning `offset` ports after the first and going round.
    pub fn ports_from(self, offset: u32) -> impl Iterator<Item = Port> {
        let (first, last) = (self.first.number(), self.last.number());
        let entry = first + (offset % self.len()) as u16;
        let round = (entry..=last).chain(first..entry);
        round.filter_map(Port::new)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl FromStr for PortRange {
    type Err = Error;

    fn from_str(text: &str) -> Result<PortRange, Error> {
        let Some((first, last)) = text.split_once('-').filter(|(first, _)| !first.is_empty())
        else {
            return Err(Error::Shape {
                text: text.escape_debug().to_string(),
            });
        };
        PortRange::new(first.parse()?, last.parse()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_reads_start_end() {
        let check = |text: &str, expect: Option<(u16, u16)>| {
            let range = text.parse::<PortRange>().ok();
            let ends = range.map(|range| (range.first().number(), range.last().number()));
            assert_eq!(ends, expect, "{text:?}");
        };
        check("8888-8988", Some((8888, 8988)));
        check("1-65535", Some((1, 65535)));
        check("7-7", Some((7, 7)));
        for text in [
            "9-1",
            "0-5",
            "1-65536",
            "1-99999999999",
            "-5",
            "5-",
            "5",
            "",
            "1-2-3",
            "a-b",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn going_round_meets_each_port_once() {
        let range: PortRange = "10-13".parse().unwrap();
        let check = |offset, expect: &[u16]| {
            let ports: Vec<u16> = range.ports_from(offset).map(Port::number).collect();
            assert_eq!(ports, expect, "from {offset}");
        };
        check(0, &[10, 11, 12, 13]);
        check(3, &[13, 10, 11, 12]);
        check(4, &[10, 11, 12, 13]);
        assert_eq!(
            "1-65535".parse::<PortRange>().unwrap().ports().count(),
            65535
        );
    }
}
