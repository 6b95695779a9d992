//! Which sockets there are, from the kernel itself (sock_diag(7)): a dump costs 60 µs where reading
//! `/proc/net/tcp` costs 10 ms. Never decides whether a port is free: bind does.

pub mod owners;
mod wire;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::BitOr;
use std::time::Duration;

use rustix::net::AddressFamily;

use crate::probe::Stack;
use crate::{Port, Transport};
use owners::{Among, Owners};

/// A socket that is bound to a port, by a program or by the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Socket {
    /// Of which protocol it is.
    pub transport: Transport,
    /// What it does.
    pub state: State,
    /// The address that it is bound to; IPv4 addresses mapped into IPv6 are IPv4 addresses here.
    pub address: IpAddr,
    /// Whether it is bound to `::` and takes IPv4 as well.
    pub stack: Stack,
    /// The port.
    pub port: u16,
    /// The other end, where there is one.
    pub remote: Option<SocketAddr>,
    /// The network interface that it is bound to; 0 for none.
    pub interface: u32,
    /// How long the kernel keeps it yet, where only the kernel does (`TIME_WAIT`).
    pub left: Option<Duration>,
    /// The user that opened it; 0 where only the kernel has it.
    pub uid: u32,
    /// Its number, which `/proc/PID/fd` shows as `socket:[N]`; 0 where no process has it open.
    pub inode: u64,
}

/// What a socket does: the states of TCP (RFC 9293), and being bound without any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It is connected.
    Established,
    /// It asks for a connection.
    SynSent,
    /// It was asked for a connection.
    SynReceived,
    /// It was closed here, which the other end has not acknowledged.
    FinWait1,
    /// It was closed here, and not yet at the other end.
    FinWait2,
    /// It is closed; late packets are waited for.
    TimeWait,
    /// It was closed at the other end, and not yet here.
    CloseWait,
    /// It is closed, which the other end has not acknowledged.
    LastAck,
    /// It listens.
    Listening,
    /// Both ends closed it at once.
    Closing,
    /// It is bound, and neither connected nor listening. A UDP socket receives all the same.
    Bound,
}

/// In which states sockets are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct States(u32);

impl States {
    /// TCP: those that listen.
    pub const LISTENING: States = States(1 << 10);
    /// TCP: those that are bound and do not listen. Since Linux 6.8; before, none are found.
    pub const BOUND: States = States(1 << 13);
    /// UDP: all of them, connected or not; whoever has a port can receive on it.
    pub const RECEIVING: States = States(1 << 1 | 1 << 7);
    /// All of them. Slower: the kernel goes through all connections of the machine.
    pub const ANY: States = States((1 << 14) - 2);
}

impl BitOr for States {
    type Output = States;

    fn bitor(self, other: States) -> States {
        States(self.0 | other.0)
    }
}

/// Both families of addresses.
const FAMILIES: [AddressFamily; 2] = [AddressFamily::INET, AddressFamily::INET6];

/// The sockets of all users in this network namespace, those of `port` alone if one is given.
///
/// # Errors
/// The system's reason; `Unsupported` or `NotFound` where there is no sock_diag, or none for UDP.
pub fn list(
    transport: Transport,
    families: &[AddressFamily],
    states: States,
    port: Option<Port>,
) -> io::Result<Vec<Socket>> {
    let mut found = wire::dump(transport, families, states.0, port)?;
    // The kernel does not filter sockets that are only bound by their port.
    found.retain(|socket| port.is_none_or(|port| socket.port == port.number()));
    Ok(found)
}

/// The sockets of one port, whatever their family of addresses.
///
/// # Errors
/// As [`list`].
pub fn of_port(transport: Transport, states: States, port: Port) -> io::Result<Vec<Socket>> {
    list(transport, &FAMILIES, states, Some(port))
}

/// A TCP socket that listens, and a process that has it open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    /// The address that it is bound to.
    pub address: IpAddr,
    /// The first of the processes that were asked about that has it open.
    pub pid: u32,
}

/// Whether one of these processes listens on a TCP port, on any address. Costs a look at every
/// descriptor of each, and only if anybody listens there at all.
///
/// # Errors
/// As [`list`].
pub fn listening(port: Port, pids: &[u32]) -> io::Result<Option<Listener>> {
    let sockets = of_port(Transport::Tcp, States::LISTENING, port)?;
    let owners = Owners::find(&sockets, Among::These(pids));
    let listener = |socket: &Socket| {
        let &pid = owners.of(socket).first()?;
        Some(Listener {
            address: socket.address,
            pid,
        })
    };
    Ok(sockets.iter().find_map(listener))
}

impl Socket {
    /// Whether what is sent to `address` arrives at a socket that is bound as this one is.
    #[must_use]
    pub fn takes(&self, address: IpAddr) -> bool {
        self.address == address
            || self.address.is_unspecified()
                && (self.address.is_ipv4() == address.is_ipv4() || self.stack == Stack::Dual)
    }

    /// Whether a server that binds `address` (for `::`, IPv4 included) would get in this one's way.
    #[must_use]
    pub fn collides(&self, address: IpAddr) -> bool {
        let is_inside = address.is_unspecified()
            && (address.is_ipv6() || address.is_ipv4() == self.address.is_ipv4());
        is_inside || self.takes(address)
    }

    /// Whether it is bound to `::` and takes IPv4 as well.
    #[must_use]
    pub fn is_dual_stack(&self) -> bool {
        self.stack == Stack::Dual
    }

    /// Whether it only exists because the kernel keeps it after its program has closed it.
    #[must_use]
    pub fn is_leftover(&self) -> bool {
        use State::{Closing, FinWait1, FinWait2, LastAck, TimeWait};
        self.inode == 0
            && matches!(
                self.state,
                FinWait1 | FinWait2 | TimeWait | LastAck | Closing
            )
    }
}

impl State {
    /// Its name: `listen`, `time-wait`, …
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            State::Established => "established",
            State::SynSent => "syn-sent",
            State::SynReceived => "syn-received",
            State::FinWait1 => "fin-wait-1",
            State::FinWait2 => "fin-wait-2",
            State::TimeWait => "time-wait",
            State::CloseWait => "close-wait",
            State::LastAck => "last-ack",
            State::Listening => "listen",
            State::Closing => "closing",
            State::Bound => "bound",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
