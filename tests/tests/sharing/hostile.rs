//! What a user can put into the folder of a machine-wide registry, and that it changes nothing for
//! the others.

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use pk_tests::{Imprint, Ports, Shared, TestEnv};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::{listed, quick, reserve};

/// Writes a file into the folder as one of this user's. Where regular files are protected
/// (`fs.protected_regular`), not even root writes to one that is there.
fn plant(shared: &Shared, name: &str, uid: u32, content: impl AsRef<[u8]>) {
    let path = shared.path(name);
    let _ = fs::remove_file(&path);
    fs::write(&path, content).unwrap();
    chown(path, Some(uid), None).unwrap();
}

/// What the file of the first user would say if it had reserved `port`.
fn shard_of_first(shared: &Shared, port: u16) -> String {
    let ann = shared.user(0);
    reserve(&ann, port, "").ok();
    let text = fs::read_to_string(shared.path("61001.json")).unwrap();
    ann.pk("release --mine").ok();
    text
}

#[test]
fn a08_a_forged_shard_is_ignored() {
    let Some(shared) = Shared::machine_wide() else {
        return;
    };
    let (ports, ann, bob) = (Ports::claim(3), shared.user(0), shared.user(1));
    let forged = shard_of_first(&shared, ports.at(0));
    fs::remove_file(shared.path("61001.json")).unwrap();
    // Under the very name that the first user would take, and in the forger's own.
    plant(&shared, "61001.json", 61_002, &forged);
    plant(&shared, "61001-forged.json", 61_002, &forged);
    plant(&shared, "61002.json", 61_002, &forged);
    let squatted = Imprint::of(&shared.path("61001.json"));
    assert_eq!(bob.reserved(), [0_u16; 0]);
    let root = shared.superuser();
    reserve(&root, ports.at(0), "").ok();
    // The owner of the name writes under another, which all others find.
    reserve(&ann, ports.at(1), "").ok();
    reserve(&ann, ports.at(2), "").ok();
    assert_eq!(Imprint::of(&shared.path("61001.json")), squatted);
    for env in [&ann, &bob, &root] {
        let uid = |at| listed(env, ports.at(at)).unwrap()["uid"].clone();
        assert_eq!([uid(0), uid(1), uid(2)], [0, 61_001, 61_001]);
    }
    reserve(&bob, ports.at(1), "").refused(3);
    ann.pk(format!("release {} {}", ports.at(1), ports.at(2)))
        .ok();
    reserve(&bob, ports.at(1), "").ok();
}

/// With `fs.protected_hardlinks=0` anybody can make such links; here root makes them.
#[test]
fn a08_a_hard_link_of_an_old_shard_is_ignored_and_hides_nothing() {
    let Some(shared) = Shared::machine_wide() else {
        return;
    };
    let (ports, ann, bob) = (Ports::claim(2), shared.user(0), shared.user(1));
    reserve(&ann, ports.at(0), "").ok();
    for name in ["61001-0.json", "61001-z.json"] {
        fs::hard_link(shared.path("61001.json"), shared.path(name)).unwrap();
    }
    // The current one has several names now, and still counts, once.
    assert_eq!(bob.reserved(), [ports.at(0)]);
    reserve(&bob, ports.at(0), "").refused(3);
    ann.pk(format!("release {}", ports.at(0))).ok();
    reserve(&ann, ports.at(1), "").ok();
    // Now it is an old one that has those names.
    assert_eq!(bob.reserved(), [ports.at(1)]);
    reserve(&bob, ports.at(0), "").ok();
    reserve(&bob, ports.at(1), "").refused(3);
    assert_eq!(ann.reserved(), bob.reserved());
}

#[test]
fn f61_whatever_stands_at_a_users_name_is_not_followed_and_stops_nobody() {
    let Some(shared) = Shared::machine_wide() else {
        return;
    };
    let ports = Ports::claim(2);
    let [ann, bob] = [shared.user(0), shared.user(1)];
    let precious = ann.path("precious");
    fs::write(&precious, "precious").unwrap();
    chown(&precious, Some(61_001), None).unwrap();
    let check = |what: &str, make: &dyn Fn(&Path)| {
        // Also for a user who never comes.
        let names = ["61001.json", "61003.json", "61001.json.tmp-1-0", "0-x.json"];
        let names = names.map(|name| shared.path(name));
        for path in &names {
            make(path);
            rustix::fs::chownat(
                CWD,
                path,
                Some(rustix::fs::Uid::from_raw(61_002)),
                None,
                rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
            )
            .unwrap();
        }
        let planted = names.each_ref().map(|path| Imprint::of(path));
        let kept = Imprint::of(&precious);
        quick(reserve(&ann, ports.at(0), "")).ok();
        quick(reserve(&ann, ports.at(1), "--hold")).ok();
        assert_eq!(bob.reserved(), [ports.at(0), ports.at(1)], "{what}");
        quick(ann.pk("gc")).ok();
        quick(ann.pk("release --mine")).ok();
        assert_eq!(bob.reserved(), [0_u16; 0], "{what}");
        assert_eq!(Imprint::of(&precious), kept, "{what}");
        assert_eq!(
            names.each_ref().map(|path| Imprint::of(path)),
            planted,
            "{what}"
        );
        for path in &names {
            match path.symlink_metadata().unwrap().is_dir() {
                true => fs::remove_dir(path).unwrap(),
                false => fs::remove_file(path).unwrap(),
            }
        }
    };
    check("a symlink", &|path| symlink(&precious, path).unwrap());
    check("a dangling symlink", &|path| {
        symlink("/nowhere", path).unwrap();
    });
    check("a device", &|path| symlink("/dev/zero", path).unwrap());
    check("a FIFO", &|path| {
        mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    });
    check("a directory", &|path| fs::create_dir(path).unwrap());
    check("a socket", &|path| drop(UnixListener::bind(path).unwrap()));
    check("a hard link", &|path| {
        let other = shared.path("other");
        plant(&shared, "other", 61_002, "x");
        fs::hard_link(&other, path).unwrap();
    });
}

#[test]
fn f19_a_broken_shard_of_another_user_stops_nobody() {
    let Some(shared) = Shared::machine_wide() else {
        return;
    };
    let (ports, ann, bob) = (Ports::claim(1), shared.user(0), shared.user(1));
    let check = |what: &str, content: &[u8], expect: &str| {
        plant(&shared, "61002.json", 61_002, content);
        let before = Imprint::of(&shared.path("61002.json"));
        let warned = |answer: pk_tests::Answer| {
            let answer = answer.ok().sane();
            match expect {
                "" => assert_eq!(answer.stderr, "", "{what}"),
                _ => {
                    let told = answer.says("61002.json of another user is ignored");
                    drop(told.says(expect));
                }
            }
        };
        warned(ann.pk("status"));
        warned(reserve(&ann, ports.at(0), ""));
        warned(ann.pk("gc"));
        warned(ann.pk("release --mine"));
        assert_eq!(Imprint::of(&shared.path("61002.json")), before, "{what}");
    };
    check("nothing in it", b"", "");
    check("torn", b"{\"version\":1,\"entr", "line 1 column");
    check("NULs", &[0; 4096], "line 1 column");
    check("deep", "[".repeat(100_000).as_bytes(), "line 1 column");
    let newer =
        b"{\"schema\":\"portkeeper/registry\",\"version\":2,\"min_reader\":2,\"entries\":{}}";
    check("newer", newer, "newer version");
    check(
        "another's",
        b"{\"schema\":\"other\",\"entries\":{}}",
        "another program",
    );
    check("large", &vec![b' '; (1 << 20) + 1], "too large");
    // One's own is mended as in any registry, and its bytes are kept.
    plant(&shared, "61002.json", 61_002, "torn");
    reserve(&bob, ports.at(0), "")
        .ok()
        .says("the old bytes are in");
    let kept = fs::read_dir(shared.folder()).unwrap();
    let kept = kept.filter(|it| {
        let name = it.as_ref().unwrap().file_name();
        name.to_str().unwrap().starts_with("61002.json.corrupt-")
    });
    assert_eq!(kept.count(), 1);
    assert_eq!(ann.reserved(), [ports.at(0)]);
}

#[test]
fn a_newer_shard_that_allows_to_be_read_counts() {
    let Some(shared) = Shared::machine_wide() else {
        return;
    };
    let (ports, ann, bob) = (Ports::claim(1), shared.user(0), shared.user(1));
    reserve(&bob, ports.at(0), "").ok();
    let path = shared.path("61002.json");
    let newer = fs::read_to_string(&path)
        .unwrap()
        .replace("\"version\":1", "\"version\":2");
    plant(&shared, "61002.json", 61_002, newer);
    reserve(&ann, ports.at(0), "").refused(3);
    bob.pk("release --mine").refused(9);
    assert_eq!(ann.reserved(), [ports.at(0)]);
    let root = shared.superuser();
    let before = Imprint::of(&path);
    let _ = root.pk(format!("release {}", ports.at(0)));
    assert_eq!(
        Imprint::of(&path),
        before,
        "nor does root write what is newer"
    );
}

#[test]
fn liveness_is_believed_of_its_owner_alone() {
    let Some(shared) = Shared::machine_wide() else {
        return;
    };
    let (ports, ann, bob) = (Ports::claim(1), shared.user(0), shared.user(1));
    let port = ports.at(0);
    let grant = reserve(&ann, port, "--hold").ok();
    let id = grant.json()["id"].as_str().unwrap().to_owned();
    pk_tests::process::signal(grant.holder(), rustix::process::Signal::KILL);
    let live = shared.path("live").join(&id);
    let check = |what: &str, make: &dyn Fn(&Path)| {
        let _ = fs::remove_file(&live);
        make(&live);
        assert_eq!(bob.state(port).as_deref(), Some("stale"), "{what}");
        fs::remove_file(&live).unwrap();
    };
    pk_tests::process::eventually(super::LIMIT, "the holder's end shows", || {
        bob.state(port).as_deref() == Some("stale")
    });
    check("another's, locked", &|path| {
        let file = fs::File::create(path).unwrap();
        chown(path, Some(61_002), None).unwrap();
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
        assert_eq!(bob.state(port).as_deref(), Some("stale"));
    });
    check("a symlink", &|path| symlink("/etc/passwd", path).unwrap());
    check("a FIFO", &|path| {
        mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    });
}

/// An entry that names a process and a socket of root's, to be ended and removed when root tidies up.
#[test]
fn a19_root_ends_no_process_and_removes_no_socket_that_a_user_names() {
    let Some(shared) = Shared::machine_wide() else {
        return;
    };
    let (ports, bob, root) = (Ports::claim(1), shared.user(1), shared.superuser());
    let port = ports.at(0);
    let mut victim = root.bystander();
    let folder = root.path("run");
    fs::create_dir(&folder).unwrap();
    let socket = folder.join("daemon.sock");
    let daemon = UnixListener::bind(&socket).unwrap();
    // Its own id, so that the name of the socket is the right one.
    reserve(&bob, port, "").ok();
    let path = shared.path("61002.json");
    let text = fs::read_to_string(&path).unwrap();
    let id = text
        .split("\"id\":\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let process = process_of(&root, victim.id());
    let forged = text
        .replace(id, "daemon")
        .replace("\"leased\"", "\"held\"")
        .replace(
            "\"netns\"",
            &format!(
                "\"process\":{process},\"control\":\"{}\",\"netns\"",
                socket.display()
            ),
        );
    assert_ne!(text, forged);
    let live = shared.path("live/daemon");
    let keep = |forged: &str| {
        plant(&shared, "61002.json", 61_002, forged);
        plant(&shared, "live/daemon", 61_002, "");
        fs::File::open(&live).unwrap()
    };
    let file = keep(&forged);
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
    assert_eq!(bob.state(port).as_deref(), Some("held"));
    for line in ["release", "release --force"] {
        root.pk(format!("{line} {port}")).refused(7);
    }
    assert!(victim.try_wait().unwrap().is_none(), "it was ended");
    drop(file);
    // As one that has ended, with a process that is gone.
    let gone = forged.replace(&format!("\"pid\":{}", victim.id()), "\"pid\":4194303");
    drop(keep(&gone));
    root.pk("gc").ok();
    reserve(&root, port, "").ok();
    assert!(socket.exists(), "a socket of root's was removed");
    drop(daemon);
    victim.kill().unwrap();
    victim.wait().unwrap();
}

/// A process as an entry describes it, taken from one that is tied to it.
fn process_of(env: &TestEnv, pid: u32) -> String {
    let ports = Ports::claim(1);
    let registry = env.path("own.json");
    let named = format!("--registry {}", registry.display());
    env.pk(format!("{named} reserve {} --pid {pid}", ports.range()))
        .ok();
    let text = fs::read_to_string(&registry).unwrap();
    let until = text.split("\"until\":").nth(1).expect("it is tied to it");
    until[..=until.find('}').unwrap()].to_owned()
}
