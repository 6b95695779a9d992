//! Each crate that is published, with none of its features, and with each of them alone: what compiles
//! only because another crate of the workspace asks for a feature is found here.

use std::process::ExitCode;

use crate::{Outcome, cargo, dist, release};

const CLIPPY: &str = "clippy";
/// How the programs in tests/downstream are called.
const DOWNSTREAM: &str = "downstream-";

/// `cargo xtask features`: checks every crate with every choice.
pub(crate) fn check() -> Outcome {
    let workspace = cargo::workspace()?;
    let names = release::order(&workspace)?;
    // Without it warnings are only shown: to deny them in another way has all packages built again.
    let tool = if cargo::has(CLIPPY) { CLIPPY } else { "check" };
    let mut tried = 0;
    for member in workspace.workspace_packages() {
        if !names.contains(&member.name) {
            continue;
        }
        let alone = member.features.keys().filter(|name| *name != "default");
        let choices = [None].into_iter().chain(alone.map(Some));
        for feature in choices {
            let mut check = cargo::command(&[tool, "--quiet", "--no-default-features"]);
            check.args(["--locked", "--package", &member.name]);
            if let Some(feature) = feature {
                check.args(["--features", feature]);
            }
            if tool == CLIPPY {
                check.args(["--no-deps", "--", "-D", "warnings"]);
            }
            let code = cargo::run(&mut check)?;
            if code != ExitCode::SUCCESS {
                let with = feature.map_or("no feature", String::as_str);
                eprintln!("{} does not compile with {with} alone", member.name);
                return Ok(code);
            }
            tried += 1;
        }
    }
    // Somebody else's programs, each of which builds on one crate and on nothing else.
    let temporary = workspace.target_directory.as_std_path().join("downstream");
    dist::empty(&temporary)?;
    for member in workspace.workspace_packages() {
        if member.name.starts_with(DOWNSTREAM) {
            let mut run = cargo::command(&["run", "--quiet", "--package", &member.name]);
            let code = cargo::run(run.env("TMPDIR", &temporary))?;
            if code != ExitCode::SUCCESS {
                eprintln!("{} does not build or run", member.name);
                return Ok(code);
            }
        }
    }
    println!("{tried} choices of features compile");
    Ok(ExitCode::SUCCESS)
}
