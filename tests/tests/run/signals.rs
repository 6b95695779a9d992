//! Signals reach the program, and a terminal is the program's while it runs.

use std::process::Stdio;

use pk_tests::process::{eventually, signal};
use pk_tests::{Ports, TestEnv, has, skipped};
use rustix::process::Signal;

use super::{LIMIT, nothing_is_left, sh};

#[test]
fn signals_to_the_command_reach_the_program() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let _range = &ports.span();
    for (name, number) in [
        ("TERM", Signal::TERM),
        ("INT", Signal::INT),
        ("HUP", Signal::HUP),
        ("QUIT", Signal::QUIT),
        ("USR1", Signal::USR1),
        ("USR2", Signal::USR2),
        ("WINCH", Signal::WINCH),
    ] {
        let script = format!(
            "trap 'echo got {name}; exit 40' {name}; echo up; while read -r line; do :; done; while :; do sleep 0.01; done"
        );
        let mut run = sh(&env, &ports, &[], &script);
        run.close_stdin();
        assert_eq!(run.line(), "up");
        run.signal(number);
        assert_eq!(run.line(), format!("got {name}"));
        run.ends_with(40);
    }
    nothing_is_left(&env, ports.at(0));
}

#[test]
fn a_program_that_ignores_a_signal_goes_on() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let range = &ports.span();
    let script =
        "trap 'echo ignored' TERM; echo up; while ! read -r line; do :; done; echo $line; exit 5";
    let mut run = env.start_run(&["run", "--range", range, "--", "bash", "-c", script]);
    if !has("bash") {
        skipped("a program that ignores a signal: no bash");
        return;
    }
    assert_eq!(run.line(), "up");
    run.signal(Signal::TERM);
    assert_eq!(run.line(), "ignored");
    run.send("go on\n");
    assert_eq!(run.line(), "go on");
    run.ends_with(5);
}

#[test]
fn what_the_caller_ignores_is_not_caught() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let script = format!(
        "trap '' HUP; exec portkeeper run {} -- sh -c 'echo up; grep SigIgn /proc/$$/status; read -r line'",
        ports.range()
    );
    let mut command = env.command("sh");
    command.args(["-c", &script]).stdin(Stdio::piped());
    let mut run = env.start(command);
    assert_eq!(run.line(), "up");
    let ignored = run.line();
    let mask = u64::from_str_radix(ignored.split_whitespace().last().unwrap(), 16).unwrap();
    assert_eq!(mask & 1, 1, "SIGHUP is the first: {ignored}");
    run.signal(Signal::HUP);
    run.close_stdin();
    run.ends_with(1);
}

#[test]
fn a_stop_and_a_continuation_are_the_programs_too() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let _range = &ports.span();
    let mut run = sh(&env, &ports, &[], "echo $$; read -r line; exit 0");
    let program = run.number();
    run.signal(Signal::TSTP);
    eventually(LIMIT, "both stop", || {
        is_stopped(program) && is_stopped(run.pid())
    });
    run.signal(Signal::CONT);
    eventually(LIMIT, "both go on", || {
        !is_stopped(program) && !is_stopped(run.pid())
    });
    // One who stops the program alone stops nothing else.
    eventually(LIMIT, "it stops", || {
        // Again, for the last of the continuation may still be on its way.
        signal(program, Signal::STOP);
        is_stopped(program)
    });
    env.pk("status").ok();
    assert!(!is_stopped(run.pid()));
    signal(program, Signal::CONT);
    run.close_stdin();
    run.ends_with(0);
    nothing_is_left(&env, ports.at(0));
}

fn is_stopped(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit_once(')')
            .unwrap()
            .1
            .trim_start()
            .starts_with('T')
    })
}

/// A shell with job control, driven through a terminal.
#[test]
fn the_terminal_is_the_programs_and_the_shells_again() {
    if !has("python3") || !has("bash") {
        skipped("job control: no python3 or no bash");
        return;
    }
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    env.write("drive.py", include_str!("drive.py"));
    let mut command = env.command("python3");
    command.args(["drive.py", &ports.span()]);
    let answer = env.run(command).ok();
    assert!(answer.stdout.ends_with("done\n"), "{answer:#?}");
    nothing_is_left(&env, ports.at(0));
}
