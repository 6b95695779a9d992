//! The answer in words. Never lets through what a terminal would act upon: command lines and owners
//! are somebody else's text.

use std::fmt;
use std::net::IpAddr;

use pk_core::probe::Stack;
use pk_core::sockets::Socket;
use pk_registry::Reservation;
use pk_registry::reservation::is_unprintable;

use super::{Occupant, Role, Verdict, Why};

/// How much of a command line is told, in characters, and without the folder of the program.
const MOST: usize = 60;

impl fmt::Display for Why {
    /// `port 8080 is in use by …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "port {} is {}", self.port, self.reason())
    }
}

impl Why {
    /// What the port is, as the rest of a sentence: `free`, `held by shop (process 4712)`.
    #[must_use]
    pub fn reason(&self) -> String {
        match self.verdict {
            Verdict::Free => "free".into(),
            Verdict::Reserved => format!("reserved{}", self.by_owner()),
            Verdict::Held => self.held(),
            Verdict::InUse => self.in_use(),
            Verdict::Connected => self.connected(),
            Verdict::Lingering => self.lingering(),
            Verdict::UdpOnly => match self.of(Role::Datagrams).next() {
                Some(user) => format!("free for TCP, and used for UDP by {}", program(user)),
                None => "free for TCP".into(),
            },
            Verdict::Privileged => {
                "free, but needs a privilege that this user does not have".into()
            }
            Verdict::Unseen => "in use by something that can't be seen from here".into(),
        }
    }

    fn by_owner(&self) -> String {
        let says = |by: &String| !by.is_empty();
        let mut live = self.live().map(|reservation| self.by(reservation));
        live.find(says).unwrap_or_default()
    }

    /// Whose a reservation is, as the end of a sentence: ` by shop`, ` by shop of ann`; nothing where
    /// it has no label and is this user's own.
    #[must_use]
    pub fn by(&self, reservation: &Reservation) -> String {
        let label = reservation.owner.as_deref().map(harmless);
        let user = (reservation.uid != self.here.uid).then(|| self.user(reservation.uid));
        match (label, user) {
            (Some(label), Some(user)) => format!(" by {label} of {user}"),
            (Some(one), None) | (None, Some(one)) => format!(" by {one}"),
            (None, None) => String::new(),
        }
    }

    fn user(&self, uid: u32) -> String {
        let name = self.users.name(uid).map(harmless);
        name.unwrap_or_else(|| format!("uid {uid}"))
    }

    fn held(&self) -> String {
        let stranger = self
            .holding()
            .find(|occupant| occupant.reservation.is_none());
        if let Some(stranger) = stranger {
            return format!("bound by {}, which does not listen", program(stranger));
        }
        let process = self
            .holding()
            .find_map(|occupant| occupant.processes.first());
        let process = process.map(|process| format!(" (process {})", process.pid));
        format!("held{}{}", self.by_owner(), process.unwrap_or_default())
    }

    fn in_use(&self) -> String {
        let mut listeners = self.of(Role::Listener);
        let Some(first) = listeners.next() else {
            return "in use".into();
        };
        let mut places = vec![place(&first.socket)];
        for other in listeners.filter(|other| other.processes == first.processes) {
            let place = place(&other.socket);
            if !places.contains(&place) {
                places.push(place);
            }
        }
        format!("in use by {} on {}", program(first), places.join(" and "))
    }

    fn connected(&self) -> String {
        let Some(connection) = self.of(Role::Connection).next() else {
            return "in use by a connection".into();
        };
        let to = connection
            .socket
            .remote
            .map(|remote| format!(" to {remote}"));
        format!(
            "the local end of a connection{} of {}",
            to.unwrap_or_default(),
            program(connection)
        )
    }

    fn lingering(&self) -> String {
        let left = self
            .of(Role::Leftover)
            .filter_map(|it| it.socket.left)
            .max();
        match left {
            Some(left) => format!(
                "kept by the kernel for {}s more, after a connection that is closed",
                left.as_secs_f64().ceil()
            ),
            None => "kept by the kernel after a connection that is closed".into(),
        }
    }
}

/// Whose a socket is, in a few words: `python3 -m http.server (process 4712)`.
#[must_use]
pub fn program(occupant: &Occupant) -> String {
    let user = match &occupant.user {
        Some(name) => harmless(name),
        None => format!("uid {}", occupant.socket.uid),
    };
    match occupant.processes.first() {
        Some(process) => {
            let more = match occupant.processes.len() - 1 {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let command = shortened(&process.command);
            format!("{} (process {}{more} of {user})", command, process.pid)
        }
        None if occupant.socket.inode == 0 => "the kernel".into(),
        None => format!("a program of {user} that can't be seen from here"),
    }
}

/// Where a socket is bound, in words where it is not one address.
#[must_use]
pub fn place(socket: &Socket) -> String {
    match socket.address {
        IpAddr::V4(address) if address.is_unspecified() => "all IPv4 addresses".into(),
        IpAddr::V6(address) if address.is_unspecified() => match socket.stack {
            Stack::Dual => "all addresses".into(),
            Stack::Single => "all IPv6 addresses".into(),
        },
        address => address.to_string(),
    }
}

fn shortened(command: &str) -> String {
    let (program, arguments) = command.split_at(command.find(' ').unwrap_or(command.len()));
    let name = program.rsplit('/').next().filter(|name| !name.is_empty());
    let command = format!("{}{arguments}", name.unwrap_or(program));
    let mut short: String = command.chars().take(MOST).collect();
    if short.len() < command.len() {
        short.push('…');
    }
    harmless(&short)
}

fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match is_unprintable(character) {
            true => out.extend(character.escape_unicode()),
            false => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_wicked_command_lines_are_short_and_harmless() {
        let check = |command: &str, expect: &str| assert_eq!(shortened(command), expect);
        check("python3 -m http.server", "python3 -m http.server");
        check("/usr/bin/env a/b /c", "env a/b /c");
        check("/", "/");
        check("", "");
        check("a\u{1b}[2Jb", "a\\u{1b}[2Jb");
        check(&"é".repeat(61), &format!("{}…", "é".repeat(60)));
    }
}
