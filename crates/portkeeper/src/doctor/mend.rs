//! Mends what is this user's own and can't be missed. Never removes what somebody may want to see,
//! ends a process, or touches what is another user's.

use pk_config::recovery;
use pk_fs::folder::Folder;
use pk_registry::Here;

use super::finding::{Cure, Finding};
use crate::error::Error;
use crate::keeper::{PortKeeper, Unused};
use crate::settings::Settings;

/// Does what the findings call for; returns what failed.
pub(super) fn all(settings: &Settings, findings: &[Finding]) -> Vec<Error> {
    let mut failed = Vec::new();
    let cures = || findings.iter().filter_map(|finding| finding.cure.as_ref());
    // Modes first: what is closed to its owner could not be locked.
    for cure in cures() {
        match cure {
            Cure::Mode { path, mode } => {
                let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
                    continue;
                };
                let set = Folder::open(folder).map_err(pk_registry::Error::from);
                let set = set.map_err(Error::from).and_then(|folder| {
                    folder
                        .set_mode(name.as_ref(), *mode)
                        .map_err(|error| pk_registry::Error::from(error).into())
                });
                failed.extend(set.err());
            }
            Cure::Collect | Cure::Recover => {}
        }
    }
    let wants = |wanted: Cure| cures().any(|cure| *cure == wanted);
    if wants(Cure::Recover) {
        failed.extend(recover(settings).unwrap_or_else(|error| vec![error]));
    }
    if wants(Cure::Collect) {
        failed.extend(collect(settings).err());
    }
    failed
}

fn collect(settings: &Settings) -> Result<(), Error> {
    PortKeeper::open(settings.clone())?.gc(Unused::Keep)?;
    Ok(())
}

/// Takes back what can be taken back, and tells of what can't.
fn recover(settings: &Settings) -> Result<Vec<Error>, Error> {
    let (keeper, here) = (PortKeeper::open(settings.clone())?, Here::now());
    let recovered = recovery::recover(&keeper.state()?, keeper.wait(), here.wall)?;
    keeper.recover_files(&here)?;
    let stuck = recovered.stuck.into_iter();
    Ok(stuck
        .map(|it| pk_config::Error::Unrecovered(it).into())
        .collect())
}
