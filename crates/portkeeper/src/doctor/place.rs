//! Where the registry is, whose that place is, and what it lies on. Never reads the registry.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use pk_core::process::About;
use pk_fs::file_system::{FileSystem, Reach};
use pk_fs::folder::{self, Folder};
use pk_fs::live::{self, Life};
use pk_fs::lock;
use pk_fs::utc;
use pk_registry::Sharing;
use rustix::fs::{Access, AtFlags};
use rustix::io::Errno;

use super::Chosen;
use super::finding::{Finding, Remedy};
use super::look::{Kind, Look};
use crate::error::Error;
use crate::places;

/// How long a lock is looked at before somebody is said to keep it.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

/// How often it is looked at meanwhile.
const LOCK_PAUSE: Duration = Duration::from_millis(25);

/// Whether this process acts as somebody else than the one who started it.
pub(super) fn rights(look: &mut Look<'_>) {
    if let Err(error) = places::own_rights() {
        look.find(Finding::problem("borrowed-rights", error.to_string()));
    }
}

/// A variable whose value means nothing.
pub(super) fn variable(look: &mut Look<'_>, error: &Error) {
    let finding = Finding::problem("bad-variable", error.to_string());
    let remedy = match error {
        Error::Variable { name, .. } => Some(Remedy::Unset(name.clone())),
        _ => None,
    };
    look.find(Finding { remedy, ..finding });
}

/// The registry file, if its place can be told.
pub(super) fn registry(look: &mut Look<'_>, chosen: Chosen) -> Option<PathBuf> {
    match places::registry(look.settings) {
        Ok(path) => {
            let why = match chosen {
                Chosen::Argument => "named by --registry",
                Chosen::Variable => "named by PORTKEEPER_REGISTRY",
                Chosen::Default => "in this user's state folder, since nothing else is said",
            };
            look.fact_that("registry", path.to_string_lossy(), why);
            Some(path)
        }
        Err(error) => {
            no_place(look, "registry", &error);
            None
        }
    }
}

/// Why there is no place for something.
pub(super) fn no_place(look: &mut Look<'_>, what: &str, error: &Error) {
    let what = format!("there is no place for the {what}: {error}");
    let uid = look.here.uid;
    let finding = match error {
        Error::NoHome { .. } => Finding::problem("no-home", what).helped_by(Remedy::SetHome(uid)),
        Error::ForeignHome { home, .. } => Finding::problem("foreign-home", what)
            .at(home)
            .helped_by(Remedy::SetHome(uid)),
        Error::NoFolder { path, .. } => Finding::problem("lost-folder", what)
            .at(path)
            .helped_by(Remedy::Leave),
        _ => Finding::problem("no-place", what),
    };
    look.find(finding);
}

/// The folder of the registry, if it is there and can be looked into.
pub(super) fn folder(look: &mut Look<'_>, registry: &Path) -> Option<Folder> {
    let path = registry.parent().unwrap_or(Path::new("/"));
    let folder = match Folder::open(path) {
        Ok(folder) => folder,
        Err(folder::Error::Missing { .. }) => {
            look.fact_that(
                "folder",
                "not there yet",
                "it is made when a port is reserved",
            );
            return None;
        }
        Err(error) => {
            let why = std::error::Error::source(&error).map(|why| format!(": {why}"));
            let what = format!("{error}{}", why.unwrap_or_default());
            look.find(Finding::problem("closed-folder", what).at(path));
            return None;
        }
    };
    if let Ok(stat) = rustix::fs::fstat(&folder) {
        let described = look.described(&stat);
        look.fact("folder", described);
    }
    file_system(look, &folder);
    is_writable(look, &folder);
    Some(folder)
}

fn file_system(look: &mut Look<'_>, folder: &Folder) {
    let Ok(system) = FileSystem::of(folder) else {
        return;
    };
    let unknown = || format!("0x{:x}", system.magic);
    let name = system.name().map_or_else(unknown, str::to_owned);
    let path = folder.path();
    let (meaning, finding) = match system.reach() {
        Reach::Machine => (
            "of this machine: locks reach everybody who can open it",
            None,
        ),
        Reach::Network => (
            "of a network: locks may not reach other machines",
            Some(Finding::note(
                "network-file-system",
                format!(
                    "{} is on {name}, where locks may not reach other machines",
                    path.display()
                ),
            )),
        ),
        Reach::Unknown => (
            "nothing is known of its locks",
            Some(Finding::note(
                "unknown-file-system",
                format!(
                    "{} is on {name}, of whose locks nothing is known",
                    path.display()
                ),
            )),
        ),
    };
    look.fact_that("file-system", name, meaning);
    if let Some(finding) = finding {
        look.find(finding.at(path).helped_by(Remedy::LocalRegistry));
    }
}

/// Asks, and does not try.
fn is_writable(look: &mut Look<'_>, folder: &Folder) {
    let access = Access::WRITE_OK | Access::EXEC_OK;
    let why = match rustix::fs::accessat(folder, ".", access, AtFlags::EACCESS) {
        Err(error @ (Errno::ACCESS | Errno::ROFS)) => io::Error::from(error),
        _ => return,
    };
    let what = format!("{} can't be written to: {why}", folder.path().display());
    look.find(Finding::problem("read-only-folder", what).at(folder.path()));
}

/// The registry's file, its lock, and the folder of liveness files.
pub(super) fn files(
    look: &mut Look<'_>,
    folder: &Folder,
    registry: &Path,
    sharing: Option<Sharing>,
) {
    let Some(name) = registry.file_name() else {
        return;
    };
    let beside = |suffix: &str| {
        let mut name = OsString::from(name);
        name.push(suffix);
        PathBuf::from(name)
    };
    let (file, side, live) = (PathBuf::from(name), beside(".lock"), beside(".live"));
    for (what, name, kind) in [
        ("file", &file, Kind::File),
        ("lock", &side, Kind::File),
        ("live", &live, Kind::Folder),
    ] {
        // What is shared has other modes, which those who share it have agreed on.
        let described = match sharing {
            None | Some(Sharing::Private) => look.private(folder, name, kind),
            _ => rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
                .ok()
                .map(|stat| look.described(&stat)),
        };
        look.fact(what, described.unwrap_or_else(|| "not there yet".into()));
    }
    held(look, folder, &side);
}

/// Who has a lock, and whether that goes on for long.
pub(super) fn held(look: &mut Look<'_>, folder: &Folder, name: &Path) {
    let begun = Instant::now();
    let first = lock::holder(folder, name);
    // Whoever is not seen in /proc/locks may hold it all the same, in another process namespace.
    let is_held = |holder: &Option<lock::Holder>| {
        holder.is_some() || live::life(folder, name, None) == Life::Held
    };
    let mut holder = first.clone();
    while is_held(&holder) && holder == first && begun.elapsed() < LOCK_PATIENCE {
        thread::sleep(LOCK_PAUSE);
        holder = lock::holder(folder, name);
    }
    let path = folder.path().join(name);
    let is_kept = holder == first && is_held(&holder);
    let who = match (&holder, is_kept) {
        (_, false) => "free, or in use for a moment".to_owned(),
        (None, true) => "a process that can't be seen from here".to_owned(),
        (Some(lock::Holder { pid, command }), true) => {
            let command = command.as_ref().map(|it| format!(" ({it})"));
            let since = About::of(*pid).map(|it| utc::rfc3339(it.started));
            let since = since.map(|time| format!(", which runs since {time}"));
            format!(
                "process {pid}{}{}",
                command.unwrap_or_default(),
                since.unwrap_or_default()
            )
        }
    };
    if is_kept {
        let what = format!("{} is locked by {who}", path.display());
        let finding = Finding::problem("lock-held", what).at(path);
        let remedy = holder.map(|holder| stop_or_wake(holder.pid));
        look.find(Finding { remedy, ..finding });
    }
    look.fact("lock-holder", who);
}

/// What helps against a process that does not go on.
pub(super) fn stop_or_wake(pid: u32) -> Remedy {
    match About::of(pid) {
        Ok(about) if about.is_stopped => Remedy::Wake(pid),
        _ => Remedy::End(pid),
    }
}
