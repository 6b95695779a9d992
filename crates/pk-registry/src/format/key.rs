//! The key of an entry, which says which port of which network it is about. Never decides who may
//! have it.

use std::fmt;

use pk_core::{Host, Port, Protocol};

use crate::reservation::Reservation;

/// What the key of an entry says: `tcp/127.0.0.1:8080@4026`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntryKey {
    pub(crate) protocol: Protocol,
    pub(crate) host: Host,
    pub(crate) port: Port,
    pub(crate) network: u64,
}

impl EntryKey {
    pub(crate) fn of(reservation: &Reservation) -> EntryKey {
        let Reservation {
            protocol,
            host,
            port,
            network,
            ..
        } = *reservation;
        EntryKey {
            protocol,
            host,
            port,
            network,
        }
    }

    pub(crate) fn parse(text: &str) -> Option<EntryKey> {
        let (protocol, rest) = text.split_once('/')?;
        let (rest, network) = rest.rsplit_once('@')?;
        let (host, port) = rest.rsplit_once(':')?;
        Some(EntryKey {
            protocol: protocol.parse().ok()?,
            host: host.parse().ok()?,
            port: port.parse().ok()?,
            network: network.parse().ok()?,
        })
    }
}

impl fmt::Display for EntryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}:{}@{}",
            self.protocol, self.host, self.port, self.network
        )
    }
}
