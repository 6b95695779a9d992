//! `cargo xtask test`: builds the program as a user would, then runs all tests with its path in
//! `PK_BIN`. Never assumes another test runner than cargo's own.

use std::ffi::OsString;

use crate::{Outcome, cargo};

/// Tests `packages` (none: the whole workspace), with `args` handed on to `cargo test`.
pub(crate) fn run(packages: &[String], args: &[OsString]) -> Outcome {
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
    Ok(cargo::run(test.args(args).env("PK_BIN", program))?)
}
