//! The messages of sock_diag(7) over netlink(7): a request, and what comes back, byte for byte.
//! Never trusts a length.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, netlink, recv, send,
    socket_with,
};

use super::{Socket, State};
use crate::probe::Stack;
use crate::{Port, Transport};

/// A header, then `struct inet_diag_req_v2`.
const HEADER: usize = 16;
const REQUEST: usize = HEADER + 56;
/// `struct inet_diag_msg`.
const MESSAGE: usize = 72;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const REQUEST_DUMP: u16 = 0x301;
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// The attribute that says whether an IPv6 socket takes IPv4 as well.
const ONLY_V6: u16 = 11;
/// The timer that counts the time that the kernel keeps a closed connection.
const CLOSED: u8 = 3;

/// Every socket in one of `states` (a bit each), filtered by its port as far as the kernel does it.
pub(super) fn dump(
    transport: Transport,
    families: &[AddressFamily],
    states: u32,
    port: Option<Port>,
) -> io::Result<Vec<Socket>> {
    let kernel = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    let mut found = Vec::new();
    for &family in families {
        send(
            &kernel,
            &request(transport, family, states, port),
            SendFlags::empty(),
        )?;
        receive(&kernel, transport, &mut found)?;
    }
    Ok(found)
}

fn request(
    transport: Transport,
    family: AddressFamily,
    states: u32,
    port: Option<Port>,
) -> [u8; REQUEST] {
    let protocol = match transport {
        Transport::Tcp => ipproto::TCP,
        Transport::Udp => ipproto::UDP,
    };
    let mut request = [0_u8; REQUEST];
    request[0..4].copy_from_slice(&(REQUEST as u32).to_ne_bytes());
    request[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request[6..8].copy_from_slice(&REQUEST_DUMP.to_ne_bytes());
    request[16] = family.as_raw() as u8;
    request[17] = protocol.as_raw().get() as u8;
    request[20..24].copy_from_slice(&states.to_ne_bytes());
    let number = port.map_or(0, Port::number);
    request[24..26].copy_from_slice(&number.to_be_bytes());
    request
}

fn receive(kernel: &OwnedFd, transport: Transport, found: &mut Vec<Socket>) -> io::Result<()> {
    let mut buffer = vec![0_u8; 32 * 1024];
    loop {
        let (length, _) = recv(kernel, &mut buffer, RecvFlags::empty())?;
        let mut rest = &buffer[..length];
        while let Some((kind, body, next)) = message(rest) {
            match kind {
                DONE => return Ok(()),
                ERROR => return Err(refusal(body)),
                SOCK_DIAG_BY_FAMILY => found.extend(socket(transport, body)),
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

/// `struct inet_diag_msg`: family, state, timer, retransmits, the two ports, the two addresses, the
/// interface, a cookie, the timer's rest, two queues, the user and the inode; then attributes.
fn socket(transport: Transport, body: &[u8]) -> Option<Socket> {
    let (message, attributes) = body.split_first_chunk::<MESSAGE>()?;
    let word = |at: usize| u32::from_ne_bytes(*message[at..].first_chunk().unwrap_or(&[0; 4]));
    let port = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
    let (local, remote) = (
        address(message[0], &message[8..24])?,
        address(message[0], &message[24..40])?,
    );
    let is_dual = local == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        && attribute(attributes, ONLY_V6).is_none_or(|value| value.first() == Some(&0));
    let is_timed = message[2] == CLOSED;
    Some(Socket {
        transport,
        state: state(message[1])?,
        address: local.to_canonical(),
        stack: if is_dual { Stack::Dual } else { Stack::Single },
        port: port(4),
        remote: (port(6) != 0).then(|| SocketAddr::new(remote.to_canonical(), port(6))),
        interface: word(40),
        left: is_timed.then(|| Duration::from_millis(word(52).into())),
        uid: word(64),
        inode: u64::from(word(68)),
    })
}

fn address(family: u8, bytes: &[u8]) -> Option<IpAddr> {
    let is = |known: AddressFamily| u16::from(family) == known.as_raw();
    if is(AddressFamily::INET) {
        let bytes: [u8; 4] = *bytes.first_chunk()?;
        Some(Ipv4Addr::from(bytes).into())
    } else {
        let bytes: [u8; 16] = *bytes.first_chunk()?;
        Some(Ipv6Addr::from(bytes).into())
    }
}

/// The value of the attribute of this kind.
fn attribute(mut rest: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(*rest.first_chunk()?));
        let kind = u16::from_ne_bytes(*rest.get(2..)?.first_chunk()?);
        let value = rest.get(4..length)?;
        if kind == wanted {
            return Some(value);
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
}

/// `include/net/tcp_states.h`. 7 is "closed", as which the kernel reports what is only bound.
fn state(number: u8) -> Option<State> {
    Some(match number {
        1 => State::Established,
        2 => State::SynSent,
        3 | 12 => State::SynReceived,
        4 => State::FinWait1,
        5 => State::FinWait2,
        6 => State::TimeWait,
        7 | 13 => State::Bound,
        8 => State::CloseWait,
        9 => State::LastAck,
        10 => State::Listening,
        11 => State::Closing,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_the_kernel_would_never_say_is_no_message() {
        assert!(message(&[]).is_none());
        assert!(message(&[0xff; 20]).is_none());
        assert!(message(&[4, 0, 0, 0, 0, 0, 0, 0, 0, 0]).is_none());
        assert!(socket(Transport::Tcp, &[0; MESSAGE - 1]).is_none());
        assert_eq!(attribute(&[0; 16], 1), None, "an empty one has no next");
        assert_eq!(attribute(&[200, 0, 11, 0, 1], ONLY_V6), None);
    }

    proptest! {
        #[test]
        fn whatever_the_kernel_says_is_no_reason_to_panic(bytes: Vec<u8>, code: [u8; 4]) {
            let _ = message(&bytes);
            let _ = socket(Transport::Udp, &bytes);
            let _ = socket(Transport::Tcp, &[&[0; MESSAGE][..], &bytes].concat());
            let _ = attribute(&bytes, ONLY_V6);
            prop_assert_ne!(refusal(&code).raw_os_error(), Some(0));
        }
    }

    /// What is understood of an answer in these datagrams.
    fn answer(datagrams: &[&[u8]]) -> io::Result<usize> {
        let (here, there) = std::os::unix::net::UnixDatagram::pair().unwrap();
        for datagram in datagrams {
            there.send(datagram).unwrap();
        }
        let mut found = Vec::new();
        receive(&here.into(), Transport::Tcp, &mut found).map(|()| found.len())
    }

    fn framed(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = (u32::try_from(HEADER + body.len()).unwrap())
            .to_ne_bytes()
            .to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.resize(HEADER, 0);
        bytes.extend(body);
        bytes
    }

    #[test]
    fn an_answer_goes_on_until_it_is_done_and_a_refusal_is_an_error() {
        let mut body = [0; MESSAGE];
        (body[0], body[1]) = (2, 10);
        let one = framed(SOCK_DIAG_BY_FAMILY, &body);
        let done = framed(DONE, &[0; 4]);
        // Of kinds that nobody knows nothing is understood.
        let other = framed(99, &body);
        let together = [&one[..], &other, &one, &done].concat();
        assert_eq!(answer(&[&together]).unwrap(), 2);
        assert_eq!(answer(&[&one, &other, &one, &done]).unwrap(), 2);
        let refused = framed(ERROR, &(-libc::EPERM).to_ne_bytes());
        let refused = answer(&[&one, &refused]).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
        let unnamed = answer(&[&framed(ERROR, &[])]).unwrap_err();
        assert_eq!(unnamed.kind(), io::ErrorKind::Unsupported);
    }

    #[test]
    fn each_state_has_a_number_and_a_name_of_its_own() {
        let mut names: Vec<_> = (1..=11).map(|it| state(it).unwrap().to_string()).collect();
        assert_eq!(names[1], "syn-sent");
        assert_eq!(names[9], "listen");
        assert_eq!(state(12), state(3));
        assert_eq!(state(13), state(7));
        assert_eq!((state(0), state(14)), (None, None));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 11);
    }

    #[test]
    fn attributes_are_found_behind_others() {
        let bytes = [5, 0, 8, 0, 3, 0, 0, 0, 5, 0, 11, 0, 1, 0, 0, 0];
        assert_eq!(attribute(&bytes, ONLY_V6), Some(&[1][..]));
        assert_eq!(attribute(&bytes, 8), Some(&[3][..]));
        assert_eq!(attribute(&bytes, 9), None);
    }
}
