//! The face of PortKeeper on the command line: parse, ask the library, print. Never decides
//! anything itself.
//!
//! [`run`] is the whole program; the binary and the Python package only call it.
#![forbid(unsafe_code)]

mod args;
mod commands;
mod completing;
mod env_vars;
mod error;
mod exit_code;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod logging;
mod output;

use std::ffi::OsString;

use portkeeper::HolderCommand;

pub use error::chain;
pub use exit_code::code;
pub use output::json::state;

/// The word by which the program starts itself as a holder.
pub const HOLDER: &str = "__hold";

/// Runs `portkeeper` with these arguments (the first is the program's name) and this environment,
/// and returns its exit code. `holder` starts this program once more: it ends in [`HOLDER`]. Without
/// one, what needs a holder fails, and says so.
#[must_use]
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    holder: Option<HolderCommand>,
) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // A holder is this program once more. It must detach before it opens anything.
    if arguments.get(1).is_some_and(|word| word == HOLDER) {
        return match portkeeper::holder::serve(&arguments[2..], environment) {
            Ok(()) => 0,
            Err(error) => code(error.kind()),
        };
    }
    if completing::answer(&arguments) {
        return 0;
    }
    let answer = args::parse(arguments)
        .and_then(|cli| commands::run(cli, env_vars::read(environment), holder));
    match answer {
        Ok(()) => 0,
        Err(error) => error.report(),
    }
}
