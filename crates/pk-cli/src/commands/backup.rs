//! `portkeeper backup`.

use std::time::SystemTime;

use portkeeper::PortKeeper;
use portkeeper::config::backup;

use super::wrote;
use crate::args::{Backup, Format};
use crate::error::Error;
use crate::output::{self, human, json};

pub(crate) fn run(args: &Backup, keeper: &PortKeeper, format: Option<Format>) -> Result<(), Error> {
    let text = match args {
        Backup::List { file } => {
            let found = backup::list(&keeper.state()?, file.as_deref())?;
            match output::format_for_people(format) {
                Format::Text => human::backups(&found),
                _ => json::backups(&found),
            }
        }
        Backup::Restore(which) => {
            keeper.recover()?;
            let (state, now) = (keeper.state()?, SystemTime::now());
            wrote(
                &[backup::restore(
                    &state,
                    &which.file,
                    which.at.as_deref(),
                    now,
                )?],
                format,
            )
        }
        Backup::Diff(which) => {
            let diff = backup::diff_with(&keeper.state()?, &which.file, which.at.as_deref())?;
            human::diffs(std::iter::once(diff.as_str()))
        }
    };
    output::print(&text).map_err(Error::unprinted)
}
