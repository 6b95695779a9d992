//! `cargo xtask tidy`: the house rules that neither the compiler nor clippy knows. Each rule is a
//! table and a pure function of text; only this room reads files. Never changes anything.

mod layers;
mod links;
mod packages;
mod pages;
mod shape;
mod source;
mod supply;
mod unused;

use std::error::Error;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, ExitCode};

use crate::{Outcome, cargo};

/// A broken rule, at a place.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    line: usize,
    what: String,
    instead: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: {}; {}",
            self.path, self.line, self.what, self.instead
        )
    }
}

/// Prints every finding, one a line; exit 1 if there is any.
pub(crate) fn run() -> Outcome {
    let workspace = cargo::workspace()?;
    let root = workspace.workspace_root.as_std_path();
    let mut findings = Vec::new();
    let mut texts = Vec::new();
    for path in files(root)? {
        texts.extend(text(&root.join(&path))?.map(|text| (path, text)));
    }
    for asked in packages::asked(&workspace)? {
        findings.extend(layers::check(&asked));
        findings.extend(packages::check(&asked));
        findings.extend(unused::check(&asked, &texts));
    }
    let deny = fs::read_to_string(root.join(supply::PAGE))?;
    for package in &cargo::all_packages()? {
        findings.extend(supply::check(package, &deny));
    }
    for (path, text) in &texts {
        findings.extend(shape::check_text(
            path,
            text,
            workspace.workspace_root.as_str(),
        ));
        if path.ends_with(".rs") {
            findings.extend(shape::check_rust(path, text));
            findings.extend(source::check(path, text));
        }
    }
    findings.extend(pages::check(&texts));
    findings.extend(links::check(&texts));
    for finding in &findings {
        println!("{finding}");
    }
    Ok(if findings.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What git tracks or would track, relative to `root`.
fn files(root: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let list = Command::new("git")
        .args([
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "-z",
        ])
        .current_dir(root)
        .output()
        .map_err(|error| format!("git: {error}"))?;
    if !list.status.success() {
        return Err(String::from_utf8_lossy(&list.stderr)
            .trim()
            .to_owned()
            .into());
    }
    let names = String::from_utf8(list.stdout)?;
    Ok(names.split_terminator('\0').map(str::to_owned).collect())
}

/// The text of a file; `None` for what is not text, or was deleted but is still tracked.
fn text(path: &Path) -> Result<Option<String>, Box<dyn Error>> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8(bytes).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display()).into()),
    }
}
