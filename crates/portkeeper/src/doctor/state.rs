//! The state folder: backups, the journals of changes of files, and whose it is. Never takes a change
//! back.

use std::path::Path;

use pk_config::{State, recovery};
use pk_fs::folder::{Folder, Trust};

use super::finding::{Cure, Finding, Remedy};
use super::litter::told;
use super::look::{Kind, Look};
use super::place;
use crate::places;

/// Looks at the folder. That it has no place is said, unless that was said of the registry.
pub(super) fn check(look: &mut Look<'_>, has_registry: bool) {
    let path = match places::state_dir(look.settings) {
        Ok(path) => path,
        Err(error) => {
            if has_registry {
                place::no_place(look, "backups of files", &error);
            }
            return;
        }
    };
    look.fact_that(
        "state-folder",
        path.to_string_lossy(),
        "backups, and journals of changes of files",
    );
    let Ok(folder) = Folder::open(&path) else {
        // Not there yet; or closed, which every command that needs it says.
        return;
    };
    trust(look, &folder);
    for (name, kind) in [
        ("files.lock", Kind::File),
        ("backups", Kind::Folder),
        ("txn", Kind::Folder),
    ] {
        look.private(&folder, Path::new(name), kind);
    }
    let lock = Path::new("files.lock");
    if pk_fs::lock::holder(&folder, lock).is_some() {
        place::held(look, &folder, lock);
    }
    writes(look, &State::at(&path));
}

fn trust(look: &mut Look<'_>, folder: &Folder) {
    let path = folder.path();
    match folder.trust() {
        // One that was named by somebody may be meant to be as it is.
        Trust::Private if look.settings.state_dir.is_some() => {}
        Trust::Private | Trust::Foreign { .. } => {
            look.private(folder, Path::new("."), Kind::Folder);
        }
        Trust::Everybody | Trust::Sticky | Trust::Group { .. } => {
            let what = format!("others may write to the state folder {}", path.display());
            let remedy = Remedy::Mode {
                path: path.into(),
                mode: 0o700,
            };
            look.find(
                Finding::problem("unsafe-state-folder", what)
                    .at(path)
                    .helped_by(remedy),
            );
        }
    }
}

/// What processes that were killed while they wrote files have left.
fn writes(look: &mut Look<'_>, state: &State) {
    let stages = state.leftovers();
    if !stages.is_empty() {
        let what = format!(
            "half-written files of processes that were killed: {}",
            told(&stages)
        );
        look.find(
            Finding::note("dead-stages", what)
                .at(state.path())
                .cured_by(Cure::Collect),
        );
    }
    match recovery::pending(state) {
        Ok(pending) => {
            for it in pending {
                let what = format!("a change of files was cut short: {}", told(&it.files));
                let finding = Finding::problem("interrupted-write", what).at(it.journal);
                look.find(finding.cured_by(Cure::Recover));
            }
        }
        Err(error) => {
            let what = format!("the journals of changes of files can't be read: {error}");
            look.find(Finding::problem("unreadable-journals", what).at(state.path()));
        }
    }
}
