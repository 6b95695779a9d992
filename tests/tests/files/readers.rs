//! What `env set` writes, read back by the programs that people use. One that is not installed is
//! left out, with a message.

use std::path::Path;
use std::process::Command;

use pk_tests::{TestEnv, has, skipped};

/// Telling values: of each form that is written, with what some reader would misread in another.
const VALUES: &[&str] = &[
    "8080",
    "http://127.0.0.1:8080/?a=b&c=[d]",
    "a b",
    "",
    " # no comment ",
    "it's",
    "say \"hi\"",
    "`id`; echo *",
    "C:\\new",
    "~/é",
    "two\nlines",
];

/// A `.env` that has all values, in new places and in old ones of each kind.
fn world() -> (TestEnv, Vec<(String, String)>) {
    let env = TestEnv::new();
    env.write(".env", "# c\nR0='x'\nexport R1=\"x\" # c\nR2=x\n");
    let mut expect = Vec::new();
    let mut set = vec!["env".to_owned(), "set".to_owned()];
    for (index, value) in VALUES.iter().enumerate() {
        expect.push((format!("K{index}"), (*value).to_owned()));
    }
    for (key, value) in [("R0", "it's 1"), ("R1", "a\"b"), ("R2", "x y")] {
        expect.push((key.to_owned(), value.to_owned()));
    }
    set.extend(expect.iter().map(|(key, value)| format!("{key}={value}")));
    env.pk_args(&set.iter().map(String::as_str).collect::<Vec<_>>())
        .ok();
    (env, expect)
}

/// Compares what a program printed, `KEY=value` with a NUL after each, with what was written.
/// `absent` is what it says where its library, or its service, is not there.
fn check(program: &str, args: &[&str], absent: &[&str]) {
    let (env, expect) = world();
    if !has(program) {
        return skipped(format_args!("{program} is not installed"));
    }
    let path = env.path(".env");
    let args: Vec<_> = args
        .iter()
        .map(|arg| arg.replace("{file}", &shown(&path)))
        .collect();
    let mut command = Command::new(program);
    command.args(&args).current_dir(env.root());
    let answer = env.run(command);
    if let Some(why) = absent.iter().find(|why| answer.stderr.contains(**why)) {
        return skipped(format_args!("{program}: {why}"));
    }
    let answer = answer.ok();
    let read: Vec<_> = answer
        .stdout
        .split('\0')
        .filter_map(|pair| pair.split_once('='))
        .collect();
    for (key, value) in &expect {
        let found = read
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| *value);
        assert_eq!(found, Some(value.as_str()), "{program}: {key}");
    }
}

fn shown(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

#[test]
fn shells() {
    for shell in ["sh", "bash", "dash"] {
        check(shell, &["-c", "set -a; . '{file}'; env -0"], &[]);
    }
}

#[test]
fn python_dotenv() {
    let script = "import dotenv\n\
        for pair in dotenv.dotenv_values('{file}').items(): print(*pair, sep='=', end='\\0')";
    check("python3", &["-c", script], &["No module named"]);
}

#[test]
fn npm_dotenv() {
    let script = "const read = require('dotenv').parse(require('fs').readFileSync('{file}'));\
        for (const key in read) process.stdout.write(`${key}=${read[key]}\\0`)";
    check("node", &["-e", script], &["Cannot find module"]);
}

#[test]
fn node() {
    let script = "process.loadEnvFile('{file}');\
        for (const key in process.env) process.stdout.write(`${key}=${process.env[key]}\\0`)";
    check("node", &["-e", script], &["loadEnvFile is not a function"]);
}

#[test]
fn systemd() {
    let args = [
        "--quiet",
        "--pipe",
        "--wait",
        "--property=EnvironmentFile={file}",
        "env",
        "-0",
    ];
    let absent = [
        "Failed to connect to bus",
        "not been booted with systemd",
        "Interactive authentication required",
    ];
    check("systemd-run", &args, &absent);
}
