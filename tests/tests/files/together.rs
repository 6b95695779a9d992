//! A reservation and the files that it is written into: all of it or nothing.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use pk_tests::process::{eventually, is_alive};
use pk_tests::strace::{Call, changes};
use pk_tests::{Ports, TestEnv, is_free};
use rustix::fs::{FlockOperation, flock};

/// Where the port goes; each file has the old one.
const PLACES: &str = "--write-env A --write-env URL=http://{host}:{port} \
    --write-json config.json#/server/port --write-json package.json#/config/port";
const FILES: [&str; 3] = [".env", "config.json", "package.json"];

/// A world with the three files.
fn world() -> TestEnv {
    let env = TestEnv::new();
    env.write(".env", "# ports\nA=1\nURL=\"http://h:1\" # old\n");
    env.write(
        "config.json",
        "{\"server\": {\"port\": 3000, \"tls\": false}} // c\n",
    );
    env.write("package.json", "{\n\t\"config\": {\"port\": \"3000\"}\n}\n");
    env
}

fn contents(env: &TestEnv) -> [String; 3] {
    FILES.map(|file| env.read(file).unwrap())
}

/// What the files hold once `port` is in them.
fn with(port: u16) -> [String; 3] {
    [
        format!("# ports\nA={port}\nURL=\"http://127.0.0.1:{port}\" # old\n"),
        format!("{{\"server\": {{\"port\": {port}, \"tls\": false}}}} // c\n"),
        format!("{{\n\t\"config\": {{\"port\": \"{port}\"}}\n}}\n"),
    ]
}

#[test]
fn all_files_get_the_port_in_the_way_of_the_old_one() {
    for hold in ["", "--hold"] {
        let (env, ports) = (world(), Ports::claim(1));
        let before = contents(&env);
        let answer = env
            .pk(format!("reserve {} {hold} {PLACES}", ports.range()))
            .ok();
        assert_eq!(contents(&env), with(ports.at(0)));
        assert_eq!(env.reserved(), [ports.at(0)]);
        assert!(env.leftovers().is_empty());

        let places = [
            (".env", "A"),
            (".env", "URL"),
            ("config.json", "/server/port"),
            ("package.json", "/config/port"),
        ];
        let files = answer.json()["files"].as_array().unwrap().clone();
        for (file, (path, key)) in files.iter().zip(places) {
            assert_eq!((&file["path"], &file["key"]), (&path.into(), &key.into()));
            assert_eq!(file["strategy"], "rename");
            let index = FILES.iter().position(|file| *file == path).unwrap();
            let backup = file["backup"].as_str().unwrap();
            assert_eq!(fs::read_to_string(backup).unwrap(), before[index]);
        }
        assert_eq!(files.len(), places.len());
        for file in answer.object().list("files") {
            assert_eq!(file.names(), ["path", "key", "strategy", "backup"]);
        }
    }
}

#[test]
fn what_is_missing_is_made() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    env.write("config.json", "{\"a\": null, \"b\": [1]}");
    let places = "--write-env P --env-path new.env --write-json new.json#/a/b \
                  --write-json config.json#/a --write-json config.json#/b/1";
    env.pk(format!("reserve {} {places}", ports.range())).ok();
    let port = ports.at(0);
    assert_eq!(env.read("new.env"), Some(format!("P={port}\n")));
    assert_eq!(
        env.read("new.json"),
        Some(format!("{{\n  \"a\": {{\n    \"b\": {port}\n  }}\n}}\n"))
    );
    assert_eq!(
        env.read("config.json"),
        Some(format!("{{\"a\": {port}, \"b\": [1, {port}]}}"))
    );
}

#[test]
fn several_ports_have_a_key_and_a_pointer_each() {
    let (env, ports) = (world(), Ports::claim(2));
    let range = ports.range();
    let places = "--write-env WEB --write-env API=tcp:{port} \
                  --write-json config.json#/server/port --write-json package.json#/config/port";
    let answer = env.pk(format!("reserve --count 2 {range} {places}")).ok();
    let (first, second) = (ports.at(0), ports.at(1));
    assert_eq!(answer.json().as_array().unwrap().len(), 2);
    let [dotenv, config, package] = contents(&env);
    assert!(
        dotenv.ends_with(&format!("\nWEB={first}\nAPI=tcp:{second}\n")),
        "{dotenv}"
    );
    assert_eq!(
        (config, package),
        (with(first)[1].clone(), with(second)[2].clone())
    );

    for places in [
        "--write-env A",
        "--write-env A --write-env B --write-env C",
        "--write-json config.json#/a",
        "--write-env A --write-env B --write-json config.json#/a",
        "--write-env A --write-json config.json#/a --write-json config.json#/b",
    ] {
        let (env, ports) = (world(), Ports::claim(2));
        let before = env.everything();
        env.pk(format!("reserve --count 2 {} {places}", ports.range()))
            .refused(2);
        assert_eq!(env.everything(), before, "{places}");
    }
}

/// Reserves into all files, which has to fail because of what `spoil` did, and checks that nothing
/// has happened.
#[track_caller]
fn nothing_happens(spoil: &dyn Fn(&TestEnv), more: &str, code: i32) {
    for hold in ["", "--hold"] {
        let (env, ports) = (world(), Ports::claim(1));
        spoil(&env);
        let before = FILES.map(|file| env.imprint(file));
        env.pk(format!("reserve {} {hold} {PLACES} {more}", ports.range()))
            .refused(code);
        assert_eq!(FILES.map(|file| env.imprint(file)), before);
        assert!(env.backups().is_empty() && env.leftovers().is_empty());
        assert_eq!(env.reserved(), [0_u16; 0]);
        assert!(is_free(ports.at(0)));
        no_process(&env);
    }
}

/// A holder looks after its own end; it may take a moment.
#[track_caller]
fn no_process(env: &TestEnv) {
    eventually(Duration::from_secs(10), "no process is left", || {
        processes(env.root()).is_empty()
    });
}

/// The processes that were started in a world.
fn processes(root: &Path) -> Vec<u32> {
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let root = root.to_str().unwrap().as_bytes();
    let is_of_root = |pid: &u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.windows(root.len()).any(|part| part == root) && is_alive(*pid)
    };
    pids.filter(is_of_root).collect()
}

#[test]
fn a_holder_would_be_found() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let holder = env
        .pk(format!("reserve --hold {}", ports.range()))
        .ok()
        .holder();
    assert_eq!(processes(env.root()), [holder]);
}

#[test]
fn a_file_that_cannot_be_written_stops_everything() {
    let file =
        |name: &'static str, content: &'static str| move |env: &TestEnv| env.write(name, content);
    let mode = |name: &'static str, mode: u32| {
        move |env: &TestEnv| {
            fs::set_permissions(env.path(name), Permissions::from_mode(mode)).unwrap();
        }
    };
    nothing_happens(&file(".env", "A='1\n"), "", 6);
    nothing_happens(&file("config.json", "{\"server\": 1"), "", 6);
    nothing_happens(&file("package.json", "{\"config\": 1}"), "", 6);
    nothing_happens(
        &file("package.json", "{\"config\": {}, \"config\": {}}"),
        "",
        6,
    );
    nothing_happens(&mode("package.json", 0o444), "", 8);
    nothing_happens(&mode(".env", 0o444), "", 8);
    nothing_happens(&|_| {}, "--write-json missing/a.json#/a", 7);
    nothing_happens(&|_| {}, "--write-json package.json#/a~2", 2);
    nothing_happens(&|_| {}, "--write-env 1A", 2);
    nothing_happens(&|_| {}, "--write-env U=${x}{port}", 2);
    nothing_happens(
        &|env| fs::create_dir(env.path("d")).unwrap(),
        "--write-json d#/a",
        8,
    );
}

/// Some things go wrong only after the port is reserved.
#[test]
fn f33_a_late_failure_takes_the_reservation_back() {
    let blocked = |env: &TestEnv| {
        fs::create_dir_all(env.state_folder()).unwrap();
        fs::set_permissions(env.state_folder(), Permissions::from_mode(0o700)).unwrap();
        fs::write(env.state_folder().join("backups"), "").unwrap();
    };
    nothing_happens(&blocked, "", 8);

    for hold in ["", "--hold"] {
        let (env, ports) = (world(), Ports::claim(1));
        env.pk("env set X=1 --create --file other.env").ok();
        let lock = File::open(env.state_folder().join("files.lock")).unwrap();
        flock(&lock, FlockOperation::LockExclusive).unwrap();
        let before = FILES.map(|file| env.imprint(file));
        let line = format!(
            "reserve {} {hold} {PLACES} --lock-timeout 200ms",
            ports.range()
        );
        let answer = env.pk(line).refused(5);
        assert!(answer.stderr.contains("files.lock"), "{answer:?}");
        assert_eq!(FILES.map(|file| env.imprint(file)), before);
        assert_eq!(env.reserved(), [0_u16; 0]);
        assert!(is_free(ports.at(0)));
        no_process(&env);
    }
}

/// Whichever call to the disk fails: done, or not done, said so and nothing left.
#[test]
fn a_disk_that_fails_at_any_moment() {
    let ports = Ports::claim(1);
    let line = format!("reserve {} {PLACES}", ports.range());
    let Some(calls) = changes(&world(), &line) else {
        return;
    };
    let (mut done, mut failed) = (0, 0);
    // Where it is full, removing still works. The last call prints the answer.
    let fails = |call: &&Call| !call.name.starts_with("unlink");
    for call in calls[..calls.len() - 1].iter().filter(fails) {
        let env = world();
        let answer = env.tampered(call, "error=ENOSPC", &line);
        let what = format!("without room for {call}: {answer:#?}");
        if answer.code == Some(0) {
            done += 1;
            assert_eq!(contents(&env), with(ports.at(0)), "{what}");
            assert_eq!(env.reserved(), [ports.at(0)], "{what}");
        } else {
            failed += 1;
            assert_eq!(contents(&env), contents(&world()), "{what}");
            assert_eq!(env.reserved(), [0_u16; 0], "{what}");
            answer.refused(7);
        }
    }
    assert!(failed > 40 && done > 5, "{failed} failed, {done} did not");
}

#[test]
fn two_ports_never_go_into_one_place() {
    let env = world();
    let before = contents(&env);
    for places in [
        "--write-env A --write-env A",
        "--write-env A --write-env A={port}",
        "--write-json config.json#/x --write-json config.json#/x",
    ] {
        let answer = env.pk(format!("reserve --count 2 {places}"));
        answer.refused(2).says("can't have two ports");
    }
    assert_eq!(contents(&env), before);
    assert!(env.reservations().is_empty());
}
