//! `cargo xtask torture`: builds the program once, nearly as it is released, and lets the programs
//! that torture it loose on it, with its path in `PK_BIN`. Never knows what a row tries.
//!
//! Each of these programs is a binary of pk-tests and speaks the same language: `--list` prints its
//! rows, one a line, the name first; `[--quick|--full] [ROW…]` runs them and ends with 1 if one failed.
//! The first of them throws dice, and understands `[--seconds N] [--seed N]` as well.

use std::error::Error;
use std::path::Path;
use std::process::{Command, ExitCode};

use clap::Args;

use crate::cargo::{self, Binary};
use crate::{Outcome, failpoints};

/// The program, and those that torture it.
const BINARIES: [Binary; 3] = [cargo::PROGRAM, torturer("torture"), torturer("walk")];

/// Which rows, and how much of them.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Torture {
    /// A few minutes in all, for every change
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// As much as a release needs: hours
    #[arg(long)]
    full: bool,
    /// Name the rows, and run none
    #[arg(long)]
    list: bool,
    /// Repeat each row for so long, instead of so often
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// Throw the dice as the run did that was given this number
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The rows; all if none is named
    #[arg(value_name = "ROW")]
    rows: Vec<String>,
}

impl Torture {
    /// All rows, as for every change.
    pub(crate) fn quick() -> Torture {
        Torture {
            quick: true,
            ..Torture::default()
        }
    }

    /// What every program is told; the rows are not among it.
    fn extent(&self) -> Option<&'static str> {
        match self {
            Torture { quick: true, .. } => Some("--quick"),
            Torture { full: true, .. } => Some("--full"),
            _ => None,
        }
    }

    /// What one is told that throws dice.
    fn dice(&self) -> Vec<String> {
        let mut options = Vec::new();
        let numbers = [("--seconds", self.seconds), ("--seed", self.seed)];
        for (name, number) in numbers {
            options.extend(
                number
                    .iter()
                    .flat_map(|number| [name.into(), number.to_string()]),
            );
        }
        options
    }
}

/// Runs the rows that are asked for; fails if one does.
pub(crate) fn run(asked: &Torture) -> Outcome {
    let [program, torturers @ ..] = match cargo::binaries(&BINARIES, &["--profile", "torture"])? {
        Ok(paths) => paths,
        Err(code) => return Ok(code),
    };
    let lists = torturers
        .iter()
        .map(|it| list(it))
        .collect::<Result<Vec<_>, _>>()?;
    if asked.list {
        lists.iter().for_each(|list| print!("{list}"));
        return Ok(ExitCode::SUCCESS);
    }
    let knows = |list: &str, row: &str| {
        let mut names = list
            .lines()
            .filter_map(|line| line.split_whitespace().next());
        names.any(|name| name == row)
    };
    let is_unknown = |row: &&String| !lists.iter().any(|list| knows(list, row));
    if let Some(unknown) = asked.rows.iter().find(is_unknown) {
        return Err(format!("{unknown} is no row; --list names them").into());
    }
    let stumbling = match failpoints::build()? {
        Ok(path) => path,
        Err(code) => return Ok(code),
    };
    let mut outcome = ExitCode::SUCCESS;
    for (torturer, list) in torturers.iter().zip(&lists) {
        let rows: Vec<_> = asked.rows.iter().filter(|row| knows(list, row)).collect();
        if rows.is_empty() && !asked.rows.is_empty() {
            continue;
        }
        let mut command = Command::new(torturer);
        command.args(asked.extent());
        if torturer.ends_with(BINARIES[1].name) {
            command.args(asked.dice());
        }
        command
            .args(rows)
            .env("PK_BIN", &program)
            .env("PK_FAILPOINTS", &stumbling);
        let code = cargo::run(&mut command)?;
        if code != ExitCode::SUCCESS {
            outcome = code;
        }
    }
    Ok(outcome)
}

/// The rows of a program, one a line.
fn list(torturer: &Path) -> Result<String, Box<dyn Error>> {
    let output = Command::new(torturer).arg("--list").output()?;
    Ok(String::from_utf8(output.stdout)?)
}

/// A program that tortures.
const fn torturer(name: &'static str) -> Binary {
    Binary {
        package: "pk-tests",
        name,
    }
}
