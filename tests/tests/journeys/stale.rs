//! The end of a reservation that nobody released: its time is over, its process has gone, the
//! machine was started again.

use std::time::Duration;

use pk_tests::process::{eventually, make_zombie};
use pk_tests::{Ports, TestEnv};

#[test]
fn f48_with_its_process() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let mut child = env.bystander();
    let line = format!("reserve --strict --preferred {}", ports.at(0));
    env.pk(format!("{line} --pid {}", child.id())).ok();
    assert_eq!(env.state(ports.at(0)).as_deref(), Some("leased"));
    env.pk(&line).refused(3);

    make_zombie(&child);
    assert_eq!(
        env.state(ports.at(0)).as_deref(),
        Some("stale"),
        "a zombie has ended"
    );
    child.wait().unwrap();
    assert_eq!(env.state(ports.at(0)).as_deref(), Some("stale"));
    env.pk(&line).ok();
    assert_eq!(env.state(ports.at(0)).as_deref(), Some("leased"));
}

#[test]
fn with_its_time() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let line = format!("reserve --strict --preferred {}", ports.at(0));
    env.pk(format!("{line} --ttl 1s")).ok();
    env.pk(&line).refused(3);
    eventually(Duration::from_secs(5), "the lease ends", || {
        env.state(ports.at(0)).as_deref() == Some("stale")
    });
    env.pk(&line).ok();
}

#[test]
fn never_if_asked() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let grant = env
        .pk(format!("reserve --ttl never {}", ports.range()))
        .ok()
        .json();
    assert!(grant["expires"].is_null(), "{grant}");
}

#[test]
fn f46_with_the_machine() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let line = format!("reserve --strict --preferred {}", ports.at(0));
    env.pk(&line).ok();
    let registry = std::fs::read_to_string(env.registry()).unwrap();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let before = registry.replace(boot.trim(), "00000000-0000-4000-8000-000000000000");
    assert_ne!(registry, before);
    std::fs::write(env.registry(), before).unwrap();
    assert_eq!(env.state(ports.at(0)).as_deref(), Some("stale"));
    env.pk(&line).ok();
    assert_eq!(
        env.reserved(),
        ports.all().collect::<Vec<_>>(),
        "once, not twice"
    );
}

#[test]
fn makes_room_in_a_full_range() {
    let (env, ports) = (TestEnv::new(), Ports::claim(40));
    let mut child = env.bystander();
    let line = format!("reserve {}", ports.range());
    env.pk(format!("{line} --count 40 --pid {}", child.id()))
        .ok();
    env.pk(&line).refused(3);
    child.kill().unwrap();
    child.wait().unwrap();
    env.pk(format!("{line} --count 40")).ok();
}

#[test]
fn a_process_that_is_not_there_is_refused() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let mut child = env.bystander();
    child.kill().unwrap();
    child.wait().unwrap();
    env.pk(format!("reserve {} --pid {}", ports.range(), child.id()))
        .refused(2);
    assert_eq!(env.reserved(), [0_u16; 0]);
}
