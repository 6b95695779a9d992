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

const KILLS: u16 = 240;

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
    let (env, ports) = (TestEnv::new(), Ports::claim(2 * KILLS));
    fs::write(env.path(".env"), "A=1\nPORT=1\n").unwrap();
    let mut answered: BTreeSet<u16> = BTreeSet::new();
    let (mut killed, mut holders) = (0, Vec::new());
    let longest = COMMANDS.map(uninterrupted);
    for kill in 0..KILLS {
        let index = usize::from(kill) % COMMANDS.len();
        // Whoever is being released may or may not be there afterwards.
        let port = if COMMANDS[index].contains("{port}") {
            answered.pop_first()
        } else {
            None
        };
        let line = COMMANDS[index]
            .replace("{range}", &ports.range())
            .replace("{port}", &port.unwrap_or(ports.at(0)).to_string());
        // The golden ratio spreads the moments evenly, however many there are.
        let moment = (f64::from(kill) * 0.618_034).fract() * 1.1;
        let (ended, stdout) = kill_after(&env, &line, longest[index].mul_f64(moment));
        killed += u16::from(!ended);
        if COMMANDS[index].starts_with("reserve") && stdout.ends_with('\n') {
            for grant in grants(&stdout) {
                answered.insert(u16::try_from(grant["port"].as_u64().unwrap()).unwrap());
                holders.extend(grant["holder_pid"].as_u64());
            }
        }
        check_whole(&env, &answered, &line);
    }
    assert!(
        killed > KILLS / 3,
        "only {killed} of {KILLS} came in time to kill anything"
    );

    env.pk("release --mine").ok();
    env.pk("gc").ok();
    assert_eq!(env.reserved(), [0_u16; 0]);
    for holder in holders {
        let holder = u32::try_from(holder).unwrap();
        eventually(Duration::from_secs(10), "no holder stays", || {
            !is_alive(holder)
        });
    }
    let healthy = healthy();
    assert_eq!(names(&env.path("")), [".env"]);
    let extra: Vec<_> = names(&env.state_folder());
    let extra: Vec<_> = extra
        .into_iter()
        .filter(|name| !healthy.contains(name))
        .collect();
    assert!(extra.is_empty(), "left over: {extra:?}");
    let live = env.registry().with_extension("json.live");
    assert!(
        !live.exists() || names(&live).is_empty(),
        "left over: {:?}",
        names(&live)
    );
}

/// How long `command` takes when it is left alone: the longest of a few runs.
fn uninterrupted(command: &str) -> Duration {
    let (env, ports) = (TestEnv::new(), Ports::claim(16));
    let runs = (0..5).map(|_| {
        let port = env
            .pk(format!("reserve {}", ports.range()))
            .ok()
            .port()
            .to_string();
        let line = command
            .replace("{range}", &ports.range())
            .replace("{port}", &port);
        let took = env.pk(line).ok().took;
        env.pk("release --mine").ok();
        took
    });
    runs.max().expect("five runs")
}

/// Starts a command and kills it after a while; whether it had ended before, and what it said.
fn kill_after(env: &TestEnv, line: &str, moment: Duration) -> (bool, String) {
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
    (child.wait().unwrap().code().is_some(), stdout)
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

/// The names in the state folder after commands that nobody killed.
fn healthy() -> Vec<String> {
    let (env, ports) = (TestEnv::new(), Ports::claim(16));
    for command in COMMANDS {
        let port = env
            .pk(format!("reserve {}", ports.range()))
            .ok()
            .port()
            .to_string();
        env.pk(command
            .replace("{range}", &ports.range())
            .replace("{port}", &port))
            .ok();
    }
    // Twice, for the backup that only a second value needs.
    env.pk(COMMANDS[1].replace("{range}", &ports.range())).ok();
    env.pk("release --mine").ok();
    env.pk("gc").ok();
    names(&env.state_folder())
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
