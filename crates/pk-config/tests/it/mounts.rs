//! Files that can't be renamed over: mounted ones, on full disks, in folders of others. In a mount
//! namespace of their own, or as another user.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::Command;

use pk_config::{Create, ErrorKind, InPlace, Rewrite, State, Strategy};

use crate::home::{Home, at, is_root, skip};

const ROOT: &str = "PK_CONFIG_TEST_MOUNTS";
const OTHERS: &str = "PK_CONFIG_TEST_OTHERS";
const NOBODY: u32 = 65534;

/// Starts this test again in a namespace where `$1/.env` is a mount of `$1/host`, `$1/full` a disk
/// of 64 KiB, and `$1/ro` read-only.
#[test]
fn mounted_files_and_full_disks() {
    let name = "mounted_files_and_full_disks";
    if let Ok(root) = std::env::var(ROOT) {
        return inside(Path::new(&root));
    }
    if !is_root(name) {
        return;
    }
    let home = Home::new();
    home.write("host", "A=1\n");
    home.write(".env", "");
    fs::create_dir(home.path("full")).unwrap();
    fs::create_dir(home.path("ro")).unwrap();
    home.write("ro/.env", "A=1\n");
    let script = r#"mount --bind "$1/host" "$1/.env" && mount -t tmpfs -o size=64k none "$1/full" &&
        mount --bind "$1/ro" "$1/ro" && mount -o remount,ro,bind "$1/ro" || exit 77
        shift; exec "$@""#;
    let output = Command::new("unshare")
        .args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            script,
            "sh",
        ])
        .arg(home.path(""))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "mounts::mounted_files_and_full_disks"])
        .env(ROOT, home.path(""))
        .output();
    match output {
        Ok(output) if output.status.code() == Some(77) => skip(name, "mounts are not allowed here"),
        Ok(output) => {
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stdout)
            );
            assert_eq!(home.read("host"), "A=2\n");
            assert_eq!(home.names(), [".env", "full", "host", "ro"]);
        }
        Err(error) => skip(name, &error.to_string()),
    }
}

fn inside(root: &Path) {
    let state = State::at(root.join("../state"));
    let rewrite = Rewrite::env(root.join(".env")).set("A", "2");
    let error = rewrite
        .clone()
        .in_place(InPlace::Never)
        .commit(&state, at(0))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(
        error
            .to_string()
            .ends_with("can only be written in place: it is a mount point")
    );
    let written = rewrite.commit(&state, at(1)).unwrap();
    assert_eq!(written.strategy, Strategy::InPlace);
    assert_eq!(fs::read_to_string(root.join("host")).unwrap(), "A=2\n");

    let full = root.join("full/.env");
    let small = Rewrite::env(&full).set("A", "1").create(Create::IfMissing);
    small.commit(&state, at(2)).unwrap();
    let large = Rewrite::env(&full).set("B", "x".repeat(100_000));
    for in_place in [InPlace::IfNeeded, InPlace::Always] {
        let error = large
            .clone()
            .in_place(in_place)
            .commit(&state, at(3))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("No space left"), "{source}");
        assert_eq!(fs::read_to_string(&full).unwrap(), "A=1\n");
        assert_eq!(fs::read_dir(root.join("full")).unwrap().count(), 1);
    }

    let error = Rewrite::env(root.join("ro/.env"))
        .set("A", "2")
        .commit(&state, at(4))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        source.contains("Read-only file system"),
        "{error}: {source}"
    );
}

/// Starts this test again as another user, whose folder has a file of root's that all may write, and
/// a file of that user's in a folder that nobody may.
#[test]
fn files_of_others_and_folders_of_others() {
    let name = "files_of_others_and_folders_of_others";
    if let Ok(root) = std::env::var(OTHERS) {
        return as_another_user(Path::new(&root));
    }
    if !is_root(name) {
        return;
    }
    let home = Home::new();
    home.write("foreign.env", "A=1\n");
    home.chmod("foreign.env", 0o666);
    fs::create_dir(home.path("closed")).unwrap();
    home.write("closed/.env", "A=1\n");
    for path in ["closed/.env", "closed", "", ".."] {
        chown(home.path(path), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    home.chmod("closed", 0o555);
    let nobody = NOBODY.to_string();
    let output = Command::new("setpriv")
        .args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "mounts::files_of_others_and_folders_of_others"])
        .env(OTHERS, home.path(""))
        .output();
    match output {
        Ok(output) if matches!(output.status.code(), Some(126 | 127)) => {
            skip(name, "another user can't run this program");
        }
        Ok(output) => {
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stdout)
            );
            assert_eq!(
                (home.read("foreign.env"), home.read("closed/.env")),
                ("A=2\n".into(), "A=2\n".into())
            );
            assert_eq!(
                (
                    home.meta("foreign.env").uid(),
                    home.meta("closed/.env").uid()
                ),
                (0, NOBODY)
            );
        }
        Err(error) => skip(name, &error.to_string()),
    }
}

fn as_another_user(root: &Path) {
    let state = State::at(root.join("../state"));
    for (path, why) in [
        ("foreign.env", "it would change its owner"),
        ("closed/.env", "no file can be made beside it"),
    ] {
        let rewrite = Rewrite::env(root.join(path)).set("A", "2");
        let error = rewrite
            .clone()
            .in_place(InPlace::Never)
            .commit(&state, at(0))
            .unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with(&format!("can only be written in place: {why}")),
            "{error}"
        );
        let written = rewrite.commit(&state, at(1)).unwrap();
        assert_eq!(written.strategy, Strategy::InPlace);
    }
}
