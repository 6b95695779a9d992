//! A registry that the members of a group share: every umask works, and the program releases for
//! nobody what is another's.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::process::Stdio;

use pk_tests::process::{eventually, is_alive, signal};
use pk_tests::{Imprint, Ports, Shared, TestEnv, has, skipped};
use rustix::process::Signal;

use super::{LIMIT, listed, quick, reserve};

/// The group that both users are in.
const GROUP: u32 = 62_000;

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn f63_every_umask_leaves_the_registry_to_the_group() {
    for umask in ["000", "002", "022", "027", "077", "0777"] {
        let Some(shared) = Shared::of_group() else {
            return;
        };
        let (ports, ann, bob) = (Ports::claim(3), shared.user(0), shared.user(1));
        let under = |env: &TestEnv, at: u16| {
            let port = ports.at(at);
            let line =
                format!("umask {umask}; portkeeper reserve --preferred {port} --strict --hold");
            env.sh(&line).ok();
        };
        under(&ann, 0);
        under(&bob, 1);
        under(&ann, 2);
        for (name, expect) in [
            ("", 0o2770),
            ("registry.json", 0o660),
            ("registry.json.lock", 0o660),
            ("registry.json.live", 0o2770),
        ] {
            let path = shared.path(name);
            assert_eq!(mode(&path), expect, "{name} under {umask}");
            assert_eq!(fs::metadata(&path).unwrap().gid(), GROUP, "{name}");
        }
        let live = fs::read_dir(shared.path("registry.json.live")).unwrap();
        let live: Vec<_> = live.map(|it| mode(&it.unwrap().path())).collect();
        assert_eq!(live, [0o660; 3], "under {umask}");
        for env in [&ann, &bob] {
            assert_eq!(env.reserved(), ports.all().collect::<Vec<_>>());
            let states = ports.all().map(|port| env.state(port).unwrap());
            assert_eq!(states.collect::<Vec<_>>(), ["held"; 3]);
        }
        let status = ann.pk("status --format json").ok().json();
        assert_eq!(status["kind"], "group");
    }
}

#[test]
fn f64_a_default_acl_takes_nothing_away() {
    if !has("setfacl") {
        skipped("access control lists: no setfacl");
        return;
    }
    let Some(shared) = Shared::of_group() else {
        return;
    };
    let (ports, ann, bob) = (Ports::claim(2), shared.user(0), shared.user(1));
    let folder = shared.folder();
    let acl = format!(
        "setfacl -d -m g:{GROUP}:rw,u:61002:rw,m::rw {}",
        folder.display()
    );
    if shared.superuser().sh(&acl).code != Some(0) {
        skipped("access control lists: the file system has none");
        return;
    }
    for (env, at) in [(&ann, 0), (&bob, 1)] {
        let port = ports.at(at);
        env.sh(&format!(
            "umask 077; portkeeper reserve --preferred {port} --strict"
        ))
        .ok();
    }
    assert_eq!(ann.reserved(), ports.all().collect::<Vec<_>>());
    assert_eq!(mode(&shared.path("registry.json")), 0o660);
    bob.pk("release --mine").ok();
    assert_eq!(ann.reserved(), [ports.at(0)]);
}

#[test]
fn f65_another_members_reservation_is_not_released_and_one_that_has_ended_is() {
    let Some(shared) = Shared::of_group() else {
        return;
    };
    let (ports, ann, bob) = (Ports::claim(2), shared.user(0), shared.user(1));
    let (leased, held) = (ports.at(0), ports.at(1));
    reserve(&ann, leased, "--owner shop").ok();
    let holder = reserve(&ann, held, "--hold").ok().holder();
    let before = Imprint::of(&shared.path("registry.json"));
    for port in [leased, held] {
        reserve(&bob, port, "").refused(3);
        for line in ["release", "release --force"] {
            bob.pk(format!("{line} {port}")).refused(4).says("61001");
        }
        bob.pk(format!("take {port} -- true"))
            .refused(4)
            .says("61001");
    }
    bob.pk("release --mine").ok();
    bob.pk("gc --unused 1ms").ok();
    assert_eq!(Imprint::of(&shared.path("registry.json")), before);
    let why = bob.pk(format!("why {leased} --format json")).ok().json();
    assert_eq!(why["reason"], "reserved by shop of uid 61001");

    signal(holder, Signal::KILL);
    eventually(LIMIT, "the holder ends", || !is_alive(holder));
    let collected = bob.pk("gc --format json").ok().json();
    assert_eq!(collected["removed"][0]["port"], held);
    assert_eq!(listed(&ann, leased).unwrap()["uid"], 61_001);
    assert!(listed(&ann, held).is_none());
    reserve(&bob, held, "").ok();
    shared
        .superuser()
        .pk(format!("release {leased} {held}"))
        .ok();
    assert_eq!(bob.reserved(), [0_u16; 0]);
    // Root has written it last, and it is still the group's.
    reserve(&ann, leased, "").ok();
}

#[test]
fn a03_what_is_no_file_is_refused_at_once() {
    let check = |what: &str, plant: &str, name: &str| {
        let Some(shared) = Shared::of_group() else {
            return;
        };
        let (ann, bob) = (shared.user(0), shared.user(1));
        let path = shared.path(name);
        bob.sh(&format!("{plant} {}", path.display())).ok();
        quick(ann.pk("reserve")).refused(8);
        // What a second name leads to may be read as well as by the first.
        if name == "registry.json" && what != "a hard link" {
            quick(ann.pk("status")).refused(8);
        }
        let imprint = Imprint::of(&path).expect(what);
        quick(ann.pk("gc")).refused(8);
        assert_eq!(Imprint::of(&path), Some(imprint), "{what}");
    };
    for name in ["registry.json", "registry.json.lock"] {
        check("a FIFO", "mkfifo", name);
        check("a folder", "mkdir", name);
        check("a device", "ln -s /dev/zero", name);
        check("a hard link", "touch x; ln x", name);
    }
}

#[test]
fn a04_who_keeps_the_lock_is_named_and_stops_no_reader() {
    if !has("flock") {
        skipped("a lock: no flock");
        return;
    }
    for shared in [Shared::of_group(), Shared::machine_wide()] {
        let Some(shared) = shared else { return };
        let (ann, bob) = (shared.user(0), shared.user(1));
        ann.pk("reserve").ok();
        let lock = ["registry.json.lock", "lock"]
            .map(|name| shared.path(name))
            .into_iter()
            .find(|path| path.exists());
        let mut command = bob.command("flock");
        command
            .arg(lock.unwrap())
            .args(["sh", "-c", "echo locked; cat"]);
        command.stdin(Stdio::piped());
        let mut hostage = bob.start(command);
        assert_eq!(hostage.line(), "locked");
        let answer = ann.pk("reserve --lock-timeout 1s").refused(5);
        let named = answer.says("is locked by process ");
        assert!(named.took < LIMIT / 10, "{named:?}");
        quick(ann.pk("status")).ok();
        hostage.close_stdin();
        drop(hostage.end());
        ann.pk("reserve").ok();
    }
}

#[test]
fn a_folder_of_ones_own_private_group_is_private() {
    let env = TestEnv::new();
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    let ours = fs::read_to_string("/etc/group").unwrap_or_default();
    let is_private = uid.is_root()
        && gid.as_raw() == 0
        && ours
            .lines()
            .any(|line| line.starts_with("root:") && line.ends_with(":0:"));
    if !is_private {
        skipped("a private group: this user's is not known to be one");
        return;
    }
    let folder = env.path("shared");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o775)).unwrap();
    let path = folder.join("registry.json");
    let named = format!("--registry {}", path.display());
    env.pk(format!("{named} reserve")).ok();
    let status = env.pk(format!("{named} status --format json")).ok().json();
    assert_eq!(status["kind"], "private");
    assert_eq!(mode(&path), 0o600);
    // With somebody else in it, it is not.
    chown(&folder, None, Some(GROUP)).unwrap();
    let refused = env.pk(format!("{named} reserve")).refused(8);
    drop(refused.says("group 62000").says("portkeeper setup --group"));
}
