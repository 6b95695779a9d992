//! What else programs do.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use pk_core::handoff::adopt::Event;
use pk_core::{Coverage, Hold, Protocol, Transport};
use socket2::SockRef;

use crate::process;
use crate::program::read_hello;
use crate::tree::Tree;
use crate::users::{as_everyone, in_a_sandbox, is_root};
use crate::{ADDRESSES, alone, exists, found, hold, name};

fn everywhere() -> Hold {
    hold("127.0.0.1", Protocol::Tcp, Coverage::Everywhere)
}

#[test]
fn what_is_no_affair_of_ours_goes_on_untouched() {
    as_everyone(
        "strange::what_is_no_affair_of_ours_goes_on_untouched",
        || {
            let hold = everywhere();
            let (port, other) = (hold.port(), everywhere());
            let elsewhere = other.port();
            drop(other);
            let mut tree = Tree::below(vec![hold]);
            for order in [
                "unix".to_owned(),
                "start chosen tcp 127.0.0.1 0 ra".to_owned(),
                format!("start elsewhere tcp 0.0.0.0 {elsewhere} ra"),
                // The numbers of the protocols are independent.
                format!("bind datagrams udp 127.0.0.1 {port}"),
            ] {
                assert_eq!(tree.ask(&order), "done", "{order}");
            }
            assert!(tree.events.is_empty(), "{:?}", tree.events);
            assert_eq!(found(Transport::Tcp, elsewhere, &[]).len(), 1);
        },
    );
}

#[test]
fn a_socket_that_could_not_be_bound_is_as_it_was() {
    as_everyone(
        "strange::a_socket_that_could_not_be_bound_is_as_it_was",
        || {
            let (one, two) = (everywhere(), everywhere());
            let (taken, free) = (one.port(), two.port());
            drop(two);
            let mut tree = Tree::below(vec![one]);
            let start = format!("start first tcp 0.0.0.0 {taken} ra");
            assert_eq!(tree.ask(&start), "done");
            // A server that looks for the next free port with one socket.
            assert_eq!(tree.ask("bind it tcp 0.0.0.0 0 ra"), "done");
            assert_eq!(tree.ask("close it"), "done");
            let tried = tree.ask(&format!("next it tcp 0.0.0.0 {taken} {free} ra"));
            assert_eq!(tried, "AddrInUse done");
            assert_eq!(tree.ask("listen it"), "done");
            let mut client = TcpStream::connect(("127.0.0.1", free.number())).unwrap();
            assert_eq!(tree.ask("serve it"), "done");
            assert_eq!(read_hello(&mut client), "hello");
        },
    );
}

#[test]
fn a_socket_keeps_its_options() {
    as_everyone("strange::a_socket_keeps_its_options", || {
        for address in ADDRESSES.into_iter().filter(|address| exists(address)) {
            for options in [
                "",
                "nonblocking",
                "inherited nodelay",
                "nonblocking keepalive",
            ] {
                let hold = everywhere();
                let port = hold.port();
                let mut tree = Tree::below(vec![hold]);
                let order = format!("start it tcp {address} {port} ra {options}");
                assert_eq!(tree.ask(order.trim_end()), "done");
                assert_eq!(tree.ask("describe it"), options, "{address}");
            }
        }
    });
}

#[test]
fn one_among_many_threads_is_served() {
    as_everyone("strange::one_among_many_threads_is_served", || {
        for address in ["127.0.0.1", "0.0.0.0"] {
            let hold = everywhere();
            let port = hold.port();
            let mut tree = Tree::below(vec![hold]);
            assert_eq!(tree.ask(&format!("threads 8 {address} {port}")), "done");
            let told = tree.events.iter();
            let listening = told.filter(|event| matches!(event, Event::Listening { .. }));
            assert_eq!(listening.count(), 1, "{:?}", tree.events);
        }
    });
}

#[test]
fn a_process_that_can_not_be_looked_into_is_told_and_left_alone() {
    as_everyone(
        "strange::a_process_that_can_not_be_looked_into_is_told_and_left_alone",
        || {
            let hold = everywhere();
            let port = hold.port();
            let mut tree = Tree::below(vec![hold]);
            assert_eq!(tree.ask("hide"), "done");
            let bound = tree.ask(&format!("start it tcp 127.0.0.1 {port} ra"));
            if is_root() {
                assert_eq!(bound, "done", "root may look into every process");
                return;
            }
            assert_eq!(bound, "AddrInUse");
            assert!(
                matches!(tree.events[..], [Event::Unreadable { .. }]),
                "{:?}",
                tree.events
            );
            // Ports that are no affair of ours go on.
            assert_eq!(tree.ask("start other tcp 127.0.0.1 0 ra"), "done");
        },
    );
}

#[test]
fn a_server_that_hides_later_keeps_its_socket() {
    as_everyone(
        "strange::a_server_that_hides_later_keeps_its_socket",
        || {
            for address in ADDRESSES.into_iter().filter(|address| exists(address)) {
                let hold = everywhere();
                let port = hold.port();
                let mut tree = Tree::below(vec![hold]);
                assert_eq!(
                    tree.ask(&format!("start it tcp {address} {port} ra")),
                    "done"
                );
                assert_eq!(tree.ask("hide"), "done");
                tree.adopter().look();
                assert_eq!(found(Transport::Tcp, port, &[]).len(), 1, "{address}");
            }
        },
    );
}

#[test]
fn a_hold_of_everything_becomes_a_listener_of_exactly_its_host() {
    as_everyone(
        "strange::a_hold_of_everything_becomes_a_listener_of_exactly_its_host",
        || {
            for host in ["127.0.0.1", "::1", "0.0.0.0", "::"]
                .into_iter()
                .filter(|it| exists(it))
            {
                let mut hold = hold(host, Protocol::Both, Coverage::Everywhere);
                let own = SocketAddr::new(host.parse().unwrap(), hold.port().number());
                for _ in 0..2 {
                    let listener = hold.listener().unwrap();
                    assert_eq!(listener.local_addr().unwrap(), own);
                    let client = TcpStream::connect(own).unwrap();
                    let (_, from) = listener.accept().unwrap();
                    assert_eq!(from, client.local_addr().unwrap());
                }
                let socket = hold.into_udp_socket().unwrap();
                assert_eq!(socket.local_addr().unwrap(), own);
                assert!(
                    SockRef::from(&socket)
                        .reuse_address()
                        .is_ok_and(|shares| !shares)
                );
            }
        },
    );
}

#[test]
fn where_descriptors_can_not_be_copied_they_are_replaced() {
    in_a_sandbox(
        "strange::where_descriptors_can_not_be_copied_they_are_replaced",
        || {
            for address in ADDRESSES.into_iter().filter(|address| exists(address)) {
                let hold = everywhere();
                let port = hold.port();
                let mut tree = Tree::below(vec![hold]);
                let four = match address {
                    // Then it is known that the other one is for IPv6 alone.
                    "::/only" => "done",
                    _ => "not tried",
                };
                if four == "done" {
                    let order = format!("start four tcp 0.0.0.0 {port} ra");
                    assert_eq!(tree.ask(&order), four);
                }
                let order = format!("start it tcp {address} {port} ra nonblocking");
                assert_eq!(tree.ask(&order), "done", "{address}");
                assert!(
                    found(Transport::Tcp, port, &[])
                        .iter()
                        .any(|it| it == name(address))
                );
                assert_eq!(tree.ask("describe it"), "nonblocking");
                assert_eq!(tree.ask("close it"), "done");
                assert_eq!(tree.ask(&order), "done", "{address} again");
                assert_eq!(tree.ask("start other tcp 127.0.0.1 0 ra"), "done");
                // TCP is held, and takes the place of nothing else.
                let datagrams = tree.ask(&format!("bind datagrams udp {address} {port}"));
                assert_eq!(datagrams, "done");
            }
        },
    );
}

#[test]
fn unusual_calls_are_answered_too() {
    let program = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("old");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/main/old.c");
    let _alone = alone();
    let compiled = Command::new("cc")
        .arg("-o")
        .arg(&program)
        .arg(source)
        .status();
    if !compiled.is_ok_and(|status| status.success()) {
        println!("skipped: there is no C compiler here");
        return;
    }
    for way in ["vfork", "narrow", "multiplexed"] {
        let hold = everywhere();
        let port = hold.port();
        let mut command = Command::new(&program);
        command.args([way, &port.to_string()]);
        let mut tree = Tree::of(command, &[], vec![hold]);
        let said = tree.serve_until_said();
        if said == "-38 -38" {
            println!("skipped: this kernel makes no such calls ({way})");
            continue;
        }
        assert_eq!(said, "0 0", "{way}");
        let told = &tree.events[..];
        assert!(
            matches!(told, [Event::Bound { .. }, Event::Listening { .. }]),
            "{told:?}"
        );
    }
}

#[test]
fn a_server_stays_on_the_interface_that_it_has_chosen() {
    as_everyone(
        "strange::a_server_stays_on_the_interface_that_it_has_chosen",
        || {
            for address in ADDRESSES.into_iter().filter(|address| exists(address)) {
                let hold = everywhere();
                let port = hold.port();
                let mut tree = Tree::below(vec![hold]);
                let order = format!("start it tcp {address} {port} ra lo");
                assert_eq!(tree.ask(&order), "done", "{address}");
                assert_eq!(tree.ask("interface it"), "lo", "{address}");
            }
        },
    );
}

#[test]
fn a_call_that_comes_again_is_answered_as_before() {
    as_everyone(
        "strange::a_call_that_comes_again_is_answered_as_before",
        || {
            for address in ["127.0.0.1", "0.0.0.0"] {
                let hold = everywhere();
                let port = hold.port();
                let mut tree = Tree::below(vec![hold]);
                assert_eq!(
                    tree.ask(&format!("start it tcp {address} {port} ra")),
                    "done"
                );
                assert_eq!(tree.ask(&format!("again it {address} {port}")), "done");
            }
        },
    );
}

#[test]
fn a_port_of_another_network_is_another_port() {
    let _alone = alone();
    let hold = everywhere();
    let port = hold.port();
    let mut command = Command::new("unshare");
    let is_allowed = Command::new("unshare").args(["-n", "true"]).status();
    if !is_allowed.is_ok_and(|status| status.success()) {
        println!("skipped: no network of our own is to be had");
        return;
    }
    command.arg("-n").arg(std::env::current_exe().unwrap());
    command.args(process::ARGUMENTS);
    let path = std::env::var("PATH").unwrap();
    let variables = [(process::ROLE, "program"), ("PATH", &path)];
    let mut tree = Tree::of(command, &variables, vec![hold]);
    assert_eq!(tree.ask(&format!("start it tcp 0.0.0.0 {port} ra")), "done");
    assert!(tree.events.is_empty(), "{:?}", tree.events);
    assert!(found(Transport::Tcp, port, &[]).is_empty());
}
