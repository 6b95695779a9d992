//! What each crate brings along: how many packages are linked into whoever uses it, and how many are compiled
//! for it. Never measures time, which is another on each machine.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

use super::said;
use crate::graph::Graph;
use crate::{cargo, release};

const HEAD: &str = "\
# What is brought along

Made by `cargo xtask docs`. *Linked* are the packages of others that end up in a program which uses the
crate, *compiled* those that are compiled for it, macros and build scripts included; both with the default
features.

| crate | linked | compiled |
|---|---|---|
";

/// The target that is counted for, so that the page is the same on every machine.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The page.
///
/// # Errors
/// cargo can't be asked.
pub(super) fn page(root: &Path) -> Result<String, Box<dyn Error>> {
    let graph = Graph::resolve(root, TARGET)?;
    let mut page = HEAD.to_owned();
    for name in release::order(&cargo::workspace()?)? {
        let below = graph.with_all_below(graph.member(&name)?);
        let linked = below.iter().filter(|it| it.source.is_some()).count();
        let compiled = compiled(root, &name)?;
        // Writing to a string can't fail.
        let _ = writeln!(page, "| `{name}` | {linked} | {compiled} |");
    }
    Ok(page)
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
}
