//! Starting a holder and handing it a port. Never waits for it longer than a deadline.
//!
//! It is started before the registry is locked, so that its number can be written with the entry
//! and nobody waits for a process to start. Until it gets its orders it does nothing, and when this
//! side goes away without a word it ends.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use pk_core::handoff::pass;
use pk_core::{Hold, Machine, ProcessId};
use pk_fs::failpoint;
use pk_fs::live::LiveFile;
use pk_registry::Reservation;

use super::message::{self, Answer, Orders};
use super::{HolderCommand, Role};
use crate::draft::ID_LENGTH;
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

/// Whether a control socket of this name belongs to that reservation.
pub(super) fn is_control_name(name: &str, id: &str) -> bool {
    parse(name).is_some_and(|(found, ..)| found == id)
}

/// Whether a file of this name is a control socket.
pub(crate) fn is_control(name: &OsStr) -> bool {
    let name = name.to_str().unwrap_or_default();
    let (id, _) = name.split_once('.').unwrap_or_default();
    let is_id = id.len() == ID_LENGTH && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_id && is_control_name(name, id)
}

/// Whether a supervisor answers at a control socket of this name.
pub(super) fn is_supervisor(name: &str) -> bool {
    parse(name).is_some_and(|(_, role, _)| role == Role::Run)
}

/// The process with which a control socket of this name has gone, unless somebody still answers.
pub(super) fn process_in(name: &str) -> Option<u32> {
    parse(name).map(|(.., process)| process)
}

/// The parts of `ID.hold-PID.sock` and `ID.run-PID.sock`.
fn parse(name: &str) -> Option<(&str, Role, u32)> {
    let (id, rest) = name.strip_suffix(".sock")?.split_once('.')?;
    let (word, process) = rest.split_once('-')?;
    let role = Role::ALL.into_iter().find(|role| role.word() == word)?;
    Some((id, role, process.parse().ok()?))
}

impl Control {
    /// Where that of a reservation is. A port goes from a holder to a supervisor under the same id,
    /// and several may want to be that supervisor. When `process`, who answers at it or starts the
    /// one who does, has gone and nobody answers, the name is of no use any more.
    pub(crate) fn path_of(folder: &Path, id: &str, role: Role, process: u32) -> PathBuf {
        folder.join(format!("{id}.{}-{process}.sock", role.word()))
    }

    pub(crate) fn bind(path: &Path) -> Result<Control, Error> {
        let path = path.to_owned();
        let failed = Error::io("make a control socket");
        failpoint!("control.bind", |error| return Err(failed(error)));
        let listener = UnixListener::bind(&path).map_err(|error| {
            // It may be bound already and not listen. Whether it was there is seen by its name.
            if error.kind() != io::ErrorKind::AddrInUse {
                let _ = std::fs::remove_file(&path);
            }
            failed(error)
        })?;
        failpoint!("control.bound");
        let control = Control {
            path,
            listener: Some(listener),
        };
        // Who may connect is who may write, and the umask may have taken that from everybody.
        let mine = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&control.path, mine).map_err(failed)?;
        Ok(control)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The socket, to be passed on.
    pub(crate) fn listener(&self) -> Option<BorrowedFd<'_>> {
        self.listener.as_ref().map(AsFd::as_fd)
    }

    /// The socket, for this very process to answer on. Whoever takes it removes it.
    pub(super) fn into_listener(mut self) -> Option<UnixListener> {
        self.listener.take()
    }

    /// It is another process' now, which will remove it.
    pub(crate) fn give_away(&mut self) {
        self.listener = None;
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
        let failed = Error::holder(command);
        failpoint!("holder.start", |error| return Err(failed(error)));
        let (stream, theirs) = UnixStream::pair().map_err(&failed)?;
        let child = command
            .process(Role::Hold)
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()
            .map_err(&failed)?;
        failpoint!("holder.started");
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
        let listener = control.listener();
        let sockets = hold.into_descriptors();
        let descriptors: Vec<BorrowedFd<'_>> = [live.as_fd()]
            .into_iter()
            .chain(listener)
            .chain(sockets.iter().map(AsFd::as_fd))
            .collect();
        failpoint!("holder.order", |error| return Err(self.failed(error)));
        let ordered = self
            .stream
            .set_read_timeout(Some(PATIENCE))
            .and_then(|()| pass::send(&self.stream, &orders, &descriptors));
        failpoint!("holder.ordered");
        let answer = ordered.and_then(|()| message::hear(&self.stream));
        failpoint!("holder.heard");
        match answer {
            Ok(Answer::Ready) => {
                control.give_away();
                Ok(self.child)
            }
            Ok(_) => Err(self.failed(io::ErrorKind::InvalidData.into())),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::holder(&self.command)(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_control_sockets_say_whose_they_are() {
        let path = Control::path_of(Path::new("/run"), "k3v9", Role::Hold, 12);
        assert_eq!(path, Path::new("/run/k3v9.hold-12.sock"));
        let check = |name: &str, expect| assert_eq!(parse(name), expect, "{name}");
        check("k3v9.hold-12.sock", Some(("k3v9", Role::Hold, 12)));
        check("k3v9.run-7.sock", Some(("k3v9", Role::Run, 7)));
        check("k3v9.sock", None);
        check("k3v9.hold-.sock", None);
        check("k3v9.hold-12", None);
        check("k3v9.else-12.sock", None);
        assert!(is_control_name("k3v9.run-7.sock", "k3v9"));
        assert!(!is_control_name("k3v9.run-7.sock", "k3v"));
    }
}
