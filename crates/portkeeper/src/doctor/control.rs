//! The control sockets of holders: whether there is a place for them, and which of them nobody
//! listens on. Never says anything to a holder.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::finding::{Cure, Finding, Remedy};
use super::look::Look;
use crate::holder::launch::is_control;
use crate::places;

/// A socket that was bound a moment ago may not be listened on yet.
const BIRTH: Duration = Duration::from_secs(60);

/// Looks at the folders in which this user's control sockets may lie.
pub(super) fn check(look: &mut Look<'_>) {
    let folders = places::control_folders();
    match folders.usable {
        Some(folder) => look.fact("control-folder", folder.to_string_lossy()),
        None => {
            let what = "there is no private folder with a short path for the sockets of holders";
            let finding = Finding::problem("no-control-folder", what);
            look.find(finding.helped_by(Remedy::ControlFolder));
        }
    }
    for folder in folders.existing {
        let dead = dead(&folder);
        if !dead.is_empty() {
            let what = format!("{} control sockets of holders that were killed", dead.len());
            let finding = Finding::note("dead-control-sockets", what).at(folder);
            look.find(finding.cured_by(Cure::Sockets(dead)));
        }
    }
}

/// The control sockets of this user's in a folder on which nobody listens.
fn dead(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths.filter(|path| is_dead(path)).collect()
}

/// Whether this is a control socket of this user's that was left behind.
pub(super) fn is_dead(path: &Path) -> bool {
    let is_named_so = path.file_name().is_some_and(is_control);
    let is_old_and_mine = || {
        let found = std::fs::symlink_metadata(path).ok()?;
        let age = SystemTime::now().duration_since(found.modified().ok()?);
        let is_mine = found.uid() == rustix::process::geteuid().as_raw();
        Some(found.file_type().is_socket() && is_mine && age.ok()? >= BIRTH)
    };
    // A holder that hears nothing goes on as it was.
    let is_deserted = || match UnixStream::connect(path) {
        Err(error) => error.kind() == io::ErrorKind::ConnectionRefused,
        Ok(_) => false,
    };
    is_named_so && is_old_and_mine() == Some(true) && is_deserted()
}
