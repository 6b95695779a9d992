//! What a program that is run finds: its port, its streams, its environment; and what its end means.

use pk_tests::{Ports, TestEnv, has, is_free, skipped};

use super::{nothing_is_left, sh};

#[test]
fn the_exit_code_is_the_programs() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let check = |program: &[&str], expect: i32| {
        let args = ["run", "--range", &ports.span(), "--"];
        let answer = env.pk_args(&[&args, program].concat());
        assert_eq!(answer.code, Some(expect), "{answer:#?}");
        assert!(is_free(ports.at(0)));
        assert_eq!(env.reserved(), [0; 0]);
    };
    check(&["true"], 0);
    check(&["sh", "-c", "exit 7"], 7);
    check(&["sh", "-c", "kill -TERM $$"], 143);
    check(&["sh", "-c", "kill -KILL $$"], 137);
    check(&["/nonexistent/program"], 127);
    check(&["no-such-program-anywhere"], 127);
    check(&["/etc/passwd"], 126);
    check(&["/"], 126);
}

#[test]
fn a_program_that_is_not_there_is_named_with_a_hint() {
    let env = TestEnv::new();
    env.pk("run -- no-such-program-anywhere")
        .refused(127)
        .says("no-such-program-anywhere");
    env.pk("run").refused(2);
    env.pk_args(&["run", "--", ""]).refused(2);
}

#[test]
fn ports_are_where_they_were_asked_for() {
    let (env, ports) = (TestEnv::new(), Ports::claim(3));
    let [a, b] = [0, 1].map(|at| ports.at(at).to_string());
    let range = &ports.span();
    let check = |options: &[&str], command: &[&str], expect: &str| {
        let args = [&["run", "--range", range], options, &["--"], command].concat();
        let answer = env.pk_args(&args).ok();
        assert_eq!(answer.stdout, expect, "{options:?} {command:?}");
    };
    let print = |what: &'static str| ["sh", "-c", what];
    check(&[], &print("echo $PORT"), &format!("{a}\n"));
    check(
        &[],
        &["echo", "{port} {PORT} {host} {other} {port1}"],
        &format!("{a} {a} 127.0.0.1 {{other}} {{port1}}\n"),
    );
    check(
        &["--env", "WEB", "--env", "API"],
        &print("echo $WEB $API ${PORT-unset}"),
        &format!("{a} {a} unset\n"),
    );
    check(
        &["--count", "2"],
        &print("echo $PORT0 $PORT1 ${PORT-unset}"),
        &format!("{a} {b} unset\n"),
    );
    check(
        &["--count", "2", "--env", "WEB", "--env", "API"],
        &["sh", "-c", "echo $WEB $API {port1}"],
        &format!("{a} {b} {b}\n"),
    );
    check(
        &["--host", "localhost"],
        &["echo", "{host}:{port}"],
        &format!("localhost:{a}\n"),
    );
}

#[test]
fn a_program_can_have_many_ports() {
    for env in [Some(TestEnv::new()), TestEnv::plain_user()]
        .into_iter()
        .flatten()
    {
        let ports = Ports::claim(16);
        let range = ports.range();
        let line = format!("run {range} --count 16 -- printenv PORT0 PORT15");
        let expect = format!("{}\n{}\n", ports.at(0), ports.at(15));
        assert_eq!(env.pk(line).ok().stdout, expect);
    }
}

#[test]
fn what_contradicts_itself_is_refused_before_anything_is_reserved() {
    let env = TestEnv::new();
    for line in [
        "run --count 2 --env ONE -- true",
        "run --env 1A -- true",
        "run --env A=B -- true",
        "run --hand-over relaxed -- sh {fd}",
        "run --pass-fd --hand-over adopt -- true",
        "run --hand-over sideways -- true",
        "run --ready soon -- true",
        "run --count 0 -- true",
    ] {
        env.pk(line).refused(2);
    }
    assert!(!env.registry().exists());
}

#[test]
fn streams_folder_environment_and_descriptors_are_the_callers() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    env.write("given", "from a file\n");
    let range = ports.range();
    let script = format!(
        "echo from stdin | GREETING=hello portkeeper run {range} -- sh -c '
            cat; cat <&9; echo $GREETING; pwd; echo to stderr >&2' 9<given"
    );
    let answer = env.sh(&script).ok();
    let folder = env.path("").canonicalize().unwrap();
    let expect = format!("from stdin\nfrom a file\nhello\n{}\n", folder.display());
    assert_eq!(
        (answer.stdout.as_str(), answer.stderr.as_str()),
        (expect.as_str(), "to stderr\n")
    );
}

#[test]
fn nothing_of_ours_is_open_in_the_program() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let range = ports.range();
    let check = |options: &str, expect: &str| {
        // The shell's own descriptors, and what it was given.
        let line = format!("run {range} {options} -- ls -l /proc/self/fd");
        let answer = env.pk(&line).ok();
        let open = answer
            .stdout
            .lines()
            .filter_map(|line| line.split(" -> ").nth(1));
        let ours: Vec<_> = open
            .filter(|target| !target.starts_with("pipe:") && !target.starts_with("/dev/null"))
            .filter(|target| !target.contains("/fd"))
            .map(|target| target.split(':').next().unwrap().to_owned())
            .collect();
        assert_eq!(ours.join(" "), expect, "{options}: {answer:#?}");
    };
    for way in ["auto", "relaxed", "close"] {
        check(&format!("--hand-over {way}"), "");
    }
    check("--pass-fd", "socket");
}

#[test]
fn files_are_written_before_the_program_starts() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let line = format!("run {} --write-env WEB_PORT -- cat .env", ports.range());
    let answer = env.pk(line).ok();
    assert_eq!(answer.stdout, format!("WEB_PORT={}\n", ports.at(0)));
}

#[test]
fn while_it_runs_everybody_sees_who_has_the_port() {
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let _range = &ports.span();
    let mut run = sh(&env, &ports, &["--owner", "shop"], "echo up; cat");
    assert_eq!(run.line(), "up");
    let entries = env.reservations();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["port"], ports.at(0));
    assert_eq!(entries[0]["state"], "held");
    assert_eq!(entries[0]["owner"], "shop");
    assert_eq!(entries[0]["pid"], run.pid());
    assert_eq!(entries[0]["expires"], serde_json::Value::Null);
    assert!(!is_free(ports.at(0)));
    run.close_stdin();
    run.ends_with(0);
    nothing_is_left(&env, ports.at(0));
}

/// A server that says when it is up, and ends with its first client.
const SERVER: &str = "import os, socket
s = socket.create_server(('127.0.0.1', int(os.environ['PORT'])))
print('up', flush=True)
s.accept()";

#[test]
fn why_knows_whose_program_listens() {
    if !has("python3") {
        skipped("whose program listens: no python3");
        return;
    }
    let (env, ports) = (TestEnv::new(), Ports::claim(1));
    let span = ports.span();
    let mut run = env.start_run(&["run", "--range", &span, "--", "python3", "-c", SERVER]);
    assert_eq!(run.line(), "up");
    let why = env
        .pk(format!("why {} --format json", ports.at(0)))
        .ok()
        .json();
    let id = &env.reservations()[0]["id"];
    assert_eq!(why["verdict"], "in-use");
    assert_eq!(&why["listeners"][0]["reservation"], id);
    let advice = format!("portkeeper release {}", ports.at(0));
    assert_eq!(why["advice"][0]["command"], advice);
    env.pk(advice.trim_start_matches("portkeeper ")).ok();
    run.ends_with(143);
}

#[test]
fn a_program_that_gains_privileges_shares_the_port() {
    let Some(env) = TestEnv::plain_user() else {
        return;
    };
    if !has("su") {
        skipped("a program that gains privileges: no su");
        return;
    }
    let answer = env.pk("run -- su --help").ok();
    assert!(answer.stderr.contains("gains privileges"), "{answer:#?}");
    let answer = env.pk("run -- true").ok();
    assert_eq!(answer.stderr, "");
}

#[test]
fn why_tells_that_a_plain_users_program_gains_no_privileges() {
    let Some(env) = TestEnv::plain_user() else {
        return;
    };
    if !std::path::Path::new("/usr/bin/python3").exists() {
        skipped("a program without privileges: no /usr/bin/python3");
        return;
    }
    let ports = Ports::claim(1);
    let span = ports.span();
    let mut run = env.start_run(&[
        "run",
        "--range",
        &span,
        "--",
        "/usr/bin/python3",
        "-c",
        SERVER,
    ]);
    assert_eq!(run.line(), "up");
    let why = env.pk(format!("why {} --format text", ports.at(0))).ok();
    assert!(why.stdout.contains("sudo and su fail in it"), "{why:#?}");
    env.pk(format!("release {}", ports.at(0))).ok();
    run.ends_with(143);
}
