//! Each example of the guide, done.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use pk_tests::{Answer, TestEnv, has, skipped};

use super::github;
use super::page::{block, script, steps};

/// A test of somebody's that tells which address it was given.
fn with_test(env: &TestEnv) {
    let path = env.path("test.sh");
    fs::write(&path, "#!/bin/sh\necho \"tests $1\"\n").unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The port in `tests http://localhost:PORT`.
#[track_caller]
fn tested(answer: &Answer) -> u16 {
    let port = answer.stdout.lines().find_map(|line| {
        let port = line.strip_prefix("tests http://localhost:")?;
        port.parse().ok()
    });
    port.unwrap_or_else(|| panic!("no address: {answer:#?}"))
}

#[test]
fn github_actions() {
    let env = TestEnv::new();
    for tool in ["bash", "python3", "curl"] {
        if !has(tool) {
            return skipped(format_args!("the pipeline of GitHub: no {tool}"));
        }
    }
    let mut steps = steps(&block("GitHub Actions", "yaml"));
    assert_eq!(steps.len(), 4, "{steps:#?}");
    let answers = github::run(&env, &steps);
    assert_eq!(answers.len(), 4);
    for answer in answers {
        let _ = answer.ok();
    }
    assert_eq!(env.reserved(), [0_u16; 0], "it was given back");
    assert!(env.processes().is_empty(), "the server has ended");
    // After a failure it is given back all the same.
    steps[2].run = "exit 1".into();
    let answers = github::run(&env, &steps);
    assert_eq!(answers[2].code, Some(1));
    assert_eq!(env.reserved(), [0_u16; 0]);
}

#[test]
fn gitlab_ci() {
    let env = TestEnv::new();
    with_test(&env);
    let pipeline = block("GitLab CI", "yaml");
    for line in script(&pipeline, "ports", "script") {
        let _ = env.sh(line).ok();
    }
    assert!(pipeline.contains("      dotenv: ports.env\n"));
    let report = fs::read_to_string(env.path("ports.env")).unwrap();
    let variables: Vec<_> = report.lines().map(gitlab).collect();
    let names: Vec<_> = variables.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["WEB_PORT", "API_PORT"]);
    let job = |line: &str| {
        let mut command = env.command("sh");
        command.args(["-c", line]).envs(variables.clone());
        env.run(command).ok()
    };
    let lines = script(&pipeline, "test", "script");
    let told: Vec<_> = lines.into_iter().map(job).collect();
    assert!(env.reserved().contains(&tested(&told[0])));
    script(&pipeline, "test", "after_script")
        .into_iter()
        .map(job)
        .for_each(drop);
    assert_eq!(env.reserved(), [0_u16; 0]);
}

/// A line of a report as GitLab reads it.
fn gitlab(line: &str) -> (String, String) {
    let (name, value) = line.split_once('=').expect("KEY=VALUE");
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    assert!(name.bytes().all(is_name), "{line}");
    (name.trim().to_owned(), value.trim().to_owned())
}

#[test]
fn scripts_of_any_shell() {
    let script = block("Any other pipeline, and scripts", "sh");
    for shell in ["sh", "bash", "dash", "zsh", "busybox"] {
        if !has(shell) {
            skipped(format_args!("the script of the guide: no {shell}"));
            continue;
        }
        let env = TestEnv::new();
        with_test(&env);
        let mut command = env.command(shell);
        command.args((shell == "busybox").then_some("sh"));
        command.args(["-c", &script]);
        let port = tested(&env.run(command).ok());
        assert!(port >= 1024, "{shell}");
        assert_eq!(env.reserved(), [0_u16; 0], "{shell}");
        // A failure is noticed.
        let mut command = env.command(shell);
        command.args((shell == "busybox").then_some("sh"));
        command
            .args(["-c", &script])
            .env("PORTKEEPER_REGISTRY", "/dev/null/nowhere");
        let answer = env.run(command);
        assert!(answer.code != Some(0), "{answer:#?}");
        assert!(!answer.stdout.contains("tests"), "{answer:#?}");
    }
}

#[test]
fn scripts_of_fish() {
    if !has("fish") {
        return skipped("the script of the guide: no fish");
    }
    let env = TestEnv::new();
    with_test(&env);
    let mut command = env.command("fish");
    command.args([
        "--no-config",
        "-c",
        &block("Any other pipeline, and scripts", "fish"),
    ]);
    let port = tested(&env.run(command).ok());
    assert!(port >= 1024);
    assert_eq!(env.reserved(), [0_u16; 0]);
}

#[test]
fn the_line_for_direnv() {
    let env = TestEnv::new();
    fs::write(env.path("portkeeper.toml"), "[ports.web]\n[ports.db]\n").unwrap();
    // direnv reads it with bash.
    let line = block("In a folder", "bash");
    let answer = env.sh(&format!("{line}\necho \"$WEB_PORT $DB_PORT $WEB_HOST\""));
    let answer = answer.ok();
    let [web, db] = ["web", "db"].map(|name| {
        let entries = env.reservations();
        let found = entries.iter().find(|entry| entry["name"] == name).unwrap();
        found["port"].as_u64().unwrap()
    });
    assert_eq!(answer.stdout, format!("{web} {db} 127.0.0.1\n"));
    // Entering the folder again changes nothing.
    assert_eq!(
        env.sh(&format!("{line}\necho \"$WEB_PORT\"")).ok().stdout,
        format!("{web}\n")
    );
    assert!(block("In a folder", "toml").contains("_.source = \"ports.sh\""));
}
