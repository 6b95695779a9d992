//! What a `reserve` costs, in system calls: only those that the protocol of the registry needs.
//! Never about time, which depends on the machine.

use std::process::Stdio;

use pk_tests::{Ports, TestEnv, has, skipped};

/// Runs `line` under strace and gives back the calls that ended well, one a line.
fn trace(env: &TestEnv, line: &str) -> Option<Vec<String>> {
    if !has("strace") {
        skipped("system calls: no strace");
        return None;
    }
    let calls = "openat,open,creat,read,pread64,readv,mmap,flock,rename,renameat,renameat2,fsync,\
                 fdatasync,sync_file_range,syncfs,bind,execve,fork,vfork,clone,clone3";
    let log = env.root().join("trace");
    let mut command = env.command("strace");
    command
        .args(["-f", "-y", "-qq", "-e", &format!("trace={calls}"), "-o"])
        .arg(&log);
    command
        .arg("portkeeper")
        .args(line.split_whitespace())
        .stdout(Stdio::piped());
    let answer = env.run(command);
    if answer.stderr.contains("ptrace") || answer.stderr.contains("PTRACE") {
        skipped(format_args!("system calls: {}", answer.stderr.trim()));
        return None;
    }
    answer.ok();
    let log = std::fs::read_to_string(log).unwrap();
    let ended_well = log.lines().filter(|call| !call.contains(" = -1 "));
    // After the number of the thread.
    Some(
        ended_well
            .filter_map(|call| call.split_once(' '))
            .map(|(_, call)| call.trim_start().to_owned())
            .collect(),
    )
}

#[test]
fn reserve_makes_only_the_calls_of_the_protocol() {
    let (env, ports) = (TestEnv::new(), Ports::claim(101));
    env.pk(format!("reserve --count 100 {}", ports.range()))
        .ok();
    let size = std::fs::metadata(env.registry()).unwrap().len();
    let free = Ports::claim(4);
    let Some(calls) = trace(&env, &format!("reserve {}", free.range())) else {
        return;
    };

    let registry = env.registry().display().to_string();
    let named = |call: &str, names: &[&str]| {
        names.iter().any(|name| {
            call.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('('))
        })
    };
    let count = |what: &str, expect: usize, is: &dyn Fn(&str) -> bool| {
        let found: Vec<_> = calls.iter().filter(|call| is(call)).collect();
        assert_eq!(found.len(), expect, "{what}: {found:#?}");
    };
    count("flocks", 2, &|call| {
        named(call, &["flock"]) && !call.contains("LOCK_UN")
    });
    count("opens of the registry", 1, &|call| {
        named(call, &["openat", "open"]) && call.contains("registry.json\"")
    });
    count("reads of the registry", 1, &|call| {
        named(call, &["read", "pread64", "readv"])
            && call.contains(&format!("<{registry}>"))
            && !call.ends_with(" = 0")
    });
    count("reads of all of it", 1, &|call| {
        named(call, &["read", "pread64", "readv"]) && call.ends_with(&format!(" = {size}"))
    });
    count("temporary files", 1, &|call| {
        named(call, &["openat", "open", "creat"]) && call.contains("O_CREAT")
    });
    count("renames", 1, &|call| {
        named(call, &["rename", "renameat", "renameat2"])
    });
    count("syncs", 0, &|call| {
        named(call, &["fsync", "fdatasync", "sync_file_range", "syncfs"])
    });
    count("binds", 1, &|call| named(call, &["bind"]));
    count("other processes", 1, &|call| named(call, &["execve"]));
}

#[test]
fn a_taken_port_costs_one_bind_and_a_reserved_one_none() {
    let (env, ports) = (TestEnv::new(), Ports::claim(8));
    env.pk(format!("reserve --count 5 {}", ports.range())).ok();
    let _server = std::net::TcpListener::bind(("127.0.0.1", ports.at(5))).unwrap();
    let Some(calls) = trace(&env, &format!("reserve {}", ports.range())) else {
        return;
    };
    let binds = calls
        .iter()
        .filter(|call| call.starts_with("bind("))
        .count();
    assert_eq!(binds, 1, "the failed ones are not listed: {calls:#?}");
    assert_eq!(env.reserved().last(), Some(&ports.at(6)));
    let log = std::fs::read_to_string(env.root().join("trace")).unwrap();
    let failed = log
        .lines()
        .filter(|call| call.contains(" bind(") && call.contains("EADDRINUSE"));
    assert_eq!(failed.count(), 1, "{log}");
    let reserved = |call: &&str| {
        let ports = (0..5).any(|index| call.contains(&format!("htons({})", ports.at(index))));
        call.contains(" bind(") && ports
    };
    assert_eq!(
        log.lines().find(reserved),
        None,
        "a reserved port is never bound by a probe"
    );
}
