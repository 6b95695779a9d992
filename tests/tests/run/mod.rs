//! A program on a port that is never free: how it starts, what reaches it, and that nothing of it
//! is left.

mod ending;
mod gap;
mod program;
mod restart;
mod servers;
mod signals;
mod take;

use std::fs;
use std::path::Path;
use std::time::Duration;

use pk_tests::process::{eventually, undisturbed};
use pk_tests::{Ports, Running, TestEnv, is_free};

/// How long anything may take on a machine that is busy with others.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs a script of the shell on one of the ports, with these options.
#[track_caller]
fn sh(env: &TestEnv, ports: &Ports, options: &[&str], script: &str) -> Running {
    let span = ports.span();
    let whole = ["run", "--range", &span];
    env.start_run(&[&whole, options, &["--", "sh", "-c", script]].concat())
}

/// Nothing is left of what ran on a port: no process, no reservation, no socket.
#[track_caller]
fn nothing_is_left(env: &TestEnv, port: u16) {
    eventually(LIMIT, "the last process ends", || {
        env.processes().is_empty()
    });
    assert!(is_free(port), "{port} is still bound");
    assert!(
        env.state(port).is_none_or(|state| state == "stale"),
        "{:?}",
        env.reservations()
    );
    let left = fs::read_dir(env.root().join("run/portkeeper"));
    let sockets: Vec<_> = left.into_iter().flatten().collect();
    assert!(sockets.is_empty(), "{sockets:?}");
}

/// The program that plays servers and rivals, where every user of this world can run it.
fn actor(env: &TestEnv) -> String {
    let path = env.root().join("actor");
    if !path.exists() {
        let built = Path::new(env!("CARGO_BIN_EXE_actor"));
        undisturbed(|| fs::copy(built, &path).unwrap());
    }
    path.to_str().expect("a path of ours").to_owned()
}
