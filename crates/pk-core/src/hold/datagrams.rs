//! What is different about holding a UDP port. Never reads a datagram.
//!
//! A bound UDP socket is open for business: the kernel queues what is sent to it, and the client
//! waits for an answer that nobody will give. There is no state of "bound, but not listening" as in
//! TCP, but two that come to the same. A socket that is connected to itself takes datagrams from
//! nobody else, and can be disconnected by anybody. A socket that is bound to a network interface
//! that does not exist is never found by what arrives; only `CAP_NET_RAW` may undo that. In both the
//! kernel answers clients with "port unreachable", which they see as a refused connection, and
//! keeps everybody else from the port as before (measured on Linux 6.18).

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use socket2::Socket;
use tracing::debug;

use super::Member;
use crate::probe::{self, Stack};
use crate::{Error, Host, Port, Transport, sys};

/// The number of an interface that does not exist.
const PHANTOM: u32 = 0x7ff0_0001;

/// The hold of every address of the machine: one socket, of `[::]` for both families. More could
/// share the port only by `SO_REUSEADDR`, and UDP has nothing like a successful listen(2) to prove
/// that nobody slipped in meanwhile.
pub(super) fn acquire_everywhere(host: Host, port: Port) -> Result<Vec<Member>, Error> {
    let transport = Transport::Udp;
    let (socket, address) = probe::anywhere(transport).map_err(Error::io("open a socket"))?;
    probe::bind(&socket, address, port).map_err(|error| Error::of_bind(error, host, port))?;
    crate::failpoint!("hold.datagrams-bound");
    // A server that asks for just this address may get the very socket, which must then receive.
    if address != host.address() {
        let hidden = sys::bind_to_interface(&socket, PHANTOM);
        debug!(%port, ?hidden, "clients are refused");
    }
    Ok(vec![Member {
        transport,
        address,
        socket,
    }])
}

/// A socket of one address that a server will get. A wildcard can't be connected: that would narrow
/// it to one address.
pub(super) fn bind_one(
    address: IpAddr,
    stack: Stack,
    host: Host,
    port: Port,
) -> Result<Socket, Error> {
    let socket = probe::open(Transport::Udp, address, stack).map_err(Error::io("open a socket"))?;
    probe::bind(&socket, address, port).map_err(|error| Error::of_bind(error, host, port))?;
    if !address.is_unspecified() {
        let connected = socket.connect(&SocketAddr::new(address, port.number()).into());
        debug!(%port, %address, ?connected, "clients are refused");
    }
    Ok(socket)
}

/// Opens a socket of [`bind_one`] to clients.
pub(super) fn receive(socket: Socket) -> Result<UdpSocket, Error> {
    match rustix::net::connect_unspec(&socket) {
        // Some systems say so although they did it (connect(2) of the BSDs).
        Err(rustix::io::Errno::AFNOSUPPORT) => {}
        answer => answer
            .map_err(io::Error::from)
            .map_err(Error::io("disconnect a socket"))?,
    }
    Ok(socket.into())
}

#[cfg(test)]
mod tests;
