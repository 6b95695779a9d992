//! Doors for the properties in tests/fuzz. Never compiled into what ships.

use std::ffi::OsString;

use crate::args;
use crate::error::Error;

/// What a command line means, as the command's own types print it; else the two lines that the user
/// is shown. Help and the version are no text here, for they are printed.
///
/// # Errors
/// The message and the hint.
pub fn parse(arguments: Vec<OsString>) -> Result<String, (String, String)> {
    match args::read(arguments) {
        Ok(cli) => Ok(format!("{cli:?}")),
        Err((error, called)) => match args::refusal(&error, called.as_deref()) {
            Error::Usage { message, hint } => Err((message, hint)),
            other => Ok(format!("{other:?}")),
        },
    }
}
