//! Uses portkeeper alone, as a program of somebody else would: a server on a port that everybody can see is
//! taken. Never a test of what it does; that it builds and runs is the point.
#![forbid(unsafe_code)]

use std::error::Error;
use std::net::TcpStream;

use portkeeper::PortKeeper;

fn main() -> Result<(), Box<dyn Error>> {
    let place = std::env::temp_dir().join(format!("downstream-portkeeper-{}", std::process::id()));
    let keeper = PortKeeper::at(place.join("registry.json"))?;
    let mut reservation = keeper.request().hold().reserve()?;
    let server = reservation.listener()?;
    TcpStream::connect(server.local_addr()?)?;
    assert_eq!(keeper.status()?.entries.len(), 1);
    drop(server);
    reservation.release()?;
    assert!(keeper.status()?.entries.is_empty());
    Ok(())
}
