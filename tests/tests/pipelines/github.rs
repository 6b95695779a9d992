//! A runner of GitHub Actions, small: how it reads the files of a step, and runs one step after the
//! other.

use std::collections::BTreeMap;
use std::fs;

use pk_tests::{Answer, TestEnv};

pub(super) type Variables = BTreeMap<String, String>;

/// Reads the file of variables or outputs as the runner does: `NAME=VALUE`, or `NAME<<WORD`, lines,
/// `WORD`; which of the two it is says what comes first in the line. `None` where it would fail.
pub(super) fn parse(text: &str) -> Option<Variables> {
    let mut variables = Variables::new();
    // It takes each of \r, \n and \r\n for the end of a line.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let (equals, heredoc) = (line.find('='), line.find("<<"));
        let (name, value) = match (equals, heredoc) {
            _ if line.is_empty() => continue,
            (Some(at), other) if other.is_none_or(|other| at < other) => {
                (&line[..at], line[at + 1..].to_owned())
            }
            (_, Some(at)) => {
                let (name, word) = (&line[..at], &line[at + 2..]);
                let mut value = Vec::new();
                loop {
                    match lines.next()? {
                        end if end == word => break,
                        more => value.push(more),
                    }
                }
                (name, value.join("\n"))
            }
            _ => return None,
        };
        if name.is_empty() {
            return None;
        }
        variables.insert(name.to_owned(), value);
    }
    Some(variables)
}

/// A step of a job.
#[derive(Debug, Default)]
pub(super) struct Step {
    pub(super) id: Option<String>,
    pub(super) run: String,
    pub(super) always: bool,
}

/// Runs the steps of a job, each with what those before it have said. After a failure only those run
/// that always do.
pub(super) fn run(env: &TestEnv, steps: &[Step]) -> Vec<Answer> {
    let (mut variables, mut outputs) = (Variables::new(), Variables::new());
    let mut answers: Vec<Answer> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let failed = answers.iter().any(|answer| answer.code != Some(0));
        if failed && !step.always {
            continue;
        }
        let file = |name: &str| {
            let path = env.root().join("run").join(format!("{name}_{at}"));
            fs::write(&path, "").unwrap();
            path
        };
        let files = ["ENV", "OUTPUT", "STATE"].map(|name| (format!("GITHUB_{name}"), file(name)));
        let mut script = step.run.clone();
        for (name, value) in &outputs {
            script = script.replace(&format!("${{{{ {name} }}}}"), value);
        }
        assert!(!script.contains("${{"), "an unknown expression: {script}");
        // As it is told: bash --noprofile --norc -e -o pipefail {0}.
        let path = env.root().join("run/script.sh");
        fs::write(&path, script).unwrap();
        let mut command = env.command("bash");
        command
            .args(["--noprofile", "--norc", "-e", "-o", "pipefail"])
            .arg(&path)
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_WORKSPACE", env.path(""))
            .envs(files.clone())
            .envs(&variables);
        answers.push(env.run(command));
        let [said, put_out, state] = files.map(|(name, path)| {
            super::read(&path)
                .into_iter()
                .map(move |it| (name.clone(), it))
        });
        assert_eq!(state.count(), 0, "a state is nobody's but an action's");
        variables.extend(said.map(|(_, it)| it));
        if let Some(id) = &step.id {
            let named = |(name, value)| (format!("steps.{id}.outputs.{name}"), value);
            outputs.extend(put_out.map(|(_, it)| named(it)));
        }
    }
    answers
}

#[test]
fn files_are_read_as_the_runner_reads_them() {
    let check = |text: &str, expect: Option<&[(&str, &str)]>| {
        let owned = |it: &(&str, &str)| (it.0.to_owned(), it.1.to_owned());
        let expect = expect.map(|it| it.iter().map(owned).collect());
        assert_eq!(parse(text), expect, "{text:?}");
    };
    check("", Some(&[]));
    check("A=1\n\nB=a=b<<c\n", Some(&[("A", "1"), ("B", "a=b<<c")]));
    check("A<<E=\nx\ny\nE=\n", Some(&[("A", "x\ny")]));
    check("A<<E\nx", None);
    check("A", None);
    check("=x", None);
    check("A=1\rB=2", Some(&[("A", "1"), ("B", "2")]));
}
