//! Held ports and real processes that want them: a program that is given its address, as root and as
//! nobody in particular, and another one that tries to get in between. Never looks inside.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failed step is a failed test, and what is skipped or measured is told"
)]

mod addresses;
mod competitor;
mod fire;
mod process;
mod program;
mod restart;
mod sharing;
mod strange;
mod tree;
mod users;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pk_core::probe::Stack;
use pk_core::sockets::{self, States};
use pk_core::{Coverage, Hold, Host, Origin, Port, PortRange, Protocol, Transport, Walk};
use rustix::net::AddressFamily;

/// The addresses that servers ask for, as [`program`] reads them.
const ADDRESSES: [&str; 6] = [
    "127.0.0.1",
    "::1",
    "0.0.0.0",
    "::",
    "::/only",
    "::ffff:127.0.0.1",
];

/// One test at a time: a process that one of them starts has copies of the sockets of all until it
/// has become its program, and the competitor wants a processor of its own.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A hold of a port that nobody uses.
fn hold(host: &str, protocol: Protocol, coverage: Coverage) -> Hold {
    let host: Host = host.parse().unwrap();
    let mut walk = Walk::new(protocol);
    let mut held = free_ports().filter_map(|port| {
        drop(walk.claim(port).ok()?);
        Hold::acquire(host, port, protocol, coverage, Origin::Range).ok()
    });
    held.next().expect("one of ten thousand ports can be held")
}

/// All ports, from another one on in each process and at each call.
fn free_ports() -> impl Iterator<Item = Port> {
    static CALLS: Mutex<u32> = Mutex::new(0);
    let mut calls = CALLS.lock().unwrap_or_else(PoisonError::into_inner);
    *calls += 1;
    PortRange::DEFAULT.ports_from(std::process::id().wrapping_mul(131) + *calls * 977)
}

/// Who listens on a port, or for UDP is bound to it, but for the sockets of these numbers: at which
/// of [`ADDRESSES`].
fn found(transport: Transport, port: Port, but: &[u64]) -> Vec<String> {
    let states = match transport {
        Transport::Tcp => States::LISTENING,
        Transport::Udp => States::RECEIVING,
    };
    let families = [AddressFamily::INET, AddressFamily::INET6];
    let mut found = sockets::list(transport, &families, states, Some(port)).unwrap();
    found.retain(|socket| !but.contains(&socket.inode));
    let name = |socket: &sockets::Socket| match (socket.address, socket.stack) {
        (IpAddr::V6(Ipv6Addr::UNSPECIFIED), Stack::Single) => String::from("::/only"),
        (address, _) => address.to_string(),
    };
    found.iter().map(name).collect()
}

/// What the kernel says of a socket at one of [`ADDRESSES`].
fn name(address: &str) -> &str {
    address.trim_start_matches("::ffff:")
}

/// The address alone.
fn ip(address: &str) -> IpAddr {
    address.trim_end_matches("/only").parse().unwrap()
}

/// Whether this machine has an address.
fn exists(address: &str) -> bool {
    let bound = std::net::TcpListener::bind(SocketAddr::new(ip(address), 0));
    bound.is_ok() || ip(address) == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
}
