//! The face of PortKeeper on the command line: parse, ask the library, print. Never decides
//! anything itself.
//!
//! [`run`] is the whole program; the binary only calls it.
#![forbid(unsafe_code)]

mod args;
mod commands;
mod env_vars;
mod error;
mod exit_code;
mod logging;
mod output;

use std::ffi::OsString;
use std::process::ExitCode;

pub use exit_code::code;

/// Runs `portkeeper` with these arguments (the first is the program's name) and this environment.
#[must_use]
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // A holder is this program once more. It must detach before it opens anything.
    if arguments
        .get(1)
        .is_some_and(|word| word == commands::HOLDER)
    {
        return match portkeeper::holder::serve(&arguments[2..], environment) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => ExitCode::from(code(error.kind())),
        };
    }
    let answer = args::parse(arguments).and_then(|cli| {
        let environment = env_vars::read(environment)?;
        commands::run(cli, environment)
    });
    match answer {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}
