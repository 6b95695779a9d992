//! Talking to a holder. Never waits for one longer than a deadline.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use pk_core::{Machine, ProcessState, process};
use pk_registry::Reservation;
use rustix::process::geteuid;
use tracing::debug;

use super::message::{self, Answer, Ask};
use crate::error::Error;
use crate::keeper::Force;

/// How long a holder may take to let go and end.
const PATIENCE: Duration = Duration::from_secs(2);

/// Ends the holder of a reservation. When this returns the port is free and the process gone.
pub(crate) fn release(
    reservation: &Reservation,
    machine: &Machine,
    force: Force,
) -> Result<(), Error> {
    let pid = reservation.process.map_or(0, |process| process.pid);
    let silent = || Error::HolderSilent {
        port: reservation.port,
        pid,
    };
    // Opened before it is asked, so that its end can be told from another's start.
    let process = match reservation
        .process
        .map(|process| process.descriptor(machine))
    {
        Some(Ok(descriptor)) => Some(descriptor),
        Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        _ => None,
    };
    let asked = ask(reservation);
    debug!(pid, ?asked, "the holder was asked to release");
    match (asked, process, force) {
        (Ok(Answer::Released), Some(process), _) if ended(&process) => Ok(()),
        // Without a way to wait for it, its word must do.
        (Ok(Answer::Released), None, _) => Ok(()),
        (_, Some(process), Force::Yes) => {
            process::kill(&process).map_err(Error::io("end the holder"))?;
            if !ended(&process) {
                return Err(silent());
            }
            tidy(reservation, machine);
            Ok(())
        }
        (_, Some(process), Force::No) if ended_already(&process) => Ok(()),
        _ => Err(silent()),
    }
}

/// Removes the control socket that a killed holder left behind.
pub(crate) fn tidy(reservation: &Reservation, machine: &Machine) {
    let Some(path) = &reservation.control else {
        return;
    };
    let is_gone = reservation
        .process
        .is_none_or(|process| process.state(machine) == ProcessState::Gone);
    // The path was read from a file: it must look like one of ours in every respect.
    let is_ours = path
        .file_name()
        .is_some_and(|name| *name == *format!("{}.sock", reservation.id))
        && std::fs::symlink_metadata(path)
            .is_ok_and(|found| found.file_type().is_socket() && found.uid() == geteuid().as_raw());
    if is_gone && is_ours {
        let removed = std::fs::remove_file(path);
        debug!(path = %path.display(), ?removed, "a dead holder's control socket");
    }
}

fn ask(reservation: &Reservation) -> io::Result<Answer> {
    let path = reservation
        .control
        .as_ref()
        .ok_or(io::ErrorKind::NotFound)?;
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    message::say(
        &stream,
        &Ask::Release {
            id: reservation.id.clone(),
        },
    )?;
    message::hear(&stream)
}

fn ended(process: &OwnedFd) -> bool {
    process::wait(process, PATIENCE).unwrap_or(false)
}

fn ended_already(process: &OwnedFd) -> bool {
    process::wait(process, Duration::ZERO).unwrap_or(false)
}
