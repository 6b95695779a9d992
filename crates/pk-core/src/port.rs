//! A port number that a server can bind. Never 0, which asks the kernel to choose.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

/// A TCP or UDP port, 1 to 65535.
///
/// ```
/// use pk_core::Port;
/// let port: Port = "8080".parse()?;
/// assert_eq!(port.number(), 8080);
/// assert!("0".parse::<Port>().is_err());
/// # Ok::<(), pk_core::port::ParseError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port(NonZeroU16);

/// A text is not a port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a port: {text} (a port is a number from 1 to 65535)")]
pub struct ParseError {
    text: String,
}

impl Port {
    /// The port of this number; `None` for 0.
    #[must_use]
    pub const fn new(number: u16) -> Option<Port> {
        match NonZeroU16::new(number) {
            Some(number) => Some(Port(number)),
            None => None,
        }
    }

    /// Its number, 1 to 65535.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0.get()
    }

    /// Whether browsers refuse to open it: the "bad ports" of the [fetch standard], which Firefox,
    /// Chromium and Node's `fetch` share.
    ///
    /// [fetch standard]: https://fetch.spec.whatwg.org/#port-blocking
    #[must_use]
    pub fn is_browser_blocked(self) -> bool {
        BROWSER_BLOCKED.binary_search(&self.number()).is_ok()
    }

    /// Whether a well-known service of developers' machines lives there by default, among the
    /// numbers that [`crate::PortRange::DEFAULT`] covers.
    #[must_use]
    pub fn is_well_known(self) -> bool {
        WELL_KNOWN.binary_search(&self.number()).is_ok()
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Port {
    type Err = ParseError;

    /// Digits only: neither a sign nor blanks.
    fn from_str(text: &str) -> Result<Port, ParseError> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.then(|| text.parse().ok()).flatten();
        number.map(Port).ok_or_else(|| ParseError {
            text: text.escape_debug().to_string(),
        })
    }
}

impl TryFrom<u16> for Port {
    type Error = ParseError;

    fn try_from(number: u16) -> Result<Port, ParseError> {
        Port::new(number).ok_or_else(|| ParseError {
            text: number.to_string(),
        })
    }
}

impl From<Port> for u16 {
    fn from(port: Port) -> u16 {
        port.number()
    }
}

/// WHATWG fetch, "bad port", July 2026; sorted.
const BROWSER_BLOCKED: [u16; 82] = [
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102,
    103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465,
    512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993,
    995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668,
    6669, 6679, 6697, 10080,
];

/// Syncthing, Fluentd, Vite's HMR, Minecraft, `RabbitMQ`, `CockroachDB`, Redis Sentinel, Steam and
/// `MongoDB`, `RethinkDB`, Kafka's containers; sorted.
const WELL_KNOWN: [u16; 14] = [
    22000, 24224, 24678, 25565, 25672, 26257, 26379, 27015, 27016, 27017, 27018, 27019, 28015,
    29092,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_a_plain_number_from_1_to_65535() {
        let check = |text: &str, expect: Option<u16>| {
            assert_eq!(
                text.parse::<Port>().ok().map(Port::number),
                expect,
                "{text:?}"
            );
        };
        check("1", Some(1));
        check("65535", Some(65535));
        check("08080", Some(8080));
        for text in [
            "0",
            "65536",
            "-1",
            "+80",
            "",
            " 80",
            "8080.5",
            "http",
            "99999999999",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn the_lists_are_sorted() {
        assert!(BROWSER_BLOCKED.is_sorted());
        assert!(WELL_KNOWN.is_sorted());
    }
}
