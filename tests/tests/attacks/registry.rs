//! A registry that was exchanged or written by somebody who means harm.

use std::fs::{self, File};

use pk_tests::process::signal;
use pk_tests::{Ports, TestEnv};
use rustix::process::Signal;

/// Yesterday's registry is put back: what it says is believed only as far as it can be checked, and
/// somebody is told.
#[test]
fn a09_an_old_registry_that_is_put_back_is_noticed() {
    let (env, ports) = (TestEnv::new(), Ports::claim(4));
    let reserve = |index: u16, how: &str| {
        let line = format!("reserve --strict --preferred {} {how}", ports.at(index));
        env.pk(line)
    };
    let held = reserve(0, "--hold").ok();
    reserve(1, "").ok();
    let old = fs::read(env.registry()).unwrap();
    signal(held.holder(), Signal::KILL);
    env.pk(format!("release {}", ports.at(1))).ok();
    reserve(2, "").ok();
    let fence = env.reservations().last().unwrap()["fence"]
        .as_u64()
        .unwrap();
    fs::write(env.registry(), &old).unwrap();

    env.pk("status").ok().says("an older copy");
    let checkup = env.pk("doctor").json();
    assert_eq!(checkup["findings"][0]["code"], "older-copy", "{checkup:#}");
    assert_eq!(env.state(ports.at(0)).as_deref(), Some("stale"));
    let answer = reserve(3, "").ok().says("an older copy");
    let now = env.reservations();
    let granted = now.iter().find(|it| it["port"] == answer.port()).unwrap();
    assert!(granted["fence"].as_u64().unwrap() > fence, "{granted}");
    // Said once; what is dead is dropped, what was copied is alive until somebody releases it.
    assert_eq!(env.pk("gc").ok().stderr, "");
    assert_eq!(env.reserved(), [ports.at(1), ports.at(3)]);

    // That of another boot is void altogether.
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let old = String::from_utf8(old).unwrap();
    let other = old.replace(boot.trim(), "00000000-0000-4000-8000-000000000000");
    fs::write(env.registry(), other).unwrap();
    env.pk("gc").ok().says("an older copy");
    assert_eq!(env.reserved(), [0_u16; 0]);
}

/// Documents that would cost a careless reader its stack, its memory or its time.
#[test]
fn a14_json_bombs_are_refused_or_set_aside_at_once() {
    const HEAD: &str = r#"{"schema":"portkeeper/registry","version":1,"boot_id":"BOOT","entries":"#;
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let brackets = "[".repeat(100_000);
    let key = "k".repeat(1 << 20);
    let digits = "9".repeat(400);
    let number = r#"{"$serde_json::private::Number":"8080"}"#;
    let raw = r#"{"$serde_json::private::RawValue":"8080"}"#;
    let check = |entries: String, damaged: usize| {
        let (env, ports) = (TestEnv::new(), Ports::claim(1));
        env.pk("gc").ok();
        let text = format!("{}{entries}}}", HEAD.replace("BOOT", boot.trim()));
        fs::write(env.registry(), text).unwrap();
        let limited = |line: &str| {
            let answer = env.sh(&format!("ulimit -v 1000000 -s 512; exec portkeeper {line}"));
            assert!(answer.took.as_secs() < 30, "{line}: {:?}", answer.took);
            answer.sane()
        };
        let shown = &entries[..entries.len().min(60)];
        let status = limited("status --format json").ok().json();
        let entries = status["reservations"].as_array().unwrap();
        assert_eq!(entries.len(), damaged, "{shown}");
        assert!(
            entries.iter().all(|entry| entry["state"] == "damaged"),
            "{shown}"
        );
        limited("status --format text").ok();
        limited("gc").ok();
        limited(&format!("reserve {}", ports.range())).ok();
        let found = limited("doctor");
        assert_eq!(found.code, Some(1), "{shown}");
    };
    let entry = |port: &str| format!(r#"{{"tcp/127.0.0.1:1@1":{{"id":"a","port":{port}}}}}"#);
    check(brackets.clone(), 0);
    check(format!(r#"{{"tcp/127.0.0.1:1@1":{brackets}}}"#), 0);
    check(format!(r#"{{"{key}":1}}"#), 1);
    check(format!(r#"{{"tcp/127.0.0.1:1@1":"{key}"}}"#), 1);
    check(entry(&digits), 1);
    check(entry(&format!("1e{digits}")), 1);
    check(entry(&format!("0.{digits}")), 1);
    check(entry(number), 1);
    check(entry(raw), 1);
    check(format!(r#"{{"tcp/127.0.0.1:1@1":{number}}}"#), 1);
    check(format!(r#"{{"tcp/127.0.0.1:1@1":{raw}}}"#), 1);
    check(
        format!("{{{}}}", r#""a":1,"#.repeat(20_000) + "\"a\":1"),
        20_001,
    );
    // What people keep in their own files is bombed no better.
    let env = TestEnv::new();
    for (content, code) in [
        (brackets.as_bytes(), 6),
        (b"{\"a\":".repeat(100_000).as_slice(), 6),
    ] {
        env.write("config.json", content);
        for line in [
            "json get /a",
            "json set /a=1",
            "reserve --write-json config.json#/a",
        ] {
            let line = format!("ulimit -v 1000000 -s 512; exec portkeeper {line}");
            env.sh(&line).refused(code).sane();
        }
        assert_eq!(fs::read(env.path("config.json")).unwrap(), content);
    }
    File::create(env.path("config.json"))
        .unwrap()
        .set_len(3 << 30)
        .unwrap();
    env.sh("ulimit -v 1000000; exec portkeeper json get /a")
        .refused(6);
    env.write("config.json", format!("{{\"port\":{number}}}"));
    env.pk("json set /port=1").ok();
    assert_eq!(env.read("config.json").as_deref(), Some("{\"port\":1}"));
    assert_eq!(env.reserved(), [0_u16; 0]);
}
