//! `cargo xtask bench`: measures the program as it is released, with its path in `PK_BIN`. Never
//! measures a debug build.

use clap::ValueEnum;

use crate::{Outcome, cargo};

/// What can be measured.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Suite {
    /// Whether a port is lost while it is handed over, and what being run costs a program
    HandOver,
}

impl Suite {
    /// Its target among the benchmarks of pk-tests.
    fn target(self) -> &'static str {
        match self {
            Suite::HandOver => "hand_over",
        }
    }
}

/// Measures `suite`; fails where it finds what must not be.
pub(crate) fn run(suite: Suite, rounds: u32) -> Outcome {
    let program = match cargo::build(&["--release"])? {
        Ok(program) => program,
        Err(code) => return Ok(code),
    };
    let mut bench = cargo::command(&["bench", "--package", "pk-tests", "--bench"]);
    bench.args([suite.target(), "--", "--rounds", &rounds.to_string()]);
    Ok(cargo::run(bench.env("PK_BIN", program))?)
}
