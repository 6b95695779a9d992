//! Registries that are not what a registry should be.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use pk_tests::{Answer, Ports, TestEnv};
use rustix::fs::{CWD, FileType, Mode, mknodat};

/// What can be seen of a file without opening it.
fn look(path: &Path) -> (u64, u32, u64, i64, i64) {
    let meta = fs::symlink_metadata(path).unwrap();
    (
        meta.ino(),
        meta.mode(),
        meta.len(),
        meta.mtime(),
        meta.mtime_nsec(),
    )
}

/// A world whose state folder is there, with the right mode.
fn prepared() -> TestEnv {
    let env = TestEnv::new();
    fs::create_dir_all(env.state_folder()).unwrap();
    fs::set_permissions(env.state_folder(), Permissions::from_mode(0o700)).unwrap();
    env
}

#[track_caller]
fn quick(answer: Answer) -> Answer {
    assert!(answer.took < Duration::from_secs(1), "{answer:?}");
    answer.sane()
}

#[test]
fn f34_what_is_not_ours_to_change_stays_as_it_is() {
    let check = |what: &str, make: &dyn Fn(&Path), write: i32, read: i32| {
        let (env, ports) = (prepared(), Ports::claim(1));
        make(&env.registry());
        let before = look(&env.registry());
        for line in [
            "reserve",
            "reserve --hold",
            "release 1",
            "release --mine",
            "gc",
        ] {
            let answer = quick(env.pk(line)).refused(write);
            assert_eq!(answer.stdout, "", "{what}: {line}");
            assert_eq!(look(&env.registry()), before, "{what}: {line}");
        }
        let status = quick(env.pk("status"));
        assert_eq!(status.code, Some(read), "{what}: {status:?}");
        assert_eq!(look(&env.registry()), before, "{what}: status");
        assert!(pk_tests::is_free(ports.at(0)));
    };
    let text = |text: &'static str| move |path: &Path| fs::write(path, text).unwrap();
    check("a directory", &|path| fs::create_dir(path).unwrap(), 8, 8);
    check(
        "a FIFO",
        &|path| mknodat(CWD, path, FileType::Fifo, Mode::RUSR, 0).unwrap(),
        8,
        8,
    );
    check(
        "a socket",
        &|path| drop(UnixListener::bind(path).unwrap()),
        8,
        8,
    );
    check(
        "a symlink to nothing",
        &|path| symlink("nothing.json", path).unwrap(),
        8,
        8,
    );
    check(
        "a symlink to a device",
        &|path| symlink("/dev/zero", path).unwrap(),
        8,
        8,
    );
    check(
        "3 GB of nothing",
        &|path| File::create(path).unwrap().set_len(3 << 30).unwrap(),
        6,
        6,
    );
    check(
        "version 99",
        &text(r#"{"schema":"portkeeper/registry","version":99,"min_reader":99,"entries":{}}"#),
        9,
        9,
    );
    check(
        "version 99, readable",
        &text(r#"{"schema":"portkeeper/registry","version":99,"min_reader":1,"entries":{}}"#),
        9,
        0,
    );
    check(
        "another schema",
        &text(r#"{"schema":"other/thing","version":1,"entries":{}}"#),
        9,
        9,
    );
    check(
        "another version, otherwise broken",
        &text(r#"{"schema":"portkeeper/registry","version":99,"min_reader":99,"entries":7}"#),
        9,
        9,
    );
}

#[test]
fn f21_too_many_entries_are_refused() {
    let env = prepared();
    let entry = |n: u32| format!("\"tcp/127.0.{}.{}:1@1\":{{}}", n / 256 % 256, n);
    let entries: Vec<_> = (0..70_001).map(entry).collect();
    let head = r#"{"schema":"portkeeper/registry","version":1,"min_reader":1,"entries":{"#;
    fs::write(env.registry(), format!("{head}{}}}}}", entries.join(","))).unwrap();
    let before = look(&env.registry());
    env.pk("reserve").refused(6);
    env.pk("status").refused(6);
    assert_eq!(look(&env.registry()), before);
}

#[test]
fn f19_what_cannot_be_read_is_put_aside() {
    let deep = format!(
        "{{\"schema\":\"portkeeper/registry\",\"version\":1,\"x\":{}",
        "[".repeat(100_000)
    );
    let contents: [&[u8]; 20] = [
        b" ",
        b"\xef\xbb\xbf{\"schema\":\"portkeeper/registry\",\"version\":1,\"entries\":{}}",
        b"{\"schema\":\"portkeeper/registry\",\"version\":1,\"entries\":{\"a\":{}",
        b"{'schema':'portkeeper/registry','version':1,'entries':{}}",
        b"garbage",
        b"{",
        b"{\"schema\":\"portkeeper/registry\",\"version\":1,\"min_rea",
        b"[]",
        b"null",
        b"7",
        b"{}",
        b"{} {}",
        b"\0\0\0\0\0\0\0\0",
        b"{\"schema\":\"portkeeper/registry\",\"version\":1}",
        b"{\"schema\":\"portkeeper/registry\",\"version\":1,\"entries\":[]}",
        b"{\"schema\":\"portkeeper/registry\",\"version\":1,\"entries\":null}",
        b"{\"schema\":\"portkeeper/registry\",\"version\":1,\"entries\":{},\"entries\":{}}",
        b"{\"schema\":\"portkeeper/registry\",\"version\":1,\"entries\":{}} \xff",
        b"<<<<<<< HEAD\n{\"schema\":\"portkeeper/registry\"}\n=======\n>>>>>>> main\n",
        deep.as_bytes(),
    ];
    for content in contents {
        let (env, ports) = (prepared(), Ports::claim(2));
        let shown = String::from_utf8_lossy(&content[..content.len().min(80)]).into_owned();
        fs::write(env.registry(), content).unwrap();
        let before = look(&env.registry());
        let status = quick(env.pk("status")).ok().says("warning: ");
        assert_eq!(
            status.json()["reservations"].as_array().map(Vec::len),
            Some(0),
            "{shown}"
        );
        assert_eq!(
            look(&env.registry()),
            before,
            "reading writes nothing: {shown}"
        );

        let answer = quick(env.pk(format!("reserve {}", ports.range()))).ok();
        let warnings = answer
            .stderr
            .lines()
            .filter(|line| line.starts_with("warning: "));
        assert_eq!(warnings.count(), 1, "{shown}: {answer:?}");
        assert_eq!(kept(&env), [content.to_vec()], "{shown}");
        let answer = env.pk(format!("reserve {}", ports.range())).ok();
        assert_eq!(answer.stderr, "", "said once: {shown}");
        assert_eq!(env.reserved(), ports.all().collect::<Vec<_>>(), "{shown}");
    }
}

/// The bytes of the registries that were put aside.
fn kept(env: &TestEnv) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(env.state_folder())
        .unwrap()
        .map(Result::unwrap);
    let aside = entries.filter(|entry| {
        entry
            .file_name()
            .to_string_lossy()
            .starts_with("registry.json.corrupt-")
    });
    aside.map(|entry| fs::read(entry.path()).unwrap()).collect()
}

#[test]
fn five_broken_registries_are_kept() {
    let (env, ports) = (prepared(), Ports::claim(8));
    for index in 0..8 {
        fs::write(env.registry(), format!("garbage {index}")).unwrap();
        env.pk(format!("reserve --preferred {}", ports.at(index)))
            .ok();
    }
    assert!(kept(&env).len() <= 5, "{:?}", kept(&env));
    assert!(
        kept(&env).contains(&b"garbage 7".to_vec()),
        "the last one is among them"
    );
}

#[test]
fn f20_an_empty_file_is_a_fresh_registry() {
    let (env, ports) = (prepared(), Ports::claim(1));
    fs::write(env.registry(), "").unwrap();
    env.pk("status").ok();
    env.pk(format!("reserve {}", ports.range()))
        .ok()
        .says("warning: ");
    assert_eq!(kept(&env).len(), 0, "there is nothing to keep");
    assert_eq!(env.reserved(), ports.all().collect::<Vec<_>>());
}

#[test]
fn f26_one_damaged_entry_harms_no_other() {
    let (env, ports) = (prepared(), Ports::claim(3));
    env.pk(format!("reserve --preferred {}", ports.at(0))).ok();
    let damaged = [
        (
            "\"tcp/x\"",
            format!("{{\"port\":{},\"host\":7}}", ports.at(1)),
        ),
        ("\"tcp/y\"", "{\"port\":99999}".to_owned()),
        (
            "\"tcp/z\"",
            "{\"port\":8080.5,\"note\":12345678901234567890123}".to_owned(),
        ),
        ("\"tcp/w\"", "\"x\"".to_owned()),
        ("\"tcp/v\"", "{\"port\":-1}".to_owned()),
        ("\"tcp/u\"", "{\"port\":\"8080\"}".to_owned()),
        // Of two fields a careless reader would take the last.
        ("\"tcp/t\"", "{\"port\":1,\"port\":2}".to_owned()),
        ("\"tcp/s\"", "{\"n\":1}".to_owned()),
        ("\"tcp/s\"", "{\"n\":2}".to_owned()),
        ("\"tcp/127.0.0.1:1@1\"", "{\"uid\":0,\"uid\":1}".to_owned()),
    ];
    let added: String = damaged
        .iter()
        .map(|(key, entry)| format!("{key}:{entry},"))
        .collect();
    let registry = fs::read_to_string(env.registry()).unwrap();
    let head = registry.find("\"entries\":{").unwrap() + "\"entries\":{".len();
    let (head, tail) = registry.split_at(head);
    fs::write(env.registry(), format!("{head}{added}{tail}")).unwrap();

    let states: Vec<_> = env
        .reservations()
        .into_iter()
        .map(|entry| entry["state"].clone())
        .collect();
    assert_eq!(
        states.iter().filter(|state| *state == "damaged").count(),
        damaged.len(),
        "{states:?}"
    );
    assert_eq!(
        states.iter().filter(|state| *state == "leased").count(),
        1,
        "{states:?}"
    );
    env.pk("gc").ok();
    env.pk(format!("reserve --strict --preferred {}", ports.at(1)))
        .refused(3);
    env.pk(format!("reserve --strict --preferred {}", ports.at(2)))
        .ok();
    env.pk(format!("release {}", ports.at(0))).ok();
    let registry = fs::read_to_string(env.registry()).unwrap();
    for (key, entry) in damaged {
        assert!(
            registry.contains(&format!("{key}:{entry}")),
            "no {key} in {registry}"
        );
    }
}

#[test]
fn f24_unknown_fields_stay_to_the_byte() {
    let (env, ports) = (prepared(), Ports::claim(2));
    env.pk(format!("reserve --preferred {}", ports.at(0))).ok();
    let registry = fs::read_to_string(env.registry()).unwrap();
    let unknown = "\"x-new\":{\"n\":12345678901234567890123,\"f\":0.1000}";
    let more = registry
        .replacen('{', &format!("{{{unknown},"), 1)
        .replacen("\"port\":", &format!("{unknown},\"port\":"), 1);
    assert_eq!(more.matches(unknown).count(), 2, "{more}");
    fs::write(env.registry(), more).unwrap();
    env.pk(format!("reserve --preferred {}", ports.at(1))).ok();
    env.pk("gc").ok();
    env.pk(format!("release {}", ports.at(1))).ok();
    let registry = fs::read_to_string(env.registry()).unwrap();
    assert_eq!(registry.matches(unknown).count(), 2, "{registry}");
}

/// What a hostile writer puts in is printed as what it is, never obeyed by the terminal.
#[test]
fn f27_an_owner_with_escapes_is_printed_escaped() {
    let (env, ports) = (prepared(), Ports::claim(1));
    env.pk(format!("reserve {} --owner HOSTILE", ports.range()))
        .ok();
    let registry = fs::read_to_string(env.registry()).unwrap();
    let hostile = registry.replace("HOSTILE", "\\u001b]0;x\\u0007\u{9b}31m\u{202e}\\n");
    assert_ne!(registry, hostile);
    fs::write(env.registry(), hostile).unwrap();
    for line in ["status", "status --format text", "release --mine"] {
        let answer = env.pk(line).sane();
        let text = format!("{}{}", answer.stdout, answer.stderr);
        assert!(!text.contains(['\u{202e}', '\u{9b}']), "{answer:?}");
    }
}

#[test]
fn folders_that_others_can_write_are_refused() {
    let check = |mode: u32, code: i32| {
        let env = prepared();
        fs::set_permissions(env.state_folder(), Permissions::from_mode(mode)).unwrap();
        let answer = env.pk("reserve");
        if code == 0 {
            answer.ok();
        } else {
            answer.refused(code);
            assert_eq!(
                fs::read_dir(env.state_folder()).unwrap().count(),
                0,
                "{mode:o}"
            );
        }
    };
    check(0o700, 0);
    check(0o755, 0);
    check(0o777, 8);
    check(0o1777, 8);
}

#[test]
fn modes_are_private_whatever_the_umask() {
    for umask in ["000", "077", "0777"] {
        let (env, ports) = (TestEnv::new(), Ports::claim(1));
        let made = env.sh(&format!(
            "umask {umask}; portkeeper reserve {}",
            ports.range()
        ));
        made.ok();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!(mode(&env.registry()), 0o600, "umask {umask}");
        assert_eq!(
            mode(&env.registry().with_extension("json.lock")),
            0o600,
            "umask {umask}"
        );
        assert_eq!(mode(&env.state_folder()), 0o700, "umask {umask}");
    }
}

#[test]
fn f61_planted_locks_are_not_followed() {
    let check = |what: &str, plant: &dyn Fn(&Path, &Path)| {
        let env = prepared();
        let precious = env.path("precious");
        fs::write(&precious, "precious").unwrap();
        plant(&precious, &env.registry().with_extension("json.lock"));
        quick(env.pk("reserve")).refused(8);
        assert_eq!(fs::read_to_string(&precious).unwrap(), "precious", "{what}");
        assert!(!env.registry().exists(), "{what}");
    };
    check("a symlink", &|precious, lock| {
        symlink(precious, lock).unwrap();
    });
    check("a hard link", &|precious, lock| {
        fs::hard_link(precious, lock).unwrap();
    });
    check("a FIFO", &|_, lock| {
        mknodat(CWD, lock, FileType::Fifo, Mode::RUSR, 0).unwrap();
    });
    check("a directory", &|_, lock| fs::create_dir(lock).unwrap());
}

#[test]
fn no_permission_is_exit_8() {
    let Some(env) = TestEnv::plain_user() else {
        return;
    };
    let root_only = env.root().join("closed");
    fs::create_dir(&root_only).unwrap();
    fs::set_permissions(&root_only, Permissions::from_mode(0o755)).unwrap();
    let option = format!("--registry {}/registry.json", root_only.display());
    env.pk(format!("{option} reserve")).refused(8);
    assert_eq!(
        env.pk(format!("{option} status")).ok().json()["reservations"],
        serde_json::json!([])
    );
}
