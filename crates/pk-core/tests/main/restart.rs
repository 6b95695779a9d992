//! Servers that end and come again, at the same address or at another.

use std::net::{SocketAddr, TcpStream};

use pk_core::{Coverage, Port, Protocol, Transport};

use crate::program::read_hello;
use crate::tree::Tree;
use crate::users::as_everyone;
use crate::{ADDRESSES, exists, found, hold, ip, name};

/// A client's address of a server at one of [`ADDRESSES`].
fn client_of(address: &str, port: Port) -> SocketAddr {
    let ip = match address {
        "::1" | "::/only" => "::1",
        _ => "127.0.0.1",
    };
    SocketAddr::new(ip.parse().unwrap(), port.number())
}

/// Serves one client, and ends the connection at the server's side, so that it lingers.
fn serve(tree: &mut Tree, address: &str, port: Port) {
    assert_eq!(
        tree.ask(&format!("start it tcp {address} {port} ra")),
        "done",
        "{address}"
    );
    assert_eq!(found(Transport::Tcp, port, &[]), [name(address)]);
    let mut client = TcpStream::connect(client_of(address, port)).unwrap();
    assert_eq!(tree.ask("serve it"), "done");
    assert_eq!(read_hello(&mut client), "hello");
}

#[test]
fn a_program_binds_again_at_any_address() {
    as_everyone("restart::a_program_binds_again_at_any_address", || {
        let addresses = ADDRESSES.into_iter().filter(|address| exists(address));
        for first in addresses.clone() {
            for second in addresses.clone() {
                let hold = hold("127.0.0.1", Protocol::Tcp, Coverage::Everywhere);
                let port = hold.port();
                let mut tree = Tree::below(vec![hold]);
                for address in [first, second, first] {
                    serve(&mut tree, address, port);
                    assert_eq!(tree.ask("close it"), "done");
                    tree.adopter().look();
                    assert!(found(Transport::Tcp, port, &[]).is_empty());
                    assert_eq!(tree.adopter().look_after(), None, "nothing is given away");
                    let refused = TcpStream::connect(client_of(address, port)).unwrap_err();
                    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
                }
            }
        }
    });
}

#[test]
fn a_new_program_binds_what_a_dead_one_had() {
    as_everyone("restart::a_new_program_binds_what_a_dead_one_had", || {
        let hold = hold("localhost", Protocol::Tcp, Coverage::Everywhere);
        let port = hold.port();
        let mut holds = vec![hold];
        for address in ADDRESSES.into_iter().filter(|address| exists(address)) {
            let mut tree = Tree::below(holds);
            serve(&mut tree, address, port);
            holds = tree.end();
            assert!(found(Transport::Tcp, port, &[]).is_empty(), "{address}");
            for challenge in ADDRESSES.into_iter().filter(|address| exists(address)) {
                let own = SocketAddr::new(ip(challenge), port.number());
                let taken = std::net::TcpListener::bind(own);
                assert!(taken.is_err(), "{challenge} while nobody serves {address}");
            }
        }
    });
}

#[test]
fn what_a_dead_server_left_hinders_no_server_of_a_port_asked_for_by_number() {
    as_everyone(
        "restart::what_a_dead_server_left_hinders_no_server_of_a_port_asked_for_by_number",
        || {
            for address in ADDRESSES.into_iter().filter(|address| exists(address)) {
                let searched = hold("127.0.0.1", Protocol::Tcp, Coverage::Everywhere);
                let port = searched.port();
                drop(searched);
                let listener = std::net::TcpListener::bind(client_of(address, port)).unwrap();
                let client = TcpStream::connect(client_of(address, port)).unwrap();
                drop(listener.accept().unwrap());
                read_hello(&mut &client);
                drop((client, listener));
                let hold = pk_core::Hold::acquire(
                    pk_core::Host::default(),
                    port,
                    Protocol::Tcp,
                    Coverage::Everywhere,
                    pk_core::Origin::Number,
                );
                let mut tree = Tree::below(vec![hold.unwrap()]);
                serve(&mut tree, address, port);
            }
        },
    );
}
