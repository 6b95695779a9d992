//! What goes wrong, as the user is told: one line with what, which and why, and one with what helps.
//! Never decides what is an error.

use std::error::Error as _;
use std::io;

use portkeeper::fs::folder::Trust;
use portkeeper::fs::{lock, replace::DurableError};
use portkeeper::{Error as Cause, ErrorKind, config, project, registry, setup};

use crate::exit_code::code;
use crate::output;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Error {
    /// Not a failure: help or the version was asked for, and printed.
    Answered,
    /// The arguments mean nothing.
    Usage { message: String, hint: String },
    /// The library said no.
    Library(Box<Cause>),
    /// The library said no, and the command knows better than others what helps.
    Hinted {
        cause: Box<Cause>,
        hint: &'static str,
    },
    /// Several things failed. Each was told already.
    Several(u8),
    /// Not a failure of this command: what it ran has ended with this code.
    Ended(u8),
    /// The answer is no: there is no such thing.
    No { message: String, hint: String },
    /// The answer could not be printed.
    Output { source: io::Error, undone: String },
    /// The answer could not be given otherwise.
    Untold { cause: Box<Cause>, undone: String },
}

impl Error {
    pub(crate) fn usage(message: String) -> Error {
        Error::Usage {
            message,
            hint: "portkeeper --help".into(),
        }
    }

    /// With a hint of its own where a file is missing.
    pub(crate) fn or_if_missing(self, hint: &'static str) -> Error {
        match self {
            Error::Library(cause)
                if matches!(*cause, Cause::Config(config::Error::Missing { .. })) =>
            {
                Error::Hinted { cause, hint }
            }
            other => other,
        }
    }

    /// What has become of the reservation whose answer nobody has heard.
    pub(crate) fn undone(self, undone: String) -> Error {
        match self {
            Error::Output { source, .. } => Error::Output { source, undone },
            Error::Library(cause) => Error::Untold { cause, undone },
            other => other,
        }
    }

    /// An answer to a question could not be printed.
    pub(crate) fn unprinted(source: io::Error) -> Error {
        Error::Output {
            source,
            undone: String::new(),
        }
    }

    /// Tells the user, and returns the exit code.
    pub(crate) fn report(&self) -> u8 {
        let (message, hint, code) = match self {
            Error::Answered => return 0,
            Error::Several(code) | Error::Ended(code) => return *code,
            Error::Usage { message, hint } => (message.clone(), hint.clone(), 2),
            Error::No { message, hint } => (message.clone(), hint.clone(), 1),
            Error::Library(cause) => (chain(cause), hint(cause), code(cause.kind())),
            Error::Hinted { cause, hint } => (chain(cause), (*hint).to_owned(), code(cause.kind())),
            Error::Untold { cause, undone } => (
                format!("{}{undone}", chain(cause)),
                hint(cause),
                code(cause.kind()),
            ),
            Error::Output { source, undone } => (
                format!("cannot print the answer: {source}{undone}"),
                "give the command a standard output that can be written to".into(),
                7,
            ),
        };
        output::error(&message, &hint);
        code
    }
}

impl From<config::Error> for Error {
    fn from(cause: config::Error) -> Error {
        Cause::from(cause).into()
    }
}

impl From<Cause> for Error {
    fn from(cause: Cause) -> Error {
        Error::Library(Box::new(cause))
    }
}

/// Tells of several failures at once; the worst news is the first one's exit code.
pub(crate) fn report_all(failed: &[Cause]) -> Result<(), Error> {
    for cause in failed {
        output::error(&chain(cause), &hint(cause));
    }
    match failed {
        [] => Ok(()),
        [only] => Err(Error::Several(code(only.kind()))),
        // A release of several that could not do everything has one code.
        _ => Err(Error::Several(code(ErrorKind::NotReserved))),
    }
}

/// The error and what caused it, in one line that does a terminal no harm.
#[must_use]
pub fn chain(cause: &Cause) -> String {
    let mut line = cause.to_string();
    let mut next = cause.source();
    while let Some(error) = next {
        let text = error.to_string();
        // Some errors repeat their cause.
        if !line.ends_with(&text) {
            line = format!("{line}: {text}");
        }
        next = error.source();
    }
    output::printable(&line)
}

/// What helps.
fn hint(cause: &Cause) -> String {
    match cause {
        Cause::NoFreePort(tally) if tally.all_denied() => PRIVILEGED.into(),
        Cause::NoFreePort(tally) if tally.reserved > 0 => {
            "portkeeper gc --unused 1h --dry-run shows what could be dropped".into()
        }
        Cause::NoFreePort(_) => "give another --range, or none".into(),
        Cause::Waited { cause, .. } => hint(cause),
        Cause::Taken {
            port, by: Some(_), ..
        } => format!("portkeeper status {port} shows by whom"),
        Cause::Taken { .. } => "without --strict another port is found".into(),
        Cause::Project(error) => project_hint(error),
        Cause::Named { name, .. } => format!("portkeeper release --name {name}"),
        Cause::NotReserved { .. } | Cause::NoSuchName { .. } => {
            "portkeeper status lists what is reserved".into()
        }
        Cause::Program { .. } => "name a program that is there and that you may execute".into(),
        Cause::HandOver { .. } => "--hand-over auto takes the best way that works".into(),
        Cause::NotReady { .. } => {
            "see what the command says, or give it longer: --ready 60s".into()
        }
        Cause::Supervisor { .. } => "start it again".into(),
        Cause::NotHeld { port } => {
            format!("portkeeper release {port}, and portkeeper run --preferred {port} -- COMMAND")
        }
        Cause::ProgramRuns { port, .. } => format!("portkeeper release {port} ends it"),
        Cause::NotYours { .. } => "only that user, or root, can release it".into(),
        Cause::HolderSilent { port, .. } => format!("portkeeper release --force {port}"),
        Cause::Registry(error) => registry_hint(error),
        Cause::Setup(error) => setup_hint(error),
        Cause::Append(_) => {
            "GITHUB_ENV and GITHUB_OUTPUT name files that are there and yours to write".into()
        }
        Cause::Port(portkeeper::PortError::Denied { .. }) => PRIVILEGED.into(),
        Cause::Port(portkeeper::PortError::NotLocal { .. }) => {
            "ip address lists this machine's addresses; 127.0.0.1 is always one".into()
        }
        Cause::NoHome { .. } | Cause::ForeignHome { .. } => {
            "set HOME, or PORTKEEPER_STATE_DIR to a folder of your own".into()
        }
        Cause::BorrowedRights { .. } => {
            "run it as the user whose ports they are to be: sudo -u USER portkeeper".into()
        }
        Cause::NoControlFolder { .. } => {
            "set XDG_RUNTIME_DIR or TMPDIR to a folder of your own with a short path".into()
        }
        Cause::NotFree { port, .. } | Cause::NotListening { port, .. } => {
            format!("portkeeper why {port}")
        }
        Cause::NoProcess { .. } => "give the number of a process that runs".into(),
        Cause::Config(error) => config_hint(error),
        Cause::NotUndone { ports, .. } => {
            let ports: Vec<_> = ports.iter().map(ToString::to_string).collect();
            format!("portkeeper release {}", ports.join(" "))
        }
        _ => "portkeeper --help".into(),
    }
}

const SAID: &str = "docs/reference/project.md tells what can be said";
const PRIVILEGED: &str = "take a port from 1024 on, or run this as root";

/// Whose registry to use instead, or how to make the one that was meant.
fn registry_hint(error: &registry::Error) -> String {
    use registry::Error;
    let hint = match error {
        Error::Lock(lock::Error::Timeout { holder, .. }) => match holder {
            Some(holder) => {
                return format!(
                    "see what process {} is doing, or wait longer: --lock-timeout 60s",
                    holder.pid
                );
            }
            None => "wait longer: --lock-timeout 60s",
        },
        Error::Lock(lock::Error::Io { action: "lock", .. }) => {
            "name a file on a file system that has locks, with --registry"
        }
        Error::Foreign { .. } => "update portkeeper, or name another file with --registry",
        Error::Shared { trust, .. } => match trust {
            Trust::Sticky | Trust::Everybody => {
                "sudo portkeeper setup --machine makes a registry that all users share"
            }
            Trust::Group { .. } => {
                "portkeeper setup --group GROUP DIR makes one that the group shares"
            }
            _ => "keep the registry in a folder that only you can write to, with --registry",
        },
        Error::NotMachineWide { .. } => "sudo portkeeper setup --machine mends it",
        Error::FileSystem { .. } => "name a file on a local file system with --registry",
        Error::Quota { .. } => "portkeeper release --mine gives back all of yours",
        Error::TooLarge { path, .. } => {
            return format!(
                "move {} away, or name another file with --registry",
                path.display()
            );
        }
        _ => "name another file with --registry or PORTKEEPER_REGISTRY",
    };
    hint.into()
}

fn project_hint(error: &project::Error) -> String {
    use project::Error;
    let hint = match error {
        Error::NoFile { .. } => "portkeeper init writes a first one",
        Error::Several { .. } => "name one of them with --config",
        Error::Meaningless { .. } => SAID,
        Error::NoProfile { .. } => "a profile is a table [profiles.NAME]",
        Error::Disagree { .. } => "give both the same value, or take one of them out",
        Error::NotOurs { .. } => "name another path, or move that file away",
        Error::Exists { .. } => "portkeeper prepare does what it says",
        // Its files are named in the project's file, not by options.
        Error::Output { source, .. } => match &**source {
            Cause::Request { .. } => SAID,
            Cause::Config(config::Error::Missing { .. }) => "name a file that is there",
            Cause::Config(error) if error.kind() == config::ErrorKind::Usage => SAID,
            _ => return hint(source),
        },
        Error::Port { source, .. } => return hint(source),
        _ => "portkeeper prepare --help",
    };
    hint.into()
}

fn setup_hint(error: &setup::Error) -> String {
    use setup::Error;
    let hint = match error {
        Error::NotRoot => "sudo portkeeper setup --machine",
        Error::NoGroup { .. } => {
            "getent group lists them; one from elsewhere is given by its number"
        }
        Error::NotMember { name } => {
            return format!(
                "sudo usermod -aG {} $USER, and log in again",
                output::printable(name)
            );
        }
        Error::InTheWay { .. } => "take it out of the way, or name another folder",
        Error::FileSystem { .. } => "name a folder on a local file system",
        Error::StillReserved { .. } => {
            "portkeeper status shows by whom; --force removes it all the same"
        }
        Error::Registry(error) => return registry_hint(error),
        _ => "see that the folder above it is there and yours to change",
    };
    hint.into()
}

fn config_hint(error: &config::Error) -> String {
    use config::{Error, ErrorKind};
    let hint = match (error, error.kind()) {
        (Error::ReadOnly { .. }, _) => "--force writes it all the same, and keeps its mode",
        (Error::File(DurableError::InPlaceOnly { .. }), _) => {
            "without --no-in-place it is written where it is, after a verified copy was made"
        }
        (Error::Missing { .. }, _) => "name the file with --file",
        (Error::State(_) | Error::StateShared { .. } | Error::StateFile { .. }, kind)
            if kind != ErrorKind::Io =>
        {
            "set PORTKEEPER_STATE_DIR to a folder that only you can write to"
        }
        (Error::NoBackup { path, .. } | Error::AmbiguousBackup { path, .. }, _) => {
            return format!(
                "portkeeper backup list {}",
                output::printable(&path.to_string_lossy())
            );
        }
        (
            Error::Edit {
                source: config::edit::Error::Dangerous { .. },
                ..
            },
            _,
        ) => "--force writes it all the same",
        (_, ErrorKind::Usage) => {
            "portkeeper env --help and portkeeper json --help tell what can be written"
        }
        (_, ErrorKind::Document) => "mend the file by hand and try again; it is as it was",
        (_, ErrorKind::Permission) => "name a file of your own, in a folder that you can write to",
        (_, ErrorKind::Locked) => "wait longer: --lock-timeout 60s",
        _ => "see that the folder is there and has room; the file is as it was",
    };
    hint.into()
}
