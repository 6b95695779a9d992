//! Is a port free? bind(2) without `SO_REUSEADDR` is the only one who knows. Never listens and never
//! connects: both would disturb a server that is about to start.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::io::Errno;
use socket2::{Domain, Socket, Type};

use crate::{Error, Host, Port, Protocol, Transport, sys};

/// A walk along candidates: one socket (for both protocols, one of each) is bound to each until a
/// bind succeeds. A failed bind leaves the socket as it was, and one call costs a sixth of opening a
/// new one.
///
/// The socket is a dual-stack `[::]` one where there is IPv6, so that a port that anything uses on
/// any address of the machine is passed over.
#[derive(Debug)]
pub struct Walk {
    legs: Vec<Leg>,
}

/// The walk of one protocol.
#[derive(Debug)]
struct Leg {
    transport: Transport,
    socket: Option<(Socket, IpAddr)>,
}

/// A port that is bound, and so nobody else's, for as long as this value lives.
#[derive(Debug)]
#[must_use = "the port is free again when this is dropped"]
pub struct Claim {
    _sockets: Vec<Socket>,
}

impl Walk {
    /// A walk that has not begun.
    #[must_use]
    pub fn new(protocol: Protocol) -> Walk {
        let leg = |&transport| Leg {
            transport,
            socket: None,
        };
        Walk {
            legs: protocol.transports().iter().map(leg).collect(),
        }
    }

    /// A walk whose sockets are open, which takes longer than all else: so nobody needs to wait while
    /// it begins. One that can't be opened now is opened when it is needed.
    #[must_use]
    pub fn prepared(protocol: Protocol) -> Walk {
        let mut walk = Walk::new(protocol);
        for leg in &mut walk.legs {
            leg.socket = anywhere(leg.transport).ok();
        }
        walk
    }

    /// The number of the network namespace in which it was prepared, where the kernel tells.
    pub(crate) fn network(&self) -> Option<u64> {
        let (socket, _) = self.legs.first()?.socket.as_ref()?;
        sys::network_cookie(socket).ok()
    }

    /// Takes `port` if nothing on the machine uses it; for both protocols, if neither is used.
    ///
    /// # Errors
    /// [`Error::Busy`] and [`Error::Denied`]: on to the next. [`Error::Io`]: there is no next.
    pub fn claim(&mut self, port: Port) -> Result<Claim, Error> {
        let sockets = self.legs.iter_mut().map(|leg| leg.claim(port));
        Ok(Claim {
            _sockets: sockets.collect::<Result<_, _>>()?,
        })
    }
}

impl Leg {
    fn claim(&mut self, port: Port) -> Result<Socket, Error> {
        let (socket, address) = match self.socket.take() {
            Some(begun) => begun,
            None => anywhere(self.transport).map_err(Error::io("open a socket"))?,
        };
        match bind(&socket, address, port) {
            Ok(()) => Ok(socket),
            Err(error) => {
                self.socket = Some((socket, address));
                Err(Error::of_bind(error, Host::Address(address), port))
            }
        }
    }
}

/// A socket for every address of the machine, and what it is to be bound to.
pub(crate) fn anywhere(transport: Transport) -> io::Result<(Socket, IpAddr)> {
    let everything = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    match open(transport, everything, Stack::Dual) {
        Ok(socket) => Ok((socket, everything)),
        Err(error) if no_ipv6(&error) => {
            let all_of_ipv4 = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
            Ok((open(transport, all_of_ipv4, Stack::Single)?, all_of_ipv4))
        }
        Err(error) => Err(error),
    }
}

/// Whether an IPv6 socket takes IPv4 as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stack {
    /// It takes one family alone.
    Single,
    /// It takes both.
    Dual,
}

/// A socket for `address`, close-on-exec, without `SO_REUSEADDR`.
pub(crate) fn open(transport: Transport, address: IpAddr, stack: Stack) -> io::Result<Socket> {
    let (kind, protocol) = match transport {
        Transport::Tcp => (Type::STREAM, socket2::Protocol::TCP),
        Transport::Udp => (Type::DGRAM, socket2::Protocol::UDP),
    };
    match address {
        IpAddr::V4(_) => Socket::new(Domain::IPV4, kind, Some(protocol)),
        IpAddr::V6(_) => {
            let socket = Socket::new(Domain::IPV6, kind, Some(protocol))?;
            // Said in both cases, because the system's default can be set (ipv6(7), bindv6only).
            socket.set_only_v6(stack == Stack::Single)?;
            Ok(socket)
        }
    }
}

pub(crate) fn bind(socket: &Socket, address: IpAddr, port: Port) -> io::Result<()> {
    socket.bind(&SocketAddr::new(address, port.number()).into())
}

/// Whether an error says that the machine has no IPv6, or that it is switched off.
pub(crate) fn no_ipv6(error: &io::Error) -> bool {
    [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};

    #[test]
    fn a_walk_passes_over_what_listens_on_any_address() {
        let _no_process_starts = crate::PROCESSES.read();
        for address in [
            "127.0.0.1:0",
            "127.0.0.2:0",
            "0.0.0.0:0",
            "[::1]:0",
            "[::]:0",
        ] {
            let Ok(listener) = TcpListener::bind(address) else {
                println!("skipped {address}: no such address here");
                continue;
            };
            let port = Port::new(listener.local_addr().unwrap().port()).unwrap();
            for protocol in [Protocol::Tcp, Protocol::Both] {
                let mut walk = Walk::new(protocol);
                for _ in 0..3 {
                    let claim = walk.claim(port);
                    assert!(matches!(claim, Err(Error::Busy { .. })), "{address}");
                }
            }
        }
    }

    #[test]
    fn the_numbers_of_the_protocols_are_independent() {
        let _no_process_starts = crate::PROCESSES.read();
        for address in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"] {
            let Ok(socket) = UdpSocket::bind(address) else {
                println!("skipped {address}: no such address here");
                continue;
            };
            let port = Port::new(socket.local_addr().unwrap().port()).unwrap();
            for protocol in [Protocol::Udp, Protocol::Both] {
                let mut walk = Walk::new(protocol);
                for _ in 0..3 {
                    let claim = walk.claim(port);
                    assert!(matches!(claim, Err(Error::Busy { .. })), "{address}");
                }
            }
            // Unless a test of another process is at it.
            if let Ok(_claim) = Walk::new(Protocol::Tcp).claim(port) {
                TcpListener::bind(("127.0.0.1", port.number())).unwrap_err();
            }
        }
    }

    #[test]
    fn a_claim_keeps_the_port_until_it_is_dropped() {
        let _no_process_starts = crate::PROCESSES.read();
        let port = crate::lone::port();
        let claim = Walk::new(Protocol::Both).claim(port).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port.number()));
        assert!(TcpListener::bind(address).is_err());
        assert!(UdpSocket::bind(address).is_err());
        drop(claim);
        TcpListener::bind(address).unwrap();
        UdpSocket::bind(address).unwrap();
    }
}
