//! The control sockets of holders: whether there is a place for them, and which of them nobody
//! listens on. Never says anything to a holder.

use super::finding::{Cure, Finding, Remedy};
use super::look::Look;
use crate::holder::sweep;
use crate::places;

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
        let left = sweep::left_behind(&folder, &look.here.machine);
        if !left.is_empty() {
            let what = format!("{} control sockets of holders that were killed", left.len());
            let finding = Finding::note("dead-control-sockets", what).at(folder);
            look.find(finding.cured_by(Cure::Collect));
        }
    }
}
