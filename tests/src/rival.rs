//! The ways in which a stranger may try to get a port that somebody else has: on which address, and
//! with which options. Never keeps anything that its caller does not.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

use crate::has_ipv6;
use crate::process::undisturbed;

/// Which of the options that share an address are set before bind(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Options {
    /// Neither.
    Plain,
    /// `SO_REUSEADDR`, as nearly every server does.
    Reuse,
    /// `SO_REUSEADDR` and `SO_REUSEPORT`.
    Share,
}

/// An address and the options to bind it with.
#[derive(Debug, Clone, Copy)]
pub struct Bid {
    /// The address.
    pub address: IpAddr,
    /// The options.
    pub options: Options,
    stack: Stack,
    choice: Choice,
}

#[derive(Debug, Clone, Copy)]
enum Stack {
    Single,
    Dual,
}

/// Who chooses the port.
#[derive(Debug, Clone, Copy)]
enum Choice {
    Caller,
    Kernel,
}

impl Options {
    /// All of them.
    pub const ALL: [Options; 3] = [Options::Plain, Options::Reuse, Options::Share];

    /// By its name: `plain`, `reuse`, `share`.
    #[must_use]
    pub fn named(name: &str) -> Option<Options> {
        match name {
            "plain" => Some(Options::Plain),
            "reuse" => Some(Options::Reuse),
            "share" => Some(Options::Share),
            _ => None,
        }
    }
}

impl Bid {
    /// Each of the addresses by which a port of this machine can be had (two, where there is no
    /// IPv6), with each of the options.
    #[must_use]
    pub fn everywhere() -> Vec<Bid> {
        let four = [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED];
        let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
        let six = [
            (Ipv6Addr::LOCALHOST, Stack::Single),
            (Ipv6Addr::UNSPECIFIED, Stack::Dual),
            (Ipv6Addr::UNSPECIFIED, Stack::Single),
            (mapped, Stack::Dual),
        ];
        let six = six.map(|(address, stack)| (IpAddr::V6(address), stack));
        let six = six.into_iter().filter(|_| has_ipv6());
        four.map(|address| (IpAddr::V4(address), Stack::Single))
            .into_iter()
            .chain(six)
            .flat_map(|(address, stack)| {
                Options::ALL.map(|options| Bid {
                    address,
                    stack,
                    options,
                    choice: Choice::Caller,
                })
            })
            .collect()
    }

    /// 127.0.0.1.
    #[must_use]
    pub fn loopback(options: Options) -> Bid {
        Bid {
            address: Ipv4Addr::LOCALHOST.into(),
            stack: Stack::Single,
            options,
            choice: Choice::Caller,
        }
    }

    /// 127.0.0.1, and whichever port the kernel gives out.
    #[must_use]
    pub fn ephemeral() -> Bid {
        Bid {
            choice: Choice::Kernel,
            ..Bid::loopback(Options::Plain)
        }
    }

    /// Tries to bind `port`: the socket, if that is what it got.
    #[must_use]
    pub fn bind(&self, port: u16) -> Option<Socket> {
        let socket = self.socket().ok()?;
        let asked = match self.choice {
            Choice::Caller => port,
            Choice::Kernel => 0,
        };
        socket
            .bind(&SocketAddr::new(self.address, asked).into())
            .ok()?;
        let got = socket.local_addr().ok()?.as_socket()?.port();
        (got == port).then_some(socket)
    }

    fn socket(&self) -> io::Result<Socket> {
        let domain = Domain::for_address(SocketAddr::new(self.address, 0));
        let socket = Socket::new(domain, Type::STREAM, None)?;
        self.options.set(&socket)?;
        if self.address.is_ipv6() {
            socket.set_only_v6(matches!(self.stack, Stack::Single))?;
        }
        Ok(socket)
    }
}

impl Options {
    fn set(self, socket: &Socket) -> io::Result<()> {
        socket.set_reuse_address(self != Options::Plain)?;
        socket.set_reuse_port(self == Options::Share)
    }
}

/// A TCP socket of IPv4 that is not bound yet.
///
/// # Errors
/// The system's reason.
pub fn stream(options: Options) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    options.set(&socket)?;
    Ok(socket)
}

/// The bids, of [`Bid::everywhere`], by which this process could have `port` now.
#[must_use]
pub fn could_have(port: u16) -> Vec<Bid> {
    let bids = Bid::everywhere().into_iter();
    undisturbed(|| bids.filter(|bid| bid.bind(port).is_some()).collect())
}
