//! Uses pk-core alone, as a program of somebody else would: a server on a port that was held until it
//! started. Never a test of what it does; that it builds and runs is the point.
#![forbid(unsafe_code)]

use std::error::Error;
use std::net::{TcpListener, TcpStream};

use pk_core::{Coverage, Hold, Host, Protocol, Walk, Wish};

fn main() -> Result<(), Box<dyn Error>> {
    let mut walk = Walk::new(Protocol::Tcp);
    let wish = Wish::default();
    let found = wish.candidates(0, || None).find_map(|candidate| {
        let host = Host::default();
        drop(walk.claim(candidate.port).ok()?);
        Hold::acquire(
            host,
            candidate.port,
            Protocol::Tcp,
            Coverage::Host,
            candidate.origin,
        )
        .ok()
    });
    let hold = found.ok_or("no port is free")?;
    let server = hold.into_listener()?;
    let address = server.local_addr()?;
    assert!(TcpListener::bind(address).is_err());
    TcpStream::connect(address)?;
    Ok(())
}
