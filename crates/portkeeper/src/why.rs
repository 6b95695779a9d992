//! Why can't I have this port, and what helps? One answer from all that know something: the
//! registry, the kernel's sockets, the processes that have them open, the rules about numbers. Never
//! changes anything, never connects, and binds nothing that anybody would notice.

mod text;
mod verdict;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pk_core::process::About;
use pk_core::sockets::owners::{Among, Owners};
use pk_core::sockets::{self, Socket, State, States};
use pk_core::{
    Error as PortError, Host, Machine, Port, PortRange, Transport, machine, start, tree,
};
use pk_registry::{self as registry, Here, Kind, Listed, Reservation};
use tracing::debug;

use crate::error::Error;
use crate::keeper::PortKeeper;
use crate::users::Users;

pub use text::{place, program};
pub use verdict::{Authority, Remedy, Verdict};

/// Why a port is as it is.
#[derive(Debug)]
#[non_exhaustive]
pub struct Why {
    /// The port.
    pub port: Port,
    /// The answer in one word.
    pub verdict: Verdict,
    /// What the registry says about the port.
    pub reservations: Vec<Listed>,
    /// The sockets on the port, of all users.
    pub occupants: Vec<Occupant>,
    /// Where a TCP server could start now, and where not.
    pub rooms: Vec<(IpAddr, Room)>,
    /// What is special about the number.
    pub properties: Vec<Property>,
    /// What helps, best first.
    pub remedies: Vec<Remedy>,
    /// When and where it was asked.
    pub here: Here,
    /// The names of users.
    pub users: Users,
    /// What a person should know about the registry.
    pub warnings: Vec<registry::Warning>,
    /// Of which protocols the kernel does not list the sockets, and why.
    pub unlisted: Vec<(Transport, io::Error)>,
}

/// A socket on the port, and who has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Occupant {
    /// The socket.
    pub socket: Socket,
    /// The name of the user that opened it, where it has one.
    pub user: Option<String>,
    /// The processes that have it open, the oldest first. None: this user may not see them, or only
    /// the kernel has it.
    pub processes: Vec<About>,
    /// The id of the reservation that it belongs to.
    pub reservation: Option<String>,
}

/// In what way a socket has a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It listens.
    Listener,
    /// It is bound, and neither listens nor is connected: it keeps others out, or is about to
    /// listen.
    Bound,
    /// The port is the local end of its connection.
    Connection,
    /// It is what the kernel keeps of a connection that is closed.
    Leftover,
    /// It is one of UDP.
    Datagrams,
}

/// Whether a TCP server could start on an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// It could.
    Free,
    /// A socket is in the way.
    Taken,
    /// Only with a privilege that this user does not have.
    Denied,
    /// The machine has no such address.
    NoAddress,
}

/// What is special about a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Property {
    /// Binding it takes a privilege.
    Privileged,
    /// The kernel gives the numbers of this range to outgoing connections.
    Ephemeral(PortRange),
    /// It was taken out of those that the kernel gives to outgoing connections.
    KernelReserved,
    /// Browsers refuse to open it.
    BrowserBlocked,
}

impl PortKeeper {
    /// Why `port` is as it is, and what helps.
    ///
    /// Sockets of other network namespaces (containers) are not seen, and are in nobody's way here.
    ///
    /// # Errors
    /// [`Error::Registry`].
    pub fn why(&self, port: Port) -> Result<Why, Error> {
        self.explain(port, None)
    }

    /// The same, as far as it concerns a server for `only` this host.
    pub(crate) fn explain(&self, port: Port, only: Option<Host>) -> Result<Why, Error> {
        let here = Here::now();
        let snapshot = self.registry.read(&here)?;
        let is_meant = |entry: &Listed| match entry {
            Listed::Sound { reservation, .. } => reservation.port == port,
            Listed::Damaged { port: damaged, .. } => *damaged == Some(port),
        };
        let reservations: Vec<Listed> = snapshot.entries.into_iter().filter(is_meant).collect();
        let addresses = match only {
            Some(host) => addresses(host),
            None => usual_addresses(self.settings.host),
        };
        let (mut found, unlisted) = all_sockets(port);
        if only.is_some() {
            found.retain(|socket| {
                socket.transport == Transport::Tcp
                    && addresses.iter().any(|&address| socket.collides(address))
            });
        }
        let rooms: Vec<_> = addresses
            .into_iter()
            .map(|address| (address, room(address, port, &found)))
            .collect();
        let users = Users::read();
        let occupants = occupants(&found, &reservations, &here.machine, &users);
        let mut why = Why {
            port,
            verdict: Verdict::Free,
            reservations,
            occupants,
            rooms,
            properties: properties(port),
            remedies: Vec::new(),
            here,
            users,
            warnings: snapshot.warnings,
            unlisted,
        };
        why.verdict = verdict::judge(&why);
        why.remedies = verdict::remedies(&why);
        Ok(why)
    }
}

impl Why {
    /// The sockets that have the port in this way.
    pub fn of(&self, role: Role) -> impl Iterator<Item = &Occupant> {
        self.occupants
            .iter()
            .filter(move |occupant| occupant.role() == role)
    }

    /// The reservations that are alive and stand for a port of this network namespace.
    pub fn live(&self) -> impl Iterator<Item = &Reservation> {
        self.reservations.iter().filter_map(live)
    }

    /// What keeps others out without listening: sockets that are bound, and those by which a
    /// reservation holds the UDP port.
    pub(crate) fn holding(&self) -> impl Iterator<Item = &Occupant> {
        let held = |it: &&Occupant| it.reservation.is_some();
        self.of(Role::Bound)
            .chain(self.of(Role::Datagrams).filter(held))
    }

    /// Whether servers could start on all the addresses that were asked about.
    #[must_use]
    pub(crate) fn has_room(&self) -> bool {
        let is_free = |&(_, room): &(IpAddr, Room)| matches!(room, Room::Free | Room::NoAddress);
        self.rooms.iter().all(is_free)
    }
}

impl Occupant {
    /// In what way it has the port.
    #[must_use]
    pub fn role(&self) -> Role {
        let socket = &self.socket;
        match socket.state {
            _ if socket.transport == Transport::Udp => Role::Datagrams,
            State::Listening => Role::Listener,
            State::Bound => Role::Bound,
            _ if socket.is_leftover() => Role::Leftover,
            _ => Role::Connection,
        }
    }
}

impl Role {
    /// All of them, in the order of what they mean for a server.
    pub const ALL: [Role; 5] = [
        Role::Listener,
        Role::Bound,
        Role::Connection,
        Role::Leftover,
        Role::Datagrams,
    ];
}

/// What a server for this host binds, one or the other.
pub(crate) fn addresses(host: Host) -> Vec<IpAddr> {
    match host {
        Host::Localhost => host.addresses(),
        Host::Address(address) => vec![address],
    }
}

/// Where servers usually listen, and where those of this user do.
fn usual_addresses(host: Option<Host>) -> Vec<IpAddr> {
    let mut all = vec![
        Ipv4Addr::LOCALHOST.into(),
        Ipv4Addr::UNSPECIFIED.into(),
        Ipv6Addr::LOCALHOST.into(),
        Ipv6Addr::UNSPECIFIED.into(),
    ];
    all.extend(host.map(Host::address).filter(|own| !all.contains(own)));
    all
}

fn all_sockets(port: Port) -> (Vec<Socket>, Vec<(Transport, io::Error)>) {
    let (mut found, mut unlisted) = (Vec::new(), Vec::new());
    for (transport, states) in [
        (Transport::Tcp, States::ANY),
        (Transport::Udp, States::RECEIVING),
    ] {
        match sockets::of_port(transport, states, port) {
            Ok(sockets) => found.extend(sockets),
            Err(error) => unlisted.push((transport, error)),
        }
    }
    (found, unlisted)
}

fn room(address: IpAddr, port: Port, sockets: &[Socket]) -> Room {
    match start::check(address, port, sockets) {
        Ok(()) => Room::Free,
        Err(PortError::Denied { .. }) => Room::Denied,
        Err(PortError::NotLocal { .. }) => Room::NoAddress,
        Err(error) => {
            debug!(%address, %error, "no room");
            Room::Taken
        }
    }
}

fn occupants(
    sockets: &[Socket],
    reservations: &[Listed],
    machine: &Machine,
    users: &Users,
) -> Vec<Occupant> {
    let owners = Owners::find(sockets, Among::All);
    let mut known: HashMap<u32, Option<About>> = HashMap::new();
    let keepers: Vec<&Reservation> = reservations.iter().filter_map(live).collect();
    let occupant = |&socket: &Socket| {
        let pids = owners.of(&socket);
        let keeper = keepers
            .iter()
            .find(|keeper| keeps(keeper, &socket, pids, machine));
        let about = |&pid: &u32| {
            let about = known.entry(pid).or_insert_with(|| About::of(pid).ok());
            about.clone()
        };
        let mut processes: Vec<About> = pids.iter().filter_map(about).collect();
        processes.sort_by_key(|process| (process.started, process.pid));
        Occupant {
            socket,
            user: users.name(socket.uid).map(str::to_owned),
            processes,
            reservation: keeper.map(|keeper| keeper.id.clone()),
        }
    };
    sockets.iter().map(occupant).collect()
}

/// Whether a socket is one of those by which a reservation holds its port, or its program's. Where nobody can see
/// whose it is, those of the same user count as such.
fn keeps(reservation: &Reservation, socket: &Socket, pids: &[u32], machine: &Machine) -> bool {
    let holds = reservation.kind != Kind::Leased && socket.inode != 0;
    holds
        && match reservation.process {
            Some(process) if process.namespace == machine.processes && !pids.is_empty() => {
                // Of a program that runs on it, those of all its processes.
                let is_its = |&pid: &u32| pid == process.pid || tree::is_below(pid, process.pid);
                pids.iter().any(is_its)
            }
            _ => reservation.uid == socket.uid,
        }
}

fn live(entry: &Listed) -> Option<&Reservation> {
    match entry {
        Listed::Sound {
            reservation,
            verdict: registry::Verdict::Alive,
        } => Some(reservation),
        _ => None,
    }
}

fn properties(port: Port) -> Vec<Property> {
    let is_privileged = port.number() < machine::first_unprivileged();
    let is_kept_back = machine::reserved_ranges()
        .iter()
        .any(|range| range.contains(port));
    let ephemeral = machine::ephemeral_range().filter(|range| range.contains(port));
    let of_kernel = match ephemeral {
        _ if is_kept_back => Some(Property::KernelReserved),
        range => range.map(Property::Ephemeral),
    };
    [
        is_privileged.then_some(Property::Privileged),
        of_kernel,
        port.is_browser_blocked()
            .then_some(Property::BrowserBlocked),
    ]
    .into_iter()
    .flatten()
    .collect()
}
