//! Ports that the registry knows: held, leased, ended, of another network namespace, unreadable.

use std::fs;

use pk_tests::{Ports, TestEnv};
use serde_json::Value;

use super::{advice, room, why};

#[test]
fn a_held_port_is_given_back_as_advised() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let port = ports.at(0);
    let grant = env.pk(format!("reserve --hold --owner shop/web {}", ports.range()));
    let grant = grant.ok();
    let held = why(&env, port);
    assert_eq!(held["verdict"], "held", "{held}");
    let expect = format!("held by shop/web (process {})", grant.holder());
    assert_eq!(held["reason"], expect);
    assert_eq!(held["reservations"][0]["id"], grant.json()["id"]);
    assert_eq!(held["reservations"][0]["state"], "held");
    let bound = held["bound"].as_array().unwrap();
    for socket in bound {
        assert_eq!(socket["pid"], grant.holder(), "{held}");
        assert_eq!(socket["reservation"], grant.json()["id"], "{held}");
    }
    assert_eq!(room(&held, "127.0.0.1"), "taken");
    assert_eq!(advice(&held), [format!("portkeeper release {port}")]);
    env.sh(advice(&held)[0]).ok();
    assert_eq!(why(&env, port)["verdict"], "free");
}

#[test]
fn a_lease_is_nobodys_socket() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let port = ports.at(0);
    env.pk(format!("reserve --owner shop/web {}", ports.range()))
        .ok();
    let reserved = why(&env, port);
    assert_eq!(reserved["verdict"], "reserved", "{reserved}");
    assert_eq!(reserved["reason"], "reserved by shop/web");
    assert_eq!(reserved["reservations"][0]["state"], "leased");
    assert_eq!(room(&reserved, "127.0.0.1"), "free");
    assert_eq!(advice(&reserved), [format!("portkeeper release {port}")]);
    // Whoever listens on it is what is in the way.
    let _server = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let taken = why(&env, port);
    assert_eq!(taken["verdict"], "in-use", "{taken}");
    assert_eq!(taken["listeners"][0]["reservation"], Value::Null);
    assert_eq!(taken["reservations"][0]["owner"], "shop/web");
}

#[test]
fn a_reservation_that_has_ended_is_shown_and_in_nobodys_way() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let port = ports.at(0);
    let mut child = env.bystander();
    env.pk(format!("reserve --pid {} {}", child.id(), ports.range()))
        .ok();
    child.kill().unwrap();
    child.wait().unwrap();
    let free = why(&env, port);
    assert_eq!(free["verdict"], "free", "{free}");
    assert_eq!(free["reservations"][0]["state"], "stale");
    let expect = format!("process {} has ended", child.id());
    assert_eq!(free["reservations"][0]["reason"], expect);
    assert_eq!(advice(&free).last(), Some(&"portkeeper gc"));
    env.pk("gc").ok();
    assert_eq!(why(&env, port)["reservations"], Value::Array(Vec::new()));
}

#[test]
fn another_network_namespace_is_in_nobodys_way() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    env.pk(format!("reserve {}", ports.range())).ok();
    let registry = fs::read_to_string(env.registry()).unwrap();
    let (_, rest) = registry.split_once("\"netns\":").unwrap();
    let number: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let elsewhere = registry
        .replace(&format!("\"netns\":{number}"), "\"netns\":999999999")
        .replace(&format!("@{number}\""), "@999999999\"");
    assert_ne!(registry, elsewhere);
    fs::write(env.registry(), elsewhere).unwrap();
    let free = why(&env, ports.at(0));
    assert_eq!(free["verdict"], "free", "{free}");
    assert_eq!(free["reservations"][0]["state"], "elsewhere");
    let text = env.pk(format!("why {} --format text", ports.at(0))).ok();
    assert!(text.stdout.contains("another network namespace"));
}

#[test]
fn a_damaged_entry_is_shown() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    env.pk(format!("reserve {}", ports.range())).ok();
    let registry = fs::read_to_string(env.registry()).unwrap();
    let damaged = registry.replace("\"uid\":", "\"uid\":\"x\",\"was\":");
    assert_ne!(registry, damaged);
    fs::write(env.registry(), damaged).unwrap();
    let shown = why(&env, ports.at(0));
    assert_eq!(shown["reservations"][0]["state"], "damaged", "{shown}");
    env.pk(format!("why {} --format text", ports.at(0))).ok();
}

#[test]
fn asking_creates_nothing() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let before = env.everything();
    why(&env, ports.at(0));
    assert_eq!(env.everything(), before);
}
