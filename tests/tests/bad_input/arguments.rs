//! Arguments and variables that make no sense.

use std::time::Duration;

use pk_tests::{Ports, TestEnv};

#[test]
fn values_out_of_range_are_exit_2() {
    let check = |args: &[&str]| {
        let env = TestEnv::new();
        let answer = env.pk_args(args).refused(2);
        assert!(answer.took < Duration::from_secs(1), "{answer:?}");
        assert_eq!(answer.stdout, "");
        assert!(!env.state_folder().exists(), "{answer:?}");
    };
    check(&["reserve", "--preferred", "0"]);
    check(&["reserve", "--preferred", "65536"]);
    check(&["reserve", "--preferred", "-1"]);
    check(&["reserve", "--preferred", "http"]);
    check(&["reserve", "--preferred", ""]);
    check(&["reserve", "--range", "9", "1"]);
    check(&["reserve", "--range", "9-1"]);
    check(&["reserve", "--range", "9000"]);
    check(&["reserve", "--range", "0", "10"]);
    check(&["reserve", "--range", "1", "99999999999"]);
    check(&["reserve", "--range", "1-99999999999"]);
    check(&["reserve", "--count", "0"]);
    check(&["reserve", "--count", "-1"]);
    check(&["reserve", "--count", "99999999999"]);
    check(&["reserve", "--ttl", "soon"]);
    check(&["reserve", "--ttl", "-1s"]);
    check(&["reserve", "--ttl", "99999999999999999999h"]);
    check(&["reserve", "--pid", "0"]);
    check(&["reserve", "--pid", "-1"]);
    check(&["reserve", "--pid", "2147483648"]);
    check(&["reserve", "--host", "0x7f.1"]);
    check(&["reserve", "--host", "127.0.0.1\nX=1"]);
    check(&["reserve", "--host", "example.org"]);
    check(&["reserve", "--format", "xml"]);
    check(&["reserve", "--lock-timeout", "1 fortnight"]);
    check(&["reserve", "--strict"]);
    check(&["reserve", "--write-env", "A=B\nEVIL"]);
    check(&["reserve", "--write-env", "A\nB"]);
    check(&["reserve", "--write-env", ""]);
    check(&["reserve", "--no-such-option"]);
    check(&["reserve", "8080"]);
    check(&["release"]);
    check(&["release", "0"]);
    check(&["release", "65536"]);
    check(&["status", "99999"]);
    check(&["no-such-command"]);
    check(&[]);
}

#[test]
fn f27_owners_are_one_plain_line() {
    let check = |owner: &str, code: i32| {
        let (env, ports) = (TestEnv::new(), Ports::claim(1));
        let port = ports.at(0).to_string();
        let answer = env.pk_args(&["reserve", "--preferred", &port, "--owner", owner]);
        match code {
            0 => assert_eq!(answer.ok().sane().json()["owner"], owner),
            code => assert_eq!(answer.refused(code).stdout, ""),
        }
    };
    check("shop/web (staging) ", 0);
    check(&"ü".repeat(256), 0);
    check(&"ü".repeat(257), 2);
    check(&"x".repeat(100_000), 2);
    check("\u{1b}]0;x\u{7}\u{1b}[2J", 2);
    check("\u{9b}31m", 2);
    check("a\nb", 2);
    check("\u{202e}gpj", 2);
    check("\u{2028}", 2);
}

#[test]
fn f56_homes_that_cannot_be_trusted_are_refused() {
    let check = |home: Option<&str>, code: i32| {
        let env = TestEnv::new();
        let mut command = env.portkeeper("reserve");
        command.env_remove("PORTKEEPER_REGISTRY");
        match home {
            Some(home) => command.env("HOME", home),
            None => command.env_remove("HOME"),
        };
        env.run(command).refused(code)
    };
    check(Some("relative/home"), 2).says("HOME");
    check(Some("."), 2).says("HOME");
    nobody_has_no_home();
    // A path that was named needs no home at all.
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let mut command = env.portkeeper(format!("reserve {}", ports.range()));
    env.run({
        command.env("HOME", "relative");
        command
    })
    .ok();
}

/// A user that no list of users knows, without HOME, as in a container.
fn nobody_has_no_home() {
    let Some(env) = TestEnv::plain_user() else {
        return;
    };
    if std::fs::read_to_string("/etc/passwd")
        .unwrap()
        .contains(":61001:")
    {
        return pk_tests::skipped("a user without a name: 61001 has one");
    }
    for home in [None, Some("")] {
        let mut command = env.portkeeper("reserve");
        command.env_remove("PORTKEEPER_REGISTRY").env_remove("HOME");
        command.envs(home.map(|home| ("HOME", home)));
        env.run(command).refused(2).says("HOME");
    }
    // Neither a home nor a runtime folder is needed by what was named.
    let (temp, ports) = (env.root().join("run"), Ports::claim(1));
    let mut command = env.portkeeper(format!("reserve --hold {}", ports.range()));
    command
        .env_remove("HOME")
        .env_remove("XDG_RUNTIME_DIR")
        .env("TMPDIR", &temp);
    env.run(command).ok();
}

/// Root that runs with the environment of a user must not leave files of root there.
#[test]
fn f57_the_home_of_somebody_else_is_refused() {
    let Some(theirs) = TestEnv::plain_user() else {
        return;
    };
    let env = TestEnv::new();
    let mut command = env.portkeeper("reserve");
    command
        .env_remove("PORTKEEPER_REGISTRY")
        .env("HOME", theirs.root().join("home"));
    env.run(command).refused(8);
    assert!(!theirs.state_folder().exists());
}

#[test]
fn a_privileged_port_without_the_right_is_exit_8() {
    let start = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    if start.trim() != "1024" {
        return pk_tests::skipped("privileged ports: this machine has its own rule");
    }
    let Some(env) = TestEnv::plain_user() else {
        return;
    };
    for how in ["--strict", "--range 1010 1030", ""] {
        env.pk(format!("reserve --preferred 1011 {how}"))
            .refused(8)
            .says("1011");
    }
    assert!(env.reservations().is_empty());
    // One that nobody asked for by its number is passed by.
    env.pk("reserve --range 1022 1100").ok();
    env.pk("env set --create PORT=1022").ok();
    env.pk("reserve --range 1022 1100 --write-env PORT").ok();
}

#[test]
fn f58_a_folder_that_is_gone_stops_only_what_needs_it() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let gone = "mkdir gone; cd gone; rmdir ../gone;";
    env.sh(&format!("{gone} portkeeper reserve {}", ports.range()))
        .ok();
    env.sh(&format!("{gone} portkeeper --registry here.json reserve"))
        .refused(7);
}
