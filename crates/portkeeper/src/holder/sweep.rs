//! Control sockets that nobody answers at any more: those of processes that were killed before an
//! entry named them, or after. Never touches one whose process lives or on which somebody listens.

use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use pk_core::{Machine, ProcessId};
use rustix::process::geteuid;
use tracing::debug;

use super::launch::{is_control, process_in};
use crate::places;

/// Removes them, whichever registry they belong to; returns how many there were.
pub(crate) fn sweep(machine: &Machine) -> usize {
    let folders = places::control_folders().existing;
    let left = folders
        .iter()
        .flat_map(|folder| left_behind(folder, machine));
    left.filter(|path| {
        let removed = std::fs::remove_file(path);
        debug!(path = %path.display(), ?removed, "a dead process' control socket");
        removed.is_ok()
    })
    .count()
}

/// Those that lie in a folder.
pub(crate) fn left_behind(folder: &Path, machine: &Machine) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths.filter(|path| is_left_behind(path, machine)).collect()
}

/// Whether this is the control socket of a process of this user's that has gone.
pub(crate) fn is_left_behind(path: &Path, machine: &Machine) -> bool {
    let name = path.file_name().filter(|name| is_control(name));
    let process = name.and_then(|name| process_in(name.to_str()?));
    process.is_some_and(|pid| is_gone(pid, machine)) && is_deserted(path)
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
