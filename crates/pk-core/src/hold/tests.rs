//! Holds against real challengers, as themselves and after somebody else.

#[cfg(target_os = "linux")]
mod faults;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};

use super::*;
use crate::lone;

const TCP: Protocol = Protocol::Tcp;

fn hold(host: &str, coverage: Coverage) -> Hold {
    let host: Host = host.parse().unwrap();
    Hold::acquire(host, lone::port(), TCP, coverage, Origin::Range).unwrap()
}

/// Binds as servers do: with `SO_REUSEADDR`, and listens.
fn serve(address: &str, port: Port) -> io::Result<TcpListener> {
    let address: IpAddr = address.parse().unwrap();
    TcpListener::bind(SocketAddr::new(address, port.number()))
}

const CHALLENGES: [&str; 4] = ["127.0.0.1", "0.0.0.0", "::1", "::"];

fn challenge(port: Port, expect: io::ErrorKind) {
    for address in CHALLENGES {
        match serve(address, port) {
            Err(error) if address.contains(':') && probe::no_ipv6(&error) => {
                println!("skipped {address}: no IPv6");
            }
            answer => assert_eq!(answer.unwrap_err().kind(), expect, "{address}:{port}"),
        }
    }
}

#[test]
fn nobody_else_binds_a_held_port_and_clients_are_refused() {
    let _no_process_starts = crate::PROCESSES.read();
    for host in ["127.0.0.1", "localhost", "::1", "0.0.0.0", "::"] {
        for coverage in [Coverage::Host, Coverage::Everywhere] {
            let hold = hold(host, coverage);
            let port = hold.port();
            challenge(port, io::ErrorKind::AddrInUse);
            let client = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port.number())));
            assert_eq!(client.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
            drop(hold);
            for address in CHALLENGES {
                if let Err(error) = serve(address, port) {
                    assert!(
                        probe::no_ipv6(&error),
                        "{address}:{port} after release: {error}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_held_socket_becomes_a_listener_of_exactly_its_address() {
    let _no_process_starts = crate::PROCESSES.read();
    for host in ["127.0.0.1", "::1", "0.0.0.0"] {
        let mut hold = hold(host, Coverage::Host);
        let expect = SocketAddr::new(host.parse().unwrap(), hold.port().number());
        let listener = hold.listener().unwrap();
        assert_eq!(listener.local_addr().unwrap(), expect);
        drop(listener);
        let listener = hold.into_listener().unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (_, from) = listener.accept().unwrap();
        assert_eq!(from, client.local_addr().unwrap());
    }
}

#[test]
fn a_hold_of_everything_gives_a_listener_of_exactly_the_address() {
    let _no_process_starts = crate::PROCESSES.read();
    for host in ["127.0.0.1", "::1", "0.0.0.0", "::", "127.0.0.3"] {
        let mut hold = hold(host, Coverage::Everywhere);
        let expect = SocketAddr::new(host.parse().unwrap(), hold.port().number());
        for listener in [hold.listener(), hold.into_listener()] {
            let listener = listener.unwrap();
            assert_eq!(listener.local_addr().unwrap(), expect);
            let reach = match expect.ip() {
                ip if ip.is_unspecified() => SocketAddr::from(([127, 0, 0, 1], expect.port())),
                _ => expect,
            };
            TcpStream::connect(reach).unwrap();
            listener.accept().unwrap();
        }
    }
}

/// Leaves a connection of a dead server on a port: the end that closes first keeps it.
fn leave_time_wait(port: Port) {
    let server = serve("127.0.0.1", port).unwrap();
    let client = TcpStream::connect(server.local_addr().unwrap()).unwrap();
    let (accepted, _) = server.accept().unwrap();
    drop(accepted);
    io::Read::read(&mut &client, &mut [0]).unwrap();
    drop(client);
}

#[test]
fn what_a_dead_server_left_is_in_nobodys_way_when_the_port_is_asked_for_by_number() {
    let _no_process_starts = crate::PROCESSES.read();
    for coverage in [Coverage::Host, Coverage::Everywhere] {
        let port = lone::port();
        leave_time_wait(port);
        let host = Host::default();
        let searched = Hold::acquire(host, port, TCP, coverage, Origin::Range);
        assert!(matches!(searched, Err(Error::Busy { .. })), "{searched:?}");
        let hold = Hold::acquire(host, port, TCP, coverage, Origin::Number).unwrap();
        challenge(port, io::ErrorKind::AddrInUse);
        if coverage == Coverage::Host {
            hold.into_listener().unwrap();
        }
    }
}

#[test]
fn a_server_about_to_start_is_no_leftover() {
    let _no_process_starts = crate::PROCESSES.read();
    let port = lone::port();
    let starting = probe::open(Transport::Tcp, Host::default().address(), Stack::Single).unwrap();
    starting.set_reuse_address(true).unwrap();
    probe::bind(&starting, Host::default().address(), port).unwrap();
    let families = [AddressFamily::INET];
    let found = sockets::list(Transport::Tcp, &families, States::BOUND, Some(port));
    if found.map_or(0, |found| found.len()) == 0 {
        println!("skipped: this kernel does not list bound sockets");
        return;
    }
    for coverage in [Coverage::Host, Coverage::Everywhere] {
        let taken = Hold::acquire(Host::default(), port, TCP, coverage, Origin::Number);
        assert!(matches!(taken, Err(Error::Busy { .. })), "{taken:?}");
    }
    starting.listen(1).expect("it was not disturbed");
}

#[test]
fn a_port_used_elsewhere_is_held_on_the_hosts_addresses_when_asked_for_by_number() {
    let _no_process_starts = crate::PROCESSES.read();
    let port = lone::port();
    let Ok(_elsewhere) = serve("127.0.0.9", port) else {
        println!("skipped: no 127.0.0.9 here");
        return;
    };
    let busy = Hold::acquire(
        Host::default(),
        port,
        TCP,
        Coverage::Everywhere,
        Origin::Range,
    );
    assert!(matches!(busy, Err(Error::Busy { .. })), "{busy:?}");
    let _hold = Hold::acquire(
        Host::default(),
        port,
        TCP,
        Coverage::Everywhere,
        Origin::Number,
    )
    .unwrap();
    challenge(port, io::ErrorKind::AddrInUse);
}

#[test]
fn an_address_of_another_machine_is_refused() {
    let _no_process_starts = crate::PROCESSES.read();
    // TEST-NET-1, RFC 5737: nobody has it.
    let host: Host = "192.0.2.1".parse().unwrap();
    let taken = Hold::acquire(host, lone::port(), TCP, Coverage::Host, Origin::Number);
    assert!(matches!(taken, Err(Error::NotLocal { .. })), "{taken:?}");
}
