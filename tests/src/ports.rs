//! Ports for a test alone. Never a fixed number, and never one that another test, or another copy
//! of all tests on the same machine, uses at the same time.
//!
//! Free numbers are cut into slots, and each slot has a claim: one more port, elsewhere. Whoever
//! binds the claim has the slot; the kernel settles it, and takes it back when the test ends.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::ops::{Range, RangeInclusive};

use socket2::{Domain, Socket, Type};

use crate::process::undisturbed;

/// The ports of a slot.
const SLOT: u16 = 16;
/// Below the program's default range, outside of ephemeral ranges, nothing that browsers block.
const USUAL: Space = Space {
    claims: 10_400,
    numbers: 11_000..20_000,
};
/// The same with four digits, for texts whose columns must not move.
const SHORT: Space = Space {
    claims: 8_100,
    numbers: 7_000..8_000,
};

struct Space {
    /// The claim of the first slot; that of the k-th is k further.
    claims: u16,
    numbers: Range<u16>,
}

/// Consecutive free ports, ours while this value lives.
#[derive(Debug)]
pub struct Ports {
    first: u16,
    last: u16,
    _claims: Vec<Socket>,
}

impl Ports {
    /// Claims `count` consecutive ports.
    ///
    /// # Panics
    /// The machine has no such block left.
    #[must_use]
    pub fn claim(count: u16) -> Ports {
        USUAL.claim(count)
    }

    /// Claims `count` consecutive ports whose numbers have four digits.
    ///
    /// # Panics
    /// The machine has no such block left.
    #[must_use]
    pub fn claim_short(count: u16) -> Ports {
        SHORT.claim(count)
    }

    /// The port at `index`, from 0.
    ///
    /// # Panics
    /// So many were not claimed.
    #[must_use]
    pub fn at(&self, index: u16) -> u16 {
        let port = self.first + index;
        assert!(port <= self.last, "{index} in {self:?}");
        port
    }

    /// All of them, in order.
    #[must_use]
    pub fn all(&self) -> RangeInclusive<u16> {
        self.first..=self.last
    }

    /// All of them, as one word: `11000-11002`.
    #[must_use]
    pub fn span(&self) -> String {
        format!("{}-{}", self.first, self.last)
    }

    /// The option that makes the program choose among them.
    #[must_use]
    pub fn range(&self) -> String {
        format!("--range {} {}", self.first, self.last)
    }
}

impl Space {
    fn claim(&self, count: u16) -> Ports {
        let slots = (self.numbers.end - self.numbers.start) / SLOT;
        let starts = slots - count.div_ceil(SLOT) + 1;
        let random = RandomState::new().build_hasher().finish() % u64::from(starts);
        let random = u16::try_from(random).expect("less than `starts`");
        (random..starts)
            .chain(0..random)
            .find_map(|slot| undisturbed(|| self.try_claim(slot, count)))
            .expect("a free block of ports")
    }

    /// Claims `count` ports from the start of `slot` on.
    fn try_claim(&self, slot: u16, count: u16) -> Option<Ports> {
        let slots = slot..slot + count.div_ceil(SLOT);
        let claims = slots.map(|slot| bind_everywhere(self.claims + slot));
        let first = self.numbers.start + slot * SLOT;
        let ports = Ports {
            first,
            last: first + count - 1,
            _claims: claims.collect::<io::Result<_>>().ok()?,
        };
        ports
            .all()
            .all(|port| bind_everywhere(port).is_ok())
            .then_some(ports)
    }
}

/// Binds every address of this machine, without the option that lets a server in beside.
fn bind_everywhere(port: u16) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, None);
    if let Ok(socket) = socket.and_then(|socket| socket.set_only_v6(false).map(|()| socket)) {
        socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into())?;
        return Ok(socket);
    }
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
    Ok(socket)
}

/// Whether this machine has an IPv6 loopback address.
#[must_use]
pub fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

/// Whether a server could start on `port`: each of the usual addresses in turn, as servers bind
/// them.
#[must_use]
pub fn is_free(port: u16) -> bool {
    undisturbed(|| usual_addresses().all(|address| TcpListener::bind((address, port)).is_ok()))
}

/// Whether a UDP server could start on `port`: each of the usual addresses in turn.
#[must_use]
pub fn is_free_for_datagrams(port: u16) -> bool {
    undisturbed(|| usual_addresses().all(|address| UdpSocket::bind((address, port)).is_ok()))
}

fn usual_addresses() -> impl Iterator<Item = IpAddr> {
    let v4 = [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED].map(IpAddr::from);
    let v6 = [Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED].map(IpAddr::from);
    let v6 = v6.into_iter().filter(|_| has_ipv6());
    v4.into_iter().chain(v6)
}
