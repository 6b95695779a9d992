//! The registry's own files: their kinds, owners and modes, and what the registry holds.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use pk_tests::{Ports, TestEnv};
use rustix::fs::{CWD, FileType, FlockOperation, Mode, flock, mknodat};

use super::Mended::{Command, Fix, Hand};
use super::{check, doctor, fact, found};

/// A world with a registry, a lock and a folder of liveness files.
fn used() -> TestEnv {
    let env = TestEnv::new();
    let port = env.pk("reserve --hold").ok().port();
    env.pk(format!("release {port}")).ok();
    assert_eq!(doctor(&env, "", "")["findings"], serde_json::json!([]));
    env
}

fn lock(env: &TestEnv) -> PathBuf {
    env.registry().with_extension("json.lock")
}

fn live(env: &TestEnv) -> PathBuf {
    env.registry().with_extension("json.live")
}

#[test]
fn what_is_no_plain_file() {
    let check = |path: fn(&TestEnv) -> PathBuf, make: &dyn Fn(&Path)| {
        let env = used();
        if path(&env).is_dir() {
            fs::remove_dir(path(&env)).unwrap();
        } else {
            fs::remove_file(path(&env)).unwrap();
        }
        make(&path(&env));
        let finding = check(&env, "", "no-plain-file", "problem", Command);
        assert_eq!(finding["path"], path(&env).to_str().unwrap());
        env.pk("reserve").ok();
    };
    for place in [TestEnv::registry as fn(&TestEnv) -> PathBuf, lock] {
        check(place, &|path| symlink("nowhere", path).unwrap());
        check(place, &|path| symlink("/dev/zero", path).unwrap());
        check(place, &|path| fs::create_dir(path).unwrap());
        check(place, &|path| {
            mknodat(CWD, path, FileType::Fifo, Mode::RUSR, 0).unwrap();
        });
    }
    check(live, &|path| drop(File::create(path).unwrap()));
}

#[test]
fn a_second_name() {
    for place in [TestEnv::registry as fn(&TestEnv) -> PathBuf, lock] {
        let env = used();
        fs::hard_link(place(&env), env.path("second")).unwrap();
        env.pk("reserve").refused(8);
        check(&env, "", "hard-link", "problem", Command);
        env.pk("reserve").ok();
    }
}

/// Under its other name it may be anything, and readable by others on purpose.
#[test]
fn a_second_name_keeps_its_mode() {
    let env = used();
    fs::remove_file(lock(&env)).unwrap();
    env.write("page", "");
    fs::set_permissions(env.path("page"), Permissions::from_mode(0o644)).unwrap();
    fs::hard_link(env.path("page"), lock(&env)).unwrap();
    let before = env.imprint("page");
    let answer = env.pk("doctor --fix").sane();
    assert!(answer.stdout.contains("hard-link"), "{answer:?}");
    assert_eq!(env.imprint("page"), before);
}

#[test]
fn what_belongs_to_somebody_else() {
    for place in [TestEnv::registry as fn(&TestEnv) -> PathBuf, lock, live] {
        let Some(env) = TestEnv::plain_user() else {
            return;
        };
        let port = env.pk("reserve --hold").ok().port();
        env.pk(format!("release {port}")).ok();
        chown(place(&env), Some(0), Some(0)).unwrap();
        let finding = check(&env, "", "foreign-owner", "problem", Hand);
        let path = place(&env);
        assert_eq!(finding["path"], path.to_str().unwrap());
        let mend = format!("sudo chown 61001 {}", path.display());
        assert_eq!(finding["mend"], mend);
        env.pk("reserve --hold").refused(8);
        chown(&path, Some(61_001), None).unwrap();
        env.pk("reserve --hold").ok();
    }
}

#[test]
fn modes_that_are_too_wide_or_too_narrow() {
    let check = |place: fn(&TestEnv) -> PathBuf, mode: u32, code: &str, severity: &str| {
        let env = used();
        let own = fs::metadata(place(&env)).unwrap().permissions();
        fs::set_permissions(place(&env), Permissions::from_mode(mode)).unwrap();
        let finding = check(&env, "", code, severity, Fix);
        assert_eq!(finding["path"], place(&env).to_str().unwrap());
        assert_eq!(fs::metadata(place(&env)).unwrap().permissions(), own);
    };
    for place in [TestEnv::registry as fn(&TestEnv) -> PathBuf, lock] {
        check(place, 0o644, "open-mode", "note");
        check(place, 0o666, "open-mode", "problem");
        check(place, 0o400, "closed-mode", "problem");
    }
    check(live, 0o755, "open-mode", "note");
    check(live, 0o777, "open-mode", "problem");
    check(live, 0o500, "closed-mode", "problem");
    check(TestEnv::state_folder, 0o755, "open-mode", "note");
    let backups = |env: &TestEnv| {
        let folder = env.state_folder().join("backups");
        if !folder.exists() {
            env.write(".env", "A=1\n");
            env.pk("env set A=2").ok();
        }
        folder
    };
    check(backups, 0o755, "open-mode", "note");
}

/// A plain user whose own files are closed to them.
#[test]
fn what_is_closed_to_its_owner_is_opened() {
    let Some(env) = TestEnv::plain_user() else {
        return;
    };
    env.pk("reserve").ok();
    for (path, mode) in [
        (lock(&env), 0),
        (env.registry(), 0),
        (env.state_folder(), 0o100),
    ] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        env.pk("reserve").refused(8);
        assert!(found(&doctor(&env, "", ""), "closed-mode").is_some() || mode == 0o100);
        doctor(&env, "", "--fix");
        if mode == 0o100 {
            fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        }
        env.pk("reserve").ok();
    }
}

#[test]
fn registries_that_can_not_be_read() {
    let env = used();
    for text in ["garbage", "{", "[]", "{\"entries\":7}"] {
        fs::write(env.registry(), text).unwrap();
        let finding = check(&env, "", "corrupt-registry", "problem", Fix);
        assert!(
            finding["what"].as_str().unwrap().contains("line 1"),
            "{finding}"
        );
    }
    let kept = check(&env, "", "corrupt-copies", "note", Command);
    assert!(kept["what"].as_str().unwrap().starts_with("4 "), "{kept}");
}

#[test]
fn a_registry_that_is_empty() {
    let (env, ports) = (used(), Ports::claim(1));
    fs::write(env.registry(), "").unwrap();
    check(&env, "", "empty-registry", "note", Hand);
    env.pk(format!("reserve {}", ports.range())).ok();
    assert_eq!(found(&doctor(&env, "", ""), "empty-registry"), None);
}

#[test]
fn registries_of_others() {
    let env = used();
    let newer = r#"{"schema":"portkeeper/registry","version":99,"written_by":"portkeeper 9.0"}"#;
    fs::write(env.registry(), newer).unwrap();
    let finding = check(&env, "", "newer-registry", "problem", Hand);
    assert!(
        finding["what"].as_str().unwrap().contains("99"),
        "{finding}"
    );
    assert!(fact(&doctor(&env, "", ""), "version").contains("written by portkeeper 9.0"));
    assert_eq!(fs::read_to_string(env.registry()).unwrap(), newer);
    fs::write(env.registry(), r#"{"schema":"\u001b[2J","version":1}"#).unwrap();
    check(&env, "", "newer-registry", "problem", Hand);
    env.sh("portkeeper doctor --format text").sane();
}

#[test]
fn a_registry_that_is_too_large() {
    let env = used();
    let file = File::options().write(true).open(env.registry()).unwrap();
    file.set_len(33 << 20).unwrap();
    check(&env, "", "large-registry", "problem", Command);
    env.pk("reserve").ok();
}

#[test]
fn an_older_copy_of_the_registry() {
    let (env, ports) = (used(), Ports::claim(2));
    let old = fs::read(env.registry()).unwrap();
    env.pk(format!("reserve --count 2 {}", ports.range())).ok();
    fs::write(env.registry(), old).unwrap();
    check(&env, "", "older-copy", "problem", Fix);
    let line = format!("reserve --preferred {}", ports.at(0));
    assert_eq!(env.pk(line).ok().stderr, "", "it was said");
}

#[test]
fn a_lock_that_somebody_keeps() {
    let env = used();
    let file = File::open(lock(&env)).unwrap();
    flock(&file, FlockOperation::LockExclusive).unwrap();
    let finding = check(&env, "", "lock-held", "problem", Hand);
    let pid = std::process::id();
    assert_eq!(finding["mend"], format!("kill {pid}"));
    let what = finding["what"].as_str().unwrap();
    assert!(what.contains(&format!("process {pid} (")), "{what}");
    drop(file);
    assert_eq!(found(&doctor(&env, "", ""), "lock-held"), None);
}
