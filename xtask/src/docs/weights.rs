//! What each crate brings along: how many packages are linked into whoever uses it, how many are compiled
//! for it, and how long that takes. Time is another on each machine, so it is measured only on demand, and
//! otherwise what the page says is kept.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use super::said;
use crate::graph::Graph;
use crate::{cargo, dist, release};

const HEAD: &str = "\
# What each crate pulls in

Made by `cargo xtask docs`. *Linked* counts the third-party packages that end up in a program which uses the
crate; *compiled* counts all that are compiled for it, macros and build scripts included. Both are for the
default features. *Seconds* is the processor time, of all cores together, that a debug build of the crate and
of everything below it takes from an empty target folder; `cargo xtask docs --times` measures it.

| crate | linked | compiled | seconds |
|---|--:|--:|--:|
";

/// The target that is counted for, so that the page is the same on every machine.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Where the seconds of the page come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Times {
    /// From the page as it is.
    Kept,
    /// From building each crate anew.
    Measured,
}

/// The page; `old` is the one that it replaces.
///
/// # Errors
/// cargo can't be asked, or with [`Times::Measured`] a crate does not compile.
pub(super) fn page(root: &Path, old: &str, times: Times) -> Result<String, Box<dyn Error>> {
    let graph = Graph::resolve(root, TARGET)?;
    let workspace = cargo::workspace()?;
    let mut page = HEAD.to_owned();
    for name in release::order(&workspace)? {
        let below = graph.with_all_below(graph.member(&name)?);
        let linked = below.iter().filter(|it| it.source.is_some()).count();
        let compiled = compiled(root, &name)?;
        let seconds = match times {
            Times::Kept => kept(old, &name).unwrap_or("-").to_owned(),
            Times::Measured => measured(
                root,
                &workspace.target_directory.as_std_path().join("weights"),
                &name,
            )?,
        };
        // Writing to a string can't fail.
        let _ = writeln!(page, "| `{name}` | {linked} | {compiled} | {seconds} |");
    }
    Ok(page)
}

/// The seconds that a page has for the crate.
fn kept<'a>(page: &'a str, name: &str) -> Option<&'a str> {
    let start = format!("| `{name}` |");
    let row = page.lines().find_map(|line| line.strip_prefix(&start))?;
    let seconds = row.split('|').nth(2)?.trim();
    seconds.parse::<u64>().is_ok().then_some(seconds)
}

/// Builds the crate in the empty folder `target`, and tells the seconds of processor time that it took.
fn measured(root: &Path, target: &Path, name: &str) -> Result<String, Box<dyn Error>> {
    dist::empty(target)?;
    let ticks: u64 = said(Command::new("getconf").arg("CLK_TCK"))?
        .trim()
        .parse()?;
    let before = childrens_ticks()?;
    let mut build = cargo::command(&["build", "--locked", "--quiet", "--package", name]);
    build.current_dir(root).env("CARGO_TARGET_DIR", target);
    if cargo::run(&mut build)? != ExitCode::SUCCESS {
        return Err(format!("{name} does not compile").into());
    }
    let took = childrens_ticks()? - before;
    fs::remove_dir_all(target)?;
    Ok(took.div_ceil(ticks).to_string())
}

/// The processor time of all processes that this one has started and that have ended, and of theirs
/// (`cutime` and `cstime`, proc_pid_stat(5)).
fn childrens_ticks() -> Result<u64, Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name, which may hold blanks, is the second field, in parentheses.
    let (_, fields) = stat.rsplit_once(") ").ok_or("no such /proc/self/stat")?;
    let mut ticks = fields.split(' ').skip(13).take(2).map(str::parse::<u64>);
    match (ticks.next(), ticks.next()) {
        (Some(user), Some(system)) => Ok(user? + system?),
        _ => Err("/proc/self/stat is too short".into()),
    }
}

/// How many packages of others cargo compiles for the crate.
fn compiled(root: &Path, name: &str) -> Result<usize, Box<dyn Error>> {
    let mut tree = cargo::command(&["tree", "--locked", "--edges", "normal,build"]);
    tree.args(["--prefix", "none", "--no-dedupe", "--format", "{p}"]);
    tree.args(["--target", TARGET, "--package", name]);
    let listed = said(tree.current_dir(root))?;
    Ok(others(&listed))
}

/// How many packages a list names that are not of the workspace: those have a folder behind their version.
fn others(listed: &str) -> usize {
    let others = listed.lines().filter(|line| !line.contains("(/"));
    others.collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_counted_once_and_ours_not_at_all() {
        let check = |listed: &str, expect: usize| assert_eq!(others(listed), expect, "{listed}");
        check("", 0);
        check("pk-fs v0.1.0 (/x/pk-fs)\na v1.0.0\nb v1.0.0\na v1.0.0\n", 2);
        check("a v1.0.0\na v2.0.0 (proc-macro)\n", 2);
    }

    #[test]
    fn seconds_stay_as_they_were_measured() {
        let check = |row: &str, expect: Option<&str>| assert_eq!(kept(row, "a"), expect, "{row}");
        check("| `b` | 1 | 2 | 3 |\n| `a` | 4 | 5 | 6 |\n", Some("6"));
        check("| `a` | 4 | 5 |\n", None);
        check("| `a` | 4 | 5 | - |\n", None);
        check("", None);
    }
}
