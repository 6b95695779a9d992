//! `portkeeper status`.

mod watch;

use portkeeper::{Listed, PortKeeper, Selection};

use super::project_of;
use crate::args::{Format, Status};
use crate::error::Error;
use crate::output::human::{self, Layout};
use crate::output::{self, json};

pub(crate) fn run(args: &Status, keeper: &PortKeeper, format: Option<Format>) -> Result<(), Error> {
    let selection = Selection {
        ports: args.ports.clone(),
        owner: args.owner.clone(),
        protocol: args.proto,
        project: project_of(args.name.as_ref())?,
        name: args.name.clone(),
        ..Selection::default()
    };
    if args.watch {
        return watch::run(keeper, &selection, format);
    }
    let mut snapshot = keeper.status()?;
    snapshot
        .warnings
        .iter()
        .for_each(|warning| output::warn(warning));
    snapshot.entries.retain(|entry| selection.lists(entry));
    let layout = if args.list {
        Layout::List
    } else {
        Layout::Columns
    };
    let text = match output::format_for_people(format.or(args.list.then_some(Format::Text))) {
        Format::Json => json::status(&snapshot),
        Format::Port => snapshot.entries.iter().filter_map(port).collect(),
        Format::Text => human::status(&snapshot, layout),
    };
    output::print(&text).map_err(Error::unprinted)
}

fn port(entry: &Listed) -> Option<String> {
    let port = match entry {
        Listed::Sound { reservation, .. } => Some(reservation.port),
        Listed::Damaged { port, .. } => *port,
    };
    port.map(|port| format!("{port}\n"))
}
