//! `cargo xtask fuzz`: hunts for inputs and histories that break a promise, and replays them. Never
//! judges them: what holds is said in tests/fuzz.

mod libfuzzer;
mod planted;

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::SystemTime;

use clap::{Args, ValueEnum};

use crate::{Outcome, cargo};

/// The package with all targets.
const PACKAGE: &str = "pk-fuzz";
const HUNTER: cargo::Binary = cargo::Binary {
    package: PACKAGE,
    name: PACKAGE,
};

/// What to hunt for, and for how long.
#[derive(Args)]
pub(crate) struct Fuzz {
    /// A target; all in turn where none is named
    target: Option<String>,
    /// List the targets, one a line, name first
    #[arg(long, conflicts_with_all = ["target", "replay", "planted"])]
    list: bool,
    /// Replay an input that was found
    #[arg(long, value_name = "FILE", conflicts_with_all = ["target", "planted"])]
    replay: Option<PathBuf>,
    /// How long to hunt, for each target
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,
    /// How many processes hunt at once
    #[arg(long, value_name = "N", default_value_t = 1)]
    jobs: u64,
    /// Hunt the same inputs again; another seed each time where none is given
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// What to hunt with
    #[arg(long, default_value = "auto")]
    engine: Engine,
    /// Keep the inputs that reach new code in the corpus (libFuzzer only)
    #[arg(long)]
    distil: bool,
    /// Plant known bugs, or the one that is named, into a copy of the code, one after the other, and
    /// see each found
    #[arg(long)]
    planted: bool,
}

/// What a hunt is done with.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Engine {
    /// libFuzzer for targets of bytes where there is a nightly toolchain, else proptest
    Auto,
    /// proptest, on any toolchain
    Proptest,
    /// libFuzzer, which watches which code an input reaches
    Libfuzzer,
}

/// Does what was asked for. Fails where something was found.
pub(crate) fn run(asked: &Fuzz) -> Outcome {
    if asked.planted {
        return planted::run(asked.target.as_deref(), asked.seconds, asked.seed);
    }
    let hunter = match cargo::binaries(&[HUNTER], &["--profile", "fuzz"])? {
        Ok([hunter]) => hunter,
        Err(code) => return Ok(code),
    };
    if asked.list {
        return Ok(cargo::run(Command::new(hunter).arg("list"))?);
    }
    let targets = match (&asked.replay, &asked.target) {
        // The folder of an input is called as its target.
        (Some(file), _) => vec![folder_of(file)],
        (None, Some(target)) => vec![target.clone()],
        (None, None) => targets(&hunter)?,
    };
    let mut program = None;
    for target in &targets {
        // What reads bytes runs no program, and need not wait for one.
        if program.is_none() && !is_of_bytes(&hunter, target)? {
            program = match cargo::build_for_hunt()? {
                Ok(program) => Some(program),
                Err(code) => return Ok(code),
            };
        }
    }
    if let Some(file) = &asked.replay {
        let mut replay = Command::new(hunter);
        replay.arg("replay").arg(file);
        return Ok(cargo::run(
            replay.envs(program.map(|path| ("PK_BIN", path))),
        )?);
    }
    let hunt = Hunt {
        asked,
        hunter: &hunter,
        program: program.as_deref(),
    };
    let mut found = ExitCode::SUCCESS;
    for target in targets {
        let code = hunt.of(&target)?;
        if code != ExitCode::SUCCESS {
            found = code;
        }
    }
    Ok(found)
}

/// The names of all targets.
fn targets(hunter: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let list = String::from_utf8(Command::new(hunter).arg("list").output()?.stdout)?;
    let name = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    Ok(list.lines().map(name).collect())
}

/// The name of the folder that a file is in.
fn folder_of(file: &Path) -> String {
    let folder = file.parent().and_then(Path::file_name);
    folder.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// Whether inputs of a target are any bytes, which libFuzzer makes.
///
/// # Errors
/// There is no such target.
fn is_of_bytes(hunter: &Path, target: &str) -> Result<bool, Box<dyn Error>> {
    let mut ask = Command::new(hunter);
    ask.args(["is-of-bytes", target]).stderr(Stdio::null());
    match ask.status()?.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => Err(format!("there is no target `{target}`: --list lists them").into()),
    }
}

struct Hunt<'h> {
    asked: &'h Fuzz,
    hunter: &'h Path,
    /// Where a target runs it.
    program: Option<&'h Path>,
}

impl Hunt<'_> {
    fn of(&self, target: &str) -> Outcome {
        let of_bytes = is_of_bytes(self.hunter, target)?;
        let libfuzzer = match self.asked.engine {
            Engine::Proptest => None,
            Engine::Auto if !of_bytes || !libfuzzer::is_possible() => None,
            Engine::Auto | Engine::Libfuzzer => Some(libfuzzer::build()?),
        };
        match libfuzzer {
            Some(Err(code)) => Ok(code),
            Some(Ok(libfuzzer)) => self.with_libfuzzer(&libfuzzer, target),
            None => self.with_proptest(target),
        }
    }

    fn with_proptest(&self, target: &str) -> Outcome {
        let seed = self.asked.seed.unwrap_or_else(any_seed);
        let start = |job: u64| {
            let seed = seed.wrapping_add(job);
            Ok((seed, self.hunter("hunt", target, seed).spawn()?))
        };
        let jobs = (0..self.asked.jobs)
            .map(start)
            .collect::<io::Result<Vec<(u64, Child)>>>()?;
        let mut found = ExitCode::SUCCESS;
        for (seed, mut job) in jobs {
            let mut status = job.wait()?;
            if status.code().is_none() {
                // An input that ends the process is lost with it, but the hunt can be repeated.
                println!("{target}: the process was ended ({status}); its inputs are tried again");
                status = self.hunter("trace", target, seed).status()?;
                println!("replay: cargo xtask fuzz --replay tests/fuzz/findings/{target}/*");
            }
            if !status.success() {
                found = cargo::code(status);
            }
        }
        Ok(found)
    }

    fn hunter(&self, how: &str, target: &str, seed: u64) -> Command {
        let mut hunter = Command::new(self.hunter);
        hunter.args([
            how,
            target,
            &self.asked.seconds.to_string(),
            &seed.to_string(),
        ]);
        hunter.envs(self.program.map(|path| ("PK_BIN", path)));
        hunter
    }

    fn with_libfuzzer(&self, libfuzzer: &Path, target: &str) -> Outcome {
        let seconds = self.asked.seconds;
        let hunted = libfuzzer::hunt(libfuzzer, target, seconds, self.asked.jobs, self.asked.seed)?;
        println!(
            "{target}: {} executions in {seconds} s with libFuzzer",
            hunted.executions
        );
        if let Some(input) = hunted.found {
            let mut smaller = Command::new(self.hunter);
            return Ok(cargo::run(smaller.args(["minimise", target]).arg(input))?);
        }
        if self.asked.distil {
            libfuzzer::distil(libfuzzer, target)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Another one each time.
fn any_seed() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| now.as_nanos() as u64)
}
