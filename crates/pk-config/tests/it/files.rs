//! One file and several, with everything that makes them their owner's.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};

use pk_config::dotenv::Warning;
use pk_config::{
    Create, Error, ErrorKind, Guards, InPlace, Keep, Rewrite, Strategy, Transaction, edit,
};

use crate::home::{Home, at, is_root};

#[test]
fn a_change_keeps_what_is_the_owners() {
    let home = Home::new();
    home.write("real", "# mine\r\nexport PORT='1' # c\r\n");
    home.chmod("real", 0o600);
    symlink("real", home.path("one")).unwrap();
    symlink(home.path("one"), home.path(".env")).unwrap();
    if is_root("the owner's part") {
        chown(home.path("real"), Some(12), Some(34)).unwrap();
    }
    let owner = (home.meta("real").uid(), home.meta("real").gid());
    let written = Rewrite::env(home.path(".env"))
        .set("PORT", "2")
        .commit(&home.state, at(0))
        .unwrap();
    assert_eq!(home.read("real"), "# mine\r\nexport PORT='2' # c\r\n");
    assert_eq!(home.meta("real").mode() & 0o7777, 0o600);
    assert_eq!((home.meta("real").uid(), home.meta("real").gid()), owner);
    assert_eq!(
        (written.path, written.real_path),
        (home.path(".env"), home.path("real"))
    );
    assert_eq!(
        (written.keys, written.strategy),
        (vec!["PORT".to_owned()], Strategy::Rename)
    );
    assert_eq!(written.warnings, [Warning::CarriageReturns]);
    assert_eq!(
        fs::read_to_string(written.backup.unwrap()).unwrap(),
        "# mine\r\nexport PORT='1' # c\r\n"
    );
    assert!(home.path(".env").is_symlink() && home.path("one").is_symlink());
    assert_eq!(home.names(), [".env", "one", "real"]);
}

#[test]
fn what_is_as_asked_is_not_touched() {
    let home = Home::new();
    home.write(".env", "A='1'\nA = 1 # c\n");
    home.write("config.json", "{\"a\": {\"b\": 1}, }");
    let before = (home.trace(".env"), home.trace("config.json"));
    let written = Transaction::new(&home.state)
        .add(Rewrite::env(home.path(".env")).set("A", "1").unset("B"))
        .add(
            Rewrite::json(home.path("config.json"))
                .set("/a/b", 1)
                .set_port("/a/b", 1),
        )
        .commit(at(0))
        .unwrap();
    assert!(
        written
            .iter()
            .all(|written| !written.changed && written.backup.is_none())
    );
    assert_eq!(written[0].duplicates, 1);
    assert_eq!((home.trace(".env"), home.trace("config.json")), before);
    assert_eq!(home.backups(), [""; 0]);
}

/// Whatever is wrong with one file, none is touched.
#[test]
fn what_is_refused_is_untouched() {
    type Change = fn(Transaction<'_>, std::path::PathBuf) -> Transaction<'_>;
    let env: Change = |change, path| change.add(Rewrite::env(path).set("A", "2"));
    let json: Change = |change, path| change.add(Rewrite::json(path).set("/a/b", 2));
    let check = |text: &[u8], change: Change, expect: ErrorKind| {
        let home = Home::new();
        home.write("first.env", "A=1\n");
        let path = home.write("file", text);
        let before = (home.trace("first.env"), home.trace("file"));
        let transaction = env(Transaction::new(&home.state), home.path("first.env"));
        let error = change(transaction, path.clone()).commit(at(0)).unwrap_err();
        assert_eq!(error.kind(), expect, "{error}");
        assert!(
            error.to_string().contains(path.to_str().unwrap()),
            "{error}"
        );
        assert_eq!(
            (home.trace("first.env"), home.trace("file")),
            before,
            "{error}"
        );
        assert_eq!(fs::read(path).unwrap(), text);
        assert_eq!((home.names().len(), home.backups().len()), (2, 0));
    };
    let key: Change = |change, path| change.add(Rewrite::env(path).set("A=B", "2"));
    let nul: Change = |change, path| change.add(Rewrite::env(path).set("A", "\0"));
    let split: Change = |change, path| change.add(Rewrite::env(path).set("A", "it's \"2\""));
    let danger: Change = |change, path| change.add(Rewrite::env(path).set("LD_PRELOAD", "x"));
    let pointer: Change = |change, path| change.add(Rewrite::json(path).set("a", 2));
    let large = vec![b'#'; 17 << 20];
    check(b"B=\"x\n", env, ErrorKind::Document);
    check(b"A=C:\\\n", env, ErrorKind::Document);
    check(b"A=1\n", key, ErrorKind::Usage);
    check(b"A=1\n", nul, ErrorKind::Usage);
    check(b"A=1\n", split, ErrorKind::Usage);
    check(b"A=1\n", danger, ErrorKind::Usage);
    check(&large, env, ErrorKind::Document);
    check(&large, json, ErrorKind::Document);
    check(b"{\"a\": \"\xff\"}", json, ErrorKind::Document);
    check(b"{a: 1}", json, ErrorKind::Document);
    check(b"{\"a\": 1}", json, ErrorKind::Document);
    check(b"{\"a\": {}, \"a\": {}}", json, ErrorKind::Document);
    check(b"{}", pointer, ErrorKind::Usage);
}

#[test]
fn what_is_no_file_is_refused_and_stays() {
    let home = Home::new();
    fs::create_dir(home.path("folder")).unwrap();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, home.path("fifo"), mode).unwrap();
    symlink("loop", home.path("loop")).unwrap();
    symlink("nothing", home.path("dangling")).unwrap();
    for (name, kind) in [
        ("folder", ErrorKind::Permission),
        ("fifo", ErrorKind::Permission),
        ("loop", ErrorKind::Permission),
        ("dangling", ErrorKind::Permission),
        ("missing/.env", ErrorKind::Io),
        (".env", ErrorKind::Io),
    ] {
        let rewrite = Rewrite::env(home.path(name)).set("A", "1");
        let rewrite = if name == ".env" {
            rewrite
        } else {
            rewrite.create(Create::IfMissing)
        };
        let error = rewrite.commit(&home.state, at(0)).unwrap_err();
        assert_eq!(error.kind(), kind, "{name}: {error}");
    }
    assert_eq!(home.names(), ["dangling", "fifo", "folder", "loop"]);
}

#[test]
fn a_read_only_file_needs_force_and_stays_read_only() {
    let home = Home::new();
    home.write(".env", "A=1\n");
    home.chmod(".env", 0o444);
    let before = home.trace(".env");
    let rewrite = Rewrite::env(home.path(".env")).set("A", "2");
    let error = rewrite.clone().commit(&home.state, at(0)).unwrap_err();
    assert!(matches!(error, Error::ReadOnly { .. }) && error.kind() == ErrorKind::Permission);
    assert_eq!((home.trace(".env"), home.backups().len()), (before, 0));
    rewrite
        .guards(Guards::Down)
        .commit(&home.state, at(1))
        .unwrap();
    assert_eq!(
        (
            home.read(".env").as_str(),
            home.meta(".env").mode() & 0o7777
        ),
        ("A=2\n", 0o444)
    );
    let danger = Rewrite::env(home.path(".env"))
        .set("PATH", "/x")
        .guards(Guards::Down);
    danger.commit(&home.state, at(2)).unwrap();
    assert_eq!(home.read(".env"), "A=2\nPATH=/x\n");
}

#[test]
fn a_file_with_two_names_is_written_in_place() {
    let home = Home::new();
    home.write(".env", "A=1\n");
    fs::hard_link(home.path(".env"), home.path("other")).unwrap();
    let rewrite = |value: &str| Rewrite::env(home.path(".env")).set("A", value);
    let error = rewrite("2")
        .in_place(InPlace::Never)
        .commit(&home.state, at(0))
        .unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("can only be written in place: it has several names (hard links)")
    );
    assert_eq!(error.kind(), ErrorKind::Io);
    let written = rewrite("22").commit(&home.state, at(1)).unwrap();
    assert_eq!(written.strategy, Strategy::InPlace);
    assert_eq!(home.read("other"), "A=22\n");
    let written = rewrite("3")
        .keep(Keep::Nothing)
        .commit(&home.state, at(2))
        .unwrap();
    assert_eq!(
        (written.strategy, written.backup),
        (Strategy::InPlace, None)
    );
    assert_eq!(home.read("other"), "A=3\n");
    assert_eq!(
        fs::read_dir(home.state.path().join("txn")).unwrap().count(),
        0
    );
}

#[test]
fn several_edits_of_one_file_are_one_change() {
    let home = Home::new();
    home.write("package.json", "{\"config\":{}}");
    symlink("package.json", home.path("link.json")).unwrap();
    let written = Transaction::new(&home.state)
        .add(Rewrite::json(home.path("package.json")).set("/config/port", 1))
        .add(
            Rewrite::env(home.path(".env"))
                .set("A", "1")
                .create(Create::IfMissing),
        )
        .add(Rewrite::json(home.path("link.json")).set("/config/host", "h"))
        .commit(at(0))
        .unwrap();
    assert_eq!(
        home.read("package.json"),
        "{\"config\":{\"port\":1,\"host\":\"h\"}}"
    );
    let keys: Vec<_> = written
        .iter()
        .map(|written| written.keys.join(" "))
        .collect();
    assert_eq!(keys, ["/config/port", "A", "/config/host"]);
    assert_eq!(written[0].backup, written[2].backup);
    assert_eq!(home.backups(), ["{\"config\":{}}"]);
}

#[test]
fn a_preview_touches_nothing() {
    let home = Home::new();
    home.write(".env", "SECRET=s3cr3t\nA=1\n");
    let transaction = Transaction::new(&home.state)
        .add(Rewrite::env(home.path(".env")).set("A", "2"))
        .add(
            Rewrite::env(home.path("new"))
                .set("A", "2")
                .create(Create::IfMissing),
        )
        .add(Rewrite::env(home.path(".env")).set("SECRET", "s3cr3t"));
    let previews = transaction.preview().unwrap();
    let (env, new) = (home.path(".env"), home.path("new"));
    let (env, new) = (env.display(), new.display());
    assert_eq!(
        previews[0].diff,
        format!("--- {env}\n+++ {env}\n@@ -2 +2 @@\n-A=1\n+A=2\n")
    );
    assert_eq!(
        previews[1].diff,
        format!("--- /dev/null\n+++ {new}\n@@ -0,0 +1 @@\n+A=2\n")
    );
    assert_eq!(
        (previews.len(), previews[0].keys.join(" ")),
        (2, "A SECRET".into())
    );
    assert_eq!(home.names(), [".env"]);
    assert!(!home.state.path().exists());
}

#[test]
fn writers_at_once_lose_nothing() {
    let home = Home::new();
    home.write(".env", "# shared\n");
    std::thread::scope(|scope| {
        for writer in 0..6 {
            let home = &home;
            scope.spawn(move || {
                for count in 0..10 {
                    let key = format!("K{writer}_{count}");
                    let rewrite = Rewrite::env(home.path(".env")).set(key, "1");
                    rewrite
                        .keep(Keep::Nothing)
                        .commit(&home.state, at(0))
                        .unwrap();
                }
            });
        }
    });
    assert_eq!(home.read(".env").lines().count(), 61);
    assert_eq!(home.names(), [".env"]);
}

#[test]
fn a_state_folder_that_cannot_be_made_is_a_question_of_permission() {
    let home = Home::new();
    home.write(".env", "A=1\n");
    let state = pk_config::State::at(home.path(".env/state"));
    let error = Rewrite::env(home.path(".env"))
        .set("A", "2")
        .commit(&state, at(0))
        .unwrap_err();
    assert!(matches!(error, Error::State(_)), "{error:?}");
    assert_eq!(
        (error.kind(), home.read(".env").as_str()),
        (ErrorKind::Permission, "A=1\n")
    );
}

#[test]
fn a_state_folder_that_others_can_write_to_is_refused() {
    let home = Home::new();
    home.write(".env", "A=1\n");
    fs::create_dir(home.state.path()).unwrap();
    home.chmod("../state", 0o777);
    let change = || {
        Rewrite::env(home.path(".env"))
            .set("A", "2")
            .commit(&home.state, at(0))
    };
    let error = change().unwrap_err();
    assert!(matches!(error, Error::StateShared { .. }) && error.kind() == ErrorKind::Permission);
    home.chmod("../state", 0o700);
    change().unwrap();
}

#[test]
fn values_do_not_show_in_debug_output() {
    let rewrite = Rewrite::env(".env").set("TOKEN", "s3cr3t");
    assert!(!format!("{rewrite:?}").contains("s3cr3t"), "{rewrite:?}");
    let error = edit::Edits::apply(&edit::Env::default(), b"A='x", Guards::Up).unwrap_err();
    assert_eq!(error.to_string(), "1:3: a quote that is never closed");
}
