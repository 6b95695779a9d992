//! Why a port can't be had: each thing that can be the reason, made for real, and the answer to it.

mod answers;
mod registry;
mod sockets;
mod users;

use pk_tests::TestEnv;
use serde_json::Value;

/// What `why` answers about a port.
#[track_caller]
fn why(env: &TestEnv, port: u16) -> Value {
    let answer = env.pk(format!("why {port} --format json")).ok().sane();
    assert_eq!(answer.stderr, "", "{answer:?}");
    let why = answer.json();
    assert_eq!(why["port"], port);
    why
}

/// The state of an address, as `why` tells it: `free`, `taken`, …
#[track_caller]
fn room<'w>(why: &'w Value, host: &str) -> &'w str {
    let addresses = why["addresses"].as_array().expect("a list");
    let found = addresses.iter().find(|address| address["host"] == host);
    found.and_then(|it| it["state"].as_str()).expect("a word")
}

/// The commands that `why` advises.
#[track_caller]
fn advice(why: &Value) -> Vec<&str> {
    let advice = why["advice"].as_array().expect("a list");
    advice
        .iter()
        .filter_map(|it| it["command"].as_str())
        .collect()
}
