//! From what was found to an answer and to what helps. Pure: asks the system nothing.

use pk_core::PortRange;
use pk_registry::{Kind, Listed, Verdict as Standing};

use super::{Occupant, Property, Role, Room, Why};

/// What a port is to somebody who wants to listen on it, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Nobody has it.
    Free,
    /// The registry says whose it is; no socket is on it.
    Reserved,
    /// A socket is bound to it that does not listen, and keeps others out.
    Held,
    /// A program listens on it.
    InUse,
    /// It is the local end of a connection.
    Connected,
    /// The kernel keeps connections of it that are closed.
    Lingering,
    /// Nobody has it for TCP, somebody for UDP.
    UdpOnly,
    /// Nobody has it, and this user may not either.
    Privileged,
    /// It is in use by something that can't be seen from here.
    Unseen,
}

/// What helps. A face says it in words and commands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// Reserve it.
    Reserve,
    /// Start the server: what is on the port is in the way of few.
    Start,
    /// Release the reservation.
    Release,
    /// End the process that has it.
    End {
        /// The process.
        pid: u32,
        /// Whether this user may.
        by: Authority,
    },
    /// Ask as root, who sees whose it is.
    AskAsRoot,
    /// Wait until it is free.
    Wait,
    /// Keep the kernel from giving the number to outgoing connections, besides these.
    KeepFromKernel {
        /// The numbers that are kept from them already.
        beside: Vec<PortRange>,
    },
    /// Let everybody bind the number.
    Unprivilege,
    /// Take another port.
    Another,
    /// Drop the reservations that have ended.
    Collect,
}

/// Who may do a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// This user.
    Mine,
    /// Only root.
    Root,
}

impl Verdict {
    /// Its name: `free`, `in-use`, …
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Free => "free",
            Verdict::Reserved => "reserved",
            Verdict::Held => "held",
            Verdict::InUse => "in-use",
            Verdict::Connected => "connected",
            Verdict::Lingering => "lingering",
            Verdict::UdpOnly => "udp-only",
            Verdict::Privileged => "privileged",
            Verdict::Unseen => "unseen",
        }
    }
}

/// What is most in the way counts.
pub(super) fn judge(why: &Why) -> Verdict {
    let has = |role| why.of(role).next().is_some();
    let is = |wanted| why.rooms.iter().any(|&(_, room)| room == wanted);
    // Linux before 6.8 lists no sockets that are only bound.
    let is_held = is(Room::Taken) && why.live().any(|it| it.kind == Kind::Held);
    if has(Role::Listener) {
        Verdict::InUse
    } else if why.holding().next().is_some() {
        Verdict::Held
    } else if has(Role::Connection) {
        Verdict::Connected
    } else if is_held && !has(Role::Leftover) {
        Verdict::Held
    } else if why.live().next().is_some() {
        Verdict::Reserved
    } else if has(Role::Leftover) {
        Verdict::Lingering
    } else if is(Room::Denied) {
        Verdict::Privileged
    } else if is(Room::Taken) {
        Verdict::Unseen
    } else if has(Role::Datagrams) {
        Verdict::UdpOnly
    } else {
        Verdict::Free
    }
}

pub(super) fn remedies(why: &Why) -> Vec<Remedy> {
    let mut remedies = match why.verdict {
        Verdict::Free | Verdict::UdpOnly => vec![Remedy::Reserve],
        Verdict::Reserved if is_mine(why) => vec![start(why), Remedy::Release],
        Verdict::Reserved | Verdict::Unseen => vec![Remedy::Another],
        Verdict::InUse => end(why, why.of(Role::Listener)),
        Verdict::Held => end(why, why.holding()),
        Verdict::Connected => [Some(Remedy::Wait), keep_from_kernel(why)]
            .into_iter()
            .flatten()
            .collect(),
        Verdict::Lingering => vec![start(why)],
        Verdict::Privileged => vec![Remedy::Another, Remedy::Unprivilege],
    };
    if why.reservations.iter().any(has_ended) {
        remedies.push(Remedy::Collect);
    }
    remedies
}

fn is_mine(why: &Why) -> bool {
    let me = why.here.uid;
    why.live().next().is_some() && (me == 0 || why.live().all(|it| it.uid == me))
}

fn start(why: &Why) -> Remedy {
    match why.has_room() {
        true => Remedy::Start,
        false => Remedy::Wait,
    }
}

fn has_ended(entry: &Listed) -> bool {
    matches!(
        entry,
        Listed::Sound {
            verdict: Standing::Stale(_),
            ..
        }
    )
}

/// A holder, and what it runs, end with their reservation. Of others the process has to.
fn end<'w>(why: &Why, occupants: impl Iterator<Item = &'w Occupant>) -> Vec<Remedy> {
    let has_holder = |occupant: &&Occupant| {
        let is_its = |id| why.live().any(|it| it.id == id && it.kind == Kind::Held);
        occupant.reservation.as_deref().is_some_and(is_its)
    };
    let (held, strangers): (Vec<_>, Vec<_>) = occupants.partition(has_holder);
    if is_mine(why) && strangers.is_empty() {
        return vec![Remedy::Release];
    }
    let me = why.here.uid;
    let mut processes = strangers.iter().chain(&held).flat_map(|it| &it.processes);
    let first = match processes.next() {
        Some(process) => Remedy::End {
            pid: process.pid,
            by: match me == 0 || me == process.uid {
                true => Authority::Mine,
                false => Authority::Root,
            },
        },
        None if me != 0 => Remedy::AskAsRoot,
        None => Remedy::Wait,
    };
    vec![first, Remedy::Another]
}

fn keep_from_kernel(why: &Why) -> Option<Remedy> {
    let is_ephemeral = |property: &Property| matches!(property, Property::Ephemeral(_));
    why.properties
        .iter()
        .any(is_ephemeral)
        .then(|| Remedy::KeepFromKernel {
            beside: pk_core::machine::reserved_ranges(),
        })
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use pk_core::{Host, Port, Protocol};
    use pk_registry::{Here, Lease, Reservation};

    use super::*;

    /// What is known where the kernel lists no sockets.
    fn unlisted(kind: Option<Kind>, room: Room) -> Why {
        let here = Here::now();
        let reservation = |kind| Reservation {
            id: "k3v9".into(),
            port: Port::new(8080).unwrap(),
            host: Host::default(),
            protocol: Protocol::Tcp,
            owner: Some("shop".into()),
            name: None,
            project: None,
            notes: Default::default(),
            uid: here.uid,
            fence: 1,
            created: SystemTime::now(),
            kind,
            network: here.machine.network,
            time: here.machine.time,
            lease: Lease::Never,
            process: None,
            until: None,
            control: None,
        };
        let listed = |kind| Listed::Sound {
            reservation: reservation(kind),
            verdict: Standing::Alive,
        };
        Why {
            port: Port::new(8080).unwrap(),
            verdict: Verdict::Free,
            reservations: kind.map(listed).into_iter().collect(),
            occupants: Vec::new(),
            rooms: vec![(Host::default().address(), room)],
            properties: Vec::new(),
            remedies: Vec::new(),
            here,
            users: crate::users::Users::default(),
            warnings: Vec::new(),
            unlisted: Vec::new(),
        }
    }

    #[test]
    fn without_a_list_of_sockets_bind_and_the_registry_tell() {
        use Kind::{Held, Leased};
        let check = |kind, room, verdict, reason, remedy| {
            let mut why = unlisted(kind, room);
            why.verdict = judge(&why);
            assert_eq!(why.verdict, verdict, "{kind:?} {room:?}");
            assert_eq!(why.reason(), reason);
            assert_eq!(remedies(&why)[0], remedy, "{kind:?} {room:?}");
        };
        check(None, Room::Free, Verdict::Free, "free", Remedy::Reserve);
        check(
            None,
            Room::Taken,
            Verdict::Unseen,
            "in use by something that can't be seen from here",
            Remedy::Another,
        );
        check(
            None,
            Room::Denied,
            Verdict::Privileged,
            "free, but needs a privilege that this user does not have",
            Remedy::Another,
        );
        let (reserved, held) = (Verdict::Reserved, Verdict::Held);
        check(
            Some(Leased),
            Room::Free,
            reserved,
            "reserved by shop",
            Remedy::Start,
        );
        check(
            Some(Leased),
            Room::Taken,
            reserved,
            "reserved by shop",
            Remedy::Wait,
        );
        check(
            Some(Held),
            Room::Taken,
            held,
            "held by shop",
            Remedy::Release,
        );
    }
}
