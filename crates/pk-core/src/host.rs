//! Which addresses a host name means here, and which of them get in each other's way. Never asks a
//! resolver: `localhost` is 127.0.0.1 and ::1, everything else is a literal address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Where a server will listen.
///
/// ```
/// use pk_core::Host;
/// let host: Host = "::ffff:127.0.0.1".parse()?;
/// assert_eq!(host.to_string(), "127.0.0.1");
/// assert!(host.overlaps("localhost".parse()?));
/// # Ok::<(), pk_core::host::ParseError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Host {
    /// The name `localhost`.
    Localhost,
    /// A literal address; IPv4 addresses mapped into IPv6 are IPv4 addresses here.
    Address(IpAddr),
}

/// A text is no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a host: {text} (an IP address or localhost; other names are not looked up)")]
pub struct ParseError {
    text: String,
}

const LOOPBACK_4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LOOPBACK_6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

impl Host {
    /// The address that a server for this host binds: for `localhost` 127.0.0.1.
    #[must_use]
    pub fn address(self) -> IpAddr {
        match self {
            Host::Localhost => LOOPBACK_4,
            Host::Address(address) => address,
        }
    }

    /// Whether this is one of the names of localhost: 127.0.0.1, ::1 and `localhost`. Programs that
    /// are told "localhost" bind one of the two addresses, or both, and no two agree which.
    #[must_use]
    pub fn is_localhost(self) -> bool {
        matches!(self.address(), LOOPBACK_4 | LOOPBACK_6)
    }

    /// The addresses that a reservation for this host stands for, its own first. Those of 0.0.0.0
    /// take the whole of IPv4, those of :: everything.
    #[must_use]
    pub fn addresses(self) -> Vec<IpAddr> {
        let [own, other] = self.both();
        match own == other {
            true => vec![own],
            false => vec![own, other],
        }
    }

    /// The same without an allocation: where there is one address, twice.
    fn both(self) -> [IpAddr; 2] {
        match self.address() {
            LOOPBACK_4 => [LOOPBACK_4, LOOPBACK_6],
            LOOPBACK_6 => [LOOPBACK_6, LOOPBACK_4],
            address => [address; 2],
        }
    }

    /// Whether two servers, one for each of these hosts, may get in each other's way on one port.
    #[must_use]
    pub fn overlaps(self, other: Host) -> bool {
        if self == other {
            return true;
        }
        let others = other.both();
        let meets = |a: IpAddr| others.iter().any(|&b| covers(a, b) || covers(b, a));
        self.both().into_iter().any(meets)
    }
}

/// Whether a socket at `wide` takes what comes for `narrow`. A dual-stack `[::]` takes IPv4 as well.
fn covers(wide: IpAddr, narrow: IpAddr) -> bool {
    wide == narrow
        || match wide {
            IpAddr::V4(address) => address.is_unspecified() && narrow.is_ipv4(),
            IpAddr::V6(address) => address.is_unspecified(),
        }
}

impl Default for Host {
    /// 127.0.0.1.
    fn default() -> Host {
        Host::Address(LOOPBACK_4)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Localhost => f.write_str("localhost"),
            Host::Address(address) => address.fmt(f),
        }
    }
}

impl FromStr for Host {
    type Err = ParseError;

    /// An IPv6 address may stand in brackets.
    fn from_str(text: &str) -> Result<Host, ParseError> {
        if text.eq_ignore_ascii_case("localhost") {
            return Ok(Host::Localhost);
        }
        let bare = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'));
        let address = match bare {
            Some(bare) => bare.parse::<Ipv6Addr>().map(IpAddr::V6),
            None => text.parse::<IpAddr>(),
        };
        address
            .map(|address| Host::Address(address.to_canonical()))
            .map_err(|_| ParseError {
                text: text.escape_debug().to_string(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_one_canonical_form() {
        let check = |text: &str, expect: Option<&str>| {
            let host = text.parse::<Host>().ok().map(|host| host.to_string());
            assert_eq!(host.as_deref(), expect, "{text:?}");
        };
        check("127.0.0.1", Some("127.0.0.1"));
        check("LocalHost", Some("localhost"));
        check("::ffff:127.0.0.1", Some("127.0.0.1"));
        check("0:0:0:0:0:0:0:1", Some("::1"));
        check("[::]", Some("::"));
        for text in [
            "0x7f.1",
            "127.1",
            "example.org",
            "",
            "127.0.0.1\nX=1",
            "[127.0.0.1]",
            "fe80::1%lo",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn what_gets_in_the_way_of_what() {
        let check = |a: &str, b: &str, expect| {
            let (x, y): (Host, Host) = (a.parse().unwrap(), b.parse().unwrap());
            assert_eq!(x.overlaps(y), expect, "{a} {b}");
            assert_eq!(y.overlaps(x), expect, "{b} {a}");
        };
        check("127.0.0.1", "127.0.0.1", true);
        check("127.0.0.1", "::1", true);
        check("localhost", "::1", true);
        check("127.0.0.1", "127.0.0.2", false);
        check("0.0.0.0", "127.0.0.2", true);
        check("0.0.0.0", "::1", true);
        check("0.0.0.0", "fe80::1", false);
        check("::", "192.168.1.5", true);
        check("::", "0.0.0.0", true);
        check("::", "localhost", true);
    }
}
