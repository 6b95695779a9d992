//! The shapes of the answer: fields and their order for programs, sentences for people.

use std::net::{TcpListener, TcpStream};

use pk_tests::process::undisturbed;
use pk_tests::{Ports, TestEnv};

use super::why;

const SOCKET: [&str; 12] = [
    "address",
    "dual_stack",
    "remote",
    "state",
    "uid",
    "user",
    "pid",
    "command",
    "since",
    "no_new_privileges",
    "pids",
    "reservation",
];

#[test]
fn fields_and_their_order() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let port = ports.at(0);
    env.pk(format!("reserve {}", ports.range())).ok();
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let first = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let _second = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (closed, _) = listener.accept().unwrap();
    let _open = listener.accept().unwrap();
    undisturbed(|| drop((closed, first)));
    let answer = env.pk(format!("why {port}")).ok();
    assert!(answer.stdout.is_ascii());
    let answer = answer.object();
    assert_eq!(
        answer.names(),
        [
            "port",
            "verdict",
            "reason",
            "reservations",
            "listeners",
            "bound",
            "connections",
            "lingering",
            "udp",
            "addresses",
            "properties",
            "ephemeral_range",
            "advice",
        ]
    );
    assert_eq!(answer.list("listeners")[0].names(), SOCKET);
    assert_eq!(answer.list("connections")[0].names(), SOCKET);
    let check = |list: &str, expect: &[&str]| {
        assert_eq!(answer.list(list)[0].names(), expect, "{list}");
    };
    check("lingering", &["address", "remote", "state", "seconds_left"]);
    check("addresses", &["host", "state"]);
    check("advice", &["text", "command"]);
    // As in `status`.
    let status = env.pk("status").ok();
    let status = status.object().list("reservations");
    assert_eq!(answer.list("reservations")[0].names(), status[0].names());
}

#[test]
fn people_get_sentences() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let port = ports.at(0);
    env.pk(format!("reserve --hold --owner shop {}", ports.range()))
        .ok();
    for answer in [
        env.pk(format!("why {port} --format text")),
        env.terminal(&format!("portkeeper why {port}")),
    ] {
        let answer = answer.ok().sane();
        let lines: Vec<_> = answer.stdout.lines().collect();
        let first = format!("port {port} is held by shop (process ");
        assert!(lines[0].starts_with(&first), "{answer:#?}");
        let reserved = "  reserved   for 127.0.0.1 (tcp) by shop, ";
        assert!(lines[1].starts_with(reserved), "{answer:#?}");
        assert!(lines.contains(&"  room       for no server"), "{answer:#?}");
        let last = format!("to give it back: portkeeper release {port}");
        assert_eq!(lines.last(), Some(&&*last), "{answer:#?}");
    }
}

#[test]
fn numbers_that_are_special_are_told() {
    let env = TestEnv::new();
    // Whoever uses it: browsers refuse it.
    let blocked = why(&env, 6000);
    let properties = blocked["properties"].as_array().unwrap();
    assert!(properties.contains(&"browser-blocked".into()), "{blocked}");
    let told = env.pk("why 6000 --format text").ok();
    assert!(told.stdout.contains("browsers refuse to open it"));
}

#[test]
fn one_port_is_needed() {
    let env = TestEnv::new();
    for line in ["why", "why 0", "why 65536", "why -1", "why http", "why 1 2"] {
        env.pk(line).refused(2);
    }
}
