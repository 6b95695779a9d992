//! What it costs a program to be run by this one. Never compares what was not measured in turns: the
//! machine may be busy with other things.

use std::process::Stdio;
use std::time::{Duration, Instant};

use pk_tests::process::spawn;
use pk_tests::{Ports, TestEnv};

use crate::rival::ACTOR;

/// How often a whole command is timed, and how often a program that takes its own time.
const PAIRS: usize = 200;
const REPEATS: usize = 21;

/// A server may be slower by this part of its time, and no more.
const ALLOWED: f64 = 0.05;

/// Measures and prints; whether a server was slower than it may be.
pub(crate) fn print() -> bool {
    let env = TestEnv::new();
    let run = start(&env);
    println!(
        "`portkeeper run -- true` minus `true`   {:>8.1} ms",
        run * 1e3
    );
    let [bare, other, ours] = bind(&env);
    println!("one bind(2)                             {bare:>8.1} µs");
    println!("  of another port, when run             {other:>8.1} µs");
    println!("  of the held port, when run            {ours:>8.1} µs");
    let slower = accept(&env);
    println!(
        "10 000 connections accepted, when run   {:>+8.1} %",
        slower * 100.0
    );
    if slower > ALLOWED {
        println!("FAILED: more than {:.0} % slower", ALLOWED * 100.0);
    }
    slower > ALLOWED
}

/// Seconds that a run takes longer than the program alone.
fn start(env: &TestEnv) -> f64 {
    let time = |words: &[&str]| {
        let mut command = env.command(words[0]);
        command.args(&words[1..]).stdout(Stdio::null());
        let begun = Instant::now();
        assert!(spawn(&mut command).unwrap().wait().unwrap().success());
        begun.elapsed().as_secs_f64()
    };
    let pairs = (0..PAIRS).map(|_| time(&["portkeeper", "run", "--", "true"]) - time(&["true"]));
    median(pairs.collect())
}

/// Microseconds: alone, of another port when run, of the held port when run.
fn bind(env: &TestEnv) -> [f64; 3] {
    let took = |words: &[&str]| Duration::from_nanos(answer(env, words)).as_secs_f64() * 1e6;
    let mut all = [const { Vec::new() }; 3];
    for _ in 0..REPEATS {
        let run = [
            "portkeeper",
            "run",
            "--hand-over=adopt",
            "--",
            ACTOR,
            "bind",
        ];
        all[0].push(took(&[ACTOR, "bind", "0", "1000"]));
        all[1].push(took(&[&run[..], &["0", "1000"]].concat()));
        all[2].push(took(&[&run[..], &["{port}", "1000"]].concat()));
    }
    all.map(median)
}

/// The part of its time that a server takes longer.
fn accept(env: &TestEnv) -> f64 {
    let pair = || {
        let ports = Ports::claim(1);
        let port = ports.at(0).to_string();
        let alone = answer(env, &[ACTOR, "accept", &port, "10000"]);
        let run = [
            "portkeeper",
            "run",
            "--hand-over=adopt",
            "--",
            ACTOR,
            "accept",
        ];
        let run = answer(env, &[&run[..], &["{port}", "10000"]].concat());
        run as f64 / alone as f64 - 1.0
    };
    median((0..REPEATS).map(|_| pair()).collect())
}

/// The number that a command prints.
fn answer(env: &TestEnv, words: &[&str]) -> u64 {
    let mut command = env.command(words[0]);
    command.args(&words[1..]);
    env.run(command).ok().stdout.trim().parse().unwrap()
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
