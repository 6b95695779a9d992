//! `portkeeper why`.

use portkeeper::PortKeeper;

use crate::args::{Format, Why};
use crate::error::Error;
use crate::output::{self, human, json};

pub(crate) fn run(args: &Why, keeper: &PortKeeper, format: Option<Format>) -> Result<(), Error> {
    let why = keeper.why(args.port)?;
    why.warnings
        .iter()
        .for_each(|warning| output::warn(warning));
    for (transport, error) in &why.unlisted {
        output::warn(&format_args!(
            "the kernel does not list {transport} sockets: {error}"
        ));
    }
    let text = match output::format_for_people(format) {
        Format::Text => human::why(&why),
        _ => json::why(&why),
    };
    output::print(&text).map_err(Error::unprinted)
}
