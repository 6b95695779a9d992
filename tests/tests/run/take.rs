//! From a holder to a program: the port is at no moment free in between.

use pk_tests::process::{eventually, is_alive};
use pk_tests::{Ports, TestEnv, is_free};

use super::{LIMIT, nothing_is_left};

/// How often two commands meet.
const ROUNDS: usize = 12;

#[test]
fn a_held_port_goes_to_a_program_and_its_holder_ends() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let port = ports.at(0).to_string();
    let held = env
        .pk(format!("reserve --hold --owner shop {}", ports.range()))
        .ok();
    let mut run = env.start_run(&["take", &port, "--", "sh", "-c", "echo $PORT {port}; cat"]);
    assert_eq!(run.line(), format!("{port} {port}"));
    eventually(LIMIT, "the holder ends", || !is_alive(held.holder()));
    let entries = env.reservations();
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(
        entries[0]["id"],
        held.json()["id"],
        "it is the same reservation"
    );
    assert_eq!(entries[0]["pid"], run.pid());
    assert_eq!(entries[0]["owner"], "shop");
    assert_eq!(entries[0]["expires"], serde_json::Value::Null);
    assert!(!is_free(ports.at(0)));
    run.close_stdin();
    run.ends_with(0);
    nothing_is_left(&env, ports.at(0));
}

#[test]
fn what_can_not_be_taken_stays_as_it_is() {
    let (env, ports) = (TestEnv::new(), Ports::claim(3));
    let [held, leased, free] = [0, 1, 2].map(|at| ports.at(at));
    let holder = env
        .pk(format!("reserve --hold --preferred {held}"))
        .ok()
        .holder();
    env.pk(format!("reserve --preferred {leased} --strict"))
        .ok();
    env.pk(format!("take {free} -- true")).refused(4);
    env.pk(format!("take {leased} -- true"))
        .refused(4)
        .says("not held");
    env.pk(format!("take {held} -- /no/such/program"))
        .refused(127);
    env.pk(format!("take {held} --env 1X -- true")).refused(2);
    env.pk(format!("take {held} --hand-over close -- sh {{fd}}"))
        .refused(2);
    assert!(is_alive(holder));
    assert_eq!(env.state(held).as_deref(), Some("held"));
    let mut run = env.start_run(&["take", &held.to_string(), "--", "sh", "-c", "echo up; cat"]);
    assert_eq!(run.line(), "up");
    env.pk(format!("take {held} -- true"))
        .refused(4)
        .says("runs");
    run.close_stdin();
    run.ends_with(0);
}

#[test]
fn of_two_who_take_one_gets_it() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let port = ports.at(0).to_string();
    for _ in 0..5 {
        env.pk(format!("reserve --hold {}", ports.range())).ok();
        let runs = [(); 4].map(|()| env.start_run(&["take", &port, "--", "sh", "-c", "echo up"]));
        let codes: Vec<_> = runs.map(|run| run.end().code.unwrap()).into();
        let winners = codes.iter().filter(|code| **code == 0).count();
        assert!(winners >= 1, "{codes:?}");
        assert!(
            codes.iter().all(|code| [0, 4, 7].contains(code)),
            "{codes:?}"
        );
        eventually(LIMIT, "all end", || env.processes().is_empty());
        nothing_is_left(&env, ports.at(0));
    }
}

/// Whoever is asked to let go while it hands the port over is the wrong one a moment later.
#[test]
fn a_release_meanwhile_finds_whoever_has_taken_it() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let port = ports.at(0);
    for _ in 0..ROUNDS {
        env.pk(format!("reserve --hold --preferred {port} --strict"))
            .ok();
        let run = env.start_run(&["take", &port.to_string(), "--", "cat"]);
        env.pk(format!("release {port}")).ok();
        // It came too late, or its program was ended.
        assert_ne!(run.end().code, Some(0));
        nothing_is_left(&env, port);
    }
}
