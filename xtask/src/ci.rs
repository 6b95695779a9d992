//! `cargo xtask ci`: the checks that every change passes, in the order of what they cost. Stops at
//! the first failure; leaves out, and says so, what this machine has no component for.

use std::process::ExitCode;

use crate::docs::{self, Docs};
use crate::instructions::{self, Then};
use crate::torture::{self, Torture};
use crate::{
    Outcome, api, cargo, failpoints, features, oldest, packages, python, slim, test, tidy,
};

/// A check: its name and how to run it.
type Step = (&'static str, fn() -> Outcome);

/// Runs all checks; tests and torture only unless `skip_test`.
pub(crate) fn run(skip_test: bool) -> Outcome {
    let steps: [Step; 16] = [
        ("fmt", || component("fmt", &["--all", "--check"])),
        ("clippy", || {
            component(
                "clippy",
                &["--workspace", "--all-targets", "--", "-D", "warnings"],
            )
        }),
        ("doc", doc),
        ("tidy", tidy::run),
        ("spelling", spelling),
        ("deny", deny),
        ("oldest toolchain", oldest::check),
        ("features", features::check),
        ("api", || api::run(api::Then::Compare)),
        ("docs", || docs::run(&Docs::checked())),
        ("failpoints", failpoints::check),
        ("packages", packages::check),
        ("test", || test::run(&[], &[])),
        ("slim", slim::run),
        ("instructions", || instructions::run(Then::Compare)),
        ("torture", || torture::run(&Torture::quick())),
    ];
    for (name, step) in steps {
        if skip_test && matches!(name, "test" | "torture") {
            continue;
        }
        eprintln!("ci: {name}");
        let code = step()?;
        if code != ExitCode::SUCCESS {
            eprintln!("ci: {name} failed");
            return Ok(code);
        }
    }
    eprintln!("ci: passed");
    Ok(ExitCode::SUCCESS)
}

/// Runs an optional component of the toolchain.
fn component(name: &str, args: &[&str]) -> Outcome {
    if !cargo::has(name) {
        eprintln!("ci: {name} skipped: `rustup component add` brings it");
        return Ok(ExitCode::SUCCESS);
    }
    let mut command = cargo::command(&[name]);
    Ok(cargo::run(command.args(args))?)
}

fn doc() -> Outcome {
    let mut doc = cargo::command(&["doc", "--workspace", "--no-deps"]);
    Ok(cargo::run(doc.env("RUSTDOCFLAGS", "-D warnings"))?)
}

/// What cargo-deny knows beside the licences and sources that `tidy` checks.
fn deny() -> Outcome {
    if !cargo::has("deny") {
        eprintln!("ci: deny skipped: `cargo install cargo-deny` brings it");
        return Ok(ExitCode::SUCCESS);
    }
    let mut deny = cargo::command(&["deny", "--offline", "--log-level", "error", "check"]);
    Ok(cargo::run(deny.args(["licenses", "bans", "sources"]))?)
}

/// Words that are often misspelt, in all that people read.
fn spelling() -> Outcome {
    match python::spelling()? {
        Ok(code) => Ok(code),
        Err(why) => {
            eprintln!("ci: spelling skipped: {why}");
            Ok(ExitCode::SUCCESS)
        }
    }
}
