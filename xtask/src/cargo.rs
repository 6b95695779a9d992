//! The cargo that runs us, for the commands that a chore needs. Never a second toolchain.

use std::error::Error;
use std::io::{self, BufReader};
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use cargo_metadata::{Message, Metadata, MetadataCommand};

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

/// Builds the program, with these options, and asks cargo where it lies, which depends on the target folder and on the
/// target; when it does not build, which cargo has then explained, gives back cargo's exit code.
///
/// # Errors
/// cargo could not be started, or says nothing that makes sense.
pub(crate) fn build(options: &[&str]) -> Result<Result<PathBuf, ExitCode>, Box<dyn Error>> {
    let mut build = command(&["build", "--package", "pk-cli", "--bin", "portkeeper"])
        .args(options)
        .arg("--message-format=json-render-diagnostics")
        .stdout(Stdio::piped())
        .spawn()?;
    let stdout = build.stdout.take().ok_or("cargo has no standard output")?;
    let mut program = None;
    for message in Message::parse_stream(BufReader::new(stdout)) {
        if let Message::CompilerArtifact(artifact) = message? {
            program = artifact.executable.or(program);
        }
    }
    let status = build.wait()?;
    match program {
        Some(program) if status.success() => Ok(Ok(program.into())),
        _ if status.success() => Err("cargo names no program that it built".into()),
        _ => Ok(Err(code(status))),
    }
}
