//! Control sockets that nobody answers at any more: those of processes that were killed before an
//! entry named them, or after. Never touches one whose process lives or on which somebody listens.

use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::Path;

use pk_core::{Machine, ProcessId};
use rustix::process::geteuid;
use tracing::debug;

use super::launch::process_in;
use crate::places;

/// Removes them, whichever registry they belong to; returns how many there were.
pub(crate) fn sweep(machine: &Machine) -> usize {
    let folders = places::control_folders().existing;
    let entries = folders
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok());
    let sockets = entries.flatten().flatten().filter(|entry| {
        let name = entry.file_name();
        let process = name.to_str().and_then(process_in);
        process.is_some_and(|pid| is_gone(pid, machine)) && is_deserted(&entry.path())
    });
    let removed = sockets.filter(|entry| {
        let removed = std::fs::remove_file(entry.path());
        debug!(path = %entry.path().display(), ?removed, "a dead process' control socket");
        removed.is_ok()
    });
    removed.count()
}

/// Whether this process namespace has no such process. One of another namespace looks the same,
/// but then it listens.
fn is_gone(pid: u32, machine: &Machine) -> bool {
    matches!(ProcessId::of(pid, machine), Ok(None))
}

/// Whether it is a socket of this user's on which nobody listens.
fn is_deserted(path: &Path) -> bool {
    let is_ours = std::fs::symlink_metadata(path)
        .is_ok_and(|found| found.file_type().is_socket() && found.uid() == geteuid().as_raw());
    let answer = || UnixStream::connect(path).map_err(|error| error.kind());
    is_ours && matches!(answer(), Err(ErrorKind::ConnectionRefused))
}
