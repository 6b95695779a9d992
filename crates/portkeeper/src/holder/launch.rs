//! Starting a holder and handing it a port. Never waits for it longer than a deadline.
//!
//! It is started before the registry is locked, so that its number can be written with the entry
//! and nobody waits for a process to start. Until it gets its orders it does nothing, and when this
//! side goes away without a word it ends.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pk_core::handoff::pass;
use pk_core::{Hold, Machine, ProcessId};
use pk_fs::live::LiveFile;
use pk_registry::Reservation;

use super::HolderCommand;
use super::message::{self, Answer, Orders};
use crate::error::Error;

/// How long a holder may take to say that it is up.
const PATIENCE: Duration = Duration::from_secs(10);

/// A holder that has not been given anything yet. Dropped, it ends.
#[derive(Debug)]
pub(crate) struct Launched {
    command: HolderCommand,
    child: Child,
    stream: UnixStream,
}

/// A control socket that is not the holder's yet. Dropped, it is removed.
#[derive(Debug)]
pub(crate) struct Control {
    path: PathBuf,
    listener: Option<UnixListener>,
}

impl Control {
    pub(crate) fn bind(folder: &Path, id: &str) -> Result<Control, Error> {
        let path = folder.join(format!("{id}.sock"));
        let listener = UnixListener::bind(&path).map_err(Error::io("make a control socket"))?;
        Ok(Control {
            path,
            listener: Some(listener),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if self.listener.is_some() {
            // Nothing can be done about a failure: it is a name in a folder of temporary things.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Launched {
    pub(crate) fn start(command: &HolderCommand) -> Result<Launched, Error> {
        let failed = |source| Error::Holder {
            program: command.program.clone(),
            source,
        };
        let (stream, theirs) = UnixStream::pair().map_err(failed)?;
        let child = Command::new(&command.program)
            .args(&command.arguments)
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        Ok(Launched {
            command: command.clone(),
            child,
            stream,
        })
    }

    /// The holder's process.
    pub(crate) fn process(&self, machine: &Machine) -> Result<ProcessId, Error> {
        ProcessId::of(self.child.id(), machine)
            .and_then(|process| process.ok_or_else(|| io::ErrorKind::UnexpectedEof.into()))
            .map_err(|source| self.failed(source))
    }

    /// Hands over what is to be kept. When this returns, the holder has it all; its process is
    /// returned for those who live long enough to be asked for its end.
    pub(crate) fn hand_over(
        self,
        reservation: &Reservation,
        registry: &Path,
        live: &LiveFile,
        mut control: Control,
        hold: Hold,
    ) -> Result<Child, Error> {
        let orders = message::encode(&Orders::new(reservation, registry, control.path()));
        let listener = control.listener.as_ref().map(AsFd::as_fd);
        let sockets = hold.into_descriptors();
        let descriptors: Vec<BorrowedFd<'_>> = [live.as_fd()]
            .into_iter()
            .chain(listener)
            .chain(sockets.iter().map(AsFd::as_fd))
            .collect();
        let answer = self
            .stream
            .set_read_timeout(Some(PATIENCE))
            .and_then(|()| pass::send(&self.stream, &orders, &descriptors))
            .and_then(|()| message::hear(&self.stream));
        match answer {
            Ok(Answer::Ready) => {
                control.listener = None;
                Ok(self.child)
            }
            Ok(_) => Err(self.failed(io::ErrorKind::InvalidData.into())),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Holder {
            program: self.command.program.clone(),
            source,
        }
    }
}
