//! What a program has set on the socket whose place a held one takes. Never fails: the port matters
//! more than an option that this kernel does not know.

use socket2::Socket;
use tracing::debug;

use crate::sys;

/// Those that are a plain number, by level and name: socket(7), tcp(7), ip(7), ipv6(7).
const NUMBERS: [(i32, i32); 16] = [
    (libc::SOL_SOCKET, libc::SO_KEEPALIVE),
    (libc::SOL_SOCKET, libc::SO_PRIORITY),
    (libc::SOL_SOCKET, libc::SO_RCVLOWAT),
    (libc::SOL_SOCKET, libc::SO_BUSY_POLL),
    (libc::IPPROTO_TCP, libc::TCP_NODELAY),
    (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE),
    (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL),
    (libc::IPPROTO_TCP, libc::TCP_KEEPCNT),
    (libc::IPPROTO_TCP, libc::TCP_SYNCNT),
    (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT),
    (libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT),
    (libc::IPPROTO_TCP, libc::TCP_FASTOPEN),
    (libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT),
    (libc::IPPROTO_IP, libc::IP_TOS),
    (libc::IPPROTO_IP, libc::IP_TTL),
    (libc::IPPROTO_IPV6, libc::IPV6_TCLASS),
];

/// Gives `to` the options of `from`. One that is the same is not touched: a buffer whose size was
/// ever set no longer grows by itself.
pub(super) fn copy(from: &Socket, to: &Socket) {
    for (level, name) in NUMBERS {
        let value = sys::number(from, level, name);
        if let (Ok(value), Ok(before)) = (value, sys::number(to, level, name))
            && value != before
        {
            let set = sys::set_number(to, level, name, value);
            debug!(level, name, value, ?set, "option of a replaced socket");
        }
    }
    // What is logged is only evaluated where somebody listens, so it must not do anything.
    // The kernel doubles what it is told.
    if let (Ok(size), Ok(before)) = (from.recv_buffer_size(), to.recv_buffer_size())
        && size != before
    {
        let set = to.set_recv_buffer_size(size / 2);
        debug!(size, ?set, "receive buffer");
    }
    if let (Ok(size), Ok(before)) = (from.send_buffer_size(), to.send_buffer_size())
        && size != before
    {
        let set = to.set_send_buffer_size(size / 2);
        debug!(size, ?set, "send buffer");
    }
    if let (Ok(time), Ok(before)) = (from.linger(), to.linger())
        && time != before
    {
        let set = to.set_linger(time);
        debug!(?time, ?set, "linger");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use crate::Transport;
    use crate::probe::{self, Stack};

    #[test]
    fn what_a_program_has_set_is_set_on_what_takes_its_place() {
        let address = std::net::Ipv4Addr::LOCALHOST.into();
        let socket = || probe::open(Transport::Tcp, address, Stack::Single).unwrap();
        let (from, to) = (socket(), socket());
        let untouched = to.recv_buffer_size().unwrap();
        copy(&from, &to);
        assert_eq!(to.recv_buffer_size().unwrap(), untouched);
        from.set_keepalive(true).unwrap();
        from.set_tcp_nodelay(true).unwrap();
        from.set_ttl_v4(7).unwrap();
        from.set_recv_buffer_size(9000).unwrap();
        from.set_send_buffer_size(9500).unwrap();
        from.set_linger(Some(Duration::from_secs(3))).unwrap();
        copy(&from, &to);
        assert!(to.keepalive().unwrap() && to.tcp_nodelay().unwrap());
        assert_eq!(to.ttl_v4().unwrap(), 7);
        assert_eq!(to.linger().unwrap(), Some(Duration::from_secs(3)));
        let sizes = |socket: &Socket| {
            let sizes = [socket.recv_buffer_size(), socket.send_buffer_size()];
            sizes.map(Result::unwrap)
        };
        assert_eq!(sizes(&to), sizes(&from));
    }
}
