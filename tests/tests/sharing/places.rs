//! Where a registry is not shared, because it can't be done safely: refused, with a word about what
//! helps.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};

use pk_tests::{Answer, Ports, Shared, TestEnv, has, skipped};

use super::{quick, reserve};

#[test]
fn f10_folders_that_others_could_change_are_refused_with_a_hint() {
    let check = |mode: u32, gid: Option<u32>, hint: &str| {
        let env = TestEnv::new();
        let folder = env.path("folder");
        fs::create_dir(&folder).unwrap();
        if let Some(gid) = gid {
            if !rustix::process::geteuid().is_root() {
                skipped("a folder of another group: the tests do not run as root");
                return;
            }
            chown(&folder, None, Some(gid)).unwrap();
        }
        fs::set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
        let registry = folder.join("registry.json");
        for line in ["reserve", "status", "gc", "release --mine"] {
            let line = format!("--registry {} {line}", registry.display());
            quick(env.pk(line)).refused(8).says(hint);
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "{mode:o}");
    };
    check(0o777, None, "portkeeper setup --machine");
    check(0o2777, None, "portkeeper setup --machine");
    check(0o1777, None, "portkeeper setup --machine");
    check(0o3770, Some(62_000), "portkeeper setup --machine");
    check(0o770, Some(62_000), "portkeeper setup --group");
}

#[test]
fn a_machine_wide_registry_that_is_not_as_it_should_be_is_refused_and_nobody_falls_back() {
    let check = |what: &str, damage: &dyn Fn(&Shared), stops_readers: bool| {
        let Some(shared) = Shared::machine_wide() else {
            return;
        };
        let ann = shared.user(0);
        damage(&shared);
        let refused = |answer: Answer| drop(quick(answer).refused(8).says("setup --machine"));
        refused(ann.pk("reserve --hold"));
        if stops_readers {
            refused(ann.pk("status"));
        }
        assert!(!ann.registry().exists(), "{what}: a private one");
        // And is mended by the very command that made it.
        shared.setup("").ok();
        ann.pk("reserve --hold").ok();
    };
    let mode = |path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    check("0755", &|it| mode(it.folder(), 0o755), true);
    check("0777", &|it| mode(it.folder(), 0o777), true);
    check("0700", &|it| mode(it.folder(), 0o700), true);
    let remove_lock = |it: &Shared| fs::remove_file(it.path("lock")).unwrap();
    check("no lock", &remove_lock, false);
    check("liveness folder", &|it| mode(it.path("live"), 0o777), false);
}

#[test]
fn a_machine_wide_folder_or_lock_of_somebody_else_is_refused() {
    let Some(shared) = Shared::machine_wide() else {
        return;
    };
    let (ann, bob) = (shared.user(0), shared.user(1));
    fs::remove_file(shared.path("lock")).unwrap();
    fs::write(shared.path("lock"), "").unwrap();
    chown(shared.path("lock"), Some(61_002), None).unwrap();
    ann.pk("reserve")
        .refused(8)
        .says("another user (uid 61002)");
    bob.pk("reserve").refused(8);
    shared.setup("").ok();
    ann.pk("reserve").ok();
    chown(shared.folder(), Some(61_002), None).unwrap();
    for line in ["reserve", "status"] {
        ann.pk(line).refused(8).says("belongs to uid 61002");
    }
    bob.pk("reserve").refused(8);
    chown(shared.folder(), Some(0), None).unwrap();
}

/// strace plays another file system (`f_type` is the first field of what fstatfs(2) gives) and one
/// without locks.
#[test]
fn f54_f55_without_reliable_locks_nothing_is_shared_and_nothing_done_unlocked() {
    if !has("strace") {
        skipped("other file systems: no strace");
        return;
    }
    let traced = |env: &TestEnv, tamper: &str, line: &str| {
        let mut command = env.command("strace");
        command.args([
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            tamper,
            "--",
            "portkeeper",
        ]);
        command.args(line.split_whitespace());
        env.run(command)
    };
    let nfs = "inject=fstatfs:poke_exit=@arg2=6969000000000000";
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let told = traced(&env, nfs, &format!("reserve {}", ports.range()));
    if told.stderr.contains("strace: ") || told.stderr.contains("ptrace") {
        skipped(format_args!("other file systems: {}", told.stderr.trim()));
        return;
    }
    drop(told.ok().says("is on a network file system (nfs)"));
    env.pk("reserve").ok();

    let no_locks = traced(&env, "inject=flock:error=ENOLCK", "reserve");
    drop(
        no_locks
            .refused(7)
            .says("cannot lock")
            .says("that has locks"),
    );
    assert_eq!(env.reserved().len(), 2);

    for shared in [Shared::of_group(), Shared::machine_wide()] {
        let Some(shared) = shared else { return };
        let root = shared.superuser();
        for line in ["reserve", "status", "gc"] {
            let refused = traced(&root, nfs, line).refused(8);
            drop(refused.says("(nfs)").says("local file system"));
        }
        root.pk("reserve").ok();
    }
}

/// Where old files are tidied up, what is in use stays young.
#[test]
fn f68_what_is_in_use_outlives_those_who_remove_old_files() {
    let (env, ports) = (TestEnv::new(), Ports::claim(2));
    reserve(&env, ports.at(0), "--hold").ok();
    let folder = env.state_folder();
    let files = "find . -type f";
    let in_folder = |script: &str| {
        let script = format!("cd {} && {script}", folder.display());
        env.sh(&script).ok().stdout
    };
    in_folder(&format!("{files} -exec touch -d '20 days ago' {{}} +"));
    reserve(&env, ports.at(1), "").ok();
    pk_tests::process::eventually(super::LIMIT, "the holder has seen to its file", || {
        in_folder(&format!("{files} -mtime +10")).is_empty()
    });
    in_folder(&format!("{files} -mtime +10 -delete"));
    assert_eq!(env.state(ports.at(0)).as_deref(), Some("held"));
    assert!(env.registry().with_extension("json.lock").exists());
}

#[test]
fn a16_root_leaves_nothing_in_the_folders_of_another_user() {
    let Some(shared) = Shared::machine_wide() else {
        return;
    };
    let (ann, root) = (shared.user(0), TestEnv::new());
    let home = ann.root().join("home");
    let mut command = root.portkeeper("reserve");
    command
        .env("HOME", &home)
        .env_remove("PORTKEEPER_REGISTRY")
        .env_remove("XDG_RUNTIME_DIR");
    root.run(command).refused(8).says("belongs to another user");
    let named = home.join("registry.json");
    root.pk(format!("--registry {} reserve", named.display()))
        .refused(8);
    let found = root.sh(&format!("find {} -user root", home.display()));
    assert_eq!(found.ok().stdout, "");
}

#[test]
fn a17_a_set_uid_program_is_refused() {
    let Some(shared) = Shared::machine_wide() else {
        return;
    };
    let (ann, root) = (shared.user(0), shared.superuser());
    let program = ann.root().join("portkeeper");
    // What keeps its rights when it becomes another user keeps them in what it runs.
    let script = format!(
        "exec setpriv --ruid=61001 -- {} --registry {}/x.json reserve",
        program.display(),
        root.root().display()
    );
    let refused = root.sh(&script).refused(8);
    drop(refused.says("running with the rights of another user (uid 0)"));
    assert!(!root.root().join("x.json").exists());
}
