//! A hold that lets servers in, and one that does not again: `SO_REUSEADDR`, switched on sockets
//! that are bound already. Never closes one.

use crate::{Error, Hold};

impl Hold {
    /// Lets every server bind the port that sets `SO_REUSEADDR`, as nearly all do. The port stays
    /// out of reach of those that do not, of bind(2) to port 0, and of connect(2); it is not kept
    /// from another server that wants this very port.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn relax(&self) -> Result<(), Error> {
        self.share(true)
    }

    /// Lets nobody in any more. A server that has come in stays.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn tighten(&self) -> Result<(), Error> {
        self.share(false)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Coverage, Hold, Host, Origin, Protocol, lone};
    use std::net::TcpListener;

    #[test]
    fn a_server_comes_in_while_it_is_relaxed() {
        let _no_process_starts = crate::PROCESSES.read();
        for coverage in [Coverage::Host, Coverage::Everywhere] {
            let (host, origin) = (Host::default(), Origin::Range);
            let hold = Hold::acquire(host, lone::port(), Protocol::Tcp, coverage, origin).unwrap();
            let address = ("127.0.0.1", hold.port().number());
            let refused = || assert!(TcpListener::bind(address).is_err(), "{coverage:?}");
            refused();
            hold.relax().unwrap();
            let server = TcpListener::bind(address).unwrap();
            hold.tighten().unwrap();
            // It stays, and serves.
            std::net::TcpStream::connect(address).unwrap();
            drop(server);
            refused();
        }
    }
}
