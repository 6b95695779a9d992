//! The Python package: a virtual environment under the target folder, the tools in it, the wheel,
//! and its tests. Never touches the Python that it finds, and says what it leaves out and why.

use std::error::Error;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::{Outcome, cargo};

/// What builds the wheel.
const BUILD: &str = "maturin>=1.16,<2";
/// What the tests need.
const TEST: &str = "mypy>=1.18 pytest>=8 pytest-xdist>=3.6 typing_extensions>=4.15";
/// What the guide's examples need. Where one can't be had, its example is skipped.
const EXAMPLES: [&str; 2] = ["uvicorn", "grpcio"];

const PIP: &str = "python -m pip install --quiet --disable-pip-version-check";

/// What knows words that are often misspelt.
const SPELLING: &str = "codespell>=2.4,<3";

/// What is missing on this machine.
pub(crate) type Missing = String;

/// Where everything is.
struct Place {
    /// The package's sources.
    package: PathBuf,
    /// All that is made here.
    made: PathBuf,
}

/// `cargo xtask wheel`: a wheel in `folder` (else `target/wheels`) that installs without a compiler.
pub(crate) fn wheel(folder: Option<PathBuf>) -> Outcome {
    let place = Place::new()?;
    let folder = match folder {
        Some(folder) => std::path::absolute(folder)?,
        None => place.made.with_file_name("wheels"),
    };
    if let Err(why) = place.install(BUILD)? {
        return Err(format!("no wheel: {why}").into());
    }
    let code = cargo::run(&mut place.build("wheel", &folder))?;
    if code == ExitCode::SUCCESS {
        println!("{}", newest(&folder)?.display());
    }
    Ok(code)
}

/// Builds the wheel of the workspace in `root` into `folder`, which is empty, with these variables; where
/// there is no Python to do it with, tells why.
///
/// # Errors
/// It does not compile, which maturin has then explained.
pub(crate) fn release(
    root: &Path,
    folder: &Path,
    environment: Vec<(&str, OsString)>,
) -> Result<Result<PathBuf, Missing>, Box<dyn Error>> {
    let mut place = Place::new()?;
    place.package = root.join("crates/pk-python");
    if let Err(why) = place.install(BUILD)? {
        return Ok(Err(why));
    }
    let mut maturin = place.build("wheel", folder);
    maturin.arg("--locked").envs(environment);
    if !maturin.status()?.success() {
        return Err("the wheel can't be built".into());
    }
    Ok(Ok(newest(folder)?))
}

/// Looks for misspelt words in everything that git knows, or tells why it can't.
///
/// # Errors
/// Python can't be started.
pub(crate) fn spelling() -> Result<Result<ExitCode, Missing>, Box<dyn Error>> {
    let place = Place::new()?;
    if let Err(why) = place.install(SPELLING)? {
        return Ok(Err(why));
    }
    let root = cargo::workspace()?.workspace_root;
    let list = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(&root)
        .output()?;
    let names = String::from_utf8(list.stdout)?;
    let texts = names
        .split_terminator('\0')
        .filter(|name| !name.starts_with("tests/fuzz/corpus"));
    let mut codespell = place.command("codespell --quiet-level 3 --ignore-words xtask/words.txt");
    Ok(Ok(cargo::run(codespell.current_dir(&root).args(texts))?))
}

/// Builds the package, installs it, checks its types and runs its tests; where there is no Python,
/// says so.
pub(crate) fn test() -> Outcome {
    let place = Place::new()?;
    for packages in [BUILD, TEST] {
        if let Err(why) = place.install(packages)? {
            eprintln!("test: python skipped: {why}");
            return Ok(ExitCode::SUCCESS);
        }
    }
    for example in EXAMPLES {
        if let Err(why) = place.install(example)? {
            eprintln!("test: the example with {example} skipped: {why}");
        }
    }
    let wheels = place.made.join("wheels");
    let code = cargo::run(&mut place.build("dev", &wheels))?;
    if code != ExitCode::SUCCESS {
        return Ok(code);
    }
    let mut install = place.command(&format!("{PIP} --force-reinstall --no-deps"));
    install.arg(newest(&wheels)?);
    let mypy = |of: &str| {
        let mut mypy = place.command("mypy --strict --cache-dir");
        mypy.arg(place.made.join("mypy")).args(of.split(' '));
        mypy
    };
    let steps = [
        install,
        mypy("-p portkeeper"),
        mypy("tests"),
        place.command("stubtest portkeeper"),
        place.command("pytest --quiet tests"),
    ];
    for mut step in steps {
        let code = cargo::run(&mut step)?;
        if code != ExitCode::SUCCESS {
            return Ok(code);
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Place {
    fn new() -> Result<Place, Box<dyn Error>> {
        let workspace = cargo::workspace()?;
        let root = workspace.workspace_root.as_std_path();
        Ok(Place {
            package: root.join("crates/pk-python"),
            made: workspace.target_directory.as_std_path().join("python"),
        })
    }

    fn venv(&self) -> PathBuf {
        self.made.join("venv")
    }

    /// A program of the virtual environment and its first arguments, none of which has a blank.
    fn command(&self, words: &str) -> Command {
        let (program, arguments) = words.split_once(' ').unwrap_or((words, ""));
        let mut command = Command::new(self.venv().join("bin").join(program));
        command.args(arguments.split_whitespace());
        command.current_dir(&self.package).stdin(Stdio::null());
        // Nothing is written beside the sources.
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// Makes sure that these packages are in the virtual environment. Those that were installed
    /// once are not asked for again, so that no network is needed.
    fn install(&self, packages: &str) -> Result<Result<(), Missing>, Box<dyn Error>> {
        let stamp = self.venv().join(format!("has {packages}"));
        if stamp.exists() {
            return Ok(Ok(()));
        }
        if let Err(missing) = self.make_venv()? {
            return Ok(Err(missing));
        }
        let mut pip = self.command(PIP);
        let done = pip.args(packages.split(' ')).output()?;
        if !done.status.success() {
            let why = String::from_utf8_lossy(&done.stderr);
            let why = why.lines().last().unwrap_or_default();
            return Ok(Err(format!("pip can't install {packages}: {why}")));
        }
        OpenOptions::new().create(true).append(true).open(stamp)?;
        Ok(Ok(()))
    }

    fn make_venv(&self) -> Result<Result<(), Missing>, Box<dyn Error>> {
        if self.venv().join("bin/pip").exists() {
            return Ok(Ok(()));
        }
        let mut python = Command::new("python3");
        match python.args(["-m", "venv"]).arg(self.venv()).output() {
            Ok(done) if done.status.success() => Ok(Ok(())),
            // As in Debian without its package python3-venv.
            Ok(_) => Ok(Err("python3 -m venv does not work".into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Err("there is no python3".into()))
            }
            Err(error) => Err(format!("python3: {error}").into()),
        }
    }

    /// Builds a wheel into `folder`, apart from what cargo builds otherwise: other variables are set,
    /// and the two would undo each other's work.
    fn build(&self, profile: &str, folder: &Path) -> Command {
        let mut maturin = self.command("maturin build --quiet");
        maturin.args(["--profile", profile, "--out"]).arg(folder);
        // The environment's own: others that lie about could be too old.
        let python = self.venv().join("bin/python");
        maturin.arg("--interpreter").arg(python);
        maturin.env("CARGO_TARGET_DIR", self.made.join("build"));
        maturin
    }
}

/// The wheel that was built last.
fn newest(folder: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let mut wheels = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == "whl") {
            wheels.push((path.metadata()?.modified()?, path));
        }
    }
    let newest = wheels.into_iter().max().map(|(_, path)| path);
    newest.ok_or_else(|| "maturin has built no wheel".into())
}
