//! What killed processes left beside the registry. Never removes any of it.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use pk_fs::folder::Folder;
use pk_fs::live::{self, Life};
use pk_registry::{Listed, Snapshot};
use rustix::fs::Dir;

use super::finding::{Cure, Finding, Remedy};
use super::look::Look;

/// Looks into the registry's folder, and that of its liveness files.
pub(super) fn beside(
    look: &mut Look<'_>,
    folder: &Folder,
    registry: &Path,
    snapshot: Option<&Snapshot>,
) {
    let Some(name) = registry.file_name() else {
        return;
    };
    let names = names(folder);
    let marked = |mark: &str| {
        let mut prefix = name.to_owned();
        prefix.push(mark);
        let is_marked = move |it: &&OsString| it.as_bytes().starts_with(prefix.as_bytes());
        names.iter().filter(is_marked).collect::<Vec<_>>()
    };
    let temps = marked(".tmp-");
    let count = temps.iter().filter(|name| !has_writer(name)).count();
    if count > 0 {
        let what = format!("{count} temporary files of writers that were killed");
        let finding = Finding::note("temp-files", what).at(folder.path());
        look.find(finding.cured_by(Cure::Collect));
    }
    let copies = marked(".corrupt-");
    if !copies.is_empty() {
        let what = format!(
            "{} unreadable registries were put aside; look at them, then remove them",
            copies.len()
        );
        let paths = copies.iter().map(|name| folder.path().join(name));
        let finding = Finding::note("corrupt-copies", what).at(folder.path());
        look.find(finding.helped_by(Remedy::Remove(paths.collect())));
    }
    let mut live = name.to_owned();
    live.push(".live");
    lives(look, &folder.path().join(live), snapshot);
}

/// Liveness files that nobody has locked and no entry names.
fn lives(look: &mut Look<'_>, path: &Path, snapshot: Option<&Snapshot>) {
    let Ok(folder) = Folder::open(path) else {
        return;
    };
    let entries = snapshot.iter().flat_map(|it| &it.entries);
    let known: HashSet<&OsStr> = entries
        .filter_map(|entry| match entry {
            Listed::Sound { reservation, .. } => Some(OsStr::new(&reservation.id)),
            Listed::Damaged { .. } => None,
        })
        .collect();
    let is_dead = |name: &&OsString| {
        !known.contains(name.as_os_str())
            && live::life(&folder, Path::new(name), None) == Life::Free
    };
    let count = names(&folder).iter().filter(is_dead).count();
    if count > 0 {
        let what = format!("{count} liveness files of reservations that are no more");
        let finding = Finding::note("dead-liveness-files", what).at(path);
        look.find(finding.cured_by(Cure::Collect));
    }
}

/// Whether the process lives that a temporary file is named after: `….tmp-4712-0`.
fn has_writer(name: &OsStr) -> bool {
    let pid = || {
        let (_, mark) = name.to_str()?.rsplit_once(".tmp-")?;
        mark.split('-').next()?.parse::<u32>().ok()
    };
    pid().is_some_and(|pid| Path::new("/proc").join(pid.to_string()).exists())
}

/// What lies in a folder; nothing where it can't be read.
pub(super) fn names(folder: &Folder) -> Vec<OsString> {
    let Ok(entries) = Dir::read_from(folder) else {
        return Vec::new();
    };
    let names = entries
        .flatten()
        .map(|entry| entry.file_name().to_bytes().to_vec());
    let names = names.filter(|name| !matches!(&name[..], b"." | b".."));
    names.map(OsString::from_vec).collect()
}

/// Paths, for a sentence.
pub(super) fn told(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    paths.join(", ")
}
