//! How files are written: not at all where nothing changes or nothing shall, else so that whoever
//! may use them, and whatever leads to them, stays.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::process::Stdio;

use pk_tests::process::spawn;
use pk_tests::{Ports, TestEnv, skipped};
use rustix::process::geteuid;

#[test]
fn a_dry_run_shows_the_change_and_touches_nothing() {
    let check = |args: &[&str], diff: &str| {
        let env = TestEnv::new();
        env.write(".env", "A=1\nB=1\n");
        env.write("config.json", "{\"a\":1}\n");
        let before = env.everything();
        let answer = env.pk_args(&[args, &["--dry-run"]].concat()).ok();
        assert_eq!(answer.stdout, diff, "{args:?}");
        assert_eq!(env.everything(), before, "{args:?}");
    };
    check(
        &["env", "set", "A=2"],
        "--- .env\n+++ .env\n@@ -1 +1 @@\n-A=1\n+A=2\n",
    );
    check(&["env", "set", "A=1"], "");
    check(
        &["env", "unset", "B"],
        "--- .env\n+++ .env\n@@ -2 +1,0 @@\n-B=1\n",
    );
    check(
        &["env", "set", "A=2", "--create", "--file", "new"],
        "--- /dev/null\n+++ new\n@@ -0,0 +1 @@\n+A=2\n",
    );
    check(
        &["json", "set", "/a=2"],
        "--- config.json\n+++ config.json\n@@ -1 +1 @@\n-{\"a\":1}\n+{\"a\":2}\n",
    );
}

#[test]
fn a_diff_shows_nothing_that_a_terminal_would_obey() {
    let env = TestEnv::new();
    env.write(".env", "A='\u{1b}[2J\u{202e}'\n");
    let answer = env.pk("env unset A --dry-run").ok().sane();
    assert!(
        answer.stdout.ends_with("\n-A='\\u{1b}[2J\\u{202e}'\n"),
        "{answer:?}"
    );
}

#[test]
fn a_dry_run_of_reserve_reserves_nothing() {
    for hold in ["", "--hold"] {
        let (env, ports) = (TestEnv::new(), Ports::claim(1));
        env.write(".env", "A=1\n");
        let before = env.everything();
        let line = format!(
            "reserve {} {hold} --write-env A --write-json c.json#/a --dry-run",
            ports.range()
        );
        let answer = env.pk(line).ok();
        assert_eq!(answer.port(), ports.at(0));
        assert_eq!(answer.json()["dry_run"], true);
        let expect = format!(
            "--- .env\n+++ .env\n@@ -1 +1 @@\n-A=1\n+A={}\n",
            ports.at(0)
        );
        assert_eq!(answer.json()["diffs"][0], expect);
        assert_eq!(answer.json()["diffs"].as_array().unwrap().len(), 2);
        assert_eq!(env.everything(), before);
        assert!(pk_tests::is_free(ports.at(0)));
    }
}

#[test]
fn a_dry_run_refuses_what_would_be_refused() {
    let check = |line: &str, code: i32| {
        let env = TestEnv::new();
        env.write(".env", "A='1\n");
        env.write("read-only", "A=1\n");
        fs::set_permissions(env.path("read-only"), Permissions::from_mode(0o444)).unwrap();
        let before = env.everything();
        env.pk(format!("{line} --dry-run")).refused(code);
        assert_eq!(env.everything(), before, "{line}");
    };
    check("env set A=2", 6);
    check("env set A=2 --file missing", 7);
    check("env set A=2 --file missing/.env --create", 7);
    check("env set A=2 --file read-only", 8);
    check("env set A-B=2 --file read-only", 2);
    check("json set /a=1", 7);
    check("reserve --write-env A", 6);
}

#[test]
fn a_missing_file_is_made_if_that_is_asked_for() {
    let check = |umask: &str, line: &str, content: &str, mode: u32| {
        let env = TestEnv::new();
        env.pk(line).refused(7).says("new").says("--create");
        assert_eq!(env.imprint("new"), None);
        env.sh(&format!("umask {umask}; portkeeper {line} --create"))
            .ok();
        assert_eq!(env.read("new").as_deref(), Some(content));
        let made = fs::metadata(env.path("new")).unwrap().mode() & 0o7777;
        assert_eq!(made, mode, "{made:o}");
        assert!(env.backups().is_empty() && env.leftovers().is_empty());
    };
    check("022", "env set A=1 --file new", "A=1\n", 0o644);
    check("077", "env set A=1 --file new", "A=1\n", 0o600);
    check(
        "022",
        "json set /a=1 --file new",
        "{\n  \"a\": 1\n}\n",
        0o644,
    );
    let env = TestEnv::new();
    env.pk("env set A=1 --file missing/.env --create")
        .refused(7)
        .says("missing");
    assert!(!env.path("missing").exists());
}

/// A umask may take the owner's rights as well, which bind everybody but root.
#[test]
fn the_strictest_umask() {
    let env = match geteuid().is_root() {
        true => TestEnv::plain_user(),
        false => Some(TestEnv::new()),
    };
    let Some(env) = env else { return };
    env.sh("umask 0777; portkeeper env set A=1 --create").ok();
    env.sh("umask 0777; portkeeper env set A=2").ok();
    assert_eq!(env.read(".env").as_deref(), Some("A=2\n"));
    let made = fs::metadata(env.path(".env")).unwrap().mode() & 0o7777;
    assert_eq!(made, 0o600, "{made:o}");
    assert_eq!((env.backups().len(), env.leftovers().len()), (1, 0));
}

#[test]
fn mode_and_owner_stay() {
    let owners: &[_] = if geteuid().is_root() {
        &[None, Some((61_001, 61_002))]
    } else {
        skipped("files of others: the tests do not run as root");
        &[None]
    };
    for owner in owners {
        for mode in [0o600, 0o640, 0o664, 0o604, 0o2700] {
            for how in ["", "--in-place"] {
                let env = TestEnv::new();
                env.write(".env", "A=1\n");
                if let Some((user, group)) = *owner {
                    chown(env.path(".env"), Some(user), Some(group)).unwrap();
                }
                fs::set_permissions(env.path(".env"), Permissions::from_mode(mode)).unwrap();
                let before = fs::metadata(env.path(".env")).unwrap();
                env.pk(format!("env set A=2 {how}")).ok();
                let after = fs::metadata(env.path(".env")).unwrap();
                let kept = |meta: &fs::Metadata| (meta.mode(), meta.uid(), meta.gid());
                assert_eq!(kept(&before), kept(&after), "{mode:o} {how}");
                assert_eq!(before.ino() == after.ino(), !how.is_empty(), "{how}");
            }
        }
    }
}

#[test]
fn f31_links_are_followed_and_stay() {
    let env = TestEnv::new();
    fs::create_dir_all(env.path("dotfiles/real")).unwrap();
    env.write("dotfiles/real/env", "A=1\n");
    symlink("real/env", env.path("dotfiles/env")).unwrap();
    symlink(env.path("dotfiles/env"), env.path(".env")).unwrap();
    let links = || (env.imprint(".env"), env.imprint("dotfiles/env"));
    let before = links();
    let answer = env.pk("env set A=2").ok().json();
    assert_eq!(answer["files"][0]["path"], ".env");
    assert_eq!(answer["files"][0]["strategy"], "rename");
    assert_eq!(links(), before);
    assert_eq!(env.read("dotfiles/real/env").as_deref(), Some("A=2\n"));
    assert!(env.leftovers().is_empty());
    // It is one file, whatever its names.
    env.pk("backup restore dotfiles/real/env").ok();
    assert_eq!(env.read(".env").as_deref(), Some("A=1\n"));
    assert_eq!(links(), before);
}

#[test]
fn a_file_with_several_names_is_written_in_place() {
    let env = TestEnv::new();
    env.write("one", "A=1\n");
    fs::hard_link(env.path("one"), env.path("two")).unwrap();
    let inode = fs::metadata(env.path("one")).unwrap().ino();
    let before = env.imprint("one");
    env.pk("env set A=2 --no-in-place --file one")
        .refused(7)
        .says("hard links");
    assert_eq!(env.imprint("one"), before);
    assert!(env.backups().is_empty());

    let answer = env.pk("env set A=2 --file one").ok().json();
    assert_eq!(answer["files"][0]["strategy"], "in-place");
    assert_eq!(env.read("two").as_deref(), Some("A=2\n"));
    assert_eq!(fs::metadata(env.path("one")).unwrap().ino(), inode);
    let backup = answer["files"][0]["backup"].as_str().unwrap();
    assert_eq!(fs::read_to_string(backup).unwrap(), "A=1\n");
    // Shorter than before: nothing of the old bytes is left at the end.
    env.pk("env unset A --file two").ok();
    assert_eq!(env.read("one").as_deref(), Some(""));
    assert!(env.leftovers().is_empty());
}

#[test]
fn in_place_if_that_is_asked_for() {
    let env = TestEnv::new();
    env.write(".env", "A=1\n");
    let inode = fs::metadata(env.path(".env")).unwrap().ino();
    let answer = env.pk("env set A=2 --in-place --format text").ok();
    assert_eq!(answer.stdout, "wrote A in .env, in place\n");
    assert_eq!(fs::metadata(env.path(".env")).unwrap().ino(), inode);
    assert_eq!(env.backups().len(), 1);
    assert!(env.leftovers().is_empty());
}

#[test]
fn no_backup_keeps_nothing() {
    for how in ["", "--in-place"] {
        let env = TestEnv::new();
        env.write(".env", "A=1\n");
        env.write("config.json", "{}");
        let answer = env.pk(format!("env set A=2 --no-backup {how}")).ok().json();
        assert!(answer["files"][0]["backup"].is_null(), "{answer}");
        env.pk(format!("json set /a=2 --no-backup {how}")).ok();
        let line = "reserve --write-env A --write-json config.json#/a --no-backup";
        env.pk(format!("{line} {how}")).ok();
        assert!(env.backups().is_empty() && env.leftovers().is_empty());
        env.pk("backup restore .env").refused(2);
    }
}

#[test]
fn f30_force_is_for_read_only_files_and_dangerous_keys() {
    let check = |set: &dyn Fn(&TestEnv), code: i32, line: &str| {
        let env = TestEnv::new();
        env.write(".env", "A=1\n");
        env.write("config.json", "{}");
        set(&env);
        let before = (env.imprint(".env"), env.imprint("config.json"));
        env.pk(line).refused(code).says("--force");
        assert_eq!((env.imprint(".env"), env.imprint("config.json")), before);
        assert!(env.backups().is_empty(), "{line}");
        let mode = |name| fs::metadata(env.path(name)).unwrap().mode();
        let modes = (mode(".env"), mode("config.json"));
        env.pk(format!("{line} --force")).ok();
        assert_eq!((mode(".env"), mode("config.json")), modes);
        assert_ne!((env.imprint(".env"), env.imprint("config.json")), before);
    };
    let read_only = |name: &'static str, mode: u32| {
        move |env: &TestEnv| {
            fs::set_permissions(env.path(name), Permissions::from_mode(mode)).unwrap();
        }
    };
    check(&read_only(".env", 0o444), 8, "env set A=2");
    check(&read_only(".env", 0o400), 8, "env unset A");
    check(&read_only("config.json", 0o444), 8, "json set /a=2");
    check(&read_only(".env", 0o444), 8, "reserve --write-env A");
    check(
        &read_only("config.json", 0o444),
        8,
        "reserve --write-json config.json#/a",
    );
    for key in [
        "PATH",
        "LD_PRELOAD",
        "BASH_ENV",
        "NODE_OPTIONS",
        "PYTHONPATH",
    ] {
        check(&|_| {}, 2, &format!("env set {key}=2"));
        check(&|_| {}, 2, &format!("reserve --write-env {key}"));
    }
}

#[test]
fn edits_at_the_same_time_are_all_kept() {
    let env = TestEnv::new();
    env.write(".env", "# shared\n");
    let start = |key: usize| {
        let mut command = env.portkeeper(format!("env set K{key}={key}"));
        spawn(command.stdout(Stdio::null()))
    };
    let mut editors: Vec<_> = (0..24).map(|key| start(key).unwrap()).collect();
    assert!(
        editors
            .iter_mut()
            .all(|editor| editor.wait().unwrap().success())
    );
    for key in 0..24 {
        assert_eq!(
            env.pk(format!("env get K{key}")).ok().stdout,
            format!("{key}\n")
        );
    }
    assert_eq!(env.read(".env").unwrap().lines().count(), 25);
    assert!(env.leftovers().is_empty());
}
