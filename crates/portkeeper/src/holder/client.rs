//! Talking to a holder. Never waits for one longer than a deadline.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use pk_core::handoff::pass;
use pk_core::process::About;
use pk_core::{Machine, ProcessState, process};
use pk_fs::failpoint;
use pk_fs::folder::Folder;
use pk_fs::live::{self, Life, LiveFile};
use pk_registry::{Registry, Reservation};
use rustix::fs::{AtFlags, FileType, statat};
use rustix::process::geteuid;
use tracing::debug;

use super::launch::{is_control_name, is_supervisor};
use super::message::{self, Answer, Ask};
use crate::error::Error;
use crate::release::Force;

/// How long a holder may take to let go and end.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long between two looks at a lock that is about to be free.
const GLANCE: Duration = Duration::from_millis(2);

/// How long a supervisor may take: its program is asked to end, and killed after 5 s.
const PATIENCE_WITH_PROGRAM: Duration = Duration::from_secs(8);

/// Ends the holder of a reservation. When this returns the port is free and the process gone, unless
/// it holds other ports as well.
pub(crate) fn release(
    reservation: &Reservation,
    registry: &Registry,
    machine: &Machine,
    force: Force,
) -> Result<(), Error> {
    let pid = reservation.process.map_or(0, |process| process.pid);
    let silent = || Error::HolderSilent {
        port: reservation.port,
        pid,
    };
    // The number of its process was read from a file; the lock is what tells that it lives.
    let is_kept = || registry.life(reservation, machine) != Life::Free;
    // Opened before it is asked, so that its end can be told from another's start.
    let process = match reservation
        .process
        .map(|process| process.descriptor(machine))
    {
        Some(Ok(descriptor)) => Some(descriptor),
        // Killed while it took the port, it leaves a holder that is about to notice.
        Some(Err(error)) if error.kind() == io::ErrorKind::NotFound && !is_kept_long(&is_kept) => {
            return Ok(());
        }
        _ => None,
    };
    let id = reservation.id.clone();
    failpoint!("release.ask");
    let asked = ask(reservation, &Ask::Release { id }).and_then(|stream| message::hear(&stream));
    failpoint!("release.asked");
    let has_gone = |process: &OwnedFd| ended(process, patience(reservation));
    debug!(pid, ?asked, "the holder was asked to release");
    match (asked, process, force) {
        (Ok(Answer::Released), Some(process), _) if has_gone(&process) => Ok(()),
        // Without a way to wait for it, its word must do.
        (Ok(Answer::Released), None, _) | (Ok(Answer::Freed), ..) => Ok(()),
        (_, Some(process), Force::Yes) if is_keeper(pid, reservation, registry) => {
            process::kill(&process).map_err(Error::io("end the holder"))?;
            if !has_gone(&process) {
                return Err(silent());
            }
            tidy(reservation, machine);
            Ok(())
        }
        (_, Some(process), _) if ended(&process, Duration::ZERO) && !is_kept() => Ok(()),
        _ => Err(silent()),
    }
}

/// Whether what a process that has gone kept is kept by others for longer than [`PATIENCE`].
fn is_kept_long(is_kept: &impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while is_kept() {
        if begun.elapsed() >= PATIENCE {
            return true;
        }
        thread::sleep(GLANCE);
    }
    false
}

/// Whether a process is the keeper of a reservation: it has the rights of that user, and the liveness
/// file open. Its number was read from a file, in which somebody may have written that of any.
fn is_keeper(pid: u32, reservation: &Reservation, registry: &Registry) -> bool {
    let file = registry.liveness_file(reservation);
    let is_it = |it: std::fs::Metadata| Some((it.dev(), it.ino())) == file;
    let open = std::fs::read_dir(format!("/proc/{pid}/fd"));
    let mut open = open.into_iter().flatten().flatten();
    About::of(pid).is_ok_and(|process| process.uid == reservation.uid)
        && file.is_some()
        && open.any(|entry| std::fs::metadata(entry.path()).is_ok_and(is_it))
}

/// Whether the holder of a reservation answers at all.
pub(crate) fn answers(reservation: &Reservation) -> bool {
    let answer = ask(reservation, &Ask::Ping).and_then(|stream| {
        stream.set_read_timeout(Some(PATIENCE))?;
        message::hear::<Answer>(&stream)
    });
    match answer {
        Ok(_) => true,
        // One of another version does not understand, and closes the door.
        Err(error) => matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData
        ),
    }
}

/// Removes the control socket that a killed holder of this user's left behind.
pub(crate) fn tidy(reservation: &Reservation, machine: &Machine) {
    let is_gone = reservation
        .process
        .is_none_or(|process| process.state(machine) == ProcessState::Gone);
    if is_gone && reservation.uid == geteuid().as_raw() {
        let removed = reservation
            .control
            .as_deref()
            .map(|path| remove(path, &reservation.id));
        debug!(?removed, "a dead holder's control socket");
    }
}

/// The path was read from a file, in which somebody may have named any: what is removed must be one
/// of ours in every respect, in a folder that nobody else can look into, and nobody may answer there.
fn remove(path: &Path, id: &str) -> Option<()> {
    let name = path.file_name()?.to_str()?;
    let folder = Folder::open(path.parent()?).ok()?;
    let me = geteuid().as_raw();
    let found = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let is_ours = is_control_name(name, id)
        && (folder.owner(), folder.mode() & 0o077) == (me, 0)
        && found.st_uid == me
        && FileType::from_raw_mode(found.st_mode) == FileType::Socket;
    let here = format!("/proc/self/fd/{}/{name}", folder.as_fd().as_raw_fd());
    let is_dead = is_ours
        && UnixStream::connect(here)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    is_dead.then(|| live::remove(&folder, Path::new(name)).ok())?
}

/// A port that its holder has given a copy of, and still keeps too. Dropped, it is the holder's
/// again.
#[derive(Debug)]
pub(crate) struct Given {
    stream: UnixStream,
    holder: Option<OwnedFd>,
    pub(crate) life: LiveFile,
    pub(crate) sockets: Vec<OwnedFd>,
}

/// Asks the holder of a reservation for what keeps its port.
pub(crate) fn take(reservation: &Reservation, machine: &Machine) -> Result<Given, Error> {
    let pid = reservation.process.map_or(0, |process| process.pid);
    let port = reservation.port;
    let silent = |error: io::Error| {
        debug!(%error, "asked for a port");
        Error::HolderSilent { port, pid }
    };
    let holder = reservation
        .process
        .and_then(|process| process.descriptor(machine).ok());
    let id = reservation.id.clone();
    let stream = ask(reservation, &Ask::Take { id }).map_err(silent)?;
    let mut bytes = vec![0; message::MOST];
    let (length, descriptors) = pass::receive(&stream, &mut bytes).map_err(silent)?;
    let mut descriptors = descriptors.into_iter();
    match (message::decode(&bytes[..length]), descriptors.next()) {
        (Ok(Answer::Given), Some(life)) => Ok(Given {
            stream,
            holder,
            life: life.into(),
            sockets: descriptors.collect(),
        }),
        _ => Err(silent(io::ErrorKind::InvalidData.into())),
    }
}

impl Given {
    /// Tells the holder to let go, because the registry says now that the port is somebody else's,
    /// and waits until it has ended. Should it have been killed meanwhile, that is as good.
    pub(crate) fn accept(self) -> (LiveFile, Vec<OwnedFd>) {
        let told = message::say(&self.stream, &Ask::LetGo);
        let answer = told.and_then(|()| message::hear::<Answer>(&self.stream));
        let gone = self.holder.map(|holder| ended(&holder, PATIENCE));
        debug!(?answer, ?gone, "the holder was told to let go");
        (self.life, self.sockets)
    }
}

/// Whether the reservation is kept by the supervisor of a program, and not by a mere holder.
pub(crate) fn runs_program(reservation: &Reservation) -> bool {
    let control = reservation.control.as_deref().and_then(Path::file_name);
    control.and_then(OsStr::to_str).is_some_and(is_supervisor)
}

fn ask(reservation: &Reservation, ask: &Ask) -> io::Result<UnixStream> {
    let path = reservation
        .control
        .as_ref()
        .ok_or(io::ErrorKind::NotFound)?;
    let stream = UnixStream::connect(path)?;
    if !is_trusted(&stream, reservation) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    stream.set_read_timeout(Some(patience(reservation)))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    message::say(&stream, ask)?;
    Ok(stream)
}

/// Whether the other end belongs to the user of the reservation, and not to somebody who has put
/// another path into it.
fn is_trusted(stream: &UnixStream, reservation: &Reservation) -> bool {
    match pass::peer_uid(stream) {
        Ok(uid) => [0, reservation.uid, geteuid().as_raw()].contains(&uid),
        Err(error) => cfg!(not(target_os = "linux")) && error.kind() == io::ErrorKind::Unsupported,
    }
}

fn patience(reservation: &Reservation) -> Duration {
    match runs_program(reservation) {
        true => PATIENCE_WITH_PROGRAM,
        false => PATIENCE,
    }
}

fn ended(process: &OwnedFd, patience: Duration) -> bool {
    process::wait(process, patience).unwrap_or(false)
}
