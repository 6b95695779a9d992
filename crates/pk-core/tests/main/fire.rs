//! Under fire: another process wants the port, at whatever address, as fast as it can.

use std::net::TcpStream;

use pk_core::{Coverage, Hold, Host, Origin, Port, Protocol, Transport};

use crate::competitor::{Competitor, MANNERS, now};
use crate::tree::Tree;
use crate::users::{as_everyone, is_root};
use crate::{ADDRESSES, exists, found, free_ports, hold};

/// How often each is tried; `PK_ROUNDS` says otherwise.
fn rounds() -> u32 {
    std::env::var("PK_ROUNDS").map_or(25, |rounds| rounds.parse().unwrap())
}

/// A hold that was had in spite of a competitor.
fn acquire(port: Port) -> Option<Hold> {
    let (host, origin) = (Host::default(), Origin::Range);
    Hold::acquire(host, port, Protocol::Tcp, Coverage::Everywhere, origin).ok()
}

#[test]
fn nobody_gets_in_between_a_server_and_its_port() {
    as_everyone("fire::nobody_gets_in_between_a_server_and_its_port", || {
        let mut ports = free_ports();
        for manner in MANNERS {
            for address in ADDRESSES.into_iter().filter(|address| exists(address)) {
                let hold = ports.by_ref().find_map(acquire).unwrap();
                let port = hold.port();
                let since = now();
                let mut competitor = Competitor::at(Transport::Tcp, port, manner);
                let mut tree = Tree::below(vec![hold]);
                let client = match address {
                    "::1" | "::/only" => ("::1", port.number()),
                    _ => ("127.0.0.1", port.number()),
                };
                for round in 0..rounds() {
                    let started = tree.ask(&format!("start it tcp {address} {port} ra"));
                    assert_eq!(started, "done", "{address} against {manner}");
                    drop(TcpStream::connect(client).unwrap());
                    assert_eq!(tree.ask("close it"), "done");
                    tree.adopter().look();
                    if round % 8 == 7 {
                        tree = Tree::below(tree.end());
                    }
                }
                let achieved = competitor.achieved_since(since);
                println!("{address} against {manner}: {achieved:?}");
                assert_eq!(
                    (achieved.bound, achieved.won),
                    (0, 0),
                    "{address} against {manner}"
                );
            }
        }
    });
}

#[test]
fn a_server_changes_its_address_and_nobody_gets_in_between() {
    as_everyone(
        "fire::a_server_changes_its_address_and_nobody_gets_in_between",
        || {
            let mut ports = free_ports();
            for manner in MANNERS {
                if manner == "ra+rp" && !is_root() {
                    println!("skipped: for a moment, one of the same user may share the port");
                    continue;
                }
                let hold = ports.by_ref().find_map(acquire).unwrap();
                let port = hold.port();
                let since = now();
                let mut competitor = Competitor::at(Transport::Tcp, port, manner);
                let mut tree = Tree::below(vec![hold]);
                let addresses = ADDRESSES.into_iter().filter(|address| exists(address));
                for address in addresses.cycle().take(rounds() as usize * 6) {
                    let started = tree.ask(&format!("start it tcp {address} {port} ra"));
                    assert_eq!(started, "done", "{address} against {manner}");
                    assert_eq!(tree.ask("close it"), "done");
                    tree.adopter().look();
                }
                let achieved = competitor.achieved_since(since);
                println!("against {manner}: {achieved:?}");
                assert_eq!((achieved.bound, achieved.won), (0, 0), "against {manner}");
            }
        },
    );
}

#[test]
fn nobody_gets_in_between_a_udp_server_and_its_port() {
    as_everyone(
        "fire::nobody_gets_in_between_a_udp_server_and_its_port",
        || {
            for manner in MANNERS {
                if manner == "ra+rp" && !is_root() {
                    println!("skipped: for a moment, one of the same user may share the port");
                    continue;
                }
                for address in ADDRESSES.into_iter().filter(|address| exists(address)) {
                    let hold = hold("127.0.0.1", Protocol::Udp, Coverage::Everywhere);
                    let port = hold.port();
                    let since = now();
                    let mut competitor = Competitor::at(Transport::Udp, port, manner);
                    let mut tree = Tree::below(vec![hold]);
                    for _ in 0..rounds() {
                        let bound = tree.ask(&format!("bind it udp {address} {port}"));
                        assert_eq!(bound, "done", "{address} against {manner}");
                        assert_eq!(tree.ask("close it"), "done");
                    }
                    let achieved = competitor.achieved_since(since);
                    println!("{address} against {manner}: {achieved:?}");
                    assert_eq!(achieved.won, 0, "{address} against {manner}");
                }
            }
        },
    );
}

#[test]
fn a_port_that_was_had_is_had_alone() {
    as_everyone("fire::a_port_that_was_had_is_had_alone", || {
        for manner in MANNERS {
            let port = free_ports().find(|port| acquire(*port).is_some()).unwrap();
            let mut competitor = Competitor::at(Transport::Tcp, port, manner);
            let (mut had, mut tried) = (0, 0);
            while had < rounds() && tried < 2_000 * rounds() {
                tried += 1;
                let Some(hold) = acquire(port) else { continue };
                let since = now();
                had += 1;
                assert!(
                    found(Transport::Tcp, port, &[]).is_empty(),
                    "somebody listens"
                );
                let achieved = competitor.achieved_since(since);
                assert_eq!((achieved.bound, achieved.won), (0, 0), "against {manner}");
                drop(hold);
            }
            println!("against {manner}: {had} of {tried}");
            assert!(had > 0, "never had against {manner}");
        }
    });
}
