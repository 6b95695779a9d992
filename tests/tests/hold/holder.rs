//! The process that holds: away from the command that started it, and from everything it had.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use pk_tests::process::{eventually, is_alive, session};
use pk_tests::{Ports, TestEnv, has, skipped};

/// What the descriptors of a process lead to.
fn descriptors(pid: u32) -> Vec<(u32, PathBuf)> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .map(Result::unwrap);
    let numbered = entries.map(|entry| {
        let number = entry.file_name().to_str().unwrap().parse().unwrap();
        (number, fs::read_link(entry.path()).unwrap())
    });
    numbered.collect()
}

#[test]
fn a_command_substitution_returns() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let line = format!("reserve --hold --format port {}", ports.range());
    let answer = env
        .sh(&format!("port=$(portkeeper {line}); echo got $port"))
        .ok();
    assert_eq!(answer.stdout, format!("got {}\n", ports.at(0)));
    assert_eq!(env.state(ports.at(0)).as_deref(), Some("held"));
    // So does a terminal that is closed with its last user.
    env.pk("release --mine").ok();
    assert!(
        env.terminal(&format!("portkeeper {line}"))
            .ok()
            .stdout
            .contains(&ports.at(0).to_string())
    );
}

#[test]
fn the_holder_is_detached() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let marker = env.path("inherited");
    fs::write(&marker, "").unwrap();
    let line = format!(
        "exec 9<inherited; portkeeper reserve --hold {}",
        ports.range()
    );
    let holder = env.sh(&line).ok().holder();

    assert!(is_alive(holder));
    assert_eq!(session(holder), holder, "a session of its own");
    assert_eq!(
        fs::read_link(format!("/proc/{holder}/cwd")).unwrap(),
        PathBuf::from("/")
    );
    let held = descriptors(holder);
    for standard in 0..3 {
        let (_, target) = held
            .iter()
            .find(|(number, _)| *number == standard)
            .expect("standard streams");
        assert_eq!(target, &PathBuf::from("/dev/null"), "{held:?}");
    }
    assert!(held.iter().all(|(_, target)| *target != marker), "{held:?}");
    let lock = env.registry().with_extension("json.lock");
    assert!(
        held.iter()
            .all(|(_, target)| *target != lock && *target != env.registry()),
        "{held:?}"
    );
    assert!(
        held.iter()
            .any(|(_, target)| target.to_string_lossy().starts_with("socket:")),
        "{held:?}"
    );
}

#[test]
fn one_holder_can_hold_several() {
    let (env, ports) = (TestEnv::new(), Ports::claim(3));
    let grants = env
        .pk(format!("reserve --hold --count 3 {}", ports.range()))
        .ok()
        .json();
    let grants = grants.as_array().unwrap().clone();
    assert!(grants.iter().all(|grant| grant["held"] == true));
    env.pk(format!("release {}", ports.at(1))).ok();
    assert!(pk_tests::is_free(ports.at(1)));
    for port in [ports.at(0), ports.at(2)] {
        assert_eq!(env.state(port).as_deref(), Some("held"));
        assert!(!pk_tests::is_free(port), "the others stay");
    }
}

#[test]
fn a_place_for_its_socket_is_found_without_a_runtime_folder() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let temp = env.root().join("temp");
    fs::create_dir(&temp).unwrap();
    let mut command = env.portkeeper(format!("reserve --hold {}", ports.range()));
    command.env_remove("XDG_RUNTIME_DIR").env("TMPDIR", &temp);
    let holder = env.run(command).ok().holder();
    assert_eq!(env.state(ports.at(0)).as_deref(), Some("held"));
    env.pk(format!("release {}", ports.at(0))).ok();
    assert!(!is_alive(holder));
}

#[test]
fn a_release_from_another_process_namespace_is_trusted() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let port = ports.at(0);
    let grant = env.pk(format!("reserve --hold {}", ports.range())).ok();
    if !has("unshare") {
        skipped("another namespace: no unshare");
        return;
    }
    let mut command = env.command("unshare");
    command
        .args(["--pid", "--fork", "portkeeper", "release"])
        .arg(port.to_string());
    let answer = env.run(command);
    if answer.stderr.contains("unshare failed") {
        skipped(format_args!("another namespace: {}", answer.stderr.trim()));
        return;
    }
    answer.ok();
    assert!(pk_tests::is_free(port), "at once");
    eventually(Duration::from_secs(5), "its holder ends", || {
        !is_alive(grant.holder())
    });
}
