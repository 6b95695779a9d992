//! UDP holds against real challengers and real clients.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use socket2::{Domain, Type};

use crate::hold::{Coverage, Hold};
use crate::{Error, Host, Origin, Port, Protocol, lone};

const ADDRESSES: [&str; 5] = ["127.0.0.1", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1"];

/// Those of the hosts that this machine has.
fn hosts<const N: usize>(hosts: [&'static str; N]) -> impl Iterator<Item = &'static str> {
    let no_ipv6 = UdpSocket::bind("[::1]:0").is_err();
    hosts.into_iter().filter(move |host| {
        let is_missing = no_ipv6 && *host == "::1";
        if is_missing {
            println!("skipped {host}: no IPv6");
        }
        !is_missing
    })
}

fn hold(host: &str, protocol: Protocol, coverage: Coverage) -> Hold {
    let host: Host = host.parse().unwrap();
    Hold::acquire(host, lone::port(), protocol, coverage, Origin::Range).unwrap()
}

/// Binds with every option that could let it in, and with none.
fn challenge(address: &str, port: Port) -> Vec<io::Result<UdpSocket>> {
    let address = SocketAddr::new(address.parse::<IpAddr>().unwrap(), port.number());
    let bind = |(reuse_address, reuse_port)| {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
        socket.set_reuse_address(reuse_address)?;
        socket.set_reuse_port(reuse_port)?;
        socket.bind(&address.into())?;
        Ok(socket.into())
    };
    [(false, false), (true, false), (false, true), (true, true)]
        .map(bind)
        .into()
}

fn is_kept_out(port: Port) {
    for address in ADDRESSES {
        for answer in challenge(address, port) {
            let error = answer.unwrap_err();
            let is_known = error.kind() == io::ErrorKind::AddrInUse
                || (address.contains(':') && crate::probe::no_ipv6(&error));
            assert!(is_known, "{address}:{port}: {error}");
        }
    }
}

/// What a client sees that says something and waits for an answer.
fn speak(address: &str, port: Port) -> io::ErrorKind {
    let address: IpAddr = address.parse().unwrap();
    let client = UdpSocket::bind((address, 0)).unwrap();
    client.connect((address, port.number())).unwrap();
    client.send(b"hello").unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    client.recv(&mut [0; 16]).unwrap_err().kind()
}

#[test]
fn nobody_else_binds_a_held_port_and_clients_are_refused() {
    let _no_process_starts = crate::PROCESSES.read();
    for host in hosts(["127.0.0.1", "localhost", "::1", "0.0.0.0", "::"]) {
        for coverage in [Coverage::Host, Coverage::Everywhere] {
            let hold = hold(host, Protocol::Udp, coverage);
            let port = hold.port();
            is_kept_out(port);
            let is_hidden = match coverage {
                Coverage::Host => !hold.host().address().is_unspecified(),
                Coverage::Everywhere => host != "::",
            };
            if is_hidden {
                assert_eq!(speak("127.0.0.1", port), io::ErrorKind::ConnectionRefused);
                is_kept_out(port);
            }
            drop(hold);
            for address in ADDRESSES {
                if let Err(error) = &challenge(address, port)[0] {
                    assert!(crate::probe::no_ipv6(error), "{address}:{port}: {error}");
                }
            }
        }
    }
}

#[test]
fn tcp_servers_are_not_kept_out_of_a_udp_port_and_of_one_held_for_both_they_are() {
    let _no_process_starts = crate::PROCESSES.read();
    for coverage in [Coverage::Host, Coverage::Everywhere] {
        let udp = hold("127.0.0.1", Protocol::Udp, coverage);
        TcpListener::bind(("127.0.0.1", udp.port().number())).unwrap();
        let both = hold("127.0.0.1", Protocol::Both, coverage);
        assert_eq!(both.protocol(), Protocol::Both);
        is_kept_out(both.port());
        TcpListener::bind(("127.0.0.1", both.port().number())).unwrap_err();
    }
}

#[test]
fn both_or_none() {
    let _no_process_starts = crate::PROCESSES.read();
    for coverage in [Coverage::Host, Coverage::Everywhere] {
        let port = hold("127.0.0.1", Protocol::Both, coverage).port();
        let acquire =
            |protocol, origin| Hold::acquire(Host::default(), port, protocol, coverage, origin);
        let one = acquire(Protocol::Udp, Origin::Range).unwrap();
        for origin in [Origin::Number, Origin::Range] {
            let both = acquire(Protocol::Both, origin);
            assert!(matches!(both, Err(Error::Busy { .. })), "{both:?}");
            // What was taken of TCP on the way is free again.
            drop(acquire(Protocol::Tcp, origin).unwrap());
        }
        drop(one);
        drop(acquire(Protocol::Both, Origin::Number).unwrap());
    }
}

#[test]
fn a_held_socket_becomes_a_server_of_exactly_its_address() {
    let _no_process_starts = crate::PROCESSES.read();
    for host in hosts(["127.0.0.1", "::1", "0.0.0.0"]) {
        let mut hold = hold(host, Protocol::Both, Coverage::Host);
        let address = SocketAddr::new(host.parse().unwrap(), hold.port().number());
        let is_served = |socket: &UdpSocket, words: &[u8]| {
            assert_eq!(socket.local_addr().unwrap(), address);
            let client = UdpSocket::bind((address.ip(), 0)).unwrap();
            let to = match address.ip().is_unspecified() {
                true => SocketAddr::from(([127, 0, 0, 1], address.port())),
                false => address,
            };
            client.send_to(words, to).unwrap();
            socket
                .set_read_timeout(Some(Duration::from_secs(60)))
                .unwrap();
            let mut buffer = [0; 16];
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], words);
            assert_eq!(from.port(), client.local_addr().unwrap().port());
            // Anybody can be answered.
            socket.send_to(b"yes", from).unwrap();
        };
        is_served(&hold.udp_socket().unwrap(), b"one");
        is_kept_out(hold.port());
        hold.listener().unwrap();
        is_served(&hold.into_udp_socket().unwrap(), b"two");
    }
}

#[test]
fn a_hold_gives_no_socket_of_another_protocol_or_of_a_wider_address() {
    let _no_process_starts = crate::PROCESSES.read();
    let mut udp = hold("127.0.0.1", Protocol::Udp, Coverage::Host);
    let refused = udp.listener().unwrap_err();
    assert!(
        matches!(refused, Error::OtherProtocol { .. }),
        "{refused:?}"
    );
    let port = udp.port();
    assert_eq!(
        udp.into_listener().unwrap_err().to_string(),
        format!("port {port} was taken for udp, so it has no tcp socket")
    );
    let mut tcp = hold("127.0.0.1", Protocol::Tcp, Coverage::Host);
    let refused = tcp.udp_socket().unwrap_err();
    assert!(
        matches!(refused, Error::OtherProtocol { .. }),
        "{refused:?}"
    );
    let mut wide = hold("127.0.0.1", Protocol::Udp, Coverage::Everywhere);
    let address = wide.udp_socket().unwrap().local_addr().unwrap();
    assert_eq!(
        address,
        SocketAddr::from(([127, 0, 0, 1], wide.port().number()))
    );
}

#[test]
fn a_port_used_elsewhere_is_held_on_the_hosts_addresses_when_asked_for_by_number() {
    let _no_process_starts = crate::PROCESSES.read();
    let Ok(elsewhere) = UdpSocket::bind("127.0.0.9:0") else {
        println!("skipped: no 127.0.0.9 here");
        return;
    };
    let port = Port::new(elsewhere.local_addr().unwrap().port()).unwrap();
    let acquire = |origin| {
        let (host, coverage) = (Host::default(), Coverage::Everywhere);
        Hold::acquire(host, port, Protocol::Udp, coverage, origin)
    };
    let busy = acquire(Origin::Range);
    assert!(matches!(busy, Err(Error::Busy { .. })), "{busy:?}");
    let _hold = acquire(Origin::Number).unwrap();
    is_kept_out(port);
    assert_eq!(speak("127.0.0.1", port), io::ErrorKind::ConnectionRefused);
}
