//! Waiting for a port that is not free yet, and giving up.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::time::Duration;

use pk_tests::process::{eventually, is_alive, undisturbed};
use pk_tests::{Ports, Running, TestEnv, is_free};
use rustix::process::Signal;

const SOON: Duration = Duration::from_secs(10);
/// What it logs when it has tried in vain.
const IN_VAIN: &str = "candidate rejected";

/// Starts `reserve`, and returns when it has tried in vain.
fn waiting(env: &TestEnv, options: impl AsRef<str>) -> Running {
    let mut command = env.portkeeper(format!("reserve --wait 60s {}", options.as_ref()));
    command.env("PORTKEEPER_LOG", "debug");
    let mut running = env.start(command);
    running.says(IN_VAIN);
    running
}

fn children(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let numbers = children.split_whitespace();
    numbers.map(|number| number.parse().unwrap()).collect()
}

#[test]
fn a_release_is_noticed() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let strict = format!("--strict --preferred {}", ports.at(0));
    for options in ["", "--hold", "--foreground"] {
        env.pk(format!("reserve {}", ports.range())).ok();
        let mut running = waiting(&env, format!("{strict} {options}"));
        assert!(running.is_running());
        env.pk("release --mine").ok();
        let answer = running.answer();
        assert_eq!(answer.port(), ports.at(0), "{options}");
        assert_eq!(answer.json()["held"], !options.is_empty());
        running.signal(Signal::TERM);
        let _ = running.end();
        env.pk("release --mine").ok();
    }
}

#[test]
fn the_end_of_a_server_is_noticed() {
    let (env, ports) = (TestEnv::new(), Ports::claim(2));
    let server = undisturbed(|| TcpListener::bind(("127.0.0.1", ports.at(0))).unwrap());
    let of_datagrams = undisturbed(|| UdpSocket::bind(("127.0.0.1", ports.at(1))).unwrap());
    let tcp = waiting(&env, format!("--strict --preferred {}", ports.at(0)));
    let udp = waiting(
        &env,
        format!("--proto udp --strict --preferred {}", ports.at(1)),
    );
    undisturbed(|| drop(server));
    assert_eq!(tcp.end().ok().port(), ports.at(0));
    undisturbed(|| drop(of_datagrams));
    assert_eq!(udp.end().ok().port(), ports.at(1));
}

#[test]
fn the_end_of_a_lease_is_noticed() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    env.pk(format!("reserve --ttl 1s {}", ports.range())).ok();
    let running = waiting(&env, ports.range());
    assert_eq!(running.end().ok().port(), ports.at(0));
}

#[test]
fn giving_up_says_what_was_in_the_way_and_how_long() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    env.pk(format!("reserve --owner shop {}", ports.range()))
        .ok();
    let check = |options: String, expect: String| {
        let refused = env
            .pk(format!("reserve --wait 300ms --owner me {options}"))
            .refused(3);
        assert!(refused.took >= Duration::from_millis(300), "{refused:?}");
        let first = refused.stderr.lines().next().unwrap().to_owned();
        let told = first.strip_prefix("error: ").unwrap();
        let (told, waited) = told.split_once("; waited ").unwrap();
        assert!(told.starts_with(&expect), "{told}");
        let waited: f64 = waited.strip_suffix('s').unwrap().parse().unwrap();
        assert!(waited >= 0.3, "{waited}");
        assert_eq!(env.reserved(), [ports.at(0)]);
    };
    let port = ports.at(0);
    check(
        format!("--strict --preferred {port}"),
        format!("port {port} is reserved by shop"),
    );
    check(
        ports.range(),
        format!("no free port in {port}-{port}: 1 reserved (oldest: shop, "),
    );
}

#[test]
fn what_can_never_be_is_not_waited_for() {
    let (env, ports) = (TestEnv::new(), Ports::claim(2));
    let refused = env
        .pk(format!("reserve --wait 60s --count 3 {}", ports.range()))
        .refused(3);
    assert!(refused.took < SOON, "{refused:?}");
}

#[test]
fn one_holder_waits_and_an_interrupted_wait_leaves_nothing() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    env.pk(format!("reserve {}", ports.range())).ok();
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        let mut running = waiting(&env, format!("--hold {}", ports.range()));
        let holders = children(running.pid());
        assert_eq!(holders.len(), 1);
        for _ in 0..3 {
            running.says(IN_VAIN);
            assert_eq!(children(running.pid()), holders, "started once");
        }
        running.signal(signal);
        assert_eq!(running.end().code, None);
        eventually(SOON, "the holder has gone", || !is_alive(holders[0]));
        let sockets = fs::read_dir(env.root().join("run/portkeeper")).unwrap();
        assert_eq!(sockets.count(), 0);
        assert_eq!(env.reserved(), [ports.at(0)]);
    }
    env.pk("release --mine").ok();
    assert!(is_free(ports.at(0)));
}

#[test]
fn giving_up_ends_the_holder() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    env.pk(format!("reserve {}", ports.range())).ok();
    let mut command = env.portkeeper(format!("reserve --wait 500ms --hold {}", ports.range()));
    command.env("PORTKEEPER_LOG", "debug");
    let mut running = env.start(command);
    running.says(IN_VAIN);
    let holders = children(running.pid());
    assert_eq!(running.end().code, Some(3));
    eventually(SOON, "the holder has gone", || !is_alive(holders[0]));
}

#[test]
fn all_who_wait_for_one_port_get_it_in_turn() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    env.pk(format!("reserve {}", ports.range())).ok();
    let line = format!("--strict --preferred {} --foreground", ports.at(0));
    let mut crowd: Vec<_> = (0..4).map(|_| waiting(&env, &line)).collect();
    env.pk("release --mine").ok();
    while !crowd.is_empty() {
        let mut holder = None;
        eventually(SOON, "one of them has it", || {
            let entries = env.reservations();
            holder = entries.first().and_then(|it| it["holder_pid"].as_u64());
            assert!(entries.len() < 2, "{entries:?}");
            holder.is_some()
        });
        let holder = u32::try_from(holder.unwrap()).unwrap();
        let at = crowd.iter().position(|it| it.pid() == holder).unwrap();
        let mut running = crowd.swap_remove(at);
        assert_eq!(running.answer().port(), ports.at(0));
        running.signal(Signal::INT);
        assert_eq!(running.end().code, Some(0));
    }
}

#[test]
fn a_lease_begins_when_it_is_granted() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    env.pk(format!("reserve --ttl 2s {}", ports.range())).ok();
    let running = waiting(&env, format!("--ttl 1s {}", ports.range()));
    running.end().ok();
    // Counted from the start of the wait it would be over.
    assert_eq!(env.state(ports.at(0)).as_deref(), Some("leased"));
}
