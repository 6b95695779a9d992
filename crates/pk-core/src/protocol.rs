//! The transport protocols that have ports. TCP and UDP numbers are independent of each other.

use std::fmt;
use std::str::FromStr;

/// For which protocol a port is reserved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// The same number of both.
    Both,
}

/// One of the two: what a socket is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A text is no protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a protocol: {text} (tcp, udp or both)")]
pub struct ParseError {
    text: String,
}

impl Protocol {
    /// Its name: `tcp`, `udp`, `both`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Both => "both",
        }
    }

    /// What a port of this protocol needs a socket of.
    #[must_use]
    pub fn transports(self) -> &'static [Transport] {
        match self {
            Protocol::Tcp => &[Transport::Tcp],
            Protocol::Udp => &[Transport::Udp],
            Protocol::Both => &[Transport::Tcp, Transport::Udp],
        }
    }

    /// Whether two reservations of one number get in each other's way.
    #[must_use]
    pub fn overlaps(self, other: Protocol) -> bool {
        self == other || self == Protocol::Both || other == Protocol::Both
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        })
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Protocol {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Protocol, ParseError> {
        [Protocol::Tcp, Protocol::Udp, Protocol::Both]
            .into_iter()
            .find(|protocol| protocol.name() == text)
            .ok_or_else(|| ParseError {
                text: text.escape_debug().to_string(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::Protocol::{Both, Tcp, Udp};

    #[test]
    fn both_overlaps_each() {
        for (a, b, expect) in [
            (Tcp, Tcp, true),
            (Tcp, Udp, false),
            (Udp, Both, true),
            (Both, Both, true),
        ] {
            assert_eq!(a.overlaps(b), expect);
            assert_eq!(b.overlaps(a), expect);
            let shares = |transport| b.transports().contains(transport);
            assert_eq!(a.transports().iter().any(shares), expect);
        }
    }
}
