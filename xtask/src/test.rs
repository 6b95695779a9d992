//! `cargo xtask test`: builds the program as a user would, then runs all tests with its path in
//! `PK_BIN`, and that of a build with failpoints in `PK_FAILPOINTS`; last those of the Python package.
//! Never assumes another test runner than cargo's own and, for Python, pytest.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::{Outcome, cargo, failpoints, python};

/// The package whose tests are Python's.
const PYTHON: &str = "pk-python";

/// The package that tests the program.
const PROGRAM: &str = "pk-tests";

/// Tests `packages` (none: the whole workspace), with `args` handed on to `cargo test`.
pub(crate) fn run(packages: &[String], args: &[OsString]) -> Outcome {
    if packages == [PYTHON] {
        return python::test();
    }
    let mut test = cargo::command(&["test"]);
    // Before the other build, which stays where cargo puts them both.
    if packages.is_empty() || packages.iter().any(|it| it == PROGRAM) {
        match failpoints::build()? {
            Ok(program) => test.env("PK_FAILPOINTS", program),
            Err(code) => return Ok(code),
        };
    }
    let program = match cargo::build(&[])? {
        Ok(program) => program,
        Err(code) => return Ok(code),
    };
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
