//! `portkeeper setup`.

use portkeeper::setup::{self, Machine};
use portkeeper::{Error as Cause, Force, Settings};

use crate::args::{Format, Setup};
use crate::error::Error;
use crate::output::{self, human, json};

pub(crate) fn run(args: &Setup, settings: &Settings, format: Option<Format>) -> Result<(), Error> {
    let format = output::format_for_people(format);
    let text = if let (Some(group), Some(dir)) = (&args.group, &args.dir) {
        let made = setup::group(group, dir)?;
        match format {
            Format::Text => human::set_up_for_group(&made, group),
            _ => json::set_up(&made.done, Some((group, made.gid))),
        }
    } else {
        let machine = Machine::new(settings, &args.root)?;
        let force = if args.force { Force::Yes } else { Force::No };
        let done = match args.undo {
            true => machine.undo(force),
            false => machine.set_up(),
        };
        let done = done.map_err(Cause::from)?;
        match format {
            Format::Text => human::set_up_for_all(&done, args.undo),
            _ => json::set_up(&done, None),
        }
    };
    output::print(&text).map_err(Error::unprinted)
}
