//! Ports held by the command itself: what it says, and everything that ends it.

use std::fs::{self, File};
use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use pk_tests::process::{eventually, is_alive};
use pk_tests::{Ports, Running, TestEnv, is_free, is_free_for_datagrams, skipped};
use rustix::pipe::pipe;
use rustix::process::Signal;
use serde_json::Value;

const SOON: Duration = Duration::from_secs(10);

/// Starts it, and returns when it has answered.
fn held(env: &TestEnv, options: &str) -> (Running, Value) {
    let mut running = env.start(env.portkeeper(format!("reserve --foreground {options}")));
    let answer = running.answer().json();
    (running, answer)
}

/// Nothing is left but the registry and its lock.
fn nothing_is_left(env: &TestEnv) {
    assert!(env.reserved().is_empty());
    let sockets = env.root().join("run/portkeeper");
    for folder in [sockets, env.registry().with_extension("json.live")] {
        let entries = fs::read_dir(folder).into_iter().flatten();
        let left: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn each_signal_releases_in_good_order() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let (env, ports) = (TestEnv::new(), Ports::claim(1));
        let (running, answer) = held(&env, &ports.range());
        assert_eq!(answer["port"], ports.at(0));
        assert_eq!(answer["held"], true);
        assert_eq!(answer["holder_pid"], running.pid());
        assert_eq!(answer["expires"], Value::Null);
        assert_eq!(env.state(ports.at(0)).as_deref(), Some("held"));
        assert!(!is_free(ports.at(0)));
        running.signal(signal);
        let end = running.end().ok();
        assert_eq!(end.stderr, "", "{signal:?}");
        assert!(is_free(ports.at(0)), "{signal:?}");
        nothing_is_left(&env);
    }
}

#[test]
fn ctrl_c_on_a_terminal() {
    if !pk_tests::has("setsid") {
        return skipped("a terminal with a keyboard: no setsid");
    }
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let line = format!("reserve --foreground {}", ports.range());
    let (mut keys, running) = env.start_on_terminal(&line);
    eventually(SOON, "it is held", || {
        env.state(ports.at(0)).as_deref() == Some("held")
    });
    keys.write_all(b"\x03").unwrap();
    running.end().ok();
    assert!(is_free(ports.at(0)));
    nothing_is_left(&env);
}

/// As nohup does it: the command outlives its terminal.
#[test]
fn a_hangup_that_is_ignored_stays_ignored() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let mut command = env.command("sh");
    let line = format!("exec portkeeper reserve --foreground {}", ports.range());
    command.args(["-c", &format!("trap '' HUP; {line}")]);
    let mut running = env.start(command);
    let _ = running.answer();
    let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    let has_hangup = |field: &str| {
        let mask = status
            .lines()
            .find_map(|line| line.strip_prefix(field))
            .unwrap();
        u64::from_str_radix(mask.trim(), 16).unwrap() & 1 == 1
    };
    assert!(has_hangup("SigIgn:") && !has_hangup("SigCgt:"), "{status}");
    running.signal(Signal::HUP);
    assert_eq!(env.state(ports.at(0)).as_deref(), Some("held"));
    running.signal(Signal::TERM);
    running.end().ok();
}

#[test]
fn release_from_elsewhere_returns_when_the_port_is_free_and_the_command_gone() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let (running, _) = held(&env, &ports.range());
    let released = env.pk(format!("release {}", ports.at(0))).ok();
    assert_eq!(released.json()["released"][0]["port"], ports.at(0));
    assert!(is_free(ports.at(0)) && !is_alive(running.pid()));
    running.end().ok();
    nothing_is_left(&env);
}

#[test]
fn several_are_released_one_by_one() {
    let (env, ports) = (TestEnv::new(), Ports::claim(3));
    let (running, answer) = held(&env, &format!("--count 3 {}", ports.range()));
    assert_eq!(answer.as_array().map(Vec::len), Some(3));
    let release = |index| {
        let released = env.pk(format!("release {}", ports.at(index))).ok();
        assert!(released.took < SOON, "{released:?}");
        assert!(is_free(ports.at(index)));
    };
    release(1);
    assert!(is_alive(running.pid()));
    assert_eq!(env.reserved(), [ports.at(0), ports.at(2)]);
    assert!(!is_free(ports.at(0)) && !is_free(ports.at(2)));
    release(0);
    assert_eq!(env.state(ports.at(2)).as_deref(), Some("held"));
    release(2);
    assert!(!is_alive(running.pid()), "nothing is left to hold");
    running.end().ok();
    nothing_is_left(&env);
}

#[test]
fn all_of_several_are_released_at_once() {
    let (env, ports) = (TestEnv::new(), Ports::claim(2));
    let (running, _) = held(&env, &format!("--count 2 --proto both {}", ports.range()));
    assert!(!ports.all().any(is_free_for_datagrams));
    env.pk("release --mine").ok();
    assert!(ports.all().all(is_free) && ports.all().all(is_free_for_datagrams));
    running.end().ok();
    nothing_is_left(&env);
}

#[test]
fn its_sudden_death_shows_at_once() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let (running, _) = held(&env, &ports.range());
    running.signal(Signal::KILL);
    assert_eq!(running.end().code, None);
    assert_eq!(env.state(ports.at(0)).as_deref(), Some("stale"));
    assert!(is_free(ports.at(0)));
    assert_eq!(env.pk("gc").ok().json()["removed"][0]["port"], ports.at(0));
    nothing_is_left(&env);
}

#[test]
fn the_end_of_its_lease() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let (running, answer) = held(&env, &format!("--ttl 1s {}", ports.range()));
    assert!(answer["expires"].is_string(), "{answer}");
    let end = running.end().ok();
    assert!(end.took >= Duration::from_secs(1), "{end:?}");
    assert!(is_free(ports.at(0)));
    nothing_is_left(&env);
}

#[test]
fn the_end_of_the_process_that_it_is_tied_to() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let mut child = env.bystander();
    let (running, _) = held(&env, &format!("--pid {} {}", child.id(), ports.range()));
    assert_eq!(env.state(ports.at(0)).as_deref(), Some("held"));
    child.kill().unwrap();
    child.wait().unwrap();
    running.end().ok();
    assert!(is_free(ports.at(0)));
    nothing_is_left(&env);
}

#[test]
fn an_answer_that_nobody_gets_releases() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let (reader, closed) = pipe().unwrap();
    drop(reader);
    for stdout in [Stdio::from(full), Stdio::from(closed)] {
        let (env, ports) = (TestEnv::new(), Ports::claim(1));
        let mut command = env.portkeeper(format!("reserve --foreground {}", ports.range()));
        command.stdout(stdout).stderr(Stdio::piped());
        let refused = env.run_as_is(command).refused(7);
        let _ = refused.says(format!("port {} was released again", ports.at(0)));
        assert!(is_free(ports.at(0)));
        nothing_is_left(&env);
    }
}

#[test]
fn files_are_written_before_the_answer_and_stay() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    env.write(".env", "# shop\nPORT=1\n");
    let (running, answer) = held(&env, &format!("--write-env PORT {}", ports.range()));
    let written = Some(format!("# shop\nPORT={}\n", ports.at(0)));
    assert_eq!(env.read(".env"), written);
    assert_eq!(answer["files"][0]["key"], "PORT");
    running.signal(Signal::TERM);
    running.end().ok();
    assert_eq!(env.read(".env"), written);
    nothing_is_left(&env);
}

#[test]
fn a_file_that_can_not_be_written_holds_nothing() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    env.pk(format!(
        "reserve --foreground {} --write-env PORT --env-path missing/.env",
        ports.range()
    ))
    .refused(7);
    assert!(is_free(ports.at(0)));
    nothing_is_left(&env);
}

#[test]
fn it_starts_no_process() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let (running, _) = held(&env, &ports.range());
    let pid = running.pid();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    assert_eq!(children.unwrap_or_default(), "");
    assert_eq!(
        pk_tests::process::session(pid),
        pk_tests::process::session(std::process::id())
    );
    running.signal(Signal::INT);
    running.end().ok();
}
