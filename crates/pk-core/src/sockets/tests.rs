//! The kernel's list of sockets, against sockets of ours in each state that matters.

use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;

use super::*;
use crate::probe;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn inode(socket: impl AsFd) -> u64 {
    rustix::fs::fstat(socket).unwrap().st_ino
}

/// What the kernel says of a socket of ours.
fn find(transport: Transport, states: States, port: u16, inode: u64) -> Option<Socket> {
    let found = of_port(transport, states, Port::new(port).unwrap()).unwrap();
    found.into_iter().find(|socket| socket.inode == inode)
}

#[test]
fn a_listener_is_found_and_gone_when_closed() {
    let _no_process_starts = crate::PROCESSES.read();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let inode = inode(&listener);
    let mine = || find(Transport::Tcp, States::LISTENING, port, inode);
    let found = mine().expect("it listens");
    let expect = Socket {
        transport: Transport::Tcp,
        state: State::Listening,
        address: LOOPBACK,
        stack: Stack::Single,
        port,
        remote: None,
        interface: 0,
        left: None,
        uid: rustix::process::geteuid().as_raw(),
        inode,
    };
    assert_eq!(found, expect);
    drop(listener);
    assert_eq!(mine(), None);
}

#[test]
fn a_bound_socket_is_found_where_the_kernel_tells() {
    let _no_process_starts = crate::PROCESSES.read();
    let everything = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    for stack in [Stack::Single, Stack::Dual] {
        let Ok(socket) = probe::open(Transport::Tcp, everything, stack) else {
            println!("skipped: no IPv6");
            return;
        };
        socket.bind(&SocketAddr::new(everything, 0).into()).unwrap();
        let port = socket.local_addr().unwrap().as_socket().unwrap().port();
        match find(Transport::Tcp, States::BOUND, port, inode(&socket)) {
            Some(found) => assert_eq!(
                (found.state, found.address, found.stack),
                (State::Bound, everything, stack)
            ),
            None => println!("skipped: this kernel (before 6.8) lists no bound sockets"),
        }
        assert_eq!(
            find(Transport::Tcp, States::LISTENING, port, inode(&socket)),
            None
        );
    }
}

#[test]
fn both_ends_of_a_connection_are_found_and_what_is_left_of_it() {
    let _no_process_starts = crate::PROCESSES.read();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = TcpStream::connect(address).unwrap();
    let here = client.local_addr().unwrap();
    let (server, _) = listener.accept().unwrap();

    let found = find(Transport::Tcp, States::ANY, here.port(), inode(&client)).unwrap();
    assert_eq!(
        (found.state, found.address, found.remote, found.left),
        (State::Established, LOOPBACK, Some(address), None)
    );
    // Whoever closes first is left with the rest of the connection.
    let ends = inode(&client);
    drop(client);
    drop(server);
    let port = Port::new(here.port()).unwrap();
    let found = of_port(Transport::Tcp, States::ANY, port).unwrap();
    let rest = found.iter().find(|socket| socket.remote == Some(address));
    let rest = rest.expect("the kernel keeps it for a minute");
    assert!(rest.is_leftover() && rest.inode != ends, "{rest:?}");
    assert_eq!(rest.state, State::TimeWait);
    let left = rest.left.expect("it is timed");
    assert!(
        left > Duration::from_secs(30) && left <= Duration::from_secs(61),
        "{left:?}"
    );
}

#[test]
fn datagram_sockets_are_found_connected_or_not() {
    let _no_process_starts = crate::PROCESSES.read();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let inode = inode(&socket);
    let mine = || find(Transport::Udp, States::RECEIVING, address.port(), inode);
    let found = mine().expect("it is bound");
    assert_eq!((found.state, found.remote), (State::Bound, None));
    socket.connect(address).unwrap();
    let found = mine().expect("it is bound");
    assert_eq!(
        (found.state, found.remote),
        (State::Established, Some(address))
    );
    drop(socket);
    assert_eq!(mine(), None);
}

#[test]
fn who_takes_what_and_who_collides_with_whom() {
    let socket = |address: &str, stack| Socket {
        transport: Transport::Tcp,
        state: State::Listening,
        address: address.parse().unwrap(),
        stack,
        port: 1,
        remote: None,
        interface: 0,
        left: None,
        uid: 0,
        inode: 1,
    };
    let check = |address, stack, other: &str, takes, collides| {
        let (socket, other) = (socket(address, stack), other.parse().unwrap());
        assert_eq!(socket.takes(other), takes, "{address} {stack:?} {other}");
        assert_eq!(
            socket.collides(other),
            collides,
            "{address} {stack:?} {other}"
        );
    };
    use Stack::{Dual, Single};
    check("127.0.0.1", Single, "127.0.0.1", true, true);
    check("127.0.0.1", Single, "127.0.0.2", false, false);
    check("127.0.0.1", Single, "0.0.0.0", false, true);
    check("127.0.0.1", Single, "::", false, true);
    check("127.0.0.1", Single, "::1", false, false);
    check("0.0.0.0", Single, "127.0.0.1", true, true);
    check("0.0.0.0", Single, "::1", false, false);
    check("::1", Single, "127.0.0.1", false, false);
    check("::1", Single, "0.0.0.0", false, false);
    check("::1", Single, "::", false, true);
    check("::", Single, "127.0.0.1", false, false);
    check("::", Single, "::1", true, true);
    check("::", Dual, "127.0.0.1", true, true);
    check("::", Dual, "0.0.0.0", true, true);
}

#[test]
fn a_listener_is_told_from_those_of_other_processes() {
    let _no_process_starts = crate::PROCESSES.read();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = Port::new(listener.local_addr().unwrap().port()).unwrap();
    let me = std::process::id();
    let expect = Listener {
        address: LOOPBACK,
        pid: me,
    };
    assert_eq!(listening(port, &[1, me]).unwrap(), Some(expect));
    assert_eq!(listening(port, &[]).unwrap(), None);
    assert_eq!(listening(port, &[u32::MAX]).unwrap(), None);
    drop(listener);
    assert_eq!(listening(port, &[me]).unwrap(), None);
}

#[test]
fn owners_are_found_once_each_and_what_has_none_is_unknown() {
    let _no_process_starts = crate::PROCESSES.read();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _copy = listener.try_clone().unwrap();
    let port = listener.local_addr().unwrap().port();
    let mine = find(Transport::Tcp, States::LISTENING, port, inode(&listener)).unwrap();
    let nobodys = Socket { inode: 0, ..mine };
    let owners = Owners::find(&[mine, nobodys], Among::All);
    let me = std::process::id();
    assert!(
        owners.of(&mine).iter().filter(|&&pid| pid == me).count() == 1,
        "{owners:?}"
    );
    assert_eq!(owners.of(&nobodys), [0_u32; 0]);
}
