//! Who listens where, from the kernel itself (sock_diag(7)): a dump costs 60 µs where reading
//! `/proc/net/tcp` costs 10 ms. Never decides whether a port is free: bind does.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::BitOr;

use rustix::fd::OwnedFd;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, netlink, recv, send,
    socket_with,
};

use crate::{Port, Transport};

/// A socket that is bound to a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoundSocket {
    /// The address that it is bound to.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// The user that opened it.
    pub uid: u32,
    /// Its number, which `/proc/PID/fd` shows as `socket:[N]`.
    pub inode: u64,
}

/// In which states sockets are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct States(u32);

impl States {
    /// TCP: those that listen.
    pub const LISTENING: States = States(1 << 10);
    /// TCP: those that are bound and do not listen. Since Linux 6.8; before, none are found.
    pub const BOUND: States = States(1 << 13);
    /// UDP: all of them, connected or not; whoever has a port can receive on it.
    pub const RECEIVING: States = States(1 << 1 | 1 << 7);
}

impl BitOr for States {
    type Output = States;

    fn bitor(self, other: States) -> States {
        States(self.0 | other.0)
    }
}

/// The sockets of all users in this network namespace, those of `port` alone if one is given.
///
/// # Errors
/// The system's reason; `Unsupported` or `NotFound` where there is no sock_diag, or none for UDP.
pub fn list(
    transport: Transport,
    families: &[AddressFamily],
    states: States,
    port: Option<Port>,
) -> io::Result<Vec<BoundSocket>> {
    let kernel = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    let mut found = Vec::new();
    for &family in families {
        dump(&kernel, transport, family, states, port, &mut found)?;
    }
    // The kernel does not filter sockets that are only bound by their port.
    found.retain(|socket| port.is_none_or(|port| socket.port == port.number()));
    Ok(found)
}

/// netlink(7): header, then `struct inet_diag_req_v2`.
const HEADER: usize = 16;
const REQUEST: usize = HEADER + 56;
const MESSAGE: usize = 72;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const REQUEST_DUMP: u16 = 0x301;
const ERROR: u16 = 2;
const DONE: u16 = 3;

fn dump(
    kernel: &OwnedFd,
    transport: Transport,
    family: AddressFamily,
    states: States,
    port: Option<Port>,
    found: &mut Vec<BoundSocket>,
) -> io::Result<()> {
    let mut request = [0_u8; REQUEST];
    request[0..4].copy_from_slice(&(REQUEST as u32).to_ne_bytes());
    request[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request[6..8].copy_from_slice(&REQUEST_DUMP.to_ne_bytes());
    request[16] = family.as_raw() as u8;
    let protocol = match transport {
        Transport::Tcp => ipproto::TCP,
        Transport::Udp => ipproto::UDP,
    };
    request[17] = protocol.as_raw().get() as u8;
    request[20..24].copy_from_slice(&states.0.to_ne_bytes());
    let number = port.map_or(0, Port::number);
    request[24..26].copy_from_slice(&number.to_be_bytes());
    send(kernel, &request, SendFlags::empty())?;
    let mut buffer = vec![0_u8; 32 * 1024];
    loop {
        let (length, _) = recv(kernel, &mut buffer, RecvFlags::empty())?;
        let mut rest = &buffer[..length];
        while let Some((kind, body, next)) = message(rest) {
            match kind {
                DONE => return Ok(()),
                ERROR => return Err(refusal(body)),
                SOCK_DIAG_BY_FAMILY => found.extend(bound_socket(body)),
                _ => {}
            }
            rest = next;
        }
    }
}

/// The first message of a buffer: its kind, its body, and what follows it.
fn message(buffer: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(buffer.get(0..4)?.try_into().ok()?) as usize;
    let kind = u16::from_ne_bytes(buffer.get(4..6)?.try_into().ok()?);
    let body = buffer.get(HEADER..length)?;
    let next = buffer.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((kind, body, next))
}

fn refusal(body: &[u8]) -> io::Error {
    let code = body
        .first_chunk()
        .map_or(0, |code| i32::from_ne_bytes(*code));
    match code.checked_neg() {
        Some(errno) if errno > 0 => io::Error::from_raw_os_error(errno),
        _ => io::ErrorKind::Unsupported.into(),
    }
}

/// `struct inet_diag_msg`: family, state, timer, retransmits, then the addresses, then counters,
/// the user and the inode.
fn bound_socket(body: &[u8]) -> Option<BoundSocket> {
    let body: &[u8; MESSAGE] = body.first_chunk()?;
    let word = |at: usize| u32::from_ne_bytes([body[at], body[at + 1], body[at + 2], body[at + 3]]);
    let address: [u8; 16] = body[8..24].try_into().ok()?;
    let address = match body[0] {
        family if u16::from(family) == AddressFamily::INET.as_raw() => IpAddr::V4(Ipv4Addr::new(
            address[0], address[1], address[2], address[3],
        )),
        _ => IpAddr::V6(Ipv6Addr::from(address)),
    };
    Some(BoundSocket {
        address,
        port: u16::from_be_bytes([body[4], body[5]]),
        uid: word(64),
        inode: u64::from(word(68)),
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::Protocol;
    use std::net::{TcpListener, UdpSocket};

    #[test]
    fn a_listener_is_found_and_gone_when_closed() {
        let _no_process_starts = crate::PROCESSES.read();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = Port::new(listener.local_addr().unwrap().port()).unwrap();
        let inode = rustix::fs::fstat(&listener).unwrap().st_ino;
        let mine = || {
            let families = [AddressFamily::INET];
            let found = list(Transport::Tcp, &families, States::LISTENING, Some(port)).unwrap();
            found.into_iter().find(|socket| socket.inode == inode)
        };
        let found = mine().expect("it listens");
        assert_eq!(
            (found.address.to_string().as_str(), found.port),
            ("127.0.0.1", port.number())
        );
        assert_eq!(found.uid, rustix::process::geteuid().as_raw());
        drop(listener);
        assert_eq!(mine(), None);
    }

    #[test]
    fn a_bound_socket_is_found_where_the_kernel_tells() {
        let _no_process_starts = crate::PROCESSES.read();
        let mut walk = crate::Walk::new(Protocol::Tcp);
        let (port, _claim) = crate::PortRange::DEFAULT
            .ports_from(std::process::id().wrapping_mul(7))
            .find_map(|port| Some((port, walk.claim(port).ok()?)))
            .unwrap();
        let families = [AddressFamily::INET, AddressFamily::INET6];
        let found = list(Transport::Tcp, &families, States::BOUND, Some(port)).unwrap();
        // Linux before 6.8 lists none.
        assert!(found.iter().all(|socket| socket.port == port.number()));
        println!("{} bound socket(s) listed", found.len());
    }

    #[test]
    fn datagram_sockets_are_found_connected_or_not() {
        let _no_process_starts = crate::PROCESSES.read();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let port = Port::new(address.port()).unwrap();
        let inode = rustix::fs::fstat(&socket).unwrap().st_ino;
        let families = [AddressFamily::INET, AddressFamily::INET6];
        let is_found = || {
            let found = list(Transport::Udp, &families, States::RECEIVING, Some(port)).unwrap();
            found.iter().any(|socket| socket.inode == inode)
        };
        assert!(is_found());
        socket.connect(address).unwrap();
        assert!(is_found());
        drop(socket);
        assert!(!is_found());
    }

    #[test]
    fn what_the_kernel_would_never_say_is_no_message() {
        let _no_process_starts = crate::PROCESSES.read();
        assert!(message(&[]).is_none());
        assert!(message(&[0xff; 20]).is_none());
        assert!(message(&[4, 0, 0, 0, 0, 0, 0, 0, 0, 0]).is_none());
        assert!(bound_socket(&[0; MESSAGE - 1]).is_none());
    }
}
