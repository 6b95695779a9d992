//! Why a request failed, and of which kind that is.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use pk_core::{Host, Port, Protocol};
use pk_fs::{append, folder, lock, replace};
use pk_registry::{Name, Reservation};

use crate::holder::HolderCommand;
use crate::launch::HandOver;
use crate::pick::Tally;
use crate::setup;
use crate::ttl::Ttl;
use crate::why::Why;

/// Why a request failed. Whatever it had done before was undone, unless it says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The registry could not be read or changed.
    #[error(transparent)]
    Registry(#[from] pk_registry::Error),
    /// A port could not be had.
    #[error(transparent)]
    Port(#[from] pk_core::Error),
    /// The one port that was wanted is taken.
    #[error("{}port {port} is {}", of(*protocol), by.as_deref().map_or("in use".into(), reserved_by))]
    Taken {
        /// The port.
        port: Port,
        /// For which protocol it was wanted.
        protocol: Protocol,
        /// Who has it, where it is reserved and not only in use.
        by: Option<Box<Reservation>>,
    },
    /// There are not as many free ports as were wanted.
    #[error("{0}")]
    NoFreePort(Box<Tally>),
    /// There was none for as long as was to be waited.
    #[error("{cause}; waited {:.1}s", time.as_secs_f64())]
    Waited {
        /// What was in the way at last: [`Error::Taken`] or [`Error::NoFreePort`].
        cause: Box<Error>,
        /// How long.
        time: Duration,
    },
    /// No reservation is there to be released.
    #[error("not reserved: {}", list(ports))]
    NotReserved {
        /// The ports.
        ports: Vec<Port>,
    },
    /// No reservation of this name is there to be released or renewed.
    #[error("not reserved: {name}")]
    NoSuchName {
        /// The name.
        name: Name,
    },
    /// A name has a reservation that is not as it is wanted now.
    #[error("{name} is reserved as port {port}, {why}")]
    Named {
        /// The name.
        name: Name,
        /// What it has.
        port: Port,
        /// What is not as it is wanted.
        why: String,
    },
    /// A project's file or one of its outputs.
    #[error(transparent)]
    Project(#[from] crate::project::Error),
    /// The reservation is another user's.
    #[error("port {port} is reserved by another user (uid {uid})")]
    NotYours {
        /// The port.
        port: Port,
        /// That user.
        uid: u32,
    },
    /// The holder of a port did not let go of it.
    #[error("the holder of port {port} (process {pid}) does not answer")]
    HolderSilent {
        /// The port.
        port: Port,
        /// The holder.
        pid: u32,
    },
    /// The holder of a port could not be started.
    #[error("cannot start the holder {}", program.display())]
    Holder {
        /// The program.
        program: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A program that was to be run on a port could not be started.
    #[error("cannot run {program}")]
    Program {
        /// The program.
        program: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A program could not be given its port in the way that was asked for.
    #[error("cannot hand over a port by {}", way.name())]
    HandOver {
        /// That way.
        way: HandOver,
        /// The system's reason.
        source: io::Error,
    },
    /// A program did not listen in time. It was ended.
    #[error("the program did not listen within {} s", limit.as_secs_f32())]
    NotReady {
        /// How long that was.
        limit: Duration,
    },
    /// The supervisor of a program was killed. The program was ended.
    #[error("the supervisor of the program was killed, so the program was ended")]
    Supervisor {
        /// What was noticed.
        source: io::Error,
    },
    /// A port is reserved, but nobody holds it.
    #[error("port {port} is reserved, but not held")]
    NotHeld {
        /// The port.
        port: Port,
    },
    /// A program runs on a port already.
    #[error("port {port} belongs to a program that runs (process {pid})")]
    ProgramRuns {
        /// The port.
        port: Port,
        /// The command that runs it.
        pid: u32,
    },
    /// A port that was waited for did not become free.
    #[error("port {port} on {host} is not free after {}: {}", Ttl::For(*limit), why.reason())]
    NotFree {
        /// The port.
        port: Port,
        /// For a server of which host.
        host: Host,
        /// How long it was waited.
        limit: Duration,
        /// What is in the way.
        why: Box<Why>,
    },
    /// Nobody began to listen on a port that was waited for.
    #[error("nothing listens on port {port}{} after {}: it is {}", at(*host), Ttl::For(*limit), why.reason())]
    NotListening {
        /// The port.
        port: Port,
        /// For clients of which host.
        host: Option<Host>,
        /// How long it was waited.
        limit: Duration,
        /// What is there instead.
        why: Box<Why>,
    },
    /// A process that was named does not run.
    #[error("no such process: {pid}")]
    NoProcess {
        /// Its number.
        pid: u32,
    },
    /// A file could not be changed as asked.
    #[error(transparent)]
    Config(#[from] pk_config::Error),
    /// A step failed, and what was done before could not be undone.
    #[error(
        "{}; ports {} stay reserved, because that could not be undone: {}",
        told(cause),
        list(ports),
        told(undo)
    )]
    NotUndone {
        /// What failed first.
        cause: Box<Error>,
        /// What is still reserved.
        ports: Vec<Port>,
        /// Why.
        undo: Box<Error>,
    },
    /// A request contradicts itself.
    #[error("{why}")]
    Request {
        /// How.
        why: String,
    },
    /// A variable of the environment has a value that means nothing.
    #[error("{name}: {why}")]
    Variable {
        /// The variable.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is no home folder to derive a path from.
    #[error("{}", match home { None => "HOME is not set".into(), Some(home) => format!("HOME is not an absolute path: {}", home.display()) })]
    NoHome {
        /// What HOME says.
        home: Option<PathBuf>,
    },
    /// HOME is another user's, as under `sudo -E`.
    #[error("HOME {} belongs to another user (uid {uid})", home.display())]
    ForeignHome {
        /// What HOME says.
        home: PathBuf,
        /// Whose it is.
        uid: u32,
    },
    /// This process acts with the rights of another user than the one who started it.
    #[error("started by uid {uid} and running with the rights of another user (uid {effective})")]
    BorrowedRights {
        /// Who started it.
        uid: u32,
        /// Whose rights it has.
        effective: u32,
    },
    /// There is no private folder with a path short enough for a socket.
    #[error("no private folder for a control socket in {}", temp.display())]
    NoControlFolder {
        /// Where it was looked for at last.
        temp: PathBuf,
    },
    /// Nothing could be added to a file that another program reads.
    #[error(transparent)]
    Append(#[from] append::Error),
    /// A place in which users share a registry could not be made or removed.
    #[error(transparent)]
    Setup(#[from] setup::Error),
    /// A relative path can't be resolved.
    #[error("cannot resolve {}", path.display())]
    NoFolder {
        /// The path.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A system call failed.
    #[error("cannot {action}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The system's reason.
        source: io::Error,
    },
}

/// Of which kind a failure is: one exit code of the command each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request means nothing.
    Usage,
    /// No port is free, or the one that was wanted is not.
    NoFreePort,
    /// There is no such reservation, or it is another user's.
    NotReserved,
    /// Somebody held a lock too long.
    LockTimeout,
    /// A file is too large, or can't be parsed or edited as asked.
    BadFile,
    /// The system failed: no space, read-only, a missing folder.
    Io,
    /// Not permitted, or not safe.
    Permission,
    /// A newer version wrote the file.
    Newer,
    /// The answer is no: what was waited for did not come in time.
    No,
    /// There is no such program.
    NoProgram,
    /// A program can't be executed.
    NotExecutable,
    /// A bug of PortKeeper's own.
    Bug,
}

impl Error {
    /// Of which kind this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Registry(error) => of_registry(error),
            Error::Port(error) => of_port(error),
            Error::Config(error) => of_config(error),
            Error::Setup(error) => of_setup(error),
            Error::Append(error) => of_append(error),
            Error::Project(error) => error.kind(),
            Error::NoFreePort(tally) if tally.all_denied() => ErrorKind::Permission,
            Error::Taken { .. } | Error::NoFreePort(_) | Error::Named { .. } => {
                ErrorKind::NoFreePort
            }
            Error::NotReserved { .. }
            | Error::NoSuchName { .. }
            | Error::NotYours { .. }
            | Error::NotHeld { .. }
            | Error::ProgramRuns { .. } => ErrorKind::NotReserved,
            Error::NotFree { .. } | Error::NotListening { .. } | Error::NotReady { .. } => {
                ErrorKind::No
            }
            Error::NotUndone { cause, .. } | Error::Waited { cause, .. } => cause.kind(),
            Error::NoProcess { .. }
            | Error::Request { .. }
            | Error::Variable { .. }
            | Error::NoHome { .. } => ErrorKind::Usage,
            Error::ForeignHome { .. }
            | Error::BorrowedRights { .. }
            | Error::NoControlFolder { .. } => ErrorKind::Permission,
            Error::HolderSilent { .. } | Error::Supervisor { .. } => ErrorKind::Io,
            Error::Program { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                ErrorKind::NoProgram
            }
            Error::Program { .. } => ErrorKind::NotExecutable,
            Error::Holder { source, .. }
            | Error::HandOver { source, .. }
            | Error::NoFolder { source, .. }
            | Error::Io { source, .. } => of_io(source),
        }
    }

    pub(crate) fn holder(command: &HolderCommand) -> impl Fn(io::Error) -> Error {
        move |source| Error::Holder {
            program: command.program.clone(),
            source,
        }
    }

    /// A step found nothing to do its work on. It is a bug if it is ever seen.
    pub(crate) fn not_held() -> Error {
        Error::Request {
            why: "a port was not held that should be".into(),
        }
    }

    pub(crate) fn io(action: &'static str) -> impl Fn(io::Error) -> Error {
        move |source| Error::Io { action, source }
    }
}

fn of_registry(error: &pk_registry::Error) -> ErrorKind {
    use pk_registry::Error;
    match error {
        Error::Lock(lock::Error::Timeout { .. }) => ErrorKind::LockTimeout,
        Error::Lock(lock::Error::Reentrant { .. }) => ErrorKind::Bug,
        Error::Lock(lock::Error::Io { source, .. })
        | Error::Folder(folder::Error::Io { source, .. })
        | Error::Replace(replace::Error::Io { source, .. })
        | Error::Io { source, .. } => of_io(source),
        Error::Lock(lock::Error::Unsafe { .. })
        | Error::Folder(folder::Error::Unsafe { .. } | folder::Error::Foreign { .. })
        | Error::Shared { .. }
        | Error::NotMachineWide { .. }
        | Error::FileSystem { .. }
        | Error::Unsafe { .. } => ErrorKind::Permission,
        Error::Quota { .. } => ErrorKind::NoFreePort,
        Error::TooLarge { .. } => ErrorKind::BadFile,
        Error::Foreign { .. } => ErrorKind::Newer,
        _ => ErrorKind::Io,
    }
}

fn of_port(error: &pk_core::Error) -> ErrorKind {
    use pk_core::Error;
    match error {
        Error::Busy { .. } => ErrorKind::NoFreePort,
        Error::Denied { .. } => ErrorKind::Permission,
        Error::NotLocal { .. } | Error::OtherProtocol { .. } => ErrorKind::Usage,
        Error::Io { source, .. } => of_io(source),
        _ => ErrorKind::Bug,
    }
}

fn of_config(error: &pk_config::Error) -> ErrorKind {
    match error.kind() {
        pk_config::ErrorKind::Usage => ErrorKind::Usage,
        pk_config::ErrorKind::Document => ErrorKind::BadFile,
        pk_config::ErrorKind::Permission => ErrorKind::Permission,
        pk_config::ErrorKind::Locked => ErrorKind::LockTimeout,
        _ => ErrorKind::Io,
    }
}

fn of_setup(error: &setup::Error) -> ErrorKind {
    use setup::Error;
    match error {
        Error::NotRoot
        | Error::NotMember { .. }
        | Error::InTheWay { .. }
        | Error::FileSystem { .. } => ErrorKind::Permission,
        Error::NoGroup { .. } => ErrorKind::Usage,
        Error::StillReserved { .. } => ErrorKind::NotReserved,
        Error::Registry(error) => of_registry(error),
        Error::Io { source, .. } => of_io(source),
    }
}

fn of_append(error: &append::Error) -> ErrorKind {
    match error {
        append::Error::NotRegular { .. } => ErrorKind::Permission,
        append::Error::Io { source, .. } => of_io(source),
        _ => ErrorKind::Io,
    }
}

fn of_io(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::PermissionDenied => ErrorKind::Permission,
        _ => ErrorKind::Io,
    }
}

fn of(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "",
        Protocol::Udp => "udp ",
        Protocol::Both => "tcp or udp ",
    }
}

/// `reserved by shop/web`, `reserved`, with the owner made harmless for terminals.
fn reserved_by(reservation: &Reservation) -> String {
    match &reservation.owner {
        Some(owner) => format!("reserved by {}", owner.escape_debug()),
        None => "reserved".into(),
    }
}

fn at(host: Option<Host>) -> String {
    host.map(|host| format!(" for clients of {host}"))
        .unwrap_or_default()
}

pub(crate) fn list(ports: &[Port]) -> String {
    let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
    ports.join(", ")
}

/// An error and what caused it, where two have to be told of at once and neither can be the source.
fn told(error: &Error) -> String {
    use std::error::Error as _;
    let (mut told, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_undone_tells_both_reasons() {
        let failed = |action, reason: &str| {
            Box::new(Error::Io {
                action,
                source: io::Error::other(reason),
            })
        };
        let error = Error::NotUndone {
            cause: failed("write", "no space"),
            ports: vec![Port::new(8080).unwrap()],
            undo: failed("release", "read-only"),
        };
        let expect = "cannot write: no space; ports 8080 stay reserved, because that could not be \
                      undone: cannot release: read-only";
        assert_eq!(error.to_string(), expect);
    }
}
