//! Who still lives, where that is hard to tell: numbers that are used again, a `/proc` that is hidden
//! or not there, other namespaces.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pk_tests::process::{eventually, spawn};
use pk_tests::{Ports, TestEnv, skipped};

/// Checks that nobody who looks from there takes a living reservation for dead.
#[track_caller]
fn nothing_is_dropped(env: &TestEnv, options: &str, prepare: &str) -> bool {
    let before = env.reserved();
    for line in [
        "status --format json",
        "gc --format json",
        "gc --dry-run --format json",
    ] {
        let Some(command) = env.unshared(options, prepare, &env.portkeeper(line)) else {
            return false;
        };
        let answer = env.run(command).ok().json();
        match answer["removed"].as_array() {
            Some(removed) => assert_eq!(removed.len(), 0, "{line}: {answer}"),
            None => {
                let entries = answer["reservations"].as_array().unwrap();
                let stale = entries.iter().filter(|it| it["state"] == "stale");
                assert_eq!(stale.count(), 0, "{answer}");
            }
        }
    }
    assert_eq!(env.reserved(), before);
    true
}

/// Reservations of every kind: held, leased, and tied to a process that lives.
struct Kinds {
    ports: Ports,
    process: Child,
}

impl Kinds {
    fn reserve(env: &TestEnv) -> Kinds {
        let (ports, process) = (Ports::claim(4), env.bystander());
        for (index, how) in [
            (0, "--hold".to_owned()),
            (1, String::new()),
            (2, format!("--pid {}", process.id())),
        ] {
            env.pk(format!("reserve --preferred {} {how}", ports.at(index)))
                .ok();
        }
        Kinds { ports, process }
    }

    fn end(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// The number of a process that has ended is given to another one.
#[test]
fn f47_a_number_that_is_used_again_is_another_process() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let script = format!(
        "sleep 600 & first=$!; \
         portkeeper reserve --strict --preferred {0} --pid $first >&2 || exit 9; \
         kill -9 $first; wait $first; sleep 0.1; \
         echo $((first - 1)) > /proc/sys/kernel/ns_last_pid || exit 8; \
         sleep 600 & second=$!; \
         test $first = $second || exit 8; \
         portkeeper status --format json; \
         portkeeper reserve --strict --preferred {0} >&2; code=$?; \
         kill $second; exit $code",
        ports.at(0)
    );
    let mut command = env.command("sh");
    command.args(["-c", &script]).stderr(Stdio::null());
    let Some(command) = env.unshared("--pid --fork --mount-proc", "true", &command) else {
        return;
    };
    let answer = env.run(command);
    if answer.code == Some(8) {
        return skipped("numbers of processes: they can't be chosen here");
    }
    let status: serde_json::Value = serde_json::from_str(&answer.ok().stdout).unwrap();
    assert_eq!(status["reservations"][0]["state"], "stale", "{status}");
}

/// What others do can't be seen: so they live, until kill(2) says that they do not.
#[test]
fn f49_processes_that_proc_hides_live() {
    let Some(env) = TestEnv::plain_user() else {
        return;
    };
    let ports = Ports::claim(1);
    let mut theirs = Command::new("cat");
    theirs.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut theirs = spawn(&mut theirs).unwrap();
    let line = format!("reserve --preferred {} --pid {}", ports.at(0), theirs.id());
    env.pk(line).ok();
    let hide = "mount -t proc -o hidepid=2 proc /proc";
    let can_hide = nothing_is_dropped(&env, "-m", hide);
    theirs.kill().unwrap();
    theirs.wait().unwrap();
    if !can_hide {
        return;
    }
    let gc = env.unshared("-m", hide, &env.portkeeper("gc --format json"));
    let removed = env.run(gc.unwrap()).ok().json();
    assert_eq!(removed["removed"][0]["port"], ports.at(0), "{removed}");
}

/// As in a bare chroot. What can't be known counts as alive, also for those who look afterwards.
#[test]
fn f49_without_proc_everything_lives() {
    let env = TestEnv::new();
    let kinds = Kinds::reserve(&env);
    let hide = "mount -t tmpfs none /proc";
    if !nothing_is_dropped(&env, "-m", hide) {
        return kinds.end();
    }
    let port = kinds.ports.at(3);
    let line = format!("reserve --strict --preferred {port}");
    let reserve = env.unshared("-m", hide, &env.portkeeper(&line)).unwrap();
    env.run(reserve).ok();
    assert_eq!(env.reserved(), kinds.ports.all().collect::<Vec<_>>());
    for port in kinds.ports.all() {
        assert_ne!(env.state(port).as_deref(), Some("stale"), "{port}");
    }
    env.pk("gc").ok();
    assert_eq!(env.reserved(), kinds.ports.all().collect::<Vec<_>>());
    env.pk(&line).refused(3);
    // A registry that was begun there is not taken for one of another boot either.
    env.pk("release --mine").ok();
    std::fs::remove_file(env.registry()).unwrap();
    let reserve = env.unshared("-m", hide, &env.portkeeper(&line)).unwrap();
    env.run(reserve).ok();
    assert_eq!(env.state(port).as_deref(), Some("leased"));
    env.pk(&line).refused(3);
    // Files are written there as well: a new one, and one that is there.
    for value in ["1", "2"] {
        let set = env.portkeeper(format!("env set A={value} --create"));
        let set = env.unshared("-m", hide, &set).unwrap();
        env.run(set).ok();
        assert_eq!(env.pk("env get A").ok().stdout.trim(), value);
    }
    kinds.end();
}

/// As after `unshare --pid` alone: under a process' number `/proc` shows another process, or none.
#[test]
fn f49_a_proc_of_another_process_namespace_tells_nothing() {
    let env = TestEnv::new();
    // The numbers of the first fifty processes of the inner namespace mean nothing to the outer.
    let script = "i=0; while test $i -lt 50; do /bin/true; i=$((i + 1)); done; \
                  portkeeper reserve --hold >&2 && portkeeper reserve --pid $$ >&2 && \
                  portkeeper gc >&2 && portkeeper status --format json && \
                  portkeeper release --mine >&2";
    let mut inner = env.command("unshare");
    inner.args(["--pid", "--fork", "sh", "-c", script]);
    let Some(outer) = env.unshared("--pid --fork --mount-proc", "true", &inner) else {
        return;
    };
    let status = env.run(outer).ok().json();
    let states = status["reservations"].as_array().unwrap().iter();
    let states: Vec<_> = states.map(|it| it["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["held", "leased"], "{status}");
}

#[test]
fn f52_other_clocks_and_numbers_end_nothing() {
    let env = TestEnv::new();
    let kinds = Kinds::reserve(&env);
    for options in [
        "--pid --fork --mount-proc",
        "-T --boottime 1000000000 --fork",
        "-T --boottime 1000000000 --fork --pid --mount-proc -m -u -i",
    ] {
        nothing_is_dropped(&env, options, "true");
    }
    // Nor does what is made there end what is here.
    let line = format!("reserve --preferred {} --ttl 1h", kinds.ports.at(3));
    let there = env.unshared(
        "-T --boottime 1000000000 --fork",
        "true",
        &env.portkeeper(line),
    );
    if let Some(there) = there {
        env.run(there).ok();
        assert_eq!(env.state(kinds.ports.at(3)).as_deref(), Some("leased"));
    }
    kinds.end();
}

/// Equal numbers of two networks are two ports.
#[test]
fn f53_another_network_has_ports_of_its_own() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let line = format!("reserve --strict --preferred {} --hold", ports.at(0));
    let here = env.pk(&line).ok();
    let script = format!(
        "portkeeper {line} --format port && portkeeper status --format json && \
         portkeeper gc --format json && portkeeper release {}",
        ports.at(0)
    );
    let mut command = env.command("sh");
    command.args(["-c", &script]);
    let Some(command) = env.unshared("-n", "true", &command) else {
        return;
    };
    let answer = env.run(command).ok();
    let lines: Vec<_> = answer.stdout.lines().collect();
    assert_eq!(lines[0], ports.at(0).to_string());
    let status: serde_json::Value = serde_json::from_str(lines[1]).unwrap();
    let mut states: Vec<_> = status["reservations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["state"].as_str().unwrap())
        .collect();
    states.sort_unstable();
    assert_eq!(states, ["elsewhere", "held"]);
    let gc: serde_json::Value = serde_json::from_str(lines[2]).unwrap();
    assert_eq!(gc["removed"], serde_json::json!([]));
    // The release there was of the one there.
    assert_eq!(env.state(ports.at(0)).as_deref(), Some("held"));
    assert!(!pk_tests::is_free(ports.at(0)));
    eventually(Duration::from_secs(5), "its holder lives", || {
        pk_tests::process::is_alive(here.holder())
    });
}
