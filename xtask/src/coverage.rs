//! `cargo xtask coverage`: how much of the libraries the tests run through, by lines and regions.
//! Never says that what is run through is tested: `cargo xtask mutants` does.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use serde_json::Value;

use crate::{Outcome, cargo, tools};

/// The libraries.
const LIBRARIES: &[&str] = &["pk-fs", "pk-core", "pk-registry", "pk-config", "portkeeper"];

/// The least share, in percent.
const LEAST: f64 = 95.0;

/// Runs the tests of `packages`, or all, and tells what they ran through.
pub(crate) fn run(packages: &[String]) -> Outcome {
    let tools = tools::path_with("cargo-llvm-cov")?;
    let workspace = cargo::workspace()?;
    let root = workspace.workspace_root.as_std_path();
    // Of its own: all is built in another way.
    let place = workspace.target_directory.as_std_path().join("coverage");
    let summary = place.join("summary.json");
    let llvm_cov = |args: &[&str]| {
        let mut command = cargo::command(&["llvm-cov"]);
        command.args(args).current_dir(root).env("PATH", &tools);
        command.env("CARGO_TARGET_DIR", &place);
        // Whether it may install the part of the toolchain that it needs.
        command.env("CARGO_LLVM_COV_SETUP", "yes");
        command
    };
    let shown = llvm_cov(&["show-env"]).output()?;
    let variables = variables(&String::from_utf8(shown.stdout)?);
    let with = |mut command: Command| -> Result<(), Box<dyn Error>> {
        match command.envs(&variables).status()?.success() {
            true => Ok(()),
            false => Err("a step of the measurement failed".into()),
        }
    };
    with(llvm_cov(&["clean", "--workspace"]))?;
    // Tests run the program as other users too, which tells here what it ran through.
    fs::create_dir_all(&place)?;
    fs::set_permissions(&place, Permissions::from_mode(0o1777))?;
    let mut test = Command::new(std::env::current_exe()?);
    test.arg("test").current_dir(root);
    test.env("CARGO_TARGET_DIR", &place);
    // It is not the debugger's tables that are read.
    test.env("CARGO_PROFILE_DEV_DEBUG", "0");
    for package in packages {
        test.args(["--package", package]);
    }
    // Some tests count system calls or look at every file, and fail where each process writes
    // what it ran through.
    test.args(["--", "--no-fail-fast"]);
    if with(test).is_err() {
        println!("some tests fail in such a build; what they ran through counts");
    }
    let output = summary.to_str().ok_or("a path that is no text")?;
    with(llvm_cov(&[
        "report",
        "--json",
        "--summary-only",
        // A process that is killed while it writes spoils its own file.
        "--failure-mode=all",
        "--output-path",
        output,
    ]))?;
    report(root, &summary)
}

/// The lines `NAME='value'`.
fn variables(shown: &str) -> BTreeMap<String, String> {
    let pair = |line: &str| {
        let (name, value) = line
            .strip_prefix("export ")
            .unwrap_or(line)
            .split_once('=')?;
        let value = value.trim_matches(['\'', '"']);
        Some((name.to_owned(), value.to_owned()))
    };
    shown.lines().filter_map(pair).collect()
}

/// Prints each library's share, and that of each of its files which has less than all should.
fn report(root: &Path, summary: &Path) -> Outcome {
    let summary: Value = serde_json::from_slice(&fs::read(summary)?)?;
    let files = summary["data"][0]["files"]
        .as_array()
        .ok_or("no files in the summary")?;
    let mut is_enough = true;
    for library in LIBRARIES {
        let source = root.join("crates").join(library).join("src");
        let (mut lines, mut regions, mut low) = (Share::default(), Share::default(), Vec::new());
        for file in files {
            let Some(path) = file["filename"].as_str().map(Path::new) else {
                continue;
            };
            let Ok(name) = path.strip_prefix(&source) else {
                continue;
            };
            let of = [&file["summary"]["lines"], &file["summary"]["regions"]].map(Share::of);
            lines.add(of[0]);
            regions.add(of[1]);
            if of.iter().any(|share| share.percent() < LEAST) {
                low.push((name.display().to_string(), of));
            }
        }
        println!("{library:<12} lines {lines}, regions {regions}");
        for (name, [lines, regions]) in low {
            println!("  {name}: lines {lines}, regions {regions}");
        }
        is_enough &= lines.percent() >= LEAST && regions.percent() >= LEAST;
    }
    Ok(match is_enough {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// So many of so many.
#[derive(Clone, Copy, Default)]
struct Share {
    covered: u64,
    count: u64,
}

impl Share {
    fn of(value: &Value) -> Share {
        let number = |name: &str| value[name].as_u64().unwrap_or(0);
        Share {
            covered: number("covered"),
            count: number("count"),
        }
    }

    fn add(&mut self, other: Share) {
        self.covered += other.covered;
        self.count += other.count;
    }

    fn percent(self) -> f64 {
        match self.count {
            0 => 100.0,
            count => 100.0 * self.covered as f64 / count as f64,
        }
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} %", self.percent())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_read_with_and_without_quotes() {
        let shown = "RUSTFLAGS='-C instrument-coverage'\nexport A=\"b=c\"\nno variable\n";
        let expect = [("A", "b=c"), ("RUSTFLAGS", "-C instrument-coverage")];
        let expect = expect.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(variables(shown), BTreeMap::from(expect));
    }
}
