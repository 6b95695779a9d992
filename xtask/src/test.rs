//! `cargo xtask test`: builds the program as a user would, then runs all tests with its path in
//! `PK_BIN`. Never assumes another test runner than cargo's own.

use std::error::Error;
use std::ffi::OsString;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};

use cargo_metadata::Message;

use crate::{Outcome, cargo};

/// Tests `packages` (none: the whole workspace), with `args` handed on to `cargo test`.
pub(crate) fn run(packages: &[String], args: &[OsString]) -> Outcome {
    let program = match build()? {
        Ok(program) => program,
        Err(code) => return Ok(code),
    };
    let mut test = cargo::command(&["test"]);
    if packages.is_empty() {
        test.arg("--workspace");
    }
    for package in packages {
        test.args(["--package", package]);
    }
    Ok(cargo::run(test.args(args).env("PK_BIN", program))?)
}

/// Builds the program and asks cargo where it lies, which depends on the target folder and on the
/// target; when it does not build, which cargo has then explained, gives back cargo's exit code.
fn build() -> Result<Result<PathBuf, ExitCode>, Box<dyn Error>> {
    let mut build = cargo::command(&["build", "--package", "pk-cli", "--bin", "portkeeper"])
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
        _ => Ok(Err(cargo::code(status))),
    }
}
