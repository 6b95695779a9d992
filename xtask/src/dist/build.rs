//! Compiles what is released, so that nothing in it tells where or when: folders are renamed in it,
//! and the compiler's flags are these alone.

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cargo;

/// The folders that a compiler sees, which must not be seen in what it makes.
pub(super) struct Folders<'a> {
    pub(super) root: &'a Path,
    /// For what is compiled.
    pub(super) build: &'a Path,
    pub(super) sysroot: &'a Path,
    /// The commit of the compiler, by which it calls the standard library's folder.
    pub(super) rustc: &'a str,
}

impl Folders<'_> {
    /// The flags that rename the folders; the last one that fits is taken.
    ///
    /// # Errors
    /// Folders of cargo's can't be read.
    fn renaming(&self) -> Result<Vec<OsString>, Box<dyn Error>> {
        let mut names = vec![
            (self.root.to_owned(), "/portkeeper".to_owned()),
            (self.build.to_owned(), "/build".to_owned()),
            (
                self.sysroot.join("lib/rustlib/src/rust"),
                format!("/rustc/{}", self.rustc),
            ),
        ];
        let registries = cargo_home()?.join("registry/src");
        if registries.exists() {
            for registry in fs::read_dir(registries)? {
                names.push((registry?.path(), "/crates".to_owned()));
            }
        }
        let flag = |(from, to): (PathBuf, String)| {
            let mut flag = OsString::from("--remap-path-prefix=");
            flag.push(from);
            flag.push("=");
            flag.push(to);
            flag
        };
        Ok(names.into_iter().map(flag).collect())
    }

    /// The variables of a compilation with these flags besides.
    ///
    /// # Errors
    /// Folders of cargo's can't be read.
    pub(super) fn environment(
        &self,
        flags: &[&str],
    ) -> Result<Vec<(&'static str, OsString)>, Box<dyn Error>> {
        let mut all: Vec<OsString> = flags.iter().map(Into::into).collect();
        all.extend(self.renaming()?);
        Ok(vec![
            // Unlike RUSTFLAGS, this one takes folders with blanks.
            ("CARGO_ENCODED_RUSTFLAGS", all.join("\x1f".as_ref())),
            ("CARGO_TARGET_DIR", self.build.into()),
            ("CARGO_INCREMENTAL", "0".into()),
        ])
    }
}

/// The program for `target`, linked statically.
///
/// # Errors
/// It does not compile, which cargo has then explained.
pub(super) fn program(folders: &Folders<'_>, target: &str) -> Result<PathBuf, Box<dyn Error>> {
    let mut build = cargo::command(&["build", "--locked", "--release", "--package", "pk-cli"]);
    build.args(["--bin", "portkeeper", "--target", target]);
    // Macros and build scripts run here, and stay as they are: a target is named.
    build.envs(folders.environment(&cargo::RELEASED)?);
    if !build.current_dir(folders.root).status()?.success() {
        return Err("the program does not compile".into());
    }
    Ok(folders.build.join(target).join("release/portkeeper"))
}

/// What the program says, with nothing of ours in its environment.
///
/// # Errors
/// It fails, or can't be run.
pub(super) fn ask(program: &Path, arguments: &[&str]) -> Result<(), Box<dyn Error>> {
    let mut command = Command::new(program);
    let status = command
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .status()?;
    if status.success() {
        return Ok(());
    }
    Err(format!("{} {}: {status}", program.display(), arguments.join(" ")).into())
}

fn cargo_home() -> Result<PathBuf, Box<dyn Error>> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let home = || set("HOME").map(|home| home.join(".cargo"));
    Ok(set("CARGO_HOME")
        .or_else(home)
        .ok_or("neither CARGO_HOME nor HOME is set")?)
}
