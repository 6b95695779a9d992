//! The hunt with libFuzzer, through cargo-fuzz and a nightly toolchain. Never touches the corpus of
//! the repository unless it is told to.

use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::{cargo, tools};

/// The longest input that is made, in bytes.
const LONGEST: usize = 4096;

/// What came of a hunt.
pub(super) struct Hunted {
    pub(super) executions: u64,
    /// An input that broke a promise.
    pub(super) found: Option<PathBuf>,
}

/// Whether there is a nightly toolchain.
pub(super) fn is_possible() -> bool {
    let mut ask = Command::new("rustup");
    ask.args(["run", "nightly", "rustc", "--version"]);
    ask.stdout(Stdio::null()).stderr(Stdio::null());
    ask.status().is_ok_and(|status| status.success())
}

/// Builds the program with all targets.
pub(super) fn build() -> Result<Result<PathBuf, ExitCode>, Box<dyn Error>> {
    let tools = tools::path_with("cargo-fuzz")?;
    let place = folder()?.join("build");
    let mut build = Command::new("rustup");
    // There is no unsafe code to be watched but in the kernel's neighbourhood; without a sanitizer
    // it is several times faster.
    build.args([
        "run",
        "nightly",
        "cargo",
        "fuzz",
        "build",
        "--fuzz-dir",
        ".",
        "--sanitizer",
        "none",
    ]);
    build
        .args(["--features", "libfuzzer", "libfuzzer", "--target-dir"])
        .arg(&place);
    build.current_dir(package()?).env("PATH", tools);
    // Those of the stable toolchain that runs this chore.
    for name in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN", "RUSTFLAGS"] {
        build.env_remove(name);
    }
    let status = build.status()?;
    if !status.success() {
        return Ok(Err(cargo::code(status)));
    }
    let host = String::from_utf8(Command::new("rustc").arg("-vV").output()?.stdout)?;
    let host = host.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or("rustc does not say what machine this is")?;
    Ok(Ok(place.join(host).join("release/libfuzzer")))
}

/// Hunts for so many seconds with so many processes.
pub(super) fn hunt(
    program: &Path,
    target: &str,
    seconds: u64,
    jobs: u64,
    seed: Option<u64>,
) -> Result<Hunted, Box<dyn Error>> {
    let place = folder()?.join(target);
    let (grown, found) = (place.join("corpus"), place.join("found"));
    for folder in [&grown, &found] {
        fs::create_dir_all(folder)?;
    }
    // Of an earlier hunt, whose findings were kept.
    for old in fs::read_dir(&found)? {
        fs::remove_file(old?.path())?;
    }
    let run = |job: u64| -> Result<_, Box<dyn Error>> {
        let log = place.join(format!("log.{job}"));
        let mut hunt = command(program, target);
        hunt.arg(&grown).arg(corpus(target)?);
        hunt.arg(format!("-max_total_time={seconds}"));
        hunt.arg(format!("-max_len={LONGEST}"));
        hunt.arg(format!("-artifact_prefix={}/", found.display()));
        hunt.args([
            "-timeout=20",
            "-rss_limit_mb=1024",
            "-print_final_stats=1",
            "-reload=1",
        ]);
        if let Some(seed) = seed {
            hunt.arg(format!("-seed={}", (seed + job) as u32));
        }
        let child = hunt.stderr(OpenLog(&log).open()?).spawn()?;
        Ok((child, log))
    };
    let running = (0..jobs).map(run).collect::<Result<Vec<_>, _>>()?;
    let mut executions = 0;
    for (mut child, log) in running {
        child.wait()?;
        executions += executed(&fs::read_to_string(log)?);
    }
    let found = fs::read_dir(&found)?.next().transpose()?;
    Ok(Hunted {
        executions,
        found: found.map(|entry| entry.path()),
    })
}

/// Adds those of the inputs that grew to the corpus that reach what no input there does.
pub(super) fn distil(program: &Path, target: &str) -> Result<(), Box<dyn Error>> {
    let grown = folder()?.join(target).join("corpus");
    let mut merge = command(program, target);
    merge.arg("-merge=1").arg(corpus(target)?).arg(grown);
    let status = merge.stderr(Stdio::null()).status()?;
    if status.success() {
        Ok(())
    } else {
        Err("libFuzzer could not merge the corpus".into())
    }
}

fn command(program: &Path, target: &str) -> Command {
    let mut command = Command::new(program);
    command.env("PK_FUZZ_TARGET", target).stdout(Stdio::null());
    command
}

/// A file for what libFuzzer says, which is much.
struct OpenLog<'p>(&'p Path);

impl OpenLog<'_> {
    fn open(&self) -> std::io::Result<File> {
        File::options()
            .create(true)
            .truncate(true)
            .write(true)
            .open(self.0)
    }
}

/// How many inputs were checked.
fn executed(log: &str) -> u64 {
    let count = |line: &str| {
        line.strip_prefix("stat::number_of_executed_units:")?
            .trim()
            .parse()
            .ok()
    };
    log.lines().rev().find_map(count).unwrap_or(0)
}

/// The package with the targets.
fn package() -> Result<PathBuf, Box<dyn Error>> {
    Ok(cargo::workspace()?
        .workspace_root
        .as_std_path()
        .join("tests/fuzz"))
}

fn corpus(target: &str) -> Result<PathBuf, Box<dyn Error>> {
    let folder = package()?.join("corpus").join(target);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The folder for all that libFuzzer makes.
fn folder() -> Result<PathBuf, Box<dyn Error>> {
    Ok(cargo::workspace()?
        .target_directory
        .as_std_path()
        .join("libfuzzer"))
}
