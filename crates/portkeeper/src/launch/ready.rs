//! Whether a program listens, where nothing tells: the kernel's list of listeners, and whose they
//! are. Never connects: that could take the very port from the program (a socket that connects to
//! itself), and it would be answered by anybody.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use pk_core::{Host, Machine, Port, sockets, tree};

use super::Rung;

/// How often it is looked, at first and at last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

/// A look that is repeated until a program listens.
#[derive(Debug)]
pub(super) struct Watch {
    next: Instant,
    pause: Duration,
}

impl Watch {
    /// `None` where the supervisor is told of it.
    pub(super) fn new(rung: Rung) -> Option<Watch> {
        let watch = Watch {
            next: Instant::now(),
            pause: PAUSES.0,
        };
        (rung != Rung::Adopted).then_some(watch)
    }

    /// How long until the next look.
    pub(super) fn pause(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// The first of these ports that a process below this one listens on, with its address and one
    /// process that has the socket. The supervisor's own copy does not count.
    pub(super) fn look(
        &mut self,
        ports: &[(Host, Port)],
        machine: &Machine,
    ) -> Option<(u16, IpAddr, u32)> {
        if Instant::now() < self.next {
            return None;
        }
        self.pause = (self.pause * 2).min(PAUSES.1);
        self.next = Instant::now() + self.pause;
        let below = tree::descendants(std::process::id(), machine).ok()?;
        let below: Vec<u32> = below.into_iter().map(|process| process.pid).collect();
        ports.iter().find_map(|(_, port)| {
            let found = sockets::listening(*port, &below).ok().flatten()?;
            Some((port.number(), found.address, found.pid))
        })
    }
}
