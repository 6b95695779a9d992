//! A registry among several processes: first writers, dying guards, killed writers, and a neighbour
//! who does not ask for the lock. Never looks inside.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a failed step is a failed test, and plain files set the scene"
)]

mod death;
mod other;
mod races;
mod umask;

use std::time::{Duration, SystemTime};

use pk_core::{Host, Port, Protocol};
use pk_fs::lock::Wait;
use pk_registry::{Here, Kind, Lease, Listed, Registry, Reservation, Verdict};

/// Longer than anything here takes, short enough to end what went wrong.
const LONG: Wait = Wait::UpTo(Duration::from_secs(20));

/// A reservation that lasts.
fn reservation(number: u16, kind: Kind, here: &Here) -> Reservation {
    Reservation {
        id: format!("id{number}"),
        port: Port::new(number).unwrap(),
        host: Host::default(),
        protocol: Protocol::Tcp,
        owner: None,
        name: None,
        project: None,
        notes: Default::default(),
        uid: here.uid,
        fence: 0,
        created: SystemTime::now(),
        kind,
        network: here.machine.network,
        time: here.machine.time,
        lease: Lease::Never,
        process: None,
        until: None,
        control: None,
    }
}

/// The ports in a registry, sorted, and whether they are still good.
#[track_caller]
fn verdicts(registry: &Registry) -> Vec<(u16, Verdict)> {
    let snapshot = registry.read(&Here::now()).unwrap();
    assert_eq!(snapshot.warnings, []);
    let verdict = |listed: Listed| match listed {
        Listed::Sound {
            reservation,
            verdict,
        } => (reservation.port.number(), verdict),
        Listed::Damaged { .. } => panic!("{listed:?}"),
    };
    let mut all: Vec<_> = snapshot.entries.into_iter().map(verdict).collect();
    all.sort_by_key(|(port, _)| *port);
    all
}
