//! `setup`: what it makes, mends and removes, and what it leaves alone.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::Path;

use pk_tests::{Imprint, Ports, Shared, TestEnv, skipped};
use serde_json::{Value, json};

use super::reserve;

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

/// What was done, as `made lock` and the like.
fn steps(answer: &Value) -> Vec<String> {
    let step = |step: &Value| {
        let path = Path::new(step["path"].as_str().unwrap());
        let name = path.file_name().unwrap().to_str().unwrap();
        format!("{} {name}", step["did"].as_str().unwrap())
    };
    answer["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(step)
        .collect()
}

fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        skipped("setup: the tests do not run as root");
    }
    is_root
}

/// The lines that are no comments.
fn said(conf: &str) -> Vec<&str> {
    conf.lines().filter(|line| !line.starts_with('#')).collect()
}

#[test]
fn a_machine_wide_registry_is_made_mended_and_removed() {
    let Some(shared) = Shared::machine_wide() else {
        return;
    };
    let conf = shared.root().join("etc/tmpfiles.d/portkeeper.conf");
    let check_all = || {
        for (path, expect) in [
            (shared.folder(), 0o1777),
            (shared.path("lock"), 0o644),
            (shared.path("live"), 0o1777),
            (conf.clone(), 0o644),
        ] {
            assert_eq!(mode(&path), expect, "{}", path.display());
            assert_eq!(fs::metadata(&path).unwrap().uid(), 0, "{}", path.display());
        }
        // What is released has the same as an example.
        let example = include_str!("../../../xtask/src/dist/tmpfiles.conf");
        let text = fs::read_to_string(&conf).unwrap();
        assert_eq!(said(&text), said(example));
    };
    check_all();
    let again = shared.setup("").ok().json();
    assert_eq!(again["steps"], json!([]));
    assert_eq!(again["kind"], "machine");

    let mended = |expect: &[&str]| {
        assert_eq!(steps(&shared.setup("").ok().json()), expect);
        check_all();
    };
    for path in [
        shared.folder(),
        shared.path("live"),
        shared.path("lock"),
        conf.clone(),
    ] {
        fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
    }
    fs::write(&conf, "").unwrap();
    mended(&[
        "mended lock",
        "mended live",
        "mended portkeeper",
        "mended portkeeper.conf",
    ]);
    fs::remove_file(shared.path("lock")).unwrap();
    mended(&["made lock"]);
    // In the place of a missing lock somebody has put a name of a file of root's.
    let precious = shared.root().join("precious");
    fs::write(&precious, "precious").unwrap();
    fs::set_permissions(&precious, Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(shared.path("lock")).unwrap();
    fs::hard_link(&precious, shared.path("lock")).unwrap();
    mended(&["removed lock", "made lock"]);
    fs::remove_file(shared.path("lock")).unwrap();
    symlink(&precious, shared.path("lock")).unwrap();
    mended(&["removed lock", "made lock"]);
    assert_eq!(
        (mode(&precious), fs::read(&precious).unwrap()),
        (0o600, b"precious".into())
    );

    let undone = shared.setup("--undo").ok().json();
    assert_eq!(
        steps(&undone),
        ["removed portkeeper", "removed portkeeper.conf"]
    );
    assert!(!shared.folder().exists() && !conf.exists());
    assert_eq!(shared.setup("--undo").ok().json()["steps"], json!([]));
    shared.setup("").ok();
    check_all();
}

#[test]
fn what_others_have_reserved_is_not_taken_away_without_force() {
    let Some(shared) = Shared::machine_wide() else {
        return;
    };
    let (ports, ann) = (Ports::claim(2), shared.user(0));
    reserve(&ann, ports.at(0), "--hold").ok();
    let holder = reserve(&ann, ports.at(1), "--hold").ok().holder();
    let refused = shared.setup("--undo").refused(4);
    drop(refused.says(ports.at(0).to_string()).says("--force"));
    assert_eq!(ann.reserved(), [ports.at(0), ports.at(1)]);
    shared.setup("--undo --force").ok();
    assert!(!shared.folder().exists());
    pk_tests::process::eventually(super::LIMIT, "the holders end", || {
        !pk_tests::process::is_alive(holder)
    });
    // Everybody is alone again.
    let answer = ann.pk("status --format json").ok().json();
    assert_eq!(answer["kind"], "private");
}

#[test]
fn what_is_no_registrys_is_neither_changed_nor_removed() {
    let Some(shared) = Shared::machine_wide() else {
        return;
    };
    let bob = shared.user(1);
    bob.pk("reserve").ok();
    let before = Imprint::of(&shared.path("61002.json"));
    bob.sh(&format!("echo x > {}", shared.path("notes").display()))
        .ok();
    shared.setup("--undo --force").refused(8).says("notes");
    assert_eq!(Imprint::of(&shared.path("61002.json")), before);
    bob.pk("status").ok();
    fs::remove_file(shared.path("notes")).unwrap();
    shared.setup("--undo --force").ok();
    // Something else is where the folder should be.
    let folder = shared.folder();
    let check = |what: &str, make: &dyn Fn(&Path)| {
        make(&folder);
        let before = Imprint::of(&folder);
        shared.setup("").refused(8);
        assert_eq!(Imprint::of(&folder), before, "{what}");
    };
    check("a file", &|path| fs::write(path, "x").unwrap());
    fs::remove_file(&folder).unwrap();
    check("a symlink", &|path| symlink("/tmp", path).unwrap());
    fs::remove_file(&folder).unwrap();
    check("another's folder", &|path| {
        fs::create_dir(path).unwrap();
        chown(path, Some(61_002), None).unwrap();
    });
}

#[test]
fn only_root_sets_up_what_all_users_share() {
    let Some(env) = TestEnv::plain_user() else {
        return;
    };
    let root = env.root().join("project");
    for undo in ["", " --undo"] {
        let line = format!("setup --machine --root {}{undo}", root.display());
        let refused = env.pk(line).refused(8);
        drop(
            refused
                .says("only root")
                .says("sudo portkeeper setup --machine"),
        );
    }
    assert_eq!(fs::read_dir(root).unwrap().count(), 0);
}

#[test]
fn the_folder_of_a_group_is_made_and_mended_by_a_member() {
    let Some(shared) = Shared::machine_wide() else {
        return;
    };
    let (ann, bob) = (shared.user(0), shared.user(1));
    let folder = ann.path("shared");
    fs::set_permissions(ann.path(""), Permissions::from_mode(0o755)).unwrap();
    let line = format!("setup --group 62000 {} --format json", folder.display());
    let made = ann.pk(&line).ok().json();
    assert_eq!(steps(&made), ["made shared"]);
    assert_eq!(
        (&made["kind"], &made["gid"]),
        (&"group".into(), &62_000.into())
    );
    let registry = folder.join("registry.json");
    assert_eq!(made["registry"], registry.to_str().unwrap());
    assert_eq!(steps(&ann.pk(&line).ok().json()), [""; 0]);
    assert_eq!(mode(&folder), 0o2770);
    let named = format!("--registry {}", registry.display());
    for env in [&ann, &bob] {
        env.pk(format!("{named} reserve --hold")).ok();
    }
    // The other member finds nothing to do, and mends what is its own.
    assert_eq!(steps(&bob.pk(&line).ok().json()), [""; 0]);
    fs::set_permissions(&registry, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(steps(&bob.pk(&line).ok().json()), ["mended registry.json"]);
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
    assert_eq!(steps(&ann.pk(&line).ok().json()), ["mended shared"]);
    assert_eq!(
        bob.pk(format!("{named} status --format port"))
            .ok()
            .stdout
            .lines()
            .count(),
        2
    );
    for env in [&ann, &bob] {
        env.pk(format!("{named} release --mine")).ok();
    }
    let text = ann.pk(line.replace("json", "text")).ok().stdout;
    let how = format!("export PORTKEEPER_REGISTRY={}", registry.display());
    assert!(text.contains(&how), "{text}");
}

#[test]
fn a_private_registry_can_be_given_to_a_group() {
    if !is_root() {
        return;
    }
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let folder = env.path("shared");
    let named = format!("--registry {}/registry.json", folder.display());
    env.pk(format!("{named} reserve --hold {}", ports.range()))
        .ok();
    let line = format!("setup --group 62000 {} --format json", folder.display());
    let mended = env.pk(line).ok().json();
    let expect = [
        "shared",
        "registry.json",
        "registry.json.lock",
        "registry.json.live",
    ];
    assert_eq!(steps(&mended), expect.map(|name| format!("mended {name}")));
    let status = env.pk(format!("{named} status --format json")).ok().json();
    assert_eq!(status["kind"], "group");
    assert_eq!(status["reservations"][0]["state"], "held");
    env.pk(format!("{named} release --mine")).ok();
}

#[test]
fn a_group_and_a_folder_that_will_not_do_are_refused() {
    let Some(env) = TestEnv::plain_user() else {
        return;
    };
    let folder = env.path("shared");
    let shown = folder.display();
    env.pk(format!("setup --group no-such-group {shown}"))
        .refused(2)
        .says("no-such-group");
    env.pk(format!("setup --group 62000 {shown}"))
        .refused(8)
        .says("usermod");
    assert!(!folder.exists());
    for line in [
        "setup",
        "setup --group 62000",
        "setup --undo",
        "setup --machine x",
    ] {
        env.pk(line).refused(2);
    }
    // Other things would become the group's.
    let (line, own) = (
        format!("setup --group 61001 {shown}"),
        folder.join("letters"),
    );
    fs::create_dir(&folder).unwrap();
    fs::write(&own, "").unwrap();
    chown(&folder, Some(61_001), Some(61_001)).unwrap();
    env.pk(&line).refused(8).says("letters");
    assert_eq!(mode(&folder), 0o755);
    fs::remove_file(own).unwrap();
    env.pk(&line).ok();
    env.pk("setup --group 61001 /tmp").refused(8);
    env.pk(format!("setup --group 61001 {shown}/no/such"))
        .refused(7);
}
