//! Uses pk-registry alone, as a program of somebody else would: it lists who has which port. Never a test
//! of what it does; that it builds and runs is the point.
#![forbid(unsafe_code)]

use std::error::Error;
use std::time::Duration;

use pk_registry::fs::lock::Wait;
use pk_registry::ports::{Host, Port, Protocol};
use pk_registry::{Here, Registry};

fn main() -> Result<(), Box<dyn Error>> {
    let place = std::env::temp_dir().join(format!("downstream-registry-{}", std::process::id()));
    let (registry, here) = (Registry::at(place.join("registry.json")), Here::now());
    assert!(registry.read(&here)?.entries.is_empty());
    let port = Port::new(8888).ok_or("0 is no port")?;
    let updated = registry.update(Wait::UpTo(Duration::from_secs(5)), &here, |transaction| {
        let obstacle = transaction.obstacle(Host::default(), port, Protocol::Tcp);
        Ok::<_, Box<dyn Error>>(obstacle.is_none())
    })?;
    assert!(updated.value);
    Ok(())
}
