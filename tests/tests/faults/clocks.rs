//! Clocks that jump, stop and differ. Leases count on one that does none of this.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use pk_tests::process::{eventually, spawn};
use pk_tests::{Ports, TestEnv, skipped};

const YEAR: i64 = 365 * 86_400;

/// What makes the wall clock of a program another one; `None`, with a word about it, where there is
/// no way to.
pub(crate) fn shift(env: &TestEnv) -> Option<PathBuf> {
    let library = env.root().join("clock.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/clock.c");
    let mut compile = Command::new("cc");
    compile
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .args([source, "-ldl"]);
    compile.stderr(Stdio::null());
    let compiled = spawn(&mut compile).and_then(|mut child| child.wait());
    if !compiled.is_ok_and(|status| status.success()) {
        skipped("another wall clock: no C compiler");
        return None;
    }
    let mut date = env.command("date");
    date.arg("+%Y")
        .env("LD_PRELOAD", &library)
        .env("SHIFT", "-1000000000");
    if env.run(date).stdout.trim() > "2010" {
        skipped("another wall clock: nothing is loaded into programs here");
        return None;
    }
    Some(library)
}

/// The program at another time.
pub(crate) fn at(env: &TestEnv, library: &PathBuf, seconds: i64, line: &str) -> Command {
    let mut command = env.portkeeper(line);
    command
        .env("LD_PRELOAD", library)
        .env("SHIFT", seconds.to_string());
    command
}

#[test]
fn f50_a_wall_clock_that_jumps_ends_no_lease_and_keeps_none() {
    let (env, ports) = (TestEnv::new(), Ports::claim(4));
    let Some(library) = shift(&env) else { return };
    env.pk(format!("reserve --preferred {} --ttl 1h", ports.at(0)))
        .ok();
    env.pk(format!("reserve --preferred {} --hold", ports.at(1)))
        .ok();
    for years in [-20, -10, 10, 20] {
        let seconds = years * YEAR;
        let reserve = format!("reserve --preferred {} --ttl 1s", ports.at(2));
        let made = env.run(at(&env, &library, seconds, &reserve)).ok().json();
        let year: i64 = made["expires"].as_str().unwrap()[..4].parse().unwrap();
        assert!(
            (year - 2026 - years).abs() < 15,
            "{made}: the clock is another one"
        );
        for line in ["gc", "status"] {
            env.run(at(&env, &library, seconds, line)).ok().sane();
        }
        assert_eq!(env.state(ports.at(0)).as_deref(), Some("leased"), "{years}");
        assert_eq!(env.state(ports.at(1)).as_deref(), Some("held"), "{years}");
        // The lease of one second ends after one second.
        eventually(Duration::from_secs(10), "it ends", || {
            env.state(ports.at(2)).as_deref() == Some("stale")
        });
        env.run(at(&env, &library, -seconds, "gc")).ok();
        assert_eq!(env.reserved(), [ports.at(0), ports.at(1)], "{years}");
    }
}

/// A machine that sleeps for a day has a clock that counts it, and one that does not.
#[test]
fn f51_leases_count_on_the_clock_that_counts_sleep() {
    let (env, ports) = (TestEnv::new(), Ports::claim(2));
    let line = format!("reserve --preferred {} --ttl 1h", ports.at(0));
    const SLEPT: u64 = 100_000;
    let slept = format!("-T --boottime {SLEPT} --fork");
    let Some(there) = env.unshared(&slept, "true", &env.portkeeper(line)) else {
        return;
    };
    env.run(there).ok();
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
    let uptime: f64 = uptime.split_whitespace().next().unwrap().parse().unwrap();
    let registry = std::fs::read_to_string(env.registry()).unwrap();
    let (_, ends) = registry.split_once("\"expires_boot_ms\":").unwrap();
    let ends: u64 = ends[..ends.find(|it: char| !it.is_ascii_digit()).unwrap()]
        .parse()
        .unwrap();
    let expect = uptime as u64 + SLEPT + 3600;
    assert!(
        (ends / 1000).abs_diff(expect) < 100,
        "{ends} ms, about {expect} s"
    );
}
