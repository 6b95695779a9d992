//! `portkeeper gc`.

use portkeeper::{PortKeeper, Unused};

use crate::args::{Format, Gc};
use crate::error::Error;
use crate::output::{self, human, json};

pub(crate) fn run(args: &Gc, keeper: &PortKeeper, format: Option<Format>) -> Result<(), Error> {
    let unused = args.unused.map_or(Unused::Keep, Unused::Drop);
    let collected = match args.dry_run {
        true => keeper.preview_gc(unused)?,
        false => keeper.gc(unused)?,
    };
    collected
        .warnings
        .iter()
        .for_each(|warning| output::warn(warning));
    let text = match output::format_for_people(format) {
        Format::Json => json::collected(&collected, args.dry_run),
        Format::Port => collected
            .removed
            .iter()
            .map(|it| format!("{}\n", it.reservation.port))
            .collect(),
        Format::Text => human::collected(&collected, args.dry_run),
    };
    output::print(&text).map_err(Error::unprinted)
}
