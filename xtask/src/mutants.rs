//! `cargo xtask mutants`: how many small changes of the code that must never be wrong the tests of
//! its own crate notice. Never changes the code itself: cargo-mutants works on a copy.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use serde_json::Value;

use crate::{Outcome, cargo, tools};

/// Locking, committing, parsing, `.env` files, and what has ended.
const FILES: &[&str] = &[
    "crates/pk-registry/src/staleness.rs",
    "crates/pk-registry/src/registry/change.rs",
    "crates/pk-registry/src/format.rs",
    "crates/pk-fs/src/lock.rs",
    "crates/pk-fs/src/replace/volatile.rs",
    "crates/pk-fs/src/replace/durable.rs",
    "crates/pk-config/src/json/parse.rs",
    "crates/pk-config/src/dotenv/*.rs",
];

/// Changes that change nothing: each `|` there joins different flags.
const SAME: &str = r"replace \| with \^";

/// The page that says of each change that nobody notices why.
const KNOWN: &str = "docs/mutants.md";

/// The least share that must be noticed, in percent.
const LEAST: f64 = 95.0;

/// Mutates the `files` that are named, or all; of the mutants only a share where one is named, such as
/// `0/4`.
pub(crate) fn run(files: &[String], shard: Option<&str>) -> Outcome {
    let tools = tools::path_with("cargo-mutants")?;
    let workspace = cargo::workspace()?;
    let place = workspace.target_directory.as_std_path();
    // What loops for ever and collects something must not take all memory first.
    let mut mutants = Command::new("sh");
    mutants.args([
        "-c",
        "ulimit -v 10000000 && exec cargo mutants \"$@\"",
        "sh",
    ]);
    mutants.args(["--no-times", "--colors", "never", "--exclude-re", SAME]);
    mutants.args(["--minimum-test-timeout", "30", "--output"]);
    mutants.arg(place).env("PATH", tools);
    mutants.current_dir(&workspace.workspace_root);
    // The copies share what is built: a change costs its own crate alone, a few seconds.
    mutants.env("CARGO_TARGET_DIR", place.join("mutants"));
    match files {
        [] => FILES.iter().for_each(|file| add(&mut mutants, file)),
        _ => files.iter().for_each(|file| add(&mut mutants, file)),
    }
    if let Some(shard) = shard {
        // Such that a part is a sample of all.
        mutants.args(["--sharding=round-robin", "--shard", shard]);
    }
    // Examples in the documentation and the debugger's tables only take time.
    mutants.env("CARGO_PROFILE_DEV_DEBUG", "0");
    mutants.args(["--", "--lib", "--tests"]);
    // Its code only tells what is told here.
    mutants.status()?;
    let known = fs::read_to_string(workspace.workspace_root.join(KNOWN))?;
    report(&place.join("mutants.out/outcomes.json"), &known)
}

fn add(mutants: &mut Command, file: &str) {
    mutants.args(["--file", file]);
}

/// Prints the score, and every mutant that nobody noticed.
fn report(outcomes: &Path, known: &str) -> Outcome {
    let outcomes: Value = serde_json::from_slice(&fs::read(outcomes)?)?;
    let count = |name: &str| outcomes[name].as_f64().unwrap_or(0.0);
    let (caught, missed) = (count("caught") + count("timeout"), count("missed"));
    for survivor in survivors(&outcomes)? {
        // As it stands in a table.
        let change = change(&survivor).replace('|', r"\|");
        let is_known = known.contains(&format!("`{change}`"));
        let what = if is_known { "known" } else { "NEW" };
        println!("not noticed ({what}): {survivor}");
    }
    let score = 100.0 * caught / (caught + missed).max(1.0);
    println!(
        "{caught} of {} mutants are noticed: {score:.1} % ({} do not compile)",
        caught + missed,
        count("unviable")
    );
    Ok(match score >= LEAST {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// What is changed, and not where: that moves.
fn change(mutant: &str) -> &str {
    mutant.splitn(4, ':').last().unwrap_or(mutant).trim()
}

fn survivors(outcomes: &Value) -> Result<Vec<String>, Box<dyn Error>> {
    let all = outcomes["outcomes"].as_array().ok_or("no outcomes")?;
    let missed = all
        .iter()
        .filter(|outcome| outcome["summary"] == "MissedMutant");
    let name = |outcome: &Value| {
        outcome["scenario"]["Mutant"]["name"]
            .as_str()
            .map(Into::into)
    };
    Ok(missed.filter_map(name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_known_wherever_it_is() {
        let check = |mutant: &str, expect: &str| assert_eq!(change(mutant), expect);
        let (place, what) = (
            "crates/pk-fs/src/lock.rs:12:3: ",
            "replace f -> A::B with C::D",
        );
        check(&format!("{place}{what}"), what);
    }
}
