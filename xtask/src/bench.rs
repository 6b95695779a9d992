//! `cargo xtask bench`: measures the program as it is released, with its path in `PK_BIN`. Never
//! measures a debug build.

use clap::ValueEnum;

use crate::{Outcome, cargo};

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Suite {
    /// Whether a port is lost while it is handed over, and what being run costs a program
    HandOver,
    /// Every command as a whole process, beside the floor: one reservation as bare system calls
    Commands,
    /// Reserving and releasing in the library, beside the bare system calls
    Library,
    /// The parts of a reservation, each by itself, and edits of files of up to 4 MiB
    Parts,
    /// Finding a port behind thousands that are in use
    Walk,
    /// 1, 8 and 64 processes at once
    Contention,
    /// Other programs that give out ports, installed below the target folder
    Peers,
    /// All of these but the first, and write docs/performance.md; takes some minutes
    Tables,
}

impl Suite {
    /// Its target among the benchmarks of pk-tests, and what it is called there.
    fn target(self) -> (&'static str, Option<&'static str>) {
        match self {
            Suite::HandOver => ("hand_over", None),
            Suite::Commands => ("speed", Some("commands")),
            Suite::Library => ("speed", Some("library")),
            Suite::Parts => ("speed", Some("parts")),
            Suite::Walk => ("speed", Some("walk")),
            Suite::Contention => ("speed", Some("contention")),
            Suite::Peers => ("speed", Some("peers")),
            Suite::Tables => ("speed", Some("tables")),
        }
    }
}

/// Measures `suite`; fails where it finds what must not be.
pub(crate) fn run(suite: Suite, rounds: Option<u32>) -> Outcome {
    let program = match cargo::build_release()? {
        Ok(program) => program,
        Err(code) => return Ok(code),
    };
    let (target, name) = suite.target();
    let mut bench = cargo::command(&["bench", "--package", "pk-tests", "--bench", target, "--"]);
    if let Some(name) = name {
        bench.args(["--suite", name]);
    }
    if let Some(rounds) = rounds {
        bench.args(["--rounds", &rounds.to_string()]);
    }
    Ok(cargo::run(bench.env("PK_BIN", program))?)
}
