//! `cargo xtask docs`: the pages that are made from the program, and the book of all pages. Never writes
//! into a page that somebody wrote.

mod commands;
mod recording;
mod weights;

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use clap::Args;

use crate::{Outcome, cargo, tools};
use weights::Times;

/// What to do with the pages.
#[derive(Args, Debug)]
pub(crate) struct Docs {
    /// Only say whether the pages that are made from the program are up to date
    #[arg(long)]
    check: bool,
    /// Record the terminal of the README again
    #[arg(long, conflicts_with = "check")]
    recording: bool,
    /// Measure anew how long each crate takes to compile; takes minutes
    #[arg(long, conflicts_with = "check")]
    times: bool,
    /// Build the book of all pages; mdbook is installed into the target folder where it is missing
    #[arg(long, conflicts_with = "check")]
    book: bool,
}

impl Docs {
    /// Only whether they are up to date.
    pub(crate) fn checked() -> Docs {
        Docs {
            check: true,
            recording: false,
            times: false,
            book: false,
        }
    }
}

/// The page of the command line.
const COMMANDS: &str = "docs/reference/commands.md";
/// The page of what crates bring along.
const WEIGHTS: &str = "docs/dependencies.md";
/// The picture of a terminal in the README.
const RECORDING: &str = "docs/terminal.svg";

/// Makes the pages, or compares them.
pub(crate) fn run(asked: &Docs) -> Outcome {
    let workspace = cargo::workspace()?;
    let root = workspace.workspace_root.as_std_path();
    let program = match cargo::build(&[])? {
        Ok(program) => program,
        Err(code) => return Ok(code),
    };
    let weights = fs::read_to_string(root.join(WEIGHTS))?;
    let times = match asked.times {
        true => Times::Measured,
        false => Times::Kept,
    };
    let pages = [
        (COMMANDS, commands::page(&program)?),
        (WEIGHTS, weights::page(root, &weights, times)?),
    ];
    if asked.check {
        let mut code = ExitCode::SUCCESS;
        for (path, page) in &pages {
            if fs::read_to_string(root.join(path))? != *page {
                eprintln!("{path} is out of date; `cargo xtask docs` makes it");
                code = ExitCode::FAILURE;
            }
        }
        return Ok(code);
    }
    for (path, page) in &pages {
        fs::write(root.join(path), page)?;
    }
    if asked.recording {
        fs::write(root.join(RECORDING), recording::picture(&program)?)?;
    }
    if !asked.book {
        return Ok(ExitCode::SUCCESS);
    }
    book(root, &workspace.target_directory.as_std_path().join("book"))
}

/// Builds the book, with everything that it needs in it.
fn book(root: &Path, to: &Path) -> Outcome {
    let path = match tools::path_with("mdbook") {
        Ok(path) => path,
        Err(why) => {
            eprintln!("docs: book skipped: {why}");
            return Ok(ExitCode::SUCCESS);
        }
    };
    let mut mdbook = Command::new("mdbook");
    mdbook
        .arg("build")
        .arg(root.join("docs"))
        .arg("--dest-dir")
        .arg(to)
        .env("PATH", path);
    let code = cargo::run(&mut mdbook)?;
    if code == ExitCode::SUCCESS {
        println!("{}", to.join("index.html").display());
    }
    Ok(code)
}

/// What a command says, which must succeed.
fn said(command: &mut Command) -> Result<String, Box<dyn Error>> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    Err(format!(
        "{command:?}: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    )
    .into())
}
