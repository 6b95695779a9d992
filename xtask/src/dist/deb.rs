//! The Debian package: an ar archive of a control file and a tree. It needs nothing to be installed
//! and runs nothing when it is: no scripts, no services.

use std::fmt::Write as _;
use std::io;

use super::tree::{Folders, Tree};

/// What the control file says.
pub(super) struct Control<'a> {
    pub(super) version: &'a str,
    /// The target triple that the program was built for.
    pub(super) target: &'a str,
    pub(super) summary: &'a str,
}

const DESCRIPTION: &str = "\
PortKeeper reserves localhost ports, holds them so that nobody else can take
them, records them in a locked registry, hands them over to servers without a
gap, and writes the numbers into .env and JSON files.";

/// The package with `tree` in it.
///
/// # Errors
/// The target has no name in Debian, or a path is too long.
pub(super) fn package(control: &Control<'_>, tree: &Tree, epoch: u64) -> io::Result<Vec<u8>> {
    let mut about = Tree::default();
    about.add("control", control.text(tree.kibibytes())?);
    Ok(ar(
        &[
            ("debian-binary", b"2.0\n"),
            (
                "control.tar.gz",
                &about.tar_gz("./", epoch, Folders::Listed)?,
            ),
            ("data.tar.gz", &tree.tar_gz("./", epoch, Folders::Listed)?),
        ],
        epoch,
    ))
}

/// The name of the package's file.
///
/// # Errors
/// The target has no name in Debian.
pub(super) fn file_name(version: &str, target: &str) -> io::Result<String> {
    let version = debian_version(version);
    Ok(format!(
        "portkeeper_{version}_{}.deb",
        architecture(target)?
    ))
}

impl Control<'_> {
    fn text(&self, kibibytes: usize) -> io::Result<String> {
        let mut text = format!(
            "Package: portkeeper\n\
             Version: {}\n\
             Architecture: {}\n\
             Maintainer: The PortKeeper authors <portkeeper@localhost>\n\
             Installed-Size: {kibibytes}\n\
             Section: net\n\
             Priority: optional\n\
             Description: {}\n",
            debian_version(self.version),
            architecture(self.target)?,
            self.summary,
        );
        for line in DESCRIPTION.lines() {
            // Writing to a string can't fail.
            let _ = writeln!(text, " {line}");
        }
        Ok(text)
    }
}

/// A pre-release comes before its release: `1.0.0-rc.1` is `1.0.0~rc.1`.
fn debian_version(version: &str) -> String {
    version.replacen('-', "~", 1)
}

fn architecture(target: &str) -> io::Result<&'static str> {
    match target.split('-').next() {
        Some("x86_64") => Ok("amd64"),
        Some("aarch64") => Ok("arm64"),
        Some("armv7") => Ok("armhf"),
        Some("riscv64gc") => Ok("riscv64"),
        _ => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("{target}: no name in Debian is known for it"),
        )),
    }
}

/// An ar archive in the common form, deb(5).
fn ar(members: &[(&str, &[u8])], epoch: u64) -> Vec<u8> {
    let mut archive = b"!<arch>\n".to_vec();
    for (name, bytes) in members {
        let size = bytes.len();
        let header = format!(
            "{name:<16}{epoch:<12}{:<6}{:<6}{:<8}{size:<10}`\n",
            0, 0, 100_644
        );
        archive.extend(header.bytes());
        archive.extend(*bytes);
        if size % 2 == 1 {
            archive.push(b'\n');
        }
    }
    archive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_named_as_debian_does() {
        let check = |version: &str, target: &str, expect: Option<&str>| {
            assert_eq!(file_name(version, target).ok().as_deref(), expect);
        };
        let linux = "x86_64-unknown-linux-gnu";
        check("0.1.0", linux, Some("portkeeper_0.1.0_amd64.deb"));
        check("1.0.0-rc.1", linux, Some("portkeeper_1.0.0~rc.1_amd64.deb"));
        check(
            "0.1.0",
            "aarch64-unknown-linux-gnu",
            Some("portkeeper_0.1.0_arm64.deb"),
        );
        check("0.1.0", "wasm32-wasip1", None);
    }

    #[test]
    fn the_control_file_has_its_fields() {
        let control = Control {
            version: "0.1.0",
            target: "x86_64-unknown-linux-gnu",
            summary: "Reserve ports",
        };
        let text = control.text(12).unwrap();
        let (fields, description) = text.split_at(text.find("Description: ").unwrap());
        for field in fields.lines() {
            assert!(
                field
                    .split_once(": ")
                    .is_some_and(|(_, value)| !value.is_empty()),
                "{field}"
            );
        }
        assert!(description.starts_with("Description: Reserve ports\n"));
        assert!(
            description
                .lines()
                .skip(1)
                .all(|line| line.starts_with(' ')),
            "{description}"
        );
    }

    #[test]
    fn members_start_at_even_places() {
        let archive = ar(&[("a", b"1"), ("b", b"22")], 7);
        let header = |name: &str, size: u8| {
            format!("{name:<16}7           0     0     100644  {size:<10}`\n")
        };
        let expect = format!("!<arch>\n{}1\n{}22", header("a", 1), header("b", 2));
        assert_eq!(String::from_utf8(archive).unwrap(), expect);
    }
}
