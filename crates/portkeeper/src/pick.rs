//! Choosing ports and taking them, while the registry is locked. Never writes anything.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pk_core::probe::Claim;
use pk_core::sockets::{self, States};
use pk_core::{
    Candidate, Coverage, Error as PortError, Fallback, Hold, Host, Origin, Port, PortRange,
};
use pk_core::{Protocol, Transport, Walk, Wish, machine};
use pk_registry::{Obstacle, Reservation, Transaction};
use rustix::net::AddressFamily;
use tracing::debug;

use crate::error::Error;
use crate::hash;

/// What is looked for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) wish: Wish,
    /// Numbers that are left to others, unless there are no more.
    pub(crate) avoid: Arc<HashSet<Port>>,
    /// Where the default range is entered.
    pub(crate) seed: u32,
    pub(crate) host: Host,
    pub(crate) protocol: Protocol,
    pub(crate) count: usize,
    pub(crate) grip: Grip,
    /// The ports that the kernel hands out, asked for when they matter.
    pub(crate) ephemeral: OnceCell<Option<PortRange>>,
}

impl Wanted {
    /// Asks for what the search is sure to need, before anybody waits for it.
    pub(crate) fn prepare(&self) {
        let is_numbered = self.wish.preferred.is_some() || !self.wish.remembered.is_empty();
        if self.wish.ranges.is_empty() && !is_numbered {
            self.ephemeral();
        }
    }

    fn ephemeral(&self) -> Option<PortRange> {
        *self.ephemeral.get_or_init(machine::ephemeral_range)
    }

    /// The same, and no other number than this.
    pub(crate) fn only(&self, port: Port) -> Wanted {
        Wanted {
            wish: Wish {
                preferred: Some(port),
                fallback: Fallback::Nothing,
                ..Wish::default()
            },
            ..self.clone()
        }
    }
}

/// What is done with a port besides recording it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grip {
    /// Nothing: whoever comes may bind it.
    Record,
    /// It is held on the addresses of its host.
    Hold(Coverage),
}

/// A port that was taken, and what keeps it taken until it is recorded.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) candidate: Candidate,
    /// What was asked to be held.
    pub(crate) hold: Option<Hold>,
    /// Keep the port until it is recorded, and not longer.
    _claim: Option<Claim>,
    _probe: Option<Hold>,
}

impl Taken {
    /// It has its place in the registry: what is not to be held is let go before somebody else gets
    /// the lock, and finds the port in use that was released meanwhile.
    pub(crate) fn recorded(self) -> Taken {
        Taken {
            _claim: None,
            _probe: None,
            ..self
        }
    }
}

/// What a search came to.
pub(crate) enum Search {
    Found(Vec<Taken>),
    /// So many ports were in use that it pays to ask the kernel for all of them first, and that
    /// must not be done while others wait for the lock.
    Crowded,
}

/// The ports that somebody listens or receives on, a bit each.
#[derive(Debug)]
pub(crate) struct InUse(Box<[u64; 1 << 10]>);

impl InUse {
    /// Asks the kernel. Where it does not tell, every port is tried.
    pub(crate) fn ask(protocol: Protocol) -> InUse {
        let families = [AddressFamily::INET, AddressFamily::INET6];
        let mut found = InUse(Box::new([0; 1 << 10]));
        for &transport in protocol.transports() {
            let states = match transport {
                Transport::Tcp => States::LISTENING,
                Transport::Udp => States::RECEIVING,
            };
            for socket in sockets::list(transport, &families, states, None).unwrap_or_default() {
                found.0[usize::from(socket.port / 64)] |= 1 << (socket.port % 64);
            }
        }
        found
    }

    fn has(&self, port: Port) -> bool {
        let port = port.number();
        self.0[usize::from(port / 64)] & (1 << (port % 64)) != 0
    }
}

/// After so many ports in use the kernel's list of listeners is cheaper than trying on: it costs as
/// much as 50 failing binds.
const CROWDED: usize = 64;

/// Takes as many ports as are wanted, or none.
pub(crate) fn search(
    transaction: &mut Transaction<'_>,
    walk: &mut Walk,
    wanted: &Wanted,
    in_use: Option<&InUse>,
    now: SystemTime,
) -> Result<Search, Error> {
    // Only where it is short of ports is each entry in the way looked into, and what is somebody's
    // usual number taken.
    match look(transaction, walk, wanted, in_use, now, Looks::Few)? {
        Ok(found) => Ok(found),
        Err(_) => look(transaction, walk, wanted, in_use, now, Looks::All)?
            .map_err(|tally| tally.into_error(wanted)),
    }
}

/// Into how many of the entries a walk looks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Looks {
    Few,
    All,
}

fn look(
    transaction: &mut Transaction<'_>,
    walk: &mut Walk,
    wanted: &Wanted,
    in_use: Option<&InUse>,
    now: SystemTime,
    looks: Looks,
) -> Result<Result<Search, Tally>, Error> {
    let Wanted { host, protocol, .. } = *wanted;
    let mut found = Vec::with_capacity(wanted.count);
    let mut tally = Tally::new(wanted);
    let candidates = wanted.wish.candidates(wanted.seed, || wanted.ephemeral());
    for candidate in candidates {
        let Candidate { port, origin } = candidate;
        let is_asked_for = origin == Origin::Number;
        if looks == Looks::Few && !is_asked_for && wanted.avoid.contains(&port) {
            continue;
        }
        if looks == Looks::All || is_asked_for {
            if let Some(obstacle) = transaction.obstacle(host, port, protocol) {
                debug!(%port, ?obstacle, "candidate rejected");
                tally.reserved(obstacle, now);
                continue;
            }
        } else if transaction.is_spoken_for(host, port, protocol) {
            continue;
        }
        let is_known = in_use.is_some_and(|in_use| in_use.has(port));
        if is_known && !is_asked_for {
            tally.in_use += 1;
            continue;
        }
        match take(walk, candidate, wanted) {
            Ok(taken) => found.push(taken),
            // Whoever asks for such a number can't mean another one: it will never be had.
            Err(error @ PortError::Denied { .. }) if wanted.wish.preferred == Some(port) => {
                return Err(error.into());
            }
            Err(error @ (PortError::Busy { .. } | PortError::Denied { .. })) => {
                debug!(%port, %error, "candidate rejected");
                tally.refused(&error);
            }
            Err(error) => return Err(error.into()),
        }
        if found.len() == wanted.count {
            return Ok(Ok(Search::Found(found)));
        }
        if in_use.is_none() && tally.in_use >= CROWDED {
            return Ok(Ok(Search::Crowded));
        }
    }
    tally.found = found.len();
    Ok(Err(tally))
}

fn take(walk: &mut Walk, candidate: Candidate, wanted: &Wanted) -> Result<Taken, PortError> {
    let Candidate { port, origin } = candidate;
    // A port that nobody asked for by number must not be in use anywhere on the machine.
    let claim = match origin {
        Origin::Number => None,
        Origin::Range | Origin::Default => Some(walk.claim(port)?),
    };
    // Whether an address is one of this machine's, only a bind of that address tells.
    let decided = wanted.host.is_localhost() || wanted.host.address().is_unspecified();
    let coverage = match (wanted.grip, claim) {
        (Grip::Hold(coverage), _) => coverage,
        (Grip::Record, Some(claim)) if decided => {
            return Ok(Taken {
                candidate,
                hold: None,
                _claim: Some(claim),
                _probe: None,
            });
        }
        (Grip::Record, _) => Coverage::Host,
    };
    let hold = Hold::acquire(wanted.host, port, wanted.protocol, coverage, origin)?;
    Ok(match wanted.grip {
        Grip::Hold(_) => Taken {
            candidate,
            hold: Some(hold),
            _claim: None,
            _probe: None,
        },
        Grip::Record => Taken {
            candidate,
            hold: None,
            _claim: None,
            _probe: Some(hold),
        },
    })
}

/// Why there were not enough ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// For which protocol.
    pub protocol: Protocol,
    /// Where they were looked for.
    pub searched: Vec<PortRange>,
    /// How many were wanted.
    pub wanted: usize,
    /// How many of them there were.
    pub found: usize,
    /// How many were reserved.
    pub reserved: usize,
    /// The owner and the age of the oldest of the reservations in the way.
    pub oldest: Option<(Option<String>, Duration)>,
    /// How many were in use.
    pub in_use: usize,
    /// How many need a privilege.
    pub denied: usize,
    last: Option<Box<Reservation>>,
}

impl Tally {
    fn new(wanted: &Wanted) -> Tally {
        let mut searched = wanted.wish.ranges.clone();
        if searched.is_empty() {
            searched.push(PortRange::DEFAULT);
        }
        Tally {
            protocol: wanted.protocol,
            searched,
            wanted: wanted.count,
            found: 0,
            reserved: 0,
            oldest: None,
            in_use: 0,
            denied: 0,
            last: None,
        }
    }

    fn reserved(&mut self, obstacle: Obstacle, now: SystemTime) {
        self.reserved += 1;
        if let Obstacle::Reserved(reservation) = obstacle {
            let age = now.duration_since(reservation.created).unwrap_or_default();
            if self.oldest.as_ref().is_none_or(|(_, oldest)| age > *oldest) {
                self.oldest = Some((reservation.owner.clone(), age));
            }
            self.last = Some(reservation);
        }
    }

    fn refused(&mut self, error: &PortError) {
        match error {
            PortError::Denied { .. } => self.denied += 1,
            _ => self.in_use += 1,
        }
    }

    /// Whether the missing privilege alone was in the way.
    #[must_use]
    pub fn all_denied(&self) -> bool {
        self.denied > 0 && self.reserved == 0 && self.in_use == 0
    }

    /// Whether there could be enough once what is in the way has gone.
    #[must_use]
    pub(crate) fn may_change(&self) -> bool {
        self.found + self.reserved + self.in_use >= self.wanted
    }

    fn into_error(self, wanted: &Wanted) -> Error {
        let only = wanted
            .wish
            .preferred
            .filter(|_| wanted.wish.fallback == Fallback::Nothing && wanted.count == 1);
        if let Some(port) = only {
            return match self.denied {
                0 if wanted.wish.excludes(port) => Error::Request {
                    why: format!("port {port} is preferred and excluded"),
                },
                0 => Error::Taken {
                    port,
                    protocol: self.protocol,
                    by: self.last,
                },
                _ => Error::Port(PortError::Denied { port }),
            };
        }
        Error::NoFreePort(Box::new(self))
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = match self.protocol {
            Protocol::Tcp => "",
            Protocol::Udp => "udp ",
            Protocol::Both => "tcp and udp ",
        };
        match (self.wanted, self.found) {
            (1, _) => write!(f, "no free {of}port in ")?,
            (wanted, found) => write!(f, "only {found} of {wanted} {of}ports free in ")?,
        }
        for (at, range) in self.searched.iter().enumerate() {
            write!(f, "{}{range}", if at == 0 { "" } else { ", " })?;
        }
        let mut separator = ": ";
        let mut part = |f: &mut fmt::Formatter<'_>, count: usize, what: &str| {
            if count > 0 {
                write!(f, "{separator}{count} {what}")?;
                separator = ", ";
            }
            Ok(())
        };
        part(f, self.reserved, "reserved")?;
        if let Some((owner, age)) = &self.oldest {
            let owner = owner
                .as_deref()
                .unwrap_or("no owner")
                .escape_debug()
                .to_string();
            write!(f, " (oldest: {owner}, {})", in_words(*age))?;
        }
        part(f, self.in_use, "in use")?;
        part(f, self.denied, "privileged")
    }
}

/// A length of time in its largest unit: `3 days`.
fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [
        ("day", 86_400),
        ("hour", 3600),
        ("minute", 60),
        ("second", 1),
    ];
    let (unit, size) = units
        .into_iter()
        .find(|(_, size)| seconds >= *size)
        .unwrap_or(units[3]);
    let count = seconds / size;
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// Where the default range is entered: users and folders that do not see each other's registry
/// seldom begin at the same place.
pub(crate) fn seed(uid: u32, folder: &[u8]) -> u32 {
    hash::short(uid.to_le_bytes().iter().chain(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tally_says_what_is_in_the_way() {
        let mut tally = Tally {
            protocol: Protocol::Tcp,
            searched: vec!["8888-8988".parse().unwrap()],
            wanted: 1,
            found: 0,
            reserved: 61,
            oldest: Some((
                Some("my\u{1b}app".into()),
                Duration::from_secs(3 * 86_400 + 5),
            )),
            in_use: 40,
            denied: 0,
            last: None,
        };
        assert_eq!(
            tally.to_string(),
            "no free port in 8888-8988: 61 reserved (oldest: my\\u{1b}app, 3 days), 40 in use"
        );
        tally = Tally {
            wanted: 3,
            found: 2,
            reserved: 0,
            oldest: None,
            in_use: 1,
            ..tally
        };
        assert_eq!(
            tally.to_string(),
            "only 2 of 3 ports free in 8888-8988: 1 in use"
        );
        assert!(tally.may_change());
        tally = Tally {
            protocol: Protocol::Both,
            wanted: 4,
            ..tally
        };
        assert_eq!(
            tally.to_string(),
            "only 2 of 4 tcp and udp ports free in 8888-8988: 1 in use"
        );
        assert!(!tally.may_change());
    }

    #[test]
    fn lengths_of_time_in_words() {
        for (seconds, expect) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (60, "1 minute"),
            (7300, "2 hours"),
        ] {
            assert_eq!(in_words(Duration::from_secs(seconds)), expect);
        }
    }

    #[test]
    fn the_seed_never_changes() {
        assert_eq!(seed(1000, b"/home/ann/shop"), seed(1000, b"/home/ann/shop"));
        assert_ne!(seed(1000, b"/home/ann/shop"), seed(1001, b"/home/ann/shop"));
        assert_ne!(seed(1000, b"/home/ann/shop"), seed(1000, b"/home/ann/blog"));
    }

    #[test]
    fn a_port_that_is_recorded_and_not_held_is_free() {
        let at = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = at.local_addr().unwrap().port();
        drop(at);
        let wanted = Wanted {
            avoid: Arc::default(),
            wish: Wish::default(),
            seed: 0,
            host: Host::default(),
            protocol: Protocol::Tcp,
            count: 1,
            grip: Grip::Record,
            ephemeral: OnceCell::new(),
        };
        let is_bindable = || std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
        for origin in [Origin::Number, Origin::Range] {
            let candidate = Candidate {
                port: port.try_into().unwrap(),
                origin,
            };
            let taken = take(&mut Walk::new(Protocol::Tcp), candidate, &wanted).unwrap();
            assert!(!is_bindable(), "{origin:?}");
            let _recorded = taken.recorded();
            assert!(is_bindable(), "{origin:?}");
        }
    }
}
