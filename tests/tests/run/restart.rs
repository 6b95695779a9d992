//! A program that fails is started again, on a port that was never free.

use pk_tests::{Ports, TestEnv};
use rustix::process::Signal;

use super::{nothing_is_left, sh};

#[test]
fn a_failure_is_a_new_start_and_success_is_the_end() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let _range = &ports.span();
    let script = "echo x >> starts; test $(wc -l < starts) = 3";
    let run = sh(&env, &ports, &["--restart"], script);
    let errors = run.ends_with(0);
    assert_eq!(env.read("starts").unwrap(), "x\nx\nx\n");
    let told = errors
        .lines()
        .filter(|line| line.contains("started again"))
        .count();
    assert_eq!(told, 2, "{errors:?}");
    nothing_is_left(&env, ports.at(0));
}

#[test]
fn one_that_is_told_to_end_is_not_started_again() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let _range = &ports.span();
    let script = "trap 'exit 9' TERM; echo up; while :; do sleep 0.01; done";
    let mut run = sh(&env, &ports, &["--restart"], script);
    assert_eq!(run.line(), "up");
    run.signal(Signal::TERM);
    run.ends_with(9);
    nothing_is_left(&env, ports.at(0));
}

#[test]
fn one_that_waits_for_its_next_start_ends_at_once() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let range = &ports.span();
    let mut run = env.start_run(&["run", "--range", range, "--restart", "--", "false"]);
    for pause in ["0.1 s", "0.2 s", "0.4 s", "0.8 s", "1.6 s"] {
        run.says(&format!("again in {pause}"));
    }
    run.signal(Signal::INT);
    run.ends_with(130);
    nothing_is_left(&env, ports.at(0));
}

#[test]
fn what_a_failed_program_left_is_gone_before_the_next_start() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let _range = &ports.span();
    // The first leaves a child behind; the second sees whether it is there.
    let script = "if test -e child; then kill -0 $(cat child) 2>/dev/null && echo there || echo gone; exit 0; fi
        setsid sleep 1000 & echo $! > child; exit 1";
    let mut run = sh(&env, &ports, &["--restart"], script);
    assert_eq!(run.line(), "gone");
    run.ends_with(0);
    nothing_is_left(&env, ports.at(0));
}
