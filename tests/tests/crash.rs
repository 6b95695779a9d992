//! `kill -9` at any moment: the registry stays whole, the lock is free, what was answered is kept,
//! and what was left lying about is swept.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use pk_tests::process::{eventually, is_alive, spawn};
use pk_tests::{Ports, TestEnv};
use serde_json::Value;

/// How many commands are killed, and how many may get away before they are.
const KILLS: usize = 200;
const ATTEMPTS: usize = 4 * KILLS;

/// What is killed, in turn; `{range}` and `{port}` (reserved and answered) are filled in.
const COMMANDS: [&str; 6] = [
    "reserve {range}",
    "reserve {range} --write-env PORT",
    "release {port}",
    "reserve {range} --hold",
    "gc",
    "reserve {range} --count 2",
];

#[test]
fn killed_commands_leave_the_registry_whole() {
    let (env, ports) = (TestEnv::new(), Ports::claim(160));
    fs::write(env.path(".env"), "A=1\nPORT=1\n").unwrap();
    let mut answered: BTreeSet<u16> = BTreeSet::new();
    let mut holders = Vec::new();
    let mut killed = 0;
    // How long each command takes on this machine is found out on the way.
    let mut windows = [Duration::from_millis(10); COMMANDS.len()];
    for attempt in 0..ATTEMPTS {
        if killed == KILLS {
            break;
        }
        let index = attempt % COMMANDS.len();
        let mut line = COMMANDS[index].replace("{range}", &ports.range());
        if line.contains("{port}") {
            // It may or may not be there afterwards.
            let port = answered.pop_first().unwrap_or(ports.at(0));
            line = line.replace("{port}", &port.to_string());
        }
        // The golden ratio spreads the moments evenly, however many there are.
        let moment = windows[index].mul_f64((attempt as f64 * 0.618_034).fract());
        let (end, stdout) = kill_after(&env, &line, moment);
        match end {
            End::Killed => (killed, windows[index]) = (killed + 1, windows[index].mul_f64(1.1)),
            End::Before => windows[index] = windows[index].mul_f64(0.85),
        }
        if line.starts_with("reserve") && stdout.ends_with('\n') {
            for grant in grants(&stdout) {
                answered.insert(u16::try_from(grant["port"].as_u64().unwrap()).unwrap());
                holders.extend(grant["holder_pid"].as_u64());
            }
        }
        check_whole(&env, &answered, &line);
        if attempt % 50 == 49 {
            env.pk("release --mine").ok();
            answered.clear();
        }
    }
    assert_eq!(killed, KILLS, "the others were too quick");

    env.pk("release --mine").ok();
    env.pk("gc").ok();
    assert_eq!(env.reserved(), [0_u16; 0]);
    for holder in holders {
        let holder = u32::try_from(holder).unwrap();
        eventually(Duration::from_secs(10), "no holder stays", || {
            !is_alive(holder)
        });
    }
    assert_eq!(names(&env.path("")), [".env"]);
    let (left, healthy) = (files(&env), healthy());
    let left: Vec<_> = left.difference(&healthy).collect();
    assert!(left.is_empty(), "left over: {left:?}");
}

/// How a command ended.
enum End {
    Killed,
    Before,
}

/// Starts a command and kills it after a while; what it had said by then.
fn kill_after(env: &TestEnv, line: &str, moment: Duration) -> (End, String) {
    let mut command = env.portkeeper(line);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = spawn(&mut command).unwrap();
    thread::sleep(moment);
    child.kill().unwrap();
    let mut stdout = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut stdout)
        .unwrap();
    let end = match child.wait().unwrap().code() {
        None => End::Killed,
        Some(_) => End::Before,
    };
    (end, stdout)
}

fn grants(stdout: &str) -> Vec<Value> {
    match serde_json::from_str(stdout).unwrap() {
        Value::Array(grants) => grants,
        grant => vec![grant],
    }
}

/// Checks that nothing that was answered is lost, and that the next one can work at once.
#[track_caller]
fn check_whole(env: &TestEnv, answered: &BTreeSet<u16>, line: &str) {
    if let Ok(registry) = fs::read(env.registry()) {
        serde_json::from_slice::<Value>(&registry)
            .unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    let reserved: BTreeSet<_> = env.reserved().into_iter().collect();
    let lost: Vec<_> = answered.difference(&reserved).collect();
    assert!(lost.is_empty(), "{line}: lost {lost:?}");

    let (start, other) = (Instant::now(), Ports::claim(1));
    env.pk(format!("reserve {} --lock-timeout 1s", other.range()))
        .ok();
    env.pk(format!("release {} --lock-timeout 1s", other.at(0)))
        .ok();
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{line}: {:?}",
        start.elapsed()
    );

    let file = fs::read_to_string(env.path(".env")).unwrap();
    let port = file
        .strip_prefix("A=1\nPORT=")
        .and_then(|rest| rest.strip_suffix('\n'));
    assert!(
        port.is_some_and(|port| port.parse::<u16>().is_ok()),
        "{line}: {file:?}"
    );
}

/// What there is after commands that nobody killed.
fn healthy() -> BTreeSet<String> {
    let (env, ports) = (TestEnv::new(), Ports::claim(16));
    fs::write(env.path(".env"), "A=1\nPORT=1\n").unwrap();
    for command in COMMANDS {
        let port = env.pk(format!("reserve {}", ports.range())).ok().port();
        let line = command.replace("{range}", &ports.range());
        env.pk(line.replace("{port}", &port.to_string())).ok();
    }
    env.pk("release --mine").ok();
    env.pk("gc").ok();
    files(&env)
}

/// All files in the state folder but the backups, by their paths in it.
fn files(env: &TestEnv) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![env.state_folder()];
    while let Some(folder) = folders.pop() {
        for name in names(&folder) {
            let path = folder.join(&name);
            let is_backup = name.starts_with(".env.") || name == "path.txt";
            if path.is_dir() && !name.starts_with('.') {
                folders.push(path);
            } else if !is_backup {
                found.insert(
                    path.strip_prefix(env.state_folder())
                        .unwrap()
                        .display()
                        .to_string(),
                );
            }
        }
    }
    found
}

/// The names in a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let mut names: Vec<_> = entries
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
