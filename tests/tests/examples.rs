//! Each folder of `docs/examples`, tried as its reader would: with real servers, in a copy of its own.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use pk_tests::{Answer, TestEnv, has, skipped};

/// Runs the example's `try.sh`; `None`, with a word about it, where there is no Python.
fn tried(env: &TestEnv, name: &str) -> Option<Answer> {
    if !has("python3") {
        skipped(format_args!("the example {name}: no python3"));
        return None;
    }
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples");
    copy(&examples.join(name), &env.path(""));
    let answer = env.sh("sh try.sh").ok();
    assert_eq!(env.reserved(), [0_u16; 0], "everything was given back");
    Some(answer)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &target),
            false => {
                fs::copy(entry.path(), target).unwrap();
            }
        }
    }
}

#[track_caller]
fn has_lines(answer: &Answer, lines: &[&str]) {
    for line in lines {
        assert!(
            answer.stdout.lines().any(|it| it == *line),
            "no {line:?} in {answer:#?}"
        );
    }
}

#[test]
fn a_stack_of_two_services() {
    let env = TestEnv::new();
    if let Some(answer) = tried(&env, "compose-stack") {
        has_lines(&answer, &["web says: api heard /hello"]);
    }
}

#[test]
fn tests_that_run_side_by_side() {
    let env = TestEnv::new();
    if let Some(answer) = tried(&env, "parallel-tests") {
        let ports: BTreeSet<&str> = answer
            .stdout
            .lines()
            .filter(|it| it.ends_with(" ok"))
            .collect();
        assert_eq!(ports.len(), 8, "{answer:#?}");
    }
}

#[test]
fn the_processes_of_a_procfile() {
    let env = TestEnv::new();
    if let Some(answer) = tried(&env, "procfile") {
        has_lines(&answer, &["I am web", "I am admin"]);
    }
}

#[test]
fn a_repository_with_several_packages() {
    let env = TestEnv::new();
    let Some(answer) = tried(&env, "monorepo") else {
        return;
    };
    has_lines(&answer, &["/tea is in stock"]);
    if has("node") {
        has_lines(
            &answer,
            &["The shop: /tea is in stock", "globalThis.CONFIG = {"],
        );
    } else {
        skipped("the site of the example monorepo: no node");
    }
}

#[test]
fn a_first_file_is_written_for_each() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples");
    for name in ["compose-stack", "procfile", "monorepo/packages/site"] {
        let env = TestEnv::new();
        copy(&examples.join(name), &env.path(""));
        let _ = fs::remove_file(env.path("portkeeper.toml"));
        let shown = env.pk("init --dry-run").ok().stdout;
        assert!(!env.path("portkeeper.toml").exists());
        env.pk("init").ok();
        let written = fs::read_to_string(env.path("portkeeper.toml")).unwrap();
        assert_eq!(written, shown);
        env.pk("init").refused(8).says("is there already");
        env.pk("prepare").ok();
        env.pk("prepare --check").ok();
        env.pk("down").ok();
    }
}
