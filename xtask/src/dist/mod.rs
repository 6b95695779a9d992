//! `cargo xtask dist`: everything that is released, made from what lies in the folder: an archive, a
//! Debian package, a wheel, a bill of materials, and the sums of them. The same sources give the same
//! bytes. Never uploads anything, and never asks for more than a Rust toolchain and, for the wheel, Python.

mod bare;
mod build;
mod contents;
mod deb;
mod licences;
mod sbom;
mod tree;
mod wheel;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use clap::Args;
use sha2::{Digest as _, Sha256};

use crate::{Outcome, cargo};

/// What to do with what is made.
#[derive(Args, Debug)]
pub(crate) struct Dist {
    /// The folder for it; `dist` in the target folder where none is given
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Make all of it a second time from a copy of the sources elsewhere, and compare; then try it in a
    /// root folder with nothing else in it, and in a bare Debian
    #[arg(long)]
    check: bool,
}

impl Dist {
    /// All of it, checked, in the usual folder.
    pub(crate) fn checked() -> Dist {
        Dist {
            out: None,
            check: true,
        }
    }
}

/// A text that comes with the program: the name of its file, and its bytes.
type Text = (String, Vec<u8>);

/// What is released, by the names of the files.
type Artefacts = BTreeMap<String, Vec<u8>>;

/// The file with the sums of the others.
const SUMS: &str = "SHA256SUMS";

/// Makes what is released, and prints the name, size and sum of each file.
pub(crate) fn run(asked: &Dist) -> Outcome {
    let workspace = cargo::workspace()?;
    let root = workspace.workspace_root.as_std_path();
    let target = workspace.target_directory.as_std_path();
    let out = match &asked.out {
        Some(out) => std::path::absolute(out)?,
        None => target.join("dist"),
    };
    let epoch = epoch(root)?;
    let start = Instant::now();
    let artefacts = contents::make(root, &target.join("dist-build"), epoch)?;
    eprintln!("dist: made in {} s", start.elapsed().as_secs());
    write(&out, &artefacts)?;
    print!("{}", listing(&artefacts));
    if !asked.check {
        return Ok(ExitCode::SUCCESS);
    }
    let copy = target.join("dist-again");
    copy_sources(root, &copy.join("sources"))?;
    let again = contents::make(&copy.join("sources"), &copy.join("build"), epoch)?;
    let differ = differing(&artefacts, &again);
    if !differ.is_empty() {
        write(&copy.join("dist"), &again)?;
        let (names, again) = (differ.join(", "), copy.join("dist"));
        return Err(format!("made twice, not the same: {names}; see {}", again.display()).into());
    }
    eprintln!("dist: made twice, {} files, the same bytes", again.len());
    fs::remove_dir_all(&copy)?;
    bare::check(&artefacts, &target.join("dist-bare"))?;
    Ok(ExitCode::SUCCESS)
}

/// The time of all that is made, in seconds after 1970: as the environment says, else that of the last
/// commit (<https://reproducible-builds.org/specs/source-date-epoch/>).
fn epoch(root: &Path) -> Result<u64, Box<dyn Error>> {
    if let Ok(set) = std::env::var("SOURCE_DATE_EPOCH") {
        let parsed = set.parse();
        return Ok(parsed.map_err(|error| format!("SOURCE_DATE_EPOCH={set}: {error}"))?);
    }
    let mut git = Command::new("git");
    let log = git.args(["log", "-1", "--format=%ct"]).current_dir(root);
    let text = String::from_utf8(log.output()?.stdout)?;
    let parsed = text.trim().parse();
    Ok(parsed.map_err(|_| "no commit tells the time: set SOURCE_DATE_EPOCH")?)
}

/// Writes the files and their sums into `folder`, which holds nothing else afterwards.
fn write(folder: &Path, artefacts: &Artefacts) -> io::Result<()> {
    empty(folder)?;
    for (name, bytes) in artefacts {
        fs::write(folder.join(name), bytes)?;
    }
    fs::write(folder.join(SUMS), sums(artefacts))
}

/// A folder with nothing in it.
pub(crate) fn empty(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs::create_dir_all(folder),
    }
}

/// As `sha256sum --check` reads them.
fn sums(artefacts: &Artefacts) -> String {
    let mut text = String::new();
    for (name, bytes) in artefacts {
        // Writing to a string can't fail.
        let _ = writeln!(text, "{}  {name}", hex(&Sha256::digest(bytes)));
    }
    text
}

fn listing(artefacts: &Artefacts) -> String {
    let mut text = String::new();
    for (name, bytes) in artefacts {
        let sum = &hex(&Sha256::digest(bytes))[..16];
        let _ = writeln!(text, "{:>9}  {sum}  {name}", bytes.len());
    }
    text
}

/// The names of what is in only one of the two, or not the same in both.
fn differing<'a>(one: &'a Artefacts, other: &'a Artefacts) -> Vec<&'a str> {
    let names: BTreeSet<_> = one.keys().chain(other.keys()).collect();
    let differ = names
        .into_iter()
        .filter(|name| one.get(*name) != other.get(*name));
    differ.map(String::as_str).collect()
}

/// Copies what git knows of, as it lies there now.
fn copy_sources(root: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    empty(to)?;
    let mut git = Command::new("git");
    let list = git.args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "-z",
    ]);
    let list = list.current_dir(root).output()?;
    for name in String::from_utf8(list.stdout)?.split_terminator('\0') {
        let (from, to) = (root.join(name), to.join(name));
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        // Deleted, but still known.
        if from.is_file() {
            fs::copy(from, to)?;
        }
    }
    Ok(())
}

/// Two digits a byte.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artefacts(files: &[(&str, &str)]) -> Artefacts {
        let file = |(name, text): &(&str, &str)| ((*name).to_owned(), text.as_bytes().to_vec());
        files.iter().map(file).collect()
    }

    #[test]
    fn what_differs_is_named() {
        let check = |one: &[(&str, &str)], other: &[(&str, &str)], expect: &[&str]| {
            assert_eq!(differing(&artefacts(one), &artefacts(other)), expect);
        };
        check(&[("a", "1")], &[("a", "1")], &[]);
        check(&[("a", "1"), ("b", "2")], &[("a", "1"), ("b", "3")], &["b"]);
        check(&[("a", "1")], &[("b", "1")], &["a", "b"]);
    }

    #[test]
    fn sums_are_those_of_sha256sum() {
        let expect = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  a\n";
        assert_eq!(sums(&artefacts(&[("a", "")])), expect);
    }
}
