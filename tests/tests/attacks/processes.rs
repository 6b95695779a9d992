//! Numbers of processes that are not what they seem, clocks that are set, descriptors that leak.

use std::fs;
use std::process::Stdio;

use pk_tests::process::{is_alive, signal, spawn};
use pk_tests::{Ports, TestEnv, WallClock};
use rustix::process::Signal;

/// Writes another process into the only entry of the registry.
fn forge(env: &TestEnv, pid: &str, start: &str) {
    let registry = fs::read_to_string(env.registry()).unwrap();
    let (head, tail) = registry.split_once("\"process\":{\"pid\":").unwrap();
    let (_, tail) = tail.split_once(",\"pidns\"").unwrap();
    let forged = format!("{head}\"process\":{{\"pid\":{pid},\"start\":{start},\"pidns\"{tail}");
    fs::write(env.registry(), forged).unwrap();
}

fn start_of(pid: u32) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split_whitespace().nth(19).unwrap().to_owned()
}

/// Whoever can write into a registry can name any process there; force ends none but a holder.
#[test]
fn a19_force_ends_nobody_but_the_holder() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let mut bystander = env.bystander();
    let held = env.pk(format!("reserve --hold {}", ports.range())).ok();
    signal(held.holder(), Signal::STOP);
    let (mine, start) = (held.holder(), start_of(held.holder()));
    let victim = (bystander.id().to_string(), start_of(bystander.id()));
    let this = (std::process::id().to_string(), start_of(std::process::id()));
    for (pid, start) in [
        victim,
        this,
        ("1".into(), start_of(1)),
        ("0".into(), "0".into()),
        ("2147483648".into(), "0".into()),
        ("4294967295".into(), "0".into()),
    ] {
        forge(&env, &pid, &start);
        let line = format!("release --force {}", ports.at(0));
        let answer = env.pk(&line).sane();
        assert!(
            is_alive(bystander.id()) && is_alive(1) && is_alive(mine),
            "{answer:?}"
        );
        // It is still held, and the registry does not say otherwise.
        assert!(!pk_tests::is_free(ports.at(0)));
        if answer.code == Some(7) {
            assert_eq!(env.state(ports.at(0)).as_deref(), Some("held"), "{pid}");
        }
    }
    drop(env.pk("gc").sane());
    assert!(is_alive(bystander.id()) && is_alive(mine));
    signal(mine, Signal::KILL);
    let _ = (start, bystander.kill(), bystander.wait());
}

/// A process that becomes another program is the same process; one whose number is given again is not
/// (f47); and what can't be a process is damage or nobody.
#[test]
fn a19_what_a_process_becomes_is_the_same_process() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let mut shell = env.command("sh");
    shell.args(["-c", "read line; echo $line; exec cat"]);
    shell.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut shell = spawn(&mut shell).unwrap();
    env.pk(format!("reserve {} --pid {}", ports.range(), shell.id()))
        .ok();
    use std::io::{BufRead as _, BufReader, Write as _};
    let mut input = shell.stdin.take().unwrap();
    let mut output = BufReader::new(shell.stdout.take().unwrap());
    let mut line = String::new();
    input.write_all(b"go\nover\n").unwrap();
    for expect in ["go\n", "over\n"] {
        line.clear();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, expect);
    }
    let name = fs::read_to_string(format!("/proc/{}/comm", shell.id())).unwrap();
    assert_eq!(name, "cat\n", "it is another program now");
    env.pk("gc").ok();
    assert_eq!(env.state(ports.at(0)).as_deref(), Some("leased"));
    drop(input);
    shell.wait().unwrap();
    assert_eq!(env.state(ports.at(0)).as_deref(), Some("stale"));
    for pid in ["0", "-1", "2147483648", "4294967296", "1x", ""] {
        let args = ["reserve", "--pid", pid];
        env.pk_args(&args).refused(2);
    }
}

/// Twenty years on, twenty years back, and a clock of its own: nothing ends by it.
#[test]
fn a20_no_clock_that_can_be_set_drops_anything() {
    let (env, ports) = (TestEnv::new(), Ports::claim(3));
    let mut process = env.bystander();
    for (index, how) in [
        (0, "--hold".to_owned()),
        (1, "--ttl 1h".to_owned()),
        (2, format!("--pid {}", process.id())),
    ] {
        env.pk(format!("reserve --preferred {} {how}", ports.at(index)))
            .ok();
    }
    let all: Vec<_> = ports.all().collect();
    const TWENTY_YEARS: i64 = 20 * 365 * 86_400;
    if let Some(clock) = WallClock::of(&env) {
        for seconds in [TWENTY_YEARS, -TWENTY_YEARS] {
            let gc = env
                .run(clock.shifted(&env, seconds, "gc --format json"))
                .ok();
            assert_eq!(gc.json()["removed"], serde_json::json!([]));
            assert_eq!(env.reserved(), all);
        }
    }
    for offset in ["1000000", "1000000000"] {
        let options = format!("-T --boottime {offset} --monotonic {offset} --fork");
        let gc = env.portkeeper("gc --format json");
        let Some(gc) = env.unshared(&options, "true", &gc) else {
            break;
        };
        assert_eq!(env.run(gc).ok().json()["removed"], serde_json::json!([]));
        assert_eq!(env.reserved(), all);
        // Nor is a holder taken for dead by whoever counts in another way.
        let status = env.portkeeper(format!("release {}", ports.at(0)));
        let status = env.unshared(&options, "true", &status).unwrap();
        env.run(status).ok();
        assert!(
            pk_tests::is_free(ports.at(0)),
            "it let go when it was asked"
        );
        env.pk(format!(
            "reserve --hold --strict --preferred {}",
            ports.at(0)
        ))
        .ok();
    }
    assert_eq!(env.state(ports.at(0)).as_deref(), Some("held"));
    process.kill().unwrap();
    process.wait().unwrap();
}

/// A program gets its three streams, and what it asks for.
#[test]
fn a22_no_descriptor_leaks_into_a_program() {
    let (env, ports) = (TestEnv::new(), Ports::claim(2));
    env.pk(format!("reserve --hold --preferred {}", ports.at(0)))
        .ok();
    let port = ports.at(1).to_string();
    // What the caller has left open is the program's, as with any other command.
    let mut direct = env.command("ls");
    direct.args(["-l", "/proc/self/fd"]);
    let direct = env.run(direct).ok().stdout;
    let mut before = listed(&direct);
    before.retain(|(_, target)| !target.starts_with("/proc/"));
    for way in ["auto", "relaxed", "close", "fd", "adopt"] {
        let answer = env.pk_args(&[
            "run",
            "--hand-over",
            way,
            "--preferred",
            &port,
            "--",
            "ls",
            "-l",
            "/proc/self/fd",
        ]);
        let answer = answer.ok();
        let open = listed(&answer.stdout);
        assert!(open.len() >= 3, "{answer:#?}");
        let ours = env.root().to_string_lossy().into_owned();
        for (number, target) in open {
            let is_ours = target.contains(&ours) || target.contains("registry");
            assert!(!is_ours, "{way}: {number} is {target}");
            // ls itself opens what it lists; with fd there is the socket that was asked for.
            let is_inherited = before.iter().any(|(other, _)| *other == number);
            let is_socket = target.starts_with("socket:") && way == "fd" && number == "3";
            let is_own = target.starts_with("/proc/");
            assert!(
                is_inherited || is_socket || is_own,
                "{way}: {number} {target}"
            );
        }
    }
}

/// The numbers and targets of descriptors that `ls -l` prints.
fn listed(text: &str) -> Vec<(&str, &str)> {
    let words = text.lines().filter_map(|line| {
        let (head, target) = line.split_once(" -> ")?;
        Some((head.rsplit_once(' ')?.1, target))
    });
    words.collect()
}
