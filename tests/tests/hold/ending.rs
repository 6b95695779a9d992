//! What ends a hold: its release, its time, its process, its death, the loss of its entry.

use std::time::Duration;

use pk_tests::process::{eventually, is_alive, signal};
use pk_tests::{Ports, TestEnv, is_free};
use rustix::process::Signal;

/// A holder looks after its own end; it may take a moment.
const SOON: Duration = Duration::from_secs(10);

fn held(options: &str) -> (TestEnv, u16, u32, Ports) {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let holder = env
        .pk(format!("reserve --hold {} {options}", ports.range()))
        .ok()
        .holder();
    let port = ports.at(0);
    assert!(!is_free(port) && is_alive(holder));
    assert_eq!(env.state(port).as_deref(), Some("held"));
    (env, port, holder, ports)
}

#[test]
fn release_returns_when_the_port_is_free() {
    let (env, port, holder, _ports) = held("");
    env.pk(format!("release {port}")).ok();
    assert!(is_free(port), "at once");
    assert!(!is_alive(holder), "and its holder has gone");
    assert_eq!(env.state(port), None);
}

#[test]
fn the_death_of_the_holder_frees_the_port_and_shows() {
    let (env, port, holder, _ports) = held("");
    signal(holder, Signal::KILL);
    eventually(SOON, "the holder is dead", || !is_alive(holder));
    assert_eq!(env.state(port).as_deref(), Some("stale"));
    assert!(is_free(port));
    assert_eq!(env.pk("gc").ok().json()["removed"][0]["port"], port);
    env.pk(format!("reserve --strict --preferred {port}")).ok();
}

#[test]
fn a_dead_hold_can_be_released() {
    let (env, port, holder, _ports) = held("");
    signal(holder, Signal::KILL);
    eventually(SOON, "the holder is dead", || !is_alive(holder));
    env.pk(format!("release {port}")).ok();
    assert_eq!(env.state(port), None);
}

#[test]
fn the_end_of_the_lease() {
    let (env, port, holder, _ports) = held("--ttl 1s");
    eventually(SOON, "the holder ends with the lease", || !is_alive(holder));
    assert!(is_free(port));
    assert_ne!(env.state(port).as_deref(), Some("held"));
    env.pk(format!("reserve --strict --preferred {port}")).ok();
}

#[test]
fn the_end_of_the_process() {
    let env = TestEnv::new();
    let mut child = env.bystander();
    let ports = Ports::claim(1);
    let line = format!("reserve --hold {} --pid {}", ports.range(), child.id());
    let holder = env.pk(line).ok().holder();
    assert_eq!(env.state(ports.at(0)).as_deref(), Some("held"));
    child.kill().unwrap();
    child.wait().unwrap();
    eventually(SOON, "the holder ends with the process", || {
        !is_alive(holder)
    });
    assert!(is_free(ports.at(0)));
    assert_ne!(env.state(ports.at(0)).as_deref(), Some("held"));
}

#[test]
fn the_loss_of_the_registry() {
    let (env, port, holder, _ports) = held("");
    std::fs::remove_file(env.registry()).unwrap();
    eventually(SOON, "the holder ends with its registry", || {
        !is_alive(holder)
    });
    assert!(is_free(port));
}

#[test]
fn the_loss_of_the_entry() {
    let (env, port, holder, _ports) = held("");
    let before = env.path("empty.json");
    env.pk(format!("--registry {} reserve --dry-run", before.display()))
        .ok();
    let other = format!("--registry {}", before.display());
    env.pk(format!("{other} reserve")).ok();
    env.pk(format!("{other} release --mine")).ok();
    std::fs::rename(before, env.registry()).unwrap();
    eventually(SOON, "the holder ends with its entry", || !is_alive(holder));
    assert!(is_free(port));
}

#[test]
fn a_failed_reserve_leaves_no_holder() {
    let (env, ports) = (TestEnv::new(), Ports::claim(2));
    env.pk(format!("reserve --hold --count 3 {}", ports.range()))
        .refused(3);
    env.pk(format!(
        "reserve --hold {} --write-env PORT --env-path missing/.env",
        ports.range()
    ))
    .refused(7);
    assert!(ports.all().all(is_free));
}
