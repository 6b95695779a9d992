//! What the registry says: reservations that have ended, that nobody uses, that nobody can read, whose
//! holder does not answer.

use std::fs;
use std::net::TcpListener;
use std::process::Stdio;

use pk_tests::process::signal;
use pk_tests::{Ports, TestEnv, has, skipped};
use rustix::process::{Signal, geteuid};

use super::Mended::{Command, Fix, Hand};
use super::{check, doctor, fact, found};

/// Changes the registry as a hostile or careless hand would.
fn edit(env: &TestEnv, from: &str, to: &str) {
    let registry = fs::read_to_string(env.registry()).unwrap();
    let edited = registry.replace(from, to);
    assert_ne!(registry, edited, "no {from} in {registry}");
    fs::write(env.registry(), edited).unwrap();
}

#[test]
fn reservations_that_have_ended() {
    let (env, ports) = (TestEnv::new(), Ports::claim(3));
    let holder = env
        .pk(format!("reserve --hold --preferred {}", ports.at(0)))
        .ok()
        .holder();
    assert_eq!(doctor(&env, "", "")["findings"], serde_json::json!([]));
    signal(holder, Signal::KILL);
    let finding = check(&env, "", "ended-reservations", "note", Fix);
    assert_eq!(finding["port"], ports.at(0));
    assert!(
        finding["what"]
            .as_str()
            .unwrap()
            .contains("its holder has ended")
    );

    let mut child = env.bystander();
    for port in [ports.at(1), ports.at(2)] {
        env.pk(format!("reserve --preferred {port} --pid {}", child.id()))
            .ok();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let finding = check(&env, "", "ended-reservations", "note", Fix);
    let told = format!("{}, {}", ports.at(1), ports.at(2));
    assert!(
        finding["what"].as_str().unwrap().contains(&told),
        "{finding}"
    );
    assert_eq!(finding.get("port"), None, "there are two");
    assert_eq!(env.reserved(), [0_u16; 0]);
}

#[test]
fn a_damaged_entry() {
    let (env, ports) = (TestEnv::new(), Ports::claim(2));
    env.pk(format!("reserve --count 2 {}", ports.range())).ok();
    edit(&env, &format!("\"port\":{}", ports.at(1)), "\"port\":99999");
    let finding = check(&env, "", "damaged-entry", "problem", Hand);
    assert_eq!(finding["port"], ports.at(1), "it is in the key as well");
    assert_eq!(
        env.reserved(),
        ports.all().collect::<Vec<_>>(),
        "it is kept"
    );
}

#[test]
fn leases_that_nobody_uses() {
    let (env, ports) = (TestEnv::new(), Ports::claim(2));
    env.pk(format!("reserve --count 2 {}", ports.range())).ok();
    let _server = TcpListener::bind(("127.0.0.1", ports.at(0))).unwrap();
    assert_eq!(doctor(&env, "", "")["findings"], serde_json::json!([]));
    let registry = fs::read_to_string(env.registry()).unwrap();
    let (_, created) = registry.split_once("\"created\":\"").unwrap();
    edit(&env, &created[..4], "2001");
    let finding = check(&env, "", "unused-leases", "note", Command);
    assert_eq!(finding["port"], ports.at(1), "the other is used");
    assert_eq!(env.reserved(), [ports.at(0)]);
}

/// The kernel's range is that of a namespace of the test.
#[test]
fn leases_that_the_kernel_may_give_away() {
    if !geteuid().is_root() || !has("unshare") {
        return skipped("the kernel's settings: not root, or no unshare");
    }
    let env = TestEnv::new();
    let mut command = env.command("unshare");
    let within = "set -e; ip link set lo up 2>/dev/null || true; sudo() { \"$@\"; }; \
        portkeeper reserve --preferred 40000 --strict >&2; \
        portkeeper reserve --preferred 40001 --strict --hold >&2; \
        portkeeper reserve --preferred 20000 --strict >&2; \
        portkeeper doctor --format json || true; \
        mend=$(portkeeper doctor --format json | sed 's/.*\"mend\":\"\\([^\"]*\\)\".*/\\1/'); \
        $mend >&2; portkeeper doctor --format json; portkeeper release --mine >&2";
    command
        .args(["-n", "sh", "-c", within])
        .stdin(Stdio::null());
    let answer = env.run(command);
    if answer.stderr.contains("unshare:") {
        return skipped(format_args!(
            "a network namespace: {}",
            answer.stderr.trim()
        ));
    }
    let answer = answer.ok();
    let [before, after] = answer.stdout.lines().collect::<Vec<_>>()[..] else {
        panic!("two answers: {answer:#?}");
    };
    let before = serde_json::from_str(before).unwrap();
    let finding = found(&before, "exposed-ports").expect("a finding");
    assert_eq!(finding["port"], 40000, "{before:#}");
    let after = serde_json::from_str(after).unwrap();
    assert_eq!(found(&after, "exposed-ports"), None, "{after:#}");
    let kept = fact(&after, "net.ipv4.ip_local_reserved_ports");
    assert!(kept.contains("40000"), "{kept}");
}

#[test]
fn a_holder_that_does_not_answer() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let line = format!("reserve --hold {}", ports.range());
    let holder = env.pk(&line).ok().holder();
    signal(holder, Signal::STOP);
    let finding = check(&env, "", "silent-holder", "problem", Command);
    assert_eq!(finding["mend"], format!("kill -CONT {holder}"));
    assert_eq!(finding["port"], ports.at(0));
    // One whose control socket is gone holds on and can't be asked.
    let folder = env.root().join("run/portkeeper");
    let sockets = fs::read_dir(&folder).unwrap().flatten();
    sockets.for_each(|socket| fs::remove_file(socket.path()).unwrap());
    let finding = check(&env, "", "silent-holder", "problem", Command);
    let mend = format!("portkeeper release --force {}", ports.at(0));
    assert_eq!(finding["mend"], mend);
    env.pk(&line).ok();
}

#[test]
fn programs_and_commands_that_hold_answer() {
    let (env, ports) = (TestEnv::new(), Ports::claim(2));
    let line = format!("reserve --foreground --preferred {}", ports.at(0));
    let mut command = env.start(env.portkeeper(line));
    assert_eq!(command.answer().port(), ports.at(0));
    let port = ports.at(1).to_string();
    let program = [
        "run",
        "--preferred",
        &port,
        "--",
        "sh",
        "-c",
        "echo up; cat",
    ];
    let mut program = env.start_run(&program);
    assert_eq!(program.line(), "up");
    let checkup = doctor(&env, "", "");
    assert_eq!(checkup["findings"], serde_json::json!([]), "{checkup:#}");
    assert_eq!(fact(&checkup, "reservations"), "2");
}
