//! What is done in a sequence, and how sequences are made at random. Never does it.

use std::ops::Range;

use portkeeper::Protocol;
use proptest::prelude::*;
use proptest::sample::select;
use serde::{Deserialize, Serialize};

use super::{Mode, Model, PORTS};

/// An operation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Op {
    /// Somebody asks for ports.
    Reserve(Wish),
    /// A user releases a port.
    Release {
        /// Who.
        user: u8,
        /// Which.
        port: u8,
    },
    /// A user gives what is reserved more time, or less.
    Renew {
        /// Who.
        user: u8,
        /// On which port.
        port: u8,
        /// Milliseconds.
        ttl: Option<u64>,
    },
    /// Somebody sweeps.
    Collect,
    /// A guard is dropped.
    LetGo(u32),
    /// What a guard keeps becomes a lease.
    Keep(u32),
    /// The process of a guard is killed.
    Kill(u32),
    /// So many milliseconds pass.
    Pass(u64),
    /// Somebody sets the wall clock, by so many days.
    SetClock(i64),
    /// The machine is booted.
    Reboot,
    /// The process that `--pid` names ends.
    End,
    /// Another program listens on a port.
    Serve(u8),
    /// It stops to.
    Close(u8),
    /// Something happens to the registry's file.
    Break(Breakage),
    /// One more entry is in it that can't be read.
    Damage(u8),
    /// A newer version has it for a moment.
    Newer,
    /// People edit their files.
    Note,
    /// The `.env` file gets the content back that it had.
    Restore,
}

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Wish {
    /// By whom.
    pub user: u8,
    /// Whether it lasts only as long as a guard, or a holder.
    pub guarded: bool,
    /// Whether it is bound.
    pub hold: bool,
    /// The first to be tried.
    pub preferred: Option<u8>,
    /// Whether it is that one or none.
    pub strict: bool,
    /// Where to look.
    pub range: Range<u8>,
    /// What is left out.
    #[serde(default)]
    pub except: Option<u8>,
    /// How many.
    pub count: usize,
    /// For what.
    pub protocol: Proto,
    /// Milliseconds.
    pub ttl: Option<u64>,
    /// Whether it ends with a process.
    pub tied: bool,
    /// Into which files.
    pub write: Write,
}

/// Where the port is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Write {
    /// Into none.
    Nowhere,
    /// Into `.env`.
    Env,
    /// Into `config.json`.
    Json,
    /// Into both, or none.
    Both,
}

impl Write {
    /// Whether `.env` is among them.
    #[must_use]
    pub fn is_in_env(self) -> bool {
        matches!(self, Write::Env | Write::Both)
    }

    /// Whether `config.json` is among them.
    #[must_use]
    pub fn is_in_json(self) -> bool {
        matches!(self, Write::Json | Write::Both)
    }
}

/// What happens to the registry's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Breakage {
    /// It is gone.
    Missing,
    /// It is empty, as after a power cut.
    Empty,
    /// It ends in the middle.
    Torn,
    /// It is something else.
    Garbage,
}

/// What an operation answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Nothing that matters.
    #[default]
    Done,
    /// These ports, in this order.
    Granted(Vec<u8>),
    /// It can't be done; nothing has changed.
    Refused,
    /// A release.
    Released {
        /// So many of mine were alive.
        mine: usize,
        /// Some of another user's are in the way.
        theirs: bool,
        /// Some have ended, and may be counted or not.
        ended: bool,
    },
}

/// For which protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Proto {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// The same number of each.
    Both,
}

impl Proto {
    /// The library's word for it.
    #[must_use]
    pub fn of(self) -> Protocol {
        match self {
            Proto::Tcp => Protocol::Tcp,
            Proto::Udp => Protocol::Udp,
            Proto::Both => Protocol::Both,
        }
    }
}

/// Beside so many entries a search takes most at their word, and goes on where one has ended that it
/// has not looked into: which port it finds is not for the model to say.
const MANY: usize = 8;

impl Model {
    /// What may happen next.
    pub fn operations(&self, mode: Mode) -> BoxedStrategy<Op> {
        let port = || 0..PORTS;
        let guard = self.guards.iter().map(|guard| guard.id).collect::<Vec<_>>();
        let mut all: Vec<(u32, BoxedStrategy<Op>)> = vec![
            (12, wish(mode).prop_map(Op::Reserve).boxed()),
            (
                5,
                (mode.users(), port())
                    .prop_map(|(user, port)| Op::Release { user, port })
                    .boxed(),
            ),
            (
                3,
                (mode.users(), port(), prop::option::of(1..60_000_u64))
                    .prop_map(|(user, port, ttl)| Op::Renew { user, port, ttl })
                    .boxed(),
            ),
            (2, Just(Op::Collect).boxed()),
            (3, (1..90_000_u64).prop_map(Op::Pass).boxed()),
            (1, Just(Op::Reboot).boxed()),
            (2, Just(Op::End).boxed()),
            (1, Just(Op::Note).boxed()),
            (1, Just(Op::Restore).boxed()),
            (1, Just(Op::Newer).boxed()),
        ];
        if !guard.is_empty() {
            all.push((3, select(guard.clone()).prop_map(Op::Kill).boxed()));
        }
        if mode == Mode::Library {
            all.push((1, (-4000..4000_i64).prop_map(Op::SetClock).boxed()));
            if !guard.is_empty() {
                all.push((5, select(guard.clone()).prop_map(Op::LetGo).boxed()));
                all.push((2, select(guard.clone()).prop_map(Op::Keep).boxed()));
            }
        }
        // A holder ends, sooner or later, when its registry is gone.
        if mode == Mode::Library || guard.is_empty() {
            let how = [
                Breakage::Missing,
                Breakage::Empty,
                Breakage::Torn,
                Breakage::Garbage,
            ];
            all.push((1, select(how.to_vec()).prop_map(Op::Break).boxed()));
        }
        // To the very moment at which a lease is over, or the last before it.
        let left = self
            .entries
            .iter()
            .filter_map(|entry| entry.ends?.checked_sub(self.now))
            .flat_map(|left| [left, left.saturating_sub(1)]);
        all.extend(some(2, left.filter(|time| *time > 0), Op::Pass));
        let is_quiet = |port: &u8| !self.is_bound(*port, Protocol::Tcp);
        all.extend(some(2, port().filter(is_quiet), Op::Serve));
        all.extend(some(3, self.servers.iter().copied(), Op::Close));
        if self.broken.is_none() {
            let sound = port().filter(|port| self.is_sound(*port, mode));
            all.extend(some(1, sound, Op::Damage));
        }
        prop::strategy::Union::new_weighted(all).boxed()
    }

    /// Whether it may happen now: when a sequence is made small, what it needs may be gone.
    pub fn allows(&self, op: &Op, mode: Mode) -> bool {
        match op {
            Op::LetGo(id) | Op::Keep(id) | Op::Kill(id) => {
                self.guards.iter().any(|guard| guard.id == *id)
            }
            Op::Break(_) => mode == Mode::Library || self.guards.is_empty(),
            // A holder ends by the machine's clock, which no sequence can set.
            Op::Renew { port, ttl, .. } => {
                let is_held = self.guards.iter().any(|guard| guard.port == *port);
                mode == Mode::Library || ttl.is_none() || !is_held
            }
            Op::Serve(port) => !self.is_bound(*port, Protocol::Tcp),
            Op::Close(port) => self.servers.contains(port),
            Op::Damage(port) => self.broken.is_none() && self.is_sound(*port, mode),
            Op::Reserve(_) => {
                let has_ended = self.entries.iter().any(|entry| !self.is_alive(entry));
                !has_ended || self.entries.len() + self.damaged.len() < MANY
            }
            _ => true,
        }
    }

    /// Whether an entry of a port can be damaged. The program's registry is edited as JSON, in which
    /// no key can be twice.
    fn is_sound(&self, port: u8, mode: Mode) -> bool {
        let is_listed = self.entries.iter().any(|entry| entry.port == port);
        !self.damaged.contains(&port) && (mode == Mode::Library || !is_listed)
    }
}

fn some<T: Clone + std::fmt::Debug + 'static>(
    weight: u32,
    those: impl Iterator<Item = T>,
    op: fn(T) -> Op,
) -> Option<(u32, BoxedStrategy<Op>)> {
    let those: Vec<T> = those.collect();
    (!those.is_empty()).then(|| (weight, select(those).prop_map(op).boxed()))
}

/// Something to ask for.
pub(super) fn wish(mode: Mode) -> impl Strategy<Value = Wish> {
    let protocol = select(&[Proto::Tcp, Proto::Tcp, Proto::Tcp, Proto::Udp, Proto::Both][..]);
    let write = [
        Write::Nowhere,
        Write::Nowhere,
        Write::Nowhere,
        Write::Env,
        Write::Json,
        Write::Both,
    ];
    let kind = (any::<bool>(), any::<bool>());
    let which = (
        prop::option::of(0..PORTS),
        any::<bool>(),
        (0..PORTS, 1..=PORTS),
        prop::option::weighted(0.25, 0..PORTS),
        1..4_usize,
    );
    let when = (
        prop::option::of(1..60_000_u64),
        any::<bool>(),
        any::<bool>(),
    );
    let who = (mode.users(), protocol, select(write.to_vec()));
    (kind, which, when, who).prop_map(move |(kind, which, when, who)| {
        let (mut guarded, mut hold) = kind;
        let (preferred, strict, (from, length), except, count) = which;
        let (ttl, tied, also_tied) = when;
        let (user, protocol, write) = who;
        hold &= guarded;
        if mode == Mode::Command {
            // There the only guards are holders.
            guarded = hold;
        }
        let ends = !(mode == Mode::Command && hold);
        let strict = strict && preferred.is_some() && count == 1;
        Wish {
            user,
            guarded,
            hold,
            preferred,
            strict,
            range: from..PORTS.min(from + length),
            // Not the one number that is wanted: that is a contradiction, and no question of ports.
            except: except.filter(|it| !strict || preferred != Some(*it)),
            // Each file has one place for a port.
            count: if write == Write::Nowhere { count } else { 1 },
            protocol,
            ttl: ttl.filter(|_| ends),
            tied: tied && also_tied && ends,
            write,
        }
    })
}
