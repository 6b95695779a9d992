//! Clocks that jump, stop and differ. Leases count on one that does none of this.

use std::time::Duration;

use pk_tests::process::eventually;
use pk_tests::{Ports, TestEnv, WallClock};

const YEAR: i64 = 365 * 86_400;

#[test]
fn f50_a_wall_clock_that_jumps_ends_no_lease_and_keeps_none() {
    let (env, ports) = (TestEnv::new(), Ports::claim(4));
    let Some(clock) = WallClock::of(&env) else {
        return;
    };
    env.pk(format!("reserve --preferred {} --ttl 1h", ports.at(0)))
        .ok();
    env.pk(format!("reserve --preferred {} --hold", ports.at(1)))
        .ok();
    for years in [-20, -10, 10, 20] {
        let seconds = years * YEAR;
        let reserve = format!("reserve --preferred {} --ttl 1s", ports.at(2));
        let made = env.run(clock.shifted(&env, seconds, &reserve)).ok().json();
        let year: i64 = made["expires"].as_str().unwrap()[..4].parse().unwrap();
        assert!(
            (year - 2026 - years).abs() < 15,
            "{made}: the clock is another one"
        );
        for line in ["gc", "status"] {
            env.run(clock.shifted(&env, seconds, line)).ok().sane();
        }
        assert_eq!(env.state(ports.at(0)).as_deref(), Some("leased"), "{years}");
        assert_eq!(env.state(ports.at(1)).as_deref(), Some("held"), "{years}");
        // The lease of one second ends after one second.
        eventually(Duration::from_secs(10), "it ends", || {
            env.state(ports.at(2)).as_deref() == Some("stale")
        });
        env.run(clock.shifted(&env, -seconds, "gc")).ok();
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
