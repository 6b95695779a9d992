//! What a person should know about a grant that was made all the same. Never an error.

use std::fmt;

use pk_core::{Port, PortRange};

/// What a person should know about a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// The registry had to be begun anew, or is empty.
    Registry(pk_registry::Warning),
    /// Browsers refuse to open the port.
    BrowserBlocked {
        /// The port.
        port: Port,
    },
    /// The kernel may give the port to any outgoing connection.
    Ephemeral {
        /// The port.
        port: Port,
        /// The range that the kernel gives out.
        range: PortRange,
    },
    /// The number could not be remembered, so the name may get another one next time.
    NotRemembered {
        /// Why not.
        why: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Registry(warning) => warning.fmt(f),
            Warning::BrowserBlocked { port } => {
                write!(f, "browsers refuse to open port {port}")
            }
            Warning::Ephemeral { port, range } => write!(
                f,
                "port {port} is one that the kernel gives to outgoing connections ({range}); \
                 hold it, or another program may get it before your server starts"
            ),
            Warning::NotRemembered { why } => {
                write!(f, "the number is not remembered for the next time: {why}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_warning_is_a_sentence() {
        let check = |warning: Warning, expect: &str| assert_eq!(warning.to_string(), expect);
        let port = |number| Port::new(number).unwrap();
        check(
            Warning::BrowserBlocked { port: port(6000) },
            "browsers refuse to open port 6000",
        );
        let ephemeral = Warning::Ephemeral {
            port: port(40_000),
            range: PortRange::new(port(32_768), port(60_999)).unwrap(),
        };
        check(
            ephemeral,
            "port 40000 is one that the kernel gives to outgoing connections (32768-60999); \
             hold it, or another program may get it before your server starts",
        );
        let why = "the disk is full".to_owned();
        check(
            Warning::NotRemembered { why },
            "the number is not remembered for the next time: the disk is full",
        );
    }
}
