//! The shapes of the answers, which programs rely on: fields, their order and their types.

use pk_tests::{Ports, TestEnv};
use serde_json::Value;

const GRANT: [&str; 11] = [
    "host",
    "port",
    "held",
    "proto",
    "id",
    "owner",
    "name",
    "expires",
    "registry",
    "holder_pid",
    "files",
];

/// Whether a time reads like `2026-11-22T12:00:00Z`.
fn is_time(value: &Value) -> bool {
    let Some(text) = value.as_str() else {
        return false;
    };
    let shape: String = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    shape == "0000-00-00T00:00:00Z"
}

#[test]
fn reserve_answers_one_object() {
    let (env, ports) = (TestEnv::new(), Ports::claim(2));
    let answer = env
        .pk(format!("reserve --preferred {} --owner shop", ports.at(0)))
        .ok();
    assert_eq!(answer.object().names(), GRANT);
    let grant = answer.json();
    assert_eq!(grant["host"], "127.0.0.1");
    assert_eq!(grant["port"], ports.at(0));
    assert_eq!(grant["held"], false);
    assert_eq!(grant["proto"], "tcp");
    assert!(
        grant["id"].as_str().is_some_and(|id| !id.is_empty()),
        "{grant}"
    );
    assert_eq!(grant["owner"], "shop");
    assert_eq!(grant["name"], Value::Null);
    assert!(is_time(&grant["expires"]), "{grant}");
    assert_eq!(grant["registry"], env.registry().to_str().unwrap());
    assert_eq!(grant["holder_pid"], Value::Null);
    assert_eq!(grant["files"], Value::Array(Vec::new()));
    assert_eq!(answer.stderr, "");
}

#[test]
fn reserve_hold_names_its_holder() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let answer = env.pk(format!("reserve --hold {}", ports.range())).ok();
    assert_eq!(answer.object().names(), GRANT);
    assert_eq!(answer.json()["held"], true);
    assert!(pk_tests::process::is_alive(answer.holder()));
}

#[test]
fn reserve_names_the_files_that_it_wrote() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let answer = env
        .pk(format!("reserve {} --write-env PORT", ports.range()))
        .ok();
    let files = answer.object().list("files");
    assert_eq!(files.len(), 1, "{answer:?}");
    assert_eq!(files[0].names(), ["path", "key", "strategy", "backup"]);
    let file = &answer.json()["files"][0];
    assert_eq!(file["path"], ".env");
    assert_eq!(file["key"], "PORT");
    assert_eq!(file["strategy"], "rename");
    assert_eq!(file["backup"], Value::Null, "there was nothing to keep");
}

#[test]
fn reserve_count_answers_a_list() {
    let (env, ports) = (TestEnv::new(), Ports::claim(3));
    let answer = env
        .pk(format!("reserve --count 3 {}", ports.range()))
        .ok()
        .json();
    let grants = answer.as_array().unwrap();
    let granted: Vec<_> = grants.iter().map(|grant| grant["port"].clone()).collect();
    assert_eq!(granted, ports.all().collect::<Vec<_>>());
    assert!(grants.iter().all(|grant| {
        grant
            .as_object()
            .is_some_and(|fields| fields.len() == GRANT.len())
    }));
}

#[test]
fn status_lists_every_reservation_once() {
    let (env, ports) = (TestEnv::new(), Ports::claim(2));
    let grant = env
        .pk(format!("reserve {} --owner shop", ports.range()))
        .ok()
        .json();
    env.pk(format!("reserve --hold {}", ports.range())).ok();

    let answer = env.pk("status").ok();
    assert_eq!(
        answer.object().names(),
        ["registry", "kind", "reservations"]
    );
    let status = answer.json();
    assert_eq!(status["registry"], env.registry().to_str().unwrap());
    assert_eq!(status["kind"], "private");
    let entries = status["reservations"].as_array().unwrap();
    assert_eq!(entries.len(), 2, "{status}");

    let own = GRANT
        .into_iter()
        .filter(|name| !["registry", "files"].contains(name));
    let expect: Vec<_> = own
        .chain(["uid", "pid", "created", "fence", "state", "user"])
        .collect();
    for entry in answer.object().list("reservations") {
        assert_eq!(entry.names(), expect);
    }
    let first = &entries[0];
    for name in ["host", "port", "held", "proto", "id", "owner"] {
        assert_eq!(first[name], grant[name], "{name}");
    }
    assert!(is_time(&first["expires"]), "{first}");
    assert_eq!(first["uid"], rustix::process::geteuid().as_raw());
    assert!(is_time(&first["created"]), "{first}");
    assert!(first["fence"].is_u64(), "{first}");
    let states: Vec<_> = entries
        .iter()
        .map(|entry| entry["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["leased", "held"]);
}

#[test]
fn release_names_what_it_released() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let grant = env.pk(format!("reserve {}", ports.range())).ok().json();
    let answer = env.pk(format!("release {}", ports.at(0))).ok();
    assert_eq!(answer.object().names(), ["released"]);
    let released = answer.object().list("released");
    assert_eq!(released.len(), 1);
    assert_eq!(released[0].names(), ["port", "host", "id", "proto"]);
    for name in ["port", "host", "id", "proto"] {
        assert_eq!(answer.json()["released"][0][name], grant[name]);
    }
}

#[test]
fn gc_names_what_it_removed_and_why() {
    let (env, ports) = (TestEnv::new(), Ports::claim(2));
    let mut child = env.bystander();
    env.pk(format!(
        "reserve --preferred {} --pid {}",
        ports.at(0),
        child.id()
    ))
    .ok();
    env.pk(format!("reserve --preferred {}", ports.at(1))).ok();
    child.kill().unwrap();
    child.wait().unwrap();

    let check = |line, dry_run| {
        let answer = env.pk(line).ok();
        assert_eq!(answer.object().names(), ["removed", "kept", "dry_run"]);
        let gc = answer.json();
        assert_eq!(gc["kept"], 1);
        assert_eq!(gc["dry_run"], dry_run);
        assert_eq!(gc["removed"].as_array().map(Vec::len), Some(1), "{gc}");
        let removed = answer.object().list("removed");
        assert_eq!(removed[0].names(), ["port", "id", "reason", "proto"]);
        assert_eq!(gc["removed"][0]["proto"], "tcp");
        assert_eq!(gc["removed"][0]["port"], ports.at(0));
        assert!(
            gc["removed"][0]["reason"]
                .as_str()
                .is_some_and(|why| !why.is_empty()),
            "{gc}"
        );
    };
    check("gc --dry-run", true);
    assert_eq!(env.reserved(), [ports.at(0), ports.at(1)]);
    check("gc", false);
    assert_eq!(env.reserved(), [ports.at(1)]);
    assert_eq!(
        env.pk("gc").ok().json()["removed"],
        Value::Array(Vec::new())
    );
}

#[test]
fn text_in_answers_is_ascii() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let port = ports.at(0).to_string();
    let answer = env
        .pk_args(&["reserve", "--preferred", &port, "--owner", "café 🚀"])
        .ok();
    assert!(answer.stdout.is_ascii(), "{answer:?}");
    assert_eq!(answer.json()["owner"], "café 🚀");
    let status = env.pk("status").ok();
    assert!(status.stdout.is_ascii(), "{status:?}");
    assert_eq!(status.json()["reservations"][0]["owner"], "café 🚀");
}

#[test]
fn people_get_tables_and_sentences() {
    let (env, ports) = (TestEnv::new(), Ports::claim(2));
    env.pk(format!("reserve --preferred {} --owner shop", ports.at(0)))
        .ok();
    env.pk(format!("reserve --preferred {} --owner blog", ports.at(1)))
        .ok();
    let check = |line: &str, expect: &[&str]| {
        for answer in [
            env.pk(format!("{line} --format text")),
            env.terminal(&format!("portkeeper {line}")),
        ] {
            let answer = answer.ok().sane();
            assert!(
                serde_json::from_str::<Value>(&answer.stdout).is_err(),
                "{answer:?}"
            );
            for part in expect {
                assert!(answer.stdout.contains(part), "no {part} in {answer:#?}");
            }
        }
    };
    let (first, second) = (ports.at(0).to_string(), ports.at(1).to_string());
    check(
        "status",
        &["PORT", "OWNER", &first, &second, "shop", "blog", "leased"],
    );
    check(&format!("status {first}"), &[&first, "shop"]);
    check("gc --dry-run", &[]);
    let json = env.terminal("portkeeper status --format json").ok().json();
    assert_eq!(json["reservations"].as_array().map(Vec::len), Some(2));
    let released = env.pk(format!("release {first} --format text")).ok();
    assert!(released.stdout.contains(&first), "{released:?}");
}

#[test]
fn no_reservations_is_an_answer_too() {
    let env = TestEnv::new();
    assert_eq!(
        env.pk("status").ok().json()["reservations"],
        Value::Array(Vec::new())
    );
    assert_eq!(
        env.pk("gc").ok().json()["removed"],
        Value::Array(Vec::new())
    );
    assert!(!env.registry().exists(), "reading creates nothing");
    env.pk("status --format text").ok();
}

#[test]
fn help_has_examples_and_names_the_environment() {
    let env = TestEnv::new();
    let help = env.pk("--help").ok().stdout;
    for part in [
        "reserve",
        "release",
        "status",
        "gc",
        "PORTKEEPER_REGISTRY",
        "NO_COLOR",
    ] {
        assert!(help.contains(part), "no {part} in {help}");
    }
    for command in ["reserve", "release", "status", "gc", "why", "wait"] {
        let help = env.pk(format!("{command} --help")).ok().stdout;
        assert!(
            help.contains(&format!("portkeeper {command}")),
            "no example in {help}"
        );
    }
    assert!(env.pk("--version").ok().stdout.starts_with("portkeeper "));
}
