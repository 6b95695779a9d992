//! `portkeeper init`.

use std::env;

use portkeeper::{PortKeeper, project};

use crate::args::{Format, Init};
use crate::error::Error;
use crate::output::{self, human, json};

pub(crate) fn run(args: &Init, keeper: &PortKeeper, format: Option<Format>) -> Result<(), Error> {
    let here = env::current_dir().unwrap_or_else(|_| ".".into());
    let draft = project::draft(&here).map_err(portkeeper::Error::from)?;
    if args.dry_run {
        let text = human::diffs([draft.text.as_str()].into_iter());
        return output::print(&text).map_err(Error::unprinted);
    }
    keeper.write_draft(&draft)?;
    let text = match output::format_for_people(format) {
        Format::Text => human::drafted(&draft),
        _ => json::drafted(&draft),
    };
    output::print(&text).map_err(Error::unprinted)
}
