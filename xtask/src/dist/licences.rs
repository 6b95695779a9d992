//! The licences of everything that ends up in the program: the packages' own texts, each once, and
//! those of what every static Rust program contains. A text that can't be found is an error, never
//! left out.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cargo_metadata::Package;

use super::Text;

/// How files with a licence are called, in lower case and up to here.
const NAMES: [&str; 5] = ["licen", "copying", "copyright", "notice", "unlicense"];

/// Where systems keep the licence of the C library: the notice, and the LGPL that it refers to.
const C_LIBRARY: [[&str; 2]; 2] = [
    [
        "/usr/share/doc/libc6/copyright",
        "/usr/share/common-licenses/LGPL-2.1",
    ],
    [
        "/usr/share/licenses/glibc/LICENSES",
        "/usr/share/licenses/glibc/COPYING.LIB",
    ],
];

const C_LIBRARY_HEAD: &str = "\
The program portkeeper is linked statically with the GNU C Library, which comes under the GNU
Lesser General Public License, version 2.1 or later. Its source is at https://ftp.gnu.org/gnu/glibc/
and in the source packages of Debian; PortKeeper's own source is all that is needed to link the
program with another version of it: `cargo build --release --package pk-cli`.
";

/// The texts, each with the name of its file: those of the packages, that of the Rust standard library
/// (whose documentation lies in `sysroot`), and that of the C library.
///
/// # Errors
/// A package brings no licence, or one of the two libraries' is not on this machine.
pub(super) fn texts(packages: &[&Package], sysroot: &Path) -> Result<Vec<Text>, Box<dyn Error>> {
    let rust = sysroot.join("share/doc/rust/COPYRIGHT-library.html");
    let rust = fs::read(&rust).map_err(|error| {
        let help = "`rustup component add rust-docs` brings it";
        format!("{}: {error}; {help}", rust.display())
    })?;
    Ok(vec![
        ("THIRD-PARTY.txt".into(), packages_text(packages)?.into()),
        ("RUST-LIBRARY.html".into(), rust),
        ("C-LIBRARY.txt".into(), c_library()?.into()),
    ])
}

fn c_library() -> Result<String, Box<dyn Error>> {
    let mut found = C_LIBRARY
        .iter()
        .filter(|paths| paths.iter().all(|path| Path::new(path).exists()));
    let paths = found
        .next()
        .ok_or("the licence of the C library is not on this machine")?;
    let mut text = C_LIBRARY_HEAD.to_owned();
    for path in paths {
        text += &format!("\n{RULE}\n\n{}", fs::read_to_string(path)?);
    }
    Ok(text)
}

const RULE: &str =
    "--------------------------------------------------------------------------------";

/// A list of the packages and the licence of each, then each text with the packages it came with.
fn packages_text(packages: &[&Package]) -> Result<String, Box<dyn Error>> {
    let foreign = || packages.iter().filter(|it| it.source.is_some());
    let mut text = String::from("PortKeeper contains the following packages.\n\n");
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in foreign() {
        let called = format!("{} {}", package.name, package.version);
        let licence = package.license.as_deref().unwrap_or("see its text");
        // Writing to a string can't fail.
        let _ = writeln!(text, "{called}: {licence}");
        for file in files(package)? {
            let bytes = fs::read(&file)?;
            let read = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
            texts
                .entry(read.trim_matches('\n').to_owned())
                .or_default()
                .push(called.clone());
        }
    }
    let mut texts: Vec<_> = texts.into_iter().collect();
    texts.sort_by(|(_, a), (_, b)| a.cmp(b));
    for (licence, mut packages) in texts {
        packages.dedup();
        let _ = write!(text, "\n{RULE}\n{}\n\n{licence}\n", packages.join(", "));
    }
    Ok(text)
}

/// The files with a package's licence.
fn files(package: &Package) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let folder = package
        .manifest_path
        .parent()
        .ok_or("a manifest without a folder")?;
    let entries: Vec<_> = fs::read_dir(folder)?.collect::<io::Result<_>>()?;
    let mut files: Vec<PathBuf> = entries
        .into_iter()
        .filter(|entry| is_licence(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(format!("{folder}: no licence text").into());
    }
    Ok(files)
}

fn is_licence(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    NAMES.iter().any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_known_by_their_names() {
        let check = |name: &str, expect: bool| assert_eq!(is_licence(name), expect, "{name}");
        check("LICENSE", true);
        check("LICENCE.md", true);
        check("license-mit", true);
        check("LICENSES", true);
        check("COPYING", true);
        check("UNLICENSE", true);
        check("NOTICE", true);
        check("README.md", false);
        check("src", false);
    }
}
