//! `cargo xtask test`: builds the program as a user would, then runs all tests with its path in
//! `PK_BIN`, and last those of the Python package. Never assumes another test runner than cargo's own
//! and, for Python, pytest.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::{Outcome, cargo, python};

/// The package whose tests are Python's.
const PYTHON: &str = "pk-python";

/// Tests `packages` (none: the whole workspace), with `args` handed on to `cargo test`.
pub(crate) fn run(packages: &[String], args: &[OsString]) -> Outcome {
    if packages == [PYTHON] {
        return python::test();
    }
    let program = match cargo::build(&[])? {
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
    let code = cargo::run(test.args(args).env("PK_BIN", program))?;
    let is_all = packages.is_empty() && args.is_empty();
    if code == ExitCode::SUCCESS && (is_all || packages.iter().any(|it| it == PYTHON)) {
        return python::test();
    }
    Ok(code)
}
