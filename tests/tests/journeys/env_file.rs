//! The port in a `.env` file: the one value changes, every other byte stays, and what cannot be
//! written is not reserved.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use pk_tests::{Answer, Ports, TestEnv};

/// Reserves one of `ports` into `KEY` of a `.env` that has `content`.
fn write(env: &TestEnv, ports: &Ports, content: &str) -> Answer {
    fs::write(env.path(".env"), content).unwrap();
    env.pk(format!("reserve {} --write-env PORT", ports.range()))
}

#[test]
fn only_the_value_changes() {
    let check = |before: &str, after: &str| {
        let (env, ports) = (TestEnv::new(), Ports::claim(1));
        let port = write(&env, &ports, before).ok().port();
        let written = fs::read_to_string(env.path(".env")).unwrap();
        assert_eq!(
            written,
            after.replace("{port}", &port.to_string()),
            "{before:?}"
        );
    };
    check("", "PORT={port}\n");
    check("PORT=1\n", "PORT={port}\n");
    check("PORT=1", "PORT={port}");
    check("A=1", "A=1\nPORT={port}\n");
    check("A=1\r\nB=2\r\n", "A=1\r\nB=2\r\nPORT={port}\r\n");
    check(
        "# ports\r\nPORT=80 # old\r\n\r\nA='x y'\r\n",
        "# ports\r\nPORT={port} # old\r\n\r\nA='x y'\r\n",
    );
    check(
        "  export PORT = \"80\"  # c\nB=1\n",
        "  export PORT = \"{port}\"  # c\nB=1\n",
    );
    check("PORT=1\nA=2\nPORT=3\n", "PORT={port}\nA=2\nPORT={port}\n");
    check(
        "# PORT=1\nMY_PORT=2\nPORT_B=3\n",
        "# PORT=1\nMY_PORT=2\nPORT_B=3\nPORT={port}\n",
    );
    check(
        "A=\"two\nPORT=1\nlines\"\n",
        "A=\"two\nPORT=1\nlines\"\nPORT={port}\n",
    );
    check("\u{feff}PORT=1\n", "\u{feff}PORT={port}\n");
}

#[test]
fn bytes_that_are_no_text_stay() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    fs::write(env.path(".env"), b"A=\xff\xfe\nPORT=1\n").unwrap();
    let port = env
        .pk(format!("reserve {} --write-env PORT", ports.range()))
        .ok()
        .port();
    let expect = [b"A=\xff\xfe\n", format!("PORT={port}\n").as_bytes()].concat();
    assert_eq!(fs::read(env.path(".env")).unwrap(), expect);
}

#[test]
fn the_mode_stays() {
    for mode in [0o600, 0o640, 0o644] {
        let (env, ports) = (TestEnv::new(), Ports::claim(1));
        fs::write(env.path(".env"), "PORT=1\n").unwrap();
        fs::set_permissions(env.path(".env"), Permissions::from_mode(mode)).unwrap();
        env.pk(format!("reserve {} --write-env PORT", ports.range()))
            .ok();
        let after = fs::metadata(env.path(".env")).unwrap().mode() & 0o7777;
        assert_eq!(after, mode, "{after:o}");
        let left: Vec<_> = fs::read_dir(env.path(""))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, [".env"], "nothing is left beside it");
    }
}

#[test]
fn a_new_file_is_as_open_as_the_umask_allows() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    env.sh(&format!(
        "umask 027; portkeeper reserve {} --write-env PORT",
        ports.range()
    ))
    .ok();
    assert_eq!(
        fs::metadata(env.path(".env")).unwrap().mode() & 0o7777,
        0o640
    );
    assert_eq!(fs::metadata(env.registry()).unwrap().mode() & 0o7777, 0o600);
}

#[test]
fn a_link_is_followed_and_stays() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    fs::write(env.path("real.env"), "PORT=1\n").unwrap();
    std::os::unix::fs::symlink("real.env", env.path(".env")).unwrap();
    let port = env
        .pk(format!("reserve {} --write-env PORT", ports.range()))
        .ok()
        .port();
    assert!(fs::symlink_metadata(env.path(".env")).unwrap().is_symlink());
    assert_eq!(
        fs::read_to_string(env.path("real.env")).unwrap(),
        format!("PORT={port}\n")
    );
}

#[test]
fn the_number_in_the_file_is_preferred() {
    let (env, ports) = (TestEnv::new(), Ports::claim(3));
    let third = format!("PORT={}\n", ports.at(2));
    assert_eq!(write(&env, &ports, &third).ok().port(), ports.at(2));
    assert_eq!(
        write(&env, &ports, &third).ok().port(),
        ports.at(0),
        "it is taken now"
    );
    env.pk("release --mine").ok();

    // What was asked for on the command line goes first.
    fs::write(env.path(".env"), &third).unwrap();
    let line = format!(
        "reserve --preferred {} {} --write-env PORT",
        ports.at(1),
        ports.range()
    );
    assert_eq!(env.pk(line).ok().port(), ports.at(1));
    // A number outside of the range is nobody's wish.
    assert_eq!(write(&env, &ports, "PORT=80\n").ok().port(), ports.at(0));
    // Without a range, any number that a server could use.
    fs::write(env.path(".env"), &third).unwrap();
    assert_eq!(env.pk("reserve --write-env PORT").ok().port(), ports.at(2));
}

#[test]
fn the_same_value_is_not_written_again() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let content = format!("PORT={}\n", ports.at(0));
    fs::write(env.path(".env"), &content).unwrap();
    let before = fs::metadata(env.path(".env")).unwrap();
    write_nothing(&env, &ports);
    let after = fs::metadata(env.path(".env")).unwrap();
    assert_eq!(
        (before.ino(), before.mtime_nsec()),
        (after.ino(), after.mtime_nsec())
    );
}

fn write_nothing(env: &TestEnv, ports: &Ports) {
    env.pk(format!("reserve {} --write-env PORT", ports.range()))
        .ok();
}

#[test]
fn each_key_gets_its_port() {
    let (env, ports) = (TestEnv::new(), Ports::claim(2));
    let line = format!(
        "reserve --count 2 {} --write-env WEB --write-env API",
        ports.range()
    );
    env.pk(line).ok();
    let expect = format!("WEB={}\nAPI={}\n", ports.at(0), ports.at(1));
    assert_eq!(fs::read_to_string(env.path(".env")).unwrap(), expect);
    env.pk("release --mine").ok();

    fs::remove_file(env.path(".env")).unwrap();
    env.pk(format!(
        "reserve {} --write-env WEB --write-env API",
        ports.range()
    ))
    .ok();
    let expect = format!("WEB={0}\nAPI={0}\n", ports.at(0));
    assert_eq!(fs::read_to_string(env.path(".env")).unwrap(), expect);
    env.pk("release --mine").ok();

    env.pk(format!(
        "reserve --count 2 {} --write-env WEB",
        ports.range()
    ))
    .refused(2);
    assert_eq!(env.reserved(), [0_u16; 0]);
}

#[test]
fn what_cannot_be_written_is_not_reserved() {
    let check = |set: &dyn Fn(&TestEnv), options: &str, code: i32| {
        for hold in ["", "--hold"] {
            let (env, ports) = (TestEnv::new(), Ports::claim(1));
            set(&env);
            let before = fs::read(env.path(".env")).ok();
            env.pk(format!("reserve {} {hold} {options}", ports.range()))
                .refused(code);
            assert_eq!(env.reserved(), [0_u16; 0], "{options}");
            assert!(pk_tests::is_free(ports.at(0)), "{options}");
            assert_eq!(fs::read(env.path(".env")).ok(), before, "{options}");
        }
    };
    let file =
        |content: &'static str| move |env: &TestEnv| fs::write(env.path(".env"), content).unwrap();
    check(&|_| {}, "--write-env PORT --env-path missing/.env", 7);
    check(&|_| {}, "--write-env 1PORT", 2);
    check(&|_| {}, "--write-env PO-RT", 2);
    check(&|_| {}, "--write-env $(id)", 2);
    check(
        &|env| fs::create_dir(env.path(".env")).unwrap(),
        "--write-env PORT",
        8,
    );
    check(&file("A=\"open\nPORT=1\n"), "--write-env PORT", 6);
    let read_only = |env: &TestEnv| {
        file("PORT=1\n")(env);
        fs::set_permissions(env.path(".env"), Permissions::from_mode(0o444)).unwrap();
    };
    check(&read_only, "--write-env PORT", 8);
}
