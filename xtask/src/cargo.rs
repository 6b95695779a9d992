//! The cargo that runs us, for the commands that a chore needs. Never a second toolchain.

use std::io;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use cargo_metadata::{Metadata, MetadataCommand};

/// The cargo that started this process, else the one on `PATH`.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args);
    command
}

/// Whether cargo knows the subcommand `name` (`fmt` and `clippy` are optional components).
pub(crate) fn has(name: &str) -> bool {
    command(&[name, "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs `command` to its end, its output on ours, and gives back its exit code.
///
/// # Errors
/// The command could not be started.
pub(crate) fn run(command: &mut Command) -> io::Result<ExitCode> {
    Ok(code(command.status()?))
}

/// The exit code to end with when a command has ended so; a signal counts as failure.
pub(crate) fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}

/// The workspace as cargo sees it: its members and what each asks for, nothing resolved.
///
/// # Errors
/// cargo could not read a manifest.
pub(crate) fn workspace() -> Result<Metadata, cargo_metadata::Error> {
    MetadataCommand::new().no_deps().exec()
}
