//! `portkeeper wait`.

use portkeeper::PortKeeper;

use crate::args::{Format, Wait};
use crate::error::Error;
use crate::output::{self, json};

/// Whoever waits goes on when this ends; an answer is printed only where one is asked for.
pub(crate) fn run(args: &Wait, keeper: &PortKeeper, format: Option<Format>) -> Result<(), Error> {
    let Wait {
        port,
        host,
        timeout,
        ..
    } = *args;
    let answer = if args.ready {
        json::ready(port, keeper.wait_ready(port, host, timeout)?)
    } else {
        let host = host.unwrap_or_else(|| keeper.host());
        keeper.wait_free(port, host, timeout)?;
        json::free(port, host)
    };
    let text = match format {
        Some(Format::Json) => answer,
        Some(Format::Port) => format!("{port}\n"),
        Some(Format::Text) | None => return Ok(()),
    };
    output::print(&text).map_err(Error::unprinted)
}
