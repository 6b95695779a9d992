//! What killed processes leave behind, made by killing them.

use std::fs;

use pk_tests::process::{eventually, is_alive, signal};
use pk_tests::strace::{Call, changes};
use pk_tests::{Ports, TestEnv};
use rustix::process::Signal;

use super::Mended::Fix;
use super::{check, doctor, found};

#[test]
fn a_temporary_file_of_the_registry() {
    let (env, ports) = (TestEnv::new(), Ports::claim(2));
    let line = format!("reserve {}", ports.range());
    env.pk(&line).ok();
    let Some(calls) = changes(&env, &line) else {
        return;
    };
    env.pk("release --mine").ok();
    let rename = |call: &&Call| call.name.starts_with("rename");
    let rename = calls.iter().find(rename).expect("a commit");
    let _ = env.tampered(rename, "signal=SIGKILL", &line);
    check(&env, "", "temp-files", "note", Fix);
    assert!(env.leftovers().is_empty());
}

#[test]
fn a_liveness_file_without_an_entry() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let held = env.pk(format!("reserve --hold {}", ports.range())).ok();
    let live = env.registry().with_extension("json.live");
    fs::write(live.join("b9avc27h4gr0a4axpczwwynt45"), "").unwrap();
    let finding = check(&env, "", "dead-liveness-files", "note", Fix);
    assert!(
        finding["what"].as_str().unwrap().starts_with("1 "),
        "{finding}"
    );
    assert!(is_alive(held.holder()));
    assert_eq!(fs::read_dir(live).unwrap().count(), 1, "that of the holder");
}

/// Killed between the first file and the last, and before the only one.
#[test]
fn changes_of_files_that_were_cut_short() {
    let world = || {
        let env = TestEnv::new();
        env.write(".env", "A=1\n");
        env.write("config.json", "{\"port\": 1}");
        env.pk("env set A=2").ok();
        env
    };
    let line = "reserve --write-env A --write-json config.json#/port";
    let Some(calls) = changes(&world(), line) else {
        return;
    };
    let (mut journals, mut stages) = (0, 0);
    for call in calls.iter().filter(|call| call.name.starts_with("rename")) {
        let env = world();
        let _ = env.tampered(call, "signal=SIGKILL", line);
        let checkup = doctor(&env, "", "");
        let is_there = |code| usize::from(found(&checkup, code).is_some());
        let now = (is_there("interrupted-write"), is_there("dead-stages"));
        if now == (0, 0) {
            continue;
        }
        (journals, stages) = (journals + now.0, stages + now.1);
        match now {
            (1, _) => check(&env, "", "interrupted-write", "problem", Fix),
            _ => check(&env, "", "dead-stages", "note", Fix),
        };
        assert!(env.leftovers().is_empty(), "{call}: {:?}", env.leftovers());
        // Before there is a journal nothing tells of the reservation but its entry; after the last
        // file is in its place, it was done.
        let expect = match env.reserved()[..] {
            [port] if now.0 == 1 => format!("A={port}\n"),
            _ => "A=2\n".to_owned(),
        };
        assert_eq!(env.read(".env"), Some(expect), "{call}");
    }
    assert!(journals > 0 && stages > 0, "{journals} {stages}");
}

#[test]
fn a_control_socket_of_a_dead_holder() {
    let (env, ports) = (TestEnv::new(), Ports::claim(2));
    let line = format!("reserve --hold {}", ports.range());
    let (dead, alive) = (env.pk(&line).ok(), env.pk(&line).ok());
    signal(dead.holder(), Signal::KILL);
    // gc would remove it with its entry: nothing tells of it any more when that is lost.
    let registry = fs::read_to_string(env.registry()).unwrap();
    let id = dead.json()["id"].as_str().unwrap().to_owned();
    let entries: Vec<_> = registry.lines().collect();
    let lost = if entries[1].contains(&id) { 1 } else { 2 };
    let kept = entries[3 - lost].trim_end_matches([',', '}']);
    fs::write(env.registry(), format!("{}\n{kept}}}}}}}\n", entries[0])).unwrap();
    let folder = env.root().join("run/portkeeper");
    let sockets = || fs::read_dir(&folder).unwrap().map(|it| it.unwrap().path());
    eventually(std::time::Duration::from_secs(10), "it is dead", || {
        !is_alive(dead.holder())
    });
    assert_eq!(sockets().count(), 2);
    check(&env, "", "dead-control-sockets", "note", Fix);
    let left: Vec<_> = sockets().collect();
    let name = format!("{}.", alive.json()["id"].as_str().unwrap());
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0].to_str().unwrap().contains(&name), "{left:?}");
    env.pk(format!("release {}", alive.port())).ok();
}
