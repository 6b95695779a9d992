//! Where the registry is: HOME, variables, folders, file systems, the rights of the process, the
//! kernel's settings.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use pk_tests::{TestEnv, has, skipped};
use rustix::process::geteuid;

use super::Mended::{Command, Hand};
use super::{check, doctor, fact, found};

const DERIVED: &str = "unset PORTKEEPER_REGISTRY;";

#[test]
fn who_has_named_it() {
    let check = |before: &str, options: &str, why: &str, name: &str| {
        let env = TestEnv::new();
        let checkup = doctor(&env, before, options);
        assert_eq!(checkup["why"], why, "{checkup:#}");
        let registry = checkup["registry"].as_str().unwrap();
        assert!(registry.ends_with(name), "{registry}");
        assert_eq!(checkup["kind"], "private");
        assert_eq!(fact(&checkup, "registry"), registry);
    };
    check("", "", "variable", "portkeeper/registry.json");
    check(DERIVED, "", "default", "portkeeper/registry.json");
    check("", "--registry here.json", "flag", "project/here.json");
}

#[test]
fn a_home_that_is_none() {
    let env = TestEnv::new();
    let relative = format!("{DERIVED} export HOME=relative/home;");
    check(&env, &relative, "no-home", "problem", Command);
    // A registry that was named needs none, and backups do.
    let checkup = doctor(&env, "export HOME=relative/home;", "");
    assert_eq!(checkup["why"], "variable");
    let what = found(&checkup, "no-home").unwrap()["what"]
        .as_str()
        .unwrap();
    assert!(what.contains("backups"), "{what}");
    let named = "export HOME=relative/home PORTKEEPER_STATE_DIR=$PWD/state;";
    assert_eq!(found(&doctor(&env, named, ""), "no-home"), None);
}

#[test]
fn the_home_of_somebody_else() {
    let Some(theirs) = TestEnv::plain_user() else {
        return;
    };
    let home = theirs.root().join("home");
    let before = format!("{DERIVED} export HOME={};", home.display());
    let finding = check(&TestEnv::new(), &before, "foreign-home", "problem", Command);
    assert_eq!(finding["path"], home.to_str().unwrap());
    assert!(!theirs.state_folder().exists());
}

#[test]
fn a_folder_that_is_gone() {
    let (env, elsewhere) = (TestEnv::new(), tempfile::tempdir().unwrap());
    let gone = format!(
        "mkdir {0}/gone; cd {0}/gone; rmdir ../gone; export PORTKEEPER_REGISTRY=here.json;",
        elsewhere.path().display()
    );
    check(&env, &gone, "lost-folder", "problem", Command);
}

#[test]
fn variables_that_mean_nothing() {
    let env = TestEnv::new();
    for (name, value) in [
        ("PORTKEEPER_TTL", "soon"),
        ("PORTKEEPER_HOST", "example.org"),
        ("PORTKEEPER_RANGE", "9-1"),
        ("PORTKEEPER_LOCK_TIMEOUT", "never"),
    ] {
        let before = format!("export {name}={value};");
        let finding = check(&env, &before, "bad-variable", "problem", Command);
        assert!(
            finding["what"].as_str().unwrap().contains(name),
            "{finding}"
        );
        // Every other command says the same, and does nothing.
        env.sh(&format!("{before} portkeeper status")).refused(2);
    }
}

#[test]
fn borrowed_rights() {
    if !geteuid().is_root() || !has("setpriv") {
        return skipped("another user's rights: not root, or no setpriv");
    }
    let env = TestEnv::new();
    let before = "portkeeper() { setpriv --ruid=61001 portkeeper \"$@\"; };";
    check(&env, before, "borrowed-rights", "problem", Hand);
}

#[test]
fn folders_in_which_others_can_replace_files() {
    for mode in [0o777, 0o1777] {
        let env = TestEnv::new();
        env.pk("reserve").ok();
        fs::set_permissions(env.state_folder(), Permissions::from_mode(mode)).unwrap();
        check(&env, "", "unsafe-folder", "problem", Command);
        let checkup = doctor(&env, "", "");
        assert_eq!(checkup["findings"], serde_json::json!([]), "{checkup:#}");
        fs::set_permissions(env.state_folder(), Permissions::from_mode(mode)).unwrap();
        check(&env, "", "unsafe-state-folder", "problem", Command);
    }
}

#[test]
fn folders_that_are_closed() {
    let Some(env) = TestEnv::plain_user() else {
        return;
    };
    let closed = env.root().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    let before = format!(
        "export PORTKEEPER_REGISTRY={}/registry.json;",
        closed.display()
    );
    let finding = check(&env, &before, "closed-folder", "problem", Hand);
    assert_eq!(finding["path"], closed.to_str().unwrap());
    fs::set_permissions(&closed, Permissions::from_mode(0o755)).unwrap();
    check(&env, &before, "read-only-folder", "problem", Hand);
}

/// In a namespace of mounts of its own.
fn mounted(what: &str) -> Option<TestEnv> {
    let script = format!("{what} && exec \"$@\"");
    if !geteuid().is_root() || !has("unshare") {
        skipped("mounts: not root, or no unshare");
        return None;
    }
    let env = TestEnv::new();
    fs::create_dir(env.path("disk")).unwrap();
    let tried = env.sh(&format!("unshare -m sh -c '{script}' sh true"));
    if tried.code != Some(0) || !tried.stderr.is_empty() {
        skipped(format_args!("mounts: {}", tried.stderr.trim()));
        return None;
    }
    Some(env)
}

#[test]
fn a_file_system_of_whose_locks_nothing_is_known() {
    let mount = "mount -t hugetlbfs -o mode=700 none disk";
    let Some(env) = mounted(mount) else { return };
    let script = format!("{mount} && exec portkeeper \"$@\"");
    let before = format!(
        "export PORTKEEPER_REGISTRY=$PWD/disk/registry.json; \
         portkeeper() {{ unshare -m sh -c '{script}' sh \"$@\"; }};"
    );
    check(&env, &before, "unknown-file-system", "note", Command);
}

#[test]
fn a_disk_that_is_read_only() {
    let mount = "mount -t tmpfs -o mode=700,ro none disk";
    let Some(env) = mounted(mount) else { return };
    let script = format!("{mount} && exec portkeeper \"$@\"");
    let before = format!(
        "export PORTKEEPER_REGISTRY=$PWD/disk/registry.json; \
         portkeeper() {{ unshare -m sh -c '{script}' sh \"$@\"; }};"
    );
    let finding = check(&env, &before, "read-only-folder", "problem", Hand);
    let what = finding["what"].as_str().unwrap();
    assert!(what.contains("Read-only file system"), "{what}");
}

#[test]
fn no_place_for_the_sockets_of_holders() {
    let long = "x".repeat(80);
    let before = format!("unset XDG_RUNTIME_DIR; export TMPDIR=$PWD/{long};");
    let env = TestEnv::new();
    fs::create_dir(env.path(&long)).unwrap();
    check(&env, &before, "no-control-folder", "problem", Command);
    env.sh(&format!("{before} portkeeper reserve --hold"))
        .refused(8);
}

#[test]
fn a_kernel_that_gives_away_every_port() {
    if !geteuid().is_root() || !has("unshare") {
        return skipped("the kernel's settings: not root, or no unshare");
    }
    let env = TestEnv::new();
    let set = "echo 1024 65535 > /proc/sys/net/ipv4/ip_local_port_range";
    if env.sh(&format!("unshare -n sh -c \"{set}\"")).code != Some(0) {
        return skipped("the kernel's settings: no network namespace of our own");
    }
    let within = |line: &str| {
        let mut command = env.command("unshare");
        command.args(["-n", "sh", "-c", line]);
        env.run(command)
    };
    let line = format!("{set}; portkeeper doctor --format json");
    let checkup = within(&line).json();
    let finding = found(&checkup, "no-default-range").expect("a finding");
    assert_eq!(finding["severity"], "problem");
    assert_eq!(fact(&checkup, "net.ipv4.ip_local_port_range"), "1024-65535");
    let mend = finding["mend"].as_str().unwrap();
    let line = format!("{set}; sudo() {{ \"$@\"; }}; {mend} >&2; portkeeper doctor --format json");
    within(&line).ok();
    within(&format!("{set}; portkeeper reserve")).refused(3);
}
