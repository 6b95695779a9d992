//! Nowhere to print the answer: the port is named on standard error, and the exit code says so.

use std::fs::File;
use std::process::Stdio;

use pk_tests::{Answer, Ports, TestEnv};
use rustix::pipe::pipe;

/// Reserves with this standard output.
fn reserve_into(stdout: Stdio) -> (Answer, u16) {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let mut command = env.portkeeper(format!("reserve {}", ports.range()));
    command.stdout(stdout).stderr(Stdio::piped());
    (env.run_as_is(command), ports.at(0))
}

#[test]
fn a_full_disk() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let (answer, port) = reserve_into(full.into());
    answer.refused(7).says(port.to_string());
}

#[test]
fn a_reader_that_has_gone() {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let (answer, port) = reserve_into(writer.into());
    answer.refused(7).says(port.to_string());
}

#[test]
fn a_status_that_nobody_reads() {
    let env = TestEnv::new();
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let mut command = env.portkeeper("status");
    command.stdout(writer).stderr(Stdio::piped());
    env.run_as_is(command).refused(7);
}

/// The Rust runtime puts /dev/null in the place of a closed stream, so this counts as read.
#[test]
fn a_closed_stream() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let answer = env
        .sh(&format!("exec portkeeper reserve {} >&-", ports.range()))
        .sane();
    assert!(matches!(answer.code, Some(0 | 7)), "{answer:?}");
    assert_eq!(env.reserved(), ports.all().collect::<Vec<_>>());
    env.sh("exec portkeeper release --mine <&- >&- 2>&-").ok();
}
