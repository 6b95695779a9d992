//! `portkeeper release`.

use portkeeper::{Force, PortKeeper, Selection};

use super::project_of;
use crate::args::{Format, Release};
use crate::error::{self, Error};
use crate::output::{self, human, json};

pub(crate) fn run(
    args: &Release,
    keeper: &PortKeeper,
    format: Option<Format>,
) -> Result<(), Error> {
    let selection = Selection {
        ports: args.ports.clone(),
        owner: args.owner.clone(),
        host: args.host,
        protocol: args.proto,
        fence: args.fence,
        project: project_of(args.name.as_ref())?,
        name: args.name.clone(),
    };
    let force = if args.force { Force::Yes } else { Force::No };
    let answer = keeper.release(&selection, force)?;
    answer
        .warnings
        .iter()
        .for_each(|warning| output::warn(warning));
    let text = match output::format_for_people(format) {
        Format::Json => json::released(&answer),
        Format::Port => answer
            .released
            .iter()
            .map(|it| format!("{}\n", it.port))
            .collect(),
        Format::Text => human::released(&answer),
    };
    let printed = output::print(&text);
    error::report_all(&answer.failed)?;
    printed.map_err(|source| Error::Output {
        source,
        undone: "; the ports are released".into(),
    })
}
