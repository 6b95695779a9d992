//! Known bugs, planted into a copy of the code one after the other, to see whether the hunt finds
//! them and how soon. Never changes the code itself.
#![allow(
    clippy::disallowed_methods,
    reason = "plain files of a copy in the target folder"
)]

mod bugs;

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use bugs::{BUGS, Bug};

use super::PACKAGE;
use crate::{Outcome, cargo};

/// Plants every bug that `only` names, or all, and hunts each for so many seconds. Fails where one is
/// not found.
pub(super) fn run(only: Option<&str>, seconds: u64, seed: Option<u64>) -> Outcome {
    let copy = Copy::make()?;
    let bugs: Vec<_> = BUGS
        .iter()
        .filter(|bug| only.is_none_or(|only| bug.name == only))
        .collect();
    if bugs.is_empty() {
        return Err("there is no such bug".into());
    }
    let mut missed = Vec::new();
    for bug in bugs {
        match copy.with(bug, || copy.hunt(bug, seconds, seed.unwrap_or(1)))?? {
            Some(time) => println!("{:<24} {:<14} found in {time:.1} s", bug.name, bug.target),
            None => {
                println!(
                    "{:<24} {:<14} NOT FOUND in {seconds} s",
                    bug.name, bug.target
                );
                missed.push(bug.name);
            }
        }
    }
    match missed.as_slice() {
        [] => Ok(ExitCode::SUCCESS),
        _ => Ok(ExitCode::FAILURE),
    }
}

/// A copy of the workspace, with a build folder of its own.
struct Copy {
    root: PathBuf,
    build: PathBuf,
}

impl Copy {
    fn make() -> Result<Copy, Box<dyn Error>> {
        let workspace = cargo::workspace()?;
        let (from, place) = (
            workspace.workspace_root.as_std_path(),
            workspace.target_directory.as_std_path().join("planted"),
        );
        let copy = Copy {
            root: place.join("code"),
            build: place.join("build"),
        };
        for name in [
            ".cargo",
            "crates",
            "tests",
            "xtask",
            "Cargo.toml",
            "Cargo.lock",
            "clippy.toml",
        ] {
            mirror(&from.join(name), &copy.root.join(name))?;
        }
        Ok(copy)
    }

    /// Works with a bug in the copy, and takes it out again.
    fn with<T>(&self, bug: &Bug, work: impl FnOnce() -> T) -> Result<T, Box<dyn Error>> {
        let path = self.root.join(bug.file);
        let sound = fs::read_to_string(&path)?;
        fs::write(&path, bug.planted(&sound)?)?;
        let done = work();
        fs::write(&path, sound)?;
        Ok(done)
    }

    /// The seconds until it is found.
    fn hunt(&self, bug: &Bug, seconds: u64, seed: u64) -> Result<Option<f64>, Box<dyn Error>> {
        for package in ["pk-cli", PACKAGE] {
            let mut build = cargo::command(&["build", "--quiet", "--profile", "fuzz", "--package"]);
            build.arg(package).current_dir(&self.root);
            if !self.here(&mut build).status()?.success() {
                return Err(format!("{} does not build", bug.name).into());
            }
        }
        let program = |name: &str| self.build.join("fuzz").join(name);
        let mut hunt = Command::new(program(PACKAGE));
        hunt.args(["find", bug.target, &seconds.to_string(), &seed.to_string()]);
        hunt.env("PK_BIN", program("portkeeper"));
        hunt.stdout(Stdio::null()).stderr(Stdio::null());
        let start = Instant::now();
        match self.here(&mut hunt).status()?.code() {
            Some(0) => Ok(None),
            Some(1) => Ok(Some(start.elapsed().as_secs_f64())),
            _ => Err(format!("the hunt for {} fails", bug.name).into()),
        }
    }

    fn here<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &self.build)
            // What a bug leaves unused is no news.
            .env("RUSTFLAGS", "--cap-lints=allow")
    }
}

/// Makes `to` the same as `from`; what is the same already is left alone, so that it is not built
/// again.
fn mirror(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        let text = fs::read(from)?;
        if fs::read(to).ok().as_ref() != Some(&text) {
            fs::write(to, text)?;
        }
        return Ok(());
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        mirror(&from.join(&name), &to.join(&name))?;
    }
    for entry in fs::read_dir(to)? {
        let (path, name) = entry.map(|it| (it.path(), it.file_name()))?;
        if !from.join(name).exists() {
            match path.is_dir() {
                true => fs::remove_dir_all(path)?,
                false => fs::remove_file(path)?,
            }
        }
    }
    Ok(())
}
