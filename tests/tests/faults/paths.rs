//! Paths that lead elsewhere, have odd names, or lie on mounts.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use pk_tests::{Imprint, Ports, TestEnv};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::prepared;

/// As `docker run -v ./.env:/app/.env` does it.
#[test]
fn f32_a_mounted_file_is_written_in_place() {
    let env = TestEnv::new();
    env.write("host", "A=1\n");
    env.write(".env", "");
    let mount = "mount --bind host .env";
    let refused = env.portkeeper("env set A=2 --no-in-place");
    let Some(refused) = env.unshared("-m", mount, &refused) else {
        return;
    };
    env.run(refused).refused(7).says("mount point");
    assert_eq!(env.read("host").as_deref(), Some("A=1\n"));
    let inode = env.imprint("host");
    for (line, expect) in [
        ("env set A=2", "A=2\n".to_owned()),
        ("reserve --write-env A", String::new()),
    ] {
        let written = env.unshared("-m", mount, &env.portkeeper(line)).unwrap();
        let answer = env.run(written).ok().json();
        assert_eq!(answer["files"][0]["strategy"], "in-place", "{answer}");
        let expect = match answer["port"].as_u64() {
            Some(port) => format!("A={port}\n"),
            None => expect,
        };
        assert_eq!(env.read("host"), Some(expect), "through the mount");
    }
    assert_ne!(env.imprint("host"), inode);
    assert_eq!(env.read(".env").as_deref(), Some(""), "below the mount");
    assert!(!env.backups().is_empty());
    assert!(env.leftovers().is_empty());
}

/// A FIFO under a name from which this program reads what it keeps for itself.
#[test]
fn f34_a_fifo_in_the_state_folder_makes_nobody_wait() {
    let check = |name: &str, command: &str, code: i32| {
        let env = prepared();
        env.write(".env", "A=1\n");
        env.pk("env set A=2").ok();
        fs::create_dir_all(env.state_folder().join("txn")).unwrap();
        let path = match name.strip_prefix("shelf/") {
            Some("path.txt") => env.backups()[0].with_file_name("path.txt"),
            Some(_) => env.backups()[0].clone(),
            None => env.state_folder().join(name),
        };
        // Not all of them are in use.
        let _ = fs::remove_file(&path);
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR, 0).unwrap();
        let answer = env.pk(command).sane();
        assert!(answer.took < Duration::from_secs(10), "{answer:?}");
        assert_eq!(answer.code, Some(code), "{name}: {answer:?}");
        if code == 8 {
            let _ = answer.refused(8).says("is a FIFO");
        }
    };
    check("recent", "gc", 8);
    // What is remembered for gc alone is in nobody's way.
    check("recent", "env set A=3", 0);
    check("txn/1.json", "env set A=3", 8);
    check("names.json", "reserve --name web", 0);
    check("shelf/path.txt", "backup list", 0);
    check("shelf/path.txt", "backup restore .env", 2);
    check("shelf/a backup", "backup restore .env", 8);
}

/// Names that backups and journals would have, planted beforehand.
#[test]
fn f36_planted_names_in_the_state_folder_are_not_followed() {
    let check = |plant: &dyn Fn(&TestEnv)| {
        let env = prepared();
        env.write("precious", "precious");
        env.write(".env", "A=1\n");
        plant(&env);
        let (precious, before) = (env.imprint("precious"), env.imprint(".env"));
        env.pk("env set A=2").refused(8);
        assert_eq!(env.imprint("precious"), precious);
        assert_eq!(env.imprint(".env"), before);
        let inside = env.path("elsewhere");
        assert!(!inside.exists() || fs::read_dir(inside).unwrap().count() == 0);
    };
    let state = |env: &TestEnv, name: &str| env.state_folder().join(name);
    check(&|env| symlink(env.path("precious"), state(env, "files.lock")).unwrap());
    check(&|env| fs::hard_link(env.path("precious"), state(env, "files.lock")).unwrap());
    check(&|env| {
        let lock = state(env, "files.lock");
        mknodat(CWD, &lock, FileType::Fifo, Mode::RUSR, 0).unwrap();
    });
    check(&|env| fs::write(state(env, "backups"), "").unwrap());
    check(&|env| symlink(env.path("nowhere"), state(env, "backups")).unwrap());
    for name in ["backups", "txn"] {
        check(&|env| {
            fs::create_dir(env.path("elsewhere")).unwrap();
            symlink(env.path("elsewhere"), state(env, name)).unwrap();
        });
    }
}

#[test]
fn f59_names_that_are_no_text_work_and_are_printed_harmlessly() {
    let (env, ports) = (TestEnv::new(), Ports::claim(2));
    let folder = env.path("").join(OsStr::from_bytes(b"\xff\x1b[2J caf\xe9"));
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let registry = folder.join("registry.json");
    let with = |line: &str| {
        let mut command = env.portkeeper(line);
        command.env("PORTKEEPER_REGISTRY", &registry);
        env.run(command).sane()
    };
    let held = with(&format!("reserve --hold --preferred {}", ports.at(0))).ok();
    assert_eq!(held.port(), ports.at(0));
    with(&format!("reserve --preferred {}", ports.at(1))).ok();
    for line in ["status", "status --format text", "gc", "why 8080", "doctor"] {
        with(line).ok();
    }
    with(&format!("reserve --strict --preferred {}", ports.at(0))).refused(3);
    with("release --mine").ok();
    assert!(!pk_tests::process::is_alive(held.holder()));
    fs::write(&registry, "garbage").unwrap();
    with("status --format text").ok();
    fs::remove_file(&registry).unwrap();
    fs::create_dir(&registry).unwrap();
    with("status").refused(8);

    let file = folder.join(OsStr::from_bytes(b".env\x9b31m"));
    fs::write(&file, "A=1\n").unwrap();
    let mut command = env.portkeeper("env set A=2 --file");
    env.run({
        command.arg(&file);
        command
    })
    .sane()
    .ok();
    assert_eq!(fs::read(&file).unwrap(), b"A=2\n");
}

#[test]
fn f60_a_symlinked_registry_is_refused() {
    let (env, elsewhere) = (TestEnv::new(), TestEnv::new());
    elsewhere.pk("reserve").ok();
    fs::create_dir_all(env.state_folder()).unwrap();
    fs::set_permissions(
        env.state_folder(),
        std::os::unix::fs::PermissionsExt::from_mode(0o700),
    )
    .unwrap();
    symlink(elsewhere.registry(), env.registry()).unwrap();
    let (link, target) = (
        Imprint::of(&env.registry()),
        Imprint::of(&elsewhere.registry()),
    );
    for line in ["status", "reserve", "release --mine", "gc"] {
        env.pk(line).refused(8).says("a symlink");
    }
    assert_eq!(Imprint::of(&env.registry()), link);
    assert_eq!(Imprint::of(&elsewhere.registry()), target);
    assert!(!env.registry().with_extension("json.live").exists());
}

/// What a writer would make next to the registry, planted beforehand.
#[test]
fn f61_planted_names_beside_the_registry_are_not_followed() {
    let check = |name: &str, plant: &dyn Fn(&Path, &Path), code: i32| {
        let (env, ports) = (prepared(), Ports::claim(1));
        env.write("precious", "precious");
        let precious = env.imprint("precious");
        plant(&env.path("precious"), &env.state_folder().join(name));
        let answer = env.pk(format!("reserve --hold {}", ports.range()));
        match code {
            0 => drop(answer.ok()),
            code => drop(answer.refused(code)),
        }
        let now = env.imprint("precious");
        let content = env.read("precious");
        assert_eq!(content.as_deref(), Some("precious"), "{name}");
        assert_eq!(now, precious, "{name}");
        // Nor is what lies behind a link swept.
        let _ = env.pk("gc").sane();
        let _ = env.pk("doctor --fix").sane();
        assert_eq!(env.read("precious").as_deref(), Some("precious"), "{name}");
    };
    let link = |precious: &Path, name: &Path| symlink(precious, name).unwrap();
    let pid = std::process::id();
    for guess in pid..pid + 3 {
        // The names of temporary files can be guessed, and are created anew or not at all.
        check(&format!("registry.json.tmp-{guess}-0"), &link, 0);
    }
    check("registry.json.live", &link, 8);
    check(
        "registry.json.live",
        &|_, name| fs::write(name, "").unwrap(),
        8,
    );
    let folder = |precious: &Path, name: &Path| symlink(precious.parent().unwrap(), name).unwrap();
    check("registry.json.live", &folder, 8);
}
