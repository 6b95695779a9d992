//! Text that a terminal would act upon, wherever it can be put.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use pk_tests::process::spawn;
use pk_tests::{Answer, Ports, TestEnv};

/// Sets the title, clears the screen, hides what follows; the same in C1; turns text around.
const HOSTILE: &str = "\u{1b}]0;x\u{7}\u{1b}[2J\u{1b}[8m\u{9b}31m\u{202e}\u{2028}\u{7f}\r\n";

/// The same as JSON has to have it.
const ESCAPED: &str = r"\u001b]0;x\u0007\u001b[2J\u001b[8m\u009b31m\u202e\u2028\u007f\r\n";

#[track_caller]
fn harmless(answer: Answer) -> Answer {
    let text = format!("{}{}", answer.stdout, answer.stderr);
    let is_bad = |it: char| it.is_control() && it != '\n' || "\u{202e}\u{2028}\u{9b}".contains(it);
    let bad: Vec<char> = text.chars().filter(|it| is_bad(*it)).collect();
    assert!(bad.is_empty(), "{bad:?} in {answer:#?}");
    answer
}

/// With all that the libraries tell about their work.
fn traced(env: &TestEnv, line: &str) -> Answer {
    let mut command = env.portkeeper(line);
    command
        .env("PORTKEEPER_LOG", "trace")
        .env("RUST_LOG", "trace");
    harmless(env.run(command))
}

#[test]
fn a10_nothing_in_a_registry_reaches_a_terminal() {
    let fields = [
        "owner", "id", "host", "proto", "created", "kind", "control", "x",
    ];
    for field in fields {
        let (env, ports) = (TestEnv::new(), Ports::claim(2));
        env.pk(format!(
            "reserve --hold --owner OWNER --preferred {}",
            ports.at(0)
        ))
        .ok();
        let registry = fs::read_to_string(env.registry()).unwrap();
        let hostile = match registry.split_once(&format!("\"{field}\":\"")) {
            Some((head, tail)) => {
                let (_, tail) = tail.split_once('"').unwrap();
                format!("{head}\"{field}\":\"{ESCAPED}\"{tail}")
            }
            None => registry.replace("\"owner\"", &format!("\"{field}\":\"{ESCAPED}\",\"owner\"")),
        };
        assert_ne!(hostile, registry, "{field}");
        fs::write(env.registry(), &hostile).unwrap();
        for line in [
            "status --format text".to_owned(),
            "status --format json".to_owned(),
            format!("why {} --format text", ports.at(0)),
            format!("reserve --strict --preferred {}", ports.at(0)),
            format!("reserve --preferred {}", ports.at(1)),
            "gc --format text --dry-run".to_owned(),
            "doctor --format text".to_owned(),
            "gc --format text".to_owned(),
            "release --mine --format text".to_owned(),
        ] {
            drop(traced(&env, &line));
        }
        fs::write(env.registry(), registry).unwrap();
    }
}

#[test]
fn a10_nothing_around_a_registry_reaches_a_terminal() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    env.pk("gc").ok();
    for text in [
        format!(r#"{{"schema":"{ESCAPED}","version":1}}"#),
        format!(r#"{{"version":"{ESCAPED}"}}"#),
        format!(r#"{{"entries":{{"{ESCAPED}":{{"port":"{ESCAPED}"}}}}}}"#),
        format!(r#"{{"entries":{{}},"{ESCAPED}":1,"{ESCAPED}":2}}"#),
        format!(r#"{{"version":1,"written_by":"{ESCAPED}","entries":{{}}}}"#),
        HOSTILE.to_owned(),
    ] {
        fs::write(env.registry(), text).unwrap();
        for line in [
            "status --format text",
            "doctor --format text",
            "gc --format text",
        ] {
            drop(traced(&env, line));
        }
        drop(traced(&env, &format!("reserve {}", ports.range())));
        drop(traced(&env, "release --mine"));
    }
    // Arguments, variables, names of files and their contents.
    let hostile = HOSTILE.replace('\n', "");
    let check = |args: &[&str]| drop(harmless(env.pk_args(args)));
    check(&["reserve", "--owner", &hostile]);
    check(&["reserve", "--host", &hostile]);
    check(&["reserve", &hostile]);
    check(&[&hostile]);
    check(&["env", "get", &hostile, "--file", &hostile]);
    check(&["env", "set", &format!("{hostile}=1")]);
    check(&["json", "get", &format!("/{hostile}")]);
    check(&[
        "--registry",
        &format!("{hostile}/x.json"),
        "status",
        "--format",
        "text",
    ]);
    check(&["run", "--", &hostile]);
    check(&["backup", "list", &hostile]);
    for name in [
        "PORTKEEPER_TTL",
        "PORTKEEPER_HOST",
        "PORTKEEPER_LOG",
        "HOME",
        "XDG_STATE_HOME",
    ] {
        for line in ["status --format text", "doctor --format text"] {
            let mut command = env.portkeeper(line);
            command
                .env_remove("PORTKEEPER_REGISTRY")
                .env(name, &hostile);
            drop(harmless(env.run(command)));
        }
    }
    fs::write(env.path(&hostile), format!("A='{HOSTILE}'\nB=1\n")).unwrap();
    check(&[
        "env",
        "set",
        "B=2",
        "--file",
        &hostile,
        "--dry-run",
        "--format",
        "text",
    ]);
    check(&["env", "set", "B=2", "--file", &hostile, "--format", "text"]);
    check(&["backup", "list", &hostile, "--format", "text"]);
    check(&["backup", "diff", &hostile]);
}

/// A process may call itself what it likes.
#[test]
fn a10_nothing_that_a_process_calls_itself_reaches_a_terminal() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let port = ports.at(0);
    let name = OsStr::from_bytes(b"\x1b[2Jevil\x9b31m");
    fs::copy("/bin/cat", env.path("").join(name)).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_actor"), env.path("actor")).unwrap();
    let mut command = env.command(env.path("").join(name));
    command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null());
    let mut evil = spawn(&mut command).unwrap();
    env.pk(format!("reserve --preferred {port} --pid {}", evil.id()))
        .ok();
    drop(traced(&env, "status --format text"));
    evil.kill().unwrap();
    evil.wait().unwrap();
    drop(traced(&env, "gc --format text"));
    let mut serve = env.command("sh");
    let title = format!("exec -a \"$1\" ./actor serve 127.0.0.1 {port}");
    serve.args([
        "-c",
        &format!("exec bash -c '{title}' sh \"$1\""),
        "sh",
        HOSTILE,
    ]);
    let mut server = env.start(serve);
    if server.next_line().is_none() {
        return pk_tests::skipped("a process with another name: no bash");
    }
    for line in [
        format!("why {port} --format text"),
        format!("why {port} --format json"),
    ] {
        let answer = traced(&env, &line);
        assert!(answer.stdout.contains("serve 127.0.0.1"), "{answer:#?}");
    }
}
