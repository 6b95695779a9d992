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
            let found = listening(*port, &below)?;
            Some((port.number(), found.address, found.pid))
        })
    }
}

struct Listener {
    address: IpAddr,
    pid: u32,
}

fn listening(port: Port, below: &[u32]) -> Option<Listener> {
    let families = [
        rustix::net::AddressFamily::INET,
        rustix::net::AddressFamily::INET6,
    ];
    let found = sockets::list(
        pk_core::Transport::Tcp,
        &families,
        sockets::States::LISTENING,
        Some(port),
    )
    .ok()?;
    found.iter().find_map(|socket| {
        let wanted = format!("socket:[{}]", socket.inode);
        let pid = below.iter().find(|pid| {
            let open = std::fs::read_dir(format!("/proc/{pid}/fd"))
                .into_iter()
                .flatten()
                .flatten();
            open.into_iter().any(|it| {
                std::fs::read_link(it.path()).is_ok_and(|to| to.as_os_str() == wanted.as_str())
            })
        })?;
        Some(Listener {
            address: socket.address,
            pid: *pid,
        })
    })
}
