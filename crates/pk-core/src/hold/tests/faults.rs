//! Holds while each system call in turn fails: what can't be held is left free, and what was held
//! stays held.

use std::net::UdpSocket;

use rustix::io::Errno;

use super::*;
use crate::Walk;
use crate::sys::failing::{SOCKETS, each, without_privilege};

/// No such call, no such right, nothing left, no IPv6, no such address, taken by another.
const ERRNOS: [Errno; 6] = [
    Errno::IO,
    Errno::PERM,
    Errno::MFILE,
    Errno::AFNOSUPPORT,
    Errno::ADDRNOTAVAIL,
    Errno::ADDRINUSE,
];

const PROTOCOLS: [Protocol; 2] = [Protocol::Both, Protocol::Tcp];

/// Who may do everything, and who may not leave an interface again.
const PRIVILEGES: [bool; 2] = [true, false];

fn assert_held(hold: &Hold) {
    let address = SocketAddr::from(([127, 0, 0, 1], hold.port().number()));
    for transport in hold.protocol().transports() {
        let rival = match transport {
            Transport::Tcp => TcpListener::bind(address).map(drop),
            Transport::Udp => UdpSocket::bind(address).map(drop),
        };
        let refused = rival.map_err(|error| error.kind());
        assert_eq!(refused, Err(io::ErrorKind::AddrInUse), "{hold:?}");
    }
}

fn assert_free(port: Port) {
    Walk::new(Protocol::Both).claim(port).map(drop).unwrap();
}

fn some_hold(host: &str, protocol: Protocol, coverage: Coverage, port: Port) -> Hold {
    let host: Host = host.parse().unwrap();
    Hold::acquire(host, port, protocol, coverage, Origin::Range).unwrap()
}

#[test]
fn what_can_not_be_held_is_free_and_what_is_held_is_nobody_elses() {
    let _no_process_starts = crate::PROCESSES.read();
    let port = lone::port();
    for coverage in [Coverage::Host, Coverage::Everywhere] {
        for (host, origin) in [("localhost", Origin::Number), ("0.0.0.0", Origin::Range)] {
            for (errno, is_privileged) in product(ERRNOS, PRIVILEGES) {
                let host: Host = host.parse().unwrap();
                let acquire = |(): &mut ()| {
                    if !is_privileged {
                        without_privilege();
                    }
                    Hold::acquire(host, port, Protocol::Both, coverage, origin)
                };
                each(
                    SOCKETS,
                    errno.raw_os_error(),
                    || (),
                    acquire,
                    |(), held| {
                        if let Ok(hold) = held {
                            assert_held(&hold);
                        }
                        assert_free(port);
                    },
                );
            }
        }
    }
}

#[test]
fn a_socket_that_can_not_be_had_leaves_the_port_held() {
    let _no_process_starts = crate::PROCESSES.read();
    let port = lone::port();
    for (host, coverage) in [
        ("127.0.0.1", Coverage::Host),
        ("127.0.0.1", Coverage::Everywhere),
        ("0.0.0.0", Coverage::Everywhere),
        ("::", Coverage::Everywhere),
    ] {
        for (errno, is_privileged) in product(ERRNOS, PRIVILEGES) {
            let prepare = || some_hold(host, Protocol::Both, coverage, port);
            let own = |hold: &mut Hold| {
                if !is_privileged {
                    without_privilege();
                }
                (hold.listener(), hold.udp_socket())
            };
            each(
                SOCKETS,
                errno.raw_os_error(),
                prepare,
                own,
                |hold, (listener, socket)| {
                    let number = hold.port().number();
                    if let Ok(listener) = listener {
                        assert_eq!(listener.local_addr().unwrap().port(), number);
                    }
                    if let Ok(socket) = socket {
                        assert_eq!(socket.local_addr().unwrap().port(), number);
                    }
                    assert_held(&hold);
                },
            );
        }
    }
}

#[test]
fn a_hold_that_can_not_be_relaxed_says_so() {
    let _no_process_starts = crate::PROCESSES.read();
    let port = lone::port();
    let prepare = || some_hold("127.0.0.1", Protocol::Tcp, Coverage::Everywhere, port);
    let both = |hold: &mut Hold| (hold.relax(), hold.tighten());
    each(
        SOCKETS,
        libc::EIO,
        prepare,
        both,
        |hold, answers| match answers {
            (Ok(()), Err(Error::Io { .. })) | (Err(Error::Io { .. }), Ok(())) => {}
            (Ok(()), Ok(())) => assert_held(&hold),
            other => panic!("{other:?}"),
        },
    );
}

#[test]
fn what_is_passed_on_is_the_same_hold_or_none() {
    let _no_process_starts = crate::PROCESSES.read();
    for protocol in PROTOCOLS {
        let port = lone::port();
        let prepare = || {
            let hold = some_hold("127.0.0.1", protocol, Coverage::Everywhere, port);
            Some((hold.host(), port, hold.into_descriptors()))
        };
        let take_over = |passed: &mut Option<(Host, Port, Vec<OwnedFd>)>| {
            let (host, port, descriptors) = passed.take().unwrap();
            Hold::from_descriptors(host, port, descriptors)
        };
        each(SOCKETS, libc::EIO, prepare, take_over, |_, taken| {
            match taken {
                Ok(hold) => {
                    assert_eq!(hold.protocol(), protocol);
                    assert_held(&hold);
                }
                Err(error) => assert!(matches!(error, Error::Io { .. }), "{error:?}"),
            }
            assert_free(port);
        });
    }
}

#[test]
fn what_is_no_socket_of_the_port_is_not_taken_over() {
    let _no_process_starts = crate::PROCESSES.read();
    let port = lone::port();
    let hold = some_hold("127.0.0.1", Protocol::Udp, Coverage::Host, port);
    let host = hold.host();
    let other = Port::new(port.number() ^ 1).unwrap();
    let refused = |port, descriptors: Vec<OwnedFd>| {
        let refused = Hold::from_descriptors(host, port, descriptors).unwrap_err();
        assert!(matches!(refused, Error::Io { .. }), "{refused:?}");
    };
    refused(other, hold.into_descriptors());
    refused(port, Vec::new());
    refused(port, vec![std::fs::File::open("/dev/null").unwrap().into()]);
    let (pair, _) = std::os::unix::net::UnixStream::pair().unwrap();
    refused(port, vec![pair.into()]);
    let raw = Socket::new(socket2::Domain::UNIX, socket2::Type::SEQPACKET, None).unwrap();
    refused(port, vec![raw.into()]);
    let hold = some_hold("127.0.0.1", Protocol::Udp, Coverage::Host, port);
    let hold = Hold::from_descriptors(host, port, hold.into_descriptors()).unwrap();
    assert_eq!(hold.protocol(), Protocol::Udp);
}

fn product<A: Copy, B: Copy, const N: usize, const M: usize>(
    of: [A; N],
    with: [B; M],
) -> impl Iterator<Item = (A, B)> {
    of.into_iter()
        .flat_map(move |one| with.map(|other| (one, other)))
}
