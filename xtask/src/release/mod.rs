//! `cargo xtask release X.Y.Z`: everything that must hold is checked first; then the version, the
//! changelog and the lock file are changed, committed and tagged, all or nothing. Never pushes and never
//! publishes: it prints the commands that do, in their order.

mod changelog;
mod manifest;
mod order;

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use cargo_metadata::semver::Version;
use clap::Args;
use jiff::Timestamp;

pub(crate) use order::of as order;

use crate::difference::difference;
use crate::dist::Dist;
use crate::{Outcome, cargo, ci, dist};

/// What to release.
#[derive(Args, Debug)]
pub(crate) struct Release {
    /// The version, greater than the last one
    version: Version,
    /// Check what can be checked at once, print what would be changed, and change nothing
    #[arg(long)]
    dry_run: bool,
}

const CHANGELOG: &str = "CHANGELOG.md";
const MANIFEST: &str = "Cargo.toml";
const LOCK: &str = "Cargo.lock";

/// Checks, and then releases.
pub(crate) fn run(asked: &Release) -> Outcome {
    let workspace = cargo::workspace()?;
    let root = workspace.workspace_root.as_std_path();
    let order = order(&workspace)?;
    let git = Git(root);
    let (version, tag) = (asked.version.to_string(), format!("v{}", asked.version));

    let manifest = fs::read_to_string(root.join(MANIFEST))?;
    let last = manifest::version(&manifest)?;
    if asked.version <= last {
        return Err(format!("{version} does not come after {last}").into());
    }
    if !git.say(&["tag", "--list", &tag])?.is_empty() {
        return Err(format!("there is a tag {tag} already").into());
    }
    let changelog = fs::read_to_string(root.join(CHANGELOG))?;
    let today = Timestamp::now().to_string();
    let today = today.split('T').next().unwrap_or_default();
    let changed = [
        (
            MANIFEST,
            manifest::with_version(&manifest, &last, &asked.version),
        ),
        (CHANGELOG, changelog::released(&changelog, &version, today)?),
    ];
    let dirty = git.say(&["status", "--porcelain"])?;
    if asked.dry_run {
        if !dirty.is_empty() {
            println!("these would have to be committed first:\n{dirty}");
        }
        for ((path, new), old) in changed.iter().zip([&manifest, &changelog]) {
            print!("{}", difference(path, old, new));
        }
        println!("then: commit, tag {tag}");
        print_order(&order, &tag);
        return Ok(ExitCode::SUCCESS);
    }
    if !dirty.is_empty() {
        return Err(format!("commit these first:\n{dirty}").into());
    }
    for (name, check) in [
        ("ci", (|| ci::run(false)) as fn() -> Outcome),
        ("dist", || dist::run(&Dist::checked())),
    ] {
        eprintln!("release: {name}");
        let code = check()?;
        if code != ExitCode::SUCCESS {
            eprintln!("release: {name} failed; nothing was changed");
            return Ok(code);
        }
    }
    if let Err(error) = change(&git, &changed, &tag) {
        git.say(&[
            "checkout", "--quiet", "HEAD", "--", MANIFEST, CHANGELOG, LOCK,
        ])?;
        return Err(format!("{error}; nothing was changed").into());
    }
    print_order(&order, &tag);
    Ok(ExitCode::SUCCESS)
}

/// Writes the files, and commits and tags them.
fn change(git: &Git<'_>, changed: &[(&str, String)], tag: &str) -> Result<(), Box<dyn Error>> {
    for (path, text) in changed {
        fs::write(git.0.join(path), text)?;
    }
    // The members' versions stand in the lock file, too.
    let update = cargo::command(&["update", "--workspace", "--offline", "--quiet"]).status()?;
    if !update.success() {
        return Err("cargo can't change the lock file".into());
    }
    let message = format!("Release {tag}");
    git.say(&["commit", "--quiet", "--all", "--message", &message])?;
    if let Err(error) = git.say(&["tag", "--annotate", tag, "--message", &message]) {
        git.say(&["reset", "--quiet", "--soft", "HEAD~1"])?;
        return Err(error);
    }
    Ok(())
}

fn print_order(order: &[String], tag: &str) {
    println!("to publish:\n  git push origin HEAD {tag}");
    for name in order {
        println!("  cargo publish --package {name}");
    }
    println!("  cargo xtask dist, and what lies in target/dist then");
}

/// The repository.
struct Git<'a>(&'a Path);

impl Git<'_> {
    /// What a git command says, which must succeed.
    fn say(&self, arguments: &[&str]) -> Result<String, Box<dyn Error>> {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(self.0)
            .output()?;
        if output.status.success() {
            return Ok(String::from_utf8(output.stdout)?.trim_end().to_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("git {}: {}", arguments.join(" "), said.trim()).into())
    }
}
