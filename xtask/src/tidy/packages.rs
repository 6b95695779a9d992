//! Which member may ask for which third-party package: each has one home, so that it can be
//! exchanged there. A package that is not in the table is free.

use std::error::Error;
use std::fs;

use cargo_metadata::{DependencyKind, Metadata};

use super::Finding;

/// A package and the members whose program may ask for it; tests may use anything.
const HOMES: &[(&str, &[&str])] = &[
    ("atomicwrites", &["pk-fs"]),
    ("clap", &["pk-cli", "xtask"]),
    ("directories", &["portkeeper"]),
    ("fd-lock", &["pk-fs"]),
    ("getrandom", &["portkeeper"]),
    ("libc", &["pk-core"]),
    ("pyo3", &["pk-python"]),
    ("saphyr", &["pk-config"]),
    ("saphyr-parser", &["pk-config"]),
    ("signal-hook", &["portkeeper"]),
    ("socket2", &["pk-core", "pk-tests"]),
    ("strsim", &["portkeeper"]),
    ("toml_edit", &["pk-config"]),
    ("tracing-subscriber", &["pk-cli"]),
    ("xattr", &["pk-fs"]),
];

/// One line of a manifest: a member asks for a package.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) by: String,
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) manifest: String,
    pub(super) line: usize,
}

/// What a package is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The program, or its build.
    Program,
    /// A build of it that somebody asked for by a feature.
    Optional,
    /// Its tests alone.
    Test,
}

/// Every dependency of every member, with its place in the manifest.
pub(super) fn asked(workspace: &Metadata) -> Result<Vec<Asked>, Box<dyn Error>> {
    let mut all = Vec::new();
    for member in workspace.workspace_packages() {
        let manifest = fs::read_to_string(&member.manifest_path)?;
        let path = member
            .manifest_path
            .strip_prefix(&workspace.workspace_root)?;
        all.extend(member.dependencies.iter().map(|dependency| Asked {
            by: member.name.to_string(),
            name: dependency.name.clone(),
            kind: match dependency.kind {
                DependencyKind::Development => Kind::Test,
                _ if dependency.optional => Kind::Optional,
                _ => Kind::Program,
            },
            manifest: path.to_string(),
            line: line_of(&manifest, &dependency.name),
        }));
    }
    Ok(all)
}

/// Checks one line of a manifest.
pub(super) fn check(asked: &Asked) -> Option<Finding> {
    let (_, homes) = HOMES.iter().find(|(package, _)| *package == asked.name)?;
    if asked.kind == Kind::Test || homes.contains(&asked.by.as_str()) {
        return None;
    }
    Some(Finding {
        path: asked.manifest.clone(),
        line: asked.line,
        what: format!(
            "{} asks for {}, whose home is {}",
            asked.by,
            asked.name,
            homes.join(", ")
        ),
        instead: "call what its home offers",
    })
}

/// The line (from 1) on which a manifest names `package`; 1 if it is written in another way.
fn line_of(manifest: &str, package: &str) -> usize {
    let names = |line: &str| {
        line.strip_prefix(package)
            .is_some_and(|rest| rest.trim_start().starts_with(['.', '=']))
    };
    manifest
        .lines()
        .position(names)
        .map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Asked {
        pub(in crate::tidy) fn new(by: &str, name: &str, kind: Kind) -> Asked {
            let (by, name) = (by.to_owned(), name.to_owned());
            Asked {
                manifest: format!("crates/{by}/Cargo.toml"),
                by,
                name,
                kind,
                line: 1,
            }
        }
    }

    #[test]
    fn packages_stay_in_their_homes() {
        assert_eq!(check(&Asked::new("pk-config", "xattr", Kind::Test)), None);
        let check = |by: &str, name: &str, expect: Option<&str>| {
            let what = check(&Asked::new(by, name, Kind::Program)).map(|finding| finding.what);
            assert_eq!(what.as_deref(), expect, "{by} asks for {name}");
        };
        check("pk-cli", "clap", None);
        check("xtask", "clap", None);
        check("pk-config", "serde", None);
        check("pk-tests", "socket2", None);
        check(
            "portkeeper",
            "clap",
            Some("portkeeper asks for clap, whose home is pk-cli, xtask"),
        );
        check(
            "pk-registry",
            "fd-lock",
            Some("pk-registry asks for fd-lock, whose home is pk-fs"),
        );
        check(
            "pk-tests",
            "libc",
            Some("pk-tests asks for libc, whose home is pk-core"),
        );
    }

    #[test]
    fn a_finding_names_its_line() {
        let manifest = "[dependencies]\nclap_lex = \"1\"\nclap.workspace = true\nserde = \"1\"\n";
        assert_eq!(line_of(manifest, "clap"), 3);
        assert_eq!(line_of(manifest, "serde"), 4);
        assert_eq!(line_of(manifest, "libc"), 1);
    }
}
