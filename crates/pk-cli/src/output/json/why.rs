//! The answers of `why` and `wait`.

use portkeeper::fs::utc;
use portkeeper::sockets::Socket;
use portkeeper::why::{Occupant, Property, Remedy, Role, Room};
use portkeeper::{Host, Port, Ready, Why};
use serde::Serialize;

use super::{Entry, line};
use crate::output::remedy;

#[derive(Serialize)]
struct WhyAnswer<'a> {
    port: u16,
    verdict: &'static str,
    reason: String,
    reservations: Vec<Entry<'a>>,
    listeners: Vec<Occupied<'a>>,
    bound: Vec<Occupied<'a>>,
    connections: Vec<Occupied<'a>>,
    lingering: Vec<Left>,
    udp: Vec<Occupied<'a>>,
    addresses: Vec<Address>,
    properties: Vec<&'static str>,
    ephemeral_range: Option<String>,
    advice: Vec<Advice>,
}

/// A socket and who has it.
#[derive(Serialize)]
struct Occupied<'a> {
    address: String,
    /// Whether it takes IPv4 as well, though its address is `::`.
    dual_stack: bool,
    remote: Option<String>,
    state: &'static str,
    uid: u32,
    user: Option<&'a str>,
    /// The oldest of the processes that have it open.
    pid: Option<u32>,
    command: Option<&'a str>,
    since: Option<String>,
    no_new_privileges: Option<bool>,
    pids: Vec<u32>,
    reservation: Option<&'a str>,
}

#[derive(Serialize)]
struct Left {
    address: String,
    remote: Option<String>,
    state: &'static str,
    seconds_left: Option<u64>,
}

#[derive(Serialize)]
struct Address {
    host: String,
    state: &'static str,
}

#[derive(Serialize)]
struct Advice {
    text: &'static str,
    command: Option<String>,
}

#[derive(Serialize)]
struct WaitAnswer {
    port: u16,
    state: &'static str,
    pid: Option<u32>,
    address: String,
}

pub(crate) fn why(why: &Why) -> String {
    let all = |role| why.of(role).map(Occupied::new).collect();
    line(&WhyAnswer {
        port: why.port.number(),
        verdict: why.verdict.name(),
        reason: why.reason(),
        reservations: why
            .reservations
            .iter()
            .map(|entry| Entry::new(entry, &why.here, &why.users))
            .collect(),
        listeners: all(Role::Listener),
        bound: all(Role::Bound),
        connections: all(Role::Connection),
        lingering: why
            .of(Role::Leftover)
            .map(|it| Left::new(&it.socket))
            .collect(),
        udp: all(Role::Datagrams),
        addresses: why
            .rooms
            .iter()
            .map(|(host, room)| Address {
                host: host.to_string(),
                state: state(*room),
            })
            .collect(),
        properties: why.properties.iter().filter_map(property).collect(),
        ephemeral_range: why.properties.iter().find_map(|property| match property {
            Property::Ephemeral(range) => Some(range.to_string()),
            _ => None,
        }),
        advice: why
            .remedies
            .iter()
            .map(|remedy| Advice::new(remedy, why.port))
            .collect(),
    })
}

pub(crate) fn ready(port: Port, ready: Ready) -> String {
    line(&WaitAnswer {
        port: port.number(),
        state: "ready",
        pid: ready.pid,
        address: ready.address.to_string(),
    })
}

/// Nobody has a free port, so there is no process.
pub(crate) fn free(port: Port, host: Host) -> String {
    line(&WaitAnswer {
        port: port.number(),
        state: "free",
        pid: None,
        address: host.address().to_string(),
    })
}

impl<'a> Occupied<'a> {
    fn new(occupant: &'a Occupant) -> Occupied<'a> {
        let Occupant {
            socket, processes, ..
        } = occupant;
        let first = processes.first();
        Occupied {
            address: socket.address.to_string(),
            dual_stack: socket.is_dual_stack(),
            remote: socket.remote.map(|remote| remote.to_string()),
            state: socket.state.name(),
            uid: socket.uid,
            user: occupant.user.as_deref(),
            pid: first.map(|process| process.pid),
            command: first.map(|process| process.command.as_str()),
            since: first.map(|process| utc::rfc3339(process.started)),
            no_new_privileges: first.map(|process| process.no_new_privileges),
            pids: processes.iter().map(|process| process.pid).collect(),
            reservation: occupant.reservation.as_deref(),
        }
    }
}

impl Left {
    fn new(socket: &Socket) -> Left {
        Left {
            address: socket.address.to_string(),
            remote: socket.remote.map(|remote| remote.to_string()),
            state: socket.state.name(),
            seconds_left: socket
                .left
                .map(|left| left.as_millis().div_ceil(1000) as u64),
        }
    }
}

impl Advice {
    fn new(remedy: &Remedy, port: Port) -> Advice {
        let (text, command) = remedy::words(remedy, port);
        Advice { text, command }
    }
}

fn state(room: Room) -> &'static str {
    match room {
        Room::Free => "free",
        Room::Taken => "taken",
        Room::Denied => "denied",
        Room::NoAddress => "no-address",
    }
}

fn property(property: &Property) -> Option<&'static str> {
    match property {
        Property::Privileged => Some("privileged"),
        Property::Ephemeral(_) => Some("ephemeral"),
        Property::KernelReserved => Some("kernel-reserved"),
        Property::BrowserBlocked => Some("browser-blocked"),
        _ => None,
    }
}
