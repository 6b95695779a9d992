//! Waiting until a port is free, or until something listens on it. Never connects, which could take
//! the very port that is waited for (a socket that connects to itself) and would fill a server's
//! queue, and never binds otherwise than servers do, which none of them notices.
//!
//! The kernel tells nobody of such changes, so it is asked again and again, with pauses from 1 to
//! 50 milliseconds.

use std::io;
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use pk_core::sockets::owners::{Among, Owners};
use pk_core::sockets::{self, Socket, States};
use pk_core::{Error as PortError, Host, Port, Transport, start};
use tracing::{debug, trace};

use crate::error::Error;
use crate::keeper::PortKeeper;
use crate::why::addresses;

/// A program that listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ready {
    /// The address that it listens on.
    pub address: IpAddr,
    /// A process that has the socket open; `None` where this user may not see it.
    pub pid: Option<u32>,
}

impl PortKeeper {
    /// Waits until a server for `host` could start on `port`, for at most `limit`. Reservations are
    /// not looked at: what is waited for is the end of sockets, and a held port has some.
    ///
    /// # Errors
    /// [`Error::NotFree`] when the time is over; [`Error::Port`] where it will never be free for this
    /// user, or there is no such address.
    pub fn wait_free(&self, port: Port, host: Host, limit: Option<Duration>) -> Result<(), Error> {
        start::check_privilege(port)?;
        let mut pauses = Pauses::new(limit);
        while !is_free(port, host)? {
            if pauses.pause().is_err() {
                let why = self.explain(port, Some(host))?;
                // It may have become free in this moment.
                if why.has_room() {
                    break;
                }
                return Err(Error::NotFree {
                    port,
                    host,
                    limit: pauses.limit(),
                    why: Box::new(why),
                });
            }
        }
        Ok(())
    }

    /// Waits until something listens on TCP port `port`, with `host` on an address where a client of
    /// that host arrives, for at most `limit`.
    ///
    /// # Errors
    /// [`Error::NotListening`] when the time is over; [`Error::Io`] where the kernel does not tell
    /// who listens.
    pub fn wait_ready(
        &self,
        port: Port,
        host: Option<Host>,
        limit: Option<Duration>,
    ) -> Result<Ready, Error> {
        let mut pauses = Pauses::new(limit);
        loop {
            if let Some(socket) = listener(port, host)? {
                // A hold listens for some microseconds, to prove that it is alone. What listens in
                // earnest still does a moment later.
                thread::sleep(SHORTEST);
                let again = listener(port, host)?;
                if again.is_some_and(|again| again.inode == socket.inode) {
                    let owners = Owners::find(&[socket], Among::All);
                    return Ok(Ready {
                        address: socket.address,
                        pid: owners.of(&socket).first().copied(),
                    });
                }
            }
            if pauses.pause().is_err() {
                return Err(Error::NotListening {
                    port,
                    host,
                    limit: pauses.limit(),
                    why: Box::new(self.why(port)?),
                });
            }
        }
    }
}

/// Whether a server could bind and listen. What costs least is asked first; a bind alone would not
/// see a socket that shares the port and is about to listen.
fn is_free(port: Port, host: Host) -> Result<bool, Error> {
    let found = list(States::LISTENING, port);
    for address in addresses(host) {
        match start::check(address, port, &found) {
            Ok(()) => {}
            Err(PortError::Busy { .. }) => return Ok(false),
            // A server for localhost does without the family that the machine does not have.
            Err(PortError::NotLocal { .. }) if address != host.address() => {}
            Err(error) => return Err(error.into()),
        }
    }
    let is_in_the_way = |socket: &Socket| {
        let mut addresses = addresses(host).into_iter();
        addresses.any(|address| start::in_the_way(socket, address))
    };
    Ok(!list(States::BOUND, port).iter().any(is_in_the_way))
}

fn list(states: States, port: Port) -> Vec<Socket> {
    sockets::of_port(Transport::Tcp, states, port).unwrap_or_else(|error| {
        debug!(%error, "the kernel does not list sockets");
        Vec::new()
    })
}

fn listener(port: Port, host: Option<Host>) -> Result<Option<Socket>, Error> {
    let found = sockets::of_port(Transport::Tcp, States::LISTENING, port)
        .map_err(Error::io("ask the kernel who listens"))?;
    let serves = |socket: &Socket| {
        host.is_none_or(|host| addresses(host).into_iter().any(|it| socket.takes(it)))
    };
    Ok(found.into_iter().find(serves))
}

const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(50);

/// Pauses that grow, until the time is over.
struct Pauses {
    next: Duration,
    limit: Option<Duration>,
    begun: Instant,
}

impl Pauses {
    fn new(limit: Option<Duration>) -> Pauses {
        Pauses {
            next: SHORTEST,
            limit,
            begun: Instant::now(),
        }
    }

    /// Sleeps; an error when the time is over.
    fn pause(&mut self) -> Result<(), io::ErrorKind> {
        let left = self
            .limit
            .map(|limit| limit.saturating_sub(self.begun.elapsed()));
        if left == Some(Duration::ZERO) {
            return Err(io::ErrorKind::TimedOut);
        }
        trace!(pause = ?self.next, "not yet");
        thread::sleep(left.map_or(self.next, |left| left.min(self.next)));
        self.next = (self.next * 2).min(LONGEST);
        Ok(())
    }

    /// The time that is over; zero where there is no end to it.
    fn limit(&self) -> Duration {
        self.limit.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let mut pauses = Pauses::new(None);
        let mut taken = Vec::new();
        for _ in 0..5 {
            taken.push(pauses.next.as_millis());
            pauses.pause().unwrap();
        }
        assert_eq!(taken, [1, 2, 4, 8, 16]);
        let mut over = Pauses::new(Some(Duration::ZERO));
        assert_eq!(over.pause(), Err(io::ErrorKind::TimedOut));
        assert_eq!(over.next, SHORTEST, "it did not sleep");
    }
}
