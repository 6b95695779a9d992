//! The end of a program: whoever dies, nothing of it is left, and its port is free only then.

use pk_tests::process::{eventually, signal};
use pk_tests::{Ports, Running, TestEnv, is_free};
use rustix::process::Signal;

use super::{LIMIT, nothing_is_left, sh};

/// A program that says `up` and then waits, and its children with it: one in the background, one
/// that has left the group, the session and its parent.
const FAMILY: &str = "
    sleep 1000 & background=$!
    setsid sh -c 'setsid sleep 1000 & echo $!'
    echo $background; echo $$; echo up; wait";

fn family(env: &TestEnv, ports: &Ports) -> (Running, [u32; 3]) {
    let mut run = sh(env, ports, &[], FAMILY);
    let pids = [(); 3].map(|()| run.number());
    assert_eq!(run.line(), "up");
    (run, pids)
}

/// The supervisor: the parent of the program.
fn supervisor(env: &TestEnv, run: &Running) -> u32 {
    let is_it = |pid: &u32| {
        let words = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        *pid != run.pid() && words.contains("__hold\0run")
    };
    env.processes()
        .into_iter()
        .find(is_it)
        .expect("a supervisor")
}

#[test]
fn what_a_program_leaves_behind_ends_with_it() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let (run, [_, _, program]) = family(&env, &ports);
    signal(program, Signal::KILL);
    run.ends_with(137);
    nothing_is_left(&env, ports.at(0));
}

#[test]
fn what_does_not_listen_is_killed() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let _range = &ports.span();
    let script = "trap '' TERM; setsid sh -c \"trap '' TERM; echo up; sleep 1000 & wait; sleep 1000\" & wait $!; exit";
    let mut run = sh(&env, &ports, &[], script);
    assert_eq!(run.line(), "up");
    // The program ends, and what it left ignores that it is asked to.
    let program = env.processes().into_iter().find(|pid| {
        std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|it| it.contains("wait $!; exit") && it.starts_with("sh"))
    });
    signal(program.expect("the program"), Signal::KILL);
    run.ends_with(137);
    nothing_is_left(&env, ports.at(0));
}

#[test]
fn when_the_command_is_killed_its_program_ends() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let (run, _) = family(&env, &ports);
    run.signal(Signal::KILL);
    assert_eq!(run.end().code, None);
    nothing_is_left(&env, ports.at(0));
    env.pk("gc").ok();
    assert_eq!(env.reserved(), [0; 0]);
}

#[test]
fn when_the_supervisor_is_killed_its_program_ends() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let (run, _) = family(&env, &ports);
    signal(supervisor(&env, &run), Signal::KILL);
    let errors = run.ends_with(7);
    assert!(errors.contains("supervisor"), "{errors:?}");
    nothing_is_left_but_the_socket(&env, ports.at(0));
}

#[test]
fn when_both_are_killed_the_program_itself_ends() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let _range = &ports.span();
    let mut run = sh(&env, &ports, &[], "echo up; exec sleep 1000");
    assert_eq!(run.line(), "up");
    let supervisor = supervisor(&env, &run);
    signal(supervisor, Signal::STOP);
    run.signal(Signal::KILL);
    signal(supervisor, Signal::KILL);
    assert_eq!(run.end().code, None);
    nothing_is_left_but_the_socket(&env, ports.at(0));
}

/// A killed supervisor can't remove the name of its control socket; the next `gc` does.
#[track_caller]
fn nothing_is_left_but_the_socket(env: &TestEnv, port: u16) {
    eventually(LIMIT, "the last process ends", || {
        env.processes().is_empty()
    });
    assert!(is_free(port));
    env.pk("gc").ok();
    nothing_is_left(env, port);
}

#[test]
fn a_release_ends_the_program() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let (run, _) = family(&env, &ports);
    env.pk(format!("release {}", ports.at(0))).ok();
    assert!(
        is_free(ports.at(0)),
        "when release returns, the port is free"
    );
    let errors = run.ends_with(143);
    assert!(errors.contains("released"), "{errors:?}");
    nothing_is_left(&env, ports.at(0));
}

#[test]
fn the_end_of_the_lease_ends_the_program() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let range = &ports.span();
    let run = env.start_run(&[
        "run", "--range", range, "--ttl", "1s", "--", "sleep", "1000",
    ]);
    run.ends_with(143);
    nothing_is_left(&env, ports.at(0));
}

#[test]
fn the_end_of_the_process_it_is_tied_to_ends_the_program() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let mut bystander = env.bystander();
    let (_range, pid) = (&ports.span(), bystander.id().to_string());
    let mut run = sh(&env, &ports, &["--pid", &pid], "echo up; cat");
    assert_eq!(run.line(), "up");
    drop(bystander.stdin.take());
    bystander.wait().unwrap();
    run.ends_with(143);
    nothing_is_left(&env, ports.at(0));
}

#[test]
fn one_that_does_not_listen_in_time_is_ended() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let range = ports.range();
    env.pk(format!("run {range} --ready 100ms -- sleep 1000"))
        .refused(1)
        .says("0.1 s");
    nothing_is_left(&env, ports.at(0));
}
