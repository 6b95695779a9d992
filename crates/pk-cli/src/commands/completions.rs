//! `portkeeper completions`.

use crate::args::Completions;
use crate::completing;
use crate::error::Error;
use crate::output;

pub(crate) fn run(args: &Completions) -> Result<(), Error> {
    let script = completing::script(args.shell).map_err(Error::unprinted)?;
    output::print_bytes(&script).map_err(Error::unprinted)
}
