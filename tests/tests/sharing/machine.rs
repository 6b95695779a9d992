//! A machine-wide registry among users who mean well.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use pk_tests::process::{eventually, signal};
use pk_tests::{Imprint, Ports, Shared, TestEnv, is_free};
use rustix::process::Signal;

use super::{LIMIT, listed, reserve};

#[test]
fn two_users_reserve_two_hundred_each_at_once_and_none_is_had_twice() {
    const EACH: usize = 200;
    const WORKERS: usize = 4;
    let Some(shared) = Shared::machine_wide() else {
        return;
    };
    let users = [shared.user(0), shared.user(1)];
    let granted = Mutex::new(Vec::new());
    let work = |env: &TestEnv| {
        for _ in 0..EACH / WORKERS {
            // Both begin at the same end.
            let answer = env.pk("reserve --format port --range 20000 29999");
            granted.lock().unwrap().push(answer.ok().port());
        }
    };
    thread::scope(|scope| {
        for env in &users {
            (0..WORKERS).for_each(|_| drop(scope.spawn(|| work(env))));
        }
    });
    let granted = granted.into_inner().unwrap();
    let distinct: BTreeSet<_> = granted.iter().copied().collect();
    assert_eq!((granted.len(), distinct.len()), (2 * EACH, 2 * EACH));
    for env in &users {
        assert_eq!(env.reserved(), distinct.iter().copied().collect::<Vec<_>>());
        let of = |uid| {
            env.reservations()
                .iter()
                .filter(|it| it["uid"] == uid)
                .count()
        };
        assert_eq!([of(61_001), of(61_002)], [EACH, EACH]);
    }
}

#[test]
fn status_says_whose_each_is_and_what_kind_of_registry() {
    let Some(shared) = Shared::machine_wide() else {
        return;
    };
    let (ports, ann, bob) = (Ports::claim(2), shared.user(0), shared.user(1));
    let root = shared.superuser();
    reserve(&ann, ports.at(0), "--owner shop").ok();
    reserve(&root, ports.at(1), "").ok();
    let status = bob.pk("status --format json").ok().json();
    assert_eq!(status["kind"], "machine");
    let folder = format!("{}/", shared.folder().display());
    assert_eq!(status["registry"], folder.as_str());
    let entry = listed(&bob, ports.at(0)).unwrap();
    assert_eq!(
        (&entry["uid"], &entry["user"]),
        (&61_001.into(), &().into())
    );
    let entry = listed(&bob, ports.at(1)).unwrap();
    assert_eq!((&entry["uid"], &entry["user"]), (&0.into(), &"root".into()));
    let text = bob.pk("status --format text").ok().stdout;
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], format!("{folder} (shared by all users)"));
    let columns: Vec<_> = lines[1].split_whitespace().collect();
    assert_eq!(columns[4..6], ["OWNER", "USER"]);
    let row = lines.iter().find(|it| it.contains("shop")).unwrap();
    assert_eq!(row.split_whitespace().nth(5), Some("61001"));
    // What status calls it can be named.
    let named = shared.user(0);
    for path in [folder.as_str(), folder.trim_end_matches('/')] {
        let status = named.pk(format!("--registry {path} status --format json"));
        assert_eq!(status.ok().json()["kind"], "machine");
    }
    // Each file is its user's, and can be read by all.
    for (uid, mode) in [(61_001, 0o100_644), (0, 0o100_644)] {
        let found = fs::metadata(shared.path(&format!("{uid}.json"))).unwrap();
        assert_eq!((found.uid(), found.mode()), (uid, mode));
    }
}

#[test]
fn f63_every_umask_leaves_a_file_that_all_can_read() {
    let Some(shared) = Shared::machine_wide() else {
        return;
    };
    let (ports, ann, bob) = (Ports::claim(4), shared.user(0), shared.user(1));
    for (umask, port) in ["000", "002", "077", "0777"].into_iter().zip(ports.all()) {
        let line = format!("portkeeper reserve --preferred {port} --strict --hold");
        ann.sh(&format!("umask {umask}; {line}")).ok();
        let mode = |path| fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!(mode(shared.path("61001.json")), 0o644, "umask {umask}");
        let live = fs::read_dir(shared.path("live")).unwrap();
        for file in live {
            assert_eq!(mode(file.unwrap().path()), 0o644, "umask {umask}");
        }
        assert_eq!(bob.state(port).as_deref(), Some("held"), "umask {umask}");
        fs::remove_file(shared.path("61001.json")).unwrap();
    }
}

#[test]
fn f65_another_users_reservation_is_not_released() {
    let Some(shared) = Shared::machine_wide() else {
        return;
    };
    let (ports, ann, bob) = (Ports::claim(2), shared.user(0), shared.user(1));
    let (leased, held) = (ports.at(0), ports.at(1));
    reserve(&ann, leased, "--owner shop").ok();
    let holder = reserve(&ann, held, "--hold").ok().holder();
    let before = Imprint::of(&shared.path("61001.json"));

    for port in [leased, held] {
        reserve(&bob, port, "").refused(3);
        bob.pk(format!("release {port}")).refused(4).says("61001");
        bob.pk(format!("release {port} --force")).refused(4);
        bob.pk(format!("take {port} -- true"))
            .refused(4)
            .says("61001");
    }
    bob.pk("release --mine").ok();
    bob.pk("release --owner shop").ok();
    for line in ["gc", "gc --unused 1ms", "gc --dry-run --unused 1ms"] {
        let collected = bob.pk(format!("{line} --format json")).ok().json();
        assert_eq!(collected["removed"], serde_json::json!([]), "{line}");
    }
    assert_eq!(Imprint::of(&shared.path("61001.json")), before);
    assert_eq!(bob.state(leased).as_deref(), Some("leased"));
    assert_eq!(bob.state(held).as_deref(), Some("held"));

    // Root may, if it says so, and the file stays its user's.
    let root = shared.superuser();
    root.pk("release --mine").ok();
    root.pk("release --owner shop").ok();
    assert_eq!(ann.reserved(), [leased, held]);
    root.pk(format!("release {leased} {held}")).ok();
    assert_eq!(ann.reserved(), [0_u16; 0]);
    assert_eq!(
        fs::metadata(shared.path("61001.json")).unwrap().uid(),
        61_001
    );
    eventually(LIMIT, "the holder ends", || {
        !pk_tests::process::is_alive(holder)
    });
    assert!(is_free(held));
    reserve(&ann, leased, "").ok();
}

#[test]
fn why_names_the_other_user() {
    let Some(shared) = Shared::machine_wide() else {
        return;
    };
    let (ports, ann, bob) = (Ports::claim(1), shared.user(0), shared.user(1));
    let port = ports.at(0);
    reserve(&ann, port, "--owner shop").ok();
    let why = bob.pk(format!("why {port} --format json")).ok().json();
    assert_eq!(why["reason"], "reserved by shop of uid 61001");
    assert_eq!(why["reservations"][0]["uid"], 61_001);
    let text = bob.pk(format!("why {port} --format text")).ok().stdout;
    assert!(text.contains(" by shop of uid 61001, "), "{text}");
    assert!(!text.contains("portkeeper release"), "{text}");
    let own = ann.pk(format!("why {port} --format json")).ok().json();
    assert_eq!(own["reason"], "reserved by shop");
}

#[test]
fn what_has_ended_is_in_no_other_users_way_and_stays_in_its_users_file() {
    let Some(shared) = Shared::machine_wide() else {
        return;
    };
    let (ports, ann, bob) = (Ports::claim(1), shared.user(0), shared.user(1));
    let port = ports.at(0);
    let holder = reserve(&ann, port, "--hold").ok().holder();
    signal(holder, Signal::KILL);
    eventually(LIMIT, "the holder's end shows", || {
        bob.state(port).as_deref() == Some("stale")
    });
    let before = Imprint::of(&shared.path("61001.json"));
    bob.pk("gc").ok();
    reserve(&bob, port, "").ok();
    assert_eq!(Imprint::of(&shared.path("61001.json")), before);
    let collected = ann.pk("gc --format json").ok().json();
    assert_eq!(collected["removed"][0]["port"], port);
    assert_eq!(listed(&ann, port).unwrap()["uid"], 61_002);
}

#[test]
fn a_port_that_is_waited_for_comes_from_another_user() {
    let Some(shared) = Shared::machine_wide() else {
        return;
    };
    let (ports, ann, bob) = (Ports::claim(1), shared.user(0), shared.user(1));
    let port = ports.at(0);
    reserve(&ann, port, "--hold").ok();
    thread::scope(|scope| {
        let waits = scope.spawn(|| reserve(&bob, port, "--hold --wait 50s"));
        thread::sleep(Duration::from_millis(50));
        ann.pk(format!("release {port}")).ok();
        waits.join().unwrap().ok();
    });
    assert_eq!(listed(&ann, port).unwrap()["uid"], 61_002);
}

#[test]
fn programs_run_and_take_ports_over_there() {
    let Some(shared) = Shared::machine_wide() else {
        return;
    };
    let (ports, ann) = (Ports::claim(2), shared.user(0));
    let run = ann.pk(format!("run {} -- sh -c 'echo'", ports.range()));
    run.ok();
    reserve(&ann, ports.at(0), "--hold").ok();
    let answer = ann.pk(format!("take {} -- printenv PORT", ports.at(0)));
    assert_eq!(answer.ok().stdout, format!("{}\n", ports.at(0)));
    assert_eq!(ann.reserved(), [0_u16; 0]);
    let left = fs::read_dir(shared.path("live")).unwrap().count();
    assert_eq!(left, 0, "liveness files");
}

#[test]
fn a_holder_notices_that_its_entry_has_gone() {
    let Some(shared) = Shared::machine_wide() else {
        return;
    };
    let (ports, ann) = (Ports::claim(1), shared.user(0));
    let holder = reserve(&ann, ports.at(0), "--hold").ok().holder();
    let path = shared.path("61001.json");
    let text = fs::read_to_string(&path).unwrap();
    let key = text.lines().nth(1).unwrap();
    let without = text.replace(key, "}}");
    assert_ne!(text, without);
    let temp = shared.path("61001.json.new");
    fs::write(&temp, without).unwrap();
    std::os::unix::fs::chown(&temp, Some(61_001), None).unwrap();
    fs::rename(temp, path).unwrap();
    eventually(LIMIT, "the holder ends", || {
        !pk_tests::process::is_alive(holder)
    });
    assert!(is_free(ports.at(0)));
}
