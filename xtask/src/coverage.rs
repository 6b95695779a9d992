//! `cargo xtask coverage`: how much of the libraries the tests run through, by lines and regions.
//! Never says that what is run through is tested: `cargo xtask mutants` does.
//!
//! The counters lie in a file that every process of a program maps (LLVM's continuous mode), so that
//! nothing has to be written at an end: what runs between fork(2) and execve(2), and in processes
//! that are killed, counts like everything else. No line of the product knows of it.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use serde_json::Value;

use crate::{Outcome, cargo, tools};

/// The libraries.
const LIBRARIES: &[&str] = &["pk-fs", "pk-core", "pk-registry", "pk-config", "portkeeper"];

/// The least share, in percent.
const LEAST: f64 = 95.0;

/// Tests that can't hold in such a build, and why.
const SKIPPED: &[(&str, &str)] = &[
    (
        "nobody_else_could_read_it_at_any_moment",
        "looks at every file that a command opens, and finds that of the counters",
    ),
    ("reserve_makes_only_the_calls_of_the_protocol", "the same"),
];

/// Runs the tests of `packages`, or all and `cargo xtask torture --quick d3`, and tells what they ran
/// through.
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
    let mut variables = variables(&String::from_utf8(shown.stdout)?);
    count_in_files(&mut variables)?;
    let run = |command: &mut Command| -> Result<bool, Box<dyn Error>> {
        Ok(command.envs(&variables).status()?.success())
    };
    let with = |command: &mut Command| -> Result<(), Box<dyn Error>> {
        match run(command)? {
            true => Ok(()),
            false => Err("a step of the measurement failed".into()),
        }
    };
    with(&mut llvm_cov(&["clean", "--workspace"]))?;
    let myself = env::current_exe()?;
    let test = |args: &[&str]| {
        let mut test = Command::new(&myself);
        test.arg("test").current_dir(root);
        test.env("CARGO_TARGET_DIR", &place);
        // It is not the debugger's tables that are read.
        test.env("CARGO_PROFILE_DEV_DEBUG", "0");
        for package in packages {
            test.args(["--package", package]);
        }
        test.arg("--").args(args);
        test
    };
    let mut list = test(&["--", "--list"]);
    with(list.stdout(Stdio::null()))?;
    for program in ["portkeeper", "failpoints/portkeeper"] {
        let program = place.join("debug").join(program);
        if program.exists() {
            with(Command::new(program).arg("--version"))?;
        }
    }
    open_to_all(&place)?;
    let skipped = SKIPPED.iter().flat_map(|(name, _)| ["--skip", *name]);
    let args = ["--no-fail-fast", "--"].into_iter().chain(skipped);
    let mut is_passed = run(&mut test(&args.collect::<Vec<_>>()))?;
    if packages.is_empty() {
        is_passed &= run(&mut walk(&place))?;
    }
    let output = summary.to_str().ok_or("a path that is no text")?;
    with(&mut llvm_cov(&[
        "report",
        "--json",
        "--summary-only",
        "--output-path",
        output,
    ]))?;
    for (name, why) in SKIPPED {
        println!("left out: {name}: {why}");
    }
    let is_enough = report(root, &summary, packages)?;
    Ok(match is_passed && is_enough {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// What lets a sample of the program's system calls fail, one after the other: most failures that a
/// library can meet are met by no other test.
fn walk(place: &Path) -> Command {
    let programs = place.join("debug");
    let mut walk = Command::new(programs.join("walk"));
    walk.args(["--quick", "d3"]);
    walk.env("PK_BIN", programs.join("portkeeper"));
    walk
}

/// Makes every program count in a file of its own that all its processes share.
fn count_in_files(variables: &mut BTreeMap<String, String>) -> Result<(), Box<dyn Error>> {
    // What lets counters lie elsewhere than in the program's own memory.
    const RELOCATED: &str = "-Cllvm-args=-runtime-counter-relocation";
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    variables.insert("RUSTFLAGS".to_owned(), format!("{flags} {RELOCATED}"));
    // The report only looks at files that begin as it has named them.
    let name = variables.get_mut("LLVM_PROFILE_FILE");
    let name = name.ok_or("cargo-llvm-cov names no file")?;
    let (beginning, _) = name.split_once('%').ok_or("the same file for all")?;
    *name = format!("{beginning}%m%c.profraw");
    Ok(())
}

/// Lets every user count: tests run the programs as others too.
fn open_to_all(place: &Path) -> io::Result<()> {
    for entry in fs::read_dir(place)? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == "profraw") {
            fs::set_permissions(path, Permissions::from_mode(0o666))?;
        }
    }
    Ok(())
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

/// Prints the share of each library of `packages`, or of all, and that of each of its files which has less than all should.
/// Whether each library has enough.
fn report(root: &Path, summary: &Path, packages: &[String]) -> Result<bool, Box<dyn Error>> {
    let summary: Value = serde_json::from_slice(&fs::read(summary)?)?;
    let files = summary["data"][0]["files"]
        .as_array()
        .ok_or("no files in the summary")?;
    let mut is_enough = true;
    let is_measured =
        |library: &&&str| packages.is_empty() || packages.iter().any(|it| it == *library);
    for library in LIBRARIES.iter().filter(is_measured) {
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
    Ok(is_enough)
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
    fn all_processes_of_a_program_count_in_one_file_that_the_report_finds() {
        let named = |file: &str| {
            let mut variables = BTreeMap::from([("LLVM_PROFILE_FILE".into(), file.into())]);
            count_in_files(&mut variables).map(|()| variables["LLVM_PROFILE_FILE"].clone())
        };
        assert_eq!(named("/t/x-%p-%2m.profraw").unwrap(), "/t/x-%m%c.profraw");
        assert!(named("/t/x.profraw").is_err());
        assert!(count_in_files(&mut BTreeMap::new()).is_err());
    }

    #[test]
    fn variables_are_read_with_and_without_quotes() {
        let shown = "RUSTFLAGS='-C instrument-coverage'\nexport A=\"b=c\"\nno variable\n";
        let expect = [("A", "b=c"), ("RUSTFLAGS", "-C instrument-coverage")];
        let expect = expect.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(variables(shown), BTreeMap::from(expect));
    }
}
