//! `portkeeper renew`.

use portkeeper::{PortKeeper, Selection};

use super::project_of;
use crate::args::{Format, Renew};
use crate::error::Error;
use crate::output::{self, human, json};

pub(crate) fn run(args: &Renew, keeper: &PortKeeper, format: Option<Format>) -> Result<(), Error> {
    let selection = Selection {
        ports: args.port.into_iter().collect(),
        project: project_of(args.name.as_ref())?,
        name: args.name.clone(),
        fence: args.fence,
        ..Selection::default()
    };
    let renewed = keeper.renew(&selection, args.ttl)?;
    let text = match output::format_for_people(format) {
        Format::Port => renewed.iter().map(|it| format!("{}\n", it.port)).collect(),
        Format::Text => human::renewed(&renewed),
        _ => json::renewed(&renewed),
    };
    output::print(&text).map_err(|source| Error::Output {
        source,
        undone: "; it is renewed".into(),
    })
}
