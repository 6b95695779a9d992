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
