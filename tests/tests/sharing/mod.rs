//! Several users and one registry: nobody gets what another has, and nobody can forge, change, hide
//! or release what is another's. The tests are named after the rows of the project's table of faults
//! (f…) and attacks (a…).

mod attacks;
mod group;
mod hostile;
mod kernel;
mod machine;
mod places;
mod quota;
mod setup;

use std::time::Duration;

use pk_tests::{Answer, TestEnv};
use serde_json::Value;

/// How long anything may take on a machine that is busy with others.
const LIMIT: Duration = Duration::from_secs(60);

/// What `status` lists about a port, seen by a user.
#[track_caller]
fn listed(env: &TestEnv, port: u16) -> Option<Value> {
    let found = env.reservations();
    found.into_iter().find(|entry| entry["port"] == port)
}

/// Reserves exactly this port.
fn reserve(env: &TestEnv, port: u16, options: &str) -> Answer {
    env.pk(format!("reserve --preferred {port} --strict {options}"))
}

/// Waiting for anything would be a fault.
#[track_caller]
fn quick(answer: Answer) -> Answer {
    assert!(answer.took < Duration::from_secs(5), "{answer:?}");
    answer
}
