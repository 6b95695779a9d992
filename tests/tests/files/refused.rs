//! What is refused, and left as it is: files that can't be understood, places that are no files,
//! folders that can't be trusted.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Duration;

use pk_tests::{Answer, TestEnv};

/// Runs a command that has to fail, and checks that it left `file` as it was, and no backup.
#[track_caller]
fn untouched(env: &TestEnv, args: &[&str], file: &str, code: i32) -> Answer {
    let before = env.imprint(file);
    let answer = env.pk_args(args).refused(code);
    assert_eq!(env.imprint(file), before, "{args:?}");
    assert!(env.backups().is_empty(), "{args:?}");
    assert!(env.leftovers().is_empty(), "{args:?}");
    assert_eq!(answer.stdout, "", "{args:?}");
    answer
}

#[test]
fn env_files_that_readers_read_differently() {
    let check = |content: &[u8], says: &str| {
        let env = TestEnv::new();
        env.write(".env", content);
        for args in [&["env", "set", "A=2"][..], &["env", "unset", "A"]] {
            untouched(&env, args, ".env", 6).says(".env").says(says);
        }
        untouched(&env, &["env", "set", "A=2", "--force"], ".env", 6);
        untouched(&env, &["reserve", "--write-env", "A"], ".env", 6);
        assert_eq!(env.reserved(), [0_u16; 0]);
    };
    check(b"B=1\nA=\"1\n", "2:3");
    check(b"A=1\nB='x\n\n", "2:3");
    check(b"A=x\\\nB=1\n", "line 1");
    check(b"\xff\xfeA\x00=\x001\x00", "UTF-16");
    check(b"\xfe\xff\x00A", "UTF-16");
    check(b"\xff\xfe\x00\x00A\x00\x00\x00", "UTF-32");
}

#[test]
fn f28_keys_and_values_without_a_portable_form() {
    let check = |assignment: &str, says: &str| {
        let env = TestEnv::new();
        env.write(".env", "A=1\n");
        untouched(&env, &["env", "set", assignment], ".env", 2)
            .sane()
            .says(says);
        // One that cannot be done keeps the others from being done.
        untouched(&env, &["env", "set", "A=2", assignment], ".env", 2);
    };
    check("A", "KEY=VALUE");
    check("=1", "name");
    check("1A=1", "1A");
    check("A-B=1", "A-B");
    check("A.B=1", "A.B");
    check("A B=1", "A B");
    check("$(id)=1", "$(id)");
    check("A\nEVIL=1", "EVIL");
    check("É=1", "É");
    check("A=a\rb", "A");
    check("A=\u{1b}[2J", "A");
    check("A=\u{7f}", "A");
    check("A=it's \"so\"", "A");
    check("A=C:\\", "A");
    check("A=a\\\\b", "A");
    check("A=${X}", "python-dotenv");
    check("A=$\n", "A");
    let env = TestEnv::new();
    env.write(".env", "A=1\n");
    untouched(&env, &["env", "unset", "A", "A-B"], ".env", 2);
    untouched(
        &env,
        &["env", "set", "A=2", "--in-place", "--no-in-place"],
        ".env",
        2,
    );
    untouched(&env, &["env", "set"], ".env", 2);
    untouched(&env, &["env", "set", "A=2", "--file"], ".env", 2);
}

#[test]
fn json_files_that_are_no_json() {
    let check = |content: &[u8], says: &str| {
        let env = TestEnv::new();
        env.write("config.json", content);
        untouched(&env, &["json", "set", "/a=2"], "config.json", 6)
            .says("config.json")
            .says(says);
        untouched(
            &env,
            &["json", "set", "/a=2", "--force", "--create"],
            "config.json",
            6,
        );
        untouched(
            &env,
            &["reserve", "--write-json", "config.json#/a"],
            "config.json",
            6,
        );
        assert_eq!(env.reserved(), [0_u16; 0]);
        env.pk("json get /a").refused(6);
    };
    check(b"{\"a\":\"\xff\"}", "1:");
    check(b"{\"a\":1", "1:");
    check(b"{\n\"a\" 1}", "2:");
    check(b"{\"a\":1} x", "1:");
    check(b"{\"a\":1}{}", "1:");
    // What JSON5 allows.
    check(b"{a:1}", "1:2");
    check(b"{'a':1}", "1:2");
    check(b"{\"a\":0x1}", "1:");
    check(b"{\"a\":+1}", "1:");
    check(b"{\"a\":.5}", "1:");
    check(b"{\"a\":1.}", "1:");
    check(b"{\"a\":NaN}", "1:");
    check(b"{\"a\":Infinity}", "1:");
    check(b"{\"a\":1 \"b\":2}", "1:");
    check(b"{\"a\":1,,}", "1:");
    check(b"{\"a\":01}", "1:");
    check(b"{\"a\":\"x\ty\"}", "1:");
    check(b"{\"a\":\"\\x41\"}", "1:");
    check(b"# c\n{\"a\":1}", "1:");
    check(b"\xff\xfe{\x00}\x00", "1:1");
}

#[test]
fn pointers_that_lead_nowhere() {
    let check = |content: &str, assignment: &str, says: &str| {
        let env = TestEnv::new();
        env.write("config.json", content);
        untouched(&env, &["json", "set", assignment], "config.json", 6).says(says);
        let two = ["json", "set", "/fine=1", assignment];
        untouched(&env, &two, "config.json", 6);
    };
    check(r#"{"a":1}"#, "/a/b=2", "/a");
    check(r#"{"a":"x"}"#, "/a/b=2", "/a");
    check(r#"{"a":null}"#, "/a/b=2", "/a");
    check(r#"{"a":true}"#, "/a/0=2", "/a");
    check(r#"{"a":1,"b":0,"a":2}"#, "/a=3", "1:2");
    check(r#"{"a":{"x":1},"a":{}}"#, "/a/x=3", "1:14");
    check("{\"a\":1,\n\"\\u0061\":2}", "/a=3", "2:1");
    check(r#"{"a":[1]}"#, "/a/2=3", "/a");
    check(r#"{"a":[1]}"#, "/a/01=3", "/a");
    check(r#"{"a":[1]}"#, "/a/-1=3", "/a");
    check(r#"{"a":[1]}"#, "/a/x=3", "/a");
    check("{}", "/a/0=3", "/a");
    check("{}", "/a/-=3", "/a");
}

#[test]
fn documents_that_are_too_deep_or_too_large() {
    let env = TestEnv::new();
    env.write("config.json", "[".repeat(600) + &"]".repeat(600));
    untouched(&env, &["json", "set", "/0=1"], "config.json", 6);
    env.write("config.json", "[".repeat(100_000));
    untouched(&env, &["json", "set", "/0=1"], "config.json", 6);
    for name in [".env", "config.json"] {
        File::create(env.path(name))
            .unwrap()
            .set_len(17 << 20)
            .unwrap();
    }
    let commands: [(&str, &[&str]); 6] = [
        (".env", &["env", "set", "A=2"]),
        (".env", &["env", "get", "A"]),
        (".env", &["reserve", "--write-env", "A"]),
        ("config.json", &["json", "set", "/a=2"]),
        ("config.json", &["json", "get", "/a"]),
        (
            "config.json",
            &["reserve", "--write-json", "config.json#/a"],
        ),
    ];
    for (file, args) in commands {
        untouched(&env, args, file, 6).says("16777216");
    }
    assert_eq!(env.reserved(), [0_u16; 0]);
}

#[test]
fn f34_what_is_no_file_is_refused_at_once() {
    let check = |put: &dyn Fn(PathBuf)| {
        let env = TestEnv::new();
        put(env.path("it"));
        let before = env.everything();
        for line in [
            "env set A=2 --file it",
            "env set A=2 --file it --create --force",
            "env set A=2 --file it --in-place",
            "env unset A --file it",
            "env get A --file it",
            "json set /a=2 --file it",
            "json get /a --file it",
            "reserve --write-env A --env-path it",
            "reserve --write-json it#/a --hold",
        ] {
            let answer = env.pk(line).refused(8);
            assert!(answer.took < Duration::from_secs(2), "{answer:?}");
            assert!(
                env.backups().is_empty() && env.leftovers().is_empty(),
                "{line}"
            );
        }
        assert_eq!(env.reserved(), [0_u16; 0]);
        let after = env.everything();
        let found = |path: &PathBuf| after.iter().find(|(after, _)| after == path);
        for (path, imprint) in &before {
            if path.starts_with(env.path("")) {
                assert_eq!(found(path).map(|(_, imprint)| imprint), Some(imprint));
            }
        }
    };
    check(&|path| fs::create_dir(path).unwrap());
    check(&|path| {
        let mode = rustix::fs::Mode::from_raw_mode(0o644);
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    });
    check(&|path| drop(UnixListener::bind(path).unwrap()));
    check(&|path| symlink("/dev/null", path).unwrap());
    check(&|path| symlink("/dev/zero", path).unwrap());
    check(&|path| symlink("it", path).unwrap());
    check(&|path| symlink("missing", path).unwrap());
    check(&|path| symlink(".", path).unwrap());
}

/// Whoever can change where a link leads could make us write elsewhere.
#[test]
fn f31_links_in_folders_that_others_can_change() {
    let check = |mode: u32, code: i32| {
        let env = TestEnv::new();
        env.write("real", "A=1\n");
        fs::create_dir(env.path("open")).unwrap();
        symlink("../real", env.path("open/.env")).unwrap();
        fs::set_permissions(env.path("open"), Permissions::from_mode(mode)).unwrap();
        let line = "env set A=2 --file open/.env";
        match code {
            0 => assert_eq!(env.pk(line).ok().json()["files"][0]["changed"], true),
            code => drop(untouched(
                &env,
                &["env", "set", "A=2", "--file", "open/.env"],
                "real",
                code,
            )),
        }
    };
    check(0o755, 0);
    check(0o1777, 0);
    check(0o777, 8);
}

#[test]
fn folders_that_are_missing() {
    let env = TestEnv::new();
    for line in [
        "env set A=1 --file missing/.env",
        "env set A=1 --file missing/.env --create",
        "env unset A --file missing/.env",
        "env get A --file missing/.env",
        "json set /a=1 --file missing/a.json --create",
        "json get /a --file missing/a.json",
        "backup restore missing/.env",
    ] {
        env.pk(line).refused(7).says("missing");
    }
    for line in ["env get A", "json get /a", "env unset A"] {
        // There is no option that would make it.
        let answer = env.pk(line).refused(7);
        assert!(!answer.stderr.contains("--create"), "{answer:?}");
    }
    assert_eq!(fs::read_dir(env.path("")).unwrap().count(), 0);
}

/// Without a place for its backup a file is not changed.
#[test]
fn f36_a_state_folder_that_cannot_be_used() {
    let check = |set: &dyn Fn(&TestEnv) -> PathBuf| {
        let env = TestEnv::new();
        env.write(".env", "A=1\n");
        let (folder, before) = (set(&env), env.imprint(".env"));
        for line in ["env set A=2", "reserve --write-env A"] {
            let mut command = env.portkeeper(line);
            command.env("PORTKEEPER_STATE_DIR", &folder);
            env.run(command).refused(8).says("PORTKEEPER_STATE_DIR");
            assert_eq!(env.imprint(".env"), before, "{line}");
            assert!(env.leftovers().is_empty(), "{line}");
        }
        assert_eq!(env.reserved(), [0_u16; 0]);
    };
    check(&|env| {
        env.write("file", "");
        env.path("file/state")
    });
    check(&|env| {
        env.write("file", "");
        env.path("file")
    });
    check(&|env| {
        fs::create_dir(env.path("open")).unwrap();
        fs::set_permissions(env.path("open"), Permissions::from_mode(0o777)).unwrap();
        env.path("open")
    });
    check(&|env| {
        fs::create_dir(env.path("state")).unwrap();
        fs::set_permissions(env.path("state"), Permissions::from_mode(0o700)).unwrap();
        env.write("state/backups", "");
        env.path("state")
    });
}
