//! How many instructions the commonest commands take, as callgrind counts them: the same on a busy
//! machine, and nearly the same on every one. Never measures time.
//!
//! What they took is kept in `xtask/instructions.txt`; whoever makes one dearer by more than
//! [`MORE`] writes the file anew, and so shows it to the reviewer.

#![allow(
    clippy::disallowed_methods,
    reason = "what it writes is its own, and nobody is looking"
)]

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::{Outcome, cargo};

/// The commands, beside this many entries.
const COMMANDS: [&str; 3] = ["reserve", "release", "status"];
const ENTRIES: usize = 100;

/// How much more, of a hundred, is let pass.
const MORE: u64 = 5;

/// What to do with the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Fail where one is larger than what is kept.
    Compare,
    /// Keep them.
    Write,
}

/// Counts, and compares or writes. Skipped, with a word about it, where there is no valgrind.
pub(crate) fn run(then: Then) -> Outcome {
    if !has_valgrind() {
        eprintln!("instructions: skipped: there is no valgrind");
        return Ok(ExitCode::SUCCESS);
    }
    let program = match cargo::build_release()? {
        Ok(program) => program,
        Err(code) => return Ok(code),
    };
    let scene = Scene::new(program)?;
    let mut text = String::new();
    for name in COMMANDS {
        writeln!(text, "{name} {}", scene.count(name)?)?;
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.txt");
    if then == Then::Write {
        fs::write(&file, &text)?;
        print!("{text}");
        return Ok(ExitCode::SUCCESS);
    }
    let found = compare(&fs::read_to_string(&file)?, &text)?;
    for line in &found.lines {
        eprintln!("instructions: {line}");
    }
    match found.dearer {
        false => Ok(ExitCode::SUCCESS),
        true => {
            eprintln!("instructions: if it is worth that: cargo xtask instructions --write");
            Ok(ExitCode::FAILURE)
        }
    }
}

fn has_valgrind() -> bool {
    let mut command = Command::new("valgrind");
    command.arg("--version").stdout(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// What comparing came to.
#[derive(Debug, PartialEq, Eq)]
struct Compared {
    lines: Vec<String>,
    dearer: bool,
}

fn compare(kept: &str, counted: &str) -> Result<Compared, Box<dyn Error>> {
    let mut compared = Compared {
        lines: Vec::new(),
        dearer: false,
    };
    for line in counted.lines() {
        let (name, now) = line.split_once(' ').ok_or("no count")?;
        let before = kept.lines().find_map(|it| it.strip_prefix(name));
        let before = before.ok_or_else(|| format!("{name} is not in instructions.txt"))?;
        let (now, before): (u64, u64) = (now.parse()?, before.trim().parse()?);
        let is_dearer = now * 100 > before * (100 + MORE);
        compared.dearer |= is_dearer;
        let word = if is_dearer { "too many, " } else { "" };
        compared
            .lines
            .push(format!("{name}: {word}{now}, {before} are kept"));
    }
    Ok(compared)
}

/// A registry that is the same each time.
struct Scene {
    program: PathBuf,
    folder: PathBuf,
    /// The last port that was reserved.
    port: String,
}

impl Scene {
    fn new(program: PathBuf) -> Result<Scene, Box<dyn Error>> {
        let folder = std::env::temp_dir().join(format!("pk-count-{}", std::process::id()));
        fs::create_dir(&folder)?;
        let mut scene = Scene {
            program,
            folder,
            port: String::new(),
        };
        for _ in 0..ENTRIES {
            let mut reserve = scene.command(scene.program.as_ref());
            let output = reserve.args(["reserve", "--format", "port"]).output()?;
            if !output.status.success() {
                return Err(format!("no port: {output:?}").into());
            }
            scene.port = String::from_utf8(output.stdout)?.trim().to_owned();
        }
        fs::copy(scene.registry(), scene.folder.join("kept"))?;
        Ok(scene)
    }

    /// How many instructions a command takes. Some depend on chance: the fewest of three count.
    fn count(&self, name: &str) -> Result<u64, Box<dyn Error>> {
        let mut fewest = u64::MAX;
        for _ in 0..3 {
            fs::copy(self.folder.join("kept"), self.registry())?;
            // Or it remembers that there was a newer one.
            fs::write(self.folder.join("registry.json.lock"), "")?;
            let mut valgrind = self.command("valgrind".as_ref());
            valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
            valgrind.arg(&self.program).arg(name);
            if name == "release" {
                valgrind.arg(&self.port);
            }
            let output = valgrind.output()?;
            let text = String::from_utf8_lossy(&output.stderr);
            let count = text.lines().find_map(|line| line.split_once("Collected :"));
            match count {
                Some((_, count)) if output.status.success() => {
                    fewest = fewest.min(count.trim().parse()?);
                }
                _ => return Err(format!("valgrind counts nothing: {text}").into()),
            }
        }
        Ok(fewest)
    }

    fn registry(&self) -> PathBuf {
        self.folder.join("registry.json")
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.folder)
            .env("PORTKEEPER_REGISTRY", self.registry())
            .env("PORTKEEPER_STATE_DIR", &self.folder)
            // Where the search begins depends on the folder.
            .current_dir("/");
        command
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // What stays behind is a small folder for temporary files.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twentieth_more_is_let_pass_and_no_more() {
        let check = |now: u64, dearer: bool| {
            let compared = compare("reserve 1000\n", &format!("reserve {now}\n")).unwrap();
            assert_eq!(compared.dearer, dearer, "{compared:?}");
        };
        check(10, false);
        check(1050, false);
        check(1051, true);
        assert!(compare("release 1\n", "reserve 1\n").is_err());
    }
}
