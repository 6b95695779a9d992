//! Could a server start on an address at this moment? Asked as a server would ask: `SO_REUSEADDR`,
//! then bind(2), of the very address. Never listens, and never binds a port that a socket of
//! somebody else's leaves no room on.
//!
//! A server that starts in the same moment does not notice: of a hundred thousand starts beside an
//! endless loop of such binds none failed. Without the option one in eight did.

use std::io;
use std::net::{IpAddr, Ipv6Addr};

use crate::probe::{self, Stack};
use crate::sockets::{Socket, State};
use crate::{Error, Host, Port, Transport};

/// Checks that a TCP server could start on `address`, for `::` one that takes IPv4 as well.
///
/// `sockets` are those that the kernel lists for this port. One that listens, or is bound and may
/// listen at any moment, is in the way, also where a bind would succeed beside it. With no sockets,
/// because the kernel does not list them, bind alone decides.
///
/// # Errors
/// [`Error::Busy`], [`Error::Denied`], [`Error::NotLocal`], [`Error::Io`].
pub fn check(address: IpAddr, port: Port, sockets: &[Socket]) -> Result<(), Error> {
    if sockets.iter().any(|socket| in_the_way(socket, address)) {
        return Err(Error::Busy { port });
    }
    bind(address, port)
}

/// Checks that this user may bind `port` at all. Costs nothing where no privilege is needed.
///
/// # Errors
/// [`Error::Denied`].
pub fn check_privilege(port: Port) -> Result<(), Error> {
    if port.number() >= crate::machine::first_unprivileged() {
        return Ok(());
    }
    match bind(Host::default().address(), port) {
        Err(error @ Error::Denied { .. }) => Err(error),
        _ => Ok(()),
    }
}

/// Whether a socket leaves no room for a TCP server on `address`, because it listens or may do so at
/// any moment.
#[must_use]
pub fn in_the_way(socket: &Socket, address: IpAddr) -> bool {
    socket.transport == Transport::Tcp
        && matches!(socket.state, State::Listening | State::Bound)
        && socket.collides(address)
}

fn bind(address: IpAddr, port: Port) -> Result<(), Error> {
    let stack = match address {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Stack::Dual,
        _ => Stack::Single,
    };
    let as_a_server = || -> io::Result<()> {
        let socket = probe::open(Transport::Tcp, address, stack)?;
        socket.set_reuse_address(true)?;
        probe::bind(&socket, address, port)
    };
    as_a_server().map_err(|error| match error {
        error if probe::no_ipv6(&error) => Error::NotLocal {
            host: Host::Address(address),
        },
        error => Error::of_bind(error, Host::Address(address), port),
    })
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};

    use super::*;
    use crate::sockets::{self, States};

    fn check_all(port: Port) -> Vec<&'static str> {
        let states = States::LISTENING | States::BOUND;
        let sockets = sockets::of_port(Transport::Tcp, states, port).unwrap();
        let addresses = ["127.0.0.1", "0.0.0.0", "::1", "::"];
        let is_free = |address: &&str| check(address.parse().unwrap(), port, &sockets).is_ok();
        addresses.into_iter().filter(is_free).collect()
    }

    fn port(listener: &TcpListener) -> Port {
        Port::new(listener.local_addr().unwrap().port()).unwrap()
    }

    #[test]
    fn a_listener_leaves_room_on_the_other_family() {
        let _no_process_starts = crate::PROCESSES.read();
        let v4 = TcpListener::bind("127.0.0.1:0").unwrap();
        let Ok(v6) = TcpListener::bind("[::1]:0") else {
            println!("skipped: no IPv6");
            return;
        };
        assert_eq!(check_all(port(&v4)), ["::1"]);
        assert_eq!(check_all(port(&v6)), ["127.0.0.1", "0.0.0.0"]);
    }

    #[test]
    fn a_server_about_to_start_is_in_the_way_though_bind_succeeds() {
        let _no_process_starts = crate::PROCESSES.read();
        let localhost = Host::default().address();
        let starting = probe::open(Transport::Tcp, localhost, Stack::Single).unwrap();
        starting.set_reuse_address(true).unwrap();
        starting
            .bind(&SocketAddr::new(localhost, 0).into())
            .unwrap();
        let number = starting.local_addr().unwrap().as_socket().unwrap().port();
        let port = Port::new(number).unwrap();
        check(localhost, port, &[]).expect("bind knows nothing of it");
        let sockets = sockets::of_port(Transport::Tcp, States::BOUND, port).unwrap();
        if sockets.is_empty() {
            println!("skipped: this kernel (before 6.8) lists no bound sockets");
            return;
        }
        let answer = check(localhost, port, &sockets);
        assert!(matches!(answer, Err(Error::Busy { .. })), "{answer:?}");
    }

    #[test]
    fn what_a_server_left_is_in_nobodys_way_but_an_outgoing_connection_is() {
        let _no_process_starts = crate::PROCESSES.read();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let served = port(&listener);
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let outgoing = Port::new(client.local_addr().unwrap().port()).unwrap();
        let (server, _) = listener.accept().unwrap();
        assert!(!check_all(outgoing).contains(&"127.0.0.1"));
        // The server closes first, and so it is its port on which the connection lingers.
        drop(server);
        drop(client);
        drop(listener);
        assert!(check_all(served).contains(&"127.0.0.1"));
    }

    #[test]
    fn a_udp_socket_is_in_nobodys_way() {
        let _no_process_starts = crate::PROCESSES.read();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = Port::new(socket.local_addr().unwrap().port()).unwrap();
        let found = sockets::of_port(Transport::Udp, States::RECEIVING, port).unwrap();
        assert!(!found.is_empty());
        let is = |socket: &&Socket| in_the_way(socket, socket.address);
        assert_eq!(found.iter().find(is), None);
    }

    #[test]
    fn an_address_of_elsewhere_is_told_from_one_in_use() {
        let port = Port::new(1).unwrap();
        let answer = check("192.0.2.1".parse().unwrap(), port, &[]);
        let expect = |error: &Error| matches!(error, Error::NotLocal { .. } | Error::Denied { .. });
        assert!(answer.as_ref().is_err_and(expect), "{answer:?}");
    }
}
