//! Which way a program gets its port: the best that it, the kernel and the user allow. Never starts
//! anything.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use pk_core::handoff::adopt;
use rustix::process::geteuid;

use super::{HandOver, Rung};

/// What will be tried first, and why it is not the best there is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) rung: Rung,
    pub(super) because: Option<String>,
}

/// Chooses for a program as it was named on the command line.
pub(super) fn choose(asked: HandOver, program: &OsStr, search: Option<&OsStr>) -> Plan {
    let plain = |rung| Plan {
        rung,
        because: None,
    };
    match asked {
        HandOver::Fd => plain(Rung::Inherited),
        HandOver::Adopt => plain(Rung::Adopted),
        HandOver::Relaxed => plain(Rung::Relaxed),
        HandOver::Close => plain(Rung::Closed),
        HandOver::Auto => match obstacle(program, search) {
            None => plain(Rung::Adopted),
            because => Plan {
                rung: Rung::Relaxed,
                because,
            },
        },
    }
}

/// What keeps a program's bind(2) from being answered.
fn obstacle(program: &OsStr, search: Option<&OsStr>) -> Option<String> {
    if let Err(why) = adopt::probe() {
        return Some(why.to_string());
    }
    // The filter forbids a program to gain privileges, unless it is installed by root.
    let gains = |path: PathBuf| !geteuid().is_root() && gains_privileges(&path);
    find(program, search)
        .is_some_and(gains)
        .then(|| "the program gains privileges when it starts".into())
}

fn gains_privileges(program: &Path) -> bool {
    const SET_ID: u32 = 0o6000;
    let by_mode = std::fs::metadata(program).is_ok_and(|found| {
        found.permissions().mode() & SET_ID != 0 && found.uid() != geteuid().as_raw()
    });
    let by_capability = {
        let mut none = [0_u8; 0];
        rustix::fs::getxattr(program, "security.capability", &mut none).is_ok_and(|size| size > 0)
    };
    by_mode || by_capability
}

/// Whether a program is one that takes inherited sockets for granted and listens somewhere else.
pub(super) fn ignores_sockets(program: &OsStr, search: Option<&OsStr>) -> bool {
    let is_bun = |path: &Path| {
        path.file_name()
            .is_some_and(|name| name == "bun" || name == "bunx")
    };
    let Some(path) = find(program, search) else {
        return is_bun(Path::new(program));
    };
    let real = std::fs::canonicalize(&path).unwrap_or(path.clone());
    if is_bun(&path) || is_bun(&real) {
        return true;
    }
    // `#!/usr/bin/env bun`
    let mut start = [0; 128];
    let length = File::open(real)
        .and_then(|mut file| file.read(&mut start))
        .unwrap_or(0);
    let line = start[..length]
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    line.starts_with(b"#!")
        && String::from_utf8_lossy(line)
            .split([' ', '\t', '/'])
            .any(|word| word == "bun" || word == "bunx")
}

/// Where a program lies, found as exec does, in the folders of `PATH`.
pub(super) fn find(program: &OsStr, search: Option<&OsStr>) -> Option<PathBuf> {
    if Path::new(program).components().count() > 1 {
        return Some(program.into());
    }
    let is_program = |path: &PathBuf| {
        std::fs::metadata(path)
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(search?)
        .map(|folder| folder.join(program))
        .find(is_program)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEARCH: Option<&str> = Some("/usr/bin:/bin");

    #[test]
    fn what_is_asked_for_is_done() {
        for (asked, rung) in [
            (HandOver::Fd, Rung::Inherited),
            (HandOver::Adopt, Rung::Adopted),
            (HandOver::Relaxed, Rung::Relaxed),
            (HandOver::Close, Rung::Closed),
        ] {
            let plan = choose(asked, OsStr::new("true"), None);
            assert_eq!(
                plan,
                Plan {
                    rung,
                    because: None
                }
            );
        }
    }

    #[test]
    fn bun_is_known_by_its_name_and_by_its_scripts() {
        let temp = tempfile::tempdir().unwrap();
        let check = |name: &str, text: &str, expect: bool| {
            let path = temp.path().join(name);
            tempfile::NamedTempFile::new_in(temp.path())
                .and_then(|mut file| {
                    std::io::Write::write_all(&mut file, text.as_bytes())?;
                    Ok(file.persist(&path)?)
                })
                .unwrap();
            assert_eq!(ignores_sockets(path.as_os_str(), None), expect, "{name}");
        };
        check("bun", "", true);
        check("server.js", "#!/usr/bin/env bun\nserve()", true);
        check("server.sh", "#!/bin/sh\nbun run x", false);
        check("bunny", "\x7fELF", false);
        assert!(!ignores_sockets(OsStr::new("sh"), SEARCH.map(OsStr::new)));
    }

    #[test]
    fn a_program_with_another_users_rights_gains_privileges() {
        let Some(su) = find(OsStr::new("su"), SEARCH.map(OsStr::new)) else {
            println!("skipped: there is no su");
            return;
        };
        // For root it gains nothing.
        assert_eq!(gains_privileges(&su), !geteuid().is_root());
        assert!(!gains_privileges(
            &find(OsStr::new("sh"), SEARCH.map(OsStr::new)).unwrap()
        ));
    }
}
