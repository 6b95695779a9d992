//! Environments that were made by somebody else: sudo, and programs with another user's rights.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pk_tests::{TestEnv, has, measured, process, skipped};
use rustix::process::geteuid;

/// What in a folder belongs to root, as `find -user root` tells.
fn of_root(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found = Vec::new();
    for entry in entries {
        let meta = fs::symlink_metadata(entry.path()).unwrap();
        if meta.uid() == 0 {
            found.push(entry.path());
        }
        if meta.is_dir() {
            found.extend(of_root(&entry.path()));
        }
    }
    found
}

/// The program as `sudo -E` runs it for a user: with root's rights, in the user's folder, with the
/// user's environment.
fn as_sudo(theirs: &TestEnv, line: &str) -> Command {
    let template = theirs.portkeeper(line);
    let mut command = Command::new(theirs.root().join("portkeeper"));
    command.args(line.split_whitespace()).env_clear();
    for (name, value) in template.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command.current_dir(theirs.path("")).stdin(Stdio::null());
    command
}

#[test]
fn a16_sudo_leaves_nothing_of_roots_in_a_users_folders() {
    if TestEnv::plain_user().is_none() {
        return;
    }
    let lines = [
        "reserve",
        "reserve --hold",
        "reserve --write-env PORT",
        "reserve --hold --write-env PORT --write-json config.json#/port",
        "env set A=1 --create",
        "json set /a=1 --file new.json --create",
        "run -- true",
        "gc",
        "status",
        "doctor --fix",
    ];
    // What sudo leaves of the user's environment, by its configuration.
    type Set = fn(&TestEnv, &mut Command);
    let everything: Set = |_, _| {};
    let home: Set = |_, command| {
        command.env_remove("PORTKEEPER_REGISTRY");
    };
    let state: Set = |env, command| {
        command
            .env_remove("PORTKEEPER_REGISTRY")
            .env("PORTKEEPER_STATE_DIR", env.root().join("home/state"));
    };
    let xdg: Set = |env, command| {
        command
            .env_remove("PORTKEEPER_REGISTRY")
            .env("XDG_STATE_HOME", env.root().join("home/xdg"))
            .env("HOME", env.root().join("roots-home"));
    };
    let elsewhere: Set = |env, command| {
        command
            .env(
                "PORTKEEPER_REGISTRY",
                env.root().join("home/new/registry.json"),
            )
            .env("HOME", env.root().join("roots-home"));
    };
    let only_runtime: Set = |env, command| {
        command
            .env(
                "PORTKEEPER_REGISTRY",
                env.root().join("roots-home/registry.json"),
            )
            .env("PORTKEEPER_STATE_DIR", env.root().join("roots-home/state"))
            .env("HOME", env.root().join("roots-home"));
    };
    for (set, works) in [
        (everything, false),
        (home, false),
        (state, false),
        (xdg, false),
        (elsewhere, false),
        (only_runtime, true),
    ] {
        // With a registry of the user's own, and without.
        for used in [false, true] {
            let theirs = TestEnv::plain_user().expect("as before");
            fs::create_dir(theirs.root().join("roots-home")).unwrap();
            if used {
                let port = theirs.pk("reserve --hold").ok().port();
                theirs.pk(format!("release {port}")).ok();
            }
            for line in lines {
                let mut command = as_sudo(&theirs, line);
                set(&theirs, &mut command);
                let answer = theirs.run(command).sane();
                let done = answer.code == Some(0);
                assert!(done || !works, "{line}: {answer:#?}");
                for folder in ["home", "run", "project"] {
                    let found = of_root(&theirs.root().join(folder));
                    assert_eq!(found, Vec::<PathBuf>::new(), "{line}: {answer:#?}");
                }
            }
            let mut release = as_sudo(&theirs, "release --mine");
            set(&theirs, &mut release);
            drop(theirs.run(release));
            // The user goes on as if nothing had been.
            theirs.pk("env set B=2 --create").ok();
            let held = theirs.pk("reserve --hold --write-env PORT").ok();
            assert!(process::is_alive(held.holder()));
        }
    }
}

/// A program with the set-uid bit, and a set-uid program that runs ours with its caller's
/// environment.
#[test]
fn a17_the_environment_of_a_set_uid_caller_is_not_obeyed() {
    if !geteuid().is_root() || !has("setpriv") {
        return skipped("another user's rights: not root, or no setpriv");
    }
    let Some(theirs) = TestEnv::plain_user() else {
        return;
    };
    let ours = TestEnv::new();
    let forbidden = ours.root().join("forbidden");
    fs::create_dir(&forbidden).unwrap();
    let lines = [
        "reserve",
        "reserve --hold",
        "status",
        "gc",
        "release --mine",
        "env set A=1 --create",
        "json set /a=1 --create",
        "backup list",
        "why 8080",
        "run -- id",
        "wait 1 --free --timeout 10ms",
    ];
    let check = |mut command: Command| {
        command
            .env("PORTKEEPER_REGISTRY", forbidden.join("registry.json"))
            .env("PORTKEEPER_STATE_DIR", &forbidden)
            .env("HOME", &forbidden)
            .env("XDG_STATE_HOME", &forbidden)
            .env("XDG_RUNTIME_DIR", &forbidden);
        theirs
            .run(command)
            .refused(8)
            .says("with the rights of another user");
        assert_eq!(fs::read_dir(&forbidden).unwrap().count(), 0);
        assert_eq!(fs::read_dir(theirs.path("")).unwrap().count(), 0);
    };
    let program = theirs.root().join("portkeeper");
    let wrapped = |rights: &[&str], line: &str| {
        let mut command = Command::new("setpriv");
        command
            .args(rights)
            .arg("--")
            .arg(&program)
            .args(line.split_whitespace());
        command
            .env_clear()
            .current_dir(theirs.path(""))
            .stdin(Stdio::null());
        measured(&mut command);
        command
    };
    for line in lines {
        // As from a set-uid or set-gid wrapper: the caller is 61001, the rights are root's.
        check(wrapped(&["--ruid=61001"], line));
        check(wrapped(
            &["--ruid=61001", "--rgid=61001", "--clear-groups"],
            line,
        ));
    }
    // The program itself with the bit.
    for mode in [0o4755, 0o2755] {
        fs::set_permissions(&program, fs::Permissions::from_mode(mode)).unwrap();
        let probe = ["--reuid=61001", "--regid=61001", "--clear-groups"];
        for line in lines {
            check(wrapped(&probe, line));
        }
    }
}
