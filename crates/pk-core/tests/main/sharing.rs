//! Several processes of one tree at one port.

use std::net::TcpStream;

use pk_core::{Coverage, Protocol, Transport};

use crate::program::read_hello;
use crate::tree::Tree;
use crate::users::as_everyone;
use crate::{ADDRESSES, exists, found, hold};

#[test]
fn a_second_process_is_refused_while_the_first_serves_and_served_after_it() {
    as_everyone(
        "sharing::a_second_process_is_refused_while_the_first_serves_and_served_after_it",
        || {
            for address in ADDRESSES.into_iter().filter(|address| exists(address)) {
                let hold = hold("127.0.0.1", Protocol::Tcp, Coverage::Everywhere);
                let order = format!("start it tcp {address} {} ra", hold.port());
                let mut tree = Tree::below(vec![hold]);
                tree.breed();
                assert_eq!(tree.ask(&order), "done", "{address}");
                assert_eq!(tree.ask_second(&order), "AddrInUse", "{address}");
                assert_eq!(tree.ask("close it"), "done");
                assert_eq!(tree.ask_second(&order), "done", "{address}");
                assert_eq!(tree.ask(&order), "AddrInUse", "{address}");
                assert_eq!(tree.ask("leave"), "done");
                assert_eq!(tree.ask(&order), "done", "{address}");
            }
        },
    );
}

#[test]
fn workers_that_want_to_share_an_address_share_it() {
    as_everyone(
        "sharing::workers_that_want_to_share_an_address_share_it",
        || {
            for address in ADDRESSES.into_iter().filter(|address| exists(address)) {
                let hold = hold("127.0.0.1", Protocol::Tcp, Coverage::Everywhere);
                let port = hold.port();
                let order = |name| format!("start {name} tcp {address} {port} ra rp nonblocking");
                let mut tree = Tree::below(vec![hold]);
                tree.breed();
                assert_eq!(tree.ask(&order("one")), "done", "{address}");
                assert_eq!(tree.ask_second(&order("two")), "done", "{address}");
                assert_eq!(tree.ask(&order("three")), "done", "{address}");
                assert_eq!(found(Transport::Tcp, port, &[]).len(), 3, "{address}");
                // The kernel deals clients out by their own ports.
                let mut served = [0; 3];
                for _ in 0..120 {
                    let client = match address {
                        "::1" | "::/only" => "::1",
                        _ => "127.0.0.1",
                    };
                    let mut client = TcpStream::connect((client, port.number())).unwrap();
                    let by = [
                        tree.ask("serve one"),
                        tree.ask_second("serve two"),
                        tree.ask("serve three"),
                    ];
                    let by = by.iter().position(|said| said == "done").unwrap();
                    served[by] += 1;
                    assert_eq!(read_hello(&mut client), "hello");
                }
                assert!(
                    served.iter().all(|served| *served > 0),
                    "{address}: {served:?}"
                );
            }
        },
    );
}

#[test]
fn workers_share_datagrams_too() {
    as_everyone("sharing::workers_share_datagrams_too", || {
        for address in ADDRESSES.into_iter().filter(|address| exists(address)) {
            let hold = hold("127.0.0.1", Protocol::Udp, Coverage::Everywhere);
            let order = |manner| format!("bind it udp {address} {} {manner}", hold.port());
            let (sharing, alone) = (order("rp"), order("nonblocking"));
            let mut tree = Tree::below(vec![hold]);
            tree.breed();
            assert_eq!(tree.ask(&sharing), "done", "{address}");
            assert_eq!(tree.ask_second(&sharing), "done", "{address}");
            assert_eq!(tree.ask_second(&alone), "AddrInUse", "{address}");
        }
    });
}

#[test]
fn one_that_wants_to_share_does_not_join_one_that_does_not() {
    as_everyone(
        "sharing::one_that_wants_to_share_does_not_join_one_that_does_not",
        || {
            for address in ADDRESSES.into_iter().filter(|address| exists(address)) {
                let hold = hold("127.0.0.1", Protocol::Tcp, Coverage::Everywhere);
                let order = |manner| format!("start it tcp {address} {} {manner}", hold.port());
                let (alone, sharing) = (order("ra"), order("ra rp"));
                let mut tree = Tree::below(vec![hold]);
                tree.breed();
                assert_eq!(tree.ask(&alone), "done", "{address}");
                assert_eq!(tree.ask_second(&sharing), "AddrInUse", "{address}");
                assert_eq!(tree.ask("close it"), "done");
                assert_eq!(tree.ask_second(&sharing), "done", "{address}");
                assert_eq!(tree.ask(&alone), "AddrInUse", "{address}");
            }
        },
    );
}
