//! The same port, asked about by root and by somebody without rights.

use std::net::TcpListener;

use pk_tests::{Ports, TestEnv};
use serde_json::Value;

use super::{advice, room, why};

#[test]
fn another_users_program_is_unknown_and_its_user_is_not() {
    let Some(env) = TestEnv::plain_user() else {
        return;
    };
    let ports = Ports::claim(1);
    let port = ports.at(0);
    let _server = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let taken = why(&env, port);
    assert_eq!(taken["verdict"], "in-use", "{taken}");
    let listener = &taken["listeners"][0];
    assert_eq!(listener["uid"], 0);
    assert_eq!(listener["user"], "root");
    assert_eq!(listener["pid"], Value::Null, "{taken}");
    assert_eq!(listener["pids"], Value::Array(Vec::new()));
    let reason = taken["reason"].as_str().unwrap();
    assert_eq!(
        reason,
        "in use by a program of root that can't be seen from here on 127.0.0.1"
    );
    assert_eq!(advice(&taken)[0], format!("sudo portkeeper why {port}"));
    // Root sees it.
    let seen = why(&TestEnv::new(), port);
    assert_eq!(seen["listeners"][0]["pid"], std::process::id());
}

#[test]
fn another_users_hold_is_not_ones_own() {
    let Some(other) = TestEnv::plain_user() else {
        return;
    };
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let port = ports.at(0);
    env.pk(format!("reserve --hold {}", ports.range())).ok();
    let held = why(&other, port);
    assert_eq!(held["verdict"], "held", "{held}");
    assert_eq!(held["reservations"], Value::Array(Vec::new()));
    assert_eq!(held["bound"][0]["reservation"], Value::Null);
    assert_eq!(advice(&held)[0], format!("sudo portkeeper why {port}"));
    // One's own is seen in full, by a user without rights too.
    env.pk(format!("release {port}")).ok();
    let grant = other.pk(format!("reserve --hold {}", ports.range())).ok();
    let held = why(&other, port);
    assert_eq!(held["verdict"], "held", "{held}");
    assert_eq!(held["bound"][0]["pid"], grant.holder());
    assert_eq!(advice(&held), [format!("portkeeper release {port}")]);
}

#[test]
fn a_privileged_number_is_told_from_one_in_use() {
    let Some(env) = TestEnv::plain_user() else {
        return;
    };
    let from = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    let from: u16 = from.trim().parse().unwrap();
    // One that nobody uses; who asks binds nothing.
    let free = (1..from).rev().find(|&port| {
        let why = why(&TestEnv::new(), port);
        why["verdict"] == "free"
    });
    let Some(port) = free else {
        pk_tests::skipped("a privileged port: there are none that are free");
        return;
    };
    let denied = why(&env, port);
    assert_eq!(denied["verdict"], "privileged", "{denied}");
    assert_eq!(denied["properties"][0], "privileged");
    assert_eq!(room(&denied, "127.0.0.1"), "denied");
}
