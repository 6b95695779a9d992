//! Every address that a server can ask for: it gets just this one, and it serves.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use pk_core::handoff::adopt::Event;
use pk_core::{Coverage, Hold, Port, Protocol, Transport};

use crate::program::read_hello;
use crate::tree::Tree;
use crate::users::{as_everyone, is_root};
use crate::{ADDRESSES, exists, found, hold, ip, name};

/// Where clients try to reach a server of each of [`ADDRESSES`], and whether they do.
const CLIENTS: [&str; 3] = ["127.0.0.1", "127.0.0.2", "::1"];

fn reaches(address: &str, client: &str) -> bool {
    match address {
        "127.0.0.1" | "::ffff:127.0.0.1" => client == "127.0.0.1",
        "::1" | "::/only" => client == "::1",
        "0.0.0.0" => client != "::1",
        "::" => true,
        other => panic!("no such address: {other}"),
    }
}

/// Checks who reaches a listener of the program, and from where.
fn check_clients(tree: &mut Tree, name: &str, address: &str, port: Port) {
    for client in CLIENTS.into_iter().filter(|client| exists(client)) {
        let connected = TcpStream::connect(SocketAddr::new(ip(client), port.number()));
        assert_eq!(
            connected.is_ok(),
            reaches(address, client),
            "{client} to {address}"
        );
        if let Ok(mut connected) = connected {
            assert_eq!(tree.ask(&format!("serve {name}")), "done");
            assert_eq!(read_hello(&mut connected), "hello");
        }
    }
}

fn all_inodes(hold: &Hold) -> Vec<u64> {
    let inode = |socket| rustix::fs::fstat(socket).unwrap().st_ino;
    hold.descriptors().into_iter().map(inode).collect()
}

#[test]
fn a_server_gets_exactly_the_address_that_it_asks_for() {
    as_everyone(
        "addresses::a_server_gets_exactly_the_address_that_it_asks_for",
        || {
            for address in ADDRESSES.into_iter().filter(|address| exists(address)) {
                for transport in ["tcp", "mptcp"] {
                    check_address(address, transport);
                }
            }
        },
    );
}

fn check_address(address: &str, transport: &str) {
    let hold = hold("127.0.0.1", Protocol::Tcp, Coverage::Everywhere);
    let port = hold.port();
    let mut tree = Tree::below(vec![hold]);
    let order = format!("bind it {transport} {address} {port} ra");
    if transport == "mptcp" && tree.ask(&order) == "Uncategorized" {
        println!("skipped: no multipath TCP here");
        return;
    } else if transport == "tcp" {
        assert_eq!(tree.ask(&order), "done", "{address}");
    }
    // Nobody is served before it listens.
    let early = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port.number())));
    assert_eq!(
        early.unwrap_err().kind(),
        std::io::ErrorKind::ConnectionRefused
    );
    assert_eq!(tree.ask("listen it"), "done", "{address}");
    assert_eq!(
        found(Transport::Tcp, port, &[]),
        [name(address)],
        "{address}"
    );
    check_clients(&mut tree, "it", address, port);
    let [
        Event::Bound { .. },
        Event::Listening {
            port: told,
            address: at,
            ..
        },
    ] = tree.events[..]
    else {
        panic!("{:?}", tree.events);
    };
    assert_eq!((told, at), (port, ip(address)));
    let holds = tree.end();
    let others = found(Transport::Tcp, port, &all_inodes(&holds[0]));
    assert!(others.is_empty(), "{others:?} is left of {address}");
}

#[test]
fn two_addresses_that_do_not_overlap_are_served_beside_each_other() {
    as_everyone(
        "addresses::two_addresses_that_do_not_overlap_are_served_beside_each_other",
        || {
            for [one, two] in [
                ["127.0.0.1", "::1"],
                ["0.0.0.0", "::/only"],
                ["::/only", "0.0.0.0"],
            ] {
                if !exists(one) || !exists(two) {
                    println!("skipped: no {one} or no {two} here");
                    continue;
                }
                let hold = hold("localhost", Protocol::Tcp, Coverage::Everywhere);
                let port = hold.port();
                let mut tree = Tree::below(vec![hold]);
                assert_eq!(
                    tree.ask(&format!("start one tcp {one} {port} ra")),
                    "done",
                    "{one}"
                );
                assert_eq!(
                    tree.ask(&format!("start two tcp {two} {port} ra")),
                    "done",
                    "{two}"
                );
                for (name, address) in [("one", one), ("two", two)] {
                    for client in CLIENTS.iter().filter(|client| reaches(address, client)) {
                        let to = SocketAddr::new(ip(client), port.number());
                        let mut client = TcpStream::connect(to).unwrap();
                        assert_eq!(tree.ask(&format!("serve {name}")), "done");
                        assert_eq!(read_hello(&mut client), "hello");
                    }
                }
                let same = tree.ask(&format!("start three tcp {one} {port} ra"));
                assert_eq!(same, "AddrInUse", "{one} is taken");
            }
        },
    );
}

#[test]
fn a_hold_of_the_hosts_addresses_serves_these() {
    as_everyone(
        "addresses::a_hold_of_the_hosts_addresses_serves_these",
        || {
            for address in ["127.0.0.1", "::1"]
                .into_iter()
                .filter(|address| exists(address))
            {
                let hold = hold("localhost", Protocol::Tcp, Coverage::Host);
                let port = hold.port();
                let mut tree = Tree::below(vec![hold]);
                assert_eq!(
                    tree.ask(&format!("start it tcp {address} {port} ra")),
                    "done"
                );
                check_clients(&mut tree, "it", address, port);
                assert_eq!(tree.ask("close it"), "done");
                // Privileged, even a wildcard fits behind them.
                let wildcard = tree.ask(&format!("start it tcp 0.0.0.0 {port} ra"));
                assert_eq!(wildcard == "done", is_root(), "{wildcard}");
                assert_eq!(
                    matches!(tree.events.last(), Some(Event::Refused { .. })),
                    !is_root()
                );
            }
        },
    );
}

#[test]
fn a_hold_of_a_wildcard_is_served_to_whoever_asks_for_something_else() {
    as_everyone(
        "addresses::a_hold_of_a_wildcard_is_served_to_whoever_asks_for_something_else",
        || {
            for host in ["0.0.0.0", "::"] {
                for address in ADDRESSES.into_iter().filter(|address| exists(address)) {
                    let hold = hold(host, Protocol::Tcp, Coverage::Host);
                    let port = hold.port();
                    let mut tree = Tree::below(vec![hold]);
                    let order = format!("start it tcp {address} {port} ra");
                    assert_eq!(tree.ask(&order), "done", "{address} of {host}");
                    check_clients(&mut tree, "it", address, port);
                }
            }
        },
    );
}

#[test]
fn a_udp_server_gets_exactly_the_address_that_it_asks_for() {
    as_everyone(
        "addresses::a_udp_server_gets_exactly_the_address_that_it_asks_for",
        || {
            for address in ADDRESSES.into_iter().filter(|address| exists(address)) {
                for round in 0..2 {
                    let hold = hold("127.0.0.1", Protocol::Both, Coverage::Everywhere);
                    let port = hold.port();
                    let mut tree = Tree::below(vec![hold]);
                    let order = format!("bind it udp {address} {port}");
                    assert_eq!(tree.ask(&order), "done", "{address}");
                    assert!(matches!(
                        tree.events[..],
                        [Event::Bound {
                            transport: Transport::Udp,
                            ..
                        }]
                    ));
                    check_datagrams(&mut tree, address, port);
                    // Started anew by the same process or by another.
                    let mut tree = match round {
                        0 => {
                            assert_eq!(tree.ask("close it"), "done");
                            tree
                        }
                        _ => Tree::below(tree.end()),
                    };
                    assert_eq!(tree.ask(&order), "done", "{address}");
                    check_datagrams(&mut tree, address, port);
                    let tcp = format!("start tcp tcp {address} {port} ra");
                    assert_eq!(tree.ask(&tcp), "done", "{address}");
                }
            }
        },
    );
}

fn check_datagrams(tree: &mut Tree, address: &str, port: Port) {
    for client in CLIENTS.into_iter().filter(|client| exists(client)) {
        let own = match ip(client).is_ipv4() {
            true => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            false => SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
        };
        let socket = UdpSocket::bind(own).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        socket
            .connect(SocketAddr::new(ip(client), port.number()))
            .unwrap();
        socket.send(b"12345").unwrap();
        let mut buffer = [0; 8];
        if reaches(address, client) {
            assert_eq!(tree.ask("echo it"), "done");
            // A wildcard answers from the first address that leads to the client.
            if client != "127.0.0.2" {
                assert_eq!(
                    socket.recv(&mut buffer).unwrap(),
                    5,
                    "{client} to {address}"
                );
            }
        } else {
            let refused = socket.recv(&mut buffer).unwrap_err();
            let expect = std::io::ErrorKind::ConnectionRefused;
            assert_eq!(refused.kind(), expect, "{client} to {address}");
        }
    }
}
