//! A small detached process that keeps a port's sockets when the command that reserved it has
//! ended. Never writes the registry.
//!
//! It is this program once more, started with a socket as its standard input. Over that socket come
//! its orders and, as open descriptors, everything that it keeps: the bound sockets, the locked
//! liveness file, the control socket. So there is no moment at which the port is free or the
//! reservation looks abandoned, and nothing leaks that was not meant.

pub(crate) mod client;
pub(crate) mod launch;
pub(crate) mod message;
pub(crate) mod plea;
pub(crate) mod serve;
pub(crate) mod sweep;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::error::Error;

/// How the program that contains this library is started as a holder: it must call
/// [`serve`] as the first thing it does, with all that follows these arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HolderCommand {
    /// The executable.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// What a process is started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// To hold a port.
    Hold,
    /// To supervise a program.
    Run,
}

impl Role {
    const ALL: [Role; 2] = [Role::Hold, Role::Run];

    fn word(self) -> &'static str {
        match self {
            Role::Hold => "hold",
            Role::Run => "run",
        }
    }
}

impl HolderCommand {
    /// The process, to be given its standard input.
    pub(crate) fn process(&self, role: Role) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg(role.word());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

/// Runs this process as a holder, or as the supervisor of a program, until there is nothing to hold
/// any more. To be called as the first thing in a process that was started by a [`HolderCommand`],
/// with the arguments that follow the command's own, and its environment.
///
/// # Errors
/// [`Error::Request`] for other arguments, [`Error::Io`] when what comes over standard input makes
/// no sense.
pub fn serve(
    arguments: &[OsString],
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<(), Error> {
    let role = arguments.split_first().and_then(|(word, rest)| {
        let role = Role::ALL.into_iter().find(|role| *word == *role.word())?;
        Some((role, rest))
    });
    match role {
        Some((Role::Hold, _)) => serve::serve(),
        Some((Role::Run, program)) => {
            crate::launch::serve(program, environment.into_iter().collect())
        }
        None => Err(Error::Request {
            why: "this word is for PortKeeper's own use".into(),
        }),
    }
}
