//! Running a program on a port that is never free: from the moment it is reserved until nothing of
//! the program is left. Never prints.
//!
//! Three processes take part. The **command** (this process) made the reservation, passes on
//! signals, and answers for the program's exit code. Its **supervisor** keeps the port and is the
//! parent of the **program**. How the program gets the port is a [`Rung`] of a ladder; the best one
//! that works is taken, and none but the last lets go of the port.

mod crew;
mod front;
mod ladder;
pub(crate) mod message;
mod ready;
mod reap;
mod spawn;
mod supervise;

use std::ffi::OsString;
use std::net::IpAddr;
use std::time::Duration;

use pk_core::Machine;
use pk_fs::failpoint;
use tracing::debug;

pub(crate) use crew::Waiting;
pub use message::{Cause, HandOver, Rung, Status};
pub(crate) use supervise::serve;

use crate::error::Error;
use crate::holder::HolderCommand;
use crate::holder::launch::Control;
use crate::reservation::Reservation;
use crate::warning::Warning;

/// So many ports fit, with three sockets each and all that goes with them, into one message to a
/// supervisor.
const MOST_PORTS: usize = 48;

/// A program to be run on one or more ports, and how.
///
/// ```
/// use portkeeper::launch::{HandOver, Launch};
/// let launch = Launch::new("python3", ["-m", "http.server", "--bind", "{host}", "{port}"])
///     .env("WEB_PORT")
///     .hand_over(HandOver::Auto);
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is started before it is given to a request or a reservation"]
pub struct Launch {
    program: Vec<OsString>,
    keys: Vec<String>,
    variables: Vec<(String, String)>,
    search: Option<OsString>,
    hand_over: HandOver,
    pub(crate) restart: bool,
    pub(crate) ready: Option<Duration>,
    pub(crate) watch: bool,
}

/// What a caller may want to tell a person while a program runs.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice {
    /// Something about the reservation.
    Warning(Warning),
    /// The program was started.
    Started {
        /// Its process.
        pid: u32,
        /// How it gets its port.
        rung: Rung,
        /// Why it is not [`Rung::Adopted`], where that was wanted.
        because: Option<String>,
    },
    /// A process of the program listens on a port.
    Listening {
        /// The port.
        port: u16,
        /// The address.
        address: IpAddr,
        /// That process.
        pid: u32,
        /// How long after the start.
        after: Duration,
    },
    /// A process of the program asked for a port in a way in which it can't get it.
    Refused {
        /// The port.
        port: u16,
        /// The address that was asked for.
        address: IpAddr,
        /// Why not.
        why: String,
    },
    /// A process of the program can't be looked into, so it can't be given a port.
    Unreadable {
        /// That process.
        pid: u32,
        /// The system's reason.
        why: String,
    },
    /// The program has failed, and is started again.
    Restarting {
        /// How it ended.
        status: Status,
        /// How long until then.
        pause: Duration,
    },
}

/// How it ended. Nothing of the program is left then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// What the program itself ended with.
    pub status: Status,
    /// Why.
    pub cause: Cause,
}

impl Launch {
    /// A program and its arguments, in which `{port}`, `{host}` and `{fd}` stand for those of the
    /// first port, `{port1}` and so on for those of the next.
    pub fn new(
        program: impl Into<OsString>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Launch {
        let arguments = arguments.into_iter().map(Into::into);
        Launch {
            program: [program.into()].into_iter().chain(arguments).collect(),
            keys: Vec::new(),
            variables: Vec::new(),
            search: None,
            hand_over: HandOver::default(),
            restart: false,
            ready: None,
            watch: false,
        }
    }

    /// The value of `PATH`, in whose folders a program is looked for that is only a name.
    pub fn search(mut self, path: Option<OsString>) -> Launch {
        self.search = path;
        self
    }

    /// The variable that gets the port, instead of `PORT`; may be said several times. With more than
    /// one port the k-th variable gets the k-th.
    pub fn env(mut self, key: impl Into<String>) -> Launch {
        self.keys.push(key.into());
        self
    }

    /// Another variable of the program's environment; may be said several times.
    pub fn variable(mut self, key: impl Into<String>, value: impl Into<String>) -> Launch {
        self.variables.push((key.into(), value.into()));
        self
    }

    /// How the program gets its port. An argument with `{fd}` in it asks for an inherited socket.
    pub fn hand_over(mut self, way: HandOver) -> Launch {
        self.hand_over = way;
        self
    }

    /// Start the program again whenever it fails, after 0.1 s at first and 10 s at last.
    pub fn restart(mut self) -> Launch {
        self.restart = true;
        self
    }

    /// End it unless a process of it listens on the port within this time.
    pub fn ready(mut self, limit: Duration) -> Launch {
        self.ready = Some(limit);
        self.watch = true;
        self
    }

    /// Tell when it listens ([`Notice::Listening`]).
    pub fn watch(mut self) -> Launch {
        self.watch = true;
        self
    }

    /// Refuses what could never work, before anything is reserved.
    pub(crate) fn check(&self, count: usize) -> Result<(), Error> {
        let contradiction = |why: String| Err(Error::Request { why });
        let wants_socket = self.program.iter().any(|word| spawn::asks_for_socket(word));
        if self
            .program
            .first()
            .is_none_or(|program| program.is_empty())
        {
            return contradiction("no program to run".into());
        }
        if count > MOST_PORTS {
            return contradiction(format!("a program can be given {MOST_PORTS} ports at most"));
        }
        if count > 1 && !self.keys.is_empty() && self.keys.len() != count {
            return contradiction(format!(
                "{count} ports need as many variables, not {}",
                self.keys.len()
            ));
        }
        if let Some(key) = self.keys.iter().find(|key| !is_variable(key)) {
            return contradiction(format!("not a variable: {}", key.escape_debug()));
        }
        if wants_socket && !matches!(self.hand_over, HandOver::Auto | HandOver::Fd) {
            return contradiction(
                "{fd} is the number of an inherited socket: it needs that way of handing over"
                    .into(),
            );
        }
        if self.way() == HandOver::Fd
            && ladder::ignores_sockets(&self.program[0], self.search.as_deref())
        {
            return contradiction(
                "bun ignores inherited sockets and listens on another port".into(),
            );
        }
        Ok(())
    }

    /// Whether there is such a program at all.
    pub(crate) fn find(&self) -> Result<(), Error> {
        match ladder::find(&self.program[0], self.search.as_deref()) {
            Some(path) if path.exists() => Ok(()),
            _ => Err(Error::Program {
                program: self.name(),
                source: std::io::ErrorKind::NotFound.into(),
            }),
        }
    }

    fn way(&self) -> HandOver {
        let wants_socket = self.program.iter().any(|word| spawn::asks_for_socket(word));
        match self.hand_over {
            HandOver::Auto if wants_socket => HandOver::Fd,
            way => way,
        }
    }

    fn name(&self) -> String {
        self.program[0].to_string_lossy().into_owned()
    }

    /// The variables, each with the number of its port.
    fn keys(&self, count: usize) -> Vec<(String, usize)> {
        match (self.keys.as_slice(), count) {
            ([], 1) => vec![("PORT".into(), 0)],
            ([], count) => (0..count).map(|at| (format!("PORT{at}"), at)).collect(),
            (keys, 1) => keys.iter().map(|key| (key.clone(), 0)).collect(),
            (keys, _) => keys.iter().cloned().zip(0..).collect(),
        }
    }

    /// Runs it on reservations whose ports are held, and ends them.
    pub(crate) fn run(
        &self,
        holder: &HolderCommand,
        mut reservations: Vec<Reservation>,
        control: Control,
        waiting: Waiting,
        machine: &Machine,
        notice: &mut dyn FnMut(Notice),
    ) -> Result<Ending, Error> {
        // From here on a signal is the program's.
        let signals = front::catch()?;
        reap::adopt_orphans().map_err(Error::io("adopt orphans"))?;
        let socket = control.path().to_owned();
        let crew = waiting.hand_over(holder, self, &mut reservations, control)?;
        let (ended, mut supervisor) = front::Front::new(crew, signals, self, notice).run(machine);
        // A supervisor that was killed has left its name behind.
        let _ = std::fs::remove_file(socket);
        failpoint!("run.ended");
        let released = reservations.into_iter().try_for_each(Reservation::release);
        let gone = supervisor.wait();
        debug!(?gone, "the supervisor has ended");
        let ended = ended?;
        released.map(|()| ended)
    }

    /// Starts the supervisor, which takes a moment in which other things can be done.
    pub(crate) fn prepare(&self, holder: &HolderCommand) -> Result<Waiting, Error> {
        Waiting::start(holder, &self.program, &self.variables)
    }
}

/// POSIX: letters, digits and underscores, not beginning with a digit.
fn is_variable(key: &str) -> bool {
    let mut characters = key.chars();
    characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|other| other.is_ascii_alphanumeric() || other == '_')
}
