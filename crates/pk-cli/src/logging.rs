//! What the libraries tell about their work, on standard error, when it is asked for. Never set up
//! otherwise: it would cost every call.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

use crate::error::Error;

/// Logs what `filter` says (`pk_core=debug,info`), else as much as `verbose` times `-v` asks for.
pub(crate) fn set_up(verbose: u8, filter: Option<&str>) -> Result<(), Error> {
    let targets = match (filter, verbose) {
        (Some(filter), _) => filter.parse::<Targets>().map_err(|error| {
            Error::usage(format!("PORTKEEPER_LOG: {filter:?} is no filter: {error}"))
        })?,
        (None, 0) => return Ok(()),
        (None, 1) => Targets::new().with_default(LevelFilter::DEBUG),
        (None, _) => Targets::new().with_default(LevelFilter::TRACE),
    };
    let to_stderr = tracing_subscriber::fmt::layer()
        .with_writer(anstream::stderr)
        .without_time()
        .with_ansi(false)
        .with_filter(targets);
    // Somebody who calls this as a library may have set one up already; then theirs is used.
    let _ = tracing_subscriber::registry().with(to_stderr).try_init();
    Ok(())
}
