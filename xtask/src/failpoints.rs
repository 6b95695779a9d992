//! The build of the program that stumbles where a test tells it to, and the proof that no other one
//! does. Never ships.

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::{Outcome, cargo};

/// What such a build reads.
const VARIABLE: &str = "PORTKEEPER_FAILPOINTS";

/// The folder for it, beside the program.
const FOLDER: &str = "failpoints";

/// Builds the program with its failpoints, and puts it where no other build overwrites it; when it
/// does not build, which cargo has then explained, gives back cargo's exit code.
///
/// # Errors
/// Those of [`cargo::build`]; it can't be copied.
pub(crate) fn build() -> Result<Result<PathBuf, ExitCode>, Box<dyn Error>> {
    let program = match cargo::build(&["--features", "failpoints"])? {
        Ok(program) => program,
        Err(code) => return Ok(Err(code)),
    };
    let name = program.file_name().ok_or("a program without a name")?;
    let folder = program.with_file_name(FOLDER);
    fs::create_dir_all(&folder)?;
    let copy = folder.join(name);
    // Removed, not overwritten: it may be running.
    match fs::remove_file(&copy) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => fs::copy(&program, &copy)?,
    };
    Ok(Ok(copy))
}

/// Checks that the program that people get knows none of the names, and, so that this check can
/// fail, that the other build knows them all.
pub(crate) fn check() -> Outcome {
    let with = match build()? {
        Ok(program) => program,
        Err(code) => return Ok(code),
    };
    let without = match cargo::build(&[])? {
        Ok(program) => program,
        Err(code) => return Ok(code),
    };
    let root = cargo::workspace()?.workspace_root;
    let mut names = names(&root.as_std_path().join("crates"))?;
    let (with, without) = (fs::read(with)?, fs::read(without)?);
    let (with, without) = (words(&with), words(&without));
    let mut wrong = repeated(&mut names);
    names.push(VARIABLE.to_owned());
    for name in &names {
        if holds(&without, name) {
            wrong.push(format!("{name} is in the program without failpoints"));
        }
        if !holds(&with, name) {
            wrong.push(format!("{name} is not in the program with failpoints"));
        }
    }
    for wrong in &wrong {
        println!("{wrong}");
    }
    Ok(if wrong.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The names of all failpoints in the sources below `folder`.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            names.append(&mut self::names(&path)?);
        } else if path.extension().is_some_and(|it| it == "rs") {
            let text = fs::read_to_string(&path)?;
            names.extend(named(&text).map(str::to_owned));
        }
    }
    Ok(names)
}

/// The names of the failpoints in a source file; what stands in its comments is none.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    code.filter_map(|line| {
        let (_, rest) = line.split_once("failpoint!(\"")?;
        Some(rest.split_once('"')?.0)
    })
}

/// Complaints about names that stand for several places.
fn repeated(names: &mut [String]) -> Vec<String> {
    names.sort_unstable();
    let twice = names.windows(2).filter(|pair| pair[0] == pair[1]);
    twice
        .map(|pair| format!("{} stands for two places", pair[0]))
        .collect()
}

/// The parts of a program in which a name could stand. One pass over it: there are many names, and
/// it has many megabytes.
fn words(program: &[u8]) -> Vec<&str> {
    let ends = |byte: &u8| !(byte.is_ascii_alphabetic() || b".-_".contains(byte));
    let words = program
        .split(ends)
        .filter_map(|word| str::from_utf8(word).ok());
    words
        .filter(|word| word.contains('.') || word.contains(VARIABLE))
        .collect()
}

fn holds(words: &[&str], name: &str) -> bool {
    words.iter().any(|word| word.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_code() {
        let check = |text: &str, expect: &[&str]| {
            assert_eq!(named(text).collect::<Vec<_>>(), expect, "{text}");
        };
        check("a();\n    failpoint!(\"a.b\");\n", &["a.b"]);
        check("crate::failpoint!(\"a.b\", |error| return Err(\n", &["a.b"]);
        check("/// failpoint!(\"a.b\");\n", &[]);
        check("failpoint!(name)", &[]);
    }

    #[test]
    fn names_are_found_in_programs() {
        let words = words(b"\x7fELF\0a.b-cPORTKEEPER_FAILPOINTS\xffx.y\0z");
        let check = |name, expect| assert_eq!(holds(&words, name), expect, "{name}");
        check("a.b-c", true);
        check(VARIABLE, true);
        check("x.y", true);
        check("y.z", false);
    }

    #[test]
    fn a_name_stands_for_one_place() {
        let mut names = ["b", "a", "b"].map(str::to_owned);
        assert_eq!(repeated(&mut names), ["b stands for two places"]);
    }
}
