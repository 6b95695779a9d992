//! The answer of `why` for people: a sentence, what it rests on, and what helps.

use std::time::SystemTime;

use portkeeper::why::{Occupant, Property, Role, Room, place, program};
use portkeeper::{Here, Kind, Lease, Listed, Record, Verdict, Why};

use super::{line, short};
use crate::output::remedy;

/// The most connections that are told one by one.
const MOST: usize = 3;

pub(crate) fn why(why: &Why) -> String {
    let mut facts: Vec<(&str, String)> = Vec::new();
    facts.extend(
        why.reservations
            .iter()
            .map(|entry| ("reserved", reservation(entry, why))),
    );
    for role in Role::ALL {
        facts.extend(occupants(why, role).into_iter().map(|it| (label(role), it)));
    }
    if is_confined(why) {
        facts.push(("program", CONFINED.into()));
    }
    facts.push(("room", rooms(why)));
    facts.extend(
        why.properties
            .iter()
            .filter_map(property)
            .map(|it| ("number", it)),
    );
    let mut text = String::new();
    line(&mut text, &why.to_string());
    for (label, fact) in facts {
        line(&mut text, &format!("  {label:<10} {fact}"));
    }
    for remedy in &why.remedies {
        let words = match remedy::words(remedy, why.port) {
            (words, Some(command)) => format!("{words}: {command}"),
            (words, None) => words.to_owned(),
        };
        line(&mut text, &words);
    }
    text
}

const CONFINED: &str = "gains no privileges, because its bind is answered: sudo and su fail in it";

/// Whether a program runs on a reservation that can't gain privileges for it.
fn is_confined(why: &Why) -> bool {
    why.of(Role::Listener).any(|listener| {
        let mut processes = listener.processes.iter();
        listener.reservation.is_some() && processes.any(|process| process.no_new_privileges)
    })
}

fn label(role: Role) -> &'static str {
    match role {
        Role::Listener => "listening",
        Role::Bound => "bound",
        Role::Connection => "connected",
        Role::Leftover => "lingering",
        Role::Datagrams => "udp",
    }
}

fn reservation(entry: &Listed, why: &Why) -> String {
    let here = &why.here;
    let (record, verdict) = match entry {
        Listed::Sound {
            reservation,
            verdict,
        } => (reservation, *verdict),
        Listed::Damaged { key, reason, .. } => {
            return format!("by a damaged entry, {key}: {reason}");
        }
    };
    let Record {
        host,
        protocol,
        created,
        ..
    } = record;
    format!(
        "for {host} ({protocol}){}, {} ago, {}",
        why.by(record),
        age(*created, here.wall),
        match verdict {
            Verdict::Stale(reason) => format!("but has ended: {reason}"),
            Verdict::Elsewhere =>
                "in another network namespace, so it is in nobody's way here".into(),
            Verdict::Alive => format!("{}, {}", kind(record), end(record.lease, here)),
        }
    )
}

fn kind(record: &Record) -> String {
    let pid = record.process.map(|process| process.pid);
    match (record.kind, pid) {
        (Kind::Held, Some(pid)) => format!("held by process {pid}"),
        (Kind::Held, None) => "held".into(),
        (Kind::Guarded, Some(pid)) => format!("as long as process {pid} keeps it"),
        (Kind::Guarded, None) => "as long as it is kept".into(),
        (Kind::Leased, _) => match record.until {
            Some(process) => format!("as long as process {} runs", process.pid),
            None => "not held".into(),
        },
    }
}

fn end(lease: Lease, here: &Here) -> String {
    match lease {
        Lease::Never => "without an end".into(),
        Lease::Until(end) => {
            let left = end.saturating_sub(here.boot_ms);
            format!("ends in {}", short(std::time::Duration::from_millis(left)))
        }
    }
}

/// Those of one program together, each with where it is; connections one by one as long as there
/// are few.
fn occupants(why: &Why, role: Role) -> Vec<String> {
    let mut told: Vec<(&Occupant, Vec<String>)> = Vec::new();
    for occupant in why.of(role) {
        let socket = &occupant.socket;
        let mut at = place(socket);
        if let Some(remote) = socket.remote {
            at = format!("{at} to {remote}");
        }
        if let Some(left) = socket.left {
            at = format!("{at} for {}s more", left.as_secs_f64().ceil());
        }
        let same = told.iter_mut().find(|(other, _)| {
            other.processes == occupant.processes && other.socket.uid == socket.uid
        });
        match same {
            Some((_, places)) if places.contains(&at) => {}
            Some((_, places)) => places.push(at),
            None => told.push((occupant, vec![at])),
        }
    }
    let sentence = |(occupant, mut places): (&Occupant, Vec<String>)| {
        let more = places.len().saturating_sub(MOST);
        if more > 0 {
            places.truncate(MOST);
            places.push(format!("{more} more"));
        }
        let since = occupant
            .processes
            .first()
            .map(|process| format!(", running for {}", age(process.started, why.here.wall)));
        let program = program(occupant);
        let since = since.unwrap_or_default();
        format!("on {}: {program}{since}", places.join(", "))
    };
    told.into_iter().map(sentence).collect()
}

fn rooms(why: &Why) -> String {
    let all = |wanted: Room| -> Vec<String> {
        let rooms = why.rooms.iter().filter(|(_, room)| *room == wanted);
        rooms.map(|(address, _)| address.to_string()).collect()
    };
    let (free, taken, denied) = (all(Room::Free), all(Room::Taken), all(Room::Denied));
    match (free.is_empty(), taken.is_empty(), denied.is_empty()) {
        (false, true, true) => format!("for servers on {}", free.join(", ")),
        (false, ..) => format!(
            "for servers on {}, not on {}",
            free.join(", "),
            taken.join(", ")
        ),
        (true, _, false) => "for none without the privilege".into(),
        (true, ..) => "for no server".into(),
    }
}

fn property(property: &Property) -> Option<String> {
    match property {
        Property::Privileged => Some("binding it takes a privilege".into()),
        Property::Ephemeral(range) => Some(format!(
            "one that the kernel gives to outgoing connections ({range})"
        )),
        Property::KernelReserved => {
            Some("one that the kernel keeps from outgoing connections".into())
        }
        Property::BrowserBlocked => Some("browsers refuse to open it".into()),
        _ => None,
    }
}

fn age(from: SystemTime, now: SystemTime) -> String {
    short(now.duration_since(from).unwrap_or_default())
}
